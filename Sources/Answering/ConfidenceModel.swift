import Glibc
import Retrieval

/// Estimates whether the sources hold an answer. The weights are fitted by `scripts/fit-confidence.py` on open data sets.
enum ConfidenceModel {
    // Read off the curve on data the weights had not seen: at 0.42, 93 % of ClapNQ's answerable questions are answered and 55 % of its
    // unanswerable ones refused, all of which have a passage that nearly answers; of questions about another collection 98 % are refused.
    static let refuseBelowDefault: Float = 0.42
    static let refuseGenerationBelowDefault: Float = 0.05

    static let names = [
        "unit_best", "cosine_best", "coverage_passage_best", "coverage_answer", "anchors_missing", "cosine_margin", "question_length",
        "score_second",
        "other_language",
    ]

    /// Cosines of other models have other ranges, so only the model that was fitted is judged by them.
    static func model(forEmbeddings name: String?) -> LogisticModel { isFitted(forEmbeddings: name) ? full : lexical }

    static func isFitted(forEmbeddings name: String?) -> Bool { name.map { $0.hasPrefix("all-MiniLM-L6-v2") } == true }

    static let full = LogisticModel(
        intercept: -0.673,
        weights: [0.913, 1.859, 0.890, 0, -1.235, 1.972, 1.685, -1.900, 1.238])
    static let lexical = LogisticModel(
        intercept: 0.736,
        weights: [0.744, 0, 1.250, 0.767, -1.477, 0, 1.990, -2.972, 1.074])

    /// - Parameter units: Best first.
    static func features(
        _ analysis: QuestionAnalysis, sources: [Source], units: [ScoredUnit], collection: String, statistics: any TermStatistics
    ) -> [Float] {
        var passageTerms = sources.map { source in
            Set(statistics.terms(of: (source.passage.title ?? "") + "\n" + source.passage.heading, in: collection))
        }
        for unit in units { passageTerms[unit.source].formUnion(unit.terms) }
        let coverages = passageTerms.map(analysis.coverage)
        let bestSource = units.first?.source
        let answer = units.prefix(3).filter { $0.source == bestSource }.reduce(into: Set<String>()) { $0.formUnion($1.terms) }
            .union(bestSource.map { Set(statistics.terms(of: sources[$0].passage.title ?? "", in: collection)) } ?? [])
        let around = bestSource.map { passageTerms[$0] } ?? []
        let cosines = sources.compactMap { $0.passage.scores.vector }.sorted(by: >)
        return [
            logit(units.first?.score ?? 0),
            units.map { $0.features[UnitModel.cosineIndex] }.max() ?? 0,
            coverages.max() ?? 0,
            analysis.coverage(answer),
            analysis.anchors.isEmpty ? 0 : Float(analysis.anchors.subtracting(around).count) / Float(analysis.anchors.count),
            cosines.count > 3 ? cosines[0] - cosines[3] : 0,
            min(1, Float(analysis.terms.count) / 10),
            sources.count > 1 ? sources[1].relativeScore(to: sources[0]) : 0,
            analysis.isOtherLanguage ? 1 : 0,
        ]
    }

    /// Log odds, within ±5.
    private static func logit(_ probability: Float) -> Float {
        let bounded = min(0.9933, max(0.0067, probability))
        return log(bounded / (1 - bounded))
    }
}
