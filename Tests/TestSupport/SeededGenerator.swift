import Kernels

/// Random numbers that are the same for the same seed on every machine, so that a failing case can be run again.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var words: SplitMix64

    package init(seed: UInt64) { words = SplitMix64(seed: seed) }

    package mutating func next() -> UInt64 { words.next() }

    /// A number in `0..<bound`.
    package mutating func next(below bound: UInt64) -> UInt64 { words.next(below: bound) }

    /// Numbers between `-scale` and `scale`.
    package mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in Float.random(in: -scale...scale, using: &self) }
    }
}
