import Testing

@testable import Parsing

struct OpenDocumentTests {
    private func parse(
        _ kind: String, _ body: String, styles: String = "", fonts: String = "", more: String = "", keepsHidden: Bool = true
    ) throws -> ParsedDocument {
        let space =
            #"xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:style="s" xmlns:fo="f" xmlns:draw="d" xmlns:svg="v" xmlns:xlink="l" xmlns:presentation="p" xmlns:form="fm""#
        let element = kind == "text" ? "text" : kind
        var limits = ParseLimits()
        limits.keepsHidden = keepsHidden
        return try Support.parse(
            Support.zip([
                "mimetype": "application/vnd.oasis.opendocument.\(kind)",
                "styles.xml": "<office:document-styles \(space)><office:styles>\(more)</office:styles></office:document-styles>",
                "content.xml":
                    "<office:document-content \(space)><office:font-face-decls>\(fonts)</office:font-face-decls><office:automatic-styles>\(styles)</office:automatic-styles><office:body><office:\(element)>\(body)</office:\(element)></office:body></office:document-content>",
            ]), name: kind == "text" ? "a.odt" : kind == "spreadsheet" ? "a.ods" : "a.odp", limits: limits)
    }

    private func style(_ name: String, _ properties: String, family: String = "text", more: String = "") -> String {
        "<style:style style:name=\"\(name)\" style:family=\"\(family)\" \(more)><style:text-properties \(properties)/></style:style>"
    }
    private func span(_ style: String, _ text: String) -> String { "<text:span text:style-name=\"\(style)\">\(text)</text:span>" }

    @Test func `raised, struck, hidden and symbol text keeps its meaning`() throws {
        let document = try parse(
            "text",
            "<text:p>4 x 10\(span("Up", "6")) litres, CO\(span("Down", "2")), 1,234\(span("Up2", "2")) tonnes, fee \(span("Struck", "30 "))\(span("Gone", "x"))45</text:p>"
                + "<text:p>5 \(span("Sy", "m"))g, x \(span("Sy", "£")) 3, \(span("Sy", "\u{F06D}"))g, \(span("Wd", "\u{FE}")) yes \(span("Wd", "o")) no ☐ ☑</text:p>"
                + "<text:p text:style-name=\"P\">secret</text:p><text:p>a<text:hidden-text text:is-hidden=\"true\" text:string-value=\"b\">b</text:hidden-text>c</text:p>"
                + "<text:section text:display=\"none\"><text:p>off</text:p></text:section>",
            styles: style("Up", "style:text-position=\"super 58%\"") + style("Down", "style:text-position=\"-33% 58%\"")
                + style("Up2", "", more: "style:parent-style-name=\"Base\"")
                + style("Struck", "style:text-line-through-style=\"solid\"") + style("Gone", "text:display=\"none\"")
                + style("Sy", "style:font-name=\"Symbol1\"")
                + style("Wd", "fo:font-family=\"Wingdings\"") + style("P", "text:display=\"none\"", family: "paragraph"),
            fonts: "<style:font-face style:name=\"Symbol1\" svg:font-family=\"Symbol\" style:font-charset=\"x-symbol\"/>",
            more: style("Base", "style:text-position=\"33% 80%\""))
        #expect(document.texts == ["4 x 10^6 litres, CO2, 1,234[2] tonnes, fee 45", "5 μg, x ≤ 3, μg, [x] yes [ ] no [ ] [x]", "ac"])
    }

