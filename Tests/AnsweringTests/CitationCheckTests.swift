import Testing

@testable import Answering

@Suite struct `Citation check` {
    @Test func `markers are read in every common form and belong to their sentence`() {
        let claims = CitationCheck.claims(
            "Paris is the capital [1]. It is big.[2][3] It has 2 million people [1, 4] and trams. [9] [0]", sourceCount: 4)
        #expect(claims.map(\.text) == ["Paris is the capital.", "It is big.", "It has 2 million people and trams."])
        #expect(claims.map(\.markers) == [[1], [2, 3], [1, 4]])
        #expect(CitationCheck.claims("See [source 2] for it.", sourceCount: 2).map(\.markers) == [[2]])
        // Brackets that are no markers stay text.
        #expect(CitationCheck.claims("An array [x] and [sic].", sourceCount: 2).map(\.text) == ["An array [x] and [sic]."])
        #expect(CitationCheck.claims("", sourceCount: 2).isEmpty)
    }

    private let sources = [
        Source(1, "The Eiffel Tower was completed in 1889. It is 330 metres tall.", title: "Eiffel Tower"),
        Source(2, "The Louvre is a museum in Paris. It opened in 1793 with 537 paintings.", title: "Louvre"),
    ]

    private func check(_ answer: String) async throws -> CitationCheck.Outcome {
        let statistics = SimpleStatistics(sources.map(\.passage.text) + ["Something else entirely.", "Cats sleep."])
        let analysis = QuestionAnalysis("When was the Eiffel Tower completed?", collection: "", statistics: statistics)
        let evidence = try await Evidence.gather(
            analysis, sources: sources, collection: "", statistics: statistics, embedding: .best(0), embeddingModel: nil,
            embed: { _ in nil })
        return try await CitationCheck.check(
            answer, evidence: evidence, sourceCount: 2, collection: "", statistics: statistics, embed: { _ in nil })
    }

    @Test func `a supported marker stays and quotes the sentence that supports it`() async throws {
        let outcome = try await check("The Eiffel Tower was completed in 1889 [1].")
        #expect(outcome.answer == "The Eiffel Tower was completed in 1889. [1]")
        #expect(outcome.quotes.map { sources[$0.source].text($0.range) } == ["The Eiffel Tower was completed in 1889."])
        #expect(outcome.supportedShare == 1)
    }

    @Test(arguments: [
        "The Eiffel Tower was completed in 1890 [1].", "Gustave Eiffel and Maurice Koechlin completed the tower [1].",
        "Bananas grow in warm countries [2].",
        "The Louvre opened with 538 paintings [2].",
    ])
    func `a marker without support is removed`(answer: String) async throws {
        let outcome = try await check(answer)
        #expect(!outcome.answer.contains("["), "\(outcome.answer)")
        #expect(outcome.quotes.isEmpty)
        #expect(outcome.supportedShare == 0)
    }

    @Test func `a wrong number is replaced by the source that supports the sentence`() async throws {
        let outcome = try await check(
            "The Louvre museum in Paris opened in 1793 with 537 paintings [1]. The Eiffel Tower was completed in 1889.")
        #expect(
            outcome.answer
                == "The Louvre museum in Paris opened in 1793 with 537 paintings. [2] The Eiffel Tower was completed in 1889. [1]")
        #expect(sources[1].text(outcome.quotes[0].range).contains("537 paintings"))
    }
}
