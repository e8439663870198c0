import Foundation
import GRDB

/// Vectors that may be compared with each other: those of one model in one collection.
///
/// ```
///   (none) --first document with vectors--> serving --another space serves--> kept | dropped --> (none)
///      \                                       ^                               |
///       `--a change of the model--> filling ---'     filling <-----------------'
/// ```
///
/// A collection's questions are answered from the one space that serves; `CollectionSettings.embeddingModel` names its model.
package struct VectorSpace: Sendable, Equatable {
    package enum State: String, Sendable {
        /// Every chunk has a vector in it, and every new document brings some.
        case serving
        /// On its way to serve: chunks get their vectors one after another.
        case filling
        /// Served before; new documents bring it nothing. Filled up again, it can serve.
        case kept
        /// Served before; its vectors are being removed.
        case dropped
    }
    package var id: SpaceID
    package var collection: CollectionID
    package var model: String
    package var dimension: Int
    package var state: State
    /// Name of the folder of its index, below the collection's.
    package var folder: String

    /// The folder of a collection's first space, which is that of folders of an earlier version.
    package static let firstFolder = "vectors"
}

/// A chunk that has no vector in some space yet, with what the embedding model reads.
package struct UnembeddedChunk: Sendable, Equatable {
    package var id: ChunkID
    package var title: String
    package var heading: String
    package var text: String
}

extension DocumentStore {
    /// The spaces of a collection, oldest first.
    package func spaces(of collection: CollectionID) throws(DocumentStoreError) -> [VectorSpace] {
        try read("list vector spaces") { try VectorSpace.all(of: collection, $0) }
    }

    /// The space that a collection is searched in; nil while it has no vectors.
    package func servingSpace(of collection: CollectionID) throws(DocumentStoreError) -> VectorSpace? {
        try spaces(of: collection).first { $0.state == .serving }
    }

    /// Begins, or takes up again, the filling of a space for another model. Any other space that was being filled is given up and becomes a kept one.
    ///
    /// A space that serves although chunks lack their vectors in it, which an earlier version let happen, stops serving until they have them.
    ///
    /// - Parameter keepsOld: Whether the space before it stays when this one serves; nil leaves what was said when it was begun.
    /// - Throws: `.spaceServes` when it is the model that serves; `.unknownCollection`.
    package func beginSpace(
        model: String, dimension: Int, in collection: CollectionID, keepsOld: Bool? = nil, actor: String = "local"
    ) throws(DocumentStoreError) -> VectorSpace {
        try write("begin a vector space") { database in
            var row = try CollectionRow.get(collection, database)
            let known = try VectorSpace.all(of: collection, database).first { $0.model == model && $0.dimension == dimension }
            if let known, known.state == .serving {
                if try known.missingCount(database) == 0 { throw DocumentStoreError.spaceServes(collection: row.name, model: model) }
                row.settings.embeddingModel = nil
                row.settings.dimension = nil
                try row.save(database)
            }
            try database.execute(
                sql: "UPDATE spaces SET state = 'kept' WHERE collection = ? AND state = 'filling'", arguments: [collection.rawValue])
            try Audit.append(.collectionUpdate, actor: actor, collection: collection, database)
            let space =
                try known?.moved(to: .filling, database)
                ?? VectorSpace.insert(model: model, dimension: dimension, in: collection, state: .filling, database)
            if let keepsOld {
                try database.execute(sql: "UPDATE spaces SET keeps_old = ? WHERE id = ?", arguments: [keepsOld, space.id.rawValue])
            }
            return space
        }
    }

    /// The next chunks after one that have no vector in a space, ascending.
    package func chunks(
        without space: VectorSpace, after id: ChunkID = ChunkID(rawValue: 0), limit: Int
    ) throws(DocumentStoreError) -> [UnembeddedChunk] {
        try read("look for chunks without a vector") { database in
            let rows = try Row.fetchCursor(
                database.cachedStatement(
                    sql: """
                        SELECT c.id, coalesce(d.title, ''), c.heading, c.text FROM chunks c JOIN documents d ON d.seq = c.document
                        WHERE c.collection = ? AND c.id > ? AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.space = ?)
                        ORDER BY c.id LIMIT ?
                        """), arguments: [space.collection.rawValue, id.rawValue, space.id.rawValue, limit])
            var chunks: [UnembeddedChunk] = []
            while let row = try rows.next() {
                chunks.append(
                    UnembeddedChunk(
                        id: ChunkID(rawValue: try row.value(0)), title: try row.value(1), heading: try row.text(2), text: try row.text(3)))
            }
            return chunks
        }
    }

