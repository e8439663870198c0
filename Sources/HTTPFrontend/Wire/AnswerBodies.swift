package import Answering
import Documents
import Execution
import Inference
import Retrieval

/// A question as clients write it, and how the answer should come; all but `question` may be absent.
struct AnswerBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable {
        case question, collection, mode, k, filter, turns, generator, temperature, plan, delivery, stream
        case maxTokens = "max_tokens"
        case contextTokens = "context_tokens"
        case refuseBelow = "refuse_below"
        case deadlineMilliseconds = "deadline_ms"
    }

    /// One turn of a conversation. Members that it does not know are left alone: clients keep notes of their own in their conversations.
    private struct Turn: Decodable {
        enum Member: String, CodingKey { case role, content }
        var message: ChatMessage

        init(from decoder: any Decoder) throws {
            let members = Members(container: try decoder.container(keyedBy: Member.self))
            message = ChatMessage(
                role: try members.requiredChoice(ChatRole.self, .role), content: try members.required(String.self, .content))
        }
    }

    var request: AnswerRequest
    /// Nil = as the `Accept` header says.
    var stream: Bool?

    init(_ members: Members<Member>) throws {
        stream = try members.optional(Bool.self, .stream)
        request = AnswerRequest(question: try members.required(String.self, .question))
        request.collection = try members.optional(String.self, .collection) ?? request.collection
        request.mode = try members.choice(SearchMode.self, .mode) ?? request.mode
        request.k = try members.whole(.k) ?? request.k
        request.filter = try members.optional(Filter.self, .filter)
        request.turns = try members.optional([Turn].self, .turns)?.map(\.message) ?? []
        request.generator = try members.optional(String.self, .generator)
        request.maxTokens = try members.whole(.maxTokens) ?? request.maxTokens
        request.temperature = try members.float(.temperature) ?? request.temperature
        request.contextTokens = try members.whole(.contextTokens)
        request.refuseBelow = try members.float(.refuseBelow)
        request.deadlineMilliseconds = try members.number(.deadlineMilliseconds)
        request.plan = try members.choice(PlanName.self, .plan) ?? request.plan
        request.delivery = try members.choice(AnswerRequest.Delivery.self, .delivery) ?? request.delivery
    }
}

/// A checked claim that a stretch of a document supports the answer.
package struct CitationBody: Encodable, Sendable {
    var marker: Int
    var documentID: DocumentID
    var chunkID: ChunkID
    var source: String
    var title: String?
    var page: Int?
    var span: TextSpan
    var quote: String
    var version: Int

    enum CodingKeys: String, CodingKey {
        case marker, source, title, page, span, quote, version
        case documentID = "document_id"
        case chunkID = "chunk_id"
    }

    package init(_ citation: Citation) {
        marker = citation.marker
        documentID = citation.documentID
        chunkID = citation.chunkID
        source = citation.source
        title = citation.title
        page = citation.page
        span = citation.span
        quote = citation.quote
        version = citation.version
    }
}

/// The whole answer.
package struct AnswerResponseBody: Encodable, Sendable {
    struct Rejected: Encodable, Sendable {
        var generator: String
        var reason: String
        var text: String
    }
    struct Usage: Encodable, Sendable {
        var promptTokens: Int
        var completionTokens: Int
    }
    var answer: String
    var refused: Bool
    var confidence: Float
    var citations: [CitationBody]
    var generator: String
    var degradation: [String]
    var timings: [String: Double]
    var question: String
    var usage: Usage?
    var rejected: [Rejected]
    var nearest: [PassageBody]
    var steps: [PlanStepBody]

    enum CodingKeys: String, CodingKey {
        case answer, refused, confidence, citations, generator, degradation, question, usage, rejected, nearest, steps
        case timings = "timings_ms"
    }

    package init(_ response: AnswerResponse) {
        answer = response.answer
        refused = response.refused
        confidence = response.confidence
        citations = response.citations.map(CitationBody.init)
        generator = response.generator
        degradation = response.degradation.map(\.description)
        timings = response.timings.milliseconds
        question = response.question
        usage = response.usage.map { Usage(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }
        rejected = response.rejected.map { Rejected(generator: $0.generator, reason: $0.reason, text: $0.text) }
        nearest = response.nearest.map(PassageBody.init)
        steps = response.steps.map(PlanStepBody.init)
    }
}

/// What came of one step of the plan.
struct PlanStepBody: Encodable, Sendable {
    var name: String
    var texts: [String]
    var passages: Int?
    var milliseconds: Double

    enum CodingKeys: String, CodingKey {
        case name, texts, passages
        case milliseconds = "ms"
    }

    init(_ step: PlanStep) {
        name = step.name
        texts = step.texts
        passages = step.passageCount
        milliseconds = (step.duration.inMilliseconds * 1000).rounded() / 1000
    }
}

/// What will be done for an answer, the first event of a stream.
struct PlanBody: Encodable, Sendable {
    struct Stage: Encodable, Sendable {
        var name: String
        var detail: String
    }
    var plan: String
    var delivery: String
    var question: String
    var collection: String
    var generator: String
    var stages: [Stage]
    var deadlineMilliseconds: Double?

    enum CodingKeys: String, CodingKey {
        case plan, delivery, question, collection, generator, stages
        case deadlineMilliseconds = "deadline_ms"
    }

    init(_ plan: AnswerPlan) {
        self.plan = plan.name.rawValue
        delivery = plan.delivery.rawValue
        question = plan.question
        collection = plan.collection
        generator = plan.generator
        stages = plan.lines.map { Stage(name: $0.name, detail: $0.detail) }
        deadlineMilliseconds = plan.deadlineMilliseconds
    }
}

/// How far a language model is, while no text comes.
struct ProgressBody: Encodable, Sendable {
    var stage: String
    var generator: String
    var share: Double?
    var elapsedMilliseconds: Double

    enum CodingKeys: String, CodingKey {
        case stage, generator, share
        case elapsedMilliseconds = "elapsed_ms"
    }

    init(_ progress: AnswerProgress) {
        stage = progress.stage.rawValue
        generator = progress.generator
        share = progress.share
        elapsedMilliseconds = progress.elapsedMilliseconds
    }
}
