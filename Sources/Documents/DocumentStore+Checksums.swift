import Foundation
import GRDB

// What tells a flipped bit in a stored text or vector. SQLite checks the structure of its pages, not what the rows say.

/// A 64-bit checksum over bytes, eight at a time.
///
/// Each step is one-to-one in the state, for any word, and in the word, for any state. So two inputs of equal length that differ in one word have different checksums for
/// certain, and others by all but one chance in 2⁶⁴. It finds accidents; it is no protection from someone who can write to the database.
struct ContentChecksum {
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Adds bytes and their number, so that parts cannot trade bytes with each other.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var offset = 0
        while offset + 8 <= bytes.count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var rest: UInt64 = 0
        while offset < bytes.count {
            rest = rest << 8 | UInt64(bytes[offset])
            offset += 1
        }
        add(rest)
    }

    mutating func add(_ data: Data) { data.withUnsafeBytes { add($0) } }

    mutating func add(_ text: String) {
        var text = text
        text.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    /// Odd multipliers and shifted exclusive-ors can be undone, which is what the promise above needs.
    private mutating func add(_ word: UInt64) {
        state = (state ^ word) &* 0xD6E8_FEB8_6659_FD93
        state ^= state >> 32
    }

    /// As SQLite stores it.
    var value: Int64 { Int64(bitPattern: state) }

    static func of(_ data: Data) -> Int64 {
        var checksum = ContentChecksum()
        checksum.add(data)
        return checksum.value
    }
}

/// The checksums of one document, computed from what is stored.
struct DocumentChecksums: Equatable {
    var text: Int64
    /// One for each chunk, in order; 0 for a chunk without a vector.
    var vectors: [Int64]

    init(text: Int64, vectors: [Int64]) {
        self.text = text
        self.vectors = vectors
    }

    /// Reads a document's rows. Nil when its text is missing.
    init?(of seq: Int64, _ database: Database) throws {
        let document = try Row.fetchCursor(
            database.cachedStatement(
                sql:
                    "SELECT d.source, d.title, t.text, t.pages FROM documents d JOIN document_texts t ON t.document = d.seq WHERE d.seq = ?"
            ),
            arguments: [seq])
        guard let row = try document.next() else { return nil }
        var checksum = ContentChecksum()
        for column in 0..<4 { try row.withUnsafeData(atIndex: column) { checksum.add($0 ?? Data()) } }
        vectors = []
        let chunks = try Row.fetchCursor(
            database.cachedStatement(
                sql:
                    "SELECT c.heading, v.vector FROM chunks c LEFT JOIN vectors v ON v.chunk = c.id WHERE c.document = ? ORDER BY c.ordinal"
            ),
            arguments: [seq])
        while let chunk = try chunks.next() {
            try chunk.withUnsafeData(atIndex: 0) { checksum.add($0 ?? Data()) }
            vectors.append(try chunk.withUnsafeData(atIndex: 1) { $0.map { ContentChecksum.of($0) } ?? 0 })
        }
        text = checksum.value
    }

    /// The stored ones; nil when the document has none yet.
    init?(storedOf seq: Int64, _ database: Database) throws {
        guard
            let row = try Row.fetchOne(
                database.cachedStatement(sql: "SELECT text, vectors FROM checksums WHERE document = ?"), arguments: [seq])
        else { return nil }
        text = try row.value(0)
        vectors = Self.decode(try row.value(1))
    }

    func store(_ seq: Int64, _ database: Database) throws {
        var data = Data(capacity: vectors.count * 8)
        for vector in vectors { withUnsafeBytes(of: vector.littleEndian) { data.append(contentsOf: $0) } }
        try database.cachedStatement(
            sql: """
                INSERT INTO checksums (document, text, vectors) VALUES (?, ?, ?)
                ON CONFLICT (document) DO UPDATE SET text = excluded.text, vectors = excluded.vectors
                """
        ).execute(arguments: [seq, text, data])
    }

    private static func decode(_ data: Data) -> [Int64] {
        data.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count - 7, by: 8).map { Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: Int64.self)) }
        }
    }
}

extension DocumentStore {
    /// Gives checksums to documents that an earlier version stored without. They hold for what is there now.
    ///
    /// - Returns: Whether there may be more.
    package func addMissingChecksums(limit: Int = 200) throws(DocumentStoreError) -> Bool {
        if isReadOnly { return false }
        let sql = """
            SELECT t.document FROM document_texts t WHERE NOT EXISTS (SELECT 1 FROM checksums c WHERE c.document = t.document)
            ORDER BY t.document LIMIT ?
            """
        let isComplete = try read("look for checksums") { try Int64.fetchOne($0, sql: sql, arguments: [1]) == nil }
        if isComplete { return false }
        return try write("add checksums") { database in
            let documents = try Int64.fetchAll(database, sql: sql, arguments: [limit])
            for seq in documents { try DocumentChecksums(of: seq, database)?.store(seq, database) }
            return documents.count == limit
        }
    }
}
