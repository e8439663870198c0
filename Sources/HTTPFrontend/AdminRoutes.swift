import Answering
import Execution
import HTTPTypes
import Hummingbird
import Ingestion
import NIOCore
import Retrieval
import Serving

extension Frontend {
    // MARK: For people

    private struct InfoBody: Encodable {
        struct Limits: Encodable {
            var maxBodyBytes, maxJSONBytes, maxQuestionBytes, maxConcurrentRequests, queueLimit: Int
            var requestTimeoutSeconds: Double
            enum CodingKeys: String, CodingKey {
                case maxBodyBytes = "max_body_bytes"
                case maxJSONBytes = "max_json_bytes"
                case maxQuestionBytes = "max_question_bytes"
                case maxConcurrentRequests = "max_concurrent_requests"
                case queueLimit = "queue_limit"
                case requestTimeoutSeconds = "request_timeout_s"
            }
        }
        var name = "outrider"
        var version: String
        struct Model: Encodable {
            var kind: String
            var name: String
            var dimension: Int?
            var contextLength: Int?
            enum CodingKeys: String, CodingKey {
                case kind, name, dimension
                case contextLength = "context_length"
            }
            init(_ model: ServerInfo.Model) {
                kind = model.kind
                name = model.name
                dimension = model.dimension
                contextLength = model.contextLength
            }
        }
        var models: [Model]
        /// The default first.
        var generators: [String]
        var formats: [String]
        var limits: Limits
        var uptimeSeconds: Double
        enum CodingKeys: String, CodingKey {
            case name, version, models, generators, formats, limits
            case uptimeSeconds = "uptime_s"
        }
    }

    /// `GET /v1/info`.
    func info(_ request: Request, _ context: Context) async throws -> Response {
        let info = await services.info()
        let limits = InfoBody.Limits(
            maxBodyBytes: configuration.maxBodyBytes, maxJSONBytes: configuration.maxJSONBytes,
            maxQuestionBytes: services.limits.questionSizeMax,
            maxConcurrentRequests: configuration.maxConcurrentRequests, queueLimit: configuration.queueLimit,
            requestTimeoutSeconds: configuration.requestTimeout.inSeconds)
        return JSON.response(
            InfoBody(
                version: info.version, models: info.models.map(InfoBody.Model.init), generators: services.answering.generatorNames,
                formats: info.formats,
                limits: limits,
                uptimeSeconds: (ContinuousClock.now - start).inSeconds))
    }

    private struct TimingsBody: Encodable {
        var requestID: String
        var kind: String
        var at: Double
        var collection: String
        var generator: String?
        var degradation: [String]
        var timings: [String: Double]
        enum CodingKeys: String, CodingKey {
            case kind, at, collection, generator, degradation
            case requestID = "request_id"
            case timings = "timings_ms"
        }
        init(_ entry: RecentTimings.Entry) {
            requestID = entry.requestID
            kind = entry.kind.rawValue
            at = entry.at
            collection = entry.collection
            generator = entry.generator
            degradation = entry.degradation.map(\.description)
            timings = entry.timings.milliseconds
        }
    }

    /// `GET /v1/timings`: stage timings of the last questions, newest first.
    func timings(_ request: Request, _ context: Context) async throws -> Response {
        JSON.response(["recent": recent.all.map(TimingsBody.init)])
    }

    /// `POST /v1/verify`.
    func verify(_ request: Request, _ context: Context) async throws -> Response {
        JSON.response(VerificationBody(try await services.ingesting.verify()))
    }

    /// `POST /v1/compact`.
    func compact(_ request: Request, _ context: Context) async throws -> Response {
        let begin = ContinuousClock.now
        try await services.ingesting.compact()
        return JSON.response(["seconds": (ContinuousClock.now - begin).inSeconds])
    }

    // MARK: For machines

    private struct Health: Encodable {
        var status: String
        var reasons: [String]
    }

    /// `GET /health/live`: the process answers.
    func live(_ request: Request, _ context: Context) async throws -> Response { JSON.response(Health(status: "live", reasons: [])) }

    /// `GET /health/ready`: requests can be served; 503 with reasons while they cannot.
    func ready(_ request: Request, _ context: Context) async throws -> Response {
        var reasons: [String] = []
        if let reason = await services.ingesting.obstacle() { reasons.append(reason) }
        if shutdown.isOpen { reasons.append("the server is shutting down") }
        return JSON.response(
            Health(status: reasons.isEmpty ? "ready" : "not ready", reasons: reasons), status: reasons.isEmpty ? .ok : .serviceUnavailable)
    }

    /// `GET /metrics`.
    func metricsPage(_ request: Request, _ context: Context) async throws -> Response {
        metrics.set("outrider_http_connections", Double(connections.count))
        metrics.set("outrider_build_info", 1, ["version": await services.info().version])
        let headers: HTTPFields = [.contentType: "text/plain; version=0.0.4; charset=utf-8", .cacheControl: "no-store"]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: metrics.exposition())))
    }

    // MARK: The user interface

    /// One of the files compiled into the binary; revalidated by its hash.
    func asset(_ asset: WebAssets.Asset) -> Handler {
        { request, _ in
            let headers: HTTPFields = [.contentType: asset.contentType, .eTag: asset.entityTag, .cacheControl: "no-cache"]
            let known = request.headers[values: .ifNoneMatch].flatMap { $0.split(separator: ",") }.map { String($0.trimming { $0 == " " }) }
            if known.contains(where: { $0 == asset.entityTag || $0 == "W/" + asset.entityTag || $0 == "*" }) {
                return Response(status: .notModified, headers: headers)
            }
            return Response(status: .ok, headers: headers, body: .init(byteBuffer: asset.bytes))
        }
    }
}
