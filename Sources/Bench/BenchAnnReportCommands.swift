import ArgumentParser
import Evaluation
import Execution
import Foundation
import Kernels
import Storage
import VectorSearch

extension BenchAnn {
    struct Filter: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measures searches among 1, 10 and 50 % of the rows, beside an exact scan of them.")
        @OptionGroup var options: DataOptions
        @Option(help: "Recall to aim at.") var recallTarget: Float = 0.95
        @Option(help: "Queries.") var queries: Int = 500

        func run() throws {
            let data = try DataSet(options.data)
            let index = try IVFIndex(directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true)
            let exact = try FlatIndex(directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true)
            let clock = ContinuousClock()
            let rows = index.liveRows()
            for share in [0.01, 0.1, 0.5] {
                var generator = SplitMix64(seed: UInt64(share * 1000))
                let filter = RowSet(rows.filter { _ in Double.random(in: 0..<1, using: &generator) < share })
                var found = 0
                var wanted = 0
                var (quick, slow) = (0.0, 0.0)
                for query in data.queries.prefix(queries) {
                    var start = clock.now
                    let hits = try index.search(query, k: DataSet.k, filter: filter, tuning: .recall(recallTarget)).hits
                    quick += (clock.now - start).inSeconds
                    start = clock.now
                    let truth = Set(try exact.search(query, k: DataSet.k, filter: filter).map(\.row))
                    slow += (clock.now - start).inSeconds
                    found += hits.filter { truth.contains($0.row) }.count
                    wanted += truth.count
                }
                let count = Double(min(queries, data.queries.count))
                BenchOutput.fields([
                    "method": "outrider", "report": "filter", "share": share, "qualifying": filter.count,
                    "recall": Double(found) / Double(wanted),
                    "qps": count / quick, "exact_scan_qps": count / slow, "ratio": slow / quick, "recall_target": Double(recallTarget),
                ])
            }
        }
    }
}

extension BenchAnn {
    struct Quantisation: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reports bytes for each vector against recall: codes alone, and after the exact re-rank.")
        @OptionGroup var options: DataOptions
        @Option(help: "Queries.") var queries: Int = 500

        func run() throws {
            let data = try DataSet(options.data)
            let index = try IVFIndex(directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true)
            for line in index.quantisationReport(
                queries: Array(data.queries.prefix(queries)), truth: Array(data.truth.prefix(queries)), k: DataSet.k)
            {
                BenchOutput.fields([
                    "method": "outrider", "report": "quantisation", "codes": line.name, "bytes_per_vector": line.size,
                    "compression": line.compression,
                    "recall_codes_only": line.recall, "recall_after_rerank": line.rerankedRecall, "reranked": line.reranked,
                ])
            }
        }
    }
}

extension BenchAnn {
    struct Hits: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the hits of every query, for judging what a depth and a recall are worth to a ranking.")
        @OptionGroup var options: DataOptions
        @Option(help: "Recall to aim at; 1 is exact.") var recallTarget: Float = 0.95
        @Option(help: "Hits of each query.") var k: Int = 100

        func run() throws {
            let data = try DataSet(options.data, withTruth: false)
            let index = try IVFIndex(
                directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true,
                parameters: IVFParameters(rowCountMin: options.exactRows))
            for query in data.queries {
                let hits = try index.search(query, k: k, filter: nil, tuning: .recall(recallTarget)).hits
                BenchOutput.fields(["rows": hits.map { $0.row.rawValue - 1 }, "scores": hits.map { Double($0.score) }])
            }
        }
    }
}
