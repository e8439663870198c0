/// JSON as it was written (RFC 8259): members keep their order, numbers their digits.
///
/// Read in one pass over bytes; what nests deeper than `deepest` is not read, so no input exhausts the stack.
enum JSONText {
    case object([(key: String, value: JSONText)])
    case array([JSONText])
    case text(String)
    /// A number as its characters.
    case digits(String)
    case bool(Bool)
    case null

    static let deepest = 200

    /// Nil when the text is not one JSON value.
    static func parse(_ text: some StringProtocol) -> JSONText? {
        var reader = Reader(bytes: Array(text.utf8))
        reader.skipBlanks()
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skipBlanks()
        return reader.isAtEnd ? value : nil
    }

    var string: String? { if case .text(let text) = self { text } else { nil } }
    var number: String? { if case .digits(let digits) = self { digits } else { nil } }
    var items: [JSONText]? { if case .array(let items) = self { items } else { nil } }
    var members: [(key: String, value: JSONText)]? { if case .object(let members) = self { members } else { nil } }
    var isContainer: Bool {
        switch self {
        case .object, .array: true
        default: false
        }
    }

    /// The first member of a name.
    subscript(_ key: String) -> JSONText? { members?.first { $0.key == key }?.value }

    /// As one line of JSON.
    var line: String {
        var output = ""
        write(to: &output, indent: nil, depth: 0)
        return output
    }

    /// Laid out over lines, two blanks a level.
    var pretty: String {
        var output = ""
        write(to: &output, indent: 2, depth: 0)
        return output
    }

