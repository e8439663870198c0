import CLlama
import Execution
import Inference

/// The contexts of one model that turn token sequences into vectors, behind one queue.
struct EncoderPool: Sendable {
    let pooling: llama_pooling_type
    let runner: BatchRunner<[Token]>
    var width: Int { runner.width }

    /// - Parameters:
    ///   - sequenceTokenMax: Longest sequence that will be given.
    ///   - threads: Number of worker threads and contexts.
    /// - Throws: `InferenceError.modelUnreadable` when no context can be made of the model.
    init(model: LlamaModel, sequenceTokenMax: Int, threads: Int, pooling: llama_pooling_type, policy: BatchPolicy.Configuration) throws {
        let tokenMax = max(sequenceTokenMax, policy.tokenMax)
        // The first context tells whether the model can be used at all; the others are made by their threads.
        let first = try LlamaEncoderContext(model: model, tokenMax: tokenMax, sequenceMax: policy.countMax, pooling: pooling)
        self.pooling = first.pooling
        // Only the first worker touches it from here on.
        nonisolated(unsafe) let firstContext = first
        runner = BatchRunner(
            name: model.name, width: first.width, threads: threads, stackSize: LlamaRuntime.threadStackSize, policy: policy,
            tokenCount: { $0.count },
            makeContext: { worker in
                guard
                    let context = worker == 0
                        ? firstContext
                        : try? LlamaEncoderContext(model: model, tokenMax: tokenMax, sequenceMax: policy.countMax, pooling: pooling)
                else { return nil }
                return { sequences in
                    var rows = [Float](repeating: 0, count: sequences.count * context.width)
                    try context.encode(sequences) { index, vector in
                        rows.replaceSubrange(index * context.width..<(index + 1) * context.width, with: vector)
                    }
                    return rows
                }
            })
    }
}
