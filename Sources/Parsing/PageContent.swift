/// Words on a page as a layout program or a text recogniser reports them; coordinates in points, the origin at the top left.
struct PageContent {
    struct Word {
        var xMin: Float
        var yMin: Float
        var xMax: Float
        var yMax: Float
        var text: String
        var height: Float { yMax - yMin }
    }
    struct Line {
        let words: [Word]
        /// Lines of one block belong together: a column's paragraph, a cell.
        var block: Int
        let xMin: Float
        let xMax: Float
        /// The middle one of the words' heights.
        let height: Float
        /// A label with its value, or boxes that can be ticked: a line that belongs to no paragraph and no table.
        var isForm = false

        /// - Precondition: There are words.
        init(words: [Word], block: Int) {
            precondition(!words.isEmpty, "a line without words")
            self.words = words
            self.block = block
            var left = words[0].xMin
            var right = words[0].xMax
            var heights: [Float] = []
            heights.reserveCapacity(words.count)
            for word in words {
                left = min(left, word.xMin)
                right = max(right, word.xMax)
                heights.append(word.height)
            }
            xMin = left
            xMax = right
            heights.sort()
            height = heights[heights.count / 2]
        }

        /// The same line with other words, as many at least.
        func with(_ words: [Word]) -> Line {
            var line = Line(words: words, block: block)
            line.isForm = isForm
            return line
        }

        var text: String {
            var text = words[0].text
            for word in words.dropFirst() {
                text += " "
                text += word.text
            }
            return text
        }
    }
    var width: Float
    var height: Float
    /// In reading order.
    var lines: [Line] = []
    /// The text in the order of the file, for a page whose geometry says nothing: lettering at an angle.
    var unplacedText: String?
    /// Whether heights say something about type size; a recogniser's boxes do not.
    var hasTypeSizes = true
    /// The lines that are drawn on it, where they were looked for.
    var rules = PageRules()

    /// Whether the layout program was led astray by lettering at an angle: the words of most lines do not stand at one height.
    var isSkewed: Bool {
        var lineCount = 0
        var slopedCount = 0
        for line in lines where line.words.count >= 3 {
            lineCount += 1
            let middles = line.words.map { ($0.yMin + $0.yMax) / 2 }
            // Words rise or sink steadily along a sloped line; superscripts go up and come down again.
            let drop = middles[middles.count - 1] - middles[0]
            let steps = zip(middles, middles.dropFirst()).count { ($1 - $0) * drop > 0 }
            if abs(drop) > line.height * 0.25, steps * 4 >= (middles.count - 1) * 3 { slopedCount += 1 }
        }
        return lineCount >= 8 && slopedCount * 10 > lineCount * 6
    }

    /// Whether most of the text is in characters that no script uses: the font says nothing about which letters its glyphs are.
    var isUndecipherable: Bool {
        var strange = 0
        var total = 0
        for line in lines {
            for word in line.words {
                for scalar in word.text.unicodeScalars {
                    total += 1
                    switch scalar.value {
                    case 0xE000...0xF8FF, 0xF0000...0x10FFFF, 0xFFFD, 0..<0x20, 0x7F..<0xA0: strange += 1
                    default: break
                    }
                }
            }
        }
        return total >= 40 && strange * 10 > total * 3
    }

    var characterCount: Int { lines.reduce(0) { $0 + $1.words.reduce(0) { $0 + $1.text.utf8.count } } }
}

/// Reads what `pdftotext -bbox-layout` writes, as it arrives.
///
/// The program writes one element a line, which makes a scanner of lines enough:
///
///     <page width="612.000000" height="792.000000">
///       <flow><block xMin=...><line xMin=...>
///         <word xMin="18.2" yMin="163.5" xMax="54.6" yMax="171.6">Mark</word>
struct LayoutScanner {
    private(set) var pages: [PageContent] = []
    private(set) var title: String?
    private(set) var properties: [String: String] = [:]
    private(set) var wordBytes = 0
    private var rest: [UInt8] = []
    private var block = 0
    private var words: [PageContent.Word] = []

