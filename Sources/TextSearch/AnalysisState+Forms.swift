/// Extra forms: what people write in several ways gets terms in which the ways meet.
///
/// ```
///  text                     found by its words                  and by
///  1.300.000   1 300 000    1.300.000 | 1 300 000               1300000
///  3,5 %                    3 5                                 3.5
///  555-0142  +47 555 01 42  555 0142 | 47 555 01 42             5550142 (475550142)
///  X-200   MS17-010         x 200 | ms17 010                    x200 | ms17010
///  12 V    5 µm             12 v | 5 μm                         12v | 5um
///  4.5bar                   4.5bar                              4.5
///  v1.10.2  192.168.10.24   v1.10.2 | 192.168.10.24             1.10.2 1.10 | 192.168 192.168.10
///  4711.05-3                4711.05 3                           4711 4711053
///  M5799DWF  RTX4090        m5799dwf | rtx4090                  m5799 5799 | 4090
///  0x80070005               0x80070005                          80070005
///  IT support               (it) support                        IT
/// ```
///
/// A number whose one separator may group digits or begin a fraction (1.250, 1,250) has both forms. Extra forms are few: they arise only where there are digits,
/// and a row of many numbers, which is a table's, is not joined.
///
/// *Runs* are words that one sign parts. They are collected while words are read, and joined when the next word does not go on with them.
struct FormRun {
    struct Item {
        /// Where its folded bytes lie in `bytes`.
        var start: Int
        var end: Int
        var sourceStart: Int
        var sourceEnd: Int
        /// Digits and dots only.
        var isNumber: Bool
        var hasDigit: Bool
        /// Whether a comma stands before it, or did before it was joined with what stood before that.
        var followsComma = false
        var isFraction = false
    }

    enum Gap { case far, space, hyphen, slash, apostrophe, comma }

    var items: [Item] = []
    var bytes: [UInt8] = []
    /// Between each item and the one before; the first one's is meaningless.
    var gaps: [Gap] = []
    /// Where the last word ended in the text.
    var cursor = 0
    /// Forms that wait until the tokens of their last word are out.
    var pending: [(bytes: [UInt8], sourceStart: Int, sourceEnd: Int)] = []

    static let itemsMax = 6
    static let sizeMax = 40

    var isEmpty: Bool { items.isEmpty }

