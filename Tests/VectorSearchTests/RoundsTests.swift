import Foundation
import Kernels
import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

/// Lists handed out from copies at odd places, after waits, and with others in between: what a pool in memory or on a device might do.
private final class ScatteredLists: ListSource {
    private let file: InvertedFile
    private let copies: [AlignedMemory]
    private let places: AlignedMemory
    /// How often each list was asked for.
    let leased = Mutex<[ListID: Int]>([:])

    init(_ file: InvertedFile, _ random: inout SeededGenerator) {
        self.file = file
        places = AlignedMemory(size: file.nlist * MemoryLayout<InvertedFile.List>.stride)
        let table: UnsafeMutablePointer<InvertedFile.List> = places.pointer()
        var copies: [AlignedMemory] = []
        for index in (0..<file.nlist).shuffled(using: &random) {
            let (address, size) = file.extent(of: index)
            let copy = AlignedMemory(size: size, alignment: 4096)
            copy.base.update(from: address.assumingMemoryBound(to: UInt8.self), count: size)
            copies.append(copy)
            let original = file.list(index)
            func moved<Element>(_ pointer: UnsafePointer<Element>) -> UnsafePointer<Element> {
                UnsafeRawPointer(copy.base + (UnsafeRawPointer(pointer) - address)).assumingMemoryBound(to: Element.self)
            }
            table[index] = InvertedFile.List(
                count: original.count, blockCount: original.blockCount, blocks: moved(original.blocks), rows: moved(original.rows),
                factors: moved(original.factors), codes: moved(original.codes))
        }
        self.copies = copies
    }

    func expect(_ lists: [ListID], for ticket: LookaheadTicket) {}
    func cancel(_ ticket: LookaheadTicket) {}
    func lease(_ lists: [ListID]) throws(Never) -> ListLease {
        leased.withLock { leased in for list in lists { leased[list, default: 0] += 1 } }
        return ListLease(places: UnsafePointer(places.pointer(of: InvertedFile.List.self)), owner: self)
    }
}

/// Makes the visits in another order, and in several scans.
private struct ShuffledScanner: ListScanner {
    let seed: UInt64
    func scan(
        _ visits: [Visit], in lease: borrowing ListLease, of target: ScanTarget, for queries: [ScanQuery],
        into sets: UnsafeMutableBufferPointer<CandidateSet>, scratch: ScanScratch
    ) {
        var random = SeededGenerator(seed: seed &+ UInt64(visits.count))
        var rest = visits.shuffled(using: &random)[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...rest.count, using: &random)
            KernelScanner().scan(Array(rest.prefix(count)), in: lease, of: target, for: queries, into: sets, scratch: scratch)
            rest = rest.dropFirst(count)
        }
    }
}

/// An answer is a function of query and index: nothing about how a search was carried out may show in it.
@Suite struct RoundsTests {
    /// An index of several parts with deletions, and queries near and far.
    private struct Case {
        let folder = TemporaryFolder.inMemory()
        let index: IVFIndex
        let queries: [[Float]]
        let dimension: Int
        let k: Int
        let filter: RowSet?
        let tuning: IVFIndex.Tuning

        init(seed: UInt64) throws {
            var random = SeededGenerator(seed: seed)
            dimension = [32, 64, 100, 130].randomElement(using: &random)!
            let metric = Metric.allCases.randomElement(using: &random)!
            let count = Int.random(in: 1500...5000, using: &random)
            let data = ClusteredData(count: count, dimension: dimension, queryCount: 40, seed: seed)
            index = try IVFIndex(
                directory: folder.path + "/ivf", dimension: dimension, metric: metric, recallTarget: 0.95,
                parameters: IVFParameters(rowCountMin: 300, sampleFactor: 8, iterations: 2, threads: 1, planSampleCount: 60))
            var start = 0
            for part in 1...Int.random(in: 1...3, using: &random) {
                let end = part == 3 ? count - 50 : min(count - 50, start + Int.random(in: 400...count, using: &random))
                guard end > start else { break }
                try index.add(data.batch(start..<end))
                try index.seal(at: IndexPosition(highWater: RowID(Int64(part)), deletionSequence: 0))
                start = end
            }
            try index.add(data.batch(start..<count))
            index.remove((1...Int64(count)).filter { _ in Int.random(in: 0..<9, using: &random) == 0 }.map { RowID($0) })
            filter =
                Bool.random(using: &random)
                ? nil : RowSet((1...Int64(count)).filter { _ in Int.random(in: 0..<10, using: &random) != 0 }.map { RowID($0) })
            k = [1, 10, 50, 300].randomElement(using: &random)!
            tuning = .recall([0.8, 0.95, 0.99].randomElement(using: &random)!)
            var queries = data.queries
            // Far from everything, and nothing at all.
            queries.append((0..<dimension).map { _ in Float.random(in: -50...50, using: &random) })
            queries.append([Float](repeating: 0, count: dimension))
            self.queries = queries
        }
    }

