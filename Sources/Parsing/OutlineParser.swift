import Foundation

/// Reads text with light marks: Org mode and reStructuredText. Headings, lists, rows and code become what they are.
struct OutlineParser {
    enum Kind: Equatable { case org, reStructuredText }

    private var builder: DocumentBuilder
    private let kind: Kind
    private var title: String?
    private var firstHeading: String?
    /// How reStructuredText's headings are underlined, outermost first: their order of appearance decides.
    private var adornments: [String] = []

    static func parse(_ input: ParseInput, kind: Kind, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        var parser = OutlineParser(builder: context.builder, kind: kind)
        let lines = PlainTextParser.splitLines(TextDecoder.withoutNULs(decoded.text))
        switch kind {
        case .org: try parser.readOrg(lines)
        case .reStructuredText: try parser.readStructured(lines)
        }
        var properties: [String: String] = [:]
        if decoded.encoding != "UTF-8" { properties["encoding"] = decoded.encoding }
        return parser.builder.finish(
            title: parser.title ?? parser.firstHeading, mimeType: kind == .org ? "text/org" : "text/x-rst", properties: properties)
    }

    private init(builder: DocumentBuilder, kind: Kind) {
        self.builder = builder
        self.kind = kind
    }

    private mutating func heading(_ text: String, level: Int) throws(Refusal) {
        let text = inline(text)
        guard !text.isBlank else { return }
        if firstHeading == nil { firstHeading = text }
        try builder.heading(text, level: level)
    }

    private static func indent(_ line: Substring) -> Int { line.utf8.prefix { $0 == 0x20 || $0 == 0x09 }.count }

    /// Lines that belong to what stands above them: further in than `indent`, blank lines between them included.
    private static func block(_ lines: [Substring], _ index: inout Int, deeperThan indent: Int) -> [Substring] {
        var block: [Substring] = []
        while index < lines.count, lines[index].isBlank || Self.indent(lines[index]) > indent {
            block.append(lines[index])
            index += 1
        }
        while let last = block.last, last.isBlank { block.removeLast() }
        let margin = block.filter { !$0.isBlank }.map(Self.indent).min() ?? 0
        return block.map { $0.dropFirst(min(margin, Self.indent($0))) }
    }

    /// Items and paragraphs of a stretch of lines.
    private mutating func paragraphs(_ lines: ArraySlice<Substring>) throws(Refusal) {
        var index = lines.startIndex
        while index < lines.endIndex {
            if lines[index].isBlank {
                index += 1
                continue
            }
            let first = lines[index]
            if let (marker, text) = Self.item(first) {
                let depth = Self.indent(first)
                var words = text
                index += 1
                while index < lines.endIndex, !lines[index].isBlank, Self.indent(lines[index]) > depth, Self.item(lines[index]) == nil {
                    words += " " + lines[index].trimmed
                    index += 1
                }
                try builder.listItem(inline(words), marker: marker)
                continue
            }
            var paragraph: [String] = []
            while index < lines.endIndex, !lines[index].isBlank, paragraph.isEmpty || Self.item(lines[index]) == nil {
                paragraph.append(lines[index].trimmed)
                index += 1
            }
            try builder.lines(inline(paragraph.joined(separator: "\n")))
        }
    }

    /// A list item's mark as it is shown, and its words.
    private static func item(_ line: Substring) -> (marker: String, text: String)? {
        let text = line.drop { $0 == " " || $0 == "\t" }
        var marker = ""
        var rest = text
        if text.hasPrefix("- ") || text.hasPrefix("+ ") || text.hasPrefix("• ") || text.hasPrefix("* ") {
            marker = "- "
            rest = text.dropFirst(2)
        } else if text.hasPrefix("#. ") {
            marker = "- "
            rest = text.dropFirst(3)
        } else {
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            guard (1...4).contains(digits.count) else { return nil }
            let after = text.dropFirst(digits.count)
            guard after.hasPrefix(". ") || after.hasPrefix(") ") else { return nil }
            marker = "\(digits). "
            rest = after.dropFirst(2)
        }
        let words = rest.trimmed
        // A box and its state.
        for (box, state) in [("[X] ", "[x] "), ("[x] ", "[x] "), ("[ ] ", "[ ] "), ("[-] ", "[ ] ")] where words.hasPrefix(box) {
            return (marker + state, String(words.dropFirst(4)))
        }
        return (marker, words)
    }

