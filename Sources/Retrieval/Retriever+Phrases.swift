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

    func textSearch(
        _ request: SearchRequest, _ indexes: CollectionIndexes, _ depth: Int, _ filter: RowSet?, _ clock: StageClock
    ) async throws -> TextSide {
        let text = indexes.text
        let query = request.query
        let start = clock.now
        guard let phrases = text.phrases(of: query) else {
            let hits = await offload { Fusion.withTies(depth) { text.search(query, k: $0, filter: filter) } }
            clock.record(.text, since: start)
            return TextSide(hits: hits)
        }
        let wanted = min(depth, max(64, request.k * (request.maxPerDocument == nil ? 2 : 4)))
        let latest = deadline(request, clock, share: 0.6)
        let found = try await offload { try self.rowsWith(phrases, query, text, wanted: wanted, filter, until: latest) }
        clock.record(.phrase, since: start)
        if !found.isEmpty { return TextSide(hits: found, hasPhrases: true) }
        let textStart = clock.now
        let hits = await offload { Fusion.withTies(depth) { text.search(query, k: $0, filter: filter) } }
        clock.record(.text, since: textStart)
        return TextSide(hits: hits, isRelaxed: true)
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
