import Foundation
import Testing

/// What the browser test needs of this machine, or the reason why it is left out.
enum BrowserPrograms {
    static let chromedriver = find("chromedriver")
    static let chromium = find("chromium") ?? find("chromium-browser") ?? find("google-chrome")

    /// The program under test: `OUTRIDER_BIN`, or the product that was built beside the test bundle.
    static let outrider: String? = {
        if let named = ProcessInfo.processInfo.environment["OUTRIDER_BIN"] { return named }
        let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        let product = URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("outrider").path
        return FileManager.default.isExecutableFile(atPath: product) ? product : nil
    }()

    static let missing: String? = {
        var names: [String] = []
        if chromium == nil { names.append("chromium") }
        if chromedriver == nil { names.append("chromedriver (Debian package chromium-driver)") }
        if outrider == nil { names.append("the outrider binary (swift build --product outrider, or set OUTRIDER_BIN)") }
        if names.isEmpty { return nil }
        let reason = "browser test skipped, because these are missing: \(names.joined(separator: ", "))"
        print(reason)
        return reason
    }()

    private static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin"
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

struct BrowserFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// One HTTP request over a plain socket: Foundation's client on Linux does not read chromedriver's answers ("Failed writing header").
enum BrowserHTTP {
    static func send(
        _ method: String, port: Int, _ path: String, body: Data? = nil, headers: [String: String] = [:], seconds: Int = 120
    ) async throws -> (status: Int, body: Data) {
        try await withCheckedThrowingContinuation { continuation in
            // The calls block, so they get a thread of their own.
            Thread.detachNewThread {
                continuation.resume(
                    with: Result { try sendBlocking(method, port: port, path, body: body, headers: headers, seconds: seconds) })
            }
        }
    }

    private static func sendBlocking(
        _ method: String, port: Int, _ path: String, body: Data?, headers: [String: String], seconds: Int
    ) throws -> (status: Int, body: Data) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard status == 0 else { throw BrowserFailure("port \(port): \(String(cString: strerror(errno)))") }
        var request = Data("\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n".utf8)
        for (name, value) in headers { request += Data("\(name): \(value)\r\n".utf8) }
        if let body { request += Data("Content-Type: application/json\r\nContent-Length: \(body.count)\r\n".utf8) }
        request += Data("\r\n".utf8) + (body ?? Data())
        var sent = 0
        while sent < request.count {
            let count = request.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress! + sent, request.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw BrowserFailure("port \(port): the connection closed while sending") }
            sent += count
        }
        var answer = Data()
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = answer.firstRange(of: Data("\r\n\r\n".utf8)) {
                let head = String(decoding: answer[..<end.lowerBound], as: UTF8.self)
                let length = head.lowercased().firstMatch(of: /content-length: *(\d+)/).flatMap { Int($0.1) }
                if let length, answer.count >= end.upperBound + length {
                    return (
                        Int(head.split(separator: " ").dropFirst().first ?? "") ?? 0, Data(answer[end.upperBound..<end.upperBound + length])
                    )
                }
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else {
                throw BrowserFailure("\(method) \(path): no whole answer within \(seconds) s; \(answer.count) bytes came")
            }
            answer += buffer[..<count]
        }
    }
}

/// A child process that ends with its owner.
final class BrowserChild {
    private let process = Process()
    private let output: URL

    init(_ executable: String, _ arguments: [String], output: URL) throws {
        self.output = output
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        let handle = try FileHandle(forWritingTo: output)
        process.standardOutput = handle
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    var isRunning: Bool { process.isRunning }
    var log: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }

