import Synchronization

/// Turns text into terms: the same way for rows, questions and highlights.
///
/// ```
///  text --tokenize--> words --lower case, fold--> --stop words--> --stem--> terms
///
///  "The U.S. can't index TextIndex.swift, naïvely: 1,000 Dateien"
///    -> (the) us can't index textindex.swift(+ text index swift) naiv 1000 dateien
/// ```
///
/// *Words* follow Unicode's word boundaries (UAX #29) as far as search needs them, by character classes and without a dictionary:
/// - Letters, digits and marks run together. An apostrophe between letters joins (*don't*), a possessive *'s* goes, an elided article
///   (*l'*, *qu'*, *dell'*) goes. A dot between letters or between digits joins, a comma that groups thousands vanishes.
/// - Dotted single letters lose their dots: *U.S.* meets *US*.
/// - What programs are made of is kept whole and is also taken apart: *snake_case*, *file.txt*, *example.com*, *TextIndex*. The parts are
///   *overlaps*: they can be found, but do not make the row longer.
/// - What people write in several ways has *extra* forms, which meet each other: see `AnalysisState+Forms`.
/// - Scripts without spaces become overlapping pairs of characters (Han, kana, Hangul) or of syllables (Thai, Lao, Khmer, Burmese);
///   a single one between others stays alone, and so does, as an extra form, the last one of a run.
/// - A word of more than 128 bytes is cut.
///
/// Stop words are marked and kept: a question of nothing else is looked for with them.
///
/// One analyzer serves many threads: each call borrows a `Worker`, which holds the stemmers and their caches.
final class Analyzer: Sendable {
    /// Goes up with every change that gives other terms for the same text, so that old indexes are rebuilt.
    static let version = 2
    /// The setting that chooses a stemmer by the language of each row.
    static let automaticStemmer = "auto"

    /// Of no other analyzer of this process, before or after.
    let identity = made.wrappingAdd(1, ordering: .relaxed).newValue
    private static let made = Atomic<UInt64>(0)

    private let stemmer: String
    private let stopWords: Set<String>
    private let workers = Mutex<[Worker]>([])
    /// More threads than this at once get a worker that is thrown away afterwards.
    private static let idleWorkersMax = 8

    init(stemmer: String, stopWords: String) throws(TextIndexError) {
        guard stemmer == "none" || stemmer == Self.automaticStemmer || Stemmer.names.contains(stemmer) else {
            throw .unknownStemmer(stemmer)
        }
        guard let words = StopWords.named(stopWords) else { throw .unknownStopWords(stopWords) }
        self.stemmer = stemmer
        self.stopWords = words
    }

    /// The languages of some that a question must be analyzed in, one for each different stemmer, most rows first.
    func distinct(_ counts: [Language: Int]) -> [Language] {
        guard stemmer == Self.automaticStemmer else { return [.unknown] }
        var seen: Set<String> = []
        let ordered = counts.sorted { ($1.value, $0.key.rawValue) < ($0.value, $1.key.rawValue) }.map(\.key)
        let distinct = ordered.filter { seen.insert($0.stemmer ?? Self.commonStemmer).inserted }
        return distinct.isEmpty ? [.unknown] : Array(distinct.prefix(Self.languagesMax))
    }

    /// A question is analyzed in so many languages at most.
    private static let languagesMax = 8
    fileprivate static let commonStemmer = "porter"

    /// Lends a worker for the time of the call.
    func withWorker<Result>(_ body: (Worker) -> Result) -> Result {
        let worker = workers.withLock { $0.popLast() } ?? Worker(stemmer: stemmer, stopWords: stopWords)
        defer {
            workers.withLock { if $0.count < Self.idleWorkersMax { $0.append(worker) } }
        }
        return body(worker)
    }

    /// What one thread at a time uses to analyze text.
    ///
    /// `@unchecked Sendable`: a worker is either in the pool, where nobody uses it, or with the one call that took it out.
    final class Worker: @unchecked Sendable {
        private let stemmer: String
        private let stopWords: Set<String>
        /// By stemmer; made when it is first needed.
        private var states: [String: State] = [:]

        private final class State {
            var value: AnalysisState
            init(_ value: AnalysisState) { self.value = value }
            deinit { value.release() }
        }

        fileprivate init(stemmer: String, stopWords: Set<String>) {
            self.stemmer = stemmer
            self.stopWords = stopWords
        }

        /// Analyzes one text and shows the result, which is valid during the call.
        ///
        /// - Parameters:
        ///   - language: Chooses the stemmer, where the index's setting leaves it to the language.
        ///   - isQuestion: Forms that only a question needs are added: "X 200" is also looked for as *x200*.
        func analyze<Result>(
            _ text: String, in language: Language = .unknown, isQuestion: Bool = false, _ body: (AnalyzedText) -> Result
        ) -> Result {
            var text = text
            return text.withUTF8 { analyze($0, in: language, isQuestion: isQuestion, body) }
        }

