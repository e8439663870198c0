import Foundation

/// Standard output and standard error of the measurements.
enum BenchOutput {
    /// True when a person may be watching: then progress is shown.
    static let isWatched = isatty(STDERR_FILENO) == 1

    /// Prints one JSON line with sorted keys.
    static func fields(_ object: [String: Any]) {
        let data = try! JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        print(String(decoding: data, as: UTF8.self))
        fflush(nil)
    }

    /// Prints one JSON line with sorted keys.
    static func line(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
        fflush(nil)
    }
}
