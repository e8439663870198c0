import Kernels

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
