import Glibc

/// Which lists are worth a visit? Learned from the index itself when it is built.
///
/// Lists are looked at best first. For the list at rank *r*, with *T* the k-th best score so far, `z = (T − mean) / width` says how far above the list's mean score a row must
/// lie to belong to the answer: `width` is the distance from query to centroid times the list's radius, so *z* is about the cosine between q − c and the row's residual.
/// The chance that a row of such a list is among the k nearest is counted over sample rows, in a table over rank (powers of two) and *z*.
///
/// ```
///   chance of one row                 a search has a price p: the least chance for which a row is looked at.
///      │╲  rank 1                     Where a rank's curve crosses p lies the rank's bound on z:
///      │ ╲╲  rank 10
///   p ─┼──╲─╲────╲─── rank 100             visit the list  ⇔  T ≤ mean + bound(rank) · width
///      │   ╲  ╲    ╲
///      └────┴──┴─────── z             A higher T, a farther list or a later rank make it less worth.
/// ```
///
/// One price for all lists of all questions is what reaches a mean recall with the fewest rows: as long as one list gives more hits for its rows than another that was
/// left out, swapping the two would gain. A fixed `nprobe` pays the same number of lists for every question, and a rule that goes on until so many hits are expected
/// to be missed pays most for the questions where a list gives least. The price for each recall is calibrated on sample rows, themselves not counted, for a few sizes of the
/// answer; between and beyond these it follows powers of k.
///
/// A filter that lets a share *s* of the rows through makes *T* what it is for k/s rows without it, so it is a matter of k alone. Where an index has several files, all go by the
/// price of the largest.
///
/// The idea of estimating the recall that is still missing is that of Quake (Mohoney et al., OSDI 2025), with caps of spheres; here the chances are counted, because embeddings are
/// far from uniform. That lists are chosen by their own gain for their cost is the rule of Lagrange: the equal slopes of an allocation (Everett, Operations Research 11, 1963).
///
/// As floats in a file: in the section `plan` the number of table entries, 0, and the table; in the section `prices` k, recall and price of each point in turn. A file of before has
/// no section `prices` and other numbers behind the table: its chances serve, at prices that are usual, until its own are learned.
struct ProbePlan: Sendable, Equatable {
    /// Shape `[rankCount, levelCount]`: the chance of one row. Never rises with the level or with the rank.
    private(set) var chances: [Float]
    /// By k, then ascending in recall and descending in price.
    private(set) var prices: [Price]

    /// The price at which a search for k rows has a recall.
    struct Price: Sendable, Equatable {
        var k: Float
        var recall: Float
        var price: Float
    }

    /// Ranks 0, 1-2, 3-6, 7-14, ...
    static let rankCount = 20
    /// *z* from −0.2 to 1 in steps of 0.02.
    static let levelCount = 60
    private static let lowest: Float = -0.2
    private static let step: Float = 0.02
    /// A bound that every list is within.
    private static let unbounded: Float = 1e30

    init(chances: [Float], prices: [Price]) {
        precondition(chances.count == Self.rankCount * Self.levelCount, "\(chances.count) chances in a plan")
        self.chances = chances
        self.prices = prices
    }

    /// Everything may hold something: visits all lists.
    static let exhaustive = ProbePlan(chances: [Float](repeating: 1, count: rankCount * levelCount), prices: [])

    /// Whether nothing was learned: then every list is visited.
    var isExhaustive: Bool { prices.isEmpty && chances.allSatisfy { $0 >= 1 } }

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

    /// Turns counts into chances.
    ///
    /// A farther row is never the likelier one, so levels that say otherwise are few counts or odd ones (copies of one text, whose *T* is as high as it gets): they are
    /// pooled with their neighbours until the chances fall (Ayer et al., Annals of Mathematical Statistics 26, 1955). Levels that were never seen are pooled the same way.
    /// No hit among many rows is not no chance: each rank has a third of a hit.
    init(counts: Counts) {
        var chances = [Float](repeating: 0, count: Self.rankCount * Self.levelCount)
        for rank in 0..<Self.rankCount {
            let levels = rank * Self.levelCount..<(rank + 1) * Self.levelCount
            let rows = counts.rows[levels].reduce(0, +)
            if rows > 0 {
                let least = min(1, 1 / (3 * rows))
                let falling = Self.falling(hits: counts.hits[levels], rows: counts.rows[levels])
                for (index, chance) in zip(levels, falling) { chances[index] = min(1, max(chance, least)) }
            }
            for index in levels where rank > 0 {
                let before = chances[index - Self.levelCount]
                chances[index] = rows > 0 ? min(chances[index], before) : before
            }
        }
        self.init(chances: chances, prices: [])
    }

    /// The rates nearest to hits over rows that never rise.
    private static func falling(hits: ArraySlice<Float>, rows: ArraySlice<Float>) -> [Float] {
        var pools: [(hits: Float, rows: Float, count: Int)] = []
        for (hits, rows) in zip(hits, rows) {
            pools.append((hits, rows + 1e-3, 1))
            while pools.count > 1, let last = pools.last {
                let before = pools[pools.count - 2]
                guard before.hits * last.rows <= last.hits * before.rows else { break }
                pools.removeLast()
                pools[pools.count - 1] = (before.hits + last.hits, before.rows + last.rows, before.count + last.count)
            }
        }
        return pools.flatMap { pool in [Float](repeating: pool.hits / pool.rows, count: pool.count) }
    }

    /// The same chances with the prices of recalls.
    func calibrated(_ prices: [Price]) -> ProbePlan { ProbePlan(chances: chances, prices: prices) }

