import Foundation
import TestSupport
import Testing

@testable import Storage

struct SegmentFileTests {
    private let folder = TemporaryFolder.inMemory()
    private var path: String { folder.path + "/a-1.seg" }

    private func write(_ sections: [(String, [UInt8])], kind: String = "TEST", version: UInt32 = 3) throws {
        var writer = try SegmentWriter(path: path, kind: kind, version: version)
        for (name, bytes) in sections { try writer.append(section: name, array: bytes) }
        try writer.finish()
    }

    private func open(verifying: Bool = true) throws(StorageError) -> SegmentFile {
        try SegmentFile(path: path, kind: "TEST", version: 3, verifyingSections: verifying)
    }

    private let small: [(String, [UInt8])] = [("ids", Array(0..<200)), ("empty", []), ("values", [7, 7, 7])]

    @Test(arguments: [0, 100 << 20])
    func `what was written is read, mapped or copied`(copiedSizeMax: Int) throws {
        var generator = SeededGenerator(seed: 7)
        let sizes = [0, 1, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 5, 3 << 20]
        // A period that is no divisor of any block size, so that misplaced bytes differ.
        let noise = (0..<4999).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        let sections = sizes.map { size in
            ("size-\(size)", Array(Array(repeating: noise, count: size / noise.count + 1).joined().prefix(size)))
        }
        try write(sections)
        let file = try SegmentFile(path: path, kind: "TEST", version: 3, verifyingSections: true, copiedSizeMax: copiedSizeMax)
        #expect(file.sectionNames == sections.map(\.0))
        #expect(file.size % 4096 == 0)
        #expect(file.path == path)
        for (name, bytes) in sections {
            let section = try file.section(name)
            #expect(section.count == bytes.count && memcmp(section.baseAddress!, bytes, bytes.count) == 0, "section \(name)")
            #expect(section.isEmpty || Int(bitPattern: section.baseAddress!) % 4096 == 0)
        }
        #expect(folder.names == ["a-1.seg"])
    }

    @Test func `a small file that is cut, changed or emptied under an open one goes on being read, and verify tells`() throws {
        try write(small)
        for damage in 0..<4 {
            try write(small)
            let file = try open()
            try file.release(section: "ids")
            switch damage {
            case 0: folder.cut("a-1.seg", to: 0)
            case 1: folder.cut("a-1.seg", to: 5000)
            case 2: folder.overwrite("a-1.seg", at: 4100, with: [9])
            default: try write([("ids", [1]), ("empty", []), ("values", [7])])
            }
            let (ids, values) = (Array(try file.section("ids")), Array(try file.section("values")))
            #expect(ids == Array(0..<200) && values == [7, 7, 7])
            #expect(throws: StorageError.self) { try file.verify() }
        }
        try write(small)
        let file = try open()
        try FileManager.default.removeItem(atPath: path)
        try file.verify()
    }

    @Test func `bytes are read without the mapping, also after release and after the file is removed`() throws {
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
        try write([("first", [1, 2, 3]), ("values", bytes)])
        #expect(try !open().isReadable)
        let file = try SegmentFile(
            path: path, kind: "TEST", version: 3, verifyingSections: true, readableSizeMin: 1 << 20, copiedSizeMax: 0)
        #expect(file.isReadable)
        let section = try file.section("values")
        try file.release(section: "values")
        try FileManager.default.removeItem(atPath: path)
        for (offset, count) in [(0, 1), (4095, 2), (1_234_567, 65_536), (bytes.count - 9, 9)] {
            let found = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
            defer { found.deallocate() }
            try file.read(at: section.baseAddress! + offset, into: found)
            #expect(Array(found) == Array(bytes[offset..<offset + count]))
        }
        #expect(memcmp(section.baseAddress!, bytes, bytes.count) == 0)
    }

