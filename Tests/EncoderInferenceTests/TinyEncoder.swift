import Foundation
import Inference
import LlamaInference
import TestSupport

/// Files and models of one test run.
enum TestFiles {
    static let folder: String = {
        let path = NSTemporaryDirectory() + "outrider-encoder-tests-\(ProcessInfo.processInfo.processIdentifier)"
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }()
    static let cache = ProcessInfo.processInfo.environment["OUTRIDER_CACHE"] ?? NSHomeDirectory() + "/.cache/outrider"
    static let miniLM = cache + "/models/all-MiniLM-L6-v2-f16.gguf"
    static let multilingual = cache + "/models/multilingual-e5-small-q4_0.gguf"
    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

func cosine(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Double {
    var (product, left, right) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
        product += Double(x) * Double(y)
        left += Double(x) * Double(x)
        right += Double(y) * Double(y)
    }
    return product / (left * right).squareRoot()
}

/// A small BERT with random weights, and the computation of it in a few plain lines of double precision: the oracle.
///
/// Devlin et al. 2019; layer normalisation after each residual sum, exact GELU.
struct TinyEncoder {
    struct Shape: Sendable, CustomStringConvertible {
        var width = 32
        var heads = 4
        var layers = 2
        var feedForward = 48
        var positions = 64
        /// llama.cpp's numbers: mean 1, first token 2, last token 3, rank 4.
        var pooling = 1
        var typeCount = 2
        var hasBias = true
        var isHalf = false
        /// Matrices are stored in blocks of 4 or 8 bits; needs widths of whole blocks.
        var quantizedBits: Int?
        var scoreCount = 1
        var description: String { "\(width) wide, \(heads) heads, \(feedForward) inside, pooling \(pooling)" }
    }

    let shape: Shape
    let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + "abcdefghijklmnopqrstuvwxyz".map { "\u{2581}\($0)" }
    private(set) var weights: [String: (shape: [Int], values: [Float])] = [:]
    /// The bytes of quantised matrices.
    private var blocks: [String: [UInt8]] = [:]

    private static func isQuantized(_ name: String, _ shape: [Int]) -> Bool {
        shape.count == 2 && !name.hasPrefix("position") && !name.hasPrefix("token_types")
    }

