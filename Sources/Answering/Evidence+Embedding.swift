// Which sentences are embedded. A vector costs more than all else that an answer without a model does, and most of them would change nothing:
//
//     logit of a unit = what its words say + 1.345 · cosine       what is not known yet is known within bounds
//
//      rank   |  x         best: embedded first
//             |  x
//      cut ---|--|-------- the third best, or 0.35 of the best: what lies above is quoted
//             |  |  x      its range holds the cut: embedded
//             |     |
//             |        x   whatever its cosine, it is not quoted
//
// What is expected of a cosine before the unit is embedded (`UnitModel.expectedCosine`) comes from the passage, whose cosine the search knows, and from
// the unit's words. So the best units go one by one, until no other could change what is quoted. A question whose sources hold no answer ends after the first
// or second.
//
// This is the idea of pruned evaluation (Turtle and Flood, "Query evaluation: strategies and optimizations", 1995), with the range of a fitted estimate in place of an upper bound.

import Retrieval

extension Evidence {
    /// Which of an answer's units are embedded.
    enum Embedding: Sendable {
        /// The best unit of each source, then the best of all, at most so many.
        case best(Int)
        /// Those that may change what is quoted, at most so many. Where no cosine can be foreseen it is the best ones, as many as the second number says.
        case needed(Int, else: Int)
    }

    /// The units to embed when all are chosen at once, in their order: each source's best one, then the best of all, for a passage that is right in
    /// other words must get its chance.
    static func best(_ units: [ScoredUnit], countMax: Int) -> [Int] {
        var chosen: [Int] = []
        var seenSources: Set<Int> = []
        for index in units.indices where seenSources.insert(units[index].source).inserted { chosen.append(index) }
        let firsts = Set(chosen)
        for index in units.indices where !firsts.contains(index) { chosen.append(index) }
        return Array(chosen.prefix(countMax)).sorted()
    }

    /// Embeds units one by one as far as they are needed, and gives all of them their scores and directness.
    ///
    /// - Parameters:
    ///   - isKept: Which units are evidence; the others are scored by what is expected of them.
    ///   - confidence: By the kept units, best first, that there is an answer.
    /// - Returns: The question's vector; empty when there was no time for the first unit, and then the units are as they were but for their directness.
    static func embed(
        _ units: inout [ScoredUnit], _ isKept: [Bool], _ needed: NeededUnits, countMax: Int, _ sources: [Source],
        _ analysis: QuestionAnalysis,
        _ directness: Directness, confidence: ([ScoredUnit]) -> Float, _ embed: ([String]) async throws -> [[Float]]?
    ) async throws -> [Float] {
        var needed = needed
        var questionVector: [Float] = []
        var value: Float?
        for index in units.indices where isKept[index] { units[index].directness = directness.value(units[index]) * units[index].weight }
        while needed.embeddedCount < countMax,
            let index = needed.next(units.indices.map { isKept[$0] ? units[$0].directness : -1 }, confidence: value)
        {
            // Nothing is evidence.
            guard isKept[index] else { break }
            let texts =
                (questionVector.isEmpty ? [analysis.question] : []) + [embeddingText(sources[units[index].source], units[index].unit)]
            guard let vectors = try await embed(texts), vectors.count == texts.count else { break }
            if questionVector.isEmpty { questionVector = vectors[0] }
            units[index].vector = vectors[vectors.count - 1]
            let cosine = dot(units[index].vector, questionVector)
            units[index].features[UnitModel.cosineIndex] = cosine
            needed.set(cosine, of: index)
            units[index].directness = directness.value(units[index]) * units[index].weight
            // The first two tell whether there is an answer, the others which one.
            guard needed.embeddedCount <= 2 else { continue }
            for index in units.indices { units[index].score = needed.score(index) }
            var kept = zip(units, isKept).filter(\.1).map(\.0)
            sort(&kept)
            // A row that answers plainly is enough, whatever the model thinks of it.
            value = max(confidence(kept), kept.max { $0.rank < $1.rank }?.directness ?? 0)
        }
        guard !questionVector.isEmpty else { return [] }
        for index in units.indices { units[index].score = needed.score(index) }
        return questionVector
    }
}

