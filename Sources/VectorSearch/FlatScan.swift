import Dispatch
import Glibc
import Kernels
import Storage
import Synchronization

/// One search through a list of runs.
///
/// ```
///   run of rows --> stretches of 512 rows --> which of them count? (live, and member of the filter: 64 rows a step)
///                                              none          skip
///                                              half or more  score all 512 in one pass, offer those that count
///                                              fewer         score only those, gathered
/// ```
///
/// A filter with few members is not even looked for: its members are looked up in the run.
/// Each row's score has the same bits on every path, and the order of hits is total, so the answer never depends on the path.
struct FlatScan: Sendable {
    private let runs: [RowRun]
    private let query: [Float]
    private let metric: Metric
    private let kernels: KernelTable
    private let filter: RowSet?
    private let parts: [Part]
    /// The filter's members, ascending; empty when no run is searched by looking them up.
    private let members: [Int64]

    /// Rows scored between two looks at the filter: their scores stay in the first-level cache.
    private static let stretch = 512
    /// Below this many rows a second thread costs more than it brings.
    private static let parallelRowCountMin = 200_000
    /// Positions in a unit of work of one thread.
    private static let partSize = 32 * stretch
    /// A filter is looked up member by member when the run is this many times larger.
    private static let lookUpFactor = 64
    private static let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// A unit of work: some positions of a run, or, without positions, the filter's members in it.
    private struct Part: Sendable {
        var run: Int
        var positions: Range<Int>?
    }

    /// - Parameter query: Shape `[dimension]`, in the form of the stored vectors.
    init(runs: [RowRun], query: [Float], metric: Metric, kernels: KernelTable, filter: RowSet?) {
        self.runs = runs
        self.query = query
        self.metric = metric
        self.kernels = kernels
        self.filter = filter
        var parts: [Part] = []
        var isLookingUp = false
        for (index, run) in runs.enumerated() where run.liveCount > 0 {
            if let filter, run.isAscending, filter.count * Self.lookUpFactor < run.count {
                parts.append(Part(run: index))
                isLookingUp = true
            } else {
                for start in stride(from: 0, to: run.count, by: Self.partSize) {
                    parts.append(Part(run: index, positions: start..<min(start + Self.partSize, run.count)))
                }
            }
        }
        self.parts = parts
        members = isLookingUp ? filter!.rows.map(\.rawValue) : []
    }

    /// The nearest rows, on one core or, when there are many rows, on all.
    func best(_ k: Int) -> TopK {
        let rowCount = min(runs.reduce(0) { $0 + $1.liveCount }, filter?.count ?? .max)
        let workerCount = rowCount < Self.parallelRowCountMin ? 1 : min(Self.processorCount, parts.count)
        guard workerCount > 1 else {
            var worker = Worker(scan: self, k: k)
            for part in parts { worker.take(part) }
            return worker.top
        }
        // Workers take the next part until none is left, so that a core that others keep busy does less.
        let next = Atomic(0)
        let merged = Mutex(TopK(capacity: k))
        DispatchQueue.concurrentPerform(iterations: workerCount) { _ in
            var worker = Worker(scan: self, k: k)
            while true {
                let index = next.add(1, ordering: .relaxed).oldValue
                guard index < parts.count else { break }
                worker.take(parts[index])
            }
            merged.withLock { $0.merge(worker.top) }
        }
        return merged.withLock { $0 }
    }
}

extension FlatScan {
    /// One thread's share of a scan, with its buffers.
    private struct Worker {
        let scan: FlatScan
        var top: TopK
        private var scores = [Float](repeating: 0, count: stretch)
        private var mask = [UInt64](repeating: 0, count: stretch / 64)
        /// Positions to be scored together, and their ids.
        private var positions: [UInt32] = []
        private var ids: [Int64] = []

        init(scan: FlatScan, k: Int) {
            self.scan = scan
            top = TopK(capacity: k)
            positions.reserveCapacity(stretch)
            ids.reserveCapacity(stretch)
        }

        mutating func take(_ part: Part) {
            let run = scan.runs[part.run]
            if let range = part.positions {
                for start in stride(from: range.lowerBound, to: range.upperBound, by: stretch) {
                    visit(run, start..<min(start + stretch, range.upperBound))
                }
            } else {
                lookUp(in: run)
            }
        }

