import ArgumentParser
import Evaluation
import Foundation
import Kernels
import Storage
import VectorSearch

/// `outrider-bench ann writer`: upserts, deletes, seals and compacts without end, so that a test can kill it at any moment and look at what is left.
///
/// Everything follows from the seed and the round's number, so whoever knows the last acknowledged round can say which vector every row must have.
/// After each seal or compaction it prints `sealed <round> <rows> <checksum>`. A round that was not acknowledged may still be on disk; half of one may not.
struct BenchAnnWriter: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "writer", abstract: "Internal: changes an index until it is killed, or checks what a killed one left.",
        shouldDisplay: false)

    @Option(help: "Folder of the index.") var index: String
    @Option(help: "Seed of rows and operations.") var seed: UInt64 = 1
    @Option(help: "Coordinates of a vector.") var dimension: Int = 24
    @Option(help: "Rounds after which it ends.") var rounds: Int64 = .max
    @Flag(help: "Opens, verifies and prints the state instead of writing.") var check = false

    func run() throws {
        let parameters = IVFParameters(rowCountMin: 64, sampleFactor: 4, iterations: 2, planSampleCount: 16)
        let index = try IVFIndex(directory: index, dimension: dimension, metric: .l2, recallTarget: 1, parameters: parameters)
        let begun = index.sealedPosition.highWater.rawValue
        if check { return try report(index, round: begun) }
        var last = begun
        while last < rounds {
            let round = last + 1
            let plan = WriterPlan(seed: seed, round: round, dimension: dimension)
            try index.add(plan.added)
            index.remove(plan.removed)
            // The position names the round, so a reopened index tells how far it came.
            let position = IndexPosition(highWater: RowID(round), deletionSequence: round)
            if plan.compacts { try index.compact(at: position) } else { try index.seal(at: position) }
            last = round
            let state = WriterState(seed: seed, rounds: round, dimension: dimension, from: index)
            // A `write` of its own: it is out before the next round begins.
            FileHandle.standardOutput.write(Data("sealed \(round) \(state.rowCount) \(state.checksum)\n".utf8))
        }
    }

    /// Prints `state <round> <rows> <checksum> <expected rows> <expected checksum>`, then each flaw on a line; fails when there is one.
    private func report(_ index: IVFIndex, round: Int64) throws {
        var flaws = index.verify() + index.repairs
        let expected = WriterPlan.expected(seed: seed, rounds: round, dimension: dimension)
        let state = WriterState(seed: seed, rounds: round, dimension: dimension, from: index)
        if state.rowCount != expected.count { flaws.append("\(state.rowCount) rows live, expected \(expected.count)") }
        flaws += try state.flaws(of: index, expected: expected)
        index.waitForBuilds()
        flaws += index.verify()
        print("state \(round) \(state.rowCount) \(state.checksum)")
        for flaw in flaws { print("flaw: \(flaw)") }
        if !flaws.isEmpty { throw ExitCode.failure }
    }
}

/// What one round does.
private struct WriterPlan {
    let added: VectorRows
    let removed: [RowID]
    let compacts: Bool

    /// Ids come in this many groups of 1000; a group is written again when its turn comes, so the index stays small.
    private static let groupCount: Int64 = 12

    private static func first(_ round: Int64) -> Int64 { (1 + round % groupCount) * 1000 }

    /// Each round adds up to 300 rows, replaces some of the last ones and removes some.
    init(seed: UInt64, round: Int64, dimension: Int) {
        var words = SplitMix64(seed: seed &+ UInt64(round) &* 0x9E37_79B9_7F4A_7C15)
        var ids = (0..<Int64(1 + words.next() % 300)).map { Self.first(round) + $0 }
        for earlier in max(1, round - 6)..<round where words.next() % 2 == 0 {
            ids += (0..<20).map { _ in Self.first(earlier) + Int64(words.next() % 300) }
        }
        ids = Array(Set(ids)).sorted()
        added = VectorRows(
            rows: ids.map { RowID($0) }, values: ids.flatMap { Self.vector(seed: seed, round: round, id: $0, dimension: dimension) })
        var gone: [RowID] = []
        for _ in 0..<40 { gone.append(RowID(Self.first(Int64(words.next() % UInt64(Self.groupCount))) + Int64(words.next() % 300))) }
        removed = gone
        compacts = words.next() % 5 == 0
    }

    /// Small whole numbers: their scores are exact.
    static func vector(seed: UInt64, round: Int64, id: Int64, dimension: Int) -> [Float] {
        var words = SplitMix64(seed: seed &+ UInt64(round) &* 31 &+ UInt64(id) &* 0xD1B5_4A32_D192_ED03)
        return (0..<dimension).map { _ in Float(words.next() % 17) - 8 }
    }

    /// The round that wrote each live row last, after a number of rounds.
    static func expected(seed: UInt64, rounds: Int64, dimension: Int) -> [Int64: Int64] {
        var live: [Int64: Int64] = [:]
        guard rounds > 0 else { return live }
        for round in 1...rounds {
            let plan = WriterPlan(seed: seed, round: round, dimension: 0)
            for row in plan.added.rows { live[row.rawValue] = round }
            for row in plan.removed { live[row.rawValue] = nil }
        }
        return live
    }
}

/// The live rows of an index under one number.
private struct WriterState {
    let rowCount: Int
    let checksum: UInt32
    private let seed: UInt64
    private let dimension: Int
    private let rows: [RowID]

    init(seed: UInt64, rounds: Int64, dimension: Int, from index: IVFIndex) {
        self.seed = seed
        self.dimension = dimension
        rows = index.liveRows()
        rowCount = rows.count
        checksum = rows.map(\.rawValue).withUnsafeBytes { CRC32C.checksum(of: $0) }
    }

    /// Compares ids, and each row's vector by its distance from where it should lie: 0 when it is the same, and then also what a search finds first.
    func flaws(of index: IVFIndex, expected: [Int64: Int64]) throws -> [String] {
        var flaws: [String] = []
        let live = Set(rows.map(\.rawValue))
        for id in expected.keys where !live.contains(id) { flaws.append("row \(id) is lost") }
        for id in live where expected[id] == nil { flaws.append("row \(id) should not be there") }
        for (number, id) in expected.keys.sorted().enumerated() where live.contains(id) {
            let vector = WriterPlan.vector(seed: seed, round: expected[id]!, id: id, dimension: dimension)
            let hits = try index.scores(of: [RowID(id)], for: vector)
            if hits.first?.score != 0 { flaws.append("row \(id) has another vector than round \(expected[id]!) gave it") }
            if number % 7 == 0, try !index.search(vector, k: 3, filter: nil).contains(where: { $0.row == RowID(id) && $0.score == 0 }) {
                flaws.append("row \(id) is not found by its own vector")
            }
        }
        return Array(flaws.prefix(20))
    }
}
