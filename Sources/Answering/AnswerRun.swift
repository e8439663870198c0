import Documents
import Execution
import Inference
import Logging
import Metrics
import Retrieval
import Segmentation

/// One question on its way through the engine. Its state lives in one task.
final class AnswerRun {
    private let engine: AnswerEngine
    private let request: AnswerRequest
    private let scope: RequestScope
    private let plan: AnswerPlan
    private let emit: (AnswerEvent) -> Void
    private let time: any TimeSource
    private let start: ContinuousClock.Instant
    private let deadline: ContinuousClock.Instant
    private var ladder = Ladder()
    private var timings = Timings()
    /// The joined tokens since the last reset: what a client holds for the answer now.
    private var streamed = ""
    private var rejected: [RejectedText] = []
    private var nearest: [SearchResult] = []
    /// The question as it was searched, with its vector.
    private var embedded: (question: String, vector: [Float])?
    /// The model of the vectors that were searched.
    private var embedder: (any Embedder)?

    init(_ engine: AnswerEngine, _ request: AnswerRequest, _ scope: RequestScope, emit: @escaping (AnswerEvent) -> Void) {
        self.engine = engine
        self.request = request
        self.scope = scope
        self.emit = emit
        time = engine.time
        start = time.now
        plan = AnswerPlan(
            request, models: engine.order(for: request).map { engine.generators[$0].name }, embedder: engine.embedders.standard?.model.name,
            options: engine.options)
        deadline = start + plan.time
    }

    // MARK: - Stream

    /// The next piece of the answer.
    private func send(_ text: String) {
        guard !text.isEmpty else { return }
        streamed += text
        emit(.token(text))
    }

    /// What was sent so far is no part of the answer.
    private func void(_ reason: String) {
        guard !streamed.isEmpty else { return }
        streamed = ""
        emit(.reset(reason))
    }

    private var remaining: Duration { time.now.duration(to: deadline) }

    /// When a part that begins now must have ended.
    private func end(of budget: AnswerPlan.Budget) -> ContinuousClock.Instant { time.now + budget.time(of: max(.zero, remaining)) }

