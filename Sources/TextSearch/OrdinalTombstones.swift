/// Which ordinals of a segment are deleted: a bitmap in pages, so that a copy with one bit more shares all pages but one.
struct OrdinalTombstones: Sendable, Equatable {
    private var pages: [[UInt64]]
    private(set) var count = 0

    private static let pageShift = 12
    private static let wordsInPage = 1 << (pageShift - 6)

    /// No deleted row among `rowCount`.
    init(rowCount: Int) {
        pages = [[UInt64]](repeating: [], count: (rowCount + (1 << Self.pageShift) - 1) >> Self.pageShift)
    }

    @inline(__always)
    func contains(_ ordinal: Int) -> Bool {
        let page = pages[ordinal >> Self.pageShift]
        guard !page.isEmpty else { return false }
        return page[(ordinal & ((1 << Self.pageShift) - 1)) >> 6] & (1 << UInt64(ordinal & 63)) != 0
    }

    /// Marks an ordinal; false when it was marked already.
    mutating func insert(_ ordinal: Int) -> Bool {
        guard !contains(ordinal) else { return false }
        let page = ordinal >> Self.pageShift
        if pages[page].isEmpty { pages[page] = [UInt64](repeating: 0, count: Self.wordsInPage) }
        pages[page][(ordinal & ((1 << Self.pageShift) - 1)) >> 6] |= 1 << UInt64(ordinal & 63)
        count += 1
        return true
    }

    /// The marked ordinals, ascending.
    var ordinals: [Int] {
        var result: [Int] = []
        result.reserveCapacity(count)
        for (page, words) in pages.enumerated() {
            for (index, word) in words.enumerated() {
                var rest = word
                while rest != 0 {
                    result.append(page << Self.pageShift + index << 6 + rest.trailingZeroBitCount)
                    rest &= rest - 1
                }
            }
        }
        return result
    }
}
