// The reranker reads the best candidates together with the question, which no index can do, and puts them into its own order.
//
//     fused   a b c d e | f g h ...        depth 5; the deadline comes after a, b, d
//     scored  b d a     |                  by the reranker's score
//     result  b d a c e f g h ...          the rest keeps the fused order
//
// So a slow or broken reranker costs order, never results. (Two-stage retrieval: Nogueira & Cho, *Passage re-ranking with BERT*, 2019.)

import Documents
import Execution
import Indexing
import Inference
import Logging
import Storage

extension Retriever {
    func rerank(
        _ ranked: [FusedHit], _ request: SearchRequest, _ indexes: CollectionIndexes, _ clock: StageClock, _ ladder: inout Ladder
    ) async throws -> [FusedHit] {
        guard request.rerank ?? (reranker != nil), !ranked.isEmpty else { return ranked }
        func giveUp(_ rung: Rung, _ reason: String) -> [FusedHit] {
            ladder.take(rung, reason)
            return ranked
        }
        guard let reranker else { return giveUp(.rerankUnavailable, "no reranking model") }
        let start = clock.now
        defer { clock.record(.rerank, since: start) }

        let depth = request.rerankDepth ?? options.rerankDepth
        let rows = ranked.prefix(depth).map(\.row)
        let passages = try await offload { try self.passages(of: rows) }
        var places: [Int] = []
        var texts: [String] = []
        for (place, row) in rows.enumerated() {
            guard let passage = passages[ChunkID(rawValue: row.rawValue)] else { continue }
            places.append(place)
            texts.append(Self.text(of: passage.chunk, passage.document))
        }
        let scores: [Float?]
        do {
            scores = try await score(texts, request, reranker, clock)
        } catch let error as CancellationError {
            throw error
        } catch is TimeLimit.Expired {
            return giveUp(.rerankSkipped, "deadline")
        } catch is TimeLimit.Stuck {
            return giveUp(.rerankUnavailable, "reranker hangs")
        } catch {
            logger.warning("reranking failed", metadata: ["model": "\(reranker.name)", "reason": "\(error)"])
            return giveUp(.rerankUnavailable, "reranking failed")
        }
        guard scores.count == texts.count else {
            logger.warning("reranker gave \(scores.count) scores for \(texts.count) passages", metadata: ["model": "\(reranker.name)"])
            return giveUp(.rerankUnavailable, "reranking failed")
        }

        var result = ranked
        for (place, score) in zip(places, scores) { result[place].rerank = score.flatMap { $0.isFinite ? $0 : nil } }
        let scoredCount = result.count { $0.rerank != nil }
        if scoredCount == 0, !texts.isEmpty { return giveUp(.rerankSkipped, "deadline") }
        if scoredCount < texts.count {
            ladder.take(.rerankPartial, "\(scoredCount) of \(texts.count) passages before the deadline")
        }
        return Self.order(result)
    }

    /// Scored candidates by falling score, ties as before; then the others as before.
    static func order(_ hits: [FusedHit]) -> [FusedHit] {
        let scored = hits.enumerated().filter { $0.element.rerank != nil }
            .sorted { ($1.element.rerank!, $0.offset) < ($0.element.rerank!, $1.offset) }
        return scored.map(\.element) + hits.filter { $0.rerank == nil }
    }

    /// What the model reads: what was embedded, too.
    private static func text(of chunk: ChunkRecord, _ document: DocumentRecord) -> String {
        [document.title ?? "", chunk.heading, chunk.text].filter { !$0.isEmpty }.joined(separator: "\n")
    }

    /// The model is told a deadline, and is left behind when it does not keep it.
    private func score(
        _ texts: [String], _ request: SearchRequest, _ reranker: any Reranker, _ clock: StageClock
    ) async throws -> [Float?] {
        guard let told = deadline(request, clock, share: 0.85), let last = deadline(request, clock, share: 0.95) else {
            return try await reranker.rerank(query: request.query, passages: texts, deadline: nil)
        }
        return try await rerankLimit.run(until: last) {
            try await reranker.rerank(query: request.query, passages: texts, deadline: told)
        }
    }
}
