import Foundation
import GRDB

/// Deletion. Everything that a document brought into the database goes in one transaction: its text, chunks, vectors,
/// attributes and metadata, and what job history says about its source. What stays are numbers and ids: the deletion log for
/// indexes, and the audit entry.
extension DocumentStore {
    /// Deletes the collection with everything in it, its jobs included.
    package func deleteCollection(_ id: CollectionID, actor: String = "local") throws(DocumentStoreError) -> DeletionReceipt {
        let receipt = try write("delete a collection") { database in
            var collection = try CollectionRow.get(id, database)
            let receipt = try Self.deleteAll(in: &collection, logged: false, database)
            for sql in [
                "DELETE FROM jobs WHERE collection = ?", "DELETE FROM deletions WHERE collection = ?",
                "DELETE FROM collections WHERE id = ?",
            ] {
                try database.execute(sql: sql, arguments: [id.rawValue])
            }
            try Audit.append(
                .collectionDelete, actor: actor, collection: id, documents: receipt.documents, chunkCount: receipt.chunks.count, database)
            return receipt
        }
        changeLog.forget(id)
        return receipt
    }

    /// Deletes the documents that a selector names. What does not exist is not in the receipt and is no error.
    ///
    /// Job history loses the sources it names too, even where no document came of them. Files that are still on their way
    /// through a job stay in it: cancel the job to stop them.
    package func delete(
        _ selector: DeletionSelector, in id: CollectionID, actor: String = "local"
    ) throws(DocumentStoreError) -> DeletionReceipt {
        let receipt = try write("delete documents") { database in
            var collection = try CollectionRow.get(id, database)
            let receipt: DeletionReceipt
            if case .all = selector {
                receipt = try Self.deleteAll(in: &collection, logged: true, database)
                try collection.save(database)
            } else {
                let victims = try Self.victims(selector, in: id, database)
                var chunks: [ChunkID] = []
                let remove = try database.cachedStatement(sql: "DELETE FROM documents WHERE seq = ?")
                for victim in victims {
                    chunks += try Self.removeContent(of: victim.seq, textBytes: victim.textBytes, in: &collection, database)
                    try remove.execute(arguments: [victim.seq])
                    try Self.scrubJobFiles(where: "source = ?", [victim.source.databaseValue], in: id, database)
                }
                try Self.scrubJobFiles(of: selector, in: id, database)
                collection.documentCount -= victims.count
                try collection.save(database)
                receipt = DeletionReceipt(documents: victims.map(\.id), chunks: chunks.sorted(), collection: collection.name)
            }
            if !receipt.documents.isEmpty {
                try Audit.append(
                    .documentDelete, actor: actor, collection: id, documents: receipt.documents, chunkCount: receipt.chunks.count, database)
            }
            return receipt
        }
        if !receipt.chunks.isEmpty { changeLog.note(id, changed: nil, removed: receipt.chunks) }
        return receipt
    }

    private struct Victim {
        var seq: Int64
        var id: DocumentID
        var source: String
        var textBytes: Int
    }

    private static func victims(_ selector: DeletionSelector, in collection: CollectionID, _ database: Database) throws -> [Victim] {
        let base = "SELECT d.seq, d.id, d.source, d.text_bytes FROM documents d WHERE d.collection = ?"
        func fetch(_ condition: String, _ arguments: [DatabaseValue]) throws -> [Victim] {
            let arguments = StatementArguments([collection.rawValue.databaseValue] + arguments)
            return try Row.fetchAll(database, sql: "\(base) AND (\(condition))", arguments: arguments).map {
                Victim(seq: try $0.value(0), id: DocumentID(rawValue: try $0.value(1)), source: try $0.value(2), textBytes: try $0.value(3))
            }
        }
        switch selector {
        // A caller may name one thing twice; a document goes once.
        case .ids(let ids): return unique(try ids.flatMap { try fetch("d.id = ?", [$0.rawValue.databaseValue]) })
        case .sources(let sources): return unique(try sources.flatMap { try fetch("d.source = ?", [$0.databaseValue]) })
        case .sourceTree(let path):
            guard let tree = SourceTree(path) else { return [] }
            return try fetch(tree.condition, tree.arguments)
        case .filter(let filter):
            try FilterTypes.check(filter, collection: collection, database)
            let condition = try FilterSQL(filter, collection: collection)
            return try fetch(condition.sql, condition.arguments)
        case .all: preconditionFailure("deleteAll does this")
        }
    }

