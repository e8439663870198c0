import Foundation
import Hummingbird
import HummingbirdTesting
import Synchronization
import Testing

@testable import HTTPFrontend

/// What HTTP/1 itself demands: versions, heads that say two things, bodies that are framed wrongly.
@Suite(.serialized) struct WireTests {
    private static func backend() throws -> MemoryBackend {
        let backend = MemoryBackend()
        try backend.add(source: "s", text: "Inverters last fifteen years.")
        return backend
    }

    /// The whole answer to some bytes, to the end of the connection.
    private static func answer(_ bytes: String, configure: Settings = .init()) async throws -> String {
        try await Harness.live(backend(), configure: configure) { port, _, _ in
            let connection = try RawConnection(port: port)
            try await connection.send(bytes)
            return try await connection.receiveToEnd()
        }
    }

    @Test(arguments: [
        "GET /health/live HTTP/1.0\r\n\r\n", "GET /health/live HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
    ])
    func `HTTP 1.0 gets one answer, and the connection ends with it`(request: String) async throws {
        let text = try await Self.answer(request)
        let parts = text.components(separatedBy: "\r\n\r\n")
        #expect(parts[0].hasPrefix("HTTP/1.1 200") && parts[0].lowercased().contains("connection: close"), "\(text)")
        #expect(!parts[0].lowercased().contains("transfer-encoding") && parts[1].contains("\"live\""))
    }

