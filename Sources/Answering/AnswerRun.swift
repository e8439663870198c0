import Documents
import Execution
import Inference
import Logging
import Metrics
import Retrieval
import Segmentation

/// One question on its way through the engine. Its state lives in one task.
final class AnswerRun {
    let engine: AnswerEngine
    let request: AnswerRequest
    private let scope: RequestScope
    let plan: AnswerPlan
    let state: RunState
    let emit: (AnswerEvent) -> Void
    /// The joined tokens since the last reset: what a client holds for the answer now.
    private var streamed = ""
    var rejected: [RejectedText] = []
    private var steps: [PlanStep] = []
    private var nearest: [SearchResult] = []
    /// The question as it was searched, with its vector.
    private var embedded: (question: String, vector: [Float])?
    /// The model of the vectors that were searched.
    private(set) var embedder: (any Embedder)?

    init(_ engine: AnswerEngine, _ request: AnswerRequest, _ scope: RequestScope, emit: @escaping (AnswerEvent) -> Void) {
        self.engine = engine
        self.request = request
        self.scope = scope
        self.emit = emit
        plan = AnswerPlan(
            request, models: engine.order(for: request).map { engine.generators[$0].name }, embedder: engine.embedders.standard?.model.name,
            options: engine.options)
        state = RunState(
            engine.time, lasting: plan.time, RunStatistics(engine.statistics, collection: request.collection))
    }

    // MARK: - Stream

    /// The next piece of the answer.
    func send(_ text: String) {
        guard !text.isEmpty else { return }
        streamed += text
        emit(.token(text))
    }

    /// What was sent so far is no part of the answer.
    func void(_ reason: String) {
        guard !streamed.isEmpty else { return }
        streamed = ""
        emit(.reset(reason))
    }

    func run() async throws {
        try request.check(engine.options.limits, generators: engine.generatorNames)
        // Before anything is asked of the collection, even which words are rare in it.
        guard scope.includes(collection: request.collection) else {
            throw AnsweringError.retrieval(.unknownCollection(request.collection))
        }
        let longest = engine.options.deadlineMax / .milliseconds(1)
        if let asked = request.deadlineMilliseconds, asked > longest {
            state.ladder.take(.deadlineShortened, "the longest is \(Int(longest)) ms")
        }
        emit(.plan(plan))

        var question = request.question
        var sources: [Source] = []
        var evidence: Evidence?
        for stage in plan.stages {
            switch stage {
            case .retrieve(let retrieval):
                (question, sources) = try await retrieve(retrieval)
                guard !sources.isEmpty else { return finishRefused(question, confidence: 0, generator: AnswerEngine.extractiveName) }
            case .score(let score):
                let analysis = QuestionAnalysis(question, collection: request.collection, statistics: state.statistics)
                let found = try await gather(analysis, sources, score)
                // What the sources tell of another one of its kind is no answer, and a model would take it for one.
                if found.isAboutSibling, request.refuseBelow.map({ $0 > found.confidence }) ?? true {
                    return finishRefused(question, confidence: found.confidence, generator: AnswerEngine.extractiveName)
                }
                evidence = found
            case .answer(let answer):
                guard let evidence else { preconditionFailure("a plan that answers before it has scored: \(plan.stages)") }
                return try await self.answer(question, evidence, answer)
            }
        }
        preconditionFailure("a plan without an answer: \(plan.stages)")
    }

    // MARK: - Search and evidence

    private func retrieve(_ retrieval: RetrievalPlan) async throws -> (question: String, sources: [Source]) {
        let isTold = !retrieval.isPlain
        let run = RetrievalRun(engine, request, scope, state) { step in
            self.steps.append(step)
            if isTold { self.emit(.step(step)) }
        }
        let results = try await run.run(retrieval)
        embedded = run.embedded
        // Sentences are compared in the space that was searched.
        embedder = (try? await engine.embedders.embedder(for: run.embeddingModel)) ?? nil
        let choosing = state.time.now
        let sources = await chooseSources(results, retrieval.joining)
        state.record(.prompt, since: choosing)
        emit(.sources(sources.map(\.passage)))
        nearest = sources.prefix(engine.options.nearestCountMax).map(\.passage)
        return (run.question, sources)
    }

