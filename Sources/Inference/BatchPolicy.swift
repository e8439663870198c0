/// Decides which waiting requests a model runs together, and when. A value without clock or threads: it is told the time, and says what to launch.
///
/// ```
///  submit ──► [query queue]  ──┐   full batch, or oldest has waited long enough
///  submit ──► [document queue] ┴──────────────────────────────► tick: launch these
/// ```
///
/// - A batch has at most `countMax` requests and `tokenMax` tokens; a larger request goes alone. Batches hold one priority only:
///   a question must not wait for the documents that would ride with it.
/// - A batch is due when it is full (by count, or because the next request does not fit) or when its oldest request has waited
///   `documentWaitMax` / `queryWaitMax`. The waiting of questions is 0 by default: on a CPU a batch gains some ten per cent,
///   and while the model is busy they gather anyway.
/// - Queries go first. After `queryRunMax` query batches in a row that left documents waiting, one document batch goes, so
///   documents advance under any load of questions.
/// - Within one priority the order is that of submission. The queue is bounded; beyond, `submit` refuses.
package struct BatchPolicy: Sendable {
    /// The bounds of batches, waits and the queue.
    package struct Configuration: Sendable, Hashable {
        /// Most requests of one batch.
        package var countMax: Int
        /// Most tokens of one batch, unless it is a single request.
        package var tokenMax: Int
        /// Longest that a document waits for company.
        package var documentWaitMax: Duration
        /// Longest that a question waits for company.
        package var queryWaitMax: Duration
        /// Most query batches in a row while documents wait.
        package var queryRunMax: Int
        /// Most requests that may wait, of both priorities together.
        package var queueMax: Int

        package init(
            countMax: Int = 8, tokenMax: Int = 512, documentWaitMax: Duration = .milliseconds(10), queryWaitMax: Duration = .zero,
            queryRunMax: Int = 8,
            queueMax: Int = 4096
        ) {
            precondition(countMax > 0 && tokenMax > 0 && queryRunMax > 0 && queueMax > 0, "bounds must be positive")
            self.countMax = countMax
            self.tokenMax = tokenMax
            self.documentWaitMax = documentWaitMax
            self.queryWaitMax = queryWaitMax
            self.queryRunMax = queryRunMax
            self.queueMax = queueMax
        }
    }

    /// Names a request for as long as it waits or runs.
    package struct Ticket: Sendable, Hashable {
        package let number: UInt64
    }

    /// Requests to run together, in the order of their submission.
    package struct Batch: Sendable, Hashable {
        package var tickets: [Ticket]
        /// Their sizes together.
        package var tokens: Int
        package var priority: EmbeddingPurpose

        package init(tickets: [Ticket], tokens: Int, priority: EmbeddingPurpose) {
            self.tickets = tickets
            self.tokens = tokens
            self.priority = priority
        }
    }

    private struct Entry {
        var ticket: Ticket
        var size: Int
        var submitted: Duration
    }

    /// What the policy was made with.
    package let configuration: Configuration
    private var queries = Deque()
    private var documents = Deque()
    private var nextNumber: UInt64 = 0
    /// Query batches launched since documents began to wait.
    private var queryRun = 0

    /// An empty queue.
    package init(_ configuration: Configuration = .init()) { self.configuration = configuration }

    /// Number of requests that wait.
    package var waitingCount: Int { queries.count + documents.count }

    /// Whether `count` more requests find room.
    package func hasRoom(for count: Int) -> Bool { waitingCount + count <= configuration.queueMax }

    /// Puts a request at the end of its queue.
    ///
    /// - Parameters:
    ///   - size: Its tokens.
    ///   - now: Time since any fixed moment; must not go backwards.
    /// - Throws: `InferenceError.overloaded` when the queue is full. Nothing has changed then.
    package mutating func submit(size: Int, priority: EmbeddingPurpose, now: Duration) throws -> Ticket {
        guard hasRoom(for: 1) else { throw InferenceError.overloaded(queued: waitingCount, limit: configuration.queueMax) }
        let ticket = Ticket(number: nextNumber)
        nextNumber += 1
        let entry = Entry(ticket: ticket, size: max(size, 0), submitted: now)
        switch priority {
        case .query: queries.append(entry)
        case .document: documents.append(entry)
        }
        return ticket
    }

    /// Forgets waiting requests; those that run already are not affected.
    /// - Returns: How many were waiting.
    @discardableResult
    package mutating func cancel(_ tickets: Set<Ticket>) -> Int {
        let before = waitingCount
        queries.removeAll(in: tickets)
        documents.removeAll(in: tickets)
        return before - waitingCount
    }

    /// Takes the batches that are due out of the queues.
    /// - Parameter slots: At most this many batches: how many executors are free.
    package mutating func tick(_ now: Duration, slots: Int = .max) -> [Batch] {
        var batches: [Batch] = []
        while batches.count < slots, let priority = duePriority(now) { batches.append(take(priority)) }
        return batches
    }

    /// When the next batch becomes due if nothing else is submitted; nil when nothing waits.
    package var nextDeadline: Duration? {
        let deadlines = [(queries.first, configuration.queryWaitMax), (documents.first, configuration.documentWaitMax)].compactMap {
            entry, wait in
            entry.map { $0.submitted + wait }
        }
        return deadlines.min()
    }

    private func duePriority(_ now: Duration) -> EmbeddingPurpose? {
        let queryIsDue = isDue(queries, wait: configuration.queryWaitMax, now)
        let documentIsDue = isDue(documents, wait: configuration.documentWaitMax, now)
        if queryIsDue && documentIsDue { return queryRun >= configuration.queryRunMax ? .document : .query }
        return queryIsDue ? .query : documentIsDue ? .document : nil
    }

    private func isDue(_ queue: Deque, wait: Duration, _ now: Duration) -> Bool {
        guard let oldest = queue.first else { return false }
        if now - oldest.submitted >= wait { return true }
        let (count, _, isFull) = extent(of: queue)
        return isFull || count == configuration.countMax
    }

    /// How many requests from the front make one batch, their tokens, and whether the next one would not fit.
    private func extent(of queue: Deque) -> (count: Int, tokens: Int, isFull: Bool) {
        var count = 0
        var tokens = 0
        for entry in queue.prefix(configuration.countMax) {
            if count > 0 && tokens + entry.size > configuration.tokenMax { return (count, tokens, true) }
            count += 1
            tokens += entry.size
        }
        return (count, tokens, count == configuration.countMax || tokens >= configuration.tokenMax)
    }

    private mutating func take(_ priority: EmbeddingPurpose) -> Batch {
        switch priority {
        case .query: queryRun = documents.isEmpty ? 0 : queryRun + 1
        case .document: queryRun = 0
        }
        let (count, tokens, _) = extent(of: priority == .query ? queries : documents)
        let entries = priority == .query ? queries.removeFirst(count) : documents.removeFirst(count)
        return Batch(tickets: entries.map(\.ticket), tokens: tokens, priority: priority)
    }

    /// A queue whose front moves on; the space before it is given back when it is the larger part.
    private struct Deque {
        private var entries: [Entry] = []
        private var start = 0

        var count: Int { entries.count - start }
        var isEmpty: Bool { count == 0 }
        var first: Entry? { isEmpty ? nil : entries[start] }
        func prefix(_ count: Int) -> ArraySlice<Entry> { entries[start...].prefix(count) }
        mutating func append(_ entry: Entry) { entries.append(entry) }
        mutating func removeAll(in tickets: Set<Ticket>) {
            entries = entries[start...].filter { !tickets.contains($0.ticket) }
            start = 0
        }
        mutating func removeFirst(_ count: Int) -> ArraySlice<Entry> {
            let taken = entries[start..<start + count]
            start += count
            if start > 64 && start * 2 > entries.count {
                entries.removeFirst(start)
                start = 0
            }
            return taken
        }
    }
}
