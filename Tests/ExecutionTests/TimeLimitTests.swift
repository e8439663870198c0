import TestSupport
import Testing

@testable import Execution

@Suite struct `Time limit` {
    private struct Fault: Error {}
    private let time = VirtualTime()

    @Test func `values, errors and lateness come through`() async throws {
        let limit = TimeLimit(abandonedCountMax: 2, time: time)
        let start = time.now
        #expect(try await limit.run(until: start + .seconds(5)) { 7 } == 7)
        await #expect(throws: Fault.self) { try await limit.run(until: start + .seconds(5)) { throw Fault() } }
        await #expect(throws: TimeLimit.Expired.self) { try await limit.run(until: start) { 7 } }
        #expect(limit.abandonedCount == 0 && time.now == start)
        for count in 1...2 {
            await #expect(throws: TimeLimit.Expired.self) {
                try await limit.run(until: time.now + .milliseconds(20)) { [time] in await time.hang() }
            }
            #expect(time.now == start + .milliseconds(20 * count))
        }
        #expect(limit.abandonedCount == 2)
        await #expect(throws: TimeLimit.Stuck.self) { try await limit.run(until: time.now + .seconds(5)) { 7 } }
    }

    @Test func `an operation that ends late makes room again`() async throws {
        let limit = TimeLimit(abandonedCountMax: 1, time: time)
        await #expect(throws: TimeLimit.Expired.self) {
            try await limit.run(until: time.now + .milliseconds(20)) { [time] in await time.hang() }
        }
        #expect(limit.abandonedCount == 1)
        time.release()
        try await eventually { limit.abandonedCount == 0 }
        #expect(try await limit.run(until: time.now + .seconds(5)) { 7 } == 7)
    }

    @Test func `whoever is cancelled does not wait`() async throws {
        let limit = TimeLimit(abandonedCountMax: 1, time: time)
        let task = Task { [time] in
            try await limit.run(until: time.now + .seconds(5)) { try await time.sleep(until: time.now + .seconds(9)) }
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await eventually { limit.abandonedCount == 0 }
    }

    @Test func `by the machine's clock a limit holds as well`() async throws {
        let limit = TimeLimit(abandonedCountMax: 1)
        await #expect(throws: TimeLimit.Expired.self) {
            try await limit.run(until: .now + .milliseconds(5)) { [time] in try await time.sleep(until: time.now + .seconds(9)) }
        }
    }
}
