import Documents
import FoundationEssentials
import HTTPTypes

/// A document on the wire.
struct DocumentBody: Codable, Sendable, Equatable {
    var id: String
    var collection: String
    var source: String
    var title: String?
    var mimeType: String
    var contentHash: String
    var bytes: Int
    var pages: Int?
    var chunks: Int
    var version: Int
    var metadata: Metadata
    var createdAt: Double
    var updatedAt: Double

    enum CodingKeys: String, CodingKey {
        case id, collection, source, title, bytes, pages, chunks, version, metadata
        case mimeType = "mime_type"
        case contentHash = "content_hash"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }

    init(_ record: DocumentRecord, collection: String) {
        id = record.id.rawValue
        self.collection = collection
        source = record.source
        title = record.title
        mimeType = record.mimeType
        contentHash = record.contentHash
        bytes = record.byteCount
        pages = record.pageCount
        chunks = record.chunkCount
        version = record.version
        metadata = record.metadata
        createdAt = record.createdAt.timeIntervalSince1970
        updatedAt = record.updatedAt.timeIntervalSince1970
    }
}

/// `PATCH /v1/documents/{id}`.
struct MetadataPatchBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable { case metadata }

    /// A null removes its key.
    var metadata: [String: MetadataValue?]

    init(_ members: Members<Member>) throws { metadata = try members.required([String: MetadataValue?].self, .metadata) }
}

/// `POST /v1/documents/delete`.
struct DeletionBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable {
        case collection, ids, sources, filter
        case sourceTree = "source_tree"
    }

    var collection: String?
    var selector: DeletionSelector

    /// Exactly one way to say what goes: two at once could mean "both" or "either".
    init(_ members: Members<Member>) throws {
        collection = try members.optional(String.self, .collection)
        var selectors: [DeletionSelector] = []
        if let ids = try members.optional([String].self, .ids) { selectors.append(.ids(ids.map(DocumentID.init(rawValue:)))) }
        if let sources = try members.optional([String].self, .sources) { selectors.append(.sources(sources)) }
        if let tree = try members.optional(String.self, .sourceTree) { selectors.append(.sourceTree(tree)) }
        if let filter = try members.optional(Filter.self, .filter) { selectors.append(.filter(filter)) }
        guard let only = selectors.first, selectors.count == 1 else {
            throw APIError(
                .badRequest, code: "invalid_value",
                "give exactly one of 'ids', 'sources', 'source_tree' and 'filter'; delete a whole collection with DELETE /v1/collections/{name}"
            )
        }
        selector = only
    }
}

/// `POST /v1/documents` with texts.
struct TextsBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable { case documents, collection, metadata }

    struct Item: ObjectBody {
        enum Member: String, CodingKey, CaseIterable { case source, title, text, metadata }

        var source: String
        var title: String?
        var text: String
        var metadata: Metadata?

        init(_ members: Members<Member>) throws {
            source = try members.required(String.self, .source)
            title = try members.optional(String.self, .title)
            text = try members.required(String.self, .text)
            metadata = try members.optional(Metadata.self, .metadata)
        }
    }

    var documents: [Item]
    var collection: String?
    /// For all documents; a document's own metadata comes on top.
    var metadata: Metadata?

    init(_ members: Members<Member>) throws {
        documents = try members.required([Item].self, .documents)
        collection = try members.optional(String.self, .collection)
        metadata = try members.optional(Metadata.self, .metadata)
    }
}
