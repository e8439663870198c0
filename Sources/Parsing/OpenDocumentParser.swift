import Foundation

/// Reads ODT, ODS and ODP (OASIS OpenDocument 1.3). Sheets and slides are pages.
struct OpenDocumentParser {
    private var builder: DocumentBuilder
    private var firstHeading: String?
    private var depth = 0
    /// Cells left; repeat counts in a file can name billions.
    private var cellsLeft = 5_000_000

    static func parse(_ input: ParseInput, mimeType: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let archive = try Archive(input, .zip, context: context) {
            ["content.xml", "meta.xml", "styles.xml", "META-INF/manifest.xml"].contains($0)
        }
        if let manifest = XMLTree(xml: archive.member("META-INF/manifest.xml")),
            manifest.root.descendants.contains(where: { $0.name == "encryption-data" })
        {
            throw .encrypted("\(input.name) needs a password; save it without one and try again")
        }
        guard let content = XMLTree(xml: archive.member("content.xml")) else {
            throw .malformed("\(input.name) has no readable content.xml")
        }
        var parser = OpenDocumentParser(builder: context.builder)
        for warning in archive.warnings { parser.builder.warn(warning) }
        return try parser.parse(content, archive, mimeType)
    }

    private init(builder: DocumentBuilder) { self.builder = builder }

    private mutating func parse(_ content: XMLTree, _ archive: Archive, _ mimeType: String) throws(Refusal) -> ParsedDocument {
        let styles = XMLTree(xml: archive.member("styles.xml"))
        let (headers, footers) = Self.pageNotes(styles?.root)
        var pageCount: Int?
        if let body = content.root.first("body"), let main = body.children.first(where: { _ in true }) {
            switch main.name {
            case "spreadsheet":
                let tables = main.children.filter { $0.name == "table" }
                pageCount = tables.count
                for (index, table) in tables.enumerated() {
                    builder.page = index + 1
                    if let name = table["name"] { try builder.heading(name, level: 1) }
                    try sheet(table)
                }
            case "presentation", "drawing":
                let pages = main.children.filter { $0.name == "page" }
                pageCount = pages.count
                for (index, page) in pages.enumerated() {
                    builder.page = index + 1
                    try slide(page)
                }
            default:
                for text in headers { try builder.note(text) }
                try blocks(in: main)
            }
            if main.name != "text" { for text in headers { try builder.note(text) } }
            for text in footers where !headers.contains(text) { try builder.note(text) }
        }
        var properties: [String: String] = [:]
        var title: String?
        if let meta = XMLTree(xml: archive.member("meta.xml"))?.root.first("meta") {
            let names = [
                "creator": "author", "initial-creator": "author", "creation-date": "created", "date": "modified", "subject": "subject",
                "language": "language", "description": "description",
            ]
            for node in meta.children {
                let value = node.text.trimmed
                if node.name == "title" { title = value.isEmpty ? nil : value }
                if let name = names[node.name], !value.isEmpty, properties[name] == nil || node.name == "initial-creator" {
                    properties[name] = value
                }
            }
        }
        return builder.finish(title: title ?? firstHeading, mimeType: mimeType, pageCount: pageCount, properties: properties)
    }

    private static func pageNotes(_ styles: XMLNode?) -> (headers: [String], footers: [String]) {
        var headers: [String] = []
        var footers: [String] = []
        for page in styles?.first("master-styles")?.descendants ?? []
        where page.name == "header" || page.name == "footer" || page.name == "header-left" || page.name == "footer-left" {
            if page["display"] == "false" { continue }
            let text = page.descendants.filter { $0.name == "p" }.map {
                var notes: [XMLNode] = []
                return inlineText($0, notes: &notes)
            }
            .filter { !$0.isBlank }.joined(separator: "\n")
            guard text.contains(where: { $0.isLetter || $0.isNumber }) else { continue }
            if page.name.hasPrefix("header") {
                if !headers.contains(text) { headers.append(text) }
            } else if !footers.contains(text) {
                footers.append(text)
            }
        }
        return (headers, footers)
    }

