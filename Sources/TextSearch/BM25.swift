import Foundation

/// BM25 as Lucene and Anserini compute it, in whole numbers.
///
/// ```
///  idf(t)      = ln(1 + (N - df + 0.5) / (df + 0.5))
///  score(t, d) = idf(t) · tf / (tf + k1 · (1 - b + b · length / averageLength))      (no factor k1 + 1)
/// ```
/// Robertson & Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond*, 2009, §3.4. Lengths are exact, where Lucene keeps one byte.
///
/// Scores are added as integers: each contribution is multiplied by one power of two for the whole question and rounded. Integer addition
/// does not depend on its order, so a row's score is the same to the last bit whatever was pruned, however rows are divided into
/// segments, and ties are real ties. The scale is chosen such that no sum reaches 2³¹; rounding costs less than 10⁻⁸ of the largest
/// possible score for each term.
struct BM25 {
    /// k1 · (1 - b) and k1 · b / averageLength, both in units of a term frequency.
    private let base: Float
    private let slope: Float
    /// Integer score of a real score of one.
    private let scale: Double

    /// - Parameters:
    ///   - averageLength: In units.
    ///   - weightSum: Sum of the real weights of the question's terms.
    init(k1: Float, b: Float, unit: Int, averageLength: Double, weightSum: Double, termCount: Int) {
        base = Float(unit) * k1 * (1 - b)
        slope = averageLength > 0 ? Float(Double(Float(unit) * k1 * b) / averageLength) : 0
        // Each contribution may be rounded up, be raised to one, and get the slack of a bound.
        let room = Double(1 << 31) - Double(8 * termCount + 8192)
        scale = weightSum > 0 ? exp2(log2(room / weightSum).rounded(.down)) : 1
    }

    static func inverseDocumentFrequency(rowCount: Int, documentFrequency: Int) -> Double {
        log1p((Double(rowCount - documentFrequency) + 0.5) / (Double(documentFrequency) + 0.5))
    }

    /// A term's weight as the functions below take it.
    func scaled(_ weight: Double) -> Float { Float(weight * scale) }

    /// The real score of a sum of integer scores.
    func unscaled(_ score: UInt32) -> Float { Float(Double(score) / scale) }

    /// A posting's contribution; at least one, so that a row that matches never has a sum of zero.
    @inline(__always)
    func score(tf: UInt32, length: UInt32, weight: Float) -> UInt32 {
        max(1, Self.rounded(real(tf: tf, length: length, weight: weight)))
    }

    /// At least every score that a posting with at most this tf and at least this length can have.
    @inline(__always)
    func bound(tf: UInt16, length: UInt16, weight: Float) -> UInt32 {
        guard tf > 0 else { return 0 }
        let score = tf == BlockBound.anyTF ? weight : real(tf: UInt32(tf), length: UInt32(length), weight: weight)
        // Floating-point division is monotone only up to its rounding.
        return Self.rounded(score + score * 0x1p-20) &+ 2
    }

    @inline(__always)
    func bound(_ header: PostingBlockHeader, weight: Float) -> UInt32 {
        max(bound(tf: header.tf0, length: header.length0, weight: weight), bound(tf: header.tf1, length: header.length1, weight: weight))
    }

    @inline(__always)
    private func real(tf: UInt32, length: UInt32, weight: Float) -> Float {
        let tf = Float(tf)
        return weight * (tf / (tf + (base + slope * Float(length))))
    }

    /// Rounds a number below 2³² by letting a large number push its fraction out of the mantissa; a conversion would test for overflow.
    @inline(__always)
    private static func rounded(_ value: Float) -> UInt32 {
        UInt32(truncatingIfNeeded: (Double(value) + 0x1p52).bitPattern)
    }
}
