import Documents
import Foundation
import Indexing
import Inference
import Logging
import Synchronization
import TestSupport
import Testing

@testable import Ingestion

/// An embedder that does as a script says before it embeds as another does.
private final class ScriptedEmbedder: Embedder {
    let base: HashEmbedder
    var model: EmbeddingModel { base.model }
    var tokenizer: any Tokenizer { base.tokenizer }
    private let script: @Sendable (Int) async throws -> Void
    private let calls = Mutex(0)
    private let texts = Mutex(0)
    var textCount: Int { texts.withLock { $0 } }

    init(dimension: Int, script: @escaping @Sendable (Int) async throws -> Void = { _ in }) {
        base = HashEmbedder(dimension: dimension)
        self.script = script
    }

    func embed(_ inputs: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        let call = calls.withLock { calls -> Int in
            calls += 1
            return calls
        }
        try await script(call)
        texts.withLock { $0 += inputs.count }
        return try await base.embed(inputs, for: purpose)
    }
}

struct ModelChangesTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func shelf(_ standard: (any Embedder)?, _ others: [any Embedder]) -> EmbedderShelf {
        EmbedderShelf(standard: standard) { name in others.first { $0.model.name == name } }
    }

    private func intake(
        _ standard: (any Embedder)?, _ others: [any Embedder], in folder: TemporaryFolder = .inMemory()
    ) throws -> (Intake, ModelChanges) {
        let shelf = shelf(standard, others)
        let intake = try Intake(embedders: shelf, in: folder)
        return (intake, ModelChanges(catalog: intake.catalog, embedders: shelf, batchSize: 16, logger: Self.logger))
    }

    private func put(_ numbers: Range<Int>, into intake: Intake) async throws {
        let items = numbers.map { IngestItem.text(source: "s\($0)", title: "Title \($0)", text: "The text of number \($0).") }
        let status = try await intake.end(of: try await intake.service.submit(IngestRequest(items: items)))
        #expect(status.stages == ["indexed": numbers.count], "\(status.files.compactMap(\.reason))")
    }

    /// The change's last state.
    private func end(_ changes: ModelChanges) async throws -> ModelChangeStatus {
        var last: ModelChangeStatus?
        for await status in try #require(try await changes.events(of: "default")) { last = status }
        return try #require(last)
    }

    private func indexes(_ intake: Intake) throws -> CollectionIndexes { try #require(try intake.catalog.indexes(named: "default")) }

    @Test func `a collection that is written all the time changes its model and loses nothing`() async throws {
        let new = ScriptedEmbedder(dimension: 16)
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [new])
        try await put(0..<100, into: intake)
        let first = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        #expect(first.isRunning && first.from == "hash-32" && first.vectorCount == 0 && first.chunkCount == 100)
        async let last = end(changes)
        // Written and deleted meanwhile, and searched: by one model or the other, never by none.
        for round in 0..<6 {
            try await put(100 + 20 * round..<120 + 20 * round, into: intake)
            _ = try await intake.service.delete(.sources(["s\(round)"]), collection: "default")
            let served = try #require(try indexes(intake).served)
            #expect(try served.index.search([Float](repeating: 0.1, count: served.space.dimension), k: 1000, filter: nil).count >= 100)
        }
        let status = try await last
        #expect(status.state == .done && status.reason == nil && status.vectorCount == status.chunkCount)
        let indexes = try indexes(intake)
        #expect(indexes.served?.space.model == "hash-16" && indexes.filling == nil)
        #expect(try intake.store.spaces(of: indexes.id).map(\.model) == ["hash-16"])
        try await put(500..<510, into: intake)
        #expect(indexes.vectors?.count == 100 + 120 - 6 + 10)
        #expect(try await intake.service.verify().problems == [])
        let query = try await new.embed(["Title 507\nThe text of number 507."], for: .query)
        let hits = try #require(try indexes.vectors?.search(query, k: 400, filter: nil)).filter { $0.score > 0.999 }
        let passages = try intake.store.passages(hits.map { ChunkID(rawValue: $0.row.rawValue) })
        #expect(passages.values.contains { $0.document.source == "s507" })
    }

    @Test func `what was made before a stop is not made again`() async throws {
        let folder = TemporaryFolder.inMemory()
        do {
            // Its third batch hangs until the program ends.
            let hanging = ScriptedEmbedder(dimension: 16) { call in if call == 3 { try await Task.sleep(for: .seconds(3600)) } }
            let (intake, changes) = try intake(HashEmbedder(dimension: 32), [hanging], in: folder)
            try await put(0..<100, into: intake)
            _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
            for await status in try #require(try await changes.events(of: "default")) where status.vectorCount == 32 { break }
            await changes.stop()
            #expect(try await changes.modelChange(of: "default", scope: .everyone)?.state == .cancelled)
            #expect(try indexes(intake).filling?.model == "hash-16")
        }
        let new = ScriptedEmbedder(dimension: 16)
        let (again, changes) = try intake(HashEmbedder(dimension: 32), [new], in: folder)
        #expect(try indexes(again).served?.space.model == "hash-32")
        await changes.start()
        #expect(try await end(changes).state == .done)
        #expect(new.textCount == 68)
        #expect(try await again.service.verify().problems == [])
    }

    @Test func `a change that is cancelled leaves the old model, and can be begun again`() async throws {
        // From its second batch on it hangs, until the change was cancelled.
        let hangs = Shared(true)
        let new = ScriptedEmbedder(dimension: 16) { call in if call > 1, hangs.value { try await Task.sleep(for: .seconds(3600)) } }
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [new])
        try await put(0..<40, into: intake)
        #expect(try await changes.cancelModelChange(of: "default", scope: .everyone) == nil)
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        // While it runs another one is refused, and the same one is the same.
        await #expect(throws: IngestionError.self) {
            _ = try await changes.changeModel(of: "default", to: "hash-32", keepsOld: false, scope: .everyone)
        }
        #expect(try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone).to == "hash-16")
        for await status in try #require(try await changes.events(of: "default")) where status.vectorCount == 16 { break }
        #expect(try await changes.cancelModelChange(of: "default", scope: .everyone)?.state == .cancelled)
        hangs.change { $0 = false }
        let indexes = try indexes(intake)
        #expect(indexes.served?.space.model == "hash-32" && indexes.filling == nil)
        try await put(40..<50, into: intake)
        #expect(try await intake.service.verify().problems == [])
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: true, scope: .everyone)
        #expect(try await end(changes).state == .done)
        #expect(new.textCount == 50)
        // Back, with what was kept: only the newest are embedded.
        try await put(50..<53, into: intake)
        _ = try await changes.changeModel(of: "default", to: "hash-32", keepsOld: false, scope: .everyone)
        #expect(try await end(changes).state == .done)
        #expect(indexes.served?.space.model == "hash-32" && indexes.vectors?.count == 53)
        #expect(try await intake.service.verify().problems == [])
    }

    @Test func `a collection of texts alone is given vectors`() async throws {
        let (intake, changes) = try intake(nil, [HashEmbedder(dimension: 16)])
        try await put(0..<20, into: intake)
        let status = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        #expect(status.from == nil)
        #expect(try await end(changes).state == .done)
        try await put(20..<25, into: intake)
        #expect(try indexes(intake).vectors?.count == 25)
        #expect(try await intake.service.verify().problems == [])
    }

    @Test func `what cannot be is refused, or told`() async throws {
        let failing = ScriptedEmbedder(dimension: 16) { _ in throw InferenceError.failed(name: "hash-16", reason: "it broke") }
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [failing])
        try await put(0..<5, into: intake)
        await #expect(throws: IngestionError.self) {
            _ = try await changes.changeModel(of: "nowhere", to: "hash-16", keepsOld: false, scope: .everyone)
        }
        await #expect(throws: IngestionError.self) {
            _ = try await changes.changeModel(of: "default", to: "unheard-of", keepsOld: false, scope: .everyone)
        }
        await #expect(throws: DocumentStoreError.spaceServes(collection: "default", model: "hash-32")) {
            _ = try await changes.changeModel(of: "default", to: "hash-32", keepsOld: false, scope: .everyone)
        }
        await #expect(throws: IngestionError.self) {
            _ = try await changes.changeModel(
                of: "default", to: "hash-16", keepsOld: false, scope: RequestScope(caller: .everyone, collections: ["other"]))
        }
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        let status = try await end(changes)
        #expect(status.state == .failed && status.reason?.contains("it broke") == true)
        // The old model serves, and takes documents in: the next one's failure is not theirs.
        try await put(5..<8, into: intake)
        #expect(try indexes(intake).served?.space.model == "hash-32" && indexes(intake).vectors?.count == 8)
        #expect(try await intake.service.verify().problems == [])
    }

    @Test func `of changes that are asked for at once one runs, and the others harm it in nothing`() async throws {
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [HashEmbedder(dimension: 16), HashEmbedder(dimension: 8)])
        try await put(0..<60, into: intake)
        for _ in 0..<5 {
            let serving = try #require(try indexes(intake).served?.space.model)
            let wanted = ["hash-32", "hash-16", "hash-8"].filter { $0 != serving }
            let begun = await withTaskGroup(of: String?.self) { tasks in
                for number in 0..<8 {
                    tasks.addTask {
                        try? await changes.changeModel(of: "default", to: wanted[number % 2], keepsOld: false, scope: .everyone).to
                    }
                }
                return await tasks.reduce(into: [String]()) { if let model = $1 { $0.append(model) } }
            }
            #expect(Set(begun).count == 1 && begun.count >= 1, "\(begun)")
            let status = try await end(changes)
            #expect(status.state == .done && status.to == begun[0] && status.reason == nil, "\(status)")
            #expect(try indexes(intake).served?.space.model == begun[0])
        }
        #expect(try await intake.service.verify().problems == [])
    }

    @Test func `a change straight back finds what it needs`() async throws {
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [HashEmbedder(dimension: 16)])
        try await put(0..<40, into: intake)
        for round in 0..<6 {
            let model = round % 2 == 0 ? "hash-16" : "hash-32"
            _ = try await changes.changeModel(of: "default", to: model, keepsOld: false, scope: .everyone)
            #expect(try await end(changes).state == .done)
        }
        #expect(try indexes(intake).served?.space.model == "hash-32" && intake.store.spaces(of: indexes(intake).id).count == 1)
        #expect(try await intake.service.verify().problems == [])
    }

    @Test func `a change that waits for its turn is cancelled at once, and the one that runs goes on`() async throws {
        let holds = Shared(true)
        let slow = ScriptedEmbedder(dimension: 16) { _ in while holds.value { try await Task.sleep(for: .milliseconds(1)) } }
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [slow])
        try await put(0..<40, into: intake)
        let items = [IngestItem.text(source: "b", title: nil, text: "Another collection.")]
        _ = try await intake.end(of: try await intake.service.submit(IngestRequest(collection: "other", items: items)))
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        #expect(try await changes.changeModel(of: "other", to: "hash-16", keepsOld: false, scope: .everyone).state == .waiting)
        #expect(try await changes.cancelModelChange(of: "other", scope: .everyone)?.state == .cancelled)
        holds.change { $0 = false }
        #expect(try await end(changes).state == .done)
        #expect(try intake.catalog.indexes(named: "other")?.served?.space.model == "hash-32")
    }

    @Test func `a change whose model is gone says so after a start, and can be given up`() async throws {
        let folder = TemporaryFolder.inMemory()
        do {
            let (intake, _) = try intake(HashEmbedder(dimension: 32), [HashEmbedder(dimension: 16)], in: folder)
            try await put(0..<10, into: intake)
            _ = try indexes(intake).beginSpace(model: "hash-16", dimension: 16)
        }
        let (again, changes) = try intake(HashEmbedder(dimension: 32), [], in: folder)
        await changes.start()
        let status = try #require(try await changes.modelChange(of: "default", scope: .everyone))
        #expect(status.state == .failed && status.to == "hash-16" && status.reason?.contains("model folder") == true, "\(status)")
        #expect(try await changes.cancelModelChange(of: "default", scope: .everyone)?.state == .cancelled)
        #expect(try indexes(again).filling == nil)
    }

    @Test(arguments: [0, 300, 1 << 20])
    func `a name that can be no file's is refused, and not repeated at length`(size: Int) async throws {
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [])
        try await put(0..<2, into: intake)
        do {
            _ = try await changes.changeModel(
                of: "default", to: String(repeating: "x", count: size), keepsOld: false, scope: .everyone)
            Issue.record("it was taken")
        } catch let error as IngestionError { #expect(error.description.utf8.count < 300) }
    }

    @Test func `a change ends with its collection`() async throws {
        let gate = Mutex(false)
        let new = ScriptedEmbedder(dimension: 16) { _ in while !gate.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) } }
        let (intake, changes) = try intake(HashEmbedder(dimension: 32), [new])
        try await put(0..<40, into: intake)
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        async let last = end(changes)
        _ = try await intake.service.deleteCollection("default")
        gate.withLock { $0 = true }
        #expect(try await last.state == .failed)
        #expect(try intake.store.verify() == [])
    }

    @Test func `a document that was embedded before the change is embedded again`() async throws {
        // The first document's embedding waits until the change is done.
        let gate = Mutex(true)
        let old = ScriptedEmbedder(dimension: 32) { _ in while !gate.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) } }
        let new = ScriptedEmbedder(dimension: 16)
        let (intake, changes) = try intake(old, [new])
        try await put(0..<4, into: intake)
        gate.withLock { $0 = false }
        let job = try await intake.service.submit(IngestRequest(items: [.text(source: "late", title: nil, text: "A late text.")]))
        try await eventually("the text is embedded") { try await intake.service.status(of: job).stages["embedding"] == 1 }
        _ = try await changes.changeModel(of: "default", to: "hash-16", keepsOld: false, scope: .everyone)
        #expect(try await end(changes).state == .done)
        gate.withLock { $0 = true }
        #expect(try await intake.end(of: job).stages == ["indexed": 1])
        #expect(try indexes(intake).vectors?.count == 5)
        #expect(try await intake.service.verify().problems == [])
    }
}
