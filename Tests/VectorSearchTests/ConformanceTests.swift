import Foundation
import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// What every `VectorIndex` must do. Runs for each implementation in `IndexFactory.all`.
struct ConformanceTests {
    private let folder = TemporaryFolder.inMemory()

    private func open(_ factory: IndexFactory, _ dimension: Int, _ metric: Metric, readOnly: Bool = false) throws -> any VectorIndex {
        try factory.open(folder.path, dimension, metric, readOnly)
    }

    // MARK: Search

    @Test(arguments: IndexFactory.all, Metric.allCases)
    func `search equals sorting everything`(factory: IndexFactory, metric: Metric) throws {
        for (seed, dimension) in [1, 2, 7, 8, 9, 16, 17, 33, 384].enumerated() {
            var generator = SeededGenerator(seed: UInt64(seed))
            let index = try factory.open(folder.path + "/\(dimension)", dimension, metric, false)
            var oracle = Oracle(dimension: dimension, metric: metric)
            let batch = rows((1...Int64(700)).filter { _ in Bool.random(using: &generator) }, dimension, &generator)
            try index.add(batch)
            oracle.add(batch)
            for k in [1, 2, 10, 100, 5000] {
                let query = wholeVector(dimension, &generator)
                oracle.check(try index.search(query, k: k, filter: nil), query, k: k, "dimension \(dimension), k \(k)")
            }
        }
    }

    @Test(arguments: IndexFactory.all, Metric.allCases)
    func `a filter of any selectivity leaves only its members`(factory: IndexFactory, metric: Metric) throws {
        var generator = SeededGenerator(seed: 21)
        let index = try open(factory, 8, metric)
        var oracle = Oracle(dimension: 8, metric: metric)
        // Sealed without gaps, sealed with gaps, unsealed: each has its own way to the members.
        for ids in [Array(1...3000), (3001...9000).filter { _ in Bool.random(using: &generator) }, Array(9001...9700)] as [[Int64]] {
            let batch = rows(ids, 8, &generator)
            try index.add(batch)
            oracle.add(batch)
            if ids.last! < 9001 { try index.seal(at: position(ids.last!)) }
        }
        for share in [0.0, 0.0005, 0.01, 0.1, 0.4, 0.6, 1] {
            let members = Set((1...10_000).filter { _ in Double.random(in: 0..<1, using: &generator) < share } as [Int64])
            let filter = RowSet(members.map { RowID($0) })
            for k in [1, 10, 20_000] {
                let query = wholeVector(8, &generator)
                oracle.check(try index.search(query, k: k, filter: filter), query, k: k, filter: members, "share \(share), k \(k)")
            }
        }
        #expect(try index.search(wholeVector(8, &generator), k: 3, filter: RowSet([] as [RowID])) == [])
        #expect(try index.search(wholeVector(8, &generator), k: 3, filter: RowSet([RowID(50_000)])) == [])
    }

    @Test(arguments: IndexFactory.all)
    func `equal scores are ordered by row id`(factory: IndexFactory) throws {
        let index = try open(factory, 2, .innerProduct)
        for id in [9, 3, 7, 1, 5] as [Int64] { try index.add(VectorRows(rows: [RowID(id)], values: [1, 1])) }
        try index.seal(at: position(9))
        for id in [8, 2] as [Int64] { try index.add(VectorRows(rows: [RowID(id)], values: [1, 1])) }
        #expect(try index.search([1, 0], k: 4, filter: nil).map(\.row.rawValue) == [1, 2, 3, 5])
    }

    @Test(arguments: IndexFactory.all)
    func `odd requests get plain answers`(factory: IndexFactory) throws {
        let index = try open(factory, 2, .l2)
        #expect(try index.search([1, 0], k: 3, filter: nil) == [])
        #expect(try index.scores(of: [RowID(1)], for: [1, 0]) == [])
        #expect(index.liveRows() == [])
        index.remove([RowID(4)])
        try index.add(VectorRows(rows: [], values: []))
        #expect(index.count == 0)
        try index.add(VectorRows(rows: [RowID(4), RowID(-2)], values: [1, 0, 3, 0]))
        #expect(try index.search([1, 0], k: 0, filter: nil) == [])
        #expect(try index.search([1, 0], k: -1, filter: nil) == [])
        #expect(try index.search([1, 0], k: .max, filter: nil) == [RowHit(row: RowID(4), score: 0), RowHit(row: RowID(-2), score: -4)])
        #expect(try index.search([1, 0], k: 1, filter: nil)[0].score.sign == .plus)
    }

