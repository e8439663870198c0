import Foundation

/// Excel's binary format ([MS-XLS], BIFF5 and BIFF8): a stream of records, one part for the workbook and one for each sheet.
struct LegacyExcel {
    private let data: [UInt8]
    private var strings: [String] = []
    private var formats: [CellFormat] = []
    private var custom: [Int: CellFormat] = [:]
    private var formatIDs: [Int] = []
    private var is1904 = false
    private var isBIFF8 = true
    private var codePage = 1252
    private var sheets: [(name: String, offset: Int, isHidden: Bool)] = []
    private var keepsHidden = true
    /// What fonts change, and the font of each cell style.
    private var fonts: [(font: SymbolFont?, isStruck: Bool)] = []
    private var fontIDs: [Int] = []

    static func parse(_ file: CompoundFile, name: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let data = file.stream("Workbook") ?? file.stream("Book"), data.u16(0) == 0x0809 else {
            throw .malformed("\(name) has no readable workbook stream")
        }
        var parser = LegacyExcel(data: data)
        parser.keepsHidden = context.limits.keepsHidden
        try parser.readGlobals(name)
        var builder = context.builder
        for (index, sheet) in parser.sheets.enumerated() {
            builder.page = index + 1
            if sheet.isHidden, !parser.keepsHidden { continue }
            let (writer, notes) = parser.readSheet(sheet.offset)
            try builder.heading(sheet.name + (sheet.isHidden ? " [hidden sheet]" : ""), level: 1)
            try writer.write(to: &builder)
            for note in notes { try builder.note(note) }
        }
        let (title, properties) = file.summary()
        return builder.finish(title: title, mimeType: "application/vnd.ms-excel", pageCount: parser.sheets.count, properties: properties)
    }

    private init(data: [UInt8]) { self.data = data }

    /// Calls `body` for each record from `offset` to the end of its part.
    private func records(from offset: Int, _ body: (_ type: Int, _ start: Int, _ length: Int) -> Bool) {
        var position = offset
        while position + 4 <= data.count {
            let type = Int(data.u16(position))
            let length = Int(data.u16(position + 2))
            guard position + 4 + length <= data.count else { return }
            if !body(type, position + 4, length) || type == 0x000A { return }
            position += 4 + length
        }
    }

    private mutating func readGlobals(_ name: String) throws(Refusal) {
        var isEncrypted = false
        var table: [(start: Int, length: Int)] = []
        var wasTable = false
        var found: [(Int, Int, Int)] = []
        records(from: 0) { type, start, length in
            if type == 0x002F { isEncrypted = true }
            if type == 0x00FC {
                table.append((start, length))
                wasTable = true
            } else if type == 0x003C, wasTable {
                table.append((start, length))
            } else {
                wasTable = false
                found.append((type, start, length))
            }
            return true
        }
        if isEncrypted { throw .encrypted("\(name) needs a password; save it without one and try again") }
        isBIFF8 = data.u16(4) == 0x0600
        for (type, start, length) in found {
            switch type {
            case 0x0042: codePage = Int(data.u16(start))
            case 0x0022: is1904 = data.u16(start) == 1
            case 0x0085:
                let size = Int(data[start + min(6, max(0, length - 1))])
                let text = isBIFF8 ? wideString(start + 7, count: size, end: start + length).text : narrow(start + 7, size)
                sheets.append((text, Int(data.u32(start)), length > 4 && data[start + 4] & 3 != 0))
            case 0x0031 where length > 14:
                let name =
                    isBIFF8
                    ? wideString(start + 15, count: Int(data[start + 14]), end: start + length).text
                    : narrow(start + 15, Int(data[start + 14]))
                fonts.append((SymbolFont(name: name), data.u16(start + 2) & 8 != 0))
            case 0x041E:
                let id = Int(data.u16(start))
                let code =
                    isBIFF8
                    ? wideString(start + 4, count: Int(data.u16(start + 2)), end: start + length).text
                    : narrow(start + 3, Int(data.u16(start + 2) & 0xFF))
                custom[id] = CellFormat(code: code)
            case 0x00E0:
                formatIDs.append(Int(data.u16(start + 2)))
                // There is no font 4.
                let font = Int(data.u16(start))
                fontIDs.append(font > 4 ? font - 1 : font)
            default: break
            }
        }
        formats = formatIDs.map { custom[$0] ?? CellFormat(builtIn: $0) }
        readStrings(table)
        if sheets.isEmpty { sheets = [("Sheet1", 0, false)] }
    }