    private mutating func blocks(in parent: XMLNode, listMarker: String? = nil) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { return try builder.paragraph(parent.text) }
        for node in parent.children {
            switch node.name {
            case "h": try paragraph(node, heading: node["outline-level"].flatMap { Int($0) } ?? 1, marker: nil)
            case "p": try paragraph(node, heading: nil, marker: listMarker)
            case "list", "list-item", "list-header": try blocks(in: node, listMarker: "- ")
            case "table": try table(node)
            case "tracked-changes", "sequence-decls", "forms", "variable-decls", "user-field-decls", "index-title-template",
                "table-of-content-source",
                "alphabetical-index-source", "illustration-index-source", "bibliography-source", "settings", "event-listeners":
                break
            default: try blocks(in: node, listMarker: listMarker)
            }
        }
    }

    private mutating func paragraph(_ node: XMLNode, heading: Int?, marker: String?) throws(Refusal) {
        var notes: [XMLNode] = []
        let text = Self.inlineText(node, notes: &notes)
        if !text.isBlank {
            let style = node["style-name"] ?? ""
            if let heading {
                if firstHeading == nil { firstHeading = text }
                try builder.heading(text, level: heading)
            } else if style == "Title" {
                if firstHeading == nil { firstHeading = text }
                try builder.heading(text, level: 1)
            } else if let marker {
                try builder.listItem(text, marker: marker)
            } else if style.hasPrefix("Preformatted") {
                try builder.code(text, language: nil)
            } else {
                try builder.lines(text)
            }
        }
        for note in notes {
            switch note.name {
            case "note":
                let body = note.first("note-body")?.text.trimmed ?? ""
                let label = note["note-class"] == "endnote" ? "Endnote" : "Footnote"
                if !body.isEmpty { try builder.note("\(label) \(note.first("note-citation")?.text ?? ""): \(body)") }
            case "annotation":
                let text = note.children.filter { $0.name == "p" || $0.name == "list" }.map(\.text).joined(separator: "\n")
                let author = note.first("creator").map { " by \($0.text)" } ?? ""
                if !text.isBlank { try builder.note("Comment\(author): \(text)") }
            default: try blocks(in: note)
            }
        }
    }

    /// A paragraph's own text; notes, comments and text boxes are handed out.
    private static func inlineText(_ paragraph: XMLNode, notes: inout [XMLNode]) -> String {
        var text = ""
        var found: [XMLNode] = []
        paragraph.visit { node in
            if node.isText {
                text += node.characters
                return false
            }
            switch node.name {
            case "s": text += String(repeating: " ", count: min(100, max(1, node["c"].flatMap { Int($0) } ?? 1)))
            case "tab": text += "\t"
            case "line-break": text += "\n"
            case "note", "annotation", "text-box": found.append(node)
            case "desc", "title", "ruby-text": break
            case "object", "tracked-changes": break
            default: return true
            }
            return false
        }
        notes += found
        return text
    }

    private mutating func table(_ node: XMLNode) throws(Refusal) {
        builder.beginTable()
        for (row, isHeader) in Self.rows(node) {
            var cells: [String] = []
            for cell in row.children where cell.name == "table-cell" || cell.name == "covered-table-cell" {
                let copies = min(64, max(1, cell["number-columns-repeated"].flatMap { Int($0) } ?? 1))
                let text = cellText(cell)
                cells += [String](repeating: text, count: copies)
            }
            try builder.tableRow(cells, isHeader: isHeader)
        }
        builder.endTable()
    }

    private func cellText(_ cell: XMLNode) -> String {
        cell.descendants.filter { $0.name == "p" || $0.name == "h" }.map {
            var notes: [XMLNode] = []
            return Self.inlineText($0, notes: &notes).trimmed
        }
        .filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func rows(_ table: XMLNode) -> [(XMLNode, isHeader: Bool)] {
        var rows: [(XMLNode, Bool)] = []
        for node in table.children {
            switch node.name {
            case "table-row": rows.append((node, false))
            case "table-header-rows": rows += node.children.filter { $0.name == "table-row" }.map { ($0, true) }
            case "table-rows", "table-row-group": rows += self.rows(node)
            default: break
            }
        }
        return rows
    }

    private mutating func sheet(_ table: XMLNode) throws(Refusal) {
        var writer = SheetWriter()
        var index = 0
        for (row, _) in Self.rows(table) {
            var cells: [(column: Int, text: String)] = []
            var column = 0
            for cell in row.children where cell.name == "table-cell" || cell.name == "covered-table-cell" {
                let copies = min(1_000_000, max(1, cell["number-columns-repeated"].flatMap { Int($0) } ?? 1))
                let text = sheetCell(cell)
                if !text.isBlank { for offset in 0..<min(copies, 256) { cells.append((column + offset, text)) } }
                column += copies
            }
            let copies = min(2_000_000, max(1, row["number-rows-repeated"].flatMap { Int($0) } ?? 1))
            if !cells.isEmpty {
                for offset in 0..<min(copies, 1000) {
                    cellsLeft -= cells.count
                    guard cellsLeft > 0 else { throw .tooLarge("a sheet of more than 5000000 cells; export it as CSV and split it") }
                    writer.add(row: index + offset, cells: cells)
                }
            }
            index += copies
        }
        try writer.write(to: &builder)
        for note in table.descendants where note.name == "annotation" {
            let text = note.children.filter { $0.name == "p" }.map(\.text).joined(separator: "\n")
            if !text.isBlank { try builder.note("Comment: \(text)") }
        }
    }

    /// Dates and percentages by value, the rest as shown.
    private func sheetCell(_ cell: XMLNode) -> String {
        if cell["value-type"] == "date", let date = cell["date-value"] {
            return date.replacing("T00:00:00", with: "").replacing("T", with: " ")
        }
        var lines: [String] = []
        for node in cell.children where node.name == "p" {
            var notes: [XMLNode] = []
            lines.append(Self.inlineText(node, notes: &notes))
        }
        let shown = lines.joined(separator: " ").trimmed
        return shown.isEmpty ? cell["value"] ?? cell["string-value"] ?? "" : shown
    }

    private mutating func slide(_ page: XMLNode) throws(Refusal) {
        let frames = page.children.filter { $0.name != "notes" }
        func isTitle(_ node: XMLNode) -> Bool { node["class"] == "title" }
        for frame in frames where isTitle(frame) {
            let text = frame.descendants.filter { $0.name == "p" }.map(\.text).joined(separator: " ").trimmed
            if firstHeading == nil, !text.isEmpty { firstHeading = text }
            try builder.heading(text, level: 1)
        }
        for frame in frames where !isTitle(frame) {
            if ["footer", "page-number", "date-time", "header"].contains(frame["class"] ?? "") { continue }
            if frame.name == "p" || frame.name == "list" || frame.name == "table" { continue }
            try blocks(in: frame)
        }
        if let notes = page.first("notes") {
            let text = notes.descendants.filter { $0.name == "p" }.map(\.text).filter { !$0.isBlank && $0 != "<number>" }.joined(
                separator: "\n")
            if !text.isBlank { try builder.note("Notes: \(text)") }
        }
    }
}