    private func write(to output: inout String, indent: Int?, depth: Int) {
        func newLine(_ depth: Int) {
            guard let indent else { return }
            output += "\n" + String(repeating: " ", count: indent * depth)
        }
        switch self {
        case .object(let members):
            if members.isEmpty {
                output += "{}"
                return
            }
            output += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { output += indent == nil ? ", " : "," }
                newLine(depth + 1)
                Self.quote(member.key, into: &output)
                output += ": "
                member.value.write(to: &output, indent: indent, depth: depth + 1)
            }
            newLine(depth)
            output += "}"
        case .array(let items):
            if items.isEmpty {
                output += "[]"
                return
            }
            output += "["
            for (index, item) in items.enumerated() {
                if index > 0 { output += indent == nil ? ", " : "," }
                newLine(depth + 1)
                item.write(to: &output, indent: indent, depth: depth + 1)
            }
            newLine(depth)
            output += "]"
        case .text(let text): Self.quote(text, into: &output)
        case .digits(let digits): output += digits
        case .bool(let value): output += value ? "true" : "false"
        case .null: output += "null"
        }
    }

    private static func quote(_ text: String, into output: inout String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }

    private struct Reader {
        let bytes: [UInt8]
        var index = 0

        var isAtEnd: Bool { index == bytes.count }

        mutating func skipBlanks() {
            while index < bytes.count, bytes[index] == 0x20 || bytes[index] == 0x0A || bytes[index] == 0x0D || bytes[index] == 0x09 {
                index += 1
            }
        }

        mutating func take(_ byte: UInt8) -> Bool {
            guard index < bytes.count, bytes[index] == byte else { return false }
            index += 1
            return true
        }

        mutating func take(_ word: StaticString) -> Bool {
            let end = index + word.utf8CodeUnitCount
            let isThere = end <= bytes.count && word.withUTF8Buffer { $0.elementsEqual(bytes[index..<end]) }
            if isThere { index = end }
            return isThere
        }

        mutating func value(depth: Int) -> JSONText? {
            guard index < bytes.count, depth <= JSONText.deepest else { return nil }
            switch bytes[index] {
            case 0x7B: return object(depth: depth)
            case 0x5B: return array(depth: depth)
            case 0x22: return string().map { .text($0) }
            case 0x74: return take("true") ? .bool(true) : nil
            case 0x66: return take("false") ? .bool(false) : nil
            case 0x6E: return take("null") ? .null : nil
            default: return number()
            }
        }

        private mutating func object(depth: Int) -> JSONText? {
            index += 1
            var members: [(key: String, value: JSONText)] = []
            skipBlanks()
            if take(0x7D) { return .object(members) }
            while true {
                skipBlanks()
                guard index < bytes.count, bytes[index] == 0x22, let key = string() else { return nil }
                skipBlanks()
                guard take(0x3A) else { return nil }
                skipBlanks()
                guard let value = value(depth: depth + 1) else { return nil }
                members.append((key, value))
                skipBlanks()
                if take(0x2C) { continue }
                return take(0x7D) ? .object(members) : nil
            }
        }

        private mutating func array(depth: Int) -> JSONText? {
            index += 1
            var items: [JSONText] = []
            skipBlanks()
            if take(0x5D) { return .array(items) }
            while true {
                skipBlanks()
                guard let value = value(depth: depth + 1) else { return nil }
                items.append(value)
                skipBlanks()
                if take(0x2C) { continue }
                return take(0x5D) ? .array(items) : nil
            }
        }

        private mutating func number() -> JSONText? {
            let start = index
            _ = take(0x2D)
            func digits(_ reader: inout Reader) -> Bool {
                let first = reader.index
                while reader.index < reader.bytes.count, (0x30...0x39).contains(reader.bytes[reader.index]) { reader.index += 1 }
                return reader.index > first
            }
            guard digits(&self) else { return nil }
            if take(0x2E) { guard digits(&self) else { return nil } }
            if take(0x65) || take(0x45) {
                if !take(0x2B) { _ = take(0x2D) }
                guard digits(&self) else { return nil }
            }
            return .digits(String(decoding: bytes[start..<index], as: UTF8.self))
        }

        private mutating func string() -> String? {
            index += 1
            var start = index
            var output: [UInt8] = []
            while index < bytes.count {
                switch bytes[index] {
                case 0x22:
                    defer { index += 1 }
                    if output.isEmpty { return String(decoding: bytes[start..<index], as: UTF8.self) }
                    output += bytes[start..<index]
                    return String(decoding: output, as: UTF8.self)
                case 0x5C:
                    output += bytes[start..<index]
                    index += 1
                    guard index < bytes.count else { return nil }
                    let escape = bytes[index]
                    index += 1
                    switch escape {
                    case 0x22, 0x5C, 0x2F: output.append(escape)
                    case 0x62: output.append(0x08)
                    case 0x66: output.append(0x0C)
                    case 0x6E: output.append(0x0A)
                    case 0x72: output.append(0x0D)
                    case 0x74: output.append(0x09)
                    case 0x75:
                        guard let scalar = unicode() else { return nil }
                        output += Array(String(scalar).utf8)
                    default: return nil
                    }
                    start = index
                case 0..<0x20 where bytes[index] != 0x09: return nil
                default: index += 1
                }
            }
            return nil
        }

        /// The character of `\uXXXX`, or of two of them that are a pair of surrogates.
        private mutating func unicode() -> Character? {
            guard let first = unit() else { return nil }
            if (0xD800...0xDBFF).contains(first) {
                let place = index
                if index + 1 < bytes.count, bytes[index] == 0x5C, bytes[index + 1] == 0x75 {
                    index += 2
                    if let second = unit(), (0xDC00...0xDFFF).contains(second),
                        let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
                    {
                        return Character(scalar)
                    }
                }
                index = place
                return "\u{FFFD}"
            }
            return Character(Unicode.Scalar(first) ?? "\u{FFFD}")
        }

        private mutating func unit() -> UInt32? {
            guard index + 4 <= bytes.count else { return nil }
            var value: UInt32 = 0
            for byte in bytes[index..<index + 4] {
                switch byte {
                case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
                case 0x41...0x46: value = value << 4 | UInt32(byte - 0x37)
                case 0x61...0x66: value = value << 4 | UInt32(byte - 0x57)
                default: return nil
                }
            }
            index += 4
            return value
        }
    }
}
