import Documents
import Foundation
import Inference
import Parsing
import Synchronization
import TestSupport
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
        var random = SeededGenerator(seed: seed)
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

extension ChunkerTests {
    /// One token for each run of ASCII letters of at most eight, and for each other character that is not white; counts the bytes it was given.
    private final class CountingTokenizer: Tokenizer {
        private let given = Mutex(0)
        private let largest = Mutex(0)
        var byteCount: Int { given.withLock { $0 } }
        var largestText: Int { largest.withLock { $0 } }

        private func scan(_ text: String, limit: Int) -> (tokens: Int, end: Int) {
            given.withLock { $0 += text.utf8.count }
            largest.withLock { $0 = max($0, text.utf8.count) }
            var tokens = 0
            var run = 0
            var offset = 0
            for scalar in text.unicodeScalars {
                let isLetter = scalar.isASCII && scalar.properties.isAlphabetic
                let begins = isLetter ? run % 8 == 0 : scalar.value > 32
                run = isLetter ? run + 1 : 0
                if begins {
                    if tokens == limit { return (tokens, offset) }
                    tokens += 1
                }
                offset += UTF8.width(scalar)
            }
            return (tokens, offset)
        }
        func count(_ text: String) -> Int { scan(text, limit: .max).tokens }
        func prefixLength(_ text: String, limit: Int) -> Int { scan(text, limit: limit).end }
    }

    private static let hard = [
        "one cell of words", "no white space", "nothing but combining marks", "punctuation", "a paragraph of sentences", "a heading",
        "a table of many columns", "many small rows",
    ]

    /// A text of about a size that breaks a chunker which copies what is left.
    private static func hardDocument(_ name: String, _ size: Int) -> ParsedDocument {
        func repeated(_ text: String) -> String { String(repeating: text, count: size / text.utf8.count) }
        switch name {
        case "one cell of words": return document([(.tableRow(header: nil), repeated("lorem ipsum dolor "))])
        case "no white space": return document([(.paragraph, repeated("abcdefghij"))])
        case "nothing but combining marks": return document([(.paragraph, "e" + repeated("\u{301}"))])
        case "punctuation": return document([(.listItem, repeated("."))])
        case "a paragraph of sentences": return document([(.paragraph, repeated("It rained again. "))])
        case "a heading": return document([(.heading(level: 1), repeated("word ")), (.paragraph, "Text.")])
        case "a table of many columns":
            let columns = 0..<size / 20
            let header = columns.map { "column \($0)" }.joined(separator: " | ")
            let row = columns.map { "\($0)" }.joined(separator: " | ")
            var table = document([(.tableRow(header: nil), header), (.tableRow(header: nil), row)])
            table.blocks[1].kind = .tableRow(header: table.blocks[0].span)
            return table
        default:
            var table = document([(.tableRow(header: nil), "name | number")])
            let header = table.blocks[0].span
            var start = table.text.utf8.count
            for number in 0..<size / 8 {
                let row = "\nr | \(number % 100)"
                table.text += row
                table.blocks.append(Block(kind: .tableRow(header: header), span: start + 1..<start + row.utf8.count))
                start += row.utf8.count
            }
            return table
        }
    }

    @Test(arguments: hard)
    func `the work is linear in the text, whatever it holds`(name: String) throws {
        func work(_ size: Int) throws -> (ratio: Double, checks: Int, largest: Int) {
            let tokenizer = CountingTokenizer()
            let document = Self.hardDocument(name, size)
            var checks = 0
            let chunks = try Chunker(tokenizer: tokenizer, maxTokens: 64, overlapTokens: 8).chunks(of: document) { checks += 1 }
            let bytes = Array(document.text.utf8)
            #expect(chunks.allSatisfy { $0.span.count <= 64 * Chunker.bytesPerToken }, "\(name)")
            #expect(chunks.allSatisfy { $0.heading.utf8.count <= Chunker.headerSizeMax + Chunker.pathSizeMax }, "\(name)")
            #expect(chunks.allSatisfy { String(validating: bytes[$0.span.range], as: UTF8.self) != nil }, "\(name)")
            var covered = 0
            for chunk in chunks where chunk.span.end > covered {
                for index in covered..<max(covered, chunk.span.start) {
                    #expect(bytes[index] <= 32, "\(name): byte \(index) is in no chunk")
                }
                covered = chunk.span.end
            }
            #expect(bytes[covered...].allSatisfy { $0 <= 32 }, "\(name)")
            return (Double(tokenizer.byteCount) / Double(bytes.count), checks, tokenizer.largestText)
        }
        let small = try work(40_000)
        let large = try work(400_000)
        #expect(large.ratio < 20, "\(name): the tokenizer was given each byte \(large.ratio) times")
        #expect(large.ratio < small.ratio * 1.5 + 1, "\(name): \(small.ratio) times at 40 KB, \(large.ratio) times at 400 KB")
        #expect(large.checks >= 400_000 / 70_000, "\(name): looked \(large.checks) times for a cancellation")
        #expect(large.largest <= 64 * 64 * Chunker.bytesPerToken, "\(name): a text of \(large.largest) bytes at once")
    }

