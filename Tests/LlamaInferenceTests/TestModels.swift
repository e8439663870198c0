import Foundation
import Inference
import LlamaInference
import TestSupport

/// Models that the tests make for themselves, and real ones that lie on the machine.
enum TestModels {
    /// A folder for one test run; the system clears it.
    static let folder: String = {
        let path = NSTemporaryDirectory() + "outrider-llama-tests-\(ProcessInfo.processInfo.processIdentifier)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }()

    static let cache = ProcessInfo.processInfo.environment["OUTRIDER_CACHE"] ?? NSHomeDirectory() + "/.cache/outrider"

    static let stories = (SharedData.folder ?? "") + "/models/stories260K.gguf"
    static let miniLM = cache + "/models/all-MiniLM-L6-v2-f16.gguf"
    static let miniLMSource = cache + "/models/src/all-MiniLM-L6-v2"

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// A LLaMA model that writes what it is told: each token has one successor.
///
/// Embeddings are unit vectors, attention and feed-forward weights are zero, and the output matrix is a table from the last token to the next. So
/// a test knows every token that comes, also bytes in the middle of a character. Tokens: `<unk> <s> </s>`, the 256 bytes, and more by name.
struct ScriptedLlama {
    static let contextLength = 4096
    private static let width = 288
    private static let feedForward = 32
    private static let specialNames = ["<|im_start|>", "<|im_end|>"]

    /// Byte tokens start behind `<unk>`, `<s>` and `</s>`.
    static func byte(_ value: UInt8) -> Int { 3 + Int(value) }
    static let end = 2
    static let imStart = 3 + 256
    static let imEnd = 3 + 257

    var successors: [Int: Int] = [:]
    var chatTemplate: String?
    var contextLength = Self.contextLength
    var hasVocabulary = true

    /// After the first byte of the script comes the second, and so on; after the last, `next`.
    /// - Precondition: No byte stands twice in the script.
    init(script: String, then next: Int = Self.end, chatTemplate: String? = nil) {
        self.chatTemplate = chatTemplate
        let tokens = script.utf8.map(Self.byte) + [next]
        for (token, follower) in zip(tokens, tokens.dropFirst()) {
            precondition(successors.updateValue(follower, forKey: token) == nil, "the script has a byte twice")
        }
    }

    func write(name: String) throws -> String {
        let path = TestModels.folder + "/\(name).gguf"
        let width = Self.width
        var writer = GGUFWriter(architecture: "llama")
        writer.set("general.name", .string(name))
        writer.set("llama.block_count", .uint32(1))
        writer.set("llama.context_length", .uint32(UInt32(contextLength)))
        writer.set("llama.embedding_length", .uint32(UInt32(width)))
        writer.set("llama.feed_forward_length", .uint32(UInt32(Self.feedForward)))
        writer.set("llama.attention.head_count", .uint32(9))
        writer.set("llama.attention.head_count_kv", .uint32(9))
        writer.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
        writer.set("llama.rope.dimension_count", .uint32(32))
        var names = ["<unk>", "<s>", "</s>"] + (0..<256).map { String(format: "<0x%02X>", $0) } + Self.specialNames
        var kinds: [Int32] = [2, 3, 3] + Array(repeating: 6, count: 256) + [3, 3]
        while names.count < width {
            names.append("<unused\(names.count)>")
            kinds.append(5)
        }
        writer.set("tokenizer.ggml.model", .string(hasVocabulary ? "llama" : "no_vocab"))
        if !hasVocabulary { writer.set("llama.vocab_size", .uint32(UInt32(width))) }
        writer.set("tokenizer.ggml.tokens", .strings(names))
        writer.set("tokenizer.ggml.scores", .float32s(names.indices.map { -Float($0) }))
        writer.set("tokenizer.ggml.token_type", .int32s(kinds))
        writer.set("tokenizer.ggml.bos_token_id", .uint32(1))
        writer.set("tokenizer.ggml.eos_token_id", .uint32(2))
        writer.set("tokenizer.ggml.unknown_token_id", .uint32(0))
        writer.set("tokenizer.ggml.add_space_prefix", .bool(false))
        if let chatTemplate { writer.set("tokenizer.chat_template", .string(chatTemplate)) }

        var table = [Float](repeating: 0, count: width * width)
        for token in 0..<width { table[(successors[token] ?? Self.end) * width + token] = 1 }
        var identity = [Float](repeating: 0, count: width * width)
        for token in 0..<width { identity[token * width + token] = 1 }
        let ones = [Float](repeating: 1, count: width)
        let square = [Float](repeating: 0, count: width * width)
        let tall = [Float](repeating: 0, count: width * Self.feedForward)
        let tensors: [(String, [Int], [Float])] = [
            ("token_embd.weight", [width, width], identity), ("output_norm.weight", [width], ones),
            ("output.weight", [width, width], table),
            ("blk.0.attn_norm.weight", [width], ones), ("blk.0.ffn_norm.weight", [width], ones),
            ("blk.0.attn_q.weight", [width, width], square), ("blk.0.attn_k.weight", [width, width], square),
            ("blk.0.attn_v.weight", [width, width], square), ("blk.0.attn_output.weight", [width, width], square),
            ("blk.0.ffn_gate.weight", [Self.feedForward, width], tall), ("blk.0.ffn_up.weight", [Self.feedForward, width], tall),
            ("blk.0.ffn_down.weight", [width, Self.feedForward], tall),
        ]
        for (name, shape, _) in tensors { writer.declare(name, shape: shape, type: .f32) }
        try writer.write(to: path, tensors: Dictionary(uniqueKeysWithValues: tensors.map { ($0.0, $0.2) }))
        return path
    }
}

/// A small BERT with random weights, and the computation of it in a few plain lines: the oracle for converter and embedder.
///
/// Devlin et al. 2019; layer normalisation after each residual sum, exact GELU, mean over all tokens.
struct TinyBERT {
    let hidden = 32, heads = 4, layers = 2, feedForward = 48, positions = 64
    let vocabulary: [String]
    let weights: [String: (shape: [Int], values: [Float])]
    let isReranker: Bool

    init(seed: UInt64, isReranker: Bool = false) {
        self.isReranker = isReranker
        vocabulary =
            ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + "abcdefghijklmnopqrstuvwxyz.,!".map { String($0) }
            + "abcdefghijklmnopqrstuvwxyz".map { "##\($0)" } + ["the", "fox", "##ing", "漢", "##_aB_c"]
        var random = SeededGenerator(seed: seed)
        var made: [String: (shape: [Int], values: [Float])] = [:]
        let (hidden, layers, feedForward, positions) = (hidden, layers, feedForward, positions)
        func add(_ name: String, _ shape: [Int], scale: Float = 0.3, around center: Float = 0) {
            made[name] = (shape, random.floats(shape.reduce(1, *), scale: scale).map { $0 + center })
        }
        let prefix = isReranker ? "bert." : ""
        func addNorm(_ name: String) {
            add(prefix + name + ".weight", [hidden], around: 1)
            add(prefix + name + ".bias", [hidden])
        }
        func addLinear(_ name: String, _ outputs: Int, _ inputs: Int) {
            add(name + ".weight", [outputs, inputs])
            add(name + ".bias", [outputs])
        }
        add(prefix + "embeddings.word_embeddings.weight", [vocabulary.count, hidden], scale: 1)
        add(prefix + "embeddings.position_embeddings.weight", [positions, hidden], scale: 0.5)
        add(prefix + "embeddings.token_type_embeddings.weight", [2, hidden], scale: 0.5)
        addNorm("embeddings.LayerNorm")
        for layer in 0..<layers {
            let stem = "encoder.layer.\(layer)."
            for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"] {
                addLinear(prefix + stem + name, hidden, hidden)
            }
            addLinear(prefix + stem + "intermediate.dense", feedForward, hidden)
            addLinear(prefix + stem + "output.dense", hidden, feedForward)
            addNorm(stem + "attention.output.LayerNorm")
            addNorm(stem + "output.LayerNorm")
        }
        addLinear(prefix + "pooler.dense", hidden, hidden)
        if isReranker { addLinear("classifier", 1, hidden) }
        weights = made
    }

    /// Writes a folder as sentence-transformers does.
    func writeFolder(name: String) throws -> String {
        let folder = TestModels.folder + "/" + name
        try FileManager.default.createDirectory(atPath: folder + "/1_Pooling", withIntermediateDirectories: true)
        let architecture = isReranker ? "BertForSequenceClassification" : "BertModel"
        let configuration: [String: Any] = [
            "model_type": "bert", "architectures": [architecture], "hidden_size": hidden, "intermediate_size": feedForward,
            "num_attention_heads": heads,
            "num_hidden_layers": layers, "max_position_embeddings": positions, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
            "vocab_size": vocabulary.count,
            "hidden_act": "gelu",
        ]
        try JSONSerialization.data(withJSONObject: configuration).write(to: URL(fileURLWithPath: folder + "/config.json"))
        try Data(#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}"#.utf8).write(
            to: URL(fileURLWithPath: folder + "/1_Pooling/config.json"))
        try Data(vocabulary.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: folder + "/vocab.txt"))
        try safetensors().write(to: URL(fileURLWithPath: folder + "/model.safetensors"))
        return folder
    }

