import Foundation
import Storage
import Testing

@testable import Retrieval

struct FusionTests {
    private func hits(_ pairs: [(Int64, Float)]) -> [RowHit] { pairs.map { RowHit(row: RowID($0.0), score: $0.1) } }

    @Test func `min-max maps each list to 0...1 and weighs them`() {
        let fused = Fusion.minMax(text: hits([(1, 12), (2, 8), (3, 4)]), vector: hits([(2, 0.9), (3, 0.5), (4, 0.1)]), vectorWeight: 0.25)
        let scores = Dictionary(uniqueKeysWithValues: fused.map { ($0.row.rawValue, $0.score) })
        #expect(abs(scores[1]! - 0.75) < 1e-6)
        #expect(abs(scores[2]! - (0.75 * 0.5 + 0.25)) < 1e-6)
        #expect(abs(scores[3]! - 0.25 * 0.5) < 1e-6)
        #expect(scores[4] == 0)
        #expect(fused.map(\.row.rawValue) == [1, 2, 3, 4])
        #expect(fused[1].text == 8 && fused[1].vector == 0.9 && fused[0].vector == nil)
    }

    @Test(arguments: [Float(0), 1])
    func `a weight of 0 or 1 is the order of one retriever`(weight: Float) {
        let text = hits([(5, 3), (6, 2), (7, 1)])
        let vector = hits([(7, 0.9), (6, 0.8), (5, 0.7)])
        let order = Fusion.minMax(text: text, vector: vector, vectorWeight: weight).map(\.row.rawValue)
        #expect(order == (weight == 0 ? [5, 6, 7] : [7, 6, 5]))
    }

    @Test func `reciprocal ranks add up and ties go by row`() {
        let fused = Fusion.reciprocalRank(
            text: hits([(1, 9), (2, 8)]), vector: hits([(2, 0.5), (1, 0.4)]), vectorWeight: 0.5, rankConstant: 60)
        #expect(fused.map(\.row.rawValue) == [1, 2])
        #expect(abs(fused[0].score - (1 / 61 + 1 / 62)) < 1e-6 && fused[0].score == fused[1].score)
    }

    @Test func `a single hit and equal scores do not divide by zero`() {
        #expect(Fusion.minMax(text: hits([(1, 5)]), vector: [], vectorWeight: 0.5).map(\.score) == [0.5])
        #expect(Fusion.minMax(text: hits([(1, 5), (2, 5)]), vector: [], vectorWeight: 0).map(\.score) == [1, 1])
        #expect(Fusion.minMax(text: [], vector: [], vectorWeight: 0.5).isEmpty)
    }
}
