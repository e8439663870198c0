import Foundation
import Inference
package import Kernels

/// A BERT cross-encoder in a GGUF file (pooling type `rank`), computed by our own encoder: reads question and passage together and gives one score.
///
/// A pair is `[CLS] question [SEP] passage [SEP]`, with token type 0 up to the first `[SEP]` and 1 behind it, as the model was trained; the
/// score is the classifier over the pooled first token (Devlin et al. 2019; Nogueira and Cho, "Passage re-ranking with BERT", 2019).
package final class EncoderReranker: Reranker {
    package var name: String { weights.name }
    private let weights: EncoderWeights
    private let pool: BatchRunner<EncoderInput>
    private let limit: Int

    /// - Parameters:
    ///   - threads: Number of contexts; nil = number of cores.
    ///   - maxInputTokens: Question and passage together, with three special tokens; the passage is truncated to what is left. Nil = the
    ///     model's own.
    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, or `.wrongModelKind` for a model that is not a BERT cross-encoder.
    package init(
        modelPath: String, precision: EncoderPrecision = .float32, threads: Int? = nil, maxInputTokens: Int? = 512, queueLimit: Int = 4096,
        instructionSet: InstructionSet = .bestForEncoder
    ) throws {
        weights = try EncoderWeights(path: modelPath, precision: precision, instructionSet: instructionSet)
        guard weights.shape.pooling == .rank else {
            throw InferenceError.wrongModelKind(
                path: modelPath, reason: "it does not score pairs of texts; give a reranker (pooling type 'rank')")
        }
        limit = max(4, min(maxInputTokens ?? .max, weights.shape.positionCount))
        // Small batches: one that is not done at the deadline is lost.
        pool = BatchRunner(
            weights: weights, inputTokenMax: limit, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount,
            policy: BatchPolicy.Configuration(countMax: 8, tokenMax: 256, documentWaitMax: .zero, queueMax: queueLimit))
    }

    package func rerank(query: String, passages: [String]) async throws -> [Float] {
        // Reranking happens while somebody waits for an answer.
        let rows = try await pool.encode(try inputs(query, passages), priority: .query)
        let width = pool.width
        return try stride(from: 0, to: rows.count, by: width).map { try checked(rows[$0]) }
    }

    /// Scores as many passages as the time allows, the first ones first.
    ///
    /// - Returns: For each passage its score, or nil where it was not done by the deadline. Returns at the deadline, up to some milliseconds.
    /// - Throws: As `rerank(query:passages:)`. That the time did not suffice is no error.
    package func rerank(query: String, passages: [String], deadline: ContinuousClock.Instant?) async throws -> [Float?] {
        guard let deadline else { return try await rerank(query: query, passages: passages) }
        let rows = try await pool.encode(try inputs(query, passages), priority: .query, deadline: deadline)
        return try rows.map { row in try row.map { try checked($0[0]) } }
    }

    /// The first number of a row; what is not finite is an error.
    private func checked(_ score: Float) throws -> Float {
        guard score.isFinite else { throw InferenceError.failed(name: name, reason: "a score is not a number") }
        return score
    }

    private func inputs(_ query: String, _ passages: [String]) throws -> [EncoderInput] {
        let tokenizer = weights.tokenizer
        let room = limit - 3
        // The question may have at most half of the room.
        let question = [tokenizer.cls] + tokenizer.tokens(of: query, limit: room / 2) + [tokenizer.sep]
        return try passages.map { passage in
            try Task.checkCancellation()
            var tokens = question
            tokenizer.appendTokens(of: passage, limit: limit - question.count - 1, to: &tokens)
            tokens.append(tokenizer.sep)
            return EncoderInput(tokens: tokens, secondStart: question.count)
        }
    }
}
