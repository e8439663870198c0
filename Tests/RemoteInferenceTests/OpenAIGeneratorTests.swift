import Foundation
import Inference
import TestSupport
import Testing

@testable import RemoteInference

struct Answer: Equatable {
    var pieces: [String] = []
    var reason: FinishReason?
    var usage: GenerationUsage?
    var text: String { pieces.joined() }
}

func collect(_ stream: AsyncThrowingStream<GenerationEvent, any Error>) async throws -> Answer {
    var answer = Answer()
    for try await event in stream {
        switch event {
        case .text(let piece): answer.pieces.append(piece)
        case .progress: break
        case .finished(let reason, let usage): (answer.reason, answer.usage) = (reason, usage)
        }
    }
    return answer
}

let question = GenerationRequest(
    messages: [ChatMessage(role: .system, content: "Be brief."), ChatMessage(role: .user, content: "Hi?")], maxTokens: 32)

@Suite struct OpenAIGeneratorTests {
    private static let key = "sk-secret-0123456789"

    private func generator(
        _ server: StubServer, _ change: (inout OpenAIGenerator.Configuration) -> Void = { _ in }
    ) throws -> OpenAIGenerator {
        var configuration = OpenAIGenerator.Configuration(baseURL: server.baseURL, model: "m", apiKey: Self.key)
        configuration.retryBaseDelaySeconds = 0.01
        // A busy machine must not look like a dead server.
        configuration.connectTimeoutSeconds = 60
        change(&configuration)
        return try OpenAIGenerator(configuration)
    }

    /// The error that a generation ends with.
    private func failure(_ generator: OpenAIGenerator, _ request: GenerationRequest = question) async -> InferenceError? {
        do {
            let answer = try await collect(generator.generate(request))
            Issue.record("it answered: \(answer)")
            return nil
        } catch { return error as? InferenceError }
    }

