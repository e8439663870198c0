import Foundation
import HTTPFrontend
import Logging
import Serving

/// Loggers of the command line: quiet for people (warnings only), JSON lines where asked for.
enum CommandLog {
    static func make(json: Bool = false, level: Logger.Level? = nil) -> Logger {
        let wanted = level ?? ProcessInfo.processInfo.environment["OUTRIDER_LOG"].flatMap(Logger.Level.init(rawValue:)) ?? .warning
        return Logger(label: "outrider") { label in
            var handler: any LogHandler = json ? JSONLogHandler(label: label) : StreamLogHandler.standardError(label: label)
            handler.logLevel = wanted
            return handler
        }
    }
}
