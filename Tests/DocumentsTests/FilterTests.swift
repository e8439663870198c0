import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

// MARK: - The oracle

/// The doc comment of `Filter`, in plain Swift: what SQL must agree with.
private func matches(_ filter: Filter, _ document: DocumentRecord) -> Bool {
    func values(_ key: String) -> [MetadataValue] {
        switch key {
        case "source": [.string(document.source)]
        case "title": document.title.map { [.string($0)] } ?? []
        case "document_id": [.string(document.id.rawValue)]
        case "mime_type": [.string(document.mimeType)]
        case "created_at": [.number(document.createdAt.timeIntervalSince1970.rounded(.down))]
        case "updated_at": [.number(document.updatedAt.timeIntervalSince1970.rounded(.down))]
        case "bytes": [.number(Double(document.byteCount))]
        case "pages": document.pageCount.map { [.number(Double($0))] } ?? []
        default:
            switch document.metadata[key] {
            case .none: []
            case .strings(let texts): texts.map { .string($0) }
            case .numbers(let numbers): numbers.map { .number($0) }
            case .null: []
            case .some(let value): [value]
            }
        }
    }
    /// Negative, zero or positive; nil where two values cannot be compared.
    func order(_ left: MetadataValue, _ right: MetadataValue) -> Int? {
        switch (left, right) {
        case (.string(let left), .string(let right)):
            left.utf8.elementsEqual(right.utf8) ? 0 : left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
        case (.number(let left), .number(let right)): left == right ? 0 : left < right ? -1 : 1
        case (.bool(let left), .bool(let right)): left == right ? 0 : 1
        default: nil
        }
    }
    func any(_ key: String, _ value: MetadataValue, _ test: (Int) -> Bool) -> Bool {
        values(key).contains { order($0, value).map(test) ?? false }
    }
    switch filter {
    case .eq(let key, let value): return any(key, value) { $0 == 0 }
    case .ne(let key, let value): return !any(key, value) { $0 == 0 }
    case .lt(let key, let value): return any(key, value) { $0 < 0 }
    case .lte(let key, let value): return any(key, value) { $0 <= 0 }
    case .gt(let key, let value): return any(key, value) { $0 > 0 }
    case .gte(let key, let value): return any(key, value) { $0 >= 0 }
    case .isIn(let key, let values): return values.contains { any(key, $0) { $0 == 0 } }
    case .notIn(let key, let values): return !values.contains { any(key, $0) { $0 == 0 } }
    case .exists(let key): return !values(key).isEmpty
    case .not(let filter): return !matches(filter, document)
    case .and(let filters): return filters.allSatisfy { matches($0, document) }
    case .or(let filters): return filters.contains { matches($0, document) }
    }
}

private let oddKeys = [
    "year", "lang", "flag", "", " ", "a.b", "$", "$.year", "\"", "'", "\\", "a\"b", "x' OR '1'='1", "); DROP TABLE documents; --", "?1",
    ":key", "é", "e\u{301}",
    "日本", "key\nline", "[0]", "%", "title", "pages", "source",
]
private let oddStrings = [
    "", "en", "de", "EN", "1", "2024", "true", "é", "e\u{301}", "'; DELETE FROM chunks; --", "%", "_", "\"", "\\", "null", "日本", "z\n",
]
private let oddNumbers: [Double] = [
    0, -0.0, 1, -1, 0.1, 0.1 + 0.2, 0.3, 2024, 1e300, -1e300, Double.leastNonzeroMagnitude, 9_007_199_254_740_992, 1_700_000_000,
    Double.greatestFiniteMagnitude,
]

private struct RandomFilters {
    var generator: SeededGenerator
    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func scalar() -> MetadataValue {
        switch Int.random(in: 0..<5, using: &generator) {
        case 0, 1: .string(oddStrings.randomElement(using: &generator)!)
        case 2, 3: .number(oddNumbers.randomElement(using: &generator)!)
        default: .bool(Bool.random(using: &generator))
        }
    }

