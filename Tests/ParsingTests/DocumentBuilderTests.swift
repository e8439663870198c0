import Foundation
import TestSupport
import Testing

@testable import Parsing

struct DocumentBuilderTests {
    @Test func `spans cut out exactly what was added`() throws {
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        try builder.heading("  Title\u{0} of  it ", level: 1)
        builder.page = 2
        try builder.paragraph("First\r\nline\u{AD}s \u{FEFF}joined")
        try builder.lines("kept\r\nlines\r\n\r\n\r\n\r\nthree blank become one")
        try builder.listItem("ä item")
        try builder.listItem("second")
        try builder.code("\n  if x {\n\t\ty()\n  }\n\n", language: "swift")
        let document = builder.finish(title: nil, mimeType: "text/plain")
        #expect(
            document.texts == [
                "Title of it", "First lines joined", "kept\nlines\n\nthree blank become one", "- ä item", "- second",
                "  if x {\n\t\ty()\n  }",
            ])
        #expect(
            document.text
                == "Title of it\n\nFirst lines joined\n\nkept\nlines\n\nthree blank become one\n\n- ä item\n- second\n\n  if x {\n\t\ty()\n  }"
        )
        #expect(document.blocks.map(\.page) == [nil, 2, 2, 2, 2, 2])
        #expect(document.firstInconsistency() == nil)
    }

    @Test func `rows refer to the header of their own table`() throws {
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        builder.beginTable()
        try builder.tableRow(["a", "b"], isHeader: true)
        try builder.tableRow(["1", "", "  "])
        try builder.tableRow(["", "", ""])
        builder.beginTable()
        try builder.tableRow(["", "2"])
        let document = builder.finish(title: nil, mimeType: "text/plain")
        #expect(document.rows == ["a | b", "1", " | 2"])
        #expect(document.header(ofRow: "1") == "a | b")
        #expect(document.header(ofRow: " | 2") == nil)
        #expect(document.header(ofRow: "a | b") == nil)
    }

    @Test func `a table that goes on with nothing between goes on line by line`() throws {
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        builder.page = 1
        builder.beginTable()
        try builder.tableRow(["name", "count"], isHeader: true)
        try builder.tableRow(["a", "1"])
        let header = try #require(builder.tableHeader)
        builder.endTable()
        builder.page = 2
        builder.beginTable(header: header)
        try builder.tableRow(["b", "2"])
        builder.endTable()
        try builder.paragraph("Between.")
        builder.beginTable(header: header)
        try builder.tableRow(["c", "3"])
        builder.beginTable()
        try builder.tableRow(["other", "table"])
        let document = builder.finish(title: nil, mimeType: "text/plain")
        #expect(document.text == "name | count\na | 1\nb | 2\n\nBetween.\n\nc | 3\n\nother | table")
        #expect(document.header(ofRow: "b | 2") == "name | count" && document.header(ofRow: "c | 3") == "name | count")
        #expect(document.blocks.map(\.page) == [1, 1, 2, 2, 2, 2])
    }

    @Test func `text beyond the limit is refused`() throws {
        var builder = DocumentBuilder(outputLimit: 100)
        try builder.paragraph(String(repeating: "x", count: 90))
        #expect(throws: Refusal.self) { try builder.paragraph(String(repeating: "y", count: 20)) }
    }

    @Test(arguments: 0..<40)
    func `any text leaves sound spans and no control characters`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let alphabet: [UnicodeScalar] = Array(
            "ab \t\n\r\u{0}\u{1}\u{7F}\u{85}\u{A0}\u{AD}\u{B5}éß\u{FEFF}\u{2028}漢😀\u{FFFD}|".unicodeScalars)
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        var inner = DocumentBuilder(outputLimit: 1 << 20)
        try inner.paragraph("inner")
        try inner.tableRow(["h", "i"], isHeader: true)
        try inner.tableRow(["1", "2"])
        let nested = inner.finish(title: nil, mimeType: "text/plain")
        for _ in 0..<60 {
            var string = ""
            for _ in 0..<Int.random(in: 0...12, using: &random) { string.unicodeScalars.append(alphabet.randomElement(using: &random)!) }
            switch Int.random(in: 0..<9, using: &random) {
            case 0: try builder.heading(string, level: Int.random(in: -2...12, using: &random))
            case 1: try builder.paragraph(string)
            case 2: try builder.listItem(string)
            case 3: try builder.tableRow([string, string], isHeader: Bool.random(using: &random))
            case 4: try builder.code(string, language: nil)
            case 5: try builder.note(string)
            case 6: builder.beginTable()
            case 7: try builder.append(nested, page: 3, levelShift: 2)
            default: try builder.lines(string)
            }
        }
        let document = builder.finish(title: "t", mimeType: "text/plain")
        #expect(document.firstInconsistency() == nil, "seed \(seed)")
        #expect(
            !document.text.unicodeScalars.contains {
                $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x7F || $0.value == 0xAD || $0.value == 0xFEFF
            }, "seed \(seed)")
        // What is between blocks is only white space: no text is outside of blocks.
        var end = 0
        let bytes = Array(document.text.utf8)
        for block in document.blocks {
            #expect(bytes[end..<block.span.lowerBound].allSatisfy { $0 == 0x0A }, "seed \(seed)")
            end = block.span.upperBound
        }
        #expect(end == bytes.count)
    }

    @Test(arguments: 0..<20)
    func `a document survives the wire`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        for index in 0..<Int.random(in: 1...30, using: &random) {
            builder.page = Bool.random(using: &random) ? index : nil
            try builder.tableRow(["k\(index)", "ü"], isHeader: index % 7 == 0)
            try builder.code("let x = \(index)", language: index % 2 == 0 ? "swift" : nil)
        }
        builder.warn("careful")
        let document = builder.finish(title: "T", mimeType: "a/b", pageCount: 3, properties: ["author": "Ä"])
        guard case .document(let copy) = try WireFormat.decode(WireFormat.encode(.document(document))) else {
            throw Refusal.malformed("no document")
        }
        #expect(copy.text == document.text && copy.blocks == document.blocks && copy.title == "T" && copy.pageCount == 3)
        #expect(copy.properties == document.properties && copy.warnings == ["careful"] && copy.mimeType == "a/b")
    }

    @Test(arguments: 0..<300)
    func `a worker that lies is found out and never traps the reader`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var builder = DocumentBuilder(outputLimit: 1 << 20)
        try builder.heading("Ünï", level: 1)
        try builder.tableRow(["a", "b"], isHeader: true)
        try builder.tableRow(["ä", "漢"])
        var bytes = WireFormat.encode(.document(builder.finish(title: "T", mimeType: "a/b")))
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
        if case .document(let document)? = try? WireFormat.decode(bytes) { #expect(document.firstInconsistency() == nil, "seed \(seed)") }
    }
}
