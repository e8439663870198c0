import Glibc

/// Makes identifiers that sort by time of creation, such as `doc_01jd7x3k9v8m2q4r6t0w5y1z3b`.
///
/// The layout is that of ULID: 48 bits of Unix milliseconds, then 80 random bits, written as 26 digits of Crockford's base 32
/// (digits and lower-case letters without i, l, o, u), most significant first, so that the order of the strings is the order of
/// the numbers. An identifier is always larger than the largest one that is stored, even when the clock was set back.
package struct SortableID {
    /// The upper 48 bits are milliseconds; 128 bits in all.
    private(set) var value: UInt128

    private static let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// The identifier after `previous`, at the given time.
    init<Generator: RandomNumberGenerator>(milliseconds: Int64, after previous: SortableID?, using generator: inout Generator) {
        let time = UInt128(UInt64(clamping: milliseconds) & 0xFFFF_FFFF_FFFF) << 80
        let random = UInt128.random(in: 0..<(1 << 80), using: &generator)
        value = time | random
        if let previous, value <= previous.value {
            // Same millisecond, or the clock went back. The step is random so that the number of a deleted row is not met again.
            value = previous.value &+ UInt128(UInt32.random(in: 1...UInt32.max, using: &generator))
        }
    }

    /// Reads what `text` made; nil for anything else.
    init?(_ text: Substring) {
        guard text.utf8.count == 26 else { return nil }
        var value: UInt128 = 0
        for byte in text.utf8 {
            guard let digit = Self.digits.firstIndex(of: byte) else { return nil }
            value = value << 5 | UInt128(digit)
        }
        self.value = value
    }

    /// A new one, by the machine's clock.
    package static func random() -> SortableID {
        var generator = SystemRandomNumberGenerator()
        return SortableID(milliseconds: currentMilliseconds(), after: nil, using: &generator)
    }

    /// 26 digits.
    package var text: String {
        String(unsafeUninitializedCapacity: 26) { buffer in
            var rest = value
            for index in stride(from: 25, through: 0, by: -1) {
                buffer[index] = Self.digits[Int(rest & 31)]
                rest >>= 5
            }
            return 26
        }
    }
}

/// Unix time in whole milliseconds: the resolution of every stored date.
func currentMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}
