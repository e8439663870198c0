import Documents
import Foundation
import Storage
import Testing

@testable import Indexing

/// Which settings a collection may have, and what becomes of one that has others all the same.
struct SettingsTests {
    private typealias Change = @Sendable (inout CollectionSettings) -> Void

    private struct Case: Sendable, CustomTestStringConvertible {
        var setting: String
        var value: String
        var change: Change
        init(_ setting: String, _ value: String, _ change: @escaping Change) {
            self.setting = setting
            self.value = value
            self.change = change
        }
        var testDescription: String { "\(setting) \(value)" }
    }

    private static let wrong: [Case] = [
        Case("chunk_tokens", "0") { $0.chunkTokens = 0 },
        Case("chunk_tokens", "-5") { $0.chunkTokens = -5 },
        Case("chunk_tokens", "15") { $0.chunkTokens = 15 },
        Case("chunk_tokens", "\(Int.min)") { $0.chunkTokens = .min },
        Case("chunk_tokens", "\(Int.max)") { $0.chunkTokens = .max },
        Case("chunk_overlap_tokens", "500") { $0.chunkOverlapTokens = 500 },
        Case("chunk_overlap_tokens", "63") {
            $0.chunkTokens = 64
            $0.chunkOverlapTokens = 63
        },
        Case("chunk_overlap_tokens", "-1") { $0.chunkOverlapTokens = -1 },
        Case("stemmer", "'klingon'") { $0.stemmer = "klingon" },
        Case("stemmer", "''") { $0.stemmer = "" },
        Case("stop_words", "'german'") { $0.stopWords = "german" },
        Case("k1", "-1.0") { $0.k1 = -1 },
        Case("k1", "inf") { $0.k1 = .infinity },
        Case("k1", "nan") { $0.k1 = .nan },
        Case("b", "9.0") { $0.b = 9 },
        Case("b", "nan") { $0.b = .nan },
        Case("title_weight", "-3.0") { $0.titleWeight = -3 },
        Case("title_weight", "inf") { $0.titleWeight = .infinity },
        Case("vector_weight", "7.0") { $0.vectorWeight = 7 },
        Case("vector_weight", "-0.5") { $0.vectorWeight = -0.5 },
        Case("fusion", "'x'") { $0.fusion = "x" },
        Case("dimension", "0") { $0.dimension = 0 },
        Case("dimension", "-8") { $0.dimension = -8 },
        Case("dimension", "\(1 << 40)") { $0.dimension = 1 << 40 },
        Case("embedding_model", "empty") { $0.embeddingModel = "" },
    ]

