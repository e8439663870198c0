import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

struct DocumentTests {
    let folder = Folder()

    @Test func `a document comes back as it was put`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let metadata: Metadata = [
            "year": .number(2024), "lang": .strings(["en", "de"]), "draft": .bool(true), "π \"'\\": .string("ü'; --"),
        ]
        let parts = ["Ünïcode 🇩🇪 ", "a\0b with NUL ", "end"]
        let text = parts.joined()
        let pages = [
            PageSpan(number: 1, span: TextSpan(start: 0, end: parts[0].utf8.count)),
            PageSpan(number: 2, span: TextSpan(start: parts[0].utf8.count, end: text.utf8.count)),
        ]
        let commit = try store.put(draft(id, source: "/a/ä.txt", title: "T\0itel", parts: parts, metadata: metadata, pages: pages))
        #expect(commit.document.rawValue.hasPrefix("doc_") && commit.document.rawValue.count == 30)
        #expect(
            commit.inserted.count == 3 && commit.inserted == commit.inserted.sorted() && commit.deleted.isEmpty && !commit.replacedVersion)

        let record = try #require(try store.document(commit.document))
        #expect(record.source == "/a/ä.txt" && record.title == "Titel" && record.metadata == metadata && record.version == 1)
        #expect(
            record.chunkCount == 3 && record.pageCount == 2 && record.contentHash == "hash of /a/ä.txt"
                && record.byteCount == text.utf8.count)
        #expect(record.createdAt == record.updatedAt && abs(record.createdAt.timeIntervalSinceNow) < 60)
        #expect(try store.document(source: "/a/ä.txt", in: id) == record)
        #expect(try store.text(of: commit.document) == text)
        #expect(try store.pages(of: commit.document) == pages)
        let chunks = try store.chunks(of: commit.document)
        #expect(
            chunks.map(\.text) == parts && chunks.map(\.id) == commit.inserted && chunks.map(\.ordinal) == [0, 1, 2]
                && chunks.map(\.page) == [1, 2, 3])
        for chunk in chunks { #expect(Array(text.utf8[...])[chunk.span.range] == Array(chunk.text.utf8)[...]) }
        #expect(try store.counts(of: id) == CollectionCounts(documents: 1, chunks: 3, textBytes: text.utf8.count))
        #expect(try store.verify() == [])
        let nobody = DocumentID(rawValue: "doc_none")
        #expect(
            try store.document(nobody) == nil && store.text(of: nobody) == nil && store.chunks(of: nobody).isEmpty
                && store.pages(of: nobody).isEmpty)
    }

    @Test func `a chunk knows the pages on which it begins and ends, and a byte is found on its page`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        var paged = draft(id, source: "/a.pdf")
        paged.chunks[0].lastPage = 4
        let document = try store.put(paged).document
        #expect(try store.chunks(of: document).map(\.lastPage) == [4, nil])
        let chunk = try store.chunks(of: document)[0]
        #expect(try store.passages([chunk.id])[chunk.id]?.chunk == chunk)

        let pages = [(2, 5, 9), (3, 9, 9), (5, 20, 30)].map { PageSpan(number: $0.0, span: TextSpan(start: $0.1, end: $0.2)) }
        #expect([0, 4, 5, 8, 9, 19, 20, 99].map { pages.page(at: $0) } == [nil, nil, 2, 2, 3, 3, 5, 5])
        #expect([PageSpan]().page(at: 0) == nil)
    }

    @Test func `a document without chunks or text is kept`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let commit = try store.put(draft(id, source: "/empty", parts: []))
        #expect(commit.inserted.isEmpty)
        #expect(try store.text(of: commit.document) == "")
        #expect(try #require(try store.collection(id)).settings.embeddingModel == nil)
        #expect(try store.verify() == [])
    }

    @Test func `a replacement keeps id and creation, counts the version up and logs the old chunks`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let first = try store.put(draft(id, source: "/a", metadata: ["year": .number(1)]))
        let before = try #require(try store.document(first.document))
        usleep(5000)
        let second = try store.put(
            draft(id, source: "/a", title: "New", parts: ["one", "two", "three"], metadata: ["lang": .string("de")]))
        let after = try #require(try store.document(first.document))
        #expect(second.document == first.document && second.replacedVersion && second.deleted == first.inserted)
        #expect(second.inserted.allSatisfy { $0 > first.inserted.last! })
        #expect(after.version == 2 && after.createdAt == before.createdAt && after.updatedAt > before.updatedAt && after.title == "New")
        #expect(after.metadata == ["lang": .string("de")])
        #expect(try store.chunkIDs(in: id) == second.inserted)
        #expect(try store.deletions(in: id, after: 0) == (first.inserted, 2) as ([ChunkID], Int64))
        #expect(try store.chunkIDs(in: id, matching: .eq("year", .number(1))).isEmpty)
        #expect(try store.counts(of: id) == CollectionCounts(documents: 1, chunks: 3, textBytes: 11))
        #expect(try store.text(of: first.document) == "onetwothree")
        #expect(try store.verify() == [])
    }

    @Test func `the same source in two collections is two documents`() throws {
        let store = try folder.open()
        let a = try store.createCollection(name: "a").id
        let b = try store.createCollection(name: "b").id
        let first = try store.put(draft(a, source: "/x"))
        let second = try store.put(draft(b, source: "/x"))
        #expect(first.document != second.document)
        #expect(try store.chunkIDs(in: a) == first.inserted && store.chunkIDs(in: b) == second.inserted)
    }

    @Test func `bad drafts change nothing`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let good = try store.put(draft(id, source: "/good"))
        func bad(_ change: (inout DocumentDraft) -> Void) -> DocumentDraft {
            var value = draft(id, source: "/bad", parts: ["aé", "b"])  // a, two bytes of é, b
            change(&value)
            return value
        }
        let drafts: [(String, DocumentDraft)] = [
            ("empty span", bad { $0.chunks[0].span = TextSpan(start: 1, end: 1) }),
            ("reversed span", bad { $0.chunks[0].span = TextSpan(start: 3, end: 1) }),
            ("negative span", bad { $0.chunks[0].span = TextSpan(start: -1, end: 1) }),
            ("span beyond the end", bad { $0.chunks[1].span = TextSpan(start: 3, end: 5) }),
            ("end inside a character", bad { $0.chunks[0].span = TextSpan(start: 0, end: 2) }),
            ("start inside a character", bad { $0.chunks[1].span = TextSpan(start: 2, end: 4) }),
            ("page outside", bad { $0.pages = [PageSpan(number: 1, span: TextSpan(start: 0, end: 9))] }),
            ("page cuts a character", bad { $0.pages = [PageSpan(number: 1, span: TextSpan(start: 2, end: 4))] }),
            ("too few numbers", bad { $0.vectors.removeLast() }),
            ("not a number", bad { $0.vectors[5] = .nan }),
            ("infinite", bad { $0.vectors[5] = .infinity }),
            ("no model", bad { $0.embeddingModel = nil }),
            ("no source", bad { $0.source = "" }),
            ("NUL in source", bad { $0.source = "a\0b" }),
            ("metadata not finite", bad { $0.metadata = ["x": .number(.nan)] }),
            ("metadata too large", bad { $0.metadata = ["x": .string(String(repeating: "x", count: 2 << 20))] }),
            ("too many values", bad { $0.metadata = ["x": .strings(Array(repeating: "y", count: 10_001))] }),
        ]
        for (name, draft) in drafts {
            guard case .invalidDocument(draft.source, _) = failure(of: { try store.put(draft) }) else {
                Issue.record("\(name) was stored")
                continue
            }
        }
        #expect(
            failure { try store.put(draft(id, source: "/bad", dimension: 8)) }
                == .dimensionMismatch(collection: "notes", got: 8, expected: 4))
        #expect(
            failure { try store.put(draft(id, source: "/bad", model: "maxi")) }
                == .modelMismatch(collection: "notes", got: "maxi", expected: "mini"))
        #expect(failure { try store.put(draft(CollectionID(rawValue: 77), source: "/bad")) } == .unknownCollection("77"))
        #expect(try store.documents(in: id).map(\.id) == [good.document])
        #expect(try store.chunkIDs(in: id) == good.inserted)
        #expect(try store.verify() == [])
    }

    @Test func `a failed put leaves the version before it`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let first = try store.put(draft(id, source: "/a"))
        // The last statements of the transaction fail: everything before them must be undone.
        try store.damage("CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'stop'); END")
        #expect(throws: DocumentStoreError.self) { try store.put(draft(id, source: "/a", parts: ["new"])) }
        try store.damage("DROP TRIGGER stop")
        #expect(try store.text(of: first.document) == "Alpha beta. Gamma delta.")
        #expect(try store.chunkIDs(in: id) == first.inserted)
        #expect(try store.verify() == [])
    }

    @Test func `documents are listed newest first, page by page, whatever is deleted between`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        var ids: [DocumentID] = []
        for index in 0..<25 { ids.append(try store.put(draft(id, source: "/\(index)", parts: ["x"])).document) }
        #expect(ids == ids.sorted { $0.rawValue < $1.rawValue })
        var listed: [DocumentID] = []
        var after: DocumentID?
        while true {
            let page = try store.documents(in: id, after: after, limit: 10)
            guard let last = page.last else { break }
            listed += page.map(\.id)
            after = last.id
            _ = try store.delete(.ids([last.id]), in: id)
        }
        #expect(listed == ids.reversed())
    }

    @Test func `search finds titles and sources in any case and script`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/berichte/übersicht.pdf", title: nil))
        try store.put(draft(id, source: "/b.txt", title: "ÜBERSICHT 100%"))
        try store.put(draft(id, source: "/c.txt", title: "Другое"))
        func sources(_ search: String) throws -> [String] { try store.documents(in: id, search: search).map(\.source) }
        #expect(try sources("Übersicht") == ["/b.txt", "/berichte/übersicht.pdf"])
        #expect(try sources("100%") == ["/b.txt"])
        #expect(try sources("_") == [])
        #expect(try sources("ДРУГ") == ["/c.txt"])
        #expect(try sources("").count == 3)
        #expect(try sources("' OR 1=1 --") == [])
        #expect(try store.documents(in: id, search: "übersicht", filter: .eq("source", .string("/b.txt"))).map(\.source) == ["/b.txt"])
    }

    @Test func `passages come in any number, and what is gone is absent`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        var all: [ChunkID] = []
        for index in 0..<60 {
            all += try store.put(draft(id, source: "/\(index)", title: "T\(index)", parts: (0..<50).map { "part \($0) of \(index). " }))
                .inserted
        }
        let gone = try store.delete(.sources(["/7"]), in: id)
        let passages = try store.passages(all + [ChunkID(rawValue: 999_999)])
        #expect(Set(passages.keys) == Set(all).subtracting(gone.chunks) && passages.count == 2950)
        for (chunkID, passage) in passages {
            #expect(passage.chunk.id == chunkID && passage.chunk.document == passage.document.id)
            #expect(passage.chunk.text == "part \(passage.chunk.ordinal) of \(passage.document.source.dropFirst()). ")
        }
        #expect(try store.passages([]).isEmpty)
    }

    @Test func `metadata can be replaced without touching chunks`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let commit = try store.put(draft(id, source: "/a", metadata: ["year": .number(2020)]))
        try store.update(metadata: ["year": .number(2021), "tags": .strings(["x", "x", "y"])], of: commit.document)
        #expect(try #require(try store.document(commit.document)).metadata == ["year": .number(2021), "tags": .strings(["x", "x", "y"])])
        #expect(try store.chunkIDs(in: id, matching: .eq("year", .number(2020))).isEmpty)
        #expect(try store.chunkIDs(in: id, matching: .eq("tags", .string("y"))) == commit.inserted)
        #expect(failure { try store.update(metadata: [:], of: DocumentID(rawValue: "doc_x")) } == .unknownDocument("doc_x"))
        #expect(try store.verify() == [])
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `sortable ids grow, whatever the clock does, and read back`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var previous: SortableID?
        var texts: [String] = []
        for _ in 0..<2000 {
            let id = SortableID(
                milliseconds: Int64.random(in: 1_700_000_000_000...1_700_000_000_003, using: &generator), after: previous, using: &generator
            )
            #expect(SortableID(id.text[...])?.value == id.value, "seed \(seed)")
            texts.append(id.text)
            previous = id
        }
        #expect(texts == texts.sorted() && Set(texts).count == texts.count, "seed \(seed)")
        #expect(texts.allSatisfy { $0.utf8.count == 26 })
        #expect(SortableID("short") == nil && SortableID("uuuuuuuuuuuuuuuuuuuuuuuuuu") == nil)
    }
}

