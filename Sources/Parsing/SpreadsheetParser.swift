import CLibXML2
import Foundation

/// Reads XLSX (ECMA-376 SpreadsheetML): one page per sheet, each row of cells a table row, formulas by their last value.
///
/// Sheets are streamed, because a tree of a large one would not fit in memory.
struct SpreadsheetParser {
    private let package: OfficePackage
    private var builder: DocumentBuilder
    private var strings: [String] = []
    private var formats: [CellFormat] = []
    private var is1904 = false

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let package = try OfficePackage(input, context: context)
        if package.archive.entries.contains(where: { $0.name == "xl/workbook.bin" }) {
            throw .unsupportedFormat("\(input.name) is a binary workbook (XLSB); save it as XLSX")
        }
        var parser = SpreadsheetParser(package: package, builder: context.builder)
        return try parser.parse(input, context)
    }

    private init(package: OfficePackage, builder: DocumentBuilder) {
        self.package = package
        self.builder = builder
    }

    private mutating func parse(_ input: ParseInput, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        for warning in package.archive.warnings { builder.warn(warning) }
        let main = package.part("officeDocument", of: "") ?? "xl/workbook.xml"
        var sheets: [(name: String, part: String)] = []
        if let workbook = package.tree(main) {
            is1904 = ["1", "true"].contains(workbook.root.first("workbookPr")?["date1904"] ?? "")
            let relationships = package.relationships(of: main)
            for node in workbook.root.first("sheets")?.nodes.filter(\.isElement) ?? [] {
                if let id = node["r:id"] ?? node["id"], let target = relationships[id]?.target {
                    sheets.append((node["name"] ?? "", target))
                }
            }
        }
        if sheets.isEmpty {
            sheets = package.archive.memberNames(prefix: "xl/worksheets/sheet").enumerated().map { ("Sheet\($0.offset + 1)", $0.element) }
        }
        guard !sheets.isEmpty else { throw .malformed("\(input.name) has no sheets") }
        readStrings(package.part("sharedStrings", of: main) ?? "xl/sharedStrings.xml")
        readFormats(package.part("styles", of: main) ?? "xl/styles.xml")

        for (index, sheet) in sheets.enumerated() {
            builder.page = index + 1
            guard let bytes = package.archive.member(sheet.part) else {
                builder.warn("the sheet \(sheet.name) cannot be read")
                continue
            }
            let (writer, notes) = readSheet(bytes)
            if !sheet.name.isBlank { try builder.heading(sheet.name, level: 1) }
            try writer.write(to: &builder)
            for note in notes { try builder.note(note) }
            try drawings(of: sheet.part)
            for part in package.parts("comments", of: sheet.part) + package.parts("threadedComment", of: sheet.part) {
                guard let tree = package.tree(part) else { continue }
                for node in tree.root.descendants where node.name == "comment" || node.name == "threadedComment" {
                    let text = node.text.trimmed
                    if !text.isEmpty { try builder.note("Comment on \(node["ref"] ?? "a cell"): \(text)") }
                }
            }
        }
        try package.appendEmbedded(folder: "xl", to: &builder, context: context)
        let (title, properties) = package.properties()
        return builder.finish(
            title: title, mimeType: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", pageCount: sheets.count,
            properties: properties)
    }

    // MARK: - Parts

    private mutating func readStrings(_ part: String) {
        guard let tree = package.tree(part) else { return }
        for item in tree.root.children where item.name == "si" { strings.append(Self.stringItem(item)) }
    }

    /// A string with its runs; the phonetic reading of East Asian text follows it, so that it can be found too.
    private static func stringItem(_ item: XMLNode) -> String {
        var text = ""
        var reading = ""
        for node in item.children {
            switch node.name {
            case "t": text += node.text
            case "r": text += node.first("t")?.text ?? ""
            case "rPh": reading += node.first("t")?.text ?? ""
            default: break
            }
        }
        return reading.isEmpty ? text : "\(text) \(reading)"
    }

    private mutating func readFormats(_ part: String) {
        guard let tree = package.tree(part) else { return }
        var custom: [Int: CellFormat] = [:]
        for node in tree.root.first("numFmts")?.nodes.filter(\.isElement) ?? [] {
            if let id = node["numFmtId"].flatMap({ Int($0) }), let code = node["formatCode"] { custom[id] = CellFormat(code: code) }
        }
        for node in tree.root.first("cellXfs")?.nodes.filter(\.isElement) ?? [] where node.name == "xf" {
            let id = node["numFmtId"].flatMap { Int($0) } ?? 0
            formats.append(custom[id] ?? CellFormat(builtIn: id))
        }
    }

    private mutating func drawings(of part: String) throws(Refusal) {
        for drawing in package.parts("drawing", of: part) {
            guard let tree = package.tree(drawing) else { continue }
            for body in tree.root.descendants where body.name == "txBody" {
                let text = PresentationParser.paragraphs(body).map(\.text).joined(separator: "\n").trimmed
                if !text.isEmpty { try builder.note(text) }
            }
            for diagram in package.parts("diagramData", of: drawing) {
                if let text = PresentationParser.diagramText(package.tree(diagram)) { try builder.note(text) }
            }
            for chart in package.parts("chart", of: drawing) {
                // The numbers are in the cells; only the title adds something.
                guard let tree = package.tree(chart), let title = tree.root.descendants.first(where: { $0.name == "title" }) else {
                    continue
                }
                let text = title.descendants.filter { $0.name == "t" }.map(\.text).joined()
                if !text.isBlank { try builder.note("Chart: \(text.trimmed)") }
            }
        }
    }

    // MARK: - Sheets

    private func readSheet(_ bytes: [UInt8]) -> (SheetWriter, notes: [String]) {
        var writer = SheetWriter()
        var notes: [String] = []
        var cells: [(column: Int, text: String)] = []
        var rowIndex = 0
        var column = -1
        var type = ""
        var style = 0
        var value = ""
        var isInValue = false
        var isInPhonetic = false
        var note: String?
        Self.stream(bytes) { event in
            switch event {
            case .start(let name, let attribute):
                switch name {
                case "row":
                    // Rows without a number follow the one before.
                    rowIndex = attribute("r").flatMap { Int($0) } ?? rowIndex + 1
                    cells = []
                    column = -1
                case "c":
                    column = attribute("r").flatMap { Self.column($0) } ?? column + 1
                    type = attribute("t") ?? "n"
                    style = attribute("s").flatMap { Int($0) } ?? 0
                    value = ""
                case "v", "t": isInValue = !isInPhonetic
                case "rPh": isInPhonetic = true
                case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter": note = ""
                default: break
                }
            case .text(let text):
                if isInValue { value += text }
                note?.append(text)
            case .end(let name):
                switch name {
                case "v", "t": isInValue = false
                case "rPh": isInPhonetic = false
                case "c":
                    let text = cellText(value, type: type, style: style)
                    if !text.isBlank { cells.append((column, text)) }
                case "row": writer.add(row: rowIndex, cells: cells)
                case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter":
                    let text = Self.headerText(note ?? "")
                    if !text.isBlank, !notes.contains(text) { notes.append(text) }
                    note = nil
                default: break
                }
            }
        }
        return (writer, notes)
    }

    private func cellText(_ value: String, type: String, style: Int) -> String {
        switch type {
        case "s":
            guard let index = Int(value.trimmed), strings.indices.contains(index) else { return "" }
            return strings[index]
        case "b": return value == "1" ? "TRUE" : value.isEmpty ? "" : "FALSE"
        case "str", "inlineStr", "e": return value
        case "d": return value
        default:
            guard let number = Double(value.trimmed) else { return value }
            guard formats.indices.contains(style) else { return CellFormat.general(number) }
            return formats[style].format(number, is1904: is1904)
        }
    }

    /// A number as charts cache it, without the noise of binary fractions.
    static func plainNumber(_ text: String) -> String {
        Double(text).map { CellFormat.general($0) } ?? text
    }

    /// `"BC12"` is column 54.
    static func column(_ reference: String) -> Int? {
        var column = 0
        for byte in reference.utf8 {
            switch byte {
            case 0x41...0x5A: column = column * 26 + Int(byte) - 0x40
            case 0x61...0x7A: column = column * 26 + Int(byte) - 0x60
            default: return column > 0 ? column - 1 : nil
            }
            if column > 20_000 { return nil }
        }
        return column > 0 ? column - 1 : nil
    }

    /// `"&LLeft&CPage &P"` without its codes.
    static func headerText(_ code: String) -> String {
        var text = ""
        var iterator = code.makeIterator()
        while let character = iterator.next() {
            guard character == "&" else {
                text.append(character)
                continue
            }
            guard let command = iterator.next() else { break }
            switch command {
            case "&": text.append("&")
            case "L", "C", "R": text.append(" ")
            case "\"": while let next = iterator.next(), next != "\"" {}
            default: break
            }
        }
        return text.trimmed
    }

    private enum Event {
        case start(String, (String) -> String?)
        case text(String)
        case end(String)
    }

    private static func stream(_ bytes: [UInt8], _ body: (Event) -> Void) {
        bytes.withUnsafeBytes { raw in
            let options = XML_PARSE_RECOVER.rawValue | XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue
            guard raw.count < Int(Int32.max),
                let reader = xmlReaderForMemory(
                    raw.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(raw.count), nil, nil, Int32(bitPattern: options))
            else { return }
            defer { xmlFreeTextReader(reader) }
            while xmlTextReaderRead(reader) == 1 {
                switch xmlTextReaderNodeType(reader) {
                case 1:
                    guard let name = xmlTextReaderConstLocalName(reader).map({ String(cString: $0) }) else { continue }
                    let isEmpty = xmlTextReaderIsEmptyElement(reader) == 1
                    body(
                        .start(
                            name,
                            { attribute in
                                guard let value = xmlTextReaderGetAttribute(reader, attribute) else { return nil }
                                defer { free(value) }
                                return String(cString: value)
                            }))
                    if isEmpty { body(.end(name)) }
                case 3, 4, 13, 14:
                    if let value = xmlTextReaderConstValue(reader) { body(.text(String(cString: value))) }
                case 15:
                    if let name = xmlTextReaderConstLocalName(reader).map({ String(cString: $0) }) { body(.end(name)) }
                default: break
                }
            }
        }
    }
}
