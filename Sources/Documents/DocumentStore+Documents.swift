import Foundation
import GRDB

extension DocumentStore {
    /// Inserts a document, or replaces the one with the same source, in one transaction: text, chunks, vectors, deletion log and audit entry.
    ///
    /// A replacement keeps the document's id and its date of creation, counts the version up, and gives its chunks new ids; the
    /// old ones go into the deletion log. The first document with vectors fixes the collection's model and dimension.
    /// NUL characters in the title and the metadata are dropped; the text is kept byte for byte.
    ///
    /// - Parameter file: A job's file that becomes `indexed` in the same transaction, so that a crash cannot do one without the other.
    /// - Throws: `.invalidDocument` for spans or pages that do not lie in the text at the edges of characters, for vectors of a
    ///   wrong shape or not finite, and for metadata above 1 MiB or 10,000 values; `.modelMismatch`, `.dimensionMismatch`;
    ///   `.unknownCollection`, `.unknownJob`; `.fileEnded` when the job's file is already at its end; `.superseded` when a later one of its source is stored.
    /// - Complexity: O(bytes of text and vectors), and one flush of the disk.
    @discardableResult
    package func put(
        _ draft: DocumentDraft, finishing file: (job: JobID, sequence: Int)? = nil, actor: String = "local"
    ) throws(DocumentStoreError) -> DocumentCommit {
        try put([(draft, file)], as: "store a document", actor: actor)[0]
    }

    /// As `put` for each of some documents of one collection in order, in one transaction and with one flush of the disk: all of it or nothing.
    @discardableResult
    package func put(
        _ drafts: [(draft: DocumentDraft, file: (job: JobID, sequence: Int)?)], actor: String = "local"
    ) throws(DocumentStoreError) -> [DocumentCommit] {
        try put(drafts, as: "store documents", actor: actor)
    }

    private func put(
        _ drafts: [(draft: DocumentDraft, file: (job: JobID, sequence: Int)?)], as operation: String, actor: String
    ) throws(DocumentStoreError) -> [DocumentCommit] {
        guard let first = drafts.first else { return [] }
        var prepared: [(draft: PreparedDraft, file: (job: JobID, sequence: Int)?)] = []
        for (draft, file) in drafts {
            guard draft.collection == first.draft.collection else {
                throw .invalidDocument(source: draft.source, reason: "it belongs to another collection than the others of its batch")
            }
            prepared.append((try PreparedDraft(draft), file))
        }
        let id = first.draft.collection
        return try changeLog.during { change throws(DocumentStoreError) in
            let commits = try write(operation) { [prepared, changeLog] database in
                var collection = try CollectionRow.get(id, database)
                let commits = try prepared.map { try Self.put($0.draft, finishing: $0.file, in: &collection, actor: actor, database) }
                changeLog.announce(commits.map(\.document), in: id, change)
                return commits
            }
            for commit in commits { changeLog.note(id, changed: commit.document, removed: commit.deleted) }
            return commits
        }
    }

