import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

/// Checksums of what is stored, and the words of seals.
struct ChecksumTests {
    private let folder = Folder()

    @Test func `any flipped bit changes the checksum`() {
        var generator = SeededGenerator(seed: 5)
        for count in [1, 7, 8, 9, 16, 63, 64, 65, 1536] {
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let good = ContentChecksum.of(Data(bytes))
            for bit in 0..<count * 8 {
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(ContentChecksum.of(Data(bytes)) != good)
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            }
            #expect(ContentChecksum.of(Data(bytes + [0])) != good && ContentChecksum.of(Data(bytes.dropLast())) != good)
        }
    }

    @Test func `parts do not trade bytes`() {
        func checksum(_ parts: [String]) -> Int64 {
            var checksum = ContentChecksum()
            for part in parts { checksum.add(part) }
            return checksum.value
        }
        #expect(checksum(["ab", "c"]) != checksum(["a", "bc"]) && checksum(["", "a"]) != checksum(["a", ""]))
    }

    @Test(arguments: [
        ("UPDATE chunks SET text = replace(text, 'Gamma', 'Ganma')", "text"),
        ("UPDATE documents SET title = 'Titel'", "title"),
        ("UPDATE document_texts SET pages = '[[1,0,4]]'", "text"),
        ("UPDATE chunks SET heading = 'Part 9' WHERE ordinal = 1", "heading"),
        ("UPDATE vectors SET vector = zeroblob(16) WHERE chunk = 2", "vector of chunk_2"),
        // One bit of one number.
        ("UPDATE vectors SET vector = CAST(x'01' || substr(vector, 2) AS BLOB) WHERE chunk = 1", "vector of chunk_1"),
    ])
    func `verification names what differs from its checksum`(sql: String, words: String) throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let commit = try store.put(
            draft(id, source: "/a", title: "Title", pages: [PageSpan(number: 1, span: TextSpan(start: 0, end: 5))]))
        #expect(try store.verify() == [])
        try store.damage(sql)
        let flaws = try store.verify()
        #expect(flaws.contains { $0.contains(words) && $0.contains("checksum") && $0.contains("--id \(commit.document)") }, "\(flaws)")
    }

    @Test func `documents without checksums get them, and then they hold`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<30 { try store.put(draft(id, source: "/\(number)", parts: ["Part \(number). ", "More \0 of it."])) }
        try store.put(draft(id, source: "/bare", model: "mini"))
        let good = try store.count("checksums")
        #expect(good == 31)
        try store.damage("CREATE TABLE kept AS SELECT * FROM checksums; DELETE FROM checksums")
        try store.damage("CREATE TABLE kept_vectors AS SELECT chunk, checksum FROM vectors; UPDATE vectors SET checksum = NULL")
        #expect(try store.verify() == [])
        while try store.addMissingChecksums(limit: 7) {}
        // The same as when the documents were stored: nothing is lost on the way to the disk.
        #expect(try store.count("checksums c JOIN kept k ON k.document = c.document AND k.text = c.text") == 31)
        #expect(try store.count("vectors v JOIN kept_vectors k ON k.chunk = v.chunk AND k.checksum = v.checksum") == 62)
        try store.damage("UPDATE vectors SET vector = zeroblob(16) WHERE chunk = 20")
        #expect(try store.verify().contains { $0.contains("chunk_20") })
    }

    @Test func `checksums go with their documents`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<5 { try store.put(draft(id, source: "/\(number)")) }
        try store.put(draft(id, source: "/0", parts: ["Other."]))
        _ = try store.delete(.sources(["/1"]), in: id)
        #expect(try store.count("checksums") == 4)
        _ = try store.delete(.all, in: id)
        #expect(try store.count("checksums") == 0)
    }

    @Test func `a seal's word is known to its collection, and the last 64 are kept`() throws {
        let store = try folder.open()
        let first = try store.createCollection(name: "a").id
        let second = try store.createCollection(name: "b").id
        let words = try (0..<70).map { _ in try store.noteSeal(of: first) }
        #expect(Set(words).count == 70)
        #expect(try store.knowsSeal(words[69], of: first) && store.knowsSeal(words[6], of: first) && !store.knowsSeal(words[5], of: first))
        #expect(try !store.knowsSeal(words[69], of: second) && !store.knowsSeal("", of: first))
        _ = try store.deleteCollection(first)
        #expect(try store.count("seals") == 0)
        #expect(failure { _ = try store.noteSeal(of: first) } != nil)
    }

    @Test func `a document without vectors is refused where others have them`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        #expect(failure { try store.put(draft(id, source: "/b", model: nil)) } == .missingVectors(collection: "notes", expected: "mini"))
        #expect(try store.verify() == [])
        // Where an earlier version took it, verification says so, with a remedy.
        try store.damage("DELETE FROM vectors WHERE chunk = 1")
        #expect(try store.verify().contains { $0.contains("1 chunks without a vector") && $0.contains("outrider delete --id") })
    }

    @Test func `after closing, the one file holds everything`() throws {
        do {
            let store = try folder.open()
            let id = try store.createCollection(name: "notes").id
            for number in 0..<20 { try store.put(draft(id, source: "/\(number)")) }
            try store.close()
        }
        let log = folder.path("data/outrider.sqlite-wal")
        #expect((try? FileManager.default.attributesOfItem(atPath: log)[.size] as? Int) ?? 0 == 0)
        let copy = folder.path("copy")
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: folder.path("data/outrider.sqlite"), toPath: copy + "/outrider.sqlite")
        let store = try DocumentStore(directory: copy)
        #expect(try store.counts(of: try #require(try store.collection(named: "notes")).id).documents == 20)
        #expect(try store.verify() == [])
    }

    @Test func `closing does not wait for a reader of an old snapshot`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        let reader = try folder.open(readOnly: true)
        try reader.pool.read { database in
            #expect(try database.tableExists("documents"))
            try store.put(draft(id, source: "/b"))
            try store.close()
        }
        #expect(try folder.open().counts(of: id).documents == 2)
    }
}

