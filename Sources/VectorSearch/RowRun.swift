import Storage

/// A run of rows with their vectors, in a mapped file or in a chunk of the delta, and which of them are deleted.
///
/// A value: deleting makes another one that shares the vectors. Everything that a search scans is a list of these.
struct RowRun: @unchecked Sendable {
    // Invariant: `owner` keeps the memory alive, and nobody writes to the first `ids.count` rows any more.
    let owner: Owner
    /// Raw row ids. Unique within the run.
    let ids: UnsafeBufferPointer<Int64>
    /// Shape `[ids.count, dimension]`, row-major.
    let values: RowValues
    /// Whether the ids ascend: always in files, almost always in the delta.
    let isAscending: Bool
    var tombstones = RowTombstones()

    enum Owner: Sendable {
        case segment(FlatSegment)
        case chunk(DeltaChunk)
    }

    var count: Int { ids.count }
    var liveCount: Int { ids.count - tombstones.count }

    /// The file, nil for rows of the delta.
    var segment: FlatSegment? {
        if case .segment(let segment) = owner { segment } else { nil }
    }

    /// The first id when the ids follow each other without a gap, nil otherwise.
    var gaplessFirstID: Int64? {
        guard isAscending, let first = ids.first, let last = ids.last, last &- first == Int64(count - 1) else { return nil }
        return first
    }

    /// The position of a row, deleted or not.
    func position(of id: Int64) -> Int? {
        isAscending ? ids.position(of: id) : ids.firstIndex(of: id)
    }

    /// The live positions of those of the given rows that are here, ascending. The ids of the run must ascend.
    func livePositions(of rows: RowSet) -> [UInt32] {
        var positions: [UInt32] = []
        var position = 0
        for row in rows.rows {
            position = ids.lowerBound(of: row.rawValue, from: position)
            guard position < count else { break }
            if ids[position] == row.rawValue, !tombstones.contains(position) { positions.append(UInt32(position)) }
        }
        return positions
    }

    /// The live positions, ascending.
    var livePositions: [Int] {
        if tombstones.count == 0 { return Array(0..<count) }
        var positions: [Int] = []
        positions.reserveCapacity(liveCount)
        for index in 0..<RowTombstones.wordCount(rows: count) {
            var rest = tombstones.liveMask(word: index, rows: count)
            while rest != 0 {
                positions.append(index * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
        return positions
    }
}

extension UnsafeBufferPointer<Int64> {
    /// Binary search in ascending ids.
    ///
    /// - Parameter start: Where to begin, for a caller that looks for ascending ids.
    func lowerBound(of id: Int64, from start: Int = 0) -> Int {
        // Gallop first: from a good start the answer is near.
        var step = 1
        var low = start
        var high = start
        while high < count, self[high] < id {
            low = high + 1
            high += step
            step *= 2
        }
        high = Swift.min(high, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low
    }

    func position(of id: Int64) -> Int? {
        guard let first, let last, id >= first, id <= last else { return nil }
        if last &- first == Int64(count - 1) { return Int(id - first) }
        let position = lowerBound(of: id)
        return position < count && self[position] == id ? position : nil
    }
}

/// What a search works on: every row that lived at one moment. Never changes.
final class FlatSnapshot: Sendable {
    /// One for each segment file, in the manifest's order.
    let sealed: [RowRun]
    /// Rows not yet in files, oldest first.
    let delta: [RowRun]
    /// Live rows.
    let count: Int
    let unsealedCount: Int

    init(sealed: [RowRun], delta: [RowRun]) {
        self.sealed = sealed
        self.delta = delta
        unsealedCount = delta.reduce(0) { $0 + $1.liveCount }
        count = sealed.reduce(unsealedCount) { $0 + $1.liveCount }
    }

    var runs: [RowRun] { sealed + delta }
}
