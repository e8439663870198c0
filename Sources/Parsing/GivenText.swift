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
        // What begins like a binary format is looked at where that is safe.
        guard !head.isEmpty else { throw .empty("\(name) has no bytes") }
        for magic in ["%PDF-", "{\\rtf"] where head.starts(with: magic.utf8) { return nil }
        if head.contains(where: { $0 < 0x20 && ![0x09, 0x0A, 0x0C, 0x0D].contains($0) }) { return nil }
        let input = ParseInput(bytes: Array(text.utf8.prefix(8192)), name: name, mimeType: "text/plain")
        guard case .plainText? = try? FileFormat.text(input) else { return nil }
        let context = ParseContext(limits: limits)
        let document = try PlainTextParser.parse(TextDecoder.Decoded(text: text, encoding: "UTF-8"), context: context)
        guard !document.blocks.isEmpty else { throw .empty("\(name) holds no text") }
        return document
    }
}
