import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Execution

@Suite struct WorkPoolTests {
    @Test(arguments: [1, 2, 7])
    func `no more runs at once than the pool has threads, and everything runs`(threads: Int) async throws {
        let pool = WorkPool(name: "t", threadCountMax: threads)
        let running = Shared((now: 0, most: 0))
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<200 {
                group.addTask {
                    try await pool.run { () throws -> Int in
                        running.change { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                        usleep(200)
                        running.change { $0.now -= 1 }
                        return number
                    }
                }
            }
            var seen: Set<Int> = []
            for try await number in group { seen.insert(number) }
            #expect(seen == Set(0..<200))
        }
        #expect(running.value.most <= threads && running.value.now == 0)
        try await eventually { pool.counts == (0, 0) }
    }

    @Test func `what waits is taken in the order in which it came`() async throws {
        let pool = WorkPool(name: "t", threadCountMax: 1)
        let gate = Monitor(false)
        let order = Shared<[Int]>([])
        // Takes the only thread until the gate opens.
        let first = Task { await pool.run { gate.waitFor { isOpen, _ in isOpen ? .found(()) : .wait(until: nil) } } }
        try await eventually { pool.counts.running == 1 }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask { await pool.run { order.change { $0.append(number) } } }
                try await eventually { pool.counts.waiting == number + 1 }
            }
            gate.withLock { $0 = true }
            gate.wakeAll()
            try await group.waitForAll()
        }
        await first.value
        #expect(order.value == Array(0..<300))
    }

    @Test func `an error reaches the caller and costs no thread`() async throws {
        struct Failure: Error {}
        let pool = WorkPool(name: "t", threadCountMax: 2)
        for _ in 0..<20 { await #expect(throws: Failure.self) { try await pool.run { () throws -> Int in throw Failure() } } }
        #expect(await pool.run { 5 } == 5)
    }

    /// A commit that was handed over has to happen.
    @Test func `work of a cancelled task is done all the same`() async throws {
        let pool = WorkPool(name: "t", threadCountMax: 1)
        let gate = Monitor(false)
        let isDone = Shared(false)
        let first = Task { await pool.run { gate.waitFor { isOpen, _ in isOpen ? .found(()) : .wait(until: nil) } } }
        let second = Task { await pool.run { isDone.change { $0 = true } } }
        try await eventually { pool.counts.waiting == 1 }
        second.cancel()
        gate.withLock { $0 = true }
        gate.wakeAll()
        await first.value
        await second.value
        #expect(isDone.value)
    }

    @Test func `slow work in one pool does not keep another waiting`() async throws {
        let gate = Monitor(false)
        let (slow, quick) = (WorkPool(name: "slow", threadCountMax: 4), WorkPool(name: "quick", threadCountMax: 1))
        let blocked = (0..<40).map { _ in Task { await slow.run { gate.waitFor { isOpen, _ in isOpen ? .found(()) : .wait(until: nil) } } }
        }
        try await eventually { slow.counts == (4, 36) }
        #expect(await quick.run { 1 } == 1)
        gate.withLock { $0 = true }
        gate.wakeAll()
        for task in blocked { await task.value }
    }
}

@Suite struct DurationTests {
    @Test func `lengths are told in seconds and milliseconds`() {
        #expect((Duration.milliseconds(1500)).inSeconds == 1.5)
        #expect(Duration.microseconds(2500).inMilliseconds == 2.5)
        #expect(Duration.microseconds(2999).wholeMilliseconds == 2 && Duration.seconds(3).wholeMilliseconds == 3000)
        #expect(Duration.milliseconds(-1500).wholeMilliseconds == -1500)
    }
}

@Suite struct ParallelTests {
    @Test(arguments: [(0, 4), (1, 4), (100, 1), (100, 3), (5, 100)], [false, true])
    func `each part is done once`(_ size: (count: Int, threads: Int), isBackground: Bool) {
        let done = Mutex([Int](repeating: 0, count: size.count))
        inParallel(size.count, threads: size.threads, isBackground: isBackground) { part in done.withLock { $0[part] += 1 } }
        #expect(done.withLock { $0 } == [Int](repeating: 1, count: size.count))
    }

    @Test func `work in the background hands its value back`() { #expect(inBackground { 41 + 1 } == 42) }
}
