// The life of a file:
//
//     claim (durable) -> hash -> unchanged? -> parse (child process) -> chunk -> embed -> commit (one transaction) -> next
//
// Several files are on their way at once: while the embedder works on one, the next are parsed, and the embedder batches texts of all of them. Short
// texts that were given as such go through all of it in groups. The job's rows in SQLite are the truth about what is done; a claimed file that did
// not end is queued again at the next start, and the transaction that stores a document also marks its file as indexed. So a kill at any moment
// leaves each document exactly once.

package import Documents
package import Execution
import Foundation
package import Indexing
package import Inference
package import Logging
import Metrics
package import Parsing

package struct IngestionOptions: Sendable {
    /// Files, or groups of texts, on their way at once.
    package var concurrency = 4
    /// Files of at least this size take at most half of the places, so that small ones pass them.
    package var largeFileSize = 4 << 20
    /// Texts given as such that are worked on together.
    package var textGroup = 64
    /// Tries for a file whose parser timed out or crashed.
    package var attemptLimit = 2
    /// Times that this program may die on one file before it is given up.
    package var crashLimit = 4
    /// Most files waiting over all jobs.
    package var queueLimit = 1_000_000
    /// Bytes of extracted text between parsing and commit.
    package var textBudget = 96 << 20
    /// Longest that cutting one document into chunks may take.
    package var chunkLimit = Duration.seconds(120)
    /// Chunks given to the embedder in one call.
    package var embedBatch = 256
    /// First and longest pause before a write is tried again on a full disk.
    package var diskPauseMin = Duration.seconds(1)
    package var diskPauseMax = Duration.seconds(30)
    /// How long finished jobs and the audit log are remembered.
    package var history = DocumentStore.HistoryLimits()
    /// Most files that a job's status lists.
    package var statusFileCount = 10_000
    /// The data folder: never ingested itself.
    package var dataFolder: String?

    package init() {}
}

