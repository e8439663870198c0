import Inference

/// Runs inputs through one model with one context per worker thread, in the order that a `BatchPolicy` decides.
///
/// ```
///  callers' tasks: encode ──► BatchPolicy (bounded) ◄── tick ── worker threads, one context each ──► callers resume
/// ```
///
/// Each context computes a batch of its own on one thread: threads that share a product would wait for each other many times in each
/// layer, and beside other work the slowest decides.
final class EncoderPool: Sendable {
    /// Numbers per input.
    let width: Int
    private let core: EncoderCore
    private let workers: [WorkerThread]
    /// A call with more inputs than this is cut into slices, so that one call cannot fill the queue.
    private let sliceCount: Int

    /// - Parameters:
    ///   - inputTokenMax: Longest input that will be given.
    ///   - threads: Number of worker threads and contexts.
    init(weights: EncoderWeights, inputTokenMax: Int, threads: Int, policy: BatchPolicy.Configuration) {
        precondition(threads > 0, "\(threads) threads")
        let tokenMax = max(inputTokenMax, policy.tokenMax)
        width = weights.classifier.map(\.output.outputs) ?? weights.shape.width
        sliceCount = max(1, min(512, policy.queueMax / 4))
        let core = EncoderCore(modelName: weights.name, policy: policy)
        self.core = core
        workers = (0..<threads).map { index in
            WorkerThread(name: "encoder-\(index)", stackSize: 1 << 20) {
                core.run(with: EncoderContext(weights: weights, tokenMax: tokenMax))
            }
        }
    }

    deinit {
        core.stop()
        for worker in workers { worker.join() }
    }

    /// Number of inputs that wait.
    var waitingCount: Int { core.waitingCount }

    /// - Returns: Shape `[inputs.count, width]`, row-major, as the model computed them.
    /// - Throws: `InferenceError.overloaded` when the queue is full, `.failed` when the model is closed, or `CancellationError`.
    func encode(_ inputs: [EncoderInput], priority: EmbeddingPurpose) async throws -> [Float] {
        var rows: [Float] = []
        rows.reserveCapacity(inputs.count * width)
        for start in stride(from: 0, to: inputs.count, by: sliceCount) {
            let slice = Array(inputs[start..<min(start + sliceCount, inputs.count)])
            let order = slice.indices.sorted { slice[$0].tokens.count < slice[$1].tokens.count }
            let request = EncodeRequest(inputs: slice, width: width)
            try await wait(for: request, priority: priority, order: order)
            rows += core.rows(of: request).rows
        }
        return rows
    }

    /// As above, but no longer than until a deadline. Inputs go in their order, so the first are the likeliest to be done.
    ///
    /// - Returns: For each input its row, or nil where the time did not suffice.
    func encode(_ inputs: [EncoderInput], priority: EmbeddingPurpose, deadline: ContinuousClock.Instant) async throws -> [[Float]?] {
        var results: [[Float]?] = []
        for start in stride(from: 0, to: inputs.count, by: sliceCount) {
            let slice = Array(inputs[start..<min(start + sliceCount, inputs.count)])
            let left = deadline - .now
            guard left > .zero else {
                try Task.checkCancellation()
                results += [[Float]?](repeating: nil, count: slice.count)
                continue
            }
            let request = EncodeRequest(inputs: slice, width: width, deadline: Monitor<Int>.now() + left)
            let core = core
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
                    core.expire(request)
                }
                defer { group.cancelAll() }
                try await wait(for: request, priority: priority, order: Array(slice.indices))
            }
            let (rows, isDone) = core.rows(of: request)
            for index in slice.indices { results.append(isDone[index] ? Array(rows[index * width..<(index + 1) * width]) : nil) }
        }
        return results
    }

    private func wait(for request: EncodeRequest, priority: EmbeddingPurpose, order: [Int]) async throws {
        try Task.checkCancellation()
        let core = core
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                core.submit(request, priority: priority, order: order, continuation)
            }
        } onCancel: {
            core.cancel(request)
        }
    }
}
