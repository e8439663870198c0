import Foundation
import GRDB

extension DocumentStore {
    /// Checks everything that must hold, on one snapshot. One sentence per flaw, by ids and numbers, never with text; empty when all is well.
    ///
    /// The file's own integrity; foreign keys; every chunk equal to its span of the text, at the edges of characters, numbered without
    /// gaps; texts and vectors equal to their checksums; vectors of the collection's model and dimension, one for each chunk or none; filter rows equal to the metadata; counts, positions and the deletion log; the
    /// counters of jobs; indexed files whose document is there.
    ///
    /// - Complexity: O(size of the database); memory for one document at a time. At most 1,000 flaws are told.
    package func verify() throws(DocumentStoreError) -> [String] {
        try read("verify the database") { database in
            var flaws = Flaws()
            if let logDamage { flaws.add(logDamage.prefix(1).uppercased() + logDamage.dropFirst() + ".", .restore) }
            // What one part cannot read must not hide what the others find.
            let parts: [(Database, inout Flaws) throws -> Void] = [
                Self.verifyFile, Self.verifyDocuments, Self.verifyVectors, Self.verifyCollections, Self.verifyJobs,
            ]
            for part in parts {
                do { try part(database, &flaws) } catch {
                    flaws.add("The database cannot be read to its end: \(reason(of: error)).", .restore)
                }
            }
            return flaws.sentences
        }
    }

    private struct Flaws {
        private(set) var sentences: [String] = []

        /// What a reader of the sentence can do about it.
        enum Remedy {
            /// The document alone is concerned: its file still tells what it should be.
            case ingestAgain(String)
            case restore
        }

        mutating func addSpan(_ span: TextSpan, of chunk: ChunkID, _ document: String) {
            add(
                "The span \(span.start)..<\(span.end) of \(chunk) lies outside the text of document \(document) or cuts a character.",
                .ingestAgain(document))
        }

        mutating func add(_ sentence: String, _ remedy: Remedy) {
            guard sentences.count < 1000 else { return }
            switch remedy {
            case .ingestAgain(let document):
                sentences.append(
                    "\(sentence) Delete it ('outrider delete --id \(document)') and ingest its file again, or restore the data folder from a backup."
                )
            case .restore: sentences.append("\(sentence) Restore the data folder from a backup.")
            }
        }
    }

    private static func verifyFile(_ database: Database, _ flaws: inout Flaws) throws {
        for line in try String.fetchAll(database, sql: "PRAGMA integrity_check(100)") where line != "ok" {
            flaws.add("The database file is damaged: \(line).", .restore)
        }
        for row in try Row.fetchAll(database, sql: "PRAGMA foreign_key_check") {
            let table: String = try row.value(0)
            let id: Int64? = try row.value(1)
            let parent: String = try row.value(2)
            flaws.add("Row \(id.map(String.init) ?? "?") of \(table) belongs to a row of \(parent) that does not exist.", .restore)
        }
        // foreign_key_check covers these through their document; this is the collection that a chunk or attribute repeats.
        for table in ["chunks", "attributes"] {
            let strays = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM \(table) t JOIN documents d ON d.seq = t.document WHERE d.collection <> t.collection")!
            if strays > 0 { flaws.add("\(strays) rows of \(table) name another collection than their document.", .restore) }
        }
    }

