/// Packs 128 small numbers into as many bits each as the largest needs.
///
/// The numbers go round-robin into four lanes of 32 bits, so that four are unpacked by one shift and one mask (the vertical layout of
/// SIMD-BP128: Lemire & Boytsov, *Decoding billions of integers per second through vectorization*, 2015, §4).
///
/// ```
///  lane      0          1          2          3        width b: b words of 4 x 32 bits = 16 b bytes
///        | v4 | v0 |  | v5 | v1 |  | v6 | v2 |  | v7 | v3 |   <- low bits right
/// ```
enum PostingBlock {
    /// Numbers in a block.
    static let count = 128

    /// Bits that the largest of the block's numbers needs, 0...32.
    static func bitWidth(of values: UnsafePointer<UInt32>) -> Int {
        var all: UInt32 = 0
        for index in 0..<count { all |= values[index] }
        return 32 - all.leadingZeroBitCount
    }

    /// Appends `16 * bits` bytes.
    static func pack(_ values: UnsafePointer<UInt32>, bits: Int, to bytes: inout [UInt8]) {
        guard bits > 0 else { return }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4 * bits) { words in
            words.initialize(repeating: 0)
            for index in 0..<count {
                let lane = index & 3
                let bit = (index >> 2) * bits
                let shift = UInt32(bit & 31)
                words[(bit >> 5) * 4 + lane] |= values[index] << shift
                if Int(shift) + bits > 32 { words[((bit >> 5) + 1) * 4 + lane] |= values[index] >> (32 - shift) }
            }
            bytes.append(contentsOf: UnsafeRawBufferPointer(words))
        }
    }

    /// Unpacks all numbers of a block.
    @inline(__always)
    static func unpack(_ bytes: UnsafeRawPointer, bits: Int, into values: UnsafeMutablePointer<UInt32>) {
        let target = UnsafeMutableRawPointer(values)
        if bits == 0 {
            values.update(repeating: 0, count: count)
            return
        }
        let width = UInt32(truncatingIfNeeded: bits)
        let mask = SIMD4<UInt32>(repeating: bits == 32 ? .max : (1 &<< width) &- 1)
        var source = bytes
        var word = source.loadUnaligned(as: SIMD4<UInt32>.self)
        var shift: UInt32 = 0
        for row in 0..<(count / 4) {
            var value = word &>> SIMD4(repeating: shift)
            shift &+= width
            if shift >= 32 {
                shift &-= 32
                if row < count / 4 - 1 {
                    source += 16
                    word = source.loadUnaligned(as: SIMD4<UInt32>.self)
                    if shift > 0 { value |= word &<< SIMD4(repeating: width &- shift) }
                }
            }
            target.storeBytes(of: value & mask, toByteOffset: row &* 16, as: SIMD4<UInt32>.self)
        }
    }
}
