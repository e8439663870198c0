import Kernels

/// What one search did, for reports.
struct ProbeCounts: Sendable, Equatable {
    var lists = 0
    var scanned = 0
    var refined = 0
    var exact = 0
}

/// Rows that may be among the answer, from all parts of an index, and the k-th best estimate so far.
///
/// What it holds in the end does not depend on the order in which candidates came.
struct CandidateSet {
    struct Candidate {
        var part: UInt32
        var position: UInt32
        /// Estimated score, and how far the exact one may lie from it.
        var score: Float
        var margin: Float
    }

    /// The k best estimates. Ids are `part << 32 | position`.
    var top: TopK
    var candidates: [Candidate] = []
    var counts = ProbeCounts()

    init(k: Int) { top = TopK(capacity: k) }

    /// Those that may be among the k best, by part, ascending: in the order in which they lie in the file.
    func survivors(part: UInt32) -> [UInt32] {
        let threshold = top.threshold
        var positions: [UInt32] = []
        for candidate in candidates where candidate.part == part && candidate.score + candidate.margin >= threshold {
            positions.append(candidate.position)
        }
        positions.sort()
        return positions
    }
}
