import Foundation
import Inference
import TestSupport
import Testing

@testable import StaticInference

extension SeededGenerator {
    fileprivate mutating func symmetric(_ n: Int) -> [Double] {
        var matrix = [Double](repeating: 0, count: n * n)
        for i in 0..<n { for j in 0...i { matrix[i * n + j] = Double.random(in: -1...1, using: &self) } }
        for i in 0..<n { for j in 0..<i { matrix[j * n + i] = matrix[i * n + j] } }
        return matrix
    }
}

@Suite struct SymmetricEigenTests {
    @Test func `known matrices have their known eigenvalues`() {
        #expect(zip(SymmetricEigen([2, 1, 1, 2], n: 2).values, [3, 1]).allSatisfy { abs($0 - $1) < 1e-14 })
        #expect(SymmetricEigen([5], n: 1).values == [5])
        #expect(SymmetricEigen([3, 0, 0, 0, -1, 0, 0, 0, 7], n: 3).values == [7, 3, -1])
        // The second difference matrix: 2 - 2 cos(k π / (n + 1)).
        let n = 50
        var matrix = [Double](repeating: 0, count: n * n)
        for i in 0..<n {
            matrix[i * n + i] = 2
            if i > 0 { (matrix[i * n + i - 1], matrix[(i - 1) * n + i]) = (-1, -1) }
        }
        let values = SymmetricEigen(matrix, n: n).values
        for k in 1...n { #expect(abs(values[n - k] - (2 - 2 * cos(Double(k) * .pi / Double(n + 1)))) < 1e-12) }
        // Rank one, and nothing at all: every eigenvalue but one is zero, many times over.
        #expect(
            SymmetricEigen([Double](repeating: 1, count: 36), n: 6).values.enumerated().allSatisfy { abs($1 - ($0 == 0 ? 6 : 0)) < 1e-12 })
        #expect(SymmetricEigen([Double](repeating: 0, count: 16), n: 4).values == [0, 0, 0, 0])
    }

    @Test(arguments: [1, 2, 3, 4, 5, 17, 64, 130])
    func `vectors are orthonormal and rebuild the matrix`(n: Int) {
        var generator = SeededGenerator(seed: UInt64(n))
        let matrix = generator.symmetric(n)
        let eigen = SymmetricEigen(matrix, n: n)
        #expect(zip(eigen.values, eigen.values.dropFirst()).allSatisfy { $0 >= $1 })
        var worst = 0.0
        for i in 0..<n {
            for j in 0..<n {
                var dot = 0.0
                var rebuilt = 0.0
                for k in 0..<n {
                    dot += eigen.vectors[i * n + k] * eigen.vectors[j * n + k]
                    rebuilt += eigen.values[k] * eigen.vectors[k * n + i] * eigen.vectors[k * n + j]
                }
                worst = max(worst, abs(dot - (i == j ? 1 : 0)), abs(rebuilt - matrix[i * n + j]))
            }
        }
        #expect(worst < 1e-12 * Double(n + 4))
    }
}

@Suite struct SparseRowsTests {
    @Test func `products equal those of the full matrix`() {
        let texts: [[Int32]] = [[0, 2, 2], [], [3], [1, 0, 1, 1]]
        let weights: [Float] = [1, 2, 3, 4]
        let rows = SparseRows(texts, weights: weights)
        var full = [Float](repeating: 0, count: 16)
        for (row, text) in texts.enumerated() {
            let total = text.reduce(Float(0)) { $0 + weights[Int($1)] }
            for token in text { full[row * 4 + Int(token)] += weights[Int(token)] / total }
        }
        var generator = SeededGenerator(seed: 3)
        let matrix = generator.floats(4 * 5)
        let (product, transposed) = (rows.multiply(matrix, columns: 5), rows.multiplyTransposed(matrix, columns: 5))
        for i in 0..<4 {
            for j in 0..<5 {
                let one = (0..<4).reduce(Float(0)) { $0 + full[i * 4 + $1] * matrix[$1 * 5 + j] }
                let other = (0..<4).reduce(Float(0)) { $0 + full[$1 * 4 + i] * matrix[$1 * 5 + j] }
                #expect(abs(product[i * 5 + j] - one) < 1e-5 && abs(transposed[i * 5 + j] - other) < 1e-5)
            }
        }
        for column in 0..<4 {
            #expect(
                abs(rows.columnSquares()[column] - (0..<4).reduce(Float(0)) { $0 + full[$1 * 4 + column] * full[$1 * 4 + column] }) < 1e-5)
        }
        #expect((0..<4).map { rows.isEmpty($0) } == [false, true, false, false])
    }
}

