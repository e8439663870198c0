/// Chooses parameters by several data sets, and says how well that choice does on a set that had no part in it.
///
/// A figure of a set on which the parameters were chosen is a promise that the next set will not keep. So each set is held out once: the parameters that
/// are best on the others are judged on it.
///
/// ```
///              candidate  0    1    2        held out   chosen on   candidate   its score
///   set A               .70  .72  .69            A         B, C         2          .69
///   set B               .40  .41  .45            B         A, C         1          .41
///   set C               .50  .52  .53            C         A, B         2          .53
///                                                -         A, B, C      2
/// ```
///
/// (Stone, *Cross-validatory choice and assessment of statistical predictions*, 1974, with sets for observations.)
package struct ParameterSelection: Sendable, Equatable {
    /// For each set the candidate that is best on the other sets.
    package let heldOut: [Int]
    /// The candidate that is best on all sets.
    package let overall: Int

    /// - Parameter scores: Shape `[set][candidate]`; larger is better. Two sets or more, and one candidate or more.
    ///
    /// The mean over the sets decides; every set counts the same, however many questions it has. Of candidates within `tolerance` of the best
    /// mean the first is chosen, so candidates stand in order of preference: the default first.
    package init(_ scores: [[Double]], tolerance: Double = 0) {
        precondition(scores.count > 1, "\(scores.count) sets; leaving one out needs two")
        precondition(!scores[0].isEmpty && scores.allSatisfy { $0.count == scores[0].count }, "the sets differ in their candidates")
        heldOut = scores.indices.map { Self.best(scores, without: $0, tolerance) }
        overall = Self.best(scores, without: nil, tolerance)
    }

    private static func best(_ scores: [[Double]], without hidden: Int?, _ tolerance: Double) -> Int {
        let kept = scores.indices.filter { $0 != hidden }
        let means = scores[0].indices.map { candidate in kept.reduce(0) { $0 + scores[$1][candidate] } / Double(kept.count) }
        let bar = means.max()! - tolerance
        return means.firstIndex { $0 >= bar }!
    }
}
