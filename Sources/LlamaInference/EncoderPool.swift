import CLlama
import Inference

/// Runs token sequences through one model with one single-threaded context per worker thread, in the order that a `BatchPolicy` decides.
///
/// ```
///  callers' tasks: encode ──► BatchPolicy (bounded) ◄── tick ── worker threads, one context each ──► callers resume
/// ```
final class EncoderPool: Sendable {
    /// Numbers per sequence.
    let width: Int
    let pooling: llama_pooling_type
    private let core: EncoderCore
    private let workers: [WorkerThread]
    /// A call with more sequences than this is cut into slices, so that one call cannot fill the queue.
    private let sliceCount: Int

    /// - Parameters:
    ///   - sequenceTokenMax: Longest sequence that will be given.
    ///   - threads: Number of worker threads and contexts.
    init(model: LlamaModel, sequenceTokenMax: Int, threads: Int, pooling: llama_pooling_type, policy: BatchPolicy.Configuration) throws {
        precondition(threads > 0, "\(threads) threads")
        let tokenMax = max(sequenceTokenMax, policy.tokenMax)
        // The first context tells whether the model can be used at all; the others are made by their threads.
        let first = try EncoderContext(model: model, tokenMax: tokenMax, sequenceMax: policy.countMax, pooling: pooling)
        width = first.width
        self.pooling = first.pooling
        sliceCount = max(1, min(512, policy.queueMax / 4))
        let core = EncoderCore(modelName: model.name, policy: policy)
        self.core = core
        // Only the first worker touches it from here on.
        nonisolated(unsafe) let firstContext = first
        workers = (0..<threads).map { index in
            WorkerThread(name: "encoder-\(index)", stackSize: LlamaRuntime.threadStackSize) {
                // Where memory does not suffice for one more context, the others do the work.
                guard
                    let context = index == 0
                        ? firstContext
                        : try? EncoderContext(
                            model: model, tokenMax: tokenMax, sequenceMax: policy.countMax, pooling: pooling)
                else { return }
                core.run(with: context)
            }
        }
    }

    deinit {
        core.stop()
        for worker in workers { worker.join() }
    }

    /// Number of sequences that wait.
    var waitingCount: Int { core.waitingCount }

    /// - Returns: Shape `[sequences.count, width]`, row-major, as the model computed them.
    /// - Throws: `InferenceError.overloaded` when the queue is full, `.failed`, or `CancellationError`.
    func encode(_ sequences: [[Token]], priority: EmbeddingPurpose) async throws -> [Float] {
        var rows: [Float] = []
        rows.reserveCapacity(sequences.count * width)
        for start in stride(from: 0, to: sequences.count, by: sliceCount) {
            try Task.checkCancellation()
            let slice = Array(sequences[start..<min(start + sliceCount, sequences.count)])
            let request = EncodeRequest(sequences: slice, width: width)
            let core = core
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                    core.submit(request, priority: priority, continuation)
                }
            } onCancel: {
                core.cancel(request)
            }
            rows += core.rows(of: request)
        }
        return rows
    }
}