@Suite struct DistillationTests {
    /// A teacher whose vectors are sums of secret token vectors: the best that a static table could imitate.
    private struct LinearTeacher {
        let dimension = 12
        let tokenCount = 60
        let secret: [Float]
        let passages: [[Int32]]
        let targets: [Float]

        init(seed: UInt64, passageCount: Int) {
            var generator = SeededGenerator(seed: seed)
            secret = generator.floats(dimension * tokenCount)
            passages = (0..<passageCount).map { _ in
                (0..<Int.random(in: 3...12, using: &generator)).map { _ in Int32.random(in: 4..<50, using: &generator) }
            }
            var targets = SparseRows(passages, weights: [Float](repeating: 1, count: tokenCount)).multiply(secret, columns: dimension)
            Distillation.normalizeRows(&targets, dimension)
            self.targets = targets
        }
    }

    @Test func `a teacher that adds up tokens is imitated from poor token vectors`() throws {
        let teacher = LinearTeacher(seed: 9, passageCount: 3000)
        var generator = SeededGenerator(seed: 10)
        let noise = generator.floats(teacher.secret.count)
        let result = try Distillation(.init(dimension: 12, ridge: 0.001, iterations: 40)).run(
            tokens: noise, passages: teacher.passages, targets: teacher.targets, teacherDimension: 12)
        #expect(abs(result.energy - 1) < 1e-9)
        #expect(try #require(result.priorCosine) < 0.5)
        #expect(try #require(result.cosine) > 0.9)
    }

    @Test func `a second round fits directions better than the first`() throws {
        let teacher = LinearTeacher(seed: 16, passageCount: 3000)
        let cosines = try [1, 2].map { rounds in
            try Distillation(.init(dimension: 12, ridge: 0.001, iterations: 40, rounds: rounds)).run(
                tokens: teacher.secret, passages: teacher.passages, targets: teacher.targets, teacherDimension: 12
            ).cosine ?? 0
        }
        #expect(cosines[1] > cosines[0])
    }

    @Test func `the same input gives the same table`() throws {
        let teacher = LinearTeacher(seed: 11, passageCount: 200)
        func make() throws -> [Float] {
            try Distillation(.init(dimension: 7)).run(
                tokens: teacher.secret, passages: teacher.passages, targets: teacher.targets, teacherDimension: 12
            ).rows
        }
        #expect(try make() == make())
    }

