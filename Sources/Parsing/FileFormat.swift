import Foundation

/// What a file is, told by its bytes first and by its name second: names lie more often than bytes.
enum FileFormat: Equatable {
    case pdf
    case word, presentation, spreadsheet
    case openDocument(mimeType: String)
    case epub
    case compoundFile
    case archive(mimeType: String)
    case image(mimeType: String)
    case rtf
    case html
    case xml
    case wordFlat
    case mail, mailbox
    /// Calendars and address cards.
    case calendar
    /// What Outlook wraps messages in: winmail.dat.
    case tnef
    case subtitles
    /// Text with light marks other than Markdown's.
    case outline(OutlineParser.Kind)
    case markdown
    case delimited
    case json
    case source(language: String)
    case plainText
    /// Known, and known not to be text.
    case unsupported(String)

    static func detect(_ input: ParseInput, context: ParseContext) throws(Refusal) -> FileFormat {
        let head = input.head
        func starts(_ magic: String, at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: magic.utf8) }
        func starts(_ magic: [UInt8], at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: magic) }

        if isPDF(head) { return .pdf }
        if starts("PK\u{3}\u{4}") || starts("PK\u{5}\u{6}") { return try zip(input, context: context) }
        if starts([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) { return .compoundFile }
        if starts("{\\rtf") { return .rtf }
        if TNEFParser.isTNEF(head) { return .tnef }
        for (magic, offset, mimeType) in images where starts(magic, at: offset) { return .image(mimeType: mimeType) }
        if isBitmap(head) { return .image(mimeType: "image/bmp") }
        if starts("RIFF"), starts("WEBP", at: 8) { return .image(mimeType: "image/webp") }
        for (magic, offset, mimeType) in archives where starts(magic, at: offset) { return .archive(mimeType: mimeType) }
        for (magic, offset, what) in refused where starts(magic, at: offset) { return .unsupported("\(input.name) is \(what)") }
        return try text(input)
    }

    private static let images: [([UInt8], Int, String)] = [
        ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A], 0, "image/png"), ([0xFF, 0xD8, 0xFF], 0, "image/jpeg"), (Array("GIF8".utf8), 0, "image/gif"),
        ([0x49, 0x49, 0x2A, 0x00], 0, "image/tiff"), ([0x4D, 0x4D, 0x00, 0x2A], 0, "image/tiff"),
        ([0x49, 0x49, 0x2B, 0x00], 0, "image/tiff"), ([0x4D, 0x4D, 0x00, 0x2B], 0, "image/tiff"),
        ([0x00, 0x00, 0x00, 0x0C, 0x6A, 0x50, 0x20, 0x20], 0, "image/jp2"), ([0xFF, 0x4F, 0xFF, 0x51], 0, "image/j2c"),
    ]
    private static let archives: [([UInt8], Int, String)] = [
        ([0x1F, 0x8B], 0, "application/gzip"), (Array("BZh".utf8), 0, "application/x-bzip2"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A], 0, "application/x-xz"),
        ([0x28, 0xB5, 0x2F, 0xFD], 0, "application/zstd"), ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], 0, "application/x-7z-compressed"),
        (Array("Rar!\u{1A}\u{7}".utf8), 0, "application/vnd.rar"), (Array("ustar".utf8), 257, "application/x-tar"),
    ]
    private static let refused: [([UInt8], Int, String)] = [
        ([0x7F, 0x45, 0x4C, 0x46], 0, "a program (ELF)"), ([0x4D, 0x5A, 0x90], 0, "a program (Windows)"),
        ([0xCA, 0xFE, 0xBA, 0xBE], 0, "compiled code"),
        ([0xCF, 0xFA, 0xED, 0xFE], 0, "a program (Mach-O)"), (Array("ID3".utf8), 0, "sound (MP3)"), ([0xFF, 0xFB], 0, "sound (MP3)"),
        (Array("OggS".utf8), 0, "sound or video (Ogg)"),
        (Array("fLaC".utf8), 0, "sound (FLAC)"), (Array("RIFF".utf8), 0, "sound or video (RIFF)"),
        (Array("ftyp".utf8), 4, "sound or video (MP4)"),
        ([0x1A, 0x45, 0xDF, 0xA3], 0, "video (Matroska)"), (Array("SQLite format 3".utf8), 0, "a database (SQLite)"),
        (Array("wOFF".utf8), 0, "a font"), (Array("wOF2".utf8), 0, "a font"),
        ([0x00, 0x01, 0x00, 0x00, 0x00], 0, "a font"), (Array("OTTO".utf8), 0, "a font"), (Array("PAR1".utf8), 0, "a data file (Parquet)"),
        (Array("\u{89}HDF".utf8), 0, "a data file (HDF5)"),
        (Array("GGUF".utf8), 0, "a model (GGUF)"), (Array("!<arch>".utf8), 0, "a library archive"),
        (Array("%!PS".utf8), 0, "PostScript; convert it to PDF"),
    ]

    /// Two letters are no proof: the reserved bytes and the size of the second header are.
    private static func isBitmap(_ head: [UInt8]) -> Bool {
        guard head.count >= 30, head.starts(with: "BM".utf8), head[6..<10].allSatisfy({ $0 == 0 }) else { return false }
        return [12, 16, 40, 52, 56, 64, 108, 124].contains(head[14]) && head[15..<18].allSatisfy { $0 == 0 }
    }

    /// The mark may follow some junk, but not text that merely speaks of it.
    private static func isPDF(_ head: [UInt8]) -> Bool {
        let mark = Array("%PDF-".utf8)
        if head.starts(with: mark) { return true }
        let sample = head.prefix(1024)
        guard let index = sample.indices.first(where: { sample[$0...].starts(with: mark) }) else { return false }
        let before = sample[..<index]
        return before.allSatisfy { $0 <= 0x20 } || before.contains { $0 == 0 }
            || sample[index...].contains { $0 >= 0x80 } && before.count < 256
    }

    private static func zip(_ input: ParseInput, context: ParseContext) throws(Refusal) -> FileFormat {
        let archive = try Archive(input, .zip, context: context) { $0 == "mimetype" || $0 == "[Content_Types].xml" }
        if let bytes = archive.member("mimetype") {
            let type = String(decoding: bytes.prefix(100), as: UTF8.self).trimmed
            if type == "application/epub+zip" { return .epub }
            if type.hasPrefix("application/vnd.oasis.opendocument.") || type.hasPrefix("application/vnd.sun.xml.") {
                return .openDocument(mimeType: type)
            }
        }
        func has(_ name: String) -> Bool { archive.contains(name) }
        func has(prefix: String) -> Bool { archive.entries.contains { $0.name.hasPrefix(prefix) } }
        if archive.member("[Content_Types].xml") != nil || has("_rels/.rels") {
            let types = archive.member("[Content_Types].xml").map { String(decoding: $0, as: UTF8.self) } ?? ""
            if types.contains("wordprocessingml") || has("word/document.xml") { return .word }
            if types.contains("presentationml") || has("ppt/presentation.xml") { return .presentation }
            if types.contains("spreadsheetml") || has("xl/workbook.xml") || has("xl/workbook.bin") { return .spreadsheet }
        }
        if has("word/document.xml") { return .word }
        if has("ppt/presentation.xml") { return .presentation }
        if has("xl/workbook.xml") { return .spreadsheet }
        if has("META-INF/container.xml") { return .epub }
        if has("content.xml"), has("META-INF/manifest.xml") { return .openDocument(mimeType: "application/vnd.oasis.opendocument.text") }
        // A broken office file is refused as what it claims to be, not searched like a bag of files.
        if ["docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "docm", "xlsm", "pptm"].contains(input.fileExtension) {
            throw .malformed(
                "\(input.name) lacks the parts of a \(input.fileExtension.uppercased()) file"
                    + (archive.warnings.isEmpty ? "" : "; the zip container is damaged"))
        }
        return .archive(mimeType: "application/zip")
    }

    /// What bytes that no binary format begins with are.
    static func text(_ input: ParseInput) throws(Refusal) -> FileFormat {
        let fileExtension = input.fileExtension
        var sample = Array(input.head.prefix(4096))
        // A log whose head was cut off by its rotation begins with a hole.
        if ["log", "txt", ""].contains(fileExtension), input.size > sample.count, !sample.contains(where: { $0 != 0 }) {
            sample = Array(try input.bytes().drop { $0 == 0 }.prefix(4096))
        }
        let decoded = TextDecoder.decode(wholeCharacters(sample), declared: HTMLParser.declaredEncoding(sample))
        guard isText(decoded.text) else {
            if ["docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "pdf", "doc", "xls", "ppt", "msg"].contains(fileExtension) {
                throw .malformed("\(input.name) is damaged or is no \(fileExtension.uppercased()) file")
            }
            return .unsupported("\(input.name) is binary data of unknown kind")
        }
        let start = decoded.text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }.prefix(1500)
        let lowered = start.lowercased()
        if lowered.hasPrefix("<?xml") || lowered.hasPrefix("<!doctype") || lowered.hasPrefix("<!--") || lowered.hasPrefix("<") {
            if let markup = markup(lowered, fileExtension, input.mimeType) { return markup }
        }
        if CalendarParser.isCalendar(start), !["md", "markdown"].contains(fileExtension) { return .calendar }
        if looksLikeMail(start, fileExtension) { return start.hasPrefix("From ") || fileExtension == "mbox" ? .mailbox : .mail }
        switch fileExtension {
        case "md", "markdown", "mdown", "mkd", "mdx", "rmd", "qmd": return .markdown
        case "html", "htm", "xhtml", "shtml": return .html
        case "csv", "tsv", "tab", "psv": return .delimited
        case "json", "jsonl", "ndjson", "ipynb", "geojson", "webmanifest": return .json
        case "xml", "rss", "atom", "xsd", "xsl", "xslt", "svg", "kml", "gpx", "wsdl", "plist", "dita", "docbook": return .xml
        case "eml": return looksLikeHeaders(start) ? .mail : .plainText
        case "srt", "vtt": return SubtitleParser.isSubtitles(String(start)) ? .subtitles : .plainText
        case "org": return .outline(.org)
        case "rst", "rest": return .outline(.reStructuredText)
        case "txt", "text", "log", "adoc", "asciidoc", "":
            if SubtitleParser.isSubtitles(String(start)) { return .subtitles }
        case "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "pdf", "doc", "xls", "ppt", "msg", "docm", "xlsm":
            throw .malformed("\(input.name) is text, not a \(fileExtension.uppercased()) file; give it its real extension")
        default: break
        }
        if let language = SourceCodeParser.language(name: input.name, fileExtension: fileExtension) ?? SourceCodeParser.interpreter(sample)
        {
            return .source(language: language)
        }
        if fileExtension.isEmpty || SourceCodeParser.languages[fileExtension] == nil {
            switch input.mimeType?.split(separator: ";").first.map({ $0.trimmed.lowercased() }) ?? "" {
            case "text/markdown": return .markdown
            case "text/html": return .html
            case "text/csv", "text/tab-separated-values": return .delimited
            case "application/json": return .json
            case "application/xml", "text/xml": return .xml
            case "message/rfc822": return .mail
            default: break
            }
        }
        if fileExtension != "txt", start.hasPrefix("{") || start.hasPrefix("["), start.contains("\""), start.contains(":") { return .json }
        return .plainText
    }

    private static func markup(_ start: String, _ fileExtension: String, _ mimeType: String?) -> FileFormat? {
        if fileExtension == "md" || fileExtension == "markdown" || SourceCodeParser.languages[fileExtension] != nil { return nil }
        if start.contains("<html") || start.hasPrefix("<!doctype html") { return .html }
        if start.contains("<pkg:package") || start.contains("w:worddocument") { return .wordFlat }
        if start.hasPrefix("<?xml") { return fileExtension == "html" || fileExtension == "htm" || fileExtension == "xhtml" ? .html : .xml }
        for tag in ["<head", "<body", "<title", "<meta", "<table", "<div", "<p>", "<h1", "<script", "<style", "<center", "<br"]
        where start.hasPrefix(tag) {
            return fileExtension == "xml" ? .xml : .html
        }
        if fileExtension == "html" || fileExtension == "htm" || mimeType?.hasPrefix("text/html") == true { return .html }
        if start.hasPrefix("<!doctype") || fileExtension == "xml" { return .xml }
        return nil
    }

    private static let mailHeaders: Set<String> = [
        "from", "to", "subject", "date", "received", "return-path", "message-id", "mime-version", "delivered-to", "x-mailer",
        "content-type", "cc", "reply-to", "sender",
        "x-originating-ip", "x-received", "list-id", "envelope-to", "x-notes-item", "x-original-to",
    ]

    private static func looksLikeMail(_ start: some StringProtocol, _ fileExtension: String) -> Bool {
        if ["eml", "mbox", "mht", "mhtml"].contains(fileExtension), looksLikeHeaders(start) { return true }
        guard SourceCodeParser.languages[fileExtension] == nil, !["md", "csv", "json", "html"].contains(fileExtension) else { return false }
        var known: Set<String> = []
        var lines = PlainTextParser.splitLines(String(start))[...]
        if let first = lines.first, first.hasPrefix("From "), first.contains("@") || first.contains(":") { lines = lines.dropFirst() }
        for line in lines.prefix(40) {
            if line.isBlank { break }
            if line.hasPrefix(" ") || line.hasPrefix("\t") { continue }
            guard let colon = line.firstIndex(of: ":") else { return false }
            let name = line[..<colon].lowercased()
            guard !name.contains(" ") else { return false }
            if mailHeaders.contains(name) { known.insert(name) }
        }
        let isMarked =
            known.contains("message-id") || known.contains("mime-version") || known.contains("received") || known.contains("return-path")
        return known.count >= 3 && isMarked
    }

    private static func looksLikeHeaders(_ start: some StringProtocol) -> Bool {
        if start.hasPrefix("From ") { return true }
        guard let line = start.split(separator: "\n", maxSplits: 1).first, let colon = line.firstIndex(of: ":") else { return false }
        let name = line[..<colon]
        return !name.isEmpty && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    }

    /// Cuts a sample where no UTF-8 character is cut.
    private static func wholeCharacters(_ sample: [UInt8]) -> [UInt8] {
        guard sample.count == 4096 else { return sample }
        var end = sample.count
        var steps = 0
        while end > 0, steps < 4, sample[end - 1] & 0xC0 == 0x80 {
            end -= 1
            steps += 1
        }
        if end > 0, sample[end - 1] >= 0xC0 { end -= 1 }
        return Array(sample[..<max(end, 1)])
    }

    /// Text has hardly any control characters, and hardly any that could not be decoded. NULs may stand in it: holes in logs and
    /// padding of records; what is all NULs and control characters is no text.
    private static func isText(_ text: String) -> Bool {
        var bad = 0
        var nulCount = 0
        var total = 0
        for scalar in text.unicodeScalars {
            total += 1
            switch scalar.value {
            case 0: nulCount += 1
            case 1...8, 0x0E...0x1A, 0x1C...0x1F, 0x7F, 0xFFFD: bad += 1
            case 0x80...0x9F: bad += 1
            default: break
            }
        }
        let others = total - nulCount
        guard others > 0, bad * 20 <= others else { return false }
        // Words in tables of numbers are no text: of that, the NULs are more than half, or stand between single signs.
        return nulCount * 20 <= total || (bad == 0 && others >= 16 && others * 2 >= total)
    }
}
