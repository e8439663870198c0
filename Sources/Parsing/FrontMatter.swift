import Foundation

/// What a Markdown file says about itself above its text: YAML between `---`, or TOML between `+++`.
///
/// Of both languages the part that people write there is read: texts, lists of texts in either form, folded (`>`) and literal (`|`)
/// texts, one level of names below a name. What is nested deeper is left out.
struct FrontMatter {
    private(set) var values: [String: String] = [:]
    private(set) var lists: [String: [String]] = [:]

    /// The front matter and the text below it; the whole text when there is none.
    static func split(_ text: String) -> (FrontMatter, Substring) {
        for (fence, isTOML) in [("---", false), ("+++", true)] {
            guard text.hasPrefix(fence) else { continue }
            let lines = text.split(separator: "\n", maxSplits: 400, omittingEmptySubsequences: false)
            guard lines.count > 2, lines[0].trimmed == fence else { continue }
            let end = lines.dropFirst().prefix(399).firstIndex { line in
                let line = line.trimmed
                return line == fence || (!isTOML && line == "...")
            }
            guard let end, end < lines.count else { continue }
            var matter = FrontMatter()
            let inner = lines[1..<end].map { $0.hasSuffix("\r") ? $0.dropLast() : $0 }
            if isTOML { matter.readTOML(inner) } else { matter.readYAML(inner) }
            // A rule at the top of a text is no front matter.
            guard !matter.values.isEmpty || !matter.lists.isEmpty || inner.allSatisfy(\.isBlank) else { continue }
            return (matter, text[lines[end].endIndex...])
        }
        return (FrontMatter(), text[...])
    }

    private mutating func set(_ key: String, _ value: String) {
        let key = Self.unquoted(key).lowercased()
        let value = value.trimmed
        guard !key.isEmpty, key.utf8.count < 60, !value.isEmpty, value != "~", value != "null", values.count < 60 else { return }
        if values[key] == nil { values[key] = value }
    }

    private mutating func set(_ key: String, _ items: [String]) {
        let key = Self.unquoted(key).lowercased()
        let items = items.map(\.trimmed).filter { !$0.isEmpty }
        guard !key.isEmpty, key.utf8.count < 60, !items.isEmpty, lists.count < 60 else { return }
        lists[key] = Array(items.prefix(200))
    }

    private static func indent(_ line: Substring) -> Int { line.utf8.prefix { $0 == 0x20 || $0 == 0x09 }.count }

    private static func unquoted(_ text: some StringProtocol) -> String {
        let text = String(text).trimmed
        guard text.utf8.count >= 2, let first = text.first, first == text.last, first == "\"" || first == "'" else { return text }
        let inner = String(text.dropFirst().dropLast())
        if first == "'" { return inner.replacing("''", with: "'") }
        return inner.replacing("\\\"", with: "\"").replacing("\\n", with: "\n").replacing("\\t", with: " ").replacing("\\\\", with: "\\")
    }

    /// Without the remark at its end; a sign of number within a word or quotes is none.
    private static func withoutRemark(_ text: some StringProtocol) -> String {
        var quote: Character?
        var previous: Character = " "
        var output = ""
        for character in text {
            if let open = quote {
                if character == open { quote = nil }
            } else if character == "\"" || character == "'", previous == " " || previous == "[" || previous == "," || previous == "=" {
                quote = character
            } else if character == "#", previous.isWhitespace {
                break
            }
            output.append(character)
            previous = character
        }
        return output.trimmed
    }

    /// The items of `[a, "b, c"]`.
    private static func items(_ text: String) -> [String] {
        var items: [String] = []
        var current = ""
        var quote: Character?
        var depth = 0
        for character in text {
            if let open = quote {
                if character == open { quote = nil }
                current.append(character)
                continue
            }
            switch character {
            case "\"", "'":
                if current.isBlank { quote = character }
                current.append(character)
            case "[", "{":
                depth += 1
                if depth > 1 { current.append(character) }
            case "]", "}":
                depth -= 1
                if depth > 0 { current.append(character) }
            case "," where depth <= 1:
                items.append(unquoted(current))
                current = ""
            default: current.append(character)
            }
        }
        items.append(unquoted(current))
        return items.filter { !$0.isBlank }
    }

    /// Whether all brackets of a list are closed.
    private static func isClosed(_ text: String) -> Bool {
        text.reduce(0) { $0 + ($1 == "[" ? 1 : $1 == "]" ? -1 : 0) } <= 0
    }

    // MARK: - YAML

    private static func keyAndValue(_ source: some StringProtocol) -> (key: String, value: String)? {
        let line = String(source)[...]
        var index = line.startIndex
        if let quote = line.first, quote == "\"" || quote == "'" {
            guard let close = line.dropFirst().firstIndex(of: quote) else { return nil }
            index = close
        }
        while let colon = line[index...].firstIndex(of: ":") {
            let next = line.index(after: colon)
            if next == line.endIndex || line[next] == " " || line[next] == "\t" {
                let key = line[..<colon].trimmed
                return key.isEmpty ? nil : (key, line[next...].trimmed)
            }
            index = next
        }
        return nil
    }

