import Synchronization

/// A one-way switch that many can wait for: a client has gone, the server shuts down.
package final class Latch: Sendable {
    /// Names one who waits.
    package struct Watch: Sendable {
        fileprivate let id: Int
    }

    private struct State {
        var isOpen = false
        var nextID = 0
        var waiters: [Int: @Sendable () -> Void] = [:]
    }
    private let state = Mutex(State())

    package init() {}

    package var isOpen: Bool { state.withLock { $0.isOpen } }

    package func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter() }
    }

    /// Calls back once when the latch opens, at once when it is open already.
    ///
    /// - Parameter action: Short, and not waiting for anything; it runs on the thread that opens the latch.
    package func whenOpen(_ action: @escaping @Sendable () -> Void) -> Watch {
        let (id, isOpen) = state.withLock { state in
            state.nextID += 1
            if !state.isOpen { state.waiters[state.nextID] = action }
            return (state.nextID, state.isOpen)
        }
        if isOpen { action() }
        return Watch(id: id)
    }

    /// The callback is not wanted any more; it may be running at this very time.
    package func forget(_ watch: Watch) { state.withLock { $0.waiters[watch.id] = nil } }

    /// Returns when the latch opens, at once when it is open already, or when the task is cancelled.
    package func wait() async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.isOpen || Task.isCancelled { return true }
                    state.waiters[id] = { continuation.resume() }
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?()
        }
    }
}
