import CLibXML2
import Foundation

/// Reads JSON, JSON lines, notebooks and XML of unknown vocabulary.
///
/// Flat records become a table with the keys as its header, because that is what they are; other JSON stays code, cut at
/// its top level; XML becomes `name: value` lines and the running text of its mixed elements.
enum StructuredTextParser {
    static func parseJSON(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        guard let value = JSONText.parse(decoded.text) else {
            if let records = lines(decoded.text) { return try finish(records: records, "application/jsonl", context) }
            // JSON with comments, or cut off: still text.
            var document = try SourceCodeParser.parse(input, language: "json", context: context)
            document.warnings.append("not valid JSON; taken as plain text")
            return document
        }
        if input.fileExtension == "ipynb" || value["nbformat"] != nil, value.members != nil {
            return try parseNotebook(value, context: context)
        }
        if let items = value.items, items.count > 1, items.allSatisfy({ $0.members != nil }) {
            let records = items.compactMap(\.members)
            if isFlat(records) { return try finish(records: records, "application/json", context) }
        }
        var builder = context.builder
        for block in blocks(value, original: decoded.text) { try builder.code(block, language: "json") }
        return builder.finish(title: value["title"]?.string, mimeType: "application/json")
    }

    private typealias Record = [(key: String, value: JSONText)]

    private static func finish(records: [Record], _ mimeType: String, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        var keys: [String] = []
        var places: [String: Int] = [:]
        for record in records.prefix(1000) {
            for member in record where places[member.key] == nil {
                places[member.key] = keys.count
                keys.append(member.key)
            }
        }
        let isNarrow = keys.count <= 64 && records.allSatisfy { $0.allSatisfy { text($0.value).utf8.count <= 400 } }
        if isNarrow {
            builder.beginTable()
            try builder.tableRow(keys, isHeader: true)
            for record in records {
                var cells = [String](repeating: "", count: keys.count)
                for member in record { if let place = places[member.key] { cells[place] = text(member.value) } }
                try builder.tableRow(cells)
            }
            builder.endTable()
        } else {
            // Long fields: a record a paragraph.
            for record in records {
                try builder.lines(record.map { "\($0.key): \(text($0.value))" }.filter { !$0.isBlank }.joined(separator: "\n"))
            }
        }
        return builder.finish(title: nil, mimeType: mimeType, properties: ["records": String(records.count)])
    }

    private static func isFlat(_ records: [Record]) -> Bool {
        records.prefix(1000).allSatisfy { record in
            record.allSatisfy { member in
                switch member.value {
                case .object: false
                case .array(let items): !items.contains(where: \.isContainer)
                default: true
                }
            }
        }
    }

    private static func text(_ value: JSONText) -> String {
        switch value {
        case .text(let text): return text
        case .digits(let digits): return digits
        case .null: return ""
        case .bool(let value): return value ? "true" : "false"
        case .array(let items) where !items.contains(where: \.isContainer): return items.map(text).joined(separator: ", ")
        default: return value.line
        }
    }

    private static func lines(_ text: String) -> [Record]? {
        var records: [Record] = []
        for line in PlainTextParser.splitLines(text) where !line.isBlank {
            guard let record = JSONText.parse(line)?.members else { return nil }
            records.append(record)
        }
        return records.isEmpty ? nil : records
    }

    /// Text that is laid out already stays as it is; a single long line, or one with letters as numbers, is laid out anew.
    private static func blocks(_ value: JSONText, original: String) -> [String] {
        let lines = PlainTextParser.splitLines(original)
        let isLaidOut = lines.count > 1 && original.utf8.count / lines.count < 400 && original.firstRange(of: "\\u") == nil
        let text = isLaidOut ? original : value.pretty
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

    private static func parseNotebook(_ notebook: JSONText, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        let language = notebook["metadata"]?["kernelspec"]?["language"]?.string ?? "python"
        func joined(_ value: JSONText?) -> String { value?.items?.compactMap(\.string).joined() ?? value?.string ?? "" }
        for cell in notebook["cells"]?.items ?? [] {
            let source = joined(cell["source"])
            switch cell["cell_type"]?.string {
            case "markdown": try MarkdownParser.append(source, to: &builder)
            case "code":
                try builder.code(source, language: language)
                for output in cell["outputs"]?.items ?? [] {
                    let text = joined(output["text"] ?? output["data"]?["text/plain"])
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
                    // What an attribute says belongs to the value: a currency, a unit, a language.
                    let attributes = Self.attributes(node)
                    add(node.name + (attributes.isEmpty ? "" : " (" + attributes + ")") + ": " + text)
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
