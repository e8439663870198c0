import Foundation
import Inference

/// Matrices of 32-bit floats in NumPy's format: what Python tools read and write.
///
/// | Offset | Size | Field |
/// | --- | --- | --- |
/// | 0 | 6 | `\x93NUMPY` |
/// | 6 | 2 | version, 1.0 |
/// | 8 | 2 | size of the header text, little-endian |
/// | 10 | that | `{'descr': '<f4', 'fortran_order': False, 'shape': (rows, columns), }`, padded so that the data begins at a multiple of 64 |
/// | | | the rows, one after the other |
///
/// See "NEP 1: A simple file format for NumPy arrays", 2007.
package enum NumPyFile {
    /// Writes rows as they come; the file appears under its name when it is complete.
    package final class Writer {
        private let path: String
        private let columnCount: Int
        private var rowCount = 0
        private var file: FileHandle?
        private static let headerSize = 128

        /// - Throws: `InferenceError.failed` when the file cannot be made.
        package init(path: String, columnCount: Int) throws {
            precondition(columnCount > 0, "\(columnCount) columns")
            self.path = path
            self.columnCount = columnCount
            guard FileManager.default.createFile(atPath: path + ".part", contents: nil),
                let file = FileHandle(forWritingAtPath: path + ".part")
            else { throw InferenceError.failed(name: path, reason: "the file cannot be created; is its folder there?") }
            self.file = file
            try file.write(contentsOf: Self.header(rowCount: 0, columnCount: columnCount))
        }

        deinit {
            guard let file else { return }
            try? file.close()
            unlink(path + ".part")
        }

        /// Appends rows.
        /// - Parameter rows: Shape `[any, columnCount]`, row-major.
        package func append(_ rows: [Float]) throws {
            precondition(rows.count % columnCount == 0, "\(rows.count) numbers are no rows of \(columnCount)")
            guard let file else { preconditionFailure("append after finish") }
            try file.write(contentsOf: rows.withUnsafeBytes { Data($0) })
            rowCount += rows.count / columnCount
        }

        /// Writes the header, flushes, and gives the file its name.
        package func finish() throws {
            guard let file else { return }
            try file.seek(toOffset: 0)
            try file.write(contentsOf: Self.header(rowCount: rowCount, columnCount: columnCount))
            try file.synchronize()
            try file.close()
            self.file = nil
            guard rename(path + ".part", path) == 0 else {
                throw InferenceError.failed(name: path, reason: "the file cannot be renamed: \(String(cString: strerror(errno)))")
            }
        }

        private static func header(rowCount: Int, columnCount: Int) -> Data {
            var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rowCount), \(columnCount)), }"
            text += String(repeating: " ", count: headerSize - 10 - 1 - text.utf8.count) + "\n"
            return Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, UInt8(headerSize - 10), 0]) + Data(text.utf8)
        }
    }

    /// A number that a matrix may be made of.
    package protocol Element: BitwiseCopyable, Sendable {
        /// NumPy's name of the type, little-endian, and what people call it.
        static var descriptor: String { get }
        static var typeName: String { get }
    }

    /// A matrix in a file: mapped, not read, so that rows can be taken from files larger than the memory.
    package struct Mapped: Sendable {
        package let rowCount: Int
        package let columnCount: Int
        private let path: String
        private let descriptor: String
        private let data: Data
        private let start: Int

        /// - Throws: `InferenceError.modelNotFound`, or `.modelUnreadable` naming what is wrong with the file.
        package init(_ path: String) throws {
            guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else {
                throw InferenceError.modelNotFound(path: path)
            }
            func unreadable(_ reason: String) -> InferenceError { .modelUnreadable(path: path, reason: reason) }
            guard data.count >= 12, data.prefix(6) == Data([0x93]) + Data("NUMPY".utf8) else { throw unreadable("it is no .npy file") }
            let isLong = data[6] >= 2
            let textStart = isLong ? 12 : 10
            let textSize = Int(data[8]) | Int(data[9]) << 8 | (isLong ? Int(data[10]) << 16 | Int(data[11]) << 24 : 0)
            guard textStart + textSize <= data.count else { throw unreadable("its header is cut") }
            let text = String(decoding: data[textStart..<textStart + textSize], as: UTF8.self)
            guard let kind = text.firstMatch(of: /'descr': '([<|]\w+)'/), text.contains("'fortran_order': False") else {
                throw unreadable("its header is \(text.prefix(80)); only row-major, little-endian arrays are read")
            }
            guard let shape = text.range(of: "'shape': (").flatMap({ text[$0.upperBound...].split(separator: ")").first }) else {
                throw unreadable("its header names no shape")
            }
            let sizes = shape.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
            guard sizes.count == 2, sizes[0] >= 0, sizes[1] > 0, sizes[1] <= 1 << 20, sizes[0] <= 1 << 32 else {
                throw unreadable("its shape is (\(shape)); only matrices are read")
            }
            self.path = path
            self.data = data
            descriptor = String(kind.1)
            start = textStart + textSize
            rowCount = sizes[0]
            columnCount = sizes[1]
        }

        /// Shape `[range.count, columnCount]`, row-major.
        /// - Throws: `InferenceError.modelUnreadable` when the file holds other numbers, or ends before these rows do.
        package func rows<Number: Element>(_ range: Range<Int>, of type: Number.Type = Number.self) throws -> [Number] {
            precondition(range.lowerBound >= 0 && range.upperBound <= rowCount, "rows \(range) of \(rowCount)")
            guard descriptor == Number.descriptor else {
                throw InferenceError.modelUnreadable(
                    path: path, reason: "it holds '\(descriptor)'; only \(Number.typeName) ('\(Number.descriptor)') is read here")
            }
            let size = MemoryLayout<Number>.size
            let first = start + range.lowerBound * columnCount * size
            let byteCount = range.count * columnCount * size
            guard first + byteCount <= data.count else {
                throw InferenceError.modelUnreadable(path: path, reason: "it ends before its \(rowCount) rows do")
            }
            return [Number](unsafeUninitializedCapacity: range.count * columnCount) { buffer, count in
                count = range.count * columnCount
                data.withUnsafeBytes {
                    UnsafeMutableRawBufferPointer(buffer).copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[first..<first + byteCount]))
                }
            }
        }

        /// All rows.
        package func values<Number: Element>(of type: Number.Type = Number.self) throws -> [Number] { try rows(0..<rowCount, of: type) }
    }

    /// A matrix that was read.
    package struct Matrix: Sendable {
        package var rowCount: Int
        package var columnCount: Int
        /// Shape `[rowCount, columnCount]`, row-major.
        package var values: [Float]
    }

    /// Reads a matrix of 32-bit floats.
    /// - Parameter rowMax: At most this many rows are read.
    /// - Throws: As ``Mapped``.
    package static func read(_ path: String, rowMax: Int = .max) throws -> Matrix {
        let file = try Mapped(path)
        // A file that is cut is refused as a whole, also where the first rows are there.
        if file.rowCount > 0 { _ = try file.rows(file.rowCount - 1..<file.rowCount, of: Float.self) }
        let rowCount = min(file.rowCount, rowMax)
        return Matrix(rowCount: rowCount, columnCount: file.columnCount, values: try file.rows(0..<rowCount))
    }
}

extension Float: NumPyFile.Element {
    package static var descriptor: String { "<f4" }
    package static var typeName: String { "float32" }
}

extension Int32: NumPyFile.Element {
    package static var descriptor: String { "<i4" }
    package static var typeName: String { "int32" }
}