    // MARK: - Org

    private mutating func readOrg(_ lines: [Substring]) throws(Refusal) {
        var index = 0
        var text: [Substring] = []
        while index < lines.count {
            let line = lines[index]
            let words = line.trimmed
            let stars = line.prefix { $0 == "*" }
            if !stars.isEmpty, line.dropFirst(stars.count).first == " " {
                try paragraphs(text[...])
                text = []
                index += 1
                var name = line.dropFirst(stars.count).trimmed
                // Tags at the end are for sorting.
                if name.hasSuffix(":"), let blank = name.lastIndex(of: " "), name[blank...].dropFirst().hasPrefix(":") {
                    name = name[..<blank].trimmed
                }
                try heading(name, level: stars.count)
            } else if words.hasPrefix("|") {
                try paragraphs(text[...])
                text = []
                var rows: [[String]] = []
                var rule: Int?
                while index < lines.count, lines[index].trimmed.hasPrefix("|") {
                    let row = lines[index].trimmed
                    index += 1
                    if row.hasPrefix("|-") {
                        if rule == nil, !rows.isEmpty { rule = rows.count }
                        continue
                    }
                    var cells = row.dropFirst().split(separator: "|", omittingEmptySubsequences: false).map { inline($0.trimmed) }
                    if cells.last?.isEmpty == true { cells.removeLast() }
                    rows.append(cells)
                }
                builder.beginTable()
                for (place, cells) in rows.enumerated() {
                    try builder.tableRow(cells, isHeader: place == 0 && rule != nil && rows.count > 1)
                }
                builder.endTable()
            } else if words.hasPrefix("#+") {
                try paragraphs(text[...])
                text = []
                index += 1
                let lowered = words.lowercased()
                if lowered.hasPrefix("#+begin_") {
                    let kind = lowered.dropFirst(8).prefix { !$0.isWhitespace }
                    var block: [Substring] = []
                    while index < lines.count, !lines[index].trimmed.lowercased().hasPrefix("#+end_\(kind)") {
                        block.append(lines[index])
                        index += 1
                    }
                    index += 1
                    switch kind {
                    case "src", "example", "export":
                        let language = words.split(separator: " ").dropFirst().first.map { $0.lowercased() }
                        try builder.code(block.joined(separator: "\n"), language: kind == "src" ? language : nil)
                    case "comment": break
                    default: try paragraphs(block[...])
                    }
                } else if lowered.hasPrefix("#+title:") {
                    title = words.dropFirst(8).trimmed
                } else if lowered.hasPrefix("#+caption:") {
                    try builder.note(inline(words.dropFirst(10).trimmed))
                }
            } else if words.hasPrefix(":"), words.hasSuffix(":"), words.utf8.count > 2, !words.contains(" ") {
                // A drawer: properties and clocks of a heading.
                index += 1
                while index < lines.count, lines[index].trimmed.lowercased() != ":end:", lines[index].trimmed.hasPrefix(":") { index += 1 }
                if index < lines.count, lines[index].trimmed.lowercased() == ":end:" { index += 1 }
            } else if words == "#" || words.hasPrefix("# ") {
                index += 1
            } else if words.hasPrefix("[fn:"), let close = words.firstIndex(of: "]"), line.hasPrefix("[") {
                try paragraphs(text[...])
                text = []
                index += 1
                var note = words[words.index(after: close)...].trimmed
                while index < lines.count, !lines[index].isBlank, !lines[index].hasPrefix("[fn:"), !lines[index].hasPrefix("*") {
                    note += " " + lines[index].trimmed
                    index += 1
                }
                try builder.note("Footnote \(words[..<close].dropFirst(4)): \(inline(note))")
            } else {
                text.append(line)
                index += 1
            }
        }
        try paragraphs(text[...])
    }

