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

/// A gate: whoever comes waits until it is open, and from then on nobody does. It may be opened for some only.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        /// So many more may pass.
        var permits = 0
        var comers = 0
        var waiters: [Int: CheckedContinuation<Bool, Never>] = [:]
        /// Cancelled before they waited.
        var gone: Set<Int> = []
    }
    private let state = Mutex(State())

    package init() {}

    /// So many have come, whether they had to wait or not.
    package var comers: Int { state.withLock { $0.comers } }

    package func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// Lets so many pass, those that wait first.
    package func open(times count: Int) {
        let waiters = state.withLock { state in
            let numbers = state.waiters.keys.sorted().prefix(count)
            state.permits += count - numbers.count
            return numbers.map { state.waiters.removeValue(forKey: $0)! }
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    /// - Throws: `CancellationError` for one that is cancelled while it waits.
    package func pass() async throws {
        let number = state.withLock { state in
            state.comers += 1
            return state.comers
        }
        let hasPassed = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = state.withLock { state in
                    if state.isOpen { return true }
                    if state.permits > 0 {
                        state.permits -= 1
                        return true
                    }
                    if state.gone.remove(number) != nil { return false }
                    state.waiters[number] = continuation
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: number)
                if waiter == nil { state.gone.insert(number) }
                return waiter
            }
            waiter?.resume(returning: false)
        }
        guard hasPassed else { throw CancellationError() }
    }
}
