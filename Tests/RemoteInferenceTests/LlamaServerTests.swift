import Foundation
import Inference
import TestSupport
import Testing

@testable import RemoteInference

/// Against a real llama.cpp server: the process that people run behind this protocol.
@Suite(
    .enabled(
        if: LlamaServer.isAvailable,
        "skipped: no Python environment with xllamacpp in the cache, or no ../shared/data/models/stories260K.gguf"))
struct LlamaServerTests {
    @Test func `a real server streams, counts, stops and takes several at once`() async throws {
        let server = try LlamaServer()
        defer { server.stop() }
        let generator = try OpenAIGenerator(.init(baseURL: server.baseURL, model: "stories"))
        func request(_ text: String, maxTokens: Int = 24, stop: [String] = []) -> GenerationRequest {
            GenerationRequest(messages: [ChatMessage(role: .user, content: text)], maxTokens: maxTokens, stop: stop)
        }

        let answer = try await collect(generator.generate(request("Once upon a time")))
        #expect(answer.pieces.count > 5)
        #expect(answer.usage?.completionTokens == 24)
        #expect(try #require(answer.usage).promptTokens > 4)
        #expect(answer.reason == .length)

        let again = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<4 { group.addTask { try await collect(generator.generate(request("Once upon a time"))).text } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(again.count == 4 && again.allSatisfy { !$0.isEmpty })

        // Stops before something that it is known to write.
        let word = String(answer.text.dropFirst(answer.text.count / 2).prefix(4))
        let stopped = try await collect(generator.generate(request("Once upon a time", stop: [word])))
        #expect(!stopped.text.contains(word))
        #expect(stopped.reason == .stop)

        // Leaves early; the server goes on serving.
        for try await _ in generator.generate(request("Once", maxTokens: 300)) { break }
        #expect(try await collect(generator.generate(request("Once"))).reason == .length)

        // Too long for its context of 512 tokens: an error with the server's words, not a hang.
        do {
            _ = try await collect(generator.generate(request(String(repeating: "The cat ran. ", count: 600))))
            Issue.record("the prompt was taken")
        } catch InferenceError.server(_, let status, let message) {
            #expect(status == 400)
            #expect(message.contains("context"))
        }
    }
}

/// A child process with a llama.cpp server, ended by its id or, should this process die, by the end of its input.
final class LlamaServer {
    private static let cache = ProcessInfo.processInfo.environment["OUTRIDER_CACHE"] ?? NSHomeDirectory() + "/.cache/outrider"
    private static let python = cache + "/venv/bin/python"
    private static let model = (SharedData.folder ?? "") + "/models/stories260K.gguf"

    static let isAvailable: Bool = {
        guard FileManager.default.fileExists(atPath: model), FileManager.default.isExecutableFile(atPath: python) else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = ["-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec('xllamacpp') is None)"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()

    private static let script = """
        import sys, xllamacpp
        p = xllamacpp.CommonParams()
        p.model.path = sys.argv[1]
        p.hostnames = ["127.0.0.1"]
        p.port = 0
        p.n_ctx = 1024
        p.n_parallel = 2
        p.cpuparams.n_threads = 1
        p.cpuparams_batch.n_threads = 1
        server = xllamacpp.Server(p)
        print(server.listening_address, flush=True)
        sys.stdin.read()
        """

    let baseURL: String
    private let process = Process()
    private let input = Pipe()

    init() throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.python)
        process.arguments = ["-c", Self.script, Self.model]
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var line = ""
        // Ends when the server has printed its address, or has died.
        while !line.hasSuffix("\n"), let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
            line += String(decoding: byte, as: UTF8.self)
        }
        guard line.hasPrefix("http") else {
            process.terminate()
            throw InferenceError.failed(name: "xllamacpp", reason: "the server did not start")
        }
        baseURL = line.trimmingCharacters(in: .whitespacesAndNewlines) + "/v1"
    }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.terminate()
        process.waitUntilExit()
    }
}
