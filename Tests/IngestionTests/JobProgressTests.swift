import Documents
import Foundation
import TestSupport
import Testing

@testable import Ingestion

struct JobProgressTests {
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
            let outcome = FileOutcome(path: "f", outcome: .indexed, reason: nil, documentID: nil, chunks: 1)
            let isCounted = progress.ended(sequence, outcome, bytes: bytes)
            #expect(isCounted)
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

    /// Beside a list of files with their stages. Time is a number that goes on as it likes: what is told of it is exact.
    @Test func `random events give the numbers that counting the files gives`() {
        RandomRuns.forEachSeed(40) { seed in
            var generator = SeededGenerator(seed: seed)
            let sizes = (0..<Int.random(in: 1...60, using: &generator)).map { _ in Int.random(in: 0...5000, using: &generator) }
            // Some were at their end before this process took the job up.
            let before = Int.random(in: 0...(sizes.count / 3), using: &generator)
            var stages = sizes.indices.map { $0 < before ? FileStage.indexed : .queued }
            var since = [ContinuousClock.Instant?](repeating: nil, count: sizes.count)
            let bytes = sizes.reduce(0, +)
            let start = ContinuousClock.now
            var now = start
            let bytesBefore = sizes[..<before].reduce(0, +)
            var progress = JobProgress(
                JobRecord(
                    id: JobID(rawValue: "job_1"), collection: CollectionID(rawValue: 1), state: .running, createdAt: Date(),
                    updatedAt: Date(), fileCount: sizes.count, stages: [.indexed: before, .queued: sizes.count - before].filter { $1 > 0 },
                    byteCount: bytes, finishedByteCount: bytesBefore), collection: "c", now: start)
            let ends: [FileStage] = [.indexed, .unchanged, .refused, .failed]
            for _ in 0..<200 {
                // Never at half a tenth, where a rounding may go either way.
                now += .milliseconds(20 * Int.random(in: 0...35, using: &generator))
                let file = Int.random(in: before..<max(before + 1, sizes.count), using: &generator)
                guard file < sizes.count else { break }
                switch (stages[file], Int.random(in: 0..<8, using: &generator)) {
                case (.queued, _):
                    progress.claimed(file, source: "f\(file)", now: now)
                    stages[file] = .parsing
                    since[file] = now
                case (let stage, 0) where !stage.isTerminal:
                    progress.requeued(file)
                    stages[file] = .queued
                case (let stage, 1...4) where !stage.isTerminal:
                    let next: [FileStage] = [.chunking, .embedding, .committing]
                    stages[file] = next.randomElement(using: &generator)!
                    progress.moved(file, to: stages[file])
                case (let stage, _) where !stage.isTerminal:
                    stages[file] = ends.randomElement(using: &generator)!
                    let outcome = FileOutcome(path: "f\(file)", outcome: stages[file], reason: nil, documentID: nil, chunks: 1)
                    let isCounted = progress.ended(file, outcome, bytes: sizes[file])
                    let isCountedTwice = progress.ended(file, outcome, bytes: sizes[file])
                    #expect(isCounted && !isCountedTwice, "seed \(seed): it ends once")
                case (.failed, 0...1):
                    progress.retried([.failed: 1], bytes: sizes[file])
                    stages[file] = .queued
                default: break
                }
                check(progress.status(now: now), stages, sizes, since, before: before, elapsed: now - start, now: now, "seed \(seed)")
            }
            progress.cancelled()
            let status = progress.status(now: now)
            #expect(status.finishedCount == sizes.count && status.state == .cancelled && status.working.isEmpty, "seed \(seed)")
        }
    }

    private func check(
        _ status: JobStatus, _ stages: [FileStage], _ sizes: [Int], _ since: [ContinuousClock.Instant?], before: Int, elapsed: Duration,
        now: ContinuousClock.Instant, _ comment: Comment
    ) {
        let done = stages.indices.filter { stages[$0].isTerminal }
        #expect(status.stages == Dictionary(grouping: stages, by: \.rawValue).mapValues(\.count), comment)
        #expect(status.finishedCount == done.count && status.finishedByteCount == done.reduce(0) { $0 + sizes[$1] }, comment)
        let working = stages.indices.filter { !stages[$0].isTerminal && stages[$0] != .queued }
        #expect(
            status.working
                == working.prefix(20).map {
                    WorkingFile(path: "f\($0)", stage: stages[$0], seconds: ((now - since[$0]!) / .milliseconds(100)).rounded() / 10)
                }, comment)
        // By files and by bytes, the mean of the two shares.
        func share(_ files: [Int]) -> Double {
            let all = sizes.reduce(0, +)
            let bytes = all == 0 ? 1 : Double(files.reduce(0) { $0 + sizes[$1] }) / Double(all)
            return (bytes + Double(files.count) / Double(sizes.count)) / 2
        }
        let gained = share(done) - share(Array(0..<before))
        if done.count == sizes.count {
            #expect(status.progress == 1 && status.etaSeconds == 0, comment)
        } else if elapsed < .seconds(2) || gained < 0.03 {
            // At the very bound a rounding may decide.
            #expect(status.etaSeconds == nil || abs(gained - 0.03) < 1e-9, comment)
        } else if let seconds = status.etaSeconds {
            #expect(abs(seconds - (elapsed / .seconds(1)) * (1 - share(done)) / gained) < 1e-6 * max(1, seconds), comment)
        } else {
            #expect(abs(gained - 0.03) < 1e-9, comment)
        }
    }

    @Test func `a service tells seconds and the time left by its clock, to the digit`() async throws {
        let time = VirtualTime()
        let stage = Stage(time: time)
        let gate = Gate()
        let intake = try Intake(embedder: Gated(stage, gate), parser: stage, time: time) {
            $0.concurrency = 1
            $0.textGroup = 1
        }
        try await intake.service.start()
        let items = (0..<4).map { IngestItem.text(source: "s\($0)", title: nil, text: "Text \($0) of four.") }
        let job = try await intake.service.submit(IngestRequest(items: items))
        while gate.comers < 1 { await Task.yield() }
        time.advance(by: .seconds(30))
        var status = try await intake.service.status(of: job)
        #expect(status.working == [WorkingFile(path: "s0", stage: .embedding, seconds: 30)] && status.etaSeconds == nil, "\(status)")
        gate.open(times: 1)
        while gate.comers < 2 { await Task.yield() }
        time.advance(by: .milliseconds(10_260))
        status = try await intake.service.status(of: job)
        #expect(status.working == [WorkingFile(path: "s1", stage: .embedding, seconds: 10.3)], "\(status)")
        // One of four equal files took the job's 40.26 seconds.
        #expect(abs(try #require(status.etaSeconds) - 40.26 * 3) < 1e-9 && status.progress == 0.25, "\(status)")
        gate.open()
        #expect(try await intake.end(of: job).etaSeconds == 0)
        await intake.service.stop()
    }
}
