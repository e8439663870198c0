// How the passages of an answer are found, as a value: steps in order. `RetrievalRun` walks any such list; a new way of retrieving is a new list.
//
//     question --rewrite--> question --decompose--> queries --hypothesize--> queries --search--> passages --hop--> passages
//
// Each step takes the state that the one before has left: the question, the queries to be searched next, and the lists of passages found so far.
//
//     direct         [rewrite a follow-up]  search
//     hyde           [rewrite]  hypothesize  search               Gao, Ma, Lin, Callan, 2023, "Precise zero-shot dense retrieval without relevance labels"
//     subquestions   [rewrite]  decompose    search               as in Press et al., 2023, "Measuring and narrowing the compositionality gap"
//     hops           [rewrite]  search       hop(2, search)       after Trivedi et al., 2023, "Interleaving retrieval with chain-of-thought reasoning"
//
// A step that asks a language model has a share of the time and a number of tokens. One that cannot be done leaves the state as it was, so what is left of
// a plan whose model fails is its plain search.

package import Retrieval

/// The steps by which passages are found.
package struct RetrievalPlan: Sendable, Equatable {
    package typealias Budget = AnswerPlan.Budget

    /// What a step may cost that asks a language model.
    package struct Asking: Sendable, Equatable {
        /// By the name that requests use; nil = there is none, and the step is left out.
        package var generator: String?
        package var budget: Budget
        /// Tokens of the reply at most.
        package var tokensMax: Int
        /// What it may cost, as people read it.
        fileprivate var told: String {
            let longest = budget.longest.map { ", at most \(Int(($0 / .seconds(1)).rounded())) s" } ?? ""
            return "\(Int((budget.share * 100).rounded())) % of the time\(longest), \(tokensMax) tokens"
        }
        package init(_ generator: String?, budget: Budget, tokensMax: Int) {
            self.generator = generator
            self.budget = budget
            self.tokensMax = tokensMax
        }
    }

    /// Makes a follow-up question whole. Without a model, or when it fails, by words of earlier turns.
    package struct Rewrite: Sendable, Equatable {
        package var asking: Asking
        package init(_ asking: Asking) { self.asking = asking }
        package init(generator: String?, budget: Budget = Budget(0.25)) { asking = Asking(generator, budget: budget, tokensMax: 96) }
    }

    /// Turns each query into a passage that might answer it, written by a model: a passage lies nearer to passages than a question does.
    package struct Hypothesize: Sendable, Equatable {
        package var asking: Asking
        /// The question is searched beside the passage, since what a model makes up may lie far from what is asked. The paper takes the question into
        /// its mean of vectors.
        package var keepsQuestion: Bool
        package init(_ asking: Asking, keepsQuestion: Bool = true) {
            self.asking = asking
            self.keepsQuestion = keepsQuestion
        }
    }

    /// Cuts the question into simpler ones, which are searched beside it.
    package struct Decompose: Sendable, Equatable {
        package var asking: Asking
        /// Sub-questions at most.
        package var countMax: Int
        package init(_ asking: Asking, countMax: Int) {
            self.asking = asking
            self.countMax = countMax
        }
    }

    /// Searches each query; the lists are fused by reciprocal ranks.
    package struct Search: Sendable, Equatable {
        package var mode: SearchMode
        package var k: Int
        package var isFiltered: Bool
        /// What a search is told to keep to, when the question has a deadline of its own.
        package var deadline = Budget(0.5)
        /// After this it is given up. Several queries share it.
        package var budget = Budget(0.7)
        package init(mode: SearchMode, k: Int, isFiltered: Bool) {
            self.mode = mode
            self.k = k
            self.isFiltered = isFiltered
        }
    }

    /// Reads the best passages so far, asks for what is missing, and walks its steps for that; again, until the model has enough.
    package struct Hop: Sendable, Equatable {
        package var asking: Asking
        /// Hops at most.
        package var countMax: Int
        /// Passages that the model reads, as many as fit its context.
        package var passageCountMax: Int
        /// What is done for a follow-up query; the last of them searches.
        package var steps: [Step]
        package init(_ asking: Asking, countMax: Int, passageCountMax: Int = 6, steps: [Step]) {
            self.asking = asking
            self.countMax = countMax
            self.passageCountMax = passageCountMax
            self.steps = steps
        }
    }

    package indirect enum Step: Sendable, Equatable {
        case rewrite(Rewrite)
        case hypothesize(Hypothesize)
        case decompose(Decompose)
        case search(Search)
        case hop(Hop)
    }

    package var steps: [Step]
    /// Reading what lies between passages that are joined.
    package var joining = Budget(0.2, longest: .seconds(1))

    /// - Precondition: At least one of the steps searches.
    package init(_ steps: [Step]) {
        self.steps = steps
        precondition(steps.contains { if case .search = $0 { true } else { false } }, "a plan that searches nothing: \(steps)")
    }

    /// Passages that the answer is made of.
    var k: Int { steps.reduce(0) { if case .search(let search) = $1 { max($0, search.k) } else { $0 } } }

    /// Whether it is one search, at most of a question that was made whole.
    package var isPlain: Bool {
        steps.allSatisfy {
            switch $0 {
            case .rewrite, .search: true
            case .hypothesize, .decompose, .hop: false
            }
        }
    }
}

extension RetrievalPlan.Step {
    /// Its name in plans, in what is told of a run, and in `degradation`.
    var name: String {
        switch self {
        case .rewrite: "rewrite"
        case .hypothesize: "hypothesize"
        case .decompose: "decompose"
        case .search: "retrieve"
        case .hop: "hop"
        }
    }

    /// As people read it.
    var detail: String {
        switch self {
        case .rewrite(let rewrite):
            rewrite.asking.generator.map { "by '\($0)', else by words of earlier turns" } ?? "by words of earlier turns"
        case .hypothesize(let hypothesize):
            told(
                hypothesize.asking,
                "writes a passage, which is searched \(hypothesize.keepsQuestion ? "beside" : "instead of") the question")
        case .decompose(let decompose):
            told(decompose.asking, "asks up to \(decompose.countMax) sub-questions, which are searched beside the question")
        case .search(let search): "\(search.mode.rawValue), k = \(search.k)\(search.isFiltered ? ", filtered" : "")"
        case .hop(let hop):
            told(
                hop.asking,
                "reads \(hop.passageCountMax) passages and asks for what is missing, up to \(hop.countMax) times, each: "
                    + hop.steps.map { $0.name + " " + $0.detail }.joined(separator: "; "))
        }
    }

    private func told(_ asking: RetrievalPlan.Asking, _ what: String) -> String {
        asking.generator.map { "'\($0)' \(what); \(asking.told)" } ?? "left out: no language model"
    }
}

/// What came of one step of a plan.
package struct PlanStep: Sendable, Equatable {
    /// As in the plan: `rewrite`, `hypothesize`, `decompose`, `retrieve` (once for each query), `hop` (once for each time).
    package var name: String
    /// What was searched, or what the model gave: a question, a passage, sub-questions, a follow-up query. None = it was left out, or there is enough.
    package var texts: [String]
    /// Passages that a search has found.
    package var passageCount: Int?
    package var duration: Duration
    package init(name: String, texts: [String], passageCount: Int? = nil, duration: Duration) {
        self.name = name
        self.texts = texts
        self.passageCount = passageCount
        self.duration = duration
    }
}
