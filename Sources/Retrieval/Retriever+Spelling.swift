import Documents
import Foundation
import Storage

/// A question of one word, number or code: rows that spell it as the question does come first.
///
/// The index meets *Müller* with *Muller*, *X-200* with *X200* and *IT* with *it*, and does not keep which was written. The best rows' texts do.
extension Retriever {
    /// Rows that are looked at.
    static let spelledWindow = 20

    /// The same rows, those of the best that are spelled alike first; the scores stay in falling order.
    func spelledAlikeFirst(_ ranked: [FusedHit], _ request: SearchRequest) throws(RetrievalError) -> [FusedHit] {
        guard let spelling = SpelledTerms(request.query), ranked.count > 1 else { return ranked }
        let best = ranked.prefix(max(Self.spelledWindow, request.k))
        let passages = try passages(of: best.lazy.map(\.row))
        let ordered = best.enumerated().map { place, hit in
            let passage = passages[ChunkID(rawValue: hit.row.rawValue)]
            let texts = [passage?.chunk.text, passage?.document.title, passage?.chunk.heading].compactMap { $0 }
            return (likeness: texts.map(spelling.likeness).max() ?? 0, place: place, hit: hit)
        }.sorted { ($1.likeness, $0.place) < ($0.likeness, $1.place) }
        guard ordered.first?.likeness ?? 0 > 0 else { return ranked }
        let scores = best.map(\.score)
        return zip(ordered, scores).map { entry, score in
            var hit = entry.hit
            hit.score = score
            return hit
        } + ranked.dropFirst(best.count)
    }
}

/// How a short question is spelled.
struct SpelledTerms {
    private let exact: String
    private let lower: String
    private let plain: String

    /// Nil when the question is more than one word, number or code.
    init?(_ query: String) {
        if Self.isSentence(query) { return nil }
        let trimmed = query.trimmingCharacters(in: .whitespacesAndNewlines.union(CharacterSet(charactersIn: "\"\u{201C}\u{201D}\u{201E}?")))
        let isWord = !trimmed.contains(where: \.isWhitespace)
        let isCode = trimmed.count <= 32 && trimmed.contains(where: \.isNumber) && trimmed.split(separator: " ").count <= 6
        guard !trimmed.isEmpty, isWord || isCode, trimmed.utf8.count <= 128 else { return nil }
        exact = trimmed.precomposedStringWithCanonicalMapping
        lower = exact.lowercased()
        plain = Self.expanded(lower)
    }

    /// Whether a question is of several ASCII words, without a digit or too long for a code, as most are: that is seen at a glance.
    private static func isSentence(_ query: String) -> Bool {
        var hasLetter = false
        var hasDigit = false
        var hasGap = false
        var isSeveral = false
        var size = 0
        for byte in query.utf8 {
            switch byte {
            case 0x41...0x5A, 0x61...0x7A, 0x30...0x39:
                if hasGap { isSeveral = true }
                if byte < 0x40 { hasDigit = true } else { hasLetter = true }
                size += 1
            case 0x20: hasGap = hasLetter || hasDigit
            case 0x80...: return false
            default: break
            }
        }
        return isSeveral && (hasLetter && !hasDigit || size > 32)
    }

    /// 3 for the very word, 2 when only case differs, 1 when umlauts are written otherwise, 0 when it is not there.
    func likeness(_ text: String) -> Int {
        let text = text.precomposedStringWithCanonicalMapping
        if Self.contains(text, exact) { return 3 }
        let small = text.lowercased()
        if Self.contains(small, lower) { return 2 }
        return Self.contains(Self.expanded(small), plain) ? 1 : 0
    }

    private static func expanded(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 >= 0x80 }) else { return text }
        var result = ""
        for character in text {
            switch character {
            case "ä", "æ": result += "ae"
            case "ö", "ø": result += "oe"
            case "ü": result += "ue"
            case "å": result += "aa"
            case "ß": result += "ss"
            default: result.append(character)
            }
        }
        return result
    }

    /// Whether a text has a word as a word of its own.
    private static func contains(_ text: String, _ word: String) -> Bool {
        var start = text.startIndex
        while let range = text.range(of: word, options: .literal, range: start..<text.endIndex) {
            let before = range.lowerBound == text.startIndex ? nil : text[text.index(before: range.lowerBound)]
            let after = range.upperBound == text.endIndex ? nil : text[range.upperBound]
            if !(before.map(isPart) ?? false), !(after.map(isPart) ?? false) { return true }
            start = text.index(after: range.lowerBound)
        }
        return false
    }

    private static func isPart(_ character: Character) -> Bool { character.isLetter || character.isNumber }
}
