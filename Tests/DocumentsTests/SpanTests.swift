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

    @Test func `every window lies between characters, and holds what was asked for and no more than it must`() throws {
        let store = try folder.open()
        let collection = try store.createCollection(name: "c")
        let text = "Zürich – 10 €\u{0}naïve 🌍 end"
        let id = try store.put(draft(collection.id, source: "/a", parts: [text])).document
        let bytes = Array(text.utf8)
        func isInside(_ place: Int) -> Bool { place < bytes.count && bytes[place] & 0xC0 == 0x80 }
        for start in 0...bytes.count + 5 {
            for end in [start, start + 1, start + 2, start + 7, .max] where end >= start {
                let window = try #require(try store.window(of: id, start: start, end: end))
                var low = min(start, bytes.count)
                var high = min(end, bytes.count)
                while isInside(low) { low -= 1 }
                while isInside(high) { high += 1 }
                #expect(window.span == TextSpan(start: low, end: high) && window.textSize == bytes.count, "\(start)..<\(end)")
                #expect(Array(window.text.utf8) == Array(bytes[low..<high]), "\(start)..<\(end)")
            }
        }
        #expect(try store.window(of: DocumentID(rawValue: "doc_none"), start: 0, end: 1) == nil)
    }
}
