import Foundation

/// Reads subtitles (SubRip `.srt`, WebVTT `.vtt`): what is said, as sentences, under the times at which it is.
///
/// A cue holds as much as fits on a screen, so sentences run over cues; they are joined until one ends and a pause, another speaker
/// or enough text comes. Each such paragraph has its times on a line above it:
///
///     00:00:01 to 00:00:07
///     The pump runs at nine hundred turns a minute.
enum SubtitleParser {
    struct Cue {
        var start: Int
        var end: Int
        var speaker: String?
        var text: String
    }

    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        let text = TextDecoder.withoutNULs(decoded.text)
        let cues = cues(text)
        guard !cues.isEmpty else { return try PlainTextParser.parse(decoded, context: context) }
        var builder = context.builder
        var index = 0
        while index < cues.count {
            let first = index
            var words = cues[index].text
            index += 1
            while index < cues.count {
                let (last, next) = (cues[index - 1], cues[index])
                if next.speaker != nil, next.speaker != cues[first].speaker { break }
                let isEnded = words.last.map { ".!?…\"”»。！？)]♪".contains($0) } ?? true
                if isEnded, words.utf8.count > 400 || next.start - last.end >= 3 { break }
                if words.utf8.count > 2000 || next.start - last.end >= 20 { break }
                words += " " + next.text
                index += 1
            }
            let speaker = cues[first].speaker.map { "\($0): " } ?? ""
            try builder.lines("\(clock(cues[first].start)) to \(clock(cues[index - 1].end))\n\(speaker)\(words)")
        }
        let isVTT = text.hasPrefix("WEBVTT") || input.fileExtension == "vtt"
        var properties = ["duration": clock(cues.map(\.end).max() ?? 0)]
        if decoded.encoding != "UTF-8" { properties["encoding"] = decoded.encoding }
        return builder.finish(title: nil, mimeType: isVTT ? "text/vtt" : "application/x-subrip", properties: properties)
    }

    /// Whether a text is of this kind: one that says so, or a number above a line with two times.
    static func isSubtitles(_ start: String) -> Bool {
        if start.hasPrefix("WEBVTT") { return true }
        let lines = PlainTextParser.splitLines(start).filter { !$0.isBlank }.prefix(3)
        return lines.prefix(2).contains { times($0) != nil } && lines.count >= 2
    }

    static func cues(_ text: String) -> [Cue] {
        var cues: [Cue] = []
        var current: Cue?
        var lastLines: [String] = []
        var lines: [String] = []
        func close() {
            guard var cue = current else { return }
            current = nil
            // Captions that roll repeat what the cue before showed.
            let fresh = cues.isEmpty ? lines : lines.filter { !lastLines.contains($0) }
            if !lines.isEmpty { lastLines = lines }
            cue.text = fresh.joined(separator: " ")
            if !cue.text.isBlank { cues.append(cue) }
            lines = []
        }
        for line in PlainTextParser.splitLines(text) {
            if let (start, end) = times(line) {
                // The number above the times belongs to this cue, not to the text before it.
                if current != nil, let last = lines.last, last.allSatisfy(\.isNumber) { lines.removeLast() }
                close()
                current = Cue(start: start, end: end, speaker: nil, text: "")
            } else if line.isBlank {
                close()
            } else if current != nil {
                let (speaker, words) = plain(line)
                if let speaker, current?.speaker == nil, lines.isEmpty { current?.speaker = speaker }
                let isOther = speaker != nil && speaker != current?.speaker
                if !words.isBlank { lines.append(isOther ? "\(speaker!): \(words)" : words) }
            }
        }
        close()
        return cues
    }

    /// `00:00:01,000 --> 00:00:04,000`, hours left out as WebVTT allows, in seconds.
    private static func times(_ line: Substring) -> (Int, Int)? {
        guard let arrow = line.firstRange(of: "-->"), line.utf8.count < 300 else { return nil }
        func seconds(_ text: Substring) -> Int? {
            let clock = text.prefix { $0.isNumber || $0 == ":" || $0 == "," || $0 == "." }
            let parts = clock.prefix { $0 != "," && $0 != "." }.split(separator: ":")
            guard (2...3).contains(parts.count), parts.allSatisfy({ $0.utf8.count <= 4 }) else { return nil }
            let numbers = parts.compactMap { Int($0) }
            return numbers.count == parts.count ? numbers.reduce(0) { $0 * 60 + $1 } : nil
        }
        let before = line[..<arrow.lowerBound].drop { $0 == " " || $0 == "\t" || $0 == "\u{FEFF}" }
        let after = line[arrow.upperBound...].drop { $0 == " " || $0 == "\t" }
        guard let start = seconds(before), let end = seconds(after) else { return nil }
        return (start, end)
    }

    private static func clock(_ seconds: Int) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(seconds / 3600)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    }

    /// A line without its marks; a voice mark (`<v Vera>`) names the speaker.
    private static func plain(_ line: Substring) -> (speaker: String?, words: String) {
        var speaker: String?
        var words = ""
        var rest = line
        while let character = rest.first {
            if character == "<", let close = rest.firstIndex(of: ">") {
                let tag = rest[rest.index(after: rest.startIndex)..<close]
                if tag.hasPrefix("v"), let blank = tag.firstIndex(where: { $0 == " " || $0 == "\t" }),
                    tag[..<blank] == "v" || tag.hasPrefix("v.")
                {
                    speaker = tag[blank...].trimmed
                }
                rest = rest[rest.index(after: close)...]
            } else if character == "{", rest.hasPrefix("{\\"), let close = rest.firstIndex(of: "}") {
                rest = rest[rest.index(after: close)...]
            } else {
                words.append(character)
                rest = rest.dropFirst()
            }
        }
        if words.contains("&") {
            for (entity, text) in [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&lrm;", ""), ("&rlm;", ""), ("&amp;", "&")] {
                words = words.replacing(entity, with: text)
            }
        }
        return (speaker.flatMap { $0.isEmpty ? nil : $0 }, words.trimmed)
    }
}
