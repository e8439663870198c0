import Documents
import Execution
import FoundationEssentials

/// Counters of one running job, kept in memory so that progress costs no query. A value: it takes what happened and gives the status.
struct JobProgress: Sendable {
    let id: JobID
    let collection: String
    /// Tells it from one that was made for the same job later.
    let identity = UUID()
    let fileCount: Int
    let byteCount: Int
    let createdAt: Double
    private(set) var state: JobState
    private(set) var finishedByteCount: Int
    /// Files at their end, by outcome; and how many wait.
    private(set) var stages: [FileStage: Int]
    /// The stage of each file that is being worked on.
    private var inFlight: [Int: (source: String, stage: FileStage, since: ContinuousClock.Instant)] = [:]
    private(set) var chunks = 0
    private let startedAt: ContinuousClock.Instant
    /// What was finished before this process took the job up.
    private let bytesBefore: Int
    private let filesBefore: Int

    /// Files that a status names as being worked on.
    private static let workingCount = 20

    init(_ record: JobRecord, collection: String, now: ContinuousClock.Instant) {
        id = record.id
        self.collection = collection
        fileCount = record.fileCount
        byteCount = record.byteCount
        createdAt = record.createdAt.timeIntervalSince1970
        state = record.state
        finishedByteCount = record.finishedByteCount
        bytesBefore = record.finishedByteCount
        filesBefore = record.stages.reduce(0) { $0 + ($1.key.isTerminal ? $1.value : 0) }
        // What an earlier process, or an earlier moment, had in its hands waits as far as this is concerned.
        stages = record.stages.filter(\.key.isTerminal)
        stages[.queued] = record.fileCount - filesBefore
        startedAt = now
    }

    var finishedCount: Int { stages.reduce(0) { $0 + ($1.key.isTerminal ? $1.value : 0) } }
    var isDone: Bool { finishedCount >= fileCount }

    mutating func claimed(_ sequence: Int, source: String, now: ContinuousClock.Instant) {
        // Of a job that was cancelled meanwhile nothing waits. What is retried may be claimed before it is counted as waiting.
        guard state == .queued || state == .running else { return }
        stages[.queued, default: 0] -= 1
        inFlight[sequence] = (source, .parsing, now)
        if state == .queued { state = .running }
    }

    mutating func moved(_ sequence: Int, to stage: FileStage) {
        inFlight[sequence]?.stage = stage
    }

    mutating func requeued(_ sequence: Int) {
        guard inFlight.removeValue(forKey: sequence) != nil else { return }
        stages[.queued, default: 0] += 1
    }

    /// - Returns: False, and nothing has changed, when the file is not being worked on: its end was counted before, as when the job was cancelled.
    mutating func ended(_ sequence: Int, _ outcome: FileOutcome, bytes: Int) -> Bool {
        guard inFlight.removeValue(forKey: sequence) != nil else { return false }
        stages[outcome.outcome, default: 0] += 1
        finishedByteCount += bytes
        chunks += outcome.outcome == .indexed ? outcome.chunks : 0
        return true
    }

    /// Files that were at their end wait again.
    ///
    /// - Parameter files: How many, by the end that they had.
    mutating func retried(_ files: [FileStage: Int], bytes: Int) {
        for (stage, count) in files {
            stages[stage, default: 0] -= count
            stages[.queued, default: 0] += count
        }
        finishedByteCount -= bytes
    }

    /// The job has ended, as its record says.
    mutating func ended(as record: JobRecord) {
        state = record.state
        stages = record.stages
        finishedByteCount = record.finishedByteCount
        inFlight = [:]
    }

    /// Nothing that is not at its end will be worked on any more.
    mutating func cancelled() {
        stages[.cancelled, default: 0] += fileCount - finishedCount
        stages[.queued] = nil
        inFlight = [:]
        state = .cancelled
    }

    mutating func finished() { if state != .cancelled { state = .finished } }

    func seconds(at now: ContinuousClock.Instant) -> Double {
        (now - startedAt).inSeconds
    }

    func status(
        files: [FileOutcome] = [], filesLeftOut: Int = 0, waiting: String? = nil, now: ContinuousClock.Instant
    ) -> JobStatus {
        var names: [String: Int] = [:]
        for (stage, count) in stages where count > 0 && (stage.isTerminal || stage == .queued) { names[stage.rawValue] = count }
        for file in inFlight.values { names[file.stage.rawValue, default: 0] += 1 }
        let working = inFlight.sorted { $0.key < $1.key }.prefix(Self.workingCount).map {
            WorkingFile(path: $0.value.source, stage: $0.value.stage, seconds: ((now - $0.value.since).inSeconds * 10).rounded() / 10)
        }
        let progress = byteCount > 0 ? min(1, Double(finishedByteCount) / Double(byteCount)) : (isDone ? 1 : 0)
        return JobStatus(
            id: id, collection: collection, state: state, fileCount: fileCount, finishedCount: finishedCount, stages: names,
            byteCount: byteCount, finishedByteCount: finishedByteCount, progress: isDone ? 1 : progress,
            etaSeconds: isDone ? 0 : waiting == nil ? etaSeconds(now) : nil, createdAt: createdAt, files: files, filesLeftOut: filesLeftOut,
            working: working, waiting: isDone ? nil : waiting)
    }

    /// Time to the end. A file costs by its bytes and by being a file, and nobody knows in which proportion, so both shares count alike. Nothing is
    /// said before there is something to go by.
    private func etaSeconds(_ now: ContinuousClock.Instant) -> Double? {
        func share(_ done: Int, _ all: Int) -> Double { all > 0 ? min(1, Double(done) / Double(all)) : 1 }
        let before = (share(bytesBefore, byteCount) + share(filesBefore, fileCount)) / 2
        let present = (share(finishedByteCount, byteCount) + share(finishedCount, fileCount)) / 2
        let elapsed = seconds(at: now)
        guard elapsed >= 2, present - before >= 0.03 else { return nil }
        return elapsed * (1 - present) / (present - before)
    }
}
