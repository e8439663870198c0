import ArgumentParser
import EncoderInference
import Evaluation
import Execution
import Foundation
import Inference
import Kernels
import LlamaInference
import ModelFiles

/// `outrider-bench embed`: how fast, how small and how exact the embedder is. `Benchmarks/embed/run.py` runs it beside its peers.
struct BenchEmbed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Measures the embedding runtimes: texts per second, CPU time, start-up, memory; or the quality of a precision.",
        discussion: """
            Prints one JSON object for each measurement. With --texts, all texts are embedded --repetitions times and the median counts; CPU
            time is that of the whole process. With --quality, nDCG@10 of exact search over whole documents, cut at --max-tokens.
            """)

    /// What computes the vectors.
    enum Runtime: String, CaseIterable, ExpressibleByArgument { case float32, int16, int8, llama }

    @Option(name: .long, help: "A GGUF file; default: the product's embedding model.")
    var model: String?

    @Option(name: .long, help: "A file with one JSON object with a member 'text' on each line.")
    var texts: String?

    @Option(name: .long, help: "float32, int16, int8 (our encoder) or llama (llama.cpp). May be given more than once.")
    var runtime: [Runtime] = [.float32, .int16, .int8]

    @Option(name: .long, help: "Threads, each with a batch of its own.")
    var threads = 1

    @Option(name: .long, help: "How often all texts are embedded.")
    var repetitions = 3

    @Option(name: .long, help: "Texts are cut at so many tokens.")
    var maxTokens = 256

    @Option(name: .long, help: "Most texts of one batch.")
    var batchCount: Int?

    @Option(name: .long, help: "Most tokens of one batch.")
    var batchTokens: Int?

    @Option(name: .long, help: "Kernels: avx512, avx2, neon or scalar; default: the best that this processor runs.")
    var kernels: String?

    @Option(name: .long, help: "A short question whose latency is measured, one by one.")
    var question = "what is the boiling point of water at high altitude?"

    @Option(
        name: .long, help: "Writes the vectors to this file: 32-bit floats, row after row. With several runtimes, their name is appended.")
    var vectors: String?

    @Option(name: .long, parsing: .upToNextOption, help: "BEIR folders: measures nDCG@10 of exact search instead of speed.")
    var quality: [String] = []

    @Option(name: .long, help: "Which qrels to judge by.")
    var split = "test"

    func validate() throws {
        guard texts != nil || !quality.isEmpty else { throw ValidationError("give --texts FILE or --quality DIR") }
        guard threads > 0, repetitions > 0, maxTokens > 1, (batchCount ?? 1) > 0, (batchTokens ?? 1) > 0 else {
            throw ValidationError("--threads, --repetitions, --max-tokens and the bounds of a batch must be positive")
        }
        if let kernels {
            guard let set = InstructionSet(rawValue: kernels), set.isSupportedByEncoder else {
                let names = InstructionSet.supportedByEncoder.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--kernels is '\(kernels)'; this processor runs \(names)")
            }
        }
    }

    func run() async throws {
        for runtime in runtime {
            if let texts { try await measureSpeed(runtime, try Self.readTexts(texts)) }
            for folder in quality { try await measureQuality(runtime, folder) }
        }
    }

    private var path: String { model ?? ModelFolder.defaultEmbeddingModel }

    private func open(_ runtime: Runtime) throws -> any Embedder {
        guard runtime != .llama else {
            return try LlamaEmbedder(modelPath: path, threads: threads, maxInputTokens: maxTokens)
        }
        let set = kernels.flatMap(InstructionSet.init) ?? .bestForEncoder
        let precision = EncoderPrecision(rawValue: runtime.rawValue)!
        guard batchCount != nil || batchTokens != nil else {
            return try EncoderEmbedder(
                modelPath: path, precision: precision, threads: threads, maxInputTokens: maxTokens, instructionSet: set)
        }
        let policy = BatchPolicy.Configuration(
            countMax: batchCount ?? 16, tokenMax: batchTokens ?? 256, documentWaitMax: .zero, queueMax: 4096)
        return try EncoderEmbedder(
            modelPath: path, precision: precision, threads: threads, maxInputTokens: maxTokens, policy: policy, instructionSet: set)
    }

    // MARK: Speed

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct SpeedReport: Encodable {
        var measurement = "speed"
        var engine = "outrider"
        var runtime: String
        var kernels: String
        var model: String
        var threads: Int
        var texts: Int
        var tokens: Int
        var texts_per_s: Double
        var tokens_per_s: Double
        var cpu_ms_per_text: Double
        var wall_s: [Double]
        var cpu_s: [Double]
        var question_ms_p50: Double
        var question_ms_p99: Double
        var question_cpu_ms: Double
        /// Of each of sixteen questions in one call, and of each of sixteen callers at once.
        var batch_question_cpu_ms: Double
        var callers_question_cpu_ms: Double
        var start_s: Double
        var weight_bytes: Int?
        var peak_rss_bytes: Int
        var checksum: Double
    }

    private func measureSpeed(_ runtime: Runtime, _ texts: [String]) async throws {
        let opening = ContinuousClock.now
        let embedder = try open(runtime)
        // The first vector belongs to the start: pages of the file are touched, threads started.
        _ = try await embedder.embed([question], for: .query)
        let start = (ContinuousClock.now - opening).inSeconds

        let tokens = texts.reduce(0) { $0 + min(embedder.tokenizer.count($1) + 2, maxTokens) }
        var walls: [Double] = []
        var processorTimes: [Double] = []
        var rows: [Float] = []
        for _ in 0..<repetitions {
            let before = ProcessUsage.cpuSeconds
            let begin = ContinuousClock.now
            rows = try await embedder.embed(texts, for: .document)
            walls.append((ContinuousClock.now - begin).inSeconds)
            processorTimes.append(ProcessUsage.cpuSeconds - before)
        }
        var latencies: [Double] = []
        let before = ProcessUsage.cpuSeconds
        for _ in 0..<100 {
            let begin = ContinuousClock.now
            _ = try await embedder.embed([question], for: .query)
            latencies.append((ContinuousClock.now - begin).inSeconds * 1000)
        }
        let questionTime = (ProcessUsage.cpuSeconds - before) * 10
        let batch = try await processorTime(of: 25 * 16) {
            for _ in 0..<25 { _ = try await embedder.embed([String](repeating: question, count: 16), for: .query) }
        }
        let callers = try await processorTime(of: 25 * 16) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask { for _ in 0..<25 { _ = try await embedder.embed([question], for: .query) } }
                }
                try await group.waitForAll()
            }
        }
        if let vectors {
            let name = self.runtime.count > 1 ? "\(vectors).\(runtime.rawValue)" : vectors
            try rows.withUnsafeBytes { Data($0) }.write(to: URL(fileURLWithPath: name))
        }
        let wall = SampleStatistics.percentile(0.5, of: walls) ?? 0
        let processorTime = SampleStatistics.percentile(0.5, of: processorTimes) ?? 0
        try BenchOutput.line(
            SpeedReport(
                runtime: runtime.rawValue, kernels: runtime == .llama ? "llama.cpp" : kernels ?? InstructionSet.bestForEncoder.rawValue,
                model: embedder.model.name, threads: threads, texts: texts.count, tokens: tokens, texts_per_s: Double(texts.count) / wall,
                tokens_per_s: Double(tokens) / wall, cpu_ms_per_text: processorTime * 1000 / Double(texts.count), wall_s: walls,
                cpu_s: processorTimes, question_ms_p50: SampleStatistics.percentile(0.5, of: latencies) ?? 0,
                question_ms_p99: SampleStatistics.percentile(0.99, of: latencies) ?? 0, question_cpu_ms: questionTime,
                batch_question_cpu_ms: batch, callers_question_cpu_ms: callers, start_s: start,
                weight_bytes: (embedder as? EncoderEmbedder)?.weightSize, peak_rss_bytes: ProcessUsage.peakResidentSize,
                checksum: rows.reduce(0) { $0 + Double(abs($1)) }))
    }

    /// In milliseconds, of each of `count` questions.
    private func processorTime(of count: Int, _ body: () async throws -> Void) async throws -> Double {
        let before = ProcessUsage.cpuSeconds
        try await body()
        return (ProcessUsage.cpuSeconds - before) * 1000 / Double(count)
    }

    private static func readTexts(_ path: String) throws -> [String] {
        struct Line: Decodable { var text: String }
        guard let data = FileManager.default.contents(atPath: path) else { throw ValidationError("file '\(path)' cannot be read") }
        return try data.split(separator: UInt8(ascii: "\n")).enumerated().map { number, line in
            guard let line = try? JSONDecoder().decode(Line.self, from: line) else {
                throw ValidationError("line \(number + 1) of '\(path)' is no JSON object with a member 'text'")
            }
            return line.text
        }
    }

    // MARK: Quality

    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct QualityReport: Encodable {
        var measurement = "quality"
        var engine = "outrider"
        var runtime: String
        var kernels: String
        var dataset: String
        var queries: Int
        var documents: Int
        var ndcg_at_10: Double
        var recall_at_100: Double
        var cpu_ms_per_text: Double
    }

    private func measureQuality(_ runtime: Runtime, _ folder: String) async throws {
        let dataset = try BEIRDataset(folder: folder, split: split)
        let documents = try dataset.documents()
        let embedder = try open(runtime)
        let dimension = embedder.model.dimension
        let before = ProcessUsage.cpuSeconds
        let rows = try await embedder.embed(documents.map { $0.title.isEmpty ? $0.text : $0.title + " " + $0.text }, for: .document)
        let processorTime = ProcessUsage.cpuSeconds - before
        let queries = try await embedder.embed(dataset.queries.map(\.text), for: .query)
        var rankings: [String: [String]] = [:]
        for (index, query) in dataset.queries.enumerated() {
            let scores = Self.scores(queries, index * dimension, rows, dimension)
            let best = scores.indices.sorted { (scores[$0], $1) > (scores[$1], $0) }.prefix(100)
            rankings[query.id] = best.map { documents[$0].id }
        }
        let summary = RankingSummary(rankings: rankings, judgments: dataset.judgments)
        try BenchOutput.line(
            QualityReport(
                runtime: runtime.rawValue, kernels: runtime == .llama ? "llama.cpp" : kernels ?? InstructionSet.bestForEncoder.rawValue,
                dataset: dataset.name, queries: summary.queryCount, documents: documents.count, ndcg_at_10: summary.nDCGAt10,
                recall_at_100: summary.recallAt100, cpu_ms_per_text: processorTime * 1000 / Double(documents.count)))
    }

    /// Inner products of one vector with all rows.
    private static func scores(_ queries: [Float], _ offset: Int, _ rows: [Float], _ dimension: Int) -> [Float] {
        queries.withUnsafeBufferPointer { queries in
            rows.withUnsafeBufferPointer { rows in
                (0..<rows.count / dimension).map { row in
                    var sum: Float = 0
                    for column in 0..<dimension { sum += queries[offset + column] * rows[row * dimension + column] }
                    return sum
                }
            }
        }
    }
}
