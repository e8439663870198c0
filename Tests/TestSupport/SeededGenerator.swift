import Kernels

/// Random numbers that are the same for the same seed on every machine, so that a failing case can be run again.
package typealias SeededGenerator = SplitMix64

extension SplitMix64 {
    /// Numbers between `-scale` and `scale`.
    package mutating func floats(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in Float.random(in: -scale...scale, using: &self) }
    }
}
