package import Inference
import Synchronization

/// A test double, used by tests and by nothing else: a generator that yields given pieces, and fails or hangs where it is told to.
package struct ScriptedGenerator: Generator {
    package enum Step: Sendable {
        case text(String)
        case fail(InferenceError)
        /// Nothing more comes until the caller gives up.
        case hang
    }

    /// What the generator has seen, for a test to look at.
    package final class Record: Sendable {
        private let state = Mutex<(requests: [GenerationRequest], cancelledCount: Int)>(([], 0))
        package init() {}
        package var requests: [GenerationRequest] { state.withLock { $0.requests } }
        package var cancelledCount: Int { state.withLock { $0.cancelledCount } }
        fileprivate func add(_ request: GenerationRequest) { state.withLock { $0.requests.append(request) } }
        fileprivate func addCancelled() { state.withLock { $0.cancelledCount += 1 } }
    }

    package var name = "scripted"
    package var contextLength: Int
    package var tokenizer: (any Tokenizer)? { WordTokenizer() }
    package let record = Record()
    private let script: @Sendable (GenerationRequest) -> [Step]

    /// Plays the same steps for each request.
    package init(_ steps: [Step], contextLength: Int = 4096) {
        self.init(contextLength: contextLength) { _ in steps }
    }

    /// Plays the steps that `script` makes of a request.
    package init(contextLength: Int = 4096, script: @escaping @Sendable (GenerationRequest) -> [Step]) {
        self.contextLength = contextLength
        self.script = script
    }

    package func generate(_ request: GenerationRequest) -> AsyncThrowingStream<GenerationEvent, any Error> {
        record.add(request)
        let steps = script(request)
        let promptTokens = request.messages.reduce(0) { $0 + WordTokenizer().count($1.content) }
        let record = record
        let (stream, continuation) = AsyncThrowingStream<GenerationEvent, any Error>.makeStream()
        continuation.onTermination = { if case .cancelled = $0 { record.addCancelled() } }
        guard promptTokens < contextLength else {
            continuation.finish(throwing: InferenceError.promptTooLong(tokens: promptTokens, limit: contextLength))
            return stream
        }
        var written = 0
        for step in steps {
            switch step {
            case .text(let text):
                if written == request.maxTokens {
                    continuation.yield(.finished(.length, GenerationUsage(promptTokens: promptTokens, completionTokens: written)))
                    continuation.finish()
                    return stream
                }
                written += 1
                continuation.yield(.text(text))
            case .fail(let error):
                continuation.finish(throwing: error)
                return stream
            case .hang:
                // The stream stays open: dropping a continuation does not finish it. Only the consumer can end it.
                return stream
            }
        }
        continuation.yield(.finished(.stop, GenerationUsage(promptTokens: promptTokens, completionTokens: written)))
        continuation.finish()
        return stream
    }
}
