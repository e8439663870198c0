package import Documents

/// What frontends read of the stored documents. `DocumentStore` has all of it; tests bring a double.
///
/// The calls block for the duration of their SQL, so they are made through a `WorkPool`. What lies outside of a scope is not there.
package protocol DocumentReading: Sendable {
    func collection(named name: String, scope: RequestScope) throws(DocumentStoreError) -> CollectionRecord?
    func collections(scope: RequestScope) throws(DocumentStoreError) -> [CollectionRecord]
    func counts(of collection: CollectionID, scope: RequestScope) throws(DocumentStoreError) -> CollectionCounts
    func document(_ id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> DocumentRecord?
    func documents(
        in collection: CollectionID, search: String?, filter: Filter?, after: DocumentID?, limit: Int, scope: RequestScope
    ) throws(DocumentStoreError) -> [DocumentRecord]
    /// A stretch of a document's text; a bound inside a character moves outwards.
    func window(of id: DocumentID, start: Int, end: Int, scope: RequestScope) throws(DocumentStoreError) -> TextWindow?
    func pages(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [PageSpan]
    func chunks(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [ChunkRecord]
    /// - Throws: `.unknownDocument` also for a document outside of the scope.
    func update(metadata: Metadata, of id: DocumentID, scope: RequestScope) throws(DocumentStoreError)
}

extension DocumentStore: DocumentReading {
    private func isVisible(_ collection: CollectionID, _ scope: RequestScope) throws(DocumentStoreError) -> Bool {
        guard scope.collections != nil else { return true }
        return try self.collection(collection).map { scope.includes(collection: $0.name) } ?? false
    }

    private func isVisible(_ id: DocumentID, _ scope: RequestScope) throws(DocumentStoreError) -> Bool {
        guard scope.collections != nil else { return true }
        return try document(id, scope: scope) != nil
    }

    package func collection(named name: String, scope: RequestScope) throws(DocumentStoreError) -> CollectionRecord? {
        scope.includes(collection: name) ? try collection(named: name) : nil
    }

    package func collections(scope: RequestScope) throws(DocumentStoreError) -> [CollectionRecord] {
        try collections().filter { scope.includes(collection: $0.name) }
    }

    package func counts(of collection: CollectionID, scope: RequestScope) throws(DocumentStoreError) -> CollectionCounts {
        guard try isVisible(collection, scope) else { return CollectionCounts(documents: 0, chunks: 0, textBytes: 0) }
        return try counts(of: collection)
    }

    package func document(_ id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> DocumentRecord? {
        guard let document = try document(id), try isVisible(document.collection, scope) else { return nil }
        return document
    }

    package func documents(
        in collection: CollectionID, search: String?, filter: Filter?, after: DocumentID?, limit: Int, scope: RequestScope
    ) throws(DocumentStoreError) -> [DocumentRecord] {
        guard try isVisible(collection, scope) else { return [] }
        return try documents(in: collection, search: search, filter: filter, after: after, limit: limit)
    }

    package func window(of id: DocumentID, start: Int, end: Int, scope: RequestScope) throws(DocumentStoreError) -> TextWindow? {
        try isVisible(id, scope) ? try window(of: id, start: start, end: end) : nil
    }

    package func pages(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [PageSpan] {
        try isVisible(id, scope) ? try pages(of: id) : []
    }

    package func chunks(of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) -> [ChunkRecord] {
        try isVisible(id, scope) ? try chunks(of: id) : []
    }

    package func update(metadata: Metadata, of id: DocumentID, scope: RequestScope) throws(DocumentStoreError) {
        guard try isVisible(id, scope) else { throw .unknownDocument(id.rawValue) }
        try update(metadata: metadata, of: id, actor: "http")
    }
}
