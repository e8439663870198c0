import Foundation

/// Finds tables among the lines of a page. See `PageLayout` for the idea.
struct TableFinder {
    struct Table {
        var rows: [[String]]
        var hasHeader: Bool
        /// Indices of the lines that the table took.
        var lines: Set<Int>
        /// Titles inside the table's frame, above its header.
        var captions: [String] = []
        /// Where the columns lie, from left to right.
        var columns: [(xMin: Float, xMax: Float)] = []
        var yMin: Float = 0
        var yMax: Float = 0
        /// Whether lines part its cells.
        var isRuled = false
        fileprivate var segments: Set<Int> = []

        init(rows: [[String]], hasHeader: Bool, lines: Set<Int>) {
            self.rows = rows
            self.hasHeader = hasHeader
            self.lines = lines
        }
    }

    /// A run of words without a wide gap.
    private struct Segment {
        var xMin: Float
        var xMax: Float
        var yMin: Float
        var yMax: Float
        var text: String
        var wordCount: Int
        /// The line it was cut from, and its number in `segments`; after merging, those of all its parts.
        var line: Int
        var parts: [Int]
        var height: Float { yMax - yMin }
        var middle: Float { (yMin + yMax) / 2 }
        var isNumeric: Bool { SheetWriter.isNumeric(text) || ["—", "–", "-", "$", "*", "N/A", "n/a", "%"].contains(text) }
    }
    private struct Row {
        var cells: [Segment]
        var yMin: Float
        var yMax: Float
        var height: Float { yMax - yMin }
        var middle: Float { (yMin + yMax) / 2 }
    }

    private let page: PageContent
    private let lines: [PageContent.Line]
    private let previous: [(xMin: Float, xMax: Float)]
    private let join: ([String]) -> String
    private var ruledLines: Set<Int> = []

    /// - Parameters:
    ///   - previous: The columns of a table at the end of the page before, which may go on here.
    ///   - join: Makes one text of the lines of a cell.
    init(
        page: PageContent, lines: [PageContent.Line], previous: [(xMin: Float, xMax: Float)] = [],
        join: @escaping ([String]) -> String = { $0.joined(separator: " ") }
    ) {
        self.page = page
        self.lines = lines
        self.previous = previous
        self.join = join
    }

    mutating func tables() -> [Table] {
        guard lines.count >= (previous.isEmpty ? 3 : 1), lines.count < 20_000 else { return [] }
        let ruled = page.rules.isEmpty ? [] : RuledTableFinder(page: page, lines: lines, join: join).tables()
        ruledLines = ruled.reduce(into: []) { $0.formUnion($1.lines) }
        return ruled + unruledTables()
    }

    private func unruledTables() -> [Table] {
        let segments = segments()
        let gutters = gutters(segments)
        var bands = [[Segment]](repeating: [], count: gutters.count + 1)
        var bandOfLine: [Int: Int] = [:]
        for segment in segments {
            // A line goes into one band whole, so that a table takes all of it or nothing.
            let band = bandOfLine[segment.line] ?? gutters.firstIndex { segment.xMin < $0 } ?? gutters.count
            bandOfLine[segment.line] = band
            bands[band].append(segment)
        }
        var tables: [Table] = []
        if !gutters.isEmpty {
            // A table as wide as the page, over columns of prose: short cells on both sides of the gutter, row after row.
            for table in self.tables(in: segments, all: segments) {
                let cells = table.segments.map { segments[$0] }
                guard table.rows.count >= 4, table.rows[0].count >= 4, cells.allSatisfy({ $0.wordCount <= 6 }) else { continue }
                guard table.rows.count(where: { row in row.count { !$0.isEmpty } >= 3 }) * 2 > table.rows.count else { continue }
                let hasBothSides = gutters.contains { x in
                    cells.count { $0.xMax < x } * 4 > cells.count && cells.count { $0.xMin > x } * 4 > cells.count
                }
                if hasBothSides { tables.append(table) }
            }
            let taken = tables.reduce(into: Set<Int>()) { $0.formUnion($1.lines) }
            for index in bands.indices { bands[index].removeAll { taken.contains($0.line) } }
        }
        tables += bands.flatMap { self.tables(in: $0, all: segments) }
        // Should a row have taken only parts of a line, the others follow the table: nothing is lost.
        for index in tables.indices {
            for (number, segment) in segments.enumerated()
            where tables[index].lines.contains(segment.line) && !tables[index].segments.contains(number) {
                tables[index].rows.append([segment.text])
            }
        }
        return tables
    }

