import Execution
import Retrieval

/// What the parts of one question's run share: its clock, the steps down it took, and its times. It lives in the run's task.
final class RunState {
    let time: any TimeSource
    let start: ContinuousClock.Instant
    let deadline: ContinuousClock.Instant
    let statistics: RunStatistics
    var ladder = Ladder()
    var timings = Timings()

    init(_ time: any TimeSource, lasting duration: Duration, _ statistics: RunStatistics) {
        self.time = time
        self.statistics = statistics
        start = time.now
        deadline = start + duration
    }

    var remaining: Duration { time.now.duration(to: deadline) }

    /// When a part that begins now must have ended.
    ///
    /// - Parameter share: How many such parts are still to come, this one with them.
    func end(of budget: AnswerPlan.Budget, share: Int = 1) -> ContinuousClock.Instant {
        time.now + budget.time(of: max(.zero, remaining) / share)
    }

    /// Takes a step down that several parts of one answer may come to, each in the same way.
    func takeOnce(_ rung: Rung, _ reason: String) {
        if !ladder.steps.contains(Degradation(rung, reason)) { ladder.take(rung, reason) }
    }

    func record(_ stage: Stage, since begin: ContinuousClock.Instant) { timings.add(begin.duration(to: time.now), to: stage) }
}
