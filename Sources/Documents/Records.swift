package import struct Foundation.Date

/// Everything that is decided per collection. Stored as JSON in `collections.settings`; new members need defaults.
package struct CollectionSettings: Codable, Hashable, Sendable {
    /// Name of the embedding model whose vectors this collection holds; nil until the first document arrives.
    package var embeddingModel: String?
    package var dimension: Int?
    package var chunkTokens = 220
    package var chunkOverlapTokens = 32
    /// "auto": by the language of each passage.
    package var stemmer = "auto"
    package var stopWords = "english"
    package var k1: Float = 1.2
    package var b: Float = 0.75
    package var titleWeight: Float = 3
    /// Share of the vector score in the min-max weighted fusion, 0...1.
    package var vectorWeight: Float = 0.75
    /// "minmax" or "rrf".
    package var fusion = "minmax"

    package init() {}

    /// Members that are missing keep their defaults: settings of an older version stay readable, and a client may send a few only.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        embeddingModel = try members.decodeIfPresent(String.self, forKey: .embeddingModel)
        dimension = try members.decodeIfPresent(Int.self, forKey: .dimension)
        chunkTokens = try members.decodeIfPresent(Int.self, forKey: .chunkTokens) ?? chunkTokens
        chunkOverlapTokens = try members.decodeIfPresent(Int.self, forKey: .chunkOverlapTokens) ?? chunkOverlapTokens
        stemmer = try members.decodeIfPresent(String.self, forKey: .stemmer) ?? stemmer
        stopWords = try members.decodeIfPresent(String.self, forKey: .stopWords) ?? stopWords
        k1 = try members.decodeIfPresent(Float.self, forKey: .k1) ?? k1
        b = try members.decodeIfPresent(Float.self, forKey: .b) ?? b
        titleWeight = try members.decodeIfPresent(Float.self, forKey: .titleWeight) ?? titleWeight
        vectorWeight = try members.decodeIfPresent(Float.self, forKey: .vectorWeight) ?? vectorWeight
        fusion = try members.decodeIfPresent(String.self, forKey: .fusion) ?? fusion
    }
}

/// A collection as it is stored.
package struct CollectionRecord: Codable, Hashable, Sendable {
    package var id: CollectionID
    package var name: String
    package var settings: CollectionSettings
    package var createdAt: Date
    /// Why the stored settings cannot be read; `settings` are the defaults then. Nil when they can.
    package var settingsFlaw: String?
    package init(id: CollectionID, name: String, settings: CollectionSettings, createdAt: Date, settingsFlaw: String? = nil) {
        self.id = id
        self.name = name
        self.settings = settings
        self.createdAt = createdAt
        self.settingsFlaw = settingsFlaw
    }
}

/// How much a collection holds; `textBytes` counts UTF-8 bytes of extracted text.
package struct CollectionCounts: Codable, Hashable, Sendable {
    package var documents: Int
    package var chunks: Int
    package var textBytes: Int
    package init(documents: Int, chunks: Int, textBytes: Int) {
        self.documents = documents
        self.chunks = chunks
        self.textBytes = textBytes
    }
}

