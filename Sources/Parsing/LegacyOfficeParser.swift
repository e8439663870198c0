import Foundation

/// Reads Office 97 to 2003 files and Outlook messages: the text, as far as it can be had without their layout.
enum LegacyOfficeParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let file = try CompoundFile(try input.bytes(), name: input.name)
        let names = Set(file.children(of: 0).map(\.entry.name))
        if names.contains("EncryptedPackage") { throw .encrypted("\(input.name) needs a password; save it without one and try again") }
        if names.contains("WordDocument") { return try LegacyWord.parse(file, name: input.name, context: context) }
        if names.contains("PowerPoint Document") { return try LegacyPowerPoint.parse(file, name: input.name, context: context) }
        if names.contains("Workbook") || names.contains("Book") { return try LegacyExcel.parse(file, name: input.name, context: context) }
        if names.contains(where: { $0.hasPrefix("__properties_version1") }) {
            return try OutlookMessage.parse(file, input: input, context: context)
        }
        // An object that another document carried: its own format is inside.
        if let package = file.stream("Package") { return try context.parseNested(ParseInput(bytes: package, name: input.name)) }
        if let native = file.stream("\u{1}Ole10Native") { return try parseNative(native, input, context) }
        throw .unsupportedFormat("\(input.name) is a compound file of unknown kind (\(names.sorted().prefix(4).joined(separator: ", ")))")
    }

    /// A file that was dropped into a document: a label, two paths, then its bytes.
    private static func parseNative(_ data: [UInt8], _ input: ParseInput, _ context: ParseContext) throws(Refusal) -> ParsedDocument {
        var offset = 6
        func string() -> String {
            let end = data[min(offset, data.count)...].firstIndex(of: 0) ?? data.count
            defer { offset = end + 1 }
            return TextDecoder.decode(Array(data[min(offset, end)..<end])).text
        }
        let label = string()
        let path = string()
        offset += 4
        let length = Int(data.u32(offset))
        offset += 4
        if offset + length <= data.count { offset += length } else { _ = string() }
        let size = Int(data.u32(offset))
        offset += 4
        guard size > 0, offset + size <= data.count else { throw .malformed("\(input.name) is an incomplete embedded file") }
        let inner = ParseInput(bytes: Array(data[offset..<(offset + size)]), name: label.isEmpty ? input.name : label)
        var document = try context.parseNested(inner)
        document.properties["path"] = path.isEmpty ? nil : path
        return document
    }
}

/// Word's binary format ([MS-DOC]): the piece table says where the text lies and in which of two encodings.
enum LegacyWord {
    static func parse(_ file: CompoundFile, name: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let main = file.stream("WordDocument"), main.count > 0x200, main.u16(0) == 0xA5EC || main.u16(0) == 0xA5DC else {
            throw .malformed("\(name) has no readable WordDocument stream")
        }
        let flags = main.u16(0x0A)
        if flags & 0x0100 != 0 { throw .encrypted("\(name) needs a password; save it without one and try again") }
        let version = main.u16(2)
        guard version >= 0x00C1 else { throw .unsupportedFormat("\(name) was written by Word 95 or older; save it as DOCX") }
        let table = file.stream(flags & 0x0200 != 0 ? "1Table" : "0Table") ?? []
        // Character counts of the parts, which follow each other in this order.
        let counts = [0x4C, 0x50, 0x54, 0x5C, 0x60, 0x64, 0x68].map { Int(Int32(bitPattern: main.u32($0))) }
        let text = pieces(main, table, offset: Int(main.u32(0x01A2)), size: Int(main.u32(0x01A6)))
        guard !text.isEmpty else { throw .malformed("\(name) has no readable piece table") }

        var builder = context.builder
        var start = 0
        let labels = ["", "Footnote: ", "", "Comment: ", "Endnote: ", "", ""]
        var consumed = false
        for (index, count) in counts.enumerated() {
            let end = min(text.count, start + max(0, count))
            if start < end {
                try write(text[start..<end], label: labels[index], isMain: index == 0, to: &builder)
                consumed = true
            }
            start = end
        }
        if !consumed { try write(text[...], label: "", isMain: true, to: &builder) }
        let (title, properties) = file.summary()
        return builder.finish(title: title, mimeType: "application/msword", properties: properties)
    }