        /// As above, for bytes that are valid UTF-8.
        ///
        /// - Parameter beginnings: Words that begin otherwise may be left out, where the language's terms begin as their words do.
        func analyze<Result>(
            _ text: UnsafeBufferPointer<UInt8>, in language: Language, isQuestion: Bool = false, only beginnings: WordBeginnings? = nil,
            _ body: (AnalyzedText) -> Result
        ) -> Result {
            let name = stemmer == Analyzer.automaticStemmer ? language.stemmer ?? Analyzer.commonStemmer : stemmer
            let state = states[name] ?? State(AnalysisState(normalizer: TermNormalizer(stemmer: name, stopWords: stopWords)))
            states[name] = state
            state.value.keepsPairs = WordBeginnings.pairsAreKept(by: name)
            state.value.analyze(text, isQuestion: isQuestion, only: WordBeginnings.areKept(by: name) ? beginnings : nil)
            return state.value.tokens.withUnsafeBufferPointer { tokens in
                state.value.termBytes.withUnsafeBufferPointer { body(AnalyzedText(tokens: tokens, termBytes: $0)) }
            }
        }
    }
}

/// One term of a text.
struct AnalyzedToken {
    /// Where its bytes lie in `termBytes`.
    var termOffset: UInt32
    var termCount: UInt32
    /// Where it came from, in bytes of the text's UTF-8.
    var sourceStart: UInt32
    var sourceEnd: UInt32
    /// Counts words, stop words included: neighbours differ by one.
    var position: UInt32
    var role: Role

    enum Role: UInt8 {
        /// An ordinary word.
        case word
        /// A compound that `part`s at the same position and after it also stand for.
        case whole
        /// A part of the `whole` before it: does not count in the length.
        case part
        /// A word that carries no topic: does not count in the length, and is looked for only when there is no other.
        case stop
        /// Another form of the words before it: does not count in the length, and is no condition.
        case extra
    }
}

/// The terms of one text, in order.
struct AnalyzedText {
    let tokens: UnsafeBufferPointer<AnalyzedToken>
    let termBytes: UnsafeBufferPointer<UInt8>

    func bytes(of token: AnalyzedToken) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: termBytes[Int(token.termOffset)..<Int(token.termOffset + token.termCount)])
    }
}

/// The first bytes of some terms: a cheap look that tells of most words that they are none of them.
struct WordBeginnings: Sendable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    /// For each small letter that terms begin with, the letters that come second.
    private var seconds = InlineArray<26, UInt32>(repeating: 0)

    init(of terms: [[UInt8]]) {
        for term in terms {
            guard let first = term.first.map({ $0 | 0x20 }), (0x61...0x7A).contains(first) else { continue }
            let second = term.count > 1 ? term[1] | 0x20 : 0
            // One letter may be all that an ending has left; and endings turn y into i or ie.
            let isEnding = second == 0x79 || second == 0x69 || second == 0x65
            let letters: UInt32 = !(0x61...0x7A).contains(second) ? .max : isEnding ? 1 << 24 | 1 << 8 | 1 << 4 : 1 << UInt32(second - 0x61)
            seconds[Int(first - 0x61)] |= letters
        }
        for first in terms.compactMap(\.first) where first < 0x80 {
            // A term in capitals comes with its word, which is folded.
            let byte = (0x41...0x5A).contains(first) ? first | 0x20 : first
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
        }
    }

    /// Whether a term may begin with a byte; always for what is not ASCII, which folding may change.
    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        if byte >= 0x80 { return true }
        return (byte < 64 ? low >> UInt64(byte) : high >> UInt64(byte - 64)) & 1 == 1
    }

    /// Whether a term may come of a word that begins with two small letters, where `pairsAreKept`.
    @inline(__always)
    func contains(_ first: UInt8, _ second: UInt8) -> Bool { seconds[Int(first &- 0x61)] >> UInt32(second &- 0x61) & 1 == 1 }

    /// Whether a stemmer leaves a word's second letter too, but for y, i and e. (German makes one letter of *ue*.)
    static func pairsAreKept(by stemmer: String) -> Bool { stemmer == "none" || stemmer == "porter" || stemmer == "english" }

    /// Whether a stemmer takes endings alone, so that a word's term begins with the word's first letter. (Dutch, Indonesian and others take prefixes too.)
    static func areKept(by stemmer: String) -> Bool { keepers.contains(stemmer) }

    private static let keepers: Set<String> = [
        "none", "porter", "english", "german", "french", "spanish", "portuguese", "italian", "swedish", "danish", "norwegian",
    ]
}
