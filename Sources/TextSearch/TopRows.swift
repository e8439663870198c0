import Storage

/// The best rows so far: a binary heap with the worst of them on top.
struct TopRows {
    struct Item {
        var score: UInt32
        var row: Int64

        /// Order of results: higher scores first, then smaller row ids.
        @inline(__always)
        func isBetter(than other: Item) -> Bool { score != other.score ? score > other.score : row < other.row }
    }

    private let k: Int
    private var items: [Item] = []

    /// A row must reach this score to get in; when it only equals it, its id must also be smaller than `worstRow`.
    private(set) var threshold: UInt32 = 0
    private(set) var worstRow = Int64.max

    init(k: Int) {
        self.k = k
        items.reserveCapacity(min(k, 1 << 16))
    }

    @inline(__always)
    mutating func insert(_ item: Item) {
        if items.count < k {
            items.append(item)
            rise(items.count - 1)
        } else if item.isBetter(than: items[0]) {
            items[0] = item
            sink(0)
        } else {
            return
        }
        if items.count == k {
            threshold = items[0].score
            worstRow = items[0].row
        }
    }

    /// Best first.
    consuming func sorted() -> [Item] { items.sorted { $0.isBetter(than: $1) } }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) >> 1
            guard items[parent].isBetter(than: items[index]) else { return }
            items.swapAt(parent, index)
            index = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var worst = index
            let left = 2 * index + 1
            if left < items.count, items[worst].isBetter(than: items[left]) { worst = left }
            if left + 1 < items.count, items[worst].isBetter(than: items[left + 1]) { worst = left + 1 }
            if worst == index { return }
            items.swapAt(worst, index)
            index = worst
        }
    }
}
