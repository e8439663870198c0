import Foundation
import TestSupport

/// `outrider serve` on a free port, over a data folder of a test.
struct ServerProcess {
    var process: Process
    var port: Int
    var log: String

    /// - Parameter embeddingModel: None by default, which needs no model file; nil leaves the choice to the program.
    static func start(
        _ folder: TemporaryFolder, _ arguments: [String] = [], embeddingModel: String? = "none", environment: [String: String] = [:]
    ) async throws -> ServerProcess {
        let portFile = folder.path + "/port"
        try? FileManager.default.removeItem(atPath: portFile)
        let log = folder.path + "/serve-\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: OutriderProcess.executable)
        process.arguments =
            ["serve", "--data", folder.path + "/data", "--port", "0", "--port-file", portFile]
            + (embeddingModel.map { ["--embedding-model", $0] } ?? []) + arguments
        var variables = ProcessInfo.processInfo.environment
        // The test runner may have set it; whoever does keeps Swift's reporter.
        variables["SWIFT_BACKTRACE"] = nil
        process.environment = variables.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle(forWritingAtPath: log)
        try process.run()
        let limit = Date().addingTimeInterval(90)
        while true {
            if let text = try? String(contentsOfFile: portFile, encoding: .utf8),
                let port = Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
            {
                return ServerProcess(process: process, port: port, log: log)
            }
            guard process.isRunning, Date() < limit else {
                process.terminate()
                throw BrowserFailure("serve did not start: \((try? String(contentsOfFile: log, encoding: .utf8)) ?? "")")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    var text: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Sends JSON, or nothing, and reads JSON.
    func send(_ method: String, _ path: String, _ body: [String: Any]? = nil) async throws -> (status: Int, body: [String: Any]) {
        let data = try body.map { try JSONSerialization.data(withJSONObject: $0) }
        let answer = try await BrowserHTTP.send(method, port: port, path, body: data)
        return (answer.status, (try? JSONSerialization.jsonObject(with: answer.body) as? [String: Any]) ?? [:])
    }

    func end() {
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
    }
}
