/// Writes the cells of one sheet as table rows, leaving out columns that are empty throughout.
///
/// A sheet may hold several tables with blank rows between them; each such group gets its own header, if it has one.
struct SheetWriter {
    typealias Row = (index: Int, cells: [(column: Int, text: String)])
    private var rows: [Row] = []

    /// Rows come in order; cells in a row too. Empty cells need not be added.
    mutating func add(row: Int, cells: [(column: Int, text: String)]) {
        let filled = cells.filter { !$0.text.isBlank }
        if !filled.isEmpty { rows.append((row, filled)) }
    }

    func write(to builder: inout DocumentBuilder) throws(Refusal) {
        var start = 0
        while start < rows.count {
            var end = start + 1
            while end < rows.count, rows[end].index <= rows[end - 1].index + 1 { end += 1 }
            try write(rows[start..<end], to: &builder)
            start = end
        }
    }

    private func write(_ group: ArraySlice<Row>, to builder: inout DocumentBuilder) throws(Refusal) {
        var used: Set<Int> = []
        for row in group { for cell in row.cells { used.insert(cell.column) } }
        let columns = used.sorted()
        var position: [Int: Int] = [:]
        for (index, column) in columns.enumerated() { position[column] = index }
        let headerIndex = Self.headerIndex(
            group.map { $0.cells.map(\.text) },
            columnCount: Set(group.filter { $0.cells.count > 1 }.flatMap { $0.cells.map(\.column) }).count)
        builder.beginTable()
        for (offset, row) in group.enumerated() {
            // Titles above the header stand alone; they are text, not a row.
            if row.cells.count == 1, let headerIndex, offset < headerIndex {
                try builder.paragraph(row.cells[0].text)
                if offset + 1 == headerIndex { builder.beginTable() }
                continue
            }
            var texts = [String](repeating: "", count: columns.count)
            for cell in row.cells { texts[position[cell.column]!] = cell.text }
            try builder.tableRow(texts, isHeader: offset == headerIndex)
        }
        builder.endTable()
    }

    /// The row that names the columns: nearly full, all words, and above rows that are as wide; nil when there is none.
    static func headerIndex(_ rows: [[String]], columnCount: Int) -> Int? {
        guard rows.count >= 2, columnCount >= 2 else { return nil }
        for (index, row) in rows.prefix(6).enumerated() where index + 1 < rows.count {
            guard row.count * 3 >= columnCount * 2, row.count >= 2 else { continue }
            guard row.allSatisfy({ !isNumeric($0) && $0.utf8.count <= 120 }) else { return nil }
            return rows[index + 1].count * 3 >= columnCount ? index : nil
        }
        return nil
    }

    static func isNumeric(_ text: String) -> Bool {
        var hasDigit = false
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39: hasDigit = true
            case 0x20, 0x24, 0x25, 0x28, 0x29, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x3A, 0x45, 0x65, 0xC2, 0xA0, 0xA3, 0xA5, 0xE2, 0x82, 0xAC:
                break
            default: return false
            }
        }
        return hasDigit
    }
}

extension SheetWriter {
    /// Whether a text is a year, a span of years or a date, which name columns as often as they fill them.
    static func isYear(_ text: String) -> Bool {
        let digits = text.utf8.filter { (0x30...0x39).contains($0) }
        guard digits.count >= 4, text.utf8.count <= 10, text.utf8.allSatisfy({ (0x2D...0x39).contains($0) && $0 != 0x2E }) else {
            return false
        }
        guard let year = Int(text.prefix(4)), (1500...2200).contains(year) else { return false }
        return digits.count == 4 || digits.count == 6 || digits.count == 8
    }
}
