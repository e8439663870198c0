import Documents
import Execution
import Foundation
import Indexing
import Inference
import Logging
import Retrieval
import Storage
import Synchronization
import TestSupport
import TextSearch

/// A data folder with a few texts, searched by the real retriever.
final class Library {
    let path = FileManager.default.temporaryDirectory.path + "/outrider-retrieval-\(UUID().uuidString)"
    let store: DocumentStore
    let catalog: IndexCatalog
    static let embedder = HashEmbedder(dimension: 64)
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// One document of one chunk for each text, by its source.
    init(_ texts: KeyValuePairs<String, String>) async throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        store = try DocumentStore(directory: path, readOnly: false)
        catalog = try IndexCatalog(store: store, directory: path + "/index", readOnly: false, logger: Self.logger)
        _ = try catalog.indexes(creating: "default")
        for (source, text) in texts { try await put(source, text) }
    }

    /// - Parameter whole: The text, after its title and a `|` when there is one.
    func put(_ source: String, _ whole: String, metadata: Metadata = [:]) async throws {
        let indexes = try catalog.indexes(creating: "default")
        let parts = whole.split(separator: "|", maxSplits: 1).map(String.init)
        let text = parts.last ?? ""
        let draft = DocumentDraft(
            collection: indexes.id, source: source, title: parts.count == 2 ? parts[0] : nil, mimeType: "text/plain", contentHash: source,
            byteCount: text.utf8.count, text: text, pages: [], metadata: metadata,
            chunks: [ChunkDraft(span: TextSpan(start: 0, end: text.utf8.count), page: nil, heading: "", tokenCount: 1)],
            vectors: try await Self.embedder.embed([text], for: .document), dimension: Self.embedder.model.dimension,
            embeddingModel: Self.embedder.model.name)
        _ = try indexes.put(draft, finishing: nil)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func retriever(
        embedder: (any Embedder)? = Library.embedder, reranker: (any Reranker)? = nil, options: RetrieverOptions = .init(),
        time: any TimeSource = .machine
    ) -> Retriever {
        Retriever(
            catalog: catalog, embedders: EmbedderShelf(standard: embedder), reranker: reranker, options: options, time: time,
            logger: Self.logger)
    }
}

extension SearchResponse {
    var sources: [String] { results.map(\.source) }
    /// The steps down as clients read them.
    var told: [String] { degradation.map(\.description) }
}

/// A reranker that does as it is told: the score of a passage is the number that follows "rank" in it.
final class ScriptedReranker: Reranker {
    enum Conduct: Sendable {
        case scores
        /// Scores so many and says nil for the others.
        case partial(Int)
        case fails
        /// Gives a score too few.
        case wrongCount
        case notANumber
        /// Goes on until it is cancelled.
        case sleeps
        /// Never ends, and does not notice that it is cancelled.
        case hangs
        case cancelled
    }

    let name = "scripted"
    let conduct: Conduct
    let time: VirtualTime
    private let seen = Mutex<[[String]]>([])

    /// - Parameter time: For those that take some; it runs while they hang.
    init(_ conduct: Conduct, time: VirtualTime = VirtualTime()) {
        self.conduct = conduct
        self.time = time
    }

    var calls: [[String]] { seen.withLock { $0 } }

    func rerank(query: String, passages: [String]) async throws -> [Float] {
        seen.withLock { $0.append(passages) }
        return passages.map(Self.score)
    }

    func rerank(query: String, passages: [String], deadline: ContinuousClock.Instant?) async throws -> [Float?] {
        seen.withLock { $0.append(passages) }
        var scores = passages.map { Optional(Self.score($0)) }
        switch conduct {
        case .scores: break
        case .partial(let count): for index in scores.indices.dropFirst(count) { scores[index] = nil }
        case .fails: throw InferenceError.failed(name: name, reason: "told to")
        case .wrongCount: scores.removeLast()
        case .notANumber: for index in scores.indices { scores[index] = index == 0 ? .nan : .infinity }
        case .sleeps:
            await time.hang(noticing: true)
        case .hangs: await time.hang()
        case .cancelled: throw CancellationError()
        }
        return scores
    }

    private static func score(_ passage: String) -> Float {
        let words = passage.split(separator: " ")
        guard let place = words.firstIndex(of: "rank"), place + 1 < words.count else { return 0 }
        return Float(words[place + 1]) ?? 0
    }
}

extension Searching {
    func search(_ request: SearchRequest) async throws -> SearchResponse { try await search(request, scope: .everyone) }
    func languages(of collection: String) async -> LanguageReport? { await languages(of: collection, scope: .everyone) }
}
