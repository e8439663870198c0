import Inference
import TestSupport
import Testing

@Suite struct BatchPolicyTests {
    private func milliseconds(_ count: Int) -> Duration { .milliseconds(count) }

    @Test func `a full batch goes at once`() throws {
        var policy = BatchPolicy(.init(countMax: 3, tokenMax: 1000))
        let tickets = try (0..<3).map { _ in try policy.submit(size: 10, priority: .document, now: .zero) }
        let batches = policy.tick(.zero)
        #expect(batches == [.init(tickets: tickets, tokens: 30, priority: .document)])
        #expect(policy.waitingCount == 0)
        #expect(policy.nextDeadline == nil)
    }

    @Test func `a lone document waits its time and no longer`() throws {
        var policy = BatchPolicy()
        _ = try policy.submit(size: 10, priority: .document, now: milliseconds(5))
        #expect(policy.nextDeadline == milliseconds(15))
        #expect(policy.tick(milliseconds(14)).isEmpty)
        #expect(policy.tick(milliseconds(15)).count == 1)
    }

    @Test func `a question does not wait`() throws {
        var policy = BatchPolicy()
        _ = try policy.submit(size: 10, priority: .query, now: .zero)
        #expect(policy.nextDeadline == .zero)
        #expect(policy.tick(.zero).first?.priority == .query)
    }

    @Test func `questions wait where that is configured`() throws {
        var policy = BatchPolicy(.init(queryWaitMax: .milliseconds(2)))
        _ = try policy.submit(size: 10, priority: .query, now: .zero)
        #expect(policy.tick(milliseconds(1)).isEmpty)
        #expect(policy.tick(milliseconds(2)).count == 1)
    }

    @Test func `a batch keeps the token cap`() throws {
        var policy = BatchPolicy(.init(countMax: 8, tokenMax: 100))
        for size in [40, 40, 40, 40] { _ = try policy.submit(size: size, priority: .document, now: .zero) }
        let first = policy.tick(.zero)
        // The third does not fit, so the batch is full before the time is over; the two that are left are not.
        #expect(first.map(\.tokens) == [80])
        #expect(policy.tick(milliseconds(10)).map(\.tokens) == [80])
    }

    @Test func `a request above the token cap goes alone`() throws {
        var policy = BatchPolicy(.init(countMax: 8, tokenMax: 100))
        for size in [10, 500, 10] { _ = try policy.submit(size: size, priority: .document, now: .zero) }
        #expect(policy.tick(milliseconds(10)).map(\.tokens) == [10, 500, 10])
    }

    @Test func `a full queue refuses and changes nothing`() throws {
        var policy = BatchPolicy(.init(queueMax: 2))
        _ = try policy.submit(size: 1, priority: .document, now: .zero)
        _ = try policy.submit(size: 1, priority: .query, now: .zero)
        #expect(!policy.hasRoom(for: 1))
        do {
            _ = try policy.submit(size: 1, priority: .query, now: .zero)
            Issue.record("the third request was taken")
        } catch InferenceError.overloaded(let queued, let limit) {
            #expect((queued, limit) == (2, 2))
        }
        #expect(policy.waitingCount == 2)
        _ = policy.tick(.zero, slots: 1)
        _ = try policy.submit(size: 1, priority: .query, now: .zero)
    }

    @Test func `questions go before documents that waited longer`() throws {
        var policy = BatchPolicy(.init(countMax: 2))
        for _ in 0..<2 { _ = try policy.submit(size: 1, priority: .document, now: .zero) }
        _ = try policy.submit(size: 1, priority: .query, now: milliseconds(50))
        #expect(policy.tick(milliseconds(50)).map(\.priority) == [.query, .document])
    }

    @Test func `documents advance under a flood of questions`() throws {
        var policy = BatchPolicy(.init(countMax: 4, queryRunMax: 3))
        for _ in 0..<40 { _ = try policy.submit(size: 1, priority: .document, now: .zero) }
        var order: [EmbeddingPurpose] = []
        for step in 1...40 {
            for _ in 0..<8 { _ = try policy.submit(size: 1, priority: .query, now: milliseconds(step)) }
            order += policy.tick(milliseconds(step), slots: 1).map(\.priority)
        }
        // Three batches of questions, one of documents, over and over.
        #expect(order.enumerated().allSatisfy { $1 == ($0 % 4 == 3 ? .document : .query) })
    }

