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
        guard let header = PictureHeader(input), header.pages.count > 1 || header.pages[0].pixelCount > 0 else {
            throw .malformed("\(input.name) does not say how large the picture is")
        }
        var builder = context.builder
        let pages =
            try header.pages.count == 1 ? [recognisePicture(input, header, context)] : recognisePages(input, header, context, &builder)
        _ = try PageLayout.write(pages, to: &builder)
        guard !builder.isEmpty else { throw .empty("\(input.name): no text was recognised in the picture") }
        return builder.finish(
            title: nil, mimeType: mimeType, pageCount: header.pages.count, properties: ["ocr": "tesseract"])
    }

    /// Pixels of one picture; a page of A0 at 300 dots per inch has 140 million, one of A1 70.
    static let pixelLimit = 100_000_000
    /// Pages of one picture file.
    static let pageLimit = 500

    private static func recognisePicture(
        _ input: ParseInput, _ header: PictureHeader, _ context: ParseContext
    ) throws(Refusal) -> PageContent {
        let size = header.pages[0]
        guard size.pixelCount <= pixelLimit else {
            throw .tooLarge("\(input.name) has \(size.width) × \(size.height) pixels, \(pixelLimit) are allowed; make it smaller")
        }
        var page = try recognise(input, scale: 72 / 300, context: context).get()
        page.hasTypeSizes = false
        return page
    }

    /// The pages of a TIFF, one by one until they or the time are used up; says which were left out.
    private static func recognisePages(
        _ input: ParseInput, _ header: PictureHeader, _ context: ParseContext, _ builder: inout DocumentBuilder
    ) throws(Refusal) -> [PageContent] {
        let total = header.isCut ? "more than \(header.pages.count)" : "\(header.pages.count)"
        var pages: [PageContent] = []
        var readCount = 0
        var refusal: Refusal?
        for (index, size) in header.pages.enumerated() {
            guard index < pageLimit else {
                builder.warn("only the first \(index) of \(total) pages were read, more are not taken from one picture file; split it")
                break
            }
            guard size.pixelCount <= pixelLimit else {
                let reason = "page \(index + 1) has \(size.width) × \(size.height) pixels, \(pixelLimit) are allowed"
                builder.warn(reason + "; it was left out")
                refusal = .tooLarge("\(input.name): \(reason); make it smaller")
                pages.append(PageContent(width: 0, height: 0, hasTypeSizes: false))
                continue
            }
            var result: Result<PageContent, Refusal> = .failure(.timedOut(seconds: context.limits.seconds))
            if size.pixelCount == 0 {
                result = .failure(.malformed("\(input.name) does not say how large its page \(index + 1) is"))
            } else if context.secondsLeft > 1 {
                result = recognise(input, page: index, scale: 72 / 300, context: context)
            }
            switch result {
            case .success(var page):
                page.hasTypeSizes = false
                pages.append(page)
                readCount += 1
            case .failure(.timedOut):
                guard readCount > 0 else { throw .timedOut(seconds: context.limits.seconds) }
                builder.warn(
                    "only the first \(index) of \(total) pages were read in \(Int(context.limits.seconds)) s; raise --parse-timeout or split the file"
                )
                return pages
            case .failure(let reason):
                if case .unavailable = reason { throw reason }
                builder.warn("page \(index + 1) cannot be read as a picture")
                refusal = reason
                pages.append(PageContent(width: 0, height: 0, hasTypeSizes: false))
            }
        }
        if readCount == 0, let refusal { throw refusal }
        return pages
    }

    /// - Parameter page: Counted from zero; of a file with more than one.
    private static func recognise(
        _ input: ParseInput, page: Int? = nil, scale: Float, context: ParseContext
    ) -> Result<PageContent, Refusal> {
        let output: ToolRunner.Output
        let choice = page.map { ["-c", "tessedit_page_number=\($0)"] } ?? []
        do {
            output = try ToolRunner.run(
                "tesseract", ["stdin", "stdout", "-l", context.limits.ocrLanguages] + choice + ["tsv"], input: try input.fileDescriptor(),
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
        // A page that its library cannot decode ends it well too, with a heading and no row: not even that of the page.
        guard output.status == 0, output.standardOutput.split(separator: 0x0A, maxSplits: 2).count > 1 else {
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
