import Answering
import Foundation
import Hummingbird
import ServiceLifecycle
import TestSupport
import Testing

@testable import HTTPFrontend

/// Clients over real sockets: slow ones, rude ones, and those that leave.
@Suite(.serialized) struct LiveTests {
    private static func backend(tokens: Int, delay: Duration) throws -> MemoryBackend {
        let backend = MemoryBackend()
        try backend.add(source: "s", text: "Inverters last fifteen years.")
        backend.behavior.withLock {
            $0.tokenCount = tokens
            $0.tokenDelay = delay
        }
        return backend
    }

    private static let ask = #"{"question": "How long do inverters last?", "stream": true}"#

    @Test func `tokens arrive while the answer is still being written`() async throws {
        try await Harness.live(Self.backend(tokens: 100_000, delay: .milliseconds(20))) { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/answer", Self.ask))
            let head = try await connection.receive(until: "word2 ")
            #expect(head.hasPrefix("HTTP/1.1 200") && head.lowercased().contains("transfer-encoding: chunked"))
            #expect(harness.backend.state.withLock { $0.runningAnswers } == 1)
            connection.close()
            try await eventually("the answer is cancelled when its client leaves") {
                harness.backend.state.withLock { $0.cancelledAnswers == 1 && $0.runningAnswers == 0 }
            }
            try await eventually("the log says so") {
                harness.lines.requests.contains { $0["client_gone"] as? Bool == true && $0["route"] as? String == "/v1/answer" }
            }
        }
    }

