import Inference

/// A test double, used by tests and by nothing else: each run of letters and digits is a token, and so is each other visible character.
package struct WordTokenizer: Tokenizer {
    package init() {}

    package func count(_ text: String) -> Int { Self.words(text).count }

    package func prefixLength(_ text: String, limit: Int) -> Int {
        let words = Self.words(text)
        guard words.count > max(limit, 0) else { return text.utf8.count }
        return text.utf8.distance(from: text.startIndex, to: words[max(limit, 0)].startIndex)
    }

    package static func words(_ text: String) -> [Substring] {
        var words: [Substring] = []
        var start: String.Index?
        for index in text.indices {
            let character = text[index]
            if character.isLetter || character.isNumber {
                start = start ?? index
                continue
            }
            if let begin = start { words.append(text[begin..<index]) }
            start = nil
            if !character.isWhitespace { words.append(text[index...index]) }
        }
        if let begin = start { words.append(text[begin...]) }
        return words
    }
}
