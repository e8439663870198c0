import Metrics

/// A step down the ladder: what a search or an answer does without when a model, a clock or a source fails it. The raw value is its name on the
/// wire and in `outrider_degraded_total`.
package enum Rung: String, Sendable, CaseIterable {
    // Of a search.
    /// No passage has the quoted words in their order, so the quotes are disregarded.
    case phraseRelaxed = "phrase_relaxed"
    /// There is no vector side: no model, another model, or a broken one.
    case vectorUnavailable = "vector_unavailable"
    /// The question's vector would have come too late.
    case vectorSkipped = "vector_skipped"
    /// Vectors of passages that only words found could not be read, so those passages count as unlike the question.
    case vectorPartial = "vector_partial"
    case rerankUnavailable = "rerank_unavailable"
    case rerankSkipped = "rerank_skipped"
    /// The reranker came to some passages only.
    case rerankPartial = "rerank_partial"

    // Of an answer.
    case deadlineShortened = "deadline_shortened"
    /// A follow-up question was completed by words of earlier turns.
    case rewriteHeuristic = "rewrite_heuristic"
    /// A step of the plan was left out; what it would have added was not searched.
    case planReduced = "plan_reduced"
    /// Neighbouring passages were not joined, since what lies between them could not be read in time.
    case passagesApart = "passages_apart"
    /// Sentences were judged by their words alone.
    case sentencesByWords = "sentences_by_words"
    /// Claims were checked by their words alone.
    case checkByWords = "check_by_words"
    case generatorFailed = "generator_failed"
    /// A model broke off, and its whole sentences are the answer.
    case generationCut = "generation_cut"
    case answerUnsupported = "answer_unsupported"
    /// Quotes are not what is stored now, or could not be compared.
    case citationsDropped = "citations_dropped"
}

/// One step down that was taken, with the reason for people.
package struct Degradation: Sendable, Hashable, CustomStringConvertible {
    package var rung: Rung
    package var reason: String

    package init(_ rung: Rung, _ reason: String) {
        self.rung = rung
        self.reason = reason
    }

    /// `vector_unavailable: no embedding model`, as responses tell it.
    package var description: String { "\(rung.rawValue): \(reason)" }
}

/// The steps down of one request, in order. Each is counted in `outrider_degraded_total` when it is taken, and never again: what another stage hands
/// over has been counted there.
package struct Ladder: Sendable {
    package private(set) var steps: [Degradation] = []

    package init() {}

    /// Takes a step down, and counts it under its rung.
    package mutating func take(_ rung: Rung, _ reason: String) {
        steps.append(Degradation(rung, reason))
        Counter(label: "outrider_degraded_total", dimensions: [("rung", rung.rawValue)]).increment()
    }

    /// Tells steps that another stage has taken and counted; one that is told already is not told twice.
    package mutating func adopt(_ others: [Degradation]) {
        for step in others where !steps.contains(step) { steps.append(step) }
    }
}
