import Foundation
import Synchronization

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

    /// The number of the dictionary block that a term is in, or would be.
    private func block(of term: UnsafeBufferPointer<UInt8>) -> Int {
        var low = 0
        var high = blocks.count
        while high - low > 1 {
            let middle = (low + high) >> 1
            var cursor = terms.baseAddress! + Int(blocks[middle])
            let count = Int(Varint.read(&cursor))
            if Self.compare(cursor, count, term.baseAddress!, term.count) <= 0 { low = middle } else { high = middle }
        }
        return low
    }

    /// Calls with each term that begins with some bytes, and its document frequency, until there were `limit`.
    func forEachTerm(beginningWith prefix: [UInt8], limit: Int, _ body: ([UInt8], Int) -> Void) {
        guard !blocks.isEmpty, !prefix.isEmpty else { return }
        var cursor = TermCursor(self, block: prefix.withUnsafeBufferPointer { block(of: $0) })
        var rest = limit
        while rest > 0, cursor.next() {
            if cursor.term.starts(with: prefix) {
                body(cursor.term, cursor.postings.count)
                rest -= 1
            } else if prefix.lexicographicallyPrecedes(cursor.term) {
                return
            }
        }
    }

    /// Whether rows are in languages that join nouns.
    var hasJoinedNouns: Bool { languageCounts.contains { $0.key.joinsNouns && $0.value > 0 } }

    /// Calls with the longer terms that end with some bytes, and their document frequencies: the `limit` most frequent ones.
    ///
    /// - Complexity: O(log *terms*) and a few steps for each that is found; the first call walks and sorts the dictionary.
    func forEachLongTerm(endingWith suffix: [UInt8], sizeMin: Int, limit: Int, _ body: ([UInt8], Int) -> Void) {
        let long = longTerms.withLock { terms in
            if let terms { return terms }
            let made = LongTerms(self)
            terms = made
            return made
        }
        long.forEach(endingWith: suffix, sizeMin: sizeMin, limit: limit, body)
    }

    /// Order of bytes; the shorter of two with a common beginning comes first.
    @inline(__always)
    static func compare(_ left: UnsafePointer<UInt8>, _ leftCount: Int, _ right: UnsafePointer<UInt8>, _ rightCount: Int) -> Int {
        let order = memcmp(left, right, min(leftCount, rightCount))
        return order != 0 ? Int(order) : leftCount - rightCount
    }
}

/// The terms of a dictionary that may be compounds, in order of their ends.
final class LongTerms: Sendable {
    private struct Entry {
        /// The last eight bytes, the last one first.
        var key: UInt64
        var end: UInt32
        var size: UInt32
        var documentFrequency: UInt32
    }

    private let bytes: [UInt8]
    private let entries: [Entry]
    /// Shorter words have no parts.
    static let sizeMin = 8
    /// Where that many bytes are full, later terms are left out: a bound on memory.
    private static let bytesMax = 32 << 20

    init(_ segment: TextSegment) {
        var bytes: [UInt8] = []
        var entries: [Entry] = []
        var cursor = TermCursor(segment)
        while bytes.count < Self.bytesMax, cursor.next() {
            guard cursor.term.count >= Self.sizeMin, cursor.term.allSatisfy({ $0 >= 0x80 || (0x61...0x7A).contains($0) }) else { continue }
            bytes += cursor.term
            entries.append(
                Entry(
                    key: Self.key(cursor.term), end: UInt32(bytes.count), size: UInt32(cursor.term.count),
                    documentFrequency: UInt32(clamping: cursor.postings.count)))
        }
        entries.sort { ($0.key, $0.end) < ($1.key, $1.end) }
        self.bytes = bytes
        self.entries = entries
    }

    /// The last eight bytes as a number whose order is that of the reversed bytes; what is shorter has zeros behind.
    private static func key(_ term: [UInt8]) -> UInt64 {
        var key: UInt64 = 0
        for (place, byte) in term.reversed().prefix(8).enumerated() { key |= UInt64(byte) << (56 - 8 * UInt64(place)) }
        return key
    }

    func forEach(endingWith suffix: [UInt8], sizeMin: Int, limit: Int, _ body: ([UInt8], Int) -> Void) {
        guard !suffix.isEmpty else { return }
        let low = Self.key(suffix)
        let high = low | (suffix.count < 8 ? UInt64.max >> UInt64(8 * suffix.count) : 0)
        var start = 0
        var length = entries.count
        while length > 0 {
            let half = length / 2
            if entries[start + half].key < low {
                start += half + 1
                length -= half + 1
            } else {
                length = half
            }
        }
        var found: [Entry] = []
        bytes.withUnsafeBufferPointer { bytes in
            for entry in entries[start...].prefix(while: { $0.key <= high }) where Int(entry.size) >= max(sizeMin, suffix.count) {
                if suffix.count > 8, memcmp(bytes.baseAddress! + Int(entry.end) - suffix.count, suffix, suffix.count) != 0 { continue }
                found.append(entry)
            }
        }
        if found.count > limit {
            // Of equal ones the shorter, then the first in the dictionary.
            found.sort { ($1.documentFrequency, $0.size, $0.end) < ($0.documentFrequency, $1.size, $1.end) }
            found.removeLast(found.count - limit)
        }
        for entry in found {
            body(Array(bytes[Int(entry.end) - Int(entry.size)..<Int(entry.end)]), Int(entry.documentFrequency))
        }
    }
}