    @Test func `reading past the end of a file that was cut off is an error, not a signal`() throws {
        try write([("values", [UInt8](repeating: 7, count: 3_000_000))])
        let file = try SegmentFile(
            path: path, kind: "TEST", version: 3, verifyingSections: false, readableSizeMin: 1 << 20, copiedSizeMax: 0)
        let section = try file.section("values")
        truncate(path, 1_000_000)
        let found = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
        defer { found.deallocate() }
        let address = section.baseAddress! + 2_000_000
        #expect(throws: StorageError.self) { try file.read(at: address, into: found) }
    }

    @Test func `a section written in pieces equals one written at once`() throws {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try write([("whole", bytes)])
        let whole = folder.read("a-1.seg")
        var writer = try SegmentWriter(path: path, kind: "TEST", version: 3)
        try writer.begin(section: "whole")
        var start = 0
        for size in [1, 4096, 100_000, 77, 195_826] {
            try writer.write(Array(bytes[start..<start + size]))
            start += size
        }
        try writer.end()
        try writer.finish()
        #expect(start == bytes.count)
        #expect(folder.read("a-1.seg") == whole)
    }

    @Test func `typed elements come back as they were`() throws {
        let ids: [Int64] = [.min, -1, 0, 5, .max]
        var writer = try SegmentWriter(path: path, kind: "TEST", version: 3)
        try writer.append(section: "ids", array: ids)
        try writer.append(section: "odd", array: [1, 2, 3] as [UInt8])
        try writer.finish()
        let file = try open()
        #expect(try Array(file.array("ids", of: Int64.self)) == ids)
        #expect(throws: StorageError.self) { _ = try file.array("odd", of: Int64.self) }
    }

