// The life of a change of the embedding model:
//
//   filling --all chunks have vectors--> indexing --index built--> (filling what came in meanwhile) --> done
//      \------------\--------------------------\--> cancelled | failed
//
// The collection is searched in its old space until the new one is whole, and written all the time. What was made stays in the database: a change that was
// cut short, by a kill or a full disk, goes on where it was. See `CollectionIndexes+Spaces` for the steps below.

package import Documents
package import Execution
import Foundation
package import Indexing
package import Inference
package import Logging
import Synchronization

/// A change of a collection's embedding model, as users see it.
package struct ModelChangeStatus: Sendable, Equatable {
    package enum State: String, Sendable, CaseIterable {
        case filling, indexing, done, cancelled, failed
    }
    package var collection: String
    /// The model that serves when the change begins; nil for a collection that had no vectors.
    package var from: String?
    package var to: String
    package var state: State
    /// Chunks that have a vector of the new model, and all chunks.
    package var vectorCount: Int
    package var chunkCount: Int
    /// Seconds to the end of filling at the measured speed; nil while too little is done to tell.
    package var etaSeconds: Double?
    /// Why it failed, or what it waits for.
    package var reason: String?

    package var isRunning: Bool { state == .filling || state == .indexing }
}

/// What frontends ask for to change the model that a collection is searched by.
package protocol ModelChanging: Sendable {
    /// Begins a change, or takes up one that was cut short; returns at once.
    ///
    /// - Parameter keepsOld: Whether the old model's vectors stay, so that a change back has only newer chunks to embed.
    func changeModel(of collection: String, to model: String, keepsOld: Bool, scope: RequestScope) async throws -> ModelChangeStatus
    /// The running change, or the last one since the start; nil when there was none.
    func modelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus?
    /// Ends a running change; the old model goes on serving.
    func cancelModelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus?
}

