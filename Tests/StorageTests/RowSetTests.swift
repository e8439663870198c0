import TestSupport
import Testing

@testable import Storage

struct RowSetTests {
    private func randomRows(_ generator: inout SeededGenerator) -> Set<Int64> {
        let span = [1, 63, 64, 65, 200, 5000].randomElement(using: &generator)!
        let start = Int64.random(in: -300...100_000, using: &generator)
        let count = Int.random(in: 0...min(300, span), using: &generator)
        return Set((0..<count).map { _ in start + Int64.random(in: 0..<Int64(span), using: &generator) })
    }

    private func make(_ rows: Set<Int64>) -> RowSet { RowSet(rows.map { RowID($0) }) }

    @Test(arguments: Array(1...40) as [UInt64])
    func `behaves as a Set of the same rows`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let left = randomRows(&generator)
        let right = Bool.random(using: &generator) ? randomRows(&generator) : Set(left.shuffled(using: &generator).prefix(left.count / 2))
        let (first, second) = (make(left), make(right))
        #expect(first.count == left.count)
        #expect(first.isEmpty == left.isEmpty)
        #expect(first.rows.map(\.rawValue) == left.sorted(), "seed \(seed)")
        #expect(first.first?.rawValue == left.min())
        #expect(first.last?.rawValue == left.max())
        #expect(first.union(second) == make(left.union(right)), "seed \(seed)")
        #expect(first.intersection(second) == make(left.intersection(right)), "seed \(seed)")
        #expect(first.subtracting(second) == make(left.subtracting(right)), "seed \(seed)")
        for id in (left.min() ?? 0) - 130...(left.max() ?? 0) + 130 { #expect(first.contains(RowID(id)) == left.contains(id)) }
        #expect(!first.contains(RowID(.min)))
        #expect(!first.contains(RowID(.max)))
    }

    @Test(arguments: Array(1...40) as [UInt64])
    func `a mask tells membership of rows with and without gaps`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let members = randomRows(&generator)
        let set = make(members)
        let start = (members.min() ?? 0) + Int64.random(in: -150...150, using: &generator)
        let consecutive = Array(start..<start + Int64.random(in: 0...400, using: &generator))
        let gaps = consecutive.filter { _ in Int.random(in: 0..<3, using: &generator) > 0 }
        for (rows, isAscending) in [(consecutive, true), (gaps, true), (gaps.shuffled(using: &generator), false), ([1, 5, 3, 4], false)] {
            var mask = [UInt64](repeating: .max, count: (rows.count + 63) / 64)
            rows.withUnsafeBufferPointer { rows in mask.withUnsafeMutableBufferPointer { set.fill($0, for: rows, isAscending: isAscending) }
            }
            for position in 0..<mask.count * 64 {
                let expected = position < rows.count && members.contains(rows[position])
                #expect((mask[position / 64] >> UInt64(position % 64)) & 1 == (expected ? 1 : 0), "seed \(seed), position \(position)")
            }
        }
    }
}
