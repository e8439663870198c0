import Retrieval

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Estimates whether the sources hold an answer. The weights are fitted by `scripts/fit-confidence.py` on open data sets.
enum ConfidenceModel {
    static let refuseBelowDefault: Float = 0.4
    static let refuseGenerationBelowDefault: Float = 0.15

    static let names = [
        "unit_best", "cosine_best", "passage_cosine_best", "coverage_passage_best", "coverage_answer", "missing_rarest", "anchors_missing",
        "lacks_expected",
        "cosine_margin", "agreement", "question_length", "bm25_per_weight", "unit_second", "coverage_unit_best",
    ]

    /// Cosines of other models have other ranges, so only the model that was fitted is judged by them.
    static func model(forEmbeddings name: String?) -> LogisticModel {
        name.map { $0.hasPrefix("all-MiniLM-L6-v2") } == true ? full : lexical
    }

    static let full = LogisticModel(intercept: -5, weights: [2, 4, 2, 1, 1, -1, -1, -0.3, 0.5, 0.3, 0, 0, 0, 0])
    static let lexical = LogisticModel(intercept: -3, weights: [2, 0, 0, 2, 2, -1, -1, -0.3, 0, 0, 0, 0, 0, 0])

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
        let weightMax = analysis.terms.map(\.weight).max() ?? 1
        let missing = analysis.terms.filter { !around.contains($0.text) }
        let cosines = sources.compactMap { $0.passage.scores["vector"] }.sorted(by: >)
        let byText = sources.indices.max { (sources[$0].passage.scores["bm25"] ?? 0) < (sources[$1].passage.scores["bm25"] ?? 0) }
        let byVector = sources.indices.max { (sources[$0].passage.scores["vector"] ?? 0) < (sources[$1].passage.scores["vector"] ?? 0) }
        let bm25 = sources.compactMap { $0.passage.scores["bm25"] }.max() ?? 0
        return [
            logit(units.first?.score ?? 0), units.map { $0.features[UnitModel.cosineIndex] }.max() ?? 0, cosines.first ?? 0,
            coverages.max() ?? 0,
            analysis.coverage(answer), (missing.map(\.weight).max() ?? 0) / weightMax,
            analysis.anchors.isEmpty ? 0 : Float(analysis.anchors.subtracting(around).count) / Float(analysis.anchors.count),
            units.prefix(3).contains { $0.features[7] == 0 } ? 0 : 1, cosines.count > 3 ? cosines[0] - cosines[3] : 0,
            byText == byVector && !sources.isEmpty ? 1 : 0, min(1, Float(analysis.terms.count) / 10), min(2, bm25 / analysis.weightSum),
            logit(units.count > 1 ? units[1].score : 0), units.first?.features[1] ?? 0,
        ]
    }

    /// Log odds, within ±5.
    private static func logit(_ probability: Float) -> Float {
        let bounded = min(0.9933, max(0.0067, probability))
        return log(bounded / (1 - bounded))
    }
}
