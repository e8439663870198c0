import Foundation

/// What pool and worker say to each other: frames of a four-byte little-endian length and that many bytes.
///
/// A request is JSON, and the descriptor of the document travels with its first byte; an answer is a tag byte and then a document or a refusal, in the order of the fields below.
/// Numbers are eight bytes little-endian, strings a number and UTF-8. The reader trusts nothing: the worker may have been taken over by the file.
///
///     document   1, text, blocks, title?, mimeType, pageCount?, properties, property lists, warnings
///     block      kind (1), level or -1, header start or -1, header end, language?, start, end, page or -1
///     refusal    2, JSON
enum WireFormat {
    struct Request: Codable, Sendable {
        var name: String
        var mimeType: String?
        var limits: ParseLimits
    }

    enum Answer {
        case document(ParsedDocument)
        case refusal(Refusal)
    }

    struct Invalid: Error {
        var reason: String
    }

    static func encode(_ answer: Answer) -> [UInt8] {
        var writer = Writer()
        switch answer {
        case .refusal(let refusal):
            writer.bytes.append(2)
            writer.bytes += (try? JSONEncoder().encode(refusal)) ?? Data()
        case .document(let document):
            writer.bytes.reserveCapacity(document.text.utf8.count + document.blocks.count * 50 + 1000)
            writer.bytes.append(1)
            writer.string(document.text)
            writer.number(document.blocks.count)
            for block in document.blocks {
                var level = -1
                var header: Range<Int>?
                var language: String?
                let tag: UInt8
                switch block.kind {
                case .heading(let value): (tag, level) = (0, value)
                case .paragraph: tag = 1
                case .listItem: tag = 2
                case .tableRow(let range): (tag, header) = (3, range)
                case .code(let name): (tag, language) = (4, name)
                case .note: tag = 5
                }
                writer.bytes.append(tag)
                writer.number(level)
                writer.number(header?.lowerBound ?? -1)
                writer.number(header?.upperBound ?? -1)
                writer.optional(language)
                writer.number(block.span.lowerBound)
                writer.number(block.span.upperBound)
                writer.number(block.page ?? -1)
            }
            writer.optional(document.title)
            writer.string(document.mimeType)
            writer.number(document.pageCount ?? -1)
            writer.number(document.properties.count)
            for (key, value) in document.properties {
                writer.string(key)
                writer.string(value)
            }
            writer.number(document.propertyLists.count)
            for (key, values) in document.propertyLists {
                writer.string(key)
                writer.number(values.count)
                for value in values { writer.string(value) }
            }
            writer.number(document.warnings.count)
            for warning in document.warnings { writer.string(warning) }
        }
        return writer.bytes
    }

    static func decode(_ bytes: [UInt8]) throws(Invalid) -> Answer {
        var reader = Reader(bytes: bytes)
        switch try reader.byte() {
        case 2:
            guard let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(bytes.dropFirst())) else {
                throw Invalid(reason: "unreadable refusal")
            }
            return .refusal(refusal)
        case 1:
            let text = try reader.string()
            let count = try reader.count(itemSize: 50)
            var blocks: [Block] = []
            blocks.reserveCapacity(count)
            for _ in 0..<count {
                let tag = try reader.byte()
                let level = try reader.number()
                let headerStart = try reader.number()
                let headerEnd = try reader.number()
                let language = try reader.optional()
                let start = try reader.number()
                let end = try reader.number()
                let page = try reader.number()
                guard start >= 0, start <= end, headerStart < 0 || headerStart <= headerEnd else {
                    throw Invalid(reason: "a span of \(start) to \(end)")
                }
                let kind: BlockKind
                switch tag {
                case 0: kind = .heading(level: level)
                case 1: kind = .paragraph
                case 2: kind = .listItem
                case 3: kind = .tableRow(header: headerStart < 0 ? nil : headerStart..<headerEnd)
                case 4: kind = .code(language: language)
                case 5: kind = .note
                default: throw Invalid(reason: "a block of kind \(tag)")
                }
                blocks.append(Block(kind: kind, span: start..<end, page: page < 0 ? nil : page))
            }
            let title = try reader.optional()
            let mimeType = try reader.string()
            let pageCount = try reader.number()
            var properties: [String: String] = [:]
            for _ in 0..<(try reader.count(itemSize: 16)) {
                let key = try reader.string()
                properties[key] = try reader.string()
            }
            var lists: [String: [String]] = [:]
            for _ in 0..<(try reader.count(itemSize: 16)) {
                let key = try reader.string()
                var values: [String] = []
                for _ in 0..<(try reader.count(itemSize: 8)) { values.append(try reader.string()) }
                lists[key] = values
            }
            var warnings: [String] = []
            for _ in 0..<(try reader.count(itemSize: 8)) { warnings.append(try reader.string()) }
            var document = ParsedDocument(
                text: text, blocks: blocks, title: title, mimeType: mimeType, pageCount: pageCount < 0 ? nil : pageCount,
                properties: properties, warnings: warnings)
            document.propertyLists = lists
            if let problem = document.firstInconsistency() { throw Invalid(reason: problem) }
            return .document(document)
        case let tag: throw Invalid(reason: "an answer of kind \(tag)")
        }
    }

    private struct Writer {
        var bytes: [UInt8] = []
        mutating func number(_ value: Int) { withUnsafeBytes(of: Int64(value).littleEndian) { bytes.append(contentsOf: $0) } }
        mutating func string(_ value: String) {
            number(value.utf8.count)
            bytes.append(contentsOf: value.utf8)
        }
        mutating func optional(_ value: String?) {
            if let value { string(value) } else { number(-1) }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        mutating func byte() throws(Invalid) -> UInt8 {
            guard position < bytes.count else { throw Invalid(reason: "an answer cut short") }
            defer { position += 1 }
            return bytes[position]
        }
        mutating func number() throws(Invalid) -> Int {
            guard bytes.count - position >= 8 else { throw Invalid(reason: "an answer cut short") }
            defer { position += 8 }
            return bytes.withUnsafeBytes { Int(Int64(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: Int64.self))) }
        }
        /// A number of items that the rest can hold.
        mutating func count(itemSize: Int) throws(Invalid) -> Int {
            let value = try number()
            guard value >= 0, value <= (bytes.count - position) / itemSize else {
                throw Invalid(reason: "\(value) items in \(bytes.count - position) bytes")
            }
            return value
        }
        mutating func optional() throws(Invalid) -> String? {
            let size = try number()
            if size == -1 { return nil }
            guard size >= 0, size <= bytes.count - position else { throw Invalid(reason: "a string of \(size) bytes") }
            defer { position += size }
            guard let text = String(validating: bytes[position..<position + size], as: UTF8.self) else {
                throw Invalid(reason: "a string that is not UTF-8")
            }
            return text
        }
        mutating func string() throws(Invalid) -> String {
            guard let text = try optional() else { throw Invalid(reason: "a missing string") }
            return text
        }
    }
}
