import Documents
import Foundation
import Indexing
import Inference
import Logging
import Parsing
import Synchronization
import TestSupport
import Testing

@testable import Ingestion

/// A data folder with a service that takes texts in; there is no child process for files.
final class Intake: Sendable {
    let path: String
    let store: DocumentStore
    let catalog: IndexCatalog
    let service: IngestionService

    init(
        embedder: (any Embedder)? = HashEmbedder(dimension: 32), embedders: EmbedderShelf? = nil, path: String? = nil,
        _ change: (inout IngestionOptions) -> Void = { _ in }
    ) throws {
        self.path = path ?? FileManager.default.temporaryDirectory.path + "/outrider-ingestion-\(UUID().uuidString)"
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        store = try DocumentStore(directory: self.path)
        catalog = try IndexCatalog(store: store, directory: self.path + "/index", readOnly: false, logger: logger)
        var options = IngestionOptions()
        change(&options)
        service = IngestionService(
            catalog: catalog, embedders: embedders ?? EmbedderShelf(standard: embedder),
            parser: ParserPool(executable: "/bin/false", workerCount: 1),
            spoolFolder: self.path + "/spool",
            options: options, logger: logger)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// The job's last status.
    func end(of job: JobID) async throws -> JobStatus {
        for await event in try await service.events(of: job) {
            if case .summary(let status, _, _) = event { return status }
        }
        return try await service.status(of: job)
    }

    var documents: [DocumentRecord] {
        get throws {
            try store.collections().flatMap { try store.documents(in: $0.id, limit: 10_000) }
        }
    }
}

extension Ingesting {
    func submit(_ request: IngestRequest) async throws -> JobID { try await submit(request, scope: .everyone) }
    func events(of job: JobID) async throws -> AsyncStream<IngestEvent> { try await events(of: job, scope: .everyone) }
    func jobs(limit: Int) async throws -> [JobStatus] { try await jobs(limit: limit, scope: .everyone) }
    func cancel(_ job: JobID) async throws -> JobStatus { try await cancel(job, scope: .everyone) }
    func retry(_ job: JobID) async throws -> JobStatus { try await retry(job, scope: .everyone) }
    func delete(_ selector: DeletionSelector, collection: String) async throws -> DeletionReceipt {
        try await delete(selector, collection: collection, scope: .everyone)
    }
    func deleteCollection(_ name: String) async throws -> DeletionReceipt { try await deleteCollection(name, scope: .everyone) }
    func createCollection(_ name: String, settings: CollectionSettings) async throws -> CollectionRecord {
        try await createCollection(name, settings: settings, scope: .everyone)
    }
}

/// Embeds nothing until it is told to, or its task is cancelled.
final class GatedEmbedder: Embedder {
    let model = EmbeddingModel(name: "gated", dimension: 4, contextLength: 512)
    var tokenizer: any Tokenizer { WordTokenizer() }
    private let isOpen = Mutex(false)
    private let calls = Mutex(0)
    var callCount: Int { calls.withLock { $0 } }

    func open() { isOpen.withLock { $0 = true } }

    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        calls.withLock { $0 += 1 }
        while !isOpen.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(2)) }
        return texts.flatMap { _ in [1, 0, 0, 0] as [Float] }
    }
}

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
        var last: IngestEvent?
        for await event in events { last = event }
        guard case .summary(let status, _, _)? = last else {
            Issue.record("the stream ended without a summary")
            return
        }
        #expect(status.state == .cancelled)
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
        while embedder.callCount == 0 { try await Task.sleep(for: .milliseconds(2)) }
        // These wait behind it.
        let upload = try intake.write("spool/upload-1", "An upload about lemons.")
        let kept = try intake.write("spool/upload-2", "An upload about oranges.")
        let second = try await intake.service.submit(
            IngestRequest(collection: "gone", items: [.upload(name: "b.txt", spoolPath: upload, mimeType: nil), text("c")]))
        _ = try await intake.service.submit(
            IngestRequest(collection: "kept", items: [.upload(name: "d.txt", spoolPath: kept, mimeType: nil)]))
        let waiting = Task { try await intake.end(of: second) }
        try await Task.sleep(for: .milliseconds(20))

        _ = try await intake.service.deleteCollection("gone")
        let status = try await waiting.value
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

struct ProgressTests {
    private func record(_ count: Int, bytes: Int) -> JobRecord {
        JobRecord(
            id: JobID(rawValue: "job_1"), collection: CollectionID(rawValue: 1), state: .queued, createdAt: Date(), updatedAt: Date(),
            fileCount: count, stages: [.queued: count], byteCount: bytes, finishedByteCount: 0)
    }

    @Test func `the time left is told when there is something to go by, and counts files and bytes alike`() {
        let start = ContinuousClock.now
        var progress = JobProgress(record(100, bytes: 1000), collection: "c", now: start)
        func end(_ sequence: Int, bytes: Int) {
            progress.claimed(sequence, source: "f\(sequence)", now: start)
            progress.ended(sequence, FileOutcome(path: "f", outcome: .indexed, reason: nil, documentID: nil, chunks: 1), bytes: bytes)
        }
        #expect(progress.status(now: start + .seconds(60)).etaSeconds == nil)
        end(0, bytes: 10)
        #expect(progress.status(now: start + .seconds(60)).etaSeconds == nil, "one of a hundred says nothing")
        for number in 1..<20 { end(number, bytes: 10) }
        #expect(progress.status(now: start + .seconds(1)).etaSeconds == nil, "a second says nothing")
        #expect(abs(progress.status(now: start + .seconds(10)).etaSeconds! - 40) < 0.01)
        // A large file that is done does not make the many small ones that are left look quick.
        end(20, bytes: 700)
        #expect(abs(progress.status(now: start + .seconds(20)).etaSeconds! - 20 * (1 - 0.555) / 0.555) < 0.01)
        #expect(progress.status(waiting: "disk full, waiting for space", now: start + .seconds(20)).etaSeconds == nil)
    }

