import Foundation
import Hummingbird
import HummingbirdTesting
import Testing

@testable import HTTPFrontend

@Suite struct AccessTests {
    @Test(arguments: ["0.0.0.0", "192.168.1.5", "::", "example.org", "127.0.0.1.evil.com", "1270.0.0.1"])
    func `an address that others can reach needs a key`(host: String) throws {
        #expect(throws: HTTPServerError.keyNeeded(host: host)) { try Harness(configure: .change { $0.host = host }) }
        let harness = try Harness(
            configure: .change {
                $0.host = host
                $0.apiKeys = ["long-enough-key"]
            })
        harness.remove()
    }

    @Test(arguments: ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
    func `a loopback address needs none`(host: String) throws { try Harness(configure: .change { $0.host = host }).remove() }

    @Test(arguments: ["", "short", "with blank in it", "tab\tinside-it"])
    func `a weak key is refused`(key: String) {
        #expect(throws: HTTPServerError.weakKey(byteCount: key.utf8.count)) { try Harness(configure: .change { $0.apiKeys = [key] }) }
    }

    @Test func `with keys everything but health and the page needs one`() async throws {
        try await Harness.routes(configure: .change { $0.apiKeys = ["first-key-1", "second-key-2"] }) { client, _ in
            for path in ["/v1/info", "/v1/documents", "/metrics", "/v1/nothing", "/"] {
                let response = try await client.send(.get, path)
                #expect(response.status == (path == "/" ? .ok : .unauthorized), "\(path)")
                if path != "/" {
                    #expect(try response.error()["code"] as? String == "invalid_api_key")
                    #expect(response.headers[.wwwAuthenticate] != nil)
                }
            }
            #expect(try await client.send(.get, "/health/ready").status == .ok)
            for header in ["Bearer first-key-1", "bearer second-key-2", "Bearer  first-key-1"] {
                #expect(try await client.send(.get, "/v1/info", headers: [.authorization: header]).status == .ok, "\(header)")
            }
            for header in ["Bearer first-key-", "Bearer first-key-11", "Bearer ", "Basic first-key-1", "first-key-1", "Bearer FIRST-KEY-1"]
            {
                #expect(try await client.send(.get, "/v1/info", headers: [.authorization: header]).status == .unauthorized, "\(header)")
            }
        }
    }

    @Test func `comparing keys looks at every byte`() {
        let key = Array("0123456789".utf8)
        #expect(AccessMiddleware.areEqual(key, key))
        for index in key.indices {
            var other = key
            other[index] ^= 1
            #expect(!AccessMiddleware.areEqual(key, other) && !AccessMiddleware.areEqual(key, Array(key[..<index])))
        }
        #expect(!AccessMiddleware.areEqual(key, key + [0]) && !AccessMiddleware.areEqual([], [0]))
    }

    @Test(arguments: [
        ("localhost", true), ("localhost:8080", true), ("LOCALHOST", true), ("127.0.0.1:1", true), ("[::1]:8080", true),
        ("evil.example", false), ("evil.example:80", false),
        ("localhost.evil.example", false), ("127.0.0.1.evil.example", false), ("", false), ("proxy.example", true),
        ("proxy.example:443", true), ("169.254.169.254", false),
    ])
    func `a page that rebinds its name to this machine gets nothing`(host: String, isServed: Bool) async throws {
        try await Harness.live(configure: .change { $0.allowedHosts = ["proxy.example"] }) { port, _, _ in
            let connection = try RawConnection(port: port)
            try await connection.send("GET /v1/info HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
            let response = try await connection.receiveToEnd()
            #expect(
                response.hasPrefix(isServed ? "HTTP/1.1 200" : "HTTP/1.1 421") || (host.isEmpty && response.hasPrefix("HTTP/1.1 4")),
                "\(host): \(response.prefix(60))")
            #expect(response.contains("0.0.0-test") == isServed)
        }
    }

    @Test func `pages of other origins cannot change anything`() async throws {
        try await Harness.routes(configure: .change { $0.allowedOrigins = ["https://intranet.example"] }) { client, harness in
            let body = #"{"name": "c"}"#
            for headers in [
                [.origin: "https://evil.example"], [.origin: "null"], [.origin: "http://localhost.evil.example"],
                [.secFetchSite: "cross-site"], [.secFetchSite: "same-site"],
            ] as [HTTPFields] {
                let response = try await client.send(.post, "/v1/collections", json: body, headers: headers)
                #expect(response.status == .forbidden)
                #expect(try response.error()["type"] as? String == "permission_error")
            }
            #expect(harness.backend.state.withLock { $0.collections.isEmpty })
            for (index, headers)
                in ([[.origin: "http://localhost"], [.origin: "https://intranet.example"], [.secFetchSite: "same-origin"], [:]]
                as [HTTPFields]).enumerated()
            {
                #expect(
                    try await client.send(.post, "/v1/collections", json: #"{"name": "c\#(index)"}"#, headers: headers).status == .created)
            }
        }
    }

    @Test func `every response carries the security headers and its request id`() async throws {
        try await Harness.routes { client, _ in
            for path in ["/", "/v1/info", "/v1/none", "/health/live"] {
                let headers = try await client.send(.get, path).headers
                #expect(headers[.xContentTypeOptions] == "nosniff")
                let policy = try #require(headers[.contentSecurityPolicy])
                #expect(policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe"))
                #expect(headers[.xRequestID]?.hasPrefix("req_") == true)
            }
            #expect(
                try await client.send(.get, "/v1/info", headers: [.xRequestID: "abc-123_DEF.4"]).headers[.xRequestID] == "abc-123_DEF.4")
            for bad in ["with blank", String(repeating: "x", count: 129), "quote\"d", "ünï"] {
                #expect(
                    try await client.send(.get, "/v1/info", headers: [.xRequestID: bad]).headers[.xRequestID]?.hasPrefix("req_") == true,
                    "\(bad)")
            }
        }
    }
}
