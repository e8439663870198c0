/// Word's binary format ([MS-DOC]): the piece table says where the text lies and in which of two encodings; what characters and paragraphs look
/// like stands in pages of 512 bytes elsewhere, by the position of the text in the file.
///
///     FIB  --CLX-------> pieces: characters 0 to 812 lie at 0x800, one byte each; ...
///          --BteChpx---> pages: bytes 0x800 to 0x820 struck out, 0x820 to 0x833 raised, ...
///          --BtePapx---> pages: the paragraph that ends at 0x833 has style 2 (heading 2) and stands in a table
///          --FndRef----> characters that are notes' marks;  --FndTxt--> where the text of each note begins
///
/// As in DOCX, what is deleted, struck out or hidden is left out, raised digits do not melt into numbers, and notes stand behind the paragraph of
/// their mark.
enum LegacyWord {
    static func parse(_ file: CompoundFile, name: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let main = file.stream("WordDocument"), main.count > 0x200, main.u16(0) == 0xA5EC || main.u16(0) == 0xA5DC else {
            throw .malformed("\(name) has no readable WordDocument stream")
        }
        let flags = main.u16(0x0A)
        if flags & 0x0100 != 0 { throw .encrypted("\(name) needs a password; save it without one and try again") }
        let version = main.u16(2)
        guard version >= 0x00C1 else { throw .unsupportedFormat("\(name) was written by Word 95 or older; save it as DOCX") }
        let table = file.stream(flags & 0x0200 != 0 ? "1Table" : "0Table") ?? []
        let text = LegacyWordText(main, table)
        guard !text.units.isEmpty else { throw .malformed("\(name) has no readable piece table") }

        // Character counts of the parts, which follow each other in this order.
        let counts = [0x4C, 0x50, 0x54, 0x5C, 0x60, 0x64, 0x68].map { max(0, Int(Int32(bitPattern: main.u32($0)))) }
        var parts: [Range<Int>] = []
        for count in counts {
            let start = parts.last?.upperBound ?? 0
            parts.append(start..<min(text.units.count, start + count))
        }
        var writer = Writer(text: text, data: file.stream("Data") ?? [], builder: context.builder)
        writer.addNotes(main, table, at: 0xAA, in: parts[1], dataSize: 2, name: "Footnote", format: "decimal")
        writer.addNotes(main, table, at: 0x20A, in: parts[4], dataSize: 2, name: "Endnote", format: "lowerRoman")
        writer.addNotes(main, table, at: 0xBA, in: parts[3], dataSize: 30, name: "Comment", format: nil)
        let isEmpty = parts.allSatisfy(\.isEmpty)
        for (part, label) in zip(parts, ["", "Footnote: ", "", "Comment: ", "Endnote: ", "", ""]) where !part.isEmpty {
            try writer.write(part, label: label, isMain: part.lowerBound == 0)
        }
        if isEmpty { try writer.write(0..<text.units.count, label: "", isMain: true) }
        let (title, properties) = file.summary()
        return writer.builder.finish(title: title, mimeType: "application/msword", properties: properties)
    }

    private static let high: [UInt16] = [
        0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039, 0x152, 0x8D, 0x17D, 0x8F, 0x90, 0x2018,
        0x2019, 0x201C,
        0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122, 0x161, 0x203A, 0x153, 0x9D, 0x17E, 0x178,
    ]
    static func windows1252(_ byte: UInt8) -> UInt16 { (0x80...0x9F).contains(byte) ? high[Int(byte) - 0x80] : UInt16(byte) }

    // MARK: - Writing

    private struct Writer {
        let text: LegacyWordText
        let data: [UInt8]
        var builder: DocumentBuilder

        private struct Note {
            var mark: String
            var label: String
            var range: Range<Int>
        }
        /// By the position of their marks.
        private var notes: [Int: Note] = [:]
        /// Stretches that notes with a mark have taken: where they end.
        private var told: [Int: Int] = [:]
        private var pendingNotes: [String] = []
        private var rows: [[String]] = []

