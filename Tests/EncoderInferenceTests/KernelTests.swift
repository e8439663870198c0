import CEncoder
import Foundation
import Kernels
import TestSupport
import Testing

@testable import EncoderInference

/// Each instruction set of this machine against double precision, at sizes around every vector and tile width.
@Suite struct KernelTests {
    static let sets = InstructionSet.supportedByEncoder

    /// A matrix in the kernels' layout: padded stride, zeros in the padding.
    private struct Rows {
        let memory: AlignedMemory
        let ld: Int
        init(_ values: [Float], width: Int) {
            ld = padded(width) + encoderPadding
            memory = AlignedMemory(floats: max(1, values.count / width) * ld)
            for (index, value) in values.enumerated() { memory.floats[index / width * ld + index % width] = value }
        }
        subscript(row: Int, column: Int) -> Float { memory.floats[row * ld + column] }
    }

    private enum Epilogue: CaseIterable { case bias, residual, gelu }

    /// Runs one product and hands over the result with the operands that went in after rounding, as doubles.
    private func check(_ kernels: EncoderKernels, _ precision: EncoderPrecision, m: Int, n: Int, k: Int, seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let (input, weights, bias, residual) = (random.floats(m * k), random.floats(n * k), random.floats(n), random.floats(m * n))
        let layer = PackedLayer(weights: weights, bias: bias, inputs: k, precision: precision, kernels: kernels)
        let a = Rows(input, width: k)
        let quantized = AlignedMemory(size: m * a.ld * 4)
        let (scale, zero) = (AlignedMemory(floats: m), AlignedMemory(floats: m))
        for epilogue in Epilogue.allCases {
            let (c, r) = (Rows([Float](repeating: 7, count: m * n), width: n), Rows(residual, width: n))
            var product = encoder_product()
            product.a = UnsafeRawPointer(a.memory.base)
            product.lda = a.ld
            product.b = UnsafeRawPointer(layer.weights.base)
            product.bias = UnsafePointer(layer.bias.floats)
            product.a_scale = UnsafePointer(scale.floats)
            product.a_zero = UnsafePointer(zero.floats)
            product.b_scale = UnsafePointer(layer.scale.floats)
            product.b_sum = UnsafePointer(layer.sum.floats)
            product.c = c.memory.floats
            product.ldc = c.ld
            product.m = m
            product.n = padded(n)
            product.groups = layer.groups
            if epilogue == .residual {
                product.residual = UnsafePointer(r.memory.floats)
                product.ldr = r.ld
            }
            product.gelu = epilogue == .gelu ? 1 : 0
            // Half a unit of each operand, times the other's size, as the sum of k independent errors; eight times that is never reached.
            var tolerance = 1e-6 * Double(k).squareRoot() * 8
            switch precision {
            case .float32: kernels.productF32(&product)
            case .int16:
                product.a = UnsafeRawPointer(quantized.base)
                product.lda = padded(k) / 2 + 16
                kernels.quantizeI16(
                    a.memory.floats, a.ld, m, k, layer.inputLimit, quantized.pointer(of: Int16.self), product.lda,
                    scale.floats)
                kernels.productI16(&product)
                tolerance += (1 / Double(layer.inputLimit) + 1 / 1023) * Double(k).squareRoot() * 4
            case .int8:
                product.a = UnsafeRawPointer(quantized.base)
                product.lda = padded(k) / 4 + 16
                kernels.quantizeI8(
                    a.memory.floats, a.ld, m, k, quantized.pointer(of: UInt8.self), product.lda, scale.floats, zero.floats
                )
                kernels.productI8(&product)
                tolerance += (1 / 127.0 + 1 / (kernels.shortSums == 0 ? 127.0 : 63.0)) * Double(k).squareRoot() * 2 + 0.02
            }
            for row in 0..<m {
                for column in 0..<c.ld {
                    var expected = 0.0
                    if column < n {
                        expected = Double(bias[column])
                        for i in 0..<k { expected += Double(input[row * k + i]) * Double(weights[column * k + i]) }
                        if epilogue == .residual { expected += Double(residual[row * n + column]) }
                        if epilogue == .gelu { expected *= 0.5 * (1 + erf(expected / 2.0.squareRoot())) }
                    }
                    let found = Double(c[row, column])
                    if abs(found - expected) > tolerance || found.isNaN {
                        Issue.record(
                            "\(kernels.instructionSet) \(precision) \(m)x\(n)x\(k) \(epilogue) at \(row), \(column): \(found), not \(expected)"
                        )
                        return
                    }
                }
            }
        }
    }

