import Foundation

/// Puts right what typesetting does to words: raised and lowered digits, letters set apart, ligatures.
///
/// A raised digit is set in smaller type above the line, and the layout program reports it as a word of its own that touches the one before:
///
///     1,234²  10⁶  m²  H₂O        1,234[2]  10^6  m^2  H2O
///
/// Left alone it would part a number from its exponent; joined without a sign it would change the number.
enum WordRepair {
    /// Without ligatures and special hyphens, which no one types into a search.
    static func plain(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0xEF || $0 == 0xE2 || $0 == 0xC2 }) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0xFB00: result.append(contentsOf: "ff".unicodeScalars)
            case 0xFB01: result.append(contentsOf: "fi".unicodeScalars)
            case 0xFB02: result.append(contentsOf: "fl".unicodeScalars)
            case 0xFB03: result.append(contentsOf: "ffi".unicodeScalars)
            case 0xFB04: result.append(contentsOf: "ffl".unicodeScalars)
            case 0xFB05, 0xFB06: result.append(contentsOf: "st".unicodeScalars)
            case 0x2010, 0x2011: result.append("-")
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    static func repaired(_ words: [PageContent.Word]) -> [PageContent.Word] {
        withScripts(withoutSpacing(words))
    }

    // MARK: - Raised and lowered digits

    private enum Script { case raised, lowered }

    private static func withScripts(_ words: [PageContent.Word]) -> [PageContent.Word] {
        guard words.count > 1, words.contains(where: { $0.height < words[0].height * 0.86 || words[0].height < $0.height * 0.86 }) else {
            return words
        }
        var result: [PageContent.Word] = []
        var joinsNext = false
        for (index, word) in words.enumerated() {
            guard let last = result.last, index > 0 else {
                result.append(word)
                continue
            }
            let base = words[index - 1]
            let gap = word.xMin - base.xMax
            if let script = script(word, after: base), gap < base.height * 0.16, gap > -base.height * 0.5 {
                result[result.count - 1].text = joined(
                    last.text, word.text, script, before: index >= 2 ? result.dropLast().last?.text : nil)
                result[result.count - 1].xMax = max(last.xMax, word.xMax)
                joinsNext = script == .lowered
                continue
            }
            // The rest of a formula after its lowered digit: the O of H2O, or a full stop after a note's mark.
            let isTail = word.text.allSatisfy { ".,;:)".contains($0) }
            if joinsNext || (isTail && script(base, after: words[max(0, index - 2)]) != nil), gap < base.height * 0.16,
                gap > -base.height * 0.5,
                word.height > base.height
            {
                result[result.count - 1].text += word.text
                result[result.count - 1].xMax = max(last.xMax, word.xMax)
                joinsNext = false
                continue
            }
            joinsNext = false
            result.append(word)
        }
        return result
    }

    /// Whether `word` is digits in smaller type that stand higher or lower than the word before.
    private static func script(_ word: PageContent.Word, after base: PageContent.Word) -> Script? {
        guard word.height < base.height * 0.86, word.height > base.height * 0.3, isMark(word.text), let end = base.text.last,
            end.isLetter || end.isNumber || ")].,;:!?\"”’»%²³".contains(end)
        else { return nil }
        let rise = base.yMax - word.yMax
        if rise > base.height * 0.2 { return .raised }
        // Lowered digits hang below the line, or at least do not stand up to the top of it.
        if rise < base.height * 0.06, word.yMin > base.yMin + base.height * 0.2, word.text.allSatisfy(\.isNumber) { return .lowered }
        return nil
    }

    private static func isMark(_ text: String) -> Bool {
        let digits = text.drop { $0 == "-" || $0 == "+" || $0 == "\u{2212}" || $0 == "\u{2013}" || $0 == "[" || $0 == "(" }
        guard let first = digits.first, first.isASCII, first.isNumber, text.utf8.count <= 12, let last = text.last, last != ",", last != "."
        else {
            return false
        }
        return digits.allSatisfy {
            ($0.isASCII && $0.isNumber) || $0 == "," || $0 == "." || $0 == "+" || $0 == "-" || $0 == "]" || $0 == ")"
        }
    }

    private static let units: Set<String> = [
        "m", "cm", "mm", "dm", "km", "nm", "µm", "μm", "in", "ft", "yd", "mi", "s", "ms", "min", "h", "hr", "kg", "g", "mg", "l", "L",
        "mol", "K",
        "A", "V", "W", "N", "J", "Pa", "Hz", "m/s", "km/h", "rad", "sr", "cd", "lx", "ha", "sec", "Ah", "kWh", "day", "d", "a", "yr",
    ]

    private static func joined(_ base: String, _ mark: String, _ script: Script, before: String?) -> String {
        if script == .lowered { return base + mark }
        let mark = mark.replacing("\u{2212}", with: "-").replacing("\u{2013}", with: "-")
        if mark.hasPrefix("[") || mark.hasPrefix("(") { return base + mark }
        let isSigned = mark.hasPrefix("-") || mark.hasPrefix("+") || mark.hasSuffix("+") || mark.hasSuffix("-")
        let inner = base.drop { "([×x·*".contains($0) }
        let isPower = inner == "10" || inner == "2" && before.map { ["×", "x", "·", "*"].contains($0) } == true
        let isQuantity = units.contains(String(inner)) || inner.split(separator: "/").last.map { units.contains(String($0)) } == true
        let isSymbol = inner.count == 1 && inner.first?.isLetter == true
        if isSigned || isPower || isQuantity || isSymbol || inner.hasSuffix(")") && inner.contains("(") { return base + "^" + mark }
        return base + "[" + mark + "]"
    }

    // MARK: - Letters set apart

    /// Joins words whose letters were spaced out: "W i d e l y   s p a c e d".
    private static func withoutSpacing(_ words: [PageContent.Word]) -> [PageContent.Word] {
        guard words.count >= 6 else { return words }
        let singleCount = words.count { $0.text.count == 1 }
        guard singleCount * 10 >= words.count * 9, words.count(where: { $0.text.first?.isLetter == true }) * 10 >= words.count * 8 else {
            return words
        }
        let gaps = zip(words, words.dropFirst()).map { $1.xMin - $0.xMax }
        let middle = gaps.sorted()[gaps.count / 2]
        // Columns of letters have wider gaps than letters that make a word.
        guard middle < words[0].height * 0.9 else { return words }
        var result: [PageContent.Word] = []
        for (index, word) in words.enumerated() {
            if index > 0, gaps[index - 1] < middle * 1.7 + 0.5, var last = result.last {
                last.text += word.text
                last.xMax = max(last.xMax, word.xMax)
                last.yMin = min(last.yMin, word.yMin)
                last.yMax = max(last.yMax, word.yMax)
                result[result.count - 1] = last
            } else {
                // The gap between such words is as wide as one between columns; it is none.
                if !result.isEmpty { result[result.count - 1].xMax = max(result[result.count - 1].xMax, word.xMin - word.height * 0.3) }
                result.append(word)
            }
        }
        return result
    }
}