    /// Cuts lines where a gap is wider than a space can be.
    private func segments() -> [Segment] {
        var result: [Segment] = []
        for (index, line) in lines.enumerated() where !line.isForm && !ruledLines.contains(index) {
            var current: Segment?
            for word in line.words {
                // Sideways text belongs to no row.
                if word.height > max(40, (word.xMax - word.xMin) * 6), word.text.count > 2 { continue }
                if var open = current {
                    let gap = word.xMin - open.xMax
                    if gap < max(open.height, word.height) * 0.8, gap > -open.height * 2 {
                        open.xMax = max(open.xMax, word.xMax)
                        open.yMin = min(open.yMin, word.yMin)
                        open.yMax = max(open.yMax, word.yMax)
                        open.text += " " + word.text
                        open.wordCount += 1
                        current = open
                        continue
                    }
                    result.append(open)
                }
                current = Segment(
                    xMin: word.xMin, xMax: word.xMax, yMin: word.yMin, yMax: word.yMax, text: word.text, wordCount: 1, line: index,
                    parts: [])
            }
            if let current { result.append(current) }
        }
        for index in result.indices { result[index].parts = [index] }
        return result
    }

    /// Places between columns of prose: hardly any long segment crosses them, and both sides have many.
    private func gutters(_ segments: [Segment]) -> [Float] {
        let prose = segments.filter { $0.wordCount >= 4 && $0.xMax - $0.xMin < page.width * 0.62 && $0.xMax - $0.xMin > page.width * 0.12 }
        guard prose.count >= 16, page.width > 1 else { return [] }
        let bucketCount = 200
        var coverage = [Int](repeating: 0, count: bucketCount)
        func bucket(_ x: Float) -> Int { min(bucketCount - 1, max(0, Int(x / page.width * Float(bucketCount)))) }
        for segment in segments where segment.wordCount >= 4 {
            for index in bucket(segment.xMin)...bucket(segment.xMax) { coverage[index] += 1 }
        }
        let tolerance = max(2, prose.count / 12)
        var gutters: [Float] = []
        var index = bucketCount / 5
        while index < bucketCount * 4 / 5 {
            guard coverage[index] <= tolerance else {
                index += 1
                continue
            }
            var end = index
            var best = index
            while end < bucketCount * 4 / 5, coverage[end] <= tolerance {
                if coverage[end] < coverage[best] { best = end }
                end += 1
            }
            let x = (Float(index + end) / 2) / Float(bucketCount) * page.width
            let left = prose.count { $0.xMax < x + 2 && $0.xMax > x - page.width * 0.25 }
            let right = prose.count { $0.xMin > x - 2 && $0.xMin < x + page.width * 0.2 }
            if left >= 8, right >= 8 { gutters.append(x) }
            index = end + 1
        }
        return gutters
    }

    // MARK: - Rows and regions

    private func rows(_ segments: [Segment]) -> [Row] {
        var rows: [Row] = []
        for segment in segments.sorted(by: { ($0.middle, $0.xMin) < ($1.middle, $1.xMin) }) {
            if let last = rows.last, segment.middle < last.yMax - last.height * 0.25, segment.middle > last.yMin,
                segment.yMax - last.yMin < max(last.height, segment.height) * 1.7
            {
                rows[rows.count - 1].cells.append(segment)
                // The first, unmoved box says where the row is; a chain of overlaps must not swallow the page.
            } else {
                rows.append(Row(cells: [segment], yMin: segment.yMin, yMax: segment.yMax))
            }
        }
        for index in rows.indices {
            rows[index].cells = Self.merged(rows[index].cells.sorted { $0.xMin < $1.xMin })
        }
        return rows
    }

