import Execution
import HTTPTypes
import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import ServiceLifecycle
package import Serving

import var Glibc.EADDRINUSE

/// The REST API, its event streams, the metrics page and the web user interface, as one service.
///
/// A request passes these layers:
///
///     connection (limits, idle timeout, HTTP/1.0, faulty heads)
///       -> envelope (request id, security headers, cross-origin headers, errors as JSON, log line, metrics)
///         -> access (host name, origin, key)
///           -> route -> body (all of a small one, at a minimum rate) -> gate (places, queue, deadline, client still there?) -> handler
///
/// On a graceful shutdown it stops listening, ends job event streams, lets everything else finish for `shutdownGrace`, and cancels the rest.
package struct HTTPServer: Service {
    private let frontend: Frontend
    private let onBound: @Sendable (Int) -> Void

    /// - Parameters:
    ///   - metrics: Where requests are counted, and what `/metrics` prints. Bootstrap swift-metrics with it to see every module there.
    ///   - onBound: Called once with the port, when connections are accepted.
    /// - Throws: `HTTPServerError` for an unsafe or impossible configuration.
    package init(
        configuration: HTTPServerConfiguration, services: Services, metrics: PrometheusRegistry = PrometheusRegistry(), logger: Logger,
        onBound: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws(HTTPServerError) {
        try configuration.validate()
        try UploadReceiver.prepare(directory: configuration.spoolDirectory)
        frontend = Frontend(configuration: configuration, services: services, metrics: metrics, logger: logger)
        self.onBound = onBound
    }

    /// Serves until a graceful shutdown or cancellation.
    ///
    /// - Throws: `HTTPServerError.cannotBind`.
    package func run() async throws {
        let application = makeApplication()
        enum End { case served, graceOver }
        let configuration = frontend.configuration
        do {
            try await withThrowingTaskGroup(of: End.self) { group in
                group.addTask { [frontend] in
                    try await withGracefulShutdownHandler {
                        try await withTaskExecutorPreference(WorkPool.requests) { try await application.run() }
                    } onGracefulShutdown: {
                        frontend.shutdown.open()
                    }
                    return .served
                }
                group.addTask { [frontend] in
                    await frontend.shutdown.wait()
                    try await Task.sleep(for: configuration.shutdownGrace)
                    return .graceOver
                }
                if try await group.next() == .graceOver {
                    frontend.logger.warning(
                        "requests were cut off", metadata: ["after_s": .stringConvertible(configuration.shutdownGrace.inSeconds)])
                }
                group.cancelAll()
                // The rest ends by cancellation, which is no error here.
                while let result = await group.nextResult() { _ = result }
            }
        } catch let error as IOError {
            // Nothing but binding throws these.
            let reason = error.errnoCode == EADDRINUSE ? "the port is in use" : error.description
            throw HTTPServerError.cannotBind(host: configuration.host, port: configuration.port, reason: reason)
        }
    }

    /// Connections that are open now.
    var connectionCount: Int { frontend.connections.count }

    // MARK: Assembly

    func makeApplication() -> some ApplicationProtocol {
        let frontend = frontend
        let configuration = frontend.configuration
        let onBound = onBound
        return Application(
            router: makeRouter(),
            server: Self.server(
                frontend.connections, idleTimeout: configuration.idleTimeout,
                maxBodyBytes: max(configuration.maxBodyBytes, configuration.maxJSONBytes)),
            configuration: .init(
                address: .hostname(configuration.host == "[::1]" ? "::1" : configuration.host, port: configuration.port),
                // Connections are counted once they are accepted: one that waits in the kernel can neither be told anything nor be closed.
                backlog: 1024),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? configuration.port
                frontend.logger.info("listening", metadata: ["host": .string(configuration.host), "port": .stringConvertible(port)])
                onBound(port)
            },
            logger: Self.quiet(frontend.logger))
    }

    /// Hummingbird's own notices repeat what we log.
    private static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = max(logger.logLevel, .warning)
        return logger
    }

    /// HTTP/1.1 that answers `Expect: 100-continue` (curl waits a second for it before each large upload).
    private static func server(_ connections: Connections, idleTimeout: Duration, maxBodyBytes: Int) -> HTTPServerBuilder {
        HTTPServerBuilder { responder in
            GuardedChannel(
                responder: { request, writer, channel in
                    _ = connections.connection(of: channel)?.handleNext()
                    let length = request.headers[.contentLength].flatMap { Int($0) } ?? 0
                    if request.headers[.expect]?.lowercased() == "100-continue", length <= maxBodyBytes {
                        try await writer.writeInformationalHead(HTTPResponse(status: .continue))
                    }
                    try await responder(request, writer, channel)
                }, connections: connections, idleTimeout: idleTimeout)
        }
    }

    private func makeRouter() -> Router<FrontendContext> {
        let frontend = frontend
        let configuration = frontend.configuration
        let router = Router(context: FrontendContext.self, options: [.autoGenerateHeadEndpoints])
        router.add(middleware: EnvelopeMiddleware(frontend))
        router.add(middleware: AccessMiddleware(configuration: configuration, connections: frontend.connections))

        var methods: [(path: String, methods: [HTTPRequest.Method])] = []
        func route(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Frontend.Handler) {
            router.on(RouterPath(path), method: method) { request, context in try await handler(request, context) }
            if let known = methods.firstIndex(where: { $0.path == path }) {
                methods[known].methods.append(method)
            } else {
                methods.append((path, [method]))
            }
        }
        func read(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Frontend.Handler) {
            route(method, path, frontend.read(handler))
        }
        let timeout: @Sendable (Request) -> Duration? = { _ in configuration.requestTimeout }
        // The receiver watches the rate; this bounds all of it, the wait for a place and for the job's end included.
        let uploadTimeout: @Sendable (Request) -> Duration? = { request in
            let length = request.headers[.contentLength].flatMap { Int($0) } ?? configuration.maxBodyBytes
            return configuration.requestTimeout * 2 + .seconds(30 + min(length, configuration.maxBodyBytes) / UploadReceiver.rateMin)
        }
        /// For what may take as long as there is data.
        func slow(_ path: String, _ handler: @escaping Frontend.Handler) {
            route(
                .post, path,
                frontend.admitted(frontend.work, timeout: { _ in .seconds(3600) }) { request, context, permit in
                    defer { permit.release() }
                    return try await handler(request, context)
                })
        }

        for asset in WebAssets.all { route(.get, asset.path, frontend.asset(asset)) }
        route(.get, "/health/live", frontend.live)
        route(.get, "/health/ready", frontend.ready)
        route(.get, "/metrics", frontend.metricsPage)

        route(.post, "/v1/search", frontend.admitted(frontend.work, timeout: timeout, frontend.search))
        route(.post, "/v1/answer", frontend.admitted(frontend.work, timeout: timeout, frontend.answer))

        route(.post, "/v1/documents", frontend.admitted(frontend.uploads, timeout: uploadTimeout, frontend.addDocuments))
        read(.get, "/v1/documents", frontend.listDocuments)
        slow("/v1/documents/delete", frontend.deleteDocuments)
        read(.get, "/v1/documents/{id}", frontend.getDocument)
        read(.patch, "/v1/documents/{id}", frontend.patchDocument)
        read(.delete, "/v1/documents/{id}", frontend.deleteDocument)
        read(.get, "/v1/documents/{id}/text", frontend.getText)
        read(.get, "/v1/documents/{id}/chunks", frontend.getChunks)

        read(.get, "/v1/jobs", frontend.listJobs)
        read(.get, "/v1/jobs/{id}", frontend.getJob)
        route(.get, "/v1/jobs/{id}/events", frontend.jobEvents)
        read(.post, "/v1/jobs/{id}/cancel", frontend.cancelJob)
        read(.post, "/v1/jobs/{id}/retry", frontend.retryJob)

        read(.get, "/v1/collections", frontend.listCollections)
        read(.post, "/v1/collections", frontend.createCollection)
        read(.get, "/v1/collections/{name}", frontend.getCollection)
        read(.delete, "/v1/collections/{name}", frontend.deleteCollection)
        read(.post, "/v1/collections/{name}/embedding-model", frontend.changeModel)
        read(.get, "/v1/collections/{name}/embedding-model", frontend.modelChange)
        read(.delete, "/v1/collections/{name}/embedding-model", frontend.cancelModelChange)

        slow("/v1/verify", frontend.verify)
        slow("/v1/compact", frontend.compact)
        read(.get, "/v1/info", frontend.info)
        read(.get, "/v1/models", frontend.listModels)
        read(.get, "/v1/models/{id}", frontend.getModel)
        read(.get, "/v1/timings", frontend.timings)

        // A known path with another method says which methods it has.
        for (path, known) in methods {
            let isReadable = known.contains(.get)
            let allowed = (known + (isReadable ? [.head] : [])).map(\.rawValue).sorted().joined(separator: ", ")
            for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete, .options, .head]
            where !known.contains(method) && !(method == .head && isReadable) {
                router.on(RouterPath(path), method: method) { _, _ -> Response in
                    var error = APIError(
                        .methodNotAllowed, code: "method_not_allowed", "\(method.rawValue) is not possible here; use \(allowed)")
                    error.headers[.allow] = allowed
                    throw error
                }
            }
        }
        return router
    }
}
