extension TextIndex {
    /// Byte ranges of `text` (UTF-8) whose words match a term of the query after analysis, in order, not overlapping.
    package func highlights(of query: String, in text: String, limit: Int = 32) -> [Range<Int>] {
        highlighter(of: prepare(query)).ranges(in: text, limit: limit)
    }

    /// The words of a query, ready to be looked for in many texts.
    package func highlighter(of question: PreparedQuestion) -> Highlighter {
        let words = question.words
        return Highlighter(
            terms: words.flatMap { $0.forms.map(\.bytes) }, characters: words.filter(\.isSingleCharacter).map { $0.forms[0].bytes },
            analyzer: analyzer)
    }

    /// The phrases in double quotes of a query, analyzed; nil when there is none with a term in it.
    package func phrases(of query: String) -> QuotedPhrases? {
        let quoted = Quotes.ranges(in: query)
        guard !quoted.isEmpty else { return nil }
        let bytes = Array(query.utf8)
        let texts = quoted.map { String(decoding: bytes[$0], as: UTF8.self) }
        var byLanguage: [Language: [[QuotedPhrases.Word]]] = [:]
        analyzer.withWorker { worker in
            for language in analyzer.distinct(languageCounts()) {
                byLanguage[language] = texts.map { text in
                    worker.analyze(text, in: language) { analyzed in
                        let words = Self.positions(of: analyzed)
                        // A phrase of stop words alone is looked for with them; in others they match any word, as in Lucene.
                        let significant = words.contains { !$0.isStop } ? words.filter { !$0.isStop } : words
                        return significant.map { QuotedPhrases.Word(term: $0.term, offset: $0.position &- significant[0].position) }
                    }
                }.filter { !$0.isEmpty }
            }
        }
        guard byLanguage.values.contains(where: { !$0.isEmpty }) else { return nil }
        return QuotedPhrases(byLanguage)
    }

