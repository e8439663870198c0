import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

/// How far the writer of a test has come.
private final class Progress: Sendable {
    let started = Atomic<Int64>(-1)
    let removed = Atomic<Int64>(-1)
    let isDone = Atomic(false)
}

/// Readers, the writer and the sealer at the same time.
struct ConcurrencyTests {
    private let folder = TemporaryFolder.inMemory()

    /// Rows 0..<100 stay for ever, though all are replaced in each round; rows 1000 + 2n and 1001 + 2n come in round n and go in round n + 1.
    @Test(arguments: IndexFactory.all)
    func `searches see whole batches, never a removed row, while files are rewritten`(factory: IndexFactory) async throws {
        let index = try factory.open(folder.path, 8, .innerProduct, false)
        var generator = SeededGenerator(seed: 2)
        try index.add(rows(Array(0..<100), 8, &generator))
        let roundCount: Int64 = 300
        let progress = Progress()
        let query = [Float](repeating: 1, count: 8)

        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var generator = SeededGenerator(seed: 3)
                let stable = rows(Array(0..<100), 8, &generator)
                for round in 0..<roundCount {
                    progress.started.store(round, ordering: .sequentiallyConsistent)
                    try index.add(rows([1000 + round * 2, 1001 + round * 2], 8, &generator))
                    try index.add(stable)
                    index.remove([RowID(1000 + (round - 1) * 2), RowID(1001 + (round - 1) * 2)])
                    progress.removed.store(round - 1, ordering: .sequentiallyConsistent)
                    if round % 10 == 0 { await Task.yield() }
                }
                progress.isDone.store(true, ordering: .sequentiallyConsistent)
            }
            group.addTask {
                var turn: Int64 = 0
                while !progress.isDone.load(ordering: .sequentiallyConsistent) {
                    turn += 1
                    if turn % 5 == 0 { try index.compact(at: position(turn)) } else { try index.seal(at: position(turn)) }
                    await Task.yield()
                }
            }
            for _ in 0..<2 {
                group.addTask {
                    while !progress.isDone.load(ordering: .sequentiallyConsistent) {
                        let goneBefore = progress.removed.load(ordering: .sequentiallyConsistent)
                        let ids = try index.search(query, k: 1000, filter: nil).map(\.row.rawValue)
                        let begunAfter = progress.started.load(ordering: .sequentiallyConsistent)
                        #expect(Set(ids).count == ids.count)
                        #expect(ids.filter { $0 < 100 }.count == 100)
                        let changing = ids.filter { $0 >= 1000 }
                        #expect(changing.allSatisfy { ($0 - 1000) / 2 > goneBefore && ($0 - 1000) / 2 <= begunAfter })
                        #expect(changing.count % 2 == 0, "half of a batch: \(changing)")
                        await Task.yield()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(index.count == 102)
        #expect(index.verify() == [])
        try index.seal(at: position(1_000_000))
        #expect(try factory.open(folder.path, 8, .innerProduct, false).liveRows() == index.liveRows())
    }

    /// Generation *n* holds exactly the rows 0...n but the multiples of 7, so a reader can tell whether it got one generation whole.
    @Test(arguments: IndexFactory.all)
    func `another reader opens while the owner swaps generations`(factory: IndexFactory) async throws {
        let directory = folder.path
        let roundCount: Int64 = 200
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { progress.isDone.store(true, ordering: .sequentiallyConsistent) }
                let owner = try factory.open(directory, 4, .l2, false)
                for round in 0..<roundCount {
                    try owner.add(VectorRows(rows: [RowID(round)], values: [Float](repeating: Float(round), count: 4)))
                    if round % 7 == 0 { owner.remove([RowID(round)]) }
                    if round % 3 == 0 { try owner.compact(at: position(round)) } else { try owner.seal(at: position(round)) }
                    await Task.yield()
                }
            }
            group.addTask {
                var openCount = 0
                while !progress.isDone.load(ordering: .sequentiallyConsistent) {
                    let reader = try factory.open(directory, 4, .l2, true)
                    openCount += 1
                    if reader.sealedPosition == IndexPosition(), reader.count == 0 { continue }
                    let round = reader.sealedPosition.highWater.rawValue
                    #expect(reader.liveRows().map(\.rawValue) == (0...round).filter { $0 % 7 != 0 })
                    #expect(reader.verify() == [])
                    await Task.yield()
                }
                #expect(openCount > 5)
            }
            try await group.waitForAll()
        }
    }
}