    @Test func `a status names what is being worked on, a bounded number of it`() {
        let start = ContinuousClock.now
        var progress = JobProgress(record(100, bytes: 1000), collection: "c", now: start)
        for number in 0..<64 { progress.claimed(number, source: "f\(number)", now: start) }
        progress.moved(1, to: .embedding)
        let status = progress.status(now: start + .milliseconds(1500))
        #expect(status.working.count == 20 && status.stages == ["queued": 36, "parsing": 63, "embedding": 1])
        #expect(status.working[1] == WorkingFile(path: "f1", stage: .embedding, seconds: 1.5))
    }
}

struct FolderTests {
    let folder = FileManager.default.temporaryDirectory.path + "/outrider-walk-\(UUID().uuidString)"

    private func write(_ names: String...) throws {
        for name in names {
            let file = URL(fileURLWithPath: folder + "/" + name)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(name.utf8).write(to: file)
        }
    }
    private func names(_ walk: SourceWalker.Walk) -> [String] { walk.files.map { String($0.source.dropFirst(folder.count + 1)) } }

    @Test func `links to files are read only when asked for`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("in/a.txt", "in/sub/b.txt", "in/.hidden", "outside/secret.txt")
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/link.txt", withDestinationPath: folder + "/outside/secret.txt")
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/folder", withDestinationPath: folder + "/outside")
        #expect(names(try SourceWalker.walk(folder + "/in", excluding: nil)) == ["in/a.txt", "in/sub/b.txt"])
        #expect(
            names(try SourceWalker.walk(folder + "/in", excluding: nil, followsLinks: true)) == ["in/a.txt", "in/link.txt", "in/sub/b.txt"])
        #expect(names(try SourceWalker.walk(folder + "/in/link.txt", excluding: nil)) == ["in/link.txt"], "a path that was given is read")
    }

    @Test func `documents whose files are gone are found, below the folder only`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("in/a.txt", "in/sub/b.txt", "other/c.txt")
        let stored = ["/in/a.txt", "/in/gone.txt", "/in/sub/gone.txt", "/in/a.txt/below a file", "/in/link"].map { folder + $0 }
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/link", withDestinationPath: "/nowhere")
        var asked: [String] = []
        let vanished = try VanishedFiles.find(below: [folder + "/in", folder + "/in/a.txt", folder + "/in/sub/.."], excluding: nil) {
            asked.append($0)
            return stored
        }
        #expect(vanished.sources == [stored[1], stored[2], stored[3]] && vanished.problems.isEmpty)
        #expect(asked == [folder + "/in", folder + "/in"])
    }

    @Test func `nothing is gone where a folder cannot be read or is empty as a whole`() throws {
        defer {
            chmod(folder + "/closed/sub", 0o700)
            try? FileManager.default.removeItem(atPath: folder)
        }
        try FileManager.default.createDirectory(atPath: folder + "/empty", withIntermediateDirectories: true)
        try write("closed/a.txt", "closed/sub/b.txt")
        for path in ["/empty", "/missing"] {
            let vanished = try VanishedFiles.find(below: [folder + path], excluding: nil) { [$0 + "/x.txt", $0 + "/y.txt"] }
            #expect(vanished.sources.isEmpty && vanished.problems.count == 1, "\(path)")
        }
        chmod(folder + "/closed/sub", 0)
        if access(folder + "/closed/sub", R_OK) != 0 {  // root reads everything
            let vanished = try VanishedFiles.find(below: [folder + "/closed"], excluding: nil) { [$0 + "/gone.txt"] }
            #expect(vanished.sources.isEmpty && vanished.problems.count == 1)
        }
    }

    @Test func `two files whose names differ in the form of a letter are two`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let forms = ["in/Zo\u{eb}.txt", "in/Zoe\u{308}.txt"]
        for form in forms { try write(form) }
        let request = IngestRequest(collection: "c", items: [.path(folder + "/in")])
        #expect(try Submission.drafts(for: request, excluding: nil).count == 2)
        var watcher = FolderWatcher(paths: [folder + "/in"], excluding: nil)
        #expect(watcher.poll() == .init())
        for form in forms { #expect(unlink(folder + "/" + form) == 0) }
        #expect(watcher.poll().removed.count == 2)
    }

    @Test func `a watcher tells what is gone, and nothing when the folder itself is`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("w/a.txt", "w/b.txt", "w/c.txt")
        var watcher = FolderWatcher(paths: [folder + "/w"], excluding: nil)
        try write("w/d.txt")
        try FileManager.default.removeItem(atPath: folder + "/w/b.txt")
        #expect(watcher.poll() == .init(changed: [folder + "/w/d.txt"], removed: [folder + "/w/b.txt"]))
        #expect(watcher.poll() == .init())
        try FileManager.default.moveItem(atPath: folder + "/w", toPath: folder + "/elsewhere")
        #expect(watcher.poll() == .init())
        try FileManager.default.createDirectory(atPath: folder + "/w", withIntermediateDirectories: true)
        #expect(watcher.poll() == .init(), "another folder in its place")
        try FileManager.default.removeItem(atPath: folder + "/w")
        try FileManager.default.moveItem(atPath: folder + "/elsewhere", toPath: folder + "/w")
        #expect(watcher.poll() == .init(), "all is back")
        for name in ["a", "c", "d"] { try FileManager.default.removeItem(atPath: folder + "/w/\(name).txt") }
        #expect(watcher.poll().removed.count == 3)
    }
}
