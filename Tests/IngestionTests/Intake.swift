import Documents
import Execution
import Foundation
import Indexing
import Inference
import Logging
import Parsing
import Synchronization
import TestSupport
import Testing

@testable import Ingestion

/// A data folder with a service that takes things in. Without a double of the parser no file gets further than to it.
final class Intake: Sendable {
    let folder: TemporaryFolder
    let store: DocumentStore
    let catalog: IndexCatalog
    let service: IngestionService

    var path: String { folder.path }

    /// - Parameter folder: One in which an earlier service has ended, to go on there.
    init(
        embedder: (any Embedder)? = HashEmbedder(dimension: 32),
        parser: any FileParsing = ParserPool(executable: "/bin/false", workerCount: 1), time: any TimeSource = .machine,
        in folder: TemporaryFolder = .inMemory(), _ change: (inout IngestionOptions) -> Void = { _ in }
    ) throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        self.folder = folder
        store = try DocumentStore(directory: folder.path)
        catalog = try IndexCatalog(store: store, directory: folder.path + "/index", readOnly: false, logger: logger)
        var options = IngestionOptions()
        change(&options)
        service = IngestionService(
            catalog: catalog, embedder: embedder, parser: parser, spoolFolder: folder.path + "/spool", options: options, logger: logger,
            time: time)
    }

    func write(_ name: String, _ text: String) throws -> String { try folder.write(name, text) }

    /// An upload that lies in the spool folder.
    func upload(_ name: String, _ text: String) throws -> IngestItem {
        let path = try write("spool/upload-\(UUID().uuidString)", text)
        return .upload(name: name, spoolPath: path, mimeType: nil)
    }

    /// The job's last status.
    func end(of job: JobID) async throws -> JobStatus {
        if let status = await Self.summary(of: try await service.events(of: job)) { return status }
        return try await service.status(of: job)
    }

    /// What a stream of events ends with; nil when it ends early.
    static func summary(of events: AsyncStream<IngestEvent>) async -> JobStatus? {
        var last: JobStatus?
        for await event in events {
            if case .summary(let status, _, _) = event { last = status }
        }
        return last
    }

    var documents: [DocumentRecord] {
        get throws {
            try store.collections().flatMap { try store.documents(in: $0.id, limit: 10_000) }
        }
    }

    /// The stored texts, by source.
    var texts: [ExactText: String] {
        get throws {
            var texts: [ExactText: String] = [:]
            for document in try documents {
                let source = ExactText(document.source)
                #expect(texts[source] == nil, "'\(document.source)' is stored twice")
                texts[source] = try store.text(of: document.id)
            }
            return texts
        }
    }

    var sources: Set<String> { get throws { Set(try texts.keys.map(\.text)) } }

    var spooled: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path + "/spool")) ?? []).sorted() }

    /// Waits until nothing is claimed, worked on or followed any more.
    func rest() async throws {
        do { try await eventually("the service rests", within: .seconds(30)) { await service.isResting } } catch {
            Issue.record("\(await service.unrest)")
            throw error
        }
    }
}

extension IngestionService {
    var isResting: Bool { claiming == nil && running.isEmpty && progress.isEmpty }

    /// What keeps it from resting.
    var unrest: String {
        let works = running.map { "work \($0.key) on \($0.value.files.map(\.source)), cancelled: \($0.value.task.isCancelled)" }
        let jobs = progress.values.map { "\($0.id): \($0.status(now: time.now).stages)" }
        return "claiming: \(claiming != nil), waiting for '\(waitingReason ?? "")', \(works), \(jobs)"
    }
}

extension Ingesting {
    func submit(_ request: IngestRequest) async throws -> JobID { try await submit(request, scope: .everyone) }
    func events(of job: JobID) async throws -> AsyncStream<IngestEvent> { try await events(of: job, scope: .everyone) }
    func jobs(limit: Int) async throws -> [JobStatus] { try await jobs(limit: limit, scope: .everyone) }
    func cancel(_ job: JobID) async throws -> JobStatus { try await cancel(job, scope: .everyone) }
    func retry(_ job: JobID) async throws -> JobStatus { try await retry(job, scope: .everyone) }
    func delete(_ selector: DeletionSelector, collection: String = "default") async throws -> DeletionReceipt {
        try await delete(selector, collection: collection, scope: .everyone)
    }
    func deleteCollection(_ name: String) async throws -> DeletionReceipt { try await deleteCollection(name, scope: .everyone) }
    func createCollection(_ name: String, settings: CollectionSettings) async throws -> CollectionRecord {
        try await createCollection(name, settings: settings, scope: .everyone)
    }
}

/// Embeds nothing until it is told to, or its task is cancelled.
final class GatedEmbedder: Embedder {
    let model = EmbeddingModel(name: "gated", dimension: 4, contextLength: 512)
    var tokenizer: any Tokenizer { WordTokenizer() }
    private let gate = Gate()
    var callCount: Int { gate.comers }

