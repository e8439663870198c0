import Foundation
import TestSupport

/// The built program, run as a user runs it.
struct OutriderProcess {
    /// Beside the test bundle, or where OUTRIDER_BIN says.
    static let executable: String = {
        if let path = ProcessInfo.processInfo.environment["OUTRIDER_BIN"] { return path }
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("outrider").path
    }()

    /// The program of the measurements, beside it.
    static let bench = URL(fileURLWithPath: executable).deletingLastPathComponent().appendingPathComponent("outrider-bench").path

    static let packageFolder = SharedData.packageFolder

    /// The folder of shared data sets; nil where it is not there.
    static let sharedData = SharedData.folder

    static let hasModel: Bool = {
        let environment = ProcessInfo.processInfo.environment
        let cache =
            environment["OUTRIDER_CACHE"] ?? environment["XDG_CACHE_HOME"].map { $0 + "/outrider" } ?? NSHomeDirectory()
            + "/.cache/outrider"
        let path = environment["OUTRIDER_EMBEDDING_MODEL"] ?? cache + "/models/all-MiniLM-L6-v2-f16.gguf"
        return FileManager.default.fileExists(atPath: path)
    }()

    struct Result {
        var status: Int32
        var output: String
        var errors: String
        var lines: [[String: Any]] {
            output.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        }
    }

    /// Runs to the end, or to the time limit (then the process is killed and the status is 9).
    static func run(_ arguments: [String], program: String = executable, seconds: Double = 120) throws -> Result {
        let folder = TemporaryFolder()
        let output = folder.path + "/out"
        let errors = folder.path + "/err"
        let process = try start(arguments, program: program, output: output, errors: errors)
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning, Date() < deadline { usleep(5000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: (try? String(contentsOfFile: output, encoding: .utf8)) ?? "",
            errors: (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "")
    }

    static func start(
        _ arguments: [String], program: String = executable, output: String = "/dev/null", errors: String = "/dev/null"
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        for path in [output, errors] where path != "/dev/null" { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        return process
    }
}