    private func narrow(_ offset: Int, _ count: Int) -> String {
        guard offset < data.count else { return "" }
        let slice = data[offset..<min(data.count, offset + count)]
        return TextDecoder.convert(slice, from: TextDecoder.codePage(codePage))?.text ?? String(decoding: slice, as: UTF8.self)
    }

    /// A string with its flag byte: one byte a character, or two.
    private func wideString(_ offset: Int, count: Int, end: Int) -> (text: String, next: Int) {
        guard offset < end else { return ("", end) }
        let isWide = data[offset] & 1 != 0
        var units: [UInt16] = []
        var position = offset + 1
        for _ in 0..<count {
            guard position + (isWide ? 2 : 1) <= end else { break }
            units.append(isWide ? data.u16(position) : UInt16(data[position]))
            position += isWide ? 2 : 1
        }
        return (String(decoding: units, as: UTF16.self), position)
    }

    /// The shared strings, which run on through CONTINUE records; a string cut there starts anew with its flag byte.
    private mutating func readStrings(_ table: [(start: Int, length: Int)]) {
        guard let first = table.first else { return }
        let total = Int(data.u32(first.start + 4))
        var part = 0
        var position = first.start + 8
        var end = first.start + first.length
        func isAtEnd() -> Bool { position >= end }
        func nextPart() -> Bool {
            guard part + 1 < table.count else { return false }
            part += 1
            position = table[part].start
            end = position + table[part].length
            return true
        }
        func skip(_ count: Int) {
            var left = count
            while left > 0 {
                if isAtEnd(), !nextPart() { return }
                let step = min(left, end - position)
                position += step
                left -= step
            }
        }
        while strings.count < min(total, 5_000_000) {
            if isAtEnd(), !nextPart() { return }
            guard position + 3 <= end else { return }
            let count = Int(data.u16(position))
            var flags = data[position + 2]
            position += 3
            let runCount = flags & 8 != 0 ? Int(data.u16(position)) : 0
            if flags & 8 != 0 { position += 2 }
            let extensionSize = flags & 4 != 0 ? Int(data.u32(position)) : 0
            if flags & 4 != 0 { position += 4 }
            var units: [UInt16] = []
            while units.count < count {
                if isAtEnd() {
                    guard nextPart() else { break }
                    flags = data[position]
                    position += 1
                }
                if flags & 1 != 0 {
                    guard position + 2 <= end else {
                        position = end
                        continue
                    }
                    units.append(data.u16(position))
                    position += 2
                } else {
                    units.append(UInt16(data[position]))
                    position += 1
                }
            }
            skip(runCount * 4 + min(extensionSize, data.count))
            strings.append(String(decoding: units, as: UTF16.self))
        }
    }

    private func number(_ value: Double, _ style: Int) -> String {
        formats.indices.contains(style) ? formats[style].format(value, is1904: is1904) : CellFormat.general(value)
    }

    /// A cell's text as its font shows it.
    private func text(_ text: String, _ style: Int) -> String {
        var text = formats.indices.contains(style) ? formats[style].format(text: text) : text
        guard fontIDs.indices.contains(style), fonts.indices.contains(fontIDs[style]) else { return SymbolFont.readable(text, font: nil) }
        let look = fonts[fontIDs[style]]
        text = SymbolFont.readable(text, font: look.font)
        return look.isStruck && !text.isBlank ? "[struck out] " + text : text
    }

