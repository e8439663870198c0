import Foundation

/// What BERT's normaliser makes of each Unicode scalar: nothing, white space, letters of a word, or a word of its own.
///
/// Each scalar has one word of 64 bits; those of the common blocks stand in a table that is computed once, the others are
/// computed each time.
///
/// ```
///  63     60 59     56 55     48 47                              0
///  +--------+---------+---------+--------------------------------+
///  |  kind  | letters |  bytes  |  up to 6 bytes of UTF-8, first low |
///  +--------+---------+---------+--------------------------------+
/// ```
///
/// The steps are those of the `BertNormalizer` and `BertPreTokenizer` of the `tokenizers` package: remove control characters; white space
/// becomes a space; Han characters stand alone; decompose (NFD) and drop nonspacing marks; lower-case each scalar; punctuation stands
/// alone. Its tables of categories are those of Unicode 8: what was assigned later is a letter like any other, and so it is here.
struct WordPieceCharacters: Sendable {
    enum Kind: UInt8 {
        /// Not there at all; does not end a word.
        case dropped
        /// Ends a word.
        case space
        /// Belongs to a word.
        case letter
        /// Ends the word before it and is one itself.
        case alone
        /// More than one entry can say; ask for the steps.
        case several
    }

    struct Entry: Sendable {
        let word: UInt64

        @inline(__always) fileprivate init(word: UInt64) { self.word = word }

        init(_ kind: Kind, _ utf8: some Collection<UInt8> = [UInt8](), characterCount: Int = 0) {
            precondition(utf8.count <= 6 && characterCount <= 6, "\(utf8.count) bytes, \(characterCount) characters")
            var word: UInt64 = 0
            for byte in utf8.reversed() { word = word << 8 | UInt64(byte) }
            self.word = word | UInt64(utf8.count) << 48 | UInt64(characterCount) << 56 | UInt64(kind.rawValue) << 60
        }

        @inline(__always) var kind: Kind { Kind(rawValue: UInt8(truncatingIfNeeded: word &>> 60)).unsafelyUnwrapped }
        @inline(__always) var characterCount: Int { Int((word &>> 56) & 0xF) }
        @inline(__always) var byteCount: Int { Int((word &>> 48) & 0xFF) }
        /// The first byte is the lowest.
        @inline(__always) var bytes: UInt64 { word & 0xFFFF_FFFF_FFFF }
        var utf8: [UInt8] { (0..<byteCount).map { UInt8(truncatingIfNeeded: bytes >> (8 * UInt64($0))) } }
    }

    private let lowercases: Bool
    private let stripsAccents: Bool
    /// Scalars from U+0000 to the first Han character, then the blocks of compatibility, presentation and full-width forms.
    let table: [Entry]
    private static let low = UInt32(0)..<0x3400
    private static let high = UInt32(0xF900)..<0x10000

    /// The instance for one normaliser. Each is computed once, in some milliseconds.
    static func shared(lowercases: Bool, stripsAccents: Bool) -> Self {
        switch (lowercases, stripsAccents) {
        case (true, true): uncased
        case (true, false): lowercased
        case (false, true): stripped
        case (false, false): cased
        }
    }
    private static let uncased = Self(lowercases: true, stripsAccents: true)
    private static let lowercased = Self(lowercases: true, stripsAccents: false)
    private static let stripped = Self(lowercases: false, stripsAccents: true)
    private static let cased = Self(lowercases: false, stripsAccents: false)

    private init(lowercases: Bool, stripsAccents: Bool) {
        self.lowercases = lowercases
        self.stripsAccents = stripsAccents
        table = [Self.low, Self.high].joined().map { Self.entry($0, lowercases, stripsAccents) }
    }

    /// What a scalar means. `several` when it takes more than one entry.
    @inline(__always)
    subscript(scalar: UInt32) -> Entry {
        if scalar < Self.low.upperBound { return table[Int(scalar)] }
        // Han characters are most of Chinese text.
        if scalar < 0xA000, scalar >= 0x4E00 || scalar < 0x4DC0 { return Self.ideograph(scalar) }
        return other(scalar)
    }

