import Inference
import Testing

@testable import Answering

/// All that a client was told of one answer.
struct Outcome {
    var events: [AnswerEvent] = []
    var response: AnswerResponse
    /// By the engine's clock.
    var elapsed: Duration
    /// What a client holds at the end: the tokens since the last reset.
    var tokens: String {
        events.reduce(into: "") { text, event in
            switch event {
            case .token(let piece): text += piece
            case .reset: text = ""
            default: break
            }
        }
    }
    /// Texts that were taken back.
    var resetCount: Int { events.count { if case .reset = $0 { true } else { false } } }
    /// The tokens, each as it was sent.
    var pieces: [String] { events.compactMap { if case .token(let text) = $0 { text } else { nil } } }
    /// The events' names; of several alike in a row, one.
    var names: [String] {
        var names: [String] = []
        for event in events {
            let name =
                switch event {
                case .plan: "plan"
                case .step: "step"
                case .sources: "sources"
                case .progress: "progress"
                case .token: "token"
                case .reset: "reset"
                case .citation: "citation"
                case .timings: "timings"
                case .done: "done"
                }
            if names.last != name { names.append(name) }
        }
        return names
    }
}

/// Plays a whole answer.
func ask(_ engine: AnswerEngine, _ request: AnswerRequest) async throws -> Outcome {
    let start = engine.time.now
    var events: [AnswerEvent] = []
    for try await event in engine.answer(request) { events.append(event) }
    guard case .done(let response)? = events.last else {
        Issue.record("the last event is not done")
        throw CancellationError()
    }
    return Outcome(events: events, response: response, elapsed: start.duration(to: engine.time.now))
}
