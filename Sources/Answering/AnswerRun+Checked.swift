import Execution
import Inference
import Retrieval

extension AnswerRun {
    /// How a model's sentences are checked and sent, one by one.
    ///
    /// - Parameter begin: When the model was asked: the first token is the first sentence.
    func checkedDelivery(
        _ evidence: Evidence, _ sourceCount: Int, _ plan: AnswerPlan.Answer, since begin: ContinuousClock.Instant
    ) -> CheckedDelivery {
        let judge = CitationCheck.Judge(
            evidence: evidence, sources: Array(evidence.sources.prefix(sourceCount)), collection: request.collection,
            statistics: state.statistics)
        // An embedder that fails for one sentence is not waited for with the next.
        var isByWords = !Evidence.understands(embedder?.model.name, evidence.analysis.language)
        return CheckedDelivery(
            evidence, sourceCount: sourceCount,
            check: { text in
                let checking = self.state.time.now
                defer { self.state.record(.check, since: checking) }
                return try await CitationCheck.check(text, by: judge) { claims in
                    guard !isByWords else { return nil }
                    let vectors = try await self.embed(claims, until: self.state.end(of: plan.checking), rung: .checkByWords)
                    isByWords = vectors == nil
                    return vectors
                }
            },
            verify: { citations in
                let checking = self.state.time.now
                defer { self.state.record(.check, since: checking) }
                return try await self.verifiedFlags(citations, plan.quotes)
            },
            send: { text in
                if self.state.timings[.firstToken] == nil { self.state.timings[.firstToken] = begin.duration(to: self.state.time.now) }
                self.send(text)
            })
    }

    /// Ends an answer that was sent in checked sentences. True when it is out; false when the next rung must take over, which it may while nothing was sent.
    func conclude(
        _ delivery: CheckedDelivery, _ run: GenerationRun, _ named: AnswerEngine.NamedGenerator, _ question: String, _ evidence: Evidence,
        _ plan: AnswerPlan.Answer
    ) async throws -> Bool {
        var text = run.text
        var isCut = false
        if case .stop = run.end {} else { isCut = true }
        if isCut {
            guard let whole = Self.wholeSentences(text) ?? (delivery.hasSent ? text : nil) else {
                return reject(named.name, .generatorFailed, run.end.reason ?? "no whole sentence", text)
            }
            text = whole
            if let why = run.end.reason { state.ladder.take(.generationCut, "\(named.name): \(why)") }
        }
        if !delivery.hasSent, Self.isRefusal(text) {
            finishRefused(question, confidence: evidence.confidence, generator: named.generator.name, usage: run.usage)
            return true
        }
        switch try await delivery.finish(isCut: isCut) {
        case .rejected(let objection): return reject(named.name, .answerUnsupported, objection, text)
        case .answer(let answer, let isWhole):
            if !isWhole { state.ladder.take(.generationCut, "\(named.name): its sources do not say the rest") }
            finish(
                AnswerResponse(
                    answer: answer, refused: false,
                    confidence: max(evidence.confidence, engine.options.refuseBelow * delivery.supportedShare),
                    citations: await onTheirPages(delivery.citations, plan.pages), generator: named.generator.name,
                    degradation: state.ladder.steps, timings: [:], question: question, usage: run.usage))
            return true
        }
    }
}
