import Foundation

/// SentencePiece's unigram model: of all ways to cut a word into pieces of the vocabulary, the most probable.
///
/// ```
///  "Größe  ﬁne"                    text
///     │ normalise: compatibility forms, white space
///     ▼
///  ▁Größe │ ▁fine                  words, each behind the mark of a blank
///     │ Viterbi: best[e] = max over pieces p that end at e of best[e - |p|] + score(p)
///     ▼
///  ▁Gr, öße, ▁fine                 pieces; characters that no piece has are one <unk> together
/// ```
///
/// Kudo, "Subword Regularization", ACL 2018, §3; the models are those of XLM-RoBERTa and its kin (multilingual E5, BGE-M3). Ids agree with the `tokenizers` package but where a
/// sequence of combining marks has no composed form in the model's own table, and in words of more than 2,048 characters, which are cut there: so time and memory stay linear.
package struct UnigramTokenizer: SequenceTokenizer {
    package let cls: Int32
    package let sep: Int32
    /// Token of characters that no piece has.
    package let unk: Int32
    package let vocabularyCount: Int

    private let table: UnigramTable
    private let unknownScore: Float
    /// What scalars become before anything else; those that are missing stay.
    private let replacements: [UInt32: [Unicode.Scalar]]
    private let replacedASCII: [Bool]

    private static let wordLengthMax = 2048
    private static let blank = Array("\u{2581}".utf8)

    /// - Parameters:
    ///   - vocabulary: One entry for each id, `▁` for a blank.
    ///   - scores: Logarithm of each entry's probability; as many.
    ///   - isPiece: Whether text may become the entry: not for special and unused ones.
    ///   - normalizer: Flat: a scalar, how many scalars replace it (0 removes it), and these, again and again. Nil = Unicode's compatibility composition (NFKC).
    /// - Throws: `InferenceError.failed` when the parts do not fit each other.
    package init(
        vocabulary: [String], scores: [Float], isPiece: (Int) -> Bool, normalizer: [Int32]?, classToken: Int, separatorToken: Int,
        unknownToken: Int
    ) throws {
        func refuse(_ reason: String) -> InferenceError { .failed(name: "unigram vocabulary", reason: reason) }
        guard scores.count == vocabulary.count, vocabulary.count <= 1 << 24 else {
            throw refuse("\(vocabulary.count) entries, \(scores.count) scores; there must be as many, and at most \(1 << 24)")
        }
        for (name, id) in [("class", classToken), ("separator", separatorToken), ("unknown", unknownToken)] {
            guard vocabulary.indices.contains(id) else { throw refuse("the \(name) token is \(id) of \(vocabulary.count)") }
        }
        cls = Int32(classToken)
        sep = Int32(separatorToken)
        unk = Int32(unknownToken)
        vocabularyCount = vocabulary.count
        var lowest: Float = 0
        for index in vocabulary.indices where isPiece(index) {
            guard scores[index].isFinite else { throw refuse("the score of entry \(index) is \(scores[index])") }
            lowest = min(lowest, scores[index])
        }
        // Kudo's reference program: an unknown character costs ten more than the rarest piece.
        unknownScore = lowest - 10
        table = UnigramTable(vocabulary, scores: scores, isPiece: { isPiece($0) && $0 != unknownToken })
        var replacements: [UInt32: [Unicode.Scalar]] = [:]
        var replacedASCII = [Bool](repeating: false, count: 128)
        if let normalizer {
            var index = 0
            while index < normalizer.count {
                guard index + 1 < normalizer.count, normalizer[index + 1] >= 0, index + 2 + Int(normalizer[index + 1]) <= normalizer.count
                else {
                    throw refuse("the table of replacements ends inside an entry, at number \(index) of \(normalizer.count)")
                }
                let end = index + 2 + Int(normalizer[index + 1])
                let source = UInt32(bitPattern: normalizer[index])
                replacements[source] = try normalizer[index + 2..<end].map {
                    guard let scalar = Unicode.Scalar(UInt32(bitPattern: $0)) else {
                        throw refuse("a replacement is \($0), which is no character")
                    }
                    return scalar
                }
                if source < 128 { replacedASCII[Int(source)] = true }
                index = end
            }
        }
        self.replacements = replacements
        self.replacedASCII = replacedASCII
        usesCompatibilityForm = normalizer == nil
    }

    private let usesCompatibilityForm: Bool

    // MARK: Tokens

    package func appendTokens(of text: String, limit: Int, to tokens: inout [Int32]) {
        guard limit > 0 else { return }
        let start = tokens.count
        var lattice = Lattice()
        forEachWord(in: text) { word in
            lattice.fill(word, table, unknown: unk, unknownScore: unknownScore)
            lattice.appendBest(to: &tokens)
            return tokens.count - start < limit
        }
        if tokens.count - start > limit { tokens.removeLast(tokens.count - start - limit) }
    }

    package func count(_ text: String) -> Int {
        var count = 0
        var lattice = Lattice()
        forEachWord(in: text) { word in
            lattice.fill(word, table, unknown: unk, unknownScore: unknownScore)
            count += lattice.count
            return true
        }
        return count
    }

    package func prefixLength(_ text: String, limit: Int) -> Int {
        var count = 0
        var length = 0
        var isWhole = true
        var lattice = Lattice()
        let isOwnForm = forEachWord(in: text) { word in
            lattice.fill(word, table, unknown: unk, unknownScore: unknownScore)
            if count + lattice.count > limit {
                // The best cut up to a character does not depend on what follows it: so the counts along the word are those of the prefixes.
                for position in stride(from: lattice.counts.count - 1, to: 0, by: -1) where count + Int(lattice.counts[position]) <= limit {
                    length = max(length, word.sourceEnds[position - 1])
                    break
                }
                isWhole = false
                return false
            }
            count += lattice.count
            length = word.sourceEnds.last ?? length
            return true
        }
        if isWhole { return text.utf8.count }
        guard isOwnForm else { return Self.shortened(text, to: limit, count: self.count) }
        // A character of several scalars is not cut.
        let utf8 = text.utf8
        let index = utf8.index(utf8.startIndex, offsetBy: min(length, utf8.count))
        return utf8.distance(from: utf8.startIndex, to: Self.characterStart(text, at: index))
    }

    /// The last boundary of a character at or before an index.
    private static func characterStart(_ text: String, at index: String.Index) -> String.Index {
        index == text.endIndex ? index : text.rangeOfComposedCharacterSequence(at: index).lowerBound
    }

    /// Where the text had to be composed first, positions in it are found by halving.
    private static func shortened(_ text: String, to limit: Int, count: (String) -> Int) -> Int {
        var (low, high) = (text.startIndex, text.endIndex)
        while low < high {
            let distance = text.distance(from: low, to: high)
            let middle = text.index(low, offsetBy: (distance + 1) / 2)
            if count(String(text[..<middle])) <= limit { low = middle } else { high = text.index(before: middle) }
        }
        return text.utf8.distance(from: text.utf8.startIndex, to: low)
    }

    // MARK: Words

    /// A word as the model reads it: behind a blank's mark, with where each of its characters ends in the text.
    struct Word {
        var bytes: [UInt8] = []
        /// Where characters begin in `bytes`.
        var starts: [Int] = []
        /// For each character, the end in the text's UTF-8 of what it came from.
        var sourceEnds: [Int] = []

        mutating func begin(at offset: Int) {
            bytes.removeAll(keepingCapacity: true)
            starts.removeAll(keepingCapacity: true)
            sourceEnds.removeAll(keepingCapacity: true)
            starts.append(0)
            sourceEnds.append(offset)
            bytes.append(contentsOf: UnigramTokenizer.blank)
        }

        mutating func append(_ scalar: Unicode.Scalar, end: Int) {
            starts.append(bytes.count)
            sourceEnds.append(end)
            if scalar.value < 128 { bytes.append(UInt8(scalar.value)) } else { bytes.append(contentsOf: UTF8.encode(scalar)!) }
        }
    }

    /// Passes the words of a text on until `body` says false.
    ///
    /// - Returns: Whether positions refer to the text as it is; false when it had to be composed first.
    @discardableResult
    private func forEachWord(in text: String, _ body: (Word) -> Bool) -> Bool {
        var source = text
        var isOwnForm = true
        if !text.utf8.allSatisfy({ $0 < 0x80 }) {
            let composed =
                usesCompatibilityForm ? text.precomposedStringWithCompatibilityMapping : text.precomposedStringWithCanonicalMapping
            if !composed.utf8.elementsEqual(text.utf8) {
                source = composed
                isOwnForm = false
            }
        }
        var word = Word()
        var isInside = false
        var offset = 0
        func take(_ scalar: Unicode.Scalar, _ end: Int, _ goesOn: inout Bool) {
            if scalar.properties.isWhitespace || scalar.value == 0x2581 {
                if isInside { goesOn = body(word) }
                isInside = false
                return
            }
            if isInside && word.starts.count > Self.wordLengthMax {
                goesOn = body(word)
                isInside = false
                if !goesOn { return }
            }
            if !isInside { word.begin(at: offset) }
            isInside = true
            word.append(scalar, end: end)
        }
        for scalar in source.unicodeScalars {
            let end = offset + UTF8.width(scalar)
            var goesOn = true
            if scalar.value < 128 ? !replacedASCII[Int(scalar.value)] : replacements[scalar.value] == nil {
                take(scalar, end, &goesOn)
            } else if let replacement = replacements[scalar.value] {
                for scalar in replacement where goesOn { take(scalar, end, &goesOn) }
            }
            if !goesOn { return isOwnForm }
            offset = end
        }
        if isInside { _ = body(word) }
        return isOwnForm
    }

    // MARK: Viterbi

    /// The best way to each character of a word.
    private struct Lattice {
        private var best: [Float] = []
        private var ids: [Int32] = []
        private var from: [Int32] = []
        /// Tokens on the best way to each position; the first is 0.
        private(set) var counts: [Int32] = []
        private var way: [Int32] = []
        private var unknown: Int32 = 0

        var count: Int { Int(counts.last ?? 0) }

        mutating func fill(_ word: Word, _ table: UnigramTable, unknown: Int32, unknownScore: Float) {
            let length = word.starts.count
            self.unknown = unknown
            best.removeAll(keepingCapacity: true)
            best.append(contentsOf: repeatElement(-.infinity, count: length + 1))
            ids.removeAll(keepingCapacity: true)
            ids.append(contentsOf: repeatElement(unknown, count: length + 1))
            from.removeAll(keepingCapacity: true)
            from.append(contentsOf: repeatElement(0, count: length + 1))
            counts.removeAll(keepingCapacity: true)
            counts.append(contentsOf: repeatElement(0, count: length + 1))
            best[0] = 0
            ids[0] = -1
            for start in 0..<length {
                let reached = best[start]
                let reachedCount = counts[start]
                table.forEachPiece(in: word.bytes, from: start, starts: word.starts) { end, id, score in
                    if reached + score > best[end] {
                        best[end] = reached + score
                        ids[end] = id
                        from[end] = Int32(start)
                        counts[end] = reachedCount + 1
                    }
                }
                if reached + unknownScore > best[start + 1] {
                    best[start + 1] = reached + unknownScore
                    ids[start + 1] = unknown
                    from[start + 1] = Int32(start)
                    // Neighbours that no piece has are one token.
                    counts[start + 1] = reachedCount + (ids[start] == unknown ? 0 : 1)
                }
            }
        }

        mutating func appendBest(to tokens: inout [Int32]) {
            way.removeAll(keepingCapacity: true)
            var position = counts.count - 1
            while position > 0 {
                if ids[position] != unknown || way.last != unknown { way.append(ids[position]) }
                position = Int(from[position])
            }
            tokens.append(contentsOf: way.reversed())
        }
    }
}

