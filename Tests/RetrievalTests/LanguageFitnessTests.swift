import Documents
import Foundation
import Inference
import Logging
import Retrieval
import Storage
import TestSupport
import Testing
import TextSearch

@testable import Retrieval

/// Knows English as far as it is written in ASCII, and gives other texts vectors that mean nothing: each the same one.
private struct EnglishEmbedder: Embedder {
    struct EnglishTokenizer: Tokenizer {
        func count(_ text: String) -> Int { WordTokenizer().count(text) }
        func prefixLength(_ text: String, limit: Int) -> Int { WordTokenizer().prefixLength(text, limit: limit) }
        func fitness(of text: String) -> Float { text.utf8.allSatisfy { $0 < 0x80 } ? 1 : 0 }
    }
    let base = Library.embedder
    var model: EmbeddingModel { base.model }
    var tokenizer: any Tokenizer { EnglishTokenizer() }
    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        try await base.embed(texts.map { tokenizer.fitness(of: $0) == 0 ? "nothing" : $0 }, for: purpose)
    }
}

struct LanguageFitnessTests {
    private static let texts: KeyValuePairs<String, String> = [
        "en1": "The harbour is closed in winter and the boats are in the shed.",
        "en2": "The cranes of the harbour were painted in the spring of that year.",
        "ru1": "Гавань закрыта зимой, и лодки стоят в сарае.",
        "ru2": "Краны гавани были покрашены весной.",
        "ru3": "Склад открыт летом.",
    ]

    @Test func `where the model knows nothing of the language, words alone decide`() async throws {
        let library = try await Library(Self.texts)
        let known = library.retriever(embedder: EnglishEmbedder())
        for query in ["когда закрыта гавань", "краны весной"] {
            let text = try await known.search(SearchRequest(query: query, mode: .text))
            let hybrid = try await known.search(SearchRequest(query: query, mode: .hybrid))
            #expect(hybrid.sources.prefix(text.sources.count) == text.sources[...])
            #expect(hybrid.results.first?.score == 1)
        }
    }

    @Test func `where it knows the language, its vectors weigh as they are set to`() async throws {
        let library = try await Library(Self.texts)
        let hits = try await library.retriever(embedder: EnglishEmbedder()).search(SearchRequest(query: "when is the harbour closed"))
        let set = try await library.retriever(embedder: EnglishEmbedder())
            .search(SearchRequest(query: "when is the harbour closed", vectorWeight: 0.75))
        #expect(hits.results.prefix(2).map(\.score) == set.results.prefix(2).map(\.score))
        #expect(hits.sources.prefix(2) == ["en1", "en2"])
    }

    @Test func `a weight in the request holds for every language`() async throws {
        let library = try await Library(Self.texts)
        let retriever = library.retriever(embedder: EnglishEmbedder())
        let all = try await retriever.search(SearchRequest(query: "краны весной", vectorWeight: 1))
        let vectors = try await retriever.search(SearchRequest(query: "краны весной", mode: .vector))
        #expect(all.results.first?.scores.vector == vectors.results.first?.scores.vector)
    }

    @Test func `a passage in no language that can be told is trusted as the collection's commonest`() throws {
        struct Plain: Tokenizer {
            func count(_ text: String) -> Int { 1 }
            func prefixLength(_ text: String, limit: Int) -> Int { 0 }
            func fitness(of text: String) -> Float { text == "known" ? 1 : 0.25 }
        }
        func table(_ counts: [Language: Int]) -> LanguageFitness {
            LanguageFitness(counts, tokenizer: Plain()) { $0 == .english ? ["known"] : ["other", "other"] }
        }
        #expect(table([.english: 9, .german: 3, .unknown: 5]).fitness(of: .unknown) == 1)
        #expect(table([.english: 3, .german: 9]).fitness(of: nil) == 0.25)
        #expect(table([.unknown: 4]).fitness(of: .unknown) == 0.25)
        #expect(table([:]).fitness(of: .unknown) == 1)
        #expect(table([.english: 9, .german: 3]).fitness(of: .german) == 0.25)
        #expect(table([.english: 9]).serves([.english: 18]) && !table([.english: 9]).serves([.english: 19, .german: 1]))
        #expect(!table([.english: 9]).serves([.english: 200]))
    }

    @Test func `a row with the rare words of a question is not outvoted by vectors`() async throws {
        var texts: [(String, String)] = (0..<30).map { ("doc\($0)", "Common words about pumps and valves, number \($0) of them.") }
        texts.append(("rare", "The flange has the number QX-4471-B and a long story about other things that nobody asks for at all."))
        texts.append(("word", "Somebody wrote wvuzyxtsrqponmlkjihgfedcba into this note about many other things than that."))
        let library = try await Library([:])
        for (source, text) in texts { try await library.put(source, text) }
        let retriever = library.retriever()
        for (query, source) in [
            ("QX-4471-B", "rare"), ("qx4471b", "rare"), ("which pumps and valves have number QX-4471-B", "rare"),
            ("wvuzyxtsrqponmlkjihgfedcba", "word"), ("pumps and valves wvuzyxtsrqponmlkjihgfedcba", "word"),
        ] {
            let found = try await retriever.search(SearchRequest(query: query, k: 5, vectorWeight: 1))
            #expect(found.sources.first == source, "\(query)")
            #expect(zip(found.results, found.results.dropFirst()).allSatisfy { $0.score >= $1.score })
        }
    }

    @Test(arguments: [
        ("Müller", ["exact", "plain"]), ("Mueller", ["exact", "plain"]), ("Muller", ["plain", "exact"]), ("X-200", ["hyphen", "joined"]),
        ("X200", ["joined", "hyphen"]), ("IT", ["capitals"]),
    ])
    func `the exact spelling comes first`(query: String, sources: [String]) async throws {
        let library = try await Library([
            "plain": "Muller", "exact": "Der Kapitän heißt Müller und wohnt seit einem Jahr nicht mehr in dem alten Haus am Hafen.",
            "hyphen": "Model X-200 is out of stock, and nobody knows when that will change again.", "joined": "X200",
            "capitals": "IT support was given by the band, and a long text follows it here to make it long.", "small": "it is it",
        ])
        let found = try await library.retriever(embedder: nil).search(SearchRequest(query: query, mode: .text))
        #expect(found.sources.prefix(sources.count) == sources[...])
        #expect(zip(found.results, found.results.dropFirst()).allSatisfy { $0.score >= $1.score })
    }

    @Test(arguments: [
        ("Müller", "Herr Müller kam", 3), ("Müller", "HERR MÜLLER KAM", 2), ("Müller", "Mueller", 1), ("Müller", "Muller", 0),
        ("Müller", "Müllerei", 0), ("IT", "it is", 2), ("IT", "The IT team", 3), ("12 V", "at 12 V.", 3), ("12 V", "at 12V.", 0),
    ])
    func `how alike a spelling is`(query: String, text: String, likeness: Int) {
        #expect(SpelledTerms(query)?.likeness(text) == likeness)
    }

    @Test(arguments: ["how are cranes painted", "two words", "", "  "])
    func `a sentence has no spelling to be alike`(query: String) { #expect(SpelledTerms(query) == nil) }
}
