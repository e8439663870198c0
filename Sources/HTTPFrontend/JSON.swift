import HTTPTypes
import Hummingbird
import NIOCore
import Retrieval

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import class Foundation.JSONSerialization
import class Foundation.NSNumber

/// Reading and writing JSON, with messages that name the member and what was expected.
enum JSON {
    static func data(_ value: some Encodable) -> Data {
        let encoder = JSONEncoder()
        // Sorted, so that the same value is the same text each time.
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            return try encoder.encode(value)
        } catch {
            preconditionFailure("\(type(of: value)) cannot be written as JSON: \(error)")
        }
    }

    static func string(_ value: some Encodable) -> String { String(decoding: data(value), as: UTF8.self) }

    static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        var headers = headers
        headers[.contentType] = "application/json; charset=utf-8"
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: data(value))))
    }

    /// Decodes one object and refuses members that the type does not know: a misspelt option must not be silently ignored.
    static func decode<Value: Decodable & Sendable>(_ type: Value.Type, from data: Data) throws(APIError) -> Value {
        do {
            return try JSONDecoder().decode(Strict<Value>.self, from: data).value
        } catch let error as APIError {
            throw error
        } catch let error as DecodingError {
            throw misfit(type, error, in: data) ?? APIError(error)
        } catch {
            throw APIError(.badRequest, code: "invalid_json", "the body is not valid JSON: \(error)")
        }
    }

    /// A number that does not fit its member (1.5 for a whole number) is reported by the decoder as if the text were not JSON at all.
    /// So the number is found without which the decoder has no such complaint.
    private static func misfit<Value: Decodable & Sendable>(_ type: Value.Type, _ error: DecodingError, in data: Data) -> APIError? {
        func isUnspecific(_ error: any Error) -> Bool {
            if case DecodingError.dataCorrupted(let context) = error { return context.codingPath.isEmpty }
            return false
        }
        guard isUnspecific(error), let members = try? JSONSerialization.jsonObject(with: data) as? [String: Any] else { return nil }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard let number = value as? NSNumber, let rest = try? JSONSerialization.data(withJSONObject: members.filter { $0.key != name })
            else { continue }
            do {
                _ = try JSONDecoder().decode(Strict<Value>.self, from: rest)
            } catch let error where isUnspecific(error) {
                continue
            } catch {}
            return APIError(.badRequest, code: "invalid_value", param: name, "'\(name)' is \(number); use a whole number that fits")
        }
        return nil
    }

    private struct AnyKey: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Decodes a value after a look at its members' names.
    private struct Strict<Value: Decodable>: Decodable {
        var value: Value
        init(from decoder: any Decoder) throws {
            let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
            let known = MemberNames.of(Value.self)
            if let unknown = names.sorted().first(where: { !known.contains($0) }) {
                throw APIError.unknownMember(unknown, known: known)
            }
            value = try Value(from: decoder)
        }
    }
}

extension APIError {
    static func unknownMember(_ name: String, known: Set<String>) -> APIError {
        let hint =
            closest(to: name, in: known).map { "did you mean '\($0)'?" } ?? "known members: \(known.sorted().joined(separator: ", "))"
        return APIError(.badRequest, code: "unknown_member", param: name, "'\(name)' is not a member of this request; \(hint)")
    }

    /// The name within an edit distance of two, for "did you mean".
    static func closest(to name: String, in known: Set<String>) -> String? {
        func distance(_ a: [Character], _ b: [Character]) -> Int {
            var row = Array(0...b.count)
            for (i, x) in a.enumerated() {
                var diagonal = row[0]
                row[0] = i + 1
                for (j, y) in b.enumerated() {
                    let next = min(row[j + 1] + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
                    diagonal = row[j + 1]
                    row[j + 1] = next
                }
            }
            return row[b.count]
        }
        guard name.count <= 64 else { return nil }
        let ranked = known.map { (distance(Array(name), Array($0)), $0) }.sorted { $0 < $1 }
        guard let best = ranked.first, best.0 <= 2, best.0 < name.count else { return nil }
        return best.1
    }

    /// Names the member by its path (`documents[2].text`) and says what was expected there.
    init(_ error: DecodingError) {
        func path(_ keys: [any CodingKey]) -> String? {
            var text = ""
            for key in keys {
                if let index = key.intValue { text += "[\(index)]" } else { text += (text.isEmpty ? "" : ".") + key.stringValue }
            }
            return text.isEmpty ? nil : text
        }
        switch error {
        case .keyNotFound(let key, let context):
            let name = path(context.codingPath + [key]) ?? key.stringValue
            self.init(.badRequest, code: "missing_member", param: name, "'\(name)' is missing")
        case .valueNotFound(let type, let context):
            let name = path(context.codingPath)
            self.init(
                .badRequest, code: "invalid_type", param: name,
                "\(name.map { "'\($0)'" } ?? "the body") is null; expected \(Self.expectation(type))")
        case .typeMismatch(let type, let context):
            let name = path(context.codingPath)
            self.init(
                .badRequest, code: "invalid_type", param: name, "\(name.map { "'\($0)'" } ?? "the body") must be \(Self.expectation(type))")
        case .dataCorrupted(let context):
            guard let name = path(context.codingPath) else {
                self.init(.badRequest, code: "invalid_json", "the body is not valid JSON: expected one object such as {\"query\": \"...\"}")
                return
            }
            if let match = context.debugDescription.wholeMatch(of: /Cannot initialize (\w+) from invalid String value (.*)/) {
                let known = Self.choices[String(match.1)].map { "use \($0)" } ?? "that is not one of its values"
                self.init(.badRequest, code: "invalid_value", param: name, "'\(name)' is '\(match.2.prefix(60))'; \(known)")
            } else {
                self.init(
                    .badRequest, code: "invalid_value", param: name,
                    "'\(name)' has a value that is not allowed: \(context.debugDescription)")
            }
        @unknown default:
            self.init(.badRequest, code: "invalid_json", "the body cannot be read")
        }
    }

    /// What the enums in requests may be, for messages: the decoder names only the type.
    private static let choices = [
        "SearchMode": SearchMode.allCases.map(\.rawValue).joined(separator: ", "),
        "FusionMethod": FusionMethod.allCases.map(\.rawValue).joined(separator: ", "),
        "ChatRole": "system, user, assistant",
    ]

    private static func expectation(_ type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        default:
            if "\(type)".hasPrefix("Array") { "a list" } else { "an object" }
        }
    }
}
