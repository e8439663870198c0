import Execution
import Synchronization

/// A clock that stands still until it is moved.
///
/// It moves when a test says so, and while something hangs: a test double that would never come back calls `hang()`, and the clock goes to the time
/// for which the next sleeper waits, one at a time. So what waits for it with a limit sees exactly that limit pass, in no time. Whoever gives up
/// cancels the double, and the clock stands still again.
package final class VirtualTime: TimeSource {
    private struct State {
        var now = ContinuousClock.now
        var sleepers: [Int: (until: ContinuousClock.Instant, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var hanging: Set<Int> = []
        var parked: [Int: CheckedContinuation<Void, Never>] = [:]
        var cancelled: Set<Int> = []
        var nextNumber = 0

        mutating func number() -> Int {
            nextNumber += 1
            return nextNumber
        }
    }

    private let state = Mutex(State())

    package init() {}

    package var now: ContinuousClock.Instant { state.withLock { $0.now } }

    package func sleep(until instant: ContinuousClock.Instant) async throws {
        let number = state.withLock { $0.number() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let result: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    if instant <= state.now { return .success(()) }
                    state.sleepers[number] = (instant, continuation)
                    return nil
                }
                if let result { return continuation.resume(with: result) }
                runWhileHanging()
            }
        } onCancel: {
            let continuation = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper?.continuation
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    /// Moves the clock on and wakes those whose time has come.
    package func advance(by duration: Duration) { move { $0.now + duration } }

    /// Does not return until `release` lets go of it, whether it is cancelled or not. Until it is cancelled the clock runs.
    ///
    /// - Parameter noticing: Returns when it is cancelled.
    package func hang(noticing: Bool = false) async {
        let number = state.withLock { $0.number() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    let isCancelled = state.cancelled.remove(number) != nil
                    if isCancelled, noticing { return true }
                    state.parked[number] = continuation
                    if !isCancelled { state.hanging.insert(number) }
                    return false
                }
                if isOver { return continuation.resume() }
                runWhileHanging()
            }
        } onCancel: {
            let continuation = state.withLock { state in
                if state.hanging.remove(number) == nil, state.parked[number] == nil { state.cancelled.insert(number) }
                return noticing ? state.parked.removeValue(forKey: number) : nil
            }
            continuation?.resume()
        }
    }

    /// Lets everything return that hangs.
    package func release() {
        let parked = state.withLock { state in
            defer {
                state.parked = [:]
                state.hanging = []
            }
            return state.parked.values
        }
        for continuation in parked { continuation.resume() }
    }

    /// So many operations hang, left behind or not.
    package var hangingCount: Int { state.withLock { $0.parked.count } }

    private func runWhileHanging() {
        move { state in state.hanging.isEmpty ? nil : state.sleepers.values.map(\.until).min() }
    }

    private func move(_ target: (State) -> ContinuousClock.Instant?) {
        let due = state.withLock { state -> [CheckedContinuation<Void, any Error>] in
            guard let target = target(state) else { return [] }
            state.now = max(state.now, target)
            let due = state.sleepers.filter { $0.value.until <= state.now }.sorted { ($0.value.until, $0.key) < ($1.value.until, $1.key) }
            for sleeper in due { state.sleepers[sleeper.key] = nil }
            return due.map(\.value.continuation)
        }
        for continuation in due { continuation.resume() }
    }
}
