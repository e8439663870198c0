import Foundation

/// Reads JSON, JSON lines, notebooks and XML of unknown vocabulary.
///
/// Flat records become a table with the keys as its header, because that is what they are; other JSON stays code, cut at
/// its top level; XML becomes `name: value` lines and the running text of its mixed elements.
enum StructuredTextParser {
    static func parseJSON(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        guard nesting(decoded.text) <= 200,
            let value = try? JSONSerialization.jsonObject(with: Data(decoded.text.utf8), options: [.fragmentsAllowed])
        else {
            if let records = lines(decoded.text) { return try finish(records: records, "application/jsonl", context) }
            // JSON with comments, or cut off: still text.
            var document = try SourceCodeParser.parse(input, language: "json", context: context)
            document.warnings.append("not valid JSON; taken as plain text")
            return document
        }
        if input.fileExtension == "ipynb" || (value as? [String: Any])?["nbformat"] != nil, let notebook = value as? [String: Any] {
            return try parseNotebook(notebook, context: context)
        }
        if let records = value as? [[String: Any]], records.count > 1, isFlat(records) {
            return try finish(records: records, "application/json", context)
        }
        var builder = context.builder
        for block in blocks(value, original: decoded.text) { try builder.code(block, language: "json") }
        return builder.finish(title: (value as? [String: Any])?["title"] as? String, mimeType: "application/json")
    }

    private static func finish(records: [[String: Any]], _ mimeType: String, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        var keys: [String] = []
        var seen: Set<String> = []
        for record in records.prefix(1000) { for key in record.keys.sorted() where seen.insert(key).inserted { keys.append(key) } }
        let isNarrow = keys.count <= 64 && records.allSatisfy { $0.values.allSatisfy { text($0).utf8.count <= 400 } }
        if isNarrow {
            builder.beginTable()
            try builder.tableRow(keys, isHeader: true)
            for record in records { try builder.tableRow(keys.map { record[$0].map(text) ?? "" }) }
            builder.endTable()
        } else {
            // Long fields: a record a paragraph.
            for record in records {
                try builder.lines(record.keys.sorted().map { "\($0): \(text(record[$0]!))" }.filter { !$0.isBlank }.joined(separator: "\n"))
            }
        }
        return builder.finish(title: nil, mimeType: mimeType, properties: ["records": String(records.count)])
    }

    private static func isFlat(_ records: [[String: Any]]) -> Bool {
        records.prefix(1000).allSatisfy { $0.values.allSatisfy { !($0 is [Any]) && !($0 is [String: Any]) } }
    }

