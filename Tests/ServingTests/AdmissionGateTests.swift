import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Serving

@Suite struct AdmissionGateTests {
    @Test func `places go to those who wait, in order of arrival`() async throws {
        let gate = AdmissionGate(name: "t", limit: 1, queueLimit: 10, metrics: PrometheusRegistry())
        let first = try await gate.enter()
        let order = Shared<[Int]>([])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<5 {
                group.addTask {
                    let permit = try await gate.enter()
                    order.change { $0.append(index) }
                    permit.release()
                }
                try await eventually("\(index) waits") { gate.counts.waiting == index + 1 }
            }
            first.release()
            try await group.waitForAll()
        }
        #expect(order.value == [0, 1, 2, 3, 4])
        #expect(gate.counts == (0, 0))
    }

    @Test func `releasing twice or forgetting a permit gives back one place`() async throws {
        let gate = AdmissionGate(name: "t", limit: 2, queueLimit: 0, metrics: PrometheusRegistry())
        do {
            let permit = try await gate.enter()
            let other = try await gate.enter()
            await #expect(throws: AdmissionGate.Refusal.self) { try await gate.enter() }
            permit.release()
            permit.release()
            #expect(gate.counts.running == 1)
            _ = other
        }
        #expect(gate.counts.running == 0)
    }

    /// Random arrivals, departures and cancellations: the limit holds at every moment and no place is lost.
    @Test(arguments: 0..<6 as Range<UInt64>)
    func `the limit holds under cancellation`(seed: UInt64) async throws {
        let gate = AdmissionGate(name: "t", limit: 3, queueLimit: 20, metrics: PrometheusRegistry())
        let running = Shared((now: 0, max: 0))
        var random = SeededGenerator(seed: seed)
        let plans = (0..<200).map { _ in
            (
                hold: Int.random(in: 0...3, using: &random), cancel: Int.random(in: 0...3, using: &random) == 0,
                cancelAfter: Int.random(in: 0...4, using: &random)
            )
        }
        await withTaskGroup(of: Void.self) { group in
            for plan in plans {
                group.addTask {
                    let task = Task {
                        let permit = try await gate.enter()
                        running.change { $0 = ($0.now + 1, max($0.max, $0.now + 1)) }
                        try? await Task.sleep(for: .milliseconds(plan.hold))
                        running.change { $0.now -= 1 }
                        permit.release()
                    }
                    if plan.cancel {
                        try? await Task.sleep(for: .milliseconds(plan.cancelAfter))
                        task.cancel()
                    }
                    _ = await task.result
                }
            }
        }
        #expect(running.value.max <= 3, "seed \(seed)")
        #expect(gate.counts == (0, 0), "seed \(seed)")
    }

    @Test func `a latch wakes all who wait, and whoever is cancelled`() async {
        let latch = Latch()
        let cancelled = Task { await latch.wait() }
        cancelled.cancel()
        await cancelled.value
        #expect(!latch.isOpen)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<10 { group.addTask { await latch.wait() } }
            latch.open()
        }
        await latch.wait()
        #expect(latch.isOpen)
    }
}
