import Foundation
import GRDB

/// What derived indexes read to be built, to catch up, and to filter.
extension DocumentStore {
    /// Ids of all chunks whose document matches, ascending.
    package func chunkIDs(in collection: CollectionID, matching filter: Filter) throws(DocumentStoreError) -> [ChunkID] {
        try checkTypes(of: filter, in: collection)
        let condition = try FilterSQL(filter, collection: collection)
        return try read("filter chunks") { database in
            // Not cached: there are as many statements as there are filters.
            var ids = try Self.chunkIDs(
                database.makeStatement(sql: Self.matchingChunkIDsSQL(condition.sql)),
                StatementArguments([collection.rawValue.databaseValue] + condition.arguments))
            // By document first, which is nearly ascending; the sort is cheaper here than in SQL.
            ids.sort()
            return ids
        }
    }

    /// CROSS JOIN fixes the order: documents outside, their chunks from an index that holds the ids.
    static func matchingChunkIDsSQL(_ condition: String) -> String {
        "SELECT c.id FROM documents d CROSS JOIN chunks c ON c.document = d.seq WHERE d.collection = ? AND (\(condition))"
    }

    /// Ids of all chunks of a collection, ascending.
    package func chunkIDs(in collection: CollectionID) throws(DocumentStoreError) -> [ChunkID] {
        try read("list chunks") { database in
            try Self.chunkIDs(database.cachedStatement(sql: Self.allChunkIDsSQL), [collection.rawValue])
        }
    }

    /// Ids of all chunks that have a vector of the right size in a space, ascending.
    package func chunkIDs(in space: VectorSpace) throws(DocumentStoreError) -> [ChunkID] {
        try read("list vectors") { database in
            try Self.chunkIDs(
                database.cachedStatement(
                    sql: """
                        SELECT c.id FROM chunks c JOIN vectors v ON v.chunk = c.id AND v.space = ?1
                        WHERE c.collection = ?2 AND length(v.vector) IN (2 * ?3, 4 * ?3) ORDER BY c.id
                        """), [space.id.rawValue, space.collection.rawValue, space.dimension])
        }
    }

    static let allChunkIDsSQL = "SELECT id FROM chunks WHERE collection = ? ORDER BY id"

    private static func chunkIDs(_ statement: Statement, _ arguments: StatementArguments) throws -> [ChunkID] {
        var ids: [ChunkID] = []
        let cursor = try Int64.fetchCursor(statement, arguments: arguments)
        while let id = try cursor.next() { ids.append(ChunkID(rawValue: id)) }
        return ids
    }

    /// The next rows after an id, ascending; an empty result means there are no more.
    ///
    /// `context` is the title and the heading path joined by a newline; where one of them is missing, the other alone.
    ///
    /// - Parameter space: Whose vectors come along; nil for none.
    package func rows(
        in collection: CollectionID, space: SpaceID?, after id: ChunkID, limit: Int
    ) throws(DocumentStoreError) -> [IndexableRow] {
        try read("read rows for an index") { database in
            var rows: [IndexableRow] = []
            rows.reserveCapacity(min(max(0, limit), 65_536))
            var document: Int64 = -1
            var title = ""
            let dimension = try space.flatMap { try VectorSpace.find($0, database)?.dimension } ?? 0
            let cursor = try Row.fetchCursor(
                database.cachedStatement(sql: Self.rowsSQL), arguments: [space?.rawValue, collection.rawValue, id.rawValue, max(0, limit)])
            while let row = try cursor.next() {
                // Chunks of one document lie together, so that its title is decoded once.
                if let next = (try row.value(1) as Int64?), next != document {
                    document = next
                    title = (try row.value(2) as String?) ?? ""
                }
                let heading = try row.text(3)
                let context = title.isEmpty ? heading : heading.isEmpty ? title : "\(title)\n\(heading)"
                let vector = try row.withUnsafeData(atIndex: 5) { data in
                    data.map { $0.withUnsafeBytes { VectorBlob.decode($0, dimension: dimension) } } ?? []
                }
                rows.append(IndexableRow(id: ChunkID(rawValue: try row.value(0)), context: context, text: try row.text(4), vector: vector))
            }
            return rows
        }
    }

