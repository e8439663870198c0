import Storage
import Testing

@testable import VectorSearch

/// What only the exact scan has: several threads, chunks, and ids in any order.
struct FlatIndexTests {
    private let folder = TemporaryFolder()

    @Test(arguments: [Metric.l2, .innerProduct])
    func `a scan on several cores finds what sorting everything finds`(metric: Metric) throws {
        var generator = SeededGenerator(seed: 9)
        let index = try FlatIndex(directory: folder.path, dimension: 2, metric: metric)
        var oracle = Oracle(dimension: 2, metric: metric)
        let total: Int64 = 230_000
        for start in stride(from: 0, to: total, by: 10_000) {
            let ids = Array(start..<start + 10_000)
            let batch = VectorRows(rows: ids.map { RowID($0) }, values: ids.flatMap { _ in [Float(Int.random(in: -2000...2000, using: &generator)), 1] })
            try index.add(batch)
            oracle.add(batch)
            if start == 150_000 { try index.seal(at: position(start)) }
        }
        let gone = (0..<500).map { _ in RowID(Int64.random(in: 0..<total, using: &generator)) }
        index.remove(gone)
        oracle.remove(gone)
        #expect(index.count > 200_000)
        oracle.check(try index.search([3, 1], k: 100, filter: nil), [3, 1], k: 100, "no filter")
        let members = Set(oracle.ids.filter { $0 % 20 != 3 })
        oracle.check(try index.search([-2, 5], k: 100, filter: RowSet(members.map { RowID($0) })), [-2, 5], k: 100, filter: members, "filter")
    }

    @Test func `the delta grows in chunks of bounded size`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: 384, metric: .cosine)
        var generator = SeededGenerator(seed: 1)
        for id in 0..<300 as Range<Int64> { try index.add(rows([id], 384, &generator)) }
        #expect(index.snapshot.delta.count <= 3)
        try index.add(rows(Array(300..<6000), 384, &generator))
        for run in index.snapshot.delta {
            guard case .chunk(let chunk) = run.owner else {
                Issue.record("a segment in the delta")
                return
            }
            #expect(chunk.capacity * 384 * 4 <= DeltaChunk.sizeMax)
        }
        #expect(index.snapshot.delta.count <= 6)
        #expect(index.count == 6000)
    }

    @Test func `a snapshot does not change under its reader`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct)
        var generator = SeededGenerator(seed: 1)
        try index.add(rows(Array(1...10), 2, &generator))
        let snapshot = index.snapshot
        let before = snapshot.runs.flatMap { run in run.livePositions.map { run.ids[$0] } }
        try index.add(rows(Array(5...20), 2, &generator))
        index.remove([RowID(1)])
        try index.seal(at: position(20))
        try index.compact(at: position(20))
        #expect(snapshot.runs.flatMap { run in run.livePositions.map { run.ids[$0] } } == before)
        #expect(snapshot.count == 10)
    }

    @Test func `rows removed while a seal writes are removed from its result`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct)
        var generator = SeededGenerator(seed: 1)
        try index.add(rows(Array(1...10), 2, &generator))
        try index.seal(at: position(10))
        try index.add(rows(Array(11...20), 2, &generator))
        index.remove([RowID(2)])
        // In the middle of the compaction: a sealed row and an unsealed one go, one is replaced, one comes.
        let batch = rows([12, 21], 2, &generator)
        try StorageProbe.$observer.withValue({ step in
            if step.operation == .rename, step.path.hasSuffix("manifest.json") {
                index.remove([RowID(3), RowID(11)])
                do { try index.add(batch) } catch { Issue.record("\(error)") }
            }
            return nil
        }) { try index.compact(at: position(20)) }
        let expected = [1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21] as [Int64]
        #expect(index.liveRows().map(\.rawValue) == expected)
        #expect(index.unsealedCount == 2)
        #expect(index.verify() == [])
        // The files hold what was there when the compaction began.
        #expect(try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct).liveRows().map(\.rawValue) == [1] + Array(3...20))
        try index.seal(at: position(21))
        #expect(try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct).liveRows().map(\.rawValue) == expected)
    }

    @Test func `tombstones are a set of positions`() {
        var generator = SeededGenerator(seed: 31)
        var tombstones = Tombstones()
        var expected: Set<Int> = []
        for _ in 0..<300 {
            let position = Int.random(in: 0..<200, using: &generator)
            let isNew = tombstones.insert(position, rows: 200)
            #expect(expected.contains(position) != isNew)
            expected.insert(position)
        }
        let earlier = tombstones
        #expect(tombstones.count == expected.count)
        #expect((0..<200).allSatisfy { tombstones.contains($0) == expected.contains($0) })
        #expect(Tombstones(words: tombstones.words) == tombstones)
        let new = (0..<200).filter { !expected.contains($0) }.prefix(5)
        for position in new {
            let isNew = tombstones.insert(position, rows: 200)
            #expect(isNew)
        }
        #expect(tombstones.positions(since: earlier) == Array(new))
        #expect(tombstones.positions(since: Tombstones()) == expected.union(new).sorted())
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `looking up an id finds its position and no other`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let ids = (0..<Int64.random(in: 0...300, using: &generator)).filter { _ in seed % 3 == 0 || Bool.random(using: &generator) }.map { $0 - 20 }
        ids.withUnsafeBufferPointer { buffer in
            for id in -25...300 as ClosedRange<Int64> {
                #expect(buffer.position(of: id) == ids.firstIndex(of: id))
                let bound = ids.firstIndex { $0 >= id } ?? ids.count
                #expect(buffer.lowerBound(of: id) == bound)
                let start = Int.random(in: 0...bound, using: &generator)
                #expect(buffer.lowerBound(of: id, from: start) == bound)
            }
        }
    }
}