    private mutating func readYAML(_ lines: [Substring]) {
        var index = 0
        while index < lines.count {
            let line = lines[index]
            index += 1
            guard !line.isBlank, Self.indent(line) == 0, line.first != "#", line.first != "-", let (key, value) = Self.keyAndValue(line)
            else {
                continue
            }
            readYAML(key, value, lines, &index, indent: 0, isOutermost: true)
        }
    }

    /// The value of a key, of which `value` is what stands on its line.
    private mutating func readYAML(
        _ key: String, _ value: String, _ lines: [Substring], _ index: inout Int, indent: Int, isOutermost: Bool
    ) {
        let value = Self.withoutRemark(value)
        func isBelow(_ line: Substring) -> Bool { line.isBlank || Self.indent(line) > indent }
        if let mark = value.first, mark == ">" || mark == "|", value.dropFirst().allSatisfy({ "+-0123456789".contains($0) }) {
            var block: [Substring] = []
            while index < lines.count, isBelow(lines[index]) {
                block.append(lines[index])
                index += 1
            }
            let text = mark == "|" ? block.map(\.trimmed).joined(separator: "\n") : Self.folded(block)
            return set(key, text)
        }
        if value.hasPrefix("[") {
            var whole = value
            while !Self.isClosed(whole), index < lines.count {
                whole += " " + Self.withoutRemark(lines[index])
                index += 1
            }
            return set(key, Self.items(whole))
        }
        if !value.isEmpty {
            // A plain or quoted text may go on in lines that stand further in.
            var text = value
            while index < lines.count, !lines[index].isBlank, Self.indent(lines[index]) > indent {
                text += " " + Self.withoutRemark(lines[index])
                index += 1
            }
            return set(key, Self.unquoted(text))
        }
        // A list or names below; a list may stand at the key's own depth.
        var items: [String] = []
        while index < lines.count {
            let line = lines[index]
            if line.isBlank || line.trimmed.hasPrefix("#") {
                index += 1
                continue
            }
            let depth = Self.indent(line)
            let text = line.dropFirst(depth)
            if text.hasPrefix("- ") || text == "-", depth >= indent {
                index += 1
                var item = Self.withoutRemark(text.dropFirst())
                // A thing with names: its name is what it is called.
                if !item.hasPrefix("\""), !item.hasPrefix("'"), let (name, first) = Self.keyAndValue(item) {
                    var fields = [(name, Self.unquoted(first))]
                    while index < lines.count, !lines[index].isBlank, Self.indent(lines[index]) > depth {
                        if let (name, value) = Self.keyAndValue(lines[index].trimmed) {
                            fields.append((name, Self.unquoted(Self.withoutRemark(value))))
                        }
                        index += 1
                    }
                    item = fields.first { ["name", "title", "value", "label"].contains($0.0.lowercased()) }?.1 ?? first
                } else {
                    while index < lines.count, !lines[index].isBlank, Self.indent(lines[index]) > depth {
                        item += " " + Self.withoutRemark(lines[index])
                        index += 1
                    }
                }
                items.append(Self.unquoted(item))
            } else if depth > indent, isOutermost, let (name, value) = Self.keyAndValue(text) {
                index += 1
                readYAML("\(Self.unquoted(key)).\(Self.unquoted(name))", value, lines, &index, indent: depth, isOutermost: false)
            } else if depth > indent {
                index += 1
            } else {
                break
            }
        }
        set(key, items)
    }

    /// Lines of a folded text joined by blanks; an empty line parts them.
    private static func folded(_ block: [Substring]) -> String {
        var text = ""
        var isNew = true
        for line in block {
            if line.isBlank {
                if !text.isEmpty, !isNew { text += "\n" }
                isNew = true
            } else {
                if !isNew { text += " " }
                text += line.trimmed
                isNew = false
            }
        }
        return text
    }

    // MARK: - TOML

    private mutating func readTOML(_ lines: [Substring]) {
        var section = ""
        var index = 0
        while index < lines.count {
            let line = lines[index].trimmed
            index += 1
            if line.isEmpty || line.hasPrefix("#") { continue }
            if line.hasPrefix("[") {
                section = Self.withoutRemark(line).filter { $0 != "[" && $0 != "]" }.trimmed
                section = section.isEmpty || section == "extra" || section == "taxonomies" || section == "params" ? "" : section + "."
                continue
            }
            guard let equal = line.firstIndex(of: "=") else { continue }
            let key = section + Self.unquoted(line[..<equal])
            var value = line[line.index(after: equal)...].trimmed
            if let quotes = ["\"\"\"", "'''"].first(where: { value.hasPrefix($0) }) {
                var text = String(value.dropFirst(3))
                while text.firstRange(of: quotes) == nil, index < lines.count {
                    text += "\n" + lines[index]
                    index += 1
                }
                if let end = text.firstRange(of: quotes) { text = String(text[..<end.lowerBound]) }
                set(key, text)
                continue
            }
            value = Self.withoutRemark(value)
            if value.hasPrefix("[") {
                while !Self.isClosed(value), index < lines.count {
                    value += " " + Self.withoutRemark(lines[index])
                    index += 1
                }
                set(key, Self.items(value))
            } else if !value.hasPrefix("{") {
                set(key, Self.unquoted(value))
            }
        }
    }
}
