/// Writes the cells of one sheet as table rows, leaving out columns that are empty throughout.
///
/// A sheet may hold several tables with blank rows or columns between them; each gets its own header, if it has one. A merged cell's
/// value stands in each place that it covers, two header rows become one, and what is hidden is marked or left out.
struct SheetWriter {
    typealias Row = (index: Int, cells: [(column: Int, text: String)])
    private var rows: [Row] = []
    private var hiddenRows: Set<Int> = []
    private var hiddenColumns: [ClosedRange<Int>] = []
    private var merges: [(rows: ClosedRange<Int>, columns: ClosedRange<Int>)] = []
    /// Whether hidden rows and columns are written at all.
    var keepsHidden = true

    /// Rows come in order; cells in a row too. Empty cells need not be added.
    mutating func add(row: Int, cells: [(column: Int, text: String)], isHidden: Bool = false) {
        let filled = cells.filter { !$0.text.isBlank }
        if filled.isEmpty { return }
        if isHidden {
            if !keepsHidden { return }
            hiddenRows.insert(row)
        }
        rows.append((row, filled))
    }

    /// Names columns that the sheet does not show.
    mutating func hide(columns: ClosedRange<Int>) {
        if hiddenColumns.count < 1000 { hiddenColumns.append(columns) }
    }

    /// Joins cells to one, as the sheet shows them; its text is that of the first.
    mutating func merge(rows: ClosedRange<Int>, columns: ClosedRange<Int>) {
        if merges.count < 100_000, rows.count > 1 || columns.count > 1 { merges.append((rows, columns)) }
    }

    /// Changes the text of a cell that was added.
    mutating func change(row: Int, column: Int, _ body: (String) -> String) {
        guard let index = position(of: row), let cell = rows[index].cells.firstIndex(where: { $0.column == column }) else { return }
        let text = rows[index].cells[cell].text
        rows[index].cells[cell].text = body(text)
    }

    /// Where a row lies in `rows`, which are sorted.
    private func position(of row: Int) -> Int? {
        let index = firstPosition(from: row)
        return index < rows.count && rows[index].index == row ? index : nil
    }