    /// Vectors of a space, and chunks that should have one.
    ///
    /// - Complexity: O(chunks of the collection).
    package func progress(of space: VectorSpace) throws(DocumentStoreError) -> (vectors: Int, chunks: Int) {
        try read("count vectors") { database in
            let collection = try CollectionRow.get(space.collection, database)
            let vectors = try Int.fetchOne(
                database.cachedStatement(
                    sql: "SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk = c.id AND v.space = ? WHERE c.collection = ?"),
                arguments: [space.id.rawValue, space.collection.rawValue])!
            return (vectors, collection.chunkCount)
        }
    }

    /// Stores vectors of chunks. A chunk that is gone by now, or has its vector, is passed over.
    ///
    /// - Parameter vectors: Shape `[chunks.count, space.dimension]`, row-major.
    /// - Returns: How many were stored.
    /// - Throws: `.invalidDocument` for a number that is not finite; `.unknownSpace` when the space was given up meanwhile.
    package func add(_ vectors: [Float], of chunks: [ChunkID], to space: VectorSpace) throws(DocumentStoreError) -> Int {
        precondition(vectors.count == chunks.count * space.dimension, "\(vectors.count) numbers for \(chunks.count) chunks")
        if let index = vectors.firstIndex(where: { !$0.isFinite }) {
            throw .invalidDocument(
                source: chunks[index / space.dimension].description, reason: "its vector holds a number that is not finite")
        }
        return try write("store vectors") { database in
            guard try VectorSpace.find(space.id, database)?.state == .filling else {
                throw DocumentStoreError.unknownSpace(model: space.model)
            }
            let insert = try database.cachedStatement(
                sql: """
                    INSERT OR IGNORE INTO vectors (chunk, space, vector, checksum)
                    SELECT id, ?, ?, ? FROM chunks WHERE id = ? AND collection = ?
                    """)
            var count = 0
            for (index, chunk) in chunks.enumerated() {
                let blob = VectorBlob.encode(vectors[index * space.dimension..<(index + 1) * space.dimension])
                try insert.execute(arguments: [
                    space.id.rawValue, blob, VectorBlob.checksum(blob), chunk.rawValue, space.collection.rawValue,
                ])
                count += database.changesCount
            }
            return count
        }
    }

    /// Makes a space that was filled the one that serves, in one transaction with the collection's settings. The one before is kept or dropped.
    ///
    /// - Throws: `.spaceIncomplete` while a chunk has no vector in it; `.unknownSpace` when it was given up meanwhile.
    package func serve(
        _ space: VectorSpace, actor: String = "local"
    ) throws(DocumentStoreError) -> VectorSpace {
        try write("change the embedding model") { database in
            var collection = try CollectionRow.get(space.collection, database)
            guard let filled = try VectorSpace.find(space.id, database), filled.state == .filling else {
                throw DocumentStoreError.unknownSpace(model: space.model)
            }
            let missing = try filled.missingCount(database)
            if missing > 0 { throw DocumentStoreError.spaceIncomplete(model: space.model, missing: missing) }
            try database.execute(
                sql: """
                    UPDATE spaces SET state = iif((SELECT keeps_old FROM spaces WHERE id = ?), 'kept', 'dropped')
                    WHERE collection = ? AND state = 'serving'
                    """, arguments: [space.id.rawValue, space.collection.rawValue])
            let serving = try filled.moved(to: .serving, database)
            collection.settings.embeddingModel = space.model
            collection.settings.dimension = space.dimension
            try collection.save(database)
            try Audit.append(.collectionUpdate, actor: actor, collection: space.collection, database)
            return serving
        }
    }

    /// Ends the filling of a space; what it holds is kept.
    package func giveUp(_ space: VectorSpace) throws(DocumentStoreError) {
        try write("give a vector space up") { database in
            try database.execute(
                sql: "UPDATE spaces SET state = 'kept' WHERE id = ? AND state = 'filling'", arguments: [space.id.rawValue])
        }
    }

