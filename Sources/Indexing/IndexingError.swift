package import Documents
import Foundation
package import Storage
package import TextSearch
package import VectorSearch

/// What can go wrong while indexes follow the database.
package enum IndexingError: Error, Sendable, CustomStringConvertible, DocumentStoreErrorConvertible {
    case store(DocumentStoreError)
    case text(TextIndexError)
    case vector(VectorIndexError)
    case storage(StorageError)

    package var description: String {
        switch self {
        case .store(let error): error.description
        case .text(let error): error.description
        case .vector(let error): error.description
        case .storage(let error): error.description
        }
    }
    package var documentStoreError: DocumentStoreError {
        if case .store(let error) = self { return error }
        return .database(operation: "use an index", reason: description)
    }
}

extension IndexingError {
    /// The error as one of a full disk; nil when it is none.
    package var fullDisk: DocumentStoreError? {
        let cause: StorageError
        switch self {
        case .store(let error):
            if case .diskFull = error { return error }
            return nil
        case .storage(let error): cause = error
        case .text(.storage(let error)): cause = error
        case .vector(.storage(let error)): cause = error
        case .text, .vector: return nil
        }
        guard case .system(let path, let operation, let code) = cause, code == ENOSPC || code == EDQUOT else { return nil }
        return .diskFull(path: path, operation: operation)
    }
}
