import Answering
import Documents
import Foundation
import HTTPFrontend
import Inference
import Ingestion
import Retrieval
import Serving
import Synchronization

/// A whole Outrider in memory, behind the protocols that the frontend is written against: plain text in, word overlap as search, first sentence as answer.
///
/// Delays and failures are set from outside, and what was asked and cancelled is written down.
final class MemoryBackend: DocumentReading, Searching, AnswerMaking, Ingesting {
    struct Stored: Sendable {
        var record: DocumentRecord
        var text: String
        var chunks: [ChunkRecord]
    }

    struct State: Sendable {
        var collections: [CollectionRecord] = []
        var documents: [Stored] = []
        var jobs: [JobStatus] = []
        var nextNumber: Int64 = 1
        var cancelledAnswers = 0
        var runningAnswers = 0
        var runningAnswersMax = 0
        var searchRequests: [SearchRequest] = []
        var answerRequests: [AnswerRequest] = []
        var submitted: [IngestRequest] = []
        var compactions = 0
    }

    struct Behavior: Sendable {
        /// Between two tokens.
        var tokenDelay: Duration = .zero
        /// Before a search or an answer begins.
        var startDelay: Duration = .zero
        var answerError: (any Error)?
        /// The error comes after this many tokens.
        var answerErrorAfter = 0
        var searchError: (any Error)?
        var submitError: (any Error)?
        var fileDelay: Duration = .zero
        /// Answer with this many tokens instead of a quotation.
        var tokenCount: Int?
        /// Each of them is longer by this many bytes.
        var tokenPadding = 0
        /// Begin with this text, and take it back.
        var rejectedText: String?
    }

    let state = Mutex(State())
    let behavior = Mutex(Behavior())
    let limits: RequestLimits
    private let now: Date

    init(now: Date = Date(), limits: RequestLimits = RequestLimits()) {
        self.now = now
        self.limits = limits
    }

    var generatorNames: [String] { ["extractive", "scripted"] }

    // MARK: DocumentReading

