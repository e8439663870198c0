import Documents
import Execution
import HTTPTypes
import Hummingbird
import Ingestion
import Retrieval
import Serving

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder
import class Foundation.JSONSerialization
import class Foundation.NSNumber

/// A collection on the wire.
private struct CollectionBody: Encodable {
    var name: String
    var documents: Int
    var chunks: Int
    var textBytes: Int
    var createdAt: Double
    var settings: CollectionSettings
    /// Why it cannot be opened; absent when it can.
    var unusable: String?
    /// Absent in lists.
    var languages: LanguageReport?

    private enum CodingKeys: String, CodingKey {
        case name, documents, chunks, settings, unusable, languages
        case languageAdvice = "language_advice"
        case textBytes = "text_bytes"
        case createdAt = "created_at"
    }

    init(_ record: CollectionRecord, _ counts: CollectionCounts, unusable: String? = nil, languages: LanguageReport? = nil) {
        self.unusable = unusable
        name = record.name
        documents = counts.documents
        chunks = counts.chunks
        textBytes = counts.textBytes
        createdAt = record.createdAt.timeIntervalSince1970
        settings = record.settings
        self.languages = languages
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(documents, forKey: .documents)
        try container.encode(chunks, forKey: .chunks)
        try container.encode(textBytes, forKey: .textBytes)
        try container.encode(createdAt, forKey: .createdAt)
        try container.encode(SettingsCoding.wire(settings), forKey: .settings)
        try container.encodeIfPresent(unusable, forKey: .unusable)
        try container.encodeIfPresent(languages?.languages, forKey: .languages)
        try container.encodeIfPresent(languages?.advice, forKey: .languageAdvice)
    }
}

extension Frontend {
    /// `GET /v1/collections`.
    func listCollections(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let unusable = await services.ingesting.unusableCollections(scope: scope(of: context))
        let scope = scope(of: context)
        return JSON.response(
            [
                "collections": try await blocking.run { [services] in
                    try services.documents.collections(scope: scope).map {
                        CollectionBody($0, try services.documents.counts(of: $0.id, scope: scope), unusable: unusable[$0.name])
                    }
                }
            ])
    }

    /// `GET /v1/collections/{name}`.
    func getCollection(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        let unusable = await services.ingesting.unusableCollections(scope: scope(of: context))
        let scope = scope(of: context)
        return JSON.response(
            try await blocking.run { [services] in
                guard let record = try services.documents.collection(named: name, scope: scope) else {
                    throw DocumentStoreError.unknownCollection(name)
                }
                return CollectionBody(
                    record, try services.documents.counts(of: record.id, scope: scope), unusable: unusable[name],
                    languages: services.searching.languages(of: name, scope: scope))
            })
    }

    private struct NewCollection: Decodable, Sendable {
        var name: String
        var settings: [String: SettingsCoding.Value]?
    }

    /// `POST /v1/collections` with `{"name": ..., "settings": {...}}`.
    func createCollection(_ request: Request, _ context: Context) async throws -> Response {
        let body = try await decode(NewCollection.self, from: request)
        let settings = try SettingsCoding.settings(body.settings ?? [:])
        let scope = scope(of: context)
        if try await blocking.run({ [services] in try services.documents.collection(named: body.name, scope: scope) }) != nil {
            throw APIError(
                .conflict, code: "collection_exists", param: "name",
                "collection '\(body.name)' exists already; delete it first, or choose another name")
        }
        let record = try await services.ingesting.createCollection(body.name, settings: settings, scope: scope)
        return JSON.response(CollectionBody(record, .init(documents: 0, chunks: 0, textBytes: 0)), status: .created)
    }

    /// `DELETE /v1/collections/{name}`.
    func deleteCollection(_ request: Request, _ context: Context) async throws -> Response {
        _ = try Query(request, known: [])
        let name = try Self.parameter("name", context)
        return JSON.response(try await services.ingesting.deleteCollection(name, scope: scope(of: context)))
    }
}

/// Collection settings in snake case, whatever names the type has for itself in the database.
enum SettingsCoding {
    enum Value: Codable, Sendable, Equatable {
        case null
        case bool(Bool)
        case number(Double)
        case string(String)
        case other

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? container.decode(Double.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .string(value)
            } else {
                self = .other
            }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .null, .other: try container.encodeNil()
            case .bool(let value): try container.encode(value)
            case .number(let value): if let whole = Int(exactly: value) { try container.encode(whole) } else { try container.encode(value) }
            case .string(let value): try container.encode(value)
            }
        }
    }

    static func wire(_ settings: CollectionSettings) -> [String: Value] {
        Dictionary(native(settings).map { (snakeCase($0.key), $0.value) }) { $1 }
    }

    /// The defaults with the given members on top.
    static func settings(_ given: [String: Value]) throws(APIError) -> CollectionSettings {
        var members = native(CollectionSettings())
        let names = Dictionary(members.keys.map { (snakeCase($0), $0) }) { $1 }
        for (name, value) in given {
            guard let own = names[name] else { throw .unknownMember(name, known: Set(names.keys)) }
            switch value {
            // A number that no Double holds (1e999) is among these, and so are lists and objects: never taken for "not given".
            case .other: throw .invalid("settings.\(name)", "setting '\(name)' is not a number or a text that can be read")
            case .number(let number) where abs(number) > 1e15:
                throw .invalid("settings.\(name)", "setting '\(name)' is \(number), which is out of range")
            default: break
            }
            members[own] = value
        }
        do {
            return try JSONDecoder().decode(CollectionSettings.self, from: JSON.data(members))
        } catch let error as DecodingError {
            var mapped = APIError(error)
            mapped.message = "in 'settings': \(mapped.message)"
            mapped.param = "settings"
            throw mapped
        } catch {
            throw .invalid("settings", "'settings' cannot be read: \(error)")
        }
    }

    private static func native(_ settings: CollectionSettings) -> [String: Value] {
        do {
            return try JSONDecoder().decode([String: Value].self, from: JSON.data(settings))
        } catch {
            preconditionFailure("collection settings are not a JSON object: \(error)")
        }
    }

    static func snakeCase(_ name: String) -> String {
        var text = ""
        for character in name {
            if character.isUppercase { text += "_" + character.lowercased() } else { text.append(character) }
        }
        return text
    }
}
