import Foundation
import Hummingbird
import HummingbirdTesting
import Ingestion
import Logging
import ServiceLifecycle
import Serving
import Synchronization
import TestSupport
import Testing

@testable import HTTPFrontend

/// What a test changes of the server's configuration.
struct Settings {
    var apply: (inout HTTPServerConfiguration) -> Void = { _ in }
    static func change(_ apply: @escaping (inout HTTPServerConfiguration) -> Void) -> Settings { Settings(apply: apply) }
}

/// A server's parts for one test, in a temporary folder of its own.
struct Harness: Sendable {
    let backend: MemoryBackend
    let metrics = PrometheusRegistry()
    let lines = LogLines()
    let server: HTTPServer
    let folder: String

    init(
        _ backend: MemoryBackend = MemoryBackend(), ingesting: (any Ingesting)? = nil,
        onBound: @escaping @Sendable (Int) -> Void = { _ in }, configure: Settings = .init()
    ) throws {
        self.backend = backend
        folder = NSTemporaryDirectory() + "outrider-http-\(UUID().uuidString)"
        var configuration = HTTPServerConfiguration(spoolDirectory: folder + "/spool")
        configuration.port = 0
        configure.apply(&configuration)
        let services = Services(
            searching: backend, answering: backend, ingesting: ingesting ?? backend, documents: backend,
            info: { ServerInfo(version: "0.0.0-test", models: [.init(kind: "embedding", name: "hash-64", dimension: 64)]) },
            limits: backend.limits)
        let lines = lines
        var logger = Logger(label: "test") { JSONLogHandler(label: $0) { lines.add($0) } }
        logger.logLevel = .debug
        server = try HTTPServer(configuration: configuration, services: services, metrics: metrics, logger: logger, onBound: onBound)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    var spooled: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder + "/spool")) ?? []).sorted() }

    /// Runs requests against the routes, without a socket.
    ///
    /// - Parameter ingesting: In the backend's place.
    static func routes<Value: Sendable>(
        _ backend: MemoryBackend = MemoryBackend(), ingesting: (any Ingesting)? = nil, configure: Settings = .init(),
        _ test: @escaping @Sendable (any TestClientProtocol, Harness) async throws -> Value
    ) async throws -> Value {
        let harness = try Harness(backend, ingesting: ingesting, configure: configure)
        defer { harness.remove() }
        return try await harness.server.makeApplication().test(.router) { try await test($0, harness) }
    }

    /// Runs the real service on a free port until the test is over, then shuts it down gracefully.
    static func live<Value: Sendable>(
        _ backend: MemoryBackend = MemoryBackend(), configure: Settings = .init(),
        _ test: @escaping @Sendable (Int, Harness, ServiceGroup) async throws -> Value
    ) async throws -> Value {
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let harness = try Harness(backend, onBound: { port.yield($0) }, configure: configure)
        defer { harness.remove() }
        let group = ServiceGroup(
            configuration: .init(services: [harness.server], logger: Logger(label: "services") { _ in SwiftLogNoOpLogHandler() }))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            var iterator = ports.makeAsyncIterator()
            let bound = try #require(await iterator.next())
            let result: Result<Value, any Error>
            do { result = .success(try await test(bound, harness, group)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try result.get()
        }
    }
}

final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
    /// The decoded log lines of requests.
    var requests: [[String: Any]] {
        all.compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }.filter {
            $0["message"] as? String == "request"
        }
    }
}

extension TestClientProtocol {
    func send(_ method: HTTPRequest.Method, _ uri: String, json: String? = nil, headers: HTTPFields = [:]) async throws -> TestResponse {
        var headers = headers
        if json != nil && headers[.contentType] == nil { headers[.contentType] = "application/json" }
        return try await execute(uri: uri, method: method, headers: headers, body: json.map { ByteBuffer(string: $0) }) { $0 }
    }
}

extension TestResponse {
    var text: String { String(buffer: body) }
    func json() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(body.readableBytesView)) as? [String: Any], "\(text)")
    }
    func error() throws -> [String: Any] {
        let body = try json()
        let error = try #require(body["error"] as? [String: Any])
        // The shape is the same for every error.
        #expect(Set(error.keys) == ["message", "type", "param", "code"])
        return error
    }
}