    static let rowsSQL = """
        SELECT c.id, c.document, d.title, c.heading, c.text, v.vector
        FROM chunks c JOIN documents d ON d.seq = c.document LEFT JOIN vectors v ON v.chunk = c.id AND v.space = ?
        WHERE c.collection = ? AND c.id > ? ORDER BY c.id LIMIT ?
        """

    /// Deleted chunks after an entry of the deletion log, in order of deletion, and the log's last entry. Both from one snapshot.
    package func deletions(
        in collection: CollectionID, after sequence: Int64
    ) throws(DocumentStoreError) -> (chunks: [ChunkID], last: Int64) {
        try read("read the deletion log") { database in
            let last = try CollectionRow.get(collection, database).lastDeletion
            let chunks = try Self.chunkIDs(
                database.cachedStatement(sql: Self.deletionsSQL), [collection.rawValue, sequence])
            return (chunks, last)
        }
    }

    static let deletionsSQL = "SELECT chunk FROM deletions WHERE collection = ? AND sequence > ? ORDER BY sequence"

    /// The largest chunk id ever given out in this collection and the deletion log's last entry, from one snapshot.
    ///
    /// Neither goes back when chunks are deleted or the log is trimmed.
    package func position(of collection: CollectionID) throws(DocumentStoreError) -> (largestChunk: ChunkID, lastDeletion: Int64) {
        try read("read a collection's position") { database in
            let row = try CollectionRow.get(collection, database)
            return (ChunkID(rawValue: row.largestChunk), row.lastDeletion)
        }
    }

    /// Writes down that index files are about to be sealed, and returns the word that they must name: see `IndexPosition.seal`.
    ///
    /// To be called before the files are published and after everything that they hold was committed: a database that knows the word then has all of it.
    /// The last 64 are kept.
    package func noteSeal(of collection: CollectionID) throws(DocumentStoreError) -> String {
        let word = String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
        try write("note a seal") { database in
            _ = try CollectionRow.get(collection, database)
            try database.execute(sql: "INSERT INTO seals (collection, word) VALUES (?, ?)", arguments: [collection.rawValue, word])
            try database.execute(
                sql: """
                    DELETE FROM seals WHERE collection = ? AND id <= (
                        SELECT id FROM seals WHERE collection = ? ORDER BY id DESC LIMIT 1 OFFSET 64)
                    """, arguments: [collection.rawValue, collection.rawValue])
        }
        return word
    }

    /// Whether index files with this word followed this database, and no later state of it.
    package func knowsSeal(_ word: String, of collection: CollectionID) throws(DocumentStoreError) -> Bool {
        try read("look for a seal") { database in
            try Bool.fetchOne(
                database, sql: "SELECT EXISTS (SELECT 1 FROM seals WHERE collection = ? AND word = ?)",
                arguments: [collection.rawValue, word])!
        }
    }

    /// Whether a collection was ever created in this database, even if it was deleted since.
    package func hasHeldCollections() throws(DocumentStoreError) -> Bool {
        try read("look for collections") { database in
            try Bool.fetchOne(database, sql: "SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'collections' AND seq > 0)")!
        }
    }

    /// Forgets deletion-log entries up to a sequence that every index has sealed.
    package func trimDeletions(in collection: CollectionID, through sequence: Int64) throws(DocumentStoreError) {
        try write("trim the deletion log") { database in
            let last = try CollectionRow.get(collection, database).lastDeletion
            try database.execute(
                sql: "DELETE FROM deletions WHERE collection = ? AND sequence <= ?", arguments: [collection.rawValue, sequence])
            try database.execute(
                sql: "UPDATE collections SET trimmed_deletion = max(trimmed_deletion, min(?, ?)) WHERE id = ?",
                arguments: [sequence, last, collection.rawValue])
        }
    }

    /// The last forgotten entry of the deletion log. An index that has sealed rows but fewer deletions than this cannot catch
    /// up any more and must be rebuilt.
    package func trimmedDeletion(in collection: CollectionID) throws(DocumentStoreError) -> Int64 {
        try read("read the deletion log") { database in
            guard
                let sequence = try Int64.fetchOne(
                    database, sql: "SELECT trimmed_deletion FROM collections WHERE id = ?", arguments: [collection.rawValue])
            else { throw DocumentStoreError.unknownCollection(String(collection.rawValue)) }
            return sequence
        }
    }
}
