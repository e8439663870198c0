import Execution

/// What callers and worker threads of a ``BatchRunner`` share: who waits for what, and what goes together.
///
/// ```
///            submit                 a worker takes it              last row arrives
///  (caller) ───────► waiting ─────────────────────────► running ────────────────────► resumed
///                       │ cancel, deadline, stop           │ cancel, deadline: resumed now, the rows are dropped
///                       └──────────► resumed               └────────► resumed
/// ```
final class BatchQueue<Input: Sendable>: Sendable {
    /// Inputs that one caller waits for. Its fields belong to the queue's monitor.
    final class Request: @unchecked Sendable {
        // Invariant: read and written only under the lock of the queue that it was submitted to; `inputs` never changes.
        let inputs: [Input]
        /// When the caller stops waiting, as a time since the machine started.
        let deadline: Duration?
        fileprivate var rows: [Float]
        fileprivate var isDone: [Bool]
        fileprivate var tickets: Set<BatchPolicy.Ticket> = []
        fileprivate var remaining: Int
        fileprivate var isCancelled = false
        fileprivate var isExpired = false
        fileprivate var continuation: CheckedContinuation<Void, any Error>?

        init(inputs: [Input], width: Int, deadline: Duration? = nil) {
            self.inputs = inputs
            self.deadline = deadline
            rows = [Float](repeating: 0, count: inputs.count * width)
            isDone = [Bool](repeating: false, count: inputs.count)
            remaining = inputs.count
        }
    }

    private struct Item {
        var request: Request
        var index: Int
    }

    private struct State {
        var policy: BatchPolicy
        var items: [BatchPolicy.Ticket: Item] = [:]
        var isStopped = false
    }

    private let name: String
    private let width: Int
    private let tokenCount: @Sendable (Input) -> Int
    private let monitor: Monitor<State>

    init(name: String, width: Int, policy: BatchPolicy.Configuration, tokenCount: @escaping @Sendable (Input) -> Int) {
        self.name = name
        self.width = width
        self.tokenCount = tokenCount
        monitor = Monitor(State(policy: BatchPolicy(policy)))
    }

    var waitingCount: Int { monitor.withLock { $0.policy.waitingCount } }

    // MARK: Callers

    /// Queues a request; the continuation resumes when all its rows are there, when one fails, when it is cancelled, or when `expire` is called.
    ///
    /// - Parameter order: In which its inputs go. Inputs of like length make even batches; a caller with a deadline has an order of its own.
    func submit(_ request: Request, priority: EmbeddingPurpose, order: [Int], _ continuation: CheckedContinuation<Void, any Error>) {
        let refusal: Result<Void, any Error>? = monitor.withLock { state in
            if request.isCancelled { return .failure(CancellationError()) }
            if request.isExpired { return .success(()) }
            if state.isStopped { return .failure(stopped) }
            guard state.policy.hasRoom(for: order.count) else {
                return .failure(InferenceError.overloaded(queued: state.policy.waitingCount, limit: state.policy.configuration.queueMax))
            }
            let now = Monitor<State>.now()
            for index in order {
                // There is room, as was just checked.
                guard let ticket = try? state.policy.submit(size: tokenCount(request.inputs[index]), priority: priority, now: now) else {
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
    func cancel(_ request: Request) {
        let continuation = monitor.withLock { state in
            request.isCancelled = true
            return Self.abandon(request, &state)
        }
        continuation?.resume(throwing: CancellationError())
    }

    /// Ends the wait of a request at its deadline: what is not done by now stays undone, and its caller resumes without an error.
    func expire(_ request: Request) {
        let continuation = monitor.withLock { state in
            request.isExpired = true
            return Self.abandon(request, &state)
        }
        continuation?.resume()
    }

    /// The finished rows and which they are. Only after the continuation has resumed without an error.
    func rows(of request: Request) -> (rows: [Float], isDone: [Bool]) { monitor.withLock { _ in (request.rows, request.isDone) } }

    /// Ends the workers after their present batch; whoever waits is told.
    func stop() {
        let waiting = monitor.withLock { state in
            state.isStopped = true
            return state.items.values.map(\.request).compactMap { Self.abandon($0, &state) }
        }
        monitor.wakeAll()
        for continuation in waiting { continuation.resume(throwing: stopped) }
    }

    private var stopped: InferenceError { .failed(name: name, reason: "the model is being closed") }

    private static func abandon(_ request: Request, _ state: inout State) -> CheckedContinuation<Void, any Error>? {
        state.policy.cancel(request.tickets)
        for ticket in request.tickets { state.items[ticket] = nil }
        request.tickets = []
        defer { request.continuation = nil }
        return request.continuation
    }

    // MARK: Workers

    /// Computes batches until `stop` is called.
    ///
    /// - Parameter compute: Inputs to rows, shape `[inputs.count, width]`. What it throws goes to the callers of that batch.
    func run(_ compute: ([Input]) throws -> [Float]) {
        while let items = nextBatch() {
            guard !items.isEmpty else { continue }
            do {
                finish(items, rows: try compute(items.map { $0.request.inputs[$0.index] }))
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
                    // Nobody waits for it any more; its caller is resumed by the timer.
                    if let deadline = item.request.deadline, now >= deadline { return nil }
                    return item
                })
        }
    }

    private func finish(_ items: [Item], rows: [Float]) {
        precondition(rows.count == items.count * width, "\(rows.count) numbers for \(items.count) rows of \(width)")
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

    private func fail(_ items: [Item], _ error: any Error) {
        let waiting = monitor.withLock { state in items.compactMap { Self.abandon($0.request, &state) } }
        for continuation in waiting { continuation.resume(throwing: error) }
    }
}
