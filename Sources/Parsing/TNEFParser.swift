import Foundation

/// Reads what Outlook wraps its messages in (Transport Neutral Encapsulation Format, [MS-OXTNEF]), known as `winmail.dat`.
///
///     offset  size  field
///     0       4     78 9F 3E 22
///     4       2     key
///     6             attributes: level (1), id (2), type (2), length (4), data, checksum (2)
///
/// Attributes of level 2 belong to the attachment that the last `attAttachRenddata` began. Two attributes hold lists of MAPI
/// properties, where the body as HTML or compressed RTF and the long names of attachments stand.
struct TNEFParser {
    struct Attachment {
        var name: String?
        var data: [UInt8] = []
    }

    private(set) var subject: String?
    private(set) var plain: String?
    private(set) var html: [UInt8]?
    private(set) var rtf: [UInt8]?
    private(set) var attachments: [Attachment] = []
    private var codePage = 1252

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        guard let parser = TNEFParser(try input.bytes()) else { throw .malformed("\(input.name) is no readable TNEF file") }
        var builder = context.builder
        if let subject = parser.subject { try builder.heading(subject, level: 1) }
        try parser.append(to: &builder, context: context)
        return builder.finish(title: parser.subject, mimeType: "application/vnd.ms-tnef")
    }

    static func isTNEF(_ bytes: some Collection<UInt8>) -> Bool { bytes.starts(with: [0x78, 0x9F, 0x3E, 0x22]) }

    /// Adds body and attachments; a body that the mail around it has already is left out.
    func append(to builder: inout DocumentBuilder, context: ParseContext, besides known: String = "") throws(Refusal) {
        func isKnown(_ text: String) -> Bool {
            let own = text.filter { !$0.isWhitespace }
            return own.isEmpty || (!known.isEmpty && known.filter { !$0.isWhitespace }.contains(own))
        }
        try MailBody(plain: plain, html: html, rtf: rtf).append(
            to: &builder, context: context, isForward: subject.map(MailQuotes.isForward) ?? false, isKnown: isKnown)
        for (index, attachment) in attachments.enumerated() where !attachment.data.isEmpty {
            let name = (attachment.name ?? "attachment \(index + 1)").replacing("/", with: "_")
            try context.appendNested(ParseInput(bytes: attachment.data, name: name), to: &builder)
        }
    }

    init?(_ bytes: [UInt8]) {
        guard Self.isTNEF(bytes), bytes.count > 6 else { return nil }
        var index = 6
        while index + 9 <= bytes.count {
            let id = bytes.u16(index + 1)
            let length = Int(bytes.u32(index + 5))
            let start = index + 9
            guard length >= 0, start + length <= bytes.count else { break }
            let data = Array(bytes[start..<(start + length)])
            index = start + length + 2
            switch id {
            case 0x9007: if data.count >= 4 { codePage = Int(data.u32(0)) }
            case 0x8004: subject = subject ?? text(data)
            case 0x800C: plain = text(data)
            case 0x9003: message(properties(data))
            case 0x9002: if attachments.count < 500 { attachments.append(Attachment()) }
            case 0x8010: if !attachments.isEmpty, let name = text(data) { attachments[attachments.count - 1].name = name }
            case 0x800F: if !attachments.isEmpty { attachments[attachments.count - 1].data = data }
            case 0x9005: attachment(properties(data))
            default: break
            }
        }
    }

    /// A string that ends at its NUL, in the message's code page.
    private func text(_ data: [UInt8]) -> String? {
        let bytes = Array(data.prefix { $0 != 0 })
        let text = TextDecoder.decode(bytes, declared: TextDecoder.codePage(codePage)).text.trimmed
        return text.isEmpty ? nil : text
    }

    private struct Property {
        var id: UInt16
        var type: UInt16
        var data: [UInt8]
    }

    private func string(_ property: Property) -> String? {
        guard property.type & 0xFFF == 0x001F else { return text(property.data) }
        let text = TextDecoder.convert(property.data[...], from: "UTF-16LE")?.text.replacing("\0", with: "").trimmed ?? ""
        return text.isEmpty ? nil : text
    }

    private mutating func message(_ properties: [Property]) {
        for property in properties {
            switch property.id {
            case 0x0037: subject = string(property) ?? subject
            case 0x1000: plain = plain ?? string(property)
            case 0x1013:
                html = property.type == 0x001F ? string(property).map { Array($0.utf8) } : property.data
            case 0x1009: rtf = OutlookMessage.decompress(property.data)
            default: break
            }
        }
    }

    private mutating func attachment(_ properties: [Property]) {
        guard !attachments.isEmpty else { return }
        let last = attachments.count - 1
        for property in properties {
            switch property.id {
            case 0x3707: attachments[last].name = string(property) ?? attachments[last].name
            case 0x3704: attachments[last].name = attachments[last].name ?? string(property)
            // A message in the message is an object: an identifier of 16 bytes, then TNEF again.
            case 0x3701:
                if property.type == 0x0102 { attachments[last].data = property.data }
                if property.type == 0x000D, property.data.count > 16 {
                    let inner = Array(property.data.dropFirst(16))
                    if Self.isTNEF(inner) { attachments[last].data = inner }
                }
            default: break
            }
        }
    }

    /// The properties of a list, as far as it can be read: a type that is not known has no known length.
    private func properties(_ data: [UInt8]) -> [Property] {
        guard data.count >= 4 else { return [] }
        var found: [Property] = []
        var index = 4
        func padded(_ count: Int) -> Int { (count + 3) & ~3 }
        for _ in 0..<min(Int(data.u32(0)), 10_000) {
            guard index + 4 <= data.count else { break }
            let type = data.u16(index)
            let id = data.u16(index + 2)
            index += 4
            if id >= 0x8000 {
                // A name: its set, and a number or a text.
                guard index + 24 <= data.count else { break }
                let isText = data.u32(index + 16) == 1
                let length = isText ? Int(data.u32(index + 20)) : 0
                guard length <= data.count else { break }
                index += 24 + padded(length)
            }
            let isMultiple = type & 0x1000 != 0
            let base = type & 0xFFF
            let size: Int
            switch base {
            case 0x0002, 0x0003, 0x0004, 0x000A, 0x000B: size = 4
            case 0x0005, 0x0006, 0x0007, 0x0014, 0x0040: size = 8
            case 0x0048: size = 16
            case 0x001E, 0x001F, 0x0102, 0x000D: size = 0
            case 0x0001: continue
            default: return found
            }
            var count = 1
            if isMultiple || size == 0 {
                guard index + 4 <= data.count else { break }
                count = Int(data.u32(index))
                index += 4
            }
            guard count <= 10_000 else { break }
            for _ in 0..<count {
                var length = size
                if size == 0 {
                    guard index + 4 <= data.count else { return found }
                    length = Int(data.u32(index))
                    index += 4
                }
                guard length >= 0, index <= data.count, length <= data.count - index else { return found }
                if size == 0 { found.append(Property(id: id, type: type, data: Array(data[index..<(index + length)]))) }
                index += padded(length)
            }
        }
        return found
    }
}
