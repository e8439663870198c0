/// CRC-32C (Castagnoli), the checksum of every derived file.
///
/// The algorithm is "slicing by 8": eight table look-ups replace the byte-by-byte division, so that eight bytes are taken in one step
/// and the look-ups do not depend on each other (Kounavis & Berry, *A Systematic Approach to Building High Performance,
/// Software-Based, CRC Generators*, ISCC 2005). Polynomial 0x1EDC6F41, reflected 0x82F63B78; initial value and final exclusive-or are all ones.
///
/// ```
///  8 bytes in:  | b0 b1 b2 b3 | b4 b5 b6 b7 |
///                  ^ crc          |
///                  v              v
///               T7[b0]^T6[b1]^T5[b2]^T4[b3]^T3[b4]^T2[b5]^T1[b6]^T0[b7]  -> crc
/// ```
package struct CRC32C: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    package init() {}

    /// The checksum of the bytes so far.
    package var value: UInt32 { state ^ 0xFFFF_FFFF }

    /// Takes in more bytes.
    ///
    /// - Complexity: O(*count*), well over 1 GB/s in an optimised build. Does not allocate.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard var cursor = bytes.baseAddress else { return }
        let table = Self.table.words
        var remaining = bytes.count
        var crc = state
        while remaining >= 8 {
            let word = UInt64(littleEndian: cursor.loadUnaligned(as: UInt64.self)) ^ UInt64(crc)
            let low = UInt32(truncatingIfNeeded: word)
            let high = UInt32(truncatingIfNeeded: word &>> 32)
            let left =
                table[Int(1792 &+ (low & 0xFF))] ^ table[Int(1536 &+ ((low &>> 8) & 0xFF))]
                ^ table[Int(1280 &+ ((low &>> 16) & 0xFF))] ^ table[Int(1024 &+ (low &>> 24))]
            let right =
                table[Int(768 &+ (high & 0xFF))] ^ table[Int(512 &+ ((high &>> 8) & 0xFF))]
                ^ table[Int(256 &+ ((high &>> 16) & 0xFF))] ^ table[Int(high &>> 24)]
            crc = left ^ right
            cursor += 8
            remaining &-= 8
        }
        while remaining > 0 {
            crc = (crc &>> 8) ^ table[Int((crc ^ UInt32(cursor.load(as: UInt8.self))) & 0xFF)]
            cursor += 1
            remaining &-= 1
        }
        state = crc
    }

    /// The checksum of one run of bytes.
    package static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32C()
        crc.update(bytes)
        return crc.value
    }

    /// Eight tables of 256 words: table *n* advances a byte's remainder by *n* more zero bytes.
    private struct Table: @unchecked Sendable {
        // Invariant: written once in `init`, never freed, only read afterwards.
        let words: UnsafePointer<UInt32>

        init() {
            let words = UnsafeMutablePointer<UInt32>.allocate(capacity: 8 * 256)
            for byte in 0..<256 {
                var remainder = UInt32(byte)
                for _ in 0..<8 { remainder = (remainder >> 1) ^ (remainder & 1 == 1 ? 0x82F6_3B78 : 0) }
                words[byte] = remainder
            }
            for slice in 1..<8 {
                for byte in 0..<256 {
                    let previous = words[(slice - 1) * 256 + byte]
                    words[slice * 256 + byte] = (previous >> 8) ^ words[Int(previous & 0xFF)]
                }
            }
            self.words = UnsafePointer(words)
        }
    }

    private static let table = Table()
}
