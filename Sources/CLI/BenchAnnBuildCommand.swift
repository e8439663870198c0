import ArgumentParser
import Foundation
import Kernels
import Storage
import VectorSearch

extension BenchAnn {
    struct Build: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Builds the index from base.npy and prints how long it took.")
        @OptionGroup var options: DataOptions
        @Option(help: "Threads.") var threads: Int = 2
        @Option(help: "Number of lists; by default the number of rows to the power of 0.58.") var nlist: Int?
        @Option(help: "Training rows for each list.") var sampleFactor: Int = IVFParameters().sampleFactor
        @Option(help: "Rounds of k-means.") var iterations: Int = IVFParameters().iterations

        func run() throws {
            let data = try DataSet(options.data, withTruth: false)
            try? FileManager.default.removeItem(atPath: options.index)
            let base = try NumpyFile(path: options.data + "/base.npy")
            let parameters = IVFParameters(nlist: nlist, sampleFactor: sampleFactor, iterations: iterations, threads: threads)
            let clock = ContinuousClock()
            let start = clock.now
            let cpu = Usage.cpuSeconds
            let index = try IVFIndex(directory: options.index, dimension: data.dimension, metric: data.metric, parameters: parameters)
            let stretch = 20_000
            for first in stride(from: 0, to: base.rows, by: stretch) {
                let range = first..<min(base.rows, first + stretch)
                try index.add(VectorRows(rows: range.map { RowID(Int64($0) + 1) }, values: base.rows(range, of: Float.self)))
            }
            let added = clock.now
            try index.compact(at: IndexPosition(highWater: RowID(Int64(base.rows)), deletionSequence: 0))
            let description = index.description
            printJSON([
                "method": "outrider", "data": data.name, "rows": base.rows, "dimension": data.dimension, "threads": threads,
                "build_s": (clock.now - start).seconds, "add_s": (added - start).seconds, "build_cpu_s": Usage.cpuSeconds - cpu,
                "file_B_per_vec": Double(description.codeSize + description.vectorSize) / Double(base.rows),
                "code_B_per_vec": Double(description.codeSize) / Double(base.rows), "nlist": description.nlist,
                "sample_factor": sampleFactor, "iterations": iterations, "kernels": "\(instructionSet.rawValue)",
                "peak_rss_B_per_vec": Double(Usage.peakResidentSize) / Double(base.rows), "plan": description.plan,
            ])
        }
    }
}
