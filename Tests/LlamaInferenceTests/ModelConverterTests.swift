import Foundation
import Inference
import Testing

@testable import LlamaInference

@Suite struct ModelConverterTests {
    private func cosine(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    @Test(arguments: ModelConverter.WeightType.allCases)
    func `a converted model computes what the original's definition says`(weights: ModelConverter.WeightType) async throws {
        let bert = TinyBERT(seed: 7)
        let path = TestModels.folder + "/bert-\(weights).gguf"
        try ModelConverter.convertBERT(from: bert.writeFolder(name: "bert-\(weights)"), to: path, weights: weights, name: "tiny")
        let embedder = try LlamaEmbedder(modelPath: path, threads: 1)
        #expect(embedder.model == EmbeddingModel(name: "bert-\(weights)", dimension: 32, contextLength: 64))
        let cases: [(String, [String])] = [
            ("the fox", ["the", "fox"]), ("The FOX, walking!", ["the", "fox", ",", "w", "##a", "##l", "##k", "##ing", "!"]),
            ("", []), ("漢a", ["漢", "a"]), ("é", ["e"]), ("β the", ["[UNK]", "the"]), ("[SEP]", ["[UNK]", "s", "##e", "##p", "[UNK]"]),
        ]
        let rows = try await embedder.embed(cases.map(\.0), for: .document)
        for (index, (text, names)) in cases.enumerated() {
            let expected = bert.embedding(bert.tokens(["[CLS]"] + names + ["[SEP]"]))
            #expect(cosine(rows[index * 32..<(index + 1) * 32], expected) > (weights == .f32 ? 0.99999 : 0.9999), "'\(text)'")
        }
    }

    @Test func `a converted cross-encoder keeps its pooler and classifier`() async throws {
        let bert = TinyBERT(seed: 11, isReranker: true)
        let path = TestModels.folder + "/reranker.gguf"
        try ModelConverter.convertBERT(from: bert.writeFolder(name: "reranker"), to: path, weights: .f32, name: "tiny")
        let reranker = try LlamaReranker(modelPath: path, threads: 1)
        let scores = try await reranker.rerank(query: "the fox", passages: ["fox walk", "a, b", ""])
        let expected = [["fox", "w", "##a", "##l", "##k"], ["a", ",", "b"], []].map {
            bert.score(bert.tokens(["[CLS]", "the", "fox", "[SEP]"] + $0 + ["[SEP]"]))
        }
        for (score, wanted) in zip(scores, expected) { #expect(abs(score - wanted) < 0.01, "\(scores) \(expected)") }
        // Scores that hardly differ would make the comparison above empty.
        #expect(expected.max()! - expected.min()! > 0.05)
        #expect(throws: InferenceError.self) { try LlamaEmbedder(modelPath: path) }
    }

    @Test func `a vocabulary in tokenizer json gives the same file`() throws {
        let bert = TinyBERT(seed: 3)
        let folder = try bert.writeFolder(name: "bert-json")
        let fromText = TestModels.folder + "/from-text.gguf"
        let fromJSON = TestModels.folder + "/from-json.gguf"
        try ModelConverter.convertBERT(from: folder, to: fromText, weights: .f16, name: "x")
        try FileManager.default.removeItem(atPath: folder + "/vocab.txt")
        let vocab = Dictionary(uniqueKeysWithValues: bert.vocabulary.enumerated().map { ($1, $0) })
        let tokenizer: [String: Any] = [
            "model": ["vocab": vocab], "normalizer": ["lowercase": true], "added_tokens": [["content": "[CLS]", "special": true]],
        ]
        try JSONSerialization.data(withJSONObject: tokenizer).write(to: URL(fileURLWithPath: folder + "/tokenizer.json"))
        try ModelConverter.convertBERT(from: folder, to: fromJSON, weights: .f16, name: "x")
        #expect(FileManager.default.contentsEqual(atPath: fromText, andPath: fromJSON))
    }

    /// What damages a model folder, and what the message must name.
    static let damages: [(String, @Sendable (String) throws -> Void, String)] = [
        ("no weights", { try FileManager.default.removeItem(atPath: $0 + "/model.safetensors") }, "model.safetensors"),
        ("no configuration", { try FileManager.default.removeItem(atPath: $0 + "/config.json") }, "config.json"),
        ("no vocabulary", { try FileManager.default.removeItem(atPath: $0 + "/vocab.txt") }, "vocab.txt"),
        ("configuration is no JSON", { try Data("{".utf8).write(to: URL(fileURLWithPath: $0 + "/config.json")) }, "config.json"),
        ("another architecture", { try edit($0 + "/config.json", "\"bert\"", "\"gpt2\"") }, "gpt2"),
        ("another activation", { try edit($0 + "/config.json", "\"gelu\"", "\"relu\"") }, "relu"),
        ("a layer too many", { try edit($0 + "/config.json", "\"num_hidden_layers\":2", "\"num_hidden_layers\":3") }, "blk.2"),
        ("another width", { try edit($0 + "/config.json", "\"hidden_size\":32", "\"hidden_size\":64") }, "shape"),
        ("a token twice", { try edit($0 + "/vocab.txt", "fox\n", "the\n") }, "twice"),
        ("no separator token", { try edit($0 + "/vocab.txt", "[SEP]", "[SIP]") }, "[SEP]"),
        ("weights cut in the header", { try cut($0 + "/model.safetensors", to: 100) }, "model.safetensors"),
        ("weights cut in the data", { try cut($0 + "/model.safetensors", to: 20_000) }, "cut"),
        ("weights empty", { try cut($0 + "/model.safetensors", to: 0) }, "model.safetensors"),
        ("no pooling mode", { try edit($0 + "/1_Pooling/config.json", "true", "false") }, "pooling"),
    ]

    private static func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        guard text.contains(old) else { throw InferenceError.failed(name: "test", reason: "'\(old)' is not in \(path)") }
        try text.replacing(old, with: new).write(toFile: path, atomically: false, encoding: .utf8)
    }

    private static func cut(_ path: String, to size: Int) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path)).prefix(size)
        try data.write(to: URL(fileURLWithPath: path))
    }

    @Test(arguments: damages.indices)
    func `a damaged folder is refused with its reason and leaves no file`(index: Int) throws {
        let (name, damage, word) = Self.damages[index]
        let folder = try TinyBERT(seed: 1).writeFolder(name: "damaged-\(index)")
        try damage(folder)
        let path = TestModels.folder + "/damaged-\(index).gguf"
        let error = #expect(throws: InferenceError.self, "\(name)") {
            try ModelConverter.convertBERT(from: folder, to: path, weights: .f16, name: "x")
        }
        #expect("\(error!)".contains(word), "\(name): \(error!)")
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(!FileManager.default.fileExists(atPath: path + ".part"))
    }

    @Test func `a full disk leaves no file`() throws {
        // /dev/full refuses every write as a full disk does; a file cannot be renamed over either.
        var writer = GGUFWriter(architecture: "llama")
        writer.declare("t", shape: [2], type: .f32)
        #expect(throws: InferenceError.self) { try writer.write(to: TestModels.folder + "/no-such-folder/x.gguf", tensors: ["t": [1, 2]]) }
        struct Stop: Error {}
        let path = TestModels.folder + "/stopped.gguf"
        #expect(throws: Stop.self) { try writer.write(to: path) { _, _ in throw Stop() } }
        #expect(!FileManager.default.fileExists(atPath: path) && !FileManager.default.fileExists(atPath: path + ".part"))
    }

    @Test(arguments: [
        ("embeddings.LayerNorm.gamma", "token_embd_norm.weight"), ("bert.embeddings.LayerNorm.beta", "token_embd_norm.bias"),
        ("encoder.layer.11.attention.self.query.weight", "blk.11.attn_q.weight"),
        ("encoder.layer.0.output.dense.bias", "blk.0.ffn_down.bias"),
        ("embeddings.position_ids", nil), ("cls.predictions.bias", nil), ("pooler.dense.weight", nil),
    ])
    func `tensor names are mapped`(original: String, expected: String?) {
        #expect(ModelConverter.tensorName(original, reranker: false) == expected)
    }

    @Test(
        .enabled(
            if: TestModels.exists(TestModels.miniLMSource), "skipped: the embedding model's source is not in the cache; run 'make test'"))
    func `the product's embedding model is converted as it should be`() async throws {
        let path = TestModels.folder + "/minilm.gguf"
        try ModelConverter.convertBERT(from: TestModels.miniLMSource, to: path, weights: .f16, name: "all-MiniLM-L6-v2")
        let embedder = try LlamaEmbedder(modelPath: path, threads: 1)
        let rows = try await embedder.embed(MiniLMTests.golden.map(\.0), for: .document)
        for (index, (text, expected)) in MiniLMTests.golden.enumerated() {
            for (value, wanted) in zip(rows[(index * 384)...], expected) { #expect(abs(value - wanted) < 5e-4, "'\(text)'") }
        }
        try FileManager.default.removeItem(atPath: path)
    }
}
