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
    }
    private struct State {
        var destination = Destination.body
        /// How many characters of replacement follow a `\u`.
        var skipCount = 1
        var font = -1
        var isHidden = false
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
        case header = ""
        case comment = "Comment"
    }

    private let bytes: [UInt8]
    private var builder: DocumentBuilder
    private var states: [State] = [State()]
    private var state = State()
    private var codePage = 1252
    private var fontCodePages: [Int: Int] = [:]
    private var styleNames: [Int: String] = [:]
    private var styleNumber = 0
    private var pending: [UInt8] = []
    private var pendingPage = 1252
    private var highSurrogate: UInt16?
    private var replacementsLeft = 0
    private var text = ""
    private var listText = ""
    private var fieldText = ""
    private var paragraph: Paragraph {
        get { state.paragraph }
        set { state.paragraph = newValue }
    }
    private var cells: [String] = []
    private var cellText = ""
    private var isTableOpen = false
    private var notes: [String] = []
    private var noteStack: [(depth: Int, text: String, kind: NoteKind, list: String)] = []
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
        try endRow()
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
            // Symbol fonts put their glyphs into the private area.
            let value = (0xF020...0xF0FF).contains(unit) ? unit - 0xF000 : unit
            if let scalar = UnicodeScalar(value) { append(String(scalar)) }
        }
    }

    private mutating func flushSurrogate() {
        if highSurrogate != nil {
            highSurrogate = nil
            append("\u{FFFD}")
        }
    }

    private mutating func append(_ string: String) {
        if state.isHidden { return }
        switch state.destination {
        case .body:
            if paragraph.isInTable, noteStack.isEmpty { cellText += string } else { text += string }
        case .note: text += string
        case .listText: listText += string
        case .field, .styles: fieldText += string
        case .skip, .fonts: break
        }
    }

    // MARK: - Controls

    private static let skippedDestinations: Set<String> = [
        "colortbl", "pict", "objdata", "fldinst", "themedata", "colorschememapping", "datastore", "latentstyles", "listtable",
        "listoverridetable",
        "rsidtbl", "generator", "xmlnstbl", "filetbl", "revtbl", "nonshppict", "sp", "template", "private", "bkmkstart", "bkmkend",
        "panose", "falt", "fontemb", "fontfile", "xe", "tc", "formfield", "ffname", "datafield", "pgdsctbl", "atnid", "atnref", "atntime",
        "atrfstart", "atrfend",
        "mmathPr", "wgrffmtfilter", "userprops", "fldtype", "objclass", "objname", "aftnsep", "aftnsepc", "ftnsep", "ftnsepc", "ftncn",
        "aftncn", "blipuid", "picprop", "do",
    ]
    private static let knownStarred: Set<String> = [
        "shpinst", "shptxt", "footnote", "annotation", "listtext", "pntext", "atnauthor", "company", "ud", "title", "author", "fldrslt",
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
            state.font = -1
        case "v": state.isHidden = number != 0
        case "deleted": state.isHidden = number != 0
        case "pard":
            paragraph = Paragraph()
        case "intbl": paragraph.isInTable = true
        case "trowd":
            // Some writers define the row before its cells, some repeat the definition after them.
            break
        case "cell", "nestcell":
            flushSurrogate()
            cells.append(cellText + (noteStack.isEmpty ? text : ""))
            cellText = ""
            if noteStack.isEmpty { text = "" }
            paragraph.isInTable = true
        case "row", "nestrow": try endRow()
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
        noteStack.append((states.count, text, kind, listText))
        text = ""
        state.destination = .note
    }

    private mutating func endGroup() throws(Refusal) {
        flushSurrogate()
        if case .styles = state.destination, !fieldText.isEmpty {
            let name = fieldText.split(separator: ";").first.map { $0.trimmed.lowercased() } ?? ""
            if !name.isEmpty, styleNames.count < 10_000 { styleNames[styleNumber] = name }
            fieldText = ""
            styleNumber = 0
        }
        if case .field(let name) = state.destination, name != "info", !fieldText.isEmpty {
            let key = name == "doccomm" ? "description" : name
            properties[key] = String(fieldText.prefix(500)).trimmed
            fieldText = ""
        }
        if let note = noteStack.last, note.depth == states.count {
            noteStack.removeLast()
            let content = text.trimmed
            if !content.isEmpty {
                let line = note.kind == .header ? content : "\(note.kind.rawValue): \(content)"
                if !notes.contains(line), notes.count < 5000 { notes.append(line) }
            }
            text = note.text
            listText = note.list
        }
        var marksListItem = false
        if case .listText = state.destination { marksListItem = true }
        if states.count > 1 { state = states.removeLast() }
        // The text of a list's marker is a group of its own before the item.
        if marksListItem { paragraph.isListItem = true }
    }

    private mutating func endParagraph() throws(Refusal) {
        flushSurrogate()
        guard noteStack.isEmpty else {
            text += "\n"
            return
        }
        if paragraph.isInTable {
            if !cellText.isEmpty { cellText += " " }
            return
        }
        try endRow()
        isTableOpen = false
        let content = text
        text = ""
        let marker = listText.trimmed
        listText = ""
        guard !content.isBlank else { return }
        if let level = headingLevel {
            if firstHeading == nil { firstHeading = content.trimmed }
            try builder.heading(marker.isEmpty ? content : "\(marker) \(content)", level: level)
        } else if paragraph.isListItem {
            let isBullet = marker.isEmpty || marker.unicodeScalars.allSatisfy { !$0.properties.isAlphabetic && !("0"..."9").contains($0) }
            try builder.listItem(content, marker: isBullet ? "- " : marker + " ")
        } else {
            try builder.lines(content)
        }
    }

    private var headingLevel: Int? {
        if let level = paragraph.outlineLevel, level >= 0, level < 9 { return level + 1 }
        guard let name = paragraph.style.flatMap({ styleNames[$0] }) else { return nil }
        if name == "title" { return 1 }
        if name.hasPrefix("heading ") { return Int(name.dropFirst(8)).map { min(9, max(1, $0)) } }
        return nil
    }

    private mutating func endRow() throws(Refusal) {
        guard !cells.isEmpty || !cellText.isBlank else { return }
        if !cellText.isBlank { cells.append(cellText) }
        cellText = ""
        let row = cells
        cells = []
        if !isTableOpen {
            builder.beginTable()
            isTableOpen = true
        }
        try builder.tableRow(row)
    }
}
