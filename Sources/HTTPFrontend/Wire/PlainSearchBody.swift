import Foundation
import Retrieval

extension SearchBody {
    /// Reads a body as most clients write it: one object of `query`, `collection`, `mode`, `k` and `highlight`, each once, without escapes in its texts.
    ///
    /// - Returns: Nil for anything else, right or wrong: the decoder reads it, or says what is wrong with it. What is returned is what the decoder would return.
    static func plain(_ data: Data) -> SearchRequest? {
        data.withUnsafeBytes { bytes in
            var scanner = Scanner(bytes: bytes)
            return scanner.request()
        }
    }

    private struct Scanner {
        let bytes: UnsafeRawBufferPointer
        var place = 0

        init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

        mutating func request() -> SearchRequest? {
            var query: String?
            var collection: String?
            var mode: SearchMode?
            var k: Int?
            var highlight: Bool?
            guard take(UInt8(ascii: "{")) else { return nil }
            repeat {
                guard let name = text(), take(UInt8(ascii: ":")) else { return nil }
                switch name {
                case "query" where query == nil:
                    query = text()
                    guard query != nil else { return nil }
                case "collection" where collection == nil:
                    collection = text()
                    guard collection != nil else { return nil }
                case "mode" where mode == nil:
                    mode = text().flatMap(SearchMode.init)
                    guard mode != nil else { return nil }
                case "k" where k == nil:
                    k = count()
                    guard k != nil else { return nil }
                case "highlight" where highlight == nil:
                    highlight = truth()
                    guard highlight != nil else { return nil }
                default: return nil
                }
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")), let query else { return nil }
            skipSpace()
            guard place == bytes.count else { return nil }
            var request = SearchRequest(query: query)
            request.collection = collection ?? request.collection
            request.mode = mode ?? request.mode
            request.k = k ?? request.k
            request.highlight = highlight ?? request.highlight
            return request
        }

        private mutating func skipSpace() {
            while place < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[place]) { place += 1 }
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            skipSpace()
            guard place < bytes.count, bytes[place] == byte else { return false }
            place += 1
            return true
        }

        private mutating func text() -> String? {
            guard take(UInt8(ascii: "\"")) else { return nil }
            let start = place
            while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
                guard bytes[place] >= 0x20, bytes[place] != UInt8(ascii: "\\") else { return nil }
                place += 1
            }
            guard place < bytes.count else { return nil }
            place += 1
            return String(validating: UnsafeRawBufferPointer(rebasing: bytes[start..<place - 1]), as: UTF8.self)
        }

        private mutating func count() -> Int? {
            skipSpace()
            var value = 0
            let start = place
            while place < bytes.count, (0x30...0x39).contains(bytes[place]), place - start < 9 {
                value = value * 10 + Int(bytes[place] - 0x30)
                place += 1
            }
            // Another spelling of a number is the decoder's.
            guard place > start, bytes[start] != 0x30 || place == start + 1, place < bytes.count else { return nil }
            guard !"0123456789.eE+-".utf8.contains(bytes[place]) else { return nil }
            return value
        }

        private mutating func truth() -> Bool? {
            skipSpace()
            for (word, value) in [("true" as StaticString, true), ("false", false)] where place + word.utf8CodeUnitCount <= bytes.count {
                if memcmp(bytes.baseAddress! + place, word.utf8Start, word.utf8CodeUnitCount) == 0 {
                    place += word.utf8CodeUnitCount
                    return value
                }
            }
            return nil
        }
    }
}
