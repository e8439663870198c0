// The life of a question:
//
//     validate -> plan -> rewrite a follow-up -> search -> choose sources -> score sentences, confidence -> refuse?
//              -> generate, streaming -> check citations -> verify quotes against the store -> timings -> done
//
// The ladder. Each step down is named in `degradation`; the last two need nothing but the passages.
//
//     rewritten question -> question with words of earlier turns -> question as asked
//     embedded sentences -> words alone
//     the generator asked for -> the others, in order -> extractive -> "I don't have enough information"
//
// A step down is taken on an error, on an open circuit, when the remaining time would not do, and when an answer is not supported by its
// sources. Every wait has a limit that does not rely on the other side's goodwill (`TimeLimit`), so an answer comes by its deadline.

package import Documents
package import Execution
package import Inference
package import Logging
import Metrics
package import Retrieval

/// Makes grounded, cited answers from a search, sentence evidence, and any number of language models, from none upwards.
package final class AnswerEngine: AnswerMaking {
    /// The name of the built-in generator that quotes and needs no model.
    package static let extractiveName = "extractive"

    struct NamedGenerator: Sendable {
        var name: String
        var generator: any Generator
        var speed = SpeedEstimate()
    }

    let searching: any Searching
    let statistics: any TermStatistics
    let spans: any SpanReading
    let embedders: EmbedderShelf
    let generators: [NamedGenerator]
    let options: AnswerOptions
    let time: any TimeSource
    let logger: Logger
    /// Of sentences that were embedded lately: passages come back from question to question.
    let cache: VectorCache<SentenceKey>
    /// One per thing that can hang, so that one that does leaves the others their room.
    let searchLimit: TimeLimit
    let embedLimit: TimeLimit
    let spanLimit: TimeLimit
    let generateLimits: [TimeLimit]

    /// - Parameters:
    ///   - spans: Reads stored text, to verify quotes.
    ///   - embedders: The search's models; without any, sentences are judged by their words alone.
    ///   - generators: Language models by the names that requests use, in fallback order. `extractive` is always there and comes last.
    ///   - time: By what deadlines are kept.
    /// - Precondition: Names are distinct, and none is `extractive`.
    package init(
        searching: any Searching, statistics: any TermStatistics, spans: any SpanReading, embedders: EmbedderShelf,
        generators: [(name: String, generator: any Generator)] = [], options: AnswerOptions = AnswerOptions(),
        time: any TimeSource = .machine, logger: Logger = Logger(label: "outrider.answering")
    ) {
        let names = generators.map(\.name) + [Self.extractiveName]
        precondition(Set(names).count == names.count, "generator names are not distinct: \(names)")
        precondition(
            options.defaultGenerator.map(names.contains) ?? true,
            "the default generator '\(options.defaultGenerator ?? "")' is none of \(names)")
        self.searching = searching
        self.statistics = statistics
        self.spans = spans
        self.embedders = embedders
        self.generators = generators.map { NamedGenerator(name: $0.name, generator: $0.generator) }
        self.options = options
        self.time = time
        self.logger = logger
        cache = VectorCache(sizeMax: options.sentenceVectorSizeMax)
        searchLimit = TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time)
        embedLimit = TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time)
        spanLimit = TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time)
        generateLimits = generators.map { _ in TimeLimit(abandonedCountMax: options.abandonedCountMax, time: time) }
    }

    package var generatorNames: [String] {
        let names = generators.map(\.name) + [Self.extractiveName]
        guard let first = options.defaultGenerator else { return names }
        return [first] + names.filter { $0 != first }
    }

    package func answer(_ request: AnswerRequest, scope: RequestScope) -> AsyncThrowingStream<AnswerEvent, any Error> {
        // The number of events is bounded by `tokenCountMax`, so the buffer is too.
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: AnswerEvent.self)
        // The stream outlives this call, so its work needs a task of its own; the end of the iteration cancels it.
        let task = Task {
            do {
                try await AnswerRun(self, request, scope) { continuation.yield($0) }.run()
                continuation.finish()
            } catch {
                (error is CancellationError ? AnswerOutcome.cancelled : .error).count()
                continuation.finish(throwing: Self.wrapped(error))
            }
        }
        continuation.onTermination = { if case .cancelled = $0 { task.cancel() } }
        return stream
    }

    /// Frontends see `AnsweringError` and `CancellationError`.
    private static func wrapped(_ error: any Error) -> any Error {
        switch error {
        case is CancellationError, is AnsweringError: error
        case let error as RetrievalError: AnsweringError.retrieval(error)
        default: AnsweringError.failed("the answer could not be made: \(error)")
        }
    }

    func index(ofGenerator name: String) -> Int? { generators.firstIndex { $0.name == name } }

    /// Language models for a request, the first one first; empty when it is answered by quoting.
    func order(for request: AnswerRequest) -> [Int] {
        let wanted = request.generator ?? generatorNames[0]
        guard let first = generators.firstIndex(where: { $0.name == wanted }) else { return [] }
        return [first] + generators.indices.filter { $0 != first }
    }
}

extension AnswerOutcome {
    func count() { Counter(label: "outrider_answers_total", dimensions: [("outcome", rawValue)]).increment() }
}

/// By what the vector of a sentence is remembered.
struct SentenceKey: Hashable, Sendable {
    var model: String
    var text: String
}
