import Answering
import Documents
import HTTPTypes
import Hummingbird
import Ingestion
import NIOCore
import NIOHTTP1
import Retrieval
import Serving

/// An error as clients see it: a status and the body `{"error": {"message", "type", "param", "code"}}` that OpenAI's clients understand.
struct APIError: Error, Sendable, Equatable, CustomStringConvertible {
    var status: HTTPResponse.Status
    var message: String
    /// The class of error: `invalid_request_error`, `authentication_error`, `permission_error`, `not_found_error`, `rate_limit_error`, `overloaded_error`, `server_error`.
    var type: String
    /// The request's member that is wrong.
    var param: String?
    /// A short word that scripts can compare.
    var code: String
    /// Seconds for `Retry-After`.
    var retryAfter: Int?
    var headers: HTTPFields = [:]
    /// What went wrong inside, for the log only.
    var detail: String?

    var description: String { "\(status.code) \(code): \(message)" }

    init(
        _ status: HTTPResponse.Status, code: String, param: String? = nil, type: String? = nil, retryAfter: Int? = nil,
        detail: String? = nil, _ message: String
    ) {
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.detail = detail
        self.retryAfter = retryAfter ?? (status == .tooManyRequests || status == .serviceUnavailable ? 1 : nil)
        self.type = type ?? Self.type(of: status)
    }

    private static func type(of status: HTTPResponse.Status) -> String {
        switch status.code {
        case 401: "authentication_error"
        case 403: "permission_error"
        case 404: "not_found_error"
        case 429: "rate_limit_error"
        case 503: "overloaded_error"
        case 500...: "server_error"
        default: "invalid_request_error"
        }
    }

    /// A 400 about one member of the request.
    static func invalid(_ parameter: String, _ message: String, code: String = "invalid_value") -> APIError {
        APIError(.badRequest, code: code, param: parameter, message)
    }

    // MARK: On the wire

    struct Body: Codable, Sendable, Equatable {
        struct Inner: Codable, Sendable, Equatable {
            var message: String
            var type: String
            var param: String?
            var code: String?

            // All four keys are present, as OpenAI's clients expect, so nil is written as null.
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(message, forKey: .message)
                try container.encode(type, forKey: .type)
                try container.encode(param, forKey: .param)
                try container.encode(code, forKey: .code)
            }
        }
        var error: Inner
    }

    var body: Body { Body(error: .init(message: message, type: type, param: param, code: code)) }

    func response() -> Response {
        var fields = headers
        if let retryAfter { fields[.retryAfter] = String(retryAfter) }
        return JSON.response(body, status: status, headers: fields)
    }
}

