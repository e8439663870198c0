import Execution
import Inference
import Logging
import Retrieval

@testable import Answering

extension AnswerEngine {
    /// An engine of one embedding model, or of none.
    convenience init(
        searching: any Searching, statistics: any TermStatistics, spans: any SpanReading, embedder: (any Embedder)?,
        generators: [(name: String, generator: any Generator)] = [], options: AnswerOptions = AnswerOptions(),
        time: any TimeSource = .machine, logger: Logger = Logger(label: "outrider.answering")
    ) {
        self.init(
            searching: searching, statistics: statistics, spans: spans, embedders: EmbedderShelf(standard: embedder),
            generators: generators, options: options, time: time, logger: logger)
    }
}
