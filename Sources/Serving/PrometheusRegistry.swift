package import CoreMetrics
import Synchronization

/// Collects the process's metrics and prints them in Prometheus' text format 0.0.4.
///
/// It is a back end for swift-metrics: `MetricsSystem.bootstrap(registry)` makes every module report here. A label such as `outrider.http.requests`
/// becomes the name `outrider_http_requests`; dimensions become labels. What becomes what:
///
/// | swift-metrics | Prometheus | Note |
/// | --- | --- | --- |
/// | `Counter`, `FloatingPointCounter` | counter | `_total` is appended when it is missing |
/// | `Gauge`, `Meter` | gauge | |
/// | `Recorder` (aggregating) | histogram | buckets by the name's unit: `_ms`, `_seconds`, `_bytes`, else 1...10000 |
/// | `Timer` | histogram | in milliseconds when the name ends in `_ms`, else in seconds, and `_seconds` is appended |
///
/// Series of one name are bounded; what exceeds the bound is counted in `outrider_metrics_dropped_total` and goes nowhere.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    private enum Kind: String { case counter, gauge, histogram }

    private struct Family {
        var kind: Kind
        var series: [String: any PrometheusSeries] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var asked: [Asked: any PrometheusSeries] = [:]
        var help: [String: String] = PrometheusRegistry.knownHelp
        var dropped: Int64 = 0
    }

    private let state = Mutex(State())
    private let seriesLimit: Int

    /// - Parameter seriesLimit: Largest number of label combinations of one name.
    package init(seriesLimit: Int = 1000) { self.seriesLimit = seriesLimit }

    /// Sets the help text of a metric, by its name as printed.
    package func describe(_ name: String, _ help: String) { state.withLock { $0.help[name] = help } }

    // MARK: Making series

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(.counter, label, dimensions) { (Self.counterName(label), .counter, CounterSeries()) }
    }

    package func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        series(.counter, label, dimensions) { (Self.counterName(label), .counter, CounterSeries()) }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(.gauge, label, dimensions) { (Self.name(label), .gauge, GaugeSeries()) }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if !aggregate { return series(.gauge, label, dimensions) { (Self.name(label), .gauge, GaugeSeries()) } }
        return series(.histogram, label, dimensions) { () -> (String, Kind, HistogramSeries) in
            let name = Self.name(label)
            return (name, .histogram, HistogramSeries(bounds: Self.bounds(for: name), nanosecondsPerUnit: 1))
        }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(.timer, label, dimensions) { () -> (String, Kind, HistogramSeries) in
            var name = Self.name(label)
            let isMilliseconds = name.hasSuffix("_ms")
            if !isMilliseconds && !name.hasSuffix("_seconds") { name += "_seconds" }
            return (
                name, .histogram, HistogramSeries(bounds: Self.bounds(for: name), nanosecondsPerUnit: isMilliseconds ? 1e6 : 1e9)
            )
        }
    }

    // A handler that is let go keeps its numbers: a counter that vanished and came back would look like a restart.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// How a series was asked for: most are asked for again with each request, and making names of labels costs more than counting.
    private struct Asked: Hashable {
        enum Form: Hashable { case counter, gauge, histogram, timer }
        var form: Form
        var label: String
        var dimensions: [String]
    }

    /// - Parameter make: The name as printed, its kind, and a new series.
    private func series<Series: PrometheusSeries>(
        _ form: Asked.Form, _ label: String, _ dimensions: [(String, String)], make: () -> (String, Kind, Series)
    ) -> Series {
        let asked = Asked(form: form, label: label, dimensions: dimensions.flatMap { [$0.0, $0.1] })
        if let known = state.withLock({ $0.asked[asked] }) as? Series { return known }
        let (name, kind, made) = make()
        let labels = Self.labels(dimensions)
        return state.withLock { state in
            var result = made
            if let known = state.families[name]?.series[labels] as? Series {
                result = known
            } else {
                var family = state.families[name] ?? Family(kind: kind)
                // A name that means two things, or that has too many series, would spoil the whole page.
                guard family.kind == kind, family.series[labels] == nil, family.series.count < seriesLimit else {
                    state.dropped += 1
                    return made
                }
                family.series[labels] = made
                state.families[name] = family
            }
            // One series may be asked for in several ways, but not in any number of them.
            if state.asked.count < seriesLimit * 4 { state.asked[asked] = result }
            return result
        }
    }

    // MARK: Printing

    /// The page that Prometheus scrapes. Names and series are in alphabetical order, so two pages can be compared.
    package func exposition() -> String {
        let (families, help, dropped) = state.withLock { ($0.families, $0.help, $0.dropped) }
        var page = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
            Self.appendHead(name, family.kind.rawValue, help[name] ?? Self.sentence(for: name), to: &page)
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) { series.append(name: name, labels: labels, to: &page) }
        }
        Self.appendHead(
            "outrider_metrics_dropped_total", "counter", "Series that were refused because their name had too many or another type.",
            to: &page)
        page += "outrider_metrics_dropped_total \(dropped)\n"
        ProcessMetrics.append(to: &page)
        return page
    }

    static func appendHead(_ name: String, _ kind: String, _ help: String, to page: inout String) {
        let escaped = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        page += "# HELP \(name) \(escaped)\n# TYPE \(name) \(kind)\n"
    }

    private static func sentence(for name: String) -> String {
        name.split(separator: "_").filter { $0 != "total" && $0 != "outrider" }.joined(separator: " ") + "."
    }

    static func name(_ label: String) -> String {
        var name = String(label.unicodeScalars.map { isNameScalar($0) ? Character($0) : "_" })
        if name.isEmpty { name = "_" }
        if let first = name.unicodeScalars.first, ("0"..."9").contains(first) { name = "_" + name }
        return name
    }

    private static func counterName(_ label: String) -> String {
        let name = name(label)
        return name.hasSuffix("_total") ? name : name + "_total"
    }

    private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_", ":": true
        default: false
        }
    }

    /// `class="work",method="GET"`, sorted by name, without braces.
    private static func labels(_ dimensions: [(String, String)]) -> String {
        dimensions.sorted { $0.0 < $1.0 }.map { key, value in
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
            return "\(name(key).replacing(":", with: "_"))=\"\(escaped)\""
        }.joined(separator: ",")
    }

    private static func bounds(for name: String) -> [Double] {
        let milliseconds: [Double] = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000]
        if name.hasSuffix("_ms") { return milliseconds }
        if name.hasSuffix("_seconds") { return milliseconds.map { $0 / 1000 } }
        if name.hasSuffix("_bytes") { return (0..<11).map { Double(1024 << (2 * $0)) } }
        return [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000]
    }

    private static let knownHelp: [String: String] = [
        "outrider_http_requests_total": "HTTP requests by route template, method and status.",
        "outrider_request_latency_ms": "Time from a request's head to the end of its response, in milliseconds, by route template.",
        "outrider_time_to_first_token_ms": "Time from an answer request to its first token, in milliseconds.",
        "outrider_http_requests_running": "Requests that hold a place, by class.",
        "outrider_http_requests_waiting": "Requests that wait for a place, by class.",
        "outrider_http_requests_refused_total": "Requests refused because the queue of their class was full.",
        "outrider_http_clients_gone_total": "Requests whose client closed the connection before the end.",
        "outrider_http_connections": "Open client connections.",
        "outrider_build_info": "Always 1; the label holds the version.",
    ]
}

