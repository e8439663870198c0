import Foundation

/// Reads CSV and its kin (RFC 4180, with the liberties people take): any of four delimiters, quotes, several lines in a cell.
///
/// Lines above the table (a title, a date of export) are text; the first row that names the columns is the header of all that
/// follow. A wide row is told with the names of its columns, because nobody counts to the twentieth cell:
///
///     few columns     T-5250 | open | Cy | 750
///     many columns    id: T-5250 | state: open | owner: Cy | ...
enum DelimitedTextParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        let isTabbed = input.fileExtension == "tsv" || input.fileExtension == "tab"
        let bytes = Array(decoded.text.utf8)
        guard let delimiter = delimiter(bytes, preferred: isTabbed ? 0x09 : 0x2C) else {
            return try PlainTextParser.parse(decoded, context: context)
        }
        var builder = context.builder
        var reader = RecordReader(bytes, delimiter: delimiter)
        // What decides about title and header stands at the top; the rest is read row by row.
        var first: [[String]] = []
        var firstBytes = 0
        while first.count < 60, firstBytes < 4 << 20, let record = reader.next() {
            firstBytes += record.reduce(0) { $0 + $1.utf8.count }
            first.append(record)
        }
        // Excel's own hint about the delimiter.
        if let hint = first.first, hint.count <= 2, hint[0].lowercased().hasPrefix("sep=") { first.removeFirst() }
        let (titleCount, hasHeader) = layout(first)
        var count = 0
        for record in first[..<titleCount] {
            count += 1
            try builder.paragraph(record.filter { !$0.isBlank }.joined(separator: " "))
        }
        builder.beginTable()
        var names: [String]?
        if hasHeader {
            let header = first[titleCount]
            try builder.tableRow(header, isHeader: true)
            count += 1
            if isWide(header) { names = header.map { HTMLParser.collapse($0) } }
        }
        func add(_ record: [String]) throws(Refusal) {
            count += 1
            guard let names else { return try builder.tableRow(record) }
            var cells: [String] = []
            for (index, cell) in record.enumerated() where !cell.isBlank {
                cells.append(index < names.count && !names[index].isEmpty ? names[index] + ": " + cell : cell)
            }
            try builder.row(cells, header: nil)
        }
        for record in first[(titleCount + (hasHeader ? 1 : 0))...] { try add(record) }
        while let record = reader.next() { try add(record) }
        builder.endTable()
        var properties = ["rows": String(count)]
        if decoded.encoding != "UTF-8" { properties["encoding"] = decoded.encoding }
        return builder.finish(
            title: nil, mimeType: delimiter == 0x09 ? "text/tab-separated-values" : "text/csv", properties: properties)
    }

    /// The delimiter with which the first records agree best about the number of cells; nil when none gives two columns.
    static func delimiter(_ bytes: [UInt8], preferred: UInt8) -> UInt8? {
        let sample = Array(bytes.prefix(20_000))
        let isWhole = sample.count == bytes.count
        var best: (delimiter: UInt8, score: Double)?
        for candidate in [preferred, 0x2C, 0x3B, 0x09, 0x7C] {
            var reader = RecordReader(sample, delimiter: candidate)
            var records: [[String]] = []
            while records.count < 50, let record = reader.next() { records.append(record) }
            // A record that the sample cuts is not judged.
            if !isWhole, records.count > 1, reader.isAtEnd { records.removeLast() }
            records = records.filter { $0.count > 1 || !$0[0].isBlank }
            guard !records.isEmpty else { continue }
            var counts: [Int: Int] = [:]
            for record in records { counts[record.count, default: 0] += 1 }
            guard let (width, votes) = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) }), width > 1 || isTitled(counts, records)
            else { continue }
            let shown =
                width > 1
                ? (width, votes) : counts.filter { $0.key > 1 }.max { ($0.value, $0.key) < ($1.value, $1.key) }.map { ($0.key, $0.value) }!
            let score = Double(shown.1) / Double(records.count) + min(0.2, Double(shown.0) * 0.02)
            if best == nil || score > best!.score + 1e-9 { best = (candidate, score) }
        }
        guard let best, best.score > 0.35 else { return nil }
        return best.delimiter
    }

    /// A short table under several lines of title.
    private static func isTitled(_ counts: [Int: Int], _ records: [[String]]) -> Bool {
        guard let last = records.last, last.count > 1, records.count <= 20 else { return false }
        return counts[last.count, default: 0] >= 2 && records.suffix(counts[last.count]!).allSatisfy { $0.count == last.count }
    }

    // MARK: - Header

    /// How many records stand above the table, and whether its first row names the columns.
    static func layout(_ records: [[String]]) -> (titleCount: Int, hasHeader: Bool) {
        func filled(_ record: [String]) -> Int { record.reduce(0) { $0 + ($1.isBlank ? 0 : 1) } }
        var counts: [Int: Int] = [:]
        for record in records { counts[filled(record), default: 0] += 1 }
        // Of equally frequent widths the larger: a title line and one row are a table of one row.
        guard let width = counts.filter({ $0.key > 1 }).max(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key else { return (0, false) }
        var titleCount = 0
        while titleCount < min(12, records.count - 1), filled(records[titleCount]) * 3 < width * 2 || filled(records[titleCount]) < 2 {
            titleCount += 1
        }
        // Rows that are short throughout are no titles.
        guard filled(records[titleCount]) >= 2 else { return (0, false) }
        let rows = Array(records[(titleCount + 1)...])
        return (titleCount, isHeader(records[titleCount], over: rows))
    }

    /// Whether a row names the columns of the rows below: words that differ, or words with years, dates, months or counted steps.
    static func isHeader(_ row: [String], over rows: [[String]]) -> Bool {
        let filled = row.filter { !$0.isBlank }.map(\.trimmed)
        guard !rows.isEmpty, filled.count >= 2, filled.count * 3 >= row.count * 2 || filled.count * 3 >= (rows.map(\.count).max() ?? 0) * 2,
            filled.allSatisfy({ $0.utf8.count <= 200 })
        else { return false }
        let numeric = filled.filter { SheetWriter.isNumeric($0) }
        if numeric.isEmpty, Set(filled).count == filled.count { return true }
        return headerIsOfAnotherKind(row, over: rows)
    }

    /// Whether a row differs in kind from those below in a way that only names do: words over numbers, years over amounts.
    static func headerIsOfAnotherKind(_ row: [String], over rows: [[String]]) -> Bool {
        let sample = rows.prefix(60)
        guard !sample.isEmpty else { return false }
        var wordsOverNumbers = 0
        var labels: [(text: String, below: [String])] = []
        for (column, cell) in row.enumerated() where !cell.isBlank {
            let below = sample.compactMap { column < $0.count && !$0[column].isBlank ? $0[column].trimmed : nil }
            let text = cell.trimmed
            if SheetWriter.isNumeric(text) {
                labels.append((text, below))
            } else if !below.isEmpty, below.allSatisfy({ SheetWriter.isNumeric($0) }) {
                wordsOverNumbers += 1
            }
        }
        guard !labels.isEmpty else { return wordsOverNumbers > 0 }
        guard Set(labels.map(\.text)).count == labels.count else { return false }
        // The first column of a table with such a header is named by a word or not at all, or is itself one of the steps.
        let texts = labels.map(\.text)
        let isSequence = isSteps(texts, atLeast: 3)
        let isTime = texts.allSatisfy { isYear($0) || isDate($0) }
        guard isSequence || isTime else { return false }
        // Below it, the same kind of values would make it a row like others.
        func isLikeHeader(_ text: String) -> Bool { isTime ? (texts.allSatisfy(isYear) ? isYear(text) : isDate(text)) : false }
        let below = labels.flatMap(\.below)
        if isTime, below.isEmpty { return true }
        let alike = below.count(where: isLikeHeader)
        if isTime {
            return alike * 2 < below.count || (isSteps(texts, atLeast: 2) && alike < below.count && wordsOverNumbers + 1 < row.count)
        }
        return row.count > labels.count && !sample.contains { isSteps($0.filter { SheetWriter.isNumeric($0) }, atLeast: 3) }
    }

    static func isYear(_ text: String) -> Bool {
        let bytes = Array(text.trimmed.utf8)
        guard bytes.count == 4, bytes.allSatisfy({ (0x30...0x39).contains($0) }), let year = Int(text.trimmed) else { return false }
        return (1800...2150).contains(year)
    }

    /// A date in digits, or a month and a year: 2026-02-01, 1.2.2026, 02/2026, 2023/24, 2026-02.
    static func isDate(_ text: String) -> Bool {
        let text = text.trimmed
        guard (5...10).contains(text.utf8.count) else { return false }
        let parts = text.split(whereSeparator: { $0 == "-" || $0 == "." || $0 == "/" }).map(String.init)
        guard (2...3).contains(parts.count), parts.allSatisfy({ part in part.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
            return false
        }
        let separators = text.filter { !$0.isNumber }
        guard Set(separators).count == 1 else { return false }
        if parts.count == 2, separators.first == "." { return false }
        let numbers = parts.compactMap { Int($0) }
        let years = parts.filter { isYear($0) }
        if years.count == 1 { return zip(parts, numbers).allSatisfy { isYear($0) || (0...99).contains($1) && $0.utf8.count <= 2 } }
        return parts.count == 3 && parts.allSatisfy { $0.utf8.count <= 2 } && numbers.contains { (1...12).contains($0) }
            && numbers.allSatisfy { $0 <= 99 }
    }

    /// Whole numbers at equal steps: 1, 2, 3 or 2021, 2022.
    private static func isSteps(_ texts: [String], atLeast count: Int) -> Bool {
        let numbers = texts.compactMap { Int($0.trimmed) }
        guard numbers.count == texts.count, numbers.count >= count, numbers.count >= 2 else { return false }
        let (step, isOverflow) = numbers[1].subtractingReportingOverflow(numbers[0])
        guard !isOverflow, step != 0 else { return false }
        return zip(numbers, numbers.dropFirst()).allSatisfy { $1.subtractingReportingOverflow($0) == (step, false) }
    }

    /// More columns than a reader keeps in mind, or names too long to be carried beside each row.
    private static func isWide(_ header: [String]) -> Bool {
        header.count > 12 || (header.count > 4 && header.reduce(0) { $0 + $1.utf8.count + 3 } > 240)
    }

    // MARK: - Records

    /// Gives one record after the other. Takes time in proportion to the bytes, whatever the quotes do.
    struct RecordReader {
        private let bytes: [UInt8]
        private let delimiter: UInt8
        private var index = 0
        /// A quote that never closes is a sign like others; then no later one opens a cell either.
        private var readsQuotes = true
        /// Quotes that proved not to open a cell.
        private var literalQuote = -1

        init(_ bytes: [UInt8], delimiter: UInt8) {
            self.bytes = bytes
            self.delimiter = delimiter
        }

        var isAtEnd: Bool { index >= bytes.count }

        /// The next record that is not a blank line.
        mutating func next() -> [String]? {
            while index < bytes.count {
                let record = record()
                if record.count > 1 || !record[0].isBlank { return record }
            }
            return nil
        }

        private mutating func record() -> [String] {
            var record: [String] = []
            while true {
                record.append(cell())
                guard index < bytes.count else { return record }
                let byte = bytes[index]
                index += 1
                if byte == delimiter {
                    // A delimiter at the very end has an empty cell behind it.
                    if index == bytes.count { record.append("") }
                    if index < bytes.count { continue }
                    return record
                }
                if byte == 0x0D, index < bytes.count, bytes[index] == 0x0A { index += 1 }
                return record
            }
        }

        /// Reads up to the delimiter or line end behind the cell.
        private mutating func cell() -> String {
            var start = index
            while start < bytes.count, bytes[start] == 0x20, bytes[start] != delimiter { start += 1 }
            if start < bytes.count, bytes[start] == 0x22, readsQuotes, start != literalQuote, let text = quoted(from: start) { return text }
            let begin = index
            while index < bytes.count, bytes[index] != delimiter, bytes[index] != 0x0A, bytes[index] != 0x0D { index += 1 }
            return String(decoding: bytes[begin..<index], as: UTF8.self)
        }

        /// The cell whose quote opens at `open`; nil, with nothing read, when the quote proves to be a sign like others.
        private mutating func quoted(from open: Int) -> String? {
            var cell: [UInt8] = []
            var place = open + 1
            var run = place
            var hasLineEnd = false
            while place < bytes.count {
                let byte = bytes[place]
                if byte == 0x0A { hasLineEnd = true }
                guard byte == 0x22 else {
                    place += 1
                    continue
                }
                cell += bytes[run..<place]
                place += 1
                run = place
                if place < bytes.count, bytes[place] == 0x22 {
                    cell.append(0x22)
                    place += 1
                    run = place
                    continue
                }
                var end = place
                while end < bytes.count, bytes[end] == 0x20, bytes[end] != delimiter { end += 1 }
                if end >= bytes.count || bytes[end] == delimiter || bytes[end] == 0x0A || bytes[end] == 0x0D {
                    index = end
                    return String(decoding: cell, as: UTF8.self)
                }
                // A quote that opens a later cell: the one we began with was none.
                if hasLineEnd, place >= 2, bytes[place - 2] == delimiter || bytes[place - 2] == 0x0A {
                    literalQuote = open
                    return nil
                }
                // Quotes within a quoted cell that were not doubled.
                cell.append(0x22)
            }
            readsQuotes = false
            return nil
        }
    }
}
