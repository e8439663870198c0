/// Words of a text as they are written, for what stemming would lose: capitals and numbers.
enum Words {
    struct Word: Sendable {
        var text: String
        var lower: String
        /// Digits without grouping commas; nil when the word is not a number.
        var number: String?
        var isCapitalized: Bool
    }

    /// Whether it is a letter, a number, or a mark on one.
    static func isPart(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        // Looking properties up takes many times as long as the rest.
        case 0..<0x80: false
        default:
            scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                || scalar.properties.generalCategory == .nonspacingMark || scalar.properties.generalCategory == .spacingMark
        }
    }

    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII ? (0x30...0x39).contains(scalar.value) : scalar.properties.numericType != nil
    }

    static func isUppercase(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII ? (0x41...0x5A).contains(scalar.value) : scalar.properties.isUppercase
    }

    static func split(_ text: String) -> [Word] {
        var words: [Word] = []
        var word = String.UnicodeScalarView()
        func finish() {
            guard !word.isEmpty else { return }
            while let last = word.last, last == "." || last == "," || last == "'" || last == "’" || last == "-" { word.removeLast() }
            guard let first = word.first else { return }
            let text = String(word)
            word.removeAll()
            let digits =
                isNumeric(first)
                ? String(text.unicodeScalars.prefix { isNumeric($0) || $0 == "," || $0 == "." }.filter { $0 != "," })
                : nil
            words.append(Word(text: text, lower: text.lowercased(), number: digits, isCapitalized: isUppercase(first)))
        }
        for scalar in text.unicodeScalars {
            if isPart(scalar) {
                word.append(scalar)
            } else if !word.isEmpty, scalar == "'" || scalar == "’" || scalar == "-" {
                word.append(scalar)
            } else if !word.isEmpty, scalar == "." || scalar == ",", isNumeric(word.last!) {
                word.append(scalar)
            } else {
                finish()
                word.removeAll()
            }
        }
        finish()
        return words
    }
}
