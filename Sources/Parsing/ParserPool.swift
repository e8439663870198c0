import Foundation
import Synchronization

/// Reads files: the pool of child processes, or a test's double of it.
package protocol FileParsing: Sendable {
    /// Reads one file, see ``ParserPool/parse(path:name:mimeType:)``.
    func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument
    /// Refuses what is waiting, and returns when nothing runs any more.
    func shutdown() async
}

/// Runs parsers in killable, resource-limited child processes without network.
///
/// Each worker has a thread of its own here, which starts the child, waits for its answers and ends it; callers wait without
/// holding a thread. A child serves one file at a time and is replaced after a number of files, after any failure, and when it has grown.
///
///     caller ── parse ──> queue ──> thread ── request ──> child ──> pdftotext, tesseract
///                                     ^─── answer, silence until the limit, or end of the child
package actor ParserPool: FileParsing {
    private let dispatcher: ParseDispatcher

    /// Makes a pool; children start with the first files.
    ///
    /// - Parameters:
    ///   - executable: The program that answers to `parse-worker` (normally this very binary, `/proc/self/exe`).
    ///   - workerCount: The most children at a time.
    ///   - limits: What one file may cost.
    package init(executable: String, workerCount: Int, limits: ParseLimits = .init()) {
        precondition(workerCount > 0, "a pool of \(workerCount) workers")
        dispatcher = ParseDispatcher(executable: executable, workerCount: workerCount, limits: limits, environment: [:])
    }

    /// For tests: children with other variables than ours.
    init(executable: String, limits: ParseLimits, environment: [String: String]) {
        dispatcher = ParseDispatcher(executable: executable, workerCount: 1, limits: limits, environment: environment)
    }

    deinit { dispatcher.close() }

    /// Parses one file. Cancellation kills the child.
    ///
    /// - Parameters:
    ///   - path: Where the bytes are. Opened here; the child gets the open file and may open no other.
    ///   - name: File name as the user knows it (extension helps detection; `path` may be a spool file).
    ///   - mimeType: A hint; content decides.
    /// - Throws: Why the file was refused; `.unavailable` after cancellation, after `shutdown`, and when 1024 files are waiting already.
    package func parse(path: String, name: String, mimeType: String? = nil) async throws(Refusal) -> ParsedDocument {
        // Opened when its turn comes, from wherever the working directory is then.
        let absolute = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        let request = WireFormat.Request(name: name, mimeType: mimeType, limits: dispatcher.limits)
        return try await dispatcher.perform(ParseJob(request, path: absolute)).get()
    }

    /// Ends all children and refuses what is waiting; returns when no child is left.
    package func shutdown() async {
        dispatcher.close()
        await dispatcher.waitUntilClosed()
    }

    /// The children's process ids, for tests and diagnostics.
    package var processIDs: [Int32] { dispatcher.processIDs }
}

/// One file on its way: waiting, running in a child, or done.
///
///     waiting ──> running(child) ──> done
///        └── cancel ──────┴── cancel kills the child ──> done
final class ParseJob: Sendable {
    typealias Outcome = Result<ParsedDocument, Refusal>
    private enum State {
        case waiting
        case running(process: pid_t)
        case done
    }
    private struct Contents {
        var state = State.waiting
        var isCancelled = false
        var continuation: CheckedContinuation<Outcome, Never>?
    }

    let request: WireFormat.Request
    let path: String
    private let contents = Mutex(Contents())
    static let cancelled = Refusal.unavailable("parsing was cancelled")

    init(_ request: WireFormat.Request, path: String) {
        self.request = request
        self.path = path
    }

    /// Takes the caller's continuation; false when the job was cancelled before.
    func attach(_ continuation: CheckedContinuation<Outcome, Never>) -> Bool {
        contents.withLock {
            if $0.isCancelled { return false }
            $0.continuation = continuation
            return true
        }
    }

    /// Marks the job as running in a child, whose group `cancel` may then kill; false when nobody waits any more.
    func begin(process: pid_t) -> Bool {
        contents.withLock {
            if $0.isCancelled { return false }
            $0.state = .running(process: process)
            return true
        }
    }

    /// After this, `cancel` kills nothing: the child's id may be given to another process.
    func end() { contents.withLock { $0.state = .done } }

    var isCancelled: Bool { contents.withLock { $0.isCancelled } }

    func finish(_ outcome: Outcome) {
        let continuation = contents.withLock { contents in
            contents.state = .done
            defer { contents.continuation = nil }
            return contents.continuation
        }
        continuation?.resume(returning: outcome)
    }

    func cancel(_ reason: Refusal = cancelled) {
        let continuation = contents.withLock { contents -> CheckedContinuation<Outcome, Never>? in
            if contents.isCancelled { return nil }
            contents.isCancelled = true
            if case .running(let process) = contents.state {
                kill(-process, SIGKILL)
                return nil
            }
            if case .waiting = contents.state {
                defer { contents.continuation = nil }
                return contents.continuation
            }
            return nil
        }
        continuation?.resume(returning: .failure(reason))
    }
}

