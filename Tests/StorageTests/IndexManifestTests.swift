import TestSupport
import Testing

@testable import Storage

struct IndexManifestTests {
    private let folder = TemporaryFolder.inMemory()

    private func sample(generation: Int = 4) -> IndexManifest {
        var manifest = IndexManifest()
        manifest.generation = generation
        manifest.segments = ["flat-1.seg", "flat-3.seg"]
        manifest.tombstones = "tombstones-3.seg"
        manifest.position = IndexPosition(highWater: RowID(77), deletionSequence: 5)
        manifest.configuration = #"{"dimension":384,"name":"a/b \"c\""}"#
        return manifest
    }

    @Test func `none at first, then what was published`() throws {
        #expect(try IndexManifest.load(directory: folder.path) == nil)
        try sample().publish(directory: folder.path)
        #expect(try IndexManifest.load(directory: folder.path) == sample())
        #expect(folder.names == ["manifest.json"])
    }

    @Test func `the text is as documented`() throws {
        var manifest = IndexManifest()
        manifest.generation = 2
        manifest.segments = ["a-1.seg"]
        try manifest.publish(directory: folder.path)
        let text = String(decoding: folder.read("manifest.json"), as: UTF8.self)
        let expected =
            #"{"crc32c":"b45e2d47","manifest":{"configuration":"{}","formatVersion":1,"generation":2,"#
            + #""position":{"deletionSequence":0,"highWater":0},"segments":["a-1.seg"]}}"# + "\n"
        #expect(text == expected)
    }

    @Test func `every cut and every flipped bit is found`() throws {
        try sample().publish(directory: folder.path)
        let bytes = folder.read("manifest.json")
        for length in (0..<bytes.count).reversed() {
            folder.cut("manifest.json", to: length)
            #expect(throws: StorageError.self, "cut at \(length)") { _ = try IndexManifest.load(directory: folder.path) }
        }
        folder.write(bytes, to: "manifest.json")
        for bit in 0..<bytes.count * 8 {
            folder.overwrite("manifest.json", at: bit / 8, with: [bytes[bit / 8] ^ (1 << UInt8(bit % 8))])
            defer { folder.overwrite("manifest.json", at: bit / 8, with: [bytes[bit / 8]]) }
            #expect(throws: StorageError.self, "bit \(bit)") { _ = try IndexManifest.load(directory: folder.path) }
        }
    }

    @Test func `a newer format is refused and named`() throws {
        var manifest = sample()
        manifest.formatVersion = 2
        try manifest.publish(directory: folder.path)
        #expect(throws: StorageError.unsupportedVersion(path: folder.path + "/manifest.json", got: 2, expected: 1)) {
            _ = try IndexManifest.load(directory: folder.path)
        }
    }

    @Test func `publishing removes leftovers and nothing else`() throws {
        for name in [
            "flat-1.seg", "flat-2.seg", "flat-3.seg", "tombstones-3.seg", "flat-4.seg.part", "notes.txt", "manifest.json.old",
            "flat-9.seg.bak",
        ] {
            folder.write([1], to: name)
        }
        try sample().publish(directory: folder.path)
        #expect(
            folder.names == [
                "flat-1.seg", "flat-3.seg", "flat-9.seg.bak", "manifest.json", "manifest.json.old", "notes.txt", "tombstones-3.seg",
            ])
    }

    @Test func `the old manifest stands until the new one is whole`() throws {
        try sample(generation: 1).publish(directory: folder.path)
        let log = StepLog()
        try StorageProbe.$observer.withValue(
            {
                log.note($0)
                return nil
            },
            operation: {
                try sample(generation: 2).publish(directory: folder.path)
            })
        #expect(log.steps.map(\.operation) == [.create, .write, .sync, .rename, .syncFolder])
        for failing in log.steps.indices {
            let steps = StepLog()
            #expect(throws: StorageError.self) {
                try StorageProbe.$observer.withValue(
                    { step in
                        steps.note(step) == failing ? .system(path: "disk", operation: "test", errno: 5) : nil
                    }, operation: { try sample(generation: 3).publish(directory: folder.path) })
            }
            let expected = failing <= 3 ? 2 : 3
            #expect(try IndexManifest.load(directory: folder.path)?.generation == expected, "step \(failing)")
        }
    }

    @Test func `file numbers are taken from names, referenced or not`() throws {
        #expect(try IndexManifest.numberMax(directory: folder.path) == 0)
        for name in ["flat-12.seg", "tombstones-00000031.seg.part", "notes.txt", "x-.seg"] { folder.write([], to: name) }
        #expect(try IndexManifest.numberMax(directory: folder.path) == 31)
    }

    @Test func `a folder is created with its parents`() throws {
        let path = folder.path + "/a/b/c"
        try IndexManifest.createDirectory(path)
        try IndexManifest.createDirectory(path + "/")
        try sample().publish(directory: path)
        folder.write([], to: "file")
        #expect(throws: StorageError.self) { try IndexManifest.createDirectory(folder.path + "/file/x") }
    }
}
