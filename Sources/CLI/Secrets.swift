import Foundation
import Synchronization

/// Keys given by environment or on the command line. They are taken out of both once they have been read, so that neither children nor `/proc/PID/environ`
/// and `/proc/PID/cmdline` show them afterwards.
enum Secrets {
    private static let taken = Mutex<[String: String]>([:])

    /// The value of an environment variable, which is overwritten and removed; the next call gives the same value.
    static func environment(_ name: String) -> String? {
        taken.withLock { taken in
            if let value = taken[name] { return value }
            guard let stored = getenv(name) else { return nil }
            let value = String(cString: stored)
            taken[name] = value
            // This is the memory that the kernel shows, as long as nobody has set the variable anew.
            memset(stored, 0, strlen(stored))
            unsetenv(name)
            return value
        }
    }

    /// Overwrites the values of an option in the process's arguments, which were parsed before.
    static func hideArguments(of option: String) {
        let arguments = CommandLine.unsafeArgv
        var isValue = false
        for index in 0..<Int(CommandLine.argc) {
            guard let argument = arguments[index] else { continue }
            let text = String(cString: argument)
            if isValue {
                memset(argument, 0x2a, strlen(argument))
                isValue = false
            } else if text == option {
                isValue = true
            } else if text.hasPrefix(option + "=") {
                let length = option.utf8.count + 1
                memset(argument + length, 0x2a, strlen(argument) - length)
            }
        }
    }
}

/// Room for open files: connections, index files, and the pipes of parsers all count against one limit, which is often 1,024 for no reason.
enum FileLimit {
    /// Raises the limit as far as the process may, up to `wanted`.
    ///
    /// - Returns: The limit now.
    @discardableResult
    static func raise(to wanted: Int) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return wanted }
        let target = min(limit.rlim_max, rlim_t(wanted))
        if target > limit.rlim_cur {
            var raised = limit
            raised.rlim_cur = target
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { return Int(clamping: target) }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
