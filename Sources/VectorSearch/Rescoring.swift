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
        let groups = neighbours(positions)
        let largest = groups.reduce(0) { max($0, Int(positions[$1.upperBound - 1] - positions[$1.lowerBound]) + 1) }
        // Rows, then a score for each of those that were asked for.
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: largest * (dimension + 1))
        defer { buffer.deallocate() }
        let scores = UnsafeMutableBufferPointer(rebasing: buffer[(largest * dimension)...])
        var within: [UInt32] = []
        for group in groups {
            let first = positions[group.lowerBound]
            let count = Int(positions[group.upperBound - 1] - first) + 1
            try segment.read(Int(first)..<Int(first) + count, of: run.values, dimension: dimension, into: buffer.baseAddress!)
            within.removeAll(keepingCapacity: true)
            for place in group { within.append(positions[place] - first) }
            let rows = UnsafeBufferPointer(rebasing: buffer[..<(count * dimension)])
            let found = UnsafeMutableBufferPointer(rebasing: scores[..<within.count])
            within.withUnsafeBufferPointer { kernels.score(query, rows: rows, at: $0, metric: metric, scores: found) }
            for (place, score) in zip(group, found) { top.push(score: score, id: run.ids[Int(positions[place])]) }
        }
    }

    /// Ranges of `positions` that are read together.
    private func neighbours(_ positions: [UInt32]) -> [Range<Int>] {
        let gapMax = max(1, Self.gapSizeMax / (dimension * MemoryLayout<Float>.size))
        var groups: [Range<Int>] = []
        groups.reserveCapacity(positions.count)
        var start = 0
        for end in 1...positions.count {
            if end < positions.count, Int(positions[end] - positions[end - 1]) <= gapMax, Int(positions[end] - positions[start]) < Self.stretch {
                continue
            }
            groups.append(start..<end)
            start = end
        }
        return groups
    }
}
