import Foundation
import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// Random sequences of everything that can be done to an index, beside a dictionary that does the same.
///
/// Single calls prove little: a bitmap that ends before a run does was harmless until a deletion, more rows and a look-up came in this order.
struct RandomOperationsTests {
    @Test func `a bitmap of deletions says what a set says, however far the run has grown since`() {
        RandomRuns.forEachSeed(12) { seed in
            var generator = SeededGenerator(seed: seed)
            var tombstones = RowTombstones()
            var deleted: Set<Int> = []
            var rows = 0
            for _ in 0..<60 {
                rows += Int.random(in: 0...90, using: &generator)
                for _ in 0..<Int.random(in: 0...3, using: &generator) where rows > 0 {
                    let position = Int.random(in: 0..<rows, using: &generator)
                    let isNew = deleted.insert(position).inserted
                    #expect(tombstones.insert(position, rows: rows) == isNew, "seed \(seed)")
                }
                #expect((0..<rows + 100).allSatisfy { tombstones.contains($0) == deleted.contains($0) }, "seed \(seed), \(rows) rows")
                var live: [Int] = []
                for word in 0..<RowTombstones.wordCount(rows: rows) {
                    let mask = tombstones.liveMask(word: word, rows: rows)
                    live += (0..<64).filter { mask >> UInt64($0) & 1 == 1 }.map { word * 64 + $0 }
                }
                #expect(live == (0..<rows).filter { !deleted.contains($0) } && tombstones.count == deleted.count, "seed \(seed)")
            }
        }
    }

    @Test(arguments: IndexFactory.all, [false, true])
    func `scores of rows that were added after a deletion in their chunk`(factory: IndexFactory, replaces: Bool) throws {
        // One row for each chunk and each place of the deletion that leaves the bitmap shorter than the chunk will be.
        for first in [1, 2, 63, 64, 65, 500, 505] {
            let folder = TemporaryFolder.inMemory()
            let index = try factory.open(folder.path, 4, .innerProduct, false)
            var oracle = Oracle(dimension: 4, metric: .innerProduct)
            var generator = SeededGenerator(seed: UInt64(first))
            func add(_ ids: [Int64]) throws {
                // One at a time, as documents come in.
                for id in ids {
                    let row = rows([id], 4, &generator)
                    oracle.add(row)
                    try index.add(row)
                }
            }
            try add((1...Int64(first)).map { $0 })
            if replaces {
                try add([Int64(first)])
            } else {
                index.remove([RowID(Int64(first))])
                oracle.remove([RowID(Int64(first))])
            }
            try add((Int64(first) + 1...Int64(first) + 300).map { $0 })
            let query = wholeVector(4, &generator)
            for id in stride(from: Int64(1), through: Int64(first) + 300, by: 7) {
                oracle.check(try index.scores(of: [RowID(id)], for: query), query, k: 1, filter: [id], "row \(id) after \(first)")
            }
        }
    }

    @Test(arguments: IndexFactory.all)
    func `random operations give what a dictionary gives`(factory: IndexFactory) throws {
        try RandomRuns.forEachSeed(factory.name == "flat" ? 40 : 14) { try run(factory, seed: $0) }
    }

    private func run(_ factory: IndexFactory, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let dimension = [1, 3, 8, 17].randomElement(using: &generator)!
        let metric = Metric.allCases.randomElement(using: &generator)!
        let folder = TemporaryFolder.inMemory()
        var index = try factory.open(folder.path, dimension, metric, false)
        var model = Oracle(dimension: dimension, metric: metric)
        var sealed = model
        var next: Int64 = 1
        var position = IndexPosition()
        var log: [String] = []
        func what() -> String {
            "\(factory.name), seed \(seed), \(metric) of \(dimension), after \(log.suffix(12).joined(separator: ", "))"
        }

        func someIDs(_ count: Int) -> [Int64] {
            (0..<count).map { _ in
                // Known, gone, never seen; the newest more often than chance would have it.
                Bool.random(using: &generator)
                    ? Int64.random(in: 1...next + 5, using: &generator) : max(1, next - Int64.random(in: 0...20, using: &generator))
            }
        }
        for _ in 0..<70 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0...5:
                let count = Int64([1, 1, 2, 40, 150].randomElement(using: &generator)!)
                var ids = (next..<next + count).map { $0 }
                next += count
                if Int.random(in: 0..<4, using: &generator) == 0 { ids.shuffle(using: &generator) }
                let batch = rows(ids, dimension, &generator)
                try index.add(batch)
                model.add(batch)
                log.append("add \(count)")
            case 6...7:
                let batch = rows(someIDs(Int.random(in: 1...6, using: &generator)), dimension, &generator)
                try index.add(batch)
                model.add(batch)
                next = max(next, (batch.rows.map(\.rawValue).max() ?? 0) + 1)
                log.append("replace \(batch.rows.map(\.rawValue))")
            case 8...10:
                let ids = someIDs([1, 1, 3, 60].randomElement(using: &generator)!).map { RowID($0) }
                index.remove(ids)
                model.remove(ids)
                log.append("remove \(ids.count)")
            case 11...12:
                position = IndexPosition(highWater: RowID(next), deletionSequence: position.deletionSequence + 1)
                try index.seal(at: position)
                sealed = model
                log.append("seal")
            case 13:
                position = IndexPosition(highWater: RowID(next), deletionSequence: position.deletionSequence + 1)
                try index.compact(at: position)
                sealed = model
                log.append("compact")
            case 14:
                index = try factory.open(folder.path, dimension, metric, false)
                #expect(index.sealedPosition == position, "\(what())")
                model = sealed
                log.append("reopen")
            case 15:
                let reader = try factory.open(folder.path, dimension, metric, true)
                #expect(reader.liveRows().map(\.rawValue) == sealed.ids, "\(what()): a reader beside it")
            default: break
            }
            #expect(index.count == model.vectors.count, "\(what())")
            let query = wholeVector(dimension, &generator)
            let k = [1, 3, 10, model.vectors.count + 10].randomElement(using: &generator)!
            let wanted = someIDs([0, 1, 1, 2, 5, 50].randomElement(using: &generator)!)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: model.check(try index.search(query, k: k, filter: nil), query, k: k, "\(what()): search")
            case 1:
                let filter = Set(wanted)
                model.check(
                    try index.search(query, k: k, filter: RowSet(wanted.map { RowID($0) })), query, k: k, filter: filter,
                    "\(what()): filter of \(filter.count)")
            case 2:
                let filter = Set((1...next).filter { $0 % 3 != 0 })
                model.check(
                    try index.search(query, k: k, filter: RowSet(filter.map { RowID($0) })), query, k: k, filter: filter,
                    "\(what()): large filter")
            default:
                model.check(
                    try index.scores(of: wanted.map { RowID($0) }, for: query), query, k: .max, filter: Set(wanted), "\(what()): scores")
            }
        }
        #expect(index.liveRows().map(\.rawValue) == model.ids, "\(what())")
        #expect(index.verify() == [], "\(what())")
    }
}
