import struct Foundation.Data
import class Foundation.JSONDecoder

/// Two short ways to write a filter in JSON, wherever a filter object may stand:
///
/// - a string in the command-line form: `"year >= 2024 and lang in (en, de)"`;
/// - an object of keys and values, all of which must hold: `{"year": 2025, "lang": ["en", "de"], "pages": {"gte": 10, "lt": 20}}`. A list means "one of these", `null`
///   that there is no value, an object holds comparisons (`eq`, `ne`, `lt`, `lte`, `gt`, `gte`, `in`, `nin`, also written with a `$`).
///
/// An object with a member `type` beside `key`, `value` or `filters` is the long form. A metadata key named `type` can be asked for alone (`{"type": "report"}`)
/// or in the other forms.
extension Filter {
    private struct Name: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
        init(_ name: String) { stringValue = name }
    }

    /// Names that the long form gives to its members.
    private static let longForm: Set<String> = ["key", "value", "filters", "filter"]
    private static let longFormTypes: Set<String> = [
        "eq", "ne", "lt", "lte", "gt", "gte", "in", "nin", "and", "or", "not", "exists", "is_null",
    ]

    /// Reads a short form.
    ///
    /// - Returns: Nil when the long form stands here.
    /// - Throws: `DecodingError.dataCorrupted` saying what is wrong with a short form.
    static func shorthand(from decoder: any Decoder) throws -> Filter? {
        func fail(_ what: String) -> DecodingError {
            .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "the filter: \(what)"))
        }
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            do throws(DocumentStoreError) {
                return try parse(text)
            } catch {
                if case .invalidFilter(let reason) = error { throw fail(reason) }
                throw error
            }
        }
        guard let members = try? decoder.container(keyedBy: Name.self) else { return nil }
        let names = members.allKeys.map(\.stringValue).sorted()
        guard !names.isEmpty, !names.contains(where: longForm.contains) else { return nil }
        // `{"type": "and"}` is an unfinished long form.
        if names == ["type"], let type = try? members.decode(String.self, forKey: Name("type")), longFormTypes.contains(type) { return nil }

        var filters: [Filter] = []
        for name in names {
            if let value = try? members.decode(MetadataValue.self, forKey: Name(name)) {
                switch value {
                case .strings(let values): filters.append(.isIn(name, values.map { .string($0) }))
                case .numbers(let values): filters.append(.isIn(name, values.map { .number($0) }))
                case .null: filters.append(.not(.exists(name)))
                case .string, .number, .bool: filters.append(.eq(name, value))
                }
            } else if let values = try? members.decode([MetadataValue].self, forKey: Name(name)) {
                filters.append(.isIn(name, values))
            } else if let comparisons = try? members.nestedContainer(keyedBy: Name.self, forKey: Name(name)) {
                let operators = comparisons.allKeys.map(\.stringValue).sorted()
                guard !operators.isEmpty else {
                    throw fail("'\(name.prefix(100))' is compared with an empty object; write {\"gte\": 10}, for example")
                }
                for each in operators {
                    func value() throws -> MetadataValue {
                        guard let value = try? comparisons.decode(MetadataValue.self, forKey: Name(each)) else {
                            throw fail("'\(name.prefix(100))': '\(each.prefix(20))' needs a string, a number, true or false")
                        }
                        return value
                    }
                    func list() throws -> [MetadataValue] {
                        guard let values = try? comparisons.decode([MetadataValue].self, forKey: Name(each)) else {
                            throw fail("'\(name.prefix(100))': '\(each.prefix(20))' needs a list")
                        }
                        return values
                    }
                    switch each.first == "$" ? String(each.dropFirst()) : each {
                    case "eq": filters.append(.eq(name, try value()))
                    case "ne": filters.append(.ne(name, try value()))
                    case "lt": filters.append(.lt(name, try value()))
                    case "lte": filters.append(.lte(name, try value()))
                    case "gt": filters.append(.gt(name, try value()))
                    case "gte": filters.append(.gte(name, try value()))
                    case "in": filters.append(.isIn(name, try list()))
                    case "nin": filters.append(.notIn(name, try list()))
                    default:
                        throw fail(
                            "'\(name.prefix(100))': '\(each.prefix(20))' is not a comparison; use eq, ne, lt, lte, gt, gte, in or nin")
                    }
                }
            } else {
                throw fail(
                    "'\(name.prefix(100))' must be a string, a number, true, false, a list of these, or an object such as {\"gte\": 10}")
            }
        }
        let filter = filters.count == 1 ? filters[0] : .and(filters)
        do throws(DocumentStoreError) {
            try filter.validate()
        } catch {
            if case .invalidFilter(let reason) = error { throw fail(reason) }
            throw error
        }
        return filter
    }

    /// Reads a filter given as text: JSON when it begins like an object, else the command-line form.
    ///
    /// - Throws: `.invalidFilter`.
    package static func read(_ text: String) throws(DocumentStoreError) -> Filter {
        guard text.first(where: { !$0.isWhitespace }) == "{" else { return try parse(text) }
        do {
            return try JSONDecoder().decode(Filter.self, from: Data(text.utf8))
        } catch let error as DocumentStoreError {
            throw error
        } catch DecodingError.dataCorrupted(let context)
            where !context.codingPath.isEmpty || context.debugDescription.hasPrefix("the filter")
        {
            throw .invalidFilter(context.debugDescription)
        } catch {
            throw .invalidFilter("it is neither JSON nor in the form 'year >= 2024 and lang in (en, de)'")
        }
    }
}
