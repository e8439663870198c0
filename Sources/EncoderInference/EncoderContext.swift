import CEncoder
import Foundation
import Inference
import Kernels

/// Tokens of one sequence. A pair of texts has token type 0 up to `secondStart` and 1 from there on.
struct EncoderInput: Sendable {
    var tokens: [Int32]
    /// Position of the first token of the second text; nil for one text.
    var secondStart: Int?
}

/// Computes one vector, or the scores, of each sequence of a batch. Belongs to one thread; the weights are shared.
///
/// A batch is one tall matrix without padding, so its cost is that of its tokens, whatever their lengths:
///
/// ```
///  text 1: t t t t t      ┐  rows of one matrix      q k v of all rows: one product
///  text 2: t t t          ├─►  [tokens, width]  ──►  attention: text by text, head by head   ──► … ──► pooling, text by text
///  text 3: t t t t t t t  ┘                          output, feed-forward: products of all rows
/// ```
///
/// Each layer is (Devlin et al. 2019, with normalisation after each residual sum, as in Vaswani et al. 2017):
/// x ← norm(x + output(attention(x))), then x ← norm(x + down(gelu(up(x)))). The inner width of the feed-forward part is several times the
/// model's, so its rows are taken in chunks that stay in the second cache.
final class EncoderContext {
    private let weights: EncoderWeights
    private let kernels: EncoderKernels
    private let tokenMax: Int
    /// Numbers per sequence.
    let width: Int

    /// Rows of the feed-forward part that are computed together: ten tiles of twelve.
    private static let chunk = 120

    // Strides, in floats; a little more than the width, so that rows do not fall onto the same lines of the cache.
    private let ldHidden: Int
    private let ldProjection: Int
    private let ldInner: Int
    private let hidden: AlignedMemory
    private let projection: AlignedMemory
    private let attended: AlignedMemory
    private let inner: AlignedMemory
    private let quantized: AlignedMemory
    private let scale: AlignedMemory
    private let zero: AlignedMemory
    private let attentionScratch: AlignedMemory

    /// - Parameter tokenMax: Most tokens of one batch, of all sequences together.
    init(weights: EncoderWeights, tokenMax: Int) {
        precondition(tokenMax > 0, "\(tokenMax) tokens")
        self.weights = weights
        kernels = weights.kernels
        self.tokenMax = tokenMax
        let shape = weights.shape
        width = weights.classifier.map(\.output.outputs) ?? shape.width
        ldHidden = padded(shape.width) + encoderPadding
        ldProjection = padded(3 * shape.width) + encoderPadding
        ldInner = padded(shape.feedForward) + encoderPadding
        hidden = AlignedMemory(floats: tokenMax * ldHidden)
        projection = AlignedMemory(floats: tokenMax * ldProjection)
        attended = AlignedMemory(floats: tokenMax * ldHidden)
        inner = AlignedMemory(floats: Self.chunk * ldInner)
        // Wide enough for the inner rows of a chunk and for the rows of all tokens, at two bytes an element.
        quantized = AlignedMemory(size: max(tokenMax * ldHidden, Self.chunk * ldInner) * 2)
        scale = AlignedMemory(floats: max(tokenMax, Self.chunk))
        zero = AlignedMemory(floats: max(tokenMax, Self.chunk))
        attentionScratch = AlignedMemory(floats: encoder_attention_scratch(min(tokenMax, shape.positionCount), shape.headSize))
    }

    /// Bytes of scratch memory.
    var size: Int {
        [hidden, projection, attended, inner, quantized, attentionScratch].reduce(0) { $0 + $1.size }
    }

    /// - Returns: Shape `[inputs.count, width]`, row-major: pooled vectors as the model makes them (not of unit length), or scores.
    /// - Precondition: No input is empty or longer than the model's positions; together they have at most `tokenMax` tokens.
    func encode(_ inputs: [EncoderInput]) -> [Float] {
        let count = inputs.reduce(0) { $0 + $1.tokens.count }
        precondition(count <= tokenMax, "\(count) tokens in a batch of at most \(tokenMax)")
        precondition(
            inputs.allSatisfy { !$0.tokens.isEmpty && $0.tokens.count <= weights.shape.positionCount }, "an input is empty or too long")
        guard count > 0 else { return [] }
        embed(inputs)
        let lengths = inputs.map(\.tokens.count)
        for layer in weights.layers { run(layer, lengths: lengths, count: count) }
        let pooled = pool(lengths)
        guard let classifier = weights.classifier else { return pooled }
        return classify(pooled, count: inputs.count, classifier)
    }

    private func embed(_ inputs: [EncoderInput]) {
        var row = 0
        for input in inputs {
            for (position, token) in input.tokens.enumerated() {
                let type = position >= input.secondStart ?? .max ? 1 : 0
                weights.embed(token: token, position: position, type: type, into: hidden.floats + row * ldHidden)
                row += 1
            }
        }
        normalize(count: row, weights.embeddingNorm)
    }

    private func run(_ layer: EncoderWeights.Layer, lengths: [Int], count: Int) {
        multiply(hidden.floats, ldHidden, count, layer.queryKeyValue, into: projection.floats, ldProjection)
        attend(lengths)
        multiply(attended.floats, ldHidden, count, layer.output, into: hidden.floats, ldHidden, residual: hidden.floats)
        normalize(count: count, layer.outputNorm)
        for first in stride(from: 0, to: count, by: Self.chunk) {
            let rows = hidden.floats + first * ldHidden
            let chunk = min(Self.chunk, count - first)
            multiply(rows, ldHidden, chunk, layer.up, into: inner.floats, ldInner, gelu: true)
            multiply(inner.floats, ldInner, chunk, layer.down, into: rows, ldHidden, residual: rows)
        }
        normalize(count: count, layer.layerNorm)
    }

