import Foundation

/// Vectors as they are stored: Float16, little-endian; Float32 where that would lose more than rounding does, and where an earlier version stored them. The size tells which.
///
/// Half precision moves a number by at most 1/2048 of itself, and the score of two vectors by a hundred-thousandth on average.
/// A vector is rounded before anything else sees it (`rounded`), so that the database and the indexes hold the same numbers.
enum VectorBlob {
    /// Whether a vector of this dimension can have so many bytes.
    static func isSize(_ size: Int, dimension: Int) -> Bool { size == 2 * dimension || size == 4 * dimension }

    static func encode(_ values: ArraySlice<Float>) -> Data {
        guard isHalf(values) else {
            var data = Data(capacity: values.count * 4)
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) } }
            return data
        }
        var data = Data(count: values.count * 2)
        data.withUnsafeMutableBytes { bytes in
            for (index, value) in values.enumerated() {
                bytes.storeBytes(of: Float16(value).bitPattern.littleEndian, toByteOffset: index * 2, as: UInt16.self)
            }
        }
        return data
    }

    /// Whether half precision holds a vector to within a thousandth of its length: not where numbers are beyond its range, or most of them are too small for it.
    private static func isHalf(_ values: ArraySlice<Float>) -> Bool {
        var (length, loss) = (0.0, 0.0)
        for value in values {
            let rounded = Float(Float16(value))
            guard rounded.isFinite else { return false }
            length += Double(value) * Double(value)
            loss += Double(value - rounded) * Double(value - rounded)
        }
        return loss <= length / (1024 * 1024)
    }

    /// What will be read back of a vector that is stored.
    static func rounded(_ values: ArraySlice<Float>) -> [Float] { isHalf(values) ? values.map { Float(Float16($0)) } : Array(values) }

    /// Eight bytes, little-endian.
    static func checksum(_ blob: Data) -> Data {
        withUnsafeBytes(of: ContentChecksum.of(blob).littleEndian) { Data($0) }
    }

    /// - Returns: Of another length than `dimension` where the size is not that of such a vector.
    static func decode(_ bytes: UnsafeRawBufferPointer, dimension: Int) -> [Float] {
        let isHalf = bytes.count == 2 * dimension
        let count = isHalf ? dimension : bytes.count / 4
        return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if isHalf {
                for index in 0..<count {
                    buffer[index] = widened(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)))
                }
            } else {
                for index in 0..<count {
                    buffer[index] = Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
                }
            }
            initialized = count
        }
    }

    /// Exact. The exponent's bias is made up by one multiplication, which also lifts the smallest numbers: a step that the compiler does for several numbers at once.
    private static func widened(_ half: UInt16) -> Float {
        let magnitude = Float(bitPattern: UInt32(half & 0x7FFF) << 13) * 0x1p112
        // Infinities are never stored; a damaged file may hold some, and they must be seen as what they are.
        let bits = half & 0x7C00 == 0x7C00 ? UInt32(0x7F80_0000) | UInt32(half & 0x3FF) << 13 : magnitude.bitPattern
        return Float(bitPattern: bits | UInt32(half & 0x8000) << 16)
    }
}

extension DraftVectors {
    /// As they will be read back from the database.
    package var rounded: DraftVectors {
        var result = self
        result.values.removeAll(keepingCapacity: true)
        for start in stride(from: 0, to: values.count, by: max(1, dimension)) {
            result.values += VectorBlob.rounded(values[start..<min(start + max(1, dimension), values.count)])
        }
        return result
    }
}
