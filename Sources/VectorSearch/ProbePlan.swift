/// When may a search stop probing lists? Learned from the index itself when it is built.
///
/// Lists are probed best first. For the list at rank *r*, with *T* the k-th best score so far, `z = (T − mean) / width` says how far above the list's mean score a row must
/// lie to belong to the answer: `width` is the distance from query to centroid times the list's radius, so *z* is about the cosine between q − c and the row's residual.
/// The chance that a row of such a list is among the k nearest is counted over sample rows, in a table over rank (powers of two) and *z*. Where the expected number of such
/// rows in the lists that are left falls below `allowance · k`, the search stops.
///
/// The rank alone is a fixed `nprobe`; *z* alone trusts far lists too much. Together they stop about where a fixed `nprobe` would on questions like the documents, and
/// probe more for a question that is far from all of them, whose *T* is low. The allowance for each recall is calibrated on sample rows, themselves not counted.
///
/// The idea of estimating the recall that is still missing is that of Quake (Mohoney et al., OSDI 2025), with caps of spheres; here the chances are counted, because embeddings are
/// far from uniform.
///
/// As floats in a file: number of table entries, number of calibration points, the table, then recall and allowance in turn.
struct ProbePlan: Sendable, Equatable {
    /// Shape `[rankCount, levelCount]`: the chance of one row.
    private(set) var chances: [Float]
    /// Ascending in recall, descending in allowance.
    private(set) var points: [Point]

    struct Point: Sendable, Equatable {
        var recall: Float
        var allowance: Float
    }

    /// Ranks 0, 1-2, 3-6, 7-14, ...
    static let rankCount = 20
    /// *z* from −0.2 to 1 in steps of 0.02.
    static let levelCount = 60

    init(chances: [Float], points: [Point]) {
        precondition(chances.count == Self.rankCount * Self.levelCount, "\(chances.count) chances in a plan")
        self.chances = chances
        self.points = points
    }

    /// Everything may hold something: probes all lists.
    static let exhaustive = ProbePlan(chances: [Float](repeating: 1, count: rankCount * levelCount), points: [])

    /// What was counted over sample queries: rows, and those of them among the k nearest, by rank and level.
    struct Counts: Sendable {
        var hits = [Float](repeating: 0, count: ProbePlan.rankCount * ProbePlan.levelCount)
        var rows = [Float](repeating: 0, count: ProbePlan.rankCount * ProbePlan.levelCount)

        static func += (left: inout Counts, right: Counts) {
            for index in left.hits.indices {
                left.hits[index] += right.hits[index]
                left.rows[index] += right.rows[index]
            }
        }
    }

    /// Turns counts into chances: each level is pooled with its two neighbours on both sides, levels that were never seen take the nearest one that was, ranks that were never
    /// seen the chances of the rank before.
    init(counts: Counts) {
        var chances = [Float](repeating: 0, count: Self.rankCount * Self.levelCount)
        for rank in 0..<Self.rankCount {
            let start = rank * Self.levelCount
            var known: [Int] = []
            for level in 0..<Self.levelCount {
                let pool = start + max(0, level - 2)...start + min(Self.levelCount - 1, level + 2)
                let rows = counts.rows[pool].reduce(0, +)
                guard rows > 0 else { continue }
                chances[start + level] = counts.hits[pool].reduce(0, +) / rows
                known.append(level)
            }
            if known.isEmpty {
                if rank > 0 { for level in 0..<Self.levelCount { chances[start + level] = chances[start - Self.levelCount + level] } }
                continue
            }
            for level in 0..<Self.levelCount where !known.contains(level) {
                chances[start + level] = chances[start + known.min { abs($0 - level) < abs($1 - level) }!]
            }
        }
        self.init(chances: chances, points: [])
    }

    /// The same chances with calibration points.
    func calibrated(_ points: [Point]) -> ProbePlan { ProbePlan(chances: chances, points: points) }

    @inline(__always)
    static func cell(rank: Int, z: Float) -> Int {
        let band = min(rankCount - 1, Int.bitWidth - 1 - (rank + 1).leadingZeroBitCount)
        return band * levelCount + Int(min(max(z * 50 + 10, 0), Float(levelCount - 1)))
    }

    /// How many missed rows, for each of the *k*, are allowed at a recall; 0 means: probe everything that can matter.
    func allowance(recall: Float) -> Float {
        guard recall < 1, let first = points.first, let last = points.last else { return 0 }
        if recall <= first.recall { return first.allowance }
        for (low, high) in zip(points, points.dropFirst()) where recall <= high.recall {
            let part = (recall - low.recall) / max(high.recall - low.recall, 1e-6)
            return low.allowance + (high.allowance - low.allowance) * part
        }
        // Beyond what was measured the allowance goes to zero with what may be missed.
        return last.allowance * (1 - recall) / max(1 - last.recall, 1e-6)
    }

    var values: [Float] {
        [Float(chances.count), Float(points.count)] + chances + points.flatMap { [$0.recall, $0.allowance] }
    }

    /// Nil when the numbers are no plan.
    init?(values: some Collection<Float>) {
        let values = Array(values)
        let size = Self.rankCount * Self.levelCount
        guard values.count >= 2, values.allSatisfy(\.isFinite), values[0] == Float(size), values[1] >= 0, values[1] <= 1000,
            values.count == 2 + size + 2 * Int(values[1])
        else { return nil }
        chances = Array(values[2..<2 + size])
        points = stride(from: 2 + size, to: values.count, by: 2).map { Point(recall: values[$0], allowance: values[$0 + 1]) }
    }
}
