import Documents
import Foundation
import Storage
import Testing

@testable import Indexing

/// A database and index files that did not grow up together: an older copy put back, another folder's files, files of an earlier version.
struct RestoredDatabaseTests {
    private typealias Tests = IndexingTests
    private static let files = ["outrider.sqlite", "outrider.sqlite-wal", "outrider.sqlite-shm"]

    private static func put(_ numbers: ClosedRange<Int>, _ word: String, _ indexes: CollectionIndexes) throws {
        for number in numbers {
            _ = try indexes.put(Tests.draft(indexes.id, "\(word)\(number)", "common \(word) \(word)\(number)"), finishing: nil)
        }
    }

    private static func copyDatabase(_ source: String, _ target: String) throws {
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for file in files {
            try? FileManager.default.removeItem(atPath: target + "/" + file)
            if FileManager.default.fileExists(atPath: source + "/" + file) {
                try FileManager.default.copyItem(atPath: source + "/" + file, toPath: target + "/" + file)
            }
        }
    }

    /// Everything that was put under a word is found by it, and nothing else.
    private static func expect(
        _ count: Int, of word: String, _ indexes: CollectionIndexes, _ store: DocumentStore, _ comment: String
    ) throws {
        let found = indexes.text.search(word, k: 1000).map { ChunkID(rawValue: $0.row.rawValue) }
        let passages = try store.passages(found)
        #expect(found.count == count && passages.count == count, "\(comment): \(found.count) rows of '\(word)', \(passages.count) passages")
        #expect(passages.values.allSatisfy { $0.chunk.text.contains(word) }, "\(comment): '\(word)' finds other texts")
    }

