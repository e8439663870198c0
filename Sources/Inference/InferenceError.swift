/// What can go wrong with a model. Messages carry no prompt text and no keys.
package enum InferenceError: Error, Sendable, CustomStringConvertible {
    case modelNotFound(path: String)
    case modelUnreadable(path: String, reason: String)
    case wrongModelKind(path: String, reason: String)
    case promptTooLong(tokens: Int, limit: Int)
    /// The queue is full; try again later.
    case overloaded(queued: Int, limit: Int)
    case circuitOpen(name: String, retryAfterSeconds: Double)
    case timedOut(name: String, seconds: Double)
    case server(name: String, status: Int, message: String)
    case connection(name: String, reason: String)
    case failed(name: String, reason: String)

    package var description: String {
        switch self {
        case .modelNotFound(let path): "model file '\(path)' does not exist; run 'make demo', or give --embedding-model / --llm a GGUF file"
        case .modelUnreadable(let path, let reason): "model file '\(path)' cannot be read: \(reason)"
        case .wrongModelKind(let path, let reason): "model file '\(path)' is of the wrong kind: \(reason)"
        case .promptTooLong(let tokens, let limit): "the prompt has \(tokens) tokens, the model takes \(limit); lower k or context_tokens"
        case .overloaded(let queued, let limit): "\(queued) requests are waiting for the model (limit \(limit)); try again later"
        case .circuitOpen(let name, let seconds): "'\(name)' failed repeatedly and is not asked again for \(seconds) s"
        case .timedOut(let name, let seconds): "'\(name)' did not answer within \(seconds) s"
        case .server(let name, let status, let message): "'\(name)' answered HTTP \(status): \(message)"
        case .connection(let name, let reason): "'\(name)' cannot be reached: \(reason)"
        case .failed(let name, let reason): "'\(name)' failed: \(reason)"
        }
    }
}
