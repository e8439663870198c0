// Claiming and working: from a queued row to a stored document.

import Documents
import Execution
import Foundation
import Indexing
import Inference
import Logging
import Metrics
import Parsing
import Synchronization

extension IngestionService {
    // MARK: Claiming

    /// Claims files while there is room. Reentrant calls return at once; the one that is claiming goes on.
    func pump() {
        mayFindMore = true
        guard claiming == nil, !isStopping else { return }
        claiming = Task {  // the service's own work: it ends when nothing is left to claim
            await claimWhileRoom()
        }
    }

    private func claimWhileRoom() async {
        defer { claiming = nil }
        let store = catalog.store
        let textCount = options.textGroup
        var pause = options.diskPauseMin
        // A suspect is alone.
        while !isStopping, running.count < options.concurrency, !running.values.contains(where: \.isSuspect) {
            mayFindMore = false
            let mayBeLarge = running.values.count(where: \.isLarge) < max(1, options.concurrency / 2)
            let byteMax = mayBeLarge ? Int.max : options.largeFileSize - 1
            let isIdle = running.isEmpty
            let last = lastClaimed
            let claimed: [JobFileRecord]
            do {
                claimed = try await offload { try store.claimFiles(suspects: isIdle, byteMax: byteMax, after: last, textCount: textCount) }
                pause = options.diskPauseMin
                spaceIsBack()
            } catch {
                // Whatever it is, a full disk or a damaged one: the queue is durable, and somebody may help.
                waits(for: error, to: "claim the next file")
                await sleep(pause)
                pause = min(pause * 2, options.diskPauseMax)
                continue
            }
            guard let first = claimed.first else {
                if mayFindMore { continue }
                return
            }
            if isStopping {
                for file in claimed { await end(file, .left) }
                return
            }
            lastClaimed = first.job
            // Cancelled or deleted since it was claimed, it has nothing left to do.
            if progress[first.job]?.state == .cancelled { continue }
            if progress[first.job] == nil {
                guard let record = try? store.job(first.job), record.isOpen else { continue }
                progress[first.job] = JobProgress(record, collection: (try? collectionName(record.collection)) ?? "", now: time.now)
            }
            let previous = Set(claimed.compactMap { sources[$0.source] })
            nextWork += 1
            let number = nextWork
            let task = Task { await self.work(number, on: claimed, after: Array(previous)) }
            running[number] = Work(
                task: task, files: claimed, isLarge: first.byteCount >= options.largeFileSize, isSuspect: first.deaths > 0)
            for file in claimed { sources[file.source] = task }
        }
    }

    /// - Parameter previous: Work on the same sources that is still under way: it ends first, so that two jobs never store one source at once.
    private func work(_ number: Int, on files: [JobFileRecord], after previous: [Task<Void, Never>]) async {
        for task in previous { await task.value }
        // What was cancelled before its turn has ended already, and may have been retried since: nothing of it is this work's.
        if isStopping || !Task.isCancelled {
            running[number]?.hasBegun = true
            for file in files { progress[file.job]?.claimed(file.sequence, source: file.source, now: time.now) }
            let steps = await process(files)
            for (file, step) in zip(files, steps) { await end(file, step) }
        }
        let task = running.removeValue(forKey: number)?.task
        for file in files where sources[file.source] == task { sources[file.source] = nil }
        pump()
    }

    // MARK: Waiting for the disk

    /// Runs work that writes. On a full disk it waits with growing pauses until there is space.
    ///
    /// - Throws: `CancellationError` when the task is cancelled, or the service stops, while it waits.
    private func write<Value: Sendable>(_ what: String, _ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        var pause = options.diskPauseMin
        while true {
            do {
                let value = try await offload(work)
                spaceIsBack()
                return value
            } catch  where Self.isFullDisk(error) {
                waits(for: error, to: what)
                await sleep(pause)
                pause = min(pause * 2, options.diskPauseMax)
                if isStopping || Task.isCancelled { throw CancellationError() }
            }
        }
    }

    private static func isFullDisk(_ error: any Error) -> Bool {
        switch error {
        case let error as IndexingError: error.fullDisk != nil
        case DocumentStoreError.diskFull: true
        default: false
        }
    }

    private func waits(for error: any Error, to what: String) {
        let reason = Self.isFullDisk(error) ? "disk full, waiting for space" : "waiting: cannot \(what)"
        guard waitingReason != reason else { return }
        waitingReason = reason
        logger.error("\(reason)", metadata: ["reason": "\(error)"])
        for job in progress.keys { publishProgress(of: job) }
    }

