/// Writes raised and lowered text in plain characters, so that a number keeps its value and a note's mark stays a mark.
///
///     4 x 10 ⁶ litres     exponent         4 x 10^6 litres
///     560 m ²             unit             560 m^2
///     1,234 ² tonnes      note's mark      1,234[2] tonnes
///     long ago ¹          note's mark      long ago[1]
///     2 ³ ʰ               sign, ordinal    Ca^2+, 3rd, Mme
///     H ₂ O               lowered          H2O, but log2 8 and 101_2
///
/// Which of them it is can only be told from what stands before. Where both are possible (a number after "10"), an exponent is
/// assumed; neither reading lets the digits melt into the number.
///
/// Pieces of one position are gathered first, because writers cut a run anywhere: "-" and "9" are one exponent.
struct ScriptText {
    enum Position { case baseline, raised, lowered }

    private var written = ""
    private var pending = ""
    private var position = Position.baseline
    /// What the last piece that was not on the baseline ended in must not touch a digit.
    private var endsInScript = false

    init() {}

    /// Adds a piece of text at its height.
    mutating func append(_ text: some StringProtocol, _ position: Position = .baseline) {
        guard !text.isEmpty else { return }
        if position != self.position { flush() }
        if position == .baseline {
            separate(text)
            written += text
            return
        }
        self.position = position
        pending += text
    }

    /// Everything added so far. What comes later is judged anew.
    mutating func text() -> String {
        flush()
        return written
    }

    /// Gives what was written, and starts anew.
    mutating func take() -> String {
        flush()
        defer {
            written = ""
            endsInScript = false
        }
        return written
    }

    private mutating func flush() {
        let piece = pending
        let height = position
        pending = ""
        position = .baseline
        guard !piece.isEmpty else { return }
        switch height {
        case .baseline: break
        case .raised:
            written += Self.raised(piece, after: written)
            endsInScript = written.last?.isNumber == true
        case .lowered:
            Self.appendLowered(piece, to: &written)
            endsInScript = written.last?.isNumber == true
        }
    }

    private mutating func separate(_ next: some StringProtocol) {
        if endsInScript, let first = next.first, first.isNumber { written += " " }
        endsInScript = false
    }

    // MARK: - Raised

    /// What to append for raised text after the text before it.
    static func raised(_ text: some StringProtocol, after preceding: some StringProtocol) -> String {
        let core = trim(text)
        guard !core.isEmpty else { return String(text) }
        let lead = String(text.prefix { $0.isWhitespace })
        let tail = String(text.reversed().prefix { $0.isWhitespace })
        return lead + form(core, after: Array(preceding.suffix(48)) + Array(lead)) + tail
    }

    private static func form(_ core: String, after before: [Character]) -> String {
        let characters = Array(core)
        let last = before.last
        let token = Token(before)
        // Signs, and what carries its own brackets, read well as they are.
        if characters.allSatisfy({ "*†‡§¶#®©™℠°′″ªº".contains($0) }) { return core }
        if let first = characters.first, "[(".contains(first), let end = characters.last, "])".contains(end),
            !core.contains(where: isOperator)
        {
            return core
        }
        if core == "TM" || core == "tm" { return "™" }
        if core == "SM" { return "℠" }
        if core == "(R)" || core == "(r)" { return "®" }

        let isAfterText = last.map { !$0.isWhitespace } ?? false
        // Ions: Na+, Ca^2+, SO4^2-.
        if isAfterText, let sign = characters.last, "+-−–".contains(sign), characters.dropLast().allSatisfy({ $0.isNumber }) {
            let plain = sign == "+" ? "+" : "-"
            return characters.count == 1 ? plain : "^" + String(characters.dropLast()) + plain
        }
        // A sign in front makes an exponent of anything.
        if isAfterText, let sign = characters.first, "+-−–".contains(sign), characters.count > 1,
            !(last.map { ".,;:!?".contains($0) } ?? false)
        {
            return "^" + (sign == "+" ? "+" : "-") + grouped(String(characters.dropFirst()))
        }
        if characters.allSatisfy({ $0.isNumber }) { return number(core, token, last) }
        if characters.allSatisfy({ $0.isNumber || ",;-–— \u{A0}".contains($0) }), characters.contains(where: \.isNumber) {
            // Several marks: 1,2 or 3-5.
            return "[" + core.filter { !$0.isWhitespace } + "]"
        }
        if core.contains("/") || core.contains("⁄"), characters.allSatisfy({ $0.isNumber || $0 == "/" || $0 == "⁄" }) {
            return (token.isNumber ? " " : "") + core
        }
        if characters.allSatisfy({ $0.isNumber || $0 == "." || $0 == "," }) { return isAfterText ? "^" + core : core }
        if characters.allSatisfy(\.isLetter) { return letters(core, token, isAfterText) }
        if isAfterText, core.contains(where: isOperator) || core.contains(where: \.isNumber), !core.contains(where: \.isWhitespace) {
            return "^" + grouped(core)
        }
        return isAfterText && characters.count > 3 ? " " + core : core
    }

