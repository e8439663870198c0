import Documents
import Retrieval
import TestSupport
import Testing

@testable import Answering

@Suite struct `Passage selection` {
    private func result(_ document: Int, _ text: String, _ range: Range<Int>, chunk: Int64 = 0, page: Int? = nil) -> SearchResult {
        SearchResult(
            documentID: DocumentID(rawValue: "doc_\(document)"), chunkID: ChunkID(rawValue: chunk), source: "s", title: nil, page: page,
            heading: "",
            span: TextSpan(range), text: String(decoding: Array(text.utf8)[range], as: UTF8.self), score: 1, scores: .init(),
            highlights: [TextSpan(0..<1)], metadata: [:])
    }
    @Test func `overlapping and neighbouring chunks of one document become one source`() async {
        let text = "First sentence. Second sentence.\n\nThird sentence. Fourth sentence."
        let results = [
            result(1, text, 34..<66, chunk: 3, page: 2), result(2, text, 0..<15, chunk: 9), result(1, text, 0..<32, chunk: 1, page: 1),
            result(1, text, 16..<49, chunk: 2, page: 1),
        ]
        let sources = await PassageSelection.choose(results) { _, span in String(decoding: Array(text.utf8)[span.range], as: UTF8.self) }
        #expect(sources.count == 2)
        #expect(sources[0].passage.text == text)
        #expect(sources[0].passage.chunkID == ChunkID(rawValue: 3))
        #expect(sources[0].passage.highlights == [TextSpan(34..<35)])
        #expect(sources.map(\.marker) == [1, 2])
        // A quote names the chunk and the page it lies on.
        #expect(sources[0].citation(50..<66).chunkID == ChunkID(rawValue: 3))
        #expect(sources[0].citation(50..<66).page == 2)
        #expect(sources[0].citation(0..<15).chunkID == ChunkID(rawValue: 1))
    }

    @Test func `neighbours whose gap cannot be read stay apart`() async {
        let text = "First part.\n\nSecond part."
        let sources = await PassageSelection.choose([result(1, text, 0..<11), result(1, text, 13..<25)]) { _, _ in nil }
        #expect(sources.map(\.passage.text) == ["First part.", "Second part."])
    }

    @Test func `the same text counts once, and a chunk inside of another is not repeated`() async {
        let text = String(repeating: "0123456789", count: 10)
        let results = [result(1, text, 0..<50), result(2, text, 0..<50), result(1, text, 10..<40), result(3, text, 0..<9)]
        let sources = await PassageSelection.choose(results) { _, _ in nil }
        #expect(sources.map(\.passage.documentID.rawValue) == ["doc_1", "doc_3"])
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `every source equals the document's bytes at its span`(seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        let documents = (0..<3).map { _ in
            (0..<Int.random(in: 20...400, using: &random)).map { _ in ["a", "é", "日", " ", ".", "\n"].randomElement(using: &random)! }
                .joined()
        }
        var results: [SearchResult] = []
        for chunk in 0..<Int.random(in: 1...12, using: &random) {
            let document = Int.random(in: 0..<3, using: &random)
            let characters = Array(documents[document])
            let from = Int.random(in: 0..<characters.count, using: &random)
            let to = Int.random(in: (from + 1)...characters.count, using: &random)
            let start = String(characters[..<from]).utf8.count
            results.append(
                result(document, documents[document], start..<(start + String(characters[from..<to]).utf8.count), chunk: Int64(chunk)))
        }
        let reads = Bool.random(using: &random)
        let sources = await PassageSelection.choose(results) { id, span in
            reads ? String(decoding: Array(documents[Int(id.rawValue.dropFirst(4))!].utf8)[span.range], as: UTF8.self) : nil
        }
        #expect(!sources.isEmpty)
        for source in sources {
            let document = Array(documents[Int(source.passage.documentID.rawValue.dropFirst(4))!].utf8)
            #expect(Array(source.passage.text.utf8) == Array(document[source.passage.span.range]), "seed \(seed)")
            for unit in source.units {
                let citation = source.citation(unit.range)
                #expect(Array(citation.quote.utf8) == Array(document[citation.span.range]), "seed \(seed)")
                #expect(source.members.contains { $0.chunkID == citation.chunkID })
            }
        }
        // Nothing that was found is lost, but for texts that are there already.
        for found in results {
            #expect(
                sources.contains {
                    $0.passage.text.contains(found.text)
                        || $0.passage.documentID == found.documentID && $0.passage.span.start <= found.span.start
                            && found.span.end <= $0.passage.span.end
                }, "seed \(seed)")
        }
        #expect(sources.map(\.marker) == Array(1...sources.count))
    }
}
