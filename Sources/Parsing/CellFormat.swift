import Foundation

/// How a spreadsheet number reads: Excel's number formats (ECMA-376 part 1, 18.8.31) with their units, currencies and zeros.
///
///     [<=9999999]###-####;(###) ###-####     up to four sections, parted by semicolons: positive, negative, zero, text;
///     "$"#,##0.00_);[Red]\("$"#,##0.00\)     or chosen by conditions. A section is literals and places for digits.
///
/// Dates become ISO 8601, because a reader who asks for 2018-09-20 should find it whatever the sheet's style. Halves are rounded away from
/// zero on 15 significant digits, as spreadsheets do: 0.0725 in `0.0%` is 7.3 %, though the binary number is a little less.
struct CellFormat: Equatable {
    enum Kind: Equatable {
        case general, number, fraction, scientific, date, time, dateTime, elapsed, text
    }
    private enum Token: Equatable {
        case literal(String)
        /// A place for a digit: `0` shows always, `#` and `?` only when it counts.
        case digit(isForced: Bool)
        case point, slash, general, text
        case exponent(isPlusShown: Bool)
    }
    private struct Section: Equatable {
        var kind = Kind.general
        var tokens: [Token] = []
        var isGrouped = false
        /// Powers of ten by which the number is multiplied: 2 for each `%`, -3 for each comma at the end.
        var shift = 0
        var condition: Condition?
        var isColored = false
    }
    private struct Condition: Equatable {
        var comparison: String
        var value: Double
        func holds(_ number: Double) -> Bool {
            switch comparison {
            case "<": number < value
            case "<=": number <= value
            case ">": number > value
            case ">=": number >= value
            case "<>": number != value
            default: number == value
            }
        }
    }
    private var sections: [Section]

    var kind: Kind { sections[0].kind }

    /// The formats that need no definition (ECMA-376 part 1, 18.8.30).
    init(builtIn id: Int) {
        let code: String? =
            switch id {
            case 1: "0"
            case 2: "0.00"
            case 3: "#,##0"
            case 4: "#,##0.00"
            case 5, 6: "\"$\"#,##0;\\(\"$\"#,##0\\)"
            case 7, 8: "\"$\"#,##0.00;\\(\"$\"#,##0.00\\)"
            case 9: "0%"
            case 10: "0.00%"
            case 11: "0.00E+00"
            case 12: "# ?/?"
            case 13: "# ??/??"
            case 37, 38: "#,##0;\\(#,##0\\)"
            case 39, 40: "#,##0.00;\\(#,##0.00\\)"
            case 41: "#,##0;\\(#,##0\\);\"-\""
            case 42: "\"$\"#,##0;\\(\"$\"#,##0\\);\"$-\""
            case 43: "#,##0.00;\\(#,##0.00\\);\"-\""
            case 44: "\"$\"#,##0.00;\\(\"$\"#,##0.00\\);\"$-\""
            case 48: "##0.0E+0"
            default: nil
            }
        if let code {
            self = CellFormat(code: code)
            return
        }
        var section = Section()
        switch id {
        case 14...17, 27...31, 36, 50...54, 57, 58: section.kind = .date
        case 18...21, 32...35, 55, 56: section.kind = .time
        case 22: section.kind = .dateTime
        case 45...47: section.kind = .elapsed
        case 49: section.kind = .text
        default: break
        }
        sections = [section]
    }

    /// Reads a format such as `[$-409]d\-mmm\-yy;@`.
    init(code: String) {
        sections = code.isBlank ? [Section()] : Self.split(Array(code.prefix(300))).prefix(4).map { Self.section($0) }
    }

    /// The sections' characters: semicolons in quotes, brackets or after a backslash part nothing.
    private static func split(_ code: [Character]) -> [ArraySlice<Character>] {
        var parts: [ArraySlice<Character>] = []
        var start = 0
        var index = 0
        while index < code.count {
            switch code[index] {
            case "\\", "_", "*": index += 1
            case "\"": index = code[(index + 1)...].firstIndex(of: "\"") ?? code.count
            case "[": index = code[index...].firstIndex(of: "]") ?? code.count
            case ";":
                parts.append(code[start..<index])
                start = index + 1
            default: break
            }
            index += 1
        }
        parts.append(code[min(start, code.count)...])
        return parts
    }

