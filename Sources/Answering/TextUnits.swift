// What can be quoted: sentences, list items, table rows and blocks of code, each a byte range of the text it stands in.
//
//     text -> lines -> blocks -> units
//
//     ```...```                     code      one unit, kept whole up to a limit
//     | a | b |  or  a TAB b        row       one unit; the table's first row is its context
//     - item, 2. item, (a) item     item      one unit, split into sentences when long; the line before the list is its context
//     # Heading, or a short line    heading   context only: never an answer by itself
//     anything else                 sentences lines are joined first, since PDFs break lines anywhere
//
// A full stop ends a sentence unless it belongs to an abbreviation, an initial, an ordinal or a number. Both running text and tokenised text
// (`in 1990 . He`) are understood, and the full stops of Chinese, Japanese, Arabic, Urdu and Hindi.

import Segmentation

/// A stretch of a text that makes sense by itself.
struct TextUnit: Sendable, Equatable {
    enum Kind: Sendable { case sentence, item, row, code, heading }
    var kind: Kind
    /// UTF-8 byte offsets in the text.
    var range: Range<Int>
    /// The header row or the list's lead-in, when it lies in the same text.
    var context: Range<Int>?
    /// Counts blocks: sentences of one paragraph share a number.
    var block: Int
}

enum TextUnits {
    private static let codeSizeMax = 1500
    private static let itemSizeMax = 400
    private static let sentenceSizeMax = 700

    /// Cuts a text into units, in order. Ranges do not overlap, lie on character boundaries and are trimmed of white space.
    ///
    /// - Complexity: O(*bytes*).
    static func units(in text: [UInt8]) -> [TextUnit] {
        var splitter = BlockSplitter(bytes: text)
        return splitter.run()
    }

    // MARK: - Blocks

    private struct BlockSplitter {
        let bytes: [UInt8]
        var units: [TextUnit] = []
        var block = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func run() -> [TextUnit] {
            let lines = splitLines()
            var index = 0
            while index < lines.count {
                let line = lines[index]
                if trimmed(line).isEmpty {
                    index += 1
                } else if isFence(line) {
                    var end = index + 1
                    while end < lines.count, !isFence(lines[end]) { end += 1 }
                    let last = min(end, lines.count - 1)
                    addCode(lines, index...last)
                    index = last + 1
                } else if isRow(line), index + 1 < lines.count, isRow(lines[index + 1]) {
                    var end = index
                    while end < lines.count, isRow(lines[end]) { end += 1 }
                    addTable(lines[index..<end])
                    index = end
                } else if isItem(line) {
                    index = addList(lines, index)
                } else if isHeading(lines, index) {
                    block += 1
                    units.append(TextUnit(kind: .heading, range: trimmed(line), context: nil, block: block))
                    index += 1
                } else {
                    var end = index + 1
                    while end < lines.count, !trimmed(lines[end]).isEmpty, !isFence(lines[end]), !isItem(lines[end]), !isRow(lines[end]) {
                        end += 1
                    }
                    block += 1
                    addSentences(lines[index].lowerBound..<lines[end - 1].upperBound, kind: .sentence, context: nil)
                    index = end
                }
            }
            return units
        }

        private func splitLines() -> [Range<Int>] {
            var lines: [Range<Int>] = []
            var start = 0
            for index in bytes.indices where bytes[index] == 0x0A || bytes[index] == 0x0C {
                lines.append(start..<index)
                start = index + 1
            }
            lines.append(start..<bytes.count)
            return lines
        }

        private func trimmed(_ range: Range<Int>) -> Range<Int> {
            var low = range.lowerBound
            var high = range.upperBound
            while low < high, bytes[low] <= 0x20 { low += 1 }
            while high > low, bytes[high - 1] <= 0x20 { high -= 1 }
            return low..<high
        }

        private func isFence(_ line: Range<Int>) -> Bool {
            let line = trimmed(line)
            return line.count >= 3 && (bytes[line].starts(with: "```".utf8) || bytes[line].starts(with: "~~~".utf8))
        }

        private func isRow(_ line: Range<Int>) -> Bool {
            let line = trimmed(line)
            guard line.count >= 3 else { return false }
            let tabs = bytes[line].count { $0 == 0x09 }
            let bars = bytes[line].count { $0 == UInt8(ascii: "|") }
            return tabs >= 1
                || (bytes[line.lowerBound] == UInt8(ascii: "|")
                    ? bars >= 2 : bars >= 1 && bytes[line].contains(0x20) && bars * 60 > line.count)
        }

        /// A Markdown rule between header and rows.
        private func isRule(_ line: Range<Int>) -> Bool {
            bytes[trimmed(line)].allSatisfy { "|-:+= \t".utf8.contains($0) }
        }

