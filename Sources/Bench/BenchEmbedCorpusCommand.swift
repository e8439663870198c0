import ArgumentParser
import Evaluation
import Execution
import Foundation
import Inference
import ModelFiles
import StaticInference

/// Embeds a corpus for the vector benchmarks: JSON lines in, a NumPy matrix out.
///
/// ```
///  lines ──► batches of texts ──► a few tasks at once, each `embed` ──► rows in the order of the lines ──► base.npy
/// ```
struct BenchEmbedCorpus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed-corpus",
        abstract: "Embeds passages with a model and writes the vectors as a NumPy file.",
        discussion: """
            INPUT is JSON lines with a member 'text' (and 'title', which goes before it); '.gz' is unpacked. Row i of the float32 matrix is line i. Memory stays
            bounded whatever the number of lines. Prints one JSON object with counts and times.
            """)

    @Option(name: .long, help: "The model: a GGUF file, or a static embedder (.static).")
    var model: String = ModelFolder.defaultEmbeddingModel

    @Option(name: .customLong("in"), help: "Passages, JSON lines.")
    var input: String

    @Option(name: .customLong("out"), help: "The .npy file to write.")
    var output: String

    @Option(name: .long, help: "At most this many lines.")
    var limit = Int.max

    @Option(name: .long, help: "Threads.")
    var threads = ProcessInfo.processInfo.activeProcessorCount

    @Option(name: .long, help: "Texts are cut to this many tokens.")
    var maxTokens: Int?

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Report: Encodable {
        var model: String
        var dimension: Int
        var texts: Int
        var bytes: Int
        var seconds: Double
        var cpu_seconds: Double
        var texts_per_s: Double
        var texts_per_cpu_s: Double
    }

    func run() async throws {
        let embedder = try EmbedderFile.open(model, threads: threads, maxInputTokens: maxTokens ?? 256)
        let writer = try NumPyFile.Writer(path: output, columnCount: embedder.model.dimension)
        let start = ContinuousClock.now
        let processorStart = ProcessUsage.cpuSeconds
        var textCount = 0
        var byteCount = 0
        try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
            var nextToSend = 0
            var nextToWrite = 0
            var ready: [Int: [Float]] = [:]
            func write() throws {
                while let rows = ready.removeValue(forKey: nextToWrite) {
                    try writer.append(rows)
                    nextToWrite += 1
                }
            }
            let lines = try TextLines(input, limit: limit)
            while true {
                let texts = try lines.next(256).map(\.whole)
                if texts.isEmpty { break }
                textCount += texts.count
                byteCount += texts.reduce(0) { $0 + $1.utf8.count }
                // As many batches as threads are under way, and as many again wait to be written.
                while nextToSend - nextToWrite >= threads * 2, let (number, rows) = try await group.next() {
                    ready[number] = rows
                    try write()
                }
                let number = nextToSend
                nextToSend += 1
                group.addTask { (number, try await embedder.embed(texts, for: .document)) }
                if BenchOutput.isWatched { FileHandle.standardError.write(Data("\r\(textCount) texts".utf8)) }
            }
            while let (number, rows) = try await group.next() {
                ready[number] = rows
                try write()
            }
        }
        try writer.finish()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let processor = ProcessUsage.cpuSeconds - processorStart
        if BenchOutput.isWatched { FileHandle.standardError.write(Data(("" + "\n").utf8)) }
        try BenchOutput.line(
            Report(
                model: embedder.model.name, dimension: embedder.model.dimension, texts: textCount, bytes: byteCount, seconds: seconds,
                cpu_seconds: processor, texts_per_s: Double(textCount) / seconds, texts_per_cpu_s: Double(textCount) / processor))
    }
}
