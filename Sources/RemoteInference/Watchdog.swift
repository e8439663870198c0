import Inference
import Synchronization

/// Ends an exchange in which nothing happens for too long. Each sign of life moves the deadline.
final class Watchdog: Sendable {
    private let deadline: Mutex<(at: ContinuousClock.Instant, seconds: Double)>

    private init(seconds: Double) { deadline = Mutex((.now + .seconds(seconds), seconds)) }

    /// Something happened: from now on at most this long until the next.
    func expect(within seconds: Double) { deadline.withLock { $0 = (.now + .seconds(seconds), seconds) } }

    /// Runs `body`; cancels it and throws `InferenceError.timedOut` when a deadline passes.
    static func run(name: String, seconds: Double, _ body: @escaping @Sendable (Watchdog) async throws -> Void) async throws {
        let watchdog = Watchdog(seconds: seconds)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body(watchdog) }
            group.addTask { try await watchdog.watch(name: name) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func watch(name: String) async throws {
        while true {
            let (at, seconds) = deadline.withLock { $0 }
            if ContinuousClock.now >= at { throw InferenceError.timedOut(name: name, seconds: seconds) }
            try await Task.sleep(until: at, clock: .continuous)
        }
    }
}
