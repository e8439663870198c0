import Foundation
import Glibc

/// What this process has used.
package enum ProcessUsage {
    package struct Memory: Sendable {
        package var resident = 0
        package var anonymous = 0
        package var file = 0
        /// The largest that `resident` has been.
        package var peak = 0
    }

    /// Processor time of all threads together: what a busy machine does not change.
    package static var cpuSeconds: Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

    /// Processor time of this thread.
    package static var threadSeconds: Double { seconds(CLOCK_THREAD_CPUTIME_ID) }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The largest that the process has been in memory, in bytes.
    package static var peakResidentSize: Int {
        var usage = rusage()
        getrusage(__rusage_who_t(0), &usage)
        return usage.ru_maxrss * 1024
    }

    /// From /proc/self/status, in bytes; zeros where that is not to be had.
    package static var memory: Memory {
        var memory = Memory()
        guard let text = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return memory }
        for line in text.split(separator: "\n") {
            let size = line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
            if line.hasPrefix("VmRSS:") { memory.resident = size * 1024 }
            if line.hasPrefix("RssAnon:") { memory.anonymous = size * 1024 }
            if line.hasPrefix("RssFile:") { memory.file = size * 1024 }
            if line.hasPrefix("VmHWM:") { memory.peak = size * 1024 }
        }
        return memory
    }
}
