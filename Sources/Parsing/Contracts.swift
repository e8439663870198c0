// CONTRACT (owner: parsing engineer may split this into files and add members; names and meanings stay).

/// What kind of structure a stretch of extracted text has.
package enum BlockKind: Codable, Hashable, Sendable {
    /// `level` 1 is the outermost.
    case heading(level: Int)
    case paragraph
    case listItem
    /// One row of a table; `header` is the byte range of the header row's text when there is one.
    case tableRow(header: Range<Int>?)
    case code(language: String?)
    /// Something kept for search but without running text: a caption, a slide note, a form field, an e-mail header.
    case note
}

/// A stretch of the extracted text, in reading order, not overlapping. `span` is in UTF-8 bytes.
package struct Block: Codable, Hashable, Sendable {
    package var kind: BlockKind
    package var span: Range<Int>
    /// Counted from 1; nil for formats without pages. Slides and sheets count as pages.
    package var page: Int?
    package init(kind: BlockKind, span: Range<Int>, page: Int? = nil) {
        self.kind = kind
        self.span = span
        self.page = page
    }
}

/// The extracted text of a file with its structure.
package struct ParsedDocument: Codable, Sendable {
    package var text: String
    package var blocks: [Block]
    package var title: String?
    package var mimeType: String
    package var pageCount: Int?
    /// Author, created, language and the like as found in the file: short strings.
    package var properties: [String: String]
    /// Things a user should know: "3 of 12 pages had no text and OCR is not installed".
    package var warnings: [String]
    package init(text: String, blocks: [Block], title: String?, mimeType: String, pageCount: Int? = nil, properties: [String: String] = [:], warnings: [String] = []) {
        self.text = text
        self.blocks = blocks
        self.title = title
        self.mimeType = mimeType
        self.pageCount = pageCount
        self.properties = properties
        self.warnings = warnings
    }
}

/// Why a file was not taken in. All are final for these bytes, except `timedOut`, `crashed` and `unavailable`, which may be tried again.
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
    package var isRetryable: Bool {
        switch self {
        case .timedOut, .crashed, .unavailable: true
        default: false
        }
    }
}

package struct ParseLimits: Codable, Sendable, Hashable {
    package var seconds: Double = 60
    package var memoryBytes: Int = 1 << 30
    package var outputBytes: Int = 64 << 20
    package var inputBytes: Int = 512 << 20
    package var isOCREnabled = true
    package var ocrLanguages = "eng"
    package init() {}
}

/// Runs parsers in killable, resource-limited child processes without network.
package actor ParserPool {
    /// - Parameter executable: The program that answers to `parse-worker` (normally this very binary, `/proc/self/exe`).
    package init(executable: String, workerCount: Int, limits: ParseLimits = .init()) { fatalError("contract") }
    /// Parses one file. Cancellation kills the child.
    /// - Parameters:
    ///   - name: File name as the user knows it (extension helps detection; `path` may be a spool file).
    ///   - mimeType: A hint; content decides.
    package func parse(path: String, name: String, mimeType: String? = nil) async throws(Refusal) -> ParsedDocument { fatalError("contract") }
    package func shutdown() async { fatalError("contract") }
}

/// The child's side: `outrider parse-worker` calls this and exits with its result.
package enum ParseWorker {
    /// Confines the process, then answers requests on standard input until it closes.
    package static func main() -> Int32 { fatalError("contract") }
    /// For tests and for `doctor`: parses in this very process, without confinement.
    package static func parseInProcess(path: String, name: String, mimeType: String?, limits: ParseLimits) throws(Refusal) -> ParsedDocument { fatalError("contract") }
    /// Formats with "available" or the reason why not, for `doctor`.
    package static func capabilities() -> [(format: String, status: String)] { fatalError("contract") }
}