/// A document's row without its text.
package struct DocumentRecord: Codable, Hashable, Sendable {
    package var id: DocumentID
    package var collection: CollectionID
    /// Where it came from, unique within the collection: an absolute path, an upload's file name, a URL, or a caller's own key.
    package var source: String
    package var title: String?
    package var mimeType: String
    /// SHA-256 of the original bytes, hex.
    package var contentHash: String
    package var byteCount: Int
    package var pageCount: Int?
    package var chunkCount: Int
    package var version: Int
    package var metadata: Metadata
    package var createdAt: Date
    package var updatedAt: Date
    package init(
        id: DocumentID, collection: CollectionID, source: String, title: String?, mimeType: String, contentHash: String, byteCount: Int,
        pageCount: Int?,
        chunkCount: Int, version: Int, metadata: Metadata, createdAt: Date, updatedAt: Date
    ) {
        self.id = id
        self.collection = collection
        self.source = source
        self.title = title
        self.mimeType = mimeType
        self.contentHash = contentHash
        self.byteCount = byteCount
        self.pageCount = pageCount
        self.chunkCount = chunkCount
        self.version = version
        self.metadata = metadata
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

/// Where a page lies in the extracted text. `number` counts from 1.
package struct PageSpan: Codable, Hashable, Sendable {
    package var number: Int
    package var span: TextSpan
    package init(number: Int, span: TextSpan) {
        self.number = number
        self.span = span
    }
}

extension [PageSpan] {
    /// The page on which a byte of the text stands; what lies between two pages belongs to the one before.
    ///
    /// - Returns: Nil before the first page, and without pages.
    /// - Complexity: O(log *pages*).
    package func page(at offset: Int) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].span.start <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? self[low - 1].number : nil
    }
}

/// A chunk as it is stored. `text` equals the document text's bytes at `span`, exactly.
package struct ChunkRecord: Codable, Hashable, Sendable {
    package var id: ChunkID
    package var document: DocumentID
    package var ordinal: Int
    package var span: TextSpan
    /// The page of its first byte.
    package var page: Int?
    /// The page of its last byte; nil without pages, and for chunks that an older version stored.
    package var lastPage: Int?
    /// Headings above the chunk, outermost first, joined by " > "; empty when there are none.
    package var heading: String
    package var tokenCount: Int
    package var text: String
    package init(
        id: ChunkID, document: DocumentID, ordinal: Int, span: TextSpan, page: Int?, lastPage: Int? = nil, heading: String,
        tokenCount: Int, text: String
    ) {
        self.lastPage = lastPage
        self.id = id
        self.document = document
        self.ordinal = ordinal
        self.span = span
        self.page = page
        self.heading = heading
        self.tokenCount = tokenCount
        self.text = text
    }
}

/// A chunk of a draft; its text is the document's text at `span`.
package struct ChunkDraft: Sendable {
    package var span: TextSpan
    /// The page of its first byte, and that of its last.
    package var page: Int?
    package var lastPage: Int?
    package var heading: String
    package var tokenCount: Int
    package init(span: TextSpan, page: Int?, lastPage: Int? = nil, heading: String, tokenCount: Int) {
        self.lastPage = lastPage
        self.span = span
        self.page = page
        self.heading = heading
        self.tokenCount = tokenCount
    }
}

/// A document ready to be stored: everything of it goes in by one transaction.
package struct DocumentDraft: Sendable {
    package var collection: CollectionID
    package var source: String
    package var title: String?
    package var mimeType: String
    package var contentHash: String
    package var byteCount: Int
    package var text: String
    package var pages: [PageSpan]
    package var metadata: Metadata
    package var chunks: [ChunkDraft]
    /// Shape `[chunks.count, dimension]`, row-major; empty when the collection has no vectors.
    package var vectors: [Float]
    package var dimension: Int
    /// Name of the model that made `vectors`.
    package var embeddingModel: String?
    /// The chunks' vectors by further models, for spaces that are being filled.
    package var others: [DraftVectors] = []
    /// What users should know about how the file was read; kept with its row in the job.
    package var note: String?
    package init(
        collection: CollectionID, source: String, title: String?, mimeType: String, contentHash: String, byteCount: Int, text: String,
        pages: [PageSpan],
        metadata: Metadata, chunks: [ChunkDraft], vectors: [Float], dimension: Int, embeddingModel: String?
    ) {
        self.collection = collection
        self.source = source
        self.title = title
        self.mimeType = mimeType
        self.contentHash = contentHash
        self.byteCount = byteCount
        self.text = text
        self.pages = pages
        self.metadata = metadata
        self.chunks = chunks
        self.vectors = vectors
        self.dimension = dimension
        self.embeddingModel = embeddingModel
    }
}

