import TestSupport
import Testing

@testable import Parsing

struct ScriptTextTests {
    @Test(arguments: [
        ("4 x 10", "6", "4 x 10^6"), ("3 x 10", "-9", "3 x 10^-9"), ("3 × 10", "−9", "3 × 10^-9"), ("4x10", "6", "4x10^6"),
        ("about 10", "3", "about 10^3"), ("2", "32", "2^32"), ("y = 5", "2", "y = 5^2"), ("560 m", "2", "560 m^2"), ("5cm", "3", "5cm^3"),
        ("kg/m", "3", "kg/m^3"), ("9.81 m/s", "2", "9.81 m/s^2"), ("m s", "-2", "m s^-2"), ("12 in", "2", "12 in^2"), ("x", "2", "x^2"),
        ("E = mc", "2", "E = mc^2"), ("σ", "2", "σ^2"), ("R", "2", "R^2"), ("(a + b)", "2", "(a + b)^2"), ("x", "n", "x^n"),
        ("2", "n+1", "2^(n+1)"), ("e", "-x/2", "e^-(x/2)"), ("10", "0.5", "10^0.5"),
    ])
    func `exponents stay exponents`(before: String, raised: String, expected: String) {
        #expect(before + ScriptText.raised(raised, after: before) == expected)
    }

    @Test(arguments: [
        ("1,234", "2", "1,234[2]"), ("87", "3", "87[3]"), ("in 2024", "1", "in 2024[1]"), ("12.5 %", "4", "12.5 %[4]"),
        ("text", "1", "text[1]"),
        ("end.", "12", "end.[12]"), ("“quoted”", "3", "“quoted”[3]"), ("lived in", "2", "lived in[2]"), ("text", "1,2", "text[1,2]"),
        ("text", "3–5", "text[3–5]"), ("87", "a", "87[a]"), ("Total", "b", "Total[b]"), ("text", "iv", "text[iv]"),
        ("(see above)", "1", "(see above)[1]"),
        ("CO2", "1", "CO2[1]"), ("5 km", "1", "5 km[1]"), ("", "1", "[1]"), ("price", "*", "price*"), ("claim", "[7]", "claim[7]"),
    ])
    func `marks of notes are told from numbers`(before: String, raised: String, expected: String) {
        #expect(before + ScriptText.raised(raised, after: before) == expected)
    }

    @Test(arguments: [
        ("the 21", "st", "the 21st"), ("1", "er", "1er"), ("20", "o", "20°"), ("20", "0", "20°"), ("Acme", "TM", "Acme™"),
        ("M", "me", "Mme"),
        ("Na", "+", "Na+"), ("Ca", "2+", "Ca^2+"), ("SO4", "2−", "SO4^2-"), ("$19", "99", "$19.99"), ("2", "1/2", "2 1/2"),
        ("Cabin", "refurbished", "Cabin refurbished"), ("a ", " 2 ", "a  [2] "),
    ])
    func `ordinals, signs and prices read on`(before: String, raised: String, expected: String) {
        #expect(before + ScriptText.raised(raised, after: before) == expected)
    }

    @Test func `pieces of one height are one`() {
        var text = ScriptText()
        for (piece, position) in [
            ("3 x 1", .baseline), ("0", .baseline), ("-", .raised), ("9", .raised), (" mbar, H", .baseline), ("2", .lowered),
            ("O, log", .baseline),
            ("2", .lowered), ("8, 101", .baseline), ("2", .lowered), (" and 10", .baseline), ("6", .raised), ("5, 3", .baseline),
            ("1", .raised),
            ("/", .baseline), ("2", .lowered), (" m", .baseline),
        ] as [(String, ScriptText.Position)] { text.append(piece, position) }
        #expect(text.text() == "3 x 10^-9 mbar, H2O, log2 8, 101_2 and 10^6 5, 3 1/2 m")
    }

    @Test func `what follows raised text follows it`() {
        var text = ScriptText()
        for (piece, position) in [("1,234", .baseline), ("2", .raised), (" tonnes, ", .baseline), ("fee ", .baseline), ("45", .baseline)]
            as [(String, ScriptText.Position)]
        { text.append(piece, position) }
        #expect(text.take() == "1,234[2] tonnes, fee 45" && text.take().isEmpty)
    }

    @Test(arguments: 0..<50)
    func `any pieces are written without a trap, at most a zero becomes a degree sign`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let alphabet: [Character] = Array("0129xmAé[]()^/⁄.,+-− °σ\u{301}½10")
        var text = ScriptText()
        var digits = ""
        for _ in 0..<30 {
            let piece = String((0..<Int.random(in: 0...4, using: &random)).map { _ in alphabet.randomElement(using: &random)! })
            let position: ScriptText.Position = [.baseline, .raised, .lowered].randomElement(using: &random)!
            text.append(piece, position)
            digits += piece.filter { "0"..."9" ~= $0 }
        }
        let written = text.text().filter { "0"..."9" ~= $0 || $0 == "°" }
        #expect(written.filter { $0 != "°" }.count <= digits.count && written.count + 30 >= digits.count, "seed \(seed)")
    }
}
