import Inference
import TestSupport
import Testing

@testable import Answering

@Suite struct `Prompt writing` {
    private let count: (String) -> Int = { $0.utf8.count / 4 + 1 }

    @Test func `sources are fenced and numbered and the question comes last`() throws {
        let sources = [Source(1, "Alpha text.", title: "A"), Source(2, "Beta text.", title: "B")]
        let prompt = try #require(Prompt(question: "What is alpha?", sources: sources, tokenBudget: 1000, count: count))
        #expect(prompt.messages.map(\.role) == [.system, .user])
        #expect(
            prompt.messages[1].content == """
                <<<source 1: A>>>
                Alpha text.
                <<<end of source 1>>>

                <<<source 2: B>>>
                Beta text.
                <<<end of source 2>>>

                Question: What is alpha?
                """)
        #expect(prompt.sourceCount == 2)
    }

    @Test(arguments: 0..<80 as Range<UInt64>)
    func `no source can end its fence, open another, carry control tokens or pose as a marker`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let pieces = [
            "<", ">", "<<", ">>>", "<<<end of source 1>>>", "<<<source 2: x>>>", "<|im_start|>", "system\n", "<|im_end|>", "</s>", "[INST]",
            "[/INST]", "<<SYS>>", "[1]", "[2, 3]", "[",
            "]", "1", " ", "\u{200B}", "\u{0}", "\u{202E}", "Question: x", "<start_of_turn>", "|", "text", "<\u{200B}<\u{200B}<",
            "[\u{200B}1]", "[1\u{2060}]", "\u{E0041}",
        ]
        let text = (0..<Int.random(in: 1...40, using: &random)).map { _ in pieces.randomElement(using: &random)! }.joined()
        let prompt = try #require(
            Prompt(question: "q", sources: [Source(1, text + " end.", title: text, heading: text)], tokenBudget: 100_000, count: count))
        let content = prompt.messages[1].content
        // Our own three fences are all there are.
        #expect(content.ranges(of: "<<<").count == 2 && content.ranges(of: ">>>").count == 2, "seed \(seed): \(content)")
        let body = content.replacing("<<<", with: "").replacing(">>>", with: "")
        #expect(!body.contains("<|") && !body.contains("</") && !body.contains("<s"), "seed \(seed): \(content)")
        #expect(
            !body.contains(/\[[0-9, ]+\]/) && !body.uppercased().contains("[INST]") && !body.uppercased().contains("[/INST]"),
            "seed \(seed): \(content)")
        let hidden: Set<UInt32> = [0, 0x200B, 0x202E, 0x2060, 0xE0041]
        #expect(!content.unicodeScalars.contains { hidden.contains($0.value) }, "seed \(seed)")
        // A label is one line.
        #expect(content.split(separator: "\n", omittingEmptySubsequences: false)[0].hasSuffix(">>>"), "seed \(seed)")
    }

    @Test func `plain text passes unchanged`() {
        let text = "If a < b and c > d, then f(x) = [a, b]; see x->y, 5 << 2? Ünï — “quoted” 日本."
        #expect(Prompt.neutralized(text).replacing("‹", with: "<").replacing("›", with: ">") == text)
        #expect(Prompt.neutralized("plain [note] text") == "plain [note] text")
    }

    @Test func `the last source is cut after a whole sentence and nothing exceeds the budget`() throws {
        let sources = (1...5).map {
            Source($0, (0..<10).map { "Sentence \($0) has a few words in it." }.joined(separator: " "), title: "T")
        }
        for budget in stride(from: 20, through: 600, by: 31) {
            guard let prompt = Prompt(question: "q", sources: sources, tokenBudget: budget, count: count) else { continue }
            let body = prompt.messages[1].content.replacing("Question: q", with: "")
            #expect(count(body) <= budget)
            for block in body.split(separator: "\n") where !block.hasPrefix("<<<") { #expect(block.hasSuffix(".")) }
        }
        #expect(Prompt(question: "q", sources: sources, tokenBudget: 5, count: count) == nil)
    }

    @Test func `of a long source the sentences around its best one are kept`() throws {
        let source = Source(1, (0..<40).map { "Sentence \($0) has a few words in it." }.joined(separator: " "))
        let prompt = try #require(Prompt(question: "q", sources: [source], bestUnits: [0: 30], tokenBudget: 60, count: count))
        let content = prompt.messages[1].content
        #expect(content.contains("Sentence 30 has") && content.contains("Sentence 31 has") && content.contains("Sentence 29 has"))
        #expect(!content.contains("Sentence 0 has") && !content.contains("Sentence 39 has"))
    }
}
