import Execution

/// What is done for an answer, in order, and how much of its time each part may take. `AnswerRun` walks it, and the `plan` event of a stream, `ask
/// --explain` and the user interface print it.
///
///     time  |-- retrieve: its steps --|--- score ---|--------- answer: generate, check ---------| reserve |
///
/// No part has a fixed place on that line: each takes a share of what the parts before have left. How passages are found is a plan of its own
/// (`RetrievalPlan`), one search in its simplest form.
package struct AnswerPlan: Sendable, Equatable {
    /// A share of the time that is left when a part begins.
    package struct Budget: Sendable, Equatable {
        package var share: Double
        /// At most so much; nil = what the share gives.
        package var longest: Duration?
        /// At least so much, even when no time is left.
        package var shortest: Duration

        package init(_ share: Double, longest: Duration? = nil, shortest: Duration = .zero) {
            self.share = share
            self.longest = longest
            self.shortest = shortest
        }

        package func time(of remaining: Duration) -> Duration {
            let wanted = remaining * share
            return max(shortest, longest.map { min(wanted, $0) } ?? wanted)
        }
    }

    /// Judges sentences.
    package struct Score: Sendable, Equatable {
        /// The model that embeds them; nil = by their words alone.
        package var embedder: String?
        package var embedding = Budget(0.6)
        /// Kept of that for judging by words when the model is late.
        package var reserve = Budget(0.05, longest: .milliseconds(20))
        package init(embedder: String?) { self.embedder = embedder }
    }

    /// Lets models write, one after the other until an answer holds, and then quotes; checks what they wrote.
    package struct Answer: Sendable, Equatable {
        /// By the names that requests use; the last one quotes.
        package var generators: [String]
        /// How much of its time a slow model may spend reading its prompt.
        package var reading = Budget(0.5)
        /// Until the first token. Without a longest time it goes by the prompt's length, and moves on while the model reads.
        package var firstToken: Budget
        /// Embedding the claims.
        package var checking = Budget(0.5)
        /// Comparing quotes with what is stored. A little time there always is: they come from text that was read moments ago.
        package var quotes = Budget(0.8, shortest: .milliseconds(50))
        /// Looking up the pages of quotes.
        package var pages = Budget(0.85, shortest: .milliseconds(50))
        package init(generators: [String], firstToken: Budget = Budget(0.8)) {
            self.generators = generators
            self.firstToken = firstToken
        }
    }

    package enum Stage: Sendable, Equatable {
        /// Finds passages, and makes sources of them.
        case retrieve(RetrievalPlan)
        case score(Score)
        case answer(Answer)
    }

    /// By what name it was asked for.
    package var name: PlanName
    package var delivery: AnswerRequest.Delivery
    package var question: String
    package var collection: String
    package var stages: [Stage]
    /// From the question to the answer.
    package var time: Duration
    /// Kept of the whole time for quoting, checking and sending when a model takes all it can.
    package var reserve = Budget(0.2, longest: .milliseconds(400))
    /// The deadline as it was asked for.
    package var deadlineMilliseconds: Double?

    package init(
        name: PlanName = .direct, delivery: AnswerRequest.Delivery = .immediate, question: String, collection: String, stages: [Stage],
        time: Duration, deadlineMilliseconds: Double? = nil
    ) {
        self.name = name
        self.delivery = delivery
        self.question = question
        self.collection = collection
        self.stages = stages
        self.time = time
        self.deadlineMilliseconds = deadlineMilliseconds
    }

    /// Who is asked first.
    package var generator: String {
        for case .answer(let answer) in stages { if let first = answer.generators.first { return first } }
        return AnswerEngine.extractiveName
    }

    /// The stages as people read them.
    package var lines: [(name: String, detail: String)] { stages.flatMap(\.lines) }
}

extension AnswerPlan.Stage {
    fileprivate var lines: [(name: String, detail: String)] {
        switch self {
        case .retrieve(let retrieval): retrieval.steps.map { ($0.name, $0.detail) }
        case .score(let score): [("score", score.embedder.map { "sentences by words and '\($0)'" } ?? "sentences by words")]
        case .answer(let answer):
            [
                ("generate", (answer.generators + ["refuse"]).joined(separator: ", else ")),
                ("check", "markers against sources, quotes against stored text"),
            ]
        }
    }
}

extension AnswerPlan {
    /// The plan of a question, as an engine's options and models have it.
    ///
    /// - Parameters:
    ///   - models: Names of the language models to ask, in order.
    ///   - embedder: The name of the embedding model.
    init(_ request: AnswerRequest, models: [String], embedder: String?, options: AnswerOptions) {
        let longest = options.deadlineMax
        let wanted = request.deadlineMilliseconds.map { min(Duration(clampingMilliseconds: $0), longest) }
        let firstToken = options.firstTokenTimeMax.map { Budget(0.9, longest: $0) } ?? Budget(0.8)
        self.init(
            name: request.plan, delivery: request.delivery, question: request.question, collection: request.collection,
            stages: [
                .retrieve(RetrievalPlan(request, model: models.first, options: options)), .score(Score(embedder: embedder)),
                .answer(Answer(generators: models + [AnswerEngine.extractiveName], firstToken: firstToken)),
            ],
            time: wanted ?? min(options.deadlineDefault, longest), deadlineMilliseconds: request.deadlineMilliseconds)
    }
}
