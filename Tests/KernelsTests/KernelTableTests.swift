import TestSupport
import Testing

@testable import Kernels

private let sets = InstructionSet.supported
private let dimensions = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 384, 768, 1023, 4096]

struct KernelTableTests {
    /// Values in -1...1 with an offset of 0...3 elements in their allocation, so that no kernel can rely on alignment.
    private func values(_ count: Int, _ generator: inout SeededGenerator) -> [Float] {
        (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
    }

    /// The exact sums, in double precision, with the sum of magnitudes that bounds any order of summation.
    private func exact(_ left: ArraySlice<Float>, _ right: ArraySlice<Float>, squared: Bool) -> (value: Double, magnitude: Double) {
        var value = 0.0
        var magnitude = 0.0
        for (a, b) in zip(left, right) {
            let term = squared ? (Double(a) - Double(b)) * (Double(a) - Double(b)) : Double(a) * Double(b)
            value += term
            magnitude += abs(term)
        }
        return (value, magnitude)
    }

    /// Higham, *Accuracy and Stability of Numerical Algorithms* (2002), §3.1: |error| ≤ γₙ Σ|aᵢbᵢ|, γₙ ≈ n·u,
    /// here with the rounding of a difference added.
    private func bound(_ dimension: Int, _ magnitude: Double) -> Double { Double(dimension + 4) * 0x1p-24 * magnitude * 1.01 + 1e-37 }

    @Test func `the machine runs the scalar set and the best is the fastest`() {
        #expect(InstructionSet.supported.first == .scalar)
        #expect(KernelTable.choose(wish: nil).kernels.instructionSet == InstructionSet.supported.max())
        #expect(KernelTable.choose(wish: nil).note == nil)
        #expect(KernelTable.choose(wish: "").note == nil)
    }

    @Test(arguments: InstructionSet.allCases)
    func `a wish is obeyed when the machine can, else noted`(set: InstructionSet) {
        let choice = KernelTable.choose(wish: set.rawValue)
        #expect((choice.kernels.instructionSet == set) == set.isSupported)
        #expect((choice.note == nil) == set.isSupported)
    }

    @Test func `an unknown wish is noted with the names that exist`() {
        let choice = KernelTable.choose(wish: "mmx")
        #expect(choice.kernels.instructionSet == InstructionSet.supported.max())
        #expect(choice.note?.contains("'mmx'") == true && choice.note?.contains("avx2") == true)
    }

    @Test(arguments: sets, dimensions)
    func `every sum is within the rounding bound of the exact one`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(KernelTable(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 1)
        for offset in 0..<4 {
            let left = values(dimension + offset, &generator)
            let right = values(dimension + offset, &generator)
            let product = exact(left[offset...], right[offset...], squared: false)
            let distance = exact(left[offset...], right[offset...], squared: true)
            left.withUnsafeBufferPointer { left in
                right.withUnsafeBufferPointer { right in
                    let a = UnsafeBufferPointer(rebasing: left[offset...])
                    let b = UnsafeBufferPointer(rebasing: right[offset...])
                    #expect(abs(Double(kernels.innerProduct(a, b)) - product.value) <= bound(dimension, product.magnitude))
                    #expect(abs(Double(kernels.l2Squared(a, b)) - distance.value) <= bound(dimension, distance.magnitude))
                    #expect(kernels.l2Squared(a, a) == 0)
                }
            }
        }
    }

    @Test(arguments: sets, dimensions)
    func `a row has the same bits alone, in a block and gathered`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(KernelTable(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 99)
        for count in [0, 1, 2, 3, 4, 5, 7, 8, 13] {
            // One element past the end stays unread: it is infinite and would spoil a sum.
            let query = values(dimension, &generator) + [.infinity]
            let rows = values(count * dimension, &generator) + [.infinity]
            let indices = (0..<count * 2).map { _ in UInt32.random(in: 0..<UInt32(count), using: &generator) }
            var products = [Float](repeating: .nan, count: count)
            var distances = products
            var gatheredProducts = [Float](repeating: .nan, count: indices.count)
            var gatheredDistances = gatheredProducts
            query.withUnsafeBufferPointer { query in
                rows.withUnsafeBufferPointer { rows in
                    let query = UnsafeBufferPointer(rebasing: query.dropLast())
                    let rows = UnsafeBufferPointer(rebasing: rows.dropLast())
                    products.withUnsafeMutableBufferPointer { kernels.innerProducts(of: query, rows: rows, scores: $0) }
                    distances.withUnsafeMutableBufferPointer { kernels.l2Squared(of: query, rows: rows, scores: $0) }
                    indices.withUnsafeBufferPointer { indices in
                        gatheredProducts.withUnsafeMutableBufferPointer {
                            kernels.innerProducts(of: query, rows: rows, at: indices, scores: $0)
                        }
                        gatheredDistances.withUnsafeMutableBufferPointer {
                            kernels.l2Squared(of: query, rows: rows, at: indices, scores: $0)
                        }
                    }
                    for row in 0..<count {
                        let one = UnsafeBufferPointer(rebasing: rows[row * dimension..<(row + 1) * dimension])
                        #expect(kernels.innerProduct(query, one).bitPattern == products[row].bitPattern)
                        #expect(kernels.l2Squared(query, one).bitPattern == distances[row].bitPattern)
                    }
                }
            }
            #expect(gatheredProducts.map(\.bitPattern) == indices.map { products[Int($0)].bitPattern })
            #expect(gatheredDistances.map(\.bitPattern) == indices.map { distances[Int($0)].bitPattern })
        }
    }

    @Test(arguments: sets, dimensions)
    func `a row in half precision has the bits of the widened row, in a block and gathered`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(KernelTable(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 7)
        for count in [0, 1, 3, 4, 5, 13] {
            let query = values(dimension, &generator)
            // One element past the end stays unread: it is infinite and would spoil a sum.
            let halves = values(count * dimension, &generator).map { Float16($0).bitPattern } + [Float16.infinity.bitPattern]
            let rows = halves.dropLast().map { Float(Float16(bitPattern: $0)) }
            let indices = (0..<count * 2).map { _ in UInt32.random(in: 0..<UInt32(count), using: &generator) }
            func scores(_ count: Int, _ body: (UnsafeMutableBufferPointer<Float>) -> Void) -> [UInt32] {
                var scores = [Float](repeating: .nan, count: count)
                scores.withUnsafeMutableBufferPointer { body($0) }
                return scores.map(\.bitPattern)
            }
            query.withUnsafeBufferPointer { query in
                rows.withUnsafeBufferPointer { rows in
                    halves.withUnsafeBufferPointer { halves in
                        indices.withUnsafeBufferPointer { indices in
                            let halves = UnsafeBufferPointer(rebasing: halves.dropLast())
                            #expect(
                                scores(count) { kernels.innerProducts(of: query, halfRows: halves, scores: $0) }
                                    == scores(count) { kernels.innerProducts(of: query, rows: rows, scores: $0) })
                            #expect(
                                scores(count) { kernels.l2Squared(of: query, halfRows: halves, scores: $0) }
                                    == scores(count) { kernels.l2Squared(of: query, rows: rows, scores: $0) })
                            #expect(
                                scores(indices.count) { kernels.innerProducts(of: query, halfRows: halves, at: indices, scores: $0) }
                                    == scores(indices.count) { kernels.innerProducts(of: query, rows: rows, at: indices, scores: $0) })
                            #expect(
                                scores(indices.count) { kernels.l2Squared(of: query, halfRows: halves, at: indices, scores: $0) }
                                    == scores(indices.count) { kernels.l2Squared(of: query, rows: rows, at: indices, scores: $0) })
                        }
                    }
                }
            }
        }
    }

    @Test(arguments: sets)
    func `every half-precision number survives a round trip`(set: InstructionSet) throws {
        let kernels = try #require(KernelTable(set))
        let halves = (0...UInt16.max).map { $0 }
        var floats = [Float](repeating: 0, count: halves.count)
        var back = [UInt16](repeating: 0, count: halves.count)
        halves.withUnsafeBufferPointer { halves in floats.withUnsafeMutableBufferPointer { kernels.convert(half: halves, to: $0) } }
        floats.withUnsafeBufferPointer { floats in back.withUnsafeMutableBufferPointer { kernels.convert(floats, toHalf: $0) } }
        for half in halves {
            let expected = Float(Float16(bitPattern: half))
            let got = floats[Int(half)]
            #expect(got.bitPattern == expected.bitPattern || (got.isNaN && expected.isNaN))
            #expect(back[Int(half)] == half || (got.isNaN && Float16(bitPattern: back[Int(half)]).isNaN))
        }
    }

    @Test(arguments: sets)
    func `narrowing rounds to nearest, ties to even`(set: InstructionSet) throws {
        let kernels = try #require(KernelTable(set))
        var generator = SeededGenerator(seed: 4)
        var source: [Float] = [
            0, -0.0, 1, 65504, 65519.996, 65520, 1e30, -1e30, .infinity, -.infinity, 0x1p-24, 0x1p-25, 0x1.0002p-25, 0x1.8p-24, 0x1p-14,
            0x1.ffcp-15, 0x1.ffep-15, .leastNonzeroMagnitude,
        ]
        for _ in 0..<20_000 { source.append(Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))) }
        for half in stride(from: 0, to: 0x7C00, by: 3) {  // Exactly between two neighbours.
            source.append((Float(Float16(bitPattern: UInt16(half))) + Float(Float16(bitPattern: UInt16(half + 1)))) / 2)
        }
        var target = [UInt16](repeating: 0, count: source.count)
        source.withUnsafeBufferPointer { source in target.withUnsafeMutableBufferPointer { kernels.convert(source, toHalf: $0) } }
        for (value, half) in zip(source, target) {
            let expected = Float16(value)
            #expect(half == expected.bitPattern || (value.isNaN && Float16(bitPattern: half).isNaN), "\(value)")
        }
    }

    @Test(arguments: [1e-40, 1e-20, 1, 1e20, 3e37] as [Float])
    func `normalising gives unit length at any scale and keeps the direction`(scale: Float) {
        var generator = SeededGenerator(seed: 11)
        for dimension in dimensions where dimension > 0 {
            let original = values(dimension, &generator).map { $0 * scale }
            var unit = original
            let length = unit.withUnsafeMutableBufferPointer { KernelTable.normalize($0) }
            let expected = original.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            #expect(abs(length - expected) <= expected * 1e-12)
            #expect(abs(unit.reduce(0.0) { $0 + Double($1) * Double($1) } - 1) < 1e-6)
            for (a, b) in zip(original, unit) { #expect(abs(Double(a) / expected - Double(b)) < 1e-6) }
        }
    }

    @Test func `a zero vector stays zero`() {
        var zero = [Float](repeating: 0, count: 9)
        #expect(zero.withUnsafeMutableBufferPointer { KernelTable.normalize($0) } == 0)
        #expect(zero == [Float](repeating: 0, count: 9))
    }

    @Test(arguments: [.nan, .infinity, -.infinity, .signalingNaN] as [Float])
    func `the first value that is not finite is found`(value: Float) {
        for position in 0..<20 {
            var values = [Float](repeating: .greatestFiniteMagnitude, count: 20)
            #expect(values.withUnsafeBufferPointer { KernelTable.firstNotFinite($0) } == nil)
            values[position] = value
            #expect(values.withUnsafeBufferPointer { KernelTable.firstNotFinite($0) } == position)
        }
    }

    @Test(arguments: sets)
    func `values that reach the bar are found, and nothing is written past them`(set: InstructionSet) throws {
        let kernels = try #require(KernelTable(set))
        var generator = SeededGenerator(seed: 5)
        for count in [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000, 8192] {
            for share in [0, 0.001, 0.1, 1] {
                for bar in [1, 77, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF] as [UInt32] {
                    let values = (0..<count + 1).map { _ in
                        Double.random(in: 0..<1, using: &generator) < share
                            ? UInt32.random(in: bar...UInt32.max, using: &generator) : UInt32.random(in: 0..<bar, using: &generator)
                    }
                    let expected = values.prefix(count).indices.filter { values[$0] >= bar }.map { UInt32($0) }
                    var positions = [UInt32](repeating: 12_345, count: count + 16)
                    #expect(kernels.select(values, count: count, atLeast: bar, positions: &positions) == expected.count)
                    #expect(positions == expected + [UInt32](repeating: 12_345, count: count + 16 - expected.count))
                }
            }
        }
    }
}