    @Test(arguments: wrong)
    private func `a setting out of its range is refused by its name, and nothing is stored`(wrong: Case) throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        var settings = CollectionSettings()
        wrong.change(&settings)
        let error = #expect(throws: IndexingError.self) { try catalog.indexes(creating: "x", settings: settings) }
        guard case .store(.invalidSetting(let setting, let value, let allowed)) = error else {
            Issue.record("refused by \(String(describing: error))")
            return
        }
        #expect(setting == wrong.setting && value == wrong.value && !allowed.isEmpty)
        #expect(try store.collections().isEmpty)
        #expect(catalog.all().isEmpty && catalog.unusable.isEmpty)
    }

    @Test(arguments: wrong)
    private func `a stored collection with such a setting is set aside, told, and can be deleted, and the others serve`(wrong: Case) throws
    {
        let folder = try IndexingTests.Folder()
        do {
            let (store, catalog) = try IndexingTests.open(folder)
            let good = try catalog.indexes(creating: "good")
            _ = try good.put(IndexingTests.draft(good.id, "a", "lantern"), finishing: nil)
            var settings = CollectionSettings()
            wrong.change(&settings)
            // As an earlier version stored it. What cannot be written as JSON was never stored.
            guard settings.k1.isFinite, settings.b.isFinite, settings.titleWeight.isFinite else { return }
            try store.createCollection(name: "bad", settings: settings)
        }
        let (store, catalog) = try IndexingTests.open(folder)
        #expect(catalog.all().map(\.name) == ["good"])
        #expect(catalog.unusable.map(\.name) == ["bad"])
        #expect(catalog.unusable.first?.reason.contains("'\(wrong.setting)' is \(wrong.value)") == true)
        let error = #expect(throws: IndexingError.self) { try catalog.indexes(named: "bad") }
        #expect(error?.description.contains("delete it") == true)
        #expect(throws: IndexingError.self) { try catalog.indexes(creating: "bad") }
        #expect(IndexingTests.found(try #require(try catalog.indexes(named: "good")), "lantern").count == 1)
        try catalog.sealAll()
        _ = try catalog.deleteCollection(named: "bad")
        #expect(try store.collections().map(\.name) == ["good"] && catalog.unusable.isEmpty)
        // The name is free again.
        #expect(try catalog.indexes(creating: "bad").name == "bad")
    }

    @Test func `the smallest and the largest values are allowed`() throws {
        var settings = CollectionSettings()
        #expect(settings.problems == [])
        for (tokens, overlap) in [(16, 8), (16, 0), (8192, 4096), (64, 32)] {
            settings.chunkTokens = tokens
            settings.chunkOverlapTokens = overlap
            #expect(settings.problems == [])
        }
        for (k1, b, weight, vector) in [(0, 0, 0, 0), (1000, 1, 1000, 1)] as [(Float, Float, Float, Float)] {
            settings.k1 = k1
            settings.b = b
            settings.titleWeight = weight
            settings.vectorWeight = vector
            #expect(settings.problems == [])
        }
        for stemmer in ["none", "porter", "german", "french"] {
            settings.stemmer = stemmer
            #expect(settings.problems == [])
        }
        settings.fusion = "rrf"
        settings.stopWords = "none"
        settings.dimension = 1
        settings.embeddingModel = "m"
        #expect(settings.problems == [])
    }

    @Test func `an index folder that cannot be used sets its collection aside, and the others serve`() throws {
        let folder = try IndexingTests.Folder()
        do {
            let (_, catalog) = try IndexingTests.open(folder)
            for name in ["first", "second"] {
                let indexes = try catalog.indexes(creating: name)
                _ = try indexes.put(IndexingTests.draft(indexes.id, "a", "lantern"), finishing: nil)
            }
            try catalog.sealAll()
        }
        // A file where a folder should be: no rebuild helps before someone has looked.
        try FileManager.default.removeItem(atPath: folder.path + "/index/1")
        try Data().write(to: URL(fileURLWithPath: folder.path + "/index/1"))
        let (_, catalog) = try IndexingTests.open(folder)
        #expect(catalog.unusable.map(\.name) == ["first"] && catalog.all().map(\.name) == ["second"])
        #expect(IndexingTests.found(try #require(try catalog.indexes(named: "second")), "lantern").count == 1)
    }

    @Test func `many callers that create one collection at once all get it`() throws {
        let folder = try IndexingTests.Folder()
        let (store, catalog) = try IndexingTests.open(folder)
        let errors = Errors()
        DispatchQueue.concurrentPerform(iterations: 16) { number in
            do {
                let indexes = try catalog.indexes(creating: "default")
                _ = try indexes.put(IndexingTests.draft(indexes.id, "d\(number)", "common"), finishing: nil)
            } catch { errors.add(error) }
        }
        #expect(errors.all == [])
        #expect(try store.collections().count == 1)
        #expect(IndexingTests.found(try #require(try catalog.indexes(named: "default")), "common").count == 16)
    }

    private final class Errors: @unchecked Sendable {
        // Invariant: touched with the lock held.
        private let lock = NSLock()
        private var messages: [String] = []
        func add(_ error: any Error) { lock.withLock { messages.append("\(error)") } }
        var all: [String] { lock.withLock { messages } }
    }
}
