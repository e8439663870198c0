import CCommonMark
import Foundation

/// Reads Markdown with GitHub's extensions through cmark-gfm; front matter becomes properties.
///
/// Marks keep what they mean: struck text is out, boxes keep their state, targets follow their links, and a footnote stands behind
/// the block that holds its mark.
struct MarkdownParser {
    private var builder: DocumentBuilder
    private var firstHeading: String?
    /// Notes in the order of their numbers, those written already, and those whose marks were just read.
    private var notes: [OpaquePointer] = []
    private var writtenNotes: Set<Int> = []
    private var pendingNotes: [Int] = []
    private var shownTargets: Set<String> = []

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        return try parse(text: decoded.text, builder: context.builder)
    }

    static func parse(text: String, builder: DocumentBuilder) throws(Refusal) -> ParsedDocument {
        let (front, body) = FrontMatter.split(text)
        var properties = front.values
        let title = properties.removeValue(forKey: "title")
        var parser = MarkdownParser(builder: builder)
        try parser.append(body)
        var document = parser.builder.finish(title: title ?? parser.firstHeading, mimeType: "text/markdown", properties: properties)
        document.propertyLists = front.lists.mapValues { $0.compactMap(DocumentBuilder.shortString) }
        return document
    }

    static func append(_ text: String, to builder: inout DocumentBuilder) throws(Refusal) {
        var parser = MarkdownParser(builder: builder)
        try parser.append(text)
        builder = parser.builder
    }

    private init(builder: DocumentBuilder) { self.builder = builder }

    private static let isPrepared: Bool = {
        cmark_gfm_core_extensions_ensure_registered()
        return true
    }()

    private mutating func append(_ text: some StringProtocol) throws(Refusal) {
        precondition(Self.isPrepared)
        guard let parser = cmark_parser_new(CMARK_OPT_DEFAULT | CMARK_OPT_FOOTNOTES) else { throw .outOfMemory(limitBytes: 0) }
        defer { cmark_parser_free(parser) }
        for name in ["table", "strikethrough", "tasklist"] {
            if let found = cmark_find_syntax_extension(name) { cmark_parser_attach_syntax_extension(parser, found) }
        }
        var source = String(text)
        source.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { cmark_parser_feed(parser, $0.baseAddress, $0.count) }
        }
        guard let root = cmark_parser_finish(parser) else { return }
        defer { cmark_node_free(root) }
        // The definitions stand at the end, in the order of their numbers.
        var last = cmark_node_last_child(root)
        while let node = last, cmark_node_get_type(node) == CMARK_NODE_FOOTNOTE_DEFINITION {
            notes.append(node)
            last = cmark_node_previous(node)
        }
        notes.reverse()
        try walk(root)
        notes = []
    }

    private func type(_ node: OpaquePointer) -> String { String(cString: cmark_node_get_type_string(node)) }

    private func literal(_ node: OpaquePointer) -> String { cmark_node_get_literal(node).map { String(cString: $0) } ?? "" }

    /// Walks blocks with an iterator: nesting in the source cannot exhaust the stack.
    private mutating func walk(_ root: OpaquePointer) throws(Refusal) {
        guard let iterator = cmark_iter_new(root) else { return }
        defer { cmark_iter_free(iterator) }
        var ordinals: [Int?] = []
        var marker: String?
        while true {
            let event = cmark_iter_next(iterator)
            if event == CMARK_EVENT_DONE { return }
            guard let node = cmark_iter_get_node(iterator) else { return }
            let isEnter = event == CMARK_EVENT_ENTER
            if cmark_node_get_type(node) == CMARK_NODE_FOOTNOTE_DEFINITION {
                // Written where its mark is; one without a mark is not in the tree.
                if isEnter {
                    skip(iterator, node)
                    if let number = notes.firstIndex(of: node), !writtenNotes.contains(number) { try write(note: number) }
                }
                continue
            }
            switch type(node) {
            case "heading" where isEnter:
                let text = inlineText(node, showsTargets: false)
                if firstHeading == nil, !text.isBlank { firstHeading = text.trimmed }
                try builder.heading(text, level: Int(cmark_node_get_heading_level(node)))
                try writeNotes()
                skip(iterator, node)
            case "paragraph" where isEnter:
                let text = inlineText(node)
                if let current = marker {
                    try builder.listItem(text.replacing("\n", with: " "), marker: current)
                    marker = nil
                } else {
                    try builder.lines(text)
                }
                try writeNotes()
                skip(iterator, node)
            case "list":
                if isEnter {
                    ordinals.append(cmark_node_get_list_type(node) == CMARK_ORDERED_LIST ? Int(cmark_node_get_list_start(node)) : nil)
                } else {
                    _ = ordinals.popLast()
                }
                marker = nil
            case "item", "tasklist":
                marker = nil
                if isEnter, let last = ordinals.last {
                    marker = last.map { "\($0). " } ?? "- "
                    if type(node) == "tasklist" { marker! += cmark_gfm_extensions_get_tasklist_item_checked(node) ? "[x] " : "[ ] " }
                    ordinals[ordinals.count - 1] = last.map { $0 + 1 }
                }
            case "code_block" where isEnter:
                let info = cmark_node_get_fence_info(node).map { String(cString: $0) } ?? ""
                let word = info.prefix { $0 != " " && $0 != "," && $0 != "{" }
                try builder.code(literal(node), language: word.isEmpty ? nil : word.lowercased())
            case "html_block" where isEnter:
                let html = literal(node)
                if html.contains("<"), !html.hasPrefix("<!--"), let tree = XMLTree(html: html) {
                    try HTMLParser.append(tree.root, to: &builder, skipsBoilerplate: false)
                }
            case "table" where isEnter: builder.beginTable()
            case "table" where !isEnter: builder.endTable()
            case "table_header" where isEnter:
                try builder.tableRow(cells(node), isHeader: true)
                skip(iterator, node)
            case "table_row" where isEnter:
                try builder.tableRow(cells(node))
                skip(iterator, node)
                if !pendingNotes.isEmpty {
                    let header = builder.tableHeader
                    try writeNotes()
                    builder.beginTable(header: header)
                }
            default: break
            }
        }
    }

    private mutating func writeNotes() throws(Refusal) {
        let numbers = pendingNotes
        pendingNotes = []
        for number in numbers { try write(note: number) }
        // A note's own marks.
        if !pendingNotes.isEmpty { try writeNotes() }
    }

    private mutating func write(note number: Int) throws(Refusal) {
        guard notes.indices.contains(number), writtenNotes.insert(number).inserted else { return }
        var parts: [String] = []
        var child = cmark_node_first_child(notes[number])
        while let block = child {
            switch type(block) {
            case "code_block", "html_block": parts.append(literal(block).trimmed)
            default: parts.append(inlineText(block))
            }
            child = cmark_node_next(block)
        }
        let text = parts.filter { !$0.isBlank }.joined(separator: "\n")
        if !text.isBlank { try builder.note("Footnote \(number + 1): \(text)") }
    }

    /// Moves the iterator to the end of `node`, whose children were read already.
    private func skip(_ iterator: OpaquePointer, _ node: OpaquePointer) {
        cmark_iter_reset(iterator, node, CMARK_EVENT_EXIT)
    }

    private mutating func cells(_ row: OpaquePointer) -> [String] {
        var cells: [String] = []
        var cell = cmark_node_first_child(row)
        while let current = cell {
            cells.append(inlineText(current).replacing("\n", with: " "))
            cell = cmark_node_next(current)
        }
        return cells
    }

    private mutating func inlineText(_ block: OpaquePointer, showsTargets: Bool = true) -> String {
        guard let iterator = cmark_iter_new(block) else { return "" }
        defer { cmark_iter_free(iterator) }
        var text = ""
        var links: [(node: OpaquePointer, start: Int)] = []
        // Tags of HTML within the line: where a raised, lowered or struck part began.
        var tags: [(name: String, start: Int)] = []
        // Stars between digits multiply.
        var factors: [OpaquePointer] = []
        while true {
            let event = cmark_iter_next(iterator)
            if event == CMARK_EVENT_DONE { break }
            guard let node = cmark_iter_get_node(iterator) else { break }
            let kind = type(node)
            if event == CMARK_EVENT_EXIT {
                if factors.last == node {
                    factors.removeLast()
                    text += kind == "strong" ? "**" : "*"
                }
                if kind == "link", let link = links.last, link.node == node {
                    links.removeLast()
                    if showsTargets { appendTarget(of: node, from: link.start, to: &text) }
                }
                continue
            }
            if cmark_node_get_type(node) == CMARK_NODE_FOOTNOTE_REFERENCE {
                let number = literal(node)
                text += "[\(number)]"
                if let index = Int(number), !writtenNotes.contains(index - 1) { pendingNotes.append(index - 1) }
                continue
            }
            switch kind {
            case "text": append(literal(node), to: &text)
            case "code": text += literal(node)
            case "softbreak": text += " "
            case "linebreak": text += "\n"
            case "link": links.append((node, text.utf8.count))
            case "emph", "strong":
                if text.last?.isNumber == true, plainText(node).first?.isNumber == true {
                    text += kind == "strong" ? "**" : "*"
                    factors.append(node)
                }
            case "strikethrough":
                // "H~2~O" is a lowered 2, not a struck one.
                let inner = plainText(node)
                let isIndex =
                    inner.utf8.count <= 3 && inner.allSatisfy { $0.isNumber || $0.isLetter }
                    && text.last.map { $0.isLetter || $0.isNumber } ?? false
                if isIndex { ScriptText.appendLowered(inner, to: &text) }
                if node != block { cmark_iter_reset(iterator, node, CMARK_EVENT_EXIT) }
            case "html_inline": tag(literal(node), &text, &tags)
            default: break
            }
        }
        return text
    }

    private mutating func appendTarget(of node: OpaquePointer, from start: Int, to text: inout String) {
        guard let url = cmark_node_get_url(node).map({ String(cString: $0) }), !url.isEmpty, start <= text.utf8.count else { return }
        let label = String(text[text.utf8.index(text.startIndex, offsetBy: start)...])
        let suffix = LinkTarget.suffix(url, after: label)
        if !suffix.isEmpty, shownTargets.insert(suffix).inserted { text += suffix }
    }

    /// Adds text with the marks that other Markdowns have for raised numbers: `10^6^`.
    private func append(_ literal: String, to text: inout String) {
        guard literal.utf8.contains(0x5E) else {
            text += literal
            return
        }
        var rest = literal[...]
        while let open = rest.firstIndex(of: "^") {
            let after = rest.index(after: open)
            let inner = rest[after...].prefix { $0.isLetter || $0.isNumber || "+-−,".contains($0) }
            guard !inner.isEmpty, inner.utf8.count <= 12, inner.endIndex < rest.endIndex, rest[inner.endIndex] == "^" else {
                text += rest[..<after]
                rest = rest[after...]
                continue
            }
            text += rest[..<open]
            text += ScriptText.raised(inner, after: text)
            rest = rest[rest.index(after: inner.endIndex)...]
        }
        text += rest
    }

    private func plainText(_ root: OpaquePointer) -> String {
        guard let iterator = cmark_iter_new(root) else { return "" }
        defer { cmark_iter_free(iterator) }
        var text = ""
        while true {
            let event = cmark_iter_next(iterator)
            guard event != CMARK_EVENT_DONE, let node = cmark_iter_get_node(iterator) else { return text }
            if event == CMARK_EVENT_ENTER, ["text", "code"].contains(type(node)) { text += literal(node) }
        }
    }

    /// HTML within a line: line ends, raised and lowered, struck text, boxes.
    private func tag(_ html: String, _ text: inout String, _ tags: inout [(name: String, start: Int)]) {
        let lowered = html.lowercased()
        let isEnd = lowered.hasPrefix("</")
        let name = String(lowered.drop { $0 == "<" || $0 == "/" }.prefix { $0.isLetter || $0.isNumber })
        switch name {
        case "br": text += "\n"
        case "input" where lowered.contains("checkbox"):
            text += lowered.contains("checked") && !lowered.contains("checked=\"false") ? "[x] " : "[ ] "
        case "sup", "sub", "del", "s", "strike":
            guard isEnd else { return tags.append((name, text.utf8.count)) }
            guard let index = tags.lastIndex(where: { $0.name == name }), tags[index].start <= text.utf8.count else { return }
            let start = text.utf8.index(text.startIndex, offsetBy: tags[index].start)
            tags.removeSubrange(index...)
            let inner = String(text[start...])
            text.removeSubrange(start...)
            if name == "sup" { text += ScriptText.raised(inner, after: text) }
            if name == "sub" { ScriptText.appendLowered(inner, to: &text) }
        default: break
        }
    }
}
