import Dispatch

/// Runs calls that block (SQL, writing files) away from the threads of Swift's concurrency. Bounded by the admission gates of those who call it.
struct BlockingWork: Sendable {
    private let queue = DispatchQueue(label: "outrider.http.blocking", qos: .userInitiated, attributes: .concurrent)

    func callAsFunction<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: work)) }
        }
    }
}