/// A file whose rows are not what they were, as after bits have flipped in it.
struct DamagedRowTests {
    @Test func `no flipped bit ends the program, and verification tells what is wrong`() throws {
        let folder = Folder()
        var id = CollectionID(rawValue: 0)
        do {
            let store = try folder.open()
            id = try store.createCollection(name: "notes").id
            for number in 0..<12 {
                let pages = [PageSpan(number: 1, span: TextSpan(start: 0, end: 5))]
                try store.put(draft(id, source: "/\(number)", title: "T\(number)", metadata: ["year": .number(2024)], pages: pages))
            }
            _ = try store.createJob(in: id, files: [file("/a"), file("/b")])
            _ = try store.delete(.sources(["/3"]), in: id)
            try store.close()
        }
        let path = folder.path("data/outrider.sqlite")
        let good = try Data(contentsOf: URL(fileURLWithPath: path))
        RandomBits.forEachSeed(25) { seed in
            var generator = SeededGenerator(seed: seed)
            var bad = good
            // Not the first page's header: a file that is no database is refused at once.
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bad[Int.random(in: 100..<bad.count, using: &generator)] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            }
            for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
            try? bad.write(to: URL(fileURLWithPath: path))
            guard let store = try? folder.open() else { return }
            _ = try? store.verify()
            _ = try? store.collections()
            _ = try? store.documents(in: id)
            _ = try? store.passages((1...24).map { ChunkID(rawValue: Int64($0)) })
            _ = try? store.rows(in: id, space: store.space(of: id), after: ChunkID(rawValue: 0), limit: 100)
            _ = try? store.chunkIDs(in: id, matching: .eq("year", .number(2024)))
            _ = try? store.jobs().map { try store.files(of: $0.id) }
            _ = try? store.audit()
            for document in (try? store.documents(in: id)) ?? [] { _ = try? (store.text(of: document.id), store.pages(of: document.id)) }
            _ = try? store.recoverJobs(deathLimit: 3)
            _ = try? store.claimNextFile()
            _ = try? store.put(draft(id, source: "/1", parts: ["New. "]))
            _ = try? store.delete(.sources(["/2"]), in: id)
            try? store.close()
        }
    }

    private enum RandomBits {
        static func forEachSeed(_ count: Int, _ body: (UInt64) -> Void) {
            for seed in 1...UInt64(count) { body(seed) }
            guard let text = ProcessInfo.processInfo.environment["OUTRIDER_RANDOM_SECONDS"], let seconds = Double(text) else { return }
            let end = Date().addingTimeInterval(seconds)
            var seed = UInt64(Date().timeIntervalSince1970 * 1000)
            while Date() < end {
                seed += 1
                body(seed)
            }
        }
    }

    @Test(arguments: [
        "UPDATE chunks SET span_end = NULL WHERE id = 1", "UPDATE documents SET version = NULL", "UPDATE jobs SET created_at = NULL",
        "UPDATE job_files SET attempts = NULL", "UPDATE audit SET at = NULL", "UPDATE collections SET chunk_count = NULL",
    ])
    func `a value that is missing is an error and not the end`(sql: String) throws {
        let folder = Folder()
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a", title: "Secret title"))
        let job = try store.createJob(in: id, files: [file("/a")])
        // As a flipped bit does it: the columns' rules are looked at when rows are written, not when they are read.
        let table = String(sql.split(separator: " ")[1])
        try store.damage(
            """
            PRAGMA writable_schema = ON;
            UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = '\(table)' AND type = 'table';
            PRAGMA writable_schema = RESET;
            """)
        try store.close()
        let damaged = try folder.open()
        try damaged.damage(sql)
        let flaws = try damaged.verify()
        let errors = [
            failure { _ = try damaged.passages([ChunkID(rawValue: 1)]) }, failure { _ = try damaged.documents(in: id) },
            failure { _ = try damaged.files(of: job.id) }, failure { _ = try damaged.audit() }, failure { _ = try damaged.collections() },
        ].compactMap { $0 }
        #expect(!errors.isEmpty, "\(flaws)")
        for text in errors.map(\.description) + flaws { #expect(!text.contains("Secret") && !text.contains("lpha"), "\(text)") }
    }
}
