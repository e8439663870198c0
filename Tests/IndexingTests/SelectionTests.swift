import Documents
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Indexing

/// The rows of a filter are those that the database would give at that moment, whatever happened before.
struct SelectionTests {
    private static let keys = ["lang", "year", "tags", "missing"]

    private static func value(_ key: String, _ random: inout SeededGenerator) -> MetadataValue {
        switch key {
        case "lang": .string(["de", "en", "fr"].randomElement(using: &random)!)
        case "year": .number(Double(Int.random(in: 2018...2024, using: &random)))
        default: .string("t\(Int.random(in: 0..<5, using: &random))")
        }
    }

    private static func metadata(_ random: inout SeededGenerator) -> Metadata {
        var metadata: Metadata = [:]
        for key in keys.dropLast() where Int.random(in: 0..<4, using: &random) != 0 { metadata[key] = value(key, &random) }
        return metadata
    }

    private static func filter(depth: Int, _ random: inout SeededGenerator) -> Filter {
        let key = keys.randomElement(using: &random)!
        switch Int.random(in: 0..<(depth > 0 ? 12 : 9), using: &random) {
        case 0, 1: return .eq(key, value(key, &random))
        case 2: return .ne(key, value(key, &random))
        case 3: return .isIn(key, (0..<Int.random(in: 1...3, using: &random)).map { _ in value(key, &random) })
        case 4: return .notIn(key, [value(key, &random)])
        case 5: return .gte("year", value("year", &random))
        case 6: return .lt("year", value("year", &random))
        case 7: return .exists(key)
        case 8: return .eq("source", .string("d\(Int.random(in: 0..<60, using: &random))"))
        case 9: return .not(filter(depth: depth - 1, &random))
        case 10: return .and((0..<Int.random(in: 0...3, using: &random)).map { _ in filter(depth: depth - 1, &random) })
        default: return .or((0..<Int.random(in: 0...3, using: &random)).map { _ in filter(depth: depth - 1, &random) })
        }
    }

    /// Both sides of the comparison; nil where a filter is refused, which both must do.
    private static func compare(_ filter: Filter, _ indexes: CollectionIndexes, _ store: DocumentStore, _ what: String) {
        let truth = Result { try store.chunkIDs(in: indexes.id, matching: filter).map(\.rawValue) }
        let found = Result { try indexes.selection(matching: filter).rows.rows.map(\.rawValue) }
        switch (truth, found) {
        case (.success(let truth), .success(let found)): #expect(found == truth, "\(what): \(filter)")
        case (.failure, .failure): break
        default: Issue.record("\(what): \(filter): \(truth) and \(found)")
        }
    }

    @Test func `random changes and filters give what the database gives`() throws {
        try RandomRuns.forEachSeed(4) { seed in
            var random = SeededGenerator(seed: seed)
            let folder = try IndexingTests.Folder()
            let (store, catalog) = try IndexingTests.open(folder)
            let indexes = try catalog.indexes(creating: "c")
            // The same filters come back, as people's do.
            let filters = (0..<25).map { _ in Self.filter(depth: 2, &random) }
            for step in 0..<200 {
                let source = "d\(Int.random(in: 0..<60, using: &random))"
                switch Int.random(in: 0..<10, using: &random) {
                case 0...4:
                    var draft = IndexingTests.draft(indexes.id, source, "word\(step)")
                    draft.metadata = Self.metadata(&random)
                    _ = try indexes.put(draft, finishing: nil)
                case 5:
                    let drafts = (0..<5).map { number in
                        var draft = IndexingTests.draft(indexes.id, "d\((step + number) % 60)", "many\(step) \(number)")
                        draft.metadata = Self.metadata(&random)
                        return draft
                    }
                    _ = try indexes.put(drafts.map { (draft: $0, file: nil) })
                case 6: _ = try indexes.delete(.sources([source]))
                case 7:
                    if let document = try store.document(source: source, in: indexes.id) {
                        try store.update(metadata: Self.metadata(&random), of: document.id)
                    }
                case 8 where step % 40 == 0: _ = try indexes.delete(.all)
                default: try indexes.seal()
                }
                for _ in 0..<3 { Self.compare(filters.randomElement(using: &random)!, indexes, store, "seed \(seed), step \(step)") }
            }
            for filter in filters { Self.compare(filter, indexes, store, "seed \(seed), at the end") }
        }
    }

