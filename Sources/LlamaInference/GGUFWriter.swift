import Foundation
import Inference

/// Writes a GGUF version 3 file: the format in which llama.cpp reads models.
///
/// | Order | Part | Bytes |
/// | --- | --- | --- |
/// | 1 | magic `GGUF`, version 3 | 4 + 4 |
/// | 2 | tensor count, metadata count | 8 + 8 |
/// | 3 | each key and value: key string, value type, value | varies |
/// | 4 | each tensor: name, dimension count, dimensions (fastest first), type, offset | varies |
/// | 5 | zero bytes up to a multiple of 32 | 0...31 |
/// | 6 | the tensors, each at its offset after part 5, each padded to a multiple of 32 | varies |
///
/// All integers are little-endian; a string is its length in 8 bytes, then UTF-8. Declare everything first, then ``write(to:fill:)``
/// asks for one tensor after the other, so a model of any size passes through a small buffer.
package struct GGUFWriter {
    /// A metadata value, with the type that the file will name.
    package enum Value {
        case uint32(UInt32)
        case int32(Int32)
        case float32(Float)
        case bool(Bool)
        case string(String)
        case strings([String])
        case int32s([Int32])
        case float32s([Float])
    }

    /// How a tensor's elements are stored.
    package enum TensorType: UInt32, Sendable {
        case f32 = 0
        case f16 = 1
        /// Blocks of 32 elements in 18 bytes; written as bytes only.
        case q4 = 2
        /// Blocks of 32 elements in 34 bytes; written as bytes only.
        case q8 = 8

        var isQuantized: Bool { self == .q4 || self == .q8 }

        /// Bytes of so many elements.
        func size(of count: Int) -> Int {
            switch self {
            case .f32: count * 4
            case .f16: count * 2
            case .q4: count / 32 * 18
            case .q8: count / 32 * 34
            }
        }
    }

    /// Receives the elements of one tensor, in order, in pieces of any length.
    package typealias Sink = ([Float]) throws -> Void

    private struct Tensor {
        var name: String
        var shape: [Int]
        var type: TensorType
        var offset: Int
        var elementCount: Int { shape.reduce(1, *) }
        var size: Int { type.size(of: elementCount) }
    }

    private static let alignment = 32
    private var metadata: [(key: String, value: Value)] = []
    private var tensors: [Tensor] = []

    package init(architecture: String) {
        set("general.architecture", .string(architecture))
    }

    /// Adds one metadata entry.
    /// - Precondition: `key` has not been set before.
    package mutating func set(_ key: String, _ value: Value) {
        precondition(!metadata.contains { $0.key == key }, "metadata key '\(key)' is set twice")
        metadata.append((key, value))
    }

    /// Announces a tensor.
    /// - Parameter shape: Row-major, slowest dimension first: a matrix is `[rows, columns]`; quantised rows are whole blocks of 32.
    package mutating func declare(_ name: String, shape: [Int], type: TensorType) {
        precondition((1...4).contains(shape.count) && shape.allSatisfy { $0 > 0 }, "tensor '\(name)' has shape \(shape)")
        precondition(!type.isQuantized || shape.last! % 32 == 0, "tensor '\(name)' has rows of \(shape.last!)")
        precondition(!tensors.contains { $0.name == name }, "tensor '\(name)' is declared twice")
        let offset = tensors.last.map { Self.padded($0.offset + $0.size) } ?? 0
        tensors.append(Tensor(name: name, shape: shape, type: type, offset: offset))
    }

    /// Bytes of a declared tensor; nil for one that is not.
    package func size(of name: String) -> Int? { tensors.first { $0.name == name }?.size }

    /// Writes the file under a temporary name, flushes it to the disk and renames it: a reader never sees half a model.
    ///
    /// - Parameter fill: Called once for each tensor, in the order of declaration; must pass exactly the tensor's elements to the sink.
    /// - Throws: `InferenceError.failed` when the disk refuses; whatever `fill` throws. Nothing is left behind then.
    package func write(to path: String, fill: (_ name: String, _ sink: Sink) throws -> Void) throws {
        try writeEach(to: path) { tensor, file in
            var written = 0
            try fill(tensor.name) { elements in
                written += elements.count
                precondition(
                    written <= tensor.elementCount, "tensor '\(tensor.name)' takes \(tensor.elementCount) elements, got \(written)")
                try file.write(Self.bytes(of: elements, as: tensor.type))
            }
            precondition(written == tensor.elementCount, "tensor '\(tensor.name)' takes \(tensor.elementCount) elements, got \(written)")
        }
    }

    /// The same with each tensor's bytes as they stand in the file, quantised ones too; in pieces of any length.
    package func writeBytes(to path: String, fill fillBytes: (_ name: String, _ sink: ([UInt8]) throws -> Void) throws -> Void) throws {
        try writeEach(to: path) { tensor, file in
            var written = 0
            try fillBytes(tensor.name) { bytes in
                written += bytes.count
                try file.write(bytes)
            }
            precondition(written == tensor.size, "tensor '\(tensor.name)' takes \(tensor.size) bytes, got \(written)")
        }
    }

    private func writeEach(to path: String, fill: (_ tensor: Tensor, _ file: OutputFile) throws -> Void) throws {
        let part = path + ".part"
        let file = try OutputFile(path: part)
        do {
            try file.write(header())
            for tensor in tensors {
                try fill(tensor, file)
                try file.write([UInt8](repeating: 0, count: Self.padded(tensor.size) - tensor.size))
            }
            try file.finish(renamingTo: path)
        } catch {
            file.discard()
            throw error
        }
    }

    /// Convenience for small models: all tensors from one dictionary.
    package func write(to path: String, tensors values: [String: [Float]]) throws {
        try write(to: path) { name, sink in
            guard let elements = values[name] else { preconditionFailure("no values for tensor '\(name)'") }
            try sink(elements)
        }
    }

    // MARK: Encoding

    private static func padded(_ size: Int) -> Int { (size + alignment - 1) / alignment * alignment }

    private func header() -> [UInt8] {
        var bytes = ByteBuilder()
        bytes.append("GGUF".utf8)
        bytes.append(UInt32(3))
        bytes.append(UInt64(tensors.count))
        bytes.append(UInt64(metadata.count))
        for (key, value) in metadata {
            bytes.append(string: key)
            value.encode(into: &bytes)
        }
        for tensor in tensors {
            bytes.append(string: tensor.name)
            bytes.append(UInt32(tensor.shape.count))
            for dimension in tensor.shape.reversed() { bytes.append(UInt64(dimension)) }
            bytes.append(tensor.type.rawValue)
            bytes.append(UInt64(tensor.offset))
        }
        bytes.pad(to: Self.padded(bytes.bytes.count))
        return bytes.bytes
    }

    private static func bytes(of elements: [Float], as type: TensorType) -> [UInt8] {
        switch type {
        case .f32:
            return elements.withUnsafeBytes { [UInt8]($0) }
        case .f16:
            if elements.isEmpty { return [] }
            return [UInt8](unsafeUninitializedCapacity: elements.count * 2) { buffer, count in
                // Pointers and a plain loop: millions of elements pass here, also in debug builds.
                let output = UnsafeMutableRawPointer(buffer.baseAddress!).bindMemory(to: Float16.self, capacity: elements.count)
                elements.withUnsafeBufferPointer { input in
                    var index = 0
                    while index < input.count {
                        output[index] = Float16(input[index])
                        index += 1
                    }
                }
                count = elements.count * 2
            }
        case .q4, .q8: preconditionFailure("quantised tensors are written as bytes")
        }
    }
}

