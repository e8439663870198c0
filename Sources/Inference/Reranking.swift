/// Scores passages against a question; larger is better, comparable within one call only.
package protocol Reranker: Sendable {
    var name: String { get }
    func rerank(query: String, passages: [String]) async throws -> [Float]
}
