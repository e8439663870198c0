import Documents

/// A value that writes itself as JSON: the very bytes that `JSONEncoder` makes of it, in a tenth of the time. For what a busy server sends most.
///
/// Members come in the order of their names, absent ones not at all; tests compare each such value with what the encoder says.
protocol JSONWritable: Encodable {
    func write(to json: inout JSONWriter)
}

/// JSON text under way.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    /// Whether the next member or element is the first of its object or list.
    private var isFirst = true

    init(capacity: Int = 4096) { bytes.reserveCapacity(capacity) }

    // MARK: Objects and lists

    mutating func object(_ members: (inout JSONWriter) -> Void) { enclose("{", "}", members) }

    mutating func list<Elements: Sequence>(_ elements: Elements, _ write: (Elements.Element, inout JSONWriter) -> Void) {
        enclose("[", "]") { json in
            for element in elements {
                json.comma()
                write(element, &json)
            }
        }
    }

    private mutating func enclose(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ inside: (inout JSONWriter) -> Void) {
        bytes.append(UInt8(ascii: open))
        isFirst = true
        inside(&self)
        bytes.append(UInt8(ascii: close))
        isFirst = false
    }

    private mutating func comma() {
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
    }

    /// Begins a member; its value is to follow.
    ///
    /// - Parameter name: Without anything that has to be escaped.
    mutating func member(_ name: StaticString) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    mutating func member(_ name: StaticString, _ value: String) {
        member(name)
        string(value)
    }

    mutating func member(_ name: StaticString, _ value: Int) {
        member(name)
        number(value)
    }

    mutating func member(_ name: StaticString, ifPresent value: String?) { if let value { member(name, value) } }

    mutating func member(_ name: StaticString, ifPresent value: Int?) { if let value { member(name, value) } }

    mutating func member(_ name: StaticString, _ value: Float) {
        member(name)
        number(value)
    }

    /// A member whose name is not known beforehand.
    mutating func member(named name: String) {
        comma()
        string(name)
        bytes.append(UInt8(ascii: ":"))
    }

    // MARK: Values

    mutating func literal(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func number(_ value: Int) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let rest = value.magnitude
        var unit: UInt = 1
        while rest / unit >= 10 { unit *= 10 }
        while unit > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / unit % 10))
            unit /= 10
        }
    }

    mutating func number(_ value: Float) { number(described: value.description, isFinite: value.isFinite) }

    mutating func number(_ value: Double) { number(described: value.description, isFinite: value.isFinite) }

    /// The shortest text that reads back as the number; what JSON has no number for is a string.
    private mutating func number(described text: String, isFinite: Bool) {
        guard isFinite else { return string(text) }
        bytes.append(contentsOf: text.hasSuffix(".0") ? text.utf8.dropLast(2) : text.utf8[...])
    }

    mutating func string(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { utf8 in
            var start = 0
            for (index, byte) in utf8.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
                bytes.append(contentsOf: utf8[start..<index])
                escape(byte)
                start = index + 1
            }
            bytes.append(contentsOf: utf8[start...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0x22, 0x5C: bytes.append(byte)
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes += [UInt8(ascii: "u"), UInt8(ascii: "0"), UInt8(ascii: "0"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }

    mutating func span(_ span: TextSpan) {
        object { json in
            json.member("end", span.end)
            json.member("start", span.start)
        }
    }

    mutating func metadata(_ metadata: Metadata) {
        object { json in
            for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                json.member(named: key)
                switch value {
                case .string(let text): json.string(text)
                case .number(let number): json.number(number)
                case .bool(let flag): json.literal(flag ? "true" : "false")
                case .strings(let texts): json.list(texts) { $1.string($0) }
                case .numbers(let numbers): json.list(numbers) { $1.number($0) }
                case .null: json.literal("null")
                }
            }
        }
    }
}
