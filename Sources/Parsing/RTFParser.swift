import Foundation

/// Reads Rich Text Format (Microsoft, RTF 1.9.1): a stream of groups, control words and text.
///
///     {\rtf1\ansi{\fonttbl{\f0\fcharset204 Arial;}}\f0 \'cf\'f0\u1080?\par}
///      ^ group    ^ destination, not text           ^ bytes of the font's code page, then a Unicode character
///
/// The reader keeps its groups on a stack of its own, so that a million open braces cost memory, not the call stack. Destinations that
/// are not text (fonts, pictures, field codes, anything starred that is not known) are passed over.
struct RTFParser {
    private enum Destination {
        case body, skip, fonts, styles, note
        case field(name: String)
        case listText
        /// A field's code, and the description of its form field.
        case code
    }
    private struct State {
        var destination = Destination.body
        /// How many characters of replacement follow a `\u`.
        var skipCount = 1
        var font = -1
        var isHidden = false
        var isDeleted = false
        var isStruck = false
        var position = ScriptText.Position.baseline
        var paragraph = Paragraph()
    }
    private struct Paragraph {
        var isInTable = false
        var isListItem = false
        var style: Int?
        var outlineLevel: Int?
    }
    private enum NoteKind: String {
        case footnote = "Footnote"
        case endnote = "Endnote"
        case header = ""
        case comment = "Comment"
    }
    private struct Field {
        /// The group that holds it.
        var depth: Int
        var code = ""
        var result = ""
        /// A form field: its type (1 is a check box), result and default.
        var type = 0
        var state = 25
        var initial = 0
    }
    /// A cell's place in a merge, as the row's definition says before the cell's right edge.
    private struct CellShape {
        var goesOnFromLeft = false
        var goesOnFromAbove = false
    }