        init(text: LegacyWordText, data: [UInt8], builder: DocumentBuilder) {
            self.text = text
            self.data = data
            self.builder = builder
        }

        /// Finds the notes of one kind: two tables one after the other, of marks in the main text and of beginnings in the notes' part.
        mutating func addNotes(
            _ main: [UInt8], _ table: [UInt8], at field: Int, in part: Range<Int>, dataSize: Int, name: String, format: String?
        ) {
            let count = (Int(main.u32(field + 4)) - 4) / (4 + dataSize)
            let textCount = Int(main.u32(field + 12)) / 4
            guard count > 0, count < 100_000, textCount > count, !part.isEmpty else { return }
            var number = 0
            for index in 0..<count {
                let mark = Int(table.u32(Int(main.u32(field)) + index * 4))
                let start = part.lowerBound + Int(table.u32(Int(main.u32(field + 8)) + index * 4))
                let end = part.lowerBound + Int(table.u32(Int(main.u32(field + 8)) + index * 4 + 4))
                guard mark < part.lowerBound, start < end, end <= part.upperBound else { continue }
                // A mark of the author's own has the number 0 and stands in the text.
                let isOwn = dataSize == 2 && table.u16(Int(main.u32(field)) + (count + 1) * 4 + index * 2) == 0
                if !isOwn { number += 1 }
                let label = format.map { isOwn ? "" : WordParser.format(number, $0) } ?? ""
                notes[mark] = Note(
                    mark: label.isEmpty ? "" : "[\(label)]", label: name + (label.isEmpty ? ": " : " [\(label)]: "), range: start..<end)
                told[start] = end
            }
        }

        /// Paragraphs end in 0D, cells in 07 and rows in a second 07; fields are 13 code 14 result 15.
        mutating func write(_ part: Range<Int>, label: String, isMain: Bool) throws(Refusal) {
            var line = ScriptText()
            var isBlank = true
            var cells: [String] = []
            var fields: [(isCode: Bool, code: String, shown: String)] = []
            var wasCellMark = false
            func take() -> String {
                isBlank = true
                return line.take()
            }
            var position = part.lowerBound
            while position < part.upperBound {
                let unit = text.units[position]
                let look = text.looks[position]
                defer { position += 1 }
                if !isMain, let end = told[position] {
                    position = end - 1
                    continue
                }
                switch unit {
                case 0x13: fields.append((true, "", ""))
                case 0x14: if !fields.isEmpty { fields[fields.count - 1].isCode = false }
                case 0x15:
                    if let field = fields.popLast() { line.append(LinkTarget.suffix(LinkTarget.ofField(field.code), after: field.shown)) }
                case 0x01 where fields.last?.code.contains("FORMCHECKBOX") == true:
                    if let box = text.objects[position].flatMap(checkBox) {
                        line.append(box + " ")
                        isBlank = false
                    }
                case _ where fields.contains(where: \.isCode):
                    if fields[fields.count - 1].code.utf8.count < 200 {
                        fields[fields.count - 1].code += String(decoding: [unit], as: UTF16.self)
                    }
                case 0x07:
                    if wasCellMark, isBlank, !cells.isEmpty {
                        rows.append(cells)
                        cells = []
                        wasCellMark = false
                        continue
                    }
                    cells.append(take().trimmed)
                    wasCellMark = true
                    continue
                case 0x0D where look.contains(.removed):
                    // The paragraph goes on: its end was deleted.
                    break
                case 0x0D, 0x0C:
                    if !cells.isEmpty || text.paragraphs[position]?.isInTable == true {
                        // Still inside a cell of several paragraphs, or past a row whose end was not marked.
                        line.append(" ")
                    } else {
                        try endTable()
                        let content = take()
                        if !content.isBlank {
                            if !isMain {
                                try builder.note(label + content.trimmed)
                            } else if let level = text.paragraphs[position]?.headingLevel, content.utf8.count < 500 {
                                try builder.heading(content.trimmed, level: level)
                            } else {
                                try builder.lines(content)
                            }
                        }
                        try endNotes()
                    }
                case _ where !look.isDisjoint(with: [.removed, .struck]): break
                case 0x02, 0x05:
                    if let note = notes[position] {
                        line.append(note.mark)
                        if let content = plain(note.range) { pendingNotes.append(note.label + content) }
                        isBlank = false
                    }
                case 0x28 where text.symbols[position] != nil:
                    line.append(text.symbols[position] ?? "")
                    isBlank = false
                case 0x0B: line.append("\n")
                case 0x1E: line.append("-")
                case 0x1F, 0x01, 0x03, 0x04, 0x08: break
                default:
                    // Both halves of a character beyond 16 bits.
                    var units = [unit]
                    if UTF16.isLeadSurrogate(unit), position + 1 < part.upperBound {
                        units.append(text.units[position + 1])
                        position += 1
                    }
                    let piece = String(decoding: units, as: UTF16.self)
                    line.append(piece, look.contains(.raised) ? .raised : look.contains(.lowered) ? .lowered : .baseline)
                    isBlank = isBlank && unit <= 0x20
                    if !fields.isEmpty, fields[fields.count - 1].shown.utf8.count < 2000 { fields[fields.count - 1].shown += piece }
                }
                wasCellMark = false
            }
            if !cells.isEmpty { rows.append(cells) }
            try endTable()
            let content = take()
            if !content.isBlank { if isMain { try builder.lines(content) } else { try builder.note(label + content.trimmed) } }
            try endNotes()
        }