    mutating func metadata() -> Metadata {
        var metadata: Metadata = [:]
        for _ in 0..<Int.random(in: 0...6, using: &generator) {
            let key =
                Bool.random(using: &generator)
                ? oddKeys[Int.random(in: 0..<3, using: &generator)] : oddKeys.randomElement(using: &generator)!
            metadata[key] =
                Int.random(in: 0..<3, using: &generator) == 0
                ? .strings((0..<Int.random(in: 0...3, using: &generator)).map { _ in oddStrings.randomElement(using: &generator)! })
                : scalar()
        }
        return metadata
    }

    mutating func filter(depth: Int = 0, createdAt: Double = 0, isStrict: Bool = false) -> Filter {
        if depth < 4, Int.random(in: 0..<3, using: &generator) == 0 {
            let filters = (0..<Int.random(in: (isStrict ? 2 : 0)...3, using: &generator)).map { _ in
                filter(depth: depth + 1, createdAt: createdAt, isStrict: isStrict)
            }
            return Bool.random(using: &generator) ? .and(filters) : .or(filters)
        }
        let keys = oddKeys + ["bytes", "mime_type", "created_at", "updated_at", "document_id"]
        let key = Bool.random(using: &generator) ? keys[Int.random(in: 0..<3, using: &generator)] : keys.randomElement(using: &generator)!
        var value = scalar()
        if key.hasSuffix("_at"), Bool.random(using: &generator) {
            value = .number(createdAt + Double(Int.random(in: -1...1, using: &generator)))
        }
        if key == "bytes", Bool.random(using: &generator) { value = .number(Double(Int.random(in: 0...3, using: &generator))) }
        switch Int.random(in: 0..<10, using: &generator) {
        case 8: return .exists(key)
        case 9: return .not(depth < 4 ? filter(depth: depth + 1, createdAt: createdAt, isStrict: isStrict) : .exists(key))
        case 0: return .eq(key, value)
        case 1: return .ne(key, value)
        case 2: return .isIn(key, (0..<Int.random(in: 0...4, using: &generator)).map { _ in scalar() })
        case 3: return .notIn(key, (0..<Int.random(in: 0...4, using: &generator)).map { _ in scalar() })
        case let operation:
            if case .bool = value { value = .string("m") }
            return operation == 4
                ? .lt(key, value) : operation == 5 ? .lte(key, value) : operation == 6 ? .gt(key, value) : .gte(key, value)
        }
    }
}

// MARK: - Tests

struct FilterSearchTests {
    let folder = Folder()

    @Test(arguments: [31, 32, 33, 34, 35] as [UInt64])
    func `SQL and plain Swift agree on random filters`(seed: UInt64) throws {
        var random = RandomFilters(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let other = try store.createCollection(name: "other").id
        for index in 0..<60 {
            let parts = (0..<Int.random(in: 0...3, using: &random.generator)).map { _ in "x" }
            let title = Bool.random(using: &random.generator) ? oddStrings.randomElement(using: &random.generator)! : nil
            let pages = index % 3 == 0 ? [PageSpan(number: 1, span: TextSpan(start: 0, end: parts.count))] : []
            let metadata = random.metadata()
            try store.put(
                draft(
                    id, source: index < oddStrings.count && index > 0 ? oddStrings[index] : "/\(index)", title: title, parts: parts,
                    metadata: metadata, pages: pages))
            try store.put(draft(other, source: "/\(index)", metadata: metadata))
        }
        let documents = try store.documents(in: id, limit: 1000)
        #expect(documents.count == 60)
        let chunks = Dictionary(uniqueKeysWithValues: try documents.map { ($0.id, try store.chunks(of: $0.id).map(\.id)) })
        let createdAt = documents[30].createdAt.timeIntervalSince1970.rounded(.down)
        var matched = 0
        var refused = 0
        for round in 0..<400 {
            let filter = random.filter(createdAt: createdAt)
            // A comparison with a type that a key never has is told, not answered.
            if case .invalidFilter = failure(of: { _ = try store.documents(in: id, filter: filter, limit: 1) }) {
                refused += 1
                continue
            }
            let expected = documents.filter { matches(filter, $0) }
            matched += expected.count
            #expect(try store.documents(in: id, filter: filter, limit: 1000) == expected, "seed \(seed), round \(round): \(filter)")
            #expect(
                try store.chunkIDs(in: id, matching: filter) == expected.flatMap { chunks[$0.id]! }.sorted(),
                "seed \(seed), round \(round): \(filter)")
        }
        #expect(refused > 0 && refused < 300)
        #expect(matched > 400 && matched < 400 * 60, "the filters match all or nothing, so they prove nothing")
        #expect(try store.verify() == [])
    }

