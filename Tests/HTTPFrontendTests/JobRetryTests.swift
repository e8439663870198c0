import Documents
import Foundation
import Indexing
import Inference
import Ingestion
import Logging
import Parsing
import TestSupport
import Testing

@testable import HTTPFrontend

/// Cancelling and retrying as a client sees it, with the real service behind the routes.
@Suite struct JobRetryTests {
    /// Reads nothing before the gate is open.
    private struct GatedParser: FileParsing {
        let gate: Gate
        func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument {
            do { try await gate.pass() } catch { throw .unavailable("parsing was cancelled") }
            let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
            return ParsedDocument(
                text: text, blocks: [Block(kind: .paragraph, span: 0..<text.utf8.count)], title: nil, mimeType: "text/plain")
        }
        func shutdown() async {}
    }

    @Test func `a cancelled job goes on after a retry, and one whose bytes are gone says so`() async throws {
        let folder = TemporaryFolder.inMemory()
        let file = try folder.write("in/a.txt", "Words of a.")
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let store = try DocumentStore(directory: folder.path)
        let catalog = try IndexCatalog(store: store, directory: folder.path + "/index", readOnly: false, logger: logger)
        let gate = Gate()
        let service = IngestionService(
            catalog: catalog, embedders: EmbedderShelf(standard: nil), parser: GatedParser(gate: gate), spoolFolder: folder.path + "/spool",
            logger: logger)
        try await service.start()
        try await Harness.routes(ingesting: service) { client, _ in
            let local = try await service.submit(IngestRequest(items: [.path(file)]), scope: .everyone)
            let accepted = try await client.send(
                .post, "/v1/documents", json: ##"{"documents": [{"source": "t.md", "text": "# Heading\n\nA text."}]}"##
            ).json()
            let given = try #require(accepted["job_id"] as? String)
            for job in [local.rawValue, given] {
                let cancelled = try await client.send(.post, "/v1/jobs/\(job)/cancel").json()
                #expect(cancelled["state"] as? String == "cancelled" && cancelled["stages"] as? [String: Int] == ["cancelled": 1])
            }
            gate.open()
            let retried = try await client.send(.post, "/v1/jobs/\(local.rawValue)/retry")
            #expect(retried.status == .ok)
            #expect(try ["queued", "running", "finished"].contains(retried.json()["state"] as? String))
            let events = serverSentEvents(try await client.send(.get, "/v1/jobs/\(local.rawValue)/events").text)
            #expect(events.last?.event == "summary" && events.last?.data.contains("\"indexed\":1") == true, "\(events)")
            #expect(try await client.send(.get, "/v1/jobs/\(local.rawValue)").json()["state"] as? String == "finished")

            let refused = try await client.send(.post, "/v1/jobs/\(given)/retry")
            #expect(refused.status == .conflict)
            let error = try refused.error()
            #expect(error["code"] as? String == "nothing_to_retry")
            #expect((error["message"] as? String)?.contains("send them again") == true)
            // Nothing failed: there is nothing to do, and that is no error.
            #expect(try await client.send(.post, "/v1/jobs/\(local.rawValue)/retry").status == .ok)
        }
        #expect(try store.collections().flatMap { try store.documents(in: $0.id) }.map(\.source) == [file])
        await service.stop()
    }
}
