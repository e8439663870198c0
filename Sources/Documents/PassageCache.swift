import GRDB
import Synchronization

/// A chunk with the document that it belongs to, as both are stored.
package final class Passage: Sendable {
    package let chunk: ChunkRecord
    package let document: DocumentRecord
    /// The documents' short key.
    fileprivate let documentRow: Int64

    init(chunk: ChunkRecord, document: DocumentRecord, documentRow: Int64) {
        self.chunk = chunk
        self.document = document
        self.documentRow = documentRow
    }

    private struct Derived: Sendable {
        var wasUsed = false
        var value: (any AnyObject & Sendable)?
    }
    private let derivedValue = Mutex(Derived())

    /// What a reader makes of the text and finds again as long as the passage is in memory. Nil for the first reader: most passages are read once.
    ///
    /// - Parameter make: Gives what is to be kept, from what is kept; of two threads that make it at once the last one's stays.
    package func derived<Value: AnyObject & Sendable>(_ make: ((any AnyObject & Sendable)?) -> Value?) -> Value? {
        let known = derivedValue.withLock { derived in
            defer { derived.wasUsed = true }
            return derived
        }
        guard known.wasUsed else { return nil }
        let value = make(known.value)
        if let value, value !== known.value { derivedValue.withLock { $0.value = value } }
        return value
    }

    /// Bytes that it takes, roughly, with what is derived of its text: a document is counted for each of its chunks.
    fileprivate var size: Int {
        chunk.text.utf8.count * 5 / 2 + chunk.heading.utf8.count + document.source.utf8.count + (document.title?.utf8.count ?? 0) + 512
            + document.metadata.count * 96
    }
}

/// Passages that were read lately, so many bytes of them at most. A search of the words spends more on reading its ten passages out of the database than on
/// finding them.
///
/// Nothing that is gone may be found here. The database itself says what changes, statement by statement and whatever the code was that ran it: `databaseDidChange`
/// hears of each row of `chunks` and `documents` that is updated or deleted, also through a foreign key, and the passages of those rows are dropped in the
/// commit's own call, before the writer goes on. A reader whose snapshot may be older than such a commit does not get to keep what it read: it shows the
/// `generation` from before its read.
///
/// Only for the process that writes; one that reads beside it hears of nothing and keeps nothing.
final class PassageCache: TransactionObserver, Sendable {
    private struct State {
        var young: [ChunkID: Passage] = [:]
        var old: [ChunkID: Passage] = [:]
        var youngSize = 0
        /// The chunks of both by their document.
        var byDocument: [Int64: [ChunkID]] = [:]
        var generation: UInt64 = 0
        // What the transaction under way has changed so far.
        var chunks: [ChunkID] = []
        var documents: [Int64] = []
        var isLarge = false
    }

    private let state = Mutex(State())
    private let generationSize: Int
    /// Rows of one transaction that are told one by one; after more of them everything is forgotten.
    private static let rowsMax = 4096

    /// - Parameter sizeMax: Bytes; 0 keeps nothing.
    init(sizeMax: Int) { generationSize = sizeMax / 2 }

    /// What is held of some chunks, and the generation for `insert`.
    func passages(_ ids: some Sequence<ChunkID>) -> (found: [ChunkID: Passage], generation: UInt64) {
        state.withLock { state in
            var found: [ChunkID: Passage] = [:]
            found.reserveCapacity(ids.underestimatedCount)
            guard generationSize > 0 else { return (found, state.generation) }
            for id in ids {
                if let passage = state.young[id] {
                    found[id] = passage
                } else if let passage = state.old[id] {
                    found[id] = passage
                    add(passage, &state)
                }
            }
            return (found, state.generation)
        }
    }

    /// Keeps what was read, unless something has changed since the generation was asked for.
    func insert(_ passages: [Passage], generation: UInt64) {
        guard generationSize > 0 else { return }
        state.withLock { state in
            guard state.generation == generation else { return }
            for passage in passages where passage.size <= generationSize / 8 && state.young[passage.chunk.id] == nil {
                add(passage, &state)
            }
        }
    }

    /// Chunks held.
    var count: Int { state.withLock { Set($0.young.keys).union($0.old.keys).count } }

    private func add(_ passage: Passage, _ state: inout State) {
        if state.youngSize + passage.size > generationSize { Self.age(&state) }
        // Whatever is held is found by its document, also what has just been forgotten and comes back.
        if state.old[passage.chunk.id] == nil { state.byDocument[passage.documentRow, default: []].append(passage.chunk.id) }
        state.young[passage.chunk.id] = passage
        state.youngSize += passage.size
    }

    /// What was not asked for since the last time is forgotten.
    private static func age(_ state: inout State) {
        state.old = state.young
        state.young = [:]
        state.youngSize = 0
        state.byDocument.removeAll(keepingCapacity: true)
        for (id, passage) in state.old { state.byDocument[passage.documentRow, default: []].append(id) }
    }

    // MARK: - What the database tells

    func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool {
        switch eventKind {
        case .insert: false
        case .delete(let table): table == "chunks" || table == "documents"
        case .update(let table, _): table == "chunks" || table == "documents"
        }
    }

    func databaseDidChange(with event: DatabaseEvent) {
        state.withLock { state in
            guard !state.isLarge else { return }
            if event.tableName == "chunks" {
                state.chunks.append(ChunkID(rawValue: event.rowID))
            } else {
                state.documents.append(event.rowID)
            }
            state.isLarge = state.chunks.count + state.documents.count > Self.rowsMax
        }
    }

    /// For changes that SQLite cannot tell one by one.
    func databaseDidChange() { state.withLock { $0.isLarge = true } }

    func databaseDidCommit(_ database: Database) {
        state.withLock { state in
            defer { Self.endTransaction(&state) }
            guard state.isLarge || !state.chunks.isEmpty || !state.documents.isEmpty else { return }
            state.generation += 1
            guard !state.isLarge else {
                state.young = [:]
                state.old = [:]
                state.byDocument = [:]
                state.youngSize = 0
                return
            }
            let ids = state.chunks + state.documents.flatMap { state.byDocument.removeValue(forKey: $0) ?? [] }
            for id in ids {
                if let passage = state.young.removeValue(forKey: id) { state.youngSize -= passage.size }
                state.old[id] = nil
            }
        }
    }

    func databaseDidRollback(_ database: Database) { state.withLock { Self.endTransaction(&$0) } }

    private static func endTransaction(_ state: inout State) {
        state.chunks = []
        state.documents = []
        state.isLarge = false
    }
}
