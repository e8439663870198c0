import Foundation
import TestSupport
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

    @Test func `one odd byte never turns a file into another encoding`() throws {
        for text in [
            "Die Schleuse in Köln ist zu.", "Größe: 40 m², Preis: 25 €, für Übergänge – und „Zitate“.", Self.russian, Self.japanese,
        ] {
            for odd in [UInt8(0xFF), 0x92, 0xE4, 0x80] {
                var bytes = Array(text.utf8)
                bytes.insert(odd, at: 4)
                let decoded = TextDecoder.decode(bytes)
                #expect(decoded.encoding == "UTF-8" && decoded.text.contains(text.dropFirst(5)), "\(odd) in \(text)")
                #expect(TextDecoder.decode(bytes, declared: "windows-1252").encoding == "UTF-8")
            }
        }
        // ASCII with one letter of an older encoding.
        let ascii = String(repeating: "The crew of the lock meets at nine in the morning. ", count: 40)
        for (byte, text) in [(UInt8(0x92), "don’t"), (0xE9, "donét"), (0xFC, "donüt"), (0x96, "don–t")] {
            let decoded = TextDecoder.decode(Array(ascii.utf8) + Array("don".utf8) + [byte] + Array("t ".utf8) + Array(ascii.utf8))
            #expect(decoded.text.contains(text), "\(byte): \(decoded.encoding)")
        }
    }

    @Test(arguments: ["CP850", "MACINTOSH", "WINDOWS-1252", "ISO-8859-15"])
    func `Western encodings are told apart by where their letters stand`(encoding: String) throws {
        let texts = [
            "Die Schleuse ist bis März geschlossen. Größe: 40 m. Straße und Überweg gesperrt.",
            "El señor compró una caña de azúcar en París.",
            "Les élèves français étaient très pressés, à l'hôpital.", "Blåbærsyltetøy på Ærø.",
        ]
        for text in texts { #expect(TextDecoder.decode(try encoded(text, encoding)).text == text) }
    }

    @Test(arguments: [
        ("WINDOWS-1255", "המנעול סגור עד ארבעה עשר במרץ. המשאבה נמצאת באולם תשע."),
        ("WINDOWS-1254", "Kapı on dört Marta kadar kapalıdır. Şişli, Iğdır, çağrı, güneş."),
        ("WINDOWS-1250", "Śluza zamknięta do czternastego marca. Łódź, źródło, żółw, ćma, ósmy dzień miesiąca."),
        ("ISO-8859-7", "Η κλειδαριά είναι κλειστή έως τις δεκατέσσερις Μαρτίου."),
    ])
    func `short texts of other alphabets are recognised`(encoding: String, text: String) throws {
        #expect(TextDecoder.decode(try encoded(text, encoding)).text == text)
    }

    @Test func `a page that declares UTF-8 and is not is read as it is`() throws {
        let text =
            "<p>Der Hafen ist im März offen.</p>" + String(repeating: "<p>Nothing else is said here in this long text.</p>", count: 50)
        let bytes = try encoded(text, "WINDOWS-1252")
        #expect(TextDecoder.decode(bytes, declared: "utf-8").text == text)
    }

    @Test func `UTF-16 without a mark is known though it is all ASCII`() throws {
        let text = "name;age\nAda;42\nBo;7\n"
        for encoding in ["UTF-16LE", "UTF-16BE"] { #expect(TextDecoder.decode(try encoded(text, encoding)).text == text) }
    }

    @Test func `the telling lines of a large file are found`() throws {
        let ascii = String(repeating: "All of this is plain and says nothing of the encoding.\n", count: 8000)
        let bytes = Array(ascii.utf8) + (try encoded(String(repeating: Self.japanese + "\n", count: 20), "CP932"))
        #expect(TextDecoder.decode(bytes).text.hasSuffix(Self.japanese + "\n"))
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
