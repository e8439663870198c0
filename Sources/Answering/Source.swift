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
    /// UTF-8 of `passage.text`.
    private let bytes: [UInt8]

    init(marker: Int, passage: SearchResult, members: [Member], rank: Int) {
        self.marker = marker
        self.passage = passage
        self.members = members
        self.rank = rank
        bytes = Array(passage.text.utf8)
        units = TextUnits.units(in: bytes)
    }

    /// A byte range of the source's text as a span of the document.
    func span(_ range: Range<Int>) -> TextSpan {
        TextSpan(start: passage.span.start + range.lowerBound, end: passage.span.start + range.upperBound)
    }

    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

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