extension APIError {
    /// Maps whatever was thrown. Everything that is not known becomes a 500 without details.
    init(mapping error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as RetrievalError: self.init(error)
        case let error as AnsweringError: self.init(error)
        case let error as IngestionError: self.init(error)
        case let error as DocumentStoreError: self.init(error)
        case let error as any DocumentStoreErrorConvertible: self.init(error.documentStoreError)
        case let error as MultipartError: self.init(error)
        case let error as AdmissionGate.Refusal:
            self.init(
                .serviceUnavailable, code: "overloaded",
                "the server is busy: \(error.limit) \(error.gate) requests are running and \(error.queueLimit) are waiting; "
                    + "try again after the time in Retry-After")
        case let error as HTTPError: self.init(error)
        case is HTTPParserError:
            self.init(.badRequest, code: "malformed_body", "the request's body is not framed as HTTP/1.1 demands; check its chunk sizes")
        case is NIOTooManyBytesError: self = .bodyTooLarge(limit: nil)
        case is CancellationError:
            self.init(.serviceUnavailable, code: "cancelled", "the request was cancelled before it was done; try again")
        default:
            self.init(
                .internalServerError, code: "internal_error", detail: String(describing: error),
                "something went wrong inside the server; its log has the details under this response's X-Request-Id")
        }
    }

    init(_ error: RetrievalError) {
        switch error {
        case .unknownCollection: self.init(.notFound, code: "collection_not_found", param: "collection", error.description)
        case .invalidRequest(let parameter, _, _): self.init(.badRequest, code: "invalid_value", param: parameter, error.description)
        case .questionTooLong(let parameter, _, _):
            self.init(.contentTooLarge, code: "question_too_long", param: parameter, error.description)
        case .invalidFilter: self.init(.badRequest, code: "invalid_filter", param: "filter", error.description)
        case .unusableCollection: self.init(.conflict, code: "collection_unusable", param: "collection", error.description)
        case .noEmbedder: self.init(.unprocessableContent, code: "no_embedding_model", param: "mode", error.description)
        case .overloaded: self.init(.serviceUnavailable, code: "overloaded", error.description)
        case .deadlineExceeded: self.init(.serviceUnavailable, code: "deadline_exceeded", param: "deadline_ms", error.description)
        case .store: self.init(.internalServerError, code: "storage_error", error.description)
        }
    }

    init(_ error: AnsweringError) {
        switch error {
        case .invalidRequest(let parameter, _, _), .tooLarge(let parameter, _, _):
            self.init(.badRequest, code: "invalid_value", param: parameter, error.description)
        case .unknownGenerator: self.init(.badRequest, code: "unknown_generator", param: "generator", error.description)
        case .retrieval(let cause): self.init(cause)
        case .failed: self.init(.internalServerError, code: "answer_failed", error.description)
        }
    }

    init(_ error: IngestionError) {
        switch error {
        case .unknownCollection: self.init(.notFound, code: "collection_not_found", param: "collection", error.description)
        case .unknownJob: self.init(.notFound, code: "job_not_found", param: "id", error.description)
        case .unknownDocument: self.init(.notFound, code: "document_not_found", param: "id", error.description)
        case .invalidRequest(let parameter, _, _): self.init(.badRequest, code: "invalid_value", param: parameter, error.description)
        case .noSuchPath: self.init(.unprocessableContent, code: "no_such_path", error.description)
        case .queueFull: self.init(.tooManyRequests, code: "ingest_queue_full", retryAfter: 5, error.description)
        case .nothingToRetry: self.init(.conflict, code: "nothing_to_retry", error.description)
        case .readOnly: self.init(.conflict, code: "read_only", error.description)
        case .store: self.init(.internalServerError, code: "storage_error", error.description)
        }
    }

    init(_ error: DocumentStoreError) {
        switch error {
        case .cannotOpen, .newerSchema, .database, .cannotBackUp: self.init(.internalServerError, code: "storage_error", error.description)
        case .unknownCollection: self.init(.notFound, code: "collection_not_found", param: "collection", error.description)
        case .unknownDocument: self.init(.notFound, code: "document_not_found", param: "id", error.description)
        case .unknownJob: self.init(.notFound, code: "job_not_found", param: "id", error.description)
        case .invalidName: self.init(.badRequest, code: "invalid_name", param: "name", error.description)
        case .invalidSetting(let setting, _, _):
            self.init(.badRequest, code: "invalid_value", param: "settings.\(setting)", error.description)
        case .unusableCollection: self.init(.conflict, code: "collection_unusable", param: "collection", error.description)
        case .invalidFilter: self.init(.badRequest, code: "invalid_filter", param: "filter", error.description)
        case .collectionExists: self.init(.conflict, code: "collection_exists", param: "name", error.description)
        case .invalidDocument: self.init(.unprocessableContent, code: "invalid_document", error.description)
        case .fileEnded: self.init(.conflict, code: "file_ended", error.description)
        case .superseded: self.init(.conflict, code: "superseded", error.description)
        case .notEnoughSpace, .diskFull: self.init(.insufficientStorage, code: "disk_full", error.description)
        case .dimensionMismatch, .modelMismatch, .missingVectors:
            self.init(.conflict, code: "model_mismatch", param: "collection", error.description)
        case .spaceServes: self.init(.conflict, code: "model_in_use", param: "embedding_model", error.description)
        case .unknownSpace: self.init(.conflict, code: "model_change_ended", param: "embedding_model", error.description)
        case .spaceIncomplete: self.init(.conflict, code: "model_change_running", param: "embedding_model", error.description)
        case .readOnly: self.init(.conflict, code: "read_only", error.description)
        }
    }

    init(_ error: MultipartError) {
        switch error {
        case .tooManyParts, .headersTooLong, .fieldTooLong: self.init(.contentTooLarge, code: "multipart_too_large", error.description)
        case .noBoundary, .unexpectedEnd, .malformed, .badHeader: self.init(.badRequest, code: "invalid_multipart", error.description)
        }
    }

    /// What Hummingbird itself throws: an unknown route, above all.
    init(_ error: HTTPError) {
        switch error.status {
        case .notFound:
            self.init(.notFound, code: "route_not_found", error.body ?? "there is no such path on this server; the API begins with /v1/")
        default: self.init(error.status, code: "http_\(error.status.code)", error.body ?? error.status.reasonPhrase)
        }
        headers = error.headers
    }
}

extension HTTPResponse.Status {
    static let insufficientStorage = HTTPResponse.Status(code: 507, reasonPhrase: "Insufficient Storage")
    static let clientClosedRequest = HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request")
}
