package import Documents
package import Inference
package import Retrieval

/// A question and how it is to be answered.
package struct AnswerRequest: Sendable {
    /// When a stream gives out what a language model writes.
    package enum Delivery: String, Sendable, CaseIterable {
        /// As it is written; what then fails its check is voided by a `reset`.
        case immediate
        /// Whole sentences whose citations were checked, none of which is ever taken back.
        case checked
    }

    package var question: String
    package var collection: String
    package var mode: SearchMode
    /// Passages to retrieve.
    package var k: Int
    package var filter: Filter?
    /// Earlier turns, oldest first, without the question itself.
    package var turns: [ChatMessage]
    /// Name of a configured generator (`extractive`, `llama`, `openai`); nil = the server's default.
    package var generator: String?
    package var maxTokens: Int
    package var temperature: Float
    /// Tokens of passages in the prompt; nil = what fits.
    package var contextTokens: Int?
    /// Refuse when confidence is below; nil = the calibrated default.
    package var refuseBelow: Float?
    package var deadlineMilliseconds: Double?
    /// How passages are found.
    package var plan: PlanName
    package var delivery: Delivery

    package init(
        question: String, collection: String = "default", mode: SearchMode = .hybrid, k: Int = 8, filter: Filter? = nil,
        turns: [ChatMessage] = [],
        generator: String? = nil, maxTokens: Int = 512, temperature: Float = 0, contextTokens: Int? = nil, refuseBelow: Float? = nil,
        deadlineMilliseconds: Double? = nil, plan: PlanName = .direct, delivery: Delivery = .immediate
    ) {
        self.question = question
        self.collection = collection
        self.mode = mode
        self.k = k
        self.filter = filter
        self.turns = turns
        self.generator = generator
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.contextTokens = contextTokens
        self.refuseBelow = refuseBelow
        self.deadlineMilliseconds = deadlineMilliseconds
        self.plan = plan
        self.delivery = delivery
    }
}

/// A checked claim that a stretch of a document supports the answer.
package struct Citation: Sendable, Equatable {
    /// The number in square brackets in the answer's text.
    package var marker: Int
    package var documentID: DocumentID
    package var chunkID: ChunkID
    package var source: String
    package var title: String?
    package var page: Int?
    /// Byte range of `quote` in the document's extracted text; checked by the server: the stored bytes there equal `quote`.
    package var span: TextSpan
    package var quote: String
    /// The version of the document that was quoted; `span` holds for this version only.
    package var version: Int
    package init(
        marker: Int, documentID: DocumentID, chunkID: ChunkID, source: String, title: String?, page: Int?, span: TextSpan, quote: String,
        version: Int = 1
    ) {
        self.marker = marker
        self.documentID = documentID
        self.chunkID = chunkID
        self.source = source
        self.title = title
        self.page = page
        self.span = span
        self.quote = quote
        self.version = version
    }
}

/// A text that a model wrote and that did not become the answer, for whoever asks why.
package struct RejectedText: Sendable, Equatable {
    /// The generator by the name that requests use.
    package var generator: String
    package var reason: String
    package var text: String
    package init(generator: String, reason: String, text: String) {
        self.generator = generator
        self.reason = reason
        self.text = text
    }
}

package struct AnswerResponse: Sendable {
    /// Text with markers such as `[1]`; for a refusal, a sentence that says so in the question's language.
    package var answer: String
    package var refused: Bool
    /// 0...1: calibrated estimate that the sources hold the answer.
    package var confidence: Float
    package var citations: [Citation]
    /// The generator that wrote the answer, such as `extractive`, `llama.cpp:stories260K`, `openai:...`.
    package var generator: String
    /// Steps down that were taken, those of the search first; empty = none.
    package var degradation: [Degradation]
    /// The stages of the answer and of its search that were gone through, and the total.
    package var timings: Timings
    /// The question as it was searched: stand-alone when it followed earlier turns.
    package var question: String
    package var usage: GenerationUsage?
    /// What models wrote and the check threw away.
    package var rejected: [RejectedText]
    /// For a refusal: the passages that came nearest, best first.
    package var nearest: [SearchResult]
    /// How passages were found: what came of each step of the plan, in order.
    package var steps: [PlanStep]
    package init(
        answer: String, refused: Bool, confidence: Float, citations: [Citation], generator: String, degradation: [Degradation],
        timings: Timings,
        question: String, usage: GenerationUsage?, rejected: [RejectedText] = [], nearest: [SearchResult] = [],
        steps: [PlanStep] = []
    ) {
        self.answer = answer
        self.refused = refused
        self.confidence = confidence
        self.citations = citations
        self.generator = generator
        self.degradation = degradation
        self.timings = timings
        self.question = question
        self.usage = usage
        self.rejected = rejected
        self.nearest = nearest
        self.steps = steps
    }
}

