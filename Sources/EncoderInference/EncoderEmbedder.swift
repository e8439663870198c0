import Foundation
package import Inference
package import Kernels

/// A BERT embedding model in a GGUF file, computed by our own encoder: one single-threaded context per core over shared weights, batches
/// without padding, questions first.
///
/// Pooling (mean, first or last token) is what the file says. Close it by letting go of it: the last reference waits for the batches that run.
package final class EncoderEmbedder: Embedder {
    package let model: EmbeddingModel
    package var tokenizer: any Tokenizer { weights.tokenizer }
    /// How the products are computed.
    package var precision: EncoderPrecision { weights.precision }
    /// Bytes of weights and tables in memory. The token table is read from the mapped file and not counted.
    package var weightSize: Int { weights.size }
    /// What the file wants before a question and before a passage; nil where it says nothing.
    package var prefixes: EmbeddingPrefixes? { weights.prefixes }
    private let weights: EncoderWeights
    private let pool: BatchRunner<EncoderInput>

    /// - Parameters:
    ///   - precision: `int8` has a name of its own (`…-int8`), because its vectors differ.
    ///   - threads: Number of contexts; nil = number of cores.
    ///   - maxInputTokens: Inputs are truncated to this (MiniLM was trained with 256); nil = the model's own.
    ///   - queueLimit: Most texts that may wait; beyond, `embed` throws `InferenceError.overloaded`.
    ///   - instructionSet: For tests and measurements.
    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, or `.wrongModelKind` for a model that is not a BERT of f32 or f16
    ///   weights that makes one vector per text: llama.cpp may read it.
    package convenience init(
        modelPath: String, precision: EncoderPrecision = .float32, threads: Int? = nil, maxInputTokens: Int? = 256, queueLimit: Int = 4096,
        instructionSet: InstructionSet = .bestForEncoder
    ) throws {
        // Without padding a larger batch gains nothing once the products are tall; a small one keeps questions from waiting.
        let policy = BatchPolicy.Configuration(countMax: 16, tokenMax: 256, documentWaitMax: .zero, queueMax: queueLimit)
        try self.init(
            modelPath: modelPath, precision: precision, threads: threads, maxInputTokens: maxInputTokens, policy: policy,
            instructionSet: instructionSet)
    }

    /// As above, with everything that decides about batches.
    package init(
        modelPath: String, precision: EncoderPrecision, threads: Int?, maxInputTokens: Int?, policy: BatchPolicy.Configuration,
        instructionSet: InstructionSet = .bestForEncoder
    ) throws {
        weights = try EncoderWeights(path: modelPath, precision: precision, instructionSet: instructionSet)
        guard weights.shape.pooling != .rank else {
            throw InferenceError.wrongModelKind(path: modelPath, reason: "it scores pairs of texts (a reranker); give an embedding model")
        }
        let limit = max(2, min(maxInputTokens ?? .max, weights.shape.positionCount))
        pool = BatchRunner(
            weights: weights, inputTokenMax: limit, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount, policy: policy)
        let name = precision == .int8 ? weights.name + "-int8" : weights.name
        model = EmbeddingModel(name: name, dimension: weights.shape.width, contextLength: limit)
    }

    /// Texts that wait for a context, for load decisions.
    package var waitingCount: Int { pool.waitingCount }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        var inputs: [EncoderInput] = []
        inputs.reserveCapacity(texts.count)
        for text in texts {
            try Task.checkCancellation()
            inputs.append(input(text))
        }
        var rows = try await pool.encode(inputs, priority: purpose)
        try normalizeRows(&rows, width: pool.width, name: model.name)
        return rows
    }

    private func input(_ text: String) -> EncoderInput {
        var tokens = [weights.tokenizer.cls]
        weights.tokenizer.appendTokens(of: text, limit: model.contextLength - 2, to: &tokens)
        tokens.append(weights.tokenizer.sep)
        return EncoderInput(tokens: tokens)
    }
}
