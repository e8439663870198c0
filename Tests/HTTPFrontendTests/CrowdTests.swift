import Foundation
import Hummingbird
import NIOCore
import NIOEmbedded
import Serving
import Synchronization
import TestSupport
import Testing

@testable import HTTPFrontend

/// Many clients at once that send half of what they announce, or nothing.
@Suite(.serialized) struct CrowdTests {
    private static func backend() throws -> MemoryBackend {
        let backend = MemoryBackend()
        try backend.add(source: "s", text: "Inverters last fifteen years.")
        return backend
    }

    private static func half(_ path: String, type: String = "application/json", length: Int = 1000) -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\nContent-Length: \(length)\r\n\r\n{\"query\""
    }

    private static func search(_ port: Int) async throws -> String {
        let connection = try RawConnection(port: port)
        try await connection.send(httpPost("/v1/search", #"{"query": "inverters"}"#, headers: ["Connection: close"]))
        return try await connection.receiveToEnd()
    }

    @Test func `half-sent requests hold no places`() async throws {
        try await Harness.live(
            Self.backend(),
            configure: .change {
                $0.maxConcurrentRequests = 2
                $0.queueLimit = 2
                // They stay for as long as this test takes.
                $0.bodyPatience = .seconds(600)
            }
        ) { port, harness, _ in
            let halves = try (0..<100).map { _ in try RawConnection(port: port) }
            for (index, half) in halves.enumerated() {
                switch index % 4 {
                case 0: try await half.send(Self.half("/v1/search"))
                case 1: try await half.send(Self.half("/v1/answer", length: 20_000_000))
                case 2: try await half.send(Self.half("/v1/documents", type: "multipart/form-data; boundary=XX", length: 50_000_000))
                default: try await half.send("POST /v1/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"qu")
                }
            }
            for _ in 0..<5 { #expect(try await Self.search(port).hasPrefix("HTTP/1.1 200")) }
            let upload = try RawConnection(port: port)
            try await upload.send(httpPost("/v1/documents", #"{"documents": [{"source": "n", "text": "New."}]}"#))
            #expect(try await upload.receive(until: "job_id").hasPrefix("HTTP/1.1 202"))
            #expect(harness.metrics.exposition().contains("outrider_http_requests_refused_total{class=\"search\"} 0\n"))
            // One of them goes on, and is served.
            try await halves[0].send(": \"inverters\"}" + String(repeating: " ", count: 1000 - 8 - 14))
            #expect(try await halves[0].receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 200"))
            for half in halves { half.close() }
        }
    }

    @Test(arguments: [("/v1/search", "application/json", 1000), ("/v1/documents", "multipart/form-data; boundary=XX", 50_000_000)])
    func `a body that stops is given up`(path: String, type: String, length: Int) async throws {
        try await Harness.live(Self.backend(), configure: .change { $0.bodyPatience = .milliseconds(200) }) { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(Self.half(path, type: type, length: length))
            let text = try await connection.receiveToEnd()
            #expect(text.hasPrefix("HTTP/1.1 408") && text.contains("body_too_slow"), "\(text)")
            #expect(harness.backend.state.withLock { $0.searchRequests.isEmpty && $0.submitted.isEmpty })
        }
    }

    @Test func `a body that comes slowly but steadily is taken`() async throws {
        let stalls = Mutex(0)
        let meter = BodyMeter(patience: .seconds(5)) { stalls.withLock { $0 += 1 } }
        // An hour of a modem: 20 KiB in a second, each second. Only the waiting is simulated.
        for _ in 0..<3600 {
            meter.waitBegins()
            meter.waitEnds(received: 20 << 10)
        }
        #expect(meter.patience > .seconds(5) && stalls.withLock { $0 } == 0)
    }

    @Test func `patience cannot be saved up without end, and is spent by waiting`() async throws {
        let stalled = Latch()
        let meter = BodyMeter(patience: .milliseconds(20)) { stalled.open() }
        meter.waitEnds(received: 1 << 30)
        #expect(meter.patience == .milliseconds(80))
        meter.waitBegins()
        // Eighty milliseconds at most are left; this returns, where a gigabyte's worth would take eighteen hours.
        await stalled.wait()
        meter.waitEnds(received: 0)
        #expect(meter.patience <= .zero)
    }

    @Test func `idle connections make room for others`() async throws {
        try await Harness.live(Self.backend(), configure: .change { $0.maxConnections = 8 }) { port, harness, _ in
            let idle = try (0..<40).map { _ in try RawConnection(port: port) }
            for _ in 0..<3 {
                #expect(try await Self.search(port).hasPrefix("HTTP/1.1 200"))
                let health = try RawConnection(port: port)
                try await health.send(httpGet("/health/live", headers: ["Connection: close"]))
                #expect(try await health.receiveToEnd().hasPrefix("HTTP/1.1 200"))
            }
            #expect(harness.server.connectionCount <= 8)
            // The oldest went first.
            #expect(try await idle[0].receiveToEnd().isEmpty)
            for each in idle { each.close() }
        }
    }

    @Test func `while every connection is busy, health answers and the rest is told to come back`() async throws {
        let backend = try Self.backend()
        backend.behavior.withLock {
            $0.tokenCount = 100_000
            $0.tokenDelay = .milliseconds(20)
        }
        try await Harness.live(
            backend,
            configure: .change {
                $0.maxConnections = 3
                $0.reservedConnections = 2
            }
        ) { port, _, _ in
            let busy = try (0..<3).map { _ in try RawConnection(port: port) }
            for each in busy {
                try await each.send(httpPost("/v1/answer", #"{"question": "inverters", "stream": true}"#))
                try await each.receive(until: "word1 ")
            }
            for _ in 0..<3 {
                let health = try RawConnection(port: port)
                try await health.send(httpGet("/health/live", headers: ["Connection: close"]))
                #expect(try await health.receiveToEnd().hasPrefix("HTTP/1.1 200"))
                let refused = try await Self.search(port)
                #expect(
                    refused.hasPrefix("HTTP/1.1 503") && refused.contains("too_many_connections")
                        && refused.lowercased().contains("retry-after"))
            }
            // Idle ones on the reserve shut nobody out either.
            let idle = try (0..<10).map { _ in try RawConnection(port: port) }
            // Ten that come at once may be let in after it, by other threads, and take its place before its first byte is read; the reserve is of two here.
            try await eventually("health answers beside idle connections") {
                let health = try RawConnection(port: port)
                defer { health.close() }
                try? await health.send(httpGet("/health/live", headers: ["Connection: close"]))
                return (try? await health.receiveToEnd())?.hasPrefix("HTTP/1.1 200") == true
            }
            for each in busy + idle { each.close() }
            try await eventually("there is room again") { try await Self.search(port).hasPrefix("HTTP/1.1 200") }
        }
    }

    @Test func `an address has its share, and proxies have none`() {
        func channel() -> any Channel { EmbeddedChannel() }
        let connections = Connections(limits: .init(count: 100, reserve: 2, perAddress: 3, exemptAddresses: ["10.0.0.1"]))
        func open(_ address: String, isBusy: Bool) -> (Connection, Connection.Standing?) {
            let connection = Connection(channel: channel(), address: address)
            if isBusy { connection.requestBegins(.init()) }
            return (connection, connections.admit(connection))
        }
        var kept: [Connection] = []
        for _ in 0..<3 {
            let (connection, standing) = open("192.0.2.7", isBusy: true)
            #expect(standing == .full)
            kept.append(connection)
        }
        let (extra, standing) = open("192.0.2.7", isBusy: false)
        #expect(standing == .healthOnly)
        #expect(open("192.0.2.8", isBusy: true).1 == .full)
        for _ in 0..<20 { #expect(open("10.0.0.1", isBusy: true).1 == .full) }
        connections.remove(extra)
        // When one of its own is idle, that one goes.
        kept[1].requestEnds()
        #expect(open("192.0.2.7", isBusy: true).1 == .full)
        #expect(connections.connection(of: kept[1].channel) == nil && connections.connection(of: kept[0].channel) != nil)
    }

    @Test func `bodies that are held together are bounded`() throws {
        let budget = BodyBudget(limit: 100_000)
        try budget.take(60_000)
        try budget.take(40_000)
        #expect { try budget.take(1) } throws: { ($0 as? APIError)?.status == .serviceUnavailable }
        budget.give(40_000)
        #expect(throws: APIError.self) { try budget.take(40_001) }
        try budget.take(40_000)
    }
}
