import Synchronization

/// Runs operations with a time limit that holds even when they ignore their cancellation.
///
/// A task group would wait for such an operation. So it runs in a task of its own, which is cancelled and left behind when its time is up;
/// how many are left behind is counted and bounded, so that something that hangs cannot pile up.
package final class TimeLimit: Sendable {
    /// The time was up before the operation ended.
    package struct Expired: Error {
        package init() {}
    }
    /// Too many earlier operations still hang.
    package struct Stuck: Error {
        package init() {}
    }

    package let abandonedCountMax: Int
    package let time: any TimeSource
    private let abandoned = Mutex(0)

    /// - Parameter abandonedCountMax: So many operations may be left behind and still run; more are refused with `Stuck`.
    package init(abandonedCountMax: Int, time: any TimeSource = .machine) {
        self.abandonedCountMax = abandonedCountMax
        self.time = time
    }

    /// How many operations were left behind and have not ended yet.
    package var abandonedCount: Int { abandoned.withLock { $0 } }

    /// The operation's value, when it comes by the deadline.
    ///
    /// - Throws: `Expired`, `Stuck`, `CancellationError` when the caller is cancelled, or what the operation throws.
    package func run<Value: Sendable>(
        until deadline: ContinuousClock.Instant, _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try Task.checkCancellation()
        guard abandonedCount < abandonedCountMax else { throw Stuck() }
        guard deadline > time.now else { throw Expired() }
        let (results, continuation) = AsyncStream.makeStream(of: Result<Value, any Error>.self, bufferingPolicy: .bufferingOldest(1))
        let work = Work(self)
        let task = Task {
            do { continuation.yield(.success(try await operation())) } catch { continuation.yield(.failure(error)) }
            work.finish()
        }
        let timer = Task { [time] in
            try await time.sleep(until: deadline)
            continuation.yield(.failure(Expired()))
        }
        defer {
            task.cancel()
            timer.cancel()
            work.leave()
        }
        for await result in results { return try result.get() }
        throw CancellationError()
    }

    /// Follows one operation: it counts as abandoned from the moment it is left until it ends.
    package final class Work: Sendable {
        private enum State { case running, left, finished }
        private let state = Mutex(State.running)
        private let owner: TimeLimit

        package init(_ owner: TimeLimit) { self.owner = owner }

        /// Nobody waits for the operation any more.
        package func leave() {
            state.withLock { state in
                guard case .running = state else { return }
                state = .left
                owner.abandoned.withLock { $0 += 1 }
            }
        }

        /// The operation has ended.
        package func finish() {
            state.withLock { state in
                if case .left = state { owner.abandoned.withLock { $0 -= 1 } }
                state = .finished
            }
        }
    }
}