    /// Whether each phrase stands in one of the fields, word after word. A phrase does not reach from one field into the next.
    ///
    /// - Parameter fields: The row's body, then what its title was made of.
    /// - Complexity: Analyzes every field once.
    package func contains(_ phrases: QuotedPhrases, in fields: [String]) -> Bool {
        var language = LanguageDetector.detect(fields.first ?? "")
        if language == .unknown { language = LanguageDetector.detect(fields.dropFirst().reversed().joined(separator: "\n")) }
        let (phrases, terms) = phrases.phrases(for: language)
        var isOpen = [Bool](repeating: true, count: phrases.count)
        analyzer.withWorker { worker in
            for field in fields where !field.isEmpty && isOpen.contains(true) {
                let words = worker.analyze(field, in: language) { analyzed in
                    Self.positions(of: analyzed) { bytes in terms.contains { $0.elementsEqual(bytes) } }
                }
                guard !words.isEmpty else { continue }
                for (index, phrase) in phrases.enumerated() where isOpen[index] {
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
    /// the candidates with this, or with `contains(_:in:)` when there are many.
    package func containsPhrases(of query: String, in text: String) -> Bool {
        guard let phrases = phrases(of: query) else { return true }
        return contains(phrases, in: [text])
    }

    /// Terms with their positions; a compound is its parts, and extra forms are left out.
    private static func positions(
        of analyzed: AnalyzedText, where isWanted: (UnsafeBufferPointer<UInt8>) -> Bool = { _ in true }
    ) -> [(term: [UInt8], position: UInt32, isStop: Bool)] {
        var result: [(term: [UInt8], position: UInt32, isStop: Bool)] = []
        for (index, token) in analyzed.tokens.enumerated() where token.role != .extra {
            if token.role == .whole, index + 1 < analyzed.tokens.count, analyzed.tokens[index + 1].role == .part { continue }
            let bytes = analyzed.bytes(of: token)
            if isWanted(bytes) { result.append((Array(bytes), token.position, token.role == .stop)) }
        }
        return result
    }
}

/// Finds the words of one query in texts. See `TextIndex.highlighter(of:)`.
package struct Highlighter: Sendable {
    /// Terms of up to eight bytes are compared as a number, longer ones by their bytes when their beginning agrees.
    private struct Wanted {
        var beginning: UInt64
        var bytes: [UInt8]
    }

    private let wanted: [Wanted]
    /// The same terms by their `TextWords.key`, for texts whose words are noted.
    private let wantedKeys: [UInt64]
    private let wantedBits: UInt64
    private let characters: [[UInt8]]
    private let beginnings: WordBeginnings
    private let analyzer: Analyzer

    init(terms: [[UInt8]], characters: [[UInt8]], analyzer: Analyzer) {
        wanted = Set(terms).map { term in Wanted(beginning: term.withUnsafeBufferPointer(Self.beginning), bytes: term) }
        wantedKeys = wanted.map { term in term.bytes.withUnsafeBufferPointer(TextWords.key) }
        wantedBits = wantedKeys.reduce(0) { $0 | 1 << ($1 & 63) }
        self.characters = characters
        self.analyzer = analyzer
        beginnings = WordBeginnings(of: terms + characters)
    }

    /// Byte ranges of `text` (UTF-8) whose words match a term of the query after analysis, in order, not overlapping; the first `limit` of them.
    package func ranges(in text: String, limit: Int = 32) -> [Range<Int>] {
        guard limit > 0, !wanted.isEmpty else { return [] }
        var text = text
        return text.withUTF8 { utf8 in
            let language = LanguageDetector.detect(utf8)
            return analyzer.withWorker { worker in
                worker.analyze(utf8, in: language, only: beginnings) { analyzed in merged(matches(of: analyzed, in: utf8), limit: limit) }
            }
        }
    }

    /// The words of a text, noted for this highlighter and others of its index.
    ///
    /// - Parameter known: What was noted before; it is given back when it is of the same analysis.
    /// - Returns: Nil for a text that is too long for it.
    package func words(of text: String, known: TextWords?) -> TextWords? {
        if let known, known.analyzer == analyzer.identity { return known }
        return TextWords(of: text, analyzer)
    }

    /// As `ranges(in:)` for the text whose words these are; nil where only the text itself can tell.
    package func ranges(in words: TextWords) -> [Range<Int>]? {
        guard characters.isEmpty else { return nil }
        guard !wanted.isEmpty else { return [] }
        var found: [Range<Int>] = []
        for word in words.packed where wantedBits >> (word >> 24 & 63) & 1 == 1 {
            guard wantedKeys.contains(word >> 24) else { continue }
            let start = Int(word >> 8 & 0xFFFF)
            found.append(start..<start + Int(word & 0xFF))
        }
        return merged(found, limit: 32)
    }

    private func matches(of analyzed: AnalyzedText, in text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        var found: [Range<Int>] = []
        for token in analyzed.tokens {
            let bytes = analyzed.bytes(of: token)
            let start = Int(token.sourceStart)
            if isWanted(bytes) {
                found.append(start..<Int(token.sourceEnd))
            } else if !characters.isEmpty, let character = characters.first(where: { bytes.starts(with: $0) }) {
                // The first of a pair; characters that folding makes longer or shorter are rare, and then the whole pair is shown.
                let end = min(Int(token.sourceEnd), start + character.count)
                let isWhole = end < text.count && text[end] & 0xC0 == 0x80
                found.append(start..<(isWhole ? Int(token.sourceEnd) : end))
            }
        }
        return found
    }

    private func isWanted(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let beginning = Self.beginning(of: bytes)
        for term in wanted where term.beginning == beginning && term.bytes.count == bytes.count {
            if bytes.count <= 8 || term.bytes.elementsEqual(bytes) { return true }
        }
        return false
    }

    private static func beginning(of bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var beginning: UInt64 = 0
        for byte in bytes.prefix(8) { beginning = beginning << 8 | UInt64(byte) }
        return beginning
    }

    /// Pairs of characters overlap their neighbours, parts lie in their whole.
    private func merged(_ found: [Range<Int>], limit: Int) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for range in found.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
            if let last = ranges.last, range.lowerBound < last.upperBound {
                ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else if ranges.count < limit {
                ranges.append(range)
            } else {
                break
            }
        }
        return ranges
    }
}

/// Where the words of one text stand and which terms they are: what highlights need of it, in eight bytes a word.
package final class TextWords: Sendable {
    /// For each token a key of 40 bits, 16 bits of where it begins, 8 bits of its length.
    fileprivate let packed: [UInt64]
    /// Its `identity`: passages that are remembered must not keep the analyzer of an index that is gone.
    fileprivate let analyzer: UInt64

    /// Nil when a place or a length does not fit.
    fileprivate init?(of text: String, _ analyzer: Analyzer) {
        var text = text
        guard text.utf8.count <= Int(UInt16.max) else { return nil }
        let packed: [UInt64]? = text.withUTF8 { utf8 in
            let language = LanguageDetector.detect(utf8)
            return analyzer.withWorker { worker in
                worker.analyze(utf8, in: language) { analyzed in
                    var packed: [UInt64] = []
                    packed.reserveCapacity(analyzed.tokens.count)
                    for token in analyzed.tokens {
                        let size = token.sourceEnd - token.sourceStart
                        guard size <= UInt8.max else { return nil }
                        packed.append(Self.key(analyzed.bytes(of: token)) << 24 | UInt64(token.sourceStart) << 8 | UInt64(size))
                    }
                    return packed
                }
            }
        }
        guard let packed else { return nil }
        self.packed = packed
        self.analyzer = analyzer.identity
    }

    /// 40 bits: of 10^12 pairs of different terms one is taken for the same.
    fileprivate static func key(_ term: UnsafeBufferPointer<UInt8>) -> UInt64 {
        guard let start = term.baseAddress else { return 0 }
        return hash(start, term.count) >> 24
    }
}

/// The phrases of one query, ready to be looked for in many texts. See `TextIndex.phrases(of:)`.
package struct QuotedPhrases: Sendable, Equatable {
    struct Word: Sendable, Equatable {
        var term: [UInt8]
        /// Words since the phrase's first term; dropped stop words count.
        var offset: UInt32
    }

    /// Each with one word or more, as each of the rows' languages has them.
    private let byLanguage: [Language: [[Word]]]
    private let terms: [Language: Set<[UInt8]>]

    /// Whether a text that has all terms may still lack a phrase.
    package var hasOrder: Bool { byLanguage.values.joined().contains { $0.count > 1 } }

    init(_ byLanguage: [Language: [[Word]]]) {
        self.byLanguage = byLanguage
        terms = byLanguage.mapValues { Set($0.joined().map(\.term)) }
    }

    /// The phrases as texts of a language have them.
    func phrases(for language: Language) -> ([[Word]], Set<[UInt8]>) {
        // Languages with one stemmer are represented by one of them.
        let key =
            byLanguage.keys.first { $0 == language } ?? byLanguage.keys.first { $0.stemmer == language.stemmer } ?? byLanguage.keys.first
            ?? .unknown
        return (byLanguage[key] ?? [], terms[key] ?? [])
    }
}

/// Stretches of a question in double quotes.
enum Quotes {
    /// With more than so many bytes outside of quotes a query is a text that somebody pasted: its quotes are punctuation, not conditions.
    private static let outsideMax = 256

    /// Byte ranges between pairs of quotes, straight or curly; one without a partner is ignored. None in a long text.
    static func ranges(in query: String) -> [Range<Int>] {
        guard query.utf8.contains(where: { $0 == 0x22 || $0 == 0xE2 }) else { return [] }
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