    @Test func `a condition that is asked for again costs no look at its rows`() throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        for number in 0..<50 {
            var draft = IndexingTests.draft(indexes.id, "d\(number)", "word\(number)")
            draft.metadata = ["lang": .string(number % 2 == 0 ? "de" : "en")]
            _ = try indexes.put(draft, finishing: nil)
        }
        let cache = SelectionCache(collection: indexes.id, store: store)
        let german = Filter.eq("lang", .string("de"))
        #expect(try cache.rows(matching: german).count == 25)
        #expect(cache.counts.conditions == 1)
        // Parts are shared among filters.
        #expect(try cache.rows(matching: .and([german, .exists("lang")])).count == 25)
        #expect(try cache.rows(matching: .not(german)).count == 25)
        #expect(cache.counts.conditions == 3, "lang = de, lang exists, everything")
        // The log tells of one document, and of nothing when nothing happened.
        let position = store.changePosition(of: indexes.id)
        #expect(store.changes(in: indexes.id, since: position) == DocumentChanges(position: position))
        let document = try #require(try store.document(source: "d0", in: indexes.id))
        try store.update(metadata: ["lang": .string("fr")], of: document.id)
        #expect(store.changes(in: indexes.id, since: position)?.changed == [document.id])
        #expect(try cache.rows(matching: german).count == 24)
    }

    @Test func `two ways to write a letter are two values, whichever was asked for first`() throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        let forms = ["Zo\u{eb}", "Zoe\u{308}"]
        for (number, form) in forms.enumerated() {
            var draft = IndexingTests.draft(indexes.id, form, "word\(number)")
            draft.metadata = ["who": .string(form), "all": .strings(["x", form])]
            _ = try indexes.put(draft, finishing: nil)
        }
        for form in forms {
            let value = MetadataValue.string(form)
            for filter in [
                Filter.eq("who", value), .ne("who", value), .isIn("who", [value]), .notIn("who", [value]), .eq("all", value),
                .eq("source", value),
            ] {
                #expect(try indexes.selection(matching: filter).rows.count == 1)
                Self.compare(filter, indexes, store, "once")
            }
        }
        #expect(MetadataValue.string(forms[0]) != .string(forms[1]))
        #expect(Set(forms.map { MetadataValue.strings([$0]) }).count == 2)
    }

    @Test func `the conditions of a filter are true of one moment`() async throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        @Sendable func metadata(_ swapped: Bool) -> Metadata { ["a": .number(swapped ? 2 : 1), "b": .number(swapped ? 1 : 2)] }
        for number in 0..<20 {
            var draft = IndexingTests.draft(indexes.id, "d\(number)", "word\(number)")
            draft.metadata = metadata(false)
            _ = try indexes.put(draft, finishing: nil)
        }
        let documents = try (0..<20).compactMap { try store.document(source: "d\($0)", in: indexes.id)?.id }
        #expect(documents.count == 20)
        // Always true and never true, of each document.
        let always = Filter.or([.eq("a", .number(1)), .eq("b", .number(1))])
        let never = Filter.and([.ne("a", .number(1)), .ne("b", .number(1)), .exists("a")])
        let last = store.changePosition(of: indexes.id) + 60 * 20
        try await withThrowingTaskGroup { group in
            group.addTask {
                for step in 1...60 {
                    for document in documents { try store.update(metadata: metadata(step % 2 == 1), of: document) }
                }
            }
            for _ in 0..<2 {
                group.addTask {
                    while store.changePosition(of: indexes.id) < last {
                        let all = try indexes.selection(matching: always).rows.count
                        let none = try indexes.selection(matching: never).rows.count
                        #expect(all == 20 && none == 0)
                        await Task.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `what the log has forgotten is read anew`() throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        var draft = IndexingTests.draft(indexes.id, "d", "word")
        draft.metadata = ["n": .number(0)]
        let document = try indexes.put(draft, finishing: nil).document
        let filter = Filter.gte("n", .number(1))
        Self.compare(filter, indexes, store, "first")
        let position = store.changePosition(of: indexes.id)
        try store.update(metadata: ["n": .number(5)], of: document)
        #expect(store.changes(in: indexes.id, since: position) != nil)
        // Of a position that was never reached: as after a restart.
        #expect(store.changes(in: indexes.id, since: position + 1000) == nil)
        Self.compare(filter, indexes, store, "after")
    }

    @Test func `a reader beside the writer keeps no sets and sees what is committed`() throws {
        let folder = try IndexingTests.Folder()
        let (_, writing) = try IndexingTests.open(folder)
        let indexes = try writing.indexes(creating: "c")
        var draft = IndexingTests.draft(indexes.id, "a", "lantern")
        draft.metadata = ["lang": .string("de")]
        _ = try indexes.put(draft, finishing: nil)
        let (store, reading) = try IndexingTests.open(folder, readOnly: true)
        let seen = try #require(try reading.indexes(named: "c"))
        let filter = Filter.eq("lang", .string("de"))
        #expect(try seen.selection(matching: filter).rows.count == 1)
        draft.source = "b"
        _ = try indexes.put(draft, finishing: nil)
        #expect(try seen.selection(matching: filter).rows.count == 2)
        #expect(try store.chunkIDs(in: seen.id, matching: filter).count == 2)
    }

    @Test func `a document is in its selection when its put has returned, with readers at work`() async throws {
        let folder = try IndexingTests.Folder()
        let (_, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        let isDone = Shared(false)
        let filter = Filter.eq("lang", .string("de"))
        var first = IndexingTests.draft(indexes.id, "first", "word")
        first.metadata = ["lang": .string("de")]
        _ = try indexes.put(first, finishing: nil)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    var last = 0
                    while !isDone.value {
                        // Nothing is taken away in this test, so a set never shrinks.
                        let count = try indexes.selection(matching: filter).rows.count
                        #expect(count >= last)
                        last = count
                        await Task.yield()
                    }
                }
            }
            for number in 0..<150 {
                var draft = IndexingTests.draft(indexes.id, "d\(number)", "word\(number)")
                draft.metadata = ["lang": .string(number % 3 == 0 ? "en" : "de")]
                let commit = try indexes.put(draft, finishing: nil)
                let rows = try indexes.selection(matching: filter).rows
                #expect(rows.contains(RowID(commit.inserted[0].rawValue)) == (number % 3 != 0))
            }
            isDone.change { $0 = true }
            try await group.waitForAll()
        }
    }
}
