import Execution
import Inference

/// One run of a language model, watched by clocks.
struct GenerationRun: Sendable {
    enum End: Sendable {
        case stop
        /// The model reached `maxTokens`.
        case length
        /// The time was up; `text` holds what came before.
        case deadline
        /// The first token did not come in time.
        case noFirstToken
        case failed(String)

        /// Why there is no more; nil where the model itself ended.
        var reason: String? {
            switch self {
            case .stop, .length: nil
            case .deadline: "deadline"
            case .noFirstToken: "no first token in time"
            case .failed(let reason): reason
            }
        }
    }

    /// What happens while a model runs.
    enum Update: Sendable {
        case text(String)
        /// The text so far was reasoning.
        case reset
        case progress(GenerationProgress)
    }

    /// How long a model may take for its first token, counted from its turn: waiting in a queue costs nothing.
    struct Patience: Sendable {
        var firstToken: Duration
        /// Each piece of the prompt that is read moves the limit on.
        var growsWhileReading = false
    }

    /// Without reasoning.
    var text = ""
    var end = End.stop
    var usage: GenerationUsage?
    /// From the model's turn to whatever it wrote first.
    var timeToFirstToken: Duration?
    /// From the beginning to the first text of an answer.
    var timeToFirstText: Duration?
    var pieceCount = 0

    /// Text beyond this is a model that does not stop.
    private static let sizeMax = 1 << 20
    /// Bytes that a token has at most, with room to spare: what comes beyond `maxTokens` of them did not keep to it, and would be worked on for nothing.
    private static let tokenSizeMax = 32
    private static let silent = "the model ended without a word"
    private static let thoughtOnly = "the model thought and did not answer"

    private enum Event: Sendable {
        case event(GenerationEvent)
        case ended
        case failed(String)
        case firstTokenDue
        case deadline
    }

    /// Runs a model until it ends or its time is up. A model that ignores its cancellation is left behind, and counted in `limit`.
    ///
    /// - Parameter onUpdate: Called with each piece and sign of life, in order, from this task. The model goes on while it takes its time.
    /// - Throws: `CancellationError` when the caller is cancelled, and what `onUpdate` throws; everything else is told by `end`.
    static func run(
        _ generator: any Generator, _ request: GenerationRequest, limit: TimeLimit, patience: Patience,
        deadline: ContinuousClock.Instant, onUpdate: (Update) async throws -> Void
    ) async throws -> GenerationRun {
        try Task.checkCancellation()
        var run = GenerationRun()
        guard limit.abandonedCount < limit.abandonedCountMax else {
            run.end = .failed("earlier requests to it still hang")
            return run
        }
        let time = limit.time
        let start = time.now
        // The bound is far above what `sizeMax` lets through in tokens of one byte.
        let (events, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(sizeMax))
        let work = TimeLimit.Work(limit)
        let pump = Task {
            do {
                for try await event in generator.generate(request) { continuation.yield(.event(event)) }
                continuation.yield(.ended)
            } catch {
                continuation.yield(.failed("\(error)"))
            }
            work.finish()
        }
        // When the first token is due; nil while the model waits for its turn.
        var due: ContinuousClock.Instant? = start + patience.firstToken
        var timer: Task<Void, any Error>?
        // One timer, for what comes next; it is set anew when that changes.
        func setTimer() {
            timer?.cancel()
            let next = min(due ?? deadline, deadline)
            timer = Task {
                try await time.sleep(until: next)
                continuation.yield(next < deadline ? .firstTokenDue : .deadline)
            }
        }
        func change(_ newDue: ContinuousClock.Instant?) {
            guard due != newDue else { return }
            due = newDue
            setTimer()
        }
        setTimer()
        defer {
            pump.cancel()
            timer?.cancel()
            work.leave()
        }
        var turn = start
        var hasTurn = false
        var filter = ReasoningFilter()
        func begin() {
            if due == nil, !hasTurn { turn = time.now }
            hasTurn = true
        }
        func hasBegunWriting() {
            begin()
            if run.timeToFirstToken == nil { run.timeToFirstToken = turn.duration(to: time.now) }
            change(deadline)
        }
        func accept(_ outputs: [ReasoningFilter.Output]) async throws {
            for output in outputs {
                switch output {
                case .text(let text):
                    if run.timeToFirstText == nil { run.timeToFirstText = start.duration(to: time.now) }
                    run.text += text
                    try await onUpdate(.text(text))
                case .reset:
                    run.text = ""
                    try await onUpdate(.reset)
                }
            }
        }
        for await event in events {
            switch event {
            case .event(.progress(let progress)):
                switch progress {
                case .queued:
                    if !hasTurn { change(nil) }
                case .reading:
                    let isFirst = due == nil
                    begin()
                    if isFirst || patience.growsWhileReading, run.timeToFirstToken == nil { change(time.now + patience.firstToken) }
                case .thinking: hasBegunWriting()
                }
                try await onUpdate(.progress(progress))
            case .event(.text(let piece)):
                hasBegunWriting()
                run.pieceCount += 1
                let wasThinking = filter.isThinking
                try await accept(filter.push(piece))
                if filter.isThinking, !wasThinking || run.pieceCount.isMultiple(of: 16) { try await onUpdate(.progress(.thinking)) }
                if run.text.utf8.count > min(sizeMax, max(4096, request.maxTokens * tokenSizeMax)) {
                    run.end = .length
                    return run
                }
            case .event(.finished(let reason, let usage)):
                try await accept(filter.finish())
                run.usage = usage
                run.end = reason == .length ? .length : reason == .cancelled ? .failed("the model was cancelled") : .stop
                if run.text.isEmpty { run.end = .failed(run.timeToFirstToken == nil ? Self.silent : Self.thoughtOnly) }
                return run
            case .ended:
                try await accept(filter.finish())
                // Without a last event the model's end is not known to be whole.
                run.end = run.text.isEmpty ? .failed(run.timeToFirstToken == nil ? Self.silent : Self.thoughtOnly) : .stop
                return run
            case .failed(let reason):
                try await accept(filter.finish())
                run.end = .failed(reason)
                return run
            case .firstTokenDue:
                // The turn may have come, or a piece been read, since the timer rang.
                guard run.timeToFirstToken == nil, let latest = due, latest <= time.now else {
                    setTimer()
                    continue
                }
                run.end = .noFirstToken
                return run
            case .deadline:
                try await accept(filter.finish())
                run.end = .deadline
                return run
            }
        }
        throw CancellationError()
    }
}

extension Generator {
    /// Tokens of a text, or about so many.
    func countTokens(_ text: String) -> Int { tokenizer?.count(text) ?? text.utf8.count / 3 + 1 }
}