/// Changes the embedding models of collections while they serve; one collection after another, since each change keeps the model busy.
package actor ModelChanges: ModelChanging {
    private let catalog: IndexCatalog
    private let embedders: EmbedderShelf
    private let logger: Logger
    private let time: any TimeSource
    /// Chunks that are embedded in one call and stored in one transaction.
    private let batchSize: Int

    private struct Change {
        var status: ModelChangeStatus
        var keepsOld: Bool
        var task: Task<Void, Never>?
        /// When this process took it up, and the vectors that were made since: for the time that is left.
        var begin: ContinuousClock.Instant
        var made = 0
        var listeners: [AsyncStream<ModelChangeStatus>.Continuation] = []
    }
    private var changes: [CollectionID: Change] = [:]
    private var last: Task<Void, Never>?
    private var isStopping = false

    package init(
        catalog: IndexCatalog, embedders: EmbedderShelf, batchSize: Int = 256, time: any TimeSource = .machine, logger: Logger
    ) {
        self.catalog = catalog
        self.embedders = embedders
        self.batchSize = batchSize
        self.time = time
        self.logger = logger
    }

    /// Takes up changes that an earlier process left. One whose model is not to be had waits for a later start.
    package func start() async {
        for indexes in catalog.all() {
            do { try await offload { try indexes.removeDroppedSpaces() } } catch {
                logger.warning(
                    "vectors of an embedding model that was changed cannot be removed",
                    metadata: ["collection": "\(indexes.name)", "reason": "\(error)"])
            }
            guard let space = indexes.filling else { continue }
            do {
                _ = try await changeModel(of: indexes.name, to: space.model, keepsOld: false, scope: .everyone)
                logger.info(
                    "the change of an embedding model goes on", metadata: ["collection": "\(indexes.name)", "to": "\(space.model)"])
            } catch {
                logger.warning(
                    "the change of an embedding model cannot go on",
                    metadata: ["collection": "\(indexes.name)", "to": "\(space.model)", "reason": "\(error)"])
            }
        }
    }

    /// Leaves running changes to the next start.
    package func stop() async {
        isStopping = true
        let tasks = changes.values.compactMap(\.task)
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    // MARK: What is asked for

    package func changeModel(
        of collection: String, to model: String, keepsOld: Bool, scope: RequestScope
    ) async throws -> ModelChangeStatus {
        let indexes = try indexes(collection, scope)
        guard let embedder = try await embedders.embedder(named: model) else {
            throw IngestionError.invalidRequest(
                parameter: "embedding_model", value: "'\(model)'", remedy: "name a model whose file lies in the model folder")
        }
        if let running = changes[indexes.id], running.status.isRunning {
            if running.status.to == model { return running.status }
            throw IngestionError.invalidRequest(
                parameter: "embedding_model", value: "'\(model)'",
                remedy: "collection '\(collection)' is changing to '\(running.status.to)'; cancel that change first, or wait for its end")
        }
        let (space, counts) = try await translated {
            try await offload {
                let space = try indexes.beginSpace(model: model, dimension: embedder.model.dimension)
                return (space, try indexes.progress(of: space))
            }
        }
        let status = ModelChangeStatus(
            collection: collection, from: indexes.served?.space.model, to: model, state: .filling, vectorCount: counts.vectors,
            chunkCount: counts.chunks)
        changes[indexes.id] = Change(status: status, keepsOld: keepsOld, begin: time.now)
        let before = last
        let task = Task {
            await before?.value
            await self.run(indexes, space, embedder)
        }
        changes[indexes.id]?.task = task
        last = task
        return status
    }

    package func modelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus? {
        changes[try indexes(collection, scope).id]?.status
    }

    package func cancelModelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus? {
        let indexes = try indexes(collection, scope)
        guard let change = changes[indexes.id] else { return nil }
        guard change.status.isRunning else { return change.status }
        change.task?.cancel()
        await change.task?.value
        return changes[indexes.id]?.status
    }

    /// The states of a change from now to its end; nil when there is none.
    package func events(of collection: String) throws -> AsyncStream<ModelChangeStatus>? {
        let id = try indexes(collection, .everyone).id
        guard let change = changes[id] else { return nil }
        let (stream, continuation) = AsyncStream.makeStream(of: ModelChangeStatus.self, bufferingPolicy: .bufferingNewest(16))
        continuation.yield(change.status)
        if change.status.isRunning { changes[id]?.listeners.append(continuation) } else { continuation.finish() }
        return stream
    }

    private func indexes(_ collection: String, _ scope: RequestScope) throws -> CollectionIndexes {
        guard scope.includes(collection: collection) else { throw IngestionError.unknownCollection(collection) }
        do throws(IndexingError) {
            guard let found = try catalog.indexes(named: collection) else { throw .store(.unknownCollection(collection)) }
            return found
        } catch {
            if case .store(.unknownCollection) = error { throw IngestionError.unknownCollection(collection) }
            throw error.documentStoreError
        }
    }

    // MARK: What is done

    private func run(_ indexes: CollectionIndexes, _ space: VectorSpace, _ embedder: any Embedder) async {
        let old = indexes.served?.space
        let keepsOld = changes[indexes.id]?.keepsOld ?? false
        do {
            try await fill(indexes, space, embedder)
            update(indexes) { $0.state = .indexing }
            let flag = CancellationFlag()
            var built = try await withTaskCancellationHandler {
                try await offloadLongWork {
                    try indexes.build(space) { if flag.isSet.load(ordering: .relaxed) { throw CancellationError() } }
                }
            } onCancel: {
                flag.isSet.store(true, ordering: .relaxed)
            }
            while true {
                let step = built
                let (served, next) = try await translated {
                    try await offload {
                        var step = step
                        return (try indexes.serve(&step, keepsOld: keepsOld), step)
                    }
                }
                built = next
                if served { break }
                // Documents that were on their way when the change began.
                try await fill(indexes, space, embedder)
            }
            update(indexes) { status in
                status.vectorCount = status.chunkCount
                status.state = .done
            }
            logger.info(
                "embedding model changed",
                metadata: ["collection": "\(indexes.name)", "from": "\(old?.model ?? "none")", "to": "\(space.model)"])
            try await translated { try await offload { try indexes.removeDroppedSpaces() } }
        } catch is CancellationError {
            if !isStopping { try? indexes.giveUp(space) }
            update(indexes) { $0.state = .cancelled }
        } catch {
            // After the end: the old vectors could not be removed, which the next start does.
            if changes[indexes.id]?.status.state != .done {
                try? indexes.giveUp(space)
                update(indexes) { status in
                    status.state = .failed
                    status.reason = "\(error)"
                }
            }
            logger.error("changing the embedding model failed", metadata: ["collection": "\(indexes.name)", "reason": "\(error)"])
        }
        for listener in changes[indexes.id]?.listeners ?? [] { listener.finish() }
        changes[indexes.id]?.listeners = []
        changes[indexes.id]?.task = nil
    }

    /// Gives every chunk without a vector in the space its own.
    private func fill(_ indexes: CollectionIndexes, _ space: VectorSpace, _ embedder: any Embedder) async throws {
        var after = ChunkID(rawValue: 0)
        while true {
            try Task.checkCancellation()
            let (start, limit) = (after, batchSize)
            let chunks = try await translated { try await offload { try indexes.chunks(without: space, after: start, limit: limit) } }
            guard let last = chunks.last else { return }
            let vectors = try await embedder.embedPatiently(
                chunks.map { EmbeddingInput.document(title: $0.title, heading: $0.heading, text: $0.text) }, time)
            let made = try await store(vectors, of: chunks.map(\.id), indexes, space)
            after = last.id
            let total = try await translated { try await offload { try indexes.chunkCount() } }
            progress(indexes, made: made, of: total)
        }
    }

    /// Stores vectors; on a full disk it waits for space, as ingestion does.
    private func store(
        _ vectors: [Float], of chunks: [ChunkID], _ indexes: CollectionIndexes, _ space: VectorSpace
    ) async throws -> Int {
        var wait = Duration.seconds(1)
        while true {
            do {
                let count = try await translated { try await offload { try indexes.add(vectors, of: chunks, to: space) } }
                update(indexes) { $0.reason = nil }
                return count
            } catch DocumentStoreError.diskFull(let path, let operation) {
                let error = DocumentStoreError.diskFull(path: path, operation: operation)
                update(indexes) { $0.reason = error.description }
                try await time.sleep(until: time.now + wait)
                wait = min(wait * 2, .seconds(30))
            }
        }
    }

    private func progress(_ indexes: CollectionIndexes, made: Int, of total: Int) {
        guard var change = changes[indexes.id] else { return }
        change.made += made
        changes[indexes.id] = change
        let seconds = (time.now - change.begin).inSeconds
        update(indexes) { status in
            // New documents bring theirs with them.
            status.vectorCount = min(status.vectorCount + made, total)
            status.chunkCount = total
            let left = max(0, total - status.vectorCount)
            status.etaSeconds = seconds > 1 && change.made > 0 ? Double(left) * seconds / Double(change.made) : nil
        }
    }

    private func update(_ indexes: CollectionIndexes, _ change: (inout ModelChangeStatus) -> Void) {
        guard var status = changes[indexes.id]?.status else { return }
        change(&status)
        if !status.isRunning || status.state == .indexing { status.etaSeconds = nil }
        guard status != changes[indexes.id]?.status else { return }
        changes[indexes.id]?.status = status
        for listener in changes[indexes.id]?.listeners ?? [] { listener.yield(status) }
    }

    private func translated<Value: Sendable>(_ work: () async throws -> Value) async throws -> Value {
        do { return try await work() } catch let error as IndexingError {
            throw error.fullDisk ?? error.documentStoreError
        }
    }
}
