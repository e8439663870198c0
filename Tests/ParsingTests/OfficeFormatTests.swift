import Foundation
import TestSupport
import Testing

@testable import Parsing

struct OfficeFormatTests {
    private static let office =
        #"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:mc="m" xmlns:wps="s""#
    private static let types = "<Types>wordprocessingml</Types>"

    private func relationships(_ pairs: [(String, String, String)]) -> String {
        "<Relationships>" + pairs.map { "<Relationship Id=\"\($0.0)\" Type=\"http://x/\($0.1)\" Target=\"\($0.2)\"/>" }.joined()
            + "</Relationships>"
    }

    @Test func `DOCX gives headings, lists, tables, notes, comments and text boxes, and not what was deleted`() throws {
        let body = """
            <w:document \(Self.office)><w:body>
            <w:p><w:pPr><w:pStyle w:val="H1"/></w:pPr><w:r><w:t>Chapter</w:t></w:r></w:p>
            <w:p><w:r><w:t xml:space="preserve">Some </w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:r><w:tab/><w:t>text</w:t></w:r>
              <w:r><w:instrText>HYPERLINK secret</w:instrText></w:r>
              <w:r><mc:AlternateContent><mc:Choice><wps:txbx><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></wps:txbx></mc:Choice>
              <mc:Fallback><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>
            <w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="7"/></w:numPr></w:pPr><w:r><w:t>first</w:t></w:r></w:p>
            <w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="7"/></w:numPr></w:pPr><w:r><w:t>second</w:t></w:r></w:p>
            <w:tbl><w:tblPr><w:tblLook w:val="0020"/></w:tblPr>
            <w:tr><w:tc><w:p><w:r><w:t>Name</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Value</w:t></w:r></w:p></w:tc></w:tr>
            <w:tr><w:tc><w:tcPr><w:vMerge w:val="restart"/></w:tcPr><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p></w:tc></w:tr>
            <w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc><w:tc><w:p><w:r><w:t>2</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
            </w:body></w:document>
            """
        let numbering =
            "<w:numbering \(Self.office)><w:abstractNum w:abstractNumId=\"1\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"3\"/><w:numFmt w:val=\"upperRoman\"/><w:lvlText w:val=\"%1.\"/></w:lvl></w:abstractNum><w:num w:numId=\"7\"><w:abstractNumId w:val=\"1\"/></w:num></w:numbering>"
        let bytes = Support.zip([
            "[Content_Types].xml": Self.types,
            "_rels/.rels": relationships([("a", "officeDocument", "word/document.xml"), ("b", "core-properties", "docProps/core.xml")]),
            "docProps/core.xml": "<c><title>Doc Title</title><creator>Me</creator></c>", "word/document.xml": body,
            "word/_rels/document.xml.rels": relationships([
                ("s", "styles", "styles.xml"), ("n", "numbering", "numbering.xml"), ("f", "footnotes", "footnotes.xml"),
                ("c", "comments", "comments.xml"), ("h", "header", "header1.xml"),
            ]),
            "word/styles.xml":
                "<w:styles \(Self.office)><w:style w:type=\"paragraph\" w:styleId=\"H1\"><w:name w:val=\"Mine\"/><w:basedOn w:val=\"B\"/></w:style><w:style w:type=\"paragraph\" w:styleId=\"B\"><w:name w:val=\"heading 2\"/></w:style></w:styles>",
            "word/numbering.xml": numbering,
            "word/footnotes.xml":
                "<w:footnotes \(Self.office)><w:footnote w:id=\"1\"><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:footnote><w:footnote w:type=\"separator\" w:id=\"0\"><w:p><w:r><w:t>sep</w:t></w:r></w:p></w:footnote></w:footnotes>",
            "word/comments.xml":
                "<w:comments \(Self.office)><w:comment w:author=\"Ed\"><w:p><w:r><w:t>hmm</w:t></w:r></w:p></w:comment></w:comments>",
            "word/header1.xml": "<w:hdr \(Self.office)><w:p><w:r><w:t>top of page</w:t></w:r></w:p></w:hdr>",
        ])
        let document = try Support.parse(bytes, name: "a.docx")
        #expect(document.title == "Doc Title" && document.properties["author"] == "Me")
        #expect(document.blocks.contains { $0.kind == .heading(level: 2) && document.text(of: $0) == "Chapter" })
        #expect(document.texts.contains("Some new text"))
        #expect(document.texts.filter { $0 == "boxed" }.count == 1)
        #expect(document.texts { $0 == .listItem } == ["III. first", "IV. second"])
        #expect(document.rows == ["Name | Value", "x | 1", "x | 2"])
        #expect(document.header(ofRow: "x | 2") == "Name | Value")
        #expect(document.notes == ["top of page", "Footnote [1]: a note", "Comment by Ed: hmm"])
        #expect(!document.text.contains("gone") && !document.text.contains("secret"))
    }