    @Test func `a client that leaves also stops an answer without a stream, and one that waits in the queue`() async throws {
        try await Harness.live(Self.backend(tokens: 100_000, delay: .milliseconds(20)), configure: .change { $0.maxConcurrentRequests = 1 })
        {
            port, harness, _ in
            let first = try RawConnection(port: port)
            try await first.send(httpPost("/v1/answer", #"{"question": "inverters"}"#))
            try await eventually("the first runs") { harness.backend.state.withLock { $0.runningAnswers == 1 } }
            let second = try RawConnection(port: port)
            try await second.send(httpPost("/v1/answer", #"{"question": "inverters"}"#))
            try await eventually("the second waits") {
                harness.metrics.exposition().contains("outrider_http_requests_waiting{class=\"search\"} 1\n")
            }
            second.close()
            try await eventually("the second has left the queue") {
                harness.metrics.exposition().contains("outrider_http_requests_waiting{class=\"search\"} 0\n")
            }
            #expect(harness.backend.state.withLock { $0.runningAnswers == 1 && $0.cancelledAnswers == 0 })
            first.close()
            try await eventually("the first is cancelled") { harness.backend.state.withLock { $0.cancelledAnswers == 1 } }
            try await eventually("its place is free") {
                harness.metrics.exposition().contains("outrider_http_requests_running{class=\"search\"} 0\n")
            }
        }
    }

    @Test func `a connection serves one request after another`() async throws {
        try await Harness.live(Self.backend(tokens: 3, delay: .zero)) { port, _, _ in
            let connection = try RawConnection(port: port)
            for request in [
                httpPost("/v1/search", #"{"query": "inverters"}"#), httpPost("/v1/search", #"{"nonsense": 1}"#), httpGet("/v1/none"),
                httpGet("/v1/info"),
                httpPost("/v1/answer", #"{"question": "inverters"}"#),
            ] {
                connection.forget()
                try await connection.send(request)
                #expect(try await connection.receiveResponse().hasPrefix("HTTP/1.1 "))
            }
            // Pipelined: two at once, answered in order.
            connection.forget()
            try await connection.send(httpGet("/health/live") + httpGet("/health/ready"))
            let both = try await connection.receive(until: "\"status\":\"ready\"")
            #expect(both.range(of: "live")!.lowerBound < both.range(of: "\"ready\"")!.lowerBound)
        }
    }

    @Test func `what was taken back is voided by an event of its own`() async throws {
        let backend = MemoryBackend()
        try backend.add(source: "s", text: "Inverters last fifteen years.")
        backend.behavior.withLock { $0.rejectedText = "Inverters last fifty years [1]. " }
        try await Harness.live(backend) { port, _, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/answer", Self.ask, headers: ["Connection: close"]))
            let text = try await connection.receiveToEnd()
            // Without the sizes of chunks.
            let events = serverSentEvents(text.split(separator: "\r\n").filter { $0.contains("event: ") }.joined())
            var joined = ""
            for (event, data) in events {
                let members = try #require(try JSONSerialization.jsonObject(with: Data(data.utf8)) as? [String: Any])
                switch event {
                case "token": joined += try #require(members["text"] as? String)
                case "reset":
                    #expect(joined == "Inverters last fifty years [1]. " && members["reason"] is String)
                    joined = ""
                case "done": #expect(joined.trimmingCharacters(in: .whitespaces) == members["answer"] as? String)
                default: break
                }
            }
            #expect(events.contains { $0.event == "reset" } && events.last?.event == "done")
        }
    }

    @Test func `an idle stream is kept alive by comments`() async throws {
        let backend = try Self.backend(tokens: 1, delay: .zero)
        backend.behavior.withLock { $0.startDelay = .seconds(2) }
        try await Harness.live(backend, configure: .change { $0.heartbeat = .milliseconds(100) }) { port, _, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/answer", Self.ask, headers: ["Connection: close"]))
            let text = try await connection.receive(until: "event: done")
            #expect(text.components(separatedBy: ": still here\n\n").count > 2, "\(text)")
        }
    }

    @Test func `an answer that takes too long ends with an error event, and frees its place`() async throws {
        try await Harness.live(
            Self.backend(tokens: 100_000, delay: .milliseconds(20)), configure: .change { $0.requestTimeout = .seconds(3) }
        ) {
            port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/answer", Self.ask))
            let text = try await connection.receive(until: "timed_out")
            #expect(text.contains("event: token") && text.contains("event: error"))
            try await eventually("the work is cancelled") { harness.backend.state.withLock { $0.runningAnswers == 0 } }
            let plain = try RawConnection(port: port)
            try await plain.send(httpPost("/v1/answer", #"{"question": "inverters"}"#))
            let refusal = try await plain.receive(until: "timed_out")
            #expect(refusal.hasPrefix("HTTP/1.1 503") && refusal.lowercased().contains("retry-after: 1"))
        }
    }

    @Test func `no more run at once than allowed, some wait, the rest is refused at once`() async throws {
        try await Harness.live(
            Self.backend(tokens: 40, delay: .milliseconds(25)),
            configure: .change {
                $0.maxConcurrentRequests = 2
                $0.queueLimit = 3
            }
        ) { port, harness, _ in
            let answers = try await withThrowingTaskGroup(of: (Int, Duration).self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        let start = ContinuousClock.now
                        let connection = try RawConnection(port: port)
                        try await connection.send(httpPost("/v1/answer", #"{"question": "inverters"}"#, headers: ["Connection: close"]))
                        let text = try await connection.receive(until: "}")
                        return (Int(text.split(separator: " ")[1])!, ContinuousClock.now - start)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let served = answers.filter { $0.0 == 200 }.count
            let refused = answers.filter { $0.0 == 503 }
            // 2 run and 3 wait; on a slow machine more may come when places are free again.
            #expect(served >= 5 && served + refused.count == 12 && !refused.isEmpty)
            #expect(harness.backend.state.withLock { $0.runningAnswersMax } <= 2)
            #expect(harness.metrics.exposition().contains("outrider_http_requests_refused_total{class=\"search\"} \(refused.count)\n"))
            // Nothing is stuck: another one is served.
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/search", #"{"query": "inverters"}"#))
            #expect(try await connection.receive(until: "results").hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func `reads and health answer while all places are taken`() async throws {
        try await Harness.live(
            Self.backend(tokens: 100_000, delay: .milliseconds(20)),
            configure: .change {
                $0.maxConcurrentRequests = 1
                $0.queueLimit = 0
            }
        ) { port, harness, _ in
            let busy = try RawConnection(port: port)
            try await busy.send(httpPost("/v1/answer", Self.ask))
            try await busy.receive(until: "word1 ")
            let other = try RawConnection(port: port)
            for path in ["/health/ready", "/v1/documents", "/metrics", "/"] {
                other.forget()
                try await other.send(httpGet(path))
                #expect(try await other.receiveResponse().hasPrefix("HTTP/1.1 200"), "\(path)")
            }
            busy.close()
        }
    }

    // MARK: Rude clients

    @Test func `a client that sends its head drop by drop is cut off`() async throws {
        try await Harness.live(configure: .change { $0.idleTimeout = .milliseconds(500) }) { port, harness, _ in
            let connection = try RawConnection(port: port)
            let start = ContinuousClock.now
            try await connection.send("GET /v1/info HTTP/1.1\r\nHost: localhost\r\n")
            var isOpen = true
            while isOpen && ContinuousClock.now - start < .seconds(20) {
                isOpen = try await connection.send("X-Slow: 1\r\n")
                try await Task.sleep(for: .milliseconds(100))
            }
            #expect(!isOpen)
            #expect(try await connection.receiveToEnd().isEmpty)
        }
    }

    @Test func `a client that sends its body drop by drop is cut off`() async throws {
        try await Harness.live(configure: .change { $0.requestTimeout = .milliseconds(700) }) { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(
                "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            let sender = Task {
                for _ in 0..<200 {
                    guard try await connection.send(" ") else { return }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            let response = try await connection.receiveToEnd()
            sender.cancel()
            #expect(response.hasPrefix("HTTP/1.1 503") && response.contains("timed_out"))
            try await eventually("its place is free") {
                harness.metrics.exposition().contains("outrider_http_requests_running{class=\"search\"} 0\n")
            }
        }
    }

    @Test func `an upload that trickles is stopped and forgotten`() async throws {
        try await Harness.live(configure: .change { $0.bodyPatience = .milliseconds(300) }) { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(
                "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            let part = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
            try await connection.send("\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n")
            let sender = Task {
                for _ in 0..<600 {
                    guard try await connection.send("1\r\nx\r\n") else { return }
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            #expect(try await connection.receive(until: "body_too_slow").hasPrefix("HTTP/1.1 408"))
            sender.cancel()
            try await eventually("nothing of it stays") { harness.spooled.isEmpty }
        }
    }

    @Test func `a client that reads nothing of its stream is cut off`() async throws {
        // Long tokens: the buffers of both ends, some megabytes, are full after a few thousand of them.
        let backend = try Self.backend(tokens: 10_000, delay: .zero)
        backend.behavior.withLock { $0.tokenPadding = 4000 }
        try await Harness.live(
            backend,
            configure: .change {
                $0.idleTimeout = .milliseconds(700)
                $0.requestTimeout = .seconds(3600)
            }
        ) { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(httpPost("/v1/answer", Self.ask))
            try await eventually("the answer runs") { harness.backend.state.withLock { $0.runningAnswers == 1 } }
            try await eventually("its place is free") {
                harness.lines.requests.contains { $0["client_gone"] as? Bool == true }
                    && harness.metrics.exposition().contains("outrider_http_requests_running{class=\"search\"} 0\n")
            }
            connection.close()
        }
    }

    @Test func `a body larger than allowed is refused before it is sent, or while it is`() async throws {
        try await Harness.live(
            configure: .change {
                $0.maxBodyBytes = 100_000
                $0.maxJSONBytes = 10_000
            }
        ) { port, harness, _ in
            let declared = try RawConnection(port: port)
            try await declared.send(
                "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: 99999999999\r\n\r\n--XX\r\n"
            )
            #expect(try await declared.receive(until: "body_too_large").hasPrefix("HTTP/1.1 413"))

            let chunked = try RawConnection(port: port)
            try await chunked.send(
                "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            let part = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
            try await chunked.send("\(String(part.utf8.count, radix: 16))\r\n\(part)\r\n")
            let sender = Task {
                let piece = "4000\r\n" + String(repeating: "x", count: 0x4000) + "\r\n"
                for _ in 0..<2000 where try await !chunked.send(piece) { return }
            }
            #expect(try await chunked.receive(until: "body_too_large").hasPrefix("HTTP/1.1 413"))
            // The rest is not read for long.
            _ = try await chunked.receiveToEnd()
            sender.cancel()
            try await eventually("nothing of it stays") { harness.spooled.isEmpty }
        }
    }

    @Test func `an upload whose client leaves is forgotten`() async throws {
        try await Harness.live { port, harness, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(
                "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: 1000000\r\n\r\n"
            )
            try await connection.send(
                "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n" + String(repeating: "x", count: 300_000))
            try await eventually("it arrives") { harness.spooled.count == 1 && harness.spooled[0].hasPrefix("partial-") }
            connection.close()
            try await eventually("it is removed") { harness.spooled.isEmpty }
            #expect(harness.backend.state.withLock { $0.submitted.isEmpty })
        }
    }

    @Test func `curl's question before a large body is answered`() async throws {
        try await Harness.live { port, _, _ in
            let connection = try RawConnection(port: port)
            let body = #"{"query": "inverters"}"#
            try await connection.send(
                "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            )
            #expect(try await connection.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100"))
            try await connection.send(body)
            #expect(try await connection.receive(until: "collection_not_found").contains("HTTP/1.1 404"))
        }
    }

    @Test(arguments: 0..<12 as Range<UInt64>)
    func `garbage is answered with an error or a closed connection, and hurts nobody`(seed: UInt64) async throws {
        try await Harness.live(configure: .change { $0.idleTimeout = .seconds(2) }) { port, harness, _ in
            var random = SeededGenerator(seed: seed)
            let samples: [[UInt8]] = [
                Array("\u{16}\u{3}\u{1}\u{2}\u{0}".utf8), Array("GET / HTTP/9.9\r\n\r\n".utf8),
                Array("POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n".utf8),
                Array("POST /v1/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n".utf8),
                Array("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n\u{0}\u{1}\u{2}garbage\r\n\r\n".utf8),
                Array(("GET / HTTP/1.1\r\nHost: localhost\r\n" + String(repeating: "X-Many: y\r\n", count: 5000) + "\r\n").utf8),
                Array("GET /\(String(repeating: "a", count: 200_000)) HTTP/1.1\r\n\r\n".utf8),
                (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) },
                Array(
                    "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/info HTTP/1.1\r\n\r\n"
                        .utf8),
            ]
            for _ in 0..<4 {
                let connection = try RawConnection(port: port)
                let sample = samples.randomElement(using: &random)!
                try await connection.send(sample)
                try await connection.send("\r\n\r\n")
                let response = try await connection.receiveToEnd()
                #expect(response.isEmpty || response.hasPrefix("HTTP/1.1 "), "seed \(seed): \(response.prefix(80))")
            }
            let healthy = try RawConnection(port: port)
            try await healthy.send(httpGet("/health/ready"))
            #expect(try await healthy.receive(until: "ready").hasPrefix("HTTP/1.1 200"))
            #expect(harness.backend.state.withLock { $0.searchRequests.isEmpty })
        }
    }

    @Test func `event streams are bounded`() async throws {
        let backend = MemoryBackend()
        backend.behavior.withLock { $0.fileDelay = .seconds(600) }
        try await Harness.live(backend, configure: .change { $0.maxEventStreams = 2 }) { port, _, _ in
            let submit = try RawConnection(port: port)
            try await submit.send(httpPost("/v1/documents", #"{"documents": [{"source": "s", "text": "t"}]}"#))
            let job = try #require(try await submit.receive(until: "\"job_ids\"").firstMatch(of: /"job_id":"(job_\w+)"/)).1
            let streams = try (0..<3).map { _ in try RawConnection(port: port) }
            for stream in streams.prefix(2) {
                try await stream.send(httpGet("/v1/jobs/\(job)/events"))
                #expect(try await stream.receive(until: "event: progress").hasPrefix("HTTP/1.1 200"))
            }
            try await streams[2].send(httpGet("/v1/jobs/\(job)/events"))
            #expect(try await streams[2].receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 503"))
        }
    }

    // MARK: Shutdown

    @Test func `a shutdown lets a running answer finish and ends the streams of jobs`() async throws {
        let backend = try Self.backend(tokens: 30, delay: .milliseconds(30))
        backend.behavior.withLock { $0.fileDelay = .seconds(600) }
        try await Harness.live(backend) { port, harness, group in
            let submit = try RawConnection(port: port)
            try await submit.send(httpPost("/v1/documents", #"{"documents": [{"source": "s", "text": "t"}]}"#))
            let job = try #require(try await submit.receive(until: "\"job_ids\"").firstMatch(of: /"job_id":"(job_\w+)"/)).1
            let follower = try RawConnection(port: port)
            try await follower.send(httpGet("/v1/jobs/\(job)/events"))
            try await follower.receive(until: "event: progress")
            let asker = try RawConnection(port: port)
            try await asker.send(httpPost("/v1/answer", Self.ask))
            try await asker.receive(until: "word1 ")

            await group.triggerGracefulShutdown()
            let answer = try await asker.receiveToEnd()
            #expect(answer.contains("event: done") && answer.contains("word29 ") && answer.hasSuffix("0\r\n\r\n"))
            #expect(try await follower.receiveToEnd().contains("the server shuts down"))
            #expect(throws: RawConnection.Failure.self) { try RawConnection(port: port) }
        }
    }

    @Test func `what does not end within the grace is cut off`() async throws {
        let backend = try Self.backend(tokens: 1_000_000, delay: .milliseconds(20))
        let start = Shared(ContinuousClock.now)
        try await Harness.live(backend, configure: .change { $0.shutdownGrace = .milliseconds(500) }) { port, harness, group in
            let asker = try RawConnection(port: port)
            try await asker.send(httpPost("/v1/answer", Self.ask))
            try await asker.receive(until: "word1 ")
            start.change { $0 = .now }
            await group.triggerGracefulShutdown()
            let rest = try await asker.receiveToEnd()
            #expect(!rest.contains("event: done"))
            try await eventually("the work is cancelled") { harness.backend.state.withLock { $0.runningAnswers == 0 } }
        }
        // Writing a million tokens would take hours.
        #expect(ContinuousClock.now - start.value < .seconds(60))
    }

    @Test func `a port in use is a clear error`() async throws {
        try await Harness.live { port, _, _ in
            let second = try Harness(configure: .change { $0.port = port })
            defer { second.remove() }
            await #expect(throws: HTTPServerError.cannotBind(host: "127.0.0.1", port: port, reason: "the port is in use")) {
                try await second.server.run()
            }
        }
    }
}