    mutating func removeAll() {
        items.removeAll(keepingCapacity: true)
        gaps.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// What stands between the end of the last word and the beginning of the next: one sign, or `far`.
    static func gap(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Gap {
        switch end - start {
        case 1:
            switch bytes[start] {
            case 0x20: .space
            case 0x2D: .hyphen
            case 0x2F: .slash
            case 0x27: .apostrophe
            case 0x2C: .comma
            default: .far
            }
        case 2: bytes[start] == 0xC2 && bytes[start + 1] == 0xA0 ? .space : .far
        case 3:
            switch (bytes[start], bytes[start + 1], bytes[start + 2]) {
            case (0xE2, 0x80, 0x89), (0xE2, 0x80, 0xAF), (0xE2, 0x80, 0x87): .space
            case (0xE2, 0x80, 0x90), (0xE2, 0x80, 0x91): .hyphen
            case (0xE2, 0x80, 0x99): .apostrophe
            default: .far
            }
        default: .far
        }
    }
}

extension AnalysisState {
    /// Takes the word that was read into the run, or ends the run before it.
    mutating func connect(
        _ wordStart: Int, _ sourceStart: Int, _ sourceEnd: Int, hasDigit: Bool, hasLetter: Bool, _ bytes: UnsafePointer<UInt8>,
        _ cursor: Int, _ end: Int
    ) {
        let size = wordCount - wordStart
        guard size > 0, size <= FormRun.sizeMax else { return flushRun() }
        let isNumber = hasDigit && !hasLetter && (wordStart..<wordCount).allSatisfy { Self.isDigit(word[$0]) || word[$0] == 0x2E }
        let gap = run.items.isEmpty ? .far : FormRun.gap(bytes, run.cursor, sourceStart)
        defer { run.cursor = cursor }
        if let last = run.items.last, gap != .far {
            if last.isNumber, !hasDigit, gap == .space || gap == .hyphen { joinUnit(last, wordStart, sourceEnd) }
            if last.isNumber, isNumber, gap == .comma, joinFraction(last, wordStart, sourceEnd, bytes, cursor, end) { return }
            if isQuestion, gap == .space, last.hasDigit != hasDigit, last.end - last.start + size <= FormRun.sizeMax {
                pend(run.bytes[last.start..<last.end] + copy(wordStart), last.sourceStart, sourceEnd)
            }
            let areNumbers = isNumber && run.items.allSatisfy(\.isNumber)
            let goesOn =
                areNumbers
                ? gap != .comma
                : gap == .hyphen && (hasDigit || run.items.contains { $0.hasDigit }) && run.gaps.dropFirst().allSatisfy { $0 == .hyphen }
            if goesOn { return append(wordStart, sourceStart, sourceEnd, gap, isNumber: isNumber, hasDigit: hasDigit) }
        }
        let followsComma = gap == .comma && run.items.last?.isNumber ?? false
        flushRun()
        // A word without digits begins a run only where a hyphen follows, or in a question.
        if hasDigit || isQuestion || [1, 3].contains(where: { cursor + $0 <= end && FormRun.gap(bytes, cursor, cursor + $0) == .hyphen }) {
            append(wordStart, sourceStart, sourceEnd, .far, isNumber: isNumber, hasDigit: hasDigit)
            run.items[0].followsComma = followsComma
        }
    }

    private mutating func append(
        _ wordStart: Int, _ sourceStart: Int, _ sourceEnd: Int, _ gap: FormRun.Gap, isNumber: Bool, hasDigit: Bool
    ) {
        let start = run.bytes.count
        run.bytes.append(contentsOf: UnsafeBufferPointer(start: word + wordStart, count: wordCount - wordStart))
        run.items.append(
            FormRun.Item(
                start: start, end: run.bytes.count, sourceStart: sourceStart, sourceEnd: sourceEnd, isNumber: isNumber, hasDigit: hasDigit))
        run.gaps.append(gap)
    }

    private func copy(_ wordStart: Int) -> [UInt8] { Array(UnsafeBufferPointer(start: word + wordStart, count: wordCount - wordStart)) }

    private mutating func pend(_ bytes: some Sequence<UInt8>, _ sourceStart: Int, _ sourceEnd: Int) {
        run.pending.append((Array(bytes), sourceStart, sourceEnd))
    }

    /// "12 V" is also *12v*.
    private mutating func joinUnit(_ number: FormRun.Item, _ wordStart: Int, _ sourceEnd: Int) {
        guard let unit = Units.plain(UnsafeBufferPointer(start: word + wordStart, count: wordCount - wordStart)) else { return }
        pend(run.bytes[number.start..<number.end] + unit, number.sourceStart, sourceEnd)
    }

    /// "3,5" is also *3.5*, when it is no list of numbers.
    private mutating func joinFraction(
        _ whole: FormRun.Item, _ wordStart: Int, _ sourceEnd: Int, _ bytes: UnsafePointer<UInt8>, _ cursor: Int, _ end: Int
    ) -> Bool {
        let goesOnAsList = cursor + 1 < end && bytes[cursor] == 0x2C && Self.isDigit(bytes[cursor + 1])
        guard run.items.count == 1, !whole.followsComma, !goesOnAsList, (wordStart..<wordCount).allSatisfy({ Self.isDigit(word[$0]) })
        else {
            return false
        }
        let digits = run.bytes[whole.start..<whole.end]
        guard !digits.contains(0x2E) || Self.isGrouped(Array(digits)) else { return false }
        let joined = digits.filter { $0 != 0x2E } + [0x2E] + copy(wordStart)
        pend(joined, whole.sourceStart, sourceEnd)
        run.bytes.removeSubrange(whole.start...)
        run.bytes.append(contentsOf: joined)
        run.items[0].end = run.bytes.count
        run.items[0].sourceEnd = sourceEnd
        run.items[0].followsComma = true
        run.items[0].isFraction = true
        return true
    }

    /// Ends the run: emits what its words are together.
    mutating func flushRun() {
        guard !run.isEmpty else { return }
        defer { run.removeAll() }
        let items = run.items
        guard items.count > 1, items.count <= FormRun.itemsMax, run.bytes.count <= FormRun.sizeMax else { return }
        let end = items[items.count - 1].sourceEnd
        guard items.allSatisfy(\.isNumber) else {
            for count in 2...items.count where items[..<count].contains(where: \.hasDigit) {
                emitExtra(run.bytes[..<items[count - 1].end], items[0].sourceStart, items[count - 1].sourceEnd)
            }
            return
        }
        guard !items.contains(where: \.isFraction) else { return }
        let isGrouped =
            items[0].end <= 3 && items.dropFirst().allSatisfy { run.bytes[$0.start..<$0.end].prefix { $0 != 0x2E }.count == 3 }
            && Set(run.gaps.dropFirst()).count == 1
            && run.gaps[1] != .hyphen && run.gaps[1] != .slash
        for first in 0..<(items.count - 1) where first == 0 || !isGrouped {
            // Of grouped digits the last may have a fraction.
            let digits = run.bytes[items[first].start...].filter { isGrouped || $0 != 0x2E }
            guard isGrouped || digits.count >= (first == 0 ? 5 : 6) else { continue }
            emitExtra(digits, items[first].sourceStart, end)
            let significant = digits.drop { $0 == 0x30 }
            if significant.count < digits.count, significant.count >= 5 { emitExtra(significant, items[first].sourceStart, end) }
        }
    }

    /// Emits the forms that the last word completed.
    @inline(__always)
    mutating func emitPending() {
        guard !run.pending.isEmpty else { return }
        for form in run.pending { emitExtra(form.bytes, form.sourceStart, form.sourceEnd) }
        run.pending.removeAll(keepingCapacity: true)
    }

    /// Emits the other forms of one word with digits.
    mutating func emitForms(_ wordStart: Int, _ sourceStart: Int, _ sourceEnd: Int, hasLetter: Bool, groupCount: Int) {
        let bytes = copy(wordStart)
        guard bytes.count > 2, bytes.count <= FormRun.sizeMax else { return }
        func emit(_ form: some Collection<UInt8>) { emitExtra(form, sourceStart, sourceEnd) }
        guard hasLetter else {
            if groupCount == 1, bytes.count <= 6 { emit(bytes.dropLast(3) + [0x2E] + bytes.suffix(3)) }
            return Self.emitNumberForms(bytes, emit)
        }
        let letters = bytes.prefix { !Self.isDigit($0) }
        let rest = bytes[letters.endIndex...]
        if letters.isEmpty {
            let number = bytes.prefix { Self.isDigit($0) || $0 == 0x2E }
            let tail = bytes[number.endIndex...]
            if bytes.count >= 6, bytes[0] == 0x30, bytes[1] == 0x78, bytes.dropFirst(2).allSatisfy({ Self.isHexDigit($0) }) {
                emit(bytes[2...])
            } else if let unit = tail.withUnsafeBufferPointer({ Units.plain($0) }) {
                emit(number)
                if !unit.elementsEqual(tail) { emit(number + unit) }
            } else if number.count >= 4, !number.contains(0x2E) {
                emit(number)
            }
            return
        }
        let number = rest.prefix { Self.isDigit($0) || $0 == 0x2E }
        if number.endIndex == rest.endIndex {
            // v1.10.2, ph7.4, rtx4090
            guard number.contains(0x2E) || number.count >= 4 else { return }
            emit(number)
            if number.contains(0x2E) { Self.emitNumberForms(Array(number), emit) }
        } else if number.count >= 2, !number.contains(0x2E), bytes[number.endIndex...].allSatisfy({ $0 >= 0x61 || Self.isDigit($0) }) {
            // m5799dwf
            emit(letters + number)
            if number.count >= 4 { emit(number) }
        }
    }

    private static func emitNumberForms(_ bytes: [UInt8], _ emit: (ArraySlice<UInt8>) -> Void) {
        let parts = bytes.split(separator: 0x2E)
        guard parts.count > 1 else { return }
        if isGrouped(bytes) { return emit(ArraySlice(parts.joined())) }
        guard parts.count > 2 else {
            if parts[0].count >= 4 { emit(parts[0]) }
            return
        }
        for count in 2..<min(parts.count, 6) { emit(bytes[..<parts[count - 1].endIndex]) }
        if bytes.count - parts.count + 1 >= 7 { emit(ArraySlice(parts.joined())) }
    }

    /// An abbreviation that reads like a stop word: "IT support".
    mutating func emitCapitals(_ sourceStart: Int, _ sourceEnd: Int) {
        emitExtra((0..<wordCount).map { word[$0] & 0xDF }, sourceStart, sourceEnd, back: 0)
    }

    /// Emits bytes as they are.
    mutating func emitExtra(_ bytes: some Collection<UInt8>, _ sourceStart: Int, _ sourceEnd: Int, back: UInt32 = 1) {
        guard !bytes.isEmpty else { return }
        tokens.append(
            AnalyzedToken(
                termOffset: UInt32(truncatingIfNeeded: termBytes.count), termCount: UInt32(truncatingIfNeeded: bytes.count),
                sourceStart: UInt32(truncatingIfNeeded: sourceStart), sourceEnd: UInt32(truncatingIfNeeded: sourceEnd),
                position: position >= back ? position - back : 0, role: .extra))
        termBytes.append(contentsOf: bytes)
    }

    @inline(__always)
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }

    private static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (byte >= 0x61 && byte <= 0x66) }

