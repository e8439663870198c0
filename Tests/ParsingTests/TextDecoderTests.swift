import Foundation
import Testing

@testable import Parsing

struct TextDecoderTests {
    private static let german = "Grüße aus Köln: Über die Straße läuft ein großer Bär, der süße Äpfel frisst und öfter schläft als übt. "
    private static let russian = "Привет, это обычный русский текст о погоде, природе и людях, которые живут в большом городе у реки. "
    private static let japanese = "これは日本語の文章です。天気がとても良いので、今日は公園を散歩しました。桜の花がきれいに咲いていました。"
    private static let cases: [(encoding: String, text: String)] = [
        ("UTF-8", german + russian + japanese), ("UTF-16LE", german), ("UTF-16BE", german), ("UTF-32LE", german), ("UTF-32BE", german),
        ("WINDOWS-1252", german),
        ("WINDOWS-1251", russian), ("KOI8-R", russian), ("CP932", japanese), ("EUC-JP", japanese), ("IBM500", german),
    ]

    @Test(arguments: cases.map(\.encoding))
    func `common encodings are recognised without help`(encoding: String) throws {
        let text = String(repeating: Self.cases.first { $0.encoding == encoding }!.text, count: 8)
        let bytes = try encoded(text, encoding)
        #expect(TextDecoder.decode(bytes).text == text)
    }

    @Test func `byte order marks decide and go`() throws {
        #expect(TextDecoder.decode([0xEF, 0xBB, 0xBF, 0x41]).text == "A")
        #expect(TextDecoder.decode([0xFF, 0xFE, 0x41, 0]).text == "A")
        #expect(TextDecoder.decode([0xFE, 0xFF, 0, 0x41]).text == "A")
        #expect(TextDecoder.decode([0, 0, 0xFE, 0xFF, 0, 0, 0, 0x41]).text == "A")
        #expect(TextDecoder.decode([0xFF, 0xFE, 0, 0, 0x41, 0, 0, 0]).text == "A")
    }

    @Test func `a wrong declaration does not win over the bytes`() throws {
        #expect(TextDecoder.decode(Array("schön".utf8), declared: "iso-8859-1").text == "schön")
        #expect(TextDecoder.decode(try encoded(Self.german, "WINDOWS-1252"), declared: "utf-8").text == Self.german)
        #expect(TextDecoder.decode(try encoded(Self.russian, "KOI8-R"), declared: "no-such-charset").text == Self.russian)
        #expect(TextDecoder.decode(try encoded(Self.japanese, "ISO-2022-JP"), declared: "ISO-2022-JP").text == Self.japanese)
    }

    @Test func `broken sequences become replacement characters and nothing is lost around them`() {
        let text = TextDecoder.convert([0x61, 0x00, 0x00, 0xD8, 0x62, 0x00, 0x63], from: "UTF-16LE")?.text
        #expect(text == "a\u{FFFD}b\u{FFFD}")
        var bytes = Array(String(repeating: "größer äöü ", count: 20).utf8)
        bytes.insert(0xFF, at: 3)
        #expect(TextDecoder.decode(bytes).text.contains("größer äöü größer"))
    }

    @Test(arguments: 0..<200)
    func `any bytes decode to something`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        let declared = ["utf-8", "utf-16", "shift_jis", "iso-2022-jp", "utf-7", "x\u{0}y", "gb18030", nil].randomElement(using: &random)!
        _ = TextDecoder.decode(bytes, declared: declared)
    }

    private func encoded(_ text: String, _ encoding: String) throws -> [UInt8] {
        // iconv, the other way round, is the oracle.
        let descriptor = try #require(iconv_open(encoding, "UTF-8"))
        defer { iconv_close(descriptor) }
        var source = Array(text.utf8).map { CChar(bitPattern: $0) }
        var target = [CChar](repeating: 0, count: text.utf8.count * 6 + 64)
        let count = source.withUnsafeMutableBufferPointer { source in
            target.withUnsafeMutableBufferPointer { target -> Int in
                var input = source.baseAddress
                var inputLeft = source.count
                var output = target.baseAddress
                var outputLeft = target.count
                _ = iconv(descriptor, &input, &inputLeft, &output, &outputLeft)
                _ = iconv(descriptor, nil, nil, &output, &outputLeft)
                return target.count - outputLeft
            }
        }
        return target[..<count].map { UInt8(bitPattern: $0) }
    }
}
