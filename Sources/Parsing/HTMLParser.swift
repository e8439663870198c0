import CLibXML2
import Foundation

/// Turns an HTML tree into blocks, leaving out what a reader of the page does not read: scripts, styles, navigation, dialogs, struck
/// text, and hidden parts that nothing on the page opens (`HTMLPage`).
///
/// Navigation is known by its element (`nav`, `aside` outside the main part), by its role, or by being a list that is
/// nearly all links outside of `main` and `article`. When leaving that out leaves hardly anything, the page *is* navigation and
/// everything is kept. A page that a script would fill has its text in what it says about itself (`HTMLShell`).
struct HTMLParser {
    var builder: DocumentBuilder
    let page: HTMLPage
    private let skipsBoilerplate: Bool
    var inline: HTMLInline
    private var firstHeading: String?
    /// The level of the last heading that the page itself has; names of tabs and panels lie one below.
    private var level = 1
    private var depth = 0
    /// What stands before an older mail's header; the rest is quotation.
    private var beforeQuotes: DocumentBuilder?
    private(set) var nodesLeft = 2_000_000

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes(), declared: declaredEncoding(input.head))
        var document = try parse(text: decoded.text, name: input.name, builder: context.builder)
        if decoded.encoding != "UTF-8" { document.properties["encoding"] = decoded.encoding }
        return document
    }

    static func parse(text: String, name: String, builder: DocumentBuilder) throws(Refusal) -> ParsedDocument {
        guard let tree = XMLTree(html: text.utf8.contains(0) ? text.replacing("\0", with: "") : text) else {
            throw .empty("\(name) has no elements")
        }
        let page = HTMLPage(tree.root)
        let lean = try parse(tree.root, page: page, builder: builder, skipsBoilerplate: true)
        if lean.text.utf8.count >= 1000 { return lean }
        page.reset()
        let full = try parse(tree.root, page: page, builder: builder, skipsBoilerplate: false)
        // A page that is all navigation has a text; a shell has none in either reading.
        if full.text.utf8.count < 400, let shell = try HTMLShell.parse(tree.root, name: name, lean: lean, builder: builder) { return shell }
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

    /// For one part of another document: an EPUB chapter, a Markdown block, a mail's body.
    static func append(
        _ root: XMLNode, to builder: inout DocumentBuilder, skipsBoilerplate: Bool = true, page: HTMLPage? = nil
    ) throws(Refusal) {
        var parser = HTMLParser(builder: builder, page: page ?? HTMLPage(root), skipsBoilerplate: skipsBoilerplate)
        try parser.walk(root, isMain: false)
        try parser.flush()
        if var before = parser.beforeQuotes {
            for part in MailQuotes.marked(parser.builder.finish(title: nil, mimeType: "text/html").text) { try before.lines(part) }
            builder = before
        } else {
            builder = parser.builder
        }
    }

    private init(builder: DocumentBuilder, page: HTMLPage, skipsBoilerplate: Bool) {
        self.builder = builder
        self.page = page
        self.skipsBoilerplate = skipsBoilerplate
        inline = HTMLInline(page: page)
    }

    private static func parse(
        _ root: XMLNode, page: HTMLPage, builder: DocumentBuilder, skipsBoilerplate: Bool
    ) throws(Refusal) -> ParsedDocument {
        var parser = HTMLParser(builder: builder, page: page, skipsBoilerplate: skipsBoilerplate)
        let (title, properties) = metadata(root)
        try parser.walk(root, isMain: false)
        try parser.flush()
        return parser.builder.finish(title: title ?? parser.firstHeading, mimeType: "text/html", properties: properties)
    }

    /// What a page says about itself. Metadata may stand anywhere in broken pages.
    static func metadata(_ root: XMLNode) -> (title: String?, properties: [String: String]) {
        var title: String?
        var properties: [String: String] = [:]
        if let language = root["lang"] { properties["language"] = language }
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
        if let text = title, text.isEmpty { title = nil }
        return (title, properties)
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
        "script", "style", "template", "svg", "canvas", "audio", "video", "object", "embed", "applet", "map",
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

    /// Whether an element is left out with all that is in it.
    func isLeftOut(_ node: XMLNode, _ name: String, isMain: Bool, keepsButtons: Bool = false) -> Bool {
        if Self.skipped.contains(name) || page.isWritten(node) || page.isBookMatter(node, name) { return true }
        if name == "button" {
            guard !keepsButtons, page.control(node) == .tool else { return HTMLPage.isTab(node) && page.hasPanel(node) }
            return true
        }
        if HTMLPage.isStruck(node, name) || HTMLPage.isDialog(node) { return true }
        if HTMLPage.isHidden(node), !page.isRevealed(node) { return true }
        if HTMLPage.isTab(node), page.hasPanel(node) { return true }
        if name == "noscript", HTMLShell.asksForScripts(node) { return true }
        guard skipsBoilerplate else { return false }
        if HTMLPage.isConsentBanner(node, name) { return true }
        if name == "nav" || (name == "aside" && !isMain) { return true }
        switch node["role"] ?? "" {
        case "navigation", "banner", "search", "menu", "menubar", "toolbar": return name != "body"
        default: break
        }
        return !isMain && Self.isMenuList(node, name)
    }

    /// A list of short links: a menu. A list of references has words around its links, or long ones.
    private static func isMenuList(_ node: XMLNode, _ name: String) -> Bool {
        guard name == "ul" || name == "ol" || name == "menu" || name == "dl" else { return false }
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

    mutating func walk(_ parent: XMLNode, isMain: Bool) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 180 else {
            inline.append(" " + parent.text)
            return
        }
        for node in parent.nodes {
            if node.isText {
                inline.append(node.characters)
                continue
            }
            guard node.isElement else { continue }
            nodesLeft -= 1
            guard nodesLeft > 0 else { throw .tooLarge("a page of more than 2000000 elements") }
            let name = node.name.lowercased()
            if isLeftOut(node, name, isMain: isMain) { continue }
            try element(node, name, isMain: isMain)
        }
    }

    mutating func element(_ node: XMLNode, _ name: String, isMain: Bool) throws(Refusal) {
        if let section = page.sectionName(node) {
            try flush()
            try builder.heading(section, level: 2)
        }
        if let tab = page.tabName(node) { return try panel(node, named: tab, isMain: isMain) }
        if page.marksQuotes {
            if MailQuotes.isQuote(node, name) { return try quote(node) }
            if beforeQuotes == nil, MailQuotes.opensQuotes(node, name) {
                try flush()
                beforeQuotes = builder
                builder = DocumentBuilder(outputLimit: builder.outputLimit)
            }
        }
        switch name {
        case "h1", "h2", "h3", "h4", "h5", "h6":
            try heading(node, level: Int(name.dropFirst()) ?? 1)
        case "pre", "textarea", "listing", "xmp", "plaintext":
            try flush()
            try builder.code(Self.verbatim(node), language: Self.language(node))
        case "ul", "ol", "menu", "dir":
            try flush()
            let shown = inline.showsTargets
            // What is kept of a menu for want of anything else is still a menu.
            if !skipsBoilerplate, !isMain, Self.isMenuList(node, name) { inline.showsTargets = false }
            try list(node, isOrdered: name == "ol", isMain: isMain)
            inline.showsTargets = shown
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
            try builder.note(inlineText(node))
            try writeNotes()
        case "nav", "footer":
            try flush()
            let shown = inline.showsTargets
            inline.showsTargets = false
            defer { inline.showsTargets = shown }
            guard name == "footer", skipsBoilerplate, !isMain else {
                try walk(node, isMain: isMain)
                return try flush()
            }
            let text = inlineText(node).trimmed
            if text.utf8.count < 2000 { try builder.note(text.replacing("\n", with: " ")) } else { try walk(node, isMain: isMain) }
        case "button": try button(node, isMain: isMain)
        default:
            let role = node.pointer.pointee.properties == nil ? "" : node["role"] ?? ""
            if role == "heading" {
                try heading(node, level: node["aria-level"].flatMap { Int($0) } ?? 2)
            } else if role == "button", node["aria-expanded"] != nil {
                try button(node, isMain: isMain)
            } else if Self.blockNames.contains(name) || role == "tab" || role == "tabpanel" {
                try flush()
                let isMainPart = name == "main" || name == "article" || role == "main"
                let level = level
                try walk(node, isMain: isMain || isMainPart)
                // A part that is opened is a part: its headings end with it.
                if node.pointer.pointee.properties != nil, HTMLPage.isHidden(node) || role == "tabpanel" || role == "region" {
                    self.level = level
                }
                try flush()
            } else if inline.enter(node, name) {
                // Inline elements may hold blocks in the wild; walking them handles both.
                try walk(node, isMain: isMain)
                inline.leave(node)
            }
        }
    }

    private mutating func heading(_ node: XMLNode, level: Int) throws(Refusal) {
        try flush()
        var text = inlineText(node, isHeading: true)
        // The question of a collapsed answer is a button, and the heading's only words.
        if text.isBlank { text = inlineText(node, isHeading: true, keepsButtons: true) }
        guard !text.isBlank else { return }
        if firstHeading == nil { firstHeading = text.trimmed }
        self.level = level
        try builder.heading(text, level: level)
        try writeNotes()
    }

    /// What a tab shows stands under the tab's name.
    private mutating func panel(_ node: XMLNode, named name: String, isMain: Bool) throws(Refusal) {
        try flush()
        let level = level
        let own = node.children.first(where: { _ in true }).flatMap { HTMLPage.isHeading($0) ? HTMLInline.plainText($0) : nil }
        if own != name { try builder.heading(name, level: min(6, level + 1)) }
        self.level = min(6, level + 1)
        try walk(node, isMain: isMain)
        try flush()
        self.level = level
    }

    private mutating func button(_ node: XMLNode, isMain: Bool) throws(Refusal) {
        if case .heading = page.control(node) {
            try flush()
            let text = inlineText(node, isHeading: true, keepsButtons: true)
            if !text.isBlank { try builder.heading(text, level: min(6, level + 1)) }
            return
        }
        try flush()
        try walk(node, isMain: isMain)
        try flush()
    }

    /// Older mail in a mail: its lines behind marks of quotation.
    private mutating func quote(_ node: XMLNode) throws(Refusal) {
        try flush()
        var inner = HTMLParser(
            builder: DocumentBuilder(outputLimit: builder.outputLimit), page: HTMLPage(node, targets: .none), skipsBoilerplate: false)
        inner.depth = depth + 1
        try inner.walk(node, isMain: true)
        try inner.flush()
        let text = inner.builder.finish(title: nil, mimeType: "text/html").text
        for part in MailQuotes.marked(text) { try builder.lines(part) }
    }

    mutating func flush() throws(Refusal) {
        let text = inline.take()
        if !text.isBlank { try builder.lines(Self.collapse(text)) }
        try writeNotes()
    }

    /// The notes whose marks stand in what was just written follow it.
    mutating func writeNotes() throws(Refusal) {
        for (label, note) in page.takeNotes() {
            let text = Self.withoutLabel(inlineText(note), label)
            if !text.isBlank { try builder.note(label.isEmpty ? text : "Footnote \(label): \(text)") }
        }
    }

    /// A note often begins with its own mark.
    private static func withoutLabel(_ text: String, _ label: String) -> String {
        var rest = text.trimmed[...]
        for mark in ["[\(label)]", "\(label).", "\(label))", "(\(label))", "\(label):", label] where !label.isEmpty && rest.hasPrefix(mark)
        {
            let after = rest.dropFirst(mark.count)
            guard after.first?.isWhitespace == true else { continue }
            rest = after
            break
        }
        return rest.trimmed
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
        let step = node["reversed"] == nil ? 1 : -1
        if step < 0, node["start"] == nil { number = node.children.reduce(0) { $0 + ($1.name == "li" ? 1 : 0) } }
        depth += 1
        defer { depth -= 1 }
        for child in node.nodes {
            guard child.isElement else {
                if child.isText, !child.characters.isBlank { inline.append(child.characters) }
                continue
            }
            let name = child.name.lowercased()
            if isLeftOut(child, name, isMain: true) { continue }
            if name == "li" {
                try flush()
                if let value = child["value"].flatMap({ Int($0) }) { number = value }
                try listItem(child, marker: isOrdered ? "\(number). " : "- ", isMain: isMain)
                if number < Int.max, number > Int.min { number += step }
            } else if name == "ul" || name == "ol" {
                try flush()
                guard depth < 180 else { continue }
                try list(child, isOrdered: name == "ol", isMain: isMain)
            } else {
                // Broken lists hold anything.
                try flush()
                guard depth < 180 else { continue }
                try element(child, name, isMain: isMain)
                try flush()
            }
        }
        try flush()
    }

    /// The item's own text as one block; lists, tables and code inside follow it.
    private mutating func listItem(_ node: XMLNode, marker: String, isMain: Bool) throws(Refusal) {
        let (own, rest) = gather(node)
        try builder.listItem(Self.collapse(own).replacing("\n", with: " "), marker: marker)
        try writeNotes()
        for child in rest {
            guard depth < 180 else { return }
            depth += 1
            defer { depth -= 1 }
            try element(child, child.name.lowercased(), isMain: isMain)
            try flush()
        }
    }

    /// Terms and what is said of them, wherever in the list they stand; what is neither is not lost.
    private mutating func definitions(_ node: XMLNode, isMain: Bool) throws(Refusal) {
        var term = ""
        try definitions(node, term: &term, isMain: isMain)
        if !term.isEmpty { try builder.listItem(term) }
    }

    private mutating func definitions(_ node: XMLNode, term: inout String, isMain: Bool) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 180 else {
            inline.append(" " + node.text)
            return
        }
        func close(_ term: inout String, _ parser: inout HTMLParser) throws(Refusal) {
            if !term.isEmpty { try parser.builder.listItem(term) }
            term = ""
        }
        for child in node.nodes {
            if child.isText {
                inline.append(child.characters)
                continue
            }
            guard child.isElement else { continue }
            let name = child.name.lowercased()
            if isLeftOut(child, name, isMain: true) { continue }
            switch name {
            case "dt", "dd":
                try flush()
                let (own, rest) = gather(child, keepsButtons: name == "dt")
                let text = Self.collapse(own).replacing("\n", with: " ").trimmed
                if name == "dt" {
                    try close(&term, &self)
                    term = text
                } else {
                    try builder.listItem(term.isEmpty ? text : text.isEmpty ? term : "\(term): \(text)")
                    term = ""
                }
                try writeNotes()
                if !rest.isEmpty { try close(&term, &self) }
                for part in rest {
                    try element(part, part.name.lowercased(), isMain: isMain)
                    try flush()
                }
            default:
                if child.descendants.contains(where: { $0.name == "dt" || $0.name == "dd" }), name != "dl" {
                    try flush()
                    try definitions(child, term: &term, isMain: isMain)
                } else {
                    if Self.blockNames.contains(name) { try close(&term, &self) }
                    try element(child, name, isMain: isMain)
                }
            }
        }
        try flush()
    }

    /// The inline text of `node`, and the parts in it that are blocks of their own.
    private mutating func gather(_ node: XMLNode, keepsButtons: Bool = false) -> (text: String, rest: [XMLNode]) {
        var own = HTMLInline(page: page, showsTargets: inline.showsTargets)
        var found: [XMLNode] = []
        node.visit(
            enter: { child in
                if child.isText {
                    own.append(child.characters)
                    return false
                }
                let name = child.name.lowercased()
                guard child.isElement, !isLeftOut(child, name, isMain: true, keepsButtons: keepsButtons) else { return false }
                if ["ul", "ol", "table", "pre", "dl"].contains(name) || page.tabName(child) != nil {
                    found.append(child)
                    return false
                }
                if Self.blockNames.contains(name) || name == "button" {
                    if !own.text.isEmpty { own.lineBreak() }
                    return true
                }
                return own.enter(child, name)
            }, leave: { own.leave($0) })
        return (own.take(), found)
    }

    /// The text of a heading, caption or cell.
    func inlineText(_ node: XMLNode, isHeading: Bool = false, keepsButtons: Bool = false) -> String {
        var own = HTMLInline(page: page, showsTargets: inline.showsTargets && !isHeading)
        node.visit(
            enter: { child in
                if child.isText {
                    own.append(child.characters)
                    return false
                }
                let name = child.name.lowercased()
                guard child.isElement, !isLeftOut(child, name, isMain: true, keepsButtons: keepsButtons) else { return false }
                // A permanent link beside a heading.
                if name == "a", ["¶", "#", "§", "🔗"].contains(child.text.trimmed) { return false }
                if name == "table" {
                    own.append(" " + flattened(child) + " ")
                    return false
                }
                if Self.blockNames.contains(name) || name == "button" || name == "br" {
                    own.append(" ")
                    return name != "br"
                }
                return own.enter(child, name)
            }, leave: { own.leave($0) })
        return Self.collapse(own.take())
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
}
