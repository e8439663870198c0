/// Summaries of measured samples. Pure functions.
package enum SampleStatistics {
    /// The value below which a share of the samples lies, by linear interpolation between the two nearest (NumPy's default); nil without samples.
    ///
    /// - Parameter fraction: 0...1; 0.99 is p99.
    /// - Complexity: O(*n* log *n*).
    package static func percentile(_ fraction: Double, of samples: [Double]) -> Double? {
        precondition((0...1).contains(fraction), "percentile \(fraction) is not within 0...1")
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        let position = fraction * Double(sorted.count - 1)
        let lower = Int(position)
        guard lower + 1 < sorted.count else { return sorted[sorted.count - 1] }
        return sorted[lower] + (sorted[lower + 1] - sorted[lower]) * (position - Double(lower))
    }

    package static func mean(of samples: [Double]) -> Double? {
        samples.isEmpty ? nil : samples.reduce(0, +) / Double(samples.count)
    }

    /// A percentile-bootstrap interval of the mean (Efron, 1979): resample with replacement, take the quantiles of the means.
    ///
    /// For a paired comparison give the differences of each query: the interval without zero says that the difference is no accident of the sample.
    ///
    /// - Returns: Nil without samples. The same seed gives the same interval on every machine.
    /// - Complexity: O(*resamples* × *n*).
    package static func bootstrapInterval(
        ofMeanOf samples: [Double], confidence: Double = 0.95, resamples: Int = 2000, seed: UInt64 = 1
    ) -> ClosedRange<Double>? {
        precondition(confidence > 0 && confidence < 1, "confidence \(confidence) is not within 0..<1")
        precondition(resamples > 0, "\(resamples) resamples")
        guard !samples.isEmpty else { return nil }
        var generator = SplitMix64(seed: seed)
        var means: [Double] = []
        means.reserveCapacity(resamples)
        for _ in 0..<resamples {
            var sum = 0.0
            for _ in samples.indices { sum += samples[Int(generator.next(below: UInt64(samples.count)))] }
            means.append(sum / Double(samples.count))
        }
        let tail = (1 - confidence) / 2
        let low = percentile(tail, of: means)!
        return low...max(low, percentile(1 - tail, of: means)!)
    }
}

/// A small, fast generator whose sequence depends on nothing but its seed (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in `0..<bound`. The bias of the multiplication is below 2^-32 for bounds below 2^32.
    package mutating func next(below bound: UInt64) -> UInt64 {
        next().multipliedFullWidth(by: bound).high
    }
}