/// Pieces by their bytes: a hash table over one block of memory.
final class UnigramTable: Sendable {
    private struct Entry: Sendable {
        var hash: UInt64 = 0
        var offset: UInt32 = 0
        var length: UInt32 = 0
        var id: Int32 = -1
        var score: Float = 0
    }

    private let entries: [Entry]
    private let mask: Int
    private let text: [UInt8]
    private let lengthMax: Int

    private static let basis: UInt64 = 0xcbf2_9ce4_8422_2325
    /// One step of FNV-1a (Fowler, Noll, Vo), so that the hash of a longer piece goes on from that of a shorter one.
    @inline(__always)
    private static func step(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    @inline(__always)
    private static func slot(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash ^ hash >> 29) }

    init(_ vocabulary: [String], scores: [Float], isPiece: (Int) -> Bool) {
        var size = 16
        while size < vocabulary.count * 2 { size *= 2 }
        var entries = [Entry](repeating: Entry(), count: size)
        var text: [UInt8] = []
        var longest = 0
        for (id, piece) in vocabulary.enumerated() where isPiece(id) && !piece.isEmpty {
            let bytes = Array(piece.utf8)
            let hash = bytes.reduce(Self.basis, Self.step)
            var slot = Self.slot(hash) & (size - 1)
            while entries[slot].id >= 0 { slot = (slot + 1) & (size - 1) }
            entries[slot] = Entry(hash: hash, offset: UInt32(text.count), length: UInt32(bytes.count), id: Int32(id), score: scores[id])
            text += bytes
            longest = max(longest, bytes.count)
        }
        self.entries = entries
        self.text = text
        mask = size - 1
        lengthMax = longest
    }

    /// Every piece that begins at a character of a word, with the character behind its end.
    @inline(__always)
    func forEachPiece(in word: [UInt8], from start: Int, starts: [Int], _ body: (Int, Int32, Float) -> Void) {
        let first = starts[start]
        var hash = Self.basis
        var position = first
        for end in start + 1...starts.count {
            let stop = end < starts.count ? starts[end] : word.count
            guard stop - first <= lengthMax else { return }
            while position < stop {
                hash = Self.step(hash, word[position])
                position += 1
            }
            var slot = Self.slot(hash) & mask
            while entries[slot].id >= 0 {
                let entry = entries[slot]
                if entry.hash == hash, Int(entry.length) == stop - first,
                    text[Int(entry.offset)..<Int(entry.offset) + stop - first].elementsEqual(word[first..<stop])
                {
                    body(end, entry.id, entry.score)
                    break
                }
                slot = (slot + 1) & mask
            }
        }
    }
}