    private static func put(
        _ prepared: PreparedDraft, finishing file: (job: JobID, sequence: Int)?, in collection: inout CollectionRow, actor: String,
        _ database: Database
    ) throws -> DocumentCommit {
        let draft = prepared.draft
        if let flaw = collection.settingsFlaw { throw DocumentStoreError.unusableCollection(name: collection.name, reason: flaw) }
        let jobFile = try file.map { try JobFileKey(job: $0.job, sequence: $0.sequence, database) }
        try jobFile?.requireStorable(database)
        let spaces = try spaces(for: draft, in: &collection, database)
        let now = currentMilliseconds()

        let old = try Row.fetchOne(
            database.cachedStatement(sql: "SELECT seq, id, version, text_bytes FROM documents WHERE collection = ? AND source = ?"),
            arguments: [collection.id.rawValue, draft.source])
        let document: DocumentID
        let seq: Int64
        var deleted: [ChunkID] = []
        if let old {
            seq = try old.value(0)
            document = DocumentID(rawValue: try old.value(1))
            deleted = try removeContent(of: seq, textBytes: try old.value(3), in: &collection, database)
            try update(seq, prepared, version: (try old.value(2) as Int) + 1, at: now, database)
        } else {
            document = try nextDocumentID(at: now, database)
            seq = try insert(document, prepared, at: now, database)
            collection.documentCount += 1
        }
        let inserted = try insertContent(prepared, of: seq, spaces, database)
        try TextChecksum.store(prepared.checksum, of: seq, database)
        collection.chunkCount += inserted.count
        collection.textBytes += prepared.textBytes.count
        collection.largestChunk = max(collection.largestChunk, inserted.last?.rawValue ?? 0)
        try collection.save(database)
        try jobFile?.finish(document: document, source: draft.source, chunkCount: inserted.count, reason: draft.note, at: now, database)
        try Audit.append(
            .documentPut, actor: actor, collection: collection.id, documents: [document], chunkCount: inserted.count, at: now, database)
        return DocumentCommit(document: document, inserted: inserted, deleted: deleted, replacedVersion: old != nil)
    }

    /// A document's row without its text; nil when there is none of this id.
    package func document(_ id: DocumentID) throws(DocumentStoreError) -> DocumentRecord? {
        try read("read a document") { database in
            try Row.fetchOne(
                database.cachedStatement(sql: "SELECT \(DocumentRecord.columns) FROM documents d WHERE d.id = ?"), arguments: [id.rawValue]
            ).map { try DocumentRecord($0) }
        }
    }

    /// The document that came from a source; nil when there is none. Compare its `contentHash` to find a file unchanged.
    package func document(source: String, in collection: CollectionID) throws(DocumentStoreError) -> DocumentRecord? {
        try read("read a document") { database in
            try Row.fetchOne(
                database.cachedStatement(sql: "SELECT \(DocumentRecord.columns) FROM documents d WHERE d.collection = ? AND d.source = ?"),
                arguments: [collection.rawValue, source]
            ).map { try DocumentRecord($0) }
        }
    }

    /// Sources that are a path or lie below it, in order.
    ///
    /// - Complexity: O(log *n* + sources found), from the index of sources alone.
    package func sources(in collection: CollectionID, below path: String) throws(DocumentStoreError) -> [String] {
        guard let tree = SourceTree(path) else { return [] }
        return try read("list sources") { database in
            try String.fetchAll(
                database, sql: "SELECT d.source FROM documents d WHERE d.collection = ? AND (\(tree.condition)) ORDER BY d.source",
                arguments: StatementArguments([collection.rawValue.databaseValue] + tree.arguments))
        }
    }

    /// One page of documents, newest first.
    ///
    /// - Parameters:
    ///   - search: Matches documents whose title or source contains this text, in any case.
    ///   - id: The last id of the page before; it may have been deleted since.
    ///   - limit: At most so many, and at most 10,000.
    package func documents(
        in collection: CollectionID, search: String? = nil, filter: Filter? = nil, after id: DocumentID? = nil, limit: Int = 50
    ) throws(DocumentStoreError) -> [DocumentRecord] {
        var sql = Self.documentListSQL
        var arguments: [DatabaseValue] = [collection.rawValue.databaseValue]
        if let id {
            sql += " AND d.id < ?"
            arguments.append(id.rawValue.databaseValue)
        }
        if let search, !search.isEmpty {
            let needle = search.lowercased().databaseValue
            sql += " AND (folded_contains(d.title, ?) OR folded_contains(d.source, ?))"
            arguments += [needle, needle]
        }
        if let filter {
            try checkTypes(of: filter, in: collection)
            let condition = try FilterSQL(filter, collection: collection)
            sql += " AND (\(condition.sql))"
            arguments += condition.arguments
        }
        sql += " ORDER BY d.id DESC LIMIT ?"
        arguments.append(min(max(0, limit), 10_000).databaseValue)
        return try read("list documents") { [sql, arguments] database in
            try Row.fetchAll(database, sql: sql, arguments: StatementArguments(arguments)).map { try DocumentRecord($0) }
        }
    }

