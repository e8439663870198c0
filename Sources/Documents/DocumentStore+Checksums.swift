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

/// The checksum of what one document says, computed from what is stored. Vectors have their own, each in its row.
enum TextChecksum {
    /// Reads a document's rows but for its text.
    ///
    /// - Parameter text: All of it, as it is stored.
    static func computed(of seq: Int64, text: Data, _ database: Database) throws -> Int64? {
        let document = try Row.fetchCursor(
            database.cachedStatement(
                sql: "SELECT d.source, d.title, t.pages FROM documents d JOIN document_texts t ON t.document = d.seq WHERE d.seq = ?"),
            arguments: [seq])
        guard let row = try document.next() else { return nil }
        var checksum = ContentChecksum()
        for column in 0..<2 { try row.withUnsafeData(atIndex: column) { checksum.add($0 ?? Data()) } }
        checksum.add(text)
        try row.withUnsafeData(atIndex: 2) { checksum.add($0 ?? Data()) }
        let chunks = try Row.fetchCursor(
            database.cachedStatement(sql: "SELECT heading FROM chunks WHERE document = ? ORDER BY ordinal"), arguments: [seq])
        while let chunk = try chunks.next() { try chunk.withUnsafeData(atIndex: 0) { checksum.add($0 ?? Data()) } }
        return checksum.value
    }

    /// The stored one; nil when the document has none yet.
    static func stored(of seq: Int64, _ database: Database) throws -> Int64? {
        try Int64.fetchOne(database.cachedStatement(sql: "SELECT text FROM checksums WHERE document = ?"), arguments: [seq])
    }

    static func store(_ checksum: Int64, of seq: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: "INSERT INTO checksums (document, text) VALUES (?, ?) ON CONFLICT (document) DO UPDATE SET text = excluded.text"
        ).execute(arguments: [seq, checksum])
    }
}

extension DocumentStore {
    /// Gives checksums to documents and vectors that an earlier version stored without. They hold for what is there now.
    ///
    /// - Returns: Whether there may be more.
    package func addMissingChecksums(limit: Int = 200) throws(DocumentStoreError) -> Bool {
        if isReadOnly { return false }
        let texts = """
            SELECT t.document FROM document_texts t WHERE NOT EXISTS (SELECT 1 FROM checksums c WHERE c.document = t.document)
            ORDER BY t.document LIMIT ?
            """
        let vectors = "SELECT rowid, vector FROM vectors WHERE checksum IS NULL LIMIT ?"
        let isComplete = try read("look for checksums") { database in
            try Int64.fetchOne(database, sql: texts, arguments: [1]) == nil && Row.fetchOne(database, sql: vectors, arguments: [1]) == nil
        }
        if isComplete { return false }
        return try write("add checksums") { database in
            let documents = try Int64.fetchAll(database, sql: texts, arguments: [limit])
            for seq in documents {
                // A text that cannot be put together is told by `verify`, whatever its checksum.
                let text = try StoredText.find(seq, database).flatMap { try $0.bytesIfComplete(database) } ?? Data()
                if let checksum = try TextChecksum.computed(of: seq, text: text, database) {
                    try TextChecksum.store(checksum, of: seq, database)
                }
            }
            let bare = try Row.fetchAll(database, sql: vectors, arguments: [limit])
            let update = try database.cachedStatement(sql: "UPDATE vectors SET checksum = ? WHERE rowid = ?")
            for row in bare {
                try update.execute(arguments: [VectorBlob.checksum(try row.value(1) as Data), try row.value(0) as Int64])
            }
            return documents.count == limit || bare.count == limit
        }
    }
}
