import Retrieval

/// The plans that a request may choose by name. The raw value is its name on the wire and on the command line.
package enum PlanName: String, Sendable, CaseIterable {
    /// One search of the question.
    case direct
    /// A model writes a passage that might answer; that is searched too.
    case hyde
    /// A model cuts the question into simpler ones; each is searched too.
    case subquestions
    /// A model reads what was found and asks for what is missing, which is searched too.
    case hops
}

extension RetrievalPlan {
    /// The steps for which a request's plan stands.
    ///
    /// - Parameter model: The language model that is asked; nil = none.
    init(_ request: AnswerRequest, model: String?, options: AnswerOptions) {
        func asking(_ share: Double, _ tokensMax: Int) -> Asking {
            Asking(model, budget: Budget(share, longest: options.planTimeMax), tokensMax: tokensMax)
        }
        var search = Search(mode: request.mode, k: request.k, isFiltered: request.filter != nil)
        var steps: [Step] = []
        if !request.turns.isEmpty {
            steps.append(.rewrite(Rewrite(generator: model, budget: Budget(0.25, longest: options.rewriteTimeMax))))
        }
        switch request.plan {
        case .direct: steps.append(.search(search))
        case .hyde: steps += [.hypothesize(Hypothesize(asking(0.25, 160))), .search(search)]
        case .subquestions: steps += [.decompose(Decompose(asking(0.25, 160), countMax: options.subquestionCountMax)), .search(search)]
        case .hops:
            steps.append(.search(search))
            // What a later search may take is not to be missing when the answer is written.
            search.deadline = Budget(0.25)
            search.budget = Budget(0.3)
            steps.append(.hop(Hop(asking(0.2, 64), countMax: options.hopCountMax, steps: [.search(search)])))
        }
        self.init(steps)
    }
}
