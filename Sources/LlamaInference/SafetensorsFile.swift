import Foundation
import Inference

/// Reads tensors from a safetensors file, piece by piece, never the whole file at once.
///
/// | Offset | Size | Field |
/// | --- | --- | --- |
/// | 0 | 8 | header length *h*, little-endian |
/// | 8 | *h* | JSON: name -> `{"dtype", "shape", "data_offsets": [begin, end]}` |
/// | 8 + *h* | | the tensors' bytes; offsets count from here |
final class SafetensorsFile {
    struct Tensor {
        enum ElementType: String {
            case f32 = "F32"
            case f16 = "F16"
            case bf16 = "BF16"
        }

        var name: String
        /// Nil when the elements are no floating-point numbers that we convert.
        var type: ElementType?
        var shape: [Int]
        var offset: Int
        var size: Int
        var elementCount: Int { shape.reduce(1, *) }
    }

    private let path: String
    private let descriptor: Int32
    let tensors: [Tensor]

    init(path: String) throws {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw InferenceError.modelNotFound(path: path) }
        do {
            tensors = try Self.readHeader(descriptor, path: path)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Passes all elements of one tensor to `sink` as 32-bit floats, at most 256 Ki elements at a time.
    func read(_ tensor: Tensor, into sink: GGUFWriter.Sink) throws {
        guard let type = tensor.type else {
            throw InferenceError.modelUnreadable(
                path: path, reason: "tensor '\(tensor.name)' has no floating-point type that is supported (F32, F16, BF16)")
        }
        let elementSize = type == .f32 ? 4 : 2
        let pieceSize = 262_144 * elementSize
        var done = 0
        while done < tensor.size {
            let bytes = try Self.read(descriptor, count: min(pieceSize, tensor.size - done), offset: tensor.offset + done, path: path)
            done += bytes.count
            try sink(Self.floats(bytes, type: type))
        }
    }

    private static func floats(_ bytes: [UInt8], type: Tensor.ElementType) -> [Float] {
        bytes.withUnsafeBytes { raw in
            switch type {
            case .f32:
                // The machine is little-endian, as the file is: the bytes are the numbers.
                return [Float](unsafeUninitializedCapacity: raw.count / 4) { buffer, count in
                    UnsafeMutableRawBufferPointer(buffer).copyMemory(from: raw)
                    count = raw.count / 4
                }
            case .f16:
                return (0..<raw.count / 2).map {
                    Float(Float16(bitPattern: UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))))
                }
            case .bf16:
                return (0..<raw.count / 2).map {
                    Float(bitPattern: UInt32(UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self))) << 16)
                }
            }
        }
    }

    private static func readHeader(_ descriptor: Int32, path: String) throws -> [Tensor] {
        func unreadable(_ reason: String) -> InferenceError { .modelUnreadable(path: path, reason: reason) }
        let fileSize = Int(lseek(descriptor, 0, SEEK_END))
        let lengthBytes = try read(descriptor, count: 8, offset: 0, path: path)
        let headerSize = lengthBytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard headerSize <= 100 << 20, 8 + Int(headerSize) <= fileSize else {
            throw unreadable("no safetensors file: header length \(headerSize), file size \(fileSize)")
        }
        let json = try read(descriptor, count: Int(headerSize), offset: 8, path: path)
        guard let header = try? JSONSerialization.jsonObject(with: Data(json)) as? [String: Any] else {
            throw unreadable("its header is no JSON object")
        }
        let dataStart = 8 + Int(headerSize)
        var tensors: [Tensor] = []
        for (name, value) in header where name != "__metadata__" {
            guard let entry = value as? [String: Any], let typeName = entry["dtype"] as? String, let shape = entry["shape"] as? [Int],
                let offsets = entry["data_offsets"] as? [Int], offsets.count == 2
            else { throw unreadable("the header entry of tensor '\(name)' is malformed") }
            // A file may say anything: numbers are compared before they are added or multiplied.
            let dataSize = fileSize - dataStart
            guard offsets[0] >= 0, offsets[1] >= offsets[0], offsets[1] <= dataSize else {
                throw unreadable("tensor '\(name)' lies at bytes \(offsets[0]) to \(offsets[1]), the file has \(dataSize): it is cut")
            }
            let tensor = Tensor(
                name: name, type: Tensor.ElementType(rawValue: typeName), shape: shape, offset: dataStart + offsets[0],
                size: offsets[1] - offsets[0])
            let elementCount = shape.reduce(1) { product, side in
                let (next, overflow) = product.multipliedReportingOverflow(by: side)
                return product < 0 || side < 0 || overflow ? -1 : next
            }
            if let type = tensor.type {
                let elementSize = type == .f32 ? 4 : 2
                guard elementCount >= 0, tensor.size % elementSize == 0, tensor.size / elementSize == elementCount else {
                    throw unreadable("tensor '\(name)' of shape \(shape) has \(tensor.size) bytes")
                }
            }
            tensors.append(tensor)
        }
        return tensors.sorted { $0.offset < $1.offset }
    }

    private static func read(_ descriptor: Int32, count: Int, offset: Int, path: String) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + done, count - done, off_t(offset + done)) }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else {
                throw InferenceError.modelUnreadable(
                    path: path, reason: "it ends at byte \(offset + done), \(count - done) bytes are missing")
            }
            done += got
        }
        return bytes
    }
}
