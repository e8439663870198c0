import Foundation

/// The tokenizer's buffers and its loop. See `Analyzer` for the rules.
///
/// Works on bytes: ASCII takes one table look-up a byte, everything else one decoded scalar and a `CharacterTable` look-up.
struct AnalysisState {
    var tokens: [AnalyzedToken] = []
    var termBytes: [UInt8] = []

    var normalizer: TermNormalizer
    private var table: CharacterTable
    private let ascii: UnsafeMutablePointer<UInt8>
    /// The word being read, folded; and where its parts begin and end.
    let word: UnsafeMutablePointer<UInt8>
    var wordCount = 0
    private var parts: [Part] = []
    var position: UInt32 = 0
    /// Words that stand so close together that they may be one: see `AnalysisState+Forms`.
    var run = FormRun()
    var isQuestion = false
    private var beginnings: WordBeginnings?
    /// The language's terms begin with the first two letters of their words: see `WordBeginnings.pairsAreKept`.
    var keepsPairs = false

    /// A longer word is cut into words of at most this many bytes.
    static let wordSizeMax = 128
    /// A compound of more parts keeps the rest in its last one.
    private static let partsMax = 24

    private struct Part {
        var wordStart: Int
        var wordEnd: Int
        var sourceStart: Int
        var sourceEnd: Int
    }

    /// Classes of ASCII bytes.
    private enum Byte {
        static let separator: UInt8 = 0
        static let lower: UInt8 = 1
        static let upper: UInt8 = 2
        static let digit: UInt8 = 3
        static let dot: UInt8 = 4
        static let comma: UInt8 = 5
        static let underscore: UInt8 = 6
        static let apostrophe: UInt8 = 7
    }

    init(normalizer: TermNormalizer) {
        self.normalizer = normalizer
        table = CharacterTable(foldsAccents: normalizer.foldsAccentsFirst)
        word = .allocate(capacity: Self.wordSizeMax + 16)
        ascii = .allocate(capacity: 128)
        ascii.initialize(repeating: Byte.separator, count: 128)
        for byte in 0x30...0x39 { ascii[byte] = Byte.digit }
        for byte in 0x41...0x5A { ascii[byte] = Byte.upper }
        for byte in 0x61...0x7A { ascii[byte] = Byte.lower }
        ascii[0x2E] = Byte.dot
        ascii[0x2C] = Byte.comma
        ascii[0x5F] = Byte.underscore
        ascii[0x27] = Byte.apostrophe
        parts.reserveCapacity(Self.partsMax)
    }

    /// Frees the buffers; the owner calls it once, at its own end.
    func release() {
        word.deallocate()
        ascii.deallocate()
    }

    /// Replaces `tokens` and `termBytes` by those of a text in valid UTF-8.
    ///
    /// - Parameter beginnings: Words that begin otherwise are left out.
    mutating func analyze(_ text: UnsafeBufferPointer<UInt8>, isQuestion: Bool = false, only beginnings: WordBeginnings? = nil) {
        precondition(text.count < Int(UInt32.max), "a text of \(text.count) bytes; rows are chunks of documents")
        tokens.removeAll(keepingCapacity: true)
        termBytes.removeAll(keepingCapacity: true)
        position = 0
        self.isQuestion = isQuestion
        self.beginnings = beginnings
        run.removeAll()
        run.pending.removeAll()
        guard let bytes = text.baseAddress else { return }
        defer { flushRun() }
        let end = text.count
        var cursor = 0
        while cursor < end {
            let byte = bytes[cursor]
            if byte < 0x80 {
                let kind = ascii[Int(byte)]
                if kind >= Byte.lower && kind <= Byte.digit {
                    cursor = otherWord(bytes, cursor, end) ?? scanWord(bytes, cursor, end)
                } else {
                    cursor &+= 1
                }
                continue
            }
            let (scalar, size) = Self.decode(bytes + cursor)
            let kind = table[scalar].kind
            switch kind {
            case .letter, .digit: cursor = scanWord(bytes, cursor, end)
            case .ideograph, .syllable: cursor = scanPairs(bytes, cursor, end, of: kind)
            case .separator, .mark, .accent, .ignorable, .apostrophe: cursor += size
            }
        }
    }

