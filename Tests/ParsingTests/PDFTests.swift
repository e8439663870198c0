import Foundation
import TestSupport
import Testing

@testable import Parsing

@Suite(.enabled(if: Support.hasPoppler, "pdftotext is not installed"))
struct PDFTests {
    private func parse(_ builder: PDFBuilder) throws -> ParsedDocument { try Support.parse(builder.bytes(), name: "a.pdf") }

    /// Rows of cells at the given columns, each cell of one line or more.
    private func table(
        _ page: inout PDFBuilder.Page, _ xs: [Double], top: Double, _ rows: [[String]], rowHeight: Double, leading: Double = 11, ruled: Bool
    ) {
        for (number, row) in rows.enumerated() {
            for (column, cell) in row.enumerated() {
                page.lines(
                    xs[column] + 3, top - Double(number) * rowHeight - 11, cell.components(separatedBy: "\n"), size: 9, leading: leading)
            }
        }
        if ruled { page.grid(xs, (0...rows.count).map { top - Double($0) * rowHeight }) }
    }

    // MARK: - Tables

    private static let plan = [
        ["Unit", "Task", "Interval", "Responsible"],
        ["Pump P-1", "Replace seals and\ncheck shaft", "6 months", "Mechanical\nworkshop"],
        ["Pump P-2", "Replace seals", "12 months", "Contractor"],
        ["Emergency\ngenerator", "Run for an hour,\nlook for leaks,\nnote the load", "1 month", "Operator"],
        ["Valve V-7", "", "3 months", "Operator"],
    ]
    private static let planRows = [
        "Unit | Task | Interval | Responsible", "Pump P-1 | Replace seals and check shaft | 6 months | Mechanical workshop",
        "Pump P-2 | Replace seals | 12 months | Contractor",
        "Emergency generator | Run for an hour, look for leaks, note the load | 1 month | Operator", "Valve V-7 |  | 3 months | Operator",
    ]

    @Test(arguments: [true, false])
    func `cells of several lines stay one cell`(ruled: Bool) throws {
        let document = try parse(
            .page { page in
                page.text(60, 740, "Maintenance Plan", size: 14, bold: true)
                table(&page, [60, 150, 300, 380, 520], top: 710, Self.plan, rowHeight: ruled ? 40 : 43, ruled: ruled)
            })
        #expect(document.rows == Self.planRows)
        #expect(document.header(ofRow: Self.planRows[4]) == Self.planRows[0])
    }

    @Test func `rows parted by lines only above and below them are rows`() throws {
        let document = try parse(
            .page { page in
                table(&page, [60, 150, 300, 380, 520], top: 710, Self.plan, rowHeight: 40, ruled: false)
                for row in 0...5 { page.line(60, 710 - Double(row) * 40, 520, 710 - Double(row) * 40) }
            })
        #expect(document.rows == Self.planRows)
    }

    @Test func `cells drawn as boxes, one by one, and lines drawn as thin rectangles make a grid too`() throws {
        let document = try parse(
            .page { page in
                table(&page, [60, 150, 300, 380, 520], top: 710, Self.plan, rowHeight: 40, ruled: false)
                let xs = [60.0, 150, 300, 380, 520]
                for row in 0..<3 {
                    for column in 0..<4 { page.content += "\(xs[column]) \(670 - row * 40) \(xs[column + 1] - xs[column]) 40 re S\n" }
                }
                for row in 3...5 { page.content += "60 \(709.75 - Double(row) * 40) 460 0.5 re f\n" }
                for x in xs { page.content += "q 1 0 0 1 \(x - 0.25) 0 cm 0 510 0.5 80 re f Q\n" }
            })
        #expect(document.rows == Self.planRows)
    }

