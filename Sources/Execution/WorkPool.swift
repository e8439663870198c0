package import Dispatch
import Foundation
import Synchronization

/// Threads for work that blocks: so many at most, and what finds none free waits in the order in which it came.
///
/// Dispatch's global queues make a new thread for each item that finds the others blocked, up to a limit shared with everyone in the process, and give
/// no order beyond it. A pool has a limit of its own, so many slow searches cannot take the threads that something else waits for.
///
/// ```
/// run(work) ── a thread is free ──> works ──> takes the next that waits ──> ... ──> none waits: the thread is free
///        └──── none is free ──────> waits ────────^
/// ```
///
/// Work that a pool runs must not wait for other work of the same pool: with all threads taken by such work, none would end.
package final class WorkPool: Sendable {
    /// For work that blocks for milliseconds: SQL, scans, reads of files. More threads than cores, since most of them wait for a disk or a lock.
    package static let short = WorkPool(name: "outrider.short", threadCountMax: max(32, 4 * coreCount), qos: .userInitiated)

    /// For work that computes for long, so that short work never waits behind it.
    package static let long = WorkPool(name: "outrider.long", threadCountMax: max(4, coreCount), qos: .utility)

    /// For the requests of a server, from their first byte to their last: what they compute and what they read runs where they run. As many threads as requests
    /// that can block at once; almost all of them are never made.
    package static let requests = WorkPool(name: "outrider.requests", threadCountMax: 192, qos: .userInitiated)

    /// Cores that this process may use, as seen at the start.
    package static let coreCount = max(1, ProcessInfo.processInfo.activeProcessorCount)

    private struct State {
        var threadCount = 0
        var waiting: [@Sendable () -> Void] = []
        /// Where `waiting` begins; what is before it has been taken.
        var first = 0

        mutating func next() -> (@Sendable () -> Void)? {
            guard first < waiting.count else { return nil }
            defer {
                waiting[first] = {}
                first += 1
                if first == waiting.count || first >= 256 {
                    waiting.removeFirst(first)
                    first = 0
                }
            }
            return waiting[first]
        }
    }

    package let name: String
    package let threadCountMax: Int
    private let queue: DispatchQueue
    private let state = Mutex(State())

    /// - Parameters:
    ///   - name: For whoever looks at the process.
    ///   - threadCountMax: So many items run at the same time.
    package init(name: String, threadCountMax: Int, qos: DispatchQoS = .userInitiated) {
        precondition(threadCountMax > 0, "pool '\(name)': \(threadCountMax) threads")
        self.name = name
        self.threadCountMax = threadCountMax
        queue = DispatchQueue(label: name, qos: qos, attributes: .concurrent)
    }

    /// Items that run now, and items that wait for a thread.
    package var counts: (running: Int, waiting: Int) { state.withLock { ($0.threadCount, $0.waiting.count - $0.first) } }

    /// Runs work on a thread of the pool and hands its value, or its error, to the waiting task.
    ///
    /// Cancelling the task does not take the work back: it may be a commit that has to happen.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            start { continuation.resume(with: Result(catching: work)) }
        }
    }

    /// As above, for work that cannot fail.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            start { continuation.resume(returning: work()) }
        }
    }

    /// Runs work on a thread of the pool; nobody waits for it.
    package func start(_ work: @escaping @Sendable () -> Void) {
        let isAdmitted = state.withLock { state in
            if state.threadCount < threadCountMax {
                state.threadCount += 1
                return true
            }
            state.waiting.append(work)
            return false
        }
        guard isAdmitted else { return }
        queue.async { [self] in
            work()
            while let next = takeNext() { next() }
        }
    }

    /// What waits for longest; nil gives the caller's thread back.
    private func takeNext() -> (@Sendable () -> Void)? {
        state.withLock { state in
            if let next = state.next() { return next }
            state.threadCount -= 1
            return nil
        }
    }
}

extension WorkPool: TaskExecutor {
    /// Tasks that prefer this pool run on its threads, and may block them.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        start { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Whether the current task runs on this pool.
    fileprivate var isCurrent: Bool {
        withUnsafeCurrentTask { task in task?.unownedTaskExecutor.map { $0 == asUnownedTaskExecutor() } ?? false }
    }
}

/// Runs blocking work (scans, SQL) on a thread of ``WorkPool/short``, so that Swift's cooperative threads stay free; at once where a task runs on
/// ``WorkPool/requests``, whose threads may be blocked.
package func offload<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    if WorkPool.requests.isCurrent { return try work() }
    return try await WorkPool.short.run(work)
}

/// As above, for work that cannot fail.
package func offload<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    if WorkPool.requests.isCurrent { return work() }
    return await WorkPool.short.run(work)
}

/// As `offload`, for work that computes for long: its threads are others, so that short work never waits behind it.
package func offloadLongWork<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await WorkPool.long.run(work)
}
