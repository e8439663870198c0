import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

/// The oracle judges the index: whatever is pruned, filtered, deleted, merged or read from files.
@Suite struct RankedSearchTests {
    private static func corpus(_ count: Int, seed: UInt64, lengths: ClosedRange<Int> = 1...60, vocabulary: Int = 2000) -> [TextRow] {
        var random = SeededGenerator(seed: seed)
        let words = ZipfVocabulary(count: vocabulary)
        return (0..<count).map { index in
            // Now and then a row that is as another, for ties.
            let body = index % 9 == 8 ? "w1 w2 w3 w4" : words.text(Int.random(in: lengths, using: &random), &random)
            return TextRow(row: RowID(Int64(index + 1)), title: words.text(Int.random(in: 0...3, using: &random), &random), body: body)
        }
    }

    private static func queries(_ count: Int, seed: UInt64, vocabulary: Int = 2000) -> [String] {
        var random = SeededGenerator(seed: seed)
        let words = ZipfVocabulary(count: vocabulary)
        return (0..<count).map { index in
            let common = words.text(index % 12, &random)
            return common + " w\(Int.random(in: 0..<vocabulary, using: &random)) unknown"
        }
    }

    /// 5000 rows are five windows, and frequent words have dozens of blocks: every path of the search is taken.
    @Test(arguments: [1, 10, 100, 6000])
    func `hits are the oracle's`(k: Int) throws {
        let rows = Self.corpus(5000, seed: 1)
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        index.add(rows)
        var oracle = OracleIndex()
        for row in rows { oracle.add(row) }
        for query in Self.queries(12, seed: 2) { expect(index.search(query, k: k), match: oracle.scores(query), k: k, query) }
        #expect(index.verify() == [])
    }

    @Test(arguments: [0.5, 0.1, 0.01, 0.001])
    func `a filter is applied before ranking`(share: Double) throws {
        var random = SeededGenerator(seed: 3)
        // Ids with and without gaps: the filter reaches the search in two ways.
        for gap in [1, 3] as [Int64] {
            let rows = Self.corpus(3000, seed: 4).map { TextRow(row: RowID($0.row.rawValue * gap), title: $0.title, body: $0.body) }
            let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
            index.add(rows)
            var oracle = OracleIndex()
            for row in rows { oracle.add(row) }
            let members = rows.map(\.row).filter { _ in Double.random(in: 0..<1, using: &random) < share } + [rows[7].row]
            for query in Self.queries(12, seed: 5) {
                let scores = oracle.scores(query, filter: Set(members.map(\.rawValue)))
                expect(index.search(query, k: 10, filter: RowSet(members)), match: scores, k: 10, "gap \(gap): \(query)")
            }
        }
    }

    /// Neither the size of windows nor whether unpacked blocks are kept may change a result.
    @Test(arguments: [6, 8, 10, 12, 13], [0, 1, 1 << 13])
    func `hits do not depend on how the search goes about it`(windowShift: Int, cacheRoom: Int) throws {
        let rows = Self.corpus(3000, seed: 12)
        var builder = TextSegmentBuilder(unit: 1, titleUnits: 1)
        var oracle = OracleIndex()
        try Analyzer(stemmer: "none", stopWords: "none").withWorker { worker in
            for row in rows {
                builder.append(row, with: worker)
                oracle.add(row)
            }
        }
        let segment = builder.finish()
        let averageLength = Double(segment.totalLength) / Double(segment.rowCount)
        let few = RowSet(rows.map(\.row).filter { $0.rawValue % 50 == 7 })
        for (number, query) in Self.queries(8, seed: 13).enumerated() {
            let filter = number % 3 == 2 ? few : nil
            let words = Set(query.split(separator: " ").map(String.init))
            let known = words.sorted().compactMap { word in
                Array(word.utf8).withUnsafeBufferPointer { segment.postings(of: $0) }.map { (word: word, postings: $0) }
            }
            let weights = known.map { BM25.inverseDocumentFrequency(rowCount: segment.rowCount, documentFrequency: $0.postings.count) }
            let model = BM25(
                k1: 0.9, b: 0.4, unit: 1, averageLength: averageLength, weightSum: weights.reduce(0, +), termCount: known.count)
            var search = RankedSearch(
                TextSegmentView(segment), terms: zip(known, weights).map { ($0.postings, model.scaled($1)) }, required: [], filter: filter,
                model: model, scratch: QueryScratch(), windowShift: windowShift, cacheRoom: cacheRoom)
            var top = TopRows(k: 20)
            search.run(into: &top)
            let hits = top.sorted().map { RowHit(row: RowID($0.row), score: model.unscaled($0.score)) }
            let scores = oracle.scores(words.joined(separator: " "), filter: filter.map { Set($0.rows.map(\.rawValue)) })
            expect(hits, match: scores, k: 20, query)
        }
    }

