package import Metrics
import Synchronization

/// Lets a bounded number of requests run, a bounded number wait in order of arrival, and refuses the rest at once.
///
/// Refusing early keeps the latency of the accepted requests flat when more arrive than can be served.
package final class AdmissionGate: Sendable {
    /// A place among the running requests. It is given back by `release()`, or at the latest when the permit goes away.
    package final class Permit: Sendable {
        private let gate: AdmissionGate
        private let isReleased = Atomic(false)
        fileprivate init(_ gate: AdmissionGate) { self.gate = gate }
        package func release() {
            if !isReleased.exchange(true, ordering: .acquiringAndReleasing) { gate.leave() }
        }
        deinit { release() }
    }

    /// All places are taken and all that may wait do. Nothing of the request was done.
    package struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
        package let gate: String
        package let limit: Int
        package let queueLimit: Int

        package var description: String {
            "the server is busy: \(limit) \(gate) requests are running and \(queueLimit) are waiting; try again in a few seconds"
        }
    }

    private struct State {
        var running = 0
        var nextID = 0
        /// In order of arrival.
        var waiting: [(id: Int, continuation: CheckedContinuation<Bool, Never>)] = []
    }

    package let name: String
    package let limit: Int
    package let queueLimit: Int
    private let state = Mutex(State())
    private let runningGauge: Gauge
    private let waitingGauge: Gauge
    private let refusals: Counter

    package init(name: String, limit: Int, queueLimit: Int, metrics: any MetricsFactory) {
        precondition(limit > 0 && queueLimit >= 0, "gate '\(name)': limit \(limit), queueLimit \(queueLimit)")
        self.name = name
        self.limit = limit
        self.queueLimit = queueLimit
        runningGauge = Gauge(label: "outrider_http_requests_running", dimensions: [("class", name)], factory: metrics)
        waitingGauge = Gauge(label: "outrider_http_requests_waiting", dimensions: [("class", name)], factory: metrics)
        refusals = Counter(label: "outrider_http_requests_refused_total", dimensions: [("class", name)], factory: metrics)
        runningGauge.record(0)
        waitingGauge.record(0)
    }

    package var counts: (running: Int, waiting: Int) { state.withLock { ($0.running, $0.waiting.count) } }

    /// Waits for a place.
    ///
    /// - Throws: `Refusal` when the queue is full; `CancellationError` when the task is cancelled while it waits.
    package func enter() async throws -> Permit {
        enum Step {
            case run
            case wait(Int)
            case refuse
        }
        let step: Step = state.withLock { state in
            if state.running < limit {
                state.running += 1
                return .run
            }
            if state.waiting.count >= queueLimit { return .refuse }
            state.nextID += 1
            return .wait(state.nextID)
        }
        defer { report() }
        switch step {
        case .run: return Permit(self)
        case .refuse: throw refusal()
        case .wait(let id):
            enum Outcome { case run, refused, cancelled }
            let isAdmitted = await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    // Between the first look and now a place may have become free, the queue may have filled up, or the task may have been cancelled.
                    let outcome: Outcome? = state.withLock { state in
                        if Task.isCancelled { return .cancelled }
                        if state.running < limit {
                            state.running += 1
                            return .run
                        }
                        if state.waiting.count >= queueLimit { return .refused }
                        state.waiting.append((id, continuation))
                        return nil
                    }
                    if let outcome { continuation.resume(returning: outcome == .run) } else { report() }
                }
            } onCancel: {
                let waiter = state.withLock { state in
                    state.waiting.firstIndex { $0.id == id }.map { state.waiting.remove(at: $0).continuation }
                }
                waiter?.resume(returning: false)
            }
            if isAdmitted { return Permit(self) }
            try Task.checkCancellation()
            throw refusal()
        }
    }

    private func refusal() -> Refusal {
        refusals.increment()
        return Refusal(gate: name, limit: limit, queueLimit: queueLimit)
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            // The place goes straight to the next in the queue, so that a newcomer cannot overtake.
            if !state.waiting.isEmpty { return state.waiting.removeFirst().continuation }
            state.running -= 1
            return nil
        }
        next?.resume(returning: true)
        report()
    }

    private func report() {
        let counts = counts
        runningGauge.record(counts.running)
        waitingGauge.record(counts.waiting)
    }
}
