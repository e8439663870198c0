import Foundation

/// Reads DOCX (ECMA-376 WordprocessingML).
///
/// Headings come from a style's outline level or name, lists from numbering, table headers from the table's look. What is
/// deleted, and field codes, are left out; text boxes, notes, comments, headers and footers are kept, each once.
struct WordParser {
    private let package: OfficePackage
    private let context: ParseContext
    private var builder: DocumentBuilder
    private var styles: [String: Style] = [:]
    private var numbering: [String: [Int: Level]] = [:]
    private var counters: [String: [Int: Int]] = [:]
    private var firstTitle: String?
    private var depth = 0

    private struct Style {
        var name: String
        var outlineLevel: Int?
        var basedOn: String?
        var list: String?
        var listLevel: Int
    }
    private struct Level {
        var format: String
        var text: String
        var start: Int
    }

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let package = try OfficePackage(input, context: context)
        var parser = WordParser(package: package, context: context, builder: context.builder)
        return try parser.parse(input)
    }

    private init(package: OfficePackage, context: ParseContext, builder: DocumentBuilder) {
        self.package = package
        self.context = context
        self.builder = builder
    }

    private mutating func parse(_ input: ParseInput) throws(Refusal) -> ParsedDocument {
        let main = package.part("officeDocument", of: "") ?? "word/document.xml"
        guard let tree = package.tree(main) else { throw .malformed("\(input.name) has no readable main part (\(main))") }
        let folder = main.lastIndex(of: "/").map { String(main[..<$0]) } ?? "word"
        readStyles(package.part("styles", of: main) ?? folder + "/styles.xml")
        readNumbering(package.part("numbering", of: main) ?? folder + "/numbering.xml")
        for warning in package.archive.warnings { builder.warn(warning) }

        let headers = try noteTexts(package.parts("header", of: main))
        for text in headers { try builder.note(text) }
        try blocks(in: tree.root.first("body") ?? tree.root)
        for (kind, label) in [("footnote", "Footnote"), ("endnote", "Endnote")] {
            guard let part = package.part(kind + "s", of: main), let notes = package.tree(part) else { continue }
            for note in notes.root.children where note.name == kind {
                if let type = note["type"], type != "normal" { continue }
                let text = Self.flatText(note)
                if !text.isBlank { try builder.note("\(label) \(note["id"] ?? ""): \(text.trimmed)") }
            }
        }
        if let part = package.part("comments", of: main), let comments = package.tree(part) {
            for comment in comments.root.children where comment.name == "comment" {
                let text = Self.flatText(comment).trimmed
                let author = comment["author"].map { $0.isBlank ? "" : " by \($0)" } ?? ""
                if !text.isEmpty { try builder.note("Comment\(author): \(text)") }
            }
        }
        for text in try noteTexts(package.parts("footer", of: main)) where !headers.contains(text) { try builder.note(text) }
        // Drawings in their own parts.
        for part in package.parts("diagramData", of: main) {
            if let text = PresentationParser.diagramText(package.tree(part)) { try builder.note(text) }
        }
        for part in package.parts("chart", of: main) {
            if let chart = package.tree(part) { try PresentationParser.chart(chart.root, into: &builder) }
        }
        try package.appendEmbedded(folder: folder, to: &builder, context: context)

        let (title, properties) = package.properties()
        return builder.finish(
            title: title ?? firstTitle, mimeType: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            properties: properties)
    }

    /// Headers and footers are repeated for first, odd and even pages; each text counts once.
    private func noteTexts(_ parts: [String]) throws(Refusal) -> [String] {
        var texts: [String] = []
        for part in parts {
            guard let tree = package.tree(part) else { continue }
            let text = Self.flatText(tree.root).trimmed
            if !text.isBlank, !texts.contains(text) { texts.append(text) }
        }
        return texts
    }

    // MARK: - Styles and numbering

    private mutating func readStyles(_ part: String) {
        guard let tree = package.tree(part) else { return }
        for node in tree.root.children where node.name == "style" && node["type"] == "paragraph" {
            guard let id = node["styleId"] else { continue }
            let properties = node.first("pPr")
            styles[id] = Style(
                name: node.first("name")?["val"]?.lowercased() ?? "",
                outlineLevel: properties?.first("outlineLvl")?["val"].flatMap { Int($0) },
                basedOn: node.first("basedOn")?["val"],
                list: properties?.find("numPr", "numId")?["val"],
                listLevel: properties?.find("numPr", "ilvl")?["val"].flatMap { Int($0) } ?? 0)
        }
    }

    private mutating func readNumbering(_ part: String) {
        guard let tree = package.tree(part) else { return }
        var abstract: [String: [Int: Level]] = [:]
        for node in tree.root.children where node.name == "abstractNum" {
            var levels: [Int: Level] = [:]
            for level in node.children where level.name == "lvl" {
                guard let index = level["ilvl"].flatMap({ Int($0) }) else { continue }
                levels[index] = Level(
                    format: level.first("numFmt")?["val"] ?? "decimal", text: level.first("lvlText")?["val"] ?? "",
                    start: level.first("start")?["val"].flatMap { Int($0) } ?? 1)
            }
            if let id = node["abstractNumId"] { abstract[id] = levels }
        }
        for node in tree.root.children where node.name == "num" {
            if let id = node["numId"], let source = node.first("abstractNumId")?["val"] { numbering[id] = abstract[source] }
        }
    }

    /// Walks `basedOn`; chains are short, and a cycle ends after 20 steps.
    private func inherited<Value>(_ id: String?, _ value: (Style) -> Value?) -> Value? {
        var next = id
        for _ in 0..<20 {
            guard let id = next, let style = styles[id] else { return nil }
            if let value = value(style) { return value }
            next = style.basedOn
        }
        return nil
    }

    private func headingLevel(_ properties: XMLNode?, _ style: String?) -> Int? {
        if let level = properties?.first("outlineLvl")?["val"].flatMap({ Int($0) }) { return level < 9 ? level + 1 : nil }
        if let level = inherited(style, { $0.outlineLevel }) { return level < 9 ? level + 1 : nil }
        return inherited(style) { style -> Int? in
            if style.name == "title" { return 1 }
            if style.name == "subtitle" { return 2 }
            guard style.name.hasPrefix("heading ") else { return nil }
            return Int(style.name.dropFirst(8))
        } ?? (styles.isEmpty ? style.flatMap { $0.hasPrefix("Heading") ? Int($0.dropFirst(7)) : nil } : nil)
    }

    private mutating func marker(list: String, level: Int) -> String {
        guard let definition = numbering[list]?[level] else { return "- " }
        if definition.format == "bullet" || definition.format == "none" { return "- " }
        var state = counters[list] ?? [:]
        state[level] = (state[level] ?? definition.start - 1) + 1
        for deeper in state.keys where deeper > level { state[deeper] = nil }
        counters[list] = state
        var text = definition.text
        for index in 0...8 {
            guard text.contains("%\(index + 1)") else { continue }
            let value = state[index] ?? numbering[list]?[index]?.start ?? 1
            text = text.replacing("%\(index + 1)", with: Self.format(value, numbering[list]?[index]?.format ?? "decimal"))
        }
        return text.isBlank ? "- " : text.trimmed + " "
    }

    static func format(_ value: Int, _ format: String) -> String {
        switch format {
        case "lowerLetter", "upperLetter":
            guard value > 0, value <= 780 else { return String(value) }
            let letter = String(UnicodeScalar(UInt8(97 + (value - 1) % 26)))
            let text = String(repeating: letter, count: (value - 1) / 26 + 1)
            return format == "upperLetter" ? text.uppercased() : text
        case "lowerRoman", "upperRoman":
            guard value > 0, value < 4000 else { return String(value) }
            var rest = value
            var text = ""
            for (number, digits) in [
                (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"),
                (5, "v"),
                (4, "iv"), (1, "i"),
            ] {
                while rest >= number {
                    text += digits
                    rest -= number
                }
            }
            return format == "upperRoman" ? text.uppercased() : text
        default: return String(value)
        }
    }

    // MARK: - Body

    private mutating func blocks(in parent: XMLNode) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { return try builder.paragraph(Self.flatText(parent)) }
        for node in parent.children {
            switch node.name {
            case "p": try paragraph(node)
            case "tbl": try table(node)
            case "sdt": if let content = node.first("sdtContent") { try blocks(in: content) }
            case "AlternateContent":
                if let branch = node.first("Choice") ?? node.first("Fallback") { try blocks(in: branch) }
            case "del", "moveFrom", "sectPr", "pPr", "tblPr", "tcPr": break
            default: try blocks(in: node)
            }
        }
    }

    private mutating func paragraph(_ node: XMLNode) throws(Refusal) {
        let properties = node.first("pPr")
        let style = properties?.first("pStyle")?["val"]
        var boxes: [XMLNode] = []
        let text = Self.inlineText(node, boxes: &boxes)
        if !text.isBlank {
            let list = properties?.find("numPr", "numId")?["val"] ?? inherited(style) { $0.list }
            let level =
                properties?.find("numPr", "ilvl")?["val"].flatMap { Int($0) } ?? inherited(style) { $0.list == nil ? nil : $0.listLevel }
                ?? 0
            let isNumbered = list != nil && list != "0"
            if let heading = headingLevel(properties, style) {
                if firstTitle == nil { firstTitle = text }
                var prefix = ""
                if isNumbered, let list {
                    let marker = marker(list: list, level: level)
                    if marker != "- " { prefix = marker }
                }
                try builder.heading(prefix + text, level: heading)
            } else if isNumbered, let list {
                try builder.listItem(text, marker: marker(list: list, level: level))
            } else if inherited(style, { $0.name.contains("code") || $0.name.contains("preformatted") ? true : nil }) == true {
                try builder.code(text, language: nil)
            } else if inherited(style, { $0.name == "caption" ? true : nil }) == true {
                try builder.note(text)
            } else {
                try builder.lines(text)
            }
        }
        for box in boxes { try blocks(in: box) }
    }

    private mutating func table(_ node: XMLNode) throws(Refusal) {
        let rows = Self.rows(node)
        // A table of one column, or one with long prose in its cells, only arranges the page.
        let cells = rows.flatMap { $0.children.filter { $0.name == "tc" } }
        let columns = rows.map { row in row.children.reduce(0) { $0 + ($1.name == "tc" ? 1 : 0) } }.max() ?? 0
        let isLayout =
            columns <= 1
            || cells.contains { cell in
                cell.descendants.contains { $0.name == "tbl" } && cell.text.utf8.count > 400
                    || cell.children.reduce(0) { $0 + ($1.name == "p" ? 1 : 0) } > 8
            }
        if isLayout {
            for cell in cells { try blocks(in: cell) }
            return
        }
        builder.beginTable()
        let look = node.find("tblPr", "tblLook")
        let marksFirstRow = look?["firstRow"] == "1" || (look?["val"].flatMap { Int($0, radix: 16) } ?? 0) & 0x20 != 0
        var above: [Int: String] = [:]
        for (index, row) in rows.enumerated() {
            var texts: [String] = []
            var column = 0
            for cell in row.children where cell.name == "tc" || cell.name == "sdt" {
                let cell = cell.name == "sdt" ? cell.first("sdtContent")?.first("tc") ?? cell : cell
                let properties = cell.first("tcPr")
                var text = Self.flatText(cell, separator: " ").trimmed
                if let merge = properties?.first("vMerge") {
                    if merge["val"] == "restart" { above[column] = text } else if text.isEmpty { text = above[column] ?? "" }
                } else {
                    above[column] = nil
                }
                texts.append(text)
                column += max(1, min(1000, properties?.first("gridSpan")?["val"].flatMap { Int($0) } ?? 1))
            }
            let isMarked = row.find("trPr", "tblHeader") != nil
            try builder.tableRow(texts, isHeader: isMarked || (index == 0 && marksFirstRow && rows.count > 1))
        }
        builder.endTable()
    }

    private static func rows(_ table: XMLNode) -> [XMLNode] {
        var rows: [XMLNode] = []
        for node in table.children {
            if node.name == "tr" { rows.append(node) }
            if node.name == "sdt" || node.name == "ins" || node.name == "customXml" {
                rows += node.descendants.filter { $0.name == "tr" }
            }
        }
        return rows
    }

    // MARK: - Text of runs

    /// The paragraph's own text; text boxes anchored in it are handed out.
    static func inlineText(_ paragraph: XMLNode, boxes: inout [XMLNode]) -> String {
        var text = ""
        var found: [XMLNode] = []
        paragraph.visit { node in
            switch node.name {
            case "t": text += node.text
            case "tab", "ptab": if node.parent?.name != "tabs" { text += "\t" }
            case "br", "cr": text += "\n"
            case "noBreakHyphen": text += "-"
            case "sym":
                if let code = node["char"].flatMap({ UInt32($0, radix: 16) }),
                    let scalar = UnicodeScalar(code >= 0xF000 && code < 0xF100 ? code - 0xF000 : code)
                {
                    text.unicodeScalars.append(scalar)
                }
            case "txbxContent": found.append(node)
            case "AlternateContent":
                // Choice and Fallback say the same twice.
                if node.first("Choice") != nil, let fallback = node.first("Fallback") { _ = fallback }
                return true
            case "Fallback":
                if node.parent?.first("Choice") != nil { return false }
                return true
            case "textpath": if let string = node["string"] { text += string }
            case "docPr":
                // A picture's description, when somebody wrote one.
                if let description = node["descr"], description.utf8.count > 3 { text += " [\(description)] " }
            case "del", "moveFrom", "delText", "instrText", "pPr", "rPr", "posOffset", "pctWidth", "pctHeight": return false
            default: return true
            }
            return false
        }
        boxes += found
        return text
    }

    /// All text below a node, a paragraph a line; text boxes included.
    static func flatText(_ node: XMLNode, separator: String = "\n") -> String {
        var lines: [String] = []
        var pending = [node]
        var guardCount = 0
        while let next = pending.popLast(), guardCount < 100_000 {
            guardCount += 1
            if next.name == "p" {
                var boxes: [XMLNode] = []
                let text = inlineText(next, boxes: &boxes)
                if !text.isBlank { lines.append(text) }
                pending.append(contentsOf: boxes.reversed())
            } else if next.name != "pPr" && next.name != "tcPr" && next.name != "del" {
                pending.append(contentsOf: next.children.filter { $0.name != "Fallback" || next.first("Choice") == nil }.reversed())
            }
        }
        return lines.joined(separator: separator)
    }
}
