import Foundation
import Indexing
import Inference
import Parsing
import Storage
import Synchronization
import TestSupport
import Testing

@testable import Documents
@testable import Ingestion

/// Each step from a row of the queue to a sealed file fails, hangs or is cancelled in turn.
struct IngestionFaultTests {
    enum Step: String, CaseIterable { case parse, chunk, embed, commit }

    /// A service with one document in it, whose steps stop or fail when a text says so.
    private struct Works {
        let time = VirtualTime()
        let intake: Intake
        let stage: Stage
        let gates = StepGates()

        init(_ change: (inout IngestionOptions) -> Void = { _ in }) async throws {
            stage = Stage(time: time, tokenizer: SteppedTokenizer(gates: gates, time: time))
            intake = try Intake(
                embedder: SteppedEmbedder(stage: stage, gates: gates), parser: SteppedParser(stage: stage, gates: gates), time: time
            ) {
                $0.textGroup = 1
                change(&$0)
            }
            try await intake.service.start()
            let job = try await intake.service.submit(IngestRequest(items: [.text(source: "kept", title: nil, text: "Kept words.")]))
            #expect(try await intake.end(of: job).stages == ["indexed": 1])
        }

        /// What a law demands at any moment: what is stored is whole, and it is what these sources say.
        func expect(_ texts: [String: String], verifies: Bool = true, _ comment: Comment) async throws {
            #expect(try intake.texts == Dictionary(uniqueKeysWithValues: texts.map { (ExactText($0.key), $0.value) }), comment)
            let problems = try verifies ? await intake.service.verify().problems : intake.store.verify()
            #expect(problems == [], comment)
            let indexes = try #require(try intake.catalog.indexes(named: "default"))
            let rows = try intake.store.chunkIDs(in: indexes.id).map(\.rawValue)
            #expect(indexes.text.liveRows().map(\.rawValue).sorted() == rows, comment)
            #expect(indexes.vectors?.liveRows().map(\.rawValue).sorted() == rows, comment)
        }
    }

    // MARK: Failing