struct RowTests {
    let folder = Folder()

    @Test func `rows are read in order, each once, with context and vector`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let other = try store.createCollection(name: "other").id
        var expected: [ChunkID] = []
        for index in 0..<40 {
            expected += try store.put(draft(id, source: "/\(index)", title: index % 2 == 0 ? "Title \(index)" : nil)).inserted
            try store.put(draft(other, source: "/\(index)"))
        }
        let bare = try store.put(draft(id, source: "/plain")).inserted
        // As a version stored it that took documents without vectors here.
        try store.damage("DELETE FROM vectors WHERE chunk >= \(bare[0].rawValue)")
        expected += bare
        var rows: [IndexableRow] = []
        while true {
            let batch = try store.rows(in: id, space: store.space(of: id), after: rows.last?.id ?? ChunkID(rawValue: 0), limit: 7)
            if batch.isEmpty { break }
            #expect(batch.count <= 7)
            rows += batch
        }
        #expect(rows.map(\.id) == expected)
        #expect(
            rows[0].context == "Title 0\nPart 0" && rows[0].text == "Alpha beta. " && rows[0].vector == halves([0, 0.001, 0.002, 0.003]))
        #expect(rows[1].vector == halves([1, 1.001, 1.002, 1.003]) && rows[1].context == "Title 0\nPart 1")
        #expect(rows[2].context == "Part 0")
        #expect(rows.suffix(2).allSatisfy { $0.vector.isEmpty })
        #expect(try store.rows(in: id, space: store.space(of: id), after: ChunkID(rawValue: 0), limit: 0).isEmpty)
    }

    @Test func `positions never go back and chunk numbers are never used twice`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let first = try store.put(draft(id, source: "/a"))
        var position = try store.position(of: id)
        #expect(position.largestChunk == first.inserted.last && position.lastDeletion == 0)
        try store.put(draft(id, source: "/empty", parts: []))
        #expect(try store.position(of: id).largestChunk == first.inserted.last)
        _ = try store.delete(.all, in: id)
        position = try store.position(of: id)
        #expect(position.largestChunk == first.inserted.last && position.lastDeletion == 2)
        try store.trimDeletions(in: id, through: 1)
        #expect(try store.deletions(in: id, after: 0) == ([first.inserted[1]], 2) as ([ChunkID], Int64))
        try store.trimDeletions(in: id, through: 99)
        #expect(try store.deletions(in: id, after: 0) == ([], 2) as ([ChunkID], Int64))
        #expect(try store.trimmedDeletion(in: id) == 2)
        try store.compact()
        try store.close()
        let again = try folder.open()
        let second = try again.put(draft(id, source: "/a"))
        #expect(second.inserted.allSatisfy { $0 > first.inserted.last! } && second.document != first.document)
        _ = try again.delete(.sources(["/a"]), in: id)
        #expect(try again.deletions(in: id, after: 2) == (second.inserted, 4) as ([ChunkID], Int64))
        #expect(try again.deletions(in: id, after: 3) == ([second.inserted[1]], 4) as ([ChunkID], Int64))
        #expect(failure { _ = try again.position(of: CollectionID(rawValue: 9)) } == .unknownCollection("9"))
    }

    /// A follower that only reads rows after its position and the deletion log must end with exactly the chunks that are there.
    @Test(arguments: [11, 12, 13, 14] as [UInt64])
    func `a follower of rows and deletions sees what the store holds`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        var followed: Set<ChunkID> = []
        var highWater = ChunkID(rawValue: 0)
        var sequence: Int64 = 0
        for step in 0..<120 {
            let source = "/\(Int.random(in: 0..<12, using: &generator))"
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5: try store.put(draft(id, source: source, parts: (0..<Int.random(in: 0...4, using: &generator)).map { "p\($0) " }))
            case 5, 6: _ = try store.delete(.sources([source]), in: id)
            case 7: if step % 5 == 0 { _ = try store.delete(.all, in: id) }
            default:
                let position = try store.position(of: id)
                #expect(position.largestChunk >= highWater && position.lastDeletion >= sequence, "seed \(seed), step \(step)")
                while case let rows = try store.rows(in: id, space: store.space(of: id), after: highWater, limit: 5), let last = rows.last {
                    followed.formUnion(rows.map(\.id))
                    highWater = last.id
                }
                highWater = max(highWater, position.largestChunk)
                let (chunks, last) = try store.deletions(in: id, after: sequence)
                followed.subtract(chunks)
                sequence = last
                if Bool.random(using: &generator) { try store.trimDeletions(in: id, through: sequence) }
                #expect(followed == Set(try store.chunkIDs(in: id)), "seed \(seed), step \(step)")
            }
        }
        #expect(try store.verify() == [], "seed \(seed)")
    }
}

