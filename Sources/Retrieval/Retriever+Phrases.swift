// The text side of a search.
//
// The text index keeps no positions. So a quoted phrase is found in two steps: the index gives the rows with all of its words, best first, and their
// texts are read until enough of them have the words in order:
//
//     "byte order" mark  -->  rows with byte and order, best first  --read 256 texts-->  those with "byte order"  --enough?--> fuse
//                                       ^------------------------- deeper, up to a bound -------------------------|
//
// Where no row has the phrase, the quotes are disregarded, and the answer says so.

import Documents
import Execution
import Foundation
import Indexing
import Metrics
import Storage
import TextSearch

extension Retriever {
    struct TextSide: Sendable {
        var hits: [RowHit] = []
        /// Whether the hits are all that may be shown: rows with the quoted phrases.
        var hasPhrases = false
        /// Whether the quotes were disregarded.
        var isRelaxed = false
    }

    /// Searches by words. It reads texts where the question has quotes, so it is no work for a cooperative thread.
    func textSide(
        _ request: SearchRequest, _ indexes: CollectionIndexes, _ depth: Int, _ filter: RowSet?, _ clock: StageClock
    ) throws -> TextSide {
        let text = indexes.text
        let query = request.query
        func plain() -> [RowHit] {
            let start = clock.now
            defer { clock.record(.text, since: start) }
            return Fusion.withTies(depth) { text.search(query, k: $0, filter: filter) }
        }
        guard let phrases = text.phrases(of: query) else { return TextSide(hits: plain()) }
        let start = clock.now
        let wanted = min(depth, max(64, request.k * (request.maxPerDocument == nil ? 2 : 4)))
        let found = try rowsWith(phrases, query, text, wanted: wanted, filter, until: deadline(request, clock, share: 0.6))
        clock.record(.phrase, since: start)
        return found.isEmpty ? TextSide(hits: plain(), isRelaxed: true) : TextSide(hits: found, hasPhrases: true)
    }

    /// The best rows that have the phrases, at most `wanted`.
    private func rowsWith(
        _ phrases: QuotedPhrases, _ query: String, _ text: TextIndex, wanted: Int, _ filter: RowSet?,
        until latest: ContinuousClock.Instant?
    ) throws -> [RowHit] {
        var depth = min(options.phraseCandidatesMax, 2 * wanted)
        var checkedCount = 0
        var found: [RowHit] = []
        while true {
            let hits = text.search(query, k: depth, filter: filter, quotes: .required)
            // The index has made sure of single words.
            guard phrases.hasOrder else { return Array(hits.prefix(wanted)) }
            while checkedCount < hits.count {
                let batch = hits[checkedCount..<min(checkedCount + 256, hits.count)]
                checkedCount = batch.endIndex
                let passages = try passages(of: batch.lazy.map(\.row))
                for hit in batch {
                    guard let passage = passages[ChunkID(rawValue: hit.row.rawValue)] else { continue }
                    if text.contains(phrases, in: [passage.chunk.text, passage.chunk.heading, passage.document.title ?? ""]) {
                        found.append(hit)
                        if found.count == wanted { return found }
                    }
                }
                if let latest, time.now > latest { return found }
            }
            guard hits.count == depth, depth < options.phraseCandidatesMax else { return found }
            depth = min(options.phraseCandidatesMax, depth * 4)
        }
    }
}
