import TestSupport
import Testing

@testable import Parsing

struct SlideFormatTests {
    private func parse(
        _ slides: [String], attributes: [String] = [], relations: String = "", keepsHidden: Bool = true
    ) throws -> ParsedDocument {
        var list = ""
        var links = ""
        var members: [(String, String)] = [
            ("[Content_Types].xml", "<Types>presentationml</Types>"),
            ("_rels/.rels", "<R><Relationship Id=\"a\" Type=\"x/officeDocument\" Target=\"ppt/presentation.xml\"/></R>"),
            (
                "ppt/slideLayouts/slideLayout1.xml",
                "<p:sldLayout xmlns:p=\"p\" xmlns:a=\"a\"><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type=\"body\" idx=\"7\"/></p:nvPr></p:nvSpPr><p:spPr><a:xfrm><a:off x=\"0\" y=\"900\"/><a:ext cx=\"100\" cy=\"50\"/></a:xfrm></p:spPr></p:sp></p:spTree></p:cSld></p:sldLayout>"
            ),
        ]
        for (index, slide) in slides.enumerated() {
            list += "<p:sldId id=\"\(index)\" r:id=\"s\(index)\"/>"
            links += "<Relationship Id=\"s\(index)\" Type=\"x/slide\" Target=\"slides/slide\(index + 1).xml\"/>"
            members.append(
                (
                    "ppt/slides/slide\(index + 1).xml",
                    "<p:sld xmlns:p=\"p\" xmlns:a=\"a\" xmlns:r=\"r\" \(index < attributes.count ? attributes[index] : "")><p:cSld><p:spTree>\(slide)</p:spTree></p:cSld></p:sld>"
                ))
            members.append(
                (
                    "ppt/slides/_rels/slide\(index + 1).xml.rels",
                    "<R><Relationship Id=\"l\" Type=\"x/slideLayout\" Target=\"../slideLayouts/slideLayout1.xml\"/>\(relations)</R>"
                ))
        }
        members.append(
            ("ppt/presentation.xml", "<p:presentation xmlns:p=\"p\" xmlns:r=\"r\"><p:sldIdLst>\(list)</p:sldIdLst></p:presentation>"))
        members.append(("ppt/_rels/presentation.xml.rels", "<R>\(links)</R>"))
        var limits = ParseLimits()
        limits.keepsHidden = keepsHidden
        return try Support.parse(Support.zip(members.map { (name: $0.0, bytes: Array($0.1.utf8)) }), name: "a.pptx", limits: limits)
    }

    private func body(_ text: String) -> String { "<p:txBody><a:p><a:r><a:t>\(text)</a:t></a:r></a:p></p:txBody>" }
    private func box(_ x: Int, _ y: Int, _ text: String, width: Int = 300, height: Int = 40) -> String {
        "<p:sp><p:nvSpPr><p:cNvPr id=\"1\" name=\"x\"/></p:nvSpPr><p:spPr><a:xfrm><a:off x=\"\(x)\" y=\"\(y)\"/><a:ext cx=\"\(width)\" cy=\"\(height)\"/></a:xfrm></p:spPr>\(body(text))</p:sp>"
    }
    private func title(_ text: String) -> String {
        "<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"title\"/></p:nvPr></p:nvSpPr>\(body(text))</p:sp>"
    }

