import ArgumentParser
import Dispatch
import Evaluation
import Execution
import Foundation
import Kernels
import StaticInference
import Storage
import Synchronization
import VectorSearch

extension BenchAnn {
    struct Churn: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Upserts and deletes rows while two threads search; then compares recall with a fresh build.")
        @OptionGroup var options: DataOptions
        @Option(help: "Upserts and deletes together.") var operations: Int = 100_000
        @Option(help: "Recall to aim at.") var recallTarget: Float = 0.95
        @Option(help: "Rows to begin with; the rest of base.npy is what is upserted.") var rows: Int?

        func run() throws {
            let data = try DataSet(options.data, withTruth: false)
            let base = try NumPyFile.Mapped(options.data + "/base.npy")
            let dimension = data.dimension
            let initial = rows ?? base.rowCount / 2
            try? FileManager.default.removeItem(atPath: options.index)
            let index = try IVFIndex(directory: options.index, dimension: dimension, metric: data.metric, recallTarget: recallTarget)
            for first in stride(from: 0, to: initial, by: 20_000) {
                let range = first..<min(initial, first + 20_000)
                try index.add(VectorRows(rows: range.map { RowID(Int64($0) + 1) }, values: base.rows(range, of: Float.self)))
            }
            try index.compact(at: IndexPosition(highWater: RowID(Int64(initial)), deletionSequence: 0))

            // A server has searched before: code and data are in memory.
            for query in data.queries.prefix(200) { _ = try index.search(query, k: DataSet.k, filter: nil) }
            // Two readers as long as the writer works.
            let isDone = Atomic(false)
            let pauses = Mutex([Double]())
            let clock = ContinuousClock()
            let group = DispatchGroup()
            let queries = data.queries
            for thread in 0..<2 {
                DispatchQueue.global().async(group: group) {
                    var own: [Double] = []
                    var number = thread
                    while !isDone.load(ordering: .relaxed) {
                        let start = clock.now
                        _ = try? index.search(queries[number % queries.count], k: DataSet.k, filter: nil)
                        own.append((clock.now - start).inSeconds)
                        number += 2
                    }
                    pauses.withLock { $0 += own }
                }
            }
            // The writer: batches of upserts (new rows, and old ids with another vector) and deletes; seals on the way.
            var generator = SplitMix64(seed: 5)
            var live = Set((1...initial).map { Int64($0) })
            var source: [Int64: Int] = [:]
            for id in live { source[id] = Int(id) - 1 }
            var nextID = Int64(initial) + 1
            var (done, sequence, sealed) = (0, Int64(0), 0)
            let start = clock.now
            var sealSeconds = 0.0
            while done < operations {
                var rows: [RowID] = []
                var values: [Float] = []
                for _ in 0..<100 {
                    let place = Int.random(in: 0..<base.rowCount, using: &generator)
                    let isNew = Double.random(in: 0..<1, using: &generator) < 0.7
                    let id = isNew ? nextID : Int64(Int.random(in: 0..<Int(nextID) - 1, using: &generator) + 1)
                    if isNew { nextID += 1 }
                    rows.append(RowID(id))
                    values += try base.rows(place..<place + 1, of: Float.self)
                    live.insert(id)
                    source[id] = place
                }
                try index.add(VectorRows(rows: rows, values: values))
                var removed: [RowID] = []
                for _ in 0..<100 {
                    let id = Int64(Int.random(in: 0..<Int(nextID) - 1, using: &generator) + 1)
                    if live.remove(id) != nil {
                        removed.append(RowID(id))
                        source[id] = nil
                    }
                }
                index.remove(removed)
                sequence += Int64(removed.count)
                done += rows.count + removed.count
                if index.unsealedCount >= 2_000 {
                    let start = clock.now
                    try index.seal(at: IndexPosition(highWater: RowID(nextID - 1), deletionSequence: sequence))
                    sealSeconds += (clock.now - start).inSeconds
                    sealed += 1
                }
            }
            let churnSeconds = (clock.now - start).inSeconds
            isDone.store(true, ordering: .relaxed)
            group.wait()
            let position = IndexPosition(highWater: RowID(nextID - 1), deletionSequence: sequence)
            try index.seal(at: position)

            let exact = try FlatIndex(directory: options.index, dimension: dimension, metric: data.metric, readOnly: true)
            let truth = try data.queries.map { Set(try exact.search($0, k: DataSet.k, filter: nil).map(\.row)) }
            func recall(_ index: IVFIndex) throws -> (recall: Double, qps: Double) {
                var found = 0
                let start = clock.now
                for (query, truth) in zip(data.queries, truth) {
                    found += try index.search(query, k: DataSet.k, filter: nil).filter { truth.contains($0.row) }.count
                }
                return (Double(found) / Double(DataSet.k * truth.count), Double(truth.count) / (clock.now - start).inSeconds)
            }
            let segments = index.description.segments
            let churned = try recall(index)
            let reopened = try IVFIndex(directory: options.index, dimension: dimension, metric: data.metric, readOnly: true)
            let flaws = reopened.verify()
            let isSame = Set(reopened.liveRows().map(\.rawValue)) == live
            let fresh = try IVFIndex(
                directory: options.index + "-fresh", dimension: dimension, metric: data.metric, recallTarget: recallTarget)
            let ids = live.sorted()
            for first in stride(from: 0, to: ids.count, by: 20_000) {
                let range = ids[first..<min(ids.count, first + 20_000)]
                var values: [Float] = []
                for id in range { values += try base.rows(source[id]!..<source[id]! + 1, of: Float.self) }
                try fresh.add(VectorRows(rows: range.map { RowID($0) }, values: values))
            }
            try fresh.compact(at: position)
            let rebuilt = try recall(fresh)
            try? FileManager.default.removeItem(atPath: options.index + "-fresh")
            let latencies = pauses.withLock { $0.sorted() }
            BenchOutput.fields([
                "method": "outrider", "report": "churn", "operations": done, "seconds": churnSeconds, "seals": sealed,
                "seal_s": sealSeconds,
                "live": live.count, "segments": segments, "searches": latencies.count,
                "search_p50_us": latencies[latencies.count / 2] * 1e6,
                "search_p99_us": latencies[latencies.count * 99 / 100] * 1e6, "search_max_ms": (latencies.last ?? 0) * 1e3,
                "recall": churned.recall, "fresh_recall": rebuilt.recall, "qps": churned.qps, "fresh_qps": rebuilt.qps,
                "verify_flaws": flaws.count,
                "rows_as_expected": isSame, "recall_target": Double(recallTarget),
            ])
            if !flaws.isEmpty || !isSame { throw ExitCode.failure }
        }
    }
}
