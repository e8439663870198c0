/// An immutable set of rows as a bitmap over their range: the form in which filters reach the indexes.
///
/// Membership is one shift and one mask. Memory is one bit for each id between the smallest and the largest member.
package struct RowSet: Sendable, Equatable {
    /// The smallest id that the first bit stands for, rounded down to a multiple of 64.
    private let base: Int64
    /// The first and the last word are not zero, so that equal sets are equal values.
    private let words: [UInt64]
    /// Number of members.
    package let count: Int

    /// Makes a set from row ids in any order; duplicates count once.
    package init(_ rows: some Collection<RowID>) {
        guard let smallest = rows.min(), let largest = rows.max() else {
            self.init(base: 0, words: [])
            return
        }
        let base = (smallest.rawValue >> 6) << 6
        var words = [UInt64](repeating: 0, count: Int((largest.rawValue - base) >> 6) + 1)
        for row in rows {
            let offset = Int(row.rawValue - base)
            words[offset >> 6] |= 1 << UInt64(offset & 63)
        }
        self.init(base: base, words: words)
    }

    /// Makes a set from a bitmap whose first bit stands for `base`, a multiple of 64.
    private init(base: Int64, words: [UInt64]) {
        guard let first = words.firstIndex(where: { $0 != 0 }), let last = words.lastIndex(where: { $0 != 0 }) else {
            self.base = 0
            self.words = []
            count = 0
            return
        }
        self.base = base + Int64(first) * 64
        self.words = first == 0 && last == words.count - 1 ? words : Array(words[first...last])
        count = words.reduce(0) { $0 + $1.nonzeroBitCount }
    }

    package var isEmpty: Bool { count == 0 }

    /// Bytes of the bitmap.
    package var size: Int { words.count * 8 }

    package func contains(_ row: RowID) -> Bool {
        let offset = row.rawValue &- base
        guard row.rawValue >= base, offset >= 0, offset >> 6 < words.count else { return false }
        return words[Int(offset >> 6)] & (1 << UInt64(offset & 63)) != 0
    }

    /// The smallest member.
    package var first: RowID? { words.first.map { RowID(base + Int64($0.trailingZeroBitCount)) } }

    /// The largest member.
    package var last: RowID? { words.last.map { RowID(base + Int64(words.count * 64 - 1 - $0.leadingZeroBitCount)) } }

    /// The members, ascending.
    package var rows: [RowID] {
        var rows: [RowID] = []
        rows.reserveCapacity(count)
        for (index, word) in words.enumerated() {
            var rest = word
            while rest != 0 {
                rows.append(RowID(base + Int64(index * 64 + rest.trailingZeroBitCount)))
                rest &= rest - 1
            }
        }
        return rows
    }
}

// MARK: - Algebra, 64 rows a step

extension RowSet {
    package func union(_ other: RowSet) -> RowSet {
        if isEmpty { return other }
        if other.isEmpty { return self }
        let start = min(base, other.base)
        let end = max(base + Int64(words.count) * 64, other.base + Int64(other.words.count) * 64)
        return combined(with: other, from: start, to: end) { $0 | $1 }
    }

    package func intersection(_ other: RowSet) -> RowSet {
        let start = max(base, other.base)
        let end = min(base + Int64(words.count) * 64, other.base + Int64(other.words.count) * 64)
        return start < end ? combined(with: other, from: start, to: end) { $0 & $1 } : RowSet(base: 0, words: [])
    }

    package func subtracting(_ other: RowSet) -> RowSet {
        combined(with: other, from: base, to: base + Int64(words.count) * 64) { $0 & ~$1 }
    }

    private func combined(with other: RowSet, from start: Int64, to end: Int64, _ operation: (UInt64, UInt64) -> UInt64) -> RowSet {
        var result = [UInt64](repeating: 0, count: Int((end - start) / 64))
        for index in result.indices {
            let first = start + Int64(index) * 64
            result[index] = operation(word(at: first), other.word(at: first))
        }
        return RowSet(base: start, words: result)
    }

    /// The 64 membership bits from `first` on, which need not be a multiple of 64.
    private func word(at first: Int64) -> UInt64 {
        let end = base + Int64(words.count) * 64
        guard first < end, first > base - 64 else { return 0 }
        let offset = Int(first - base)
        let index = offset >> 6
        let shift = UInt64(offset & 63)
        let low = index >= 0 ? words[index] : 0
        if shift == 0 { return low }
        let high = index + 1 < words.count ? words[index + 1] : 0
        return (low >> shift) | (high << (64 - shift))
    }
}

// MARK: - For scans

extension RowSet {
    /// Which of many rows are members, as a bitmap: bit *i* of `mask` tells about `rows[i]`; bits past the end are zero.
    ///
    /// - Parameters:
    ///   - mask: Receives shape `[(rows.count + 63) / 64]`.
    ///   - rows: Raw row ids.
    ///   - isAscending: Whether they ascend without repetition, which lets whole words be decided at once.
    /// - Complexity: O(*rows*), or O(*rows* / 64) when they follow each other without a gap. Does not allocate.
    package func fill(_ mask: UnsafeMutableBufferPointer<UInt64>, for rows: UnsafeBufferPointer<Int64>, isAscending: Bool = true) {
        precondition(mask.count == (rows.count + 63) / 64, "\(mask.count) words of mask for \(rows.count) rows")
        guard let smallest = rows.first, let largest = rows.last else { return }
        let hasNoGap = isAscending && largest &- smallest == Int64(rows.count - 1)
        words.withUnsafeBufferPointer { words in
            let bitCount = Int64(words.count) * 64
            for index in mask.indices {
                let start = index * 64
                let count = min(64, rows.count - start)
                var bits: UInt64 = 0
                if hasNoGap {
                    bits = word(at: rows[start])
                    if count < 64 { bits &= (1 << UInt64(count)) - 1 }
                } else if !isAscending || (rows[start] < base &+ bitCount && rows[start + count - 1] >= base) {
                    for position in 0..<count {
                        let row = rows[start + position]
                        let offset = row &- base
                        guard row >= base, offset >= 0, offset < bitCount else { continue }
                        bits |= ((words[Int(offset >> 6)] >> UInt64(offset & 63)) & 1) << UInt64(position)
                    }
                }
                mask[index] = bits
            }
        }
    }
}
