import Documents
import Foundation
import Storage
import TestSupport
import Testing
import TextSearch
import VectorSearch

@testable import Indexing

/// Random sequences over a whole collection, database and indexes together, beside a dictionary of documents.
struct RandomOperationsTests {
    private struct Stored {
        var words: [String]
        var tag: String
    }

    private static let vocabulary = (0..<40).map { "word\($0)" }

    @Test func `random operations give what a dictionary gives, across restarts`() throws {
        try RandomRuns.forEachSeed(3) { try run(seed: $0) }
    }

    private func run(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let folder = try IndexingTests.Folder()
        var (store, catalog) = try IndexingTests.open(folder)
        var indexes = try catalog.indexes(creating: "c")
        var model: [String: Stored] = [:]
        var log: [String] = []
        func what() -> String { "seed \(seed), after \(log.suffix(12).joined(separator: ", "))" }
        func source() -> String { "d\(Int.random(in: 0..<120, using: &generator))" }
        for step in 0..<150 {
            switch Int.random(in: 0..<40, using: &generator) {
            case 0...24:
                let source = source()
                let words = (0..<Int.random(in: 1...6, using: &generator)).map { _ in Self.vocabulary.randomElement(using: &generator)! }
                let tag = ["a", "b", "c"].randomElement(using: &generator)!
                var draft = IndexingTests.draft(indexes.id, source, words.joined(separator: " "))
                draft.metadata = ["tag": .string(tag)]
                _ = try indexes.put(draft, finishing: nil)
                log.append(model.updateValue(Stored(words: words, tag: tag), forKey: source) == nil ? "put" : "replace")
            case 25...30:
                let sources = (0..<Int.random(in: 1...3, using: &generator)).map { _ in source() }
                _ = try indexes.delete(.sources(sources))
                for source in sources { model[source] = nil }
                log.append("delete \(sources.count)")
            case 31:
                let tag = ["a", "b", "c"].randomElement(using: &generator)!
                _ = try indexes.delete(.filter(.eq("tag", .string(tag))))
                model = model.filter { $0.value.tag != tag }
                log.append("delete by tag")
            case 32...34:
                try indexes.seal(tidying: Bool.random(using: &generator))
                log.append("seal")
            case 35:
                try indexes.compact()
                log.append("compact")
            case 36:
                try indexes.rebuild()
                log.append("rebuild")
            default:
                // Without sealing and without closing, as after a crash.
                (store, catalog) = try IndexingTests.open(folder)
                indexes = try #require(try catalog.indexes(named: "c"))
                log.append("reopen")
            }
            guard step % 3 == 0 else { continue }
            // Text: the rows that hold a word, by the sources that they belong to.
            let word = Self.vocabulary.randomElement(using: &generator)!
            let byWord = indexes.text.search(word, k: 1000)
            #expect(try sources(byWord.map(\.row), store) == model.filter { $0.value.words.contains(word) }.keys.sorted(), "\(what())")
            // Vectors: all rows, each once; the same scores by search and by look-up.
            guard let vectors = indexes.vectors else { continue }
            var query = [Float](repeating: 0, count: IndexingTests.dimension)
            query[Int.random(in: 0..<query.count, using: &generator)] = 1
            let near = try vectors.search(query, k: 1000, filter: nil)
            #expect(try sources(near.map(\.row), store) == model.keys.sorted(), "\(what())")
            #expect(try vectors.scores(of: near.map(\.row).shuffled(using: &generator), for: query) == near, "\(what())")
            for hit in near.shuffled(using: &generator).prefix(3) {
                #expect(try vectors.scores(of: [hit.row], for: query) == [hit], "\(what())")
            }
            #expect(try Set(vectors.scores(of: byWord.map(\.row), for: query).map(\.row)) == Set(byWord.map(\.row)), "\(what())")
            // A filter, on both sides.
            let rows = RowSet(try store.chunkIDs(in: indexes.id, matching: .eq("tag", .string("a"))).map { RowID($0.rawValue) })
            let tagged = model.filter { $0.value.tag == "a" }
            #expect(
                try sources(vectors.search(query, k: 1000, filter: rows).map(\.row), store) == tagged.keys.sorted(), "\(what())")
            #expect(
                try sources(indexes.text.search(word, k: 1000, filter: rows).map(\.row), store)
                    == tagged.filter { $0.value.words.contains(word) }.keys.sorted(), "\(what())")
        }
        #expect(try indexes.verify().problems == [], "\(what())")
        #expect(try store.verify() == [], "\(what())")
    }

    private func sources(_ rows: [RowID], _ store: DocumentStore) throws -> [String] {
        try store.passages(rows.map { ChunkID(rawValue: $0.rawValue) }).values.map(\.document.source).sorted()
    }
}