        private mutating func endTable() throws(Refusal) {
            guard !rows.isEmpty else { return }
            var grid = TableGrid()
            for row in rows { grid.add(row.map { TableGrid.Cell(text: $0) }) }
            rows = []
            try grid.write(to: &builder, startsWithHeader: grid.looksHeaded)
            try endNotes()
        }

        private mutating func endNotes() throws(Refusal) {
            guard rows.isEmpty else { return }
            for note in pendingNotes { try builder.note(note) }
            pendingNotes = []
        }

        /// A note on one line, without its own mark.
        private func plain(_ range: Range<Int>) -> String? {
            var line = ScriptText()
            for position in range where text.looks[position].isDisjoint(with: [.removed, .struck]) {
                let unit = text.units[position]
                switch unit {
                case 0x0D, 0x0B, 0x0C, 0x07: line.append(" ")
                case 0x1E: line.append("-")
                case 0x00...0x08, 0x13...0x15, 0x1F: break
                default:
                    line.append(
                        String(decoding: [unit], as: UTF16.self),
                        text.looks[position].contains(.raised) ? .raised : text.looks[position].contains(.lowered) ? .lowered : .baseline)
                }
            }
            let content = line.text().split(whereSeparator: \.isWhitespace).joined(separator: " ")
            return content.isEmpty ? nil : content
        }

        /// A check box of a form (FFData in the Data stream).
        private func checkBox(_ offset: Int) -> String? {
            let header = Int(data.u16(offset + 4))
            var position = offset + header
            guard header >= 6, position + 10 <= data.count, data.u32(position) == 0xFFFF_FFFF else { return nil }
            let bits = data.u16(position + 4)
            guard bits & 3 == 1 else { return nil }
            let result = (bits >> 2) & 31
            position += 10
            // 25: as it was set up, which stands behind the name.
            let state = result == 25 ? data.u16(position + 2 + Int(data.u16(position)) * 2 + 2) : result
            return state == 1 ? "[x]" : "[ ]"
        }
    }
}

/// The text of a binary Word file as UTF-16 units, whose positions its tables speak of, with what each looks like.
struct LegacyWordText {
    struct Look: OptionSet {
        let rawValue: UInt8
        static let struck = Look(rawValue: 1)
        /// Deleted in a revision, or hidden.
        static let removed = Look(rawValue: 2)
        static let raised = Look(rawValue: 4)
        static let lowered = Look(rawValue: 8)
    }
    struct Paragraph {
        var style = 0
        var isInTable = false

