// What can be quoted: sentences, list items, table rows and blocks of code, each a byte range of the text it stands in.
//
//     text -> lines -> blocks -> units
//
//     ```...```                     code      one unit, kept whole up to a limit
//     | a | b |  or  a TAB b        row       one unit; the table's first row is its context
//     - item, 2. item, (a) item     item      one unit, split into sentences when long; the line before the list is its context
//     Email: x                    item      a label and its value, on a line of its own among others or alone
//     "key": value  in JSON         item      with the keys that lead to it, see `JSONUnits`
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
    /// Stands in the quotation of an earlier message.
    var isQuoted = false
    /// The keys that lead to an entry of JSON.
    var path: String?
    /// The names in `path` by which objects around the entry are called.
    var names: [String] = []
}

enum TextUnits {
    private static let codeSizeMax = 1500
    private static let itemSizeMax = 400
    private static let sentenceSizeMax = 700
    private static let questionLabels = ["Q: ", "Q. ", "Question: ", "Frage: ", "F: ", "Pregunta: ", "P: "]
    private static let answerLabels = ["A: ", "A. ", "Answer: ", "Antwort: ", "Réponse: ", "R: ", "Respuesta: "]
    /// "Chapter 3: The harbour" is a heading.
    private static let partNames: Set<String> = [
        "chapter", "section", "part", "article", "annex", "appendix", "figure", "table", "kapitel", "abschnitt", "teil", "artikel",
        "anhang", "abbildung",
        "tabelle", "chapitre", "capítulo", "lesson", "step", "schritt",
    ]
    /// Lines before the quotation of an earlier message.
    private static let attributions = [
        " wrote", " schrieb", " a écrit", " escribió", " ha scritto", " escreveu", " schreef", " skrev", " napisał", " kirjoitti", " пишет",
        " написал",
        "写道", " yazdı", " a scris", " napsal",
    ]
    private static let originals = [
        "original message", "ursprüngliche nachricht", "originalnachricht", "message d'origine", "message original", "mensaje original",
        "messaggio originale", "mensagem original", "oorspronkelijk bericht", "ursprungligt meddelande", "oprindelig meddelelse",
        "wiadomość oryginalna",
    ]
    private static let sentLabels = [
        "sent: ", "gesendet: ", "envoyé : ", "envoyé: ", "enviado: ", "inviato: ", "verzonden: ", "skickat: ", "wysłano: ",
    ]

