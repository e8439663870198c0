import TestSupport
import Testing

@testable import Kernels

struct TopKTests {
    /// Few different scores, so that ties are frequent.
    private func entries(_ count: Int, _ generator: inout SeededGenerator) -> [TopK.Entry] {
        (0..<count).map { TopK.Entry(score: Float(Int.random(in: -8...8, using: &generator)) / 4, id: Int64($0)) }
    }

    private func best(_ entries: [TopK.Entry], _ k: Int) -> [TopK.Entry] {
        Array(entries.sorted { ($0.score, $1.id) > ($1.score, $0.id) }.prefix(k))
    }

    @Test(arguments: Array(1...30) as [UInt64])
    func `keeps what sorting everything would keep, in any order and split`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let all = entries(Int.random(in: 0...300, using: &generator), &generator)
        for k in [0, 1, 2, 3, 10, 100, 1000] {
            let expected = best(all, k)
            let shuffled = all.shuffled(using: &generator)
            var one = TopK(capacity: k)
            for entry in shuffled { one.push(score: entry.score, id: entry.id) }
            #expect(one.sorted == expected, "seed \(seed), k \(k)")
            #expect(one.count == expected.count)

            var block = TopK(capacity: k)
            let scores = shuffled.map(\.score)
            let ids = shuffled.map(\.id)
            scores.withUnsafeBufferPointer { scores in ids.withUnsafeBufferPointer { block.push(scores: scores, ids: $0) } }
            #expect(block.sorted == expected, "seed \(seed), k \(k)")

            let mask = (0..<(ids.count + 63) / 64).map { index in
                let rest = ids.count - index * 64
                return generator.next() & (rest >= 64 ? .max : (1 << UInt64(rest)) - 1)
            }
            var masked = TopK(capacity: k)
            scores.withUnsafeBufferPointer { scores in
                ids.withUnsafeBufferPointer { ids in mask.withUnsafeBufferPointer { masked.push(scores: scores, ids: ids, mask: $0) } }
            }
            let chosen = shuffled.indices.filter { (mask[$0 / 64] >> UInt64($0 % 64)) & 1 == 1 }.map { shuffled[$0] }
            #expect(masked.sorted == best(chosen, k), "seed \(seed), k \(k)")

            var parts = (0..<3).map { _ in TopK(capacity: k) }
            for entry in shuffled { parts[Int.random(in: 0..<3, using: &generator)].push(score: entry.score, id: entry.id) }
            var merged = TopK(capacity: k)
            for part in parts { merged.merge(part) }
            #expect(merged.sorted == expected, "seed \(seed), k \(k)")
        }
    }

    @Test func `what is not a number ranks last`() {
        var top = TopK(capacity: 3)
        top.push(score: .nan, id: 1)
        top.push(score: -.infinity, id: 2)
        top.push(score: -5, id: 3)
        #expect(top.sorted == [.init(score: -5, id: 3), .init(score: -.infinity, id: 1), .init(score: -.infinity, id: 2)])
        top.push(score: -7, id: 4)
        #expect(top.sorted.map(\.id) == [3, 4, 1])
    }

    @Test func `the threshold is the worst kept score once k are kept`() {
        var top = TopK(capacity: 2)
        #expect(top.threshold == -.infinity)
        top.push(score: 1, id: 1)
        #expect(top.threshold == -.infinity)
        top.push(score: 3, id: 2)
        #expect(top.threshold == 1)
        top.push(score: 2, id: 3)
        #expect(top.threshold == 2)
        #expect(TopK(capacity: 0).threshold == .infinity)
    }
}
