/// What can be wrong with a derived file. Every case names the file; the remedy is always a rebuild from the database.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
    case missingFile(path: String)
    case unsupportedVersion(path: String, got: UInt32, expected: UInt32)
    case wrongKind(path: String, got: String, expected: String)
    case truncated(path: String, size: Int, expected: Int)
    case corrupt(path: String, offset: Int, reason: String)
    case missingSection(path: String, name: String)
    case system(path: String, operation: String, errno: Int32)

    package var description: String {
        switch self {
        case .missingFile(let path): "index file '\(path)' is missing; run 'outrider index rebuild'"
        case .unsupportedVersion(let path, let got, let expected):
            "index file '\(path)' has format version \(got), this program reads \(expected); run 'outrider index rebuild'"
        case .wrongKind(let path, let got, let expected):
            "index file '\(path)' is of kind '\(got)', expected '\(expected)'; run 'outrider index rebuild'"
        case .truncated(let path, let size, let expected):
            "index file '\(path)' has \(size) bytes, expected \(expected); run 'outrider index rebuild'"
        case .corrupt(let path, let offset, let reason):
            "index file '\(path)' is damaged at byte \(offset): \(reason); run 'outrider index rebuild'"
        case .missingSection(let path, let name): "index file '\(path)' lacks section '\(name)'; run 'outrider index rebuild'"
        case .system(let path, let operation, let errno):
            "\(operation) failed on '\(path)' (errno \(errno)); check the disk and its permissions"
        }
    }
}