    // MARK: - reStructuredText

    private static func isAdornment(_ line: Substring) -> Bool {
        let text = line.trimmed
        guard text.utf8.count >= 3, let mark = text.utf8.first, (0x21...0x7E).contains(mark), !Character(Unicode.Scalar(mark)).isLetter,
            !Character(Unicode.Scalar(mark)).isNumber
        else { return false }
        return text.utf8.allSatisfy { $0 == mark } && indent(line) == 0
    }

    private mutating func level(_ adornment: String) -> Int {
        if let place = adornments.firstIndex(of: adornment) { return place + 1 }
        adornments.append(adornment)
        return adornments.count
    }

    private mutating func readStructured(_ lines: [Substring]) throws(Refusal) {
        var index = 0
        var text: [Substring] = []
        func line(_ offset: Int) -> Substring { index + offset < lines.count ? lines[index + offset] : "" }
        while index < lines.count {
            let current = lines[index]
            let words = current.trimmed
            let isOverline =
                Self.isAdornment(current) && !line(1).isBlank && Self.isAdornment(line(2)) && line(2).trimmed.first == words.first
            let isAfterBlank = text.last.map(\.isBlank) ?? true
            if isOverline, isAfterBlank, !words.hasPrefix("==  "), !line(1).trimmed.contains("  ") || line(3).isBlank {
                try paragraphs(text[...])
                text = []
                try heading(line(1).trimmed, level: level("over" + words.prefix(1)))
                index += 3
            } else if isAfterBlank, !current.isBlank, !Self.isAdornment(current), Self.indent(current) == 0, Self.isAdornment(line(1)),
                line(1).trimmed.utf8.count + 2 >= words.count
            {
                try paragraphs(text[...])
                text = []
                try heading(words, level: level(String(line(1).trimmed.prefix(1))))
                index += 2
            } else if words.hasPrefix("+-"), words.hasSuffix("+"), words.utf8.allSatisfy({ $0 == 0x2B || $0 == 0x2D }) {
                try paragraphs(text[...])
                text = []
                try gridTable(lines, &index)
            } else if words.hasPrefix("=="), words.contains(" "), words.utf8.allSatisfy({ $0 == 0x3D || $0 == 0x20 }) {
                try paragraphs(text[...])
                text = []
                try simpleTable(lines, &index)
            } else if words.hasPrefix(".. ") || words == ".." {
                try paragraphs(text[...])
                text = []
                try directive(lines, &index)
            } else if words.hasSuffix("::"), words != "::" || line(1).isBlank {
                // What follows further in is quoted as it stands.
                if words != "::" { text.append(current.trimmed == "::" ? "" : current[..<current.lastIndex(of: ":")!]) }
                try paragraphs(text[...])
                text = []
                index += 1
                let block = Self.block(lines, &index, deeperThan: Self.indent(current))
                try builder.code(block.joined(separator: "\n"), language: nil)
            } else if words.hasPrefix(":"), let close = words.dropFirst().firstIndex(of: ":"), Self.indent(current) == 0, isAfterBlank,
                words.index(after: close) == words.endIndex || words[words.index(after: close)] == " "
            {
                text.append("\(words[words.index(after: words.startIndex)..<close]): \(words[words.index(after: close)...].trimmed)")
                index += 1
            } else {
                text.append(current)
                index += 1
            }
        }
        try paragraphs(text[...])
    }

