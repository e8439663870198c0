import GRDB

/// A filter as a SQL condition on `documents d`, every key and value a bound parameter.
///
/// Metadata is searched through `attributes`, one row per value: a comparison is a range of its primary key, so no document's JSON is parsed, keys
/// may hold any character, and a list matches when one of its rows does. Negations are the complement of the positive
/// comparison, which makes them true for a missing key.
struct FilterSQL {
    private(set) var sql = ""
    private(set) var arguments: [DatabaseValue] = []
    private let collection: DatabaseValue

    /// - Throws: `.invalidFilter`.
    init(_ filter: Filter, collection: CollectionID) throws(DocumentStoreError) {
        try filter.validate()
        self.collection = collection.rawValue.databaseValue
        sql = condition(filter)
    }

    private mutating func condition(_ filter: Filter) -> String {
        switch filter {
        case .exists(let key): return existence(key)
        case .not(let filter): return "NOT " + condition(filter)
        case .and(let filters): return filters.isEmpty ? "true" : "(" + filters.map { condition($0) }.joined(separator: " AND ") + ")"
        case .or(let filters): return filters.isEmpty ? "false" : "(" + filters.map { condition($0) }.joined(separator: " OR ") + ")"
        case .eq(let key, let value): return comparison(key, "=", [value])
        case .ne(let key, let value): return "NOT " + comparison(key, "=", [value])
        case .lt(let key, let value): return comparison(key, "<", [value])
        case .lte(let key, let value): return comparison(key, "<=", [value])
        case .gt(let key, let value): return comparison(key, ">", [value])
        case .gte(let key, let value): return comparison(key, ">=", [value])
        case .isIn(let key, let values): return comparison(key, "=", values)
        case .notIn(let key, let values): return "NOT " + comparison(key, "=", values)
        }
    }

    /// True or false, never NULL: whether any of the document's values under a key compares so with any of `values`.
    private mutating func comparison(_ key: String, _ symbol: String, _ values: [MetadataValue]) -> String {
        // One condition per type that occurs; SQLite would order values of different types, we do not compare them.
        var terms: [String] = []
        for kind in ["s", "n", "b"] {
            let bound = values.compactMap { Self.binding($0, kind: kind) }
            guard !bound.isEmpty else { continue }
            if let builtIn = BuiltInKey(rawValue: key) {
                if kind == "s", builtIn.isTime {
                    let periods = values.compactMap(DatePeriod.init)
                    terms += periods.map { "coalesce(\(time(builtIn.column, symbol, $0)), false)" }
                }
                guard builtIn.kind == kind else { continue }
                terms.append("coalesce(\(builtIn.column) \(operand(symbol, bound)), false)")
            } else if kind == "s", symbol != "=", let period = DatePeriod(values[0]) {
                // Text that is no date is compared as text.
                arguments += [collection, filterKey(key).databaseValue, kind.databaseValue]
                let asTime = time("unixepoch(value)", symbol, period)
                terms.append(
                    "d.seq IN (SELECT document FROM attributes WHERE collection = ? AND key = ? AND kind = ? AND CASE WHEN value GLOB '\(DatePeriod.glob)'"
                        + " AND unixepoch(value) IS NOT NULL THEN \(asTime) ELSE value \(operand(symbol, bound)) END)")
            } else {
                arguments += [collection, filterKey(key).databaseValue, kind.databaseValue]
                terms.append(
                    "d.seq IN (SELECT document FROM attributes WHERE collection = ? AND key = ? AND kind = ? AND value \(operand(symbol, bound)))"
                )
            }
        }
        return terms.isEmpty ? "false" : "(" + terms.joined(separator: " OR ") + ")"
    }

    /// A time compared with a period: a day is before the next one's first second, and after its own last.
    private mutating func time(_ column: String, _ symbol: String, _ period: DatePeriod) -> String {
        switch symbol {
        case "=":
            arguments += [period.start.databaseValue, period.end.databaseValue]
            return "(\(column) >= ? AND \(column) < ?)"
        case "<", ">=":
            arguments.append(period.start.databaseValue)
            return "\(column) \(symbol) ?"
        default:
            arguments.append(period.end.databaseValue)
            return symbol == ">" ? "\(column) >= ?" : "\(column) < ?"
        }
    }

    private mutating func existence(_ key: String) -> String {
        if let builtIn = BuiltInKey(rawValue: key) { return "(\(builtIn.column) IS NOT NULL)" }
        arguments += [collection, filterKey(key).databaseValue]
        return "d.seq IN (SELECT document FROM attributes WHERE collection = ? AND key = ?)"
    }

    private mutating func operand(_ symbol: String, _ values: [DatabaseValue]) -> String {
        arguments += values
        if values.count == 1 { return "\(symbol) ?" }
        precondition(symbol == "=", "'\(symbol)' compares with one value, not with \(values.count)")
        return "IN (" + repeatElement("?", count: values.count).joined(separator: ",") + ")"
    }

    private static func binding(_ value: MetadataValue, kind: String) -> DatabaseValue? {
        switch (value, kind) {
        case (.string(let text), "s"): text.databaseValue
        case (.number(let number), "n"): number.databaseValue
        case (.bool(let flag), "b"): (flag ? 1 : 0).databaseValue
        default: nil
        }
    }
}

/// Keys that name a column of the document.
enum BuiltInKey: String {
    case source, title
    case documentID = "document_id"
    case mimeType = "mime_type"
    case createdAt = "created_at"
    case updatedAt = "updated_at"
    case bytes, pages

    var kind: String {
        switch self {
        case .source, .title, .documentID, .mimeType: "s"
        case .createdAt, .updatedAt, .bytes, .pages: "n"
        }
    }

    var isTime: Bool { self == .createdAt || self == .updatedAt }

    var column: String {
        switch self {
        case .source: "d.source"
        case .title: "d.title"
        case .documentID: "d.id"
        case .mimeType: "d.mime_type"
        // Stored in milliseconds.
        case .createdAt: "(d.created_at / 1000)"
        case .updatedAt: "(d.updated_at / 1000)"
        case .bytes: "d.byte_count"
        case .pages: "d.page_count"
        }
    }
}
