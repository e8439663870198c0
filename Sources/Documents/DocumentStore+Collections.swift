import Foundation
import GRDB

extension DocumentStore {
    /// Creates an empty collection.
    ///
    /// - Throws: `.invalidName`, or `.collectionExists`.
    @discardableResult
    package func createCollection(
        name: String, settings: CollectionSettings = .init(), actor: String = "local"
    ) throws(DocumentStoreError) -> CollectionRecord {
        try Self.check(name: name)
        return try write("create a collection") { database in
            guard try CollectionRow.find(name: name, database) == nil else { throw DocumentStoreError.collectionExists(name) }
            return try Self.insert(name: name, settings: settings, actor: actor, database)
        }
    }

    /// The collection of a name, which is created when there is none: of many callers at once, one creates it and all get it.
    ///
    /// - Throws: `.invalidName`.
    package func findOrCreateCollection(
        name: String, settings: CollectionSettings = .init(), actor: String = "local"
    ) throws(DocumentStoreError) -> CollectionRecord {
        if let found = try collection(named: name) { return found }
        try Self.check(name: name)
        return try write("create a collection") { database in
            if let found = try CollectionRow.find(name: name, database) { return found.record }
            return try Self.insert(name: name, settings: settings, actor: actor, database)
        }
    }

    private static func insert(
        name: String, settings: CollectionSettings, actor: String, _ database: Database
    ) throws -> CollectionRecord {
        let now = currentMilliseconds()
        try database.execute(
            sql: "INSERT INTO collections (name, settings, created_at) VALUES (?, ?, ?)", arguments: [name, try json(settings), now])
        let id = CollectionID(rawValue: database.lastInsertedRowID)
        try Audit.append(.collectionCreate, actor: actor, collection: id, database)
        return CollectionRecord(id: id, name: name, settings: settings, createdAt: date(now))
    }

    /// Throws `.invalidName` for what cannot name a collection.
    package static func check(name: String) throws(DocumentStoreError) {
        guard isValidName(name) else { throw .invalidName(String(name.prefix(100))) }
    }

    /// The collection of a name; nil when there is none.
    package func collection(named name: String) throws(DocumentStoreError) -> CollectionRecord? {
        try read("read a collection") { try CollectionRow.find(name: name, $0)?.record }
    }

    /// The collection of an id; nil when it was deleted.
    package func collection(_ id: CollectionID) throws(DocumentStoreError) -> CollectionRecord? {
        try read("read a collection") { try CollectionRow.find(id, $0)?.record }
    }

    /// All collections, by name.
    package func collections() throws(DocumentStoreError) -> [CollectionRecord] {
        try read("list the collections") { database in
            try Row.fetchAll(database, sql: "SELECT \(CollectionRow.columns) FROM collections ORDER BY name").map {
                try CollectionRow($0).record
            }
        }
    }

    /// How much a collection holds.
    ///
    /// - Throws: `.unknownCollection`.
    /// - Complexity: O(1); the counts are kept with the collection.
    package func counts(of collection: CollectionID) throws(DocumentStoreError) -> CollectionCounts {
        try read("count a collection") { database in
            let row = try CollectionRow.get(collection, database)
            return CollectionCounts(documents: row.documentCount, chunks: row.chunkCount, textBytes: row.textBytes)
        }
    }

    /// Tokens of a collection's chunks, by the tokenizer of the model that they were cut for.
    package func tokenCount(of name: String) throws(DocumentStoreError) -> Int {
        try read("count tokens") { database in
            try Int.fetchOne(
                database,
                sql: "SELECT coalesce(sum(c.token_count), 0) FROM chunks c JOIN collections k ON k.id = c.collection WHERE k.name = ?",
                arguments: [name])!
        }
    }

