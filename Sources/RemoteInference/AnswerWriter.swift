import Inference
import Synchronization

/// Passes a remote answer's pieces to the consumer: looks for stop strings, counts, and keeps the answer bounded.
final class AnswerWriter: Sendable {
    private struct State {
        var scanner: StopScanner
        var hasText = false
        var reasoningCount = 0
        var pieceCount = 0
        var size = 0
        var finishReason: FinishReason?
        var usage: ChatCompletion.Response.Usage?
    }

    private let continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation
    private let promptSize: Int
    /// A token is rarely longer than a few dozen bytes; a server that ignores `max_tokens` must not fill our memory.
    private let sizeMax: Int
    private let state: Mutex<State>

    init(_ request: GenerationRequest, _ continuation: AsyncThrowingStream<GenerationEvent, any Error>.Continuation) {
        self.continuation = continuation
        promptSize = request.messages.reduce(0) { $0 + $1.content.utf8.count }
        sizeMax = 65_536 + max(0, request.maxTokens) * 256
        state = Mutex(State(scanner: StopScanner(stops: request.stop)))
    }

    /// Whether a part of the answer has arrived; it cannot be asked for again then.
    var hasText: Bool { state.withLock { $0.hasText } }
    /// Whether the model writes, be it for itself only.
    var hasBegun: Bool { state.withLock { $0.hasText || $0.reasoningCount > 0 } }
    /// Whether the answer is known to be complete.
    var isFinished: Bool { state.withLock { $0.finishReason != nil } }

    /// - Returns: False when nothing more is wanted: a stop string was found or the answer is far too long.
    func write(_ response: ChatCompletion.Response) -> Bool {
        let (text, isThinking, goesOn) = state.withLock { state -> (String, Bool, Bool) in
            if let usage = response.usage { state.usage = usage }
            guard let choice = response.choices?.first else { return ("", false, true) }
            var text = ""
            if choice.delta?.hasReasoning == true { state.reasoningCount += 1 }
            if let content = choice.delta?.content ?? choice.message?.content, !content.isEmpty {
                state.hasText = true
                state.pieceCount += 1
                state.size += content.utf8.count
                text = state.scanner.push(content)
            }
            // Some servers send an empty reason with every piece: it says that the answer goes on.
            if let reason = choice.finishReason, !reason.isEmpty { state.finishReason = reason == "length" ? .length : .stop }
            if state.scanner.isStopped { state.finishReason = .stop }
            if state.size > sizeMax { state.finishReason = .length }
            let isThinking = choice.delta?.hasReasoning == true && state.reasoningCount % 16 == 1
            return (text, isThinking, !state.scanner.isStopped && state.size <= sizeMax)
        }
        if isThinking { continuation.yield(.progress(.thinking)) }
        if !text.isEmpty { continuation.yield(.text(text)) }
        return goesOn
    }

    /// Ends the answer. Where the server did not count tokens, about four bytes a token and one token a piece are assumed.
    func finish() {
        let (tail, reason, usage) = state.withLock { state in
            (
                state.scanner.finish(), state.finishReason ?? .stop,
                GenerationUsage(
                    promptTokens: state.usage?.promptTokens ?? (promptSize + 3) / 4,
                    completionTokens: state.usage?.completionTokens ?? state.pieceCount)
            )
        }
        if !tail.isEmpty { continuation.yield(.text(tail)) }
        continuation.yield(.finished(reason, usage))
        continuation.finish()
    }
}
