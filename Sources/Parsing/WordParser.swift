import Foundation

/// Reads DOCX (ECMA-376 WordprocessingML).
///
/// Headings come from a style's outline level or name, lists from numbering, table headers from the table's look. What is
/// deleted, struck out or hidden, and field codes, are left out; text boxes, notes, comments, headers and footers are kept, each once.
/// Notes and comments stand after the paragraph that refers to them.
struct WordParser {
    private let package: OfficePackage
    private let context: ParseContext
    private var builder: DocumentBuilder
    private var styles: [String: Style] = [:]
    private var defaultStyle: String?
    private var defaultFormat = RunFormat()
    private var numbering = WordNumbering()
    private var notes: [String: Note] = [:]
    private var noteFormats = ["footnote": "decimal", "endnote": "lowerRoman"]
    private var noteCounts: [String: Int] = [:]
    private var comments: [(id: String?, text: String)] = []
    private var usedComments: Set<String> = []
    /// The relationships of the part that is being read, for its links.
    private var links: [String: OfficePackage.Relationship] = [:]
    /// Open fields; they may run over several paragraphs.
    private var fields: [Field] = []
    /// What belongs to the next paragraph because the mark between them was deleted.
    private var carried: Line?
    private var firstTitle: String?
    private var depth = 0

    private struct Style {
        var name: String
        var outlineLevel: Int?
        var basedOn: String?
        var list: String?
        var listLevel: Int?
        var format: RunFormat
    }
    /// What of a run's look changes what it says; nil where the style below decides.
    private struct RunFormat {
        var isStruck: Bool?
        var isHidden: Bool?
        var position: ScriptText.Position?
        var font: String?

        func over(_ base: RunFormat) -> RunFormat {
            RunFormat(
                isStruck: isStruck ?? base.isStruck, isHidden: isHidden ?? base.isHidden, position: position ?? base.position,
                font: font ?? base.font)
        }
        var symbolFont: SymbolFont? { font.flatMap { SymbolFont(name: $0) } }
    }
    private struct Note {
        var kind: String
        var node: XMLNode
        /// Keeps the node alive.
        var tree: XMLTree
        var part: String
        var isUsed = false
    }
    private struct Field {
        var code = ""
        var isResult = false
        var result = ""
        /// What a drop-down field shows when it has no result of its own.
        var fallback = ""
    }
    /// A paragraph's text while it is gathered.
    private struct Line {
        var script = ScriptText()
        var boxes: [XMLNode] = []
        var notes: [String] = []
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
        if let numbers = package.tree(package.part("numbering", of: main) ?? folder + "/numbering.xml") {
            numbering = WordNumbering(numbers.root, listOfStyle: { inherited($0) { $0.list } })
        }
        for warning in package.archive.warnings { builder.warn(warning) }

        let headers = try noteTexts(package.parts("header", of: main))
        for text in headers { try builder.note(text) }
        readNotes(of: main, settings: package.part("settings", of: main) ?? folder + "/settings.xml", document: tree.root)
        links = package.relationships(of: main)
        try blocks(in: tree.root.first("body") ?? tree.root)
        try flushCarried()
        // Notes that nothing refers to, deleted text included.
        let referred = Set(
            tree.root.descendants.filter { $0.name == "footnoteReference" || $0.name == "endnoteReference" }.map {
                $0.name.prefix(4) + ($0["id"] ?? "")
            })
        for (key, note) in notes.sorted(by: { $0.key.compare($1.key, options: .numeric) == .orderedAscending })
        where !note.isUsed && !referred.contains(note.kind.prefix(4) + (note.node["id"] ?? "")) {
            if let text = noteText(key, label: note.node["id"] ?? "") { try builder.note(text) }
        }
        for comment in comments where comment.id.map({ !usedComments.contains($0) }) ?? true { try builder.note(comment.text) }
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
    private mutating func noteTexts(_ parts: [String]) throws(Refusal) -> [String] {
        var texts: [String] = []
        for part in parts {
            guard let tree = package.tree(part) else { continue }
            links = package.relationships(of: part)
            var notes: [String] = []
            let text = flatText(tree.root, notes: &notes).trimmed
            if !text.isBlank, !texts.contains(text) { texts.append(text) }
        }
        return texts
    }

