package import Documents

/// What frontends read of the stored documents. `DocumentStore` has all of it; tests bring a double.
///
/// The calls block for the duration of their SQL, so they are made through a `WorkPool`.
package protocol DocumentReading: Sendable {
    func collection(named name: String) throws(DocumentStoreError) -> CollectionRecord?
    func collections() throws(DocumentStoreError) -> [CollectionRecord]
    func counts(of collection: CollectionID) throws(DocumentStoreError) -> CollectionCounts
    func document(_ id: DocumentID) throws(DocumentStoreError) -> DocumentRecord?
    func documents(
        in collection: CollectionID, search: String?, filter: Filter?, after: DocumentID?, limit: Int
    ) throws(DocumentStoreError) -> [DocumentRecord]
    func text(of id: DocumentID) throws(DocumentStoreError) -> String?
    func pages(of id: DocumentID) throws(DocumentStoreError) -> [PageSpan]
    func chunks(of id: DocumentID) throws(DocumentStoreError) -> [ChunkRecord]
    func update(metadata: Metadata, of id: DocumentID) throws(DocumentStoreError)
}

extension DocumentStore: DocumentReading {
    package func update(metadata: Metadata, of id: DocumentID) throws(DocumentStoreError) {
        try update(metadata: metadata, of: id, actor: "http")
    }
}