    /// Whether dots part groups of three digits: 1.300.000, and not 0.125.
    private static func isGrouped(_ number: [UInt8]) -> Bool {
        let parts = number.split(separator: 0x2E, omittingEmptySubsequences: false)
        return parts.count > 1 && (1...3).contains(parts[0].count) && parts[0].first != 0x30
            && parts.dropFirst().allSatisfy { $0.count == 3 }
    }
}

/// Units that follow a number, in lower case.
enum Units {
    private static let names: Set<String> = Set(
        """
        v mv kv a ma w kw mw gw wh kwh mwh gwh hz khz mhz ghz bar mbar pa hpa kpa mpa psi n kn nm mm cm dm m km um μm g mg kg μg ug t l ml cl dl hl s ms μs \
        min h d k c f ω kω mω ohm kohm db dba kb mb gb tb pb kib mib gib tib bit kbit mbit gbit kbps mbps gbps rpm ha cd lm lx mol mmol μmol nmol ppm ppb j kj \
        mj cal kcal ev kev mev gev va kva mva mah ah ft lb lbs oz px pt dpi fps mol ml μl ul μmol inch zoll kn knm
        """.split(whereSeparator: { $0.isWhitespace }).map(String.init))

    /// The unit as extra forms have it, with *u* for *μ*; nil when the word is none.
    static func plain(_ word: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard (1...5).contains(word.count), names.contains(String(decoding: word, as: UTF8.self)) else { return nil }
        // μ is CE BC.
        return word.count > 2 && word[0] == 0xCE && word[1] == 0xBC ? [0x75] + word[2...] : Array(word)
    }
}