    /// Blocks of 32: a 16-bit scale, then whole numbers; and the values that they stand for.
    private static func quantized(_ values: [Float], bits: Int) -> (bytes: [UInt8], values: [Float]) {
        var bytes: [UInt8] = []
        var result: [Float] = []
        for start in stride(from: 0, to: values.count, by: 32) {
            let block = values[start..<start + 32]
            let greatest = block.map(abs).max()!
            let scale = Float16(greatest / (bits == 8 ? 127 : 7))
            let levels = block.map { Int(($0 / Float(scale)).rounded()) }
            withUnsafeBytes(of: scale.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
            if bits == 8 {
                bytes += levels.map { UInt8(bitPattern: Int8($0)) }
            } else {
                bytes += (0..<16).map { UInt8(levels[$0] + 8) | UInt8(levels[$0 + 16] + 8) << 4 }
            }
            result += levels.map { Float($0) * Float(scale) }
        }
        return (bytes, result)
    }

    init(_ shape: Shape = Shape(), seed: UInt64) {
        self.shape = shape
        var random = SeededGenerator(seed: seed)
        var made: [String: (shape: [Int], values: [Float])] = [:]
        var blocks: [String: [UInt8]] = [:]
        func add(_ name: String, _ shape: [Int], scale: Float = 0.3, around center: Float = 0) {
            var values = random.floats(shape.reduce(1, *), scale: scale).map { $0 + center }
            // What the file will hold.
            if self.shape.isHalf && shape.count == 2 { values = values.map { Float(Float16($0)) } }
            if let bits = self.shape.quantizedBits, Self.isQuantized(name, shape) {
                let stored = Self.quantized(values, bits: bits)
                values = stored.values
                blocks[name] = stored.bytes
            }
            made[name] = (shape, values)
        }
        func addNorm(_ name: String) {
            add(name + ".weight", [shape.width], around: 1)
            add(name + ".bias", [shape.width])
        }
        func addLinear(_ name: String, _ outputs: Int, _ inputs: Int) {
            add(name + ".weight", [outputs, inputs])
            if shape.hasBias { add(name + ".bias", [outputs]) }
        }
        add("token_embd.weight", [vocabulary.count, shape.width], scale: 1)
        add("position_embd.weight", [shape.positions, shape.width], scale: 0.5)
        if shape.typeCount > 0 { add("token_types.weight", [shape.typeCount, shape.width], scale: 0.5) }
        addNorm("token_embd_norm")
        for layer in 0..<shape.layers {
            for name in ["attn_q", "attn_k", "attn_v", "attn_output"] { addLinear("blk.\(layer).\(name)", shape.width, shape.width) }
            addLinear("blk.\(layer).ffn_up", shape.feedForward, shape.width)
            addLinear("blk.\(layer).ffn_down", shape.width, shape.feedForward)
            addNorm("blk.\(layer).attn_output_norm")
            addNorm("blk.\(layer).layer_output_norm")
        }
        if shape.pooling == 4 {
            addLinear("cls", shape.width, shape.width)
            addLinear("cls.output", shape.scoreCount, shape.width)
        }
        weights = made
        self.blocks = blocks
    }

    mutating func set(_ name: String, _ index: Int, to value: Float) { weights[name]!.values[index] = value }
    mutating func remove(_ name: String) { weights[name] = nil }

    /// Writes the model; `change` may set or leave out what it likes.
    func write(
        name: String, architecture: String = "bert", change: [String: GGUFWriter.Value] = [:], without: Set<String> = []
    ) throws -> String {
        let path = TestFiles.folder + "/\(name).gguf"
        var writer = GGUFWriter(architecture: architecture)
        var metadata: [String: GGUFWriter.Value] = [
            "bert.block_count": .uint32(UInt32(shape.layers)), "bert.context_length": .uint32(UInt32(shape.positions)),
            "bert.embedding_length": .uint32(UInt32(shape.width)), "bert.feed_forward_length": .uint32(UInt32(shape.feedForward)),
            "bert.attention.head_count": .uint32(UInt32(shape.heads)), "bert.attention.layer_norm_epsilon": .float32(1e-12),
            "bert.attention.causal": .bool(false), "bert.pooling_type": .uint32(UInt32(shape.pooling)),
            "tokenizer.ggml.model": .string("bert"), "tokenizer.ggml.tokens": .strings(vocabulary),
            "tokenizer.ggml.token_type": .int32s(vocabulary.map { $0.hasPrefix("[") ? 3 : 1 }),
            "tokenizer.ggml.cls_token_id": .uint32(2), "tokenizer.ggml.seperator_token_id": .uint32(3),
            "tokenizer.ggml.unknown_token_id": .uint32(1),
        ]
        for (key, value) in change { metadata[key] = value }
        for key in without { metadata[key] = nil }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { writer.set(key, value) }
        let names = weights.keys.sorted()
        for name in names {
            let matrix = weights[name]!.shape.count == 2
            let isBlocks = blocks[name] != nil
            writer.declare(
                name, shape: weights[name]!.shape,
                type: isBlocks ? (shape.quantizedBits == 8 ? .q8 : .q4) : shape.isHalf && matrix ? .f16 : .f32)
        }
        if blocks.isEmpty {
            try writer.write(to: path, tensors: weights.mapValues(\.values))
        } else {
            let bytes = weights.mapValues { $0.values.withUnsafeBytes { [UInt8]($0) } }.merging(blocks) { _, blocks in blocks }
            try writer.writeBytes(to: path, fill: { name, sink in try sink(bytes[name]!) })
        }
        return path
    }

    // MARK: Oracle

    private typealias Matrix = [[Double]]

    private func linear(_ input: Matrix, _ name: String) -> Matrix {
        let weight = weights[name + ".weight"]!
        let columns = weight.shape[1]
        let bias = weights[name + ".bias"]?.values ?? [Float](repeating: 0, count: weight.shape[0])
        return weight.values.withUnsafeBufferPointer { weight in
            input.map { row in
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
        let (query, key, value) = (linear(input, stem + "attn_q"), linear(input, stem + "attn_k"), linear(input, stem + "attn_v"))
        let size = shape.width / shape.heads
        var output = input.map { _ in [Double](repeating: 0, count: shape.width) }
        for head in 0..<shape.heads {
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

    private func hiddenStates(_ tokens: [Int32], secondStart: Int?) -> Matrix {
        func row(_ name: String, _ index: Int) -> [Double] {
            weights[name]!.values[index * shape.width..<(index + 1) * shape.width].map(Double.init)
        }
        var states = tokens.enumerated().map { position, token in
            var state = zip(row("token_embd.weight", Int(token)), row("position_embd.weight", position)).map(+)
            if shape.typeCount > 0 {
                let type = position >= secondStart ?? .max ? shape.typeCount - 1 : 0
                state = zip(state, row("token_types.weight", type)).map(+)
            }
            return state
        }
        states = normalized(states, "token_embd_norm")
        for layer in 0..<shape.layers {
            let stem = "blk.\(layer)."
            states = normalized(sum(linear(attention(states, stem), stem + "attn_output"), states), stem + "attn_output_norm")
            let inner = linear(states, stem + "ffn_up").map { $0.map { $0 * 0.5 * (1 + erf($0 / 2.0.squareRoot())) } }
            states = normalized(sum(linear(inner, stem + "ffn_down"), states), stem + "layer_output_norm")
        }
        return states
    }

    /// The pooled last layer, of any length.
    func embedding(_ tokens: [Int32]) -> [Float] {
        let states = hiddenStates(tokens, secondStart: nil)
        switch shape.pooling {
        case 2: return states[0].map(Float.init)
        case 3: return states.last!.map(Float.init)
        default: return (0..<shape.width).map { column in Float(states.reduce(0) { $0 + $1[column] } / Double(states.count)) }
        }
    }

    /// The classifier over the pooled first token.
    func score(_ tokens: [Int32], secondStart: Int?) -> Float {
        let pooled = linear([hiddenStates(tokens, secondStart: secondStart)[0]], "cls").map { $0.map(tanh) }
        return Float(linear(pooled, "cls.output")[0][0])
    }

    /// `a b z` as tokens, with `[CLS]` and `[SEP]` around.
    func tokens(_ text: String) -> [Int32] { [2] + words(text) + [3] }
    func words(_ text: String) -> [Int32] {
        text.split(separator: " ").map { word in Int32(vocabulary.firstIndex(of: "\u{2581}" + word)!) }
    }

    /// Random letters with spaces between.
    static func letters(_ count: Int, using random: inout SeededGenerator) -> String {
        (0..<count).map { _ in String("abcdefghijklmnopqrstuvwxyz".randomElement(using: &random)!) }.joined(separator: " ")
    }
}
