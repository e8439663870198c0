import ArgumentParser
import Dispatch
import Execution
import Foundation
import Kernels
import Storage
import VectorSearch

extension BenchAnn {
    struct Search: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measures searches at the fastest setting that reaches each recall@10.")
        @OptionGroup var options: DataOptions
        @Option(help: "Recalls to reach, separated by commas.") var targets: String = "0.90,0.95,0.99"
        @Flag(help: "Prints the whole sweep as well.") var curve = false
        @Option(help: "Measures one recall target as a user would set it, without looking at the truth.") var recallTarget: Float?
        @Option(
            help:
                "Measures just this setting: least chance of a row, fine margin, most lists (0: as many as the chance says), sign margin; separated by commas."
        ) var explicit: String?

        struct Setting {
            /// 0: every list.
            var price: Float
            var fineMargin: Float = 2
            /// 0: no bound.
            var probeMax = 0
            var signMargin: Float
            var tuning: IVFIndex.Tuning {
                .explicit(
                    price: price, signMargin: signMargin, fineMargin: fineMargin, probeMax: probeMax == 0 ? .max : probeMax)
            }
        }

        func run() throws {
            let clock = ContinuousClock()
            let data = try DataSet(options.data)
            let loaded = ProcessUsage.memory
            let start = clock.now
            let index = try IVFIndex(
                directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true,
                parameters: IVFParameters(rowCountMin: options.exactRows))
            let open = (clock.now - start).inSeconds
            if let recallTarget {
                try measure(
                    index, data, .recall(recallTarget), loaded: loaded, ["target": Double(recallTarget), "as_set": true, "open_s": open])
                return
            }
            if let explicit {
                let numbers = explicit.split(separator: ",").compactMap { Float($0) }
                guard numbers.count == 4 else { throw ValidationError("--explicit is '\(explicit)'; give four numbers") }
                let setting = Setting(price: numbers[0], fineMargin: numbers[1], probeMax: Int(numbers[2]), signMargin: numbers[3])
                try measure(index, data, setting.tuning, loaded: loaded, ["setting": describe(setting), "open_s": open])
                return
            }
            // The sweep: a coarse pass over the queries for each setting, the fastest that holds for each target.
            let some = data.queries.prefix(500)
            var sweep: [(setting: Setting, recall: Double, qps: Double)] = []
            let prices: [Float] = [
                8e-3, 4e-3, 2.5e-3, 1.6e-3, 1e-3, 7e-4, 5e-4, 3.5e-4, 2.5e-4, 1.6e-4, 1e-4, 7e-5, 4e-5, 2e-5, 1e-5, 4e-6, 1e-6,
            ]
            let fixed = [1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024]
            for signMargin: Float in [0.7, 1.0, 1.4, 2.0] {
                let settings =
                    prices.map { Setting(price: $0, signMargin: signMargin) }
                    + fixed.map { Setting(price: 0, probeMax: $0, signMargin: signMargin) }
                var isDone = false
                for (number, setting) in settings.enumerated() {
                    if number == prices.count { isDone = false }
                    if isDone { continue }
                    var best = 0.0
                    var hits: [[RowHit]] = []
                    // The better of two by CPU time: what else the machine does shall not choose the setting.
                    for _ in 0..<2 {
                        let start = ProcessUsage.threadSeconds
                        hits = try some.map { (query) throws in
                            try index.search(query, k: DataSet.k, filter: nil, tuning: setting.tuning).hits
                        }
                        best = max(best, Double(some.count) / (ProcessUsage.threadSeconds - start))
                    }
                    let recall = data.recall(hits)
                    sweep.append((setting, recall, best))
                    isDone = recall > 0.998
                }
            }
            // What was promising on some queries is asked with all of them.
            func recallOnAll(_ setting: Setting) throws -> Double {
                data.recall(
                    try data.queries.map { (query) throws in
                        try index.search(query, k: DataSet.k, filter: nil, tuning: setting.tuning).hits
                    })
            }
            if curve {
                var fastest = 0.0
                for point in sweep.sorted(by: { $0.recall > $1.recall }) where point.qps > fastest {
                    fastest = point.qps
                    BenchOutput.fields([
                        "curve": true, "method": "outrider", "setting": describe(point.setting), "recall": try recallOnAll(point.setting),
                        "one1_qps": point.qps,
                    ])
                }
            }
            for target in targets.split(separator: ",").compactMap({ Double($0) }) {
                let promising = sweep.filter { $0.recall >= target - 0.01 }.sorted { $0.qps > $1.qps }
                guard let best = try promising.first(where: { try recallOnAll($0.setting) >= target }) else {
                    BenchOutput.fields(["method": "outrider", "target": target, "error": "no setting of the sweep reaches it"])
                    continue
                }
                try measure(
                    index, data, best.setting.tuning, loaded: loaded,
                    ["target": target, "setting": describe(best.setting), "open_s": open])
            }
        }

