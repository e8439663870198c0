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

    /// Whether a text has every phrase that stands in double quotes in a query, after analysis; true when there is none.
    ///
    /// The index stores no positions, so `search` only makes sure that a row has all quoted terms. A caller that has the text checks
    /// the candidates with this. Stop words match any word, as in Lucene.
    package func containsPhrases(of query: String, in text: String) -> Bool {
        let quoted = Quotes.ranges(in: query)
        guard !quoted.isEmpty else { return true }
        return analyzer.withWorker { worker in
            let phrases = quoted.map { range in
                worker.analyze(String(decoding: Array(query.utf8)[range], as: UTF8.self)) { Self.positions(of: $0) }
            }
            let words = worker.analyze(text) { Self.positions(of: $0) }
            var places: [[UInt8]: Set<UInt32>] = [:]
            for word in words { places[word.term, default: []].insert(word.position) }
            return phrases.allSatisfy { phrase in
                guard let first = phrase.first else { return true }
                return places[first.term, default: []].contains { start in
                    phrase.allSatisfy { places[$0.term]?.contains(start &+ $0.position &- first.position) ?? false }
                }
            }
        }
    }

    /// Terms with their positions; a compound is its parts.
    private static func positions(of analyzed: AnalyzedText) -> [(term: [UInt8], position: UInt32)] {
        var result: [(term: [UInt8], position: UInt32)] = []
        for (index, token) in analyzed.tokens.enumerated() {
            if token.role == .whole, index + 1 < analyzed.tokens.count, analyzed.tokens[index + 1].role == .part { continue }
            result.append((Array(analyzed.bytes(of: token)), token.position))
        }
        return result
    }
}

/// Stretches of a question in double quotes.
enum Quotes {
    /// Byte ranges between pairs of quotes, straight or curly; one without a partner is ignored.
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
        return ranges
    }
}
