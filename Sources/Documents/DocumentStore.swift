import Foundation
import GRDB
import Synchronization

/// The one source of truth: collections, documents, chunk text with spans, vectors, jobs and audit, in one SQLite file.
///
///     collections --< documents --- document_texts        the pages, and what of the text no chunk holds
///          |              |  \----< attributes            metadata again, one row per value: what filters search
///          |              \------< chunks --< vectors     the text once, by spans, and an embedding for each space
///          |--< spaces ------------------------/           what one model made: one space serves, another may be filled meanwhile
///          |--< deletions                                 chunks that are gone, for indexes that must follow
///          \--< jobs --< job_files                        the durable ingest queue
///
/// Thread-safe; reads run in parallel on their own snapshots, writes one after another. All calls block the caller for the
/// duration of the SQL (milliseconds; a commit waits for the disk); call them off latency-critical event loops.
///
/// The file is in write-ahead-log mode with `synchronous=FULL`: what a call has committed survives a power cut. Deleted
/// content is overwritten with zeros at once (`secure_delete`) and is in no file after `compact()`.
package final class DocumentStore: Sendable {
    /// The folder that holds `outrider.sqlite`.
    package let directory: String
    /// Whether writing calls throw `.readOnly`.
    package let isReadOnly: Bool
    let pool: DatabasePool
    let changeLog = ChangeLog()
    let passageCache: PassageCache
    /// What was lost when the database was opened, since its write-ahead log was damaged; nil when nothing was, and when it was not looked at.
    package let logDamage: String?

    static let fileName = "outrider.sqlite"

    /// Opens or creates `outrider.sqlite` in a folder.
    ///
    /// A missing folder is created for its owner only (0700), and so is the file (0600). Another process may have the same
    /// folder open, for reading or for writing.
    ///
    /// - Parameters:
    ///   - readOnly: Opens an existing database without ever changing it; every writing call then throws `.readOnly`.
    ///   - checksLog: Looks at the write-ahead log first, see `logDamage`. For the one who knows that no other process writes it.
    ///   - passageSizeMax: Bytes of passages that are kept in memory once they were read; 0 keeps none, and so does a store that only reads.
    /// - Throws: `.cannotOpen`, or `.newerSchema` for a database of a later version.
    package init(
        directory: String, readOnly: Bool = false, checksLog: Bool = false, passageSizeMax: Int = 16 << 20
    ) throws(DocumentStoreError) {
        let directory = URL(fileURLWithPath: directory).path
        let path = directory + "/" + Self.fileName
        passageCache = PassageCache(sizeMax: readOnly ? 0 : passageSizeMax)
        logDamage = checksLog ? WriteAheadLog.read(path: path + "-wal")?.damage : nil
        do {
            let lock: DirectoryLock?
            if readOnly {
                guard access(path, R_OK) == 0 else {
                    throw DocumentStoreError.cannotOpen(path: directory, reason: "\(Self.fileName): \(String(cString: strerror(errno)))")
                }
                lock = nil
            } else {
                try Self.createDirectory(directory)
                lock = try DirectoryLock(directory)
                try Self.createFile(path, in: directory)
            }
            defer { lock?.unlock() }
            let pool = try DatabasePool(path: path, configuration: Self.configuration(readOnly: readOnly))
            try Schema.check(pool, directory: directory)
            if readOnly {
                guard try pool.read(Schema.migrator.hasCompletedMigrations) else {
                    throw DocumentStoreError.cannotOpen(
                        path: directory, reason: "its schema is older than this program; open it once for writing")
                }
            } else {
                try Schema.migrator.migrate(pool)
                // GRDB's pool sets NORMAL when it switches to write-ahead logging; a commit must survive a power cut.
                try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
                pool.add(transactionObserver: passageCache, extent: .databaseLifetime)
            }
            self.pool = pool
        } catch let error as DocumentStoreError {
            // Without what the log held, the file may not look like ours, or not even be a database.
            if let logDamage, case .cannotOpen(let path, let reason) = error {
                throw .cannotOpen(path: path, reason: reason + "; " + logDamage)
            }
            throw error
        } catch {
            throw .cannotOpen(path: directory, reason: [reason(of: error), logDamage].compactMap(\.self).joined(separator: "; "))
        }
        self.directory = directory
        isReadOnly = readOnly
    }

    /// Waits for running calls, moves the write-ahead log into the database file, and closes; later calls throw `.database`.
    ///
    /// After it the one file holds everything: who copies only `outrider.sqlite` loses nothing.
    package func close() throws(DocumentStoreError) {
        // Another process may be reading an old snapshot, or the disk may be full: then the log stays, and nothing is lost either.
        if !isReadOnly {
            try? pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA busy_timeout = 500")
                try database.checkpoint(.truncate)
            }
        }
        do {
            try pool.close()
        } catch {
            throw mapped(error, operation: "close")
        }
    }

    // MARK: Reads and writes

    /// Runs statements on one snapshot.
    func read<Value>(_ operation: String, _ body: (Database) throws -> Value) throws(DocumentStoreError) -> Value {
        do {
            return try pool.read(body)
        } catch {
            throw mapped(error, operation: operation)
        }
    }

    /// Runs one statement, which is a snapshot by itself: what begins and ends a transaction costs more than a small one.
    func readOnce<Value>(_ operation: String, _ body: (Database) throws -> Value) throws(DocumentStoreError) -> Value {
        do {
            return try pool.unsafeRead(body)
        } catch {
            throw mapped(error, operation: operation)
        }
    }

    /// Runs statements in one transaction that is on disk when the call returns; an error undoes all of it.
    func write<Value>(_ operation: String, _ body: (Database) throws -> Value) throws(DocumentStoreError) -> Value {
        guard !isReadOnly else { throw .readOnly(path: directory) }
        do {
            return try pool.write(body)
        } catch {
            throw mapped(error, operation: operation)
        }
    }

    /// As `write`, but does not wait for the disk: a power cut may undo the transaction, as a whole and together with nothing
    /// that was committed durably before it. For progress, which is worth less than the milliseconds of a flush.
    func writeProgress<Value>(_ operation: String, _ body: (Database) throws -> Value) throws(DocumentStoreError) -> Value {
        guard !isReadOnly else { throw .readOnly(path: directory) }
        do {
            return try pool.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA synchronous = NORMAL")
                var value: Value?
                do {
                    try database.inTransaction {
                        value = try body(database)
                        return .commit
                    }
                } catch {
                    try database.execute(sql: "PRAGMA synchronous = FULL")
                    throw error
                }
                try database.execute(sql: "PRAGMA synchronous = FULL")
                return value!
            }
        } catch {
            throw mapped(error, operation: operation)
        }
    }

    func mapped(_ error: any Error, operation: String) -> DocumentStoreError {
        if let error = error as? DocumentStoreError { return error }
        if let error = error as? DatabaseError, isDiskFull(error) { return .diskFull(path: directory, operation: operation) }
        return .database(operation: operation, reason: reason(of: error))
    }

    /// SQLite reports a full disk by name where it writes its file, and as an input or output error where it makes room for the log's index.
    private func isDiskFull(_ error: DatabaseError) -> Bool {
        switch error.resultCode.primaryResultCode {
        case .SQLITE_FULL: return true
        case .SQLITE_IOERR:
            var disk = statvfs()
            return statvfs(directory, &disk) == 0 && disk.f_bavail * disk.f_frsize < 256 << 10
        default: return false
        }
    }

    // MARK: Opening

    private static func configuration(readOnly: Bool) -> Configuration {
        var configuration = Configuration()
        configuration.label = "documents"
        configuration.readonly = readOnly
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(15)
        configuration.maximumReaderCount = 6
        configuration.prepareDatabase { database in
            database.add(function: foldedContains)
            if database.configuration.readonly {
                try database.execute(sql: "PRAGMA cache_size = -8192; PRAGMA query_only = ON")
                return
            }
            // These two hold only while the file is empty. Pages of 8 KiB take five vectors of 384 dimensions each with little waste;
            // incremental vacuum lets a full disk get pages back when there is no room to rewrite the file.
            try database.execute(sql: "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL")
            try database.execute(sql: "PRAGMA secure_delete = ON; PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864")
        }
        return configuration
    }

    static func createDirectory(_ path: String) throws {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, path != "/" else {
            throw DocumentStoreError.cannotOpen(path: path, reason: "the folder cannot be created: \(String(cString: strerror(errno)))")
        }
        try createDirectory(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw DocumentStoreError.cannotOpen(path: path, reason: "the folder cannot be created: \(String(cString: strerror(errno)))")
        }
    }

    /// Creates the empty file with its permissions, which SQLite then also gives to the write-ahead log.
    static func createFile(_ path: String, in directory: String) throws {
        let descriptor = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            Glibc.close(descriptor)
        } else if errno != EEXIST {
            throw DocumentStoreError.cannotOpen(path: directory, reason: "\(fileName): \(String(cString: strerror(errno)))")
        }
    }
}

