/// Finds tables whose cells are drawn: lines that cross make a grid, and a word belongs to the cell that it stands in.
///
///     +------+-----------+        the lines of one grid touch each other, directly or through others;
///     | Unit | Task      |        where a line between two cells is missing they are one: merged, or a heading over columns
///     +------+-----------+
///     | V-7  | Grease,   |        so a cell may have many lines, and an empty one keeps its place
///     |      | then test |
///     +------+-----------+
///
/// Related: Nurminen, "Algorithmic Extraction of Data in Tables in PDF Documents", 2013 (edges to intersections to cells).
struct RuledTableFinder {
    /// Lines that touch, with what they enclose.
    struct Grid {
        /// Sides of the columns and rows, one more than there are of them.
        var xs: [Float]
        var ys: [Float]
        var horizontal: [PageRules.Rule]
        var vertical: [PageRules.Rule]
        var columnCount: Int { xs.count - 1 }
        var rowCount: Int { ys.count - 1 }

        func contains(x: Float, y: Float) -> Bool { x > xs[0] - 2 && x < xs[xs.count - 1] + 2 && y > ys[0] - 2 && y < ys[ys.count - 1] + 2 }
    }

    private let page: PageContent
    private let lines: [PageContent.Line]
    private let join: ([String]) -> String

    init(page: PageContent, lines: [PageContent.Line], join: @escaping ([String]) -> String) {
        self.page = page
        self.lines = lines
        self.join = join
    }

    func tables() -> [TableFinder.Table] {
        Self.grids(page.rules).compactMap { table($0) }
    }

    // MARK: - Grids

    static func grids(_ rules: PageRules) -> [Grid] {
        let (horizontal, vertical) = (rules.horizontal, rules.vertical)
        guard horizontal.count >= 2, !vertical.isEmpty, horizontal.count * vertical.count < 400_000 else { return [] }
        // Which lines touch each other, directly or through others.
        var parent = Array(0..<(horizontal.count + vertical.count))
        func root(_ index: Int) -> Int {
            var index = index
            while parent[index] != index {
                parent[index] = parent[parent[index]]
                index = parent[index]
            }
            return index
        }
        for (h, row) in horizontal.enumerated() {
            for (v, side) in vertical.enumerated()
            where side.at > row.from - 3 && side.at < row.to + 3 && row.at > side.from - 3 && row.at < side.to + 3 {
                parent[root(h)] = root(horizontal.count + v)
            }
        }
        var groups: [Int: (horizontal: [PageRules.Rule], vertical: [PageRules.Rule])] = [:]
        for (h, row) in horizontal.enumerated() { groups[root(h), default: ([], [])].horizontal.append(row) }
        for (v, side) in vertical.enumerated() { groups[root(horizontal.count + v), default: ([], [])].vertical.append(side) }
        var grids: [Grid] = []
        for group in groups.values where group.horizontal.count >= 2 && !group.vertical.isEmpty {
            var xs = clustered(group.vertical.map(\.at))
            var ys = clustered(group.horizontal.map(\.at))
            // Sides that are not drawn: lines reach beyond the last one.
            let left = group.horizontal.map(\.from).min()!
            let right = group.horizontal.map(\.to).max()!
            if left < xs[0] - 8 { xs.insert(left, at: 0) }
            if right > xs[xs.count - 1] + 8 { xs.append(right) }
            let top = group.vertical.map(\.from).min()!
            let bottom = group.vertical.map(\.to).max()!
            if top < ys[0] - 8 { ys.insert(top, at: 0) }
            if bottom > ys[ys.count - 1] + 8 { ys.append(bottom) }
            guard xs.count >= 3, ys.count >= 3, xs.count <= 60, ys.count <= 500 else { continue }
            grids.append(Grid(xs: xs, ys: ys, horizontal: group.horizontal, vertical: group.vertical))
        }
        return grids.sorted { ($0.ys[0], $0.xs[0]) < ($1.ys[0], $1.xs[0]) }
    }

    private static func clustered(_ values: [Float]) -> [Float] {
        var result: [Float] = []
        for value in values.sorted() {
            if let last = result.last, value - last < 3.2 { continue }
            result.append(value)
        }
        return result
    }

    // MARK: - From grid to rows

