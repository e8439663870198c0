import HTTPTypes
import Hummingbird

/// Lets pages of allowed origins use the API from a browser (the Fetch standard calls this CORS).
///
/// A browser shows a page the answer of another origin only when the answer names the page's origin, and asks beforehand, with `OPTIONS`, whether it may send a
/// request that a form could not. Pages of other origins get neither.
struct CrossOrigin: Sendable {
    private let allowedOrigins: Set<String>

    init(allowedOrigins: [String]) { self.allowedOrigins = Set(allowedOrigins) }

    /// The origin of the page that sends this request, when it is an allowed one.
    private func origin(of request: Request) -> String? { request.headers[.origin].flatMap { allowedOrigins.contains($0) ? $0 : nil } }

    /// The answer to a browser's question before the request itself; nil for every other request. It comes without a key, so it is answered without one.
    func preflight(_ request: Request) -> Response? {
        guard request.method == .options, request.headers[.accessControlRequestMethod] != nil, origin(of: request) != nil else {
            return nil
        }
        var headers: HTTPFields = [
            .accessControlAllowMethods: "GET, HEAD, POST, PATCH, DELETE",
            .accessControlAllowHeaders: "Authorization, Content-Type, Accept, X-Request-Id",
            .accessControlMaxAge: "600",
        ]
        // Chromium asks this of a page on the open net that talks to a server in a private one.
        if request.headers[.accessControlRequestPrivateNetwork] == "true" { headers[.accessControlAllowPrivateNetwork] = "true" }
        return Response(status: .noContent, headers: headers)
    }

    /// Names the page's origin in an answer, and says that answers differ by it.
    func mark(_ response: inout Response, for request: Request) {
        guard !allowedOrigins.isEmpty else { return }
        response.headers[values: .vary].append("Origin")
        guard let origin = origin(of: request) else { return }
        response.headers[.accessControlAllowOrigin] = origin
        response.headers[.accessControlExposeHeaders] = "X-Request-Id, Retry-After, Location"
        response.headers[.crossOriginResourcePolicy] = "cross-origin"
    }
}

extension HTTPField.Name {
    static let accessControlRequestPrivateNetwork = HTTPField.Name("Access-Control-Request-Private-Network")!
    static let accessControlAllowPrivateNetwork = HTTPField.Name("Access-Control-Allow-Private-Network")!
}
