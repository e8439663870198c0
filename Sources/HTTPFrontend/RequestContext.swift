import Documents
import Execution
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import Serving
import Synchronization

/// What a request carries from the first middleware to its log line.
struct FrontendContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// `X-Request-Id`: the client's when it is sane, else made here.
    var requestID = ""
    let facts = RequestFacts()

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Facts that handlers leave for the log line of their request. Ids and numbers only, never text.
final class RequestFacts: Sendable {
    private let fields = Mutex<Logger.Metadata>([:])

    subscript(_ name: String) -> Logger.MetadataValue? {
        get { fields.withLock { $0[name] } }
        set { fields.withLock { $0[name] = newValue } }
    }

    var all: Logger.Metadata { fields.withLock { $0 } }
}

/// The outermost layer: a request id in and out, security headers, errors as JSON, one log line and the metrics of each request.
struct EnvelopeMiddleware: RouterMiddleware {
    typealias Context = FrontendContext
    let metrics: PrometheusRegistry
    /// Hummingbird's own logger is quieter.
    let logger: Logger
    private let configuration: HTTPServerConfiguration
    private let connections: Connections
    private let crossOrigin: CrossOrigin

    init(_ frontend: Frontend) {
        metrics = frontend.metrics
        logger = frontend.logger
        configuration = frontend.configuration
        connections = frontend.connections
        crossOrigin = CrossOrigin(allowedOrigins: frontend.configuration.allowedOrigins)
    }

    let securityHeaders: HTTPFields = [
        .xContentTypeOptions: "nosniff",
        .contentSecurityPolicy:
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        .referrerPolicy: "no-referrer",
        .xFrameOptions: "DENY",
        .crossOriginResourcePolicy: "same-origin",
        .crossOriginOpenerPolicy: "same-origin",
        .permissionsPolicy: "camera=(), microphone=(), geolocation=()",
    ]

