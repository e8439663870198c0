import Inference
import TestSupport
import Testing

@Suite struct StopScannerTests {
    /// Grows the text byte by byte until it ends with a stop string.
    private func oracle(_ text: String, _ stops: [String]) -> String {
        let bytes = Array(text.utf8)
        for end in 0...bytes.count {
            let matches = stops.map { Array($0.utf8) }.filter { !$0.isEmpty && bytes[..<end].suffix($0.count) == $0[...] }
            if let longest = matches.max(by: { $0.count < $1.count }) {
                return String(decoding: bytes[..<(end - longest.count)], as: UTF8.self)
            }
        }
        return text
    }

    private func scan(_ pieces: [String], _ stops: [String]) -> (text: String, stopped: Bool) {
        var scanner = StopScanner(stops: stops)
        var text = ""
        for piece in pieces { text += scanner.push(piece) }
        return (text + scanner.finish(), scanner.isStopped)
    }

    @Test func `text passes at once where no stop string can begin`() {
        var scanner = StopScanner(stops: ["END"])
        #expect(scanner.push("hello ") == "hello ")
        #expect(scanner.push("E") == "")
        #expect(scanner.push("N") == "")
        #expect(scanner.push("ergy") == "ENergy")
        #expect(!scanner.isStopped)
    }

    @Test func `what is held back comes out at the end`() {
        #expect(scan(["a stop", "\n##"], ["\n### "]) == ("a stop\n##", false))
    }

    @Test func `nothing comes after a stop string`() {
        var scanner = StopScanner(stops: ["x"])
        #expect(scanner.push("abxcd") == "ab")
        #expect(scanner.push("ef") == "")
        #expect(scanner.finish() == "")
    }

    @Test func `empty stop strings mean nothing`() {
        #expect(scan(["abc"], ["", ""]) == ("abc", false))
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `any cut of the text gives the text before the stop string that is complete first`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // A tiny alphabet makes stop strings, and their beginnings, frequent.
        let alphabet: [Character] = ["a", "b", "é", "\n"]
        func word(_ lengths: ClosedRange<Int>) -> String {
            String((0..<Int.random(in: lengths, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
        }
        let text = word(0...40)
        let stops = (0..<Int.random(in: 0...3, using: &random)).map { _ in word(1...4) }
        var pieces: [String] = []
        var rest = text[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...5, using: &random))
            pieces.append(String(piece))
            rest = rest.dropFirst(piece.count)
        }
        let (result, stopped) = scan(pieces, stops)
        #expect(result == oracle(text, stops), "seed \(seed): \(pieces) \(stops)")
        #expect(stopped == (oracle(text, stops).utf8.count < text.utf8.count), "seed \(seed)")
    }
}

@Suite struct UTF8AssemblerTests {
    private static let text = "a é ß 漢字 😀 👨‍👩‍👧 \u{10FFFF} end"

    @Test func `a text cut at every byte comes out whole, in whole characters`() {
        let bytes = Array(Self.text.utf8)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var assembler = UTF8Assembler()
                let pieces = [
                    assembler.push(bytes[..<first]), assembler.push(bytes[first..<second]), assembler.push(bytes[second...]),
                    assembler.finish(),
                ]
                #expect(pieces.joined() == Self.text, "cut at \(first) and \(second)")
                #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") }, "cut at \(first) and \(second)")
            }
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `any bytes come out as the decoder of the whole would have it`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = (0..<30).map { _ in
            [UInt8(0x41), 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0x80, 0xFF, 0xC0].randomElement(using: &random)!
        }
        var assembler = UTF8Assembler()
        let text = bytes.map { assembler.push([$0]) }.joined() + assembler.finish()
        // How many replacement characters stand for a broken sequence differs between decoders; the rest may not.
        let kept = { (text: String) in String(String.UnicodeScalarView(text.unicodeScalars.filter { $0 != "\u{FFFD}" })) }
        #expect(kept(text) == kept(String(decoding: bytes, as: UTF8.self)), "seed \(seed): \(bytes)")
        #expect(bytes.count > 0)
    }

    @Test func `an incomplete character at the end is replaced`() {
        var assembler = UTF8Assembler()
        #expect(assembler.push([0x61, 0xF0, 0x9F]) == "a")
        #expect(assembler.finish() == "\u{FFFD}")
    }

    @Test func `a byte that can not begin a character does not hold back the rest`() {
        var assembler = UTF8Assembler()
        #expect(assembler.push([0xFF]) == "\u{FFFD}")
        #expect(assembler.push([0x61]) == "a")
    }
}
