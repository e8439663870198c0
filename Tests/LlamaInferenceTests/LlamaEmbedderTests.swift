import Foundation
import Inference
import TestSupport
import Testing

@testable import LlamaInference

/// With a small random BERT that the tests make; always run.
@Suite struct TinyEmbedderTests {
    private static let bert = TinyBERT(seed: 21)
    private static let path: String = {
        let path = TestModels.folder + "/embedder.gguf"
        try! ModelConverter.convertBERT(from: bert.writeFolder(name: "embedder"), to: path, weights: .f32, name: "tiny")
        return path
    }()

    private func cosine(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    private func letters(_ count: Int, using random: inout SeededGenerator) -> String {
        (0..<count).map { _ in String("abcdefghijklmnopqrstuvwxyz".randomElement(using: &random)!) }.joined(separator: " ")
    }

    @Test(arguments: [1, 2, 4])
    func `rows come in the order of the texts, each of unit length`(threads: Int) async throws {
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: threads)
        var random = SeededGenerator(seed: UInt64(threads))
        // Lengths differ, so the batches are in another order than the texts.
        let texts = (0..<60).map { _ in letters(Int.random(in: 0...24, using: &random), using: &random) }
        let rows = try await embedder.embed(texts, for: .document)
        #expect(rows.count == texts.count * 32)
        for index in texts.indices {
            let row = rows[index * 32..<(index + 1) * 32]
            #expect(abs(cosine(row, row) - 1) < 1e-5)
            let names = texts[index].split(separator: " ").map(String.init)
            let expected = Self.bert.embedding(Self.bert.tokens(["[CLS]"] + names + ["[SEP]"]))
            #expect(cosine(row, expected) > 0.9999, "text \(index) of \(names.count) words")
        }
    }

    @Test func `no texts, no rows`() async throws {
        #expect(try await LlamaEmbedder(modelPath: Self.path, threads: 1).embed([], for: .query).isEmpty)
    }