    private static func number(_ core: String, _ token: Token, _ last: Character?) -> String {
        let note = "[" + core + "]"
        guard let last, !last.isWhitespace else { return note }
        if token.isNumber {
            if core == "0", token.digits != "10" { return "°" }
            if token.digits == "10" { return core == "1" && !token.followsOperator ? note : "^" + core }
            if token.digits == "2", ["8", "10", "16", "20", "24", "30", "32", "64", "128", "256"].contains(core) { return "^" + core }
            if token.hasCurrency, core.count == 2, token.digits.allSatisfy(\.isNumber) { return "." + core }
            return token.followsOperator && token.digits.count <= 2 ? "^" + core : note
        }
        if token.isUnit, ["2", "3", "4"].contains(core) { return "^" + core }
        if token.isVariable { return "^" + core }
        if token.isCapital, core == "2" { return "^" + core }
        if last == ")" || last == "]" { return token.isTerm ? "^" + core : note }
        return note
    }

    private static func letters(_ core: String, _ token: Token, _ isAfterText: Bool) -> String {
        guard isAfterText else { return core }
        let lowered = core.lowercased()
        if token.isNumber {
            if lowered == "o" { return "°" }
            if ordinals.contains(lowered) { return core }
            if core.count == 1 { return "nxykit".contains(core) ? "^" + core : "[" + core + "]" }
            return core.count <= 3 ? core : " " + core
        }
        if token.isVariable || token.isCapital || token.isTerm, core.count == 1, "nkxyijtmpTN".contains(core) { return "^" + core }
        if token.isCapital || token.isVariable { return core }
        if core.count == 1 || romans.contains(lowered), core == lowered { return "[" + core + "]" }
        return core.count <= 3 ? core : " " + core
    }

    private static let ordinals: Set<String> = [
        "st", "nd", "rd", "th", "er", "re", "e", "ère", "ere", "ème", "eme", "nde", "de", "ers", "ra", "ro", "do", "da", "to", "ta", "mo",
        "ma",
        "vo", "va", "no", "na", "os", "as", "ste", "te",
    ]
    private static let romans: Set<String> = ["ii", "iii", "iv", "vi", "vii", "viii", "ix", "xi", "xii", "xiii", "xiv", "xv"]

    private static func isOperator(_ character: Character) -> Bool { "+-−–*/·×=⋅^".contains(character) }

    /// An exponent of several terms needs brackets to stay one.
    private static func grouped(_ text: String) -> String {
        let plain = String(text.map { "−–".contains($0) ? "-" : $0 })
        let isOne = !plain.dropFirst().contains(where: isOperator) || (plain.hasPrefix("(") && plain.hasSuffix(")"))
        return isOne ? plain : "(" + plain + ")"
    }

    // MARK: - Lowered

