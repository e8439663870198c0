import Foundation
import Kernels
import Storage
import TestSupport
import Testing

@testable import VectorSearch

/// Indexes that keep their vectors in half precision.
struct HalfPrecisionTests {
    private let folder = TemporaryFolder.inMemory()
    private let dimension = 19

    private func vector(_ generator: inout SeededGenerator) -> [Float] {
        (0..<dimension).map { _ in Float.random(in: -1...1, using: &generator) }
    }

    /// What an index of half precision holds of a vector.
    private func kept(_ vector: [Float]) -> [Float] {
        var vector = vector
        vector.withUnsafeMutableBufferPointer { _ = KernelTable.normalize($0) }
        return vector.map { Float(Float16($0)) }
    }

    private func open(lists: Bool, precision: VectorPrecision = .half, readOnly: Bool = false) throws -> any VectorIndex {
        if !lists {
            return try FlatIndex(directory: folder.path, dimension: dimension, metric: .cosine, precision: precision, readOnly: readOnly)
        }
        // Every list is probed.
        return try IVFIndex(
            directory: folder.path, dimension: dimension, metric: .cosine, precision: precision, readOnly: readOnly, recallTarget: 1,
            parameters: IVFParameters(rowCountMin: 1, sampleFactor: 4, iterations: 1, threads: 1, planSampleCount: 0))
    }

    /// The specification: every row scored by itself.
    private func expected(_ rows: [Int64: [Float]], _ query: [Float], k: Int, filter: Set<Int64>?) -> [RowHit] {
        var query = query
        query.withUnsafeMutableBufferPointer { _ = KernelTable.normalize($0) }
        let hits = rows.filter { filter?.contains($0.key) ?? true }.map { id, vector in
            query.withUnsafeBufferPointer { query in
                vector.withUnsafeBufferPointer { RowHit(row: RowID(id), score: KernelTable.best.innerProduct(query, $0)) }
            }
        }
        return Array(hits.sorted { $0.score > $1.score || $0.score == $1.score && $0.row < $1.row }.prefix(k))
    }

