package import Storage

/// What can go wrong when a text index is opened or written. Searching never fails.
package enum TextIndexError: Error, Sendable, CustomStringConvertible {
    case storage(StorageError)
    case unknownStemmer(String)
    case unknownStopWords(String)
    case parameterOutOfRange(name: String, value: Float, range: String)
    case configurationChanged(path: String)
    case readOnly(path: String)

    package var description: String {
        switch self {
        case .storage(let error): error.description
        case .unknownStemmer(let name): "stemmer '\(name)' is unknown; use auto, one of \(Stemmer.names.joined(separator: ", ")), or none"
        case .unknownStopWords(let name): "stop word list '\(name)' is unknown; use 'english' or 'none'"
        case .parameterOutOfRange(let name, let value, let range): "BM25 parameter \(name) is \(value); use a value in \(range)"
        case .configurationChanged(let path): "the text index in '\(path)' was built with another analyzer; run 'outrider index rebuild'"
        case .readOnly(let path): "the text index in '\(path)' is opened read-only; open it for writing, or seal it where it is"
        }
    }
}
