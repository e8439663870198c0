import Execution
import Synchronization
import TestSupport
import Testing

@testable import Inference

/// The queue that every encoder stands behind, with a model that doubles numbers.
@Suite struct BatchRunnerTests {
    private struct Broken: Error {}

    /// Rows of two: the number twice over, and how many were in its batch. `gate` holds a batch up while it is closed; -1 breaks its batch.
    private static func runner(
        threads: Int = 1, policy: BatchPolicy.Configuration = .init(documentWaitMax: .zero), gate: Monitor<Bool> = Monitor(true),
        entered: Shared<Int> = Shared(0),
        contexts: @escaping @Sendable (Int) -> Bool = { _ in true }
    ) -> BatchRunner<Int> {
        BatchRunner(
            name: "doubler", width: 2, threads: threads, stackSize: 1 << 18, policy: policy, tokenCount: { max(1, abs($0) % 7) },
            makeContext: { worker in
                guard contexts(worker) else { return nil }
                return { numbers in
                    entered.change { $0 += 1 }
                    gate.waitFor { isOpen, _ in isOpen ? .found(()) : .wait(until: nil) }
                    if numbers.contains(-1) { throw Broken() }
                    return numbers.flatMap { [Float($0 * 2), Float(numbers.count)] }
                }
            })
    }

    private static func open(_ gate: Monitor<Bool>) {
        gate.withLock { $0 = true }
        gate.wakeAll()
    }

    private static func columns(_ rows: [Float]) -> (values: [Int], sizes: [Int]) {
        let numbers = rows.map { Int($0) }
        return (
            stride(from: 0, to: numbers.count, by: 2).map { numbers[$0] }, stride(from: 1, to: numbers.count, by: 2).map { numbers[$0] }
        )
    }

    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `every caller gets the rows of its own inputs, in its order`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let runner = Self.runner(
            threads: Int.random(in: 1...4, using: &random), policy: .init(countMax: 5, tokenMax: 16, queueMax: 100_000))
        let calls = (0..<20).map { _ in (0..<Int.random(in: 0...40, using: &random)).map { _ in Int.random(in: 0..<1000, using: &random) } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, call) in calls.enumerated() {
                group.addTask {
                    let rows = try await runner.encode(call, priority: index % 2 == 0 ? .query : .document)
                    let (values, sizes) = Self.columns(rows)
                    #expect(values == call.map { $0 * 2 }, "seed \(seed)")
                    #expect(sizes.allSatisfy { $0 <= 5 }, "seed \(seed)")
                }
            }
            try await group.waitForAll()
        }
        #expect(runner.waitingCount == 0)
    }

    @Test func `a call with more inputs than the queue holds goes through in slices`() async throws {
        let runner = Self.runner(policy: .init(documentWaitMax: .zero, queueMax: 8))
        let rows = try await runner.encode(Array(0..<1000), priority: .document)
        #expect(Self.columns(rows).values == (0..<1000).map { $0 * 2 })
    }

    @Test func `a batch that breaks fails its callers and no other`() async throws {
        let runner = Self.runner()
        await #expect(throws: Broken.self) { try await runner.encode([3, -1], priority: .query) }
        #expect(try await runner.encode([4], priority: .query) == [8, 1])
        #expect(runner.waitingCount == 0)
    }

    @Test func `a full queue refuses at once`() async throws {
        let gate = Monitor(false)
        // Whatever happens: the runner waits for its batch before it goes.
        defer { Self.open(gate) }
        let entered = Shared(0)
        let runner = Self.runner(policy: .init(countMax: 1, documentWaitMax: .zero, queueMax: 4), gate: gate, entered: entered)
        var running = [Task { try await runner.encode([0], priority: .query) }]
        try await eventually("one is computed") { entered.value == 1 }
        running += (1..<5).map { number in Task { try await runner.encode([number], priority: .query) } }
        try await eventually("four wait") { runner.waitingCount == 4 }
        await #expect {
            try await runner.encode([9], priority: .query)
        } throws: {
            if case InferenceError.overloaded(queued: 4, limit: 4) = $0 { true } else { false }
        }
        Self.open(gate)
        for (number, task) in running.enumerated() { #expect(try await task.value.first == Float(number * 2)) }
    }

    @Test func `cancelling takes a request out of the queue while a batch runs`() async throws {
        let gate = Monitor(false)
        defer { Self.open(gate) }
        let entered = Shared(0)
        let runner = Self.runner(policy: .init(countMax: 1, documentWaitMax: .zero), gate: gate, entered: entered)
        let running = Task { try await runner.encode([1], priority: .query) }
        // Tasks begin in any order.
        try await eventually("the first is computed") { entered.value == 1 }
        let waiting = Task { try await runner.encode([2, 3], priority: .query) }
        try await eventually { runner.waitingCount == 2 }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(runner.waitingCount == 0)
        // What runs is not waited for either.
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        Self.open(gate)
        #expect(try await runner.encode([5], priority: .query).first == 10)
    }

    @Test func `at a deadline the caller goes on with what is done`() async throws {
        let runner = Self.runner(policy: .init(countMax: 2, documentWaitMax: .seconds(3600)))
        // Two make a full batch; the third waits for company for an hour.
        let rows = try await runner.encode([1, 2, 3], priority: .document, deadline: .now + .milliseconds(200))
        #expect(rows.count == 3 && rows[2] == nil)
        #expect(rows[0] == nil || rows[0]?.first == 2)
        #expect(runner.waitingCount == 0)
        #expect(try await runner.encode([1, 2], priority: .document, deadline: .now - .seconds(1)) == [nil, nil])
    }

    @Test func `where a worker gets no context the others do its work`() async throws {
        let runner = Self.runner(threads: 3, contexts: { $0 == 1 })
        #expect(try await runner.encode(Array(0..<50), priority: .document).count == 100)
    }

    @Test func `closing tells those who wait`() async throws {
        let queue = BatchQueue<Int>(name: "x", width: 1, policy: .init(documentWaitMax: .seconds(3600)), tokenCount: { _ in 1 })
        let request = BatchQueue<Int>.Request(inputs: [1], width: 1)
        let task = Task { try await withCheckedThrowingContinuation { queue.submit(request, priority: .document, order: [0], $0) } }
        try await eventually { queue.waitingCount == 1 }
        queue.stop()
        await #expect(throws: InferenceError.self) { try await task.value }
        // And those who come later.
        let late = BatchQueue<Int>.Request(inputs: [1], width: 1)
        await #expect(throws: InferenceError.self) {
            try await withCheckedThrowingContinuation { queue.submit(late, priority: .document, order: [0], $0) }
        }
    }

    @Test func `rows are scaled to unit length, and one without direction is named`() throws {
        var rows: [Float] = [3, 4, 0, 2]
        try normalizeRows(&rows, width: 2, name: "m")
        #expect(rows == [0.6, 0.8, 0, 1])
        for bad in [[1, 0, 0, 0], [1, 0, .nan, 1], [1, 0, .infinity, 1]] as [[Float]] {
            var rows = bad
            #expect { try normalizeRows(&rows, width: 2, name: "m") } throws: { "\($0)".contains("text 1") }
        }
    }
}
