import Kernels

/// Which lists a query visits: round by round, each decided by what the rounds before have found.
///
/// ```
///   ranked lists   0 | 1 2 | 3 ... 7 | 8 ... 23 | 24 ... 71 | 72 ...
///                  ^   ^     ^         ^
///                  each round: T = the k-th best estimate of all rounds before
///                              visit the lists of these ranks that are worth it at T (`ProbePlan`), all against T
///                              none is: done
/// ```
///
/// Within a round nothing depends on what the round itself finds. So the lists that are visited, and the rows that each of them gives, are a function of query and
/// index alone: the order of visits, the number of threads, whether other queries share the visit, and where a list's bytes lie cannot change an answer. All lists
/// of a round can be asked for at once.
///
/// Rounds triple, so that few waits lie between question and answer, and the first ones are small, so that most lists are scanned against a threshold that is near
/// the final one: against the rule that looked at the threshold after every list, 2 to 6 % more rows are refined
/// at equal recall, and a search costs 2 to 4 % more processor time (Benchmarks/results/2026-11-29-ann-rounds.md).
struct ProbeRounds {
    private var ranking: ListRanking
    /// Ranks of the rounds so far.
    private(set) var taken = 0
    /// So many ranks in a row without a list end the round.
    private static let stretch = 32
    /// A round without a list ends the search from here on; before, the next round is looked at too.
    private static let patience = 24

    init(_ ranking: ListRanking) { self.ranking = ranking }

    /// Where the round ends that begins after so many ranks.
    static func end(after taken: Int) -> Int {
        switch taken {
        case 0: 1
        case ..<3: 3
        case ..<8: 8
        default: taken * 3
        }
    }

    /// Names the lists of the next round; none when the search is done.
    ///
    /// - Parameters:
    ///   - threshold: The k-th best estimate so far; −∞ below k results, where everything may hold something.
    ///   - bounds: Of the plan, at the price of the search.
    mutating func next(
        threshold: Float, _ bounds: ProbePlan.Bounds, _ parameters: ProbeParameters, _ query: RankedQuery, _ file: InvertedFile,
        _ name: (_ list: Int) -> Void
    ) {
        let takesAll = threshold == -.infinity || parameters.price == 0 || parameters.isExhaustive
        var hasNamed = false
        repeat {
            let start = taken
            var end = min(Self.end(after: start), file.nlist)
            if threshold > -.infinity { end = min(end, max(start, parameters.probeMax)) }
            guard end > start else { return }
            // Ranks are sorted as far as lists among them are worth it.
            var place = start
            while place < end {
                let stretch = place..<min(end, takesAll ? end : place + Self.stretch)
                ranking.sort(until: stretch.upperBound)
                var hasFound = false
                for rank in stretch {
                    let list = Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF)
                    guard takesAll || query.means[list] + bounds(rank) * query.widths[list] >= threshold else { continue }
                    hasFound = true
                    name(list)
                }
                hasNamed = hasNamed || hasFound
                place = stretch.upperBound
                if !hasFound, place >= Self.patience { break }
            }
            taken = place
        } while !hasNamed && taken < Self.patience
    }
}
