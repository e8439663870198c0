import ArgumentParser
import Foundation
import Kernels
import Storage
import Synchronization
import VectorSearch

/// `outrider bench ann`: Outrider's side of the nearest-neighbour benchmark. Each command prints JSON lines; Benchmarks/ann/run.py drives it beside the peers.
struct BenchAnn: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ann", abstract: "Measures the vector index on a folder of base.npy, query.npy, gt.npy and meta.json.",
        subcommands: [Build.self, Search.self, Filter.self, Churn.self, Quantisation.self, BenchAnnWriter.self])

    struct DataOptions: ParsableArguments {
        @Option(help: "Folder with base.npy, query.npy (float32), gt.npy (int32) and meta.json.") var data: String
        @Option(help: "Folder of the index.") var index: String
    }

    /// What the data folder holds.
    struct DataSet {
        let metric: Metric
        let dimension: Int
        let queries: [[Float]]
        let truth: [Set<Int64>]
        let name: String
        static let k = 10

        init(_ folder: String, withTruth: Bool = true) throws {
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
            let query = try NumpyFile(path: folder + "/query.npy")
            let dimension = query.columns
            self.dimension = dimension
            let values = try query.values(of: Float.self)
            queries = (0..<query.rows).map { Array(values[$0 * dimension..<($0 + 1) * dimension]) }
            if withTruth {
                let truth = try NumpyFile(path: folder + "/gt.npy")
                let rows = try truth.values(of: Int32.self)
                self.truth = (0..<truth.rows).map { row in
                    Set(rows[row * truth.columns..<row * truth.columns + Self.k].map { Int64($0) + 1 })
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

// MARK: - Build

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

// MARK: - Search

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
                "Measures just this setting: allowance, fine margin, most lists (0: as many as the plan says), sign margin; separated by commas."
        ) var explicit: String?

        struct Setting {
            var allowance: Float
            var fineMargin: Float = 2
            /// 0: no bound.
            var probeMax = 0
            var signMargin: Float
            var tuning: IVFIndex.Tuning {
                .explicit(
                    allowance: allowance, signMargin: signMargin, fineMargin: fineMargin, probeMax: probeMax == 0 ? .max : probeMax)
            }
        }

        func run() throws {
            let clock = ContinuousClock()
            let data = try DataSet(options.data)
            let loaded = Usage.memory
            let start = clock.now
            let index = try IVFIndex(directory: options.index, dimension: data.dimension, metric: data.metric, readOnly: true)
            let open = (clock.now - start).seconds
            if let recallTarget {
                try measure(
                    index, data, .recall(recallTarget), loaded: loaded, ["target": Double(recallTarget), "as_set": true, "open_s": open])
                return
            }
            if let explicit {
                let numbers = explicit.split(separator: ",").compactMap { Float($0) }
                guard numbers.count == 4 else { throw ValidationError("--explicit is '\(explicit)'; give four numbers") }
                let setting = Setting(allowance: numbers[0], fineMargin: numbers[1], probeMax: Int(numbers[2]), signMargin: numbers[3])
                try measure(index, data, setting.tuning, loaded: loaded, ["setting": describe(setting), "open_s": open])
                return
            }
            // The sweep: a coarse pass over the queries for each setting, the fastest that holds for each target.
            let some = data.queries.prefix(500)
            var sweep: [(setting: Setting, recall: Double, qps: Double)] = []
            let allowances: [Float] = [0.5, 0.35, 0.25, 0.18, 0.13, 0.1, 0.075, 0.055, 0.04, 0.03, 0.022, 0.016, 0.01, 0.006, 0.003, 0.001]
            let fixed = [1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024]
            for signMargin: Float in [0.7, 1.0, 1.4, 2.0] {
                let settings =
                    allowances.map { Setting(allowance: $0, signMargin: signMargin) }
                    + fixed.map { Setting(allowance: 0, probeMax: $0, signMargin: signMargin) }
                var isDone = false
                for (number, setting) in settings.enumerated() {
                    if number == allowances.count { isDone = false }
                    if isDone { continue }
                    var best = 0.0
                    var hits: [[RowHit]] = []
                    // The better of two by CPU time: what else the machine does shall not choose the setting.
                    for _ in 0..<2 {
                        let start = Usage.threadSeconds
                        hits = try some.map { (query) throws in
                            try index.search(query, k: DataSet.k, filter: nil, tuning: setting.tuning).hits
                        }
                        best = max(best, Double(some.count) / (Usage.threadSeconds - start))
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
                    printJSON([
                        "curve": true, "method": "outrider", "setting": describe(point.setting), "recall": try recallOnAll(point.setting),
                        "one1_qps": point.qps,
                    ])
                }
            }
            for target in targets.split(separator: ",").compactMap({ Double($0) }) {
                let promising = sweep.filter { $0.recall >= target - 0.01 }.sorted { $0.qps > $1.qps }
                guard let best = try promising.first(where: { try recallOnAll($0.setting) >= target }) else {
                    printJSON(["method": "outrider", "target": target, "error": "no setting of the sweep reaches it"])
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
                "allowance": Double(setting.allowance), "fine_margin": Double(setting.fineMargin), "probe_max": setting.probeMax,
                "sign_margin": Double(setting.signMargin),
            ]
        }

        private func measure(
            _ index: IVFIndex, _ data: DataSet, _ tuning: IVFIndex.Tuning, loaded: Usage.Memory, _ more: [String: Any]
        ) throws {
            let clock = ContinuousClock()
            let k = DataSet.k
            var latencies: [Double] = []
            var hits: [[RowHit]] = []
            var work = IVFIndex.Work()
            let cpu = Usage.threadSeconds
            for query in data.queries {
                let start = clock.now
                let found = try index.search(query, k: k, filter: nil, tuning: tuning)
                latencies.append((clock.now - start).seconds)
                hits.append(found.hits)
                work.lists += found.work.lists
                work.scanned += found.work.scanned
                work.refined += found.work.refined
                work.exact += found.work.exact
            }
            let searchCPU = Usage.threadSeconds - cpu
            let after = Usage.memory
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
            let two = (clock.now - start).seconds
            let flat = data.queries.flatMap { $0 }
            func batch(_ threads: Int) throws -> Double {
                let start = clock.now
                let results = try index.search(batch: flat, k: k, filter: nil, threads: threads, tuning: tuning)
                precondition(results.count == data.queries.count)
                return Double(results.count) / (clock.now - start).seconds
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
            line.merge(more) { $1 }
            printJSON(line)
        }
    }
}

// MARK: - Filtered search

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
                var generator = SeededNumbers(seed: UInt64(share * 1000))
                let filter = RowSet(rows.filter { _ in generator.unit() < share })
                var found = 0
                var wanted = 0
                var (quick, slow) = (0.0, 0.0)
                for query in data.queries.prefix(queries) {
                    var start = clock.now
                    let hits = try index.search(query, k: DataSet.k, filter: filter, tuning: .recall(recallTarget)).hits
                    quick += (clock.now - start).seconds
                    start = clock.now
                    let truth = Set(try exact.search(query, k: DataSet.k, filter: filter).map(\.row))
                    slow += (clock.now - start).seconds
                    found += hits.filter { truth.contains($0.row) }.count
                    wanted += truth.count
                }
                let count = Double(min(queries, data.queries.count))
                printJSON([
                    "method": "outrider", "report": "filter", "share": share, "qualifying": filter.count,
                    "recall": Double(found) / Double(wanted),
                    "qps": count / quick, "exact_scan_qps": count / slow, "ratio": slow / quick, "recall_target": Double(recallTarget),
                ])
            }
        }
    }
}