extension PrometheusRegistry {
    package func count(_ name: String, _ labels: [String: String], by amount: Int64 = 1) {
        makeCounter(label: name, dimensions: labels.map { ($0.key, $0.value) }).increment(by: amount)
    }
    package func observe(_ name: String, _ value: Double, _ labels: [String: String] = [:]) {
        makeRecorder(label: name, dimensions: labels.map { ($0.key, $0.value) }, aggregate: true).record(value)
    }
    package func set(_ name: String, _ value: Double, _ labels: [String: String] = [:]) {
        makeRecorder(label: name, dimensions: labels.map { ($0.key, $0.value) }, aggregate: false).record(value)
    }
}

/// One line or block of the page: a combination of a name and labels.
private protocol PrometheusSeries: AnyObject, Sendable {
    func append(name: String, labels: String, to page: inout String)
}

extension PrometheusRegistry {
    /// A number as Prometheus writes it: whole numbers without a fraction.
    static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }
}

private func line(_ name: String, _ labels: String, _ value: String) -> String {
    labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
}

private final class CounterSeries: PrometheusSeries, CounterHandler, FloatingPointCounterHandler {
    private let value = Mutex(0.0)
    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) {
        // A counter never goes down.
        guard amount > 0 else { return }
        value.withLock { $0 += amount }
    }
    func reset() { value.withLock { $0 = 0 } }
    func append(name: String, labels: String, to page: inout String) {
        page += line(name, labels, PrometheusRegistry.text(value.withLock { $0 }))
    }
}

private final class GaugeSeries: PrometheusSeries, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)
    func set(_ new: Int64) { set(Double(new)) }
    func set(_ new: Double) { value.withLock { $0 = new } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ new: Int64) { set(Double(new)) }
    func record(_ new: Double) { set(new) }
    func append(name: String, labels: String, to page: inout String) {
        page += line(name, labels, PrometheusRegistry.text(value.withLock { $0 }))
    }
}

private final class HistogramSeries: PrometheusSeries, RecorderHandler, TimerHandler {
    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }
    private let bounds: [Double]
    private let nanosecondsPerUnit: Double
    private let state: Mutex<State>

    init(bounds: [Double], nanosecondsPerUnit: Double) {
        self.bounds = bounds
        self.nanosecondsPerUnit = nanosecondsPerUnit
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / nanosecondsPerUnit) }

    func append(name: String, labels: String, to page: inout String) {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: UInt64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? PrometheusRegistry.text(bounds[index]) : "+Inf"
            page += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
        }
        page += line(name + "_sum", labels, PrometheusRegistry.text(sum)) + line(name + "_count", labels, "\(total)")
    }
}
