import HTTPTypes
import Hummingbird

/// Decides who may ask at all: by the name they used for this server, by the page they come from, by their key.
struct AccessMiddleware: RouterMiddleware {
    typealias Context = FrontendContext
    let configuration: HTTPServerConfiguration
    let connections: Connections

    func handle(_ request: Request, context: Context, next: (Request, Context) async throws -> Response) async throws -> Response {
        try checkHost(request, isHTTP10: connections.connection(of: context.channel)?.head.isHTTP10 ?? false)
        try checkOrigin(request)
        try checkKey(request)
        return try await next(request, context)
    }

    /// A page of a foreign site can make its own name point to 127.0.0.1 ("DNS rebinding") and then read this server as if it were that site.
    /// Its requests carry the foreign name in `Host`, so only our own names are served on loopback.
    private func checkHost(_ request: Request, isHTTP10: Bool) throws(APIError) {
        // Old health checks send none; browsers always do.
        if isHTTP10 && (request.head.authority ?? "").isEmpty { return }
        guard Self.isAuthority(request.head.authority ?? "") else {
            throw APIError(
                .badRequest, code: "invalid_host",
                "the Host '\((request.head.authority ?? "").prefix(100))' is not a name with an optional port")
        }
        guard configuration.isLoopback || !configuration.allowedHosts.isEmpty else { return }
        let name = Self.hostName(request.head.authority ?? "")
        let isOwn = configuration.isLoopback && (name == "localhost" || name == "[::1]" || HTTPServerConfiguration.isLoopback(name))
        if isOwn || configuration.allowedHosts.contains(where: { Self.hostName($0) == name }) { return }
        throw APIError(
            .misdirectedRequest, code: "unknown_host",
            "this server does not answer to the host name '\(name.prefix(100))'; use localhost, or have the name allowed in the server's configuration"
        )
    }

    /// Browsers say which page sends a request that changes something; foreign pages may not.
    private func checkOrigin(_ request: Request) throws(APIError) {
        switch request.method {
        case .get, .head, .options: return
        default: break
        }
        if let origin = request.headers[.origin] {
            if configuration.allowedOrigins.contains(origin) { return }
            let authority = origin.split(separator: "://", maxSplits: 1).last.map(String.init) ?? ""
            if !authority.isEmpty, origin != "null", authority.lowercased() == (request.head.authority ?? "").lowercased() { return }
        } else {
            guard let site = request.headers[.secFetchSite], site != "same-origin", site != "none" else { return }
        }
        throw APIError(
            .forbidden, code: "foreign_origin",
            "pages of other origins may not change anything here; allow the origin in the server's configuration if it is yours")
    }

    private func checkKey(_ request: Request) throws(APIError) {
        guard !configuration.apiKeys.isEmpty, !Self.isOpen(request.uri.path) else { return }
        let scheme = "bearer "
        var refusal: String?
        if let header = request.headers[.authorization] {
            if header.lowercased().hasPrefix(scheme) {
                let given = Array(header.dropFirst(scheme.count).trimming { $0 == " " }.utf8)
                // Each key is compared in full, whichever matches.
                var isKnown = false
                for key in configuration.apiKeys where Self.areEqual(Array(key.utf8), given) { isKnown = true }
                if isKnown { return }
                refusal = "the API key is not valid"
            } else {
                refusal = "the Authorization header must be 'Bearer' and the API key"
            }
        }
        var error = APIError(
            .unauthorized, code: "invalid_api_key", refusal ?? "an API key is needed; send it as 'Authorization: Bearer KEY'")
        error.headers[.wwwAuthenticate] = "Bearer realm=\"outrider\""
        throw error
    }

    /// Probes, and the user interface's own files: it asks for the key.
    private static func isOpen(_ path: String) -> Bool { isProbe(path) || WebAssets.paths.contains(path) }

    static func isProbe(_ path: String) -> Bool { path.hasPrefix("/health/") }

    /// Takes the same time wherever two strings of one length differ.
    static func areEqual(_ key: [UInt8], _ given: [UInt8]) -> Bool {
        var difference = key.count ^ given.count
        for index in key.indices { difference |= Int(key[index] ^ (index < given.count ? given[index] : 0)) }
        return difference == 0
    }

    /// True for `name`, `name:80`, `[::1]` and `[::1]:80` (RFC 3986, section 3.2, without user information, which no Host may have).
    static func isAuthority(_ text: String) -> Bool {
        func isPort(_ text: Substring) -> Bool {
            text.isEmpty || text.first == ":" && text.utf8.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
        }
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { return false }
            let inside = text[text.index(after: text.startIndex)..<end]
            let isAddress =
                !inside.isEmpty
                && inside.utf8.allSatisfy { UInt8(ascii: ":") == $0 || UInt8(ascii: ".") == $0 || Character(Unicode.Scalar($0)).isHexDigit }
            return isAddress && isPort(text[text.index(after: end)...])
        }
        let name = text.prefix { $0 != ":" }
        let isName =
            !name.isEmpty
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-._~%!$&'()*+,;=".utf8.contains(byte)
                }
            }
        return isName && isPort(text[name.endIndex...])
    }

    /// `Example.org:8080` is `example.org`; `[::1]:80` is `[::1]`.
    static func hostName(_ authority: String) -> String {
        let text = authority.lowercased()
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") { return String(text[...end]) }
        return String(text.prefix { $0 != ":" })
    }
}
