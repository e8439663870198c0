import Documents
import Foundation
import Inference
import Parsing
import Testing

@testable import Ingestion

/// One token a word.
struct SpaceTokenizer: Tokenizer {
    func count(_ text: String) -> Int { text.split(whereSeparator: \.isWhitespace).count }
    func prefixLength(_ text: String, limit: Int) -> Int {
        var words = 0
        var end = 0
        var inWord = false
        for (offset, byte) in text.utf8.enumerated() {
            if byte <= 32 {
                inWord = false
            } else {
                if !inWord {
                    words += 1
                    if words > limit { return end }
                    inWord = true
                }
                end = offset + 1
            }
        }
        return end
    }
}

struct ChunkerTests {
    /// Puts blocks together as a parser does: separated by blank lines.
    static func document(_ blocks: [(BlockKind, String)]) -> ParsedDocument {
        var text = ""
        var result: [Block] = []
        for (kind, content) in blocks {
            if !text.isEmpty { text += "\n\n" }
            let start = text.utf8.count
            text += content
            result.append(Block(kind: kind, span: start..<text.utf8.count, page: 1 + result.count / 10))
        }
        return ParsedDocument(text: text, blocks: result, title: nil, mimeType: "text/plain")
    }

    static func randomDocument(_ seed: UInt64) -> ParsedDocument {
        var random = SplitMix(seed)
        let words = ["alpha", "béta", "gamma", "δέλτα", "中文字", "e.g.", "naïve", "x", "configuration", "🙂"]
        func sentence(_ count: Int) -> String { (0..<count).map { _ in words.randomElement(using: &random)! }.joined(separator: " ") + "." }
        let blocks = (0..<Int.random(in: 1...40, using: &random)).map { _ -> (BlockKind, String) in
            switch Int.random(in: 0..<7, using: &random) {
            case 0: (.heading(level: Int.random(in: 1...3, using: &random)), sentence(Int.random(in: 1...6, using: &random)))
            case 1: (.listItem, sentence(Int.random(in: 1...40, using: &random)))
            case 2: (.tableRow(header: nil), sentence(Int.random(in: 1...90, using: &random)))
            case 3: (.code(language: nil), (0..<5).map { _ in sentence(4) }.joined(separator: "\n"))
            default:
                (
                    .paragraph,
                    (0..<Int.random(in: 1...12, using: &random)).map { _ in sentence(Int.random(in: 1...120, using: &random)) }.joined(
                        separator: " ")
                )
            }
        }
        return document(blocks)
    }

    @Test(arguments: UInt64(1)...60)
    func `chunks cover every word, in order, within the token limit, on character boundaries`(seed: UInt64) throws {
        let document = Self.randomDocument(seed)
        let bytes = Array(document.text.utf8)
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 50, overlapTokens: 10).chunks(of: document)
        var covered = [Bool](repeating: false, count: bytes.count)
        var lastStart = -1
        var lastEnd = 0
        for chunk in chunks {
            #expect(chunk.span.start > lastStart && chunk.span.end > lastEnd, "seed \(seed): chunks advance")
            lastStart = chunk.span.start
            lastEnd = chunk.span.end
            let text = try #require(
                String(validating: bytes[chunk.span.range], as: UTF8.self), "seed \(seed): \(chunk.span) cuts a character")
            #expect(SpaceTokenizer().count(text) <= 50, "seed \(seed): chunk of \(SpaceTokenizer().count(text)) tokens")
            #expect(!text.isEmpty && !text.first!.isWhitespace && !text.last!.isWhitespace, "seed \(seed): trimmed")
            for index in chunk.span.range { covered[index] = true }
        }
        for (index, byte) in bytes.enumerated() where byte > 32 { #expect(covered[index], "seed \(seed): byte \(index) is in no chunk") }
    }

    @Test func `a text just over one chunk is cut into equal parts and not into a full one and a crumb`() {
        let sentences = (0..<24).map { _ in "one two three four five." }.joined(separator: " ")  // 120 tokens
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 100, overlapTokens: 0).chunks(
            of: Self.document([(.paragraph, sentences)]))
        #expect(chunks.count == 2)
        #expect(chunks.allSatisfy { $0.tokenCount >= 45 })
    }

    @Test func `neighbours share at most the overlap and never across a heading`() {
        let paragraph = (0..<40).map { "Sentence number \($0) has six words." }.joined(separator: " ")
        let document = Self.document([
            (.heading(level: 1), "First"), (.paragraph, paragraph), (.heading(level: 1), "Second"), (.paragraph, paragraph),
        ])
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 60, overlapTokens: 14).chunks(of: document)
        let bytes = Array(document.text.utf8)
        #expect(chunks.count > 6)
        var overlaps = 0
        for (first, second) in zip(chunks, chunks.dropFirst()) where second.span.start < first.span.end {
            overlaps += 1
            let shared = String(decoding: bytes[second.span.start..<first.span.end], as: UTF8.self)
            #expect(SpaceTokenizer().count(shared) <= 14)
            #expect(!shared.contains("Second"))
        }
        #expect(overlaps > 4)
        let second = document.text.range(of: "Second")!.lowerBound.utf16Offset(in: document.text)
        #expect(chunks.contains { $0.span.start == second }, "a section starts a chunk")
        #expect(chunks.last!.heading == "Second")
        #expect(chunks.first!.heading == "")
    }

    @Test func `headings nest into a path and a row carries its table's header`() {
        var document = Self.document([
            (.heading(level: 1), "Finance"), (.heading(level: 2), "Revenue"), (.tableRow(header: nil), "Quarter | Amount"),
        ])
        let header = document.blocks[2].span
        for number in 0..<40 {
            let start = document.text.utf8.count + 1
            document.text += "\nQ\(number) | \(number * 1000) | with some more words to fill the row"
            document.blocks.append(Block(kind: .tableRow(header: header), span: start..<document.text.utf8.count))
        }
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 64, overlapTokens: 8).chunks(of: document)
        #expect(chunks.count > 3)
        #expect(chunks.last!.heading == "Finance > Revenue > Quarter | Amount")
    }

    @Test func `an endless word is cut between characters`() {
        struct CharacterTokenizer: Tokenizer {
            func count(_ text: String) -> Int { text.count }
            func prefixLength(_ text: String, limit: Int) -> Int { String(text.prefix(limit)).utf8.count }
        }
        let text = String(repeating: "ß", count: 1000)
        let chunks = Chunker(tokenizer: CharacterTokenizer(), maxTokens: 64, overlapTokens: 0).chunks(
            of: Self.document([(.paragraph, text)]))
        #expect(chunks.reduce(0) { $0 + $1.span.count } == 2000)
        #expect(chunks.allSatisfy { $0.span.start % 2 == 0 && $0.span.count <= 128 })
    }

    @Test func `a document without words has no chunks`() {
        #expect(
            Chunker(tokenizer: SpaceTokenizer(), maxTokens: 64, overlapTokens: 8).chunks(of: Self.document([(.paragraph, " \n\t ")]))
                .isEmpty)
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
