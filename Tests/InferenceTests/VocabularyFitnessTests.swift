import TestSupport
import Testing

@testable import Inference

struct VocabularyFitnessTests {
    private static let letters = "abcdefghijklmnopqrstuvwxyz".flatMap { ["\($0)", "##\($0)"] }

    private func tokenizer(_ words: [String]) throws -> WordPieceTokenizer {
        try WordPieceTokenizer(vocabulary: ["[UNK]", "[CLS]", "[SEP]", "[PAD]"] + Self.letters + ["ш", "##ш", "水"] + words)
    }

    @Test func `whole words are known, letters are not`() throws {
        let english = try tokenizer(["harbour", "winter", "closed", "##ing"])
        #expect(english.fitness(of: "Harbour closed, winter!") == 1)
        #expect(english.fitness(of: "zyx wvu") == 0)
        #expect(english.fitness(of: "шшш шш") == 0)
        let mixed = english.fitness(of: "harbour zyxw")
        #expect(mixed > 0 && mixed < 1)
    }

    @Test func `what cannot be made of pieces is not known`() throws {
        let english = try tokenizer(["harbour"])
        #expect(english.fitness(of: "ท่าเรือปิดเพราะพายุ") == 0)
        #expect(english.fitness(of: "水水水 火") == 0)
    }

    @Test func `numbers and signs say nothing`() throws {
        let english = try tokenizer(["harbour"])
        for text in ["", "4711.05-3", "— “ ”", "12 / 30"] { #expect(english.fitness(of: text) == 1) }
    }

    @Test func `a vocabulary for many languages, or for Chinese, is taken at its word`() throws {
        let many = VocabularyFitness(vocabularyCount: 250_000, knowsHan: false)
        #expect(many.fitness(letterCount: 10, pieceCount: 10) == 1)
        let chinese = try WordPieceTokenizer(
            vocabulary: ["[UNK]"] + (0x4E00..<0x5A00).map { String(Unicode.Scalar($0)!) })
        #expect(chinese.fitness(of: "一丁丂七") == 1)
    }

    @Test func `a long text is judged by its beginning`() throws {
        let english = try tokenizer(["harbour"])
        #expect(english.fitness(of: String(repeating: "harbour ", count: 1000) + String(repeating: "z", count: 90)) == 1)
    }

    @Test func `a tokenizer that does not say is trusted`() { #expect(WordTokenizer().fitness(of: "ท่าเรือ") == 1) }
}
