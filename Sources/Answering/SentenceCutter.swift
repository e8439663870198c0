// Whole sentences of a text that is still being written.
//
// A sentence has ended when the next one has begun: "3.5", "approx." and "Dr." end none, a marker behind the full stop still belongs to it, and a list item
// ends where the next item or paragraph begins. So a piece is cut when the first word after it is complete and stands by itself as the beginning of the
// text's last unit.
//
//     push "It is tall [1]. I"   -> nothing: the next word may go on
//     push "t opened "           -> "It is tall [1]."      "It" opens the next unit
//
// Where a text is cut depends on the text alone, never on the pieces in which it comes: it is looked at word by word.

import Segmentation

struct SentenceCutter: Sendable {
    /// One or several whole sentences.
    struct Piece: Sendable, Equatable {
        /// White space before it, as it was written.
        var lead: String
        var text: String
    }

    /// A stretch without an end longer than this is not looked at again before the text ends: a text that is one long table is one piece.
    private static let lookedAtMax = 4 << 10

    private let sourceCount: Int
    /// What is not given out yet.
    private var pending: [Unicode.Scalar] = []
    private var position = 0
    /// Where a word begins that may open the next sentence.
    private var opening: Int?

    /// - Parameter sourceCount: For telling markers from other brackets.
    init(sourceCount: Int) { self.sourceCount = sourceCount }

    /// Adds text and returns what has become complete.
    mutating func push(_ text: String) -> [Piece] {
        pending += text.unicodeScalars
        var pieces: [Piece] = []
        while position < pending.count {
            let scalar = pending[position]
            if opening == nil, mayOpen(position) { opening = position }
            position += 1
            guard let start = opening, position <= Self.lookedAtMax else { continue }
            // A word is complete when white space follows; scripts without spaces are looked at sign by sign.
            let end = Self.isSpace(scalar) ? position - 1 : Self.isWithoutSpaces(scalar) ? position : nil
            guard let end, end > start, !isListMark(start..<end) else { continue }
            opening = nil
            guard opensUnit(start..<end) else { continue }
            // The white space between belongs to the next one.
            var cut = start
            while cut > 0, Self.isSpace(pending[cut - 1]) { cut -= 1 }
            pieces.append(Self.piece(pending[..<cut]))
            pending.removeFirst(cut)
            position = 0
        }
        return pieces
    }

    /// The rest, when no more comes.
    mutating func finish() -> Piece? {
        defer { reset() }
        let piece = Self.piece(pending[...])
        return piece.text.isEmpty ? nil : piece
    }

    /// Forgets what was not given out.
    mutating func reset() {
        pending = []
        position = 0
        opening = nil
    }

    private static func piece(_ scalars: ArraySlice<Unicode.Scalar>) -> Piece {
        let text = scalars.drop(while: isSpace)
        let lead = scalars[..<text.startIndex]
        var end = text.endIndex
        while end > text.startIndex, isSpace(text[end - 1]) { end -= 1 }
        return Piece(lead: string(lead), text: string(text[..<end]))
    }

    /// Whether a word here may open a sentence: the one before has an end, or a line has.
    private func mayOpen(_ index: Int) -> Bool {
        let scalar = pending[index]
        guard !Self.isSpace(scalar) else { return false }
        var before = index
        var isNewLine = false
        while before > 0, Self.isSpace(pending[before - 1]) {
            before -= 1
            if pending[before] == "\n" { isNewLine = true }
        }
        guard before > 0, before < index || Self.isWithoutSpaces(scalar) else { return false }
        let last = pending[before - 1]
        return isNewLine || Sentences.isTerminator(last) || "\"')]}”’»」』）】》*_".unicodeScalars.contains(last)
    }

    /// Whether a word is the beginning of the last unit of what is pending, and other units come before it.
    private func opensUnit(_ word: Range<Int>) -> Bool {
        let text = Self.string(pending[word])
        // A marker may begin here, and belong to the sentence before.
        for (open, close) in [("[", "]"), ("【", "】"), ("［", "］"), ("(", ")"), ("（", "）")] where text.contains(open) && !text.contains(close)
        {
            return false
        }
        let plainWord = String(decoding: AnswerMarkers.extract(text, sourceCount: sourceCount).text, as: UTF8.self)
        let plain = AnswerMarkers.extract(Self.string(pending[..<word.upperBound]), sourceCount: sourceCount).text
        let units = TextUnits.units(in: plain)
        guard units.count > 1, let last = units.last, !plainWord.isEmpty else { return false }
        return plain[last.range].elementsEqual(plainWord.utf8)
    }

    /// "-", "2.", "(a)", "##": the item's first word is still to come.
    private func isListMark(_ word: Range<Int>) -> Bool {
        Self.string(pending[word]).wholeMatch(of: /[-*+•]|#{1,6}|\(?(?:[0-9]{1,3}|[a-zA-Z])[.)]/) != nil && startsLine(word.lowerBound)
    }

    private func startsLine(_ index: Int) -> Bool {
        var before = index
        while before > 0, Self.isSpace(pending[before - 1]) {
            before -= 1
            if pending[before] == "\n" { return true }
        }
        return before == 0
    }

    private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String { String(String.UnicodeScalarView(scalars)) }
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.value <= 0x20 || scalar == "\u{A0}" || scalar == "\u{3000}" }
    private static func isWithoutSpaces(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x3041...0x30FF, 0x3400...0x9FFF, 0xF900...0xFAFF: true
        default: false
        }
    }
}