    private static func bits(_ hits: [RowHit]) -> [[UInt64]] {
        hits.map { [UInt64(bitPattern: $0.row.rawValue), UInt64($0.score.bitPattern)] }
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func `alone, in a batch and on threads a query gets the same rows and the same bits`(seed: UInt64) throws {
        let test = try Case(seed: seed)
        let alone = try test.queries.map { Self.bits(try test.index.search($0, k: test.k, filter: test.filter, tuning: test.tuning).hits) }
        for threads in [1, 2, 5] {
            let together = try test.index.search(
                batch: test.queries.flatMap { $0 }, k: test.k, filter: test.filter, threads: threads, tuning: test.tuning)
            #expect(together.map(Self.bits) == alone, "seed \(seed), \(threads) threads")
        }
        // In another company and another order.
        var random = SeededGenerator(seed: seed)
        let order = test.queries.indices.shuffled(using: &random).prefix(17)
        let some = try test.index.search(
            batch: order.flatMap { test.queries[$0] }, k: test.k, filter: test.filter, threads: 2, tuning: test.tuning)
        #expect(some.map(Self.bits) == order.map { alone[$0] }, "seed \(seed)")
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func `where lists lie and in which order they are visited changes nothing`(seed: UInt64) throws {
        let test = try Case(seed: seed &* 101)
        let snapshot = test.index.flat.snapshot
        for run in snapshot.sealed {
            guard let file = test.index.files.part(for: run) else { continue }
            var random = SeededGenerator(seed: seed)
            let scattered = ScatteredLists(file, &random)
            let queries = try test.queries.map { try test.index.flat.prepare($0) }
            let probe = InvertedFile.Probe(
                run: run, filter: test.filter, part: 0, parameters: ProbeParameters(recall: 0.95, k: test.k, plan: file.plan))
            func found(_ source: some ListSource, _ scanner: some ListScanner, together: Bool) throws -> [[Int64]] {
                let memory = ProbeMemory(for: file)
                var sets = queries.map { _ in CandidateSet(k: test.k) }
                let buffers = queries.map { query in
                    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: query.count)
                    _ = buffer.initialize(from: query)
                    return buffer
                }
                defer { for buffer in buffers { buffer.deallocate() } }
                let views = buffers.map { UnsafeBufferPointer($0) }
                try sets.withUnsafeMutableBufferPointer { sets in
                    if together {
                        try file.search(views, probe, into: sets, memory: memory, source: source, scanner: scanner)
                    } else {
                        for number in views.indices {
                            try file.search(
                                [views[number]], probe, into: UnsafeMutableBufferPointer(rebasing: sets[number...number]), memory: memory,
                                source: source, scanner: scanner)
                        }
                    }
                }
                return sets.map { set in
                    set.top.sorted.flatMap { [$0.id, Int64($0.score.bitPattern)] } + set.survivors(part: 0).map { Int64($0) }
                }
            }
            let plain = try found(MappedLists(file: file), KernelScanner(), together: false)
            #expect(try found(scattered, KernelScanner(), together: true) == plain, "seed \(seed)")
            #expect(try found(scattered, ShuffledScanner(seed: seed), together: true) == plain, "seed \(seed)")
            #expect(try found(MappedLists(file: file), ShuffledScanner(seed: seed), together: false) == plain, "seed \(seed)")
            #expect(scattered.leased.withLock { $0.values.reduce(0, +) } > 0)
        }
    }

    @Test func `rounds grow, never overlap, and end at the last list`() {
        var taken = 0
        var ends: [Int] = []
        while taken < 2000 {
            let end = ProbeRounds.end(after: taken)
            #expect(end > taken)
            taken = end
            ends.append(end)
        }
        #expect(ends == [1, 3, 8, 24, 72, 216, 648, 1944, 5832])
    }

    @Test func `expecting lists is advice: any numbers, also those that are no list`() throws {
        let test = try Case(seed: 5)
        for run in test.index.flat.snapshot.sealed {
            guard let file = test.index.files.part(for: run) else { continue }
            let source = MappedLists(file: file)
            source.expect(Array(0..<ListID(file.nlist)) + [ListID.max], for: LookaheadTicket(number: 1))
            source.cancel(LookaheadTicket(number: 1))
        }
        #expect(try !test.index.search(test.queries[0], k: 3, filter: nil).isEmpty)
    }
}
