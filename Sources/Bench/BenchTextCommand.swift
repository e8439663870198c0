import ArgumentParser
import Evaluation
import Execution
import Foundation
import Storage
import TextSearch

/// Measures the text index alone: what `Benchmarks/text/run.py` compares with other engines.
///
/// ```
///  passages --add in batches, seal as the server does--> index folder --open--> searches, one thread
///                                                             \--compact--> searches again
/// ```
struct BenchText: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "text",
        abstract: "Measures BM25 search over passages: latency, build time, size, freshness.",
        discussion: """
            PASSAGES and QUERIES are JSON lines with the members 'id' and 'text' ('_id' and 'title' are understood too). The passages go into a text index in
            a temporary folder, in batches and with the seals of a running server. Then every question is searched by one thread. Prints one JSON object.
            """)

    @Argument(help: "Passages, JSON lines.")
    var passages: String

    @Argument(help: "Questions, JSON lines.")
    var queries: String

    @Option(name: .long, help: "Results of a search.")
    var k = 100

    @Option(name: .long, help: "At most this many passages.")
    var count = Int.max

    @Option(name: .long, help: "At most this many questions.")
    var queryCount = Int.max

    @Option(name: .long, help: "Passages that are added at once.")
    var batch = 64

    @Option(name: .long, help: "Rows in memory after which they are sealed into a file.")
    var sealThreshold = 8192

    @Option(name: .long, help: "How often all questions are searched; a question's latency is its median.")
    var repetitions = 1

    @Option(name: .long, help: "BM25 k1.")
    var k1: Float?

    @Option(name: .long, help: "BM25 b.")
    var b: Float?

    @Option(name: .long, help: "Keep the index in this folder, and use it again when it is there.")
    var keep: String?

    @Option(name: .long, help: "Write the ids found for each question to this file, JSON lines.")
    var results: String?

    @Flag(name: .long, help: "Leave the index as it is at the last passage, without the tidying that a server does when no more come.")
    var untidy = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Rewrite the index into one segment and search again.")
    var compact = true

    func run() async throws {
        let folder = keep ?? FileManager.default.temporaryDirectory.path + "/outrider-bench-\(UUID().uuidString)"
        defer { if keep == nil { try? FileManager.default.removeItem(atPath: folder) } }
        print(try TextBenchmark(self, folder: folder).run())
    }
}

// The names are the members of the JSON object.
// swift-format-ignore: AlwaysUseLowerCamelCase
/// One line of output. Times in milliseconds unless the name says otherwise; `cpu` is processor time of the measuring thread.
private struct TextReport: Encodable {
    struct Latency: Encodable {
        var mean: Double
        var p50: Double
        var p90: Double
        var p99: Double
        var max: Double
        var cpu_mean: Double
        var cpu_p50: Double
        var cpu_p99: Double
    }

    struct Searches: Encodable {
        var segments: Int
        var queries: Int
        var hits: Int
        var latency_ms: Latency
        /// Of all row ids and scores in order: the same for the same index content, whatever its segments.
        var checksum: String
    }

    struct Build: Encodable {
        var seconds: Double
        var tidy_seconds: Double?
        var cpu_seconds: Double
        var add_seconds: Double
        var seal_seconds: Double
        var seal_count: Int
        var seal_ms_p50: Double
        var seal_ms_max: Double
        var add_ms_p50: Double
        var add_ms_p99: Double
        var add_ms_max: Double
        var passages_per_cpu_second: Double
    }

    struct Freshness: Encodable {
        var found_after_add_ms: Double
        var gone_after_remove_ms: Double
    }

    var engine = "outrider"
    var passages: Int
    var text_bytes: Int
    var build: Build?
    var compact_seconds: Double?
    var open_ms: Double?
    var bytes_per_passage: Double
    var compact_bytes_per_passage: Double?
    var searches: Searches
    var compact_searches: Searches?
    var freshness: Freshness
    var rss_bytes: Int
    var rss_anonymous_bytes: Int
    var peak_rss_bytes: Int
    var parameters: [String: Double]
}

private struct TextBenchmark {
    let options: BenchText
    let folder: String
    let configuration: TextIndexConfiguration

