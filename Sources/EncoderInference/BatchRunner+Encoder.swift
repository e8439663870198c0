import Inference

extension BatchRunner<EncoderInput> {
    /// A runner over one model's weights, with a context for each thread.
    ///
    /// - Parameters:
    ///   - inputTokenMax: Longest input that will be given.
    ///   - threads: Number of worker threads and contexts.
    convenience init(weights: EncoderWeights, inputTokenMax: Int, threads: Int, policy: BatchPolicy.Configuration) {
        let tokenMax = max(inputTokenMax, policy.tokenMax)
        self.init(
            name: weights.name, width: weights.classifier.map(\.output.outputs) ?? weights.shape.width, threads: threads,
            stackSize: 1 << 20,
            policy: policy, tokenCount: { $0.tokens.count },
            makeContext: { _ in
                let context = EncoderContext(weights: weights, tokenMax: tokenMax)
                return { context.encode($0) }
            })
    }
}
