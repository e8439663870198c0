/// A segment and its deleted rows, as a reader sees them.
struct TextSegmentView: Sendable {
    let segment: TextSegment
    var tombstones: OrdinalTombstones

    init(_ segment: TextSegment) {
        self.segment = segment
        tombstones = OrdinalTombstones(rowCount: segment.rowCount)
    }

    var liveCount: Int { segment.rowCount - tombstones.count }
}

extension TextSegment {
    /// One segment with the live rows of several. A term that only deleted rows had is not in it.
    ///
    /// The dictionaries are walked side by side; each posting gets its row's new ordinal. Where segments follow each other in row ids,
    /// which is the rule, lists are simply joined; else they are sorted.
    ///
    /// - Returns: nil when no row is live.
    static func merged(_ views: [TextSegmentView], unit: Int) -> TextSegment? {
        let inputs = views.filter { $0.liveCount > 0 }.sorted { $0.segment.rows[0] < $1.segment.rows[0] }
        guard let first = inputs.first else { return nil }
        if inputs.count == 1, first.tombstones.count == 0 { return first.segment }
        let isInOrder = zip(inputs, inputs.dropFirst()).allSatisfy { $0.segment.rows.last! < $1.segment.rows[0] }
        let (rows, lengths, languages, newOrdinals) = mergedRows(inputs, isInOrder: isInOrder)

        var encoder = TextSegmentEncoder(rows: rows, lengths: lengths, languages: languages, unit: unit)
        var cursors = inputs.map { TermCursor($0.segment) }
        var isOpen = cursors.indices.map { cursors[$0].next() }
        var term: [UInt8] = []
        var buffer = PostingBuffer()
        while true {
            var smallest = -1
            for index in cursors.indices where isOpen[index] {
                if smallest < 0 || cursors[index].term.lexicographicallyPrecedes(cursors[smallest].term) { smallest = index }
            }
            guard smallest >= 0 else { break }
            term.removeAll(keepingCapacity: true)
            term.append(contentsOf: cursors[smallest].term)
            buffer.count = 0
            for index in cursors.indices where isOpen[index] && (index == smallest || cursors[index].term == term) {
                buffer.append(cursors[index].postings, of: inputs[index].segment, newOrdinals: newOrdinals[index])
                isOpen[index] = cursors[index].next()
            }
            if !isInOrder { buffer.sort() }
            term.withUnsafeBufferPointer { encoder.append(term: $0, ordinals: buffer.ordinals, tfs: buffer.tfs, count: buffer.count) }
        }
        buffer.release()
        return encoder.finish()
    }

    /// Stands for "deleted" among new ordinals.
    fileprivate static let gone = UInt32.max

    private static func mergedRows(
        _ inputs: [TextSegmentView], isInOrder: Bool
    ) -> (rows: [Int64], lengths: [UInt32], languages: [UInt8], newOrdinals: [[UInt32]]) {
        let liveCount = inputs.reduce(0) { $0 + $1.liveCount }
        var rows: [Int64] = []
        var lengths: [UInt32] = []
        var languages: [UInt8] = []
        rows.reserveCapacity(liveCount)
        lengths.reserveCapacity(liveCount)
        languages.reserveCapacity(liveCount)
        var newOrdinals = inputs.map { [UInt32](repeating: gone, count: $0.segment.rowCount) }
        func append(_ input: Int, _ ordinal: Int) {
            newOrdinals[input][ordinal] = UInt32(rows.count)
            rows.append(inputs[input].segment.rows[ordinal])
            lengths.append(inputs[input].segment.lengths[ordinal])
            languages.append(inputs[input].segment.languages[ordinal])
        }
        if isInOrder {
            for (index, input) in inputs.enumerated() {
                for ordinal in 0..<input.segment.rowCount where !input.tombstones.contains(ordinal) { append(index, ordinal) }
            }
        } else {
            var places: [(row: Int64, input: Int, ordinal: Int)] = []
            places.reserveCapacity(liveCount)
            for (index, input) in inputs.enumerated() {
                for ordinal in 0..<input.segment.rowCount where !input.tombstones.contains(ordinal) {
                    places.append((input.segment.rows[ordinal], index, ordinal))
                }
            }
            places.sort { $0.row < $1.row }
            for place in places { append(place.input, place.ordinal) }
        }
        return (rows, lengths, languages, newOrdinals)
    }
}

/// The postings of one term while segments are merged.
private struct PostingBuffer {
    var count = 0
    private(set) var ordinals: UnsafeMutablePointer<UInt32>
    private(set) var tfs: UnsafeMutablePointer<UInt32>
    private var capacity = 1 << 10

    init() {
        ordinals = .allocate(capacity: capacity)
        tfs = .allocate(capacity: capacity)
    }

    func release() {
        ordinals.deallocate()
        tfs.deallocate()
    }

    /// Appends the live postings of a term of one segment.
    mutating func append(_ postings: TermPostings, of segment: TextSegment, newOrdinals: [UInt32]) {
        reserve(count + postings.count + PostingBlock.count)
        segment.read(postings, ordinals: ordinals + count, tfs: tfs + count)
        var kept = count
        newOrdinals.withUnsafeBufferPointer { newOrdinals in
            for index in count..<(count + postings.count) {
                let ordinal = newOrdinals[Int(ordinals[index])]
                ordinals[kept] = ordinal
                tfs[kept] = tfs[index]
                if ordinal != TextSegment.gone { kept += 1 }
            }
        }
        count = kept
    }

    /// Brings the postings into ascending order of ordinals.
    mutating func sort() {
        var isSorted = true
        for index in 1..<max(1, count) where ordinals[index] < ordinals[index - 1] { isSorted = false }
        guard !isSorted else { return }
        let sorted = (0..<count).map { UInt64(ordinals[$0]) << 32 | UInt64(tfs[$0]) }.sorted()
        for (index, posting) in sorted.enumerated() {
            ordinals[index] = UInt32(truncatingIfNeeded: posting >> 32)
            tfs[index] = UInt32(truncatingIfNeeded: posting)
        }
    }

    private mutating func reserve(_ wanted: Int) {
        guard wanted > capacity else { return }
        let larger = powerOfTwo(atLeast: wanted)
        let newOrdinals = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
        let newTFs = UnsafeMutablePointer<UInt32>.allocate(capacity: larger)
        newOrdinals.update(from: ordinals, count: count)
        newTFs.update(from: tfs, count: count)
        release()
        ordinals = newOrdinals
        tfs = newTFs
        capacity = larger
    }
}
