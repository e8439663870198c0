// The life of a change of the embedding model:
//
//   waiting --its turn--> filling --all chunks have vectors--> indexing --index built--> (filling what came in meanwhile) --> done
//      \----------------\------------\--------------------------\--> cancelled | failed
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
        case waiting, filling, indexing, done, cancelled, failed
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

    package var isRunning: Bool { state == .waiting || state == .filling || state == .indexing }
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
        /// Tells it from one that followed: what an ended task still does concerns its own change alone.
        var number: Int
        var status: ModelChangeStatus
        var begin: ContinuousClock.Instant?
        /// Vectors that were made since `begin`: for the time that is left.
        var made = 0
        var listeners: [AsyncStream<ModelChangeStatus>.Continuation] = []
    }
    private struct Turn {
        var number: Int
        var indexes: CollectionIndexes
        var embedder: any Embedder
        var keepsOld: Bool?
    }
    /// The latest change of each collection.
    private var changes: [CollectionID: Change] = [:]
    private var queue: [Turn] = []
    private var current: (number: Int, task: Task<Void, Never>)?
    private var lastNumber = 0
    private var isStopping = false

    /// A longer name names no file.
    private static let nameSizeMax = 256

    package init(
        catalog: IndexCatalog, embedders: EmbedderShelf, batchSize: Int = 256, time: any TimeSource = .machine, logger: Logger
    ) {
        self.catalog = catalog
        self.embedders = embedders
        self.batchSize = batchSize
        self.time = time
        self.logger = logger
    }

    /// Takes up changes that an earlier process left. One whose model is not to be had waits for a later start, and says so.
    package func start() async {
        for indexes in catalog.all() {
            do { try await offload { try indexes.removeDroppedSpaces() } } catch {
                logger.warning(
                    "vectors of an embedding model that was changed cannot be removed",
                    metadata: ["collection": "\(indexes.name)", "reason": "\(error)"])
            }
            guard let space = indexes.filling else { continue }
            do {
                _ = try await change(indexes, to: space.model, keepsOld: nil)
                logger.info(
                    "the change of an embedding model goes on", metadata: ["collection": "\(indexes.name)", "to": "\(space.model)"])
            } catch {
                lastNumber += 1
                changes[indexes.id] = Change(
                    number: lastNumber,
                    status: ModelChangeStatus(
                        collection: indexes.name, from: indexes.served?.space.model, to: space.model, state: .failed, vectorCount: 0,
                        chunkCount: (try? indexes.chunkCount()) ?? 0, reason: "it cannot go on: \(error)"))
                logger.warning(
                    "the change of an embedding model cannot go on",
                    metadata: ["collection": "\(indexes.name)", "to": "\(space.model)", "reason": "\(error)"])
            }
        }
    }

    /// Leaves running changes to the next start.
    package func stop() async {
        isStopping = true
        for turn in queue { end(turn, .cancelled) }
        queue = []
        current?.task.cancel()
        await current?.task.value
    }

    // MARK: What is asked for

    package func changeModel(
        of collection: String, to model: String, keepsOld: Bool, scope: RequestScope
    ) async throws -> ModelChangeStatus {
        try await change(try indexes(collection, scope), to: model, keepsOld: keepsOld)
    }

    private func change(_ indexes: CollectionIndexes, to model: String, keepsOld: Bool?) async throws -> ModelChangeStatus {
        func refused(_ remedy: String) -> IngestionError {
            .invalidRequest(parameter: "embedding_model", value: "'\(model.prefix(100))'", remedy: remedy)
        }
        guard (1...Self.nameSizeMax).contains(model.utf8.count) else { throw refused("name a model whose file lies in the model folder") }
        let embedder: any Embedder
        do {
            guard let found = try await embedders.embedder(named: model) else {
                throw refused("name a model whose file lies in the model folder")
            }
            embedder = found
        } catch let error as InferenceError { throw refused("its file cannot be used: \(error)") }
        // From here to the change's entry nothing is waited for: of two requests at once one is first.
        if let running = changes[indexes.id], running.status.isRunning {
            if running.status.to == model { return running.status }
            throw refused(
                "collection '\(indexes.name)' is changing to '\(running.status.to)'; cancel that change first, or wait for its end")
        }
        let chunkCount: Int
        do throws(IndexingError) {
            chunkCount = try indexes.chunkCount()
            if let served = indexes.served?.space, served.model == model, try indexes.progress(of: served).vectors == chunkCount {
                throw .store(.spaceServes(collection: indexes.name, model: model))
            }
        } catch { throw error.documentStoreError }
        lastNumber += 1
        let status = ModelChangeStatus(
            collection: indexes.name, from: indexes.served?.space.model, to: model, state: .waiting, vectorCount: 0, chunkCount: chunkCount)
        changes[indexes.id] = Change(number: lastNumber, status: status)
        queue.append(Turn(number: lastNumber, indexes: indexes, embedder: embedder, keepsOld: keepsOld))
        next()
        return changes[indexes.id]?.status ?? status
    }

    package func modelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus? {
        changes[try indexes(collection, scope).id]?.status
    }

    package func cancelModelChange(of collection: String, scope: RequestScope) async throws -> ModelChangeStatus? {
        let indexes = try indexes(collection, scope)
        guard let change = changes[indexes.id] else { return nil }
        if let place = queue.firstIndex(where: { $0.number == change.number }) {
            end(queue.remove(at: place), .cancelled)
        } else if change.status.isRunning, let current, current.number == change.number {
            current.task.cancel()
            await current.task.value
        }
        // One that an earlier process left, and that cannot go on.
        if changes[indexes.id]?.number == change.number, change.status.state == .failed, let space = indexes.filling {
            try await translated { try await offload { try indexes.giveUp(space) } }
            changes[indexes.id]?.status.state = .cancelled
        }
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

    /// Begins the next change when none runs.
    private func next() {
        guard current == nil, !isStopping, !queue.isEmpty else { return }
        let turn = queue.removeFirst()
        current = (
            turn.number,
            Task {
                await self.run(turn)
                self.ended(turn)
            }
        )
    }

    private func ended(_ turn: Turn) {
        if current?.number == turn.number { current = nil }
        next()
    }

    private func run(_ turn: Turn) async {
        let (indexes, embedder) = (turn.indexes, turn.embedder)
        let old = indexes.served?.space
        var filled: VectorSpace?
        do {
            let (space, counts) = try await translated {
                try await offload {
                    let space = try indexes.beginSpace(
                        model: embedder.model.name, dimension: embedder.model.dimension, keepsOld: turn.keepsOld)
                    return (space, try indexes.progress(of: space))
                }
            }
            filled = space
            changes[indexes.id]?.begin = time.now
            update(turn) { status in
                status.state = .filling
                (status.vectorCount, status.chunkCount) = counts
            }
            try await fill(turn, space)
            update(turn) { $0.state = .indexing }
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
                        return (try indexes.serve(&step), step)
                    }
                }
                built = next
                if served { break }
                // Documents that were on their way when the change began.
                try await fill(turn, space)
            }
            try await translated { try await offload { try indexes.removeDroppedSpaces() } }
            update(turn) { $0.vectorCount = $0.chunkCount }
            logger.info(
                "embedding model changed",
                metadata: ["collection": "\(indexes.name)", "from": "\(old?.model ?? "none")", "to": "\(space.model)"])
            end(turn, .done)
        } catch is CancellationError {
            if let filled, !isStopping { try? indexes.giveUp(filled) }
            end(turn, .cancelled)
        } catch {
            logger.error("changing the embedding model failed", metadata: ["collection": "\(indexes.name)", "reason": "\(error)"])
            if let filled, indexes.served?.space.id == filled.id {
                // It serves; the old vectors could not be removed, which the next start does.
                end(turn, .done)
            } else {
                if let filled { try? indexes.giveUp(filled) }
                end(turn, .failed, "\(error)")
            }
        }
    }

    /// The last state of a change; whoever follows it is told.
    private func end(_ turn: Turn, _ state: ModelChangeStatus.State, _ reason: String? = nil) {
        update(turn) { status in
            status.state = state
            status.reason = reason
        }
        guard changes[turn.indexes.id]?.number == turn.number else { return }
        for listener in changes[turn.indexes.id]?.listeners ?? [] { listener.finish() }
        changes[turn.indexes.id]?.listeners = []
    }

    /// Gives every chunk without a vector in the space its own.
    private func fill(_ turn: Turn, _ space: VectorSpace) async throws {
        let (indexes, embedder) = (turn.indexes, turn.embedder)
        var after = ChunkID(rawValue: 0)
        while true {
            try Task.checkCancellation()
            let (start, limit) = (after, batchSize)
            let chunks = try await translated { try await offload { try indexes.chunks(without: space, after: start, limit: limit) } }
            guard let last = chunks.last else { return }
            let vectors = try await embedder.embedPatiently(
                chunks.map { EmbeddingInput.document(title: $0.title, heading: $0.heading, text: $0.text) }, time)
            let made = try await store(vectors, of: chunks.map(\.id), turn, space)
            after = last.id
            let total = try await translated { try await offload { try indexes.chunkCount() } }
            progress(turn, made: made, of: total)
        }
    }

    /// Stores vectors; on a full disk it waits for space, as ingestion does.
    private func store(
        _ vectors: [Float], of chunks: [ChunkID], _ turn: Turn, _ space: VectorSpace
    ) async throws -> Int {
        let indexes = turn.indexes
        var wait = Duration.seconds(1)
        while true {
            do {
                let count = try await translated { try await offload { try indexes.add(vectors, of: chunks, to: space) } }
                update(turn) { $0.reason = nil }
                return count
            } catch DocumentStoreError.diskFull(let path, let operation) {
                let error = DocumentStoreError.diskFull(path: path, operation: operation)
                update(turn) { $0.reason = error.description }
                try await time.sleep(until: time.now + wait)
                wait = min(wait * 2, .seconds(30))
            }
        }
    }

    private func progress(_ turn: Turn, made: Int, of total: Int) {
        guard var change = changes[turn.indexes.id], change.number == turn.number else { return }
        change.made += made
        changes[turn.indexes.id] = change
        let seconds = change.begin.map { (time.now - $0).inSeconds } ?? 0
        update(turn) { status in
            // New documents bring theirs with them.
            status.vectorCount = min(status.vectorCount + made, total)
            status.chunkCount = total
            let left = max(0, total - status.vectorCount)
            status.etaSeconds = seconds > 1 && change.made > 0 ? Double(left) * seconds / Double(change.made) : nil
        }
    }

    private func update(_ turn: Turn, _ change: (inout ModelChangeStatus) -> Void) {
        let id = turn.indexes.id
        guard var status = changes[id]?.status, changes[id]?.number == turn.number else { return }
        change(&status)
        if status.state != .filling { status.etaSeconds = nil }
        guard status != changes[id]?.status else { return }
        changes[id]?.status = status
        for listener in changes[id]?.listeners ?? [] { listener.yield(status) }
    }

    private func translated<Value: Sendable>(_ work: () async throws -> Value) async throws -> Value {
        do { return try await work() } catch let error as IndexingError {
            throw error.fullDisk ?? error.documentStoreError
        }
    }
}
