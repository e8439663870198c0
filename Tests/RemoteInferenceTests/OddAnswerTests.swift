import Foundation
import Inference
import Testing

@testable import RemoteInference

/// Servers that call themselves compatible, and what they really send.
@Suite struct `Odd answers of servers` {
    private func answer(_ steps: [StubServer.Step]) async throws -> (text: String, events: [GenerationEvent]) {
        let server = try StubServer { _, _ in steps }
        var configuration = OpenAIGenerator.Configuration(baseURL: server.baseURL, model: "m")
        configuration.retryBaseDelaySeconds = 0.01
        configuration.connectTimeoutSeconds = 60
        configuration.retries = 0
        let generator = try OpenAIGenerator(configuration)
        var events: [GenerationEvent] = []
        for try await event in generator.generate(question) { events.append(event) }
        let text = events.reduce(into: "") { if case .text(let piece) = $1 { $0 += piece } }
        return (text, events)
    }

    private func event(_ json: String) -> String { "data: {\"choices\":[\(json)]}\n\n" }

    @Test func `content may be a list of parts`() async throws {
        let parts = event(#"{"delta":{"content":[{"type":"text","text":"31 "},{"type":"text","text":"months"}]}}"#)
        let thought = event(#"{"delta":{"content":[{"type":"thinking","thinking":[{"text":"hm"}]}]}}"#)
        #expect(try await answer([.send(Reply.streamHead + thought + parts + Reply.end())]).text == "31 months")
    }

    @Test(arguments: [
        "text/plain", "text/html; charset=utf-8", "application/octet-stream", "text/event-stream", "application/json; charset=utf-8",
    ])
    func `a JSON object is read whatever its type says`(type: String) async throws {
        let body = "\n " + #"{"choices":[{"message":{"role":"assistant","content":"31 months"},"finish_reason":"stop"}]}"#
        let head = "HTTP/1.1 200 OK\r\ncontent-type: \(type)\r\ncontent-length: \(body.utf8.count)\r\nconnection: close\r\n\r\n"
        let middle = body.index(body.startIndex, offsetBy: 20)
        #expect(
            try await answer([.send(head + body[..<middle]), .pause(milliseconds: 5), .send(String(body[middle...]))]).text == "31 months")
    }

    @Test func `an empty finish reason is none`() async throws {
        let piece = event(#"{"delta":{"content":"31 months"},"finish_reason":""}"#)
        #expect(try await answer([.send(Reply.streamHead + piece + piece + Reply.end())]).text == "31 months31 months")
        await #expect(throws: InferenceError.self) { try await self.answer([.send(Reply.streamHead + piece)]) }
    }

    @Test func `reasoning beside the content is a sign of life and no text`() async throws {
        let thought = event(#"{"delta":{"reasoning_content":"Let me see.","content":null}}"#)
        let (text, events) = try await answer([.send(Reply.streamHead + thought + thought + Reply.event("31") + Reply.end())])
        #expect(text == "31")
        guard case .progress(.thinking)? = events.first else {
            Issue.record("\(events)")
            return
        }
    }
}
