import Foundation
package import Inference

/// Embeds a text by adding up one vector for each token: a thousand times faster than the transformer whose vectors it imitates.
///
/// ```
///  "café prices" ─► WordPiece ─► 7668  7597  ─► rows of the table, lengths = weights ─► Σ ─► unit length
/// ```
///
/// What is lost is word order and context; what stays is the topic. For prediction, previews, caches and as a first stage. The table comes
/// from `outrider models distill`; the idea is that of word vectors with smooth inverse frequency weights (Arora, Liang & Ma, "A Simple but
/// Tough-to-Beat Baseline for Sentence Embeddings", 2017), with the vectors of a sentence transformer in place of word2vec.
package struct StaticEmbedder: Embedder {
    package let model: EmbeddingModel
    package var tokenizer: any Tokenizer { words }
    private let words: WordPieceTokenizer
    private let table: StaticTable

    /// What the names of such files end in.
    package static let fileExtension = "static"

    /// Whether a path is that of a static table, by its name.
    package static func isStatic(_ path: String) -> Bool { path.hasSuffix("." + fileExtension) }

    /// - Parameter maxInputTokens: Inputs are cut to this, special tokens included as far as they would count in the teacher; nil = the file's.
    /// - Throws: `InferenceError.modelNotFound`, `.wrongModelKind`, `.modelUnreadable`.
    package init(path: String, maxInputTokens: Int? = nil) throws {
        try self.init(StaticTable(path: path), maxInputTokens: maxInputTokens)
    }

    /// As above, with a table that is open already.
    package init(_ table: StaticTable, maxInputTokens: Int? = nil) throws {
        self.table = table
        words = try WordPieceTokenizer(
            vocabulary: table.vocabulary, isUncased: table.header.isUncased, stripsAccents: table.header.stripsAccents)
        model = EmbeddingModel(
            name: table.header.name, dimension: table.header.dimension,
            contextLength: min(maxInputTokens ?? .max, table.header.contextLength))
    }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        var rows = [Float](repeating: 0, count: texts.count * model.dimension)
        var tokens: [Int32] = []
        for (index, text) in texts.enumerated() {
            if index % 256 == 0 { try Task.checkCancellation() }
            tokens.removeAll(keepingCapacity: true)
            // Two less for the special tokens that the teacher's limit counts.
            words.appendTokens(of: text, limit: max(1, model.contextLength - 2), to: &tokens)
            if tokens.isEmpty { tokens.append(words.pad) }
            rows.withUnsafeMutableBufferPointer { buffer in
                let row = UnsafeMutableBufferPointer(rebasing: buffer[index * model.dimension..<(index + 1) * model.dimension])
                if sum(tokens, into: row) { return }
                // Tokens that cancel each other out, or weigh nothing: the vector of an empty text, or any direction.
                row.update(repeating: 0)
                if !sum([words.pad], into: row) { row[0] = 1 }
            }
        }
        return rows
    }

    /// Adds the rows of some tokens to zeros and scales the sum to length 1.
    /// - Returns: False when the sum has no direction.
    private func sum(_ tokens: [Int32], into row: UnsafeMutableBufferPointer<Float>) -> Bool {
        let dimension = row.count
        let output = row.baseAddress!
        table.withRows { scales, rows in
            for token in tokens {
                let scale = scales[Int(token)]
                let values = rows + Int(token) * dimension
                // The compiler makes vector instructions of this; the order of additions is the same on every machine.
                for index in 0..<dimension { output[index] += scale * Float(values[index]) }
            }
        }
        var squares: Float = 0
        for index in 0..<dimension { squares += output[index] * output[index] }
        guard squares.isFinite, squares > 1e-20 else { return false }
        let factor = 1 / squares.squareRoot()
        for index in 0..<dimension { output[index] *= factor }
        return true
    }
}