    @Test func `a stream to HTTP 1.0 is not chunked and ends with the connection`() async throws {
        let body = #"{"question": "How long do inverters last?", "stream": true}"#
        let text = try await Self.answer(
            "POST /v1/answer HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        let parts = text.components(separatedBy: "\r\n\r\n")
        #expect(parts[0].hasPrefix("HTTP/1.1 200") && !parts[0].lowercased().contains("transfer-encoding"), "\(parts[0])")
        #expect(parts[0].lowercased().contains("connection: close") && parts[0].lowercased().contains("text/event-stream"))
        // Nothing but events: no sizes of chunks between them.
        let events = serverSentEvents(parts.dropFirst().joined(separator: "\r\n\r\n"))
        #expect(events.last?.event == "done" && parts.count == 2)
        #expect(!text.contains("\r\n0\r\n"))
    }

    @Test func `HEAD has no body, whatever GET would send`() async throws {
        for path in ["/", "/health/live", "/v1/info", "/v1/models"] {
            let text = try await Self.answer("HEAD \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            #expect(text.hasPrefix("HTTP/1.1 200") && text.hasSuffix("\r\n\r\n"), "\(path): \(text)")
            #expect(text.components(separatedBy: "\r\n\r\n").count == 2)
        }
    }

    @Test(
        arguments: [
            ("GET /v1/info HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: localhost:80@evil.example\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: user@localhost\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: localhost:8x\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: local host\r\n\r\n", 400, "invalid_host"),
            ("GET /v1/info HTTP/1.1\r\nHost: [::1]evil\r\n\r\n", 400, "invalid_host"),
            ("GET http://evil.example/v1/info HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "unknown_host"),
            ("POST /v1/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "unknown_transfer_encoding"),
            (
                "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501,
                "unknown_transfer_encoding"
            ),
            (
                "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n{}",
                400, "malformed_body"
            ),
            (
                "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
                400, "malformed_body"
            ),
            (
                "POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n--XX",
                400, "malformed_body"
            ),
        ] as [(String, Int, String)])
    func `a faulty request is told its fault, and the connection ends`(request: String, status: Int, code: String) async throws {
        // Some of them leave the connection open, for the next request.
        let text = try await Self.answer(request, configure: .change { $0.idleTimeout = .seconds(1) })
        #expect(text.hasPrefix("HTTP/1.1 \(status) ") && text.contains("\"\(code)\""), "\(request): \(text)")
        // A status line, not the name of the protocol in a message.
        #expect(text.matches(of: #/HTTP\/1\.1 [0-9]{3} /#).count == 1, "one answer: \(text)")
    }

    @Test(arguments: [
        "localhost", "localhost:", "localhost:8080", "127.0.0.1", "[::1]", "[::1]:80",
    ])
    func `a plain Host is served, in the first line too`(host: String) async throws {
        let plain = try await Self.answer("GET /v1/info HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
        #expect(plain.hasPrefix("HTTP/1.1 200"))
        let absolute = try await Self.answer("GET http://\(host)/v1/info HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
        #expect(absolute.hasPrefix("HTTP/1.1 200"), "\(absolute)")
    }

    // MARK: Pages of other origins

    @Test func `a page of an allowed origin may ask, and read every answer`() async throws {
        let origin = "https://intranet.example"
        try await Harness.routes(
            Self.backend(),
            configure: .change {
                $0.allowedOrigins = [origin]
                $0.apiKeys = ["first-key-1"]
            }
        ) { client, _ in
            // The browser asks first, without a key.
            let asked = try await client.send(
                .options, "/v1/answer",
                headers: [
                    .origin: origin, .accessControlRequestMethod: "POST", .accessControlRequestHeaders: "authorization,content-type",
                    .accessControlRequestPrivateNetwork: "true",
                ])
            #expect(asked.status == .noContent && asked.headers[.accessControlAllowOrigin] == origin)
            #expect(asked.headers[.accessControlAllowMethods]?.contains("POST") == true)
            #expect(asked.headers[.accessControlAllowHeaders]?.contains("Authorization") == true)
            #expect(asked.headers[.accessControlAllowPrivateNetwork] == "true" && asked.headers[.vary] == "Origin")
            // Answers, errors and streams alike.
            let key: HTTPFields = [.origin: origin, .authorization: "Bearer first-key-1"]
            for (method, path, body, status) in [
                (.get, "/v1/info", nil, 200), (.get, "/v1/none", nil, 404), (.post, "/v1/search", #"{"query": "inverters"}"#, 200),
                (.post, "/v1/search", #"{"nonsense": 1}"#, 400), (.post, "/v1/answer", #"{"question": "inverters", "stream": true}"#, 200),
            ] as [(HTTPRequest.Method, String, String?, Int)] {
                let response = try await client.send(method, path, json: body, headers: key)
                #expect(response.status.code == status && response.headers[.accessControlAllowOrigin] == origin, "\(path)")
                #expect(response.headers[.accessControlExposeHeaders]?.contains("X-Request-Id") == true)
            }
            let keyless = try await client.send(.get, "/v1/info", headers: [.origin: origin])
            #expect(keyless.status == .unauthorized && keyless.headers[.accessControlAllowOrigin] == origin)
        }
    }

    @Test(arguments: [
        "https://evil.example", "http://intranet.example", "https://intranet.example:8443", "https://intranet.example.evil.example", "null",
    ])
    func `a page of another origin gets nothing`(origin: String) async throws {
        try await Harness.routes(Self.backend(), configure: .change { $0.allowedOrigins = ["https://intranet.example"] }) { client, _ in
            let asked = try await client.send(.options, "/v1/search", headers: [.origin: origin, .accessControlRequestMethod: "POST"])
            #expect(asked.status == .methodNotAllowed)
            for response in [asked, try await client.send(.get, "/v1/info", headers: [.origin: origin])] {
                #expect(!response.headers.contains { $0.name.canonicalName.hasPrefix("access-control-") })
                #expect(response.headers[.vary] == "Origin")
            }
        }
    }

    @Test func `without allowed origins nothing speaks of origins`() async throws {
        try await Harness.routes { client, _ in
            let response = try await client.send(.get, "/v1/info", headers: [.origin: "https://a.example"])
            #expect(!response.headers.contains { $0.name.canonicalName.hasPrefix("access-control-") } && response.headers[.vary] == nil)
        }
    }

    // MARK: Models and filters

    @Test func `models are listed as OpenAI lists them`() async throws {
        try await Harness.routes { client, _ in
            let list = try await client.send(.get, "/v1/models").json()
            #expect(list["object"] as? String == "list")
            let models = try #require(list["data"] as? [[String: Any]])
            #expect(models.map { $0["id"] as? String } == ["extractive", "scripted", "hash-64"])
            for model in models {
                #expect(model["object"] as? String == "model" && model["owned_by"] as? String == "outrider" && model["created"] is Int)
            }
            #expect(models.last?["dimension"] as? Int == 64 && models.last?["kind"] as? String == "embedding")
            #expect(try await client.send(.get, "/v1/models/scripted").json()["id"] as? String == "scripted")
            let missing = try await client.send(.get, "/v1/models/gpt-9")
            #expect(missing.status == .notFound)
            #expect(try missing.error()["code"] as? String == "model_not_found")
        }
    }

    @Test func `a filter may be written in four ways, everywhere`() async throws {
        let backend = MemoryBackend()
        try backend.add(source: "a", text: "Inverters.", metadata: ["year": .number(2025)])
        try await Harness.routes(backend) { client, harness in
            for filter in [
                #"{"type": "eq", "key": "year", "value": 2025}"#, #"{"year": 2025}"#, #""year = 2025""#, #"{"year": {"eq": 2025}}"#,
            ] {
                #expect(try await client.send(.post, "/v1/search", json: #"{"query": "inverters", "filter": \#(filter)}"#).status == .ok)
                #expect(harness.backend.state.withLock { $0.searchRequests.last?.filter } == .eq("year", .number(2025)), "\(filter)")
                #expect(try await client.send(.post, "/v1/answer", json: #"{"question": "inverters", "filter": \#(filter)}"#).status == .ok)
                #expect(harness.backend.state.withLock { $0.searchRequests.last?.filter } == .eq("year", .number(2025)), "\(filter)")
            }
            for (text, count) in [("year%20%3D%202025", 1), ("year%20=%202024", 0), ("%7B%22year%22:2025%7D", 1)] {
                let list = try await client.send(.get, "/v1/documents?filter=\(text)").json()
                #expect((list["documents"] as? [Any])?.count == count, "\(text)")
            }
            for bad in [
                #""year >""#, #"{"year": {"above": 3}}"#, #"{"type": "eqq", "key": "year", "value": 1}"#, "7", "{}",
            ] {
                let response = try await client.send(.post, "/v1/search", json: #"{"query": "inverters", "filter": \#(bad)}"#)
                #expect(response.status == .badRequest, "\(bad): \(response.text)")
                #expect(try response.error()["param"] as? String == "filter", "\(bad): \(response.text)")
            }
            #expect(try await client.send(.get, "/v1/documents?filter=year%20%3E").error()["code"] as? String == "invalid_filter")
            let deleted = try await client.send(.post, "/v1/documents/delete", json: #"{"filter": {"year": 2025}}"#).json()
            #expect((deleted["documents"] as? [Any])?.count == 1, "\(deleted)")
        }
    }
}
