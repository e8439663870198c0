import Foundation
import Inference
import Storage
import TestSupport
import Testing

@testable import Retrieval

/// The reranking stage against rerankers that are good, slow, partial and broken.
struct RerankingTests {
    /// Without a reranker: a b c d e, since the word stands in ever longer texts.
    private func library() async throws -> Library {
        try await Library([
            "a": "comet rank 1", "b": "comet filler rank 4", "c": "comet filler filler rank 3", "d": "comet filler filler filler rank 5",
            "e": "comet filler filler filler filler rank 2", "x": "nothing of the kind",
        ])
    }

    private func request(_ k: Int = 10) -> SearchRequest { SearchRequest(query: "comet", mode: .text, k: k) }

    @Test func `the reranker's order is the order of the results`() async throws {
        let library = try await library()
        let plain = try await library.retriever().search(request())
        #expect(plain.sources == ["a", "b", "c", "d", "e"])
        #expect(plain.timings[.rerank] == nil)
        let reranker = ScriptedReranker(.scores)
        let response = try await library.retriever(reranker: reranker).search(request())
        #expect(response.sources == ["d", "b", "c", "e", "a"])
        #expect(response.results.map { $0.scores.rerank } == [5, 4, 3, 2, 1])
        #expect(response.degradation.isEmpty)
        #expect(response.timings[.rerank] != nil)
        // The fused score stays what it was, so that a threshold means the same with and without a reranker.
        let fused = Dictionary(uniqueKeysWithValues: plain.results.map { ($0.source, $0.score) })
        #expect(response.results.allSatisfy { $0.score == fused[$0.source] })
        #expect(reranker.calls.count == 1 && reranker.calls[0].first == "comet rank 1")
    }

    @Test func `fewer results than candidates come from the best of all candidates`() async throws {
        let response = try await library().retriever(reranker: ScriptedReranker(.scores)).search(request(2))
        #expect(response.sources == ["d", "b"])
    }

    @Test func `only the best candidates are read, the others keep their order behind them`() async throws {
        let library = try await library()
        var options = RetrieverOptions()
        options.rerankDepth = 3
        let reranker = ScriptedReranker(.scores)
        let response = try await library.retriever(reranker: reranker, options: options).search(request())
        #expect(response.sources == ["b", "c", "a", "d", "e"])
        #expect(reranker.calls.map(\.count) == [3])
        #expect(response.degradation.isEmpty)
        var deeper = request()
        deeper.rerankDepth = 4
        #expect(try await library.retriever(reranker: reranker, options: options).search(deeper).sources == ["d", "b", "c", "a", "e"])
    }

    @Test func `passages that were not scored in time follow in fused order`() async throws {
        let response = try await library().retriever(reranker: ScriptedReranker(.partial(2))).search(request())
        #expect(response.sources == ["b", "a", "c", "d", "e"])
        #expect(response.told == ["rerank_partial: 2 of 5 passages before the deadline"])
        #expect(response.results[2].scores.rerank == nil)
    }

    @Test(arguments: [
        (ScriptedReranker.Conduct.fails, "rerank_unavailable: reranking failed"),
        (.wrongCount, "rerank_unavailable: reranking failed"), (.notANumber, "rerank_skipped: deadline"),
        (.partial(0), "rerank_skipped: deadline"),
    ])
    func `a broken reranker costs the order and nothing else`(conduct: ScriptedReranker.Conduct, rung: String) async throws {
        let response = try await library().retriever(reranker: ScriptedReranker(conduct)).search(request())
        #expect(response.sources == ["a", "b", "c", "d", "e"])
        #expect(response.told == [rung])
        #expect(response.results.allSatisfy { $0.scores.rerank == nil })
    }