    static let documentListSQL = "SELECT \(DocumentRecord.columns) FROM documents d WHERE d.collection = ?"

    /// Where the pages lie in the text; empty for a document without pages.
    package func pages(of id: DocumentID) throws(DocumentStoreError) -> [PageSpan] {
        try read("read a document's pages") { database in
            guard
                let pages = try String.fetchOne(
                    database, sql: "SELECT t.pages FROM documents d JOIN document_texts t ON t.document = d.seq WHERE d.id = ?",
                    arguments: [id.rawValue])
            else { return [] }
            return try PageList.decode(pages)
        }
    }

    /// All chunks of a document, in order.
    package func chunks(of id: DocumentID) throws(DocumentStoreError) -> [ChunkRecord] {
        try read("read a document's chunks") { database in
            try Array(
                Row.fetchCursor(
                    database.cachedStatement(
                        sql: """
                            SELECT \(ChunkRecord.columns) FROM documents d JOIN chunks c ON c.document = d.seq
                            WHERE d.id = ? ORDER BY c.ordinal
                            """), arguments: [id.rawValue]
                ).map { try ChunkRecord($0, document: id) })
        }
    }

    /// Chunks by id, in any number, with the documents they belong to.
    ///
    /// Ids that are gone are absent from the result: that is how a deletion reaches every answer. Each passage was stored as it is at some moment during the call; those
    /// that were read lately come out of memory.
    package func passages(_ ids: [ChunkID]) throws(DocumentStoreError) -> [ChunkID: Passage] {
        guard !ids.isEmpty else { return [:] }
        var (passages, generation) = passageCache.passages(ids)
        let missing = passages.isEmpty ? ids : ids.filter { passages[$0] == nil }
        guard !missing.isEmpty else { return passages }
        var read: [Passage] = []
        read.reserveCapacity(missing.count)
        func add(_ ids: ArraySlice<ChunkID>, _ database: Database) throws {
            var documents: [Int64: DocumentRecord] = [:]
            // One statement for each size class, so that all are prepared already; the last id fills the rest.
            let (count, sql) = Self.passagesStatements.first { ids.count <= $0.count }!
            let arguments = ids.map(\.rawValue) + repeatElement(ids.last!.rawValue, count: count - ids.count)
            let rows = try Row.fetchCursor(database.cachedStatement(sql: sql), arguments: StatementArguments(arguments))
            while let row = try rows.next() {
                let seq: Int64 = try row.value(ChunkRecord.documentColumn)
                let document = try documents[seq] ?? DocumentRecord(row, from: ChunkRecord.columnCount)
                documents[seq] = document
                read.append(Passage(chunk: try ChunkRecord(row, document: document.id), document: document, documentRow: seq))
            }
        }
        if missing.count <= Self.passagesMax {
            try readOnce("read passages") { try add(missing[...], $0) }
        } else {
            try self.read("read passages") { database in
                for start in stride(from: 0, to: missing.count, by: Self.passagesMax) {
                    try add(missing[start..<min(start + Self.passagesMax, missing.count)], database)
                }
            }
        }
        for passage in read { passages[passage.chunk.id] = passage }
        passageCache.insert(read, generation: generation)
        return passages
    }

    /// Ids of one statement at most.
    private static let passagesMax = 1024

    /// What a search reads is in the first two classes: a few that are not in memory, or twice ten passages.
    private static let passagesStatements = [6, 24, 96, 384, passagesMax].map { (count: $0, sql: passagesSQL(count: $0)) }

