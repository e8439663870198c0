import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

struct DeletionTests {
    let folder = Folder()

    @Test func `every selector deletes what it names and nothing else`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let other = try store.createCollection(name: "other").id
        let sources = ["/a", "/a/b", "/a/b/c", "/a0", "/ab", "/b", "/a/é", "a", "/", "/A/x"]
        func fill() throws {
            for source in sources { try store.put(draft(id, source: source, metadata: ["length": .number(Double(source.utf8.count))])) }
        }
        func left(_ selector: (DocumentStore) throws -> DeletionSelector) throws -> Set<String> {
            try fill()
            let before = try store.documents(in: id)
            let selector = try selector(store)
            let receipt = try store.delete(selector, in: id)
            let after = try store.documents(in: id)
            #expect(Set(receipt.documents) == Set(before.map(\.id)).subtracting(after.map(\.id)))
            #expect(receipt.documents.count == before.count - after.count)
            #expect(receipt.chunks.count == 2 * receipt.documents.count && receipt.collection == "notes")
            #expect(try store.chunkIDs(in: id).count == 2 * after.count)
            #expect(try store.passages(receipt.chunks).isEmpty)
            for document in receipt.documents { #expect(try store.document(document) == nil && store.text(of: document) == nil) }
            return Set(sources).subtracting(after.map(\.source))
        }
        try store.put(draft(other, source: "/a"))
        #expect(try left { _ in .sourceTree("/a") } == ["/a", "/a/b", "/a/b/c", "/a/é"])
        #expect(try left { _ in .sourceTree("/a/") } == ["/a", "/a/b", "/a/b/c", "/a/é"])
        #expect(try left { _ in .sourceTree("") } == [])
        #expect(try left { _ in .sourceTree("/a/b/%") } == [])
        #expect(try left { _ in .sources(["/a", "/a", "/none", "/b"]) } == ["/a", "/b"])
        #expect(try left { _ in .filter(.gt("length", .number(4))) } == ["/a/b/c", "/a/é"])
        #expect(
            try left { store in
                let document = try #require(try store.document(source: "/ab", in: id)).id
                let foreign = try #require(try store.document(source: "/a", in: other)).id
                return .ids([document, document, foreign, DocumentID(rawValue: "doc_none")])
            } == ["/ab"])
        #expect(try left { _ in .all } == Set(sources))
        #expect(try store.documents(in: other).map(\.source) == ["/a"])
        #expect(try store.verify() == [])
    }

    @Test func `deleting leaves no row behind`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for index in 0..<5 { try store.put(draft(id, source: "/\(index)", metadata: ["a": .strings(["x", "y"])])) }
        let receipts = [try store.delete(.sources(["/0", "/1"]), in: id), try store.delete(.all, in: id)]
        for table in ["documents", "document_texts", "attributes", "chunks", "vectors"] { #expect(try store.count(table) == 0, "\(table)") }
        #expect(try store.deletions(in: id, after: 0).chunks == receipts.flatMap(\.chunks))
        #expect(try store.counts(of: id) == CollectionCounts(documents: 0, chunks: 0, textBytes: 0))
        #expect(try store.delete(.all, in: id).documents.isEmpty)
    }

    @Test func `deleting a collection takes everything with it and nothing else`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let other = try store.createCollection(name: "other").id
        let kept = try store.put(draft(other, source: "/a"))
        let job = try store.createJob(in: id, files: [file("/a"), file("/b")])
        let keptJob = try store.createJob(in: other, files: [file("/a")])
        let commit = try store.put(draft(id, source: "/a", metadata: ["k": .bool(true)]), finishing: (job.id, 0))
        _ = try store.delete(.sources(["/none"]), in: id)
        let receipt = try store.deleteCollection(id)
        #expect(receipt == DeletionReceipt(documents: [commit.document], chunks: commit.inserted, collection: "notes"))
        #expect(try store.collections().map(\.name) == ["other"])
        #expect(try store.job(job.id) == nil && store.job(keptJob.id) == keptJob)
        #expect(try store.chunkIDs(in: other) == kept.inserted)
        for (table, count) in [
            ("documents", 1), ("attributes", 0), ("chunks", 2), ("vectors", 2), ("deletions", 0), ("job_files", 1), ("job_stages", 1),
        ] {
            #expect(try store.count(table) == count, "\(table)")
        }
        #expect(failure { _ = try store.deleteCollection(id) } == .unknownCollection(String(id.rawValue)))
        let again = try store.createCollection(name: "notes").id
        #expect(again != id)
        #expect(try store.verify() == [])
    }

    @Test func `job history forgets the sources of deleted documents`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let job = try store.createJob(in: id, files: [file("/a"), file("/b"), file("/c"), file("/d")])
        try store.put(draft(id, source: "/a"), finishing: (job.id, 0))
        try store.put(draft(id, source: "/renamed"), finishing: (job.id, 1))
        try store.update(stage: .failed, job: job.id, sequence: 2, reason: "page 3 says so")
        _ = try store.delete(.sources(["/a", "/c", "/d"]), in: id)
        let document = try #require(try store.document(source: "/renamed", in: id)).id
        _ = try store.delete(.ids([document]), in: id)
        let files = try store.files(of: job.id)
        for index in 0..<3 {
            #expect(
                files[index].source == "" && files[index].path == "" && files[index].title == nil && files[index].metadata == [:],
                "file \(index)")
            #expect(files[index].reason == "the document was deleted")
        }
        #expect(files.map(\.stage) == [.indexed, .indexed, .failed, .queued])
        // Work that is still to be done keeps what it needs.
        #expect(files[3].source == "/d" && files[3].title == "Title of /d")
        #expect(try store.retryJob(job.id).job.stages[.failed] == 1)
        #expect(try store.verify() == [])
    }

    @Test func `the audit log names ids and counts and never text`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes", actor: "boot").id
        let commit = try store.put(
            draft(id, source: "/secret-source", title: "secret-title", parts: ["secret-text"], metadata: ["m": .string("secret-meta")]),
            actor: "anna")
        try store.update(metadata: ["m": .string("secret-meta2")], of: commit.document, actor: "bert")
        _ = try store.delete(.filter(.eq("m", .string("secret-meta2"))), in: id, actor: "carl")
        _ = try store.delete(.all, in: id, actor: "nobody")
        let entries = try store.audit()
        #expect(entries.map(\.action) == [.documentDelete, .documentMetadata, .documentPut, .collectionCreate])
        #expect(entries.map(\.actor) == ["carl", "bert", "anna", "boot"])
        #expect(entries.map(\.documents) == [[commit.document], [commit.document], [commit.document], []])
        #expect(entries.map(\.chunkCount) == [1, 0, 1, 0] && entries.allSatisfy { $0.collection == id })
        #expect(try !json(entries).contains("secret"))
        #expect(try store.audit(before: entries[1].id, limit: 1) == [entries[2]])
        try store.pruneHistory(.now, now: Date().addingTimeInterval(60))
        #expect(try store.audit().isEmpty)
    }

    @Test func `a large deletion is audited in full`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.write("fill") { database in
            for index in 0..<2500 {
                try database.execute(
                    sql: """
                        INSERT INTO documents (id, collection, source, mime_type, content_hash, byte_count, chunk_count, text_bytes, version, created_at, updated_at, metadata)
                        VALUES (?, ?, ?, '', '', 0, 0, 0, 1, 0, 0, '{}')
                        """, arguments: ["doc_\(index)", id.rawValue, "/\(index)"])
                try database.execute(
                    sql: "INSERT INTO document_texts (document, text, pages) VALUES (?, '', '[]')", arguments: [database.lastInsertedRowID])
            }
        }
        let receipt = try store.delete(.sourceTree("/"), in: id)
        let entries = try store.audit().filter { $0.action == .documentDelete }
        #expect(entries.map(\.documents.count) == [500, 1000, 1000])
        #expect(Set(entries.flatMap(\.documents)) == Set(receipt.documents) && receipt.documents.count == 2500)
    }
}