    /// The scalar at a position in valid UTF-8, and its number of bytes.
    @inline(__always)
    private static func decode(_ bytes: UnsafePointer<UInt8>) -> (UInt32, Int) {
        let first = UInt32(bytes[0])
        if first < 0x80 { return (first, 1) }
        if first < 0xE0 { return ((first & 0x1F) << 6 | UInt32(bytes[1] & 0x3F), 2) }
        if first < 0xF0 { return ((first & 0xF) << 12 | UInt32(bytes[1] & 0x3F) << 6 | UInt32(bytes[2] & 0x3F), 3) }
        return ((first & 0x7) << 18 | UInt32(bytes[1] & 0x3F) << 12 | UInt32(bytes[2] & 0x3F) << 6 | UInt32(bytes[3] & 0x3F), 4)
    }
}

// MARK: - Words

extension AnalysisState {
    /// What the last character of the word was.
    private enum Last { case lower, upper, digit, separator }

    /// What kind of character comes at a position: decides whether a dot, comma or apostrophe before it joins.
    private mutating func peek(_ bytes: UnsafePointer<UInt8>, _ cursor: Int, _ end: Int) -> Last {
        guard cursor < end else { return .separator }
        let byte = bytes[cursor]
        if byte < 0x80 {
            switch ascii[Int(byte)] {
            case Byte.lower: return .lower
            case Byte.upper: return .upper
            case Byte.digit: return .digit
            default: return .separator
            }
        }
        switch table[Self.decode(bytes + cursor).0].kind {
        case .letter: return .lower
        case .digit: return .digit
        default: return .separator
        }
    }

