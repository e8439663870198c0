package import Documents

/// Something to take in.
package enum IngestItem: Sendable {
    /// A file on this machine, or a folder (all files in it, hidden ones left out).
    case path(String)
    /// An upload that was already written to a spool file; the service owns and removes it.
    case upload(name: String, spoolPath: String, mimeType: String?)
    /// Text given as such; `source` is the caller's key. Its own metadata comes on top of the request's.
    case text(source: String, title: String?, text: String, metadata: Metadata = [:])
}

package struct IngestRequest: Sendable {
    package var collection: String
    package var items: [IngestItem]
    package var metadata: Metadata
    /// Whether symbolic links to files in folders are followed.
    package var followsLinks: Bool
    package init(collection: String = "default", items: [IngestItem], metadata: Metadata = [:], followsLinks: Bool = false) {
        self.followsLinks = followsLinks
        self.collection = collection
        self.items = items
        self.metadata = metadata
    }
}

/// What happened to one file. `outcome` is one of `indexed`, `unchanged`, `refused`, `failed`, `cancelled`.
package struct FileOutcome: Sendable {
    package var path: String
    package var outcome: FileStage
    package var reason: String?
    package var documentID: DocumentID?
    package var chunks: Int
    package init(path: String, outcome: FileStage, reason: String?, documentID: DocumentID?, chunks: Int) {
        self.path = path
        self.outcome = outcome
        self.reason = reason
        self.documentID = documentID
        self.chunks = chunks
    }
}

/// A file that is being worked on.
package struct WorkingFile: Sendable, Equatable {
    package var path: String
    package var stage: FileStage
    /// Seconds since it was taken up.
    package var seconds: Double
    package init(path: String, stage: FileStage, seconds: Double) {
        self.path = path
        self.stage = stage
        self.seconds = seconds
    }
}

/// A job as users see it: `GET /v1/jobs/{id}` and the progress bar.
package struct JobStatus: Sendable {
    package var id: JobID
    package var collection: String
    package var state: JobState
    package var fileCount: Int
    package var finishedCount: Int
    /// Number of files by stage (`queued`, `parsing`, ... `indexed`, `refused`).
    package var stages: [String: Int]
    package var byteCount: Int
    package var finishedByteCount: Int
    /// 0...1, by bytes.
    package var progress: Double
    /// Seconds to the end at the measured speed; nil while too little is done to tell.
    package var etaSeconds: Double?
    package var createdAt: Double
    /// Files at their end, those that were refused or failed first; of a very large job not all.
    package var files: [FileOutcome]
    /// How many of these are not in `files`.
    package var filesLeftOut: Int
    /// What is being worked on now; of a group of texts the first ones.
    package var working: [WorkingFile]
    /// Why nothing goes on, such as a full disk; nil when nothing is wrong.
    package var waiting: String?

    package var isOpen: Bool { state == .queued || state == .running }

    package init(
        id: JobID, collection: String, state: JobState, fileCount: Int, finishedCount: Int, stages: [String: Int], byteCount: Int,
        finishedByteCount: Int,
        progress: Double, etaSeconds: Double?, createdAt: Double, files: [FileOutcome], filesLeftOut: Int = 0, working: [WorkingFile] = [],
        waiting: String? = nil
    ) {
        self.filesLeftOut = filesLeftOut
        self.working = working
        self.waiting = waiting
        self.id = id
        self.collection = collection
        self.state = state
        self.fileCount = fileCount
        self.finishedCount = finishedCount
        self.stages = stages
        self.byteCount = byteCount
        self.finishedByteCount = finishedByteCount
        self.progress = progress
        self.etaSeconds = etaSeconds
        self.createdAt = createdAt
        self.files = files
    }
}

package enum IngestEvent: Sendable {
    case progress(JobStatus)
    case file(FileOutcome)
    /// The job's end.
    case summary(JobStatus, chunks: Int, seconds: Double)
}