// MARK: - Churn

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
            let base = try NumpyFile(path: options.data + "/base.npy")
            let dimension = data.dimension
            let initial = rows ?? base.rows / 2
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
                        own.append((clock.now - start).seconds)
                        number += 2
                    }
                    pauses.withLock { $0 += own }
                }
            }
            // The writer: batches of upserts (new rows, and old ids with another vector) and deletes; seals on the way.
            var generator = SeededNumbers(seed: 5)
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
                    let place = generator.below(base.rows)
                    let isNew = generator.unit() < 0.7
                    let id = isNew ? nextID : Int64(generator.below(Int(nextID) - 1) + 1)
                    if isNew { nextID += 1 }
                    rows.append(RowID(id))
                    values += try base.rows(place..<place + 1, of: Float.self)
                    live.insert(id)
                    source[id] = place
                }
                try index.add(VectorRows(rows: rows, values: values))
                var removed: [RowID] = []
                for _ in 0..<100 {
                    let id = Int64(generator.below(Int(nextID) - 1) + 1)
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
                    sealSeconds += (clock.now - start).seconds
                    sealed += 1
                }
            }
            let churnSeconds = (clock.now - start).seconds
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
                return (Double(found) / Double(DataSet.k * truth.count), Double(truth.count) / (clock.now - start).seconds)
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
            printJSON([
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

// MARK: - Quantisation

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
                printJSON([
                    "method": "outrider", "report": "quantisation", "codes": line.name, "bytes_per_vector": line.size,
                    "compression": line.compression,
                    "recall_codes_only": line.recall, "recall_after_rerank": line.rerankedRecall, "reranked": line.reranked,
                ])
            }
        }
    }
}

