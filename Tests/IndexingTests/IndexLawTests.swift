import Documents
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing
import TextSearch
import VectorSearch

@testable import Indexing

/// The law of the indexes: at every step what can be searched is what the database holds, and no file says that it has seen more than the database.
///
/// The disk may fail at any step of a seal and of a compaction; the program may end at any moment without sealing or closing.
struct IndexLawTests {
    @Test func `what is searchable is the database at each step, and files are never ahead of it`() throws {
        try RandomRuns.forEachSeed(4) { seed in
            var run = try Run(seed: seed)
            for _ in 0..<70 { try run.step() }
            #expect(try run.store.verify() == [], "\(run.what)")
            #expect(run.failures > 0, "no disk failed in seed \(seed)")
        }
    }

    /// Nothing that could not be made searchable is committed: its file would be told as failed, and be found by no search before the next start.
    @Test func `when the index of the first vectors cannot be opened nothing is stored, and the next try stores it`() throws {
        let folder = TemporaryFolder.inMemory()
        let (store, catalog) = try Run.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        let place = folder.path + "/index/\(indexes.id.rawValue)"
        #expect(!FileManager.default.fileExists(atPath: place), "it is made with the first file")
        // A file where its folder should be.
        try FileManager.default.createDirectory(atPath: folder.path + "/index", withIntermediateDirectories: true)
        try Data().write(to: URL(fileURLWithPath: place))
        #expect(throws: IndexingError.self) { try indexes.put(IndexingTests.draft(indexes.id, "a", "lantern"), finishing: nil) }
        #expect(try store.counts(of: indexes.id).documents == 0 && indexes.text.count == 0)
        #expect(indexes.vectors == nil && indexes.settings.dimension == nil)
        try FileManager.default.removeItem(atPath: place)
        _ = try indexes.put(IndexingTests.draft(indexes.id, "a", "lantern"), finishing: nil)
        #expect(IndexingTests.found(indexes, "lantern").count == 1 && indexes.vectors?.count == 1)
        #expect(indexes.settings.dimension == IndexingTests.dimension && indexes.settings.embeddingModel == "test")
        #expect(try indexes.verify().problems == [])
    }
}

private struct Run {
    let seed: UInt64
    private(set) var store: DocumentStore
    private(set) var failures = 0
    private var generator: SeededGenerator
    private let folder = TemporaryFolder.inMemory()
    private var catalog: IndexCatalog
    private var indexes: CollectionIndexes
    private var log: [String] = []

    init(seed: UInt64) throws {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        (store, catalog) = try Self.open(folder)
        indexes = try catalog.indexes(creating: "c")
    }

    static func open(_ folder: TemporaryFolder, readOnly: Bool = false) throws -> (DocumentStore, IndexCatalog) {
        let store = try DocumentStore(directory: folder.path, readOnly: readOnly)
        return (
            store,
            try IndexCatalog(store: store, directory: folder.path + "/index", readOnly: readOnly, logger: IndexingTests.logger)
        )
    }

    var what: Comment { "seed \(seed), after \(log.suffix(12).joined(separator: ", "))" }

    mutating func step() throws {
        switch Int.random(in: 0..<20, using: &generator) {
        case 0...7:
            let count = Int.random(in: 1...4, using: &generator)
            let drafts = (0..<count).map { _ in draft() }
            _ = try indexes.put(drafts.map { (draft: $0, file: nil) })
            log.append("put \(drafts.map(\.source))")
        case 8...10:
            let sources = (0..<Int.random(in: 1...4, using: &generator)).map { _ in source() }
            _ = try indexes.delete(.sources(sources))
            log.append("delete \(sources)")
        case 11...14: try write("seal") { try $0.seal(tidying: $1) }
        case 15...16: try write("compact") { indexes, _ in try indexes.compact() }
        case 17: try write("rebuild") { indexes, _ in try indexes.rebuild() }
        default:
            (store, catalog) = try Self.open(folder)
            indexes = try #require(try catalog.indexes(named: "c"))
            log.append("reopen")
            #expect(indexes.repairs == [], what)
        }
        try check()
        if Int.random(in: 0..<5, using: &generator) == 0 { try checkReader() }
    }

