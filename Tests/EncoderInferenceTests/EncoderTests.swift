import Foundation
import Inference
import Kernels
import LlamaInference
import TestSupport
import Testing

@testable import EncoderInference

@Suite struct EncoderTests {
    private static let sets = KernelTests.sets
    private static let shapes: [TinyEncoder.Shape] = [
        TinyEncoder.Shape(), TinyEncoder.Shape(width: 33, heads: 3, feedForward: 50, pooling: 2),
        TinyEncoder.Shape(
            width: 64, heads: 2, layers: 1, feedForward: 130, positions: 80, pooling: 3, typeCount: 0, hasBias: false, isHalf: true),
        TinyEncoder.Shape(width: 20, heads: 1, layers: 3, feedForward: 17, typeCount: 1, isHalf: true),
        TinyEncoder.Shape(width: 64, heads: 4, feedForward: 96, quantizedBits: 4),
        TinyEncoder.Shape(width: 32, heads: 2, layers: 1, feedForward: 64, pooling: 2, quantizedBits: 8),
    ]

    @Test(arguments: shapes.indices, sets)
    func `vectors are those of the plain computation`(index: Int, set: InstructionSet) async throws {
        let tiny = TinyEncoder(Self.shapes[index], seed: UInt64(index + 1))
        let path = try tiny.write(name: "oracle-\(index)-\(set)")
        var random = SeededGenerator(seed: 3)
        let texts = (0..<8).map { _ in TinyEncoder.letters(Int.random(in: 0...40, using: &random), using: &random) }
        let expected = texts.map { tiny.embedding(tiny.tokens($0)) }
        for (precision, least) in [(EncoderPrecision.float32, 0.9999999), (.int16, 0.99999), (.int8, 0.98)] {
            let embedder = try EncoderEmbedder(modelPath: path, precision: precision, threads: 2, instructionSet: set)
            let rows = try await embedder.embed(texts, for: .document)
            let width = tiny.shape.width
            for index in texts.indices {
                let row = rows[index * width..<(index + 1) * width]
                #expect(abs(row.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
                let similarity = cosine(row, expected[index])
                #expect(similarity > least, "\(precision), \(tiny.shape), text \(index): \(similarity)")
            }
        }
    }

    @Test(arguments: EncoderPrecision.allCases)
    func `a text's vector does not depend on its company, to the last bit`(precision: EncoderPrecision) async throws {
        let path = try TinyEncoder(seed: 5).write(name: "company-\(precision)")
        let embedder = try EncoderEmbedder(modelPath: path, precision: precision, threads: 2)
        var random = SeededGenerator(seed: 6)
        let texts = (0..<40).map { _ in TinyEncoder.letters(Int.random(in: 0...60, using: &random), using: &random) }
        let together = try await embedder.embed(texts, for: .document)
        for (index, text) in texts.enumerated() {
            #expect(try await embedder.embed([text], for: .query) == Array(together[index * 32..<(index + 1) * 32]))
        }
    }

    @Test func `a unigram vocabulary is read, with the prefixes that the file asks for`() async throws {
        let tiny = TinyEncoder(seed: 9)
        let scores = tiny.vocabulary.indices.map { -Float($0) }
        let path = try tiny.write(
            name: "unigram",
            change: [
                "tokenizer.ggml.model": .string("t5"), "tokenizer.ggml.scores": .float32s(scores),
                "tokenizer.ggml.eos_token_id": .uint32(3),
                "outrider.prefix.query": .string("q "), "outrider.prefix.document": .string("p "),
            ])
        let embedder = try EncoderEmbedder(modelPath: path, threads: 1)
        #expect(embedder.prefixes == EmbeddingPrefixes(query: "q ", document: "p "))
        #expect(cosine(try await embedder.embed(["a b"], for: .query), tiny.embedding(tiny.tokens("a b"))) > 0.999999)
        let prefixed = PrefixedEmbedder(embedder, prefixes: embedder.prefixes!)
        #expect(cosine(try await prefixed.embed(["a b"], for: .query), tiny.embedding(tiny.tokens("q a b"))) > 0.999999)
        #expect(cosine(try await prefixed.embed(["a b"], for: .document), tiny.embedding(tiny.tokens("p a b"))) > 0.999999)
        #expect(prefixed.model == EmbeddingModel(name: "unigram", dimension: 32, contextLength: 63))
    }

