import CoreMetrics
import Foundation
import Logging
import Serving
import TestSupport
import Testing

@testable import HTTPFrontend

@Suite struct ObservabilityTests {
    @Test func `counters, gauges and histograms are printed in the text format`() {
        let registry = PrometheusRegistry()
        registry.describe("requests_total", "All requests.\nTwo lines \\ one backslash.")
        Counter(label: "requests", dimensions: [("route", "/a\"b\\c\nd"), ("method", "GET")], factory: registry).increment(by: 2)
        Counter(label: "requests", dimensions: [("method", "GET"), ("route", "/a\"b\\c\nd")], factory: registry).increment()
        Gauge(label: "queue.depth", factory: registry).record(2.5)
        let histogram = Recorder(label: "size_bytes", factory: registry)
        for value in [1024, 1025, 5_000_000_000] { histogram.record(value) }
        CoreMetrics.Timer(label: "stage_ms", dimensions: [], factory: registry).recordMilliseconds(7)
        CoreMetrics.Timer(label: "stage", dimensions: [], factory: registry).recordMilliseconds(7)
        let page = registry.exposition()
        #expect(
            page.contains(
                "# HELP requests_total All requests.\\nTwo lines \\\\ one backslash.\n# TYPE requests_total counter\nrequests_total{method=\"GET\",route=\"/a\\\"b\\\\c\\nd\"} 3\n"
            ))
        #expect(page.contains("# TYPE queue_depth gauge\nqueue_depth 2.5\n"))
        #expect(
            page.contains("size_bytes_bucket{le=\"1024\"} 1\nsize_bytes_bucket{le=\"4096\"} 2\n")
                && page.contains("size_bytes_bucket{le=\"+Inf\"} 3\n"))
        #expect(page.contains("size_bytes_sum 5000002049\nsize_bytes_count 3\n"))
        #expect(page.contains("stage_ms_bucket{le=\"5\"} 0\nstage_ms_bucket{le=\"10\"} 1\n") && page.contains("stage_ms_sum 7\n"))
        #expect(page.contains("stage_seconds_bucket{le=\"0.005\"} 0\nstage_seconds_bucket{le=\"0.01\"} 1\n"))
        #expect(page.contains("process_resident_memory_bytes ") && page.contains("process_open_fds "))
    }

    @Test func `a histogram's buckets never decrease and end at its count`() {
        var random = SeededGenerator(seed: 7)
        let registry = PrometheusRegistry()
        let recorder = Recorder(label: "x_ms", factory: registry)
        for _ in 0..<1000 { recorder.record(Double.random(in: 0...100_000, using: &random)) }
        let counts = registry.exposition().split(separator: "\n").filter { $0.hasPrefix("x_ms_bucket") }.map {
            Int($0.split(separator: " ")[1])!
        }
        #expect(counts == counts.sorted() && counts.last == 1000 && counts.count == 16)
    }

    @Test func `the number of series is bounded`() {
        let registry = PrometheusRegistry(seriesLimit: 10)
        for index in 0..<25 { Counter(label: "c", dimensions: [("id", "\(index)")], factory: registry).increment() }
        let page = registry.exposition()
        #expect(page.components(separatedBy: "c_total{").count - 1 == 10)
        #expect(page.contains("outrider_metrics_dropped_total 15\n"))
        // One name, two meanings.
        Gauge(label: "c_total", factory: registry).record(1)
        #expect(!registry.exposition().contains("# TYPE c_total gauge"))
    }

    @Test func `counting from many threads loses nothing`() async {
        let registry = PrometheusRegistry()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<1000 { registry.count("hits_total", ["a": "b"]) } } }
        }
        #expect(registry.exposition().contains("hits_total{a=\"b\"} 8000\n"))
    }

    private static let promtool = ["/usr/bin/promtool", "/usr/local/bin/promtool"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    @Test(.enabled(if: promtool != nil, "promtool (Debian package prometheus) is not installed"))
    func `Prometheus' own checker reads a page of a working server`() async throws {
        let page = try await Harness.routes { client, _ in
            _ = try await client.send(.post, "/v1/search", json: #"{"query": "x"}"#)
            _ = try await client.send(.get, "/v1/none")
            return try await client.send(.get, "/metrics").text
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.promtool))
        process.arguments = ["check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        input.fileHandleForWriting.write(Data(page.utf8))
        try input.fileHandleForWriting.close()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        // Milliseconds are our unit, by decision; everything else the checker says is a defect.
        let remarks = text.split(separator: "\n").filter { !$0.hasSuffix("metric names should not contain abbreviated units") }
        #expect(remarks.isEmpty, "\(remarks.joined(separator: "\n"))")
        #expect(process.terminationReason == .exit && process.terminationStatus != 1)
    }

    @Test func `a log line is one JSON object whatever is in it`() throws {
        let lines = LogLines()
        var logger = Logger(label: "l\"abel") { JSONLogHandler(label: $0, level: .info) { lines.add($0) } }
        logger[metadataKey: "outer"] = "1"
        logger.debug("not written")
        logger.warning(
            "say \"hi\"\nnext\u{2028}line \u{1} 🌞",
            metadata: [
                "count": .stringConvertible(3), "ratio": .stringConvertible(0.5), "ok": .stringConvertible(true), "list": ["a", "b"],
                "map": ["k": "v"], "level": "spoof", "nan": .stringConvertible(Double.nan),
            ])
        #expect(lines.all.count == 1 && lines.all[0].hasSuffix("}\n") && lines.all[0].filter { $0.isNewline }.count == 1)
        let line = try #require(try JSONSerialization.jsonObject(with: Data(lines.all[0].utf8)) as? [String: Any])
        #expect(
            line["message"] as? String == "say \"hi\"\nnext\u{2028}line \u{1} 🌞" && line["level"] as? String == "warning"
                && line["logger"] as? String == "l\"abel")
        #expect(
            line["count"] as? Int == 3 && line["ratio"] as? Double == 0.5 && line["ok"] as? Bool == true
                && line["list"] as? [String] == ["a", "b"])
        #expect(line["map"] as? [String: String] == ["k": "v"] && line["outer"] as? String == "1" && line["nan"] as? String == "nan")
        let time = try #require(line["time"] as? String)
        let parsed = try Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        #expect(abs(parsed.timeIntervalSinceNow) < 60, "\(time)")
    }
}
