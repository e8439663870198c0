package import CoreMetrics
import Synchronization

/// Remembers what counters were told, for the code that runs inside of `withMetricsFactory(_:_:)` with it. Timers and gauges are heard and forgotten.
package final class RecordedMetrics: MetricsFactory {
    private let counts = Mutex<[String: Int64]>([:])

    package init() {}

    /// Sums of the counters with a label, by the values of their dimensions, joined by commas.
    package func counts(of label: String) -> [String: Int64] {
        let prefix = label + "/"
        return counts.withLock { all in
            Dictionary(
                uniqueKeysWithValues: all.filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
        }
    }

    private final class Count: CounterHandler {
        let name: String
        let owner: RecordedMetrics
        init(_ name: String, _ owner: RecordedMetrics) {
            self.name = name
            self.owner = owner
        }
        func increment(by amount: Int64) { owner.counts.withLock { $0[name, default: 0] += amount } }
        func reset() {}
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Count(label + "/" + dimensions.map(\.1).joined(separator: ","), self)
    }
    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        NOOPMetricsHandler.instance
    }
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { NOOPMetricsHandler.instance }
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}
}
