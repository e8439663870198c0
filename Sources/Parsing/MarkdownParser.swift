import CCommonMark
import Foundation

/// Reads Markdown with GitHub's extensions through cmark-gfm; front matter becomes properties.
struct MarkdownParser {
    private var builder: DocumentBuilder
    private var firstHeading: String?

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        return try parse(text: decoded.text, builder: context.builder)
    }

    static func parse(text: String, builder: DocumentBuilder) throws(Refusal) -> ParsedDocument {
        let (front, body) = frontMatter(text)
        var properties = front
        let title = properties.removeValue(forKey: "title")
        var parser = MarkdownParser(builder: builder)
        try parser.append(body)
        return parser.builder.finish(title: title ?? parser.firstHeading, mimeType: "text/markdown", properties: properties)
    }

    static func append(_ text: String, to builder: inout DocumentBuilder) throws(Refusal) {
        var parser = MarkdownParser(builder: builder)
        try parser.append(text)
        builder = parser.builder
    }

    private init(builder: DocumentBuilder) { self.builder = builder }

    /// Simple `key: value` lines between `---` fences at the top.
    static func frontMatter(_ text: String) -> ([String: String], Substring) {
        guard text.hasPrefix("---\n") || text.hasPrefix("---\r\n") else { return ([:], text[...]) }
        let lines = text.split(separator: "\n", maxSplits: 200, omittingEmptySubsequences: false)
        guard let end = lines.dropFirst().firstIndex(where: { $0.trimmed == "---" || $0.trimmed == "..." }), end < 200 else {
            return ([:], text[...])
        }
        var properties: [String: String] = [:]
        for line in lines[1..<end] where !line.hasPrefix(" ") && !line.hasPrefix("#") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = line[..<colon].trimmed.lowercased()
            let value = line[line.index(after: colon)...].trimmed.trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
            if !key.isEmpty, key.utf8.count < 40, !value.isEmpty, properties.count < 40 { properties[key] = value }
        }
        guard let last = lines[...end].last else { return (properties, text[...]) }
        return (properties, text[last.endIndex...])
    }

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
        try walk(root)
    }

    private func type(_ node: OpaquePointer) -> String { String(cString: cmark_node_get_type_string(node)) }

    private func literal(_ node: OpaquePointer) -> String { cmark_node_get_literal(node).map { String(cString: $0) } ?? "" }

    /// Walks blocks with an iterator: nesting in the source cannot exhaust the stack.
    private mutating func walk(_ root: OpaquePointer) throws(Refusal) {
        guard let iterator = cmark_iter_new(root) else { return }
        defer { cmark_iter_free(iterator) }
        var ordinals: [Int?] = []
        var marker: String?
        var footnote: String?
        while true {
            let event = cmark_iter_next(iterator)
            if event == CMARK_EVENT_DONE { return }
            guard let node = cmark_iter_get_node(iterator) else { return }
            let isEnter = event == CMARK_EVENT_ENTER
            let kind: String = type(node)
            switch kind {
            case "heading" where isEnter:
                let text = inlineText(node)
                if firstHeading == nil, !text.isBlank { firstHeading = text.trimmed }
                try builder.heading(text, level: Int(cmark_node_get_heading_level(node)))
                skip(iterator, node)
            case "paragraph" where isEnter:
                let text = inlineText(node)
                if let label = footnote {
                    try builder.note("Footnote \(label): \(text)")
                } else if let current = marker {
                    try builder.listItem(text.replacing("\n", with: " "), marker: current)
                    marker = nil
                } else {
                    try builder.lines(text)
                }
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
            case "footnote_definition":
                footnote = isEnter ? literal(node) : nil
            default: break
            }
        }
    }

    /// Moves the iterator to the end of `node`, whose children were read already.
    private func skip(_ iterator: OpaquePointer, _ node: OpaquePointer) {
        cmark_iter_reset(iterator, node, CMARK_EVENT_EXIT)
    }

    private func cells(_ row: OpaquePointer) -> [String] {
        var cells: [String] = []
        var cell = cmark_node_first_child(row)
        while let current = cell {
            cells.append(inlineText(current).replacing("\n", with: " "))
            cell = cmark_node_next(current)
        }
        return cells
    }

    private func inlineText(_ block: OpaquePointer) -> String {
        guard let iterator = cmark_iter_new(block) else { return "" }
        defer { cmark_iter_free(iterator) }
        var text = ""
        while true {
            let event = cmark_iter_next(iterator)
            if event == CMARK_EVENT_DONE { return text }
            guard event == CMARK_EVENT_ENTER, let node = cmark_iter_get_node(iterator) else { continue }
            switch type(node) {
            case "text", "code": text += literal(node)
            case "softbreak": text += " "
            case "linebreak": text += "\n"
            case "html_inline":
                if literal(node).hasPrefix("<br") { text += "\n" }
            case "footnote_reference": text += "[" + literal(node) + "]"
            default: break
            }
        }
    }
}
