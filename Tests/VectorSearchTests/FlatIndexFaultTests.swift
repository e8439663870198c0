import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

/// Crashes, failing disks and damaged files. What is on disk is one whole generation, or a named flaw.
///
/// What happens between two steps is tried for every index; damage to flat files for the flat one, since the others keep theirs there.
struct FlatIndexFaultTests {
    /// Round *n* ends with exactly these rows; the position of its seal is *n*.
    private static func liveRows(after round: Int64) -> [Int64] {
        (0..<(round + 1) * 20).filter { $0 % 20 != 4 && !($0 % 20 == 5 && $0 / 20 < round) }
    }

    /// Adds rows, removes some new and some sealed ones, then seals or compacts: every kind of file changes.
    private static func play(round: Int64, on index: any VectorIndex) throws {
        let ids = Array(round * 20..<(round + 1) * 20)
        try index.add(VectorRows(rows: ids.map { RowID($0) }, values: ids.flatMap { [Float($0), 1, -1] }))
        index.remove([RowID(round * 20 + 4), RowID((round - 1) * 20 + 5)])
        if round % 4 == 3 { try index.compact(at: position(round, round)) } else { try index.seal(at: position(round, round)) }
    }

    private static func open(_ folder: TemporaryFolder) throws(VectorIndexError) -> FlatIndex {
        try FlatIndex(directory: folder.path, dimension: 3, metric: .innerProduct)
    }

    private static func open(_ folder: TemporaryFolder, _ factory: IndexFactory) throws -> any VectorIndex {
        let index = try factory.open(folder.path, 3, .innerProduct, false)
        if let index = index as? IVFIndex {
            #expect(index.repairs == [])
            index.waitForBuilds()
        }
        return index
    }

    /// Opens a folder as after a crash; the content must be that of the round which the position names. Returns that round.
    private static func checkedRound(_ folder: TemporaryFolder, _ factory: IndexFactory, _ comment: String) throws -> Int64 {
        let index = try open(folder, factory)
        let round = index.sealedPosition == IndexPosition() && index.count == 0 ? -1 : index.sealedPosition.highWater.rawValue
        #expect(index.liveRows().map(\.rawValue) == (round < 0 ? [] : liveRows(after: round)), "\(comment)")
        #expect(index.verify() == [], "\(comment)")
        let leftovers = folder.paths.filter { $0.hasSuffix(".part") && $0 != "manifest.json.part" }
        #expect(round < 0 || leftovers == [], "\(comment)")
        // The index must be able to go on from here.
        try index.add(VectorRows(rows: [RowID(1_000_000)], values: [1, 1, 1]))
        try index.seal(at: position(1_000_000))
        #expect(try open(folder, factory).count == index.count, "\(comment)")
        return round
    }

