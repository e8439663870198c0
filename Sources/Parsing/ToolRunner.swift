import CSandbox
import Execution
import Foundation

/// Runs a program such as pdftotext as a child of the worker, so that it shares the worker's confinement and group.
///
/// The program reads from a descriptor, writes to pipes that are drained together, and is killed when it is late or
/// writes too much. Nothing of it touches the disk. It starts no programs of its own, and there is one at a time, so that
/// a parser costs at most twice the memory that one process may have.
enum ToolRunner {
    struct Output {
        var standardOutput: [UInt8]
        /// At most 4 KiB.
        var standardError: String
        /// Exit status, or the negative signal number.
        var status: Int32
        var isTimedOut = false
        var isTooLong = false
    }

    enum Failure: Error {
        case notInstalled
        case cannotStart(String)
    }

    /// Where `program` lies in PATH; looked up on each call, because it may be installed while we run.
    static func find(_ program: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        for folder in path.split(separator: ":") {
            let candidate = "\(folder)/\(program)"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        return nil
    }

    /// Runs to the end, or to the limit.
    ///
    /// - Parameter consume: Takes the output as it comes, instead of gathering it; returning false ends the program as too long.
    static func run(
        _ program: String, _ arguments: [String], input: Int32, seconds: Double, outputLimit: Int, environment: [String: String] = [:],
        consume: ((ArraySlice<UInt8>) -> Bool)? = nil
    ) throws(Failure) -> Output {
        guard let path = find(program) else { throw .notInstalled }
        var outputPipe: [Int32] = [-1, -1]
        var errorPipe: [Int32] = [-1, -1]
        guard outrider_pipe(&outputPipe, 1 << 20) == 0 else { throw .cannotStart(String(cString: strerror(errno))) }
        guard outrider_pipe(&errorPipe, 1 << 16) == 0 else {
            close(outputPipe[0])
            close(outputPipe[1])
            throw .cannotStart(String(cString: strerror(errno)))
        }

        // A small, fixed environment: nothing of ours leaks, and the output does not depend on the user's locale.
        var variables = ["PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_THREAD_LIMIT": "1", "HOME": "/nonexistent"]
        if let prefix = getenv("TESSDATA_PREFIX") { variables["TESSDATA_PREFIX"] = String(cString: prefix) }
        variables.merge(environment) { $1 }
        var process: pid_t = 0
        var handle: Int32 = -1
        let result = withCStrings([path] + arguments) { argv in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }) { envp in
                outrider_spawn_childless(path, argv, envp, input, outputPipe[1], errorPipe[1], &process, &handle)
            }
        }
        close(outputPipe[1])
        close(errorPipe[1])
        defer {
            close(outputPipe[0])
            close(errorPipe[0])
            if handle >= 0 { close(handle) }
        }
        guard result == 0 else { throw .cannotStart(String(cString: strerror(result))) }

        var output = Output(standardOutput: [], standardError: "", status: 0)
        var errors: [UInt8] = []
        let deadline = ContinuousClock.now + Duration(clampingMilliseconds: seconds * 1000)
        var descriptors = [
            pollfd(fd: outputPipe[0], events: Int16(POLLIN), revents: 0), pollfd(fd: errorPipe[0], events: Int16(POLLIN), revents: 0),
        ]
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while descriptors.contains(where: { $0.fd >= 0 }) {
            let left = ContinuousClock.now.duration(to: deadline)
            let milliseconds = left.wholeMilliseconds
            if milliseconds <= 0 {
                output.isTimedOut = true
                break
            }
            let ready = poll(&descriptors, nfds_t(descriptors.count), Int32(min(milliseconds, 1000)))
            if ready < 0, errno != EINTR { break }
            if ready <= 0 { continue }
            for index in descriptors.indices where descriptors[index].fd >= 0 && descriptors[index].revents != 0 {
                let count = read(descriptors[index].fd, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    descriptors[index].fd = -1
                } else if index == 0, let consume {
                    if !consume(chunk[..<count]) { output.isTooLong = true }
                } else if index == 0 {
                    output.standardOutput.append(contentsOf: chunk[..<count])
                } else if errors.count < 4096 {
                    errors.append(contentsOf: chunk[..<min(count, 4096 - errors.count)])
                }
            }
            if output.standardOutput.count > outputLimit { output.isTooLong = true }
            if output.isTooLong { break }
        }
        // By its handle: the worker may signal nothing by number.
        if output.isTimedOut || output.isTooLong { outrider_kill(handle) }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        output.status = signal == 0 ? (status >> 8) & 0xFF : -signal
        output.standardError = String(decoding: errors, as: UTF8.self)
        return output
    }
}

/// Calls `body` with a null-terminated array of C strings.
func withCStrings<Result>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body(UnsafePointer($0.baseAddress!)) }
}
