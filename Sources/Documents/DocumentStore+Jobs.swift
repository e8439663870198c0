import Foundation
import GRDB

/// The durable ingest queue.
///
///     job:   queued --claim--> running --every file at its end--> finished
///               \________________\-----cancel-----> cancelled
///     file:  queued --claim--> parsing -> chunking -> embedding -> committing -> indexed
///               \________________\__________\__________\____________\--> unchanged | refused | failed | cancelled
///
/// A file that is at its end stays there: a worker that comes late, after a cancellation, changes nothing. Only `retryJob` puts
/// failed and cancelled files back. Between claim and end the stage is known to the process alone: a file that was under way when
/// the program died stands as `parsing`. Claims are written without waiting for the disk; ends that cost work are durable.
extension DocumentStore {
    /// Stores a job with its files and texts, all queued but for those that are refused. A job without files is finished at once.
    package func createJob(in collection: CollectionID, files: [JobFileDraft]) throws(DocumentStoreError) -> JobRecord {
        try write("create a job") { database in
            _ = try CollectionRow.get(collection, database)
            let now = currentMilliseconds()
            let largest = try String.fetchOne(database.cachedStatement(sql: "SELECT max(id) FROM jobs"))
            var generator = SystemRandomNumberGenerator()
            let id = SortableID(milliseconds: now, after: largest.flatMap { SortableID($0.dropFirst(4)) }, using: &generator)
            let state: JobState = files.isEmpty ? .finished : .queued
            try database.execute(
                sql: "INSERT INTO jobs (id, collection, state, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
                arguments: ["job_" + id.text, collection.rawValue, state.rawValue, now, now])
            let job = database.lastInsertedRowID
            let insert = try database.cachedStatement(
                sql: """
                    INSERT INTO job_files (job, sequence, collection, path, source, title, mime_type, metadata, is_spooled, byte_count, stage, reason)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            let insertText = try database.cachedStatement(sql: "INSERT INTO job_texts (job, sequence, text) VALUES (?, ?, CAST(? AS TEXT))")
            for (sequence, file) in files.enumerated() {
                try insert.execute(arguments: [
                    job, sequence, collection.rawValue, file.path, file.source, file.title, file.mimeType,
                    file.metadata.isEmpty ? "{}" : try json(file.metadata), file.isSpooled, file.byteCount,
                    (file.refusal == nil ? FileStage.queued : .refused).rawValue, file.refusal,
                ])
                if let text = file.text, file.refusal == nil { try insertText.execute(arguments: [job, sequence, Data(text.utf8)]) }
            }
            return try JobRow.get(seq: job, database).record(database)
        }
    }

    /// A job with its progress; nil when it was forgotten or never was.
    package func job(_ id: JobID) throws(DocumentStoreError) -> JobRecord? {
        try read("read a job") { database in try JobRow.find(id, database)?.record(database) }
    }

    /// Newest first.
    package func jobs(limit: Int = 50) throws(DocumentStoreError) -> [JobRecord] {
        try read("list the jobs") { database in
            try Row.fetchAll(
                database, sql: "SELECT \(JobRow.columns) FROM jobs ORDER BY id DESC LIMIT ?", arguments: [min(max(0, limit), 10_000)]
            ).map { try JobRow($0).record(database) }
        }
    }

    /// Files of a job in order, after a sequence number.
    package func files(of job: JobID, after sequence: Int = -1, limit: Int = 1000) throws(DocumentStoreError) -> [JobFileRecord] {
        try read("list a job's files") { database in
            let row = try JobRow.get(job, database)
            return try Row.fetchAll(
                database.cachedStatement(
                    sql: "SELECT \(JobFileRecord.columns) FROM job_files f WHERE f.job = ? AND f.sequence > ? ORDER BY f.sequence LIMIT ?"),
                arguments: [row.seq, sequence, min(max(0, limit), 100_000)]
            ).map { try JobFileRecord($0, job: job) }
        }
    }

    /// Takes the next queued file of any queued or running job (oldest job first), marks it `parsing` and counts an attempt.
    package func claimNextFile() throws(DocumentStoreError) -> JobFileRecord? { try claimFiles().first }

    /// Takes the next queued file, or several texts of one job together, marks them `parsing` and counts an attempt.
    ///
    /// Files in whose hands the program died before come last, those with the fewest deaths first. A file is not taken while an older one of the
    /// same source waits, so that the latest is stored last whatever is passed over.
    ///
    /// - Parameters:
    ///   - suspects: Whether such files are taken at all. The caller does so when nothing else is under way.
    ///   - byteMax: Files with more bytes are passed over.
    ///   - last: Jobs get their turn one after the other, beginning with the one after this; nil begins with the oldest.
    ///   - textCount: As many texts of one job as this are taken together when the next one is a text.
    ///   - textBytes: And as long as they have no more bytes than this together.
    /// - Returns: Empty when nothing waits that may be taken.
    /// - Complexity: O(log *n*) for each file, and for each that is passed over; without work it is a read and waits for no writer.
    package func claimFiles(
        suspects: Bool = true, byteMax: Int = .max, after last: JobID? = nil, textCount: Int = 1, textBytes: Int = 1 << 20
    ) throws(DocumentStoreError) -> [JobFileRecord] {
        guard !isReadOnly else { throw .readOnly(path: directory) }
        func next(_ database: Database) throws -> Row? {
            let statement = try database.cachedStatement(sql: Self.nextFileSQL)
            if let last, let job = try JobRow.find(last, database)?.seq,
                let row = try Row.fetchOne(statement, arguments: [byteMax, job])
            {
                return row
            }
            if let row = try Row.fetchOne(statement, arguments: [byteMax, -1]) { return row }
            return suspects ? try Row.fetchOne(database.cachedStatement(sql: Self.nextSuspectSQL), arguments: [byteMax]) : nil
        }
        guard try read("look for work", { try next($0) != nil }) else { return [] }
        return try writeProgress("claim a file") { database in
            guard let row = try next(database) else { return [] }
            let job: Int64 = try row.value(0)
            let id = try JobRow.get(seq: job, database).id
            try database.cachedStatement(sql: "UPDATE jobs SET state = 'running', updated_at = ? WHERE seq = ?")
                .execute(arguments: [currentMilliseconds(), job])
            let first: Int = try row.value(1)
            var sequences = [first]
            if textCount > 1, try row.value(2) == 0 {
                // The texts that follow it in the queue, up to the first that is no text.
                let statement = try database.cachedStatement(sql: Self.followingTextsSQL)
                var size = 0
                for other in try Row.fetchAll(statement, arguments: [job, first, textCount]) {
                    let sequence: Int = try other.value(0)
                    let isText: Bool = try other.value(2)
                    size += try other.value(1)
                    guard isText, sequences.last == sequence || size <= textBytes else { break }
                    if sequence != first { sequences.append(sequence) }
                }
            }
            let claim = try database.cachedStatement(
                sql: "UPDATE job_files SET stage = 'parsing', attempts = attempts + 1, reason = NULL WHERE job = ? AND sequence = ?")
            let read = try database.cachedStatement(
                sql: "SELECT \(JobFileRecord.columns) FROM job_files f WHERE f.job = ? AND f.sequence = ?")
            let readText = try database.cachedStatement(sql: "SELECT text FROM job_texts WHERE job = ? AND sequence = ?")
            return try sequences.map { sequence in
                try claim.execute(arguments: [job, sequence])
                guard let row = try Row.fetchOne(read, arguments: [job, sequence]) else {
                    throw DocumentStoreError.unknownJob("\(id), file \(sequence)")
                }
                var record = try JobFileRecord(row, job: id)
                record.text = try Row.fetchCursor(readText, arguments: [job, sequence]).map { try $0.text(0) }.next()
                return record
            }
        }
    }

    /// Queued files belong to queued or running jobs only: cancelling a job ends its files.
    static let nextFileSQL = """
        SELECT f.job, f.sequence, f.deaths FROM job_files f WHERE f.stage = 'queued' AND f.deaths = 0 AND f.byte_count <= ? AND f.job > ?
            AND \(isOldestOfItsSource)
        ORDER BY f.job, f.sequence LIMIT 1
        """
    static let nextSuspectSQL = """
        SELECT f.job, f.sequence, f.deaths FROM job_files f WHERE f.stage = 'queued' AND f.deaths > 0 AND f.byte_count <= ?
            AND \(isOldestOfItsSource)
        ORDER BY f.deaths, f.job, f.sequence LIMIT 1
        """
    static let followingTextsSQL = """
        SELECT f.sequence, f.byte_count, t.sequence IS NOT NULL
        FROM job_files f LEFT JOIN job_texts t ON t.job = f.job AND t.sequence = f.sequence
        WHERE f.stage = 'queued' AND f.job = ? AND f.sequence >= ? AND f.deaths = 0 AND \(isOldestOfItsSource)
        ORDER BY f.sequence LIMIT ?
        """
    /// By the index of sources: the one of queued files would be read from its beginning for each file.
    private static let isOldestOfItsSource = """
        NOT EXISTS (SELECT 1 FROM job_files o INDEXED BY job_files_by_source WHERE o.collection = f.collection AND o.source = f.source AND o.stage = 'queued'
            AND (o.job, o.sequence) < (f.job, f.sequence))
        """

    /// Puts a file that was claimed back into the queue as if it never had been: the program ends before its work does.
    package func releaseFile(job: JobID, sequence: Int) throws(DocumentStoreError) {
        try writeProgress("put a file back") { database in
            let key = try JobFileKey(job: job, sequence: sequence, database)
            guard try !key.stage(database).isTerminal else { return }
            try key.release(database)
        }
    }

    /// Moves a file to another stage.
    ///
    /// - Parameters:
    ///   - reason: Why it was refused or failed. Kept as it was when nil.
    ///   - document: Kept as it was when nil, and so is `chunkCount`.
    /// - Returns: False, and nothing has changed, when the file is already at its end: the job was cancelled, and the worker should stop.
    @discardableResult
    package func update(
        stage: FileStage, job: JobID, sequence: Int, reason: String? = nil, document: DocumentID? = nil, chunkCount: Int? = nil
    ) throws(DocumentStoreError) -> Bool {
        func change(_ database: Database) throws -> Bool {
            let key = try JobFileKey(job: job, sequence: sequence, database)
            guard try !key.stage(database).isTerminal else { return false }
            try key.set(
                stage, reason: reason.map { String($0.prefix(2000)) }, document: document, chunkCount: chunkCount,
                at: currentMilliseconds(), database)
            return true
        }
        // That a file is unchanged is found again as fast as the disk would confirm it.
        return stage.isTerminal && stage != .unchanged
            ? try write("end a job's file", change) : try writeProgress("move a job's file", change)
    }

    /// Sets the job's state to finished when every file is terminal; returns the job.
    package func finishJobIfDone(_ id: JobID) throws(DocumentStoreError) -> JobRecord {
        let isOpen = try read("read a job") { database in
            let job = try JobRow.get(id, database)
            return job.isOpen ? try job.openFileCount(database) == 0 : false
        }
        guard isOpen else { return try knownJob(id) }
        return try write("finish a job") { database in
            var job = try JobRow.get(id, database)
            if job.isOpen, try job.openFileCount(database) == 0 { try job.set(.finished, database) }
            return try job.record(database)
        }
    }

    private func knownJob(_ id: JobID) throws(DocumentStoreError) -> JobRecord {
        guard let job = try job(id) else { throw .unknownJob(id.rawValue) }
        return job
    }

    /// Ends every file that is not at its end, those in the hands of a worker too, and the job. A job at its end stays as it is.
    package func cancelJob(_ id: JobID) throws(DocumentStoreError) -> JobRecord {
        try write("cancel a job") { database in
            var job = try JobRow.get(id, database)
            if job.isOpen {
                try database.execute(
                    sql: """
                        UPDATE job_files SET stage = 'cancelled'
                        WHERE job = ? AND stage IN ('queued', 'parsing', 'chunking', 'embedding', 'committing')
                        """, arguments: [job.seq])
                // A text that failed before can still be tried again.
                try database.execute(
                    sql: """
                        DELETE FROM job_texts WHERE job = ?
                            AND sequence IN (SELECT f.sequence FROM job_files f WHERE f.job = job_texts.job AND f.stage = 'cancelled')
                        """, arguments: [job.seq])
                try job.set(.cancelled, database)
            }
            return try job.record(database)
        }
    }

    /// Puts failed and cancelled files back into the queue, with their attempts at zero.
    ///
    /// What has nothing to read any more stays as it is: files whose document was deleted since, and cancelled texts and uploads, whose bytes went with
    /// the cancellation.
    ///
    /// - Returns: The job, and what is in the queue again: how many files, by the end that they had, and their bytes.
    @discardableResult
    package func retryJob(
        _ id: JobID
    ) throws(DocumentStoreError) -> (job: JobRecord, queued: [FileStage: Int], byteCount: Int) {
        let condition = "job = ? AND source <> '' AND (stage = 'failed' OR stage = 'cancelled' AND is_spooled = 0 AND path <> '')"
        return try write("retry a job") { database in
            var job = try JobRow.get(id, database)
            var queued: [FileStage: Int] = [:]
            var byteCount = 0
            let counts = "SELECT stage, count(*), sum(byte_count) FROM job_files WHERE \(condition) GROUP BY stage"
            for row in try Row.fetchAll(database, sql: counts, arguments: [job.seq]) {
                queued[try named(try row.value(0), "a file's stage")] = try row.value(1)
                byteCount += try row.value(2)
            }
            try database.execute(
                sql: "UPDATE job_files SET stage = 'queued', attempts = 0, deaths = 0, reason = NULL WHERE \(condition)",
                arguments: [job.seq])
            if !queued.isEmpty, !job.isOpen { try job.set(.queued, database) }
            return (try job.record(database), queued, byteCount)
        }
    }

    /// After a start: files that were between queued and terminal go back to queued. Only a program that died leaves such files; one that ends
    /// orderly puts them back itself.
    ///
    /// Which of several files was to blame nobody knows: all become suspects, with one death. From then on a suspect is worked on alone, so a
    /// further death is its own, and with `deathLimit` of them it is failed with a reason.
    ///
    /// Call it before any worker claims a file. Jobs that have nothing left become finished.
    ///
    /// - Returns: Jobs with work left, oldest first.
    package func recoverJobs(deathLimit: Int) throws(DocumentStoreError) -> [JobRecord] {
        try write("recover the jobs") { database in
            let now = currentMilliseconds()
            let inFlight = "stage IN ('parsing', 'chunking', 'embedding', 'committing')"
            let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM job_files WHERE \(inFlight)") ?? 0
            if count == 1 {
                try database.execute(sql: "UPDATE job_files SET deaths = deaths + 1 WHERE \(inFlight)")
                try database.execute(
                    sql: """
                        UPDATE job_files SET stage = 'failed',
                            reason = 'the program ended ' || deaths || ' times while this file was taken in; retry the job to try again'
                        WHERE \(inFlight) AND deaths >= ?
                        """, arguments: [deathLimit])
            } else if count > 1 {
                try database.execute(sql: "UPDATE job_files SET deaths = max(deaths, 1) WHERE \(inFlight)")
            }
            try database.execute(sql: "UPDATE job_files SET stage = 'queued' WHERE \(inFlight)")
            try database.execute(
                sql: """
                    UPDATE jobs SET state = 'finished', updated_at = ? WHERE state IN ('queued', 'running') AND NOT EXISTS (
                        SELECT 1 FROM job_stages s WHERE s.job = jobs.seq AND s.stage = 'queued' AND s.file_count > 0)
                    """, arguments: [now])
            return try Row.fetchAll(
                database, sql: "SELECT \(JobRow.columns) FROM jobs WHERE state IN ('queued', 'running') ORDER BY seq"
            ).map { try JobRow($0).record(database) }
        }
    }

    /// Spool files that a job may still read: those of files on their way, and of failed ones, which can be retried. Any other file
    /// in the spool folder is left over from a crash and can go.
    package func spooledPaths() throws(DocumentStoreError) -> [String] {
        try read("list the spooled files") { database in
            try String.fetchAll(
                database,
                sql: """
                    SELECT path FROM job_files WHERE is_spooled = 1 AND stage NOT IN ('indexed', 'unchanged', 'refused', 'cancelled') ORDER BY path
                    """)
        }
    }
}

/// A row of `jobs`.
private struct JobRow {
    var seq: Int64
    var id: JobID
    var collection: CollectionID
    var state: JobState
    var createdAt: Int64
    var updatedAt: Int64

    static let columns = "seq, id, collection, state, created_at, updated_at"

    init(_ row: Row) throws {
        seq = try row.value(0)
        id = JobID(rawValue: try row.value(1))
        collection = CollectionID(rawValue: try row.value(2))
        state = try named(try row.value(3), "a job's state")
        createdAt = try row.value(4)
        updatedAt = try row.value(5)
    }

    static func find(_ id: JobID, _ database: Database) throws -> JobRow? {
        try Row.fetchOne(database.cachedStatement(sql: "SELECT \(columns) FROM jobs WHERE id = ?"), arguments: [id.rawValue]).map {
            try JobRow($0)
        }
    }

    static func get(_ id: JobID, _ database: Database) throws -> JobRow {
        guard let row = try find(id, database) else { throw DocumentStoreError.unknownJob(id.rawValue) }
        return row
    }

    static func get(seq: Int64, _ database: Database) throws -> JobRow {
        guard let row = try Row.fetchOne(database.cachedStatement(sql: "SELECT \(columns) FROM jobs WHERE seq = ?"), arguments: [seq])
        else {
            throw DocumentStoreError.unknownJob("number \(seq)")
        }
        return try JobRow(row)
    }

    var isOpen: Bool { state == .queued || state == .running }

    mutating func set(_ state: JobState, _ database: Database) throws {
        self.state = state
        updatedAt = currentMilliseconds()
        try database.execute(sql: "UPDATE jobs SET state = ?, updated_at = ? WHERE seq = ?", arguments: [state.rawValue, updatedAt, seq])
    }

    func openFileCount(_ database: Database) throws -> Int {
        try Int.fetchOne(
            database.cachedStatement(
                sql: """
                    SELECT coalesce(sum(file_count), 0) FROM job_stages
                    WHERE job = ? AND stage IN ('queued', 'parsing', 'chunking', 'embedding', 'committing')
                    """), arguments: [seq])!
    }

    func record(_ database: Database) throws -> JobRecord {
        var record = JobRecord(
            id: id, collection: collection, state: state, createdAt: date(createdAt), updatedAt: date(updatedAt), fileCount: 0, stages: [:],
            byteCount: 0, finishedByteCount: 0)
        let statement = try database.cachedStatement(
            sql: "SELECT stage, file_count, byte_count FROM job_stages WHERE job = ? AND file_count > 0")
        for row in try Row.fetchAll(statement, arguments: [seq]) {
            let stage: FileStage = try named(try row.value(0), "a file's stage")
            let files: Int = try row.value(1)
            let bytes: Int = try row.value(2)
            record.stages[stage] = files
            record.fileCount += files
            record.byteCount += bytes
            if stage.isTerminal { record.finishedByteCount += bytes }
        }
        return record
    }
}

/// One file of a job, found.
struct JobFileKey {
    private let job: Int64
    private let id: JobID
    private let sequence: Int

    init(job: JobID, sequence: Int, _ database: Database) throws {
        self.job = try JobRow.get(job, database).seq
        id = job
        self.sequence = sequence
    }

    func stage(_ database: Database) throws -> FileStage {
        let statement = try database.cachedStatement(sql: "SELECT stage FROM job_files WHERE job = ? AND sequence = ?")
        guard let stage = try String.fetchOne(statement, arguments: [job, sequence]) else {
            throw DocumentStoreError.unknownJob("\(id), file \(sequence)")
        }
        return try named(stage, "a file's stage")
    }

    func release(_ database: Database) throws {
        try database.cachedStatement(
            sql: "UPDATE job_files SET stage = 'queued', attempts = max(0, attempts - 1) WHERE job = ? AND sequence = ?"
        ).execute(arguments: [job, sequence])
    }

    /// Whether the file's document may be stored.
    ///
    /// - Throws: `.fileEnded` when the file is at its end; `.superseded` when its bytes are those of the submission and a later one of the same source was
    ///   taken in meanwhile. A file that lies where it lay is read anew at each try, so it brings the latest there is.
    func requireStorable(_ database: Database) throws {
        let stage = try stage(database)
        if stage.isTerminal { throw DocumentStoreError.fileEnded(job: id, sequence: sequence, stage: stage) }
        guard let later = try Row.fetchOne(database.cachedStatement(sql: Self.laterSQL), arguments: [job, sequence]) else { return }
        throw DocumentStoreError.superseded(source: try later.value(1), by: JobID(rawValue: try later.value(0)))
    }

    private static let laterSQL = """
        SELECT j.id, f.source FROM job_files f
        JOIN job_files n INDEXED BY job_files_by_source
            ON n.collection = f.collection AND n.source = f.source AND (n.job, n.sequence) > (f.job, f.sequence)
        JOIN jobs j ON j.seq = n.job
        WHERE f.job = ? AND f.sequence = ? AND (f.is_spooled = 1 OR f.path = '') AND n.stage IN ('indexed', 'unchanged') LIMIT 1
        """

    /// Marks the file indexed. Its source becomes the document's, so that deleting the document finds it.
    func finish(
        document: DocumentID, source: String, chunkCount: Int, reason: String?, at now: Int64, _ database: Database
    ) throws {
        try database.cachedStatement(sql: "UPDATE job_files SET source = ? WHERE job = ? AND sequence = ? AND source <> ?")
            .execute(arguments: [source, job, sequence, source])
        try set(.indexed, reason: reason.map { String($0.prefix(2000)) }, document: document, chunkCount: chunkCount, at: now, database)
    }

    func set(_ stage: FileStage, reason: String?, document: DocumentID?, chunkCount: Int?, at now: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE job_files SET stage = ?, reason = coalesce(?, reason), document = coalesce(?, document), chunk_count = coalesce(?, chunk_count)
                WHERE job = ? AND sequence = ?
                """
        ).execute(arguments: [stage.rawValue, reason, document?.rawValue, chunkCount, job, sequence])
        // A failed file can be tried again.
        if stage.isTerminal, stage != .failed {
            try database.cachedStatement(sql: "DELETE FROM job_texts WHERE job = ? AND sequence = ?").execute(arguments: [job, sequence])
        }
        try database.cachedStatement(sql: "UPDATE jobs SET updated_at = ? WHERE seq = ?").execute(arguments: [now, job])
    }
}

extension JobFileRecord {
    static let columns = """
        f.sequence, f.path, f.source, f.title, f.mime_type, f.metadata, f.is_spooled, f.byte_count, f.stage, f.attempts, f.reason, f.document, \
        f.chunk_count, f.deaths
        """

    init(_ row: Row, job: JobID) throws {
        self.init(
            job: job, sequence: try row.value(0), path: try row.value(1), source: try row.value(2), title: try row.value(3),
            mimeType: try row.value(4),
            metadata: try storedMetadata(try row.value(5)), isSpooled: try row.value(6), byteCount: try row.value(7),
            stage: try named(try row.value(8), "a file's stage"), attempts: try row.value(9), reason: try row.value(10),
            document: (try row.value(11) as String?).map(DocumentID.init(rawValue:)), chunkCount: try row.value(12),
            deaths: try row.value(13))
    }
}

/// Reads an enum's case from its stored name.
private func named<Value: RawRepresentable<String>>(_ text: String, _ what: String) throws -> Value {
    guard let value = Value(rawValue: text) else {
        throw DocumentStoreError.database(
            operation: "read \(what)", reason: "'\(text)' is unknown; the database was written by another version")
    }
    return value
}
