package import Documents
import Execution

/// Reads the stored text back, so that a quote can be checked against what is in the database now.
package protocol SpanReading: Sendable {
    /// The document's extracted text at a byte range.
    ///
    /// - Returns: Nil when the document is gone, or when the range is outside of its text or cuts a character.
    func text(of document: DocumentID, span: TextSpan) async throws -> String?

    /// Where the document's pages lie in its text; empty without pages, and when the document is gone.
    func pages(of document: DocumentID) async throws -> [PageSpan]
}

extension SpanReading {
    package func pages(of document: DocumentID) async throws -> [PageSpan] { [] }
}

/// The spans of the database.
package struct StoredSpans: SpanReading {
    private let store: DocumentStore

    package init(store: DocumentStore) { self.store = store }

    package func text(of document: DocumentID, span: TextSpan) async throws -> String? {
        let store = store
        return try await offload { try store.text(of: document, span: span) }
    }

    package func pages(of document: DocumentID) async throws -> [PageSpan] {
        let store = store
        return try await offload { try store.pages(of: document) }
    }
}
