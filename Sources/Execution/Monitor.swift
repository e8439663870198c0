import Foundation

/// A lock around a state, with which threads can wait until the state changes.
///
/// `Synchronization.Mutex` cannot wait, and Swift's cooperative threads must not be blocked; the threads that compute with a model are our
/// own and may wait here.
package final class Monitor<State>: @unchecked Sendable {
    // Invariant: `state` is only touched while `mutex` is held; the C objects live in one allocation that never moves.
    private var state: State
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    /// - Parameter state: What the lock guards, as it is at first.
    package init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        // Deadlines are times since start-up, which no clock change moves.
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Changes the state, then wakes every waiting thread when `body` says so.
    package func withLock<Result>(_ body: (inout State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Lets every waiting thread look again.
    package func wakeAll() { pthread_cond_broadcast(condition) }

    /// What a look at the state has found.
    package enum Finding<Result> {
        case found(Result)
        /// Look again when something wakes the thread, or at this time at the latest.
        case wait(until: Duration?)
    }

    /// Looks at the state, with the present time, until there is something to do.
    package func waitFor<Result>(_ look: (inout State, Duration) -> Finding<Result>) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch look(&state, Self.now()) {
            case .found(let result): return result
            case .wait(nil): pthread_cond_wait(condition, mutex)
            case .wait(let until?):
                let (seconds, attoseconds) = until.components
                var deadline = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
                pthread_cond_timedwait(condition, mutex, &deadline)
            }
        }
    }

    /// Time since the machine started.
    package static func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