    /// The text as UTF-16 units, whose positions the counts speak of.
    private static func pieces(_ main: [UInt8], _ table: [UInt8], offset: Int, size: Int) -> [UInt16] {
        var position = offset
        let end = min(table.count, offset + size)
        while position < end, table[position] == 1 { position += 3 + Int(table.u16(position + 1)) }
        guard position + 5 < end, table[position] == 2 else { return [] }
        let length = min(Int(table.u32(position + 1)), end - position - 5)
        position += 5
        let count = (length - 4) / 12
        guard count > 0, count < 1_000_000 else { return [] }
        var text: [UInt16] = []
        for index in 0..<count {
            let first = Int(table.u32(position + index * 4))
            let last = Int(table.u32(position + index * 4 + 4))
            let characters = last - first
            guard characters > 0 else { continue }
            let location = table.u32(position + (count + 1) * 4 + index * 8 + 2)
            let isCompressed = location & 0x4000_0000 != 0
            let base = Int(location & 0x3FFF_FFFF) / (isCompressed ? 2 : 1)
            let available = (main.count - base) / (isCompressed ? 1 : 2)
            guard base >= 0, available > 0 else { continue }
            for character in 0..<min(characters, available) {
                text.append(isCompressed ? Self.windows1252(main[base + character]) : main.u16(base + character * 2))
            }
            // Overlapping pieces could repeat the file for ever.
            if text.count > main.count * 2 { break }
        }
        return text
    }

    private static let high: [UInt16] = [
        0x20AC, 0x81, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160, 0x2039, 0x152, 0x8D, 0x17D, 0x8F, 0x90, 0x2018,
        0x2019, 0x201C,
        0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122, 0x161, 0x203A, 0x153, 0x9D, 0x17E, 0x178,
    ]
    static func windows1252(_ byte: UInt8) -> UInt16 { (0x80...0x9F).contains(byte) ? high[Int(byte) - 0x80] : UInt16(byte) }

    /// Paragraphs end in 0D, cells in 07 and rows in a second 07; fields are 13 code 14 result 15.
    private static func write(_ text: ArraySlice<UInt16>, label: String, isMain: Bool, to builder: inout DocumentBuilder) throws(Refusal) {
        var units: [UInt16] = []
        var cells: [String] = []
        var codeDepth = 0
        var fieldIsCode: [Bool] = []
        var isInTable = false
        var wasCellMark = false
        func string(_ units: [UInt16]) -> String { String(decoding: units, as: UTF16.self) }
        func paragraph(_ content: String, to builder: inout DocumentBuilder) throws(Refusal) {
            guard !content.isBlank else { return }
            if isMain { try builder.lines(content) } else { try builder.note(label + content.trimmed) }
        }
        for unit in text {
            switch unit {
            case 0x13:
                fieldIsCode.append(true)
                codeDepth += 1
            case 0x14:
                if fieldIsCode.last == true {
                    fieldIsCode[fieldIsCode.count - 1] = false
                    codeDepth -= 1
                }
            case 0x15:
                if fieldIsCode.popLast() == true { codeDepth -= 1 }
            case _ where codeDepth > 0: break
            case 0x07:
                if wasCellMark, units.isEmpty, !cells.isEmpty {
                    if !isInTable { builder.beginTable() }
                    isInTable = true
                    try builder.tableRow(cells)
                    cells = []
                    wasCellMark = false
                    continue
                }
                cells.append(string(units).trimmed)
                units = []
                wasCellMark = true
                continue
            case 0x0D, 0x0C:
                if !cells.isEmpty {
                    // Still inside a cell of several paragraphs, or past a row whose end was not marked.
                    units.append(0x20)
                } else {
                    if isInTable, !units.isEmpty {
                        isInTable = false
                        builder.endTable()
                    }
                    try paragraph(string(units), to: &builder)
                    units = []
                }
            case 0x0B: units.append(0x0A)
            case 0x1E: units.append(0x2D)
            case 0x1F, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08: break
            default: units.append(unit)
            }
            wasCellMark = false
        }
        if !cells.isEmpty { try builder.tableRow(cells) }
        try paragraph(string(units), to: &builder)
    }
}

