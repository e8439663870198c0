/// The sizes that a picture claims in its headers, to refuse a bomb before anything unpacks it.
///
/// A few bytes of a file may claim billions of pixels, and a program that believes them takes memory and time for each.
/// Every offset, length and count below comes from the file: it is read through `ParseInput.bytes(at:count:)`, which gives
/// nothing beyond the end, and every walk is bounded.
///
///     PNG    IHDR at 8                     BMP    information header at 14
///     GIF    screen at 6, frames behind    WebP   VP8, VP8L or VP8X chunk at 12
///     JPEG   markers until SOF             JP2    boxes: ihdr, and SIZ of the code stream
///     TIFF   a chain of directories, one a page; tags 256 and 257, tiles 322 and 323
struct PictureHeader: Equatable {
    struct Size: Equatable {
        var width: Int
        var height: Int
        /// The product; as large as it can be when it overflows.
        var pixelCount: Int {
            let (product, overflows) = width.multipliedReportingOverflow(by: height)
            return overflows ? .max : product
        }
    }

    /// One for each page, in their order; a picture that is no TIFF has one.
    var pages: [Size]
    /// Whether there were more pages than could be looked at.
    var isCut = false

    /// Pages looked at in a TIFF.
    static let pageLimit = 20_000
    /// Entries of directories looked at in a TIFF, where directories may overlap.
    private static let entryLimit = 1_000_000

