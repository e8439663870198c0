/// BERT's WordPiece: words are cleaned, split at white space and punctuation, then cut greedily into the longest pieces of a vocabulary.
///
/// ```
///  "Re-embedding cafés!"                        text, UTF-8
///     │ clean, lower-case, strip accents, split
///     ▼
///  re │ - │ embedding │ cafes │ !              words
///     │ longest piece first; ##… goes on inside a word
///     ▼
///  re, -, em, ##bed, ##ding, cafe, ##s, !      pieces; one word that cannot be made of pieces is [UNK]
/// ```
///
/// The algorithm is that of Devlin et al., "BERT", 2019 (Wu et al., "Google's Neural Machine Translation System", 2016, §4.1 for the pieces).
/// Ids agree with the `tokenizers` package on every text, with one exception that is on purpose: the names of special tokens inside a text
/// (`[SEP]`) are plain characters here, so a text cannot forge the structure of a sequence.
///
/// One pass over the bytes, no allocation per word: a word is normalised into a small buffer on the stack, and its pieces are found by
/// looking up hashes of its prefixes, longest first. Measured on one core of a 2.8 GHz server with a vocabulary of 30,522: 12 million
/// tokens (53 MB of English) a second.
package struct WordPieceTokenizer: SequenceTokenizer {
    /// Token that begins a sequence, `[CLS]`.
    package let cls: Int32
    /// Token that ends a sequence, `[SEP]`.
    package let sep: Int32
    /// Token of a word that the pieces cannot make, `[UNK]`.
    package let unk: Int32
    /// Token that fills a batch up, `[PAD]`.
    package let pad: Int32
    /// Number of tokens.
    package let vocabularyCount: Int
    /// Whether words are lower-cased.
    package let isUncased: Bool
    /// Whether accents are taken off.
    package let stripsAccents: Bool

    let characters: WordPieceCharacters
    let pieces: PieceTable
    /// What the vocabulary is made for.
    let vocabularyFitness: VocabularyFitness

    /// A word with more characters than this is unknown.
    static let wordLengthMax = 100
    /// Bytes that a word can take while it is put together: 100 characters of 4 bytes, and room for one more step.
    static let wordSizeMax = wordLengthMax * 4 + 16

    /// - Parameters:
    ///   - vocabulary: One entry for each id, `##` before pieces that go on inside a word. Of equal entries the last one is used.
    ///   - isUncased: Whether the model was trained on lower-cased text.
    ///   - stripsAccents: Whether accents are taken off; nil = when lower-casing, which is BERT's default.
    ///   - unknownToken: And so on: the names of the special tokens in the vocabulary. One that is not there has the id of the unknown token.
    /// - Throws: `InferenceError.failed` when the vocabulary has no unknown token, or more entries than an id can count.
    package init(
        vocabulary: [String], isUncased: Bool = true, stripsAccents: Bool? = nil, unknownToken: String = "[UNK]",
        classToken: String = "[CLS]", separatorToken: String = "[SEP]", paddingToken: String = "[PAD]"
    ) throws {
        guard vocabulary.count <= 1 << 24 else {
            throw InferenceError.failed(
                name: "WordPiece vocabulary", reason: "it has \(vocabulary.count) entries; at most \(1 << 24) are supported")
        }
        // Bytes are compared, not characters: Swift takes é and e + U+0301 for the same string.
        func id(_ name: String) -> Int32? { vocabulary.lastIndex { $0.utf8.elementsEqual(name.utf8) }.map { Int32($0) } }
        guard let unknown = id(unknownToken) else {
            throw InferenceError.failed(
                name: "WordPiece vocabulary",
                reason: "it has no entry '\(unknownToken)' among \(vocabulary.count); is this the vocabulary of a BERT model?")
        }
        unk = unknown
        cls = id(classToken) ?? unknown
        sep = id(separatorToken) ?? unknown
        pad = id(paddingToken) ?? unknown
        vocabularyCount = vocabulary.count
        self.isUncased = isUncased
        self.stripsAccents = stripsAccents ?? isUncased
        characters = WordPieceCharacters.shared(lowercases: isUncased, stripsAccents: stripsAccents ?? isUncased)
        pieces = PieceTable(vocabulary)
        vocabularyFitness = VocabularyFitness(vocabulary)
    }

    /// A vocabulary as GGUF files hold it, in the notation that ``init(vocabulary:isUncased:stripsAccents:unknownToken:classToken:separatorToken:paddingToken:)`` takes.
    ///
    /// llama.cpp marks the beginning of a word (`▁walk`), WordPiece what goes on (`##ing`).
    ///
    /// - Parameters:
    ///   - tokens: `tokenizer.ggml.tokens`.
    ///   - kinds: `tokenizer.ggml.token_type`; 1 is a normal token. Without it, `[Name]` in brackets is taken for a special token.
    package static func vocabulary(fromGGUF tokens: [String], kinds: [Int32]? = nil) -> [String] {
        tokens.enumerated().map { index, token in
            if let kinds, kinds.indices.contains(index), kinds[index] != 1 { return token }
            var bytes = token.utf8[...]
            if bytes.starts(with: "\u{2581}".utf8) {
                bytes = bytes.dropFirst("\u{2581}".utf8.count)
                return String(decoding: bytes, as: UTF8.self)
            }
            if kinds == nil && bytes.first == UInt8(ascii: "[") && bytes.last == UInt8(ascii: "]") && bytes.count > 2 { return token }
            return "##" + token
        }
    }

    /// Appends the first `limit` tokens of a text, without special tokens, to an array whose memory is used again and again.
    package func appendTokens(of text: String, limit: Int = .max, to tokens: inout [Int32]) {
        guard limit > 0 else { return }
        let start = tokens.count
        forEachWord(in: text) { word in
            pieces.split(word.bytes, characterCount: word.characterCount, unknown: unk, into: &tokens)
            return tokens.count - start < limit
        }
        if tokens.count - start > limit { tokens.removeLast(tokens.count - start - limit) }
    }

    package func count(_ text: String) -> Int {
        var count = 0
        var tokens: [Int32] = []
        forEachWord(in: text) { word in
            tokens.removeAll(keepingCapacity: true)
            pieces.split(word.bytes, characterCount: word.characterCount, unknown: unk, into: &tokens)
            count += tokens.count
            return true
        }
        return count
    }
}
