import Glibc

/// p = 1 / (1 + exp(-(intercept + Σ weight · feature))).
struct LogisticModel: Sendable {
    var intercept: Float
    var weights: [Float]

    func probability(_ features: [Float]) -> Float { Self.probability(logit(features)) }

    static func probability(_ logit: Float) -> Float { 1 / (1 + exp(-logit)) }

    /// Log odds.
    func logit(_ features: [Float]) -> Float {
        precondition(features.count == weights.count, "\(features.count) features for \(weights.count) weights")
        var sum = intercept
        for (feature, weight) in zip(features, weights) { sum += feature * weight }
        return sum
    }
}
