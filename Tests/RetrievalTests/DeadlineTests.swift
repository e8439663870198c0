import Foundation
import Inference
import Synchronization
import Testing

@testable import Retrieval

/// Hybrid search with embedders that are slow or broken.
struct DeadlineTests {
    private final class SlowEmbedder: Embedder {
        let model = Library.embedder.model
        let callCount = Mutex(0)
        var tokenizer: any Tokenizer { Library.embedder.tokenizer }

        func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
            callCount.withLock { $0 += 1 }
            await withCheckedContinuation { continuation in
                // Blocks a thread of its own for much longer than the deadline, and does not notice that it is cancelled.
                Thread {
                    Thread.sleep(forTimeInterval: 120)
                    continuation.resume()
                }.start()
            }
            return try await Library.embedder.embed(texts, for: purpose)
        }
    }

    @Test func `an embedder that is late leaves the text side, and the deadline holds`() async throws {
        let library = try await Library(["a": "one comet", "b": "two comets here"])
        let retriever = library.retriever(embedder: SlowEmbedder())
        let start = ContinuousClock.now
        let response = try await retriever.search(SearchRequest(query: "comet", deadlineMilliseconds: 200))
        #expect(ContinuousClock.now - start < .seconds(60))
        #expect(response.sources == ["a", "b"])
        #expect(response.told == ["vector_skipped: deadline"])
        await #expect(throws: RetrievalError.self) {
            try await retriever.search(SearchRequest(query: "comet", mode: .vector, deadlineMilliseconds: 200))
        }
    }

    @Test func `an embedder that hangs again and again is not asked any more`() async throws {
        let library = try await Library(["a": "one comet"])
        var options = RetrieverOptions()
        options.abandonedCountMax = 1
        let embedder = SlowEmbedder()
        let retriever = library.retriever(embedder: embedder, options: options)
        let request = SearchRequest(query: "comet", deadlineMilliseconds: 100)
        // On a busy machine a search may be late before it comes to the embedder, which is then not called.
        for _ in 0..<100 where embedder.callCount.withLock({ $0 }) == 0 {
            #expect(try await retriever.search(request).told == ["vector_skipped: deadline"])
        }
        #expect(try await retriever.search(request).told == ["vector_unavailable: embedder hangs"])
    }

    @Test func `in time, both sides answer and nothing is degraded`() async throws {
        let library = try await Library(["a": "one comet", "b": "two comets here", "c": "nothing"])
        let response = try await library.retriever().search(SearchRequest(query: "one comet", deadlineMilliseconds: 60_000))
        #expect(response.degradation.isEmpty)
        #expect(response.sources.first == "a")
        #expect(response.results.first?.scores.vector != nil && response.results.first?.scores.bm25 != nil)
    }
}