/// What each unit may still become while others are embedded one by one.
///
/// A pure value: which unit comes next depends on the question, the sources and the cosines so far, never on time or on what a cache holds.
struct NeededUnits {
    /// Half of the range in which a cosine is thought to lie: some two standard deviations of what `UnitModel.expectedCosine` leaves open.
    static let spread: Float = 0.15
    /// Below this confidence after the first unit nothing will be quoted. Between here and what quoting takes by default a second one decides.
    static let hopeless: Float = 0.3
    /// From here on no second cosine changes whether there is an answer.
    static let sure: Float = 0.6

    private struct Unit {
        /// Log odds without the cosine.
        var base: Float
        var weight: Float
        var expected: Float
        var cosine: Float?
        var source: Int
    }

    private var units: [Unit]
    private let limits: ExtractiveAnswer.Limits
    private(set) var embeddedCount = 0

    /// Nil when no source has a cosine, so that nothing can be expected.
    init?(_ scored: [ScoredUnit], sources: [Source], limits: ExtractiveAnswer.Limits = .init()) {
        // A passage that only its words have found is no nearer than those that its vector has found.
        guard let least = sources.lazy.compactMap(\.passage.scores.vector).min() else { return nil }
        let cosineWeight = UnitModel.full.weights[UnitModel.cosineIndex]
        units = scored.map { unit in
            let logit = UnitModel.full.logit(unit.features) - cosineWeight * unit.features[UnitModel.cosineIndex]
            return Unit(
                base: logit, weight: unit.weight,
                expected: UnitModel.expectedCosine(
                    ofPassage: sources[unit.source].passage.scores.vector ?? least, coverage: unit.features[UnitModel.coverageIndex]),
                cosine: nil, source: unit.source)
        }
        self.limits = limits
    }

    func score(_ index: Int) -> Float { score(index, units[index].cosine ?? expectation(index)) }

    private func score(_ index: Int, _ cosine: Float) -> Float {
        LogisticModel.probability(units[index].base + UnitModel.full.weights[UnitModel.cosineIndex] * cosine) * units[index].weight
    }

    /// What is expected of a unit's cosine now: where the cosines so far are higher than was thought, so are others, in the same source above all.
    private func expectation(_ index: Int) -> Float {
        var all: (sum: Float, count: Float) = (0, 0)
        var near: (sum: Float, count: Float) = (0, 0)
        for unit in units {
            guard let cosine = unit.cosine else { continue }
            all = (all.sum + cosine - unit.expected, all.count + 1)
            if unit.source == units[index].source { near = (near.sum + cosine - unit.expected, near.count + 1) }
        }
        let common = all.sum / (all.count + 2)
        return units[index].expected + 0.5 * (near.count > 0 ? (near.sum + common) / (near.count + 1) : common)
    }

    mutating func set(_ cosine: Float, of index: Int) {
        precondition(units[index].cosine == nil, "unit \(index) is embedded already")
        units[index].cosine = cosine
        embeddedCount += 1
    }

    /// The unit whose cosine is to be known next; nil when none could change what is quoted.
    ///
    /// - Parameters:
    ///   - directness: Of each unit, weighted.
    ///   - confidence: That there is an answer; nil before the first unit.
    func next(_ directness: [Float], confidence: Float?) -> Int? {
        let ranks = units.indices.map { score($0) + 2 * directness[$0] }
        let order = units.indices.sorted { (ranks[$0], -$0) > (ranks[$1], -$1) }
        guard let best = order.first else { return nil }
        guard let confidence else { return best }
        let second = embeddedCount < 2 ? order.first { units[$0].cosine == nil } : nil
        if confidence < ConfidenceModel.refuseBelowDefault { return confidence < Self.hopeless ? nil : second }
        if units[best].cosine == nil { return best }
        let last = limits.unitCount - 1
        let place = order.count > last + 1 ? (ranks[order[last]] + ranks[order[last + 1]]) / 2 : 0
        let cut = max(limits.scoreShare * ranks[best], place)
        for index in order.prefix(24) where units[index].cosine == nil {
            let middle = expectation(index)
            if score(index, middle - Self.spread) + 2 * directness[index] <= cut,
                score(index, middle + Self.spread) + 2 * directness[index] >= cut
            {
                return index
            }
        }
        return confidence < Self.sure ? second : nil
    }
}
