import Foundation

/// A value in a PDF file (ISO 32000-1, 7.3).
indirect enum PDFObject {
    case null
    case boolean(Bool)
    case number(Double)
    case string([UInt8])
    case name(String)
    case array([PDFObject])
    case dictionary([String: PDFObject])
    /// The dictionary, and where the encoded bytes lie: in the file at an offset.
    case stream([String: PDFObject], offset: Int)
    case reference(Int)
}

/// Reads objects of a PDF file: what the text programs leave out, namely form fields, notes, links, bookmarks and ruling lines.
///
///     %PDF-1.7                       the end names the place of the table; the table names the place of each object:
///     7 0 obj << /Type /Page ... >>
///     xref 0 9 0000000061 00000 n    or a stream of binary rows, and objects packed in streams (7.5.7, 7.5.8)
///     trailer << /Root 5 0 R >>
///     startxref 1512
///
/// The file is untrusted: every number is checked, recursion and repeats are bounded, all unpacking draws from one budget. Whatever cannot be
/// read is `null`, because the text has been read elsewhere; a file without a sound table is scanned for its objects.
/// Encrypted files are left alone (`isEncrypted`).
final class PDFFile {
    private enum Place {
        case offset(Int)
        case packed(stream: Int, index: Int)
    }
    private let descriptor: Int32
    private let size: Int
    private var places: [Int: Place] = [:]
    private(set) var trailer: [String: PDFObject] = [:]
    private var cache: [Int: PDFObject] = [:]
    private var packed: [Int: [Int: PDFObject]] = [:]
    private var resolving: Set<Int> = []
    /// Bytes that streams may still unpack to.
    var unpackedBytesLeft: Int
    private(set) var isEncrypted = false

    /// - Parameter descriptor: Read with `pread`; the caller keeps it.
    init?(descriptor: Int32, size: Int, unpackedBytes: Int) {
        self.descriptor = descriptor
        self.size = size
        unpackedBytesLeft = unpackedBytes
        readTables()
        if catalog == nil { scan() }
        if catalog == nil { return nil }
        isEncrypted = trailer["Encrypt"] != nil
    }

    private var catalog: [String: PDFObject]? {
        guard let root = dictionary(trailer["Root"]), root["Pages"] != nil else { return nil }
        return root
    }

    /// The document's root.
    var root: [String: PDFObject] { catalog ?? [:] }

    // MARK: - Access

    func resolve(_ object: PDFObject?) -> PDFObject {
        var object = object ?? .null
        var steps = 0
        while case .reference(let number) = object {
            steps += 1
            guard steps < 32 else { return .null }
            object = self.object(number)
        }
        return object
    }

    func dictionary(_ object: PDFObject?) -> [String: PDFObject]? {
        switch resolve(object) {
        case .dictionary(let dictionary), .stream(let dictionary, _): dictionary
        default: nil
        }
    }

    func array(_ object: PDFObject?) -> [PDFObject]? {
        if case .array(let array) = resolve(object) { array } else { nil }
    }

    func number(_ object: PDFObject?) -> Double? {
        if case .number(let number) = resolve(object) { number } else { nil }
    }

    func integer(_ object: PDFObject?) -> Int? {
        guard let number = number(object), abs(number) < 1e15 else { return nil }
        return Int(number)
    }

    func name(_ object: PDFObject?) -> String? {
        if case .name(let name) = resolve(object) { name } else { nil }
    }

    /// A text string (7.9.2.2): UTF-16 or UTF-8 after a byte order mark, otherwise PDFDocEncoding.
    func text(_ object: PDFObject?) -> String? {
        switch resolve(object) {
        case .string(let bytes): Self.text(bytes)
        case .stream(let dictionary, let offset): Self.text(unpacked(dictionary, at: offset, limit: 1 << 20) ?? [])
        default: nil
        }
    }