/// Keeps two processes from creating or migrating the same database at once.
private struct DirectoryLock {
    private let descriptor: CInt

    init(_ directory: String) throws {
        descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw DocumentStoreError.cannotOpen(path: directory, reason: String(cString: strerror(errno)))
        }
        for _ in 0..<300 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(50_000)
        }
        Glibc.close(descriptor)
        throw DocumentStoreError.cannotOpen(
            path: directory, reason: "another process has been opening it for 15 seconds; stop it and try again")
    }

    func unlock() { Glibc.close(descriptor) }
}

/// What a database error says, without SQL and without values.
func reason(of error: any Error) -> String {
    // Its own description quotes the row.
    if error is RowDecodingError {
        return "a stored value is missing or of another kind, so the file is damaged; restore the data folder from a backup"
    }
    guard let error = error as? DatabaseError else { return String(describing: error) }
    return switch error.resultCode.primaryResultCode {
    case .SQLITE_BUSY, .SQLITE_LOCKED: "another process keeps the database locked; stop it, or try again"
    case .SQLITE_FULL: "the disk is full; free some space and try again"
    case .SQLITE_IOERR: "the disk reports an error (\(error.extendedResultCode.rawValue)); check the disk and its free space"
    case .SQLITE_CORRUPT: "the file is damaged; restore the data folder from a backup"
    case .SQLITE_NOTADB: "the file is not a database; it was overwritten, or it is not ours"
    case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN:
        "the file or its folder cannot be written or read; check their owner and permissions"
    case .SQLITE_TOOBIG: "a text is larger than one gigabyte"
    default: "\(error.message ?? "no message") (SQLite \(error.extendedResultCode.rawValue))"
    }
}

/// `folded_contains(text, needle)`: whether a text contains a needle, in any case and in any script. The needle is lower-case already.
private let foldedContains = DatabaseFunction("folded_contains", argumentCount: 2, pure: true) { values in
    guard let text = String.fromDatabaseValue(values[0]), let needle = String.fromDatabaseValue(values[1]) else { return false }
    let bytes = Array(text.lowercased().utf8)
    let pattern = Array(needle.utf8)
    guard let first = pattern.first else { return true }
    guard bytes.count >= pattern.count else { return false }
    for start in 0...(bytes.count - pattern.count)
    where bytes[start] == first && bytes[start..<(start + pattern.count)].elementsEqual(pattern) {
        return true
    }
    return false
}
