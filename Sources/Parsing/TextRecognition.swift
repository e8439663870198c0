import CSandbox
import Foundation

/// Reads text from pictures with tesseract, and from scanned PDF pages by way of `pdftoppm`.
enum TextRecognition {
    private static let dotsPerInch = 200

    /// Recognises the given pages of a PDF in place, page by page until time is short.
    ///
    /// Returns why nothing could be done, for a document that has no other text; warns about pages left out.
    static func fill(
        _ pages: inout [PageContent], _ indices: [Int], of input: ParseInput, descriptor: Int32, context: ParseContext,
        builder: inout DocumentBuilder
    ) -> Refusal? {
        let total = pages.count
        guard context.limits.isOCREnabled else {
            builder.warn("\(indices.count) of \(total) pages had no text and text recognition is switched off")
            return nil
        }
        guard ToolRunner.find("tesseract") != nil, ToolRunner.find("pdftoppm") != nil else {
            builder.warn(
                "\(indices.count) of \(total) pages had no text and text recognition is not installed (Debian package tesseract-ocr)")
            return .unavailable("tesseract (Debian package tesseract-ocr); all pages are pictures")
        }
        var done = 0
        for index in indices {
            guard context.secondsLeft > 1 else {
                builder.warn(
                    "\(indices.count - done) of \(total) pages had no text and there was no time left to recognise it; raise --parse-timeout"
                )
                return done == 0 ? .timedOut(seconds: context.limits.seconds) : nil
            }
            done += 1
            let size = max(pages[index].width, pages[index].height)
            guard size > 1 else { continue }
            // At most 5000 points a side, whatever size the page claims.
            let resolution = min(dotsPerInch, max(20, Int(5000 * 72 / size)))
            lseek(descriptor, 0, SEEK_SET)
            guard
                let picture = try? ToolRunner.run(
                    "pdftoppm", ["-f", "\(index + 1)", "-l", "\(index + 1)", "-r", "\(resolution)", "-gray", "/proc/self/fd/0"],
                    input: descriptor,
                    seconds: max(1, context.secondsLeft), outputLimit: 64 << 20), picture.status == 0
            else { continue }
            guard hasInk(picture.standardOutput) else { continue }
            let image = ParseInput(bytes: picture.standardOutput, name: "page")
            switch recognise(image, scale: 72 / Float(resolution), context: context) {
            case .success(let content):
                // What little text the page had is in the picture too.
                if content.characterCount > (pages[index].isUndecipherable ? 40 : pages[index].characterCount) {
                    pages[index].lines = content.lines
                    pages[index].hasTypeSizes = false
                }
            case .failure(let refusal):
                switch refusal {
                case .unavailable, .timedOut:
                    builder.warn("page \(index + 1) was not recognised: \(refusal)")
                    return refusal
                default: break
                }
            }
        }
        return nil
    }

    /// A picture file.
    static func parse(_ input: ParseInput, mimeType: String, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard context.limits.isOCREnabled else { throw .unavailable("\(input.name) is a picture and text recognition is switched off") }
        guard ToolRunner.find("tesseract") != nil else {
            throw .unavailable("tesseract (Debian package tesseract-ocr); \(input.name) is a picture")
        }
        let pixels = ImageHeader.pixelCount(input.head)
        if let pixels, pixels > 100_000_000 {
            throw .tooLarge("\(input.name) has \(pixels) pixels, 100000000 are allowed; make it smaller")
        }
        let content = try recognise(input, scale: 72 / 300, context: context).get()
        var builder = context.builder
        var page = content
        page.hasTypeSizes = false
        _ = try PageLayout.write([page], to: &builder)
        guard !builder.isEmpty else { throw .empty("\(input.name): no text was recognised in the picture") }
        return builder.finish(title: nil, mimeType: mimeType, pageCount: 1, properties: ["ocr": "tesseract"])
    }

