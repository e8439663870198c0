package import Documents
package import Ingestion

/// What happened to one file.
package struct FileBody: Encodable, Sendable {
    var path: String
    var outcome: FileStage
    var reason: String?
    var documentID: DocumentID?
    var chunks: Int

    enum CodingKeys: String, CodingKey {
        case path, outcome, reason, chunks
        case documentID = "document_id"
    }

    package init(_ outcome: FileOutcome) {
        path = outcome.path
        self.outcome = outcome.outcome
        reason = outcome.reason
        documentID = outcome.documentID
        chunks = outcome.chunks
    }
}

/// A job as users see it.
package struct JobBody: Encodable, Sendable {
    struct Working: Encodable, Sendable {
        var path: String
        var stage: FileStage
        var seconds: Double
    }
    var id: JobID
    var collection: String
    var state: JobState
    var fileCount: Int
    var finishedCount: Int
    var stages: [String: Int]
    var byteCount: Int
    var finishedByteCount: Int
    var progress: Double
    var etaSeconds: Double?
    var createdAt: Double
    var files: [FileBody]
    var filesLeftOut: Int
    var working: [Working]
    var waiting: String?

    enum CodingKeys: String, CodingKey {
        case id, collection, state, stages, progress, files, working, waiting
        case filesLeftOut = "files_left_out"
        case fileCount = "file_count"
        case finishedCount = "finished_count"
        case byteCount = "byte_count"
        case finishedByteCount = "finished_byte_count"
        case etaSeconds = "eta_s"
        case createdAt = "created_at"
    }

    package init(_ status: JobStatus) {
        id = status.id
        collection = status.collection
        state = status.state
        fileCount = status.fileCount
        finishedCount = status.finishedCount
        stages = status.stages
        byteCount = status.byteCount
        finishedByteCount = status.finishedByteCount
        progress = status.progress
        etaSeconds = status.etaSeconds
        createdAt = status.createdAt
        files = status.files.map(FileBody.init)
        filesLeftOut = status.filesLeftOut
        working = status.working.map { Working(path: $0.path, stage: $0.stage, seconds: $0.seconds) }
        waiting = status.waiting
    }
}

/// One file's end in a stream, in the shape of `outrider ingest --json`.
struct FileEventBody: Encodable {
    var file: FileBody
    private enum CodingKeys: String, CodingKey { case event }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("file", forKey: .event)
        try file.encode(to: encoder)
    }
}

/// A job's end in a stream, in the shape of `outrider ingest --json`.
struct SummaryEventBody: Encodable {
    var event = "summary"
    var indexed, refused, unchanged, failed, cancelled, chunks: Int
    var seconds: Double
    var job: JobBody

    init(_ status: JobStatus, chunks: Int, seconds: Double) {
        func count(_ stage: FileStage) -> Int { status.stages[stage.rawValue] ?? 0 }
        indexed = count(.indexed)
        refused = count(.refused)
        unchanged = count(.unchanged)
        failed = count(.failed)
        cancelled = count(.cancelled)
        self.chunks = chunks
        self.seconds = seconds
        job = JobBody(status)
    }
}

/// What a deletion removed.
package struct ReceiptBody: Encodable, Sendable {
    var documents: [DocumentID]
    var chunks: [ChunkID]
    var collection: String

    package init(_ receipt: DeletionReceipt) {
        documents = receipt.documents
        chunks = receipt.chunks
        collection = receipt.collection
    }
}

/// A proof of what is and is not stored.
package struct VerificationBody: Encodable, Sendable {
    struct Collection: Encodable, Sendable {
        var collection: String
        var documents: Int
        var chunks: Int
        var textRows: Int
        var vectorRows: Int
        enum CodingKeys: String, CodingKey {
            case collection, documents, chunks
            case textRows = "text_rows"
            case vectorRows = "vector_rows"
        }
    }
    var clean: Bool
    var collections: [Collection]
    var problems: [String]
    var seconds: Double

    package init(_ report: VerificationReport) {
        clean = report.clean
        collections = report.collections.map {
            Collection(
                collection: $0.collection, documents: $0.documents, chunks: $0.chunks, textRows: $0.textRows, vectorRows: $0.vectorRows)
        }
        problems = report.problems
        seconds = report.seconds
    }
}
