import Storage
import Synchronization

/// An immutable inverted index over some rows: in memory (the delta) or mapped from a file (sealed), with the same bytes.
///
/// Rows are numbered by their place in ascending row id: the *ordinal*. Seven sections:
///
/// | section | holds |
/// | --- | --- |
/// | `head` | eight 64-bit numbers: rows, terms, dictionary blocks, postings, total length, units of a term frequency, two zeros |
/// | `rows` | row id of each ordinal, 64-bit, ascending |
/// | `lengths` | length of each ordinal in units, 32-bit |
/// | `languages` | `Language` of each ordinal, 8-bit |
/// | `terms` | dictionary: terms ascending by their bytes, in blocks of 16, prefix-compressed |
/// | `blocks` | where each dictionary block begins in `terms`, 32-bit |
/// | `postings` | posting lists |
///
/// A dictionary entry, numbers as `Varint`:
/// ```
///  bytes shared with the term before (absent in a block's first) | bytes of its own | these bytes | df | df = 1: ordinal, tf
///                                                                                                       | df > 1: offset in `postings`
/// ```
/// A list of less than 128 postings is a run of `Varint` pairs: the gap to the ordinal before minus one, doubled, plus one when tf is one
/// (then tf is not written); otherwise tf minus two follows.
///
/// A longer list begins at a multiple of 4, `n` = ceil(df / 128):
/// ```
///  last ordinal of each block, n x 32-bit | n x PostingBlockHeader | blocks: 128 gaps, 128 tf, bit-packed; the last, when shorter, as above
/// ```
/// *tf* and lengths are counted in units: 1, or 1/16 where the title's weight is not a whole number.
final class TextSegment: @unchecked Sendable {
    // Invariant: nothing changes after `init`; the pointers stay valid as long as `owner` lives.
    let rowCount: Int
    let termCount: Int
    let postingCount: Int
    /// Sum of all lengths, in units.
    let totalLength: UInt64
    let unit: Int
    let rows: UnsafeBufferPointer<Int64>
    let lengths: UnsafeBufferPointer<UInt32>
    /// Raw values of `Language`.
    let languages: UnsafeBufferPointer<UInt8>
    /// How many rows each language has, deleted ones included.
    let languageCounts: [Language: Int]
    let terms: UnsafeBufferPointer<UInt8>
    let blocks: UnsafeBufferPointer<UInt32>
    let postings: UnsafeRawBufferPointer
    private let owner: Owner
    /// Made by the first search for parts of words.
    let longTerms = Mutex<LongTerms?>(nil)

    static let kind = "BM25"
    static let version: UInt32 = 2
    static let termsInBlock = 16
    static let headCount = 8

    private enum Owner {
        case memory([OwnedBytes])
        case file(SegmentFile, name: String)
    }

    /// The file's name in the index folder; nil in memory.
    var fileName: String? {
        if case .file(_, let name) = owner { name } else { nil }
    }

    /// Names the file's very content; 0 in memory.
    var headerChecksum: UInt32 {
        if case .file(let file, _) = owner { file.headerChecksum } else { 0 }
    }

    /// Takes the arrays that `TextSegmentEncoder` has filled.
    init(
        rows: [Int64], lengths: [UInt32], languages: [UInt8], terms: [UInt8], blocks: [UInt32], postings: [UInt8], termCount: Int,
        postingCount: Int, unit: Int
    ) {
        let buffers = [
            OwnedBytes(rows), OwnedBytes(lengths), OwnedBytes(terms), OwnedBytes(blocks), OwnedBytes(postings), OwnedBytes(languages),
        ]
        rowCount = rows.count
        self.termCount = termCount
        self.postingCount = postingCount
        totalLength = lengths.reduce(0) { $0 + UInt64($1) }
        self.unit = unit
        self.rows = buffers[0].bytes.assumingMemoryBound(to: Int64.self)
        self.lengths = buffers[1].bytes.assumingMemoryBound(to: UInt32.self)
        self.terms = buffers[2].bytes.assumingMemoryBound(to: UInt8.self)
        self.blocks = buffers[3].bytes.assumingMemoryBound(to: UInt32.self)
        self.postings = buffers[4].bytes
        self.languages = buffers[5].bytes.assumingMemoryBound(to: UInt8.self)
        languageCounts = Self.count(self.languages)
        owner = .memory(buffers)
    }

