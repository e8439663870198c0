/// Which positions of a run of rows are deleted: one bit each. No memory until the first deletion.
struct RowTombstones: Sendable, Equatable {
    /// Bit *i* of word *w* stands for position 64 *w* + *i*; empty when nothing is deleted.
    private(set) var words: [UInt64] = []
    private(set) var count = 0

    init() {}

    init(words: [UInt64]) {
        count = words.reduce(0) { $0 + $1.nonzeroBitCount }
        self.words = count == 0 ? [] : words
    }

    static func wordCount(rows: Int) -> Int { (rows + 63) / 64 }

    /// Whether a position is deleted. The words reach only as far as the run did at its last deletion: what was added since is live.
    func contains(_ position: Int) -> Bool {
        let word = position >> 6
        return word < words.count && words[word] & (1 << UInt64(position & 63)) != 0
    }

    /// Deletes a position of a run of `rows` rows; false when it was deleted already.
    mutating func insert(_ position: Int, rows: Int) -> Bool {
        precondition(position < rows, "position \(position) of \(rows) rows")
        let needed = Self.wordCount(rows: rows)
        if words.count < needed { words.append(contentsOf: repeatElement(0, count: needed - words.count)) }
        let bit: UInt64 = 1 << UInt64(position & 63)
        guard words[position >> 6] & bit == 0 else { return false }
        words[position >> 6] |= bit
        count += 1
        return true
    }

    /// The live positions among 64, as a mask: `rows` is the run's length.
    func liveMask(word index: Int, rows: Int) -> UInt64 {
        let rest = rows - index * 64
        let all: UInt64 = rest >= 64 ? .max : (1 << UInt64(rest)) - 1
        return index < words.count ? all & ~words[index] : all
    }

    /// The positions that are deleted here and were not there, ascending.
    func positions(since earlier: RowTombstones) -> [Int] {
        var positions: [Int] = []
        for (index, word) in words.enumerated() {
            var rest = word & ~(index < earlier.words.count ? earlier.words[index] : 0)
            while rest != 0 {
                positions.append(index * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
        return positions
    }
}