    // MARK: - Styles and notes

    private mutating func readStyles(_ part: String) {
        guard let tree = package.tree(part) else { return }
        if let properties = tree.root.find("docDefaults", "rPrDefault", "rPr") { defaultFormat = Self.runFormat(properties) }
        for node in tree.root.children where node.name == "style" {
            guard let id = node["styleId"] else { continue }
            let properties = node.first("pPr")
            if node["type"] == "paragraph", Self.isOn(node["default"] ?? "0") { defaultStyle = id }
            styles[id] = Style(
                name: node.first("name")?["val"]?.lowercased() ?? "",
                outlineLevel: properties?.first("outlineLvl")?["val"].flatMap { Int($0) },
                basedOn: node.first("basedOn")?["val"],
                list: properties?.find("numPr", "numId")?["val"],
                listLevel: properties?.find("numPr", "ilvl")?["val"].flatMap { Int($0) },
                format: node.first("rPr").map { Self.runFormat($0) } ?? RunFormat())
        }
        // Resolved once, as each run asks.
        var resolved: [String: RunFormat] = [:]
        for id in styles.keys {
            var format = RunFormat()
            var next: String? = id
            for _ in 0..<20 {
                guard let style = next.flatMap({ styles[$0] }) else { break }
                format = format.over(style.format)
                next = style.basedOn
            }
            resolved[id] = format
        }
        for (id, format) in resolved { styles[id]?.format = format }
    }

    /// An on-off value as writers spell it.
    private static func isOn(_ value: String?) -> Bool { !["0", "false", "off", "none"].contains(value?.lowercased() ?? "1") }

    private static func runFormat(_ properties: XMLNode) -> RunFormat {
        var format = RunFormat()
        for node in properties.children {
            switch node.name {
            case "strike", "dstrike": format.isStruck = isOn(node["val"]) || format.isStruck == true
            case "vanish": format.isHidden = isOn(node["val"])
            case "vertAlign":
                switch node["val"] ?? "" {
                case "superscript": format.position = .raised
                case "subscript": format.position = .lowered
                default: format.position = .baseline
                }
            case "position":
                // Half points; less is only a nudge.
                if let shift = node["val"].flatMap({ Int($0) }), abs(shift) >= 4, format.position == nil {
                    format.position = shift > 0 ? .raised : .lowered
                }
            case "rFonts":
                // A theme's font comes before a named one.
                if node["asciiTheme"] == nil { format.font = node["ascii"] ?? node["hAnsi"] } else { format.font = "" }
            default: break
            }
        }
        return format
    }

    private mutating func readNotes(of main: String, settings: String, document: XMLNode) {
        for kind in ["footnote", "endnote"] {
            let places = [package.tree(settings)?.root.find(kind + "Pr"), document.first("body")?.find("sectPr", kind + "Pr")]
            for place in places.compactMap({ $0 }) {
                if let format = place.first("numFmt")?["val"] { noteFormats[kind] = format }
                if let start = place.first("numStart")?["val"].flatMap({ Int($0) }) { noteCounts[kind] = start - 1 }
            }
            guard let part = package.part(kind + "s", of: main), let tree = package.tree(part) else { continue }
            for node in tree.root.children where node.name == kind {
                if let type = node["type"], type != "normal" { continue }
                notes[kind + (node["id"] ?? "")] = Note(kind: kind, node: node, tree: tree, part: part)
            }
        }
        for part in package.parts("comments", of: main) {
            guard let tree = package.tree(part) else { continue }
            links = package.relationships(of: part)
            for comment in tree.root.children where comment.name == "comment" {
                var inner: [String] = []
                let text = flatText(comment, notes: &inner).trimmed
                let author = comment["author"].map { $0.isBlank ? "" : " by \($0)" } ?? ""
                if !text.isEmpty { comments.append((comment["id"], "Comment\(author): \(text)")) }
            }
        }
    }

