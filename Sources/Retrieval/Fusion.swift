// Fusion: two ranked lists become one.
//
// BM25 scores have no upper bound and depend on the collection; cosines lie in a narrow band. So raw scores cannot be added.
//
//   min-max   s'(d) = (s(d) - min) / (max - min) within each list's candidates, then  w * vector' + (1 - w) * text'
//   RRF       sum over lists of  weight / (c + rank(d)),  c = rankConstant  (Cormack, Clarke, Buettcher, SIGIR 2009)
//
// Where the model does not know the language of a passage or of the question, w is less for it (LanguageFitness).
// A row that one retriever did not return gets that retriever's minimum (min-max) or nothing (RRF).

package import Storage

/// One candidate with the scores of the retrievers that saw it.
package struct FusedHit: Sendable, Equatable {
    package var row: RowID
    package var score: Float
    package var text: Float?
    package var vector: Float?
    /// What the reranker gave it; nil when it was not asked or not in time.
    package var rerank: Float?

    package init(row: RowID, score: Float, text: Float? = nil, vector: Float? = nil, rerank: Float? = nil) {
        self.row = row
        self.score = score
        self.text = text
        self.vector = vector
        self.rerank = rerank
    }

    /// Whether nothing but their rows tells which of two comes first.
    func ties(with other: FusedHit) -> Bool { score == other.score && rerank == other.rerank }
}

package enum Fusion {
    /// Fuses two ranked lists by normalised scores.
    ///
    /// - Parameters:
    ///   - text: BM25 hits, best first.
    ///   - vector: Cosine hits; may also hold exact cosines of rows only the text side found.
    ///   - vectorWeight: 0...1.
    ///   - weights: Of rows whose vectors are to be trusted otherwise, 0...1.
    /// - Returns: All candidates, best first, ties by row; scores in 0...1.
    package static func minMax(
        text: [RowHit], vector: [RowHit], vectorWeight: Float, weights: [RowID: Float] = [:]
    ) -> [FusedHit] {
        // Where vectors tell little, a row that words found least well must still stand before all that they did not find.
        let trust = weights.isEmpty || vectorWeight <= 0 ? 1 : min(1, (weights.values.max() ?? 0) / vectorWeight)
        let textScale = Scale(text, trust: trust)
        let vectorScale = Scale(vector)
        return merge(text, vector) { row, textScore, vectorScore in
            let weight = weights[row] ?? vectorWeight
            return (1 - weight) * (textScore.map(textScale.map) ?? 0) + weight * (vectorScore.map(vectorScale.map) ?? 0)
        }
    }

    /// Fuses two ranked lists by reciprocal ranks.
    package static func reciprocalRank(
        text: [RowHit], vector: [RowHit], vectorWeight: Float, rankConstant: Float, weights: [RowID: Float] = [:]
    ) -> [FusedHit] {
        var share: [RowID: Float] = [:]
        func weight(_ row: RowID) -> Float { weights[row] ?? vectorWeight }
        for (rank, hit) in text.enumerated() { share[hit.row, default: 0] += 2 * (1 - weight(hit.row)) / (rankConstant + Float(rank + 1)) }
        for (rank, hit) in vector.enumerated() { share[hit.row, default: 0] += 2 * weight(hit.row) / (rankConstant + Float(rank + 1)) }
        var fused = merge(text, vector) { _, _, _ in 0 }
        for index in fused.indices { fused[index].score = share[fused[index].row] ?? 0 }
        return sorted(fused)
    }

    /// Puts some rows before all others, each group in its order: what has the rare words of a question is no matter of weights.
    package static func lift(_ rows: Set<RowID>, in hits: [FusedHit]) -> [FusedHit] {
        guard !rows.isEmpty, let most = hits.lazy.map(\.score).max(), most > 0 else { return hits }
        return sorted(
            hits.map { hit in
                var hit = hit
                hit.score = hit.score / 2 + (rows.contains(hit.row) ? most / 2 : 0)
                return hit
            })
    }

    /// The best hits to a depth, and those that tie with the last: which of them lies within the depth is decided by row ids, and those follow the order in which
    /// documents came in.
    ///
    /// - Parameter search: The best hits, at most so many, in order.
    static func withTies(_ depth: Int, _ search: (Int) throws -> [RowHit]) rethrows -> [RowHit] {
        var tied = TiedDepth(depth)
        var hits = try search(tied.wanted)
        while tied.wantsMore(than: hits) { hits = try search(tied.wanted) }
        return tied.cut(hits)
    }

    /// As above, for a search that may wait.
    static func withTies(_ depth: Int, _ search: (Int) async throws -> [RowHit]) async rethrows -> [RowHit] {
        var tied = TiedDepth(depth)
        var hits = try await search(tied.wanted)
        while tied.wantsMore(than: hits) { hits = try await search(tied.wanted) }
        return tied.cut(hits)
    }

    /// How many hits to ask for until all that tie with the last are there.
    private struct TiedDepth {
        /// More hits of one score are not looked at: then there is no order to be had.
        private static let countMax = 8192
        private let depth: Int
        private(set) var wanted: Int

        init(_ depth: Int) {
            self.depth = max(0, depth)
            wanted = depth + 1
        }

        mutating func wantsMore(than hits: [RowHit]) -> Bool {
            guard hits.count == wanted, depth > 0, hits[wanted - 1].score == hits[depth - 1].score, wanted < Self.countMax else {
                return false
            }
            wanted *= 4
            return true
        }

        func cut(_ hits: [RowHit]) -> [RowHit] {
            guard hits.count > depth, depth > 0 else { return Array(hits.prefix(depth)) }
            let last = hits[depth - 1].score
            return Array(hits[..<depth]) + hits[depth...].prefix { $0.score == last }
        }
    }

    private struct Scale {
        let low: Float
        let range: Float
        /// - Parameter trust: The part of the lowest score that counts as nothing.
        init(_ hits: [RowHit], trust: Float = 1) {
            low = (hits.lazy.map(\.score).min() ?? 0) * trust
            range = (hits.lazy.map(\.score).max() ?? 0) - low
        }
        /// A list whose scores are all equal says nothing about order, but being found counts.
        func map(_ score: Float) -> Float { range > 0 ? (score - low) / range : 1 }
    }

    private static func merge(_ text: [RowHit], _ vector: [RowHit], _ score: (RowID, Float?, Float?) -> Float) -> [FusedHit] {
        var candidates: [RowID: (text: Float?, vector: Float?)] = [:]
        candidates.reserveCapacity(text.count + vector.count)
        for hit in text { candidates[hit.row] = (hit.score, nil) }
        for hit in vector { candidates[hit.row, default: (nil, nil)].vector = hit.score }
        return sorted(
            candidates.map {
                FusedHit(row: $0.key, score: score($0.key, $0.value.text, $0.value.vector), text: $0.value.text, vector: $0.value.vector)
            })
    }

    static func sorted(_ hits: [FusedHit]) -> [FusedHit] {
        hits.sorted { $0.score != $1.score ? $0.score > $1.score : $0.row < $1.row }
    }
}
