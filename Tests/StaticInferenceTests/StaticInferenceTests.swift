import Foundation
import Inference
import TestSupport
import Testing

@testable import StaticInference

/// A folder that goes away with the test.
private final class Folder {
    let path = NSTemporaryDirectory() + "outrider-static-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String) -> String { path + "/" + name }
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

private let vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "##ish", "null"]

private func write(_ path: String, dimension: Int = 8, seed: UInt64 = 1, contextLength: Int = 16) throws -> [Float] {
    var generator = SeededGenerator(seed: seed)
    var rows = generator.floats(vocabulary.count * dimension)
    for index in rows.count - dimension..<rows.count { rows[index] = 0 }
    let header = StaticTable.Header(name: "tiny-static-\(dimension)", note: "{}", dimension: dimension, contextLength: contextLength)
    try StaticTable.write(to: path, header: header, vocabulary: vocabulary, rows: rows)
    return rows
}

@Suite struct StaticEmbedderTests {
    private let folder: Folder
    init() throws { folder = try Folder() }

    private func unit(_ tokens: [Int], _ rows: [Float], _ dimension: Int) -> [Float] {
        var sum = [Float](repeating: 0, count: dimension)
        for token in tokens { for index in 0..<dimension { sum[index] += rows[token * dimension + index] } }
        let length = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return sum.map { $0 / length }
    }

    @Test(arguments: [1, 3, 8, 31, 33, 256])
    func `a vector is the sum of the tokens' rows at unit length`(dimension: Int) async throws {
        let rows = try write(folder.file("a.static"), dimension: dimension)
        let embedder = try StaticEmbedder(path: folder.file("a.static"))
        #expect(embedder.model == EmbeddingModel(name: "tiny-static-\(dimension)", dimension: dimension, contextLength: 16))
        let vectors = try await embedder.embed(["Red, redish blue", "green"], for: .query)
        // The comma is unknown, row 1.
        let expected = unit([4, 1, 4, 7, 6], rows, dimension) + unit([5], rows, dimension)
        for (got, wanted) in zip(vectors, expected) { #expect(abs(got - wanted) < 0.02) }
        #expect(vectors.count == expected.count)
    }

    @Test func `every vector has unit length, also of a text that says nothing`() async throws {
        _ = try write(folder.file("a.static"))
        let embedder = try StaticEmbedder(path: folder.file("a.static"))
        let texts = ["", " \n", "null null", "red", "漢字", String(repeating: "blue ", count: 10_000)]
        let vectors = try await embedder.embed(texts, for: .document)
        for start in stride(from: 0, to: vectors.count, by: 8) {
            let square = vectors[start..<start + 8].reduce(0) { $0 + $1 * $1 }
            #expect(abs(square - 1) < 1e-5)
        }
        #expect(try await embedder.embed([], for: .query).isEmpty)
    }

    @Test func `a text does not depend on those that are embedded with it`() async throws {
        _ = try write(folder.file("a.static"))
        let embedder = try StaticEmbedder(path: folder.file("a.static"))
        let texts = (0..<600).map { ["red", "green blue", "blueish green red", ""][$0 % 4] }
        let together = try await embedder.embed(texts, for: .document)
        for (index, text) in texts.enumerated().prefix(8) {
            #expect(try await embedder.embed([text], for: .query) == Array(together[index * 8..<(index + 1) * 8]))
        }
    }

    @Test func `what lies beyond the context length has no influence`() async throws {
        _ = try write(folder.file("a.static"), contextLength: 6)
        let embedder = try StaticEmbedder(path: folder.file("a.static"))
        let start = "red green blue red"
        #expect(try await embedder.embed([start], for: .query) == embedder.embed([start + " green green"], for: .query))
        let shorter = try StaticEmbedder(path: folder.file("a.static"), maxInputTokens: 3)
        #expect(try await shorter.embed(["red"], for: .query) == shorter.embed([start], for: .query))
        #expect(shorter.model.contextLength == 3)
    }

    @Test func `a cancelled task ends with an error`() async throws {
        _ = try write(folder.file("a.static"))
        let embedder = try StaticEmbedder(path: folder.file("a.static"))
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await embedder.embed(["red"], for: .query)
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

@Suite struct StaticTableTests {
    private let folder: Folder
    init() throws { folder = try Folder() }

    @Test func `what is written is read, within half a step of 8 bits`() throws {
        let rows = try write(folder.file("a.static"))
        let table = try StaticTable(path: folder.file("a.static"))
        #expect(table.vocabulary == vocabulary)
        table.withRows { scales, bytes in
            for index in rows.indices {
                #expect(abs(rows[index] - scales[index / 8] * Float(bytes[index])) <= scales[index / 8] * 0.5001)
            }
        }
        #expect(folder.names == ["a.static"])
    }

    @Test func `the same rows give the same bytes`() throws {
        _ = try write(folder.file("a.static"))
        _ = try write(folder.file("b.static"))
        #expect(
            FileManager.default.contents(atPath: folder.file("a.static")) == FileManager.default.contents(atPath: folder.file("b.static")))
    }

    @Test func `a file that is cut anywhere is refused`() throws {
        _ = try write(folder.file("a.static"))
        let data = try #require(FileManager.default.contents(atPath: folder.file("a.static")))
        for size in 0..<data.count {
            try data.prefix(size).write(to: URL(fileURLWithPath: folder.file("cut.static")))
            #expect(throws: InferenceError.self, "\(size) bytes") { try StaticTable(path: folder.file("cut.static")) }
        }
    }

    @Test func `a flipped bit anywhere is detected`() throws {
        _ = try write(folder.file("a.static"))
        let data = try #require(FileManager.default.contents(atPath: folder.file("a.static")))
        for index in data.indices {
            // Bytes 56 to 63 are not used.
            if (56..<64).contains(index) { continue }
            var changed = data
            changed[index] ^= 1 << UInt8(index % 8)
            try changed.write(to: URL(fileURLWithPath: folder.file("flipped.static")))
            #expect(throws: InferenceError.self, "byte \(index)") { try StaticTable(path: folder.file("flipped.static")) }
        }
    }

    @Test func `a header that lies under a good checksum is refused`() throws {
        _ = try write(folder.file("a.static"))
        let data = try #require(FileManager.default.contents(atPath: folder.file("a.static")))
        for (offset, value) in [
            (16, UInt32(0)), (16, 9), (16, .max), (20, 0), (20, .max), (24, 0), (28, .max), (32, .max), (36, .max), (36, 3),
        ] {
            var changed = data
            withUnsafeBytes(of: value.littleEndian) { changed.replaceSubrange(offset..<offset + 4, with: $0) }
            withUnsafeBytes(of: StaticTable.checksum(changed).littleEndian) { changed.replaceSubrange(48..<56, with: $0) }
            try changed.write(to: URL(fileURLWithPath: folder.file("lie.static")))
            #expect(throws: InferenceError.self, "offset \(offset), value \(value)") { try StaticTable(path: folder.file("lie.static")) }
        }
    }

    @Test func `errors name the file and what to do`() throws {
        #expect { try StaticEmbedder(path: folder.file("none.static")) } throws: { "\($0)".contains("none.static") }
        try Data("something else entirely".utf8).write(to: URL(fileURLWithPath: folder.file("other.static")))
        #expect { try StaticEmbedder(path: folder.file("other.static")) } throws: {
            if case InferenceError.wrongModelKind = $0 { true } else { false }
        }
        #expect {
            try StaticTable.write(
                to: "/nowhere/a.static", header: .init(name: "a", note: "", dimension: 1, contextLength: 1), vocabulary: ["a"], rows: [1])
        } throws: {
            "\($0)".contains("/nowhere/a.static")
        }
    }
}