/// The queue between callers and worker threads.
final class ParseDispatcher: Sendable {
    private struct Contents {
        var waiting: [ParseJob] = []
        var running: [ParseJob] = []
        var idleCount = 0
        var threadCount = 0
        var processes: [Int32] = []
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    let limits: ParseLimits
    private let executable: String
    private let workerCount: Int
    private let environment: [String: String]
    private let waitingLimit = 1024
    private let contents = Mutex(Contents())
    /// Counts jobs and, when closing, threads to wake.
    private let wake = DispatchSemaphore(value: 0)

    init(executable: String, workerCount: Int, limits: ParseLimits, environment: [String: String]) {
        self.executable = executable
        self.workerCount = workerCount
        self.environment = environment
        self.limits = limits
    }

    var processIDs: [Int32] { contents.withLock { $0.processes } }

    func perform(_ job: ParseJob) async -> ParseJob.Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard job.attach(continuation) else { return continuation.resume(returning: .failure(ParseJob.cancelled)) }
                submit(job)
            }
        } onCancel: {
            job.cancel()
            contents.withLock { $0.waiting.removeAll { $0 === job } }
        }
    }

    private func submit(_ job: ParseJob) {
        let (refusal, startsThread) = contents.withLock { contents -> (Refusal?, Bool) in
            if contents.isClosed { return (.unavailable("the parser pool was shut down"), false) }
            if contents.waiting.count >= waitingLimit {
                return (.unavailable("\(waitingLimit) files are waiting to be parsed already"), false)
            }
            contents.waiting.append(job)
            let starts = contents.threadCount < workerCount && contents.waiting.count > contents.idleCount
            if starts { contents.threadCount += 1 }
            return (nil, starts)
        }
        if let refusal { return job.finish(.failure(refusal)) }
        if startsThread {
            let thread = Thread { [self] in work() }
            thread.name = "outrider-parser"
            thread.stackSize = 1 << 20
            thread.start()
        }
        wake.signal()
    }

    /// A worker thread's life. The child is started by this thread and dies with it.
    private func work() {
        var child: WorkerProcess?
        while true {
            contents.withLock { $0.idleCount += 1 }
            wake.wait()
            let (job, isClosed) = contents.withLock { contents -> (ParseJob?, Bool) in
                contents.idleCount -= 1
                if contents.isClosed { return (nil, true) }
                guard !contents.waiting.isEmpty else { return (nil, false) }
                let job = contents.waiting.removeFirst()
                contents.running.append(job)
                return (job, false)
            }
            if isClosed { break }
            guard let job else { continue }
            let outcome = run(job, &child)
            contents.withLock { $0.running.removeAll { $0 === job } }
            job.finish(outcome)
        }
        end(&child)
        let closers = contents.withLock { contents -> [CheckedContinuation<Void, Never>] in
            contents.threadCount -= 1
            guard contents.threadCount == 0 else { return [] }
            defer { contents.closers = [] }
            return contents.closers
        }
        for closer in closers { closer.resume() }
    }

    private func end(_ child: inout WorkerProcess?) {
        guard let process = child else { return }
        contents.withLock { $0.processes.removeAll { $0 == process.process } }
        process.end()
        child = nil
    }

    private func run(_ job: ParseJob, _ child: inout WorkerProcess?) -> ParseJob.Outcome {
        var attempts = 0
        let document: Int32
        do throws(Refusal) {
            document = try ParseInput.openFile(job.path, name: job.request.name)
        } catch {
            return .failure(error)
        }
        defer { ParseInput.closeFile(document) }
        while true {
            attempts += 1
            let isFresh = child == nil
            if child == nil {
                switch WorkerProcess.start(executable, limits: limits, environment: environment) {
                case .success(let process):
                    child = process
                    contents.withLock { $0.processes.append(process.process) }
                case .failure(let refusal): return .failure(refusal)
                }
            }
            guard let process = child else { return .failure(.unavailable("the parser did not start")) }
            guard job.begin(process: process.process) else {
                // Cancelled meanwhile; the child has not seen the file.
                return .failure(ParseJob.cancelled)
            }
            let result = process.parse(job.request, document: document)
            job.end()
            switch result {
            case .answer(let outcome):
                // What may be run is settled when a child starts: the next one sees a program that was installed since.
                if case .failure(.unavailable) = outcome, !isFresh {
                    end(&child)
                    if job.isCancelled { return .failure(ParseJob.cancelled) }
                    if attempts == 1 { continue }
                    return outcome
                }
                if process.shouldRetire(limits) { end(&child) }
                return outcome
            case .failed(let refusal, let mayRetry):
                contents.withLock { $0.processes.removeAll { $0 == process.process } }
                child = nil
                if job.isCancelled { return .failure(ParseJob.cancelled) }
                // A child that had died while idle says nothing about this file.
                if mayRetry, !isFresh, attempts == 1 { continue }
                return .failure(refusal)
            }
        }
    }

    func close() {
        let (jobs, threadCount) = contents.withLock { contents -> ([ParseJob], Int) in
            if contents.isClosed { return ([], 0) }
            contents.isClosed = true
            let jobs = contents.waiting + contents.running
            contents.waiting = []
            return (jobs, contents.threadCount)
        }
        for job in jobs { job.cancel(.unavailable("the parser pool was shut down")) }
        for _ in 0..<threadCount { wake.signal() }
    }

    func waitUntilClosed() async {
        await withCheckedContinuation { continuation in
            let isDone = contents.withLock { contents in
                if contents.threadCount == 0 { return true }
                contents.closers.append(continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
    }
}
