import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

/// A text that is stored once: in its chunks, and what lies between them beside them.
struct StoredTextTests {
    private let folder = Folder()

    /// A document whose chunks lie in order, with gaps and overlaps. Both ends may be uncovered.
    private func random(_ collection: CollectionID, source: String, using generator: inout SeededGenerator) -> DocumentDraft {
        let letters = ["a", "ü", "€", "🌍", "\u{0}", " ", "\n"]
        let pieces = (0..<Int.random(in: 1...120, using: &generator)).map { _ in letters.randomElement(using: &generator)! }
        var ends = [0]
        for piece in pieces { ends.append(ends.last! + piece.utf8.count) }
        var value = draft(collection, source: source, parts: [pieces.joined()], model: nil)
        value.chunks = []
        var (start, end) = (0, 0)
        while true {
            // Before or after the end of the one before, or with it.
            start = Int.random(in: start...min(end + 4, pieces.count), using: &generator)
            end = max(end, start + 1) + Int.random(in: 0...9, using: &generator)
            guard end <= pieces.count else { break }
            value.chunks.append(
                ChunkDraft(span: TextSpan(start: ends[start], end: ends[end]), page: nil, heading: "H", tokenCount: 1))
        }
        return value
    }

    @Test(arguments: 1...12 as ClosedRange<UInt64>)
    func `any text of chunks that overlap and leave gaps is read as it was stored`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        for number in 0..<6 {
            let value = random(collection, source: "/\(number % 4)", using: &generator)
            let id = try store.put(value).document
            let bytes = Array(value.text.utf8)
            #expect(try store.text(of: id).map { Array($0.utf8) } == bytes, "seed \(seed)")
            #expect(try store.chunks(of: id).map { Array($0.text.utf8) } == value.chunks.map { Array(bytes[$0.span.range]) })
            for _ in 0..<60 {
                let start = Int.random(in: 0...bytes.count, using: &generator)
                let end = Int.random(in: start...bytes.count, using: &generator)
                let expected = String(validating: bytes[start..<end], as: UTF8.self)
                #expect(try store.text(of: id, span: TextSpan(start: start, end: end)) == expected, "seed \(seed): \(start)..<\(end)")
                let window = try #require(try store.window(of: id, start: start, end: end))
                #expect(window == TextWindow(start: start, end: end, of: bytes, textSize: bytes.count), "seed \(seed): \(start)..<\(end)")
            }
        }
        #expect(try store.verify() == [], "seed \(seed)")
        #expect(try store.count("document_texts WHERE whole") == store.count("documents WHERE chunk_count = 0"))
    }

    @Test func `chunks that lie in no order keep their text whole`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        var value = draft(collection, source: "/a", parts: ["one ", "two ", "three"])
        value.chunks.swapAt(0, 2)
        let id = try store.put(value).document
        #expect(try store.text(of: id) == "one two three" && store.text(of: id, span: TextSpan(start: 4, end: 7)) == "two")
        #expect(try store.count("document_texts WHERE whole") == 1)
        try store.compact()
        #expect(try store.verify() == [] && store.text(of: id) == "one two three")
        try store.damage("UPDATE chunks SET text = 'twa ' WHERE ordinal = 1")
        #expect(try store.verify().contains { $0.contains("differs from the text") })
    }

    /// A document of gap, chunk, overlapping chunk, gap, chunk and rest.
    private func overlapping(_ collection: CollectionID, source: String = "/a", gap: String = "gap ") -> DocumentDraft {
        let text = "\(gap)alpha beta gamma \(gap)delta \(gap)"
        var value = draft(collection, source: source, parts: [text], model: nil)
        let start = gap.utf8.count
        value.chunks = [(start, start + 11), (start + 6, start + 17), (2 * start + 17, 2 * start + 23)].map {
            ChunkDraft(span: TextSpan(start: $0.0, end: $0.1), page: nil, heading: "", tokenCount: 1)
        }
        return value
    }

    @Test(arguments: [
        ("UPDATE chunks SET text = 'bexa gamma ' WHERE ordinal = 1", "differs from the text"),
        ("UPDATE chunks SET text = 'beta gamme ' WHERE ordinal = 1", "differs from its checksum"),
        ("UPDATE chunks SET text = 'alpha bexa ' WHERE ordinal = 0", "differs from the text"),
        ("UPDATE chunks SET text = '' WHERE ordinal = 2", "differs from the text"),
        ("UPDATE chunks SET lead = NULL WHERE ordinal = 2", "0 bytes before chunk_3 where 4 belong"),
        ("UPDATE chunks SET lead = 'gxp ' WHERE ordinal = 0", "differs from its checksum"),
        ("UPDATE chunks SET span_start = 0, span_end = 11 WHERE ordinal = 1", "lies before the chunk"),
        ("UPDATE document_texts SET text = ''", "bytes of text and a count"),
        ("UPDATE document_texts SET text = 'gxp '", "differs from its checksum"),
        ("UPDATE document_texts SET whole = 1", "bytes of text and a count"),
        ("DELETE FROM chunks WHERE ordinal = 1", "has number 2 where 1 follows"),
    ])
    func `verification tells a part that is wrong, and reading ends with an error or the text`(sql: String, words: String) throws {
        let store = try folder.open()
        let value = overlapping(try store.createCollection(name: "c").id)
        let id = try store.put(value).document
        #expect(try store.verify() == [] && store.text(of: id) == value.text)
        try store.damage(sql)
        let flaws = try store.verify()
        #expect(flaws.contains { $0.contains(words) }, "\(flaws)")
        #expect(!flaws.contains { $0.contains("lpha") || $0.contains("gxp") }, "a flaw quotes the text")
        _ = try? store.text(of: id)
        for start in 0..<value.text.utf8.count { _ = try? store.window(of: id, start: start, end: start + 9) }
    }

    @Test func `a text that lacks a part is an error and not a shorter text`() throws {
        let store = try folder.open()
        let id = try store.put(overlapping(try store.createCollection(name: "c").id)).document
        try store.damage("UPDATE chunks SET lead = NULL WHERE ordinal = 2")
        #expect(failure { _ = try store.text(of: id) }?.description.contains("run a verification") == true)
        #expect(try store.text(of: id, span: TextSpan(start: 0, end: 9)) == "gap alpha")
    }

    @Test func `the words of a text stand in the file once, and after deletion and compaction in none`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        try store.put(draft(collection, source: "/plain", model: nil))
        try store.put(draft(collection, source: "/once", parts: ["qxuniquexq and more"], model: nil))
        try store.put(overlapping(collection, source: "/gone", gap: "qxmarkerxq "))
        try store.put(overlapping(collection, source: "/replaced", gap: "qxmarkerxq "))
        try store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path("data/outrider.sqlite")))
        let first = try #require(bytes.range(of: Data("qxuniquexq".utf8)))
        #expect(bytes.range(of: Data("qxuniquexq".utf8), in: first.upperBound..<bytes.count) == nil)
        #expect(try folder.files(containing: "qxmarkerxq") == ["outrider.sqlite"], "nothing is found, so this proves nothing")
        try store.put(overlapping(collection, source: "/replaced"))
        _ = try store.delete(.sources(["/gone"]), in: collection)
        try store.compact()
        #expect(try folder.files(containing: "qxmarkerxq") == [] && store.verify() == [])
    }

    // MARK: Folders of earlier versions

    /// Makes the texts what a program before version 5 of the schema has stored.
    private func makeWhole(_ store: DocumentStore) throws {
        for document in try store.documents(in: store.collections()[0].id, limit: 1000) {
            let text = try #require(try store.text(of: document.id))
            try store.pool.write { database in
                try database.execute(
                    sql: """
                        UPDATE document_texts SET text = coalesce(CAST(? AS TEXT), ''), whole = 1
                        WHERE document = (SELECT seq FROM documents WHERE id = ?)
                        """, arguments: [Data(text.utf8), document.id.rawValue])
            }
        }
        try store.damage("UPDATE chunks SET lead = NULL")
    }

    @Test func `compaction takes whole texts apart, and a kill in the midst of it loses nothing`() throws {
        var generator = SeededGenerator(seed: 9)
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        var texts: [DocumentID: String] = [:]
        for number in 0..<250 {
            let value = random(collection, source: "/\(number)", using: &generator)
            texts[try store.put(value).document] = value.text
        }
        func check(_ store: DocumentStore) throws {
            #expect(try store.verify() == [])
            for (id, text) in texts { #expect(try store.text(of: id) == text) }
        }
        try makeWhole(store)
        try check(store)
        let whole = try store.count("document_texts WHERE whole")
        #expect(whole == 250)
        // A write that fails ends the second hundred as a kill would: what was done before it stays.
        try store.damage(
            """
            CREATE TRIGGER stop BEFORE UPDATE OF whole ON document_texts WHEN new.document = 150 BEGIN SELECT raise(ABORT, 'stopped'); END
            """)
        #expect(failure { try store.compact() } != nil)
        #expect(
            try store.count("document_texts WHERE whole") < whole - 90
                && store.count("document_texts WHERE whole AND document >= 150") == 101)
        try check(store)
        try store.close()
        let again = try folder.open()
        try check(again)
        try again.damage("DROP TRIGGER stop")
        try again.compact()
        #expect(try again.count("document_texts t JOIN documents d ON d.seq = t.document WHERE t.whole AND d.chunk_count > 0") == 0)
        try check(again)
        // What was taken apart is what is stored anew.
        try again.damage("CREATE TABLE before AS SELECT document, ordinal, lead FROM chunks")
        #expect(try again.count("before WHERE lead IS NOT NULL") > 100)
    }

    @Test func `a document that is damaged stays whole, and without a checksum it gets one`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        for number in 0..<4 { try store.put(overlapping(collection, source: "/\(number)")) }
        try makeWhole(store)
        try store.damage("UPDATE chunks SET text = replace(text, 'delta', 'delte') WHERE document = 1")
        try store.damage("UPDATE document_texts SET text = replace(text, 'gap delta', 'gop delta') WHERE document = 2")
        try store.damage("DELETE FROM checksums WHERE document = 3")
        let flaws = try store.verify()
        #expect(flaws.count == 2)
        try store.compact()
        #expect(try store.verify() == flaws)
        #expect(try store.count("document_texts WHERE whole") == 2 && store.count("checksums") == 4)
        try store.damage("UPDATE chunks SET text = replace(text, 'delta', 'delte') WHERE document = 3")
        #expect(try store.verify().count == 3)
    }

    @Test func `a folder of schema 4 is taken up with its texts`() throws {
        try FileManager.default.createDirectory(atPath: folder.path("data"), withIntermediateDirectories: true)
        let pool = try DatabasePool(path: folder.path("data") + "/outrider.sqlite")
        try Schema.migrator.migrate(pool, upTo: "4 vector spaces")
        try pool.write { database in
            try database.execute(
                sql: """
                    INSERT INTO collections (id, name, settings, created_at, document_count, chunk_count, text_bytes, largest_chunk)
                    VALUES (1, 'c', '{}', 0, 1, 2, 9, 2);
                    INSERT INTO documents VALUES (1, 'doc_1', 1, '/1', NULL, 'text/plain', 'h', 9, NULL, 2, 9, 1, 0, 0, '{}');
                    INSERT INTO document_texts VALUES (1, 'one. two.', '[]');
                    INSERT INTO chunks (collection, document, ordinal, span_start, span_end, token_count, heading, text)
                    VALUES (1, 1, 0, 0, 4, 1, '', 'one.'), (1, 1, 1, 5, 9, 1, '', 'two.');
                    """)
        }
        try pool.close()
        let store = try folder.open()
        #expect(try store.verify() == [] && store.text(of: DocumentID(rawValue: "doc_1")) == "one. two.")
        try store.compact()
        #expect(try store.count("document_texts WHERE whole") == 0 && store.count("chunks WHERE lead = ' '") == 1)
        #expect(try store.verify() == [] && store.text(of: DocumentID(rawValue: "doc_1")) == "one. two.")
    }
}

