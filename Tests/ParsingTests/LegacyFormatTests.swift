import Testing

@testable import Parsing

/// Word 97, PowerPoint 97 and Outlook: marks in them change what the words say.
struct LegacyFormatTests {
    // MARK: - Containers

    private static func little(_ value: Int, _ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }

    /// A compound file of streams in its root: a FAT of one sector, then the directory, then the streams.
    private static func compound(_ streams: [(name: String, bytes: [UInt8])]) -> [UInt8] {
        let directorySectors = (streams.count + 1 + 3) / 4
        var fat = [Int](repeating: 0xFFFF_FFFF, count: 128)
        fat[0] = 0xFFFF_FFFD
        for sector in 1...directorySectors { fat[sector] = sector == directorySectors ? 0xFFFF_FFFE : sector + 1 }
        var next = directorySectors + 1
        var content: [UInt8] = []
        var directory: [UInt8] = []
        func entry(_ name: String, type: Int, start: Int, size: Int, right: Int, child: Int) {
            let units = name.utf16.flatMap { little(Int($0), 2) }
            directory += units + [UInt8](repeating: 0, count: 64 - units.count) + little(units.count + 2, 2) + [UInt8(type), 1]
            directory += little(0xFFFF_FFFF, 4) + little(right, 4) + little(child, 4) + [UInt8](repeating: 0, count: 36)
            directory += little(start, 4) + little(size, 4) + [0, 0, 0, 0]
        }
        entry("Root Entry", type: 5, start: 0xFFFF_FFFE, size: 0, right: 0xFFFF_FFFF, child: 1)
        for (index, stream) in streams.enumerated() {
            let size = stream.bytes.count
            let sectors = (size + 511) / 512
            entry(
                stream.name, type: 2, start: next, size: size, right: index + 1 < streams.count ? index + 2 : 0xFFFF_FFFF,
                child: 0xFFFF_FFFF)
            for sector in next..<(next + sectors) { fat[sector] = sector + 1 == next + sectors ? 0xFFFF_FFFE : sector + 1 }
            next += sectors
            content += stream.bytes + [UInt8](repeating: 0, count: sectors * 512 - stream.bytes.count)
        }
        directory += [UInt8](repeating: 0, count: directorySectors * 512 - directory.count)
        var header: [UInt8] = [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1] + [UInt8](repeating: 0, count: 22)
        header += little(9, 2) + little(6, 2) + [UInt8](repeating: 0, count: 10) + little(1, 4) + little(1, 4) + little(0, 4) + little(0, 4)
        header += little(0xFFFF_FFFE, 4) + little(0, 4) + little(0xFFFF_FFFE, 4) + little(0, 4) + little(0, 4)
        header += [UInt8](repeating: 0xFF, count: 512 - header.count)
        return header + fat.flatMap { little($0, 4) } + directory + content
    }

    // MARK: - Word

    /// A stretch of text with the properties of its characters.
    private struct Run {
        var text: [UInt8]
        var properties: [UInt8] = []
        init(_ text: String, _ properties: [UInt8] = []) {
            self.text = Array(text.unicodeScalars.map { UInt8($0.value) })
            self.properties = properties
        }
    }

    private static let struck: [UInt8] = [0x37, 0x08, 1]
    private static let deleted: [UInt8] = [0x00, 0x08, 1]
    private static let hidden: [UInt8] = [0x3C, 0x08, 1]
    private static let raised: [UInt8] = [0x48, 0x2A, 1]
    private static let lowered: [UInt8] = [0x48, 0x2A, 2]

