import CUchardet
import Foundation

/// Turns bytes of unknown encoding into valid UTF-8.
///
/// The order of belief: a byte order mark; bytes that are valid UTF-8 (other encodings hardly ever are by chance); the
/// pattern of NULs that UTF-16 and UTF-32 leave; what the file says about itself; EBCDIC's blank; uchardet's statistics; at last Windows-1252.
/// What cannot be decoded becomes U+FFFD, so no file is lost for one bad byte.
enum TextDecoder {
    struct Decoded {
        /// Valid UTF-8, NULs still in.
        var text: String
        var encoding: String
    }

    /// - Parameter declared: An encoding named by the file or its envelope.
    static func decode(_ bytes: [UInt8], declared: String? = nil) -> Decoded {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { return utf8(bytes[3...]) }
        if bytes.starts(with: [0xFF, 0xFE, 0, 0]) { return convert(bytes[4...], from: "UTF-32LE")! }
        if bytes.starts(with: [0, 0, 0xFE, 0xFF]) { return convert(bytes[4...], from: "UTF-32BE")! }
        if bytes.starts(with: [0xFF, 0xFE]) { return convert(bytes[2...], from: "UTF-16LE")! }
        if bytes.starts(with: [0xFE, 0xFF]) { return convert(bytes[2...], from: "UTF-16BE")! }
        if let name = stateful(declared), let decoded = convert(bytes[...], from: name) { return decoded }
        if isUTF8(bytes), !looksLikeISO2022(bytes) { return utf8(bytes[...]) }
        if let wide = wideEncoding(bytes) { return convert(bytes[...], from: wide)! }
        if let declared, let name = usable(declared), let decoded = convert(bytes[...], from: name), isPlausible(decoded.text) {
            return decoded
        }
        if looksLikeEBCDIC(bytes), let decoded = convert(bytes[...], from: "IBM500") { return decoded }
        if isNearlyUTF8(bytes) { return utf8(bytes[...]) }
        if let guess = detect(bytes), let decoded = convert(bytes[...], from: guess) { return decoded }
        return convert(bytes[...], from: "WINDOWS-1252") ?? utf8(bytes[...])
    }

