import Documents
import Foundation
import Indexing
import Inference
import Parsing
import TestSupport
import Testing

@testable import Ingestion

struct ServiceTests {
    private func text(_ source: String, _ text: String? = nil, _ metadata: Metadata = [:]) -> IngestItem {
        .text(source: source, title: nil, text: text ?? "The text of \(source).", metadata: metadata)
    }

    @Test func `one request is one job, with metadata for each document inside it`() async throws {
        let intake = try Intake()
        try await intake.service.start()
        let items = (0..<300).map { text("ticket \($0)", nil, ["n": .number(Double($0)), "team": .string("t\($0 % 7)")]) }
        let job = try await intake.service.submit(IngestRequest(items: items, metadata: ["year": .number(2026), "team": .string("none")]))
        let status = try await intake.end(of: job)
        #expect(status.state == .finished && status.stages == ["indexed": 300] && status.files.count == 300)
        #expect(try await intake.service.jobs(limit: 10).count == 1)
        let documents = try intake.documents
        #expect(documents.count == 300 && Set(documents.map(\.source)).count == 300)
        for document in documents {
            let number = try #require(Int(document.source.dropFirst("ticket ".count)))
            #expect(document.metadata == ["n": .number(Double(number)), "team": .string("t\(number % 7)"), "year": .number(2026)])
        }
        let indexes = try #require(try intake.catalog.indexes(named: "default"))
        #expect(indexes.text.count == 300 && indexes.vectors?.count == 300)
        #expect(try await intake.service.verify().problems == [])
        // Again: nothing to do, for the same sources only.
        let again = try await intake.service.submit(
            IngestRequest(items: items + [text("new")], metadata: ["year": .number(2026), "team": .string("none")]))
        #expect(try await intake.end(of: again).stages == ["unchanged": 300, "indexed": 1])
        await intake.service.stop()
    }

    @Test func `a text that cannot be stored takes nothing from its neighbours`() async throws {
        let intake = try Intake()
        try await intake.service.start()
        let job = try await intake.service.submit(
            IngestRequest(items: [text("a"), text("blank", " \u{3000}\n"), text("c", "One.\n\nTwo."), text("d")]))
        let status = try await intake.end(of: job)
        #expect(status.stages == ["indexed": 3, "refused": 1], "\(status.stages)")
        #expect(try Set(["a", "c", "d"]) == Set(intake.documents.map(\.source)))
        // A name that a database would cut is refused at the door, before anything is stored.
        await #expect(throws: IngestionError.self) { try await intake.service.submit(IngestRequest(items: [text("e"), text("b\0")])) }
        #expect(try intake.documents.count == 3)
        await intake.service.stop()
    }

    @Test func `of two texts with one source none is taken, of two uploads with one name the first`() async throws {
        let intake = try Intake(embedder: nil)
        let refusal = await #expect(throws: IngestionError.self) {
            try await intake.service.submit(IngestRequest(items: [text("a"), text("b"), text("a", "Other words.")]))
        }
        #expect("\(try #require(refusal))".contains("documents[2].source") && "\(refusal!)".contains("documents[0]"))
        #expect(try intake.store.jobs().isEmpty)

