import HTTPTypes
import Hummingbird
import NIOCore

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

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
        return Response(status: status, headers: headers, body: .init(byteBuffer: bytes(value)))
    }

    /// The same text, by the value's own hand where it has one.
    private static func bytes(_ value: some Encodable) -> ByteBuffer {
        guard let value = value as? any JSONWritable else { return ByteBuffer(bytes: data(value)) }
        var json = JSONWriter()
        value.write(to: &json)
        return ByteBuffer(bytes: json.bytes)
    }

    /// Decodes one object, refusing members that the body does not know.
    static func decode<Body: ObjectBody>(_ type: Body.Type, from data: Data) throws(APIError) -> Body {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as APIError {
            throw error
        } catch let error as DecodingError {
            throw APIError(error, in: data)
        } catch {
            throw APIError(.badRequest, code: "invalid_json", "the body is not valid JSON: \(error)")
        }
    }

    /// Lists and objects that may stand in each other.
    static let depthMax = 512

    /// How deep lists and objects stand in each other, as far as their brackets tell.
    static func depth(of data: Data) -> Int {
        var depth = 0
        var deepest = 0
        var isString = false
        var isEscaped = false
        for byte in data {
            switch byte {
            case _ where isEscaped: isEscaped = false
            case UInt8(ascii: "\\") where isString: isEscaped = true
            case UInt8(ascii: "\""): isString.toggle()
            case _ where isString: break
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
        return deepest
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

    /// `documents[2].text`; nil for the whole.
    static func path(_ keys: [any CodingKey]) -> String? {
        var text = ""
        for key in keys {
            if let index = key.intValue { text += "[\(index)]" } else { text += (text.isEmpty ? "" : ".") + key.stringValue }
        }
        return text.isEmpty ? nil : text
    }

    /// Names the member by its path and says what was expected there.
    ///
    /// - Parameters:
    ///   - data: What was decoded.
    ///   - whole: How messages call it.
    init(_ error: DecodingError, in data: Data, whole: String = "the body", example: String = "{\"query\": \"...\"}") {
        let path = Self.path
        switch error {
        case .keyNotFound(let key, let context):
            let name = path(context.codingPath + [key]) ?? key.stringValue
            self.init(.badRequest, code: "missing_member", param: name, "'\(name)' is missing")
        case .valueNotFound(let type, let context):
            let name = path(context.codingPath)
            self.init(
                .badRequest, code: "invalid_type", param: name,
                "\(name.map { "'\($0)'" } ?? whole) is null; expected \(Self.expectation(type))")
        case .typeMismatch(let type, let context):
            let name = path(context.codingPath)
            self.init(
                .badRequest, code: "invalid_type", param: name, "\(name.map { "'\($0)'" } ?? whole) must be \(Self.expectation(type))")
        case .dataCorrupted(let context):
            guard let name = path(context.codingPath) else {
                let depth = JSON.depth(of: data)
                self.init(
                    .badRequest, code: "invalid_json",
                    depth > JSON.depthMax
                        ? "\(whole) is nested \(depth) levels deep; flatten it, \(JSON.depthMax) are read"
                        : "\(whole) is not valid JSON: expected one object such as \(example)")
                return
            }
            self.init(
                .badRequest, code: "invalid_value", param: name,
                "'\(name)' has a value that is not allowed: \(context.debugDescription)")
        @unknown default:
            self.init(.badRequest, code: "invalid_json", "the body cannot be read")
        }
    }

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