/// A plain TCP connection to the server, for clients that do not behave. Calls block, so they run on threads of their own.
final class RawConnection: Sendable {
    private let descriptor: Int32
    private let isClosed = Atomic(false)
    private let received = Mutex<[UInt8]>([])

    struct Failure: Error, CustomStringConvertible { var description: String }

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        guard status == 0 else { throw Failure(description: "connect: \(String(cString: strerror(errno)))") }
        var limit = timeval(tv_sec: 90, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close() }

    func close() {
        if !isClosed.exchange(true, ordering: .acquiringAndReleasing) { Foundation.close(descriptor) }
    }

    private func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result(catching: work)) }
        }
    }

    /// - Returns: False when the server had closed the connection.
    @discardableResult
    func send(_ text: String) async throws -> Bool { try await send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) async throws -> Bool {
        let descriptor = descriptor
        return try await onThread {
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Foundation.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                }
                if count <= 0 { return false }
                sent += count
            }
            return true
        }
    }

    /// Everything received so far, once it contains a text.
    @discardableResult
    func receive(until text: String) async throws -> String {
        let needle = Array(text.utf8)
        return try await onThread { [self] in
            while true {
                let bytes = received.withLock { $0 }
                if bytes.firstRange(of: needle) != nil { return String(decoding: bytes, as: UTF8.self) }
                guard try receiveMore() else {
                    throw Failure(description: "closed before '\(text)'; received: \(String(decoding: bytes, as: UTF8.self))")
                }
            }
        }
    }

    /// A response as a whole, where nothing but it was received: its body to the length that its head tells, or to its last chunk.
    func receiveResponse() async throws -> String {
        let text = try await receive(until: "\r\n\r\n")
        guard let end = text.range(of: "\r\n\r\n")?.upperBound else { throw Failure(description: "no head: \(text)") }
        guard let length = text[..<end].lowercased().firstMatch(of: /content-length: (\d+)/).flatMap({ Int($0.1) }) else {
            return try await receive(until: "\r\n0\r\n\r\n")
        }
        let size = text.utf8.distance(from: text.startIndex, to: end) + length
        return try await onThread { [self] in
            while received.withLock({ $0.count < size }) {
                guard try receiveMore() else { throw Failure(description: "closed before the end of the body") }
            }
            return String(decoding: received.withLock { $0 }, as: UTF8.self)
        }
    }

    /// Everything until the server closes.
    func receiveToEnd() async throws -> String {
        try await onThread { [self] in
            while try receiveMore() {}
            return String(decoding: received.withLock { $0 }, as: UTF8.self)
        }
    }

    /// Drops what was received, so that the next answer starts afresh.
    func forget() { received.withLock { $0 = [] } }

    private func receiveMore() throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count == 0 { return false }
        if count < 0 {
            if errno == ECONNRESET { return false }
            throw Failure(description: "recv: \(String(cString: strerror(errno)))")
        }
        received.withLock { $0 += buffer[..<count] }
        return true
    }
}

func httpPost(_ path: String, _ body: String, headers: [String] = [], contentType: String = "application/json") -> String {
    (["POST \(path) HTTP/1.1", "Host: localhost", "Content-Type: \(contentType)", "Content-Length: \(body.utf8.count)"] + headers).joined(
        separator: "\r\n") + "\r\n\r\n" + body
}

func httpGet(_ path: String, headers: [String] = []) -> String {
    (["GET \(path) HTTP/1.1", "Host: localhost"] + headers).joined(separator: "\r\n") + "\r\n\r\n"
}

/// The events of a stream, in order.
func serverSentEvents(_ text: String) -> [(event: String, data: String)] {
    text.components(separatedBy: "\n\n").compactMap { frame in
        let lines = frame.components(separatedBy: "\n")
        guard let event = lines.first(where: { $0.hasPrefix("event: ") }), let data = lines.first(where: { $0.hasPrefix("data: ") }) else {
            return nil
        }
        return (String(event.dropFirst(7)), String(data.dropFirst(6)))
    }
}