    private static func recognise(_ input: ParseInput, scale: Float, context: ParseContext) -> Result<PageContent, Refusal> {
        let output: ToolRunner.Output
        do {
            output = try ToolRunner.run(
                "tesseract", ["stdin", "stdout", "-l", context.limits.ocrLanguages, "tsv"], input: try input.fileDescriptor(),
                seconds: max(1, context.secondsLeft), outputLimit: context.limits.outputBytes)
        } catch let refusal as Refusal {
            return .failure(refusal)
        } catch {
            return .failure(.unavailable("tesseract cannot be started"))
        }
        if output.isTimedOut { return .failure(.timedOut(seconds: context.limits.seconds)) }
        if output.standardError.contains("Failed loading language") || output.standardError.contains("couldn't load any languages") {
            return .failure(.unavailable("tesseract's data for \(context.limits.ocrLanguages) (Debian packages tesseract-ocr-*)"))
        }
        guard output.status == 0 else {
            return .failure(.malformed("\(input.name) cannot be read as a picture"))
        }
        return .success(content(String(decoding: output.standardOutput, as: UTF8.self), scale: scale))
    }

    /// Reads tesseract's table: level, page, block, paragraph, line, word, left, top, width, height, confidence, text.
    private static func content(_ table: String, scale: Float) -> PageContent {
        var page = PageContent(width: 0, height: 0, hasTypeSizes: false)
        var line: (block: Int, number: Int)?
        var words: [PageContent.Word] = []
        var confidence: Float = 0
        var blocks: [Int: Int] = [:]
        func close() {
            // Specks and textures come out as words of no confidence.
            if !words.isEmpty, confidence / Float(words.count) >= 35, let line { page.lines.append(.init(words: words, block: line.block)) }
            words = []
            confidence = 0
        }
        for row in table.split(separator: "\n") {
            let fields = row.split(separator: "\t", maxSplits: 11, omittingEmptySubsequences: false)
            guard fields.count == 12, let level = Int(fields[0]) else { continue }
            let numbers = fields[6...9].map { (Float($0) ?? 0) * scale }
            if level == 1 {
                page.width = max(page.width, numbers[2])
                page.height = max(page.height, numbers[3])
            }
            guard level == 5, !fields[11].isBlank, let certainty = Float(fields[10]), certainty >= 0 else { continue }
            let key = ((Int(fields[1]) ?? 0) * 1000 + (Int(fields[2]) ?? 0)) * 1000 + (Int(fields[3]) ?? 0)
            let block = blocks[key] ?? blocks.count
            blocks[key] = block
            let number = Int(fields[4]) ?? 0
            if line == nil || line! != (block, number) {
                close()
                line = (block, number)
            }
            confidence += certainty
            words.append(
                .init(
                    xMin: numbers[0], yMin: numbers[1], xMax: numbers[0] + numbers[2], yMax: numbers[1] + numbers[3],
                    text: String(fields[11])))
        }
        close()
        return page
    }

    /// Whether a grey picture (PGM) is more than blank paper.
    private static func hasInk(_ picture: [UInt8]) -> Bool {
        guard picture.count > 1000 else { return false }
        var darkest: UInt8 = 255
        var brightest: UInt8 = 0
        for byte in picture[64...] {
            darkest = min(darkest, byte)
            brightest = max(brightest, byte)
        }
        return brightest &- darkest > 40
    }
}

/// The size that a picture claims in its header, to refuse a bomb before unpacking it.
enum ImageHeader {
    static func pixelCount(_ head: [UInt8]) -> Int? {
        func big32(_ offset: Int) -> Int { offset + 4 <= head.count ? head[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } : 0 }
        func little16(_ offset: Int) -> Int { offset + 2 <= head.count ? Int(head[offset]) | Int(head[offset + 1]) << 8 : 0 }
        if head.starts(with: [0x89, 0x50, 0x4E, 0x47]) { return big32(16).multipliedReportingOverflow(by: big32(20)).partialValue }
        if head.starts(with: "GIF8".utf8) { return little16(6) * little16(8) }
        if head.starts(with: "BM".utf8) { return abs(little16(18) | little16(20) << 16) * abs(little16(22) | little16(24) << 16) }
        if head.starts(with: [0xFF, 0xD8]) {
            var index = 2
            while index + 9 < head.count {
                guard head[index] == 0xFF else { return nil }
                let marker = head[index + 1]
                if (0xC0...0xCF).contains(marker), ![0xC4, 0xC8, 0xCC].contains(marker) {
                    return (Int(head[index + 5]) << 8 | Int(head[index + 6])) * (Int(head[index + 7]) << 8 | Int(head[index + 8]))
                }
                index += 2 + (Int(head[index + 2]) << 8 | Int(head[index + 3]))
            }
        }
        return nil
    }
}