    @Test func `an answer is streamed`() async throws {
        let server = try StubServer { _, _ in Reply.stream(["Hel", "lo ", "😀"]) }
        let generator = try generator(server)
        let answer = try await collect(generator.generate(question))
        #expect(answer == Answer(pieces: ["Hel", "lo ", "😀"], reason: .stop, usage: GenerationUsage(promptTokens: 7, completionTokens: 3)))
        #expect(generator.name == "openai:m")
        let request = try #require(server.requests.first)
        #expect(request.head.hasPrefix("POST /v1/chat/completions HTTP/1.1"))
        #expect(request.header("authorization") == "Bearer \(Self.key)")
        let body = try #require(JSONSerialization.jsonObject(with: Data(request.body.utf8)) as? [String: Any])
        #expect(body["model"] as? String == "m")
        #expect(body["stream"] as? Bool == true)
        #expect(body["max_tokens"] as? Int == 32)
        #expect(
            (body["messages"] as? [[String: String]]) == [["role": "system", "content": "Be brief."], ["role": "user", "content": "Hi?"]])
        try await generator.shutdown()
        try await generator.shutdown()
        #expect(await failure(generator) != nil)
    }

    @Test(arguments: ["\n", "\r\n", "\r"])
    func `bytes may be cut anywhere`(lineEnd: String) async throws {
        let text = (": hello\n\n" + Reply.event("é漢") + ": ping\n\n" + Reply.event("😀\"\\\n") + Reply.end()).replacing("\n", with: lineEnd)
        let head = Reply.streamHead
        let server = try StubServer { number, _ in
            // One byte at a time, or pieces of prime sizes.
            let bytes = Array(text.utf8)
            let size = [1, 2, 3, 7, 31][number]
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                StubServer.Step.bytes(Array(bytes[$0..<min($0 + size, bytes.count)]))
            }
            return [.send(head)] + pieces.flatMap { [$0, .pause(milliseconds: 0)] }
        }
        let generator = try generator(server)
        for _ in 0..<5 {
            let answer = try await collect(generator.generate(question))
            #expect(answer.text == "é漢😀\"\\\n")
            #expect(answer.usage?.completionTokens == 3)
        }
    }

    @Test func `chunked transfer encoding is understood`() async throws {
        let body = Reply.event("a") + Reply.event("b") + Reply.end("length")
        let chunks = Array(body.utf8).map { String(format: "1\r\n%c\r\n", $0) }.joined() + "0\r\n\r\n"
        let server = try StubServer { _, _ in
            [.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)]
        }
        let generator = try generator(server)
        let answer = try await collect(generator.generate(question))
        #expect(answer.text == "ab")
        #expect(answer.reason == .length)
    }

    @Test func `a server that does not stream is understood`() async throws {
        let body =
            #"{"choices":[{"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#
        let server = try StubServer { _, _ in Reply.status(200, body) }
        let generator = try generator(server)
        let answer = try await collect(generator.generate(question))
        #expect(answer == Answer(pieces: ["whole"], reason: .stop, usage: GenerationUsage(promptTokens: 5, completionTokens: 1)))
    }

    @Test func `a server that knows fewer fields is asked again without them`() async throws {
        let server = try StubServer { _, request in
            if request.body.contains("stream_options") {
                return Reply.status(400, #"{"error":{"message":"Unknown field stream_options"}}"#)
            }
            if request.body.contains("\"max_tokens\"") { return Reply.status(422, #"{"detail":"Use 'max_completion_tokens' instead"}"#) }
            return Reply.stream(["ok"])
        }
        let generator = try generator(server) { $0.retries = 0 }
        #expect(try await collect(generator.generate(question)).text == "ok")
        #expect(server.requests.count == 3)
        // What was learnt is kept.
        #expect(try await collect(generator.generate(question)).text == "ok")
        #expect(server.requests.count == 4)
    }

    @Test func `without usage, pieces are counted`() async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + Reply.event("a") + Reply.event("b") + "data: [DONE]\n\n")] }
        let generator = try generator(server)
        let answer = try await collect(generator.generate(question))
        #expect(answer.usage == GenerationUsage(promptTokens: 3, completionTokens: 2))
        #expect(answer.reason == .stop)
    }

    @Test func `a stop string ends the answer and the connection`() async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + ["one ", "EN", "D two"].map(Reply.event).joined()), .awaitClose] }
        let generator = try generator(server)
        var request = question
        request.stop = ["END"]
        let answer = try await collect(generator.generate(request))
        #expect(answer.text == "one ")
        #expect(answer.reason == .stop)
        try await eventually { server.closedByClientCount == 1 }
    }

    @Test func `an answer that never ends is cut`() async throws {
        let block = String(repeating: "x", count: 16_384)
        let server = try StubServer { _, _ in [.send(Reply.streamHead)] + (0..<200).map { _ in .send(Reply.event(block)) } + [.awaitClose] }
        let generator = try generator(server)
        let answer = try await collect(generator.generate(question))
        #expect(answer.reason == .length)
        #expect(answer.text.utf8.count < 200_000)
    }

    // MARK: Failures

    @Test(arguments: [408, 429, 500, 502, 503, 529])
    func `a passing failure is tried again`(status: Int) async throws {
        let server = try StubServer { number, _ in number < 2 ? Reply.status(status) : Reply.stream(["ok"]) }
        let generator = try generator(server)
        #expect(try await collect(generator.generate(question)).text == "ok")
        #expect(server.requests.count == 3)
    }

    @Test(arguments: [400, 401, 403, 404, 413])
    func `a lasting failure is not tried again`(status: Int) async throws {
        let server = try StubServer { _, _ in
            Reply.status(status, #"{"error":{"message":"Incorrect API key provided: sk-secret-0123456789. Or sk-se***789."}}"#)
        }
        let generator = try generator(server)
        let error = try #require(await failure(generator))
        guard case .server(let name, status, let message) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(name == "openai:m")
        #expect(message == "Incorrect API key provided: [key]. Or [key]" || message.hasPrefix("Incorrect API key provided: [key]"))
        #expect(!"\(error)".contains("sk-"))
        #expect(server.requests.count == 1)
    }

    @Test func `retries end`() async throws {
        let server = try StubServer { _, _ in Reply.status(503, #"{"error":{"message":"loading model"}}"#) }
        let generator = try generator(server) { $0.retries = 2 }
        let error = try #require(await failure(generator))
        #expect("\(error)".contains("HTTP 503: loading model"))
        #expect(server.requests.count == 3)
    }

    @Test func `the server's wish to wait is kept`() async throws {
        let server = try StubServer { number, _ in number == 0 ? Reply.status(429, headers: "retry-after: 0.4\r\n") : Reply.stream(["ok"]) }
        let generator = try generator(server)
        let start = ContinuousClock.now
        #expect(try await collect(generator.generate(question)).text == "ok")
        #expect(ContinuousClock.now - start >= .milliseconds(400))
    }

    @Test func `a wish to wait for an hour is an error at once`() async throws {
        let server = try StubServer { _, _ in Reply.status(429, headers: "retry-after: 3600\r\n") }
        let generator = try generator(server)
        #expect(await failure(generator) != nil)
        #expect(server.requests.count == 1)
    }

    @Test func `nobody listens`() async throws {
        var configuration = OpenAIGenerator.Configuration(
            baseURL: "http://127.0.0.1:\(try StubServer.deadPort())/v1/", model: "m", apiKey: Self.key)
        configuration.retryBaseDelaySeconds = 0.01
        let generator = try OpenAIGenerator(configuration)
        guard case .connection = await failure(generator) else {
            Issue.record("no connection error")
            return
        }
    }

    @Test func `a connection lost before the first piece is tried again`() async throws {
        let server = try StubServer { number, _ in
            number == 0 ? [] : number == 1 ? [.send(Reply.streamHead + ": ping\n\n")] : Reply.stream(["ok"])
        }
        let generator = try generator(server)
        #expect(try await collect(generator.generate(question)).text == "ok")
        #expect(server.requests.count == 3)
    }

    @Test func `a connection lost in the middle is an error, not a repetition`() async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + Reply.event("half"))] }
        let generator = try generator(server)
        var text = ""
        do {
            for try await case .text(let piece) in generator.generate(question) { text += piece }
            Issue.record("a cut answer was taken for a whole one")
        } catch InferenceError.connection { #expect(text == "half") }
        #expect(server.requests.count == 1)
    }

    @Test func `an error inside the stream ends it`() async throws {
        let server = try StubServer { _, _ in
            [.send(Reply.streamHead + Reply.event("a") + "data: {\"error\":{\"message\":\"out of memory\",\"code\":500}}\n\n")]
        }
        let generator = try generator(server)
        #expect("\(try #require(await failure(generator)))".contains("out of memory"))
    }

    @Test(arguments: ["data: {not json}\n\n", "data: [1]\n\n"])
    func `a stream that is none ends with a reason`(body: String) async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + body)] }
        let generator = try generator(server)
        guard case .failed = await failure(generator) else {
            Issue.record("no failure")
            return
        }
        #expect(server.requests.count == 1)
    }

    @Test func `a web page is not taken for an answer`() async throws {
        let server = try StubServer { _, _ in
            [.send("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>hello</html>")]
        }
        let generator = try generator(server) { $0.retries = 0 }
        #expect(await failure(generator) != nil)
    }

    @Test func `a redirect is not followed`() async throws {
        let other = try StubServer { _, _ in Reply.stream(["stolen"]) }
        let location = other.baseURL
        let server = try StubServer { _, _ in Reply.status(307, "", headers: "location: \(location)/chat/completions\r\n") }
        let generator = try generator(server)
        #expect(await failure(generator) != nil)
        #expect(other.requests.isEmpty)
    }

    @Test(arguments: ["", "ftp://x/v1", "127.0.0.1:8080", "http://"])
    func `a base address that is none is refused`(url: String) {
        #expect(throws: InferenceError.self) { try OpenAIGenerator(.init(baseURL: url, model: "m")) }
    }

    // MARK: Time

    @Test func `a server that says nothing times out`() async throws {
        let server = try StubServer { _, _ in [.awaitClose] }
        let generator = try generator(server) { $0.firstTokenTimeoutSeconds = 0.3 }
        guard case .timedOut(_, 0.3) = await failure(generator) else {
            Issue.record("no time-out")
            return
        }
        #expect(server.requests.count == 1)
        try await eventually { server.closedByClientCount == 1 }
    }

    @Test func `comments do not stand for a first token`() async throws {
        let server = try StubServer { _, _ in
            [.send(Reply.streamHead)] + (0..<100).flatMap { _ in [StubServer.Step.send(": ping\n\n"), .pause(milliseconds: 20)] }
        }
        let generator = try generator(server) { $0.firstTokenTimeoutSeconds = 0.3 }
        guard case .timedOut(_, 0.3) = await failure(generator) else {
            Issue.record("no time-out")
            return
        }
    }

    @Test func `a server that stops in the middle times out`() async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + Reply.event("a")), .awaitClose] }
        let generator = try generator(server) { ($0.firstTokenTimeoutSeconds, $0.idleTimeoutSeconds) = (100, 0.3) }
        let start = ContinuousClock.now
        guard case .timedOut(_, 0.3) = await failure(generator) else {
            Issue.record("no time-out")
            return
        }
        // The wait between tokens counts, not what is left of the wait for the first.
        #expect(ContinuousClock.now - start < .seconds(50))
        try await eventually { server.closedByClientCount == 1 }
    }

    @Test func `a slow answer that goes on does not time out`() async throws {
        let server = try StubServer { _, _ in
            [.send(Reply.streamHead)] + (0..<20).flatMap { _ in [StubServer.Step.send(Reply.event("a")), .pause(milliseconds: 250)] } + [
                .send(Reply.end())
            ]
        }
        // Five seconds in all, each wait below the limits.
        let generator = try generator(server) { ($0.firstTokenTimeoutSeconds, $0.idleTimeoutSeconds) = (4, 4) }
        #expect(try await collect(generator.generate(question)).text == String(repeating: "a", count: 20))
    }

    // MARK: Leaving

    @Test func `leaving the stream closes the connection`() async throws {
        let server = try StubServer { _, _ in [.send(Reply.streamHead + Reply.event("a")), .awaitClose] }
        let generator = try generator(server)
        for try await _ in generator.generate(question) { break }
        try await eventually { server.closedByClientCount == 1 }
    }

    @Test func `cancelling before anything came closes the connection`() async throws {
        let server = try StubServer { _, _ in [.awaitClose] }
        let generator = try generator(server)
        let task = Task { try await collect(generator.generate(question)) }
        try await eventually { server.requests.count == 1 }
        task.cancel()
        _ = try? await task.value
        try await eventually { server.closedByClientCount == 1 }
    }

    @Test func `cancelling during a backoff sends nothing more`() async throws {
        let server = try StubServer { _, _ in Reply.status(503) }
        let generator = try generator(server) { $0.retryBaseDelaySeconds = 5 }
        let task = Task { try await collect(generator.generate(question)) }
        try await eventually { server.requests.count == 1 }
        task.cancel()
        // Nobody is left who could send.
        _ = try? await task.value
        #expect(server.requests.count == 1)
    }

    // MARK: Load

    @Test func `more requests than allowed are refused at once`() async throws {
        let server = try StubServer { _, _ in [.awaitClose] }
        let generator = try generator(server) { $0.concurrencyMax = 2 }
        let tasks = (0..<2).map { _ in Task { try await collect(generator.generate(question)) } }
        try await eventually { server.requests.count == 2 }
        guard case .overloaded(2, 2) = await failure(generator) else {
            Issue.record("not refused")
            return
        }
        for task in tasks { task.cancel() }
        for task in tasks { _ = try? await task.value }
    }

    @Test func `a server that keeps failing is left alone, then probed`() async throws {
        let server = try StubServer { number, _ in number < 3 ? Reply.status(500) : Reply.stream(["back"]) }
        let generator = try generator(server) { ($0.retries, $0.circuitFailureMax, $0.circuitOpenSeconds) = (0, 3, 1) }
        for _ in 0..<3 {
            guard case .server = await failure(generator) else {
                Issue.record("no server error")
                return
            }
        }
        guard case .circuitOpen(_, let seconds) = await failure(generator) else {
            Issue.record("the circuit is closed")
            return
        }
        #expect(seconds > 0 && seconds <= 1)
        #expect(server.requests.count == 3)
        try await eventually("it is probed") { (try? await collect(generator.generate(question)))?.text == "back" }
        #expect(server.requests.count == 4)
        #expect(try await collect(generator.generate(question)).text == "back")
    }

    @Test func `a refused request does not open the circuit`() async throws {
        let server = try StubServer { _, _ in Reply.status(404) }
        let generator = try generator(server) { $0.circuitFailureMax = 2 }
        for _ in 0..<4 {
            guard case .server(_, 404, _) = await failure(generator) else {
                Issue.record("no server error")
                return
            }
        }
    }

    @Test func `many answers at the same time stay apart`() async throws {
        let server = try StubServer { _, request in
            let word = request.body.contains("question-") ? request.body.split(separator: "question-")[1].prefix(3) : "?"
            return [.send(Reply.streamHead)]
                + (0..<5).flatMap { _ in [StubServer.Step.send(Reply.event("\(word) ")), .pause(milliseconds: 2)] } + [.send(Reply.end())]
        }
        let generator = try generator(server)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 100..<140 {
                group.addTask {
                    let answer = try await collect(
                        generator.generate(GenerationRequest(messages: [ChatMessage(role: .user, content: "question-\(number)")])))
                    #expect(answer.text == String(repeating: "\(number) ", count: 5))
                }
            }
            try await group.waitForAll()
        }
    }
}