    /// Converts with iconv; nil when the encoding is not known.
    static func convert(_ bytes: ArraySlice<UInt8>, from encoding: String) -> Decoded? {
        guard let descriptor = iconv_open("UTF-8", encoding), descriptor != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
        defer { iconv_close(descriptor) }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2)
        var chunk = [CChar](repeating: 0, count: 1 << 16)
        var source = Array(bytes)
        source.withUnsafeMutableBytes { raw in
            var input = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
            var inputLeft = raw.count
            while inputLeft > 0 {
                let (result, code, produced) = chunk.withUnsafeMutableBufferPointer { buffer -> (Int, Int32, Int) in
                    var target = buffer.baseAddress
                    var targetLeft = buffer.count
                    let result = iconv(descriptor, &input, &inputLeft, &target, &targetLeft)
                    return (Int(result), errno, buffer.count - targetLeft)
                }
                output.append(contentsOf: chunk[..<produced].lazy.map { UInt8(bitPattern: $0) })
                if result >= 0 { break }
                if code == E2BIG { continue }
                // EILSEQ and EINVAL (cut at the end): mark the place, step over one unit.
                output.append(contentsOf: "\u{FFFD}".utf8)
                let unit = encoding.hasPrefix("UTF-16") ? 2 : encoding.hasPrefix("UTF-32") ? 4 : 1
                let step = min(unit, inputLeft)
                input = input.map { $0 + step }
                inputLeft -= step
            }
        }
        // glibc's UTF-8 may hold what Unicode does not allow; decoding repairs that.
        return Decoded(text: String(decoding: output, as: UTF8.self), encoding: encoding)
    }

    /// Pages lie about their encoding: what comes out full of controls or replacements was not in it.
    private static func isPlausible(_ text: String) -> Bool {
        var bad = 0
        var total = 0
        for scalar in text.unicodeScalars.prefix(20_000) {
            total += 1
            if scalar.value == 0xFFFD || (0x80...0x9F).contains(scalar.value) || scalar.value < 9 { bad += 1 }
        }
        return bad * 50 <= total
    }

    private static func utf8(_ bytes: ArraySlice<UInt8>) -> Decoded {
        Decoded(text: String(decoding: bytes, as: UTF8.self), encoding: "UTF-8")
    }

    static func isUTF8(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

    /// A large UTF-8 file with a few broken places: many good sequences of several bytes, hardly any bad ones.
    private static func isNearlyUTF8(_ bytes: [UInt8]) -> Bool {
        var good = 0
        var bad = 0
        var index = 0
        let end = min(bytes.count, 1 << 20)
        while index < end {
            let byte = bytes[index]
            if byte < 0x80 {
                index += 1
                continue
            }
            let length = byte >= 0xF0 && byte < 0xF5 ? 4 : byte >= 0xE0 && byte < 0xF0 ? 3 : byte >= 0xC2 && byte < 0xE0 ? 2 : 0
            if length > 0, index + length <= bytes.count, bytes[index + 1..<index + length].allSatisfy({ $0 & 0xC0 == 0x80 }) {
                good += 1
                index += length
            } else {
                bad += 1
                index += 1
            }
        }
        return good >= 4 && good > bad * 4
    }

    private static func looksLikeISO2022(_ bytes: [UInt8]) -> Bool {
        guard let escape = bytes.prefix(1 << 16).firstIndex(of: 0x1B), escape + 2 < bytes.count else { return false }
        return bytes[escape + 1] == 0x24 && (bytes[escape + 2] == 0x42 || bytes[escape + 2] == 0x40)
    }

    /// ISO-2022 text is pure ASCII bytes, so a declaration must be believed before UTF-8 is tried.
    private static func stateful(_ declared: String?) -> String? {
        guard let name = declared?.uppercased(), name.hasPrefix("ISO-2022") || name == "UTF-7" || name.hasPrefix("HZ-GB") else {
            return nil
        }
        return usable(name)
    }

    /// UTF-16 or UTF-32 without a mark: NULs at every second or at three of four places.
    private static func wideEncoding(_ bytes: [UInt8]) -> String? {
        let sample = bytes.prefix(4096)
        guard sample.count >= 8 else { return nil }
        var zeros = [0, 0, 0, 0]
        for (offset, byte) in sample.enumerated() where byte == 0 { zeros[offset & 3] += 1 }
        let quarter = sample.count / 4
        if quarter == 0 { return nil }
        func mostly(_ count: Int) -> Bool { count * 10 >= quarter * 7 }
        func rarely(_ count: Int) -> Bool { count * 10 <= quarter }
        if rarely(zeros[0]), mostly(zeros[2]), mostly(zeros[3]), mostly(zeros[1]) { return "UTF-32LE" }
        if mostly(zeros[0]), mostly(zeros[1]), mostly(zeros[2]), rarely(zeros[3]) { return "UTF-32BE" }
        let even = zeros[0] + zeros[2]
        let odd = zeros[1] + zeros[3]
        let half = quarter * 2
        if odd * 10 >= half * 4, even * 20 <= half { return "UTF-16LE" }
        if even * 10 >= half * 4, odd * 20 <= half { return "UTF-16BE" }
        return nil
    }

    /// Mainframe text: the blank is 0x40, letters lie at 0x81 to 0xA9 and 0xC1 to 0xE9; ASCII's blank hardly occurs.
    private static func looksLikeEBCDIC(_ bytes: [UInt8]) -> Bool {
        let sample = bytes.prefix(8192)
        guard sample.count >= 32 else { return false }
        var blanks = 0
        var letters = 0
        var asciiBlanks = 0
        for byte in sample {
            switch byte {
            case 0x40: blanks += 1
            case 0x81...0x89, 0x91...0x99, 0xA2...0xA9, 0xC1...0xC9, 0xD1...0xD9, 0xE2...0xE9: letters += 1
            case 0x20: asciiBlanks += 1
            default: break
            }
        }
        return blanks * 100 >= sample.count * 7 && letters * 4 >= sample.count && (blanks + letters) * 100 >= sample.count * 75
            && asciiBlanks * 100 <= sample.count
    }

    private static func detect(_ bytes: [UInt8]) -> String? {
        guard let detector = uchardet_new() else { return nil }
        defer { uchardet_delete(detector) }
        // ASCII says nothing about the encoding, so short samples are taken around what is not ASCII.
        let sample = bytes.prefix(1 << 18)
        let result = sample.withUnsafeBytes { raw in
            uchardet_handle_data(detector, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count)
        }
        guard result == 0 else { return nil }
        uchardet_data_end(detector)
        guard let name = uchardet_get_charset(detector) else { return nil }
        return usable(String(cString: name))
    }

    /// The name that iconv knows, with web names for what they mean in practice; nil for nonsense.
    static func usable(_ name: String) -> String? {
        let name = name.trimmingCharacters(in: .whitespacesAndNewlines).trimmingCharacters(in: CharacterSet(charactersIn: "\"'"))
            .uppercased()
        guard !name.isEmpty, name.utf8.count < 40, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x2F && $0 != 0x2C }) else {
            return nil
        }
        let known: String
        switch name {
        case "ISO-8859-1", "LATIN1", "US-ASCII", "ASCII", "ISO8859-1", "ISO_8859-1", "ANSI": known = "WINDOWS-1252"
        case "ISO-8859-9": known = "WINDOWS-1254"
        case "SHIFT_JIS", "SHIFT-JIS", "SJIS", "X-SJIS", "WINDOWS-31J": known = "CP932"
        case "GB2312", "GBK", "X-GBK": known = "GB18030"
        case "KS_C_5601-1987", "KS_C_5601", "EUC-KR", "UHC": known = "CP949"
        case "UTF8", "UNICODE-1-1-UTF-8": known = "UTF-8"
        case "MAC-CYRILLIC", "X-MAC-CYRILLIC": known = "MAC-CYRILLIC"
        case "X-MAC-ROMAN", "MACINTOSH", "MACROMAN": known = "MACINTOSH"
        case "MAC-CENTRALEUROPE": known = "MAC-CENTRALEUROPE"
        default: known = name
        }
        guard let descriptor = iconv_open("UTF-8", known), descriptor != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
        iconv_close(descriptor)
        return known
    }

    /// The iconv name of a Windows code page, as RTF and Office write them.
    static func codePage(_ number: Int) -> String {
        switch number {
        case 65001: "UTF-8"
        case 1200: "UTF-16LE"
        case 1201: "UTF-16BE"
        case 10000: "MACINTOSH"
        case 10001: "CP932"
        case 10006: "MACGREEK"
        case 10007: "MAC-CYRILLIC"
        case 20127, 0: "WINDOWS-1252"
        case 20866: "KOI8-R"
        case 28591...28605: "ISO-8859-\(number - 28590)"
        case 936: "GB18030"
        case 1250...1258: "WINDOWS-\(number)"
        default: "CP\(number)"
        }
    }
}