    /// Asks it to end, and makes it after ten seconds.
    func end() {
        guard process.isRunning else { return }
        process.terminate()
        let limit = Date().addingTimeInterval(10)
        while process.isRunning && Date() < limit { usleep(20_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }

    deinit { end() }
}

/// `outrider serve` with an empty data folder on a free port.
final class BrowserServer {
    let address: String
    let folder: URL
    private let port: Int
    private let child: BrowserChild

    init(arguments: [String] = []) async throws {
        guard let executable = BrowserPrograms.outrider else { throw BrowserFailure("no outrider binary") }
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("outrider-browser-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let portFile = folder.appendingPathComponent("port")
        child = try BrowserChild(
            executable,
            ["serve", "--data", folder.appendingPathComponent("data").path, "--port", "0", "--port-file", portFile.path] + arguments,
            output: folder.appendingPathComponent("serve.log"))
        let limit = Date().addingTimeInterval(90)
        while true {
            if let port = (try? String(contentsOf: portFile, encoding: .utf8)).flatMap({
                Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
            }) {
                self.port = port
                address = "http://127.0.0.1:\(port)"
                break
            }
            guard child.isRunning, Date() < limit else { throw BrowserFailure("outrider serve did not start: \(child.log.suffix(2000))") }
            try await Task.sleep(for: .milliseconds(50))
        }
        while (try? await get("/health/ready"))?.0 != 200 {
            guard child.isRunning, Date() < limit else { throw BrowserFailure("outrider serve is not ready: \(child.log.suffix(2000))") }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    func get(_ path: String) async throws -> (Int, [String: Any]) {
        let (status, data) = try await BrowserHTTP.send("GET", port: port, path)
        return (status, (try? JSONSerialization.jsonObject(with: data) as? [String: Any]) ?? [:])
    }

    /// The server's process has ended when this returns.
    func end() {
        child.end()
        try? FileManager.default.removeItem(at: folder)
    }

    var log: String { child.log }

    deinit { end() }
}

/// A headless Chromium, driven by the W3C WebDriver protocol through chromedriver.
final class Browser {
    private let port: Int
    private let driver: BrowserChild
    private let folder: URL
    private var session = ""

    /// Where screenshots go: kept by CI, not by git.
    static let artifacts: URL = {
        let path = ProcessInfo.processInfo.environment["CI_ARTIFACTS"] ?? ".build/artifacts"
        let url = URL(fileURLWithPath: path, isDirectory: true).appendingPathComponent("browser", isDirectory: true)
        try? FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }()

    init() async throws {
        guard let chromedriver = BrowserPrograms.chromedriver, let chromium = BrowserPrograms.chromium else {
            throw BrowserFailure("no chromedriver or chromium")
        }
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("outrider-chromedriver-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        port = try Self.freePort()
        driver = try BrowserChild(chromedriver, ["--port=\(port)"], output: folder.appendingPathComponent("chromedriver.log"))
        let limit = Date().addingTimeInterval(60)
        while (try? await call("GET", "/status")) == nil {
            guard driver.isRunning, Date() < limit else { throw BrowserFailure("chromedriver did not start: \(driver.log.suffix(1000))") }
            try await Task.sleep(for: .milliseconds(100))
        }
        let options: [String: Any] = [
            "binary": chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900",
                "--user-data-dir=\(folder.appendingPathComponent("profile").path)",
            ],
        ]
        let capabilities: [String: Any] = [
            "alwaysMatch": ["browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": ["browser": "ALL"]]
        ]
        let made = try await call("POST", "/session", ["capabilities": capabilities])
        session = try #require((made as? [String: Any])?["sessionId"] as? String)
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard status else { throw BrowserFailure("no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    // MARK: Protocol

    @discardableResult
    private func call(_ method: String, _ path: String, _ body: [String: Any]? = nil) async throws -> Any {
        let (status, data) = try await BrowserHTTP.send(
            method, port: port, path, body: try body.map { try JSONSerialization.data(withJSONObject: $0) })
        let value = (try JSONSerialization.jsonObject(with: data) as? [String: Any])?["value"] ?? NSNull()
        guard status == 200 else {
            throw BrowserFailure("WebDriver \(method) \(path): \(String(decoding: data.prefix(600), as: UTF8.self))")
        }
        return value
    }

    @discardableResult
    private func call(session method: String, _ path: String, _ body: [String: Any]? = nil) async throws -> Any {
        try await call(method, "/session/\(session)\(path)", body)
    }

    func open(_ url: String) async throws { try await call(session: "POST", "/url", ["url": url]) }

    @discardableResult
    func run(_ script: String, _ arguments: [Any] = []) async throws -> Any {
        try await call(session: "POST", "/execute/sync", ["script": script, "args": arguments])
    }

    func string(_ script: String, _ arguments: [Any] = []) async throws -> String { try await run(script, arguments) as? String ?? "" }

    private func element(_ selector: String) async throws -> String {
        let found = try await call(session: "POST", "/element", ["using": "css selector", "value": selector])
        return try #require((found as? [String: String])?.values.first, "no element '\(selector)'")
    }

    func click(_ selector: String) async throws { try await call(session: "POST", "/element/\(try await element(selector))/click", [:]) }

    /// Types into a field; for a file field the text is the path of a file.
    func type(_ text: String, into selector: String) async throws {
        try await call(session: "POST", "/element/\(try await element(selector))/value", ["text": text])
    }

    /// Presses a key wherever the focus is.
    func press(_ key: String) async throws {
        let actions: [[String: Any]] = [["type": "keyDown", "value": key], ["type": "keyUp", "value": key]]
        try await call(session: "POST", "/actions", ["actions": [["type": "key", "id": "keyboard", "actions": actions] as [String: Any]]])
    }

    /// Waits until a script gives something true.
    @discardableResult
    func wait(_ what: String, for script: String, _ arguments: [Any] = [], seconds: Double = 60) async throws -> Any {
        let limit = Date().addingTimeInterval(seconds)
        while Date() < limit {
            let value = try await run(script, arguments)
            if let flag = value as? Bool { if flag { return value } } else if !(value is NSNull) { return value }
            try await Task.sleep(for: .milliseconds(100))
        }
        try await screenshot("failure-\(what.replacing(" ", with: "-").replacing("/", with: "-"))")
        throw BrowserFailure(
            "not within \(seconds) s: \(what); the page says: \(try await string("return document.body.innerText").prefix(1500))")
    }

    func screenshot(_ name: String) async throws {
        let value = try await call(session: "GET", "/screenshot")
        let data = try #require((value as? String).flatMap { Data(base64Encoded: $0) })
        #expect(data.count > 1000)
        try data.write(to: Self.artifacts.appendingPathComponent("\(name).png"))
    }

    private func command(_ name: String, _ parameters: [String: Any]) async throws {
        try await call(session: "POST", "/goog/cdp/execute", ["cmd": name, "params": parameters])
    }

    func resize(width: Int, height: Int, isPhone: Bool) async throws {
        try await command(
            "Emulation.setDeviceMetricsOverride",
            ["width": width, "height": height, "deviceScaleFactor": isPhone ? 2 : 1, "mobile": isPhone])
    }

    func prefer(colorScheme: String) async throws {
        // Without motion, so that no colour is looked at on its way to another.
        let features = [["name": "prefers-color-scheme", "value": colorScheme], ["name": "prefers-reduced-motion", "value": "reduce"]]
        try await command("Emulation.setEmulatedMedia", ["features": features])
    }

    /// Errors and warnings of the page since the last call; a breach of the content security policy is one.
    func complaints() async throws -> [String] {
        let entries = try await call(session: "POST", "/se/log", ["type": "browser"]) as? [[String: Any]] ?? []
        return entries.filter { ["SEVERE", "WARNING"].contains($0["level"] as? String ?? "") }.map { "\($0["message"] ?? "")" }
    }

    func end() async {
        _ = try? await call(session: "DELETE", "")
        driver.end()
        try? FileManager.default.removeItem(at: folder)
    }
}
