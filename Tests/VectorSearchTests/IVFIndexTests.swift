import Foundation
import Kernels
import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

/// Vectors in clusters, as embeddings lie: a centre each, and a spread around it that differs from coordinate to coordinate.
struct ClusteredData {
    let dimension: Int
    let rows: [Float]
    let queries: [[Float]]

    init(count: Int, dimension: Int, queryCount: Int, clusterCount: Int = 40, scale: Float = 1, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        self.dimension = dimension
        func normal() -> Float {
            let (a, b) = (Float.random(in: 1e-7..<1, using: &generator), Float.random(in: 0..<1, using: &generator))
            return (-2 * Foundation.log(a)).squareRoot() * Foundation.cos(2 * .pi * b)
        }
        let widths = (0..<dimension).map { 2 / (1 + Float($0) * 8 / Float(dimension)) }
        let centres = (0..<clusterCount).map { _ in widths.map { $0 * normal() } }
        let offset = widths.map { _ in 0.5 * normal() }
        func vector() -> [Float] {
            let centre = centres[Int.random(in: 0..<clusterCount, using: &generator)]
            return (0..<dimension).map { scale * (offset[$0] + centre[$0] + 0.7 * widths[$0] * normal()) }
        }
        rows = (0..<count).flatMap { _ in vector() }
        queries = (0..<queryCount).map { _ in vector() }
    }

    var count: Int { rows.count / dimension }
    func row(_ index: Int) -> [Float] { Array(rows[index * dimension..<(index + 1) * dimension]) }

    /// Rows of a range under their number plus 1.
    func batch(_ range: Range<Int>) -> VectorRows {
        VectorRows(
            rows: range.map { RowID(Int64($0) + 1) }, values: Array(rows[range.lowerBound * dimension..<range.upperBound * dimension]))
    }
}

/// Quick to build: tests are not about the quality of k-means.
let quickParameters = IVFParameters(rowCountMin: 1, sampleFactor: 10, iterations: 3, threads: 2, planSampleCount: 64)

/// The share of the true hits that were found.
func recall(_ hits: [[RowHit]], _ truth: [[RowHit]]) -> Double {
    var (found, wanted) = (0, 0)
    for (hits, truth) in zip(hits, truth) {
        // A row that ties with the last true one is as good.
        let limit = truth.last?.score ?? -.infinity
        found += hits.filter { $0.score >= limit }.count
        wanted += truth.count
    }
    return Double(found) / Double(max(1, wanted))
}

/// How far the writer of a test has come.
private final class Progress: Sendable {
    let started = Atomic(-1)
    let removed = Atomic(-1)
    let sealed = Atomic(0)
    let isDone = Atomic(false)
}

/// What only inverted lists have: recall, plans, estimates, several parts.
struct IVFIndexTests {
    private let folder = TemporaryFolder.inMemory()

    private func open(
        _ dimension: Int, _ metric: Metric, recallTarget: Float = 1, _ parameters: IVFParameters = quickParameters, name: String = "ivf",
        readOnly: Bool = false
    ) throws -> IVFIndex {
        try IVFIndex(
            directory: folder.path + "/" + name, dimension: dimension, metric: metric, readOnly: readOnly, recallTarget: recallTarget,
            parameters: parameters)
    }

    private func oracle(_ dimension: Int, _ metric: Metric) throws -> FlatIndex {
        try FlatIndex(directory: folder.path + "/flat", dimension: dimension, metric: metric)
    }

    // MARK: Recall

    /// With the whole calibration, where recall is what is tested.
    private static let calibrated = IVFParameters(rowCountMin: 1, sampleFactor: 20, iterations: 4, threads: 2)

    @Test(arguments: [1, 3, 100], [Metric.cosine, .l2])
    func `recall reaches its target for any k`(k: Int, metric: Metric) throws {
        let data = ClusteredData(count: 5000, dimension: 64, queryCount: k < 10 ? 200 : 60, seed: 21)
        let index = try open(64, metric, recallTarget: 1, Self.calibrated)
        let exact = try oracle(64, metric)
        for index in [index, exact] as [any VectorIndex] { try index.add(data.batch(0..<data.count)) }
        try index.compact(at: position(1))
        let truth = try data.queries.map { try exact.search($0, k: k, filter: nil) }
        for target in [0.8, 0.95] as [Float] {
            let found = recall(try data.queries.map { try index.search($0, k: k, filter: nil, tuning: .recall(target)).hits }, truth)
            #expect(found >= Double(target) - 0.03, "target \(target): \(found)")
        }
    }