        /// Scores what counts among a stretch of positions, which begins at a multiple of 64 as the words of the bitmaps do.
        private mutating func visit(_ run: RowRun, _ range: Range<Int>) {
            let ids = UnsafeBufferPointer(rebasing: run.ids[range])
            if scan.filter == nil, run.tombstones.count == 0 {
                scoreAll(run, range)
                scores.withUnsafeBufferPointer { top.push(scores: UnsafeBufferPointer(rebasing: $0[..<range.count]), ids: ids) }
                return
            }
            let wordCount = (range.count + 63) / 64
            var liveCount = 0
            mask.withUnsafeMutableBufferPointer { mask in
                let mask = UnsafeMutableBufferPointer(rebasing: mask[..<wordCount])
                if let filter = scan.filter {
                    filter.fill(mask, for: ids, isAscending: run.isAscending)
                } else {
                    mask.update(repeating: .max)
                }
                for word in 0..<wordCount {
                    mask[word] &= run.tombstones.liveMask(word: range.lowerBound / 64 + word, rows: range.upperBound)
                    liveCount += mask[word].nonzeroBitCount
                }
            }
            if liveCount == 0 { return }
            if liveCount * 2 >= range.count {
                scoreAll(run, range)
                scores.withUnsafeBufferPointer { scores in
                    mask.withUnsafeBufferPointer { mask in
                        top.push(
                            scores: UnsafeBufferPointer(rebasing: scores[..<range.count]), ids: ids,
                            mask: UnsafeBufferPointer(rebasing: mask[..<wordCount]))
                    }
                }
            } else {
                for word in 0..<wordCount {
                    var rest = mask[word]
                    while rest != 0 {
                        positions.append(UInt32(range.lowerBound + word * 64 + rest.trailingZeroBitCount))
                        rest &= rest - 1
                    }
                }
                scoreGathered(run)
            }
        }

        /// Scores those members of the filter that are live in an ascending run.
        private mutating func lookUp(in run: RowRun) {
            guard let first = run.ids.first, let last = run.ids.last else { return }
            let hasNoGap = last &- first == Int64(run.count - 1)
            var position = 0
            for id in scan.members[scan.members.withUnsafeBufferPointer { $0.lowerBound(of: first) }...] {
                if id > last { break }
                position = hasNoGap ? Int(id - first) : run.ids.lowerBound(of: id, from: position)
                guard run.ids[position] == id, !run.tombstones.contains(position) else { continue }
                positions.append(UInt32(position))
                if positions.count == stretch { scoreGathered(run) }
            }
            scoreGathered(run)
        }

        private mutating func scoreAll(_ run: RowRun, _ range: Range<Int>) {
            let dimension = scan.query.count
            let values = run.values[range.lowerBound * dimension..<range.upperBound * dimension]
            scan.query.withUnsafeBufferPointer { query in
                scores.withUnsafeMutableBufferPointer { scores in
                    let scores = UnsafeMutableBufferPointer(rebasing: scores[..<range.count])
                    scan.kernels.score(query, rows: values, metric: scan.metric, scores: scores)
                }
            }
        }

        /// Scores and offers the gathered positions, at most a stretch of them, and forgets them.
        private mutating func scoreGathered(_ run: RowRun) {
            let count = positions.count
            guard count > 0 else { return }
            ids.removeAll(keepingCapacity: true)
            for position in positions { ids.append(run.ids[Int(position)]) }
            scan.query.withUnsafeBufferPointer { query in
                scores.withUnsafeMutableBufferPointer { scores in
                    let scores = UnsafeMutableBufferPointer(rebasing: scores[..<count])
                    positions.withUnsafeBufferPointer { positions in
                        scan.kernels.score(query, rows: run.values, at: positions, metric: scan.metric, scores: scores)
                    }
                    ids.withUnsafeBufferPointer { top.push(scores: UnsafeBufferPointer(scores), ids: $0) }
                }
            }
            positions.removeAll(keepingCapacity: true)
        }
    }
}
