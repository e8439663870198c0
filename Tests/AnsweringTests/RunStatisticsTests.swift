import Logging
import Retrieval
import Synchronization
import TestSupport
import Testing

@testable import Answering

/// Counts what is asked for.
private final class CountedStatistics: TermStatistics {
    let base: any TermStatistics
    let texts = Mutex<[String: Int]>([:])
    let rarities = Mutex<[String: Int]>([:])

    init(_ base: any TermStatistics) { self.base = base }

    func terms(of text: String, in collection: String) -> [String] {
        texts.withLock { $0[text, default: 0] += 1 }
        return base.terms(of: text, in: collection)
    }

    func inverseDocumentFrequency(of term: String, in collection: String) -> Float {
        rarities.withLock { $0[term, default: 0] += 1 }
        return base.inverseDocumentFrequency(of: term, in: collection)
    }
}

struct RunStatisticsTests {
    private let documents: [(title: String, text: String)] = [
        ("Towers", "The Eiffel Tower is 330 metres tall. It was finished in 1889. It stands in Paris."),
        ("Whales", "Sperm whales dive deep. They can hold their breath for ninety minutes."),
        ("Trains", "The first railway in Japan opened in 1872. It linked Tokyo and Yokohama."),
    ]

    @Test(arguments: [nil, "The Eiffel Tower is 330 metres tall [1]."])
    func `one answer has each text analysed once, and each term weighed once`(generated: String?) async throws {
        let collection = MemoryCollection(documents)
        let counted = CountedStatistics(collection)
        let engine = AnswerEngine(
            searching: collection, statistics: counted, spans: collection, embedder: nil,
            generators: generated.map { [("model", ScriptedGenerator([.text($0)]))] } ?? [],
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        let outcome = try await ask(engine, AnswerRequest(question: "How tall is the Eiffel Tower?"))
        #expect(outcome.response.answer.contains("330"))
        #expect(counted.texts.withLock { $0.filter { $0.value > 1 } } == [:])
        #expect(counted.rarities.withLock { $0.filter { $0.value > 1 } } == [:])
        #expect(counted.texts.withLock { $0.count } > 3)
        // The next answer asks anew: the collection may have changed.
        _ = try await ask(engine, AnswerRequest(question: "How tall is the Eiffel Tower?"))
        #expect(counted.texts.withLock { $0.values.max() } == 2)
    }
}
