/// Identifies a collection: a set of documents with one embedding model and one configuration.
package struct CollectionID: RawRepresentable, Hashable, Sendable, Codable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// Identifies a document for users: `doc_` and 26 characters that sort by time of creation. Stays the same when a document is replaced by a newer version.
package struct DocumentID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    package var description: String { rawValue }

    package init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(String.self) }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// Identifies a chunk: the row number shared with every index. Users see `chunk_<number>`.
package struct ChunkID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (left: ChunkID, right: ChunkID) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "chunk_\(rawValue)" }

    /// Reads `chunk_42` (or `42`); nil for anything else.
    package init?(_ text: String) {
        guard let number = Int64(text.hasPrefix("chunk_") ? String(text.dropFirst(6)) : text) else { return nil }
        rawValue = number
    }
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let value = ChunkID(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "'\(text)' is not a chunk id such as 'chunk_42'"))
        }
        self = value
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Identifies a vector space, see `VectorSpace`.
package struct SpaceID: RawRepresentable, Hashable, Sendable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
}

/// Identifies an ingest job: `job_` and 26 characters that sort by time.
package struct JobID: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }
    package var description: String { rawValue }
    package init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(String.self) }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// A half-open range of UTF-8 byte offsets into a document's extracted text: `{"start": 10, "end": 25}` in JSON.
package struct TextSpan: Hashable, Sendable, Codable {
    package var start: Int
    package var end: Int
    package init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }
    package init(_ range: Range<Int>) { self.init(start: range.lowerBound, end: range.upperBound) }
    package var range: Range<Int> { start..<end }
    package var count: Int { end - start }
}
