/// Puts the blocks of a page in the order in which people read them, where the layout program went astray.
///
/// Breuel's two rules ("High Performance Document Layout Analysis", 2003, section 4):
///
///     1. what stands above something, sharing some of its width, comes before it
///     2. what stands left of something comes before it, unless a block as wide as both lies between them from top to bottom
///
///     [     title     ]      1
///     [left 1] [right 1]     2  4      rule 2 puts left 2 before right 1: nothing wide parts them
///     [left 2] [right 2]     3  5
enum ReadingOrder {
    private struct Block {
        /// Indices of its lines.
        var lines: [Int]
        var lineCount: Int
        var xMin: Float
        var xMax: Float
        var yMin: Float
        var yMax: Float
        var wordCount: Int
        var isTurned = false
    }

    /// The places of the lines in reading order; as they are when nothing is clearly wrong with them.
    ///
    /// - Parameters:
    ///   - lines: As the layout program orders them; nil where a line went into another.
    ///   - tables: Their lines by index; a table stays in one piece.
    static func order(of lines: [PageContent.Line?], tables: [Set<Int>]) -> [Int] {
        var tableOfLine: [Int: Int] = [:]
        for (number, table) in tables.enumerated() { for line in table { tableOfLine[line] = number } }
        var blocks: [Block] = []
        var blockOfTable: [Int: Int] = [:]
        var previous: Int?
        for (index, line) in lines.enumerated() {
            guard let line else { continue }
            let yMin = line.words.map(\.yMin).min()!
            let yMax = line.words.map(\.yMax).max()!
            let table = tableOfLine[index]
            var block: Int?
            if let table {
                block = blockOfTable[table]
            } else if previous == line.block, let last = blocks.last, !last.isTurned {
                block = blocks.count - 1
            }
            if let block {
                blocks[block].lines.append(index)
                blocks[block].lineCount += 1
                blocks[block].xMin = min(blocks[block].xMin, line.xMin)
                blocks[block].xMax = max(blocks[block].xMax, line.xMax)
                blocks[block].yMin = min(blocks[block].yMin, yMin)
                blocks[block].yMax = max(blocks[block].yMax, yMax)
                blocks[block].wordCount += line.words.count
            } else {
                blocks.append(
                    Block(
                        lines: [index], lineCount: 1, xMin: line.xMin, xMax: line.xMax, yMin: yMin, yMax: yMax, wordCount: line.words.count,
                        isTurned: table == nil && isTurned(line)))
                if let table { blockOfTable[table] = blocks.count - 1 }
            }
            previous = table == nil ? line.block : nil
        }
        // Turned remarks come after what is upright, unless the page is full of them.
        let turned = blocks.filter(\.isTurned)
        let hasRemarks = !turned.isEmpty && turned.reduce(0) { $0 + $1.lines.count } * 4 < lines.count
        if hasRemarks { blocks.removeAll(where: \.isTurned) }
        let remarks = hasRemarks ? turned.flatMap(\.lines) : []
        guard blocks.count > 1, blocks.count <= 200, hasRemarks || isAstray(blocks) else { return blocks.flatMap(\.lines) + remarks }
        return (order(blocks) ?? Array(blocks.indices)).flatMap { blocks[$0].lines } + remarks
    }

    /// Lettering at a right angle: words much taller than wide.
    private static func isTurned(_ line: PageContent.Line) -> Bool {
        let long = line.words.filter { $0.text.count >= 3 }
        let tall = long.count { $0.height > ($0.xMax - $0.xMin) * 1.3 }
        if tall == long.count { return tall > 0 }
        // A short word is no taller than its letters are wide; the line is.
        let height = line.words.map(\.yMax).max()! - line.words.map(\.yMin).min()!
        return tall > 0 && line.words.count > 1 && height > (line.xMax - line.xMin) * 2
    }

