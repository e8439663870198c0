/// Words of a text with what tells one thing from its siblings: codes, numbers, single letters, capitals.
///
/// `Flight ZX 4471`, `X-200` and `2025-0418` are codes: what stands between their parts does not matter, so `X 200` and `X200` are the same one.
struct Identifier: Sendable, Equatable {
    enum Kind: Sendable { case word, number, code }
    var text: String
    var lower: String
    var kind: Kind
    /// Lower case without hyphens, slashes and spaces.
    var folded: String
    var isCapitalized: Bool
    /// A sentence or cell begins here.
    var isFirst: Bool
    /// Nothing but a space or hyphen stands between this and the one before.
    var isAdjacent: Bool

    var isCode: Bool { kind == .code }

    /// Runs of letters as `a`, digits as `9`, each letter and digit counted: siblings have the same shape.
    var shape: String {
        String(
            String.UnicodeScalarView(
                folded.unicodeScalars.map { Identifiers.isDigit($0) ? "9" : $0.properties.isAlphabetic ? "a" : $0 }))
    }
    /// What a code begins with before its first digit.
    var prefix: Substring { Substring(folded.unicodeScalars.prefix { !Identifiers.isDigit($0) }) }

    init(text: String, kind: Kind, isFirst: Bool, isAdjacent: Bool) {
        self.text = text
        self.kind = kind
        self.isFirst = isFirst
        self.isAdjacent = isAdjacent
        lower = text.lowercased()
        // Most words have nothing to leave out.
        folded =
            lower.unicodeScalars.allSatisfy { $0.isASCII && Words.isPart($0) }
            ? lower
            : String(
                String.UnicodeScalarView(lower.unicodeScalars.filter { $0.properties.isAlphabetic || $0.properties.numericType != nil }))
        isCapitalized = text.unicodeScalars.first.map(Words.isUppercase) == true
    }
}

enum Identifiers {
    static func all(_ text: String) -> [Identifier] {
        let scalars = Array(text.unicodeScalars)
        var result: [Identifier] = []
        var index = 0
        /// What was between the last word and the next.
        var gap = ""
        while index < scalars.count {
            guard Words.isPart(scalars[index]) else {
                gap.unicodeScalars.append(scalars[index])
                index += 1
                continue
            }
            var end = index
            var hasLetter = false
            var hasDigit = false
            var hasJoint = false
            while end < scalars.count {
                // Chinese and its like write numbers and names among their words without a space.
                if end > index, isIdeographic(scalars[end]) != isIdeographic(scalars[end - 1]) { break }
                if Words.isPart(scalars[end]) {
                    if isDigit(scalars[end]) { hasDigit = true } else { hasLetter = true }
                    end += 1
                } else if end + 1 < scalars.count, Words.isPart(scalars[end + 1]),
                    isJoint(scalars[end], before: scalars[end - 1], after: scalars[end + 1])
                {
                    if scalars[end] != "." && scalars[end] != "," { hasJoint = true }
                    end += 1
                } else {
                    break
                }
            }
            let word = String(String.UnicodeScalarView(scalars[index..<end]))
            let isFirst = result.isEmpty || gap.unicodeScalars.contains { ".!?:;|\n\t•".unicodeScalars.contains($0) || isWideStop($0) }
            let isAdjacent = !result.isEmpty && (gap == " " || gap == "\u{A0}")
            let isMixed = hasLetter && hasDigit
            if hasJoint, !hasDigit {
                // "thirty-one", "wrought-iron": words of their own.
                var first = isFirst
                for part in word.split(whereSeparator: { $0 == "-" || $0 == "/" || $0 == "_" || $0 == "‑" }) {
                    result.append(Identifier(text: String(part), kind: .word, isFirst: first, isAdjacent: !first || isAdjacent))
                    first = false
                }
            } else {
                let kind: Identifier.Kind = isMixed || hasDigit && hasJoint ? .code : hasDigit ? .number : .word
                // "ZX 4471": a short word in capitals makes a code of the number behind it.
                if kind == .number, isAdjacent, let last = result.last, last.kind == .word,
                    (1...4).contains(last.text.unicodeScalars.count),
                    last.text.unicodeScalars.allSatisfy({ $0.properties.isUppercase }), !word.contains("."), !word.contains(","),
                    // "USA 1994" is a place and a year.
                    !(word.count == 4 && (word.hasPrefix("19") || word.hasPrefix("20")))
                {
                    result[result.count - 1] = Identifier(
                        text: last.text + word, kind: .code, isFirst: last.isFirst, isAdjacent: last.isAdjacent)
                } else {
                    result.append(Identifier(text: word, kind: kind, isFirst: isFirst, isAdjacent: isAdjacent))
                }
            }
            gap = ""
            index = end
        }
        return result
    }

    private static func isWideStop(_ scalar: Unicode.Scalar) -> Bool { "。！？।؟".unicodeScalars.contains(scalar) }

    /// Digits alone: the numerals of Chinese are words.
    static func isDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x80 ? (0x30...0x39).contains(scalar.value) : scalar.properties.generalCategory == .decimalNumber
    }

    /// Scripts without spaces between words.
    private static func isIdeographic(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0E00...0x0EFF, 0x1000...0x109F, 0x1780...0x17FF, 0x3040...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF,
            0x20000...0x2FFFF:
            true
        default: false
        }
    }

    private static func isJoint(_ scalar: Unicode.Scalar, before: Unicode.Scalar, after: Unicode.Scalar) -> Bool {
        switch scalar {
        case "-", "‑", "_", "/": true
        case ".", ",": isDigit(before) && isDigit(after)
        case "'", "’": before.properties.isAlphabetic && after.properties.isAlphabetic
        default: false
        }
    }
}
