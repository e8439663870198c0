/// The body of a mail, which programs write up to three times: as plain text, as HTML, and Outlook as RTF.
///
/// Plain text is taken before the others, unless they say more: a plain part of less than half the words is a stub, a table is in the others alone,
/// and only they know which words were struck out.
struct MailBody {
    var plain: String?
    var html: [UInt8]?
    var rtf: [UInt8]?

    /// Adds the side that says most.
    ///
    /// - Parameter isKnown: Whether a text stands elsewhere already.
    func append(
        to builder: inout DocumentBuilder, context: ParseContext, isForward: Bool = false, isKnown: (String) -> Bool = { _ in false }
    ) throws(Refusal) {
        let tree = html.flatMap { XMLTree(html: TextDecoder.decode($0, declared: HTMLParser.declaredEncoding($0)).text) }
        let plain = plain.flatMap { $0.isBlank ? nil : $0 }
        var isPlainEnough = false
        if let tree, let plain { isPlainEnough = try Self.says(plain, asMuchAs: tree, context) }
        if let tree, !isPlainEnough {
            if isKnown(HTMLInline.plainText(tree.root)) { return }
            return try HTMLParser.append(
                tree.root, to: &builder, skipsBoilerplate: false,
                page: HTMLPage(tree.root, targets: .absolute, marksQuotes: !isForward))
        }
        // The plain side of RTF is made from it, without its tables and marks.
        if tree == nil, let rtf, plain == nil || Self.hasMarks(rtf: rtf) {
            if let document = try? RTFParser.parse(ParseInput(bytes: rtf, name: "body.rtf"), context: context) {
                if !isKnown(document.text) { try builder.append(document, page: nil) }
                return
            }
        }
        guard let plain, !isKnown(plain) else { return }
        for run in MailQuotes.runs(plain, isForward: isForward) {
            if run.isQuote { try builder.lines(run.text) } else { _ = try PlainTextParser.append(run.text, to: &builder) }
        }
    }

    /// Whether plain text says as much as the HTML beside it.
    static func says(_ text: String, asMuchAs tree: XMLTree, _ context: ParseContext) throws(Refusal) -> Bool {
        let words = wordCount(text)
        guard words > 0 else { return false }
        var other = context.builder
        try HTMLParser.append(tree.root, to: &other, skipsBoilerplate: false, page: HTMLPage(tree.root, targets: .none))
        let document = other.finish(title: nil, mimeType: "text/html")
        let otherWords = wordCount(document.text)
        if words * 2 < otherWords { return false }
        // "Your program cannot show HTML": a stub, as long as the HTML holds anything.
        if words < 60, text.lowercased().contains("html"), otherWords > 0, !document.text.lowercased().contains("html") { return false }
        // Plain text says struck words like all others.
        if otherWords > 0, otherWords * 5 >= words * 3, tree.root.descendants.contains(where: isStruck) { return false }
        // A table is read by its columns, which plain text does not have.
        let rowCount = document.blocks.count { if case .tableRow = $0.kind { true } else { false } }
        return !(rowCount >= 2 && otherWords * 5 >= words * 4)
    }

    private static func isStruck(_ node: XMLNode) -> Bool {
        ["s", "del", "strike"].contains(node.name) || node["style"]?.lowercased().contains("line-through") == true
    }

    private static func hasMarks(rtf: [UInt8]) -> Bool {
        let text = String(decoding: rtf, as: UTF8.self)
        return text.contains("\\trowd") || text.contains(#/\\striked?(?:1|[^0-9a-z])/#)
    }

    private static func wordCount(_ text: String) -> Int {
        var count = 0
        var isInWord = false
        for scalar in text.unicodeScalars {
            // Scripts without blanks have a word in every second sign or so.
            let isLetter = scalar.properties.isAlphabetic || (0x30...0x39).contains(scalar.value)
            if isLetter, !isInWord || (0x3040...0x9FFF).contains(scalar.value) { count += 1 }
            isInWord = isLetter
        }
        return count
    }
}
