/// Where to cut a text so that it has at most so many tokens.
extension WordPieceTokenizer {
    /// Exact, in one pass over the part of the text that fits.
    ///
    /// Tokens are counted up to the first word that does not fit any more. The longest prefix ends inside that word, or before it: every
    /// longer one holds the whole word. Words are looked at backwards from there, because a character (a grapheme) may span two words, and
    /// a cut inside an earlier word may have more tokens than that word.
    package func prefixLength(_ text: String, limit: Int) -> Int {
        let limit = max(limit, 0)
        var text = text
        text.makeContiguousUTF8()
        var words: [(start: Int, countBefore: Int)] = []
        var total = 0
        var tokens: [Int32] = []
        forEachWord(in: text) { word in
            words.append((word.start, total))
            tokens.removeAll(keepingCapacity: true)
            pieces.split(word.bytes, characterCount: word.characterCount, unknown: unk, into: &tokens)
            total += tokens.count
            return total <= limit
        }
        guard total > limit else { return text.utf8.count }

        var end = text.utf8.count
        for word in words.reversed() {
            let fitting = fittingEnds(text, from: word.start, to: end, room: limit - word.countBefore)
            if let cut = Self.lastBoundary(text, among: fitting) { return cut }
            end = word.start
        }
        return 0
    }

    /// Ends of the scalars from a word's start to a position, in order, before which the word has at most `room` tokens; the start first.
    ///
    /// - Parameter end: The beginning of the next word; or the text's end, for a word that has more than `room` tokens.
    private func fittingEnds(_ text: String, from start: Int, to end: Int, room: Int) -> [Int] {
        guard room > 0 else { return [start] }
        var text = text
        return text.withUTF8 { bytes in
            var ends = [start]
            var word: [UInt8] = []
            var characterCount = 0
            var tokenCount = 0
            var isOver = false
            var tokens: [Int32] = []
            var position = start
            while position < end {
                let (scalar, size) = Self.decode(bytes, position)
                position += size
                let before = characterCount
                for step in characters.steps(scalar) {
                    switch step.kind {
                    case .letter, .alone:
                        // The next word begins: this one had more than `room` tokens.
                        if isOver || step.kind == .alone && characterCount > 0 { return ends }
                        characterCount += step.characterCount
                        if characterCount <= Self.wordLengthMax { word.append(contentsOf: step.utf8) }
                        isOver = step.kind == .alone
                    case .space: isOver = characterCount > 0
                    case .dropped, .several: break
                    }
                }
                if characterCount > before {
                    tokens.removeAll(keepingCapacity: true)
                    word.withUnsafeBufferPointer {
                        pieces.split($0, characterCount: characterCount, unknown: unk, into: &tokens)
                    }
                    tokenCount = tokens.count
                }
                if tokenCount <= room { ends.append(position) }
            }
            return ends
        }
    }

    /// The last of some positions at which a character ends. Linear in the part of the text that is looked at.
    private static func lastBoundary(_ text: String, among ends: [Int]) -> Int? {
        var ends = ends[...]
        while let end = ends.last {
            if end == text.utf8.count { return end }
            // `index(after:)` takes a position inside a character for that character.
            let next = text.index(after: text.utf8.index(text.startIndex, offsetBy: end))
            let boundary = text.utf8.distance(from: text.startIndex, to: text.index(before: next))
            while let last = ends.last, last > boundary { ends.removeLast() }
            if ends.last == boundary { return boundary }
        }
        return nil
    }
}