    /// - Parameters:
    ///   - notes: Text of the footnotes; their marks are characters 02 of the text.
    ///   - paragraphs: Style and place in a table of each paragraph in order.
    private static func word(
        _ runs: [Run], notes: [String] = [], data: [UInt8] = [], paragraphs: [(style: Int, isInTable: Bool)] = []
    ) throws -> ParsedDocument {
        let text = runs.flatMap(\.text)
        let noteText = notes.flatMap { Array("\u{2} \($0)\r".utf8) }
        let all = text + noteText
        let base = 0x800
        var main = [UInt8](repeating: 0, count: 0x1400)
        func put(_ bytes: [UInt8], _ offset: Int) { main.replaceSubrange(offset..<(offset + bytes.count), with: bytes) }
        main.replaceSubrange(0..<4, with: [0xEC, 0xA5, 0xC1, 0x00])
        put(little(0x0200, 2), 0x0A)
        put(little(text.count, 4) + little(noteText.count, 4), 0x4C)
        put(all, base)
        // Characters.
        var page = [UInt8](repeating: 0, count: 512)
        var offset = base
        var end = 510
        var places: [UInt8] = []
        for (index, run) in runs.enumerated() {
            page.replaceSubrange(index * 4..<index * 4 + 4, with: little(offset, 4))
            offset += run.text.count
            guard !run.properties.isEmpty else {
                places.append(0)
                continue
            }
            end = (end - run.properties.count - 1) & ~1
            page[end] = UInt8(run.properties.count)
            page.replaceSubrange(end + 1..<end + 1 + run.properties.count, with: run.properties)
            places.append(UInt8(end / 2))
        }
        page.replaceSubrange(runs.count * 4..<runs.count * 4 + 4, with: little(offset, 4))
        page.replaceSubrange((runs.count + 1) * 4..<(runs.count + 1) * 4 + places.count, with: places)
        page[511] = UInt8(runs.count)
        put(page, 0x1000)
        // Paragraphs.
        var styles = [UInt8](repeating: 0, count: 512)
        let ends = all.indices.filter { all[$0] == 0x0D || all[$0] == 0x07 }.map { base + $0 + 1 }
        let count = min(ends.count, paragraphs.count)
        end = 510
        for index in 0..<count {
            styles.replaceSubrange(index * 4..<index * 4 + 4, with: little(index == 0 ? base : ends[index - 1], 4))
            end -= 8
            let list = little(paragraphs[index].style, 2) + (paragraphs[index].isInTable ? [0x16, 0x24, 1] : [0x05, 0x24, 0])
            styles.replaceSubrange(end..<end + 1 + list.count, with: [UInt8(list.count / 2 + 1)] + list)
            styles[(count + 1) * 4 + index * 13] = UInt8(end / 2)
        }
        if count > 0 { styles.replaceSubrange(count * 4..<count * 4 + 4, with: little(ends[count - 1], 4)) }
        styles[511] = UInt8(count)
        put(styles, 0x1200)

        var table: [UInt8] = []
        func add(_ bytes: [UInt8], _ field: Int) {
            put(little(table.count, 4) + little(bytes.count, 4), field)
            table += bytes
        }
        add([2] + little(16, 4) + little(0, 4) + little(all.count, 4) + [0, 0] + little(base * 2 | 0x4000_0000, 4) + [0, 0], 0x1A2)
        add(little(base, 4) + little(base + all.count, 4) + little(0x1000 / 512, 4), 0xFA)
        if count > 0 { add(little(base, 4) + little(base + all.count, 4) + little(0x1200 / 512, 4), 0x102) }
        if !notes.isEmpty {
            let marks = text.indices.filter { text[$0] == 2 }
            add(marks.flatMap { little($0, 4) } + little(text.count, 4) + marks.indices.flatMap { little($0 + 1, 2) }, 0xAA)
            var starts = [0]
            for note in notes { starts.append(starts.last! + note.utf8.count + 3) }
            add((starts + [noteText.count + 1]).flatMap { little($0, 4) }, 0xB2)
        }
        return try Support.parse(
            compound([("WordDocument", main), ("1Table", table)] + (data.isEmpty ? [] : [("Data", data)])), name: "a.doc")
    }

    @Test func `struck, deleted and hidden text is left out`() throws {
        let document = try Self.word([
            Run("The price is "), Run("500 crowns", Self.struck), Run("450 crowns"), Run(" or 90", Self.deleted), Run(" in cash"),
            Run(" (purchase 11)", Self.hidden), Run(".\rKept"), Run("\r", Self.deleted), Run(" together.\r"),
        ])
        #expect(document.text == "The price is 450 crowns in cash.\n\nKept together.")
    }

