/// Reads text that is given as such, in this very process: nothing but our own code for plain text touches it.
package enum GivenText {
    /// The document of a text that is plain by name and by looks.
    ///
    /// - Parameter name: As the user knows it; the extension helps to tell what the text is.
    /// - Returns: Nil for markup, tables, mail, source code and the like, which are for the parsers in the child process.
    /// - Throws: `.empty` for a text without words, `.tooLarge`.
    /// - Complexity: O(*bytes*).
    package static func parse(_ text: String, name: String, limits: ParseLimits = .init()) throws(Refusal) -> ParsedDocument? {
        let head = text.utf8.prefix(64)
        guard !head.isEmpty else { throw .empty("\(name) has no bytes") }
        for magic in ["%PDF-", "{\\rtf"] where head.starts(with: magic.utf8) { return nil }
        let input = ParseInput(bytes: Array(text.utf8.prefix(8192)), name: name, mimeType: "text/plain")
        // Whoever sends a string says that it is text. It may be what another program read out of "report.pdf", and letters that went through a wrong
        // charset hold controls by the dozen.
        switch try? FileFormat.text(input) {
        case nil, .plainText, .unsupported: break
        default: return nil
        }
        let context = ParseContext(limits: limits)
        let document = try PlainTextParser.parse(TextDecoder.Decoded(text: text, encoding: "UTF-8"), context: context)
        guard !document.blocks.isEmpty else { throw .empty("\(name) holds no text") }
        return document
    }
}
