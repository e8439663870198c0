import Execution

/// Runs inputs through a model that turns each into a row of numbers, with one context for each worker thread, in the order that a `BatchPolicy` decides.
///
/// ```
///  callers' tasks: encode ──► BatchPolicy (bounded) ◄── tick ── worker threads, one context each ──► callers resume
/// ```
///
/// Each context computes a batch of its own on one thread: threads that share a product would wait for each other many times in each
/// layer, and beside other work the slowest decides.
///
/// Letting go of the runner waits for the batches that run.
package final class BatchRunner<Input: Sendable>: Sendable {
    /// Inputs to rows, shape `[inputs.count, width]`, row-major; called on one thread only.
    package typealias Compute = ([Input]) throws -> [Float]

    /// Numbers per input.
    package let width: Int
    private let queue: BatchQueue<Input>
    private let workers: [WorkerThread]
    private let tokenCount: @Sendable (Input) -> Int
    /// A call with more inputs than this is cut into slices, so that one call cannot fill the queue.
    private let sliceCount: Int

    /// - Parameters:
    ///   - name: The model's, for errors.
    ///   - width: Numbers per input.
    ///   - threads: Number of worker threads.
    ///   - tokenCount: Size of an input, for `policy`.
    ///   - makeContext: Called once on each worker thread with its number; nil where memory does not suffice for one more: the others do the work.
    package init(
        name: String, width: Int, threads: Int, stackSize: Int, policy: BatchPolicy.Configuration,
        tokenCount: @escaping @Sendable (Input) -> Int, makeContext: @escaping @Sendable (_ worker: Int) -> Compute?
    ) {
        precondition(threads > 0 && width > 0, "\(threads) threads, rows of \(width)")
        self.width = width
        self.tokenCount = tokenCount
        sliceCount = max(1, min(512, policy.queueMax / 4))
        let queue = BatchQueue<Input>(name: name, width: width, policy: policy, tokenCount: tokenCount)
        self.queue = queue
        workers = (0..<threads).map { index in
            WorkerThread(name: "encoder-\(index)", stackSize: stackSize) {
                guard let compute = makeContext(index) else { return }
                queue.run(compute)
            }
        }
    }

    deinit {
        queue.stop()
        for worker in workers { worker.join() }
    }

    /// Number of inputs that wait.
    package var waitingCount: Int { queue.waitingCount }

    /// - Returns: Shape `[inputs.count, width]`, row-major, as the model computed them.
    /// - Throws: `InferenceError.overloaded` when the queue is full, `.failed` when the model is closed or could not compute a batch, or
    ///   `CancellationError`.
    package func encode(_ inputs: [Input], priority: EmbeddingPurpose) async throws -> [Float] {
        var rows: [Float] = []
        rows.reserveCapacity(inputs.count * width)
        for start in stride(from: 0, to: inputs.count, by: sliceCount) {
            let slice = Array(inputs[start..<min(start + sliceCount, inputs.count)])
            let sizes = slice.map(tokenCount)
            let request = BatchQueue<Input>.Request(inputs: slice, width: width)
            try await wait(for: request, priority: priority, order: slice.indices.sorted { sizes[$0] < sizes[$1] })
            rows += queue.rows(of: request).rows
        }
        return rows
    }

    /// As above, but no longer than until a deadline. Inputs go in their order, so the first are the likeliest to be done.
    ///
    /// - Returns: For each input its row, or nil where the time did not suffice.
    package func encode(_ inputs: [Input], priority: EmbeddingPurpose, deadline: ContinuousClock.Instant) async throws -> [[Float]?] {
        var results: [[Float]?] = []
        for start in stride(from: 0, to: inputs.count, by: sliceCount) {
            let slice = Array(inputs[start..<min(start + sliceCount, inputs.count)])
            let left = deadline - .now
            guard left > .zero else {
                try Task.checkCancellation()
                results += [[Float]?](repeating: nil, count: slice.count)
                continue
            }
            let request = BatchQueue<Input>.Request(inputs: slice, width: width, deadline: Monitor<Int>.now() + left)
            let queue = queue
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
                    queue.expire(request)
                }
                defer { group.cancelAll() }
                try await wait(for: request, priority: priority, order: Array(slice.indices))
            }
            let (rows, isDone) = queue.rows(of: request)
            for index in slice.indices { results.append(isDone[index] ? Array(rows[index * width..<(index + 1) * width]) : nil) }
        }
        return results
    }

    private func wait(for request: BatchQueue<Input>.Request, priority: EmbeddingPurpose, order: [Int]) async throws {
        try Task.checkCancellation()
        let queue = queue
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                queue.submit(request, priority: priority, order: order, continuation)
            }
        } onCancel: {
            queue.cancel(request)
        }
    }
}

/// Scales rows to unit length.
///
/// - Parameters:
///   - rows: Shape `[any, width]`, row-major.
///   - name: The model's, for the error.
/// - Throws: `InferenceError.failed` for a row that has no direction: it is zero or not a number.
package func normalizeRows(_ rows: inout [Float], width: Int, name: String) throws(InferenceError) {
    let faulty = rows.withUnsafeMutableBufferPointer { rows -> Int? in
        for start in stride(from: 0, to: rows.count, by: width) {
            var sum: Float = 0
            for index in start..<start + width { sum += rows[index] * rows[index] }
            let length = sum.squareRoot()
            guard length.isFinite && length > 0 else { return start / width }
            for index in start..<start + width { rows[index] /= length }
        }
        return nil
    }
    if let faulty { throw .failed(name: name, reason: "the vector of text \(faulty) has no direction (zero or not a number)") }
}
