import TestSupport
import Testing

@testable import Kernels

private let sets = InstructionSet.supported
/// Multiples of 64 around powers of two: the rotation treats both kinds differently, and 4096 is where 16-bit sums could overflow.
private let dimensions = [64, 128, 192, 384, 832, 1088, 2048, 4096]

/// Each instruction set against plain Swift in double precision or whole numbers, so the scalar set is judged like the others.
struct QuantizedKernelTests {
    private func values(_ count: Int, _ generator: inout SeededGenerator, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in Float.random(in: -1...1, using: &generator) * scale }
    }

    @Test(arguments: InstructionSet.allCases)
    func `there are kernels exactly for the sets that the machine runs`(set: InstructionSet) {
        let kernels = QuantizedKernels(set)
        #expect((kernels != nil) == set.isSupported)
        if let kernels { #expect(kernels.instructionSet <= set) }
    }

    // MARK: Signs

    @Test(arguments: sets, dimensions)
    func `a table entry is the sum of its signs in steps from the lowest`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension))
        for scale in [1, 1e-6, 1e6] as [Float] {
            let query = values(dimension, &generator, scale: scale)
            var table = [UInt8](repeating: 77, count: dimension * 4)
            let (step, total) = kernels.makeSignTable(query, dimension: dimension, table: &table)
            let magnitude = query.reduce(0.0) { $0 + Double(abs($1)) }
            #expect(abs(Double(total) - magnitude) <= magnitude * 1e-5)
            let widest = (0..<dimension / 4).map { group in query[group * 4..<group * 4 + 4].reduce(0.0) { $0 + Double(abs($1)) } }.max()!
            #expect(abs(Double(step) - 2 * widest / 255) <= widest * 1e-6)
            var hasFailed = false
            for group in 0..<dimension / 4 {
                for bits in 0..<16 {
                    var sum = 0.0
                    for index in 0..<4 {
                        let value = Double(query[group * 4 + index])
                        sum += abs(value) + (bits >> index & 1 == 1 ? value : -value)
                    }
                    // Rounded to the nearest level; the product with a rounded 1/step may tip one that lies in the middle.
                    hasFailed = hasFailed || abs(Double(table[group * 16 + bits]) - sum / Double(step)) > 0.501
                }
            }
            #expect(!hasFailed, "scale \(scale)")
        }
    }

    @Test(arguments: sets)
    func `the table of a zero query is zero and its step is a number`(set: InstructionSet) throws {
        let kernels = try #require(QuantizedKernels(set))
        var table = [UInt8](repeating: 77, count: 256)
        let (step, total) = kernels.makeSignTable([Float](repeating: 0, count: 64), dimension: 64, table: &table)
        #expect(step > 0 && step.isFinite && total == 0)
        #expect(table == [UInt8](repeating: 0, count: 256))
    }

    /// Blocks of random rows; every place with `isEmpty` is left without a row, as the last ones of a list.
    private struct Blocks {
        let dimension: Int
        var bytes: [UInt8]
        var signs: [[Bool]] = []
        var factors: [Float] = []
        var addends: [Float] = []

        init(count: Int, dimension: Int, generator: inout SeededGenerator, isEmpty: (Int) -> Bool, sign: (Int, Int) -> Bool?) {
            self.dimension = dimension
            let size = QuantizedKernels.blockSize(dimension: dimension)
            bytes = [UInt8](repeating: 0, count: count * size)
            for row in 0..<count * 32 {
                let (block, place) = (row / 32 * size, row % 32)
                let isMissing = isEmpty(row)
                factors.append(isMissing ? 0 : Float.random(in: 0...3, using: &generator))
                addends.append(isMissing ? -.infinity : Float.random(in: -5...5, using: &generator))
                signs.append((0..<dimension).map { index in sign(row, index) ?? Bool.random(using: &generator) })
                for index in 0..<dimension where signs[row][index] && !isMissing {
                    bytes[block + index / 4 * 16 + place % 16] |= 1 << UInt8(index % 4 + (place < 16 ? 0 : 4))
                }
                let numbers = block + dimension * 4 + place * 4
                for (offset, value) in [(0, factors[row]), (128, addends[row])] {
                    for byte in 0..<4 { bytes[numbers + offset + byte] = UInt8(truncatingIfNeeded: value.bitPattern >> UInt32(8 * byte)) }
                }
            }
        }

        /// The sum of a row's table entries.
        func sum(_ row: Int, _ table: [UInt8]) -> Int {
            var sum = 0
            for group in 0..<dimension / 4 {
                var entry = 0
                for index in 0..<4 where signs[row][group * 4 + index] { entry |= 1 << index }
                sum += Int(table[group * 16 + entry])
            }
            return sum
        }
    }

    @Test(arguments: sets, dimensions)
    func `a scan gives each row its upper bound and marks those above the threshold`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 7)
        let query = values(dimension, &generator)
        var table = [UInt8](repeating: 0, count: dimension * 4)
        let (step, total) = kernels.makeSignTable(query, dimension: dimension, table: &table)
        for count in [0, 1, 2, 5] {
            let blocks = Blocks(
                count: count, dimension: dimension, generator: &generator, isEmpty: { $0 >= count * 32 - 9 || $0 == 3 },
                sign: { _, _ in nil })
            for threshold in [-.infinity, -3, 0, 3, .infinity] as [Float] {
                let (base, margin): (Float, Float) = (0.75, 2.5)
                // One place past the end stays as it is.
                var upper = [Float](repeating: 77, count: count * 32 + 1)
                var masks = [UInt32](repeating: 77, count: count + 1)
                kernels.scanSigns(
                    blocks.bytes, blockCount: count, dimension: dimension, table: table, step: step, total: total, base: base,
                    margin: margin, threshold: threshold, upper: &upper, masks: &masks)
                #expect(upper.last == 77 && masks.last == 77)
                var errorMax = 0.0
                var wrongCount = 0
                for row in 0..<count * 32 {
                    let isMarked = masks[row / 32] >> UInt32(row % 32) & 1 == 1
                    guard blocks.addends[row].isFinite else {
                        if isMarked || upper[row] != -.infinity { wrongCount += 1 }
                        continue
                    }
                    let product = Double(step) * Double(blocks.sum(row, table)) - Double(total) + Double(margin)
                    let expected = Double(base) + Double(blocks.addends[row]) + Double(blocks.factors[row]) * product
                    errorMax = max(errorMax, abs(Double(upper[row]) - expected) / (1 + Double(total)))
                    if isMarked != (upper[row] > threshold) { wrongCount += 1 }
                }
                #expect(errorMax < 1e-5, "\(count) blocks, threshold \(threshold)")
                #expect(wrongCount == 0, "\(count) blocks, threshold \(threshold)")
            }
        }
    }

    /// Every entry 255: the largest sum there is.
    @Test(arguments: sets, dimensions)
    func `sums do not overflow when a row agrees with the query everywhere`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: 1)
        let query = (0..<dimension).map { $0 % 3 == 0 ? Float(-1) : 1 }
        var table = [UInt8](repeating: 0, count: dimension * 4)
        let (step, total) = kernels.makeSignTable(query, dimension: dimension, table: &table)
        // Even rows agree, odd rows oppose.
        let blocks = Blocks(
            count: 1, dimension: dimension, generator: &generator, isEmpty: { _ in false }, sign: { ($0 % 2 == 0) == (query[$1] >= 0) })
        var upper = [Float](repeating: 0, count: 32)
        var masks: [UInt32] = [0]
        kernels.scanSigns(
            blocks.bytes, blockCount: 1, dimension: dimension, table: table, step: step, total: total, base: 0, margin: 0,
            threshold: -.infinity, upper: &upper, masks: &masks)
        for row in 0..<32 {
            let expected = Double(blocks.addends[row]) + Double(blocks.factors[row]) * Double(row % 2 == 0 ? dimension : -dimension)
            #expect(abs(Double(upper[row]) - expected) < Double(dimension) * 1e-4, "row \(row)")
        }
        #expect(masks == [.max])
    }

    /// An estimate from signs is unbiased only if the table's rounding is: here it is compared with the signs' true inner product.
    @Test(arguments: sets)
    func `the scanned product is that of the query with the signs but for rounding`(set: InstructionSet) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: 77)
        let dimension = 384
        let query = values(dimension, &generator)
        var table = [UInt8](repeating: 0, count: dimension * 4)
        let (step, total) = kernels.makeSignTable(query, dimension: dimension, table: &table)
        let blocks = Blocks(count: 8, dimension: dimension, generator: &generator, isEmpty: { _ in false }, sign: { _, _ in nil })
        var upper = [Float](repeating: 0, count: 256)
        var masks = [UInt32](repeating: 0, count: 8)
        kernels.scanSigns(
            blocks.bytes, blockCount: 8, dimension: dimension, table: table, step: step, total: total, base: 0, margin: 0, threshold: 0,
            upper: &upper, masks: &masks)
        var (sum, squares) = (0.0, 0.0)
        for row in 0..<256 {
            var exact = 0.0
            for index in 0..<dimension { exact += blocks.signs[row][index] ? Double(query[index]) : -Double(query[index]) }
            let found = (Double(upper[row]) - Double(blocks.addends[row])) / Double(blocks.factors[row])
            sum += found - exact
            squares += (found - exact) * (found - exact)
        }
        // Roundings of 96 entries, each uniform in ± step / 2.
        let deviation = Double(step) * (Double(dimension / 4) / 12).squareRoot()
        #expect((squares / 256).squareRoot() < deviation * 1.3)
        #expect(abs(sum / 256) < deviation * 0.5)
    }

    // MARK: Integer products

    @Test(arguments: sets, [128, 256, 384, 896, 1152, 4096])
    func `products with 4-bit codes are exact at every row asked for`(set: InstructionSet, width: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(width))
        let rowCount = 11
        for isExtreme in [false, true] {
            let levels = (0..<rowCount * width).map { _ in isExtreme ? UInt8(15) : UInt8.random(in: 0...15, using: &generator) }
            let query = (0..<width).map { isExtreme ? ($0 % 5 == 0 ? Int8.max : .min) : Int8.random(in: .min ... .max, using: &generator) }
            var codes = [UInt8](repeating: 0, count: rowCount * width / 2)
            for row in 0..<rowCount {
                for index in 0..<width {
                    codes[row * width / 2 + index / 128 * 64 + index % 64] |= levels[row * width + index] << (index % 128 < 64 ? 0 : 4)
                }
            }
            for count in 0...9 {
                let rows = (0..<count).map { _ in UInt32.random(in: 0..<UInt32(rowCount), using: &generator) }
                var sums = [Int32](repeating: 77, count: count + 1)
                kernels.dotCodes(codes, width: width, query: query, at: rows, count: count, sums: &sums)
                let expected = rows.map { (row: UInt32) -> Int32 in
                    var sum: Int32 = 0
                    for index in 0..<width { sum += Int32(levels[Int(row) * width + index]) * Int32(query[index]) }
                    return sum
                }
                #expect(sums == expected + [77], "\(count) rows, extreme: \(isExtreme)")
            }
        }
    }

    @Test(arguments: sets, dimensions)
    func `products with 7-bit rows are exact`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 3)
        for isExtreme in [false, true] {
            let rows = (0..<10 * dimension).map { _ in isExtreme ? UInt8(127) : UInt8.random(in: 0...127, using: &generator) }
            let query = (0..<dimension).map { _ in isExtreme ? Int8.min : Int8.random(in: .min ... .max, using: &generator) }
            for count in 0...10 {
                var sums = [Int32](repeating: 77, count: count + 1)
                kernels.dotRows(rows, dimension: dimension, count: count, query: query, sums: &sums)
                let expected = (0..<count).map { (row: Int) -> Int32 in
                    var sum: Int32 = 0
                    for index in 0..<dimension { sum += Int32(rows[row * dimension + index]) * Int32(query[index]) }
                    return sum
                }
                #expect(sums == expected + [77], "\(count) rows, extreme: \(isExtreme)")
            }
        }
    }

    // MARK: Nearest centroid

    private func panels(_ centroids: [[Float]], _ biases: [Float], _ dimension: Int) -> (panels: [Float], biases: [Float], count: Int) {
        let count = (centroids.count + 31) / 32
        var panels = [Float](repeating: 0, count: count * dimension * 32)
        var padded = [Float](repeating: .infinity, count: count * 32)
        for (index, centroid) in centroids.enumerated() {
            padded[index] = biases[index]
            for (coordinate, value) in centroid.enumerated() { panels[(index / 32 * dimension + coordinate) * 32 + index % 32] = value }
        }
        return (panels, padded, count)
    }

    @Test(arguments: sets, [1, 7, 64, 100, 129])
    func `the nearest centroid is the one that sorting would put first`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 5)
        for (count, centroidCount) in zip(1...30, [1, 2, 15, 16, 17, 31, 32, 33, 64, 65, 100, 97, 48, 20, 5] + Array(30...44)) {
            let rows = values(count * dimension, &generator)
            let centroids = (0..<centroidCount).map { _ in values(dimension, &generator) }
            let biases = centroids.map { (centroid: [Float]) -> Float in centroid.reduce(Float(0)) { $0 + $1 * $1 } / 2 }
            let (panels, padded, panelCount) = panels(centroids, biases, dimension)
            var best = [Float](repeating: 77, count: count + 1)
            var indices = [UInt32](repeating: 77, count: count + 1)
            kernels.nearest(
                rows, count: count, dimension: dimension, panels: panels, biases: padded, panelCount: panelCount, best: &best,
                indices: &indices)
            #expect(best.last == 77 && indices.last == 77)
            for row in 0..<count {
                let scores = (0..<centroidCount).map { (index: Int) -> Double in
                    var score = -Double(biases[index])
                    for coordinate in 0..<dimension {
                        score += Double(rows[row * dimension + coordinate]) * Double(centroids[index][coordinate])
                    }
                    return score
                }
                let limit = Double(dimension + 4) * 1e-6
                try #require(Int(indices[row]) < centroidCount, "row \(row) of \(count), \(centroidCount) centroids")
                #expect(scores[Int(indices[row])] >= scores.max()! - limit, "row \(row) of \(count), \(centroidCount) centroids")
                #expect(abs(Double(best[row]) - scores[Int(indices[row])]) <= limit)
            }
        }
    }

    @Test(arguments: sets)
    func `of equal centroids the first is nearest, in any panel and tile`(set: InstructionSet) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: 12)
        let dimension = 24
        for (first, twin) in [(0, 1), (3, 19), (7, 15), (15, 16), (31, 32), (2, 64), (40, 41), (90, 95)] {
            for count in 1...30 {
                let row = values(dimension, &generator)
                var centroids = (0..<96).map { _ in values(dimension, &generator).map { $0 * 0.1 } }
                centroids[first] = row
                centroids[twin] = row
                let (panels, biases, panelCount) = panels(centroids, [Float](repeating: 0, count: 96), dimension)
                var best = [Float](repeating: 0, count: count)
                var indices = [UInt32](repeating: 77, count: count)
                kernels.nearest(
                    Array(repeatElement(row, count: count).joined()), count: count, dimension: dimension, panels: panels, biases: biases,
                    panelCount: panelCount, best: &best, indices: &indices)
                #expect(indices == [UInt32](repeating: UInt32(first), count: count), "\(first) and \(twin), \(count) rows")
            }
        }
    }

    @Test(arguments: sets)
    func `a centroid of infinite bias is never nearest`(set: InstructionSet) throws {
        let kernels = try #require(QuantizedKernels(set))
        for (index, count) in [(0, 40), (5, 40), (31, 32), (39, 40)] {
            var biases = [Float](repeating: .infinity, count: count)
            biases[index] = 1e30
            let (panels, padded, panelCount) = panels((0..<count).map { _ in [1, 1, 1] }, biases, 3)
            var best: [Float] = [0, 0]
            var indices: [UInt32] = [77, 77]
            kernels.nearest(
                [1, 2, 3, 4, 5, 6], count: 2, dimension: 3, panels: panels, biases: padded, panelCount: panelCount, best: &best,
                indices: &indices)
            #expect(indices == [UInt32(index), UInt32(index)])
        }
    }

    // MARK: Rotation

    /// The same, written as it is defined.
    private func rotated(_ values: [Float], _ flips: [UInt64], rounds: Int) -> [Double] {
        var values = values.map { Double($0) }
        var span = 1
        while span * 2 <= values.count { span *= 2 }
        for round in 0..<rounds {
            for index in values.indices where flips[round * values.count / 64 + index / 64] >> UInt64(index % 64) & 1 == 1 {
                values[index].negate()
            }
            let start = round % 2 == 0 ? 0 : values.count - span
            var half = 1
            while half < span {
                for index in 0..<span where index & half == 0 {
                    let (a, b) = (values[start + index], values[start + index + half])
                    values[start + index] = (a + b) * 0.5.squareRoot()
                    values[start + index + half] = (a - b) * 0.5.squareRoot()
                }
                half *= 2
            }
        }
        return values
    }

    @Test(arguments: sets, dimensions)
    func `a rotation is the defined one, keeps lengths and products, and differs by seed`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 9)
        let rounds = 4
        func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        let flips = (0..<2).map { _ in (0..<rounds * dimension / 64).map { _ in generator.next() } }
        let (left, right) = (values(dimension, &generator), values(dimension, &generator))
        func rotate(_ values: [Float], _ flips: [UInt64], rounds: Int = 4) -> [Float] {
            var values = values
            kernels.rotate(&values, dimension: dimension, flips: flips, rounds: rounds)
            return values
        }
        for rounds in [0, 1, 2, 4] {
            let found = rotate(left, flips[0], rounds: rounds)
            let wanted = rotated(left, flips[0], rounds: rounds)
            #expect(zip(found, wanted).allSatisfy { abs(Double($0) - $1) < 1e-5 }, "\(rounds) rounds")
        }
        let (a, b) = (rotate(left, flips[0]), rotate(right, flips[0]))
        let bound = Double(dimension) * 1e-6
        #expect(abs(product(a, a) - product(left, left)) < bound)
        #expect(abs(product(b, b) - product(right, right)) < bound)
        #expect(abs(product(a, b) - product(left, right)) < bound)
        let other = rotate(left, flips[1])
        #expect(zip(a, other).filter { abs($0 - $1) > 1e-3 }.count > dimension / 2)
        // One coordinate spreads over all: no single one carries more than a few times its share.
        var unit = [Float](repeating: 0, count: dimension)
        unit[dimension / 3] = 1
        #expect(rotate(unit, flips[0]).allSatisfy { abs($0) < 8 / Float(dimension).squareRoot() })
    }

    // MARK: Codes

    private static let attempts: [Float] = (0..<6).map { 0.27 + 0.03 * Float($0) }

    @Test(arguments: sets, dimensions)
    func `a code has the signs, the best of the tried levels, and sums that belong to them`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 11)
        for scale in [1, 1e-5, 1e5] as [Float] {
            // Nearly normal, as rotated residuals are, with exact zeros among them.
            let residual = (0..<dimension).map { index in
                index % 17 == 3 ? 0 : values(4, &generator, scale: scale).reduce(0, +)
            }
            let centroid = values(dimension, &generator, scale: scale)
            var signs = [UInt8](repeating: 77, count: dimension / 4 + 1)
            var levels = [UInt8](repeating: 77, count: dimension + 1)
            let sums = kernels.encode(residual, centroid: centroid, dimension: dimension, signs: &signs, levels: &levels)
            #expect(signs.last == 77 && levels.last == 77)
            #expect(levels.dropLast().allSatisfy { $0 <= 15 })
            var expectedSigns = [UInt8](repeating: 0, count: dimension / 4)
            for index in 0..<dimension where residual[index] >= 0 { expectedSigns[index / 4] |= 1 << UInt8(index % 4) }
            #expect(Array(signs.dropLast()) == expectedSigns)

            func close(_ found: Float, _ terms: [Double]) -> Bool {
                abs(Double(found) - terms.reduce(0, +)) <= terms.reduce(0) { $0 + abs($1) } * 1e-5
            }
            let r = residual.map { Double($0) }
            let c = centroid.map { Double($0) }
            let v = levels.dropLast().map { Double($0) - 7.5 }
            #expect(close(sums.square, r.map { $0 * $0 }))
            #expect(close(sums.magnitude, r.map { abs($0) }))
            #expect(close(sums.product, zip(v, r).map { $0 * $1 }))
            #expect(close(sums.codeSquare, v.map { $0 * $0 }))
            #expect(close(sums.centroidSigns, zip(r, c).map { $0 >= 0 ? $1 : -$1 }))
            #expect(close(sums.centroidCode, zip(v, c).map { $0 * $1 }))

            let deviation = (r.reduce(0) { $0 + $1 * $1 } / Double(dimension)).squareRoot()
            func quality(_ v: [Double]) -> Double {
                let along = zip(v, r).reduce(0) { $0 + $1.0 * $1.1 }
                return along * along / v.reduce(0) { $0 + $1 * $1 }
            }
            var best = 0.0
            for attempt in Self.attempts {
                let step = deviation * Double(attempt)
                let codes = r.map { (value: Double) -> Double in min(15, max(0, (value / step + 8).rounded(.down))) - 7.5 }
                best = max(best, quality(codes))
            }
            #expect(quality(v) >= best * (1 - 1e-4))
            #expect(quality(v) / r.reduce(0) { $0 + $1 * $1 } > 0.97)
        }
    }

    @Test(arguments: sets)
    func `a zero residual has a code and no sum that is not a number`(set: InstructionSet) throws {
        let kernels = try #require(QuantizedKernels(set))
        let zero = [Float](repeating: 0, count: 64)
        var signs = [UInt8](repeating: 77, count: 16)
        var levels = [UInt8](repeating: 77, count: 64)
        let sums = kernels.encode(zero, centroid: [Float](repeating: 1, count: 64), dimension: 64, signs: &signs, levels: &levels)
        #expect(signs == [UInt8](repeating: 15, count: 16))
        #expect(levels.allSatisfy { $0 <= 15 })
        #expect(sums.square == 0 && sums.magnitude == 0 && sums.product == 0 && sums.centroidSigns == 64)
        #expect(sums.codeSquare.isFinite && sums.centroidCode.isFinite)
    }

    @Test(arguments: sets, dimensions)
    func `centring subtracts the mean and rounds to levels of one size`(set: InstructionSet, dimension: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(dimension) + 13)
        for scale in [1, 1e-6, 1e6] as [Float] {
            let original = values(dimension, &generator, scale: scale)
            let mean = values(dimension, &generator, scale: scale / 4)
            var centred = original
            var levels = [Int8](repeating: 77, count: dimension)
            let sums = kernels.centre(&centred, mean: mean, dimension: dimension, levels: &levels)
            #expect(centred == zip(original, mean).map { $0 - $1 })
            let square = centred.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(abs(Double(sums.square) - square) <= square * 1e-5)
            let largest = centred.map { abs($0) }.max()!
            #expect(abs(sums.scale - largest / 127) <= largest * 1e-6)
            #expect(zip(levels, centred).allSatisfy { abs(Float($0) - $1 / sums.scale) <= 0.501 })
            #expect(levels.allSatisfy { $0 >= -127 } && levels.contains { abs($0) == 127 })
            #expect(sums.levelSum == levels.reduce(0) { $0 + Float($1) })
        }
        var zero = [Float](repeating: 2, count: dimension)
        var levels = [Int8](repeating: 77, count: dimension)
        let sums = kernels.centre(&zero, mean: zero, dimension: dimension, levels: &levels)
        #expect(sums.square == 0 && sums.scale > 0 && sums.levelSum == 0 && levels.allSatisfy { $0 == 0 })
    }

    // MARK: Ranking lists

    @Test(arguments: sets, [0, 1, 15, 16, 17, 100, 1000])
    func `lists are ranked by mean plus optimism times width`(set: InstructionSet, count: Int) throws {
        let kernels = try #require(QuantizedKernels(set))
        var generator = SeededGenerator(seed: UInt64(count) + 17)
        for optimism in [0, 0.2, 3] as [Float] {
            let products = (0..<count).map { _ in Int32.random(in: -40_000...40_000, using: &generator) }
            let scales = (0..<count).map { _ in Float.random(in: 0.001...0.01, using: &generator) }
            let halfSquares = (0..<count).map { _ in Float.random(in: 0...2, using: &generator) }
            let radii = (0..<count).map { _ in Float.random(in: 0...1, using: &generator) }
            let addends = values(count, &generator)
            let (scale, offset, halfSquare, centred): (Float, Float, Float, Float) = (0.003, 123, 0.5, 0.4)
            var means = [Float](repeating: 77, count: count + 1)
            var widths = means
            var ranks = means
            let range = kernels.rank(
                products, .init(scales: scales, halfSquares: halfSquares, radii: radii, addends: addends, count: count), scale: scale,
                offset: offset, halfSquare: halfSquare, centredHalfSquare: centred, optimism: optimism, means: &means, widths: &widths,
                ranks: &ranks)
            #expect(means.removeLast() == 77 && widths.removeLast() == 77 && ranks.removeLast() == 77)
            var wrongCount = 0
            for list in 0..<count {
                let product = Double(scales[list]) * Double(scale) * (Double(products[list]) - Double(offset))
                let half = max(Double(centred) + Double(halfSquares[list]) - product, 1e-12)
                if abs(Double(means[list]) - (Double(halfSquare) - half + Double(addends[list]))) > 1e-5 { wrongCount += 1 }
                // Where the distance vanishes its root is as uncertain as the root of the rounding error.
                if abs(Double(widths[list]) - (2 * half).squareRoot() * Double(radii[list])) > 2e-3 { wrongCount += 1 }
                if half > 0.01, abs(Double(widths[list]) - (2 * half).squareRoot() * Double(radii[list])) > 1e-5 { wrongCount += 1 }
                if abs(ranks[list] - (means[list] + optimism * widths[list])) > 1e-5 { wrongCount += 1 }
            }
            #expect(wrongCount == 0)
            #expect(range.largest == ranks.max() ?? -.infinity)
            let average = ranks.reduce(0) { $0 + Double($1) } / Double(max(count, 1))
            let square = ranks.reduce(0) { $0 + (Double($1) - average) * (Double($1) - average) } / Double(max(count, 1))
            #expect(abs(Double(range.average) - average) < 1e-4)
            #expect(abs(Double(range.deviation) - square.squareRoot()) < 1e-4)
        }
    }
}