    private func firstPosition(from row: Int) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].index < row { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func isHidden(column: Int) -> Bool { hiddenColumns.contains { $0.contains(column) } }

    // MARK: - Writing

    /// Writes all tables of the sheet.
    func write(to builder: inout DocumentBuilder) throws(Refusal) {
        var copy = self
        copy.prepare()
        try copy.writeGroups(to: &builder)
    }

    private mutating func prepare() {
        if zip(rows, rows.dropFirst()).contains(where: { $0.index > $1.index }) { rows.sort { $0.index < $1.index } }
        if !keepsHidden, !hiddenColumns.isEmpty {
            let hidden = hiddenColumns
            for index in rows.indices { rows[index].cells.removeAll { cell in hidden.contains { $0.contains(cell.column) } } }
            rows.removeAll { $0.cells.isEmpty }
        }
        // Filling what merged cells cover, within bounds: a merge may name the whole sheet.
        var filledLeft = 500_000
        var rowsLeft = 5_000_000
        for merge in merges {
            guard let top = position(of: merge.rows.lowerBound),
                let text = rows[top].cells.first(where: { $0.column == merge.columns.lowerBound })?.text
            else { continue }
            var index = top
            while index < rows.count, rows[index].index <= merge.rows.upperBound, filledLeft > 0, rowsLeft > 0 {
                defer { index += 1 }
                rowsLeft -= 1
                let others = rows[index].cells.contains { !merge.columns.contains($0.column) }
                // Alone in its row it is a title, whose columns say nothing.
                guard others else { continue }
                for column in merge.columns.prefix(256) where !rows[index].cells.contains(where: { $0.column == column }) {
                    rows[index].cells.append((column, text))
                    filledLeft -= 1
                }
                rows[index].cells.sort { $0.column < $1.column }
            }
        }
    }

    private func writeGroups(to builder: inout DocumentBuilder) throws(Refusal) {
        var groups: [Range<Int>] = []
        var start = 0
        while start < rows.count {
            var end = start + 1
            while end < rows.count, rows[end].index <= rows[end - 1].index + 1 { end += 1 }
            groups.append(start..<end)
            start = end
        }
        for (index, group) in groups.enumerated() {
            // One line alone before a table is its title.
            if group.count == 1, rows[group.lowerBound].cells.count == 1 {
                let next = index + 1 < groups.count ? groups[index + 1] : nil
                let text = rowText(rows[group.lowerBound])
                let isTitle = next.map { $0.count > 1 && rows[$0.upperBound - 1].cells.count > 1 } ?? false
                try title(text, isHeading: isTitle, to: &builder)
                continue
            }
            for part in tables(rows[group]) { try write(part[...], to: &builder) }
        }
    }

    private func rowText(_ row: Row) -> String { (hiddenRows.contains(row.index) ? "[hidden] " : "") + row.cells[0].text }

    private func title(_ text: String, isHeading: Bool, to builder: inout DocumentBuilder) throws(Refusal) {
        if isHeading, text.utf8.count <= 150, !Self.isNumeric(text), !text.contains("\n") {
            try builder.heading(text, level: 2)
        } else {
            try builder.lines(text)
        }
    }

    /// Tables that stand beside each other with an empty column between them, when each has a header and a first column of names.
    private func tables(_ group: ArraySlice<Row>) -> [[Row]] {
        var used: Set<Int> = []
        for row in group { for cell in row.cells { used.insert(cell.column) } }
        let columns = used.sorted()
        guard columns.count >= 4 else { return [Array(group)] }
        var blocks: [ClosedRange<Int>] = []
        var first = columns[0]
        for (left, right) in zip(columns, columns.dropFirst()) where right > left + 1 {
            blocks.append(first...left)
            first = right
        }
        blocks.append(first...columns.last!)
        guard blocks.count > 1, blocks.count <= 20 else { return [Array(group)] }
        var parts: [[Row]] = []
        for block in blocks {
            let part: [Row] = group.compactMap { row in
                let cells = row.cells.filter { block.contains($0.column) }
                return cells.isEmpty ? nil : (row.index, cells)
            }
            let width = Set(part.flatMap { $0.cells.map(\.column) }).count
            guard width >= 2, let header = Self.headerIndex(aligned(part).rows)?.first else { return [Array(group)] }
            let names = part.dropFirst(header + 1).map { $0.cells[0] }
            guard names.count >= 1, names.allSatisfy({ $0.column == block.lowerBound && !Self.isNumeric($0.text) }),
                Set(names.map(\.text)).count * 2 > names.count
            else { return [Array(group)] }
            parts.append(part)
        }
        return parts
    }

    /// Rows with a text for each used column.
    private func aligned(_ group: [Row]) -> (rows: [[String]], columns: [Int]) {
        var used: Set<Int> = []
        for row in group { for cell in row.cells { used.insert(cell.column) } }
        let columns = used.sorted()
        var position: [Int: Int] = [:]
        for (index, column) in columns.enumerated() { position[column] = index }
        let texts = group.map { row in
            var texts = [String](repeating: "", count: columns.count)
            for cell in row.cells { texts[position[cell.column]!] = cell.text }
            return texts
        }
        return (texts, columns)
    }

    private func write(_ slice: ArraySlice<Row>, to builder: inout DocumentBuilder) throws(Refusal) {
        let group = Array(slice)
        let (texts, columns) = aligned(group)
        if columns.count == 1 {
            // A list, not a table.
            builder.beginTable()
            for (row, cells) in zip(group, texts) { try builder.tableRow(marked(cells, row, columns, isHeader: false, hasHeader: false)) }
            return builder.endTable()
        }
        let header = headerRange(group, texts, columns)
        builder.beginTable()
        var hasTitle = false
        for (offset, row) in group.enumerated() {
            if let header, header.contains(offset) {
                guard offset == header.lowerBound else { continue }
                let names = header.count > 1 ? TableGrid.joined(Array(texts[header])) : texts[offset]
                try builder.tableRow(marked(names, row, columns, isHeader: true, hasHeader: true), isHeader: true)
                continue
            }
            // Titles above the header stand alone; they are text, not a row.
            if row.cells.count == 1, let header, offset < header.lowerBound {
                try title(rowText(row), isHeading: !hasTitle, to: &builder)
                hasTitle = true
                builder.beginTable()
                continue
            }
            try builder.tableRow(
                marked(texts[offset], row, columns, isHeader: false, hasHeader: header != nil && offset > header!.lowerBound))
        }
        builder.endTable()
    }

    /// A row that says what of it the sheet does not show.
    private func marked(_ texts: [String], _ row: Row, _ columns: [Int], isHeader: Bool, hasHeader: Bool) -> [String] {
        var texts = texts
        if !hiddenColumns.isEmpty, isHeader || !hasHeader {
            for (index, column) in columns.enumerated() where !texts[index].isBlank && isHidden(column: column) {
                texts[index] += " [hidden]"
            }
        }
        if hiddenRows.contains(row.index), let first = texts.firstIndex(where: { !$0.isBlank }) {
            texts[first] = "[hidden] " + texts[first]
        }
        return texts
    }

    // MARK: - Headers

    /// The rows that name the columns; several where cells of the first are merged over columns that the next ones name.
    private func headerRange(_ group: [Row], _ texts: [[String]], _ columns: [Int]) -> Range<Int>? {
        for index in texts.indices.prefix(6) where index + 2 < texts.count {
            let own = merges.filter { $0.rows.contains(group[index].index) && $0.columns.count > 1 && $0.columns.lowerBound >= columns[0] }
            // The places of this row that a merge over several columns covers, and those that a merge reaches down from.
            let spanned = columns.indices.filter { column in own.contains { $0.columns.contains(columns[column]) } }
            guard !spanned.isEmpty, spanned.count < columns.count || own.count > 1, group[index].cells.count > 1 else { continue }
            let filled = texts[index].filter { !$0.isBlank }
            guard filled.allSatisfy({ Self.isName($0) }) else { continue }
            let below = texts[index + 1]
            guard spanned.allSatisfy({ !below[$0].isBlank && Self.isName(below[$0]) }) else { continue }
            let others = columns.indices.filter { !spanned.contains($0) }
            let isOpen = others.allSatisfy { below[$0].isBlank || below[$0] == texts[index][$0] }
            let third = texts[index + 2]
            if isOpen
                || others.allSatisfy({ Self.isName(below[$0]) })
                    && spanned.contains(where: { Self.isNumeric(third[$0]) && !Self.isNumeric(below[$0]) })
            {
                return index..<(index + 2)
            }
        }
        return Self.headerIndex(texts)
    }

    /// The row that names the columns, among the first ones; nil when there is none.
    ///
    /// It is nearly full and of short texts that differ, above rows that are as wide. Years, dates and numbers that count up name
    /// columns too, where the rows below hold something else.
    ///
    /// - Parameter rows: Texts column by column, "" where there is none.
    static func headerIndex(_ rows: [[String]]) -> Range<Int>? {
        let width = rows.map(\.count).max() ?? 0
        guard rows.count >= 2, width >= 2 else { return nil }
        // Columns that only titles use do not count.
        let columnCount = (0..<width).count { column in
            rows.prefix(200).contains { row in column < row.count && !row[column].isBlank && row.count { !$0.isBlank } > 1 }
        }
        for index in rows.indices.prefix(6) where index + 1 < rows.count {
            let filled = rows[index].filter { !$0.isBlank }
            guard filled.count >= 2, filled.count * 3 >= columnCount * 2 else { continue }
            guard isHeader(rows[index], above: rows[(index + 1)...].prefix(50)) else { return nil }
            return rows[index + 1].count { !$0.isBlank } * 3 >= columnCount ? index..<(index + 1) : nil
        }
        return nil
    }

    /// Whether a row names the columns of the rows below it.
    static func isHeader(_ row: [String], above rows: some Collection<[String]>) -> Bool {
        guard row.allSatisfy({ $0.utf8.count <= 120 }) else { return false }
        let numeric = row.indices.filter { isNumeric(row[$0]) }
        guard !numeric.isEmpty else { return true }
        // Numbers are names only when they are years, dates or count up, and differ.
        let values = numeric.map { row[$0] }
        guard Set(values).count == values.count else { return false }
        let isCounting = counts(values)
        guard isCounting && values.count >= 3 || values.allSatisfy(isYear) else { return false }
        // A first row of nothing but numbers is data more often than not.
        guard
            numeric.count < row.count(where: { !$0.isBlank }) || isCounting && values.allSatisfy(isYear) && numeric.count > 2
                || row[0].isBlank && isCounting
        else {
            return false
        }
        let below = rows.prefix(20)
        if isCounting, values.count >= 3 { return !below.contains { other in counts(numeric.map { $0 < other.count ? other[$0] : "" }) } }
        // Years below years are data.
        var years = 0
        var others = 0
        for other in below {
            for column in numeric where column < other.count && !other[column].isBlank {
                if isYear(other[column]) { years += 1 } else { others += 1 }
            }
        }
        return others > years
    }

    /// Whether texts are whole numbers each one more, or each one less, than the one before.
    private static func counts(_ texts: [String]) -> Bool {
        let numbers = texts.map { Int($0) }
        guard numbers.count >= 2, let first = numbers[0], let second = numbers[1], abs(first - second) == 1, first >= 0 else {
            return false
        }
        return zip(numbers, numbers.dropFirst()).allSatisfy { left, right in
            left != nil && right != nil && right! &- left! == second - first
        }
    }

    private static func isName(_ text: String) -> Bool { text.utf8.count <= 120 && (!isNumeric(text) || isYear(text)) }

    /// Whether a text is a year, a span of years or a date, which name columns as often as they fill them.
    static func isYear(_ text: String) -> Bool {
        let digits = text.utf8.filter { (0x30...0x39).contains($0) }
        guard digits.count >= 4, text.utf8.count <= 10, text.utf8.allSatisfy({ (0x2D...0x39).contains($0) && $0 != 0x2E }) else {
            return false
        }
        guard let year = Int(text.prefix(4)), (1500...2200).contains(year) else { return false }
        return digits.count == 4 || digits.count == 6 || digits.count == 8
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
