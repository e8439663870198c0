/// The lists in the order of their ranks, sorted only as far as a search goes.
///
/// The best third or so is picked out in one pass, spread into buckets of equal width, and each bucket is sorted when it is reached. The others are only looked at when
/// a search goes beyond.
struct ListRanking {
    static let bucketCount = 256
    /// (rank, list), best first; valid below `sortedCount`.
    let order: UnsafeMutablePointer<UInt64>
    private(set) var sortedCount = 0
    private let ranks: UnsafePointer<Float>
    private let count: Int
    /// Lists above this were picked out; there are `pickedCount`.
    private let bound: Float
    private let pickedCount: Int
    private let starts: UnsafeMutablePointer<UInt32>
    private var bucket = 0
    private var hasAll: Bool

    /// - Parameters:
    ///   - ranks: Of all lists; `rank_lists` of the kernels made them, and `spread`. They must stay as they are.
    ///   - starts: Room for `bucketCount + 1`.
    ///   - keys: Room for one more than `count`, only used here.
    ///   - order: Room for `count`.
    init(
        ranks: UnsafePointer<Float>, count: Int, spread: (largest: Float, average: Float, deviation: Float),
        starts: UnsafeMutablePointer<UInt32>, keys: UnsafeMutablePointer<UInt64>, order: UnsafeMutablePointer<UInt64>
    ) {
        self.order = order
        self.starts = starts
        self.ranks = ranks
        self.count = count
        let bound = count <= 64 ? -Float.infinity : spread.average + 0.4 * spread.deviation
        self.bound = bound
        var picked = 0
        for list in 0..<count {
            keys[picked] = Self.key(ranks[list], list)
            picked &+= ranks[list] > bound ? 1 : 0
        }
        pickedCount = picked
        hasAll = picked == count

        let lowest = max(bound, spread.average - 3 * spread.deviation)
        let width = (spread.largest - lowest) / Float(Self.bucketCount - 1)
        let scale = width > 1e-30 && width.isFinite ? 1 / width : 0
        let largest = spread.largest
        @inline(__always)
        func bucket(_ key: UInt64) -> Int {
            Int(min((largest - Self.rank(key)) * scale, Float(Self.bucketCount - 1)))
        }
        starts.update(repeating: 0, count: Self.bucketCount + 1)
        for index in 0..<picked { starts[bucket(keys[index]) &+ 1] &+= 1 }
        // While keys are placed, starts[b + 1] is where the next one of bucket b goes; afterwards it is where the bucket ends.
        var sum: UInt32 = 0
        for index in 1...Self.bucketCount {
            let size = starts[index]
            starts[index] = sum
            sum &+= size
        }
        for index in 0..<picked {
            let key = keys[index]
            let place = bucket(key) &+ 1
            order[Int(starts[place])] = key
            starts[place] &+= 1
        }
    }

    /// Order-preserving bits of the rank above the list's number.
    @inline(__always)
    private static func key(_ rank: Float, _ list: Int) -> UInt64 {
        let bits = rank.bitPattern
        let ordered = bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000)
        return UInt64(ordered) << 32 | UInt64(UInt32(truncatingIfNeeded: list))
    }

    @inline(__always)
    private static func rank(_ key: UInt64) -> Float {
        let bits = UInt32(truncatingIfNeeded: key >> 32)
        return Float(bitPattern: bits ^ (UInt32(bitPattern: ~Int32(bitPattern: bits) >> 31) | 0x8000_0000))
    }

    /// Sorts on until at least this many (or all) are in place.
    mutating func sort(until wanted: Int) {
        let wanted = min(wanted, count)
        while sortedCount < wanted {
            if sortedCount == pickedCount, !hasAll {
                var end = pickedCount
                for list in 0..<count where !(ranks[list] > bound) {
                    order[end] = Self.key(ranks[list], list)
                    end += 1
                }
                hasAll = true
            }
            let isPicked = sortedCount < pickedCount
            let end = isPicked ? Int(starts[bucket + 1]) : count
            if end - sortedCount > 64 {
                let until = min(end, max(wanted, sortedCount + 64))
                Self.sortFront(order, from: sortedCount, to: end, until: until)
                sortedCount = until
            } else {
                Self.insertionSort(order, sortedCount, end)
                sortedCount = end
            }
            if isPicked, sortedCount == end { bucket += 1 }
        }
    }

    /// Sorts descending as much of `[from, to)` as is needed to have `[from, until)` in place.
    private static func sortFront(_ keys: UnsafeMutablePointer<UInt64>, from: Int, to: Int, until: Int) {
        let low = from
        var high = to
        while high - low > 16 {
            let a = keys[low]
            let b = keys[(low + high) / 2]
            let c = keys[high - 1]
            let pivot = max(min(a, b), min(max(a, b), c))
            var left = low
            var right = high - 1
            while left <= right {
                while keys[left] > pivot { left += 1 }
                while keys[right] < pivot { right -= 1 }
                if left <= right {
                    let kept = keys[left]
                    keys[left] = keys[right]
                    keys[right] = kept
                    left += 1
                    right -= 1
                }
            }
            // [low, right] ≥ pivot ≥ [left, high)
            if left < until { sortFront(keys, from: left, to: high, until: until) }
            high = right + 1
        }
        insertionSort(keys, low, high)
    }

    private static func insertionSort(_ keys: UnsafeMutablePointer<UInt64>, _ low: Int, _ high: Int) {
        var index = low + 1
        while index < high {
            let key = keys[index]
            var place = index
            while place > low, keys[place - 1] < key {
                keys[place] = keys[place - 1]
                place -= 1
            }
            keys[place] = key
            index += 1
        }
    }
}