        private func isItem(_ line: Range<Int>) -> Bool {
            let line = trimmed(line)
            guard line.count >= 3 else { return false }
            let text = bytes[line]
            var index = line.lowerBound
            if "-*+".utf8.contains(text[index]) { return text[index + 1] == 0x20 || text[index + 1] == 0x09 }
            if text.starts(with: "•".utf8) || text.starts(with: "‣".utf8) || text.starts(with: "◦".utf8) || text.starts(with: "▪".utf8) {
                return true
            }
            if text[index] == UInt8(ascii: "(") { index += 1 }
            let start = index
            while index < line.upperBound, index - start < 3, isDigit(text[index]) { index += 1 }
            if index == start, index < line.upperBound, isLetter(text[index]) { index += 1 }
            guard index > start, index + 1 < line.upperBound else { return false }
            let isLetterLabel = isLetter(text[start])
            let closes = text[index] == UInt8(ascii: ")") || (text[index] == UInt8(ascii: ".") && !isLetterLabel)
            return closes && (text[index + 1] == 0x20 || text[index + 1] == 0x09)
        }

        private func isHeading(_ lines: [Range<Int>], _ index: Int) -> Bool {
            let line = trimmed(lines[index])
            if bytes[line.lowerBound] == UInt8(ascii: "#") {
                let rest = bytes[line].drop { $0 == UInt8(ascii: "#") }
                return rest.first == 0x20
            }
            // A short line by itself without a full stop, with more text after it.
            guard line.count <= 90, index + 1 < lines.count else { return false }
            let next = trimmed(lines[index + 1])
            guard next.isEmpty, lines[(index + 1)...].contains(where: { !trimmed($0).isEmpty }) else { return false }
            return !endsSentence(line)
        }

        private func endsSentence(_ line: Range<Int>) -> Bool {
            guard let last = bytes[line].last else { return false }
            if ".!?:;\"')]".utf8.contains(last) { return true }
            return last >= 0x80
                && String(decoding: bytes[line].suffix(4), as: UTF8.self).unicodeScalars.last.map(Sentences.isTerminator) == true
        }

        private mutating func addCode(_ lines: [Range<Int>], _ range: ClosedRange<Int>) {
            block += 1
            var first = range.lowerBound
            while first <= range.upperBound {
                var last = first
                while last < range.upperBound, lines[last + 1].upperBound - lines[first].lowerBound <= TextUnits.codeSizeMax { last += 1 }
                let whole = trimmed(lines[first].lowerBound..<lines[last].upperBound)
                if !whole.isEmpty { units.append(TextUnit(kind: .code, range: whole, context: nil, block: block)) }
                first = last + 1
            }
        }

        private mutating func addTable(_ lines: ArraySlice<Range<Int>>) {
            block += 1
            let rows = lines.filter { !isRule($0) }.map(trimmed)
            for (index, row) in rows.enumerated() {
                units.append(TextUnit(kind: .row, range: row, context: index == 0 ? nil : rows[0], block: block))
            }
        }

        /// Adds the items of one list and returns the line after it.
        private mutating func addList(_ lines: [Range<Int>], _ start: Int) -> Int {
            block += 1
            let leadIn = units.last.flatMap { last in
                last.kind == .sentence && bytes[last.range].last == UInt8(ascii: ":") ? last.range : nil
            }
            var index = start
            while index < lines.count, isItem(lines[index]) {
                var end = index + 1
                while end < lines.count, !trimmed(lines[end]).isEmpty, !isItem(lines[end]), !isFence(lines[end]), !isRow(lines[end]) {
                    end += 1
                }
                let item = trimmed(lines[index].lowerBound..<lines[end - 1].upperBound)
                if item.count <= TextUnits.itemSizeMax {
                    units.append(TextUnit(kind: .item, range: item, context: leadIn, block: block))
                } else {
                    addSentences(item, kind: .item, context: leadIn)
                }
                index = end
                // Items of a loose list have an empty line between them.
                if index + 1 < lines.count, trimmed(lines[index]).isEmpty, isItem(lines[index + 1]) { index += 1 }
            }
            return index
        }

        private mutating func addSentences(_ range: Range<Int>, kind: TextUnit.Kind, context: Range<Int>?) {
            for sentence in Sentences.split(bytes, range) {
                if sentence.count <= TextUnits.sentenceSizeMax {
                    units.append(TextUnit(kind: kind, range: sentence, context: context, block: block))
                    continue
                }
                for piece in cut(sentence) { units.append(TextUnit(kind: kind, range: piece, context: context, block: block)) }
            }
        }

        /// Cuts a stretch without a full stop: at line ends, else at semicolons and the like, else at spaces, else between characters.
        private func cut(_ range: Range<Int>) -> [Range<Int>] {
            var pieces: [Range<Int>] = []
            var rest = trimmed(range)
            while rest.count > TextUnits.sentenceSizeMax {
                let window = rest.lowerBound..<(rest.lowerBound + TextUnits.sentenceSizeMax)
                let half = window.lowerBound + window.count / 2
                func last(_ accepted: (Int) -> Bool) -> Int? { (half..<window.upperBound).last(where: accepted) }
                var end =
                    last { bytes[$0] == 0x0A } ?? last {
                        bytes[$0] == 0x20 && (bytes[$0 - 1] == UInt8(ascii: ";") || bytes[$0 - 1] == UInt8(ascii: ":"))
                    }
                    ?? last { bytes[$0] == 0x20 } ?? window.upperBound
                while end > window.lowerBound, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
                pieces.append(trimmed(rest.lowerBound..<end))
                rest = trimmed(end..<rest.upperBound)
            }
            pieces.append(rest)
            return pieces.filter { !$0.isEmpty }
        }

        private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        private func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }
    }
}
