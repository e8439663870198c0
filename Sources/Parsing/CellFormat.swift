import Foundation

/// How a spreadsheet number reads: enough of Excel's number formats that a date is a date and a percentage a percentage.
///
/// Dates become ISO 8601, because a reader who asks for 2018-09-20 should find it whatever the sheet's style;
/// other numbers keep their digits rather than their rounding.
struct CellFormat: Equatable {
    enum Kind: Equatable {
        case number
        case percent(decimals: Int)
        case fixed(decimals: Int)
        case date, time, dateTime, elapsed, text
    }
    var kind: Kind

    /// The formats that need no definition (ECMA-376 part 1, 18.8.30).
    init(builtIn id: Int) {
        switch id {
        case 9: kind = .percent(decimals: 0)
        case 10: kind = .percent(decimals: 2)
        case 2, 4, 39, 40: kind = .fixed(decimals: 2)
        case 14...17, 27...31, 36, 50...54, 57, 58: kind = .date
        case 18...21, 32...35, 55, 56: kind = .time
        case 22: kind = .dateTime
        case 45...47: kind = .elapsed
        case 49: kind = .text
        default: kind = .number
        }
    }

    /// Reads a format such as `[$-409]d\-mmm\-yy;@`.
    init(code: String) {
        var letters = ""
        var isQuoted = false
        var isBracketed = false
        var bracket = ""
        var isEscaped = false
        var isElapsed = false
        for character in code.prefix(200) {
            if isEscaped {
                isEscaped = false
            } else if isQuoted {
                isQuoted = character != "\""
            } else if isBracketed {
                if character == "]" {
                    isBracketed = false
                    let lowered = bracket.lowercased()
                    if ["h", "hh", "m", "mm", "s", "ss"].contains(lowered) { isElapsed = true }
                    bracket = ""
                } else {
                    bracket.append(character)
                }
            } else if character == "\\" || character == "_" || character == "*" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted = true
            } else if character == "[" {
                isBracketed = true
            } else if character == ";" {
                break
            } else {
                letters.append(contentsOf: character.lowercased())
            }
        }
        let plain = letters.replacing("general", with: "")
        let decimals = plain.firstIndex(of: ".").map { dot in plain[plain.index(after: dot)...].prefix { $0 == "0" }.count } ?? 0
        let hasDay = plain.contains("y") || plain.contains("d") || (plain.contains("m") && !plain.contains("h") && !plain.contains("s"))
        let hasTime = plain.contains("h") || plain.contains("s")
        if isElapsed {
            kind = .elapsed
        } else if hasDay && hasTime {
            kind = .dateTime
        } else if hasDay {
            kind = .date
        } else if hasTime {
            kind = .time
        } else if plain.contains("%") {
            kind = .percent(decimals: decimals)
        } else if plain == "@" {
            kind = .text
        } else if plain.contains("0."), decimals > 0, !plain.contains("e") {
            kind = .fixed(decimals: min(decimals, 10))
        } else {
            kind = .number
        }
    }

    /// - Parameter is1904: Whether day 0 is 1904-01-01, as on old Macs, and not 1899-12-30.
    func format(_ value: Double, is1904: Bool = false) -> String {
        guard value.isFinite else { return "" }
        switch kind {
        case .number, .text: return Self.general(value)
        case .fixed(let decimals): return String(format: "%.\(decimals)f", value)
        case .percent(let decimals):
            return String(format: "%.\(decimals)f", value * 100) + "%"
        case .date, .time, .dateTime:
            guard value >= 0, value < 2_958_466 else { return Self.general(value) }
            return Self.dateText(value, kind, is1904: is1904)
        case .elapsed:
            guard abs(value) < 1e6 else { return Self.general(value) }
            let seconds = Int((value * 86_400).rounded())
            return String(format: "%d:%02d:%02d", seconds / 3600, abs(seconds / 60 % 60), abs(seconds % 60))
        }
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
