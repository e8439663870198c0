import Foundation
import Ingestion

/// One line on standard error that is drawn again and again.
final class ProgressBar {
    private let isShown: Bool
    private var isDrawn = false
    private var lastDraw = ContinuousClock.now - .seconds(1)

    init(isShown: Bool) { self.isShown = isShown }

    func show(_ status: JobStatus) {
        guard isShown, ContinuousClock.now - lastDraw > .milliseconds(80) else { return }
        lastDraw = .now
        isDrawn = true
        FileHandle.standardError.write(Data(("\r\u{1B}[2K" + Self.text(status, width: Self.width)).utf8))
    }

    /// `[#######-----]  58 %  5400/9300 chunks of 'notes'  0:41 left`
    func show(done: Int, of total: Int, _ what: String, etaSeconds: Double?) {
        guard isShown, ContinuousClock.now - lastDraw > .milliseconds(80) else { return }
        lastDraw = .now
        isDrawn = true
        let share = total > 0 ? Double(done) / Double(total) : 1
        var text = "[\(Self.cells(share))] " + String(format: "%3.0f %%  %d/%d ", share * 100, done, total) + what
        if let etaSeconds { text += Self.left(etaSeconds) }
        FileHandle.standardError.write(Data(("\r\u{1B}[2K" + text.prefix(max(20, Self.width - 1))).utf8))
    }

    func clear() {
        guard isDrawn else { return }
        isDrawn = false
        FileHandle.standardError.write(Data("\r\u{1B}[2K".utf8))
    }

    /// `[#######-----]  58 %  54/94 files  5.4/9.3 MiB  embedding 2, parsing 2  0:41 left`
    static func text(_ status: JobStatus, width: Int) -> String {
        let working = ["parsing", "chunking", "embedding", "committing"].compactMap { stage in status.stages[stage].map { "\(stage) \($0)" }
        }
        var text = String(
            format: "[%@] %3.0f %%  %d/%d files  %@ of %@", cells(status.progress), status.progress * 100, status.finishedCount,
            status.fileCount,
            Output.bytes(status.finishedByteCount), Output.bytes(status.byteCount))
        if !working.isEmpty { text += "  " + working.joined(separator: ", ") }
        if let file = status.working.first {
            let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
            text += "  " + (name.count > 30 ? name.prefix(14) + "…" + name.suffix(15) : name)
        }
        if let waiting = status.waiting { text += "  " + waiting }
        if let eta = status.etaSeconds, eta > 0 { text += left(eta) }
        return String(text.prefix(max(20, width - 1)))
    }

    private static func cells(_ share: Double) -> String {
        let count = 24
        let full = max(0, min(count, Int((share * Double(count)).rounded(.down))))
        return String(repeating: "#", count: full) + String(repeating: "-", count: count - full)
    }

    private static func left(_ seconds: Double) -> String { String(format: "  %d:%02d left", Int(seconds) / 60, Int(seconds) % 60) }

    private static var width: Int {
        var size = winsize()
        return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
    }
}