// MARK: - Parts

/// A two-dimensional array in a file of NumPy's format 1.0 or 2.0, little-endian, row by row; mapped, not read.
struct NumpyFile {
    let rows: Int
    let columns: Int
    private let element: String
    private let data: Data
    private let offset: Int
    private let path: String

    init(path: String) throws {
        self.path = path
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        func refuse(_ reason: String) -> ValidationError { ValidationError("'\(path)' is no NumPy array that can be read: \(reason)") }
        guard data.count > 12, data.prefix(6) == Data([0x93] + Array("NUMPY".utf8)) else { throw refuse("it does not begin as one") }
        let isLong = data[data.startIndex + 6] > 1
        let start = isLong ? 12 : 10
        let length = data.withUnsafeBytes { bytes in
            isLong
                ? Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
                : Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        }
        guard start + length <= data.count else { throw refuse("its header is cut off") }
        let header = String(decoding: data[data.startIndex + start..<data.startIndex + start + length], as: UTF8.self)
        guard let shape = header.firstMatch(of: /'shape': \((\d+), ?(\d+),?\)/), let rows = Int(shape.1), let columns = Int(shape.2),
            let kind = header.firstMatch(of: /'descr': '([<|]\w+)'/), header.contains("'fortran_order': False")
        else { throw refuse("expected two dimensions in C order, got \(header)") }
        self.rows = rows
        self.columns = columns
        element = String(kind.1)
        offset = start + length
    }

    func values<Element: BitwiseCopyable>(of type: Element.Type) throws -> [Element] { try rows(0..<rows, of: type) }

    func rows<Element: BitwiseCopyable>(_ range: Range<Int>, of type: Element.Type) throws -> [Element] {
        let expected = type == Float.self ? "<f4" : "<i4"
        let first = offset + range.lowerBound * columns * 4
        let size = range.count * columns * 4
        guard element == expected, first + size <= data.count else {
            throw ValidationError("'\(path)' holds \(element) in \(data.count) bytes, expected \(rows) × \(columns) of \(expected)")
        }
        return [Element](unsafeUninitializedCapacity: range.count * columns) { buffer, filled in
            data.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<first + size]))
            }
            filled = range.count * columns
        }
    }
}

/// What this process has used.
enum Usage {
    struct Memory {
        var resident = 0
        var anonymous = 0
        var file = 0
    }

    static var cpuSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(0), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Processor time of this thread.
    static var threadSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static var peakResidentSize: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(0), &usage)
        return usage.ru_maxrss * 1024
    }

    /// From /proc/self/status, in bytes; zeros where that is not to be had.
    static var memory: Memory {
        var memory = Memory()
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return memory }
        for line in text.split(separator: "\n") {
            let size = line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
            if line.hasPrefix("VmRSS:") { memory.resident = size * 1024 }
            if line.hasPrefix("RssAnon:") { memory.anonymous = size * 1024 }
            if line.hasPrefix("RssFile:") { memory.file = size * 1024 }
        }
        return memory
    }
}

/// Seeded numbers for benchmarks: a linear congruential generator (Knuth, TAOCP 2, 3.3.4), its high bits.
struct SeededNumbers {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 2 &+ 1 }
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    mutating func unit() -> Double { Double(next()) / Double(1 << 31) }
}

extension Duration {
    /// In seconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// Prints one JSON line with sorted keys.
func printJSON(_ object: [String: Any]) {
    let data = try! JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
    print(String(decoding: data, as: UTF8.self))
    fflush(nil)
}
