import Documents
import Inference
import Logging
import Retrieval
import TestSupport
import Testing

@testable import Answering

@Suite struct `Scope of an answer` {
    @Test func `of a collection outside of it nothing is asked, and no model is`() async throws {
        let collection = MemoryCollection([("Whales", "Sperm whales dive deep.")])
        let model = ScriptedGenerator([.text("x")])
        let engine = AnswerEngine(
            searching: collection, statistics: collection, spans: collection, embedder: nil, generators: [("llama", model)],
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let request = AnswerRequest(question: "How deep?", turns: [.init(role: .user, content: "Do whales dive?")])
        let events = engine.answer(request, scope: RequestScope(caller: .everyone, collections: ["other"]))
        let error = await #expect(throws: AnsweringError.self) { for try await _ in events {} }
        guard case .retrieval(.unknownCollection("default"))? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(collection.searches.withLock { $0.isEmpty } && model.record.requests.isEmpty)
    }
}
