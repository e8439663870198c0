import TestSupport
import Testing

@testable import Inference

struct ShortenedEmbedderTests {
    private let base = HashEmbedder(dimension: 64)

    @Test func `the first coordinates stay in proportion, at length 1`() async throws {
        let texts = ["one red storm", "a white cloud over the hill", "", "storm"]
        let whole = try await base.embed(texts, for: .document)
        let short = try ShortenedEmbedder(base, dimension: 24)
        #expect(short.model == EmbeddingModel(name: "hash-64-first-24", dimension: 24, contextLength: 256))
        let vectors = try await short.embed(texts, for: .query)
        #expect(vectors.count == texts.count * 24)
        for row in texts.indices {
            let (long, part) = (Array(whole[row * 64..<row * 64 + 24]), Array(vectors[row * 24..<(row + 1) * 24]))
            #expect(abs(part.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            let length = long.reduce(0) { $0 + $1 * $1 }.squareRoot()
            if length > 0 { #expect(zip(long, part).allSatisfy { abs($0 / length - $1) < 1e-6 }) }
        }
    }

    @Test func `all coordinates are the model itself`() async throws {
        let same = try ShortenedEmbedder(base, dimension: 64)
        #expect(same.model == base.model)
        let expected = try await base.embed(["storm"], for: .document)
        #expect(try await same.embed(["storm"], for: .document) == expected)
    }

    @Test(arguments: [0, -1, 65])
    func `a dimension that the model has not is refused by name and number`(dimension: Int) {
        let error = #expect(throws: InferenceError.self) { _ = try ShortenedEmbedder(base, dimension: dimension) }
        #expect(error.map { "\($0)" }?.contains("\(dimension)") == true && error.map { "\($0)" }?.contains("64") == true)
    }
}
