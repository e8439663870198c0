import Foundation

/// Reads calendars (iCalendar, RFC 5545) and address cards (vCard, RFC 6350): both are folded lines of `NAME;PARAMETER=VALUE:VALUE`.
///
/// An event becomes a sentence that says what, when and where, and lines with the rest:
///
///     Dry dock planning, 2026-03-17 13:00 to 14:30 Europe/Oslo, Room Kattegat
///     Organizer: Vera Example <vera@example.org>
///     Repeats: weekly, four times
enum CalendarParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let bytes = try input.bytes()
        var builder = context.builder
        let lines = lines(bytes)
        let isCard = lines.contains { $0.name == "BEGIN" && $0.value.uppercased() == "VCARD" }
        let title = isCard ? try appendCards(lines, to: &builder) : try appendEvents(lines, to: &builder)
        if builder.isEmpty { return try PlainTextParser.parse(TextDecoder.decode(bytes), context: context) }
        return builder.finish(title: title, mimeType: isCard ? "text/vcard" : "text/calendar")
    }

    /// Whether a text begins as one of these.
    static func isCalendar(_ start: some StringProtocol) -> Bool {
        let head = start.prefix(40).uppercased()
        return head.hasPrefix("BEGIN:VCALENDAR") || head.hasPrefix("BEGIN:VCARD") || head.hasPrefix("BEGIN:VEVENT")
    }

    /// Adds the events of a mail's calendar part.
    static func append(_ bytes: [UInt8], to builder: inout DocumentBuilder) throws(Refusal) {
        _ = try appendEvents(lines(bytes), to: &builder)
    }

    // MARK: - Lines

    struct Line {
        var name: String
        var parameters: [(name: String, value: String)]
        /// As written, still with its escapes.
        var value: String

        func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

        /// With `\n`, `\,`, `\;` and `\\` undone.
        var text: String {
            guard value.utf8.contains(0x5C) else { return value }
            var output = ""
            var isEscaped = false
            for character in value {
                if isEscaped {
                    output.append(character == "n" || character == "N" ? "\n" : character)
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else {
                    output.append(character)
                }
            }
            return output
        }

        /// The parts of a compound value.
        func parts(_ separator: Character) -> [String] {
            var parts = [""]
            var isEscaped = false
            for character in value {
                if isEscaped {
                    parts[parts.count - 1].append(character == "n" || character == "N" ? " " : character)
                    isEscaped = false
                } else if character == "\\" {
                    isEscaped = true
                } else if character == separator {
                    parts.append("")
                } else {
                    parts[parts.count - 1].append(character)
                }
            }
            return parts.map(\.trimmed)
        }
    }

    /// Unfolds bytes before they are decoded: a fold may cut a letter.
    static func lines(_ bytes: [UInt8]) -> [Line] {
        var bytes = bytes
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) || bytes.prefix(64).contains(0) {
            bytes = Array(TextDecoder.decode(bytes).text.utf8)
        }
        var raw: [[UInt8]] = []
        var start = 0
        while start < bytes.count, raw.count < 200_000 {
            let end = bytes[start...].firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count
            let line = bytes[start..<end]
            start = end + 1
            if end + 1 < bytes.count, bytes[end] == 0x0D, bytes[end + 1] == 0x0A { start = end + 2 }
            // vCard 2.1 folds quoted-printable with its own soft line ends.
            let isSoft = raw.last.map { $0.last == 0x3D && isQuotedPrintable($0) } ?? false
            if !raw.isEmpty, line.first == 0x20 || line.first == 0x09 || isSoft {
                if raw[raw.count - 1].count > 1 << 20 { continue }
                if isSoft { raw[raw.count - 1].removeLast() }
                raw[raw.count - 1] += isSoft ? line : line.dropFirst()
            } else if !line.isEmpty {
                raw.append(Array(line))
            }
        }
        let declared = TextDecoder.isUTF8(bytes) ? "UTF-8" : TextDecoder.decode(bytes).encoding
        return raw.compactMap { line($0, encoding: declared) }
    }

    private static func isQuotedPrintable(_ line: [UInt8]) -> Bool {
        guard let colon = line.firstIndex(of: 0x3A) else { return false }
        return String(decoding: line[..<colon], as: UTF8.self).uppercased().contains("QUOTED-PRINTABLE")
    }

    private static func line(_ bytes: [UInt8], encoding: String) -> Line? {
        var fields: [[UInt8]] = [[]]
        var isQuoted = false
        var colon: Int?
        for (index, byte) in bytes.enumerated() {
            if byte == 0x22 {
                isQuoted.toggle()
            } else if byte == 0x3B, !isQuoted {
                fields.append([])
            } else if byte == 0x3A, !isQuoted {
                colon = index
                break
            } else {
                fields[fields.count - 1].append(byte)
            }
        }
        guard let colon, fields[0].count <= 80, !fields[0].isEmpty else { return nil }
        func text(_ bytes: some Sequence<UInt8>) -> String { TextDecoder.decode(Array(bytes), declared: encoding).text }
        // A group in front ("item1.TEL") only ties lines together.
        let whole = text(fields[0]).uppercased()
        let name = whole.split(separator: ".").last.map(String.init) ?? whole
        var parameters: [(name: String, value: String)] = []
        for field in fields.dropFirst() {
            let parts = text(field).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            // Older cards leave the name out: TEL;WORK;VOICE.
            parameters.append(parts.count == 2 ? (parts[0].uppercased(), String(parts[1])) : ("TYPE", String(parts[0])))
        }
        var value = Array(bytes[(colon + 1)...])
        let coding = parameters.first { $0.name == "ENCODING" }?.value.uppercased() ?? ""
        let isQuotedPrintable = coding == "QUOTED-PRINTABLE" || parameters.contains { $0.value.uppercased() == "QUOTED-PRINTABLE" }
        if isQuotedPrintable { value = MailParser.quotedPrintable(value[...], isHeader: false) }
        if coding == "B" || coding == "BASE64" { value = [] }
        let charset = parameters.first { $0.name == "CHARSET" }?.value
        return Line(name: name, parameters: parameters, value: TextDecoder.decode(value, declared: charset ?? encoding).text)
    }

    // MARK: - Events

    private static func appendEvents(_ lines: [Line], to builder: inout DocumentBuilder) throws(Refusal) -> String? {
        var method = ""
        var title: String?
        var component: (name: String, lines: [Line])?
        var depth = 0
        var firstSummary: String?
        var count = 0
        for line in lines {
            let value = line.value.uppercased()
            switch line.name {
            case "BEGIN":
                if component != nil {
                    // Alarms and the like.
                    depth += 1
                } else if ["VEVENT", "VTODO", "VJOURNAL"].contains(value) {
                    component = (value, [])
                    depth = 0
                } else if value == "VTIMEZONE" {
                    component = (value, [])
                }
            case "END":
                if depth > 0, value != component?.name {
                    depth -= 1
                } else if let ended = component, ended.name == value {
                    component = nil
                    depth = 0
                    guard value != "VTIMEZONE" else { continue }
                    count += 1
                    if firstSummary == nil { firstSummary = ended.lines.first { $0.name == "SUMMARY" }?.text.trimmed }
                    try event(ended.name, ended.lines, method: method, to: &builder)
                }
            case "METHOD" where component == nil: method = value
            case "X-WR-CALNAME" where component == nil: title = line.text
            default: if depth == 0 { component?.lines.append(line) }
            }
        }
        // A file cut short has its last event all the same.
        if let component, component.name != "VTIMEZONE" { try event(component.name, component.lines, method: method, to: &builder) }
        return title ?? (count <= 1 ? firstSummary : nil)
    }

    private static func event(_ kind: String, _ lines: [Line], method: String, to builder: inout DocumentBuilder) throws(Refusal) {
        func first(_ name: String) -> Line? { lines.first { $0.name == name && !$0.value.isBlank } }
        func oneLine(_ line: Line?) -> String? { line.map { HTMLParser.collapse($0.text) }.flatMap { $0.isBlank ? nil : $0 } }
        let status = first("STATUS")?.value.uppercased() ?? ""
        let isCancelled = status == "CANCELLED" || method == "CANCEL"
        let summary = oneLine(first("SUMMARY")) ?? (kind == "VTODO" ? "To do" : kind == "VJOURNAL" ? "Journal entry" : "Event")
        var parts = [(isCancelled ? "Cancelled: " : "") + summary]
        if let when = time(start: first("DTSTART"), end: first("DTEND"), duration: first("DURATION")) { parts.append(when) }
        if let due = first("DUE").flatMap({ moment($0) }) { parts.append("due \(due.text)") }
        if let place = oneLine(first("LOCATION")) { parts.append(place) }
        var rows = [parts.joined(separator: ", ")]
        if status == "TENTATIVE" { rows.append("Status: tentative") }
        if kind == "VTODO", !status.isEmpty, !isCancelled { rows.append("Status: " + status.lowercased().replacing("-", with: " ")) }
        if let rule = first("RRULE").flatMap({ repetition($0.value) }) { rows.append("Repeats: \(rule)") }
        let exceptions = lines.filter { $0.name == "EXDATE" }.flatMap { line in moments(line) }
        if !exceptions.isEmpty { rows.append("Except: " + exceptions.prefix(100).joined(separator: ", ")) }
        let additions = lines.filter { $0.name == "RDATE" }.flatMap { line in moments(line) }
        if !additions.isEmpty { rows.append("Also: " + additions.prefix(100).joined(separator: ", ")) }
        if let replaced = first("RECURRENCE-ID").flatMap({ moment($0) }) { rows.append("In place of: \(replaced.text)") }
        if let organizer = first("ORGANIZER").map(person) { rows.append("Organizer: \(organizer)") }
        let attendees = lines.filter { $0.name == "ATTENDEE" }.map(person).filter { !$0.isEmpty }
        if !attendees.isEmpty { rows.append("Attendees: " + attendees.prefix(500).joined(separator: ", ")) }
        for (name, label) in [
            ("CONTACT", "Contact"), ("CATEGORIES", "Categories"), ("URL", "Link"), ("COMMENT", "Comment"), ("RESOURCES", "Resources"),
        ] {
            if let value = oneLine(first(name)) { rows.append("\(label): \(value)") }
        }
        try builder.lines(rows.joined(separator: "\n"))
        if let description = first("DESCRIPTION")?.text, !description.isBlank {
            // A few sentences are a paragraph; an agenda keeps its lines.
            let lines = PlainTextParser.splitLines(description).filter { !$0.isBlank }
            if lines.count <= 3, !lines.contains(where: { PlainTextParser.isListLine($0) || $0.hasSuffix(":") }) {
                try builder.paragraph(description)
            } else {
                _ = try PlainTextParser.append(description, to: &builder)
            }
        } else if let html = first("X-ALT-DESC")?.text, let tree = XMLTree(html: html) {
            try HTMLParser.append(tree.root, to: &builder, skipsBoilerplate: false)
        }
    }

    /// `Vera Example <vera@example.org> (accepted)`.
    private static func person(_ line: Line) -> String {
        let address =
            line.value.lowercased().hasPrefix("mailto:") ? String(line.value.dropFirst(7)) : line.value.contains("@") ? line.value : ""
        let name = line.parameter("CN") ?? ""
        var text = name.isBlank || name == address ? address : address.isEmpty ? name : "\(name) <\(address)>"
        if text.isEmpty { text = line.value }
        var remarks: [String] = []
        switch line.parameter("PARTSTAT")?.uppercased() ?? "" {
        case "ACCEPTED": remarks.append("accepted")
        case "DECLINED": remarks.append("declined")
        case "TENTATIVE": remarks.append("tentative")
        default: break
        }
        if line.parameter("ROLE")?.uppercased() == "OPT-PARTICIPANT" { remarks.append("optional") }
        return remarks.isEmpty ? text : "\(text) (\(remarks.joined(separator: ", ")))"
    }

    // MARK: - Times

    private struct Moment {
        var day: Int
        /// Minutes since midnight; nil for a whole day.
        var minutes: Int?
        var zone: String

        var date: String { CalendarParser.date(day) }
        var clock: String { minutes.map { CalendarParser.two($0 / 60) + ":" + CalendarParser.two($0 % 60) } ?? "" }
        var text: String { [date, clock, minutes == nil ? "" : zone].filter { !$0.isEmpty }.joined(separator: " ") }
    }

    private static func moment(_ line: Line) -> Moment? { moment(line.value, zone: line.parameter("TZID") ?? "") }

    private static func moments(_ line: Line) -> [String] {
        line.value.split(separator: ",").compactMap { moment(String($0), zone: line.parameter("TZID") ?? "")?.text }
    }

    /// `20260317`, `20260317T130000`, `20260317T120000Z`.
    private static func moment(_ value: String, zone: String) -> Moment? {
        let digits = value.trimmed.utf8.filter { (0x30...0x39).contains($0) }.map { Int($0) - 0x30 }
        guard digits.count >= 8 else { return nil }
        func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
        let (year, month, day) = (number(0..<4), number(4..<6), number(6..<8))
        guard (1...12).contains(month), (1...31).contains(day) else { return nil }
        var minutes: Int?
        if digits.count >= 12, value.uppercased().contains("T") {
            minutes = number(8..<10) * 60 + number(10..<12)
            guard minutes! < 24 * 60 + 1 else { return nil }
        }
        return Moment(day: dayNumber(year, month, day), minutes: minutes, zone: value.trimmed.uppercased().hasSuffix("Z") ? "UTC" : zone)
    }

    private static func time(start: Line?, end: Line?, duration: Line?) -> String? {
        guard let start = start.flatMap({ moment($0) }) else { return nil }
        var end = end.flatMap { moment($0) }
        if end == nil, let length = duration.flatMap({ minutes(ofDuration: $0.value) }) {
            if let minutes = start.minutes {
                end = Moment(day: start.day + (minutes + length) / 1440, minutes: (minutes + length) % 1440, zone: start.zone)
            } else {
                end = Moment(day: start.day + max(1, length / 1440), minutes: nil, zone: "")
            }
        }
        guard start.minutes != nil else {
            // The end of whole days is the day after the last.
            if let end, end.minutes == nil, end.day - 1 > start.day { return "\(start.date) to \(date(end.day - 1)), all day" }
            return "\(start.date), all day"
        }
        guard let end, end.minutes != nil, (end.day, end.minutes!) != (start.day, start.minutes!) else { return start.text }
        if end.zone != start.zone { return "\(start.text) to \(end.text)" }
        let zone = start.zone.isEmpty ? "" : " " + start.zone
        return "\(start.date) \(start.clock) to \(end.day == start.day ? "" : end.date + " ")\(end.clock)\(zone)"
    }

    /// `P1DT2H30M` in minutes.
    private static func minutes(ofDuration value: String) -> Int? {
        var total = 0
        var number = 0
        var isTime = false
        for byte in value.uppercased().utf8 {
            switch byte {
            case 0x30...0x39: number = min(number * 10 + Int(byte - 0x30), 1_000_000)
            case UInt8(ascii: "T"): isTime = true
            case UInt8(ascii: "W"): total += number * 7 * 1440
            case UInt8(ascii: "D"): total += number * 1440
            case UInt8(ascii: "H"): total += number * 60
            case UInt8(ascii: "M") where isTime: total += number
            case UInt8(ascii: "-"): return nil
            default: break
            }
            if !(0x30...0x39).contains(byte) { number = 0 }
        }
        return total > 0 ? total : nil
    }

    /// Days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years from March.
    private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func date(_ number: Int) -> String {
        let days = number + 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return String(repeating: "0", count: max(0, 4 - String(year).count)) + "\(year)-\(two(month))-\(two(day))"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    // MARK: - Repetition

    private static let days = [
        "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday", "SU": "Sunday",
    ]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]
    private static let ordinals = [1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "second to last"]
    private static let numbers = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    ]

    /// A rule in words: "every two weeks on Monday and Thursday, until 2026-06-30".
    static func repetition(_ rule: String) -> String? {
        var fields: [String: String] = [:]
        for part in rule.uppercased().split(separator: ";") {
            let pair = part.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { fields[String(pair[0])] = String(pair[1]) }
        }
        let interval = fields["INTERVAL"].flatMap { Int($0) } ?? 1
        let units = ["DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year", "HOURLY": "hour"]
        guard let frequency = fields["FREQ"], let unit = units[frequency] else { return nil }
        var words = interval == 1 ? (frequency == "DAILY" ? "daily" : frequency.lowercased()) : "every \(word(interval)) \(unit)s"
        func list(_ parts: [String]) -> String {
            parts.count < 2 ? parts.joined() : parts.dropLast().joined(separator: ", ") + " and " + parts.last!
        }
        if let value = fields["BYDAY"] {
            let names = value.split(separator: ",").compactMap { part -> String? in
                guard let day = days[String(part.suffix(2))] else { return nil }
                guard let place = Int(part.dropLast(2)) else { return day }
                return "the \(ordinals[place] ?? "\(place).") \(day)"
            }
            let position = fields["BYSETPOS"].flatMap { Int($0) }.flatMap { ordinals[$0] }
            if !names.isEmpty { words += " on " + (position.map { "the \($0) " } ?? "") + list(names) }
        }
        if let value = fields["BYMONTHDAY"] {
            words += " on " + list(value.split(separator: ",").map { $0 == "-1" ? "the last day" : "day \($0)" })
        }
        if let value = fields["BYMONTH"] {
            let names = value.split(separator: ",").compactMap { Int($0) }.filter { (1...12).contains($0) }.map { months[$0 - 1] }
            if !names.isEmpty { words += " in " + list(names) }
        }
        if let count = fields["COUNT"].flatMap({ Int($0) }) { words += ", \(word(count)) time\(count == 1 ? "" : "s")" }
        if let until = fields["UNTIL"].flatMap({ moment($0, zone: "") }) { words += ", until \(until.date)" }
        return words
    }

    private static func word(_ number: Int) -> String { numbers.indices.contains(number) ? numbers[number] : "\(number)" }

    // MARK: - Cards

    private static func appendCards(_ lines: [Line], to builder: inout DocumentBuilder) throws(Refusal) -> String? {
        var card: [Line]?
        var names: [String] = []
        func close(_ card: [Line], _ builder: inout DocumentBuilder) throws(Refusal) -> String? {
            func first(_ name: String) -> Line? { card.first { $0.name == name && !$0.value.isBlank } }
            var name = first("FN").map { HTMLParser.collapse($0.text) }
            if name == nil, let parts = first("N")?.parts(";") {
                // Family; given; further; title; suffix.
                let order = [3, 1, 2, 0, 4].compactMap { $0 < parts.count && !parts[$0].isEmpty ? parts[$0] : nil }
                name = order.joined(separator: " ")
            }
            var rows: [String] = []
            if let name, !name.isBlank { rows.append("Name: \(name)") }
            let labels = [
                "ORG": "Organization", "TITLE": "Title", "ROLE": "Role", "TEL": "Phone", "EMAIL": "E-mail", "ADR": "Address", "URL": "Web",
                "BDAY": "Birthday", "NICKNAME": "Nickname", "CATEGORIES": "Categories", "IMPP": "Messages", "NOTE": "Note",
            ]
            for line in card {
                guard let label = labels[line.name] else { continue }
                var value = line.text
                if line.name == "ADR" || line.name == "ORG" { value = line.parts(";").filter { !$0.isEmpty }.joined(separator: ", ") }
                if line.name == "BDAY", let day = moment(line.value, zone: "") { value = day.date }
                for prefix in ["tel:", "mailto:"] where value.lowercased().hasPrefix(prefix) {
                    value = String(value.dropFirst(prefix.count))
                }
                guard !value.isBlank else { continue }
                let kinds = line.parameters.filter { $0.name == "TYPE" }.flatMap { $0.value.lowercased().split(separator: ",") }
                    .filter { ["work", "home", "cell", "mobile", "fax", "pager", "main"].contains($0) }
                rows.append(label + (kinds.isEmpty ? "" : " (\(kinds.joined(separator: ", ")))") + ": " + HTMLParser.collapse(value))
            }
            if !rows.isEmpty { try builder.lines(rows.joined(separator: "\n")) }
            return name
        }
        for line in lines {
            switch (line.name, line.value.uppercased()) {
            case ("BEGIN", "VCARD"): card = []
            case ("END", "VCARD"):
                if let ended = card, let name = try close(ended, &builder) { names.append(name) }
                card = nil
            default: card?.append(line)
            }
        }
        if let card, let name = try close(card, &builder) { names.append(name) }
        return names.count == 1 ? names[0] : nil
    }
}