    /// Where a word ends that is left out at a glance: small ASCII letters, perhaps a capital before them, that begin like none of the `beginnings` and have no part
    /// in a form of several words. Nil for any other word.
    @inline(__always)
    private mutating func otherWord(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int? {
        guard let beginnings, keepsPairs, run.isEmpty, !isQuestion, start &+ 1 < end else { return nil }
        let second = bytes[start &+ 1]
        guard second < 0x80, ascii[Int(second)] == Byte.lower, bytes[start] >= 0x41, !beginnings.contains(bytes[start] | 0x20, second)
        else {
            return nil
        }
        var cursor = start &+ 2
        while cursor < end, bytes[cursor] < 0x80, ascii[Int(bytes[cursor])] == Byte.lower { cursor &+= 1 }
        guard cursor &- start <= Self.wordSizeMax else { return nil }
        if cursor < end {
            let byte = bytes[cursor]
            guard byte < 0x80, byte != 0x2D else { return nil }
            switch ascii[Int(byte)] {
            case Byte.separator, Byte.comma: break
            case Byte.dot: guard peek(bytes, cursor &+ 1, end) == .separator else { return nil }
            default: return nil
            }
        }
        position += 1
        return cursor
    }

    /// Reads one word from its first letter or digit on, and emits its terms. Returns where the next word may begin.
    private mutating func scanWord(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        wordCount = 0
        parts.removeAll(keepingCapacity: true)
        var part = Part(wordStart: 0, wordEnd: 0, sourceStart: start, sourceEnd: start)
        var last = Last.separator
        var isPlain = true
        var isUpper = true
        var hasDigit = false
        var groupCount = 0
        var hasDot = false
        var hasUnderscore = false
        var hasLetter = false
        /// Index in the word, and where the sign begins and ends in the text.
        var firstApostrophe: (index: Int, sourceStart: Int, sourceEnd: Int)?
        var lastApostrophe: (index: Int, sourceStart: Int, sourceEnd: Int)?
        /// Digits since the number began; a comma groups thousands only after one to three.
        var digits = 0
        var isGrouped = false
        var cursor = start
        scan: while cursor < end, wordCount < Self.wordSizeMax {
            let byte = bytes[cursor]
            if byte < 0x80 {
                switch ascii[Int(byte)] {
                case Byte.lower:
                    word[wordCount] = byte
                    last = .lower
                    hasLetter = true
                    isUpper = false
                case Byte.upper:
                    // A capital begins a part after a small letter, and when a small letter follows a run of capitals: HTTP|Server.
                    if last == .lower
                        || (last == .upper && cursor + 1 < end && bytes[cursor + 1] < 0x80 && ascii[Int(bytes[cursor + 1])] == Byte.lower)
                    {
                        close(&part, cursor, skipping: 0)
                        isPlain = false
                    }
                    word[wordCount] = byte | 0x20
                    last = .upper
                    hasLetter = true
                case Byte.digit:
                    if last != .digit {
                        digits = 0
                        isGrouped = false
                    }
                    digits += 1
                    word[wordCount] = byte
                    last = .digit
                    hasDigit = true
                case Byte.underscore:
                    guard peek(bytes, cursor + 1, end) != .separator else { break scan }
                    close(&part, cursor, skipping: 1)
                    word[wordCount] = byte
                    last = .separator
                    isPlain = false
                    hasUnderscore = true
                case Byte.dot:
                    let next = peek(bytes, cursor + 1, end)
                    guard last != .separator, next != .separator, (last == .digit) == (next == .digit) else { break scan }
                    close(&part, cursor, skipping: 1)
                    word[wordCount] = byte
                    last = .separator
                    isPlain = false
                    hasDot = true
                case Byte.comma:
                    guard last == .digit, isGrouped ? digits == 3 : digits <= 3, isThousands(bytes, cursor + 1, end) else { break scan }
                    // Only a number of its own is grouped: in "a1,234" the comma ends the word.
                    guard !hasLetter, isPlain else { break scan }
                    isGrouped = true
                    groupCount += 1
                    digits = 0
                    cursor += 1
                    continue
                case Byte.apostrophe:
                    guard last == .lower || last == .upper else { break scan }
                    let next = peek(bytes, cursor + 1, end)
                    guard next == .lower || next == .upper else { break scan }
                    lastApostrophe = (wordCount, cursor, cursor + 1)
                    firstApostrophe = firstApostrophe ?? lastApostrophe
                    word[wordCount] = byte
                    last = .separator
                default: break scan
                }
                wordCount &+= 1
                cursor &+= 1
                continue
            }
            let (scalar, size) = Self.decode(bytes + cursor)
            let entry = table[scalar]
            switch entry.kind {
            case .letter:
                append(entry)
                last = .lower
                hasLetter = true
                isUpper = false
            case .digit:
                if last != .digit {
                    digits = 0
                    isGrouped = false
                }
                digits += 1
                append(entry)
                last = .digit
                hasDigit = true
            case .mark: append(entry)
            case .accent: compose(entry)
            case .ignorable: break
            case .apostrophe:
                guard last == .lower || last == .upper else { break scan }
                let next = peek(bytes, cursor + size, end)
                guard next == .lower || next == .upper else { break scan }
                lastApostrophe = (wordCount, cursor, cursor + size)
                firstApostrophe = firstApostrophe ?? lastApostrophe
                append(entry)
                last = .separator
            case .ideograph, .syllable, .separator: break scan
            }
            cursor += size
        }
        if isPlain, hasLetter, wordCount == 1, let sign = languageSign(bytes, cursor, end) {
            for byte in sign {
                word[wordCount] = byte
                wordCount += 1
            }
            cursor += sign.count
            flushRun()
            emit(0, wordCount, start, cursor, role: .word, dropsStopWords: false)
            position += 1
            return cursor
        }
        var wordStart = 0
        var sourceStart = start
        var sourceEnd = cursor
        if let lastApostrophe, lastApostrophe.index == wordCount - 2, word[wordCount - 1] == 0x73 {
            wordCount = lastApostrophe.index
            sourceEnd = lastApostrophe.sourceStart
        }
        if let firstApostrophe, wordCount - firstApostrophe.index > 2, isElided(firstApostrophe.index) {
            wordStart = firstApostrophe.index + 1
            sourceStart = firstApostrophe.sourceEnd
        }
        let connects = hasDigit || !run.isEmpty || (cursor < end && bytes[cursor] != 0x20) || isQuestion
        if connects, !hasUnderscore {
            connect(wordStart, sourceStart, sourceEnd, hasDigit: hasDigit, hasLetter: hasLetter, bytes, cursor, end)
        } else {
            flushRun()
        }
        if isPlain {
            let count = tokens.count
            emit(wordStart, wordCount, sourceStart, sourceEnd, role: .word, dropsStopWords: true)
            if isUpper, wordCount > 1, tokens.count > count, tokens[count].role == .stop { emitCapitals(sourceStart, sourceEnd) }
            position += 1
            if hasDigit { emitForms(wordStart, sourceStart, sourceEnd, hasLetter: hasLetter, groupCount: groupCount) }
            emitPending()
            return cursor
        }
        defer {
            if hasDigit, !hasUnderscore { emitForms(wordStart, sourceStart, sourceEnd, hasLetter: hasLetter, groupCount: groupCount) }
            emitPending()
        }
        part.wordEnd = wordCount
        part.sourceEnd = sourceEnd
        parts.append(part)
        if wordStart > parts[0].wordStart, wordStart < parts[0].wordEnd {
            parts[0].wordStart = wordStart
            parts[0].sourceStart = sourceStart
        }
        emitCompound(wordStart, sourceStart, sourceEnd, hasDot: hasDot, hasUnderscore: hasUnderscore, hasLetter: hasLetter)
        return cursor
    }

    @inline(__always)
    private mutating func append(_ entry: CharacterTable.Entry) {
        var bytes = entry.word
        for _ in 0..<entry.count {
            word[wordCount] = UInt8(truncatingIfNeeded: bytes)
            bytes &>>= 8
            wordCount &+= 1
        }
    }

    /// Ends a part at the current place and begins the next, after a separator when there is one.
    private mutating func close(_ part: inout Part, _ cursor: Int, skipping: Int) {
        guard parts.count < Self.partsMax - 1 else { return }
        part.wordEnd = wordCount
        part.sourceEnd = cursor
        parts.append(part)
        part = Part(wordStart: wordCount + skipping, wordEnd: 0, sourceStart: cursor + skipping, sourceEnd: 0)
    }

    /// Puts an accent onto the last letter of the word: dropped where accents are folded, composed where they make another letter.
    private mutating func compose(_ accent: CharacterTable.Entry) {
        var letterStart = wordCount - 1
        while letterStart > 0, word[letterStart] & 0xC0 == 0x80 { letterStart -= 1 }
        guard letterStart >= 0 else { return }
        let letter = String(decoding: UnsafeBufferPointer(start: word + letterStart, count: wordCount - letterStart), as: UTF8.self)
        let sign = String(decoding: (0..<accent.count).map { UInt8(truncatingIfNeeded: accent.word &>> UInt64(8 * $0)) }, as: UTF8.self)
        let composed = (letter + sign).precomposedStringWithCanonicalMapping.unicodeScalars
        guard composed.count == 1, let scalar = composed.first else { return }
        wordCount = letterStart
        append(table[scalar.value])
    }

    /// Whether exactly three digits stand at a position.
    private func isThousands(_ bytes: UnsafePointer<UInt8>, _ cursor: Int, _ end: Int) -> Bool {
        guard cursor + 3 <= end else { return false }
        for offset in 0..<3 where bytes[cursor + offset] >= 0x80 || ascii[Int(bytes[cursor + offset])] != Byte.digit { return false }
        guard cursor + 3 < end else { return true }
        let next = bytes[cursor + 3]
        return next >= 0x80 || ![Byte.digit, Byte.lower, Byte.upper].contains(ascii[Int(next)])
    }

    private func isElided(_ count: Int) -> Bool {
        StopWords.elided.contains(String(decoding: UnsafeBufferPointer(start: word, count: count), as: UTF8.self))
    }

    /// The sign of "C++" and "C#": the one place where a sign is part of a name. Nothing may follow but the end of the word.
    private mutating func languageSign(_ bytes: UnsafePointer<UInt8>, _ cursor: Int, _ end: Int) -> [UInt8]? {
        let sign: [UInt8]
        if cursor < end, bytes[cursor] == 0x23 {
            sign = [0x23]
        } else if cursor + 1 < end, bytes[cursor] == 0x2B, bytes[cursor + 1] == 0x2B {
            sign = [0x2B, 0x2B]
        } else {
            return nil
        }
        return peek(bytes, cursor + sign.count, end) == .separator ? sign : nil
    }
}

// MARK: - Terms

extension AnalysisState {
    /// Emits the term of a stretch of the word, if it has one.
    private mutating func emit(
        _ wordStart: Int, _ wordEnd: Int, _ sourceStart: Int, _ sourceEnd: Int, role: AnalyzedToken.Role, dropsStopWords: Bool
    ) {
        guard wordEnd > wordStart else { return }
        if let beginnings {
            guard beginnings.contains(word[wordStart]) else { return }
            let (first, second) = (word[wordStart], wordEnd - wordStart > 1 ? word[wordStart + 1] : 0)
            if keepsPairs, first < 0x80, second < 0x80, ascii[Int(first)] == Byte.lower, ascii[Int(second)] == Byte.lower,
                !beginnings.contains(first, second)
            {
                return
            }
        }
        let offset = termBytes.count
        var isStopWord = false
        let count = normalizer.append(
            UnsafeBufferPointer(start: word + wordStart, count: wordEnd - wordStart), isStopWord: &isStopWord, to: &termBytes)
        guard count > 0 else { return }
        var role = role
        if isStopWord && dropsStopWords {
            guard role == .word else {
                termBytes.removeLast(count)
                return
            }
            role = .stop
        }
        tokens.append(
            AnalyzedToken(
                termOffset: UInt32(truncatingIfNeeded: offset), termCount: UInt32(truncatingIfNeeded: count),
                sourceStart: UInt32(truncatingIfNeeded: sourceStart), sourceEnd: UInt32(truncatingIfNeeded: sourceEnd), position: position,
                role: role))
    }

