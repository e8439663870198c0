import ArgumentParser
import Execution
import Foundation
import Kernels
import StaticInference
import Storage
import VectorSearch

extension BenchAnn {
    /// The rule that ends a search beside the best fixed number of lists that finds as much.
    struct Stopping: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Measures what a search that is told only a recall visits, beside the best fixed number of lists with the same recall.")
        @OptionGroup var options: DataOptions
        @Option(help: "Recalls to ask for, separated by commas.") var targets: String = "0.95,0.99"
        @Option(
            help: "Hits wanted, separated by commas; up to 100 the truth is that of the folder, above and with a filter it is computed.")
        var k: String = "10"
        @Option(help: "Shares of the rows that a filter lets through, separated by commas; 1: no filter.") var shares: String = "1"
        @Option(help: "Queries.") var queries: Int = 1000
        @Option(help: "Runs of each; the least processor time counts.") var repetitions: Int = 3
        @Flag(help: "Leaves the fixed numbers out.") var plain = false

        struct Figures {
            var recall = 0.0
            var lists = 0.0
            var scanned = 0.0
            var refined = 0.0
            var exact = 0.0
            var cpu = Double.infinity
        }

        func run() throws {
            for k in k.split(separator: ",").compactMap({ Int($0) }) {
                for share in shares.split(separator: ",").compactMap({ Double($0) }) { try run(k, share) }
            }
        }

        private func run(_ k: Int, _ share: Double) throws {
            let needsTruth = share < 1 || k > 100
            let data = try DataSet(options.data, withTruth: !needsTruth, k: k)
            let index = try IVFIndex(
                directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true,
                parameters: IVFParameters(rowCountMin: options.exactRows))
            var filter: RowSet?
            if share < 1 {
                var generator = SplitMix64(seed: UInt64(share * 1000))
                filter = RowSet(index.liveRows().filter { _ in Double.random(in: 0..<1, using: &generator) < share })
            }
            let queries = Array(data.queries.prefix(queries))
            var truth = Array(data.truth.prefix(queries.count))
            if needsTruth {
                let exact = try FlatIndex(directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true)
                truth = try queries.map { Set(try exact.search($0, k: k, filter: filter).map(\.row.rawValue)) }
            }
            func measure(_ tuning: IVFIndex.Tuning) throws -> Figures {
                var run = Figures()
                var found = 0
                let cpu = ProcessUsage.threadSeconds
                for (number, query) in queries.enumerated() {
                    let result = try index.search(query, k: k, filter: filter, tuning: tuning)
                    found += result.hits.reduce(0) { $0 + (truth[number].contains($1.row.rawValue) ? 1 : 0) }
                    run.lists += Double(result.work.lists)
                    run.scanned += Double(result.work.scanned)
                    run.refined += Double(result.work.refined)
                    run.exact += Double(result.work.exact)
                }
                let count = Double(queries.count)
                return Figures(
                    recall: Double(found) / Double(max(1, truth.reduce(0) { $0 + $1.count })), lists: run.lists / count,
                    scanned: run.scanned / count, refined: run.refined / count, exact: run.exact / count,
                    cpu: (ProcessUsage.threadSeconds - cpu) / count * 1e6)
            }
            /// In turn, so that what else the machine does meets all alike.
            func leastTimes(_ tunings: [IVFIndex.Tuning]) throws -> [Double] {
                var times = tunings.map { _ in Double.infinity }
                for _ in 0..<repetitions {
                    for (place, tuning) in tunings.enumerated() { times[place] = min(times[place], try measure(tuning).cpu) }
                }
                return times
            }
            for target in targets.split(separator: ",").compactMap({ Float($0) }) {
                var set = try measure(.recall(target))
                var best: [(number: Int, margin: Float, figures: Figures)] = []
                for margin: Float in plain ? [] : [1, 1.5, 2] {
                    func fixed(_ number: Int) throws -> Figures {
                        try measure(.explicit(price: 0, signMargin: margin, fineMargin: 2, probeMax: number))
                    }
                    var (low, high) = (1, index.description.nlist)
                    guard try fixed(high).recall >= set.recall else { continue }
                    while low < high {
                        let middle = (low + high) / 2
                        if try fixed(middle).recall >= set.recall { high = middle } else { low = middle + 1 }
                    }
                    best.append((low, margin, try fixed(low)))
                }
                let times = try leastTimes(
                    [.recall(target)]
                        + best.map { .explicit(price: 0, signMargin: $0.margin, fineMargin: 2, probeMax: $0.number) })
                set.cpu = times[0]
                for place in best.indices { best[place].figures.cpu = times[place + 1] }
                var line: [String: Any] = [
                    "method": "outrider", "report": "stopping", "data": data.name, "rows": index.count,
                    "segments": index.description.segments,
                    "k": k, "share": share, "target": Double(target), "recall": set.recall, "lists": set.lists, "scanned": set.scanned,
                    "refined": set.refined, "exact": set.exact, "cpu_us": set.cpu,
                ]
                // The quickest of the margins for the time, the fewest lists of any for the lists.
                if let quickest = best.min(by: { $0.figures.cpu < $1.figures.cpu }),
                    let fewest = best.min(by: { $0.figures.lists < $1.figures.lists })
                {
                    line.merge([
                        "fixed_nprobe": quickest.number, "fixed_sign_margin": Double(quickest.margin),
                        "fixed_recall": quickest.figures.recall, "fixed_cpu_us": quickest.figures.cpu,
                        "fixed_lists": fewest.figures.lists, "fixed_scanned": fewest.figures.scanned,
                        "lists_ratio": set.lists / fewest.figures.lists, "scanned_ratio": set.scanned / fewest.figures.scanned,
                        "cpu_ratio": set.cpu / quickest.figures.cpu,
                    ]) { $1 }
                }
                BenchOutput.fields(line)
            }
        }
    }
}
