import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// What only the exact scan has: several threads, chunks, and ids in any order.
struct FlatIndexTests {
    private let folder = TemporaryFolder.inMemory()

    /// Row *i* holds [x, 1] with a whole number x, so its score is a simple function of x and exact.
    @Test(arguments: [Metric.l2, .innerProduct])
    func `a scan on several cores finds what sorting everything finds`(metric: Metric) throws {
        var generator = SeededGenerator(seed: 9)
        let index = try FlatIndex(directory: folder.path, dimension: 2, metric: metric)
        let numbers = (0..<230_000).map { _ in Int.random(in: -900...900, using: &generator) }
        for start in stride(from: 0, to: numbers.count, by: 10_000) {
            let batch = VectorRows(
                rows: (start..<start + 10_000).map { RowID(Int64($0)) }, values: numbers[start..<start + 10_000].flatMap { [Float($0), 1] })
            try index.add(batch)
            if start == 150_000 { try index.seal(at: position(Int64(start))) }
        }
        let gone = Set((0..<500).map { _ in Int.random(in: 0..<numbers.count, using: &generator) })
        index.remove(gone.map { RowID(Int64($0)) })
        #expect(index.count > 200_000)

        func best(_ isMember: (Int) -> Bool) -> [RowHit] {
            var hits: [(score: Int, id: Int)] = []
            for (id, number) in numbers.enumerated() where !gone.contains(id) && isMember(id) {
                hits.append((metric == .l2 ? -((number - 3) * (number - 3)) : 3 * number + 1, id))
            }
            hits.sort { $0.score != $1.score ? $0.score > $1.score : $0.id < $1.id }
            return hits.prefix(300).map { RowHit(row: RowID(Int64($0.id)), score: Float($0.score)) }
        }
        let query: [Float] = [3, 1]
        #expect(try index.search(query, k: 300, filter: nil) == best { _ in true })
        let members = RowSet(numbers.indices.filter { $0 % 20 != 3 }.map { RowID(Int64($0)) })
        #expect(members.count > 200_000)
        #expect(try index.search(query, k: 300, filter: members) == best { $0 % 20 != 3 })
    }

    @Test func `the delta grows in chunks of bounded size`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: 384, metric: .cosine)
        var generator = SeededGenerator(seed: 1)
        let vector = wholeVector(384, &generator)
        for id in 0..<300 as Range<Int64> { try index.add(VectorRows(rows: [RowID(id)], values: vector)) }
        #expect(index.snapshot.delta.count <= 3)
        try index.add(VectorRows(rows: (300..<6000).map { RowID($0) }, values: Array(Array(repeating: vector, count: 5700).joined())))
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
        try StorageProbe.$observer.withValue(
            { step in
                if step.operation == .rename, step.path.hasSuffix("manifest.json") {
                    index.remove([RowID(3), RowID(11)])
                    do { try index.add(batch) } catch { Issue.record("\(error)") }
                }
                return nil
            }, operation: { try index.compact(at: position(20)) })
        let expected = [1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21] as [Int64]
        #expect(index.liveRows().map(\.rawValue) == expected)
        #expect(index.unsealedCount == 2)
        #expect(index.verify() == [])
        // The files hold what was there when the compaction began.
        #expect(
            try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct).liveRows().map(\.rawValue) == [1] + Array(3...20))
        try index.seal(at: position(21))
        #expect(try FlatIndex(directory: folder.path, dimension: 2, metric: .innerProduct).liveRows().map(\.rawValue) == expected)
    }

    /// Files that exist already must stay readable: a change here needs a new version of the kind.
    @Test func `the files are as documented`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: 2, metric: .cosine)
        try index.add(VectorRows(rows: [RowID(9), RowID(5), RowID(7)], values: [0, 2, 3, 0, 0, 0]))
        try index.seal(at: position(9))
        index.remove([RowID(7)])
        try index.add(VectorRows(rows: [RowID(11)], values: [-1, 0]))
        try index.seal(at: position(11, 1))
        #expect(folder.names == ["flat-00000001.seg", "flat-00000002.seg", "manifest.json", "tombstones-00000003.seg"])

        let segment = try SegmentFile(path: folder.path + "/flat-00000001.seg", kind: "FLAT", version: 1, verifyingSections: true)
        #expect(segment.sectionNames == ["meta", "rows", "values"])
        #expect(try Array(segment.array("meta", of: UInt64.self)) == [2, 0, 3])
        #expect(try Array(segment.array("rows", of: Int64.self)) == [5, 7, 9])
        #expect(try Array(segment.array("values", of: Float.self)) == [1, 0, 0, 0, 0, 1])
        let tombstones = try SegmentFile(path: folder.path + "/tombstones-00000003.seg", kind: "TOMB", version: 1, verifyingSections: true)
        #expect(tombstones.sectionNames == ["rows", "words"])
        #expect(try Array(tombstones.array("rows", of: UInt64.self)) == [3, 1])
        #expect(try Array(tombstones.array("words", of: UInt64.self)) == [0b010, 0])
        let manifest = try #require(try IndexManifest.load(directory: folder.path))
        #expect(manifest.segments == ["flat-00000001.seg", "flat-00000002.seg"] && manifest.tombstones == "tombstones-00000003.seg")
        #expect(manifest.configuration == #"{"dimension":2,"index":"flat","metric":"cosine"}"#)
        #expect(manifest.generation == 2 && manifest.position == position(11, 1))
    }

    @Test func `tombstones are a set of positions`() {
        var generator = SeededGenerator(seed: 31)
        var tombstones = RowTombstones()
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
        #expect(RowTombstones(words: tombstones.words) == tombstones)
        let new = (0..<200).filter { !expected.contains($0) }.prefix(5)
        for position in new {
            let isNew = tombstones.insert(position, rows: 200)
            #expect(isNew)
        }
        #expect(tombstones.positions(since: earlier) == Array(new))
        #expect(tombstones.positions(since: RowTombstones()) == expected.union(new).sorted())
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func `looking up an id finds its position and no other`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let ids = (0..<Int64.random(in: 0...300, using: &generator)).filter { _ in seed % 3 == 0 || Bool.random(using: &generator) }.map {
            $0 - 20
        }
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
