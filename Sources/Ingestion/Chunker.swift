// From structure to chunks.
//
// A chunk is one contiguous byte range of the extracted text, so a citation into it is exact. Blocks are cut into units that are kept whole:
//
//     heading        one unit, opens a section          list item    one unit
//     paragraph      its sentences                      table row    one unit; the header row is carried as context
//     code           its lines
//
// Units are packed greedily up to the token budget. A chunk closes early at a heading once it is a quarter full, so that sections stay together
// and small ones share a chunk. The next chunk starts again a few sentences earlier (the overlap), but never across a heading and never in a
// table. A text that needs n chunks is cut into n parts of about equal size rather than n - 1 full ones and a crumb. A unit that is larger than
// the budget (a page of text without a full stop) is cut at spaces, at last anywhere between characters.
//
// The work is linear in the text whatever it holds (a cell of 50 MB, a table of 200,000 columns, nothing but combining marks): all of it happens
// on one array of bytes with offsets, a tokenizer never gets more than a window of it, and what is carried as context has a bound. Units are made
// and packed in stretches, so that a text of millions of rows needs memory for some thousands.

package import Documents
package import Inference
package import Parsing
import Segmentation

/// Cuts a parsed document into chunks of about equal token counts along its structure.
package struct Chunker: Sendable {
    package let tokenizer: any Tokenizer
    /// Most tokens in a chunk's own text.
    package let maxTokens: Int
    /// Tokens repeated at the start of the next chunk.
    package let overlapTokens: Int

    /// Most bytes of a chunk for each of its tokens. To many tokenizers a word of any length, or white space, is one token or none.
    static let bytesPerToken = 16
    /// Most bytes of a table's header that its rows carry as context.
    static let headerSizeMax = 400
    /// Most bytes of a heading as context, and of all headings above a chunk together.
    static let headingSizeMax = 120
    static let pathSizeMax = 400

    /// - Parameters:
    ///   - maxTokens: Taken as the nearest number from 16 to 8192.
    ///   - overlapTokens: Taken as the nearest number from 0 to half of `maxTokens`.
    package init(tokenizer: any Tokenizer, maxTokens: Int, overlapTokens: Int) {
        self.tokenizer = tokenizer
        self.maxTokens = min(max(maxTokens, 16), 8192)
        self.overlapTokens = min(max(overlapTokens, 0), self.maxTokens / 2)
    }

    /// - Parameter checking: Called after every some ten thousand bytes of work; what it throws ends the work and is thrown on. This is how a caller
    ///   cancels, or sets a limit of time.
    /// - Returns: Chunks in text order; spans lie on character boundaries and cover all blocks.
    /// - Complexity: O(*bytes* + *blocks*).
    package func chunks(of document: ParsedDocument, checking: () throws -> Void) throws -> [ChunkDraft] {
        try withoutActuallyEscaping(checking) { checking in
            var cutter = Cutter(self, Array(document.text.utf8), checking)
            for block in document.blocks where !block.span.isEmpty { try cutter.add(block) }
            try cutter.finish()
            return cutter.drafts
        }
    }

    /// As above, to the end.
    package func chunks(of document: ParsedDocument) -> [ChunkDraft] { (try? chunks(of: document) {}) ?? [] }
}

/// One document on its way through the chunker.
private struct Cutter {
    private enum UnitKind { case heading, sentence, item, row, line }

    private struct Unit {
        var range: Range<Int>
        var tokens: Int
        var kind: UnitKind
        /// The pages on which it begins and ends.
        var page: Int?
        var lastPage: Int?
        /// Headings above, outermost first, joined by " > ".
        var path: String
        /// Header row of the table this row belongs to.
        var header: Range<Int>?
    }

    private(set) var drafts: [ChunkDraft] = []
    private let tokenizer: any Tokenizer
    private let maxTokens: Int
    private let overlapTokens: Int
    private let maxBytes: Int
    private let bytes: [UInt8]
    private let checking: () throws -> Void
    private var work = 0

    private var headings: [(level: Int, text: String)] = []
    private var path = ""
    /// Units of the stretch that is gathered, and their tokens.
    private var units: [Unit] = []
    private var tokenCount = 0
    /// A paragraph that may go on in the next block, with the pages on which its blocks begin.
    private var paragraph: (range: Range<Int>, pages: [(start: Int, page: Int?)])?
    private var lastHeader: (range: Range<Int>, text: String)?