    func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response) async throws -> Response {
        let start = ContinuousClock.now
        var context = context
        context.requestID = Self.accepted(request.headers[.xRequestID]) ?? "req_\(SortableID.random().text)"
        context.logger = logger
        context.logger[metadataKey: "request_id"] = .string(context.requestID)

        var response: Response
        var mustClose = false
        do {
            if let connection = connections.connection(of: context.channel) {
                mustClose = true
                if let fault = connection.head.fault { throw fault }
                if connections.standing(of: connection) != .full, !AccessMiddleware.isProbe(request.uri.path) {
                    throw APIError.tooManyConnections
                }
                mustClose = false
            }
            if let preflight = crossOrigin.preflight(request) { response = preflight } else { response = try await next(request, context) }
        } catch {
            response = Self.response(to: error, context: context)
        }
        if mustClose || response.status.code >= 400 && Self.hasLongBody(request) {
            response.headers[.connection] = "close"
            closeSoon(context.channel)
        }
        crossOrigin.mark(&response, for: request)
        for field in securityHeaders where response.headers[field.name] == nil { response.headers[field.name] = field.value }
        response.headers[.xRequestID] = context.requestID

        let route = context.endpointPath ?? "unknown"
        let ending = Ending(
            method: request.method, route: route == "NotFound" ? "unknown" : route, status: response.status.code, start: start,
            context: context, metrics: metrics, configuration: configuration)
        if response.body.contentLength == nil {
            // The request ends when its stream does.
            let body = response.body
            response.body = ResponseBody { writer in
                do {
                    try await body.write(writer)
                    ending.report(isComplete: true)
                } catch {
                    ending.report(isComplete: false)
                    throw error
                }
            }
        } else {
            ending.report(isComplete: true)
        }
        return response
    }

    static func response(to error: any Error, context: Context) -> Response {
        let mapped: APIError
        switch error {
        case Interruption.clientGone, HTTPParserError.invalidEOFState:
            // Nobody reads it; the status is for the log.
            context.facts["client_gone"] = .stringConvertible(true)
            mapped = APIError(.clientClosedRequest, code: "client_gone", "the client closed the connection")
        case Interruption.timedOut(let duration):
            mapped = APIError(
                .serviceUnavailable, code: "timed_out",
                "the request was not done within \(duration) and was stopped; try again, or raise the server's request timeout")
        case Interruption.inputTooSlow:
            mapped = APIError(
                .requestTimeout, code: "body_too_slow",
                "the request's body stood still, or came slower than \(BodyMeter.rateMin) bytes per second, and was given up")
        default: mapped = APIError(mapping: error)
        }
        context.facts["error_code"] = .string(mapped.code)
        if let detail = mapped.detail { context.logger.error("request failed", metadata: ["detail": .string(detail)]) }
        return mapped.response()
    }

    private static func hasLongBody(_ request: Request) -> Bool {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }) { return length > 64 << 10 }
        return request.headers[.transferEncoding] != nil
    }

    /// A body that nobody will read must not keep the connection busy for long: the client gets two seconds to take the answer.
    private func closeSoon(_ channel: any Channel) {
        channel.eventLoop.scheduleTask(in: .seconds(2)) { channel.close(promise: nil) }
    }

    private static func accepted(_ id: String?) -> String? {
        guard let id, (1...128).contains(id.utf8.count) else { return nil }
        let isSane = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: "-_.:/".utf8.contains(byte)
            }
        }
        return isSane ? id : nil
    }

    private struct Ending {
        var method: HTTPRequest.Method
        var route: String
        var status: Int
        var start: ContinuousClock.Instant
        var context: Context
        var metrics: PrometheusRegistry
        var configuration: HTTPServerConfiguration

        func report(isComplete: Bool) {
            let milliseconds = (ContinuousClock.now - start).inMilliseconds
            let isGone = !isComplete || context.facts["client_gone"] != nil
            metrics.count("outrider_http_requests_total", ["route": route, "method": knownMethod, "status": "\(status)"])
            metrics.observe("outrider_request_latency_ms", milliseconds, ["route": route])
            if isGone { metrics.count("outrider_http_clients_gone_total", [:]) }
            let level = level(milliseconds, isGone: isGone)
            // Most requests leave no line, and its fields cost more than the rest of this.
            guard level >= context.logger.logLevel else { return }
            var fields = context.facts.all
            fields["method"] = .string(method.rawValue)
            fields["route"] = .string(route)
            fields["status"] = .stringConvertible(status)
            fields["latency_ms"] = .stringConvertible((milliseconds * 100).rounded() / 100)
            if isGone { fields["client_gone"] = .stringConvertible(true) }
            context.logger.log(level: level, "request", metadata: fields)
        }

        /// A line for each request would be megabytes a minute on a busy server, and hide what matters.
        private func level(_ milliseconds: Double, isGone: Bool) -> Logger.Level {
            if status >= 500 && ![501, 503].contains(status) { return .error }
            switch configuration.accessLog {
            case .off: return .debug
            case .all:
                let isRoutine =
                    status < 400 && (route.hasPrefix("/health") || route == "/metrics" || method == .get && !route.hasPrefix("/v1/"))
                return isRoutine ? .debug : .info
            case .notable:
                let isReading = [.get, .head, .options].contains(method) || ["/v1/search", "/v1/answer"].contains(route)
                // A stream of a job's progress lasts as long as the job.
                let isSlow = milliseconds > configuration.slowRequest.inMilliseconds && !route.hasSuffix("/events")
                let isFailure = status >= 400 && !(route == "/health/ready" && status == 503)
                return isFailure || isGone || isSlow || !isReading ? .info : .debug
            }
        }

        /// Methods are the client's choice, so only known ones become a label.
        private var knownMethod: String {
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(method.rawValue) ? method.rawValue : "other"
        }
    }
}

extension HTTPField.Name {
    static let xRequestID = HTTPField.Name("X-Request-Id")!
    static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
    static let xFrameOptions = HTTPField.Name("X-Frame-Options")!
    static let crossOriginResourcePolicy = HTTPField.Name("Cross-Origin-Resource-Policy")!
    static let crossOriginOpenerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy")!
    static let permissionsPolicy = HTTPField.Name("Permissions-Policy")!
    static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
    static let xAccelBuffering = HTTPField.Name("X-Accel-Buffering")!
}