    @Test(arguments: IndexFactory.all)
    func `a crash before any step leaves the old generation or the new one`(factory: IndexFactory) throws {
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder, factory)
        for round in 0..<9 as Range<Int64> {
            let photos = Mutex<[(StorageStep, TemporaryFolder)]>([])
            try StorageProbe.$observer.withValue(
                { step in
                    photos.withLock { $0.append((step, folder.copy())) }
                    return nil
                }, operation: { try Self.play(round: round, on: index) })
            var rounds: [Int64] = []
            for (step, photo) in photos.withLock({ $0 }) {
                rounds.append(try Self.checkedRound(photo, factory, "round \(round), before \(step)"))
            }
            #expect(rounds.count >= 10)
            #expect(Set(rounds) == [round - 1, round], "round \(round): \(rounds)")
            #expect(rounds == rounds.sorted())
        }
    }

    /// Without power, bytes that were not synced may be gone: files written since and not yet synced are cut at random.
    @Test(arguments: IndexFactory.all, 1...3 as ClosedRange<UInt64>)
    func `losing power before any step leaves the old generation or the new one`(factory: IndexFactory, seed: UInt64) throws {
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder, factory)
        let generator = Mutex(SeededGenerator(seed: seed))
        for round in 0..<6 as Range<Int64> {
            let unsynced = Mutex<Set<String>>([])
            let photos = Mutex<[(StorageStep, TemporaryFolder)]>([])
            try StorageProbe.$observer.withValue(
                { step in
                    let photo = folder.copy()
                    for path in unsynced.withLock({ $0 }) {
                        let name = String(path.dropFirst(folder.path.count + 1))
                        guard photo.paths.contains(name) else { continue }
                        let size = photo.read(name).count
                        photo.cut(name, to: generator.withLock { Int.random(in: 0...size, using: &$0) })
                    }
                    photos.withLock { $0.append((step, photo)) }
                    switch step.operation {
                    case .create, .write: unsynced.withLock { _ = $0.insert(step.path) }
                    case .sync: unsynced.withLock { _ = $0.remove(step.path) }
                    case .rename:
                        // The new name leads to the same bytes, synced or not.
                        unsynced.withLock { if $0.remove(step.path + ".part") != nil { $0.insert(step.path) } }
                    case .syncFolder, .remove, .open: break
                    }
                    return nil
                }, operation: { try Self.play(round: round, on: index) })
            for (step, photo) in photos.withLock({ $0 }) {
                let found = try Self.checkedRound(photo, factory, "seed \(seed), round \(round), before \(step)")
                #expect(found == round || found == round - 1)
            }
        }
    }

    @Test(arguments: IndexFactory.all)
    func `an index whose disk fails at any step goes on and loses nothing`(factory: IndexFactory) throws {
        for round in [2, 3] as [Int64] {
            for failing in 0..<80 {
                let folder = TemporaryFolder.inMemory()
                let index = try Self.open(folder, factory)
                for earlier in 0..<round { try Self.play(round: earlier, on: index) }
                let count = Mutex(0)
                var hasFailed = false
                do {
                    try StorageProbe.$observer.withValue(
                        { step in
                            let number = count.withLock { count in
                                count += 1
                                return count - 1
                            }
                            return number == failing ? .system(path: step.path, operation: step.operation.rawValue, errno: 28) : nil
                        }, operation: { try Self.play(round: round, on: index) })
                } catch VectorIndexError.storage(.system(_, _, 28)) {
                    hasFailed = true
                }
                let expected = Self.liveRows(after: round)
                #expect(index.liveRows().map(\.rawValue) == expected, "round \(round), step \(failing)")
                if hasFailed {
                    let found = try Self.checkedRound(folder.copy(), factory, "round \(round), step \(failing)")
                    #expect(found == round || found == round - 1)
                }
                // The next seal must not write under a name that the failed one may have published: a crash in the middle shows.
                let late = RowID(round * 20 + 1)
                index.remove([late])
                let photos = Mutex<[TemporaryFolder]>([])
                try StorageProbe.$observer.withValue(
                    { _ in
                        photos.withLock { $0.append(folder.copy()) }
                        return nil
                    }, operation: { try index.seal(at: position(round, 99)) })
                for photo in photos.withLock({ $0 }) {
                    let crashed = try Self.open(photo, factory)
                    let rows = Self.liveRows(after: crashed.sealedPosition.highWater.rawValue)
                    let isNew = crashed.sealedPosition.deletionSequence == 99
                    #expect(
                        crashed.liveRows().map(\.rawValue) == (isNew ? expected.filter { $0 != late.rawValue } : rows),
                        "round \(round), step \(failing)")
                }
                #expect(index.verify() == [], "round \(round), step \(failing)")
                let reopened = try Self.open(folder, factory)
                #expect(
                    reopened.liveRows() == index.liveRows() && reopened.sealedPosition == position(round, 99),
                    "round \(round), step \(failing)")
                #expect(reopened.count == expected.count - 1)
                if count.withLock({ $0 }) <= failing { break }
                #expect(failing < 79, "a seal has more steps than this test tries")
            }
        }
    }

    /// A real process, really killed. It ends itself with SIGKILL before a step, so no buffer, destructor or signal handler can help.
    @Test(arguments: IndexFactory.all, 0..<20)
    func `a process killed during a seal or compaction leaves a whole generation`(factory: IndexFactory, kill number: Int) async throws {
        let folder = TemporaryFolder.inMemory()
        let step = number * 7 + 3
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [directory = folder.path as String, step = step as Int, name = factory.name as String] in
            let index = try IndexFactory.all.first { $0.name == name }!.open(directory, 3, .innerProduct, false)
            let count = Mutex(0)
            try StorageProbe.$observer.withValue(
                { _ in
                    let isLast = count.withLock { count in
                        count += 1
                        return count > step
                    }
                    if isLast { kill(getpid(), SIGKILL) }
                    return nil
                },
                operation: {
                    for round in 0..<1000 as Range<Int64> { try FlatIndexFaultTests.play(round: round, on: index) }
                })
        }
        let round = try Self.checkedRound(folder, factory, "killed before step \(step)")
        #expect(round >= step / 45 - 1 && round <= step / 8, "round \(round) at step \(step)")
    }

    @Test func `every kind of damage to any file is refused with its name`() throws {
        var generator = SeededGenerator(seed: 44)
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder)
        for round in 0..<3 as Range<Int64> { try Self.play(round: round, on: index) }
        #expect(folder.names.count == 5, "\(folder.names)")
        for name in folder.names {
            let bytes = folder.read(name)
            func expectRefusal(_ comment: String) {
                do throws(VectorIndexError) {
                    _ = try Self.open(folder)
                    Issue.record("\(name), \(comment): opened")
                } catch {
                    #expect("\(error)".contains(name) && "\(error)".contains("outrider index rebuild"), "\(name), \(comment): \(error)")
                    guard case .storage = error else {
                        Issue.record("\(name), \(comment): \(error)")
                        return
                    }
                }
                #expect(index.verify().contains { $0.contains(name) }, "\(name), \(comment)")
            }
            for _ in 0..<250 {
                let offset = Int.random(in: 0..<bytes.count, using: &generator)
                folder.overwrite(name, at: offset, with: [bytes[offset] ^ (1 << UInt8.random(in: 0..<8, using: &generator))])
                expectRefusal("bit flipped at \(offset)")
                folder.overwrite(name, at: offset, with: [bytes[offset]])
            }
            for _ in 0..<30 {
                let copy = folder.copy()
                let size = Int.random(in: 0..<bytes.count, using: &generator)
                copy.cut(name, to: size)
                #expect(throws: VectorIndexError.self, "\(name) cut to \(size)") { _ = try Self.open(copy) }
            }
            if name != "manifest.json" {
                let copy = folder.copy()
                try FileManager.default.removeItem(atPath: copy.path + "/" + name)
                #expect { _ = try Self.open(copy) } throws: { error in
                    guard case VectorIndexError.storage(.missingFile(let path)) = error else { return false }
                    return path.hasSuffix(name)
                }
            }
        }
        #expect(index.verify() == [])
        _ = try Self.open(folder)
    }

    /// The owner compacts just when a reader has read the manifest and is about to map what it names.
    @Test(arguments: [1, 5, 50])
    func `a reader begins again when the owner replaces the files under its eyes`(times: Int) throws {
        let folder = TemporaryFolder.inMemory()
        let owner = try Self.open(folder)
        try Self.play(round: 0, on: owner)
        let left = Mutex(times)
        let reader = try StorageProbe.$observer.withValue(
            { step in
                // Only the reader's own steps: the owner's compaction opens files as well.
                guard step.operation == .open, step.path.contains("flat-") else { return nil }
                let isDue = left.withLock { left in
                    left -= 1
                    return left >= 0
                }
                guard isDue else { return nil }
                StorageProbe.$observer.withValue(
                    nil,
                    operation: {
                        do {
                            try owner.add(VectorRows(rows: [RowID(500 - Int64(left.withLock { $0 }))], values: [1, 1, 1]))
                            try owner.compact(at: position(500))
                        } catch { Issue.record("\(error)") }
                    })
                return nil
            },
            operation: { try FlatIndex(directory: folder.path, dimension: 3, metric: .innerProduct, readOnly: true) })
        #expect(left.withLock { $0 } < 0)
        #expect(reader.liveRows() == owner.liveRows())
        #expect(reader.count == Self.liveRows(after: 0).count + times)
    }

    @Test func `a reader that finds a file gone for good says so instead of waiting`() throws {
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder)
        try Self.play(round: 0, on: index)
        try FileManager.default.removeItem(atPath: folder.path + "/" + folder.names.first { $0.hasPrefix("flat-") }!)
        #expect(throws: VectorIndexError.self) {
            _ = try FlatIndex(directory: folder.path, dimension: 3, metric: .innerProduct, readOnly: true)
        }
    }

    @Test func `leftovers of a crash are removed on opening, other files are not`() throws {
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder)
        try Self.play(round: 0, on: index)
        let kept = folder.names
        for name in ["flat-00000099.seg", "flat-00000100.seg.part", "notes.txt"] {
            #expect(FileManager.default.createFile(atPath: folder.path + "/" + name, contents: Data([1])))
        }
        _ = try FlatIndex(directory: folder.path, dimension: 3, metric: .innerProduct, readOnly: true)
        #expect(folder.names.count == kept.count + 3)
        _ = try Self.open(folder)
        #expect(folder.names == (kept + ["notes.txt"]).sorted())
    }

    @Test(arguments: IndexFactory.all)
    func `sealing without changes writes nothing`(factory: IndexFactory) throws {
        let folder = TemporaryFolder.inMemory()
        let index = try Self.open(folder, factory)
        try Self.play(round: 0, on: index)
        let steps = Mutex(0)
        try StorageProbe.$observer.withValue(
            { _ in
                steps.withLock { $0 += 1 }
                return nil
            },
            operation: {
                try index.seal(at: index.sealedPosition)
                try index.add(VectorRows(rows: [RowID(500)], values: [1, 1, 1]))
                index.remove([RowID(500)])
                try index.seal(at: index.sealedPosition)
            })
        #expect(steps.withLock { $0 } == 0)
        #expect(index.verify() == [])
    }
}
