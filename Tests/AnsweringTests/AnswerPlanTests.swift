import Documents
import Inference
import Retrieval
import Testing

@testable import Answering

struct AnswerPlanTests {
    private func plan(_ request: AnswerRequest, models: [String] = [], embedder: String? = nil) -> AnswerPlan {
        AnswerPlan(request, models: models, embedder: embedder, options: AnswerOptions())
    }

    private func told(_ plan: AnswerPlan) -> [String] { plan.lines.map { "\($0.name): \($0.detail)" } }

    @Test func `a plan is read as it always was`() {
        let turns = [ChatMessage(role: .user, content: "x")]
        let full = plan(
            AnswerRequest(question: "q", k: 4, filter: .exists("year"), turns: turns), models: ["llama", "openai"], embedder: "minilm")
        #expect(
            told(full) == [
                "rewrite: by 'llama', else by words of earlier turns", "retrieve: hybrid, k = 4, filtered",
                "score: sentences by words and 'minilm'", "generate: llama, else openai, else extractive, else refuse",
                "check: markers against sources, quotes against stored text",
            ])
        #expect(full.generator == "llama" && full.time == .seconds(110))
        let small = plan(AnswerRequest(question: "q", mode: .text, turns: turns, deadlineMilliseconds: 250))
        #expect(
            told(small) == [
                "rewrite: by words of earlier turns", "retrieve: text, k = 8", "score: sentences by words",
                "generate: extractive, else refuse",
                "check: markers against sources, quotes against stored text",
            ])
        #expect(small.generator == "extractive" && small.time == .milliseconds(250))
    }

    @Test func `a budget is a share within its bounds`() {
        let budget = AnswerPlan.Budget(0.25, longest: .seconds(5), shortest: .milliseconds(50))
        #expect(budget.time(of: .seconds(8)) == .seconds(2))
        #expect(budget.time(of: .seconds(60)) == .seconds(5))
        #expect(budget.time(of: .zero) == .milliseconds(50) && budget.time(of: .seconds(-3)) == .milliseconds(50))
        #expect(AnswerPlan.Budget(0.5).time(of: .seconds(-3)) == .zero)
    }

    @Test func `no deadline is longer than the longest`() {
        #expect(plan(AnswerRequest(question: "q", deadlineMilliseconds: 1e300)).time == AnswerOptions().deadlineMax)
    }
}
