import Foundation
import TestSupport
import Testing

@testable import TextSearch

/// A word may be passed over at a glance only where its analysis could not have given a wanted term.
struct BeginningsTests {
    private static let endings = [
        "", "s", "es", "ies", "ing", "ying", "ed", "ied", "y", "ly", "ally", "ational", "ization", "fulness", "eed", "e", "ee", "er", "est",
        "ment", "sses", "'s",
    ]
    private static let between = [
        " ", ". ", ", ", "\n", "-", " - ", ".", "/", "_", "'", " \u{2019}", ": ", "\u{2011}", "; (", " é", "\u{2019}", " 12 ", "12",
    ]

    private static func text(_ random: inout SeededGenerator, words: [String]) -> String {
        var text = ""
        for _ in 0..<60 {
            var word = words.randomElement(using: &random)!
            switch Int.random(in: 0..<8, using: &random) {
            case 0: word = word.uppercased()
            case 1: word = word.capitalized
            case 2: word += words.randomElement(using: &random)!.capitalized
            default: break
            }
            text += word + between.randomElement(using: &random)!
        }
        return text
    }

    @Test(arguments: ["none", "porter", "english", "german", "french"])
    func `words that begin otherwise have no wanted term`(stemmer: String) throws {
        var random = SeededGenerator(seed: 41)
        let analyzer = try Analyzer(stemmer: stemmer, stopWords: "none")
        let stems = [
            "a", "o", "d", "sk", "sky", "dy", "die", "ti", "tie", "ag", "run", "eat", "by", "yy", "ye", "us", "ion", "con", "co", "x",
        ]
        let words = stems.flatMap { stem in Self.endings.map { stem + $0 } }
        var foundCount = 0
        for _ in 0..<600 {
            let question = (0..<Int.random(in: 1...4, using: &random)).map { _ in words.randomElement(using: &random)! }.joined(
                separator: " ")
            let text = Self.text(&random, words: words)
            let (all, some) = analyzer.withWorker { worker in
                let terms = worker.analyze(question, isQuestion: true) { analyzed in analyzed.tokens.map { Array(analyzed.bytes(of: $0)) } }
                func wanted(_ beginnings: WordBeginnings?) -> [[Int]] {
                    var text = text
                    return text.withUTF8 { utf8 in
                        worker.analyze(utf8, in: .unknown, only: beginnings) { analyzed in
                            analyzed.tokens.filter { terms.contains(Array(analyzed.bytes(of: $0))) }
                                .map { [Int($0.sourceStart), Int($0.sourceEnd), Int($0.position)] }
                        }
                    }
                }
                return (wanted(nil), wanted(WordBeginnings(of: terms)))
            }
            foundCount += all.count
            #expect(all == some, "\(question) in \(text)")
        }
        #expect(foundCount > 150)
    }

    @Test(arguments: ["auto", "porter", "none"])
    func `noted words give the highlights that the text gives`(stemmer: String) throws {
        var random = SeededGenerator(seed: 43)
        var configuration = plainConfiguration
        configuration.stemmer = stemmer
        let index = try TextIndex(directory: "/nonexistent", configuration: configuration)
        let stems = ["run", "sky", "die", "größ", "naiv", "US", "a1", "file.txt", "snake_case", "1,000", "ag", "it", "don't", "é"]
        let words = stems.flatMap { stem in Self.endings.prefix(8).map { stem + $0 } }
        var foundCount = 0
        for _ in 0..<300 {
            let text = Self.text(&random, words: words)
            let question = (0..<4).map { _ in words.randomElement(using: &random)! }.joined(separator: " ")
            let highlighter = index.highlighter(of: index.prepare(question))
            let noted = try #require(highlighter.words(of: text, known: nil))
            let ranges = highlighter.ranges(in: text)
            foundCount += ranges.count
            #expect(highlighter.ranges(in: noted) == ranges, "\(question) in \(text)")
            #expect(highlighter.words(of: text, known: noted) === noted)
        }
        #expect(foundCount > 300)
        let long = index.highlighter(of: index.prepare("run"))
        #expect(long.words(of: String(repeating: "run ", count: 20_000), known: nil) == nil)
        // Single characters of scripts without spaces are looked for inside of pairs: only the text tells where.
        let single = index.highlighter(of: index.prepare("雨"))
        #expect(single.words(of: "雨が降る", known: nil).map { single.ranges(in: $0) == nil } == true)
        let other = try TextIndex(directory: "/nonexistent", configuration: configuration)
        let noted = try #require(long.words(of: "run", known: nil))
        #expect(other.highlighter(of: other.prepare("run")).words(of: "run", known: noted) !== noted)
    }
}
