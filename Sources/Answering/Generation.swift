import Inference
import Synchronization

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

/// What is known of a model's speed, so that a request that cannot end in time is not begun.
///
/// Exponentially weighted means of what was measured. Each time the model is passed over the means shrink a little, so that it gets another
/// chance after a while. A model whose first token does not come at all, several times running, is left alone for a time: otherwise each
/// question without a deadline would wait for it in full.
final class SpeedEstimate: Sendable {
    private struct State {
        var firstToken: Double?
        var perToken: Double?
        var missCount = 0
        var pausedUntil: ContinuousClock.Instant?
    }
    private static let missCountMax = 2
    private static let pause = Duration.seconds(30)
    private let state = Mutex(State())
    private static let newShare = 0.3
    private static let decay = 0.9

    /// Seconds until a short answer would be there; nil when nothing was measured yet.
    func secondsFor(tokens: Int) -> Double? {
        state.withLock { state in state.firstToken.map { $0 + (state.perToken ?? 0) * Double(tokens) } }
    }

    func record(_ run: GenerationRun, total: Duration) {
        guard let firstToken = run.timeToFirstToken else { return }
        state.withLock { state in
            state.missCount = 0
            Self.blend(&state.firstToken, firstToken / .seconds(1))
            if run.pieceCount > 4 { Self.blend(&state.perToken, (total - firstToken) / .seconds(1) / Double(run.pieceCount - 1)) }
        }
    }

    /// A first token that did not come: at least as slow as the wait.
    func recordMissed(after wait: Duration, now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            state.missCount += 1
            if state.missCount >= Self.missCountMax { state.pausedUntil = now + Self.pause }
            let seconds = wait / .seconds(1)
            if seconds > state.firstToken ?? 0 { Self.blend(&state.firstToken, seconds) }
        }
    }

    /// Whether the model did not answer lately and is not to be asked now. After the pause one more miss begins the next.
    func isPaused(at now: ContinuousClock.Instant = .now) -> Bool {
        state.withLock { state in state.pausedUntil.map { now < $0 } ?? false }
    }

    func recordSkipped() {
        state.withLock { state in
            state.firstToken = state.firstToken.map { $0 * Self.decay }
            state.perToken = state.perToken.map { $0 * Self.decay }
        }
    }

    private static func blend(_ value: inout Double?, _ new: Double) { value = value.map { $0 * (1 - newShare) + new * newShare } ?? new }
}