    mutating func consume(_ chunk: ArraySlice<UInt8>) {
        rest.append(contentsOf: chunk)
        var start = 0
        while let end = rest[start...].firstIndex(of: 0x0A) {
            line(rest[start..<end])
            start = end + 1
        }
        rest.removeFirst(start)
    }

    private mutating func line(_ line: ArraySlice<UInt8>) {
        guard let open = line.firstIndex(where: { $0 != 0x20 }), line[open] == 0x3C, open + 2 < line.endIndex else { return }
        let tag = line[open + 1]
        let body = line[(open + 1)...]
        switch tag {
        case UInt8(ascii: "w"):
            guard body.starts(with: "word ".utf8), let close = body.firstIndex(of: 0x3E) else { return }
            let numbers = Self.numbers(body[..<close])
            guard numbers.count == 4, let end = body.lastIndex(of: 0x3C), end > close else { return }
            let text = WordRepair.plain(Self.unescaped(body[(close + 1)..<end]))
            guard !text.isBlank else { return }
            wordBytes += text.utf8.count
            let number = (numbers[0], numbers[1], numbers[2], numbers[3])
            // Bold made by printing twice, a little apart.
            if let last = words.last, last.text == text, abs(last.xMin - number.0) < last.height * 0.12,
                abs(last.yMin - number.1) < last.height * 0.12
            {
                return
            }
            words.append(.init(xMin: numbers[0], yMin: numbers[1], xMax: numbers[2], yMax: numbers[3], text: text))
        case UInt8(ascii: "l"):
            words = []
        case UInt8(ascii: "b"):
            if body.starts(with: "block ".utf8) { block += 1 }
        case UInt8(ascii: "p"):
            guard body.starts(with: "page ".utf8) else { return }
            let numbers = Self.numbers(body)
            pages.append(PageContent(width: numbers.first ?? 612, height: numbers.count > 1 ? numbers[1] : 792))
        case UInt8(ascii: "/"):
            if body.starts(with: "/line".utf8), !words.isEmpty, !pages.isEmpty {
                pages[pages.count - 1].lines.append(.init(words: WordRepair.repaired(words), block: block))
                words = []
            }
        case UInt8(ascii: "t"):
            guard body.starts(with: "title>".utf8), let end = body.lastIndex(of: 0x3C) else { return }
            let text = Self.unescaped(body[(body.startIndex + 6)..<max(end, body.startIndex + 6)]).trimmed
            if !text.isEmpty { title = text }
        case UInt8(ascii: "m"):
            let parts = body.split(separator: 0x22, omittingEmptySubsequences: false)
            guard parts.count >= 4 else { return }
            let value = Self.unescaped(parts[3]).trimmed
            let names = [
                "Author": "author", "Subject": "subject", "Keywords": "keywords", "CreationDate": "created", "ModDate": "modified",
                "Creator": "creator", "Producer": "producer",
            ]
            if let name = names[String(decoding: parts[1], as: UTF8.self)], !value.isEmpty { properties[name] = value }
        default: break
        }
    }

    /// The values of attributes that are numbers, in order.
    private static func numbers(_ bytes: ArraySlice<UInt8>) -> [Float] {
        var result: [Float] = []
        result.reserveCapacity(4)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == 0x22 else {
                index += 1
                continue
            }
            index += 1
            var value: Double = 0
            var scale: Double = 0
            var isNegative = false
            while index < bytes.endIndex, bytes[index] != 0x22 {
                switch bytes[index] {
                case 0x2D: isNegative = true
                case 0x2E: scale = 1
                case 0x30...0x39:
                    value = value * 10 + Double(bytes[index] - 0x30)
                    scale *= 10
                default: break
                }
                index += 1
            }
            index += 1
            if scale > 1 { value /= scale }
            // A page may claim any size; keep arithmetic on it harmless.
            result.append(Float(min(1e6, max(-1e6, isNegative ? -value : value))))
        }
        return result
    }

    static func unescaped(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.utf8.contains(0x26) else { return text }
        return text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"").replacing("&apos;", with: "'")
            .replacing("&#39;", with: "'").replacing("&amp;", with: "&")
    }
}
