import CUchardet
import Foundation

/// Turns bytes of unknown encoding into valid UTF-8.
///
/// The order of belief: a byte order mark; the pattern of NULs that UTF-16 and UTF-32 leave; bytes that are valid UTF-8 (other
/// encodings hardly ever are by chance), or would be but for an odd byte here and there; what the file says about itself; EBCDIC's
/// blank; uchardet's statistics; at last the Western encoding in which the letters stand best (`WesternText`).
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
        if let wide = wideEncoding(bytes), let decoded = convert(bytes[...], from: wide) { return decoded }
        if let text = String(validating: bytes, as: UTF8.self), !looksLikeISO2022(bytes) { return Decoded(text: text, encoding: "UTF-8") }
        if isNearlyUTF8(bytes) { return utf8(bytes[...]) }
        // Bytes that are neither UTF-8 nor nearly so are not what a declaration of UTF-8 says.
        if let declared, let name = usable(declared), name != "UTF-8", let decoded = convert(bytes[...], from: name),
            isPlausible(decoded.text)
        {
            return decoded
        }
        if looksLikeEBCDIC(bytes), let decoded = convert(bytes[...], from: "IBM500") { return decoded }
        if let decoded = convert(bytes[...], from: WesternText.encoding(of: bytes, guess: detect(bytes))) { return decoded }
        return convert(bytes[...], from: "WINDOWS-1252") ?? utf8(bytes[...])
    }

    /// Decodes what names its encoding itself, such as a word of a mail's header: the declaration is believed when it fits.
    ///
    /// Bytes that are UTF-8 of several bytes are that, though, when the declaration is one that fits everything.
    static func decodeDeclared(_ bytes: [UInt8], _ declared: String) -> String {
        if let name = usable(declared), name != "WINDOWS-1252" || !isUTF8(bytes), let decoded = convert(bytes[...], from: name),
            !decoded.text.unicodeScalars.contains("\u{FFFD}")
        {
            return decoded.text
        }
        return decode(bytes, declared: declared).text
    }

    /// NULs are no characters: holes that a crash left in a log, padding of records. A run of them parts words.
    static func withoutNULs(_ text: String) -> String {
        guard text.utf8.contains(0) else { return text }
        var output: [UInt8] = []
        output.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if byte != 0 { output.append(byte) } else if let last = output.last, last > 0x20 { output.append(0x20) }
        }
        return String(decoding: output, as: UTF8.self)
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
        // Some encodings hold a letter back until they know that no mark follows.
        let rest = chunk.withUnsafeMutableBufferPointer { buffer -> Int in
            var target = buffer.baseAddress
            var targetLeft = buffer.count
            _ = iconv(descriptor, nil, nil, &target, &targetLeft)
            return buffer.count - targetLeft
        }
        output.append(contentsOf: chunk[..<rest].lazy.map { UInt8(bitPattern: $0) })
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

    /// UTF-8 with a few broken places: good sequences of several bytes, and hardly any bad ones.
    ///
    /// Letters of one byte hardly ever look like a sequence by chance; those of two bytes (GB18030, EUC) do, but then most do not.
    private static func isNearlyUTF8(_ bytes: [UInt8]) -> Bool {
        var good = 0
        // Those that Western texts are full of: letters with accents, dashes, quotes.
        var western = 0
        var bad = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte < 0x80 {
                index += 1
                continue
            }
            let length = byte >= 0xF0 && byte < 0xF5 ? 4 : byte >= 0xE0 && byte < 0xF0 ? 3 : byte >= 0xC2 && byte < 0xE0 ? 2 : 0
            if length > 0, index + length > bytes.count, bytes[(index + 1)...].allSatisfy({ $0 & 0xC0 == 0x80 }) {
                // Cut at the end.
                break
            }
            if length > 0, index + length <= bytes.count, bytes[index + 1..<index + length].allSatisfy({ $0 & 0xC0 == 0x80 }) {
                good += 1
                if (0xC2...0xC5).contains(byte) || (byte == 0xE2 && (0x80...0x82).contains(bytes[index + 1])) { western += 1 }
                index += length
            } else {
                bad += 1
                index += 1
            }
        }
        return good > 0 && (good >= bad * 3 || (bad <= 2 && good >= bad && western == good))
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
        let result = tellingSample(bytes).withUnsafeBytes { raw in
            uchardet_handle_data(detector, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count)
        }
        guard result == 0 else { return nil }
        uchardet_data_end(detector)
        guard let name = uchardet_get_charset(detector) else { return nil }
        return usable(String(cString: name))
    }

    /// ASCII says nothing about the encoding, so of a large file the lines are taken that hold something else.
    private static func tellingSample(_ bytes: [UInt8]) -> [UInt8] {
        let limit = 1 << 18
        guard bytes.count > limit else { return bytes }
        var sample: [UInt8] = []
        var index = 0
        while index < bytes.count, sample.count < limit {
            guard let high = bytes[index...].firstIndex(where: { $0 >= 0x80 }) else { break }
            var start = high
            while start > index, high - start < 200, bytes[start - 1] != 0x0A, bytes[start - 1] != 0x0D { start -= 1 }
            var end = high
            while end < bytes.count, bytes[end] != 0x0A, bytes[end] != 0x0D, end - start < limit { end += 1 }
            sample += bytes[start..<end]
            sample.append(0x0A)
            index = end
        }
        return sample.isEmpty ? Array(bytes.prefix(limit)) : sample
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