    @Test(arguments: IndexFactory.all, Metric.allCases)
    func `scores of given rows are those that search finds`(factory: IndexFactory, metric: Metric) throws {
        var generator = SeededGenerator(seed: 5)
        let index = try open(factory, 24, metric)
        try index.add(rows(Array(1...900), 24, &generator))
        try index.seal(at: position(900))
        try index.add(rows((901...1100).reversed(), 24, &generator))
        index.remove([RowID(3), RowID(950)])
        let query = wholeVector(24, &generator)
        let all = try index.search(query, k: 5000, filter: nil)
        #expect(all.count == 1098)
        let asked = [1, 3, 3, 77, 77, 899, 901, 950, 1100, 4000].map { RowID($0) }
        let expected = all.filter { asked.contains($0.row) }
        #expect(expected.count == 5)
        #expect(try index.scores(of: asked, for: query) == expected)
        #expect(try index.scores(of: index.liveRows(), for: query) == all)
    }

    // MARK: Refusals

    @Test(arguments: IndexFactory.all, Metric.allCases)
    func `what is not a vector of numbers is refused whole`(factory: IndexFactory, metric: Metric) throws {
        let index = try open(factory, 3, metric)
        func refusal(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "nothing"
            } catch { return "\(error)" }
        }
        #expect(refusal { try index.add(VectorRows(rows: [RowID(1)], values: [1, 2])) }.contains("2 dimensions, the index has 3"))
        #expect(
            refusal { try index.add(VectorRows(rows: [RowID(1), RowID(2)], values: [1, 2, 3, 4])) }.contains(
                "2 dimensions, the index has 3"))
        #expect(
            refusal { try index.add(VectorRows(rows: [RowID(1), RowID(2)], values: [1, 2, 3, 4, 5])) }.contains(
                "2 dimensions, the index has 3"))
        #expect(refusal { try index.add(VectorRows(rows: [], values: [1, 2])) }.contains("2 dimensions, the index has 3"))
        #expect(refusal { _ = try index.search([1], k: 1, filter: nil) }.contains("1 dimensions, the index has 3"))
        for bad in [Float.nan, .infinity, -.infinity] {
            #expect(
                refusal { try index.add(VectorRows(rows: [RowID(7), RowID(8)], values: [1, 2, 3, 4, bad, 6])) }.contains(
                    "element 1 of the vector of row 8"))
            #expect(refusal { _ = try index.search([1, 2, bad], k: 1, filter: nil) }.contains("element 2 of the query"))
            #expect(refusal { _ = try index.scores(of: [RowID(7)], for: [bad, 1, 1]) }.contains("element 0 of the query"))
        }
        #expect(index.count == 0)
    }

    @Test(arguments: IndexFactory.all)
    func `a zero vector scores zero under cosine and is found last but for opposites`(factory: IndexFactory) throws {
        let index = try open(factory, 2, .cosine)
        try index.add(VectorRows(rows: [1, 2, 3].map { RowID($0) }, values: [0, 0, 5, 0, -5, 0]))
        #expect(
            try index.search([2, 0], k: 3, filter: nil) == [
                RowHit(row: RowID(2), score: 1), RowHit(row: RowID(1), score: 0), RowHit(row: RowID(3), score: -1),
            ])
        #expect(try index.search([0, 0], k: 3, filter: nil).map(\.score) == [0, 0, 0])
        #expect(index.verify() == [])
    }

    @Test(arguments: IndexFactory.all)
    func `scores that overflow are ordered and nothing is lost`(factory: IndexFactory) throws {
        let big = Float.greatestFiniteMagnitude
        let index = try open(factory, 2, .innerProduct)
        try index.add(VectorRows(rows: [1, 2, 3].map { RowID($0) }, values: [big, big, -big, big, 1, 1]))
        let hits = try index.search([big, big], k: 3, filter: nil)
        #expect(hits.map(\.row.rawValue).first == 1)
        #expect(Set(hits.map(\.row.rawValue)) == [1, 2, 3])
        let scaled = try factory.open(folder.path + "/cosine", 2, .cosine, false)
        try scaled.add(VectorRows(rows: [RowID(1), RowID(2)], values: [big, big, 0, 0x1p-133]))
        #expect(abs(try scaled.search([0x1p-133, 0x1p-133], k: 1, filter: nil)[0].score - 1) < 1e-5)
    }

    // MARK: Changes

    @Test(arguments: IndexFactory.all)
    func `a row added again replaces the old one, wherever that is`(factory: IndexFactory) throws {
        let index = try open(factory, 2, .innerProduct)
        try index.add(VectorRows(rows: [RowID(1), RowID(2), RowID(1)], values: [9, 0, 2, 0, 3, 0]))
        #expect(try index.search([1, 0], k: 9, filter: nil) == [RowHit(row: RowID(1), score: 3), RowHit(row: RowID(2), score: 2)])
        try index.seal(at: position(2))
        try index.add(VectorRows(rows: [RowID(1)], values: [1, 0]))
        #expect(try index.search([1, 0], k: 9, filter: nil) == [RowHit(row: RowID(2), score: 2), RowHit(row: RowID(1), score: 1)])
        try index.add(VectorRows(rows: [RowID(1)], values: [7, 0]))
        try index.seal(at: position(2))
        let reopened = try open(factory, 2, .innerProduct)
        for index in [index, reopened] {
            #expect(try index.search([1, 0], k: 9, filter: nil) == [RowHit(row: RowID(1), score: 7), RowHit(row: RowID(2), score: 2)])
            #expect(index.count == 2)
            #expect(index.verify() == [])
        }
    }

    @Test(arguments: IndexFactory.all)
    func `one batch may hold a row many times, also across chunks`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 77)
        let index = try open(factory, 4, .innerProduct)
        var oracle = Oracle(dimension: 4, metric: .innerProduct)
        for _ in 0..<5 {
            let batch = rows((0..<3000).map { _ in Int64.random(in: 1...200, using: &generator) }, 4, &generator)
            try index.add(batch)
            oracle.add(batch)
        }
        #expect(index.liveRows().map(\.rawValue) == oracle.ids)
        let query = wholeVector(4, &generator)
        oracle.check(try index.search(query, k: 300, filter: nil), query, k: 300, "after repeated adds")
        #expect(index.verify() == [])
    }

    @Test(arguments: IndexFactory.all)
    func `a removed row never returns`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 8)
        let index = try open(factory, 4, .l2)
        try index.add(rows(Array(1...400), 4, &generator))
        try index.seal(at: position(400))
        try index.add(rows(Array(401...500), 4, &generator))
        let gone = Set((1...500).filter { _ in Int.random(in: 0..<3, using: &generator) == 0 } as [Int64])
        index.remove(gone.map { RowID($0) })
        func check(_ index: any VectorIndex) throws {
            let found = try index.search([0, 0, 0, 0], k: 1000, filter: nil).map(\.row.rawValue)
            #expect(Set(found) == Set(1...500).subtracting(gone))
            #expect(try index.search([0, 0, 0, 0], k: 1000, filter: RowSet(gone.map { RowID($0) })) == [])
            #expect(try index.scores(of: gone.map { RowID($0) }, for: [0, 0, 0, 0]) == [])
            #expect(Set(index.liveRows().map(\.rawValue)) == Set(found))
            #expect(index.count == found.count)
        }
        try check(index)
        try index.seal(at: position(500, 9))
        try check(index)
        try check(try open(factory, 4, .l2))
        try index.compact(at: position(500, 9))
        try check(index)
        try check(try open(factory, 4, .l2))
        #expect(index.verify() == [])
    }

    // MARK: Files

    @Test(arguments: IndexFactory.all)
    func `a new index is empty and at the beginning`(factory: IndexFactory) throws {
        let index = try open(factory, 4, .cosine)
        #expect(index.count == 0 && index.unsealedCount == 0 && index.sealedPosition == IndexPosition())
        #expect(index.dimension == 4 && index.metric == .cosine)
        #expect(index.verify() == [])
        let missing = try factory.open(folder.path + "/missing", 4, .cosine, true)
        #expect(missing.count == 0)
        #expect(missing.verify() == [])
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/missing"))
    }

    @Test(arguments: IndexFactory.all)
    func `reopening gives what was sealed and its position, nothing later`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 3)
        let index = try open(factory, 4, .innerProduct)
        try index.add(rows([1, 2, 3], 4, &generator))
        #expect(index.unsealedCount == 3)
        try index.seal(at: position(3, 1))
        #expect(index.unsealedCount == 0)
        #expect(index.sealedPosition == position(3, 1))
        try index.add(rows([4], 4, &generator))
        index.remove([RowID(2)])
        let reopened = try open(factory, 4, .innerProduct)
        #expect(reopened.liveRows().map(\.rawValue) == [1, 2, 3])
        #expect(reopened.sealedPosition == position(3, 1))
        try reopened.seal(at: position(3, 5))
        #expect(try open(factory, 4, .innerProduct).sealedPosition == position(3, 5))
    }

    @Test(arguments: IndexFactory.all)
    func `other settings are refused`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 3)
        let index = try open(factory, 4, .innerProduct)
        try index.add(rows([1], 4, &generator))
        try index.seal(at: position(1))
        for (dimension, metric) in [(5, Metric.innerProduct), (4, .cosine)] {
            #expect { _ = try open(factory, dimension, metric) } throws: { error in
                guard case VectorIndexError.configurationChanged(folder.path) = error else { return false }
                return true
            }
        }
    }

    @Test(arguments: IndexFactory.all)
    func `a read-only index leaves the folder alone but follows in memory`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 3)
        let owner = try open(factory, 4, .innerProduct)
        try owner.add(rows([1, 2], 4, &generator))
        try owner.seal(at: position(2))
        let before = folder.paths
        let reader = try open(factory, 4, .innerProduct, readOnly: true)
        try reader.add(rows([3], 4, &generator))
        reader.remove([RowID(1)])
        #expect(reader.liveRows().map(\.rawValue) == [2, 3])
        for action in [reader.seal, reader.compact] {
            #expect { try action(position(3)) } throws: { error in
                guard case VectorIndexError.readOnly(folder.path) = error else { return false }
                return true
            }
        }
        #expect(reader.verify() == [])
        #expect(folder.paths == before)
        #expect(try open(factory, 4, .innerProduct).liveRows().map(\.rawValue) == [1, 2])
    }

    @Test(arguments: IndexFactory.all)
    func `many small seals leave few files, and compacting leaves one segment`(factory: IndexFactory) throws {
        var generator = SeededGenerator(seed: 12)
        let index = try open(factory, 4, .l2)
        var oracle = Oracle(dimension: 4, metric: .l2)
        for round in 0..<60 as Range<Int64> {
            let batch = rows(Array(round * 10..<round * 10 + 10), 4, &generator)
            try index.add(batch)
            oracle.add(batch)
            let gone = [RowID(round * 10 + 3), RowID(round * 5)]
            index.remove(gone)
            oracle.remove(gone)
            try index.seal(at: position(round))
            #expect(folder.names.count <= 6, "round \(round): \(folder.names)")
        }
        let query = wholeVector(4, &generator)
        oracle.check(try index.search(query, k: 1000, filter: nil), query, k: 1000, "sealed")
        try index.compact(at: position(60))
        #expect(folder.names.count == 2, "\(folder.names)")
        #expect(folder.paths.count <= 3, "\(folder.paths)")
        oracle.check(try open(factory, 4, .l2).search(query, k: 1000, filter: nil), query, k: 1000, "compacted")
    }

    @Test(arguments: IndexFactory.all)
    func `compacting removes every trace of a removed vector`(factory: IndexFactory) throws {
        let index = try open(factory, 4, .innerProduct)
        let marker: [Float] = [123.25, -77.5, 5.125, 0.375]
        var generator = SeededGenerator(seed: 6)
        try index.add(rows([1, 2], 4, &generator))
        try index.add(VectorRows(rows: [RowID(3)], values: marker))
        try index.seal(at: position(3))
        func isThere() -> Bool {
            let needle = marker.withUnsafeBytes { Array($0) }
            return folder.paths.contains { Data(folder.read($0)).range(of: Data(needle)) != nil }
        }
        #expect(isThere())
        index.remove([RowID(3)])
        try index.compact(at: position(3, 1))
        #expect(!isThere())
        #expect(index.sealedPosition == position(3, 1))
        index.remove([RowID(1), RowID(2)])
        try index.compact(at: position(3, 3))
        let reopened = try open(factory, 4, .innerProduct)
        #expect(reopened.count == 0 && reopened.sealedPosition == position(3, 3))
        #expect(folder.paths == ["manifest.json"])
    }

    // MARK: Everything at once

    /// Random operations against the specification. On reopening, what came after the last seal is done again, as a server does from its database.
    @Test(arguments: IndexFactory.all, Array(1...16) as [UInt64])
    func `any sequence of operations does what a dictionary does`(factory: IndexFactory, seed: UInt64) throws {
        enum Change {
            case add(VectorRows)
            case remove([RowID])
        }
        var generator = SeededGenerator(seed: seed)
        let metric = Metric.allCases.randomElement(using: &generator)!
        let dimension = [1, 3, 8, 20].randomElement(using: &generator)!
        var index = try open(factory, dimension, metric)
        var oracle = Oracle(dimension: dimension, metric: metric)
        var unsealed: [Change] = []
        var nextID: Int64 = 1
        var sealCount: Int64 = 0
        for step in 0..<100 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<7:
                let count = Int64([1, 5, 70, 250].randomElement(using: &generator)!)
                var ids = Array(nextID..<nextID + count)
                nextID += count + Int64.random(in: 0...3, using: &generator)
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    ids += oracle.ids.shuffled(using: &generator).prefix(20)
                    ids.shuffle(using: &generator)
                }
                let batch = rows(ids, dimension, &generator)
                try index.add(batch)
                oracle.add(batch)
                unsealed.append(.add(batch))
            case 7..<11:
                let count = Int.random(in: 0...200, using: &generator)
                let gone = oracle.ids.shuffled(using: &generator).prefix(count).map { RowID($0) } + [RowID(nextID + 5)]
                index.remove(gone)
                oracle.remove(gone)
                unsealed.append(.remove(gone))
            case 11..<14:
                sealCount += 1
                try index.seal(at: position(nextID, sealCount))
                unsealed = []
            case 14:
                sealCount += 1
                try index.compact(at: position(nextID, sealCount))
                unsealed = []
            case 15:
                index = try open(factory, dimension, metric)
                #expect(index.sealedPosition.deletionSequence == sealCount)
                for change in unsealed {
                    switch change {
                    case .add(let batch): try index.add(batch)
                    case .remove(let gone): index.remove(gone)
                    }
                }
            default:
                let query = wholeVector(dimension, &generator)
                let k = [1, 10, 300].randomElement(using: &generator)!
                var filter: Set<Int64>?
                if Bool.random(using: &generator) {
                    let share = [0.01, 0.3, 0.9].randomElement(using: &generator)!
                    filter = Set((1...nextID).filter { _ in Double.random(in: 0..<1, using: &generator) < share })
                }
                let hits = try index.search(query, k: k, filter: filter.map { RowSet($0.map { RowID($0) }) })
                oracle.check(hits, query, k: k, filter: filter, "seed \(seed), step \(step)")
            }
            #expect(index.count == oracle.vectors.count, "seed \(seed), step \(step)")
        }
        #expect(index.liveRows().map(\.rawValue) == oracle.ids, "seed \(seed)")
        #expect(index.verify() == [], "seed \(seed)")
    }
}
