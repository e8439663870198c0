import Inference
import Testing

@testable import Answering

@Suite struct `Extractive answer` {
    private func evidence(_ question: String, _ sources: [Source], background: [String] = []) async throws -> Evidence {
        let statistics = SimpleStatistics(
            sources.map { ($0.passage.title ?? "") + "\n" + $0.passage.text } + background + ["cats sleep", "rain falls", "bread is baked"])
        return try await Evidence.gather(
            QuestionAnalysis(question, collection: "", statistics: statistics), sources: sources, collection: "", statistics: statistics,
            embedding: .best(0),
            embeddingModel: nil, embed: { _ in nil })
    }

    private let tower = Source(
        1,
        "The Eiffel Tower is a wrought-iron lattice tower in Paris. Locally nicknamed \"La dame de fer\", it was constructed as the centrepiece of the 1889 World's Fair. "
            + "The tower is 330 metres tall. It was designed by the engineers Maurice Koechlin and Émile Nouguier. Bread is sold nearby.",
        title: "Eiffel Tower", start: 1000)

    @Test(arguments: [
        ("How tall is the Eiffel Tower?", "The tower is 330 metres tall."),
        ("Who designed the Eiffel Tower?", "Maurice Koechlin and Émile Nouguier"),
        ("what kind of tower is the eiffel tower", "wrought-iron lattice tower"),
    ])
    func `the sentence that answers is quoted`(question: String, expected: String) async throws {
        let evidence = try await evidence(question, [tower])
        let text = ExtractiveAnswer(evidence).pieces(evidence.sources).joined()
        #expect(text.contains(expected), "\(text)")
        #expect(text.contains("[1]"))
        #expect(!text.contains("Bread is sold"))
    }

    @Test func `every quote is the stored text at its span`() async throws {
        let evidence = try await evidence("Who designed the Eiffel Tower?", [tower])
        let answer = ExtractiveAnswer(evidence)
        #expect(!answer.quotes.isEmpty)
        for quote in answer.quotes {
            let citation = evidence.sources[quote.source].citation(quote.range)
            let bytes = Array(tower.passage.text.utf8)[(citation.span.start - 1000)..<(citation.span.end - 1000)]
            #expect(Array(citation.quote.utf8) == Array(bytes))
            #expect(citation.span.start >= 1000)
        }
    }

    @Test func `the same sentence from two sources is quoted once`() async throws {
        let sources = [
            Source(1, "The tower is 330 metres tall."), Source(2, "Today the tower is 330 metres tall."),
            Source(3, "Rain falls on the tower."),
        ]
        let evidence = try await evidence("How tall is the tower?", sources)
        let text = ExtractiveAnswer(evidence).pieces(evidence.sources).joined()
        #expect(text.ranges(of: "330").count == 1, "\(text)")
    }

    @Test func `a sentence that opens with a pronoun brings the one before`() async throws {
        let source = Source(1, "Marie Curie was a physicist. She discovered polonium and radium in 1898. Bread is baked daily.")
        let evidence = try await evidence("When were polonium and radium discovered?", [source])
        let answer = ExtractiveAnswer(evidence)
        #expect(answer.pieces([source]).joined() == "Marie Curie was a physicist. She discovered polonium and radium in 1898. [1]")
        #expect(answer.quotes.count == 1, "neighbours are one quote")
    }

    @Test func `a question in a source is not the answer to it`() async throws {
        let source = Source(1, "How tall is the Eiffel Tower? With its antenna it reaches 330 metres. Bread is baked daily.")
        let evidence = try await evidence("How tall is the Eiffel Tower?", [source])
        #expect(source.text(source.units[evidence.units[0].unit].range) == "With its antenna it reaches 330 metres.")
    }

    @Test func `a row is told in words, with its header`() async throws {
        let source = Source(1, "| Year | Net sales |\n|---|---|\n| 2021 | 365 |\n| 2022 | 394 |\n| 2023 | 383 |")
        let evidence = try await evidence("net sales in 2022", [source])
        let text = ExtractiveAnswer(evidence, limits: .init(unitCount: 1)).pieces([source]).joined()
        #expect(text == "Year: 2022; Net sales: 394 [1]")
    }

    @Test func `an answer keeps to its limits`() async throws {
        let long = (0..<40).map { "The tower has a part number \($0) that is described in this sentence at some length." }.joined(
            separator: " ")
        let evidence = try await evidence("What parts does the tower have?", [Source(1, long)])
        let answer = ExtractiveAnswer(evidence)
        #expect(answer.quotes.reduce(0) { $0 + $1.range.count } <= 900)
        let units = evidence.sources[0].units.count { unit in answer.quotes.contains { $0.range.contains(unit.range.lowerBound) } }
        #expect((1...3).contains(units))
    }

    @Test func `nothing to quote is an empty answer without confidence`() async throws {
        let evidence = try await evidence("What?", [])
        #expect(ExtractiveAnswer(evidence).quotes.isEmpty)
        #expect(evidence.confidence == 0)
    }

    @Test func `confidence is higher where the answer is`() async throws {
        let background = ["The tower stands in Paris.", "Polonium is a metal.", "Whales are mammals and live in the sea."]
        let there = try await evidence("How tall is the Eiffel Tower?", [tower], background: background)
        let notThere = try await evidence("How deep does a sperm whale dive?", [tower], background: background)
        #expect(there.confidence > notThere.confidence + 0.3)
    }
}

@Suite struct `Question analysis` {
    @Test(arguments: [
        ("Who acquired Instagram?", QuestionAnalysis.Expected.person), ("when did the titanic sink", .time),
        ("In what year did it open?", .time),
        ("Where is the Louvre?", .place), ("which city hosted the games", .place), ("How many points did they score?", .number),
        ("What percentage voted?", .number),
        ("Why is the sky blue?", .reason), ("How do I install it?", .manner), ("What is a monad?", .definition),
        ("Wie viele Punkte waren es?", .number),
        ("Wann wurde es gebaut?", .time), ("¿Dónde está el museo?", .place), ("¿Cuántos puntos hubo?", .number), ("谁赢了比赛？", .person),
        ("有多少分？", .number),
        ("Compare both offers", .other),
    ])
    func `the kind of answer is read off the question`(question: String, expected: QuestionAnalysis.Expected) {
        #expect(QuestionAnalysis(question, collection: "", statistics: SimpleStatistics()).expected == expected)
    }

    @Test func `names and numbers are anchors, question words are not terms`() {
        let analysis = QuestionAnalysis(
            "How many points did Jared Allen score in 2015?", collection: "", statistics: SimpleStatistics(["a"]))
        #expect(analysis.anchors == ["jar", "allen", "2015"] || analysis.anchors == ["jared", "allen", "2015"])
        #expect(!analysis.terms.contains { ["how", "many", "did"].contains($0.text) })
        #expect(analysis.numbers == ["2015"])
    }
}
