import CLlama
import Foundation
import Inference

/// A cross-encoder in a GGUF file (pooling type `rank`): reads question and passage together and gives one score.
///
/// BERT cross-encoders such as ms-marco-MiniLM tell question and passage apart by token types. llama.cpp gives both texts the type 0, and then even the best passage may
/// change: see `ignoresTokenTypes`. They belong to `EncoderReranker`. Those of the XLM-RoBERTa kind have one type only and are right.
package final class LlamaReranker: Reranker {
    package var name: String { model.name }
    /// Whether the model knows a second token type, which it never sees here: its scores are then not those that it was trained to give.
    package var ignoresTokenTypes: Bool { model.tokenTypeCount > 1 }
    private let model: LlamaModel
    private let pairs: PairFormat
    private let pool: EncoderPool

    /// - Parameters:
    ///   - threads: Number of contexts; nil = number of cores.
    ///   - maxInputTokens: Question and passage together; the passage is truncated to what is left. Nil = the model's own.
    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, or `.wrongModelKind` for a model that does not score pairs.
    package init(modelPath: String, threads: Int? = nil, maxInputTokens: Int? = 512, queueLimit: Int = 4096) throws {
        model = try LlamaModel(path: modelPath)
        let limit = min(maxInputTokens ?? .max, model.contextLength)
        pairs = PairFormat(model: model, limit: limit)
        pool = try EncoderPool(
            model: model, sequenceTokenMax: limit, threads: threads ?? ProcessInfo.processInfo.activeProcessorCount,
            pooling: LLAMA_POOLING_TYPE_UNSPECIFIED,
            policy: BatchPolicy.Configuration(countMax: 8, tokenMax: 512, queueMax: queueLimit))
        guard pool.pooling == LLAMA_POOLING_TYPE_RANK, pool.width > 0 else {
            throw InferenceError.wrongModelKind(
                path: modelPath, reason: "it does not score pairs of texts; give a reranker (pooling type 'rank')")
        }
    }

    package func rerank(query: String, passages: [String]) async throws -> [Float] {
        let question = pairs.question(query)
        var sequences: [[Token]] = []
        for passage in passages {
            try Task.checkCancellation()
            sequences.append(pairs.tokens(question, passage))
        }
        // Reranking happens while somebody waits for an answer.
        let rows = try await pool.runner.encode(sequences, priority: .query)
        let scores = stride(from: 0, to: rows.count, by: pool.width).map { rows[$0] }
        guard scores.allSatisfy(\.isFinite) else { throw InferenceError.failed(name: name, reason: "a score is not a number") }
        return scores
    }
}

/// Puts a question and a passage into one sequence, as the model was trained to read them: `[CLS] question [SEP] passage [SEP]`,
/// `<s> question </s></s> passage </s>`, or the file's own `rerank` template with `{query}` and `{document}`.
struct PairFormat: Sendable {
    private let model: LlamaModel
    private let limit: Int
    private let prefix: [Token]
    private let middle: [Token]
    private let suffix: [Token]

    init(model: LlamaModel, limit: Int) {
        self.model = model
        self.limit = limit
        let vocabulary = model.vocabulary
        if let template = model.chatTemplate("rerank"), let query = template.range(of: "{query}"),
            let document = template.range(of: "{document}"),
            query.upperBound <= document.lowerBound
        {
            prefix = model.tokenize(String(template[..<query.lowerBound]), addSpecial: true, parseSpecial: true)
            middle = model.tokenize(String(template[query.upperBound..<document.lowerBound]), addSpecial: false, parseSpecial: true)
            suffix = model.tokenize(String(template[document.upperBound...]), addSpecial: false, parseSpecial: true)
            return
        }
        let begin = llama_vocab_get_add_bos(vocabulary) ? [llama_vocab_bos(vocabulary)] : []
        let separator = llama_vocab_get_add_sep(vocabulary) ? [llama_vocab_sep(vocabulary)] : []
        let end = llama_vocab_get_add_eos(vocabulary) ? [llama_vocab_eos(vocabulary)] : []
        prefix = begin.filter { $0 >= 0 }
        middle = (end + separator).filter { $0 >= 0 }
        suffix = (end.isEmpty ? separator : end).filter { $0 >= 0 }
    }

    /// The question's tokens, at most half of what a pair may have.
    func question(_ text: String) -> [Token] { Array(model.tokenize(text, addSpecial: false).prefix(room / 2)) }

    func tokens(_ question: [Token], _ passage: String) -> [Token] {
        let passage = model.tokenize(passage, addSpecial: false).prefix(max(0, room - question.count))
        return prefix + question + middle + passage + suffix
    }

    private var room: Int { max(0, limit - prefix.count - middle.count - suffix.count) }
}
