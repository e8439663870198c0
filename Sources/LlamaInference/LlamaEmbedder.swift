import CLlama
import Foundation
package import Inference

/// An embedding model in a GGUF file: one single-threaded context per core over one shared model; small batches, questions first.
///
/// Pooling (mean, first or last token) is what the file says. Close it by letting go of it: the last reference waits for the batches that run.
package final class LlamaEmbedder: Embedder {
    package let model: EmbeddingModel
    package var tokenizer: any Tokenizer { LlamaTokenizer(model: llama) }
    private let llama: LlamaModel
    private let input: SequenceTrimmer
    private let pool: EncoderPool

    /// - Parameters:
    ///   - threads: Number of contexts; nil = number of cores.
    ///   - maxInputTokens: Inputs are truncated to this (MiniLM was trained with 256); nil = the model's own.
    ///   - queueLimit: Most texts that may wait; beyond, `embed` throws `InferenceError.overloaded`.
    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, or `.wrongModelKind` for a model that does not make one vector per text.
    package convenience init(modelPath: String, threads: Int? = nil, maxInputTokens: Int? = 256, queueLimit: Int = 4096) throws {
        // 256 tokens: attention runs over the whole batch, so larger batches gain nothing on a processor. Texts of 200 tokens took
        // 110-125 ms of one core at 256 and at 512 alike, with 109 MB of memory against 136 MB.
        let policy = BatchPolicy.Configuration(countMax: 8, tokenMax: 256, queueMax: queueLimit)
        try self.init(modelPath: modelPath, threads: threads, maxInputTokens: maxInputTokens, policy: policy)
    }

    /// As above, with everything that decides about batches.
    package init(modelPath: String, threads: Int?, maxInputTokens: Int?, policy: BatchPolicy.Configuration) throws {
        llama = try LlamaModel(path: modelPath)
        let limit = min(maxInputTokens ?? .max, llama.contextLength)
        input = SequenceTrimmer(model: llama, limit: limit)
        pool = try EncoderPool(
            model: llama, sequenceTokenMax: limit, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount,
            pooling: LLAMA_POOLING_TYPE_UNSPECIFIED,
            policy: policy)
        guard pool.pooling != LLAMA_POOLING_TYPE_RANK else {
            throw InferenceError.wrongModelKind(path: modelPath, reason: "it scores pairs of texts (a reranker); give an embedding model")
        }
        guard pool.pooling != LLAMA_POOLING_TYPE_NONE else {
            throw InferenceError.wrongModelKind(path: modelPath, reason: "it names no pooling, so it is no embedding model")
        }
        model = EmbeddingModel(name: llama.name, dimension: pool.width, contextLength: limit)
    }

    /// Texts that wait for a context, for load decisions.
    package var waitingCount: Int { pool.runner.waitingCount }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        var sequences: [[Token]] = []
        sequences.reserveCapacity(texts.count)
        for text in texts {
            try Task.checkCancellation()
            sequences.append(input.tokens(text))
        }
        var rows = try await pool.runner.encode(sequences, priority: purpose)
        try normalizeRows(&rows, width: pool.width, name: model.name)
        return rows
    }
}

/// Turns a text into the tokens of one input, special tokens around it, cut to a limit so that the special tokens stay.
struct SequenceTrimmer: Sendable {
    let model: LlamaModel
    /// Most tokens, special ones included.
    let limit: Int
    /// What the model puts behind a text, such as `[SEP]`.
    private let suffix: [Token]

    init(model: LlamaModel, limit: Int) {
        self.model = model
        self.limit = limit
        let plain = model.tokenize("a", addSpecial: false)
        let whole = model.tokenize("a", addSpecial: true)
        let prefixCount = whole.indices.first { whole[$0...].starts(with: plain) } ?? 0
        suffix = Array(whole[min(whole.count, prefixCount + plain.count)...])
    }

    func tokens(_ text: String) -> [Token] {
        var text = text
        return text.withUTF8 { characters in
            let bytes = UnsafeRawBufferPointer(characters)
            // A long text need not be tokenized to its end; but a single unknown word may be long, so look further if it was.
            var length = limit * 16
            while true {
                let cut = boundary(bytes, length)
                var tokens = model.tokenize(UnsafeRawBufferPointer(rebasing: bytes[..<cut]), addSpecial: true)
                if tokens.count > limit {
                    tokens.removeSubrange(max(0, limit - suffix.count)..<tokens.count)
                    return tokens + suffix.suffix(limit)
                }
                if cut == bytes.count { return tokens.isEmpty ? [fallbackToken] : tokens }
                length *= 4
            }
        }
    }

    /// For an empty text in a model without special tokens: any token, for a sequence must not be empty.
    private var fallbackToken: Token { 0 }

    private func boundary(_ bytes: UnsafeRawBufferPointer, _ length: Int) -> Int {
        guard length < bytes.count else { return bytes.count }
        var length = length
        while length > 0 && bytes[length] & 0b1100_0000 == 0b1000_0000 { length -= 1 }
        return length
    }
}
