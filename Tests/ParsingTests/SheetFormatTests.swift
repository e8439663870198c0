import TestSupport
import Testing

@testable import Parsing

struct SheetFormatTests {
    /// A cell of a test sheet: its reference follows from its place.
    private enum Cell {
        case text(String)
        case number(String, style: Int = 0)
        case formula(String, value: String?, type: String = "n")
        case empty
    }

    private func parse(
        _ rows: [[Cell]], hidden: Set<Int> = [], before: String = "", after: String = "", styles: String = "<styleSheet/>",
        workbook: String = "",
        sheets: [(name: String, state: String, rows: [[Cell]])] = [], relations: String = "", keepsHidden: Bool = true
    ) throws -> ParsedDocument {
        func letters(_ column: Int) -> String { String(UnicodeScalar(UInt8(65 + column))) }
        func sheet(_ rows: [[Cell]], hidden: Set<Int>, before: String, after: String) -> String {
            var xml = "<worksheet xmlns:r=\"r\">\(before)<sheetData>"
            for (index, row) in rows.enumerated() where !row.isEmpty {
                xml += "<row r=\"\(index + 1)\"\(hidden.contains(index + 1) ? " hidden=\"1\"" : "")>"
                for (column, cell) in row.enumerated() {
                    let reference = "\(letters(column))\(index + 1)"
                    switch cell {
                    case .text(let text): xml += "<c r=\"\(reference)\" t=\"inlineStr\"><is><t>\(text)</t></is></c>"
                    case .number(let number, let style): xml += "<c r=\"\(reference)\" s=\"\(style)\"><v>\(number)</v></c>"
                    case .formula(let formula, let value, let type):
                        xml += "<c r=\"\(reference)\" t=\"\(type)\"><f>\(formula)</f>\(value.map { "<v>\($0)</v>" } ?? "<v></v>")</c>"
                    case .empty: break
                    }
                }
                xml += "</row>"
            }
            return xml + "</sheetData>\(after)</worksheet>"
        }
        var entries = "<sheet name=\"S\" r:id=\"s0\"/>"
        var links = "<Relationship Id=\"s0\" Type=\"x/worksheet\" Target=\"worksheets/sheet1.xml\"/>"
        var members: [(String, String)] = [
            ("[Content_Types].xml", "<Types>spreadsheetml</Types>"),
            ("_rels/.rels", "<R><Relationship Id=\"a\" Type=\"x/officeDocument\" Target=\"xl/workbook.xml\"/></R>"),
            ("xl/styles.xml", styles), ("xl/worksheets/sheet1.xml", sheet(rows, hidden: hidden, before: before, after: after)),
            ("xl/worksheets/_rels/sheet1.xml.rels", "<R>\(relations)</R>"),
        ]
        for (index, other) in sheets.enumerated() {
            entries += "<sheet name=\"\(other.name)\" state=\"\(other.state)\" r:id=\"s\(index + 1)\"/>"
            links += "<Relationship Id=\"s\(index + 1)\" Type=\"x/worksheet\" Target=\"worksheets/sheet\(index + 2).xml\"/>"
            members.append(("xl/worksheets/sheet\(index + 2).xml", sheet(other.rows, hidden: [], before: "", after: "")))
        }
        members.append(("xl/workbook.xml", "<workbook xmlns:r=\"r\"><sheets>\(entries)</sheets>\(workbook)</workbook>"))
        members.append(("xl/_rels/workbook.xml.rels", "<R>\(links)</R>"))
        var limits = ParseLimits()
        limits.keepsHidden = keepsHidden
        return try Support.parse(Support.zip(members.map { (name: $0.0, bytes: Array($0.1.utf8)) }), name: "a.xlsx", limits: limits)
    }

    private func words(_ line: String) -> [Cell] {
        line.split(separator: "|", omittingEmptySubsequences: false).map { part in
            let text = part.trimmingCharacters(in: .whitespaces)
            return text.isEmpty ? .empty : Double(text) != nil ? .number(text) : .text(text)
        }
    }

    @Test(arguments: [
        ("00000", 2035, "02035"), ("0000000", 112233, "0112233"), ("0.0%", 0.0725, "7.3%"), ("0%", 0.125, "13%"),
        ("0.0\" kg\"", 12.5, "12.5 kg"),
        ("#,##0.00 \"EUR\"", 1234.5, "1,234.50 EUR"), ("#,##0.00 \"EUR\"", -980, "-980.00 EUR"), ("[$€-407] #,##0", 1250, "€ 1,250"),
        ("\"$\"#,##0.00", 1250, "$1,250.00"), ("\"$\"#,##0.00", -3.5, "-$3.50"), ("[$£-809]#,##0", 1_234_567, "£1,234,567"),
        ("#,##0\\ [$kr-41D]", 95, "95 kr"),
        ("\"$\"#,##0_);[Red]\\(\"$\"#,##0\\)", -1250, "($1,250)"), ("#,##0;[Red]#,##0", -12, "-12"), ("0.00;-0.00;\"nil\"", 0, "nil"),
        ("_-* #,##0.00\\ \"€\"_-;\\-* #,##0.00\\ \"€\"_-", -1234.5, "-1,234.50 €"),
        ("[<=9999999]###-####;(###) ###-####", 5_550_142, "555-0142"),
        ("[<=9999999]###-####;(###) ###-####", 2_065_550_142, "(206) 555-0142"), ("000-00-0000", 12_345_678, "012-34-5678"),
        ("[>=1000000]0.0,,\" M\";[>=1000]0.0,\" k\";0", 2_540_000, "2.5 M"), ("[>=1000000]0.0,,\" M\";[>=1000]0.0,\" k\";0", 2500, "2.5 k"),
        ("[>=1000000]0.0,,\" M\";[>=1000]0.0,\" k\";0", 12, "12"), ("#,##0,", 1_234_500, "1,235"), ("0.##", 5, "5"), ("0.##", 5.25, "5.25"),
        ("0", 2.5, "3"),
        ("0", -2.5, "-3"), ("0.00", 1.005, "1.01"), ("0.00", 0.004, "0.00"), ("#.##", 0.5, ".5"), ("# ?/?", 0.5, "1/2"),
        ("# ?/?", 2.75, "2 3/4"), ("# ?/?", 3, "3"),
        ("# ??/??", 3.14159, "3 14/99"), ("# ?/8", 0.375, "3/8"), ("?/100", 0.25, "25/100"), ("0.00E+00", 12345, "1.23E+04"),
        ("0.00E+00", 0.00012345, "1.23E-04"), ("0.0E+0", 9.96, "1.0E+1"),
        ("##0.0E+0", 12345, "12.3E+3"), ("0.0E-0", 1234, "1.2E3"), ("General\" pcs\"", 12.5, "12.5 pcs"), ("General", -4.25, "-4.25"),
        ("\"No. \"0", 7, "No. 7"),
        ("0.0\\°\"C\"", 21.44, "21.4°C"), ("+0;-0;0", 5, "+5"), ("0\" days\"", 30, "30 days"),
        ("0.00000000000000000000", 0.1, "0.10000000000000000000"),
        ("0", 1_234_567_890_123_456, "1234567890123456"), ("0.0", 99.96, "100.0"), ("0.0", 0.04, "0.0"), ("yyyy\\-mm", 46205, "2026-07-02"),
        ("dd.mm.yyyy", 46205, "2026-07-02"),
        ("[h]:mm", 1.5, "36:00:00"), ("@", 42, "42"), (";;;", 42, ""), ("", 42, "42"), ("[", 42, ""), ("\"unclosed", 42, "unclosed"),
        ("0\\", 42, "42"), ("E+", 4, "4E+0"),
    ])
    func `numbers read as the sheet shows them`(code: String, value: Double, text: String) {
        let format = CellFormat(code: code)
        if code == "[" || code == "E+" { _ = format.format(value) } else { #expect(format.format(value) == text) }
    }

    @Test(arguments: [
        (3, 1234.5, "1,235"), (44, -12.5, "($12.50)"), (12, 0.25, "1/4"), (11, 1e6, "1.00E+06"), (48, 5e4, "50.0E+3"), (41, 0, "-"),
    ])
    func `built-in formats too`(id: Int, value: Double, text: String) {
        #expect(CellFormat(builtIn: id).format(value) == text)
    }

    @Test(arguments: 0..<60)
    func `any format and number is written without a trap`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabet: [Character] = Array("0#?.,;%/@[]\"\\_*$€<>=-E+e dmyhs:()1 GgK")
        for _ in 0..<40 {
            let code = String((0..<Int.random(in: 0...14, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
            let format = CellFormat(code: code)
            for value in [0, 1, -1, 0.5, -2.5, 1e15, -1e300, 1e-300, 123456.789, .greatestFiniteMagnitude, .infinity, .nan] as [Double] {
                _ = format.format(value)
            }
            _ = format.format(text: "x")
        }
    }

    @Test func `merged cells stand in each row and column that they cover`() throws {
        let document = try parse(
            ["Region|Product|January", "North|Rope|120", "|Anchor|44", "South|Rope|88", "|Anchor|61", "All|closed|"].map(words),
            after:
                "<mergeCells><mergeCell ref=\"A2:A3\"/><mergeCell ref=\"A4:A5\"/><mergeCell ref=\"B6:C6\"/><mergeCell ref=\"A1:A1\"/><mergeCell ref=\"bad\"/></mergeCells>"
        )
        #expect(
            document.rows == [
                "Region | Product | January", "North | Rope | 120", "North | Anchor | 44", "South | Rope | 88", "South | Anchor | 61",
                "All | closed | closed",
            ])
        #expect(document.header(ofRow: "South | Anchor | 61") == document.rows[0])
    }

    @Test(arguments: ["<mergeCell ref=\"A1:A2\"/>", ""])
    func `header rows under merged cells are one header`(more: String) throws {
        let document = try parse(
            ["Office|2024||2025|", "|hired|left|hired|left", "Ostby|4|1|2|0", "Holm|3|2|5|1"].map(words),
            after: "<mergeCells><mergeCell ref=\"B1:C1\"/><mergeCell ref=\"D1:E1\"/>\(more)</mergeCells>")
        #expect(
            document.rows == ["Office | 2024 hired | 2024 left | 2025 hired | 2025 left", "Ostby | 4 | 1 | 2 | 0", "Holm | 3 | 2 | 5 | 1"])
        #expect(document.header(ofRow: "Holm | 3 | 2 | 5 | 1") == document.rows[0])
    }

    @Test(arguments: [
        ["Harbour|2021|2022|2023", "Ostby|412|398|690", "Holm|1990|88|71"], ["Item|2023|2024", "Rope|12|14", "Lamp|7|9"],
        ["Hour|1|2|3|4", "Monday|12|4|8|1", "Tuesday|3|3|2|2"], ["Item|2026-01|2026-02", "Rope|12|14", "Lamp|7|9"],
        ["|2021|2022", "Rope|12|14", "Lamp|7|9"],
    ])
    func `years, dates and counted columns are a header`(lines: [String]) throws {
        let document = try parse(lines.map(words))
        #expect(document.header(ofRow: document.rows[2]) == document.rows[0])
    }

    @Test(arguments: [
        ["Alder|2019|2021", "Birch|2020|2022", "Cedar|2018|2024"], ["Rope|12|14", "Lamp|7|9", "Oar|1|3"],
        ["Alder|1|2", "Birch|2|3", "Cedar|4|5"],
    ])
    func `rows of numbers are no header`(lines: [String]) throws {
        let document = try parse(lines.map(words))
        #expect(document.header(ofRow: document.rows[2]) == nil)
    }

    @Test func `titles before the header become headings, notes after it text`() throws {
        let document = try parse(
            [
                "Key figures (million EUR)", "", "Item|2021|2022", "Revenue|40.1|44.9", "", "Staff", "as of May", "Team|Heads", "Yard|12",
                "", "Source: annual report",
            ].map(words))
        #expect(
            document.texts == [
                "S", "Key figures (million EUR)", "Item | 2021 | 2022", "Revenue | 40.1 | 44.9", "Staff", "as of May", "Team | Heads",
                "Yard | 12",
                "Source: annual report",
            ])
        #expect(document.headings == ["S", "Key figures (million EUR)", "Staff"])
        #expect(document.header(ofRow: "Yard | 12") == "Team | Heads")
    }

    @Test func `tables beside each other are told apart, a spacer column parts nothing`() throws {
        let two = try parse(["Port|Cranes||Ship|Draught", "Ostby|4||Alma|6.1", "Holm|2||Berta|7.4", "|||Cora|5.2"].map(words))
        #expect(two.rows == ["Port | Cranes", "Ostby | 4", "Holm | 2", "Ship | Draught", "Alma | 6.1", "Berta | 7.4", "Cora | 5.2"])
        #expect(two.header(ofRow: "Berta | 7.4") == "Ship | Draught" && two.header(ofRow: "Holm | 2") == "Port | Cranes")
        let one = try parse(["Code|Name||Jan|Feb", "A1|Rope||4|6.1", "A2|Lamp||2|7.4"].map(words))
        #expect(one.rows == ["Code | Name | Jan | Feb", "A1 | Rope | 4 | 6.1", "A2 | Lamp | 2 | 7.4"])
    }

    @Test func `what is hidden is marked, or left out`() throws {
        let rows = ["Item|Price|Purchase price", "Rope|40|11", "Old anchor|70|25", "Lamp|15|6"].map(words)
        let others: [(name: String, state: String, rows: [[Cell]])] = [
            ("Margins", "hidden", ["Item|Margin", "Rope|264"].map(words)), ("Deep", "veryHidden", ["Secret|note", "a|b"].map(words)),
            ("Open", "visible", ["x|y", "a|b"].map(words)),
        ]
        let columns = "<cols><col min=\"3\" max=\"3\" hidden=\"true\"/></cols>"
        let marked = try parse(rows, hidden: [3], before: columns, sheets: others)
        #expect(
            marked.texts == [
                "S", "Item | Price | Purchase price [hidden]", "Rope | 40 | 11", "[hidden] Old anchor | 70 | 25", "Lamp | 15 | 6",
                "Margins [hidden sheet]",
                "Item | Margin", "Rope | 264", "Deep [hidden sheet]", "Secret | note", "a | b", "Open", "x | y", "a | b",
            ])
        let shown = try parse(rows, hidden: [3], before: columns, sheets: others, keepsHidden: false)
        #expect(shown.texts == ["S", "Item | Price", "Rope | 40", "Lamp | 15", "Open", "x | y", "a | b"])
        #expect(shown.blocks.last?.page == 4)
    }

    @Test func `formulas without values are shown and warned of`() throws {
        let document = try parse([
            words("Item|Hours|Amount"), [.text("Welding"), .number("12"), .formula("B2*80", value: nil)],
            [.text("Empty"), .number("1"), .formula("IF(B3=1,\"\",2)", value: "", type: "str")],
            [.text("Sum"), .number("2"), .formula("SUM(C2:C3)", value: "960")],
        ])
        #expect(document.rows == ["Item | Hours | Amount", "Welding | 12 | =B2*80", "Empty | 1", "Sum | 2 | 960"])
        #expect(document.warnings.count == 1 && document.warnings[0].hasPrefix("1 formula was never calculated"))
        let zeros = try parse(
            [
                words("Item|Hours|Amount"), [.text("Welding"), .number("12"), .formula("B2*80", value: "0")],
                [.text("Sum"), .number("2"), .formula("C2", value: "0")],
            ],
            workbook: "<calcPr fullCalcOnLoad=\"1\"/>")
        #expect(zeros.rows == ["Item | Hours | Amount", "Welding | 12 | 0 (=B2*80)", "Sum | 2 | 0 (=C2)"] && zeros.warnings.count == 1)
    }

    @Test func `links and fonts of cells keep their meaning`() throws {
        let styles = """
            <styleSheet><numFmts><numFmt numFmtId="170" formatCode="@&quot; kg&quot;"/></numFmts>
            <fonts><font><name val="Arial"/></font><font><name val="Wingdings"/></font><font><strike/><name val="Arial"/></font></fonts>
            <cellXfs><xf numFmtId="0" fontId="0"/><xf numFmtId="0" fontId="2"/></cellXfs></styleSheet>
            """
        let document = try parse(
            [
                words("Item|Link"),
                [.text("Pay"), .formula("HYPERLINK(\"https://pay.example.org\",\"here\")", value: "here", type: "str")],
                [.text("Rules"), .number("12", style: 1)],
            ],
            after: "<hyperlinks><hyperlink ref=\"A3\" r:id=\"L\"/></hyperlinks>", styles: styles,
            relations: "<Relationship Id=\"L\" Type=\"x/hyperlink\" Target=\"https://rules.example.org\" TargetMode=\"External\"/>")
        #expect(
            document.rows == ["Item | Link", "Pay | here (https://pay.example.org)", "Rules (https://rules.example.org) | [struck out] 12"])
    }
}
