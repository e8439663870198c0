import Glibc

/// What happens when the server itself crashes: a line with the signal, the addresses of the calls, and the end, within milliseconds.
///
/// Swift's own reporter reads the debug information of the whole program beside the dying process. On this program that takes from ten seconds to a minute, during
/// which clients hang and no supervisor starts the server again. It has put its handlers in place before `main`, so ours simply replace them; the addresses
/// (`outrider(+0x1a2b3c)`) can be looked up later with `addr2line -e outrider 0x1a2b3c`. Whoever sets `SWIFT_BACKTRACE` keeps Swift's reporter.
enum CrashReport {
    private typealias Collect = @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int32) -> Int32
    private typealias Write = @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int32, Int32) -> Void

    private static let signals: [(number: Int32, name: String)] = [
        (SIGILL, "SIGILL"), (SIGTRAP, "SIGTRAP"), (SIGABRT, "SIGABRT"), (SIGBUS, "SIGBUS"), (SIGFPE, "SIGFPE"), (SIGSEGV, "SIGSEGV"),
        (SIGQUIT, "SIGQUIT"),
    ]
    private static let depth: Int32 = 64

    // All that the handler touches is made before it is installed: a crashed process must not allocate. Written once, by `install`.
    nonisolated(unsafe) private static var lines: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>! = nil
    nonisolated(unsafe) private static var frames: UnsafeMutablePointer<UnsafeMutableRawPointer?>! = nil
    nonisolated(unsafe) private static var collect: Collect?
    nonisolated(unsafe) private static var write: Write?

    static func install() {
        if getenv("SWIFT_BACKTRACE") != nil { return }
        lines = .allocate(capacity: 65)
        lines.initialize(repeating: nil, count: 65)
        for (number, name) in signals {
            lines[Int(number)] = strdup(
                "{\"level\":\"critical\",\"logger\":\"outrider\",\"message\":\"crashed\",\"signal\":\"\(name)\",\"process\":\(getpid())}\n")
        }
        frames = .allocate(capacity: Int(depth))
        frames.initialize(repeating: nil, count: Int(depth))
        // Not in the Glibc module: <execinfo.h>.
        collect = dlsym(nil, "backtrace").map { unsafeBitCast($0, to: Collect.self) }
        write = dlsym(nil, "backtrace_symbols_fd").map { unsafeBitCast($0, to: Write.self) }
        // The first call loads a library.
        _ = collect?(frames, depth)
        for (number, _) in signals {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in CrashReport.report(number) }
            // Once only: a crash in the report ends the process.
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND) | UInt32(SA_NODEFER) | UInt32(SA_ONSTACK))
            sigaction(number, &action, nil)
        }
    }

    /// Runs in the signal handler.
    private static func report(_ number: Int32) {
        // Should the report hang, for a lock that the crash left closed, the alarm ends the process.
        alarm(2)
        if let line = lines[Int(number)] { _ = Glibc.write(2, line, strlen(line)) }
        if let collect, let write { write(frames, collect(frames, depth), 2) }
        raise(number)
    }
}
