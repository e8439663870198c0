/// Calls back at given moments, from one thread for all of them.
///
/// A sleeping task leaves a timer with the system until it would have fired, however early the task was cancelled: at a thousand requests a second that may
/// take a minute each, sixty thousand of them. Here a moment that is called off is gone, and setting one wakes nobody unless it is the next.
package final class Alarm: Sendable {
    /// For the whole process.
    package static let shared = Alarm(name: "alarm")

    /// Names a moment until it has come.
    package struct Ticket: Sendable, Hashable {
        fileprivate let number: UInt64
    }

    private struct Moment {
        var time: Duration
        var number: UInt64
    }

    private struct State {
        /// A binary heap, the earliest first; moments that were called off are dropped when they come up, or when they are most of it.
        var heap: [Moment] = []
        var actions: [UInt64: @Sendable () -> Void] = [:]
        var nextNumber: UInt64 = 0
        var isRunning = false

        mutating func push(_ moment: Moment) {
            heap.append(moment)
            var child = heap.count - 1
            while child > 0, heap[child].time < heap[(child - 1) / 2].time {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        }

        mutating func pop() {
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
            sift(0)
        }

        private mutating func sift(_ start: Int) {
            var parent = start
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].time < heap[least].time {
                    least = child
                }
                if least == parent { return }
                heap.swapAt(parent, least)
                parent = least
            }
        }

        /// Drops what was called off.
        mutating func sweep() {
            heap.removeAll { actions[$0.number] == nil }
            for index in stride(from: heap.count / 2, through: 0, by: -1) { sift(index) }
        }
    }

    private let name: String
    private let monitor = Monitor(State())

    package init(name: String) { self.name = name }

    /// Moments that have not come yet and were not called off.
    package var count: Int { monitor.withLock { $0.actions.count } }

    /// Calls back once, after a time; at once when it is over already. The callback must be short: others wait for it.
    package func set(after delay: Duration, _ action: @escaping @Sendable () -> Void) -> Ticket {
        let time = Monitor<State>.now() + delay
        let (ticket, isNext, starts) = monitor.withLock { state in
            let number = state.nextNumber
            state.nextNumber += 1
            state.actions[number] = action
            let isNext = state.heap.first.map { time < $0.time } ?? true
            state.push(Moment(time: time, number: number))
            let starts = !state.isRunning
            state.isRunning = true
            return (Ticket(number: number), isNext, starts)
        }
        if starts {
            // It lives as long as the process: an alarm that was used once will be used again.
            _ = WorkerThread(name: name, stackSize: 256 << 10) { [self] in run() }
        } else if isNext {
            monitor.wakeAll()
        }
        return ticket
    }

    /// Calls a moment off. Its callback may be running at this very time.
    package func cancel(_ ticket: Ticket) {
        monitor.withLock { state in
            state.actions[ticket.number] = nil
            if state.heap.count > 64, state.heap.count > 4 * state.actions.count { state.sweep() }
        }
    }

    /// So many moments are kept, called off or not; for tests.
    var heapCount: Int { monitor.withLock { $0.heap.count } }

    private func run() {
        while true {
            let due = monitor.waitFor { state, now -> Monitor<State>.Finding<[@Sendable () -> Void]> in
                var due: [@Sendable () -> Void] = []
                while let first = state.heap.first, first.time <= now {
                    state.pop()
                    if let action = state.actions.removeValue(forKey: first.number) { due.append(action) }
                }
                return due.isEmpty ? .wait(until: state.heap.first?.time) : .found(due)
            }
            for action in due { action() }
        }
    }
}
