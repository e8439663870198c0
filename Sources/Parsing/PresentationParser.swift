import Foundation

/// Reads PPTX (ECMA-376 PresentationML): one page per slide, in the order of the show.
struct PresentationParser {
    private let package: OfficePackage
    private var builder: DocumentBuilder
    private var firstTitle: String?

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let package = try OfficePackage(input, context: context)
        var parser = PresentationParser(package: package, builder: context.builder)
        return try parser.parse(input, context)
    }

    private init(package: OfficePackage, builder: DocumentBuilder) {
        self.package = package
        self.builder = builder
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
            try shapes(in: tree.root.find("cSld", "spTree") ?? tree.root, part: part, depth: 0)
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
        // Titles are often drawn last but read first.
        let nodes = tree.children.map { $0 }
        for node in nodes where Self.isTitle(node) { try shape(node) }
        for node in nodes where !Self.isTitle(node) {
            switch node.name {
            case "sp", "cxnSp": try shape(node)
            case "grpSp": try shapes(in: node, part: part, depth: depth + 1)
            case "AlternateContent":
                if let branch = node.first("Choice") ?? node.first("Fallback") { try shapes(in: branch, part: part, depth: depth + 1) }
            case "graphicFrame": try graphic(node, part: part)
            case "pic": try description(node)
            default: break
            }
        }
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
            let text = Self.paragraphs(body).map(\.text).joined(separator: " ").trimmed
            if firstTitle == nil, !text.isEmpty { firstTitle = text }
            return try builder.heading(text, level: 1)
        }
        for paragraph in Self.paragraphs(body) where !paragraph.text.isBlank {
            // The body of a slide is a list by its layout, unless it says otherwise.
            if type == "subTitle" {
                try builder.heading(paragraph.text, level: 2)
            } else if paragraph.hasBullet ?? (type == "body" || type == "obj") {
                try builder.listItem(paragraph.text)
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
            builder.beginTable()
            let hasHeader = table.first("tblPr")?["firstRow"] == "1"
            for (index, row) in table.children.filter({ $0.name == "tr" }).enumerated() {
                let cells = row.children.filter { $0.name == "tc" }.map { cell in
                    cell.first("txBody").map { Self.paragraphs($0).map(\.text).joined(separator: " ").trimmed } ?? ""
                }
                try builder.tableRow(cells, isHeader: hasHeader && index == 0)
            }
            builder.endTable()
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

    /// DrawingML paragraphs with their line breaks.
    static func paragraphs(_ body: XMLNode) -> [(text: String, hasBullet: Bool?)] {
        body.children.filter { $0.name == "p" }.map { paragraph in
            var text = ""
            paragraph.visit { node in
                switch node.name {
                case "t": text += node.text
                case "br": text += "\n"
                case "tab": text += "\t"
                case "pPr", "rPr", "endParaRPr": return false
                default: return true
                }
                return false
            }
            var hasBullet: Bool?
            if let properties = paragraph.first("pPr") {
                if properties.first("buNone") != nil { hasBullet = false }
                if properties.first("buChar") != nil || properties.first("buAutoNum") != nil { hasBullet = true }
            }
            return (text, hasBullet)
        }
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