    func collection(named name: String, scope: RequestScope = .everyone) throws(DocumentStoreError) -> CollectionRecord? {
        guard scope.includes(collection: name) else { return nil }
        return state.withLock { $0.collections.first { $0.name == name } }
    }
    func collections(scope: RequestScope) throws(DocumentStoreError) -> [CollectionRecord] {
        state.withLock { $0.collections.filter { scope.includes(collection: $0.name) } }
    }
    func counts(of collection: CollectionID, scope: RequestScope) throws(DocumentStoreError) -> CollectionCounts {
        state.withLock { state in
            let own = state.documents.filter { $0.record.collection == collection }
            return CollectionCounts(
                documents: own.count, chunks: own.reduce(0) { $0 + $1.chunks.count }, textBytes: own.reduce(0) { $0 + $1.text.utf8.count })
        }
    }
    func document(_ id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> DocumentRecord? { stored(id)?.record }
    func documents(
        in collection: CollectionID, search: String?, filter: Filter?, after: DocumentID?, limit: Int, scope: RequestScope
    ) throws(DocumentStoreError) -> [DocumentRecord] {
        state.withLock { state in
            var own = state.documents.map(\.record).filter { $0.collection == collection }.sorted { $0.id.rawValue > $1.id.rawValue }
            if let search {
                own = own.filter {
                    ($0.title ?? "").localizedCaseInsensitiveContains(search) || $0.source.localizedCaseInsensitiveContains(search)
                }
            }
            if case .eq(let key, let value)? = filter { own = own.filter { $0.metadata[key] == value } }
            if let after { own = own.filter { $0.id.rawValue < after.rawValue } }
            return Array(own.prefix(limit))
        }
    }
    func window(of id: DocumentID, start: Int, end: Int, scope: RequestScope) throws(DocumentStoreError) -> TextWindow? {
        stored(id).map { TextWindow(start: start, end: end, of: Array($0.text.utf8), textSize: $0.text.utf8.count) }
    }
    func pages(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [PageSpan] {
        guard let document = stored(id) else { return [] }
        return document.record.pageCount == nil ? [] : [PageSpan(number: 1, span: TextSpan(start: 0, end: document.text.utf8.count))]
    }
    func chunks(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [ChunkRecord] { stored(id)?.chunks ?? [] }
    func update(metadata: Metadata, of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) {
        state.withLock { state in
            guard let index = state.documents.firstIndex(where: { $0.record.id == id }) else { return }
            state.documents[index].record.metadata = metadata
        }
    }
    private func stored(_ id: DocumentID) -> Stored? { state.withLock { $0.documents.first { $0.record.id == id } } }

    // MARK: Searching

    private static func words(_ text: String) -> Set<String> {
        Set(text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init).filter { $0.count > 3 })
    }

    func search(_ request: SearchRequest, scope: RequestScope) async throws -> SearchResponse {
        try request.check(limits)
        state.withLock { $0.searchRequests.append(request) }
        let behavior = behavior.withLock { $0 }
        try await Task.sleep(for: behavior.startDelay)
        if let error = behavior.searchError { throw error }
        guard let collection = try collection(named: request.collection) else { throw RetrievalError.unknownCollection(request.collection) }
        let terms = Self.words(request.query)
        let found = state.withLock { $0.documents }.filter { $0.record.collection == collection.id }.flatMap { document in
            document.chunks.map { chunk -> SearchResult in
                let overlap = terms.intersection(Self.words(chunk.text)).count
                var highlights: [TextSpan] = []
                for term in terms {
                    guard let range = chunk.text.range(of: term, options: .caseInsensitive) else { continue }
                    highlights.append(TextSpan(start: range.lowerBound.utf16Offset(in: chunk.text), end: 0))
                    highlights[highlights.count - 1] = TextSpan(
                        start: chunk.text.utf8.distance(from: chunk.text.startIndex, to: range.lowerBound),
                        end: chunk.text.utf8.distance(from: chunk.text.startIndex, to: range.upperBound))
                }
                let score = Float(overlap) / Float(max(terms.count, 1))
                return SearchResult(
                    documentID: document.record.id, chunkID: chunk.id, source: document.record.source, title: document.record.title,
                    page: chunk.page,
                    heading: chunk.heading, span: chunk.span, text: chunk.text, score: score,
                    scores: PassageScores(bm25: Float(overlap) * 3.7, vector: score * 0.8),
                    highlights: request.highlight ? highlights.sorted { $0.start < $1.start } : [], metadata: document.record.metadata)
            }
        }.filter { $0.score > 0 }.sorted { ($0.score, $1.chunkID.rawValue) > ($1.score, $0.chunkID.rawValue) }
        return SearchResponse(
            results: Array(found.prefix(request.k)),
            timings: [
                .embed: .milliseconds(3.1), .text: .milliseconds(0.8), .vector: .milliseconds(1.9), .fuse: .milliseconds(0.1),
                .fetch: .milliseconds(0.6), .total: .milliseconds(6.5),
            ], mode: request.mode,
            collection: request.collection, degradation: [])
    }

    // MARK: AnswerMaking

    func answer(_ request: AnswerRequest, scope: RequestScope) -> AsyncThrowingStream<AnswerEvent, any Error> {
        AsyncThrowingStream { continuation in
            state.withLock { state in
                state.runningAnswers += 1
                state.runningAnswersMax = max(state.runningAnswersMax, state.runningAnswers)
            }
            let task = Task {
                do {
                    try await run(request) { continuation.yield($0) }
                    state.withLock { $0.runningAnswers -= 1 }
                    continuation.finish()
                } catch {
                    state.withLock { state in
                        state.runningAnswers -= 1
                        if error is CancellationError { state.cancelledAnswers += 1 }
                    }
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private static func retrieval(_ request: AnswerRequest) -> RetrievalPlan {
        let search = RetrievalPlan.Step.search(.init(mode: .hybrid, k: request.k, isFiltered: false))
        guard request.plan != .direct else { return RetrievalPlan([search]) }
        let asking = RetrievalPlan.Asking("scripted", budget: .init(0.2), tokensMax: 64)
        return RetrievalPlan([search, .hop(.init(asking, countMax: 2, steps: [search]))])
    }

    private func run(_ request: AnswerRequest, _ send: (AnswerEvent) -> Void) async throws {
        let behavior = behavior.withLock { $0 }
        try request.check(limits, generators: generatorNames)
        state.withLock { $0.answerRequests.append(request) }
        let generator = request.generator ?? "extractive"
        if let error = behavior.answerError, behavior.answerErrorAfter == 0 { throw error }
        send(
            .plan(
                AnswerPlan(
                    name: request.plan, delivery: request.delivery, question: request.question, collection: request.collection,
                    stages: [.retrieve(Self.retrieval(request)), .answer(.init(generators: [generator]))], time: .seconds(120))))
        try await Task.sleep(for: behavior.startDelay)
        let found: SearchResponse
        do {
            found = try await search(
                SearchRequest(
                    query: request.question, collection: request.collection, mode: request.mode, k: request.k, filter: request.filter),
                scope: .everyone)
        } catch let error as RetrievalError {
            throw AnsweringError.retrieval(error)
        }
        var steps = [PlanStep(name: "retrieve", texts: [request.question], passageCount: found.results.count, duration: .milliseconds(6.5))]
        if request.plan != .direct {
            steps.append(PlanStep(name: "hop", texts: [], duration: .milliseconds(20.25)))
            for step in steps { send(.step(step)) }
        }
        send(.sources(found.results))
        let timings: Timings = [
            .embed: .milliseconds(3.1), .text: .milliseconds(0.8), .vector: .milliseconds(1.9), .fuse: .milliseconds(0.1),
            .fetch: .milliseconds(0.6), .retrieve: .milliseconds(6.6), .prompt: .milliseconds(0.4), .generate: .milliseconds(41.5),
            .check: .milliseconds(0.3), .total: .milliseconds(49.2),
        ]
        var answer = "I don't have enough information in the documents to answer that."
        var citations: [Citation] = []
        if let count = behavior.tokenCount {
            let padding = String(repeating: "x", count: behavior.tokenPadding)
            answer = (0..<count).map { "word\($0)\(padding) " }.joined()
        } else {
            var sentences: [String] = []
            for (index, best) in found.results.prefix(2).enumerated() {
                let sentence = String(best.text.prefix { $0 != "." && $0 != "\n" })
                let bytes = sentence.utf8.count
                let quote =
                    best.text.utf8.count > bytes && best.text.utf8.dropFirst(bytes).first == UInt8(ascii: ".") ? sentence + "." : sentence
                sentences.append("\(quote) [\(index + 1)]")
                citations.append(
                    Citation(
                        marker: index + 1, documentID: best.documentID, chunkID: best.chunkID, source: best.source, title: best.title,
                        page: best.page,
                        span: TextSpan(start: best.span.start, end: best.span.start + quote.utf8.count), quote: quote))
            }
            if !sentences.isEmpty { answer = sentences.joined(separator: " ") }
        }
        if let rejected = behavior.rejectedText {
            send(.token(rejected))
            send(.reset("its sources do not say that"))
        }
        var sent = 0
        let words = answer.split(separator: " ", omittingEmptySubsequences: false).map { String($0) + " " }
        for piece in request.delivery == .checked ? [answer] : words {
            try await Task.sleep(for: behavior.tokenDelay)
            try Task.checkCancellation()
            send(.token(piece))
            sent += 1
            if let error = behavior.answerError, sent >= behavior.answerErrorAfter { throw error }
        }
        for citation in citations { send(.citation(citation)) }
        send(.timings(timings))
        send(
            .done(
                AnswerResponse(
                    answer: answer, refused: found.results.isEmpty, confidence: found.results.isEmpty ? 0.08 : 0.83, citations: citations,
                    generator: generator,
                    degradation: request.question.contains("degrade") ? [Degradation(.vectorUnavailable, "embedder busy")] : [],
                    timings: timings,
                    question: request.question,
                    usage: GenerationUsage(promptTokens: 312, completionTokens: sent), steps: steps)))
    }

    // MARK: Ingesting

    private func number() -> Int64 {
        state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
    }

    private func makeCollection(_ name: String, _ settings: CollectionSettings = .init()) throws -> CollectionRecord {
        if let known = try collection(named: name) { return known }
        let record = CollectionRecord(id: CollectionID(rawValue: number()), name: name, settings: settings, createdAt: now)
        state.withLock { $0.collections.append(record) }
        return record
    }

    @discardableResult
    func add(
        source: String, title: String? = nil, text: String, metadata: Metadata = [:], collection name: String = "default", pages: Int? = nil
    ) throws -> DocumentID {
        let collection = try makeCollection(name)
        let id = DocumentID(rawValue: "doc_" + String(format: "%026d", number()))
        var chunks: [ChunkRecord] = []
        var start = 0
        for paragraph in text.components(separatedBy: "\n\n") {
            let size = paragraph.utf8.count
            if size > 0 {
                chunks.append(
                    ChunkRecord(
                        id: ChunkID(rawValue: number()), document: id, ordinal: chunks.count,
                        span: TextSpan(start: start, end: start + size), page: pages == nil ? nil : 1,
                        heading: "", tokenCount: size / 4, text: paragraph))
            }
            start += size + 2
        }
        let record = DocumentRecord(
            id: id, collection: collection.id, source: source, title: title, mimeType: "text/plain", contentHash: "00",
            byteCount: text.utf8.count, pageCount: pages,
            chunkCount: chunks.count, version: 1, metadata: metadata, createdAt: now, updatedAt: now)
        state.withLock { state in
            state.documents.removeAll { $0.record.source == source && $0.record.collection == collection.id }
            state.documents.append(Stored(record: record, text: text, chunks: chunks))
        }
        return id
    }

    func submit(_ request: IngestRequest, scope: RequestScope) async throws -> JobID {
        if let error = behavior.withLock({ $0.submitError }) { throw error }
        let id = JobID(rawValue: "job_" + String(format: "%026d", number()))
        var status = JobStatus(
            id: id, collection: request.collection, state: .running, fileCount: request.items.count, finishedCount: 0,
            stages: ["queued": request.items.count],
            byteCount: request.items.count, finishedByteCount: 0, progress: 0, etaSeconds: nil, createdAt: now.timeIntervalSince1970,
            files: [])
        state.withLock { state in
            state.submitted.append(request)
            state.jobs.append(status)
        }
        Task {
            for item in request.items {
                try? await Task.sleep(for: behavior.withLock { $0.fileDelay })
                let outcome: FileOutcome
                switch item {
                case .path(let path):
                    outcome = FileOutcome(
                        path: path, outcome: .refused, reason: "paths are not read by the double", documentID: nil, chunks: 0)
                case .text(let source, let title, let text, let own):
                    let document = try add(
                        source: source, title: title, text: text, metadata: request.metadata.merging(own) { $1 },
                        collection: request.collection)
                    outcome = FileOutcome(path: source, outcome: .indexed, reason: nil, documentID: document, chunks: 1)
                case .upload(let name, let spoolPath, _):
                    let data = FileManager.default.contents(atPath: spoolPath) ?? Data()
                    try? FileManager.default.removeItem(atPath: spoolPath)
                    if let text = String(validating: data, as: UTF8.self), !text.isEmpty {
                        let document = try add(
                            source: name, text: text, metadata: request.metadata, collection: request.collection,
                            pages: name.hasSuffix(".pdf") ? 1 : nil)
                        outcome = FileOutcome(path: name, outcome: .indexed, reason: nil, documentID: document, chunks: 1)
                    } else {
                        outcome = FileOutcome(
                            path: name, outcome: .refused,
                            reason: data.isEmpty ? "no text: the file is empty" : "unsupported format: not text", documentID: nil, chunks: 0
                        )
                    }
                }
                status.files.append(outcome)
                status.finishedCount += 1
                status.finishedByteCount += 1
                status.progress = Double(status.finishedCount) / Double(status.fileCount)
                status.stages["queued"]! -= 1
                status.stages[outcome.outcome.rawValue, default: 0] += 1
                if status.finishedCount == status.fileCount { status.state = .finished }
                let current = status
                let isCancelled = state.withLock { state in
                    let index = state.jobs.firstIndex { $0.id == id }!
                    if state.jobs[index].state == .cancelled { return true }
                    state.jobs[index] = current
                    return false
                }
                if isCancelled { return }
            }
        }
        return id
    }

    func events(of job: JobID, scope: RequestScope) async throws -> AsyncStream<IngestEvent> {
        _ = try await status(of: job)
        return AsyncStream { continuation in
            let task = Task {
                var reported = 0
                while !Task.isCancelled {
                    guard let status = try? await status(of: job) else { break }
                    continuation.yield(.progress(status))
                    for file in status.files.dropFirst(reported) { continuation.yield(.file(file)) }
                    reported = status.files.count
                    if status.state == .finished || status.state == .cancelled {
                        continuation.yield(.summary(status, chunks: status.files.reduce(0) { $0 + $1.chunks }, seconds: 0.01))
                        break
                    }
                    try? await Task.sleep(for: .milliseconds(10))
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    func status(of job: JobID, scope: RequestScope = .everyone) async throws -> JobStatus {
        guard let status = state.withLock({ $0.jobs.first { $0.id == job } }) else { throw IngestionError.unknownJob(job.rawValue) }
        return status
    }
    func jobs(limit: Int, scope: RequestScope) async throws -> [JobStatus] { state.withLock { Array($0.jobs.reversed().prefix(limit)) } }
    func cancel(_ job: JobID, scope: RequestScope) async throws -> JobStatus {
        _ = try await status(of: job)
        return state.withLock { state in
            let index = state.jobs.firstIndex { $0.id == job }!
            state.jobs[index].state = .cancelled
            return state.jobs[index]
        }
    }
    func retry(_ job: JobID, scope: RequestScope) async throws -> JobStatus { try await status(of: job) }

    func delete(_ selector: DeletionSelector, collection name: String, scope: RequestScope) async throws -> DeletionReceipt {
        guard let collection = try collection(named: name) else { throw IngestionError.unknownCollection(name) }
        return state.withLock { state in
            func isSelected(_ record: DocumentRecord) -> Bool {
                guard record.collection == collection.id else { return false }
                switch selector {
                case .ids(let ids): return ids.contains(record.id)
                case .sources(let sources): return sources.contains(record.source)
                case .sourceTree(let path): return record.source == path || record.source.hasPrefix(path + "/")
                case .filter(.eq(let key, let value)): return record.metadata[key] == value
                case .filter: return false
                case .all: return true
                }
            }
            let gone = state.documents.filter { isSelected($0.record) }
            state.documents.removeAll { isSelected($0.record) }
            return DeletionReceipt(documents: gone.map(\.record.id), chunks: gone.flatMap { $0.chunks.map(\.id) }, collection: name)
        }
    }
    func deleteCollection(_ name: String, scope: RequestScope) async throws -> DeletionReceipt {
        let receipt = try await delete(.all, collection: name, scope: scope)
        state.withLock { $0.collections.removeAll { $0.name == name } }
        return receipt
    }
    func createCollection(_ name: String, settings: CollectionSettings, scope: RequestScope) async throws -> CollectionRecord {
        if name.contains("/") || name.isEmpty { throw DocumentStoreError.invalidName(name) }
        return try makeCollection(name, settings)
    }
    func verify() async throws -> VerificationReport { VerificationReport(clean: true, collections: [], problems: [], seconds: 0.01) }
    func compact() async throws { state.withLock { $0.compactions += 1 } }
}
