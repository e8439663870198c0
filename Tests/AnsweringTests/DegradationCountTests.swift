import Documents
import Inference
import Logging
import Metrics
import Retrieval
import TestSupport
import Testing

@testable import Answering

/// Answers as the real retriever does when it is given no embedder: it counts its step down itself.
private struct DegradedSearch: Searching {
    let collection: MemoryCollection
    func search(_ request: SearchRequest, scope: RequestScope) async throws -> SearchResponse {
        var response = try await collection.search(request, scope: scope)
        var ladder = Ladder()
        ladder.take(.vectorSkipped, "deadline")
        response.degradation = ladder.steps
        return response
    }
}

@Suite struct `Steps down of an answer` {
    @Test func `those of its search and its own are each counted once`() async throws {
        let collection = MemoryCollection([("Eiffel Tower", "The Eiffel Tower is a lattice tower in Paris. The tower is 330 metres tall.")])
        let generators: [(name: String, generator: any Generator)] = [
            ("first", ScriptedGenerator([.fail(.connection(name: "m", reason: "refused"))])),
            ("second", ScriptedGenerator([.fail(.connection(name: "m", reason: "refused"))])),
        ]
        let metrics = RecordedMetrics()
        let response: AnswerResponse? = try await withMetricsFactory(metrics) {
            let engine = AnswerEngine(
                searching: DegradedSearch(collection: collection), statistics: collection, spans: collection, embedder: nil,
                generators: generators, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            for try await event in engine.answer(AnswerRequest(question: "How tall is the Eiffel Tower?")) {
                if case .done(let response) = event { return response }
            }
            return nil
        }
        #expect(response?.degradation.map(\.rung) == [.vectorSkipped, .generatorFailed, .generatorFailed])
        #expect(metrics.counts(of: "outrider_degraded_total") == ["vector_skipped": 1, "generator_failed": 2])
        #expect(metrics.counts(of: "outrider_answers_total") == ["answered": 1])
    }
}
