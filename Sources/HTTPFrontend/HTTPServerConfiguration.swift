/// Everything about the HTTP server that an operator can set.
package struct HTTPServerConfiguration: Sendable {
    /// The address to bind. Anything but a loopback address needs at least one API key.
    package var host = "127.0.0.1"
    /// The port to bind; 0 takes a free one, which `onBound` reports.
    package var port = 8080
    /// Keys accepted in `Authorization: Bearer`. Empty = no authentication, allowed on loopback only.
    package var apiKeys: [String] = []
    /// Names besides `localhost`, `127.0.0.1` and `[::1]` that a `Host` header may carry when bound to loopback (a reverse proxy's, for example).
    package var allowedHosts: [String] = []
    /// Origins such as `https://intranet.example` whose pages may change state here; a page of this very server always may.
    package var allowedOrigins: [String] = []
    /// Largest upload (`multipart/form-data`), in bytes.
    package var maxBodyBytes = 2 << 30
    /// Largest JSON body, in bytes; texts given as JSON count.
    package var maxJSONBytes = 32 << 20
    /// Searches and answers that run at the same time; as many uploads, and four times as many reads.
    package var maxConcurrentRequests = 16
    /// Requests of each of those classes that wait for a place; the next one is refused with 503.
    package var queueLimit = 64
    /// Connections that are open at the same time. When all are taken, the one that is idle for longest is closed for the next.
    package var maxConnections = 1024
    /// Connections beyond those, on which only `/health/` is answered, for when a request runs on each of the others.
    package var reservedConnections = 32
    /// Connections that one client address may have open; nil = no limit. A client on this machine may be a proxy, so it has none.
    package var maxConnectionsPerAddress: Int? = 256
    /// Addresses for which that does not count: of proxies on other machines.
    package var proxyAddresses: [String] = []
    /// Memory for bodies of JSON requests and beginnings of uploads, of all requests that are arriving, waiting or running together, in bytes.
    package var maxBufferedBytes = 512 << 20
    /// Job event streams that are open at the same time.
    package var maxEventStreams = 64
    /// After this long a search or answer that still waits or runs is cancelled.
    package var requestTimeout: Duration = .seconds(120)
    /// A connection that sends nothing, or takes nothing, for this long while it should is closed; also the time to send a request's head.
    package var idleTimeout: Duration = .seconds(60)
    /// How long a request's body may stand still; it must come at 16 KiB a second on average.
    package var bodyPatience: Duration = .seconds(5)
    /// Requests that take longer than this are logged as slow.
    package var slowRequest: Duration = .seconds(2)
    /// Which requests get a line of level `info` in the log; the others have it at `debug`.
    package var accessLog: AccessLog = .notable
    /// A comment is written to an idle event stream this often, so that proxies keep it open and a vanished client is noticed.
    package var heartbeat: Duration = .seconds(10)
    /// How long running requests may go on after a shutdown was asked for.
    package var shutdownGrace: Duration = .seconds(30)
    /// Folder for uploads until they are ingested. It belongs to the data folder, so that a rename or a crash never leaves text elsewhere.
    package var spoolDirectory: String

    /// Which requests are worth a line.
    package enum AccessLog: String, Sendable, CaseIterable {
        case all
        /// Those that fail, are slow, or change something.
        case notable
        case off
    }

    package init(spoolDirectory: String) { self.spoolDirectory = spoolDirectory }

    /// True when `host` can be reached from this machine only.
    package var isLoopback: Bool { Self.isLoopback(host) }

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "[::1]" { return true }
        if host == "127.0.0.1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// - Throws: What makes this configuration unsafe or unusable.
    package func validate() throws(HTTPServerError) {
        if !isLoopback && apiKeys.isEmpty { throw .keyNeeded(host: host) }
        for key in apiKeys where key.utf8.count < 8 || key.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f }) {
            throw .weakKey(byteCount: key.utf8.count)
        }
        if !(0...65535).contains(port) {
            throw .invalidConfiguration(name: "--port", value: "\(port)", remedy: "use 0 (any free port) to 65535")
        }
        for (name, value) in [
            ("--max-upload", maxBodyBytes), ("maxJSONBytes", maxJSONBytes),
            ("--max-concurrent", maxConcurrentRequests), ("--max-connections", maxConnections), ("maxEventStreams", maxEventStreams),
            ("reservedConnections", reservedConnections), ("--max-connections-per-address", maxConnectionsPerAddress ?? 1),
            ("maxBufferedBytes", maxBufferedBytes),
        ] where value < 1 {
            throw .invalidConfiguration(name: name, value: "\(value)", remedy: "use 1 or more")
        }
        if queueLimit < 0 { throw .invalidConfiguration(name: "--queue-limit", value: "\(queueLimit)", remedy: "use 0 or more") }
    }
}

/// Why the server did not start or did not end as it should.
package enum HTTPServerError: Error, Sendable, Equatable, CustomStringConvertible {
    case keyNeeded(host: String)
    case weakKey(byteCount: Int)
    /// The name is that of the option that sets it, where there is one.
    case invalidConfiguration(name: String, value: String, remedy: String)
    case cannotBind(host: String, port: Int, reason: String)
    case spoolFolder(path: String, reason: String)

    package var description: String {
        switch self {
        case .keyNeeded(let host):
            "refusing to listen on '\(host)' without an API key, because other machines could read and delete everything; give --api-key KEY, or use --host 127.0.0.1"
        case .weakKey(let count): "an API key of \(count) bytes is too short or holds blanks; use 8 or more printable ASCII characters"
        case .invalidConfiguration(let name, let value, let remedy): "'\(name)' is \(value); \(remedy)"
        case .cannotBind(let host, let port, let reason):
            "cannot listen on \(host):\(port): \(reason); choose another --port (0 = any free one)"
        case .spoolFolder(let path, let reason): "the upload folder '\(path)' cannot be used: \(reason)"
        }
    }
}
