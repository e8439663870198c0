/// A small, fast generator whose numbers depend on nothing but its seed: the same seed gives the same index, the same interval and the same random test
/// on every machine.
///
/// Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    /// A number in `0..<bound`. The bias of the multiplication is below 2^-32 for bounds below 2^32.
    package mutating func next(below bound: UInt64) -> UInt64 { next().multipliedFullWidth(by: bound).high }

    /// `count` different numbers below `limit`, ascending: one pass that takes each with the right chance (Knuth, TAOCP 2, 3.4.2, algorithm S).
    package mutating func sample(_ count: Int, of limit: Int) -> [Int] {
        var chosen: [Int] = []
        chosen.reserveCapacity(count)
        for number in 0..<limit where chosen.count < count {
            if Int(next() % UInt64(limit - number)) < count - chosen.count { chosen.append(number) }
        }
        return chosen
    }
}
