import Inference
import Metrics
import TestSupport
import Testing

@testable import Retrieval

/// Steps down are counted where they are taken, once, under their own names.
struct DegradationTests {
    @Test(arguments: [
        (ScriptedReranker.Conduct.fails, Rung.rerankUnavailable), (.partial(2), .rerankPartial), (.partial(0), .rerankSkipped),
    ])
    func `each rung of reranking has its own count`(conduct: ScriptedReranker.Conduct, rung: Rung) async throws {
        let library = try await Library(["a": "comet rank 1", "b": "comet filler rank 4", "c": "comet filler filler rank 3"])
        let metrics = RecordedMetrics()
        let response = try await withMetricsFactory(metrics) {
            try await library.retriever(reranker: ScriptedReranker(conduct)).search(SearchRequest(query: "comet", mode: .text))
        }
        #expect(response.degradation.map(\.rung) == [rung])
        #expect(metrics.counts(of: "outrider_degraded_total") == [rung.rawValue: 1])
    }

    @Test func `what is missing, and quotes that nothing meets, are counted too`() async throws {
        let library = try await Library(["a": "one comet", "b": "two comets here"])
        let metrics = RecordedMetrics()
        let response = try await withMetricsFactory(metrics) {
            try await library.retriever(embedder: nil).search(SearchRequest(query: "\"comet one\""))
        }
        #expect(
            response.told == [
                "vector_unavailable: no embedding model", "phrase_relaxed: no passage has the words in quotes in this order",
            ])
        #expect(metrics.counts(of: "outrider_degraded_total") == ["vector_unavailable": 1, "phrase_relaxed": 1])
    }

    @Test func `names on the wire are distinct words`() {
        #expect(Rung.allCases.allSatisfy { $0.rawValue.allSatisfy { $0.isLowercase || $0 == "_" } })
        #expect(Degradation(.vectorSkipped, "deadline").description == "vector_skipped: deadline")
    }

    @Test func `steps that another stage took are told once and not counted again`() {
        let metrics = RecordedMetrics()
        withMetricsFactory(metrics) {
            var search = Ladder()
            search.take(.vectorSkipped, "deadline")
            var answer = Ladder()
            answer.adopt(search.steps)
            answer.adopt(search.steps)
            answer.take(.citationsDropped, "2 quotes are not what is stored now")
            #expect(answer.steps.map(\.rung) == [.vectorSkipped, .citationsDropped])
        }
        #expect(metrics.counts(of: "outrider_degraded_total") == ["vector_skipped": 1, "citations_dropped": 1])
    }
}