struct MetadataScannerTests {
    @Test func `what is stored reads as the decoder reads it, or is left to it`() throws {
        var generator = SeededGenerator(seed: 5)
        let texts = ["", "plain", "Größe 北京", "a\"b", "back\\slash", "line\nbreak", "{}", "1"]
        let values: [MetadataValue] = [
            .string("x"), .number(0), .number(-3), .number(1.5), .number(1e300), .number(123_456_789_012_345), .bool(true), .bool(false),
            .strings([]),
            .strings(["a", "b\""]), .numbers([1, -2]), .numbers([0.1]), .null,
        ]
        var scannedCount = 0
        for _ in 0..<500 {
            var metadata: Metadata = [:]
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let value = values.randomElement(using: &generator)!
                metadata[texts.randomElement(using: &generator)!] =
                    value == .string("x") ? .string(texts.randomElement(using: &generator)!) : value
            }
            let text = String(decoding: try JSONEncoder().encode(metadata), as: UTF8.self)
            let decoded = try JSONDecoder().decode(Metadata.self, from: Data(text.utf8))
            #expect(try storedMetadata(text) == decoded, "\(text)")
            if let scanned = MetadataScanner.scan(text) {
                scannedCount += 1
                #expect(scanned == decoded, "\(text)")
            }
        }
        #expect(scannedCount > 50)
        for damaged in [
            "", "{", "{\"a\"", "{\"a\":}", "{\"a\":1", "{\"a\":1}x", "{\"a\":01}", "{\"a\":[1,\"b\"]}", "{\"a\":1,\"a\":2}", "[1]",
            "{\"a\":-}",
        ] {
            #expect(MetadataScanner.scan(damaged) == nil, "\(damaged)")
        }
    }
}
