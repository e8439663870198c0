import Foundation

/// Reads ODT, ODS and ODP (OASIS OpenDocument 1.3). Sheets and slides are pages.
struct OpenDocumentParser {
    private var builder: DocumentBuilder
    private var firstHeading: String?
    private var depth = 0
    /// Cells left; repeat counts in a file can name billions.
    private var cellsLeft = 5_000_000
    private var styles = OpenDocumentStyles()
    private let keepsHidden: Bool
    /// The numbers of lists, by the list they belong to; and of headings.
    private var counters: [String: [Int: Int]] = [:]
    private var lastListOfStyle: [String: String] = [:]
    private var listCount = 0
    private var outlineCounters: [Int: Int] = [:]
    /// The lists around the place that is read, outermost first.
    private var openLists: [List] = []
    /// Check boxes of forms, by their ids.
    private var controls: [String: String] = [:]
    private var openFormulaCount = 0

    private struct List {
        var style: String?
        var key: String
        /// What the item's first paragraph begins with; its other paragraphs have none.
        var marker: String?
    }
    /// A paragraph's text while it is gathered.
    private struct Line {
        var script = ScriptText()
        /// Notes, comments and boxes anchored in it.
        var notes: [XMLNode] = []
    }

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
        var parser = OpenDocumentParser(builder: context.builder, keepsHidden: context.limits.keepsHidden)
        for warning in archive.warnings { parser.builder.warn(warning) }
        return try parser.parse(content, archive, mimeType)
    }

    private init(builder: DocumentBuilder, keepsHidden: Bool) {
        self.builder = builder
        self.keepsHidden = keepsHidden
    }

    private mutating func parse(_ content: XMLTree, _ archive: Archive, _ mimeType: String) throws(Refusal) -> ParsedDocument {
        let styleTree = XMLTree(xml: archive.member("styles.xml"))
        styles = OpenDocumentStyles([styleTree?.root, content.root].compactMap { $0 })
        let (headers, footers) = pageNotes(styleTree?.root)
        readControls(content.root)
        var pageCount: Int?
        if let body = content.root.first("body"), let main = body.children.first(where: { _ in true }) {
            switch main.name {
            case "spreadsheet":
                let tables = main.children.filter { $0.name == "table" }
                pageCount = tables.count
                for (index, table) in tables.enumerated() {
                    builder.page = index + 1
                    let isHidden = styles.isHidden("table", table["style-name"])
                    if isHidden, !keepsHidden { continue }
                    if let name = table["name"] { try builder.heading(name + (isHidden ? " [hidden sheet]" : ""), level: 1) }
                    try sheet(table)
                }
                if openFormulaCount > 0 {
                    builder.warn(
                        "\(openFormulaCount) \(openFormulaCount == 1 ? "formula was" : "formulas were") never calculated and shown as written; open and save the file in a spreadsheet program"
                    )
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

    private mutating func pageNotes(_ root: XMLNode?) -> (headers: [String], footers: [String]) {
        var headers: [String] = []
        var footers: [String] = []
        for page in root?.first("master-styles")?.descendants ?? []
        where page.name == "header" || page.name == "footer" || page.name == "header-left" || page.name == "footer-left" {
            if page["display"] == "false" { continue }
            let text = page.descendants.filter { $0.name == "p" }.map { flatLine($0) }.filter { !$0.isBlank }.joined(separator: "\n")
            guard text.contains(where: { $0.isLetter || $0.isNumber }) else { continue }
            if page.name.hasPrefix("header") {
                if !headers.contains(text) { headers.append(text) }
            } else if !footers.contains(text) {
                footers.append(text)
            }
        }
        return (headers, footers)
    }

    private mutating func readControls(_ root: XMLNode) {
        for node in root.descendants where node.name == "checkbox" || node.name == "radio" {
            guard let id = node["xml:id"] ?? node["form:id"] ?? node["id"] else { continue }
            let state =
                node["current-state"] ?? node["state"] ?? (node["current-selected"] ?? node["selected"] == "true" ? "checked" : "unchecked")
            controls[id] = (state == "checked" || state == "true" ? "[x]" : "[ ]") + (node["label"].map { " " + $0 } ?? "")
        }
    }

    // MARK: - Text

    private mutating func blocks(in parent: XMLNode) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        guard depth < 100 else { return try builder.paragraph(parent.text) }
        for node in parent.children {
            switch node.name {
            case "h": try paragraph(node, heading: node["outline-level"].flatMap { Int($0) } ?? 1)
            case "p": try paragraph(node, heading: nil)
            case "list": try list(node)
            case "table": try table(node)
            case "section":
                let isHidden = node["display"] == "none" || (node["display"] == "condition" && node["is-hidden"] == "true")
                if !isHidden { try blocks(in: node) }
            case "tracked-changes", "sequence-decls", "forms", "variable-decls", "user-field-decls", "index-title-template",
                "table-of-content-source",
                "alphabetical-index-source", "illustration-index-source", "bibliography-source", "settings", "event-listeners":
                break
            default: try blocks(in: node)
            }
        }
    }

    private mutating func list(_ node: XMLNode) throws(Refusal) {
        listCount += 1
        let style = node["style-name"] ?? openLists.last?.style
        var key = node["xml:id"] ?? node["id"] ?? "#\(listCount)"
        let level = openLists.count
        if level > 0 {
            key = openLists[0].key
        } else if let before = node["continue-list"], counters[before] != nil {
            // Lists that go on share their numbers, whoever of them comes next.
            counters[key] = counters[before]
        } else if node["continue-numbering"] == "true", let before = style.flatMap({ lastListOfStyle[$0] }) {
            counters[key] = counters[before]
        }
        if level == 0, let style { lastListOfStyle[style] = key }
        openLists.append(List(style: style, key: key))
        defer { openLists.removeLast() }
        for item in node.children {
            switch item.name {
            case "list-item":
                openLists[level].marker = marker(item, style, key, level)
                try blocks(in: item)
            case "list-header":
                openLists[level].marker = ""
                try blocks(in: item)
            default: break
            }
        }
    }

    /// Counts an item and gives what it begins with.
    private mutating func marker(_ item: XMLNode, _ style: String?, _ key: String, _ index: Int) -> String {
        // An item that only holds a list is not seen; its number is not used.
        guard item.children.contains(where: { $0.name == "p" || $0.name == "h" }) else { return "" }
        let level = styles.level(style, index) ?? OpenDocumentStyles.Level()
        var state = counters[key] ?? [:]
        if let start = item["start-value"].flatMap({ Int($0) }) {
            state[index] = min(1_000_000_000, max(0, start))
        } else {
            state[index] = min(1_000_000_000, (state[index] ?? level.start - 1) + 1)
        }
        for deeper in state.keys where deeper > index { state[deeper] = nil }
        counters[key] = state
        if level.isBox { return "- [ ] " }
        let values = (0...index).map { state[$0] ?? styles.level(style, $0)?.start ?? 1 }
        let formats = (0...index).map { styles.level(style, $0)?.format ?? "" }
        return OpenDocumentStyles.marker(level, values: values, formats: formats) ?? "- "
    }

    private mutating func headingNumber(_ node: XMLNode, _ heading: Int) -> String {
        guard node["is-list-header"] != "true", let level = styles.outline[heading - 1] else { return "" }
        if let start = node["start-value"].flatMap({ Int($0) }) {
            outlineCounters[heading - 1] = start
        } else {
            outlineCounters[heading - 1] = (outlineCounters[heading - 1] ?? level.start - 1) + 1
        }
        for deeper in outlineCounters.keys where deeper >= heading { outlineCounters[deeper] = nil }
        let values = (0..<heading).map { outlineCounters[$0] ?? styles.outline[$0]?.start ?? 1 }
        let formats = (0..<heading).map { styles.outline[$0]?.format ?? "" }
        return OpenDocumentStyles.marker(level, values: values, formats: formats) ?? ""
    }

    private mutating func paragraph(_ node: XMLNode, heading: Int?) throws(Refusal) {
        var line = Line()
        inline(paragraph: node, into: &line)
        let text = line.script.text()
        let marker = openLists.last?.marker
        if let last = openLists.indices.last { openLists[last].marker = nil }
        if !text.isBlank {
            let style = node["style-name"] ?? ""
            if let heading {
                if firstHeading == nil { firstHeading = text }
                let own = headingNumber(node, max(1, min(10, heading)))
                let listed = marker.flatMap { $0.hasPrefix("- ") ? nil : $0 } ?? ""
                try builder.heading((own.isEmpty ? listed : own) + text, level: heading)
            } else if style == "Title" {
                if firstHeading == nil { firstHeading = text }
                try builder.heading(text, level: 1)
            } else if let marker, !marker.isEmpty {
                try builder.listItem(text, marker: marker)
            } else if style.hasPrefix("Preformatted") {
                try builder.code(text, language: nil)
            } else {
                try builder.lines(text)
            }
        }
        try write(line.notes)
    }

    /// Notes and comments after their paragraph, then what stands in boxes.
    private mutating func write(_ notes: [XMLNode]) throws(Refusal) {
        for note in notes where note.name == "note" {
            let body = note.first("note-body")?.descendants.filter { $0.name == "p" || $0.name == "h" }.map { flatLine($0).trimmed } ?? []
            let text = body.filter { !$0.isEmpty }.joined(separator: "\n")
            let label = note.first("note-citation")?.text.trimmed ?? ""
            let kind = note["note-class"] == "endnote" ? "Endnote" : "Footnote"
            if !text.isEmpty { try builder.note(kind + (label.isEmpty ? "" : " [\(label)]") + ": " + text) }
        }
        for note in notes where note.name == "annotation" {
            let text = note.children.filter { $0.name == "p" || $0.name == "list" }.map(\.text).joined(separator: "\n")
            let author = note.first("creator").map { " by \($0.text)" } ?? ""
            if !text.isBlank { try builder.note("Comment\(author): \(text)") }
        }
        let lists = openLists
        openLists = []
        defer { openLists = lists }
        for note in notes where note.name != "note" && note.name != "annotation" { try blocks(in: note) }
    }

    /// The text of one paragraph alone, without its notes.
    private mutating func flatLine(_ node: XMLNode) -> String {
        var line = Line()
        inline(paragraph: node, into: &line)
        return line.script.text()
    }

    private mutating func inline(paragraph: XMLNode, into line: inout Line) {
        inline(paragraph, styles.format("paragraph", paragraph["style-name"]), into: &line, depth: 0)
    }

    /// A paragraph's own text; notes, comments and text boxes are handed out.
    private mutating func inline(_ parent: XMLNode, _ format: OpenDocumentStyles.Format, into line: inout Line, depth: Int) {
        guard depth < 200 else { return }
        func write(_ text: String, _ line: inout Line) {
            if format.isStruck == true || format.isHidden == true { return }
            line.script.append(text, format.position ?? .baseline)
        }
        for node in parent.nodes {
            if node.isText {
                write(SymbolFont.readable(node.characters, font: styles.symbolFont(format)), &line)
                continue
            }
            guard node.isElement else { continue }
            switch node.name {
            case "s": write(String(repeating: " ", count: min(100, max(1, node["c"].flatMap { Int($0) } ?? 1))), &line)
            case "tab": write("\t", &line)
            case "line-break": write("\n", &line)
            case "span":
                inline(node, styles.format("text", node["style-name"]).over(format), into: &line, depth: depth + 1)
            case "a":
                var inner = Line()
                inline(node, format, into: &inner, depth: depth + 1)
                let shown = inner.script.text()
                // Gathered anew, as what stands before decides how raised text reads.
                inline(node, format, into: &line, depth: depth + 1)
                if format.isStruck != true, format.isHidden != true { line.script.append(LinkTarget.suffix(node["href"], after: shown)) }
            case "note":
                if format.isStruck == true || format.isHidden == true { continue }
                let label = node.first("note-citation")?.text.trimmed ?? ""
                if !label.isEmpty { line.script.append("[\(label)]") }
                line.notes.append(node)
            case "annotation", "text-box", "custom-shape", "rect", "ellipse", "polygon", "path", "connector": line.notes.append(node)
            case "hidden-text": if node["is-hidden"] == "false" { inline(node, format, into: &line, depth: depth + 1) }
            case "hidden-paragraph":
                if node["is-hidden"] == "true" {
                    line = Line()
                    return
                }
            case "control": write(node["control"].flatMap { controls[$0] } ?? "", &line)
            case "fieldmark", "fieldmark-start":
                guard (node["type"] ?? "").hasSuffix("FORMCHECKBOX") else {
                    inline(node, format, into: &line, depth: depth + 1)
                    continue
                }
                let state = node.children.first { $0["name"] == "Checkbox_Checked" }?["value"] ?? "false"
                write(["true", "1"].contains(state.lowercased()) ? "[x]" : "[ ]", &line)
            case "content-control":
                if node["checkbox"] == "true" {
                    write(node["checked"] == "true" ? "[x]" : "[ ]", &line)
                } else {
                    inline(node, format, into: &line, depth: depth + 1)
                }
            case "desc", "title", "ruby-text", "object", "tracked-changes", "number", "param", "label", "annotation-end": break
            default: inline(node, format, into: &line, depth: depth + 1)
            }
        }
    }

    private mutating func table(_ node: XMLNode) throws(Refusal) {
        var grid = TableGrid()
        var notes: [XMLNode] = []
        for (row, isHeader) in Self.rows(node) {
            var cells: [TableGrid.Cell] = []
            for cell in row.children where cell.name == "table-cell" {
                let copies = min(64, max(1, cell["number-columns-repeated"].flatMap { Int($0) } ?? 1))
                let text = cellText(cell, notes: &notes)
                let columns = cell["number-columns-spanned"].flatMap { Int($0) } ?? 1
                let rows = cell["number-rows-spanned"].flatMap { Int($0) } ?? 1
                cells += [TableGrid.Cell](repeating: .init(text: text, columns: columns, rows: rows), count: copies)
            }
            let copies = min(64, max(1, row["number-rows-repeated"].flatMap { Int($0) } ?? 1))
            for _ in 0..<copies { grid.add(cells, isHeader: isHeader) }
        }
        try grid.write(to: &builder, startsWithHeader: grid.looksHeaded)
        try write(notes)
    }

    private mutating func cellText(_ cell: XMLNode, notes: inout [XMLNode]) -> String {
        var texts: [String] = []
        // Paragraphs of notes and boxes are handed out with them.
        var pending = Array(cell.children).reversed() as [XMLNode]
        while let next = pending.popLast() {
            if next.name == "p" || next.name == "h" {
                var line = Line()
                inline(paragraph: next, into: &line)
                texts.append(line.script.text().trimmed)
                notes += line.notes
            } else if next.name != "annotation" {
                pending.append(contentsOf: next.children.reversed())
            }
        }
        return texts.filter { !$0.isEmpty }.joined(separator: " ")
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
        writer.keepsHidden = keepsHidden
        var index = 0
        var column = 0
        for node in table.descendants where node.name == "table-column" {
            let copies = min(1_000_000, max(1, node["number-columns-repeated"].flatMap { Int($0) } ?? 1))
            if let visibility = node["visibility"], visibility != "visible" { writer.hide(columns: column...(column + copies - 1)) }
            column += copies
            if column > 2_000_000 { break }
        }
        for (row, _) in Self.rows(table) {
            var cells: [(column: Int, text: String)] = []
            var column = 0
            for cell in row.children where cell.name == "table-cell" || cell.name == "covered-table-cell" {
                let copies = min(1_000_000, max(1, cell["number-columns-repeated"].flatMap { Int($0) } ?? 1))
                let text = cell.name == "table-cell" ? sheetCell(cell) : ""
                if !text.isBlank { for offset in 0..<min(copies, 256) { cells.append((column + offset, text)) } }
                let columns = min(20_000, max(1, cell["number-columns-spanned"].flatMap { Int($0) } ?? 1))
                let rows = min(2_000_000, max(1, cell["number-rows-spanned"].flatMap { Int($0) } ?? 1))
                if columns > 1 || rows > 1 { writer.merge(rows: index...(index + rows - 1), columns: column...(column + columns - 1)) }
                column += copies
                if column > 2_000_000 { break }
            }
            let copies = min(2_000_000, max(1, row["number-rows-repeated"].flatMap { Int($0) } ?? 1))
            if !cells.isEmpty {
                let isHidden = row["visibility"].map { $0 != "visible" } ?? false
                for offset in 0..<min(copies, 1000) {
                    cellsLeft -= cells.count
                    guard cellsLeft > 0 else { throw .tooLarge("a sheet of more than 5000000 cells; export it as CSV and split it") }
                    writer.add(row: index + offset, cells: cells, isHidden: isHidden)
                }
            }
            index = min(1 << 40, index + copies)
        }
        try writer.write(to: &builder)
        for note in table.descendants where note.name == "annotation" {
            let text = note.children.filter { $0.name == "p" }.map(\.text).joined(separator: "\n")
            if !text.isBlank { try builder.note("Comment: \(text)") }
        }
    }

    /// Dates by value, the rest as shown; what a program wrote without showing it, by value and unit.
    private mutating func sheetCell(_ cell: XMLNode) -> String {
        if cell["value-type"] == "date", let date = cell["date-value"] {
            return date.replacing("T00:00:00", with: "").replacing("T", with: " ")
        }
        let lines = cell.children.filter { $0.name == "p" }.map { flatLine($0) }
        let shown = lines.joined(separator: " ").trimmed
        if !shown.isEmpty { return shown }
        if let value = cell["value"] {
            let number = Double(value)
            switch cell["value-type"] {
            case "percentage": return number.map { CellFormat.general($0 * 100) + "%" } ?? value
            case "currency": return value + (cell["currency"].map { " " + $0 } ?? "")
            default: return value
            }
        }
        if let value = cell["string-value"] ?? cell["boolean-value"]?.uppercased() { return value }
        if let formula = cell["formula"], cell["value-type"] == nil, !formula.isBlank {
            openFormulaCount += 1
            // "of:=[.B2]*[.C2]"
            let plain = formula.firstIndex(of: "=").map { String(formula[$0...]) } ?? "=" + formula
            return plain.replacing("[.", with: "").replacing(":.", with: ":").replacing("]", with: "")
        }
        return ""
    }

    // MARK: - Slides

    private mutating func slide(_ page: XMLNode) throws(Refusal) {
        let isHidden = styles.isHidden("drawing-page", page["style-name"])
        if isHidden, !keepsHidden { return }
        let frames = page.children.filter { $0.name != "notes" }
        func isTitle(_ node: XMLNode) -> Bool { node["class"] == "title" }
        if isHidden, !frames.contains(where: isTitle) { try builder.note("[hidden slide]") }
        for frame in frames where isTitle(frame) {
            let text = frame.descendants.filter { $0.name == "p" }.map { flatLine($0) }.joined(separator: " ").trimmed
            if firstHeading == nil, !text.isEmpty { firstHeading = text }
            if !text.isEmpty { try builder.heading(text + (isHidden ? " [hidden slide]" : ""), level: 1) }
        }
        let rest = frames.filter {
            !isTitle($0) && !["footer", "page-number", "date-time", "header"].contains($0["class"] ?? "")
                && !["p", "list", "table", "forms"].contains($0.name)
        }
        let boxes = rest.map { Self.box($0, depth: 0) }
        let placed = rest.indices.filter { boxes[$0] != nil }
        let order = rest.indices.filter { boxes[$0] == nil } + SlideOrder.indices(placed.map { boxes[$0]! }).map { placed[$0] }
        for index in order { try shape(rest[index], depth: 0) }
        if let notes = page.first("notes") {
            let text = notes.descendants.filter { $0.name == "p" }.map { flatLine($0) }.filter { !$0.isBlank && $0 != "<number>" }.joined(
                separator: "\n")
            if !text.isBlank { try builder.note("Notes: \(text)") }
        }
    }

    /// A shape's text; a group's shapes in their own order.
    private mutating func shape(_ node: XMLNode, depth: Int) throws(Refusal) {
        guard node.name == "g", depth < 50 else { return try blocks(in: node) }
        let parts = Array(node.children)
        let boxes = parts.map { Self.box($0, depth: 0) }
        let placed = parts.indices.filter { boxes[$0] != nil }
        let order = parts.indices.filter { boxes[$0] == nil } + SlideOrder.indices(placed.map { boxes[$0]! }).map { placed[$0] }
        for index in order { try shape(parts[index], depth: depth + 1) }
    }

    private static func box(_ node: XMLNode, depth: Int) -> SlideOrder.Box? {
        if node.name == "g" {
            let parts = depth < 50 ? node.children.compactMap { box($0, depth: depth + 1) } : []
            guard let left = parts.map(\.left).min(), let top = parts.map(\.top).min(), let right = parts.map(\.right).max(),
                let bottom = parts.map(\.bottom).max()
            else { return nil }
            return SlideOrder.Box(left: left, top: top, right: right, bottom: bottom)
        }
        guard let left = length(node["x"]), let top = length(node["y"]) else { return nil }
        return SlideOrder.Box(
            left: left, top: top, right: left + max(0, length(node["width"]) ?? 0), bottom: top + max(0, length(node["height"]) ?? 0))
    }

    /// A length in points: `"2.5cm"`.
    private static func length(_ text: String?) -> Double? {
        guard let text, let number = Double(text.prefix { "0123456789.-+".contains($0) }), number.isFinite else { return nil }
        let units = ["cm": 28.35, "mm": 2.835, "in": 72, "pt": 1, "pc": 12, "px": 0.75]
        return number * (units[String(text.suffix(2))] ?? 1)
    }
}
