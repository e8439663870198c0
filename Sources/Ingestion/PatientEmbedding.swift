import Execution
import Inference

extension Embedder {
    /// Embeds passages, and waits while the model is busy: ingestion can wait, questions come first.
    ///
    /// - Returns: Shape `[texts.count, model.dimension]`.
    func embedPatiently(_ texts: [String], _ time: any TimeSource) async throws -> [Float] {
        var wait = Duration.milliseconds(50)
        while true {
            try Task.checkCancellation()
            do { return try await embed(texts, for: .document) } catch InferenceError.overloaded {
                try await time.sleep(until: time.now + wait)
                wait = min(wait * 2, .seconds(2))
            }
        }
    }
}
