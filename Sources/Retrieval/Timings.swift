import Execution
import Metrics

/// A stage of a search or an answer, in the order in which they come. The raw value is its name on the wire and in metrics.
package enum Stage: String, Sendable, CaseIterable {
    case rewrite
    /// Asking a model for a passage to search, for sub-questions, for what is missing.
    case hypothesize, decompose, hop
    // Of a search.
    case filter, embed, text, phrase, vector, fuse, rerank, fetch
    /// The whole search of an answer, or all of them.
    case retrieve
    /// Choosing sources, and writing them into a model's prompt.
    case prompt
    /// Judging sentences.
    case score
    /// Until the answer's first text.
    case firstToken = "first_token"
    case generate, check
    /// From the request to its end.
    case total
}

/// How long each stage of one request took.
package struct Timings: Sendable, Equatable {
    private var durations: [Stage: Duration] = [:]

    package init() {}

    package subscript(stage: Stage) -> Duration? {
        get { durations[stage] }
        set { durations[stage] = newValue }
    }

    /// The time of a stage that may come several times.
    package mutating func add(_ duration: Duration, to stage: Stage) { durations[stage, default: .zero] += duration }

    /// Adds the stages of one part among several, except the part's total.
    package mutating func addStages(of part: Timings) {
        for (stage, duration) in part.durations where stage != .total { add(duration, to: stage) }
    }

    /// What was measured, in the order of the stages.
    package var stages: [(stage: Stage, duration: Duration)] { Stage.allCases.compactMap { stage in durations[stage].map { (stage, $0) } } }

    /// Milliseconds by the names of the stages, to the microsecond.
    package var milliseconds: [String: Double] {
        Dictionary(uniqueKeysWithValues: stages.map { ($0.stage.rawValue, ($0.duration.inMilliseconds * 1000).rounded() / 1000) })
    }
}

extension Timings: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (Stage, Duration)...) { durations = Dictionary(uniqueKeysWithValues: elements) }
}
