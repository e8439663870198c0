import Documents
import Foundation
import Inference
import Logging
import Retrieval
import Synchronization
import TestSupport

@testable import Answering

/// Test data of the steering repository; tests that need it are skipped without it.
let sharedData = SharedData.folder ?? ""

/// Terms and their rarity over a small corpus: lower case, stop words, a light stemmer, pairs of ideographs.
struct SimpleStatistics: TermStatistics {
    private var documentCount = 0
    private var frequencies: [String: Int] = [:]

    init(_ texts: [String] = []) {
        for text in texts { add(text) }
    }

    mutating func add(_ text: String) {
        documentCount += 1
        for term in Set(terms(of: text, in: "")) { frequencies[term, default: 0] += 1 }
    }

    func terms(of text: String, in collection: String) -> [String] {
        var terms: [String] = []
        var word = String.UnicodeScalarView()
        func finish() {
            defer { word.removeAll() }
            guard !word.isEmpty else { return }
            if word.first!.value >= 0x3040, word.first!.value <= 0x9FFF {
                let scalars = Array(word)
                if scalars.count == 1 { terms.append(String(word)) }
                for pair in zip(scalars, scalars.dropFirst()) { terms.append(String(pair.0) + String(pair.1)) }
                return
            }
            let lower = String(word).lowercased()
            if !Self.stopWords.contains(lower) { terms.append(Self.stem(lower)) }
        }
        for scalar in text.unicodeScalars {
            if scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                || scalar.properties.generalCategory == .nonspacingMark
            {
                word.append(scalar)
            } else {
                finish()
            }
        }
        finish()
        return terms
    }

    func inverseDocumentFrequency(of term: String, in collection: String) -> Float {
        let frequency = Float(frequencies[term] ?? 0)
        return log(1 + (Float(documentCount) - frequency + 0.5) / (frequency + 0.5))
    }

    private static let stopWords = Set(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will with"
            .split(separator: " ").map(String.init))

    static func stem(_ word: String) -> String {
        guard word.count > 3, word.unicodeScalars.allSatisfy(\.isASCII) else { return word }
        for (suffix, replacement) in [
            ("ies", "y"), ("sses", "ss"), ("ing", ""), ("edly", ""), ("ed", ""), ("ly", ""), ("es", ""), ("s", ""),
        ] where word.hasSuffix(suffix) {
            let stem = word.dropLast(suffix.count) + replacement
            if stem.count >= 3, suffix != "s" || !word.hasSuffix("ss") { return stem.last == "e" ? String(stem.dropLast()) : String(stem) }
        }
        return word.last == "e" ? String(word.dropLast()) : word
    }
}

/// A collection in memory: whole documents, cut into given chunks, searched by words.
final class MemoryCollection: Searching, TermStatistics, SpanReading {
    struct Chunk {
        var document: DocumentID
        var span: TextSpan
        var text: String
        var title: String?
        var heading = ""
        var page: Int?
    }

    let chunks: [Chunk]
    let statistics: SimpleStatistics
    private let texts: Mutex<[DocumentID: String]>
    let searches = Mutex<[SearchRequest]>([])
    private let embedder: (any Embedder)?

    /// - Parameter documents: Texts by title, each one chunk, or cut where a form feed stands; the form feed is part of the text.
    init(_ documents: [(title: String, text: String)], embedder: (any Embedder)? = nil) {
        var chunks: [Chunk] = []
        var texts: [DocumentID: String] = [:]
        for (index, document) in documents.enumerated() {
            let id = DocumentID(rawValue: "doc_\(index)")
            texts[id] = document.text
            var start = 0
            for (page, part) in document.text.split(separator: "\u{0C}", omittingEmptySubsequences: false).enumerated() {
                chunks.append(
                    Chunk(
                        document: id, span: TextSpan(start: start, end: start + part.utf8.count), text: String(part), title: document.title,
                        page: page + 1))
                start += part.utf8.count + 1
            }
        }
        self.chunks = chunks
        self.texts = Mutex(texts)
        self.embedder = embedder
        statistics = SimpleStatistics(chunks.map { ($0.title ?? "") + "\n" + $0.text })
    }

    func terms(of text: String, in collection: String) -> [String] { statistics.terms(of: text, in: collection) }
    func inverseDocumentFrequency(of term: String, in collection: String) -> Float {
        statistics.inverseDocumentFrequency(of: term, in: collection)
    }