    private static func verifyDocuments(_ database: Database, _ flaws: inout Flaws) throws {
        let documents = try Row.fetchCursor(
            database,
            sql: """
                SELECT d.seq, d.id, d.chunk_count, d.text_bytes, d.metadata, t.document IS NOT NULL, t.text, t.pages, t.whole
                FROM documents d LEFT JOIN document_texts t ON t.document = d.seq ORDER BY d.seq
                """)
        while let row = try documents.next() {
            let seq: Int64 = try row.value(0)
            let id: String = try row.value(1)
            guard try row.value(5) as Bool else {
                flaws.add("Document \(id) has no text.", .ingestAgain(id))
                continue
            }
            let stored = try row.bytes(6)
            let isWhole: Bool = try row.value(8)
            let (text, found) =
                isWhole
                ? (stored, try verifyChunks(of: seq, id, stored, database, &flaws))
                : try verifyParts(of: seq, id, size: row.value(3), tail: stored, database, &flaws)
            if text.count != (try row.value(3) as Int) {
                flaws.add("Document \(id) has \(text.count) bytes of text and a count of \(try row.value(3) as Int).", .ingestAgain(id))
            }
            if found != (try row.value(2) as Int) {
                flaws.add("Document \(id) has \(found) chunks and a count of \(try row.value(2) as Int).", .ingestAgain(id))
            }
            for page in try PageList.decode(try row.value(7)) where !isSpan(page.span, of: text) {
                flaws.add("Page \(page.number) of document \(id) lies outside its text or cuts a character.", .ingestAgain(id))
            }
            let metadata = try JSONDecoder().decode(Metadata.self, from: try row.value(4))
            let expected = try AttributeList(metadata, source: id).signatures
            let attributes = try Row.fetchAll(
                database.cachedStatement(sql: "SELECT key, kind, value FROM attributes WHERE document = ?"), arguments: [seq]
            ).map { AttributeList.signature(key: try $0.value(0), kind: try $0.value(1), value: $0[2]) }
            if let expected = try TextChecksum.stored(of: seq, database),
                let found = try TextChecksum.computed(of: seq, text: text, database),
                found != expected
            {
                flaws.add("The text, a heading, the title or the source of document \(id) differs from its checksum.", .ingestAgain(id))
            }
            if Set(attributes) != expected { flaws.add("The filter rows of document \(id) differ from its metadata.", .ingestAgain(id)) }
        }
    }