    private static func section(_ code: ArraySlice<Character>) -> Section {
        var section = Section()
        var letters = ""
        var isElapsed = false
        var commas = 0
        func literal(_ text: String) {
            if case .literal(let before)? = section.tokens.last {
                section.tokens[section.tokens.count - 1] = .literal(before + text)
            } else if !text.isEmpty {
                section.tokens.append(.literal(text))
            }
        }
        var index = code.startIndex
        while index < code.endIndex {
            let character = code[index]
            // Commas between places group, those after the last place divide by a thousand.
            if character != ",", commas > 0 {
                if "0#?".contains(character) { section.isGrouped = true } else { section.shift -= 3 * commas }
                commas = 0
            }
            switch character {
            case "\\":
                index += 1
                if index < code.endIndex { literal(String(code[index])) }
            case "_":
                // A gap as wide as the next character.
                index += 1
                literal(" ")
            case "*": index += 1
            case "\"":
                let end = code[(index + 1)...].firstIndex(of: "\"") ?? code.endIndex
                literal(String(code[(index + 1)..<end]))
                index = end
            case "[":
                let end = code[index...].firstIndex(of: "]") ?? code.endIndex
                let inner = String(code[(index + 1)..<end])
                index = end
                if inner.hasPrefix("$") {
                    literal(String(inner.dropFirst().prefix { $0 != "-" }))
                } else if let first = inner.first, "<>=".contains(first) {
                    let comparison = String(inner.prefix { "<>=".contains($0) })
                    if let value = Double(inner.dropFirst(comparison.count)) {
                        section.condition = Condition(comparison: comparison, value: value)
                    }
                } else if ["h", "hh", "m", "mm", "s", "ss"].contains(inner.lowercased()) {
                    isElapsed = true
                } else if !inner.lowercased().hasPrefix("dbnum") && !inner.lowercased().hasPrefix("natnum") {
                    section.isColored = true
                }
            case "0", "#", "?": section.tokens.append(.digit(isForced: character == "0"))
            case ".": section.tokens.append(.point)
            case "/": section.tokens.append(.slash)
            case "@": section.tokens.append(.text)
            case "%":
                section.shift += 2
                literal("%")
            case ",":
                if case .digit? = section.tokens.last { commas += 1 } else if commas > 0 { commas += 1 } else { literal(",") }
            case "E" where index + 1 < code.endIndex && "+-".contains(code[index + 1]),
                "e" where index + 1 < code.endIndex && "+-".contains(code[index + 1]):
                section.tokens.append(.exponent(isPlusShown: code[index + 1] == "+"))
                index += 1
            default:
                if character.lowercased() == "g", String(code[index...].prefix(7)).lowercased() == "general" {
                    section.tokens.append(.general)
                    index += 6
                } else {
                    if character.isLetter { letters += character.lowercased() }
                    literal(String(character))
                }
            }
            index += 1
        }
        if commas > 0 { section.shift -= 3 * commas }

        let hasDay =
            letters.contains("y") || letters.contains("d") || (letters.contains("m") && !letters.contains("h") && !letters.contains("s"))
        let hasTime = letters.contains("h") || letters.contains("s")
        let hasDigits = section.tokens.contains { if case .digit = $0 { true } else { false } }
        if isElapsed {
            section.kind = .elapsed
        } else if hasDay || hasTime {
            section.kind = hasDay && hasTime ? .dateTime : hasDay ? .date : .time
        } else if section.tokens.contains(.general) {
            section.kind = .general
        } else if section.tokens.contains(.text) && !hasDigits {
            section.kind = .text
        } else if section.tokens.contains(where: { if case .exponent = $0 { true } else { false } }) {
            section.kind = .scientific
        } else if section.tokens.contains(.slash), hasDigits {
            section.kind = .fraction
        } else {
            section.kind = .number
        }
        return section
    }

    // MARK: - Values

