import Documents
import Storage
import TextSearch
import VectorSearch

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