    private static func verifyChunks(of seq: Int64, _ id: String, _ text: Data, _ database: Database, _ flaws: inout Flaws) throws -> Int {
        let chunks = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT id, ordinal, span_start, span_end, text FROM chunks WHERE document = ? ORDER BY ordinal"),
            arguments: [seq])
        var count = 0
        while let row = try chunks.next() {
            let (chunk, span) = try verifyNumber(of: row, count, id, &flaws)
            count += 1
            if !isSpan(span, of: text) {
                flaws.addSpan(span, of: chunk, id)
                continue
            }
            let isEqual = try row.withUnsafeData(atIndex: 4) {
                ($0 ?? Data()).elementsEqual(text[text.startIndex + span.start..<text.startIndex + span.end])
            }
            if !isEqual {
                flaws.add("\(chunk) differs from the text of document \(id) at its span \(span.start)..<\(span.end).", .ingestAgain(id))
            }
        }
        return count
    }

    /// Puts the text together from the chunks and what lies between them, and looks whether they fit.
    ///
    /// Chunks that overlap must agree. Bytes that only one row holds are left to the checksum of the text.
    ///
    /// - Returns: The text, with zeros for what is missing, and the number of chunks.
    private static func verifyParts(
        of seq: Int64, _ id: String, size: Int, tail: Data, _ database: Database, _ flaws: inout Flaws
    ) throws -> (text: Data, count: Int) {
        let chunks = try Row.fetchCursor(
            database.cachedStatement(
                sql: "SELECT id, ordinal, span_start, span_end, text, lead FROM chunks WHERE document = ? ORDER BY ordinal"),
            arguments: [seq])
        var text = Data()
        var spans: [(chunk: ChunkID, span: TextSpan)] = []
        var previous = TextSpan(start: 0, end: 0)
        var count = 0
        while let row = try chunks.next() {
            let (chunk, span) = try verifyNumber(of: row, count, id, &flaws)
            count += 1
            guard span.start >= 0, span.start <= span.end, span.end <= size else {
                flaws.addSpan(span, of: chunk, id)
                continue
            }
            let lead = try row.bytes(5)
            let part = try row.bytes(4)
            guard part.count == span.end - span.start else {
                flaws.add(
                    "\(chunk) differs from the text of document \(id): it has \(part.count) bytes at its span \(span.start)..<\(span.end).",
                    .ingestAgain(id))
                continue
            }
            if span.start < previous.start || span.end < previous.end {
                flaws.add("\(chunk) of document \(id) lies before the chunk that it follows.", .ingestAgain(id))
                continue
            }
            previous = span
            if lead.count != max(0, span.start - text.count) {
                flaws.add(
                    "The text of document \(id) has \(lead.count) bytes before \(chunk) where \(max(0, span.start - text.count)) belong.",
                    .ingestAgain(id))
                // A number that bits have flipped in must not take the memory.
                guard span.start - text.count < 1 << 30 else { continue }
                text.append(Data(count: max(0, span.start - text.count)))
            } else {
                text.append(lead)
            }
            let known = min(text.count, span.end) - span.start
            if !text[span.start..<span.start + known].elementsEqual(part[..<known]) {
                flaws.add(
                    "\(chunk) differs from the text of document \(id) at its span \(span.start)..<\(span.end).", .ingestAgain(id))
            }
            text.append(part[known...])
            spans.append((chunk, span))
        }
        text.append(tail)
        for (chunk, span) in spans where !isSpan(span, of: text) {
            flaws.addSpan(span, of: chunk, id)
        }
        return (text, count)
    }

    /// Looks whether chunks come in the order of their numbers.
    ///
    /// - Parameter row: Begins with a chunk's id, number and bounds.
    private static func verifyNumber(
        of row: Row, _ expected: Int, _ id: String, _ flaws: inout Flaws
    ) throws -> (chunk: ChunkID, span: TextSpan) {
        let chunk = ChunkID(rawValue: try row.value(0))
        let number: Int = try row.value(1)
        if number != expected { flaws.add("\(chunk) of document \(id) has number \(number) where \(expected) follows.", .ingestAgain(id)) }
        return (chunk, TextSpan(start: try row.value(2), end: try row.value(3)))
    }

    private static func isSpan(_ span: TextSpan, of text: Data) -> Bool {
        func isBoundary(_ offset: Int) -> Bool { offset == text.count || text[text.startIndex + offset] & 0xC0 != 0x80 }
        return span.start >= 0 && span.start <= span.end && span.end <= text.count && isBoundary(span.start) && isBoundary(span.end)
    }

    private static func verifyVectors(_ database: Database, _ flaws: inout Flaws) throws {
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT v.chunk, d.id, v.vector, v.checksum, m.dimension FROM vectors v JOIN spaces s ON s.id = v.space
                JOIN models m ON m.id = s.model JOIN chunks c ON c.id = v.chunk JOIN documents d ON d.seq = c.document
                """)
        var (odd, changed) = (0, 0)
        while odd < 100 || changed < 100, let row = try rows.next() {
            let checksum = try row.withUnsafeData(atIndex: 2) { $0.map(VectorBlob.checksum) ?? Data() }
            let size = try row.withUnsafeData(atIndex: 2) { $0?.count ?? 0 }
            if !VectorBlob.isSize(size, dimension: try row.value(4)), odd < 100 {
                odd += 1
                flaws.add(
                    "The vector of \(ChunkID(rawValue: try row.value(0))) has not the size of its model's dimension.",
                    .ingestAgain(try row.value(1)))
            }
            if let expected = (try row.value(3) as Data?), expected != checksum, changed < 100 {
                changed += 1
                let id: String = try row.value(1)
                flaws.add(
                    "The vector of \(ChunkID(rawValue: try row.value(0))) of document \(id) differs from its checksum.", .ingestAgain(id))
            }
        }
        // Of a collection with vectors each chunk has one in the space that serves, or it is not found by its meaning.
        let bare = try Row.fetchCursor(
            database,
            sql: """
                SELECT d.id, count(*) FROM chunks c JOIN documents d ON d.seq = c.document JOIN collections k ON k.id = d.collection
                LEFT JOIN spaces s ON s.collection = k.id AND s.state = 'serving'
                WHERE CASE WHEN json_valid(k.settings) THEN json_extract(k.settings, '$.embeddingModel') END IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id AND v.space = s.id)
                GROUP BY d.id LIMIT 100
                """)
        while let row = try bare.next() {
            let id: String = try row.value(0)
            flaws.add(
                "Document \(id) has \(try row.value(1) as Int) chunks without a vector in a collection with vectors.", .ingestAgain(id))
        }
        let strays = try Row.fetchCursor(
            database,
            sql: """
                SELECT k.id, (SELECT count(*) FROM chunks c JOIN vectors v ON v.chunk = c.id AND v.space = s.id WHERE c.collection = k.id)
                FROM spaces s JOIN models m ON m.id = s.model JOIN collections k ON k.id = s.collection
                WHERE s.state = 'serving' AND CASE WHEN json_valid(k.settings) THEN
                    m.name IS NOT json_extract(k.settings, '$.embeddingModel') OR m.dimension IS NOT json_extract(k.settings, '$.dimension') END
                """)
        while let row = try strays.next() {
            flaws.add(
                "\(try row.value(1) as Int) vectors of collection \(try row.value(0) as Int64) are of another model than its settings name.",
                .restore)
        }
        let lost = try Int.fetchOne(
            database,
            sql:
                "SELECT count(*) FROM vectors v JOIN chunks c ON c.id = v.chunk JOIN spaces s ON s.id = v.space WHERE s.collection <> c.collection"
        )!
        if lost > 0 { flaws.add("\(lost) vectors lie in a space of another collection than their chunk.", .restore) }
    }

    private static func verifyCollections(_ database: Database, _ flaws: inout Flaws) throws {
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT k.id, k.document_count, k.chunk_count, k.text_bytes, k.largest_chunk, k.last_deletion,
                    (SELECT count(*) FROM documents d WHERE d.collection = k.id),
                    (SELECT count(*) FROM chunks c WHERE c.collection = k.id),
                    (SELECT coalesce(sum(d.text_bytes), 0) FROM documents d WHERE d.collection = k.id),
                    (SELECT coalesce(max(c.id), 0) FROM chunks c WHERE c.collection = k.id),
                    (SELECT coalesce(max(d.sequence), 0) FROM deletions d WHERE d.collection = k.id),
                    (SELECT count(*) FROM deletions d JOIN chunks c ON c.id = d.chunk WHERE d.collection = k.id)
                FROM collections k
                """)
        while let row = try rows.next() {
            let id: Int64 = try row.value(0)
            for (index, what) in [(1, "documents"), (2, "chunks"), (3, "bytes of text")] {
                let counted: Int = try row.value(index)
                let found: Int = try row.value(index + 5)
                if found != counted { flaws.add("Collection \(id) has \(found) \(what) and a count of \(counted).", .restore) }
            }
            if (try row.value(4) as Int64) < (try row.value(9) as Int64) {
                flaws.add(
                    "Collection \(id) has chunk \(try row.value(9) as Int64), above its largest number \(try row.value(4) as Int64).",
                    .restore)
            }
            if (try row.value(5) as Int64) < (try row.value(10) as Int64) {
                flaws.add(
                    "Collection \(id) has deletion \(try row.value(10) as Int64), above its last number \(try row.value(5) as Int64).",
                    .restore)
            }
            if (try row.value(11) as Int) > 0 {
                flaws.add("\(try row.value(11) as Int) chunks of collection \(id) are in its deletion log and still exist.", .restore)
            }
        }
        for row in try Row.fetchAll(database, sql: "SELECT name FROM collections WHERE NOT json_valid(settings)") {
            flaws.add("The settings of collection '\(try row.value(0) as String)' are not what settings are.", .restore)
        }
        let largest = try Int64.fetchOne(database, sql: "SELECT coalesce(max(largest_chunk), 0) FROM collections")!
        let next = try Int64.fetchOne(database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'chunks'") ?? 0
        if next < largest {
            flaws.add("Chunk numbers would be given out again: the next one is \(next + 1), the largest is \(largest).", .restore)
        }
    }

    private static func verifyJobs(_ database: Database, _ flaws: inout Flaws) throws {
        let rows = try Row.fetchCursor(
            database,
            sql: """
                SELECT job, stage, sum(file_count), sum(byte_count) FROM (
                    SELECT job, stage, file_count, byte_count FROM job_stages
                    UNION ALL SELECT job, stage, -count(*), -sum(byte_count) FROM job_files GROUP BY job, stage)
                GROUP BY job, stage HAVING sum(file_count) <> 0 OR sum(byte_count) <> 0
                """)
        while let row = try rows.next() {
            flaws.add("Job number \(try row.value(0) as Int64) counts its \(try row.value(1) as String) files wrongly.", .restore)
        }
        let lost = try Row.fetchCursor(
            database,
            sql: """
                SELECT j.id, f.sequence FROM job_files f JOIN jobs j ON j.seq = f.job
                WHERE f.stage = 'indexed' AND f.source <> '' AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = f.document) LIMIT 100
                """)
        while let row = try lost.next() {
            flaws.add(
                "File \(try row.value(1) as Int) of \(try row.value(0) as String) is indexed and its document does not exist.", .restore)
        }
    }
}
