/// Who speaks in a conversation.
package enum ChatRole: String, Codable, Sendable, CaseIterable { case system, user, assistant }

/// One turn of a conversation.
package struct ChatMessage: Codable, Sendable, Hashable {
    package var role: ChatRole
    package var content: String
    package init(role: ChatRole, content: String) {
        self.role = role
        self.content = content
    }
}

/// What a generator is asked for: the conversation so far and how to continue it.
package struct GenerationRequest: Sendable {
    package var messages: [ChatMessage]
    /// At most this many tokens are written; fewer when the model's context is full.
    package var maxTokens: Int
    /// 0 takes the likeliest token each time (greedy); larger values vary more.
    package var temperature: Float
    /// Only the likeliest tokens that together have this probability are considered; 1 considers all.
    package var topP: Float
    /// The answer ends before the first of these strings; none of them is part of it. Empty strings mean nothing.
    package var stop: [String]
    /// The same seed gives the same text on the same machine; nil draws one.
    package var seed: UInt32?
    package init(
        messages: [ChatMessage], maxTokens: Int = 512, temperature: Float = 0, topP: Float = 1, stop: [String] = [], seed: UInt32? = nil
    ) {
        self.messages = messages
        self.maxTokens = maxTokens
        self.temperature = temperature
        self.topP = topP
        self.stop = stop
        self.seed = seed
    }
}

/// Why a generation ended: the model or a stop string ended it, it reached its length, or somebody ended it.
package enum FinishReason: String, Codable, Sendable { case stop, length, cancelled }

/// How many tokens a generation read and wrote.
package struct GenerationUsage: Codable, Sendable, Hashable {
    package var promptTokens: Int
    package var completionTokens: Int
    package init(promptTokens: Int, completionTokens: Int) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
    }
}

/// How far a generation is before its text, or between pieces of it.
package enum GenerationProgress: Sendable, Hashable {
    /// It waits for its turn behind this many others.
    case queued(ahead: Int)
    /// So many of the prompt's tokens are read.
    case reading(tokens: Int, of: Int)
    /// The model writes what is not part of the answer.
    case thinking
}

/// What a generation yields: pieces of text, then one end.
package enum GenerationEvent: Sendable {
    /// A sign of life. Generators that cannot tell yield none; there may be any number.
    case progress(GenerationProgress)
    /// A piece of text, never cut inside a character.
    case text(String)
    /// The last event of a generation that ended by itself.
    case finished(FinishReason, GenerationUsage)
}

/// A language model that writes text. Ending the iteration, or cancelling its task, stops the model within one token.
package protocol Generator: Sendable {
    /// Shown to users, such as `llama.cpp:stories260K` or `openai:gpt-4o-mini`.
    var name: String { get }
    /// Longest prompt plus answer, in tokens.
    var contextLength: Int { get }
    /// Nil when the model's tokens cannot be counted here; then about four bytes a token is assumed.
    var tokenizer: (any Tokenizer)? { get }
    func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error>
}