/// PowerPoint's binary format ([MS-PPT]): a tree of records; text is in atoms, the outline of all slides in one list.
enum LegacyPowerPoint {
    static func parse(_ file: CompoundFile, name: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let data = file.stream("PowerPoint Document") else { throw .malformed("\(name) has no readable stream") }
        if let user = file.stream("Current User"), user.u32(12) == 0xF3D1_C4DF {
            throw .encrypted("\(name) needs a password; save it without one and try again")
        }
        var builder = context.builder
        var slideCount = 0
        var kind = 0
        var seen: Set<String> = []
        var title: String?
        // The containers in which text of slides is found; masters hold only instructions.
        var ranges: [(start: Int, end: Int, isNotes: Bool)] = [(0, data.count, false)]
        var steps = 0
        while let range = ranges.popLast(), steps < 2_000_000 {
            var offset = range.start
            while offset + 8 <= range.end {
                steps += 1
                let version = data.u16(offset)
                let type = Int(data.u16(offset + 2))
                let length = Int(data.u32(offset + 4))
                let body = offset + 8
                let end = min(range.end, body + length)
                guard end >= body else { break }
                if version & 0xF == 0xF, ranges.count < 10_000 {
                    let instance = version >> 4
                    // A master; and in the outline, lists of masters (1) and of notes (2).
                    let isSkipped = type == 0x03F8 || type == 0x0FC9 || (type == 0x0FF0 && instance == 1)
                    if !isSkipped {
                        ranges.append((end, range.end, range.isNotes))
                        ranges.append((body, end, range.isNotes || type == 0x03F0 || (type == 0x0FF0 && instance == 2)))
                        break
                    }
                } else if type == 0x03F3 {
                    if !range.isNotes {
                        slideCount += 1
                        builder.page = slideCount
                    }
                    kind = 0
                } else if type == 0x0F9F {
                    kind = Int(data.u32(body))
                } else if type == 0x0FA0 || type == 0x0FA8 {
                    let units: [UInt16] =
                        type == 0x0FA0
                        ? stride(from: body, to: end - 1, by: 2).map { data.u16($0) } : data[body..<end].map { LegacyWord.windows1252($0) }
                    let text = String(decoding: units.map { $0 == 0x0B ? 0x20 : $0 }, as: UTF16.self).trimmed
                    let isInstruction = text.hasPrefix("Click to edit Master") || text == "*"
                    if !text.isEmpty, !isInstruction, seen.insert("\(kind)\(text)").inserted {
                        if range.isNotes || kind == 2 {
                            try builder.note("Notes: " + text.replacing("\r", with: "\n"))
                        } else if kind == 0 && text.utf8.count < 300 || kind == 6 {
                            if title == nil { title = text }
                            try builder.heading(text, level: 1)
                        } else {
                            for line in text.split(whereSeparator: { $0 == "\r" || $0 == "\n" || $0 == "\r\n" }) {
                                try builder.listItem(line)
                            }
                        }
                    }
                    kind = 4
                }
                offset = end
            }
        }
        guard !builder.isEmpty else { throw .empty("\(name) has no text on its slides") }
        let (summaryTitle, properties) = file.summary()
        return builder.finish(
            title: summaryTitle ?? title, mimeType: "application/vnd.ms-powerpoint", pageCount: slideCount > 0 ? slideCount : nil,
            properties: properties)
    }
}

/// Outlook messages ([MS-OXMSG]): each property of the message is a stream named by its id and type.
enum OutlookMessage {
    static func parse(_ file: CompoundFile, input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        let title = try write(file, storage: 0, to: &builder, context: context, depth: 0)
        guard !builder.isEmpty else { throw .empty("\(input.name) has no subject and no body") }
        return builder.finish(title: title.subject, mimeType: "application/vnd.ms-outlook", properties: title.properties)
    }