    /// Emits a word that has inner boundaries: dots, underscores, or capitals.
    private mutating func emitCompound(
        _ wordStart: Int, _ sourceStart: Int, _ sourceEnd: Int, hasDot: Bool, hasUnderscore: Bool, hasLetter: Bool
    ) {
        if hasDot && !hasUnderscore && hasLetter && parts.allSatisfy({ isOneLetter($0) }) {
            // "U.S.A.": never a stop word, though "I.T." would spell one.
            for (index, part) in parts.enumerated() { word[index] = word[part.wordStart] }
            emit(0, parts.count, sourceStart, sourceEnd, role: .word, dropsStopWords: false)
            position += 1
            return
        }
        if !hasLetter && !hasUnderscore {
            // A decimal number, version or address; of a dotted date the year can be found.
            emit(wordStart, wordCount, sourceStart, sourceEnd, role: parts.count > 2 ? .whole : .word, dropsStopWords: false)
            if parts.count > 2 {
                for part in parts where part.wordEnd - part.wordStart >= 4 {
                    emit(part.wordStart, part.wordEnd, part.sourceStart, part.sourceEnd, role: .part, dropsStopWords: false)
                }
            }
            position += 1
            return
        }
        if !hasDot && !hasUnderscore && parts.contains(where: { $0.wordEnd - $0.wordStart < 2 }) {
            // "mRNA", "PhD", "iPhone": a word with capitals, not several words.
            emit(wordStart, wordCount, sourceStart, sourceEnd, role: .word, dropsStopWords: true)
            position += 1
            return
        }
        emit(wordStart, wordCount, sourceStart, sourceEnd, role: .whole, dropsStopWords: false)
        for part in parts {
            if part.wordEnd - part.wordStart >= 2 {
                emit(part.wordStart, part.wordEnd, part.sourceStart, part.sourceEnd, role: .part, dropsStopWords: true)
            }
            position += 1
        }
    }

