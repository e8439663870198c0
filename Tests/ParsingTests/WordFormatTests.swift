import Testing

@testable import Parsing

struct WordFormatTests {
    private static let space =
        #"xmlns:w="w" xmlns:r="r" xmlns:m="m" xmlns:mc="mc" xmlns:w14="w14" xmlns:wp="wp""#

    /// A small DOCX; `parts` are further parts of the main document by their relationship types.
    private func parse(
        _ body: String, parts: [(type: String, name: String, xml: String)] = [], links: [(id: String, target: String)] = []
    ) throws -> ParsedDocument {
        var members: [(String, [UInt8])] = [
            ("[Content_Types].xml", Array("<Types>wordprocessingml</Types>".utf8)),
            ("_rels/.rels", Array("<R><Relationship Id=\"a\" Type=\"x/officeDocument\" Target=\"word/document.xml\"/></R>".utf8)),
            ("word/document.xml", Array("<w:document \(Self.space)><w:body>\(body)</w:body></w:document>".utf8)),
        ]
        var relations = ""
        for (index, part) in parts.enumerated() {
            relations += "<Relationship Id=\"p\(index)\" Type=\"x/\(part.type)\" Target=\"\(part.name)\"/>"
            members.append(("word/\(part.name)", Array(part.xml.replacing("NS", with: Self.space).utf8)))
        }
        for link in links {
            relations += "<Relationship Id=\"\(link.id)\" Type=\"x/hyperlink\" Target=\"\(link.target)\" TargetMode=\"External\"/>"
        }
        members.append(("word/_rels/document.xml.rels", Array("<R>\(relations)</R>".utf8)))
        return try Support.parse(Support.zip(members.map { (name: $0.0, bytes: $0.1) }), name: "a.docx")
    }

    private func run(_ text: String, _ properties: String = "") -> String {
        "<w:r><w:rPr>\(properties)</w:rPr><w:t xml:space=\"preserve\">\(text)</w:t></w:r>"
    }
    private func paragraph(_ runs: String, _ properties: String = "") -> String { "<w:p><w:pPr>\(properties)</w:pPr>\(runs)</w:p>" }
    private let up = "<w:vertAlign w:val=\"superscript\"/>"
    private let down = "<w:vertAlign w:val=\"subscript\"/>"

    @Test func `raised text is an exponent or a mark, by run, style or position`() throws {
        let styles = """
            <w:styles NS><w:style w:type="character" w:styleId="Base"><w:rPr><w:vertAlign w:val="superscript"/></w:rPr></w:style>
            <w:style w:type="character" w:styleId="Up"><w:basedOn w:val="Base"/></w:style></w:styles>
            """
        let document = try parse(
            paragraph(
                run("4 x 10") + run("6", up) + run(" litres; CO") + run("2", down) + run(" and 560 m")
                    + run("2", "<w:rStyle w:val=\"Up\"/>"))
                + paragraph(run("1,234") + run("2", "<w:position w:val=\"8\"/><w:sz w:val=\"14\"/>") + run(" tonnes"))
                + paragraph(run("3 x 10") + run("-", up) + run("9", up) + run(" mbar")),
            parts: [("styles", "styles.xml", styles)])
        #expect(document.texts == ["4 x 10^6 litres; CO2 and 560 m^2", "1,234[2] tonnes", "3 x 10^-9 mbar"])
    }

