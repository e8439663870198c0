import Storage

/// Inverts rows: collects (term, row, tf) in row order, then sorts by term.
///
/// ```
///  rows in order of id --analyze--> log: (term, ordinal, tf), (term, ordinal, tf) ...
///      each term remembers its last entry, so that a second occurrence in the same row only raises tf
///  finish: count entries of each term -> scatter them to their places (stable, so ordinals stay ascending) -> encode in order of bytes
/// ```
struct TextSegmentBuilder {
    private let unit: Int
    private let titleUnits: Int
    private var rows: [Int64] = []
    private var lengths: [UInt32] = []
    private var languages: [UInt8] = []

    /// Open addressing: 0 is free, else the term's number plus one.
    private var slots: [UInt32]
    private var hashes: [UInt64] = []
    private var termStarts: [UInt32] = [0]
    private var termBytes: [UInt8] = []
    /// The term's last entry in the log.
    private var lastEntries: [UInt32] = []

    private struct Entry {
        var term: UInt32
        var ordinal: UInt32
        var tf: UInt32
    }
    private var log: [Entry] = []

    /// - Parameters:
    ///   - unit: Units that one occurrence in the body counts.
    ///   - titleUnits: Units that one in the title counts.
    init(unit: Int, titleUnits: Int) {
        self.unit = unit
        self.titleUnits = titleUnits
        slots = [UInt32](repeating: 0, count: 1 << 10)
    }

    /// Size of what has been collected; the caller finishes a builder before it grows too large.
    var postingCount: Int { log.count }

    /// Adds a row. Ids ascend from call to call.
    mutating func append(_ row: TextRow, with worker: Analyzer.Worker) {
        precondition(rows.last.map { $0 < row.row.rawValue } ?? true, "row \(row.row.rawValue) follows row \(rows.last ?? 0)")
        rows.append(row.row.rawValue)
        // Decided by the row alone, so that a row has the same terms however it came in.
        var language = LanguageDetector.detect(row.body)
        if language == .unknown { language = LanguageDetector.detect(row.title) }
        languages.append(language.rawValue)
        var length = 0
        if titleUnits > 0 { worker.analyze(row.title, in: language) { length += append($0, units: titleUnits) } }
        worker.analyze(row.body, in: language) { length += append($0, units: unit) }
        lengths.append(UInt32(clamping: length))
    }

    /// Counts the terms of one field for the current row; returns what the field adds to its length.
    private mutating func append(_ text: AnalyzedText, units: Int) -> Int {
        let ordinal = UInt32(rows.count - 1)
        var length = 0
        for token in text.tokens {
            if token.role == .word || token.role == .whole { length += units }
            let term = number(of: text.termBytes.baseAddress! + Int(token.termOffset), Int(token.termCount))
            let last = Int(lastEntries[term])
            if last != Int(UInt32.max), log[last].ordinal == ordinal {
                log[last].tf += UInt32(units)
            } else {
                lastEntries[term] = UInt32(log.count)
                log.append(Entry(term: UInt32(term), ordinal: ordinal, tf: UInt32(units)))
            }
        }
        return length
    }

    /// The number of a term; a new one gets the next.
    private mutating func number(of term: UnsafePointer<UInt8>, _ count: Int) -> Int {
        let code = hash(term, count)
        var slot = Int(truncatingIfNeeded: code) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == code {
                let start = Int(termStarts[number])
                if Int(termStarts[number + 1]) - start == count {
                    let isSame = termBytes.withUnsafeBufferPointer { bytes in
                        TextSegment.compare(bytes.baseAddress! + start, count, term, count) == 0
                    }
                    if isSame { return number }
                }
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        let number = hashes.count
        slots[slot] = UInt32(number + 1)
        hashes.append(code)
        termBytes.append(contentsOf: UnsafeBufferPointer(start: term, count: count))
        termStarts.append(UInt32(termBytes.count))
        lastEntries.append(.max)
        if hashes.count * 2 > slots.count { grow() }
        return number
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        for (number, code) in hashes.enumerated() {
            var slot = Int(truncatingIfNeeded: code) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number + 1)
        }
    }

    /// Sorts and encodes what was collected.
    consuming func finish() -> TextSegment {
        let termCount = hashes.count
        var starts = [Int](repeating: 0, count: termCount + 1)
        for entry in log { starts[Int(entry.term) + 1] += 1 }
        for term in 0..<termCount { starts[term + 1] += starts[term] }
        var ordinals = [UInt32](repeating: 0, count: log.count)
        var tfs = [UInt32](repeating: 0, count: log.count)
        var next = starts
        for entry in log {
            let place = next[Int(entry.term)]
            ordinals[place] = entry.ordinal
            tfs[place] = entry.tf
            next[Int(entry.term)] = place + 1
        }
        var encoder = TextSegmentEncoder(rows: rows, lengths: lengths, languages: languages, unit: unit)
        termBytes.withUnsafeBufferPointer { bytes in
            for term in Self.sorted(bytes, starts: termStarts) {
                let start = starts[term]
                ordinals.withUnsafeBufferPointer { ordinals in
                    tfs.withUnsafeBufferPointer { tfs in
                        encoder.append(
                            term: UnsafeBufferPointer(rebasing: bytes[Int(termStarts[term])..<Int(termStarts[term + 1])]),
                            ordinals: ordinals.baseAddress! + start, tfs: tfs.baseAddress! + start, count: starts[term + 1] - start)
                    }
                }
            }
        }
        return encoder.finish()
    }

    /// Term numbers in order of their bytes. The first eight bytes decide most comparisons, so they are compared as one number.
    private static func sorted(_ bytes: UnsafeBufferPointer<UInt8>, starts: [UInt32]) -> [Int] {
        struct Key {
            var head: UInt64
            var term: UInt32
        }
        var keys: [Key] = []
        keys.reserveCapacity(starts.count - 1)
        for term in 0..<(starts.count - 1) {
            var head: UInt64 = 0
            let start = Int(starts[term])
            let end = Int(starts[term + 1])
            for offset in 0..<8 { head = head << 8 | (start + offset < end ? UInt64(bytes[start + offset]) : 0) }
            keys.append(Key(head: head, term: UInt32(term)))
        }
        keys.sort { left, right in
            if left.head != right.head { return left.head < right.head }
            let (leftStart, leftEnd) = (Int(starts[Int(left.term)]), Int(starts[Int(left.term) + 1]))
            let (rightStart, rightEnd) = (Int(starts[Int(right.term)]), Int(starts[Int(right.term) + 1]))
            return TextSegment.compare(
                bytes.baseAddress! + leftStart, leftEnd - leftStart, bytes.baseAddress! + rightStart, rightEnd - rightStart) < 0
        }
        return keys.map { Int($0.term) }
    }
}
