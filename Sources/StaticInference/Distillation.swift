import Dispatch
import Foundation
import Inference

/// Makes a table of token vectors whose sums imitate a teacher's text vectors.
///
/// ```
///  each token alone ─► teacher ─► T [V × D] ──project, weigh by frequency──► prior P [V × d] ──┐
///  passages         ─► teacher ─► Y [N × D] ──principal components──► Y Pᵣ, unit length        ├─► ridge: E ─► table
///           └────── WordPiece ──► X [N × V], shares of tokens in each passage ─────────────────┘
///                                                    minimise ‖X E − Y‖² + λ ‖E − P‖²
/// ```
///
/// 1. *Principal components*: the teacher's D dimensions turn into the d in which its passage vectors have most of their length. Not centred:
///    inner products are what must survive. Jolliffe, "Principal Component Analysis", 2002.
/// 2. *Prior*: the vector of each token alone, longer for rare tokens: smooth inverse frequency a / (a + p) of Arora, Liang & Ma, 2017, with p
///    counted in the passages, or log(1 + rank) when there are none, for vocabularies are sorted by frequency (Zipf; so does model2vec).
/// 3. *Regression*: tokens alone are not what tokens contribute in a text. Ridge regression moves every row from the prior to where sums match
///    the teacher best; a token that the passages do not hold stays where it was. The normal equations are never formed: conjugate gradients
///    (Hestenes & Stiefel, 1952) with a diagonal preconditioner, every dimension on its own, blocks of dimensions in parallel.
///
/// The same input gives the same table, whatever the number of threads.
package struct Distillation: Sendable {
    /// What may be chosen.
    package struct Options: Sendable, Hashable {
        /// Columns of the table.
        package var dimension: Int
        /// λ: how strongly rows are held at the prior.
        package var ridge: Float
        /// Steps of conjugate gradients.
        package var iterations: Int
        /// a of a / (a + p); 0 weighs by rank.
        package var smoothing: Float
        /// How often the fit is made, each time to targets of the lengths that the sums had before.
        package var rounds: Int

        package init(dimension: Int = 256, ridge: Float = 0.01, iterations: Int = 15, smoothing: Float = 0, rounds: Int = 2) {
            self.dimension = dimension
            self.ridge = ridge
            self.iterations = iterations
            self.smoothing = smoothing
            self.rounds = rounds
        }
    }

    /// What came out.
    package struct Result: Sendable {
        /// Shape `[tokens, dimension]`.
        package var rows: [Float]
        /// Share of the squared length of the teacher's vectors that the principal components keep.
        package var energy: Double
        /// Mean cosine between the table's and the teacher's projected vectors over passages that were held out: of the prior and at the end.
        package var priorCosine: Double?
        package var cosine: Double?
    }

    /// Called between the steps with what is done and how much of it; throwing ends the distillation.
    package typealias Progress = @Sendable (_ step: String, _ fraction: Double) throws -> Void

    let options: Options

    package init(_ options: Options) {
        precondition(options.dimension > 0 && options.ridge > 0 && options.iterations >= 0 && options.rounds > 0, "\(options)")
        self.options = options
    }

    /// - Parameters:
    ///   - tokens: The teacher's vector of each token alone, shape `[tokens, teacherDimension]`.
    ///   - passages: The tokens of each passage.
    ///   - targets: The teacher's vector of each passage, shape `[passages.count, teacherDimension]`, unit length. May be empty with `passages`.
    ///   - teacherDimension: At least `options.dimension`.
    package func run(
        tokens: [Float], passages: [[Int32]], targets: [Float], teacherDimension: Int, progress: Progress = { _, _ in }
    ) throws -> Result {
        let (full, dimension) = (teacherDimension, options.dimension)
        let tokenCount = tokens.count / full
        precondition(tokenCount * full == tokens.count && targets.count == passages.count * full, "shapes do not fit")
        precondition(dimension <= full, "\(dimension) dimensions from \(full)")

        try progress("principal components", 0)
        let components = Self.components(of: passages.isEmpty ? tokens : targets, columns: full, count: dimension)
        var prior = Self.project(tokens, components.basis, from: full, to: dimension)
        let weights = weights(tokenCount: tokenCount, passages: passages)
        guard !passages.isEmpty else {
            Self.scaleRows(&prior, weights, dimension)
            return Result(rows: prior, energy: components.energy, priorCosine: nil, cosine: nil)
        }

        try progress("projection", 0)
        var projected = Self.project(targets, components.basis, from: full, to: dimension)
        Self.normalizeRows(&projected, dimension)
        // Every fiftieth passage is held out, to tell how well the sums fit what they have not seen.
        let isHeldOut = { (index: Int) in index % 50 == 49 }
        let design = SparseRows(passages.enumerated().map { isHeldOut($0.offset) ? [] : $0.element }, weights: weights)
        let check = SparseRows(passages.enumerated().map { isHeldOut($0.offset) ? $0.element : [] }, weights: weights)

        // Scale the prior so that it explains the targets best as it is: the regression then moves directions, not lengths.
        let sums = design.multiply(prior, columns: dimension)
        var (cross, square) = (0.0, 0.0)
        for index in sums.indices where !isHeldOut(index / dimension) {
            cross += Double(sums[index] * projected[index])
            square += Double(sums[index] * sums[index])
        }
        let scale = square > 0 && cross > 0 ? Float(cross / square) : 1
        for index in prior.indices { prior[index] *= scale }

        var rows = try solve(design, projected, prior: prior, progress: progress)
        // Only directions count, but the first fit was held to targets of length 1, which long texts cannot reach. Each further round asks
        // for the length that the sum had in the round before.
        for _ in 1..<options.rounds {
            let sums = design.multiply(rows, columns: dimension)
            var goals = projected
            for start in stride(from: 0, to: goals.count, by: dimension) {
                var length: Float = 0
                for index in start..<start + dimension { length += sums[index] * projected[index] }
                length = min(max(length, 0.25), 4)
                for index in start..<start + dimension { goals[index] *= length }
            }
            rows = try solve(design, goals, prior: prior, progress: progress)
        }
        let (before, after) = (Self.meanCosine(check, prior, projected, dimension), Self.meanCosine(check, rows, projected, dimension))
        // The table holds weighted rows, so that embedding is a plain sum; its scale does not matter.
        Self.scaleRows(&rows, weights, dimension)
        return Result(rows: rows, energy: components.energy, priorCosine: before, cosine: after)
    }

    /// One for each token.
    private func weights(tokenCount: Int, passages: [[Int32]]) -> [Float] {
        guard options.smoothing > 0, !passages.isEmpty else { return (0..<tokenCount).map { Foundation.log(Float(2 + $0)) } }
        var counts = [Int](repeating: 0, count: tokenCount)
        for passage in passages { for token in passage { counts[Int(token)] += 1 } }
        let total = Float(counts.reduce(0, +))
        return counts.map { options.smoothing / (options.smoothing + Float($0) / total) }
    }

    // MARK: Linear algebra

    /// The unit vectors along which rows have most of their squared length, shape `[count, columns]`, and the share that they keep.
    static func components(of rows: [Float], columns: Int, count: Int) -> (basis: [Float], energy: Double) {
        // Thirty thousand rows fix the directions; more cost time only.
        let rowCount = rows.count / columns
        let step = max(1, rowCount / 30_000)
        var gram = [Float](repeating: 0, count: columns * columns)
        var total = [Double](repeating: 0, count: columns * columns)
        func flush() {
            for index in gram.indices {
                total[index] += Double(gram[index])
                gram[index] = 0
            }
        }
        rows.withUnsafeBufferPointer { rows in
            for (done, row) in stride(from: 0, to: rowCount, by: step).enumerated() {
                let start = row * columns
                gram.withUnsafeMutableBufferPointer { gram in
                    for i in 0..<columns {
                        let value = rows[start + i]
                        for j in i..<columns { gram[i * columns + j] += value * rows[start + j] }
                    }
                }
                // Sums of a few hundred rows in 32 bits, sums of those in 64.
                if done % 512 == 511 { flush() }
            }
        }
        flush()
        for i in 0..<columns { for j in 0..<i { total[i * columns + j] = total[j * columns + i] } }
        let eigen = SymmetricEigen(total, n: columns)
        let sum = eigen.values.reduce(0) { $0 + max(0, $1) }
        let kept = eigen.values.prefix(count).reduce(0) { $0 + max(0, $1) }
        return (eigen.vectors.prefix(count * columns).map { Float($0) }, sum > 0 ? kept / sum : 1)
    }

    /// Shape `[rows, to]`: inner products of each row with each vector of the basis.
    static func project(_ rows: [Float], _ basis: [Float], from columns: Int, to count: Int) -> [Float] {
        // Transposed, so that the inner loop runs along both outputs and basis.
        var transposed = [Float](repeating: 0, count: columns * count)
        for i in 0..<count { for j in 0..<columns { transposed[j * count + i] = basis[i * columns + j] } }
        let rowCount = rows.count / columns
        return [Float](unsafeUninitializedCapacity: rowCount * count) { output, size in
            output.initialize(repeating: 0)
            rows.withUnsafeBufferPointer { rows in
                transposed.withUnsafeBufferPointer { basis in
                    for row in 0..<rowCount {
                        let target = output.baseAddress! + row * count
                        for j in 0..<columns {
                            let value = rows[row * columns + j]
                            let source = basis.baseAddress! + j * count
                            for i in 0..<count { target[i] += value * source[i] }
                        }
                    }
                }
            }
            size = rowCount * count
        }
    }

    static func normalizeRows(_ rows: inout [Float], _ columns: Int) {
        for start in stride(from: 0, to: rows.count, by: columns) {
            var square: Float = 0
            for index in start..<start + columns { square += rows[index] * rows[index] }
            if square <= 0 { continue }
            let factor = 1 / square.squareRoot()
            for index in start..<start + columns { rows[index] *= factor }
        }
    }

    /// Over the rows of `texts` that are not empty.
    static func meanCosine(_ texts: SparseRows, _ table: [Float], _ targets: [Float], _ columns: Int) -> Double? {
        var sums = texts.multiply(table, columns: columns)
        normalizeRows(&sums, columns)
        var total = 0.0
        var count = 0
        for row in 0..<texts.rowCount where !texts.isEmpty(row) {
            for index in row * columns..<(row + 1) * columns { total += Double(sums[index] * targets[index]) }
            count += 1
        }
        return count > 0 ? total / Double(count) : nil
    }

    // MARK: Ridge regression

    /// Minimises ‖X (P + Δ) − Y‖² + λ ‖Δ‖² by conjugate gradients on (XᵀX + λ) Δ = Xᵀ(Y − X P), and returns P + Δ.
    private func solve(_ design: SparseRows, _ targets: [Float], prior: [Float], progress: Progress) throws -> [Float] {
        let dimension = options.dimension
        let blockSize = 32
        let blocks = stride(from: 0, to: dimension, by: blockSize).map { $0..<min($0 + blockSize, dimension) }
        let diagonal = design.columnSquares().map { 1 / ($0 + options.ridge) }
        var rows = prior
        // As many blocks at a time as there are cores, so that progress and interruptions are seen in between.
        let width = max(1, ProcessInfo.processInfo.activeProcessorCount)
        for first in stride(from: 0, to: blocks.count, by: width) {
            try progress("regression", Double(first) / Double(blocks.count))
            let some = Array(blocks[first..<min(first + width, blocks.count)])
            let solved = Parallel.map(some) { block in
                Self.solve(
                    design, Self.columns(block, of: targets, dimension), prior: Self.columns(block, of: prior, dimension),
                    diagonal: diagonal, columns: block.count, ridge: options.ridge, iterations: options.iterations)
            }
            for (block, values) in zip(some, solved) {
                for row in 0..<rows.count / dimension {
                    for column in block { rows[row * dimension + column] = values[row * block.count + column - block.lowerBound] }
                }
            }
        }
        try progress("regression", 1)
        return rows
    }

    static func columns(_ range: Range<Int>, of matrix: [Float], _ columns: Int) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(matrix.count / columns * range.count)
        for start in stride(from: 0, to: matrix.count, by: columns) {
            result.append(contentsOf: matrix[start + range.lowerBound..<start + range.upperBound])
        }
        return result
    }

    static func solve(
        _ design: SparseRows, _ targets: [Float], prior: [Float], diagonal: [Float], columns: Int, ridge: Float, iterations: Int
    ) -> [Float] {
        var residual = design.multiply(prior, columns: columns)
        for index in residual.indices { residual[index] = targets[index] - residual[index] }
        var r = design.multiplyTransposed(residual, columns: columns)
        var solution = [Float](repeating: 0, count: r.count)
        var z = r
        Self.scaleRows(&z, diagonal, columns)
        var direction = z
        var rz = Self.columnProducts(r, z, columns)
        for _ in 0..<iterations {
            var q = design.multiplyTransposed(design.multiply(direction, columns: columns), columns: columns)
            for index in q.indices { q[index] += ridge * direction[index] }
            let curvature = Self.columnProducts(direction, q, columns)
            let step = (0..<columns).map { curvature[$0] > 0 ? Float(rz[$0] / curvature[$0]) : 0 }
            var column = 0
            for index in r.indices {
                solution[index] += step[column] * direction[index]
                r[index] -= step[column] * q[index]
                column = column + 1 == columns ? 0 : column + 1
            }
            z = r
            Self.scaleRows(&z, diagonal, columns)
            let next = Self.columnProducts(r, z, columns)
            let turn = (0..<columns).map { rz[$0] > 0 ? Float(next[$0] / rz[$0]) : 0 }
            column = 0
            for index in direction.indices {
                direction[index] = z[index] + turn[column] * direction[index]
                column = column + 1 == columns ? 0 : column + 1
            }
            rz = next
        }
        for index in solution.indices { solution[index] += prior[index] }
        return solution
    }

    private static func scaleRows(_ matrix: inout [Float], _ factors: [Float], _ columns: Int) {
        for row in factors.indices {
            let factor = factors[row]
            for index in row * columns..<(row + 1) * columns { matrix[index] *= factor }
        }
    }

    /// For each column, the inner product of two matrices' columns.
    private static func columnProducts(_ a: [Float], _ b: [Float], _ columns: Int) -> [Double] {
        var sums = [Double](repeating: 0, count: columns)
        var partial = [Float](repeating: 0, count: columns)
        for (count, start) in stride(from: 0, to: a.count, by: columns).enumerated() {
            for column in 0..<columns { partial[column] += a[start + column] * b[start + column] }
            if count % 256 == 255 || start + columns >= a.count {
                for column in 0..<columns {
                    sums[column] += Double(partial[column])
                    partial[column] = 0
                }
            }
        }
        return sums
    }
}

/// Work on all cores, results in order.
enum Parallel {
    static func map<Input: Sendable, Output: Sendable>(_ inputs: [Input], _ body: @Sendable (Input) -> Output) -> [Output] {
        withoutActuallyEscaping(body) { body in
            [Output](unsafeUninitializedCapacity: inputs.count) { buffer, count in
                // Each index is written by one iteration, and all have ended when `concurrentPerform` returns.
                nonisolated(unsafe) let base = buffer.baseAddress
                DispatchQueue.concurrentPerform(iterations: inputs.count) { index in (base! + index).initialize(to: body(inputs[index])) }
                count = inputs.count
            }
        }
    }
}