    @Test(arguments: [false, true], 1...6 as ClosedRange<UInt64>)
    func `scores have the bits of the rounded rows, unsealed and sealed, through all changes`(lists: Bool, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var model: [Int64: [Float]] = [:]
        var index = try open(lists: lists)
        var next: Int64 = 1
        var deletions: Int64 = 0
        for step in 0..<30 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4:
                let ids = (0..<Int.random(in: 1...80, using: &generator)).map { next + Int64($0) }
                next += Int64(ids.count)
                let vectors = ids.map { _ in vector(&generator) }
                try index.add(VectorRows(rows: ids.map { RowID($0) }, values: vectors.flatMap { $0 }))
                for (id, vector) in zip(ids, vectors) { model[id] = kept(vector) }
            case 4..<6:
                let gone = model.keys.filter { _ in Int.random(in: 0..<9, using: &generator) == 0 }
                index.remove(gone.map { RowID($0) })
                for id in gone { model[id] = nil }
                deletions += 1
            case 6..<8: try index.seal(at: position(next, deletions))
            case 8: try index.compact(at: position(next, deletions))
            default:
                try index.seal(at: position(next, deletions))
                index = try open(lists: lists, readOnly: Bool.random(using: &generator) && step == 29)
            }
            for _ in 0..<4 {
                let query = vector(&generator)
                let share = Int.random(in: 0..<12, using: &generator)
                let filter = share > 6 ? nil : Set(model.keys.filter { _ in Int.random(in: 0...share * share, using: &generator) == 0 })
                let wanted = expected(model, query, k: 10, filter: filter)
                let found = try index.search(query, k: 10, filter: filter.map { RowSet($0.map { RowID($0) }) })
                #expect(found == wanted, "seed \(seed), step \(step)")
                let some = Array(model.keys.prefix(7))
                let scores = try index.scores(of: some.map { RowID($0) }, for: query)
                #expect(Set(scores) == Set(expected(model, query, k: 7, filter: Set(some))), "seed \(seed), step \(step)")
            }
        }
        #expect(index.verify() == [] && index.count == model.count)
    }

    @Test func `files are of version 2 and have half the bytes`() throws {
        let index = try open(lists: false)
        var generator = SeededGenerator(seed: 3)
        let vectors = (0..<3000).map { _ in vector(&generator) }
        try index.add(VectorRows(rows: (1...3000).map { RowID($0) }, values: vectors.flatMap { $0 }))
        try index.seal(at: position(3000))
        let file = try SegmentFile(path: folder.path + "/flat-00000001.seg", kind: "FLAT", version: 2, verifyingSections: true)
        #expect(file.sectionNames == ["meta", "rows", "values"])
        #expect(try Array(file.array("meta", of: UInt64.self)) == [UInt64(dimension), 0, 3000])
        #expect(try file.array("values", of: UInt16.self).elementsEqual(vectors.flatMap { kept($0) }.map { Float16($0).bitPattern }))
        #expect(file.size < 3000 * (dimension * 2 + 8) + 3 * 4096 + 4096)
    }

    @Test(arguments: [false, true])
    func `files of single precision are read as they are, and rounded when they are rewritten`(lists: Bool) throws {
        var generator = SeededGenerator(seed: 5)
        let vectors = (0..<400).map { _ in vector(&generator) }
        let query = vector(&generator)
        func add(_ range: Range<Int>, to index: any VectorIndex) throws {
            try index.add(VectorRows(rows: range.map { RowID(Int64($0)) }, values: range.flatMap { vectors[$0] }))
        }
        let before: [RowHit]
        do {
            let old = try open(lists: lists, precision: .single)
            try add(0..<300, to: old)
            try old.seal(at: position(299))
            before = try old.search(query, k: 20, filter: nil)
        }
        do {
            // One file without deletions is rewritten all the same.
            let copy = TemporaryFolder.inMemory()
            for name in folder.names where name.hasSuffix("seg") || name.hasSuffix("json") {
                try FileManager.default.copyItem(atPath: folder.path + "/" + name, toPath: copy.path + "/" + name)
            }
            let index = try FlatIndex(directory: copy.path, dimension: dimension, metric: .cosine, precision: .half)
            #expect(try index.search(query, k: 20, filter: nil) == before)
            try index.compact(at: position(299))
            let model = Dictionary(uniqueKeysWithValues: vectors[..<300].enumerated().map { (Int64($0), kept($1)) })
            #expect(try index.search(query, k: 20, filter: nil) == expected(model, query, k: 20, filter: nil))
        }
        let index = try open(lists: lists)
        #expect(try index.search(query, k: 20, filter: nil) == before)
        try add(300..<400, to: index)
        try index.seal(at: position(399))
        // Two kinds of files beside each other.
        #expect(index.verify() == [] && index.count == 400)
        #expect(try index.search(query, k: 20, filter: RowSet((0..<300).map { RowID(Int64($0)) })) == before)
        try index.compact(at: position(399))
        let model = Dictionary(uniqueKeysWithValues: vectors.enumerated().map { (Int64($0), kept($1)) })
        #expect(try index.search(query, k: 50, filter: nil) == expected(model, query, k: 50, filter: nil))
        #expect(try open(lists: lists).search(query, k: 50, filter: nil) == expected(model, query, k: 50, filter: nil))
        #expect(index.verify() == [])
    }

    @Test func `a number that is not finite in a file is told`() throws {
        let index = try FlatIndex(directory: folder.path, dimension: dimension, metric: .cosine, precision: .half)
        try index.add(VectorRows(rows: [RowID(1)], values: [Float](repeating: 1, count: dimension)))
        try index.seal(at: position(1))
        let path = folder.path + "/flat-00000001.seg"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let one = withUnsafeBytes(of: Float16(kept([Float](repeating: 1, count: dimension))[0]).bitPattern) { Data($0) }
        let place = try #require(bytes.range(of: one + one + one)).lowerBound
        bytes[place] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
        #expect(index.verify().contains { $0.contains("checksum") })
    }

    @Test func `rounding costs next to no recall`() throws {
        let dimension = 128
        var generator = SeededGenerator(seed: 11)
        func vector() -> [Float] { (0..<dimension).map { _ in Float.random(in: -1...1, using: &generator) } }
        let vectors = (0..<2000).map { _ in vector() }
        let rows = VectorRows(rows: (0..<2000).map { RowID($0) }, values: vectors.flatMap { $0 })
        let indexes = try [VectorPrecision.single, .half].map { precision in
            let index = try FlatIndex(
                directory: folder.path + "/\(precision)", dimension: dimension, metric: .cosine, precision: precision)
            try index.add(rows)
            try index.seal(at: position(2000))
            return index
        }
        var (found, wanted) = (0, 0)
        for _ in 0..<100 {
            let query = vector()
            let (exact, rounded) = (try indexes[0].search(query, k: 10, filter: nil), try indexes[1].search(query, k: 10, filter: nil))
            found += Set(exact.map(\.row)).intersection(rounded.map(\.row)).count
            wanted += exact.count
            for (a, b) in zip(exact, rounded) { #expect(abs(a.score - b.score) < 1e-4) }
        }
        #expect(Double(found) / Double(wanted) > 0.99)
    }
}
