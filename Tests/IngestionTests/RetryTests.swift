import Documents
import Foundation
import Indexing
import Inference
import Parsing
import TestSupport
import Testing

@testable import Ingestion

/// Two jobs on one source, and second tries.
struct RetryTests {
    @Test func `a cancelled job is taken up again as far as its files are still there, and told when they are not`() async throws {
        let gate = Gate()
        let stage = Stage(time: VirtualTime())
        let intake = try Intake(embedder: Gated(stage, gate), parser: stage) { $0.concurrency = 1 }
        try await intake.service.start()
        let first = try intake.write("in/a.txt", "Words of a.")
        let second = try intake.write("in/b.txt", "Words of b.")
        func text(_ source: String) -> IngestItem { .text(source: source, title: nil, text: "A text.") }
        let mixed = try await intake.service.submit(
            IngestRequest(items: [.path(first), .path(second), text("t"), try intake.upload("u", "An upload.")]))
        let given = try await intake.service.submit(IngestRequest(items: [text("v"), try intake.upload("w", "Another upload.")]))
        while gate.comers == 0 { await Task.yield() }
        for job in [mixed, given] { _ = try await intake.service.cancel(job) }
        #expect(intake.spooled == [], "what is cancelled takes no room")
        gate.open()

        let retried = try await intake.service.retry(mixed)
        #expect(retried.isOpen || retried.stages["indexed"] == 2, "\(retried)")
        let end = try await intake.end(of: mixed)
        #expect(end.state == .finished && end.stages == ["indexed": 2, "cancelled": 2], "\(end)")
        #expect(try intake.sources == [first, second])
        // Nothing of the other can be tried again.
        let error = await #expect(throws: IngestionError.self) { try await intake.service.retry(given) }
        guard case .nothingToRetry(given.rawValue, 2)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect("\(error!)".contains("send them again"))
        #expect(try await intake.service.status(of: given).state == .cancelled)
        // What is left of the first can not either; a job without failures has nothing to do, which is no error.
        await #expect(throws: IngestionError.self) { try await intake.service.retry(mixed) }
        let done = try await intake.service.submit(IngestRequest(items: [text("x")]))
        _ = try await intake.end(of: done)
        #expect(try await intake.service.retry(done).stages == ["indexed": 1])
        try await intake.rest()
        #expect(try await intake.service.verify().problems == [])
        await intake.service.stop()
    }

    /// The work that was cancelled ends after the retry has come: what it says is not the second try's end.
    @Test func `a retry right after a cancellation waits for the work that was cancelled`() async throws {
        for round in 0..<20 {
            let time = VirtualTime()
            let stage = Stage(time: time)
            let intake = try Intake(embedder: stage, parser: Stubborn(stage: stage, time: time), time: time) { $0.concurrency = 2 }
            try await intake.service.start()
            let path = try intake.write("in/a.txt", "Words of a.")
            let job = try await intake.service.submit(IngestRequest(items: [.path(path)]))
            while time.hangingCount == 0 { await Task.yield() }
            _ = try await intake.service.cancel(job)
            async let retried = intake.service.retry(job)
            for _ in 0..<round { await Task.yield() }
            // From now on it is quick.
            time.release()
            _ = try await retried
            let end = try await intake.end(of: job)
            #expect(end.state == .finished && end.stages == ["indexed": 1], "round \(round): \(end)")
            try await intake.rest()
            #expect(try intake.sources == [path])
            await intake.service.stop()
        }
    }

    /// Does not notice that it is cancelled: its first file hangs until it is released.
    private final class Stubborn: FileParsing {
        let stage: Stage
        let time: VirtualTime
        private let first = Shared(true)
        init(stage: Stage, time: VirtualTime) {
            self.stage = stage
            self.time = time
        }
        func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument {
            let hangs = first.value
            first.change { $0 = false }
            if hangs { await time.hang() }
            return try await stage.parse(path: path, name: name, mimeType: mimeType)
        }
        func shutdown() async {}
    }

    @Test func `a retry while the job's other files are on their way keeps count of all of them`() async throws {
        let gate = Gate()
        let stage = Stage(time: VirtualTime())
        let intake = try Intake(embedder: Gated(stage, gate, passing: "once"), parser: stage) {
            $0.textGroup = 1
            $0.concurrency = 2
        }
        try await intake.service.start()
        let items = [("a", "This is embedder-fails-once in the end."), ("b", "Words of b."), ("c", "Words of c.")]
        let job = try await intake.service.submit(IngestRequest(items: items.map { .text(source: $0.0, title: nil, text: $0.1) }))
        let events = try await intake.service.events(of: job)
        try await eventually("it fails") { try await intake.service.status(of: job).stages["failed"] == 1 }
        while gate.comers < 2 { await Task.yield() }
        let status = try await intake.service.retry(job)
        #expect(status.stages.values.reduce(0, +) == 3 && status.finishedCount == 0 && status.stages["failed"] == nil, "\(status)")
        #expect(status.working.contains { $0.path == "b" }, "\(status)")
        gate.open()
        let end = try #require(await Intake.summary(of: events))
        #expect(end.state == .finished && end.stages == ["indexed": 3] && end.progress == 1, "\(end)")
        try await intake.rest()
        await intake.service.stop()
    }

