/// Why work for a request was stopped from outside.
package enum Interruption: Error {
    case clientGone
    case timedOut(Duration)
    /// What the client sends came too slowly, or stood still.
    case inputTooSlow
}

/// Runs an operation until it ends, its client goes, its input stalls, or its time is over; in the last three cases the operation is cancelled and awaited.
///
/// - Parameters:
///   - clientGone: Opens when nobody waits for the result any more.
///   - watch: Returns when what the client sends has stalled.
/// - Throws: `Interruption`, or what the operation throws.
package func withInterruption<Value: Sendable>(
    clientGone: Latch?, timeout: Duration?, input watch: (@Sendable () async throws -> Void)? = nil,
    _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    if clientGone?.isOpen == true { throw Interruption.clientGone }
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask(operation: operation)
        if let clientGone {
            group.addTask {
                await clientGone.wait()
                try Task.checkCancellation()
                throw Interruption.clientGone
            }
        }
        if let timeout {
            group.addTask {
                try await Task.sleep(for: timeout)
                throw Interruption.timedOut(timeout)
            }
        }
        if let watch {
            group.addTask {
                try await watch()
                throw Interruption.inputTooSlow
            }
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { preconditionFailure("a group of at least one task is empty") }
        return value
    }
}