    @Test(arguments: hard)
    func `what a caller's check throws ends the work`(name: String) {
        struct Enough: Error {}
        var checks = 0
        #expect(throws: Enough.self) {
            _ = try Chunker(tokenizer: CountingTokenizer(), maxTokens: 64, overlapTokens: 8).chunks(of: Self.hardDocument(name, 400_000)) {
                checks += 1
                if checks == 3 { throw Enough() }
            }
        }
        #expect(checks == 3)
    }

    @Test func `marks stay with their letter at a cut`() {
        let text = String(repeating: "e\u{301}\u{323}", count: 500)
        let chunks = Chunker(tokenizer: CountingTokenizer(), maxTokens: 16, overlapTokens: 0).chunks(
            of: Self.document([(.paragraph, text)]))
        #expect(chunks.count > 50)
        let bytes = Array(text.utf8)
        #expect(chunks.allSatisfy { bytes[$0.span.start] == UInt8(ascii: "e") })
    }

    @Test func `settings out of bounds are taken as the nearest that work`() {
        for (tokens, overlap) in [(1, 0), (64, 63), (0, -5), (-7, 7), (Int.max, Int.max), (Int.min, Int.min)] {
            let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: tokens, overlapTokens: overlap).chunks(of: Self.randomDocument(3))
            #expect(!chunks.isEmpty)
        }
    }

    @Test func `a long header is carried in part, and the rows stay searchable by its first columns`() {
        var document = Self.document([(.tableRow(header: nil), (0..<500).map { "column \($0)" }.joined(separator: " | "))])
        let header = document.blocks[0].span
        for number in 0..<20 {
            let start = document.text.utf8.count + 1
            document.text += "\n" + (0..<30).map { "cell \(number) \($0)" }.joined(separator: " | ")
            document.blocks.append(Block(kind: .tableRow(header: header), span: start..<document.text.utf8.count))
        }
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 200, overlapTokens: 0).chunks(of: document)
        let last = chunks.last!
        #expect(last.heading.hasPrefix("column 0 | column 1 | ") && last.heading.hasSuffix("…"))
        #expect(last.heading.utf8.count <= Chunker.headerSizeMax)
    }

    @Test func `a chunk knows the pages it begins and ends on`() {
        let document = Self.document((0..<40).map { (.paragraph, "Paragraph \($0) of some more words.") })  // ten blocks a page
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 100, overlapTokens: 0).chunks(of: document)
        for chunk in chunks {
            let inside = document.blocks.filter { $0.span.lowerBound >= chunk.span.start && $0.span.upperBound <= chunk.span.end }
            #expect(chunk.page == inside.first?.page && chunk.lastPage == inside.last?.page)
        }
        #expect(chunks.contains { $0.page != $0.lastPage })
    }

    @Test func `a sentence that runs over the end of a page stays whole, and what follows it is on the next page`() {
        let first = "The notice period is three months. It ends with a quarter, and it must be"
        let second = "given by letter. The fitter earns 94 crowns."
        var document = Self.document([(.paragraph, first)])
        document.text += " " + second
        document.blocks[0].page = 1
        document.blocks.append(Block(kind: .paragraph, span: first.utf8.count + 1..<document.text.utf8.count, page: 2))
        let bytes = Array(document.text.utf8)
        let chunks = Chunker(tokenizer: SpaceTokenizer(), maxTokens: 20, overlapTokens: 0).chunks(of: document)
        let texts = chunks.map { String(decoding: bytes[$0.span.range], as: UTF8.self) }
        #expect(texts.contains { $0.contains("it must be given by letter.") }, "\(texts)")
        let over = chunks.first { $0.page != $0.lastPage }
        #expect(over?.page == 1 && over?.lastPage == 2 && chunks.last?.lastPage == 2)
        // Blocks with a line between them are paragraphs of their own.
        let apart = Self.document([(.paragraph, "The first has no stop"), (.paragraph, "the second neither")])
        #expect(Chunker(tokenizer: SpaceTokenizer(), maxTokens: 16, overlapTokens: 0).chunks(of: apart).count == 1)
    }
}
