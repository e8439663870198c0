import Execution
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Inference

struct EmbedderShelfTests {
    @Test func `all who come while a model is read get it, and it is read once`() async throws {
        let reads = Mutex(0)
        let isOpen = Shared(false)
        let shelf = EmbedderShelf(standard: nil) { name in
            reads.withLock { $0 += 1 }
            while !isOpen.value { Thread.sleep(forTimeInterval: 0.001) }
            return name == "hash-8" ? HashEmbedder(dimension: 8) : nil
        }
        let found = try await withThrowingTaskGroup(of: String?.self) { tasks in
            for _ in 0..<12 { tasks.addTask { try await shelf.embedder(named: "hash-8")?.model.name } }
            try await eventually("one is reading") { reads.withLock { $0 } == 1 }
            isOpen.change { $0 = true }
            return try await tasks.reduce(into: [String?]()) { $0.append($1) }
        }
        #expect(found.count == 12 && found.allSatisfy { $0 == "hash-8" })
        #expect(reads.withLock { $0 } == 1)
        #expect(shelf.loaded.map(\.model.name) == ["hash-8"])
    }

    @Test func `what could not be read is not read again at once, and is read again later`() async throws {
        let time = VirtualTime()
        let reads = Mutex<[String]>([])
        let shelf = EmbedderShelf(standard: HashEmbedder(dimension: 4), time: time) { name in
            reads.withLock { $0.append(name) }
            if name == "broken" { throw InferenceError.failed(name: name, reason: "no model") }
            // A file whose model has another name is not the one that was asked for.
            return name == "renamed" ? HashEmbedder(dimension: 8) : nil
        }
        for _ in 0..<3 {
            #expect(try await shelf.embedder(named: "gone") == nil)
            #expect(try await shelf.embedder(named: "renamed") == nil)
            await #expect(throws: InferenceError.self) { try await shelf.embedder(named: "broken") }
            #expect(try await shelf.embedder(named: "hash-4")?.model.dimension == 4)
        }
        #expect(reads.withLock { $0 } == ["gone", "renamed", "broken"])
        time.advance(by: .seconds(6))
        #expect(try await shelf.embedder(named: "gone") == nil)
        #expect(reads.withLock { $0.count } == 4)
        #expect(try await shelf.embedder(for: nil)?.model.dimension == 4)
    }
}
