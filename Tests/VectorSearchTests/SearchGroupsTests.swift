import Execution
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

struct SearchGroupsTests {
    @Test func `a search that meets no other runs at once, and those that wait go together`() {
        var queue = SearchQueue<Int>(runnerCountMax: 2, groupSizeMax: 3)
        let runs = (1...8).map { queue.arrives($0, k: $0 == 5 ? 20 : 10) }
        #expect(runs == [true, true] + [Bool](repeating: false, count: 6))
        // The oldest and those that want as much, at most three.
        let groups = (0..<5).map { _ in queue.ended() }
        #expect(groups == [[3, 4, 6], [5], [7, 8], [], []])
        #expect(queue.runningCount == 0)
        let runsAgain = queue.arrives(9, k: 10)
        #expect(runsAgain)
    }

    @Test func `in random orders nothing is lost, none runs twice, and runners stay within their number`() {
        RandomRuns.forEachSeed(20) { seed in
            var generator = SeededGenerator(seed: seed)
            var queue = SearchQueue<Int>(
                runnerCountMax: Int.random(in: 1...3, using: &generator), groupSizeMax: Int.random(in: 1...5, using: &generator))
            var running: [[Int]] = []
            var done: [Int] = []
            var next = 0
            for _ in 0..<300 {
                if Bool.random(using: &generator) || running.isEmpty {
                    if queue.arrives(next, k: Int.random(in: 1...2, using: &generator)) { running.append([next]) }
                    next += 1
                } else {
                    done += running.remove(at: Int.random(in: 0..<running.count, using: &generator))
                    let group = queue.ended()
                    #expect(group.count <= queue.groupSizeMax)
                    if !group.isEmpty { running.append(group) }
                }
                #expect(running.count == queue.runningCount && running.count <= queue.runnerCountMax, "seed \(seed)")
                #expect(queue.waiting.isEmpty || running.count == queue.runnerCountMax, "seed \(seed)")
            }
            while !running.isEmpty {
                done += running.removeFirst()
                let group = queue.ended()
                if !group.isEmpty { running.append(group) }
            }
            #expect(done.sorted() == Array(0..<next), "seed \(seed)")
        }
    }

    @Test func `searches that meet get what each gets alone, bit for bit`() async throws {
        let folder = TemporaryFolder()
        let dimension = 16
        var generator = SeededGenerator(seed: 7)
        func vector() -> [Float] { (0..<dimension).map { _ in Float.random(in: -1...1, using: &generator) } }
        let index = try IVFIndex(
            directory: folder.path, dimension: dimension, metric: .cosine, parameters: IVFParameters(rowCountMin: 500))
        try index.add(VectorRows(rows: (1...3000).map { RowID($0) }, values: (1...3000).flatMap { _ in vector() }))
        try index.seal(at: IndexPosition(highWater: RowID(3000), deletionSequence: 0))
        index.waitForBuilds()
        let queries = (0..<200).map { number in (vector: vector(), k: number % 5 == 0 ? 7 : 20) }
        // One runner whose thread is held, so that the others wait and become a group.
        let pool = WorkPool(name: "test", threadCountMax: 1)
        let isOpen = DispatchSemaphore(value: 0)
        pool.start { isOpen.wait() }
        let groups = SearchGroups(index, runnerCountMax: 1, pool: pool)
        let found = try await withThrowingTaskGroup(of: (Int, [RowHit]).self) { tasks in
            for (number, query) in queries.enumerated() {
                tasks.addTask { (number, try await groups.search(query.vector, k: query.k)) }
            }
            try await eventually("all have come") { groups.waitingCount == queries.count - 1 }
            isOpen.signal()
            return try await tasks.reduce(into: [Int: [RowHit]]()) { $0[$1.0] = $1.1 }
        }
        for (number, query) in queries.enumerated() {
            #expect(try found[number] == index.search(query.vector, k: query.k, filter: nil), "query \(number)")
        }
        #expect(groups.counts.searches == 200 && groups.counts.groups <= 8, "\(groups.counts)")
    }

    @Test func `a query that cannot be searched is told so, and its neighbours get theirs`() async throws {
        let folder = TemporaryFolder()
        let index = try IVFIndex(directory: folder.path, dimension: 2, metric: .cosine)
        try index.add(VectorRows(rows: [RowID(1)], values: [1, 0]))
        let pool = WorkPool(name: "test", threadCountMax: 1)
        let isOpen = DispatchSemaphore(value: 0)
        pool.start { isOpen.wait() }
        let groups = SearchGroups(index, runnerCountMax: 1, pool: pool)
        let results = try await withThrowingTaskGroup(of: (Int, Result<[RowHit], any Error>).self) { tasks in
            for (number, query) in [[1, 0], [1, 1], [.nan, 0], [1, 2, 3], [0, 1]].enumerated() as EnumeratedSequence<[[Float]]> {
                tasks.addTask {
                    do { return (number, .success(try await groups.search(query, k: 3))) } catch { return (number, .failure(error)) }
                }
            }
            try await eventually("all have come") { groups.waitingCount == 4 }
            isOpen.signal()
            return try await tasks.reduce(into: [Int: Result<[RowHit], any Error>]()) { $0[$1.0] = $1.1 }
        }
        for number in [0, 1, 4] { #expect(try results[number]?.get().map(\.row) == [RowID(1)]) }
        for number in [2, 3] { #expect(throws: VectorIndexError.self) { _ = try results[number]?.get() } }
    }
}
