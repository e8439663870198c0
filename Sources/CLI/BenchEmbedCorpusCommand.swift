import ArgumentParser
import Foundation
import Inference
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
        let processorStart = Usage.cpuSeconds
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
            for batch in try TextLines(input).batches(of: 256, limit: limit) {
                let texts = try batch.get()
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
                if Output.errorIsTerminal { FileHandle.standardError.write(Data("\r\(textCount) texts".utf8)) }
            }
            while let (number, rows) = try await group.next() {
                ready[number] = rows
                try write()
            }
        }
        try writer.finish()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let processor = Usage.cpuSeconds - processorStart
        if Output.errorIsTerminal { Output.error("") }
        try Output.json(
            Report(
                model: embedder.model.name, dimension: embedder.model.dimension, texts: textCount, bytes: byteCount, seconds: seconds,
                cpu_seconds: processor, texts_per_s: Double(textCount) / seconds, texts_per_cpu_s: Double(textCount) / processor))
    }
}

/// The texts of a JSON-lines file, in batches, so that a file of any size passes through little memory.
struct TextLines {
    private struct Line: Decodable {
        var title: String?
        var text: String?
    }

    private let path: String

    /// - Throws: `ValidationError` when there is no such file.
    init(_ path: String) throws {
        guard FileManager.default.isReadableFile(atPath: path) else { throw ValidationError("there is no readable file '\(path)'") }
        self.path = path
    }

    /// Reads as the iteration goes. A line that is no JSON object with a `text` ends it with an error that names the line.
    func batches(of count: Int, limit: Int = .max) throws -> some Sequence<Result<[String], any Error>> {
        let blocks = try BlockReader(path)
        let path = path
        var rest = Data()
        var lineNumber = 0
        var textCount = 0
        var isAtEnd = false
        let decoder = JSONDecoder()
        func nextLine() throws -> Data? {
            while true {
                if let end = rest.firstIndex(of: 0x0A) {
                    defer { rest = rest[(end + 1)...] }
                    return rest[..<end]
                }
                if isAtEnd {
                    defer { rest = Data() }
                    return rest.isEmpty ? nil : rest
                }
                let block = try blocks.next()
                isAtEnd = block.isEmpty
                rest = Data(rest) + block
            }
        }
        func nextBatch() throws -> [String]? {
            var texts: [String] = []
            while texts.count < count, textCount < limit, let line = try nextLine() {
                lineNumber += 1
                if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) { continue }
                guard let value = try? decoder.decode(Line.self, from: line), let text = value.text else {
                    throw ValidationError("line \(lineNumber) of '\(path)' is no JSON object with a member 'text'")
                }
                textCount += 1
                texts.append(value.title.map { $0.isEmpty ? text : $0 + "\n" + text } ?? text)
            }
            return texts.isEmpty ? nil : texts
        }
        var hasFailed = false
        return AnyIterator {
            if hasFailed { return nil }
            do {
                return try nextBatch().map { .success($0) }
            } catch {
                hasFailed = true
                return .failure(error)
            }
        }
    }

    /// All texts at once, for corpora that fit into memory.
    func all(limit: Int = .max) throws -> [String] { try batches(of: 1024, limit: limit).flatMap { try $0.get() } }
}

/// Blocks of a file, unpacked by `gzip` in its own process when the name ends in `.gz`.
private final class BlockReader {
    private let handle: FileHandle
    private var process: Process?

    init(_ path: String) throws {
        guard path.hasSuffix(".gz") else {
            handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            return
        }
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", "--", path]
        process.standardOutput = pipe
        try process.run()
        self.process = process
        handle = pipe.fileHandleForReading
    }

    deinit {
        guard let process else { return }
        try? handle.close()
        process.waitUntilExit()
    }

    /// Empty at the end.
    func next() throws -> Data { try handle.read(upToCount: 1 << 20) ?? Data() }
}
