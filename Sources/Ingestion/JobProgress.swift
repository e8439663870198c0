import Documents

/// Counters of one running job, kept in memory so that progress costs no query. A value: it takes what happened and gives the status.
struct JobProgress: Sendable {
    let id: JobID
    let collection: String
    let fileCount: Int
    let byteCount: Int
    let createdAt: Double
    private(set) var state: JobState
    private(set) var finishedByteCount: Int
    /// Files at their end, by outcome; and how many wait.
    private(set) var stages: [FileStage: Int]
    /// The stage of each file that is being worked on.
    private var inFlight: [Int: FileStage] = [:]
    private(set) var chunks = 0
    private let startedAt: ContinuousClock.Instant
    /// Bytes that were finished before this process took the job up.
    private let finishedBefore: Int

    init(_ record: JobRecord, collection: String, now: ContinuousClock.Instant) {
        id = record.id
        self.collection = collection
        fileCount = record.fileCount
        byteCount = record.byteCount
        createdAt = record.createdAt.timeIntervalSince1970
        state = record.state
        finishedByteCount = record.finishedByteCount
        finishedBefore = record.finishedByteCount
        stages = record.stages
        startedAt = now
    }

    var finishedCount: Int { stages.reduce(0) { $0 + ($1.key.isTerminal ? $1.value : 0) } }
    var isDone: Bool { finishedCount >= fileCount }
    var inFlightSequences: [Int] { Array(inFlight.keys) }

    mutating func claimed(_ sequence: Int) {
        stages[.queued, default: 1] -= 1
        inFlight[sequence] = .parsing
        if state == .queued { state = .running }
    }

    mutating func moved(_ sequence: Int, to stage: FileStage) {
        if inFlight[sequence] != nil { inFlight[sequence] = stage }
    }

    mutating func requeued(_ sequence: Int) {
        inFlight[sequence] = nil
        stages[.queued, default: 0] += 1
    }

    mutating func ended(_ sequence: Int, _ outcome: FileOutcome, bytes: Int) {
        inFlight[sequence] = nil
        stages[outcome.outcome, default: 0] += 1
        finishedByteCount += bytes
        chunks += outcome.outcome == .indexed ? outcome.chunks : 0
    }

    /// Files that were waiting are cancelled at once; those being worked on end by themselves.
    mutating func cancelled() {
        state = .cancelled
        stages[.cancelled, default: 0] += stages[.queued] ?? 0
        stages[.queued] = 0
    }

    mutating func finished() { if state != .cancelled { state = .finished } }

    func seconds(at now: ContinuousClock.Instant) -> Double {
        let elapsed = now - startedAt
        return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    }

    func status(files: [FileOutcome] = [], now: ContinuousClock.Instant) -> JobStatus {
        var names: [String: Int] = [:]
        for (stage, count) in stages where count > 0 && (stage.isTerminal || stage == .queued) { names[stage.rawValue] = count }
        for stage in inFlight.values { names[stage.rawValue, default: 0] += 1 }
        let progress = byteCount > 0 ? min(1, Double(finishedByteCount) / Double(byteCount)) : (isDone ? 1 : 0)
        let doneHere = finishedByteCount - finishedBefore
        let speed = Double(doneHere) / max(seconds(at: now), 1e-3)
        let eta = isDone ? 0 : doneHere > 0 ? Double(byteCount - finishedByteCount) / speed : nil
        return JobStatus(
            id: id, collection: collection, state: state, fileCount: fileCount, finishedCount: finishedCount, stages: names,
            byteCount: byteCount,
            finishedByteCount: finishedByteCount, progress: isDone ? 1 : progress, etaSeconds: eta, createdAt: createdAt, files: files)
    }
}
