import Inference

/// Inputs that one caller waits for. Its fields belong to the core's monitor.
final class EncodeRequest: @unchecked Sendable {
    // Invariant: read and written only under the lock of the `EncoderCore` that it was submitted to; `inputs` never changes.
    let inputs: [EncoderInput]
    /// When the caller stops waiting, as a time since the machine started.
    let deadline: Duration?
    fileprivate var rows: [Float]
    fileprivate var isDone: [Bool]
    fileprivate var tickets: Set<BatchPolicy.Ticket> = []
    fileprivate var remaining: Int
    fileprivate var isCancelled = false
    fileprivate var isExpired = false
    fileprivate var continuation: CheckedContinuation<Void, any Error>?

    init(inputs: [EncoderInput], width: Int, deadline: Duration? = nil) {
        self.inputs = inputs
        self.deadline = deadline
        rows = [Float](repeating: 0, count: inputs.count * width)
        isDone = [Bool](repeating: false, count: inputs.count)
        remaining = inputs.count
    }
}

/// What callers and worker threads of an `EncoderPool` share: the queue, and who waits for what.
///
/// ```
///            submit                 a worker takes it              last row arrives
///  (caller) ───────► waiting ─────────────────────────► running ────────────────────► resumed
///                       │ cancel, deadline, stop           │ cancel, deadline: resumed now, the rows are dropped
///                       └──────────► resumed               └────────► resumed
/// ```
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

    /// Queues a request; the continuation resumes when all its rows are there, when one fails, when it is cancelled, or when `expire` is called.
    ///
    /// - Parameter order: In which its inputs go. Inputs of like length make even batches; a caller with a deadline has an order of its own.
    func submit(
        _ request: EncodeRequest, priority: EmbeddingPurpose, order: [Int], _ continuation: CheckedContinuation<Void, any Error>
    ) {
        let refusal: Result<Void, any Error>? = monitor.withLock { state in
            if request.isCancelled { return .failure(CancellationError()) }
            if request.isExpired { return .success(()) }
            if state.isStopped { return .failure(stopped) }
            guard state.policy.hasRoom(for: order.count) else {
                return .failure(
                    InferenceError.overloaded(queued: state.policy.waitingCount, limit: state.policy.configuration.queueMax))
            }
            let now = Monitor<State>.now()
            for index in order {
                // There is room, as was just checked.
                guard let ticket = try? state.policy.submit(size: request.inputs[index].tokens.count, priority: priority, now: now) else {
                    return .failure(stopped)
                }
                state.items[ticket] = Item(request: request, index: index)
                request.tickets.insert(ticket)
            }
            request.continuation = continuation
            return nil
        }
        if let refusal {
            continuation.resume(with: refusal)
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

    /// Ends the wait of a request at its deadline: what is not done by now stays undone, and its caller resumes without an error.
    func expire(_ request: EncodeRequest) {
        let continuation = monitor.withLock { state in
            request.isExpired = true
            return Self.abandon(request, &state)
        }
        continuation?.resume()
    }

    /// The finished rows and which they are. Only after the continuation has resumed without an error.
    func rows(of request: EncodeRequest) -> (rows: [Float], isDone: [Bool]) { monitor.withLock { _ in (request.rows, request.isDone) } }

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
            guard !items.isEmpty else { continue }
            finish(items, rows: context.encode(items.map { $0.request.inputs[$0.index] }), width: context.width)
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
                    // Nobody waits for it any more; its caller is resumed by the timer.
                    if let deadline = item.request.deadline, now >= deadline { return nil }
                    return item
                })
        }
    }

    private func finish(_ items: [Item], rows: [Float], width: Int) {
        let ready = monitor.withLock { _ in
            items.indices.compactMap { position -> CheckedContinuation<Void, any Error>? in
                let request = items[position].request
                let index = items[position].index
                request.rows.replaceSubrange(index * width..<(index + 1) * width, with: rows[position * width..<(position + 1) * width])
                request.isDone[index] = true
                request.remaining -= 1
                guard request.remaining == 0 else { return nil }
                defer { request.continuation = nil }
                return request.continuation
            }
        }
        for continuation in ready { continuation.resume() }
    }
}
