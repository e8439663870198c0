import Documents
import Testing

@testable import Retrieval

struct ScopeTests {
    @Test func `a collection outside of the scope is unknown`() async throws {
        let library = try await Library(["a": "one comet"])
        let retriever = library.retriever()
        let request = SearchRequest(query: "comet")
        #expect(try await retriever.search(request, scope: .init(caller: .named("ann"), collections: ["default"])).sources == ["a"])
        let other = RequestScope(caller: .named("ann"), collections: ["other"])
        let error = await #expect(throws: RetrievalError.self) { try await retriever.search(request, scope: other) }
        guard case .unknownCollection("default")? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(await retriever.languages(of: "default", scope: other) == nil)
        #expect(await retriever.languages(of: "default", scope: .everyone) != nil)
    }
}