    /// The fault itself, what it tells, and what takes it away.
    @Test(arguments: Step.allCases)
    func `a step that fails loses nothing, tells why, and a retry brings it home`(step: Step) async throws {
        let works = try await Works { $0.chunkLimit = .seconds(60) }
        let service = works.intake.service
        var text = "Some words."
        var reason = ""
        var end = FileStage.failed
        switch step {
        case .parse:
            text = "This is parser-crashes in the end."
            (end, reason) = (.refused, "stopped unexpectedly")
        case .chunk:
            // Longer than the work between two looks at the clock, which each counted piece moves on.
            text = String(repeating: "This text is slow to cut. ", count: 8000)
            works.gates.slowness.change { $0 = .seconds(50) }
            (end, reason) = (.refused, "took longer than 60 s")
        case .embed:
            text = "This is embedder-fails-once in the end."
            reason = "did not answer"
        case .commit:
            try works.intake.store.execute(
                "CREATE TRIGGER stop BEFORE INSERT ON checksums BEGIN SELECT raise(ABORT, 'the test says so'); END")
            reason = "the test says so"
        }
        let job = try await service.submit(IngestRequest(items: try ["new", "kept"].map { try works.intake.upload($0, text) }))
        let status = try await works.intake.end(of: job)
        #expect(status.state == .finished && status.files.count == 2)
        // The text that fails once does so for each of the two.
        for file in status.files { #expect(file.outcome == end && file.reason?.contains(reason) == true, "\(file)") }
        try await works.expect(["kept": "Kept words."], "\(step) failed")
        if step == .parse { #expect(works.stage.count(of: .parserCrashes) == 4, "two tries for each file") }

        works.gates.slowness.change { $0 = .zero }
        if step == .commit { try works.intake.store.execute("DROP TRIGGER stop") }
        guard end == .failed else {
            // A refusal is final for these bytes: a retry has nothing to do, and is no error.
            #expect(try await service.retry(job).stages == [end.rawValue: 2])
            #expect(works.intake.spooled == [])
            await service.stop()
            return
        }
        #expect(works.intake.spooled.count == 2, "what failed can be tried again")
        _ = try await service.retry(job)
        let again = try await works.intake.end(of: job)
        #expect(again.stages == ["indexed": 2] && again.state == .finished, "\(again)")
        try await works.expect(["kept": text, "new": text], "\(step) retried")
        #expect(works.intake.spooled == [])
        await service.stop()
    }

    @Test func `on a full disk everything waits, tells so, and goes on by itself`() async throws {
        let works = try await Works()
        let service = works.intake.service
        let store = works.intake.store
        func limit(_ pages: Int) throws {
            try store.execute("PRAGMA max_page_count = \(pages)")
        }
        let text = String(repeating: "A text that needs many pages. ", count: 9000)
        works.gates.close(.embed)
        let job = try await service.submit(IngestRequest(items: try ["new", "kept"].map { try works.intake.upload($0, text) }))
        let events = try await service.events(of: job)
        try await works.gates.reached(.embed)
        try limit(1)  // SQLite takes the present size
        works.gates.open()
        let begun = works.time.now
        try await eventually("it is told that the disk is full") { await service.obstacle() != nil }
        #expect(await service.obstacle() == "disk full, waiting for space")
        let waiting = try await service.status(of: job)
        #expect(waiting.waiting == "disk full, waiting for space" && waiting.etaSeconds == nil && waiting.isOpen, "\(waiting)")
        // A minute on, it is no other.
        for _ in 0..<300 {
            works.time.advance(by: .milliseconds(200))
            await Task.yield()
        }
        #expect(try await service.status(of: job).isOpen && works.time.now - begun >= .seconds(60))
        #expect(try works.intake.texts[ExactText("kept")] == "Kept words.")
        try limit(1_000_000)
        let end = try await withRunningClock(works.time) { try await works.intake.end(of: job) }
        #expect(end.stages == ["indexed": 2])
        #expect(await service.obstacle() == nil)
        var told = false
        for await event in events {
            if case .progress(let status) = event, status.waiting != nil { told = true }
        }
        #expect(told, "the job's events tell it")
        try await works.expect(["kept": text, "new": text], "after the disk was full")
        await service.stop()
    }

    @Test func `a service that stops on a full disk leaves its work to the next start`() async throws {
        let works = try await Works()
        let text = String(repeating: "A text that needs many pages. ", count: 9000)
        works.gates.close(.embed)
        let job = try await works.intake.service.submit(IngestRequest(items: [try works.intake.upload("new", text)]))
        try await works.gates.reached(.embed)
        try works.intake.store.execute("PRAGMA max_page_count = 1")
        works.gates.open()
        try await eventually("it waits") { await works.intake.service.obstacle() != nil }
        try await withRunningClock(works.time) { await works.intake.service.stop(grace: .seconds(3)) }
        let file = try #require(try works.intake.store.files(of: job).first)
        #expect(file.stage == .queued && file.deaths == 0 && works.intake.spooled.count == 1)
        try works.intake.store.close()
        let next = try Intake(embedder: works.stage, parser: works.stage, time: works.time, in: works.intake.folder)
        try await next.service.start()
        try await next.rest()
        #expect(try next.texts == [ExactText("kept"): "Kept words.", ExactText("new"): text] && next.spooled == [])
        await next.service.stop()
    }

    /// Each operation on the file system fails in turn, until a seal gets through.
    @Test func `a seal that fails at any step leaves everything searchable, and the next one brings it home`() async throws {
        let works = try await Works()
        await works.intake.service.stop()
        let catalog = works.intake.catalog
        var failures = 0
        for failing in 0... {
            let steps = Mutex(0)
            do {
                try StorageProbe.$observer.withValue(
                    { step in
                        let number = steps.withLock { count in
                            count += 1
                            return count - 1
                        }
                        return number == failing ? .system(path: step.path, operation: "write", errno: ENOSPC) : nil
                    }, operation: { try catalog.sealAll() })
                break
            } catch let error as IndexingError {
                failures += 1
                #expect(error.fullDisk?.description.contains(works.intake.path) == true, "\(error)")
            }
            // A manifest whose last sync failed is on the disk and not in memory, which a proof tells until the next seal.
            try await works.expect(["kept": "Kept words."], verifies: false, "step \(failing) of the seal failed")
        }
        #expect(failures >= 8, "only \(failures) steps")
        try await works.expect(["kept": "Kept words."], "sealed")
        try works.intake.store.close()
        let next = try Intake(embedder: works.stage, parser: works.stage, in: works.intake.folder)
        let indexes = try #require(try next.catalog.indexes(named: "default"))
        #expect(indexes.repairs == [] && indexes.text.search("kept", k: 5).count == 1 && indexes.vectors?.count == 1)
        #expect(try indexes.verify().problems == [])
    }

    // MARK: Cancelling

    @Test(arguments: Step.allCases, [false, true])
    func `a file that is cancelled at a step is not stored, not even by half, and its source is free`(
        step: Step, replaces: Bool
    ) async throws {
        let works = try await Works()
        let service = works.intake.service
        let source = replaces ? "kept" : "new"
        let text = step == .chunk ? String(repeating: "Words to cut. ", count: 12_000) : "Words to cancel."
        // A commit is held by whoever holds the writer, which a submission needs too.
        works.gates.close(step == .commit ? .embed : step)
        let job = try await service.submit(IngestRequest(items: [try works.intake.upload(source, text)]))
        try await works.gates.reached(step == .commit ? .embed : step)
        var writer: HeldWriter?
        if step == .commit {
            writer = try await HeldWriter(works.intake.store)
            works.gates.open()
            try await eventually("it is about to be stored") { try await service.status(of: job).working.first?.stage == .committing }
        }
        async let cancelled = service.cancel(job)
        try await writer?.release()
        let status = try await cancelled
        works.gates.open()
        #expect(!status.isOpen && status.working.isEmpty)
        try await works.intake.rest()
        let file = try #require(try works.intake.store.files(of: job).first)
        var expected = ["kept": "Kept words."]
        if file.stage == .indexed {
            #expect(step == .commit, "only the commit can come before")
            expected[source] = text
        } else {
            #expect(file.stage == .cancelled && status.state == .cancelled, "\(file)")
        }
        try await works.expect(expected, "cancelled at \(step)")
        #expect(works.intake.spooled == [])
        // The source is free for another.
        let next = try await service.submit(IngestRequest(items: [try works.intake.upload(source, "Next words.")]))
        #expect(try await works.intake.end(of: next).stages == ["indexed": 1])
        expected[source] = "Next words."
        try await works.expect(expected, "after the one that was cancelled at \(step)")
        await service.stop()
    }
}

extension DocumentStore {
    /// Runs SQL on the connection that writes.
    fileprivate func execute(_ sql: String) throws { try pool.writeWithoutTransaction { try $0.execute(sql: sql) } }
}

/// Holds the one writer of a store: whoever wants to write waits.
private struct HeldWriter {
    private let letsGo = DispatchSemaphore(value: 0)
    private let holding: Task<Void, any Error>

    init(_ store: DocumentStore) async throws {
        let holds = Gate()
        let letsGo = letsGo
        holding = Task {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                Thread.detachNewThread {
                    continuation.resume(
                        with: Result {
                            try store.pool.write { _ in
                                holds.open()
                                letsGo.wait()
                            }
                        })
                }
            }
        }
        try await holds.pass()
    }

    func release() async throws {
        letsGo.signal()
        try await holding.value
    }
}

/// Gates before a file is parsed, cut and embedded; all are open at first.
private final class StepGates: Sendable {
    /// How much later it is after each piece of text that is counted.
    let slowness = Shared(Duration.zero)
    private let gates: Shared<[IngestionFaultTests.Step: Gate]> = Shared([:])
    private let cutting = NSCondition()

