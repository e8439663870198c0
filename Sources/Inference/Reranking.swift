/// Scores passages against a question; larger is better, comparable within one call only.
package protocol Reranker: Sendable {
    var name: String { get }

    /// - Returns: One score for each passage, in their order.
    /// - Throws: `InferenceError`, or `CancellationError` when the task is cancelled.
    func rerank(query: String, passages: [String]) async throws -> [Float]

    /// As `rerank(query:passages:)`, but by a deadline: passages that are not scored in time get nil.
    ///
    /// Passages come best guess first, so an implementation that works in batches takes them in order. What comes late is of no use to the
    /// caller, who stops waiting soon after the deadline.
    func rerank(query: String, passages: [String], deadline: ContinuousClock.Instant?) async throws -> [Float?]
}

extension Reranker {
    /// All scores, or none when the deadline has passed before the work begins: for a model that cannot stop half-way.
    package func rerank(query: String, passages: [String], deadline: ContinuousClock.Instant?) async throws -> [Float?] {
        if let deadline, deadline <= .now { return [Float?](repeating: nil, count: passages.count) }
        return try await rerank(query: query, passages: passages)
    }
}