    private static func text(_ value: Any) -> String {
        switch value {
        case let string as String: return string
        case is NSNull: return ""
        case let number as NSNumber: return number.stringValue
        case let list as [Any] where !list.contains { $0 is [Any] || $0 is [String: Any] }: return list.map(text).joined(separator: ", ")
        default:
            return (try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys, .fragmentsAllowed]))
                .map { String(decoding: $0, as: UTF8.self) } ?? ""
        }
    }

    private static func lines(_ text: String) -> [[String: Any]]? {
        var records: [[String: Any]] = []
        for line in PlainTextParser.splitLines(text) where !line.isBlank {
            guard nesting(line) <= 200, let record = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
                return nil
            }
            records.append(record)
        }
        return records.isEmpty ? nil : records
    }

    /// The deepest nesting of brackets, so that a recursive reader is not asked to follow a million of them.
    private static func nesting(_ text: some StringProtocol) -> Int {
        var depth = 0
        var deepest = 0
        var isString = false
        var isEscaped = false
        for byte in text.utf8 {
            if isString {
                if isEscaped { isEscaped = false } else if byte == 0x5C { isEscaped = true } else if byte == 0x22 { isString = false }
                continue
            }
            switch byte {
            case 0x22: isString = true
            case 0x5B, 0x7B:
                depth += 1
                deepest = max(deepest, depth)
            case 0x5D, 0x7D: depth -= 1
            default: break
            }
        }
        return deepest
    }

    /// Text that is laid out already stays as it is; a single long line is laid out anew.
    private static func blocks(_ value: Any, original: String) -> [String] {
        let lines = PlainTextParser.splitLines(original)
        let isLaidOut = lines.count > 1 && original.utf8.count / lines.count < 400
        let text: String
        if isLaidOut {
            text = original
        } else {
            let data = try? JSONSerialization.data(
                withJSONObject: value, options: [.prettyPrinted, .sortedKeys, .fragmentsAllowed, .withoutEscapingSlashes])
            text = data.map { String(decoding: $0, as: UTF8.self) } ?? original
        }
        // Members of the outermost value start at the smallest indent; cut there when a block has grown enough.
        var blocks: [String] = []
        var current: [Substring] = []
        var bytes = 0
        for line in PlainTextParser.splitLines(text) {
            let indent = line.utf8.prefix { $0 == 0x20 || $0 == 0x09 }.count
            if (bytes > 600 && indent <= 4) || bytes > 4000 {
                blocks.append(current.joined(separator: "\n"))
                current = []
                bytes = 0
            }
            current.append(line)
            bytes += line.utf8.count + 1
        }
        if !current.isEmpty { blocks.append(current.joined(separator: "\n")) }
        return blocks
    }

    private static func parseNotebook(_ notebook: [String: Any], context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        let language = ((notebook["metadata"] as? [String: Any])?["kernelspec"] as? [String: Any])?["language"] as? String ?? "python"
        func joined(_ value: Any?) -> String { (value as? [String])?.joined() ?? value as? String ?? "" }
        for cell in notebook["cells"] as? [[String: Any]] ?? [] {
            let source = joined(cell["source"])
            switch cell["cell_type"] as? String {
            case "markdown": try MarkdownParser.append(source, to: &builder)
            case "code":
                try builder.code(source, language: language)
                for output in cell["outputs"] as? [[String: Any]] ?? [] {
                    let text = joined(output["text"] ?? (output["data"] as? [String: Any])?["text/plain"])
                    if !text.isBlank { try builder.note(String(text.prefix(4000))) }
                }
            default: try builder.lines(source)
            }
        }
        return builder.finish(title: nil, mimeType: "application/x-ipynb+json", properties: ["language": language])
    }

    // MARK: - XML

    static func parseXML(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let bytes = try input.bytes()
        guard let tree = XMLTree(xml: bytes) else {
            return try PlainTextParser.parse(TextDecoder.decode(bytes), context: context)
        }
        var builder = context.builder
        var writer = XMLWriter()
        try writer.write(tree.root, to: &builder, depth: 0)
        try writer.flush(to: &builder)
        if tree.root.descendants.isEmpty, builder.isEmpty, !tree.root.text.isBlank { try builder.lines(tree.root.text) }
        let title = tree.root.descendants.prefix(2000).first { $0.name == "title" || $0.name == "Title" }?.text.trimmed
        return builder.finish(title: title, mimeType: "application/xml")
    }

    /// Gathers neighbouring leaves into one block.
    private struct XMLWriter {
        private var fields: [String] = []
        private var fieldBytes = 0

        mutating func write(_ node: XMLNode, to builder: inout DocumentBuilder, depth: Int) throws(Refusal) {
            let children = node.children.map { $0 }
            let hasOwnText = node.hasOwnText
            if children.isEmpty || hasOwnText || depth > 150 {
                let text = node.text.trimmed
                if hasOwnText && !children.isEmpty || text.utf8.count > 400 {
                    try flush(to: &builder)
                    try builder.lines(text)
                } else if ["title", "head", "heading", "caption"].contains(node.name.lowercased()), !text.isEmpty {
                    try flush(to: &builder)
                    try builder.heading(text, level: min(6, max(1, depth)))
                } else if !text.isEmpty {
                    add(node.name + ": " + text)
                } else {
                    let attributes = Self.attributes(node)
                    if !attributes.isEmpty { add(node.name + " " + attributes) }
                }
                if fieldBytes > 1500 { try flush(to: &builder) }
                return
            }
            let attributes = Self.attributes(node)
            if !attributes.isEmpty, attributes.utf8.count < 300 { add(node.name + " " + attributes) }
            for child in children { try write(child, to: &builder, depth: depth + 1) }
            // A group of siblings that are not all leaves is a record.
            if fieldBytes > 200 || children.count > 3 { try flush(to: &builder) }
        }

        private mutating func add(_ field: String) {
            let line = HTMLParser.collapse(field)
            fields.append(line)
            fieldBytes += line.utf8.count + 1
        }

        mutating func flush(to builder: inout DocumentBuilder) throws(Refusal) {
            if !fields.isEmpty { try builder.lines(fields.joined(separator: "\n")) }
            fields = []
            fieldBytes = 0
        }

        private static func attributes(_ node: XMLNode) -> String {
            var parts: [String] = []
            var attribute = node.pointer.pointee.properties
            while let current = attribute, parts.count < 20 {
                if let name = current.pointee.name.map({ String(cString: $0) }), let value = node[name], value.utf8.count < 200,
                    !value.isBlank
                {
                    parts.append("\(name)=\(value)")
                }
                attribute = current.pointee.next
            }
            return parts.joined(separator: " ")
        }
    }
}