    /// Units after which a stretch is packed although no heading came: the bound of what is kept in memory.
    private static let stretchCount = 4096
    /// Bytes of a paragraph that are cut into sentences at once.
    private static let paragraphWindow = 32 << 10
    /// Blocks that are read as one paragraph.
    private static let paragraphBlockCount = 64
    private static let workBetweenChecks = 64 << 10

    init(_ chunker: Chunker, _ bytes: [UInt8], _ checking: @escaping () throws -> Void) {
        tokenizer = chunker.tokenizer
        maxTokens = chunker.maxTokens
        overlapTokens = chunker.overlapTokens
        maxBytes = chunker.maxTokens * Chunker.bytesPerToken
        self.bytes = bytes
        self.checking = checking
    }

    /// Counts work and looks for a cancellation now and then.
    private mutating func tick(_ size: Int) throws {
        work += size + 64
        guard work > Self.workBetweenChecks else { return }
        work = 0
        try checking()
    }

    // MARK: Units

    mutating func add(_ block: Block) throws {
        let isText = block.kind == .paragraph || block.kind == .note
        if isText, let open = paragraph, continues(open.range, block.span), open.pages.count < Self.paragraphBlockCount {
            paragraph = (open.range.lowerBound..<block.span.upperBound, open.pages + [(block.span.lowerBound, block.page)])
            return
        }
        try endParagraph()
        switch block.kind {
        case .heading(let level):
            while let last = headings.last, last.level >= level { headings.removeLast() }
            path = joinedPath()
            try append(block.span, .heading, block.page)
            headings.append((level, headingText(block.span)))
            path = joinedPath()
        case .paragraph, .note: paragraph = (block.span, [(block.span.lowerBound, block.page)])
        case .listItem: try append(block.span, .item, block.page)
        case .tableRow(let header): try append(block.span, .row, block.page, header: header == block.span ? nil : header)
        case .code:
            var start = block.span.lowerBound
            for index in block.span where bytes[index] == UInt8(ascii: "\n") {
                try append(start..<index, .line, block.page)
                start = index + 1
            }
            try append(start..<block.span.upperBound, .line, block.page)
        }
    }

    mutating func finish() throws {
        try endParagraph()
        try pack()
    }

    /// Whether a block goes on where another ended: a paragraph that runs over the end of a page is two blocks with but a space between them.
    private func continues(_ range: Range<Int>, _ next: Range<Int>) -> Bool {
        next.lowerBound - range.upperBound == 1 && bytes[range.upperBound] == UInt8(ascii: " ")
    }

    private mutating func endParagraph() throws {
        guard let (range, pages) = paragraph else { return }
        paragraph = nil
        try appendSentences(of: range, pages)
    }

    private mutating func append(
        _ range: Range<Int>, _ kind: UnitKind, _ page: Int?, lastPage: Int? = nil, header: Range<Int>? = nil
    ) throws {
        try tick(range.count)
        guard let range = trimmed(range) else { return }
        var unit = Unit(range: range, tokens: 0, kind: kind, page: page, lastPage: lastPage ?? page, path: path, header: header)
        if range.count <= maxBytes {
            unit.tokens = tokenizer.count(text(range))
            if unit.tokens <= maxTokens { return try append(unit) }
        }
        try split(unit)
    }

    private mutating func append(_ unit: Unit) throws {
        // A stretch ends at the next heading after which it is at least a quarter of a chunk.
        let isFull = unit.kind == .heading && tokenCount >= maxTokens / 4 && units.last.map { $0.kind != .heading } ?? false
        if isFull || units.count >= Self.stretchCount { try pack() }
        units.append(unit)
        tokenCount += unit.tokens
    }

    /// A paragraph's sentences; those of a long one window by window, as the splitter needs many times the bytes it is given.
    private mutating func appendSentences(of range: Range<Int>, _ pages: [(start: Int, page: Int?)]) throws {
        func page(_ offset: Int) -> Int? { pages.last { $0.start <= offset }?.page }
        var rest = range
        while rest.count > Self.paragraphWindow {
            var end = characterStart(atOrBefore: rest.lowerBound + Self.paragraphWindow)
            if let space = bytes[(rest.lowerBound + Self.paragraphWindow / 2)..<end].lastIndex(where: { $0 <= 32 }) { end = space }
            var sentences = Sentences.split(bytes, rest.lowerBound..<end)
            try tick(end - rest.lowerBound)
            // The last one may go on after the window.
            if sentences.count > 1, let last = sentences.last, last.lowerBound > rest.lowerBound + Self.paragraphWindow / 4 {
                sentences.removeLast()
                end = last.lowerBound
            }
            for sentence in sentences {
                try append(sentence, .sentence, page(sentence.lowerBound), lastPage: page(sentence.upperBound - 1))
            }
            rest = end..<range.upperBound
        }
        for sentence in Sentences.split(bytes, rest) {
            try append(sentence, .sentence, page(sentence.lowerBound), lastPage: page(sentence.upperBound - 1))
        }
    }

