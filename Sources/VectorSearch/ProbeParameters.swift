import Glibc

/// How thorough a search is.
struct ProbeParameters: Sendable, Equatable {
    /// Expected missed rows for each of the *k* at which a search stops (see `ProbePlan`).
    var allowance: Float
    /// How many standard errors above its estimate a row's score may lie, for the 1-bit and for the 4-bit codes.
    var signMargin: Float
    var fineMargin: Float
    /// Most lists that are probed once k rows are found.
    var probeMax: Int = .max
    /// Visits every row of every list and trusts no estimate: the same answer as an exact scan, for tests.
    var isExhaustive = false

    static let exhaustive = ProbeParameters(allowance: 0, signMargin: 0, fineMargin: 0, isExhaustive: true)

    /// What a search to this recall uses.
    ///
    /// The margins were chosen by measuring: smaller ones lose rows that more probes do not bring back, larger ones refine rows in vain.
    ///
    /// - Parameters:
    ///   - selectivity: Share of rows that may be in the answer. The plan was learned with all rows; with a tenth of them its chances are too low by about half
    ///     (measured on text embeddings and on pixels: with the allowance lowered by this power, the recall at 10 and 50 % is that without a filter).
    ///   - share: This file's share of all rows: what may be missed is divided among the files.
    ///   - nlist: Lists of the file. A question that is far from all rows would go through most of them for little: below a recall of 0.985 a fifth is the most, which keeps
    ///     the slowest searches near the others.
    init(recall: Float, plan: ProbePlan, selectivity: Float = 1, share: Float = 1, nlist: Int = .max) {
        self.init(
            allowance: plan.allowance(recall: recall) * share * powf(max(selectivity, 1e-3), 0.75), signMargin: recall >= 0.985 ? 2.0 : 1.5,
            fineMargin: 2)
        if recall < 0.985, nlist < .max { probeMax = max(64, Int(0.22 * Float(nlist) / max(selectivity, 0.05))) }
        if recall >= 1 { self = .exhaustive }
    }

    init(allowance: Float, signMargin: Float, fineMargin: Float, probeMax: Int = .max, isExhaustive: Bool = false) {
        self.allowance = allowance
        self.signMargin = signMargin
        self.fineMargin = fineMargin
        self.probeMax = probeMax
        self.isExhaustive = isExhaustive
    }
}