    func open() { gate.open() }

    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        try await gate.pass()
        return texts.flatMap { _ in [1, 0, 0, 0] as [Float] }
    }
}

/// An embedder behind a gate.
struct Gated: Embedder {
    let embedder: any Embedder
    let gate: Gate
    /// Texts with this word need not wait.
    let word: String?
    var model: EmbeddingModel { embedder.model }
    var tokenizer: any Tokenizer { embedder.tokenizer }

    init(_ embedder: any Embedder, _ gate: Gate, passing word: String? = nil) {
        self.embedder = embedder
        self.gate = gate
        self.word = word
    }

    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        if word.map({ word in texts.contains { $0.contains(word) } }) != true { try await gate.pass() }
        return try await embedder.embed(texts, for: purpose)
    }
}

/// What a text says that the doubles shall do with it. It is a word of the text, so that each file has its own fate whatever is done beside it.
enum Fate: String, CaseIterable {
    case good
    case parserRefuses = "parser-refuses"
    /// The first time; a second try reads it.
    case parserCrashesOnce = "parser-crashes-once"
    case parserCrashes = "parser-crashes"
    case parserHangs = "parser-hangs"
    case embedderFailsOnce = "embedder-fails-once"
    case embedderFails = "embedder-fails"
    case embedderIsBusy = "embedder-is-busy"
    case embedderHangs = "embedder-hangs"

    /// The parser alone meets it, which reads no plain text.
    var isParsers: Bool { rawValue.hasPrefix("parser") }
    /// Nothing but a cancellation ends it.
    var isEndless: Bool { self == .parserHangs || self == .embedderHangs }
}

/// Parser and embedder that do what the texts in their hands say, see `Fate`.
///
/// Something that hangs makes the virtual clock run, until it is cancelled.
final class Stage: FileParsing, Embedder {
    let time: VirtualTime
    let model = EmbeddingModel(name: "staged", dimension: 8, contextLength: 512)
    let tokenizer: any Tokenizer
    private let met = Mutex<[String: Int]>([:])

    init(time: VirtualTime, tokenizer: any Tokenizer = WordTokenizer()) {
        self.time = time
        self.tokenizer = tokenizer
    }

    /// So many times a text has met its fate.
    func count(of fate: Fate) -> Int { met.withLock { $0.filter { $0.key.contains(fate.rawValue + " ") }.values.reduce(0, +) } }

    /// What has to happen to a text now: the number is how often it has met its fate before.
    private func fate(of text: String) -> (Fate, before: Int) {
        guard let fate = Fate.allCases.first(where: { $0 != .good && (text + " ").contains($0.rawValue + " ") }) else { return (.good, 0) }
        return (fate, met.withLock { $0[text, default: 0] })
    }

    private func meet(_ text: String) { met.withLock { $0[text, default: 0] += 1 } }

    func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument {
        guard let data = FileManager.default.contents(atPath: path), let text = String(validating: data, as: UTF8.self) else {
            throw .unreadable("'\(path)' is not there")
        }
        let (fate, before) = fate(of: text)
        if fate.isParsers { meet(text) }
        switch fate {
        case .parserRefuses: throw .malformed("it says so")
        case .parserCrashes: throw .crashed("signal 11")
        case .parserCrashesOnce where before == 0: throw .crashed("signal 11")
        case .parserHangs:
            await time.hang(noticing: true)
            throw .unavailable("parsing was cancelled")
        default:
            return ParsedDocument(
                text: text, blocks: [Block(kind: .paragraph, span: 0..<text.utf8.count)], title: nil, mimeType: "text/plain")
        }
    }

    func shutdown() async {}

    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        for text in texts {
            let (fate, before) = fate(of: text)
            if !fate.isParsers, fate != .good { meet(text) }
            switch fate {
            case .embedderFails: throw InferenceError.timedOut(name: "staged", seconds: 1)
            case .embedderFailsOnce where before == 0: throw InferenceError.timedOut(name: "staged", seconds: 1)
            case .embedderIsBusy where before < 3: throw InferenceError.overloaded(queued: 1, limit: 1)
            case .embedderHangs:
                await time.hang(noticing: true)
                throw CancellationError()
            default: break
            }
        }
        try Task.checkCancellation()
        return try await HashEmbedder(dimension: model.dimension).embed(texts, for: purpose)
    }
}

/// A clock that never makes anybody wait while the body runs: whoever sleeps until some time wakes at once, and then it is that time.
func withRunningClock<Value>(_ time: VirtualTime, _ body: () async throws -> Value) async throws -> Value {
    let running = Task { await time.hang(noticing: true) }
    defer { running.cancel() }
    return try await body()
}
