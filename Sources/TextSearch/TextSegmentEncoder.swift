/// Writes a segment's dictionary and postings, term by term in ascending order.
struct TextSegmentEncoder {
    private let rows: [Int64]
    private let lengths: [UInt32]
    private let languages: [UInt8]
    private let unit: Int
    private let averageLength: Float
    private var terms: [UInt8] = []
    private var blocks: [UInt32] = []
    private var postings: [UInt8] = []
    private var previous: [UInt8] = []
    private var termCount = 0
    private var postingCount = 0

    /// - Parameters:
    ///   - rows: Ascending and unique.
    ///   - lengths: In units, one for each row.
    ///   - languages: Raw values of `Language`, one for each row.
    init(rows: [Int64], lengths: [UInt32], languages: [UInt8], unit: Int) {
        precondition(
            rows.count == lengths.count && rows.count == languages.count,
            "\(rows.count) rows, \(lengths.count) lengths, \(languages.count) languages")
        precondition(rows.count < Int(UInt32.max), "\(rows.count) rows in one segment")
        self.rows = rows
        self.lengths = lengths
        self.languages = languages
        self.unit = unit
        averageLength = max(1, Float(lengths.reduce(0) { $0 + UInt64($1) }) / Float(max(1, rows.count)))
    }

    /// Appends a term with its postings, ordinals ascending. A term without postings leaves no trace.
    mutating func append(
        term: UnsafeBufferPointer<UInt8>, ordinals: UnsafePointer<UInt32>, tfs: UnsafePointer<UInt32>, count: Int
    ) {
        guard count > 0 else { return }
        appendBytes(of: term)
        Varint.append(UInt64(count), to: &terms)
        if count == 1 {
            Varint.append(UInt64(ordinals[0]), to: &terms)
            Varint.append(UInt64(tfs[0]), to: &terms)
        } else if count < PostingBlock.count {
            Varint.append(UInt64(postings.count), to: &terms)
            appendShort(ordinals, tfs, count, base: 0)
        } else {
            while postings.count & 3 != 0 { postings.append(0) }
            Varint.append(UInt64(postings.count), to: &terms)
            appendBlocks(ordinals, tfs, count)
        }
        termCount += 1
        postingCount += count
    }

    /// The finished segment, in memory.
    consuming func finish() -> TextSegment {
        TextSegment(
            rows: rows, lengths: lengths, languages: languages, terms: terms, blocks: blocks, postings: postings, termCount: termCount,
            postingCount: postingCount, unit: unit)
    }

    private mutating func appendBytes(of term: UnsafeBufferPointer<UInt8>) {
        var shared = 0
        if termCount % TextSegment.termsInBlock == 0 {
            precondition(terms.count < Int(UInt32.max), "a dictionary of \(terms.count) bytes; seal smaller segments")
            blocks.append(UInt32(terms.count))
        } else {
            while shared < previous.count, shared < term.count, previous[shared] == term[shared] { shared += 1 }
            Varint.append(UInt64(shared), to: &terms)
        }
        Varint.append(UInt64(term.count - shared), to: &terms)
        terms.append(contentsOf: UnsafeBufferPointer(rebasing: term[shared...]))
        previous.removeAll(keepingCapacity: true)
        previous.append(contentsOf: term)
    }

    private mutating func appendShort(_ ordinals: UnsafePointer<UInt32>, _ tfs: UnsafePointer<UInt32>, _ count: Int, base: UInt32) {
        var next = base
        for index in 0..<count {
            Varint.append(UInt64(ordinals[index] - next) << 1 | (tfs[index] == 1 ? 1 : 0), to: &postings)
            if tfs[index] != 1 { Varint.append(UInt64(tfs[index] - 2), to: &postings) }
            next = ordinals[index] + 1
        }
    }

    private mutating func appendBlocks(_ ordinals: UnsafePointer<UInt32>, _ tfs: UnsafePointer<UInt32>, _ count: Int) {
        let blockCount = (count + PostingBlock.count - 1) / PostingBlock.count
        let lastOrdinals = postings.count
        let headers = lastOrdinals + 4 * blockCount
        let data = headers + MemoryLayout<PostingBlockHeader>.stride * blockCount
        postings.append(contentsOf: repeatElement(0, count: data - lastOrdinals))
        var base: UInt32 = 0
        for block in 0..<blockCount {
            let start = block * PostingBlock.count
            let size = min(PostingBlock.count, count - start)
            let bound = BlockBound.covering(
                tfs: tfs + start, ordinals: ordinals + start, count: size, lengths: lengths, unit: unit, averageLength: averageLength)
            precondition(postings.count - data < Int(UInt32.max), "a posting list of more than 4 GiB; seal smaller segments")
            var header = PostingBlockHeader(
                offset: UInt32(postings.count - data), tf0: bound.tf0, length0: bound.length0, tf1: bound.tf1, length1: bound.length1,
                gapBits: 0, tfBits: 0)
            let last = ordinals[start + size - 1]
            if size == PostingBlock.count {
                header.gapBits = pack { values in
                    var next = base
                    for index in 0..<size {
                        values[index] = ordinals[start + index] - next
                        next = ordinals[start + index] + 1
                    }
                }
                header.tfBits = pack { values in
                    for index in 0..<size { values[index] = tfs[start + index] - 1 }
                }
            } else {
                appendShort(ordinals + start, tfs + start, size, base: base)
            }
            postings.withUnsafeMutableBytes { bytes in
                bytes.storeBytes(of: last, toByteOffset: lastOrdinals + 4 * block, as: UInt32.self)
                bytes.storeBytes(
                    of: header, toByteOffset: headers + MemoryLayout<PostingBlockHeader>.stride * block, as: PostingBlockHeader.self)
            }
            base = last + 1
        }
    }

    /// Appends 128 numbers packed; returns their width.
    private mutating func pack(_ fill: (UnsafeMutablePointer<UInt32>) -> Void) -> UInt8 {
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: PostingBlock.count) { values in
            fill(values.baseAddress!)
            let bits = PostingBlock.bitWidth(of: values.baseAddress!)
            PostingBlock.pack(values.baseAddress!, bits: bits, to: &postings)
            return UInt8(bits)
        }
    }
}
