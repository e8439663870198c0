import Foundation

/// Reads CSV and its kin (RFC 4180, with the liberties people take): any of four delimiters, quotes, several lines in a cell.
enum DelimitedTextParser {
    static func parse(_ input: ParseInput, context: ParseContext) throws(Refusal) -> ParsedDocument {
        let decoded = TextDecoder.decode(try input.bytes())
        let isTabbed = input.fileExtension == "tsv" || input.fileExtension == "tab"
        guard let delimiter = delimiter(decoded.text, preferred: isTabbed ? 0x09 : 0x2C) else {
            return try PlainTextParser.parse(decoded, context: context)
        }
        var builder = context.builder
        var text = decoded.text
        var records = text.withUTF8 { split($0, delimiter: delimiter) }
        // Excel's own hint about the delimiter.
        if let first = records.first, first.count <= 2, first[0].lowercased().hasPrefix("sep=") { records.removeFirst() }
        let header = headerIndex(records)
        builder.beginTable()
        for (index, record) in records.enumerated() { try builder.tableRow(record, isHeader: index == header) }
        builder.endTable()
        var properties = ["rows": String(records.count)]
        if decoded.encoding != "UTF-8" { properties["encoding"] = decoded.encoding }
        return builder.finish(
            title: nil, mimeType: delimiter == 0x09 ? "text/tab-separated-values" : "text/csv", properties: properties)
    }

    /// The delimiter with which the first records agree best about the number of cells; nil when none gives two columns.
    static func delimiter(_ text: String, preferred: UInt8) -> UInt8? {
        var sample = String(text.prefix(20_000))
        var best: (delimiter: UInt8, score: Double)?
        for candidate in [preferred, 0x2C, 0x3B, 0x09, 0x7C] {
            let records = sample.withUTF8 { split($0, delimiter: candidate, limit: 50) }.filter { $0.count > 1 || !$0[0].isBlank }
            guard !records.isEmpty else { continue }
            var counts: [Int: Int] = [:]
            for record in records { counts[record.count, default: 0] += 1 }
            guard let (width, votes) = counts.max(by: { ($0.value, $0.key) < ($1.value, $1.key) }), width > 1 else { continue }
            let score = Double(votes) / Double(records.count) + min(0.2, Double(width) * 0.02)
            if best == nil || score > best!.score + 1e-9 { best = (candidate, score) }
        }
        guard let best, best.score > 0.35 else { return nil }
        return best.delimiter
    }

    static func split(_ bytes: UnsafeBufferPointer<UInt8>, delimiter: UInt8, limit: Int = .max) -> [[String]] {
        var records: [[String]] = []
        var record: [String] = []
        var cell: [UInt8] = []
        var isQuoted = false
        var wasQuoted = false
        var index = 0
        func endCell() {
            record.append(String(decoding: cell, as: UTF8.self))
            cell.removeAll(keepingCapacity: true)
            wasQuoted = false
        }
        while index < bytes.count, records.count < limit {
            let byte = bytes[index]
            if isQuoted {
                if byte == 0x22 {
                    if index + 1 < bytes.count, bytes[index + 1] == 0x22 {
                        cell.append(0x22)
                        index += 1
                    } else {
                        isQuoted = false
                    }
                } else {
                    cell.append(byte)
                    // A quote that never closes would swallow the file.
                    if cell.count > 100_000 { isQuoted = false }
                }
            } else if byte == 0x22, cell.allSatisfy({ $0 == 0x20 }), !wasQuoted {
                cell.removeAll(keepingCapacity: true)
                isQuoted = true
                wasQuoted = true
            } else if byte == delimiter {
                endCell()
            } else if byte == 0x0A || byte == 0x0D {
                if byte == 0x0D, index + 1 < bytes.count, bytes[index + 1] == 0x0A { index += 1 }
                endCell()
                if record.count > 1 || !record[0].isBlank { records.append(record) }
                record = []
            } else {
                cell.append(byte)
            }
            index += 1
        }
        if !cell.isEmpty || !record.isEmpty {
            endCell()
            if records.count < limit { records.append(record) }
        }
        return records
    }

    /// 0 when the first record names the columns: all words, and different from each other.
    static func headerIndex(_ records: [[String]]) -> Int? {
        guard records.count >= 2, let first = records.first, first.count >= 2 else { return nil }
        let filled = first.filter { !$0.isBlank }
        guard filled.count * 3 >= first.count * 2, filled.allSatisfy({ !SheetWriter.isNumeric($0) && $0.utf8.count <= 200 }) else {
            return nil
        }
        guard Set(filled).count == filled.count else { return nil }
        return 0
    }
}
