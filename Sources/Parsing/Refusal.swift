/// Why a file was not taken in. All are final for these bytes, except those that `isRetryable` names.
package enum Refusal: Error, Codable, Hashable, Sendable, CustomStringConvertible {
    case unsupportedFormat(String)
    case encrypted(String)
    case malformed(String)
    case empty(String)
    case tooLarge(String)
    case timedOut(seconds: Double)
    case outOfMemory(limitBytes: Int)
    case crashed(String)
    case unreadable(String)
    case unavailable(String)

    /// One sentence for users, naming the remedy.
    package var description: String {
        switch self {
        case .unsupportedFormat(let what): "unsupported format: \(what)"
        case .encrypted(let what): "encrypted: \(what)"
        case .malformed(let what): "malformed: \(what)"
        case .empty(let what): "no text: \(what)"
        case .tooLarge(let what): "too large: \(what)"
        case .timedOut(let seconds): "parsing took longer than \(seconds) s; raise --parse-timeout or split the file"
        case .outOfMemory(let limit): "parsing needed more than \(limit) bytes of memory; raise --parse-memory or split the file"
        case .crashed(let what): "the parser stopped unexpectedly: \(what)"
        case .unreadable(let what): "cannot be read: \(what)"
        case .unavailable(let what): "a needed program is not installed: \(what)"
        }
    }

    /// Whether a later try with the same bytes may end otherwise.
    package var isRetryable: Bool {
        switch self {
        case .timedOut, .crashed, .unavailable: true
        default: false
        }
    }
}
