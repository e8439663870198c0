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

/// PowerPoint's binary format ([MS-PPT]): a tree of records; text is in atoms, the outline of all slides in one list.
enum LegacyPowerPoint {
    static func parse(_ file: CompoundFile, name: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let data = file.stream("PowerPoint Document") else { throw .malformed("\(name) has no readable stream") }
        if let user = file.stream("Current User"), user.u32(12) == 0xF3D1_C4DF {
            throw .encrypted("\(name) needs a password; save it without one and try again")
        }
        var builder = context.builder
        var slideCount = 0
        var isHidden = false
        var isMarked = false
        let hidden = hiddenSlides(data)
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
                        isHidden = hidden.contains(data.u32(body))
                        isMarked = false
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
                    let isLeftOut = isHidden && !context.limits.keepsHidden
                    if !text.isEmpty, !isInstruction, !isLeftOut, seen.insert("\(kind)\(text)").inserted {
                        if range.isNotes || kind == 2 {
                            try builder.note("Notes: " + text.replacing("\r", with: "\n"))
                        } else if kind == 0 && text.utf8.count < 300 || kind == 6 {
                            if title == nil { title = text }
                            try builder.heading(text + (isHidden && !isMarked ? " [hidden slide]" : ""), level: 1)
                            isMarked = true
                        } else {
                            if isHidden, !isMarked { try builder.note("[hidden slide]") }
                            isMarked = true
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

extension LegacyPowerPoint {
    /// The numbers of the slides that a show leaves out, by which the outline names them.
    ///
    ///     0x1772  the persist directory: where the objects of these numbers begin
    ///     0x03EE  a slide, in which
    ///     0x03F9  tells of its show; of the flags at offset 10, 4 hides it
    private static func hiddenSlides(_ data: [UInt8]) -> Set<UInt32> {
        var places: [UInt32: Int] = [:]
        var offset = 0
        while offset + 8 <= data.count {
            let length = Int(data.u32(offset + 4))
            if data.u16(offset + 2) == 0x1772 {
                var position = offset + 8
                let end = min(data.count, position + length)
                while position + 4 <= end {
                    let first = data.u32(position) & 0xF_FFFF
                    let count = data.u32(position) >> 20
                    position += 4
                    for index in 0..<count where position + 4 <= end {
                        places[first + index] = Int(data.u32(position))
                        position += 4
                    }
                }
            }
            offset += 8 + length
        }
        return Set(
            places.filter { _, place in
                guard data.u16(place + 2) == 0x03EE else { return false }
                var position = place + 8
                let end = min(data.count, position + Int(data.u32(place + 4)))
                while position + 8 <= end {
                    if data.u16(position + 2) == 0x03F9 { return data.u16(position + 18) & 4 != 0 }
                    position += 8 + Int(data.u32(position + 4))
                }
                return false
            }.keys)
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
        let html =
            bytes("10130102") ?? bytes("1013001F").map { Array((TextDecoder.convert($0[...], from: "UTF-16LE")?.text ?? "").utf8) }
        try MailBody(plain: text("1000"), html: html, rtf: bytes("10090102").flatMap(decompress))
            .append(to: &builder, context: context, isForward: subject.map(MailQuotes.isForward) ?? false)
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
