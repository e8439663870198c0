import Foundation
import Testing

@testable import Documents

struct JobTests {
    let folder = Folder()

    private func open() throws -> (DocumentStore, CollectionID) {
        let store = try folder.open()
        return (store, try store.createCollection(name: "notes").id)
    }

    @Test func `files come back as they were put, in order`() throws {
        let (store, id) = try open()
        let drafts = [
            file("/a", bytes: 5),
            JobFileDraft(path: "/spool/1", source: "b", title: nil, mimeType: "text/html", isSpooled: true, byteCount: 7),
        ]
        let job = try store.createJob(in: id, files: drafts)
        #expect(job.id.rawValue.hasPrefix("job_") && job.id.rawValue.utf8.count == 30)
        #expect(
            job.state == .queued && job.fileCount == 2 && job.stages == [.queued: 2] && job.byteCount == 12 && job.finishedByteCount == 0)
        #expect(try store.job(job.id) == job)
        let files = try store.files(of: job.id)
        #expect(
            files[0]
                == JobFileRecord(
                    job: job.id, sequence: 0, path: "/in//a", source: "/a", title: "Title of /a", mimeType: nil,
                    metadata: ["lang": .string("en")],
                    isSpooled: false, byteCount: 5, stage: .queued, attempts: 0, reason: nil, document: nil, chunkCount: 0))
        #expect(files[1].mimeType == "text/html" && files[1].isSpooled && files[1].metadata == [:])
        #expect(try store.files(of: job.id, after: 0).map(\.sequence) == [1])
        #expect(try store.files(of: job.id, limit: 1).map(\.sequence) == [0])
        #expect(try store.spooledPaths() == ["/spool/1"])
        #expect(failure { _ = try store.files(of: JobID(rawValue: "job_x")) } == .unknownJob("job_x"))
        #expect(failure { _ = try store.createJob(in: CollectionID(rawValue: 5), files: []) } == .unknownCollection("5"))
        #expect(try store.createJob(in: id, files: []).state == .finished)
    }

    @Test func `files are claimed once each, oldest job first`() throws {
        let (store, id) = try open()
        let first = try store.createJob(in: id, files: [file("a"), file("b")])
        let second = try store.createJob(in: id, files: [file("c")])
        #expect(try store.jobs().map(\.id) == [second.id, first.id])
        var claimed: [String] = []
        while let file = try store.claimNextFile() {
            #expect(file.stage == .parsing && file.attempts == 1)
            claimed.append(file.source)
        }
        #expect(claimed == ["a", "b", "c"])
        #expect(try store.job(first.id)?.state == .running)
        #expect(try store.job(first.id)?.stages == [.parsing: 2])
    }

    @Test func `many workers claim every file exactly once`() async throws {
        let (store, id) = try open()
        let other = try folder.open()
        let sources = (0..<120).map { "f\($0)" }
        _ = try store.createJob(in: id, files: sources.map { file($0) })
        let claimed = try await withThrowingTaskGroup(of: [String].self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var mine: [String] = []
                    while let file = try (worker % 2 == 0 ? store : other).claimNextFile() { mine.append(file.source) }
                    return mine
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(claimed.count == sources.count && Set(claimed) == Set(sources))
    }

    @Test func `a document and the end of its file are one transaction`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a"), file("/b")])
        _ = try store.claimNextFile()
        let commit = try store.put(draft(id, source: "/a"), finishing: (job.id, 0))
        let done = try store.files(of: job.id)[0]
        #expect(done.stage == .indexed && done.document == commit.document && done.chunkCount == 2)
        // A second worker with the same file comes too late: nothing is stored twice.
        #expect(
            failure { try store.put(draft(id, source: "/a", parts: ["x"]), finishing: (job.id, 0)) }
                == .fileEnded(job: job.id, sequence: 0, stage: .indexed))
        #expect(try store.chunkIDs(in: id) == commit.inserted)
        // The transaction fails after the file was marked: the mark is undone with it.
        try store.damage("CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'stop'); END")
        #expect(throws: DocumentStoreError.self) { try store.put(draft(id, source: "/b"), finishing: (job.id, 1)) }
        try store.damage("DROP TRIGGER stop")
        #expect(try store.files(of: job.id)[1].stage == .queued)
        #expect(try store.document(source: "/b", in: id) == nil)
        #expect(failure { try store.put(draft(id, source: "/c"), finishing: (job.id, 2)) } == .unknownJob("\(job.id), file 2"))
        #expect(try store.verify() == [])
    }

    @Test func `a job is finished when its last file is, and counts all the way`() throws {
        let (store, id) = try open()
        let stages: [FileStage] = [.indexed, .unchanged, .refused, .failed]
        let job = try store.createJob(in: id, files: stages.indices.map { file("f\($0)", bytes: 1 << $0) })
        for (sequence, stage) in stages.enumerated() {
            #expect(try store.finishJobIfDone(job.id).state != .finished)
            _ = try store.claimNextFile()
            for step in [FileStage.chunking, .embedding, .committing] {
                #expect(try store.update(stage: step, job: job.id, sequence: sequence))
            }
            #expect(try store.update(stage: stage, job: job.id, sequence: sequence, reason: "because", chunkCount: 3))
            let record = try #require(try store.job(job.id))
            #expect(record.stages.values.reduce(0, +) == 4 && record.fileCount == 4 && record.byteCount == 15)
            #expect(record.finishedByteCount == (1 << (sequence + 1)) - 1)
            #expect(try !store.update(stage: .parsing, job: job.id, sequence: sequence), "a file came back from its end")
        }
        let finished = try store.finishJobIfDone(job.id)
        #expect(finished.state == .finished && finished.stages == [.indexed: 1, .unchanged: 1, .refused: 1, .failed: 1])
        #expect(try store.finishJobIfDone(job.id) == finished)
        #expect(try store.files(of: job.id)[2].reason == "because")
        #expect(failure { _ = try store.finishJobIfDone(JobID(rawValue: "job_x")) } == .unknownJob("job_x"))
    }

    @Test func `cancelling ends every open file, and late workers change nothing`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a"), file("/b"), file("/c")])
        try store.put(draft(id, source: "/a"), finishing: (job.id, 0))
        _ = try store.claimNextFile()
        let cancelled = try store.cancelJob(job.id)
        #expect(cancelled.state == .cancelled && cancelled.stages == [.indexed: 1, .cancelled: 2])
        #expect(try store.claimNextFile() == nil)
        #expect(try !store.update(stage: .embedding, job: job.id, sequence: 1))
        #expect(
            failure { try store.put(draft(id, source: "/b"), finishing: (job.id, 1)) }
                == .fileEnded(job: job.id, sequence: 1, stage: .cancelled))
        #expect(try store.document(source: "/b", in: id) == nil)
        #expect(try store.cancelJob(job.id) == cancelled && store.finishJobIfDone(job.id) == cancelled)
    }

    @Test func `a retry takes cancelled files that lie where they lay, and no text or upload, whose bytes went`() throws {
        let (store, id) = try open()
        func given(_ source: String, text: String? = nil) -> JobFileDraft {
            JobFileDraft(path: text == nil ? "/spool/1" : "", source: source, isSpooled: text == nil, byteCount: 10, text: text)
        }
        let job = try store.createJob(in: id, files: [file("/a", bytes: 5), given("t", text: "T"), given("u"), given("f", text: "F")])
        try store.update(stage: .failed, job: job.id, sequence: 3, reason: "no model")
        #expect(try store.cancelJob(job.id).stages == [.cancelled: 3, .failed: 1])
        #expect(try store.count("job_texts") == 1, "a text that failed before can be tried again, cancelled or not")
        let retried = try store.retryJob(job.id)
        #expect(retried.job.state == .queued && retried.job.stages == [.queued: 2, .cancelled: 2])
        #expect(retried.queued == [.cancelled: 1, .failed: 1] && retried.byteCount == 15)
        #expect(try store.claimFiles().map(\.source) == ["/a"] && store.claimFiles().map(\.text) == ["F"])
        let again = try store.retryJob(job.id)
        #expect(again.queued == [:] && again.byteCount == 0 && again.job.state == .running)
        #expect(try store.verify() == [])
    }

    @Test func `an older text or upload does not replace what came later, and a file that is read anew does`() throws {
        let (store, id) = try open()
        func drafts(_ text: String) -> [JobFileDraft] {
            [
                JobFileDraft(path: "", source: "/t", byteCount: 1, text: text),
                JobFileDraft(path: "/spool/\(text)", source: "/u", isSpooled: true, byteCount: 1), file("/a"),
            ]
        }
        let older = try store.createJob(in: id, files: drafts("older"))
        let later = try store.createJob(in: id, files: drafts("later"))
        let sources = ["/t", "/u", "/a"]
        // Where the later one came to nothing it is not in the way.
        for sequence in 0..<3 { try store.update(stage: .failed, job: later.id, sequence: sequence, reason: "no model") }
        try store.put(draft(id, source: "/t"), finishing: (older.id, 0))
        _ = try store.retryJob(later.id)
        for (sequence, source) in sources.enumerated() { try store.put(draft(id, source: source), finishing: (later.id, sequence)) }
        #expect(failure { try store.put(draft(id, source: "/u"), finishing: (older.id, 1)) } == .superseded(source: "/u", by: later.id))
        #expect(try store.files(of: older.id)[1].stage == .queued && store.document(source: "/u", in: id)?.version == 1)
        try store.put(draft(id, source: "/a"), finishing: (older.id, 2))
        // Whose document is deleted is forgotten, and so is what came later.
        _ = try store.delete(.sources(["/u"]), in: id)
        try store.put(draft(id, source: "/u"), finishing: (older.id, 1))
        #expect(try store.verify() == [])
    }

    @Test func `retrying takes failed files only, with a fresh count`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a"), file("/b")])
        _ = try store.claimNextFile()
        _ = try store.claimNextFile()
        try store.update(stage: .failed, job: job.id, sequence: 0, reason: "disk")
        try store.update(stage: .refused, job: job.id, sequence: 1, reason: "not a document")
        _ = try store.finishJobIfDone(job.id)
        let retried = try store.retryJob(job.id)
        #expect(retried.job.state == .queued && retried.job.stages == [.queued: 1, .refused: 1] && retried.queued == [.failed: 1])
        let again = try #require(try store.claimNextFile())
        #expect(again.sequence == 0 && again.attempts == 1 && again.reason == nil)
        #expect(try store.claimNextFile() == nil)
    }

    @Test func `a file in whose hands the program dies alone is given up in the end`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a"), file("/b"), file("/c")])
        let lone = try store.createJob(in: id, files: [file("/d")])
        try store.put(draft(id, source: "/a"), finishing: (job.id, 0))
        for attempt in 1...3 {
            // A suspect comes after all others; here they are in the hands of nobody, so it is asked for by number.
            #expect(try store.claimFiles().first?.deaths == 0)
            try store.releaseFile(job: job.id, sequence: attempt == 1 ? 1 : 2)
            try store.update(stage: .embedding, job: job.id, sequence: 1)
            let open = try store.recoverJobs(deathLimit: 3)
            #expect(open.map(\.id) == [job.id, lone.id])
        }
        let files = try store.files(of: job.id)
        #expect(files.map(\.stage) == [.indexed, .failed, .queued])
        #expect(files[1].reason?.contains("3 times") == true && files[1].reason?.contains("taken in") == true)
        #expect(try store.claimNextFile()?.source == "/c")
        try store.update(stage: .refused, job: job.id, sequence: 2, reason: "empty")
        #expect(try store.recoverJobs(deathLimit: 3).map(\.id) == [lone.id])
        #expect(try store.job(job.id)?.state == .finished)
        #expect(try store.verify() == [])
    }

    @Test func `files that were together when the program died are suspects, tried last, and none is given up for it`() throws {
        let (store, id) = try open()
        _ = try store.createJob(in: id, files: (0..<5).map { file("/\($0)") })
        while try !store.claimFiles(suspects: false).isEmpty {
            _ = try store.claimFiles()
            _ = try store.recoverJobs(deathLimit: 2)
        }
        let suspects = try (0..<5).map { _ in try #require(try store.claimNextFile()) }
        #expect(suspects.allSatisfy { $0.deaths == 1 } && Set(suspects.map(\.source)).count == 5)
        // An end in order counts nothing.
        for suspect in suspects { try store.releaseFile(job: suspect.job, sequence: suspect.sequence) }
        _ = try store.recoverJobs(deathLimit: 2)
        #expect(try store.claimFiles(suspects: false).isEmpty)
        let again = try #require(try store.claimNextFile())
        #expect(again.deaths == 1 && again.attempts == suspects[0].attempts)
        // Alone and dead again: given up at the limit.
        _ = try store.recoverJobs(deathLimit: 2)
        #expect(try store.files(of: again.job).count { $0.stage == .failed } == 1)
    }

    @Test func `jobs take turns, and of one source the oldest comes first`() throws {
        let (store, id) = try open()
        let bulk = try store.createJob(in: id, files: ["a", "b", "c", "d"].map { file($0, bytes: 1000) })
        let other = try store.createJob(in: id, files: [file("x"), file("c")])
        var order: [String] = []
        var last: JobID?
        while let next = try store.claimFiles(after: last).first {
            order.append(next.source + (next.job == bulk.id ? "1" : "2"))
            last = next.job
            if order.count == 2 { #expect(try store.claimFiles(byteMax: 100).isEmpty, "the newer c does not pass the older") }
        }
        #expect(order == ["a1", "x2", "b1", "c1", "c2", "d1"])
        #expect(other.fileCount == 2)
    }

    @Test func `a file that may not be taken is passed over`() throws {
        let (store, id) = try open()
        _ = try store.createJob(in: id, files: [file("/large", bytes: 1000), file("/small", bytes: 10)])
        #expect(try store.claimFiles(byteMax: 100).map(\.source) == ["/small"])
        #expect(try store.claimFiles(byteMax: 100).isEmpty)
        #expect(try store.claimFiles().map(\.source) == ["/large"])
    }

    @Test func `texts wait in the database, are taken together, and go at their end`() throws {
        let (store, id) = try open()
        func text(_ name: String, _ text: String) -> JobFileDraft {
            JobFileDraft(
                path: "", source: name, mimeType: "text/plain", metadata: ["n": .string(name)], byteCount: text.utf8.count, text: text)
        }
        var refused = text("d", "never read")
        refused.refusal = "twice the same name"
        let job = try store.createJob(
            in: id, files: [text("a", "A\0 ä"), text("b", "B"), text("c", "CCCCCCCC"), refused, file("/f"), text("e", "E")])
        #expect(try job.stages == [.queued: 5, .refused: 1] && store.spooledPaths().isEmpty)
        #expect(try store.count("job_texts") == 4)
        let first = try store.claimFiles(textCount: 10, textBytes: 8)
        #expect(first.map(\.source) == ["a", "b"] && first.map(\.text) == ["A\0 ä", "B"])
        #expect(first.allSatisfy { $0.stage == .parsing && $0.metadata == ["n": .string($0.source)] })
        #expect(try store.claimFiles(textCount: 1).map(\.text) == ["CCCCCCCC"])
        let file = try store.claimFiles(textCount: 10)
        #expect(file.map(\.source) == ["/f"] && file[0].text == nil)
        #expect(try store.claimFiles(textCount: 10).map(\.source) == ["e"])

        try store.put([(draft(id, source: "a"), (job.id, 0)), (draft(id, source: "b"), (job.id, 1))])
        #expect(try store.count("job_texts") == 2)
        try store.update(stage: .failed, job: job.id, sequence: 2, reason: "no model")
        #expect(try store.count("job_texts") == 2, "a failed text can be tried again")
        _ = try store.retryJob(job.id)
        #expect(try store.claimFiles(textCount: 10).map(\.text) == ["CCCCCCCC"])
        _ = try store.cancelJob(job.id)
        #expect(try store.count("job_texts") == 0)
        #expect(try store.files(of: job.id)[3].reason == "twice the same name")
        #expect(try store.verify() == [])
    }

    @Test func `documents stored together are all there or none`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a"), file("/b")])
        try store.update(stage: .refused, job: job.id, sequence: 1)
        #expect(
            failure { try store.put([(draft(id, source: "/a"), (job.id, 0)), (draft(id, source: "/b"), (job.id, 1))]) }
                == .fileEnded(job: job.id, sequence: 1, stage: .refused))
        #expect(try store.counts(of: id).documents == 0 && store.files(of: job.id)[0].stage == .queued)
        let commits = try store.put([
            (draft(id, source: "/a"), (job.id, 0)), (draft(id, source: "/b"), nil), (draft(id, source: "/b"), nil),
        ])
        #expect(commits.map(\.replacedVersion) == [false, false, true] && commits[1].document == commits[2].document)
        #expect(try store.counts(of: id).documents == 2 && store.verify() == [])
    }

    @Test func `any number of callers make one collection`() async throws {
        let store = try folder.open()
        let ids = try await withThrowingTaskGroup(of: CollectionID.self) { group in
            for _ in 0..<8 { group.addTask { try store.findOrCreateCollection(name: "new").id } }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(try ids.count == 1 && store.collections().count == 1)
        #expect(failure { _ = try store.findOrCreateCollection(name: "../x") } == .invalidName("../x"))
    }

    @Test func `old finished jobs are forgotten, open ones never`() throws {
        let (store, id) = try open()
        let done = try store.createJob(in: id, files: [file("/a", spooled: true)])
        let open = try store.createJob(in: id, files: [file("/b", spooled: true)])
        #expect(try store.spooledPaths().count == 2)
        try store.update(stage: .refused, job: done.id, sequence: 0)
        _ = try store.finishJobIfDone(done.id)
        #expect(try store.spooledPaths() == ["/in//b"])
        try store.pruneHistory(.now, now: Date().addingTimeInterval(-60))
        #expect(try store.jobs().count == 2)
        try store.pruneHistory(.now, now: Date().addingTimeInterval(60))
        #expect(try store.jobs().map(\.id) == [open.id])
        #expect(try store.count("job_files") == 1)
    }

    @Test func `a job is an object in JSON, with stages by name`() throws {
        let (store, id) = try open()
        let job = try store.createJob(in: id, files: [file("/a")])
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json(job).utf8)) as? [String: Any])
        #expect(object["stages"] as? [String: Int] == ["queued": 1])
        #expect(try JSONDecoder().decode(JobRecord.self, from: Data(json(job).utf8)) == job)
    }
}

