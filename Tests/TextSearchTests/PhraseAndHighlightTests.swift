import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

struct PhraseAndHighlightTests {
    private func index(_ rows: [(Int64, String, String)], titleWeight: Float = 1) throws -> TextIndex {
        var configuration = plainConfiguration
        configuration.titleWeight = titleWeight
        let index = try TextIndex(directory: "/nonexistent", configuration: configuration)
        index.add(rows.map { TextRow(row: RowID($0.0), title: $0.1, body: $0.2) })
        return index
    }

    @Test func `quotes in a long text are punctuation, a long quote is a condition`() throws {
        let index = try index([(1, "", "red storm"), (2, "", "storm"), (3, "", "flower")])
        let long = String(repeating: "word ", count: 52)
        #expect(index.phrases(of: "\"red storm\" " + long) == nil)
        #expect(index.search("\"red storm\" " + long, k: 9, quotes: .required).count == 2)
        #expect(index.phrases(of: "\"red storm\" " + long.prefix(200)) != nil)
        #expect(index.phrases(of: "\"\(long)\"") != nil)
    }

    @Test func `required quotes find nothing where no row has the terms, preferred ones are disregarded`() throws {
        let index = try index([(1, "", "red storm"), (2, "", "storm red"), (3, "", "red")])
        #expect(Set(index.search("\"red storm\"", k: 9, quotes: .required).map(\.row)) == [RowID(1), RowID(2)])
        #expect(index.search("\"red flower\"", k: 9, quotes: .required).isEmpty)
        #expect(index.search("\"red flower\"", k: 9).count == 3)
        #expect(index.search("red flower", k: 9, quotes: .required).count == 3)
    }

    @Test func `a phrase may stand in any field, and does not reach from one into the next`() throws {
        let index = try index([])
        let phrases = try #require(index.phrases(of: "\"red storm\" and \"white cloud\""))
        #expect(phrases.hasOrder)
        #expect(index.contains(phrases, in: ["a red storm", "one white cloud"]))
        #expect(index.contains(phrases, in: ["white cloud red storm"]))
        #expect(!index.contains(phrases, in: ["a red", "storm white cloud"]))
        #expect(!index.contains(phrases, in: ["red storm", ""]))
        #expect(!index.contains(phrases, in: []))
        #expect(index.phrases(of: "no quotes") == nil)
        #expect(index.phrases(of: "\"\" \" ... \"") == nil)
        #expect(index.phrases(of: "\"one\" \"two\"")?.hasOrder == false)
    }

    /// The oracle looks for the words between spaces.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `phrases are found where the words stand in a row`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let index = try index([])
        for round in 0..<300 {
            let words = (0..<12).map { _ in "w\(Int.random(in: 0..<3, using: &random))" }
            let phrase = (0..<Int.random(in: 1...4, using: &random)).map { _ in "w\(Int.random(in: 0..<3, using: &random))" }
            let expected = (0...(words.count - phrase.count)).contains { Array(words[$0..<($0 + phrase.count)]) == phrase }
            let phrases = try #require(index.phrases(of: "\"" + phrase.joined(separator: " ") + "\""))
            #expect(
                index.contains(phrases, in: [words.joined(separator: " ")]) == expected,
                "seed \(seed), round \(round): \(phrase) in \(words)")
        }
    }

    @Test(arguments: [
        ("中文", "我们说中文和英文"), ("東京都", "私は東京都に住む"), ("한국어", "나는 한국어를 말한다"), ("データベース", "このデータベースは速い"),
    ])
    func `words of scripts without spaces are found and highlighted by pairs`(query: String, text: String) throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        index.add([TextRow(row: RowID(1), title: "", body: text), TextRow(row: RowID(2), title: "", body: "something else")])
        #expect(index.search(query, k: 5).map(\.row) == [RowID(1)])
        #expect(index.search("\"\(query)\"", k: 5, quotes: .required).map(\.row) == [RowID(1)])
        #expect(index.containsPhrases(of: "\"\(query)\"", in: text))
        let bytes = Array(text.utf8)
        let shown = index.highlights(of: query, in: text).map { String(decoding: bytes[$0], as: UTF8.self) }
        #expect(shown == [query])
    }

    @Test func `k1 and b of one search give what an index with these parameters gives`() throws {
        var random = SeededGenerator(seed: 3)
        let vocabulary = ZipfVocabulary(count: 200)
        let rows = (1...500).map {
            TextRow(row: RowID($0), title: "", body: vocabulary.text(Int.random(in: 1...60, using: &random), &random))
        }
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        index.add(rows)
        for (k1, b) in [(0, 0), (1.2, 0.75), (5, 1)] as [(Float, Float)] {
            var configuration = plainConfiguration
            configuration.k1 = k1
            configuration.b = b
            let other = try TextIndex(directory: "/nonexistent", configuration: configuration)
            other.add(rows)
            for _ in 0..<20 {
                let query = vocabulary.text(5, &random)
                #expect(
                    index.search(query, k: 50, parameters: BM25Parameters(k1: k1, b: b)) == other.search(query, k: 50), "k1 \(k1), b \(b)")
            }
        }
    }

    /// More than 4096 rows have the frequent words, some many times and some in long rows, so that looked-up and computed scores both occur.
    @Test func `frequent terms score as the oracle says`() throws {
        var random = SeededGenerator(seed: 11)
        let vocabulary = ZipfVocabulary(count: 40)
        var oracle = OracleIndex()
        let index = try TextIndex(directory: "/nonexistent", configuration: plainConfiguration)
        let rows = (1...9000).map { number in
            TextRow(
                row: RowID(number), title: "",
                body: vocabulary.text(number % 500 == 0 ? 400 : Int.random(in: 1...30, using: &random), &random))
        }
        for row in rows { oracle.add(row) }
        index.add(rows)
        for query in ["w0 w1 w2", "w0", "w3 w0 w17 w39", "w1 w1 w2"] {
            expect(index.search(query, k: 100), match: oracle.scores(query), k: 100, query)
        }
    }

    @Test func `a heavier title lifts the row whose title has the word`() throws {
        let rows: [(Int64, String, String)] = [(1, "", "comet comet and the rest of it"), (2, "comet", "the rest of it and some more")]
        #expect(try index(rows).search("comet", k: 2).map(\.row) == [RowID(1), RowID(2)])
        #expect(try index(rows, titleWeight: 5).search("comet", k: 2).map(\.row) == [RowID(2), RowID(1)])
    }

    @Test func `the number of segments counts files and the delta`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: plainConfiguration)
            #expect(index.segmentCount == 0)
            index.add([TextRow(row: RowID(1), title: "", body: "a")])
            #expect(index.segmentCount == 1)
            try index.seal(at: IndexPosition(highWater: RowID(1), deletionSequence: 0))
            index.add([TextRow(row: RowID(2), title: "", body: "b")])
            #expect(index.segmentCount == 2)
        }
    }
}