    /// Cuts a text into units, in order. Ranges do not overlap, lie on character boundaries and are trimmed of white space.
    ///
    /// - Complexity: O(*bytes*).
    static func units(in text: [UInt8]) -> [TextUnit] {
        if let entries = JSONUnits.units(in: text) { return entries }
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
                } else if let question = units.last, bytes[question.range].last == UInt8(ascii: "?"), opens(line, TextUnits.answerLabels) {
                    // "A: ..." behind "Q: ...?" is one unit, whatever its sentences.
                    var end = index + 1
                    while end < lines.count, !trimmed(lines[end]).isEmpty, !opens(lines[end], TextUnits.questionLabels) { end += 1 }
                    let whole = trimmed(line.lowerBound..<lines[end - 1].upperBound)
                    block += 1
                    if whole.count <= TextUnits.sentenceSizeMax {
                        units.append(TextUnit(kind: .item, range: whole, context: question.range, block: block))
                    } else {
                        addSentences(whole, kind: .item, context: question.range)
                    }
                    index = end
                } else if let end = labelLines(lines, index) {
                    block += 1
                    var first = index
                    while first < end {
                        var next = first + 1
                        while next < end, !isLabelled(lines[next]) { next += 1 }
                        let whole = trimmed(lines[first].lowerBound..<lines[next - 1].upperBound)
                        units.append(TextUnit(kind: .item, range: whole, context: nil, block: block))
                        first = next
                    }
                    index = end
                } else if isHeading(lines, index) {
                    block += 1
                    units.append(TextUnit(kind: .heading, range: trimmed(line), context: nil, block: block))
                    index += 1
                } else {
                    var end = index + 1
                    while end < lines.count, !trimmed(lines[end]).isEmpty, !isFence(lines[end]), !isItem(lines[end]), !isRow(lines[end]),
                        !opens(lines[end], TextUnits.answerLabels)
                    { end += 1 }
                    block += 1
                    addSentences(lines[index].lowerBound..<lines[end - 1].upperBound, kind: .sentence, context: nil)
                    index = end
                }
            }
            markQuotations(lines)
            return units
        }

        // MARK: Labels

        private func opens(_ line: Range<Int>, _ labels: [String]) -> Bool {
            let text = bytes[trimmed(line)]
            return labels.contains { text.starts(with: $0.utf8) }
        }

        /// `Email: support@example.org`: a few words, a colon and a value that is no text of several sentences.
        private func isLabelled(_ line: Range<Int>) -> Bool {
            let line = trimmed(line)
            if opens(line, TextUnits.questionLabels) || opens(line, TextUnits.answerLabels) { return false }
            guard line.count >= 4, line.count <= 240, isLetter(bytes[line.lowerBound]) || bytes[line.lowerBound] >= 0x80 else {
                return false
            }
            guard let colon = bytes[line].prefix(64).firstIndex(of: UInt8(ascii: ":")), colon + 1 < line.upperBound else { return false }
            // A time, an address of the web, a scope in a program.
            guard bytes[colon + 1] == 0x20 || bytes[colon + 1] == 0x09 || bytes[colon + 1] == 0xC2 else { return false }
            let label = bytes[line.lowerBound..<colon]
            guard label.count(where: { $0 == 0x20 }) <= 5, !label.contains(where: { ".!?;|".utf8.contains($0) }) else { return false }
            return Sentences.split(bytes, (colon + 1)..<line.upperBound).count == 1
        }

        /// The line after a stretch of lines with labels that begins here; nil when none does.
        private func labelLines(_ lines: [Range<Int>], _ start: Int) -> Int? {
            guard isLabelled(lines[start]) else { return nil }
            var end = start + 1
            var labelled = 1
            while end < lines.count, !trimmed(lines[end]).isEmpty, !isFence(lines[end]), !isItem(lines[end]), !isRow(lines[end]) {
                if isLabelled(lines[end]) { labelled += 1 }
                end += 1
            }
            let count = end - start
            // A value may go on in the next line; a paragraph that happens to begin with a label is a paragraph.
            guard labelled * 2 > count || labelled * 2 == count && count <= 4 else { return nil }
            let first = String(decoding: bytes[trimmed(lines[start])].prefix { $0 != 0x20 && $0 != UInt8(ascii: ":") }, as: UTF8.self)
                .lowercased()
            return count == 1 && TextUnits.partNames.contains(first) ? nil : end
        }

        // MARK: Quotations

        /// Marks what a mail repeats of the one it answers.
        private mutating func markQuotations(_ lines: [Range<Int>]) {
            var start: Int?
            var isMarked = false
            var quoted: [Range<Int>] = []
            for (index, line) in lines.enumerated() {
                let text = trimmed(line)
                if start == nil {
                    guard text.count <= 300, bytes[text].contains(UInt8(ascii: ":")) || bytes[text].starts(with: "--".utf8) else {
                        continue
                    }
                    let lower = String(decoding: bytes[text], as: UTF8.self).lowercased()
                    let opens =
                        TextUnits.attributions.contains { lower.contains($0) } && (lower.hasSuffix(":") || lower.hasSuffix("："))
                        || lower.hasPrefix("--") && TextUnits.originals.contains { lower.contains($0) }
                        || TextUnits.sentLabels.contains { lower.hasPrefix($0) } && index > 0
                    guard opens else { continue }
                    start = index
                    quoted.append(line)
                    isMarked =
                        lines[(index + 1)...].first { !trimmed($0).isEmpty }.map { bytes[trimmed($0).lowerBound] == UInt8(ascii: ">") }
                        ?? false
                } else if !isMarked || !text.isEmpty && bytes[text.lowerBound] == UInt8(ascii: ">") {
                    // With marks only the marked lines are old; without, everything below is.
                    quoted.append(line)
                }
            }
            guard start != nil else { return }
            for index in units.indices where quoted.contains(where: { $0.contains(units[index].range.lowerBound) }) {
                units[index].isQuoted = true
            }
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
            // "Report of the old bridge (north)" ends no sentence, "See below (or above.)" does.
            if last == UInt8(ascii: ")") {
                return ".!?".utf8.contains(bytes[line].dropLast().last ?? 0) || Sentences.split(bytes, line).count > 1
            }
            if ".!?:;\"']".utf8.contains(last) { return true }
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
            var sentences: [Range<Int>] = []
            for sentence in Sentences.split(bytes, range) {
                // "Women: 1. Kari Haugen 38:12, 2. Anna Lind 38:40" is one list, whatever its full stops.
                if let last = sentences.last, endsWithNumeral(last) {
                    sentences[sentences.count - 1] = last.lowerBound..<sentence.upperBound
                } else {
                    sentences.append(sentence)
                }
            }
            for sentence in sentences {
                if sentence.count <= TextUnits.sentenceSizeMax {
                    units.append(TextUnit(kind: kind, range: sentence, context: context, block: block))
                    continue
                }
                for piece in cut(sentence) { units.append(TextUnit(kind: kind, range: piece, context: context, block: block)) }
            }
        }

        /// Whether a stretch ends with the number of a list's item: ": 1." or ", 2.".
        private func endsWithNumeral(_ range: Range<Int>) -> Bool {
            var rest = bytes[range]
            guard rest.popLast() == UInt8(ascii: ".") else { return false }
            let digits = rest.reversed().prefix { isDigit($0) }.count
            rest = rest.dropLast(digits)
            guard (1...2).contains(digits), rest.popLast() == 0x20 else { return false }
            return rest.last.map { ":,;".utf8.contains($0) } == true
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