struct UpkeepTests {
    let folder = Folder()

    @Test func `a full disk has its own error, and the same call works once there is space`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let large = draft(id, source: "/large", parts: (0..<2000).map { "part \($0) of a text that needs pages " }, dimension: 64)
        func limit(_ pages: Int) throws {
            try store.pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA max_page_count = \(pages)") }
        }
        try limit(1)  // SQLite takes the present size
        let error = failure { try store.put(large) }
        guard case .diskFull(let path, _)? = error else {
            Issue.record("the error is \(String(describing: error))")
            return
        }
        #expect(path == store.directory && error!.description.contains("full"))
        #expect(try store.counts(of: id).documents == 0 && store.verify() == [])
        try limit(1_000_000)
        try store.put(large)
        #expect(try store.counts(of: id).documents == 1 && store.verify() == [])
    }

    /// Each damage must be told; a check that cannot fail would be worth nothing.
    @Test(arguments: [
        ("UPDATE chunks SET text = 'Alpha bexa. ' WHERE ordinal = 0", "differs from its checksum"),
        ("UPDATE chunks SET text = 'Alpha. ' WHERE ordinal = 0", "differs from the text"),
        ("UPDATE chunks SET lead = 'x' WHERE ordinal = 1", "1 bytes before chunk_3 where 0 belong"),
        ("UPDATE chunks SET span_end = 9999 WHERE ordinal = 1", "outside the text"),
        ("UPDATE chunks SET span_start = -1 WHERE ordinal = 1", "outside the text"),
        ("UPDATE chunks SET ordinal = 5 WHERE ordinal = 1", "has number 5 where 1 follows"),
        ("UPDATE chunks SET collection = 42", "name another collection"),
        ("DELETE FROM document_texts", "has no text"),
        ("DELETE FROM documents", "does not exist"),
        ("DELETE FROM chunks WHERE ordinal = 0", "does not exist"),
        ("DELETE FROM chunks WHERE ordinal = 0", "count of 2"),
        ("UPDATE document_texts SET text = text || 'x'", "bytes of text and a count"),
        ("UPDATE document_texts SET pages = '[[1,0,999]]'", "Page 1"),
        ("UPDATE vectors SET vector = x'0000'", "not the size"),
        ("UPDATE models SET name = 'other'", "another model"),
        ("DELETE FROM attributes", "filter rows"),
        ("UPDATE documents SET metadata = '{\"year\":2025}'", "filter rows"),
        ("UPDATE collections SET document_count = 7", "1 documents and a count of 7"),
        ("UPDATE collections SET largest_chunk = 1", "above its largest number"),
        ("UPDATE collections SET last_deletion = 0", "above its last number"),
        ("INSERT INTO deletions SELECT 1, 99, id FROM chunks LIMIT 1", "still exist"),
        ("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'chunks'", "given out again"),
        ("UPDATE job_stages SET file_count = 9", "counts its indexed files wrongly"),
        ("UPDATE job_files SET document = 'doc_none'", "its document does not exist"),
    ])
    func `verification tells a damage`(sql: String, words: String) throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let job = try store.createJob(in: id, files: [file("/a")])
        try store.put(draft(id, source: "/a", parts: ["old"], metadata: ["year": .number(2024)]))
        try store.put(
            draft(id, source: "/a", metadata: ["year": .number(2024)], pages: [PageSpan(number: 1, span: TextSpan(start: 0, end: 5))]),
            finishing: (job.id, 0))
        #expect(try store.verify() == [])
        try store.damage(sql)
        let flaws = try store.verify()
        #expect(flaws.contains { $0.contains(words) }, "\(flaws)")
        #expect(!flaws.contains { $0.contains("lpha") }, "a flaw quotes the text")
    }

    @Test func `verification tells a damaged page`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for index in 0..<20 { try store.put(draft(id, source: "/\(index)", parts: [String(repeating: "word ", count: 2000)])) }
        try store.compact()
        try store.close()
        let path = folder.path("data/outrider.sqlite")
        var bytes = try #require(FileManager.default.contents(atPath: path))
        let place = try #require(bytes.range(of: Data("word word".utf8), in: (bytes.count / 2)..<bytes.count)).lowerBound
        bytes[place] = UInt8(ascii: "W")
        try bytes.write(to: URL(fileURLWithPath: path))
        #expect(try !folder.open().verify().isEmpty)
    }

    @Test func `every error says what, which and what to do`() {
        let job = JobID(rawValue: "job_1")
        let errors: [(DocumentStoreError, [String])] = [
            (.cannotOpen(path: "/d", reason: "R"), ["/d", "R"]),
            (.newerSchema(path: "/d", got: 3, expected: 1), ["/d", "3", "1", "newer"]),
            (.unknownCollection("c"), ["'c'"]), (.collectionExists("c"), ["'c'"]), (.unknownDocument("doc_1"), ["doc_1"]),
            (.unknownJob("job_1"), ["job_1"]),
            (.invalidName("x y"), ["x y", "64"]), (.invalidFilter("R"), ["R"]), (.invalidDocument(source: "s", reason: "R"), ["'s'", "R"]),
            (.dimensionMismatch(collection: "c", got: 3, expected: 4), ["'c'", "3", "4"]),
            (.modelMismatch(collection: "c", got: "a", expected: "b"), ["'a'", "'b'", "'c'"]),
            (.fileEnded(job: job, sequence: 2, stage: .cancelled), ["2", "job_1", "cancelled"]),
            (.readOnly(path: "/d"), ["/d", "read-only"]),
            (.notEnoughSpace(path: "/d", needed: 5, available: 4), ["/d", "5", "4"]), (.database(operation: "O", reason: "R"), ["O", "R"]),
        ]
        for (error, words) in errors {
            for word in words { #expect(error.description.contains(word), "\(error)") }
        }
    }
}