    @Test func `a cancelled request is never launched`() throws {
        var policy = BatchPolicy()
        let tickets = try (0..<5).map { _ in try policy.submit(size: 1, priority: .document, now: .zero) }
        #expect(policy.cancel([tickets[1], tickets[3]]) == 2)
        #expect(policy.cancel([tickets[1]]) == 0)
        #expect(policy.tick(milliseconds(10)).flatMap(\.tickets) == [tickets[0], tickets[2], tickets[4]])
    }

    @Test func `no more batches than free slots`() throws {
        var policy = BatchPolicy(.init(countMax: 1))
        for _ in 0..<5 { _ = try policy.submit(size: 1, priority: .document, now: .zero) }
        #expect(policy.tick(.zero, slots: 0).isEmpty)
        #expect(policy.tick(.zero, slots: 2).count == 2)
        #expect(policy.tick(.zero).count == 3)
    }

    /// Random submissions, cancellations and ticks against a plain list of what was submitted.
    @Test(arguments: 0..<40 as Range<UInt64>)
    func `every request is launched once, in order, within its time and the caps`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let configuration = BatchPolicy.Configuration(
            countMax: .random(in: 1...6, using: &random), tokenMax: .random(in: 20...200, using: &random),
            queryRunMax: .random(in: 1...4, using: &random),
            queueMax: 60)
        var policy = BatchPolicy(configuration)
        var open: [BatchPolicy.Ticket: (size: Int, priority: EmbeddingPurpose, submitted: Duration)] = [:]
        var last: [EmbeddingPurpose: UInt64] = [:]
        var now = Duration.zero
        func launch(_ batches: [BatchPolicy.Batch]) {
            for batch in batches {
                let entries = batch.tickets.compactMap { open.removeValue(forKey: $0) }
                #expect(entries.count == batch.tickets.count, "seed \(seed): launched twice, or after its cancellation")
                #expect(entries.allSatisfy { $0.priority == batch.priority }, "seed \(seed): mixed batch")
                #expect(batch.tickets.count <= configuration.countMax, "seed \(seed)")
                #expect(batch.tokens == entries.reduce(0) { $0 + $1.size }, "seed \(seed)")
                #expect(batch.tokens <= configuration.tokenMax || batch.tickets.count == 1, "seed \(seed)")
                for ticket in batch.tickets {
                    #expect(last[batch.priority].map { $0 < ticket.number } ?? true, "seed \(seed): out of order")
                    last[batch.priority] = ticket.number
                }
            }
        }
        for _ in 0..<400 {
            now += .milliseconds(Int.random(in: 0...3, using: &random))
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let size = Int.random(in: 0...90, using: &random)
                let priority: EmbeddingPurpose = Bool.random(using: &random) ? .query : .document
                if let ticket = try? policy.submit(size: size, priority: priority, now: now) {
                    open[ticket] = (size, priority, now)
                } else {
                    #expect(open.count == 60, "seed \(seed): refused with \(open.count) waiting")
                }
            case 6:
                if let victim = open.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &random) {
                    open[victim] = nil
                    #expect(policy.cancel([victim]) == 1, "seed \(seed)")
                }
            default:
                let before = policy.nextDeadline
                let batches = policy.tick(now)
                if let before, before <= now { #expect(!batches.isEmpty, "seed \(seed): a deadline passed and nothing was launched") }
                launch(batches)
                // With slots for all, nothing that is due may stay.
                for (_, entry) in open {
                    #expect(entry.priority == .document && now - entry.submitted < .milliseconds(10), "seed \(seed): left waiting")
                }
            }
            #expect(policy.waitingCount == open.count, "seed \(seed)")
        }
        launch(policy.tick(now + .seconds(1)))
        #expect(open.isEmpty, "seed \(seed): forgotten")
    }
}