    static func passagesSQL(count: Int) -> String {
        // The order of the join is said, since no statistics are kept that would tell.
        """
        SELECT \(ChunkRecord.columns), \(DocumentRecord.columns) FROM chunks c CROSS JOIN documents d
        WHERE c.id IN (\(repeatElement("?", count: count).joined(separator: ","))) AND d.seq = c.document
        """
    }

    /// Replaces a document's metadata. Chunks and version stay.
    package func update(metadata: Metadata, of id: DocumentID, actor: String = "local") throws(DocumentStoreError) {
        let attributes = try AttributeList(metadata, source: id.rawValue)
        try changeLog.during { change throws(DocumentStoreError) in
            let collection = try write("change a document's metadata") { [changeLog] database in
                guard
                    let row = try Row.fetchOne(
                        database.cachedStatement(sql: "SELECT seq, collection FROM documents WHERE id = ?"), arguments: [id.rawValue])
                else { throw DocumentStoreError.unknownDocument(id.rawValue) }
                let seq: Int64 = try row.value(0)
                let collection: Int64 = try row.value(1)
                let now = currentMilliseconds()
                try database.execute(
                    sql: "UPDATE documents SET metadata = ?, updated_at = ? WHERE seq = ?", arguments: [attributes.json, now, seq])
                try database.execute(sql: "DELETE FROM attributes WHERE document = ?", arguments: [seq])
                try attributes.insert(document: seq, collection: collection, database)
                try Audit.append(
                    .documentMetadata, actor: actor, collection: CollectionID(rawValue: collection), documents: [id], at: now, database)
                changeLog.announce([id], in: CollectionID(rawValue: collection), change)
                return CollectionID(rawValue: collection)
            }
            changeLog.note(collection, changed: id)
        }
    }
}

// MARK: - Writing

extension DocumentStore {
    /// The spaces that a draft's vectors go into. The first document with vectors fixes the collection's model.
    ///
    /// - Throws: `.missingVectors`, `.modelMismatch` or `.dimensionMismatch` when it brings none for the space that serves.
    private static func spaces(
        for draft: DocumentDraft, in collection: inout CollectionRow, _ database: Database
    ) throws -> [(space: VectorSpace, vectors: DraftVectors)] {
        let embeddings = draft.embeddings
        guard let first = embeddings.first else {
            // Its chunks would never be found by their meaning, and nothing would ever say so.
            if let expected = collection.settings.embeddingModel, !draft.chunks.isEmpty {
                throw DocumentStoreError.missingVectors(collection: collection.name, expected: expected)
            }
            return []
        }
        if let expected = collection.settings.embeddingModel {
            guard let found = embeddings.first(where: { $0.model == expected }) else {
                throw DocumentStoreError.modelMismatch(collection: collection.name, got: first.model, expected: expected)
            }
            if let dimension = collection.settings.dimension, dimension != found.dimension {
                throw DocumentStoreError.dimensionMismatch(collection: collection.name, got: found.dimension, expected: dimension)
            }
        }
        let all = try VectorSpace.all(of: collection.id, database)
        var spaces = all.filter { $0.state == .serving || $0.state == .filling }
        let expected = collection.settings.embeddingModel ?? first.model
        // A collection of texts alone that is being given vectors gets no second model by the way.
        if spaces.isEmpty || collection.settings.embeddingModel != nil && !spaces.contains(where: { $0.state == .serving }) {
            let vectors = embeddings.first { $0.model == expected }!
            // Chunks that are there without vectors would be found by no search of meanings: the space is filled before it serves.
            if collection.settings.embeddingModel == nil, collection.chunkCount > 0 {
                let space =
                    try all.first { $0.model == expected && $0.dimension == vectors.dimension }?.moved(to: .filling, database)
                    ?? VectorSpace.insert(model: expected, dimension: vectors.dimension, in: collection.id, state: .filling, database)
                return [(space, vectors)]
            }
            collection.settings.embeddingModel = expected
            collection.settings.dimension = vectors.dimension
            let kept = all.first { $0.model == expected && $0.dimension == vectors.dimension }
            spaces.append(
                try kept?.moved(to: .serving, database)
                    ?? VectorSpace.insert(model: expected, dimension: vectors.dimension, in: collection.id, state: .serving, database))
        }
        return spaces.compactMap { space in
            embeddings.first { $0.model == space.model && $0.dimension == space.dimension }.map { (space, $0) }
        }
    }

