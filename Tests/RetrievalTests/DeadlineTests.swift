import Inference
import Synchronization
import TestSupport
import Testing

@testable import Retrieval

/// Hybrid search with embedders that are slow or broken, by a clock that stands still but for what hangs.
struct DeadlineTests {
    private let time = VirtualTime()

    /// Never comes back, and does not notice that it is cancelled.
    private final class HangingEmbedder: Embedder {
        let model = Library.embedder.model
        let time: VirtualTime
        let callCount = Mutex(0)
        var tokenizer: any Tokenizer { Library.embedder.tokenizer }

        init(_ time: VirtualTime) { self.time = time }

        func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
            callCount.withLock { $0 += 1 }
            await time.hang()
            return try await Library.embedder.embed(texts, for: purpose)
        }
    }

    @Test func `an embedder that is late leaves the text side, and the deadline holds`() async throws {
        let library = try await Library(["a": "one comet", "b": "two comets here"])
        let retriever = library.retriever(embedder: HangingEmbedder(time), time: time)
        let response = try await retriever.search(SearchRequest(query: "comet", deadlineMilliseconds: 200))
        // A tenth is kept for what follows.
        #expect(response.timings[.total] == .milliseconds(180))
        #expect(response.sources == ["a", "b"])
        #expect(response.told == ["vector_skipped: deadline"])
        let start = time.now
        let error = await #expect(throws: RetrievalError.self) {
            try await retriever.search(SearchRequest(query: "comet", mode: .vector, deadlineMilliseconds: 200))
        }
        guard case .deadlineExceeded(200)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(time.now == start + .milliseconds(180))
    }

    @Test func `an embedder that hangs again and again is not asked any more`() async throws {
        let library = try await Library(["a": "one comet"])
        var options = RetrieverOptions()
        options.abandonedCountMax = 1
        let embedder = HangingEmbedder(time)
        let retriever = library.retriever(embedder: embedder, options: options, time: time)
        let request = SearchRequest(query: "comet", deadlineMilliseconds: 100)
        #expect(try await retriever.search(request).told == ["vector_skipped: deadline"])
        let start = time.now
        #expect(try await retriever.search(request).told == ["vector_unavailable: embedder hangs"])
        #expect(embedder.callCount.withLock { $0 } == 1 && time.now == start)
    }

    @Test func `a huge deadline is no deadline`() async throws {
        let library = try await Library(["a": "one comet"])
        let response = try await library.retriever(time: time).search(SearchRequest(query: "comet", deadlineMilliseconds: 1e300))
        #expect(response.sources == ["a"] && response.degradation.isEmpty)
    }

    @Test func `in time, both sides answer and nothing is degraded`() async throws {
        let library = try await Library(["a": "one comet", "b": "two comets here", "c": "nothing"])
        let response = try await library.retriever().search(SearchRequest(query: "one comet", deadlineMilliseconds: 60_000))
        #expect(response.degradation.isEmpty)
        #expect(response.sources.first == "a")
        #expect(response.results.first?.scores.vector != nil && response.results.first?.scores.bm25 != nil)
    }
}
