import TestSupport
import Testing

@testable import Answering

private func sentences(_ text: String) -> [String] {
    let bytes = Array(text.utf8)
    return TextUnits.units(in: bytes).map { String(decoding: bytes[$0.range], as: UTF8.self) }
}

@Suite struct `Text units` {
    @Test(arguments: [
        ["It rained.", "We left.", "Then it stopped!", "Why?"],
        ["Dr. Smith met Mrs. Jones in St. Louis.", "They spoke."],
        ["It grew by 3.5 percent to $1.2 billion.", "No. 5 fell."],
        ["J. R. R. Tolkien wrote it.", "He was born in Bloemfontein."],
        ["He moved to the U.S. in 1990.", "He stayed."],
        ["It opens at 9 a.m. and closes at 5 p.m. daily.", "Entry is free."],
        ["They sell fruit, nuts, etc. in bulk.", "The shop is old."],
        ["Apple Inc. was founded in 1976.", "It makes phones."],
        ["\"Stop!\" he said.", "She did not (really).", "\"Go on,\" she said."],
        ["He asked \"why?\"", "Nobody knew."],
        ["See Fig. 3 and Eq. 4.", "Smith et al. found more."],
        ["Parens patriae is Latin for `` parent of the nation '' .", "In law , it refers to the power of the state ."],
        ["She was born in 1990 .", "He left in 1991 .", "`` Really ? ''"],
        ["Er wurde am 3. Oktober geboren.", "Das war z.B. in Bonn.", "Ende."],
        ["Vivió en EE.UU. durante años.", "¿Por qué?", "¡Nadie lo sabe!"],
        ["球队只丢了308分。", "他们赢了！", "为什么？", "没人知道。"],
        ["「行こう」と言った。", "彼は去った。"],
        ["यह एक वाक्य है।", "यह दूसरा है।"],
        ["هذا سؤال؟", "هذه جملة."],
        ["Version 2.0.1 is out.", "Visit example.com for more."],
        ["Wait... what?", "Yes."],
        ["It ended in vitamin C. The next began."],
    ])
    func `sentences end where a reader would end them`(expected: [String]) {
        if expected.count == 1 {
            #expect(sentences(expected[0]) == ["It ended in vitamin C.", "The next began."])
            return
        }
        let isWide = expected.joined().unicodeScalars.contains { $0 == "。" }
        #expect(sentences(expected.joined(separator: isWide ? "" : " ")) == expected)
    }

    @Test func `lines that a PDF broke are one sentence`() {
        #expect(
            sentences("The quick brown\nfox jumps over\nthe dog. It\nsleeps.") == [
                "The quick brown\nfox jumps over\nthe dog.", "It\nsleeps.",
            ])
    }

    @Test func `rows know their header`() throws {
        let text = "Sales by year:\n\n| Year | Sales |\n|------|-------|\n| 2021 | 5 |\n| 2022 | 7 |\n\nAfter. More."
        let bytes = Array(text.utf8)
        let units = TextUnits.units(in: bytes)
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        let rows = units.filter { $0.kind == .row }
        #expect(rows.map { string($0.range) } == ["| Year | Sales |", "| 2021 | 5 |", "| 2022 | 7 |"])
        #expect(rows[0].context == nil)
        #expect(try string(#require(rows[2].context)) == "| Year | Sales |")
        #expect(units.filter { $0.kind == .sentence }.map { string($0.range) }.suffix(2) == ["After.", "More."])
    }

    @Test func `items know the line before the list, and long ones are cut`() throws {
        let long = "- " + (0..<12).map { "Sentence number \($0) is here to be long enough." }.joined(separator: " ")
        let bytes = Array("To install:\n\n1. Download it.\n2. Run the\n   installer.\n\n\(long)\n".utf8)
        let units = TextUnits.units(in: bytes)
        func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
        let items = units.filter { $0.kind == .item }
        #expect(items.prefix(2).map { string($0.range) } == ["1. Download it.", "2. Run the\n   installer."])
        #expect(try string(#require(items[0].context)) == "To install:")
        #expect(items.count == 14)
    }

    @Test func `code is one unit and headings are context`() {
        let bytes = Array("# Setup\n\nRun this first.\n\n```sh\nmake. all\nls\n```\nDone. Really.".utf8)
        let units = TextUnits.units(in: bytes)
        #expect(units.map(\.kind) == [.heading, .sentence, .code, .sentence, .sentence])
        #expect(String(decoding: bytes[units[2].range], as: UTF8.self) == "```sh\nmake. all\nls\n```")
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func `any text is cut in order, at characters, without losing a word`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = [
            "word", "Word", "Dr.", "U.S.", "3.5", "1990", ".", ". ", "! ", "? ", "。", "؟ ", "\n", "\n\n", " ", " ", "```\n", "| a | b |\n",
            "|---|---|\n", "- ", "1. ", "\t", "“",
            "”", "é", "日本", "👩‍👩‍👧", "\u{85}", "# H\n", "\u{0C}", "e\u{301}", "''", "(", ")", String(repeating: "x", count: 300), "[1]", "\r\n",
            "...", ";",
        ]
        let text = (0..<Int.random(in: 1...60, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
        let bytes = Array(text.utf8)
        let units = TextUnits.units(in: bytes)
        var end = 0
        for unit in units {
            #expect(unit.range.lowerBound >= end && !unit.range.isEmpty && unit.range.upperBound <= bytes.count, "seed \(seed)")
            #expect(String(validating: bytes[unit.range], as: UTF8.self) != nil, "seed \(seed): a character was cut")
            let between = String(decoding: bytes[end..<unit.range.lowerBound], as: UTF8.self)
            #expect(
                !between.unicodeScalars.contains { $0.properties.isAlphabetic || $0.properties.numericType != nil },
                "seed \(seed): '\(between)' was lost")
            end = unit.range.upperBound
        }
        let rest = String(decoding: bytes[end...], as: UTF8.self)
        #expect(
            !rest.unicodeScalars.contains { $0.properties.isAlphabetic || $0.properties.numericType != nil },
            "seed \(seed): '\(rest)' was lost")
    }

    @Test func `a long text takes linear time`() {
        let text = String(repeating: "No full stop here just words and words ", count: 2000)
        let units = TextUnits.units(in: Array(text.utf8))
        #expect(units.allSatisfy { $0.range.count <= 700 } && units.count > 100)
    }
}
