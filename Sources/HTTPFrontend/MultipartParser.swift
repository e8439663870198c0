import Glibc
import NIOCore

/// What is wrong with a `multipart/form-data` body.
enum MultipartError: Error, Sendable, Equatable, CustomStringConvertible {
    case noBoundary
    case unexpectedEnd
    case malformed(String)
    case badHeader(String)
    case headersTooLong(limit: Int)
    case tooManyParts(limit: Int)
    case fieldTooLong(name: String, limit: Int)

    var description: String {
        switch self {
        case .noBoundary: "the Content-Type has no usable boundary; let the HTTP client set it (curl -F file=@report.pdf does)"
        case .unexpectedEnd: "the body ended before the final boundary; nothing was taken in, send it again"
        case .malformed(let reason): "the multipart body is malformed: \(reason)"
        case .badHeader(let reason): "a part's header is malformed: \(reason)"
        case .headersTooLong(let limit): "the headers of a part are longer than \(limit) bytes"
        case .tooManyParts(let limit): "the body has more than \(limit) parts; send fewer files in each request"
        case .fieldTooLong(let name, let limit): "the field '\(name)' is longer than \(limit) bytes; send files as parts with a file name"
        }
    }
}

/// Cuts a `multipart/form-data` body (RFC 7578, RFC 2046 §5.1) into parts while it arrives, holding no more than a boundary's length of it back.
///
///     preamble -> boundary -> headers -> body -> boundary -> headers ... -> end
///                    ^_______________________________|
///
/// It is a value: bytes go in by `append`, events come out by `next` until that needs more bytes. So each split of the same bytes gives the same
/// events, which the tests use.
struct MultipartParser {
    struct Headers: Equatable, Sendable {
        var name: String
        /// As the client sent it, decoded; may hold path parts.
        var fileName: String?
        var contentType: String?
    }

    enum Event: Equatable {
        case part(Headers)
        case data(ByteBuffer)
        case endOfPart
        case end
    }

    private enum State { case preamble, boundary, headers, body, end }

    static let headerLimit = 16 << 10
    private static let preambleLimit = 64 << 10
    /// Blanks that a sender may put after a boundary.
    private static let paddingLimit = 64

    private let delimiter: [UInt8]
    private let partLimit: Int
    private var buffer: ByteBuffer
    private var state = State.preamble
    private var isInPart = false
    private var partCount = 0
    private var preambleSize = 0
    private var pending: [Event] = []

