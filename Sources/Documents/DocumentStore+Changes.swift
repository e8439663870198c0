import GRDB
import Synchronization

/// What happened to a collection's documents since some moment: enough to bring a set of their rows up to date without looking at the others.
package struct DocumentChanges: Sendable, Equatable {
    /// Documents that came, were replaced, or got other metadata; each once. Some may be gone again.
    package var changed: [DocumentID] = []
    /// Chunks that are gone.
    package var removed: [ChunkID] = []
    /// The moment up to which this tells.
    package var position: UInt64

    package init(position: UInt64) { self.position = position }
}

/// The latest changes of each collection, in memory: this process is the only one that writes, so it sees all of them.
///
/// A change is noted after its commit, so whoever reads the position first and the database afterwards has seen at least what the position says. A reader may see
/// more, between a commit and its note: documents are open from before their commit until after their note.
final class ChangeLog: Sendable {
    /// Changes that are remembered for each collection; whoever comes later looks at everything again.
    static let lengthMax = 8192

    private struct Entry {
        var document: DocumentID?
        var removed: [ChunkID]
    }

    private struct Log {
        /// How many changes there have been.
        var position: UInt64 = 0
        /// The last of them, oldest first.
        var entries: [Entry] = []
        /// Where `entries` begins; what is before it is forgotten.
        var first = 0

        mutating func append(_ entry: Entry) {
            position += 1
            entries.append(entry)
            if entries.count - first > ChangeLog.lengthMax { first += 1 }
            if first > ChangeLog.lengthMax {
                entries.removeFirst(first)
                first = 0
            }
        }
    }

    private let logs = Mutex<[CollectionID: Log]>([:])

    func note(_ collection: CollectionID, changed document: DocumentID?, removed: [ChunkID] = []) {
        logs.withLock { $0[collection, default: Log()].append(Entry(document: document, removed: removed)) }
    }

    /// Writes between their last statement and their note.
    private let open = Mutex<[ObjectIdentifier: (collection: CollectionID, documents: [DocumentID])]>([:])

    /// One write that changes documents: `announce` before the commit, the end of `during` after the note, or after the failure.
    final class Change: Sendable {
        fileprivate init() {}
    }

    /// - Parameter body: Writes and commits, having announced what it writes, and notes it.
    func during<Result>(_ body: (Change) throws(DocumentStoreError) -> Result) throws(DocumentStoreError) -> Result {
        let change = Change()
        defer { open.withLock { $0[ObjectIdentifier(change)] = nil } }
        return try body(change)
    }

    func announce(_ documents: [DocumentID], in collection: CollectionID, _ change: Change) {
        open.withLock { $0[ObjectIdentifier(change)] = (collection, documents) }
    }

    /// Documents whose change a reader may have seen though the log does not tell it yet. Read it before `changes`.
    func openDocuments(of collection: CollectionID) -> [DocumentID] {
        open.withLock { $0.values.filter { $0.collection == collection }.flatMap(\.documents) }
    }

    func forget(_ collection: CollectionID) { logs.withLock { $0[collection] = nil } }

    func position(of collection: CollectionID) -> UInt64 { logs.withLock { $0[collection]?.position ?? 0 } }

    /// Nil when the log does not reach back so far.
    func changes(of collection: CollectionID, since position: UInt64) -> DocumentChanges? {
        logs.withLock { logs in
            guard let log = logs[collection] else { return position == 0 ? DocumentChanges(position: 0) : nil }
            let count = log.position - min(position, log.position)
            guard position <= log.position, count <= UInt64(log.entries.count - log.first) else { return nil }
            var changes = DocumentChanges(position: log.position)
            var seen: Set<DocumentID> = []
            for entry in log.entries.suffix(Int(count)) {
                if let document = entry.document, seen.insert(document).inserted { changes.changed.append(document) }
                changes.removed += entry.removed
            }
            return changes
        }
    }
}

extension DocumentStore {
    /// A moment in the life of a collection, for `changes(in:since:)`. Read it before what is to be kept up to date.
    package func changePosition(of collection: CollectionID) -> UInt64 { changeLog.position(of: collection) }

    /// What changed since a moment, and what readers may have seen to change though `changes` does not tell it yet; nil as there.
    package func possibleChanges(in collection: CollectionID, since position: UInt64) -> DocumentChanges? {
        let open = changeLog.openDocuments(of: collection)
        guard var changes = changes(in: collection, since: position) else { return nil }
        var seen = Set(changes.changed)
        for document in open where seen.insert(document).inserted { changes.changed.append(document) }
        return changes
    }

    /// What changed since a moment; nil when that is too long ago to be remembered, and where another process writes.
    package func changes(in collection: CollectionID, since position: UInt64) -> DocumentChanges? {
        isReadOnly ? nil : changeLog.changes(of: collection, since: position)
    }

    /// The chunks of some documents, ascending: all of them, and those of the documents that match a filter.
    ///
    /// - Throws: `.invalidFilter`.
    package func chunkIDs(
        of documents: [DocumentID], in collection: CollectionID, matching filter: Filter
    ) throws(DocumentStoreError) -> (all: [ChunkID], matching: [ChunkID]) {
        let condition = try FilterSQL(filter, collection: collection)
        return try read("filter some documents") { database in
            var (all, matching): ([Int64], [Int64]) = ([], [])
            // A statement takes a bounded number of parameters.
            for start in stride(from: 0, to: documents.count, by: 500) {
                let some = documents[start..<min(start + 500, documents.count)].map(\.rawValue.databaseValue)
                let these = "d.id IN (" + repeatElement("?", count: some.count).joined(separator: ",") + ")"
                let own = StatementArguments([collection.rawValue.databaseValue] + some)
                all += try Int64.fetchAll(database, sql: Self.matchingChunkIDsSQL(these), arguments: own)
                matching += try Int64.fetchAll(
                    database, sql: Self.matchingChunkIDsSQL("\(these) AND (\(condition.sql))"),
                    arguments: own + StatementArguments(condition.arguments))
            }
            return (all.sorted().map { ChunkID(rawValue: $0) }, matching.sorted().map { ChunkID(rawValue: $0) })
        }
    }

    /// Whether a filter compares keys with values of types that they have, as `chunkIDs(in:matching:)` checks.
    ///
    /// - Throws: `.invalidFilter`.
    package func check(_ filter: Filter, in collection: CollectionID) throws(DocumentStoreError) {
        try checkTypes(of: filter, in: collection)
    }

    /// The chunks of the documents that match a part of a filter, ascending; its types are taken as checked.
    package func chunkIDs(in collection: CollectionID, matchingPart filter: Filter) throws(DocumentStoreError) -> [ChunkID] {
        let condition = try FilterSQL(filter, collection: collection)
        return try read("filter chunks") { database in
            try Int64.fetchAll(
                database, sql: Self.matchingChunkIDsSQL(condition.sql),
                arguments: StatementArguments([collection.rawValue.databaseValue] + condition.arguments)
            ).sorted().map { ChunkID(rawValue: $0) }
        }
    }
}