        await intake.service.stop()  // nothing is claimed any more
        let first = try intake.write("spool/1", "First body about lemons.")
        let second = try intake.write("spool/2", "Second body about oranges.")
        let other = try intake.write("spool/3", "Third.")
        let job = try await intake.service.submit(
            IngestRequest(items: [
                .upload(name: "same.txt", spoolPath: first, mimeType: nil), .upload(name: "same.txt", spoolPath: second, mimeType: nil),
                .upload(name: "b/same.txt", spoolPath: other, mimeType: nil),
            ]))
        let files = try intake.store.files(of: job)
        #expect(files.map(\.stage) == [.queued, .refused, .queued])
        #expect(files[1].reason?.contains("same name 'same.txt'") == true)
        #expect(!FileManager.default.fileExists(atPath: second) && FileManager.default.fileExists(atPath: other))
    }

    @Test func `what a request may hold has bounds`() async throws {
        let intake = try Intake(embedder: nil)
        let long = String(repeating: "x", count: 5000)
        let large: Metadata = ["k": .strings([String(repeating: "y", count: 70_000)])]
        let requests = [
            IngestRequest(items: [text(long)]), IngestRequest(items: [.text(source: "a", title: long, text: "t")]),
            IngestRequest(items: [text("a", nil, large)]), IngestRequest(items: [text("a")], metadata: large),
            IngestRequest(items: [text("")]),
            IngestRequest(items: [.upload(name: long, spoolPath: "/none", mimeType: nil)]),
        ]
        for request in requests { await #expect(throws: IngestionError.self) { try await intake.service.submit(request) } }
        #expect(try intake.store.jobs().isEmpty)
        await #expect(throws: DocumentStoreError.invalidName("../x")) {
            try await intake.service.submit(IngestRequest(collection: "../x", items: [text("a")]))
        }
        await intake.service.stop()
    }

    @Test func `first requests side by side make one collection`() async throws {
        let intake = try Intake()
        try await intake.service.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let job = try await intake.service.submit(IngestRequest(collection: "new", items: [self.text("s\(number)")]))
                    #expect(try await intake.end(of: job).stages == ["indexed": 1])
                }
            }
            try await group.waitForAll()
        }
        #expect(try intake.store.collections().map(\.name) == ["new"] && intake.documents.count == 8)
        await intake.service.stop()
    }

    @Test func `a cancelled job is over at once, and its places and bytes are free`() async throws {
        let embedder = GatedEmbedder()
        let intake = try Intake(embedder: embedder) { $0.textGroup = 1 }
        try await intake.service.start()
        let stuck = try await intake.service.submit(IngestRequest(items: (0..<20).map { text("stuck \($0)") }))
        while embedder.callCount < 4 { await Task.yield() }
        let working = try await intake.service.status(of: stuck).working
        #expect(working.map(\.path) == (0..<4).map { "stuck \($0)" } && working.allSatisfy { $0.stage == .embedding })
        let events = try await intake.service.events(of: stuck)
        let cancelled = try await intake.service.cancel(stuck)
        #expect(cancelled.state == .cancelled && cancelled.stages == ["cancelled": 20] && cancelled.working.isEmpty)
        #expect(await Intake.summary(of: events)?.state == .cancelled)
        while await intake.service.budget.used > 0 { await Task.yield() }
        embedder.open()
        let next = try await intake.service.submit(IngestRequest(items: [text("next"), text("stuck 0")]))
        #expect(try await intake.end(of: next).stages == ["indexed": 2])
        #expect(try intake.documents.count == 2)
        await intake.service.stop()
    }

    @Test func `an upload whose bytes changed on the disk while it waited is refused`() async throws {
        let intake = try Intake(embedder: nil)
        try await intake.service.start()
        // Of "An upload about lemons." (sha256sum).
        let hash = "f7829e70d584eaa2e13174aa7754127ca44be9aca636e66d3418ffc9396d7658"
        let good = try intake.write("spool/upload-1." + hash, "An upload about lemons.")
        let flipped = try intake.write("spool/upload-2." + hash, "An upload about lemonr.")
        let unnamed = try intake.write("spool/upload-3", "An upload of an earlier version.")
        let job = try await intake.service.submit(
            IngestRequest(
                items: [("good.txt", good), ("flipped.txt", flipped), ("unnamed.txt", unnamed)].map {
                    .upload(name: $0.0, spoolPath: $0.1, mimeType: nil)
                }))
        let files = try await intake.end(of: job).files
        let told = files.filter { $0.reason?.contains("the disk changed the upload's bytes") == true }
        // The two others get as far as the parser, which is none here.
        #expect(told.map(\.path) == ["flipped.txt"] && told[0].outcome == .refused && files.count == 3, "\(files)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: intake.path + "/spool").isEmpty)
        await intake.service.stop()
    }

    @Test func `a deleted collection takes its jobs with it: their uploads are gone, and whoever waits for them is told`() async throws {
        let embedder = GatedEmbedder()
        let intake = try Intake(embedder: embedder) { $0.concurrency = 1 }
        try await intake.service.start()
        let first = try await intake.service.submit(IngestRequest(collection: "gone", items: [text("a")]))
        while embedder.callCount == 0 { await Task.yield() }
        // These wait behind it.
        let upload = try intake.write("spool/upload-1", "An upload about lemons.")
        let kept = try intake.write("spool/upload-2", "An upload about oranges.")
        let second = try await intake.service.submit(
            IngestRequest(collection: "gone", items: [.upload(name: "b.txt", spoolPath: upload, mimeType: nil), text("c")]))
        _ = try await intake.service.submit(
            IngestRequest(collection: "kept", items: [.upload(name: "d.txt", spoolPath: kept, mimeType: nil)]))
        let events = try await intake.service.events(of: second)

        _ = try await intake.service.deleteCollection("gone")
        let status = try #require(await Intake.summary(of: events))
        #expect(status.state == .cancelled && !status.isOpen && status.stages == ["cancelled": 2], "\(status)")
        #expect(!FileManager.default.fileExists(atPath: upload))
        #expect(try intake.store.spooledPaths() == [kept] || !FileManager.default.fileExists(atPath: kept))
        await #expect(throws: IngestionError.self) { try await intake.service.status(of: first) }
        // One of the same name is another one.
        embedder.open()
        let again = try await intake.service.submit(IngestRequest(collection: "gone", items: [text("e")]))
        #expect(try await intake.end(of: again).stages == ["indexed": 1])
        #expect(try intake.documents.map(\.source) == ["e"])
        let counts = await intake.service.progress.count
        #expect(counts == 0 || counts == 1, "\(counts) jobs are still followed")
        #expect(try await intake.service.verify().problems == [])
        await intake.service.stop()
    }

    @Test func `an end in order puts files back as if they had never been taken`() async throws {
        let embedder = GatedEmbedder()
        let intake = try Intake(embedder: embedder)
        try await intake.service.start()
        let job = try await intake.service.submit(IngestRequest(items: (0..<5).map { text("\($0)") }))
        while embedder.callCount == 0 { await Task.yield() }
        await intake.service.stop(grace: .zero)
        let files = try intake.store.files(of: job)
        #expect(files.allSatisfy { $0.stage == .queued && $0.attempts == 0 && $0.deaths == 0 })
        #expect(try intake.store.recoverJobs(deathLimit: 1).map(\.id) == [job])
        #expect(try intake.store.files(of: job).allSatisfy { $0.deaths == 0 })
    }

    @Test func `a suspect is worked on alone, after all others`() async throws {
        let embedder = GatedEmbedder()
        let intake = try Intake(embedder: embedder) { $0.textGroup = 1 }
        let collection = try intake.store.findOrCreateCollection(name: "default").id
        let drafts = (0..<6).map { JobFileDraft(path: "", source: "s\($0)", byteCount: 10, text: "Text \($0).") }
        let job = try intake.store.createJob(in: collection, files: drafts).id
        // The program dies with two files in its hands.
        _ = try intake.store.claimFiles()
        _ = try intake.store.claimFiles()
        try await intake.service.start()
        while embedder.callCount < 4 { await Task.yield() }
        #expect(try await intake.service.status(of: job).working.map(\.path) == ["s2", "s3", "s4", "s5"])
        let events = try await intake.service.events(of: job)
        embedder.open()
        var together = 0
        for await case .progress(let status) in events {
            let suspects = status.working.filter { $0.path == "s0" || $0.path == "s1" }
            if !suspects.isEmpty { together = max(together, status.working.count) }
        }
        #expect(together <= 1)
        #expect(try await intake.end(of: job).stages == ["indexed": 6])
        await intake.service.stop()
    }

    @Test func `a document is in the library as soon as it is in, not when its job is`() async throws {
        let intake = try Intake(embedder: nil)
        try await intake.service.start()
        let job = try await intake.service.submit(IngestRequest(items: (0..<200).map { text("\($0)") }))
        for await case .file(let file) in try await intake.service.events(of: job) {
            #expect(try intake.store.document(try #require(file.documentID)) != nil)
        }
        #expect(try await intake.service.status(of: job).state == .finished)
        await intake.service.stop()
    }
}