    /// A note as it stands after its paragraph, or nil when it is empty.
    private mutating func noteText(_ key: String, label: String) -> String? {
        guard let note = notes[key], depth < 90 else { return nil }
        notes[key]?.isUsed = true
        let outer = (links, fields)
        links = package.relationships(of: note.part)
        fields = []
        defer { (links, fields) = outer }
        var inner: [String] = []
        depth += 10
        let text = flatText(note.node, notes: &inner).trimmed
        depth -= 10
        guard !text.isEmpty else { return nil }
        return ([note.kind.capitalized + (label.isEmpty ? "" : " [\(label)]") + ": " + text] + inner).joined(separator: "\n")
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

    // MARK: - Body

    private mutating func blocks(in parent: XMLNode) throws(Refusal) {
        depth += 1
        defer { depth -= 1 }
        var notes: [String] = []
        guard depth < 100 else { return try builder.paragraph(flatText(parent, notes: &notes)) }
        for node in parent.children {
            switch node.name {
            case "p": try paragraph(node)
            case "tbl":
                try flushCarried()
                try table(node)
            case "sdt":
                if let mark = Self.checkBox(node) {
                    try builder.paragraph(mark)
                } else if let content = node.first("sdtContent") {
                    try blocks(in: content)
                }
            case "AlternateContent":
                if let branch = node.first("Choice") ?? node.first("Fallback") { try blocks(in: branch) }
            case "del", "moveFrom", "sectPr", "pPr", "tblPr", "tcPr": break
            default: try blocks(in: node)
            }
        }
    }

    private mutating func flushCarried() throws(Refusal) {
        guard var line = carried else { return }
        carried = nil
        try builder.lines(line.script.text())
        for note in line.notes { try builder.note(note) }
        for box in line.boxes { try blocks(in: box) }
    }

    private mutating func paragraph(_ node: XMLNode) throws(Refusal) {
        let properties = node.first("pPr")
        let style = properties?.first("pStyle")?["val"]
        var line = carried ?? Line()
        carried = nil
        inline(paragraph: node, into: &line)
        let mark = properties?.first("rPr")
        if mark?.first("del") != nil || mark?.first("moveFrom") != nil {
            carried = line
            return
        }
        let text = line.script.text()
        let list = properties?.find("numPr", "numId")?["val"] ?? inherited(style) { $0.list }
        let isNumbered = list != nil && list != "0"
        let level =
            properties?.find("numPr", "ilvl")?["val"].flatMap { Int($0) } ?? inherited(style) { $0.listLevel }
            ?? list.flatMap { numbering.level(in: $0, ofStyle: style) } ?? 0
        if text.isBlank {
            // An empty item is counted by Word, though nobody reads it.
            let isHidden = mark.map { Self.runFormat($0).isHidden == true } ?? false
            if isNumbered, let list, line.boxes.isEmpty, !isHidden { _ = numbering.marker(list: list, level: level) }
        } else {
            if let heading = headingLevel(properties, style) {
                if firstTitle == nil { firstTitle = text }
                var prefix = ""
                if isNumbered, let list {
                    let marker = numbering.marker(list: list, level: level)
                    if !marker.hasPrefix("- ") { prefix = marker }
                }
                try builder.heading(prefix + text, level: heading)
            } else if isNumbered, let list {
                try builder.listItem(text, marker: numbering.marker(list: list, level: level))
            } else if inherited(style, { $0.name.contains("code") || $0.name.contains("preformatted") ? true : nil }) == true {
                try builder.code(text, language: nil)
            } else if inherited(style, { $0.name == "caption" ? true : nil }) == true {
                try builder.note(text)
            } else {
                try builder.lines(text)
            }
        }
        for note in line.notes { try builder.note(note) }
        for box in line.boxes { try blocks(in: box) }
    }

    private mutating func table(_ node: XMLNode) throws(Refusal) {
        let rows = Self.rows(node).filter { row in
            let properties = row.first("trPr")
            return properties?.first("del") == nil && !(properties?.first("hidden").map { Self.isOn($0["val"]) } ?? false)
        }
        // A table of one column, or one with long prose in its cells, only arranges the page.
        let cells = rows.flatMap { Self.cells($0) }
        let columns = rows.map { Self.cells($0).count }.max() ?? 0
        let isLayout =
            columns <= 1
            || cells.contains { cell in
                cell.descendants.contains { $0.name == "tbl" } && cell.text.utf8.count > 400
                    || cell.children.reduce(0) { $0 + ($1.name == "p" ? 1 : 0) } > 8
            }
        if isLayout {
            for cell in cells {
                try blocks(in: cell)
                try flushCarried()
            }
            return
        }
        let look = node.find("tblPr", "tblLook")
        let marksFirstRow =
            look?["firstRow"].map { Self.isOn($0) } ?? ((look?["val"].flatMap { Int($0, radix: 16) } ?? 0) & 0x20 != 0)
        // How far down each merged cell reaches: rows of cells first, as the lengths are only known at the end.
        var grid: [[(column: Int, cell: TableGrid.Cell, goesOn: Bool)]] = []
        var notes: [String] = []
        for row in rows {
            var column = row.find("trPr", "gridBefore")?["val"].flatMap { Int($0) } ?? 0
            var line: [(Int, TableGrid.Cell, Bool)] = []
            for cell in Self.cells(row) {
                let properties = cell.first("tcPr")
                let isDeleted = properties?.first("cellDel") != nil
                let text = isDeleted ? "" : flatText(cell, separator: " ", notes: &notes).trimmed
                let span = max(1, min(1000, properties?.first("gridSpan")?["val"].flatMap { Int($0) } ?? 1))
                let merge = properties?.first("vMerge")
                let goesOn = merge != nil && merge?["val"] != "restart" && text.isEmpty
                line.append((column, TableGrid.Cell(text: text, columns: span), goesOn))
                column += span
            }
            grid.append(line)
        }
        var table = TableGrid()
        for (index, line) in grid.enumerated() {
            var cells: [TableGrid.Cell] = []
            for (column, cell, goesOn) in line {
                if goesOn, index > 0, grid[index - 1].contains(where: { $0.column == column }) { continue }
                var cell = cell
                while index + cell.rows < grid.count, grid[index + cell.rows].contains(where: { $0.column == column && $0.goesOn }) {
                    cell.rows += 1
                }
                cells.append(cell)
            }
            let isMarked = rows[index].find("trPr", "tblHeader").map { Self.isOn($0["val"]) } ?? false
            table.add(cells, isHeader: isMarked, skipped: min(100, line.first?.column ?? 0))
        }
        try table.write(to: &builder, startsWithHeader: marksFirstRow)
        for note in notes { try builder.note(note) }
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

    private static func cells(_ row: XMLNode) -> [XMLNode] {
        row.children.compactMap { cell in
            if cell.name == "tc" { return cell }
            return cell.name == "sdt" || cell.name == "customXml" ? (cell.first("sdtContent") ?? cell).first("tc") : nil
        }
    }

    // MARK: - Text of runs

    /// The paragraph's own text; text boxes anchored in it and its notes are handed out.
    private mutating func inline(paragraph: XMLNode, into line: inout Line) {
        let style = paragraph.find("pPr", "pStyle")?["val"] ?? defaultStyle
        let format = (style.flatMap { styles[$0]?.format } ?? RunFormat()).over(defaultFormat)
        inline(paragraph, format, into: &line, depth: 0)
        // A field code ends with its paragraph, lest one that nobody closed hides the rest.
        for index in fields.indices where !fields[index].isResult { fields[index].isResult = true }
    }

    private mutating func inline(_ parent: XMLNode, _ format: RunFormat, into line: inout Line, depth: Int) {
        guard depth < 200 else { return }
        for node in parent.nodes where node.isElement {
            switch node.name {
            case "r":
                var own = format
                if let properties = node.first("rPr") {
                    let style = properties.first("rStyle")?["val"].flatMap { styles[$0]?.format } ?? RunFormat()
                    own = Self.runFormat(properties).over(style).over(format)
                }
                inline(node, own, into: &line, depth: depth + 1)
            case "t": write(SymbolFont.readable(node.text, font: format.symbolFont), format, to: &line)
            case "sym": write(Self.symbol(node), format, to: &line)
            case "tab", "ptab": write("\t", format, to: &line)
            case "br", "cr": write("\n", format, to: &line)
            case "noBreakHyphen": write("-", format, to: &line)
            case "footnoteReference", "endnoteReference": reference(node, format, into: &line)
            case "commentReference":
                if let id = node["id"], usedComments.insert(id).inserted {
                    for comment in comments where comment.id == id { line.notes.append(comment.text) }
                }
            case "txbxContent": line.boxes.append(node)
            case "AlternateContent":
                // Choice and Fallback say the same twice.
                if let branch = node.first("Choice") ?? node.first("Fallback") { inline(branch, format, into: &line, depth: depth + 1) }
            case "textpath": if let string = node["string"] { write(string, format, to: &line) }
            case "docPr":
                // A picture's description, when somebody wrote one.
                if let description = node["descr"], description.utf8.count > 3 { write(" [\(description)] ", format, to: &line) }
            case "fldChar": field(node, format, into: &line)
            case "instrText": if let last = fields.indices.last, !fields[last].isResult { fields[last].code += node.text }
            case "fldSimple":
                fields.append(Field(code: node["instr"] ?? "", isResult: true))
                inline(node, format, into: &line, depth: depth + 1)
                endField(format, into: &line)
            case "hyperlink":
                fields.append(Field(isResult: true))
                inline(node, format, into: &line, depth: depth + 1)
                let shown = fields.popLast()?.result ?? ""
                var target = node["r:id"].flatMap { links[$0] }.flatMap { $0.isExternal ? $0.target : nil }
                if let anchor = node["anchor"], target?.contains("#") == false { target = target.map { $0 + "#" + anchor } }
                write(LinkTarget.suffix(target, after: shown), RunFormat(), to: &line)
            case "sdt":
                if let mark = Self.checkBox(node) {
                    write(mark, format, to: &line)
                } else if let content = node.first("sdtContent") {
                    inline(content, format, into: &line, depth: depth + 1)
                }
            case "oMath": write(Self.math(node, depth: depth), format, to: &line)
            case "del", "moveFrom", "delText", "delInstrText", "pPr", "rPr", "rt", "posOffset", "pctWidth", "pctHeight": break
            default: inline(node, format, into: &line, depth: depth + 1)
            }
        }
    }

    private mutating func write(_ text: String, _ format: RunFormat, to line: inout Line) {
        if text.isEmpty || format.isStruck == true || format.isHidden == true || fields.contains(where: { !$0.isResult }) { return }
        line.script.append(text, format.position ?? .baseline)
        // Enough to see whether a link's text is its target; a field may hold the whole document.
        for index in fields.indices where fields[index].result.utf8.count < 4000 { fields[index].result += text }
    }

    private mutating func reference(_ node: XMLNode, _ format: RunFormat, into line: inout Line) {
        if format.isStruck == true || format.isHidden == true || fields.contains(where: { !$0.isResult }) { return }
        let kind = node.name == "footnoteReference" ? "footnote" : "endnote"
        let key = kind + (node["id"] ?? "")
        guard notes[key].map({ !$0.isUsed }) ?? false else { return }
        var label = ""
        // A mark of the author's own follows as text.
        if node["customMarkFollows"].map({ Self.isOn($0) }) != true {
            noteCounts[kind, default: 0] += 1
            label = Self.format(noteCounts[kind] ?? 1, noteFormats[kind] ?? "decimal")
            write("[\(label)]", RunFormat(), to: &line)
        }
        if let text = noteText(key, label: label) { line.notes.append(text) }
    }

    // MARK: - Fields, boxes, symbols

    private mutating func field(_ node: XMLNode, _ format: RunFormat, into line: inout Line) {
        switch node["fldCharType"] ?? "" {
        case "begin":
            var field = Field()
            if let data = node.first("ffData") {
                if let box = data.first("checkBox") {
                    let isChecked = (box.first("checked") ?? box.first("default")).map { Self.isOn($0["val"]) } ?? false
                    write(isChecked ? "[x]" : "[ ]", format, to: &line)
                } else if let list = data.first("ddList") {
                    let entries = list.children.filter { $0.name == "listEntry" }.map { $0["val"] ?? "" }
                    let index = (list.first("result") ?? list.first("default"))?["val"].flatMap { Int($0) } ?? 0
                    if entries.indices.contains(index) { field.fallback = entries[index] }
                }
            }
            if fields.count < 1000 { fields.append(field) }
        case "separate": if let last = fields.indices.last { fields[last].isResult = true }
        case "end": endField(format, into: &line)
        default: break
        }
    }

    private mutating func endField(_ format: RunFormat, into line: inout Line) {
        guard let field = fields.popLast() else { return }
        if field.result.isEmpty {
            write(field.fallback, format, to: &line)
            write(LinkTarget.glyph(ofField: field.code) ?? "", format, to: &line)
        } else if let target = LinkTarget.ofField(field.code) {
            write(LinkTarget.suffix(target, after: field.result), RunFormat(), to: &line)
        }
    }

    /// The state of a check box control, or nil when the control is another one.
    private static func checkBox(_ control: XMLNode) -> String? {
        guard let box = control.find("sdtPr", "checkbox") else { return nil }
        return box.first("checked").map { isOn($0["val"]) } ?? false ? "[x]" : "[ ]"
    }

    private static func symbol(_ node: XMLNode) -> String {
        guard let code = node["char"].flatMap({ UInt32($0, radix: 16) }), let scalar = UnicodeScalar(code) else { return "" }
        return SymbolFont.readable(String(scalar), font: node["font"].flatMap { SymbolFont(name: $0) })
    }

    /// A formula on one line: powers with ^, fractions with /, roots with √.
    static func math(_ node: XMLNode, depth: Int) -> String {
        guard depth < 150 else { return node.text }
        func part(_ name: String) -> String { node.first(name).map { math($0, depth: depth + 1) } ?? "" }
        func grouped(_ text: String) -> String {
            text.dropFirst().contains { "+-−–/*·×= ".contains($0) } && !(text.hasPrefix("(") && text.hasSuffix(")")) ? "(\(text))" : text
        }
        switch node.name {
        case "t": return node.text
        case "sSup": return part("e") + "^" + grouped(part("sup"))
        case "sSub": return part("e") + (part("e").last?.isNumber == true ? "_" : "") + part("sub")
        case "sSubSup": return part("e") + part("sub") + "^" + grouped(part("sup"))
        case "f": return grouped(part("num")) + "/" + grouped(part("den"))
        case "rad":
            let degree = part("deg")
            return (degree.isEmpty ? "" : degree) + "√(" + part("e") + ")"
        case "d":
            let properties = node.first("dPr")
            let inner = node.children.filter { $0.name == "e" }.map { math($0, depth: depth + 1) }.joined(separator: ", ")
            return (properties?.first("begChr")?["val"] ?? "(") + inner + (properties?.first("endChr")?["val"] ?? ")")
        case "nary":
            let sub = part("sub")
            let sup = part("sup")
            return (node.find("naryPr", "chr")?["val"] ?? "∫") + (sub.isEmpty ? "" : "_" + grouped(sub))
                + (sup.isEmpty ? "" : "^" + grouped(sup))
                + " " + part("e")
        case "rPr", "ctrlPr", "del", "moveFrom": return ""
        default: return node.children.map { math($0, depth: depth + 1) }.joined()
        }
    }

    /// All text below a node, a paragraph a line; text boxes included.
    private mutating func flatText(_ node: XMLNode, separator: String = "\n", notes: inout [String]) -> String {
        var lines: [String] = []
        var pending = [node]
        var guardCount = 0
        var line = Line()
        while let next = pending.popLast(), guardCount < 100_000 {
            guardCount += 1
            if next.name == "p" {
                inline(paragraph: next, into: &line)
                let mark = next.find("pPr", "rPr")
                if mark?.first("del") != nil || mark?.first("moveFrom") != nil { continue }
                let text = line.script.text()
                if !text.isBlank { lines.append(text) }
                notes += line.notes
                pending.append(contentsOf: line.boxes.reversed())
                line = Line()
            } else if next.name == "sdt", let mark = Self.checkBox(next) {
                lines.append(mark)
            } else if next.name != "pPr" && next.name != "tcPr" && next.name != "del" {
                pending.append(contentsOf: next.children.filter { $0.name != "Fallback" || next.first("Choice") == nil }.reversed())
            }
        }
        let rest = line.script.text()
        if !rest.isBlank { lines.append(rest) }
        notes += line.notes
        return lines.joined(separator: separator)
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
        case "decimalZero": return value >= 0 && value < 10 ? "0\(value)" : String(value)
        case "ordinal":
            let ending = (11...13).contains(value % 100) ? "th" : [1: "st", 2: "nd", 3: "rd"][value % 10] ?? "th"
            return "\(value)\(ending)"
        case "none": return ""
        default: return String(value)
        }
    }
}
