/// How well a vocabulary of pieces knows a text: by the number of letters in a piece.
///
/// A vocabulary holds the frequent words of the texts that it was learned from as wholes, and makes others of ever smaller pieces. So the length of pieces tells the
/// languages of a model without a list of them. With the vocabulary of English BERT:
///
/// ```
///   letters in a piece    English 4.3 - 5.1     Spanish, German 2.8     Hindi 1.15     Arabic, Chinese 1.0
///   fitness                       1                     0.5                  0               0
///   first hit by vectors        0.91                 0.49, 0.60             0.01         0.03, 0.19      (XQuAD, MiniLM)
/// ```
///
/// (On pieces per word as a measure of what a model can do in a language: Rust et al., *How good is your tokenizer?*, ACL 2021, §3.)
package struct VocabularyFitness: Sendable, Hashable {
    /// A vocabulary so large is one for many languages, where pieces are shorter in all of them.
    private static let multilingualCount = 100_000
    /// Chinese has some thousands of characters in use; a vocabulary that was not made for it has a few hundred.
    private static let hanCountMin = 3000
    /// What a known Chinese character is worth, in letters: about half a word.
    private static let lettersInHan = 4
    /// Letters in a piece at which a text is known in full: one English text of twenty has less, of learned words.
    private static let lettersMax: Float = 3.6
    /// Bytes of a text that are looked at.
    package static let sampleMax = 2000

    package let isMultilingual: Bool
    package let knowsHan: Bool

    package init(vocabularyCount: Int, knowsHan: Bool) {
        isMultilingual = vocabularyCount >= Self.multilingualCount
        self.knowsHan = knowsHan
    }

    init(_ vocabulary: [String]) {
        var hanCount = 0
        for entry in vocabulary where entry.utf8.count == 3 && Self.isHan(entry.unicodeScalars.first?.value ?? 0) { hanCount += 1 }
        self.init(vocabularyCount: vocabulary.count, knowsHan: hanCount >= Self.hanCountMin)
    }

    /// The fitness of a text with so many letters in so many pieces; 1 when there are no letters to judge by.
    package func fitness(letterCount: Int, pieceCount: Int) -> Float {
        guard letterCount > 0, pieceCount > 0, !isMultilingual else { return 1 }
        let share = min(1, max(0, (Float(letterCount) / Float(pieceCount) - 1) / (Self.lettersMax - 1)))
        return share * share
    }

    static func isHan(_ scalar: UInt32) -> Bool { (0x3400...0x9FFF).contains(scalar) || (0xF900...0xFAFF).contains(scalar) }

    static func letters(inHanWord isKnown: Bool) -> Int { isKnown ? lettersInHan : 1 }
}

extension WordPieceTokenizer {
    package func fitness(of text: String) -> Float {
        guard !vocabularyFitness.isMultilingual else { return 1 }
        var letterCount = 0
        var pieceCount = 0
        var tokens: [Int32] = []
        forEachWord(in: text) { word in
            guard word.start < VocabularyFitness.sampleMax else { return false }
            guard let first = word.bytes.first, first >= 0x61 else { return true }
            if word.characterCount == 1, first >= 0xE0, word.bytes.count == 3 {
                // Alone stand Chinese characters, and signs, which say nothing.
                let scalar = UInt32(first & 0xF) << 12 | UInt32(word.bytes[1] & 0x3F) << 6 | UInt32(word.bytes[2] & 0x3F)
                guard VocabularyFitness.isHan(scalar) else { return true }
                letterCount += VocabularyFitness.letters(inHanWord: vocabularyFitness.knowsHan)
                pieceCount += 1
                return true
            }
            tokens.removeAll(keepingCapacity: true)
            pieces.split(word.bytes, characterCount: word.characterCount, unknown: unk, into: &tokens)
            letterCount += word.characterCount
            // Of an unknown word the model sees less than its letters.
            pieceCount += tokens == [unk] ? word.characterCount : tokens.count
            return true
        }
        return vocabularyFitness.fitness(letterCount: letterCount, pieceCount: pieceCount)
    }
}