        private func describe(_ setting: Setting) -> [String: Any] {
            // In the order of the keys these are what --explicit takes.
            [
                "chance_min": Double(setting.price), "fine_margin": Double(setting.fineMargin), "probe_max": setting.probeMax,
                "sign_margin": Double(setting.signMargin),
            ]
        }

        private func measure(
            _ index: IVFIndex, _ data: DataSet, _ tuning: IVFIndex.Tuning, loaded: ProcessUsage.Memory, _ more: [String: Any]
        ) throws {
            let clock = ContinuousClock()
            let k = DataSet.k
            var latencies: [Double] = []
            var hits: [[RowHit]] = []
            var work = IVFIndex.Work()
            let cpu = ProcessUsage.threadSeconds
            for query in data.queries {
                let start = clock.now
                let found = try index.search(query, k: k, filter: nil, tuning: tuning)
                latencies.append((clock.now - start).inSeconds)
                hits.append(found.hits)
                work.lists += found.work.lists
                work.scanned += found.work.scanned
                work.refined += found.work.refined
                work.exact += found.work.exact
            }
            let searchCPU = ProcessUsage.threadSeconds - cpu
            let after = ProcessUsage.memory
            let total = latencies.reduce(0, +)
            latencies.sort()
            // Two threads, one query a call.
            let start = clock.now
            let queries = data.queries
            DispatchQueue.concurrentPerform(iterations: 2) { thread in
                for number in stride(from: thread, to: queries.count, by: 2) {
                    _ = try? index.search(queries[number], k: k, filter: nil, tuning: tuning)
                }
            }
            let two = (clock.now - start).inSeconds
            let flat = data.queries.flatMap { $0 }
            var batchHits: [[RowHit]] = []
            func batch(_ threads: Int) throws -> Double {
                let start = clock.now
                let results = try index.search(batch: flat, k: k, filter: nil, threads: threads, tuning: tuning)
                batchHits = results
                return Double(results.count) / (clock.now - start).inSeconds
            }
            let count = Double(data.queries.count)
            let rows = Double(index.count)
            var line: [String: Any] = [
                "method": "outrider", "data": data.name, "recall": data.recall(hits), "one1_qps": count / total,
                "one1_cpu_us": searchCPU / count * 1e6,
                "p50_us": latencies[latencies.count / 2] * 1e6, "p99_us": latencies[latencies.count * 99 / 100] * 1e6,
                "one2_qps": count / two, "batch1_qps": try batch(1), "batch2_qps": try batch(2),
                "rss_B_per_vec": Double(after.resident - loaded.resident) / rows,
                "rss_anon_B_per_vec": Double(after.anonymous - loaded.anonymous) / rows,
                "rss_file_B_per_vec": Double(after.file - loaded.file) / rows, "lists": Double(work.lists) / count,
                "scanned": Double(work.scanned) / count, "refined": Double(work.refined) / count, "exact": Double(work.exact) / count,
                "kernels": "\(instructionSet.rawValue)",
            ]
            // A batch visits the lists in another order.
            line["batch_recall"] = data.recall(batchHits)
            line.merge(more) { $1 }
            BenchOutput.fields(line)
        }
    }
}
