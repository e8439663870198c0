import Testing

@testable import Ingestion

struct SelectorTests {
    @Test func `deleting below nothing is refused`() async throws {
        let intake = try Intake(embedder: nil)
        try await intake.service.start()
        _ = try await intake.end(
            of: try await intake.service.submit(IngestRequest(items: [.text(source: "/a/b", title: nil, text: "Some words.")])))
        let error = await #expect(throws: IngestionError.self) { try await intake.service.delete(.sourceTree(""), collection: "default") }
        guard case .invalidRequest("source_tree", _, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try intake.documents.count == 1)
        await intake.service.stop()
    }
}
