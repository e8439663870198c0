import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import VectorSearch

/// Damage to inverted files. They are derived: whatever happens to one, the index opens, answers are right, and the file is built again.
struct IVFIndexFileTests {
    private static let dimension = 64
    private static let name = "ivf/flat-00000001.seg"
    private static let parameters = IVFParameters(
        rowCountMin: 1, nlist: 6, sampleFactor: 10, iterations: 1, threads: 1, planSampleCount: 16)
    private static let data = ClusteredData(count: 150, dimension: dimension, queryCount: 3, clusterCount: 5, seed: 50)

    private static func open(
        _ folder: TemporaryFolder, recallTarget: Float = 1, readOnly: Bool = false
    ) throws(VectorIndexError) -> IVFIndex {
        try IVFIndex(
            directory: folder.path, dimension: dimension, metric: .l2, readOnly: readOnly, recallTarget: recallTarget,
            parameters: parameters)
    }

    /// A folder with one segment and its inverted file.
    private static func sealedFolder() throws -> TemporaryFolder {
        let folder = TemporaryFolder.inMemory()
        let index = try open(folder)
        try index.add(data.batch(0..<data.count))
        try index.seal(at: position(Int64(data.count)))
        return folder
    }

    private static func answers(_ index: IVFIndex, recallTarget: Float = 1) throws -> [[RowHit]] {
        try data.queries.map { try index.search($0, k: 20, filter: nil, tuning: .recall(recallTarget)).hits }
    }

    /// Opens a damaged folder for reading, then as the owner.
    ///
    /// - Parameter flaw: What the report must contain; nil when there is nothing to report.
    private static func checkRepair(_ folder: TemporaryFolder, flaw: String?, truth: [[RowHit]], _ comment: String) throws {
        let before = folder.paths.map { ($0, folder.read($0)) }
        let reader = try open(folder, readOnly: true)
        #expect(try answers(reader) == truth, "\(comment)")
        reader.waitForBuilds()
        #expect(reader.description.invertedFiles == 0, "\(comment): a damaged file is used")
        let after = folder.paths.map { ($0, folder.read($0)) }
        #expect(before.elementsEqual(after) { $0 == $1 }, "\(comment): a reader wrote")

        let index = try open(folder)
        if let flaw {
            #expect(index.repairs.count == 1 && reader.repairs == index.repairs, "\(comment): \(index.repairs)")
            #expect(index.repairs.allSatisfy { $0.contains(name) && $0.contains(flaw) }, "\(comment): \(index.repairs)")
        } else {
            #expect(index.repairs == [] && reader.repairs == [], "\(comment)")
        }
        // Right at once, before and while the file is built again.
        #expect(try answers(index) == truth, "\(comment)")
        index.waitForBuilds()
        #expect(index.description.invertedFiles == 1, "\(comment)")
        #expect(try answers(index) == truth, "\(comment)")
        #expect(index.verify() == [], "\(comment)")
        let reopened = try open(folder, readOnly: true)
        #expect(reopened.repairs == [] && reopened.description.invertedFiles == 1, "\(comment)")
    }

