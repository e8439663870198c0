import Kernels
import TestSupport
import Testing

@testable import VectorSearch

struct ListRankingTests {
    /// Ranks as they occur, and as they should not: spread evenly, equal, with outliers on either side, across zero.
    private static func ranks(_ shape: String, _ count: Int, _ generator: inout SeededGenerator) -> [Float] {
        (0..<count).map { index in
            switch shape {
            case "even": Float.random(in: -1...1, using: &generator)
            case "equal": 0.25
            case "few values": Float(Int.random(in: 0..<4, using: &generator))
            case "high outlier": index == count / 2 ? 1e6 : Float.random(in: 0...1, using: &generator)
            case "low outlier": index == count / 2 ? -1e6 : Float.random(in: 0...1, using: &generator)
            case "ascending": Float(index)
            case "negative": -Float.random(in: 1e-3...1e3, using: &generator)
            default: Float.random(in: -1e-30...1e-30, using: &generator)
            }
        }
    }

    @Test(
        arguments: ["even", "equal", "few values", "high outlier", "low outlier", "ascending", "negative", "tiny"],
        [1, 2, 63, 64, 65, 700, 3000])
    func `sorting step by step gives the order of sorting all`(shape: String, count: Int) {
        var generator = SeededGenerator(seed: UInt64(count))
        let ranks = Self.ranks(shape, count, &generator)
        let average = ranks.reduce(0, +) / Float(count)
        let square = ranks.reduce(0) { $0 + ($1 - average) * ($1 - average) } / Float(count)
        // The higher number first among equals, at every length of the prefix.
        let expected = ranks.indices.sorted { (ranks[$0], $0) > (ranks[$1], $1) }
        var keys = [UInt64](repeating: 0, count: count + 1)
        var order = [UInt64](repeating: 0, count: count)
        var starts = [UInt32](repeating: 0, count: ListRanking.bucketCount + 1)
        ranks.withUnsafeBufferPointer { ranks in
            keys.withUnsafeMutableBufferPointer { keys in
                order.withUnsafeMutableBufferPointer { order in
                    starts.withUnsafeMutableBufferPointer { starts in
                        var ranking = ListRanking(
                            ranks: ranks.baseAddress!, count: count,
                            spread: (largest: ranks.max()!, average: average, deviation: square.squareRoot()),
                            starts: starts.baseAddress!, keys: keys.baseAddress!, order: order.baseAddress!)
                        var wanted = 1
                        while ranking.sortedCount < count {
                            ranking.sort(until: wanted)
                            #expect(ranking.sortedCount >= min(wanted, count))
                            let found = (0..<ranking.sortedCount).map { Int(order[$0] & 0xFFFF_FFFF) }
                            #expect(found == Array(expected.prefix(ranking.sortedCount)))
                            wanted = wanted * 2 + 1
                        }
                        ranking.sort(until: count + 10)
                        #expect(ranking.sortedCount == count)
                    }
                }
            }
        }
    }
}
