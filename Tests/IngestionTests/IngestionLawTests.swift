import Documents
import Foundation
import Indexing
import Inference
import Parsing
import TestSupport
import Testing

@testable import Ingestion

/// The law of ingestion: the document of a source is the text of the latest submission that was taken in, once, and everything else agrees with that.
///
/// Random sequences of everything that a client can do, not waiting for each other, beside a plain model of what was asked. What of it a cancellation or a stop
/// came before is read from the jobs' rows, since nobody can know it; that the rows say what may be said, and that documents, indexes, counts, events and the
/// spool folder agree with them, is checked whenever the service rests.
struct IngestionLawTests {
    @Test func `whatever is submitted, cancelled, retried, deleted and restarted, each source is there once, with its last text`()
        async throws
    {
        try await RandomRuns.forEachSeed(6) { seed in
            var run = try Run(seed: seed)
            try await run.play(steps: 45)
        }
    }
}

private struct Run {
    private struct File {
        var source: String
        var text: String
        var fate: Fate
        /// Another submission gave the same source the same text before.
        var isRepeated: Bool
        var isUpload: Bool
        /// Retries that found it failed.
        var retries = 0
        /// Not at its end when its job was cancelled.
        var mayBeCancelled = false
        /// The program ended while it was on its way, so it may have met its fate unseen.
        var wasInterrupted = false
        /// At its end when its document was deleted.
        var isForgotten = false
    }
    private struct Job {
        var id: JobID
        var files: [File]
        var isCancelled = false
        var wasRetried = false
        /// What its events said until its end; nil once the service was stopped.
        var events: Task<[IngestEvent], Never>?
    }

    let seed: UInt64
    private var generator: SeededGenerator
    private let time = VirtualTime()
    private let stage: Stage
    private let change: @Sendable (inout IngestionOptions) -> Void
    private let isGrouped: Bool
    private var intake: Intake
    private var jobs: [Job] = []
    private var number = 0
    private var log: [String] = []

    init(seed: UInt64) throws {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        stage = Stage(time: time)
        // In a group the model reads all texts in one call, so that all of them share a text's fate: then nothing happens to any.
        isGrouped = seed % 3 == 0
        let concurrency = Int.random(in: 1...4, using: &generator)
        let textGroup = isGrouped ? 64 : 1
        change = { options in
            options.concurrency = concurrency
            options.textGroup = textGroup
        }
        intake = try Intake(embedder: stage, parser: stage, time: time, change)
    }

    private var what: String { "seed \(seed), after \(log.suffix(14).joined(separator: ", "))" }

