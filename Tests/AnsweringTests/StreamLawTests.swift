import Documents
import Execution
import Inference
import Logging
import Retrieval
import TestSupport
import Testing

@testable import Answering

private let warranty: [(title: String, text: String)] = [
    ("Terms", "The warranty lasts thirty-one months from delivery. The sender pays for freight up to nine kilograms."),
    ("Menu", "Soup is served at noon. Bread costs two crowns."),
    ("Trains", "The first railway in Japan opened in 1872. It linked Tokyo and Yokohama."),
]
private let right = "The warranty lasts thirty-one months [1]."
private let wrong = "The warranty lasts forty-four months [1]. Freight is paid by the sender [7]."

/// The law of a stream: the tokens since the last reset, joined, are the answer of `done`; and reasoning is never among them.
@Suite struct `Law of the stream` {
    private func play(
        _ steps: [ScriptedGenerator.Step], question: String = "How long is the warranty?"
    ) async throws -> (
        response: AnswerResponse, tokens: String, all: String
    ) {
        let collection = MemoryCollection(warranty)
        let engine = AnswerEngine(
            searching: collection, statistics: collection, spans: collection, embedder: nil,
            generators: [("model", ScriptedGenerator(steps, contextLength: 4096))],
            options: {
                var options = AnswerOptions()
                options.firstTokenTimeMax = .milliseconds(300)
                return options
            }(), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        var tokens = ""
        var all = ""
        var response: AnswerResponse?
        for try await event in engine.answer(AnswerRequest(question: question)) {
            switch event {
            case .token(let text):
                tokens += text
                all += text
            case .reset: tokens = ""
            case .done(let done): response = done
            default: break
            }
        }
        return (try #require(response), tokens, all)
    }

    private static func words(_ text: String) -> [ScriptedGenerator.Step] {
        text.split(separator: " ", omittingEmptySubsequences: false).map { .text($0 + " ") }
    }

    private static let scripts: [(name: String, steps: [ScriptedGenerator.Step])] = [
        ("a right answer", words(right)), ("a wrong one", words(wrong)),
        ("reasoning", words("<think>Maybe it is ninety-nine months? Source 1 says thirty-one.</think>") + words(right)),
        ("reasoning in pieces", "<think>ninety-nine</think>\n\n\(right)".map { .text(String($0)) }),
        ("reasoning only", words("<think>The warranty might be ninety-nine months [1]. I need")),
        ("reasoning without its opening", words("Maybe ninety-nine months.</think>") + words(right)),
        ("an error midway", [.text("The warranty "), .fail(.connection(name: "m", reason: "gone"))]),
        ("an error after a sentence", [.text(right), .text(" And it"), .fail(.connection(name: "m", reason: "gone"))]),
        ("an error at once", [.fail(.overloaded(queued: 1, limit: 1))]), ("silence", []), ("a hang", [.hang]),
        ("one good and one bad sentence", words(right + " Freight costs seventy crowns [1].")),
        ("markers of another style", words("The warranty lasts thirty-one months【1】.")),
        ("bold and a label", words("**Answer:** The warranty lasts **31 months** [1].")),
        ("a list", words("1. The warranty lasts thirty-one months. [1]")), ("a courtesy", words("Sure! \(right)")),
        ("white space around", [.text("\n\n"), .text(right), .text("\n \n")]), ("a refusal", words("I don't have enough information.")),
        ("a source that is none", words("The warranty lasts thirty-one months [9].")),
        ("no marker", words("The warranty lasts thirty-one months.")),
    ]

    @Test(arguments: scripts.indices)
    func `joined tokens are the answer`(script: Int) async throws {
        let (name, steps) = Self.scripts[script]
        let (response, tokens, all) = try await play(steps)
        #expect(tokens == response.answer, "\(name)")
        #expect(
            !tokens.contains("ninety") && !tokens.contains("forty-four") && !tokens.contains("seventy") && !tokens.contains("think"),
            "\(name)")
        if !name.contains("without its opening") { #expect(!all.contains("ninety"), "\(name)") }
        for citation in response.citations {
            #expect(response.answer.contains("[\(citation.marker)]") || !response.answer.contains("["), "\(name)")
        }
    }

    @Test(arguments: [
        "The warranty lasts thirty-one months【1】.", "The warranty lasts thirty-one months (1).",
        "The warranty lasts thirty-one months [^1].",
        "**Answer:** The warranty lasts thirty-one months [1].", "The warranty lasts 31 months [1].",
        "1. The warranty lasts thirty-one months. [1]", "The warranty lasts thirty-one months [Source 1].",
        "The warranty lasts **thirty-one months** [1].", "Sure! The warranty lasts thirty-one months [1].",
        "The warranty lasts thirty-one months 【source 1】.", "Answer: 31 months from delivery [1].",
        "- The warranty lasts **31** months [1]",
        "Final answer: The warranty lasts thirty-one months from delivery.[1]", "According to source 1, the warranty lasts 31 months [1].",
        "Here is the answer:\n\nThe warranty lasts thirty-one months [1].", "## Answer\n\nThe warranty lasts thirty-one months [1].",
    ])
    func `a good answer survives its dress`(text: String) async throws {
        let (response, tokens, _) = try await play(Self.words(text))
        #expect(response.generator == "scripted" && !response.refused, "\(response.told) \(response.rejected)")
        #expect(response.citations.map(\.quote) == ["The warranty lasts thirty-one months from delivery."])
        #expect(tokens == response.answer)
    }

    @Test(arguments: [
        "The warranty lasts forty-four months [1].", "The warranty lasts 13 months [1].", "The warranty lasts 3.1 months [1].",
        "**Answer:** The warranty lasts 310 months [1].", "Die Garantie dauert vierundvierzig Monate [1].",
        "The warranty of model X-200 lasts thirty-one months [1].", "The warranty lasts thirty-one years, says Anna Borne of Arlen [1].",
    ])
    func `a wrong number, code or name is rejected and told`(text: String) async throws {
        let (response, tokens, _) = try await play(Self.words(text))
        #expect(response.generator == "extractive", "\(response.answer)")
        #expect(response.rejected.map(\.generator) == ["model"] && response.rejected.map(\.text) == [text])
        #expect(tokens == response.answer)
    }
}

@Suite struct `Waiting for a model` {
    /// Tells how far it is, then answers.
    /// Each event comes after its time has passed, and when the one before was taken.
    private struct Reader: Generator {
        var name: String { "reader" }
        var contextLength: Int { 4096 }
        var tokenizer: (any Tokenizer)? { nil }
        var events: [(Duration, GenerationEvent)]
        let time: VirtualTime
        func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
            let events = events
            let time = time
            let position = Shared(0)
            return AsyncThrowingStream {
                let next = position.value
                position.change { $0 += 1 }
                guard next < events.count else {
                    if case .finished? = events.last?.1 { return nil }
                    await time.hang()
                    return nil
                }
                time.advance(by: events[next].0)
                return events[next].1
            }
        }
    }

    private func run(_ events: [(Duration, GenerationEvent)], _ patience: GenerationRun.Patience) async throws -> GenerationRun {
        let time = VirtualTime()
        return try await GenerationRun.run(
            Reader(events: events, time: time), GenerationRequest(messages: []), limit: TimeLimit(abandonedCountMax: 4, time: time),
            patience: patience, deadline: time.now + .seconds(60), onUpdate: { _ in })
    }

    private static let written: [(Duration, GenerationEvent)] = [
        (.zero, .text("Yes.")), (.zero, .finished(.stop, GenerationUsage(promptTokens: 9, completionTokens: 1))),
    ]

    @Test func `a wait in the queue does not count`() async throws {
        let events: [(Duration, GenerationEvent)] =
            [(.zero, .progress(.queued(ahead: 1))), (.milliseconds(1500), .progress(.reading(tokens: 0, of: 9)))] + Self.written
        let run = try await run(events, .init(firstToken: .milliseconds(1000)))
        #expect(run.text == "Yes.")
        #expect(run.timeToFirstToken == .zero && run.timeToFirstText == .milliseconds(1500))
    }

    @Test func `reading moves the limit on where it may`() async throws {
        let steps = (1...6).map { (Duration.milliseconds(300), GenerationEvent.progress(.reading(tokens: $0, of: 6))) }
        #expect(try await run(steps + Self.written, .init(firstToken: .milliseconds(1200), growsWhileReading: true)).text == "Yes.")
        guard case .noFirstToken = try await run(steps, .init(firstToken: .milliseconds(1200))).end else {
            Issue.record("a fixed limit is not moved")
            return
        }
    }

    @Test func `a model that thinks has begun`() async throws {
        let events: [(Duration, GenerationEvent)] =
            [(.zero, .progress(.thinking)), (.milliseconds(1500), .progress(.thinking))] + Self.written
        #expect(try await run(events, .init(firstToken: .milliseconds(1000))).text == "Yes.")
    }

    @Test func `speed is learned by the prompt's length`() {
        let speed = SpeedEstimate()
        #expect(speed.secondsToRead(1000) == nil && speed.promptTokens(within: 10) == nil)
        var run = GenerationRun()
        run.timeToFirstToken = .seconds(20)
        speed.record(run, promptTokens: 1000, total: .seconds(25))
        #expect(abs(speed.secondsToRead(500)! - 10) < 1e-9 && speed.promptTokens(within: 5) == 250)
    }
}
