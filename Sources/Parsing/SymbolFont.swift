/// A font whose glyphs are not what its character codes say: in Symbol, the letter "m" is drawn as "μ" and "£" as "≤".
///
/// Documents keep the code, as a Latin character or in the private area at U+F000, and the font decides what is read. Reading
/// "5 mg" where the page shows "5 μg" is a wrong dose, so text in such fonts is translated. Boxes and check marks become the
/// plain "[ ]" and "[x]" that other formats write.
///
/// Facts from the encoding tables of Adobe's Symbol and ITC Zapf Dingbats fonts and from Unicode's proposal for the Wingdings (L2/12-368).
enum SymbolFont {
    case symbol, wingdings, wingdings2, wingdings3, webdings, dingbats

    /// The font by its name, or nil when its codes can be read as they are ("Segoe UI Symbol" is a Unicode font).
    init?(name: String) {
        var plain = name.lowercased().filter { $0.isLetter || $0.isNumber }
        if plain.hasSuffix("regular") { plain.removeLast(7) }
        switch plain {
        case "symbol", "symbolmt", "symbolps", "symbolneu", "symbolset": self = .symbol
        case "wingdings", "wingdings1": self = .wingdings
        case "wingdings2": self = .wingdings2
        case "wingdings3": self = .wingdings3
        case "webdings": self = .webdings
        case "zapfdingbats", "itczapfdingbats", "dingbats", "monotypesorts", "zapfdingbatsitc": self = .dingbats
        default: return nil
        }
    }

    /// Text as it reads in this font.
    func read(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if let code = Self.code(scalar), let glyph = glyph(code) { result += glyph } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    /// Text of an unknown font: characters of the private area are those of Symbol, or the usual bullets and boxes of Wingdings.
    static func readPrivate(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { (0xF020...0xF0FF).contains($0.value) }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            guard (0xF020...0xF0FF).contains(scalar.value) else {
                result.unicodeScalars.append(scalar)
                continue
            }
            let code = UInt8(scalar.value - 0xF000)
            let isWingdings = [0x6E, 0x6F, 0x71, 0x76, 0xA7, 0xA8, 0xD8, 0xE0, 0xFB, 0xFC, 0xFD, 0xFE].contains(code)
            result += (isWingdings ? SymbolFont.wingdings : .symbol).glyph(code) ?? String(scalar)
        }
        return result
    }

    /// What a code of this font shows, or nil when it is not known.
    func glyph(_ code: UInt8) -> String? {
        guard code > 0x20 else { return code == 0x20 ? " " : nil }
        switch self {
        case .symbol:
            switch code {
            case 0x21...0x7E: return Self.symbolLow[Int(code) - 0x21]
            case 0xA0...0xFE: return Self.symbolHigh[Int(code) - 0xA0]
            default: return nil
            }
        case .wingdings:
            switch code {
            case 0x5E...0x69: return String(UnicodeScalar(0x2648 + UInt32(code) - 0x5E)!)
            case 0x81...0x8A: return String(UnicodeScalar(0x2460 + UInt32(code) - 0x81)!)
            case 0x8C...0x95: return String(UnicodeScalar(0x2776 + UInt32(code) - 0x8C)!)
            default: return Self.wingdingsGlyphs[code]
            }
        case .wingdings2: return Self.wingdings2Glyphs[code]
        case .wingdings3: return Self.wingdings3Glyphs[code]
        case .webdings: return Self.webdingsGlyphs[code]
        case .dingbats:
            if let glyph = Self.dingbatsGlyphs[code] { return glyph }
            switch code {
            case 0x21...0x7E: return String(UnicodeScalar(0x2700 + UInt32(code) - 0x20)!)
            case 0xC0...0xC9: return String(UnicodeScalar(0x2780 + UInt32(code) - 0xC0)!)
            default: return nil
            }
        }
    }

    /// The font's own code of a character: as it is, from the private area, or back from the Windows code page.
    private static func code(_ scalar: UnicodeScalar) -> UInt8? {
        switch scalar.value {
        case 0x20...0xFF: return UInt8(scalar.value)
        case 0xF020...0xF0FF: return UInt8(scalar.value - 0xF000)
        case 0x100...0xFFFF:
            for byte in UInt8(0x80)...0x9F where UInt32(LegacyWord.windows1252(byte)) == scalar.value { return byte }
            return nil
        default: return nil
        }
    }

    private static let symbolLow: [String] =
        "! ∀ # ∃ % & ∋ ( ) * + , − . / 0 1 2 3 4 5 6 7 8 9 : ; < = > ? ≅ Α Β Χ Δ Ε Φ Γ Η Ι ϑ Κ Λ Μ Ν Ο Π Θ Ρ Σ Τ Υ ς Ω Ξ Ψ Ζ [ ∴ ] ⊥ _ ‾ α β χ δ ε φ γ η ι ϕ κ λ μ ν ο π θ ρ σ τ υ ϖ ω ξ ψ ζ { | } ~"
        .split(separator: " ").map(String.init)
    private static let symbolHigh: [String] =
        "€ ϒ ′ ≤ ⁄ ∞ ƒ ♣ ♦ ♥ ♠ ↔ ← ↑ → ↓ ° ± ″ ≥ × ∝ ∂ • ÷ ≠ ≡ ≈ … | — ↵ ℵ ℑ ℜ ℘ ⊗ ⊕ ∅ ∩ ∪ ⊃ ⊇ ⊄ ⊂ ⊆ ∈ ∉ ∠ ∇ ® © ™ ∏ √ ⋅ ¬ ∧ ∨ ⇔ ⇐ ⇑ ⇒ ⇓ ◊ ⟨ ® © ™ ∑ ⎛ ⎜ ⎝ ⎡ ⎢ ⎣ ⎧ ⎨ ⎩ ⎪ \u{F8FF} ⟩ ∫ ⌠ ⎮ ⌡ ⎞ ⎟ ⎠ ⎤ ⎥ ⎦ ⎫ ⎬ ⎭"
        .split(separator: " ").map(String.init)

