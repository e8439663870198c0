import Foundation
import TestSupport
import Testing

@testable import Parsing

/// What pictures claim about their sizes, and what is done about it.
struct PictureTests {
    private static func big(_ value: Int, _ size: Int) -> [UInt8] {
        (0..<size).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }
    private static func little(_ value: Int, _ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    // MARK: - Headers

    private static func png(_ width: Int, _ height: Int) -> [UInt8] {
        [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + big(13, 4) + text("IHDR") + big(width, 4) + big(height, 4) + [8, 0, 0, 0, 0]
            + big(0, 4)
    }

    private static func jpeg(_ width: Int, _ height: Int, before: [UInt8] = []) -> [UInt8] {
        [0xFF, 0xD8] + before + [0xFF, 0xC0] + big(11, 2) + [8] + big(height, 2) + big(width, 2) + [1, 1, 0x11, 0] + [0xFF, 0xD9]
    }

    private static func gif(_ width: Int, _ height: Int, frames: [(Int, Int)] = []) -> [UInt8] {
        var bytes = text("GIF89a") + little(width, 2) + little(height, 2) + [0x80, 0, 0] + [0, 0, 0, 255, 255, 255]
        for frame in frames {
            bytes += [0x21, 0xF9, 4, 0, 0, 0, 0, 0]
            bytes += [0x2C] + little(0, 4) + little(frame.0, 2) + little(frame.1, 2) + [0x81] + [UInt8](repeating: 0, count: 12)
            bytes += [2] + [3, 1, 2, 3] + [1, 9] + [0]
        }
        return bytes + [0x3B]
    }

    private static func bitmap(_ width: Int, _ height: Int) -> [UInt8] {
        text("BM") + little(1000, 4) + little(0, 4) + little(54, 4) + little(40, 4) + little(width, 4) + little(height, 4) + little(1, 2)
            + little(24, 2) + [UInt8](repeating: 0, count: 24)
    }

    private static func webP(_ chunk: [UInt8]) -> [UInt8] { text("RIFF") + little(chunk.count + 4, 4) + text("WEBP") + chunk }
    private static func webPLossy(_ width: Int, _ height: Int) -> [UInt8] {
        webP(text("VP8 ") + little(10, 4) + [0x10, 0, 0, 0x9D, 0x01, 0x2A] + little(width, 2) + little(height, 2))
    }
    private static func webPLossless(_ width: Int, _ height: Int) -> [UInt8] {
        webP(text("VP8L") + little(5, 4) + [0x2F] + little((width - 1) | (height - 1) << 14, 4))
    }
    private static func webPExtended(_ width: Int, _ height: Int) -> [UInt8] {
        webP(text("VP8X") + little(10, 4) + little(0, 4) + little(width - 1, 3) + little(height - 1, 3))
    }

    private static func codeStream(_ width: Int, _ height: Int) -> [UInt8] {
        [0xFF, 0x4F, 0xFF, 0x51] + big(41, 2) + big(0, 2) + big(width, 4) + big(height, 4) + [UInt8](repeating: 0, count: 24)
    }
    private static func jpeg2000(_ width: Int, _ height: Int, stream: (Int, Int)? = nil) -> [UInt8] {
        let header = big(22, 4) + text("ihdr") + big(height, 4) + big(width, 4) + [0, 1, 7, 7, 0, 0]
        let stream = codeStream(stream?.0 ?? width, stream?.1 ?? height)
        return big(12, 4) + text("jP  ") + [0x0D, 0x0A, 0x87, 0x0A] + big(20, 4) + text("ftypjp2 ") + big(0, 4) + text("jp2 ")
            + big(8 + header.count, 4) + text("jp2h") + header + big(0, 4) + text("jp2c") + stream
    }

    /// A TIFF whose directories say what is given, and hold no pixels unless those are given too.
    private static func tiff(
        _ pages: [(Int, Int)], isLittle: Bool = true, isBig: Bool = false, type: Int = 4, tile: (Int, Int)? = nil
    ) -> [UInt8] {
        func number(_ value: Int, _ size: Int) -> [UInt8] { isLittle ? little(value, size) : big(value, size) }
        let (word, countSize, entrySize) = isBig ? (8, 8, 20) : (4, 2, 12)
        func entry(_ tag: Int, _ value: Int) -> [UInt8] {
            let size = [1: 1, 3: 2, 4: 4, 9: 4, 16: 8][type]!
            return number(tag, 2) + number(type, 2) + number(1, word) + number(value, size) + [UInt8](repeating: 0, count: word - size)
        }
        var bytes = text(isLittle ? "II" : "MM") + number(isBig ? 43 : 42, 2)
        if isBig { bytes += number(8, 2) + number(0, 2) }
        bytes += number(bytes.count + word, word)
        for (index, page) in pages.enumerated() {
            var entries = [entry(256, page.0), entry(257, page.1)]
            if let tile { entries += [entry(322, tile.0), entry(323, tile.1)] }
            let next = bytes.count + countSize + entries.count * entrySize + word
            bytes += number(entries.count, countSize) + entries.flatMap { $0 } + number(index == pages.count - 1 ? 0 : next, word)
        }
        return bytes
    }

    private func sizes(_ bytes: [UInt8]) -> [PictureHeader.Size]? { PictureHeader(ParseInput(bytes: bytes, name: "a"))?.pages }

    /// Headers of every kind that claim a size.
    private static let makers: [(name: String, make: @Sendable (Int, Int) -> [UInt8], largest: Int)] = [
        ("png", { png($0, $1) }, 0xFFFF_FFFF), ("jpeg", { jpeg($0, $1) }, 0xFFFF),
        // A thumbnail and a colour profile before the frame, far beyond the first 8 KiB; fill bytes.
        (
            "jpeg",
            { jpeg($0, $1, before: ([0xFF, 0xE1] + big(60_000, 2) + [UInt8](repeating: 0xFF, count: 59_998)) + [0xFF, 0xFF, 0xFF]) }, 0xFFFF
        ),
        ("gif", { gif($0, $1) }, 0xFFFF), ("gif", { gif(1, 1, frames: [(1, 1), ($0, $1), (1, 1)]) }, 0xFFFF),
        ("bmp", { bitmap($0, $1) }, 0x7FFF_FFFF), ("bmp", { bitmap($0, -$1) }, 0x7FFF_FFFF),
        ("webp", { webPLossy($0, $1) }, 0x3FFF), ("webp", { webPLossless($0, $1) }, 0x4000), ("webp", { webPExtended($0, $1) }, 0x100_0000),
        ("jp2", { jpeg2000($0, $1) }, 0xFFFF_FFFF), ("jp2", { jpeg2000(1, 1, stream: ($0, $1)) }, 0xFFFF_FFFF),
        ("jp2", { codeStream($0, $1) }, 0xFFFF_FFFF),
        ("tif", { tiff([($0, $1)]) }, 0xFFFF_FFFF), ("tif", { tiff([($0, $1)], isLittle: false) }, 0xFFFF_FFFF),
        ("tif", { tiff([($0, $1)], type: 3) }, 0xFFFF), ("tif", { tiff([($0, $1)], type: 9) }, 0x7FFF_FFFF),
        ("tif", { tiff([($0, $1)], isLittle: false, type: 3) }, 0xFFFF), ("tif", { tiff([(10, 10)], tile: ($0, $1)) }, 0xFFFF_FFFF),
        ("tif", { tiff([($0, $1)], isBig: true, type: 16) }, 0xFFFF_FFFF),
        ("tif", { tiff([($0, $1)], isLittle: false, isBig: true) }, 0xFFFF_FFFF),
    ]

    @Test(arguments: makers.indices)
    func `a header's size is read`(maker: Int) throws {
        let (name, make, largest) = Self.makers[maker]
        for (width, height) in [(200, 300), (largest, 200), (200, largest), (largest, largest)] {
            let found = try #require(sizes(make(width, height)), "\(name) \(width) × \(height)")
            #expect(found == [.init(width: width, height: height)], "\(name)")
        }
    }

    @Test(arguments: makers.indices)
    func `a header cut or changed anywhere is no trap`(maker: Int) {
        let bytes = Self.makers[maker].make(200, 300)
        var random = SeededGenerator(seed: UInt64(maker))
        let cuts = bytes.count < 2000 ? Array(bytes.indices) : (0..<200).map { _ in Int.random(in: 0..<bytes.count, using: &random) }
        for cut in cuts { _ = sizes(Array(bytes[..<cut])) }
        for _ in 0..<500 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
            }
            for page in sizes(changed) ?? [] { #expect(page.width >= 0 && page.height >= 0 && page.pixelCount >= 0) }
        }
    }

    @Test func `sizes that overflow are as large as can be`() {
        #expect(PictureHeader.Size(width: .max, height: 2).pixelCount == .max)
        #expect(sizes(Self.png(0xFFFF_FFFF, 0xFFFF_FFFF))?.first?.pixelCount == .max)
    }

    @Test func `a chain of directories that bites its tail, or never ends, does not hold us`() throws {
        // Two pages, the second followed by the first.
        var loop = Self.tiff([(10, 10), (20, 20)])
        loop.replaceSubrange(loop.count - 4..<loop.count, with: Self.little(8, 4))
        #expect(sizes(loop) == [.init(width: 10, height: 10), .init(width: 20, height: 20)])
        // Directories that overlap: each begins two bytes after the one before and claims 4096 entries.
        var overlapping: [UInt8] = Self.text("II") + Self.little(42, 2) + Self.little(8, 4)
        overlapping += [UInt8](repeating: 0x10, count: 2_000_000)
        let start = ContinuousClock.now
        _ = sizes(overlapping)
        let many = Self.tiff([(Int, Int)](repeating: (1, 1), count: PictureHeader.pageLimit + 5))
        let header = try #require(PictureHeader(ParseInput(bytes: many, name: "a")))
        #expect(header.isCut && header.pages.count == PictureHeader.pageLimit)
        #expect(ContinuousClock.now - start < .seconds(60))
    }

    // MARK: - Whole files

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"), arguments: makers.indices)
    func `a picture of too many pixels is refused with its size and before anything unpacks it`(maker: Int) {
        let (name, make, largest) = Self.makers[maker]
        guard PictureHeader.Size(width: largest, height: largest).pixelCount > TextRecognition.pixelLimit else { return }
        let start = ContinuousClock.now
        #expect("\(name)") {
            try Support.parse(make(largest, largest), name: "a." + name)
        } throws: {
            guard case .tooLarge(let reason) = $0 as? Refusal else { return false }
            return reason.contains("\(largest) × \(largest)") && reason.contains("100000000")
        }
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"))
    func `a picture without a size is refused`() {
        for bytes in [Array(Self.jpeg(10, 10).prefix(4)), Self.webP(Self.text("XXXX") + Self.little(0, 12)), Self.tiff([(0, 0)])] {
            #expect { try Support.parse(bytes, name: "a.img") } throws: { if case .malformed = $0 as? Refusal { true } else { false } }
        }
    }

    /// Pages with a word each, as pdftoppm draws them, in one TIFF.
    private func scan(_ words: [String]) throws -> [UInt8] {
        let pages = words.map { word in
            var page = PDFBuilder.Page()
            page.text(72, 700, "Page about \(word)", size: 24)
            return page
        }
        let path = try Support.temporaryFile(PDFBuilder(pages: pages).bytes(), name: "a.pdf")
        defer { try? FileManager.default.removeItem(atPath: path) }
        var directories: [(entries: [UInt8], data: [UInt8])] = []
        for index in words.indices {
            let descriptor = open(path, O_RDONLY)
            defer { close(descriptor) }
            let output = try ToolRunner.run(
                "pdftoppm", ["-f", "\(index + 1)", "-l", "\(index + 1)", "-r", "100", "-gray", path], input: descriptor, seconds: 30,
                outputLimit: 64 << 20)
            // P5, width, height, 255, then the grey values.
            let fields = output.standardOutput.prefix(40).split(maxSplits: 4, whereSeparator: { $0 == 0x0A || $0 == 0x20 }).prefix(3)
            let numbers = fields.dropFirst().map { Int(String(decoding: $0, as: UTF8.self))! }
            directories.append(
                (Self.little(numbers[0], 4) + Self.little(numbers[1], 4), Array(output.standardOutput.suffix(numbers[0] * numbers[1]))))
        }
        var bytes = Self.text("II") + Self.little(42, 2) + Self.little(8, 4)
        for (index, (size, data)) in directories.enumerated() {
            func entry(_ tag: Int, _ type: Int, _ value: [UInt8]) -> [UInt8] {
                Self.little(tag, 2) + Self.little(type, 2) + Self.little(1, 4) + value + [UInt8](repeating: 0, count: 4 - value.count)
            }
            let place = bytes.count + 2 + 8 * 12 + 4
            bytes += Self.little(8, 2)
            bytes += entry(256, 4, Array(size[..<4])) + entry(257, 4, Array(size[4...]))
            bytes += entry(258, 3, Self.little(8, 2)) + entry(259, 3, Self.little(1, 2)) + entry(262, 3, Self.little(1, 2))
            bytes += entry(273, 4, Self.little(place, 4)) + entry(277, 3, Self.little(1, 2)) + entry(279, 4, Self.little(data.count, 4))
            bytes += Self.little(index == directories.count - 1 ? 0 : place + data.count + data.count % 2, 4) + data
            if data.count % 2 == 1 { bytes.append(0) }
        }
        return bytes
    }

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"))
    func `the pages of a scan are pages, and one that is too large or broken is left out with its number`() throws {
        let bytes = try scan(["harbours", "gardens", "libraries"])
        let document = try Support.parse(bytes, name: "a.tif")
        #expect(document.pageCount == 3 && document.warnings.isEmpty)
        for (index, word) in ["harbours", "gardens", "libraries"].enumerated() {
            let block = try #require(document.blocks.first { document.text(of: $0).contains(word) }, "\(word) in \(document.text)")
            #expect(block.page == index + 1)
        }
        // The second page claims to be a giant.
        let next = 8 + 2 + 8 * 12
        let second = bytes[next..<next + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
        var giant = bytes
        giant.replaceSubrange(second + 2 + 8..<second + 2 + 12, with: Self.little(1_000_000, 4))
        let rest = try Support.parse(giant, name: "a.tif")
        #expect(rest.text.contains("harbours") && !rest.text.contains("gardens") && rest.text.contains("libraries"))
        #expect(rest.warnings.count == 1 && rest.warnings[0].contains("page 2 has 1000000 ×"))
        #expect(rest.blocks.first { rest.text(of: $0).contains("libraries") }?.page == 3)
        // No such compression.
        var broken = bytes
        broken.replaceSubrange(second + 2 + 3 * 12 + 8..<second + 2 + 3 * 12 + 10, with: Self.little(12_345, 2))
        let others = try Support.parse(broken, name: "a.tif")
        #expect(
            others.text.contains("libraries") && others.warnings.count == 1 && others.warnings[0].contains("page 2"),
            "\(others.warnings) \(others.text)")
    }

    @Test(.enabled(if: Support.hasOCR, "tesseract is not installed"))
    func `a scan of many pages is read as far as the time goes, and says how far`() throws {
        let bytes = try scan((0..<60).map { "number \(["one", "two", "three", "four"][$0 % 4])" })
        var limits = ParseLimits()
        limits.seconds = 5
        let start = ContinuousClock.now
        let document = try Support.parse(bytes, name: "a.tif", limits: limits)
        #expect(ContinuousClock.now - start < .seconds(20))
        #expect(document.pageCount == 60 && document.text.contains("Page about number one"))
        #expect(document.warnings.count == 1 && document.warnings[0].contains(/only the first \d+ of 60 pages were read in 5 s/))
    }
}
