import Glibc

/// How good a ranking is, judged by known relevant documents. Pure functions; the definitions are those of trec_eval, which BEIR uses.
///
/// - nDCG (Järvelin and Kekäläinen, 2002, "Cumulated gain-based evaluation of IR techniques"): the gain of a document is its judgment,
///   discounted by log2(rank + 1), divided by the same sum for the best order that the judgments allow.
/// - Documents without a judgment, and with a judgment of zero or less, are not relevant.
/// - A ranking must not name a document twice: that would count a gain twice.
package enum RankingMetrics {
    /// How a judgment becomes a gain.
    package enum Gain: Sendable, CaseIterable {
        /// The judgment itself: trec_eval and BEIR.
        case linear
        /// 2^judgment - 1: Burges et al., 2005, common on the web.
        case exponential
    }

    /// Normalised discounted cumulative gain of the first `k`; nil when no document is relevant, so that the caller must decide.
    ///
    /// - Parameters:
    ///   - ranking: Document ids, best first, each at most once.
    ///   - judgments: Relevance of the judged documents of this query.
    package static func nDCG(at k: Int, ranking: [String], judgments: [String: Int], gain: Gain = .linear) -> Double? {
        precondition(k > 0, "nDCG at \(k): k must be positive")
        var best = 0.0
        for (index, judgment) in judgments.values.filter({ $0 > 0 }).sorted(by: >).prefix(k).enumerated() {
            best += value(judgment, gain) / discount(index)
        }
        guard best > 0 else { return nil }
        var sum = 0.0
        for (index, id) in ranking.prefix(k).enumerated() {
            if let judgment = judgments[id], judgment > 0 { sum += value(judgment, gain) / discount(index) }
        }
        return sum / best
    }

    /// Share of the relevant documents that are among the first `k`; nil when there are none.
    package static func recall(at k: Int, ranking: [String], judgments: [String: Int]) -> Double? {
        precondition(k > 0, "recall at \(k): k must be positive")
        let relevant = judgments.values.count { $0 > 0 }
        guard relevant > 0 else { return nil }
        return Double(ranking.prefix(k).count { judgments[$0, default: 0] > 0 }) / Double(relevant)
    }

    /// 1 / rank of the first relevant document among the first `k`, 0 when none is there; nil when no document is relevant.
    package static func reciprocalRank(at k: Int, ranking: [String], judgments: [String: Int]) -> Double? {
        precondition(k > 0, "reciprocal rank at \(k): k must be positive")
        guard judgments.values.contains(where: { $0 > 0 }) else { return nil }
        guard let index = ranking.prefix(k).firstIndex(where: { judgments[$0, default: 0] > 0 }) else { return 0 }
        return 1 / Double(index + 1)
    }

    /// 1 when a relevant document is among the first `k`, else 0; nil when no document is relevant.
    package static func hit(at k: Int, ranking: [String], judgments: [String: Int]) -> Double? {
        reciprocalRank(at: k, ranking: ranking, judgments: judgments).map { $0 > 0 ? 1 : 0 }
    }

    private static func value(_ judgment: Int, _ gain: Gain) -> Double {
        switch gain {
        case .linear: Double(judgment)
        case .exponential: exp2(Double(judgment)) - 1
        }
    }

    private static func discount(_ index: Int) -> Double { log2(Double(index + 2)) }
}

/// The four numbers of a retrieval run, each the mean over the judged queries.
package struct RankingSummary: Sendable, Equatable {
    /// Queries with at least one relevant document: the others are left out, as trec_eval does.
    package var queryCount: Int
    package var nDCGAt10: Double
    package var recallAt10: Double
    package var recallAt100: Double
    package var mrrAt10: Double
    /// nDCG@10 of each judged query, in the order of the query ids: for intervals and paired comparisons.
    package var nDCGAt10ByQuery: [String: Double]

    /// Judges a run.
    ///
    /// - Parameters:
    ///   - rankings: For each query, document ids, best first. A judged query that is missing here scores 0: a system that drops hard queries gains nothing.
    ///   - judgments: For each query, the relevance of its judged documents.
    package init(rankings: [String: [String]], judgments: [String: [String: Int]]) {
        var perQuery: [String: Double] = [:]
        var recall10 = 0.0
        var recall100 = 0.0
        var mrr = 0.0
        for (query, judged) in judgments.sorted(by: { $0.key < $1.key }) {
            let ranking = rankings[query] ?? []
            guard let nDCG = RankingMetrics.nDCG(at: 10, ranking: ranking, judgments: judged) else { continue }
            perQuery[query] = nDCG
            recall10 += RankingMetrics.recall(at: 10, ranking: ranking, judgments: judged) ?? 0
            recall100 += RankingMetrics.recall(at: 100, ranking: ranking, judgments: judged) ?? 0
            mrr += RankingMetrics.reciprocalRank(at: 10, ranking: ranking, judgments: judged) ?? 0
        }
        let count = Double(max(1, perQuery.count))
        queryCount = perQuery.count
        nDCGAt10 = perQuery.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value } / count
        recallAt10 = recall10 / count
        recallAt100 = recall100 / count
        mrrAt10 = mrr / count
        nDCGAt10ByQuery = perQuery
    }
}