    @Test func `PPTX slides are pages in the order of the show`() throws {
        func slide(_ title: String, _ body: String) -> String {
            "<p:sld \(Self.office)><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type=\"body\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>\(body)</a:t></a:r></a:p></p:txBody></p:sp><p:sp><p:nvSpPr><p:nvPr><p:ph type=\"title\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>\(title)</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
        }
        let bytes = Support.zip([
            "[Content_Types].xml": "<Types>presentationml</Types>",
            "_rels/.rels": relationships([("a", "officeDocument", "ppt/presentation.xml")]),
            "ppt/presentation.xml":
                "<p:presentation \(Self.office)><p:sldIdLst><p:sldId id=\"1\" r:id=\"two\"/><p:sldId id=\"2\" r:id=\"one\"/></p:sldIdLst></p:presentation>",
            "ppt/_rels/presentation.xml.rels": relationships([("one", "slide", "slides/slide1.xml"), ("two", "slide", "slides/slide2.xml")]
            ),
            "ppt/slides/slide1.xml": slide("Last", "end"), "ppt/slides/slide2.xml": slide("First", "start"),
            "ppt/slides/_rels/slide2.xml.rels": relationships([("n", "notesSlide", "../notesSlides/notesSlide1.xml")]),
            "ppt/notesSlides/notesSlide1.xml":
                "<p:notes \(Self.office)><p:sp><p:nvSpPr><p:nvPr><p:ph type=\"body\"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>say this</a:t></a:r></a:p></p:txBody></p:sp></p:notes>",
        ])
        let document = try Support.parse(bytes, name: "a.pptx")
        #expect(document.texts == ["First", "- start", "Notes: say this", "Last", "- end"])
        #expect(document.blocks.map(\.page) == [1, 1, 1, 2, 2])
        #expect(document.pageCount == 2 && document.title == "First")
    }

