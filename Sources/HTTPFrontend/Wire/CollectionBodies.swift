import Documents
import FoundationEssentials
package import Ingestion
import Retrieval

/// A collection on the wire.
struct CollectionBody: Encodable {
    struct Language: Encodable {
        var code: String
        var passages: Int
        var fitness: Float?
    }
    var name: String
    var documents: Int
    var chunks: Int
    var textBytes: Int
    var createdAt: Double
    var settings: SettingsBody
    /// Why it cannot be opened; absent when it can.
    var unusable: String?
    /// Absent in lists.
    var languages: [Language]?
    var languageAdvice: String?

    private enum CodingKeys: String, CodingKey {
        case name, documents, chunks, settings, unusable, languages
        case languageAdvice = "language_advice"
        case textBytes = "text_bytes"
        case createdAt = "created_at"
    }

    init(_ record: CollectionRecord, _ counts: CollectionCounts, unusable: String? = nil, languages report: LanguageReport? = nil) {
        self.unusable = unusable
        name = record.name
        documents = counts.documents
        chunks = counts.chunks
        textBytes = counts.textBytes
        createdAt = record.createdAt.timeIntervalSince1970
        settings = SettingsBody(record.settings)
        languages = report?.languages.map { Language(code: $0.code, passages: $0.passages, fitness: $0.fitness) }
        languageAdvice = report?.advice
    }
}

/// `POST /v1/collections`.
struct NewCollectionBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable { case name, settings }

    var name: String
    var settings: CollectionSettings

    init(_ members: Members<Member>) throws {
        name = try members.required(String.self, .name)
        settings = try members.optional(SettingsBody.self, .settings)?.settings ?? CollectionSettings()
    }
}

/// The settings of a collection. A client may send a few only: the others are the defaults.
struct SettingsBody: ObjectBody, Encodable {
    enum Member: String, CodingKey, CaseIterable {
        case embeddingModel = "embedding_model"
        case dimension
        case chunkTokens = "chunk_tokens"
        case chunkOverlapTokens = "chunk_overlap_tokens"
        case stemmer
        case stopWords = "stop_words"
        case k1, b
        case titleWeight = "title_weight"
        case vectorWeight = "vector_weight"
        case fusion
    }

    var settings: CollectionSettings

    init(_ settings: CollectionSettings) { self.settings = settings }

    init(_ members: Members<Member>) throws {
        settings = CollectionSettings()
        /// Says of what is no number and no text that it cannot be read, by the name of the setting.
        func read<Value>(_ member: Member, _ body: (Member) throws -> Value?) throws -> Value? {
            do { return try body(member) } catch DecodingError.typeMismatch(let type, let context) {
                let isPlain =
                    (try? members.optional(String.self, member)) != nil || (try? members.optional(Double.self, member)) != nil
                    || (try? members.optional(Bool.self, member)) != nil
                guard isPlain else { throw Self.unreadable(members.path(member), member) }
                throw DecodingError.typeMismatch(type, context)
            }
        }
        func float(_ member: Member) throws -> Float? {
            guard let number = try read(member, members.number) else { return nil }
            guard number.isFinite else { throw Self.unreadable(members.path(member), member) }
            guard abs(number) <= 1e15 else {
                throw APIError.invalid(members.path(member), "setting '\(member.rawValue)' is \(number), which is out of range")
            }
            return Float(number)
        }
        func text(_ member: Member) throws -> String? { try read(member) { try members.optional(String.self, $0) } }

        settings.embeddingModel = try text(.embeddingModel)
        settings.dimension = try read(.dimension, members.whole)
        settings.chunkTokens = try read(.chunkTokens, members.whole) ?? settings.chunkTokens
        settings.chunkOverlapTokens = try read(.chunkOverlapTokens, members.whole) ?? settings.chunkOverlapTokens
        settings.stemmer = try text(.stemmer) ?? settings.stemmer
        settings.stopWords = try text(.stopWords) ?? settings.stopWords
        settings.k1 = try float(.k1) ?? settings.k1
        settings.b = try float(.b) ?? settings.b
        settings.titleWeight = try float(.titleWeight) ?? settings.titleWeight
        settings.vectorWeight = try float(.vectorWeight) ?? settings.vectorWeight
        settings.fusion = try text(.fusion) ?? settings.fusion
    }

    private static func unreadable(_ path: String, _ member: Member) -> APIError {
        .invalid(path, "setting '\(member.rawValue)' is not a number or a text that can be read")
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Member.self)
        try container.encodeIfPresent(settings.embeddingModel, forKey: .embeddingModel)
        try container.encodeIfPresent(settings.dimension, forKey: .dimension)
        try container.encode(settings.chunkTokens, forKey: .chunkTokens)
        try container.encode(settings.chunkOverlapTokens, forKey: .chunkOverlapTokens)
        try container.encode(settings.stemmer, forKey: .stemmer)
        try container.encode(settings.stopWords, forKey: .stopWords)
        try container.encode(settings.k1, forKey: .k1)
        try container.encode(settings.b, forKey: .b)
        try container.encode(settings.titleWeight, forKey: .titleWeight)
        try container.encode(settings.vectorWeight, forKey: .vectorWeight)
        try container.encode(settings.fusion, forKey: .fusion)
    }
}

/// `POST /v1/collections/{name}/embedding-model`.
struct ModelChangeRequestBody: ObjectBody {
    enum Member: String, CodingKey, CaseIterable {
        case embeddingModel = "embedding_model"
        case keepsOld = "keep_old"
    }

    var embeddingModel: String
    /// Whether the vectors of the model before stay in the database.
    var keepsOld: Bool

    init(_ members: Members<Member>) throws {
        embeddingModel = try members.required(String.self, .embeddingModel)
        keepsOld = try members.optional(Bool.self, .keepsOld) ?? false
    }
}

/// A change of a collection's embedding model on the wire, and on the command line.
package struct ModelChangeBody: Encodable, Sendable {
    var collection: String
    var from: String?
    var to: String
    var state: String
    var vectors: Int
    var chunks: Int
    var etaSeconds: Double?
    var reason: String?

    private enum CodingKeys: String, CodingKey {
        case collection, from, to, state, vectors, chunks, reason
        case etaSeconds = "eta_s"
    }

    package init(_ status: ModelChangeStatus) {
        collection = status.collection
        from = status.from
        to = status.to
        state = status.state.rawValue
        vectors = status.vectorCount
        chunks = status.chunkCount
        etaSeconds = status.etaSeconds
        reason = status.reason
    }
}
