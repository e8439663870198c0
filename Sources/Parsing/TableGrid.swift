/// A table of a document whose cells may cover several rows or columns.
///
/// Written out, each covered place holds the cell's text, so that a row read alone is whole; header rows above each other become one:
///
///     Route |   Summer     |             Route | Summer first | Summer last
///           | first | last |      ->     Holm  | 06:10        | 22:45
///     Holm  | 06:10 | 22:45|             Ostby | 06:40        | 22:45
///     Ostby | 06:40 |   "  |
struct TableGrid {
    struct Cell {
        var text: String
        var columns = 1
        var rows = 1
    }
    /// One place of the grid.
    private struct Place {
        var text = ""
        /// The cell that covers it, counted through the table.
        var cell: Int?
        var columns = 1
    }

    private var rows: [(places: [Place], isHeader: Bool)] = []
    /// Cells of the rows above that reach further down, by column.
    private var reaching: [Int: (place: Place, rows: Int)] = [:]
    private var cellCount = 0
    private static let columnLimit = 500

    var isEmpty: Bool { rows.isEmpty }

    /// Adds a row; covered places are not given, the grid knows them.
    ///
    /// - Parameter skipped: Columns before the first cell that the row leaves out.
    mutating func add(_ cells: [Cell], isHeader: Bool = false, skipped: Int = 0) {
        var places = [Place](repeating: Place(), count: min(Self.columnLimit, max(0, skipped)))
        func takeReaching() {
            while let above = reaching[places.count], places.count < Self.columnLimit {
                reaching[places.count] = above.rows > 1 ? (above.place, above.rows - 1) : nil
                places.append(above.place)
            }
        }
        for cell in cells where places.count < Self.columnLimit {
            takeReaching()
            let columns = max(1, min(cell.columns, Self.columnLimit - places.count))
            let place = Place(text: cell.text.trimmed, cell: cellCount, columns: columns)
            cellCount += 1
            for _ in 0..<columns {
                if cell.rows > 1 { reaching[places.count] = (place, min(cell.rows, 100_000) - 1) }
                places.append(place)
            }
        }
        takeReaching()
        rows.append((places, isHeader))
    }

    /// Whether the first row names the columns by its look: words, or years, over rows with numbers.
    var looksHeaded: Bool {
        guard let first = rows.first?.places.map(\.text), first.count > 1 else { return false }
        let rest = rows.dropFirst().map { $0.places.map(\.text) }
        return SheetWriter.isHeader(first, above: rest) && rest.contains { $0.contains(where: SheetWriter.isNumeric) }
    }

    /// Writes the rows.
    ///
    /// - Parameter startsWithHeader: Whether the first row names the columns though it is not marked.
    func write(to builder: inout DocumentBuilder, startsWithHeader: Bool) throws(Refusal) {
        var first = 0
        // A title over the whole width is no header.
        while first + 2 < rows.count, let title = title(first) {
            if !title.isEmpty { try builder.note(title) }
            first += 1
        }
        let rest = rows[first...]
        let count = headerCount(rest, startsWithHeader: startsWithHeader)
        builder.beginTable()
        if count > 0 { try builder.tableRow(Self.joined(rest.prefix(count).map { $0.places.map(\.text) }), isHeader: true) }
        for row in rest.dropFirst(count) { try builder.tableRow(texts(row.places)) }
        builder.endTable()
    }

    /// The text of a row that is one cell over all columns, when the next row has several.
    private func title(_ index: Int) -> String? {
        let places = rows[index].places
        guard places.count > 1, places[0].columns == places.count, rows[index + 1].places.filter({ !$0.text.isEmpty }).count > 1 else {
            return nil
        }
        return Set(rows[index + 1].places.map(\.cell)).count > 1 ? places[0].text : nil
    }

    private func texts(_ places: [Place]) -> [String] {
        // One cell over the whole row says its text once.
        if places.count > 1, places[0].columns == places.count { return [places[0].text] }
        return places.map(\.text)
    }

    private func headerCount(_ rows: ArraySlice<(places: [Place], isHeader: Bool)>, startsWithHeader: Bool) -> Int {
        guard rows.count > 1, let top = rows.first else { return 0 }
        let marked = rows.prefix { $0.isHeader }.count
        if marked == rows.count { return 1 }
        var count = marked
        let hasSpans = top.places.contains { $0.columns > 1 && $0.columns < top.places.count }
        if count == 0 {
            // A row of spans over a row of names is a header even where nobody said so.
            guard startsWithHeader || hasSpans && secondNames(rows) else { return 0 }
            count = 1
        }
        if count == 1, rows.count > 2, hasSpans, secondNames(rows) { count = 2 }
        // Cells of the header that reach down take their rows with them.
        let header = rows.prefix(count)
        let ends = Set(header.last!.places.compactMap(\.cell))
        while count + 1 < rows.count, count < 5 {
            let next = rows[rows.startIndex + count].places
            let covered = next.filter { $0.cell.map(ends.contains) ?? false }.count
            guard covered > 0, next.allSatisfy({ !SheetWriter.isNumeric($0.text) || SheetWriter.isYear($0.text) }) else { break }
            count += 1
        }
        return count
    }

    /// Whether the second row goes on with naming columns: under cells that span, words; under the others, nothing, or words where the rows
    /// below have numbers.
    private func secondNames(_ rows: ArraySlice<(places: [Place], isHeader: Bool)>) -> Bool {
        guard rows.count > 2 else { return false }
        let top = rows[rows.startIndex].places
        let second = rows[rows.startIndex + 1].places
        let third = rows[rows.startIndex + 2].places
        guard second.count == top.count, second.allSatisfy({ $0.text.utf8.count <= 60 }) else { return false }
        var under: [Int] = []
        var beside: [Int] = []
        for index in top.indices {
            if top[index].columns > 1 { under.append(index) } else if second[index].cell != top[index].cell { beside.append(index) }
        }
        let names = under.map { second[$0] }
        guard names.allSatisfy({ $0.columns == 1 && !$0.text.isEmpty && (!SheetWriter.isNumeric($0.text) || SheetWriter.isYear($0.text)) })
        else {
            return false
        }
        if beside.allSatisfy({ second[$0].text.isEmpty }) { return true }
        return under.contains {
            third.indices.contains($0) && SheetWriter.isNumeric(third[$0].text) && !SheetWriter.isNumeric(second[$0].text)
        }
    }

    /// Header rows as one: each column gets the different texts above it.
    static func joined(_ rows: [[String]]) -> [String] {
        (0..<(rows.map(\.count).max() ?? 0)).map { column in
            var parts: [String] = []
            for row in rows where column < row.count && !row[column].isBlank && parts.last != row[column] { parts.append(row[column]) }
            return parts.joined(separator: " ")
        }
    }
}
