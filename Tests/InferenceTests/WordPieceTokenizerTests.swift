import Foundation
import TestSupport
import Testing

@testable import Inference

/// The vocabulary of the default model, where it lies on the machine.
private enum ModelVocabulary {
    static let path =
        (ProcessInfo.processInfo.environment["OUTRIDER_CACHE"] ?? NSHomeDirectory() + "/.cache/outrider")
        + "/models/src/all-MiniLM-L6-v2/vocab.txt"
    static var exists: Bool { FileManager.default.fileExists(atPath: path) }
    static func load() throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
    }
}

@Suite struct WordPieceTokenizerTests {
    private let uncased: WordPieceTokenizer
    private let cased: WordPieceTokenizer

    init() throws {
        uncased = try WordPieceTokenizer(vocabulary: WordPieceGolden.vocabulary)
        cased = try WordPieceTokenizer(vocabulary: WordPieceGolden.vocabulary, isUncased: false)
    }

    // MARK: The reference implementation

    @Test(arguments: WordPieceGolden.cases.indices)
    func `ids equal those of the reference implementation`(index: Int) {
        let sentence = WordPieceGolden.cases[index]
        #expect(uncased.tokens(of: sentence.text) == sentence.uncased)
        #expect(cased.tokens(of: sentence.text) == sentence.cased)
        #expect(uncased.count(sentence.text) == sentence.uncased.count)
    }

    @Test(.enabled(if: ModelVocabulary.exists, "the default model's vocabulary is not on this machine; 'make demo' fetches it"))
    func `ids equal those of the reference implementation with the default model's vocabulary`() throws {
        let tokenizer = try WordPieceTokenizer(vocabulary: ModelVocabulary.load())
        #expect((tokenizer.pad, tokenizer.unk, tokenizer.cls, tokenizer.sep) == (0, 100, 101, 102))
        for sentence in WordPieceGolden.cases { #expect(tokenizer.tokens(of: sentence.text) == sentence.model, "\(sentence.text)") }
    }

    @Test(arguments: [true, false])
    func `every assigned scalar is cleaned and split as the reference implementation does`(isUncased: Bool) {
        let tokenizer = isUncased ? uncased : cased
        var digest: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ byte: UInt8) { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for value in UInt32(0)..<0x110000 {
            guard let scalar = Unicode.Scalar(value), isInUnicode14(scalar) else { continue }
            var isFirst = true
            tokenizer.forEachWord(in: "a\(scalar)b") { word in
                if !isFirst { add(0x20) }
                isFirst = false
                word.bytes.forEach(add)
                return true
            }
            add(0x0A)
        }
        #expect(digest == (isUncased ? WordPieceGolden.uncasedDigest : WordPieceGolden.casedDigest))
    }

    private func isInUnicode14(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .unassigned, .surrogate, .privateUse: false
        default: scalar.properties.age.map { $0.major <= 14 } ?? false
        }
    }

    // MARK: Properties

    /// The same algorithm in the plainest words: every prefix of the rest, longest first, in a dictionary.
    private func plainPieces(_ word: [UInt8], _ vocabulary: [[UInt8]: Int32]) -> [Int32] {
        var pieces: [Int32] = []
        var start = 0
        while start < word.count {
            let marker: [UInt8] = start == 0 ? [] : Array("##".utf8)
            guard let end = (start + 1...word.count).reversed().first(where: { vocabulary[marker + word[start..<$0]] != nil }) else {
                return [1]
            }
            pieces.append(vocabulary[marker + word[start..<end]]!)
            start = end
        }
        return pieces
    }