    @Test(arguments: sets, EncoderPrecision.allCases)
    func `a product is the sum of products, whatever the size`(set: InstructionSet, precision: EncoderPrecision) {
        let kernels = EncoderKernels(set)
        for m in [1, 5, 6, 7, 12, 13, 25] {
            for (n, k) in [(1, 1), (31, 3), (32, 8), (33, 17), (70, 33), (96, 64)] {
                check(kernels, precision, m: m, n: n, k: k, seed: UInt64(m * 10_000 + n * 100 + k))
            }
        }
    }

    /// Integer arithmetic is exact, so every set must give what the plain lines give, up to the rounding of the last multiplication.
    @Test(arguments: sets)
    func `integer products are exact`(set: InstructionSet) {
        let (m, n, k) = (13, 40, 100)
        var random = SeededGenerator(seed: 99)
        let kernels = EncoderKernels(set)
        let (weights, bias) = (random.floats(n * k), [Float](repeating: 0, count: n))
        for precision in [EncoderPrecision.int16, .int8] {
            let layer = PackedLayer(weights: weights, bias: bias, inputs: k, precision: precision, kernels: kernels)
            let a = Rows(random.floats(m * k), width: k)
            let quantized = AlignedMemory(size: m * a.ld * 4)
            let (scale, zero) = (AlignedMemory(floats: m), AlignedMemory(floats: m))
            let c = Rows([Float](repeating: 0, count: m * n), width: n)
            var product = encoder_product()
            product.a = UnsafeRawPointer(quantized.base)
            product.lda = padded(k) / (4 / precision.elementSize) + 16
            product.b = UnsafeRawPointer(layer.weights.base)
            product.a_scale = UnsafePointer(scale.floats)
            product.a_zero = UnsafePointer(zero.floats)
            product.b_scale = UnsafePointer(layer.scale.floats)
            product.b_sum = UnsafePointer(layer.sum.floats)
            product.c = c.memory.floats
            product.ldc = c.ld
            (product.m, product.n, product.groups) = (m, padded(n), layer.groups)
            func weight(_ column: Int, _ input: Int) -> Int {
                let group = 4 / precision.elementSize
                let panel = column / kernels.panelWidth * kernels.panelWidth * layer.groups
                let index = (panel + input / group * kernels.panelWidth + column % kernels.panelWidth) * group + input % group
                return precision == .int16
                    ? Int(UnsafeRawPointer(layer.weights.base).load(fromByteOffset: index * 2, as: Int16.self))
                    : Int(UnsafeRawPointer(layer.weights.base).load(fromByteOffset: index, as: Int8.self))
            }
            func input(_ row: Int, _ index: Int) -> Int {
                let first = row * product.lda * 4
                switch precision {
                case .int16: return Int(UnsafeRawPointer(quantized.base).load(fromByteOffset: first + index * 2, as: Int16.self))
                default:
                    return set == .neon
                        ? Int(UnsafeRawPointer(quantized.base).load(fromByteOffset: first + index, as: Int8.self))
                        : Int(UnsafeRawPointer(quantized.base).load(fromByteOffset: first + index, as: UInt8.self))
                }
            }
            if precision == .int16 {
                kernels.quantizeI16(
                    a.memory.floats, a.ld, m, k, layer.inputLimit, quantized.pointer(of: Int16.self), product.lda,
                    scale.floats)
                kernels.productI16(&product)
            } else {
                kernels.quantizeI8(
                    a.memory.floats, a.ld, m, k, quantized.pointer(of: UInt8.self), product.lda, scale.floats, zero.floats
                )
                kernels.productI8(&product)
            }
            for row in 0..<m {
                for column in 0..<n {
                    let sum = (0..<k).reduce(0) { $0 + (input(row, $1) - Int(zero.floats[row])) * weight(column, $1) }
                    let unit = Double(scale.floats[row]) * Double(layer.scale.floats[column])
                    // A float holds the sum before the zero is taken off to one part in 2^24.
                    let slack = abs(Double(sum) * unit) * 1e-6 + (precision == .int8 ? 4 * unit : 0)
                    #expect(abs(Double(c[row, column]) - Double(sum) * unit) <= slack, "\(set) \(precision) at \(row), \(column)")
                }
            }
        }
    }

