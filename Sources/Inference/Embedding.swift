/// What an embedding model is. Two models with the same `name` must give the same vectors.
package struct EmbeddingModel: Sendable, Hashable, Codable {
    /// Such as `all-MiniLM-L6-v2-f16`.
    package var name: String
    package var dimension: Int
    /// Longest input in tokens, special tokens included; longer inputs are truncated.
    package var contextLength: Int
    package init(name: String, dimension: Int, contextLength: Int) {
        self.name = name
        self.dimension = dimension
        self.contextLength = contextLength
    }
}

/// A question is latency-critical and goes before queued documents.
package enum EmbeddingPurpose: Sendable, Hashable { case query, document }

/// Turns texts into unit-length vectors.
package protocol Embedder: Sendable {
    var model: EmbeddingModel { get }
    var tokenizer: any Tokenizer { get }
    /// - Returns: Shape `[texts.count, dimension]`, row-major, each row of length 1.
    /// - Throws: `InferenceError`, or `CancellationError` when the task is cancelled.
    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float]
}
