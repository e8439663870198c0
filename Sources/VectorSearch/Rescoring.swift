import Kernels
import Storage

/// Exact scores of chosen rows of sealed segments: the last step of a search, and what rows get that only words have found.
///
/// Rows are read from the file in the order in which they lie, neighbours at once, and never through the mapping: that would pull in and hold the pages around each of
/// them, and a page that cannot be read would end the process instead of the search.
struct Rescoring {
    let dimension: Int
    let metric: Metric
    let kernels: KernelTable

    /// Rows that are read at once, with those between them.
    private static let stretch = 64
    /// A gap of so many bytes is read along rather than jumped over.
    private static let gapSizeMax = 8 << 10

    /// Scores rows and offers them.
    ///
    /// - Parameters:
    ///   - positions: In the run, ascending.
    ///   - query: Shape `[dimension]`, in the form of the stored vectors.
    ///   - top: Receives row ids with scores; each has the bits that a scan gives it.
    /// - Throws: `StorageError` when the file cannot be read.
    func score(
        _ positions: [UInt32], of run: RowRun, for query: UnsafeBufferPointer<Float>, into top: inout TopK
    ) throws(StorageError) {
        guard let segment = run.segment, !positions.isEmpty else { return }
        let rowSize = dimension * run.values.stride
        let gapMax = max(1, Self.gapSizeMax / rowSize)
        try positions.withUnsafeBufferPointer { (positions) throws(StorageError) in
            /// The end of the positions that are read together with the one at `start`.
            @inline(__always) func end(from start: Int) -> Int {
                var end = start + 1
                while end < positions.count, Int(positions[end] &- positions[end - 1]) <= gapMax,
                    Int(positions[end] &- positions[start]) < Self.stretch
                {
                    end += 1
                }
                return end
            }
            var largest = 0
            var start = 0
            while start < positions.count {
                let end = end(from: start)
                largest = max(largest, Int(positions[end - 1] &- positions[start]) + 1)
                start = end
            }
            // All at once: each is a cache miss, and between reads of the file they would be waited for one by one.
            let ids = positions.map { run.ids[Int($0)] }
            // The scores of a group, then its rows.
            let scores = UnsafeMutableBufferPointer<Float>.allocate(capacity: largest + (largest * rowSize + 3) / 4)
            defer { scores.deallocate() }
            let buffer = UnsafeMutableRawPointer(scores.baseAddress! + largest)
            start = 0
            while start < positions.count {
                let end = end(from: start)
                let first = Int(positions[start])
                let count = Int(positions[end - 1]) - first + 1
                let rows = try segment.read(first..<first + count, of: run.values, dimension: dimension, into: buffer)
                kernels.score(
                    query, rows: rows, metric: metric,
                    scores: UnsafeMutableBufferPointer(rebasing: scores[..<count]))
                for place in start..<end { top.push(score: scores[Int(positions[place]) - first], id: ids[place]) }
                start = end
            }
        }
    }
}
