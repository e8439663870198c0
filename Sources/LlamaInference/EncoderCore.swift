import Inference

/// Sequences that one caller waits for. Its fields belong to the core's monitor.
final class EncodeRequest: @unchecked Sendable {
    // Invariant: read and written only under the lock of the `EncoderCore` that it was submitted to; `sequences` never changes.
    let sequences: [[Token]]
    fileprivate var rows: [Float]
    fileprivate var tickets: Set<BatchPolicy.Ticket> = []
    fileprivate var remaining: Int
    fileprivate var isCancelled = false
    fileprivate var continuation: CheckedContinuation<Void, any Error>?

    init(sequences: [[Token]], width: Int) {
        self.sequences = sequences
        rows = [Float](repeating: 0, count: sequences.count * width)
        remaining = sequences.count
    }
}

/// What callers and worker threads of an `EncoderPool` share: the queue, and who waits for what.
final class EncoderCore: Sendable {
    private struct Item {
        var request: EncodeRequest
        var index: Int
    }

    private struct State {
        var policy: BatchPolicy
        var items: [BatchPolicy.Ticket: Item] = [:]
        var isStopped = false
    }

    private let modelName: String
    private let monitor: Monitor<State>

    init(modelName: String, policy: BatchPolicy.Configuration) {
        self.modelName = modelName
        monitor = Monitor(State(policy: BatchPolicy(policy)))
    }

    var waitingCount: Int { monitor.withLock { $0.policy.waitingCount } }

    // MARK: Callers

    /// Queues a request; the continuation resumes when all its rows are there, when one fails, or when it is cancelled.
    func submit(_ request: EncodeRequest, priority: EmbeddingPurpose, _ continuation: CheckedContinuation<Void, any Error>) {
        // Sequences of like length make the fullest batches.
        let order = request.sequences.indices.sorted { request.sequences[$0].count < request.sequences[$1].count }
        let refusal: (any Error)? = monitor.withLock { state in
            if request.isCancelled { return CancellationError() }
            if state.isStopped { return stopped }
            guard state.policy.hasRoom(for: order.count) else {
                return InferenceError.overloaded(queued: state.policy.waitingCount, limit: state.policy.configuration.queueMax)
            }
            let now = Monitor<State>.now()
            for index in order {
                // There is room, as was just checked.
                guard let ticket = try? state.policy.submit(size: request.sequences[index].count, priority: priority, now: now) else {
                    return stopped
                }
                state.items[ticket] = Item(request: request, index: index)
                request.tickets.insert(ticket)
            }
            request.continuation = continuation
            return nil
        }
        if let refusal {
            continuation.resume(throwing: refusal)
        } else {
            monitor.wakeAll()
        }
    }

    /// Takes a request out of the queue and resumes its caller; a batch that runs already is not waited for.
    func cancel(_ request: EncodeRequest) {
        let continuation = monitor.withLock { state in
            request.isCancelled = true
            return Self.abandon(request, &state)
        }
        continuation?.resume(throwing: CancellationError())
    }

    /// The finished rows. Only after the continuation has resumed without an error.
    func rows(of request: EncodeRequest) -> [Float] { monitor.withLock { _ in request.rows } }

    /// Ends the workers after their present batch; whoever waits is told.
    func stop() {
        let waiting = monitor.withLock { state in
            state.isStopped = true
            return state.items.values.map(\.request).compactMap { Self.abandon($0, &state) }
        }
        monitor.wakeAll()
        for continuation in waiting { continuation.resume(throwing: stopped) }
    }

    private var stopped: InferenceError { .failed(name: modelName, reason: "the model is being closed") }

    private static func abandon(_ request: EncodeRequest, _ state: inout State) -> CheckedContinuation<Void, any Error>? {
        state.policy.cancel(request.tickets)
        for ticket in request.tickets { state.items[ticket] = nil }
        request.tickets = []
        defer { request.continuation = nil }
        return request.continuation
    }

    // MARK: Workers

    /// Computes batches until `stop` is called.
    func run(with context: EncoderContext) {
        while let items = nextBatch() {
            var rows = [Float](repeating: 0, count: items.count * context.width)
            do {
                try context.encode(items.map { $0.request.sequences[$0.index] }) { index, vector in
                    rows.replaceSubrange(index * context.width..<(index + 1) * context.width, with: vector)
                }
                finish(items, rows: rows, width: context.width)
            } catch {
                fail(items, error)
            }
        }
    }

    private func nextBatch() -> [Item]? {
        monitor.waitFor { state, now in
            if state.isStopped { return .found(nil) }
            guard let batch = state.policy.tick(now, slots: 1).first else { return .wait(until: state.policy.nextDeadline) }
            return .found(
                batch.tickets.compactMap { ticket in
                    guard let item = state.items.removeValue(forKey: ticket) else { return nil }
                    item.request.tickets.remove(ticket)
                    return item
                })
        }
    }

    private func finish(_ items: [Item], rows: [Float], width: Int) {
        let ready = monitor.withLock { _ in
            items.indices.compactMap { position -> CheckedContinuation<Void, any Error>? in
                let request = items[position].request
                let target = items[position].index * width
                request.rows.replaceSubrange(target..<target + width, with: rows[position * width..<(position + 1) * width])
                request.remaining -= 1
                guard request.remaining == 0 else { return nil }
                defer { request.continuation = nil }
                return request.continuation
            }
        }
        for continuation in ready { continuation.resume() }
    }

    private func fail(_ items: [Item], _ error: any Error) {
        let waiting = monitor.withLock { state in items.compactMap { Self.abandon($0.request, &state) } }
        for continuation in waiting { continuation.resume(throwing: error) }
    }
}
