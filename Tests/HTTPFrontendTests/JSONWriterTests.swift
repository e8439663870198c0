import Documents
import Execution
import Foundation
import Retrieval
import TestSupport
import Testing

@testable import HTTPFrontend

/// What writes itself is what the encoder would have written, byte for byte.
struct JSONWriterTests {
    private static func written(_ value: some JSONWritable) -> String {
        var json = JSONWriter()
        value.write(to: &json)
        return String(decoding: json.bytes, as: UTF8.self)
    }

    private static let texts = [
        "", "plain", "with \"quotes\" and \\ and / in it", "lines\r\n\tand\u{8}\u{C}", "\u{0}\u{1}\u{1F}\u{7F}\u{80}\u{2028}",
        "Größe 北京 🜁 e\u{301}",
    ]

    private static func result(_ generator: inout SeededGenerator) -> SearchResult {
        func text() -> String { texts.randomElement(using: &generator)! }
        func float() -> Float {
            [0, -0.0, 1, -1, 0.1, 1e-7, 1e20, 3.4e38, 16_777_216, .infinity, -.infinity, .nan, Float.random(in: -1...1, using: &generator)]
                .randomElement(using: &generator)!
        }
        func maybe<T>(_ value: T) -> T? { Bool.random(using: &generator) ? value : nil }
        var metadata: Metadata = [:]
        for key in ["a", "B", "a10", "a2", "ä", "a\"b", ""] where Bool.random(using: &generator) {
            metadata[key] = [
                .string(text()), .number(2), .number(0.1), .number(1e300), .bool(true), .bool(false), .strings([text(), text()]),
                .strings([]),
                .numbers([1, 2.5]), .null,
            ].randomElement(using: &generator)!
        }
        func span() -> TextSpan {
            TextSpan(start: Int.random(in: 0..<100, using: &generator), end: .random(in: 100..<10_000, using: &generator))
        }
        return SearchResult(
            documentID: DocumentID(rawValue: "doc_\(text())"), chunkID: ChunkID(rawValue: .random(in: 0...Int64.max, using: &generator)),
            source: text(), title: maybe(text()), page: maybe(3), lastPage: maybe(4), heading: text(), span: span(), text: text(),
            score: float(),
            scores: PassageScores(bm25: maybe(float()), vector: maybe(float()), rerank: maybe(float())),
            highlights: (0..<Int.random(in: 0..<4, using: &generator)).map { _ in span() }, metadata: metadata, version: 7,
            contentHash: "ab",
            alsoIn: maybe([
                DuplicatePassage(
                    documentID: DocumentID(rawValue: "d"), chunkID: ChunkID(rawValue: 5), source: text(), title: maybe(text()),
                    page: maybe(1))
            ]))
    }

    @Test func `results are written as the encoder writes them`() {
        var generator = SeededGenerator(seed: 10)
        for _ in 0..<200 {
            let results = (0..<Int.random(in: 0..<5, using: &generator)).map { _ in Self.result(&generator) }
            let response = SearchResponseBody(
                SearchResponse(
                    results: results, timings: [.embed: .microseconds(1234), .total: .milliseconds(20), .text: .nanoseconds(3)],
                    mode: .hybrid,
                    collection: Self.texts.randomElement(using: &generator)!, degradation: [Degradation(.vectorSkipped, "deadline")]))
            #expect(Self.written(response) == JSON.string(response))
        }
    }

    @Test func `whole numbers of every size`() {
        for number in [0, 1, -1, 10, -10, 99, 100, .max, .min] {
            var json = JSONWriter()
            json.number(number)
            #expect(String(decoding: json.bytes, as: UTF8.self) == "\(number)")
        }
    }
}