/// Vectors in half precision.
struct VectorBlobTests {
    private let folder = Folder()

    @Test func `a vector that half precision holds has two bytes a number, another one four`() {
        let unit: [Float] = (0..<384).map { sinf(Float($0)) / 13.9 }
        #expect(VectorBlob.encode(unit[...]).count == 768)
        for bad: [Float] in [[1, 70_000], [1e-7, 2e-7], [-1e30, 1]] {
            #expect(VectorBlob.encode(bad[...]).count == 8)
            #expect(VectorBlob.rounded(bad[...]) == bad)
        }
        // Numbers too small for it beside larger ones cost nothing that counts.
        #expect(
            VectorBlob.encode([1, 1e-9]).count == 4 && VectorBlob.encode([0, 0]).count == 4 && VectorBlob.encode([65504, 0]).count == 4)
    }

    @Test func `every half number is read as what it is`() {
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let found = withUnsafeBytes(of: bits.littleEndian) { VectorBlob.decode($0, dimension: 1)[0] }
            #expect(found.bitPattern == expected.bitPattern || found.isNaN && expected.isNaN, "\(bits)")
        }
    }

    @Test func `what is read back is what was rounded, and rounding it again changes nothing`() throws {
        var generator = SeededGenerator(seed: 4)
        for dimension in [1, 3, 16, 384] {
            for scale: Float in [1e-6, 1e-3, 1, 1000, 1e6] {
                let vector = (0..<dimension).map { _ in Float.random(in: -scale...scale, using: &generator) }
                let rounded = VectorBlob.rounded(vector[...])
                let read = VectorBlob.encode(vector[...]).withUnsafeBytes { VectorBlob.decode($0, dimension: dimension) }
                #expect(read == rounded && VectorBlob.rounded(rounded[...]) == rounded)
                for (before, after) in zip(vector, rounded) { #expect(abs(before - after) <= scale / 1024) }
            }
        }
    }

    @Test func `the store reads both kinds beside each other, and deletion leaves no byte of them`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c").id
        func unlike(_ source: String, _ values: [Float]) -> DocumentDraft {
            var value = draft(collection, source: source, parts: ["x"], dimension: values.count)
            value.vectors = values
            return value
        }
        let (half, full): ([Float], [Float]) = ([0.333, -0.125, 0.77, 0.5], [1e6, 3, 5, 7.25])
        try store.put(unlike("/half", half))
        try store.put(unlike("/full", full))
        let space = try #require(try store.servingSpace(of: collection))
        let rows = try store.rows(in: collection, space: space.id, after: ChunkID(rawValue: 0), limit: 9)
        #expect(rows.map(\.vector) == [half.map { Float(Float16($0)) }, full])
        #expect(try store.chunkIDs(in: space).count == 2 && store.verify() == [])
        let blob = VectorBlob.encode(half[...])
        func holders() throws -> [String] {
            try FileManager.default.subpathsOfDirectory(atPath: folder.path("data")).filter {
                FileManager.default.contents(atPath: folder.path("data/" + $0))?.range(of: blob) != nil
            }
        }
        #expect(try !holders().isEmpty, "nothing is found, so this proves nothing")
        _ = try store.delete(.sources(["/half"]), in: collection)
        try store.compact()
        #expect(try holders() == [] && store.verify() == [])
    }
}
