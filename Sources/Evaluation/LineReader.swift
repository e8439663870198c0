import Foundation

/// Reads lines of a file, plain or gzip, in blocks: memory stays at one block and one line, whatever the file's size.
///
/// Lines end at `\n` only, because texts hold U+0085 and U+2028; a `\r` before it is dropped. A last line without `\n` counts.
package final class LineReader {
    package struct Line {
        /// From 1.
        package var number: Int
        /// Without the line end; never empty.
        package var bytes: [UInt8]
    }

    static let lineSizeMax = 64 << 20
    private static let blockSize = 1 << 18

    private let path: String
    private let file: FileHandle
    private let unpacking: (process: Process, messages: Pipe)?
    private var buffer: [UInt8] = []
    /// What is before it has been handed out.
    private var start = 0
    /// What is before it holds no line end.
    private var searched = 0
    private var isAtEnd = false
    private var number = 0

    /// `gzip` unpacks in a process of its own, at the same time as the lines are parsed.
    /// - Throws: `EvaluationError.unreadable`.
    package init(_ path: String) throws(EvaluationError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path: path, reason: String(cString: strerror(errno))) }
        let plain = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        guard path.hasSuffix(".gz") else {
            file = plain
            unpacking = nil
            return
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc"]
        let (output, messages) = (Pipe(), Pipe())
        process.standardInput = plain
        process.standardOutput = output
        process.standardError = messages
        do { try process.run() } catch { throw .unreadable(path: path, reason: "the program gzip cannot be started: \(error)") }
        file = output.fileHandleForReading
        unpacking = (process, messages)
    }

    deinit {
        // Left early: gzip would wait for a reader for ever.
        guard let unpacking, !isAtEnd else { return }
        unpacking.process.terminate()
        unpacking.process.waitUntilExit()
    }

    /// The next line that is not empty; nil at the end. Empty lines are counted.
    /// - Throws: `EvaluationError.unreadable`, or `.malformedLine` for a line longer than 64 MiB.
    package func next() throws(EvaluationError) -> Line? {
        while let range = try nextRange() {
            number += 1
            var bytes = buffer[range]
            if number == 1, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
            if bytes.last == 0x0D { bytes = bytes.dropLast() }
            if !bytes.isEmpty { return Line(number: number, bytes: Array(bytes)) }
        }
        return nil
    }

    /// Where the next line lies in `buffer`.
    private func nextRange() throws(EvaluationError) -> Range<Int>? {
        while true {
            let end = buffer.withUnsafeBytes { bytes -> Int? in
                guard searched < bytes.count, let base = bytes.baseAddress else { return nil }
                return memchr(base + searched, 0x0A, bytes.count - searched).map { UnsafeRawPointer($0) - base }
            }
            if let end {
                defer {
                    start = end + 1
                    searched = start
                }
                return start..<end
            }
            searched = buffer.count
            if isAtEnd {
                defer { start = buffer.count }
                return start < buffer.count ? start..<buffer.count : nil
            }
            guard buffer.count - start <= Self.lineSizeMax else {
                throw .malformedLine(path: path, line: number + 1, reason: "the line is longer than \(Self.lineSizeMax) bytes")
            }
            try readBlock()
        }
    }

    private func readBlock() throws(EvaluationError) {
        buffer.removeFirst(start)
        searched -= start
        start = 0
        let old = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.blockSize))
        var count = -1
        repeat {
            count = buffer.withUnsafeMutableBytes { read(file.fileDescriptor, $0.baseAddress! + old, Self.blockSize) }
        } while count < 0 && errno == EINTR
        let failure = errno
        buffer.removeLast(Self.blockSize - max(0, count))
        guard count >= 0 else { throw .unreadable(path: path, reason: String(cString: strerror(failure))) }
        guard count == 0 else { return }
        isAtEnd = true
        guard let unpacking else { return }
        // gzip's messages are a line or two: they fit the pipe's buffer, so reading them last cannot block it.
        let message = String(decoding: unpacking.messages.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        unpacking.process.waitUntilExit()
        guard unpacking.process.terminationStatus == 0 else {
            throw .unreadable(path: path, reason: message.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    /// Calls `body` with the number of each line, from 1, and its bytes without the line end. Empty lines are counted and skipped.
    static func forEachLine(in path: String, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        let reader = try LineReader(path)
        while let line = try reader.next() { try line.bytes.withUnsafeBytes { try body(line.number, $0) } }
    }
}