    /// Everything that a scalar stands for, in order.
    func steps(_ scalar: UInt32) -> [Entry] { Self.steps(scalar, lowercases, stripsAccents) }

    private func other(_ scalar: UInt32) -> Entry {
        if Self.high.contains(scalar) { return table[Self.low.count + Int(scalar - Self.high.lowerBound)] }
        return Self.entry(scalar, lowercases, stripsAccents)
    }

    /// A Han character of three bytes.
    @inline(__always)
    private static func ideograph(_ scalar: UInt32) -> Entry {
        let value = UInt64(scalar)
        let bytes = (0xE0 | value >> 12) | (0x80 | value >> 6 & 0x3F) << 8 | (0x80 | value & 0x3F) << 16
        return Entry(word: bytes | 3 << 48 | 1 << 56 | UInt64(Kind.alone.rawValue) << 60)
    }
}

// MARK: - One scalar

extension WordPieceCharacters {
    private static func entry(_ value: UInt32, _ lowercases: Bool, _ stripsAccents: Bool) -> Entry {
        let steps = steps(value, lowercases, stripsAccents)
        switch steps.count {
        case 0: return Entry(.dropped)
        case 1: return steps[0]
        default:
            // The letters of a decomposed syllable fit into one entry.
            let bytes = steps.flatMap(\.utf8)
            guard steps.allSatisfy({ $0.kind == .letter }), bytes.count <= 6 else { return Entry(.several) }
            return Entry(.letter, bytes, characterCount: steps.count)
        }
    }

    /// The specification.
    private static func steps(_ value: UInt32, _ lowercases: Bool, _ stripsAccents: Bool) -> [Entry] {
        guard let scalar = Unicode.Scalar(value) else { return [] }
        if isDropped(scalar) { return [] }
        if scalar.properties.isWhitespace { return [Entry(.space)] }
        var scalars = [scalar]
        if stripsAccents {
            // Asking Foundation takes most of the time, and most scalars are what they were.
            if mayDecompose(scalar) { scalars = Array(String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars) }
            scalars.removeAll { isAccent($0) }
        }
        if lowercases { scalars = scalars.flatMap { Array($0.properties.lowercaseMapping.unicodeScalars) } }
        let isHan = isHan(value)
        return scalars.map { scalar in
            let utf8 = Array(UTF8.encode(scalar)!)
            if scalar.properties.isWhitespace { return Entry(.space) }
            return Entry(isHan || isPunctuation(scalar) ? .alone : .letter, utf8, characterCount: 1)
        }
    }

    /// Not so for Han characters of the main blocks, and not for characters that are newer than the tables of `tokenizers` (Unicode 12).
    private static func mayDecompose(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0xC0 && !(0x3400...0x9FFF).contains(scalar.value), let age = scalar.properties.age else { return false }
        return age.major <= 12
    }

    /// Control, format, private-use and surrogate characters, the replacement character and NUL; not tab, line feed, carriage return.
    private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x0D: return false
        case 0, 0xFFFD: return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control, .format: return isOld(scalar)
        case .surrogate, .privateUse: return true
        default: return false
        }
    }

    private static func isAccent(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // Their category has changed since Unicode 8.
        case 0x1734, 0x1171E: true
        case 0x1885, 0x1886, 0xA9BD, 0x111C9: false
        default: scalar.properties.generalCategory == .nonspacingMark && isOld(scalar)
        }
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        // BERT takes every ASCII character for punctuation that is neither a letter, nor a digit, nor white space.
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        case 0...0x7F: return false
        // Their category has changed since Unicode 8.
        case 0x166D, 0x111C9: return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
            .otherPunctuation:
            return isOld(scalar)
        default: return false
        }
    }

    /// Whether Unicode 8 had it.
    private static func isOld(_ scalar: Unicode.Scalar) -> Bool {
        guard let age = scalar.properties.age else { return false }
        return age.major <= 8
    }

    /// The blocks of Han characters that stand alone. Kana and Hangul are letters. The last block but one begins late, as it does in `tokenizers`.
    private static func isHan(_ value: UInt32) -> Bool {
        switch value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B81F, 0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }
}
