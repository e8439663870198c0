import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import Documents

/// What is kept in memory of passages is what the database says, whatever changed it.
struct PassageCacheTests {
    let folder = Folder()

    private final class Shared: Sendable {
        let gone = Mutex<Set<ChunkID>>([])
        let isOver = Mutex(false)
    }

    private func expectSame(_ store: DocumentStore, _ ids: [ChunkID], _ comment: String) throws {
        let plain = try folder.open(readOnly: true)
        let expected = try plain.passages(ids)
        // Twice: what the first call read, the second may find in memory.
        for _ in 0..<2 {
            let found = try store.passages(ids)
            #expect(Set(found.keys) == Set(expected.keys), "\(comment)")
            for (id, passage) in found {
                #expect(passage.chunk == expected[id]?.chunk && passage.document == expected[id]?.document, "\(comment): \(id)")
            }
        }
        try plain.close()
    }

    @Test func `after any change memory and database agree`() throws {
        try RandomRuns.forEachSeed(3) { seed in
            var random = SeededGenerator(seed: seed)
            let store = try folder.open()
            var collections: [CollectionID] = []
            var known: [ChunkID] = []
            for step in 0..<60 {
                if collections.isEmpty { collections.append(try store.createCollection(name: "c\(seed)-\(step)").id) }
                let id = collections.randomElement(using: &random)!
                let source = "s\(Int.random(in: 0..<6, using: &random))"
                let operation = Int.random(in: 0..<12, using: &random)
                switch operation {
                case 0..<5:
                    let parts = (0..<Int.random(in: 1...3, using: &random)).map { "Part \($0) at \(step). " }
                    try store.put(draft(id, source: source, title: "T\(step)", parts: parts, metadata: ["step": .number(Double(step))]))
                case 5..<7: _ = try store.delete(.sources([source]), in: id)
                case 7..<9:
                    if let document = try store.document(source: source, in: id) {
                        try store.update(metadata: ["changed": .number(Double(step))], of: document.id)
                    }
                case 9: try store.damage("UPDATE chunks SET heading = 'h\(step)' WHERE id % 2 = \(step % 2)")
                case 10 where collections.count < 3: collections.append(try store.createCollection(name: "d\(seed)-\(step)").id)
                case 11 where Bool.random(using: &random):
                    _ = try store.deleteCollection(id)
                    collections.removeAll { $0 == id }
                default: try store.compact()
                }
                known = Array(Set(known + (try collections.flatMap { try store.chunkIDs(in: $0) }))).sorted()
                try expectSame(store, known, "seed \(seed), step \(step), operation \(operation)")
            }
            #expect(store.passageCache.count > 0)
            try store.close()
        }
    }

    @Test func `a deletion behind the store's back, through a foreign key, is heard of`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "a"))
        try store.put(draft(id, source: "b"))
        let ids = try store.chunkIDs(in: id)
        _ = try store.passages(ids)
        #expect(store.passageCache.count == 4)
        try store.pool.write { try $0.execute(sql: "DELETE FROM documents WHERE source = 'a'") }
        #expect(store.passageCache.count == 2)
        try expectSame(store, ids, "one document")
        try store.pool.write { try $0.execute(sql: "DELETE FROM collections") }
        #expect(store.passageCache.count == 0)
        #expect(try store.passages(ids).isEmpty)
    }

    @Test func `what is undone was never changed`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "a"))
        let ids = try store.chunkIDs(in: id)
        _ = try store.passages(ids)
        struct Undone: Error {}
        #expect(throws: Undone.self) {
            try store.pool.write { database in
                try database.execute(sql: "DELETE FROM documents")
                throw Undone()
            }
        }
        #expect(store.passageCache.count == 2)
        try expectSame(store, ids, "rolled back")
    }

    @Test func `a reader that may have read before a change does not keep what it read`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "a"))
        let ids = try store.chunkIDs(in: id)
        let before = store.passageCache.passages(ids).generation
        let read = Array(try store.passages(ids).values)
        _ = try store.delete(.sources(["a"]), in: id)
        store.passageCache.insert(read, generation: before)
        #expect(store.passageCache.count == 0)
        #expect(try store.passages(ids).isEmpty)
    }

    @Test func `memory is bounded, and what is asked for stays longest`() throws {
        let store = try DocumentStore(directory: folder.path("data"), passageSizeMax: 64 << 10)
        let id = try store.createCollection(name: "notes").id
        for number in 0..<200 { try store.put(draft(id, source: "\(number)", parts: [String(repeating: "x", count: 400)])) }
        let ids = try store.chunkIDs(in: id)
        for each in ids {
            _ = try store.passages([each])
            _ = try store.passages([ids[0]])
        }
        // A passage of 400 bytes is taken as some 1,500.
        #expect((20...50).contains(store.passageCache.count))
        #expect(!store.passageCache.passages([ids[0]]).found.isEmpty)
        #expect(store.passageCache.passages([ids[50]]).found.isEmpty)
        let reader = try folder.open(readOnly: true)
        _ = try reader.passages(ids)
        #expect(reader.passageCache.count == 0)
    }

    @Test func `each passage that is held is found by its document, however often the memory has aged`() throws {
        var random = SeededGenerator(seed: 9)
        let store = try DocumentStore(directory: folder.path("data"), passageSizeMax: 64 << 10)
        let id = try store.createCollection(name: "notes").id
        for number in 0..<120 { try store.put(draft(id, source: "\(number)", parts: [String(repeating: "x", count: 200 + 7 * number)])) }
        let documents = try store.documents(in: id)
        let ids = try store.chunkIDs(in: id)
        for round in 0..<40 {
            // Some that are held and some that are not, so that ages end while passages come in and while they are found again.
            for _ in 0..<30 { _ = try store.passages((0..<3).map { _ in ids.randomElement(using: &random)! }) }
            for document in documents.shuffled(using: &random).prefix(40) {
                try store.update(metadata: ["round": .number(Double(round))], of: document.id)
            }
            try expectSame(store, ids, "round \(round)")
        }
    }

    @Test func `no reader finds what was deleted before it began`() async throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let shared = Shared()
        try store.put(draft(id, source: "s0"))
        let faults = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var faults = 0
                    while !shared.isOver.withLock({ $0 }) {
                        let dead = shared.gone.withLock { $0 }
                        let ids = (1...40).map { ChunkID(rawValue: $0) }
                        faults += try store.passages(ids).keys.count(where: dead.contains)
                        await Task.yield()
                    }
                    return faults
                }
            }
            group.addTask {
                for step in 0..<40 {
                    let ids = try store.chunkIDs(in: id)
                    _ = try store.passages(ids)
                    if step % 2 == 0 {
                        try store.put(draft(id, source: "s0", parts: ["at \(step)"]))
                    } else {
                        _ = try store.delete(.all, in: id)
                    }
                    shared.gone.withLock { $0.formUnion(ids) }
                    await Task.yield()
                }
                shared.isOver.withLock { $0 = true }
                return 0
            }
            return try await group.reduce(0, +)
        }
        #expect(faults == 0)
    }

    @Test func `what is derived is kept from the second reader on, as long as the passage is`() throws {
        final class Derived: Sendable {}
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "a"))
        let ids = try store.chunkIDs(in: id)
        let passage = try #require(try store.passages(ids)[ids[0]])
        #expect(passage.derived { _ in Derived() } == nil)
        let second = try #require(passage.derived { known in known as? Derived ?? Derived() })
        let again = try #require(try store.passages(ids)[ids[0]])
        #expect(again.derived { known in known as? Derived } === second)
    }
}
