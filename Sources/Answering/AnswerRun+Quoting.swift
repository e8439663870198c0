import Documents
import Execution
import Logging
import Retrieval

extension AnswerRun {
    func quote(_ question: String, _ evidence: Evidence, _ plan: AnswerPlan.Answer) async throws {
        let begin = state.time.now
        let answer = ExtractiveAnswer(evidence)
        state.record(.generate, since: begin)
        let checking = state.time.now
        var checked: [ExtractiveAnswer.Quote] = []
        var citations: [Citation] = []
        // A quote whose document changed meanwhile is left out, text and all.
        let candidates = answer.quotes.map { evidence.sources[$0.source].citation($0.range) }
        let good = try await verifiedFlags(candidates, plan.quotes)
        for (index, quote) in answer.quotes.enumerated() where good[index] {
            checked.append(quote)
            citations.append(candidates[index])
        }
        state.record(.check, since: checking)
        guard !checked.isEmpty else {
            return finishRefused(question, confidence: evidence.confidence, generator: AnswerEngine.extractiveName)
        }
        var text = ""
        for piece in ExtractiveAnswer(quotes: checked).pieces(evidence.sources, question: evidence.analysis) {
            text += piece
            if state.timings[.firstToken] == nil { state.timings[.firstToken] = state.start.duration(to: state.time.now) }
            send(piece)
        }
        finish(
            AnswerResponse(
                answer: text, refused: false, confidence: evidence.confidence, citations: await onTheirPages(citations, plan.pages),
                generator: AnswerEngine.extractiveName,
                degradation: state.ladder.steps, timings: [:], question: question, usage: nil))
    }

    // MARK: - Verification

    /// The citations whose quote equals the stored bytes now, each once.
    func verified(_ citations: [Citation], _ plan: AnswerPlan.Answer) async throws -> [Citation] {
        var unique: [Citation] = []
        for citation in citations where !unique.contains(citation) { unique.append(citation) }
        let good = try await verifiedFlags(unique, plan.quotes)
        return await onTheirPages(zip(unique, good).filter(\.1).map(\.0), plan.pages)
    }

    /// Gives each citation the page of its quote's first byte: a chunk may begin on a page before. Without an answer of the store in time, that of
    /// the chunk stays.
    func onTheirPages(_ citations: [Citation], _ budget: AnswerPlan.Budget) async -> [Citation] {
        let documents = Set(citations.lazy.filter { $0.page != nil }.map(\.documentID))
        guard !documents.isEmpty else { return citations }
        let spans = engine.spans
        let pages = try? await engine.spanLimit.run(until: state.end(of: budget)) {
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

    func verifiedFlags(_ citations: [Citation], _ budget: AnswerPlan.Budget) async throws -> [Bool] {
        let spans = engine.spans
        let limit = state.end(of: budget)
        do {
            let flags = try await engine.spanLimit.run(until: limit) {
                var flags: [Bool] = []
                for citation in citations {
                    flags.append(try await spans.text(of: citation.documentID, span: citation.span) == citation.quote)
                }
                return flags
            }
            let stale = flags.count { !$0 }
            if stale > 0 { state.takeOnce(.citationsDropped, "\(stale) quotes are not what is stored now") }
            return flags
        } catch is CancellationError where Task.isCancelled {
            throw CancellationError()
        } catch {
            state.takeOnce(.citationsDropped, "the store could not be read")
            engine.logger.warning("quotes were not verified", metadata: ["error": "\(error)"])
            return citations.map { _ in false }
        }
    }
}

extension ExtractiveAnswer {
    init(quotes: [Quote]) { self.quotes = quotes }
}