    @Test func `of equal rows the smallest ids come first, wherever they lie`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        // Segments that are too different in size to be merged; the largest, which is searched first, has the largest ids.
        for ids in [2000...5000, 1000...1200, 1...40] as [ClosedRange<Int64>] {
            index.add(ids.map { TextRow(row: RowID($0), title: "", body: "all the same") })
        }
        #expect(index.snapshot().views.count == 3)
        for k in [1, 10, 60, 300] {
            let wanted = Array((Array(1...40) + Array(1000...1200) + Array(2000...5000)).prefix(k)).map { RowID(Int64($0)) }
            #expect(index.search("same", k: k).map(\.row) == wanted)
            #expect(index.search("all same the", k: k).map(\.row) == wanted)
        }
    }

    @Test func `an empty filter, no term and k of zero give nothing`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        #expect(index.search("anything", k: 10).isEmpty)
        index.add([TextRow(row: RowID(1), title: "", body: "anything goes")])
        #expect(index.search("anything", k: 10).map(\.row) == [RowID(1)])
        #expect(index.search("anything", k: 0).isEmpty)
        #expect(index.search("anything", k: -1).isEmpty)
        #expect(index.search("", k: 10).isEmpty)
        #expect(index.search("the of and", k: 10).isEmpty)
        #expect(index.search("anything", k: 10, filter: RowSet([])).isEmpty)
        #expect(index.search("anything", k: 10, filter: RowSet([RowID(2)])).isEmpty)
        #expect(index.search("anything", k: .max).count == 1)
    }

    /// The promise that lets segments be merged behind a reader's back.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `scores do not depend on how rows are divided into segments`(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: seed)
            let rows = Self.corpus(2500, seed: seed + 10)
            let whole = try TextIndex(directory: directory + "/whole", configuration: plainConfiguration)
            whole.add(rows)
            let divided = try TextIndex(directory: directory + "/divided", configuration: plainConfiguration)
            // Rows in any order, in any number at a time, some of it sealed: segments with interleaved row ids.
            let shuffled = rows.shuffled(using: &random)
            var rest = shuffled.dropLast(100)
            while !rest.isEmpty {
                let batch = rest.prefix(Int.random(in: 1...200, using: &random))
                rest = rest.dropFirst(batch.count)
                divided.add(Array(batch))
                if Int.random(in: 0..<4, using: &random) == 0 { try divided.seal(at: IndexPosition()) }
            }
            divided.add(Array(shuffled.suffix(100)))
            #expect(divided.count == rows.count)
            #expect(divided.snapshot().views.count > 1)
            let queries = Self.queries(20, seed: seed + 20)
            for query in queries { #expect(divided.search(query, k: 50) == whole.search(query, k: 50), "seed \(seed): \(query)") }
            try divided.compact(at: IndexPosition())
            #expect(divided.snapshot().views.count == 1)
            for query in queries { #expect(divided.search(query, k: 50) == whole.search(query, k: 50), "seed \(seed): \(query)") }
            let reopened = try TextIndex(directory: directory + "/divided", configuration: plainConfiguration, readOnly: true)
            for query in queries { #expect(reopened.search(query, k: 50) == whole.search(query, k: 50), "seed \(seed): \(query)") }
            #expect(reopened.verify() == [])
        }
    }

    @Test(arguments: [0, 0.3, 2, 5.5] as [Float])
    func `the title counts by its weight`(titleWeight: Float) throws {
        var configuration = plainConfiguration
        configuration.titleWeight = titleWeight
        configuration.k1 = 1.7
        configuration.b = 0.8
        let rows = Self.corpus(800, seed: 6)
        let index = try TextIndex(directory: "/nonexistent", configuration: configuration)
        index.add(rows)
        var oracle = OracleIndex(k1: Double(Float(1.7)), b: Double(Float(0.8)))
        // A weight is kept to a sixteenth.
        oracle.titleWeight = (Double(titleWeight) * 16).rounded() / 16
        for row in rows { oracle.add(row) }
        for query in Self.queries(12, seed: 7) { expect(index.search(query, k: 20), match: oracle.scores(query), k: 20, query) }
        #expect(index.verify() == [])
    }

    @Test func `a term that is asked for twice counts twice`() throws {
        let rows = Self.corpus(300, seed: 8)
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        index.add(rows)
        var oracle = OracleIndex()
        for row in rows { oracle.add(row) }
        expect(index.search("w1 w20 w20 w1 w1", k: 10), match: oracle.scores("w1 w20 w20 w1 w1"), k: 10, "repeated")
    }

    @Test func `a question of thousands of words is answered`() throws {
        let rows = Self.corpus(2000, seed: 9)
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        index.add(rows)
        let question = (0..<5000).map { "w\($0)" }.joined(separator: " ")
        #expect(index.search(question, k: 10).count == 10)
        // The rarest terms decide.
        #expect(index.search(question + " unknown w1999", k: 10).count == 10)
    }

    @Test func `extreme rows are scored as the oracle does`() throws {
        var rows = [
            TextRow(row: RowID(1), title: "", body: ""),
            TextRow(row: RowID(2), title: "w1", body: String(repeating: "w1 ", count: 70_000)),
            TextRow(row: RowID(3), title: "", body: String(repeating: "w2 ", count: 69_999) + "w1"),
            TextRow(row: RowID(1 << 40), title: "", body: "w1"),
        ]
        rows += (0..<200).map { TextRow(row: RowID(Int64($0 + 100)), title: "", body: "w1 w2 w\($0)") }
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        index.add(rows)
        var oracle = OracleIndex()
        for row in rows { oracle.add(row) }
        for query in ["w1", "w2", "w1 w2", "w7 w2"] { expect(index.search(query, k: 7), match: oracle.scores(query), k: 7, query) }
        #expect(index.verify() == [])
    }

    /// Adds, replacements, removals, seals and compactions in random order.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `after any history the index is what the oracle is`(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: seed)
            let words = ZipfVocabulary(count: 300)
            var index = try TextIndex(directory: directory, configuration: plainConfiguration)
            var live: [Int64: TextRow] = [:]
            var sealed: [Int64: TextRow] = [:]
            for step in 0..<40 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0..<5:
                    let rows = (0..<Int.random(in: 1...60, using: &random)).map { _ in
                        TextRow(
                            row: RowID(Int64.random(in: 1...400, using: &random)), title: words.text(2, &random),
                            body: words.text(Int.random(in: 0...30, using: &random), &random))
                    }
                    index.add(rows)
                    for row in rows { live[row.row.rawValue] = row }
                case 5..<7:
                    let gone = (0..<Int.random(in: 1...40, using: &random)).map { _ in Int64.random(in: 1...450, using: &random) }
                    index.remove(gone.map { RowID($0) })
                    for row in gone { live[row] = nil }
                case 7:
                    try index.seal(at: IndexPosition(highWater: RowID(Int64(step)), deletionSequence: Int64(step)))
                    sealed = live
                case 8:
                    try index.compact(at: IndexPosition(highWater: RowID(Int64(step)), deletionSequence: Int64(step)))
                    sealed = live
                    // Now the statistics are of live rows only, and the oracle knows the scores.
                    var oracle = OracleIndex()
                    for row in live.values { oracle.add(row) }
                    for query in Self.queries(4, seed: seed + UInt64(step), vocabulary: 300) {
                        expect(index.search(query, k: 10), match: oracle.scores(query), k: 10, "seed \(seed), step \(step): \(query)")
                    }
                default:
                    index = try TextIndex(directory: directory, configuration: plainConfiguration)
                    live = sealed
                }
                #expect(index.liveRows().map(\.rawValue) == live.keys.sorted(), "seed \(seed), step \(step)")
                #expect(index.count == live.count)
                // Before a merge the statistics may count deleted rows; which rows match is exact at any time.
                var oracle = OracleIndex()
                for row in live.values { oracle.add(row) }
                for query in Self.queries(2, seed: seed + UInt64(step), vocabulary: 300) {
                    let hits = index.search(query, k: 1000)
                    #expect(Set(hits.map(\.row.rawValue)) == Set(oracle.scores(query).keys), "seed \(seed), step \(step): \(query)")
                }
            }
            #expect(index.verify() == [])
        }
    }
}