    /// Appends lowered text; it stays as it is, except where its digits would continue a number or complete a fraction.
    static func appendLowered(_ text: some StringProtocol, to written: inout String) {
        let core = trim(text)
        guard let first = core.first, first.isNumber, let last = written.last else {
            written += text
            return
        }
        if last == "/" || last == "⁄" {
            // "¹/₂": what was taken for a note's mark is a numerator.
            let tail = written.suffix(8)
            if let open = tail.lastIndex(where: { $0 == "[" || $0 == "^" }) {
                let isMark = tail[open] == "["
                let inner = tail[tail.index(after: open)...].dropLast(isMark ? 2 : 1)
                if !inner.isEmpty, inner.allSatisfy(\.isNumber) {
                    let numerator = String(inner)
                    written.removeLast(tail[open...].count)
                    if written.last?.isNumber == true { written += " " }
                    written += numerator + "/"
                }
            }
            written += core
        } else if last.isNumber {
            written += "_" + core
        } else {
            written += text
        }
    }

    private static func trim(_ text: some StringProtocol) -> String {
        var text = text[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }

    // MARK: - What stands before

    /// The word or number that the text ends in.
    private struct Token {
        /// A number's digits with their separators, or nothing.
        private(set) var digits = ""
        private(set) var followsOperator = false
        private(set) var hasCurrency = false
        private(set) var isUnit = false
        /// One small or Greek letter, perhaps with an index: x, σ, x1.
        private(set) var isVariable = false
        private(set) var isCapital = false
        /// A short expression in brackets: (a + b).
        private(set) var isTerm = false

        var isNumber: Bool { !digits.isEmpty }

        init(_ text: [Character]) {
            guard let last = text.last else { return }
            if last == ")" || last == "]" {
                isTerm = Self.endsInTerm(text)
                return
            }
            guard last.isLetter || last.isNumber else { return }
            var start = text.count
            while start > 0, text[start - 1].isLetter || text[start - 1].isNumber || ".,'’\u{A0}\u{202F}".contains(text[start - 1]) {
                // A separator is part of the token between digits only.
                let isSeparator = !text[start - 1].isLetter && !text[start - 1].isNumber
                if isSeparator, start == text.count || !text[start].isNumber || start < 2 || !text[start - 2].isNumber { break }
                start -= 1
            }
            var before = start - 1
            hasCurrency = before >= 0 && "$€£¥".contains(text[before])
            while before >= 0, text[before].isWhitespace { before -= 1 }
            followsOperator =
                before >= 0 && "×x*·⋅=+−/^".contains(text[before]) && (text[before] != "x" || before == 0 || !text[before - 1].isLetter)
            let token = text[start...]
            if last.isNumber {
                var first = token.endIndex
                while first > token.startIndex, !token[first - 1].isLetter { first -= 1 }
                let letters = token[..<first]
                if letters.isEmpty || letters.last == "x" && letters.dropLast().allSatisfy({ !$0.isLetter }) {
                    digits = String(token[first...])
                    if !letters.isEmpty { followsOperator = true }
                } else {
                    isVariable = letters.count == 1 && Self.isSmall(letters.first!)
                }
                return
            }
            let letters = String(token.drop { !$0.isLetter })
            let hasNumber = letters.count < token.count || before >= 0 && text[before].isNumber
            switch letters {
            case "m", "mm", "cm", "dm", "km", "hm", "µm", "μm", "nm", "ft", "yd", "mi", "inch", "metre", "meter", "м", "мм", "см", "дм",
                "км":
                isUnit = true
            case "in", "s", "h", "sec", "min": isUnit = hasNumber || followsOperator
            default: break
            }
            if letters.count == 1, letters.count == token.count || hasNumber {
                if Self.isSmall(letters.first!) { isVariable = !isUnit } else { isCapital = true }
            } else if letters.count == 2, followsOperator {
                isVariable = true
            }
        }

        private static func isSmall(_ character: Character) -> Bool {
            character.isLowercase || character.unicodeScalars.first.map { (0x370...0x3FF).contains($0.value) } == true
        }

        private static func endsInTerm(_ text: [Character]) -> Bool {
            let window = text.suffix(24)
            guard let open = window.lastIndex(where: { $0 == "(" || $0 == "[" }) else { return false }
            let inner = window[(open + 1)..<(window.endIndex - 1)]
            guard !inner.isEmpty else { return false }
            if inner.split(whereSeparator: { !$0.isLetter }).contains(where: { $0.count > 2 }) { return false }
            return inner.contains(where: { ScriptText.isOperator($0) })
        }
    }
}
