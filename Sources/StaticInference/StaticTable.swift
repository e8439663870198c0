import Foundation
import Inference

/// A static embedder's file: a WordPiece vocabulary and one row of 8-bit numbers for each token.
///
/// | Offset | Size | Field |
/// | --- | --- | --- |
/// | 0 | 8 | `ORSTATIC` |
/// | 8 | 4 | version, 1 |
/// | 12 | 4 | flags: 1 = lower-cases, 2 = strips accents |
/// | 16 | 4 | *dimension* |
/// | 20 | 4 | *count* of tokens |
/// | 24 | 4 | context length, in tokens |
/// | 28 | 4 | size of the name |
/// | 32 | 4 | size of the note: how the table was made, JSON |
/// | 36 | 4 | size of the vocabulary |
/// | 40 | 8 | size of the file |
/// | 48 | 8 | checksum of bytes 0 to 47 and 64 to the end |
/// | 56 | 8 | zero |
/// | 64 | | name, note (UTF-8), vocabulary (each token: size in 2 bytes, then UTF-8), zeros up to a multiple of 64 |
/// | | 4 × *count* | scales, 32-bit floats, then zeros up to a multiple of 64 |
/// | | *dimension* × *count* | rows, signed bytes; value = scale × byte |
///
/// All numbers are little-endian. The file is mapped, not read: processes that use the same table share its memory. Everything is checked
/// when the file is opened, so nothing is checked when texts are embedded.
package final class StaticTable: Sendable {
    /// What the file says about itself.
    package struct Header: Sendable, Hashable {
        /// Such as `all-MiniLM-L6-v2-static-256`.
        package var name: String
        /// How the table was made, JSON.
        package var note: String
        package var dimension: Int
        /// Longest input in tokens; longer ones are cut.
        package var contextLength: Int
        package var isUncased: Bool
        package var stripsAccents: Bool

        package init(name: String, note: String, dimension: Int, contextLength: Int, isUncased: Bool = true, stripsAccents: Bool = true) {
            self.name = name
            self.note = note
            self.dimension = dimension
            self.contextLength = contextLength
            self.isUncased = isUncased
            self.stripsAccents = stripsAccents
        }
    }

    package let header: Header
    package let vocabulary: [String]
    /// Mapped; its pages are shared and clean.
    private let data: Data
    private let scalesOffset: Int
    private let rowsOffset: Int

    static let magic = Array("ORSTATIC".utf8)
    static let headerSize = 64
    private static let version: UInt32 = 1
    private static let alignment = 64

    /// Opens and checks a file.
    ///
    /// - Throws: `InferenceError.modelNotFound`, `.wrongModelKind` for another kind of file, `.modelUnreadable` for one that is cut or changed.
    package init(path: String) throws {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else {
            throw InferenceError.modelNotFound(path: path)
        }
        func unreadable(_ reason: String) -> InferenceError {
            .modelUnreadable(path: path, reason: reason + "; make it again with 'outrider models distill'")
        }
        guard data.count >= 8, data.prefix(8).elementsEqual(Self.magic) else {
            throw InferenceError.wrongModelKind(path: path, reason: "it is no static embedding table; its first bytes are not ORSTATIC")
        }
        guard data.count >= Self.headerSize else {
            throw unreadable("it has \(data.count) bytes, its header alone takes \(Self.headerSize)")
        }
        func number(_ offset: Int) -> Int {
            Int(data.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) })
        }
        func wide(_ offset: Int) -> UInt64 {
            data.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        }
        guard number(8) == Int(Self.version) else {
            throw unreadable("its version is \(number(8)), this program reads version \(Self.version)")
        }
        guard wide(40) == UInt64(data.count) else { throw unreadable("it has \(data.count) bytes, its header says \(wide(40))") }
        let checksum = Self.checksum(data)
        guard wide(48) == checksum else { throw unreadable("its checksum is \(checksum), its header says \(wide(48))") }

        // From here on the bytes are those that were written; what follows guards against files that were made to harm.
        let (dimension, count, contextLength) = (number(16), number(20), number(24))
        guard (1...65536).contains(dimension), (1...(1 << 24)).contains(count), contextLength > 0 else {
            throw unreadable("it has \(count) rows of \(dimension) numbers and a context length of \(contextLength)")
        }
        let nameEnd = Self.headerSize + number(28)
        let noteEnd = nameEnd + number(32)
        let vocabularyEnd = noteEnd + number(36)
        scalesOffset = Self.padded(vocabularyEnd)
        rowsOffset = Self.padded(scalesOffset + count * 4)
        guard rowsOffset + count * dimension == data.count else {
            throw unreadable("its parts take \(rowsOffset + count * dimension) bytes, it has \(data.count)")
        }
        guard let name = String(validating: data[Self.headerSize..<nameEnd], as: UTF8.self),
            let note = String(validating: data[nameEnd..<noteEnd], as: UTF8.self)
        else { throw unreadable("its name is no UTF-8") }
        var vocabulary: [String] = []
        vocabulary.reserveCapacity(count)
        var position = noteEnd
        for index in 0..<count {
            guard position + 2 <= vocabularyEnd else { throw unreadable("its vocabulary ends at token \(index) of \(count)") }
            let size = Int(data[position]) | Int(data[position + 1]) << 8
            position += 2
            guard position + size <= vocabularyEnd, let token = String(validating: data[position..<position + size], as: UTF8.self) else {
                throw unreadable("token \(index) of its vocabulary is cut or no UTF-8")
            }
            vocabulary.append(token)
            position += size
        }
        for index in 0..<count {
            let scale = Float(bitPattern: UInt32(number(scalesOffset + index * 4)))
            guard scale.isFinite && scale >= 0 && scale < 1e6 else { throw unreadable("the scale of row \(index) is \(scale)") }
        }
        self.data = data
        self.vocabulary = vocabulary
        let flags = number(12)
        header = Header(
            name: name, note: note, dimension: dimension, contextLength: contextLength, isUncased: flags & 1 != 0,
            stripsAccents: flags & 2 != 0)
    }

    /// Lends the scales, shape `[count]`, and the rows, shape `[count, dimension]`.
    func withRows<Result>(_ body: (UnsafePointer<Float>, UnsafePointer<Int8>) throws -> Result) rethrows -> Result {
        try data.withUnsafeBytes { bytes in
            // A mapping begins at a page, the parts at multiples of 64.
            let base = bytes.baseAddress!
            return try body(
                (base + scalesOffset).assumingMemoryBound(to: Float.self), (base + rowsOffset).assumingMemoryBound(to: Int8.self))
        }
    }

    // MARK: Writing

    /// Rounds the rows to 8 bits and writes the file under a temporary name, flushes it and renames it.
    ///
    /// - Parameters:
    ///   - vocabulary: One entry for each row.
    ///   - rows: Shape `[vocabulary.count, header.dimension]`, finite. Their lengths are the weights of the tokens.
    /// - Throws: `InferenceError.failed` when the disk refuses.
    package static func write(to path: String, header: Header, vocabulary: [String], rows: [Float]) throws {
        let (count, dimension) = (vocabulary.count, header.dimension)
        precondition(rows.count == count * dimension, "\(rows.count) numbers are no \(count) rows of \(dimension)")
        precondition(rows.allSatisfy(\.isFinite), "a row is not finite")
        var body: [UInt8] = Array(header.name.utf8) + Array(header.note.utf8)
        var vocabularySize = 0
        for token in vocabulary {
            precondition(token.utf8.count < 1 << 16, "a token has \(token.utf8.count) bytes")
            body += [UInt8(token.utf8.count & 0xFF), UInt8(token.utf8.count >> 8)] + Array(token.utf8)
            vocabularySize += 2 + token.utf8.count
        }
        func pad() { while (body.count + headerSize) % alignment != 0 { body.append(0) } }
        pad()
        let (scales, bytes) = quantized(rows, dimension: dimension)
        for scale in scales { withUnsafeBytes(of: scale.bitPattern.littleEndian) { body.append(contentsOf: $0) } }
        pad()
        body.append(contentsOf: bytes.map { UInt8(bitPattern: $0) })

        var head = magic
        func add(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.littleEndian) { head.append(contentsOf: $0) } }
        add(version)
        add(UInt32((header.isUncased ? 1 : 0) | (header.stripsAccents ? 2 : 0)))
        for value in [dimension, count, header.contextLength, header.name.utf8.count, header.note.utf8.count, vocabularySize] {
            add(UInt32(value))
        }
        add(UInt64(headerSize + body.count))
        add(UInt64(0))
        add(UInt64(0))
        var file = Data(head) + Data(body)
        let sum = checksum(file)
        withUnsafeBytes(of: sum.littleEndian) { file.replaceSubrange(48..<56, with: $0) }
        do {
            let part = path + ".part"
            try file.write(to: URL(fileURLWithPath: part))
            let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: part))
            try handle.synchronize()
            try handle.close()
            guard rename(part, path) == 0 else { throw CocoaError(.fileWriteUnknown) }
        } catch {
            unlink(path + ".part")
            throw InferenceError.failed(name: path, reason: "the table cannot be written: \(error)")
        }
    }

    /// One scale for each row, so that the largest number becomes ±127.
    static func quantized(_ rows: [Float], dimension: Int) -> (scales: [Float], bytes: [Int8]) {
        var scales: [Float] = []
        var bytes = [Int8](repeating: 0, count: rows.count)
        for start in stride(from: 0, to: rows.count, by: dimension) {
            var largest: Float = 0
            for index in start..<start + dimension { largest = max(largest, abs(rows[index])) }
            scales.append(largest / 127)
            if largest < .leastNormalMagnitude * 127 { continue }
            for index in start..<start + dimension { bytes[index] = Int8((rows[index] / largest * 127).rounded()) }
        }
        return (scales, bytes)
    }

    private static func padded(_ size: Int) -> Int { (size + alignment - 1) / alignment * alignment }

    /// FNV-1a over 64-bit words in four lanes, the checksum's own place left out: some gigabytes a second. Every step can be undone, so a
    /// change of any one word changes the sum. It guards against damage, not against people.
    static func checksum(_ data: Data) -> UInt64 {
        data.withUnsafeBytes { bytes in
            var lanes = SIMD4<UInt64>(0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4, 0x9AE1_6A3B_2F90_404F, 0x2F90_404F_9AE1_6A3B)
            let prime: UInt64 = 0x100_0000_01B3
            func word(_ offset: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
            for offset in stride(from: 0, to: 48, by: 8) { lanes[0] = (lanes[0] ^ word(offset)) &* prime }
            var offset = headerSize
            while offset + 32 <= bytes.count {
                lanes = (lanes ^ SIMD4(word(offset), word(offset + 8), word(offset + 16), word(offset + 24))) &* prime
                offset += 32
            }
            while offset < bytes.count {
                lanes[1] = (lanes[1] ^ UInt64(bytes[offset])) &* prime
                offset += 1
            }
            var sum = UInt64(bytes.count)
            for lane in 0..<4 { sum = ((sum ^ lanes[lane] ^ lanes[lane] >> 32) &* prime) }
            return sum ^ sum >> 29
        }
    }
}