/// How far a language model is, while no text comes.
package struct AnswerProgress: Sendable, Equatable {
    /// `waiting` for its turn, `reading` the prompt, `thinking`.
    package enum Stage: String, Sendable { case waiting, reading, thinking }
    package var stage: Stage
    /// The generator by the name that requests use.
    package var generator: String
    /// 0...1 of the prompt; nil when the generator cannot say.
    package var share: Double?
    /// Since the generator was asked.
    package var elapsedMilliseconds: Double
    package init(stage: Stage, generator: String, share: Double?, elapsedMilliseconds: Double) {
        self.stage = stage
        self.generator = generator
        self.share = share
        self.elapsedMilliseconds = elapsedMilliseconds
    }
}

/// Events of a streamed answer, in this order: plan, step..., sources, (progress, token, reset)..., citation..., timings, done; or error at any
/// point. Each is one SSE event of that name.
///
/// The law of a stream: the tokens since the last `reset`, or since the beginning, joined, are `done.answer`. With checked delivery there is no `reset`.
package enum AnswerEvent: Sendable {
    case plan(AnswerPlan)
    /// What came of a step of the plan. A plan that is one search tells none.
    case step(PlanStep)
    /// The numbered sources of the prompt: `sources[0]` is marker 1.
    case sources([SearchResult])
    /// A sign of life of a model that does not write yet.
    case progress(AnswerProgress)
    /// The next piece of the answer's text.
    case token(String)
    /// The tokens so far are void: another text follows. The value is a reason for people.
    case reset(String)
    /// A citation that passed the check.
    case citation(Citation)
    case timings(Timings)
    /// The whole answer.
    case done(AnswerResponse)
}

/// How asking ended, as `outrider_answers_total` counts it.
package enum AnswerOutcome: String, Sendable, CaseIterable {
    case answered, refused
    /// Nobody waited for it any more.
    case cancelled
    case error
}

package enum AnsweringError: Error, Sendable, CustomStringConvertible {
    case invalidRequest(parameter: String, value: String, remedy: String)
    /// More of something than a request may have.
    case tooLarge(parameter: String, has: String, remedy: String)
    case unknownGenerator(String, available: [String])
    case retrieval(RetrievalError)
    case failed(String)

    package var description: String {
        switch self {
        case .invalidRequest(let parameter, let value, let remedy): "'\(parameter)' is \(value); \(remedy)"
        case .tooLarge(let parameter, let has, let remedy): "'\(parameter)' has \(has); \(remedy)"
        case .unknownGenerator(let name, let available):
            "generator '\(name)' is not configured; available: \(available.joined(separator: ", "))"
        case .retrieval(let error): error.description
        case .failed(let reason): reason
        }
    }
}

/// What frontends ask for an answer.
package protocol AnswerMaking: Sendable {
    /// Names of the configured generators, the default first.
    var generatorNames: [String] { get }
    /// Ends with `.done` or by throwing. Ending the iteration stops retrieval and the model.
    ///
    /// - Throws: In the stream: `AnsweringError`; a collection outside of the scope is unknown. `CancellationError`.
    func answer(_ request: AnswerRequest, scope: RequestScope) -> AsyncThrowingStream<AnswerEvent, any Error>
}