    private func normalize(count: Int, _ norm: EncoderWeights.Norm) {
        kernels.normalize(hidden.floats, ldHidden, count, weights.shape.width, norm.weight.floats, norm.bias.floats, weights.shape.epsilon)
    }

    /// One product, its input quantised first where the layer's weights are.
    private func multiply(
        _ input: UnsafeMutablePointer<Float>, _ ld: Int, _ count: Int, _ layer: PackedLayer, into output: UnsafeMutablePointer<Float>,
        _ ldOutput: Int, residual: UnsafeMutablePointer<Float>? = nil, gelu: Bool = false
    ) {
        var product = encoder_product()
        product.b = UnsafeRawPointer(layer.weights.base)
        product.b_scale = UnsafePointer(layer.scale.floats)
        product.b_sum = UnsafePointer(layer.sum.floats)
        product.bias = UnsafePointer(layer.bias.floats)
        product.residual = residual.map { UnsafePointer($0) }
        product.ldr = ldOutput
        product.c = output
        product.ldc = ldOutput
        product.m = count
        product.n = padded(layer.outputs)
        product.groups = layer.groups
        product.gelu = gelu ? 1 : 0
        product.a_scale = UnsafePointer(scale.floats)
        product.a_zero = UnsafePointer(zero.floats)
        switch layer.precision {
        case .float32:
            product.a = UnsafeRawPointer(input)
            product.lda = ld
            kernels.productF32(&product)
        case .int16:
            product.a = UnsafeRawPointer(quantized.base)
            product.lda = padded(layer.inputs) / 2 + encoderPadding / 2
            let target = quantized.pointer(of: Int16.self)
            kernels.quantizeI16(input, ld, count, layer.inputs, layer.inputLimit, target, product.lda, scale.floats)
            kernels.productI16(&product)
        case .int8:
            product.a = UnsafeRawPointer(quantized.base)
            product.lda = padded(layer.inputs) / 4 + encoderPadding / 2
            let target = quantized.pointer(of: UInt8.self)
            kernels.quantizeI8(input, ld, count, layer.inputs, target, product.lda, scale.floats, zero.floats)
            kernels.productI8(&product)
        }
    }

    private func attend(_ lengths: [Int]) {
        let shape = weights.shape
        var attention = encoder_attention()
        attention.ldqkv = ldProjection
        attention.width = shape.width
        attention.heads = shape.headCount
        attention.head_size = shape.headSize
        attention.ldout = ldHidden
        attention.scratch = attentionScratch.floats
        var row = 0
        for length in lengths {
            attention.length = length
            attention.qkv = UnsafePointer(projection.floats + row * ldProjection)
            attention.out = attended.floats + row * ldHidden
            kernels.attention(&attention)
            row += length
        }
    }

    /// Shape `[lengths.count, width of the model]`.
    private func pool(_ lengths: [Int]) -> [Float] {
        let width = weights.shape.width
        var pooled = [Float](repeating: 0, count: lengths.count * width)
        pooled.withUnsafeMutableBufferPointer { pooled in
            var row = 0
            for (index, length) in lengths.enumerated() {
                let target = pooled.baseAddress! + index * width
                switch weights.shape.pooling {
                case .mean:
                    for token in row..<row + length {
                        let source = hidden.floats + token * ldHidden
                        for column in 0..<width { target[column] += source[column] }
                    }
                    for column in 0..<width { target[column] /= Float(length) }
                case .cls, .rank: target.update(from: hidden.floats + row * ldHidden, count: width)
                case .last: target.update(from: hidden.floats + (row + length - 1) * ldHidden, count: width)
                }
                row += length
            }
        }
        return pooled
    }

    /// tanh(pooler(first token)), then the classifier (Devlin et al. 2019, `BertForSequenceClassification`).
    private func classify(_ pooled: [Float], count: Int, _ classifier: EncoderWeights.Classifier) -> [Float] {
        let modelWidth = weights.shape.width
        var scores: [Float] = []
        // The memory of one row of the hidden states is free by now.
        let rows = min(count, tokenMax)
        precondition(rows == count, "\(count) sequences of at most \(tokenMax) tokens")
        for index in 0..<count {
            (hidden.floats + index * ldHidden).update(from: Array(pooled[index * modelWidth..<(index + 1) * modelWidth]), count: modelWidth)
        }
        var input = hidden.floats
        if let pooler = classifier.pooler {
            multiply(hidden.floats, ldHidden, count, pooler, into: attended.floats, ldHidden)
            input = attended.floats
            for index in 0..<count {
                for column in 0..<modelWidth { input[index * ldHidden + column] = tanh(input[index * ldHidden + column]) }
            }
        }
        let ldScores = padded(classifier.output.outputs)
        let output = AlignedMemory(floats: count * ldScores)
        multiply(input, ldHidden, count, classifier.output, into: output.floats, ldScores)
        for index in 0..<count { scores += UnsafeBufferPointer(start: output.floats + index * ldScores, count: width) }
        return withExtendedLifetime(output) { scores }
    }
}
