import Foundation
import Glibc
import Synchronization

/// An HTTP server on a free loopback port that answers with scripted bytes, cut where the script says. Plain sockets: it can be as rude as it likes.
final class StubServer: Sendable {
    enum Step: Sendable {
        case send(String)
        case bytes([UInt8])
        case pause(milliseconds: Int)
        /// Waits until the client closes the connection (or two minutes have passed).
        case awaitClose
    }

    struct Request: Sendable {
        var head: String
        var body: String
        func header(_ name: String) -> String? {
            for line in head.split(separator: "\r\n").dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.first?.lowercased() == name.lowercased() { return parts.last.map { $0.trimmingCharacters(in: .whitespaces) } }
            }
            return nil
        }
    }

    private struct State {
        var requests: [Request] = []
        var closedByClientCount = 0
        var isStopped = false
    }

    let port: Int
    private let listener: Int32
    private let state = Mutex(State())
    private let script: @Sendable (_ number: Int, Request) -> [Step]

    var baseURL: String { "http://127.0.0.1:\(port)/v1" }
    var requests: [Request] { state.withLock { $0.requests } }
    /// How often a client has left a connection on which the script was still waiting.
    var closedByClientCount: Int { state.withLock { $0.closedByClientCount } }

    /// - Parameter script: What to answer to the request of that number, counted from 0.
    init(_ script: @escaping @Sendable (Int, Request) -> [Step]) throws {
        self.script = script
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, size) == 0 && listen(listener, 64) == 0 && getsockname(listener, address, &size) == 0
            }
        }
        guard status else { throw CocoaError(.fileReadUnknown) }
        port = Int(UInt16(bigEndian: address.sin_port))
        // Neither thread keeps the server alive: letting go of it ends them.
        Thread { [weak self] in
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 { return }
                let server = self
                Thread {
                    server?.serve(connection)
                    close(connection)
                }.start()
            }
        }.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// A port on which nobody listens.
    static func deadPort() throws -> Int {
        let server = try StubServer { _, _ in [] }
        return server.port
    }

    private func serve(_ connection: Int32) {
        guard let request = read(connection) else { return }
        let number = state.withLock { state in
            state.requests.append(request)
            return state.requests.count - 1
        }
        for step in script(number, request) {
            switch step {
            case .send(let text): guard send(Array(text.utf8), connection) else { return }
            case .bytes(let bytes): guard send(bytes, connection) else { return }
            case .pause(let milliseconds): Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
            case .awaitClose:
                var poll = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
                var byte: UInt8 = 0
                if Glibc.poll(&poll, 1, 120_000) > 0, recv(connection, &byte, 1, 0) <= 0 { state.withLock { $0.closedByClientCount += 1 } }
            }
        }
        shutdown(connection, Int32(SHUT_WR))
    }

    private func send(_ bytes: [UInt8], _ connection: Int32) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.send(connection, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL)) }
            if count <= 0 { return false }
            done += count
        }
        return true
    }

    private func read(_ connection: Int32) -> Request? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let blank = Array("\r\n\r\n".utf8)
        while true {
            if let end = bytes.indices.first(where: { bytes[$0...].starts(with: blank) }) {
                var request = Request(head: String(decoding: bytes[..<end], as: UTF8.self), body: "")
                let size = request.header("content-length").flatMap { Int($0) } ?? 0
                if bytes.count >= end + 4 + size {
                    request.body = String(decoding: bytes[(end + 4)..<(end + 4 + size)], as: UTF8.self)
                    return request
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return nil }
            bytes += buffer[..<count]
        }
    }
}

/// Answers in the form that servers give them.
enum Reply {
    static let streamHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

    static func status(_ status: Int, _ body: String = "{\"error\":{\"message\":\"no\"}}", headers: String = "") -> [StubServer.Step] {
        [
            .send(
                "HTTP/1.1 \(status) X\r\ncontent-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\(headers)connection: close\r\n\r\n\(body)"
            )
        ]
    }

    static func event(_ text: String) -> String { "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\(quoted(text))}}]}\n\n" }

    static func end(_ reason: String = "stop", prompt: Int = 7, completion: Int = 3) -> String {
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"\(reason)\"}]}\n\n"
            + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":\(prompt),\"completion_tokens\":\(completion)}}\n\ndata: [DONE]\n\n"
    }

    static func stream(_ pieces: [String]) -> [StubServer.Step] { [.send(streamHead + pieces.map(event).joined() + end())] }

    static func quoted(_ text: String) -> String { String(decoding: try! JSONEncoder().encode(text), as: UTF8.self) }
}
