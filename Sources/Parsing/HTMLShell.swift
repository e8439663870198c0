import Foundation

/// A page that holds no text because a script would fill it: what it says about itself is told instead.
///
/// Such pages carry a description for search engines, and often questions and answers as linked data (JSON-LD) or as microdata.
enum HTMLShell {
    /// The page from its metadata, with a warning; nil when it is no shell.
    static func parse(
        _ root: XMLNode, name: String, lean: ParsedDocument, builder: DocumentBuilder
    ) throws(Refusal) -> ParsedDocument? {
        guard lean.text.utf8.count < 120 else { return nil }
        var hasScript = false
        var hasMount = false
        var hasPlea = false
        var data: [String] = []
        var microdata: [XMLNode] = []
        root.visit { node in
            switch node.name {
            case "script":
                if node["type"]?.lowercased().contains("ld+json") == true {
                    data.append(node.text)
                } else if node["src"] != nil || node["type"] == "module" || node["type"] == "text/javascript" || node["type"] == nil {
                    hasScript = true
                }
                return false
            case "noscript": hasPlea = hasPlea || asksForScripts(node)
            case "div", "main", "section", "app-root": if node["id"] != nil, node.text.isBlank { hasMount = true }
            default: if node.name.contains("-"), node.text.isBlank { hasMount = true }
            }
            if node["itemscope"] != nil { microdata.append(node) }
            return true
        }
        let isWaiting = lean.text.utf8.count < 40 && lean.text.lowercased().contains("loading")
        let isEmpty = lean.text.isBlank || isWaiting || (hasMount && lean.text.utf8.count < 60)
        guard hasScript || hasPlea, isEmpty, hasMount || hasPlea || lean.text.isBlank else { return nil }
        let (title, properties) = HTMLParser.metadata(root)
        var builder = builder
        if let title { try builder.heading(title, level: 1) }
        if let description = properties["description"] { try builder.paragraph(description) }
        if !lean.text.isBlank, !isWaiting { try builder.lines(lean.text) }
        var writer = LinkedData()
        for text in data {
            guard text.utf8.count < 4 << 20, let value = JSONText.parse(text) else { continue }
            try writer.write(value, to: &builder, depth: 0)
        }
        for node in microdata { try writer.write(node, to: &builder) }
        guard !builder.isEmpty else {
            throw .empty("\(name) is an empty shell that a script fills; open it in a browser and save the whole page, or print it to PDF")
        }
        builder.warn(
            "the page is an empty shell that a script fills; only its title, description and structured data were read. "
                + "Open it in a browser and save the whole page, or print it to PDF, to take in its text")
        return builder.finish(title: title, mimeType: "text/html", properties: properties)
    }

    /// Whether a `noscript` only asks for scripts to be allowed.
    static func asksForScripts(_ node: XMLNode) -> Bool {
        let text = node.text
        return text.utf8.count < 400 && text.lowercased().contains("javascript")
    }

    /// Writes questions with their answers, and what other things have of words.
    private struct LinkedData {
        private var written: Set<String> = []
        private var linesLeft = 400

        mutating func write(_ value: JSONText, to builder: inout DocumentBuilder, depth: Int) throws(Refusal) {
            guard depth < 12, linesLeft > 0 else { return }
            switch value {
            case .array(let items): for item in items { try write(item, to: &builder, depth: depth + 1) }
            case .object(let members):
                let kind = members.first { $0.key == "@type" }?.value.string ?? ""
                if kind == "Question" || members.contains(where: { $0.key == "acceptedAnswer" }) {
                    let name = value["name"]?.string ?? value["text"]?.string ?? ""
                    var answers: [String] = []
                    for key in ["acceptedAnswer", "suggestedAnswer"] {
                        switch value[key] {
                        case .array(let items): answers += items.compactMap { $0["text"]?.string }
                        case let answer?: answers += [answer["text"]?.string].compactMap { $0 }
                        case nil: break
                        }
                    }
                    return try question(name, answers, to: &builder)
                }
                var fields: [String] = []
                for (key, member) in members where !key.hasPrefix("@") {
                    guard let text = member.string ?? member.number else { continue }
                    let isAddress = text.hasPrefix("http") || text.isBlank
                    if isAddress || ["url", "image", "logo", "sameAs", "inLanguage"].contains(key) { continue }
                    if written.insert(key + text).inserted { fields.append("\(key): \(Self.plain(text))") }
                }
                linesLeft -= fields.count
                if !fields.isEmpty { try builder.lines(([kind].filter { !$0.isEmpty } + fields).joined(separator: "\n")) }
                for (key, member) in members where !key.hasPrefix("@") || key == "@graph" {
                    switch member {
                    case .object, .array: try write(member, to: &builder, depth: depth + 1)
                    default: break
                    }
                }
            default: break
            }
        }

        /// Microdata of a question; of other things, the values that are in attributes and so not on the page.
        mutating func write(_ node: XMLNode, to builder: inout DocumentBuilder) throws(Refusal) {
            guard linesLeft > 0 else { return }
            let type = node["itemtype"] ?? ""
            func value(_ name: String, in part: XMLNode) -> String? {
                part.descendants.first { $0["itemprop"]?.split(separator: " ").contains(Substring(name)) == true }.map {
                    $0["content"] ?? $0.text.trimmed
                }
            }
            if type.hasSuffix("/Question") {
                let answers = node.descendants.filter { $0["itemprop"]?.contains("Answer") == true }.compactMap { value("text", in: $0) }
                return try question(value("name", in: node) ?? "", answers, to: &builder)
            }
            guard !type.hasSuffix("/Answer"), !type.hasSuffix("/FAQPage") else { return }
            var fields: [String] = []
            for child in node.children.prefix(200) {
                guard let name = child["itemprop"], let content = child["content"], !content.isBlank, !content.hasPrefix("http") else {
                    continue
                }
                if written.insert(name + content).inserted { fields.append("\(name): \(content)") }
            }
            linesLeft -= fields.count
            if !fields.isEmpty { try builder.lines(fields.joined(separator: "\n")) }
        }

        private mutating func question(_ name: String, _ answers: [String], to builder: inout DocumentBuilder) throws(Refusal) {
            guard !name.isBlank, written.insert("?" + name).inserted else { return }
            linesLeft -= 1
            try builder.heading(Self.plain(name), level: 2)
            for answer in answers where !answer.isBlank { try builder.lines(Self.plain(answer)) }
        }

        /// Answers may be HTML.
        private static func plain(_ text: String) -> String {
            guard text.contains("<") || text.contains("&"), let tree = XMLTree(html: text) else { return text }
            return HTMLInline.plainText(tree.root)
        }
    }
}
