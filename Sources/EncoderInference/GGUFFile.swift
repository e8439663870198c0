import Foundation
import Inference

/// A GGUF file, mapped read-only: its metadata, and where its tensors lie. Every length and offset is checked before it is used.
///
/// The layout, all integers little-endian; a string is its length in 8 bytes, then UTF-8:
///
/// | Order | Part | Bytes |
/// | --- | --- | --- |
/// | 1 | magic `GGUF`, version 2 or 3 | 4 + 4 |
/// | 2 | tensor count, metadata count | 8 + 8 |
/// | 3 | each key and value: key string, value type, value | varies |
/// | 4 | each tensor: name, dimension count, dimensions (fastest first), type, offset | varies |
/// | 5 | zero bytes up to a multiple of `general.alignment` (32) | |
/// | 6 | the tensors, each at its offset after part 5 | varies |
///
/// The file must not shrink while it is open: the system would end a process that reads a page that is gone.
final class GGUFFile: @unchecked Sendable {
    // Invariant: nothing changes after `init`; the mapping is private to this object and only read.

    /// How a tensor's elements are stored; other types are known by their number only.
    ///
    /// The quantised ones are blocks of 32 elements behind one 16-bit scale *d*: `q8_0` holds 32 signed bytes *q*, `q4_0` 16 bytes whose low halves are elements 0 to 15 and whose
    /// high halves are 16 to 31, each *q* + 8. An element is *d* *q*.
    enum ElementType: UInt32, Sendable {
        case f32 = 0
        case f16 = 1
        case q4 = 2
        case q8 = 8

        /// Elements that are stored together.
        var blockCount: Int { self == .q4 || self == .q8 ? 32 : 1 }

        /// Bytes of a block.
        var blockSize: Int {
            switch self {
            case .f32: 4
            case .f16: 2
            case .q4: 2 + 16
            case .q8: 2 + 32
            }
        }

        /// Bytes of so many elements, which are whole blocks; nil when they are not.
        func size(of count: Int) -> Int? { count % blockCount == 0 ? count / blockCount * blockSize : nil }
    }

    struct Tensor: Sendable {
        var name: String
        /// Row-major, slowest dimension first: a matrix is `[rows, columns]`.
        var shape: [Int]
        /// The number of the type in the file; see `ElementType`.
        var typeCode: UInt32
        /// Position in the file.
        var offset: Int
        var elementCount: Int { shape.reduce(1, *) }
    }

    private enum Value {
        case unsigned(UInt64)
        case signed(Int64)
        case float(Double)
        case bool(Bool)
        case string(String)
        /// Elements of one type, read when asked for; `offset` is the first element's.
        case array(type: UInt32, count: Int, offset: Int)
    }

    let path: String
    let architecture: String
    private(set) var tensors: [String: Tensor] = [:]
    private var metadata: [String: Value] = [:]
    private let mapping: UnsafeMutableRawPointer
    private let size: Int