    private static func nextDocumentID(at now: Int64, _ database: Database) throws -> DocumentID {
        let largest = try String.fetchOne(database.cachedStatement(sql: "SELECT max(id) FROM documents"))
        var generator = SystemRandomNumberGenerator()
        let id = SortableID(milliseconds: now, after: largest.flatMap { SortableID($0.dropFirst(4)) }, using: &generator)
        return DocumentID(rawValue: "doc_" + id.text)
    }

    private static func insert(_ id: DocumentID, _ draft: PreparedDraft, at now: Int64, _ database: Database) throws -> Int64 {
        try database.cachedStatement(
            sql: """
                INSERT INTO documents (id, collection, source, title, mime_type, content_hash, byte_count, page_count, chunk_count, text_bytes,
                    version, created_at, updated_at, metadata)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)
                """
        ).execute(arguments: [
            id.rawValue, draft.draft.collection.rawValue, draft.draft.source, draft.title, draft.draft.mimeType, draft.draft.contentHash,
            draft.draft.byteCount, draft.pageCount, draft.draft.chunks.count, draft.textBytes.count, now, now, draft.attributes.json,
        ])
        return database.lastInsertedRowID
    }

    private static func update(_ seq: Int64, _ draft: PreparedDraft, version: Int, at now: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: """
                UPDATE documents SET title = ?, mime_type = ?, content_hash = ?, byte_count = ?, page_count = ?, chunk_count = ?, text_bytes = ?,
                    version = ?, updated_at = ?, metadata = ?
                WHERE seq = ?
                """
        ).execute(arguments: [
            draft.title, draft.draft.mimeType, draft.draft.contentHash, draft.draft.byteCount, draft.pageCount, draft.draft.chunks.count,
            draft.textBytes.count, version, now, draft.attributes.json, seq,
        ])
    }

    /// Text, attributes, chunks and vectors of a document whose row is there already.
    private static func insertContent(
        _ draft: PreparedDraft, of seq: Int64, _ spaces: [(space: VectorSpace, vectors: DraftVectors)], _ database: Database
    ) throws -> [ChunkID] {
        let collection = draft.draft.collection.rawValue
        let spans = draft.draft.chunks.map(\.span)
        let parts = TextParts(spans, of: draft.textBytes)
        // Bound as bytes, because a String would be cut at its first NUL.
        try database.cachedStatement(
            sql: "INSERT INTO document_texts (document, text, pages, whole) VALUES (?, coalesce(CAST(? AS TEXT), ''), ?, ?)"
        ).execute(arguments: [seq, parts?.tail ?? draft.textBytes, PageList.encode(draft.draft.pages), parts == nil])
        try draft.attributes.insert(document: seq, collection: collection, database)
        let insertChunk = try database.cachedStatement(
            sql: """
                INSERT INTO chunks (collection, document, ordinal, span_start, span_end, page, last_page, token_count, heading, text, lead)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, coalesce(CAST(? AS TEXT), ''), CAST(? AS TEXT), CAST(? AS TEXT))
                """)
        let insertVector = try database.cachedStatement(sql: "INSERT INTO vectors (chunk, space, vector, checksum) VALUES (?, ?, ?, ?)")
        var ids: [ChunkID] = []
        ids.reserveCapacity(draft.draft.chunks.count)
        for (ordinal, chunk) in draft.draft.chunks.enumerated() {
            try insertChunk.execute(arguments: [
                collection, seq, ordinal, chunk.span.start, chunk.span.end, chunk.page, chunk.lastPage, chunk.tokenCount,
                Data(chunk.heading.utf8), draft.textBytes[chunk.span.range], parts?.leads[ordinal],
            ])
            let id = database.lastInsertedRowID
            ids.append(ChunkID(rawValue: id))
            for (space, vectors) in spaces {
                let dimension = vectors.dimension
                // The checksum is that of the memory, so that what the disk makes of it is judged.
                let blob = VectorBlob.encode(vectors.values[(ordinal * dimension)..<((ordinal + 1) * dimension)])
                try insertVector.execute(arguments: [id, space.id.rawValue, blob, VectorBlob.checksum(blob)])
            }
        }
        return ids
    }

    /// Removes what belongs to a document but not its row: text, attributes, vectors, and chunks, which go into the deletion log.
    static func removeContent(of seq: Int64, textBytes: Int, in collection: inout CollectionRow, _ database: Database) throws -> [ChunkID] {
        let chunks = try Int64.fetchAll(
            database.cachedStatement(sql: "SELECT id FROM chunks WHERE document = ? ORDER BY ordinal"), arguments: [seq])
        let log = try database.cachedStatement(sql: "INSERT INTO deletions (collection, sequence, chunk) VALUES (?, ?, ?)")
        for chunk in chunks {
            collection.lastDeletion += 1
            try log.execute(arguments: [collection.id.rawValue, collection.lastDeletion, chunk])
        }
        for sql in [
            "DELETE FROM checksums WHERE document = ?",
            "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE document = ?)", "DELETE FROM chunks WHERE document = ?",
            "DELETE FROM attributes WHERE document = ?", "DELETE FROM document_texts WHERE document = ?",
        ] {
            try database.cachedStatement(sql: sql).execute(arguments: [seq])
        }
        collection.chunkCount -= chunks.count
        collection.textBytes -= textBytes
        return chunks.map(ChunkID.init(rawValue:))
    }
}

