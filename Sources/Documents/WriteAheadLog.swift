// SQLite's write-ahead log, read before SQLite reads it.
//
// What was committed last may be in the log alone. Its frames are chained by checksums, and SQLite reads up to the first that does not match: a flipped bit
// there makes everything after it vanish, and what is left is one earlier moment of the database, in which nothing is wrong and which nothing tells from the
// truth. A log that ends in the middle of a transaction, as a kill leaves it, looks alike, but for one thing: no later transaction follows the break.
//
//     header | frame | frame | commit | frame x commit | frame | commit |
//            <--- SQLite reads this -->       <- committed, and lost ->
//
// | Offset in the header | Size | Field, big-endian |
// | --- | --- | --- |
// | 0 | 4 | 0x377F0682, or ...83: whether checksums read words as big-endian |
// | 8 | 4 | page size |
// | 16 | 8 | salt: another one each time that the log begins anew |
// | 24 | 8 | checksum of bytes 0 ..< 24 |
//
// | Offset in a frame | Size | Field, big-endian |
// | --- | --- | --- |
// | 0 | 4 | page number |
// | 4 | 4 | of a commit's last frame the pages of the database, otherwise 0 |
// | 8 | 8 | salt, that of the header |
// | 16 | 8 | checksum of bytes 0 ..< 8 and the page, begun with that of the frame before |
// | 24 | page size | the page |
//
// Source: "WAL-mode File Format" of SQLite's documentation.

import Foundation

/// What a log that no process has open holds, and what SQLite will not see of it.
struct WriteAheadLog: Equatable {
    /// Transactions that SQLite reads.
    private(set) var readableCount = 0
    /// Transactions that end after the first frame whose checksum does not match, that frame's own included.
    private(set) var lostCount = 0
    /// Where that frame begins; 0 when it is the header.
    private(set) var damageOffset: Int?

    /// What to tell of it; nil when SQLite reads all of it, and when the break is in the last transaction, whose writing a kill may have cut short.
    var damage: String? {
        guard lostCount > 1, let damageOffset else { return nil }
        return
            "the write-ahead log was damaged at byte \(damageOffset) when the database was opened: the \(lostCount) transactions that were stored last are lost"
    }

    private static let headerSize = 32
    private static let frameHeaderSize = 24

    /// Reads the log beside a database; nil when there is none. No other process may be writing it.
    static func read(path: String) -> WriteAheadLog? {
        guard let bytes = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped), bytes.count > headerSize else {
            return nil
        }
        return bytes.withUnsafeBytes { WriteAheadLog($0) }
    }

    init(_ bytes: UnsafeRawBufferPointer) {
        func word(_ offset: Int) -> UInt32 { UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        func salt(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        guard bytes.count >= Self.headerSize + Self.frameHeaderSize else { return }
        let isBigEndian = word(0) & 1 == 1
        var checksum = Checksum(isBigEndian: isBigEndian)
        checksum.add(bytes, 0..<24)
        var isIntact = word(0) & ~1 == 0x377F_0682 && checksum.isEqual(word(24), word(28))
        if !isIntact { damageOffset = 0 }

        let pageSize = isIntact ? Int(word(8)) : Self.pageSize(of: bytes)
        guard pageSize >= 512, pageSize <= 65536, pageSize & (pageSize - 1) == 0 else { return }
        // The frames tell the salt as well, should it be the header that is damaged.
        let expected = isIntact ? salt(16) : salt(Self.headerSize + 8)
        var offset = Self.headerSize
        while offset + Self.frameHeaderSize + pageSize <= bytes.count {
            let next = offset + Self.frameHeaderSize + pageSize
            defer { offset = next }
            let isOfThisLog = salt(offset + 8) == expected
            if isIntact {
                checksum.add(bytes, offset..<offset + 8)
                checksum.add(bytes, offset + Self.frameHeaderSize..<next)
                isIntact = isOfThisLog && word(offset) != 0 && checksum.isEqual(word(offset + 16), word(offset + 20))
                if !isIntact { damageOffset = offset }
            }
            guard isOfThisLog, word(offset) != 0, word(offset + 4) != 0 else { continue }
            if isIntact { readableCount += 1 } else { lostCount += 1 }
        }
    }

    /// The distance of two frames that bear the same salt, where the header cannot be trusted.
    private static func pageSize(of bytes: UnsafeRawBufferPointer) -> Int {
        for shift in 9...16 {
            let second = headerSize + frameHeaderSize + (1 << shift)
            guard second + frameHeaderSize <= bytes.count else { return 0 }
            if bytes[headerSize + 8..<headerSize + 16].elementsEqual(bytes[second + 8..<second + 16]) { return 1 << shift }
        }
        return 0
    }

    /// The running sums of all words so far.
    private struct Checksum {
        let isBigEndian: Bool
        private var first: UInt32 = 0
        private var second: UInt32 = 0

        init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }

        /// - Precondition: The range is a multiple of eight bytes.
        mutating func add(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
            precondition(range.count % 8 == 0, "checksums take eight bytes at a time, got \(range.count)")
            var (first, second) = (first, second)
            for offset in stride(from: range.lowerBound, to: range.upperBound, by: 8) {
                let one = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                let other = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                first &+= (isBigEndian ? one.bigEndian : one.littleEndian) &+ second
                second &+= (isBigEndian ? other.bigEndian : other.littleEndian) &+ first
            }
            (self.first, self.second) = (first, second)
        }

        func isEqual(_ one: UInt32, _ other: UInt32) -> Bool { first == one && second == other }
    }
}
