/// The JSON form: `type`, with `key` and `value` for a comparison, with `key` for `exists` and `is_null`, or with `filters` for `and`, `or` and `not`, which is that
/// none of them holds. A string is read in the command-line form. `eq` and `ne` with `null` ask whether the key has no value, or has one.
extension Filter: Codable {
    private enum Member: String, CodingKey {
        case type, key, value, filters, filter
    }

    private static let types = "eq, ne, lt, lte, gt, gte, in, nin, exists, is_null, and, or, not"

    package init(from decoder: any Decoder) throws {
        func fail(_ what: String) -> DecodingError {
            let place = decoder.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
            let filter = place.isEmpty ? "the filter" : "the filter at '\(place.drop { $0 == "." })'"
            return .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "\(filter): \(what)"))
        }
        // Every level adds two steps to the path: 'filters' and an index.
        guard decoder.codingPath.count < 2 * Self.depthMax + 8 else { throw fail("nested deeper than \(Self.depthMax) levels; flatten it") }
        if let short = try Self.shorthand(from: decoder) {
            self = short
            return
        }
        guard let members = try? decoder.container(keyedBy: Member.self) else {
            throw fail("must be an object such as {\"type\":\"eq\",\"key\":\"year\",\"value\":2024}")
        }
        guard let type = try? members.decode(String.self, forKey: .type) else { throw fail("'type' must be one of \(Self.types)") }

        if type == "and" || type == "or" || type == "not" {
            if type == "not", let filter = try members.decodeIfPresent(Filter.self, forKey: .filter) {
                self = .not(filter)
                return
            }
            guard members.contains(.filters) else { throw fail("'\(type)' needs 'filters', a list of filters") }
            guard (try? members.nestedUnkeyedContainer(forKey: .filters)) != nil else { throw fail("'filters' must be a list of filters") }
            let filters = try members.decode([Filter].self, forKey: .filters)
            guard !filters.isEmpty else { throw fail("'filters' must not be empty") }
            self = type == "and" ? .and(filters) : type == "or" ? .or(filters) : .not(filters.count == 1 ? filters[0] : .or(filters))
            return
        }

        guard let key = try? members.decode(String.self, forKey: .key) else {
            throw fail("'\(type)' needs 'key', the name of a metadata value, as a string")
        }
        if type == "exists" || type == "is_null" {
            // "value": false turns it round, as some clients write it.
            let isWanted = (try? members.decode(Bool.self, forKey: .value)) ?? true
            self = (type == "exists") == isWanted ? .exists(key) : .not(.exists(key))
            return
        }
        guard members.contains(.value) else { throw fail("'\(type)' on '\(key)' needs 'value'") }
        if type == "eq" || type == "ne", try members.decodeNil(forKey: .value) {
            self = type == "ne" ? .exists(key) : .not(.exists(key))
            return
        }
        func single() throws -> MetadataValue {
            guard let value = try? members.decode(MetadataValue.self, forKey: .value) else {
                throw fail("the 'value' for '\(key)' must be a string, a number, true or false")
            }
            switch value {
            case .string, .number, .bool: return value
            case .null: throw fail("the 'value' for '\(key)' is null, which has no order; use 'exists' or 'is_null'")
            case .strings, .numbers:
                throw fail("the 'value' for '\(key)' is a list; '\(type)' takes one value, 'in' and 'nin' take lists")
            }
        }
        func list() throws -> [MetadataValue] {
            guard let values = try? members.decode([MetadataValue].self, forKey: .value) else {
                throw fail("the 'value' for '\(key)' must be a list of strings, numbers, true or false, because the type is '\(type)'")
            }
            for value in values {
                switch value {
                case .string, .number, .bool: break
                case .null: throw fail("the 'value' for '\(key)' has null in its list; use 'is_null' beside it")
                case .strings, .numbers: throw fail("the 'value' for '\(key)' is a list of lists; use one flat list")
                }
            }
            return values
        }
        switch type {
        case "eq": self = .eq(key, try single())
        case "ne": self = .ne(key, try single())
        case "lt": self = .lt(key, try single())
        case "lte": self = .lte(key, try single())
        case "gt": self = .gt(key, try single())
        case "gte": self = .gte(key, try single())
        case "in": self = .isIn(key, try list())
        case "nin": self = .notIn(key, try list())
        default: throw fail("'\(type.prefix(40))' is not a type; use one of \(Self.types)")
        }
        do throws(DocumentStoreError) {
            try validate()
        } catch {
            guard case .invalidFilter(let reason) = error else { throw error }
            throw fail(reason)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        func encode(_ type: String, _ key: String, _ value: some Encodable) throws {
            try members.encode(type, forKey: .type)
            try members.encode(key, forKey: .key)
            try members.encode(value, forKey: .value)
        }
        switch self {
        case .eq(let key, let value): try encode("eq", key, value)
        case .ne(let key, let value): try encode("ne", key, value)
        case .lt(let key, let value): try encode("lt", key, value)
        case .lte(let key, let value): try encode("lte", key, value)
        case .gt(let key, let value): try encode("gt", key, value)
        case .gte(let key, let value): try encode("gte", key, value)
        case .isIn(let key, let values): try encode("in", key, values)
        case .notIn(let key, let values): try encode("nin", key, values)
        case .exists(let key):
            try members.encode("exists", forKey: .type)
            try members.encode(key, forKey: .key)
        case .not(let filter):
            try members.encode("not", forKey: .type)
            try members.encode([filter], forKey: .filters)
        case .and(let filters):
            try members.encode("and", forKey: .type)
            try members.encode(filters, forKey: .filters)
        case .or(let filters):
            try members.encode("or", forKey: .type)
            try members.encode(filters, forKey: .filters)
        }
    }
}