    @Test(arguments: UInt64(1)...20)
    func `greedy pieces equal a search through all prefixes`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        func word(_ length: ClosedRange<Int>) -> String {
            String((0..<Int.random(in: length, using: &generator)).map { _ in "abc".randomElement(using: &generator)! })
        }
        let vocabulary =
            ["[PAD]", "[UNK]"] + (0..<200).map { _ in (Bool.random(using: &generator) ? "##" : "") + word(1...6) }
        let tokenizer = try WordPieceTokenizer(vocabulary: vocabulary)
        let table = Dictionary(vocabulary.enumerated().map { (Array($1.utf8), Int32($0)) }, uniquingKeysWith: { $1 })
        var text: [String] = []
        var expected: [Int32] = []
        for _ in 0..<300 {
            let next = word(1...30)
            text.append(next)
            expected += plainPieces(Array(next.utf8), table)
        }
        #expect(tokenizer.tokens(of: text.joined(separator: " ")) == expected, "seed \(seed)")
    }

    private static let alphabet: [Character] =
        Array("thecatsunhappilyness .,!?-'")
        + [
            "é", "e\u{301}", "\u{301}", "\u{323}", "漢", "字", "か", "な", "안", "हि", "\u{200D}", "\u{FE0F}", "👩‍👧", "🇩🇪", "\r\n", "\0", "\u{FFFD}",
            "ﬁ", "İ", "\u{AD}", "≮",
        ]

    private func ugly(_ generator: inout SeededGenerator, count: Int) -> String {
        String((0..<count).map { _ in Self.alphabet.randomElement(using: &generator)! })
    }

    @Test(arguments: UInt64(1)...60)
    func `a prefix is the longest with at most so many tokens`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text = ugly(&generator, count: Int.random(in: 0...40, using: &generator))
        let boundaries = text.indices.map { text.utf8.distance(from: text.startIndex, to: $0) } + [text.utf8.count]
        let counts = (text.indices + [text.endIndex]).map { uncased.count(String(text[..<$0])) }
        for limit in 0...(counts.last! + 1) {
            let longest = Array(zip(boundaries, counts)).last { $0.1 <= limit }!.0
            #expect(uncased.prefixLength(text, limit: limit) == longest, "seed \(seed), limit \(limit), text \(text.debugDescription)")
        }
        #expect(uncased.prefixLength(text, limit: -1) == uncased.prefixLength(text, limit: 0))
    }

    @Test(arguments: UInt64(1)...30)
    func `a limit gives the first tokens`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let text = ugly(&generator, count: 60)
        let all = uncased.tokens(of: text)
        #expect(uncased.count(text) == all.count)
        for limit in 0...(all.count + 2) { #expect(uncased.tokens(of: text, limit: limit) == Array(all.prefix(limit)), "seed \(seed)") }
        var more: [Int32] = [7]
        uncased.appendTokens(of: text, limit: 3, to: &more)
        #expect(more == [7] + all.prefix(3))
    }

    @Test func `one character of a megabyte is cut in linear time`() {
        let text = "cat a" + String(repeating: "\u{301}", count: 200_000) + " cat"
        let start = ContinuousClock.now
        #expect(uncased.prefixLength(text, limit: 1) == 4)
        #expect(uncased.prefixLength(text, limit: 2) == text.utf8.count - 3)
        #expect(uncased.tokens(of: text) == [6, 15, 6])
        #expect(ContinuousClock.now - start < .seconds(30))
    }

    @Test func `a word of a hundred characters is made of pieces and a longer one is unknown`() {
        #expect(uncased.tokens(of: String(repeating: "a", count: 100)) == [15] + [Int32](repeating: 16, count: 99))
        for count in [101, 1000, 100_000] { #expect(uncased.tokens(of: String(repeating: "A", count: count)) == [1]) }
        // Characters count after normalisation: accents do not, the parts of a Hangul syllable do.
        #expect(uncased.tokens(of: String(repeating: "a\u{301}", count: 100)).count == 100)
    }

    // MARK: Vocabularies

    @Test func `the name of a special token in a text is plain text`() {
        let tokens = uncased.tokens(of: "[CLS] [SEP] [PAD]")
        #expect(!tokens.contains(uncased.cls) && !tokens.contains(uncased.sep) && !tokens.contains(uncased.pad))
    }

    @Test func `a vocabulary without an unknown token is refused by name`() {
        #expect { try WordPieceTokenizer(vocabulary: ["a", "b"]) } throws: { "\($0)".contains("[UNK]") && "\($0)".contains("2") }
    }

    @Test func `equal entries that differ in their bytes are two entries`() throws {
        let tokenizer = try WordPieceTokenizer(vocabulary: ["[UNK]", "caf\u{E9}", "cafe\u{301}"], isUncased: false)
        #expect(tokenizer.tokens(of: "caf\u{E9} cafe\u{301}") == [1, 2])
    }

    @Test func `accents can stay while words are lower-cased`() throws {
        let tokenizer = try WordPieceTokenizer(vocabulary: ["[UNK]", "café", "cafe"], isUncased: true, stripsAccents: false)
        #expect(tokenizer.tokens(of: "CAFÉ CAFE") == [1, 2])
        let stripped = try WordPieceTokenizer(vocabulary: ["[UNK]", "café", "cafe", "Cafe"], isUncased: false, stripsAccents: true)
        #expect(stripped.tokens(of: "Café café CAFÉ") == [3, 2, 0])
    }

    @Test func `a vocabulary in llama's notation comes back in WordPiece's`() {
        let tokens = ["[PAD]", "[UNK]", "▁walk", "ing", "▁[", "[x", "▁▁"]
        #expect(WordPieceTokenizer.vocabulary(fromGGUF: tokens) == ["[PAD]", "[UNK]", "walk", "##ing", "[", "##[x", "▁"])
        #expect(
            WordPieceTokenizer.vocabulary(fromGGUF: ["[PAD]", "[x]", "▁a", "b"], kinds: [3, 1, 1, 5]) == ["[PAD]", "##[x]", "a", "b"])
    }
}