    private func spaceIsBack() {
        guard let reason = waitingReason else { return }
        waitingReason = nil
        logger.notice("going on", metadata: ["after": "\(reason)"])
        for job in progress.keys { publishProgress(of: job) }
    }

    /// Sleeps while writing waits, in naps short enough to see the end of the service, and that another writer found space.
    private func sleep(_ duration: Duration) async {
        let end = time.now + duration
        while time.now < end, waitingReason != nil, !isStopping, !Task.isCancelled {
            try? await time.sleep(until: min(end, time.now + .milliseconds(200)))
        }
    }

    // MARK: Work

    /// How the work on a file ended.
    private enum Step {
        case ended(FileOutcome)
        case again(reason: String)
        /// The process is stopping: the file goes back into the queue.
        case left
    }

    /// A file whose text is there.
    private struct Parsed: Sendable {
        var file: JobFileRecord
        var document: ParsedDocument
        var title: String
        var hash: String
        var size: Int
    }

    private enum Reading {
        case parsed(Parsed)
        case over(Step)
    }

    private static func outcome(
        _ file: JobFileRecord, _ stage: FileStage, _ reason: String? = nil, _ document: DocumentID? = nil, _ chunks: Int = 0
    ) -> Step {
        .ended(FileOutcome(path: file.source, outcome: stage, reason: reason, documentID: document, chunks: chunks))
    }

    /// Where cancelled work leaves a file.
    private func interrupted(_ file: JobFileRecord) -> Step { isStopping ? .left : Self.outcome(file, .cancelled, "cancelled") }

    private func failure(_ file: JobFileRecord, _ error: any Error) -> Step {
        if Task.isCancelled || error is CancellationError { return interrupted(file) }
        switch error {
        case let refusal as Refusal:
            if refusal.isRetryable, file.attempts < options.attemptLimit { return .again(reason: refusal.description) }
            return Self.outcome(file, .refused, refusal.description)
        case IngestionError.noSuchPath: return Self.outcome(file, .refused, "\(error)")
        case IndexingError.store(.fileEnded): return Self.outcome(file, .cancelled, "cancelled")
        case IndexingError.store(.superseded(let source, let job)):
            return Self.outcome(file, .refused, "\(DocumentStoreError.superseded(source: source, by: job))")
        default: return Self.outcome(file, .failed, "\(error)")
        }
    }

    private func move(_ files: some Sequence<JobFileRecord>, to stage: FileStage) {
        var jobs: Set<JobID> = []
        for file in files {
            progress[file.job]?.moved(file.sequence, to: stage)
            jobs.insert(file.job)
        }
        for job in jobs { publishProgress(of: job) }
    }

    /// Reads, chunks, embeds and commits files of one job; one step for each, in order.
    private func process(_ files: [JobFileRecord]) async -> [Step] {
        let indexes: CollectionIndexes
        do {
            let catalog = catalog
            let name = progress[files[0].job]?.collection ?? ""
            guard let found = try await offload({ try catalog.indexes(named: name) }) else {
                throw IngestionError.unknownCollection(name)
            }
            indexes = found
        } catch {
            return files.map { failure($0, error) }
        }
        var steps = [Step?](repeating: nil, count: files.count)
        var parsed: [(index: Int, parsed: Parsed)] = []
        for (index, file) in files.enumerated() {
            do {
                try Task.checkCancellation()
                switch try await read(file, indexes) {
                case .parsed(let document): parsed.append((index, document))
                case .over(let step): steps[index] = step
                }
            } catch {
                steps[index] = failure(file, error)
            }
        }
        let bytes = parsed.reduce(0) { $0 + $1.parsed.document.text.utf8.count }
        if bytes > 0 {
            do {
                try await budget.acquire(bytes)
                let results = await store(parsed.map(\.parsed), indexes)
                await budget.release(bytes)
                for (entry, step) in zip(parsed, results) { steps[entry.index] = step }
            } catch {
                for (index, _) in parsed { steps[index] = failure(files[index], error) }
            }
        }
        return zip(files, steps).map { $1 ?? failure($0, Refusal.empty("the file holds no text")) }
    }

