import Execution
import Foundation
import Retrieval

/// Standard output for people and for scripts.
enum Output {
    static let isTerminal = isatty(STDOUT_FILENO) == 1
    static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    static func line(_ text: String = "") {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func error(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// One JSON object on one line; keys sorted.
    static func json(_ value: some Encodable, pretty: Bool = false) throws {
        line(try encode(value, pretty: pretty))
    }

    static func encode(_ value: some Encodable, pretty: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .secondsSince1970
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func bold(_ text: String) -> String { isTerminal ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
    static func dim(_ text: String) -> String { isTerminal ? "\u{1B}[2m\(text)\u{1B}[0m" : text }

    /// `embed 12.3 ms · text 0.4 ms · total 15.1 ms`, in pipeline order.
    static func timings(_ timings: Timings) -> String {
        timings.stages.map { "\($0.stage.rawValue) \(milliseconds($0.duration.inMilliseconds))" }.joined(separator: " · ")
    }

    static func milliseconds(_ value: Double) -> String {
        value < 10
            ? String(format: "%.2f ms", value) : value < 1000 ? String(format: "%.0f ms", value) : String(format: "%.2f s", value / 1000)
    }

    static func bytes(_ count: Int) -> String {
        var value = Double(count)
        var unit = 0
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : String(format: "%.1f %@", value, units[unit])
    }
}