/// A draft that has been checked, with its text as bytes. Made before the transaction begins, so that the writer is not held up.
private struct PreparedDraft {
    let draft: DocumentDraft
    let title: String?
    let textBytes: Data
    let attributes: AttributeList

    /// The last page's number: pages without text have no span.
    var pageCount: Int? { draft.pages.map(\.number).max() }

    init(_ draft: DocumentDraft) throws(DocumentStoreError) {
        self.draft = draft
        title = draft.title.map(withoutNUL)
        textBytes = Data(draft.text.utf8)
        attributes = try AttributeList(draft.metadata, source: draft.source)
        if let flaw = flaw() { throw .invalidDocument(source: String(draft.source.prefix(1000)), reason: flaw) }
    }

    /// What `TextChecksum` will read back.
    var checksum: Int64 {
        var checksum = ContentChecksum()
        checksum.add(draft.source)
        checksum.add(title ?? "")
        checksum.add(textBytes)
        checksum.add(PageList.encode(draft.pages))
        for chunk in draft.chunks { checksum.add(chunk.heading) }
        return checksum.value
    }

    private func flaw() -> String? {
        if draft.source.isEmpty { return "its source is empty" }
        for (name, value) in [("source", draft.source), ("MIME type", draft.mimeType), ("content hash", draft.contentHash)]
        where value.utf8.contains(0) {
            return "its \(name) contains a NUL character"
        }
        if draft.source.utf8.count > 16_384 { return "its source is longer than 16384 bytes" }
        for (ordinal, chunk) in draft.chunks.enumerated() {
            let span = chunk.span
            guard span.start >= 0, span.start < span.end, span.end <= textBytes.count else {
                return "the span \(span.start)..<\(span.end) of chunk \(ordinal) is empty or outside the text of \(textBytes.count) bytes"
            }
            guard isBoundary(span.start), isBoundary(span.end) else {
                return "the span \(span.start)..<\(span.end) of chunk \(ordinal) cuts a character"
            }
        }
        for page in draft.pages {
            let span = page.span
            guard span.start >= 0, span.start <= span.end, span.end <= textBytes.count, isBoundary(span.start), isBoundary(span.end) else {
                return
                    "the span \(span.start)..<\(span.end) of page \(page.number) is outside the text of \(textBytes.count) bytes or cuts a character"
            }
        }
        if !draft.vectors.isEmpty, draft.embeddingModel == nil { return "it has vectors but no name of the model that made them" }
        for vectors in draft.embeddings {
            guard !vectors.model.isEmpty else { return "it has vectors but no name of the model that made them" }
            guard vectors.dimension > 0, vectors.values.count == draft.chunks.count * vectors.dimension else {
                return "\(vectors.values.count) numbers are not \(draft.chunks.count) vectors of \(vectors.dimension) dimensions"
            }
            if let index = vectors.values.firstIndex(where: { !$0.isFinite }) {
                return "the vector of chunk \(index / vectors.dimension) holds a number that is not finite"
            }
        }
        return nil
    }