    private mutating func source() -> String { "d\(Int.random(in: 0..<40, using: &generator))" }

    private mutating func draft() -> DocumentDraft {
        let words = (0..<Int.random(in: 1...4, using: &generator)).map { _ in "word\(Int.random(in: 0..<12, using: &generator))" }
        return IndexingTests.draft(indexes.id, source(), words.joined(separator: " "))
    }

    /// Writes files, on a disk that may fail at one of the steps.
    private mutating func write(_ name: String, _ operation: (CollectionIndexes, _ tidying: Bool) throws -> Void) throws {
        // A rebuild begins by throwing away what it would be left with.
        let failing = name == "rebuild" ? Int.max : Int.random(in: 0..<40, using: &generator)
        let tidying = Bool.random(using: &generator)
        let steps = Mutex(0)
        do {
            try StorageProbe.$observer.withValue(
                { step in
                    let number = steps.withLock { count in
                        count += 1
                        return count - 1
                    }
                    return number == failing ? .system(path: step.path, operation: "write", errno: ENOSPC) : nil
                }, operation: { try operation(indexes, tidying) })
            log.append(name)
        } catch let error as IndexingError {
            #expect(error.fullDisk != nil, "\(what): \(error)")
            failures += 1
            log.append("\(name) that fails at step \(failing)")
        }
    }

    // MARK: What must be so

    private mutating func check() throws {
        let rows = try store.chunkIDs(in: indexes.id).map(\.rawValue)
        #expect(indexes.text.liveRows().map(\.rawValue).sorted() == rows, what)
        if let vectors = indexes.vectors { #expect(vectors.liveRows().map(\.rawValue).sorted() == rows, what) }
        // A search finds the documents that hold a word, and none that did.
        let word = "word\(Int.random(in: 0..<12, using: &generator))"
        let expected = try store.rows(
            in: indexes.id, space: store.servingSpace(of: indexes.id)?.id, after: ChunkID(rawValue: 0), limit: 1000
        )
        .filter { $0.text.split(separator: " ").contains { $0 == word } }.map(\.id.rawValue)
        #expect(IndexingTests.found(indexes, word) == Set(expected), what)
        if let vectors = indexes.vectors {
            let query = [Float](repeating: 1, count: IndexingTests.dimension)
            #expect(try vectors.search(query, k: 1000, filter: nil).map(\.row.rawValue).sorted() == rows, what)
        }
        // Positions.
        let end = try store.position(of: indexes.id)
        let trimmed = try store.trimmedDeletion(in: indexes.id)
        for (name, memory) in [("text", indexes.text.sealedPosition), ("vectors", indexes.vectors?.sealedPosition ?? IndexPosition())] {
            let manifest = try IndexManifest.load(directory: "\(folder.path)/index/\(indexes.id.rawValue)/\(name)")
            let disk = manifest?.position ?? IndexPosition()
            for position in [memory, disk] {
                #expect(position.highWater.rawValue <= end.largestChunk.rawValue && position.deletionSequence <= end.lastDeletion, what)
                if let seal = position.seal { #expect(try store.knowsSeal(seal, of: indexes.id), what) }
            }
            // What the file has not seen is still in the database's log.
            if manifest != nil { #expect(trimmed <= disk.deletionSequence, "\(what): \(name)") }
            // A publication whose last step failed is on the disk and not in memory.
            #expect(memory.highWater.rawValue <= disk.highWater.rawValue, "\(what): \(name)")
        }
    }

    /// Another process that only reads: from the files and the database alone.
    private func checkReader() throws {
        let (store, catalog) = try Self.open(folder, readOnly: true)
        let indexes = try #require(try catalog.indexes(named: "c"))
        let rows = try store.chunkIDs(in: indexes.id).map(\.rawValue)
        #expect(indexes.repairs == [] && indexes.text.liveRows().map(\.rawValue).sorted() == rows, "\(what): a reader")
        #expect(indexes.vectors.map { $0.liveRows().map(\.rawValue).sorted() } ?? rows == rows, "\(what): a reader")
        #expect(try indexes.verify().problems == [], "\(what): a reader")
    }
}
