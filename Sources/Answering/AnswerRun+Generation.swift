import Execution
import Inference
import Logging
import Retrieval
import Segmentation

extension AnswerRun {
    /// Asks the models in order until an answer holds, then quotes, or refuses.
    func answer(_ question: String, _ evidence: Evidence, _ answer: AnswerPlan.Answer) async throws {
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
        min(request.maxTokens, generator.contextLength / 3) + Prompt.overhead(question: request.question, count: generator.countTokens)
    }

    /// Asks one model. True when the answer is out; false when the next rung must take over.
    private func generate(
        _ index: Int, _ question: String, _ evidence: Evidence, _ plan: AnswerPlan.Answer
    ) async throws -> Bool {
        let named = engine.generators[index]
        let generator = named.generator
        func fail(_ reason: String) -> Bool {
            state.ladder.take(.generatorFailed, "\(named.name): \(reason)")
            return false
        }
        let latest = state.deadline - self.plan.reserve.time(of: self.plan.time)
        let left = state.time.now.duration(to: latest)
        if left <= .zero {
            return fail("deadline")
        }
        if named.speed.isPaused(at: state.time.now) {
            return fail("it did not answer lately")
        }
        // A short answer has some 32 tokens.
        let shortAnswer = min(32, request.maxTokens)
        if let needed = named.speed.secondsFor(tokens: shortAnswer), needed > left / .seconds(1) {
            named.speed.recordSkipped()
            return fail("it would miss the deadline")
        }
        var budget = min(request.contextTokens ?? engine.options.contextTokensMax, generator.contextLength - answerTokens(generator))
        // A slow model gets no more to read than it can in its share of the time.
        if let readable = named.speed.promptTokens(within: plan.reading.time(of: left) / .seconds(1)) {
            budget = min(budget, max(readable, 200))
        }
        let prompting = state.time.now
        guard
            let prompt = Prompt(
                question: question, sources: evidence.sources, bestUnits: evidence.bestUnits, tokenBudget: budget,
                count: generator.countTokens)
        else {
            return fail("its context of \(generator.contextLength) tokens is too small for the sources")
        }
        state.record(.prompt, since: prompting)

        let begin = state.time.now
        let generation = GenerationRequest(
            messages: prompt.messages, maxTokens: min(request.maxTokens, max(16, generator.contextLength / 3)),
            temperature: request.temperature)
        let delivery = request.delivery == .checked ? checkedDelivery(evidence, prompt.sourceCount, plan, since: begin) : nil
        let checkedBefore = state.timings[.check] ?? .zero
        let promptTokens = prompt.messages.reduce(0) { $0 + generator.countTokens($1.content) }
        let run = try await GenerationRun.run(
            generator, generation, limit: engine.generateLimits[index], patience: patience(named, promptTokens, left, plan.firstToken),
            deadline: latest
        ) { update in
            switch update {
            case .text(let piece): if let delivery { try await delivery.push(piece) } else { self.send(piece) }
            case .reset: if let delivery { delivery.reset() } else { self.void("that was the model's reasoning") }
            case .progress(let progress): self.tell(progress, named.name, since: begin)
            }
        }
        // Sentences may have been checked meanwhile.
        let total = begin.duration(to: state.time.now) - ((state.timings[.check] ?? .zero) - checkedBefore)
        state.timings.add(total, to: .generate)
        named.speed.record(run, promptTokens: run.usage?.promptTokens ?? promptTokens, total: total)
        if case .noFirstToken = run.end { named.speed.recordMissed(after: total, now: state.time.now) }
        if let delivery { return try await conclude(delivery, run, named, question, evidence, plan) }
        if let first = run.timeToFirstText, state.timings[.firstToken] == nil { state.timings[.firstToken] = first }

        var text = run.text
        switch run.end {
        case .stop: break
        case .length, .deadline, .failed, .noFirstToken:
            // Whole sentences that came before the end are worth checking.
            guard let whole = Self.wholeSentences(text) else {
                return reject(named.name, .generatorFailed, run.end.reason ?? "no whole sentence", text)
            }
            text = whole
            if let why = run.end.reason { state.ladder.take(.generationCut, "\(named.name): \(why)") }
        }
        if Self.isRefusal(text) {
            finishRefused(question, confidence: evidence.confidence, generator: generator.name, usage: run.usage)
            return true
        }

        let checking = state.time.now
        let outcome = try await CitationCheck.check(
            text, evidence: evidence, sourceCount: prompt.sourceCount, collection: request.collection, statistics: state.statistics
        ) { texts in
            guard Evidence.understands(self.embedder?.model.name, evidence.analysis.language) else { return nil }
            return try await self.embed(texts, until: self.state.end(of: plan.checking), rung: .checkByWords)
        }
        state.record(.check, since: checking)
        guard outcome.supportedShare >= 0.5 else {
            return reject(named.name, .answerUnsupported, outcome.objection ?? CitationCheck.unsupported, text)
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
                degradation: state.ladder.steps,
                timings: [:], question: question, usage: run.usage))
        return true
    }

    /// A text that does not become the answer: taken back, kept for whoever asks why, and told in the log by its reason.
    func reject(_ name: String, _ rung: Rung, _ reason: String, _ text: String) -> Bool {
        state.ladder.take(rung, "\(name): \(reason)")
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
        let elapsed = begin.duration(to: state.time.now) / .milliseconds(1)
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
}