    /// Whether a byte offset lies between two characters of the UTF-8 text: the byte there does not continue one.
    private func isBoundary(_ offset: Int) -> Bool { offset == textBytes.count || textBytes[offset] & 0xC0 != 0x80 }
}

/// A document's metadata, as the JSON that is read back and as the rows that filters search.
struct AttributeList {
    let json: String
    private let rows: [(key: String, kind: String, value: DatabaseValue)]

    init(_ metadata: Metadata, source: String) throws(DocumentStoreError) {
        var clean: Metadata = [:]
        var rows: [(key: String, kind: String, value: DatabaseValue)] = []
        for (name, value) in metadata {
            let name = withoutNUL(name)
            let key = filterKey(name)
            switch value {
            case .string(let text):
                let text = withoutNUL(text)
                clean[name] = .string(text)
                rows.append((key, "s", text.databaseValue))
            case .strings(let texts):
                let texts = texts.map(withoutNUL)
                clean[name] = .strings(texts)
                rows += texts.map { (key, "s", $0.databaseValue) }
            case .number(let number):
                guard number.isFinite else {
                    throw .invalidDocument(source: source, reason: "its metadata '\(name)' is not a finite number")
                }
                clean[name] = value
                rows.append((key, "n", number.databaseValue))
            case .numbers(let numbers):
                guard numbers.allSatisfy(\.isFinite) else {
                    throw .invalidDocument(source: source, reason: "its metadata '\(name)' has a number that is not finite")
                }
                clean[name] = value
                rows += numbers.map { (key, "n", $0.databaseValue) }
            case .null: break
            case .bool(let flag):
                clean[name] = value
                rows.append((key, "b", (flag ? 1 : 0).databaseValue))
            }
        }
        do {
            json = try Documents.json(clean)
        } catch {
            throw .invalidDocument(source: source, reason: "its metadata cannot be written as JSON")
        }
        guard json.utf8.count <= 1 << 20, rows.count <= 10_000 else {
            throw .invalidDocument(
                source: source,
                reason: "its metadata has \(rows.count) values in \(json.utf8.count) bytes; at most 10000 and 1 MiB are kept")
        }
        self.rows = rows
    }

    func insert(document: Int64, collection: Int64, _ database: Database) throws {
        // A list may name a member twice.
        let statement = try database.cachedStatement(
            sql: "INSERT OR IGNORE INTO attributes (collection, key, kind, value, document) VALUES (?, ?, ?, ?, ?)")
        for row in rows {
            try statement.execute(arguments: [collection, row.key, row.kind, row.value, document])
        }
    }

    /// The rows that should be stored, for comparison: `verify` calls this.
    var signatures: Set<String> { Set(rows.map { Self.signature(key: $0.key, kind: $0.kind, value: $0.value) }) }

