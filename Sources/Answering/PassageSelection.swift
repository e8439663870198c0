import Documents
import Retrieval

/// Turns search results into sources: joins what overlaps or adjoins, drops what says the same again.
enum PassageSelection {
    /// Chunks of one document with at most this many bytes between them are read as one.
    static let gapSizeMax = 16
    /// A joined source does not grow beyond this.
    static let joinedSizeMax = 6000

    /// - Parameters:
    ///   - results: Best first.
    ///   - read: Reads a document's text between two chunks; nil where it cannot.
    /// - Returns: Sources in the order of their best chunk, numbered from 1.
    static func choose(_ results: [SearchResult], read: (DocumentID, TextSpan) async -> String?) async -> [Source] {
        var groups: [(rank: Int, best: SearchResult, members: [SearchResult])] = []
        var seenTexts: Set<String> = []
        for (rank, result) in results.enumerated() {
            // The same text from another document says nothing new.
            let isRepeated = !seenTexts.insert(result.text).inserted
            if isRepeated { continue }
            let near = groups.firstIndex { group in
                group.best.documentID == result.documentID && group.members.contains { gap($0.span, result.span) <= gapSizeMax }
                    && union(group.members.map(\.span) + [result.span]).count <= joinedSizeMax
            }
            if let near {
                groups[near].members.append(result)
            } else {
                groups.append((rank, result, [result]))
            }
        }

        var sources: [Source] = []
        var taken: [DocumentID: [TextSpan]] = [:]
        for group in groups {
            let parts = group.members.sorted { ($0.span.start, $0.span.end) < ($1.span.start, $1.span.end) }
            var joined: [SearchResult] = []
            for part in parts {
                guard let last = joined.last else {
                    joined.append(part)
                    continue
                }
                if let text = await join(last, part, read) {
                    joined[joined.count - 1].text = text
                    joined[joined.count - 1].span.end = max(last.span.end, part.span.end)
                } else {
                    joined.append(part)
                }
            }
            // Usually one; the one with the best chunk comes first.
            joined.sort { left, right in holds(left.span, group.best.span) && !holds(right.span, group.best.span) }
            for piece in joined {
                if taken[group.best.documentID, default: []].contains(where: { holds($0, piece.span) }) { continue }
                taken[group.best.documentID, default: []].append(piece.span)
                let best = holds(piece.span, group.best.span) ? group.best : piece
                let members = parts.filter { holds(piece.span, $0.span) }.map {
                    Source.Member(chunkID: $0.chunkID, span: $0.span, page: $0.page)
                }
                var passage = best
                passage.span = piece.span
                passage.text = piece.text
                let shift = best.span.start - piece.span.start
                passage.highlights = best.highlights.map { TextSpan(start: $0.start + shift, end: $0.end + shift) }
                sources.append(Source(marker: sources.count + 1, passage: passage, members: members, rank: group.rank))
            }
        }
        return sources
    }

    private static func join(_ left: SearchResult, _ right: SearchResult, _ read: (DocumentID, TextSpan) async -> String?) async -> String?
    {
        if right.span.end <= left.span.end { return left.text }
        let gap = right.span.start - left.span.end
        if gap <= 0 {
            let bytes = Array(right.text.utf8)
            guard -gap <= bytes.count else { return nil }
            return left.text + String(decoding: bytes[(-gap)...], as: UTF8.self)
        }
        guard let between = await read(left.documentID, TextSpan(start: left.span.end, end: right.span.start)), between.utf8.count == gap
        else { return nil }
        return left.text + between + right.text
    }

    private static func gap(_ left: TextSpan, _ right: TextSpan) -> Int { max(left.start, right.start) - min(left.end, right.end) }
    private static func holds(_ outer: TextSpan, _ inner: TextSpan) -> Bool { outer.start <= inner.start && inner.end <= outer.end }
    private static func union(_ spans: [TextSpan]) -> TextSpan { TextSpan(start: spans.map(\.start).min()!, end: spans.map(\.end).max()!) }
}
