import Answering
import ArgumentParser
import Documents
import Foundation
import HTTPFrontend
import Retrieval

extension PlanName: ExpressibleByArgument {}

struct AskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ask", abstract: "Answers a question with citations, or says that there is not enough information.")

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions
    @OptionGroup var filter: FilterOptions

    @Argument(help: "The question.")
    var question: String

    @Option(name: .shortAndLong, help: "Passages to retrieve.")
    var k = 8

    @Option(name: .long, help: "hybrid, text (BM25) or vector.")
    var mode: SearchMode = .hybrid

    @Option(name: .long, help: "extractive, llama or openai; default: the language model when one is given.")
    var generator: String?

    @Option(
        name: .long,
        help:
            "How passages are found: direct (one search), hyde (a model writes a passage to search), subquestions, or hops (search, read, search again)."
    )
    var plan: PlanName = .direct

    @Option(name: .long, help: "Most tokens of a generated answer.")
    var maxTokens = 512

    @Option(name: .long, help: "Refuse below this confidence, 0 to 1; default: the calibrated threshold.")
    var refuseBelow: Float?

    @Option(name: .long, help: "Milliseconds within which an answer must come; stages are left out rather than waited for.")
    var deadlineMs: Double?

    @Flag(name: .long, help: "Print the plan, and what came of its steps, before the answer.")
    var explain = false

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let engine = try Engine.open(folder, models: models, needs: [.embedder, .generators], logger: CommandLog.make())
        let request = AnswerRequest(
            question: question, collection: data.collection, mode: mode, k: k, filter: try filter.parsed(), generator: generator,
            maxTokens: maxTokens,
            refuseBelow: refuseBelow, deadlineMilliseconds: deadlineMs, plan: plan)
        if json {
            let response = try await Self.answer(request, engine)
            try Output.json(AnswerResponseBody(response))
        } else {
            try await Self.tell(request, engine, explain: explain)
        }
        try await engine.close()
    }

    /// The whole answer, without streaming.
    static func answer(_ request: AnswerRequest, _ engine: Engine) async throws -> AnswerResponse {
        for try await event in engine.answers.answer(request, scope: .everyone) { if case .done(let response) = event { return response } }
        throw AnsweringError.failed("the answer ended early")
    }

    /// `retrieve: How tall is the tower? (8 passages)`.
    private static func told(_ step: PlanStep) -> String {
        let texts = step.texts.isEmpty ? "nothing" : step.texts.joined(separator: " | ")
        return "\(step.name): \(texts)" + (step.passageCount.map { " (\($0) passages)" } ?? "")
    }

    /// Streams an answer to the terminal, then its citations and timings.
    static func tell(_ request: AnswerRequest, _ engine: Engine, explain: Bool = false) async throws {
        var streamed = ""
        for try await event in engine.answers.answer(request, scope: .everyone) {
            switch event {
            case .plan(let plan):
                if explain { for stage in plan.lines { Output.line(Output.dim("\(stage.name): \(stage.detail)")) } }
            case .step(let step): if explain { Output.line(Output.dim("  " + Self.told(step))) }
            case .token(let text):
                streamed += text
                FileHandle.standardOutput.write(Data(text.utf8))
            case .reset(let reason):
                streamed = ""
                Output.line("\n" + Output.dim("(void: \(reason))"))
            case .sources, .progress, .citation, .timings: break
            case .done(let response):
                Output.line(streamed.isEmpty ? response.answer : "")
                if response.refused {
                    for passage in response.nearest {
                        Output.line(Output.dim("near: \(passage.source)\(passage.page.map { ", page \($0)" } ?? "")"))
                    }
                }
                for citation in response.citations {
                    let page = citation.page.map { ", page \($0)" } ?? ""
                    Output.line(
                        "\(Output.bold("[\(citation.marker)]")) \(citation.source)\(page), bytes \(citation.span.start)-\(citation.span.end)"
                    )
                    Output.line("    \"\(citation.quote.split(whereSeparator: \.isWhitespace).joined(separator: " "))\"")
                }
                for rung in response.degradation { Output.line(Output.dim("degraded: \(rung)")) }
                Output.line(
                    Output.dim(
                        "confidence \(String(format: "%.2f", response.confidence)) · \(response.generator) · \(Output.timings(response.timings))"
                    ))
            }
        }
    }
}