    /// Finds out whether a file is new, and reads its text.
    private func read(_ file: JobFileRecord, _ indexes: CollectionIndexes) async throws -> Reading {
        let store = catalog.store
        let (hash, size) = try await cancellable { stop in
            try file.text.map { ContentHash.sha256(of: $0) } ?? ContentHash.sha256(ofFile: file.path, checking: stop)
        }
        if file.isSpooled, let expected = ContentHash.expected(ofSpoolFile: file.path), expected != hash {
            throw Refusal.unreadable("the disk changed the upload's bytes before it was taken in; send it again, and check the disk")
        }
        let existing = try await offload { try store.document(source: file.source, in: indexes.id) }
        if let existing, existing.contentHash == hash, file.metadata.allSatisfy({ existing.metadata[$0.key] == $0.value }),
            file.title == nil || file.title.map(ExactText.init) == existing.title.map(ExactText.init)
        {
            return .over(Self.outcome(file, .unchanged, nil, existing.id, existing.chunkCount))
        }
        let name = file.source.split(separator: "/").last.map(String.init) ?? file.source
        var document: ParsedDocument
        if let text = file.text {
            if let given = try await offload({ try GivenText.parse(text, name: name) }) {
                document = given
            } else {
                document = try await parse(text, of: file, name: name)
            }
        } else {
            document = try await parser.parse(path: file.path, name: name, mimeType: file.mimeType)
        }
        try Task.checkCancellation()
        if let title = file.title { document.title = title }
        let title = Self.bounded(document.title ?? name)
        return .parsed(Parsed(file: file, document: document, title: title, hash: hash, size: size))
    }