    /// - Throws: `InferenceError.modelNotFound`, or `.modelUnreadable` with the flaw and where it is.
    init(path: String) throws {
        self.path = path
        var status = stat()
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            let code = errno
            if descriptor >= 0 { close(descriptor) }
            if descriptor < 0 && code != ENOENT {
                throw InferenceError.modelUnreadable(path: path, reason: String(cString: strerror(code)))
            }
            throw InferenceError.modelNotFound(path: path)
        }
        defer { close(descriptor) }
        size = Int(status.st_size)
        guard size >= 24 else { throw InferenceError.modelUnreadable(path: path, reason: "it has \(size) bytes; get the model again") }
        guard let mapped = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), mapped != MAP_FAILED else {
            throw InferenceError.modelUnreadable(path: path, reason: "it cannot be mapped: \(String(cString: strerror(errno)))")
        }
        mapping = mapped
        // All stored properties need a value before anything is thrown, so that `deinit` ends the mapping.
        var reader = Reader(bytes: UnsafeRawBufferPointer(start: mapped, count: size))
        do throws(Flaw) {
            let parts = try Self.parse(&reader)
            metadata = parts.metadata
            tensors = parts.tensors
            guard case .string(let name)? = metadata["general.architecture"] else {
                throw Flaw(reason: "it names no architecture", offset: 24)
            }
            architecture = name
        } catch {
            munmap(mapped, size)
            throw InferenceError.modelUnreadable(path: path, reason: "\(error.reason), at byte \(error.offset); get the model again")
        }
    }

    deinit { munmap(mapping, size) }

    // MARK: Metadata

    /// A whole number that is not negative, however it is stored; nil when the key is missing or of another type.
    func integer(_ key: String) -> Int? {
        switch metadata[key] {
        case .unsigned(let value)?: Int(exactly: value)
        case .signed(let value)? where value >= 0: Int(exactly: value)
        default: nil
        }
    }

    func float(_ key: String) -> Float? {
        if case .float(let value)? = metadata[key] { return Float(value) }
        return nil
    }

    func bool(_ key: String) -> Bool? {
        if case .bool(let value)? = metadata[key] { return value }
        return nil
    }

    func string(_ key: String) -> String? {
        if case .string(let value)? = metadata[key] { return value }
        return nil
    }

    /// - Throws: `.modelUnreadable` when an element is not what the file says.
    func strings(_ key: String) throws -> [String]? {
        guard case .array(8, let count, let offset)? = metadata[key] else { return nil }
        var reader = Reader(bytes: UnsafeRawBufferPointer(start: mapping, count: size), offset: offset)
        do throws(Flaw) {
            var strings: [String] = []
            strings.reserveCapacity(count)
            for _ in 0..<count { strings.append(try reader.string()) }
            return strings
        } catch { throw InferenceError.modelUnreadable(path: path, reason: "\(error.reason) in '\(key)', at byte \(error.offset)") }
    }

    func floats(_ key: String) -> [Float]? {
        guard case .array(6, let count, let offset)? = metadata[key] else { return nil }
        return (0..<count).map { Float(bitPattern: mapping.loadUnaligned(fromByteOffset: offset + $0 * 4, as: UInt32.self)) }
    }

    func integers(_ key: String) -> [Int32]? {
        guard case .array(let type, let count, let offset)? = metadata[key], type == 4 || type == 5 else { return nil }
        return (0..<count).map { mapping.loadUnaligned(fromByteOffset: offset + $0 * 4, as: Int32.self) }
    }

    // MARK: Tensors

    /// The bytes of a tensor whose type is `ElementType`; they live as long as the file.
    ///
    /// - Throws: `.wrongModelKind` for a type that is not read here.
    func bytes(of tensor: Tensor) throws -> (bytes: UnsafeRawBufferPointer, type: ElementType) {
        guard let type = ElementType(rawValue: tensor.typeCode) else {
            throw InferenceError.wrongModelKind(
                path: path,
                reason: "tensor '\(tensor.name)' is quantised as type \(tensor.typeCode); this encoder reads f32, f16, q8_0 and q4_0")
        }
        guard tensor.shape.last! % type.blockCount == 0, let count = type.size(of: tensor.elementCount) else {
            throw InferenceError.modelUnreadable(path: path, reason: "the rows of tensor '\(tensor.name)' are no whole blocks of \(type)")
        }
        // Checked in `parse`.
        precondition(tensor.offset >= 0 && count <= size - tensor.offset, "tensor '\(tensor.name)' lies outside of the file")
        return (UnsafeRawBufferPointer(start: mapping + tensor.offset, count: count), type)
    }

    // MARK: Parsing

    private struct Flaw: Error {
        var reason: String
        var offset: Int
    }

    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        var offset = 0

        mutating func take(_ count: Int, _ what: String) throws(Flaw) -> Int {
            guard count >= 0 && count <= bytes.count - offset else {
                throw Flaw(reason: "it ends in the middle of \(what) (\(count) bytes, \(bytes.count - offset) are left)", offset: offset)
            }
            defer { offset += count }
            return offset
        }

        mutating func number<Number: FixedWidthInteger>(_ type: Number.Type, _ what: String) throws(Flaw) -> Number {
            Number(littleEndian: bytes.loadUnaligned(fromByteOffset: try take(MemoryLayout<Number>.size, what), as: Number.self))
        }

        /// A count of things that take at least `least` bytes each.
        mutating func count(_ what: String, least: Int) throws(Flaw) -> Int {
            let start = offset
            let value = try number(UInt64.self, what)
            guard value <= UInt64((bytes.count - offset) / max(1, least)) else {
                throw Flaw(reason: "\(what) is \(value), more than the file can hold", offset: start)
            }
            return Int(value)
        }

        mutating func string() throws(Flaw) -> String {
            let count = try count("a string's length", least: 1)
            let start = try take(count, "a string")
            return String(decoding: bytes[start..<start + count], as: UTF8.self)
        }
    }

    private static let sizes: [UInt32: Int] = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8]

    private static func value(_ reader: inout Reader) throws(Flaw) -> Value {
        let start = reader.offset
        let type = try reader.number(UInt32.self, "a value's type")
        switch type {
        case 0: return .unsigned(UInt64(try reader.number(UInt8.self, "a value")))
        case 1: return .signed(Int64(try reader.number(Int8.self, "a value")))
        case 2: return .unsigned(UInt64(try reader.number(UInt16.self, "a value")))
        case 3: return .signed(Int64(try reader.number(Int16.self, "a value")))
        case 4: return .unsigned(UInt64(try reader.number(UInt32.self, "a value")))
        case 5: return .signed(Int64(try reader.number(Int32.self, "a value")))
        case 6: return .float(Double(Float(bitPattern: try reader.number(UInt32.self, "a value"))))
        case 7: return .bool(try reader.number(UInt8.self, "a value") != 0)
        case 8: return .string(try reader.string())
        case 9:
            let element = try reader.number(UInt32.self, "an array's type")
            if element == 8 {
                let count = try reader.count("an array's length", least: 8)
                let first = reader.offset
                for _ in 0..<count {
                    let length = try reader.count("a string's length", least: 1)
                    _ = try reader.take(length, "a string")
                }
                return .array(type: element, count: count, offset: first)
            }
            guard let elementSize = sizes[element] else {
                throw Flaw(reason: "an array has elements of the unknown type \(element)", offset: start)
            }
            let count = try reader.count("an array's length", least: elementSize)
            return .array(type: element, count: count, offset: try reader.take(count * elementSize, "an array"))
        case 10: return .unsigned(try reader.number(UInt64.self, "a value"))
        case 11: return .signed(try reader.number(Int64.self, "a value"))
        case 12: return .float(Double(bitPattern: try reader.number(UInt64.self, "a value")))
        default: throw Flaw(reason: "a value has the unknown type \(type)", offset: start)
        }
    }

    private static func parse(_ reader: inout Reader) throws(Flaw) -> (metadata: [String: Value], tensors: [String: Tensor]) {
        guard try reader.number(UInt32.self, "the magic") == 0x4655_4747 else {
            throw Flaw(reason: "it is no GGUF file (the first four bytes are not 'GGUF')", offset: 0)
        }
        let version = try reader.number(UInt32.self, "the version")
        guard version == 2 || version == 3 else { throw Flaw(reason: "its GGUF version is \(version); 2 and 3 are read", offset: 4) }
        let tensorCount = try reader.count("the number of tensors", least: 24)
        let metadataCount = try reader.count("the number of metadata", least: 12)
        var metadata: [String: Value] = [:]
        for _ in 0..<metadataCount {
            let start = reader.offset
            let key = try reader.string()
            guard metadata.updateValue(try value(&reader), forKey: key) == nil else {
                throw Flaw(reason: "the metadata key '\(key)' stands there twice", offset: start)
            }
        }
        var alignment = 32
        if case .unsigned(let value)? = metadata["general.alignment"] {
            guard value > 0 && value <= 1 << 20 && value % 8 == 0 else {
                throw Flaw(reason: "general.alignment is \(value)", offset: reader.offset)
            }
            alignment = Int(value)
        }
        var tensors: [String: Tensor] = [:]
        for _ in 0..<tensorCount {
            let start = reader.offset
            let tensor = try tensor(&reader)
            guard tensors.updateValue(tensor, forKey: tensor.name) == nil else {
                throw Flaw(reason: "the tensor '\(tensor.name)' stands there twice", offset: start)
            }
        }
        let first = (reader.offset + alignment - 1) / alignment * alignment
        for (name, tensor) in tensors {
            // A type that is not read here may be of any size; it is refused by whoever asks for it.
            let tensorSize = ElementType(rawValue: tensor.typeCode)?.size(of: tensor.elementCount) ?? 0
            let (offset, overflow) = first.addingReportingOverflow(tensor.offset)
            guard !overflow, offset % 4 == 0, offset <= reader.bytes.count,
                tensorSize <= reader.bytes.count - offset
            else { throw Flaw(reason: "the tensor '\(name)' lies outside of the file or not on 4 bytes", offset: tensor.offset) }
            tensors[name]!.offset = offset
        }
        return (metadata, tensors)
    }

    private static func tensor(_ reader: inout Reader) throws(Flaw) -> Tensor {
        let start = reader.offset
        let name = try reader.string()
        let dimensionCount = try reader.number(UInt32.self, "a tensor's dimensions")
        guard (1...4).contains(dimensionCount) else {
            throw Flaw(reason: "the tensor '\(name)' has \(dimensionCount) dimensions", offset: start)
        }
        var shape: [Int] = []
        var elements = 1
        for _ in 0..<dimensionCount {
            let dimension = try reader.number(UInt64.self, "a tensor's dimensions")
            let (product, overflow) = elements.multipliedReportingOverflow(by: Int(clamping: dimension))
            guard dimension > 0, !overflow, product <= 1 << 48 else {
                throw Flaw(reason: "the tensor '\(name)' has a dimension of \(dimension)", offset: start)
            }
            elements = product
            shape.insert(Int(dimension), at: 0)
        }
        let type = try reader.number(UInt32.self, "a tensor's type")
        let offset = try reader.number(UInt64.self, "a tensor's offset")
        guard offset <= UInt64(Int.max) else { throw Flaw(reason: "the tensor '\(name)' lies outside of the file", offset: start) }
        return Tensor(name: name, shape: shape, typeCode: type, offset: Int(offset))
    }
}