    @Test(arguments: [(8, nil as Int?), (20, nil), (64, nil), (64, 20), (64, 1000), (3, nil), (2, nil)])
    func `a long text keeps its first tokens and its end token`(limit: Int, other: Int?) async throws {
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 1, maxInputTokens: other ?? limit)
        let effective = min(other ?? limit, 64)
        #expect(embedder.model.contextLength == effective)
        var random = SeededGenerator(seed: 5)
        let text = letters(500, using: &random)
        let row = try await embedder.embed([text], for: .document)
        let names = text.split(separator: " ").prefix(effective - 2).map(String.init)
        #expect(cosine(row, Self.bert.embedding(Self.bert.tokens(["[CLS]"] + names + ["[SEP]"]))) > 0.9999)
    }

    @Test func `a very long text is not read to its end`() async throws {
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 1)
        // One unknown word of a million bytes is one token; the text behind it counts.
        let word = String(repeating: "β", count: 500_000)
        let row = try await embedder.embed([word + " fox"], for: .document)
        #expect(cosine(row, Self.bert.embedding(Self.bert.tokens(["[CLS]", "[UNK]", "fox", "[SEP]"]))) > 0.9999)
    }

    @Test func `a call larger than the queue is served in slices`() async throws {
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 2, queueLimit: 16)
        let texts = (0..<100).map { _ in "the fox" }
        let rows = try await embedder.embed(texts, for: .document)
        #expect(rows.count == 3200)
        #expect(cosine(rows[0..<32], rows[3168...]) > 0.9999)
    }

    @Test func `a full queue refuses, and what is cancelled leaves it`() async throws {
        // Batches wait for an hour here, so nothing leaves the queue meanwhile.
        let policy = BatchPolicy.Configuration(countMax: 8, tokenMax: 256, documentWaitMax: .seconds(3600), queueMax: 7)
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 1, maxInputTokens: nil, policy: policy)
        let tasks = (0..<7).map { _ in Task { try await embedder.embed(["fox"], for: .document) } }
        try await eventually { embedder.waitingCount == 7 }
        do {
            _ = try await embedder.embed(["fox"], for: .query)
            Issue.record("the eighth text was taken")
        } catch InferenceError.overloaded(let queued, let limit) { #expect((queued, limit) == (7, 7)) }
        for task in tasks {
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        // The cancelled ones have left the queue.
        #expect(try await embedder.embed(["fox"], for: .query).count == 32)
    }

    @Test func `cancelling does not wait for the model`() async throws {
        let policy = BatchPolicy.Configuration(documentWaitMax: .seconds(3600))
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 1, maxInputTokens: nil, policy: policy)
        let task = Task { try await embedder.embed(["fox"], for: .document) }
        try await eventually { embedder.waitingCount == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func `cancelling at any moment loses nobody else's rows`() async throws {
        let embedder = try LlamaEmbedder(modelPath: Self.path, threads: 2)
        let expected = try await embedder.embed(["the fox walking"], for: .query)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<60 {
                group.addTask {
                    let task = Task {
                        try await embedder.embed(
                            Array(repeating: "the fox walking", count: 1 + index % 5), for: index % 3 == 0 ? .query : .document)
                    }
                    if index % 2 == 0 {
                        try await Task.sleep(for: .microseconds(index * 150))
                        task.cancel()
                    }
                    do {
                        let rows = try await task.value
                        #expect(zip(rows.suffix(32), expected).allSatisfy { abs($0 - $1) < 1e-3 })
                    } catch is CancellationError { #expect(index % 2 == 0) }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `files of another kind are refused with a reason`() throws {
        let llama = try ScriptedLlama(script: "ab").write(name: "no-embedder")
        #expect { try LlamaEmbedder(modelPath: llama) } throws: { if case InferenceError.wrongModelKind = $0 { true } else { false } }
        #expect { try LlamaReranker(modelPath: Self.path) } throws: { if case InferenceError.wrongModelKind = $0 { true } else { false } }
        #expect { try LlamaEmbedder(modelPath: "/no/such.gguf") } throws: {
            if case InferenceError.modelNotFound = $0 { true } else { false }
        }
    }

    @Test func `the runtime has a version and a processor`() {
        #expect(!LlamaRuntime.version.isEmpty)
        #expect(LlamaRuntime.devices().contains { $0.hasPrefix("CPU") })
    }
}

/// With the product's embedding model, all-MiniLM-L6-v2.
@Suite(.enabled(if: TestModels.exists(TestModels.miniLM), "skipped: the embedding model is not in the cache; run 'make test'"))
struct MiniLMTests {
    private static let embedder = Result { try LlamaEmbedder(modelPath: TestModels.miniLM, threads: 2) }
    private func embedder() throws -> LlamaEmbedder { try Self.embedder.get() }
    private func cosine(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    /// The first 24 of 384 numbers, computed from the original 32-bit weights in double precision with NumPy and the original tokenizer.
    static let golden: [(String, [Float])] = [
        (
            "Der schnelle braune Fuchs springt über den faulen Hund; Größe und Straße.",
            [
                -0.021562, 0.069255, -0.027693, 0.012708, -0.033589, 0.11288, -0.009371, 0.042405, -0.015732, -0.069992, 0.062533,
                -0.074691, -0.007133,
                -0.007415, -0.019197, -0.043607, -0.019012, 0.011513, 0.042792, 0.070047, 0.018917, -0.031418, 0.015343, 0.03272,
            ]
        ),
        (
            "机器学习是人工智能的一个分支。",
            [
                0.066742, 0.148708, 0.014271, -0.00636, -0.002541, 0.040916, 0.097074, -0.039236, 0.006244, 0.039615, 0.23024, -0.021203,
                -0.044752, -0.052913,
                -0.040208, -0.055439, -0.042935, 0.038975, -0.045601, 0.006987, -0.045614, -0.026098, 0.049668, 0.080006,
            ]
        ),
    ]

    @Test func `vectors are those of the original weights`() async throws {
        let rows = try await embedder().embed(Self.golden.map(\.0), for: .document)
        for (index, (text, expected)) in Self.golden.enumerated() {
            for (value, wanted) in zip(rows[(index * 384)...], expected) { #expect(abs(value - wanted) < 5e-4, "'\(text)'") }
        }
    }

    @Test func `the model is what the product says it is`() throws {
        #expect(try embedder().model == EmbeddingModel(name: "all-MiniLM-L6-v2-f16", dimension: 384, contextLength: 256))
    }

    @Test func `a text's vector does not depend on its company`() async throws {
        let embedder = try embedder()
        let text = "Aspirin inhibits the production of prostaglandins."
        let alone = try await embedder.embed([text], for: .query)
        let others = (1...20).map { String(repeating: "other words of a longer text ", count: $0) }
        let rows = try await embedder.embed(others + [text], for: .document)
        #expect(cosine(alone, rows.suffix(384)) > 0.99999)
    }

    @Test func `meaning is near, whatever the words`() async throws {
        let rows = try await embedder().embed(
            ["How do I reset my password?", "Steps to recover account access", "The recipe needs two eggs and flour"], for: .query)
        let (a, b, c) = (rows[0..<384], rows[384..<768], rows[768...])
        #expect(cosine(a, b) > cosine(a, c) + 0.2)
    }

    @Test func `opening the model takes little time`() throws {
        // This thread's processor time, for other tests share the machine. On a quiet one, opening and the first vector take 0.14 s.
        func threadTime() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
        }
        let start = threadTime()
        let embedder = try LlamaEmbedder(modelPath: TestModels.miniLM, threads: 1)
        #expect(threadTime() - start < 0.5)
        #expect(embedder.model.dimension == 384)
    }

    @Test(
        .enabled(if: TestModels.exists((SharedData.folder ?? "") + "/xquad/corpus.jsonl"), "skipped: ../shared/data/xquad is not there"),
        arguments: ["en", "de", "es", "zh", "ar", "hi"])
    func `a prefix of at most the limit, as long as whole words allow`(language: String) throws {
        struct Line: Decodable {
            var _id: String
            var text: String
        }
        let lines = try String(contentsOfFile: (SharedData.folder ?? "") + "/xquad/corpus.jsonl", encoding: .utf8).split(separator: "\n")
        let texts = lines.filter { $0.contains("\"xquad-\(language)-") }.prefix(6).compactMap {
            try? JSONDecoder().decode(Line.self, from: Data($0.utf8)).text
        }
        try #require(texts.count == 6)
        let tokenizer = try embedder().tokenizer
        for text in texts {
            let count = tokenizer.count(text)
            for limit in [0, 1, 2, 7, 64, 128, count - 1, count, count + 1] {
                let bytes = Array(text.utf8)
                let length = tokenizer.prefixLength(text, limit: limit)
                let prefix = String(decoding: bytes[..<length], as: UTF8.self)
                #expect(text.hasPrefix(prefix) && prefix.utf8.count == length, "cut inside a character")
                #expect(tokenizer.count(prefix) <= limit)
                if limit >= count {
                    #expect(length == bytes.count)
                } else {
                    // One character more does not fit, and neither does the rest of the word.
                    let next = String(decoding: bytes[length...], as: UTF8.self).prefix { !$0.isWhitespace }
                    #expect(
                        tokenizer.count(prefix + next) > limit || next.isEmpty, "limit \(limit) of \(count): '\(prefix.suffix(20))|\(next)'"
                    )
                    // One character of Devanagari may have three tokens.
                    #expect(limit < 4 || length > 0)
                }
            }
        }
    }

    @Test func `tokens are counted without special tokens`() throws {
        let tokenizer = try embedder().tokenizer
        #expect(tokenizer.count("") == 0)
        #expect(tokenizer.count("hello world") == 2)
        #expect(tokenizer.count("unaffable") == 3)
        // Text that looks like a special token is text.
        #expect(tokenizer.count("[SEP]") > 1)
    }
}
