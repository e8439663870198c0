import CLibXML2
import Foundation

/// Reads XLSX (ECMA-376 SpreadsheetML): one page per sheet, each row of cells a table row, formulas by their last value, or as
/// formulas with a warning when no program ever calculated them.
///
/// Sheets are streamed, because a tree of a large one would not fit in memory.
struct SpreadsheetParser {
    private let package: OfficePackage
    private var builder: DocumentBuilder
    private var strings: [String] = []
    private var formats: [CellFormat] = []
    /// What a cell's font changes, by the cell's style.
    private var looks: [(font: SymbolFont?, isStruck: Bool)] = []
    private var is1904 = false
    private var isCalculatedOnLoad = false
    private var openFormulaCount = 0
    private let keepsHidden: Bool

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let package = try OfficePackage(input, context: context)
        if package.archive.entries.contains(where: { $0.name == "xl/workbook.bin" }) {
            throw .unsupportedFormat("\(input.name) is a binary workbook (XLSB); save it as XLSX")
        }
        var parser = SpreadsheetParser(package: package, builder: context.builder, keepsHidden: context.limits.keepsHidden)
        return try parser.parse(input, context)
    }

    private init(package: OfficePackage, builder: DocumentBuilder, keepsHidden: Bool) {
        self.package = package
        self.builder = builder
        self.keepsHidden = keepsHidden
    }

    private mutating func parse(_ input: ParseInput, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        for warning in package.archive.warnings { builder.warn(warning) }
        let main = package.part("officeDocument", of: "") ?? "xl/workbook.xml"
        var sheets: [(name: String, part: String, isHidden: Bool)] = []
        if let workbook = package.tree(main) {
            is1904 = Self.isOn(workbook.root.first("workbookPr")?["date1904"])
            isCalculatedOnLoad = Self.isOn(workbook.root.first("calcPr")?["fullCalcOnLoad"])
            let relationships = package.relationships(of: main)
            for node in workbook.root.first("sheets")?.nodes.filter(\.isElement) ?? [] {
                if let id = node["r:id"] ?? node["id"], let target = relationships[id]?.target {
                    sheets.append((node["name"] ?? "", target, ["hidden", "veryHidden"].contains(node["state"] ?? "")))
                }
            }
        }
        if sheets.isEmpty {
            sheets = package.archive.memberNames(prefix: "xl/worksheets/sheet").enumerated().map {
                ("Sheet\($0.offset + 1)", $0.element, false)
            }
        }
        guard !sheets.isEmpty else { throw .malformed("\(input.name) has no sheets") }
        readStrings(package.part("sharedStrings", of: main) ?? "xl/sharedStrings.xml")
        readFormats(package.part("styles", of: main) ?? "xl/styles.xml")

        for (index, sheet) in sheets.enumerated() {
            builder.page = index + 1
            if sheet.isHidden, !keepsHidden { continue }
            guard let bytes = package.archive.member(sheet.part) else {
                builder.warn("the sheet \(sheet.name) cannot be read")
                continue
            }
            let (writer, notes) = readSheet(bytes, links: package.relationships(of: sheet.part))
            if !sheet.name.isBlank { try builder.heading(sheet.name + (sheet.isHidden ? " [hidden sheet]" : ""), level: 1) }
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
        if openFormulaCount > 0 {
            builder.warn(
                "\(openFormulaCount) \(openFormulaCount == 1 ? "formula was" : "formulas were") never calculated and shown as written; open and save the file in a spreadsheet program"
            )
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

    private static func isOn(_ value: String?) -> Bool { ["1", "true", "on"].contains(value?.lowercased() ?? "") }

    /// A string with its runs, without what is struck out; the phonetic reading of East Asian text follows it, so that it can be found too.
    private static func stringItem(_ item: XMLNode) -> String {
        var text = ScriptText()
        var reading = ""
        for node in item.children {
            switch node.name {
            case "t": text.append(node.text)
            case "r":
                let properties = node.first("rPr")
                if let strike = properties?.first("strike"), strike["val"].map({ isOn($0) }) ?? true { continue }
                let position: ScriptText.Position =
                    switch properties?.first("vertAlign")?["val"] ?? "" {
                    case "superscript": .raised
                    case "subscript": .lowered
                    default: .baseline
                    }
                let font = properties?.first("rFont")?["val"].flatMap { SymbolFont(name: $0) }
                text.append(SymbolFont.readable(node.first("t")?.text ?? "", font: font), position)
            case "rPh": reading += node.first("t")?.text ?? ""
            default: break
            }
        }
        return reading.isEmpty ? text.text() : "\(text.text()) \(reading)"
    }

    private mutating func readFormats(_ part: String) {
        guard let tree = package.tree(part) else { return }
        var custom: [Int: CellFormat] = [:]
        for node in tree.root.first("numFmts")?.nodes.filter(\.isElement) ?? [] {
            if let id = node["numFmtId"].flatMap({ Int($0) }), let code = node["formatCode"] { custom[id] = CellFormat(code: code) }
        }
        let fonts = (tree.root.first("fonts")?.nodes.filter(\.isElement) ?? []).map { node in
            (
                font: node.first("name")?["val"].flatMap { SymbolFont(name: $0) },
                isStruck: node.first("strike").map { $0["val"].map { Self.isOn($0) } ?? true } ?? false
            )
        }
        for node in tree.root.first("cellXfs")?.nodes.filter(\.isElement) ?? [] where node.name == "xf" {
            let id = node["numFmtId"].flatMap { Int($0) } ?? 0
            formats.append(custom[id] ?? CellFormat(builtIn: id))
            let font = node["fontId"].flatMap { Int($0) } ?? 0
            looks.append(fonts.indices.contains(font) ? fonts[font] : (nil, false))
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

    private mutating func readSheet(_ bytes: [UInt8], links: [String: OfficePackage.Relationship]) -> (SheetWriter, notes: [String]) {
        var writer = SheetWriter()
        writer.keepsHidden = keepsHidden
        var notes: [String] = []
        var cells: [(column: Int, text: String)] = []
        var rowIndex = 0
        var isRowHidden = false
        var column = -1
        var type = ""
        var style = 0
        var value = ""
        var formula: String?
        var isInValue = false
        var isInFormula = false
        var isInPhonetic = false
        var note: String?
        var openCount = 0
        // Formulas whose stored value is zero: some programs write it where they have not calculated.
        var zeros: [(row: Int, column: Int, formula: String)] = []
        var hasOtherValues = false
        Self.stream(bytes) { event in
            switch event {
            case .start(let name, let attribute):
                switch name {
                case "row":
                    // Rows without a number follow the one before.
                    rowIndex = attribute("r").flatMap { Int($0) } ?? rowIndex + 1
                    isRowHidden = Self.isOn(attribute("hidden")) || attribute("ht").flatMap { Double($0) } == 0
                    cells = []
                    column = -1
                case "c":
                    column = attribute("r").flatMap { Self.column($0) } ?? column + 1
                    type = attribute("t") ?? "n"
                    style = attribute("s").flatMap { Int($0) } ?? 0
                    value = ""
                    formula = nil
                case "v", "t": isInValue = !isInPhonetic
                case "f":
                    isInFormula = true
                    formula = ""
                case "rPh": isInPhonetic = true
                case "col":
                    guard Self.isOn(attribute("hidden")) || attribute("width").flatMap({ Double($0) }) == 0,
                        let first = attribute("min").flatMap({ Int($0) }), let last = attribute("max").flatMap({ Int($0) }), 1 <= first,
                        first <= last
                    else { break }
                    writer.hide(columns: (first - 1)...(last - 1))
                case "mergeCell":
                    if let area = attribute("ref").flatMap({ Self.area($0) }) { writer.merge(rows: area.rows, columns: area.columns) }
                case "hyperlink":
                    guard let area = attribute("ref").flatMap({ Self.area($0) }), let id = attribute("r:id") ?? attribute("id"),
                        let link = links[id], link.isExternal
                    else { break }
                    writer.change(row: area.rows.lowerBound, column: area.columns.lowerBound) {
                        $0 + LinkTarget.suffix(link.target, after: $0)
                    }
                case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter": note = ""
                default: break
                }
            case .text(let text):
                if isInFormula { formula?.append(text) } else if isInValue { value += text }
                note?.append(text)
            case .end(let name):
                switch name {
                case "v", "t": isInValue = false
                case "f": isInFormula = false
                case "rPh": isInPhonetic = false
                case "c":
                    var text = cellText(value, type: type, style: style)
                    if let formula {
                        if text.isBlank, type != "str" {
                            // An empty value of type text is a result; no value at all is none.
                            text = formula.isBlank ? "[formula not calculated]" : "=" + formula.trimmed
                            openCount += 1
                        } else if type == "n" {
                            if Double(value.trimmed) == 0 {
                                zeros.append((rowIndex, column, formula.trimmed))
                            } else {
                                hasOtherValues = true
                            }
                        }
                        text += LinkTarget.suffix(Self.linkTarget(ofFormula: formula), after: text)
                    }
                    if !text.isBlank { cells.append((column, text)) }
                case "row": writer.add(row: rowIndex, cells: cells, isHidden: isRowHidden)
                case "oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter":
                    let text = Self.headerText(note ?? "")
                    if !text.isBlank, !notes.contains(text) { notes.append(text) }
                    note = nil
                default: break
                }
            }
        }
        if isCalculatedOnLoad, !hasOtherValues, zeros.count > 1 {
            for zero in zeros where !zero.formula.isEmpty {
                writer.change(row: zero.row, column: zero.column) { $0 + " (=\(zero.formula))" }
            }
            openCount += zeros.count
        }
        openFormulaCount += openCount
        return (writer, notes)
    }

    private func cellText(_ value: String, type: String, style: Int) -> String {
        let look = looks.indices.contains(style) ? looks[style] : (font: nil, isStruck: false)
        var text: String
        switch type {
        case "s":
            guard let index = Int(value.trimmed), strings.indices.contains(index) else { return "" }
            text = strings[index]
        case "b": text = value == "1" || value == "true" ? "TRUE" : value.isEmpty ? "" : "FALSE"
        case "str", "inlineStr", "e", "d": text = value
        default:
            guard let number = Double(value.trimmed) else { return value }
            text = formats.indices.contains(style) ? formats[style].format(number, is1904: is1904) : CellFormat.general(number)
            return look.isStruck && !text.isEmpty ? "[struck out] " + text : text
        }
        if type != "e", formats.indices.contains(style) { text = formats[style].format(text: text) }
        text = SymbolFont.readable(text, font: look.font)
        return look.isStruck && !text.isBlank ? "[struck out] " + text : text
    }

    /// The address in `HYPERLINK("https://example.org","text")`.
    private static func linkTarget(ofFormula formula: String) -> String? {
        guard let start = formula.range(of: "HYPERLINK(", options: .caseInsensitive) else { return nil }
        let rest = formula[start.upperBound...].drop { $0 == " " }
        guard rest.first == "\"" else { return nil }
        return String(rest.dropFirst().prefix { $0 != "\"" })
    }

    /// `"B2:C10"`, columns from 0.
    private static func area(_ reference: String) -> (rows: ClosedRange<Int>, columns: ClosedRange<Int>)? {
        let ends = reference.replacing("$", with: "").split(separator: ":").map { end in
            (row: Int(end.drop { !("0"..."9").contains($0) }), column: column(String(end)))
        }
        guard let first = ends.first, let last = ends.last, let top = first.row, let bottom = last.row, let left = first.column,
            let right = last.column,
            top <= bottom, left <= right
        else { return nil }
        return (top...bottom, left...right)
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
