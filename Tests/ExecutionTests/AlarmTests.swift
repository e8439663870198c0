import Foundation
import Synchronization
import Testing

@testable import Execution

struct AlarmTests {
    private final class Calls: Sendable {
        let seen = Mutex<[Int]>([])
        let done = DispatchSemaphore(value: 0)
        func note(_ number: Int) {
            seen.withLock { $0.append(number) }
            done.signal()
        }
        /// Waits until so many calls have come.
        func wait(_ count: Int) { for _ in 0..<count { done.wait() } }
    }

    @Test func `moments come in their order, whatever the order in which they were set`() {
        let alarm = Alarm(name: "test")
        let calls = Calls()
        for number in [5, 1, 4, 2, 3] { _ = alarm.set(after: .milliseconds(20 + 10 * number)) { calls.note(number) } }
        calls.wait(5)
        #expect(calls.seen.withLock { $0 } == [1, 2, 3, 4, 5] && alarm.count == 0)
    }

    @Test func `what is called off does not come, and what is over comes at once`() {
        let alarm = Alarm(name: "test")
        let calls = Calls()
        let off = alarm.set(after: .milliseconds(30)) { calls.note(1) }
        _ = alarm.set(after: .milliseconds(60)) { calls.note(2) }
        alarm.cancel(off)
        _ = alarm.set(after: .seconds(-1)) { calls.note(3) }
        calls.wait(2)
        #expect(calls.seen.withLock { $0 } == [3, 2])
    }

    @Test func `a hundred thousand requests with a minute each leave nothing`() {
        let alarm = Alarm(name: "test")
        for _ in 0..<100_000 { alarm.cancel(alarm.set(after: .seconds(60)) {}) }
        #expect(alarm.count == 0 && alarm.heapCount <= 65)
        // Those that stay keep their order among many that go.
        let calls = Calls()
        for number in 0..<300 {
            let ticket = alarm.set(after: .milliseconds(50 + (number * 37) % 100)) { calls.note((number * 37) % 100) }
            if number % 3 > 0 { alarm.cancel(ticket) }
        }
        calls.wait(100)
        let seen = calls.seen.withLock { $0 }
        #expect(seen.count == 100 && seen == seen.sorted())
    }
}
