import EncoderInference
import Foundation
package import Inference
import LlamaInference
import StaticInference

/// Opens an embedding model, or a reranker, by what its file holds.
package enum EmbedderFile {
    /// How a BERT model is computed.
    package enum Precision: String, CaseIterable, Sendable {
        case float32, int16, int8

        /// 16-bit integers give the same vectors to five digits and are faster where the processor has dot products of them; on ARM they are not.
        package static var standard: Precision {
            #if arch(x86_64)
                .int16
            #else
                .float32
            #endif
        }

        fileprivate var encoder: EncoderPrecision {
            switch self {
            case .float32: .float32
            case .int16: .int16
            case .int8: .int8
            }
        }
    }

    /// A table (`.static`) is looked up; a BERT or XLM-RoBERTa model runs on our own encoder; every other GGUF runs on llama.cpp. Texts get the prefixes that the
    /// file, or else the model's card, asks for.
    ///
    /// - Parameter maxInputTokens: Nil = what the model was trained with.
    /// - Throws: `InferenceError`.
    package static func open(
        _ path: String, precision: Precision = .standard, threads: Int? = nil, maxInputTokens: Int? = nil
    ) throws -> any Embedder {
        let limit = maxInputTokens ?? (URL(fileURLWithPath: path).lastPathComponent.lowercased().contains("minilm") ? 256 : 512)
        if StaticEmbedder.isStatic(path) { return try StaticEmbedder(path: path, maxInputTokens: maxInputTokens ?? 256) }
        let embedder: any Embedder
        do {
            let own = try EncoderEmbedder(modelPath: path, precision: precision.encoder, threads: threads, maxInputTokens: limit)
            if let prefixes = own.prefixes { return PrefixedEmbedder(own, prefixes: prefixes) }
            embedder = own
        } catch let error as InferenceError {
            // Other architectures, tokenizers and quantised weights; int8 was asked for and is not to be had there.
            guard case .wrongModelKind = error, precision != .int8 else { throw error }
            embedder = try LlamaEmbedder(modelPath: path, threads: threads, maxInputTokens: limit)
        }
        guard let prefixes = EmbeddingPrefixes.known(for: embedder.model.name) else { return embedder }
        // A name of its own: collections that were made without the prefixes hold other vectors.
        return PrefixedEmbedder(embedder, prefixes: prefixes, name: embedder.model.name + "-prefixed")
    }

    /// A BERT cross-encoder runs on our own encoder; every other reranker on llama.cpp, which refuses BERT's in forms that ours does not read.
    package static func openReranker(_ path: String, precision: Precision = .standard) throws -> any Reranker {
        do { return try EncoderReranker(modelPath: path, precision: precision.encoder) } catch let error as InferenceError {
            guard case .wrongModelKind = error, precision != .int8 else { throw error }
            let reranker = try LlamaReranker(modelPath: path)
            guard !reranker.ignoresTokenTypes else {
                throw InferenceError.wrongModelKind(
                    path: path,
                    reason:
                        "it tells question and passage apart by token types, which llama.cpp leaves out, so it would rank wrongly there; "
                        + "give the model as f16, q8_0 or q4_0, which our own encoder reads")
            }
            return reranker
        }
    }
}
