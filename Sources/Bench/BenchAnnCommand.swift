import ArgumentParser
import Foundation
import StaticInference
import Storage
import VectorSearch

/// `outrider-bench ann`: Outrider's side of the nearest-neighbour benchmark. Each command prints JSON lines; Benchmarks/ann/run.py drives it beside the peers.
struct BenchAnn: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ann", abstract: "Measures the vector index on a folder of base.npy, query.npy, gt.npy and meta.json.",
        subcommands: [
            Build.self, Search.self, Stopping.self, Hits.self, Clients.self, Filter.self, Churn.self, Quantisation.self,
            BenchAnnWriter.self,
        ])

    struct DataOptions: ParsableArguments {
        @Option(help: "Folder with base.npy, query.npy (float32), gt.npy (int32) and meta.json.") var data: String
        @Option(help: "Folder of the index.") var index: String
        @Option(help: "Segments with fewer rows have no lists and are scanned exactly.") var exactRows: Int = IVFParameters().rowCountMin
    }

    /// What the data folder holds.
    struct DataSet {
        let metric: Metric
        let dimension: Int
        let queries: [[Float]]
        let truth: [Set<Int64>]
        let name: String
        static let k = 10

        init(_ folder: String, withTruth: Bool = true, k: Int = Self.k) throws {
            struct Meta: Decodable {
                var name: String
                var metric: String
            }
            let meta = try JSONDecoder().decode(Meta.self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/meta.json")))
            guard let metric = meta.metric == "ip" ? .innerProduct : Metric(rawValue: meta.metric) else {
                throw ValidationError("the metric '\(meta.metric)' of \(folder)/meta.json is none of l2, cosine, ip")
            }
            name = meta.name
            self.metric = metric
            let query = try NumPyFile.Mapped(folder + "/query.npy")
            let dimension = query.columnCount
            self.dimension = dimension
            let values = try query.values(of: Float.self)
            queries = (0..<query.rowCount).map { Array(values[$0 * dimension..<($0 + 1) * dimension]) }
            if withTruth {
                let truth = try NumPyFile.Mapped(folder + "/gt.npy")
                let rows = try truth.values(of: Int32.self)
                self.truth = (0..<truth.rowCount).map { row in
                    Set(rows[row * truth.columnCount..<row * truth.columnCount + k].map { Int64($0) + 1 })
                }
            } else {
                truth = []
            }
        }

        func recall(_ hits: [[RowHit]]) -> Double {
            var found = 0
            for (hits, truth) in zip(hits, truth) {
                found += hits.prefix(Self.k).reduce(0) { $0 + (truth.contains($1.row.rawValue) ? 1 : 0) }
            }
            return Double(found) / Double(Self.k * max(1, min(hits.count, truth.count)))
        }
    }
}