    /// Nil when the bytes do not say how large the picture is.
    init?(_ input: ParseInput) {
        let reader = Reader(input: input)
        let head = input.head
        func starts(_ magic: [UInt8], at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: magic) }
        let size: Size?
        if starts([0x89, 0x50, 0x4E, 0x47]) {
            size = Self.portableNetworkGraphic(reader)
        } else if starts([0xFF, 0xD8]) {
            size = Self.jpeg(reader)
        } else if starts(Array("GIF8".utf8)) {
            size = Self.gif(reader)
        } else if starts(Array("BM".utf8)) {
            size = Self.bitmap(reader)
        } else if starts(Array("RIFF".utf8)), starts(Array("WEBP".utf8), at: 8) {
            size = Self.webP(reader)
        } else if starts([0, 0, 0, 0x0C, 0x6A, 0x50, 0x20, 0x20]) || starts([0xFF, 0x4F, 0xFF, 0x51]) {
            size = Self.jpeg2000(reader)
        } else if starts([0x49, 0x49]) || starts([0x4D, 0x4D]) {
            guard let (pages, isCut) = Self.tiff(reader) else { return nil }
            self.pages = pages
            self.isCut = isCut
            return
        } else {
            return nil
        }
        guard let size, size.width > 0, size.height > 0 else { return nil }
        pages = [size]
    }

    // MARK: - One picture

    private static func portableNetworkGraphic(_ reader: Reader) -> Size? {
        guard reader.text(12) == "IHDR", let width = reader.big(16, 4), let height = reader.big(20, 4) else { return nil }
        return Size(width: width, height: height)
    }

    private static func bitmap(_ reader: Reader) -> Size? {
        guard let headerSize = reader.little(14, 4) else { return nil }
        if headerSize == 12 {
            guard let width = reader.little(18, 2), let height = reader.little(20, 2) else { return nil }
            return Size(width: width, height: height)
        }
        guard let width = reader.little(18, 4), let height = reader.little(22, 4) else { return nil }
        // A negative height means that the rows begin at the top.
        func magnitude(_ value: Int) -> Int { Int(Int32(truncatingIfNeeded: value).magnitude) }
        return Size(width: magnitude(width), height: magnitude(height))
    }

    /// Markers with a length each, until the one that starts a frame.
    private static func jpeg(_ reader: Reader) -> Size? {
        var offset = 2
        for _ in 0..<20_000 {
            guard let first = reader.big(offset, 1) else { return nil }
            // Fill bytes, and junk between segments, which decoders pass over.
            guard first == 0xFF, let marker = reader.big(offset + 1, 1), marker != 0xFF, marker != 0 else {
                offset += 1
                continue
            }
            switch marker {
            case 0x01, 0xD0...0xD8: offset += 2
            case 0xD9, 0xDA: return nil
            case 0xC0...0xCF where ![0xC4, 0xC8, 0xCC].contains(marker):
                guard let height = reader.big(offset + 5, 2), let width = reader.big(offset + 7, 2) else { return nil }
                // A height of zero comes later, in a DNL segment.
                return Size(width: width, height: height == 0 ? 0xFFFF : height)
            default:
                guard let length = reader.big(offset + 2, 2), length >= 2 else { return nil }
                offset += 2 + length
            }
        }
        return nil
    }

    /// The largest of the screen and its frames: a decoder makes room for each.
    private static func gif(_ reader: Reader) -> Size? {
        guard let width = reader.little(6, 2), let height = reader.little(8, 2), let flags = reader.little(10, 1) else { return nil }
        var largest = Size(width: width, height: height)
        func tableSize(_ flags: Int) -> Int { flags & 0x80 == 0 ? 0 : 3 << ((flags & 7) + 1) }
        var offset = 13 + tableSize(flags)
        for _ in 0..<100_000 {
            switch reader.little(offset, 1) {
            case 0x21: offset += 2
            case 0x2C:
                guard let width = reader.little(offset + 5, 2), let height = reader.little(offset + 7, 2),
                    let flags = reader.little(offset + 9, 1)
                else { return largest }
                let frame = Size(width: width, height: height)
                if frame.pixelCount > largest.pixelCount { largest = frame }
                offset += 11 + tableSize(flags)
            default: return largest
            }
            // Blocks of at most 255 bytes, the last one empty.
            while let length = reader.little(offset, 1) {
                offset += 1 + length
                if length == 0 { break }
            }
        }
        return largest
    }

    private static func webP(_ reader: Reader) -> Size? {
        switch reader.text(12) {
        case "VP8 ":
            guard reader.big(23, 3) == 0x9D012A, let width = reader.little(26, 2), let height = reader.little(28, 2) else { return nil }
            return Size(width: width & 0x3FFF, height: height & 0x3FFF)
        case "VP8L":
            guard reader.little(20, 1) == 0x2F, let bits = reader.little(21, 4) else { return nil }
            return Size(width: bits & 0x3FFF + 1, height: bits >> 14 & 0x3FFF + 1)
        case "VP8X":
            guard let width = reader.little(24, 3), let height = reader.little(27, 3) else { return nil }
            return Size(width: width + 1, height: height + 1)
        default: return nil
        }
    }

    /// The larger of what the box and the code stream say; a decoder follows the latter.
    private static func jpeg2000(_ reader: Reader) -> Size? {
        func codeStream(_ offset: Int) -> Size? {
            guard reader.big(offset, 4) == 0xFF4F_FF51, let width = reader.big(offset + 8, 4), let height = reader.big(offset + 12, 4)
            else { return nil }
            return Size(width: width, height: height)
        }
        if let size = codeStream(0) { return size }
        var offset = 0
        var box: Size?
        for _ in 0..<1000 {
            guard var length = reader.big(offset, 4), let type = reader.text(offset + 4) else { return nil }
            var headerSize = 8
            if length == 1 {
                guard let long = reader.big(offset + 8, 8), long >= 16 else { return nil }
                (length, headerSize) = (long, 16)
            }
            switch type {
            case "jp2c":
                guard let stream = codeStream(offset + headerSize) else { return nil }
                guard let box, box.pixelCount > stream.pixelCount else { return stream }
                return box
            case "jp2h":
                // A box of boxes: the next one is its first.
                offset += headerSize
                continue
            case "ihdr":
                guard let height = reader.big(offset + headerSize, 4), let width = reader.big(offset + headerSize + 4, 4) else {
                    return nil
                }
                box = Size(width: width, height: height)
            default: break
            }
            guard length >= headerSize, length <= reader.size - offset else { return nil }
            offset += length
        }
        return nil
    }

    // MARK: - Many pages

    /// Follows the chain of directories; one that was there before ends it.
    private static func tiff(_ reader: Reader) -> (pages: [Size], isCut: Bool)? {
        let isLittle = reader.big(0, 1) == 0x49
        func number(_ offset: Int, _ size: Int) -> Int? { isLittle ? reader.little(offset, size) : reader.big(offset, size) }
        let isBig: Bool
        switch number(2, 2) {
        case 42: isBig = false
        case 43: isBig = true
        default: return nil
        }
        // Sizes of an offset, of a directory's count, and of an entry.
        let (word, countSize, entrySize) = isBig ? (8, 8, 20) : (4, 2, 12)
        var pages: [Size] = []
        var isCut = false
        var seen: Set<Int> = []
        var entriesLeft = entryLimit
        var next = number(isBig ? 8 : 4, word)
        while let offset = next, offset != 0, seen.insert(offset).inserted {
            // Decoders take no larger directory either.
            guard let count = number(offset, countSize), (1...4096).contains(count) else { break }
            entriesLeft -= count
            guard pages.count < pageLimit, entriesLeft >= 0 else {
                isCut = true
                break
            }
            let table = reader.input.bytes(at: offset + countSize, count: count * entrySize)
            var values: [Int: Int] = [:]
            for start in stride(from: 0, to: table.count - entrySize + 1, by: entrySize) {
                func field(_ offset: Int, _ size: Int) -> Int {
                    let bytes = table[start + offset..<start + offset + size]
                    return isLittle ? bytes.reversed().reduce(0) { $0 << 8 | Int($1) } : bytes.reduce(0) { $0 << 8 | Int($1) }
                }
                let tag = field(0, 2)
                guard [256, 257, 322, 323].contains(tag), values[tag] == nil else { continue }
                // Integers of one, two, four and eight bytes, each also with a sign.
                guard let size = [1: 1, 6: 1, 3: 2, 8: 2, 4: 4, 9: 4, 16: 8, 17: 8][field(2, 2)] else { continue }
                // At the front of the entry's last word, or where that points to.
                let place = offset + countSize + start + entrySize - word
                values[tag] = size <= word ? number(place, size) : number(place, word).flatMap { number($0, size) }
            }
            let page = Size(width: values[256] ?? 0, height: values[257] ?? 0)
            let tile = Size(width: values[322] ?? 0, height: values[323] ?? 0)
            pages.append(page.pixelCount == 0 || page.pixelCount >= tile.pixelCount ? page : tile)
            next = number(offset + countSize + count * entrySize, word)
        }
        return pages.isEmpty ? nil : (pages, isCut)
    }

    /// Reads numbers at places that the file names.
    private struct Reader {
        let input: ParseInput
        var size: Int { input.size }

        /// Nil beyond the end, and for a number that does not fit.
        func big(_ offset: Int, _ count: Int) -> Int? { number(offset, count) { $0 } }
        func little(_ offset: Int, _ count: Int) -> Int? { number(offset, count) { $0.reversed() } }

        private func number(_ offset: Int, _ count: Int, _ order: ([UInt8]) -> [UInt8]) -> Int? {
            guard offset >= 0, offset <= input.size - count else { return nil }
            let bytes = input.bytes(at: offset, count: count)
            guard bytes.count == count else { return nil }
            return Int(exactly: order(bytes).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }

        /// Four letters.
        func text(_ offset: Int) -> String? {
            let bytes = input.bytes(at: offset, count: 4)
            return bytes.count == 4 ? String(decoding: bytes, as: UTF8.self) : nil
        }
    }
}
