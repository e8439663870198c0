/// Where a link leads, as it stands after the link's text.
enum LinkTarget {
    /// `" (https://example.org/a)"`, or nothing when the text says it already, or when the link only leads to another place of the document.
    static func suffix(_ target: String?, after shown: String) -> String {
        guard let target = target?.trimmed, !target.isEmpty, !target.hasPrefix("#"), target.utf8.count <= 2000 else { return "" }
        let lowered = target.lowercased()
        if lowered.hasPrefix("javascript:") || lowered.hasPrefix("data:") || shown.isBlank { return "" }
        let written = lowered.hasPrefix("mailto:") ? String(target.dropFirst(7)) : target
        let said = plain(shown)
        let core = plain(written)
        if core.isEmpty || said.contains(core) { return "" }
        return " (\(written))"
    }

    /// Without what people leave out when they write an address.
    private static func plain(_ text: String) -> String {
        var text = text.lowercased()
        for scheme in ["https://", "http://", "mailto:", "tel:"] { text = text.replacing(scheme, with: "") }
        text = text.replacing("www.", with: "")
        while text.hasSuffix("/") { text.removeLast() }
        return text.filter { !$0.isWhitespace }
    }

    /// The target of a field code such as `HYPERLINK "https://example.org" \o "tip"`; nil for other fields and for places of the same document.
    static func ofField(_ code: String) -> String? {
        var words = words(code)[...]
        guard let name = words.popFirst(), name.text.uppercased() == "HYPERLINK" else { return nil }
        var target: String?
        var anchor: String?
        while let word = words.popFirst() {
            if !word.isQuoted, word.text.hasPrefix("\\") {
                let option = word.text.lowercased()
                if option == "\\l" { anchor = words.popFirst()?.text }
                if option == "\\o" || option == "\\t" { _ = words.popFirst() }
            } else if target == nil {
                target = word.text
            }
        }
        guard let target, !target.isEmpty else { return nil }
        return anchor.map { target.contains("#") ? target : target + "#" + $0 } ?? target
    }

    /// The character that `SYMBOL 109 \f "Symbol"` shows, or nil for other fields.
    static func glyph(ofField code: String) -> String? {
        let words = words(code)
        guard words.count > 1, words[0].text.uppercased() == "SYMBOL" else { return nil }
        let number = words[1].text.lowercased()
        guard let value = number.hasPrefix("0x") ? UInt8(number.dropFirst(2), radix: 16) : UInt8(number), value >= 0x20 else { return nil }
        let name = words.firstIndex { $0.text == "\\f" }.flatMap { words.indices.contains($0 + 1) ? words[$0 + 1].text : nil }
        return SymbolFont.readable(String(UnicodeScalar(value)), font: SymbolFont(name: name ?? "Symbol"))
    }

    /// A field code's words; those in quotes are one, with `\\` for a backslash.
    static func words(_ code: String) -> [(text: String, isQuoted: Bool)] {
        var words: [(text: String, isQuoted: Bool)] = []
        var current = ""
        var isQuoted = false
        var isEscaped = false
        for character in code {
            if isQuoted {
                if isEscaped {
                    current.append(character)
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else if "\"“”".contains(character) {
                    words.append((current, true))
                    current = ""
                    isQuoted = false
                } else {
                    current.append(character)
                }
            } else if "\"“”".contains(character) {
                if !current.isEmpty { words.append((current, false)) }
                current = ""
                isQuoted = true
            } else if character.isWhitespace {
                if !current.isEmpty { words.append((current, false)) }
                current = ""
            } else {
                current.append(character)
            }
        }
        if !current.isEmpty { words.append((current, isQuoted)) }
        return words
    }
}
