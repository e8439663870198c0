import Foundation
import Inference
import Retrieval
import TestSupport
import Testing

@testable import Answering

@Suite struct `Sentences that are embedded` {
    // MARK: - Which unit comes next

    private func source(_ marker: Int, cosine: Float?) -> Source {
        var source = Source(marker, "One sentence. Another one.")
        source.passage.scores = PassageScores(bm25: nil, vector: cosine)
        return source
    }

    /// A unit by its own coverage of the question, in a source of a cosine.
    private func unit(_ source: Int, _ unit: Int, coverage: Float, cosine: Float) -> ScoredUnit {
        var features = [Float](repeating: 0, count: UnitModel.names.count)
        features[UnitModel.coverageIndex] = coverage
        features[2] = coverage
        features[3] = 1
        features[4] = cosine
        features[5] = 1 / Float(1 + source)
        features[13] = 1 / Float(1 + source)
        return ScoredUnit(source: source, unit: unit, features: features, score: 0, vector: [], terms: [])
    }

    private func play(
        _ units: [ScoredUnit], _ sources: [Source], cosines: [Float], confidence: Float
    ) throws -> (order: [Int], scores: [Float]) {
        var needed = try #require(NeededUnits(units, sources: sources))
        var order: [Int] = []
        let directness = [Float](repeating: 0, count: units.count)
        while let next = needed.next(directness, confidence: order.isEmpty ? nil : confidence) {
            needed.set(cosines[next], of: next)
            order.append(next)
        }
        return (order, units.indices.map { needed.score($0) })
    }

    /// What is quoted of scores: at most three, none below a share of the best.
    private func picked(_ scores: [Float]) -> Set<Int> {
        let limits = ExtractiveAnswer.Limits()
        let order = scores.indices.sorted { (scores[$0], -$0) > (scores[$1], -$1) }
        return Set(order.prefix(limits.unitCount).filter { scores[$0] >= limits.scoreShare * scores[order[0]] })
    }

