import Foundation
import TestSupport
import Testing

@testable import Parsing

enum Support {
    /// The shared data folder, when this machine has it.
    static let shared = SharedData.folder.flatMap { FileManager.default.fileExists(atPath: $0 + "/documents/manifest.jsonl") ? $0 : nil }

    /// The program that answers to `parse-worker`: the product beside the test bundle.
    static let executable: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        let candidates = [own, CommandLine.arguments[0], Bundle.main.bundlePath].map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().path + "/outrider"
        }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) } ?? candidates[0]
    }()

    static var hasOCR: Bool { ToolRunner.find("tesseract") != nil && ToolRunner.find("pdftoppm") != nil }
    static var hasPoppler: Bool { ToolRunner.find("pdftotext") != nil }

    static func temporaryFile(_ bytes: [UInt8], name: String = "file") throws -> String {
        let path =
            FileManager.default.temporaryDirectory.path
            + "/outrider-test-\(UUID().uuidString)-\(name.replacingOccurrences(of: "/", with: "_"))"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Parses bytes in this process and checks the structure.
    static func parse(_ bytes: [UInt8], name: String, mimeType: String? = nil, limits: ParseLimits = .init()) throws -> ParsedDocument {
        let document = try FormatParser.parse(
            ParseInput(bytes: bytes, name: name, mimeType: mimeType), context: ParseContext(limits: limits))
        #expect(document.firstInconsistency() == nil)
        #expect(!document.text.utf8.contains(0) && !document.text.utf8.contains(0x0D))
        return document
    }

    static func parse(_ text: String, name: String, limits: ParseLimits = .init()) throws -> ParsedDocument {
        try parse(Array(text.utf8), name: name, limits: limits)
    }

    /// A zip file whose members are stored as they are, or given as a finished deflate stream.
    static func zip(_ members: [(name: String, bytes: [UInt8])], deflated: [(name: String, stream: [UInt8], size: Int)] = []) -> [UInt8] {
        var output: [UInt8] = []
        var directory: [UInt8] = []
        var count = 0
        func little(_ value: Int, _ size: Int) -> [UInt8] { (0..<size).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
        func add(_ name: String, _ data: [UInt8], method: Int, size: Int, crc: Int) {
            let offset = output.count
            let common =
                little(20, 2) + little(0, 2) + little(method, 2) + little(0, 4) + little(crc, 4) + little(data.count, 4) + little(size, 4)
                + little(name.utf8.count, 2)
            output += [0x50, 0x4B, 3, 4] + common + little(0, 2) + Array(name.utf8) + data
            directory +=
                [0x50, 0x4B, 1, 2] + little(20, 2) + common + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4)
                + little(offset, 4) + Array(name.utf8)
            count += 1
        }
        for member in members { add(member.name, member.bytes, method: 0, size: member.bytes.count, crc: crc32(member.bytes)) }
        for member in deflated { add(member.name, member.stream, method: 8, size: member.size, crc: 0) }
        let start = output.count
        output += directory
        output +=
            [0x50, 0x4B, 5, 6] + little(0, 4) + little(count, 2) + little(count, 2) + little(directory.count, 4) + little(start, 4)
            + little(0, 2)
        return output
    }

    static func zip(_ members: KeyValuePairs<String, String>) -> [UInt8] { zip(members.map { ($0.key, Array($0.value.utf8)) }) }

    static func crc32(_ bytes: [UInt8]) -> Int {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return Int(~crc)
    }

    /// A deflate stream of `count` times 258 letters "a" and one more: 13 bits for each 258 bytes.
    static func bomb(_ count: Int) -> (stream: [UInt8], size: Int) {
        var bytes: [UInt8] = []
        var current = 0
        var filled = 0
        func put(_ bit: Int) {
            current |= bit << filled
            filled += 1
            if filled == 8 {
                bytes.append(UInt8(current))
                current = 0
                filled = 0
            }
        }
        func code(_ value: Int, _ length: Int) { for shift in stride(from: length - 1, through: 0, by: -1) { put(value >> shift & 1) } }
        put(1)  // The last block,
        put(1)  // of fixed codes.
        put(0)
        code(0x30 + 0x61, 8)
        for _ in 0..<count {
            code(0xC5, 8)  // Length 258,
            code(0, 5)  // distance 1.
        }
        code(0, 7)
        while filled != 0 { put(0) }
        return (bytes, count * 258 + 1)
    }
}

extension ParsedDocument {
    /// The text of a block.
    func text(of block: Block) -> String {
        String(decoding: Array(text.utf8)[block.span], as: UTF8.self)
    }
    var texts: [String] { blocks.map { text(of: $0) } }
    func texts(where isWanted: (BlockKind) -> Bool) -> [String] { blocks.filter { isWanted($0.kind) }.map { text(of: $0) } }
    var headings: [String] {
        texts { if case .heading = $0 { true } else { false } }
    }
    var rows: [String] {
        texts { if case .tableRow = $0 { true } else { false } }
    }
    var notes: [String] { texts { $0 == .note } }
    /// The header that a row refers to.
    func header(ofRow row: String) -> String? {
        for block in blocks where text(of: block) == row {
            if case .tableRow(let header?) = block.kind { return String(decoding: Array(text.utf8)[header], as: UTF8.self) }
        }
        return nil
    }
}

/// The text without white space, as the corpus compares it.
func squeezed(_ text: String) -> String {
    String(decoding: text.utf8.filter { $0 > 0x20 }, as: UTF8.self).replacingOccurrences(of: "\u{A0}", with: "")
}
