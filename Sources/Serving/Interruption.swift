import Execution
import Synchronization

/// Why work for a request was stopped from outside.
package enum Interruption: Error {
    case clientGone
    case timedOut(Duration)
    /// What the client sends came too slowly, or stood still.
    case inputTooSlow
}

/// Stops the work of one request. The first reason counts, and none after the work has ended.
package final class Interrupter: Sendable {
    private struct State {
        var reason: Interruption?
        var isOver = false
        var cancel: (@Sendable () -> Void)?
    }
    private let state = Mutex(State())

    package init() {}

    package func interrupt(_ reason: Interruption) {
        let cancel = state.withLock { state -> (@Sendable () -> Void)? in
            guard state.reason == nil, !state.isOver else { return nil }
            state.reason = reason
            return state.cancel
        }
        cancel?()
    }

    /// - Parameter cancel: Cancels the work; called at once when there is a reason already.
    fileprivate func attach(_ cancel: @escaping @Sendable () -> Void) {
        let isInterrupted = state.withLock { state in
            state.cancel = cancel
            return state.reason != nil
        }
        if isInterrupted { cancel() }
    }

    /// The work has ended.
    fileprivate func end() -> Interruption? {
        state.withLock { state in
            state.isOver = true
            state.cancel = nil
            return state.reason
        }
    }
}

/// Runs an operation until it ends, its client goes, its time is over, or something else interrupts it; in the latter cases the operation is cancelled and awaited.
///
/// One task and no sleeping ones: this is in the way of every request.
///
/// - Parameters:
///   - clientGone: Opens when nobody waits for the result any more.
///   - interrupter: For reasons of the caller's, such as input that has stalled.
/// - Throws: `Interruption`, or what the operation throws.
package func withInterruption<Value: Sendable>(
    clientGone: Latch?, timeout: Duration?, interrupter: Interrupter = Interrupter(),
    _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    if clientGone?.isOpen == true { throw Interruption.clientGone }
    let task = Task { try await operation() }
    interrupter.attach { task.cancel() }
    let watch = clientGone?.whenOpen { interrupter.interrupt(.clientGone) }
    let alarm = timeout.map { timeout in Alarm.shared.set(after: timeout) { interrupter.interrupt(.timedOut(timeout)) } }
    let result = await withTaskCancellationHandler {
        await task.result
    } onCancel: {
        task.cancel()
    }
    if let watch { clientGone?.forget(watch) }
    if let alarm { Alarm.shared.cancel(alarm) }
    if let reason = interrupter.end() { throw reason }
    return try result.get()
}
