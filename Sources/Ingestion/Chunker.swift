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

import Documents
import Inference
import Parsing
import Segmentation

/// Cuts a parsed document into chunks of about equal token counts along its structure.
package struct Chunker: Sendable {
    package var tokenizer: any Tokenizer
    /// Most tokens in a chunk's own text.
    package var maxTokens: Int
    /// Tokens repeated at the start of the next chunk.
    package var overlapTokens: Int

    package init(tokenizer: any Tokenizer, maxTokens: Int, overlapTokens: Int) {
        precondition(
            maxTokens >= 16 && overlapTokens >= 0 && overlapTokens * 2 <= maxTokens,
            "chunk of \(maxTokens) tokens, overlap \(overlapTokens)")
        self.tokenizer = tokenizer
        self.maxTokens = maxTokens
        self.overlapTokens = overlapTokens
    }

    private enum UnitKind { case heading, sentence, item, row, line }

    private struct Unit {
        var range: Range<Int>
        var tokens: Int
        var kind: UnitKind
        var page: Int?
        /// Headings above, outermost first, joined by " > ".
        var path: String
        /// Header row of the table this row belongs to.
        var header: Range<Int>?
    }

    /// - Returns: Chunks in text order; spans lie on character boundaries and cover all blocks.
    package func chunks(of document: ParsedDocument) -> [ChunkDraft] {
        let bytes = Array(document.text.utf8)
        let units = units(of: document, bytes)
        var drafts: [ChunkDraft] = []
        var start = 0
        while start < units.count {
            let end = sectionEnd(units, from: start)
            pack(units[start..<end], bytes, into: &drafts)
            start = end
        }
        return drafts
    }

    // MARK: Units

    private func units(of document: ParsedDocument, _ bytes: [UInt8]) -> [Unit] {
        var units: [Unit] = []
        var headings: [(level: Int, text: String)] = []
        for block in document.blocks where !block.span.isEmpty {
            let path = headings.map(\.text).joined(separator: " > ")
            func append(_ range: Range<Int>, _ kind: UnitKind, header: Range<Int>? = nil, path: String) {
                guard let range = trimmed(range, bytes) else { return }
                let text = String(decoding: bytes[range], as: UTF8.self)
                let tokens = tokenizer.count(text)
                guard tokens > maxTokens else {
                    units.append(Unit(range: range, tokens: tokens, kind: kind, page: block.page, path: path, header: header))
                    return
                }
                for piece in split(range, tokens, bytes) {
                    units.append(Unit(range: piece.range, tokens: piece.tokens, kind: kind, page: block.page, path: path, header: header))
                }
            }
            switch block.kind {
            case .heading(let level):
                while let last = headings.last, last.level >= level { headings.removeLast() }
                append(block.span, .heading, path: headings.map(\.text).joined(separator: " > "))
                headings.append((level, headingText(block.span, bytes)))
            case .paragraph, .note:
                for range in Sentences.split(bytes, block.span) { append(range, .sentence, path: path) }
            case .listItem: append(block.span, .item, path: path)
            case .tableRow(let header): append(block.span, .row, header: header == block.span ? nil : header, path: path)
            case .code: for range in lines(block.span, bytes) { append(range, .line, path: path) }
            }
        }
        return units
    }

    /// A heading as context: one line, at most 120 bytes.
    private func headingText(_ range: Range<Int>, _ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes[range], as: UTF8.self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.utf8.count <= 120 ? text : String(text.prefix(100)) + "…"
    }

    private func lines(_ range: Range<Int>, _ bytes: [UInt8]) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var start = range.lowerBound
        for index in range where bytes[index] == UInt8(ascii: "\n") {
            result.append(start..<index)
            start = index + 1
        }
        result.append(start..<range.upperBound)
        return result
    }

    private func trimmed(_ range: Range<Int>, _ bytes: [UInt8]) -> Range<Int>? {
        var low = range.lowerBound
        var high = range.upperBound
        while low < high, bytes[low] <= 32 { low += 1 }
        while high > low, bytes[high - 1] <= 32 { high -= 1 }
        return low < high ? low..<high : nil
    }

    /// Cuts a unit that is larger than a chunk into pieces of about equal size: at the last space that fits, else between characters.
    private func split(_ range: Range<Int>, _ tokens: Int, _ bytes: [UInt8]) -> [(range: Range<Int>, tokens: Int)] {
        let count = (tokens + maxTokens - 1) / maxTokens
        let limit = min(maxTokens, (tokens + count - 1) / count + 8)
        var pieces: [(Range<Int>, Int)] = []
        var rest = range
        while let current = trimmed(rest, bytes) {
            let text = String(decoding: bytes[current], as: UTF8.self)
            var length = tokenizer.prefixLength(text, limit: limit)
            if length >= current.count {
                pieces.append((current, tokenizer.count(text)))
                break
            }
            if length == 0 { length = text.first.map { $0.utf8.count } ?? current.count }
            var cut = current.lowerBound + length
            if let space = bytes[current.lowerBound..<cut].lastIndex(where: { $0 <= 32 }), space > current.lowerBound + length / 2 {
                cut = space
            }
            let piece = current.lowerBound..<cut
            pieces.append((piece, tokenizer.count(String(decoding: bytes[piece], as: UTF8.self))))
            rest = cut..<current.upperBound
        }
        return pieces
    }

    // MARK: Packing

    /// End of the stretch that is packed together: the next heading after which the stretch is at least a quarter of a chunk.
    private func sectionEnd(_ units: [Unit], from start: Int) -> Int {
        var tokens = 0
        for index in start..<units.count {
            if units[index].kind == .heading, tokens >= maxTokens / 4, index > start, units[index - 1].kind != .heading { return index }
            tokens += units[index].tokens
        }
        return units.count
    }

    private func pack(_ units: ArraySlice<Unit>, _ bytes: [UInt8], into drafts: inout [ChunkDraft]) {
        let total = units.reduce(0) { $0 + $1.tokens }
        var consumed = 0  // tokens of all units before `counted`
        var counted = units.startIndex
        // Equal parts: the overlap is paid in each part but the first.
        let step = maxTokens - overlapTokens
        let parts = total <= maxTokens ? 1 : 1 + (total - maxTokens + step - 1) / step
        let budget = parts == 1 ? maxTokens : min(maxTokens, (total + (parts - 1) * overlapTokens + parts - 1) / parts + 8)
        var start = units.startIndex
        /// Units before this one are in a chunk already; each chunk takes at least one more.
        var covered = start
        while covered < units.endIndex {
            var end = start
            var tokens = 0
            while end < units.endIndex, end <= covered || tokens + units[end].tokens <= budget {
                tokens += units[end].tokens
                end += 1
            }
            // A crumb at the end joins the chunk before it where it fits.
            while counted < end {
                consumed += units[counted].tokens
                counted += 1
            }
            let left = total - consumed
            if left > 0, left < maxTokens / 6, tokens + left <= maxTokens {
                tokens += left
                end = units.endIndex
            }
            // A heading at the end belongs to what follows.
            while end < units.endIndex, end - 1 > covered, units[end - 1].kind == .heading {
                end -= 1
                tokens -= units[end].tokens
            }
            drafts.append(draft(units[start..<end], tokens, bytes))
            covered = end
            if end < units.endIndex { start = overlapStart(units, start, end, room: budget - units[end].tokens) }
        }
    }

    /// Where the next chunk starts so that it repeats at most `overlapTokens`, and no more than leaves room for the unit that comes next.
    private func overlapStart(_ units: ArraySlice<Unit>, _ start: Int, _ end: Int, room: Int) -> Int {
        var index = end
        var tokens = 0
        while index > start + 1 {
            let unit = units[index - 1]
            guard unit.kind == .sentence || unit.kind == .item || unit.kind == .line, tokens + unit.tokens <= min(overlapTokens, room)
            else { break }
            tokens += unit.tokens
            index -= 1
        }
        return index
    }

    private func draft(_ units: ArraySlice<Unit>, _ tokens: Int, _ bytes: [UInt8]) -> ChunkDraft {
        let first = units.first!
        var heading = first.path
        // Rows whose header row lies outside the chunk carry it as context.
        if let header = units.lazy.compactMap(\.header).first, header.lowerBound < first.range.lowerBound {
            let text = headingText(header, bytes)
            heading = heading.isEmpty ? text : heading + " > " + text
        }
        return ChunkDraft(
            span: TextSpan(start: first.range.lowerBound, end: units.last!.range.upperBound), page: first.page, heading: heading,
            tokenCount: tokens)
    }
}
