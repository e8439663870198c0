import Foundation
import GRDB
import Testing

@testable import Documents

struct OpeningTests {
    let folder = Folder()

    @Test func `folder and file are created for their owner only`() throws {
        let path = folder.path("a/b/data")
        let store = try DocumentStore(directory: path)
        _ = try store.createCollection(name: "notes")
        func permissions(_ path: String) throws -> Int { try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as! Int }
        #expect(try permissions(path) == 0o700)
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            #expect(try permissions(path + "/" + name) == 0o600, "\(name)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).contains("outrider.sqlite-wal"))
    }

    @Test func `what was stored is there after closing and opening`() throws {
        let first = try folder.open()
        let collection = try first.createCollection(name: "notes")
        let commit = try first.put(draft(collection.id, source: "/a"))
        let record = try first.document(commit.document)
        try first.close()
        let second = try folder.open()
        #expect(try second.collections() == [collection].map { try #require(try second.collection($0.id)) })
        #expect(try second.document(commit.document) == record)
        #expect(record != nil)
        #expect(try second.verify() == [])
    }

    @Test func `the writer flushes every commit, overwrites what it deletes and follows foreign keys`() throws {
        let store = try folder.open()
        _ = try store.createJob(in: try store.createCollection(name: "notes").id, files: [file("a")])
        _ = try store.claimNextFile()  // Turns flushing off and on again.
        let pragmas = try store.pool.writeWithoutTransaction { database in
            try ["synchronous", "secure_delete", "foreign_keys", "auto_vacuum", "page_size"].map {
                try Int.fetchOne(database, sql: "PRAGMA \($0)")
            }
        }
        #expect(pragmas == [2, 1, 1, 2, 8192])
        #expect(try store.pool.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
    }

    @Test func `flushing is on again after progress that failed`() throws {
        let store = try folder.open()
        #expect(throws: DocumentStoreError.self) { try store.update(stage: .chunking, job: JobID(rawValue: "job_none"), sequence: 0) }
        #expect(try store.pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
    }

    @Test func `a newer schema is refused and left alone`() throws {
        let store = try folder.open()
        try store.damage("PRAGMA user_version = 7")
        try store.close()
        for readOnly in [false, true] {
            let error = failure { _ = try folder.open(readOnly: readOnly) }
            #expect(error == .newerSchema(path: folder.path("data"), got: 7, expected: Schema.version))
        }
    }

    @Test func `an unknown migration is refused`() throws {
        let store = try folder.open()
        try store.damage("INSERT INTO grdb_migrations VALUES ('2 of tomorrow')")
        try store.close()
        guard case .newerSchema = failure(of: { _ = try folder.open() }) else {
            Issue.record("opened a database with a migration that this program does not know")
            return
        }
    }

    @Test func `what is not our database is refused and left alone`() throws {
        try FileManager.default.createDirectory(atPath: folder.path("data"), withIntermediateDirectories: true)
        let path = folder.path("data/outrider.sqlite")
        let junk = Data("This is not a database, but a text of some length that stands where one should be.".utf8)
        try junk.write(to: URL(fileURLWithPath: path))
        guard case .cannotOpen = failure(of: { _ = try folder.open() }) else {
            Issue.record("opened a text file")
            return
        }
        #expect(FileManager.default.contents(atPath: path) == junk)

        try FileManager.default.removeItem(atPath: path)
        let foreign = try DatabaseQueue(path: path)
        try foreign.write { try $0.execute(sql: "CREATE TABLE recipes (name TEXT)") }
        try foreign.close()
        guard case .cannotOpen(_, let reason) = failure(of: { _ = try folder.open() }) else {
            Issue.record("opened another program's database")
            return
        }
        #expect(reason.contains("another program"))
    }

    @Test func `reading only needs a database and never changes it`() throws {
        guard case .cannotOpen = failure(of: { _ = try folder.open(readOnly: true) }) else {
            Issue.record("opened a database that does not exist")
            return
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path("data")))

        let writer = try folder.open()
        let collection = try writer.createCollection(name: "notes")
        try writer.put(draft(collection.id, source: "/a"))
        try writer.close()
        let store = try folder.open(readOnly: true)
        let document = try #require(try store.document(source: "/a", in: collection.id))
        let job = JobID(rawValue: "job_x")
        let writes: [() throws -> Void] = [
            { _ = try store.createCollection(name: "other") }, { try store.update(settings: .init(), of: collection.id) },
            { _ = try store.deleteCollection(collection.id) }, { try store.put(draft(collection.id, source: "/b")) },
            { _ = try store.delete(.all, in: collection.id) }, { try store.update(metadata: [:], of: document.id) },
            { try store.trimDeletions(in: collection.id, through: 1) }, { _ = try store.createJob(in: collection.id, files: []) },
            { _ = try store.claimNextFile() }, { try store.update(stage: .failed, job: job, sequence: 0) },
            { _ = try store.cancelJob(job) },
            { _ = try store.retryJob(job) }, { _ = try store.recoverJobs(deathLimit: 1) },
            { try store.compact() }, { try store.pruneHistory() },
        ]
        for (index, write) in writes.enumerated() {
            #expect(failure(of: write) == .readOnly(path: folder.path("data")), "write \(index)")
        }
        #expect(try store.document(document.id) == document)
        #expect(try store.verify() == [])
    }

    @Test func `calls after closing throw and do not crash`() throws {
        let store = try folder.open()
        try store.close()
        #expect(throws: DocumentStoreError.self) { _ = try store.collections() }
        #expect(throws: DocumentStoreError.self) { _ = try store.createCollection(name: "late") }
    }

    @Test func `many may create the same database at once`() async throws {
        let path = folder.path("data")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<6 {
                group.addTask { _ = try DocumentStore(directory: path).createCollection(name: "c\(index)") }
            }
            try await group.waitForAll()
        }
        #expect(try folder.open().collections().map(\.name) == (0..<6).map { "c\($0)" })
    }

    @Test func `a folder that cannot be is refused with its path`() throws {
        try Data().write(to: URL(fileURLWithPath: folder.path("file")))
        let error = failure { _ = try DocumentStore(directory: folder.path("file/data")) }
        #expect(error?.description.contains(folder.path("file")) == true)
    }
}