    /// Whether a block comes after one that it clearly stands above, or passages side by side are read across, or from the right.
    private static func isAstray(_ blocks: [Block]) -> Bool {
        for (index, later) in blocks.enumerated() {
            for earlier in blocks[..<index] {
                let shared = min(earlier.xMax, later.xMax) - max(earlier.xMin, later.xMin)
                let isAbove = later.yMax < earlier.yMin + (later.yMax - later.yMin) * 0.1
                if isAbove, shared > 0.5 * min(earlier.xMax - earlier.xMin, later.xMax - later.xMin), later.wordCount >= 3,
                    earlier.wordCount >= 3
                {
                    return true
                }
                // Two passages side by side, the right one first.
                let isBeside = min(earlier.yMax, later.yMax) - max(earlier.yMin, later.yMin) > 0
                if isBeside, later.xMax < earlier.xMin, isPassage(later), isPassage(earlier) { return true }
            }
            // A column that another one interrupts: read across.
            guard index >= 2, isPassage(later) else { continue }
            for start in 0..<(index - 1) {
                let earlier = blocks[start]
                guard isPassage(earlier), min(earlier.xMax, later.xMax) - max(earlier.xMin, later.xMin) > 0.5 * (later.xMax - later.xMin)
                else {
                    continue
                }
                for between in blocks[(start + 1)..<index] where isPassage(between) {
                    let isElsewhere = between.xMax < later.xMin || between.xMin > later.xMax
                    let (top, bottom) = (min(earlier.yMin, later.yMin), max(earlier.yMax, later.yMax))
                    if isElsewhere, min(between.yMax, bottom) > max(between.yMin, top) { return true }
                }
            }
        }
        return false
    }

    private static func isPassage(_ block: Block) -> Bool { block.lineCount >= 2 && block.wordCount >= block.lineCount * 4 }

    /// A topological order by the two rules, the layout program's where they leave a choice; nil when they contradict each other.
    private static func order(_ blocks: [Block]) -> [Int]? {
        func sharesWidth(_ one: Block, _ two: Block) -> Bool {
            min(one.xMax, two.xMax) - max(one.xMin, two.xMin) > min(3, 0.2 * min(one.xMax - one.xMin, two.xMax - two.xMin))
        }
        // A passage, or the heading of one, that stands to the right of another column.
        func startsColumn(_ block: Block, right other: Block) -> Bool {
            if isPassage(block) { return true }
            return blocks.contains {
                isPassage($0) && sharesWidth($0, block) && $0.xMin > other.xMax && $0.yMin > block.yMax - 3
                    && $0.yMin - block.yMax < (block.yMax - block.yMin) * 1.6
            }
        }
        var before = [[Int]](repeating: [], count: blocks.count)
        var waiting = [Int](repeating: 0, count: blocks.count)
        for a in blocks.indices {
            for b in blocks.indices where a != b {
                let (one, two) = (blocks[a], blocks[b])
                var comesFirst = false
                if sharesWidth(one, two) {
                    comesFirst = (one.yMin + one.yMax) < (two.yMin + two.yMax) || one.yMin + one.yMax == two.yMin + two.yMax && a < b
                } else if one.xMax <= (two.xMin + two.xMax) / 2, one.xMin < two.xMin,
                    min(one.yMax, two.yMax) > max(one.yMin, two.yMin) || isPassage(one) && startsColumn(two, right: one)
                {
                    let (high, low) = (min(one.yMin, two.yMin), max(one.yMax, two.yMax))
                    comesFirst = !blocks.contains { between in
                        let middle = (between.yMin + between.yMax) / 2
                        return middle > high && middle < low && sharesWidth(between, one) && sharesWidth(between, two)
                    }
                }
                if comesFirst {
                    before[a].append(b)
                    waiting[b] += 1
                }
            }
        }
        var result: [Int] = []
        var isDone = [Bool](repeating: false, count: blocks.count)
        while result.count < blocks.count {
            guard let next = blocks.indices.first(where: { !isDone[$0] && waiting[$0] == 0 }) else { return nil }
            isDone[next] = true
            result.append(next)
            for later in before[next] { waiting[later] -= 1 }
        }
        return result
    }
}
