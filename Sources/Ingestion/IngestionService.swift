// The life of a file:
//
//     claim (durable) -> hash -> unchanged? -> parse (child process) -> chunk -> embed -> commit (one transaction) -> next
//
// Several files are on their way at once: while the embedder works on one, the next are parsed, and the embedder batches texts of all of them. The
// job's rows in SQLite are the truth about what is done; a claimed file that did not end is queued again at the next start, and the transaction
// that stores a document also marks its file as indexed. So a kill at any moment leaves each document exactly once.

import Documents
import Foundation
import Indexing
import Inference
import Logging
import Metrics
import Parsing

package struct IngestionOptions: Sendable {
    /// Files on their way at once.
    package var concurrency = 4
    /// Tries for a file whose parser timed out or crashed.
    package var attemptLimit = 2
    /// Times that this program may die on one file before it is given up.
    package var crashLimit = 4
    /// Most files waiting over all jobs.
    package var queueLimit = 1_000_000
    /// Bytes of extracted text between parsing and commit.
    package var textBudget = 96 << 20
    /// Chunks given to the embedder in one call.
    package var embedBatch = 256
    /// The data folder: never ingested itself.
    package var dataFolder: String?

    package init() {}
}

/// Takes files in: durable jobs, bounded work, one writer.
package actor IngestionService: Ingesting {
    private let catalog: IndexCatalog
    private let embedder: (any Embedder)?
    private let parser: ParserPool
    private let spoolFolder: String
    private let options: IngestionOptions
    private let logger: Logger
    private let budget: ByteBudget

    private var progress: [JobID: JobProgress] = [:]
    private var listeners: [JobID: [Int: AsyncStream<IngestEvent>.Continuation]] = [:]
    private var nextListener = 0
    private var running: [FileKey: Task<Void, Never>] = [:]
    /// The latest work on each source that is under way.
    private var sources: [String: Task<Void, Never>] = [:]
    private var isClaiming = false
    private var isStopping = false

    private struct FileKey: Hashable {
        var job: JobID
        var sequence: Int
    }

    /// - Parameters:
    ///   - embedder: Nil stores text without vectors: text search only.
    ///   - spoolFolder: Where uploads and texts wait to be taken in; created when missing.
    package init(
        catalog: IndexCatalog, embedder: (any Embedder)?, parser: ParserPool, spoolFolder: String, options: IngestionOptions = .init(),
        logger: Logger
    ) {
        self.catalog = catalog
        self.embedder = embedder
        self.parser = parser
        self.spoolFolder = spoolFolder
        self.options = options
        self.logger = logger
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
            progress[job.id] = JobProgress(job, collection: try collectionName(job.collection), now: .now)
            logger.info("resuming job", metadata: ["job": "\(job.id)", "files": "\(job.fileCount)"])
            if progress[job.id]!.isDone { try await finish(job.id) }
        }
        pump()
    }

    /// Stops claiming files, lets those under way end for a while, then leaves them to the next start.
    package func stop(grace: Duration = .seconds(20)) async {
        isStopping = true
        let tasks = Array(running.values)
        let timer = Task {
            try await Task.sleep(for: grace)
            for task in tasks { task.cancel() }
        }
        for task in tasks { await task.value }
        timer.cancel()
        await parser.shutdown()
        for list in listeners.values { for listener in list.values { listener.finish() } }
        listeners = [:]
    }

    // MARK: Jobs

    package func submit(_ request: IngestRequest) async throws -> JobID {
        let spoolFolder = spoolFolder
        let dataFolder = options.dataFolder
        let metadata = request.metadata
        let waiting = progress.values.reduce(0) { $0 + ($1.stages[.queued] ?? 0) }
        let drafts = try await offload {
            try FileManager.default.createDirectory(atPath: spoolFolder, withIntermediateDirectories: true)
            return try request.items.flatMap { try Self.drafts(for: $0, metadata, spoolFolder, dataFolder) }
        }
        if waiting + drafts.count > options.queueLimit { throw IngestionError.queueFull(queued: waiting, limit: options.queueLimit) }
        let catalog = catalog
        let record = try await offload {
            let indexes = try catalog.indexes(creating: request.collection)
            return try catalog.store.createJob(in: indexes.id, files: drafts)
        }
        progress[record.id] = JobProgress(record, collection: request.collection, now: .now)
        if drafts.isEmpty { try await finish(record.id) }
        pump()
        return record.id
    }

    private static func drafts(
        for item: IngestItem, _ metadata: Metadata, _ spoolFolder: String, _ dataFolder: String?
    ) throws -> [JobFileDraft] {
        switch item {
        case .path(let path):
            return try SourceWalker.files(at: path, excluding: dataFolder).map {
                var draft = $0
                draft.metadata = metadata
                return draft
            }
        case .upload(let name, let spoolPath, let mimeType):
            let size = ((try? FileManager.default.attributesOfItem(atPath: spoolPath))?[.size] as? Int) ?? 0
            return [JobFileDraft(path: spoolPath, source: name, mimeType: mimeType, metadata: metadata, isSpooled: true, byteCount: size)]
        case .text(let source, let title, let text):
            if source.isEmpty {
                throw IngestionError.invalidRequest(parameter: "source", value: "empty", remedy: "give each text a key of its own")
            }
            let path = spoolFolder + "/" + UUID().uuidString + ".txt"
            guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]) else {
                throw IngestionError.store("cannot write '\(path)': \(String(cString: strerror(errno))); check the disk")
            }
            return [
                JobFileDraft(
                    path: path, source: source, title: title, mimeType: "text/plain", metadata: metadata, isSpooled: true,
                    byteCount: text.utf8.count)
            ]
        }
    }

    package func events(of job: JobID) async throws -> AsyncStream<IngestEvent> {
        let status = try await status(of: job)
        let (stream, continuation) = AsyncStream.makeStream(of: IngestEvent.self, bufferingPolicy: .bufferingNewest(100_000))
        continuation.yield(.progress(status))
        guard progress[job] != nil else {
            continuation.yield(.summary(status, chunks: status.files.reduce(0) { $0 + $1.chunks }, seconds: 0))
            continuation.finish()
            return stream
        }
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

    private func publish(_ event: IngestEvent, of job: JobID) {
        for listener in (listeners[job] ?? [:]).values { listener.yield(event) }
    }

    package func status(of job: JobID) async throws -> JobStatus {
        let store = catalog.store
        let (record, outcomes) = try await offload {
            guard let record = try store.job(job) else { throw IngestionError.unknownJob(job.rawValue) }
            var outcomes: [FileOutcome] = []
            try Self.forEachFile(of: job, in: store) { if $0.stage.isTerminal { outcomes.append(Self.outcome($0)) } }
            return (record, outcomes)
        }
        if let live = progress[job] { return live.status(files: outcomes, now: .now) }
        return JobProgress(record, collection: (try? collectionName(record.collection)) ?? "", now: .now).status(files: outcomes, now: .now)
    }

    package func jobs(limit: Int) async throws -> [JobStatus] {
        let store = catalog.store
        let records = try await offload { try store.jobs(limit: limit) }
        return records.map { record in
            (progress[record.id] ?? JobProgress(record, collection: (try? collectionName(record.collection)) ?? "", now: .now)).status(
                now: .now)
        }
    }

    package func cancel(_ job: JobID) async throws -> JobStatus {
        let store = catalog.store
        try await offload {
            guard try store.job(job) != nil else { throw IngestionError.unknownJob(job.rawValue) }
            _ = try store.cancelJob(job)
        }
        progress[job]?.cancelled()
        for (key, task) in running where key.job == job { task.cancel() }
        if let live = progress[job], live.isDone { try await finish(job) }
        return try await status(of: job)
    }

    package func retry(_ job: JobID) async throws -> JobStatus {
        let store = catalog.store
        let record = try await offload {
            guard try store.job(job) != nil else { throw IngestionError.unknownJob(job.rawValue) }
            return try store.retryJob(job)
        }
        progress[job] = JobProgress(record, collection: try collectionName(record.collection), now: .now)
        if progress[job]!.isDone { try await finish(job) }
        pump()
        return try await status(of: job)
    }

    private func collectionName(_ id: CollectionID) throws -> String {
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

    private nonisolated static func outcome(_ file: JobFileRecord) -> FileOutcome {
        FileOutcome(path: file.source, outcome: file.stage, reason: file.reason, documentID: file.document, chunks: file.chunkCount)
    }

    // MARK: Work

    /// Claims files while there is room. Reentrant calls return at once; the one that is claiming goes on.
    private func pump() {
        guard !isClaiming, !isStopping else { return }
        isClaiming = true
        Task {  // the service's own work: it ends when nothing is left to claim
            await claimWhileRoom()
        }
    }

    private func claimWhileRoom() async {
        defer { isClaiming = false }
        let store = catalog.store
        while running.count < options.concurrency, !isStopping {
            let claimed: JobFileRecord?
            do { claimed = try await offload { try store.claimNextFile() } } catch {
                logger.error("cannot claim the next file", metadata: ["reason": "\(error)"])
                return
            }
            guard let file = claimed else { return }
            if progress[file.job] == nil {
                guard let record = try? store.job(file.job) else { continue }
                progress[file.job] = JobProgress(record, collection: (try? collectionName(record.collection)) ?? "", now: .now)
            }
            progress[file.job]?.claimed(file.sequence)
            let previous = sources[file.source]
            let task = Task { await self.work(on: file, after: previous) }
            running[FileKey(job: file.job, sequence: file.sequence)] = task
            sources[file.source] = task
        }
    }

    /// - Parameter previous: Work on the same source that is still under way: it ends first, so that two jobs never store one source at once.
    private func work(on file: JobFileRecord, after previous: Task<Void, Never>?) async {
        let key = FileKey(job: file.job, sequence: file.sequence)
        await previous?.value
        let step = await process(file)
        await end(file, step)
        if sources[file.source] == running[key] { sources[file.source] = nil }
        running[key] = nil
        pump()
    }

    /// How the work on a file ended.
    private enum Step {
        case ended(FileOutcome)
        case again(reason: String)
        /// The process is stopping: the file stays claimed and is queued again at the next start.
        case left
    }

    private func move(_ file: JobFileRecord, to stage: FileStage) {
        progress[file.job]?.moved(file.sequence, to: stage)
        if let live = progress[file.job] { publish(.progress(live.status(now: .now)), of: file.job) }
    }

    private func process(_ file: JobFileRecord) async -> Step {
        func outcome(_ stage: FileStage, _ reason: String? = nil, _ document: DocumentID? = nil, _ chunks: Int = 0) -> Step {
            .ended(FileOutcome(path: file.source, outcome: stage, reason: reason, documentID: document, chunks: chunks))
        }
        func interrupted() -> Step { progress[file.job]?.state == .cancelled ? outcome(.cancelled, "cancelled") : .left }
        do {
            let catalog = catalog
            let name = progress[file.job]?.collection ?? "default"
            let indexes = try await offload { try catalog.indexes(creating: name) }
            let (hash, size) = try await offload { try ContentHash.sha256(ofFile: file.path) }
            let existing = try await offload { try catalog.store.document(source: file.source, in: indexes.id) }
            if let existing, existing.contentHash == hash, file.metadata.allSatisfy({ existing.metadata[$0.key] == $0.value }),
                file.title == nil || file.title == existing.title
            {
                return outcome(.unchanged, nil, existing.id, existing.chunkCount)
            }
            let fileName = file.source.split(separator: "/").last.map(String.init) ?? file.source
            var parsed = try await parser.parse(path: file.path, name: fileName, mimeType: file.mimeType)
            if let title = file.title { parsed.title = title }

            let bytes = parsed.text.utf8.count
            try await budget.acquire(bytes)
            let result = await store(file, parsed, hash, size, fileName, indexes)
            await budget.release(bytes)
            if Task.isCancelled, case .ended(let ended) = result, ended.outcome != .indexed { return interrupted() }
            return result
        } catch let refusal as Refusal {
            if Task.isCancelled { return interrupted() }
            if refusal.isRetryable, file.attempts < options.attemptLimit { return .again(reason: refusal.description) }
            return outcome(.refused, refusal.description)
        } catch let error as IngestionError {
            if case .noSuchPath = error { return outcome(.refused, error.description) }
            return outcome(.failed, error.description)
        } catch {
            if Task.isCancelled { return interrupted() }
            return outcome(.failed, "\(error)")
        }
    }

    /// Chunks, embeds and commits a parsed document.
    private func store(
        _ file: JobFileRecord, _ parsed: ParsedDocument, _ hash: String, _ size: Int, _ fileName: String, _ indexes: CollectionIndexes
    ) async -> Step {
        func outcome(_ stage: FileStage, _ reason: String?) -> Step {
            .ended(FileOutcome(path: file.source, outcome: stage, reason: reason, documentID: nil, chunks: 0))
        }
        do {
            move(file, to: .chunking)
            let settings = indexes.settings
            let tokenizer: any Tokenizer = embedder?.tokenizer ?? ByteTokenizer()
            let chunks = await offload {
                Chunker(tokenizer: tokenizer, maxTokens: settings.chunkTokens, overlapTokens: settings.chunkOverlapTokens).chunks(
                    of: parsed)
            }
            if chunks.isEmpty { return outcome(.refused, Refusal.empty("the file holds no text that can be searched").description) }

            move(file, to: .embedding)
            let title = parsed.title ?? fileName
            let vectors = try await embed(chunks, of: parsed.text, title: title)
            try Task.checkCancellation()

            move(file, to: .committing)
            var metadata: Metadata = parsed.properties.mapValues { .string($0) }
            for (key, values) in parsed.propertyLists { metadata[key] = .strings(values) }
            metadata.merge(file.metadata) { $1 }
            let draft = DocumentDraft(
                collection: indexes.id, source: file.source, title: title, mimeType: parsed.mimeType, contentHash: hash, byteCount: size,
                text: parsed.text, pages: Self.pages(of: parsed), metadata: metadata, chunks: chunks, vectors: vectors,
                dimension: embedder?.model.dimension ?? 0, embeddingModel: embedder?.model.name)
            let commit = try await offload { try indexes.put(draft, finishing: (job: file.job, sequence: file.sequence)) }
            Counter(label: "outrider_ingested_chunks_total").increment(by: commit.inserted.count)
            return .ended(
                FileOutcome(
                    path: file.source, outcome: .indexed, reason: parsed.warnings.isEmpty ? nil : parsed.warnings.joined(separator: "; "),
                    documentID: commit.document, chunks: commit.inserted.count))
        } catch IndexingError.store(.fileEnded) {
            return outcome(.cancelled, "cancelled")
        } catch {
            return outcome(.failed, "\(error)")
        }
    }

    /// - Returns: Shape `[chunks.count, dimension]`; empty without an embedder.
    private func embed(_ chunks: [ChunkDraft], of text: String, title: String) async throws -> [Float] {
        guard let embedder else { return [] }
        let bytes = Array(text.utf8)
        var vectors: [Float] = []
        vectors.reserveCapacity(chunks.count * embedder.model.dimension)
        for start in stride(from: 0, to: chunks.count, by: options.embedBatch) {
            let texts = chunks[start..<min(start + options.embedBatch, chunks.count)].map { chunk in
                EmbeddingInput.document(
                    title: title, heading: chunk.heading, text: String(decoding: bytes[chunk.span.range], as: UTF8.self))
            }
            var wait = Duration.milliseconds(50)
            while true {
                do {
                    vectors += try await embedder.embed(texts, for: .document)
                    break
                } catch InferenceError.overloaded {
                    try await Task.sleep(for: wait)  // ingestion can wait; questions come first
                    wait = min(wait * 2, .seconds(2))
                }
            }
        }
        return vectors
    }

    /// Page ranges from the blocks' page numbers.
    private static func pages(of document: ParsedDocument) -> [PageSpan] {
        var pages: [PageSpan] = []
        for block in document.blocks {
            guard let number = block.page else { continue }
            if pages.last?.number == number {
                pages[pages.count - 1].span.end = block.span.upperBound
            } else {
                pages.append(PageSpan(number: number, span: TextSpan(block.span)))
            }
        }
        return pages
    }

    private func end(_ file: JobFileRecord, _ step: Step) async {
        let store = catalog.store
        switch step {
        case .left: return
        case .again(let reason):
            do {
                _ = try await offload { try store.update(stage: .queued, job: file.job, sequence: file.sequence, reason: reason) }
            } catch {
                logger.error("cannot queue a file again", metadata: ["reason": "\(error)"])
            }
            progress[file.job]?.requeued(file.sequence)
        case .ended(let outcome):
            do {
                try await offload {
                    try store.update(
                        stage: outcome.outcome, job: file.job, sequence: file.sequence, reason: outcome.reason,
                        document: outcome.documentID,
                        chunkCount: outcome.chunks)
                    // A failed file can be tried again, so its bytes stay.
                    if file.isSpooled, outcome.outcome != .failed { try? FileManager.default.removeItem(atPath: file.path) }
                }
            } catch {
                logger.error("cannot record a file's end", metadata: ["reason": "\(error)"])
            }
            progress[file.job]?.ended(file.sequence, outcome, bytes: file.byteCount)
            Counter(label: "outrider_ingested_files_total", dimensions: [("outcome", outcome.outcome.rawValue)]).increment()
            publish(.file(outcome), of: file.job)
            if let live = progress[file.job] {
                publish(.progress(live.status(now: .now)), of: file.job)
                if live.isDone {
                    do { try await finish(file.job) } catch { logger.error("cannot finish the job", metadata: ["reason": "\(error)"]) }
                }
            }
        }
    }

    private func finish(_ job: JobID) async throws {
        guard var live = progress[job] else { return }
        let catalog = catalog
        _ = try await offload { try catalog.store.finishJobIfDone(job) }
        live.finished()
        progress[job] = nil
        let status = try await status(of: job)
        publish(.summary(status, chunks: live.chunks, seconds: live.seconds(at: .now)), of: job)
        for listener in (listeners[job] ?? [:]).values { listener.finish() }
        listeners[job] = nil
        logger.info("job finished", metadata: ["job": "\(job)", "stages": "\(status.stages)"])
    }

    // MARK: Removal and proof

    package func delete(_ selector: DeletionSelector, collection: String) async throws -> DeletionReceipt {
        let catalog = catalog
        let receipt = try await offload {
            guard let indexes = try catalog.indexes(named: collection) else { throw IngestionError.unknownCollection(collection) }
            // Uploads of the deleted documents that failed and could have been tried again go as well.
            let waiting = Set(try catalog.store.spooledPaths())
            let receipt = try indexes.delete(selector)
            for path in waiting.subtracting(try catalog.store.spooledPaths()) { try? FileManager.default.removeItem(atPath: path) }
            return receipt
        }
        Counter(label: "outrider_deleted_documents_total").increment(by: receipt.documents.count)
        return receipt
    }

    package func deleteCollection(_ name: String) async throws -> DeletionReceipt {
        let catalog = catalog
        return try await offload {
            do { return try catalog.deleteCollection(named: name) } catch IndexingError.store(.unknownCollection) {
                throw IngestionError.unknownCollection(name)
            }
        }
    }

    package func createCollection(_ name: String, settings: CollectionSettings) async throws -> CollectionRecord {
        let catalog = catalog
        return try await offload {
            if try catalog.store.collection(named: name) != nil {
                throw IngestionError.invalidRequest(
                    parameter: "name", value: "'\(name)'", remedy: "a collection of that name exists already")
            }
            let indexes = try catalog.indexes(creating: name, settings: settings)
            return try catalog.store.collections().first { $0.id == indexes.id }!
        }
    }

    package func unusableCollections() async -> [String: String] {
        Dictionary(catalog.unusable.map { ($0.name, $0.reason) }) { $1 }
    }

    package func verify() async throws -> VerificationReport {
        let catalog = catalog
        let spoolFolder = spoolFolder
        return try await offload { try Verification.run(catalog, spoolFolder: spoolFolder) }
    }

    package func compact() async throws {
        let catalog = catalog
        try await offload { try catalog.compactAll() }
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
