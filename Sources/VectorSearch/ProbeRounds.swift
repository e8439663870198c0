import Kernels

/// Which lists a query visits: round by round, each decided by what the rounds before have found.
///
/// ```
///   ranked lists   0 | 1 2 | 3 ... 7 | 8 ... 23 | 24 ... 71 | 72 ...
///                  ^   ^     ^         ^
///                  each round: T = the k-th best estimate of all rounds before
///                              n = the first rank from which on the lists are expected to hold fewer rows above T than may be missed (`ProbePlan`)
///                              visit the ranks of this round below n, all against T; none left: done
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
    /// Lists of the rounds so far.
    private(set) var taken = 0

    init(_ ranking: ListRanking) { self.ranking = ranking }

    /// Where the round ends that begins after so many lists.
    static func end(after taken: Int) -> Int {
        switch taken {
        case 0: 1
        case ..<3: 3
        case ..<8: 8
        default: taken * 3
        }
    }

    /// The ranks of the next round; empty when the search is done.
    ///
    /// - Parameters:
    ///   - threshold: The k-th best estimate so far; −∞ below k results, where everything may hold something.
    ///   - k: Rows wanted.
    ///   - selectivity: Share of rows that may be in the answer.
    mutating func next(
        threshold: Float, k: Int, selectivity: Float, _ parameters: ProbeParameters, _ query: RankedQuery, _ file: InvertedFile
    ) -> Range<Int> {
        let start = taken
        var end = min(Self.end(after: start), file.nlist)
        if threshold > -.infinity { end = min(end, max(start, parameters.probeMax)) }
        guard end > start else { return start..<start }
        // As far as the rest is looked at: what lies beyond hardly counts.
        let horizon = min(file.nlist, max(96, end + end / 4 + 48))
        ranking.sort(until: horizon)
        if threshold > -.infinity, !parameters.isExhaustive, start > 0 {
            end = firstUnworthy(start..<end, horizon, threshold, allowed: parameters.allowance * Float(k), selectivity, query, file)
        }
        taken = end
        return start..<end
    }

    /// The list at a rank that `next` has given.
    @inline(__always)
    func list(at rank: Int) -> Int { Int(truncatingIfNeeded: ranking.order[rank] & 0xFFFF_FFFF) }

    /// The first rank of a round from which on the lists are expected to hold few enough rows above the threshold; the round's end when there is none.
    private func firstUnworthy(
        _ round: Range<Int>, _ horizon: Int, _ threshold: Float, allowed: Float, _ selectivity: Float, _ query: RankedQuery,
        _ file: InvertedFile
    ) -> Int {
        let counts = file.columns.pointer(of: Float.self) + 4 * file.nlist
        return file.plan.chances.withUnsafeBufferPointer { chances in
            func missing(_ rank: Int) -> Float {
                let list = list(at: rank)
                let z = (threshold - query.means[list]) / query.widths[list]
                return counts[list] * selectivity * chances[ProbePlan.cell(rank: rank, z: z)]
            }
            // Behind the round first: mostly that is enough to go on.
            var sum: Float = 0
            for rank in round.upperBound..<horizon {
                sum += missing(rank)
                if sum > allowed { return round.upperBound }
            }
            var end = round.upperBound
            while end > round.lowerBound {
                sum += missing(end - 1)
                if sum > allowed { break }
                end -= 1
            }
            return end
        }
    }
}
