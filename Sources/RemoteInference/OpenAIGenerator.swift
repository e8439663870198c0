import AsyncHTTPClient
import Foundation
package import Inference
import NIOCore
import NIOHTTP1
import Synchronization

/// A generator behind the OpenAI chat-completions protocol: vLLM, TGI, Ray Serve, llama-server, or a cloud.
///
/// An answer is streamed. Before its first piece, a refused connection and the statuses 408, 429 and 5xx are tried again with backoff; after it,
/// nothing is. A server that keeps failing is left alone for a while (`CircuitBreaker`). Letting go of the stream closes the connection.
/// Redirects are not followed, since they would carry the key elsewhere; messages of errors never contain the key.
package final class OpenAIGenerator: Generator {
    /// Where the server is and how patient to be.
    package struct Configuration: Sendable {
        /// Such as `http://127.0.0.1:8080/v1`.
        package var baseURL: String
        /// As the server names it.
        package var model: String
        /// Sent as bearer token; never part of a message.
        package var apiKey: String?
        /// Longest prompt plus answer in tokens, as far as the caller knows.
        package var contextLength = 8192
        package var connectTimeoutSeconds = 5.0
        /// Longest wait for the first token.
        package var firstTokenTimeoutSeconds = 60.0
        /// Longest wait between tokens.
        package var idleTimeoutSeconds = 30.0
        /// Repetitions before the first token, after failures that may pass.
        package var retries = 2
        /// Most requests at the same time; beyond, a generation fails with `InferenceError.overloaded`.
        package var concurrencyMax = 64
        /// Failures in a row after which the server is not asked, and for how long.
        package var circuitFailureMax = 5
        package var circuitOpenSeconds = 15.0
        /// First backoff; doubled with each retry.
        package var retryBaseDelaySeconds = 0.25
        package init(baseURL: String, model: String, apiKey: String? = nil) {
            self.baseURL = baseURL
            self.model = model
            self.apiKey = apiKey
        }
    }

    package let name: String
    package var contextLength: Int { configuration.contextLength }
    /// The server's tokens cannot be counted here.
    package var tokenizer: (any Tokenizer)? { nil }

    private struct State {
        var circuit: CircuitBreaker
        var dialect = ChatCompletion.Dialect()
        var runningCount = 0
        var isShutDown = false
    }

    private let configuration: Configuration
    private let url: String
    private let client: HTTPClient
    private let state: Mutex<State>
    private let start = ContinuousClock.now

    /// - Throws: `InferenceError.failed` when the base URL is no http(s) URL.
    package init(_ configuration: Configuration) throws {
        name = "openai:" + configuration.model
        guard let components = URLComponents(string: configuration.baseURL), ["http", "https"].contains(components.scheme?.lowercased()),
            components.host?.isEmpty == false
        else {
            throw InferenceError.failed(
                name: name, reason: "the base URL is no http or https URL; give one such as http://127.0.0.1:8080/v1")
        }
        var base = configuration.baseURL
        while base.hasSuffix("/") { base.removeLast() }
        url = base + "/chat/completions"
        self.configuration = configuration
        state = Mutex(
            State(
                circuit: CircuitBreaker(
                    failureMax: configuration.circuitFailureMax, openDuration: .seconds(configuration.circuitOpenSeconds))))
        var client = HTTPClient.Configuration(redirectConfiguration: .disallow)
        client.timeout.connect = .nanoseconds(Int64(configuration.connectTimeoutSeconds * 1e9))
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.concurrencyMax
        self.client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: client)
    }

    deinit {
        // The client insists on being shut down; whoever forgot it gets no error to handle.
        if state.withLock({ !$0.isShutDown }) { client.shutdown { _ in } }
    }

    /// Closes all connections. No generation may follow. Calling it again does nothing.
    package func shutdown() async throws {
        let isFirst = state.withLock { state in
            defer { state.isShutDown = true }
            return !state.isShutDown
        }
        if isFirst { try await client.shutdown() }
    }

    package func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
        do {
            try enter()
        } catch {
            continuation.finish(throwing: error)
            return stream
        }
        // The stream is not bound to the caller's task: the consumer may hand it on. Its end cancels this task.
        let task = Task {
            defer { state.withLock { $0.runningCount -= 1 } }
            do {
                let writer = AnswerWriter(request, continuation)
                try await answer(request, writer)
                writer.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private func enter() throws {
        try state.withLock { state in
            guard !state.isShutDown else { throw InferenceError.failed(name: name, reason: "the client is shut down") }
            guard state.runningCount < configuration.concurrencyMax else {
                throw InferenceError.overloaded(queued: state.runningCount, limit: configuration.concurrencyMax)
            }
            state.runningCount += 1
        }
    }

    // MARK: Attempts

    private func answer(_ request: GenerationRequest, _ writer: AnswerWriter) async throws {
        var retry = RetryPolicy(retryMax: configuration.retries)
        retry.baseDelay = configuration.retryBaseDelaySeconds
        var failedCount = 0
        while true {
            do {
                return try await attempt(request, writer)
            } catch let failure as AttemptFailure {
                if failure.isUnderstanding, adapt(to: failure.error) { continue }
                failedCount += 1
                guard failure.isRetryable, !writer.hasText,
                    let delay = retry.delay(afterAttempt: failedCount, retryAfter: failure.retryAfter, random: Double.random(in: 0..<1))
                else { throw failure.error }
                try await Task.sleep(for: .seconds(delay))
            }
        }
    }

    /// One request, reported to the circuit breaker.
    private func attempt(_ request: GenerationRequest, _ writer: AnswerWriter) async throws {
        if case .refused(let retryAfter) = state.withLock({ $0.circuit.permit(now) }) {
            throw InferenceError.circuitOpen(name: name, retryAfterSeconds: (retryAfter / .milliseconds(100)).rounded(.up) / 10)
        }
        do {
            try await Watchdog.run(
                name: name, seconds: configuration.firstTokenTimeoutSeconds, shortest: configuration.idleTimeoutSeconds
            ) { [self] watchdog in
                try await exchange(request, writer, watchdog)
            }
            state.withLock { $0.circuit.succeeded() }
        } catch {
            let failure = classify(error)
            state.withLock { state in
                switch failure {
                case nil: state.circuit.abandoned(now)
                case let failure? where failure.isServersFault: state.circuit.failed(now)
                default: state.circuit.succeeded()
                }
            }
            guard let failure else { throw CancellationError() }
            throw failure
        }
    }

    /// Sends the request and passes the answer on.
    private func exchange(_ request: GenerationRequest, _ writer: AnswerWriter, _ watchdog: Watchdog) async throws {
        let dialect = state.withLock { $0.dialect }
        var httpRequest = HTTPClientRequest(url: url)
        httpRequest.method = .POST
        httpRequest.headers.add(name: "content-type", value: "application/json")
        httpRequest.headers.add(name: "accept", value: dialect.streams ? "text/event-stream" : "application/json")
        if let key = configuration.apiKey { httpRequest.headers.add(name: "authorization", value: "Bearer \(key)") }
        httpRequest.body = .bytes(
            ByteBuffer(bytes: try ChatCompletion.encode(.init(request, model: configuration.model, dialect: dialect))))

        let response = try await client.execute(httpRequest, deadline: .distantFuture)
        guard response.status == .ok else {
            let body = try? await response.body.collect(upTo: 65_536)
            let retryAfter = RetryPolicy.retryAfter(header: response.headers.first(name: "retry-after"), now: Date())
            throw AttemptFailure(
                .server(name: name, status: Int(response.status.code), message: message(of: body)),
                isRetryable: RetryPolicy.isRetryable(status: Int(response.status.code)), retryAfter: retryAfter)
        }
        if response.headers.first(name: "content-type")?.lowercased().hasPrefix("application/json") == true {
            try readWhole(String(buffer: try await response.body.collect(upTo: EventStreamParser.eventSizeMax)), writer)
        } else {
            try await readEvents(response.body, writer, watchdog)
        }
    }

    private func readWhole(_ text: String, _ writer: AnswerWriter) throws {
        _ = writer.write(try decode(text))
        guard writer.isFinished || writer.hasText else { throw malformed("the answer has no text") }
    }

    private func readEvents(_ body: HTTPClientResponse.Body, _ writer: AnswerWriter, _ watchdog: Watchdog) async throws {
        var parser = EventStreamParser()
        // No line of an event stream begins with a brace: a body that does is one JSON object, whatever its type says.
        var whole = ByteBuffer()
        var isWhole: Bool?
        for try await bytes in body {
            if isWhole != false {
                whole.writeImmutableBuffer(bytes)
                if isWhole == nil, let first = whole.readableBytesView.first(where: { $0 > 0x20 && ![0xEF, 0xBB, 0xBF].contains($0) }) {
                    isWhole = first == UInt8(ascii: "{")
                }
                guard whole.readableBytes <= EventStreamParser.eventSizeMax else { throw EventStreamParser.TooLong() }
                if isWhole != false { continue }
                let head = whole
                whole.clear()
                for event in try parser.push(head.readableBytesView) {
                    if event == "[DONE]" { return }
                    if !writer.write(try decode(event)) { return }
                }
                if writer.hasBegun { watchdog.expect(within: configuration.idleTimeoutSeconds) }
                continue
            }
            for event in try parser.push(bytes.readableBytesView) {
                if event == "[DONE]" { return }
                if !writer.write(try decode(event)) { return }
            }
            // Comments keep a connection alive, but an answer that has begun must go on.
            if writer.hasBegun { watchdog.expect(within: configuration.idleTimeoutSeconds) }
        }
        if isWhole == true {
            let text = String(decoding: whole.readableBytesView.drop { $0 != UInt8(ascii: "{") }, as: UTF8.self)
            return try readWhole(text, writer)
        }
        if let event = parser.finish(), event != "[DONE]", !writer.write(try decode(event)) { return }
        guard writer.isFinished else {
            throw AttemptFailure(.connection(name: name, reason: "the answer ended before it was complete"), isRetryable: true)
        }
    }

    private func decode(_ text: String) throws -> ChatCompletion.Response {
        guard let response = try? ChatCompletion.decode(text) else {
            throw malformed("the answer is no chat completion")
        }
        if let failure = response.error {
            throw AttemptFailure(
                .server(name: name, status: 200, message: redact(failure.message)), isRetryable: false, isServersFault: true)
        }
        return response
    }

    private func malformed(_ reason: String) -> AttemptFailure {
        AttemptFailure(
            .failed(name: name, reason: reason + "; is the base URL that of an OpenAI-compatible server?"), isRetryable: false,
            isServersFault: true)
    }

    // MARK: Failures

    /// What went wrong with one attempt, and what follows from it.
    private struct AttemptFailure: Error {
        var error: InferenceError
        /// Whether the same request may be sent again, as long as no text has arrived.
        var isRetryable: Bool
        /// Whether a working server would not have done this.
        var isServersFault: Bool
        var retryAfter: Double?

        init(_ error: InferenceError, isRetryable: Bool, isServersFault: Bool? = nil, retryAfter: Double? = nil) {
            self.error = error
            self.isRetryable = isRetryable
            self.retryAfter = retryAfter
            if let isServersFault {
                self.isServersFault = isServersFault
            } else if case .server(_, let status, _) = error {
                self.isServersFault = status >= 500
            } else {
                self.isServersFault = true
            }
        }

        /// Whether the server may not have understood a field of the request.
        var isUnderstanding: Bool {
            if case .server(_, let status, _) = error { return status == 400 || status == 422 }
            return false
        }
    }

    /// - Returns: Nil when the request was given up by its caller.
    private func classify(_ error: any Error) -> AttemptFailure? {
        switch error {
        case let failure as AttemptFailure: return failure
        case let error as InferenceError: return AttemptFailure(error, isRetryable: false)
        case is CancellationError: return nil
        case is EventStreamParser.TooLong, is NIOTooManyBytesError: return malformed("the answer is too long")
        case let error as HTTPClientError where error == .cancelled: return nil
        case let error as HTTPClientError where [.connectTimeout, .getConnectionFromPoolTimeout].contains(error):
            return AttemptFailure(
                .connection(name: name, reason: "no connection within \(configuration.connectTimeoutSeconds) s"), isRetryable: true)
        default:
            return AttemptFailure(.connection(name: name, reason: redact("\(error)")), isRetryable: true)
        }
    }

    private func adapt(to error: InferenceError) -> Bool {
        guard case .server(_, _, let message) = error else { return false }
        return state.withLock { $0.dialect.adapt(to: message) }
    }

    private func message(of body: ByteBuffer?) -> String {
        guard let body else { return "no message" }
        let text =
            (try? JSONDecoder().decode(ChatCompletion.Failure.self, from: Data(body.readableBytesView)))?.message ?? String(buffer: body)
        return redact(text.isEmpty ? "no message" : text)
    }

    /// Cuts a foreign message to a line and takes the key out of it, also where the server shows it in part.
    private func redact(_ text: String) -> String {
        var line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        if let key = configuration.apiKey, !key.isEmpty { line = line.replacing(key, with: "[key]") }
        line = line.replacing(/\b(sk-|Bearer\s+)\S+/, with: "[key]")
        return line.count > 300 ? line.prefix(300) + "..." : line
    }

    private var now: Duration { ContinuousClock.now - start }
}
