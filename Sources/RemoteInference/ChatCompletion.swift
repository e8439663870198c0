import Foundation
import Inference

/// The chat-completions messages of the OpenAI protocol, as far as we speak it.
enum ChatCompletion {
    static func encode(_ request: Request) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try encoder.encode(request)
    }

    static func decode(_ text: String) throws -> Response {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(Response.self, from: Data(text.utf8))
    }

    struct Request: Encodable {
        struct StreamOptions: Encodable { var includeUsage = true }
        var model: String
        var messages: [ChatMessage]
        var maxTokens: Int?
        var maxCompletionTokens: Int?
        var temperature: Float?
        var topP: Float?
        var stop: [String]?
        var seed: UInt32?
        var stream: Bool
        var streamOptions: StreamOptions?

        init(_ request: GenerationRequest, model: String, dialect: Dialect) {
            self.model = model
            messages = request.messages
            if dialect.limitsCompletionTokens { maxCompletionTokens = request.maxTokens } else { maxTokens = request.maxTokens }
            if dialect.takesSampling {
                temperature = request.temperature
                if request.topP < 1 { topP = request.topP }
            }
            // The protocol takes four; we look for all of them in the answer anyway.
            let stops = request.stop.filter { !$0.isEmpty }.prefix(4)
            if !stops.isEmpty && dialect.takesStop { stop = Array(stops) }
            seed = request.seed
            stream = dialect.streams
            if dialect.streams && dialect.takesStreamOptions { streamOptions = StreamOptions() }
        }
    }

    /// What a server turned out not to understand. Servers that call themselves compatible differ; their refusals name the field.
    struct Dialect: Sendable, Equatable {
        var streams = true
        var takesStreamOptions = true
        var takesSampling = true
        var takesStop = true
        var limitsCompletionTokens = false

        /// Learns from the message of a refused request (400 or 422).
        /// - Returns: Whether there is something to try that was not tried before.
        mutating func adapt(to message: String) -> Bool {
            let before = self
            if message.contains("stream_options") {
                takesStreamOptions = false
            } else if message.contains("max_completion_tokens") {
                limitsCompletionTokens = true
            } else if message.contains("'temperature'") || message.contains("'topP'") {
                takesSampling = false
            } else if message.contains("'stop'") {
                takesStop = false
            } else if message.contains("stream") {
                streams = false
            }
            return self != before
        }
    }

    /// A whole answer, or one event of a stream: the two differ in `message` and `delta` only.
    struct Response: Decodable {
        /// Text, alone or in parts, and what a reasoning parser took out of it.
        struct Content: Decodable {
            var content: String?
            var hasReasoning = false

            private enum Keys: String, CodingKey { case content, reasoningContent, reasoning, thinking }
            private struct Part: Decodable {
                var type: String?
                var text: String?
            }

            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: Keys.self)
                if let text = try? container.decodeIfPresent(String.self, forKey: .content) {
                    content = text
                } else if let parts = try? container.decode([Part].self, forKey: .content) {
                    content = parts.filter { !["thinking", "reasoning"].contains($0.type) }.compactMap(\.text).joined()
                    hasReasoning = parts.contains { ["thinking", "reasoning"].contains($0.type) }
                }
                for key in [Keys.reasoningContent, .reasoning, .thinking] {
                    if let text = try? container.decodeIfPresent(String.self, forKey: key), !text.isEmpty { hasReasoning = true }
                }
            }
        }
        struct Choice: Decodable {
            var delta: Content?
            var message: Content?
            var finishReason: String?
        }
        struct Usage: Decodable {
            var promptTokens: Int?
            var completionTokens: Int?
        }
        var choices: [Choice]?
        var usage: Usage?
        var error: Failure?
    }

    /// `{"error": {"message": ...}}`, `{"error": "..."}`, `{"message": ...}` or `{"detail": ...}`: each server has its own.
    struct Failure: Decodable {
        var message: String

        private enum Keys: String, CodingKey { case error, message, detail }

        init(from decoder: any Decoder) throws {
            if let text = try? decoder.singleValueContainer().decode(String.self) {
                message = text
                return
            }
            let container = try decoder.container(keyedBy: Keys.self)
            if let inner = try? container.decode(Failure.self, forKey: .error) {
                message = inner.message
            } else if let text = try? container.decode(String.self, forKey: .message) {
                message = text
            } else {
                message = try container.decode(String.self, forKey: .detail)
            }
        }
    }
}
