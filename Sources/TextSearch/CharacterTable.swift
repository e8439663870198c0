import Foundation

/// What a Unicode scalar means to the tokenizer, and the bytes that stand for it in a term.
///
/// Each scalar has one word: what it is, and up to seven bytes of UTF-8 after folding. Pages of 256 scalars are filled when they are
/// first met, so that a program that only ever reads English computes two of them.
///
/// ```
///  63      60 59    56 55                                   0
///  +---------+--------+-----------------------------------+
///  |  class  | count  |  count bytes of UTF-8, first low  |
///  +---------+--------+-----------------------------------+
/// ```
///
/// Folding is NFKC, lower case, decimal digits of every script to ASCII, and per script what its readers take for the same letter:
/// Latin and Greek lose their accents (é is e, ß is ss, ø is o), ё is е, Arabic loses vowel signs and tatweel and its alef, yeh and
/// teh marbuta variants meet, Hebrew loses its points, Devanagari its nukta.
struct CharacterTable {
    enum Class: UInt8 {
        /// Ends a word.
        case separator
        case letter
        case digit
        /// A vowel sign or the like: goes on with a word, never begins one.
        case mark
        /// An accent that belongs to the letter before it: dropped, or composed with it.
        case accent
        /// Not there as far as search is concerned: soft hyphen, joiners, variation selectors.
        case ignorable
        /// Written without spaces and indexed as pairs of characters: Han, kana, Hangul.
        case ideograph
        /// Written without spaces and indexed as pairs of syllables: Thai, Lao, Khmer, Burmese.
        case syllable
        case apostrophe
    }

    struct Entry {
        let word: UInt64

        init(word: UInt64) { self.word = word }

        init(_ kind: Class, _ bytes: some Sequence<UInt8>) {
            var word: UInt64 = 0
            var count: UInt64 = 0
            for byte in bytes {
                precondition(count < 7, "a folded scalar has more than seven bytes")
                word |= UInt64(byte) << (8 * count)
                count += 1
            }
            self.word = word | count << 56 | UInt64(kind.rawValue) << 60
        }

        var kind: Class { Class(rawValue: UInt8(truncatingIfNeeded: word &>> 60))! }
        var count: Int { Int((word &>> 56) & 0xF) }
    }

    /// Accents stay when the stemmer wants to see them; they are folded after stemming then.
    private let foldsAccents: Bool
    private var pages: [[UInt64]]

    init(foldsAccents: Bool) {
        self.foldsAccents = foldsAccents
        pages = [[UInt64]](repeating: [], count: 256)
    }

    subscript(scalar: UInt32) -> Entry {
        mutating get {
            guard scalar < 0x10000 else { return Self.entry(scalar, foldsAccents: foldsAccents) }
            let page = Int(scalar >> 8)
            if pages[page].isEmpty {
                pages[page] = (0..<256).map { Self.entry(UInt32(page << 8 + $0), foldsAccents: foldsAccents).word }
            }
            return Entry(word: pages[page][Int(scalar & 0xFF)])
        }
    }
}

// MARK: - One scalar

extension CharacterTable {
    /// The specification: what the pages hold.
    static func entry(_ value: UInt32, foldsAccents: Bool) -> Entry {
        guard let scalar = Unicode.Scalar(value) else { return Entry(.separator, []) }
        switch value {
        case 0x27, 0x2019, 0x02BC, 0xFF07: return Entry(.apostrophe, [0x27])
        case 0x0640, 0xFE00...0xFE0F, 0xE0100...0xE01EF: return Entry(.ignorable, [])
        case 0x200B: return Entry(.separator, [])
        case 0x2080...0x2089: return Entry(.digit, [UInt8(0x30 + value - 0x2080)])
        case 0x093C: return Entry(.ignorable, [])
        case 0x0901: return Entry(.mark, "\u{0902}".utf8)
        case 0x0300...0x036F, 0x1AB0...0x1AFF, 0x1DC0...0x1DFF, 0x3099, 0x309A, 0xFE20...0xFE2F: return Entry(.accent, bytes(scalar))
        case 0xFF9E, 0xFF9F: return Entry(.accent, bytes(Unicode.Scalar(value - 0xFF9E + 0x3099)!))
        case 0x0591...0x05C7 where scalar.properties.generalCategory == .nonspacingMark: return Entry(.ignorable, [])
        case 0x0610...0x061A, 0x064B...0x065F, 0x0670, 0x06D6...0x06DC, 0x06DF...0x06E4, 0x06E7, 0x06E8, 0x06EA...0x06ED:
            return Entry(.ignorable, [])
        default: break
        }
        if isIdeograph(value) {
            // Hangul and Han outside of the compatibility blocks fold to themselves; skipping the search for that keeps pages cheap.
            if (0x3400...0x9FFF).contains(value) || (0xAC00...0xD7A3).contains(value) || (0x1100...0x11FF).contains(value) {
                return Entry(.ideograph, bytes(scalar))
            }
            return Entry(.ideograph, short(String(scalar).precomposedStringWithCompatibilityMapping.utf8, else: scalar))
        }
        switch scalar.properties.generalCategory {
        case .decimalNumber:
            guard let digit = scalar.properties.numericValue, (0...9).contains(digit) else { return Entry(.separator, []) }
            return Entry(.digit, [0x30 + UInt8(digit)])
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .letterNumber:
            return Entry(isSyllabic(value) ? .syllable : .letter, short(fold(scalar, foldsAccents: foldsAccents).utf8, else: scalar))
        case .nonspacingMark, .spacingMark, .enclosingMark: return Entry(.mark, bytes(scalar))
        case .format: return Entry(.ignorable, [])
        default: return Entry(.separator, [])
        }
    }