    /// A text that is more than plain goes through the child process, by a file of its own.
    private func parse(_ text: String, of file: JobFileRecord, name: String) async throws -> ParsedDocument {
        let path = spoolPath("text-\(file.job)-\(file.sequence)")
        try await write("store a text") {
            guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]) else {
                let code = errno
                if code == ENOSPC || code == EDQUOT { throw DocumentStoreError.diskFull(path: path, operation: "store a text") }
                throw IngestionError.store("cannot write '\(path)': \(String(cString: strerror(code))); check the disk")
            }
        }
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try await parser.parse(path: path, name: name, mimeType: file.mimeType)
    }

    private static func bounded(_ title: String) -> String {
        guard title.utf8.count > Submission.nameSizeMax else { return title }
        return String(decoding: title.utf8.prefix(Submission.nameSizeMax), as: UTF8.self).trimmingCharacters(in: ["\u{FFFD}"])
    }

    /// Chunks, embeds and commits parsed documents; one step for each, in order.
    private func store(_ documents: [Parsed], _ indexes: CollectionIndexes) async -> [Step] {
        var steps = [Step?](repeating: nil, count: documents.count)
        var drafts: [(index: Int, draft: DocumentDraft)] = []
        move(documents.lazy.map(\.file), to: .chunking)
        let models = await models(of: indexes)
        for (index, parsed) in documents.enumerated() {
            do {
                let draft = try await draft(parsed, indexes, models.first)
                guard !draft.chunks.isEmpty else { throw Refusal.empty("the file holds no text that can be searched") }
                drafts.append((index, draft))
            } catch {
                steps[index] = failure(parsed.file, error)
            }
        }
        do {
            move(drafts.lazy.map { documents[$0.index].file }, to: .embedding)
            var made = drafts.map(\.draft)
            try await embed(&made, models)
            for index in made.indices { drafts[index].draft = made[index] }
            try Task.checkCancellation()
        } catch {
            for (index, _) in drafts { steps[index] = failure(documents[index].file, error) }
            drafts = []
        }
        move(drafts.lazy.map { documents[$0.index].file }, to: .committing)
        for (index, step) in await commit(drafts.map { ($0.index, $0.draft, documents[$0.index]) }, indexes) { steps[index] = step }
        return zip(documents, steps).map { $1 ?? interrupted($0.file) }
    }

    private func draft(_ parsed: Parsed, _ indexes: CollectionIndexes, _ embedder: (any Embedder)?) async throws -> DocumentDraft {
        let settings = indexes.settings
        let chunker = Chunker(
            tokenizer: embedder?.tokenizer ?? ByteTokenizer(), maxTokens: settings.chunkTokens, overlapTokens: settings.chunkOverlapTokens)
        let limit = options.chunkLimit
        let document = parsed.document
        let chunks = try await cancellable(isLong: document.text.utf8.count > 1 << 20) { [time] stop in
            let deadline = time.now + limit
            return try chunker.chunks(of: document) {
                try stop()
                if time.now > deadline {
                    throw Refusal.tooLarge("cutting its text into chunks took longer than \(limit.components.seconds) s; split the file")
                }
            }
        }
        var metadata: Metadata = document.properties.mapValues { .string($0) }
        for (key, values) in document.propertyLists { metadata[key] = .strings(values) }
        metadata.merge(parsed.file.metadata) { $1 }
        var draft = DocumentDraft(
            collection: indexes.id, source: parsed.file.source, title: parsed.title, mimeType: document.mimeType, contentHash: parsed.hash,
            byteCount: parsed.size, text: document.text, pages: Self.pages(of: document), metadata: metadata, chunks: chunks, vectors: [],
            dimension: 0, embeddingModel: nil)
        draft.note = document.warnings.isEmpty ? nil : document.warnings.joined(separator: "; ")
        return draft
    }

    /// Stores documents in one transaction. Where one of them cannot be stored, each gets its own, and its own reason.
    private func commit(
        _ drafts: [(index: Int, draft: DocumentDraft, parsed: Parsed)], _ indexes: CollectionIndexes, isAgain: Bool = false
    ) async -> [(index: Int, step: Step)] {
        guard !drafts.isEmpty else { return [] }
        do {
            let entries: [(draft: DocumentDraft, file: (job: JobID, sequence: Int)?)] = drafts.map {
                (draft: $0.draft, file: (job: $0.parsed.file.job, sequence: $0.parsed.file.sequence))
            }
            let commits = try await write("store a document") { try indexes.put(entries) }
            Counter(label: "outrider_ingested_chunks_total").increment(by: commits.reduce(0) { $0 + $1.inserted.count })
            return zip(drafts, commits).map { entry, commit in
                (entry.index, Self.outcome(entry.parsed.file, .indexed, entry.draft.note, commit.document, commit.inserted.count))
            }
        } catch IndexingError.store(.modelMismatch) where !isAgain {
            // The collection's model changed between the embedding and here.
            var made = drafts.map(\.draft)
            do { try await embed(&made, await models(of: indexes)) } catch {
                return drafts.map { ($0.index, failure($0.parsed.file, error)) }
            }
            return await commit(zip(drafts, made).map { ($0.index, $1, $0.parsed) }, indexes, isAgain: true)
        } catch  where drafts.count > 1 && !(error is CancellationError) {
            var results: [(index: Int, step: Step)] = []
            for entry in drafts { results += await commit([entry], indexes, isAgain: isAgain) }
            return results
        } catch {
            return drafts.map { ($0.index, failure($0.parsed.file, error)) }
        }
    }

    /// The models whose vectors a document of a collection is to bring: that of its searches, and one that is to follow it.
    private func models(of indexes: CollectionIndexes) async -> [any Embedder] {
        let names = indexes.writtenModels
        guard !names.isEmpty else { return embedders.standard.map { [$0] } ?? [] }
        var models: [any Embedder] = []
        for name in names {
            do {
                if let found = try await embedders.embedder(named: name) { models.append(found) }
            } catch { logger.error("an embedding model cannot be read", metadata: ["model": "\(name)", "reason": "\(error)"]) }
        }
        // The store then says which model is missing.
        return models.isEmpty ? embedders.standard.map { [$0] } ?? [] : models
    }

    /// Gives drafts their vectors.
    private func embed(_ drafts: inout [DocumentDraft], _ models: [any Embedder]) async throws {
        for index in drafts.indices { drafts[index].others = [] }
        guard let first = models.first else { return }
        let vectors = try await embed(drafts, by: first)
        for index in drafts.indices {
            drafts[index].vectors = vectors[index]
            drafts[index].dimension = first.model.dimension
            drafts[index].embeddingModel = first.model.name
        }
        for embedder in models.dropFirst() {
            do {
                let vectors = try await embed(drafts, by: embedder)
                let model = embedder.model
                for index in drafts.indices {
                    drafts[index].others.append(DraftVectors(model: model.name, dimension: model.dimension, values: vectors[index]))
                }
            } catch let error as CancellationError { throw error } catch {
                // Whoever fills its space comes by these chunks too.
                logger.warning("a document goes in without vectors of the next model", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// - Returns: For each draft, shape `[chunks.count, dimension]`.
    private func embed(_ drafts: [DocumentDraft], by embedder: any Embedder) async throws -> [[Float]] {
        let dimension = embedder.model.dimension
        var vectors: [[Float]] = drafts.map {
            var values: [Float] = []
            values.reserveCapacity($0.chunks.count * dimension)
            return values
        }
        var texts: [String] = []
        var owners: [Int] = []
        for (index, draft) in drafts.enumerated() {
            let bytes = Array(draft.text.utf8)
            for (ordinal, chunk) in draft.chunks.enumerated() {
                texts.append(
                    EmbeddingInput.document(
                        title: draft.title ?? "", heading: chunk.heading, text: String(decoding: bytes[chunk.span.range], as: UTF8.self)))
                owners.append(index)
                let isLast = index == drafts.count - 1 && ordinal == draft.chunks.count - 1
                guard texts.count == options.embedBatch || isLast else { continue }
                let values = try await embedder.embedPatiently(texts, time)
                for (row, owner) in owners.enumerated() { vectors[owner] += values[(row * dimension)..<((row + 1) * dimension)] }
                texts.removeAll(keepingCapacity: true)
                owners.removeAll(keepingCapacity: true)
            }
        }
        return vectors
    }

    /// Runs blocking work that asks now and then whether to stop: its argument throws once the task is cancelled.
    ///
    /// - Parameter isLong: Whether it may compute for long.
    private func cancellable<Value: Sendable>(
        isLong: Bool = false, _ work: @escaping @Sendable (_ stop: @Sendable () throws -> Void) throws -> Value
    ) async throws -> Value {
        let flag = CancellationFlag()
        return try await withTaskCancellationHandler {
            let stoppable: @Sendable () throws -> Value = {
                try work { if flag.isSet.load(ordering: .relaxed) { throw CancellationError() } }
            }
            return try await isLong ? offloadLongWork(stoppable) : offload(stoppable)
        } onCancel: {
            flag.isSet.store(true, ordering: .relaxed)
        }
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

    // MARK: Ends

    private func end(_ file: JobFileRecord, _ step: Step) async {
        let store = catalog.store
        switch step {
        case .left:
            do { try await offload { try store.releaseFile(job: file.job, sequence: file.sequence) } } catch {
                logger.error("cannot put a file back into the queue", metadata: ["reason": "\(error)"])
            }
        case .again(let reason):
            // First, since it may be claimed again as soon as it is in the queue.
            progress[file.job]?.requeued(file.sequence)
            do {
                _ = try await write("queue a file again") {
                    try store.update(stage: .queued, job: file.job, sequence: file.sequence, reason: reason)
                }
            } catch {
                logger.error("cannot queue a file again", metadata: ["reason": "\(error)"])
            }
        case .ended(let outcome):
            do {
                let isItsEnd = try await write("record a file's end") {
                    // The transaction that stored a document has marked its file already.
                    let isItsEnd =
                        try outcome.outcome == .indexed
                        || store.update(
                            stage: outcome.outcome, job: file.job, sequence: file.sequence, reason: outcome.reason,
                            document: outcome.documentID, chunkCount: outcome.chunks)
                    // A failed file can be tried again, so its bytes stay.
                    if file.isSpooled, outcome.outcome != .failed { try? FileManager.default.removeItem(atPath: file.path) }
                    return isItsEnd
                }
                // It was cancelled before: whoever did that tells it.
                guard isItsEnd else { return }
            } catch DocumentStoreError.unknownJob {
                // It went with its collection meanwhile.
                if file.isSpooled { try? FileManager.default.removeItem(atPath: file.path) }
            } catch {
                logger.error("cannot record a file's end", metadata: ["reason": "\(error)"])
            }
            guard progress[file.job]?.ended(file.sequence, outcome, bytes: file.byteCount) == true else { return }
            Counter(label: "outrider_ingested_files_total", dimensions: [("outcome", outcome.outcome.rawValue)]).increment()
            publish(.file(outcome), of: file.job)
            publishProgress(of: file.job)
            if progress[file.job]?.isDone == true {
                do {
                    // On a full disk this waits as every other step does: nothing else would end the job before the next start.
                    _ = try await write("finish a job") { try store.finishJobIfDone(file.job) }
                    try await finish(file.job)
                } catch { logger.error("cannot finish the job", metadata: ["reason": "\(error)"]) }
            }
        }
    }
}

/// Tells blocking work that nobody waits for it any more.
final class CancellationFlag: Sendable {
    let isSet = Atomic(false)
}
