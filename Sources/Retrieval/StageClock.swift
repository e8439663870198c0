package import Execution
import Synchronization

/// Collects the time of each stage of one request. Thread-safe: stages may run side by side.
package final class StageClock: Sendable {
    private let time: any TimeSource
    private let start: ContinuousClock.Instant
    private let timings = Mutex(Timings())

    package init(_ time: any TimeSource) {
        self.time = time
        start = time.now
    }

    package var now: ContinuousClock.Instant { time.now }

    /// The instant so many milliseconds after the clock was made.
    package func instant(atMilliseconds milliseconds: Double) -> ContinuousClock.Instant {
        start + Duration(clampingMilliseconds: milliseconds)
    }

    /// Adds the time since an instant to a stage.
    package func record(_ stage: Stage, since instant: ContinuousClock.Instant) {
        let elapsed = now - instant
        timings.withLock { $0.add(elapsed, to: stage) }
    }

    /// All stages so far, with the total since the clock was made.
    package func finish() -> Timings {
        var result = timings.withLock { $0 }
        result[.total] = now - start
        return result
    }
}
