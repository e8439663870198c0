/// Decoders of PDF streams (ISO 32000-1, 7.4). Damaged input gives what could be decoded before the damage; none writes more than `limit` bytes.
enum StreamFilter {
    // MARK: - Deflate (RFC 1950, 1951)

    /// A Huffman code: a table for codes of up to ten bits, canonical counting for longer ones.
    private struct Code {
        static let bits = 10
        /// symbol << 4 | length, by the next ten bits; zero where the code is longer or unused.
        var fast = [UInt16](repeating: 0, count: 1 << bits)
        var counts = [UInt16](repeating: 0, count: 16)
        var symbols: [UInt16] = []

        init?(_ lengths: ArraySlice<UInt8>) {
            for length in lengths { counts[Int(length)] += 1 }
            counts[0] = 0
            var left = 1
            var offsets = [Int](repeating: 0, count: 17)
            var next = [Int](repeating: 0, count: 17)
            var code = 0
            for length in 1...15 {
                left = left << 1 - Int(counts[length])
                if left < 0 { return nil }
                offsets[length + 1] = offsets[length] + Int(counts[length])
                code = (code + (length > 1 ? Int(counts[length - 1]) : 0)) << 1
                next[length] = code
            }
            symbols = [UInt16](repeating: 0, count: lengths.count)
            for (symbol, length) in lengths.enumerated() where length > 0 {
                let length = Int(length)
                symbols[offsets[length]] = UInt16(symbol)
                offsets[length] += 1
                var value = next[length]
                next[length] += 1
                guard length <= Self.bits else { continue }
                var reversed = 0
                for _ in 0..<length {
                    reversed = reversed << 1 | value & 1
                    value >>= 1
                }
                while reversed < 1 << Self.bits {
                    fast[reversed] = UInt16(symbol << 4 | length)
                    reversed += 1 << length
                }
            }
        }
    }

    private struct BitReader {
        let bytes: UnsafeBufferPointer<UInt8>
        var position: Int
        var hold: UInt64 = 0
        var count = 0

        /// After it at least 32 bits are there, or all that are left.
        mutating func fill() {
            while count <= 48, position < bytes.count {
                hold |= UInt64(bytes[position]) << UInt64(count)
                count += 8
                position += 1
            }
        }
        /// - Precondition: *bits* ≤ 16.
        mutating func take(_ bits: Int) -> Int? {
            if count < bits { fill() }
            guard count >= bits else { return nil }
            let value = Int(hold & (1 << UInt64(bits) - 1))
            hold >>= UInt64(bits)
            count -= bits
            return value
        }
        mutating func symbol(_ code: borrowing Code) -> Int? {
            if count < 15 { fill() }
            let entry = code.fast[Int(hold & UInt64(1 << Code.bits - 1))]
            let length = Int(entry & 15)
            if length > 0 {
                guard length <= count else { return nil }
                hold >>= UInt64(length)
                count -= length
                return Int(entry >> 4)
            }
            var value = 0
            var first = 0
            var index = 0
            var bits = hold
            for length in 1...15 {
                guard length <= count else { return nil }
                value |= Int(bits & 1)
                bits >>= 1
                let number = Int(code.counts[length])
                if value - number < first {
                    hold >>= UInt64(length)
                    count -= length
                    return Int(code.symbols[index + value - first])
                }
                index += number
                first = (first + number) << 1
                value <<= 1
            }
            return nil
        }
    }