    /// Maps a sealed file and checks every byte's checksum and that the sections fit each other.
    init(directory: String, name: String, unit: Int) throws(StorageError) {
        let path = directory + "/" + name
        let file = try SegmentFile(path: path, kind: Self.kind, version: Self.version, verifyingSections: true)
        let head = try file.array("head", of: UInt64.self)
        rows = try file.array("rows", of: Int64.self)
        lengths = try file.array("lengths", of: UInt32.self)
        languages = try file.array("languages", of: UInt8.self)
        languageCounts = Self.count(languages)
        terms = try file.array("terms", of: UInt8.self)
        blocks = try file.array("blocks", of: UInt32.self)
        postings = try file.section("postings")
        guard head.count == Self.headCount else {
            throw .corrupt(path: path, offset: 0, reason: "the head has \(head.count) numbers, expected \(Self.headCount)")
        }
        guard rows.count == head[0], lengths.count == head[0], languages.count == head[0], blocks.count == head[2],
            Int(head[2]) == (Int(head[1]) + Self.termsInBlock - 1) / Self.termsInBlock, head[5] == unit
        else {
            throw .corrupt(path: path, offset: 0, reason: "its sections do not fit each other")
        }
        rowCount = rows.count
        termCount = Int(head[1])
        postingCount = Int(head[3])
        totalLength = head[4]
        self.unit = unit
        owner = .file(file, name: name)
    }

    /// Writes the segment to a file in a folder.
    func write(directory: String, name: String) throws(StorageError) {
        var writer = try SegmentWriter(path: directory + "/" + name, kind: Self.kind, version: Self.version)
        let head = [UInt64(rowCount), UInt64(termCount), UInt64(blocks.count), UInt64(postingCount), totalLength, UInt64(unit), 0, 0]
        try writer.append(section: "head", array: head)
        try writer.append(section: "rows", bytes: UnsafeRawBufferPointer(rows))
        try writer.append(section: "lengths", bytes: UnsafeRawBufferPointer(lengths))
        try writer.append(section: "languages", bytes: UnsafeRawBufferPointer(languages))
        try writer.append(section: "terms", bytes: UnsafeRawBufferPointer(terms))
        try writer.append(section: "blocks", bytes: UnsafeRawBufferPointer(blocks))
        try writer.append(section: "postings", bytes: postings)
        try writer.finish()
    }

    /// An unknown number, from a newer program's file, is an unknown language.
    private static func count(_ languages: UnsafeBufferPointer<UInt8>) -> [Language: Int] {
        var counts = [Int](repeating: 0, count: 256)
        for language in languages { counts[Int(language)] += 1 }
        var result: [Language: Int] = [:]
        for (number, count) in counts.enumerated() where count > 0 {
            result[Language(rawValue: UInt8(number)) ?? .unknown, default: 0] += count
        }
        return result
    }

    /// Reads a sealed file's checksums again.
    func verifyFile() throws(StorageError) {
        if case .file(let file, _) = owner { try file.verify() }
    }

    /// The ordinal of a row, or nil.
    func ordinal(of row: Int64) -> Int? {
        var low = 0
        var high = rowCount
        while low < high {
            let middle = (low + high) >> 1
            if rows[middle] < row { low = middle + 1 } else { high = middle }
        }
        return low < rowCount && rows[low] == row ? low : nil
    }
}

/// What can be known of a block of postings without unpacking it.
struct PostingBlockHeader: BitwiseCopyable {
    /// From the first block of the list on, in bytes.
    var offset: UInt32
    /// Two pairs of (tf, length) such that each posting of the block scores at most as much as one of them. See `BlockBound`.
    var tf0: UInt16
    var length0: UInt16
    var tf1: UInt16
    var length1: UInt16
    var gapBits: UInt8
    var tfBits: UInt8
    var reserved: UInt16 = 0
}

