import Inference
import TestSupport
import Testing

@Suite struct TestDoubleTests {
    private func dot(_ a: ArraySlice<Float>, _ b: ArraySlice<Float>) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

    @Test(arguments: [1, 2, 7, 64, 384])
    func `hash vectors have unit length and the right shape`(dimension: Int) async throws {
        let embedder = HashEmbedder(dimension: dimension)
        let texts = ["", "one", "one two three", "!?", "Größe 漢字", String(repeating: "word ", count: 1000)]
        let rows = try await embedder.embed(texts, for: .document)
        #expect(rows.count == texts.count * dimension)
        for index in texts.indices {
            let row = rows[index * dimension..<(index + 1) * dimension]
            #expect(abs(dot(row, row) - 1) < 1e-5, "text \(index)")
        }
    }

    @Test func `hash vectors of texts that share words are nearer`() async throws {
        let rows = try await HashEmbedder(dimension: 128).embed(
            ["the red fox jumps", "a red fox jumps high", "stock market report today"], for: .query)
        let (a, b, c) = (rows[0..<128], rows[128..<256], rows[256..<384])
        #expect(dot(a, b) > dot(a, c) + 0.3)
    }

    @Test func `hash vectors are the same in every process`() async throws {
        // Swift's own hashing is seeded for each process; these values would change with it.
        let row = try await HashEmbedder(dimension: 8).embed(["alpha beta gamma"], for: .query)
        #expect(row.map { ($0 * 1000).rounded() } == Self.golden)
    }
    private static let golden: [Float] = [-577, -577, 0, 0, 0, 0, 577, 0]

    @Test(arguments: ["", "one", "  lead and trail  ", "a,b;c", "don't stop 12.5", "漢字 かな", "e\u{301}clair 👨‍👩‍👧 x", "\r\n\r\n a"])
    func `a word prefix has at most the limit, and a longer one has more`(text: String) {
        let tokenizer = WordTokenizer()
        let count = tokenizer.count(text)
        for limit in 0...count + 1 {
            let length = tokenizer.prefixLength(text, limit: limit)
            let end = text.utf8.index(text.startIndex, offsetBy: length)
            #expect(tokenizer.count(String(text[..<end])) == min(limit, count))
            if end < text.endIndex { #expect(tokenizer.count(String(text[...end])) == limit + 1) }
        }
    }

    private func collect(
        _ stream: AsyncThrowingStream<GenerationEvent, any Error>
    ) async throws -> (String, FinishReason?, GenerationUsage?) {
        var text = ""
        for try await event in stream {
            switch event {
            case .text(let piece): text += piece
            case .progress: break
            case .finished(let reason, let usage): return (text, reason, usage)
            }
        }
        return (text, nil, nil)
    }

    @Test func `a script is played`() async throws {
        let generator = ScriptedGenerator([.text("a "), .text("b")])
        let (text, reason, usage) = try await collect(generator.generate(.init(messages: [.init(role: .user, content: "one two")])))
        #expect(text == "a b")
        #expect(reason == .stop)
        #expect(usage == GenerationUsage(promptTokens: 2, completionTokens: 2))
        #expect(generator.record.requests.count == 1)
    }

    @Test func `a script keeps the length`() async throws {
        let generator = ScriptedGenerator([.text("a"), .text("b"), .text("c")])
        let (text, reason, _) = try await collect(generator.generate(.init(messages: [], maxTokens: 2)))
        #expect(text == "ab")
        #expect(reason == .length)
    }

    @Test func `a script fails where it is told to`() async {
        let generator = ScriptedGenerator([.text("a"), .fail(.timedOut(name: "x", seconds: 1))])
        await #expect(throws: InferenceError.self) { try await collect(generator.generate(.init(messages: []))) }
    }

    @Test func `a script that hangs ends with its consumer`() async throws {
        let generator = ScriptedGenerator([.text("a"), .hang])
        let task = Task { try await collect(generator.generate(.init(messages: []))) }
        while generator.record.requests.isEmpty { await Task.yield() }
        task.cancel()
        _ = try await task.value
        #expect(generator.record.cancelledCount == 1)
    }

    @Test func `a prompt above the context is refused`() async {
        let generator = ScriptedGenerator([.text("a")], contextLength: 3)
        do {
            _ = try await collect(generator.generate(.init(messages: [.init(role: .user, content: "one two three four")])))
            Issue.record("the prompt was taken")
        } catch InferenceError.promptTooLong(let tokens, let limit) {
            #expect((tokens, limit) == (4, 3))
        } catch { Issue.record("\(error)") }
    }
}