    @Test(arguments: [ScriptedReranker.Conduct.sleeps, .hangs])
    func `the deadline holds although the reranker does not keep it`(conduct: ScriptedReranker.Conduct) async throws {
        let library = try await library()
        var request = request()
        request.deadlineMilliseconds = 400
        let time = VirtualTime()
        let response = try await library.retriever(reranker: ScriptedReranker(conduct, time: time), time: time).search(request)
        // A twentieth is kept for what follows.
        #expect(response.timings[.total] == .milliseconds(380) && response.timings[.rerank] == .milliseconds(380))
        #expect(response.sources == ["a", "b", "c", "d", "e"])
        #expect(response.told == ["rerank_skipped: deadline"])
    }

    @Test func `a reranker that hangs again and again is not asked any more`() async throws {
        let library = try await library()
        var options = RetrieverOptions()
        options.abandonedCountMax = 2
        let time = VirtualTime()
        let reranker = ScriptedReranker(.hangs, time: time)
        let retriever = library.retriever(reranker: reranker, options: options, time: time)
        var request = request()
        request.deadlineMilliseconds = 200
        for _ in 0..<2 { #expect(try await retriever.search(request).told == ["rerank_skipped: deadline"]) }
        #expect(try await retriever.search(request).told == ["rerank_unavailable: reranker hangs"])
        #expect(reranker.calls.count == 2)
    }

    @Test func `a request decides whether there is reranking`() async throws {
        let library = try await library()
        let reranker = ScriptedReranker(.scores)
        var request = request()
        request.rerank = false
        #expect(try await library.retriever(reranker: reranker).search(request).sources == ["a", "b", "c", "d", "e"])
        #expect(reranker.calls.isEmpty)
        request.rerank = true
        let response = try await library.retriever().search(request)
        #expect(response.sources == ["a", "b", "c", "d", "e"])
        #expect(response.told == ["rerank_unavailable: no reranking model"])
    }

    @Test func `cancelling the search comes through the reranker`() async throws {
        await #expect(throws: CancellationError.self) {
            try await library().retriever(reranker: ScriptedReranker(.cancelled)).search(request())
        }
    }

    @Test func `the threshold is one of fused scores, and what is below is not read`() async throws {
        let library = try await library()
        let plain = try await library.retriever().search(request())
        var request = request()
        request.scoreThreshold = plain.results[2].score
        let reranker = ScriptedReranker(.scores)
        let response = try await library.retriever(reranker: reranker).search(request)
        #expect(response.sources == ["b", "c", "a"])
        #expect(reranker.calls.map(\.count) == [3])
    }

    @Test func `of one document the passage that the reranker likes best is shown`() throws {
        let order = Retriever.order([
            FusedHit(row: RowID(1), score: 0.9, rerank: 1), FusedHit(row: RowID(2), score: 0.8),
            FusedHit(row: RowID(3), score: 0.7, rerank: 2),
            FusedHit(row: RowID(4), score: 0.6, rerank: 1), FusedHit(row: RowID(5), score: 0.5),
        ])
        #expect(order.map(\.row.rawValue) == [3, 1, 4, 2, 5])
    }

    @Test(arguments: [0, 1001, -1])
    func `a depth that means nothing is refused by name`(depth: Int) async throws {
        let library = try await library()
        var request = request()
        request.rerankDepth = depth
        await #expect(throws: RetrievalError.self) { try await library.retriever().search(request) }
    }

    @Test func `a model that cannot stop half-way gives all scores or none`() async throws {
        struct Plain: Reranker {
            let name = "plain"
            func rerank(query: String, passages: [String]) async throws -> [Float] { passages.map { Float($0.count) } }
        }
        #expect(try await Plain().rerank(query: "q", passages: ["a", "bb"], deadline: nil) == [1, 2])
        #expect(try await Plain().rerank(query: "q", passages: ["a", "bb"], deadline: .now + .seconds(60)) == [1, 2])
        #expect(try await Plain().rerank(query: "q", passages: ["a", "bb"], deadline: .now - .seconds(1)) == [nil, nil])
    }
}
