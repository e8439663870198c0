import Documents
import Retrieval

/// A numbered source of one answer: a passage, or several of one document that overlap or adjoin, joined.
struct Source: Sendable {
    /// A chunk that went into the source.
    struct Member: Sendable {
        var chunkID: ChunkID
        var span: TextSpan
        var page: Int?
    }

    /// What stands in square brackets in the answer; counts from 1.
    var marker: Int
    /// The best chunk, with the joined span and text.
    var passage: SearchResult
    /// The chunks, by rising start.
    var members: [Member]
    /// Rank of the best chunk in the search, from 0.
    var rank: Int
    /// What can be quoted, in order; ranges are relative to `passage.text`.
    let units: [TextUnit]
    /// UTF-8 of `passage.text`; after it, with a line end between, the header of the table in whose middle the passage begins.
    private let bytes: [UInt8]

    init(marker: Int, passage: SearchResult, members: [Member], rank: Int) {
        self.marker = marker
        self.passage = passage
        self.members = members
        self.rank = rank
        let text = Array(passage.text.utf8)
        guard let header = Self.carriedHeader(of: passage).map({ Array($0.utf8) }) else {
            bytes = text
            units = TextUnits.units(in: text)
            return
        }
        // Units are found in the table as it was, header first, and told in the passage as it is: the header lies behind it.
        bytes = text + [UInt8(ascii: "\n")] + header
        let shift = header.count + 1
        units = TextUnits.units(in: header + [UInt8(ascii: "\n")] + text).compactMap { unit in
            guard unit.range.lowerBound >= shift else { return nil }
            var unit = unit
            unit.range = unit.range.lowerBound - shift..<unit.range.upperBound - shift
            if let context = unit.context {
                let offset = context.lowerBound < shift ? text.count + 1 : -shift
                unit.context = context.lowerBound + offset..<context.upperBound + offset
            }
            return unit
        }
    }

    /// The header of the table in whose middle a passage begins: chunks carry it as the last part of their heading.
    ///
    /// - Returns: Nil when the passage begins with no row, and when its heading ends with no header of as many columns.
    private static func carriedHeader(of passage: SearchResult) -> String? {
        // Few passages begin so, and characters are dearer to compare than bytes.
        guard passage.text.utf8.prefix(while: { $0 != UInt8(ascii: "\n") }).contains(UInt8(ascii: "|")) else { return nil }
        let first = passage.text.prefix { $0 != "\n" }
        guard first.contains(" | ") || first.hasPrefix("| ") else { return nil }
        let cells = TableTelling.cells(String(first))
        let rows = passage.text.split(separator: "\n", omittingEmptySubsequences: false).prefix { $0.contains("| ") }
        let width = rows.lazy.map { TableTelling.cells(String($0)).count }.max() ?? cells.count
        let parts = passage.heading.split(separator: " > ", omittingEmptySubsequences: false)
        // A column's name may hold what parts headings.
        for start in parts.indices.reversed() {
            let header = parts[start...].joined(separator: " > ")
            guard header.contains("| ") else { continue }
            var names = TableTelling.cells(header)
            if header.hasSuffix("…"), names.count - 1 < width {
                // It was cut; the columns behind the cut have no name here.
                names.removeLast()
                names += Array(repeating: "", count: width - names.count)
            }
            // Rows may lack cells at their end, where those are empty. Bars at both ends keep empty names.
            if names.count >= width, names.count > 1 { return names == cells ? nil : "| " + names.joined(separator: " | ") + " |" }
        }
        return nil
    }

    /// A byte range of the source's text as a span of the document.
    func span(_ range: Range<Int>) -> TextSpan {
        TextSpan(start: passage.span.start + range.lowerBound, end: passage.span.start + range.upperBound)
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    /// A unit as it is read by what scores it.
    func text(_ unit: TextUnit) -> String {
        let text = text(unit.range)
        return unit.path.map { JSONUnits.read($0, entry: text) } ?? text
    }

    /// The search's score as a share of the best one's, 0...1: so it means the same for every way of fusing.
    func relativeScore(to best: Source) -> Float {
        best.passage.score > 0 ? min(1, max(0, passage.score / best.passage.score)) : 0
    }

    /// The chunk that holds a span, or most of it.
    func member(holding span: TextSpan) -> Member {
        members.max { overlap($0.span, span) < overlap($1.span, span) }!
    }

    private func overlap(_ left: TextSpan, _ right: TextSpan) -> Int { max(0, min(left.end, right.end) - max(left.start, right.start)) }

    /// A checked citation's content, before the check.
    func citation(_ range: Range<Int>) -> Citation {
        let span = span(range)
        let member = member(holding: span)
        return Citation(
            marker: marker, documentID: passage.documentID, chunkID: member.chunkID, source: passage.source, title: passage.title,
            page: member.page, span: span,
            quote: text(range), version: passage.version)
    }
}