    /// Cuts a unit that is larger than a chunk into pieces of about equal size: at the last space that fits, else between characters.
    private mutating func split(_ unit: Unit) throws {
        var limit = maxTokens
        if unit.range.count <= 64 * maxBytes {
            let tokens = unit.tokens > 0 ? unit.tokens : tokenizer.count(text(unit.range))
            let count = max(1, (tokens + maxTokens - 1) / maxTokens)
            limit = min(maxTokens, (tokens + count - 1) / count + 8)
        }
        var rest = unit.range
        while let current = trimmed(rest) {
            let cut = fittingEnd(of: current, limit: limit)
            var piece = unit
            piece.range = current.lowerBound..<cut
            piece.tokens = tokenizer.count(text(piece.range))
            try tick(piece.range.count)
            try append(piece)
            rest = cut..<current.upperBound
        }
    }

    /// Where to cut a text that may be far larger than a chunk; its end when all of it fits.
    private func fittingEnd(of range: Range<Int>, limit: Int) -> Int {
        let most = min(range.count, maxBytes)
        var size = min(most, max(64, 8 * limit))
        var cut = range.upperBound
        // What fits is mostly found in the first window; texts of rare tokens need larger ones.
        while true {
            let end = characterStart(atOrBefore: range.lowerBound + size)
            cut = range.lowerBound + tokenizer.prefixLength(text(range.lowerBound..<end), limit: limit)
            if cut < end || size == most { break }
            size = min(most, size * 2)
        }
        if cut >= range.upperBound { return range.upperBound }
        if cut == range.lowerBound { return characterEnd(after: cut) }
        let half = range.lowerBound + (cut - range.lowerBound) / 2
        if let space = bytes[range.lowerBound..<cut].lastIndex(where: { $0 <= 32 }), space > half { return space }
        // Marks stay with the letter they stand on, unless there are more of them than belong to any.
        var start = cut
        while start > half, cut - start < 64, extendsCharacter(at: start) { start = characterStart(atOrBefore: start - 1) }
        return start > half && cut - start < 64 ? start : cut
    }