    func run() async throws {
        try request.check(engine.options.limits, generators: engine.generatorNames)
        // Before anything is asked of the collection, even which words are rare in it.
        guard scope.includes(collection: request.collection) else {
            throw AnsweringError.retrieval(.unknownCollection(request.collection))
        }
        let longest = engine.options.deadlineMax / .milliseconds(1)
        if let asked = request.deadlineMilliseconds, asked > longest {
            ladder.take(.deadlineShortened, "the longest is \(Int(longest)) ms")
        }
        emit(.plan(plan))

        var question = request.question
        var sources: [Source] = []
        var evidence: Evidence?
        for stage in plan.stages {
            switch stage {
            case .rewrite(let rewrite): question = try await standaloneQuestion(rewrite)
            case .retrieve(let retrieve):
                sources = try await self.sources(for: question, retrieve)
                guard !sources.isEmpty else { return finishRefused(question, confidence: 0, generator: AnswerEngine.extractiveName) }
            case .score(let score):
                let analysis = QuestionAnalysis(question, collection: request.collection, statistics: engine.statistics)
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

    // MARK: - Question

    private func standaloneQuestion(_ rewrite: AnswerPlan.Rewrite) async throws -> String {
        let begin = time.now
        defer { record(.rewrite, since: begin) }
        if let index = rewrite.generator.flatMap(engine.index(ofGenerator:)), !engine.generators[index].speed.isPaused(at: time.now) {
            let limit = end(of: rewrite.budget)
            let run = try await GenerationRun.run(
                engine.generators[index].generator, QuestionRewriting.request(request.question, turns: request.turns),
                limit: engine.generateLimits[index], patience: .init(firstToken: time.now.duration(to: limit)), deadline: limit,
                onUpdate: { _ in })
            if case .stop = run.end,
                let text = QuestionRewriting.accept(
                    run.text, question: request.question, turns: request.turns, collection: request.collection,
                    statistics: engine.statistics)
            {
                return text
            }
            ladder.take(.rewriteHeuristic, reason(run.end) ?? "the reply was no question")
        }
        let completed = QuestionRewriting.heuristic(
            request.question, turns: request.turns, collection: request.collection, statistics: engine.statistics)
        // A question that fills its limit does not lean on what was said before.
        return completed.utf8.count <= engine.options.limits.questionSizeMax ? completed : request.question
    }

    // MARK: - Search and evidence

    private func sources(for question: String, _ retrieve: AnswerPlan.Retrieve) async throws -> [Source] {
        let response = try await search(question, retrieve)
        let choosing = time.now
        let sources = await chooseSources(response.results, retrieve)
        record(.prompt, since: choosing)
        emit(.sources(sources.map(\.passage)))
        nearest = sources.prefix(engine.options.nearestCountMax).map(\.passage)
        return sources
    }

    private func search(_ question: String, _ retrieve: AnswerPlan.Retrieve) async throws -> SearchResponse {
        let begin = time.now
        defer { record(.retrieve, since: begin) }
        let searching = engine.searching
        var wanted = SearchRequest(
            query: question, collection: request.collection, mode: retrieve.mode, k: retrieve.k, filter: request.filter, highlight: true)
        if request.deadlineMilliseconds != nil {
            wanted.deadlineMilliseconds = max(1, retrieve.deadline.time(of: remaining) / .milliseconds(1))
        }
        let search = wanted
        let scope = scope
        do {
            let response = try await engine.searchLimit.run(until: end(of: retrieve.budget)) {
                try await searching.search(search, scope: scope)
            }
            timings.adopt(response.timings)
            ladder.adopt(response.degradation)
            embedded = response.queryVector.map { (question, $0) }
            // Sentences are compared in the space that was searched.
            embedder = (try? await engine.embedders.embedder(for: response.embeddingModel)) ?? nil
            return response
        } catch is TimeLimit.Expired {
            // Without passages there is nothing to answer from: the honest answer is that the search took too long.
            throw AnsweringError.retrieval(
                .deadlineExceeded(milliseconds: request.deadlineMilliseconds ?? engine.options.deadlineMax / .milliseconds(1)))
        } catch is TimeLimit.Stuck {
            throw AnsweringError.retrieval(.overloaded("earlier searches still hang"))
        }
    }

    private func chooseSources(_ results: [SearchResult], _ retrieve: AnswerPlan.Retrieve) async -> [Source] {
        let engine = engine
        let limit = end(of: retrieve.joining)
        return await PassageSelection.choose(results) { document, span in
            let text = try? await engine.spanLimit.run(until: limit) { try await engine.spans.text(of: document, span: span) }
            return text ?? nil
        }
    }

    private func gather(_ analysis: QuestionAnalysis, _ sources: [Source], _ score: AnswerPlan.Score) async throws -> Evidence {
        let begin = time.now
        defer { record(.score, since: begin) }
        let limit = end(of: score.embedding) - score.reserve.time(of: remaining)
        return try await Evidence.gather(
            analysis, sources: sources, collection: request.collection, statistics: engine.statistics,
            unitCountMax: engine.options.embeddedUnitCountMax,
            embeddingModel: embedder?.model.name
        ) { texts in try await self.embed(texts, until: limit, rung: .sentencesByWords) }
    }

    /// Vectors of texts, from the cache or the model; nil when they are not to be had in time, which is a step down.
    private func embed(_ texts: [String], until limit: ContinuousClock.Instant, rung: Rung) async throws -> [[Float]]? {
        guard let embedder, !texts.isEmpty else { return nil }
        let model = embedder.model.name
        var vectors = engine.cache.vectors(for: texts, by: model)
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
            engine.cache.insert(byText.filter { $0.key != request.question }.map { ($0.key, $0.value) }, by: model)
            for index in texts.indices where vectors[index] == nil { vectors[index] = byText[texts[index]] }
            return vectors.map { $0! }
        } catch is CancellationError where Task.isCancelled {
            throw CancellationError()
        } catch is TimeLimit.Expired {
            ladder.take(rung, "deadline")
        } catch is TimeLimit.Stuck {
            ladder.take(rung, "the embedder hangs")
        } catch {
            ladder.take(rung, "the embedder failed")
            engine.logger.warning("sentences were not embedded", metadata: ["error": "\(error)"])
        }
        return nil
    }

    // MARK: - Generation

    /// Asks the models in order until an answer holds, then quotes, or refuses.
    private func answer(_ question: String, _ evidence: Evidence, _ answer: AnswerPlan.Answer) async throws {
        let threshold = request.refuseBelow ?? engine.options.refuseBelow
        let generationThreshold = request.refuseBelow ?? min(engine.options.refuseGenerationBelow, engine.options.refuseBelow)
        for name in answer.generators where evidence.confidence >= generationThreshold {
            guard let index = engine.index(ofGenerator: name) else { continue }
            if try await generate(index, question, evidence, answer) { return }
        }
        guard evidence.confidence >= threshold else {
            return finishRefused(question, confidence: evidence.confidence, generator: AnswerEngine.extractiveName)
        }
        try await quote(question, evidence, answer)
    }

    /// Tokens that an answer and the rules take from a model's context.
    private func answerTokens(_ generator: any Generator) -> Int {
        let count: (String) -> Int = { text in generator.tokenizer?.count(text) ?? text.utf8.count / 3 + 1 }
        return min(request.maxTokens, generator.contextLength / 3) + Prompt.overhead(question: request.question, count: count)
    }

    /// Asks one model. True when the answer is out; false when the next rung must take over.
    private func generate(
        _ index: Int, _ question: String, _ evidence: Evidence, _ plan: AnswerPlan.Answer
    ) async throws -> Bool {
        let named = engine.generators[index]
        let generator = named.generator
        func fail(_ reason: String) -> Bool {
            ladder.take(.generatorFailed, "\(named.name): \(reason)")
            return false
        }
        let latest = deadline - self.plan.reserve.time(of: self.plan.time)
        let left = time.now.duration(to: latest)
        if left <= .zero {
            return fail("deadline")
        }
        if named.speed.isPaused(at: time.now) {
            return fail("it did not answer lately")
        }
        // A short answer has some 32 tokens.
        let shortAnswer = min(32, request.maxTokens)
        if let needed = named.speed.secondsFor(tokens: shortAnswer), needed > left / .seconds(1) {
            named.speed.recordSkipped()
            return fail("it would miss the deadline")
        }
        let count: (String) -> Int = { text in generator.tokenizer?.count(text) ?? text.utf8.count / 3 + 1 }
        var budget = min(request.contextTokens ?? engine.options.contextTokensMax, generator.contextLength - answerTokens(generator))
        // A slow model gets no more to read than it can in its share of the time.
        if let readable = named.speed.promptTokens(within: plan.reading.time(of: left) / .seconds(1)) {
            budget = min(budget, max(readable, 200))
        }
        let prompting = time.now
        guard
            let prompt = Prompt(
                question: question, sources: evidence.sources, bestUnits: evidence.bestUnits, tokenBudget: budget, count: count)
        else {
            return fail("its context of \(generator.contextLength) tokens is too small for the sources")
        }
        record(.prompt, since: prompting)

        let begin = time.now
        let generation = GenerationRequest(
            messages: prompt.messages, maxTokens: min(request.maxTokens, max(16, generator.contextLength / 3)),
            temperature: request.temperature)
        let promptTokens = prompt.messages.reduce(0) { $0 + count($1.content) }
        let run = try await GenerationRun.run(
            generator, generation, limit: engine.generateLimits[index], patience: patience(named, promptTokens, left, plan.firstToken),
            deadline: latest
        ) { update in
            switch update {
            case .text(let piece): self.send(piece)
            case .reset: self.void("that was the model's reasoning")
            case .progress(let progress): self.tell(progress, named.name, since: begin)
            }
        }
        record(.generate, since: begin)
        if let first = run.timeToFirstText, timings[.firstToken] == nil { timings[.firstToken] = first }
        named.speed.record(run, promptTokens: run.usage?.promptTokens ?? promptTokens, total: begin.duration(to: time.now))

        var text = run.text
        switch run.end {
        case .stop: break
        case .length, .deadline, .failed, .noFirstToken:
            if case .noFirstToken = run.end { named.speed.recordMissed(after: begin.duration(to: time.now), now: time.now) }
            // Whole sentences that came before the end are worth checking.
            guard let whole = Self.wholeSentences(text) else {
                return reject(named.name, .generatorFailed, reason(run.end) ?? "no whole sentence", text)
            }
            text = whole
            if let why = reason(run.end) { ladder.take(.generationCut, "\(named.name): \(why)") }
        }
        if Self.isRefusal(text) {
            finishRefused(question, confidence: evidence.confidence, generator: generator.name, usage: run.usage)
            return true
        }

        let checking = time.now
        let outcome = try await CitationCheck.check(
            text, evidence: evidence, sourceCount: prompt.sourceCount, collection: request.collection, statistics: engine.statistics
        ) { texts in
            guard Evidence.understands(self.embedder?.model.name, evidence.analysis.language) else { return nil }
            return try await self.embed(texts, until: self.end(of: plan.checking), rung: .checkByWords)
        }
        record(.check, since: checking)
        guard outcome.supportedShare >= 0.5 else {
            return reject(named.name, .answerUnsupported, outcome.objection ?? "its sources do not say that", text)
        }
        let citations = try await verified(outcome.quotes.map { evidence.sources[$0.source].citation($0.range) }, plan)
        guard !citations.isEmpty else { return reject(named.name, .answerUnsupported, "no quote could be verified", text) }
        let held = Set(citations.map(\.marker))
        // An answer of which every marker holds stands as it was written, and as it was streamed.
        let answer =
            outcome.isUnchanged && outcome.quotes.allSatisfy { held.contains($0.source + 1) }
            ? text : Self.keepingMarkers(outcome.answer, held)
        // A model may have read what the sentences' scores missed; the check has found it in the sources.
        let confidence = max(evidence.confidence, engine.options.refuseBelow * outcome.supportedShare)
        finish(
            AnswerResponse(
                answer: answer, refused: false, confidence: confidence, citations: citations, generator: generator.name,
                degradation: ladder.steps,
                timings: [:], question: question, usage: run.usage))
        return true
    }

    /// A text that does not become the answer: taken back, kept for whoever asks why, and told in the log by its reason.
    private func reject(_ name: String, _ rung: Rung, _ reason: String, _ text: String) -> Bool {
        ladder.take(rung, "\(name): \(reason)")
        void("\(name): \(reason)")
        if !text.isEmpty {
            rejected.append(RejectedText(generator: name, reason: reason, text: String(text.prefix(engine.options.rejectedLengthMax))))
            engine.logger.info("a generated answer was rejected", metadata: ["generator": "\(name)", "reason": "\(reason)"])
        }
        return false
    }

    /// How long a model may take for its first token: what was set, or in step with the prompt's length.
    private func patience(
        _ named: AnswerEngine.NamedGenerator, _ promptTokens: Int, _ left: Duration, _ budget: AnswerPlan.Budget
    ) -> GenerationRun.Patience {
        if budget.longest != nil { return .init(firstToken: budget.time(of: left)) }
        let reading = named.speed.secondsToRead(promptTokens) ?? Double(promptTokens) / 100
        let wanted = Duration.seconds(min(3600, 30 + 3 * reading))
        return .init(firstToken: min(budget.time(of: left), wanted), growsWhileReading: true)
    }

    private func tell(_ progress: GenerationProgress, _ name: String, since begin: ContinuousClock.Instant) {
        let elapsed = begin.duration(to: time.now) / .milliseconds(1)
        let told =
            switch progress {
            case .queued: AnswerProgress(stage: .waiting, generator: name, share: nil, elapsedMilliseconds: elapsed)
            case .reading(let tokens, let all):
                AnswerProgress(
                    stage: .reading, generator: name, share: all > 0 ? Double(tokens) / Double(all) : nil, elapsedMilliseconds: elapsed)
            case .thinking: AnswerProgress(stage: .thinking, generator: name, share: nil, elapsedMilliseconds: elapsed)
            }
        emit(.progress(told))
    }

    private func reason(_ end: GenerationRun.End) -> String? {
        switch end {
        case .stop, .length: nil
        case .deadline: "deadline"
        case .noFirstToken: "no first token in time"
        case .failed(let reason): reason
        }
    }

    static func wholeSentences(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        let units = TextUnits.units(in: bytes)
        // A sentence that is followed by another one has ended; the last one only if it says so.
        var end = units.dropLast().last?.range.upperBound
        if let last = units.last,
            let mark = String(decoding: bytes[last.range], as: UTF8.self).unicodeScalars.last(where: {
                $0 != "]" && !("0"..."9").contains($0) && $0 != "[" && $0 != " "
            }),
            Sentences.isTerminator(mark)
        {
            end = last.range.upperBound
        }
        guard let end, end > 0 else { return nil }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    /// Whether a model says that it cannot answer. It was told the words; small models vary them.
    static func isRefusal(_ text: String) -> Bool {
        let lower = text.lowercased().replacing("\u{2019}", with: "'")
        let opening = lower.prefix(160)
        return [
            "i don't have enough information", "i do not have enough information", "not enough information in the",
            "the sources do not contain", "the sources don't contain",
            "the sources do not provide", "the sources don't provide", "there is no information in the sources",
            "the provided sources do not",
        ]
        .contains { opening.contains($0) }
    }

    /// Removes the markers whose quotes did not hold.
    static func keepingMarkers(_ answer: String, _ held: Set<Int>) -> String {
        answer.replacing(/\ ?\[(\d+)\]/) { match in Int(match.1).map(held.contains) == true ? String(match.0) : "" }
    }

    // MARK: - Quoting

    private func quote(_ question: String, _ evidence: Evidence, _ plan: AnswerPlan.Answer) async throws {
        let begin = time.now
        let answer = ExtractiveAnswer(evidence)
        record(.generate, since: begin)
        let checking = time.now
        var checked: [ExtractiveAnswer.Quote] = []
        var citations: [Citation] = []
        // A quote whose document changed meanwhile is left out, text and all.
        let candidates = answer.quotes.map { evidence.sources[$0.source].citation($0.range) }
        let good = try await verifiedFlags(candidates, plan.quotes)
        for (index, quote) in answer.quotes.enumerated() where good[index] {
            checked.append(quote)
            citations.append(candidates[index])
        }
        record(.check, since: checking)
        guard !checked.isEmpty else {
            return finishRefused(question, confidence: evidence.confidence, generator: AnswerEngine.extractiveName)
        }
        var text = ""
        for piece in ExtractiveAnswer(quotes: checked).pieces(evidence.sources, question: evidence.analysis) {
            text += piece
            if timings[.firstToken] == nil { timings[.firstToken] = start.duration(to: time.now) }
            send(piece)
        }
        finish(
            AnswerResponse(
                answer: text, refused: false, confidence: evidence.confidence, citations: await onTheirPages(citations, plan.pages),
                generator: AnswerEngine.extractiveName,
                degradation: ladder.steps, timings: [:], question: question, usage: nil))
    }

    // MARK: - Verification and end

    /// The citations whose quote equals the stored bytes now, each once.
    private func verified(_ citations: [Citation], _ plan: AnswerPlan.Answer) async throws -> [Citation] {
        var unique: [Citation] = []
        for citation in citations where !unique.contains(citation) { unique.append(citation) }
        let good = try await verifiedFlags(unique, plan.quotes)
        return await onTheirPages(zip(unique, good).filter(\.1).map(\.0), plan.pages)
    }

    /// Gives each citation the page of its quote's first byte: a chunk may begin on a page before. Without an answer of the store in time, that of
    /// the chunk stays.
    private func onTheirPages(_ citations: [Citation], _ budget: AnswerPlan.Budget) async -> [Citation] {
        let documents = Set(citations.lazy.filter { $0.page != nil }.map(\.documentID))
        guard !documents.isEmpty else { return citations }
        let spans = engine.spans
        let pages = try? await engine.spanLimit.run(until: end(of: budget)) {
            var pages: [DocumentID: [PageSpan]] = [:]
            for document in documents { pages[document] = try await spans.pages(of: document) }
            return pages
        }
        return citations.map { citation in
            var citation = citation
            if let page = pages?[citation.documentID]?.page(at: citation.span.start) { citation.page = page }
            return citation
        }
    }

    private func verifiedFlags(_ citations: [Citation], _ budget: AnswerPlan.Budget) async throws -> [Bool] {
        let spans = engine.spans
        let limit = end(of: budget)
        do {
            let flags = try await engine.spanLimit.run(until: limit) {
                var flags: [Bool] = []
                for citation in citations {
                    flags.append(try await spans.text(of: citation.documentID, span: citation.span) == citation.quote)
                }
                return flags
            }
            let stale = flags.count { !$0 }
            if stale > 0 { ladder.take(.citationsDropped, "\(stale) quotes are not what is stored now") }
            return flags
        } catch is CancellationError where Task.isCancelled {
            throw CancellationError()
        } catch {
            ladder.take(.citationsDropped, "the store could not be read")
            engine.logger.warning("quotes were not verified", metadata: ["error": "\(error)"])
            return citations.map { _ in false }
        }
    }

    private func finishRefused(_ question: String, confidence: Float, generator: String, usage: GenerationUsage? = nil) {
        finish(
            AnswerResponse(
                answer: QuestionLanguage(of: request.question).refusal, refused: true, confidence: confidence, citations: [],
                generator: generator, degradation: ladder.steps, timings: [:], question: question, usage: usage, nearest: nearest))
    }

    private func finish(_ response: AnswerResponse) {
        timings[.total] = start.duration(to: time.now)
        var response = response
        response.timings = timings
        response.degradation = ladder.steps
        response.rejected = rejected
        (response.refused ? AnswerOutcome.refused : .answered).count()
        for (stage, duration) in timings.stages {
            Timer(label: "outrider_answer_stage_latency_ms", dimensions: [("stage", stage.rawValue)]).record(duration: duration)
        }
        // The law of the stream: what a client has joined is the answer.
        if !response.answer.utf8.starts(with: streamed.utf8) {
            void(response.refused ? "the answer is a refusal" : "the answer's citations were checked")
        }
        send(String(decoding: response.answer.utf8.dropFirst(streamed.utf8.count), as: UTF8.self))
        for citation in response.citations { emit(.citation(citation)) }
        emit(.timings(timings))
        emit(.done(response))
    }

    private func record(_ stage: Stage, since begin: ContinuousClock.Instant) {
        timings.add(begin.duration(to: time.now), to: stage)
    }
}

extension ExtractiveAnswer {
    init(quotes: [Quote]) { self.quotes = quotes }
}