    private func chooseSources(_ results: [SearchResult], _ joining: AnswerPlan.Budget) async -> [Source] {
        let engine = engine
        let limit = state.end(of: joining)
        return await PassageSelection.choose(results) { document, span in
            do {
                return try await engine.spanLimit.run(until: limit) { try await engine.spans.text(of: document, span: span) }
            } catch {
                self.state.takeOnce(.passagesApart, error is TimeLimit.Expired ? "deadline" : "the store could not be read")
                return nil
            }
        }
    }

    private func gather(_ analysis: QuestionAnalysis, _ sources: [Source], _ score: AnswerPlan.Score) async throws -> Evidence {
        let begin = state.time.now
        defer { state.record(.score, since: begin) }
        let limit = state.end(of: score.embedding) - score.reserve.time(of: state.remaining)
        return try await Evidence.gather(
            analysis, sources: sources, collection: request.collection, statistics: state.statistics,
            embedding: engine.order(for: request).isEmpty
                ? .needed(engine.options.neededUnitCountMax, else: engine.options.embeddedUnitCountMax)
                : .best(engine.options.embeddedUnitCountMax),
            embeddingModel: embedder?.model.name
        ) { texts in try await self.embed(texts, until: limit, rung: .sentencesByWords) }
    }

    /// Vectors of texts, from the cache or the model; nil when they are not to be had in time, which is a step down.
    func embed(_ texts: [String], until limit: ContinuousClock.Instant, rung: Rung) async throws -> [[Float]]? {
        guard let embedder, !texts.isEmpty else { return nil }
        let model = embedder.model.name
        var vectors = texts.map { engine.cache[SentenceKey(model: model, text: $0)] }
        // The search has embedded the question, by the same model.
        if let embedded, embedded.vector.count == embedder.model.dimension {
            for index in texts.indices where vectors[index] == nil && texts[index] == embedded.question { vectors[index] = embedded.vector }
        }
        let missing = Array(Set(texts.indices.filter { vectors[$0] == nil }.map { texts[$0] })).sorted()
        guard !missing.isEmpty else { return vectors.map { $0! } }
        do {
            let flat = try await engine.embedLimit.run(until: limit) { try await embedder.embed(missing, for: .query) }
            let dimension = embedder.model.dimension
            guard flat.count == missing.count * dimension else {
                throw InferenceError.failed(name: embedder.model.name, reason: "\(flat.count) numbers for \(missing.count) texts")
            }
            var byText: [String: [Float]] = [:]
            for (index, text) in missing.enumerated() { byText[text] = Array(flat[(index * dimension)..<((index + 1) * dimension)]) }
            // The question itself does not come back.
            for (text, vector) in byText where text != request.question {
                engine.cache.insert(vector, for: SentenceKey(model: model, text: text), size: text.utf8.count)
            }
            for index in texts.indices where vectors[index] == nil { vectors[index] = byText[texts[index]] }
            return vectors.map { $0! }
        } catch is CancellationError where Task.isCancelled {
            throw CancellationError()
        } catch is TimeLimit.Expired {
            state.ladder.take(rung, "deadline")
        } catch is TimeLimit.Stuck {
            state.ladder.take(rung, "the embedder hangs")
        } catch {
            state.ladder.take(rung, "the embedder failed")
            engine.logger.warning("sentences were not embedded", metadata: ["error": "\(error)"])
        }
        return nil
    }

    // MARK: - End

    func finishRefused(_ question: String, confidence: Float, generator: String, usage: GenerationUsage? = nil) {
        finish(
            AnswerResponse(
                answer: QuestionLanguage(of: request.question).refusal, refused: true, confidence: confidence, citations: [],
                generator: generator, degradation: state.ladder.steps, timings: [:], question: question, usage: usage, nearest: nearest))
    }

    func finish(_ response: AnswerResponse) {
        state.timings[.total] = state.start.duration(to: state.time.now)
        var response = response
        response.timings = state.timings
        response.degradation = state.ladder.steps
        response.rejected = rejected
        response.steps = steps
        (response.refused ? AnswerOutcome.refused : .answered).count()
        for (stage, duration) in state.timings.stages {
            Timer(label: "outrider_answer_stage_latency_ms", dimensions: [("stage", stage.rawValue)]).record(duration: duration)
        }
        // The law of the stream: what a client has joined is the answer.
        if !response.answer.utf8.starts(with: streamed.utf8) {
            void(response.refused ? "the answer is a refusal" : "the answer's citations were checked")
        }
        send(String(decoding: response.answer.utf8.dropFirst(streamed.utf8.count), as: UTF8.self))
        for citation in response.citations { emit(.citation(citation)) }
        emit(.timings(state.timings))
        emit(.done(response))
    }
}
