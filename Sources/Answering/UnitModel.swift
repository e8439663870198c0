/// Judges whether a unit of text belongs to the answer. The weights are fitted by `scripts/fit-confidence.py` on open data sets.
enum UnitModel {
    static let names = [
        "cosine", "coverage_own", "coverage_wide", "coverage_passage", "passage_cosine", "rank", "holds_expected", "lacks_expected",
        "is_short", "is_long", "pairs",
        "novelty", "is_first", "fused",
    ]
    static let cosineIndex = 0

    static let full = LogisticModel(intercept: -6, weights: [5, 1.5, 1, 0.5, 1, 1, 0.4, -0.4, -0.5, -0.2, 0.5, 0.5, 0.2, 0.5])
    /// Without embeddings: the first and the fifth feature have no weight.
    static let lexical = LogisticModel(intercept: -4, weights: [0, 3, 1, 1, 0, 1.5, 0.4, -0.4, -0.5, -0.2, 0.5, 0.5, 0.2, 0.5])

    /// - Parameters:
    ///   - ordered: The unit's terms in order.
    ///   - own: The same as a set.
    ///   - wide: With the title, the headings and the sentence before.
    ///   - passageCoverage: Coverage of the question by the whole source.
    static func features(
        _ analysis: QuestionAnalysis, source: Source, sourceRank: Int, unit: TextUnit, isFirst: Bool, ordered: [String], own: Set<String>,
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
            min(1, max(0, source.passage.score)),
        ]
    }
}
