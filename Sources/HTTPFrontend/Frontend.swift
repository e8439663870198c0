import Answering
import Documents
import Execution
import HTTPTypes
import Hummingbird
import Ingestion
import Logging
import Retrieval
import Serving
import Synchronization

import struct Foundation.Data
import struct Foundation.Date

/// What all routes share: the services behind them, the gates before them, and how a request is run.
final class Frontend: Sendable {
    typealias Context = FrontendContext
    typealias Handler = @Sendable (Request, Context) async throws -> Response

    let configuration: HTTPServerConfiguration
    let services: Services
    let metrics: PrometheusRegistry
    let logger: Logger
    let connections: Connections
    let bodies: BodyBudget
    /// Opens when a graceful shutdown begins: streams that would not end by themselves end then.
    let shutdown = Latch()
    let blocking = WorkPool(name: "outrider.http", threadCountMax: 32)
    let recent = RecentTimings()
    let start = ContinuousClock.now
    let startTime = Date()
    /// Searches and answers; uploads; reads.
    let work: AdmissionGate
    let uploads: AdmissionGate
    let reads: AdmissionGate
    /// Never waits: a stream that finds no place is refused.
    let streams: AdmissionGate

    init(configuration: HTTPServerConfiguration, services: Services, metrics: PrometheusRegistry, logger: Logger) {
        self.configuration = configuration
        self.services = services
        self.metrics = metrics
        self.logger = logger
        var exempt: Set<String> = ["127.0.0.1", "::1", ""]
        exempt.formUnion(configuration.proxyAddresses)
        connections = Connections(
            limits: .init(
                count: configuration.maxConnections, reserve: configuration.reservedConnections,
                perAddress: configuration.maxConnectionsPerAddress, exemptAddresses: exempt))
        bodies = BodyBudget(limit: configuration.maxBufferedBytes)
        let limit = configuration.maxConcurrentRequests
        work = AdmissionGate(name: "search", limit: limit, queueLimit: configuration.queueLimit, metrics: metrics)
        uploads = AdmissionGate(name: "upload", limit: limit, queueLimit: configuration.queueLimit, metrics: metrics)
        reads = AdmissionGate(name: "read", limit: limit * 4, queueLimit: configuration.queueLimit, metrics: metrics)
        streams = AdmissionGate(name: "stream", limit: configuration.maxEventStreams, queueLimit: 0, metrics: metrics)
    }

    /// Runs a handler while it holds a place, its client is there and its time is not over. The body is read before the place is asked for.
    ///
    /// A handler that answers with a stream passes the permit on to it.
    func admitted(
        _ gate: AdmissionGate, timeout: @escaping @Sendable (Request) -> Duration?,
        _ handler: @escaping @Sendable (Request, Context, AdmissionGate.Permit) async throws -> Response
    ) -> Handler {
        { [self] request, context in
            let clientGone = connections.latch(of: context.channel)
            let interrupter = Interrupter()
            let meter = BodyMeter(patience: configuration.bodyPatience) { interrupter.interrupt(.inputTooSlow) }
            return try await withInterruption(clientGone: clientGone, timeout: timeout(request), interrupter: interrupter) { [self] in
                var request = request
                let held = try await receive(&request, meter: meter)
                defer { bodies.give(held) }
                let permit = try await gate.enter()
                return try await handler(request, context, permit)
            }
        }
    }

    /// Runs a short read.
    func read(_ handler: @escaping Handler) -> Handler {
        let limit = configuration.requestTimeout
        let timeout: @Sendable (Request) -> Duration? = { _ in limit }
        return admitted(reads, timeout: timeout) { request, context, permit in
            defer { permit.release() }
            return try await handler(request, context)
        }
    }

    // MARK: Requests

    /// Decodes a JSON body, refusing members that it does not know.
    func decode<Body: ObjectBody>(_ type: Body.Type, from request: Request) async throws -> Body {
        try JSON.decode(type, from: try await jsonBody(of: request))
    }

    func jsonBody(of request: Request) async throws -> Data {
        if let type = request.headers[.contentType].map({ HeaderParameters($0).value.lowercased() }), type != "application/json",
            !type.hasSuffix("+json")
        {
            throw APIError(
                .unsupportedMediaType, code: "unsupported_media_type",
                "the Content-Type is '\(type.prefix(60))'; this path takes application/json")
        }
        let limit = configuration.maxJSONBytes
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limit { throw APIError.bodyTooLarge(limit: limit) }
        var data = Data()
        for try await bytes in request.body {
            if data.count + bytes.readableBytes > limit { throw APIError.bodyTooLarge(limit: limit) }
            data.append(contentsOf: bytes.readableBytesView)
        }
        if data.isEmpty { throw APIError(.badRequest, code: "invalid_json", "the body is empty; send a JSON object") }
        return data
    }

    /// On whose behalf a request is served. A key opens everything today, and so does its absence.
    func scope(of context: Context) -> RequestScope { .everyone }

    /// The collection of that name. `default` exists for readers even before the first document made it.
    func collection(_ name: String, _ context: Context) throws(DocumentStoreError) -> CollectionRecord? {
        if let record = try services.documents.collection(named: name, scope: scope(of: context)) { return record }
        if name == "default" { return nil }
        throw .unknownCollection(name)
    }

    func document(_ context: Context) throws -> DocumentRecord {
        let id = try Self.parameter("id", context)
        guard let document = try services.documents.document(DocumentID(rawValue: id), scope: scope(of: context)) else {
            throw DocumentStoreError.unknownDocument(id)
        }
        return document
    }

    static func parameter(_ name: String, _ context: Context) throws(APIError) -> String {
        guard let raw = context.parameters.get(name), let value = PercentCoding.decode(raw), !value.isEmpty else {
            throw .invalid(name, "the path's '\(name)' is not valid percent-encoded text")
        }
        return value
    }
}

/// A request's query string. A parameter that the path does not know is refused, as a JSON member would be.
struct Query {
    private var values: [String: String] = [:]

    init(_ request: Request, known: Set<String>) throws(APIError) {
        for pair in (request.uri.query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(parts[0], plusIsSpace: true),
                let value = PercentCoding.decode(parts.count > 1 ? parts[1] : "", plusIsSpace: true)
            else {
                throw .invalid(String(parts[0].prefix(60)), "the query string is not valid percent-encoded UTF-8")
            }
            guard known.contains(name) else { throw .unknownMember(name, known: known) }
            values[name] = value
        }
    }

    /// Nil when absent or empty.
    func string(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
        guard let text = string(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw .invalid(name, "'\(name)' is '\(text.prefix(40))'; use a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func flag(_ name: String) throws(APIError) -> Bool {
        switch values[name] {
        case nil, "false", "0": return false
        case "", "true", "1": return true
        case let other?: throw .invalid(name, "'\(name)' is '\(other.prefix(40))'; use true or false")
        }
    }
}