    /// A number in four bytes: an integer or the upper half of a double, perhaps in hundredths.
    private static func compact(_ bits: UInt32) -> Double {
        let value = bits & 2 != 0 ? Double(Int32(bitPattern: bits) >> 2) : Double(bitPattern: UInt64(bits & 0xFFFF_FFFC) << 32)
        return bits & 1 != 0 ? value / 100 : value
    }

    private func readSheet(_ offset: Int) -> (SheetWriter, [String]) {
        var rows: [Int: [(column: Int, text: String)]] = [:]
        var notes: [String] = []
        var pendingString: (row: Int, column: Int, style: Int)?
        var writer = SheetWriter()
        writer.keepsHidden = keepsHidden
        var hidden: Set<Int> = []
        func add(_ row: Int, _ column: Int, _ text: String) { rows[row, default: []].append((column, text)) }
        records(from: offset) { type, start, length in
            let row = Int(data.u16(start))
            let column = Int(data.u16(start + 2))
            let style = Int(data.u16(start + 4))
            switch type {
            case 0x00FD where length >= 10:
                let index = Int(data.u32(start + 6))
                if strings.indices.contains(index) { add(row, column, text(strings[index], style)) }
            case 0x0208 where length >= 14: if data.u16(start + 12) & 0x20 != 0 { hidden.insert(row) }
            case 0x007D where length >= 10:
                let last = Int(data.u16(start + 2))
                if data.u16(start + 8) & 1 != 0, row <= last { writer.hide(columns: row...last) }
            case 0x00E5 where length >= 2:
                for index in 0..<min(row, (length - 2) / 8) {
                    let area = (0..<4).map { Int(data.u16(start + 2 + index * 8 + $0 * 2)) }
                    if area[0] <= area[1], area[2] <= area[3] { writer.merge(rows: area[0]...area[1], columns: area[2]...area[3]) }
                }
            case 0x0204, 0x00D6:
                let count = Int(data.u16(start + 6))
                let value =
                    isBIFF8
                    ? wideString(start + 8, count: count, end: start + length).text : narrow(start + 8, min(count, max(0, length - 8)))
                add(row, column, text(value, style))
            case 0x0203 where length >= 14: add(row, column, number(data.f64(start + 6), style))
            case 0x027E where length >= 10: add(row, column, number(Self.compact(data.u32(start + 6)), style))
            case 0x00BD:
                var position = start + 4
                var next = column
                while position + 6 <= start + length - 2 {
                    add(row, next, number(Self.compact(data.u32(position + 2)), Int(data.u16(position))))
                    position += 6
                    next += 1
                }
            case 0x0006 where length >= 14:
                if data.u16(start + 12) == 0xFFFF {
                    switch data[start + 6] {
                    case 0: pendingString = (row, column, style)
                    case 1: add(row, column, data[start + 8] != 0 ? "TRUE" : "FALSE")
                    default: break
                    }
                } else {
                    add(row, column, number(data.f64(start + 6), style))
                }
            case 0x0207:
                if let cell = pendingString {
                    let count = Int(data.u16(start))
                    add(
                        cell.row, cell.column,
                        isBIFF8
                            ? wideString(start + 2, count: count, end: start + length).text
                            : narrow(start + 2, min(count, max(0, length - 2))))
                    pendingString = nil
                }
            case 0x0205 where length >= 8: if data[start + 7] == 0 { add(row, column, data[start + 6] != 0 ? "TRUE" : "FALSE") }
            case 0x0014, 0x0015:
                guard length > 3 else { break }
                let text =
                    isBIFF8
                    ? wideString(start + 2, count: Int(data.u16(start)), end: start + length).text : narrow(start + 1, Int(data[start]))
                let clean = SpreadsheetParser.headerText(text)
                if !clean.isBlank { notes.append(clean) }
            default: break
            }
            return true
        }
        for row in rows.keys.sorted() {
            writer.add(row: row, cells: rows[row]!.sorted { $0.column < $1.column }, isHidden: hidden.contains(row))
        }
        return (writer, notes)
    }
}