@Suite struct NumPyFileTests {
    private let folder: Folder
    init() throws { folder = try Folder() }

    @Test func `a matrix that is written in pieces is read as one`() throws {
        var generator = SeededGenerator(seed: 5)
        let values = generator.floats(7 * 13)
        let writer = try NumPyFile.Writer(path: folder.file("a.npy"), columnCount: 13)
        try writer.append(Array(values[..<13]))
        try writer.append(Array(values[13...]))
        #expect(folder.names == ["a.npy.part"])
        try writer.finish()
        #expect(folder.names == ["a.npy"])
        let matrix = try NumPyFile.read(folder.file("a.npy"))
        #expect((matrix.rowCount, matrix.columnCount) == (7, 13) && matrix.values == values)
        #expect(try NumPyFile.read(folder.file("a.npy"), rowMax: 2).values == Array(values[..<26]))
        let bytes = try #require(FileManager.default.contents(atPath: folder.file("a.npy")))
        #expect(bytes.count == 128 + 7 * 13 * 4 && bytes[127] == 0x0A)
    }

    @Test func `a writer that is let go leaves nothing`() throws {
        do { try NumPyFile.Writer(path: folder.file("a.npy"), columnCount: 2).append([1, 2]) }
        #expect(folder.names.isEmpty)
    }

    @Test func `a file of another kind or a cut one is refused`() throws {
        let writer = try NumPyFile.Writer(path: folder.file("a.npy"), columnCount: 4)
        try writer.append([Float](repeating: 1, count: 40))
        try writer.finish()
        let data = try #require(FileManager.default.contents(atPath: folder.file("a.npy")))
        for size in [0, 5, 11, 60, 127, data.count - 1] {
            try data.prefix(size).write(to: URL(fileURLWithPath: folder.file("cut.npy")))
            #expect(throws: InferenceError.self, "\(size) bytes") { try NumPyFile.read(folder.file("cut.npy")) }
        }
        let text = String(decoding: data.prefix(128).dropFirst(), as: UTF8.self).replacing("<f4", with: "<f8")
        try (data.prefix(1) + Data(text.utf8) + data.dropFirst(128)).write(to: URL(fileURLWithPath: folder.file("wide.npy")))
        #expect { try NumPyFile.read(folder.file("wide.npy")) } throws: { "\($0)".contains("float32") }
        #expect(throws: InferenceError.self) { try NumPyFile.read(folder.file("none.npy")) }
    }
}
