import Foundation

/// A thread of our own for work that blocks for long. Swift's cooperative pool has one thread per core and must stay free.
package final class WorkerThread: Sendable {
    private let finished = DispatchSemaphore(value: 0)

    /// Starts `body` at once.
    /// - Parameters:
    ///   - name: At most 15 bytes are kept by the system.
    ///   - stackSize: In bytes. The default for secondary threads may be smaller than the main thread's.
    package init(name: String, stackSize: Int, _ body: @escaping @Sendable () -> Void) {
        let finished = finished
        let thread = Thread {
            // For whoever looks at the process with top or perf.
            try? String(name.prefix(15)).write(toFile: "/proc/thread-self/comm", atomically: false, encoding: .utf8)
            body()
            finished.signal()
        }
        thread.stackSize = stackSize
        thread.start()
    }

    /// Waits until the body has returned. Call once.
    package func join() { finished.wait() }
}