    static func text(_ bytes: [UInt8]) -> String {
        if bytes.starts(with: [0xFE, 0xFF]) || bytes.starts(with: [0xFF, 0xFE]) {
            let isBig = bytes[0] == 0xFE
            var units: [UInt16] = []
            var isEscaped = false
            for index in stride(from: 2, to: bytes.count - 1, by: 2) {
                let unit =
                    isBig ? UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]) : UInt16(bytes[index + 1]) << 8 | UInt16(bytes[index])
                // A language code between two escapes is no text.
                if unit == 0x1B {
                    isEscaped.toggle()
                } else if !isEscaped {
                    units.append(unit)
                }
            }
            return String(decoding: units, as: UTF16.self)
        }
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return String(decoding: bytes.dropFirst(3), as: UTF8.self) }
        var text = String.UnicodeScalarView()
        for byte in bytes {
            let value: UInt32
            switch byte {
            case 0x18...0x1F: value = [0x2D8, 0x2C7, 0x2C6, 0x2D9, 0x2DD, 0x2DB, 0x2DA, 0x2DC][Int(byte) - 0x18]
            case 0x80...0x9E:
                value =
                    [
                        0x2022, 0x2020, 0x2021, 0x2026, 0x2014, 0x2013, 0x192, 0x2044, 0x2039, 0x203A, 0x2212, 0x2030, 0x201E, 0x201C,
                        0x201D,
                        0x2018, 0x2019, 0x201A, 0x2122, 0xFB01, 0xFB02, 0x141, 0x152, 0x160, 0x178, 0x17D, 0x131, 0x142, 0x153, 0x161,
                        0x17E,
                    ][Int(byte) - 0x80]
            case 0xA0: value = 0x20AC
            default: value = UInt32(byte)
            }
            if let scalar = Unicode.Scalar(value) { text.append(scalar) }
        }
        return String(text)
    }

    /// The decoded bytes of a stream, as far as they can be decoded; nil for pictures and unknown filters.
    func bytes(_ object: PDFObject?, limit: Int = 32 << 20) -> [UInt8]? {
        guard case .stream(let dictionary, let offset) = resolve(object) else { return nil }
        return unpacked(dictionary, at: offset, limit: limit)
    }

    /// The pages in order, each with what it inherits. At most 20,000.
    func pages() -> [[String: PDFObject]] {
        var pages: [[String: PDFObject]] = []
        var seen: Set<Int> = []
        func walk(_ object: PDFObject?, _ inherited: [String: PDFObject], _ depth: Int) {
            if case .reference(let number)? = object, !seen.insert(number).inserted { return }
            guard depth < 64, pages.count < 20_000, var node = dictionary(object) else { return }
            for key in ["MediaBox", "Rotate", "Resources"] where node[key] == nil { node[key] = inherited[key] }
            if let kids = array(node["Kids"]) {
                for kid in kids { walk(kid, node, depth + 1) }
            } else {
                if case .reference(let number)? = object { node["\u{0}number"] = .number(Double(number)) }
                pages.append(node)
            }
        }
        walk(root["Pages"], [:], 0)
        return pages
    }

    // MARK: - Objects

    private func object(_ number: Int) -> PDFObject {
        if let object = cache[number] { return object }
        guard let place = places[number], resolving.insert(number).inserted else { return .null }
        defer { resolving.remove(number) }
        var result = PDFObject.null
        switch place {
        case .offset(let offset): result = read(at: offset, number: number) ?? .null
        case .packed(let stream, _): result = objects(inStream: stream)[number] ?? .null
        }
        if cache.count > 50_000 { cache.removeAll() }
        cache[number] = result
        return result
    }

    private func read(at offset: Int, number: Int?) -> PDFObject? {
        // Most objects are small; the window grows for those that are not.
        var length = 2048
        while true {
            let window = raw(offset, length)
            var lexer = PDFLexer(window)
            let result = lexer.indirectObject(number: number)
            if !lexer.hasRunOut || window.count < length || length > 32 << 20 {
                guard let (object, dataStart) = result else { return nil }
                if let dataStart, case .dictionary(let dictionary) = object { return .stream(dictionary, offset: offset + dataStart) }
                return object
            }
            length *= 8
        }
    }

    private func objects(inStream number: Int) -> [Int: PDFObject] {
        if let objects = packed[number] { return objects }
        packed[number] = [:]
        guard case .offset? = places[number], case .stream(let dictionary, let offset) = object(number),
            let count = integer(dictionary["N"]), let first = integer(dictionary["First"]), count > 0, count < 1_000_000, first >= 0,
            let bytes = unpacked(dictionary, at: offset, limit: 64 << 20), first <= bytes.count
        else { return [:] }
        var header = PDFLexer(Array(bytes[..<first]))
        var objects: [Int: PDFObject] = [:]
        var lexer = PDFLexer(bytes)
        for _ in 0..<count {
            guard let object = header.integer(), let place = header.integer() else { break }
            guard place >= 0, first + place < bytes.count else { continue }
            lexer.position = first + place
            if let value = lexer.object() { objects[object] = value }
        }
        packed[number] = objects
        return objects
    }

    private func raw(_ offset: Int, _ count: Int) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        let count = min(count, size - offset)
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got <= 0 { break }
                filled += got
            }
        }
    }

    private func unpacked(_ dictionary: [String: PDFObject], at offset: Int, limit: Int) -> [UInt8]? {
        var filters: [String] = []
        switch resolve(dictionary["Filter"]) {
        case .name(let name): filters = [name]
        case .array(let names): filters = names.compactMap { name($0) }
        default: break
        }
        var parameters: [[String: PDFObject]] = []
        if let single = self.dictionary(dictionary["DecodeParms"]) {
            parameters = [single]
        } else if let several = array(dictionary["DecodeParms"]) {
            parameters = several.map { self.dictionary($0) ?? [:] }
        }
        guard filters.count <= 4, unpackedBytesLeft > 0 else { return nil }
        var length = integer(dictionary["Length"]) ?? -1
        // A wrong length is common in files that were edited by hand.
        if length < 0 || offset + length > size || !isStreamEnd(offset + length) { length = streamLength(offset) }
        guard length <= 64 << 20 else { return nil }
        var bytes = raw(offset, length)
        for (index, filter) in filters.enumerated() {
            let limit = min(limit, unpackedBytesLeft)
            switch filter {
            case "FlateDecode", "Fl": bytes = StreamFilter.inflate(bytes, limit: limit)
            case "LZWDecode", "LZW":
                let early = index < parameters.count ? integer(parameters[index]["EarlyChange"]) ?? 1 : 1
                bytes = StreamFilter.lzw(bytes, isEarly: early != 0, limit: limit)
            case "ASCII85Decode", "A85": bytes = StreamFilter.ascii85(bytes)
            case "ASCIIHexDecode", "AHx": bytes = StreamFilter.asciiHex(bytes)
            case "RunLengthDecode", "RL": bytes = StreamFilter.runLength(bytes, limit: limit)
            default: return nil
            }
            if index < parameters.count, let predictor = integer(parameters[index]["Predictor"]), predictor > 1 {
                bytes = StreamFilter.unpredicted(
                    bytes, predictor: predictor, colors: integer(parameters[index]["Colors"]) ?? 1,
                    bits: integer(parameters[index]["BitsPerComponent"]) ?? 8, columns: integer(parameters[index]["Columns"]) ?? 1)
            }
            unpackedBytesLeft -= bytes.count
        }
        return bytes
    }

    private func isStreamEnd(_ offset: Int) -> Bool {
        let text = raw(offset, 20)
        let start = text.firstIndex { $0 > 0x20 } ?? text.endIndex
        return text[start...].starts(with: "endstream".utf8)
    }

    private func streamLength(_ offset: Int) -> Int {
        let mark = Array("endstream".utf8)
        var position = offset
        while position < size, position - offset < 64 << 20 {
            let window = raw(position, 1 << 18)
            if let found = Self.find(mark, in: window, from: 0) {
                return position + found - offset
            }
            guard window.count == 1 << 18 else { break }
            position += window.count - mark.count
        }
        return max(0, min(size, position + 1 << 18) - offset)
    }

    private static func find(_ mark: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= mark.count else { return nil }
        return bytes.withUnsafeBufferPointer { buffer in
            var index = start
            let last = buffer.count - mark.count
            while index <= last {
                if buffer[index] == mark[0] {
                    var offset = 1
                    while offset < mark.count, buffer[index + offset] == mark[offset] { offset += 1 }
                    if offset == mark.count { return index }
                }
                index += 1
            }
            return nil
        }
    }

    // MARK: - Tables of objects

    private func readTables() {
        let tail = raw(max(0, size - 2048), 2048)
        var mark: Int?
        var position = 0
        while let found = Self.find(Array("startxref".utf8), in: tail, from: position) {
            mark = found
            position = found + 1
        }
        guard let mark else { return }
        var lexer = PDFLexer(Array(tail[(mark + 9)...]))
        var next = lexer.integer()
        var seen: Set<Int> = []
        while let offset = next, offset >= 0, offset < size, seen.insert(offset).inserted, seen.count < 1000 {
            next = nil
            guard let dictionary = readTable(at: offset) ?? readTableStream(at: offset) else { return }
            trailer.merge(dictionary) { old, _ in old }
            if let hybrid = integer(dictionary["XRefStm"]), hybrid > 0, hybrid < size, seen.insert(hybrid).inserted {
                _ = readTableStream(at: hybrid)
            }
            next = integer(dictionary["Prev"])
        }
    }

    private func readTable(at offset: Int) -> [String: PDFObject]? {
        var length = 1 << 16
        while true {
            let window = raw(offset, length)
            var lexer = PDFLexer(window)
            guard lexer.keyword() == "xref" else { return nil }
            var found: [(Int, Int)] = []
            var trailer: [String: PDFObject]?
            while !lexer.hasRunOut {
                let start = lexer.position
                if let first = lexer.integer(), let count = lexer.integer(), first >= 0, count >= 0, count < 10_000_000 {
                    for index in 0..<count {
                        guard let place = lexer.integer(), lexer.integer() != nil, let kind = lexer.keyword() else { break }
                        if kind == "n", place > 0 { found.append((first + index, place)) }
                    }
                } else {
                    lexer.position = start
                    if lexer.keyword() == "trailer", case .dictionary(let dictionary)? = lexer.object() { trailer = dictionary }
                    break
                }
            }
            if lexer.hasRunOut, window.count == length, length < 256 << 20 {
                length *= 8
                continue
            }
            for (number, place) in found where places[number] == nil { places[number] = .offset(place) }
            return trailer
        }
    }

    private func readTableStream(at offset: Int) -> [String: PDFObject]? {
        guard case .stream(let dictionary, let start)? = read(at: offset, number: nil), name(dictionary["Type"]) == "XRef",
            let widths = array(dictionary["W"])?.map({ integer($0) ?? 0 }), widths.count >= 3, widths.allSatisfy({ (0...8).contains($0) }),
            let bytes = unpacked(dictionary, at: start, limit: 64 << 20)
        else { return nil }
        let rowSize = widths[0] + widths[1] + widths[2]
        guard rowSize > 0 else { return nil }
        var sections = array(dictionary["Index"])?.map { integer($0) ?? 0 } ?? []
        if sections.isEmpty { sections = [0, integer(dictionary["Size"]) ?? 0] }
        var position = 0
        func field(_ index: Int) -> Int {
            var value = 0
            for _ in 0..<widths[index] {
                value = value << 8 | Int(bytes[position])
                position += 1
            }
            return value
        }
        var section = 0
        while section + 1 < sections.count {
            let (first, count) = (sections[section], sections[section + 1])
            section += 2
            guard first >= 0, count >= 0 else { continue }
            for index in 0..<count {
                guard position + rowSize <= bytes.count else { break }
                let kind = widths[0] == 0 ? 1 : field(0)
                let second = field(1)
                let third = field(2)
                let number = first &+ index
                if places[number] != nil { continue }
                if kind == 1 { places[number] = .offset(second) }
                if kind == 2 { places[number] = .packed(stream: second, index: third) }
            }
        }
        return dictionary
    }

    /// Finds objects by their first words, for a file whose table is damaged or does not reach the pages.
    private func scan() {
        guard size <= 256 << 20 else { return }
        places = [:]
        cache = [:]
        packed = [:]
        var streams: [Int] = []
        let mark = Array(" obj".utf8)
        var position = 0
        let step = 1 << 20
        var roots: [PDFObject] = []
        while position < size {
            let window = raw(position, step + 64)
            var start = 0
            while let found = Self.find(mark, in: window, from: start), found < step + 32 {
                start = found + 1
                // Backwards over the generation and the number.
                var index = found - 1
                func digits() -> (Int, Int)? {
                    var value = 0
                    var scale = 1
                    var count = 0
                    while index >= 0, (0x30...0x39).contains(window[index]), count < 9 {
                        value += Int(window[index] - 0x30) * scale
                        scale *= 10
                        count += 1
                        index -= 1
                    }
                    return count > 0 ? (value, index + 1) : nil
                }
                guard digits() != nil, index > 0, window[index] == 0x20 else { continue }
                index -= 1
                guard let (number, place) = digits(), places.count < 2_000_000 else { continue }
                // Later versions of an object stand later in the file.
                places[number] = .offset(position + place)
                let rest = window[found..<min(window.count, found + 300)]
                if rest.contains(0x4F) {
                    let text = String(decoding: rest, as: UTF8.self)
                    if text.contains("/ObjStm") { streams.append(number) }
                    if text.contains("/Catalog") { roots.append(.reference(number)) }
                }
            }
            position += step
        }
        for number in streams.suffix(5000) {
            for (object, value) in objects(inStream: number) where places[object] == nil {
                places[object] = .packed(stream: number, index: 0)
                if case .dictionary(let dictionary) = value, name(dictionary["Type"]) == "Catalog" { roots.append(.reference(object)) }
            }
        }
        if catalog == nil, let root = roots.last(where: { dictionary($0)?["Pages"] != nil }) { trailer["Root"] = root }
    }
}
