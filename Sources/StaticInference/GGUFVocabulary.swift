import Foundation
import Inference

/// The WordPiece vocabulary of a BERT model in a GGUF file: as much of the format as that takes.
///
/// The file begins with `GGUF`, a version, the counts of tensors and of metadata, then the metadata: key, type, value (see `GGUFWriter`).
/// Every read is checked against the file's end; a damaged file is an error that says where.
package struct GGUFVocabulary: Sendable {
    /// In the notation of `WordPieceTokenizer`.
    package var tokens: [String] = []
    package var isUncased = true
    package var stripsAccents = true

    /// - Throws: `InferenceError.modelNotFound`, `.modelUnreadable`, or `.wrongModelKind` when the vocabulary is not WordPiece.
    package init(path: String) throws {
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else {
            throw InferenceError.modelNotFound(path: path)
        }
        var reader = Reader(data: data, path: path)
        guard try reader.bytes(4).elementsEqual("GGUF".utf8) else {
            throw InferenceError.wrongModelKind(path: path, reason: "it is no GGUF file")
        }
        let version = try reader.number(UInt32.self)
        guard (2...3).contains(version) else { throw reader.unreadable("GGUF version \(version) is not read here") }
        _ = try reader.number(UInt64.self)
        let count = try reader.number(UInt64.self)
        var kinds: [Int32] = []
        var model = ""
        var llamaTokens: [String] = []
        var strips: Bool?
        for _ in 0..<count {
            let key = try reader.string()
            let type = try reader.number(UInt32.self)
            switch (key, type) {
            case ("tokenizer.ggml.model", 8): model = try reader.string()
            case ("tokenizer.ggml.normalizer.lowercase", 7): isUncased = try reader.number(UInt8.self) != 0
            case ("tokenizer.ggml.normalizer.strip_accents", 7): strips = try reader.number(UInt8.self) != 0
            case ("tokenizer.ggml.tokens", 9):
                let (element, length) = try reader.arrayHeader()
                guard element == 8 else { throw reader.unreadable("the vocabulary is no list of strings") }
                for _ in 0..<length { llamaTokens.append(try reader.string()) }
            case ("tokenizer.ggml.token_type", 9):
                let (element, length) = try reader.arrayHeader()
                guard element == 5 else { throw reader.unreadable("the token types are no list of 32-bit numbers") }
                for _ in 0..<length { kinds.append(try reader.number(Int32.self)) }
            default: try reader.skip(type)
            }
        }
        guard model == "bert", !llamaTokens.isEmpty else {
            throw InferenceError.wrongModelKind(
                path: path, reason: "its tokenizer is '\(model)'; only WordPiece vocabularies ('bert') can be distilled")
        }
        stripsAccents = strips ?? isUncased
        tokens = WordPieceTokenizer.vocabulary(fromGGUF: llamaTokens, kinds: kinds.isEmpty ? nil : kinds)
    }

    private struct Reader {
        let data: Data
        let path: String
        var position = 0

        func unreadable(_ reason: String) -> InferenceError { .modelUnreadable(path: path, reason: "\(reason) (at byte \(position))") }

        mutating func bytes(_ count: Int) throws -> Data {
            guard count >= 0, count <= data.count - position else { throw unreadable("the file ends too early") }
            defer { position += count }
            return data[position..<position + count]
        }

        mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
            let size = MemoryLayout<Number>.size
            guard size <= data.count - position else { throw unreadable("the file ends too early") }
            defer { position += size }
            return Number(littleEndian: data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: Number.self) })
        }

        private mutating func size() throws -> Int {
            let value = try number(UInt64.self)
            guard value <= UInt64(data.count) else { throw unreadable("a length of \(value) is longer than the file") }
            return Int(value)
        }

        mutating func string() throws -> String {
            let size = try size()
            return String(decoding: try bytes(size), as: UTF8.self)
        }

        mutating func arrayHeader() throws -> (type: UInt32, count: Int) { (try number(UInt32.self), try size()) }

        mutating func skip(_ type: UInt32) throws {
            switch type {
            case 0, 1, 7: _ = try bytes(1)
            case 2, 3: _ = try bytes(2)
            case 4, 5, 6: _ = try bytes(4)
            case 10, 11, 12: _ = try bytes(8)
            case 8: _ = try string()
            case 9:
                let (element, count) = try arrayHeader()
                guard element != 9 else { throw unreadable("a list of lists is not read here") }
                for _ in 0..<count { try skip(element) }
            default: throw unreadable("type \(type) is unknown")
            }
        }
    }
}
