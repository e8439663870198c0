import Foundation

/// Walks a segment's dictionary in order of the terms' bytes.
struct TermCursor {
    private let segment: TextSegment
    private var position: UnsafePointer<UInt8>
    private var index = -1
    /// The bytes of the current term.
    private(set) var term: [UInt8] = []
    private(set) var postings = TermPostings(count: 0)

    /// Stands before the first term, or before the first term of a dictionary block.
    init(_ segment: TextSegment, block: Int = 0) {
        self.segment = segment
        position = segment.terms.baseAddress! + (block < segment.blocks.count ? Int(segment.blocks[block]) : 0)
        index = block * TextSegment.termsInBlock - 1
        term.reserveCapacity(AnalysisState.wordSizeMax)
    }

    /// Moves on; false at the end.
    mutating func next() -> Bool {
        index += 1
        guard index < segment.termCount else { return false }
        let shared = index % TextSegment.termsInBlock == 0 ? 0 : Int(Varint.read(&position))
        let own = Int(Varint.read(&position))
        term.removeLast(term.count - min(shared, term.count))
        term.append(contentsOf: UnsafeBufferPointer(start: position, count: own))
        position += own
        postings = TextSegment.readEntry(&position)
        return true
    }
}

extension TextSegment {
    /// Reads the part of a dictionary entry that follows the term's bytes.
    @inline(__always)
    fileprivate static func readEntry(_ position: inout UnsafePointer<UInt8>) -> TermPostings {
        var postings = TermPostings(count: Int(Varint.read(&position)))
        if postings.count == 1 {
            postings.singleOrdinal = UInt32(truncatingIfNeeded: Varint.read(&position))
            postings.singleTF = UInt32(truncatingIfNeeded: Varint.read(&position))
        } else {
            postings.offset = Int(Varint.read(&position))
        }
        return postings
    }

    /// A term's postings; nil when the segment does not know it.
    ///
    /// - Complexity: O(log *terms*) comparisons, then at most 16 entries are read. Does not allocate.
    func postings(of term: UnsafeBufferPointer<UInt8>) -> TermPostings? {
        guard let first = terms.baseAddress, !blocks.isEmpty else { return nil }
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) >> 1
            var cursor = first + Int(blocks[middle])
            let count = Int(Varint.read(&cursor))
            if Self.compare(cursor, count, term.baseAddress!, term.count) <= 0 { low = middle } else { high = middle }
        }
        // Within the block, `matched` bytes of the wanted term equal the current one: entries are told apart without rebuilding them.
        var cursor = first + Int(blocks[low])
        var matched = 0
        let last = min(termCount - low * Self.termsInBlock, Self.termsInBlock)
        for index in 0..<last {
            let shared = index == 0 ? 0 : Int(Varint.read(&cursor))
            let own = Int(Varint.read(&cursor))
            let suffix = cursor
            cursor += own
            let postings = Self.readEntry(&cursor)
            if shared < matched { return nil }
            if shared > matched { continue }
            var position = 0
            while position < own, matched < term.count, suffix[position] == term[matched] {
                position += 1
                matched += 1
            }
            if position == own {
                if matched == term.count { return postings }
            } else if matched == term.count || suffix[position] > term[matched] {
                return nil
            }
        }
        return nil
    }

    /// Order of bytes; the shorter of two with a common beginning comes first.
    @inline(__always)
    static func compare(_ left: UnsafePointer<UInt8>, _ leftCount: Int, _ right: UnsafePointer<UInt8>, _ rightCount: Int) -> Int {
        let order = memcmp(left, right, min(leftCount, rightCount))
        return order != 0 ? Int(order) : leftCount - rightCount
    }
}
