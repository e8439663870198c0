/// How thorough a search is.
struct ProbeParameters: Sendable, Equatable {
    /// The least chance for which a row is looked at (see `ProbePlan`); 0: every list is visited.
    var price: Float
    /// How many standard errors above its estimate a row's score may lie, for the 1-bit and for the 4-bit codes.
    var signMargin: Float
    var fineMargin: Float
    /// Most ranks that are looked at once k rows are found.
    var probeMax: Int = .max
    /// Visits every row of every list and trusts no estimate: the same answer as an exact scan, for tests.
    var isExhaustive = false

    static let exhaustive = ProbeParameters(price: 0, signMargin: 0, fineMargin: 0, isExhaustive: true)

    /// What a search to this recall uses.
    ///
    /// The margins were chosen by measuring: smaller ones lose rows that more lists do not bring back, larger ones refine rows in vain.
    ///
    /// - Parameters:
    ///   - k: Rows wanted of all files together.
    ///   - plan: Of the largest file.
    ///   - selectivity: Share of the file's rows that may be in the answer.
    ///   - share: This file's share of all rows.
    init(recall: Float, k: Int, plan: ProbePlan, selectivity: Float = 1, share: Float = 1) {
        self.init(
            price: plan.price(recall: recall, k: Float(k) * share / max(selectivity, 1e-6)), signMargin: Self.signMargin(recall: recall),
            fineMargin: Self.fineMargin)
        if recall >= 1 { self = .exhaustive }
    }

    static func signMargin(recall: Float) -> Float { recall >= 0.985 ? 2.0 : 1.5 }
    static let fineMargin: Float = 2

    init(price: Float, signMargin: Float, fineMargin: Float, probeMax: Int = .max, isExhaustive: Bool = false) {
        self.price = price
        self.signMargin = signMargin
        self.fineMargin = fineMargin
        self.probeMax = probeMax
        self.isExhaustive = isExhaustive
    }
}