    private mutating func directive(_ lines: [Substring], _ index: inout Int) throws(Refusal) {
        let first = lines[index]
        let depth = Self.indent(first)
        let words = first.trimmed.dropFirst(2).trimmed
        index += 1
        var block = Self.block(lines, &index, deeperThan: depth)
        if words.hasPrefix("["), let close = words.firstIndex(of: "]") {
            let label = words.dropFirst().prefix { $0 != "]" }.filter { $0 != "#" }
            let note = ([words[words.index(after: close)...].trimmed] + block.map(\.trimmed)).filter { !$0.isEmpty }.joined(separator: " ")
            return try builder.note("Footnote\(label.isEmpty ? "" : " " + label): \(inline(note))")
        }
        guard let colons = words.firstRange(of: "::") else { return }
        let name = words[..<colons.lowerBound].split(separator: " ").last.map { $0.lowercased() } ?? ""
        let argument = words[colons.upperBound...].trimmed
        // Options stand first.
        while let line = block.first, line.trimmed.hasPrefix(":"), line.trimmed.dropFirst().contains(":") { block.removeFirst() }
        switch name {
        case "code-block", "code", "sourcecode", "literalinclude", "parsed-literal", "doctest", "highlight":
            let text = block.joined(separator: "\n")
            if !text.isBlank { try builder.code(text, language: argument.isEmpty ? nil : argument.lowercased()) }
        case "image", "figure": try paragraphs(block[...])
        case "toctree", "contents", "raw", "include", "index", "meta": break
        case "math": try builder.lines(([argument] + block.map(String.init)).joined(separator: "\n"))
        case "list-table":
            if !argument.isEmpty { try builder.note(inline(argument)) }
            try listTable(block)
        case "csv-table":
            if !argument.isEmpty { try builder.note(inline(argument)) }
            var reader = DelimitedTextParser.RecordReader(Array(block.joined(separator: "\n").utf8), delimiter: 0x2C)
            builder.beginTable()
            while let record = reader.next() { try builder.tableRow(record.map { inline($0.trimmed) }) }
            builder.endTable()
        default:
            let title = ["note", "warning", "tip", "caution", "danger", "important", "attention", "hint", "error"].contains(name)
            let lead = argument.isEmpty ? "" : inline(argument)
            if !lead.isBlank { try builder.lines(title ? "\(name.capitalized): \(lead)" : lead) }
            try paragraphs(block[...])
        }
    }

    /// Rows as items, cells as items of items.
    private mutating func listTable(_ lines: [Substring]) throws(Refusal) {
        builder.beginTable()
        var rows: [[String]] = []
        for line in lines where !line.isBlank {
            let text = line.trimmed
            if text.hasPrefix("* - ") || text == "* -" {
                rows.append([text.dropFirst(4).trimmed])
            } else if text.hasPrefix("- ") || text == "-", !rows.isEmpty {
                rows[rows.count - 1].append(text.dropFirst(2).trimmed)
            } else if !rows.isEmpty {
                rows[rows.count - 1][rows[rows.count - 1].count - 1] += " " + text
            }
        }
        for (index, cells) in rows.enumerated() { try builder.tableRow(cells.map { inline($0) }, isHeader: index == 0 && rows.count > 1) }
        builder.endTable()
    }

    /// `+---+---+` between rows, `+===+===+` under the header.
    private mutating func gridTable(_ lines: [Substring], _ index: inout Int) throws(Refusal) {
        var rows: [[String]] = []
        var current: [String] = []
        var header: Int?
        while index < lines.count, lines[index].trimmed.hasPrefix("+") || lines[index].trimmed.hasPrefix("|") {
            let line = lines[index].trimmed
            index += 1
            if line.hasPrefix("+") {
                if !current.isEmpty { rows.append(current) }
                current = []
                if line.hasPrefix("+="), header == nil { header = rows.count }
                continue
            }
            var cells = line.dropFirst().split(separator: "|", omittingEmptySubsequences: false).map(\.trimmed)
            if line.hasSuffix("|") { cells.removeLast() }
            while current.count < cells.count { current.append("") }
            for (place, cell) in cells.enumerated() where !cell.isEmpty { current[place] += (current[place].isEmpty ? "" : " ") + cell }
        }
        if !current.isEmpty { rows.append(current) }
        builder.beginTable()
        for (place, cells) in rows.enumerated() { try builder.tableRow(cells.map { inline($0) }, isHeader: place + 1 == header) }
        builder.endTable()
    }

