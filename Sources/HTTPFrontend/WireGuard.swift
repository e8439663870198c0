import Execution
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Serving

/// An HTTP/1 connection as Hummingbird serves it, with our guard in its pipeline:
///
///     bytes <-> HTTP/1 decoder and encoder <-> WireGuard <-> shared HTTP types <-> idle timeout <-> handler of requests
struct GuardedChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: Responder
    let connections: Connections
    let idleTimeout: Duration

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let connection = Connection(channel: channel, address: channel.remoteAddress?.ipAddress ?? "")
            guard let standing = connections.admit(connection) else { throw APIError.tooManyConnections }
            channel.closeFuture.whenComplete { [connections] _ in connections.remove(connection) }
            var limits = NIOHTTPDecoderLimitConfiguration()
            limits.maxHeaderFieldSize = 16 << 10
            limits.maxHeaderListSize = 64 << 10
            limits.maxHeaderFieldCount = 200
            var encoding = HTTPResponseEncoder.Configuration()
            // The encoder does not know whom it answers; the guard does.
            encoding.automaticallySetFramingHeaders = false
            let pipeline = channel.pipeline.syncOperations
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false,
                withEncoderConfiguration: encoding, withDecoderLimitConfiguration: limits)
            try pipeline.addHandler(WireGuard(connection: connection, standing: standing, stallTimeout: TimeAmount(idleTimeout)))
            try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: idleTimeout, logger: logger))
            return try NIOAsyncChannel(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async { await handleHTTP(asyncChannel: value, logger: logger) }
}