    /// - Parameter contentType: The request's `Content-Type`.
    init(contentType: String, partLimit: Int) throws(MultipartError) {
        let parameters = HeaderParameters(contentType)
        guard parameters.value.lowercased() == "multipart/form-data", let boundary = parameters["boundary"],
            (1...70).contains(boundary.utf8.count),
            boundary.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f })
        else { throw .noBoundary }
        delimiter = Array("\r\n--\(boundary)".utf8)
        self.partLimit = partLimit
        // The first boundary may begin the body: with a line break before it, it looks like all others.
        buffer = ByteBuffer(bytes: [0x0d, 0x0a])
    }

    mutating func append(_ bytes: ByteBuffer) {
        if state != .end { buffer.writeImmutableBuffer(bytes) }
    }

    /// Call when all bytes were appended and `next` gave nil.
    func finish() throws(MultipartError) {
        if state != .end { throw .unexpectedEnd }
    }

    /// The next event, or nil when more bytes are needed (or all is over).
    mutating func next() throws(MultipartError) -> Event? {
        while true {
            if !pending.isEmpty { return pending.removeFirst() }
            switch state {
            case .preamble:
                let found = search()
                let skipped = found ?? max(0, buffer.readableBytes - delimiter.count + 1)
                preambleSize += skipped
                if preambleSize > Self.preambleLimit { throw .malformed("no boundary within the first \(Self.preambleLimit) bytes") }
                discard(skipped)
                if found == nil { return nil }
                state = .boundary
            case .boundary:
                switch boundaryEnd() {
                case .incomplete: return nil
                case .part(let length):
                    discard(length)
                    partCount += 1
                    if partCount > partLimit { throw .tooManyParts(limit: partLimit) }
                    state = .headers
                    if isInPart {
                        isInPart = false
                        return .endOfPart
                    }
                case .final(let length):
                    discard(length)
                    state = .end
                    buffer.clear()
                    if isInPart {
                        isInPart = false
                        pending.append(.end)
                        return .endOfPart
                    }
                    return .end
                case .data(let length):
                    // A line that only begins like the boundary is content.
                    if !isInPart {
                        discard(length)
                        state = .preamble
                    } else {
                        state = .body
                        return .data(take(length))
                    }
                }
            case .headers:
                guard let headers = try readHeaders() else { return nil }
                isInPart = true
                state = .body
                return .part(headers)
            case .body:
                if let found = search() {
                    state = .boundary
                    if found > 0 { return .data(take(found)) }
                } else {
                    let sure = buffer.readableBytes - delimiter.count + 1
                    return sure > 0 ? .data(take(sure)) : nil
                }
            case .end:
                return nil
            }
        }
    }

    private mutating func take(_ length: Int) -> ByteBuffer {
        let slice = buffer.readSlice(length: length)!
        buffer.discardReadBytes()
        return slice
    }

    private mutating func discard(_ length: Int) {
        buffer.moveReaderIndex(forwardBy: length)
        buffer.discardReadBytes()
    }

    private func search() -> Int? { Self.position(of: delimiter, in: buffer) }

    /// Every needle begins with a carriage return, which is rare enough in most files for `memchr` to do nearly all the work.
    private static func position(of needle: [UInt8], in buffer: ByteBuffer) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            guard let base = bytes.baseAddress else { return nil }
            var offset = 0
            while bytes.count - offset >= needle.count {
                guard let candidate = unsafe memchr(base + offset, Int32(needle[0]), bytes.count - offset - needle.count + 1) else {
                    return nil
                }
                if unsafe memcmp(candidate, needle, needle.count) == 0 { return UnsafeRawPointer(candidate) - base }
                offset = UnsafeRawPointer(candidate) - base + 1
            }
            return nil
        }
    }

    private enum BoundaryEnd {
        case incomplete
        case part(Int)
        case final(Int)
        case data(Int)
    }

    /// What follows the delimiter that the buffer begins with.
    private func boundaryEnd() -> BoundaryEnd {
        let bytes = buffer.readableBytesView.dropFirst(delimiter.count)
        guard let first = bytes.first else { return .incomplete }
        if first == UInt8(ascii: "-") {
            guard bytes.count >= 2 else { return .incomplete }
            return bytes[bytes.startIndex + 1] == UInt8(ascii: "-") ? .final(delimiter.count + 2) : .data(delimiter.count)
        }
        let padding = bytes.prefix(Self.paddingLimit + 1).prefix { $0 == 0x20 || $0 == 0x09 }.count
        if padding > Self.paddingLimit { return .data(delimiter.count) }
        let rest = bytes.dropFirst(padding)
        guard let next = rest.first else { return .incomplete }
        if next != 0x0d { return .data(delimiter.count) }
        guard rest.count >= 2 else { return .incomplete }
        return rest[rest.startIndex + 1] == 0x0a ? .part(delimiter.count + padding + 2) : .data(delimiter.count)
    }

    /// Headers are UTF-8; what is not comes from older clients, which send their own code page, in most places Windows-1252.
    private static func text(_ bytes: ByteBufferView) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        // The 32 signs that Windows has where Latin-1 has control characters.
        let signs = Array("€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8D}Ž\u{8F}\u{90}‘’“”•–—˜™š›œ\u{9D}žŸ".unicodeScalars)
        var scalars = String.UnicodeScalarView()
        for byte in bytes { scalars.append(0x80...0x9F ~= byte ? signs[Int(byte) - 0x80] : Unicode.Scalar(byte)) }
        return String(scalars)
    }

    private mutating func readHeaders() throws(MultipartError) -> Headers? {
        // A part without headers begins with the empty line.
        let isEmpty = buffer.readableBytesView.starts(with: [0x0d, 0x0a])
        let end = isEmpty ? 0 : Self.position(of: [0x0d, 0x0a, 0x0d, 0x0a], in: buffer)
        guard let end else {
            if buffer.readableBytes > Self.headerLimit { throw .headersTooLong(limit: Self.headerLimit) }
            return nil
        }
        if end > Self.headerLimit { throw .headersTooLong(limit: Self.headerLimit) }
        let block = Self.text(buffer.readableBytesView.prefix(end))
        discard(isEmpty ? 2 : end + 4)

        var disposition: HeaderParameters?
        var contentType: String?
        for line in block.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":") else { throw .badHeader("'\(line.prefix(80))' has no colon") }
            let value = line[line.index(after: colon)...].trimming { $0 == " " || $0 == "\t" }
            switch line[..<colon].lowercased() {
            case "content-disposition": disposition = HeaderParameters(String(value))
            case "content-type": contentType = String(value)
            case "content-transfer-encoding" where !["binary", "8bit", "7bit"].contains(value.lowercased()):
                throw .badHeader(
                    "Content-Transfer-Encoding '\(value.prefix(40))' is not used in multipart/form-data; send the bytes as they are")
            default: break
            }
        }
        guard let disposition, disposition.value.lowercased() == "form-data" else {
            throw .badHeader("a part has no 'Content-Disposition: form-data'")
        }
        guard let name = disposition["name"] else { throw .badHeader("a part has no name in its Content-Disposition") }
        let fileName = disposition.extended("filename") ?? disposition["filename"].map(Self.unescaped)
        return Headers(name: name, fileName: fileName, contentType: contentType)
    }

    /// Some clients write every letter beyond ASCII as `%XX`. A name that only holds a percent sign is left alone.
    private static func unescaped(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "%")), name.utf8.allSatisfy({ $0 < 0x80 }), let decoded = PercentCoding.decode(name),
            decoded.utf8.contains(where: { $0 >= 0x80 })
        else { return name }
        return decoded
    }
}

