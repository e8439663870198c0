import CSandbox
import Execution
import Foundation

/// One child as its thread sees it. Used by that thread only.
final class WorkerProcess {
    enum Reply {
        case answer(ParseJob.Outcome)
        /// The child is gone. `mayRetry` when it had not begun with the file.
        case failed(Refusal, mayRetry: Bool)
    }

    let process: pid_t
    private let channel: Int32
    private let errors: Int32
    private let limits: ParseLimits
    private var servedCount = 0
    private var hasEnded = false

    private init(process: pid_t, channel: Int32, errors: Int32, limits: ParseLimits) {
        self.process = process
        self.channel = channel
        self.errors = errors
        self.limits = limits
    }

    static func start(_ executable: String, limits: ParseLimits, environment: [String: String] = [:]) -> Result<WorkerProcess, Refusal> {
        func failure(_ what: String, _ code: Int32) -> Result<WorkerProcess, Refusal> {
            .failure(.unavailable("\(what) of the parser: \(String(cString: strerror(code)))"))
        }
        var pair: [Int32] = [-1, -1]
        let paired = outrider_socket_pair(&pair)
        guard paired == 0 else { return failure("the channel", paired) }
        let errors = outrider_memory_file("parser-errors")
        let null = open("/dev/null", O_WRONLY | O_CLOEXEC)
        defer {
            close(pair[1])
            if null >= 0 { close(null) }
        }
        guard errors >= 0, null >= 0 else {
            let code = errno
            close(pair[0])
            if errors >= 0 { close(errors) }
            return failure("the error file", code)
        }
        // Only what the parser needs: the server's environment may hold keys.
        var variables: [String: String] = [:]
        for name in ["PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TESSDATA_PREFIX", "HOME"] {
            if let value = getenv(name) { variables[name] = String(cString: value) }
        }
        variables["SWIFT_BACKTRACE"] = "enable=no"
        // A program of this size does not start in less.
        variables[ParseWorker.memoryVariable] = String(max(limits.memoryBytes, 192 << 20))
        variables[ParseWorker.fileVariable] = String(max(limits.inputBytes, limits.unpackedBytes, 1 << 20))
        variables.merge(environment) { $1 }
        var process: pid_t = 0
        let result = withCStrings([executable, "parse-worker"]) { arguments in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }) { environment in
                outrider_spawn(executable, arguments, environment, pair[1], null, errors, 1, &process)
            }
        }
        guard result == 0 else {
            close(pair[0])
            close(errors)
            return failure("the start (\(executable))", result)
        }
        return .success(WorkerProcess(process: process, channel: pair[0], errors: errors, limits: limits))
    }

    /// Sends one file, which stays open here, and waits for the answer, the time limit, or the child's end.
    func parse(_ request: WireFormat.Request, document: Int32) -> Reply {
        precondition(!hasEnded, "a worker that has ended was asked")
        let deadline = ContinuousClock.now + .seconds(limits.seconds)
        guard let payload = try? JSONEncoder().encode(request) else { return .answer(.failure(.unreadable(request.name))) }
        let frame = ParseWorker.frame(Array(payload))
        var sent = 0
        while sent < frame.count {
            let count = frame.withUnsafeBytes {
                outrider_send_descriptor(channel, $0.baseAddress! + sent, frame.count - sent, sent == 0 ? document : -1)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return failed(mayRetry: true) }
            sent += count
        }
        var head: [UInt8] = []
        switch receive(4, until: deadline, into: &head) {
        case .late: return late()
        case .closed: return failed(mayRetry: head.isEmpty && servedCount > 0)
        case .complete: break
        }
        let size = Int(head.u32(0))
        // Structure costs at most 60 bytes a block, and a block has at least one byte and its separator.
        let largest = limits.outputBytes * 3 + (64 << 20)
        guard size > 0, size <= largest else {
            end()
            return .failed(.tooLarge("the parser answered with \(size) bytes, \(largest) are allowed"), mayRetry: false)
        }
        var body: [UInt8] = []
        switch receive(size, until: deadline, into: &body) {
        case .late: return late()
        case .closed: return failed(mayRetry: false)
        case .complete: break
        }
        servedCount += 1
        do {
            switch try WireFormat.decode(body) {
            case .document(let document): return .answer(.success(document))
            case .refusal(let refusal):
                // After running out of something the child may be in a poor state.
                if case .outOfMemory = refusal { servedCount = .max }
                return .answer(.failure(refusal))
            }
        } catch {
            end()
            return .failed(.crashed("the parser gave a wrong answer (\(error.reason))"), mayRetry: false)
        }
    }

    private enum Received { case complete, late, closed }

    private func receive(_ count: Int, until deadline: ContinuousClock.Instant, into bytes: inout [UInt8]) -> Received {
        var chunk = [UInt8](repeating: 0, count: min(count, 1 << 18))
        while bytes.count < count {
            let left = ContinuousClock.now.duration(to: deadline)
            let milliseconds = left.wholeMilliseconds
            if milliseconds <= 0 { return .late }
            var descriptor = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
            let ready = poll(&descriptor, 1, Int32(min(milliseconds, 60_000)))
            if ready < 0, errno != EINTR { return .closed }
            if ready <= 0 { continue }
            let wanted = min(chunk.count, count - bytes.count)
            let got = read(channel, &chunk, wanted)
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { return .closed }
            bytes.append(contentsOf: chunk[..<got])
        }
        return .complete
    }

    private func late() -> Reply {
        end()
        return .failed(.timedOut(seconds: limits.seconds), mayRetry: false)
    }

    private func failed(mayRetry: Bool) -> Reply {
        let message = errorText()
        let (status, usage) = reap()
        let signal = status & 0x7F
        let nearLimit = usage.ru_maxrss * 1024 > limits.memoryBytes / 2
        let speaksOfMemory = message.contains("bad_alloc") || message.contains("emory") || message.contains("alloc")
        let refusal: Refusal
        switch signal {
        case SIGXCPU: refusal = .timedOut(seconds: limits.seconds)
        case SIGKILL: refusal = .crashed("it was killed by the system, perhaps for lack of memory")
        case 0: refusal = .crashed("it ended with status \((status >> 8) & 0xFF)")
        case _ where nearLimit || speaksOfMemory: refusal = .outOfMemory(limitBytes: limits.memoryBytes)
        default: refusal = .crashed("signal \(signal)")
        }
        return .failed(refusal, mayRetry: mayRetry)
    }

    private func errorText() -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(errors, &bytes, bytes.count, 0)
        return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
    }

    /// Whether the child has done enough, or has grown.
    func shouldRetire(_ limits: ParseLimits) -> Bool {
        if servedCount >= 200 { return true }
        guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8) else { return false }
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize()) > max(128 << 20, limits.memoryBytes / 4)
    }

    /// Ends the child and all that it started.
    func end() { if !hasEnded { _ = reap() } }

    private func reap() -> (status: Int32, usage: rusage) {
        precondition(!hasEnded, "a worker was ended twice")
        hasEnded = true
        // The group's id stays taken until the leader is waited for, so this cannot hit a stranger.
        kill(-process, SIGKILL)
        kill(process, SIGKILL)
        close(channel)
        close(errors)
        var status: Int32 = 0
        var usage = rusage()
        while wait4(process, &status, 0, &usage) < 0, errno == EINTR {}
        return (status, usage)
    }

    deinit { end() }
}
