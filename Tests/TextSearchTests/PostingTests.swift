import TestSupport
import Testing

@testable import TextSearch

@Suite struct PostingTests {
    @Test(arguments: 0...32)
    func `a packed block is unpacked as it was`(bits: Int) {
        var random = SeededGenerator(seed: UInt64(bits))
        let largest: UInt32 = bits == 32 ? .max : (1 << UInt32(bits)) - 1
        let values = (0..<PostingBlock.count).map { $0 == 77 ? largest : UInt32.random(in: 0...largest, using: &random) }
        #expect(PostingBlock.bitWidth(of: values) == bits)
        var bytes: [UInt8] = []
        PostingBlock.pack(values, bits: bits, to: &bytes)
        #expect(bytes.count == 16 * bits)
        var unpacked = [UInt32](repeating: 0xDEAD, count: PostingBlock.count)
        bytes.withUnsafeBytes { source in
            guard let start = source.baseAddress else {
                unpacked = [UInt32](repeating: 0, count: PostingBlock.count)
                return
            }
            PostingBlock.unpack(start, bits: bits, into: &unpacked)
        }
        #expect(unpacked == values)
    }

    @Test(arguments: [0, 1, 127, 128, 16_383, 16_384, UInt64(UInt32.max), .max] as [UInt64])
    func `a number is read as it was written`(value: UInt64) {
        var bytes: [UInt8] = []
        Varint.append(value, to: &bytes)
        Varint.append(7, to: &bytes)
        bytes.withUnsafeBufferPointer { buffer in
            var cursor = buffer.baseAddress!
            #expect(Varint.read(&cursor) == value)
            #expect(Varint.read(&cursor) == 7)
            #expect(cursor == buffer.baseAddress! + buffer.count)
        }
    }

    /// List lengths around each change of form: single, short, blocks with and without a tail.
    @Test(arguments: [1, 2, 3, 126, 127, 128, 129, 255, 256, 257, 1000, 4096])
    func `a segment gives back every posting`(count: Int) {
        var random = SeededGenerator(seed: UInt64(count))
        let rowCount = 3 * count + 5
        let rows = (0..<rowCount).map { Int64($0 * 3 + 1) }
        let lengths = (0..<rowCount).map { _ in UInt32.random(in: 0...70_000, using: &random) }
        var encoder = TextSegmentEncoder(rows: rows, lengths: lengths, languages: rows.map { _ in 0 }, unit: 1)
        var written: [(term: [UInt8], ordinals: [UInt32], tfs: [UInt32])] = []
        for number in 0..<20 {
            // Each third row or so: gaps of one to three, and the first is not always zero.
            let ordinals = (0..<UInt32(count)).map { 3 * $0 + UInt32.random(in: 0...2, using: &random) }
            let tfs = ordinals.map { _ in
                Int.random(in: 0..<9, using: &random) == 0
                    ? UInt32.random(in: 1...90_000, using: &random) : UInt32.random(in: 1...4, using: &random)
            }
            written.append((Array("term\(twoDigits(number))".utf8), ordinals, tfs))
        }
        for entry in written {
            entry.term.withUnsafeBufferPointer { encoder.append(term: $0, ordinals: entry.ordinals, tfs: entry.tfs, count: count) }
        }
        let segment = encoder.finish()
        #expect(segment.firstFlaw() == nil)
        #expect(segment.postingCount == 20 * count)
        for entry in written {
            let found = entry.term.withUnsafeBufferPointer { segment.postings(of: $0) }
            guard let found else {
                Issue.record("term \(entry.term) is not found")
                continue
            }
            #expect(found.count == count)
            let room = (count + 127) / 128 * 128
            var ordinals = [UInt32](repeating: 0, count: room)
            var tfs = ordinals
            segment.read(found, ordinals: &ordinals, tfs: &tfs)
            #expect(Array(ordinals.prefix(count)) == entry.ordinals)
            #expect(Array(tfs.prefix(count)) == entry.tfs)
        }
    }

