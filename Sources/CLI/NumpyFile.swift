import ArgumentParser
import Foundation

/// A two-dimensional array in a file of NumPy's format 1.0 or 2.0, little-endian, row by row; mapped, not read.
struct NumpyFile {
    let rows: Int
    let columns: Int
    private let element: String
    private let data: Data
    private let offset: Int
    private let path: String

    init(path: String) throws {
        self.path = path
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        func refuse(_ reason: String) -> ValidationError { ValidationError("'\(path)' is no NumPy array that can be read: \(reason)") }
        guard data.count > 12, data.prefix(6) == Data([0x93] + Array("NUMPY".utf8)) else { throw refuse("it does not begin as one") }
        let isLong = data[data.startIndex + 6] > 1
        let start = isLong ? 12 : 10
        let length = data.withUnsafeBytes { bytes in
            isLong
                ? Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
                : Int(bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        }
        guard start + length <= data.count else { throw refuse("its header is cut off") }
        let header = String(decoding: data[data.startIndex + start..<data.startIndex + start + length], as: UTF8.self)
        guard let shape = header.firstMatch(of: /'shape': \((\d+), ?(\d+),?\)/), let rows = Int(shape.1), let columns = Int(shape.2),
            let kind = header.firstMatch(of: /'descr': '([<|]\w+)'/), header.contains("'fortran_order': False")
        else { throw refuse("expected two dimensions in C order, got \(header)") }
        self.rows = rows
        self.columns = columns
        element = String(kind.1)
        offset = start + length
    }

    func values<Element: BitwiseCopyable>(of type: Element.Type) throws -> [Element] { try rows(0..<rows, of: type) }

    func rows<Element: BitwiseCopyable>(_ range: Range<Int>, of type: Element.Type) throws -> [Element] {
        let expected = type == Float.self ? "<f4" : "<i4"
        let first = offset + range.lowerBound * columns * 4
        let size = range.count * columns * 4
        guard element == expected, first + size <= data.count else {
            throw ValidationError("'\(path)' holds \(element) in \(data.count) bytes, expected \(rows) × \(columns) of \(expected)")
        }
        return [Element](unsafeUninitializedCapacity: range.count * columns) { buffer, filled in
            data.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<first + size]))
            }
            filled = range.count * columns
        }
    }
}
