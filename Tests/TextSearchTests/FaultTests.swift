import Foundation
import Storage
import TestSupport
import Testing

@testable import TextSearch

/// Files that are damaged, and a writer that stops at any of its steps.
@Suite struct FaultTests {
    private static func row(_ id: Int64) -> TextRow {
        TextRow(
            row: RowID(id), title: "title \(id % 7)",
            body: "common row\(id) even\(id % 2) " + String(repeating: "word\(id % 40) ", count: Int(id % 5)))
    }

    /// Two files, one of them with deletions.
    private static func makeIndex(_ directory: String) throws -> TextIndex {
        let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
        index.add((1...300).map { row($0) })
        try index.seal(at: IndexPosition(highWater: RowID(300)))
        index.add((301...320).map { row($0) })
        index.remove([RowID(5), RowID(310)])
        try index.seal(at: IndexPosition(highWater: RowID(320), deletionSequence: 2))
        return index
    }

    @Test func `any flipped bit is noticed when the index is opened`() throws {
        try withTemporaryDirectory { directory in
            _ = try Self.makeIndex(directory)
            var random = SeededGenerator(seed: 1)
            for name in try FileManager.default.contentsOfDirectory(atPath: directory).sorted() {
                let url = URL(fileURLWithPath: directory + "/" + name)
                let good = try Data(contentsOf: url)
                for _ in 0..<40 {
                    let offset = Int.random(in: 0..<good.count, using: &random)
                    var bad = good
                    bad[offset] ^= 1 << UInt8.random(in: 0...7, using: &random)
                    try bad.write(to: url)
                    #expect("bit at \(offset) of \(name)") {
                        _ = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
                    } throws: { error in
                        guard case TextIndexError.storage = error else { return false }
                        return "\(error)".contains(directory)
                    }
                }
                try good.write(to: url)
            }
            #expect(try TextIndex(directory: directory, configuration: TextIndexConfiguration()).count == 318)
        }
    }

    @Test func `any cut or missing file is noticed when the index is opened`() throws {
        try withTemporaryDirectory { directory in
            _ = try Self.makeIndex(directory)
            for name in try FileManager.default.contentsOfDirectory(atPath: directory).sorted() {
                let url = URL(fileURLWithPath: directory + "/" + name)
                let good = try Data(contentsOf: url)
                for size in [0, 1, 100, good.count / 2, good.count - 1] {
                    try good.prefix(size).write(to: url)
                    #expect(throws: TextIndexError.self, "\(name) cut to \(size) bytes") {
                        try TextIndex(directory: directory, configuration: TextIndexConfiguration())
                    }
                }
                try FileManager.default.removeItem(at: url)
                if name == IndexManifest.fileName {
                    // Without a manifest nothing is sealed: the caller adds everything again.
                    #expect(try TextIndex(directory: directory, configuration: TextIndexConfiguration()).sealedPosition == IndexPosition())
                } else {
                    #expect { try TextIndex(directory: directory, configuration: TextIndexConfiguration()) } throws: {
                        "\($0)".contains(name)
                    }
                }
                try good.write(to: url)
            }
        }
    }

    @Test func `damage under an open index is found by verify`() throws {
        try withTemporaryDirectory { directory in
            let index = try Self.makeIndex(directory)
            #expect(index.verify() == [])
            let name = index.snapshot().files[0].segment.fileName!
            let handle = try FileHandle(forUpdating: URL(fileURLWithPath: directory + "/" + name))
            try handle.seek(toOffset: 3 * 4096)
            let byte = try handle.read(upToCount: 1)![0]
            try handle.seek(toOffset: 3 * 4096)
            try handle.write(contentsOf: Data([byte ^ 4]))
            try handle.close()
            #expect(index.verify().contains { $0.contains(name) && $0.contains("rebuild") })
        }
    }

    /// Stops seal and compaction before each of their steps, as a crash or a full disk would, then opens what is left.
    @Test(arguments: ["seal", "tidy", "compact"])
    func `a writer that stops at any step loses nothing that was sealed`(operation: String) throws {
        var step = 0
        var isFinished = false
        while !isFinished {
            try withTemporaryDirectory { directory in
                let index = try Self.makeIndex(directory)
                let before = index.liveRows()
                index.add((321...330).map { Self.row($0) })
                index.remove([RowID(1), RowID(302)])
                let after = index.liveRows()
                let position = IndexPosition(highWater: RowID(330), deletionSequence: 4)
                let countdown = Countdown(step)
                StorageProbe.$observer.withValue({ step in
                    countdown.next() ? .system(path: step.path, operation: step.operation.rawValue, errno: 5) : nil
                }) {
                    do throws(TextIndexError) {
                        switch operation {
                        case "seal": try index.seal(at: position)
                        case "tidy": try index.seal(at: position, tidying: true)
                        default: try index.compact(at: position)
                        }
                    } catch {
                        #expect("\(error)".contains("errno 5"))
                    }
                }
                isFinished = !countdown.isReached
                // The failed writer goes on serving, and can try again.
                #expect(index.liveRows() == after, "step \(step)")
                let reopened = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
                if reopened.sealedPosition == position {
                    #expect(reopened.liveRows() == after, "step \(step)")
                } else {
                    #expect(reopened.sealedPosition == IndexPosition(highWater: RowID(320), deletionSequence: 2), "step \(step)")
                    #expect(reopened.liveRows() == before, "step \(step)")
                }
                #expect(reopened.verify() == [], "step \(step)")
                try index.seal(at: position)
                let again = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
                #expect(again.liveRows() == after, "step \(step)")
                #expect(again.verify() == [] && index.verify() == [], "step \(step)")
                let files = try FileManager.default.contentsOfDirectory(atPath: directory)
                #expect(!files.contains { $0.hasSuffix(".part") }, "step \(step)")
            }
            step += 1
        }
        #expect(step > 8)
    }
}

/// Says yes once, after some times of no.
private final class Countdown: @unchecked Sendable {
    // Invariant: used by one thread.
    private var left: Int
    private(set) var isReached = false

    init(_ count: Int) { left = count }

    func next() -> Bool {
        left -= 1
        if left == -1 { isReached = true }
        return left == -1
    }
}
