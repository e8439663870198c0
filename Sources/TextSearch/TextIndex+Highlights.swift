extension TextIndex {
    /// Byte ranges of `text` (UTF-8) whose words match a term of the query after analysis, in order, not overlapping.
    package func highlights(of query: String, in text: String, limit: Int = 32) -> [Range<Int>] {
        guard limit > 0 else { return [] }
        return analyzer.withWorker { worker in
            let wanted = worker.analyze(query) { analyzed in Set(analyzed.tokens.map { Array(analyzed.bytes(of: $0)) }) }
            guard !wanted.isEmpty else { return [] }
            return worker.analyze(text) { analyzed in
                var ranges: [Range<Int>] = []
                for token in analyzed.tokens where wanted.contains(Array(analyzed.bytes(of: token))) {
                    let range = Int(token.sourceStart)..<Int(token.sourceEnd)
                    // Pairs of characters overlap their neighbours, parts lie in their whole.
                    if let last = ranges.last, range.lowerBound < last.upperBound {
                        ranges[ranges.count - 1] = min(last.lowerBound, range.lowerBound)..<max(last.upperBound, range.upperBound)
                    } else if ranges.count < limit {
                        ranges.append(range)
                    } else {
                        break
                    }
                }
                return ranges
            }
        }
    }

    /// The same places counted in UTF-16 code units, as JavaScript, Java and NSString count them.
    ///
    /// - Parameter ranges: Byte ranges of the text's UTF-8 at whole characters, ascending, not overlapping: as `highlights(of:in:)` gives them.
    /// - Complexity: One walk over the text.
    package static func utf16Ranges(of ranges: [Range<Int>], in text: String) -> [Range<Int>] {
        var result: [Range<Int>] = []
        result.reserveCapacity(ranges.count)
        var position = text.utf8.startIndex
        var byte = 0
        var unit = 0
        func advance(to target: Int) -> Int {
            let end = text.utf8.index(position, offsetBy: target - byte)
            unit += text.utf16.distance(from: position, to: end)
            position = end
            byte = target
            return unit
        }
        for range in ranges {
            precondition(range.lowerBound >= byte, "range \(range) begins before \(byte)")
            let start = advance(to: range.lowerBound)
            result.append(start..<advance(to: range.upperBound))
        }
        return result
    }

    /// The phrases in double quotes of a query, analyzed; nil when there is none with a term in it.
    package func phrases(of query: String) -> QuotedPhrases? {
        let quoted = Quotes.ranges(in: query)
        guard !quoted.isEmpty else { return nil }
        let bytes = Array(query.utf8)
        let phrases = analyzer.withWorker { worker in
            quoted.map { range in
                let words = worker.analyze(String(decoding: bytes[range], as: UTF8.self)) { Self.positions(of: $0) }
                return words.map { QuotedPhrases.Word(term: $0.term, offset: $0.position &- words[0].position) }
            }
        }
        let kept = phrases.filter { !$0.isEmpty }
        return kept.isEmpty ? nil : QuotedPhrases(phrases: kept)
    }

    /// Whether each phrase stands in one of the fields, word after word. A phrase does not reach from one field into the next.
    ///
    /// - Complexity: Analyzes every field once.
    package func contains(_ phrases: QuotedPhrases, in fields: [String]) -> Bool {
        var isOpen = [Bool](repeating: true, count: phrases.phrases.count)
        analyzer.withWorker { worker in
            for field in fields where !field.isEmpty && isOpen.contains(true) {
                let words = worker.analyze(field) { analyzed in
                    Self.positions(of: analyzed) { bytes in phrases.terms.contains { $0.elementsEqual(bytes) } }
                }
                guard !words.isEmpty else { continue }
                for (index, phrase) in phrases.phrases.enumerated() where isOpen[index] {
                    isOpen[index] = !words.contains { word in
                        word.term == phrase[0].term
                            && phrase.allSatisfy { wanted in
                                words.contains { $0.position == word.position &+ wanted.offset && $0.term == wanted.term }
                            }
                    }
                }
            }
        }
        return !isOpen.contains(true)
    }

    /// Whether a text has every phrase that stands in double quotes in a query, after analysis; true when there is none.
    ///
    /// The index stores no positions, so `search` only makes sure that a row has all quoted terms. A caller that has the text checks
    /// the candidates with this, or with `contains(_:in:)` when there are many. Stop words match any word, as in Lucene.
    package func containsPhrases(of query: String, in text: String) -> Bool {
        guard let phrases = phrases(of: query) else { return true }
        return contains(phrases, in: [text])
    }

    /// Terms with their positions; a compound is its parts.
    private static func positions(
        of analyzed: AnalyzedText, where isWanted: (UnsafeBufferPointer<UInt8>) -> Bool = { _ in true }
    ) -> [(term: [UInt8], position: UInt32)] {
        var result: [(term: [UInt8], position: UInt32)] = []
        for (index, token) in analyzed.tokens.enumerated() {
            if token.role == .whole, index + 1 < analyzed.tokens.count, analyzed.tokens[index + 1].role == .part { continue }
            let bytes = analyzed.bytes(of: token)
            if isWanted(bytes) { result.append((Array(bytes), token.position)) }
        }
        return result
    }
}

/// The phrases of one query, ready to be looked for in many texts. See `TextIndex.phrases(of:)`.
package struct QuotedPhrases: Sendable, Equatable {
    struct Word: Sendable, Equatable {
        var term: [UInt8]
        /// Words since the phrase's first term; dropped stop words count.
        var offset: UInt32
    }

    /// Each with one word or more.
    let phrases: [[Word]]
    let terms: Set<[UInt8]>

    /// Whether a text that has all terms may still lack a phrase.
    package var hasOrder: Bool { phrases.contains { $0.count > 1 } }

    init(phrases: [[Word]]) {
        self.phrases = phrases
        terms = Set(phrases.joined().map(\.term))
    }
}

/// Stretches of a question in double quotes.
enum Quotes {
    /// With more than so many bytes outside of quotes a query is a text that somebody pasted: its quotes are punctuation, not conditions.
    private static let outsideMax = 256

    /// Byte ranges between pairs of quotes, straight or curly; one without a partner is ignored. None in a long text.
    static func ranges(in query: String) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var open: Int?
        var offset = 0
        for scalar in query.unicodeScalars {
            let size = UTF8.width(scalar)
            if scalar == "\"" || scalar == "\u{201C}" || scalar == "\u{201D}" || scalar == "\u{201E}" {
                if let start = open {
                    if start < offset { ranges.append(start..<offset) }
                    open = nil
                } else {
                    open = offset + size
                }
            }
            offset += size
        }
        let outside = offset - ranges.reduce(0) { $0 + $1.count }
        return outside > outsideMax ? [] : ranges
    }
}
