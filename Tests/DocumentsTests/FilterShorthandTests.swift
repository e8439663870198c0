import Foundation
import Testing

@testable import Documents

@Suite struct FilterShorthandTests {
    private static func decode(_ json: String) throws -> Filter { try JSONDecoder().decode(Filter.self, from: Data(json.utf8)) }

    @Test(
        arguments: [
            (#"{"year": 2025}"#, .eq("year", .number(2025))),
            (#"{"draft": false}"#, .eq("draft", .bool(false))),
            (#"{"lang": ["en", "de"]}"#, .isIn("lang", [.string("en"), .string("de")])),
            (#"{"year": [2024, 2025]}"#, .isIn("year", [.number(2024), .number(2025)])),
            (#"{"lang": "en", "year": 2025}"#, .and([.eq("lang", .string("en")), .eq("year", .number(2025))])),
            (#"{"year": {"gte": 2024, "lt": 2026}}"#, .and([.gte("year", .number(2024)), .lt("year", .number(2026))])),
            (#"{"year": null}"#, .not(.exists("year"))),
            (#"{"year": {"$gt": 2024}}"#, .gt("year", .number(2024))),
            (#"{"lang": {"nin": ["en"]}}"#, .notIn("lang", [.string("en")])),
            (#""year >= 2024 and lang in (en, de)""#, .and([.gte("year", .number(2024)), .isIn("lang", [.string("en"), .string("de")])])),
            (#"{"type": "report"}"#, .eq("type", .string("report"))),
            (#"{"type": "report", "year": 2025}"#, .and([.eq("type", .string("report")), .eq("year", .number(2025))])),
            (
                #"{"type": "and", "filters": [{"year": 2025}, "lang = en"]}"#,
                .and([.eq("year", .number(2025)), .eq("lang", .string("en"))])
            ),
            (#"{"type": "eq", "key": "year", "value": 2025}"#, .eq("year", .number(2025))),
        ] as [(String, Filter)])
    func `short forms mean what the long form says`(json: String, filter: Filter) throws {
        #expect(try Self.decode(json) == filter)
        // And what they mean can be written and read back in both other forms.
        #expect(try Self.decode(String(decoding: JSONEncoder().encode(filter), as: UTF8.self)) == filter)
        #expect(try Filter.parse("\(filter)") == filter)
    }

    @Test(arguments: [
        "{}", "7", "true", "[]", #"{"year": {}}"#, #"{"year": {"above": 3}}"#, #"{"year": {"gte": [1]}}"#,
        #"{"year": {"in": 3}}"#, #"{"draft": {"gt": true}}"#, #""year >""#, #""""#, #"{"type": "eq"}"#, #"{"type": "and"}"#,
        #"{"type": "eqq", "key": "year", "value": 1}"#, #"{"key": "year", "value": 1}"#, #"{"nested": {"owner": {"name": "ann"}}}"#,
        #"{"tags": [["a"]]}"#,
    ])
    func `what means nothing is refused with a reason`(json: String) {
        #expect {
            try Self.decode(json)
        } throws: { error in
            guard case DecodingError.dataCorrupted(let context) = error else { return false }
            return context.debugDescription.hasPrefix("the filter")
        }
    }

    @Test func `a filter in a query string is JSON or the command-line form`() throws {
        #expect(try Filter.read("year = 2025") == .eq("year", .number(2025)))
        #expect(try Filter.read(#"  {"year": 2025}"#) == .eq("year", .number(2025)))
        for bad in ["", "year", #"{"year": }"#, "{"] {
            #expect {
                try Filter.read(bad)
            } throws: { error in
                guard case DocumentStoreError.invalidFilter = error else { return false }
                return true
            }
        }
    }
}
