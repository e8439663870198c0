/// The layout of one segment file. All numbers are little-endian; sections hold what their kind defines, little-endian too.
///
/// ```
///  0        4096                                                        total size (a multiple of 4096)
///  +--------+--------------------+------------------+-- ... --+
///  | header | section 0 | zeros  | section 1 | zeros|         |
///  +--------+--------------------+------------------+-- ... --+
/// ```
///
/// Header page:
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `OUTRSEG1`; the last digit is the version of this layout |
/// | 8 | 4 | kind, four ASCII characters |
/// | 12 | 4 | version of the kind |
/// | 16 | 8 | total size of the file |
/// | 24 | 4 | number of sections, at most 72 |
/// | 28 | 4 | zero |
/// | 32 | 56 × n | section table |
/// | ... | ... | zeros |
/// | 4092 | 4 | CRC-32C of bytes 0 ..< 4092 |
///
/// Section table entry:
///
/// | offset | size | field |
/// | --- | --- | --- |
/// | 0 | 32 | name, ASCII, filled up with zeros |
/// | 32 | 8 | offset in the file, a multiple of 4096 |
/// | 40 | 8 | size in bytes, without the zeros that follow |
/// | 48 | 4 | CRC-32C of the section and of the zeros up to the next multiple of 4096 |
/// | 52 | 4 | zero |
///
/// So each byte of the file is under exactly one checksum.
enum SegmentFormat {
    static let pageSize = 4096
    static let magic: [UInt8] = Array("OUTRSEG1".utf8)
    static let layoutVersion: UInt32 = 1
    static let tableOffset = 32
    static let entrySize = 56
    static let nameSizeMax = 32
    static let sectionCountMax = (checksumOffset - tableOffset) / entrySize
    static let checksumOffset = pageSize - 4

    struct Section: Equatable {
        var name: String
        var offset: Int
        var size: Int
        var checksum: UInt32

        /// Size with the zeros that follow.
        var extent: Int { SegmentFormat.padded(size) }
    }

    struct Header: Equatable {
        var kind: String
        var version: UInt32
        var totalSize: Int
        var sections: [Section]
    }

    static func padded(_ size: Int) -> Int { (size + pageSize - 1) & ~(pageSize - 1) }

    static func encode(_ header: Header) -> [UInt8] {
        precondition(
            header.sections.count <= sectionCountMax, "\(header.sections.count) sections, at most \(sectionCountMax) fit in the header")
        var page = [UInt8](repeating: 0, count: pageSize)
        page.withUnsafeMutableBytes { page in
            page.copyBytes(from: magic)
            UnsafeMutableRawBufferPointer(rebasing: page[8..<12]).copyBytes(from: Array(header.kind.utf8))
            page.storeBytes(of: header.version.littleEndian, toByteOffset: 12, as: UInt32.self)
            page.storeBytes(of: UInt64(header.totalSize).littleEndian, toByteOffset: 16, as: UInt64.self)
            page.storeBytes(of: UInt32(header.sections.count).littleEndian, toByteOffset: 24, as: UInt32.self)
            for (index, section) in header.sections.enumerated() {
                let entry = tableOffset + index * entrySize
                UnsafeMutableRawBufferPointer(rebasing: page[entry..<entry + nameSizeMax]).copyBytes(from: Array(section.name.utf8))
                page.storeBytes(of: UInt64(section.offset).littleEndian, toByteOffset: entry + 32, as: UInt64.self)
                page.storeBytes(of: UInt64(section.size).littleEndian, toByteOffset: entry + 40, as: UInt64.self)
                page.storeBytes(of: section.checksum.littleEndian, toByteOffset: entry + 48, as: UInt32.self)
            }
            let checksum = CRC32C.checksum(of: UnsafeRawBufferPointer(rebasing: page[..<checksumOffset]))
            page.storeBytes(of: checksum.littleEndian, toByteOffset: checksumOffset, as: UInt32.self)
        }
        return page
    }

    /// Reads and checks a header page. The caller compares kind, version and size with what it expects.
    static func decode(_ page: UnsafeRawBufferPointer, path: String) throws(StorageError) -> Header {
        precondition(page.count == pageSize, "a header page has \(pageSize) bytes, got \(page.count)")
        func number(_ offset: Int) -> UInt64 { UInt64(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        func word(_ offset: Int) -> UInt32 { UInt32(littleEndian: page.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }

        guard page.prefix(7).elementsEqual(magic.prefix(7)) else {
            throw .corrupt(path: path, offset: 0, reason: "it does not begin as a segment file")
        }
        let layout = UInt32(page[7]) &- 0x30
        guard layout == layoutVersion else {
            if layout <= 9 { throw .unsupportedVersion(path: path, got: layout, expected: layoutVersion) }
            throw .corrupt(path: path, offset: 7, reason: "it does not begin as a segment file")
        }
        let checksum = CRC32C.checksum(of: UnsafeRawBufferPointer(rebasing: page[..<checksumOffset]))
        guard checksum == word(checksumOffset) else {
            throw .corrupt(path: path, offset: checksumOffset, reason: "the header's checksum does not match")
        }
        // The checksum held, so what follows can only be wrong when a writer was: checked all the same, since offsets are trusted afterwards.
        let totalSize = number(16)
        let count = Int(word(24))
        guard totalSize < UInt64(Int64.max), totalSize % UInt64(pageSize) == 0, totalSize >= UInt64(pageSize) else {
            throw .corrupt(path: path, offset: 16, reason: "the total size \(totalSize) is not possible")
        }
        guard count <= sectionCountMax else { throw .corrupt(path: path, offset: 24, reason: "\(count) sections are too many") }
        var sections: [Section] = []
        var expectedOffset = UInt64(pageSize)
        for index in 0..<count {
            let entry = tableOffset + index * entrySize
            let name = page[entry..<entry + nameSizeMax].prefix { $0 != 0 }
            let offset = number(entry + 32)
            let size = number(entry + 40)
            guard offset == expectedOffset, size <= totalSize, offset <= totalSize, UInt64(padded(Int(size))) <= totalSize - offset else {
                throw .corrupt(path: path, offset: entry, reason: "section \(index) lies outside of the file")
            }
            expectedOffset = offset + UInt64(padded(Int(size)))
            sections.append(
                Section(name: String(decoding: name, as: UTF8.self), offset: Int(offset), size: Int(size), checksum: word(entry + 48)))
        }
        guard expectedOffset == totalSize else {
            throw .corrupt(path: path, offset: 16, reason: "the sections end at \(expectedOffset), the file at \(totalSize)")
        }
        return Header(
            kind: String(decoding: page[8..<12], as: UTF8.self), version: word(12), totalSize: Int(totalSize), sections: sections)
    }
}