/// Takes files in: durable jobs, bounded work, one writer.
package actor IngestionService: Ingesting {
    let catalog: IndexCatalog
    let embedder: (any Embedder)?
    let parser: any FileParsing
    let options: IngestionOptions
    let logger: Logger
    let time: any TimeSource
    let budget: ByteBudget
    private let spoolFolder: String

    var progress: [JobID: JobProgress] = [:]
    private var listeners: [JobID: [Int: AsyncStream<IngestEvent>.Continuation]] = [:]
    private var nextListener = 0
    /// Jobs that are being retried, and by how many callers: they are followed until that is done.
    private var retrying: [JobID: Int] = [:]
    /// What is under way, by number: a file that was put back may be taken again before its first work has gone.
    var running: [Int: Work] = [:]
    var nextWork = 0
    /// The latest work on each source that is under way.
    var sources: [String: Task<Void, Never>] = [:]
    /// Takes files from the queue while there is room; nil while it rests.
    var claiming: Task<Void, Never>?
    /// Whose turn it was: jobs take turns, so that a single file does not wait for all of a bulk load.
    var lastClaimed: JobID?
    /// Set by every call of `pump`: what was found before may be outdated.
    var mayFindMore = false
    private(set) var isStopping = false
    /// Why writing waits; nil while it does not.
    var waitingReason: String?
    private var lastPruning: ContinuousClock.Instant?

    /// One file, or a group of texts of one job.
    struct Work {
        var task: Task<Void, Never>
        var files: [JobFileRecord]
        var isLarge: Bool
        /// False while it waits for earlier work on one of its sources.
        var hasBegun = false
        /// The program died with this file in its hands before: nothing else is under way beside it.
        var isSuspect: Bool
    }

    /// - Parameters:
    ///   - embedder: Nil stores text without vectors: text search only.
    ///   - spoolFolder: Where uploads wait to be taken in; created when missing.
    ///   - time: What pauses, limits and times left are measured by.
    package init(
        catalog: IndexCatalog, embedder: (any Embedder)?, parser: any FileParsing, spoolFolder: String, options: IngestionOptions = .init(),
        logger: Logger, time: any TimeSource = .machine
    ) {
        self.catalog = catalog
        self.embedder = embedder
        self.parser = parser
        self.spoolFolder = spoolFolder
        self.options = options
        self.logger = logger
        self.time = time
        budget = ByteBudget(limit: options.textBudget)
    }

    /// Takes up what an earlier process left, and removes spool files that no job needs.
    package func start() async throws {
        let store = catalog.store
        let limit = options.crashLimit
        let spoolFolder = spoolFolder
        try FileManager.default.createDirectory(atPath: spoolFolder, withIntermediateDirectories: true)
        let open = try await offload {
            let open = try store.recoverJobs(deathLimit: limit)
            let needed = Set(try store.spooledPaths())
            for name in (try? FileManager.default.contentsOfDirectory(atPath: spoolFolder)) ?? []
            where !needed.contains(spoolFolder + "/" + name) {
                try? FileManager.default.removeItem(atPath: spoolFolder + "/" + name)
            }
            return open
        }
        for job in open {
            progress[job.id] = JobProgress(job, collection: try collectionName(job.collection), now: time.now)
            logger.info("resuming job", metadata: ["job": "\(job.id)", "files": "\(job.fileCount)"])
            if progress[job.id]!.isDone { try await finish(job.id) }
        }
        await pruneJobs()
        pump()
    }

    /// Stops claiming files, lets those under way end for a while, then leaves them to the next start.
    package func stop(grace: Duration = .seconds(20)) async {
        isStopping = true
        // What it is about to claim is either put back or among those under way.
        claiming?.cancel()
        await claiming?.value
        let tasks = running.values.map(\.task)
        let timer = Task { [time] in
            try await time.sleep(until: time.now + grace)
            for task in tasks { task.cancel() }
        }
        for task in tasks { await task.value }
        timer.cancel()
        await parser.shutdown()
        for list in listeners.values { for listener in list.values { listener.finish() } }
        listeners = [:]
    }

    nonisolated func spoolPath(_ name: String) -> String { spoolFolder + "/" + name }

    package func obstacle() async -> String? { waitingReason }

    // MARK: Jobs

    private func check(_ collection: String, _ scope: RequestScope) throws(IngestionError) {
        guard scope.includes(collection: collection) else { throw .unknownCollection(collection) }
    }

    /// Makes sure that a job is one of the scope.
    ///
    /// - Throws: `.unknownJob` when it is not.
    private func check(_ job: JobID, _ scope: RequestScope) async throws {
        guard scope.collections != nil else { return }
        let store = catalog.store
        let record = try await translatingErrors { try await offload { try store.job(job) } }
        guard let record, scope.includes(collection: try collectionName(record.collection)) else {
            throw IngestionError.unknownJob(job.rawValue)
        }
    }

    package func submit(_ request: IngestRequest, scope: RequestScope) async throws -> JobID {
        try check(request.collection, scope)
        let spoolFolder = spoolFolder
        let dataFolder = options.dataFolder
        let waiting = progress.values.reduce(0) { $0 + ($1.stages[.queued] ?? 0) }
        let catalog = catalog
        let limit = options.queueLimit
        let record = try await translatingErrors {
            try await offload {
                try FileManager.default.createDirectory(atPath: spoolFolder, withIntermediateDirectories: true)
                let drafts = try Submission.drafts(for: request, excluding: dataFolder)
                if waiting + drafts.count > limit { throw IngestionError.queueFull(queued: waiting, limit: limit) }
                let indexes = try catalog.indexes(creating: request.collection)
                return try catalog.store.createJob(in: indexes.id, files: drafts)
            }
        }
        // Its first file may have been claimed already.
        if progress[record.id] == nil { progress[record.id] = JobProgress(record, collection: request.collection, now: time.now) }
        pump()
        try await finishIfEnded(record.id)
        return record.id
    }

    package func events(of job: JobID, scope: RequestScope) async throws -> AsyncStream<IngestEvent> {
        try await check(job, scope)
        let status = try await status(of: job)
        let (stream, continuation) = AsyncStream.makeStream(of: IngestEvent.self, bufferingPolicy: .bufferingNewest(100_000))
        guard progress[job] != nil else {
            // It may have ended while its status was read.
            let last = status.isOpen ? (try? await self.status(of: job)) ?? status : status
            continuation.yield(.progress(last))
            let chunks = last.files.reduce(0) { $0 + ($1.outcome == .indexed ? $1.chunks : 0) }
            continuation.yield(.summary(last, chunks: chunks, seconds: 0))
            continuation.finish()
            return stream
        }
        continuation.yield(.progress(status))
        let number = nextListener
        nextListener += 1
        listeners[job, default: [:]][number] = continuation
        continuation.onTermination = { [weak self] _ in
            guard let self else { return }
            Task { await self.removeListener(job, number) }  // outlives the stream by one hop to the actor
        }
        return stream
    }

    private func removeListener(_ job: JobID, _ number: Int) { listeners[job]?[number] = nil }

    func publish(_ event: @autoclosure () -> IngestEvent, of job: JobID) {
        guard let listeners = listeners[job], !listeners.isEmpty else { return }
        let event = event()
        for listener in listeners.values { listener.yield(event) }
    }

    func publishProgress(of job: JobID) {
        guard let live = progress[job] else { return }
        publish(.progress(live.status(waiting: waitingReason, now: time.now)), of: job)
    }

    package func status(of job: JobID, scope: RequestScope) async throws -> JobStatus {
        try await check(job, scope)
        return try await status(of: job)
    }

    func status(of job: JobID) async throws -> JobStatus {
        let store = catalog.store
        let limit = options.statusFileCount
        let (record, outcomes, leftOut) = try await translatingErrors {
            try await offload {
                guard let record = try store.job(job) else { throw IngestionError.unknownJob(job.rawValue) }
                let found = try Self.outcomes(of: job, in: store, limit: limit)
                return (record, found.outcomes, found.leftOut)
            }
        }
        let live = try progress[job] ?? JobProgress(record, collection: collectionName(record.collection), now: time.now)
        return live.status(files: outcomes, filesLeftOut: leftOut, waiting: waitingReason, now: time.now)
    }

    package func jobs(limit: Int, scope: RequestScope) async throws -> [JobStatus] {
        let store = catalog.store
        let records = try await offload { try store.jobs(limit: limit) }
        let visible =
            try scope.collections == nil ? records : records.filter { scope.includes(collection: try collectionName($0.collection)) }
        return visible.map { record in
            (progress[record.id] ?? JobProgress(record, collection: (try? collectionName(record.collection)) ?? "", now: time.now)).status(
                waiting: waitingReason, now: time.now)
        }
    }

    /// Ends a job at once. Work on its files stops at its next look; whatever it still does changes nothing, as the files are at their end.
    package func cancel(_ job: JobID, scope: RequestScope) async throws -> JobStatus {
        try await check(job, scope)
        let store = catalog.store
        let record = try await translatingErrors {
            try await offload {
                guard try store.job(job) != nil else { throw IngestionError.unknownJob(job.rawValue) }
                let record = try store.cancelJob(job)
                try Self.forEachFile(of: job, in: store) { file in
                    if file.isSpooled, file.stage == .cancelled { try? FileManager.default.removeItem(atPath: file.path) }
                }
                return record
            }
        }
        for work in running.values where work.files.contains(where: { $0.job == job }) { work.task.cancel() }
        progress[job]?.ended(as: record)
        try await finish(job)
        return try await status(of: job)
    }

    /// Puts a job's failed and cancelled files back into the queue, as far as their bytes are still there: those of cancelled texts and uploads went with
    /// the cancellation.
    ///
    /// - Throws: `.nothingToRetry` when there are such files and none can be tried again.
    package func retry(_ job: JobID, scope: RequestScope) async throws -> JobStatus {
        try await check(job, scope)
        // Work that was cancelled may not have noticed yet: what it still does must not be taken for the second try's.
        for work in running.values where work.hasBegun && work.task.isCancelled && work.files.contains(where: { $0.job == job }) {
            await work.task.value
        }
        retrying[job, default: 0] += 1
        let left: Int
        do {
            left = try await queueAgain(job)
        } catch {
            await endRetrying(job)
            throw error
        }
        await endRetrying(job)
        if left > 0 { throw IngestionError.nothingToRetry(job: job.rawValue, count: left) }
        return try await status(of: job)
    }

    /// - Returns: 0, or how many failed and cancelled files there are when none can be tried again.
    private func queueAgain(_ job: JobID) async throws -> Int {
        let store = catalog.store
        let before = progress[job]?.identity
        let retried = try await translatingErrors {
            try await offload {
                guard try store.job(job) != nil else { throw IngestionError.unknownJob(job.rawValue) }
                return try store.retryJob(job)
            }
        }
        guard !retried.queued.isEmpty else { return [FileStage.failed, .cancelled].reduce(0) { $0 + (retried.job.stages[$1] ?? 0) } }
        if let before, progress[job]?.identity == before {
            progress[job]?.retried(retried.queued, bytes: retried.byteCount)
        } else if progress[job] == nil {
            progress[job] = JobProgress(retried.job, collection: try collectionName(retried.job.collection), now: time.now)
        }
        pump()
        return 0
    }

    private func endRetrying(_ job: JobID) async {
        retrying[job] = retrying[job].flatMap { $0 > 1 ? $0 - 1 : nil }
        do { try await finishIfEnded(job) } catch { logger.error("cannot finish the job", metadata: ["reason": "\(error)"]) }
    }

    func collectionName(_ id: CollectionID) throws -> String {
        if let found = catalog.all().first(where: { $0.id == id }) { return found.name }
        return try catalog.store.collections().first { $0.id == id }?.name ?? ""
    }

    private nonisolated static func forEachFile(of job: JobID, in store: DocumentStore, _ body: (JobFileRecord) -> Void) throws {
        var after = -1
        while true {
            let files = try store.files(of: job, after: after, limit: 1000)
            guard let last = files.last else { return }
            files.forEach(body)
            after = last.sequence
        }
    }

    /// The files at their end: at most so many, those that need a look first.
    private nonisolated static func outcomes(
        of job: JobID, in store: DocumentStore, limit: Int
    ) throws -> (outcomes: [FileOutcome], leftOut: Int) {
        var good: [FileOutcome] = []
        var bad: [FileOutcome] = []
        var count = 0
        try forEachFile(of: job, in: store) { file in
            guard file.stage.isTerminal else { return }
            count += 1
            if file.stage == .refused || file.stage == .failed {
                if bad.count < limit { bad.append(outcome(file)) }
            } else if good.count < limit {
                good.append(outcome(file))
            }
        }
        let shown = bad.count + good.count <= limit ? bad + good : bad + good.prefix(limit - bad.count)
        return (shown, count - shown.count)
    }

    private nonisolated static func outcome(_ file: JobFileRecord) -> FileOutcome {
        FileOutcome(path: file.source, outcome: file.stage, reason: file.reason, documentID: file.document, chunks: file.chunkCount)
    }

    /// A job may have come to its end before whoever brought it here could follow it: one without files, one that was quick or cancelled.
    private func finishIfEnded(_ job: JobID) async throws {
        let store = catalog.store
        if let record = try await offload({ try store.job(job) }), !record.isOpen { try await finish(job) }
    }

    /// Tells a job's end to those who follow it, if it has come.
    func finish(_ job: JobID) async throws {
        guard progress[job] != nil else { return }
        let catalog = catalog
        let record = try await offload { try catalog.store.finishJobIfDone(job) }
        // It goes on when it was retried meanwhile; who is retrying it asks again.
        guard !record.isOpen, retrying[job] == nil, var live = progress.removeValue(forKey: job) else { return }
        live.finished()
        let status = try await status(of: job)
        publish(.summary(status, chunks: live.chunks, seconds: live.seconds(at: time.now)), of: job)
        for listener in (listeners[job] ?? [:]).values { listener.finish() }
        listeners[job] = nil
        logger.info("job finished", metadata: ["job": "\(job)", "stages": "\(status.stages)"])
        await pruneJobs()
    }

    /// Forgets old jobs, once a day: their history names sources.
    private func pruneJobs() async {
        if let lastPruning, time.now - lastPruning < .seconds(86_400) { return }
        lastPruning = time.now
        let store = catalog.store
        let limits = options.history
        do { _ = try await offload { try store.pruneHistory(limits) } } catch {
            logger.warning("cannot forget old jobs", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Removal and proof

    package func delete(_ selector: DeletionSelector, collection: String, scope: RequestScope) async throws -> DeletionReceipt {
        try check(collection, scope)
        // Below nothing lies everything.
        if case .sourceTree("") = selector {
            throw IngestionError.invalidRequest(parameter: "source_tree", value: "empty", remedy: "name a source, or a folder of sources")
        }
        let catalog = catalog
        let receipt = try await translatingErrors {
            try await offload {
                guard let indexes = try catalog.indexes(named: collection) else { throw IngestionError.unknownCollection(collection) }
                // Uploads of the deleted documents that failed and could have been tried again go as well.
                let waiting = Set(try catalog.store.spooledPaths())
                let receipt = try indexes.delete(selector)
                for path in waiting.subtracting(try catalog.store.spooledPaths()) { try? FileManager.default.removeItem(atPath: path) }
                return receipt
            }
        }
        Counter(label: "outrider_deleted_documents_total").increment(by: receipt.documents.count)
        return receipt
    }

    package func deleteCollection(_ name: String, scope: RequestScope) async throws -> DeletionReceipt {
        try check(name, scope)
        let catalog = catalog
        let receipt = try await translatingErrors {
            try await offload {
                // Uploads that wait to be taken into it go as well.
                let waiting = Set(try catalog.store.spooledPaths())
                let receipt: DeletionReceipt
                do { receipt = try catalog.deleteCollection(named: name) } catch IndexingError.store(.unknownCollection) {
                    throw IngestionError.unknownCollection(name)
                }
                if let needed = try? catalog.store.spooledPaths() {
                    for path in waiting.subtracting(needed) { try? FileManager.default.removeItem(atPath: path) }
                }
                return receipt
            }
        }
        await endDeletedJobs()
        return receipt
    }

    /// Ends the jobs that went with their collection: nobody claims their files any more, and whoever follows one waits for its end.
    private func endDeletedJobs() async {
        let store = catalog.store
        let known = Array(progress.keys)
        guard let gone = try? await offload({ try known.filter { try store.job($0) == nil } }) else { return }
        for job in gone {
            for work in running.values where work.files.contains(where: { $0.job == job }) { work.task.cancel() }
            guard var live = progress.removeValue(forKey: job) else { continue }
            live.cancelled()
            publish(.summary(live.status(now: time.now), chunks: live.chunks, seconds: live.seconds(at: time.now)), of: job)
            for listener in (listeners[job] ?? [:]).values { listener.finish() }
            listeners[job] = nil
        }
    }

    package func createCollection(_ name: String, settings: CollectionSettings, scope: RequestScope) async throws -> CollectionRecord {
        try check(name, scope)
        let catalog = catalog
        return try await translatingErrors {
            try await offload {
                if try catalog.store.collection(named: name) != nil {
                    throw IngestionError.invalidRequest(
                        parameter: "name", value: "'\(name)'", remedy: "a collection of that name exists already")
                }
                let indexes = try catalog.indexes(creating: name, settings: settings)
                guard let record = try catalog.store.collection(indexes.id) else { throw IngestionError.unknownCollection(name) }
                return record
            }
        }
    }

    /// Documents of files below some paths that are not there any more.
    package func vanished(below paths: [String], collection: String) async throws -> VanishedFiles {
        let catalog = catalog
        let excluded = options.dataFolder
        return try await translatingErrors {
            try await offload {
                guard let indexes = try catalog.indexes(named: collection) else { return VanishedFiles() }
                return try VanishedFiles.find(below: paths, excluding: excluded) { try catalog.store.sources(in: indexes.id, below: $0) }
            }
        }
    }

    package func unusableCollections(scope: RequestScope) async -> [String: String] {
        Dictionary(catalog.unusable.filter { scope.includes(collection: $0.name) }.map { ($0.name, $0.reason) }) { $1 }
    }

    package func verify() async throws -> VerificationReport {
        let catalog = catalog
        let spoolFolder = spoolFolder
        return try await translatingErrors { try await offload { try Verification.run(catalog, spoolFolder: spoolFolder) } }
    }

    package func compact() async throws {
        let catalog = catalog
        try await translatingErrors { try await offload { try catalog.compactAll() } }
    }

    /// Gives frontends the store's own errors, which say what a client can do, and a full disk by its name.
    private func translatingErrors<Value: Sendable>(_ work: () async throws -> Value) async throws -> Value {
        do { return try await work() } catch let error as IndexingError {
            if let full = error.fullDisk { throw full }
            if case .store(let cause) = error { throw cause }
            throw IngestionError.store(error.description)
        }
    }
}

/// Stands in for a tokenizer where no embedding model is configured: about four bytes a token, the usual rule for English.
struct ByteTokenizer: Tokenizer {
    func count(_ text: String) -> Int { (text.utf8.count + 3) / 4 }
    func prefixLength(_ text: String, limit: Int) -> Int {
        var length = min(text.utf8.count, limit * 4)
        let utf8 = text.utf8
        while length > 0, length < utf8.count, utf8[utf8.index(utf8.startIndex, offsetBy: length)] & 0xC0 == 0x80 { length -= 1 }
        return length
    }
}
