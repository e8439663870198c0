import TestSupport
import Testing

@testable import Answering

@Suite struct `Whole sentences of a growing text` {
    private func cut(_ text: String, _ pieces: [String]? = nil) -> [SentenceCutter.Piece] {
        var cutter = SentenceCutter(sourceCount: 4)
        var cut: [SentenceCutter.Piece] = []
        for piece in pieces ?? [text] { cut += cutter.push(piece) }
        if let rest = cutter.finish() { cut.append(rest) }
        return cut
    }

    private static let texts: [(text: String, sentences: [String])] = [
        ("It is tall [1]. It opened in 1889 [2].", ["It is tall [1].", "It opened in 1889 [2]."]),
        ("It is tall. [1] It opened. [2][3] Then it rained.", ["It is tall. [1]", "It opened. [2][3]", "Then it rained."]),
        ("It is tall [source 1]. It opened [1, 2]. It did.", ["It is tall [source 1].", "It opened [1, 2].", "It did."]),
        ("It is tall. [source 1] It opened. [1, 2] It did.", ["It is tall. [source 1]", "It opened. [1, 2]", "It did."]),
        ("It is 3.5 m, approx. five feet. Dr. Smith says so.", ["It is 3.5 m, approx. five feet.", "Dr. Smith says so."]),
        ("Is it? It is! \"So it is.\" He left.", ["Is it?", "It is!", "\"So it is.\"", "He left."]),
        ("It is tall (see below). It opened.", ["It is tall (see below).", "It opened."]),
        ("Overview\n\nIt is tall [1].\n\nIt opened [2].", ["Overview", "It is tall [1].", "It opened [2]."]),
        ("- It is tall [1].\n- It opened [2].\n- It closed.", ["- It is tall [1].", "- It opened [2].", "- It closed."]),
        ("1. It is tall [1]\n2. It opened [2]\n\nThat is all.", ["1. It is tall [1]", "2. It opened [2]", "That is all."]),
        ("塔は高い。[1]塔は古い。[2] そうです。", ["塔は高い。[1]", "塔は古い。[2]", "そうです。"]),
        ("No end", ["No end"]), ("", []), ("  \n ", []),
    ]

    @Test(arguments: texts.indices)
    func `each sentence is given out with its markers`(index: Int) {
        let (text, sentences) = Self.texts[index]
        #expect(cut(text).map(\.text) == sentences)
    }

    @Test(arguments: texts.indices)
    func `nothing is lost, and the pieces in which a text comes do not matter`(index: Int) {
        let text = Self.texts[index].text
        let whole = cut(text)
        let joined = whole.map { $0.lead + $0.text }.joined()
        #expect(text.hasPrefix(joined) && text.dropFirst(joined.count).allSatisfy(\.isWhitespace) || joined.isEmpty)
        #expect(cut(text, text.map(String.init)) == whole)
        #expect(cut(text, text.unicodeScalars.map { String($0) }) == whole)
        for seed in 1...UInt64(20) {
            var random = SeededGenerator(seed: seed)
            var pieces: [String] = []
            for character in text {
                if pieces.isEmpty || random.next(below: 4) == 0 { pieces.append("") }
                pieces[pieces.count - 1].append(character)
            }
            #expect(cut(text, pieces) == whole, "seed \(seed)")
        }
    }

    @Test func `a sentence is given out as soon as the next one has begun`() {
        var cutter = SentenceCutter(sourceCount: 4)
        #expect(cutter.push("It is tall [1]. I").isEmpty)
        #expect(cutter.push("t opened ").map(\.text) == ["It is tall [1]."])
        #expect(cutter.push("in 1889 [").isEmpty && cutter.push("2]. ").isEmpty)
        #expect(cutter.push("[3] Then ") == [SentenceCutter.Piece(lead: " ", text: "It opened in 1889 [2]. [3]")])
        #expect(cutter.finish()?.text == "Then" && cutter.finish() == nil)
    }

    @Test func `a text without an end is not looked at again and again`() {
        let long = (0..<20_000).map { "word\($0)" }.joined(separator: ". x")
        let start = ContinuousClock.now
        #expect(cut(long).map(\.text).joined(separator: " ").utf8.count > 150_000)
        #expect(start.duration(to: .now) < .seconds(60))
    }
}