    /// Joins what typesetters set apart: "$" and its number, a number and its "%" or ")".
    private static func merged(_ cells: [Segment]) -> [Segment] {
        var result: [Segment] = []
        for cell in cells {
            guard var last = result.last else {
                result.append(cell)
                continue
            }
            let isSymbol = ["$", "€", "£", "¥", "US$", "($", "$("].contains(last.text) || last.text.hasSuffix(" $")
            let isTail = [")", "%", ")%", "%)", "*", "(1)", "(2)", "(a)", "(b)"].contains(cell.text)
            let gap = cell.xMin - last.xMax
            if (isSymbol && cell.isNumeric) || (isTail && last.isNumeric && gap < last.height * 3) || gap < last.height * 0.35 {
                let joinsTight = isSymbol || isTail
                last.text += joinsTight ? cell.text : " " + cell.text
                last.xMax = max(last.xMax, cell.xMax)
                last.yMax = max(last.yMax, cell.yMax)
                last.yMin = min(last.yMin, cell.yMin)
                last.wordCount += joinsTight ? 0 : cell.wordCount
                last.parts += cell.parts
                result[result.count - 1] = last
            } else {
                result.append(cell)
            }
        }
        return result
    }

    private enum Likeness { case strong, weak, none }

    private func likeness(_ row: Row) -> Likeness {
        let count = row.cells.count
        guard count >= 2 else { return .none }
        let longCount = row.cells.count { $0.wordCount >= 6 }
        let numericCount = row.cells.dropFirst().count { $0.isNumeric }
        if count >= 3, longCount <= 1 { return numericCount > 0 || row.cells.allSatisfy { $0.wordCount <= 5 } ? .strong : .weak }
        if count == 2, numericCount == 1 {
            // A list marker and its text, or an equation and its number, are no row.
            let isMarker = row.cells[0].text.count <= 3 && row.cells[0].wordCount == 1 && !row.cells[0].isNumeric
            return isMarker ? .none : .strong
        }
        if count == 2, longCount == 0, row.cells[0].text.count > 3, !PageLayoutMarker.isMarker(row.cells[0].text) { return .weak }
        if count >= 3, longCount == 2, count >= 4 { return .weak }
        return .none
    }

