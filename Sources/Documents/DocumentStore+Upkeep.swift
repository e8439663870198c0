package import Foundation
import GRDB

/// What someone did, by ids and counts. Never text, titles or sources.
package struct AuditEntry: Codable, Sendable, Equatable {
    /// What was done; the raw value is what is stored and shown.
    package enum Action: String, Codable, Sendable, CaseIterable {
        case collectionCreate = "collection.create"
        case collectionUpdate = "collection.update"
        case collectionDelete = "collection.delete"
        case documentPut = "document.put"
        case documentDelete = "document.delete"
        case documentMetadata = "document.metadata"
        case compact
    }

    package var id: Int64
    package var at: Date
    /// "local", or the name of an API key.
    package var actor: String
    package var action: Action
    package var collection: CollectionID?
    /// At most 1,000; a larger deletion makes several entries.
    package var documents: [DocumentID]
    package var chunkCount: Int
}

extension DocumentStore {
    // MARK: Audit

    /// Entries of the audit log, newest first; `before` is the id of the last entry of the page before.
    package func audit(before id: Int64 = .max, limit: Int = 100) throws(DocumentStoreError) -> [AuditEntry] {
        try read("read the audit log") { database in
            try Row.fetchAll(
                database,
                sql: "SELECT id, at, actor, action, collection, documents, chunk_count FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
                arguments: [id, min(max(0, limit), 10_000)]
            ).compactMap { row in
                guard let action = AuditEntry.Action(rawValue: try row.value(3)) else { return nil }
                let documents = try JSONDecoder().decode([DocumentID].self, from: try row.value(5))
                return AuditEntry(
                    id: try row.value(0), at: date(try row.value(1)), actor: try row.value(2), action: action,
                    collection: (try row.value(4) as Int64?).map(CollectionID.init(rawValue:)),
                    documents: documents, chunkCount: try row.value(6))
            }
        }
    }

    // MARK: History

    /// How much of what happened is kept. What is beyond either bound goes.
    package struct HistoryLimits: Sendable, Equatable {
        package var jobAgeMax: TimeInterval = 30 * 86_400
        package var jobCountMax = 10_000
        package var auditAgeMax: TimeInterval = 365 * 86_400
        package var auditCountMax = 100_000

        package init() {}
    }

    /// Forgets jobs that are at their end and audit entries, the oldest first, in small transactions: writers get their turn between them.
    ///
    /// Jobs with work left stay, however old. A failed upload of a forgotten job cannot be tried again; its file goes at the next start.
    ///
    /// - Returns: How many of each were forgotten.
    @discardableResult
    package func pruneHistory(
        _ limits: HistoryLimits = .init(), now: Date = Date()
    ) throws(DocumentStoreError) -> (jobs: Int, auditEntries: Int) {
        // An age beyond all dates keeps everything.
        func limit(_ age: TimeInterval) -> Int64 { Int64(max(-1e15, (now.timeIntervalSince1970 - max(0, age)) * 1000).rounded(.down)) }
        let jobs = try prune(
            """
            DELETE FROM jobs WHERE seq IN (
                SELECT seq FROM jobs WHERE state IN ('finished', 'cancelled', 'failed') AND (updated_at < ? OR seq <= (
                    SELECT seq FROM jobs ORDER BY seq DESC LIMIT 1 OFFSET ?)) ORDER BY seq LIMIT 200)
            """, [limit(limits.jobAgeMax), max(0, limits.jobCountMax)])
        let entries = try prune(
            """
            DELETE FROM audit WHERE id IN (
                SELECT id FROM audit WHERE at < ? OR id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT 2000)
            """, [limit(limits.auditAgeMax), max(0, limits.auditCountMax)])
        return (jobs, entries)
    }

    /// Runs a deletion until it finds nothing more.
    private func prune(_ sql: String, _ arguments: StatementArguments) throws(DocumentStoreError) -> Int {
        var count = 0
        while true {
            let deleted = try write("forget old history") { database in
                try database.execute(sql: sql, arguments: arguments)
                return database.changesCount
            }
            if deleted == 0 { return count }
            count += deleted
        }
    }

    // MARK: Compaction