    private let bytes: [UInt8]
    private var builder: DocumentBuilder
    private var states: [State] = [State()]
    private var state = State()
    private var codePage = 1252
    private var fontCodePages: [Int: Int] = [:]
    private var symbolFonts: [Int: SymbolFont] = [:]
    private var fontName = ""
    private var fields: [Field] = []
    private var noteCounts: [NoteKind: Int] = [:]
    private var endnoteFormat = "decimal"
    private var commentAuthor = ""
    private var styleNames: [Int: String] = [:]
    private var styleNumber = 0
    private var pending: [UInt8] = []
    private var pendingPage = 1252
    private var highSurrogate: UInt16?
    private var replacementsLeft = 0
    private var text = ScriptText()
    private var listText = ""
    private var fieldText = ""
    private var paragraph: Paragraph {
        get { state.paragraph }
        set { state.paragraph = newValue }
    }
    private var cells: [String] = []
    private var cellText = ScriptText()
    private var shapes: [CellShape] = []
    private var shape = CellShape()
    private var isHeaderRow = false
    private var rows: [(cells: [String], shapes: [CellShape], isHeader: Bool)] = []
    /// Headers and text boxes, for the end.
    private var notes: [String] = []
    /// Notes and comments of the paragraph or table that is being read.
    private var ownNotes: [String] = []
    private var tableNotes: [String] = []
    private var noteStack: [(depth: Int, text: ScriptText, cellText: ScriptText, kind: NoteKind, list: String)] = []
    private var properties: [String: String] = [:]
    private var firstHeading: String?

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var parser = RTFParser(bytes: try input.bytes(), builder: context.builder)
        try parser.run()
        let title = parser.properties.removeValue(forKey: "title")
        return parser.builder.finish(title: title ?? parser.firstHeading, mimeType: "application/rtf", properties: parser.properties)
    }

    private init(bytes: [UInt8], builder: DocumentBuilder) {
        self.bytes = bytes
        self.builder = builder
    }

    private mutating func run() throws(Refusal) {
        var index = 0
        let count = bytes.count
        while index < count {
            let byte = bytes[index]
            switch byte {
            case 0x7B:  // {
                flushBytes()
                if states.count < 1_000_000 { states.append(state) }
                replacementsLeft = 0
                index += 1
            case 0x7D:  // }
                flushBytes()
                try endGroup()
                replacementsLeft = 0
                index += 1
            case 0x5C:  // \
                index += 1
                guard index < count else { break }
                let next = bytes[index]
                if (0x61...0x7A).contains(next | 0x20), next != 0x5C {
                    var word: [UInt8] = []
                    while index < count, (0x61...0x7A).contains(bytes[index] | 0x20), word.count < 40 {
                        word.append(bytes[index])
                        index += 1
                    }
                    var isNegative = false
                    var number: Int?
                    if index < count, bytes[index] == 0x2D {
                        isNegative = true
                        index += 1
                    }
                    while index < count, (0x30...0x39).contains(bytes[index]) {
                        number = min(2_000_000_000, (number ?? 0) * 10 + Int(bytes[index] - 0x30))
                        index += 1
                    }
                    if isNegative { number = number.map { -$0 } }
                    if index < count, bytes[index] == 0x20 { index += 1 }
                    let name = String(decoding: word, as: UTF8.self)
                    if name == "bin" {
                        index = min(count, index + max(0, number ?? 0))
                    } else if name == "u" {
                        flushBytes()
                        unicode(number ?? 0)
                        replacementsLeft = state.skipCount
                    } else {
                        flushBytes()
                        try control(name, number)
                    }
                } else {
                    index += 1
                    switch next {
                    case 0x27:  // \'hh
                        let digits = bytes[index..<min(count, index + 2)]
                        index += digits.count
                        if let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) { byteCharacter(value) }
                    case 0x7E: character(" ")
                    case 0x5F: character("-")
                    case 0x2D: break
                    case 0x2A: starred = true
                    case 0x0A, 0x0D:
                        flushBytes()
                        try endParagraph()
                    case 0x5C, 0x7B, 0x7D: byteCharacter(next)
                    default: break
                    }
                }
            case 0x0A, 0x0D, 0x00:
                index += 1
            default:
                byteCharacter(byte)
                index += 1
            }
        }
        flushBytes()
        endRow()
        state.paragraph.isInTable = false
        state.isDeleted = false
        try endParagraph()
        for note in notes { try builder.note(note) }
    }

    /// Set by `\*`: the next control word names a destination that may be passed over.
    private var starred = false

    // MARK: - Characters

    private mutating func byteCharacter(_ byte: UInt8) {
        if replacementsLeft > 0 {
            replacementsLeft -= 1
            return
        }
        if case .skip = state.destination { return }
        let page = fontCodePages[state.font] ?? codePage
        if page != pendingPage { flushBytes() }
        flushSurrogate()
        pendingPage = page
        pending.append(byte)
    }

    private mutating func flushBytes() {
        guard !pending.isEmpty else { return }
        let run = pending
        pending = []
        // Style and font names, and most text, are ASCII.
        if run.allSatisfy({ $0 < 0x80 }) {
            append(String(decoding: run, as: UTF8.self))
        } else {
            append(
                TextDecoder.convert(run[...], from: TextDecoder.codePage(pendingPage))?.text ?? TextDecoder.convert(
                    run[...], from: "WINDOWS-1252")?.text ?? "")
        }
    }

    private mutating func character(_ string: String) {
        flushBytes()
        flushSurrogate()
        append(string)
    }

    private mutating func unicode(_ number: Int) {
        if case .skip = state.destination { return }
        let unit = UInt16(truncatingIfNeeded: number < 0 ? number + 65_536 : number)
        if number > 65_535, let scalar = UnicodeScalar(UInt32(number)) {
            character(String(scalar))
        } else if UTF16.isLeadSurrogate(unit) {
            flushSurrogate()
            highSurrogate = unit
        } else if UTF16.isTrailSurrogate(unit) {
            if let high = highSurrogate {
                highSurrogate = nil
                append(String(decoding: [high, unit], as: UTF16.self))
            } else {
                append("\u{FFFD}")
            }
        } else {
            flushSurrogate()
            if let scalar = UnicodeScalar(unit) { append(String(scalar)) }
        }
    }

    private mutating func flushSurrogate() {
        if highSurrogate != nil {
            highSurrogate = nil
            append("\u{FFFD}")
        }
    }

    private mutating func append(_ string: String) {
        switch state.destination {
        case .body, .note:
            if state.isHidden || state.isDeleted || state.isStruck { return }
            let string = SymbolFont.readable(string, font: symbolFonts[state.font])
            if paragraph.isInTable, noteStack.isEmpty {
                cellText.append(string, state.position)
            } else {
                text.append(string, state.position)
            }
            // Enough to see whether a link's text is its target; a field may hold the whole document.
            for index in fields.indices where fields[index].result.utf8.count < 4000 { fields[index].result += string }
        case .listText: if !state.isHidden { listText += SymbolFont.readable(string, font: symbolFonts[state.font]) }
        case .field, .styles: fieldText += string
        case .code: if let last = fields.indices.last, fields[last].code.utf8.count < 10_000 { fields[last].code += string }
        case .fonts:
            fontName += string
            guard let end = fontName.firstIndex(of: ";") else { return }
            symbolFonts[state.font] = SymbolFont(name: String(fontName[..<end]))
            fontName = String(fontName[fontName.index(after: end)...])
        case .skip: break
        }
    }

    // MARK: - Controls

    private static let skippedDestinations: Set<String> = [
        "colortbl", "pict", "objdata", "themedata", "colorschememapping", "datastore", "latentstyles", "listtable",
        "listoverridetable",
        "rsidtbl", "generator", "xmlnstbl", "filetbl", "revtbl", "nonshppict", "sp", "template", "private", "bkmkstart", "bkmkend",
        "panose", "falt", "fontemb", "fontfile", "xe", "tc", "ffname", "datafield", "pgdsctbl", "atnid", "atnref", "atntime",
        "atrfstart", "atrfend",
        "mmathPr", "wgrffmtfilter", "userprops", "fldtype", "objclass", "objname", "aftnsep", "aftnsepc", "ftnsep", "ftnsepc", "ftncn",
        "aftncn", "blipuid", "picprop", "do",
    ]
    private static let knownStarred: Set<String> = [
        "shpinst", "shptxt", "footnote", "annotation", "listtext", "pntext", "atnauthor", "company", "ud", "title", "author", "fldrslt",
        "fldinst", "formfield",
    ]

    private mutating func control(_ name: String, _ number: Int?) throws(Refusal) {
        let wasStarred = starred
        starred = false
        if case .skip = state.destination { return }
        if wasStarred, !Self.knownStarred.contains(name) || Self.skippedDestinations.contains(name) {
            state.destination = .skip
            return
        }
        switch name {
        case "par" where state.isDeleted: break
        case "par", "sect": try endParagraph()
        case "page": try endParagraph()
        case "line", "lbr": character(paragraph.isInTable ? " " : "\n")
        case "tab": character(paragraph.isInTable ? " " : "\t")
        case "emdash": character("—")
        case "endash": character("–")
        case "emspace", "enspace", "qmspace": character(" ")
        case "bullet": character("•")
        case "lquote": character("‘")
        case "rquote": character("’")
        case "ldblquote": character("“")
        case "rdblquote": character("”")
        case "chdate", "chtime": break
        case "super": state.position = number == 0 ? .baseline : .raised
        case "sub": state.position = number == 0 ? .baseline : .lowered
        case "nosupersub": state.position = .baseline
        case "up": state.position = number == 0 ? .baseline : .raised
        case "dn": state.position = number == 0 ? .baseline : .lowered
        case "strike", "striked": state.isStruck = number != 0
        case "aftnnrlc": endnoteFormat = "lowerRoman"
        case "aftnnruc": endnoteFormat = "upperRoman"
        case "aftnnalc": endnoteFormat = "lowerLetter"
        case "aftnnauc": endnoteFormat = "upperLetter"
        case "ftnalt":
            if let last = noteStack.indices.last, noteStack[last].kind == .footnote { noteStack[last].kind = .endnote }
        case "field": if fields.count < 1000 { fields.append(Field(depth: states.count)) }
        case "fldinst", "formfield": state.destination = fields.isEmpty ? .skip : .code
        case "fftype", "ffres", "ffdefres":
            guard case .code = state.destination, let last = fields.indices.last else { break }
            if name == "fftype" { fields[last].type = number ?? 0 }
            if name == "ffres" { fields[last].state = number ?? 25 }
            if name == "ffdefres" { fields[last].initial = number ?? 0 }
        case "uc": state.skipCount = max(0, min(20, number ?? 1))
        case "f":
            state.font = number ?? 0
        case "fcharset": if case .fonts = state.destination { fontCodePages[state.font] = Self.codePage(charset: number ?? 0) }
        case "cpg": if case .fonts = state.destination, let number { fontCodePages[state.font] = number }
        case "ansicpg": if let number, number > 0 { codePage = number }
        case "mac": codePage = 10000
        case "pc": codePage = 437
        case "pca": codePage = 850
        case "plain":
            state.isHidden = false
            state.isDeleted = false
            state.isStruck = false
            state.position = .baseline
            state.font = -1
        case "v": state.isHidden = number != 0
        case "deleted": state.isDeleted = number != 0
        case "pard":
            paragraph = Paragraph()
        case "intbl": paragraph.isInTable = true
        case "trowd":
            // Some writers define the row before its cells, some repeat the definition after them.
            shapes = []
            shape = CellShape()
            isHeaderRow = false
        case "clmrg": shape.goesOnFromLeft = true
        case "clvmrg": shape.goesOnFromAbove = true
        case "trhdr": isHeaderRow = true
        case "cellx":
            if shapes.count < 1000 { shapes.append(shape) }
            shape = CellShape()
        case "cell", "nestcell":
            flushSurrogate()
            cells.append(cellText.take() + (noteStack.isEmpty ? text.take() : ""))
            paragraph.isInTable = true
        case "row", "nestrow": endRow()
        case "ls", "pnlvl", "pnlvlblt", "pnlvlbody": paragraph.isListItem = true
        case "s":
            if case .styles = state.destination { styleNumber = number ?? 0 } else { paragraph.style = number }
        case "outlinelevel":
            if case .styles = state.destination {} else { paragraph.outlineLevel = number }
        case "fonttbl": state.destination = .fonts
        case "stylesheet":
            state.destination = .styles
            styleNumber = 0
        case "info": state.destination = .field(name: "info")
        case "title", "author", "subject", "keywords", "company", "doccomm", "operator", "manager", "category":
            if isInInfo {
                state.destination = .field(name: name)
                fieldText = ""
            }
        case "footnote", "annotation", "header", "footer", "headerl", "headerr", "headerf", "footerl", "footerr", "footerf":
            let kind: NoteKind = name == "footnote" ? .footnote : name == "annotation" ? .comment : .header
            beginNote(kind)
        case "atnauthor":
            state.destination = .field(name: name)
            fieldText = ""
        case "shptxt":
            beginNote(.header)
        case "listtext", "pntext":
            state.destination = .listText
            listText = ""
            paragraph.isListItem = true
        case "shprslt": state.destination = .skip
        default:
            if Self.skippedDestinations.contains(name) { state.destination = .skip }
        }
    }

    private var isInInfo: Bool {
        if case .field(let name) = state.destination, name == "info" { return true }
        return false
    }

    private static func codePage(charset: Int) -> Int {
        switch charset {
        case 77: 10000
        case 78, 128: 932
        case 129: 949
        case 130: 1361
        case 134: 936
        case 136: 950
        case 161: 1253
        case 162: 1254
        case 163: 1258
        case 177: 1255
        case 178, 179, 180: 1256
        case 186: 1257
        case 204: 1251
        case 222: 874
        case 238: 1250
        case 254: 437
        default: 1252
        }
    }

    // MARK: - Groups, paragraphs, rows

    private mutating func beginNote(_ kind: NoteKind) {
        flushSurrogate()
        // A note of text that is not read is not read either.
        if state.isHidden || state.isDeleted || state.isStruck {
            state.destination = .skip
            return
        }
        noteStack.append((states.count, text, cellText, kind, listText))
        text = ScriptText()
        state.destination = .note
        state.position = .baseline
    }

    /// Puts a note's mark where it is referred to, and its text after the paragraph.
    private mutating func endNote() {
        guard let note = noteStack.popLast() else { return }
        let content = text.take().trimmed
        text = note.text
        cellText = note.cellText
        listText = note.list
        guard !content.isEmpty else { return }
        switch note.kind {
        case .header: if !notes.contains(content), notes.count < 5000 { notes.append(content) }
        case .comment:
            ownNotes.append("Comment" + (commentAuthor.isBlank ? "" : " by \(commentAuthor.trimmed)") + ": " + content)
            commentAuthor = ""
        case .footnote, .endnote:
            let isInCell = paragraph.isInTable && noteStack.isEmpty
            let last = (isInCell ? cellText.text() : text.text()).last
            // A mark of the author's own stands there already.
            if let last, "*†‡§".contains(last) {
                ownNotes.append("\(note.kind.rawValue): \(content)")
                return
            }
            noteCounts[note.kind, default: 0] += 1
            let label = WordParser.format(noteCounts[note.kind] ?? 1, note.kind == .endnote ? endnoteFormat : "decimal")
            if isInCell { cellText.append("[\(label)]") } else { text.append("[\(label)]") }
            ownNotes.append("\(note.kind.rawValue) [\(label)]: \(content)")
        }
    }

    /// What a field adds to its result: the state of its box, the target of its link.
    private mutating func endField(_ field: Field) {
        let isShown = !state.isHidden && !state.isDeleted && !state.isStruck
        guard isShown else { return }
        switch state.destination {
        case .body, .note: break
        default: return
        }
        var addition = ""
        if field.type == 1 {
            addition = (field.state == 25 ? field.initial : field.state) == 1 ? "[x]" : "[ ]"
        } else if field.result.isBlank {
            addition = LinkTarget.glyph(ofField: field.code) ?? ""
        } else {
            addition = LinkTarget.suffix(LinkTarget.ofField(field.code), after: field.result)
        }
        if addition.isEmpty { return }
        if paragraph.isInTable, noteStack.isEmpty { cellText.append(addition) } else { text.append(addition) }
        for index in fields.indices { fields[index].result += addition }
    }

    private mutating func endGroup() throws(Refusal) {
        flushSurrogate()
        if case .styles = state.destination, !fieldText.isEmpty {
            let name = fieldText.split(separator: ";").first.map { $0.trimmed.lowercased() } ?? ""
            if !name.isEmpty, styleNames.count < 10_000 { styleNames[styleNumber] = name }
            fieldText = ""
            styleNumber = 0
        }
        if case .field(let name) = state.destination, name == "atnauthor" {
            commentAuthor = String(fieldText.prefix(200))
            fieldText = ""
        }
        if case .field(let name) = state.destination, name != "info", !fieldText.isEmpty {
            let key = name == "doccomm" ? "description" : name
            properties[key] = String(fieldText.prefix(500)).trimmed
            fieldText = ""
        }
        let endsNote = noteStack.last?.depth == states.count
        var marksListItem = false
        if case .listText = state.destination { marksListItem = true }
        let ended = fields.last?.depth == states.count ? fields.popLast() : nil
        if states.count > 1 { state = states.removeLast() }
        if endsNote { endNote() }
        if let ended { endField(ended) }
        // The text of a list's marker is a group of its own before the item.
        if marksListItem { paragraph.isListItem = true }
    }

    private mutating func endParagraph() throws(Refusal) {
        flushSurrogate()
        guard noteStack.isEmpty else {
            text.append("\n")
            return
        }
        if paragraph.isInTable {
            if !cellText.text().isEmpty { cellText.append(" ") }
            return
        }
        endRow()
        // What the table's cells refer to stands after it, before this paragraph.
        let content = text.take()
        let marker = listText.trimmed
        listText = ""
        try endTable()
        guard !content.isBlank else { return try writeNotes() }
        if let level = headingLevel {
            if firstHeading == nil { firstHeading = content.trimmed }
            try builder.heading(marker.isEmpty ? content : "\(marker) \(content)", level: level)
        } else if paragraph.isListItem {
            let isBullet =
                marker.isEmpty || marker == "[x]"
                || marker.unicodeScalars.allSatisfy { !$0.properties.isAlphabetic && !("0"..."9").contains($0) }
            try builder.listItem(content, marker: isBullet ? "- " : marker + " ")
        } else {
            try builder.lines(content)
        }
        try writeNotes()
    }

    private mutating func writeNotes() throws(Refusal) {
        for note in ownNotes { try builder.note(note) }
        ownNotes = []
    }

    private var headingLevel: Int? {
        if let level = paragraph.outlineLevel, level >= 0, level < 9 { return level + 1 }
        guard let name = paragraph.style.flatMap({ styleNames[$0] }) else { return nil }
        if name == "title" { return 1 }
        if name.hasPrefix("heading ") { return Int(name.dropFirst(8)).map { min(9, max(1, $0)) } }
        return nil
    }

    private mutating func endRow() {
        let rest = cellText.text()
        guard !cells.isEmpty || !rest.isBlank else { return }
        if !rest.isBlank { cells.append(rest) }
        cellText = ScriptText()
        rows.append((cells, shapes, isHeaderRow))
        cells = []
        tableNotes += ownNotes
        ownNotes = []
    }

    private mutating func endTable() throws(Refusal) {
        guard !rows.isEmpty else { return }
        let lines = rows
        rows = []
        func goesDown(_ row: Int, _ column: Int) -> Bool {
            row < lines.count && column < lines[row].shapes.count && lines[row].shapes[column].goesOnFromAbove
                && column < lines[row].cells.count && lines[row].cells[column].isBlank
        }
        var table = TableGrid()
        for (index, line) in lines.enumerated() {
            var cells: [TableGrid.Cell] = []
            var reach = 1
            for (column, text) in line.cells.enumerated() {
                if column < line.shapes.count, line.shapes[column].goesOnFromLeft, text.isBlank, !cells.isEmpty {
                    cells[cells.count - 1].columns += 1
                    continue
                }
                if index > 0, goesDown(index, column) { continue }
                reach = 1
                while goesDown(index + reach, column) { reach += 1 }
                cells.append(TableGrid.Cell(text: text, rows: reach))
            }
            table.add(cells, isHeader: line.isHeader)
        }
        // Nobody says which row names the columns.
        try table.write(to: &builder, startsWithHeader: table.looksHeaded)
        for note in tableNotes { try builder.note(note) }
        tableNotes = []
    }
}