    @Test func `a file cut anywhere is named and built again`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        let size = folder.read(Self.name).count
        #expect(size > 10 * 4096)
        var generator = SeededGenerator(seed: 51)
        let cuts =
            Array(stride(from: 0, to: size, by: 4096)) + (0..<20).map { _ in Int.random(in: 0..<size, using: &generator) } + [1, size - 1]
        for cut in cuts {
            let copy = folder.copy()
            copy.cut(Self.name, to: cut)
            try Self.checkRepair(copy, flaw: "expected", truth: truth, "cut to \(cut) of \(size)")
        }
    }

    @Test func `a flipped bit in the header or any section is named and built again`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        let bytes = folder.read(Self.name)
        let file = try SegmentFile(path: folder.path + "/" + Self.name, kind: "IVFR", version: 1, verifyingSections: true)
        #expect(file.sectionNames == ["meta", "spread", "mean", "centroids", "directory", "plan", "prices", "lists"])
        var generator = SeededGenerator(seed: 52)
        var offset = 4096
        for section in file.sectionNames {
            let size = try file.section(section).count
            let places = [0, size - 1] + (0..<6).map { _ in Int.random(in: 0..<size, using: &generator) }
            for place in places.map({ offset + $0 }) {
                let copy = folder.copy()
                copy.overwrite(Self.name, at: place, with: [bytes[place] ^ (1 << UInt8.random(in: 0..<8, using: &generator))])
                try Self.checkRepair(copy, flaw: "section '\(section)'", truth: truth, "bit flipped in \(section) at \(place)")
            }
            offset += (size + 4095) / 4096 * 4096
        }
        #expect(offset == bytes.count)
        for place in [0, 7, 8, 12, 16, 24, 32, 100, 4092] + (0..<10).map({ _ in Int.random(in: 0..<4096, using: &generator) }) {
            let copy = folder.copy()
            copy.overwrite(Self.name, at: place, with: [bytes[place] ^ 0x20])
            try Self.checkRepair(copy, flaw: "rebuild", truth: truth, "bit flipped in the header at \(place)")
        }
    }

    /// Writes the same sections under another kind or version, or with one of them changed, all checksums right.
    private static func rewrite(
        _ folder: TemporaryFolder, kind: String = "IVFR", version: UInt32 = 1, changing section: String = "",
        _ change: (inout [UInt8]) -> Void = { _ in }
    ) throws {
        let path = folder.path + "/" + name
        let file = try SegmentFile(path: path, kind: "IVFR", version: 1, verifyingSections: true)
        var writer = try SegmentWriter(path: path, kind: kind, version: version)
        for name in file.sectionNames {
            var bytes = Array(try file.section(name))
            if name == section { change(&bytes) }
            try writer.append(section: name, array: bytes)
        }
        try writer.finish()
    }

    @Test func `another version, kind, or a file that contradicts itself is named and built again`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        func check(_ flaw: String, _ damage: (TemporaryFolder) throws -> Void) throws {
            let copy = folder.copy()
            try damage(copy)
            try Self.checkRepair(copy, flaw: flaw, truth: truth, flaw)
        }
        try check("format version 2, this program reads 1") { try Self.rewrite($0, version: 2) }
        try check("of kind 'FLAT', expected 'IVFR'") { try Self.rewrite($0, kind: "FLAT") }
        for word in [0, 1, 2, 3, 4, 6] {
            // Without a section's checksum to save it: one more dimension, row, list ...
            let flaw = word == 4 ? "do not fit 7 lists" : "does not describe 150 rows"
            try check(flaw) { try Self.rewrite($0, changing: "meta") { $0[word * 8] += 1 } }
        }
        try check("does not describe") { try Self.rewrite($0, changing: "meta") { $0.removeLast(8) } }
        try check("does not describe") { try Self.rewrite($0, changing: "meta") { $0[4 * 8 + 7] = 0xFF } }
        try check("belongs to another segment") { try Self.rewrite($0, changing: "meta") { $0[7 * 8] ^= 1 } }
        for section in ["spread", "mean", "centroids"] {
            try check("do not fit") { try Self.rewrite($0, changing: section) { $0.removeLast(4) } }
        }
        try check("do not fit") { try Self.rewrite($0, changing: "directory") { $0.removeLast(32) } }
        try check("not a multiple") { try Self.rewrite($0, changing: "directory") { $0.removeLast(1) } }
        try check("does not begin where") { try Self.rewrite($0, changing: "directory") { $0[32] ^= 1 } }
        try check("does not begin where") { try Self.rewrite($0, changing: "directory") { $0[32 + 7] = 0xFF } }
        try check("lists hold") { try Self.rewrite($0, changing: "directory") { $0[8 + 3] = 0xFF } }
        try check("its lists hold") { try Self.rewrite($0, changing: "directory") { $0[5 * 32 + 8] += 1 } }
        try check("lists hold") { try Self.rewrite($0, changing: "lists") { $0.removeLast(4096) } }
        try check("plan is not readable") { try Self.rewrite($0, changing: "plan") { $0.removeLast(4) } }
        try check("plan is not readable") {
            try Self.rewrite($0, changing: "plan") {
                $0[3] = 0x7F
                $0[2] = 0x80
            }
        }
        // Two lists with one row in common, and a row far outside.
        let blocks = QuantizedRows.offset(count: QuantizedRows.firstCount(folder.path + "/" + Self.name), padded: 64)
        for value in [[1, 0, 0, 0], [255, 255, 255, 255]] as [[UInt8]] {
            try check("not in exactly one list") {
                try Self.rewrite($0, changing: "lists") {
                    // A list's first and second row: one of them now appears twice, or is none of the segment's.
                    let first = Array($0[blocks..<blocks + 4])
                    $0.replaceSubrange(blocks + 4..<blocks + 8, with: value == [1, 0, 0, 0] ? first : value)
                }
            }
        }
    }

    /// Where the row positions of the first list lie.
    private enum QuantizedRows {
        static func firstCount(_ path: String) -> Int {
            let file = try! SegmentFile(path: path, kind: "IVFR", version: 1, verifyingSections: false)
            return Int(try! file.array("directory", of: InvertedFile.ListEntry.self)[0].count)
        }
        static func offset(count: Int, padded: Int) -> Int { InvertedFile.Layout(count: count, padded: padded).rows }
    }

    @Test func `another segment's file is not taken for one's own`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        let other = TemporaryFolder.inMemory()
        let index = try Self.open(other)
        // As many rows, but others.
        try index.add(VectorRows(rows: (1...150).map { RowID($0) }, values: Self.data.rows.map { $0 + 1 }))
        try index.seal(at: position(150))
        try FileManager.default.removeItem(atPath: folder.path + "/" + Self.name)
        try FileManager.default.copyItem(atPath: other.path + "/" + Self.name, toPath: folder.path + "/" + Self.name)
        try Self.checkRepair(folder, flaw: "belongs to another segment", truth: truth, "another's file")
    }

    @Test func `a missing file or folder is no flaw and built again`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        for path in [Self.name, "ivf"] {
            let copy = folder.copy()
            try FileManager.default.removeItem(atPath: copy.path + "/" + path)
            try Self.checkRepair(copy, flaw: nil, truth: truth, "\(path) removed")
        }
    }

    @Test func `verifying a living index names what was damaged since`() throws {
        let folder = try Self.sealedFolder()
        let index = try Self.open(folder)
        #expect(index.verify() == [])
        let bytes = folder.read(Self.name)
        for place in stride(from: 1000, to: bytes.count, by: 4096) where place < bytes.count {
            folder.overwrite(Self.name, at: place, with: [bytes[place] ^ 4])
            let flaws = index.verify()
            #expect(flaws.count == 1 && flaws.allSatisfy { $0.contains(Self.name) && $0.contains("damaged") }, "at \(place): \(flaws)")
            folder.overwrite(Self.name, at: place, with: [bytes[place]])
        }
        #expect(index.verify() == [])
    }

    @Test func `leftovers among the inverted files are removed on opening, other files are not`() throws {
        let folder = try Self.sealedFolder()
        let kept = folder.paths
        let leftovers = ["flat-00000099.seg", "flat-00000001.seg.part", "flat-00000100.seg.part"]
        for name in leftovers + ["notes.txt"] {
            #expect(FileManager.default.createFile(atPath: folder.path + "/ivf/" + name, contents: Data([1])))
        }
        _ = try Self.open(folder, readOnly: true)
        #expect(folder.paths.count == kept.count + 4)
        let index = try Self.open(folder)
        #expect(folder.paths == (kept + ["ivf/notes.txt"]).sorted())
        #expect(index.repairs == [] && index.description.invertedFiles == 1)
    }

    @Test func `files of segments that were joined away are removed`() throws {
        let folder = try Self.sealedFolder()
        let index = try Self.open(folder)
        try index.add(VectorRows(rows: [RowID(1000)], values: Self.data.row(3)))
        try index.seal(at: position(1000))
        #expect(folder.paths.filter { $0.hasPrefix("ivf/") } == folder.names.filter { $0.hasPrefix("flat-") }.map { "ivf/" + $0 })
        try index.compact(at: position(1001))
        #expect(folder.names.filter { $0.hasPrefix("flat-") }.count == 1)
        #expect(folder.paths.filter { $0.hasPrefix("ivf/") } == folder.names.filter { $0.hasPrefix("flat-") }.map { "ivf/" + $0 })
        index.remove(index.liveRows())
        try index.compact(at: position(1001, 5))
        #expect(folder.paths == ["manifest.json"])
    }

    @Test func `the file is as documented`() throws {
        let folder = try Self.sealedFolder()
        let file = try SegmentFile(path: folder.path + "/" + Self.name, kind: "IVFR", version: 1, verifyingSections: true)
        let meta = try Array(file.array("meta", of: UInt64.self))
        #expect(meta.count == 10)
        #expect(Array(meta[..<5]) == [64, 64, 2, 150, 6] && meta[6] == 4 && meta[8...] == [0, 0])
        let segment = try SegmentFile(path: folder.path + "/flat-00000001.seg", kind: "FLAT", version: 1, verifyingSections: true)
        #expect(meta[7] == UInt64(segment.headerChecksum))
        #expect(try file.array("spread", of: Float.self).count == 2)
        #expect(try file.array("mean", of: Float.self).count == 64)
        #expect(try file.array("centroids", of: Float.self).count == 6 * 64)
        let plan = try Array(file.array("plan", of: Float.self))
        #expect(plan[0] == Float(ProbePlan.rankCount * ProbePlan.levelCount) && plan[1] == 0 && plan.count == 2 + Int(plan[0]))
        let prices = try Array(file.array("prices", of: Float.self))
        #expect(!prices.isEmpty && prices.count % 3 == 0 && prices.allSatisfy { $0 > 0 })
        let lists = try file.section("lists")
        var seen: Set<UInt32> = []
        var end = 0
        for entry in try file.array("directory", of: InvertedFile.ListEntry.self) {
            let layout = InvertedFile.Layout(count: Int(entry.count), padded: 64)
            #expect(Int(entry.offset) == end && entry.offset % 4096 == 0)
            end += layout.extent
            for row in 0..<Int(entry.count) {
                seen.insert(lists.load(fromByteOffset: Int(entry.offset) + layout.rows + row * 4, as: UInt32.self))
            }
        }
        #expect(seen == Set(0..<150) && end == lists.count)
    }

    /// Writes a file as versions before prices did: no section of that name, and recalls with allowances behind the table.
    private static func makeOld(_ folder: TemporaryFolder) throws {
        let path = folder.path + "/" + name
        let file = try SegmentFile(path: path, kind: "IVFR", version: 1, verifyingSections: true)
        var writer = try SegmentWriter(path: path + ".old", kind: "IVFR", version: 1)
        for section in file.sectionNames where section != "prices" {
            if section == "plan" {
                var plan = try Array(file.array(section, of: Float.self))
                plan[1] = 2
                // Old tables rise here and there, and know nothing of levels without hits.
                plan[2 + 70] = 0
                plan[2 + 71] = 0.5
                try writer.append(section: section, array: plan + [0.9, 0.3, 0.99, 0.02])
            } else {
                try writer.append(section: section, bytes: try file.section(section))
            }
        }
        try writer.finish()
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: path + ".old", toPath: path)
    }

    @Test func `a file of before prices serves at once and learns its own in the background`() throws {
        let folder = try Self.sealedFolder()
        let truth = try Self.answers(try Self.open(folder))
        try Self.makeOld(folder)
        let before = folder.read(Self.name)
        // A reader serves by it and leaves it alone.
        let reader = try Self.open(folder, readOnly: true)
        reader.waitForBuilds()
        #expect(reader.repairs == [] && reader.description.invertedFiles == 1 && reader.description.plan == [])
        #expect(try Self.answers(reader) == truth)
        #expect(try Self.answers(reader, recallTarget: 0.9).allSatisfy { $0.count == 20 })
        #expect(folder.read(Self.name) == before)

        let index = try Self.open(folder)
        #expect(index.repairs == [] && index.description.invertedFiles == 1)
        #expect(try Self.answers(index) == truth)
        index.waitForBuilds()
        #expect(index.repairs == [] && index.description.invertedFiles == 1 && !index.description.plan.isEmpty)
        #expect(try Self.answers(index) == truth)
        #expect(index.verify() == [])
        #expect(folder.names.allSatisfy { !$0.hasSuffix(".part") })
        // For good.
        #expect(try !Self.open(folder, readOnly: true).description.plan.isEmpty)
    }

    @Test func `the same rows give the same file`() throws {
        let (first, second) = (try Self.sealedFolder(), try Self.sealedFolder())
        #expect(first.read(Self.name) == second.read(Self.name))
    }
}
