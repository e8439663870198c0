/// A typed metadata value: string, number, Boolean, or a list of strings or of numbers. Plain JSON on the wire.
///
/// `null` says that there is no value: a document is stored without it.
package enum MetadataValue: Hashable, Sendable, Codable {
    case string(String)
    case number(Double)
    case bool(Bool)
    case strings([String])
    case numbers([Double])
    case null

    /// Text is equal to the same bytes alone, as in the database: what a filter finds must not depend on whether a value was compared here or there.
    package static func == (left: MetadataValue, right: MetadataValue) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): ExactText(left) == ExactText(right)
        case (.strings(let left), .strings(let right)): left.map(ExactText.init) == right.map(ExactText.init)
        case (.number(let left), .number(let right)): left == right
        case (.numbers(let left), .numbers(let right)): left == right
        case (.bool(let left), .bool(let right)): left == right
        case (.null, .null): true
        case (.string, _), (.strings, _), (.number, _), (.numbers, _), (.bool, _), (.null, _): false
        }
    }

    package func hash(into hasher: inout Hasher) {
        switch self {
        case .string(let value): hasher.combine(ExactText(value))
        case .strings(let value): hasher.combine(value.map(ExactText.init))
        case .number(let value): hasher.combine(value)
        case .numbers(let value): hasher.combine(value)
        case .bool(let value): hasher.combine(value)
        case .null: hasher.combine(0)
        }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        // Strings first: most values are, and a wrong guess costs a thrown error.
        if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode([String].self) {
            self = .strings(value)
        } else if let value = try? container.decode([Double].self) {
            self = .numbers(value)
        } else if container.decodeNil() {
            self = .null
        } else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "a metadata value must be a string, a number, true, false, null, or a list of strings or of numbers"))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .string(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .bool(let value): try container.encode(value)
        case .strings(let value): try container.encode(value)
        case .numbers(let value): try container.encode(value)
        case .null: try container.encodeNil()
        }
    }
}

/// A document's metadata by key.
package typealias Metadata = [String: MetadataValue]