    @Test func `symbol fonts are read as they are drawn`() throws {
        let symbol = "<w:rFonts w:ascii=\"Symbol\" w:hAnsi=\"Symbol\"/>"
        let styles =
            "<w:styles NS><w:style w:type=\"character\" w:styleId=\"Sy\"><w:rPr>\(symbol)</w:rPr></w:style></w:styles>"
        let document = try parse(
            paragraph(run("5 ") + "<w:r><w:sym w:font=\"Symbol\" w:char=\"F06D\"/></w:r>" + run("g"))
                + paragraph(
                    run("5 ") + run("m", symbol) + run("g, x ") + run("\u{F0A3}", symbol) + run(" 3, y ") + run("£", symbol) + run(" 4"))
                + paragraph(run("p", "<w:rStyle w:val=\"Sy\"/>") + run(" is not p"))
                + paragraph(
                    "<w:r><w:sym w:font=\"Wingdings\" w:char=\"F0FE\"/></w:r>" + run(" yes ")
                        + run("o", "<w:rFonts w:ascii=\"Wingdings\"/>") + run(" no"))
                + paragraph("<w:r><w:sym w:font=\"Wingdings 2\" w:char=\"0052\"/></w:r>" + run(" done ☐ open ☒ shut"))
                + paragraph(run("pasted \u{F0B7} and \u{F0B3}"))
                + paragraph(run("mg", "<w:rFonts w:ascii=\"Segoe UI Symbol\"/>")),
            parts: [("styles", "styles.xml", styles)])
        #expect(
            document.texts == [
                "5 μg", "5 μg, x ≤ 3, y ≤ 4", "π is not p", "[x] yes [ ] no", "[x] done [ ] open [x] shut", "pasted • and ≥", "mg",
            ])
    }

    @Test(arguments: [
        "<w:strike/>", "<w:dstrike w:val=\"true\"/>", "<w:vanish/>", "<w:strike w:val=\"1\"/>", "<w:vanish w:val=\"on\"/>",
        "<w:rStyle w:val=\"Gone\"/>",
    ])
    func `struck and hidden text is left out`(properties: String) throws {
        let styles = """
            <w:styles NS><w:style w:type="character" w:styleId="Off"><w:rPr><w:strike/></w:rPr></w:style>
            <w:style w:type="character" w:styleId="Gone"><w:basedOn w:val="Off"/></w:style></w:styles>
            """
        let document = try parse(
            paragraph(run("Fee ") + run("old 30 ", properties) + run("45 crowns", "<w:rStyle w:val=\"Gone\"/><w:strike w:val=\"0\"/>")),
            parts: [("styles", "styles.xml", styles)])
        #expect(document.texts == ["Fee 45 crowns"])
    }

    @Test func `text hidden by its paragraph's style or by default can be shown by its run`() throws {
        let styles = """
            <w:styles NS><w:docDefaults><w:rPrDefault><w:rPr><w:strike w:val="false"/></w:rPr></w:rPrDefault></w:docDefaults>
            <w:style w:type="paragraph" w:styleId="Secret"><w:rPr><w:vanish/></w:rPr></w:style></w:styles>
            """
        let document = try parse(
            paragraph(run("inside") + run("shown", "<w:vanish w:val=\"0\"/>"), "<w:pStyle w:val=\"Secret\"/>") + paragraph(run("plain")),
            parts: [("styles", "styles.xml", styles)])
        #expect(document.texts == ["shown", "plain"])
    }

    @Test func `notes stand after the paragraph that refers to them, numbered as they come`() throws {
        let notes = """
            <w:footnotes NS><w:footnote w:type="separator" w:id="-1"><w:p><w:r><w:t>sep</w:t></w:r></w:p></w:footnote>
            <w:footnote w:id="5"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t>Except ferries.</w:t></w:r></w:p></w:footnote>
            <w:footnote w:id="2"><w:p><w:r><w:t>At the waterline.</w:t></w:r></w:p></w:footnote>
            <w:footnote w:id="3"><w:p><w:r><w:t>Of a deleted place.</w:t></w:r></w:p></w:footnote></w:footnotes>
            """
        let ends = "<w:endnotes NS><w:endnote w:id=\"1\"><w:p><w:r><w:t>The end.</w:t></w:r></w:p></w:endnote></w:endnotes>"
        let comments =
            "<w:comments NS><w:comment w:id=\"0\" w:author=\"Ed\"><w:p><w:r><w:t>Really?</w:t></w:r></w:p></w:comment></w:comments>"
        func mark(_ kind: String, _ id: Int) -> String { "<w:r><w:rPr>\(up)</w:rPr><w:\(kind)Reference w:id=\"\(id)\"/></w:r>" }
        let document = try parse(
            paragraph(run("Seven crowns a metre") + mark("footnote", 5) + run(" of its length") + mark("footnote", 2) + run(" a night."))
                + paragraph(
                    "<w:del>" + mark("footnote", 3) + "</w:del>" + run("Boats raft") + mark("comment", 0) + mark("endnote", 1) + run("."))
                + paragraph(run("Last.")),
            parts: [("footnotes", "footnotes.xml", notes), ("endnotes", "endnotes.xml", ends), ("comments", "comments.xml", comments)])
        #expect(
            document.texts == [
                "Seven crowns a metre[1] of its length[2] a night.", "Footnote [1]: Except ferries.", "Footnote [2]: At the waterline.",
                "Boats raft[i].", "Comment by Ed: Really?", "Endnote [i]: The end.", "Last.",
            ])
    }

    @Test func `lists of one definition go on, start overrides begin anew`() throws {
        func level(_ index: Int, _ format: String, _ text: String, _ more: String = "") -> String {
            "<w:lvl w:ilvl=\"\(index)\"><w:start w:val=\"1\"/><w:numFmt w:val=\"\(format)\"/>\(more)<w:lvlText w:val=\"\(text)\"/></w:lvl>"
        }
        let numbering = """
            <w:numbering NS><w:abstractNum w:abstractNumId="0">\(level(0, "decimal", "%1."))\(level(1, "decimal", "%1.%2"))\(level(2, "lowerLetter", "(%3)"))</w:abstractNum>
            <w:abstractNum w:abstractNumId="1">\(level(0, "upperRoman", "%1"))\(level(1, "decimal", "%1.%2", "<w:isLgl/>"))</w:abstractNum>
            <w:abstractNum w:abstractNumId="2"><w:numStyleLink w:val="LS"/></w:abstractNum>
            <w:abstractNum w:abstractNumId="3"><w:styleLink w:val="LS"/>\(level(0, "decimalZero", "Step %1:"))</w:abstractNum>
            <w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="0"/></w:num>
            <w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="7"/></w:lvlOverride></w:num>
            <w:num w:numId="4"><w:abstractNumId w:val="1"/></w:num><w:num w:numId="5"><w:abstractNumId w:val="2"/></w:num></w:numbering>
            """
        func item(_ list: Int, _ level: Int, _ text: String) -> String {
            paragraph(text.isEmpty ? "" : run(text), "<w:numPr><w:ilvl w:val=\"\(level)\"/><w:numId w:val=\"\(list)\"/></w:numPr>")
        }
        let items = [
            (1, 0, "a"), (1, 1, "b"), (1, 2, "c"), (1, 2, "d"), (1, 0, "e"), (1, 1, "f"), (2, 0, "goes on"), (3, 0, "seven"),
            (3, 0, "eight"),
            (1, 0, ""), (2, 0, "after an empty one"), (4, 0, "g"), (4, 1, "legal"), (5, 0, "linked"), (9, 0, "unknown"),
        ]
        let document = try parse(items.map { item($0.0, $0.1, $0.2) }.joined(), parts: [("numbering", "numbering.xml", numbering)])
        #expect(
            document.texts == [
                "1. a", "1.1 b", "(a) c", "(b) d", "2. e", "2.1 f", "3. goes on", "7. seven", "8. eight", "10. after an empty one", "I g",
                "1.1 legal", "Step 01: linked", "- unknown",
            ])
    }

    @Test func `a deleted paragraph mark joins, a deleted row goes`() throws {
        let document = try parse(
            paragraph(run("The slipway is ") + "<w:del><w:r><w:delText>dirty</w:delText></w:r></w:del>", "<w:rPr><w:del/></w:rPr>")
                + paragraph("<w:ins>" + run("clean") + "</w:ins>" + run(" at all times.")) + paragraph(run("Next."))
                + "<w:tbl><w:tr><w:tc>\(paragraph(run("Item")))</w:tc><w:tc>\(paragraph(run("Fee")))</w:tc></w:tr>"
                + "<w:tr><w:trPr><w:del/></w:trPr><w:tc>\(paragraph(run("Gone")))</w:tc><w:tc>\(paragraph(run("900")))</w:tc></w:tr>"
                + "<w:tr><w:tc>\(paragraph(run("a"), "<w:rPr><w:del/></w:rPr>"))\(paragraph(run("b")))</w:tc><w:tc>\(paragraph(run("75")))</w:tc></w:tr></w:tbl>"
        )
        #expect(document.texts == ["The slipway is clean at all times.", "Next.", "Item | Fee", "ab | 75"])
    }

    private func cell(_ text: String, _ properties: String = "") -> String {
        "<w:tc><w:tcPr>\(properties)</w:tcPr>\(paragraph(run(text)))</w:tc>"
    }
    private func table(_ rows: [String], _ look: String = "") -> String {
        "<w:tbl><w:tblPr>\(look)</w:tblPr>" + rows.map { "<w:tr>\($0)</w:tr>" }.joined() + "</w:tbl>"
    }

    @Test(arguments: ["", "<w:tblLook w:firstRow=\"1\"/>", "<w:tblLook w:val=\"04A0\"/>"], [false, true])
    func `two header rows are one, with their spans`(look: String, isMerged: Bool) throws {
        let two = "<w:gridSpan w:val=\"2\"/>"
        let document = try parse(
            table(
                [
                    cell("Route", isMerged ? "<w:vMerge w:val=\"restart\"/>" : "") + cell("Summer", two) + cell("Winter", two),
                    cell("", isMerged ? "<w:vMerge/>" : "") + ["first", "last", "first", "last"].map { cell($0) }.joined(),
                    cell("Ostby", "<w:vMerge w:val=\"restart\"/>") + ["06:10", "22:45", "07:30", "19:15"].map { cell($0) }.joined(),
                    cell("", "<w:vMerge/>") + cell("06:40") + cell("23:05") + cell("by request", two),
                    cell("All times local", "<w:gridSpan w:val=\"5\"/>"),
                ], look))
        #expect(
            document.rows == [
                "Route | Summer first | Summer last | Winter first | Winter last", "Ostby | 06:10 | 22:45 | 07:30 | 19:15",
                "Ostby | 06:40 | 23:05 | by request | by request", "All times local",
            ])
        #expect(document.header(ofRow: document.rows[1]) == document.rows[0])
    }

    @Test func `a title over the whole width stands before the table`() throws {
        let document = try parse(
            table(
                [
                    "<w:trPr><w:tblHeader/></w:trPr>" + cell("Fees 2026", "<w:gridSpan w:val=\"2\"/>"),
                    "<w:trPr><w:tblHeader w:val=\"true\"/></w:trPr>" + cell("Item") + cell("Fee"), cell("Key") + cell("40"),
                    cell("Crane") + cell("75"),
                ]))
        #expect(document.texts == ["Fees 2026", "Item | Fee", "Key | 40", "Crane | 75"])
        #expect(document.header(ofRow: "Crane | 75") == "Item | Fee")
    }

    @Test func `links keep their targets, once, and not those inside the document`() throws {
        func field(_ code: String, _ result: String) -> String {
            "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText> \(code) </w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"separate\"/></w:r>"
                + run(result) + "<w:r><w:fldChar w:fldCharType=\"end\"/></w:r>"
        }
        let document = try parse(
            paragraph(field("HYPERLINK \"https://tickets.example.org/group\" \\o \"tip\"", "Book tickets") + run("."))
                + paragraph("<w:hyperlink r:id=\"L\">" + run("read ") + run("the rules") + "</w:hyperlink>" + run("."))
                + paragraph(
                    "<w:hyperlink r:id=\"M\">" + run("info@example.org") + "</w:hyperlink>" + run(" or ") + "<w:hyperlink w:anchor=\"top\">"
                        + run("above") + "</w:hyperlink>")
                + paragraph(
                    field("HYPERLINK \\l \"x\"", "below") + "<w:fldSimple w:instr=\"HYPERLINK &quot;http://www.example.org/&quot;\">"
                        + run("example.org") + "</w:fldSimple>")
                + paragraph(field("PAGEREF _Toc1", "12") + run(" pages, ") + field("IF 1 = 1", "yes"))
                + paragraph(
                    "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>XE \"never closed\"</w:instrText></w:r>" + run("lost")
                ) + paragraph(run("kept")),
            links: [("L", "https://rules.example.org/boarding"), ("M", "mailto:info@example.org")])
        #expect(
            document.texts == [
                "Book tickets (https://tickets.example.org/group).", "read the rules (https://rules.example.org/boarding).",
                "info@example.org or above", "belowexample.org", "12 pages, yes", "kept",
            ])
    }

    @Test func `check boxes keep their state in all three forms`() throws {
        func control(_ state: String) -> String {
            "<w:sdt><w:sdtPr><w14:checkbox>\(state)</w14:checkbox></w:sdtPr><w:sdtContent>" + run("☒") + "</w:sdtContent></w:sdt>"
        }
        func box(_ state: String) -> String {
            "<w:r><w:fldChar w:fldCharType=\"begin\"><w:ffData><w:checkBox>\(state)</w:checkBox></w:ffData></w:fldChar></w:r><w:r><w:instrText>FORMCHECKBOX</w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>"
        }
        let document = try parse(
            paragraph(
                control("<w14:checked w14:val=\"1\"/>") + run(" a ") + control("<w14:checked w14:val=\"false\"/>") + run(" b ")
                    + control("") + run(" c"))
                + paragraph(
                    box("<w:default w:val=\"0\"/><w:checked/>") + run(" d ") + box("<w:default w:val=\"1\"/>") + run(" e ")
                        + box("<w:checked w:val=\"0\"/>") + run(" f"))
                + paragraph(
                    "<w:r><w:fldChar w:fldCharType=\"begin\"><w:ffData><w:ddList><w:result w:val=\"1\"/><w:listEntry w:val=\"red\"/><w:listEntry w:val=\"blue\"/></w:ddList></w:ffData></w:fldChar></w:r><w:r><w:instrText>FORMDROPDOWN</w:instrText></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>"
                ))
        #expect(document.texts == ["[x] a [ ] b [ ] c", "[x] d [x] e [ ] f", "blue"])
    }

    @Test func `formulas are one line`() throws {
        func text(_ text: String) -> String { "<m:r><m:t>\(text)</m:t></m:r>" }
        let document = try parse(
            paragraph(
                run("Area ")
                    + "<m:oMath>\(text("A="))<m:f><m:num>\(text("a+b"))</m:num><m:den>\(text("2"))</m:den></m:f><m:sSup><m:e>\(text("r"))</m:e><m:sup>\(text("2"))</m:sup></m:sSup><m:rad><m:deg/><m:e>\(text("x"))</m:e></m:rad></m:oMath>"
            ))
        #expect(document.texts == ["Area A=(a+b)/2r^2√(x)"])
    }
}
