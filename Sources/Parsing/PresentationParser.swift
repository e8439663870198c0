import Foundation

/// Reads PPTX (ECMA-376 PresentationML): one page per slide, in the order of the show, its boxes in the order in which they are read.
struct PresentationParser {
    private let package: OfficePackage
    private var builder: DocumentBuilder
    private var firstTitle: String?
    private var links: [String: OfficePackage.Relationship] = [:]
    /// Where placeholders without a place of their own lie, by the layout and the master of the slide.
    private var layouts: [XMLTree] = []
    private var isHidden = false
    private let keepsHidden: Bool

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let package = try OfficePackage(input, context: context)
        var parser = PresentationParser(package: package, builder: context.builder, keepsHidden: context.limits.keepsHidden)
        return try parser.parse(input, context)
    }

    private init(package: OfficePackage, builder: DocumentBuilder, keepsHidden: Bool) {
        self.package = package
        self.builder = builder
        self.keepsHidden = keepsHidden
    }

    private mutating func parse(_ input: ParseInput, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        for warning in package.archive.warnings { builder.warn(warning) }
        let main = package.part("officeDocument", of: "") ?? "ppt/presentation.xml"
        var slides: [String] = []
        if let tree = package.tree(main) {
            let relationships = package.relationships(of: main)
            for node in tree.root.first("sldIdLst")?.nodes.filter(\.isElement) ?? [] {
                if let id = node["r:id"], let target = relationships[id]?.target { slides.append(target) }
            }
        }
        if slides.isEmpty { slides = package.archive.memberNames(prefix: "ppt/slides/slide") }
        guard !slides.isEmpty else { throw .malformed("\(input.name) has no slides") }
        for (index, part) in slides.enumerated() {
            builder.page = index + 1
            guard let tree = package.tree(part) else {
                builder.warn("slide \(index + 1) cannot be read")
                continue
            }
            isHidden = ["0", "false", "off"].contains(tree.root["show"] ?? "1")
            if isHidden, !keepsHidden { continue }
            links = package.relationships(of: part)
            layouts = []
            if let layout = package.part("slideLayout", of: part) {
                let master = package.part("slideMaster", of: layout).flatMap { package.tree($0) }
                layouts = [package.tree(layout), master].compactMap { $0 }
            }
            let shapes = tree.root.find("cSld", "spTree") ?? tree.root
            if isHidden, !shapes.children.contains(where: { Self.isTitle($0) }) { try builder.note("[hidden slide]") }
            try self.shapes(in: shapes, part: part, depth: 0)
            links = [:]
            for notes in package.parts("notesSlide", of: part) {
                if let tree = package.tree(notes) { try self.notes(tree.root) }
            }
            for comments in package.parts("comments", of: part) {
                guard let tree = package.tree(comments) else { continue }
                for node in tree.root.descendants where node.name == "text" || node.name == "txBody" {
                    if !node.text.isBlank { try builder.note("Comment: \(node.text.trimmed)") }
                }
            }
        }
        try package.appendEmbedded(folder: "ppt", to: &builder, context: context)
        let (title, properties) = package.properties()
        return builder.finish(
            title: title.flatMap { $0 == "PowerPoint Presentation" ? nil : $0 } ?? firstTitle,
            mimeType: "application/vnd.openxmlformats-officedocument.presentationml.presentation", pageCount: slides.count,
            properties: properties)
    }

    private mutating func shapes(in tree: XMLNode, part: String, depth: Int) throws(Refusal) {
        guard depth < 50 else { return }
        // Titles are often drawn last but read first; boxes whose place is not known come next, as they were drawn.
        var nodes: [XMLNode] = []
        for node in tree.children {
            if node.name == "AlternateContent" {
                if let branch = node.first("Choice") ?? node.first("Fallback") { nodes += branch.children }
            } else {
                nodes.append(node)
            }
        }
        for node in nodes where Self.isTitle(node) { try shape(node) }
        let rest = nodes.filter { !Self.isTitle($0) && ["sp", "cxnSp", "grpSp", "graphicFrame", "pic"].contains($0.name) }
        let boxes = rest.map { box($0) }
        let placed = rest.indices.filter { boxes[$0] != nil }
        let order = rest.indices.filter { boxes[$0] == nil } + SlideOrder.indices(placed.map { boxes[$0]! }).map { placed[$0] }
        for node in order.map({ rest[$0] }) {
            let isHiddenShape = node.children.contains { ["1", "true"].contains($0.first("cNvPr")?["hidden"] ?? "0") }
            if isHiddenShape {
                guard keepsHidden else { continue }
                let text = node.descendants.filter { $0.name == "txBody" }.flatMap { Self.paragraphs($0).map(\.text) }.filter {
                    !$0.isBlank
                }
                if !text.isEmpty { try builder.note("[hidden] " + text.joined(separator: "\n")) }
                continue
            }
            switch node.name {
            case "sp", "cxnSp": try shape(node)
            case "grpSp": try shapes(in: node, part: part, depth: depth + 1)
            case "graphicFrame": try graphic(node, part: part)
            case "pic": try description(node)
            default: break
            }
        }
    }

    /// Where a shape lies, in the units of what holds it.
    private func box(_ node: XMLNode) -> SlideOrder.Box? {
        var frame = node.first("xfrm") ?? node.find("spPr", "xfrm") ?? node.find("grpSpPr", "xfrm")
        if frame == nil, let mark = node.find("nvSpPr", "nvPr", "ph") ?? node.find("nvPicPr", "nvPr", "ph") {
            let type = mark["type"] ?? "obj"
            for layout in layouts {
                let shapes = layout.root.find("cSld", "spTree")?.children.filter { $0.name == "sp" } ?? []
                let match =
                    shapes.first {
                        $0.find("nvSpPr", "nvPr", "ph").map { $0["idx"] == mark["idx"] && ($0["type"] ?? "obj") == type } ?? false
                    }
                    ?? shapes.first { $0.find("nvSpPr", "nvPr", "ph").map { $0["idx"] == mark["idx"] && mark["idx"] != nil } ?? false }
                    ?? shapes.first {
                        $0.find("nvSpPr", "nvPr", "ph").map { ($0["type"] ?? "obj") == (type == "obj" ? "body" : type) } ?? false
                    }
                frame = match?.find("spPr", "xfrm")
                if frame != nil { break }
            }
        }
        guard let frame, let left = frame.first("off")?["x"].flatMap({ Double($0) }),
            let top = frame.first("off")?["y"].flatMap({ Double($0) })
        else {
            return nil
        }
        let width = frame.first("ext")?["cx"].flatMap { Double($0) } ?? 0
        let height = frame.first("ext")?["cy"].flatMap { Double($0) } ?? 0
        guard left.isFinite, top.isFinite, width.isFinite, height.isFinite else { return nil }
        return SlideOrder.Box(left: left, top: top, right: left + max(0, width), bottom: top + max(0, height))
    }

    private static func placeholder(_ shape: XMLNode) -> String? {
        guard let node = shape.find("nvSpPr", "nvPr", "ph") else { return nil }
        return node["type"] ?? "body"
    }

    private static func isTitle(_ shape: XMLNode) -> Bool {
        let type = placeholder(shape)
        return type == "title" || type == "ctrTitle"
    }

    private mutating func shape(_ node: XMLNode) throws(Refusal) {
        let type = Self.placeholder(node)
        if type == "sldNum" || type == "dt" || type == "ftr" || type == "hdr" { return }
        guard let body = node.first("txBody") else { return }
        if type == "title" || type == "ctrTitle" {
            let text = Self.paragraphs(body, links: links).map(\.text).joined(separator: " ").trimmed
            if firstTitle == nil, !text.isEmpty { firstTitle = text }
            return try builder.heading(text + (isHidden ? " [hidden slide]" : ""), level: 1)
        }
        for paragraph in Self.paragraphs(body, links: links) where !paragraph.text.isBlank {
            // The body of a slide is a list by its layout, unless it says otherwise.
            if type == "subTitle" {
                try builder.heading(paragraph.text, level: 2)
            } else if paragraph.hasBullet ?? (type == "body" || type == "obj") {
                try builder.listItem(paragraph.text, marker: paragraph.marker)
            } else {
                try builder.lines(paragraph.text)
            }
        }
    }

    private mutating func description(_ node: XMLNode) throws(Refusal) {
        guard let properties = node.first("nvPicPr")?.first("cNvPr"), let text = properties["descr"], !text.isBlank else { return }
        // Generated file names are not descriptions.
        if text.contains(" "), !text.contains("://") { try builder.note(text) }
    }

    private mutating func graphic(_ node: XMLNode, part: String) throws(Refusal) {
        guard let data = node.find("graphic", "graphicData") else { return }
        if let table = data.first("tbl") {
            var grid = TableGrid()
            for row in table.children where row.name == "tr" {
                func span(_ cell: XMLNode, _ name: String) -> Int { cell[name].flatMap { Int($0) } ?? 1 }
                let isCovered = { (cell: XMLNode) in ["hMerge", "vMerge"].contains { ["1", "true"].contains(cell[$0] ?? "0") } }
                let cells = row.children.filter { $0.name == "tc" && !isCovered($0) }.map { cell in
                    TableGrid.Cell(
                        text: cell.first("txBody").map { Self.paragraphs($0, links: links).map(\.text).joined(separator: " ").trimmed }
                            ?? "",
                        columns: span(cell, "gridSpan"), rows: span(cell, "rowSpan"))
                }
                grid.add(cells)
            }
            try grid.write(to: &builder, startsWithHeader: ["1", "true"].contains(table.first("tblPr")?["firstRow"] ?? "0"))
        } else if let id = data.first("relIds")?["r:dm"] ?? data.first("relIds")?["dm"],
            let target = package.relationships(of: part)[id]?.target
        {
            if let text = Self.diagramText(package.tree(target)) { try builder.lines(text) }
        } else if let id = data.first("chart")?["r:id"] ?? data.first("chart")?["id"],
            let target = package.relationships(of: part)[id]?.target,
            let tree = package.tree(target)
        {
            try Self.chart(tree.root, into: &builder)
        }
    }

    private mutating func notes(_ root: XMLNode) throws(Refusal) {
        for node in root.descendants where node.name == "sp" && Self.placeholder(node) == "body" {
            guard let body = node.first("txBody") else { continue }
            let text = Self.paragraphs(body).map(\.text).filter { !$0.isBlank }.joined(separator: "\n")
            if !text.isBlank { try builder.note("Notes: \(text)") }
        }
    }

    /// DrawingML paragraphs with their line breaks, without what is struck out.
    ///
    /// - Parameter links: The relationships of the part, for the targets of links.
    static func paragraphs(
        _ body: XMLNode, links: [String: OfficePackage.Relationship] = [:]
    ) -> [(text: String, hasBullet: Bool?, marker: String)] {
        // Numbers count on within a level until a paragraph of a level above, or of another kind, comes.
        var counts: [Int: (kind: String, value: Int)] = [:]
        return body.children.filter { $0.name == "p" }.map { paragraph in
            var text = ScriptText()
            runs(paragraph, links, into: &text)
            var hasBullet: Bool?
            var marker = "- "
            let line = text.text()
            if let properties = paragraph.first("pPr") {
                let level = properties["lvl"].flatMap { Int($0) } ?? 0
                if properties.first("buNone") != nil { hasBullet = false }
                if properties.first("buChar") != nil || properties.first("buBlip") != nil { hasBullet = true }
                if let number = properties.first("buAutoNum"), !line.isBlank {
                    hasBullet = true
                    let kind = number["type"] ?? "arabicPeriod"
                    let start = number["startAt"].flatMap { Int($0) } ?? 1
                    let same = counts[level]?.kind == kind
                    let value = same ? (counts[level]?.value ?? 0) + 1 : start
                    counts[level] = (kind, min(1_000_000, value))
                    marker = Self.marker(value, kind)
                } else if !line.isBlank {
                    counts[level] = nil
                }
                for deeper in counts.keys where deeper > level && !line.isBlank { counts[deeper] = nil }
            } else if !line.isBlank {
                counts = [:]
            }
            return (line, hasBullet, marker)
        }
    }

    /// `arabicPeriod` is "1.", `alphaLcParenBoth` is "(a)".
    private static func marker(_ value: Int, _ kind: String) -> String {
        let format =
            kind.hasPrefix("alphaLc")
            ? "lowerLetter"
            : kind.hasPrefix("alphaUc")
                ? "upperLetter" : kind.hasPrefix("romanLc") ? "lowerRoman" : kind.hasPrefix("romanUc") ? "upperRoman" : "decimal"
        let text = WordParser.format(value, format)
        if kind.hasSuffix("ParenBoth") { return "(\(text)) " }
        if kind.hasSuffix("ParenR") { return "\(text)) " }
        return kind.hasSuffix("Period") ? "\(text). " : "\(text) "
    }

    private static func runs(_ paragraph: XMLNode, _ links: [String: OfficePackage.Relationship], into text: inout ScriptText) {
        var link: String?
        var shown = ""
        func endLink(_ text: inout ScriptText) {
            if let target = link.flatMap({ links[$0] }), target.isExternal { text.append(LinkTarget.suffix(target.target, after: shown)) }
            link = nil
            shown = ""
        }
        func walk(_ parent: XMLNode, _ depth: Int, _ text: inout ScriptText) {
            guard depth < 100 else { return }
            for node in parent.nodes where node.isElement {
                switch node.name {
                case "r", "fld":
                    let properties = node.first("rPr")
                    let target = properties?.first("hlinkClick")?["r:id"].flatMap { $0.isEmpty ? nil : $0 }
                    if target != link { endLink(&text) }
                    link = target
                    if let strike = properties?["strike"], strike != "noStrike" { continue }
                    let shift = properties?["baseline"].flatMap { Int($0.filter { $0 != "%" }) } ?? 0
                    let position: ScriptText.Position = shift > 0 ? .raised : shift < 0 ? .lowered : .baseline
                    let own = node.first("t")?.text ?? ""
                    let latin = properties?.first("latin")?["typeface"].flatMap { SymbolFont(name: $0) }
                    let symbols = properties?.first("sym")?["typeface"].flatMap { SymbolFont(name: $0) }
                    // The symbol font is for the private area only.
                    let isPrivate = own.unicodeScalars.contains { (0xF020...0xF0FF).contains($0.value) }
                    let read = SymbolFont.readable(own, font: latin ?? (isPrivate ? symbols : nil))
                    text.append(read, position)
                    if link != nil { shown += read }
                case "t": text.append(node.text)
                case "br": text.append("\n")
                case "tab": text.append("\t")
                case "oMath": text.append(WordParser.math(node, depth: depth))
                case "AlternateContent": if let branch = node.first("Choice") ?? node.first("Fallback") { walk(branch, depth + 1, &text) }
                case "pPr", "rPr", "endParaRPr": break
                default: walk(node, depth + 1, &text)
                }
            }
        }
        walk(paragraph, 0, &text)
        endLink(&text)
    }

    /// The words of a SmartArt drawing, a point a line.
    static func diagramText(_ tree: XMLTree?) -> String? {
        guard let tree else { return nil }
        var lines: [String] = []
        for point in tree.root.descendants where point.name == "pt" {
            guard let body = point.first("t") else { continue }
            let text = paragraphs(body).map(\.text).joined(separator: " ").trimmed
            if !text.isEmpty { lines.append(text) }
        }
        return lines.isEmpty ? nil : lines.joined(separator: "\n")
    }

    /// A chart as the table it was drawn from: categories down, series across.
    static func chart(_ root: XMLNode, into builder: inout DocumentBuilder) throws(Refusal) {
        let nodes = root.descendants
        if let title = nodes.first(where: { $0.name == "title" }) {
            let text = title.descendants.filter { $0.name == "t" || $0.name == "v" }.map(\.text).joined()
            if !text.isBlank { try builder.note("Chart: \(text.trimmed)") }
        }
        func points(_ node: XMLNode?) -> [Int: String] {
            var values: [Int: String] = [:]
            for point in node?.descendants ?? [] where point.name == "pt" {
                if let index = point["idx"].flatMap({ Int($0) }), index >= 0, index < 10_000, let value = point.first("v")?.text {
                    values[index] = value
                }
            }
            return values
        }
        var names: [String] = []
        var columns: [[Int: String]] = []
        var categories: [Int: String] = [:]
        for series in nodes where series.name == "ser" {
            names.append(points(series.first("tx"))[0] ?? series.find("tx", "v")?.text ?? "")
            columns.append(points(series.first("val") ?? series.first("yVal")))
            if categories.isEmpty { categories = points(series.first("cat") ?? series.first("xVal")) }
            if columns.count >= 100 { break }
        }
        guard let last = (columns.flatMap(\.keys) + categories.keys).max() else { return }
        builder.beginTable()
        try builder.tableRow([""] + names, isHeader: true)
        for index in 0...last {
            let row = [categories[index] ?? ""] + columns.map { $0[index].map(SpreadsheetParser.plainNumber) ?? "" }
            try builder.tableRow(row)
        }
        builder.endTable()
    }
}
