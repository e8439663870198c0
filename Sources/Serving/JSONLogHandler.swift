import Glibc
package import Logging

/// Writes each log event as one line of JSON: `{"time":"2025-01-31T12:00:00.123Z","level":"info","message":"...", ...metadata}`.
///
/// Each line goes out in one `write`, so lines of several threads never mix. Numbers and Booleans stay what they are.
/// Callers never put document text, questions or keys into metadata.
package struct JSONLogHandler: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    package var logLevel: Logger.Level
    private let label: String
    private let write: @Sendable (String) -> Void

    /// - Parameters:
    ///   - level: Events below it are not written.
    ///   - write: Receives each line with its newline; standard error when absent.
    package init(label: String, level: Logger.Level = .info, write: (@Sendable (String) -> Void)? = nil) {
        self.label = label
        self.logLevel = level
        self.write =
            write ?? { line in
                var line = line
                line.withUTF8 { bytes in
                    var sent = 0
                    while sent < bytes.count {
                        let count = Glibc.write(2, bytes.baseAddress! + sent, bytes.count - sent)
                        if count < 0 && errno != EINTR { return }
                        sent += max(count, 0)
                    }
                }
            }
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var fields = metadataProvider?.get() ?? [:]
        fields.merge(metadata) { $1 }
        if let own = event.metadata { fields.merge(own) { $1 } }
        var line = "{\"time\":\"\(Self.now())\",\"level\":\"\(event.level)\",\"logger\":"
        JSONString.append(label, to: &line)
        line += ",\"message\":"
        JSONString.append("\(event.message)", to: &line)
        for key in fields.keys.sorted() where !["time", "level", "logger", "message"].contains(key) {
            line += ","
            JSONString.append(key, to: &line)
            line += ":"
            Self.append(fields[key]!, to: &line)
        }
        line += "}\n"
        write(line)
    }

    private static func append(_ value: Logger.Metadata.Value, to line: inout String) {
        switch value {
        case .string(let text): JSONString.append(text, to: &line)
        case .stringConvertible(let value):
            switch value {
            case let value as Bool: line += value ? "true" : "false"
            case let value as any BinaryInteger: line += "\(value)"
            case let value as Double where value.isFinite: line += "\(value)"
            case let value as Float where value.isFinite: line += "\(value)"
            default: JSONString.append(value.description, to: &line)
            }
        case .array(let values):
            line += "["
            for (index, value) in values.enumerated() {
                if index > 0 { line += "," }
                append(value, to: &line)
            }
            line += "]"
        case .dictionary(let values):
            line += "{"
            for (index, key) in values.keys.sorted().enumerated() {
                if index > 0 { line += "," }
                JSONString.append(key, to: &line)
                line += ":"
                append(values[key]!, to: &line)
            }
            line += "}"
        }
    }

    private static func now() -> String {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        var parts = tm()
        gmtime_r(&time.tv_sec, &parts)
        func padded(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(Int(parts.tm_mon) + 1, 2))-\(padded(Int(parts.tm_mday), 2))"
        let clock = "\(padded(Int(parts.tm_hour), 2)):\(padded(Int(parts.tm_min), 2)):\(padded(Int(parts.tm_sec), 2))"
        return "\(date)T\(clock).\(padded(time.tv_nsec / 1_000_000, 3))Z"
    }
}

/// JSON strings, written by hand where an encoder would cost too much.
enum JSONString {
    static func append(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            // The line separators would cut a line for some log readers.
            case _ where scalar.value < 0x20 || scalar.value == 0x7f || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }
}
