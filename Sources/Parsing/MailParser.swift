import Foundation

/// Reads Internet messages (RFC 5322, MIME RFC 2045 to 2047) and mbox files of them.
///
/// Of alternatives, plain text is taken before HTML, unless the HTML says more (`MailBody`). Attachments are parsed by the rules for any file; what cannot be
/// read is listed by name. Older mail that is quoted in a mail stands behind `>` marks, however the sender's program marks it, so that
/// a reader can tell what was written last.
struct MailParser {
    private let context: ParseContext
    private var builder: DocumentBuilder
    private var attachmentNumber = 0
    /// The text of the bodies so far, to know it again in what Outlook adds.
    private var bodyText = ""
    private var seenCalendars: Set<[UInt8]> = []
    /// A forwarded mail's older text is what it is about.
    private var isForward = false

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let bytes = try input.bytes()
        var parser = MailParser(context: context, builder: context.builder)
        let message = Part(bytes[...])
        try parser.message(message, depth: 0)
        return parser.builder.finish(title: message.header("subject"), mimeType: "message/rfc822", properties: message.properties)
    }

    /// An mbox file: messages after lines that start with `From `.
    static func parseMailbox(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let bytes = try input.bytes()
        var parser = MailParser(context: context, builder: context.builder)
        let starts = messageStarts(bytes)
        for (index, start) in starts.enumerated() {
            let end = index + 1 < starts.count ? starts[index + 1] : bytes.count
            guard let lineEnd = bytes[start..<end].firstIndex(of: 0x0A) else { continue }
            try parser.message(Part(bytes[(lineEnd + 1)..<end]), depth: 0)
        }
        return parser.builder.finish(title: nil, mimeType: "application/mbox", properties: ["messages": String(starts.count)])
    }

    private static func messageStarts(_ bytes: [UInt8]) -> [Int] {
        let mark = Array("From ".utf8)
        var starts: [Int] = []
        var index = 0
        while index < bytes.count {
            let isAfterBlank =
                index == 0
                || (index >= 2 && bytes[index - 1] == 0x0A
                    && (bytes[index - 2] == 0x0A || (index >= 3 && bytes[index - 2] == 0x0D && bytes[index - 3] == 0x0A)))
            if isAfterBlank, bytes[index...].starts(with: mark) { starts.append(index) }
            guard let lineEnd = bytes[index...].firstIndex(of: 0x0A) else { break }
            index = lineEnd + 1
        }
        return starts
    }

    private init(context: ParseContext, builder: DocumentBuilder) {
        self.context = context
        self.builder = builder
    }

    // MARK: - Messages

    private mutating func message(_ part: Part, depth: Int) throws(Refusal) {
        let subject = part.header("subject") ?? ""
        if !subject.isBlank { try builder.heading(subject, level: min(6, depth + 1)) }
        isForward = MailQuotes.isForward(subject)
        let main = ["from", "to", "cc", "date"].compactMap { name in part.header(name).map { "\(name.capitalized): \($0)" } }
        if !main.isEmpty { try builder.note(main.joined(separator: "\n")) }
        let rest = Self.otherHeaders(part.headers)
        if !rest.isEmpty { try builder.note(rest) }
        try body(part, depth: depth)
    }

    /// Headers that say something to a person; delivery stamps and signatures do not.
    static func otherHeaders(_ headers: [(name: String, value: String)]) -> String {
        let skipped: Set<String> = [
            "from", "to", "cc", "date", "subject", "received", "return-path", "dkim-signature", "domainkey-signature",
            "authentication-results",
            "received-spf", "content-type", "content-transfer-encoding", "mime-version", "content-disposition", "content-language",
            "thread-index",
            "delivered-to", "references", "in-reply-to", "message-id", "content-id", "content-length", "lines", "status", "precedence",
            "mailing-list", "list-help",
            "list-post", "list-unsubscribe", "list-subscribe", "list-archive", "list-owner", "errors-to", "x-priority", "x-msmail-priority",
            "importance",
        ]
        return headers.filter { header in
            let name = header.name
            return !skipped.contains(name) && !name.hasPrefix("arc-") && !name.contains("spam") && !name.contains("virus")
                && !name.contains("signature")
                && !name.hasPrefix("x-ms-") && !name.hasPrefix("x-forefront") && !name.hasPrefix("x-google") && !name.hasPrefix("x-gm-")
                && header.value.utf8.count < 300
        }.map { "\($0.name.split(separator: "-").map(\.capitalized).joined(separator: "-")): \($0.value)" }.joined(separator: "\n")
    }

    private mutating func body(_ part: Part, depth: Int) throws(Refusal) {
        guard depth < 20 else { return builder.warn("parts nested more than 20 deep were left out") }
        let type = part.type
        if type.hasPrefix("multipart/") {
            let parts = part.subparts()
            if type == "multipart/alternative" {
                try alternative(parts, depth: depth)
            } else {
                for child in parts { try body(child, depth: depth + 1) }
            }
            return
        }
        if type == "message/rfc822" || type == "message/global" {
            return try message(Part(part.decoded()[...]), depth: depth + 1)
        }
        let isAttachment = part.disposition.hasPrefix("attachment") || (part.fileName != nil && !type.hasPrefix("text/"))
        if isTNEF(part) {
            let bytes = part.decoded()
            guard let wrapped = TNEFParser(bytes) else { return try attachment(part) }
            return try wrapped.append(to: &builder, context: context, besides: bodyText)
        }
        if type == "text/calendar" || type == "application/ics" || part.fileName?.lowercased().hasSuffix(".ics") == true {
            // Programs send the same invitation as an alternative and as a file.
            let bytes = part.decoded()
            guard seenCalendars.insert(bytes.filter { $0 > 0x20 }).inserted else { return }
            return try CalendarParser.append(bytes, to: &builder)
        }
        if !isAttachment, type == "text/plain" || type == "text/enriched" || type == "message/delivery-status" {
            if let name = part.fileName { try builder.heading(name, level: 3) }
            try plain(text(of: part))
        } else if !isAttachment, type == "text/html" {
            try html(part)
        } else if !type.isEmpty {
            try attachment(part)
        }
    }

    private func isTNEF(_ part: Part) -> Bool {
        part.type == "application/ms-tnef" || part.type == "application/vnd.ms-tnef" || part.fileName?.lowercased() == "winmail.dat"
    }

    private func text(of part: Part) -> String {
        let text = TextDecoder.decode(part.decoded(), declared: part.charset).text
        guard part.parameter("format")?.lowercased() == "flowed" else { return text }
        return Self.joinFlowed(text, dropsBlanks: part.parameter("delsp")?.lowercased() == "yes")
    }

    private mutating func plain(_ text: String) throws(Refusal) {
        bodyText += text
        for run in MailQuotes.runs(text, isForward: isForward) {
            if run.isQuote { try builder.lines(run.text) } else { _ = try PlainTextParser.append(run.text, to: &builder) }
        }
    }

    private mutating func alternative(_ parts: [Part], depth: Int) throws(Refusal) {
        let plain = parts.first { $0.type == "text/plain" }
        let rich = parts.last { $0.type == "text/html" || $0.type.hasPrefix("multipart/") }
        if let plain, try isBetter(plain, than: rich) {
            try body(plain, depth: depth + 1)
            // The other side may carry more than words: a calendar entry, an attachment beside the HTML.
            for part in parts where part.type.hasPrefix("multipart/") && part.type != "multipart/alternative" {
                for child in part.subparts() where child.type != "text/html" && !child.type.hasPrefix("image/") {
                    try body(child, depth: depth + 2)
                }
            }
        } else if let chosen = rich ?? parts.last(where: { $0.type != "text/plain" && $0.type != "text/calendar" }) ?? plain {
            try body(chosen, depth: depth + 1)
        }
        for part in parts where part.type == "text/calendar" || part.type == "application/ics" { try body(part, depth: depth + 1) }
    }

    /// Whether the plain side of a mail says as much as its HTML.
    private func isBetter(_ plain: Part, than rich: Part?) throws(Refusal) -> Bool {
        let text = text(of: plain)
        guard !text.isBlank else { return false }
        guard let html = rich.flatMap({ Self.htmlPart($0, depth: 0) }), let tree = tree(html) else { return true }
        return try MailBody.says(text, asMuchAs: tree, context)
    }

    private static func htmlPart(_ part: Part, depth: Int) -> Part? {
        if part.type == "text/html" { return part }
        guard depth < 6, part.type.hasPrefix("multipart/") else { return nil }
        for child in part.subparts() {
            if let found = htmlPart(child, depth: depth + 1) { return found }
        }
        return nil
    }

    private func tree(_ part: Part) -> XMLTree? {
        let bytes = part.decoded()
        return XMLTree(html: TextDecoder.decode(bytes, declared: part.charset ?? HTMLParser.declaredEncoding(bytes)).text)
    }

    private mutating func html(_ part: Part) throws(Refusal) {
        guard let tree = tree(part) else { return }
        bodyText += HTMLInline.plainText(tree.root)
        try HTMLParser.append(
            tree.root, to: &builder, skipsBoilerplate: false,
            page: HTMLPage(tree.root, targets: .absolute, marksQuotes: !isForward))
    }

    /// Joins the lines of flowed text (RFC 3676): one that ends in a blank goes on in the next of the same depth of quotation.
    static func joinFlowed(_ text: String, dropsBlanks: Bool) -> String {
        var output: [String] = []
        var openDepth: Int?
        for line in PlainTextParser.splitLines(text) {
            let depth = line.utf8.prefix { $0 == 0x3E }.count
            var words = line.dropFirst(depth)
            if words.hasPrefix(" ") { words = words.dropFirst() }
            let isSignature = words == "-- "
            let flows = words.hasSuffix(" ") && !isSignature
            if flows, dropsBlanks { words = words.dropLast() }
            if let open = openDepth, open == depth, !isSignature {
                output[output.count - 1] += words
            } else {
                output.append((depth > 0 ? String(repeating: ">", count: depth) + " " : "") + words)
            }
            openDepth = flows ? depth : nil
        }
        return output.joined(separator: "\n")
    }

    private mutating func attachment(_ part: Part) throws(Refusal) {
        let bytes = part.decoded()
        guard !bytes.isEmpty else { return }
        attachmentNumber += 1
        // Pictures in signatures are not worth a text recognition; pictures sent on purpose are listed too.
        let name = part.fileName ?? "attachment \(attachmentNumber)"
        if part.type.hasPrefix("image/") && (part.header("content-id") != nil || !part.disposition.hasPrefix("attachment")) {
            return try builder.note("Attachment: \(name)")
        }
        try context.appendNested(ParseInput(bytes: bytes, name: name, mimeType: part.type), to: &builder)
    }

    // MARK: - MIME

    struct Part {
        /// Names in lower case, values unfolded and decoded, in order.
        var headers: [(name: String, value: String)] = []
        var content: ArraySlice<UInt8>
        private var rawType = ""
        private var rawDisposition = ""

        init(_ bytes: ArraySlice<UInt8>) {
            var index = bytes.startIndex
            var lines: [[UInt8]] = []
            while index < bytes.endIndex {
                let end = bytes[index...].firstIndex(of: 0x0A) ?? bytes.endIndex
                var line = bytes[index..<end]
                if line.last == 0x0D { line = line.dropLast() }
                index = min(end + 1, bytes.endIndex)
                if line.isEmpty { break }
                if line.first == 0x20 || line.first == 0x09, !lines.isEmpty {
                    if lines[lines.count - 1].count < 100_000 { lines[lines.count - 1] += line }
                } else if lines.count < 2000 {
                    lines.append(Array(line))
                }
            }
            content = bytes[index...]
            for line in lines {
                guard let colon = line.firstIndex(of: 0x3A), colon > 0, colon < 80 else { continue }
                let name = String(decoding: line[..<colon], as: UTF8.self).trimmed.lowercased()
                let raw = Array(line[(colon + 1)...])
                let value = MailParser.decodeWords(raw).trimmed
                if name == "content-type" { rawType = String(decoding: raw, as: UTF8.self).trimmed }
                if name == "content-disposition" { rawDisposition = String(decoding: raw, as: UTF8.self).trimmed }
                headers.append((name, value))
            }
        }

        func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

        var type: String {
            let text = rawType.prefix { $0 != ";" }.trimmed.lowercased()
            return text.contains("/") ? text : "text/plain"
        }
        var disposition: String { rawDisposition.lowercased() }
        var charset: String? { MailParser.parameter("charset", in: rawType) }
        /// A parameter of the content type.
        func parameter(_ name: String) -> String? { MailParser.parameter(name, in: rawType) }
        var fileName: String? {
            (MailParser.parameter("filename", in: rawDisposition) ?? MailParser.parameter("name", in: rawType))
                .map { MailParser.decodeWords(Array($0.utf8)).replacing("/", with: "_") }.flatMap { $0.isBlank ? nil : $0 }
        }

        var properties: [String: String] {
            var properties: [String: String] = [:]
            for (name, key) in [("from", "author"), ("to", "to"), ("date", "created"), ("message-id", "messageID")] {
                if let value = header(name), !value.isEmpty { properties[key] = value }
            }
            return properties
        }

        /// The parts between the boundary's lines.
        func subparts() -> [Part] {
            guard let boundary = MailParser.parameter("boundary", in: rawType), !boundary.isEmpty, boundary.utf8.count <= 200 else {
                return []
            }
            let mark = Array("--\(boundary)".utf8)
            var parts: [Part] = []
            var start: Int?
            var index = content.startIndex
            while index < content.endIndex {
                let lineEnd = content[index...].firstIndex(of: 0x0A) ?? content.endIndex
                if content[index] == 0x2D, content[index...].starts(with: mark) {
                    let rest = content[(index + mark.count)..<lineEnd]
                    let isClosing = rest.starts(with: [0x2D, 0x2D])
                    if isClosing || rest.allSatisfy({ $0 <= 0x20 }) {
                        if let start, start <= index {
                            var end = index
                            if end > start, content[end - 1] == 0x0A { end -= 1 }
                            if end > start, content[end - 1] == 0x0D { end -= 1 }
                            parts.append(Part(content[start..<end]))
                        }
                        start = min(lineEnd + 1, content.endIndex)
                        if isClosing {
                            start = nil
                            break
                        }
                        if parts.count >= 1000 { break }
                    }
                }
                index = lineEnd + 1
            }
            // A message cut short ends its last part at its end.
            if let start, start < content.endIndex { parts.append(Part(content[start...])) }
            return parts
        }

        /// The content without its transfer encoding.
        func decoded() -> [UInt8] {
            switch header("content-transfer-encoding")?.lowercased() ?? "" {
            case "base64": return MailParser.base64(content)
            case "quoted-printable": return MailParser.quotedPrintable(content, isHeader: false)
            default: return Array(content)
            }
        }
    }

    /// A parameter of a structured header, with RFC 2231's continuations and encodings.
    static func parameter(_ name: String, in header: String) -> String? {
        var pieces: [(order: Int, text: String, isEncoded: Bool)] = []
        for part in splitParameters(header).dropFirst() {
            guard let equal = part.firstIndex(of: "=") else { continue }
            var key = part[..<equal].trimmed.lowercased()
            var value = part[part.index(after: equal)...].trimmed
            if value.hasPrefix("\"") {
                value = String(value.dropFirst())
                if value.hasSuffix("\"") { value = String(value.dropLast()) }
                value = value.replacing("\\\"", with: "\"").replacing("\\\\", with: "\\")
            }
            let isEncoded = key.hasSuffix("*")
            if isEncoded { key.removeLast() }
            if key == name {
                pieces.append((0, value, isEncoded))
            } else if key.hasPrefix(name + "*"), let order = Int(key.dropFirst(name.count + 1)) {
                pieces.append((order, value, isEncoded))
            }
        }
        guard !pieces.isEmpty else { return nil }
        pieces.sort { $0.order < $1.order }
        var charset: String?
        var bytes: [UInt8] = []
        for (index, piece) in pieces.enumerated() {
            var text = piece.text
            if piece.isEncoded {
                if index == 0 {
                    let fields = text.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
                    if fields.count == 3 {
                        charset = String(fields[0])
                        text = String(fields[2])
                    }
                }
                bytes += percentDecoded(text)
            } else {
                bytes += Array(text.utf8)
            }
        }
        return TextDecoder.decode(bytes, declared: charset).text
    }

    private static func splitParameters(_ header: String) -> [String] {
        var parts: [String] = []
        var current = ""
        var isQuoted = false
        var isEscaped = false
        for character in header {
            if isEscaped {
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == ";", !isQuoted {
                parts.append(current)
                current = ""
                continue
            }
            current.append(character)
        }
        parts.append(current)
        return parts
    }

    private static func percentDecoded(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var iterator = Array(text.utf8)[...]
        while let byte = iterator.popFirst() {
            if byte == 0x25, iterator.count >= 2, let value = UInt8(String(decoding: iterator.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                iterator = iterator.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return bytes
    }

    /// Header text with `=?charset?B?...?=` words decoded (RFC 2047); white space between such words is dropped.
    ///
    /// A sender may cut a letter in two between words, so the bytes of neighbours of one charset are joined before they are decoded.
    static func decodeWords(_ bytes: [UInt8]) -> String {
        // Raw bytes beyond ASCII occur: UTF-8 by RFC 6532, or whatever the sender had.
        let text = TextDecoder.decode(bytes).text
        guard text.contains("=?") else { return text }
        var result = ""
        var run: (charset: String, bytes: [UInt8])?
        func close(_ result: inout String, _ run: inout (charset: String, bytes: [UInt8])?) {
            if let ended = run { result += TextDecoder.decodeDeclared(ended.bytes, ended.charset) }
            run = nil
        }
        var rest = text[...]
        while let start = rest.firstRange(of: "=?") {
            let before = rest[..<start.lowerBound]
            let fields = rest[start.upperBound...].split(separator: "?", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, let end = fields[2].firstRange(of: "?="), !fields[0].isEmpty, fields[0].utf8.count < 60,
                fields[1].lowercased() == "b" || fields[1].lowercased() == "q"
            else {
                close(&result, &run)
                result += rest[..<start.upperBound]
                rest = rest[start.upperBound...]
                continue
            }
            if run == nil || !before.isBlank {
                close(&result, &run)
                result += before
            }
            let charset = fields[0].split(separator: "*").first.map { $0.lowercased() } ?? ""
            let payload = Array(fields[2][..<end.lowerBound].utf8)
            let decoded = fields[1].lowercased() == "b" ? base64(payload[...]) : quotedPrintable(payload[...], isHeader: true)
            if run?.charset != charset { close(&result, &run) }
            run = (charset, (run?.bytes ?? []) + decoded)
            rest = fields[2][end.upperBound...]
        }
        close(&result, &run)
        return result + rest
    }

    /// Decodes base64, passing over what is not of its alphabet.
    static func base64(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 3 / 4)
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            let value: UInt32
            switch byte {
            case 0x41...0x5A: value = UInt32(byte) - 0x41
            case 0x61...0x7A: value = UInt32(byte) - 0x61 + 26
            case 0x30...0x39: value = UInt32(byte) - 0x30 + 52
            case 0x2B, 0x2D: value = 62
            case 0x2F, 0x5F: value = 63
            default: continue
            }
            bits = bits << 6 | value
            count += 6
            if count >= 8 {
                count -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return output
    }

    static func quotedPrintable(_ bytes: ArraySlice<UInt8>, isHeader: Bool) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x37
            case 0x61...0x66: byte - 0x57
            default: nil
            }
        }
        while index < bytes.endIndex {
            let byte = bytes[index]
            if byte == 0x3D {
                if index + 2 < bytes.endIndex, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]) {
                    output.append(high << 4 | low)
                    index += 3
                    continue
                }
                // A soft line break, perhaps with blanks before its end.
                var next = index + 1
                while next < bytes.endIndex, bytes[next] == 0x20 || bytes[next] == 0x09 || bytes[next] == 0x0D { next += 1 }
                if next < bytes.endIndex, bytes[next] == 0x0A {
                    index = next + 1
                    continue
                }
                if index + 3 == bytes.endIndex, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]) {
                    output.append(high << 4 | low)
                    break
                }
            }
            output.append(isHeader && byte == 0x5F ? 0x20 : byte)
            index += 1
        }
        return output
    }
}