/// A header value with parameters: `form-data; name="file"; filename*=UTF-8''na%C3%AFve.txt`.
struct HeaderParameters {
    var value: String
    private var parameters: [String: String] = [:]

    init(_ text: String) {
        // A value alone, as most are.
        if text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ";") }) {
            value = text
            return
        }
        let characters = Array(text.unicodeScalars)
        var index = 0
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }
        func string(_ range: Range<Int>) -> String {
            var view = String.UnicodeScalarView()
            view.append(contentsOf: characters[range])
            return String(view.trimming(isBlank))
        }
        while index < characters.count && characters[index] != ";" { index += 1 }
        value = string(0..<index)
        while index < characters.count {
            index += 1
            let nameStart = index
            while index < characters.count && characters[index] != "=" && characters[index] != ";" { index += 1 }
            let name = string(nameStart..<index).lowercased()
            guard index < characters.count, characters[index] == "=" else { continue }
            index += 1
            while index < characters.count && isBlank(characters[index]) { index += 1 }
            var content = String.UnicodeScalarView()
            if index < characters.count, characters[index] == "\"" {
                index += 1
                while index < characters.count && characters[index] != "\"" {
                    // Only a quote or a backslash can be escaped: some senders put a Windows path in here as it is.
                    if characters[index] == "\\", index + 1 < characters.count,
                        characters[index + 1] == "\"" || characters[index + 1] == "\\"
                    {
                        index += 1
                    }
                    content.append(characters[index])
                    index += 1
                }
                while index < characters.count && characters[index] != ";" { index += 1 }
                // The form in which browsers write what would end the quoted string (WHATWG, "multipart/form-data encoding algorithm").
                let text = String(content).replacing("%22", with: "\"").replacing("%0D", with: "\r").replacing("%0A", with: "\n")
                if parameters[name] == nil { parameters[name] = text }
            } else {
                let start = index
                while index < characters.count && characters[index] != ";" { index += 1 }
                if parameters[name] == nil { parameters[name] = string(start..<index) }
            }
        }
    }

    subscript(_ name: String) -> String? { parameters[name] }

    /// A parameter in RFC 8187's form `name*=UTF-8''percent-encoded`; nil when it is absent or in another character set.
    func extended(_ name: String) -> String? {
        guard let text = parameters[name + "*"] else { return nil }
        let parts = text.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].lowercased() == "utf-8" else { return nil }
        return PercentCoding.decode(String(parts[2]))
    }
}

enum PercentCoding {
    /// Decodes `%XX`; nil when an escape is cut short or the bytes are not UTF-8.
    static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x37
            case 0x61...0x66: byte - 0x57
            default: nil
            }
        }
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard rest.count >= 2, let high = digit(rest[rest.startIndex]), let low = digit(rest[rest.startIndex + 1]) else {
                    return nil
                }
                bytes.append(high << 4 | low)
                rest.removeFirst(2)
            } else {
                bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension BidirectionalCollection {
    /// The subsequence without the leading and trailing elements that match.
    func trimming(_ isTrimmed: (Element) -> Bool) -> SubSequence {
        var rest = self[...]
        while let first = rest.first, isTrimmed(first) { rest = rest.dropFirst() }
        while let last = rest.last, isTrimmed(last) { rest = rest.dropLast() }
        return rest
    }
}