    /// Whether the scalar at an offset belongs to the character before it: a combining mark, a joiner, a selector, or what a joiner joins.
    private func extendsCharacter(at offset: Int) -> Bool {
        guard bytes[offset] >= 0x80 else { return false }
        let end = characterEnd(after: offset)
        let before = max(0, offset - 3)
        if bytes[before..<offset].elementsEqual([0xE2, 0x80, 0x8D]) { return true }
        guard let scalar = String(decoding: bytes[offset..<end], as: UTF8.self).unicodeScalars.first else { return false }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .spacingMark: return true
        default: return scalar.value == 0x200D || (0xFE00...0xFE0F).contains(scalar.value) || (0x1F3FB...0x1F3FF).contains(scalar.value)
        }
    }

    // MARK: Bytes

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    private func trimmed(_ range: Range<Int>) -> Range<Int>? {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high, bytes[low] <= 32 { low += 1 }
        while high > low, bytes[high - 1] <= 32 { high -= 1 }
        return low < high ? low..<high : nil
    }

    private func characterStart(atOrBefore offset: Int) -> Int {
        var offset = min(offset, bytes.count)
        while offset > 0, offset < bytes.count, bytes[offset] & 0xC0 == 0x80 { offset -= 1 }
        return offset
    }

    private func characterEnd(after offset: Int) -> Int {
        var offset = offset + 1
        while offset < bytes.count, bytes[offset] & 0xC0 == 0x80 { offset += 1 }
        return min(offset, bytes.count)
    }

    // MARK: Context

    /// The beginning of a stretch in one line, at most so many bytes.
    private func line(_ range: Range<Int>, sizeMax: Int) -> String {
        let end = range.count > 4 * sizeMax ? characterStart(atOrBefore: range.lowerBound + 4 * sizeMax) : range.upperBound
        let joined = text(range.lowerBound..<end).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        if end == range.upperBound, joined.utf8.count <= sizeMax { return joined }
        var kept = String.UnicodeScalarView()
        var size = 3
        for scalar in joined.unicodeScalars {
            size += UTF8.width(scalar)
            if size > sizeMax { break }
            kept.append(scalar)
        }
        return String(kept) + "…"
    }

    private func headingText(_ range: Range<Int>) -> String { line(range, sizeMax: Chunker.headingSizeMax) }

    /// The headings above joined; of a very deep nest the inner ones.
    private func joinedPath() -> String {
        var parts: [String] = []
        var size = 0
        for heading in headings.reversed() {
            size += heading.text.utf8.count + 3
            if size > Chunker.pathSizeMax, !parts.isEmpty { break }
            parts.append(heading.text)
        }
        return parts.reversed().joined(separator: " > ")
    }

    /// A header row as the context of its table's rows: as many of its bytes as leave most of the model's input to the rows.
    private mutating func headerText(_ range: Range<Int>) -> String {
        if let lastHeader, lastHeader.range == range { return lastHeader.text }
        let text = line(range, sizeMax: min(Chunker.headerSizeMax, maxTokens * 4))
        lastHeader = (range, text)
        return text
    }

    // MARK: Packing

    /// Makes chunks of the units that were gathered.
    private mutating func pack() throws {
        let total = tokenCount
        var consumed = 0  // tokens of all units before `counted`
        var counted = 0
        // Equal parts: the overlap is paid in each part but the first.
        let step = maxTokens - overlapTokens
        let parts = total <= maxTokens ? 1 : 1 + (total - maxTokens + step - 1) / step
        let budget = parts == 1 ? maxTokens : min(maxTokens, (total + (parts - 1) * overlapTokens + parts - 1) / parts + 8)
        var start = 0
        /// Units before this one are in a chunk already; each chunk takes at least one more.
        var covered = start
        while covered < units.count {
            var end = start
            var tokens = 0
            while end < units.count, end <= covered || tokens + units[end].tokens <= budget && size(start, end + 1) <= maxBytes {
                tokens += units[end].tokens
                end += 1
            }
            // A crumb at the end joins the chunk before it where it fits.
            while counted < end {
                consumed += units[counted].tokens
                counted += 1
            }
            let left = total - consumed
            if left > 0, left < maxTokens / 6, tokens + left <= maxTokens, size(start, units.count) <= maxBytes {
                tokens += left
                end = units.count
            }
            // A heading at the end belongs to what follows.
            while end < units.count, end - 1 > covered, units[end - 1].kind == .heading {
                end -= 1
                tokens -= units[end].tokens
            }
            try tick(16 * (end - start))
            addDraft(start..<end, tokens)
            covered = end
            if end < units.count { start = overlapStart(start, end, room: budget - units[end].tokens) }
        }
        units.removeAll(keepingCapacity: true)
        tokenCount = 0
    }

    /// Bytes from the beginning of one unit to the end of the one before another.
    private func size(_ start: Int, _ end: Int) -> Int { units[end - 1].range.upperBound - units[start].range.lowerBound }

    /// Where the next chunk starts so that it repeats at most `overlapTokens`, and no more than leaves room for the unit that comes next.
    private func overlapStart(_ start: Int, _ end: Int, room: Int) -> Int {
        var index = end
        var tokens = 0
        while index > start + 1 {
            let unit = units[index - 1]
            guard unit.kind == .sentence || unit.kind == .item || unit.kind == .line, tokens + unit.tokens <= min(overlapTokens, room),
                size(index - 1, end) <= overlapTokens * Chunker.bytesPerToken
            else { break }
            tokens += unit.tokens
            index -= 1
        }
        return index
    }

    private mutating func addDraft(_ range: Range<Int>, _ tokens: Int) {
        let first = units[range.lowerBound]
        let last = units[range.upperBound - 1]
        var heading = first.path
        // Rows whose header row lies outside the chunk carry it as context.
        if let header = units[range].lazy.compactMap(\.header).first, header.lowerBound < first.range.lowerBound {
            let text = headerText(header)
            heading = heading.isEmpty ? text : heading + " > " + text
        }
        drafts.append(
            ChunkDraft(
                span: TextSpan(start: first.range.lowerBound, end: last.range.upperBound), page: first.page,
                lastPage: last.lastPage ?? first.page, heading: heading, tokenCount: tokens))
    }
}
