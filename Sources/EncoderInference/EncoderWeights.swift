import CEncoder
import Foundation
import Inference
import Kernels

/// What a BERT model in a GGUF file is made of, read from its metadata and checked.
struct EncoderShape: Sendable, Equatable {
    /// How one vector is made of a sequence; llama.cpp's numbers.
    enum Pooling: Int, Sendable {
        case mean = 1
        case cls = 2
        case last = 3
        case rank = 4
    }

    var layerCount: Int
    var width: Int
    var headCount: Int
    var feedForward: Int
    var positionCount: Int
    var vocabularyCount: Int
    var typeCount: Int
    var epsilon: Float
    var pooling: Pooling

    var headSize: Int { width / headCount }

    /// - Throws: `.wrongModelKind` for anything that this encoder does not compute; llama.cpp may.
    init(_ file: GGUFFile) throws {
        func refuse(_ reason: String) -> InferenceError { .wrongModelKind(path: file.path, reason: reason) }
        guard file.architecture == "bert" else {
            throw refuse("its architecture is '\(file.architecture)'; this encoder computes 'bert'")
        }
        func integer(_ key: String, _ range: ClosedRange<Int>) throws -> Int {
            guard let value = file.integer("bert." + key) else { throw refuse("it has no metadata 'bert.\(key)'") }
            guard range.contains(value) else {
                throw refuse("'bert.\(key)' is \(value), expected \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        layerCount = try integer("block_count", 1...256)
        width = try integer("embedding_length", 1...16384)
        feedForward = try integer("feed_forward_length", 1...65536)
        headCount = try integer("attention.head_count", 1...1024)
        positionCount = try integer("context_length", 2...1 << 20)
        guard width % headCount == 0 else { throw refuse("\(width) numbers cannot be divided among \(headCount) attention heads") }
        epsilon = file.float("bert.attention.layer_norm_epsilon") ?? 1e-12
        guard epsilon >= 0 && epsilon < 1 else { throw refuse("'bert.attention.layer_norm_epsilon' is \(epsilon)") }
        guard file.bool("bert.attention.causal") != true else { throw refuse("its attention is causal") }
        guard let code = file.integer("bert.pooling_type"), let pooling = Pooling(rawValue: code) else {
            throw refuse("it names no pooling that makes one vector of a text")
        }
        self.pooling = pooling
        guard let tokens = file.tensors["token_embd.weight"], tokens.shape.count == 2, tokens.shape[1] == width else {
            throw refuse("'token_embd.weight' is missing or not \(width) wide")
        }
        vocabularyCount = tokens.shape[0]
        typeCount = file.tensors["token_types.weight"]?.shape.first ?? 0
    }
}

/// A layer's packed weights: a part of some memory that may hold others'.
struct PackedWeights: Sendable {
    fileprivate let memory: AlignedMemory
    fileprivate let offset: Int
    let size: Int

    fileprivate init(size: Int) {
        memory = AlignedMemory(size: size)
        offset = 0
        self.size = size
    }

    fileprivate init(copyOf other: PackedWeights, in memory: AlignedMemory, at offset: Int) {
        precondition(offset >= 0 && other.size <= memory.size - offset, "\(other.size) bytes at \(offset) of \(memory.size)")
        self.memory = memory
        self.offset = offset
        size = other.size
        memcpy(memory.base + offset, other.base, size)
    }

    var base: UnsafeMutablePointer<UInt8> { memory.base + offset }

    func pointer<Element>(of type: Element.Type = Element.self) -> UnsafeMutablePointer<Element> { memory.pointer(at: offset) }
}

/// A linear layer in the form that the kernels read.
struct PackedLayer: Sendable {
    /// Inputs and outputs.
    let inputs: Int
    let outputs: Int
    /// Inputs in groups of four bytes.
    let groups: Int
    /// The greatest whole number that an input may have (int16 only).
    let inputLimit: Float
    fileprivate(set) var precision: EncoderPrecision
    private(set) var weights: PackedWeights
    let bias: AlignedMemory
    let scale: AlignedMemory
    let sum: AlignedMemory

    /// - Parameters:
    ///   - weights: Shape `[outputs, inputs]`, row-major.
    ///   - bias: Shape `[outputs]`.
    init(weights source: [Float], bias values: [Float], inputs: Int, precision: EncoderPrecision, kernels: EncoderKernels) {
        let outputs = values.count
        precondition(source.count == outputs * inputs, "\(source.count) weights for \(outputs) outputs of \(inputs) inputs")
        self.inputs = inputs
        self.outputs = outputs
        self.precision = precision
        let elementSize = precision.elementSize
        // Groups of bytes go by twos.
        groups = precision == .int8 ? (inputs + 7) / 8 * 2 : (inputs * elementSize + 3) / 4
        weights = PackedWeights(size: encoder_packed_size(outputs, inputs, elementSize))
        bias = AlignedMemory(floats: padded(outputs))
        scale = AlignedMemory(floats: padded(outputs))
        sum = AlignedMemory(floats: padded(outputs))
        for (index, value) in values.enumerated() { bias.floats[index] = value }
        var limit: Float = 0
        switch precision {
        case .float32: encoder_pack_f32(source, outputs, inputs, kernels.panelWidth, weights.pointer())
        case .int16:
            // As many bits for the weights as for the inputs, and together no more than a sum of 32 bits can hold.
            var weightLimit: Int32 = 4095
            while true {
                let target = weights.pointer(of: Int16.self)
                let greatest = encoder_pack_i16(source, outputs, inputs, kernels.panelWidth, weightLimit, target, scale.floats)
                limit = min(32767, Float(Int64(Int32.max) / max(1, greatest)).rounded(.down))
                if limit * 2 >= Float(weightLimit) || weightLimit < 64 { break }
                weightLimit = (weightLimit + 1) / 2 - 1
            }
        case .int8:
            encoder_pack_i8(
                source, outputs, inputs, kernels.panelWidth, kernels.shortSums, weights.pointer(of: Int8.self),
                scale.floats,
                sum.floats)
        }
        inputLimit = limit
    }

    var size: Int { weights.size + bias.size + scale.size + sum.size }

    /// Moves the weights to a place in another memory, which begins at a multiple of 64.
    fileprivate mutating func move(to memory: AlignedMemory, at offset: inout Int) {
        weights = PackedWeights(copyOf: weights, in: memory, at: offset)
        offset += (weights.size + 63) / 64 * 64
    }
}

/// A loaded model: packed weights, embedding tables, vocabulary. Shared by all contexts that compute with it.
final class EncoderWeights: Sendable {
    struct Norm: Sendable {
        let weight: AlignedMemory
        let bias: AlignedMemory
    }

    struct Layer: Sendable {
        var queryKeyValue: PackedLayer
        var output: PackedLayer
        var outputNorm: Norm
        var up: PackedLayer
        var down: PackedLayer
        var layerNorm: Norm
    }

    /// The two layers that make scores of a pooled first token; the pooler may be missing.
    struct Classifier: Sendable {
        var pooler: PackedLayer?
        var output: PackedLayer
    }

    let path: String
    /// The file's name without `.gguf`.
    let name: String
    let shape: EncoderShape
    let precision: EncoderPrecision
    let kernels: EncoderKernels
    let tokenizer: any SequenceTokenizer
    /// What the file wants before a question and before a passage; nil where it says nothing.
    let prefixes: EmbeddingPrefixes?
    let embeddingNorm: Norm
    let layers: [Layer]
    let classifier: Classifier?
    private let file: GGUFFile
    private let tokenTable: GGUFFile.Tensor
    private let positions: AlignedMemory
    private let types: AlignedMemory

    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable` for a damaged file, `.wrongModelKind` for a model of another kind.
    init(path: String, precision: EncoderPrecision, instructionSet: InstructionSet = .bestForEncoder) throws {
        let file = try GGUFFile(path: path)
        let shape = try EncoderShape(file)
        let kernels = EncoderKernels(instructionSet)
        self.path = path
        self.file = file
        self.shape = shape
        self.precision = precision
        self.kernels = kernels
        let last = URL(fileURLWithPath: path).lastPathComponent
        name = last.hasSuffix(".gguf") ? String(last.dropLast(5)) : last
        tokenizer = try Self.tokenizer(file, shape)
        let keys = ["outrider.prefix.query", "outrider.prefix.document"].map { file.string($0) }
        prefixes = keys.contains { $0 != nil } ? EmbeddingPrefixes(query: keys[0] ?? "", document: keys[1] ?? "") : nil

        let reader = TensorReader(file: file, kernels: kernels)
        let width = shape.width
        tokenTable = try reader.tensor("token_embd.weight", [shape.vocabularyCount, width])
        _ = try file.bytes(of: tokenTable)
        positions = try reader.memory("position_embd.weight", [shape.positionCount, width])
        types = shape.typeCount > 0 ? try reader.memory("token_types.weight", [shape.typeCount, width]) : AlignedMemory(floats: width)
        embeddingNorm = try reader.norm("token_embd_norm", width)
        // One block for the weights of all layers, in the order in which they are read.
        let sizes = [(3 * width, width), (width, width), (shape.feedForward, width), (width, shape.feedForward)].map { outputs, inputs in
            (encoder_packed_size(outputs, inputs, precision.elementSize) + 63) / 64 * 64
        }
        let hugePage = 2 << 20
        let total = sizes.reduce(0, +) * shape.layerCount
        let isLarge = total >= 2 * hugePage
        let block = AlignedMemory(
            size: isLarge ? (total + hugePage - 1) / hugePage * hugePage : total, alignment: isLarge ? hugePage : 64, hugePages: isLarge)
        var place = 0
        var layers: [Layer] = []
        for index in 0..<shape.layerCount {
            let stem = "blk.\(index)."
            // Scores are divided by the square root of the head size; the queries' weights take the division.
            let divisor = 1 / Float(shape.headSize).squareRoot()
            var weights = try reader.floats(stem + "attn_q.weight", [width, width]).map { $0 * divisor }
            var bias = try reader.bias(stem + "attn_q.bias", width).map { $0 * divisor }
            for part in ["attn_k", "attn_v"] {
                weights += try reader.floats(stem + part + ".weight", [width, width])
                bias += try reader.bias(stem + part + ".bias", width)
            }
            var layer = Layer(
                queryKeyValue: PackedLayer(weights: weights, bias: bias, inputs: width, precision: precision, kernels: kernels),
                output: try reader.linear(stem + "attn_output", width, width, precision),
                outputNorm: try reader.norm(stem + "attn_output_norm", width),
                up: try reader.linear(stem + "ffn_up", shape.feedForward, width, precision),
                down: try reader.linear(stem + "ffn_down", width, shape.feedForward, precision),
                layerNorm: try reader.norm(stem + "layer_output_norm", width))
            layer.queryKeyValue.move(to: block, at: &place)
            layer.output.move(to: block, at: &place)
            layer.up.move(to: block, at: &place)
            layer.down.move(to: block, at: &place)
            layers.append(layer)
        }
        self.layers = layers
        classifier = shape.pooling == .rank ? try Self.classifier(reader, shape) : nil
    }

    /// Bytes of packed weights and tables in memory; the token table stays in the file.
    var size: Int {
        let packed = layers.reduce(0) { $0 + $1.queryKeyValue.size + $1.output.size + $1.up.size + $1.down.size }
        return packed + positions.size + types.size
    }

    /// Adds up the embeddings of a token, its position and its type.
    ///
    /// - Parameter row: Receives `width` numbers.
    func embed(token: Int32, position: Int, type: Int, into row: UnsafeMutablePointer<Float>) {
        let width = shape.width
        precondition(Int(token) >= 0 && Int(token) < shape.vocabularyCount, "token \(token) of \(shape.vocabularyCount)")
        precondition(position < shape.positionCount, "position \(position) of \(shape.positionCount)")
        // The tensor was looked at in `init`.
        guard let (bytes, elements) = try? file.bytes(of: tokenTable), let start = bytes.baseAddress else { return }
        // Rows are whole blocks: checked by `bytes(of:)`.
        elements.read(start + Int(token) * (width / elements.blockCount * elements.blockSize), count: width, into: row, kernels)
        let position = positions.floats + position * width
        let type = types.floats + min(type, max(0, shape.typeCount - 1)) * width
        for index in 0..<width { row[index] += position[index] + type[index] }
    }

    private static func tokenizer(_ file: GGUFFile, _ shape: EncoderShape) throws -> any SequenceTokenizer {
        // llama.cpp calls every unigram vocabulary "t5".
        guard let words = try file.strings("tokenizer.ggml.tokens"), let kind = file.string("tokenizer.ggml.model"),
            ["bert", "t5"].contains(kind)
        else {
            throw InferenceError.wrongModelKind(path: file.path, reason: "its tokenizer is neither WordPiece ('bert') nor unigram ('t5')")
        }
        guard words.count == shape.vocabularyCount else {
            throw InferenceError.modelUnreadable(
                path: file.path, reason: "the vocabulary has \(words.count) tokens, the embedding table \(shape.vocabularyCount)")
        }
        let kinds = file.integers("tokenizer.ggml.token_type")
        if kind == "t5" {
            guard shape.pooling != .rank else {
                throw InferenceError.wrongModelKind(path: file.path, reason: "this encoder makes pairs for WordPiece models only")
            }
            guard let scores = file.floats("tokenizer.ggml.scores") else {
                throw InferenceError.modelUnreadable(path: file.path, reason: "its unigram vocabulary has no scores")
            }
            return try UnigramTokenizer(
                vocabulary: words, scores: scores, isPiece: { index in kinds.map { $0.indices.contains(index) && $0[index] == 1 } ?? true },
                normalizer: file.integers("outrider.unigram.normalizer"),
                classToken: file.integer("tokenizer.ggml.cls_token_id") ?? file.integer("tokenizer.ggml.bos_token_id") ?? 0,
                separatorToken: file.integer("tokenizer.ggml.eos_token_id") ?? 2,
                unknownToken: file.integer("tokenizer.ggml.unknown_token_id") ?? 3)
        }
        func special(_ keys: [String], _ name: String) throws -> String {
            for key in keys {
                guard let index = file.integer("tokenizer.ggml.\(key)_token_id") else { continue }
                guard words.indices.contains(index) else {
                    throw InferenceError.modelUnreadable(path: file.path, reason: "the special token \(key) is \(index) of \(words.count)")
                }
                return words[index]
            }
            return name
        }
        let lowercase = file.bool("tokenizer.ggml.normalizer.lowercase") ?? true
        return try WordPieceTokenizer(
            vocabulary: WordPieceTokenizer.vocabulary(fromGGUF: words, kinds: kinds), isUncased: lowercase,
            stripsAccents: file.bool("tokenizer.ggml.normalizer.strip_accents"),
            unknownToken: special(["unknown"], "[UNK]"), classToken: special(["cls", "bos"], "[CLS]"),
            separatorToken: special(["seperator", "separator", "eos"], "[SEP]"), paddingToken: special(["padding"], "[PAD]"))
    }

    /// `cls` is BERT's pooler and `cls.output` the classifier; a file without the second has one layer only.
    private static func classifier(_ reader: TensorReader, _ shape: EncoderShape) throws -> Classifier {
        let names = reader.file.tensors
        if let output = names["cls.output.weight"] {
            let pooler = names["cls.weight"] == nil ? nil : try reader.linear("cls", shape.width, shape.width, .float32)
            return Classifier(pooler: pooler, output: try reader.linear("cls.output", output.shape[0], shape.width, .float32))
        }
        guard let only = names["cls.weight"], only.shape.count == 2, only.shape[0] < shape.width else {
            throw InferenceError.wrongModelKind(
                path: reader.file.path, reason: "it scores pairs, but has no classifier 'cls.output.weight'")
        }
        return Classifier(pooler: nil, output: try reader.linear("cls", only.shape[0], shape.width, .float32))
    }
}

/// Reads tensors as floats, with their shapes checked.
private struct TensorReader {
    let file: GGUFFile
    let kernels: EncoderKernels

    func tensor(_ name: String, _ shape: [Int]) throws -> GGUFFile.Tensor {
        guard let tensor = file.tensors[name] else {
            throw InferenceError.wrongModelKind(path: file.path, reason: "it has no tensor '\(name)', which BERT has")
        }
        // A vector may be stored as a matrix of one row or column.
        guard tensor.shape.filter({ $0 != 1 }) == shape.filter({ $0 != 1 }) else {
            throw InferenceError.modelUnreadable(
                path: file.path, reason: "the tensor '\(name)' has shape \(tensor.shape), the metadata asks for \(shape)")
        }
        return tensor
    }

    func memory(_ name: String, _ shape: [Int], padding: Int = 0) throws -> AlignedMemory {
        let tensor = try tensor(name, shape)
        let (bytes, type) = try file.bytes(of: tensor)
        let count = tensor.elementCount
        let memory = AlignedMemory(floats: count + padding)
        type.read(bytes.baseAddress!, count: count, into: memory.floats, kernels)
        var sum: Float = 0
        // Zero for finite numbers, not a number for others.
        for index in 0..<count { sum += memory.floats[index] * 0 }
        guard sum == 0 else {
            throw InferenceError.modelUnreadable(
                path: file.path, reason: "the tensor '\(name)' holds what is not a number; get the model again")
        }
        return memory
    }

    func floats(_ name: String, _ shape: [Int]) throws -> [Float] {
        let memory = try memory(name, shape)
        return withExtendedLifetime(memory) { Array(UnsafeBufferPointer(start: memory.floats, count: shape.reduce(1, *))) }
    }

    /// Zeros where the file has none.
    func bias(_ name: String, _ count: Int) throws -> [Float] {
        file.tensors[name] == nil ? [Float](repeating: 0, count: count) : try floats(name, [count])
    }

    func linear(_ stem: String, _ outputs: Int, _ inputs: Int, _ precision: EncoderPrecision) throws -> PackedLayer {
        PackedLayer(
            weights: try floats(stem + ".weight", [outputs, inputs]), bias: try bias(stem + ".bias", outputs), inputs: inputs,
            precision: precision, kernels: kernels)
    }

    func norm(_ stem: String, _ width: Int) throws -> EncoderWeights.Norm {
        let padding = padded(width) - width
        return EncoderWeights.Norm(
            weight: try memory(stem + ".weight", [width], padding: padding), bias: try memory(stem + ".bias", [width], padding: padding))
    }
}

extension GGUFFile.ElementType {
    /// Elements as floats.
    ///
    /// - Parameters:
    ///   - source: The first element's bytes; whole blocks.
    ///   - target: Receives `count` numbers.
    fileprivate func read(_ source: UnsafeRawPointer, count: Int, into target: UnsafeMutablePointer<Float>, _ kernels: EncoderKernels) {
        switch self {
        case .f32: memcpy(target, source, count * 4)
        case .f16: kernels.widen(source.assumingMemoryBound(to: UInt16.self), target, count)
        case .q4, .q8:
            for block in 0..<count / 32 {
                let bytes = source + block * blockSize
                var half = bytes.loadUnaligned(as: UInt16.self)
                var scale: Float = 0
                kernels.widen(&half, &scale, 1)
                let output = target + block * 32
                for index in 0..<(self == .q8 ? 32 : 16) {
                    let byte = bytes.load(fromByteOffset: 2 + index, as: UInt8.self)
                    if self == .q8 {
                        output[index] = scale * Float(Int8(bitPattern: byte))
                    } else {
                        output[index] = scale * Float(Int(byte & 15) - 8)
                        output[index + 16] = scale * Float(Int(byte >> 4) - 8)
                    }
                }
            }
        }
    }
}
