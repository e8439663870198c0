import Retrieval

/// Judges whether a unit of text belongs to the answer. The weights are fitted by `scripts/fit-confidence.py` on open data sets.
enum UnitModel {
    static let names = [
        "cosine", "coverage_own", "coverage_wide", "coverage_passage", "passage_cosine", "rank", "holds_expected", "lacks_expected",
        "is_short", "is_long", "pairs",
        "novelty", "is_first", "score",
    ]
    static let cosineIndex = 0
    static let coverageIndex = 1

    static let full = LogisticModel(
        intercept: -6.294,
        weights: [1.345, 1.373, 1.240, 0.310, 0.566, 1.028, 0.357, -0.769, -0.394, -0.046, 0.168, 0.473, 0.401, 1.198])
    /// Without embeddings: the first and the fifth feature have no weight.
    static let lexical = LogisticModel(
        intercept: -6.401,
        weights: [0, 1.726, 1.597, 0.492, 0, 1.300, 0.435, -0.792, -0.368, -0.114, 0.217, 0.335, 0.575, 1.749])

    /// The cosine that a unit may be expected to have with the question before it is embedded; a third of the units lie more than 0.08 off.
    ///
    /// Least squares over 29,827 units of the sets that `scripts/fit-confidence.py` makes, other languages than English left out.
    ///
    /// - Parameter coverage: The unit's own, `coverage_own`.
    static func expectedCosine(ofPassage cosine: Float, coverage: Float) -> Float { 0.842 * cosine + 0.202 * coverage - 0.004 }

    /// - Parameters:
    ///   - best: The first source.
    ///   - ordered: The unit's terms in order.
    ///   - own: The same as a set.
    ///   - wide: With the title, the headings and the sentence before.
    ///   - passageCoverage: Coverage of the question by the whole source.
    static func features(
        _ analysis: QuestionAnalysis, source: Source, sourceRank: Int, best: Source, unit: TextUnit, isFirst: Bool, ordered: [String],
        own: Set<String>,
        wide: Set<String>,
        passageCoverage: Float
    ) -> [Float] {
        let words = Words.split(source.text(unit))
        let holds = analysis.holdsExpected(words)
        let pairs = zip(ordered, ordered.dropFirst()).count { analysis.pairs.contains(.init(first: $0, second: $1)) }
        let questionTerms = Set(analysis.terms.map(\.text))
        let novel = own.subtracting(questionTerms).count
        return [
            0, analysis.coverage(own), analysis.coverage(wide), passageCoverage, source.passage.scores.vector ?? 0,
            1 / Float(1 + sourceRank),
            holds == true ? 1 : 0, holds == false ? 1 : 0, own.count < 5 ? 1 : 0, words.count > 45 ? 1 : 0,
            analysis.pairs.isEmpty ? 0 : min(1, Float(pairs) / Float(analysis.pairs.count)), min(1, Float(novel) / 8), isFirst ? 1 : 0,
            source.relativeScore(to: best),
        ]
    }
}