    /// What the older copy lacks: `gone` documents after it; what is added afterwards: more or fewer of them, before the folder is opened by this program or after.
    @Test(arguments: [(60, 40), (40, 60), (10, 10), (0, 30)], [false, true])
    func `an older copy of the database never gives wrong answers`(counts: (gone: Int, added: Int), addsElsewhere: Bool) throws {
        let folder = try Tests.Folder()
        let saved = folder.path + "/saved"
        do {
            let (store, catalog) = try Tests.open(folder)
            let indexes = try catalog.indexes(creating: "default")
            try Self.put(1...20, "kept", indexes)
            _ = try indexes.delete(.sources(["kept3"]))
            try catalog.sealAll()
            try store.close()
            try Self.copyDatabase(folder.path, saved)
        }
        do {
            let (store, catalog) = try Tests.open(folder)
            let indexes = try #require(try catalog.indexes(named: "default"))
            if counts.gone > 0 { try Self.put(1...counts.gone, "gone", indexes) }
            _ = try indexes.delete(.sources(["kept4", "gone1"]))
            try catalog.sealAll()
            try store.close()
        }
        if addsElsewhere {
            // The copy grows in another folder, beyond where these files are, and comes back.
            let other = try Tests.Folder()
            try Self.copyDatabase(saved, other.path)
            let (store, catalog) = try Tests.open(other)
            try Self.put(1...counts.added, "added", try #require(try catalog.indexes(named: "default")))
            try store.close()
            try Self.copyDatabase(other.path, folder.path)
        } else {
            try Self.copyDatabase(saved, folder.path)
            let (_, catalog) = try Tests.open(folder)
            let indexes = try #require(try catalog.indexes(named: "default"))
            #expect(indexes.repairs.contains { $0.contains("did not follow this database") })
            try Self.put(1...counts.added, "added", indexes)
        }  // Neither sealed nor closed: as after a kill.
        for start in 1...2 {
            let (store, catalog) = try Tests.open(folder, readOnly: start == 1)
            let indexes = try #require(try catalog.indexes(named: "default"))
            try Self.expect(19, of: "kept", indexes, store, "start \(start)")
            try Self.expect(counts.added, of: "added", indexes, store, "start \(start)")
            try Self.expect(0, of: "gone", indexes, store, "start \(start)")
            #expect(try indexes.verify().problems == [])
            if start == 2 { try catalog.sealAll() }
        }
        let (_, catalog) = try Tests.open(folder)
        #expect(try #require(try catalog.indexes(named: "default")).repairs == [], "what was rebuilt is known")
    }

    @Test func `vectors of a later state are not met by the first vector of an older copy`() throws {
        let folder = try Tests.Folder()
        let saved = folder.path + "/saved"
        do {
            let (store, catalog) = try Tests.open(folder)
            _ = try catalog.indexes(creating: "default")
            try store.close()
            try Self.copyDatabase(folder.path, saved)
        }
        do {
            let (store, catalog) = try Tests.open(folder)
            try Self.put(1...30, "gone", try #require(try catalog.indexes(named: "default")))
            try catalog.sealAll()
            try store.close()
        }
        try Self.copyDatabase(saved, folder.path)
        let (store, catalog) = try Tests.open(folder)
        let indexes = try #require(try catalog.indexes(named: "default"))
        try Self.put(1...5, "added", indexes)
        #expect(indexes.vectors?.count == 5)
        #expect(try indexes.verify().problems == [] && store.verify() == [])
    }

    @Test func `index files of another collection are not taken for one's own`() throws {
        let folder = try Tests.Folder()
        do {
            let (store, catalog) = try Tests.open(folder)
            try Self.put(1...30, "first", try catalog.indexes(creating: "a"))
            try Self.put(1...30, "second", try catalog.indexes(creating: "b"))
            try catalog.sealAll()
            try store.close()
        }
        let index = folder.path + "/index"
        try FileManager.default.moveItem(atPath: index + "/1", toPath: index + "/x")
        try FileManager.default.moveItem(atPath: index + "/2", toPath: index + "/1")
        try FileManager.default.moveItem(atPath: index + "/x", toPath: index + "/2")
        let (store, catalog) = try Tests.open(folder)
        let indexes = try #require(try catalog.indexes(named: "a"))
        try Self.expect(30, of: "first", indexes, store, "a")
        try Self.expect(0, of: "second", indexes, store, "a")
        try Self.expect(30, of: "second", try #require(try catalog.indexes(named: "b")), store, "b")
    }

    @Test(arguments: ["text", "vectors"])
    func `a file put in the place of another is noticed and rebuilt`(which: String) throws {
        let folder = try Tests.Folder()
        do {
            let (store, catalog) = try Tests.open(folder)
            for (name, word) in [("a", "first"), ("b", "second")] {
                let indexes = try catalog.indexes(creating: name)
                try Self.put(1...30, word, indexes)
            }
            try catalog.sealAll()
            try store.close()
        }
        func segment(_ collection: Int) throws -> String {
            let path = "\(folder.path)/index/\(collection)/\(which)"
            let name = try FileManager.default.contentsOfDirectory(atPath: path).first { $0.hasSuffix(".seg") }
            return path + "/" + (try #require(name))
        }
        // A good file, of the same kind.
        let stranger = try Data(contentsOf: URL(fileURLWithPath: segment(2)))
        try stranger.write(to: URL(fileURLWithPath: segment(1)))
        let (store, catalog) = try Tests.open(folder)
        let indexes = try #require(try catalog.indexes(named: "a"))
        #expect(indexes.repairs.contains { $0.contains("another file") })
        try Self.expect(30, of: "first", indexes, store, which)
        #expect(try indexes.verify().problems == [])
    }

    @Test func `files of a version without seals are taken up and sealed with one`() throws {
        let folder = try Tests.Folder()
        let text = folder.path + "/index/1/text"
        do {
            let (store, catalog) = try Tests.open(folder)
            try Self.put(1...30, "kept", try catalog.indexes(creating: "default"))
            try catalog.sealAll()
            try store.close()
        }
        for part in ["text", "vectors"] {
            let path = folder.path + "/index/1/" + part
            var manifest = try #require(try IndexManifest.load(directory: path))
            manifest.position.seal = nil
            manifest.checksums = nil
            try manifest.publish(directory: path)
        }
        do {
            let (store, catalog) = try Tests.open(folder)
            let indexes = try #require(try catalog.indexes(named: "default"))
            #expect(indexes.repairs == [])
            try Self.expect(30, of: "kept", indexes, store, "without seals")
            try catalog.sealAll()
            try store.close()
        }
        let manifest = try #require(try IndexManifest.load(directory: text))
        #expect(manifest.position.seal != nil && manifest.checksums?.count == manifest.segments.count)
        // Ahead of the database, they are not.
        var ahead = manifest
        ahead.position = IndexPosition(highWater: RowID(31))
        try ahead.publish(directory: text)
        let (store, catalog) = try Tests.open(folder)
        let indexes = try #require(try catalog.indexes(named: "default"))
        #expect(indexes.repairs.count == 1)
        try Self.expect(30, of: "kept", indexes, store, "ahead")
    }

    @Test func `an emptied database beside indexes is refused, and the indexes are left alone`() throws {
        let folder = try Tests.Folder()
        do {
            let (store, catalog) = try Tests.open(folder)
            try Self.put(1...5, "kept", try catalog.indexes(creating: "default"))
            try catalog.sealAll()
            try store.close()
        }
        for file in Self.files { try? FileManager.default.removeItem(atPath: folder.path + "/" + file) }
        try Data().write(to: URL(fileURLWithPath: folder.path + "/outrider.sqlite"))
        for _ in 1...2 {
            let error = #expect(throws: IndexingError.self) { _ = try Tests.open(folder) }
            #expect(error?.description.contains("restore") == true && error?.description.contains("index") == true)
        }
        #expect(FileManager.default.fileExists(atPath: folder.path + "/index/1/text/manifest.json"))
        try FileManager.default.removeItem(atPath: folder.path + "/index")
        let (_, catalog) = try Tests.open(folder)
        #expect(catalog.all().isEmpty)
    }

    @Test func `a folder whose last collection was deleted opens, whatever is left of its index`() throws {
        let folder = try Tests.Folder()
        do {
            let (store, catalog) = try Tests.open(folder)
            try Self.put(1...5, "kept", try catalog.indexes(creating: "default"))
            try catalog.sealAll()
            // Deleted behind the catalog's back: as when the process ends before it removes the files.
            _ = try store.deleteCollection(try #require(try store.collection(named: "default")).id)
            try store.close()
        }
        let (_, catalog) = try Tests.open(folder)
        #expect(catalog.all().isEmpty)
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/index/1"))
    }

    @Test func `index files and folders are for their owner only`() throws {
        let folder = try Tests.Folder()
        let (_, catalog) = try Tests.open(folder)
        try Self.put(1...5, "kept", try catalog.indexes(creating: "default"))
        try catalog.sealAll()
        let index = folder.path + "/index"
        for path in try FileManager.default.subpathsOfDirectory(atPath: index) {
            let attributes = try FileManager.default.attributesOfItem(atPath: index + "/" + path)
            let isFolder = attributes[.type] as? FileAttributeType == .typeDirectory
            #expect(attributes[.posixPermissions] as? Int == (isFolder ? 0o700 : 0o600), "\(path)")
        }
    }
}