    /// Removes a dropped space, some thousand vectors a transaction, so that writers wait for none of it long. Nothing more is removed of one that is taken up again
    /// meanwhile.
    package func remove(_ space: VectorSpace) throws(DocumentStoreError) {
        var after: Int64 = 0
        while true {
            let last = try write("remove a vector space") { [after] database -> Int64? in
                guard try VectorSpace.find(space.id, database)?.state == .dropped else { return nil }
                let rows = try Row.fetchAll(
                    database,
                    sql: """
                        SELECT c.id, v.rowid FROM chunks c JOIN vectors v ON v.chunk = c.id AND v.space = ?
                        WHERE c.collection = ? AND c.id > ? ORDER BY c.id LIMIT 2000
                        """, arguments: [space.id.rawValue, space.collection.rawValue, after])
                let delete = try database.cachedStatement(sql: "DELETE FROM vectors WHERE rowid = ?")
                for row in rows { try delete.execute(arguments: [try row.value(1) as Int64]) }
                if let last = rows.last { return try last.value(0) }
                try database.execute(sql: "DELETE FROM spaces WHERE id = ?", arguments: [space.id.rawValue])
                return nil
            }
            guard let last else { return }
            after = last
        }
    }
}

// MARK: - Rows

extension VectorSpace {
    private static let columns = "s.id, s.collection, m.name, m.dimension, s.state, s.folder FROM spaces s JOIN models m ON m.id = s.model"

    private init(_ row: Row) throws {
        let name: String = try row.value(4)
        guard let state = State(rawValue: name) else {
            throw DocumentStoreError.database(operation: "read vector spaces", reason: "'\(name)' is no state of a space")
        }
        // It becomes part of a path whose folder is emptied and removed.
        let folder: String = try row.value(5)
        guard
            folder == Self.firstFolder
                || folder.hasPrefix(Self.firstFolder + "-") && Int64(folder.dropFirst(Self.firstFolder.count + 1)) != nil
        else { throw DocumentStoreError.database(operation: "read vector spaces", reason: "'\(folder)' is no folder of a space") }
        self.init(
            id: SpaceID(rawValue: try row.value(0)), collection: CollectionID(rawValue: try row.value(1)), model: try row.value(2),
            dimension: try row.value(3), state: state, folder: folder)
    }

    static func all(of collection: CollectionID, _ database: Database) throws -> [VectorSpace] {
        try Row.fetchAll(
            database.cachedStatement(sql: "SELECT \(columns) WHERE s.collection = ? ORDER BY s.id"), arguments: [collection.rawValue]
        ).map { try VectorSpace($0) }
    }

    static func find(_ id: SpaceID, _ database: Database) throws -> VectorSpace? {
        try Row.fetchOne(database.cachedStatement(sql: "SELECT \(columns) WHERE s.id = ?"), arguments: [id.rawValue])
            .map { try VectorSpace($0) }
    }

    static func insert(
        model: String, dimension: Int, in collection: CollectionID, state: State, _ database: Database
    ) throws -> VectorSpace {
        try database.execute(
            sql: "INSERT INTO models (name, dimension, created_at) VALUES (?, ?, ?) ON CONFLICT (name, dimension) DO NOTHING",
            arguments: [model, dimension, currentMilliseconds()])
        let key = try Int64.fetchOne(
            database.cachedStatement(sql: "SELECT id FROM models WHERE name = ? AND dimension = ?"), arguments: [model, dimension])!
        try database.execute(
            sql: "INSERT INTO spaces (collection, model, state, folder, created_at) VALUES (?, ?, ?, '', ?)",
            arguments: [collection.rawValue, key, state.rawValue, currentMilliseconds()])
        let id = SpaceID(rawValue: database.lastInsertedRowID)
        // The first one has the name that folders of an earlier version have.
        try database.execute(
            sql: """
                UPDATE spaces SET folder = CASE WHEN EXISTS (SELECT 1 FROM spaces WHERE collection = ? AND folder = ?)
                    THEN ? || '-' || id ELSE ? END
                WHERE id = ?
                """, arguments: [collection.rawValue, firstFolder, firstFolder, firstFolder, id.rawValue])
        return try find(id, database)!
    }

    /// Chunks that have no vector in it.
    fileprivate func missingCount(_ database: Database) throws -> Int {
        try Int.fetchOne(
            database,
            sql: """
                SELECT count(*) FROM chunks c WHERE c.collection = ?
                    AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.space = ?)
                """, arguments: [collection.rawValue, id.rawValue])!
    }

    func moved(to state: State, _ database: Database) throws -> VectorSpace {
        try database.execute(sql: "UPDATE spaces SET state = ? WHERE id = ?", arguments: [state.rawValue, id.rawValue])
        var space = self
        space.state = state
        return space
    }
}
