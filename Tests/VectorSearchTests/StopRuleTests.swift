import Foundation
import Kernels
import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// When a search ends: chances, prices, bounds, and what they come to on data.
struct StopRuleTests {
    private let folder = TemporaryFolder.inMemory()
    private static let parameters = IVFParameters(rowCountMin: 1, sampleFactor: 20, iterations: 4, threads: 2)

    private func index(_ data: ClusteredData, _ metric: Metric, name: String = "ivf", segments: Int = 1) throws -> IVFIndex {
        let index = try IVFIndex(
            directory: folder.path + "/" + name, dimension: data.dimension, metric: metric, recallTarget: 0.95,
            parameters: Self.parameters)
        for part in 0..<segments {
            try index.add(data.batch(data.count * part / segments..<data.count * (part + 1) / segments))
            if segments > 1 { try index.seal(at: position(Int64(part))) }
        }
        if segments == 1 { try index.compact(at: position(1)) }
        return index
    }

    private func truth(_ data: ClusteredData, _ metric: Metric, k: Int, filter: RowSet? = nil) throws -> [[RowHit]] {
        let exact = try FlatIndex(directory: folder.path + "/flat-\(UUID())", dimension: data.dimension, metric: metric)
        try exact.add(data.batch(0..<data.count))
        return try data.queries.map { try exact.search($0, k: k, filter: filter) }
    }

    private struct Outcome {
        var recall: Double
        var lists: Double
        var scanned: Double
    }

    private func outcome(
        _ index: IVFIndex, _ data: ClusteredData, k: Int, filter: RowSet? = nil, _ tuning: IVFIndex.Tuning, _ truth: [[RowHit]]
    ) throws -> Outcome {
        let results = try data.queries.map { try index.search($0, k: k, filter: filter, tuning: tuning) }
        let count = Double(results.count)
        return Outcome(
            recall: recall(results.map(\.hits), truth), lists: Double(results.reduce(0) { $0 + $1.work.lists }) / count,
            scanned: Double(results.reduce(0) { $0 + $1.work.scanned }) / count)
    }

    // MARK: On data

    @Test(arguments: Metric.allCases, [0.95, 0.99] as [Float])
    func `a search that is told a recall visits hardly more than the best fixed number of lists with that recall`(
        metric: Metric, target: Float
    ) throws {
        let data = ClusteredData(count: 8000, dimension: 48, queryCount: 200, seed: 77)
        let index = try index(data, metric)
        let truth = try truth(data, metric, k: 10)
        let told = try outcome(index, data, k: 10, .recall(target), truth)
        #expect(told.recall >= Double(target) - 0.03, "\(told)")
        var (low, high) = (1, index.description.nlist)
        while low < high {
            let middle = (low + high) / 2
            let fixed = try outcome(
                index, data, k: 10, .explicit(price: 0, signMargin: 2, fineMargin: 2, probeMax: middle), truth)
            if fixed.recall >= told.recall { high = middle } else { low = middle + 1 }
        }
        #expect(told.lists <= 1.2 * Double(low) + 1, "told \(told), fixed \(low)")
    }

    @Test(arguments: [0.5, 0.25])
    func `a filter costs neither recall nor many more rows`(share: Double) throws {
        let data = ClusteredData(count: 12_000, dimension: 48, queryCount: 150, seed: 78)
        let index = try index(data, .cosine)
        var generator = SeededGenerator(seed: 3)
        let filter = RowSet((1...12_000).filter { _ in Double.random(in: 0..<1, using: &generator) < share }.map { RowID($0) })
        #expect(filter.count > IVFIndex.exactFilterCountMax)
        let whole = try outcome(index, data, k: 10, .recall(0.95), truth(data, .cosine, k: 10))
        let part = try outcome(index, data, k: 10, filter: filter, .recall(0.95), truth(data, .cosine, k: 10, filter: filter))
        #expect(part.recall >= 0.92 && part.recall >= whole.recall - 0.025, "\(part), \(whole)")
        #expect(part.scanned <= (share < 0.4 ? 1.6 : 1.35) * whole.scanned, "\(part), \(whole)")
    }

    @Test func `several segments give the recall of one`() throws {
        let data = ClusteredData(count: 5400, dimension: 48, queryCount: 120, seed: 79)
        let truth = try truth(data, .l2, k: 10)
        let one = try outcome(index(data, .l2, name: "one"), data, k: 10, .recall(0.95), truth)
        let many = try index(data, .l2, name: "many", segments: 3)
        #expect(many.description.invertedFiles > 1)
        let several = try outcome(many, data, k: 10, .recall(0.95), truth)
        #expect(several.recall >= 0.92 && several.recall >= one.recall - 0.025, "\(several), \(one)")
    }

    @Test func `a small index is searched exactly, and a large one is not`() throws {
        let data = ClusteredData(count: 2000, dimension: 48, queryCount: 30, seed: 80)
        var parameters = Self.parameters
        parameters.exactRowCountMax = 2000
        let index = try IVFIndex(
            directory: folder.path + "/ivf", dimension: 48, metric: .l2, recallTarget: 0.5, parameters: parameters)
        try index.add(data.batch(0..<data.count))
        try index.seal(at: position(1))
        #expect(index.description.invertedFiles == 1)
        let truth = try truth(data, .l2, k: 10)
        #expect(try data.queries.map { try index.search($0, k: 10, filter: nil) } == truth)
        try index.add(VectorRows(rows: [RowID(5000)], values: data.row(0)))
        let work = try index.search(data.queries[0], k: 10, filter: nil, tuning: .recall(0.5)).work
        #expect(work.lists > 0 && work.scanned < 2000)
    }