extension GGUFWriter.Value {
    /// The type numbers of the GGUF specification.
    private var typeCode: UInt32 {
        switch self {
        case .uint32: 4
        case .int32: 5
        case .float32: 6
        case .bool: 7
        case .string: 8
        case .strings, .int32s, .float32s: 9
        }
    }

    fileprivate func encode(into bytes: inout ByteBuilder) {
        bytes.append(typeCode)
        switch self {
        case .uint32(let value): bytes.append(value)
        case .int32(let value): bytes.append(UInt32(bitPattern: value))
        case .float32(let value): bytes.append(value.bitPattern)
        case .bool(let value): bytes.append(UInt8(value ? 1 : 0))
        case .string(let value): bytes.append(string: value)
        case .strings(let values):
            bytes.append(UInt32(8))
            bytes.append(UInt64(values.count))
            for value in values { bytes.append(string: value) }
        case .int32s(let values):
            bytes.append(UInt32(5))
            bytes.append(UInt64(values.count))
            for value in values { bytes.append(UInt32(bitPattern: value)) }
        case .float32s(let values):
            bytes.append(UInt32(6))
            bytes.append(UInt64(values.count))
            for value in values { bytes.append(value.bitPattern) }
        }
    }
}

private struct ByteBuilder {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }
    mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    mutating func append(string: String) {
        append(UInt64(string.utf8.count))
        append(string.utf8)
    }
    mutating func pad(to count: Int) { bytes.append(contentsOf: repeatElement(0, count: count - bytes.count)) }
}

/// A file that appears under its name only when it is complete.
private final class OutputFile {
    private let path: String
    private var descriptor: Int32

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("cannot be created") }
    }

    func write(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure("cannot be written") }
            done += count
        }
    }

    func finish(renamingTo final: String) throws {
        guard fsync(descriptor) == 0 else { throw failure("cannot be flushed") }
        close(descriptor)
        descriptor = -1
        guard rename(path, final) == 0 else { throw failure("cannot be renamed to '\(final)'") }
    }

    func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unlink(path)
    }

    private func failure(_ what: String) -> InferenceError {
        .failed(name: "model converter", reason: "file '\(path)' \(what): \(String(cString: strerror(errno)))")
    }
}