        /// The first styles of every document are the headings.
        var headingLevel: Int? { (1...9).contains(style) ? style : nil }
    }

    private(set) var units: [UInt16] = []
    private(set) var looks: [Look] = []
    /// By the position of the mark that ends them; plain ones are left out.
    private(set) var paragraphs: [Int: Paragraph] = [:]
    /// Characters of symbol fonts.
    private(set) var symbols: [Int: String] = [:]
    /// Offsets in the Data stream.
    private(set) var objects: [Int: Int] = [:]

    private struct Run {
        var end: Int
        var look: Look = []
        var symbol: String?
        var object: Int?
    }

    init(_ main: [UInt8], _ table: [UInt8]) {
        let fonts = Self.fonts(table, offset: Int(main.u32(0x112)), size: Int(main.u32(0x116)))
        var runs: [Int: Run] = [:]
        Self.eachRun(main, table, field: 0xFA, entrySize: 1) { start, end, entry in
            let offset = Int(main[entry]) * 2
            guard offset > 0 else { return }
            let base = entry & ~511
            var run = Run(end: end)
            Self.eachProperty(main, base + offset + 1, size: Int(main[base + offset])) { code, operand in
                let isOn = main[operand] & 1 == 1
                func set(_ look: Look, _ isOn: Bool) { if isOn { run.look.insert(look) } else { run.look.remove(look) } }
                switch code {
                case 0x0837, 0x2A53: set(.struck, isOn)
                case 0x0800, 0x083C: set(.removed, isOn || code == 0x083C && run.look.contains(.removed) && main[operand] == 0x80)
                case 0x2A48:
                    set(.raised, main[operand] == 1)
                    set(.lowered, main[operand] == 2)
                case 0x6A09:
                    let font = Int(main.u16(operand))
                    if let scalar = UnicodeScalar(UInt32(main.u16(operand + 2))) {
                        run.symbol = SymbolFont.readable(
                            String(scalar), font: fonts.indices.contains(font) ? SymbolFont(name: fonts[font]) : nil)
                    }
                case 0x6A03, 0x680E: run.object = Int(main.u32(operand))
                default: break
                }
            }
            if !run.look.isEmpty || run.symbol != nil || run.object != nil { runs[start] = run }
        }
        let starts = runs.keys.sorted()
        var ends: [Int: Paragraph] = [:]
        Self.eachRun(main, table, field: 0x102, entrySize: 13) { _, end, entry in
            let base = entry & ~511
            let offset = base + Int(main[entry]) * 2
            guard offset > base, offset + 4 < base + 512 else { return }
            let isLong = main[offset] == 0
            let size = isLong ? Int(main[offset + 1]) * 2 : Int(main[offset]) * 2 - 1
            let first = offset + (isLong ? 2 : 1)
            guard size >= 2 else { return }
            var paragraph = Paragraph(style: Int(main.u16(first)))
            Self.eachProperty(main, first + 2, size: size - 2) { code, operand in
                if code == 0x2416 { paragraph.isInTable = main[operand] != 0 }
            }
            if paragraph.headingLevel != nil || paragraph.isInTable { ends[end] = paragraph }
        }
        readPieces(main, table, starts, runs, ends)
    }

