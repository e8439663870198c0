import Dispatch
import Foundation
import Synchronization

/// Ctrl-C and SIGTERM as something a command can look at: the first asks to stop, the second ends the process.
final class StopSignal: Sendable {
    private struct State {
        var happened = false
        var waiters: [Int: @Sendable () -> Void] = [:]
        var next = 0
    }
    private let state = Mutex(State())
    /// Kept alive with the object; only touched in `init`.
    private nonisolated(unsafe) var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [weak self] in self?.fire() }
            source.resume()
            sources.append(source)
        }
    }

    private func fire() {
        let waiters = state.withLock { state -> [@Sendable () -> Void] in
            if state.happened { exit(130) }
            state.happened = true
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter() }
    }

    var happened: Bool { state.withLock { $0.happened } }

    private func onInterruption(_ action: @escaping @Sendable () -> Void) -> Int {
        let (now, number) = state.withLock { state -> (Bool, Int) in
            if state.happened { return (true, -1) }
            state.next += 1
            state.waiters[state.next] = action
            return (false, state.next)
        }
        if now { action() }
        return number
    }

    private func forget(_ number: Int) { state.withLock { $0.waiters[number] = nil } }

    /// The same elements, ending early when an interruption comes.
    func stopping<Element: Sendable>(_ stream: AsyncStream<Element>) -> AsyncStream<Element> {
        AsyncStream { continuation in
            let forward = Task {
                for await element in stream { continuation.yield(element) }
                continuation.finish()
            }
            let number = onInterruption {
                forward.cancel()
                continuation.finish()
            }
            continuation.onTermination = { [weak self] _ in
                forward.cancel()
                self?.forget(number)
            }
        }
    }

    /// Sleeps, or returns early when an interruption comes.
    func sleep(_ duration: Duration) async throws {
        let nap = Task { try await Task.sleep(for: duration) }
        let number = onInterruption { nap.cancel() }
        _ = try? await nap.value
        forget(number)
    }
}
