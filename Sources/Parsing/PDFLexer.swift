import Foundation

/// Reads tokens and objects from bytes; `hasRunOut` says that the bytes ended in the middle of something.
struct PDFLexer {
    let bytes: [UInt8]
    var position = 0
    private(set) var hasRunOut = false

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private mutating func skipSpace() {
        while position < bytes.count {
            let byte = bytes[position]
            if byte == 0x25 {
                while position < bytes.count, bytes[position] != 0x0A, bytes[position] != 0x0D { position += 1 }
            } else if byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) || byte == 0 {
                position += 1
            } else {
                return
            }
        }
        hasRunOut = true
    }

    private static func isRegular(_ byte: UInt8) -> Bool {
        switch byte {
        case 0, 0x09...0x0D, 0x20, 0x28, 0x29, 0x3C, 0x3E, 0x5B, 0x5D, 0x7B, 0x7D, 0x2F, 0x25: false
        default: true
        }
    }

    mutating func integer() -> Int? {
        skipSpace()
        let start = position
        var value = 0
        while position < bytes.count, (0x30...0x39).contains(bytes[position]), position - start < 18 {
            value = value * 10 + Int(bytes[position] - 0x30)
            position += 1
        }
        if position == bytes.count { hasRunOut = true }
        return position > start ? value : nil
    }

    mutating func keyword() -> String? {
        skipSpace()
        let start = position
        while position < bytes.count, position - start < 32, Self.isRegular(bytes[position]) { position += 1 }
        if position == bytes.count { hasRunOut = true }
        return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
    }

    /// `7 0 obj` and what follows; `dataStart` is where a stream's bytes begin.
    mutating func indirectObject(number: Int?) -> (object: PDFObject, dataStart: Int?)? {
        guard let found = integer(), integer() != nil, keyword() == "obj", number == nil || number == found, let object = object() else {
            return nil
        }
        guard case .dictionary = object else { return (object, nil) }
        skipSpace()
        guard position + 6 <= bytes.count else {
            hasRunOut = true
            return (object, nil)
        }
        guard bytes[position..<position + 6].elementsEqual("stream".utf8) else { return (object, nil) }
        position += 6
        if position < bytes.count, bytes[position] == 0x0D { position += 1 }
        if position < bytes.count, bytes[position] == 0x0A { position += 1 }
        return (object, position)
    }

    mutating func object(depth: Int = 0) -> PDFObject? {
        skipSpace()
        guard position < bytes.count, depth < 64 else { return nil }
        switch bytes[position] {
        case 0x2F:
            position += 1
            return .name(nameText())
        case 0x28: return .string(literalString())
        case 0x5B:
            position += 1
            var items: [PDFObject] = []
            while true {
                skipSpace()
                guard position < bytes.count else { return .array(items) }
                if bytes[position] == 0x5D {
                    position += 1
                    return .array(items)
                }
                guard let item = object(depth: depth + 1) else {
                    // Something that belongs in no array: leave it out.
                    position += 1
                    if items.count > 1_000_000 { return .array(items) }
                    continue
                }
                items.append(item)
            }
        case 0x3C:
            if position + 1 < bytes.count, bytes[position + 1] == 0x3C {
                position += 2
                var dictionary: [String: PDFObject] = [:]
                while true {
                    skipSpace()
                    guard position < bytes.count else { return .dictionary(dictionary) }
                    if bytes[position] == 0x3E {
                        position = min(bytes.count, position + 2)
                        return .dictionary(dictionary)
                    }
                    guard bytes[position] == 0x2F else {
                        position += 1
                        continue
                    }
                    position += 1
                    let key = nameText()
                    guard let value = object(depth: depth + 1) else { continue }
                    dictionary[key] = value
                }
            }
            return .string(hexString())
        case 0x30...0x39, 0x2B, 0x2D, 0x2E: return numberOrReference()
        default:
            let start = position
            switch keyword() {
            case "true": return .boolean(true)
            case "false": return .boolean(false)
            case "null": return .null
            default:
                position = start
                return nil
            }
        }
    }

    private mutating func nameText() -> String {
        var text: [UInt8] = []
        while position < bytes.count, Self.isRegular(bytes[position]) {
            if bytes[position] == 0x23, position + 2 < bytes.count, let high = Self.hex(bytes[position + 1]),
                let low = Self.hex(bytes[position + 2])
            {
                text.append(high << 4 | low)
                position += 3
            } else {
                text.append(bytes[position])
                position += 1
            }
        }
        if position == bytes.count { hasRunOut = true }
        return String(decoding: text, as: UTF8.self)
    }

    static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    private mutating func literalString() -> [UInt8] {
        var text: [UInt8] = []
        var depth = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            switch byte {
            case 0x28:
                depth += 1
                if depth > 1 { text.append(byte) }
            case 0x29:
                depth -= 1
                if depth == 0 { return text }
                text.append(byte)
            case 0x5C:
                guard position < bytes.count else { break }
                let next = bytes[position]
                position += 1
                switch next {
                case UInt8(ascii: "n"): text.append(0x0A)
                case UInt8(ascii: "r"): text.append(0x0D)
                case UInt8(ascii: "t"): text.append(0x09)
                case UInt8(ascii: "b"): text.append(0x08)
                case UInt8(ascii: "f"): text.append(0x0C)
                case 0x0D: if position < bytes.count, bytes[position] == 0x0A { position += 1 }
                case 0x0A: break
                case 0x30...0x37:
                    var value = Int(next - 0x30)
                    var count = 1
                    while count < 3, position < bytes.count, (0x30...0x37).contains(bytes[position]) {
                        value = value * 8 + Int(bytes[position] - 0x30)
                        position += 1
                        count += 1
                    }
                    text.append(UInt8(truncatingIfNeeded: value))
                default: text.append(next)
                }
            default: text.append(byte)
            }
        }
        hasRunOut = true
        return text
    }

    private mutating func hexString() -> [UInt8] {
        position += 1
        var text: [UInt8] = []
        var high: UInt8?
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == 0x3E {
                if let high { text.append(high << 4) }
                return text
            }
            guard let digit = Self.hex(byte) else { continue }
            if let first = high {
                text.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        hasRunOut = true
        return text
    }

    private mutating func numberOrReference() -> PDFObject? {
        let start = position
        while position < bytes.count, Self.isRegular(bytes[position]), position - start < 64 { position += 1 }
        if position == bytes.count { hasRunOut = true }
        let token = bytes[start..<position]
        let isWhole = token.allSatisfy { (0x30...0x39).contains($0) }
        if isWhole, token.count < 10 {
            // A generation and an R may follow.
            let end = position
            let ranOut = hasRunOut
            if let generation = integer(), generation < 65536 {
                skipSpace()
                if position < bytes.count, bytes[position] == 0x52, position + 1 == bytes.count || !Self.isRegular(bytes[position + 1]) {
                    position += 1
                    return .reference(token.reduce(0) { $0 * 10 + Int($1 - 0x30) })
                }
            }
            if position < bytes.count { hasRunOut = ranOut }
            position = end
        }
        return .number(Self.number(token))
    }

    /// Lenient, as files are: "--3", "1.2.3" and "4-5" are read as far as they make sense.
    static func number(_ token: ArraySlice<UInt8>) -> Double {
        var value = 0.0
        var scale = 0.0
        var isNegative = false
        for (index, byte) in token.enumerated() {
            switch byte {
            case 0x2D where index == 0 || value == 0: isNegative = true
            case 0x2B: continue
            case 0x2E:
                if scale > 0 { return isNegative ? -value / scale : value / scale }
                scale = 1
            case 0x30...0x39:
                value = value * 10 + Double(byte - 0x30)
                scale *= 10
            default: break
            }
        }
        if scale > 1 { value /= scale }
        return isNegative ? -value : value
    }
}