    @Test func `the mark of a struck paragraph still ends it`() throws {
        let document = try Self.word([Run("Fee "), Run("40\r", Self.struck), Run("Next.\r")])
        #expect(document.text == "Fee\n\nNext.")
    }

    @Test func `raised digits do not melt into numbers`() throws {
        let document = try Self.word([
            Run("The tank holds 4 x 10"), Run("6", Self.raised), Run(" litres of CO"), Run("2", Self.lowered), Run(".\r"),
        ])
        #expect(document.text == "The tank holds 4 x 10^6 litres of CO2.")
    }

    @Test func `notes stand behind the paragraph of their mark`() throws {
        let document = try Self.word(
            [Run("Every vessel pays seven crowns a metre\u{2} of its length\u{2}.\rNext.\r")],
            notes: ["Except ferries.", "At the waterline."])
        #expect(
            document.text
                == "Every vessel pays seven crowns a metre[1] of its length[2].\n\nFootnote [1]: Except ferries.\n\nFootnote [2]: At the waterline.\n\nNext."
        )
    }

    @Test func `links keep their targets`() throws {
        let document = try Self.word([Run("Book \u{13} HYPERLINK \"https://a.example.org/t\" \u{14}here\u{15} now.\r")])
        #expect(document.text == "Book here (https://a.example.org/t) now.")
    }

    @Test func `check boxes of a form keep their state`() throws {
        func box(_ result: Int, _ preset: Int) -> [UInt8] {
            let form =
                Self.little(0xFFFF_FFFF, 4) + Self.little(1 | result << 2, 2) + Self.little(0, 4) + Self.little(2, 2)
                + [0x43, 0, 0x31, 0, 0, 0] + Self.little(preset, 2)
            return Self.little(68 + form.count, 4) + Self.little(68, 2) + [UInt8](repeating: 0, count: 62) + form
        }
        let first = box(1, 0)
        let second = first + box(0, 1)
        let data = second + box(25, 1)
        func object(_ offset: Int) -> [UInt8] { [0x03, 0x6A] + Self.little(offset, 4) }
        let document = try Self.word(
            [
                Run("\u{13} FORMCHECKBOX "), Run("\u{1}", object(0)), Run("\u{15} Hull\r"), Run("\u{13} FORMCHECKBOX "),
                Run("\u{1}", object(first.count)),
                Run("\u{15} Engine\r"), Run("\u{13} FORMCHECKBOX "), Run("\u{1}", object(second.count)), Run("\u{15} Mast\r"),
            ], data: data)
        #expect(document.text == "[x] Hull\n\n[ ] Engine\n\n[x] Mast")
    }

    @Test func `headings and tables are told by their paragraphs' properties`() throws {
        let document = try Self.word(
            [Run("Dues\rText.\rShip\u{7}Fee 2025\u{7}\u{7}Alma\rthe old\u{7}90\u{7}\u{7}Berta\u{7}70\u{7}\u{7}After.\r")],
            paragraphs: [(1, false), (0, false)] + [(Int, Bool)](repeating: (0, true), count: 10) + [(0, false)])
        #expect(document.text == "Dues\n\nText.\n\nShip | Fee 2025\nAlma the old | 90\nBerta | 70\n\nAfter.")
        #expect(document.blocks[0].kind == .heading(level: 1))
        let header = document.blocks[2].span
        #expect(document.blocks[3].kind == .tableRow(header: header))
    }

    // MARK: - PowerPoint

    private static func record(_ type: Int, version: Int = 0, _ body: [UInt8]) -> [UInt8] {
        little(version, 2) + little(type, 2) + little(body.count, 4) + body
    }

    private static func show(keepsHidden: Bool) throws -> ParsedDocument {
        func text(_ kind: Int, _ text: String) -> [UInt8] { record(0x0F9F, little(kind, 4)) + record(0x0FA8, Array(text.utf8)) }
        func persist(_ number: Int) -> [UInt8] { record(0x03F3, little(number, 4) + [UInt8](repeating: 0, count: 16)) }
        let outline = record(
            0x0FF0, version: 0xF,
            persist(2) + text(0, "Prices") + text(1, "Forty crowns") + persist(3) + text(0, "Inside") + text(1, "Margin twelve percent")
                + persist(4) + text(0, "End") + text(1, "Thank you"))
        var data = record(0x03E8, version: 0xF, outline)
        var places: [Int] = []
        for flags in [0, 4, 0] {
            places.append(data.count)
            data += record(0x03EE, version: 0xF, record(0x03F9, [UInt8](repeating: 0, count: 10) + little(flags, 2) + [0, 0, 0, 0]))
        }
        data += record(0x1772, little(2 | 3 << 20, 4) + places.flatMap { little($0, 4) })
        var limits = ParseLimits()
        limits.keepsHidden = keepsHidden
        return try Support.parse(compound([("PowerPoint Document", data)]), name: "a.ppt", limits: limits)
    }

    @Test func `hidden slides are marked, or left out`() throws {
        let document = try Self.show(keepsHidden: true)
        #expect(
            document.text
                == "Prices\n\n- Forty crowns\n\nInside [hidden slide]\n\n- Margin twelve percent\n\nEnd\n\n- Thank you")
        #expect(document.blocks.last?.page == 3)
        #expect(try Self.show(keepsHidden: false).text == "Prices\n\n- Forty crowns\n\nEnd\n\n- Thank you")
    }

    // MARK: - Outlook

    private static func message(plain: String? = nil, html: String? = nil, rtf: String? = nil) throws -> String {
        var streams: [(name: String, bytes: [UInt8])] = [
            ("__properties_version1.0", [UInt8](repeating: 0, count: 32)), ("__substg1.0_0037001E", Array("Offer".utf8)),
        ]
        if let plain { streams.append(("__substg1.0_1000001E", Array(plain.utf8))) }
        if let html { streams.append(("__substg1.0_10130102", Array(html.utf8))) }
        if let rtf {
            streams.append(
                (
                    "__substg1.0_10090102",
                    little(rtf.utf8.count + 12, 4) + little(rtf.utf8.count, 4) + Array("MELA".utf8) + [0, 0, 0, 0] + Array(rtf.utf8)
                ))
        }
        return try Support.parse(compound(streams), name: "a.msg").text
    }

    @Test func `of a message's bodies the one that says most is read`() throws {
        #expect(try Self.message(plain: "The price is 450 crowns.") == "Offer\n\nThe price is 450 crowns.")
        #expect(
            try Self.message(
                plain: "The price is 500 crowns 450 crowns.", html: "<p>The price is <s>500 crowns</s> 450 crowns.</p>")
                == "Offer\n\nThe price is 450 crowns.")
        #expect(
            try Self.message(
                plain: "Your program cannot show HTML.", html: "<p>The new rudder costs 18,400 crowns and takes five weeks.</p>")
                == "Offer\n\nThe new rudder costs 18,400 crowns and takes five weeks.")
        #expect(
            try Self.message(plain: "Ship Fee Alma 90", html: "<table><tr><th>Ship<th>Fee<tr><td>Alma<td>90</table>")
                == "Offer\n\nShip | Fee\nAlma | 90")
        #expect(
            try Self.message(
                plain: "The price is 500 crowns 450 crowns.", rtf: "{\\rtf1 The price is {\\strike 500 crowns }450 crowns.\\par}")
                == "Offer\n\nThe price is 450 crowns.")
    }

    @Test func `struck words of a mail's HTML are not read from its plain side`() throws {
        let mail =
            "From: a@example.org\r\nSubject: Offer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nThe price is 500 crowns 450 crowns.\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>The price is <s>500 crowns</s> 450 crowns.</p>\r\n--b--\r\n"
        let text = try Support.parse(mail, name: "a.eml").text
        #expect(text.hasSuffix("The price is 450 crowns."))
        #expect(!text.contains("500"))
    }
}
