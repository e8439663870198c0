import Documents
import Execution
import Inference
import Logging
import Retrieval

/// Walks a `RetrievalPlan`, whatever its steps: the one interpreter of them all. It lives in the task of its question.
///
/// Its state is the question, the queries to be searched next, and the lists of passages found so far. A step that cannot be done changes none of them and
/// is a step down, so the worst that a model can do to a retrieval is to make it a plain search, late by the step's budget.
final class RetrievalRun {
    /// What is searched next.
    struct Query: Sendable {
        var text: String
        /// It is the question itself: what it finds is judged by, and without it there is nothing to fall back on.
        var isQuestion: Bool
    }

    /// What became of asking a model.
    private enum Reply {
        case text(String)
        case none(String)
    }

    private let engine: AnswerEngine
    private let request: AnswerRequest
    private let scope: RequestScope
    private let state: RunState
    /// Called with each step as it ends.
    private let tell: (PlanStep) -> Void

    /// The question as it is searched and answered: stand-alone when it followed earlier turns.
    private(set) var question: String
    /// The question's vector, when its search made one.
    private(set) var embedded: (question: String, vector: [Float])?
    /// The model of the vectors that were searched; nil where none were.
    private(set) var embeddingModel: String?
    private var queries: [Query]
    private var lists: [PassageFusion.List] = []
    private var searched: [Set<String>] = []
    private var searchedTexts: [String] = []
    /// Models that have let a step down; no further step waits for them.
    private var silent: Set<Int> = []
    private var k = 0

    init(_ engine: AnswerEngine, _ request: AnswerRequest, _ scope: RequestScope, _ state: RunState, tell: @escaping (PlanStep) -> Void) {
        self.engine = engine
        self.request = request
        self.scope = scope
        self.state = state
        self.tell = tell
        question = request.question
        queries = [Query(text: request.question, isQuestion: true)]
    }

    /// The passages, best first.
    func run(_ plan: RetrievalPlan) async throws -> [SearchResult] {
        k = plan.k
        try await walk(plan.steps)
        return PassageFusion.fuse(lists, k: k)
    }

    private func walk(_ steps: [RetrievalPlan.Step]) async throws {
        for step in steps {
            try Task.checkCancellation()
            switch step {
            case .rewrite(let rewrite): try await makeWhole(rewrite)
            case .hypothesize(let hypothesize): try await self.hypothesize(hypothesize)
            case .decompose(let decompose): try await self.decompose(decompose)
            case .search(let search): try await self.search(search)
            case .hop(let hop): try await self.hop(hop)
            }
        }
    }

    // MARK: - Steps that ask a model

    private func makeWhole(_ rewrite: RetrievalPlan.Rewrite) async throws {
        let begin = state.time.now
        question = try await standaloneQuestion(rewrite.asking)
        queries = [Query(text: question, isQuestion: true)]
        finish("rewrite", .rewrite, since: begin, texts: [question])
    }

    private func standaloneQuestion(_ asking: RetrievalPlan.Asking) async throws -> String {
        if let index = asking.generator.flatMap(engine.index(ofGenerator:)), !engine.generators[index].speed.isPaused(at: state.time.now) {
            let limit = state.end(of: asking.budget)
            let run = try await GenerationRun.run(
                engine.generators[index].generator,
                QuestionRewriting.request(request.question, turns: request.turns, tokensMax: asking.tokensMax),
                limit: engine.generateLimits[index], patience: .init(firstToken: state.time.now.duration(to: limit)), deadline: limit,
                onUpdate: { _ in })
            if case .stop = run.end,
                let text = QuestionRewriting.accept(
                    run.text, question: request.question, turns: request.turns, collection: request.collection,
                    statistics: state.statistics)
            {
                return text
            }
            if run.end.reason != nil { silent.insert(index) }
            state.ladder.take(.rewriteHeuristic, run.end.reason ?? "the reply was no question")
        }
        let completed = QuestionRewriting.heuristic(
            request.question, turns: request.turns, collection: request.collection, statistics: state.statistics)
        // A question that fills its limit does not lean on what was said before.
        return completed.utf8.count <= engine.options.limits.questionSizeMax ? completed : request.question
    }

