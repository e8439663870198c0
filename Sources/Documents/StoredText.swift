import Foundation
import GRDB

/// Where the bytes of a document's text lie in the database, and how they are put together.
///
/// The text is stored once. Most of it stands in the chunks; what no chunk covers stands before the next chunk (`lead`), or after the last one (`document_texts.text`):
///
///     text    |lead|-- chunk 0 --|       |lead|-- chunk 2 --|-- tail --|
///                            |-- chunk 1 --|
///
/// Neighbouring chunks may overlap; their common bytes are the only ones that are stored twice. A row tells by itself where its bytes belong, so a stretch of a long text
/// reads the chunks that hold it and, to find the first of them, as many rows as halving takes.
///
/// A text stands whole in `document_texts` instead when it has no chunks, when its chunks do not lie in order, and when a program before version 5 of the schema stored it;
/// `DocumentStore.compact` takes those apart.
struct StoredText {
    let seq: Int64
    /// In bytes.
    let size: Int
    private let isWhole: Bool
    private let chunkCount: Int

    /// Nil when the document is gone, or has no text.
    static func find(_ id: DocumentID, _ database: Database) throws -> StoredText? {
        try Row.fetchOne(database.cachedStatement(sql: sql + "d.id = ?"), arguments: [id.rawValue]).map { try StoredText($0) }
    }

    static func find(_ seq: Int64, _ database: Database) throws -> StoredText? {
        try Row.fetchOne(database.cachedStatement(sql: sql + "d.seq = ?"), arguments: [seq]).map { try StoredText($0) }
    }

    private static let sql = """
        SELECT d.seq, CASE WHEN t.whole THEN length(CAST(t.text AS BLOB)) ELSE d.text_bytes END, t.whole, d.chunk_count
        FROM documents d JOIN document_texts t ON t.document = d.seq WHERE\u{20}
        """

    private init(_ row: Row) throws {
        seq = try row.value(0)
        size = max(0, try row.value(1))
        isWhole = try row.value(2)
        chunkCount = try row.value(3)
    }

    /// The bytes at a range.
    ///
    /// - Precondition: The range lies in `0..<size`.
    /// - Throws: `.database` when rows do not hold them, which `verify` tells in detail.
    func bytes(_ range: Range<Int>, _ database: Database) throws -> Data {
        precondition(range.lowerBound >= 0 && range.upperBound <= size, "\(range) of a text of \(size) bytes")
        guard !range.isEmpty else { return Data() }
        if isWhole {
            return try Data.fetchOne(
                database.cachedStatement(sql: "SELECT substr(CAST(text AS BLOB), ? + 1, ?) FROM document_texts WHERE document = ?"),
                arguments: [range.lowerBound, range.count, seq]) ?? Data()
        }
        var assembly = Assembly(range)
        let rows = try Row.fetchCursor(
            database.cachedStatement(
                sql: "SELECT span_start, span_end, text, lead FROM chunks WHERE document = ? AND ordinal >= ? ORDER BY ordinal"),
            arguments: [seq, try firstChunk(endingAfter: range.lowerBound, database)])
        while !assembly.isComplete, let row = try rows.next() {
            let (start, end): (Int, Int) = (try row.value(0), try row.value(1))
            // A damaged file may hold any numbers.
            guard start >= 0, start <= end, end <= size else { break }
            try row.withUnsafeData(atIndex: 3) { if let lead = $0 { assembly.take(lead, at: start - lead.count) } }
            try row.withUnsafeData(atIndex: 2) { if let text = $0, text.count == end - start { assembly.take(text, at: start) } }
            // The next chunk begins later still.
            if assembly.position < start { break }
        }
        if !assembly.isComplete {
            let tail = try Row.fetchCursor(
                database.cachedStatement(sql: "SELECT text FROM document_texts WHERE document = ?"), arguments: [seq])
            if let row = try tail.next() {
                try row.withUnsafeData(atIndex: 0) { if let text = $0 { assembly.take(text, at: size - text.count) } }
            }
        }
        guard assembly.isComplete else {
            throw DocumentStoreError.database(operation: "read a document's text", reason: "a part of it is missing; run a verification")
        }
        return assembly.bytes
    }

    /// All bytes; nil when some are missing.
    func bytesIfComplete(_ database: Database) throws -> Data? {
        do { return try bytes(0..<size, database) } catch is DocumentStoreError { return nil }
    }