    private func isOneLetter(_ part: Part) -> Bool {
        part.wordEnd - part.wordStart == 1 && word[part.wordStart] >= 0x61
    }

    /// Emits a run of characters of a script without spaces as overlapping pairs, one alone as itself. Returns where the run ends.
    private mutating func scanPairs(
        _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int, of kind: CharacterTable.Class
    ) -> Int {
        flushRun()
        wordCount = 0
        var cursor = start
        /// The unit before: it lies at the start of `word`.
        var previousCount = 0
        var previousStart = start
        var unitCount = 0
        while cursor < end {
            let unitStart = cursor
            let (scalar, size) = Self.decode(bytes + cursor)
            let entry = table[scalar]
            guard entry.kind == kind else {
                if entry.kind == .ignorable {
                    cursor += size
                    continue
                }
                break
            }
            cursor += size
            append(entry)
            if (0x1100...0x1112).contains(scalar) { cursor = composeHangul(scalar, bytes, cursor, end) }
            while cursor < end, wordCount < 64 {
                let (scalar, size) = Self.decode(bytes + cursor)
                let mark = table[scalar]
                if mark.kind == .accent { compose(mark) } else if mark.kind == .mark { append(mark) } else { break }
                cursor += size
            }
            unitCount += 1
            if unitCount > 1 {
                emitPair(wordCount, previousStart, cursor)
                word.update(from: word + previousCount, count: wordCount - previousCount)
                wordCount -= previousCount
            }
            previousCount = wordCount
            previousStart = unitStart
        }
        if unitCount == 1 { emitPair(wordCount, start, cursor) }
        if unitCount > 1, !isQuestion {
            // Every character is the first of a pair but this one: a question of one character looks for pairs that begin with it.
            emitExtra(UnsafeBufferPointer(start: word, count: wordCount), previousStart, cursor)
        }
        position += 1
        return cursor
    }

