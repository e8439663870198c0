/// Picks members out of one line of JSON without building a tree: corpora of hundreds of megabytes are read at the speed of memory, almost.
///
/// It checks what it reads: a line that is cut or broken is reported with its place.
struct JSONScanner {
    struct Flaw: Error {
        /// Byte of the line, from 0.
        let offset: Int
        let reason: String
    }

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var depth = 0
    private static let depthMax = 64

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// The values of `names` in an object whose wanted members are strings or numbers; nil for a member that is absent or null. Other members may be anything.
    static func strings(_ names: [StaticString], in bytes: UnsafeRawBufferPointer) throws(Flaw) -> [String?] {
        var scanner = JSONScanner(bytes)
        var values = [String?](repeating: nil, count: names.count)
        try scanner.expect(UInt8(ascii: "{"))
        if try scanner.peek() == UInt8(ascii: "}") {
            scanner.position += 1
        } else {
            while true {
                let key = try scanner.rawString()
                try scanner.expect(UInt8(ascii: ":"))
                if let index = names.firstIndex(where: { scanner.equals(key, $0) }) {
                    switch try scanner.peek() {
                    case UInt8(ascii: "\""): values[index] = try scanner.string()
                    case UInt8(ascii: "n"): try scanner.skipValue()
                    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                        let start = scanner.position
                        try scanner.skipValue()
                        values[index] = String(decoding: bytes[start..<scanner.position], as: UTF8.self)
                    default: throw scanner.flaw("'\(names[index])' is not a string")
                    }
                } else {
                    try scanner.skipValue()
                }
                if try scanner.next() { break }
            }
        }
        scanner.skipSpace()
        guard scanner.position == bytes.count else { throw scanner.flaw("there is more after the object") }
        return values
    }

    private func flaw(_ reason: String) -> Flaw { Flaw(offset: position, reason: reason) }

    private mutating func skipSpace() {
        while position < bytes.count,
            bytes[position] == 0x20 || bytes[position] == 0x09 || bytes[position] == 0x0D || bytes[position] == 0x0A
        { position += 1 }
    }

    private mutating func peek() throws(Flaw) -> UInt8 {
        skipSpace()
        guard position < bytes.count else { throw flaw("the line ends inside a value") }
        return bytes[position]
    }

    private mutating func expect(_ byte: UInt8) throws(Flaw) {
        guard try peek() == byte else { throw flaw("'\(Character(Unicode.Scalar(byte)))' expected") }
        position += 1
    }

    /// After a member: true at the object's end.
    private mutating func next() throws(Flaw) -> Bool {
        switch try peek() {
        case UInt8(ascii: ","):
            position += 1
            return false
        case UInt8(ascii: "}"):
            position += 1
            return true
        default: throw flaw("',' or '}' expected")
        }
    }

    private func equals(_ range: Range<Int>, _ name: StaticString) -> Bool {
        range.count == name.utf8CodeUnitCount && name.withUTF8Buffer { bytes[range].elementsEqual($0) }
    }

    /// The bytes between the quotes, escapes left as they are.
    private mutating func rawString() throws(Flaw) -> Range<Int> {
        try expect(UInt8(ascii: "\""))
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return start..<(position - 1)
            case UInt8(ascii: "\\"): position += 2
            case 0..<0x20: throw flaw("a control character inside a string")
            default: position += 1
            }
        }
        throw flaw("the line ends inside a string")
    }

    private mutating func string() throws(Flaw) -> String {
        let raw = try rawString()
        guard bytes[raw].contains(UInt8(ascii: "\\")) else { return String(decoding: bytes[raw], as: UTF8.self) }
        var result: [UInt8] = []
        result.reserveCapacity(raw.count)
        var index = raw.lowerBound
        while index < raw.upperBound {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            let escape = bytes[index]
            index += 1
            switch escape {
            case UInt8(ascii: "n"): result.append(0x0A)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "r"): result.append(0x0D)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0C)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(escape)
            case UInt8(ascii: "u"):
                var unit = try hexadecimal(&index, raw.upperBound)
                if (0xD800..<0xDC00).contains(unit), index + 1 < raw.upperBound, bytes[index] == UInt8(ascii: "\\"),
                    bytes[index + 1] == UInt8(ascii: "u")
                {
                    var after = index + 2
                    let low = try hexadecimal(&after, raw.upperBound)
                    if (0xDC00..<0xE000).contains(low) {
                        unit = 0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00)
                        index = after
                    }
                }
                // Half a surrogate pair stands for no character.
                result.append(contentsOf: String(Unicode.Scalar(unit) ?? "\u{FFFD}").utf8)
            default: throw Flaw(offset: index - 1, reason: "an unknown escape in a string")
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private func hexadecimal(_ index: inout Int, _ end: Int) throws(Flaw) -> UInt32 {
        guard index + 4 <= end else { throw Flaw(offset: index, reason: "\\u needs four hexadecimal digits") }
        var value: UInt32 = 0
        for byte in bytes[index..<(index + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw Flaw(offset: index, reason: "\\u needs four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }

    private mutating func skipValue() throws(Flaw) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthMax else { throw flaw("values are nested more than \(Self.depthMax) deep") }
        switch try peek() {
        case UInt8(ascii: "\""): _ = try rawString()
        case UInt8(ascii: "{"):
            position += 1
            if try peek() == UInt8(ascii: "}") {
                position += 1
                return
            }
            repeat {
                _ = try rawString()
                try expect(UInt8(ascii: ":"))
                try skipValue()
            } while try !next()
        case UInt8(ascii: "["):
            position += 1
            if try peek() == UInt8(ascii: "]") {
                position += 1
                return
            }
            while true {
                try skipValue()
                let byte = try peek()
                guard byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") else { throw flaw("',' or ']' expected") }
                position += 1
                if byte == UInt8(ascii: "]") { return }
            }
        default:
            let start = position
            scan: while position < bytes.count {
                switch bytes[position] {
                case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x09, 0x0A, 0x0D: break scan
                default: position += 1
                }
            }
            let word = bytes[start..<position]
            let isNumber =
                word.first.map { $0 == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } == true
                && word.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "+-.eE".utf8.contains($0) }
            guard isNumber || word.elementsEqual("true".utf8) || word.elementsEqual("false".utf8) || word.elementsEqual("null".utf8) else {
                position = start
                throw flaw("a value expected")
            }
        }
    }
}