struct CollectionTests {
    let folder = Folder()

    @Test func `collections are found by name and id and listed by name`() throws {
        let store = try folder.open()
        var settings = CollectionSettings()
        settings.k1 = 1.25
        settings.stemmer = "german"
        let b = try store.createCollection(name: "b", settings: settings)
        let a = try store.createCollection(name: "a")
        #expect(try store.collection(named: "b") == b)
        #expect(try store.collection(b.id) == b)
        #expect(b.settings == settings)
        #expect(try store.collections() == [a, b])
        #expect(try store.collection(named: "c") == nil)
        #expect(failure { _ = try store.createCollection(name: "a") } == .collectionExists("a"))
    }

    @Test(arguments: ["", ".", "..", "a/b", "-x", "a b", "ä", String(repeating: "a", count: 65), "a\0b", "_x"])
    func `a bad name is refused`(name: String) throws {
        #expect(failure { _ = try folder.open().createCollection(name: name) } == .invalidName(name))
    }

    @Test(arguments: ["a", "A.b_c-9", "0", String(repeating: "z", count: 64)])
    func `a good name is taken`(name: String) throws {
        #expect(try folder.open().createCollection(name: name).name == name)
    }

    @Test func `settings without some members are read with defaults`() throws {
        let settings = try JSONDecoder().decode(CollectionSettings.self, from: Data(#"{"k1": 1.5, "tomorrow": true}"#.utf8))
        var expected = CollectionSettings()
        expected.k1 = 1.5
        #expect(settings == expected)
    }

    @Test func `settings change, and the model stays with its vectors`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        var settings = CollectionSettings()
        settings.embeddingModel = "first"
        try store.update(settings: settings, of: id)
        settings.embeddingModel = "mini"
        try store.update(settings: settings, of: id)
        try store.put(draft(id, source: "/a"))
        settings.b = 0.9
        settings.embeddingModel = nil
        try store.update(settings: settings, of: id)
        let stored = try #require(try store.collection(id)).settings
        #expect(stored.b == 0.9 && stored.embeddingModel == "mini" && stored.dimension == 4)
        settings.embeddingModel = "other"
        #expect(
            failure { try store.update(settings: settings, of: id) } == .modelMismatch(collection: "notes", got: "other", expected: "mini"))
        settings.embeddingModel = "mini"
        settings.dimension = 8
        #expect(failure { try store.update(settings: settings, of: id) } == .dimensionMismatch(collection: "notes", got: 8, expected: 4))
        #expect(failure { try store.update(settings: settings, of: CollectionID(rawValue: 99)) } == .unknownCollection("99"))
    }
}

/// Collections whose stored settings cannot be read.
struct DamagedSettingsTests {
    @Test(arguments: ["not json", "[]", #"{"chunkTokens":"many"}"#, #"{"k1":[1]}"#, ""])
    func `a collection with unreadable settings is told apart, keeps them as they are, takes nothing in, and can be deleted`(
        text: String
    ) throws {
        let folder = Folder()
        let store = try folder.open()
        let bad = try store.createCollection(name: "bad")
        try store.put(draft(bad.id, source: "a"))
        let good = try store.createCollection(name: "good")
        try store.damage("UPDATE collections SET settings = '\(text)' WHERE name = 'bad'")

        #expect(try store.collections().map(\.name) == ["bad", "good"])
        #expect(try store.collection(named: "bad")?.settingsFlaw != nil && store.collection(named: "good")?.settingsFlaw == nil)
        #expect(try store.counts(of: bad.id).documents == 1)
        #expect(
            failure { try store.put(draft(bad.id, source: "b")) }
                == .unusableCollection(name: "bad", reason: "its stored settings are not what settings are"))
        try store.put(draft(good.id, source: "b"))
        _ = try store.delete(.sources(["a"]), in: bad.id)
        #expect(try store.count("collections WHERE settings = '\(text)'") == 1)
        _ = try store.deleteCollection(bad.id)
        #expect(try store.collections().map(\.name) == ["good"])
    }

    @Test func `a collection is found or created in one transaction`() throws {
        let folder = Folder()
        let store = try folder.open()
        let first = try store.findOrCreateCollection(name: "one")
        #expect(try store.findOrCreateCollection(name: "one") == first)
        #expect(failure { _ = try store.findOrCreateCollection(name: "../x") } == .invalidName("../x"))
        #expect(try store.count("collections") == 1)
    }
}