    init(_ options: BenchText, folder: String) {
        self.options = options
        self.folder = folder
        var configuration = TextIndexConfiguration()
        configuration.k1 = options.k1 ?? configuration.k1
        configuration.b = options.b ?? configuration.b
        self.configuration = configuration
    }

    func run() throws -> String {
        let isThere = FileManager.default.fileExists(atPath: folder + "/manifest.json")
        var build: TextReport.Build?
        var textSize = 0
        if !isThere { (build, textSize) = try fill() }
        let start = ContinuousClock.now
        let index = try TextIndex(directory: folder, configuration: configuration)
        let opened = Self.milliseconds(since: start)
        let size = Self.size(of: folder)
        let count = index.count
        let questions = try TextLines(options.queries, limit: options.queryCount).all().map(\.text)
        let searches = try measure(index, questions, results: options.compact && isThere == false ? nil : options.results)
        var compactSeconds: Double?
        var compactSearches: TextReport.Searches?
        var compactSize: Int?
        if options.compact, !isThere {
            let start = ContinuousClock.now
            try index.compact(at: index.sealedPosition)
            compactSeconds = Self.milliseconds(since: start) / 1000
            compactSize = Self.size(of: folder)
            compactSearches = try measure(index, questions, results: options.results)
        }
        let freshness = try freshness(of: index)
        let memory = ProcessUsage.memory
        let report = TextReport(
            passages: count, text_bytes: textSize, build: build, compact_seconds: compactSeconds, open_ms: opened,
            bytes_per_passage: Double(size) / Double(max(1, count)),
            compact_bytes_per_passage: compactSize.map { Double($0) / Double(max(1, count)) }, searches: searches,
            compact_searches: compactSearches, freshness: freshness, rss_bytes: memory.resident,
            rss_anonymous_bytes: memory.anonymous, peak_rss_bytes: memory.peak,
            parameters: [
                "k": Double(options.k), "k1": Double(configuration.k1), "b": Double(configuration.b), "batch": Double(options.batch),
                "seal_threshold": Double(options.sealThreshold), "repetitions": Double(options.repetitions),
            ])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(report), as: UTF8.self)
    }

    /// Adds all passages as a running server does. Reading and decoding the file is not part of the times.
    private func fill() throws -> (TextReport.Build, Int) {
        let index = try TextIndex(directory: folder, configuration: configuration)
        var adds: [Double] = []
        var seals: [Double] = []
        var cpu = 0.0
        var textSize = 0
        var rows: [TextRow] = []
        var next: Int64 = 1
        func flush(isLast: Bool) throws {
            guard !rows.isEmpty || isLast else { return }
            let cpuStart = ProcessUsage.cpuSeconds
            var start = ContinuousClock.now
            index.add(rows)
            adds.append(Self.milliseconds(since: start))
            rows.removeAll(keepingCapacity: true)
            if index.unsealedCount >= options.sealThreshold || isLast {
                start = .now
                try index.seal(at: IndexPosition(highWater: RowID(next - 1), deletionSequence: 0))
                seals.append(Self.milliseconds(since: start))
            }
            cpu += ProcessUsage.cpuSeconds - cpuStart
        }
        let lines = try TextLines(options.passages, limit: options.count)
        while let passage = try lines.next() {
            textSize += passage.text.utf8.count + passage.title.utf8.count
            rows.append(TextRow(row: RowID(next), title: passage.title, body: passage.text))
            next += 1
            if rows.count == options.batch { try flush(isLast: false) }
        }
        try flush(isLast: true)
        var tidyTotal: Double?
        if !options.untidy {
            let (cpuStart, start) = (ProcessUsage.cpuSeconds, ContinuousClock.now)
            try index.seal(at: index.sealedPosition, tidying: true)
            tidyTotal = Self.milliseconds(since: start) / 1000
            cpu += ProcessUsage.cpuSeconds - cpuStart
        }
        let (addTotal, sealTotal) = (adds.reduce(0, +) / 1000, seals.reduce(0, +) / 1000)
        adds.sort()
        seals.sort()
        return (
            TextReport.Build(
                seconds: addTotal + sealTotal + (tidyTotal ?? 0), tidy_seconds: tidyTotal, cpu_seconds: cpu, add_seconds: addTotal,
                seal_seconds: sealTotal, seal_count: seals.count,
                seal_ms_p50: Self.quantile(seals, 0.5), seal_ms_max: seals.last ?? 0, add_ms_p50: Self.quantile(adds, 0.5),
                add_ms_p99: Self.quantile(adds, 0.99), add_ms_max: adds.last ?? 0,
                passages_per_cpu_second: cpu > 0 ? Double(next - 1) / cpu : 0), textSize
        )
    }

    private func measure(_ index: TextIndex, _ questions: [String], results path: String?) throws -> TextReport.Searches {
        var wall = [[Double]](repeating: [], count: questions.count)
        var cpu = wall
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ value: UInt64) { checksum = (checksum ^ value) &* 0x0000_0100_0000_01B3 }
        var hitCount = 0
        var lines = ""
        // One unmeasured pass over some of them: pages and scratch memory as in a server that has run for a while.
        for question in questions.prefix(200) { _ = index.search(question, k: options.k) }
        for repetition in 0..<max(1, options.repetitions) {
            for (number, question) in questions.enumerated() {
                let cpuStart = ProcessUsage.threadSeconds
                let start = ContinuousClock.now
                let hits = index.search(question, k: options.k)
                wall[number].append(Self.milliseconds(since: start))
                cpu[number].append((ProcessUsage.threadSeconds - cpuStart) * 1000)
                guard repetition == 0 else { continue }
                hitCount += hits.count
                for hit in hits {
                    mix(UInt64(bitPattern: hit.row.rawValue))
                    mix(UInt64(hit.score.bitPattern))
                }
                if path != nil { lines += "[" + hits.map { String($0.row.rawValue) }.joined(separator: ",") + "]\n" }
            }
        }
        if let path { try lines.write(toFile: path, atomically: true, encoding: .utf8) }
        let times = wall.map { Self.quantile($0.sorted(), 0.5) }.sorted()
        let cpuTimes = cpu.map { Self.quantile($0.sorted(), 0.5) }.sorted()
        func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }
        let latency = TextReport.Latency(
            mean: mean(times), p50: Self.quantile(times, 0.5), p90: Self.quantile(times, 0.9), p99: Self.quantile(times, 0.99),
            max: times.last ?? 0, cpu_mean: mean(cpuTimes), cpu_p50: Self.quantile(cpuTimes, 0.5), cpu_p99: Self.quantile(cpuTimes, 0.99))
        return TextReport.Searches(
            segments: index.segmentCount, queries: questions.count, hits: hitCount, latency_ms: latency,
            checksum: String(checksum, radix: 16))
    }

    /// From the call of `add` to the end of the search that finds the passage, and the same for `remove`: medians of 51.
    private func freshness(of index: TextIndex) throws -> TextReport.Freshness {
        var found: [Double] = []
        var gone: [Double] = []
        for number in 0..<51 {
            let row = RowID(Int64.max - Int64(number))
            let word = "freshpassage\(number)"
            var start = ContinuousClock.now
            index.add([TextRow(row: row, title: "", body: "A passage about \(word) that was not there a moment ago.")])
            guard index.search(word, k: options.k).map(\.row) == [row] else {
                throw ValidationError("an added passage was not found by the next search")
            }
            found.append(Self.milliseconds(since: start))
            start = .now
            index.remove([row])
            guard index.search(word, k: options.k).isEmpty else { throw ValidationError("a removed passage was found") }
            gone.append(Self.milliseconds(since: start))
        }
        return .init(found_after_add_ms: Self.quantile(found.sorted(), 0.5), gone_after_remove_ms: Self.quantile(gone.sorted(), 0.5))
    }

    // MARK: Numbers

    private static func milliseconds(since start: ContinuousClock.Instant) -> Double {
        (ContinuousClock.now - start).inSeconds * 1000
    }

    /// The value below which a share of some ascending values lies (nearest rank).
    private static func quantile(_ ascending: [Double], _ share: Double) -> Double {
        ascending.isEmpty ? 0 : ascending[min(ascending.count - 1, Int(share * Double(ascending.count)))]
    }

    private static func size(of folder: String) -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.reduce(0) { sum, name in
            sum + (((try? FileManager.default.attributesOfItem(atPath: folder + "/" + name))?[.size] as? Int) ?? 0)
        }
    }
}
