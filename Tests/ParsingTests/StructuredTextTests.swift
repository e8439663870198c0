import Foundation
import TestSupport
import Testing

@testable import Parsing

struct StructuredTextTests {
    @Test func `JSON keeps the order of its keys and the digits of its numbers`() throws {
        let document = try Support.parse(
            #"{"pump": {"speed": 9.10, "id": "P-101", "notes": "Gr\u00f6\u00dfe 3"}, "list": [{"b": 1, "a": 2}]}"#, name: "d.json")
        let text = document.text
        #expect(text.contains("\"speed\": 9.10") && text.contains("Größe 3"))
        let places = ["\"pump\"", "\"speed\"", "\"id\"", "\"notes\"", "\"list\"", "\"b\"", "\"a\""].map {
            text.firstRange(of: $0)!.lowerBound
        }
        #expect(places == places.sorted())
        let table = try Support.parse(#"[{"z": 1.0, "a": ["x", "y"]}, {"z": 20000000000000000001, "b": null, "a": []}]"#, name: "t.json")
        #expect(table.rows == ["z | a | b", "1.0 | x, y", "20000000000000000001"])
    }

    @Test(arguments: [
        ("{\"a\": [1, true, null, \"\\ud83d\\ude00\"]}", "{\"a\": [1, true, null, \"😀\"]}"), (" [] ", "[]"), ("-1.5e+3", "-1.5e+3"),
        ("\"\\ud83d x\"", "\"\u{FFFD} x\""), ("\"tab\\t\"", "\"tab\\t\""),
    ])
    func `JSON values are read as written`(source: String, line: String) {
        #expect(JSONText.parse(source)?.line == line)
    }

    @Test(arguments: ["", "{", "[1,]", "{\"a\" 1}", "01x", "\"open", "[1] 2", "nul", "{\"a\":1,}", "\"\\x\"", "-", "1."])
    func `what is no JSON is not read`(source: String) {
        #expect(JSONText.parse(source) == nil)
    }

    @Test func `attributes of XML stay with their values`() throws {
        let document = try Support.parse(
            "<?xml version=\"1.0\"?><items><item id=\"7\"><name lang=\"de\">Größe</name><price cur=\"EUR\">25</price></item></items>",
            name: "f.xml")
        for kept in ["item id=7", "name (lang=de): Größe", "price (cur=EUR): 25"] { #expect(document.text.contains(kept), "\(kept)") }
    }

    @Test func `Org has headings, boxes, rows, code and notes`() throws {
        let document = try Support.parse(
            """
            #+TITLE: Pumps
            * TODO Heading :tag:
            :PROPERTIES:
            :ID: 1
            :END:
            ** Sub
            - [X] done
            - [ ] open
              goes on
            | a | b |
            |---+---|
            | 1 | 2 |
            Text[fn:1] with a [[https://example.org][link]].
            # remark
            #+BEGIN_SRC python
            x = 1
            #+END_SRC
            [fn:1] The note.
            """, name: "n.org")
        #expect(document.title == "Pumps" && document.headings == ["TODO Heading", "Sub"])
        #expect(document.texts { $0 == .listItem } == ["- [x] done", "- [ ] open goes on"])
        #expect(document.header(ofRow: "1 | 2") == "a | b")
        #expect(document.texts.contains("Text[1] with a link (https://example.org).") && document.notes == ["Footnote 1: The note."])
        #expect(document.texts { $0 == .code(language: "python") } == ["x = 1"])
        for gone in ["PROPERTIES", "remark", ":tag:"] { #expect(!document.text.contains(gone)) }
    }

    @Test func `reStructuredText has headings, tables, code, lists and notes`() throws {
        let document = try Support.parse(
            """
            =====
            Pumps
            =====

            Speed
            -----

            Text about **pumps** and a `guide <https://example.org/g>`_ [1]_.

            .. code-block:: python
               :linenos:

               x = 1

            .. note:: Mind the heat.

            * first
            * second
              goes on

            +---+------+
            | a | b    |
            +===+======+
            | 1 | two  |
            |   | lines|
            +---+------+

            ====  =====
            name  value
            ====  =====
            rope  5
            buoy  6
            ====  =====

            Depth
            -----

            As follows::

               quoted text

            .. [1] The note.
            .. a remark
            """, name: "d.rst")
        #expect(document.headings == ["Pumps", "Speed", "Depth"])
        #expect(document.texts.contains("Text about pumps and a guide (https://example.org/g) [1]."))
        #expect(document.rows == ["a | b", "1 | two lines", "name | value", "rope | 5", "buoy | 6"])
        #expect(document.header(ofRow: "1 | two lines") == "a | b" && document.header(ofRow: "buoy | 6") == "name | value")
        #expect(document.texts { $0 == .listItem } == ["- first", "- second goes on"])
        #expect(
            document.texts { $0 == .code(language: "python") } == ["x = 1"]
                && document.texts { $0 == .code(language: nil) } == ["quoted text"])
        #expect(document.notes == ["Footnote 1: The note."] && document.texts.contains("Note: Mind the heat."))
        #expect(!document.text.contains("remark"))
    }

    @Test func `a log with NULs is read, and so is one that begins with a hole`() throws {
        let log = try Support.parse(Array("line one of the log\0\0speaks of pumps\nline two\0 ends here\n".utf8), name: "a.log")
        #expect(log.text == "line one of the log speaks of pumps\nline two ends here")
        let hole = [UInt8](repeating: 0, count: 20_000) + Array("restarted after rotation\n".utf8)
        #expect(try Support.parse(hole, name: "b.log").text == "restarted after rotation")
        #expect(throws: Refusal.self) { try Support.parse([UInt8](repeating: 0, count: 20_000), name: "c.log") }
        #expect(throws: Refusal.self) { try Support.parse((0..<4000).map { UInt8($0 % 7) }, name: "d.log") }
    }

    @Test(arguments: 0..<300)
    func `damaged light markup and JSON never trap`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let pieces = [
            "* ", "** ", "|", "|-", "+--+", "+==+", "====  ==", "----", "\n", "\n\n", ".. x::", "::", "[fn:", "]", "`", "<a>`_", ":a:",
            "- [ ] ", "  ", "#+begin_src", "a", "1. ", "{", "\"", ":", ",", "}", "ö",
        ]
        let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
        for name in ["a.org", "a.rst", "a.json", "a.md", "a.srt", "a.csv", "a.html", "a.vcf"] { _ = try? Support.parse(text, name: name) }
    }
}