    @Test(arguments: sets)
    func `the greatest weights and inputs do not overflow 16-bit products`(set: InstructionSet) {
        let kernels = EncoderKernels(set)
        for k in [2, 384, 1536, 6000] {
            let n = 40
            let layer = PackedLayer(
                weights: [Float](repeating: -1, count: n * k), bias: [Float](repeating: 0, count: n), inputs: k, precision: .int16,
                kernels: kernels)
            let a = Rows([Float](repeating: 1, count: k), width: k)
            let quantized = AlignedMemory(size: a.ld * 4)
            let (scale, c) = (AlignedMemory(floats: 1), Rows([Float](repeating: 0, count: n), width: n))
            var product = encoder_product()
            product.a = UnsafeRawPointer(quantized.base)
            product.lda = padded(k) / 2 + 16
            product.b = UnsafeRawPointer(layer.weights.base)
            product.a_scale = UnsafePointer(scale.floats)
            product.b_scale = UnsafePointer(layer.scale.floats)
            product.c = c.memory.floats
            product.ldc = c.ld
            (product.m, product.n, product.groups) = (1, padded(n), layer.groups)
            kernels.quantizeI16(
                a.memory.floats, a.ld, 1, k, layer.inputLimit, quantized.pointer(of: Int16.self), product.lda,
                scale.floats)
            kernels.productI16(&product)
            for column in 0..<n { #expect(abs(c[0, column] + Float(k)) < Float(k) * 0.001, "\(k) inputs: \(c[0, column])") }
        }
    }

    /// Rows of extremes: where sums are kept in 16 bits, the packing alone keeps them from overflowing.
    @Test(arguments: sets, [1, 7, 8, 9, 384, 1001])
    func `the greatest weights and inputs do not overflow byte products`(set: InstructionSet, k: Int) {
        let kernels = EncoderKernels(set)
        let n = 33
        var random = SeededGenerator(seed: UInt64(k))
        var weights = random.floats(n * k)
        // Fifteen columns of extremes: of one sign, of both in turn, by twos, by fours; alike, or some great among small ones. The rest as they are.
        for column in 0..<15 {
            for index in 0..<k {
                let isNegative: Bool
                switch column % 5 {
                case 0: isNegative = false
                case 1: isNegative = true
                case 2: isNegative = index % 2 == 1
                case 3: isNegative = index / 2 % 2 == 1
                default: isNegative = index / 4 % 2 == 1
                }
                let size: Float = column < 5 || index % 7 == 0 ? 1 : column < 10 ? 0.01 : 0.5
                weights[column * k + index] = isNegative ? -size : size
            }
        }
        let layer = PackedLayer(weights: weights, bias: [Float](repeating: 0, count: n), inputs: k, precision: .int8, kernels: kernels)
        func level(_ column: Int, _ input: Int) -> Int {
            let panel = column / kernels.panelWidth * kernels.panelWidth * layer.groups
            let index = (panel + input / 4 * kernels.panelWidth + column % kernels.panelWidth) * 4 + input % 4
            return Int(UnsafeRawPointer(layer.weights.base).load(fromByteOffset: index, as: Int8.self))
        }
        var wasNarrowed = false
        for column in 0..<n {
            let levels = (0..<layer.groups * 4).map { level(column, $0) }
            #expect(levels.dropFirst(k).allSatisfy { $0 == 0 })
            let greatest = levels.map(abs).max()!
            wasNarrowed = wasNarrowed || greatest < 127
            guard kernels.shortSums != 0 else { continue }
            for first in stride(from: 0, to: levels.count, by: 8) {
                for lane in [0, 2] {
                    let four: [Int] = [0, 1, 4, 5].map { levels[first + lane + $0] }
                    let positive = four.filter { $0 > 0 }.reduce(0, +)
                    let negative = four.filter { $0 < 0 }.reduce(0, +)
                    #expect(positive <= 128 && negative >= -128)
                }
            }
        }
        #expect(wasNarrowed == (kernels.shortSums != 0 && k > 1), "the weights are as fine as they can be")

        // All inputs great, all small, and every second one.
        var inputs = [Float](repeating: 1, count: 3 * k)
        for index in 0..<k {
            inputs[k + index] = -1
            if index % 2 == 1 { inputs[2 * k + index] = -1 }
        }
        let a = Rows(inputs, width: k)
        let quantized = AlignedMemory(size: 3 * a.ld * 4)
        let (scale, zero) = (AlignedMemory(floats: 3), AlignedMemory(floats: 3))
        let c = Rows([Float](repeating: 0, count: 3 * n), width: n)
        var product = encoder_product()
        product.a = UnsafeRawPointer(quantized.base)
        product.lda = padded(k) / 4 + 16
        product.b = UnsafeRawPointer(layer.weights.base)
        product.a_scale = UnsafePointer(scale.floats)
        product.a_zero = UnsafePointer(zero.floats)
        product.b_scale = UnsafePointer(layer.scale.floats)
        product.b_sum = UnsafePointer(layer.sum.floats)
        product.c = c.memory.floats
        product.ldc = c.ld
        (product.m, product.n, product.groups) = (3, padded(n), layer.groups)
        kernels.quantizeI8(a.memory.floats, a.ld, 3, k, quantized.pointer(of: UInt8.self), product.lda, scale.floats, zero.floats)
        kernels.productI8(&product)
        for row in 0..<3 {
            for column in 0..<n {
                var (expected, size) = (0.0, 0.0)
                for index in 0..<k {
                    let weight = Double(level(column, index))
                    expected += Double(inputs[row * k + index]) * weight
                    size += abs(weight)
                }
                // An input is at most one of 255 levels away from what it stands for; an overflow would be 65 536 / 255 away.
                let difference = abs(Double(c[row, column]) / Double(layer.scale.floats[column]) - expected)
                #expect(difference <= size * 0.01, "row \(row), column \(column)")
            }
        }
    }

    @Test(arguments: sets, [1, 8, 11, 32, 33, 64])
    func `attention is the weighted mean of the values`(set: InstructionSet, size: Int) {
        let kernels = EncoderKernels(set)
        let heads = 2
        let width = heads * size
        for length in [1, 2, 12, 13, 32, 33] {
            var random = SeededGenerator(seed: UInt64(size * 1000 + length))
            // Some scores far apart, so that the softmax works over a range.
            let values = random.floats(length * 3 * width, scale: length % 2 == 0 ? 1 : 6)
            let qkv = Rows(values, width: 3 * width)
            let out = Rows([Float](repeating: 0, count: length * width), width: width)
            let scratch = AlignedMemory(floats: encoder_attention_scratch(length, size))
            // Scratch memory is never clean in use.
            for index in 0..<encoder_attention_scratch(length, size) { scratch.floats[index] = .nan }
            var attention = encoder_attention()
            attention.qkv = UnsafePointer(qkv.memory.floats)
            attention.ldqkv = qkv.ld
            (attention.width, attention.length, attention.heads, attention.head_size) = (width, length, heads, size)
            attention.out = out.memory.floats
            attention.ldout = out.ld
            attention.scratch = scratch.floats
            kernels.attention(&attention)
            for head in 0..<heads {
                for row in 0..<length {
                    let scores = (0..<length).map { other in
                        (0..<size).reduce(0.0) {
                            $0 + Double(qkv[row, head * size + $1]) * Double(qkv[other, width + head * size + $1])
                        }
                    }
                    let greatest = scores.max()!
                    let exponentials = scores.map { exp($0 - greatest) }
                    let total = exponentials.reduce(0, +)
                    for column in 0..<size {
                        let expected = (0..<length).reduce(0.0) {
                            $0 + exponentials[$1] / total * Double(qkv[$1, 2 * width + head * size + column])
                        }
                        let found = Double(out[row, head * size + column])
                        if abs(found - expected) > 1e-4 || found.isNaN {
                            Issue.record("\(set), \(length) tokens, head of \(size): \(found), not \(expected)")
                            return
                        }
                    }
                }
            }
            for row in 0..<length { for column in width..<out.ld { #expect(out[row, column] == 0) } }
        }
    }

    @Test(arguments: sets, [1, 7, 8, 9, 15, 16, 17, 31, 33, 384])
    func `normalised rows have the mean and the variance that are asked for`(set: InstructionSet, width: Int) {
        var random = SeededGenerator(seed: UInt64(width))
        let values = random.floats(3 * width, scale: 4).map { $0 + 10 }
        let rows = Rows(values, width: width)
        let (weight, bias) = (Rows(random.floats(width), width: width), Rows(random.floats(width), width: width))
        EncoderKernels(set).normalize(rows.memory.floats, rows.ld, 3, width, weight.memory.floats, bias.memory.floats, 1e-5)
        for row in 0..<3 {
            let source = values[row * width..<(row + 1) * width].map(Double.init)
            let mean = source.reduce(0, +) / Double(width)
            let variance = source.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
            for column in 0..<width {
                let expected =
                    (source[column] - mean) / (variance + 1e-5).squareRoot() * Double(weight[0, column]) + Double(bias[0, column])
                #expect(abs(Double(rows[row, column]) - expected) < (width == 1 ? 2e-3 : 1e-4))
            }
            for column in width..<rows.ld { #expect(rows[row, column] == 0) }
        }
    }

    @Test(arguments: sets)
    func `GELU and the exponential are exact to a millionth`(set: InstructionSet) {
        let kernels = EncoderKernels(set)
        let count = 32 * 2000
        let memory = AlignedMemory(floats: count)
        func input(_ index: Int) -> Float { Float(index) / Float(count) * 24 - 12 }
        for index in 0..<count { memory.floats[index] = input(index) }
        kernels.gelu(memory.floats, count)
        var worst = 0.0
        for index in 0..<count {
            let x = Double(input(index))
            worst = max(worst, abs(Double(memory.floats[index]) - x * 0.5 * (1 + erf(x / 2.0.squareRoot()))))
        }
        #expect(worst < 1.1e-6)
        for index in 0..<count { memory.floats[index] = -Float(index) / Float(count) * 80 }
        kernels.exponential(memory.floats, count)
        worst = 0
        for index in 0..<count {
            let expected = exp(-Double(Float(index) / Float(count) * 80))
            worst = max(worst, abs(Double(memory.floats[index]) / expected - 1))
        }
        // The argument itself is rounded: 80 * 2^-24.
        #expect(worst < 6e-6)
        memory.floats[0] = -1e30
        memory.floats[1] = 0
        kernels.exponential(memory.floats, 32)
        #expect(memory.floats[0] >= 0 && memory.floats[0] < 1e-37)
        #expect(abs(memory.floats[1] - 1) < 1e-6)
    }

    @Test(arguments: sets)
    func `every half-precision number is widened exactly`(set: InstructionSet) {
        let source = (0...UInt16.max).map { $0 }
        var target = [Float](repeating: 0, count: source.count)
        EncoderKernels(set).widen(source, &target, source.count)
        for (bits, value) in zip(source, target) {
            let expected = Float(Float16(bitPattern: bits))
            if value.bitPattern != expected.bitPattern && !(value.isNaN && expected.isNaN) {
                Issue.record("0x\(String(bits, radix: 16)): \(value)")
            }
        }
    }

    @Test(arguments: sets)
    func `a row of zeros and a row of tiny numbers are quantised to zeros`(set: InstructionSet) {
        let kernels = EncoderKernels(set)
        let rows = Rows([Float](repeating: 0, count: 40) + [Float](repeating: 1e-38, count: 40), width: 40)
        let target = AlignedMemory(size: 2 * 64 * 4)
        let (scale, zero) = (AlignedMemory(floats: 2), AlignedMemory(floats: 2))
        kernels.quantizeI16(rows.memory.floats, rows.ld, 2, 40, 2047, target.pointer(of: Int16.self), 64, scale.floats)
        #expect(scale.floats[0] == 0 && scale.floats[1] == 0)
        kernels.quantizeI8(
            rows.memory.floats, rows.ld, 2, 40, target.pointer(of: UInt8.self), 64, scale.floats, zero.floats)
        #expect(scale.floats[0] == 0 && scale.floats[1] == 0)
    }
}
