/// What a model was trained to see before a question and before a passage; empty = nothing.
package struct EmbeddingPrefixes: Sendable, Hashable {
    package var query: String
    package var document: String

    package init(query: String, document: String) {
        self.query = query
        self.document = document
    }

    /// What the cards of well-known models ask for, by the name of the file; nil for a model that wants nothing or is not known.
    ///
    /// Sources: the cards of E5 (Wang et al. 2022, "Text Embeddings by Weakly-Supervised Contrastive Pre-training", §4.3), BGE v1.5, Nomic Embed, Arctic Embed and mxbai.
    package static func known(for model: String) -> EmbeddingPrefixes? {
        let name = model.lowercased()
        func has(_ parts: String...) -> Bool { parts.contains { name.contains($0) } }
        if has("e5-small", "e5-base", "e5-large") { return EmbeddingPrefixes(query: "query: ", document: "passage: ") }
        if has("nomic-embed-text") { return EmbeddingPrefixes(query: "search_query: ", document: "search_document: ") }
        if has("arctic-embed") && has("v2") { return EmbeddingPrefixes(query: "query: ", document: "") }
        if has("arctic-embed", "mxbai-embed") || has("bge-") && has("-en") && !has("reranker") {
            return EmbeddingPrefixes(query: "Represent this sentence for searching relevant passages: ", document: "")
        }
        return nil
    }
}

/// Puts a model's prefixes before questions and passages.
///
/// Models that were trained with them place questions and passages wrongly without: leaving them out costs E5 some points of nDCG and raises no error.
package struct PrefixedEmbedder: Embedder {
    package let model: EmbeddingModel
    private let base: any Embedder
    private let prefixes: EmbeddingPrefixes

    package var tokenizer: any Tokenizer { base.tokenizer }

    /// - Parameter name: Nil keeps the model's name: for prefixes that belong to the file, so that one name always means the same vectors.
    package init(_ base: any Embedder, prefixes: EmbeddingPrefixes, name: String? = nil) {
        self.base = base
        self.prefixes = prefixes
        let taken = max(base.tokenizer.count(prefixes.query), base.tokenizer.count(prefixes.document))
        model = EmbeddingModel(
            name: name ?? base.model.name, dimension: base.model.dimension, contextLength: max(1, base.model.contextLength - taken))
    }

    package func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        let prefix = purpose == .query ? prefixes.query : prefixes.document
        return try await base.embed(prefix.isEmpty ? texts : texts.map { prefix + $0 }, for: purpose)
    }
}
