import Documents
import Foundation
import Inference
import Testing

@testable import Retrieval

/// Quoted phrases, from the request to the results.
struct PhraseTests {
    private func library() async throws -> Library {
        try await Library([
            "order": "The byte order of a file", "mark": "A mark for the byte order, the byte order mark",
            "apart": "Order byte, byte byte order? No: order the byte", "none": "Some bytes are in another order",
            "title": "Byte order|What comes first in a number", "other": "Nothing about it",
        ])
    }

    @Test(arguments: [SearchMode.text, .hybrid])
    func `a quoted phrase is in every result, in this order of words`(mode: SearchMode) async throws {
        let response = try await library().retriever().search(SearchRequest(query: "\"byte order mark\"", mode: mode))
        #expect(response.sources == ["mark"])
        #expect(response.degradation.isEmpty)
        let two = try await library().retriever().search(SearchRequest(query: "\"byte order\"", mode: mode))
        #expect(Set(two.sources) == ["order", "mark", "apart", "title"])
        #expect(two.timings[.phrase] != nil)
        let both = try await library().retriever().search(SearchRequest(query: "what is \"byte order\" of a \"file\"", mode: mode))
        #expect(both.sources == ["order"])
    }

    @Test func `words without quotes are as before`() async throws {
        let response = try await library().retriever().search(SearchRequest(query: "byte order mark", mode: .text))
        #expect(Set(response.sources) == ["order", "mark", "apart", "none", "title"])
        #expect(response.timings[.phrase] == nil)
    }

    @Test(arguments: ["\"order byte order\"", "\"byte flower\""])
    func `a phrase that is nowhere is relaxed and the answer says so`(query: String) async throws {
        let response = try await library().retriever().search(SearchRequest(query: query, mode: .text))
        #expect(!response.sources.isEmpty)
        #expect(response.told == ["phrase_relaxed: no passage has the words in quotes in this order"])
    }

    /// Three hundred rows have the words and score better than the few that have the phrase.
    @Test func `rows with the phrase are found below many that only have its words`() async throws {
        let library = try await Library([:])
        for number in 0..<300 { try await library.put("decoy\(number)", "storm red") }
        let filler = String(repeating: "and a long text about other things ", count: 5)
        for number in 0..<12 { try await library.put("hit\(number)", "red storm " + filler) }
        // All twelve are the same text, which would come once.
        let request = SearchRequest(query: "\"red storm\"", mode: .text, k: 10, collapseDuplicates: false)
        let found = try await library.retriever().search(request)
        #expect(found.results.count == 10)
        #expect(found.sources.allSatisfy { $0.hasPrefix("hit") })
        #expect(found.degradation.isEmpty)
        // With a bound that ends the search among the decoys, the phrase counts as not found.
        var options = RetrieverOptions()
        options.phraseCandidatesMax = 100
        let bounded = try await library.retriever(options: options).search(request)
        #expect(bounded.results.count == 10)
        #expect(bounded.degradation.count == 1)
    }

    @Test func `a filter holds for phrases too`() async throws {
        let library = try await library()
        try await library.put("marked", "The byte order of a marked one", metadata: ["kind": .string("marked")])
        var request = SearchRequest(query: "\"byte order\"", mode: .text)
        request.filter = .eq("kind", .string("marked"))
        #expect(try await library.retriever().search(request).sources == ["marked"])
    }

    @Test func `highlights are byte ranges of the passage's words that match`() async throws {
        let library = try await Library(["a": "Größe: bytes, in ordered files"])
        let result = try #require(try await library.retriever().search(SearchRequest(query: "byte order", mode: .text)).results.first)
        let bytes = Array(result.text.utf8)
        #expect(result.highlights.map { String(decoding: bytes[$0.range], as: UTF8.self) } == ["bytes", "ordered"])
        let plain = try await library.retriever().search(SearchRequest(query: "byte order", mode: .text, highlight: false))
        #expect(plain.results.first?.highlights.isEmpty == true)
    }
}