    func text(of document: DocumentID, span: TextSpan) async throws -> String? {
        guard let text = texts.withLock({ $0[document] }), span.start >= 0, span.end <= text.utf8.count, span.start <= span.end else {
            return nil
        }
        return String(Array(text.utf8)[span.range].map { Unicode.UTF8.CodeUnit($0) }, validating: UTF8.self)
    }

    func replace(_ document: Int, with text: String?) { texts.withLock { $0[DocumentID(rawValue: "doc_\(document)")] = text } }

    func search(_ request: SearchRequest, scope: RequestScope) async throws -> SearchResponse {
        searches.withLock { $0.append(request) }
        let wanted = Set(statistics.terms(of: request.query, in: ""))
        let query = try await embedder?.embed([request.query], for: .query) ?? []
        let vectors = try await embedder?.embed(chunks.map(\.text), for: .document) ?? []
        var hits: [(score: Float, cosine: Float?, chunk: Int)] = []
        for (index, chunk) in chunks.enumerated() {
            let present = Set(statistics.terms(of: (chunk.title ?? "") + "\n" + chunk.text, in: ""))
            let score = wanted.intersection(present).reduce(Float(0)) { $0 + statistics.inverseDocumentFrequency(of: $1, in: "") }
            let cosine = query.isEmpty ? nil : Evidence.dot(query, Array(vectors[(index * query.count)..<((index + 1) * query.count)]))
            if score > 0 { hits.append((score, cosine, index)) }
        }
        hits.sort { ($0.score, -$0.chunk) > ($1.score, -$1.chunk) }
        let best = hits.first?.score ?? 1
        let results = hits.prefix(request.k).map { hit in
            let chunk = chunks[hit.chunk]
            let scores = PassageScores(bm25: hit.score, vector: hit.cosine)
            return SearchResult(
                documentID: chunk.document, chunkID: ChunkID(rawValue: Int64(hit.chunk)), source: "/docs/\(chunk.document).txt",
                title: chunk.title, page: chunk.page,
                heading: chunk.heading, span: chunk.span, text: chunk.text, score: hit.score / best, scores: scores, highlights: [],
                metadata: [:])
        }
        return SearchResponse(
            results: Array(results), timings: [.text: .milliseconds(0.1), .total: .milliseconds(0.2)], mode: request.mode,
            collection: request.collection,
            degradation: [], queryVector: query.isEmpty ? nil : query)
    }
}

/// Remembers what it was asked to embed.
final class RecordingEmbedder: Embedder {
    private let inner = HashEmbedder()
    let texts = Mutex<[String]>([])
    let model: EmbeddingModel
    var tokenizer: any Tokenizer { inner.tokenizer }

    /// - Parameter name: What the model is to be taken for; nil = what it is.
    init(name: String? = nil) {
        let own = inner.model
        model = EmbeddingModel(name: name ?? own.name, dimension: own.dimension, contextLength: own.contextLength)
    }

    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        self.texts.withLock { $0 += texts }
        return try await inner.embed(texts, for: purpose)
    }
}

extension String {
    fileprivate init?(_ bytes: [UInt8], validating: UTF8.Type) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        self = text
    }
}

extension AnswerMaking {
    func answer(_ request: AnswerRequest) -> AsyncThrowingStream<AnswerEvent, any Error> { answer(request, scope: .everyone) }
}

extension AnswerResponse {
    /// The steps down as clients read them.
    var told: [String] { degradation.map(\.description) }
}

extension Source {
    /// A source of one chunk.
    init(_ marker: Int, _ text: String, title: String? = nil, heading: String = "", start: Int = 0, score: Float = 1) {
        let passage = SearchResult(
            documentID: DocumentID(rawValue: "doc_\(marker)"), chunkID: ChunkID(rawValue: Int64(marker)), source: "/docs/\(marker).txt",
            title: title, page: nil,
            heading: heading, span: TextSpan(start: start, end: start + text.utf8.count), text: text, score: score, scores: .init(),
            highlights: [], metadata: [:])
        self.init(
            marker: marker, passage: passage, members: [.init(chunkID: passage.chunkID, span: passage.span, page: nil)], rank: marker - 1)
    }
}

/// The extractive answer to a question from some documents, with nothing but their words.
func ask(_ question: String, _ documents: [(title: String, text: String)]) async throws -> AnswerResponse {
    let collection = MemoryCollection(documents)
    let engine = AnswerEngine(
        searching: collection, statistics: collection, spans: collection, embedder: nil,
        logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    for try await event in engine.answer(AnswerRequest(question: question)) { if case .done(let response) = event { return response } }
    throw CancellationError()
}