    private func tables(in segments: [Segment], all: [Segment]) -> [Table] {
        let rows = rows(segments)
        guard rows.count >= (previous.isEmpty ? 2 : 1) else { return [] }
        var kinds = rows.map(likeness)
        var goesOnCount = 0
        // Rows at the top that keep to the columns of the page before, even a single one.
        while goesOnCount < rows.count, goesOnCount < 400, keeps(rows[goesOnCount], to: previous) {
            kinds[goesOnCount] = .strong
            goesOnCount += 1
        }
        guard rows.count >= 2 || goesOnCount > 0 else { return [] }
        var tables: [Table] = []
        var tableEnd: Int?
        var index = 0
        while index < rows.count {
            guard kinds[index] != .none else {
                index += 1
                continue
            }
            var end = index + 1
            var lastCandidate = index
            while end < rows.count {
                let gap = rows[end].yMin - rows[end - 1].yMax
                if gap > max(rows[end].height, rows[end - 1].height) * 2.4,
                    kinds[end] == .none || !(isRuled(rows[end - 1], rows[end]) || repeats(rows[end], rows[index..<end]))
                {
                    break
                }
                if kinds[end] != .none {
                    lastCandidate = end
                } else {
                    // A label between rows, or the second line of a cell; prose ends the region.
                    guard rows[end].cells.count == 1 || rows[end].cells.allSatisfy({ $0.wordCount <= 4 }) else { break }
                    // A label may be long as long as it keeps to the labels' side.
                    let valueStart = rows[index...lastCandidate].filter { $0.cells.count >= 2 }.map { $0.cells[1].xMin }.min() ?? 0
                    guard rows[end].cells[0].wordCount <= 12 || rows[end].cells[0].xMax < valueStart + 2, end - lastCandidate <= 3 else {
                        break
                    }
                }
                end += 1
            }
            // Cells of the last row may have more lines.
            let last = lastCandidate
            while lastCandidate + 1 < end, isRest(rows[lastCandidate + 1], of: rows[last], below: rows[lastCandidate]) {
                lastCandidate += 1
            }
            // A heading over some of the columns stands alone on its line, so the search missed it.
            var start = index
            let labelEnd = rows[index...lastCandidate].compactMap { $0.cells.count >= 2 ? $0.cells[1].xMin : nil }.min() ?? 0
            let startsWithoutLabel = rows[index].cells[0].xMin > labelEnd - rows[index].height * 2
            while startsWithoutLabel, start > 0, index - start < 2, start - 1 > (tableEnd ?? -1), rows[start - 1].cells.count == 1 {
                let above = rows[start - 1]
                guard above.cells[0].wordCount <= 8, above.cells[0].xMin > labelEnd - rows[index].height * 2,
                    rows[start].yMin - above.yMax < rows[index].height * 1.2
                else { break }
                start -= 1
            }
            for part in parts(Array(rows[start...lastCandidate]), Array(kinds[start...lastCandidate])) {
                let range = part.lowerBound + start..<part.upperBound + start
                let (region, kinds) = withWholeCells(Array(rows[range]), Array(kinds[range]))
                if let table = table(region, kinds: kinds, all: all) { tables.append(table) }
            }
            tableEnd = lastCandidate
            index = lastCandidate + 1
        }
        return tables
    }

    /// Whether a line goes on with cells of a row, each under its beginning, the first one aside: that would be a row of its own.
    private func isRest(_ line: Row, of row: Row, below above: Row) -> Bool {
        row.cells.count >= 2 && line.yMin - above.yMax < min(line.height, row.height) * 0.5
            && line.cells.allSatisfy { cell in
                !cell.isNumeric && cell.wordCount <= 8 && row.cells.dropFirst().contains { abs($0.xMin - cell.xMin) < 4 && !$0.isNumeric }
            }
    }

