// Searches that come while all cores search wait anyway. Those that wait are then answered together: each inverted list is read once for all of them.
//
//   search ── a runner is free ──> it searches alone ──> its hits
//        └─── none is ──> waits ──> a runner ends ──> all that wait go through the lists as one group ──> each its own hits
//
// So a search that meets no other one pays a lock and nothing else, and how a search is carried out never shows in its answer: a group's hits are those of
// each query alone, bit for bit (`RoundsTests`).

package import Execution
package import Storage
import Synchronization

/// What waits, and what runs: a value that decides who goes together.
struct SearchQueue<Item> {
    /// What those have in common that go together.
    struct Kind: Hashable {
        var k: Int
        var recall: Float?
    }

    private(set) var runningCount = 0
    private(set) var waiting: [(kind: Kind, item: Item)] = []
    let runnerCountMax: Int
    let groupSizeMax: Int

    init(runnerCountMax: Int, groupSizeMax: Int) {
        precondition(runnerCountMax > 0 && groupSizeMax > 0, "\(runnerCountMax) runners, groups of \(groupSizeMax)")
        self.runnerCountMax = runnerCountMax
        self.groupSizeMax = groupSizeMax
    }

    /// - Returns: Whether the caller runs it at once; else it waits.
    mutating func arrives(_ item: Item, k: Int, recall: Float? = nil) -> Bool {
        if runningCount < runnerCountMax {
            runningCount += 1
            return true
        }
        waiting.append((Kind(k: k, recall: recall), item))
        return false
    }

    /// A runner has ended its group: the next one is for it. Empty: it may go.
    ///
    /// Those that want as many hits to the same recall as the one that waits for longest go with it, in the order in which they came.
    mutating func ended() -> [Item] {
        guard let first = waiting.first else {
            runningCount -= 1
            return []
        }
        var group: [Item] = []
        var rest: [(kind: Kind, item: Item)] = []
        for entry in waiting {
            if entry.kind == first.kind, group.count < groupSizeMax { group.append(entry.item) } else { rest.append(entry) }
        }
        waiting = rest
        return group
    }
}

/// Searches one index on a few runners, in groups where several wait.
package final class SearchGroups: Sendable {
    /// What a group's queries need stays near the core.
    private static let groupSizeMax = 64

    private struct Waiting: Sendable {
        var query: [Float]
        var k: Int
        var recall: Float?
        var continuation: CheckedContinuation<[RowHit], any Error>
    }

    package let index: any VectorIndex
    private let pool: WorkPool
    private let queue: Mutex<SearchQueue<Waiting>>
    private let groupCount = Mutex((groups: 0, searches: 0))

    /// - Parameter runnerCountMax: Threads that search at the same time.
    package init(_ index: any VectorIndex, runnerCountMax: Int = WorkPool.coreCount, pool: WorkPool = .short) {
        self.index = index
        self.pool = pool
        queue = Mutex(SearchQueue(runnerCountMax: runnerCountMax, groupSizeMax: Self.groupSizeMax))
    }

    /// Groups that were searched, and searches in them.
    package var counts: (groups: Int, searches: Int) { groupCount.withLock { $0 } }

    /// Searches that wait for a runner.
    var waitingCount: Int { queue.withLock { $0.waiting.count } }

    /// As `VectorIndex.search` without a filter.
    ///
    /// - Parameter recall: Nil is the index's own.
    /// - Throws: `VectorIndexError`.
    package func search(_ query: [Float], k: Int, recall: Float? = nil) async throws -> [RowHit] {
        try await withCheckedThrowingContinuation { continuation in
            let item = Waiting(query: query, k: k, recall: recall, continuation: continuation)
            guard queue.withLock({ $0.arrives(item, k: k, recall: recall) }) else { return }
            pool.start { [self] in
                var group = [item]
                while !group.isEmpty {
                    run(group)
                    group = queue.withLock { $0.ended() }
                }
            }
        }
    }

    private func run(_ group: [Waiting]) {
        groupCount.withLock { counts in
            counts.groups += 1
            counts.searches += group.count
        }
        if group.count > 1, group.allSatisfy({ $0.query.count == index.dimension }) {
            do throws(VectorIndexError) {
                let found = try index.search(batch: group.flatMap(\.query), k: group[0].k, recall: group[0].recall)
                for (item, hits) in zip(group, found) { item.continuation.resume(returning: hits) }
                return
            } catch {
                // One query's fault is not its neighbours': each is told its own below.
            }
        }
        for item in group {
            item.continuation.resume(
                with: Result { () throws(VectorIndexError) in try index.search(item.query, k: item.k, filter: nil, recall: item.recall) }
                    .mapError { $0 })
        }
    }
}