    @Test func `a token that no passage holds keeps its direction`() throws {
        let teacher = LinearTeacher(seed: 12, passageCount: 200)
        let options = Distillation.Options(dimension: 12)
        let rows = try Distillation(options).run(
            tokens: teacher.secret, passages: teacher.passages, targets: teacher.targets, teacherDimension: 12
        ).rows
        let basis = Distillation.components(of: teacher.targets, columns: 12, count: 12).basis
        var prior = Distillation.project(teacher.secret, basis, from: 12, to: 12)
        var fitted = rows
        Distillation.normalizeRows(&prior, 12)
        Distillation.normalizeRows(&fitted, 12)
        for token in 50..<60 {
            for index in token * 12..<(token + 1) * 12 { #expect(abs(prior[index] - fitted[index]) < 1e-4) }
        }
    }

    @Test func `without passages the table is the projected tokens, rare ones longer`() throws {
        var generator = SeededGenerator(seed: 13)
        let tokens = generator.floats(40 * 6)
        let result = try Distillation(.init(dimension: 3)).run(tokens: tokens, passages: [], targets: [], teacherDimension: 6)
        #expect(result.rows.count == 40 * 3 && result.cosine == nil && result.energy > 0.5 && result.energy < 1)
        let projected = Distillation.project(tokens, Distillation.components(of: tokens, columns: 6, count: 3).basis, from: 6, to: 3)
        for token in 0..<40 {
            for index in token * 3..<(token + 1) * 3 { #expect(abs(result.rows[index] - projected[index] * log(Float(2 + token))) < 1e-4) }
        }
    }

    @Test func `conjugate gradients find the minimum of the ridge problem`() {
        let teacher = LinearTeacher(seed: 14, passageCount: 100)
        let design = SparseRows(teacher.passages, weights: [Float](repeating: 1, count: 60))
        let diagonal = design.columnSquares().map { 1 / ($0 + 0.1) }
        let found = Distillation.solve(
            design, teacher.targets, prior: teacher.secret, diagonal: diagonal, columns: 12, ridge: 0.1, iterations: 100)
        // At the minimum the gradient Xᵀ(X E − Y) + λ (E − P) is zero.
        var residual = design.multiply(found, columns: 12)
        for index in residual.indices { residual[index] -= teacher.targets[index] }
        let gradient = design.multiplyTransposed(residual, columns: 12)
        for index in gradient.indices { #expect(abs(gradient[index] + 0.1 * (found[index] - teacher.secret[index])) < 1e-3) }
    }

    @Test func `what the progress throws ends the work`() {
        let teacher = LinearTeacher(seed: 15, passageCount: 50)
        #expect(throws: CancellationError.self) {
            try Distillation(.init(dimension: 12)).run(
                tokens: teacher.secret, passages: teacher.passages, targets: teacher.targets, teacherDimension: 12
            ) { step, _ in if step == "regression" { throw CancellationError() } }
        }
    }
}

@Suite struct GGUFVocabularyTests {
    private func gguf(_ pairs: [(String, [UInt8])]) -> [UInt8] {
        func string(_ text: String) -> [UInt8] { number(UInt64(text.utf8.count)) + Array(text.utf8) }
        return Array("GGUF".utf8) + number(UInt32(3)) + number(UInt64(0)) + number(UInt64(pairs.count))
            + pairs.flatMap { string($0.0) + $0.1 }
    }
    private func number(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    private func text(_ text: String) -> [UInt8] { number(UInt64(text.utf8.count)) + Array(text.utf8) }

    private func sample() -> [UInt8] {
        let tokens = ["[UNK]", "▁red", "ish"]
        return gguf([
            ("general.architecture", number(UInt32(8)) + text("bert")), ("x.float", number(UInt32(6)) + number(UInt32(0))),
            ("tokenizer.ggml.model", number(UInt32(8)) + text("bert")),
            ("tokenizer.ggml.tokens", number(UInt32(9)) + number(UInt32(8)) + number(UInt64(3)) + tokens.flatMap(text)),
            (
                "tokenizer.ggml.token_type",
                number(UInt32(9)) + number(UInt32(5)) + number(UInt64(3)) + [3, 1, 1].flatMap { number(Int32($0)) }
            ),
            ("tokenizer.ggml.normalizer.lowercase", number(UInt32(7)) + [0]),
        ])
    }

    private func read(_ bytes: [UInt8]) throws -> GGUFVocabulary {
        let path = NSTemporaryDirectory() + "outrider-vocabulary-\(UUID().uuidString).gguf"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return try GGUFVocabulary(path: path)
    }

    @Test func `the vocabulary comes in WordPiece's notation`() throws {
        let vocabulary = try read(sample())
        #expect(vocabulary.tokens == ["[UNK]", "red", "##ish"])
        #expect(!vocabulary.isUncased && !vocabulary.stripsAccents)
    }

    @Test func `a file that is cut anywhere is refused`() {
        for size in 0..<sample().count { #expect(throws: InferenceError.self, "\(size) bytes") { try read(Array(sample().prefix(size))) } }
    }

    @Test func `another tokenizer is refused by name`() {
        let bytes = gguf([("tokenizer.ggml.model", number(UInt32(8)) + text("gpt2"))])
        #expect { try read(bytes) } throws: { "\($0)".contains("gpt2") }
    }

    @Test(arguments: UInt64(1)...200)
    func `damaged bytes never crash the reader`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var bytes = sample()
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        // Either a vocabulary or an error of ours.
        do { _ = try read(bytes) } catch { #expect(error is InferenceError, "seed \(seed): \(error)") }
    }
}