    /// - Parameter is1904: Whether day 0 is 1904-01-01, as on old Macs, and not 1899-12-30.
    func format(_ value: Double, is1904: Bool = false) -> String {
        guard value.isFinite else { return "" }
        let (section, isSigned) = section(for: value)
        let sign = value < 0 && isSigned ? "-" : ""
        let magnitude = abs(value)
        switch section.kind {
        case .date, .time, .dateTime:
            guard value >= 0, value < 2_958_466 else { return Self.general(value) }
            return Self.dateText(value, section.kind, is1904: is1904)
        case .elapsed:
            guard abs(value) < 1e6 else { return Self.general(value) }
            let seconds = Int((value * 86_400).rounded())
            let whole = String(format: "%d:%02d:%02d", abs(seconds / 3600), abs(seconds / 60 % 60), abs(seconds % 60))
            return seconds < 0 ? "-" + whole : whole
        case .text: return Self.general(value)
        case .general:
            guard !section.tokens.isEmpty else { return Self.general(value) }
            return Self.tidy(sign + Self.write(section.tokens) { $0 == .general ? Self.general(magnitude) : "" })
        case .number: return Self.tidy(sign + Self.number(magnitude, section))
        case .fraction: return Self.tidy(sign + Self.fraction(magnitude, section))
        case .scientific: return Self.tidy(sign + Self.scientific(magnitude, section))
        }
    }

    /// A text in a cell of this format, which may add words to it.
    func format(text: String) -> String {
        guard let section = sections.count == 4 ? sections[3] : sections.first(where: { $0.kind == .text }), section.tokens.count > 1 else {
            return text
        }
        return Self.write(section.tokens) { $0 == .text ? text : "" }.trimmed
    }

    /// The section for a value, and whether a negative value still needs its sign.
    private func section(for value: Double) -> (Section, isSigned: Bool) {
        let numbers = sections.count == 4 ? Array(sections.prefix(3)) : sections
        if numbers.contains(where: { $0.condition != nil }) {
            for section in numbers {
                guard let condition = section.condition else { return (section, true) }
                if condition.holds(value) {
                    return (section, !(condition.comparison.hasPrefix("<") && condition.value <= 0) || Self.lacksSign(section))
                }
            }
            return (Section(), true)
        }
        if value < 0, numbers.count > 1, numbers[1].kind != .text { return (numbers[1], Self.lacksSign(numbers[1])) }
        if value == 0, numbers.count > 2, numbers[2].kind != .text { return (numbers[2], false) }
        return (numbers[0], true)
    }

    /// Whether a section for negative values tells them by their colour alone.
    private static func lacksSign(_ section: Section) -> Bool {
        guard section.kind != .general || !section.tokens.isEmpty else { return false }
        return section.isColored
            && !section.tokens.contains { if case .literal(let text) = $0 { text.contains { "-−–(<▼↓".contains($0) } } else { false } }
    }

    private static func write(_ tokens: [Token], _ body: (Token) -> String) -> String {
        tokens.map { if case .literal(let text) = $0 { text } else { body($0) } }.joined()
    }

    private static func tidy(_ text: String) -> String {
        var result = text.trimmed
        while result.contains("  ") { result = result.replacing("  ", with: " ") }
        return result
    }

    // MARK: - Digits

    /// A number in decimal digits: `digits` times ten to the power of `exponent`, with the point after the first digit.
    ///
    /// Spreadsheets know 15 digits; whole numbers that a double holds exactly keep all, because account numbers have 16.
    private static func decimal(_ value: Double) -> (digits: [UInt8], exponent: Int) {
        let text = value == value.rounded() && value < 9e15 ? String(Int64(value)) : String(format: "%.14e", value)
        var digits: [UInt8] = []
        var exponent = 0
        if let mark = text.firstIndex(of: "e") {
            exponent = Int(text[text.index(after: mark)...]) ?? 0
            digits = text[..<mark].utf8.filter { $0 != 0x2E }.map { $0 - 0x30 }
        } else {
            digits = text.utf8.map { $0 - 0x30 }
            exponent = digits.count - 1
        }
        if digits.allSatisfy({ $0 == 0 }) { return ([0], 0) }
        return (digits, exponent)
    }

    /// The digits before and after the point, rounded to `decimals`; nothing before it for less than one.
    private static func rounded(_ value: (digits: [UInt8], exponent: Int), decimals: Int) -> (whole: [UInt8], part: [UInt8]) {
        let kept = value.exponent + 1 + decimals
        var digits = value.digits
        if kept < 0 {
            digits = []
        } else if kept < digits.count {
            let roundsUp = digits[kept] >= 5
            digits = Array(digits.prefix(kept))
            if roundsUp {
                var index = kept - 1
                while index >= 0, digits[index] == 9 {
                    digits[index] = 0
                    index -= 1
                }
                if index >= 0 { digits[index] += 1 } else { digits.insert(1, at: 0) }
            }
        } else {
            digits += [UInt8](repeating: 0, count: min(400, kept - digits.count))
        }
        // As many digits after the point as asked for, with zeros in front where the number is small.
        if digits.count < decimals { digits = [UInt8](repeating: 0, count: decimals - digits.count) + digits }
        let whole = Array(digits.dropLast(decimals).drop { $0 == 0 })
        return (whole, Array(digits.suffix(decimals)))
    }