    private func hypothesize(_ step: RetrievalPlan.Hypothesize) async throws {
        var hypothetical: [Query] = []
        for (position, query) in queries.enumerated() {
            let begin = state.time.now
            var passage: String?
            switch try await ask(step.asking, PlanPrompts.passage(query.text), share: queries.count - position) {
            case .text(let reply):
                passage = ModelReply.passage(
                    reply, about: terms(of: query.text), collection: request.collection, statistics: state.statistics)
                if passage == nil { reduce("hypothesize", "the reply was no passage about the question") }
            case .none(let reason): reduce("hypothesize", reason)
            }
            finish("hypothesize", .hypothesize, since: begin, texts: passage.map { [$0] } ?? [])
            guard let passage else {
                hypothetical.append(query)
                continue
            }
            if step.keepsQuestion { hypothetical.append(query) }
            hypothetical.append(Query(text: passage, isQuestion: false))
        }
        queries = hypothetical
    }

    private func decompose(_ step: RetrievalPlan.Decompose) async throws {
        let begin = state.time.now
        var simpler: [String] = []
        switch try await ask(step.asking, PlanPrompts.subquestions(question, countMax: step.countMax)) {
        case .text(let reply):
            simpler = ModelReply.queries(
                reply, countMax: step.countMax, about: terms(of: question), collection: request.collection, statistics: state.statistics)
            if simpler.isEmpty { reduce("decompose", "the reply held no question about the matter") }
        case .none(let reason): reduce("decompose", reason)
        }
        finish("decompose", .decompose, since: begin, texts: simpler)
        queries = [Query(text: question, isQuestion: true)] + simpler.map { Query(text: $0, isQuestion: false) }
    }

    private func hop(_ step: RetrievalPlan.Hop) async throws {
        for _ in 0..<step.countMax {
            let passages = PassageFusion.fuse(lists, k: step.passageCountMax)
            // Where nothing was found there is nothing to ask about.
            guard !passages.isEmpty else { return }
            let begin = state.time.now
            let next = try await followUp(step, passages)
            finish("hop", .hop, since: begin, texts: next.map { [$0] } ?? [])
            guard let next else { return }
            queries = [Query(text: next, isQuestion: false)]
            let known = Set(lists.flatMap { $0.results.map(\.chunkID) })
            try await walk(step.steps)
            // A search that found nothing new would only be asked for again.
            if lists.allSatisfy({ $0.results.allSatisfy { known.contains($0.chunkID) } }) { return }
        }
    }

    /// What a model wants to be searched next; nil = there is enough, or it cannot say.
    private func followUp(_ step: RetrievalPlan.Hop, _ passages: [SearchResult]) async throws -> String? {
        guard let index = step.asking.generator.flatMap(engine.index(ofGenerator:)) else {
            reduce("hop", Self.noModel)
            return nil
        }
        let generator = engine.generators[index].generator
        guard
            let prompt = PlanPrompts.followUp(
                question, searched: searchedTexts, passages: passages, tokenBudget: generator.contextLength - step.asking.tokensMax,
                count: generator.countTokens)
        else {
            reduce("hop", "\(engine.generators[index].name): its context of \(generator.contextLength) tokens is too small")
            return nil
        }
        switch try await ask(step.asking, prompt.messages) {
        case .none(let reason): reduce("hop", reason)
        case .text(let reply):
            if ModelReply.saysEnough(reply) { return nil }
            let about = passages.prefix(prompt.passageCount).reduce(into: terms(of: question)) {
                $0.formUnion(terms(of: ($1.title ?? "") + "\n" + $1.heading + "\n" + $1.text))
            }
            guard
                let query = ModelReply.queries(
                    reply, countMax: 1, about: about, collection: request.collection, statistics: state.statistics
                ).first
            else {
                reduce("hop", "the reply was no question about the matter")
                return nil
            }
            // Asking again for what was searched is another way of saying "enough".
            return isSearched(query) ? nil : query
        }
        return nil
    }

    // MARK: - Search

    /// Searches the queries that were not searched yet. One that fails is left out, unless it is the question.
    private func search(_ step: RetrievalPlan.Search) async throws {
        let open = queries.filter { !isSearched($0.text) }
        for (index, query) in open.enumerated() {
            do {
                try await search(query, step, share: open.count - index)
            } catch {
                if query.isQuestion || Task.isCancelled { throw error }
                reduce("retrieve", Self.told(error))
            }
        }
        // A plan may leave the question out for what a model made of it, and that may have failed.
        if lists.isEmpty { try await search(Query(text: question, isQuestion: true), step, share: 1) }
    }