    private static let lengthBases: [Int] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
    ]
    private static let lengthBits: [Int] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    private static let distanceBases: [Int] = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289,
        16385,
        24577,
    ]
    private static let distanceBits: [Int] = [
        0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
    ]
    private static let fixedLiterals: Code = {
        var lengths = [UInt8](repeating: 8, count: 288)
        for symbol in 144..<256 { lengths[symbol] = 9 }
        for symbol in 256..<280 { lengths[symbol] = 7 }
        return Code(lengths[...])!
    }()
    private static let fixedDistances = Code([UInt8](repeating: 5, count: 30)[...])!

    static func inflate(_ bytes: [UInt8], limit: Int) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, bytes.count * 4))
        bytes.withUnsafeBufferPointer { buffer in
            let hasHeader = buffer.count >= 2 && buffer[0] & 15 == 8 && (Int(buffer[0]) << 8 | Int(buffer[1])) % 31 == 0
            var reader = BitReader(bytes: buffer, position: hasHeader ? 2 : 0)
            while output.count < limit, let isLast = reader.take(1), let kind = reader.take(2) {
                let isSound: Bool
                switch kind {
                case 0: isSound = stored(&reader, &output, limit)
                case 1: isSound = compressed(&reader, fixedLiterals, fixedDistances, &output, limit)
                case 2:
                    guard let (literals, distances) = codes(&reader) else { return }
                    isSound = compressed(&reader, literals, distances, &output, limit)
                default: isSound = false
                }
                if !isSound || isLast == 1 { return }
            }
        }
        return output
    }

    private static func stored(_ reader: inout BitReader, _ output: inout [UInt8], _ limit: Int) -> Bool {
        _ = reader.take(reader.count % 8)
        guard let size = reader.take(16), reader.take(16) != nil else { return false }
        for _ in 0..<min(size, limit - output.count) {
            guard let byte = reader.take(8) else { return false }
            output.append(UInt8(byte))
        }
        return true
    }

    private static func codes(_ reader: inout BitReader) -> (Code, Code)? {
        guard let literalCount = reader.take(5), let distanceCount = reader.take(5), let lengthCount = reader.take(4) else { return nil }
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
        var lengths = [UInt8](repeating: 0, count: 19)
        for index in 0..<lengthCount + 4 {
            guard let length = reader.take(3) else { return nil }
            lengths[order[index]] = UInt8(length)
        }
        guard let code = Code(lengths[...]) else { return nil }
        let total = literalCount + 257 + distanceCount + 1
        var all: [UInt8] = []
        while all.count < total {
            guard let symbol = reader.symbol(code) else { return nil }
            switch symbol {
            case 0..<16: all.append(UInt8(symbol))
            case 16:
                guard let last = all.last, let more = reader.take(2) else { return nil }
                all.append(contentsOf: repeatElement(last, count: 3 + more))
            case 17:
                guard let more = reader.take(3) else { return nil }
                all.append(contentsOf: repeatElement(0, count: 3 + more))
            default:
                guard let more = reader.take(7) else { return nil }
                all.append(contentsOf: repeatElement(0, count: 11 + more))
            }
        }
        guard all.count == total, let literals = Code(all[..<(literalCount + 257)]),
            let distances = Code(ArraySlice(Array(all[(literalCount + 257)...])))
        else { return nil }
        return (literals, distances)
    }

    private static func compressed(
        _ reader: inout BitReader, _ literals: borrowing Code, _ distances: borrowing Code, _ output: inout [UInt8], _ limit: Int
    ) -> Bool {
        while output.count < limit {
            guard let symbol = reader.symbol(literals) else { return false }
            if symbol < 256 {
                output.append(UInt8(symbol))
                continue
            }
            if symbol == 256 { return true }
            guard symbol < 286, let more = reader.take(lengthBits[symbol - 257]) else { return false }
            let length = min(lengthBases[symbol - 257] + more, limit - output.count)
            guard let code = reader.symbol(distances), code < 30, let far = reader.take(distanceBits[code]) else { return false }
            let distance = distanceBases[code] + far
            guard distance <= output.count else { return false }
            var source = output.count - distance
            for _ in 0..<length {
                output.append(output[source])
                source += 1
            }
        }
        return true
    }

    // MARK: - The others

    static func lzw(_ bytes: [UInt8], isEarly: Bool, limit: Int) -> [UInt8] {
        var output: [UInt8] = []
        // Each entry is a stretch of the output: where it was written, and its size.
        var starts: [Int] = []
        var sizes: [Int] = []
        var previous: (start: Int, size: Int)?
        var width = 9
        var hold = 0
        var count = 0
        for byte in bytes {
            hold = (hold << 8 | Int(byte)) & 0xFF_FFFF
            count += 8
            guard count >= width else { continue }
            count -= width
            let code = hold >> count & (1 << width - 1)
            if code == 257 || output.count >= limit { break }
            if code == 256 {
                starts = []
                sizes = []
                previous = nil
                width = 9
                continue
            }
            let start = output.count
            if code < 256 {
                output.append(UInt8(code))
            } else if code - 258 < starts.count {
                for index in 0..<sizes[code - 258] { output.append(output[starts[code - 258] + index]) }
            } else if let previous, code - 258 == starts.count {
                for index in 0..<previous.size { output.append(output[previous.start + index]) }
                output.append(output[previous.start])
            } else {
                break
            }
            if let previous, starts.count < 4096 - 258 {
                starts.append(previous.start)
                sizes.append(previous.size + 1)
            }
            previous = (start, output.count - start)
            // The next code may name an entry that is still to be made.
            let next = starts.count + 258 + (isEarly ? 1 : 0)
            width = next >= 2048 ? 12 : next >= 1024 ? 11 : next >= 512 ? 10 : 9
        }
        return output
    }

    static func ascii85(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var group: [UInt32] = []
        func write(_ count: Int) {
            let value = group.reduce(UInt32(0)) { $0 &* 85 &+ $1 }
            for index in 0..<count { output.append(UInt8(truncatingIfNeeded: value >> (24 - UInt32(index) * 8))) }
            group = []
        }
        for byte in bytes {
            switch byte {
            case 0x21...0x75:
                group.append(UInt32(byte - 0x21))
                if group.count == 5 { write(4) }
            case 0x7A where group.isEmpty: output.append(contentsOf: [0, 0, 0, 0])
            case 0x7E:
                let count = group.count - 1
                guard count > 0 else { return output }
                while group.count < 5 { group.append(84) }
                write(count)
                return output
            default: break
            }
        }
        return output
    }

    static func asciiHex(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var high: UInt8?
        for byte in bytes {
            if byte == 0x3E { break }
            guard let digit = PDFLexer.hex(byte) else { continue }
            if let first = high {
                output.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        if let high { output.append(high << 4) }
        return output
    }

    static func runLength(_ bytes: [UInt8], limit: Int) -> [UInt8] {
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count, bytes[index] != 128, output.count < limit {
            let length = Int(bytes[index])
            if length < 128 {
                output.append(contentsOf: bytes[min(bytes.count, index + 1)..<min(bytes.count, index + 2 + length)])
                index += 2 + length
            } else {
                guard index + 1 < bytes.count else { break }
                output.append(contentsOf: repeatElement(bytes[index + 1], count: 257 - length))
                index += 2
            }
        }
        return output
    }

    /// Takes back the differences that PNG's filters made; others than those are left as they are.
    static func unpredicted(_ bytes: [UInt8], predictor: Int, colors: Int, bits: Int, columns: Int) -> [UInt8] {
        guard predictor >= 10, (1...32).contains(colors), [1, 2, 4, 8, 16].contains(bits), (1...1_000_000).contains(columns) else {
            return bytes
        }
        let rowSize = (colors * bits * columns + 7) / 8
        let pixel = max(1, colors * bits / 8)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var above = [UInt8](repeating: 0, count: rowSize)
        var position = 0
        while position + 1 < bytes.count {
            let kind = bytes[position]
            position += 1
            var row = [UInt8](repeating: 0, count: rowSize)
            for index in 0..<min(rowSize, bytes.count - position) {
                let left = index >= pixel ? Int(row[index - pixel]) : 0
                let up = Int(above[index])
                let corner = index >= pixel ? Int(above[index - pixel]) : 0
                let guess: Int
                switch kind {
                case 1: guess = left
                case 2: guess = up
                case 3: guess = (left + up) / 2
                case 4:
                    let estimate = left + up - corner
                    let (a, b, c) = (abs(estimate - left), abs(estimate - up), abs(estimate - corner))
                    guess = a <= b && a <= c ? left : b <= c ? up : corner
                default: guess = 0
                }
                row[index] = bytes[position + index] &+ UInt8(truncatingIfNeeded: guess)
            }
            output.append(contentsOf: row.prefix(bytes.count - position))
            position += rowSize
            above = row
        }
        return output
    }
}