    private static func number(_ value: Double, _ section: Section) -> String {
        // A section of words alone, or of nothing, hides the number.
        guard section.tokens.contains(where: { if case .digit = $0 { true } else { false } }) else {
            return write(section.tokens) { _ in "" }
        }
        var parts = decimal(value)
        parts.exponent += section.shift
        let point = section.tokens.firstIndex(of: .point) ?? section.tokens.count
        let decimals = section.tokens[point...].count { if case .digit = $0 { true } else { false } }
        let (whole, part) = rounded(parts, decimals: min(30, decimals))
        return fill(section.tokens[..<point], whole, isGrouped: section.isGrouped) + fillPart(section.tokens[point...], part)
    }

    /// Places before the point take digits from the right; the first one takes what is left.
    private static func fill(_ tokens: ArraySlice<Token>, _ digits: [UInt8], isGrouped: Bool) -> String {
        var left = digits[...]
        var result: [String] = []
        var count = 0
        let first = tokens.firstIndex { if case .digit = $0 { true } else { false } }
        func put(_ digit: UInt8) {
            if isGrouped, count > 0, count % 3 == 0 { result.append(",") }
            result.append(String(digit))
            count += 1
        }
        for index in tokens.indices.reversed() {
            switch tokens[index] {
            case .literal(let text): result.append(text)
            case .digit(let isForced):
                if let digit = left.popLast() { put(digit) } else if isForced { put(0) }
                if index == first { while let digit = left.popLast() { put(digit) } }
            case .slash: result.append("/")
            default: break
            }
        }
        // A format without places before the point still shows what is there.
        if first == nil { while let digit = left.popLast() { put(digit) } }
        return result.reversed().joined()
    }

    /// Places after the point: the last ones that need not show end before the zeros.
    private static func fillPart(_ tokens: ArraySlice<Token>, _ digits: [UInt8]) -> String {
        let forced =
            tokens.filter { if case .digit = $0 { true } else { false } }.lastIndex { $0 == .digit(isForced: true) }.map { $0 + 1 } ?? 0
        var count = digits.count
        while count > forced, digits[count - 1] == 0 { count -= 1 }
        var result = ""
        var index = 0
        for token in tokens {
            switch token {
            case .literal(let text): result += text
            case .point: if count > 0, index == 0 { result += "." }
            case .digit:
                if index < count { result += String(digits[index]) }
                index += 1
            case .slash: result += "/"
            default: break
            }
        }
        return result
    }

    private static func scientific(_ value: Double, _ section: Section) -> String {
        guard let mark = section.tokens.firstIndex(where: { if case .exponent = $0 { true } else { false } }),
            case .exponent(let isPlusShown) = section.tokens[mark]
        else { return general(value) }
        let mantissa = section.tokens[..<mark]
        let point = mantissa.firstIndex(of: .point) ?? mantissa.endIndex
        let places = max(1, mantissa[..<point].count { if case .digit = $0 { true } else { false } })
        let decimals = mantissa[point...].count { if case .digit = $0 { true } else { false } }
        var parts = decimal(value)
        // Several places before the point step the exponent in their number, as engineers write.
        var exponent = value == 0 ? 0 : Int((Double(parts.exponent) / Double(places)).rounded(.down)) * places
        parts.exponent -= exponent
        var digits = rounded(parts, decimals: decimals)
        if digits.whole.count > places {
            exponent += places
            parts.exponent -= places
            digits = rounded(parts, decimals: decimals)
        }
        let head =
            fill(mantissa[..<point], digits.whole.isEmpty ? [0] : digits.whole, isGrouped: false)
            + fillPart(mantissa[point...], digits.part)
        let tail = section.tokens[(mark + 1)...]
        let sign = exponent < 0 ? "-" : isPlusShown ? "+" : ""
        return head + "E" + sign + fill(tail, String(abs(exponent)).utf8.map { $0 - 0x30 }, isGrouped: false)
    }

