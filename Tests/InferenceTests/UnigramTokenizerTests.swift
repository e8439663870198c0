import Testing

@testable import Inference

@Suite struct UnigramTokenizerTests {
    private static let vocabulary: [(String, Float)] = [
        ("<s>", 0), ("</s>", 0), ("<unk>", 0), ("▁", -3), ("a", -4), ("b", -4), ("c", -4), ("ab", -5), ("▁ab", -4.5), ("abc", -9.5),
        ("▁a", -4.2), ("é", -6), ("日本", -5),
        ("日", -6), ("本", -6), ("fi", -5),
    ]

    private func tokenizer(normalizer: [Int32]? = []) throws -> UnigramTokenizer {
        try UnigramTokenizer(
            vocabulary: Self.vocabulary.map(\.0), scores: Self.vocabulary.map(\.1), isPiece: { $0 > 2 }, normalizer: normalizer,
            classToken: 0,
            separatorToken: 1, unknownToken: 2)
    }

    private func names(_ tokenizer: UnigramTokenizer, _ text: String) -> [String] {
        tokenizer.tokens(of: text).map { Self.vocabulary[Int($0)].0 }
    }

    /// All ways to cut a word, the plain way.
    private func bestScore(_ word: [Character]) -> Float {
        if word.isEmpty { return 0 }
        var best: Float = -.infinity
        for end in 1...word.count {
            let piece = String(word[..<end])
            if let score = Self.vocabulary.dropFirst(3).first(where: { $0.0 == piece })?.1 {
                best = max(best, score + bestScore(Array(word[end...])))
            }
        }
        return best
    }

    @Test func `the most probable cut wins, as among all cuts`() throws {
        let tokenizer = try tokenizer()
        #expect(names(tokenizer, "ab") == ["▁ab"])
        #expect(names(tokenizer, "abc a") == ["▁ab", "c", "▁a"])
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let word = String((0..<Int.random(in: 1...7, using: &random)).map { _ in "abc".randomElement(using: &random)! })
            let score = tokenizer.tokens(of: word).reduce(Float(0)) { $0 + Self.vocabulary[Int($1)].1 }
            #expect(abs(score - bestScore(Array("▁" + word))) < 1e-4, "\(word)")
            #expect(names(tokenizer, word).joined() == "▁" + word)
        }
    }

    @Test func `blanks of any kind and number part words, and add nothing at the ends`() throws {
        let tokenizer = try tokenizer()
        #expect(tokenizer.tokens(of: "  a \n\t ab\u{3000}") == tokenizer.tokens(of: "a ab"))
        #expect(tokenizer.tokens(of: "").isEmpty && tokenizer.tokens(of: " \n").isEmpty)
        #expect(names(tokenizer, "日本 日") == ["▁", "日本", "▁", "日"])
    }

    @Test func `neighbours that no piece has are one unknown token`() throws {
        let tokenizer = try tokenizer()
        #expect(names(tokenizer, "xyz") == ["▁", "<unk>"])
        #expect(names(tokenizer, "axya") == ["▁a", "<unk>", "a"])
        #expect(tokenizer.count("xyz") == 2 && tokenizer.count("axya xyz") == 5)
    }

    @Test func `special tokens in a text are plain characters`() throws {
        #expect(!(try tokenizer().tokens(of: "<s> </s>").contains { $0 < 2 }))
    }

    @Test func `characters are replaced as the table says`() throws {
        // ﬁ becomes f and i, a soft hyphen goes, a no-break space becomes a blank, É becomes é.
        let tokenizer = try tokenizer(normalizer: [0xFB01, 2, 0x66, 0x69, 0xAD, 0, 0xA0, 1, 0x20, 0xC9, 1, 0xE9])
        #expect(names(tokenizer, "\u{FB01}") == ["▁", "fi"])
        #expect(names(tokenizer, "a\u{AD}b\u{A0}a") == ["▁ab", "▁a"])
        #expect(names(tokenizer, "E\u{301}") == ["▁", "é"])
        // Without a table, Unicode's compatibility forms.
        #expect(names(try self.tokenizer(normalizer: nil), "\u{FB01}\u{FF41}") == ["▁", "fi", "a"])
    }

    @Test(arguments: ["ab abc 日本 xyz é a", "  ab\u{FB01}ab xx é", "abcabcabc", "e\u{301}e\u{301} ab 👩‍👩‍👧 ab", ""])
    func `a prefix has at most so many tokens and ends between characters`(text: String) throws {
        let tokenizer = try tokenizer(normalizer: [0xFB01, 2, 0x66, 0x69])
        let boundaries = Set(text.indices.map { text.utf8.distance(from: text.utf8.startIndex, to: $0) } + [text.utf8.count])
        let all = tokenizer.count(text)
        #expect(all == tokenizer.tokens(of: text).count)
        var last = 0
        for limit in 0...all + 1 {
            let length = tokenizer.prefixLength(text, limit: limit)
            let prefix = String(decoding: Array(text.utf8)[..<length], as: UTF8.self)
            #expect(boundaries.contains(length), "\(length) of '\(text)'")
            #expect(tokenizer.count(prefix) <= limit, "'\(prefix)' has \(tokenizer.count(prefix)) tokens, limit \(limit)")
            #expect(length >= last)
            last = length
            #expect(tokenizer.tokens(of: text, limit: limit) == Array(tokenizer.tokens(of: text).prefix(limit)))
        }
        #expect(last == text.utf8.count)
    }

    @Test func `a word of any length is cut in bounded pieces`() throws {
        let tokenizer = try tokenizer()
        #expect(tokenizer.count(String(repeating: "ab", count: 50_000)) >= 50_000)
    }

    @Test func `a vocabulary that does not fit itself is refused`() {
        func make(_ scores: [Float], unknown: Int = 0, normalizer: [Int32]? = nil) throws {
            _ = try UnigramTokenizer(
                vocabulary: ["<unk>", "a"], scores: scores, isPiece: { $0 > 0 }, normalizer: normalizer, classToken: 0, separatorToken: 0,
                unknownToken: unknown)
        }
        #expect(throws: InferenceError.self) { try make([0]) }
        #expect(throws: InferenceError.self) { try make([0, .nan]) }
        #expect(throws: InferenceError.self) { try make([0, -1], unknown: 2) }
        for table: [Int32] in [[97], [97, 2, 98], [97, -1], [97, 1, 0xD800]] {
            #expect(throws: InferenceError.self) { try make([0, -1], normalizer: table) }
        }
        #expect(throws: Never.self) { try make([0, -1], normalizer: [97, 1, 98]) }
    }
}