    private func search(_ query: Query, _ step: RetrievalPlan.Search, share: Int) async throws {
        let begin = state.time.now
        var found: Int?
        defer { finish("retrieve", .retrieve, since: begin, texts: [query.text], passageCount: found) }
        searched.append(key(query.text))
        searchedTexts.append(query.text)
        var wanted = SearchRequest(
            query: query.text, collection: request.collection, mode: step.mode, k: step.k, filter: request.filter, highlight: true)
        if request.deadlineMilliseconds != nil {
            wanted.deadlineMilliseconds = max(1, step.deadline.time(of: state.remaining / share) / .milliseconds(1))
        }
        let search = wanted
        let searching = engine.searching
        let scope = scope
        do {
            let response = try await engine.searchLimit.run(until: state.end(of: step.budget, share: share)) {
                try await searching.search(search, scope: scope)
            }
            state.timings.addStages(of: response.timings)
            state.ladder.adopt(response.degradation)
            if query.isQuestion { embedded = response.queryVector.map { (query.text, $0) } }
            embeddingModel = response.embeddingModel ?? embeddingModel
            lists.append(PassageFusion.List(isQuestion: query.isQuestion, results: response.results))
            found = response.results.count
        } catch is TimeLimit.Expired {
            // Without passages there is nothing to answer from: the honest answer is that the search took too long.
            throw AnsweringError.retrieval(
                .deadlineExceeded(milliseconds: request.deadlineMilliseconds ?? engine.options.deadlineMax / .milliseconds(1)))
        } catch is TimeLimit.Stuck {
            throw AnsweringError.retrieval(.overloaded("earlier searches still hang"))
        }
    }

    // MARK: - Asking

    private static let noModel = "no language model"

    /// Asks a model within its budget.
    ///
    /// - Parameter share: How many such steps are still to come, this one with them.
    private func ask(_ asking: RetrievalPlan.Asking, _ messages: [ChatMessage], share: Int = 1) async throws -> Reply {
        guard let index = asking.generator.flatMap(engine.index(ofGenerator:)) else { return .none(Self.noModel) }
        let named = engine.generators[index]
        func none(_ reason: String) -> Reply { .none("\(named.name): \(reason)") }
        if silent.contains(index) { return none("it did not answer before") }
        if named.speed.isPaused(at: state.time.now) { return none("it did not answer lately") }
        let limit = state.end(of: asking.budget, share: share)
        let left = state.time.now.duration(to: limit)
        guard left > .zero else { return none("deadline") }
        // A short reply has some 16 tokens.
        if let needed = named.speed.secondsFor(tokens: min(16, asking.tokensMax)), needed > left / .seconds(1) {
            return none("it would be late")
        }
        let promptTokens = messages.reduce(0) { $0 + named.generator.countTokens($1.content) }
        guard promptTokens + asking.tokensMax <= named.generator.contextLength else {
            return none("its context of \(named.generator.contextLength) tokens is too small")
        }
        let run = try await GenerationRun.run(
            named.generator, GenerationRequest(messages: messages, maxTokens: asking.tokensMax), limit: engine.generateLimits[index],
            patience: .init(firstToken: left), deadline: limit, onUpdate: { _ in })
        switch run.end {
        case .stop, .length: return .text(run.text)
        case .deadline, .noFirstToken, .failed:
            silent.insert(index)
            return none(run.end.reason ?? "it failed")
        }
    }

    private func reduce(_ step: String, _ reason: String) { state.ladder.take(.planReduced, "\(step): \(reason)") }

    private func finish(_ name: String, _ stage: Stage, since begin: ContinuousClock.Instant, texts: [String], passageCount: Int? = nil) {
        state.record(stage, since: begin)
        tell(PlanStep(name: name, texts: texts, passageCount: passageCount, duration: begin.duration(to: state.time.now)))
    }

    private static func told(_ error: any Error) -> String {
        switch error {
        case AnsweringError.retrieval(.deadlineExceeded): "deadline"
        case let error as AnsweringError: error.description
        case let error as RetrievalError: error.description
        default: "\(error)"
        }
    }

    private func terms(of text: String) -> Set<String> { Set(state.statistics.terms(of: text, in: request.collection)) }
    private func key(_ query: String) -> Set<String> {
        ModelReply.key(query, collection: request.collection, statistics: state.statistics)
    }
    private func isSearched(_ query: String) -> Bool { searched.contains(key(query)) }
}
