import Execution
import Synchronization

/// Collects the milliseconds of each stage of one request. Thread-safe: stages may run side by side.
package final class StageClock: Sendable {
    private let start = ContinuousClock.now
    private let stages = Mutex<[String: Double]>([:])

    package init() {}

    package var now: ContinuousClock.Instant { ContinuousClock.now }
    package var elapsedMilliseconds: Double { (ContinuousClock.now - start).inMilliseconds }

    /// The instant so many milliseconds after the clock was made.
    package func instant(atMilliseconds milliseconds: Double) -> ContinuousClock.Instant { start + .seconds(milliseconds / 1000) }

    /// Adds the time since an instant to a stage.
    package func record(_ stage: String, since instant: ContinuousClock.Instant) {
        let elapsed = (ContinuousClock.now - instant).inMilliseconds
        stages.withLock { $0[stage, default: 0] += elapsed }
    }

    package func set(_ stage: String, milliseconds: Double) { stages.withLock { $0[stage] = milliseconds } }

    /// All stages so far with `total` since the clock was made, rounded to microseconds.
    package func finish() -> [String: Double] {
        var result = stages.withLock { $0 }
        result["total"] = elapsedMilliseconds
        return result.mapValues { ($0 * 1000).rounded() / 1000 }
    }
}