    /// Overwrites freed pages, truncates the write-ahead log and gives space back, so that deleted text is in no file. Texts that an earlier version stored twice
    /// are stored once from then on.
    ///
    /// Zeros over deleted rows are not enough: when SQLite rebalances a page it can leave a stale copy of a row that it moved. So the
    /// whole file is rewritten (VACUUM), by way of a temporary file and the write-ahead log. Readers go on; writers wait.
    ///
    /// - Throws: `.notEnoughSpace` before it begins, after giving back what it can without rewriting; `.database` when another process
    ///   keeps reading an old snapshot for half a minute.
    /// - Complexity: O(size of the database), read once and written twice.
    package func compact() throws(DocumentStoreError) {
        try write("note a compaction") { try Audit.append(.compact, actor: "local", collection: nil, $0) }
        try compact(freeBytes: Self.freeBytes)
    }

    /// - Parameter freeBytes: The free bytes of the file system that holds a path.
    func compact(freeBytes: (String) -> Int) throws(DocumentStoreError) {
        guard !isReadOnly else { throw .readOnly(path: directory) }
        try truncateLog()
        let needed = try read("measure the database") { database in
            let pageSize = try Int.fetchOne(database, sql: "PRAGMA page_size")!
            let pages = try Int.fetchOne(database, sql: "PRAGMA page_count")! - Int.fetchOne(database, sql: "PRAGMA freelist_count")!
            return pages * pageSize * 11 / 10 + (16 << 20)
        }
        let temporary = Self.temporaryDirectory
        let share = Self.device(of: temporary) == Self.device(of: directory) ? 2 : 1
        for (path, needed) in [(directory, needed * share), (temporary, needed)] {
            let available = freeBytes(path)
            guard available < needed else { continue }
            try withWriter("give pages back") { try $0.execute(sql: "PRAGMA incremental_vacuum") }
            try truncateLog()
            throw .notEnoughSpace(path: path, needed: needed, available: available)
        }
        try storeTextsOnce()
        try withWriter("rewrite the database") { try $0.execute(sql: "VACUUM") }
        try truncateLog()
    }

    /// Runs statements that must not be in a transaction.
    func withWriter(_ operation: String, _ body: (Database) throws -> Void) throws(DocumentStoreError) {
        do {
            try pool.writeWithoutTransaction(body)
        } catch {
            throw mapped(error, operation: operation)
        }
    }

    /// Writes the whole log into the database and cuts it to nothing; waits for readers of old snapshots.
    private func truncateLog() throws(DocumentStoreError) {
        try withWriter("truncate the write-ahead log") { database in
            for attempt in 0... {
                do {
                    try database.checkpoint(.truncate)
                    return
                } catch let error as DatabaseError where error.resultCode.primaryResultCode == .SQLITE_BUSY {
                    // Each try has waited for the busy timeout of 15 seconds already.
                    guard attempt < 1 else {
                        throw DocumentStoreError.database(
                            operation: "truncate the write-ahead log", reason: "another process keeps reading; stop it and compact again")
                    }
                }
            }
        }
    }

    static func freeBytes(_ path: String) -> Int {
        var information = statvfs()
        guard statvfs(path, &information) == 0 else { return 0 }
        return Int(clamping: UInt64(information.f_bavail).multipliedReportingOverflow(by: UInt64(information.f_frsize)).partialValue)
    }

    private static func device(of path: String) -> UInt64? {
        var information = stat()
        return stat(path, &information) == 0 ? UInt64(information.st_dev) : nil
    }

    /// Where SQLite puts its temporary files: the first folder of its own list that can be written.
    private static var temporaryDirectory: String {
        let environment = ProcessInfo.processInfo.environment
        let named = ["SQLITE_TMPDIR", "TMPDIR"].compactMap { environment[$0] }
        return (named + ["/var/tmp", "/usr/tmp", "/tmp"]).first { access($0, W_OK | X_OK) == 0 } ?? "."
    }
}

enum Audit {
    /// Appends to the log, in entries of at most 1,000 documents. The first one carries the number of chunks.
    static func append(
        _ action: AuditEntry.Action, actor: String, collection: CollectionID?, documents: [DocumentID] = [], chunkCount: Int = 0,
        at now: Int64 = currentMilliseconds(), _ database: Database
    ) throws {
        let statement = try database.cachedStatement(
            sql: "INSERT INTO audit (at, actor, action, collection, documents, chunk_count) VALUES (?, ?, ?, ?, ?, ?)")
        for start in stride(from: 0, to: max(1, documents.count), by: 1000) {
            let ids = documents[start..<min(start + 1000, documents.count)]
            try statement.execute(arguments: [
                now, String(actor.prefix(200)), action.rawValue, collection?.rawValue, try json(Array(ids)), start == 0 ? chunkCount : 0,
            ])
        }
    }
}