    // MARK: Chances

    /// Counts as data gives them, with holes, rises and levels without hits.
    private static func counts(_ random: inout SeededGenerator) -> ProbePlan.Counts {
        var counts = ProbePlan.Counts()
        for index in counts.rows.indices where Int.random(in: 0..<4, using: &random) > 0 {
            let level = Float(index % ProbePlan.levelCount)
            let rank = Float(index / ProbePlan.levelCount)
            let rows = Float(Int.random(in: 1...100_000, using: &random))
            counts.rows[index] = rows
            counts.hits[index] = Bool.random(using: &random) ? 0 : (rows * expf(-level / 6 - rank / 2)).rounded()
        }
        for rank in [0, 7, 15, 19] where Bool.random(using: &random) {
            for level in 0..<ProbePlan.levelCount { counts.rows[rank * ProbePlan.levelCount + level] = 0 }
        }
        return counts
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `chances fall with the level and with the rank, and so do bounds`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let plan = ProbePlan(counts: Self.counts(&random))
        let chances = plan.chances
        let width = ProbePlan.levelCount
        for index in chances.indices {
            #expect(chances[index] >= 0 && chances[index] <= 1)
            if index % width > 0 { #expect(chances[index] <= chances[index - 1] * 1.0001, "seed \(seed), \(index)") }
            if index >= width { #expect(chances[index] <= chances[index - width] * 1.0001, "seed \(seed), \(index)") }
        }
        var before: [Float] = []
        for price: Float in [1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-9] {
            let bounds = plan.bounds(price: price)
            let values = (0..<5000).map { bounds($0) }
            #expect(values.allSatisfy { !$0.isNaN })
            #expect(zip(values, values.dropFirst()).allSatisfy { $0 >= $1 - 1e-4 }, "seed \(seed), price \(price)")
            if !before.isEmpty {
                #expect(zip(before, values).allSatisfy { $0 <= $1 + 1e-4 }, "seed \(seed): a lower price visits less")
            }
            before = values
        }
        let free = plan.bounds(price: 0)
        #expect([0, 1, 100, 1 << 20].allSatisfy { free($0) > 1e20 })
    }

    @Test func `many rows without a hit are no proof that there is none`() {
        var counts = ProbePlan.Counts()
        for index in counts.rows.indices { counts.rows[index] = 1000 }
        let plan = ProbePlan(counts: counts)
        #expect(plan.chances.allSatisfy { $0 > 0 && $0 < 1e-4 })
    }

    // MARK: Prices

    @Test(arguments: [true, false])
    func `a price falls with the recall and rises with k`(isLearned: Bool) {
        var random = SeededGenerator(seed: 9)
        var plan = ProbePlan(counts: Self.counts(&random))
        if isLearned {
            plan = plan.calibrated([
                .init(k: 10, recall: 0.8, price: 4e-3), .init(k: 10, recall: 0.95, price: 2e-4), .init(k: 10, recall: 0.985, price: 4e-5),
                .init(k: 100, recall: 0.85, price: 4e-3), .init(k: 100, recall: 0.97, price: 4e-4),
                .init(k: 100, recall: 0.99, price: 1e-4),
            ])
        }
        let recalls: [Float] = [0.1, 0.5, 0.8, 0.9, 0.95, 0.97, 0.985, 0.99, 0.995, 0.999, 0.99999]
        for k: Float in [0.1, 1, 3, 10, 30, 100, 200, 10_000] {
            let prices = recalls.map { plan.price(recall: $0, k: k) }
            #expect(prices.allSatisfy { $0 > 0 && $0.isFinite })
            #expect(zip(prices, prices.dropFirst()).allSatisfy { $0 >= $1 }, "k \(k): \(prices)")
            #expect(plan.price(recall: 1, k: k) == 0 && plan.price(recall: 2, k: k) == 0)
        }
        for recall in recalls {
            let prices = ([1, 3, 10, 30, 100, 200, 10_000] as [Float]).map { plan.price(recall: recall, k: $0) }
            #expect(zip(prices, prices.dropFirst()).allSatisfy { $0 <= $1 * 1.0001 }, "recall \(recall): \(prices)")
        }
        if isLearned {
            #expect(abs(plan.price(recall: 0.95, k: 10) / 2e-4 - 1) < 0.01)
            #expect(abs(plan.price(recall: 0.97, k: 100) / 4e-4 - 1) < 0.01)
        }
    }

    @Test func `a plan in a file is the plan, and other numbers are none`() {
        var random = SeededGenerator(seed: 10)
        let plan = ProbePlan(counts: Self.counts(&random)).calibrated([.init(k: 10, recall: 0.9, price: 1e-3)])
        #expect(ProbePlan(values: plan.values, prices: plan.priceValues) == plan)
        #expect(ProbePlan(values: plan.values.dropLast(), prices: plan.priceValues) == nil)
        #expect(ProbePlan(values: plan.values, prices: plan.priceValues.dropLast()) == nil)
        #expect(ProbePlan(values: plan.values, prices: [10, 0.9, -1] as [Float]) == nil)
        #expect(ProbePlan(values: plan.values, prices: [10, .nan, 1] as [Float]) == nil)
        #expect(ProbePlan.exhaustive.isExhaustive && !plan.isExhaustive)
        let stored = ProbePlan(values: ProbePlan.exhaustive.values, prices: ProbePlan.exhaustive.priceValues)
        #expect(stored == .exhaustive && stored?.price(recall: 0.5, k: 10) == 0)
    }
}