    private func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `exactly the terms that were written are found`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // Few letters: many common beginnings, and terms that begin other terms.
        var terms: Set<[UInt8]> = []
        while terms.count < 500 {
            terms.insert((0..<Int.random(in: 1...7, using: &random)).map { _ in UInt8.random(in: 97...99, using: &random) })
        }
        var encoder = TextSegmentEncoder(rows: [1], lengths: [9], languages: [0], unit: 1)
        for term in terms.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            term.withUnsafeBufferPointer { encoder.append(term: $0, ordinals: [0], tfs: [UInt32(term.count)], count: 1) }
        }
        let segment = encoder.finish()
        #expect(segment.firstFlaw() == nil)
        for _ in 0..<3000 {
            let term = (0..<Int.random(in: 1...8, using: &random)).map { _ in UInt8.random(in: 97...100, using: &random) }
            let found = term.withUnsafeBufferPointer { segment.postings(of: $0) }
            #expect((found != nil) == terms.contains(term), "seed \(seed): \(term)")
            if let found { #expect(found.singleTF == UInt32(term.count)) }
        }
    }

    @Test(arguments: [1, 16])
    func `no posting scores above its block's bound, whatever the parameters`(unit: Int) {
        var random = SeededGenerator(seed: 11)
        for trial in 0..<200 {
            let count = Int.random(in: 1...128, using: &random)
            let lengths = (0..<count).map { _ in UInt32.random(in: 1...(trial % 3 == 0 ? 100_000 : 400), using: &random) * UInt32(unit) }
            let tfs = (0..<count).map { _ in
                UInt32(unit) * (trial % 5 == 0 ? UInt32.random(in: 1...80_000, using: &random) : UInt32.random(in: 1...9, using: &random))
            }
            let ordinals = (0..<UInt32(count)).map { $0 }
            let bound = BlockBound.covering(tfs: tfs, ordinals: ordinals, count: count, lengths: lengths, unit: unit, averageLength: 200)
            let header = PostingBlockHeader(
                offset: 0, tf0: bound.tf0, length0: bound.length0, tf1: bound.tf1, length1: bound.length1, gapBits: 0, tfBits: 0)
            let model = BM25(
                k1: Float.random(in: 0...3, using: &random), b: Float.random(in: 0...1, using: &random), unit: unit,
                averageLength: Double.random(in: 1...1000, using: &random), weightSum: 30, termCount: 5)
            let weight = model.scaled(Double.random(in: 0.001...12, using: &random))
            for index in 0..<count {
                #expect(
                    model.score(tf: tfs[index], length: lengths[index], weight: weight) <= model.bound(header, weight: weight),
                    "trial \(trial)")
            }
        }
    }

    @Test(arguments: [1, 16])
    func `a table of scores holds what the formula gives, for frequent terms only`(unit: Int) {
        let model = BM25(k1: 1.2, b: 0.75, unit: unit, averageLength: 40, weightSum: 9, termCount: 3)
        let weights = [Float(2.5), 0.1, 7].map { model.scaled(Double($0)) }
        let tables = ScoreTables([(weights[0], 4096), (weights[1], 4095), (weights[2], 1 << 20)], model: model)
        #expect(tables[1] == nil)
        for term in [0, 2] {
            let table = tables[term]!
            for tf in 1...ScoreTables.tfMax {
                for length in 0..<ScoreTables.lengthCount {
                    let score = model.score(tf: UInt32(tf), length: UInt32(length), weight: weights[term])
                    #expect(table[(tf - 1) * ScoreTables.lengthCount + length] == score, "tf \(tf), length \(length)")
                }
            }
        }
    }

    @Test func `tombstones hold exactly what was inserted, and copies do not change`() {
        var random = SeededGenerator(seed: 5)
        var tombstones = OrdinalTombstones(rowCount: 20_000)
        var wanted: Set<Int> = []
        for _ in 0..<3000 {
            let ordinal = Int.random(in: 0..<20_000, using: &random)
            #expect(tombstones.insert(ordinal) == wanted.insert(ordinal).inserted)
        }
        let copy = tombstones
        #expect(copy.ordinals == wanted.sorted())
        #expect(copy.count == wanted.count)
        for ordinal in 0..<20_000 { _ = tombstones.insert(ordinal) }
        #expect(tombstones.ordinals == Array(0..<20_000))
        #expect(copy.ordinals == wanted.sorted())
        #expect((0..<20_000).allSatisfy { copy.contains($0) == wanted.contains($0) })
    }

    @Test(arguments: [1, 2, 10, 100, 1000])
    func `the best rows are kept in order, ties by id`(k: Int) {
        var random = SeededGenerator(seed: UInt64(k))
        var top = TopRows(k: k)
        var items = (0..<500).map { TopRows.Item(score: UInt32.random(in: 1...40, using: &random), row: Int64($0)) }
        items.shuffle(using: &random)
        for item in items { top.insert(item) }
        let wanted = items.sorted { ($1.score, $0.row) < ($0.score, $1.row) }.prefix(k)
        #expect(top.sorted().map(\.row) == wanted.map(\.row))
    }
}
