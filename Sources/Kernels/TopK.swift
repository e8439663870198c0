/// Keeps the best `k` of a stream of scored ids: larger scores first, ties by smaller id.
///
/// A binary heap with the *worst* kept entry at its root: a newcomer is compared with the root, and in a long scan almost always
/// refused by that one comparison.
///
/// ```
///            0.71  <- threshold: what a newcomer must beat
///           /    \
///        0.80    0.74
///        /  \    /
///     0.93 0.81 0.90
/// ```
///
/// The order is total, so the result does not depend on the order of arrival, nor on how a scan was split among threads.
/// A score that is not a number counts as minus infinity.
package struct TopK: Sendable {
    package struct Entry: Sendable, Equatable {
        package var score: Float
        package var id: Int64

        package init(score: Float, id: Int64) {
            self.score = score
            self.id = id
        }

        /// Whether this entry ranks behind another.
        fileprivate func isWorse(than other: Entry) -> Bool {
            score < other.score || (score == other.score && id > other.id)
        }
    }

    package let capacity: Int
    private var heap: [Entry] = []

    /// - Parameter capacity: *k*; 0 keeps nothing.
    package init(capacity: Int) {
        precondition(capacity >= 0, "top \(capacity)")
        self.capacity = capacity
        heap.reserveCapacity(min(capacity, 1024))
    }

    package var count: Int { heap.count }

    /// The score that a newcomer must reach to have a chance; minus infinity until `k` are kept.
    package var threshold: Float { heap.count < capacity ? -.infinity : (heap.first?.score ?? .infinity) }

    /// Offers one entry.
    package mutating func push(score: Float, id: Int64) {
        let entry = Entry(score: score == score ? score : -.infinity, id: id)
        if heap.count < capacity {
            heap.append(entry)
            siftUp(from: heap.count - 1)
        } else if let worst = heap.first, worst.isWorse(than: entry) {
            heap[0] = entry
            siftDown()
        }
    }

    /// Offers a block of entries: `ids[i]` with `scores[i]`.
    package mutating func push(scores: UnsafeBufferPointer<Float>, ids: UnsafeBufferPointer<Int64>) {
        precondition(scores.count == ids.count, "\(scores.count) scores for \(ids.count) ids")
        var threshold = threshold
        for position in scores.indices where !(scores[position] < threshold) {
            push(score: scores[position], id: ids[position])
            threshold = self.threshold
        }
    }

    /// Offers those entries of a block whose bit in `mask` is set: bit *i* of word *w* stands for entry 64 *w* + *i*.
    package mutating func push(scores: UnsafeBufferPointer<Float>, ids: UnsafeBufferPointer<Int64>, mask: UnsafeBufferPointer<UInt64>) {
        precondition(
            scores.count == ids.count && mask.count == (ids.count + 63) / 64,
            "\(scores.count) scores, \(ids.count) ids, \(mask.count) words")
        var threshold = threshold
        for (index, word) in mask.enumerated() {
            var rest = word
            while rest != 0 {
                let position = index * 64 + rest.trailingZeroBitCount
                rest &= rest - 1
                guard !(scores[position] < threshold) else { continue }
                push(score: scores[position], id: ids[position])
                threshold = self.threshold
            }
        }
    }

    /// Offers everything that another one kept.
    package mutating func merge(_ other: TopK) {
        for entry in other.heap { push(score: entry.score, id: entry.id) }
    }

    /// What was kept, the best first.
    package var sorted: [Entry] { heap.sorted { $1.isWorse(than: $0) } }

    /// Lets an entry rise to its place; those on its way move down.
    private mutating func siftUp(from start: Int) {
        heap.withUnsafeMutableBufferPointer { heap in
            let entry = heap[start]
            var index = start
            while index > 0 {
                let parent = (index - 1) / 2
                guard entry.isWorse(than: heap[parent]) else { break }
                heap[index] = heap[parent]
                index = parent
            }
            heap[index] = entry
        }
    }

    /// Lets the root sink to its place; those on its way move up.
    private mutating func siftDown() {
        heap.withUnsafeMutableBufferPointer { heap in
            let entry = heap[0]
            var index = 0
            while true {
                var child = 2 * index + 1
                guard child < heap.count else { break }
                if child + 1 < heap.count, heap[child + 1].isWorse(than: heap[child]) { child += 1 }
                guard heap[child].isWorse(than: entry) else { break }
                heap[index] = heap[child]
                index = child
            }
            heap[index] = entry
        }
    }
}