    /// Where a region holds more than one table: at a new row of column names, and where the columns change after a line on its own.
    private func parts(_ region: [Row], _ kinds: [Likeness]) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var lastCut = 0
        var hasNumbers = false
        for index in region.indices {
            let row = region[index]
            let isNumericRow = row.cells.dropFirst().contains(where: \.isNumeric)
            let above = region[lastCut..<index].filter { $0.cells.count >= 2 }
            if kinds[index] != .none, index - lastCut >= 2, above.count >= 2 {
                let labelEnd = above.map { $0.cells[1].xMin }.min()!
                let namesColumns =
                    hasNumbers && row.cells.count >= 2 && row.cells[0].xMin > labelEnd - row.height * 2
                    && row.cells.allSatisfy { !$0.isNumeric || Self.isYear($0.text) }
                    && index + 1 < region.count
                    && region[index...].dropFirst().prefix(4).contains {
                        $0.cells.dropFirst().contains { $0.isNumeric && !Self.isYear($0.text) }
                    }
                let followsLabel = region[index - 1].cells.count == 1
                let cells = above.flatMap(\.cells)
                let aligned = row.cells.count { cell in
                    cells.contains { abs($0.xMin - cell.xMin) < 4 || abs($0.xMax - cell.xMax) < 4 }
                }
                let changesColumns = hasNumbers && followsLabel && row.cells.count >= 2 && aligned * 2 < row.cells.count
                if namesColumns || changesColumns {
                    var cut = index
                    // Lines that stand over the new columns go with them; other lines between are headings, and in no table.
                    while cut - 1 > lastCut + 1, region[cut - 1].cells.count == 1, namesColumns,
                        region[cut - 1].cells[0].xMin > labelEnd - row.height * 2
                    { cut -= 1 }
                    var end = cut
                    while changesColumns, end - 1 > lastCut, region[end - 1].cells.count == 1 { end -= 1 }
                    parts.append(lastCut..<end)
                    lastCut = cut
                    hasNumbers = false
                }
            }
            if isNumericRow, !row.cells.dropFirst().allSatisfy({ !$0.isNumeric || Self.isYear($0.text) }) { hasNumbers = true }
        }
        parts.append(lastCut..<region.count)
        return parts
    }

    static func isYear(_ text: String) -> Bool {
        text.utf8.count == 4 && (text.hasPrefix("19") || text.hasPrefix("20")) && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    /// Whether the row's cells lie in the columns of the page before, most of them filled.
    private func keeps(_ row: Row, to columns: [(xMin: Float, xMax: Float)]) -> Bool {
        guard columns.count >= 2, row.cells.count >= 2, row.cells.count <= columns.count else { return false }
        var used: Set<Int> = []
        for cell in row.cells {
            let fitting = columns.indices.first { index in
                let column = columns[index]
                let left = index > 0 ? columns[index - 1].xMax : -.infinity
                let right = index + 1 < columns.count ? columns[index + 1].xMin : .infinity
                let isAligned =
                    abs(cell.xMin - column.xMin) < 4 || abs(cell.xMax - column.xMax) < 4
                    || (cell.xMin > column.xMin - 4 && cell.xMax < column.xMax + 4)
                return isAligned && cell.xMin > left - 2 && cell.xMax < right + 2
            }
            guard let fitting, used.insert(fitting).inserted else { return false }
        }
        return used.count * 3 >= columns.count * 2
    }

    /// Whether a drawn line parts two rows, over most of their width.
    private func isRuled(_ above: Row, _ below: Row) -> Bool {
        guard below.yMin - above.yMax < max(above.height, below.height) * 8 else { return false }
        return hasRule(page.rules.horizontal, from: above, to: below) || hasRule(page.rules.shades, from: above, to: below)
    }

    private func hasRule(_ rules: [PageRules.Rule], from above: Row, to below: Row) -> Bool {
        let left = max(above.cells[0].xMin, below.cells[0].xMin)
        let right = min(above.cells.map(\.xMax).max()!, below.cells.map(\.xMax).max()!)
        let slack = min(above.height, below.height) * 0.25
        return rules.contains {
            $0.at > above.yMax - slack && $0.at < below.yMin + slack && min($0.to, right) - max($0.from, left) > (right - left) * 0.8
        }
    }

    /// Whether a row that stands apart has the columns of those above it, three at least.
    private func repeats(_ row: Row, _ above: ArraySlice<Row>) -> Bool {
        guard row.cells.count >= 3, let last = above.last, row.yMin - last.yMax < max(row.height, last.height) * 4.5 else { return false }
        return above.contains { other in
            other.cells.count >= 3
                && row.cells.allSatisfy { cell in
                    other.cells.contains {
                        abs($0.xMin - cell.xMin) < 3 || abs($0.xMax - cell.xMax) < 3 || abs($0.xMin + $0.xMax - cell.xMin - cell.xMax) < 8
                    }
                }
        }
    }

    /// Joins the lines of cells that have several, where lines between the rows or the gaps between them say which belong together.
    ///
    /// Gaps speak when there are two kinds of them with nothing between. A line that has a number under a number is a row in any case.
    private func withWholeCells(_ region: [Row], _ kinds: [Likeness]) -> ([Row], [Likeness]) {
        guard region.count >= 2 else { return (region, kinds) }
        let ruled = (1..<region.count).map { isRuled(region[$0 - 1], region[$0]) }
        var startsRow: [Bool]?
        if ruled.count(where: { $0 }) >= 2 {
            startsRow = ruled
        } else {
            let gaps = (1..<region.count).map { region[$0].yMin - region[$0 - 1].yMax }
            let height = region.map(\.height).sorted()[region.count / 2]
            let small = gaps.filter { $0 < height * 0.5 }
            let large = gaps.filter { $0 >= height * 0.5 }
            if let widest = small.max(), let narrowest = large.min(), narrowest > max(widest, height * 0.1) * 1.6 + 0.5, large.count >= 2 {
                startsRow = gaps.map { $0 >= height * 0.5 }
            }
        }
        guard let startsRow else { return (region, kinds) }
        var groups: [Range<Int>] = []
        var start = 0
        for index in 1..<region.count where startsRow[index - 1] {
            groups.append(start..<index)
            start = index
        }
        groups.append(start..<region.count)
        let width = region.map(\.cells.count).max()!
        for group in groups where group.count > 1 {
            guard group.count <= 8 else { return (region, kinds) }
            for index in group.dropFirst() {
                let above = region[group.lowerBound..<index].flatMap(\.cells)
                let isFull = region[index].cells.count == width
                let hasNumberUnderNumber = region[index].cells.contains { cell in
                    cell.isNumeric && above.contains { $0.isNumeric && min($0.xMax, cell.xMax) - max($0.xMin, cell.xMin) > 0 }
                }
                let isLowered = region[index].middle < region[index - 1].yMax
                if hasNumberUnderNumber || (isFull && !isLowered) { return (region, kinds) }
            }
        }
        var rows: [Row] = []
        var rowKinds: [Likeness] = []
        for group in groups {
            var row = region[group.lowerBound]
            for next in region[group].dropFirst() {
                for cell in next.cells {
                    let best = row.cells.indices.max { overlap(row.cells[$0], cell) < overlap(row.cells[$1], cell) }
                    if let best, overlap(row.cells[best], cell) > 0 || abs(row.cells[best].xMin - cell.xMin) < 4 {
                        row.cells[best].text = join([row.cells[best].text, cell.text])
                        row.cells[best].xMin = min(row.cells[best].xMin, cell.xMin)
                        row.cells[best].xMax = max(row.cells[best].xMax, cell.xMax)
                        row.cells[best].yMax = max(row.cells[best].yMax, cell.yMax)
                        row.cells[best].parts += cell.parts
                        // Long for being several lines, not for being prose.
                    } else {
                        row.cells.append(cell)
                    }
                }
                row.yMax = max(row.yMax, next.yMax)
            }
            row.cells.sort { $0.xMin < $1.xMin }
            rows.append(row)
            let members = kinds[group]
            rowKinds.append(
                members.contains(.strong) || row.cells.count >= 3 && !members.allSatisfy { $0 == .none }
                    ? .strong : members.contains(.weak) ? .weak : .none)
        }
        return (rows, rowKinds)
    }

    private func overlap(_ one: Segment, _ two: Segment) -> Float { min(one.xMax, two.xMax) - max(one.xMin, two.xMin) }

    // MARK: - From region to cells

    private func table(_ region: [Row], kinds: [Likeness], all: [Segment]) -> Table? {
        let strongCount = kinds.count { $0 == .strong }
        let candidateCount = kinds.count { $0 != .none }
        let goesOn = candidateCount >= 1 && region.first.map { keeps($0, to: self.previous) } == true
        guard candidateCount >= 2 && (strongCount >= 2 || (candidateCount >= 4 && strongCount >= 1)) || goesOn else { return nil }
        let candidates = zip(region, kinds).filter { $0.1 != .none }.map(\.0)
        // Columns come from the rows with the most cells, as long as there is more than one such row.
        var counts: [Int: Int] = [:]
        for row in candidates { counts[row.cells.count, default: 0] += 1 }
        let width = counts.keys.sorted(by: >).first { counts[$0]! >= 2 } ?? counts.keys.max()!
        guard width >= 2 else { return nil }
        var columns = columns(of: candidates.filter { $0.cells.count == width })
        if columns.count < 2 { columns = self.columns(of: candidates) }
        if goesOn, columns.count <= previous.count, candidates.allSatisfy({ keeps($0, to: self.previous) }) { columns = previous }
        guard columns.count >= 2 else { return nil }
        // Scattered words share no columns; cells of a table start or end where others do.
        let cells = candidates.flatMap(\.cells)
        let aligned = cells.count { cell in
            cells.contains {
                $0.line != cell.line && abs($0.middle - cell.middle) > 1 && (abs($0.xMin - cell.xMin) < 3 || abs($0.xMax - cell.xMax) < 3)
            }
        }
        guard aligned * 10 >= cells.count * 6 || goesOn else { return nil }

        let headerCount = headerRowCount(region, columns)
        let parts = region.flatMap { $0.cells.flatMap(\.parts) }
        var table = Table(rows: [], hasHeader: headerCount > 0, lines: Set(parts.map { all[$0].line }))
        table.segments = Set(parts)
        table.columns = columns
        table.yMin = region.first?.yMin ?? 0
        table.yMax = region.last?.yMax ?? 0
        if headerCount > 0 { table.rows.append(header(Array(region[..<headerCount]), columns)) }
        var previous: Row?
        for row in region[headerCount...] {
            var texts = [String](repeating: "", count: columns.count)
            for cell in row.cells {
                let column = column(of: cell, in: columns)
                texts[column] += texts[column].isEmpty ? cell.text : " " + cell.text
            }
            if let above = previous, continues(row, texts, above, table.rows.last, isFirst: table.rows.count <= (headerCount > 0 ? 1 : 0)) {
                for column in texts.indices where !texts[column].isEmpty {
                    let text = table.rows[table.rows.count - 1][column]
                    table.rows[table.rows.count - 1][column] = text.isEmpty ? texts[column] : text + " " + texts[column]
                }
            } else {
                table.rows.append(texts)
            }
            previous = row
        }
        return table
    }

    /// Whether `row` is the next line of the cells above: words under words, no label of its own, no numbers.
    private func continues(_ row: Row, _ texts: [String], _ above: Row, _ last: [String]?, isFirst: Bool) -> Bool {
        guard let last, !isFirst else { return false }
        guard row.yMin - above.yMax < min(row.height, above.height) * 0.5 else { return false }
        let hasNumbers = row.cells.contains(where: \.isNumeric)
        if texts[0].isEmpty {
            let isAligned = row.cells.allSatisfy { cell in
                above.cells.contains { abs($0.xMin - cell.xMin) < 4 || abs(($0.xMin + $0.xMax) - (cell.xMin + cell.xMax)) < 6 }
            }
            return !hasNumbers && isAligned
        }
        // A label of two lines, its numbers on the second: "…marketable debt" / "securities | (3,055)".
        let lastIsLabel = last.dropFirst().allSatisfy(\.isEmpty)
        if lastIsLabel, !last[0].hasSuffix(":"), texts[0].first?.isLowercase == true { return true }
        return false
    }

    private func columns(of rows: [Row]) -> [(xMin: Float, xMax: Float)] {
        var columns: [(xMin: Float, xMax: Float)] = []
        for cell in rows.flatMap(\.cells).sorted(by: { $0.xMin < $1.xMin }) {
            if let last = columns.last, cell.xMin < last.xMax + 1 {
                columns[columns.count - 1].xMax = max(last.xMax, cell.xMax)
            } else {
                columns.append((cell.xMin, cell.xMax))
            }
        }
        return columns
    }

    private func column(of cell: Segment, in columns: [(xMin: Float, xMax: Float)]) -> Int {
        var best = 0
        var bestOverlap = -Float.infinity
        for (index, column) in columns.enumerated() {
            // Negative when apart: then the nearest wins.
            let overlap = min(cell.xMax, column.xMax) - max(cell.xMin, column.xMin)
            // A cell that spans columns belongs to the first of them.
            if overlap > bestOverlap + 0.5 {
                best = index
                bestOverlap = overlap
            }
        }
        return best
    }

    /// How many rows at the top name columns: no label in the first column while later rows have one, or words above numbers.
    private func headerRowCount(_ region: [Row], _ columns: [(xMin: Float, xMax: Float)]) -> Int {
        var count = 0
        for row in region.prefix(5) {
            let hasLabel = row.cells.contains { column(of: $0, in: columns) == 0 }
            if hasLabel || row.cells.isEmpty { break }
            count += 1
        }
        // A line of its own under the column names speaks of the rows below it.
        while count > 1, region[region.startIndex + count - 1].cells.count == 1,
            region[..<(count - 1)].contains(where: { $0.cells.count > 1 })
        { count -= 1 }
        if count > 0 {
            let below = region.dropFirst(count)
            let labelled = below.count { row in row.cells.contains { column(of: $0, in: columns) == 0 } }
            return labelled * 2 >= below.count && !below.isEmpty ? count : 0
        }
        guard region.count >= 3, let first = region.first, first.cells.count * 3 >= columns.count * 2,
            first.cells.allSatisfy({ !$0.isNumeric && $0.wordCount <= 8 })
        else { return 0 }
        let below = region.dropFirst()
        let numericCount = below.count { $0.cells.contains(where: \.isNumeric) }
        return numericCount * 2 >= below.count || first.cells.count == columns.count ? 1 : 0
    }

    /// One row from several: each column gets the texts above it, those that span columns included.
    private func header(_ rows: [Row], _ columns: [(xMin: Float, xMax: Float)]) -> [String] {
        var texts = [String](repeating: "", count: columns.count)
        for row in rows {
            let spans = row.cells.map { cell in
                columns.indices.filter { $0 > 0 && min(cell.xMax, columns[$0].xMax) - max(cell.xMin, columns[$0].xMin) > 0.5 }
            }
            let valueCount = columns.count - 1
            let isEven = row.cells.count >= 2 && row.cells.count < valueCount && valueCount % row.cells.count == 0
            for (index, column) in columns.enumerated() {
                let center = (column.xMin + column.xMax) / 2
                var found: [String] = []
                for (number, cell) in row.cells.enumerated() {
                    let isOwn = self.column(of: cell, in: columns) == index
                    if index == 0 || row.cells.count >= valueCount {
                        if isOwn { found.append(cell.text) }
                        continue
                    }
                    // It spans when it touches several columns, or hangs between two, or when all such cells share the columns evenly.
                    let middle = (cell.xMin + cell.xMax) / 2
                    let isBetween = !columns.contains { middle > $0.xMin - 2 && middle < $0.xMax + 2 }
                    if spans[number].count >= 2 || isBetween || isEven {
                        let nearest = row.cells.min { distance($0, center) < distance($1, center) }
                        let reach = max((cell.xMax - cell.xMin) * 0.75, 60)
                        if nearest?.xMin == cell.xMin, isEven || spans[number].contains(index) || distance(cell, center) < reach {
                            found.append(cell.text)
                        }
                    } else if isOwn {
                        found.append(cell.text)
                    }
                }
                for text in found { texts[index] += texts[index].isEmpty ? text : " " + text }
            }
        }
        return texts
    }

    private func distance(_ cell: Segment, _ x: Float) -> Float { max(0, max(cell.xMin - x, x - cell.xMax)) }
}

/// What starts a list item rather than a row.
enum PageLayoutMarker {
    static func isMarker(_ text: String) -> Bool {
        let inner = text.trimmingCharacters(in: CharacterSet(charactersIn: "().•–-"))
        return inner.count <= 2 || ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x"].contains(inner.lowercased())
    }
}
