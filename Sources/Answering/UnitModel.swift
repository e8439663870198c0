/// Judges whether a unit of text belongs to the answer. The weights are fitted by `scripts/fit-confidence.py` on open data sets.
enum UnitModel {
    static let names = [
        "cosine", "coverage_own", "coverage_wide", "coverage_passage", "passage_cosine", "rank", "holds_expected", "lacks_expected",
        "is_short", "is_long", "pairs",
        "novelty", "is_first", "score",
    ]
    static let cosineIndex = 0

    static let full = LogisticModel(
        intercept: -6.437, weights: [1.402, 1.317, 1.207, 0.124, 0.820, 1.016, 0.375, -0.786, -0.464, -0.044, 0.175, 0.542, 0.429, 1.246])
    /// Without embeddings: the first and the fifth feature have no weight.
    static let lexical = LogisticModel(
        intercept: -6.430, weights: [0, 1.705, 1.608, 0.328, 0, 1.325, 0.452, -0.789, -0.403, -0.131, 0.231, 0.360, 0.599, 1.810])

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
        let words = Words.split(source.text(unit.range))
        let holds = analysis.holdsExpected(words)
        let pairs = zip(ordered, ordered.dropFirst()).count { analysis.pairs.contains(.init(first: $0, second: $1)) }
        let questionTerms = Set(analysis.terms.map(\.text))
        let novel = own.subtracting(questionTerms).count
        return [
            0, analysis.coverage(own), analysis.coverage(wide), passageCoverage, source.passage.scores["vector"] ?? 0,
            1 / Float(1 + sourceRank),
            holds == true ? 1 : 0, holds == false ? 1 : 0, own.count < 5 ? 1 : 0, words.count > 45 ? 1 : 0,
            analysis.pairs.isEmpty ? 0 : min(1, Float(pairs) / Float(analysis.pairs.count)), min(1, Float(novel) / 8), isFirst ? 1 : 0,
            source.relativeScore(to: best),
        ]
    }
}
