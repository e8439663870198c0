/// What kind of structure a stretch of extracted text has.
package enum BlockKind: Codable, Hashable, Sendable {
    /// `level` 1 is the outermost.
    case heading(level: Int)
    case paragraph
    case listItem
    /// One row of a table, cells joined by `" | "`; `header` is the byte range of the header row's text when there is one.
    case tableRow(header: Range<Int>?)
    case code(language: String?)
    /// Something kept for search but without running text: a caption, a slide note, a form field, an e-mail header.
    case note
}

/// A stretch of the extracted text, in reading order, not overlapping another.
package struct Block: Codable, Hashable, Sendable {
    package var kind: BlockKind
    /// UTF-8 bytes of the document's text; never empty, never cuts a character.
    package var span: Range<Int>
    /// Counted from 1; nil for formats without pages. Slides and sheets count as pages.
    package var page: Int?

    /// Makes a block.
    package init(kind: BlockKind, span: Range<Int>, page: Int? = nil) {
        self.kind = kind
        self.span = span
        self.page = page
    }
}

/// The extracted text of a file with its structure.
///
/// The text is valid UTF-8 without NUL, its lines end in `"\n"`. Blocks are separated by a blank line; rows of one table
/// and items of one list by a line end; the two parts of a paragraph that goes over a page end by a space, or by nothing inside a word.
package struct ParsedDocument: Codable, Sendable {
    package var text: String
    /// In the order of the text.
    package var blocks: [Block]
    package var title: String?
    package var mimeType: String
    package var pageCount: Int?
    /// Author, created, language and the like as found in the file: short strings.
    package var properties: [String: String]
    /// Properties of several values, such as the tags of a note: short strings.
    package var propertyLists: [String: [String]] = [:]
    /// Things a user should know: "3 of 12 pages had no text and OCR is not installed".
    package var warnings: [String]

    /// Makes a document from its parts, unchecked.
    package init(
        text: String, blocks: [Block], title: String?, mimeType: String, pageCount: Int? = nil,
        properties: [String: String] = [:], warnings: [String] = []
    ) {
        self.text = text
        self.blocks = blocks
        self.title = title
        self.mimeType = mimeType
        self.pageCount = pageCount
        self.properties = properties
        self.warnings = warnings
    }
}

extension ParsedDocument {
    /// Says what is wrong with the structure, or nil when blocks are ordered, not empty and cut no character.
    ///
    /// A worker's answer is checked with it, because a worker that was taken over could answer anything.
    /// - Complexity: O(*blocks*).
    package func firstInconsistency() -> String? {
        var text = text
        return text.withUTF8 { bytes -> String? in
            func isBoundary(_ offset: Int) -> Bool {
                offset == bytes.count || bytes[offset] & 0xC0 != 0x80
            }
            func isSound(_ span: Range<Int>) -> Bool {
                span.lowerBound >= 0 && span.upperBound <= bytes.count && !span.isEmpty
                    && isBoundary(span.lowerBound) && isBoundary(span.upperBound)
            }
            var end = 0
            for (index, block) in blocks.enumerated() {
                guard isSound(block.span) else { return "block \(index) has the span \(block.span) in \(bytes.count) bytes" }
                guard block.span.lowerBound >= end else { return "block \(index) starts at \(block.span.lowerBound), before \(end)" }
                end = block.span.upperBound
                if case .tableRow(let header?) = block.kind, !isSound(header) { return "block \(index) has the header \(header)" }
            }
            return nil
        }
    }
}