    private mutating func readPieces(_ main: [UInt8], _ table: [UInt8], _ starts: [Int], _ runs: [Int: Run], _ ends: [Int: Paragraph]) {
        var position = Int(main.u32(0x01A2))
        let end = min(table.count, position + Int(main.u32(0x01A6)))
        while position < end, table[position] == 1 { position += 3 + Int(table.u16(position + 1)) }
        guard position + 5 < end, table[position] == 2 else { return }
        let length = min(Int(table.u32(position + 1)), end - position - 5)
        position += 5
        let count = (length - 4) / 12
        guard count > 0, count < 1_000_000 else { return }
        for index in 0..<count {
            let characters = Int(table.u32(position + index * 4 + 4)) - Int(table.u32(position + index * 4))
            guard characters > 0 else { continue }
            let location = table.u32(position + (count + 1) * 4 + index * 8 + 2)
            let isCompressed = location & 0x4000_0000 != 0
            let width = isCompressed ? 1 : 2
            let base = Int(location & 0x3FFF_FFFF) / (isCompressed ? 2 : 1)
            let available = (main.count - base) / width
            guard base >= 0, available > 0 else { continue }
            // The run that holds the piece's beginning, or the next one.
            var low = 0
            var high = starts.count
            while low < high {
                let middle = (low + high) / 2
                if starts[middle] <= base { low = middle + 1 } else { high = middle }
            }
            var next = max(0, low - 1)
            for character in 0..<min(characters, available) {
                let offset = base + character * width
                while next < starts.count, runs[starts[next]]!.end <= offset { next += 1 }
                var look: Look = []
                if next < starts.count, starts[next] <= offset, let run = runs[starts[next]] {
                    look = run.look
                    if let symbol = run.symbol { symbols[units.count] = symbol }
                    if let object = run.object { objects[units.count] = object }
                }
                if let paragraph = ends[offset + width] { paragraphs[units.count] = paragraph }
                looks.append(look)
                units.append(isCompressed ? LegacyWord.windows1252(main[offset]) : main.u16(offset))
            }
            // Overlapping pieces could repeat the file for ever.
            if units.count > main.count * 2 { break }
        }
    }

    /// Walks the pages of 512 bytes that a table names: stretches of the file, and where the entry of each lies.
    ///
    ///     offset  size             field of a page
    ///     0       (count + 1) * 4  where the stretches begin, and the last one ends
    ///             count * entry    entries, whose first byte is half the offset of what it says
    ///     511     1                count
    private static func eachRun(
        _ main: [UInt8], _ table: [UInt8], field: Int, entrySize: Int, _ body: (_ start: Int, _ end: Int, _ entry: Int) -> Void
    ) {
        let offset = Int(main.u32(field))
        let count = (min(Int(main.u32(field + 4)), table.count) - 4) / 8
        guard count > 0 else { return }
        for index in 0..<count {
            let base = Int(table.u32(offset + (count + 1) * 4 + index * 4) & 0x3F_FFFF) * 512
            guard base > 0, base + 512 <= main.count else { continue }
            let runs = Int(main[base + 511])
            guard (runs + 1) * 4 + runs * entrySize <= 511 else { continue }
            for run in 0..<runs {
                let start = Int(main.u32(base + run * 4))
                let end = Int(main.u32(base + run * 4 + 4))
                if start < end { body(start, end, base + (runs + 1) * 4 + run * entrySize) }
            }
        }
    }

    /// Walks a list of properties; the code's highest bits tell how long its operand is.
    private static func eachProperty(_ main: [UInt8], _ start: Int, size: Int, _ body: (_ code: UInt16, _ operand: Int) -> Void) {
        var offset = start
        let end = min(main.count, start + size)
        while offset + 3 <= end {
            let code = main.u16(offset)
            offset += 2
            let length: Int
            switch code >> 13 {
            case 0, 1: length = 1
            case 2, 4, 5: length = 2
            case 3: length = 4
            case 7: length = 3
            // Its first byte is its length; for tables the first two are.
            default: length = code == 0xD608 ? Int(main.u16(offset)) + 1 : Int(main[offset]) + 1
            }
            guard offset + length <= end else { return }
            body(code, offset)
            offset += length
        }
    }

    /// The names of the fonts, by their numbers.
    private static func fonts(_ table: [UInt8], offset: Int, size: Int) -> [String] {
        let end = min(table.count, offset + size)
        guard size > 4, end > offset else { return [] }
        var names: [String] = []
        var position = offset + 4
        for _ in 0..<Int(table.u16(offset)) where position < end {
            let length = Int(table[position])
            var units: [UInt16] = []
            var at = position + 40
            while at + 2 <= min(end, position + 1 + length), table.u16(at) != 0 {
                units.append(table.u16(at))
                at += 2
            }
            names.append(String(decoding: units, as: UTF16.self))
            position += 1 + length
        }
        return names
    }
}
