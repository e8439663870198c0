import Foundation
import GRDB

/// Refuses a filter that compares a key with a type that it never has: the answer would be empty, and nobody would know why.
enum FilterTypes {
    /// - Throws: `DocumentStoreError.invalidFilter`, or what the database throws.
    static func check(_ filter: Filter, collection: CollectionID, _ database: Database) throws {
        switch filter {
        case .and(let filters), .or(let filters): for filter in filters { try check(filter, collection: collection, database) }
        case .not(let filter): try check(filter, collection: collection, database)
        case .exists: break
        case .eq(let key, let value), .ne(let key, let value), .lt(let key, let value), .lte(let key, let value), .gt(let key, let value),
            .gte(let key, let value):
            try check(key, [value], collection, database)
        case .isIn(let key, let values), .notIn(let key, let values): try check(key, values, collection, database)
        }
    }

    private static func check(_ key: String, _ values: [MetadataValue], _ collection: CollectionID, _ database: Database) throws {
        let compared = Set(values.compactMap(kind))
        guard !compared.isEmpty else { return }
        let shown = "'\(key.prefix(100))'"
        if let builtIn = BuiltInKey(rawValue: key) {
            if builtIn.isTime {
                for case .string(let text) in values where DatePeriod(text) == nil {
                    throw DocumentStoreError.invalidFilter(
                        "\(shown) is a time; '\(text.prefix(40))' is none: give a date such as 2026-01-31 or 2026-01-31T12:00:00Z, or Unix seconds"
                    )
                }
                guard !compared.isDisjoint(with: ["n", "s"]) else { throw mismatch(shown, ["n"], compared) }
            } else if !compared.contains(builtIn.kind) {
                throw mismatch(shown, [builtIn.kind], compared)
            }
            return
        }
        let present = try Set(
            ["s", "n", "b"].filter { kind in
                try Bool.fetchOne(
                    database.cachedStatement(sql: "SELECT EXISTS (SELECT 1 FROM attributes WHERE collection = ? AND key = ? AND kind = ?)"),
                    arguments: [collection.rawValue, filterKey(key), kind]) ?? false
            })
        guard present.isEmpty || !present.isDisjoint(with: compared) else { throw mismatch(shown, present, compared) }
    }

    private static func kind(_ value: MetadataValue) -> String? {
        switch value {
        case .string: "s"
        case .number: "n"
        case .bool: "b"
        case .strings, .numbers, .null: nil
        }
    }

    private static func mismatch(_ key: String, _ present: Set<String>, _ compared: Set<String>) -> DocumentStoreError {
        let names = ["s": "text", "n": "numbers", "b": "true or false"]
        func list(_ kinds: Set<String>) -> String { kinds.sorted().compactMap { names[$0] }.joined(separator: " and ") }
        let remedy =
            compared == ["n"] && present.contains("s")
            ? "; put the value in quotes" : compared == ["s"] && present.contains("n") ? "; give the value without quotes" : ""
        return .invalidFilter("\(key) holds \(list(present)) in this collection and is compared with \(list(compared))\(remedy)")
    }
}

extension DocumentStore {
    /// Throws `.invalidFilter` when a key is compared with a type that it never has in the collection.
    func checkTypes(of filter: Filter, in collection: CollectionID) throws(DocumentStoreError) {
        try filter.validate()
        let flaw = try read("check a filter") { database -> DocumentStoreError? in
            do { try FilterTypes.check(filter, collection: collection, database) } catch let error as DocumentStoreError { return error }
            return nil
        }
        if let flaw { throw flaw }
    }
}

/// The stretch of time that a date names: a year, a month, a day, a minute or a second, in UTC where it says nothing else (ISO 8601).
///
/// ```
///   created_at = "2026-01"       from 2026-01-01T00:00:00Z, before 2026-02-01T00:00:00Z
///   created_at > "2026-01-31"    from 2026-02-01T00:00:00Z
///   created_at <= "2026-01-31"   before that
/// ```
struct DatePeriod: Equatable {
    /// Unix seconds; the end is the next period's start.
    var start: Double
    var end: Double

    /// What a date looks like to SQLite, which also reads plain numbers as days.
    static let glob = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"

    init?(_ value: MetadataValue) {
        guard case .string(let text) = value else { return nil }
        self.init(text)
    }

    init?(_ text: String) {
        guard
            let match = text.wholeMatch(
                of: /(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?/)
        else {
            return nil
        }
        func number(_ text: Substring?) -> Int? { text.flatMap { Int($0) } }
        let (year, month, day) = (number(match.1)!, number(match.2), number(match.3))
        let (hour, minute, second) = (number(match.4), number(match.5), number(match.6))
        guard year > 0, (1...12).contains(month ?? 1), (1...31).contains(day ?? 1), (0...24).contains(hour ?? 0),
            (0...59).contains(minute ?? 0),
            (0...60).contains(second ?? 0)
        else { return nil }
        var offset = 0
        if let zone = match.7, zone != "Z" {
            let digits = zone.filter(\.isNumber)
            guard let hours = Int(digits.prefix(2)), let minutes = Int(digits.suffix(2)) else { return nil }
            offset = (zone.first == "-" ? -1 : 1) * (hours * 3600 + minutes * 60)
        }
        let days = Self.days(year, month ?? 1, day ?? 1)
        // The thirty-first of a short month is no date.
        if let day, day > 28, days >= Self.days(month == 12 ? year + 1 : year, month == 12 ? 1 : (month ?? 0) + 1, 1) { return nil }
        let seconds = days * 86_400 + (hour ?? 0) * 3600 + (minute ?? 0) * 60 + (second ?? 0) - offset
        start = Double(seconds)
        if second != nil {
            end = start + 1
        } else if hour != nil {
            end = start + 60
        } else if day != nil {
            end = start + 86_400
        } else if let month {
            end = Double(Self.days(month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1) * 86_400)
        } else {
            end = Double(Self.days(year + 1, 1, 1) * 86_400)
        }
    }

    /// Days since 1970-01-01 in the Gregorian calendar (years from March, so that the leap day is the last).
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    }
}
