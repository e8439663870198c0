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
    }

    var text = ""
    var end = End.stop
    var usage: GenerationUsage?
    var timeToFirstToken: Duration?
    var pieceCount = 0

    /// Text beyond this is a model that does not stop.
    private static let sizeMax = 1 << 20
    private static let silent = "the model ended without a word"

    private enum Event: Sendable {
        case event(GenerationEvent)
        case ended
        case failed(String)
        case firstTokenDue
        case deadline
    }

    /// Runs a model until it ends or its time is up. A model that ignores its cancellation is left behind, and counted in `limit`.
    ///
    /// - Parameter onText: Called with each piece, in order, from this task.
    /// - Throws: `CancellationError` when the caller is cancelled; everything else is told by `end`.
    static func run(
        _ generator: any Generator, _ request: GenerationRequest, limit: TimeLimit, firstTokenBy: ContinuousClock.Instant,
        deadline: ContinuousClock.Instant,
        onText: (String) -> Void
    ) async throws -> GenerationRun {
        try Task.checkCancellation()
        var run = GenerationRun()
        guard limit.abandonedCount < limit.abandonedCountMax else {
            run.end = .failed("earlier requests to it still hang")
            return run
        }
        let start = ContinuousClock.now
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
        let timer = Task {
            try await Task.sleep(until: min(firstTokenBy, deadline), clock: .continuous)
            continuation.yield(.firstTokenDue)
            try await Task.sleep(until: deadline, clock: .continuous)
            continuation.yield(.deadline)
        }
        defer {
            pump.cancel()
            timer.cancel()
            work.leave()
        }
        for await event in events {
            switch event {
            case .event(.text(let text)):
                if run.timeToFirstToken == nil { run.timeToFirstToken = start.duration(to: .now) }
                run.text += text
                run.pieceCount += 1
                onText(text)
                if run.text.utf8.count > sizeMax {
                    run.end = .length
                    return run
                }
            case .event(.finished(let reason, let usage)):
                run.usage = usage
                run.end = reason == .length ? .length : reason == .cancelled ? .failed("the model was cancelled") : .stop
                if run.text.isEmpty { run.end = .failed(Self.silent) }
                return run
            case .ended:
                // Without a last event the model's end is not known to be whole.
                run.end = run.text.isEmpty ? .failed(Self.silent) : .stop
                return run
            case .failed(let reason):
                run.end = .failed(reason)
                return run
            case .firstTokenDue:
                guard run.timeToFirstToken == nil else { continue }
                run.end = .noFirstToken
                return run
            case .deadline:
                run.end = .deadline
                return run
            }
        }
        throw CancellationError()
    }
}
