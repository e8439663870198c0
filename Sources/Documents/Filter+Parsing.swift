/// The command-line form of a filter.
///
///     filter     = all { "or" all }
///     all        = condition { "and" condition }
///     condition  = "(" filter ")" | "not" condition | key operator value | key [ "not" ] "in" "(" [ value { "," value } ] ")"
///                | key "exists" | key "is" [ "not" ] "null" | key ( "=" | "!=" ) "null"
///     operator   = "=" | "==" | "!=" | "<" | "<=" | ">" | ">="
///     key        = word | string            value = word | string | number | "true" | "false"
///
/// Strings stand in double or single quotes; a backslash takes the next character as it is, and a quote twice is one, as in SQL. A word is anything without spaces, quotes,
/// parentheses, commas and operators, so that `lang in (en, de)` and `source = notes/2024-05.md` need no quotes.
/// The words `and`, `or`, `not`, `in`, `true`, `false` count in any case; quoted they are plain strings.
extension Filter {
    /// Reads the command-line form, such as `year >= 2024 and lang in (en, de)`.
    ///
    /// - Throws: `.invalidFilter` with the place of the first mistake.
    package static func parse(_ text: String) throws(DocumentStoreError) -> Filter {
        guard text.utf8.count <= 1 << 20 else { throw .invalidFilter("it is longer than one mebibyte") }
        var parser = FilterParser(tokens: try FilterToken.scan(text))
        let filter = try parser.filter(depth: 1)
        if let token = parser.next { throw parser.failure("'and' or 'or' must stand before \(token.shown)") }
        try filter.validate()
        return filter
    }
}

private struct FilterToken {
    enum Kind: Equatable {
        case word(String)
        case string(String)
        case symbol(String)
    }
    var kind: Kind
    /// Counts characters from 1.
    var column: Int

    var shown: String {
        switch kind {
        case .word(let text): "'\(text.prefix(40))'"
        case .string(let text): "\"\(text.prefix(40))\""
        case .symbol(let text): "'\(text)'"
        }
    }

    func isWord(_ word: String) -> Bool {
        if case .word(let text) = kind { text.lowercased() == word } else { false }
    }

    var isOperator: Bool {
        if case .symbol(let symbol) = kind { symbol.allSatisfy { "=!<>".contains($0) } } else { false }
    }

    static func scan(_ text: String) throws(DocumentStoreError) -> [FilterToken] {
        // By Unicode scalar: a combining mark after a quote must not hide the quote.
        let scalars = Array(text.unicodeScalars)
        var tokens: [FilterToken] = []
        var index = 0
        while index < scalars.count {
            let start = index
            let scalar = scalars[index]
            if scalar.properties.isWhitespace {
                index += 1
            } else if scalar == "\"" || scalar == "'" {
                var value = String.UnicodeScalarView()
                index += 1
                while index < scalars.count, scalars[index] != scalar || index + 1 < scalars.count && scalars[index + 1] == scalar {
                    if scalars[index] == "\\" || scalars[index] == scalar { index += 1 }
                    guard index < scalars.count else { break }
                    value.append(scalars[index])
                    index += 1
                }
                guard index < scalars.count else { throw .invalidFilter("the quote at character \(start + 1) is not closed") }
                index += 1
                tokens.append(FilterToken(kind: .string(String(value)), column: start + 1))
            } else if "(),".unicodeScalars.contains(scalar) {
                index += 1
                tokens.append(FilterToken(kind: .symbol(String(Character(scalar))), column: start + 1))
            } else if "=!<>".unicodeScalars.contains(scalar) {
                while index < scalars.count, "=!<>".unicodeScalars.contains(scalars[index]) { index += 1 }
                tokens.append(FilterToken(kind: .symbol(string(scalars[start..<index])), column: start + 1))
            } else {
                while index < scalars.count, !scalars[index].properties.isWhitespace, !"\"'(),=!<>".unicodeScalars.contains(scalars[index])
                { index += 1 }
                tokens.append(FilterToken(kind: .word(string(scalars[start..<index])), column: start + 1))
            }
        }
        return tokens
    }

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars)
        return String(view)
    }
}

private struct FilterParser {
    let tokens: [FilterToken]
    var index = 0

    init(tokens: [FilterToken]) { self.tokens = tokens }

    var next: FilterToken? { index < tokens.count ? tokens[index] : nil }

    func failure(_ what: String) -> DocumentStoreError {
        .invalidFilter(next.map { "\(what), at character \($0.column)" } ?? "\(what), at its end")
    }

