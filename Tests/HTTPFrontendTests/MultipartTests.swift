import Foundation
import NIOCore
import TestSupport
import Testing

@testable import HTTPFrontend

@Suite struct MultipartTests {
    struct Part: Equatable {
        var headers: MultipartParser.Headers
        var content: [UInt8]
    }

    /// Feeds a body in pieces of the given sizes, in turn.
    private func parse(_ body: [UInt8], boundary: String = "XX", sizes: [Int]) throws -> [Part] {
        var parser = try MultipartParser(contentType: "multipart/form-data; boundary=\(boundary)", partLimit: 100)
        var parts: [Part] = []
        var isOpen = false
        var ends = 0
        func drain() throws {
            while let event = try parser.next() {
                switch event {
                case .part(let headers):
                    #expect(!isOpen)
                    parts.append(Part(headers: headers, content: []))
                    isOpen = true
                case .data(let data):
                    #expect(isOpen && data.readableBytes > 0)
                    parts[parts.count - 1].content += data.readableBytesView
                case .endOfPart:
                    #expect(isOpen)
                    isOpen = false
                case .end: ends += 1
                }
            }
        }
        var offset = 0
        var turn = 0
        while offset < body.count {
            let size = min(max(1, sizes[turn % sizes.count]), body.count - offset)
            parser.append(ByteBuffer(bytes: body[offset..<offset + size]))
            offset += size
            turn += 1
            try drain()
        }
        try parser.finish()
        #expect(ends == 1 && !isOpen)
        return parts
    }

    private func body(_ parts: [(disposition: String, content: [UInt8])], boundary: String = "XX") -> [UInt8] {
        parts.flatMap {
            Array("--\(boundary)\r\nContent-Disposition: form-data; \($0.disposition)\r\n\r\n".utf8) + $0.content + Array("\r\n".utf8)
        } + Array("--\(boundary)--\r\n".utf8)
    }

    /// Content made of what boundaries are made of, so that near misses are frequent.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func `any split of a body gives the same parts`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("\r\n-X ab".utf8)
        let contents: [[UInt8]] = (0..<Int.random(in: 1...4, using: &random)).map { _ in
            var content = (0..<Int.random(in: 0...120, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            // The delimiter itself cannot be content.
            while let range = content.firstRange(of: Array("\r\n--XX".utf8)) { content.removeSubrange(range) }
            if content.starts(with: Array("--XX".utf8)) { content.removeFirst() }
            return content
        }
        let bytes = body(contents.enumerated().map { ("name=\"file\"; filename=\"f\($0.offset)\"", $0.element) })
        let sizes = (0..<5).map { _ in Int.random(in: 1...40, using: &random) }
        for sizes in [[1], [bytes.count], sizes] {
            let parts = try parse(bytes, sizes: sizes)
            #expect(parts.map(\.content) == contents, "seed \(seed), sizes \(sizes)")
            #expect(parts.map(\.headers.fileName) == contents.indices.map { "f\($0)" }, "seed \(seed), sizes \(sizes)")
        }
    }

    @Test func `a preamble, an epilogue and blanks after a boundary are skipped`() throws {
        let text = "ignore\r\nme\r\n--XX \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--XX--\r\nepilogue --XX\r\n"
        for size in [1, 7, 1000] {
            let parts = try parse(Array(text.utf8), sizes: [size])
            #expect(parts == [Part(headers: .init(name: "a"), content: Array("1".utf8))])
        }
    }

    @Test func `a line that only begins like the boundary is content`() throws {
        let content = Array("one\r\n--XXL is not a boundary\r\n--X-\r\n--XX- neither".utf8)
        for size in [1, 3, 1000] {
            #expect(try parse(body([("name=file; filename=x", content)]), sizes: [size]).map(\.content) == [content])
        }
    }

    @Test func `cutting a body anywhere is an error and never a part more`() throws {
        let whole = body([("name=\"file\"; filename=\"a.txt\"", Array("hello".utf8)), ("name=\"collection\"", Array("notes".utf8))])
        let end = whole.count - 2  // The final line break may be missing.
        for length in 0..<end {
            #expect(throws: MultipartError.unexpectedEnd, "cut at \(length)") { try parse(Array(whole[..<length]), sizes: [length + 1]) }
        }
        #expect(try parse(Array(whole[..<end]), sizes: [1000]).count == 2)
    }

    @Test func `limits are kept`() throws {
        let manyParts = body((0..<101).map { ("name=\"f\($0)\"", []) })
        #expect(throws: MultipartError.tooManyParts(limit: 100)) { try parse(manyParts, sizes: [1000]) }
        let longHeader = Array("--XX\r\nContent-Disposition: form-data; name=\"\(String(repeating: "n", count: 20_000))\"\r\n\r\n".utf8)
        #expect(throws: MultipartError.headersTooLong(limit: MultipartParser.headerLimit)) { try parse(longHeader, sizes: [100]) }
        #expect(throws: MultipartError.self) { try parse(Array(repeating: 0x61, count: 100_000), sizes: [1000]) }
    }

    @Test(arguments: [
        "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=x",
        "multipart/form-data; boundary=\"\(String(repeating: "b", count: 71))\"", "",
    ])
    func `without a usable boundary there is a clear error`(contentType: String) {
        #expect(throws: MultipartError.noBoundary) { try MultipartParser(contentType: contentType, partLimit: 1) }
    }

    @Test func `a part without a name or with an encoded body is refused`() {
        for header in [
            "Content-Disposition: form-data", "Content-Disposition: attachment; name=x", "nonsense",
            "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
        ] {
            #expect(throws: MultipartError.self, "\(header)") {
                try parse(Array("--XX\r\n\(header)\r\n\r\nx\r\n--XX--".utf8), sizes: [1000])
            }
        }
    }