    @Test func `the documented examples hold`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        func put(_ source: String, _ metadata: Metadata) throws { try store.put(draft(id, source: source, metadata: metadata)) }
        try put("number", ["year": .number(2024)])
        try put("string", ["year": .string("2024")])
        try put("list", ["year": .strings(["2023", "2024"])])
        try put("true", ["year": .bool(true)])
        try put("none", [:])
        func found(_ filter: Filter) throws -> Set<String> { Set(try store.documents(in: id, filter: filter).map(\.source)) }
        #expect(try found(.eq("year", .number(2024))) == ["number"])
        #expect(try found(.eq("year", .string("2024"))) == ["string", "list"])
        #expect(try found(.ne("year", .string("2024"))) == ["number", "true", "none"])
        #expect(try found(.gte("year", .number(0))) == ["number"])
        #expect(try found(.eq("year", .bool(true))) == ["true"])
        #expect(try found(.eq("year", .number(1))) == [])
        #expect(try found(.lt("year", .string("2024"))) == ["list"])
        #expect(try found(.isIn("year", [.number(2024), .string("2023"), .bool(true)])) == ["number", "list", "true"])
        #expect(try found(.notIn("year", [.number(2024), .string("2023")])) == ["string", "true", "none"])
        #expect(try found(.and([])).count == 5 && found(.or([])).isEmpty)
        #expect(try found(.isIn("year", [])).isEmpty && found(.notIn("year", [])).count == 5)
        #expect(try found(.eq("source", .string("list"))) == ["list"])
        #expect(try found(.ne("title", .string("x"))).count == 5)
    }

    @Test func `absence, lists of numbers and dates are conditions`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        func put(_ source: String, _ metadata: Metadata) throws { try store.put(draft(id, source: source, metadata: metadata)) }
        try put("one", ["lang": .string("en"), "sizes": .numbers([1, 2.5]), "date": .string("2026-01-15")])
        try put("two", ["lang": .null, "sizes": .numbers([]), "date": .string("2026-01-31T23:30:00Z")])
        try put("three", ["lang": .string("de"), "date": .string("2026-02-01T00:15:00+01:00"), "year": .number(2025)])
        try put("four", ["date": .string("someday"), "tags": .strings([])])
        func found(_ text: String) throws -> Set<String> { Set(try store.documents(in: id, filter: Filter.parse(text)).map(\.source)) }
        #expect(try found("lang is null") == ["two", "four"])
        #expect(try found("lang exists") == ["one", "three"])
        #expect(try found("lang = null or tags exists") == ["two", "four"])
        #expect(try found("not lang = en") == ["two", "three", "four"])
        #expect(try found("sizes = 2.5") == ["one"] && found("sizes exists") == ["one"] && found("sizes > 2") == ["one"])
        #expect(try found("date > 2026-01-15") == ["two", "three", "four"])
        #expect(try found("date >= 2026-01-15 and date <= 2026-01-31") == ["one", "two", "three"])
        #expect(try found("date < 2026-01-31T23:20Z") == ["one", "three"])
        #expect(try found("date = 2026-01-15") == ["one"])
        #expect(try store.document(source: "two", in: id)?.metadata["lang"] == nil)
        #expect(try found("created_at >= 2020-01-01").count == 4 && found("created_at < 2020").isEmpty)
        #expect(try found("pages is null").count + found("pages exists").count == 4)
        #expect(try store.verify() == [])
    }

    @Test(arguments: [
        ("created_at = soon", ["'created_at'", "2026-01-31"]), ("created_at >= 2026-02-30", ["'created_at'"]),
        ("year = '2025'", ["'year'", "without quotes"]),
        ("year = 'x' and n = 1", ["'year'", "numbers"]), ("lang = 5", ["'lang'", "quotes"]), ("lang > 5 or lang exists", ["'lang'"]),
        ("not (lang != true)", ["'lang'"]), ("source = 5", ["'source'", "quotes"]), ("bytes = 'many'", ["'bytes'"]),
        ("draft = 'true'", ["'draft'"]),
        ("year in ('a', 'b')", ["'year'"]),
    ])
    func `a comparison with a type that a key never has is told`(text: String, words: [String]) throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a", metadata: ["year": .number(2025), "lang": .string("en"), "draft": .bool(true)]))
        let filter = try Filter.parse(text)
        for body in [
            { _ = try store.chunkIDs(in: id, matching: filter) }, { _ = try store.documents(in: id, filter: filter) },
            { _ = try store.delete(.filter(filter), in: id) },
        ] as [() throws -> Void] {
            guard case .invalidFilter(let reason) = failure(of: body) else {
                Issue.record("taken: \(text)")
                continue
            }
            for word in words { #expect(reason.contains(word), "\(reason)") }
        }
        // A key that no document has, and a list of which one member fits, are no mistakes.
        #expect(try store.chunkIDs(in: id, matching: .eq("other", .number(1))).isEmpty)
        #expect(!(try store.chunkIDs(in: id, matching: .isIn("year", [.string("x"), .number(2025)])).isEmpty))
    }

    @Test(arguments: [
        ("2026", 1_767_225_600, 1_798_761_600), ("2026-02", 1_769_904_000, 1_772_323_200), ("2024-02-29", 1_709_164_800, 1_709_251_200),
        ("2026-12", 1_796_083_200, 1_798_761_600), ("1970-01-01T00:00:01Z", 1, 2), ("1970-01-01 01:00+01:00", 0, 60),
        ("1970-01-01T00:00:00.250-00:30", 1800, 1801), ("1969-12-31", -86_400, 0),
    ])
    func `a date is a stretch of time`(text: String, start: Double, end: Double) throws {
        let period = try #require(DatePeriod(text))
        #expect(period.start == start && period.end == end)
    }

    @Test(arguments: [
        "", "soon", "26-01-01", "2026-13", "2026-02-30", "2026-01-32", "2026-1-1", "2026-01-01T25:00Z", "2026-01-01x", "0000",
    ])
    func `what is no date has none`(text: String) { #expect(DatePeriod(text) == nil) }

    @Test func `an injection is only a value`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a", metadata: ["k": .string("v")]))
        for text in [
            "x' OR '1'='1", "'; DROP TABLE documents; --", "\") OR 1=1 --", "?", "k' UNION SELECT 1 --", "$.k", "v\" OR \"1\"=\"1",
        ] {
            for filter in [
                Filter.eq(text, .string("v")), .eq("k", .string(text)), .isIn("k", [.string(text)]), .gt("k", .string(text)),
                .eq("source", .string(text)),
            ] {
                let expected =
                    try #require(try store.documents(in: id).first).metadata["k"] == .string("v")
                    && matches(filter, try store.documents(in: id)[0])
                #expect(try store.chunkIDs(in: id, matching: filter).isEmpty == !expected, "\(filter)")
            }
            #expect(try store.delete(.filter(.eq("k", .string(text))), in: id).documents.isEmpty)
        }
        #expect(try store.documents(in: id).count == 1)
    }

    @Test func `bounds keep filters cheap`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a", metadata: ["k": .number(1)]))
        func nested(_ depth: Int) -> Filter {
            (1..<depth).reduce(Filter.eq("k", .number(1))) { filter, level in level % 2 == 0 ? .and([filter]) : .or([filter]) }
        }
        #expect(try store.chunkIDs(in: id, matching: nested(Filter.depthMax)).count == 2)
        let wide = Filter.and((0..<256).map { .ne("k\($0)", .number(1)) })
        #expect(try store.chunkIDs(in: id, matching: wide).count == 2)
        let long = Filter.isIn("k", (0..<10_000).map { .number(Double($0)) })
        #expect(try store.chunkIDs(in: id, matching: long).count == 2)
        let bad: [Filter] = [
            nested(Filter.depthMax + 1), .or((0..<257).map { .eq("k", .number(Double($0))) }),
            .isIn("k", (0...10_000).map { .number(Double($0)) }),
            .and((0..<257).map { _ in .and([]) }), .eq("k", .number(.nan)), .eq("k", .number(.infinity)), .eq("k", .strings(["a"])),
            .isIn("k", [.strings([])]),
            .lt("k", .bool(true)), .eq("k", .string("a\0b")), .eq("k\0", .string("a")),
        ]
        for (index, filter) in bad.enumerated() {
            guard case .invalidFilter = failure(of: { _ = try store.chunkIDs(in: id, matching: filter) }) else {
                Issue.record("bad filter \(index) was taken")
                continue
            }
            #expect(throws: DocumentStoreError.self) { _ = try store.documents(in: id, filter: filter) }
            #expect(throws: DocumentStoreError.self) { _ = try store.delete(.filter(filter), in: id) }
        }
        #expect(try store.documents(in: id).count == 1)
    }
}

