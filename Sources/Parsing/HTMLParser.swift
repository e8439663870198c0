import Foundation

/// Turns an HTML tree into blocks, leaving out what a reader of the page does not read: scripts, styles, navigation, hidden parts.
///
/// Navigation is known by its element (`nav`, `aside` outside the main part), by its role, or by being a list that is
/// nearly all links outside of `main` and `article`. When leaving that out leaves hardly anything, the page *is* navigation and
/// everything is kept.
struct HTMLParser {
    private var builder: DocumentBuilder
    private let skipsBoilerplate: Bool
    private var inline = ""
    private var firstHeading: String?
    private var depth = 0
    private(set) var nodesLeft = 2_000_000

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes(), declared: declaredEncoding(input.head))
        var document = try parse(text: decoded.text, name: input.name, builder: context.builder)
        if decoded.encoding != "UTF-8" { document.properties["encoding"] = decoded.encoding }
        return document
    }

    static func parse(text: String, name: String, builder: DocumentBuilder) throws(Refusal) -> ParsedDocument {
        guard let tree = XMLTree(html: text.replacing("\0", with: "")) else { throw .empty("\(name) has no elements") }
        let lean = try parse(tree.root, builder: builder, skipsBoilerplate: true)
        if lean.text.utf8.count >= 1000 { return lean }
        let full = try parse(tree.root, builder: builder, skipsBoilerplate: false)
        if full.blocks.isEmpty {
            // Elements nested deeper than the tree may be: take the text without them.
            var builder = builder
            _ = try PlainTextParser.append(textWithoutTags(text), to: &builder)
            return builder.finish(title: full.title, mimeType: "text/html", properties: full.properties)
        }
        return lean.text.utf8.count * 4 < full.text.utf8.count ? full : lean
    }

    /// What stands between tags, script and style excepted; entities stay as they are.
    private static func textWithoutTags(_ text: String) -> String {
        var output: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        while let byte = bytes.first {
            guard byte == 0x3C else {
                output.append(byte)
                bytes.removeFirst()
                continue
            }
            let name = String(decoding: bytes.dropFirst().prefix(6), as: UTF8.self).lowercased()
            if name.hasPrefix("script") || name.hasPrefix("style") {
                let end = Array((name.hasPrefix("script") ? "</script" : "</style").utf8)
                var place = bytes.startIndex + 1
                while place < bytes.endIndex, !(bytes[place] == 0x3C && bytes[place...].starts(with: end)) { place += 1 }
                bytes = bytes[place...]
            }
            guard let close = bytes.firstIndex(of: 0x3E) else { break }
            output.append(0x0A)
            bytes = bytes[(close + 1)...]
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// For one part of another document: an EPUB chapter, a Markdown block.
    static func append(_ root: XMLNode, to builder: inout DocumentBuilder, skipsBoilerplate: Bool = true) throws(Refusal) {
        var parser = HTMLParser(builder: builder, skipsBoilerplate: skipsBoilerplate)
        try parser.walk(root, isMain: false)
        try parser.flush()
        builder = parser.builder
    }

    private init(builder: DocumentBuilder, skipsBoilerplate: Bool) {
        self.builder = builder
        self.skipsBoilerplate = skipsBoilerplate
    }

    private static func parse(_ root: XMLNode, builder: DocumentBuilder, skipsBoilerplate: Bool) throws(Refusal) -> ParsedDocument {
        var parser = HTMLParser(builder: builder, skipsBoilerplate: skipsBoilerplate)
        var title: String?
        var properties: [String: String] = [:]
        if let language = root["lang"] { properties["language"] = language }
        // Metadata may stand anywhere in broken pages.
        var seen = 0
        root.visit { node in
            seen += 1
            guard seen < 5000 else { return false }
            switch node.name {
            case "title" where title == nil && node.parent?.name != "svg": title = node.text.trimmed
            case "meta":
                guard let content = node["content"], !content.isBlank else { break }
                switch (node["name"] ?? node["property"] ?? "").lowercased() {
                case "author", "article:author", "dc.creator": properties["author"] = content
                case "description", "og:description": if properties["description"] == nil { properties["description"] = content }
                case "keywords": properties["keywords"] = content
                case "date", "article:published_time", "dc.date", "dcterms.created": properties["created"] = content
                case "og:title": if title == nil { title = content }
                default: break
                }
            default: break
            }
            return true
        }
        try parser.walk(root, isMain: false)
        try parser.flush()
        if let text = title, text.isEmpty { title = nil }
        return parser.builder.finish(title: title ?? parser.firstHeading, mimeType: "text/html", properties: properties)
    }

    /// What a page says about its encoding in its first bytes.
    static func declaredEncoding(_ head: [UInt8]) -> String? {
        let text = String(decoding: head.prefix(4096).map { $0 < 0x80 ? $0 : 0x3F }, as: UTF8.self).lowercased()
        for marker in ["charset=", "encoding="] {
            guard let range = text.range(of: marker) else { continue }
            let rest = text[range.upperBound...].drop { $0 == "\"" || $0 == "'" || $0 == " " }
            let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || "-_:.".contains($0)) }
            if !name.isEmpty { return String(name) }
        }
        return nil
    }

    // MARK: - Walking

    private static let skipped: Set<String> = [
        "script", "style", "template", "svg", "canvas", "audio", "video", "object", "embed", "applet", "map", "select", "button", "input",
        "datalist", "meta", "link", "base", "title", "iframe", "noframes", "head", "area", "source", "track", "param", "dialog", "frameset",
    ]
    private static let blockNames: Set<String> = [
        "p", "div", "section", "article", "main", "header", "footer", "aside", "nav", "blockquote", "figure", "figcaption", "address",
        "form",
        "fieldset", "legend", "details", "summary", "center", "body", "html", "dl", "dt", "dd", "ul", "ol", "li", "menu", "dir", "table",
        "hr",
        "h1", "h2", "h3", "h4", "h5", "h6", "pre", "caption", "tbody", "thead", "tfoot", "tr", "td", "th", "noscript", "hgroup", "search",
        "textarea",
    ]

    private func isBoilerplate(_ node: XMLNode, _ name: String, isMain: Bool) -> Bool {
        if node["hidden"] != nil || node["aria-hidden"] == "true" { return true }
        if let style = node["style"]?.lowercased().replacing(" ", with: ""),
            style.contains("display:none") || style.contains("visibility:hidden")
        {
            return true
        }
        guard skipsBoilerplate else { return false }
        if name == "nav" || (name == "aside" && !isMain) { return true }
        switch node["role"] ?? "" {
        case "navigation", "banner", "search", "menu", "menubar", "toolbar": return name != "body"
        default: break
        }
        guard !isMain, name == "ul" || name == "ol" || name == "menu" || name == "dl" else { return false }
        // A list of short links: a menu. A list of references has words around its links, or long ones.
        var linkCount = 0
        var linkBytes = 0
        var allBytes = 0
        node.visit { child in
            if child.isText { allBytes += child.characters.trimmed.utf8.count }
            if child.name == "a", child["href"] != nil {
                linkCount += 1
                linkBytes += child.text.trimmed.utf8.count
            }
            return true
        }
        return linkCount >= 4 && linkBytes * 10 >= allBytes * 9 && linkBytes < linkCount * 28
    }

    private mutating func walk(_ parent: XMLNode, isMain: Bool) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 180 else {
            inline += " " + parent.text
            return
        }
        for node in parent.nodes {
            if node.isText {
                inline += node.characters
                continue
            }
            guard node.isElement else { continue }
            nodesLeft -= 1
            guard nodesLeft > 0 else { throw .tooLarge("a page of more than 2000000 elements") }
            let name = node.name.lowercased()
            if Self.skipped.contains(name) || isBoilerplate(node, name, isMain: isMain) {
                if name == "input", let value = node["value"], node["type"] == nil || node["type"] == "text" { inline += " \(value) " }
                continue
            }
            switch name {
            case "br": inline += "\u{2028}"
            case "img":
                if let text = node["alt"], text.utf8.count > 2, !isGenerated(text) { inline += " \(text) " }
            case "wbr": break
            case "h1", "h2", "h3", "h4", "h5", "h6":
                try flush()
                let text = Self.inlineText(node)
                if !text.isBlank {
                    if firstHeading == nil { firstHeading = text.trimmed }
                    try builder.heading(text, level: Int(name.dropFirst()) ?? 1)
                }
            case "pre", "textarea", "listing", "xmp", "plaintext":
                try flush()
                try builder.code(Self.verbatim(node), language: Self.language(node))
            case "ul", "ol", "menu", "dir":
                try flush()
                try list(node, isOrdered: name == "ol", isMain: isMain)
            case "dl":
                try flush()
                try definitions(node, isMain: isMain)
            case "table":
                try flush()
                try table(node, isMain: isMain)
            case "li":
                // Outside of a list.
                try flush()
                try listItem(node, marker: "- ", isMain: isMain)
            case "figcaption", "caption":
                try flush()
                try builder.note(Self.inlineText(node))
            case "footer" where skipsBoilerplate && !isMain:
                try flush()
                let text = Self.inlineText(node).trimmed
                if text.utf8.count < 2000 { try builder.note(text.replacing("\n", with: " ")) } else { try walk(node, isMain: isMain) }
            default:
                if Self.blockNames.contains(name) {
                    try flush()
                    let isMainPart = name == "main" || name == "article" || node["role"] == "main"
                    try walk(node, isMain: isMain || isMainPart)
                    try flush()
                } else {
                    // Inline elements may hold blocks in the wild; walking them handles both.
                    try walk(node, isMain: isMain)
                }
            }
        }
    }

    /// Alternative texts that name a file, not a picture.
    private func isGenerated(_ text: String) -> Bool {
        let lowered = text.lowercased()
        return [".png", ".jpg", ".gif", ".jpeg", ".svg", ".webp"].contains { lowered.hasSuffix($0) } || lowered == "image"
            || lowered == "logo" || lowered == "icon"
    }

    private mutating func flush() throws(Refusal) {
        guard !inline.isEmpty else { return }
        let text = inline
        inline = ""
        if !text.isBlank { try builder.lines(Self.collapse(text)) }
    }

    /// White space of HTML collapses; a `br` is a line end.
    static func collapse(_ text: String) -> String {
        var bytes: [UInt8] = []
        DocumentBuilder.clean(text.utf8, keepsLines: false, keepsSpaces: false, into: &bytes)
        let joined = String(decoding: bytes, as: UTF8.self)
        guard joined.contains("\u{2028}") else { return joined }
        return joined.split(separator: "\u{2028}", omittingEmptySubsequences: true).map { $0.trimmed }.filter { !$0.isEmpty }.joined(
            separator: "\n")
    }

    private mutating func list(_ node: XMLNode, isOrdered: Bool, isMain: Bool) throws(Refusal) {
        var number = node["start"].flatMap { Int($0) } ?? 1
        depth += 1
        defer { depth -= 1 }
        for child in node.nodes {
            guard child.isElement else {
                if child.isText, !child.characters.isBlank { inline += child.characters }
                continue
            }
            let name = child.name.lowercased()
            if isBoilerplate(child, name, isMain: true) { continue }
            if name == "li" {
                try flush()
                if let value = child["value"].flatMap({ Int($0) }) { number = value }
                try listItem(child, marker: isOrdered ? "\(number). " : "- ", isMain: isMain)
                if number < Int.max { number += 1 }
            } else if name == "ul" || name == "ol" {
                try flush()
                guard depth < 180 else { continue }
                try list(child, isOrdered: name == "ol", isMain: isMain)
            } else {
                // Broken lists hold anything.
                let wrapper = child
                try flush()
                guard depth < 180, !Self.skipped.contains(name) else { continue }
                if ["a", "b", "i", "em", "strong", "span", "font"].contains(name) {
                    inline += wrapper.text
                } else {
                    try walk(wrapper, isMain: isMain)
                }
                try flush()
            }
        }
        try flush()
    }

    /// The item's own text as one block; lists, tables and code inside follow it.
    private mutating func listItem(_ node: XMLNode, marker: String, isMain: Bool) throws(Refusal) {
        var own = ""
        var rest: [XMLNode] = []
        Self.gather(node, into: &own, rest: &rest)
        try builder.listItem(Self.collapse(own).replacing("\n", with: " "), marker: marker)
        for child in rest {
            guard depth < 180 else { return }
            depth += 1
            defer { depth -= 1 }
            let name = child.name.lowercased()
            switch name {
            case "ul", "ol": try list(child, isOrdered: name == "ol", isMain: isMain)
            case "table": try table(child, isMain: isMain)
            case "pre": try builder.code(Self.verbatim(child), language: Self.language(child))
            case "dl": try definitions(child, isMain: isMain)
            default: try walk(child, isMain: isMain)
            }
        }
    }

    private mutating func definitions(_ node: XMLNode, isMain: Bool) throws(Refusal) {
        var term = ""
        for child in node.descendants where child.name == "dt" || child.name == "dd" {
            var own = ""
            var rest: [XMLNode] = []
            Self.gather(child, into: &own, rest: &rest)
            let text = Self.collapse(own).replacing("\n", with: " ").trimmed
            if child.name == "dt" {
                if !term.isEmpty { try builder.listItem(term) }
                term = text
            } else {
                try builder.listItem(term.isEmpty ? text : text.isEmpty ? term : "\(term): \(text)")
                term = ""
            }
            for pre in rest where pre.name == "pre" { try builder.code(Self.verbatim(pre), language: Self.language(pre)) }
            for inner in rest where inner.name == "table" { try table(inner, isMain: isMain) }
        }
        if !term.isEmpty { try builder.listItem(term) }
    }

    /// The inline text of `node` without the parts that are blocks of their own, which go to `rest`.
    private static func gather(_ node: XMLNode, into text: inout String, rest: inout [XMLNode]) {
        var own = ""
        var found: [XMLNode] = []
        node.visit { child in
            if child.isText {
                own += child.characters
                return false
            }
            let name = child.name.lowercased()
            if ["ul", "ol", "table", "pre", "dl"].contains(name) {
                found.append(child)
                return false
            }
            if skipped.contains(name) { return false }
            if name == "br" { own += "\u{2028}" }
            if name == "img", let alternative = child["alt"], alternative.utf8.count > 2 { own += " \(alternative) " }
            if blockNames.contains(name), !own.isEmpty { own += "\u{2028}" }
            return true
        }
        text += own
        rest += found
    }

    /// The text of a heading, caption or cell.
    static func inlineText(_ node: XMLNode) -> String {
        var text = ""
        node.visit { child in
            if child.isText {
                text += child.characters
                return false
            }
            let name = child.name.lowercased()
            if skipped.contains(name) { return false }
            if name == "img", let alternative = child["alt"], alternative.utf8.count > 2 { text += " \(alternative) " }
            // A permanent link beside a heading.
            if name == "a", child.text.trimmed == "¶" || child.text.trimmed == "#" { return false }
            if name == "br" || blockNames.contains(name) { text += " " }
            return true
        }
        return collapse(text)
    }

    private static func verbatim(_ node: XMLNode) -> String {
        var text = ""
        node.visit { child in
            if child.isText { text += child.characters }
            if child.name == "br" { text += "\n" }
            // Line numbers of code listings.
            if let kind = child["class"], kind.contains("linenos") || kind.contains("lineno") || kind.contains("line-number") {
                return false
            }
            return true
        }
        return text
    }

    private static func language(_ node: XMLNode) -> String? {
        for element in [node] + node.children.filter({ $0.name == "code" }) + [node.parent, node.parent?.parent].compactMap({ $0 }) {
            for word in (element["class"] ?? "").split(separator: " ") {
                for prefix in ["language-", "lang-", "highlight-source-", "highlight-", "brush:"] where word.hasPrefix(prefix) {
                    let name = word.dropFirst(prefix.count)
                    if !name.isEmpty, name != "default", name != "none" { return String(name) }
                }
            }
        }
        return nil
    }

    // MARK: - Tables

    private mutating func table(_ node: XMLNode, isMain: Bool) throws(Refusal) {
        let rows = Self.rows(node)
        let columnCount = rows.map { row in row.0.children.reduce(0) { $0 + ($1.name == "td" || $1.name == "th" ? 1 : 0) } }.max() ?? 0
        // A cell with a structure of its own cannot be a part of a line. Where only some rows hold such, as in tables that unfold,
        // the others stay rows; where most do, the table only arranges the page.
        let isStructured = rows.map { Self.isStructured($0.0) }
        let plainCount = zip(rows, isStructured).count { row, isStructured in
            !isStructured && row.0.children.reduce(0) { $0 + ($1.name == "td" || $1.name == "th" ? 1 : 0) } > 1
        }
        let isLayout =
            columnCount <= 1 || node["role"] == "presentation"
            || (isStructured.contains(true) && (plainCount < 3 || plainCount * 3 < rows.count))
        if isLayout {
            for child in node.nodes where child.isElement {
                if child.name == "caption" { try builder.note(Self.inlineText(child)) } else { try walk(child, isMain: isMain) }
                try flush()
            }
            return
        }
        if let caption = node.first("caption") { try builder.note(Self.inlineText(caption)) }
        builder.beginTable()
        let headCount = Self.headRowCount(rows)
        if headCount > 1 { try builder.tableRow(Self.mergedHeader(rows[..<headCount].map(\.0)), isHeader: true) }
        // Cells that span rows stand in each of them.
        var carried: [Int: (text: String, rows: Int)] = [:]
        for (index, (row, isInHead)) in rows.enumerated() where headCount < 2 || index >= headCount {
            var cells: [String] = []
            var headerCount = 0
            var cellCount = 0
            if isStructured[index] {
                let header = builder.tableHeader
                try walk(row, isMain: isMain)
                try flush()
                builder.beginTable(header: header)
                carried = [:]
                continue
            }
            func takeCarried() {
                while let above = carried[cells.count] {
                    carried[cells.count] = above.rows > 1 ? (above.text, above.rows - 1) : nil
                    cells.append(above.text)
                }
            }
            for cell in row.children where cell.name == "td" || cell.name == "th" {
                takeCarried()
                let text = Self.inlineText(cell).replacing("\n", with: " ").trimmed
                cellCount += 1
                if cell.name == "th" { headerCount += 1 }
                let rowSpan = min(1000, cell["rowspan"].flatMap { Int($0) } ?? 1)
                if rowSpan > 1, cells.count < 200 { carried[cells.count] = (text, rowSpan - 1) }
                cells.append(text)
                for _ in 1..<max(1, min(50, cell["colspan"].flatMap { Int($0) } ?? 1)) where cells.count < 200 {
                    if rowSpan > 1 { carried[cells.count] = ("", rowSpan - 1) }
                    cells.append("")
                }
            }
            takeCarried()
            let isHeader = isInHead || (headerCount == cellCount && cellCount > 1 && index < 3)
            try builder.tableRow(cells, isHeader: isHeader)
        }
        builder.endTable()
    }

    private static func headRowCount(_ rows: [(XMLNode, Bool)]) -> Int {
        var count = 0
        for (row, isInHead) in rows.prefix(4) {
            let cells = row.children.filter { $0.name == "td" || $0.name == "th" }
            guard isInHead || (cells.allSatisfy { $0.name == "th" || $0.text.isBlank } && cells.count > 1) else { break }
            count += 1
        }
        return count < rows.count ? count : 0
    }

    /// Header rows as one: each column gets the texts above it, those that span columns included.
    private static func mergedHeader(_ rows: [XMLNode]) -> [String] {
        var columns: [[String]] = []
        var carried: [Int: Int] = [:]
        for row in rows {
            var column = 0
            var next = carried.filter { $0.value > 1 }.mapValues { $0 - 1 }
            for cell in row.children where cell.name == "td" || cell.name == "th" {
                while carried[column] != nil { column += 1 }
                let text = inlineText(cell).replacing("\n", with: " ").trimmed
                let rowSpan = max(1, min(100, cell["rowspan"].flatMap { Int($0) } ?? 1))
                for _ in 0..<max(1, min(50, cell["colspan"].flatMap { Int($0) } ?? 1)) where column < 200 {
                    while columns.count <= column { columns.append([]) }
                    if !text.isEmpty, columns[column].last != text { columns[column].append(text) }
                    if rowSpan > 1 { next[column] = rowSpan - 1 }
                    column += 1
                }
            }
            carried = next
        }
        return columns.map { $0.joined(separator: " ") }
    }

    private static func isStructured(_ row: XMLNode) -> Bool {
        row.children.contains { cell in
            var blockCount = 0
            var isStructured = false
            cell.visit { child in
                switch child.name {
                case "table", "h1", "h2", "h3", "pre", "form": isStructured = true
                case "p", "div", "li": blockCount += 1
                default: break
                }
                return !isStructured
            }
            return isStructured || blockCount > 12
        }
    }

    private static func rows(_ table: XMLNode) -> [(XMLNode, Bool)] {
        var rows: [(XMLNode, Bool)] = []
        for node in table.children {
            switch node.name {
            case "tr": rows.append((node, false))
            case "thead": rows += node.children.filter { $0.name == "tr" }.map { ($0, true) }
            case "tbody", "tfoot": rows += node.children.filter { $0.name == "tr" }.map { ($0, false) }
            default: break
            }
        }
        return rows
    }
}