    @Test func `boxes are read as a person reads them`() throws {
        let document = try parse([
            box(100, 400, "Step 3") + box(100, 100, "Step 1") + box(100, 250, "Step 2"),
            box(100, 100, "Advantages") + box(500, 100, "Drawbacks") + box(100, 200, "Cheap") + box(500, 200, "Slow")
                + box(100, 300, "Small") + title("Boats")
                + box(100, 20, "over both", width: 700),
            // Rows of a label and its value, nearer to each other than the rows.
            box(100, 100, "Length") + box(410, 300, "3 m") + box(410, 100, "9 m") + box(100, 300, "Width"),
            "<p:sp><p:nvSpPr><p:nvPr><p:ph type=\"body\" idx=\"7\"/></p:nvPr></p:nvSpPr><p:spPr/>\(body("by layout"))</p:sp>"
                + box(0, 100, "above"),
        ])
        #expect(
            document.texts == [
                "Step 1", "Step 2", "Step 3", "Boats", "over both", "Advantages", "Cheap", "Small", "Drawbacks", "Slow", "Length", "9 m",
                "Width", "3 m", "above",
                "- by layout",
            ])
    }

    @Test func `hidden slides and shapes are marked or left out`() throws {
        let hidden = "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"y\" hidden=\"1\"/></p:nvSpPr>\(body("draft"))</p:sp>"
        let slides = [title("Open") + hidden, title("Target") + box(1, 1, "twelve percent"), box(1, 1, "no title")]
        let attributes = ["", "show=\"0\"", "show=\"false\""]
        let marked = try parse(slides, attributes: attributes)
        #expect(marked.texts == ["Open", "[hidden] draft", "Target [hidden slide]", "twelve percent", "[hidden slide]", "no title"])
        let shown = try parse(slides, attributes: attributes, keepsHidden: false)
        #expect(shown.texts == ["Open"] && shown.pageCount == 3)
    }

    @Test func `merged cells of tables are repeated`() throws {
        func cell(_ text: String, _ more: String = "") -> String {
            "<a:tc \(more)><a:txBody><a:p><a:r><a:t>\(text)</a:t></a:r></a:p></a:txBody></a:tc>"
        }
        let document = try parse([
            "<p:graphicFrame><a:graphic><a:graphicData><a:tbl><a:tblPr firstRow=\"1\"/>"
                + "<a:tr>\(cell("Watch"))\(cell("Name"))\(cell("Bunk"))</a:tr><a:tr>\(cell("Port", "rowSpan=\"2\""))\(cell("Anna"))\(cell("1"))</a:tr>"
                + "<a:tr>\(cell("", "vMerge=\"1\""))\(cell("Bo"))\(cell("2"))</a:tr><a:tr>\(cell("Star"))\(cell("away", "gridSpan=\"2\""))\(cell("", "hMerge=\"1\""))</a:tr></a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
        ])
        #expect(document.rows == ["Watch | Name | Bunk", "Port | Anna | 1", "Port | Bo | 2", "Star | away | away"])
        #expect(document.header(ofRow: "Port | Bo | 2") == "Watch | Name | Bunk")
    }

    @Test func `runs keep height, strikes, symbols, links and numbers`() throws {
        func run(_ text: String, _ attributes: String = "", _ inner: String = "") -> String {
            "<a:r><a:rPr \(attributes)>\(inner)</a:rPr><a:t>\(text)</a:t></a:r>"
        }
        let link = "<a:hlinkClick r:id=\"k\"/>"
        let document = try parse(
            [
                "<p:sp><p:txBody><a:p>" + run("4 x 10") + run("6", "baseline=\"30000\"") + run(" l, CO") + run("2", "baseline=\"-25000\"")
                    + run(" fee ")
                    + run("30 ", "strike=\"sngStrike\"") + run("45 5 ") + run("m", "", "<a:latin typeface=\"Symbol\"/>") + run("g ")
                    + run("\u{F0FE}", "", "<a:sym typeface=\"Wingdings\"/>") + run(" ") + run("Book ", "", link) + run("here", "", link)
                    + run(".")
                    + "</a:p><a:p><a:pPr><a:buAutoNum type=\"arabicPeriod\" startAt=\"3\"/></a:pPr>" + run("c")
                    + "</a:p><a:p><a:pPr><a:buAutoNum type=\"arabicPeriod\" startAt=\"3\"/></a:pPr>"
                    + run("d") + "</a:p><a:p><a:pPr><a:buAutoNum type=\"alphaLcParenR\"/></a:pPr>" + run("e") + "</a:p></p:txBody></p:sp>"
            ], relations: "<Relationship Id=\"k\" Type=\"x/hyperlink\" Target=\"https://b.example.org\" TargetMode=\"External\"/>")
        #expect(document.texts == ["4 x 10^6 l, CO2 fee 45 5 μg [x] Book here (https://b.example.org).", "3. c", "4. d", "a) e"])
    }

    @Test(arguments: 0..<30)
    func `every box is read once`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let boxes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
            let left = Double.random(in: -10...100, using: &random)
            let top = Double.random(in: -10...100, using: &random)
            return SlideOrder.Box(
                left: left, top: top, right: left + Double.random(in: 0...40, using: &random),
                bottom: top + Double.random(in: 0...9, using: &random))
        }
        #expect(SlideOrder.indices(boxes).sorted() == Array(boxes.indices), "seed \(seed)")
    }
}
