import Synchronization

/// Turns text into terms: the same way for rows, questions and highlights.
///
/// ```
///  text --tokenize--> words --lower case, fold--> --stop words--> --stem--> terms
///
///  "The U.S. can't index TextIndex.swift, naïvely: 1,000 Dateien"
///    -> us can't index textindex.swift(+ text index swift) naiv 1000 dateien
/// ```
///
/// *Words* follow Unicode's word boundaries (UAX #29) as far as search needs them, by character classes and without a dictionary:
/// - Letters, digits and marks run together. An apostrophe between letters joins (*don't*), a possessive *'s* goes, an elided article
///   (*l'*, *qu'*, *dell'*) goes. A dot between letters or between digits joins, a comma that groups thousands vanishes.
/// - Dotted single letters lose their dots: *U.S.* meets *US*.
/// - What programs are made of is kept whole and is also taken apart: *snake_case*, *file.txt*, *example.com*, *TextIndex*. The parts are
///   *overlaps*: they can be found, but do not make the row longer.
/// - Scripts without spaces become overlapping pairs of characters (Han, kana, Hangul) or of syllables (Thai, Lao, Khmer, Burmese);
///   a single one between others stays alone.
/// - A word of more than 128 bytes is cut.
///
/// One analyzer serves many threads: each call borrows a `Worker`, which holds the stemmers and their cache.
final class Analyzer: Sendable {
    /// Goes up with every change that gives other terms for the same text, so that old indexes are rebuilt.
    static let version = 1

    private let stemmer: String
    private let stopWords: Set<String>
    private let workers = Mutex<[Worker]>([])
    /// More threads than this at once get a worker that is thrown away afterwards.
    private static let idleWorkersMax = 8

    init(stemmer: String, stopWords: String) throws(TextIndexError) {
        guard stemmer == "none" || Stemmer.names.contains(stemmer) else { throw .unknownStemmer(stemmer) }
        guard let words = StopWords.named(stopWords) else { throw .unknownStopWords(stopWords) }
        self.stemmer = stemmer
        self.stopWords = words
    }

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
        private var state: AnalysisState

        fileprivate init(stemmer: String, stopWords: Set<String>) {
            state = AnalysisState(normalizer: TermNormalizer(stemmer: stemmer, stopWords: stopWords))
        }

        deinit { state.release() }

        /// Analyzes one text and shows the result, which is valid during the call.
        func analyze<Result>(_ text: String, _ body: (AnalyzedText) -> Result) -> Result {
            var text = text
            text.withUTF8 { state.analyze($0) }
            return state.tokens.withUnsafeBufferPointer { tokens in
                state.termBytes.withUnsafeBufferPointer { body(AnalyzedText(tokens: tokens, termBytes: $0)) }
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
    /// Counts words, dropped stop words included: neighbours differ by one.
    var position: UInt32
    var role: Role

    enum Role: UInt8 {
        /// An ordinary word.
        case word
        /// A compound that `part`s at the same position and after it also stand for.
        case whole
        /// A part of the `whole` before it: does not count in the length.
        case part
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