    func safetensors() -> Data {
        var header: [String: Any] = ["__metadata__": ["format": "pt"]]
        var data = Data()
        for (name, tensor) in weights.sorted(by: { $0.key < $1.key }) {
            let bytes = tensor.values.withUnsafeBytes { Data($0) }
            header[name] =
                ["dtype": "F32", "shape": tensor.shape, "data_offsets": [data.count, data.count + bytes.count]] as [String: Any]
            data += bytes
        }
        let json = try! JSONSerialization.data(withJSONObject: header)
        return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) } + json + data
    }

    // MARK: Oracle

    private typealias Matrix = [[Double]]

    private func linear(_ input: Matrix, _ name: String) -> Matrix {
        let weight = weights[name + ".weight"]!
        let bias = weights[name + ".bias"]!.values
        let columns = weight.shape[1]
        // A plain loop over pointers: this is where a debug build spends its time.
        return weight.values.withUnsafeBufferPointer { weight in
            input.map { row in
                row.withUnsafeBufferPointer { row in
                    bias.indices.map { output in
                        var sum = Double(bias[output])
                        var column = 0
                        while column < columns {
                            sum += Double(weight[output * columns + column]) * row[column]
                            column += 1
                        }
                        return sum
                    }
                }
            }
        }
    }

    private func normalized(_ input: Matrix, _ name: String) -> Matrix {
        let weight = weights[name + ".weight"]!.values
        let bias = weights[name + ".bias"]!.values
        return input.map { row in
            let mean = row.reduce(0, +) / Double(row.count)
            let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
            return row.indices.map { (row[$0] - mean) / (variance + 1e-12).squareRoot() * Double(weight[$0]) + Double(bias[$0]) }
        }
    }

    private func sum(_ a: Matrix, _ b: Matrix) -> Matrix { zip(a, b).map { zip($0, $1).map(+) } }

    private func attention(_ input: Matrix, _ stem: String) -> Matrix {
        let query = linear(input, stem + "query")
        let key = linear(input, stem + "key")
        let value = linear(input, stem + "value")
        let size = hidden / heads
        var output = input.map { _ in [Double](repeating: 0, count: hidden) }
        for head in 0..<heads {
            let columns = head * size..<(head + 1) * size
            for row in input.indices {
                let scores = input.indices.map { other in
                    columns.reduce(0) { $0 + query[row][$1] * key[other][$1] } / Double(size).squareRoot()
                }
                let exponentials = scores.map { exp($0 - scores.max()!) }
                let total = exponentials.reduce(0, +)
                for column in columns {
                    output[row][column] = input.indices.reduce(0) { $0 + exponentials[$1] / total * value[$1][column] }
                }
            }
        }
        return output
    }

    private func hiddenStates(_ tokens: [Int]) -> [[Double]] {
        let prefix = isReranker ? "bert." : ""
        func row(_ name: String, _ index: Int) -> [Double] {
            weights[prefix + "embeddings." + name + ".weight"]!.values[index * hidden..<(index + 1) * hidden].map(Double.init)
        }
        var states = tokens.enumerated().map { position, token in
            zip(zip(row("word_embeddings", token), row("position_embeddings", position)), row("token_type_embeddings", 0)).map {
                $0.0 + $0.1 + $1
            }
        }
        states = normalized(states, prefix + "embeddings.LayerNorm")
        for layer in 0..<layers {
            let stem = prefix + "encoder.layer.\(layer)."
            states = normalized(
                sum(linear(attention(states, stem + "attention.self."), stem + "attention.output.dense"), states),
                stem + "attention.output.LayerNorm")
            let inner = linear(states, stem + "intermediate.dense").map { $0.map { $0 * 0.5 * (1 + erf($0 / 2.0.squareRoot())) } }
            states = normalized(sum(linear(inner, stem + "output.dense"), states), stem + "output.LayerNorm")
        }
        return states
    }

    /// The unit-length mean of the last layer.
    func embedding(_ tokens: [Int]) -> [Float] {
        let states = hiddenStates(tokens)
        let mean = (0..<hidden).map { column in states.reduce(0) { $0 + $1[column] } / Double(states.count) }
        let length = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return mean.map { Float($0 / length) }
    }

    /// The classifier over the pooled first token.
    func score(_ tokens: [Int]) -> Float {
        let pooled = linear([hiddenStates(tokens)[0]], "bert.pooler.dense").map { $0.map(tanh) }
        return Float(linear(pooled, "classifier")[0][0])
    }

    /// Token numbers by name, `[CLS]` and `[SEP]` included by the caller.
    func tokens(_ names: [String]) -> [Int] { names.map { vocabulary.firstIndex(of: $0)! } }
}
