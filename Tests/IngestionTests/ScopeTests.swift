import Documents
import Testing

@testable import Ingestion

struct ScopeTests {
    @Test func `jobs and collections outside of the scope are unknown`() async throws {
        let intake = try Intake(embedder: nil)
        let service = intake.service
        try await service.start()
        func items() -> [IngestItem] { [.text(source: "s", title: nil, text: "Some words.")] }
        let job = try await service.submit(IngestRequest(collection: "ours", items: items()))
        _ = try await intake.end(of: job)
        let ours = RequestScope(caller: .named("ann"), collections: ["ours"])
        let theirs = RequestScope(caller: .named("bob"), collections: ["theirs"])
        #expect(try await service.status(of: job, scope: ours).collection == "ours")
        #expect(try await service.jobs(limit: 9, scope: ours).map(\.id) == [job])
        #expect(try await service.jobs(limit: 9, scope: theirs).isEmpty)

        func isUnknown(_ what: String, _ body: () async throws -> Void) async {
            let error = await #expect(throws: IngestionError.self, "\(what)") { try await body() }
            switch error {
            case .unknownJob?, .unknownCollection?: break
            default: Issue.record("\(what): \(String(describing: error))")
            }
        }
        await isUnknown("status") { _ = try await service.status(of: job, scope: theirs) }
        await isUnknown("events") { _ = try await service.events(of: job, scope: theirs) }
        await isUnknown("cancel") { _ = try await service.cancel(job, scope: theirs) }
        await isUnknown("retry") { _ = try await service.retry(job, scope: theirs) }
        await isUnknown("submit") { _ = try await service.submit(IngestRequest(collection: "ours", items: items()), scope: theirs) }
        await isUnknown("delete") { _ = try await service.delete(.sources(["s"]), collection: "ours", scope: theirs) }
        await isUnknown("delete collection") { _ = try await service.deleteCollection("ours", scope: theirs) }
        await isUnknown("create") { _ = try await service.createCollection("new", settings: .init(), scope: theirs) }
        #expect(try intake.documents.map(\.source) == ["s"])
        await service.stop()
    }
}