    @Test func `no texts, no rows`() async throws {
        let path = try TinyEncoder(seed: 5).write(name: "none")
        #expect(try await EncoderEmbedder(modelPath: path, threads: 1).embed([], for: .query).isEmpty)
    }

    @Test(arguments: [(8, 8), (20, 20), (64, 64), (1000, 64), (3, 3), (2, 2), (1, 2)])
    func `a long text keeps its first tokens and its end token`(asked: Int, effective: Int) async throws {
        let tiny = TinyEncoder(seed: 5)
        let path = try tiny.write(name: "long-\(asked)")
        let embedder = try EncoderEmbedder(modelPath: path, threads: 1, maxInputTokens: asked)
        #expect(embedder.model == EmbeddingModel(name: "long-\(asked)", dimension: 32, contextLength: effective))
        var random = SeededGenerator(seed: 5)
        let text = TinyEncoder.letters(500, using: &random)
        let row = try await embedder.embed([text], for: .document)
        #expect(cosine(row, tiny.embedding([2] + tiny.words(text).prefix(effective - 2) + [3])) > 0.999999)
    }

    @Test func `8-bit vectors have a name of their own`() throws {
        let path = try TinyEncoder(seed: 5).write(name: "named")
        #expect(try EncoderEmbedder(modelPath: path, precision: .int8, threads: 1).model.name == "named-int8")
        #expect(try EncoderEmbedder(modelPath: path, precision: .int16, threads: 1).model.name == "named")
    }

    @Test func `a call larger than the queue is served in slices`() async throws {
        let path = try TinyEncoder(seed: 5).write(name: "slices")
        let embedder = try EncoderEmbedder(modelPath: path, threads: 2, queueLimit: 16)
        let rows = try await embedder.embed((0..<100).map { _ in "a b" }, for: .document)
        #expect(rows.count == 3200)
        #expect(rows[0..<32] == rows[3168...].prefix(32))
    }

    @Test func `a full queue refuses, and what is cancelled leaves it`() async throws {
        let path = try TinyEncoder(seed: 5).write(name: "full")
        // Batches wait for an hour here, so nothing leaves the queue meanwhile.
        let policy = BatchPolicy.Configuration(countMax: 8, tokenMax: 256, documentWaitMax: .seconds(3600), queueMax: 7)
        let embedder = try EncoderEmbedder(modelPath: path, precision: .float32, threads: 1, maxInputTokens: nil, policy: policy)
        let tasks = (0..<7).map { _ in Task { try await embedder.embed(["a"], for: .document) } }
        try await eventually { embedder.waitingCount == 7 }
        do {
            _ = try await embedder.embed(["a"], for: .query)
            Issue.record("the eighth text was taken")
        } catch InferenceError.overloaded(let queued, let limit) { #expect((queued, limit) == (7, 7)) }
        for task in tasks {
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(try await embedder.embed(["a"], for: .query).count == 32)
    }

    @Test func `cancelling at any moment loses nobody else's rows`() async throws {
        let path = try TinyEncoder(seed: 5).write(name: "cancel")
        let embedder = try EncoderEmbedder(modelPath: path, threads: 2)
        let expected = try await embedder.embed(["a b c"], for: .query)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<60 {
                group.addTask {
                    let task = Task {
                        try await embedder.embed(Array(repeating: "a b c", count: 1 + index % 5), for: index % 3 == 0 ? .query : .document)
                    }
                    if index % 2 == 0 {
                        try await Task.sleep(for: .microseconds(index * 150))
                        task.cancel()
                    }
                    do {
                        #expect(try await task.value.suffix(32) == expected[...])
                    } catch is CancellationError { #expect(index % 2 == 0) }
                }
            }
            try await group.waitForAll()
        }
    }
}

@Suite struct RerankerTests {
    private static let shape = TinyEncoder.Shape(pooling: 4)

    private func passages(_ count: Int, seed: UInt64) -> [String] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in TinyEncoder.letters(Int.random(in: 0...80, using: &random), using: &random) }
    }

