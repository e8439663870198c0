import Foundation
import Storage
import Testing

@testable import TextSearch

/// What people write in several ways is found in all of them.
@Suite struct FormTests {
    private func forms(_ text: String) throws -> [String] {
        let analyzer = try Analyzer(stemmer: "auto", stopWords: "english")
        return analyzer.withWorker { worker in
            worker.analyze(text) { analyzed in
                analyzed.tokens.filter { $0.role == .extra }.map { String(decoding: analyzed.bytes(of: $0), as: UTF8.self) }
            }
        }
    }

    @Test(arguments: [
        ("1.300.000 Kronen", ["1300000"]),
        ("1 400 000 kr", ["1400000"]),
        ("1\u{A0}400\u{A0}000 kr", ["1400000"]),
        ("1\u{202F}400 kr", ["1400"]),
        ("1'300'000.50 and 1\u{2019}250", ["1300000.50", "1250"]),
        ("1,250 or 1.250", ["1.250", "1250"]),
        ("0.125 and 3.5", []),
        ("3,5 percent", ["3.5"]),
        ("1.250,75 EUR", ["1250", "1250.75"]),
        ("pages 1,2,3", []),
        ("tel. 555-0142", ["5550142"]),
        ("352 030 15 97", ["3520301597", "0301597", "301597"]),
        ("03-2387", ["032387", "32387"]),
        ("X-200", ["x200"]),
        ("MS17-010 and CVE-2024-1234", ["ms17010", "cve2024", "cve20241234"]),
        ("well-known state-of-the-art", []),
        ("12V supply, 35 Nm", ["12", "35nm"]),
        ("5µm and 5 μm", ["5", "5um", "5um"]),
        ("4.5bar", ["4.5"]),
        ("pH7.4", ["7.4"]),
        ("v1.10.2", ["1.10.2", "1.10"]),
        ("192.168.10.24", ["192.168", "192.168.10", "1921681024"]),
        ("4711.05-3", ["4711", "4711053"]),
        ("M5799DWF", ["m5799", "5799"]),
        ("RTX4090", ["4090"]),
        ("0x80070005", ["80070005"]),
        ("IT support, it is", ["IT"]),
        ("plain words only, no others.", []),
        ("1 2 3 4 5 6 7 8 9 10", []),
    ])
    func `numbers, units and codes have the forms in which they meet`(text: String, expected: [String]) throws {
        #expect(try forms(text) == expected)
    }

    private func index(_ texts: [String]) throws -> TextIndex {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        index.add(texts.enumerated().map { TextRow(row: RowID(Int64($0.offset)), title: "", body: $0.element) })
        return index
    }

    @Test(arguments: [
        ("release 2.14.7", "Release v2.14.7 repairs the valve driver."), ("2.14.7", "Release v2.14.7 repairs the valve driver."),
        ("10.20", "The gateway is 10.20.30.40."), ("6120", "Drawing 6120.07-2 shows the flange."), ("K350", "The K-350 is a pump."),
        ("K-350", "The K350 is a pump."), ("24 V", "It needs a 24V supply."), ("24V", "It needs a 24 V supply."),
        ("2.5 bar", "Keep it at 2.5bar."), ("8 µm", "A filter of 8 μm."), ("8 um", "A filter of 8µm."), ("50Nm", "Tighten it with 50 Nm."),
        ("pH 6.8", "A buffer of pH6.8."), ("5550199", "Call 555-0199."), ("555-0199", "Call 555 01 99."),
        ("5550199", "Call +47 555 01 99."),
        ("2200000", "It cost 2.200.000 Kronen."), ("2,200,000", "It cost 2 200 000 kroner."), ("2.200.000", "It cost 2,200,000 crowns."),
        ("2'200'000", "It cost 2\u{A0}200\u{A0}000."), ("4710401286", "Order 471 040 12 86 was sent."), ("8007000e", "Error 0x8007000E."),
        ("t3200", "The printer T3200DWF."), ("3200", "The printer T3200DWF."), ("ms11020", "See MS11-020."), ("4,5", "A rate of 4.5 %."),
        ("covid 19", "The covid19 rules."),
    ])
    func `a number or code is found however it is written`(query: String, text: String) throws {
        let index = try index(["Some other text about harbours.", text, "Another one, with 7 cranes and 12 berths."])
        #expect(index.search(query, k: 3).first?.row == RowID(1))
    }

    @Test(arguments: [
        ("to be or not to be", 0), ("\"to be or not to be\"", 0), ("it is", 2), ("IT", 1), ("IT support", 1), ("is", 2),
    ])
    func `a question of stop words alone is looked for with them`(query: String, row: Int64) throws {
        let index = try index([
            "To be, or not to be, that was asked.", "IT support was given by the band A.", "It is what it is, and nothing more.",
            "This paragraph speaks of cranes.",
        ])
        #expect(index.search(query, k: 1).map(\.row) == [RowID(row)])
    }

    @Test func `stop words neither make a row longer nor count beside other words`() throws {
        let plain = try index(["harbour cranes", "boats"])
        let padded = try index(["the harbour and the cranes of it", "boats"])
        #expect(plain.search("harbour", k: 1) == padded.search("the harbour of the", k: 1))
        #expect(padded.terms(of: "the harbour of 12 V") == ["harbour", "12", "v"])
    }

    @Test(arguments: [("签", 0), ("野", 1), ("字", 0), ("ん", 1), ("어", 2), ("水", 3)])
    func `a single character of a script without spaces is found wherever it stands`(query: String, row: Int64) throws {
        let index = try index(["订单需要部门经理签字。", "野比さん", "한국어", "水 と 火"])
        #expect(index.search(query, k: 4).map(\.row) == [RowID(row)])
        #expect(!index.highlights(of: query, in: ["签字", "野比さん", "한국어", "水"][Int(row)]).isEmpty)
    }
}