    @Test func `XLSX cells read as the sheet shows them`() throws {
        let sheet = """
            <worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="inlineStr"><is><t>When</t></is></c><c r="D1" t="str"><v>Share</v></c><c r="E1" t="str"><v>On</v></c></row>
            <row r="2"><c r="A2" t="s"><v>1</v></c><c r="C2" s="1"><v>43363</v></c><c r="D2" s="2"><v>0.125</v></c><c r="E2" t="b"><v>1</v></c></row>
            <row r="3"><c r="A3"><v>0.1</v></c><c r="C3" s="3"><v>43363.75</v></c><c r="D3"><v>1234567890123456</v></c></row></sheetData>
            <headerFooter><oddFooter>&amp;LLeft part&amp;CPage &amp;P</oddFooter></headerFooter></worksheet>
            """
        let bytes = Support.zip([
            "[Content_Types].xml": "<Types>spreadsheetml</Types>",
            "_rels/.rels": relationships([("a", "officeDocument", "xl/workbook.xml")]),
            "xl/workbook.xml": "<workbook \(Self.office)><sheets><sheet name=\"Data &amp; more\" r:id=\"s\"/></sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relationships([
                ("s", "worksheet", "worksheets/sheet1.xml"), ("t", "sharedStrings", "sharedStrings.xml"), ("u", "styles", "styles.xml"),
            ]),
            "xl/sharedStrings.xml": "<sst><si><t>Item</t></si><si><r><t>Rich </t></r><r><t>text</t></r></si></sst>",
            "xl/styles.xml":
                "<styleSheet><numFmts><numFmt numFmtId=\"170\" formatCode=\"yyyy\\-mm\\-dd hh:mm\"/></numFmts><cellXfs><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"10\"/><xf numFmtId=\"170\"/></cellXfs></styleSheet>",
            "xl/worksheets/sheet1.xml": sheet,
        ])
        let document = try Support.parse(bytes, name: "a.xlsx")
        #expect(document.headings == ["Data & more"])
        #expect(
            document.rows == [
                "Item | When | Share | On", "Rich text | 2018-09-20 | 12.50% | TRUE", "0.1 | 2018-09-20 18:00 | 1234567890123456",
            ])
        #expect(document.header(ofRow: document.rows[2]) == document.rows[0])
        #expect(document.notes == ["Left part Page"])
        #expect(document.blocks.allSatisfy { $0.page == 1 })
    }

    @Test(arguments: [
        (1.0, 14, "1900-01-01"), (59, 14, "1900-02-28"), (61, 14, "1900-03-01"), (25569, 14, "1970-01-01"),
        (44985.5, 22, "2023-02-28 12:00"), (0.75, 20, "18:00"), (1.5, 46, "36:00:00"), (0.5, 9, "50%"),
        (1e20, 0, "100000000000000000000"), (0.30000000000000004, 0, "0.3"), (1e-7, 0, "0.0000001"), (-5, 14, "-5"), (2.5, 2, "2.50"),
    ])
    func `numbers are formatted as Excel does`(value: Double, format: Int, text: String) {
        #expect(CellFormat(builtIn: format).format(value) == text)
    }

    @Test func `the calendar agrees with Foundation`() {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: "UTC")!
        var random = SeededGenerator(seed: 5)
        for _ in 0..<300 {
            let days = Int.random(in: -40_000...200_000, using: &random)
            let parts = calendar.dateComponents([.year, .month, .day], from: Date(timeIntervalSince1970: Double(days) * 86_400))
            let (year, month, day) = CellFormat.civil(days)
            #expect(year == parts.year && month == parts.month && day == parts.day, "day \(days)")
        }
    }

    @Test func `ODT and ODS are read, repeats bounded, passwords refused`() throws {
        let space = #"xmlns:office="o" xmlns:text="t" xmlns:table="b""#
        let odt = Support.zip([
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml":
                "<office:document-content \(space)><office:body><office:text><text:tracked-changes>deleted words</text:tracked-changes><text:h text:outline-level=\"2\">Head</text:h><text:p>a<text:s text:c=\"2\"/>b<text:note text:note-class=\"footnote\"><text:note-citation>1</text:note-citation><text:note-body><text:p>foot</text:p></text:note-body></text:note></text:p><text:list><text:list-item><text:p>it</text:p></text:list-item></text:list></office:text></office:body></office:document-content>",
            "META-INF/manifest.xml": "<m/>",
        ])
        let text = try Support.parse(odt, name: "a.odt")
        #expect(text.texts == ["Head", "a b[1]", "Footnote [1]: foot", "- it"])
        let ods = Support.zip([
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml":
                "<office:document-content \(space)><office:body><office:spreadsheet><table:table table:name=\"S\"><table:table-row><table:table-cell><text:p>n</text:p></table:table-cell><table:table-cell><text:p>v</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell><table:table-cell office:value=\"5\"/></table:table-row><table:table-row table:number-rows-repeated=\"1048576\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>",
        ])
        #expect(try Support.parse(ods, name: "a.ods").rows == ["n | v", "x | 5"])
        let locked = Support.zip([
            "mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "x", "META-INF/manifest.xml": "<m><encryption-data/></m>",
        ])
        #expect { try Support.parse(locked, name: "a.odt") } throws: { if case .encrypted = $0 as? Refusal { true } else { false } }
    }

    @Test func `EPUB chapters follow the spine`() throws {
        let bytes = Support.zip([
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": "<container><rootfiles><rootfile full-path=\"OEBPS/c.opf\"/></rootfiles></container>",
            "OEBPS/c.opf":
                "<package><metadata><title>Book</title><creator>Writer</creator></metadata><manifest><item id=\"a\" href=\"a%20b.xhtml\"/><item id=\"b\" href=\"b.xhtml\"/></manifest><spine><itemref idref=\"b\"/><itemref idref=\"a\"/></spine></package>",
            "OEBPS/a b.xhtml": "<html><head><title/></head><body><a id=\"x\"/><h1>Two</h1><p>two&nbsp;text</p></body></html>",
            "OEBPS/b.xhtml": "<html><body><h1>One</h1><p>one text</p></body></html>",
        ])
        let document = try Support.parse(bytes, name: "a.epub")
        #expect(document.texts == ["One", "one text", "Two", "two text"])
        #expect(document.title == "Book" && document.properties["author"] == "Writer")
    }

    @Test func `archives are read member by member and bombs are refused`() throws {
        let inner = Support.zip(["c.txt": "deep text"])
        let bytes = Support.zip([
            ("a/one.txt", Array("first".utf8)), ("../../etc/two.md", Array("# second".utf8)), ("x.bin", [0, 1, 2, 3]), ("inner.zip", inner),
        ])
        let document = try Support.parse(bytes, name: "all.zip")
        #expect(document.text.contains("first") && document.text.contains("second") && document.text.contains("deep text"))
        #expect(document.warnings.count == 1)

        var limits = ParseLimits()
        limits.memoryBytes = 64 << 20
        let bomb = Support.bomb(420_000)
        for name in ["a.txt", "word/document.xml"] {
            let members: [(name: String, bytes: [UInt8])] = name == "a.txt" ? [] : [("[Content_Types].xml", Array(Self.types.utf8))]
            let archive = Support.zip(members, deflated: [(name, bomb.stream, bomb.size)])
            #expect(archive.count < 1 << 20 && bomb.size > 100 << 20)
            #expect { try Support.parse(archive, name: "bomb.zip", limits: limits) } throws: {
                if case .tooLarge = $0 as? Refusal { true } else { false }
            }
        }
    }

    @Test func `archives in archives end at the allowed depth`() throws {
        var bytes = Support.zip(["needle.txt": "needle"])
        for level in 0..<12 { bytes = Support.zip([("level\(level).zip", bytes)]) }
        #expect(throws: Refusal.self) { try Support.parse(bytes, name: "deep.zip") }
    }

    @Test(arguments: 0..<40)
    func `a zip container cut anywhere is salvaged or refused`(step: Int) throws {
        let bytes = Support.zip([
            "[Content_Types].xml": Self.types, "_rels/.rels": relationships([("a", "officeDocument", "word/document.xml")]),
            "word/document.xml": "<w:document \(Self.office)><w:body><w:p><w:r><w:t>needle</w:t></w:r></w:p></w:body></w:document>",
        ])
        let cut = Array(bytes.prefix(bytes.count * step / 40))
        do {
            let document = try Support.parse(cut, name: "cut.docx")
            #expect(document.text == "needle" && !document.warnings.isEmpty)
        } catch { #expect(error is Refusal) }
    }
}
