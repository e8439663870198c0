import ArgumentParser
import Documents
import Foundation
import Indexing
import Kernels
import LlamaInference
import Parsing
import Retrieval

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "doctor", abstract: "Prints what this machine has and what is missing.")

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions

    @Flag(name: .long, help: "Print one JSON object.")
    var json = false

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Report: Encodable {
        var version: String
        var cpu: String
        var cores: Int
        var memory_bytes: UInt64
        var kernels: String
        var devices: [String]
        var llama_cpp: String
        var embedding_model: String
        var llm: String
        var openai: String
        var formats: [String: String]
        var data_folder: String
        var free_disk_bytes: Int
        var languages: [String]
        var missing: [String]
    }

    func run() async throws {
        LlamaRuntime.start()
        var missing: [String] = []
        func describe(_ path: String?, _ what: String, _ remedy: String) -> String {
            guard let path else { return "not configured" }
            guard let size = (try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int else {
                missing.append("\(what) '\(path)': \(remedy)")
                return "missing: \(path)"
            }
            return "\(path) (\(Output.bytes(size)))"
        }
        let capabilities = ParseWorker.capabilities()
        for capability in capabilities where capability.status != "available" {
            missing.append("\(capability.format): \(capability.status)")
        }
        let target = URL(fileURLWithPath: data.data).standardizedFileURL
        var existing = target
        while existing.path != "/", !FileManager.default.fileExists(atPath: existing.path) { existing.deleteLastPathComponent() }
        let free = (try? FileManager.default.attributesOfFileSystem(forPath: existing.path))?[.systemFreeSize] as? Int ?? 0
        if free < 1 << 30 { missing.append("free disk: only \(Output.bytes(free)) left for the data folder") }
        let languages = await languageAdvice()
        let report = Report(
            version: Outrider.version, cpu: Self.cpuName, cores: ProcessInfo.processInfo.activeProcessorCount,
            memory_bytes: ProcessInfo.processInfo.physicalMemory, kernels: "\(Kernels.instructionSet)", devices: LlamaRuntime.devices(),
            llama_cpp: LlamaRuntime.version,
            embedding_model: describe(models.resolvedEmbeddingModel, "embedding model", "run 'make demo', or give --embedding-model"),
            llm: describe(models.resolvedLLM, "language model", "check --llm"), openai: models.resolvedOpenAIURL ?? "not configured",
            formats: Dictionary(capabilities.map { ($0.format, $0.status) }, uniquingKeysWith: { first, _ in first }),
            data_folder: target.path,
            free_disk_bytes: free, languages: languages, missing: missing)
        if json { return try Output.json(report, pretty: true) }
        func row(_ name: String, _ value: String) { Output.line(name.padding(toLength: 18, withPad: " ", startingAt: 0) + value) }
        row("outrider", report.version)
        row("cpu", "\(report.cpu), \(report.cores) cores, \(Output.bytes(Int(report.memory_bytes))) memory")
        row("kernels", report.kernels)
        for device in report.devices { row("device", device) }
        row("llama.cpp", report.llama_cpp)
        row("embedding model", report.embedding_model)
        row("language model", report.llm)
        row("openai server", report.openai)
        row("data folder", "\(report.data_folder), \(Output.bytes(free)) free")
        for capability in capabilities { row("format", "\(capability.format): \(capability.status)") }
        for line in report.languages { row("languages", line) }
        if missing.isEmpty { Output.line("nothing is missing") }
        for line in missing { Output.line("missing: \(line)") }
    }

    /// One sentence for each collection whose languages the embedding model does not know.
    private func languageAdvice() async -> [String] {
        // Whatever is wrong with the folder or the model is said by others; here it only means that nothing can be told.
        guard FileManager.default.fileExists(atPath: data.data), let folder = try? DataFolder(data.data, .read),
            let engine = try? Engine.open(folder, models: models, needs: [.embedder], logger: CommandLog.make())
        else { return [] }
        var lines: [String] = []
        for indexes in engine.catalog.all() {
            guard let advice = await engine.retriever.languages(of: indexes.name, scope: .everyone)?.advice else { continue }
            lines.append("collection '\(indexes.name)': \(advice)")
        }
        try? await engine.close()
        return lines
    }

    private static var cpuName: String {
        let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        for line in info.split(separator: "\n") where line.hasPrefix("model name") {
            return line.split(separator: ":", maxSplits: 1).last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
        }
        return "unknown"
    }
}