    /// Lower case and, when asked for, without accents.
    static func fold(_ scalar: Unicode.Scalar, foldsAccents: Bool) -> String {
        var result = ""
        for compatible in String(scalar).precomposedStringWithCompatibilityMapping.unicodeScalars {
            for lower in compatible.properties.lowercaseMapping.unicodeScalars {
                result.unicodeScalars.append(contentsOf: unify(lower, foldsAccents: foldsAccents))
            }
        }
        return result
    }

    /// What a lower-case letter is taken for.
    private static func unify(_ scalar: Unicode.Scalar, foldsAccents: Bool) -> [Unicode.Scalar] {
        switch scalar.value {
        case 0x00...0x7F: return [scalar]
        case 0x03C2: return ["σ"]
        case 0x0451: return ["е"]
        case 0x0622, 0x0623, 0x0625, 0x0671: return ["\u{0627}"]
        case 0x0629: return ["\u{0647}"]
        case 0x0649, 0x06CC: return ["\u{064A}"]
        case 0x06A9: return ["\u{0643}"]
        case 0x0300...0x036F: return []
        default: break
        }
        guard foldsAccents, isAccented(scalar.value) else { return [scalar] }
        if let plain = letters[scalar] { return Array(plain.unicodeScalars) }
        return String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars.flatMap { part in
            (0x0300...0x036F).contains(part.value) ? [] : letters[part].map { Array($0.unicodeScalars) } ?? [part]
        }
    }

    /// Latin letters that Unicode does not decompose.
    private static let letters: [Unicode.Scalar: String] = [
        "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ı": "i", "ĸ": "k", "ŋ": "n",
        "ŧ": "t", "ƒ": "f", "ƀ": "b", "ɓ": "b", "ƈ": "c", "ɖ": "d", "ɗ": "d", "ɠ": "g", "ƙ": "k", "ɲ": "n", "ƥ": "p", "ƭ": "t", "ƴ": "y",
        "ƶ": "z", "ə": "e", "ɛ": "e", "ɔ": "o", "ɨ": "i", "ʉ": "u",
    ]

    /// Latin and Greek, where an accent does not make another letter to most readers.
    private static func isAccented(_ value: UInt32) -> Bool {
        switch value {
        case 0x00C0...0x02AF, 0x0370...0x03FF, 0x1E00...0x1FFF, 0x2C60...0x2C7F, 0xA720...0xA7FF, 0xAB30...0xAB6F: true
        default: false
        }
    }

    private static func isIdeograph(_ value: UInt32) -> Bool {
        switch value {
        case 0x1100...0x11FF, 0x3005...0x3007, 0x3021...0x3029, 0x3031...0x3035, 0x303B, 0x3041...0x3096, 0x309D...0x309F,
            0x30A1...0x30FA, 0x30FC...0x30FF, 0x3105...0x312F, 0x3131...0x318E, 0x31A0...0x31BF, 0x31F0...0x31FF, 0x3400...0x4DBF,
            0x4E00...0x9FFF, 0xA960...0xA97C, 0xAC00...0xD7A3, 0xD7B0...0xD7FB, 0xF900...0xFAD9, 0xFF66...0xFF9D, 0xFFA1...0xFFDC,
            0x1B000...0x1B16F, 0x20000...0x3134F, 0x31350...0x323AF:
            true
        default: false
        }
    }

    private static func isSyllabic(_ value: UInt32) -> Bool {
        switch value {
        case 0x0E00...0x0EFF, 0x1000...0x109F, 0x1780...0x17FF, 0x1950...0x19DF, 0x1A20...0x1AAF, 0xA9E0...0xA9FF, 0xAA60...0xAADF: true
        default: false
        }
    }

    private static func bytes(_ scalar: Unicode.Scalar) -> some Sequence<UInt8> { UTF8.encode(scalar)! }

    /// The folded bytes; a ligature that unfolds to more than a word's worth of bytes stands for itself.
    private static func short(_ folded: String.UTF8View, else scalar: Unicode.Scalar) -> [UInt8] {
        folded.count <= 7 ? Array(folded) : Array(bytes(scalar))
    }
}
