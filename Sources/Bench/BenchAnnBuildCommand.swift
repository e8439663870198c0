import ArgumentParser
import Execution
import Foundation
import Kernels
import StaticInference
import Storage
import VectorSearch

extension BenchAnn {
    struct Build: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Builds the index from base.npy and prints how long it took.")
        @OptionGroup var options: DataOptions
        @Option(help: "Threads.") var threads: Int = 2
        @Option(help: "Number of lists; by default the number of rows to the power of 0.58.") var nlist: Int?
        @Option(help: "Training rows for each list.") var sampleFactor: Int = IVFParameters().sampleFactor
        @Option(
            help: "Seals after so many rows, as a server does while documents come in, and leaves the segments as they are; 0: one segment."
        )
        var sealRows: Int = 0
        @Flag(help: "Half precision, as a server's indexes have; for cosine alone.") var half = false
        @Option(help: "Rounds of k-means.") var iterations: Int = IVFParameters().iterations

        func run() throws {
            let data = try DataSet(options.data, withTruth: false)
            try? FileManager.default.removeItem(atPath: options.index)
            let base = try NumPyFile.Mapped(options.data + "/base.npy")
            let parameters = IVFParameters(
                rowCountMin: options.exactRows, nlist: nlist, sampleFactor: sampleFactor, iterations: iterations, threads: threads)
            let clock = ContinuousClock()
            let start = clock.now
            let cpu = ProcessUsage.cpuSeconds
            let index = try IVFIndex(
                directory: options.index, dimension: data.dimension, metric: data.metric, precision: half ? .half : .single,
                parameters: parameters)
            let stretch = sealRows > 0 ? sealRows : 20_000
            for first in stride(from: 0, to: base.rowCount, by: stretch) {
                let range = first..<min(base.rowCount, first + stretch)
                try index.add(VectorRows(rows: range.map { RowID(Int64($0) + 1) }, values: base.rows(range, of: Float.self)))
                if sealRows > 0 { try index.seal(at: IndexPosition(highWater: RowID(Int64(range.upperBound)), deletionSequence: 0)) }
            }
            let added = clock.now
            if sealRows == 0 { try index.compact(at: IndexPosition(highWater: RowID(Int64(base.rowCount)), deletionSequence: 0)) }
            let description = index.description
            BenchOutput.fields([
                "method": "outrider", "data": data.name, "rows": base.rowCount, "dimension": data.dimension, "threads": threads,
                "build_s": (clock.now - start).inSeconds, "add_s": (added - start).inSeconds, "build_cpu_s": ProcessUsage.cpuSeconds - cpu,
                "file_B_per_vec": Double(description.codeSize + description.vectorSize) / Double(base.rowCount),
                "segments": description.segments, "code_B_per_vec": Double(description.codeSize) / Double(base.rowCount),
                "nlist": description.nlist,
                "sample_factor": sampleFactor, "iterations": iterations, "kernels": "\(instructionSet.rawValue)",
                "peak_rss_B_per_vec": Double(ProcessUsage.peakResidentSize) / Double(base.rowCount), "plan": description.plan,
            ])
        }
    }
}