    @Test func `merged cells repeat beside their rows, and heads over several columns stand over each`() throws {
        let document = try parse(
            .page { page in
                for (x, y, text) in [
                    (63.0, 690.0, "Route"), (170, 690, "Summer"), (290, 690, "Winter"), (163, 670, "first"), (223, 670, "last"),
                    (283, 670, "first"),
                    (343, 670, "last"), (63, 640, "North"), (163, 650, "05:10"), (223, 650, "21:40"), (283, 650, "06:00"),
                    (343, 650, "20:15"),
                    (163, 630, "05:25"), (223, 630, "21:55"), (283, 630, "06:30"), (343, 630, "20:45"),
                ] { page.text(x, y, text, size: 9) }
                for y in [705.0, 665, 625] { page.line(60, y, 400, y) }
                page.line(160, 685, 400, 685)
                page.line(160, 645, 400, 645)
                for x in [60.0, 160, 280, 400] { page.line(x, 705, x, 625) }
                for x in [220.0, 340] { page.line(x, 685, x, 625) }
            })
        #expect(
            document.rows == [
                "Route | Summer first | Summer last | Winter first | Winter last", "North | 05:10 | 21:40 | 06:00 | 20:15",
                "North | 05:25 | 21:55 | 06:30 | 20:45",
            ])
        #expect(document.header(ofRow: document.rows[2]) == document.rows[0])
    }

    @Test(arguments: [true, false], [true, false])
    func `a table goes on under its header on the next page`(ruled: Bool, repeatsHeader: Bool) throws {
        let header = ["Part number", "Description", "Price EUR", "Lead time days"]
        func part(_ number: Int) -> [String] {
            ["SP-\(1000 + number)", "Bearing size \(number)", "\(number + 12).50", "\(number % 11 + 3)"]
        }
        var builder = PDFBuilder()
        var first = PDFBuilder.Page()
        table(&first, [60, 150, 300, 380, 500], top: 700, [header] + (0..<20).map(part), rowHeight: 20, ruled: ruled)
        var second = PDFBuilder.Page()
        table(
            &second, [60, 150, 300, 380, 500], top: 740, (repeatsHeader ? [header] : []) + (20..<23).map(part), rowHeight: 20, ruled: ruled)
        second.text(60, 600, "The prices hold until the end of the year, and are without tax.")
        builder.pages = [first, second]
        let document = try parse(builder)
        let row = "SP-1022 | Bearing size 22 | 34.50 | 3"
        #expect(document.header(ofRow: row) == header.joined(separator: " | "))
        #expect(document.header(ofRow: "SP-1003 | Bearing size 3 | 15.50 | 6") == header.joined(separator: " | "))
        let block = try #require(document.blocks.first { document.text(of: $0) == row })
        #expect(block.page == 2)
        #expect(document.rows.count == 24 + (repeatsHeader ? 1 : 0))
    }

    @Test func `a single row at the top of the next page belongs to the table, and another table does not`() throws {
        var builder = PDFBuilder()
        var first = PDFBuilder.Page()
        table(
            &first, [60, 200, 320, 420], top: 700, [["Berth", "Length", "Fee"], ["A1", "8.5", "120"], ["A2", "9.5", "140"]], rowHeight: 20,
            ruled: false)
        var second = PDFBuilder.Page()
        second.text(63, 740, "A3", size: 9)
        second.text(203, 740, "11.0", size: 9)
        second.text(323, 740, "180", size: 9)
        second.lines(60, 700, ["Fees are due in March, and are paid for the whole of the summer in", "one sum to the harbour office."])
        builder.pages = [first, second]
        let document = try parse(builder)
        #expect(document.header(ofRow: "A3 | 11.0 | 180") == "Berth | Length | Fee")

        second = PDFBuilder.Page()
        table(
            &second, [60, 200, 320, 420], top: 740, [["Crane", "Load", "Year"], ["C1", "2.5", "1998"], ["C2", "8", "2011"]], rowHeight: 20,
            ruled: false)
        builder.pages = [first, second]
        #expect(try parse(builder).header(ofRow: "C2 | 8 | 2011") == "Crane | Load | Year")
    }

    @Test func `years are a header, and a title in the frame is none`() throws {
        let document = try parse(
            .page { page in
                page.text(200, 690, "Landings by port", size: 9)
                table(
                    &page, [60, 200, 280, 360, 440], top: 680,
                    [["", "2022", "2021", "2020"], ["Ostby", "14", "12", "9"], ["Varde", "3", "4", "7"]],
                    rowHeight: 20, ruled: true)
                page.line(60, 700, 440, 700)
                page.line(60, 700, 60, 680)
                page.line(440, 700, 440, 680)
            })
        #expect(document.rows == [" | 2022 | 2021 | 2020", "Ostby | 14 | 12 | 9", "Varde | 3 | 4 | 7"])
        #expect(document.header(ofRow: "Varde | 3 | 4 | 7") == " | 2022 | 2021 | 2020")
        #expect(document.texts.contains("Landings by port"))
    }

    @Test func `a turned page's lines and cells meet`() throws {
        var builder = PDFBuilder()
        var page = PDFBuilder.Page()
        // Drawn sideways on an upright sheet that is shown turned by 90 degrees.
        page.content += "0 1 -1 0 612 0 cm\n"
        table(&page, [60, 150, 300, 380, 520], top: 500, Self.plan, rowHeight: 40, ruled: true)
        page.extra = "/Rotate 90"
        builder.pages = [page]
        #expect(try parse(builder).rows == Self.planRows)
    }

    // MARK: - Forms

    private func form(
        _ widgets: [(rect: (Double, Double, Double, Double), rest: String)], _ draw: (inout PDFBuilder.Page) -> Void
    ) throws
        -> ParsedDocument
    {
        try parse(
            .page { page in
                page.text(60, 740, "Application for a Mooring", size: 14, bold: true)
                draw(&page)
                for widget in widgets { page.annotation("Widget", widget.rect, "/F 4" + widget.rest) }
            })
    }

    @Test func `a field's value stands beside its label, and boxes say what is ticked`() throws {
        let document = try form([
            ((200, 694, 400, 710), "/FT/Tx/T(surname)/V(Winterbottom)"), ((200, 664, 400, 680), "/FT/Tx/T(length)/V(11.4)"),
            ((200, 634, 214, 648), "/FT/Btn/T(power)/V/Yes/AS/Yes"), ((200, 604, 214, 618), "/FT/Btn/T(water)/V/Off/AS/Off"),
            ((200, 574, 400, 590), "/FT/Ch/Ff 131072/T(harbour)/V(e)/Opt[[(e)(Eastquay)][(w)(Westquay)]]"),
        ]) { page in
            for (y, label) in [
                (698.0, "Surname:"), (668, "Boat length (m):"), (638, "Electric supply wanted:"), (608, "Water wanted:"), (578, "Harbour:"),
            ] {
                page.text(60, y, label)
            }
        }
        #expect(
            Array(document.texts.dropFirst()) == [
                "Surname: Winterbottom", "Boat length (m): 11.4", "Electric supply wanted: [x] yes", "Water wanted: [ ] no",
                "Harbour: Eastquay",
            ])
    }

    @Test func `boxes before their labels, groups of buttons, two fields in a row and labels above fields`() throws {
        let document = try form([
            ((60, 694, 72, 706), "/FT/Btn/T(insured)/AS/On/V/On"), ((60, 674, 72, 686), "/FT/Btn/T(engine)/AS/Off"),
            ((130, 644, 142, 656), "/FT/Btn/Ff 32768/T(berth)/V/inner/AS/inner"),
            ((200, 644, 212, 656), "/FT/Btn/Ff 32768/T(berth)/V/inner/AS/Off"),
            ((120, 612, 240, 628), "/FT/Tx/T(first)/V(Anna)"), ((350, 612, 480, 628), "/FT/Tx/T(last)/V(Holm)"),
            ((60, 560, 240, 576), "/FT/Tx/T(street)/V(22 Mill Lane)"), ((300, 560, 480, 576), "/FT/Tx/T(town)/V(Varde)"),
            ((60, 480, 480, 530), "/FT/Tx/Ff 4096/T(remarks)/TU(Remarks)/V(Arrives late.\\nNeeds a crane.)"),
        ]) { page in
            page.text(76, 696, "Hull insured")
            page.text(76, 676, "Engine on board")
            page.text(60, 646, "Berth:")
            page.text(146, 646, "inner")
            page.text(216, 646, "outer")
            page.text(60, 616, "First name")
            page.text(290, 616, "Last name")
            page.text(60, 580, "Street")
            page.text(300, 580, "Town")
        }
        for line in [
            "[x] Hull insured", "[ ] Engine on board", "Berth: [x] inner [ ] outer", "First name Anna", "Last name Holm",
            "Street 22 Mill Lane",
            "Town Varde", "Remarks: Arrives late. Needs a crane.",
        ] { #expect(document.texts.contains(line), "\(line) in \(document.texts)") }
    }

    @Test func `fields inherit, hide and protect what they hold`() throws {
        var builder = PDFBuilder.page { page in
            page.text(60, 698, "Owner:")
            page.text(60, 668, "Code:")
            page.text(60, 638, "Hidden:")
            page.annotation("Widget", (200, 694, 400, 710), "/F 4/Parent 6 0 R")
            page.annotation("Widget", (200, 664, 400, 680), "/F 4/FT/Tx/Ff 8192/T(code)/V(sesame)")
            page.annotation("Widget", (200, 634, 400, 650), "/F 2/FT/Tx/T(hidden)/V(unseen)")
        }
        builder.objects = ["<</FT/Tx/T(owner)/V<FEFF0048006F006C006D>>>"]
        let text = try parse(builder).text
        #expect(text.contains("Owner: Holm"))
        #expect(!text.contains("sesame") && !text.contains("unseen"))
    }

    @Test func `fields under the heads of a table are its cells`() throws {
        var widgets: [(rect: (Double, Double, Double, Double), rest: String)] = []
        for row in 0..<3 {
            for (column, x) in [60.0, 220, 380].enumerated() {
                let y = 650 - Double(row) * 24
                widgets.append(((x, y, x + 120, y + 16), "/FT/Tx/T(c\(row)\(column))/V(\(["Anna", "12", "Varde"][column])\(row))"))
            }
        }
        let document = try form(widgets) { page in
            page.text(62, 674, "Skipper")
            page.text(222, 674, "Crew")
            page.text(382, 674, "Home port")
        }
        #expect(document.rows.contains("Anna2 | 122 | Varde2"))
        #expect(document.header(ofRow: "Anna2 | 122 | Varde2") == "Skipper | Crew | Home port")
    }

    @Test func `labels and values on paper are brought together`() throws {
        let document = try parse(
            .page { page in
                page.text(60, 740, "Passenger record", size: 14, bold: true)
                for (y, label, value) in [
                    (700.0, "Flight number:", "ZX 4471"), (670, "Colour of the suitcase:", "burgundy"), (640, "Insured (yes/no):", "yes"),
                ] {
                    page.text(60, y, label)
                    page.text(260, y - 2, value)
                }
            })
        for line in ["Flight number: ZX 4471", "Colour of the suitcase: burgundy", "Insured (yes/no): yes"] {
            #expect(document.texts.contains(line), "\(document.texts)")
        }
    }

    // MARK: - Raised digits

    @Test(arguments: [1.0, 1.8])
    func `raised digits never melt into a number, lowered ones stay`(scale: Double) throws {
        let document = try parse(
            .page { page in
                var x = 72.0
                func run(_ text: String, rise: Double = 0, size: Double = 11) {
                    page.text(x, 700 + rise * scale, text, size: size * scale)
                    // Widths of Helvetica in thousandths.
                    let widths: [Character: Double] = [
                        " ": 278, "m": 833, "x": 500, ",": 278, ".": 278, "t": 278, "o": 556, "n": 556, "e": 556, "s": 500, "a": 556,
                        "d": 556,
                        "l": 222, "i": 222, "C": 722, "O": 778, "H": 722, "-": 333, "y": 500, "f": 278, "k": 500, "r": 333, "b": 556,
                    ]
                    x += text.reduce(0) { $0 + (widths[$1] ?? 556) } / 1000 * size * scale
                }
                run("sold 1,234")
                run("2", rise: 4, size: 7)
                run(" tonnes of CO")
                run("2", rise: -2, size: 7)
                run(", 4 x 10")
                run("6", rise: 4, size: 7)
                run(" o, 3 x 10")
                run("-9", rise: 4, size: 7)
                run(" ma, 560 m")
                run("2", rise: 4, size: 7)
            })
        #expect(document.text.contains("sold 1,234[2] tonnes of CO2, 4 x 10^6 o, 3 x 10^-9 ma, 560 m^2"), "\(document.text)")
    }

    @Test func `letters printed twice or spaced out make one word`() throws {
        let document = try parse(
            .page { page in
                for offset in [0.0, 0.3] { page.text(72 + offset, 700, "Annual report of the harbour", size: 12) }
                page.text(72, 660, "W i d e l y   s p a c e d   t i t l e", size: 12)
            })
        #expect(document.text.contains("Widely spaced title") && document.text.contains("Annual report of the harbour"))
        #expect(!document.text.contains("Annual Annual") && !document.text.contains("report report"))
    }

    // MARK: - Columns, hyphens, page ends

    private static let words = (
        left: [
            "The pump station at Arlen was rebuilt in 2014", "after the spring flood damaged its intake and",
            "the crews replaced both of the impellers there.",
        ],
        left2: [
            "The second station, in Borne, still runs on its", "first motor, which was found worn in March and",
            "will be replaced in the coming winter months.",
        ],
        right: [
            "Water quality is measured at eleven points along", "the canal, and the samples go to the laboratory",
            "in Kessel on the Tuesday of every other week.",
        ],
        right2: [
            "Volunteers count fish in May, and in the count", "of last year they found fourteen species in it,",
            "among them the bitterling, absent since 1987.",
        ]
    )

    private func order(_ document: ParsedDocument, _ starts: [String]) -> [Int] {
        starts.map { document.text.range(of: $0).map { document.text.distance(from: document.text.startIndex, to: $0.lowerBound) } ?? -1 }
    }

    @Test(arguments: [false, true])
    func `columns under a title are read one after the other`(hasPicture: Bool) throws {
        let document = try parse(
            .page { page in
                page.text(150, 740, "Report on the Waters of the District", size: 16, bold: true)
                page.text(200, 722, "M. Example and J. Sample, Water Office")
                if hasPicture { page.content += "72 640 220 50 re f\n" }
                let top = hasPicture ? 625.0 : 680
                page.lines(72, top, Self.words.left)
                page.lines(72, top - 46, Self.words.left2)
                page.lines(320, 680, Self.words.right)
                page.lines(320, 634, Self.words.right2)
            })
        let places = order(document, ["Report on", "M. Example", "The pump station", "The second station", "Water quality", "Volunteers"])
        #expect(places == places.sorted() && places[0] >= 0, "\(document.texts)")
    }

    @Test func `a turned remark at the margin moves nothing`() throws {
        let lines = [
            "The following page margin is turned by a right angle.", "This is the second line of the page, which goes on.",
            "This is the third line of the page, and not last.", "The fourth line ends the page and its only paragraph.",
        ]
        let document = try parse(
            .page { page in
                page.lines(90, 700, lines)
                page.text(40, 500, "Draft of March, do not cite this remark", size: 9, matrix: "0 1 -1 0")
            })
        #expect(document.texts.first == lines.joined(separator: " "), "\(document.texts)")
        #expect(document.text.contains("Draft of March, do not cite this remark"))
    }

    @Test(arguments: [
        ("the re-", "placement of it", "the replacement of it"), ("the long-", "term storage", "the long-term storage"),
        ("an inter-", "national task", "an international task"), ("the low-", "pressure group", "the low-pressure group"),
        ("a state-of-the-", "art compressor", "a state-of-the-art compressor"), ("in line X-", "200 of it", "in line X-200 of it"),
        ("the price of 1,200-", "1,400 crowns", "the price of 1,200-1,400 crowns"), ("the Anglo-", "Saxon style", "the Anglo-Saxon style"),
        ("pre-", "and postwar", "pre- and postwar"), ("the high-", "est tower", "the highest tower"),
    ])
    func `a hyphen at a line's end stays or goes with the word`(first: String, second: String, joined: String) throws {
        let document = try parse(
            .page { $0.lines(72, 700, ["Some words at the start of the paragraph and " + first, second + " and some more words."]) })
        #expect(document.text.contains(joined), "\(document.text)")
    }

    @Test func `ligatures are written out`() throws {
        #expect(
            WordRepair.plain("o\u{FB03}ce \u{FB02}oor \u{FB01}nd sta\u{FB00} non\u{2011}breaking") == "office floor find staff non-breaking"
        )
    }

    @Test func `a sentence over a page end is one sentence, and each half knows its page`() throws {
        var builder = PDFBuilder()
        func page(_ number: Int, _ lines: [String]) -> PDFBuilder.Page {
            var page = PDFBuilder.Page()
            page.text(72, 770, "Service contract of the harbour office", size: 8)
            page.text(300, 20, "\(number)", size: 8)
            page.lines(72, 700, lines)
            return page
        }
        builder.pages = [
            page(
                1,
                ["The first sentence of the first page ends here.", "The notice period is seventeen weeks to the end of a quarter, and it"]),
            page(2, ["must be given by registered letter. The second page ends with a word that is bro-"]),
            page(3, ["ken over its end. The third page ends with a full stop."]),
            page(4, ["The last page begins anew, with a sentence of its own."]),
        ]
        let document = try parse(builder)
        #expect(document.text.contains("of a quarter, and it must be given by registered letter."))
        #expect(document.text.contains("a word that is broken over its end."))
        #expect(document.text.contains("full stop.\n\nThe last page"))
        let second = try #require(document.blocks.first { document.text(of: $0).hasPrefix("must be given") })
        #expect(second.page == 2)
        #expect(document.texts.filter { $0 == "Service contract of the harbour office" }.count == 1)
    }

    // MARK: - Notes, links, bookmarks

    @Test(arguments: [false, true])
    func `notes, link targets and bookmarks are read, from packed objects too`(isPacked: Bool) throws {
        var builder = PDFBuilder.page { page in
            page.text(60, 740, "Draft contract for the roof works", size: 14)
            page.text(60, 700, "The contractor completes the works within ninety days.")
            page.text(60, 680, "Details are on our tender portal.")
            page.text(60, 660, "Write to tenders@example.org or see www.example.org/help for more.")
            page.annotation("Text", (500, 695, 520, 715), "/Contents(Legal asks for more time.)/T(Reviewer)")
            page.annotation("Highlight", (60, 695, 200, 712), "/Contents<FEFF0059006500730021>")
            page.annotation("FreeText", (60, 600, 400, 640), "/Contents(Penalty clause is missing.)/DA(/F1 10 Tf 0 g)")
            page.annotation("Link", (60, 676, 400, 692), "/A<</S/URI/URI(https://tenders.example.org/roof)>>")
            page.annotation("Link", (60, 656, 200, 672), "/A<</S/URI/URI(mailto:tenders@example.org)>>")
            page.annotation("Link", (200, 656, 500, 672), "/A<</S/URI/URI(https://www.example.org/help)>>")
        }
        builder.objects = [
            "<</Type/Outlines/First 7 0 R/Last 8 0 R/Count 2>>",
            "<</Title(Completion and payment)/Parent 6 0 R/Next 8 0 R/Dest[9 0 R/Fit]>>",
            "<</Title(The contractor completes the works within ninety days.)/Parent 6 0 R/Prev 7 0 R/A<</S/GoTo/D(there)>>>>",
        ]
        builder.catalog = "/Outlines 6 0 R/Dests<</there[9 0 R/Fit]>>"
        builder.packsObjects = isPacked
        builder.packsStreams = isPacked
        let document = try parse(builder)
        #expect(document.notes.contains("Comment by Reviewer: Legal asks for more time."))
        #expect(document.notes.contains("Comment: Yes!"))
        #expect(document.text.components(separatedBy: "Penalty clause is missing.").count == 2)
        #expect(document.text.contains("tender portal. (https://tenders.example.org/roof)"))
        #expect(!document.text.contains("(tenders@example.org)") && !document.text.contains("(https://www.example.org"))
        #expect(document.notes.contains("Bookmark: Completion and payment"))
        #expect(document.headings.contains("The contractor completes the works within ninety days."))
    }

    // MARK: - The reader of objects

    @Test func `deflate with codes of its own is undone`() {
        let hex =
            "78da3592cb75443108435b7109e6630375a48da4ff6d24796633e78e0e4f20b0952ddb7bfdad3821fa5d3f2bbcc103d5ec8aa87a0cfe37d4835f926a0f542fa83e2e925a7b595c"
            + "fa6689a8365ae4a178b788e2418793723d228a59e87043ae5b44d51a1dca69108fa45e4cd0c669b3457230f49dfd75986f32741b26538779c9226cf96ed5864879b11137268b2a91"
        let bytes = stride(from: 0, to: hex.count - 1, by: 2).map { offset -> UInt8 in
            let start = hex.index(hex.startIndex, offsetBy: offset)
            return UInt8(hex[start..<hex.index(start, offsetBy: 2)], radix: 16)!
        }
        // The stream is cut short: what comes before the cut is there.
        let text = String(decoding: StreamFilter.inflate(bytes, limit: 10_000), as: UTF8.self)
        #expect(text.hasPrefix("171 100 m 353 100 l S 328 109 m 116 109 l S 239 118 m 518 11"))
        #expect(StreamFilter.inflate(bytes, limit: 25).count == 25)
    }

    @Test func `the other filters are undone`() {
        #expect(StreamFilter.ascii85(Array("87cUR D]j7BEbo80~>".utf8)) == Array("Hello world!".utf8))
        #expect(StreamFilter.asciiHex(Array("48 65 6C6C6F>".utf8)) == Array("Hello".utf8))
        #expect(StreamFilter.runLength([2, 97, 98, 99, 254, 100, 128], limit: 100) == Array("abcddd".utf8))
        #expect(
            StreamFilter.lzw([0x80, 0x0B, 0x60, 0x50, 0x22, 0x0C, 0x0C, 0x85, 0x01], isEarly: true, limit: 100) == [
                45, 45, 45, 45, 45, 65, 45, 45, 45, 66,
            ])
        #expect(StreamFilter.inflate(Support.bomb(3).stream, limit: 10_000) == [UInt8](repeating: 0x61, count: 775))
    }

    @Test(arguments: 0..<120)
    func `a damaged file is read as far as it goes, and nothing traps`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var builder = PDFBuilder.page { page in
            table(&page, [60, 150, 300, 380, 520], top: 700, Self.plan, rowHeight: 40, ruled: true)
            page.annotation("Widget", (200, 94, 400, 110), "/FT/Tx/T(surname)/V(Winterbottom)")
            page.annotation("Link", (60, 676, 400, 692), "/A<</S/URI/URI(https://tenders.example.org/roof)>>")
        }
        builder.objects = ["<</Type/Outlines/First 7 0 R>>", "<</Title(One)/Parent 6 0 R/Next 7 0 R/First 6 0 R/Dest[9 0 R/Fit]>>"]
        builder.catalog = "/Outlines 6 0 R"
        builder.packsObjects = seed % 2 == 0
        var bytes = builder.bytes()
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(Int.random(in: 0..<bytes.count, using: &random)..<bytes.count)
            default:
                let start = Int.random(in: 0..<bytes.count, using: &random)
                bytes.insert(contentsOf: bytes[start..<min(bytes.count, start + 40)], at: Int.random(in: 0..<bytes.count, using: &random))
            }
            if bytes.count < 200 { break }
        }
        let path = try Support.temporaryFile(bytes, name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let descriptor = open(path, O_RDONLY)
        defer { close(descriptor) }
        guard let file = PDFFile(descriptor: descriptor, size: bytes.count, unpackedBytes: 1 << 22) else { return }
        let pages = file.pages()
        _ = PDFExtras(file, pages: pages)
        for page in pages { _ = RuleScanner.rules(of: page, in: file) }
    }

    @Test func `a file whose table is wrong is scanned for its objects`() throws {
        var bytes = PDFBuilder.page { page in
            page.text(60, 698, "Surname:")
            page.annotation("Widget", (200, 694, 400, 710), "/F 4/FT/Tx/T(surname)/V(Winterbottom)")
        }.bytes()
        let mark = Array("startxref\n".utf8)
        let place = try #require(bytes.indices.first { bytes[$0...].starts(with: mark) })
        bytes.replaceSubrange(place + mark.count..<bytes.count, with: Array("7\n%%EOF\n".utf8))
        #expect(try Support.parse(bytes, name: "a.pdf").text.contains("Surname: Winterbottom"))
    }
}
