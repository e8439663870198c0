import Foundation

/// The built program, run as a user runs it.
struct OutriderProcess {
    /// Beside the test bundle, or where OUTRIDER_BIN says.
    static let executable: String = {
        if let path = ProcessInfo.processInfo.environment["OUTRIDER_BIN"] { return path }
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("outrider").path
    }()

    static let packageFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The folder of shared data sets; nil where it is not there.
    static let sharedData: String? = {
        let base = ProcessInfo.processInfo.environment["OUTRIDER_SHARED"] ?? packageFolder + "/../shared"
        return FileManager.default.fileExists(atPath: base + "/data") ? URL(fileURLWithPath: base + "/data").standardizedFileURL.path : nil
    }()

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
    static func run(_ arguments: [String], seconds: Double = 120) throws -> Result {
        let folder = try TemporaryFolder()
        let output = folder.path + "/out"
        let errors = folder.path + "/err"
        let process = try start(arguments, output: output, errors: errors)
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning, Date() < deadline { usleep(5000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        return Result(
            status: process.terminationStatus, output: (try? String(contentsOfFile: output, encoding: .utf8)) ?? "",
            errors: (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "")
    }

    static func start(_ arguments: [String], output: String = "/dev/null", errors: String = "/dev/null") throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        for path in [output, errors] where path != "/dev/null" { FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        return process
    }
}

/// A folder that goes away with the object.
final class TemporaryFolder {
    let path: String
    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/outrider-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    @discardableResult func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// Files below that hold a byte string.
    func files(containing marker: String) -> [String] {
        var found: [String] = []
        let needle = Data(marker.utf8)
        for case let name as String in FileManager.default.enumerator(atPath: path) ?? FileManager.DirectoryEnumerator() {
            if let bytes = try? Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), bytes.range(of: needle) != nil {
                found.append(name)
            }
        }
        return found
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