struct CompactionTests {
    let folder = Folder()

    /// Texts of many sizes, so that cells, overflow pages, rebalanced pages and the log all get their share of the marker.
    @Test(arguments: [21, 22, 23] as [UInt64])
    func `after compaction a deleted document's words are in no file`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let marker = "zyx\(seed)wvu"
        func marked(_ source: String) -> DocumentDraft {
            let parts = (0..<Int.random(in: 1...6, using: &generator)).map { ordinal in
                "\(marker) \(ordinal) " + String(repeating: "filler ", count: Int.random(in: 0...3000, using: &generator))
            }
            var value = draft(
                id, source: source, title: "Title \(marker)", parts: parts, metadata: ["note": .string(marker), marker: .bool(true)])
            for index in value.chunks.indices { value.chunks[index].heading = marker }
            value.mimeType = "text/\(marker)"
            value.contentHash = marker
            return value
        }
        let job = try store.createJob(
            in: id,
            files: (0..<30).map {
                JobFileDraft(
                    path: "/spool/\(marker)/\($0)", source: "/\(marker)/\($0)", title: marker, metadata: ["m": .string(marker)],
                    isSpooled: true, byteCount: 1)
            })
        for index in 0..<30 {
            try store.put(
                draft(
                    id, source: "/plain/\(index)",
                    parts: (0..<4).map { "plain \($0) " + String(repeating: "x", count: Int.random(in: 0...2000, using: &generator)) }))
            if index == 29 {
                try store.update(stage: .failed, job: job.id, sequence: 29, reason: "could not read \(marker)")
            } else {
                try store.put(marked("/\(marker)/\(index)"), finishing: (job.id, index))
            }
        }
        for index in 0..<10 { try store.put(marked("/\(marker)/\(index)")) }  // Replaced versions leave traces of their own.
        let reader = try folder.open(readOnly: true)  // A second connection, with its own cache, stays open.
        let commit = try #require(try reader.document(source: "/\(marker)/3", in: id))
        #expect(try !folder.files(containing: marker).isEmpty, "the scan finds nothing, so it proves nothing")
        let plain = try store.documents(in: id, search: "/plain/", limit: 100)
        #expect(try store.delete(.sourceTree("/\(marker)"), in: id).documents.count == 29)
        try store.compact()
        #expect(try folder.files(containing: marker) == [], "seed \(seed)")
        #expect(try reader.document(commit.id) == nil && reader.documents(in: id, limit: 100) == plain && plain.count == 30)
        #expect(try store.verify() == [], "seed \(seed)")
        try reader.close()
        try store.close()
        #expect(try folder.files(containing: marker) == [])
    }

    /// Rows that arrive in no order split and rebalance index pages, which leaves copies of them that deleting does not find.
    @Test(arguments: [24] as [UInt64])
    func `copies that rebalancing left behind are gone too`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let marker = "qjx\(seed)xjq"
        for index in 0..<120 {
            let word = index % 2 == 0 ? marker : "plain"
            let values = (0..<20).map { _ in
                "\(UInt64.random(in: 0...(.max), using: &generator)) \(word)"
                    + String(repeating: "v", count: Int.random(in: 0...500, using: &generator))
            }
            try store.put(
                draft(
                    id, source: "/\(UInt64.random(in: 0...(.max), using: &generator))/\(word)/\(index)", parts: ["x"],
                    metadata: ["list": .strings(values), "word": .string(word)]))
        }
        #expect(try store.delete(.filter(.eq("word", .string(marker))), in: id).documents.count == 60)
        try store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        #expect(try folder.files(containing: marker) == ["outrider.sqlite"], "nothing is left over, so this proves nothing")
        try store.compact()
        #expect(try folder.files(containing: marker) == [], "seed \(seed)")
        #expect(try store.verify() == [] && store.counts(of: id).documents == 60)
    }

    @Test func `compaction gives space back`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for index in 0..<40 { try store.put(draft(id, source: "/\(index)", parts: [String(repeating: "word ", count: 20_000)])) }
        func size() throws -> Int {
            try FileManager.default.subpathsOfDirectory(atPath: folder.path("data")).map {
                try FileManager.default.attributesOfItem(atPath: folder.path("data/" + $0))[.size] as! Int
            }.reduce(0, +)
        }
        let full = try size()
        _ = try store.delete(.all, in: id)
        try store.compact()
        #expect(try size() < full / 10)
    }

    @Test(arguments: ["truncate the write-ahead log", "rewrite the database"])
    func `a disk that fills up while files are rewritten is told by its name`(operation: String) throws {
        let store = try folder.open()
        let full = failure { try store.withWriter(operation) { _ in throw DatabaseError(resultCode: .SQLITE_FULL) } }
        #expect(full == .diskFull(path: store.directory, operation: operation))
    }

    @Test func `without room to rewrite, compaction says so, gives back what it can, and loses nothing`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for index in 0..<10 { try store.put(draft(id, source: "/\(index)", parts: [String(repeating: "word ", count: 20_000)])) }
        _ = try store.delete(.sources((0..<9).map { "/\($0)" }), in: id)
        let error = #expect(throws: DocumentStoreError.self) { try store.compact(freeBytes: { _ in 1000 }) }
        guard case .notEnoughSpace(_, let needed, 1000) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(needed > 16 << 20)
        let pages = try store.pool.read { try Int.fetchOne($0, sql: "PRAGMA freelist_count")! }
        #expect(pages == 0)
        #expect(try store.verify() == [] && store.documents(in: id).map(\.source) == ["/9"])
    }

    @Test func `readers go on while the database is compacted`() async throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for index in 0..<50 {
            try store.put(draft(id, source: "/\(index)", parts: (0..<20).map { "part \($0) " + String(repeating: "y", count: 500) }))
        }
        let expected = try store.chunkIDs(in: id)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for _ in 0..<3 { try store.compact() } }
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<40 {
                        let ids = try store.chunkIDs(in: id)
                        let passages = try store.passages(Array(expected.prefix(30)))
                        #expect(ids == expected && passages.count == 30)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
