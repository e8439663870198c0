/// Finds the ends of sentences in running and in tokenised text, in every script we know the full stops of.
package enum Sentences {
    /// Cuts one paragraph. Ranges are byte offsets, trimmed, in order; what lies between them is white space.
    ///
    /// - Complexity: O(*bytes*).
    package static func split(_ bytes: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
        var scanner = Scanner(bytes, range)
        return scanner.run()
    }

    /// Full stops of every script that we know; the ASCII ones need a look at what is around them.
    package static func isTerminator(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case ".", "!", "?", "…", "。", "！", "？", "｡", "؟", "۔", "।", "॥", "։", "‼", "⁇", "⁈": true
        default: false
        }
    }

    /// Full stops that need no space after them.
    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "。", "！", "？", "｡": true
        default: false
        }
    }

    private static func isCloser(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\"", "'", ")", "]", "}", "”", "’", "»", "」", "』", "）", "】", "》": true
        default: false
        }
    }

    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value <= 0x20 || scalar == "\u{A0}" || scalar == "\u{3000}" || scalar == "\u{85}"
    }

    private struct Scanner {
        let scalars: [Unicode.Scalar]
        /// Byte offset of each scalar, and of the end.
        let offsets: [Int]
        /// First scalar of the current sentence.
        var start = 0
        var sentences: [Range<Int>] = []

        init(_ bytes: [UInt8], _ range: Range<Int>) {
            var scalars: [Unicode.Scalar] = []
            var offsets: [Int] = []
            scalars.reserveCapacity(range.count)
            offsets.reserveCapacity(range.count + 1)
            var offset = range.lowerBound
            for scalar in String(decoding: bytes[range], as: UTF8.self).unicodeScalars {
                scalars.append(scalar)
                offsets.append(offset)
                offset += UTF8.width(scalar)
            }
            offsets.append(offset)
            self.scalars = scalars
            self.offsets = offsets
        }

        mutating func run() -> [Range<Int>] {
            var index = 0
            while index < scalars.count {
                guard Sentences.isTerminator(scalars[index]) else {
                    index += 1
                    continue
                }
                // The whole run: "?!", "...", and what closes behind it.
                var end = index + 1
                while end < scalars.count, Sentences.isTerminator(scalars[end]) { end += 1 }
                let runEnd = end
                while end < scalars.count, Sentences.isCloser(scalars[end]) { end += 1 }
                if let close = tokenizedCloser(end) { end = close }
                if isBoundary(first: index, runEnd: runEnd, end: end) {
                    finish(at: end)
                    index = end
                } else {
                    index = runEnd
                }
            }
            finish(at: scalars.count)
            return sentences
        }

        private mutating func finish(at end: Int) {
            var low = start
            var high = end
            while low < high, Sentences.isSpace(scalars[low]) { low += 1 }
            while high > low, Sentences.isSpace(scalars[high - 1]) { high -= 1 }
            start = end
            guard low < high else { return }
            // Marks alone are no sentence: they belong to the one before.
            if !scalars[low..<high].contains(where: { $0.properties.isAlphabetic || $0.properties.numericType != nil }),
                let last = sentences.popLast()
            {
                sentences.append(last.lowerBound..<offsets[high])
            } else {
                sentences.append(offsets[low]..<offsets[high])
            }
        }

        /// In tokenised text a closing quote stands by itself: `. ''` and `. "` before a space.
        private func tokenizedCloser(_ end: Int) -> Int? {
            guard end + 1 < scalars.count, scalars[end] == " " else { return nil }
            if scalars[end + 1] == "'", end + 2 < scalars.count, scalars[end + 2] == "'" { return end + 3 }
            if scalars[end + 1] == ")" || scalars[end + 1] == "”" || scalars[end + 1] == "]" { return end + 2 }
            return nil
        }

        private func isBoundary(first: Int, runEnd: Int, end: Int) -> Bool {
            let mark = scalars[first]
            guard end < scalars.count else { return true }
            if Sentences.isWide(mark) { return true }
            guard Sentences.isSpace(scalars[end]) else { return false }
            var next = end
            while next < scalars.count, Sentences.isSpace(scalars[next]) { next += 1 }
            guard next < scalars.count else { return true }
            // A quote or bracket may open the next sentence.
            var head = next
            while head < scalars.count, "\"'`“‘«([{¿¡„「『（*_".unicodeScalars.contains(scalars[head]) || Sentences.isSpace(scalars[head]) {
                head += 1
            }
            let begins = head < scalars.count ? scalars[head] : scalars[next]
            let isLowercase = begins.properties.isLowercase
            if mark != "." && mark != "…" { return !isLowercase || mark == "।" || mark == "॥" }
            if isLowercase || ",;:)]".unicodeScalars.contains(scalars[next]) { return false }
            if runEnd - first > 1 || mark == "…" { return true }
            return !isAbbreviation(before: first, next: head)
        }

        /// True when the full stop at `stop` belongs to the word before it.
        private func isAbbreviation(before stop: Int, next: Int) -> Bool {
            guard stop > start, !Sentences.isSpace(scalars[stop - 1]) else { return false }
            var low = stop
            while low > start, !Sentences.isSpace(scalars[low - 1]), !"([\"“'`/-–—".unicodeScalars.contains(scalars[low - 1]) { low -= 1 }
            let word = String(String.UnicodeScalarView(scalars[low..<stop]))
            let lower = word.lowercased()
            let nextWord = self.nextWord(next)
            let opensSentence = Sentences.starters.contains(nextWord.lowercased())

            if word.unicodeScalars.allSatisfy({ $0.properties.numericType != nil }) {
                // "1. Item" at the beginning, and dates such as "3. Oktober".
                if scalars[start..<low].allSatisfy(Sentences.isSpace) { return word.unicodeScalars.count <= 3 }
                return word.unicodeScalars.count <= 2 && Sentences.months.contains(nextWord.lowercased())
            }
            let letters = word.unicodeScalars
            if letters.count == 1, letters.first!.properties.isAlphabetic { return !opensSentence }
            // "U.S", "e.g", "a.m": letters with full stops between.
            if lower.contains(".") {
                let parts = lower.split(separator: ".", omittingEmptySubsequences: false)
                if parts.allSatisfy({ $0.unicodeScalars.count <= 2 }) { return !opensSentence || lower == "e.g" || lower == "i.e" }
            }
            if Sentences.titles.contains(lower) { return true }
            return Sentences.abbreviations.contains(lower) && !opensSentence
        }

        private func nextWord(_ index: Int) -> String {
            var end = index
            while end < scalars.count, scalars[end].properties.isAlphabetic { end += 1 }
            return String(String.UnicodeScalarView(scalars[index..<end]))
        }
    }

    /// Always before a name, so never the end of a sentence.
    private static let titles: Set<String> = [
        "mr", "mrs", "ms", "dr", "prof", "st", "gen", "col", "lt", "sgt", "capt", "cmdr", "adm", "maj", "rev", "hon", "gov", "sen", "rep",
        "pres", "mt", "ft",
        "fr", "hr", "messrs", "mme", "mlle", "sra", "srta", "dña", "fig", "figs", "eq", "eqs", "sec", "no", "nos", "nr", "art", "pp", "vol",
        "vols", "vs", "cf", "ch",
        "viz", "abb", "tab", "bzw", "ca", "approx", "núm", "pág", "págs",
    ]

    /// Possibly the end of a sentence: then the next word decides.
    private static let abbreviations: Set<String> = [
        "jr", "sr", "inc", "ltd", "co", "corp", "llc", "plc", "bros", "dept", "univ", "assn", "etc", "al", "est", "ed", "eds", "trans",
        "lit", "ave", "blvd", "rd",
        "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri", "sat",
        "sun", "usw", "str", "min",
        "max", "hrs", "esq", "ph.d", "phd", "ee.uu", "ibid", "orig", "incl", "excl", "temp", "tel", "ext", "evtl", "ggf", "sog", "vgl",
        "inkl", "jh",
    ]

    private static let months: Set<String> = [
        "januar", "februar", "märz", "april", "mai", "juni", "juli", "august", "september", "oktober", "november", "dezember", "january",
        "february", "march",
        "may", "june", "july", "october", "december", "jahrhundert", "jahrhunderts", "jh",
    ]

    /// Words that rarely follow an abbreviation inside a sentence when they are written with a capital.
    private static let starters: Set<String> = [
        "the", "a", "an", "this", "that", "these", "those", "it", "its", "he", "she", "they", "we", "his", "her", "their", "our", "in",
        "on", "at", "as", "by", "for",
        "from", "to", "with", "when", "while", "after", "before", "since", "during", "if", "although", "though", "however", "but", "and",
        "or", "there", "some",
        "many", "most", "all", "both", "each", "other", "another", "such", "one", "two", "what", "who", "how", "why", "where", "which",
        "because", "also", "then",
        "today", "according", "under", "no", "not", "you", "i", "der", "die", "das", "ein", "eine", "er", "sie", "es", "im", "in", "am",
        "el", "la", "los", "las",
        "un", "una", "en", "se", "le", "les", "il",
    ]
}
