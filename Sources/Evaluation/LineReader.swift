import Foundation

/// Reads lines of a file, plain or gzip, in blocks: memory stays at one block and one line, whatever the file's size.
///
/// Lines end at `\n` only, because texts hold U+0085 and U+2028; a `\r` before it is dropped. A last line without `\n` counts.
struct LineReader {
    static let lineSizeMax = 64 << 20

    /// Calls `body` with the number of each line, from 1, and its bytes without the line end. Empty lines are counted and skipped.
    static func forEachLine(in path: String, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        if path.hasSuffix(".gz") {
            try readCompressed(path, body)
        } else {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { throw EvaluationError.unreadable(path: path, reason: String(cString: strerror(errno))) }
            defer { close(file) }
            try read(file, path, body)
        }
    }

    /// `gzip` unpacks in a process of its own, at the same time as we parse.
    private static func readCompressed(_ path: String, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        guard access(path, R_OK) == 0 else { throw EvaluationError.unreadable(path: path, reason: String(cString: strerror(errno))) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", "--", path]
        let output = Pipe()
        let messages = Pipe()
        process.standardOutput = output
        process.standardError = messages
        process.standardInput = FileHandle.nullDevice
        do { try process.run() } catch {
            throw EvaluationError.unreadable(path: path, reason: "the program gzip cannot be started: \(error)")
        }
        do {
            try read(output.fileHandleForReading.fileDescriptor, path, body)
        } catch {
            process.terminate()
            process.waitUntilExit()
            throw error
        }
        // gzip's messages are a line or two: they fit the pipe's buffer, so reading them last cannot block it.
        let message = String(decoding: messages.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw EvaluationError.unreadable(path: path, reason: message.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }

    private static func read(_ file: Int32, _ path: String, _ body: (Int, UnsafeRawBufferPointer) throws -> Void) throws {
        var number = 0
        var rest: [UInt8] = []
        func emit(_ bytes: UnsafeRawBufferPointer) throws {
            number += 1
            var bytes = bytes
            if number == 1, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = .init(rebasing: bytes[3...]) }
            if bytes.last == 0x0D { bytes = .init(rebasing: bytes.dropLast()) }
            if !bytes.isEmpty { try body(number, bytes) }
        }
        let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { block.deallocate() }
        while true {
            let count = Foundation.read(file, block.baseAddress, block.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw EvaluationError.unreadable(path: path, reason: String(cString: strerror(errno)))
            }
            if count == 0 { break }
            var start = 0
            while let found = memchr(block.baseAddress! + start, 0x0A, count - start) {
                let end = UnsafeRawPointer(found) - UnsafeRawPointer(block.baseAddress!)
                let line = UnsafeRawBufferPointer(rebasing: block[start..<end])
                if rest.isEmpty {
                    try emit(line)
                } else {
                    rest.append(contentsOf: line)
                    try rest.withUnsafeBytes(emit)
                    rest.removeAll(keepingCapacity: true)
                }
                start = end + 1
            }
            rest.append(contentsOf: block[start..<count])
            guard rest.count <= lineSizeMax else {
                throw EvaluationError.malformedLine(path: path, line: number + 1, reason: "the line is longer than \(lineSizeMax) bytes")
            }
        }
        if !rest.isEmpty { try rest.withUnsafeBytes(emit) }
    }
}
