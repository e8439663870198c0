/// Tells the encodings of Western Europe apart by where their letters stand.
///
/// One byte is one letter in all of them, so each text is valid in each; statistics of whole languages need more letters than a
/// short text has. But each reading puts something else into the same place, and only one makes words:
///
///     bytes              Windows-1252    code page 850    Mac Roman
///     M 8A r z           MŠrz            Mèrz             März
///     G r 94 E1 e        Gr”áe           Größe            Grî·e
///     d o n 92 t         don’t           donÆt            donít
///
/// So each byte beyond ASCII gets points for its neighbours: a small letter beside letters, an apostrophe between them, a sign of
/// money beside a number; it loses points as a capital behind a small letter, or as a sign within a word.
enum WesternText {
    private static let candidates = ["WINDOWS-1252", "CP850", "MACINTOSH", "ISO-8859-15"]

    /// The encoding that fits best. `guess` is what statistics say; it is believed when it names another script or when it fits better.
    static func encoding(of bytes: [UInt8], guess: String?) -> String {
        var contexts: [(before: UInt8, byte: UInt8, after: UInt8)] = []
        for (index, byte) in bytes.enumerated() where byte >= 0x80 {
            contexts.append((index > 0 ? bytes[index - 1] : 0x20, byte, index + 1 < bytes.count ? bytes[index + 1] : 0x20))
            if contexts.count == 4000 { break }
        }
        let known = guess.flatMap { table(of: $0) }
        if let guess {
            // Several bytes a letter, or letters of another script: only statistics can know, unless they had next to nothing.
            guard let known else { return contexts.count >= 4 ? guess : best(contexts, guess: nil) }
            let isForeign = contexts.count { !isLatinOrSign(known[Int($0.byte) - 0x80]) } * 2 > contexts.count
            if isForeign, contexts.count >= 6 { return guess }
        }
        return best(contexts, guess: guess)
    }

    private static func best(_ contexts: [(before: UInt8, byte: UInt8, after: UInt8)], guess: String?) -> String {
        // Of readings that fit alike, statistics decide, if they had more than a few letters.
        let names = contexts.count >= 6 ? [guess].compactMap { $0 } + candidates : candidates + [guess].compactMap { $0 }
        var best = (name: "WINDOWS-1252", score: Int.min)
        for name in names {
            guard let table = table(of: name) else { continue }
            func scalar(_ byte: UInt8) -> Unicode.Scalar { byte < 0x80 ? Unicode.Scalar(byte) : table[Int(byte) - 0x80] }
            let score = contexts.reduce(0) { $0 + points(scalar($1.byte), between: scalar($1.before), and: scalar($1.after)) }
            // One byte alone is no evidence of a rarer encoding where the common one makes sense of it.
            if contexts.count == 1, name == "WINDOWS-1252", score >= 0 { return name }
            if score > best.score { best = (name, score) }
        }
        return best.name
    }

    /// What each byte from 0x80 means; nil when the encoding is not one byte a letter.
    private static func table(of name: String) -> [Unicode.Scalar]? {
        // A blank behind each ends what a mark behind the letter could still change.
        let bytes: [UInt8] = (UInt8(0x80)...0xFF).flatMap { (byte: UInt8) -> [UInt8] in [byte, 0x20] }
        guard let text = TextDecoder.convert(bytes[...], from: name)?.text else { return nil }
        let parts = text.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 129 else { return nil }
        let table = parts.dropLast().map { $0.count == 1 ? $0.first! : "\u{FFFD}" }
        return table.count { $0 == "\u{FFFD}" } > 64 ? nil : table
    }

    private static func isLatinOrSign(_ scalar: Unicode.Scalar) -> Bool {
        !scalar.properties.isAlphabetic || scalar.value < 0x250 || (0x1E00...0x1EFF).contains(scalar.value)
    }

    /// Small letters with marks that Western languages use every day.
    private static let common = Set("äöüßéèêëàâáíîïóôúùûñçåæøœãõìò".unicodeScalars)

    static func points(_ scalar: Unicode.Scalar, between before: Unicode.Scalar, and after: Unicode.Scalar) -> Int {
        func isLetter(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isAlphabetic && scalar != "ª" && scalar != "º" }
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { (0x30...0x39).contains(scalar.value) }
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.value <= 0x20 || scalar.value == 0xA0 }
        if scalar == "\u{FFFD}" || (0x80...0x9F).contains(scalar.value) { return -6 }
        if isLetter(scalar) {
            let isInWord = isLetter(before) || isLetter(after)
            if scalar.properties.isUppercase {
                if before.properties.isLowercase { return -4 }
                if after.properties.isLowercase || isLetter(before) && before.properties.isUppercase || after.properties.isUppercase {
                    return common.contains(scalar.properties.lowercaseMapping.unicodeScalars.first!) ? 3 : 1
                }
                return -1
            }
            // A letter of its own: "à", "é", "y".
            guard isInWord else { return isBlank(before) && isBlank(after) && "àéèóýåöæø".unicodeScalars.contains(scalar) ? 2 : -2 }
            if isDigit(before) { return -2 }
            if before.properties.isUppercase, after.properties.isUppercase { return -2 }
            return common.contains(scalar) ? 3 : scalar.value < 0x180 ? 2 : isLatinOrSign(scalar) ? 1 : -1
        }
        let isWithinWord = isLetter(before) && isLetter(after)
        switch scalar {
        case "’", "‘": return isWithinWord && scalar == "’" ? 3 : isWithinWord ? -3 : isLetter(before) || isLetter(after) ? 2 : 1
        case "“", "”", "„", "«", "»", "‹", "›": return isWithinWord ? -4 : isBlank(before) && isBlank(after) ? 1 : 2
        case "–", "—": return isWithinWord ? 0 : 2
        case "…": return isWithinWord ? -3 : 2
        case "€", "£", "¥": return isWithinWord ? -4 : isDigit(before) || isDigit(after) || isBlank(before) ? 3 : 0
        case "°": return isWithinWord ? -4 : isDigit(before) || isBlank(before) ? 3 : 0
        case "²", "³": return before == "m" || isDigit(before) ? 3 : -2
        case "½", "¼", "¾", "±", "×", "§", "µ", "©", "®", "™", "•", "·":
            return isWithinWord ? -4 : isLetter(before) && isLetter(after) ? -3 : 2
        case "\u{A0}": return isWithinWord ? -1 : 1
        case "¿", "¡": return isBlank(before) && isLetter(after) ? 2 : -3
        default: return isWithinWord ? -4 : isLetter(before) || isLetter(after) ? -3 : -1
        }
    }
}
