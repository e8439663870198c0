import Foundation
import Retrieval
import TestSupport
import Testing

@testable import HTTPFrontend

/// The quick way to read a search's body gives what the decoder gives, or leaves it to the decoder.
struct PlainSearchBodyTests {
    private func decoded(_ text: String) throws -> SearchRequest { try JSON.decode(SearchBody.self, from: Data(text.utf8)).request }

    @Test(arguments: [
        #"{"query":"red storm"}"#, #" { "query" : "größe 雨 🌧" , "k" : 10 , "mode":"text"}  "#,
        #"{"mode":"hybrid","query":"","highlight":false,"collection":"other","k":0}"#, "{\n\t\"query\":\"a\",\r\n\"highlight\":true}",
        #"{"k":999999999,"query":"{\"}"}"#.replacingOccurrences(of: "\\\"", with: "'"),
    ]) func `what clients write is read as the decoder reads it`(_ text: String) throws {
        let plain = try #require(SearchBody.plain(Data(text.utf8)))
        #expect("\(plain)" == "\(try decoded(text))")
    }

    @Test(arguments: [
        "", "{", "{}", "[]", "null", #"{"query":1}"#, #"{"query":null}"#, #"{"query":"a""#, #"{"query":"a"}}"#, #"{"query":"a",}"#,
        #"{"query":"a","query":"b"}"#,
        #"{"query":"a\n"}"#, #"{"query":"\u0061"}"#, "{\"query\":\"a\u{1}\"}", #"{"query":"a","k":01}"#, #"{"query":"a","k":-1}"#,
        #"{"query":"a","k":1.0}"#,
        #"{"query":"a","k":1e1}"#, #"{"query":"a","k":1234567890}"#, #"{"query":"a","k":"1"}"#, #"{"query":"a","mode":"words"}"#,
        #"{"query":"a","highlight":1}"#,
        #"{"query":"a","highlight":trues}"#, #"{"query":"a","filter":{}}"#, #"{"query":"a","other":1}"#, #"{"k":3}"#,
        #"{"query":"a" "k":3}"#,
        "\u{FEFF}{\"query\":\"a\"}",
        #"{"query":"a","k":3"#, #"{"query":"a","highlight":tru"#,
    ]) func `anything else is left to the decoder`(_ text: String) {
        #expect(SearchBody.plain(Data(text.utf8)).map { "\($0)" } == nil)
    }

    @Test func `bytes that are no text are left to the decoder`() {
        #expect(SearchBody.plain(Data(#"{"query":""#.utf8) + [0xFF] + Data(#""}"#.utf8)).map { "\($0)" } == nil)
    }

    @Test func `cut and changed bodies are read alike or not at all`() throws {
        var random = SeededGenerator(seed: 5)
        let whole = Array(#"{"query":"ein Satz","mode":"vector","k":12,"collection":"c","highlight":false}"#.utf8)
        let bytes = Array(#"{}[]":,\ 0123456789.eE+-tfn"#.utf8)
        var readCount = 0
        for _ in 0..<20_000 {
            var body = whole
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 0..<body.count, using: &random)
                if Bool.random(using: &random) { body.remove(at: place) } else { body[place] = bytes.randomElement(using: &random)! }
            }
            guard let plain = SearchBody.plain(Data(body)) else { continue }
            readCount += 1
            let text = String(decoding: body, as: UTF8.self)
            #expect((try? decoded(text)).map { "\($0)" } == "\(plain)", "\(text)")
        }
        #expect(readCount > 5000)
    }
}