    private static let wingdingsGlyphs: [UInt8: String] = [
        0x21: "✏", 0x22: "✂", 0x23: "✁", 0x28: "☎", 0x29: "✆", 0x2A: "✉", 0x2B: "✉", 0x36: "⌛", 0x37: "⌨", 0x3E: "✇", 0x3F: "✍", 0x41: "✌",
        0x43: "👍", 0x44: "👎", 0x45: "☜", 0x46: "☞", 0x47: "☝", 0x48: "☟", 0x4A: "☺", 0x4B: "😐", 0x4C: "☹", 0x4D: "💣", 0x4E: "☠", 0x4F: "⚐",
        0x51: "✈", 0x52: "☼", 0x53: "💧", 0x54: "❄", 0x58: "✠", 0x59: "✡", 0x5A: "☪", 0x5B: "☯", 0x6A: "&", 0x6B: "&", 0x6C: "●", 0x6D: "❍",
        0x6E: "■", 0x6F: "[ ]", 0x70: "[ ]", 0x71: "[ ]", 0x72: "[ ]", 0x73: "⬧", 0x74: "⧫", 0x75: "◆", 0x76: "❖", 0x77: "⬥", 0x78: "[x]",
        0x7A: "⌘", 0x7B: "❀", 0x7C: "✿", 0x7D: "❝", 0x7E: "❞", 0x80: "⓪", 0x8B: "⓿", 0x9E: "·", 0x9F: "•", 0xA0: "▪", 0xA1: "○", 0xA2: "○",
        0xA3: "○", 0xA4: "◉", 0xA5: "◎", 0xA6: "○", 0xA7: "▪", 0xA8: "[ ]", 0xAA: "✦", 0xAB: "★", 0xAC: "✶", 0xAD: "✴", 0xAE: "✹",
        0xAF: "✵",
        0xB1: "⌖", 0xB5: "✪", 0xB6: "✰", 0xD5: "⌫", 0xD6: "⌦", 0xD8: "➢", 0xDC: "➲", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE3: "↖",
        0xE4: "↗", 0xE5: "↙", 0xE6: "↘", 0xE7: "←", 0xE8: "→", 0xE9: "↑", 0xEA: "↓", 0xEB: "↖", 0xEC: "↗", 0xED: "↙", 0xEE: "↘", 0xEF: "⇦",
        0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xF3: "⇔", 0xF4: "⇕", 0xFB: "✗", 0xFC: "[x]", 0xFD: "[x]", 0xFE: "[x]",
    ]
    private static let wingdings2Glyphs: [UInt8: String] = [
        0x4F: "✗", 0x50: "[x]", 0x51: "[x]", 0x52: "[x]", 0x53: "[x]", 0x54: "[x]", 0x97: "•", 0x98: "•", 0x99: "●", 0xA0: "▪", 0xA1: "■",
        0xA2: "■",
        0xA3: "[ ]", 0xA4: "[ ]", 0xA5: "[ ]",
    ]
    private static let wingdings3Glyphs: [UInt8: String] = [
        0x21: "←", 0x22: "→", 0x23: "↑", 0x24: "↓", 0x25: "↖", 0x26: "↗", 0x27: "↙", 0x28: "↘", 0x70: "▲", 0x71: "▼", 0x72: "△", 0x73: "▽",
        0x74: "◀", 0x75: "▶", 0x76: "◁", 0x77: "▷", 0x7D: "▶",
    ]
    private static let webdingsGlyphs: [UInt8: String] = [
        0x33: "◀", 0x34: "▶", 0x35: "▲", 0x36: "▼", 0x61: "[x]", 0x63: "[ ]", 0x67: "■", 0x6E: "●", 0x72: "✗",
    ]
    private static let dingbatsGlyphs: [UInt8: String] = [
        0x25: "☎", 0x2A: "☛", 0x2B: "☞", 0x33: "[x]", 0x34: "[x]", 0x48: "★", 0x6C: "●", 0x6E: "■", 0x6F: "[ ]", 0x70: "[ ]", 0x71: "[ ]",
        0x72: "[ ]", 0x73: "▲", 0x74: "▼", 0x75: "◆", 0x77: "◗", 0xA8: "♣", 0xA9: "♦", 0xAA: "♥", 0xAB: "♠", 0xD4: "→", 0xD5: "→",
        0xD6: "↔",
        0xD7: "↕",
    ]
}

extension SymbolFont {
    /// Text of office documents as it is read: symbol fonts translated, boxes that are drawn as characters as "[ ]" and "[x]".
    ///
    /// - Parameter font: That of the text, or nil when it is an ordinary one or unknown.
    static func readable(_ text: String, font: SymbolFont?) -> String {
        let read = font.map { $0.read(text) } ?? readPrivate(text)
        // U+2610 to U+2612: three bytes that start so.
        guard read.utf8.contains(0xE2), read.unicodeScalars.contains(where: { (0x2610...0x2612).contains($0.value) }) else { return read }
        return read.replacing("\u{2610}", with: "[ ]").replacing("\u{2611}", with: "[x]").replacing("\u{2612}", with: "[x]")
    }
}