    @Test(arguments: Metric.allCases, [64, 100, 784])
    func `recall reaches its target`(metric: Metric, dimension: Int) throws {
        let data = ClusteredData(count: dimension > 500 ? 2000 : 4000, dimension: dimension, queryCount: 50, seed: UInt64(dimension))
        let index = try open(dimension, metric, recallTarget: 1, Self.calibrated)
        let exact = try oracle(dimension, metric)
        for index in [index, exact] as [any VectorIndex] { try index.add(data.batch(0..<data.count)) }
        try index.compact(at: position(1))
        #expect(index.description.invertedFiles == 1 && index.description.nlist > 50)
        let truth = try data.queries.map { try exact.search($0, k: 10, filter: nil) }
        var lists = 0
        for target in [0.8, 0.95, 0.99] as [Float] {
            let results = try data.queries.map { try index.search($0, k: 10, filter: nil, tuning: .recall(target)) }
            let found = recall(results.map(\.hits), truth)
            // Fifty queries: 0.03 are three standard errors of the sample, the rest is what the plan may be wrong.
            #expect(found >= Double(target) - 0.045, "target \(target): \(found)")
            let probed = results.reduce(0) { $0 + $1.work.lists }
            #expect(probed >= lists, "a higher target probes more lists")
            lists = probed
            if target == 0.8 { #expect(probed < data.queries.count * index.description.nlist / 2, "some lists are left out") }
            // Scores are exact, whichever rows were found.
            for (query, result) in zip(data.queries, results).prefix(10) {
                #expect(try exact.scores(of: result.hits.map(\.row), for: query) == result.hits)
            }
        }
    }

    /// Ten thousand real vectors.
    @Test(.enabled(if: MNIST.isThere, "needs mnist-784 in the shared data"), arguments: [Metric.l2, .cosine])
    func `recall reaches its target on digits`(metric: Metric) throws {
        let data = try MNIST(rowCount: 10_000, queryCount: 100)
        let index = try open(784, metric, recallTarget: 1, Self.calibrated)
        let exact = try oracle(784, metric)
        let batch = VectorRows(rows: (1...10_000).map { RowID($0) }, values: data.rows)
        for index in [index, exact] as [any VectorIndex] { try index.add(batch) }
        try index.compact(at: position(1))
        let truth = try data.queries.map { try exact.search($0, k: 10, filter: nil) }
        for target in [0.8, 0.95, 0.99] as [Float] {
            let hits = try data.queries.map { try index.search($0, k: 10, filter: nil, tuning: .recall(target)).hits }
            let found = recall(hits, truth)
            #expect(found >= Double(target) - 0.03, "target \(target): \(found)")
        }
    }

    /// Lengths of any size: the same clusters, scaled.
    @Test(arguments: [1e-4, 1e4] as [Float], [Metric.l2, .innerProduct])
    func `recall does not depend on the vectors' scale`(scale: Float, metric: Metric) throws {
        let data = ClusteredData(count: 2500, dimension: 64, queryCount: 40, scale: scale, seed: 5)
        let index = try open(64, metric)
        let exact = try oracle(64, metric)
        for index in [index, exact] as [any VectorIndex] { try index.add(data.batch(0..<data.count)) }
        try index.compact(at: position(1))
        let truth = try data.queries.map { try exact.search($0, k: 10, filter: nil) }
        let hits = try data.queries.map { try index.search($0, k: 10, filter: nil, tuning: .recall(0.95)).hits }
        #expect(recall(hits, truth) >= 0.92, "scale \(scale): \(recall(hits, truth))")
    }

    // MARK: Exactness

    @Test(arguments: Metric.allCases, [1, 7, 64, 65, 100, 200])
    func `an exhaustive search equals the flat scan bit for bit`(metric: Metric, dimension: Int) throws {
        let data = ClusteredData(count: 900, dimension: dimension, queryCount: 8, seed: UInt64(dimension) + 100)
        let index = try open(dimension, metric, recallTarget: 1)
        let exact = try oracle(dimension, metric)
        // Two parts, rows in memory, deleted rows in each and replaced ones.
        for (range, seals) in [(0..<400, true), (400..<700, true), (700..<900, false)] {
            for index in [index, exact] as [any VectorIndex] {
                try index.add(data.batch(range))
                if seals { try index.seal(at: position(Int64(range.upperBound))) }
            }
        }
        let gone = (0..<900).filter { $0 % 7 == 3 }.map { RowID(Int64($0) + 1) }
        let replaced = VectorRows(rows: [5, 450, 800].map { RowID($0) }, values: Array(data.rows[..<(3 * dimension)]))
        for index in [index, exact] as [any VectorIndex] {
            index.remove(gone)
            try index.add(replaced)
        }
        #expect(index.description.invertedFiles == 2)
        let half = RowSet((0..<900).filter { $0 % 2 == 0 }.map { RowID($0) })
        for query in data.queries {
            for k in [1, 10, 100, 5000] {
                #expect(try index.search(query, k: k, filter: nil) == exact.search(query, k: k, filter: nil), "k \(k)")
            }
            #expect(try index.search(query, k: 20, filter: half) == exact.search(query, k: 20, filter: half))
        }
    }

    @Test(arguments: [Metric.cosine, .l2])
    func `filters let only their members through and keep the recall`(metric: Metric) throws {
        let data = ClusteredData(count: 9000, dimension: 64, queryCount: 80, seed: 8)
        let index = try open(64, metric, recallTarget: 1, Self.calibrated)
        let exact = try oracle(64, metric)
        for index in [index, exact] as [any VectorIndex] { try index.add(data.batch(0..<data.count)) }
        try index.compact(at: position(1))
        let gone = (1...9000).filter { $0 % 11 == 0 }.map { RowID($0) }
        for index in [index, exact] as [any VectorIndex] { index.remove(gone) }
        var generator = SeededGenerator(seed: 9)
        for share in [0.01, 0.1, 0.3, 0.5] {
            let members = Set((1...9000).filter { _ in Double.random(in: 0..<1, using: &generator) < share } as [Int64])
            let filter = RowSet(members.map { RowID($0) })
            #expect((filter.count > IVFIndex.exactFilterCountMax) == (share > 0.2), "both ways are taken")
            let truth = try data.queries.map { try exact.search($0, k: 10, filter: filter) }
            let hits = try data.queries.map { try index.search($0, k: 10, filter: filter, tuning: .recall(0.95)).hits }
            #expect(recall(hits, truth) >= 0.92, "share \(share): \(recall(hits, truth))")
            #expect(hits.joined().allSatisfy { members.contains($0.row.rawValue) && $0.row.rawValue % 11 != 0 })
            #expect(hits.allSatisfy { $0.count == 10 })
        }
    }

    // MARK: Changes

    @Test(arguments: [0.8, 1] as [Float])
    func `removed and replaced rows never return, from lists, small segments or memory`(recallTarget: Float) throws {
        let dimension = 64
        let data = ClusteredData(count: 3000, dimension: dimension, queryCount: 20, seed: 3)
        // Segments below 500 rows have no lists.
        let parameters = IVFParameters(rowCountMin: 500, sampleFactor: 10, iterations: 2, threads: 2, planSampleCount: 64)
        let index = try open(dimension, .cosine, recallTarget: recallTarget, parameters)
        let exact = try oracle(dimension, .cosine)
        for range in [0..<1400, 1400..<2600, 2600..<2700, 2700..<2750] {
            try index.add(data.batch(range))
            try index.seal(at: position(Int64(range.upperBound)))
        }
        try index.add(data.batch(2750..<3000))
        try exact.add(data.batch(0..<3000))
        let parts = index.flat.snapshot.sealed.map { index.files.part(for: $0) != nil }
        #expect(parts.contains(true) && parts.contains(false) && index.unsealedCount > 0, "\(parts)")

        var generator = SeededGenerator(seed: 4)
        var gone: Set<Int64> = []
        func check(_ comment: String) throws {
            for query in data.queries {
                let hits = try index.search(query, k: 30, filter: nil)
                #expect(hits.allSatisfy { !gone.contains($0.row.rawValue) }, "\(comment)")
                // A replaced row under its new vector only, that is with its new score.
                #expect(try exact.scores(of: hits.map(\.row), for: query) == hits, "\(comment)")
                #expect(hits.count == 30, "\(comment)")
            }
            #expect(index.count == exact.count && index.liveRows() == exact.liveRows(), "\(comment)")
        }
        for round in 0..<4 {
            // The best answers go, so that they would show.
            let best = try Set(data.queries.prefix(8).flatMap { try exact.search($0, k: 12, filter: nil).map(\.row) })
            let removed = best.filter { _ in Bool.random(using: &generator) }
            let replaced = best.subtracting(removed).sorted()
            let values = replaced.flatMap { _ in data.row(Int.random(in: 0..<3000, using: &generator)).map { $0 * -0.5 + 0.1 } }
            for index in [index, exact] as [any VectorIndex] {
                index.remove(Array(removed))
                try index.add(VectorRows(rows: replaced, values: values))
            }
            gone.formUnion(removed.map(\.rawValue))
            try check("round \(round)")
            if round == 1 { try index.seal(at: position(4000, 1)) }
            try check("round \(round), sealed or not")
        }
        try index.compact(at: position(4000, 2))
        try check("compacted")
        #expect(index.description.invertedFiles == 1)
        #expect(index.verify() == [])
        let reopened = try open(dimension, .cosine, recallTarget: recallTarget, parameters)
        #expect(reopened.liveRows() == exact.liveRows() && reopened.verify() == [] && reopened.repairs == [])
        #expect(try reopened.search(data.queries[0], k: 30, filter: nil) == index.search(data.queries[0], k: 30, filter: nil))
    }

    /// Rows 1...600 stay; the others come and go while two threads search and one seals and compacts.
    @Test(arguments: [0.9, 1] as [Float])
    func `searches during changes, seals and compactions see only rows that lived`(recallTarget: Float) async throws {
        let dimension = 64
        let data = ClusteredData(count: 600, dimension: dimension, queryCount: 1, seed: 61)
        let parameters = IVFParameters(rowCountMin: 1, sampleFactor: 5, iterations: 1, threads: 1, planSampleCount: 16)
        let index = try open(dimension, .l2, recallTarget: recallTarget, parameters)
        try index.add(data.batch(0..<600))
        try index.seal(at: position(600))
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { progress.isDone.store(true, ordering: .sequentiallyConsistent) }
                var round = 0
                while round < 400 || progress.sealed.load(ordering: .relaxed) < 12 {
                    progress.started.store(round, ordering: .sequentiallyConsistent)
                    let ids = (0..<4).map { RowID(Int64(10_000 + round * 4 + $0)) }
                    // Nearer to the query than anything else, so that every search would show them.
                    try index.add(VectorRows(rows: ids, values: Array(repeatElement(data.queries[0], count: 4).joined())))
                    index.remove(ids.map { RowID($0.rawValue - 4) })
                    progress.removed.store(round - 1, ordering: .sequentiallyConsistent)
                    round += 1
                    await Task.yield()
                }
            }
            group.addTask {
                var turn: Int64 = 1
                while !progress.isDone.load(ordering: .sequentiallyConsistent) {
                    if turn % 3 == 0 { try index.compact(at: position(turn)) } else { try index.seal(at: position(turn)) }
                    turn += 1
                    progress.sealed.add(1, ordering: .relaxed)
                    await Task.yield()
                }
            }
            for _ in 0..<2 {
                group.addTask {
                    while !progress.isDone.load(ordering: .sequentiallyConsistent) {
                        let goneBefore = progress.removed.load(ordering: .sequentiallyConsistent)
                        let hits = try index.search(data.queries[0], k: 20, filter: nil)
                        let begunAfter = progress.started.load(ordering: .sequentiallyConsistent)
                        let ids = hits.map(\.row.rawValue)
                        #expect(hits.count == 20 && Set(ids).count == 20)
                        let changing = ids.filter { $0 >= 10_000 }.map { Int($0 - 10_000) / 4 }
                        #expect(changing.allSatisfy { $0 > goneBefore && $0 <= begunAfter }, "\(changing), \(goneBefore), \(begunAfter)")
                        #expect(changing.count % 4 == 0, "half of a batch")
                        await Task.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(index.count == 604)
        #expect(index.verify() == [])
        let reopened = try open(dimension, .l2, recallTarget: recallTarget, parameters)
        #expect(reopened.repairs == [])
    }

    /// Two sealers at once take turns, and neither removes what the other is just making.
    @Test func `seals and compactions from two threads keep every inverted file`() async throws {
        let parameters = IVFParameters(rowCountMin: 1, sampleFactor: 2, iterations: 1, threads: 1, planSampleCount: 0)
        let index = try open(8, .l2, recallTarget: 1, parameters)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in 0..<3 as Range<Int64> {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(thread))
                    for round in 0..<60 as Range<Int64> {
                        try index.add(rows(Array(thread * 10_000 + round * 10..<thread * 10_000 + round * 10 + 10), 8, &generator))
                        if round % 4 == thread { try index.compact(at: position(round)) } else { try index.seal(at: position(round)) }
                        await Task.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(index.count == 1800)
        #expect(index.verify() == [])
        #expect(index.description.invertedFiles == index.description.segments)
        let reopened = try open(8, .l2, recallTarget: 1, parameters, readOnly: true)
        #expect(reopened.description.invertedFiles == reopened.description.segments, "every file is on disk")
    }

    // MARK: Odd shapes

    @Test(arguments: Metric.allCases)
    func `odd requests and odd data get plain answers`(metric: Metric) throws {
        let dimension = 70
        let data = ClusteredData(count: 300, dimension: dimension, queryCount: 3, seed: 71)
        let index = try open(dimension, metric, recallTarget: 0.95)
        let exact = try oracle(dimension, metric)
        // Fifty zero vectors and a hundred times the same one among the rest.
        let zeros = VectorRows(rows: (1001...1050).map { RowID($0) }, values: [Float](repeating: 0, count: 50 * dimension))
        let twins = VectorRows(rows: (2001...2100).map { RowID($0) }, values: Array(repeatElement(data.row(7), count: 100).joined()))
        for index in [index, exact] as [any VectorIndex] {
            for batch in [data.batch(0..<300), zeros, twins] { try index.add(batch) }
        }
        try index.seal(at: position(2100))
        #expect(index.description.invertedFiles == 1)
        for query in data.queries + [[Float](repeating: 0, count: dimension), data.row(7)] {
            #expect(try index.search(query, k: 0, filter: nil) == [])
            #expect(try index.search(query, k: -3, filter: nil) == [])
            #expect(try index.search(query, k: 1, filter: nil).count == 1)
            // With k of all rows nothing may be left out, whatever the target.
            for k in [450, 451, 10_000, .max] {
                #expect(try index.search(query, k: k, filter: nil) == exact.search(query, k: k, filter: nil), "k \(k)")
            }
        }
        // The twins are the hundred and one nearest to one of them, in the order of ids where scores tie.
        let hits = try index.search(data.row(7), k: 101, filter: nil)
        if metric != .innerProduct { #expect(Set(hits.map(\.row)) == Set(twins.rows + [RowID(8)])) }
        #expect(zip(hits, hits.dropFirst()).allSatisfy { $0.score > $1.score || ($0.score == $1.score && $0.row < $1.row) })
        #expect(index.verify() == [])
    }

    @Test(arguments: Metric.allCases)
    func `an index of one vector many times finds it`(metric: Metric) throws {
        for (name, vector) in [("plain", [Float](repeating: 0.5, count: 64)), ("zero", [Float](repeating: 0, count: 64))] {
            let index = try open(64, metric, recallTarget: 0.9, name: name)
            try index.add(VectorRows(rows: (1...500).map { RowID($0) }, values: Array(repeatElement(vector, count: 500).joined())))
            try index.seal(at: position(500))
            #expect(index.description.invertedFiles == 1)
            for query in [vector, [Float](repeating: -1, count: 64), [1] + [Float](repeating: 0, count: 63)] {
                let hits = try index.search(query, k: 10, filter: nil)
                #expect(hits.count == 10 && Set(hits.map(\.row)).count == 10)
                #expect(Set(hits.map(\.score)).count == 1)
            }
            #expect(try index.search(vector, k: 500, filter: nil).map(\.row.rawValue) == Array(1...500))
            #expect(index.verify() == [])
        }
    }

    @Test(arguments: [1, 2, 7, 8, 31, 32, 33, 100], [1, 5, 1000])
    func `any number of rows and lists goes together`(rowCount: Int, nlist: Int) throws {
        let data = ClusteredData(count: rowCount, dimension: 65, queryCount: 5, clusterCount: 3, seed: UInt64(rowCount))
        var parameters = quickParameters
        parameters.nlist = nlist
        let index = try open(65, .l2, recallTarget: 0.9, parameters)
        let exact = try oracle(65, .l2)
        for index in [index, exact] as [any VectorIndex] { try index.add(data.batch(0..<rowCount)) }
        try index.seal(at: position(1))
        #expect(index.description.invertedFiles == 1 && index.description.nlist == min(nlist, rowCount))
        for query in data.queries {
            #expect(try index.search(query, k: 1, filter: nil).count == 1)
            #expect(try index.search(query, k: rowCount, filter: nil) == exact.search(query, k: rowCount, filter: nil))
        }
        #expect(index.verify() == [])
        #expect(try open(65, .l2, recallTarget: 0.9, parameters).repairs == [])
    }

    /// Finite numbers whose squares are not. Such rows have no usable codes; they must not stop the program, nor be lost.
    @Test(arguments: [Metric.innerProduct, .l2])
    func `numbers that overflow when squared are found exactly`(metric: Metric) throws {
        let big = Float.greatestFiniteMagnitude
        let index = try open(2, metric, recallTarget: 0.95)
        let exact = try oracle(2, metric)
        var values: [Float] = [big, big, -big, big, 1, 1]
        for number in 0..<97 { values += [Float(number), 1] }
        let batch = VectorRows(rows: (1...100).map { RowID($0) }, values: values)
        for index in [index, exact] as [any VectorIndex] {
            try index.add(batch)
            try index.seal(at: position(100))
        }
        let queries: [[Float]] = [[big, big], [1, 1], [-big, 0], [.leastNonzeroMagnitude, 0]]
        for query in queries {
            #expect(try index.search(query, k: 100, filter: nil) == exact.search(query, k: 100, filter: nil), "\(query)")
        }
        #expect(index.verify() == [])
        // Plain rows, huge queries.
        let plain = try open(2, metric, recallTarget: 0.95, name: "plain")
        try plain.add(VectorRows(rows: (4...100).map { RowID($0) }, values: Array(values[6...])))
        try plain.seal(at: position(100))
        exact.remove([1, 2, 3].map { RowID($0) })
        for query in queries {
            #expect(try plain.search(query, k: 97, filter: nil) == exact.search(query, k: 97, filter: nil), "\(query)")
        }
    }

    // MARK: Batches and parts

    @Test func `an exact batch finds what searches one by one find, on any number of threads`() throws {
        let data = ClusteredData(count: 2000, dimension: 100, queryCount: 50, seed: 13)
        let index = try open(100, .cosine, recallTarget: 0.9)
        try index.add(data.batch(0..<1500))
        try index.seal(at: position(1500))
        try index.add(data.batch(1500..<2000))
        let filter = RowSet((1...2000).filter { $0 % 3 != 0 }.map { RowID($0) })
        let flat = Array(data.queries.joined())
        for filter in [nil, filter] {
            let alone = try data.queries.map { try index.search($0, k: 10, filter: filter, tuning: .recall(1)).hits }
            for threads in [1, 2, 3, 16] {
                let batch = try index.search(batch: flat, k: 10, filter: filter, threads: threads, tuning: .recall(1))
                #expect(batch == alone, "\(threads) threads")
            }
        }
        #expect(try index.search(batch: [], k: 10, filter: nil, threads: 2) == [])
        #expect(throws: VectorIndexError.self) {
            _ = try index.search(batch: [Float](repeating: 0, count: 150), k: 1, filter: nil, threads: 2)
        }
        var bad = flat
        bad[777] = .nan
        #expect(throws: VectorIndexError.self) { _ = try index.search(batch: bad, k: 1, filter: nil, threads: 2) }
    }

    @Test(arguments: [Metric.cosine, .innerProduct, .l2], [1, 2])
    func `a batch finds as much as its queries one by one`(metric: Metric, threads: Int) throws {
        let data = ClusteredData(count: 9000, dimension: 64, queryCount: 80, seed: 18)
        let index = try open(64, metric, recallTarget: 0.95, Self.calibrated)
        let exact = try oracle(64, metric)
        // Two segments with lists, and rows in memory.
        for (range, high) in [(0..<5000, Int64(1)), (5000..<8800, 2)] {
            try index.add(data.batch(range))
            try index.seal(at: position(high))
        }
        try index.add(data.batch(8800..<9000))
        try exact.add(data.batch(0..<9000))
        let gone = (1...9000).filter { $0 % 13 == 0 }.map { RowID($0) }
        for index in [index, exact] as [any VectorIndex] { index.remove(gone) }
        #expect(index.description.invertedFiles == 2)
        let half = RowSet((1...9000).filter { $0 % 2 == 0 }.map { RowID($0) })
        let flat = data.queries.flatMap { $0 }
        for filter in [nil, half] {
            let truth = try data.queries.map { try exact.search($0, k: 10, filter: filter) }
            let single = try data.queries.map { try index.search($0, k: 10, filter: filter) }
            let batch = try index.search(batch: flat, k: 10, filter: filter, threads: threads)
            #expect(batch.count == data.queries.count && batch.allSatisfy { $0.count == 10 })
            #expect(batch == single)
            for (query, hits) in zip(data.queries, batch) {
                #expect(try exact.scores(of: hits.map(\.row), for: query).map(\.score).sorted(by: >) == hits.map(\.score))
                #expect(hits.allSatisfy { $0.row.rawValue % 13 != 0 && filter?.contains($0.row) ?? true })
            }
            // Everything looked at: no difference is left.
            let all = try index.search(batch: flat, k: 10, filter: filter, threads: threads, tuning: .recall(1))
            #expect(all == truth)
        }
        // A few are searched one by one.
        let few = try index.search(batch: Array(flat.prefix(3 * 64)), k: 10, filter: nil, threads: 1)
        #expect(try few == data.queries.prefix(3).map { try index.search($0, k: 10, filter: nil) })
        #expect(try index.search(batch: [], k: 10, filter: nil, threads: threads).isEmpty)
        #expect(throws: VectorIndexError.self) { try index.search(batch: Array(flat.prefix(65)), k: 10, filter: nil, threads: threads) }
    }

    /// Centroids that are hundreds of times longer than the residuals around them: the error of their codes is no longer small.
    @Test(arguments: [Metric.innerProduct, .l2])
    func `tight clusters far from the origin keep the recall`(metric: Metric) throws {
        let dimension = 64
        var generator = SeededGenerator(seed: 77)
        func random(_ scale: Float) -> [Float] { (0..<dimension).map { _ in Float.random(in: -scale...scale, using: &generator) } }
        // Pairs of clusters close together, so that the nearest rows lie in two lists.
        var values: [Float] = []
        var queries: [[Float]] = []
        for _ in 0..<40 {
            let centre = random(30)
            let shift = random(0.05)
            for row in 0..<100 {
                let noise = random(0.05)
                values += (0..<dimension).map { centre[$0] + (row % 2 == 0 ? shift[$0] : -shift[$0]) + noise[$0] }
            }
            let noise = random(0.05)
            queries.append((0..<dimension).map { centre[$0] + noise[$0] })
        }
        let index = try open(
            dimension, metric, recallTarget: 0.99, IVFParameters(rowCountMin: 500, nlist: 80, sampleFactor: 40, iterations: 8, threads: 1))
        let exact = try oracle(dimension, metric)
        let rows = VectorRows(rows: (1...4000).map { RowID($0) }, values: values)
        for index in [index, exact] as [any VectorIndex] { try index.add(rows) }
        try index.compact(at: position(1))
        #expect(index.description.invertedFiles == 1)
        let truth = try queries.map { try exact.search($0, k: 10, filter: nil) }
        let single = try queries.map { try index.search($0, k: 10, filter: nil) }
        // Below the target: a plan learned from 4,000 rows is coarse. Counting the blur three times changes nothing, so it is not what is missed.
        #expect(recall(single, truth) >= 0.95, "\(recall(single, truth))")
        let batch = try index.search(batch: queries.flatMap { $0 }, k: 10, filter: nil, threads: 1)
        #expect(recall(batch, truth) >= 0.95, "\(recall(batch, truth))")
    }

    @Test func `recall holds over several parts, and scratch memory fits any of them`() throws {
        let data = ClusteredData(count: 5200, dimension: 64, queryCount: 40, seed: 14)
        let index = try open(64, .l2, recallTarget: 0.95)
        let exact = try oracle(64, .l2)
        try exact.add(data.batch(0..<5200))
        for range in [0..<100, 100..<4400, 4400..<5100] {
            try index.add(data.batch(range))
            try index.seal(at: position(Int64(range.upperBound)))
        }
        try index.add(data.batch(5100..<5200))
        #expect(index.description.invertedFiles >= 2)
        let truth = try data.queries.map { try exact.search($0, k: 10, filter: nil) }
        for _ in 0..<2 {
            let found = recall(try data.queries.map { try index.search($0, k: 10, filter: nil) }, truth)
            #expect(found >= 0.92, "\(found)")
        }
    }

    // MARK: Estimates

    /// Each row's 1-bit estimate against its exact score, in units of |q − c| · factor, in which the file states its spread.
    @Test(arguments: Metric.allCases, [64, 200, 384])
    func `estimates are unbiased and spread as the file says`(metric: Metric, dimension: Int) throws {
        var data = ClusteredData(count: 1000, dimension: dimension, queryCount: 12, seed: UInt64(dimension) + 15)
        if metric == .cosine {
            func unit(_ vector: [Float]) -> [Float] {
                var vector = vector
                vector.withUnsafeMutableBufferPointer { _ = KernelTable.normalize($0) }
                return vector
            }
            data = ClusteredData(copying: data, rows: (0..<data.count).flatMap { unit(data.row($0)) }, queries: data.queries.map(unit))
        }
        let file = data.rows.withUnsafeBufferPointer {
            InvertedFile.build(values: .single($0), dimension: dimension, metric: metric, parameters: quickParameters)
        }
        let kernels = QuantizedKernels.best
        let padded = file.padded
        var (count, sum, squares) = (0, 0.0, 0.0)
        var lossMax = 0.0
        for query in data.queries {
            var rotated = query + [Float](repeating: 0, count: padded - dimension)
            kernels.rotate(&rotated, dimension: padded, flips: file.flips, rounds: InvertedFile.rotationRounds)
            var levels = [Int8](repeating: 0, count: padded)
            _ = kernels.centre(&rotated, mean: file.mean, dimension: padded, levels: &levels)
            var table = [UInt8](repeating: 0, count: padded * 4)
            let (step, total) = kernels.makeSignTable(rotated, dimension: padded, table: &table)
            let halfSquare = metric == .l2 ? 0 : query.reduce(0.0) { $0 + Double($1) * Double($1) } / 2
            for index in 0..<file.nlist {
                let list = file.list(index)
                // The one row of a list is its centroid: nothing to estimate.
                guard list.count > 1 else { continue }
                var distanceSquare = 0.0
                for coordinate in 0..<padded {
                    let difference = Double(rotated[coordinate]) - Double(file.centroids[index * padded + coordinate])
                    distanceSquare += difference * difference
                }
                let base = Float(halfSquare - distanceSquare / 2)
                var upper = [Float](repeating: 0, count: list.blockCount * 32)
                var masks = [UInt32](repeating: 0, count: list.blockCount)
                kernels.scanSigns(
                    list.blocks, blockCount: list.blockCount, dimension: padded, table: table, step: step, total: total, base: base,
                    margin: 0, threshold: 0, upper: &upper, masks: &masks)
                for row in 0..<list.count {
                    let vector = data.row(Int(list.rows[row]))
                    var exact = 0.0
                    for (a, b) in zip(query, vector) {
                        let (a, b) = (Double(a), Double(b))
                        exact += metric == .l2 ? -(a - b) * (a - b) / 2 : a * b
                    }
                    let block = UnsafeRawPointer(list.blocks + row / 32 * QuantizedKernels.blockSize(dimension: padded) + padded * 4)
                    let factor = Double(block.load(fromByteOffset: row % 32 * 4, as: Float.self))
                    // Rows that equal their list's mean have no residual to estimate.
                    guard factor > 1e-4 else { continue }
                    let error = (Double(upper[row]) - exact) / (factor * distanceSquare.squareRoot())
                    count += 1
                    sum += error
                    squares += error * error
                    lossMax = max(lossMax, abs(error))
                }
            }
        }
        #expect(count > data.queries.count * data.count * 9 / 10)
        let spread = Double(file.spread.sign)
        let found = (squares / Double(count)).squareRoot()
        #expect(abs(found / spread - 1) < 0.2, "found \(found), stated \(spread)")
        #expect(abs(sum / Double(count)) < 0.1 * spread, "mean error \(sum / Double(count)) at a spread of \(spread)")
        #expect(lossMax < 8 * spread)
    }
}

extension ClusteredData {
    init(copying data: ClusteredData, rows: [Float], queries: [[Float]]) {
        dimension = data.dimension
        self.rows = rows
        self.queries = queries
    }
}

/// The first rows of the shared digits (IDX files: big-endian magic number, rows, columns, then bytes).
struct MNIST {
    let rows: [Float]
    let queries: [[Float]]

    private static let folder = (SharedData.folder ?? "") + "/mnist-784"
    static let isThere = FileManager.default.fileExists(atPath: folder + "/base.u8.idx2.gz")

    init(rowCount: Int, queryCount: Int) throws {
        rows = try Self.read("base.u8.idx2.gz", rowCount)
        let flat = try Self.read("queries.u8.idx2.gz", queryCount)
        queries = (0..<queryCount).map { Array(flat[$0 * 784..<($0 + 1) * 784]) }
    }

    private static func read(_ name: String, _ count: Int) throws -> [Float] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", folder + "/" + name]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(bytes.starts(with: [0, 0, 8, 2]) && bytes.count >= 12 + count * 784, "\(name) is no IDX file of \(count) rows")
        return bytes[12..<12 + count * 784].map { Float($0) }
    }
}