    /// Columns under `=====  =====`.
    private mutating func simpleTable(_ lines: [Substring], _ index: inout Int) throws(Refusal) {
        let rule = Array(lines[index])
        var starts: [Int] = []
        for (place, character) in rule.enumerated() where character == "=" && (place == 0 || rule[place - 1] == " ") {
            starts.append(place)
        }
        index += 1
        var rows: [[String]] = []
        var ruleCount = 1
        var header: Int?
        while index < lines.count {
            let line = lines[index]
            if line.isBlank, ruleCount > 1 { break }
            index += 1
            if line.trimmed.hasPrefix("=="), line.utf8.allSatisfy({ $0 == 0x3D || $0 == 0x20 }) {
                ruleCount += 1
                if ruleCount == 2 { header = rows.count }
                if ruleCount == 3 { break }
                continue
            }
            if line.isBlank || line.trimmed.hasPrefix("--") { continue }
            let characters = Array(line)
            let cells = starts.enumerated().map { column, start -> String in
                let end = column + 1 < starts.count ? starts[column + 1] : characters.count
                return start < characters.count ? String(characters[start..<min(max(start, end), characters.count)]).trimmed : ""
            }
            if cells.first?.isEmpty == true, !rows.isEmpty {
                for (column, cell) in cells.enumerated() where !cell.isEmpty { rows[rows.count - 1][column] += " " + cell }
            } else {
                rows.append(cells)
            }
        }
        builder.beginTable()
        // With two rules only there is no header.
        for (place, cells) in rows.enumerated() {
            try builder.tableRow(cells.map { inline($0) }, isHeader: ruleCount > 2 && place + 1 == header)
        }
        builder.endTable()
    }

    // MARK: - Within a line

    /// Without marks that only shape; with the targets of links, and notes' marks as `[1]`.
    private func inline(_ text: String) -> String {
        switch kind {
        case .org:
            guard text.utf8.contains(0x5B) else { return text }
            var output = ""
            var rest = text[...]
            while let open = rest.firstIndex(of: "[") {
                output += rest[..<open]
                let inner = rest[open...]
                if inner.hasPrefix("[["), let close = inner.firstRange(of: "]]") {
                    let parts = inner[..<close.lowerBound].dropFirst(2)
                    if let middle = parts.firstRange(of: "][") {
                        let label = String(parts[middle.upperBound...])
                        output += label + LinkTarget.suffix(String(parts[..<middle.lowerBound]), after: label)
                    } else {
                        output += parts
                    }
                    rest = rest[close.upperBound...]
                } else if inner.hasPrefix("[fn:"), let close = inner.firstIndex(of: "]") {
                    let label = inner[..<close].dropFirst(4)
                    output += label.contains(":") ? " (\(label.drop { $0 != ":" }.dropFirst().trimmed))" : "[\(label)]"
                    rest = rest[inner.index(after: close)...]
                } else {
                    output.append("[")
                    rest = inner.dropFirst()
                }
            }
            return output + rest
        case .reStructuredText:
            var output = text.replacing("**", with: "").replacing("``", with: "\u{1}")
            guard output.utf8.contains(0x60) || output.utf8.contains(0x5F) || output.utf8.contains(1) else { return output }
            // "text <target>`_" and ":role:`text`".
            var result = ""
            var rest = output[...]
            while let open = rest.firstIndex(of: "`") {
                var before = rest[..<open]
                let after = rest[rest.index(after: open)...]
                guard let close = after.firstIndex(of: "`") else { break }
                if before.hasSuffix(":"), let start = before.dropLast().lastIndex(of: ":"),
                    before[start...].dropFirst().dropLast().allSatisfy({ $0.isLetter || $0 == "-" })
                {
                    before = before[..<start]
                }
                result += before
                let inner = String(after[..<close])
                rest = after[after.index(after: close)...]
                while rest.first == "_" { rest = rest.dropFirst() }
                if inner.hasSuffix(">"), let mark = inner.lastIndex(of: "<") {
                    let label = inner[..<mark].trimmed
                    let target = String(inner[mark...].dropFirst().dropLast())
                    result += label.isEmpty ? target : label + LinkTarget.suffix(target, after: label)
                } else {
                    result += inner
                }
            }
            output = result + rest
            // Marks of notes: "[1]_", "[#]_".
            return output.replacing("]_", with: "]").replacing("\u{1}", with: "")
        }
    }
}