    private static func unique(_ victims: [Victim]) -> [Victim] {
        var seen: Set<Int64> = []
        return victims.filter { seen.insert($0.seq).inserted }
    }

    /// Deletes every document by a handful of statements over the whole collection.
    private static func deleteAll(in collection: inout CollectionRow, logged: Bool, _ database: Database) throws -> DeletionReceipt {
        let key = collection.id.rawValue
        let documents = try String.fetchAll(database, sql: "SELECT id FROM documents WHERE collection = ? ORDER BY id", arguments: [key])
        let chunks = try Int64.fetchAll(database, sql: allChunkIDsSQL, arguments: [key])
        if logged {
            try database.execute(
                sql: """
                    INSERT INTO deletions (collection, sequence, chunk)
                    SELECT collection, ? + row_number() OVER (ORDER BY id), id FROM chunks WHERE collection = ?
                    """, arguments: [collection.lastDeletion, key])
            collection.lastDeletion += Int64(chunks.count)
        }
        for sql in [
            "DELETE FROM checksums WHERE document IN (SELECT seq FROM documents WHERE collection = ?)",
            "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE collection = ?)", "DELETE FROM chunks WHERE collection = ?",
            "DELETE FROM attributes WHERE collection = ?",
            "DELETE FROM document_texts WHERE document IN (SELECT seq FROM documents WHERE collection = ?)",
            "DELETE FROM documents WHERE collection = ?",
        ] {
            try database.execute(sql: sql, arguments: [key])
        }
        try scrubJobFiles(where: "true", [], in: collection.id, database)
        collection.documentCount = 0
        collection.chunkCount = 0
        collection.textBytes = 0
        return DeletionReceipt(
            documents: documents.map(DocumentID.init(rawValue:)), chunks: chunks.map(ChunkID.init(rawValue:)), collection: collection.name)
    }

    private static func scrubJobFiles(of selector: DeletionSelector, in collection: CollectionID, _ database: Database) throws {
        switch selector {
        case .sources(let sources):
            for source in sources { try scrubJobFiles(where: "source = ?", [source.databaseValue], in: collection, database) }
        case .sourceTree(let path):
            if let tree = SourceTree(path) {
                try scrubJobFiles(where: tree.condition.replacing("d.source", with: "source"), tree.arguments, in: collection, database)
            }
        case .ids, .filter, .all: break
        }
    }

    /// Forgets path, source, title, metadata and reason of files that have come to their end.
    private static func scrubJobFiles(
        where condition: String, _ arguments: [DatabaseValue], in collection: CollectionID, _ database: Database
    ) throws {
        let ended = "stage IN ('indexed', 'unchanged', 'refused', 'failed', 'cancelled') AND source <> ''"
        try database.cachedStatement(
            sql: """
                DELETE FROM job_texts WHERE (job, sequence) IN (
                    SELECT job, sequence FROM job_files WHERE collection = ? AND (\(condition)) AND \(ended))
                """
        ).execute(arguments: StatementArguments([collection.rawValue.databaseValue] + arguments))
        try database.cachedStatement(
            sql: """
                UPDATE job_files SET path = '', source = '', title = NULL, mime_type = NULL, metadata = '{}', is_spooled = 0,
                    reason = 'the document was deleted'
                WHERE collection = ? AND (\(condition)) AND \(ended)
                """
        ).execute(arguments: StatementArguments([collection.rawValue.databaseValue] + arguments))
    }
}

/// A path and everything below it, as a range of the index on sources: '0' is the character after '/'.
struct SourceTree {
    let condition = "d.source = ? OR (d.source >= ? AND d.source < ?)"
    let arguments: [DatabaseValue]

    /// Nil for the empty path, which names nothing.
    init?(_ path: String) {
        guard !path.isEmpty else { return nil }
        var root = path
        while root.hasSuffix("/") { root.removeLast() }
        arguments = [root.databaseValue, "\(root)/".databaseValue, "\(root)0".databaseValue]
    }
}
