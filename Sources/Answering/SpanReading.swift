package import Documents

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
