import Inference

/// The tokenizer of a loaded model. Measured with a WordPiece vocabulary: 7-8 MB of text a second on one core.
struct LlamaTokenizer: Tokenizer {
    let model: LlamaModel

    func count(_ text: String) -> Int {
        var text = text
        return text.withUTF8 { model.tokenize(UnsafeRawBufferPointer($0), addSpecial: false).count }
    }

    func fitness(of text: String) -> Float {
        let vocabulary = VocabularyFitness(vocabularyCount: model.vocabularyCount, knowsHan: false)
        guard !vocabulary.isMultilingual else { return 1 }
        let sample = prefix(text, boundary(text, VocabularyFitness.sampleMax))
        let letterCount = sample.unicodeScalars.count { $0.properties.isAlphabetic }
        return vocabulary.fitness(letterCount: letterCount, pieceCount: count(sample))
    }

    /// Finds the cut by bisection over tokenized prefixes, then takes whole words beyond it that still fit: a prefix that ends inside a word
    /// may have more tokens than one that ends after it.
    func prefixLength(_ text: String, limit: Int) -> Int {
        var text = text
        text.makeContiguousUTF8()
        let size = text.utf8.count
        guard limit > 0 else { return limit == 0 && count(text) == 0 ? size : 0 }

        // Grow from a likely length, so that a short prefix of a long text is cheap.
        var low = 0
        var high = boundary(text, limit * 6 + 64)
        while count(prefix(text, high)) <= limit {
            low = high
            if high == size { return size }
            high = boundary(text, high * 2)
        }
        while true {
            let middle = boundary(text, (low + high) / 2)
            if middle <= low { break }
            if count(prefix(text, middle)) <= limit { low = middle } else { high = middle }
        }
        for end in wordEnds(text, from: low, count: 3).reversed() where count(prefix(text, end)) <= limit { return end }
        return low
    }

    private func prefix(_ text: String, _ size: Int) -> String { String(text[..<text.utf8.index(text.startIndex, offsetBy: size)]) }

    /// The last byte position not after `size` where a character begins.
    private func boundary(_ text: String, _ size: Int) -> Int {
        guard size < text.utf8.count else { return text.utf8.count }
        var index = text.utf8.index(text.startIndex, offsetBy: size)
        var size = size
        while size > 0 && String.Index(index, within: text) == nil {
            index = text.utf8.index(before: index)
            size -= 1
        }
        return size
    }

    /// The next positions at which a word ends: before ASCII white space, or at the text's end.
    private func wordEnds(_ text: String, from start: Int, count: Int) -> [Int] {
        var ends: [Int] = []
        var position = start
        var previousIsSpace = true
        for byte in text.utf8.dropFirst(start).prefix(256) {
            let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
            if isSpace && !previousIsSpace {
                ends.append(position)
                if ends.count == count { return ends }
            }
            previousIsSpace = isSpace
            position += 1
        }
        if position == text.utf8.count && position > start { ends.append(position) }
        return ends
    }
}
