/// A fast hash of a few bytes for tables that live in one process; not for anything that is stored.
///
/// Multiply-fold of eight bytes a step, after Wang Yi's wyhash.
@inline(__always)
func hash(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    @inline(__always) func mix(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
    let raw = UnsafeRawPointer(bytes)
    var state = 0xA076_1D64_78BD_642F ^ UInt64(truncatingIfNeeded: count)
    var offset = 0
    while offset &+ 8 <= count {
        state = mix(state ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self), 0xE703_7ED1_A0B4_28DB)
        offset &+= 8
    }
    var rest: UInt64 = 0
    while offset < count {
        rest = rest &<< 8 | UInt64(bytes[offset])
        offset &+= 1
    }
    return mix(state ^ rest, 0x8EBC_6AF0_9C88_C6E3)
}

/// The next power of two that is not smaller.
func powerOfTwo(atLeast count: Int) -> Int {
    count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}
