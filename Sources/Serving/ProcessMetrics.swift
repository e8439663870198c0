import Glibc

/// What Prometheus' own client libraries report of a process, read from `/proc` at each scrape.
enum ProcessMetrics {
    static func append(to page: inout String) {
        func add(_ name: String, _ kind: String, _ help: String, _ value: Double?) {
            guard let value else { return }
            PrometheusRegistry.appendHead(name, kind, help, to: &page)
            page += "\(name) \(PrometheusRegistry.text(value))\n"
        }
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
        add("process_cpu_seconds_total", "counter", "User and system time spent, in seconds.", cpu)
        let pages = read("/proc/self/statm")?.split(separator: " ").compactMap { Double($0) }
        add(
            "process_resident_memory_bytes", "gauge", "Resident memory in bytes.",
            pages.flatMap { $0.count > 1 ? $0[1] * Double(sysconf(Int32(_SC_PAGESIZE))) : nil })
        add(
            "process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.",
            pages.flatMap { $0.first.map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) } })
        add("process_open_fds", "gauge", "Open file descriptors.", descriptorCount())
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            add("process_max_fds", "gauge", "Largest number of open file descriptors.", Double(limit.rlim_cur))
        }
        add("process_start_time_seconds", "gauge", "Start of the process, in seconds since 1970.", startTime)
    }

    /// Taken once: the process's start in ticks since the machine's start, plus the machine's start.
    private static let startTime: Double? = {
        guard let stat = read("/proc/self/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        guard
            let boot = read("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }).flatMap({
                Double($0.dropFirst(6))
            })
        else { return nil }
        return boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }()

    private static func descriptorCount() -> Double? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Less ".", ".." and the folder's own descriptor.
        return Double(max(0, count - 3))
    }

    private static func read(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = Glibc.read(file, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
