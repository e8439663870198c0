import Foundation

/// Reads text without markup: paragraphs between blank lines, headings and lists by the habits of plain text.
///
/// Lines keep their ends, because poems, logs and addresses are text too. A heading is a line underlined with `===` or
/// `---`, or numbered like `2.1 Results`, standing alone.
enum PlainTextParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        return try parse(decoded, context: context)
    }

    static func parse(_ decoded: TextDecoder.Decoded, context: ParseContext) throws(Refusal) -> ParsedDocument {
        var builder = context.builder
        let title = try append(TextDecoder.withoutNULs(decoded.text), to: &builder)
        var properties: [String: String] = [:]
        if decoded.encoding != "UTF-8" { properties["encoding"] = decoded.encoding }
        return builder.finish(title: title, mimeType: "text/plain", properties: properties)
    }

    /// Adds the text's paragraphs; returns the first heading.
    @discardableResult
    static func append(_ text: String, to builder: inout DocumentBuilder) throws(Refusal) -> String? {
        var firstHeading: String?
        for group in paragraphs(text) {
            var lines = group[...]
            if let heading = heading(lines) {
                if firstHeading == nil { firstHeading = heading.text.trimmed }
                try builder.heading(heading.text, level: heading.level)
                lines = lines.dropFirst(heading.lineCount)
                if lines.isEmpty { continue }
            }
            if let first = lines.first, isListLine(first), lines.count > 0 {
                for item in items(lines) { try builder.listItem(item, marker: "") }
                continue
            }
            // A paragraph of thousands of lines (a log) is cut, so that a block stays something one can cite.
            var start = lines.startIndex
            while start < lines.endIndex {
                let end = min(lines.endIndex, start + 60)
                try builder.lines(lines[start..<end].joined(separator: "\n"))
                start = end
            }
        }
        return firstHeading
    }

    static func paragraphs(_ text: String) -> [[Substring]] {
        var groups: [[Substring]] = []
        var current: [Substring] = []
        for line in splitLines(text) {
            if line.utf8.allSatisfy({ $0 <= 0x20 }) {
                if !current.isEmpty { groups.append(current) }
                current = []
            } else {
                current.append(line)
            }
        }
        if !current.isEmpty { groups.append(current) }
        return groups
    }

    /// Splits at `\n`, `\r\n` and `\r`, in one pass over bytes.
    static func splitLines(_ text: String) -> [Substring] {
        var lines: [Substring] = []
        let bytes = text.utf8
        var start = bytes.startIndex
        var index = start
        while index < bytes.endIndex {
            let byte = bytes[index]
            let next = bytes.index(after: index)
            if byte == 0x0A || byte == 0x0D || byte == 0x0C {
                lines.append(text[start..<index])
                // A form feed parts paragraphs too.
                if byte == 0x0C { lines.append("") }
                index = byte == 0x0D && next < bytes.endIndex && bytes[next] == 0x0A ? bytes.index(after: next) : next
                start = index
            } else {
                index = next
            }
        }
        if start < bytes.endIndex { lines.append(text[start...]) }
        return lines
    }

    private static func heading(_ lines: ArraySlice<Substring>) -> (text: String, level: Int, lineCount: Int)? {
        guard let first = lines.first, first.utf8.count <= 120 else { return nil }
        if lines.count >= 2, let under = lines.dropFirst().first {
            let line = under.trimmed
            if line.utf8.count >= 3, let mark = line.first, "=-~".contains(mark), line.allSatisfy({ $0 == mark }),
                abs(line.count - first.trimmed.count) <= 4
            {
                return (first.trimmed, mark == "=" ? 1 : 2, 2)
            }
        }
        guard lines.count == 1 else { return nil }
        if let level = numberedLevel(first.trimmed) { return (first.trimmed, level, 1) }
        return nil
    }

    /// The depth of `"2.1 Results"`, or nil when the line is not such a heading.
    static func numberedLevel(_ line: String) -> Int? {
        let words = line.split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[1].first?.isUppercase == true, words[1].utf8.count <= 100 else { return nil }
        guard let last = line.last, !".,;:?!".contains(last) else { return nil }
        let number = words[0].hasSuffix(".") ? words[0].dropLast() : words[0]
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard !parts.isEmpty, parts.count <= 5,
            parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 2 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
        else { return nil }
        // "12 Monkeys" is no heading; "12. Monkeys" and "1.2 Monkeys" are.
        guard parts.count > 1 || words[0].hasSuffix(".") || number.utf8.count == 1 else { return nil }
        guard words[1].split(separator: " ").count <= 12 else { return nil }
        return parts.count
    }

    static func isListLine(_ line: Substring) -> Bool {
        let text = line.drop { $0 == " " || $0 == "\t" }
        for marker in ["- ", "* ", "• ", "– ", "+ ", "‣ ", "◦ ", "▪ "] where text.hasPrefix(marker) { return true }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard (1...3).contains(digits.utf8.count) else { return false }
        let rest = text.dropFirst(digits.count)
        return rest.hasPrefix(". ") || rest.hasPrefix(") ")
    }

    /// Joins the lines that continue an item.
    private static func items(_ lines: ArraySlice<Substring>) -> [String] {
        var items: [String] = []
        for line in lines {
            if isListLine(line) || items.isEmpty { items.append(line.trimmed) } else { items[items.count - 1] += " " + line.trimmed }
        }
        return items
    }
}