    private func table(_ grid: Grid) -> TableFinder.Table? {
        let (rowCount, columnCount) = (grid.rowCount, grid.columnCount)
        // Cells that no line parts are one area.
        var parent = Array(0..<(rowCount * columnCount))
        func root(_ index: Int) -> Int {
            var index = index
            while parent[index] != index { index = parent[index] }
            return index
        }
        func unite(_ one: Int, _ two: Int) {
            let (a, b) = (root(one), root(two))
            // The top left cell stands for the area.
            parent[max(a, b)] = min(a, b)
        }
        for row in 0..<rowCount {
            let middle = (grid.ys[row] + grid.ys[row + 1]) / 2
            for column in 0..<columnCount {
                let center = (grid.xs[column] + grid.xs[column + 1]) / 2
                if column + 1 < columnCount {
                    let x = grid.xs[column + 1]
                    if !grid.vertical.contains(where: { abs($0.at - x) < 3.5 && $0.from < middle + 1 && $0.to > middle - 1 }) {
                        unite(row * columnCount + column, row * columnCount + column + 1)
                    }
                }
                if row + 1 < rowCount {
                    let y = grid.ys[row + 1]
                    if !grid.horizontal.contains(where: { abs($0.at - y) < 3.5 && $0.from < center + 1 && $0.to > center - 1 }) {
                        unite(row * columnCount + column, (row + 1) * columnCount + column)
                    }
                }
            }
        }
        // A form's frame has boxes of all sizes, a table cells that repeat.
        let areaCount = parent.indices.count { root($0) == $0 }
        guard areaCount * 2 >= parent.count else { return nil }
        var pieces = [[Piece]](repeating: [], count: rowCount * columnCount)
        var taken: Set<Int> = []
        for (index, line) in lines.enumerated() where !line.isForm {
            let insideCount = line.words.count { grid.contains(x: ($0.xMin + $0.xMax) / 2, y: ($0.yMin + $0.yMax) / 2) }
            guard insideCount * 2 > line.words.count else { continue }
            taken.insert(index)
            for word in line.words {
                let column = Self.interval(of: (word.xMin + word.xMax) / 2, in: grid.xs)
                let row = Self.interval(of: (word.yMin + word.yMax) / 2, in: grid.ys)
                pieces[root(row * columnCount + column)].append(Piece(word: word, line: index))
            }
        }
        let filled = pieces.indices.filter { !pieces[$0].isEmpty }
        guard filled.count >= 3, Set(filled.map { $0 / columnCount }).count >= 2, Set(filled.map { $0 % columnCount }).count >= 2 else {
            return nil
        }
        // Boxes around whole passages are a page's design and no table.
        guard pieces.reduce(0, { $0 + $1.count }) <= filled.count * 50 else { return nil }

        let texts = pieces.map { self.texts($0) }
        guard !texts.contains(where: { $0.count > 40 }) else { return nil }
        var rows: [[String]] = []
        var isSpanned: [Bool] = []
        var captions: [String] = []
        for row in 0..<rowCount {
            let roots = (0..<columnCount).map { root(row * columnCount + $0) }
            if Set(roots).count == 1, !texts[roots[0]].isEmpty {
                // One area over all columns: a title above the header, or a heading between rows.
                guard roots[0] / columnCount == row else { continue }
                if rows.isEmpty {
                    captions.append(join(texts[roots[0]].map(\.text)))
                } else {
                    rows.append([join(texts[roots[0]].map(\.text))])
                    isSpanned.append(false)
                }
                continue
            }
            // A band without lines between its rows.
            if let split = rowsOfBand(roots.enumerated().map { $0.element == row * columnCount + $0.offset ? texts[$0.element] : [] }) {
                rows += split
                isSpanned += split.map { _ in false }
                continue
            }
            var cells: [String] = []
            var spans = false
            for column in 0..<columnCount {
                let area = roots[column]
                let text = join(texts[area].map(\.text))
                let isHere = area / columnCount == row
                let isFirstColumn = area % columnCount == column
                if !isFirstColumn || !isHere { spans = spans || !text.isEmpty }
                // What stands beside several rows belongs to each of them; what stands over several columns, to each when it heads them.
                if isHere && isFirstColumn {
                    cells.append(text)
                } else if !isHere && isFirstColumn && text.utf8.count <= 120 {
                    cells.append(text)
                } else if isHere && rows.isEmpty {
                    cells.append(text)
                } else {
                    cells.append("")
                }
            }
            guard cells.contains(where: { !$0.isEmpty }) else { continue }
            rows.append(cells)
            isSpanned.append(spans)
        }
        // Columns between double lines.
        let used = (0..<columnCount).filter { column in rows.contains { $0.count > column && !$0[column].isEmpty } }
        guard used.count >= 2, rows.count >= 2 || !captions.isEmpty else { return nil }
        rows = rows.map { row in row.count == 1 ? row : used.map { $0 < row.count ? row[$0] : "" } }

        var headerCount = 0
        if let first = rows.first, first.count == used.count {
            headerCount = 1
            // A heading over several columns has their names below it.
            if isSpanned[0], rows.count > 2, rows[1].count == used.count { headerCount = 2 }
            if !isHeader(Array(rows[..<headerCount]), over: Array(rows[headerCount...]), isShaded: isShaded(grid)) { headerCount = 0 }
        }
        var table = TableFinder.Table(rows: [], hasHeader: headerCount > 0, lines: taken)
        if headerCount > 0 {
            table.rows.append(
                used.indices.map { column in
                    var parts: [String] = []
                    for row in rows[..<headerCount] where !row[column].isEmpty && parts.last != row[column] { parts.append(row[column]) }
                    return parts.joined(separator: " ")
                })
        }
        table.rows += rows[headerCount...]
        table.captions = captions
        table.columns = used.map { (grid.xs[$0], grid.xs[$0 + 1]) }
        table.yMin = grid.ys[0]
        table.yMax = grid.ys[rowCount]
        table.isRuled = true
        return table
    }

