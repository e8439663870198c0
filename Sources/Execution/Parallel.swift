import Dispatch
import Glibc
import Synchronization

/// Runs `body(0)` ... `body(count - 1)` on several threads; each takes the next number until none is left.
///
/// - Parameter isBackground: Takes threads of its own with a low priority (nice 10), so that searches on busy cores go first; the caller only waits.
package func inParallel(_ count: Int, threads: Int, isBackground: Bool = false, _ body: @Sendable (Int) -> Void) {
    guard threads > 1, count > 1 else {
        for part in 0..<count { body(part) }
        return
    }
    let parts = PartCounter(count)
    if isBackground {
        withoutActuallyEscaping(body) { body in
            let workers = (0..<min(threads, count)).map { _ in BackgroundThread { parts.forEach(body) } }
            for worker in workers { worker.join() }
        }
    } else {
        DispatchQueue.concurrentPerform(iterations: min(threads, count)) { _ in parts.forEach(body) }
    }
}

/// Runs `body` on a thread of low priority, and waits for it. Task-local values are not seen there.
package func inBackground<Value: Sendable>(_ body: @Sendable () -> Value) -> Value {
    let result = ResultBox<Value>()
    withoutActuallyEscaping(body) { body in
        BackgroundThread { result.value.withLock { $0 = body() } }.join()
    }
    return result.value.withLock { $0! }
}

private final class ResultBox<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}

/// Hands out numbers, each once.
private final class PartCounter: Sendable {
    private let next = Atomic(0)
    private let count: Int
    init(_ count: Int) { self.count = count }

    func forEach(_ body: (Int) -> Void) {
        while true {
            let part = next.add(1, ordering: .relaxed).oldValue
            guard part < count else { break }
            body(part)
        }
    }
}

/// A thread of low priority (nice 10).
///
/// Not one of Foundation's: those cannot be waited for until they hold nothing any more.
private struct BackgroundThread {
    private final class Job {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    private let handle: pthread_t?

    init(_ run: @escaping @Sendable () -> Void) {
        let job = Unmanaged.passRetained(Job(run))
        var handle = pthread_t()
        let status = pthread_create(
            &handle, nil,
            { argument in
                // On Linux a nice value belongs to a thread. Where it may not be set, everything works, a little less smoothly.
                setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
                Unmanaged<Job>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, job.toOpaque())
        self.handle = status == 0 ? handle : nil
        // No thread to be had: the caller does the work itself.
        if status != 0 { job.takeRetainedValue().run() }
    }

    func join() {
        if let handle { pthread_join(handle, nil) }
    }
}

/// Carries a buffer into threads that only read it, or write disjoint parts of it, while the caller waits for them.
package struct SendableBuffer<Element>: @unchecked Sendable {
    // Invariant: the memory outlives the threads, because `inParallel` waits for them.
    package let value: UnsafeBufferPointer<Element>
    package init(_ value: UnsafeBufferPointer<Element>) { self.value = value }
}

/// As `SendableBuffer`, to write through.
package struct SendablePointer<Element>: @unchecked Sendable {
    // Invariant: each thread writes elements of its own, and the memory outlives them.
    package let value: UnsafeMutablePointer<Element>?
    package init(_ value: UnsafeMutablePointer<Element>?) { self.value = value }
}