    @Test func `what is quoted is what it would be if all were embedded`() throws {
        var generator = SeededGenerator(seed: 11)
        let rounds = 400
        var same = 0
        var count = 0
        for _ in 0..<rounds {
            let passages = (0..<8).map { _ in Float.random(in: 0.2...0.7, using: &generator) }
            let sources = passages.indices.map { source($0 + 1, cosine: passages[$0]) }
            let units = (0..<40).map { place in
                unit(place / 5, place % 5, coverage: Float.random(in: 0...1, using: &generator), cosine: passages[place / 5])
            }
            // About as far off as in real text: the sum of four numbers within ±0.07 has a standard deviation of 0.08.
            let cosines = units.map { unit in
                UnitModel.expectedCosine(ofPassage: passages[unit.source], coverage: unit.features[UnitModel.coverageIndex])
                    + generator.floats(4, scale: 0.07).reduce(0, +)
            }
            let full = units.indices.map { index in
                var features = units[index].features
                features[UnitModel.cosineIndex] = cosines[index]
                return UnitModel.full.probability(features)
            }
            let (order, scores) = try play(units, sources, cosines: cosines, confidence: 0.9)
            #expect(Set(order).count == order.count)
            for index in order { #expect(abs(scores[index] - full[index]) < 1e-5) }
            if picked(scores) == picked(full) { same += 1 }
            count += order.count
        }
        #expect(Double(same) >= 0.93 * Double(rounds), "\(same) of \(rounds), seed 11")
        #expect(Double(count) <= 8 * Double(rounds), "\(count) units embedded in \(rounds) rounds, seed 11")
    }

    @Test(arguments: [(Float(0.1), [0]), (Float(0.35), [0, 1]), (Float(0.5), [0, 1]), (Float(0.9), [0])] as [(Float, [Int])])
    func `after the first unit only what may still matter is embedded`(confidence: Float, expected: [Int]) throws {
        // One sentence has all of the question's words and the others have none.
        let sources = [source(1, cosine: 0.6), source(2, cosine: 0.2)]
        let units = [unit(0, 0, coverage: 1, cosine: 0.6)] + (0..<5).map { unit(1, $0, coverage: 0, cosine: 0.2) }
        let order = try play(units, sources, cosines: [0.7, 0.1, 0.1, 0.1, 0.1, 0.1], confidence: confidence).order
        #expect(order == expected)
    }

    @Test func `a unit whose range holds the cut is embedded`() throws {
        let sources = [source(1, cosine: 0.5)]
        let alike = (0..<5).map { unit(0, $0, coverage: 0.8, cosine: 0.5) }
        let order = try play(alike, sources, cosines: [0.5, 0.5, 0.5, 0.5, 0.5], confidence: 0.9).order
        #expect(Set(order) == [0, 1, 2, 3, 4], "\(order)")
    }

    @Test func `nothing is expected where no source has a cosine`() {
        #expect(NeededUnits([unit(0, 0, coverage: 1, cosine: 0)], sources: [source(1, cosine: nil)]) == nil)
    }

    // MARK: - In answers

    private let asked = "Which lake does the Kestrel ferry cross?"
    private let model = "all-MiniLM-L6-v2-test"

    /// Some hundreds of passages, so that rarity tells; eight of them speak of the ferry.
    private func documents() -> [(title: String, text: String)] {
        let about = (0..<8).map { index in
            (
                title: "Ferry \(index)",
                text:
                    "The Kestrel ferry number \(index) crosses Lake Orrin. It carries \(20 + index) cars. The ferry leaves at \(index + 8) in the morning. "
                    + "Its crew lives near the lake. Tickets are sold on board."
            )
        }
        return about
            + (0..<400).map { (title: "Note \($0)", text: "Entry \($0) of the register tells of bread, salt and \($0) other goods.") }
    }

    private func engine(
        _ embedder: RecordingEmbedder, memory: Int = 8 << 20, generators: [(name: String, generator: any Generator)] = []
    ) -> AnswerEngine {
        let collection = MemoryCollection(documents(), embedder: HashEmbedder())
        var options = AnswerOptions()
        options.sentenceVectorSizeMax = memory
        return AnswerEngine(
            searching: collection, statistics: collection, spans: collection, embedder: embedder, generators: generators, options: options)
    }

    @Test func `an answer that quotes embeds few sentences, one for a model many`() async throws {
        let quoting = RecordingEmbedder(name: model)
        let response = try await ask(engine(quoting), AnswerRequest(question: asked)).response
        #expect(!response.refused && response.answer.contains("crosses Lake Orrin"), "\(response.answer)")
        let options = AnswerOptions()
        let count = quoting.texts.withLock { $0.count }
        #expect((1...options.neededUnitCountMax).contains(count), "\(count)")

        let asking = RecordingEmbedder(name: model)
        let generator = ScriptedGenerator([.text("The Kestrel ferry crosses Lake Orrin [1].")])
        _ = try await ask(engine(asking, generators: [("model", generator)]), AnswerRequest(question: asked))
        #expect(asking.texts.withLock { $0.count } >= options.embeddedUnitCountMax)
    }

    @Test func `a model whose cosines have another range embeds as many as before`() async throws {
        let embedder = RecordingEmbedder(name: "multilingual-e5-small")
        _ = try await ask(engine(embedder), AnswerRequest(question: asked))
        #expect(embedder.texts.withLock { $0.count } == AnswerOptions().embeddedUnitCountMax)
    }

    @Test func `what is remembered of sentences changes no answer`() async throws {
        let (remembering, forgetting) = (engine(RecordingEmbedder(name: model)), engine(RecordingEmbedder(name: model), memory: 0))
        var answers: [AnswerResponse] = []
        for question in ["When does the Kestrel ferry leave?", asked, "How many cars does the ferry carry?", asked] {
            let (left, right) = (
                try await ask(remembering, AnswerRequest(question: question)).response,
                try await ask(forgetting, AnswerRequest(question: question)).response
            )
            #expect(left.answer == right.answer && left.confidence == right.confidence && left.citations == right.citations, "\(question)")
            answers.append(left)
        }
        #expect(answers[1].answer == answers[3].answer && answers[1].confidence == answers[3].confidence)
    }

    @Test func `an embedder that fails leaves the words`() async throws {
        let collection = MemoryCollection(documents(), embedder: HashEmbedder())
        let statistics = collection.statistics
        let sources = (1...3).map { number in
            var source = Source(number, "The Kestrel ferry crosses Lake Orrin. It carries \(number) cars.", title: "Ferry")
            source.passage.scores = PassageScores(bm25: 1, vector: 0.5)
            return source
        }
        let analysis = QuestionAnalysis(asked, collection: "", statistics: statistics)
        func gather(_ embedding: Evidence.Embedding) async throws -> Evidence {
            try await Evidence.gather(
                analysis, sources: sources, collection: "", statistics: statistics, embedding: embedding, embeddingModel: model,
                embed: { _ in nil })
        }
        let (few, many) = (try await gather(.needed(8, else: 20)), try await gather(.best(20)))
        #expect(few.confidence == many.confidence && few.units.map(\.score) == many.units.map(\.score) && few.questionVector.isEmpty)
    }
}

@Suite struct `Words by the fast way` {
    @Test func `marks of ASCII are those of Unicode`() {
        for value in UInt32(0)..<0x180 {
            let scalar = Unicode.Scalar(value)!
            #expect(Words.isUppercase(scalar) == scalar.properties.isUppercase, "U+\(String(value, radix: 16))")
        }
    }

    @Test(arguments: ["Flight", "X-200", "ZX4471", "Müller", "2025-0418", "thirty_one", "½", "Łódź"])
    func `a word folds to its letters and digits`(text: String) {
        let identifier = Identifier(text: text, kind: .word, isFirst: true, isAdjacent: false)
        let kept = text.lowercased().unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }
        #expect(identifier.folded == String(String.UnicodeScalarView(kept)))
    }
}
