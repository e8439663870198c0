import Synchronization

/// What is known of a model's speed, so that a request that cannot end in time is not begun.
///
/// Exponentially weighted means of what was measured. Each time the model is passed over the means shrink a little, so that it gets another
/// chance after a while. A model whose first token does not come at all, several times running, is left alone for a time: otherwise each
/// question without a deadline would wait for it in full.
final class SpeedEstimate: Sendable {
    private struct State {
        var firstToken: Double?
        var perToken: Double?
        /// Seconds to read a token of a prompt.
        var perPromptToken: Double?
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

    /// Seconds until a prompt of so many tokens is read; nil when nothing was measured yet.
    func secondsToRead(_ tokens: Int) -> Double? { state.withLock { state in state.perPromptToken.map { $0 * Double(tokens) } } }

    /// Tokens of a prompt that are read in a time; nil when nothing was measured yet.
    func promptTokens(within seconds: Double) -> Int? {
        state.withLock { state in
            guard let each = state.perPromptToken, each > 0 else { return nil }
            return Int(min(1e6, max(0, seconds / each)))
        }
    }

    func record(_ run: GenerationRun, promptTokens: Int = 0, total: Duration) {
        guard let firstToken = run.timeToFirstToken else { return }
        state.withLock { state in
            state.missCount = 0
            if promptTokens >= 64 { Self.blend(&state.perPromptToken, firstToken / .seconds(1) / Double(promptTokens)) }
            Self.blend(&state.firstToken, firstToken / .seconds(1))
            if run.pieceCount > 4 { Self.blend(&state.perToken, (total - firstToken) / .seconds(1) / Double(run.pieceCount - 1)) }
        }
    }

    /// A first token that did not come: at least as slow as the wait.
    func recordMissed(after wait: Duration, now: ContinuousClock.Instant) {
        state.withLock { state in
            state.missCount += 1
            if state.missCount >= Self.missCountMax { state.pausedUntil = now + Self.pause }
            let seconds = wait / .seconds(1)
            if seconds > state.firstToken ?? 0 { Self.blend(&state.firstToken, seconds) }
        }
    }

    /// Whether the model did not answer lately and is not to be asked now. After the pause one more miss begins the next.
    func isPaused(at now: ContinuousClock.Instant) -> Bool {
        state.withLock { state in state.pausedUntil.map { now < $0 } ?? false }
    }

    func recordSkipped() {
        state.withLock { state in
            state.firstToken = state.firstToken.map { $0 * Self.decay }
            state.perToken = state.perToken.map { $0 * Self.decay }
            state.perPromptToken = state.perPromptToken.map { $0 * Self.decay }
        }
    }

    private static func blend(_ value: inout Double?, _ new: Double) { value = value.map { $0 * (1 - newShare) + new * newShare } ?? new }
}
