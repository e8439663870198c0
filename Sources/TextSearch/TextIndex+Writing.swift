import Foundation
package import Storage
import Synchronization

extension TextIndex {
    /// A segment of the delta is finished when it has so many postings or rows: bounds the memory of a bulk add.
    private static let postingsMax = 4 << 20
    private static let rowsMax = 1 << 15
    /// So many segments of the delta of about one size are merged into one.
    private static let mergeFactor = 4

    /// Adds rows; the next search sees them, all at once. A row id that is already there is replaced.
    package func add(_ rows: [TextRow]) {
        guard !rows.isEmpty else { return }
        // Analysis is the work; it needs no lock, so several callers do it at the same time.
        let segments = build(Self.lastOfEachRow(rows))
        writer.withLock {
            var next = snapshot()
            for segment in segments { next.remove(segment.rows) }
            next.memory += segments.map { TextSegmentView($0) }
            mergeDelta(&next)
            current.withLock { $0 = next }
        }
    }

    /// Removes rows; the next search does not return them. Unknown ids are ignored.
    package func remove(_ rows: [RowID]) {
        guard !rows.isEmpty else { return }
        let ascending = rows.map(\.rawValue).sorted()
        writer.withLock {
            var next = snapshot()
            ascending.withUnsafeBufferPointer { next.remove($0) }
            current.withLock { $0 = next }
        }
    }

    /// Rows ascending by id; of several with one id the last.
    private static func lastOfEachRow(_ rows: [TextRow]) -> [TextRow] {
        if zip(rows, rows.dropFirst()).allSatisfy({ $0.row < $1.row }) { return rows }
        var last: [RowID: Int] = [:]
        for (index, row) in rows.enumerated() { last[row.row] = index }
        return last.sorted { $0.key < $1.key }.map { rows[$0.value] }
    }

    private func build(_ rows: [TextRow]) -> [TextSegment] {
        analyzer.withWorker { worker in
            var segments: [TextSegment] = []
            var start = 0
            while start < rows.count {
                var builder = TextSegmentBuilder(unit: unit, titleUnits: titleUnits)
                let first = start
                while start < rows.count, start - first < Self.rowsMax, builder.postingCount < Self.postingsMax {
                    builder.append(rows[start], with: worker)
                    start += 1
                }
                segments.append(builder.finish())
            }
            return segments
        }
    }

    /// Merges the youngest segments of the delta while four of about one size stand at its end: each row is rewritten O(log n) times.
    private func mergeDelta(_ next: inout Snapshot) {
        while true {
            guard let youngest = next.memory.last else { return }
            let tier = Self.tier(youngest.liveCount)
            var start = next.memory.count
            while start > frozenCount, Self.tier(next.memory[start - 1].liveCount) <= tier { start -= 1 }
            let run = next.memory[start...]
            guard run.count >= Self.mergeFactor, run.reduce(0, { $0 + $1.liveCount }) <= Self.rowsMax * Self.mergeFactor else { return }
            let merged = TextSegment.merged(Array(run), unit: unit)
            next.memory.removeSubrange(start...)
            if let merged { next.memory.append(TextSegmentView(merged)) }
        }
    }

    /// Sizes within a factor of four are one tier.
    static func tier(_ rowCount: Int) -> Int { (Int.bitWidth - rowCount.leadingZeroBitCount) / 2 }
}

extension TextIndex.Snapshot {
    /// Marks rows as deleted wherever they are.
    ///
    /// - Parameter rows: Ascending.
    mutating func remove(_ rows: UnsafeBufferPointer<Int64>) {
        guard let smallest = rows.first, let largest = rows.last else { return }
        func remove(from view: inout TextSegmentView) {
            // New ids are larger than all others: most segments are passed over by their range.
            guard view.segment.rows[0] <= largest, view.segment.rows.last! >= smallest else { return }
            for row in rows {
                if let ordinal = view.segment.ordinal(of: row) { _ = view.tombstones.insert(ordinal) }
            }
        }
        for index in files.indices { remove(from: &files[index]) }
        for index in memory.indices { remove(from: &memory[index]) }
    }
}
