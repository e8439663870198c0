import Execution
import Inference
import Synchronization

/// One answer to write: what the caller asked for, and where its pieces go.
final class GenerationJob: Sendable {
    let prompt: [Token]
    let maxTokens: Int
    let temperature: Float
    let topP: Float
    let seed: UInt32?
    let stop: [String]
    let continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    private let cancelled = Atomic(false)

    init(
        prompt: [Token], maxTokens: Int, temperature: Float, topP: Float, seed: UInt32?, stop: [String],
        continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    ) {
        self.prompt = prompt
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.seed = seed
        self.stop = stop
        self.continuation = continuation
    }

    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    func cancel() { cancelled.store(true, ordering: .relaxed) }
    /// Cells of the cache that the job may come to use.
    var cellCount: Int { prompt.count + maxTokens }
}

/// What callers and the worker thread of a `LlamaGenerator` share: the bounded queue.
final class GeneratorCore: Sendable {
    private struct State {
        var waiting: [GenerationJob] = []
        var runningCount = 0
        var isStopped = false
    }

    private let name: String
    private let queueLimit: Int
    private let monitor = Monitor(State())

    init(name: String, queueLimit: Int) {
        self.name = name
        self.queueLimit = queueLimit
    }

    var stopped: InferenceError { .failed(name: name, reason: "the model is being closed") }
    var load: (waiting: Int, running: Int) { monitor.withLock { ($0.waiting.count, $0.runningCount) } }

    func failure(_ reason: String) -> InferenceError { .failed(name: name, reason: reason) }

    func submit(_ job: GenerationJob) {
        let refusal: InferenceError? = monitor.withLock { state in
            if state.isStopped { return stopped }
            guard state.waiting.count < queueLimit else { return .overloaded(queued: state.waiting.count, limit: queueLimit) }
            if !job.isCancelled {
                // Told before the worker can take it, so that the turn's beginning comes after it.
                let ahead = state.waiting.count + state.runningCount
                if ahead > 0 { job.continuation.yield(.progress(.queued(ahead: ahead))) }
                state.waiting.append(job)
            }
            return nil
        }
        if let refusal { job.continuation.finish(throwing: refusal) } else { monitor.wakeAll() }
    }

    /// The consumer has left: a waiting job is forgotten at once, a running one within one token.
    func cancel(_ job: GenerationJob) {
        job.cancel()
        monitor.withLock { state in state.waiting.removeAll { $0 === job } }
        monitor.wakeAll()
    }

    func stop() {
        let waiting = monitor.withLock { state in
            state.isStopped = true
            defer { state.waiting = [] }
            return state.waiting
        }
        monitor.wakeAll()
        for job in waiting { job.continuation.finish(throwing: stopped) }
    }

    /// Takes waiting jobs, in order, while they fit; waits when there is nothing at all to do.
    ///
    /// - Parameter fits: Whether one more job has a slot and cells; asked in the order of waiting until it says no.
    /// - Returns: Nil when the generator is being closed.
    func take(runningCount: Int, fits: (GenerationJob) -> Bool) -> [GenerationJob]? {
        monitor.waitFor { state, _ in
            if state.isStopped { return .found(nil) }
            var taken: [GenerationJob] = []
            while let next = state.waiting.first, fits(next) { taken.append(state.waiting.removeFirst()) }
            state.runningCount = runningCount + taken.count
            return taken.isEmpty && runningCount == 0 ? .wait(until: nil) : .found(taken)
        }
    }
}
