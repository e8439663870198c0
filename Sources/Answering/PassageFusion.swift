// Several searches for one question become one list.
//
// Scores of different queries cannot be compared, their ranks can: a passage gets 1 / (60 + rank) from each list that holds it (Cormack, Clarke and
// Buettcher, SIGIR 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods").

import Documents
import Retrieval

enum PassageFusion {
    /// As in the paper.
    private static let rankConstant: Float = 60

    /// The passages of one query.
    struct List: Sendable {
        /// Whether the query was the question itself.
        var isQuestion: Bool
        /// Best first.
        var results: [SearchResult]
    }

    /// The best passages of all lists, each once. The same lists in the same order give the same answer: ties go to the earlier list, then to the
    /// better rank in it. One list stays as it is.
    ///
    /// The order is the fused one. The scores are what the question's own search says, since they are features of whether a passage answers *that*: one that
    /// only another query found has the lowest of them, or none where the question's search had room for more, and no cosine.
    static func fuse(_ lists: [List], k: Int) -> [SearchResult] {
        if lists.count == 1, lists[0].isQuestion { return Array(lists[0].results.prefix(k)) }
        var fused: [ChunkID: (result: SearchResult, score: Float, order: Int)] = [:]
        let lowest = lists.first(where: \.isQuestion).flatMap { list in
            list.results.lazy.map(\.score).min().map { list.results.count < k ? 0 : $0 }
        }
        // The question's own list first: what it says of a passage is kept.
        for list in lists.filter(\.isQuestion) + lists.filter({ !$0.isQuestion }) {
            for (rank, result) in list.results.enumerated() {
                let share = 1 / (rankConstant + Float(rank + 1))
                if fused[result.chunkID] != nil {
                    fused[result.chunkID]!.score += share
                    continue
                }
                var result = result
                if !list.isQuestion {
                    result.scores = PassageScores()
                    if let lowest { result.score = lowest }
                }
                fused[result.chunkID] = (result, share, fused.count)
            }
        }
        let order = fused.values.sorted { $0.score != $1.score ? $0.score > $1.score : $0.order < $1.order }
        return order.prefix(k).map(\.result)
    }
}