    /// The oracle's scores of some passages, with and without the second text's token type.
    private static let oracle: (passages: [String], typed: [Float], untyped: [Float]) = {
        let tiny = TinyEncoder(shape, seed: 11)
        var random = SeededGenerator(seed: 1)
        let passages = [0, 1, 7, 30, 80].map { TinyEncoder.letters($0, using: &random) }
        let tokens = passages.map { [2] + tiny.words("a q") + [3] + tiny.words($0).prefix(64 - 3 - 2) + [3] }
        return (passages, tokens.map { tiny.score($0, secondStart: 4) }, tokens.map { tiny.score($0, secondStart: nil) })
    }()

    @Test(arguments: KernelTests.sets)
    func `scores are those of the plain computation, with the second text's own token type`(set: InstructionSet) async throws {
        let tiny = TinyEncoder(Self.shape, seed: 11)
        let reranker = try EncoderReranker(modelPath: tiny.write(name: "rank-\(set)"), threads: 2, instructionSet: set)
        let oracle = Self.oracle
        let scores = try await reranker.rerank(query: "a q", passages: oracle.passages)
        for (score, expected) in zip(scores, oracle.typed) { #expect(abs(score - expected) < 1e-4) }
        let differences = zip(oracle.typed, oracle.untyped).map { abs($0 - $1) }
        #expect(differences.max()! > 1e-2, "token types make no difference in this model, so the test shows nothing")
    }

    @Test func `a long question leaves half of the room to the passage`() async throws {
        let tiny = TinyEncoder(Self.shape, seed: 11)
        let reranker = try EncoderReranker(modelPath: tiny.write(name: "rank-long"), threads: 1, maxInputTokens: 23)
        var random = SeededGenerator(seed: 4)
        let (question, passage) = (TinyEncoder.letters(50, using: &random), TinyEncoder.letters(50, using: &random))
        let tokens: [Int32] = [2] + tiny.words(question).prefix(10) + [3] + tiny.words(passage).prefix(10) + [3]
        let score = try await reranker.rerank(query: question, passages: [passage])[0]
        #expect(abs(score - tiny.score(tokens, secondStart: 12)) < 1e-4)
    }

    @Test func `with time enough, all passages have their scores`() async throws {
        let reranker = try EncoderReranker(modelPath: TinyEncoder(Self.shape, seed: 12).write(name: "rank-time"), threads: 2)
        let passages = passages(30, seed: 2)
        let plain = try await reranker.rerank(query: "b", passages: passages)
        #expect(try await reranker.rerank(query: "b", passages: passages, deadline: .now + .seconds(600)) == plain.map { $0 })
        #expect(try await reranker.rerank(query: "b", passages: [], deadline: .now + .seconds(600)).isEmpty)
    }

    @Test func `a deadline that is over gives no scores`() async throws {
        let reranker = try EncoderReranker(modelPath: TinyEncoder(Self.shape, seed: 12).write(name: "rank-over"), threads: 1)
        #expect(try await reranker.rerank(query: "b", passages: ["a", "b"], deadline: .now - .seconds(1)) == [nil, nil])
    }

    /// As retrieval calls it: a method with another signature would leave the protocol's default in its place, which knows no partial result.
    @Test func `the deadline holds through the protocol`() async throws {
        let reranker: any Reranker = try EncoderReranker(modelPath: TinyEncoder(Self.shape, seed: 12).write(name: "rank-any"), threads: 1)
        let passages = self.passages(3000, seed: 4)
        let scores = try await reranker.rerank(query: "b", passages: passages, deadline: .now + .milliseconds(20))
        #expect(scores.count == passages.count && scores.contains { $0 == nil })
        #expect(try await reranker.rerank(query: "b", passages: Array(passages.prefix(3)), deadline: nil).allSatisfy { $0 != nil })
    }

    @Test func `at the deadline the caller goes on, and nothing is left in the queue`() async throws {
        let tiny = TinyEncoder(Self.shape, seed: 12)
        let weights = try EncoderWeights(path: tiny.write(name: "rank-wait"), precision: .float32)
        // Documents wait for an hour for company, so none is done in time.
        let pool = BatchRunner<EncoderInput>(
            weights: weights, inputTokenMax: 64, threads: 1, policy: BatchPolicy.Configuration(documentWaitMax: .seconds(3600)))
        let inputs = (0..<3).map { EncoderInput(tokens: [2, Int32(4 + $0), 3]) }
        let rows = try await pool.encode(inputs, priority: .document, deadline: .now + .milliseconds(30))
        #expect(rows.allSatisfy { $0 == nil } && rows.count == 3)
        #expect(pool.waitingCount == 0)
        // What is done before the deadline is kept: eight make a full batch, the ninth waits.
        let nine = (0..<9).map { EncoderInput(tokens: [2, Int32(4 + $0), 3]) }
        let kept = try await pool.encode(nine, priority: .document, deadline: .now + .seconds(2))
        #expect(kept.map { $0 != nil } == [Bool](repeating: true, count: 8) + [false])
        #expect(abs(kept[0]![0] - tiny.score([2, 4, 3], secondStart: nil)) < 1e-4)
    }

    @Test func `cancelling a call with a deadline ends it`() async throws {
        let weights = try EncoderWeights(path: TinyEncoder(Self.shape, seed: 12).write(name: "rank-cancel"), precision: .float32)
        let pool = BatchRunner<EncoderInput>(
            weights: weights, inputTokenMax: 64, threads: 1, policy: BatchPolicy.Configuration(documentWaitMax: .seconds(3600)))
        let task = Task { try await pool.encode([EncoderInput(tokens: [2, 3])], priority: .document, deadline: .now + .seconds(3600)) }
        for _ in 0..<2000 where pool.waitingCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

/// With the product's embedding model, all-MiniLM-L6-v2.
@Suite(.enabled(if: TestFiles.exists(TestFiles.miniLM), "skipped: the embedding model is not in the cache; run 'make test'"))
struct MiniLMEncoderTests {
    private static let texts = [
        "How do I reset my password?", "", "Aspirin inhibits the production of prostaglandins.",
        "Der schnelle braune Fuchs springt über den faulen Hund; Größe und Straße.", "机器学习是人工智能的一个分支。",
        String(repeating: "A passage that is longer than the model reads. ", count: 60),
    ]

    @Test(arguments: KernelTests.sets.filter { $0 != .scalar })
    func `vectors are those of llama.cpp`(set: InstructionSet) async throws {
        let expected = try await LlamaEmbedder(modelPath: TestFiles.miniLM, threads: 1).embed(Self.texts, for: .document)
        for (precision, least) in [(EncoderPrecision.float32, 0.99999), (.int16, 0.9999), (.int8, 0.985)] {
            let rows = try await EncoderEmbedder(modelPath: TestFiles.miniLM, precision: precision, threads: 1, instructionSet: set)
                .embed(Self.texts, for: .document)
            for index in Self.texts.indices {
                let range = index * 384..<(index + 1) * 384
                #expect(cosine(rows[range], expected[range]) > least, "\(precision), text \(index)")
            }
        }
    }
}