    /// Replaces a collection's settings. The embedding model and the dimension stay as they are where the new settings have nil.
    ///
    /// - Throws: `.modelMismatch` or `.dimensionMismatch` when the collection holds vectors of another model or dimension.
    package func update(settings: CollectionSettings, of collection: CollectionID, actor: String = "local") throws(DocumentStoreError) {
        try write("change a collection's settings") { database in
            let row = try CollectionRow.get(collection, database)
            var settings = settings
            settings.embeddingModel = settings.embeddingModel ?? row.settings.embeddingModel
            settings.dimension = settings.dimension ?? row.settings.dimension
            if settings.embeddingModel != row.settings.embeddingModel || settings.dimension != row.settings.dimension {
                let holdsVectors = try Bool.fetchOne(
                    database, sql: "SELECT EXISTS (SELECT 1 FROM spaces WHERE collection = ? AND state IN ('serving', 'filling'))",
                    arguments: [collection.rawValue])!
                if holdsVectors, let expected = row.settings.embeddingModel, let got = settings.embeddingModel, got != expected {
                    throw DocumentStoreError.modelMismatch(collection: row.name, got: got, expected: expected)
                }
                if holdsVectors, let expected = row.settings.dimension, let got = settings.dimension, got != expected {
                    throw DocumentStoreError.dimensionMismatch(collection: row.name, got: got, expected: expected)
                }
            }
            try database.execute(
                sql: "UPDATE collections SET settings = ? WHERE id = ?", arguments: [try json(settings), collection.rawValue])
            try Audit.append(.collectionUpdate, actor: actor, collection: collection, database)
        }
    }

    private static func isValidName(_ name: String) -> Bool {
        let bytes = name.utf8
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: false
            }
        }
        guard let first = bytes.first, bytes.count <= 64, isAlphanumeric(first) else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
    }
}

/// A collection with what every writing transaction keeps up to date in its row.
struct CollectionRow {
    var id: CollectionID
    var name: String
    var settings: CollectionSettings
    /// Why the stored settings could not be read; they stay as they are stored.
    var settingsFlaw: String?
    private var storedSettings: String
    var createdAt: Int64
    var documentCount: Int
    var chunkCount: Int
    var textBytes: Int
    var largestChunk: Int64
    var lastDeletion: Int64

    static let columns = "id, name, settings, created_at, document_count, chunk_count, text_bytes, largest_chunk, last_deletion"

    init(_ row: Row) throws {
        id = CollectionID(rawValue: try row.value(0))
        name = try row.value(1)
        storedSettings = try row.value(2)
        do {
            settings = try JSONDecoder().decode(CollectionSettings.self, from: Data(storedSettings.utf8))
        } catch {
            // One damaged row must not close the folder: this collection is set aside, the others serve.
            settings = CollectionSettings()
            settingsFlaw = "its stored settings are not what settings are"
        }
        createdAt = try row.value(3)
        documentCount = try row.value(4)
        chunkCount = try row.value(5)
        textBytes = try row.value(6)
        largestChunk = try row.value(7)
        lastDeletion = try row.value(8)
    }

    static func find(_ id: CollectionID, _ database: Database) throws -> CollectionRow? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT \(columns) FROM collections WHERE id = ?"), arguments: [id.rawValue]
        ).map { try CollectionRow($0) }
    }

    static func find(name: String, _ database: Database) throws -> CollectionRow? {
        try Row.fetchOne(
            database.cachedStatement(sql: "SELECT \(columns) FROM collections WHERE name = ?"), arguments: [name]
        ).map { try CollectionRow($0) }
    }

    static func get(_ id: CollectionID, _ database: Database) throws -> CollectionRow {
        guard let row = try find(id, database) else { throw DocumentStoreError.unknownCollection(String(id.rawValue)) }
        return row
    }

    /// Stores the counts, the positions and the settings.
    func save(_ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE collections SET settings = ?, document_count = ?, chunk_count = ?, text_bytes = ?, largest_chunk = ?, last_deletion = ?
                WHERE id = ?
                """
        ).execute(arguments: [
            settingsFlaw == nil ? try json(settings) : storedSettings, documentCount, chunkCount, textBytes, largestChunk, lastDeletion,
            id.rawValue,
        ])
    }

    var record: CollectionRecord {
        CollectionRecord(id: id, name: name, settings: settings, createdAt: date(createdAt), settingsFlaw: settingsFlaw)
    }
}

func date(_ milliseconds: Int64) -> Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

/// JSON with sorted keys, so that equal values are equal texts.
func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}