    private mutating func emitPair(_ count: Int, _ sourceStart: Int, _ sourceEnd: Int) {
        guard count > 0 else { return }
        tokens.append(
            AnalyzedToken(
                termOffset: UInt32(truncatingIfNeeded: termBytes.count), termCount: UInt32(truncatingIfNeeded: count),
                sourceStart: UInt32(truncatingIfNeeded: sourceStart), sourceEnd: UInt32(truncatingIfNeeded: sourceEnd), position: position,
                role: .word))
        termBytes.append(contentsOf: UnsafeBufferPointer(start: word, count: count))
        position += 1
    }

    /// Joins the letters of a decomposed Hangul syllable, as file names of some systems have them (Unicode 15, §3.12).
    private mutating func composeHangul(_ leading: UInt32, _ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
        guard start < end else { return start }
        let (vowel, vowelSize) = Self.decode(bytes + start)
        guard (0x1161...0x1175).contains(vowel) else { return start }
        var cursor = start + vowelSize
        var syllable = 0xAC00 + ((leading - 0x1100) * 21 + (vowel - 0x1161)) * 28
        if cursor < end {
            let (trailing, trailingSize) = Self.decode(bytes + cursor)
            if (0x11A8...0x11C2).contains(trailing) {
                syllable += trailing - 0x11A7
                cursor += trailingSize
            }
        }
        // The leading letter was appended just now: three bytes.
        wordCount -= 3
        append(table[syllable])
        return cursor
    }
}