    /// The number of the first chunk that ends after a place, by halving: the ends ascend with the numbers.
    private func firstChunk(endingAfter place: Int, _ database: Database) throws -> Int {
        var (low, high) = (0, place == 0 ? 0 : chunkCount)
        let statement = try database.cachedStatement(sql: "SELECT span_end FROM chunks WHERE document = ? AND ordinal = ?")
        while low < high {
            let middle = (low + high) / 2
            if let end = try Int.fetchOne(statement, arguments: [seq, middle]), end <= place { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Collects a range from parts that come in order and may overlap.
    private struct Assembly {
        private(set) var bytes: Data
        /// The next byte that is wanted.
        private(set) var position: Int
        private let end: Int

        init(_ range: Range<Int>) {
            bytes = Data(capacity: min(range.count, 1 << 20))
            position = range.lowerBound
            end = range.upperBound
        }

        var isComplete: Bool { position == end }

        mutating func take(_ part: Data, at start: Int) {
            guard start <= position, position < start + part.count, position < end else { return }
            let last = min(end, start + part.count)
            bytes.append(part[part.startIndex + position - start..<part.startIndex + last - start])
            position = last
        }
    }
}

/// A text in the parts that are stored beside its chunks.
struct TextParts {
    /// What stands before each chunk and after all chunks before it; nil for nothing.
    let leads: [Data?]
    /// What stands after the last chunk.
    let tail: Data

    /// Nil when there are no chunks or when they do not lie in order: when one begins or ends before one that it follows.
    ///
    /// - Parameter spans: In the text.
    init?(_ spans: [TextSpan], of text: Data) {
        guard let last = spans.last,
            zip(spans, spans.dropFirst()).allSatisfy({ $0.start <= $1.start && $0.end <= $1.end })
        else { return nil }
        var leads: [Data?] = []
        var end = 0
        for span in spans {
            leads.append(span.start > end ? text[text.startIndex + end..<text.startIndex + span.start] : nil)
            end = span.end
        }
        self.leads = leads
        tail = text[(text.startIndex + last.end)...]
    }
}

extension DocumentStore {
    /// The extracted text, byte for byte as it was stored.
    package func text(of id: DocumentID) throws(DocumentStoreError) -> String? {
        try read("read a document's text") { database in
            guard let text = try StoredText.find(id, database) else { return nil }
            return String(decoding: try text.bytes(0..<text.size, database), as: UTF8.self)
        }
    }

    /// The extracted text at a byte range: the chunks that hold it are read, and no others.
    ///
    /// - Returns: Nil when the document is gone, or when the range is outside of its text or cuts a character.
    package func text(of id: DocumentID, span: TextSpan) throws(DocumentStoreError) -> String? {
        guard span.start >= 0, span.start <= span.end else { return nil }
        return try read("read a span of a document's text") { database in
            guard let text = try StoredText.find(id, database), span.end <= text.size else { return nil }
            return String(validating: try text.bytes(span.range, database), as: UTF8.self)
        }
    }

    /// A stretch of the extracted text, with bounds that lie between characters: the chunks that hold it are read, and no others.
    ///
    /// - Parameter end: Beyond the text's end: up to it.
    /// - Returns: Nil when the document is gone.
    package func window(of id: DocumentID, start: Int, end: Int) throws(DocumentStoreError) -> TextWindow? {
        try read("read a part of a document's text") { database in
            guard let text = try StoredText.find(id, database) else { return nil }
            let start = min(start, text.size)
            // A character has at most three bytes besides its first; one more tells where it ends.
            let low = max(0, start - 3)
            let high = min(max(start, end), text.size - 4) + 4
            return TextWindow(
                start: start, end: end, of: try text.bytes(low..<max(low, min(high, text.size)), database), at: low, textSize: text.size)
        }
    }

    /// Takes whole texts apart that stand in chunks already, a hundred documents a transaction, so that writers wait for none of it long. A kill costs nothing.
    ///
    /// A document whose chunks differ from its text, or whose text differs from its checksum, is left as it is: two copies tell more than one.
    func storeTextsOnce() throws(DocumentStoreError) {
        var after: Int64 = 0
        while true {
            let last = try write("store texts once") { [after] database -> Int64? in
                let documents = try Int64.fetchAll(
                    database,
                    sql: """
                        SELECT t.document FROM document_texts t JOIN documents d ON d.seq = t.document
                        WHERE t.document > ? AND t.whole AND d.chunk_count > 0 ORDER BY t.document LIMIT 100
                        """, arguments: [after])
                for seq in documents { try Self.takeApart(seq, database) }
                return documents.last
            }
            guard let last else { return }
            after = last
        }
    }

    private static func takeApart(_ seq: Int64, _ database: Database) throws {
        guard let stored = try StoredText.find(seq, database) else { return }
        let text = try stored.bytes(0..<stored.size, database)
        var chunks: [(id: Int64, span: TextSpan)] = []
        let rows = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT id, span_start, span_end, text FROM chunks WHERE document = ? ORDER BY ordinal"),
            arguments: [seq])
        while let row = try rows.next() {
            let span = TextSpan(start: try row.value(1), end: try row.value(2))
            guard span.start >= 0, span.start <= span.end, span.end <= text.count,
                try row.withUnsafeData(atIndex: 3, { ($0 ?? Data()) == text[span.range] })
            else { return }
            chunks.append((try row.value(0), span))
        }
        guard let parts = TextParts(chunks.map(\.span), of: text),
            text.count == (try Int.fetchOne(database, sql: "SELECT text_bytes FROM documents WHERE seq = ?", arguments: [seq])),
            let checksum = try TextChecksum.computed(of: seq, text: text, database)
        else { return }
        if let expected = try TextChecksum.stored(of: seq, database), expected != checksum { return }
        try TextChecksum.store(checksum, of: seq, database)
        let update = try database.cachedStatement(sql: "UPDATE chunks SET lead = CAST(? AS TEXT) WHERE id = ?")
        for (chunk, lead) in zip(chunks, parts.leads) where lead != nil { try update.execute(arguments: [lead, chunk.id]) }
        try database.cachedStatement(
            sql: "UPDATE document_texts SET text = coalesce(CAST(? AS TEXT), ''), whole = 0 WHERE document = ?"
        ).execute(arguments: [parts.tail, seq])
    }
}
