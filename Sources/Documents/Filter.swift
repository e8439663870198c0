/// A condition on documents, in the shape OpenAI's vector stores use.
///
/// JSON: `{"type":"eq","key":"year","value":2024}`, `{"type":"in","key":"lang","value":["en","de"]}`, `{"type":"and","filters":[...]}`,
/// `{"type":"exists","key":"lang"}`, `{"type":"not","filters":[...]}`; or the command-line form as a string.
/// Keys name metadata; the built-in keys are `source`, `title`, `document_id`, `mime_type`, `created_at`, `updated_at` (whole Unix seconds),
/// `bytes`, `pages`, and hide metadata of the same name.
/// Comparing with a missing key is false (so `ne` and `nin` are true for a missing key), and so is comparing a number with a string where a key has both; a key that
/// has no value of the type that it is compared with in the whole collection is a mistake, which is told (`DocumentStore.checkTypes`). A list-valued key matches when
/// any member does. `null`, an empty list and a missing key are the same.
/// `created_at` and `updated_at` may be compared with a date, and the values of other keys are compared as times where both are dates: see `DatePeriod`.
/// Strings are equal and in order by their UTF-8 bytes; keys are equal when they look the same (canonical equivalence). `and` of nothing is true, `or` of nothing is false.
package indirect enum Filter: Hashable, Sendable {
    case eq(String, MetadataValue)
    case ne(String, MetadataValue)
    case lt(String, MetadataValue)
    case lte(String, MetadataValue)
    case gt(String, MetadataValue)
    case gte(String, MetadataValue)
    case isIn(String, [MetadataValue])
    case notIn(String, [MetadataValue])
    /// The document has a value under the key.
    case exists(String)
    case not(Filter)
    case and([Filter])
    case or([Filter])
}

extension Filter {
    /// Bounds that keep a stranger's filter cheap: nesting, comparisons, and members of all lists together.
    package static let depthMax = 32
    package static let comparisonCountMax = 256
    package static let memberCountMax = 10_000

    /// Checks the bounds and the types of the values.
    ///
    /// - Throws: `.invalidFilter`, naming the key.
    package func validate() throws(DocumentStoreError) {
        var comparisons = 0
        var members = 0
        try validate(depth: 1, &comparisons, &members)
    }

    private func validate(depth: Int, _ comparisons: inout Int, _ members: inout Int) throws(DocumentStoreError) {
        guard depth <= Self.depthMax else { throw .invalidFilter("it is nested deeper than \(Self.depthMax) levels; flatten it") }
        switch self {
        case .and(let filters), .or(let filters):
            guard filters.count <= Self.comparisonCountMax else { throw Self.tooManyComparisons }
            for filter in filters { try filter.validate(depth: depth + 1, &comparisons, &members) }
            return
        case .not(let filter): return try filter.validate(depth: depth + 1, &comparisons, &members)
        case .exists(let key):
            guard !key.utf8.contains(0) else { throw .invalidFilter("the key '\(key.prefix(100))' contains a NUL character") }
        case .eq(let key, let value), .ne(let key, let value):
            try Self.validate(key: key, value, isOrdered: false)
        case .lt(let key, let value), .lte(let key, let value), .gt(let key, let value), .gte(let key, let value):
            try Self.validate(key: key, value, isOrdered: true)
        case .isIn(let key, let values), .notIn(let key, let values):
            members += values.count
            guard members <= Self.memberCountMax else {
                throw .invalidFilter("its lists have more than \(Self.memberCountMax) members together")
            }
            for value in values { try Self.validate(key: key, value, isOrdered: false) }
        }
        comparisons += 1
        guard comparisons <= Self.comparisonCountMax else { throw Self.tooManyComparisons }
    }

    private static var tooManyComparisons: DocumentStoreError {
        .invalidFilter("it has more than \(comparisonCountMax) comparisons; use 'in' with a list")
    }

    private static func validate(key: String, _ value: MetadataValue, isOrdered: Bool) throws(DocumentStoreError) {
        let shown = "'\(key.prefix(100))'"
        guard !key.utf8.contains(0) else { throw .invalidFilter("the key \(shown) contains a NUL character") }
        switch value {
        case .string(let text):
            guard !text.utf8.contains(0) else { throw .invalidFilter("the value of \(shown) contains a NUL character") }
        case .number(let number):
            guard number.isFinite else { throw .invalidFilter("the value of \(shown) is not a finite number") }
        case .bool:
            guard !isOrdered else { throw .invalidFilter("\(shown): true and false have no order; compare them with 'eq' or 'ne'") }
        case .null: throw .invalidFilter("\(shown) is compared with null; ask whether it exists")
        case .strings, .numbers:
            throw .invalidFilter("\(shown) is compared with a list; use 'in' or 'nin' for lists")
        }
    }
}

/// The command-line form; `Filter.parse` reads it back.
extension Filter: CustomStringConvertible {
    package var description: String {
        switch self {
        case .eq(let key, let value): "\(Self.word(key)) = \(Self.literal(value))"
        case .ne(let key, let value): "\(Self.word(key)) != \(Self.literal(value))"
        case .lt(let key, let value): "\(Self.word(key)) < \(Self.literal(value))"
        case .lte(let key, let value): "\(Self.word(key)) <= \(Self.literal(value))"
        case .gt(let key, let value): "\(Self.word(key)) > \(Self.literal(value))"
        case .gte(let key, let value): "\(Self.word(key)) >= \(Self.literal(value))"
        case .isIn(let key, let values): "\(Self.word(key)) in (\(values.map(Self.literal).joined(separator: ", ")))"
        case .notIn(let key, let values): "\(Self.word(key)) not in (\(values.map(Self.literal).joined(separator: ", ")))"
        case .exists(let key): "\(Self.word(key)) exists"
        case .not(let filter): "not (\(filter))"
        case .and(let filters): "(" + filters.map(\.description).joined(separator: " and ") + ")"
        case .or(let filters): "(" + filters.map(\.description).joined(separator: " or ") + ")"
        }
    }

    /// A key bare where it cannot be mistaken for anything else, otherwise quoted.
    private static func word(_ key: String) -> String {
        let isPlain =
            !key.isEmpty
            && key.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"),
                    UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
        return isPlain && !["and", "or", "in", "not"].contains(key.lowercased()) ? key : quoted(key)
    }

    private static func literal(_ value: MetadataValue) -> String {
        switch value {
        case .string(let text): quoted(text)
        case .number(let number): "\(number)"
        case .bool(let flag): "\(flag)"
        case .null: "null"
        case .numbers(let numbers): "\(numbers)"
        case .strings(let texts): "[\(texts.map(quoted).joined(separator: ", "))]"
        }
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
