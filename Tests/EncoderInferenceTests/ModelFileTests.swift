import Foundation
import Inference
import LlamaInference
import TestSupport
import Testing

@testable import EncoderInference

/// Files that are damaged, hostile or of another kind: an error that names the flaw, never a crash.
@Suite struct ModelFileTests {
    private static let tiny = TinyEncoder(TinyEncoder.Shape(width: 8, heads: 2, layers: 1, feedForward: 12, positions: 16), seed: 31)

    private func bytes(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(fileURLWithPath: Self.tiny.write(name: name))))
    }

    private func open(_ bytes: some Sequence<UInt8>, _ name: String) throws {
        let path = TestFiles.folder + "/\(name).gguf"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        _ = try EncoderWeights(path: path, precision: .int8)
    }

    @Test func `a file cut anywhere is refused`() throws {
        let whole = try bytes("whole")
        try open(whole, "cut")
        for length in 0..<whole.count where length % 7 == 0 || whole.count - length < 64 {
            #expect(throws: InferenceError.self, "\(length) of \(whole.count) bytes") { try open(whole[..<length], "cut") }
        }
    }

    @Test func `any flipped bit is an error or another model, never a crash`() throws {
        let whole = try bytes("flip")
        var random = SeededGenerator(seed: 77)
        var refused = 0
        for _ in 0..<800 {
            var changed = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                changed[Int.random(in: 0..<min(3200, whole.count), using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
            do { try open(changed, "flipped") } catch is InferenceError { refused += 1 }
        }
        #expect(refused > 150)
    }

    @Test func `counts and lengths beyond the file are named`() throws {
        var bytes = try bytes("counts")
        for index in 8..<16 { bytes[index] = 0xFF }
        do {
            try open(bytes, "counted")
            Issue.record("2^64 tensors were read")
        } catch InferenceError.modelUnreadable(_, let reason) { #expect(reason.contains("number of tensors")) }
    }

    @Test func `other kinds of models are left to llama.cpp`() throws {
        func kind(_ path: String) -> String? {
            do {
                _ = try EncoderWeights(path: path, precision: .float32)
                return nil
            } catch InferenceError.wrongModelKind(_, let reason) { return reason } catch { return "other: \(error)" }
        }
        let tiny = Self.tiny
        #expect(kind(try tiny.write(name: "arch", architecture: "nomic-bert"))?.contains("nomic-bert") == true)
        #expect(kind(try tiny.write(name: "causal", change: ["bert.attention.causal": .bool(true)]))?.contains("causal") == true)
        #expect(kind(try tiny.write(name: "pool0", change: ["bert.pooling_type": .uint32(0)]))?.contains("pooling") == true)
        #expect(kind(try tiny.write(name: "pool", without: ["bert.pooling_type"]))?.contains("pooling") == true)
        #expect(
            kind(try tiny.write(name: "heads", change: ["bert.attention.head_count": .uint32(3)]))?.contains("3 attention heads") == true)
        #expect(kind(try tiny.write(name: "token", change: ["tokenizer.ggml.model": .string("gpt2")]))?.contains("WordPiece") == true)
        var pairs = TinyEncoder(TinyEncoder.Shape(pooling: 4), seed: 32)
        pairs.remove("none")
        let unigram: [String: GGUFWriter.Value] = [
            "tokenizer.ggml.model": .string("t5"), "tokenizer.ggml.scores": .float32s(pairs.vocabulary.map { _ in -1 }),
        ]
        #expect(kind(try pairs.write(name: "unigram-pairs", change: unigram))?.contains("WordPiece") == true)
        var missing = tiny
        missing.remove("blk.0.ffn_up.weight")
        #expect(kind(try missing.write(name: "missing"))?.contains("blk.0.ffn_up.weight") == true)
        #expect(kind(try tiny.write(name: "rank", change: ["bert.pooling_type": .uint32(4)]))?.contains("classifier") == true)
        #expect(kind(try tiny.write(name: "fine")) == nil)
    }

    @Test func `a tensor of another shape is named`() throws {
        do {
            _ = try EncoderWeights(
                path: Self.tiny.write(name: "shape", change: ["bert.feed_forward_length": .uint32(13)]), precision: .float32)
            Issue.record("a tensor of another shape was read")
        } catch InferenceError.modelUnreadable(_, let reason) { #expect(reason.contains("ffn_up.weight") && reason.contains("13")) }
    }

    @Test(arguments: [Float.nan, .infinity])
    func `a weight that is not a number is refused`(value: Float) throws {
        var tiny = Self.tiny
        tiny.set("blk.0.ffn_down.weight", 5, to: value)
        let path = try tiny.write(name: "nan-\(value)")
        #expect(throws: InferenceError.self) { try EncoderWeights(path: path, precision: .float32) }
    }

    @Test func `an embedder is no reranker, and the other way round`() throws {
        let embedder = try Self.tiny.write(name: "is-embedder")
        let reranker = try TinyEncoder(TinyEncoder.Shape(pooling: 4), seed: 1).write(name: "is-reranker")
        #expect { try EncoderReranker(modelPath: embedder) } throws: { if case InferenceError.wrongModelKind = $0 { true } else { false } }
        #expect { try EncoderEmbedder(modelPath: reranker) } throws: { if case InferenceError.wrongModelKind = $0 { true } else { false } }
        #expect { try EncoderEmbedder(modelPath: "/no/such.gguf") } throws: {
            if case InferenceError.modelNotFound = $0 { true } else { false }
        }
        #expect { try EncoderEmbedder(modelPath: "/") } throws: { if case InferenceError.modelNotFound = $0 { true } else { false } }
    }
}
