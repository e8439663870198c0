import Testing

@testable import Ingestion

struct ByteBudgetTests {
    /// Waits until so many requests wait; they were started before, so this ends.
    private func waiters(_ count: Int, _ budget: ByteBudget) async {
        while await budget.waiterCount != count { await Task.yield() }
    }

    @Test func `small documents pass a large one that waits`() async throws {
        let budget = ByteBudget(limit: 100)
        try await budget.acquire(60)
        let large = Task { try await budget.acquire(70) }
        await waiters(1, budget)
        try await budget.acquire(10)
        try await budget.acquire(15)
        #expect(await budget.used == 85)
        await budget.release(10)
        await budget.release(15)
        await budget.release(60)
        try await large.value
        #expect(await budget.used == 70)
    }

    @Test func `a request larger than everything is granted when its lane is empty`() async throws {
        let budget = ByteBudget(limit: 100)
        try await budget.acquire(1000)
        let next = Task { try await budget.acquire(30) }
        await waiters(1, budget)
        await budget.release(1000)
        try await next.value
        #expect(await budget.used == 30)
    }

    @Test func `a cancelled waiter holds nothing, and the one behind it is served`() async throws {
        let budget = ByteBudget(limit: 100)
        try await budget.acquire(70)
        let first = Task { try await budget.acquire(75) }
        await waiters(1, budget)
        let second = Task { try await budget.acquire(74) }
        await waiters(2, budget)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        await waiters(1, budget)
        #expect(await budget.used == 70)
        await budget.release(70)
        try await second.value
        #expect(await budget.used == 74)
        await #expect(throws: CancellationError.self) {
            let late = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await budget.acquire(1)
            }
            try await late.value
        }
        #expect(await budget.used == 74)
    }
}