/// Sees each request and response as HTTP/1 has them, where the shared types would lose the version and the second `Host`.
///
/// - HTTP/1.0: no chunked coding; `Connection: close`, and the connection ends with the answer. No `Host` is needed.
/// - A request with two `Host` fields, or with a transfer coding that we do not know, is marked with its fault; the first layer of the routes answers it.
/// - A client that takes nothing of what is sent to it for `stallTimeout` is cut off, so that it cannot hold a place for ever.
/// - A connection beyond all limits gets a 503 and ends.
private final class WireGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// What the answer to a request must know about it.
    private struct Asked {
        var isHTTP10: Bool
        var isHead: Bool
        var closes: Bool
    }

    /// How long a connection lives that serves `/health/` only, or is refused.
    private static let shortLife = TimeAmount.seconds(5)

    private let connection: Connection
    private let standing: Connection.Standing
    private let stallTimeout: TimeAmount
    private var stall: Scheduled<Void>?
    private var asked: [Asked] = []
    /// The answer that is being written ends the connection.
    private var isLast = false
    /// It has been written: nothing may follow it.
    private var isOver = false

    init(connection: Connection, standing: Connection.Standing, stallTimeout: TimeAmount) {
        self.connection = connection
        self.standing = standing
        self.stallTimeout = stallTimeout
    }

    func handlerRemoved(context: ChannelHandlerContext) { stall?.cancel() }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        guard standing != .full else { return }
        let channel = context.channel
        context.eventLoop.scheduleTask(in: Self.shortLife) { channel.close(promise: nil) }
        if standing == .refused { refuse(context) }
    }

    private func refuse(_ context: ChannelHandlerContext) {
        let error = APIError.tooManyConnections
        let body = ByteBuffer(bytes: JSON.data(error.body))
        let fields: HTTPHeaders = [
            "Connection": "close", "Content-Type": "application/json; charset=utf-8", "Content-Length": "\(body.readableBytes)",
            "Retry-After": "\(error.retryAfter ?? 1)",
        ]
        let head = HTTPResponseHead(version: .http1_1, status: .serviceUnavailable, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(mode: .output, promise: nil)
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // What a refused client sends is taken and dropped: closing at once would reset the connection before it has read the answer.
        if standing == .refused { return }
        guard case .head(var head) = unwrapInboundIn(data) else {
            context.fireChannelRead(data)
            return
        }
        let isHTTP10 = head.version.major < 1 || head.version.major == 1 && head.version.minor == 0
        // A whole address in the first line counts more than the Host field (RFC 9112, section 3.2.2).
        if let authority = Self.authority(ofAbsolute: head.uri), head.headers["Host"].count == 1 {
            head.headers.replaceOrAdd(name: "Host", value: authority)
        }
        let closes = isHTTP10 || head.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "close" }
        if closes { head.headers.replaceOrAdd(name: "Connection", value: "close") }
        asked.append(Asked(isHTTP10: isHTTP10, isHead: head.method == .HEAD, closes: closes))
        connection.requestBegins(.init(isHTTP10: isHTTP10, fault: Self.fault(of: head, isHTTP10: isHTTP10)))
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private static func fault(of head: HTTPRequestHead, isHTTP10: Bool) -> APIError? {
        let hosts = head.headers["Host"]
        if hosts.count > 1 {
            return APIError(.badRequest, code: "invalid_host", "the request has \(hosts.count) Host fields; send one")
        }
        if hosts.isEmpty && !isHTTP10 {
            return APIError(.badRequest, code: "invalid_host", "the request has no Host field; HTTP/1.1 needs one")
        }
        let codings = head.headers[canonicalForm: "Transfer-Encoding"].map { $0.lowercased() }
        if isHTTP10 && !codings.isEmpty {
            return APIError(
                .badRequest, code: "invalid_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding; send Content-Length, or use HTTP/1.1")
        }
        if !codings.isEmpty && codings != ["chunked"] {
            return APIError(
                .notImplemented, code: "unknown_transfer_encoding",
                "the Transfer-Encoding '\(codings.joined(separator: ", ").prefix(60))' is not known here; use chunked, or send Content-Length"
            )
        }
        return nil
    }

    private static func authority(ofAbsolute uri: String) -> String? {
        guard let scheme = ["http://", "https://"].first(where: { uri.lowercased().hasPrefix($0) }) else { return nil }
        return String(uri.dropFirst(scheme.count).prefix { !"/?#".contains($0) })
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { connection.gone.open() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.gone.open()
        context.fireChannelInactive()
    }

    // MARK: Responses

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if isOver {
            // The complaint about a body that nobody reads any more, for example.
            promise?.succeed()
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(var head):
            let request = asked.first ?? Asked(isHTTP10: false, isHead: false, closes: true)
            if (100..<200).contains(head.status.code) {
                // HTTP/1.0 knows no interim answers.
                if request.isHTTP10 { promise?.succeed() } else { context.write(data, promise: promise) }
                return
            }
            Self.frame(&head, for: request)
            isLast = head.headers[canonicalForm: "Connection"].contains { $0.lowercased() == "close" }
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            context.write(data, promise: promise)
            if !asked.isEmpty {
                asked.removeFirst()
                connection.requestEnds()
            }
            if isLast {
                isOver = true
                context.flush()
                // The client sees the end at once. What it still sends is read for a moment: closing here would reset the connection under the answer.
                context.close(mode: .output, promise: nil)
            }
        }
    }

    /// Says how the end of a body is found (RFC 9112, section 6.3).
    private static func frame(_ head: inout HTTPResponseHead, for request: Asked) {
        if request.closes { head.headers.replaceOrAdd(name: "Connection", value: "close") }
        head.headers.remove(name: "Transfer-Encoding")
        switch head.status.code {
        case 204: head.headers.remove(name: "Content-Length")
        case 304: break
        default:
            if !request.isHead && !request.isHTTP10 && !head.headers.contains(name: "Content-Length") {
                head.headers.add(name: "Transfer-Encoding", value: "chunked")
            }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stall?.cancel()
        stall = nil
        if !context.channel.isWritable {
            let channel = context.channel
            stall = context.eventLoop.scheduleTask(in: stallTimeout) { channel.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }
}

extension TimeAmount {
    init(_ duration: Duration) { self = .nanoseconds(Int64(duration.inMilliseconds * 1e6)) }
}

extension APIError {
    static let tooManyConnections = APIError(
        .serviceUnavailable, code: "too_many_connections",
        "too many connections are open; close idle ones, or try again after the time in Retry-After")
}