    /// The layout is a promise to files that already exist: a change here needs a new layout version.
    @Test func `the layout is as documented`() throws {
        try write([("ids", [1, 2, 3])])
        let bytes = folder.read("a-1.seg")
        #expect(bytes.count == 8192)
        #expect(
            Array(bytes[..<32]) == Array("OUTRSEG1TEST".utf8) + [3, 0, 0, 0] + [0, 0x20, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0] + [0, 0, 0, 0])
        #expect(Array(bytes[32..<64]) == Array("ids".utf8) + [UInt8](repeating: 0, count: 29))
        #expect(Array(bytes[64..<80]) == [0, 0x10, 0, 0, 0, 0, 0, 0] + [3, 0, 0, 0, 0, 0, 0, 0])
        #expect(Array(bytes[4096..<4100]) == [1, 2, 3, 0])
        let sum = bytes[4096...].withUnsafeBytes { CRC32C.checksum(of: $0) }
        #expect(Array(bytes[80..<84]) == (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) })
    }

    @Test func `a file cut at any byte is refused`() throws {
        try write(small)
        let bytes = folder.read("a-1.seg")
        for length in (0..<bytes.count).reversed() {
            folder.cut("a-1.seg", to: length)
            do throws(StorageError) {
                _ = try open(verifying: false)
                Issue.record("opened a file of \(length) bytes")
            } catch {
                let expected = length < 4096 ? 4096 : bytes.count
                guard error == .truncated(path: path, size: length, expected: expected) else {
                    Issue.record("cut at \(length): \(error)")
                    return
                }
            }
        }
    }

    @Test func `every flipped bit of the header is found without reading the sections`() throws {
        try write(small)
        let bytes = folder.read("a-1.seg")
        for bit in 0..<4096 * 8 {
            folder.overwrite("a-1.seg", at: bit / 8, with: [bytes[bit / 8] ^ (1 << UInt8(bit % 8))])
            defer { folder.overwrite("a-1.seg", at: bit / 8, with: [bytes[bit / 8]]) }
            do throws(StorageError) {
                _ = try open(verifying: false)
                Issue.record("bit \(bit) went unseen")
            } catch {
                switch error {
                case .corrupt(let named, _, _), .unsupportedVersion(let named, _, _): #expect(named == path)
                default: Issue.record("bit \(bit): \(error)")
                }
            }
        }
    }

    @Test func `a flipped bit of a section or of its padding is found and placed`() throws {
        var generator = SeededGenerator(seed: 300)
        try write(small)
        let bytes = folder.read("a-1.seg")
        let file = try open()
        for _ in 0..<300 {
            let position = Int.random(in: 4096..<bytes.count, using: &generator)
            folder.overwrite("a-1.seg", at: position, with: [bytes[position] ^ (1 << UInt8.random(in: 0..<8, using: &generator))])
            defer { folder.overwrite("a-1.seg", at: position, with: [bytes[position]]) }
            _ = try open(verifying: false)
            #expect(throws: StorageError.self) { _ = try open(verifying: true) }
            do throws(StorageError) {
                try file.verify()
                Issue.record("byte \(position) went unseen")
            } catch {
                guard case .corrupt(path, position / 4096 * 4096, _) = error else {
                    Issue.record("byte \(position): \(error)")
                    return
                }
            }
        }
        try file.verify()
    }

    @Test func `other kinds, versions, layouts and absent files are named`() throws {
        #expect(throws: StorageError.missingFile(path: path)) { _ = try open() }
        try write(small, kind: "BM25")
        #expect(throws: StorageError.wrongKind(path: path, got: "BM25", expected: "TEST")) { _ = try open() }
        try write(small, version: 4)
        #expect(throws: StorageError.unsupportedVersion(path: path, got: 4, expected: 3)) { _ = try open() }
        try write(small)
        var bytes = folder.read("a-1.seg")
        bytes[7] = UInt8(ascii: "2")
        folder.write(bytes, to: "a-1.seg")
        #expect(throws: StorageError.unsupportedVersion(path: path, got: 2, expected: 1)) { _ = try open() }
        try write(small)
        folder.write(folder.read("a-1.seg") + [0], to: "a-1.seg")
        #expect(throws: StorageError.self) { _ = try open() }
        try write(small)
        #expect(throws: StorageError.missingSection(path: path, name: "other")) { _ = try open().section("other") }
    }

    @Test func `a mapped file outlives its name`() throws {
        try write(small)
        let file = try SegmentFile(path: path, kind: "TEST", version: 3, verifyingSections: true, copiedSizeMax: 0)
        try write([("ids", [9])])
        #expect(try file.section("ids").elementsEqual(0..<200))
        try file.verify()
    }

    @Test func `a writer that is dropped leaves nothing`() throws {
        func drop() throws {
            var writer = try SegmentWriter(path: path, kind: "TEST", version: 1)
            try writer.append(section: "ids", array: [1, 2, 3] as [UInt8])
            #expect(folder.names == ["a-1.seg.part"])
        }
        try drop()
        #expect(folder.names == [])
    }

    @Test func `nothing is visible when any step fails`() throws {
        let counter = StepLog()
        try StorageProbe.$observer.withValue(
            {
                counter.note($0)
                return nil
            }, operation: { try write(small) })
        let steps = counter.steps
        #expect(steps.map(\.operation).suffix(3) == [.sync, .rename, .syncFolder])
        for failing in steps.indices.dropLast() {
            let folder = TemporaryFolder.inMemory()
            let log = StepLog()
            #expect(throws: StorageError.system(path: "disk", operation: "test", errno: 28)) {
                try StorageProbe.$observer.withValue(
                    { step in
                        log.note(step) == failing ? .system(path: "disk", operation: "test", errno: 28) : nil
                    },
                    operation: {
                        var writer = try SegmentWriter(path: folder.path + "/a.seg", kind: "TEST", version: 1)
                        try writer.append(section: "ids", array: [1] as [UInt8])
                        try writer.append(section: "values", array: [1] as [UInt8])
                        try writer.finish()
                    })
            }
            #expect(folder.names == [], "step \(failing)")
        }
    }
}
