import ArgumentParser
import EncoderInference
import Inference
import LlamaInference
import StaticInference

/// Opens an embedding model, or a reranker, by what its file holds.
enum EmbedderFile {
    /// How a BERT model is computed.
    enum Precision: String, CaseIterable, ExpressibleByArgument {
        case float32, int16, int8

        /// 16-bit integers give the same vectors to five digits and are faster where the processor has dot products of them; on ARM they are not.
        static var standard: Precision {
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

    /// A table (`.static`) is looked up; a BERT model runs on our own encoder; every other GGUF runs on llama.cpp.
    ///
    /// - Throws: `InferenceError`.
    static func open(
        _ path: String, precision: Precision = .standard, threads: Int? = nil, maxInputTokens: Int? = 256
    ) throws -> any Embedder {
        if StaticEmbedder.isStatic(path) { return try StaticEmbedder(path: path, maxInputTokens: maxInputTokens) }
        do {
            return try EncoderEmbedder(modelPath: path, precision: precision.encoder, threads: threads, maxInputTokens: maxInputTokens)
        } catch let error as InferenceError {
            // Other architectures, tokenizers and quantised weights; int8 was asked for and is not to be had there.
            guard case .wrongModelKind = error, precision != .int8 else { throw error }
            return try LlamaEmbedder(modelPath: path, threads: threads, maxInputTokens: maxInputTokens)
        }
    }

    /// A BERT cross-encoder runs on our own encoder; every other reranker on llama.cpp.
    static func openReranker(_ path: String, precision: Precision = .standard) throws -> any Reranker {
        do { return try EncoderReranker(modelPath: path, precision: precision.encoder) } catch let error as InferenceError {
            guard case .wrongModelKind = error, precision != .int8 else { throw error }
            return try LlamaReranker(modelPath: path)
        }
    }
}
