import TestSupport
import Testing

@testable import Evaluation

struct ParameterSelectionTests {
    @Test func `each set is judged by what the others chose`() {
        let selection = ParameterSelection([[0.70, 0.72, 0.69], [0.40, 0.41, 0.45], [0.50, 0.52, 0.53]])
        #expect(selection.heldOut == [2, 1, 2])
        #expect(selection.overall == 2)
    }

    @Test func `changing a set's own scores never changes what is chosen for it`() {
        var random = SeededGenerator(seed: 7)
        for seed in 0..<200 {
            var scores = (0..<4).map { _ in (0..<9).map { _ in Double.random(in: 0...1, using: &random) } }
            let before = ParameterSelection(scores).heldOut
            let set = seed % 4
            scores[set] = scores[set].map { _ in Double.random(in: 0...1, using: &random) }
            #expect(ParameterSelection(scores).heldOut[set] == before[set], "round \(seed)")
        }
    }

    @Test func `of equal candidates, and of those within the tolerance, the first is chosen`() {
        #expect(ParameterSelection([[0.5, 0.5], [0.5, 0.5]]) == ParameterSelection([[1, 0], [1, 0]]))
        #expect(ParameterSelection([[0.500, 0.503], [0.5, 0.5]], tolerance: 0.002).overall == 0)
        #expect(ParameterSelection([[0.500, 0.505], [0.5, 0.5]], tolerance: 0.002).overall == 1)
    }
}