/// A stretch of a document's text.
package struct TextWindow: Sendable, Equatable {
    package var text: String
    package var span: TextSpan
    /// Bytes of the whole text.
    package var textSize: Int

    /// Cuts bytes out of a text; a bound inside a character moves outwards.
    ///
    /// - Parameters:
    ///   - bytes: A part of the text that reaches three bytes beyond what is wanted before it and four after it, where the text does.
    ///   - offset: Where the part begins.
    package init(start: Int, end: Int, of bytes: some RandomAccessCollection<UInt8>, at offset: Int = 0, textSize: Int) {
        func isInside(_ place: Int) -> Bool {
            place > 0 && place < textSize && bytes[bytes.index(bytes.startIndex, offsetBy: place - offset)] & 0xC0 == 0x80
        }
        var low = min(max(0, start), textSize)
        var high = min(max(end, low), textSize)
        while isInside(low) { low -= 1 }
        while isInside(high) { high += 1 }
        let first = bytes.index(bytes.startIndex, offsetBy: low - offset)
        text = String(decoding: bytes[first..<bytes.index(first, offsetBy: high - low)], as: UTF8.self)
        span = TextSpan(start: low, end: high)
        self.textSize = textSize
    }
}

/// A document's vectors by one model.
package struct DraftVectors: Sendable {
    package var model: String
    package var dimension: Int
    /// Shape `[chunks.count, dimension]`, row-major.
    package var values: [Float]

    package init(model: String, dimension: Int, values: [Float]) {
        self.model = model
        self.dimension = dimension
        self.values = values
    }
}

extension DocumentDraft {
    /// All vectors that it brings, those of its first model first.
    package var embeddings: [DraftVectors] {
        guard !vectors.isEmpty, let embeddingModel else { return others }
        return [DraftVectors(model: embeddingModel, dimension: dimension, values: vectors)] + others
    }
}

/// What one transaction changed, so that indexes can follow without reading it again.
package struct DocumentCommit: Sendable {
    package var document: DocumentID
    /// In the order of the draft's chunks; ascending.
    package var inserted: [ChunkID]
    /// Chunks of the version that was replaced.
    package var deleted: [ChunkID]
    package var replacedVersion: Bool
    package init(document: DocumentID, inserted: [ChunkID], deleted: [ChunkID], replacedVersion: Bool) {
        self.document = document
        self.inserted = inserted
        self.deleted = deleted
        self.replacedVersion = replacedVersion
    }
}

/// What a deletion removed: the receipt shown to users.
package struct DeletionReceipt: Sendable, Equatable {
    package var documents: [DocumentID]
    package var chunks: [ChunkID]
    package var collection: String
    package init(documents: [DocumentID], chunks: [ChunkID], collection: String) {
        self.documents = documents
        self.chunks = chunks
        self.collection = collection
    }
}

/// What to delete within a collection.
package enum DeletionSelector: Sendable {
    case ids([DocumentID])
    case sources([String])
    /// Sources that begin with this path and a slash, or equal it.
    case sourceTree(String)
    case filter(Filter)
    case all
}

/// One row as an index needs it when it catches up with the database.
package struct IndexableRow: Sendable {
    package var id: ChunkID
    /// Document title and heading path, joined by newline.
    package var context: String
    package var text: String
    /// Empty when the chunk has no vector.
    package var vector: [Float]
    package init(id: ChunkID, context: String, text: String, vector: [Float]) {
        self.id = id
        self.context = context
        self.text = text
        self.vector = vector
    }
}

/// The state of a job; `DocumentStore+Jobs.swift` shows the transitions. `failed` is not used yet.
package enum JobState: String, Codable, Sendable, CaseIterable {
    case queued, running, finished, cancelled, failed
}