/// A proof of what is and is not stored, as `outrider verify` prints it.
package struct VerificationReport: Sendable {
    package struct CollectionReport: Sendable {
        package var collection: String
        package var documents: Int
        package var chunks: Int
        package var textRows: Int
        package var vectorRows: Int
        package init(collection: String, documents: Int, chunks: Int, textRows: Int, vectorRows: Int) {
            self.collection = collection
            self.documents = documents
            self.chunks = chunks
            self.textRows = textRows
            self.vectorRows = vectorRows
        }
    }
    package var clean: Bool
    package var collections: [CollectionReport]
    /// One sentence per flaw; empty when clean.
    package var problems: [String]
    package var seconds: Double
    package init(clean: Bool, collections: [CollectionReport], problems: [String], seconds: Double) {
        self.clean = clean
        self.collections = collections
        self.problems = problems
        self.seconds = seconds
    }
}

package enum IngestionError: Error, Sendable, CustomStringConvertible {
    case unknownCollection(String)
    case unknownJob(String)
    case unknownDocument(String)
    case invalidRequest(parameter: String, value: String, remedy: String)
    case noSuchPath(String)
    case queueFull(queued: Int, limit: Int)
    /// Failed or cancelled files whose bytes are not there any more.
    case nothingToRetry(job: String, count: Int)
    case readOnly(String)
    case store(String)

    package var description: String {
        switch self {
        case .unknownCollection(let name): "collection '\(name)' does not exist"
        case .unknownJob(let id): "job '\(id)' does not exist; list jobs with GET /v1/jobs"
        case .unknownDocument(let id): "document '\(id)' does not exist"
        case .invalidRequest(let parameter, let value, let remedy): "'\(parameter)' is \(value); \(remedy)"
        case .noSuchPath(let path): "'\(path)' does not exist or cannot be read"
        case .queueFull(let queued, let limit): "\(queued) files are waiting to be ingested (limit \(limit)); try again later"
        case .nothingToRetry(let job, let count):
            "none of the \(count) failed or cancelled files of '\(job)' can be tried again: their bytes went when the job was cancelled or the documents deleted; send them again"
        case .readOnly(let reason): reason
        case .store(let reason): reason
        }
    }
}

/// What frontends ask for to change what is stored. What is outside of a scope is unknown; without a scope is what concerns the data folder as a whole.
package protocol Ingesting: Sendable {
    /// Stores the job durably and returns at once; work goes on in the background.
    func submit(_ request: IngestRequest, scope: RequestScope) async throws -> JobID
    /// Events of a job from now to its end; begins with a `.progress`. Ends after `.summary`.
    func events(of job: JobID, scope: RequestScope) async throws -> AsyncStream<IngestEvent>
    func status(of job: JobID, scope: RequestScope) async throws -> JobStatus
    func jobs(limit: Int, scope: RequestScope) async throws -> [JobStatus]
    func cancel(_ job: JobID, scope: RequestScope) async throws -> JobStatus
    /// Puts failed and cancelled files back into the queue.
    ///
    /// - Throws: `IngestionError.nothingToRetry` when there are some and the bytes of none are there any more.
    func retry(_ job: JobID, scope: RequestScope) async throws -> JobStatus
    /// Removes documents from everything at once.
    func delete(_ selector: DeletionSelector, collection: String, scope: RequestScope) async throws -> DeletionReceipt
    func deleteCollection(_ name: String, scope: RequestScope) async throws -> DeletionReceipt
    func createCollection(_ name: String, settings: CollectionSettings, scope: RequestScope) async throws -> CollectionRecord
    /// Reasons of collections that cannot be opened, by name. They answer nothing, and they can be deleted.
    func unusableCollections(scope: RequestScope) async -> [String: String]
    /// Why nothing can be taken in at the moment, such as a full disk; nil when it can.
    func obstacle() async -> String?
    func verify() async throws -> VerificationReport
    /// Rewrites files so that nothing of what was deleted is left in any of them.
    func compact() async throws
}

extension Ingesting {
    package func unusableCollections(scope: RequestScope) async -> [String: String] { [:] }
    package func obstacle() async -> String? { nil }
}