    mutating func filter(depth: Int) throws(DocumentStoreError) -> Filter {
        var filters = [try all(depth: depth)]
        while let token = next, token.isWord("or") {
            index += 1
            filters.append(try all(depth: depth))
        }
        return filters.count == 1 ? filters[0] : .or(filters)
    }

    private mutating func all(depth: Int) throws(DocumentStoreError) -> Filter {
        var filters = [try condition(depth: depth)]
        while let token = next, token.isWord("and") {
            index += 1
            filters.append(try condition(depth: depth))
        }
        return filters.count == 1 ? filters[0] : .and(filters)
    }

    private mutating func condition(depth: Int) throws(DocumentStoreError) -> Filter {
        if take("(") {
            guard depth <= Filter.depthMax else { throw failure("parentheses are nested deeper than \(Filter.depthMax) levels") }
            let filter = try filter(depth: depth + 1)
            guard take(")") else { throw failure("a ')' is missing") }
            return filter
        }
        if let token = next, token.isWord("not"), index + 1 < tokens.count, !tokens[index + 1].isOperator {
            guard depth <= Filter.depthMax else { throw failure("'not' is nested deeper than \(Filter.depthMax) levels") }
            index += 1
            return .not(try condition(depth: depth + 1))
        }
        let key: String
        switch next?.kind {
        case .word(let text) where !["and", "or", "in", "not"].contains(text.lowercased()): key = text
        case .string(let text): key = text
        default: throw failure("the name of a metadata value is missing; put it in quotes when it is 'and', 'or', 'in' or 'not'")
        }
        index += 1

        if let token = next, token.isWord("not") {
            index += 1
            guard let token = next, token.isWord("in") else { throw failure("'in' must follow 'not'") }
            index += 1
            return .notIn(key, try list(key))
        }
        if let token = next, token.isWord("in") {
            index += 1
            return .isIn(key, try list(key))
        }
        if let token = next, token.isWord("exists") {
            index += 1
            return .exists(key)
        }
        if let token = next, token.isWord("is") {
            index += 1
            let isNegated = next?.isWord("not") ?? false
            if isNegated { index += 1 }
            guard next?.isWord("null") ?? false else { throw failure("'null' or 'not null' must follow 'is'") }
            index += 1
            return isNegated ? .exists(key) : .not(.exists(key))
        }
        if case .symbol(let symbol) = next?.kind, ["=", "==", "!="].contains(symbol), index + 1 < tokens.count,
            tokens[index + 1].isWord("null")
        {
            index += 2
            return symbol == "!=" ? .exists(key) : .not(.exists(key))
        }
        guard case .symbol(let symbol) = next?.kind, let make = Self.operators[symbol] else {
            throw failure("'\(key)' must be followed by =, !=, <, <=, >, >=, 'in', 'not in', 'exists' or 'is null'")
        }
        index += 1
        return make(key, try value(key))
    }

    private static let operators: [String: @Sendable (String, MetadataValue) -> Filter] = [
        "=": { .eq($0, $1) }, "==": { .eq($0, $1) }, "!=": { .ne($0, $1) }, "<": { .lt($0, $1) }, "<=": { .lte($0, $1) },
        ">": { .gt($0, $1) },
        ">=": { .gte($0, $1) },
    ]

    private mutating func list(_ key: String) throws(DocumentStoreError) -> [MetadataValue] {
        guard take("(") else { throw failure("a list in parentheses must follow 'in'") }
        if take(")") { return [] }
        var values = [try value(key)]
        while take(",") { values.append(try value(key)) }
        guard take(")") else { throw failure("a ')' is missing after the list for '\(key)'") }
        return values
    }

    private mutating func value(_ key: String) throws(DocumentStoreError) -> MetadataValue {
        switch next?.kind {
        case .string(let text):
            index += 1
            return .string(text)
        case .word(let text) where text.lowercased() != "and" && text.lowercased() != "or":
            index += 1
            return switch text.lowercased() {
            case "true": .bool(true)
            case "false": .bool(false)
            default: Self.number(text).map { .number($0) } ?? .string(text)
            }
        default: throw failure("a value for '\(key)' is missing")
        }
    }

    /// A JSON number, with an optional sign; words such as `nan` and `0x10` stay strings.
    private static func number(_ text: String) -> Double? {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "+-.eE".utf8.contains($0) }),
            text.utf8.contains(where: { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = Double(text), number.isFinite
        else { return nil }
        return number
    }

    private mutating func take(_ symbol: String) -> Bool {
        guard next?.kind == .symbol(symbol) else { return false }
        index += 1
        return true
    }
}
