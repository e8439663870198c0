import Synchronization

/// A value that several tasks of a test change.
package final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    package init(_ value: Value) { state = Mutex(value) }
    package var value: Value { state.withLock { $0 } }
    package func change(_ body: (inout sending Value) -> Void) { state.withLock { body(&$0) } }
}

/// What a test waited for did not happen.
package struct NotInTime: Error, CustomStringConvertible {
    package let what: String
    package let limit: Duration
    package var description: String { "not within \(limit): \(what)" }
}

/// Waits until something is true, without a fixed sleep: the machine may be slow.
///
/// - Throws: `NotInTime`, which fails the test.
package func eventually(
    _ what: String = "what the test waits for", within limit: Duration = .seconds(60), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw NotInTime(what: what, limit: limit)
}
