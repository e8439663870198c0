import Foundation

/// Metadata from its JSON. Most of it is a few plain values, for which a decoder takes more time than the rest of the row.
func storedMetadata(_ text: String) throws -> Metadata {
    if text == "{}" { return [:] }
    return try MetadataScanner.scan(text) ?? JSONDecoder().decode(Metadata.self, from: Data(text.utf8))
}

/// Reads metadata as this program writes it: one object of plain values, without white space.
///
/// What it does not know (escapes, white space, a key that comes twice, anything damaged) it leaves to the decoder.
struct MetadataScanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var cursor = 0

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// - Returns: Nil for what only the decoder can read.
    static func scan(_ text: String) -> Metadata? {
        var text = text
        return text.withUTF8 { bytes in
            var scanner = MetadataScanner(bytes)
            return scanner.object()
        }
    }

    private mutating func object() -> Metadata? {
        guard take("{") else { return nil }
        var metadata: Metadata = [:]
        repeat {
            guard let key = string(), take(":"), let value = value() else { return nil }
            guard metadata.updateValue(value, forKey: key) == nil else { return nil }
        } while take(",")
        return take("}") && cursor == bytes.count ? metadata : nil
    }

    private mutating func value() -> MetadataValue? {
        switch peek {
        case UInt8(ascii: "\""): string().map(MetadataValue.string)
        case UInt8(ascii: "t"): literal("true") ? .bool(true) : nil
        case UInt8(ascii: "f"): literal("false") ? .bool(false) : nil
        case UInt8(ascii: "["): list()
        default: number().map(MetadataValue.number)
        }
    }

    private mutating func list() -> MetadataValue? {
        cursor += 1
        if peek == UInt8(ascii: "\"") {
            var texts: [String] = []
            repeat {
                guard let text = string() else { return nil }
                texts.append(text)
            } while take(",")
            return take("]") ? .strings(texts) : nil
        }
        var numbers: [Double] = []
        repeat {
            guard let number = number() else { return nil }
            numbers.append(number)
        } while take(",")
        return take("]") ? .numbers(numbers) : nil
    }

    private var peek: UInt8 { cursor < bytes.count ? bytes[cursor] : 0 }

    private mutating func take(_ sign: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: sign) else { return false }
        cursor += 1
        return true
    }

    private mutating func literal(_ text: StaticString) -> Bool {
        let end = cursor + text.utf8CodeUnitCount
        guard end <= bytes.count,
            bytes[cursor..<end].elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        else { return false }
        cursor = end
        return true
    }

    private mutating func string() -> String? {
        guard take("\"") else { return nil }
        let start = cursor
        while cursor < bytes.count, bytes[cursor] != UInt8(ascii: "\"") {
            if bytes[cursor] == UInt8(ascii: "\\") || bytes[cursor] < 0x20 { return nil }
            cursor += 1
        }
        let text = String(decoding: bytes[start..<cursor], as: UTF8.self)
        return take("\"") ? text : nil
    }

    /// A whole number of up to fifteen digits, which a `Double` holds exactly; others are left to the decoder.
    private mutating func number() -> Double? {
        let isNegative = take("-")
        let first = cursor
        var value = 0.0
        while (0x30...0x39).contains(peek) {
            value = value * 10 + Double(peek - 0x30)
            cursor += 1
        }
        let count = cursor - first
        guard (1...15).contains(count), count == 1 || bytes[first] != UInt8(ascii: "0"),
            peek == UInt8(ascii: ",") || peek == UInt8(ascii: "}") || peek == UInt8(ascii: "]")
        else { return nil }
        return isNegative ? -value : value
    }
}