struct FilterFormTests {
    @Test(arguments: [41, 42] as [UInt64])
    func `JSON and command line read back what they wrote`(seed: UInt64) throws {
        var random = RandomFilters(seed: seed)
        for round in 0..<500 {
            let filter = random.filter(isStrict: true)
            #expect(
                try JSONDecoder().decode(Filter.self, from: JSONEncoder().encode(filter)) == filter,
                "seed \(seed), round \(round): \(filter)")
            #expect(try Filter.parse(filter.description) == filter, "seed \(seed), round \(round): \(filter)")
        }
    }

    @Test(arguments: [
        (#"{"type":"eq","key":"year","value":2024}"#, Filter.eq("year", .number(2024))),
        (#"{"type":"in","key":"lang","value":["en","de"]}"#, .isIn("lang", [.string("en"), .string("de")])),
        (#"{"type":"nin","key":"n","value":[1,true,"x"]}"#, .notIn("n", [.number(1), .bool(true), .string("x")])),
        (
            #"{"type":"and","filters":[{"type":"gt","key":"a","value":"b"},{"type":"or","filters":[{"type":"ne","key":"c","value":false}]}]}"#,
            .and([.gt("a", .string("b")), .or([.ne("c", .bool(false))])])
        ),
        (#"{"type":"exists","key":"lang"}"#, .exists("lang")),
        (#"{"type":"not","filters":[{"type":"eq","key":"lang","value":"en"}]}"#, .not(.eq("lang", .string("en")))),
    ])
    func `the wire form is OpenAI's`(text: String, filter: Filter) throws {
        #expect(try JSONDecoder().decode(Filter.self, from: Data(text.utf8)) == filter)
        #expect(try JSONDecoder().decode(Filter.self, from: JSONEncoder().encode(filter)) == filter)
        let written = try JSONSerialization.jsonObject(with: JSONEncoder().encode(filter)) as? NSDictionary
        #expect(written == (try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary))
    }

    @Test(arguments: [
        (#"{"type":"equals","key":"year","value":1}"#, ["'equals'", "eq, ne"]),
        (#"{"key":"year","value":1}"#, ["'type'"]),
        (#"{"type":"eq","value":1}"#, ["'eq'", "'key'"]),
        (#"{"type":"eq","key":"year"}"#, ["'year'", "'value'"]),
        (#"{"type":"eq","key":"year","value":{"a":1}}"#, ["'year'", "string, a number"]),
        (#"{"type":"lt","key":"year","value":null}"#, ["'year'", "exists"]),
        (#"{"type":"in","key":"year","value":[null]}"#, ["'year'", "is_null"]),
        (#"{"type":"eq","key":"year","value":[1,2]}"#, ["'year'", "'in'"]),
        (#"{"type":"eq","key":"year","value":["a"]}"#, ["'year'", "'in'"]),
        (#"{"type":"in","key":"year","value":"a"}"#, ["'year'", "list"]),
        (#"{"type":"in","key":"year","value":[["a"]]}"#, ["'year'", "flat"]),
        (#"{"type":"lt","key":"year","value":true}"#, ["'year'", "no order"]),
        (#"{"type":"and"}"#, ["'filters'"]),
        (#"{"type":"and","filters":[]}"#, ["'filters'", "empty"]),
        (#"{"type":"and","filters":{"type":"eq"}}"#, ["'filters'", "list"]),
        (#"{"type":"and","filters":[{"type":"eq","key":"a","value":1},{"type":"eq","key":"b"}]}"#, ["filters[1]", "'b'"]),
        (#"[1]"#, ["object"]),
        (#""year""#, ["'year'", "exists"]),
    ])
    func `a bad filter in JSON is refused by name`(text: String, words: [String]) throws {
        do {
            _ = try JSONDecoder().decode(Filter.self, from: Data(text.utf8))
            Issue.record("taken: \(text)")
        } catch DecodingError.dataCorrupted(let context) {
            for word in words { #expect(context.debugDescription.contains(word), "\(context.debugDescription)") }
        }
    }

    @Test(arguments: [
        (#"{"type":"eq","key":"lang","value":null}"#, Filter.not(.exists("lang"))),
        (#"{"type":"ne","key":"lang","value":null}"#, .exists("lang")),
        (#"{"type":"is_null","key":"lang"}"#, .not(.exists("lang"))),
        (#"{"type":"exists","key":"lang","value":false}"#, .not(.exists("lang"))),
        (#"{"type":"not","filter":{"type":"exists","key":"a"}}"#, .not(.exists("a"))),
        (#"{"type":"not","filters":[{"type":"exists","key":"a"},{"type":"exists","key":"b"}]}"#, .not(.or([.exists("a"), .exists("b")]))),
        (#""year >= 2024 and not lang = de""#, .and([.gte("year", .number(2024)), .not(.eq("lang", .string("de")))])),
        (#"{"type":"and","filters":["a exists",{"type":"eq","key":"b","value":1}]}"#, .and([.exists("a"), .eq("b", .number(1))])),
    ])
    func `other ways to write a filter in JSON`(text: String, filter: Filter) throws {
        #expect(try JSONDecoder().decode(Filter.self, from: Data(text.utf8)) == filter)
    }

    @Test func `a deep filter in JSON is refused and does not overflow`() throws {
        for depth in [40, 200, 400] {
            let text =
                String(repeating: #"{"type":"and","filters":["#, count: depth) + #"{"type":"eq","key":"a","value":1}"#
                + String(repeating: "]}", count: depth)
            #expect(throws: (any Error).self) { try JSONDecoder().decode(Filter.self, from: Data(text.utf8)) }
        }
    }

    @Test(
        arguments: [
            ("year=2024", Filter.eq("year", .number(2024))),
            ("year == 2024", .eq("year", .number(2024))),
            ("year>=2024 and lang in (en,de)", .and([.gte("year", .number(2024)), .isIn("lang", [.string("en"), .string("de")])])),
            ("a = 1 or b != x AND c < -1.5e3", .or([.eq("a", .number(1)), .and([.ne("b", .string("x")), .lt("c", .number(-1500))])])),
            ("(a = 1 or b = 2) and c <= 3", .and([.or([.eq("a", .number(1)), .eq("b", .number(2))]), .lte("c", .number(3))])),
            ("lang NOT IN ('en', \"d e\")", .notIn("lang", [.string("en"), .string("d e")])),
            ("lang in ()", .isIn("lang", [])),
            ("draft = true", .eq("draft", .bool(true))),
            ("draft = 'true'", .eq("draft", .string("true"))),
            ("\"and\" > \"or\"", .gt("and", .string("or"))),
            ("'it''s' = 1", .eq("it's", .number(1))),
            ("lang = null", .not(.exists("lang"))), ("lang != NULL", .exists("lang")), ("lang is null", .not(.exists("lang"))),
            ("lang is not null", .exists("lang")), ("lang exists and year = 1", .and([.exists("lang"), .eq("year", .number(1))])),
            ("not lang = en", .not(.eq("lang", .string("en")))), ("not not a exists", .not(.not(.exists("a")))),
            ("not (a = 1 or b = 2) and c exists", .and([.not(.or([.eq("a", .number(1)), .eq("b", .number(2))])), .exists("c")])),
            ("lang = 'null'", .eq("lang", .string("null"))), ("\"is\" is null", .not(.exists("is"))), ("exists exists", .exists("exists")),
            ("lang is en", nil), ("not", nil), ("lang is not", nil), ("a in (null)", .isIn("a", [.string("null")])),
            (#"'it\'s' = "a\\b\"c""#, .eq("it's", .string("a\\b\"c"))),
            ("source = /notes/2024-05.md", .eq("source", .string("/notes/2024-05.md"))),
            ("date = 2024-05-01", .eq("date", .string("2024-05-01"))),
            ("version = 0x10", .eq("version", .string("0x10"))),
            ("n = nan", .eq("n", .string("nan"))),
            ("n = +5", .eq("n", .number(5))),
            ("((((a=1))))", .eq("a", .number(1))),
            ("größe > 5 and 色 = 赤", .and([.gt("größe", .number(5)), .eq("色", .string("赤"))])),
            ("e = \"x\u{301}\"", .eq("e", .string("x\u{301}"))),
            ("", nil), ("a", nil), ("a =", nil), ("= 1", nil), ("a = 1 b = 2", nil), ("a = 1 and", nil), ("a in en", nil),
            ("a in (en", nil), ("a in (en,)", nil),
            ("(a = 1", nil), ("a = 1)", nil), ("a === 1", nil), ("a <> 1", nil), ("a not 1", nil), ("and = 1", nil), ("a = \"open", nil),
            ("a = 'x\\", nil),
            ("a < true", nil), ("a = (1)", nil), ("not (a = 1)", .not(.eq("a", .number(1)))),
        ] as [(String, Filter?)])
    func `the command line is read as it is written`(text: String, filter: Filter?) {
        if let filter {
            #expect((try? Filter.parse(text)) == filter)
        } else {
            let error = failure { _ = try Filter.parse(text) }
            guard case .invalidFilter(let reason)? = error else {
                Issue.record("taken: \(text)")
                return
            }
            #expect(!reason.isEmpty)
        }
    }

    @Test func `deep parentheses are refused and do not overflow`() {
        let text = String(repeating: "(", count: 100_000) + "a=1" + String(repeating: ")", count: 100_000)
        #expect(failure { _ = try Filter.parse(text) }?.description.contains("nested") == true)
    }

    @Test(arguments: [51, 52] as [UInt64])
    func `any text is read or refused, never more`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = [
            "a", "=", "!=", "<", ">=", "and", "or", "not", "in", "(", ")", ",", "\"", "'", "\\", " ", "1", "-", "é", "\u{301}", "true",
            "\n", "\0",
        ]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0...14, using: &generator)).map { _ in pieces.randomElement(using: &generator)! }.joined()
            if let filter = try? Filter.parse(text) {
                #expect(filter.description.isEmpty == false && (try? Filter.parse(filter.description)) != nil, "\(text)")
            }
        }
    }
}