/// How a term's postings are found.
struct TermPostings {
    /// Number of postings: the term's document frequency in the segment.
    var count: Int
    /// The only posting, when `count` is one.
    var singleOrdinal: UInt32 = 0
    var singleTF: UInt32 = 0
    /// Where the list begins, when `count` is more.
    var offset = 0

    var isShort: Bool { count < PostingBlock.count }
}

/// A list of 128 postings or more, taken apart.
struct PostingBlocks {
    let count: Int
    let blockCount: Int
    let lastOrdinals: UnsafePointer<UInt32>
    let headers: UnsafePointer<PostingBlockHeader>
    let data: UnsafeRawPointer

    init(_ postings: TermPostings, in segment: TextSegment) {
        count = postings.count
        blockCount = (postings.count + PostingBlock.count - 1) / PostingBlock.count
        let start = segment.postings.baseAddress! + postings.offset
        lastOrdinals = start.assumingMemoryBound(to: UInt32.self)
        headers = (start + 4 * blockCount).assumingMemoryBound(to: PostingBlockHeader.self)
        data = start + (4 + MemoryLayout<PostingBlockHeader>.stride) * blockCount
    }

    @inline(__always)
    func size(of block: Int) -> Int {
        block == blockCount &- 1 ? count &- block &* PostingBlock.count : PostingBlock.count
    }

    /// The smallest ordinal that the block can hold.
    @inline(__always)
    func base(of block: Int) -> UInt32 { block == 0 ? 0 : lastOrdinals[block &- 1] &+ 1 }

    /// Unpacks the ordinals and term frequencies of a block into buffers of 128.
    func unpack(_ block: Int, ordinals: UnsafeMutablePointer<UInt32>, tfs: UnsafeMutablePointer<UInt32>) {
        let header = headers[block]
        let bytes = data + Int(header.offset)
        let size = size(of: block)
        guard size == PostingBlock.count else {
            var cursor = bytes.assumingMemoryBound(to: UInt8.self)
            TextSegment.readShort(&cursor, count: size, base: base(of: block), ordinals: ordinals, tfs: tfs)
            return
        }
        PostingBlock.unpack(bytes, bits: Int(header.gapBits), into: ordinals)
        // One addition on the critical path: the running ordinal.
        var previous = base(of: block) &- 1
        for index in 0..<PostingBlock.count {
            previous = previous &+ (ordinals[index] &+ 1)
            ordinals[index] = previous
        }
        PostingBlock.unpack(bytes + 16 * Int(header.gapBits), bits: Int(header.tfBits), into: tfs)
        for index in 0..<PostingBlock.count { tfs[index] = tfs[index] &+ 1 }
    }
}

extension TextSegment {
    /// Reads postings of the short form.
    @inline(__always)
    static func readShort(
        _ cursor: inout UnsafePointer<UInt8>, count: Int, base: UInt32, ordinals: UnsafeMutablePointer<UInt32>,
        tfs: UnsafeMutablePointer<UInt32>
    ) {
        var next = base
        for index in 0..<count {
            let head = Varint.read(&cursor)
            next = next &+ UInt32(truncatingIfNeeded: head &>> 1)
            ordinals[index] = next
            next = next &+ 1
            tfs[index] = head & 1 == 1 ? 1 : UInt32(truncatingIfNeeded: Varint.read(&cursor)) &+ 2
        }
    }

    /// Unpacks a whole list into buffers of at least `postings.count` rounded up to 128.
    func read(_ postings: TermPostings, ordinals: UnsafeMutablePointer<UInt32>, tfs: UnsafeMutablePointer<UInt32>) {
        if postings.count == 1 {
            ordinals[0] = postings.singleOrdinal
            tfs[0] = postings.singleTF
        } else if postings.isShort {
            var cursor = (self.postings.baseAddress! + postings.offset).assumingMemoryBound(to: UInt8.self)
            Self.readShort(&cursor, count: postings.count, base: 0, ordinals: ordinals, tfs: tfs)
        } else {
            let blocks = PostingBlocks(postings, in: self)
            for block in 0..<blocks.blockCount {
                blocks.unpack(block, ordinals: ordinals + block * PostingBlock.count, tfs: tfs + block * PostingBlock.count)
            }
        }
    }
}