    private struct Piece {
        var word: PageContent.Word
        var line: Int
    }

    /// The lines of an area from top to bottom.
    private func texts(_ pieces: [Piece]) -> [(text: String, y: Float, height: Float)] {
        var result: [(text: String, y: Float, height: Float, x: Float)] = []
        for piece in pieces.sorted(by: { ($0.word.yMin + $0.word.yMax, $0.word.xMin) < ($1.word.yMin + $1.word.yMax, $1.word.xMin) }) {
            let middle = (piece.word.yMin + piece.word.yMax) / 2
            if let last = result.last, abs(middle - last.y) < max(last.height, piece.word.height) * 0.45 {
                // Raised or a little lower than its neighbours: still the same line, in order of place.
                if piece.word.xMin >= last.x {
                    result[result.count - 1].text += " " + piece.word.text
                    result[result.count - 1].x = piece.word.xMin
                } else {
                    result[result.count - 1].text = piece.word.text + " " + last.text
                }
            } else {
                result.append((piece.word.text, middle, piece.word.height, piece.word.xMin))
            }
        }
        return result.map { ($0.text, $0.y, $0.height) }
    }

    /// The rows of a band that has lines only above and below it; nil when its cells are cells.
    ///
    /// Told by the numbers: a cell has one at most, so two under each other, beside as many labels, are two rows.
    private func rowsOfBand(_ cells: [[(text: String, y: Float, height: Float)]]) -> [[String]]? {
        guard cells.count >= 2, let labels = cells.first, labels.count >= 2 else { return nil }
        let numeric = cells.dropFirst().filter { $0.count >= 2 && $0.allSatisfy { SheetWriter.isNumeric($0.text) } }
        let tall = cells.filter { $0.count >= 3 }
        let isAligned = cells.allSatisfy { cell in
            cell.allSatisfy { line in labels.contains { abs($0.y - line.y) < max($0.height, line.height) * 0.4 } }
        }
        let hasManyRows =
            labels.count >= 4 && tall.count == cells.count && cells.allSatisfy { abs($0.count - labels.count) <= 1 }
            && cells.allSatisfy { $0.allSatisfy { $0.text.utf8.count <= 40 } }
        guard isAligned, numeric.contains(where: { $0.count == labels.count }) || hasManyRows else { return nil }
        return labels.map { label in
            cells.map { cell in cell.first { abs($0.y - label.y) < max($0.height, label.height) * 0.4 }?.text ?? "" }
        }
    }

    private func isShaded(_ grid: Grid) -> Bool {
        // An edge of a filled area at the foot of the first row, and none at the foot of the second.
        func hasEdge(_ y: Float) -> Bool {
            page.rules.shades.contains { abs($0.at - y) < 3 && $0.from < grid.xs[1] && $0.to > grid.xs[grid.xs.count - 2] }
        }
        return grid.rowCount >= 3 && hasEdge(grid.ys[0]) && hasEdge(grid.ys[1]) && !hasEdge(grid.ys[3 < grid.ys.count ? 3 : 2])
    }

    private func isHeader(_ header: [[String]], over rows: [[String]], isShaded: Bool) -> Bool {
        guard !rows.isEmpty, let names = header.last else { return false }
        let filledCount = names.indices.count { column in header.contains { !$0[column].isEmpty } }
        guard filledCount >= 2, filledCount * 3 >= names.count * 2 || (names[0].isEmpty && filledCount == names.count - 1) else {
            return false
        }
        for text in header.joined() where !text.isEmpty {
            if SheetWriter.isNumeric(text), !TableFinder.isYear(text) { return false }
            if text.split(separator: " ").count > 14 { return false }
        }
        if names.count > 2 || isShaded { return true }
        // Two columns are more often labels and values; only numbers under a word make the word a name.
        if rows.count(where: { $0[0].hasSuffix(":") }) * 2 > rows.count || names[0].hasSuffix(":") { return false }
        let numericCount = rows.count { $0.count > 1 && SheetWriter.isNumeric($0[1]) }
        return numericCount * 2 >= rows.count && rows.count >= 2
    }

    private static func interval(of value: Float, in sides: [Float]) -> Int {
        var low = 0
        var high = sides.count - 2
        while low < high {
            let middle = (low + high + 1) / 2
            if sides[middle] <= value { low = middle } else { high = middle - 1 }
        }
        return low
    }
}
