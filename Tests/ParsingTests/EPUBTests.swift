import Testing

@testable import Parsing

struct EPUBTests {
    private func chapter(_ body: String) -> String {
        "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:epub=\"http://www.idpf.org/2007/ops\"><head><title/></head><body>\(body)</body></html>"
    }

    private func book(
        _ chapters: [(name: String, body: String)], contents: (name: String, type: String, text: String)
    ) throws -> ParsedDocument {
        let items = chapters.enumerated().map { "<item id=\"c\($0)\" href=\"\($1.name)\" media-type=\"application/xhtml+xml\"/>" }.joined()
        let spine = chapters.indices.map { "<itemref idref=\"c\($0)\"/>" }.joined()
        let package =
            "<package xmlns=\"http://www.idpf.org/2007/opf\"><metadata xmlns:dc=\"x\"><dc:title>Knots</dc:title></metadata><manifest>\(items)<item id=\"toc\" href=\"\(contents.name)\" \(contents.type)/></manifest><spine toc=\"toc\">\(spine)</spine></package>"
        let members = [
            ("mimetype", "application/epub+zip"),
            ("META-INF/container.xml", "<container><rootfiles><rootfile full-path=\"OPS/book.opf\"/></rootfiles></container>"),
            ("OPS/book.opf", package), ("OPS/" + contents.name, contents.text),
        ]
        return try Support.parse(
            Support.zip((members + chapters.map { ("OPS/" + $0.name, chapter($0.body)) }).map { ($0.0, Array($0.1.utf8)) }), name: "b.epub")
    }

    @Test func `chapters without headings have their names from either kind of contents`() throws {
        let chapters = [
            ("one.xhtml", "<p>First text.</p>"), ("two.xhtml", "<h2>Own name</h2><p>Second text.</p>"),
            ("three.xhtml", "<p id=\"a\">Third.</p><p id=\"b\">Fourth.</p>"),
        ]
        let ncx =
            "<ncx><navMap>"
            + [("one.xhtml", "The Bowline"), ("two.xhtml", "The Bend"), ("three.xhtml#a", "Part A"), ("three.xhtml#b", "Part B")].map {
                "<navPoint><navLabel><text>\($0.1)</text></navLabel><content src=\"\($0.0)\"/></navPoint>"
            }.joined() + "</navMap></ncx>"
        let nav = chapter(
            "<nav epub:type=\"toc\"><ol>"
                + [("one.xhtml", "The Bowline"), ("two.xhtml", "The Bend"), ("three.xhtml#a", "Part A"), ("three.xhtml#b", "Part B")].map {
                    "<li><a href=\"\($0.0)\">\($0.1)</a></li>"
                }.joined() + "</ol></nav>")
        for contents in [("toc.ncx", "media-type=\"application/x-dtbncx+xml\"", ncx), ("nav.xhtml", "properties=\"nav\"", nav)] {
            let document = try book(chapters, contents: contents)
            #expect(document.texts == ["The Bowline", "First text.", "Own name", "Second text.", "Part A", "Third.", "Part B", "Fourth."])
            #expect(document.headings == ["The Bowline", "Own name", "Part A", "Part B"])
        }
    }

    @Test func `notes stand behind their marks, whatever file they are in, and none is lost`() throws {
        let document = try book(
            [
                (
                    "one.xhtml",
                    "<h1>One</h1><p id=\"p1\">Seven crowns a metre<a epub:type=\"noteref\" href=\"#n1\">1</a>.</p><p>Turns<sup><a id=\"r2\" href=\"notes.xhtml#n2\">2</a></sup> count.</p><p>Next.</p><aside epub:type=\"footnote\" id=\"n1\" hidden=\"\">Except ferries.</aside><aside>A box beside.</aside>"
                ),
                (
                    "notes.xhtml",
                    "<h1>Notes</h1><p id=\"n2\"><a href=\"one.xhtml#r2\">2</a>. From the standing part.</p><aside id=\"n9\">Note without a mark.</aside>"
                ),
            ], contents: ("toc.ncx", "media-type=\"application/x-dtbncx+xml\"", "<ncx/>"))
        #expect(
            document.texts == [
                "One", "Seven crowns a metre[1].", "Footnote 1: Except ferries.", "Turns[2] count.", "Footnote 2: From the standing part.",
                "Next.",
                "A box beside.", "Notes", "Note without a mark.",
            ])
    }
}
