import Foundation
import TestSupport
import Testing

@testable import Documents

/// A span of a document's text is read without the rest of it.
struct SpanTests {
    private let folder = Folder()

    @Test func `every span gives the bytes of the whole text there, or nothing`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c")
        let text = "Zürich – 10 €\u{0}naïve 🌍 end"
        let id = try store.put(draft(collection.id, source: "/a", parts: [text])).document
        let bytes = Array(text.utf8)
        for start in 0...bytes.count {
            for end in start...bytes.count {
                let expected = String(validating: bytes[start..<end], as: UTF8.self)
                #expect(try store.text(of: id, span: TextSpan(start: start, end: end)) == expected, "\(start)..<\(end)")
            }
        }
        for (start, end) in [(-1, 3), (0, bytes.count + 1), (bytes.count + 1, bytes.count + 1), (5, 4), (0, Int.max), (Int.min, 0)] {
            #expect(try store.text(of: id, span: TextSpan(start: start, end: end)) == nil, "\(start)..<\(end)")
        }
        #expect(try store.text(of: DocumentID(rawValue: "doc_none"), span: TextSpan(start: 0, end: 1)) == nil)
    }
}