/// The stage of one file in a job. Terminal: indexed, unchanged, refused, failed, cancelled.
///
///     queued -> parsing -> chunking -> embedding -> committing -> indexed
///        \________________________________________________-> unchanged | refused | failed | cancelled
package enum FileStage: String, Codable, CodingKeyRepresentable, Sendable, CaseIterable {
    case queued, parsing, chunking, embedding, committing, indexed, unchanged, refused, failed, cancelled
    package var isTerminal: Bool {
        switch self {
        case .indexed, .unchanged, .refused, .failed, .cancelled: true
        default: false
        }
    }
}

/// A job with its progress.
package struct JobRecord: Codable, Sendable, Equatable {
    package var id: JobID
    package var collection: CollectionID
    package var state: JobState
    package var createdAt: Date
    package var updatedAt: Date
    package var fileCount: Int
    /// Number of files by stage.
    package var stages: [FileStage: Int]
    package var byteCount: Int
    package var finishedByteCount: Int
    /// Whether there may be work left.
    package var isOpen: Bool { state == .queued || state == .running }

    package init(
        id: JobID, collection: CollectionID, state: JobState, createdAt: Date, updatedAt: Date, fileCount: Int, stages: [FileStage: Int],
        byteCount: Int,
        finishedByteCount: Int
    ) {
        self.id = id
        self.collection = collection
        self.state = state
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.fileCount = fileCount
        self.stages = stages
        self.byteCount = byteCount
        self.finishedByteCount = finishedByteCount
    }
}

/// One file of a job. After its document is deleted, path, source, title, type and metadata are empty.
package struct JobFileRecord: Codable, Sendable, Equatable {
    /// The text itself where it waits in the database instead of a file; only in what `claimFiles` returns.
    package var text: String?
    /// How often the program died while this file was being worked on, see `recoverJobs`. More than 0 makes it a suspect.
    package var deaths: Int
    package var job: JobID
    package var sequence: Int
    /// File to read; for uploads and JSON text a spool file inside the data folder.
    package var path: String
    /// The document's `source`.
    package var source: String
    package var title: String?
    package var mimeType: String?
    package var metadata: Metadata
    /// True when `path` is a spool file that is removed after the file's end.
    package var isSpooled: Bool
    package var byteCount: Int
    package var stage: FileStage
    package var attempts: Int
    package var reason: String?
    package var document: DocumentID?
    package var chunkCount: Int
    package init(
        job: JobID, sequence: Int, path: String, source: String, title: String?, mimeType: String?, metadata: Metadata, isSpooled: Bool,
        byteCount: Int,
        stage: FileStage, attempts: Int, reason: String?, document: DocumentID?, chunkCount: Int, deaths: Int = 0, text: String? = nil
    ) {
        self.text = text
        self.deaths = deaths
        self.job = job
        self.sequence = sequence
        self.path = path
        self.source = source
        self.title = title
        self.mimeType = mimeType
        self.metadata = metadata
        self.isSpooled = isSpooled
        self.byteCount = byteCount
        self.stage = stage
        self.attempts = attempts
        self.reason = reason
        self.document = document
        self.chunkCount = chunkCount
    }
}

/// A file to be put into a new job.
package struct JobFileDraft: Sendable {
    package var path: String
    package var source: String
    package var title: String?
    package var mimeType: String?
    package var metadata: Metadata
    package var isSpooled: Bool
    package var byteCount: Int
    /// A text that has no file: it waits in the database, and `path` is empty.
    package var text: String?
    /// Why the file is not taken in at all: it is at its end when the job begins.
    package var refusal: String?
    package init(
        path: String, source: String, title: String? = nil, mimeType: String? = nil, metadata: Metadata = [:], isSpooled: Bool = false,
        byteCount: Int, text: String? = nil, refusal: String? = nil
    ) {
        self.text = text
        self.refusal = refusal
        self.path = path
        self.source = source
        self.title = title
        self.mimeType = mimeType
        self.metadata = metadata
        self.isSpooled = isSpooled
        self.byteCount = byteCount
    }
}
