import Inference
import Synchronization

/// Ends an exchange in which nothing happens for too long. Each sign of life moves the deadline.
final class Watchdog: Sendable {
    private let deadline: Mutex<(at: ContinuousClock.Instant, seconds: Double)>
    /// How long to sleep at most before looking at the deadline again, which may have moved nearer.
    private let lookInterval: Duration

    private init(seconds: Double, shortest: Double) {
        deadline = Mutex((.now + .seconds(seconds), seconds))
        lookInterval = .seconds(max(0.01, min(seconds, shortest) / 8))
    }

    /// Something happened: from now on at most this long until the next.
    func expect(within seconds: Double) { deadline.withLock { $0 = (.now + .seconds(seconds), seconds) } }

    /// Runs `body`; cancels it and throws `InferenceError.timedOut` when a deadline passes.
    ///
    /// - Parameters:
    ///   - seconds: The first deadline.
    ///   - shortest: The shortest that `expect` will be told; a passed deadline is noticed an eighth of it late at most.
    static func run(
        name: String, seconds: Double, shortest: Double, _ body: @escaping @Sendable (Watchdog) async throws -> Void
    ) async throws {
        let watchdog = Watchdog(seconds: seconds, shortest: shortest)
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
            try await Task.sleep(until: min(at, .now + lookInterval), clock: .continuous)
        }
    }
}