    @inline(__always)
    static func cell(rank: Int, z: Float) -> Int {
        let band = min(rankCount - 1, Int.bitWidth - 1 - (rank + 1).leadingZeroBitCount)
        return band * levelCount + Int(min(max((z - lowest) / step, 0), Float(levelCount - 1)))
    }

    // MARK: Prices

    /// The price at which a search for k rows reaches a recall; 0 when every list has to be visited.
    ///
    /// - Parameter k: Need not be whole, see above.
    func price(recall: Float, k: Float) -> Float {
        guard recall < 1, !isExhaustive else { return 0 }
        let k = min(max(k, 1), 100_000)
        var known: [(k: Float, price: Float)] = []
        for point in prices where known.last?.k != point.k {
            let points = prices.filter { $0.k == point.k }
            known.append((point.k, Self.price(recall: recall, points)))
        }
        guard let first = known.first, let last = known.last else { return Self.usualPrice(recall: recall, k: k) }
        // What holds for few holds for more.
        for index in known.indices.dropFirst() { known[index].price = max(known[index].price, known[index - 1].price) }
        if k <= first.k { return first.price * powf(k / first.k, Self.usualPowerOfK) }
        guard let above = known.firstIndex(where: { k <= $0.k }) else {
            return max(last.price, known[known.count - 1].price) * powf(k / last.k, Self.usualPowerOfK)
        }
        let (low, high) = (known[above - 1], known[above])
        return low.price * powf(high.price / low.price, logf(k / low.k) / logf(high.k / low.k))
    }

    /// By the missing share and the price as powers of each other between two points.
    private static func price(recall: Float, _ points: [Price]) -> Float {
        let missing = max(1 - recall, 1e-5)
        func lacking(_ point: Price) -> Float { max(1 - point.recall, 1e-5) }
        guard let first = points.first, let last = points.last else { return 0 }
        if missing >= lacking(first) { return first.price }
        for (low, high) in zip(points, points.dropFirst()) where missing >= lacking(high) {
            let part = logf(lacking(low) / missing) / max(logf(lacking(low) / lacking(high)), 1e-6)
            return low.price * powf(high.price / low.price, part)
        }
        // Beyond what was measured.
        return last.price * powf(missing / lacking(last), usualPower)
    }

    private static let usualPower: Float = 1.3
    private static let usualPowerOfK: Float = 0.3

    /// What text embeddings of 100,000 rows cost: for files of before prices.
    private static func usualPrice(recall: Float, k: Float) -> Float {
        0.0125 * powf(max(1 - recall, 1e-5), usualPower) * powf(k / 10, usualPowerOfK)
    }

    // MARK: Bounds

    /// How far above their mean lists may be asked to reach, by their rank.
    struct Bounds: Sendable, Equatable {
        /// One for each band of ranks, in its middle.
        fileprivate var levels = SIMD32<Float>(repeating: unbounded)

        /// Every list is within these.
        static let none = Bounds()

        /// Between the middles of two bands in proportion to the logarithm of the rank.
        @inline(__always)
        func callAsFunction(_ rank: Int) -> Float {
            let place = max(log2f(Float(rank + 1)) - 0.58, 0)
            let band = min(Int(place), ProbePlan.rankCount - 2)
            let part = min(place - Float(band), 1)
            return levels[band] * (1 - part) + levels[band + 1] * part
        }
    }

    /// The largest *z* of each rank at which a row is worth a price.
    func bounds(price: Float) -> Bounds {
        var bounds = Bounds.none
        guard price > 0 else { return bounds }
        for rank in 0..<Self.rankCount {
            let curve = chances[rank * Self.levelCount..<(rank + 1) * Self.levelCount]
            guard let level = curve.firstIndex(where: { $0 < price }) else { continue }
            let number = Float(level - curve.startIndex)
            // In the middle of a level its chance holds.
            var bound = Self.lowest + (number + 0.5) * Self.step
            if level > curve.startIndex {
                bound -= Self.step * min(1, logf(price / curve[level]) / max(logf(curve[level - 1] / curve[level]), 1e-6))
            } else {
                bound -= Self.step
            }
            bounds.levels[rank] = bound
        }
        return bounds
    }

    // MARK: In files

    var values: [Float] { [Float(chances.count), 0] + chances }
    var priceValues: [Float] { prices.flatMap { [$0.k, $0.recall, $0.price] } }

    /// Nil when the numbers are no plan.
    ///
    /// - Parameter prices: Nil in a file of before.
    init?(values: some Collection<Float>, prices: (some Collection<Float>)?) {
        let values = Array(values)
        let size = Self.rankCount * Self.levelCount
        guard values.count >= 2, values.allSatisfy(\.isFinite), values[0] == Float(size), values[1] >= 0, values[1] <= 1000,
            values.count == 2 + size + 2 * Int(values[1])
        else { return nil }
        chances = Array(values[2..<2 + size])
        self.prices = []
        guard let prices else {
            makeChancesFall()
            return
        }
        let numbers = Array(prices)
        guard numbers.count % 3 == 0, numbers.count <= 3000, numbers.allSatisfy({ $0.isFinite && $0 > 0 }) else { return nil }
        self.prices = stride(from: 0, to: numbers.count, by: 3).map {
            Price(k: numbers[$0], recall: numbers[$0 + 1], price: numbers[$0 + 2])
        }
    }

    /// Chances of a file of before may rise.
    private mutating func makeChancesFall() {
        let ones = [Float](repeating: 1, count: Self.levelCount)
        for rank in 0..<Self.rankCount {
            let levels = rank * Self.levelCount..<(rank + 1) * Self.levelCount
            let falling = Self.falling(hits: chances[levels], rows: ones[...])
            for (index, chance) in zip(levels, falling) {
                chances[index] = min(max(chance, 1e-7), rank > 0 ? chances[index - Self.levelCount] : 1)
            }
        }
    }
}