    @Test func `notes and comments stand after their paragraph, links keep targets`() throws {
        let document = try parse(
            "text",
            "<text:p>Seven crowns<text:note text:note-class=\"footnote\"><text:note-citation>1</text:note-citation><text:note-body><text:p>Except ferries.</text:p></text:note-body></text:note> a metre<office:annotation><dc:creator xmlns:dc=\"dc\">Ed</dc:creator><text:p>Really?</text:p></office:annotation>. <text:a xlink:href=\"https://tickets.example.org\">Book</text:a> or <text:a xlink:href=\"#top\">above</text:a>.</text:p><text:p>Next.</text:p>"
                + "<table:table><table:table-row><table:table-cell><text:p>A<text:note text:note-class=\"endnote\"><text:note-citation>i</text:note-citation><text:note-body><text:p>End.</text:p></text:note-body></text:note></text:p></table:table-cell><table:table-cell><text:p>B</text:p></table:table-cell></table:table-row></table:table>"
        )
        #expect(
            document.texts == [
                "Seven crowns[1] a metre. Book (https://tickets.example.org) or above.", "Footnote [1]: Except ferries.",
                "Comment by Ed: Really?", "Next.",
                "A[i] | B", "Endnote [i]: End.",
            ])
    }

    @Test func `lists and headings have their numbers`() throws {
        func item(_ text: String, _ more: String = "", start: String = "") -> String {
            "<text:list-item\(start)><text:p>\(text)</text:p>\(more)</text:list-item>"
        }
        let level =
            "<text:list-level-style-number text:level=\"1\" style:num-format=\"1\" style:num-suffix=\".\"/><text:list-level-style-number text:level=\"2\" style:num-format=\"a\" style:num-prefix=\"(\" style:num-suffix=\")\"/>"
        let document = try parse(
            "text",
            "<text:h text:outline-level=\"1\">General</text:h><text:h text:outline-level=\"2\">Scope</text:h>"
                + "<text:list text:style-name=\"L\" xml:id=\"l1\">\(item("a", "<text:list>\(item("b"))\(item("c"))</text:list>"))\(item("d"))</text:list><text:p>Between</text:p>"
                + "<text:list text:style-name=\"L\" text:continue-numbering=\"true\">\(item("e"))</text:list>"
                + "<text:list text:style-name=\"L\">\(item("anew"))</text:list><text:list text:style-name=\"L\" text:continue-list=\"l1\">\(item("on"))\(item("seven", start: " text:start-value=\"7\""))\(item("eight<text:line-break/>x", "<text:p>more</text:p>"))</text:list>"
                + "<text:list text:style-name=\"B\">\(item("dot"))</text:list>",
            styles:
                "<text:list-style style:name=\"L\">\(level)</text:list-style><text:list-style style:name=\"B\"><text:list-level-style-bullet text:level=\"1\" text:bullet-char=\"•\"/></text:list-style>",
            more:
                "<text:outline-style style:name=\"Outline\"><text:outline-level-style text:level=\"1\" style:num-format=\"1\"/><text:outline-level-style text:level=\"2\" style:num-format=\"1\" text:display-levels=\"2\"/></text:outline-style>"
        )
        #expect(
            document.texts == [
                "1 General", "1.1 Scope", "1. a", "(a) b", "(b) c", "2. d", "Between", "3. e", "1. anew", "3. on", "7. seven", "8. eight x",
                "more", "- dot",
            ])
    }

    @Test func `tables have their spans and headers`() throws {
        func cell(_ text: String, _ more: String = "") -> String { "<table:table-cell \(more)><text:p>\(text)</text:p></table:table-cell>" }
        let covered = "<table:covered-table-cell/>"
        let document = try parse(
            "text",
            "<table:table><table:table-header-rows><table:table-row>\(cell("Route", "table:number-rows-spanned=\"2\""))\(cell("Summer", "table:number-columns-spanned=\"2\""))\(covered)</table:table-row><table:table-row>\(covered)\(cell("first"))\(cell("last"))</table:table-row></table:table-header-rows><table:table-row>\(cell("Holm", "table:number-rows-spanned=\"2\""))\(cell("06:10"))\(cell("22:45"))</table:table-row><table:table-row>\(covered)\(cell("06:40"))\(cell("23:05"))</table:table-row></table:table>"
        )
        #expect(document.rows == ["Route | Summer first | Summer last", "Holm | 06:10 | 22:45", "Holm | 06:40 | 23:05"])
        #expect(document.header(ofRow: document.rows[2]) == document.rows[0])
    }

    @Test func `sheets tell hidden and merged cells and formulas without values`() throws {
        func cell(_ text: String, _ more: String = "") -> String { "<table:table-cell \(more)><text:p>\(text)</text:p></table:table-cell>" }
        let table =
            "<table:table table:name=\"S\"><table:table-column table:number-columns-repeated=\"2\"/><table:table-column table:visibility=\"collapse\"/>"
            + "<table:table-row>\(cell("Region"))\(cell("Sold"))\(cell("Margin"))</table:table-row>"
            + "<table:table-row>\(cell("North", "table:number-rows-spanned=\"2\""))\(cell("7,3 %", "office:value-type=\"percentage\" office:value=\"0.0725\""))\(cell("5"))</table:table-row>"
            + "<table:table-row table:visibility=\"collapse\"><table:covered-table-cell/><table:table-cell office:value-type=\"currency\" office:currency=\"EUR\" office:value=\"12.5\"/>\(cell("6"))</table:table-row>"
            + "<table:table-row>\(cell("South"))<table:table-cell table:formula=\"of:=[.B2]*2\"/></table:table-row></table:table>"
            + "<table:table table:name=\"Deep\" table:style-name=\"ta2\"><table:table-row>\(cell("Secret"))\(cell("x"))</table:table-row></table:table>"
        let styles =
            "<style:style style:name=\"ta2\" style:family=\"table\"><style:table-properties table:display=\"false\"/></style:style>"
        let marked = try parse("spreadsheet", table, styles: styles)
        #expect(
            marked.texts == [
                "S", "Region | Sold | Margin [hidden]", "North | 7,3 % | 5", "[hidden] North | 12.5 EUR | 6", "South | =B2*2",
                "Deep [hidden sheet]", "Secret | x",
            ])
        #expect(marked.warnings.count == 1)
        let shown = try parse("spreadsheet", table, styles: styles, keepsHidden: false)
        #expect(shown.texts == ["S", "Region | Sold", "North | 7,3 %", "South | =B2*2"])
    }

    @Test func `slides are read from top to bottom, hidden ones marked`() throws {
        func box(_ x: Int, _ y: Int, _ text: String) -> String {
            "<draw:frame svg:x=\"\(x)cm\" svg:y=\"\(y)cm\" svg:width=\"5cm\" svg:height=\"1cm\"><draw:text-box><text:p>\(text)</text:p></draw:text-box></draw:frame>"
        }
        let document = try parse(
            "presentation",
            "<draw:page>\(box(2, 9, "Step 3"))\(box(2, 2, "Step 1"))\(box(2, 5, "Step 2"))</draw:page><draw:page draw:style-name=\"dp2\"><draw:frame presentation:class=\"title\"><draw:text-box><text:p>Target</text:p></draw:text-box></draw:frame></draw:page>",
            styles:
                "<style:style style:name=\"dp2\" style:family=\"drawing-page\"><style:drawing-page-properties presentation:visibility=\"hidden\"/></style:style>"
        )
        #expect(document.texts == ["Step 1", "Step 2", "Step 3", "Target [hidden slide]"])
    }
}