    func close(_ step: IngestionFaultTests.Step) { gates.change { $0[step] = Gate() } }

    func open() {
        let gates = gates.value
        cutting.lock()
        self.gates.change { $0 = [:] }
        cutting.broadcast()
        cutting.unlock()
        for gate in gates.values { gate.open() }
    }

    /// Waits until somebody stands before a gate.
    func reached(_ step: IngestionFaultTests.Step) async throws {
        let gate = try #require(gates.value[step])
        try await eventually("\(step) is reached") { gate.comers > 0 }
    }

    func pass(_ step: IngestionFaultTests.Step) async throws { try await gates.value[step]?.pass() }

    /// As above, for whoever blocks a thread.
    func passCutting() {
        guard let gate = gates.value[.chunk] else { return }
        Task { try await gate.pass() }  // so that it is counted
        cutting.lock()
        while gates.value[.chunk] != nil { cutting.wait() }
        cutting.unlock()
    }
}

private struct SteppedParser: FileParsing {
    let stage: Stage
    let gates: StepGates
    func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument {
        do { try await gates.pass(.parse) } catch { throw .unavailable("parsing was cancelled") }
        return try await stage.parse(path: path, name: name, mimeType: mimeType)
    }
    func shutdown() async {}
}

private struct SteppedEmbedder: Embedder {
    let stage: Stage
    let gates: StepGates
    var model: EmbeddingModel { stage.model }
    var tokenizer: any Tokenizer { stage.tokenizer }
    func embed(_ texts: [String], for purpose: EmbeddingPurpose) async throws -> [Float] {
        try await gates.pass(.embed)
        return try await stage.embed(texts, for: purpose)
    }
}

private struct SteppedTokenizer: Tokenizer {
    let gates: StepGates
    let time: VirtualTime
    func count(_ text: String) -> Int {
        gates.passCutting()
        let slowness = gates.slowness.value
        if slowness > .zero { time.advance(by: slowness) }
        return WordTokenizer().count(text)
    }
    func prefixLength(_ text: String, limit: Int) -> Int { WordTokenizer().prefixLength(text, limit: limit) }
}
