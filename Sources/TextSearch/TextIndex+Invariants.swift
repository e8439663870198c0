import Foundation
import Storage

extension TextIndex {
    /// Reads all checksums and internal invariants; returns one sentence per flaw.
    ///
    /// Waits for a seal that is under way, and a seal waits for it; searches, adds and removes go on.
    package func verify() -> [String] {
        maintenance.lock()
        defer { maintenance.unlock() }
        let snapshot = snapshot()
        var flaws: [String] = []
        do {
            if let manifest = try IndexManifest.load(directory: directory) {
                let open = snapshot.files.map { $0.segment.fileName! }
                if manifest.segments != open && !isReadOnly {
                    flaws.append(
                        "manifest in '\(directory)' names \(manifest.segments.count) segments, \(open.count) are open; run 'outrider index rebuild'"
                    )
                }
            } else if !snapshot.files.isEmpty {
                flaws.append("manifest in '\(directory)' is missing; run 'outrider index rebuild'")
            }
        } catch {
            flaws.append(error.description)
        }
        var live: Set<Int64> = []
        for view in snapshot.views {
            let name = view.segment.fileName.map { "text segment '\(directory)/\($0)'" } ?? "text segment in memory"
            do { try view.segment.verifyFile() } catch {
                // What follows would read what is known to be damaged.
                flaws.append(error.description)
                continue
            }
            if let flaw = view.segment.firstFlaw() { flaws.append("\(name): \(flaw); run 'outrider index rebuild'") }
            if view.tombstones.ordinals.count != view.tombstones.count {
                flaws.append("\(name): its deletions are miscounted; run 'outrider index rebuild'")
            }
            for ordinal in 0..<view.segment.rowCount where !view.tombstones.contains(ordinal) {
                if !live.insert(view.segment.rows[ordinal]).inserted {
                    flaws.append("\(name): row \(view.segment.rows[ordinal]) is live in two segments; run 'outrider index rebuild'")
                }
            }
        }
        return flaws
    }
}

extension TextSegment {
    /// The first broken invariant, in words; nil when all hold.
    func firstFlaw() -> String? {
        for ordinal in rows.indices.dropFirst() where rows[ordinal - 1] >= rows[ordinal] {
            return "row ids do not ascend at ordinal \(ordinal)"
        }
        if lengths.reduce(UInt64(0), { $0 + UInt64($1) }) != totalLength { return "lengths do not add up to \(totalLength)" }
        var cursor = TermCursor(self)
        var previous: [UInt8] = []
        var termsSeen = 0
        var postingsSeen = 0
        while cursor.next() {
            if termsSeen > 0, !previous.lexicographicallyPrecedes(cursor.term) { return "terms do not ascend at number \(termsSeen)" }
            previous = cursor.term
            termsSeen += 1
            postingsSeen += cursor.postings.count
            if let flaw = firstFlaw(of: cursor.postings) { return "term number \(termsSeen - 1): \(flaw)" }
            let found = cursor.term.withUnsafeBufferPointer { postings(of: $0) }
            if found?.count != cursor.postings.count { return "term number \(termsSeen - 1) is not found by its bytes" }
        }
        if termsSeen != termCount || postingsSeen != postingCount {
            return "it has \(termsSeen) terms and \(postingsSeen) postings, expected \(termCount) and \(postingCount)"
        }
        return nil
    }

    private func firstFlaw(of postings: TermPostings) -> String? {
        guard postings.count > 0 else { return "it has no postings" }
        let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
        var ordinals = [UInt32](repeating: 0, count: room)
        var tfs = ordinals
        read(postings, ordinals: &ordinals, tfs: &tfs)
        for index in 0..<postings.count {
            if index > 0, ordinals[index - 1] >= ordinals[index] { return "ordinals do not ascend at posting \(index)" }
            if ordinals[index] >= rowCount { return "posting \(index) is of a row that is not there" }
            if tfs[index] == 0 { return "posting \(index) has no occurrence" }
        }
        guard !postings.isShort else { return nil }
        let blocks = PostingBlocks(postings, in: self)
        for block in 0..<blocks.blockCount {
            let header = blocks.headers[block]
            let start = block * PostingBlock.count
            let end = start + blocks.size(of: block)
            if blocks.lastOrdinals[block] != ordinals[end - 1] { return "block \(block) does not end where it says" }
            for index in start..<end {
                let length = lengths[Int(ordinals[index])]
                let isCovered = [(header.tf0, header.length0), (header.tf1, header.length1)].contains { tf, shortest in
                    (tf == BlockBound.anyTF || tfs[index] <= tf) && length >= shortest
                }
                if !isCovered { return "posting \(index) is not below the bound of block \(block)" }
            }
        }
        return nil
    }
}