    @Test(arguments: [
        ("name=\"file\"; filename=\"a.txt\"", "a.txt"),
        ("name=file; filename=plain.txt", "plain.txt"),
        ("name=\"file\"; filename=\"say \\\"hi\\\".txt\"", "say \"hi\".txt"),
        ("name=\"file\"; filename=\"say %22hi%22.txt\"", "say \"hi\".txt"),
        ("name=\"file\"; filename=\"semi;colon.txt\"", "semi;colon.txt"),
        ("name=\"file\"; filename=\"fallback.txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "naïve €.txt"),
        ("name=\"file\"; filename*=utf-8'en'%e2%82%ac.txt; filename=\"fallback.txt\"", "€.txt"),
        ("name=\"file\"; filename=\"fallback.txt\"; filename*=ISO-8859-1''na%EFve.txt", "fallback.txt"),
        ("name=\"file\"; filename=\"fallback.txt\"; filename*=UTF-8''broken%C3.txt", "fallback.txt"),
        ("name=\"file\"; filename=\"日本語.txt\"", "日本語.txt"),
        ("name=\"file\"; filename=\"na%C3%AFve%20text.txt\"", "naïve text.txt"),
        ("name=\"file\"; filename=\"50%25 of 10%.txt\"", "50%25 of 10%.txt"),
        ("name=\"file\"; filename=\"C:\\reports\\a.txt\"", "C:\\reports\\a.txt"),
        ("name=\"file\"; FILENAME=\"case.txt\"", "case.txt"),
    ])
    func `file names come through`(disposition: String, expected: String) throws {
        #expect(try parse(body([(disposition, [])]), sizes: [1000]).first?.headers.fileName == expected)
    }

    @Test func `a name in an older code page is read`() throws {
        let start = Array("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f".utf8)
        let bytes = start + [0xFC] + Array("r 5 ".utf8) + [0x80] + Array(".txt\"\r\n\r\nx\r\n--XX--\r\n".utf8)
        #expect(try parse(bytes, sizes: [1000]).first?.headers.fileName == "für 5 €.txt")
    }

    @Test(
        arguments: [
            ("report.pdf", "report.pdf"), ("../../etc/passwd", "passwd"), ("C:\\Users\\a\\b.txt", "b.txt"), ("/abs/file", "file"),
            ("a/readme.txt", "a/readme.txt"), ("./a//b/./c.txt", "a/b/c.txt"), ("a\\b.txt", "a/b.txt"), ("a/../b.txt", "b.txt"),
            ("\\\\host\\share\\x.txt", "x.txt"), ("\u{202e}a/b.txt", "a/b.txt"),
            ("a/../..", nil), ("..", nil), (".", nil), ("", nil),
            ("  ", nil), ("dir/", nil), ("nul\u{0}byte.txt", "nulbyte.txt"), ("line\nbreak.txt", "linebreak.txt"),
            ("\u{202e}fdp.exe", "fdp.exe"),
            (String(repeating: "x", count: 256), nil), (String(repeating: "x", count: 255), String(repeating: "x", count: 255)),
        ] as [(String, String?)])
    func `a relative path stays, other path parts and controls are stripped from file names`(name: String, expected: String?) {
        #expect(UploadReceiver.sanitized(fileName: name) == expected)
    }
}