    private static func fraction(_ value: Double, _ section: Section) -> String {
        let tokens = section.tokens
        func isDigit(_ index: Int) -> Bool { if tokens.indices.contains(index), case .digit = tokens[index] { true } else { false } }
        guard let slash = tokens.firstIndex(of: .slash), value < 1e12 else { return general(value) }
        var numerator = slash
        while isDigit(numerator - 1) { numerator -= 1 }
        var end = slash + 1
        while isDigit(end) { end += 1 }
        guard numerator < slash else { return general(value) }
        let hasWhole = tokens[..<numerator].contains { if case .digit = $0 { true } else { false } }
        var largest = 1
        for _ in 0..<min(4, end - slash - 1) { largest *= 10 }
        // A denominator written as a number is meant.
        var fixed: Int?
        if case .literal(let text)? = tokens.indices.contains(slash + 1) ? tokens[slash + 1] : nil,
            let number = Int(text.prefix { $0.isNumber }), number > 0
        {
            // Zeros after the first digit are places by their look.
            let zeros = tokens[(slash + 2)...].prefix { $0 == .digit(isForced: true) }.count
            fixed = (0..<zeros).reduce(number) { product, _ in min(1_000_000, product * 10) }
            end = slash + 2 + zeros
        }
        let whole = hasWhole ? value.rounded(.down) : 0
        let rest = value - whole
        var best = (numerator: 0, denominator: fixed ?? 1)
        if let fixed {
            best.numerator = Int((rest * Double(fixed)).rounded(.toNearestOrAwayFromZero))
        } else {
            var error = Double.infinity
            for denominator in 1..<max(2, largest) {
                let candidate = (rest * Double(denominator)).rounded()
                let distance = abs(rest - candidate / Double(denominator))
                if distance < error - 1e-12 {
                    error = distance
                    best = (Int(candidate), denominator)
                }
                if error < 1e-12 { break }
            }
        }
        var count = Int(whole)
        if hasWhole, best.numerator == best.denominator {
            count += 1
            best.numerator = 0
        }
        let prefix = tokens[..<numerator].prefix { if case .digit = $0 { false } else { true } }
        var text = write(Array(prefix)) { _ in "" }
        if hasWhole, count > 0 || best.numerator == 0 { text += String(count) }
        if best.numerator > 0 || !hasWhole { text += (hasWhole && count > 0 ? " " : "") + "\(best.numerator)/\(best.denominator)" }
        return text + write(Array(tokens[min(end, tokens.count)...])) { _ in "" }
    }

    /// A number with at most 15 significant digits, as Excel keeps; without exponent where one can read it.
    static func general(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        let text = String(format: "%.15g", value)
        if !text.contains("e") { return text }
        if abs(value) >= 1e15, abs(value) < 1e21 { return String(format: "%.0f", value) }
        if abs(value) < 1, abs(value) > 1e-12 {
            var fixed = String(format: "%.20f", value)
            while fixed.hasSuffix("0") { fixed.removeLast() }
            if fixed.utf8.count < text.utf8.count + 16 { return fixed }
        }
        return text
    }

    private static func dateText(_ value: Double, _ kind: Kind, is1904: Bool) -> String {
        var days = Int(value.rounded(.down))
        var seconds = Int(((value - Double(days)) * 86_400).rounded())
        if seconds >= 86_400 {
            seconds -= 86_400
            days += 1
        }
        let time =
            seconds % 60 == 0
            ? String(format: "%02d:%02d", seconds / 3600, seconds / 60 % 60)
            : String(format: "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60)
        if kind == .time || (value < 1 && !is1904) { return time }
        // Excel believes that 1900 was a leap year: before its 29 February, days are one off.
        let epoch = is1904 ? -24_107 : (days < 60 ? -25_568 : -25_569)
        let (year, month, day) = civil(days + epoch)
        let date = String(format: "%04d-%02d-%02d", year, month, day)
        return kind == .dateTime && seconds > 0 ? date + " " + time : date
    }

    /// Days since 1970-01-01 to a date of the Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 3 : month - 9
        return (yearOfEra + era * 400 + (calendarMonth <= 2 ? 1 : 0), calendarMonth, day)
    }
}
