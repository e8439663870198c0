/// What can go wrong in the document store; a case for each thing that a caller can act on.
package enum DocumentStoreError: Error, Sendable, Equatable, CustomStringConvertible {
    case cannotOpen(path: String, reason: String)
    case newerSchema(path: String, got: Int, expected: Int)
    case unknownCollection(String)
    case collectionExists(String)
    case unknownDocument(String)
    case unknownJob(String)
    case invalidName(String)
    /// A collection's setting outside of what it may be. `setting` is its name as users write it.
    case invalidSetting(setting: String, value: String, allowed: String)
    /// A stored collection that cannot be opened: its settings, or its rows, are damaged. Others are not affected.
    case unusableCollection(name: String, reason: String)
    case invalidFilter(String)
    /// A draft breaks a rule of the store: spans outside the text, a vector that is not finite, metadata that is too large.
    case invalidDocument(source: String, reason: String)
    case dimensionMismatch(collection: String, got: Int, expected: Int)
    case modelMismatch(collection: String, got: String, expected: String)
    /// A document without vectors for a collection that has them.
    case missingVectors(collection: String, expected: String)
    /// The model's vectors are what the collection is searched by.
    case spaceServes(collection: String, model: String)
    /// A change of the model whose vectors were given up meanwhile, or went with their collection.
    case unknownSpace(model: String)
    /// Not every chunk has a vector of the model yet.
    case spaceIncomplete(model: String, missing: Int)
    /// The file of a job had already come to its end, for example because the job was cancelled; nothing was stored.
    case fileEnded(job: JobID, sequence: Int, stage: FileStage)
    /// A text or an upload that was given before one that is stored already; nothing was stored.
    case superseded(source: String, by: JobID)
    case readOnly(path: String)
    case cannotBackUp(path: String, reason: String)
    case notEnoughSpace(path: String, needed: Int, available: Int)
    /// Nothing has changed; the same call works once there is space.
    case diskFull(path: String, operation: String)
    case database(operation: String, reason: String)

    package var description: String {
        switch self {
        case .cannotOpen(let path, let reason): "cannot open the database in '\(path)': \(reason)"
        case .newerSchema(let path, let got, let expected):
            "the database in '\(path)' has schema \(got), this program knows schema \(expected); use the newer Outrider that wrote it"
        case .unknownCollection(let name): "there is no collection '\(name)'; create it first, or list the collections to see their names"
        case .collectionExists(let name): "there is already a collection '\(name)'; choose another name"
        case .unknownDocument(let id): "there is no document '\(id)'; it may have been deleted"
        case .unknownJob(let id): "there is no job '\(id)'; finished jobs are forgotten after a while"
        case .invalidName(let name):
            "'\(name)' cannot name a collection; use 1 to 64 of the characters a-z A-Z 0-9 . _ - and begin with a letter or a digit"
        case .invalidSetting(let setting, let value, let allowed): "setting '\(setting)' is \(value); use \(allowed)"
        case .unusableCollection(let name, let reason):
            "collection '\(name)' is set aside because it cannot be opened: \(reason); delete it, or restore the data folder from a backup"
        case .invalidFilter(let reason): "the filter is not valid: \(reason)"
        case .invalidDocument(let source, let reason): "the document '\(source)' cannot be stored: \(reason)"
        case .dimensionMismatch(let collection, let got, let expected):
            "a vector has \(got) dimensions, the collection '\(collection)' has \(expected); use its embedding model, or a new collection"
        case .modelMismatch(let collection, let got, let expected):
            "the vectors come from the model '\(got)', the collection '\(collection)' holds vectors of '\(expected)'; use that model, or a new collection"
        case .missingVectors(let collection, let expected):
            "the collection '\(collection)' holds vectors of '\(expected)' and no embedding model is loaded; start with --embedding-model and that model, or use a new collection"
        case .spaceServes(let collection, let model): "the collection '\(collection)' is searched by vectors of '\(model)' already"
        case .unknownSpace(let model): "the change to the model '\(model)' was given up; begin it again"
        case .spaceIncomplete(let model, let missing):
            "\(missing) chunks have no vector of '\(model)' yet; wait for the change of the model to end"
        case .fileEnded(let job, let sequence, let stage):
            "file \(sequence) of \(job) is already \(stage.rawValue); retry the job to put it into the queue again"
        case .superseded(let source, let job):
            "what \(job) brought for '\(source)' was submitted later and is stored already; this older version does not replace it"
        case .cannotBackUp(let path, let reason): "cannot back up to '\(path)': \(reason)"
        case .readOnly(let path): "the database in '\(path)' is opened read-only; open it for writing to change it"
        case .notEnoughSpace(let path, let needed, let available):
            "compacting needs \(needed) free bytes in '\(path)' and there are \(available); free some disk space and compact again"
        case .diskFull(let path, let operation): "the disk that holds '\(path)' is full: cannot \(operation); free some space and try again"
        case .database(let operation, let reason): "the database failed to \(operation): \(reason)"
        }
    }
}

/// An error of a module above that comes down to one of the store's: frontends that do not know that module map it by this.
package protocol DocumentStoreErrorConvertible: Error {
    var documentStoreError: DocumentStoreError { get }
}