    static func signature(key: String, kind: String, value: DatabaseValue) -> String { "\(key)\0\(kind)\0\(value)" }
}

/// A metadata key as filters compare it: composed, so that the two ways to write an é are one key, as they are in a Swift dictionary.
func filterKey(_ name: String) -> String {
    name.utf8.allSatisfy { $0 < 0x80 } ? name : name.precomposedStringWithCanonicalMapping
}

private func withoutNUL(_ text: String) -> String {
    text.utf8.contains(0) ? String(text.unicodeScalars.filter { $0 != "\0" }.map(Character.init)) : text
}

// MARK: - Rows and values

extension DocumentRecord {
    static let columns = """
        d.id, d.collection, d.source, d.title, d.mime_type, d.content_hash, d.byte_count, d.page_count, d.chunk_count, d.version, d.metadata, \
        d.created_at, d.updated_at
        """

    /// - Parameter first: Where its columns begin.
    init(_ row: Row, from first: Int = 0) throws {
        func value<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ index: Int) throws -> Value {
            try row.value(first + index)
        }
        self.init(
            id: DocumentID(rawValue: try value(0)), collection: CollectionID(rawValue: try value(1)), source: try value(2),
            title: try value(3), mimeType: try value(4), contentHash: try value(5), byteCount: try value(6), pageCount: try value(7),
            chunkCount: try value(8), version: try value(9), metadata: try storedMetadata(try value(10)), createdAt: date(try value(11)),
            updatedAt: date(try value(12)))
    }
}

extension ChunkRecord {
    static let columns = "c.id, c.document, c.ordinal, c.span_start, c.span_end, c.page, c.token_count, c.heading, c.text, c.last_page"
    static let documentColumn = 1
    static let columnCount = 10

    init(_ row: Row, document: DocumentID) throws {
        self.init(
            id: ChunkID(rawValue: try row.value(0)), document: document, ordinal: try row.value(2),
            span: TextSpan(start: try row.value(3), end: try row.value(4)), page: try row.value(5), lastPage: try row.value(9),
            heading: try row.text(7), tokenCount: try row.value(6), text: try row.text(8))
    }
}

extension Row {
    /// A column's value; throws where a damaged file has none or one of another kind, which a subscript would end the program for.
    func value<Value: DatabaseValueConvertible & StatementColumnConvertible>(_ index: Int) throws -> Value { try decode(atIndex: index) }

    /// A text column with every byte; a plain `String` would end at the first NUL, and so does a row that was copied.
    ///
    /// - Precondition: The row comes straight from a cursor.
    func text(_ index: Int) throws -> String {
        try withUnsafeData(atIndex: index) { data in data.map { String(decoding: $0, as: UTF8.self) } ?? "" }
    }

    /// A copy of a column's bytes; empty where it is NULL. The same holds for the row.
    func bytes(_ index: Int) throws -> Data {
        try withUnsafeData(atIndex: index) { data in data.map { $0.withUnsafeBytes { Data($0) } } ?? Data() }
    }
}

/// Pages as they are stored: `[[number,start,end],...]`.
enum PageList {
    static func encode(_ pages: [PageSpan]) -> String {
        "[" + pages.map { "[\($0.number),\($0.span.start),\($0.span.end)]" }.joined(separator: ",") + "]"
    }

    static func decode(_ text: String) throws -> [PageSpan] {
        try JSONDecoder().decode([[Int]].self, from: Data(text.utf8)).map { page in
            guard page.count == 3 else {
                throw DocumentStoreError.database(operation: "read pages", reason: "a page is not [number, start, end]; run a verification")
            }
            return PageSpan(number: page[0], span: TextSpan(start: page[1], end: page[2]))
        }
    }
}

/// `[1,2,3]`, for `json_each`.
func jsonArray(_ numbers: some Sequence<Int64>) -> String { "[" + numbers.map(String.init).joined(separator: ",") + "]" }