    private static func write(
        _ file: CompoundFile, storage: Int, to builder: inout DocumentBuilder, context: ParseContext, depth: Int
    ) throws(Refusal) -> (subject: String?, properties: [String: String]) {
        let children = file.children(of: storage)
        func bytes(_ id: String) -> [UInt8]? {
            children.first { $0.entry.name.uppercased() == "__SUBSTG1.0_" + id }.map { file.read($0.entry) }
        }
        func text(_ id: String) -> String? {
            let value: String?
            if let wide = bytes(id + "001F") {
                value = TextDecoder.convert(wide[...], from: "UTF-16LE")?.text
            } else {
                value = bytes(id + "001E").map { TextDecoder.decode($0).text }
            }
            return value.flatMap { $0.isBlank ? nil : $0.replacing("\0", with: "").trimmed }
        }
        let subject = text("0037") ?? text("0E1D")
        if let subject { try builder.heading(subject, level: min(6, depth + 1)) }
        let transport = text("007D").map { MailParser.Part(Array($0.utf8)[...]) }
        let sender = [text("0C1A"), text("0C1F").flatMap { $0.contains("@") ? "<\($0)>" : nil }].compactMap { $0 }.joined(separator: " ")
        var head: [String] = []
        if !sender.isEmpty { head.append("From: \(sender)") }
        if let to = text("0E04") { head.append("To: \(to)") }
        if let cc = text("0E03") { head.append("Cc: \(cc)") }
        let date = transport?.header("date")
        if let date { head.append("Date: \(date)") }
        if !head.isEmpty { try builder.note(head.joined(separator: "\n")) }
        if let transport {
            let rest = MailParser.otherHeaders(transport.headers)
            if !rest.isEmpty { try builder.note(rest) }
        }
        if let body = text("1000") {
            _ = try PlainTextParser.append(body, to: &builder)
        } else if let html = bytes("10130102")
            ?? bytes("1013001F").map({ Array((TextDecoder.convert($0[...], from: "UTF-16LE")?.text ?? "").utf8) })
        {
            if let tree = XMLTree(html: TextDecoder.decode(html, declared: HTMLParser.declaredEncoding(html)).text) {
                try HTMLParser.append(tree.root, to: &builder, skipsBoilerplate: false)
            }
        } else if let compressed = bytes("10090102"), let rtf = decompress(compressed) {
            let document = try RTFParser.parse(ParseInput(bytes: rtf, name: "body.rtf"), context: context)
            try builder.append(document, page: nil)
        }
        for child in children where child.entry.type == 1 && child.entry.name.hasPrefix("__attach_version1.0_") {
            let parts = file.children(of: child.index)
            func part(_ id: String) -> [UInt8]? {
                parts.first { $0.entry.name.uppercased() == "__SUBSTG1.0_" + id }.map { file.read($0.entry) }
            }
            let wide = part("3707001F") ?? part("3704001F")
            let name =
                wide.flatMap { TextDecoder.convert($0[...], from: "UTF-16LE")?.text }
                ?? (part("3707001E") ?? part("3704001E")).map { TextDecoder.decode($0).text }
            if let data = part("37010102"), !data.isEmpty {
                try context.appendNested(
                    ParseInput(bytes: data, name: (name ?? "attachment").replacing("\0", with: "").replacing("/", with: "_")), to: &builder)
            } else if let inner = parts.first(where: { $0.entry.name.uppercased() == "__SUBSTG1.0_3701000D" && $0.entry.type == 1 }),
                depth < context.limits.nestingDepth
            {
                // A message in the message.
                _ = try write(file, storage: inner.index, to: &builder, context: context, depth: depth + 1)
            }
        }
        var properties: [String: String] = [:]
        if !sender.isEmpty { properties["author"] = sender }
        if let date { properties["created"] = date }
        return (subject, properties)
    }

    /// Compressed RTF ([MS-OXRTFCP]): LZ77 over a ring of 4096 bytes that starts filled with common words.
    static func decompress(_ data: [UInt8]) -> [UInt8]? {
        guard data.count > 16 else { return nil }
        let rawSize = min(Int(data.u32(4)), 64 << 20)
        if data.u32(8) == 0x414C_454D { return Array(data[16...].prefix(rawSize)) }
        guard data.u32(8) == 0x7546_5A4C else { return nil }
        let prefix =
            "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
        var ring = [UInt8](repeating: 0x20, count: 4096)
        for (index, byte) in prefix.utf8.enumerated() { ring[index] = byte }
        var writePosition = prefix.utf8.count
        var output: [UInt8] = []
        var index = 16
        while index < data.count, output.count < rawSize {
            let control = data[index]
            index += 1
            for bit in 0..<8 where index < data.count && output.count < rawSize {
                if control & (1 << UInt8(bit)) == 0 {
                    output.append(data[index])
                    ring[writePosition & 4095] = data[index]
                    writePosition += 1
                    index += 1
                } else {
                    guard index + 1 < data.count else { return output }
                    let reference = Int(data[index]) << 8 | Int(data[index + 1])
                    index += 2
                    let offset = reference >> 4
                    if offset == writePosition & 4095 { return output }
                    for step in 0..<((reference & 15) + 2) {
                        let byte = ring[(offset + step) & 4095]
                        output.append(byte)
                        ring[writePosition & 4095] = byte
                        writePosition += 1
                    }
                }
            }
        }
        return output
    }
}