    mutating func play(steps: Int) async throws {
        let running = Task { [time] in await time.hang(noticing: true) }
        defer { running.cancel() }
        try await intake.service.start()
        for _ in 0..<steps {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0...9: try await submit()
            case 10...11: try await cancel()
            case 12...13: try await retry()
            case 14: try await delete()
            case 15...16: try await restart()
            case 17: try await settle()
            default: await Task.yield()
            }
        }
        try await settle()
        try await restart()
        try await settle()
        // What failed once comes home.
        for index in jobs.indices { try await retry(index) }
        try await settle()
        await intake.service.stop()
        #expect(try intake.store.verify() == [], "\(what)")
    }

    // MARK: What a client does

    private func pick<Value>(_ values: [Value], _ generator: inout SeededGenerator) -> Value { values.randomElement(using: &generator)! }

    private mutating func submit() async throws {
        var files: [File] = []
        var items: [IngestItem] = []
        for source in (0..<6).shuffled(using: &generator).prefix(Int.random(in: 1...4, using: &generator)) {
            let isUpload = Int.random(in: 0..<3, using: &generator) == 0
            let earlier = jobs.flatMap(\.files).last { $0.source == "s\(source)" && $0.fate == .good }
            var file: File
            if let earlier, Int.random(in: 0..<4, using: &generator) == 0 {
                file = File(source: earlier.source, text: earlier.text, fate: .good, isRepeated: true, isUpload: isUpload)
            } else {
                number += 1
                var fate = Bool.random(using: &generator) ? Fate.good : pick(Fate.allCases, &generator)
                if fate.isParsers && !isUpload || isGrouped && !isUpload { fate = .good }
                file = File(
                    source: "s\(source)", text: "Number \(number) is \(fate.rawValue) in the end.", fate: fate, isRepeated: false,
                    isUpload: isUpload)
            }
            files.append(file)
            items.append(
                isUpload
                    ? try intake.upload(file.source, file.text) : .text(source: file.source, title: nil, text: file.text))
        }
        let id = try await intake.service.submit(IngestRequest(items: items))
        let events = try await intake.service.events(of: id)
        let heard = Task {
            var all: [IngestEvent] = []
            for await event in events { all.append(event) }
            return all
        }
        jobs.append(Job(id: id, files: files, events: heard))
        log.append("submit \(files.map { "\($0.source) \($0.fate)\($0.isUpload ? " as upload" : "")" }.joined(separator: " and "))")
    }

    private mutating func cancel() async throws {
        guard let index = jobs.indices.randomElement(using: &generator) else { return }
        try await cancel(index)
    }

    private mutating func cancel(_ index: Int) async throws {
        log.append("cancel job \(index)")
        let before = try intake.store.files(of: jobs[index].id)
        let status = try await intake.service.cancel(jobs[index].id)
        #expect(!status.isOpen && status.finishedCount == status.fileCount && status.working.isEmpty, "\(what): \(status)")
        jobs[index].isCancelled = status.state == .cancelled
        let after = try intake.store.files(of: jobs[index].id)
        for (number, file) in before.enumerated() {
            if file.stage.isTerminal {
                #expect(after[number].stage == file.stage, "\(what): what has ended stays")
            } else {
                jobs[index].files[number].mayBeCancelled = true
            }
        }
    }

    private mutating func retry() async throws {
        guard let index = jobs.indices.randomElement(using: &generator) else { return }
        try await retry(index)
    }

    private mutating func retry(_ index: Int) async throws {
        log.append("retry job \(index)")
        let before = try intake.store.files(of: jobs[index].id)
        let failed = before.indices.filter { before[$0].stage == .failed && before[$0].source != "" }
        for number in failed { jobs[index].files[number].retries += 1 }
        // One that fails between the look and the retry is retried too.
        for number in before.indices where !before[number].stage.isTerminal { jobs[index].files[number].wasInterrupted = true }
        jobs[index].wasRetried = true
        do {
            _ = try await intake.service.retry(jobs[index].id)
            if !failed.isEmpty { jobs[index].isCancelled = false }
        } catch IngestionError.nothingToRetry {
            #expect(failed.isEmpty, "\(what)")
            #expect(before.contains { [.failed, .cancelled].contains($0.stage) } || before.contains { !$0.stage.isTerminal }, "\(what)")
        }
    }

    private mutating func delete() async throws {
        try await settle()
        let source = "s\(Int.random(in: 0..<6, using: &generator))"
        log.append("delete \(source)")
        guard try intake.catalog.indexes(named: "default") != nil else { return }
        let wasStored = try intake.texts[ExactText(source)] != nil
        #expect(try await intake.service.delete(.sources([source])).documents.count == (wasStored ? 1 : 0), "\(what)")
        for job in jobs.indices {
            for file in jobs[job].files.indices where jobs[job].files[file].source == source { jobs[job].files[file].isForgotten = true }
        }
        try check()
    }

    private mutating func restart() async throws {
        log.append("restart")
        await intake.service.stop(grace: Bool.random(using: &generator) ? .zero : .seconds(5))
        for job in jobs.indices {
            jobs[job].events = nil
            for (number, row) in try intake.store.files(of: jobs[job].id).enumerated() where !row.stage.isTerminal {
                #expect(row.stage == .queued && row.deaths == 0, "\(what): an end in order leaves \(row)")
                jobs[job].files[number].wasInterrupted = true
            }
        }
        if Bool.random(using: &generator) { intake.catalog.sealBeforeClosing() }
        try intake.store.close()
        intake = try Intake(embedder: stage, parser: stage, time: time, in: intake.folder, change)
        try await intake.service.start()
    }

    // MARK: What must be so

    /// Cancels what would never end, waits for the rest, and checks everything.
    private mutating func settle() async throws {
        for index in jobs.indices where jobs[index].files.contains(where: \.fate.isEndless) {
            if try intake.store.job(jobs[index].id)?.isOpen == true { try await cancel(index) }
        }
        do { try await intake.rest() } catch {
            Issue.record("\(error); \(what)")
            throw error
        }
        log.append("rest")
        try check()
        for index in jobs.indices {
            guard let events = jobs[index].events else { continue }
            jobs[index].events = nil
            if !jobs[index].wasRetried { try check(await events.value, of: jobs[index]) }
        }
        let problems = try await intake.service.verify().problems
        #expect(problems == [], "\(what)")
        let (held, sources) = await (intake.service.budget.used, intake.service.sources.count)
        #expect(held == 0 && sources == 0, "\(what): \(held) bytes and \(sources) sources are held")
    }

    private func check() throws {
        var expected: [ExactText: String] = [:]
        for (index, job) in jobs.enumerated() {
            let rows = try intake.store.files(of: job.id)
            #expect(rows.count == job.files.count, "\(what)")
            for (row, file) in zip(rows, job.files) {
                #expect(row.stage.isTerminal && row.deaths == 0, "\(what): job \(index), \(row)")
                #expect(row.source == (file.isForgotten ? "" : file.source), "\(what): job \(index), \(row)")
                let isTaken = row.stage == .indexed || row.stage == .unchanged
                let hasLater = jobs[(index + 1)...].contains { $0.files.contains { $0.source == file.source } }
                #expect(
                    Self.ends(of: file, hasLater: hasLater).contains(row.stage),
                    "\(what): job \(index), \(file) ended as \(row.stage): \(row.reason ?? "")")
                if row.stage == .refused || row.stage == .failed { #expect(row.reason?.isEmpty == false, "\(what): no reason is told") }
                if row.stage == .indexed, !file.isForgotten { #expect(row.reason == nil, "\(what): \(row) tells of an earlier try") }
                if isTaken, !file.isForgotten { expected[ExactText(file.source)] = file.text }
            }
            // The job tells what its files are.
            let record = try #require(try intake.store.job(job.id))
            #expect(record.stages == Dictionary(grouping: rows, by: \.stage).mapValues(\.count), "\(what)")
            #expect(record.finishedByteCount == record.byteCount, "\(what)")
            #expect(record.state == (job.isCancelled ? .cancelled : .finished) || job.wasRetried && !record.isOpen, "\(what): \(record)")
        }
        #expect(try intake.texts == expected, "\(what)")
        if let indexes = try intake.catalog.indexes(named: "default") {
            #expect(indexes.text.count == expected.count && indexes.vectors?.count ?? 0 == expected.count, "\(what)")
            for (_, text) in expected {
                let number = String(text.split(separator: " ")[1])
                #expect(indexes.text.search(number, k: 5).count == 1, "\(what): \(text)")
            }
        }
        // What is in the spool folder is what a failed file needs for its retry.
        let needed = try intake.store.spooledPaths().map { String($0.dropFirst(intake.path.count + "/spool/".count)) }
        #expect(intake.spooled == needed, "\(what)")
    }

    /// The ends that a file may have come to.
    ///
    /// - Parameter hasLater: Whether its source was submitted again: an older version that is tried again does not replace the later one.
    private static func ends(of file: File, hasLater: Bool) -> Set<FileStage> {
        var ends: Set<FileStage>
        switch file.fate {
        case .good, .embedderIsBusy: ends = file.isRepeated ? [.indexed, .unchanged] : [.indexed]
        case .parserRefuses, .parserCrashes: ends = [.refused]
        case .parserCrashesOnce: ends = hasLater ? [.indexed, .refused] : [.indexed]
        case .parserHangs, .embedderHangs: ends = []
        case .embedderFails: ends = [.failed]
        case .embedderFailsOnce: ends = file.retries == 0 ? [.failed] : hasLater ? [.indexed, .refused] : [.indexed]
        }
        if file.wasInterrupted {
            // It may have met its fate before, and comes anew.
            if file.fate == .embedderFailsOnce { ends.formUnion([.failed, .indexed]) }
            if file.fate == .embedderFailsOnce, hasLater { ends.insert(.refused) }
        }
        if file.mayBeCancelled { ends.insert(.cancelled) }
        return ends
    }

    private func check(_ events: [IngestEvent], of job: Job) throws {
        guard case .progress(let first)? = events.first, case .summary(let last, let chunks, _)? = events.last else {
            Issue.record("\(what): the events begin with \(String(describing: events.first)), end with \(String(describing: events.last))")
            return
        }
        var told: [String: FileStage] = [:]
        var finished = 0
        for event in events {
            switch event {
            case .file(let outcome):
                #expect(told.updateValue(outcome.outcome, forKey: outcome.path) == nil, "\(what): '\(outcome.path)' ends twice")
            case .progress(let status):
                #expect((finished...job.files.count).contains(status.finishedCount), "\(what): \(status)")
                #expect(status.stages.values.reduce(0, +) == job.files.count, "\(what): \(status)")
                finished = status.finishedCount
            case .summary: break
            }
        }
        let rows = try intake.store.files(of: job.id)
        #expect(!last.isOpen && last.stages == Dictionary(grouping: rows, by: \.stage.rawValue).mapValues(\.count), "\(what)")
        for (row, file) in zip(rows, job.files) where told[file.source] != nil { #expect(told[file.source] == row.stage, "\(what)") }
        guard !job.isCancelled else { return }
        // What had ended before somebody listened is told by the first event.
        #expect(told.count == rows.count - first.finishedCount, "\(what)")
        let stored = rows.reduce(0) { $0 + ($1.stage == .indexed ? $1.chunkCount : 0) }
        #expect(chunks == stored, "\(what): \(chunks) chunks")
    }
}
