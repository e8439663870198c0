import Documents
import Inference
import Synchronization
import TestSupport
import Testing

@testable import Retrieval

/// A question that was asked before is not embedded again.
struct QuestionVectorTests {
    private final class CountingEmbedder: Embedder {
        let inner = Library.embedder
        let seen = Mutex<[String]>([])
        var model: EmbeddingModel { inner.model }
        var tokenizer: any Tokenizer { inner.tokenizer }
        func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
            seen.withLock { $0 += texts }
            return try await inner.embed(texts, for: purpose)
        }
    }

    private func library() async throws -> Library { try await Library(["a": "granite bridge", "b": "wooden boat", "c": "iron gate"]) }

    @Test func `the same question is embedded once, however its words are spaced`() async throws {
        let library = try await library()
        let embedder = CountingEmbedder()
        let retriever = library.retriever(embedder: embedder)
        var answers: [[String]] = []
        for query in ["wooden bridge", " wooden  bridge ", "wooden\n\tbridge", "wooden\u{A0}bridge", "wooden bridge"] {
            let response = try await retriever.search(SearchRequest(query: query, mode: .vector))
            #expect(response.queryVector?.count == 64 && response.timings[.embed] != nil)
            answers.append(response.results.map { "\($0.source) \($0.score)" })
        }
        #expect(embedder.seen.withLock { $0 } == ["wooden bridge"])
        #expect(Set(answers).count == 1)
        _ = try await retriever.search(SearchRequest(query: "Wooden bridge", mode: .hybrid))
        #expect(embedder.seen.withLock { $0 } == ["wooden bridge", "Wooden bridge"])
    }

    @Test func `composed and decomposed letters are the same question`() {
        #expect(
            QuestionKey("Gr\u{F6}\u{DF}e", model: "m", scope: .everyone) == QuestionKey("Gro\u{308}\u{DF}e", model: "m", scope: .everyone))
    }

    @Test func `callers and models keep to themselves`() async throws {
        let everyone = QuestionKey("q", model: "m", scope: .everyone)
        #expect(everyone != QuestionKey("q", model: "n", scope: .everyone))
        #expect(everyone != QuestionKey("q", model: "m", scope: RequestScope(caller: .named("ann"))))
        let embedder = CountingEmbedder()
        let retriever = try await library().retriever(embedder: embedder)
        _ = try await retriever.search(SearchRequest(query: "gate"), scope: .everyone)
        _ = try await retriever.search(SearchRequest(query: "gate"), scope: RequestScope(caller: .named("ann")))
        _ = try await retriever.search(SearchRequest(query: "gate"), scope: RequestScope(caller: .named("ann")))
        #expect(embedder.seen.withLock { $0.count } == 2)
    }

    @Test func `none is kept where none is wanted`() async throws {
        let embedder = CountingEmbedder()
        var options = RetrieverOptions()
        options.questionVectorSizeMax = 0
        let retriever = try await library().retriever(embedder: embedder, options: options)
        for _ in 0..<3 { _ = try await retriever.search(SearchRequest(query: "gate")) }
        #expect(embedder.seen.withLock { $0.count } == 3)
    }

    @Test func `words alone look as deep as they must`() async throws {
        let library = try await Library([:])
        // Fifty copies of the best passage stand before the others.
        for number in 0..<50 { try await library.put("copy\(number)", "granite granite bridge") }
        for number in 0..<12 { try await library.put("other\(number)", "a granite wall, the \(number)th of its kind, with a bridge") }
        let response = try await library.retriever().search(SearchRequest(query: "granite bridge", mode: .text, k: 10))
        #expect(response.results.count == 10 && response.results[0].alsoIn?.count ?? 0 >= 10)
        #expect(response.results.dropFirst().allSatisfy { $0.source.hasPrefix("other") })
        var request = SearchRequest(query: "granite bridge", mode: .text, k: 10)
        request.maxPerDocument = 1
        #expect(try await library.retriever().search(request).results.count == 10)
    }
}
