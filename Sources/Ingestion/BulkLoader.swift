import Documents
import Execution
import Foundation
package import Indexing
package import Inference
import Parsing

/// Puts many plain texts in at once: data sets and programs that already hold text. Chunks of all documents share the embedder's batches.
package struct BulkLoader: Sendable {
    package struct Text: Sendable {
        package var source: String
        package var title: String
        package var text: String
        package init(source: String, title: String, text: String) {
            self.source = source
            self.title = title
            self.text = text
        }
    }

    package struct Totals: Sendable {
        package var documents = 0
        package var chunks = 0
        /// Tokens given to the embedder, special tokens left out.
        package var tokens = 0
        package init() {}
    }

    private let indexes: CollectionIndexes
    private let embedder: (any Embedder)?
    /// Documents in one round of embedding and commit.
    private let batchSize: Int

    package init(into indexes: CollectionIndexes, embedder: (any Embedder)?, batchSize: Int = 64) {
        self.indexes = indexes
        self.embedder = embedder
        self.batchSize = batchSize
    }

    /// Stores texts; while one batch is embedded, the one before is committed.
    ///
    /// - Parameter progress: Called after each batch with the totals so far.
    package func load(_ texts: [Text], progress: (Totals) -> Void = { _ in }) async throws -> Totals {
        var totals = Totals()
        var commit: Task<Void, any Error>?
        for start in stride(from: 0, to: texts.count, by: batchSize) {
            try Task.checkCancellation()
            let batch = texts[start..<min(start + batchSize, texts.count)]
            let (drafts, tokens) = try await drafts(batch)
            try await commit?.value
            let indexes = indexes
            commit = Task { try await offload { for draft in drafts { _ = try indexes.put(draft, finishing: nil) } } }
            totals.documents += drafts.count
            totals.chunks += drafts.reduce(0) { $0 + $1.chunks.count }
            totals.tokens += tokens
            progress(totals)
        }
        try await commit?.value
        return totals
    }

    private func drafts(_ batch: ArraySlice<Text>) async throws -> ([DocumentDraft], tokens: Int) {
        let settings = indexes.settings
        let tokenizer: any Tokenizer = embedder?.tokenizer ?? ByteTokenizer()
        let chunker = Chunker(tokenizer: tokenizer, maxTokens: settings.chunkTokens, overlapTokens: settings.chunkOverlapTokens)
        var drafts: [DocumentDraft] = []
        var inputs: [String] = []
        for item in batch {
            // A text without a word (there are such rows in real sets) stays findable by its title.
            let text = item.text.contains { !$0.isWhitespace } ? item.text : item.title
            let parsed = ParsedDocument(text: text, blocks: Self.paragraphs(of: text), title: item.title, mimeType: "text/plain")
            let chunks = chunker.chunks(of: parsed)
            guard !chunks.isEmpty else { continue }
            let bytes = Array(text.utf8)
            inputs += chunks.map {
                EmbeddingInput.document(title: item.title, heading: $0.heading, text: String(decoding: bytes[$0.span.range], as: UTF8.self))
            }
            drafts.append(
                DocumentDraft(
                    collection: indexes.id, source: item.source, title: item.title.isEmpty ? nil : item.title, mimeType: "text/plain",
                    contentHash: "",
                    byteCount: bytes.count, text: text, pages: [], metadata: [:], chunks: chunks, vectors: [],
                    dimension: embedder?.model.dimension ?? 0, embeddingModel: embedder?.model.name))
        }
        guard let embedder else { return (drafts, 0) }
        let vectors = try await embedder.embed(inputs, for: .document)
        var offset = 0
        for index in drafts.indices {
            let count = drafts[index].chunks.count * embedder.model.dimension
            drafts[index].vectors = Array(vectors[offset..<offset + count])
            offset += count
        }
        return (drafts, inputs.reduce(0) { $0 + min(tokenizer.count($1), embedder.model.contextLength) })
    }

    /// Blocks between blank lines.
    private static func paragraphs(of text: String) -> [Block] {
        let bytes = Array(text.utf8)
        var blocks: [Block] = []
        var start = 0
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n"), index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "\n") {
                blocks.append(Block(kind: .paragraph, span: start..<index))
                start = index + 2
                index += 1
            }
            index += 1
        }
        blocks.append(Block(kind: .paragraph, span: start..<bytes.count))
        return blocks.filter { !$0.span.isEmpty }
    }
}