    // MARK: Two jobs on one source

    @Test func `of several jobs on one source the latest wins, however slow the older ones are`() async throws {
        let stage = Stage(time: VirtualTime())
        let gate = Gate()
        let intake = try Intake(embedder: stage, parser: Held(stage: stage, gate: gate)) { $0.concurrency = 5 }
        try await intake.service.start()
        var jobs: [JobID] = []
        for text in ["The older words.", "Words between them.", "The later words."] {
            jobs.append(try await intake.service.submit(IngestRequest(items: [try intake.upload("s", text)])))
        }
        let other = try await intake.service.submit(IngestRequest(items: [try intake.upload("t", "Words of another.")]))
        while gate.comers == 0 { await Task.yield() }
        // Another source passes; what came later waits for the older one.
        #expect(try await intake.end(of: other).stages == ["indexed": 1])
        #expect(try intake.sources == ["t"])
        #expect(try await intake.service.status(of: jobs[2]).working.isEmpty)
        gate.open()
        for job in jobs { #expect(try await intake.end(of: job).stages == ["indexed": 1]) }
        #expect(try intake.texts == [ExactText("s"): "The later words.", ExactText("t"): "Words of another."])
        #expect(try intake.documents.first { $0.source == "s" }?.version == 3)
        #expect(try await intake.service.verify().problems == [])
        await intake.service.stop()
    }

    /// Holds older texts until the gate is open.
    private struct Held: FileParsing {
        let stage: Stage
        let gate: Gate
        func parse(path: String, name: String, mimeType: String?) async throws(Refusal) -> ParsedDocument {
            let document = try await stage.parse(path: path, name: name, mimeType: mimeType)
            if document.text.contains("older") {
                do { try await gate.pass() } catch { throw .unavailable("parsing was cancelled") }
            }
            return document
        }
        func shutdown() async {}
    }

    /// A parser that crashes puts the file back into the queue, behind the one that was submitted later.
    @Test func `an older upload that needs a second try does not replace the later one`() async throws {
        let gate = Gate()
        let stage = Stage(time: VirtualTime())
        let intake = try Intake(embedder: Gated(stage, gate), parser: stage) { $0.concurrency = 4 }
        try await intake.service.start()
        gate.open()
        let older = try await intake.service.submit(
            IngestRequest(items: [try intake.upload("s", "The older is parser-crashes-once in the end.")]))
        let later = try await intake.service.submit(IngestRequest(items: [try intake.upload("s", "The later words.")]))
        _ = try await intake.end(of: later)
        let end = try await intake.end(of: older)
        // Unless it had its second try before the later one came.
        #expect(end.stages == ["refused": 1] || end.stages == ["indexed": 1], "\(end)")
        let reason = end.files[0].reason
        if end.files[0].outcome == .refused {
            #expect(reason?.contains("submitted later") == true && reason?.contains(later.rawValue) == true, "\(end)")
        } else {
            #expect(reason == nil, "what went wrong with the first try is over")
        }
        try await intake.rest()
        #expect(try intake.texts == [ExactText("s"): "The later words."] && intake.spooled == [])
        await intake.service.stop()
    }

    @Test func `a retry of an older job replaces nothing that a later one brought, but a file is read as it is now`() async throws {
        let stage = Stage(time: VirtualTime())
        let intake = try Intake(embedder: stage, parser: stage) { $0.textGroup = 1 }
        try await intake.service.start()
        let path = try intake.write("in/a.txt", "The file is embedder-fails-once in the end.")
        let older = try await intake.service.submit(
            IngestRequest(items: [
                .path(path), .text(source: "t", title: nil, text: "The text is embedder-fails-once in the end."),
                try intake.upload("u", "The upload is embedder-fails-once in the end."),
            ]))
        #expect(try await intake.end(of: older).stages == ["failed": 3])
        _ = try intake.write("in/a.txt", "The file as it was later.")
        let later = try await intake.service.submit(
            IngestRequest(items: [
                .path(path), .text(source: "t", title: nil, text: "A later text."), try intake.upload("u", "A later upload."),
            ]))
        #expect(try await intake.end(of: later).stages == ["indexed": 3])
        _ = try intake.write("in/a.txt", "The file as it is now.")
        _ = try await intake.service.retry(older)
        let end = try await intake.end(of: older)
        #expect(end.stages == ["indexed": 1, "refused": 2], "\(end)")
        for file in end.files where file.outcome == .refused { #expect(file.reason?.contains(later.rawValue) == true, "\(file)") }
        #expect(
            try intake.texts == [
                ExactText(path): "The file as it is now.", ExactText("t"): "A later text.", ExactText("u"): "A later upload.",
            ])
        #expect(intake.spooled == [])
        try await intake.rest()
        await intake.service.stop()
    }
}
