import Documents
import Inference
import Logging
import Retrieval
import TestSupport
import Testing

@testable import Answering

private let documents: [(title: String, text: String)] = [
    ("Terms", "The warranty lasts thirty-one months from delivery. The sender pays for freight up to nine kilograms."),
    ("Menu", "Soup is served at noon. Bread costs two crowns."),
    ("Trains", "The first railway in Japan opened in 1872. It linked Tokyo and Yokohama."),
]
private let asked = "How long is the warranty?"
private let right = "The warranty lasts thirty-one months [1]."
private let alsoRight = "The sender pays for freight up to nine kilograms [1]."
private let wrong = "The warranty lasts forty-four months [1]."
private let invented = "Freight costs seventy crowns [1]."
private let refusal = "I don't have enough information in the documents."

private func play(
    _ steps: [ScriptedGenerator.Step], delivery: AnswerRequest.Delivery = .checked, second: [ScriptedGenerator.Step]? = nil,
    spans: (any SpanReading)? = nil, embedder: (any Embedder)? = nil
) async throws -> Outcome {
    let collection = MemoryCollection(documents)
    let models: [(name: String, generator: any Generator)] =
        [("model", ScriptedGenerator(steps))] + (second.map { [("second", ScriptedGenerator($0))] } ?? [])
    let engine = AnswerEngine(
        searching: collection, statistics: collection, spans: spans ?? collection, embedder: embedder, generators: models,
        options: {
            var options = AnswerOptions()
            options.firstTokenTimeMax = .milliseconds(300)
            return options
        }(), logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    return try await ask(engine, AnswerRequest(question: asked, delivery: delivery))
}

/// A text as a model might send it.
private func chunked(_ text: String, seed: UInt64) -> [ScriptedGenerator.Step] {
    if seed == 0 { return [.text(text)] }
    var random = SeededGenerator(seed: seed)
    var pieces: [String] = []
    for character in text {
        if pieces.isEmpty || seed == 1 || random.next(below: 6) == 0 { pieces.append("") }
        pieces[pieces.count - 1].append(character)
    }
    return pieces.map { .text($0) }
}

/// Sentences are given out whole and checked; nothing is taken back.
@Suite struct `Checked delivery` {
    private static let failure = ScriptedGenerator.Step.fail(.connection(name: "m", reason: "gone"))

    /// What a model writes, how it ends, and what the client holds then; nil = the quotes of the extractive generator.
    private static let scripts: [(text: String, end: [ScriptedGenerator.Step], answer: String?)] = [
        (right, [], right), (right + " " + alsoRight, [], right + " " + alsoRight),
        (right + "\n\n" + alsoRight, [], right + "\n\n" + alsoRight),
        ("- " + right + "\n- " + alsoRight, [], "- " + right + "\n- " + alsoRight),
        ("Sure! " + right, [], "Sure! " + right), ("## Answer\n\n" + right, [], "## Answer\n\n" + right),
        (right + " I hope this helps!", [], right + " I hope this helps!"),
        // What does not hold is left out, wherever it stands.
        (right + " " + invented + " " + alsoRight, [], right + " " + alsoRight),
        (right + " " + alsoRight + " " + invented, [], right + " " + alsoRight),
        (invented + " " + right + " " + alsoRight, [], right + " " + alsoRight),
        // Markers that do not hold go.
        ("The warranty lasts thirty-one months [1][2].", [], "The warranty lasts thirty-one months. [1]"),
        ("The warranty lasts thirty-one months [7]. " + alsoRight, [], "The warranty lasts thirty-one months. [1] " + alsoRight),
        ("The warranty lasts thirty-one months【1】. " + alsoRight, [], "The warranty lasts thirty-one months. [1] " + alsoRight),
        // Nothing holds, or too little before anything was sent.
        (wrong, [], nil), (invented + " " + wrong, [], nil), ("Sure! Here is the answer:", [], nil), ("", [], nil),
        (wrong + " " + invented + " " + wrong + " " + right, [], nil),
        // An answer that turns into a refusal is that and nothing else.
        (refusal, [], Prompt.refusal), ("Sure. " + refusal, [], Prompt.refusal), (invented + " " + refusal, [], Prompt.refusal),
        // What was sent stays, whatever comes then.
        (right + " " + refusal, [], right), (right + " " + wrong + " " + invented + " " + wrong, [], right),
        // Ends of other kinds.
        (right + " " + alsoRight + " And it", [failure], right + " " + alsoRight), (right + " And it", [failure], right),
        (right + " " + alsoRight, [failure], right + " " + alsoRight), ("The warranty lasts", [failure], nil),
        // Reasoning.
        ("<think>Perhaps ninety-nine months? " + wrong + "</think>" + right, [], right),
        ("Perhaps ninety-nine months. " + wrong + "</think>" + right + " " + alsoRight, [], right + " " + alsoRight),
        (right + " Or not?</think>" + right + " " + alsoRight, [], right + " " + alsoRight),
    ]

    @Test(arguments: scripts.indices, [UInt64(0), 1, 2, 3, 4, 5])
    func `what was sent, joined, is the answer, and nothing is taken back`(script: Int, seed: UInt64) async throws {
        let (text, end, answer) = Self.scripts[script]
        let outcome = try await play(chunked(text, seed: seed) + end)
        let response = outcome.response
        #expect(outcome.pieces.joined() == response.answer && outcome.resetCount == 0, "\(text)")
        // However it comes in pieces, it is the same answer.
        if let answer { #expect(response.answer == answer, "\(text)") } else { #expect(response.generator == "extractive", "\(text)") }
        for word in ["forty-four", "seventy", "ninety", "think", "[2]", "[7]", "【"] { #expect(!response.answer.contains(word), "\(text)") }
        #expect(response.refused == (answer == Prompt.refusal))
        for citation in response.citations { #expect(response.answer.contains("[\(citation.marker)]")) }
        #expect(response.refused || !response.citations.isEmpty)
    }

    @Test func `the law holds for whatever a model writes, and however it ends`() async throws {
        let sentences = [
            right, alsoRight, wrong, invented, "Sure!", "Here is the answer:", "## Answer\n\n", refusal,
            "The warranty lasts 31 months. [1]",
            "- " + right + "\n- " + alsoRight + "\n", "Bread costs two crowns [2].", "Dr. Borne of Arlen (1) says so.",
            "| a | b |\n| c | d |\n", "</think>",
            "<think>" + wrong + "</think>", "The sender pays for freight up to nine kilograms 【1†source】.", "保証は三十一か月です。[1]", "[1] [2]",
            "...",
        ]
        let ends: [[ScriptedGenerator.Step]] = [[], [], [Self.failure], [.text(" And"), Self.failure]]
        for seed in 1...UInt64(80) {
            var random = SeededGenerator(seed: seed)
            let text = (0...random.next(below: 5)).map { _ in sentences.randomElement(using: &random)! }.joined(
                separator: [" ", " ", "\n\n"].randomElement(using: &random)!)
            let end = ends.randomElement(using: &random)!
            var answers: Set<String> = []
            for chunking in [0, 1, seed + 1] {
                let outcome = try await play(chunked(text, seed: chunking) + end)
                #expect(outcome.pieces.joined() == outcome.response.answer && outcome.resetCount == 0, "seed \(seed): \(text)")
                for word in ["forty-four", "seventy", "think", "Borne", "【", "[7]"] {
                    #expect(!outcome.response.answer.contains(word), "seed \(seed)")
                }
                #expect(!outcome.response.answer.contains(refusal) || outcome.response.answer == Prompt.refusal, "seed \(seed): \(text)")
                if !text.contains("</think>") { answers.insert(outcome.response.answer) }
            }
            #expect(answers.count <= 1, "seed \(seed): \(text): \(answers)")
        }
    }

    @Test func `an answer that holds is the one of immediate delivery`() async throws {
        for text in [right, right + " " + alsoRight, right + "\n\n" + alsoRight, "Sure! " + right, right + " I hope this helps!"] {
            let checked = try await play(chunked(text, seed: 3)).response
            let immediate = try await play(chunked(text, seed: 3), delivery: .immediate).response
            #expect(
                checked.answer == immediate.answer && checked.citations == immediate.citations && checked.confidence == immediate.confidence
            )
            #expect(checked.told.isEmpty && checked.generator == "scripted")
        }
    }

    @Test func `tokens are whole sentences`() async throws {
        let outcome = try await play(chunked(right + " " + invented + " " + alsoRight, seed: 1))
        #expect(outcome.pieces == [right, " " + alsoRight])
    }

    @Test func `a sentence is sent while the model still writes`() async throws {
        let collection = MemoryCollection(documents)
        let generator = ScriptedGenerator(chunked(right + " " + alsoRight, seed: 1) + [.hang])
        let engine = AnswerEngine(
            searching: collection, statistics: collection, spans: collection, embedder: nil, generators: [("model", generator)],
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        for try await event in engine.answer(AnswerRequest(question: asked, delivery: .checked)) {
            guard case .token(let text) = event else { continue }
            #expect(text == right)
            break
        }
        try await eventually { generator.record.cancelledCount == 1 }
    }

    @Test func `a model of which nothing was sent is followed by the next one, without a trace in the stream`() async throws {
        let outcome = try await play(chunked(invented, seed: 1), second: chunked(right, seed: 1))
        #expect(outcome.pieces == [right] && outcome.response.answer == right)
        #expect(outcome.response.rejected.map(\.text) == [invented])
        #expect(outcome.response.told == ["answer_unsupported: model: a number is not in its source"])
    }

    @Test func `an answer that was begun and does not hold any more ends early, and says so`() async throws {
        let outcome = try await play(chunked(right + " " + wrong + " " + invented + " " + wrong, seed: 2))
        #expect(outcome.response.told == ["generation_cut: model: its sources do not say the rest"])
        let broken = try await play(chunked(right + " And it", seed: 2) + [Self.failure])
        #expect(broken.response.told.count == 1 && broken.response.told[0].hasPrefix("generation_cut: model: "))
    }

    @Test func `a sentence whose quote is no longer stored is not sent`() async throws {
        let changed = MemoryCollection(documents)
        changed.replace(0, with: "The warranty lasts thirty-two months from delivery. The sender pays for freight up to nine kilograms.")
        let outcome = try await play(chunked(right + " " + alsoRight, seed: 1), spans: changed)
        #expect(!outcome.pieces.joined().contains("thirty-one") && outcome.resetCount == 0)
        #expect(outcome.response.told.contains("citations_dropped: 1 quotes are not what is stored now"))
    }

    @Test func `sentences that are embedded one by one are judged as together`() async throws {
        let embedder = RecordingEmbedder()
        let outcome = try await play(chunked(right + " " + alsoRight, seed: 1), embedder: embedder)
        #expect(outcome.response.answer == right + " " + alsoRight && outcome.response.told.isEmpty)
        #expect(embedder.texts.withLock { texts in texts.contains { $0.contains("freight up to nine") } })
    }
}
