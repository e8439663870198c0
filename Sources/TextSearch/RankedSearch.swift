import Kernels
import Storage

/// The best rows of one segment for a bag of terms, without looking at most postings.
///
/// Rows are cut into *windows* of 8192 ordinals (4096 or 1024 in smaller segments). For each term and window an upper bound of the term's score is known before anything
/// frequent is unpacked: exact for rare terms (their postings are all read first), from the blocks' `BlockBound`s for the others. The windows
/// are then visited in order of their total bound, best first, until the bound cannot reach the k-th best score so far: the threshold rises
/// early and most windows are never touched (Mallia, Suel & Tonellotto, *Faster Learned Sparse Retrieval with Block-Max Pruning*, SIGIR 2024).
///
/// ```
///   term \ window   0    1    2    3    4    5        threshold 9 after window 3:
///   "orbital"       .    .    .    8    .    .        window 1: bound 7      never touched
///   "telescope"     .    3    5    4    .    4        window 2: bound 9 + 1  looked at
///   "image"         2    3    4    3    2    3        visit 3, 2, then stop: 5 has 8
///   "large"         1    1    1    1    1    1
///                   3    7   10   16    3    8
/// ```
///
/// Inside of a window it is MaxScore (Turtle & Flood, *Query evaluation: strategies and optimizations*, 1995), term by term: terms whose
/// bounds together stay below the threshold are *non-essential*. The others are added up in an array with one sum a row; rows that could still
/// reach the threshold become candidates, and the non-essential terms are looked up for candidates only, strongest first, with the block's
/// bound asked before the block is unpacked.
struct RankedSearch {
    private let view: TextSegmentView
    private let segment: TextSegment
    private let model: BM25
    private let scratch: QueryScratch
    /// Checked when a row is about to become a result.
    private let filter: RowSet?
    /// Rows that may be results, one bit each; nil when all may.
    private let mask: UnsafeMutablePointer<UInt64>?
    private var lanes: [Lane] = []
    private let windowCount: Int
    private let windowTotals: UnsafeMutablePointer<UInt32>

    /// Of one window: a sum for each row, and the offsets of the rows that may become results.
    private let sums: UnsafeMutablePointer<UInt32>
    private let candidates: UnsafeMutablePointer<UInt32>
    /// Where a block is unpacked when there is no room to keep it.
    private let spareBlock: UnsafeMutablePointer<UInt32>
    /// Blocks that may still be kept unpacked.
    private var cacheRoom: Int
    private let windowShift: Int
    private var windowSize: Int { 1 << windowShift }

    /// One term's postings in this segment.
    private struct Lane {
        let weight: Float
        /// How many postings there are, and in a window on average.
        let count: Int
        let countInWindow: Int
        /// For each window the largest possible score.
        let bounds: UnsafeMutablePointer<UInt32>
        /// For each window its first posting, where the term is rare; else the first block that reaches into it.
        let first: UnsafeMutablePointer<UInt32>
        /// All postings with their scores, when the term is rare.
        var ordinals: UnsafeMutablePointer<UInt32>?
        var scores: UnsafeMutablePointer<UInt32>?
        /// Else its blocks, the bound of each, and where it lies unpacked: 128 ordinals, then 128 tf.
        var blocks: PostingBlocks?
        var blockBounds: UnsafeMutablePointer<UInt32>?
        var cache: UnsafeMutablePointer<UnsafeMutablePointer<UInt32>?>?
        /// Scores for small tf and length, see `ScoreTables`.
        var table: UnsafePointer<UInt32>?
    }

    /// - Parameters:
    ///   - terms: The question's terms that the segment knows, with their scaled weights.
    ///   - tables: For each of the terms its `ScoreTables`, which outlive the search; none when empty.
    ///   - required: A result is in one list of each.
    ///   - windowShift: Binary logarithm of the window's size, 6 or more; chosen by the segment's size when nil.
    ///   - cacheRoom: Blocks of 1 KiB that the search may keep unpacked.
    init(
        _ view: TextSegmentView, terms: [(postings: TermPostings, weight: Float)], tables: [UnsafePointer<UInt32>?] = [],
        required: [[TermPostings]], filter: RowSet?, model: BM25, scratch: QueryScratch, windowShift: Int? = nil, cacheRoom: Int = 1 << 13
    ) {
        // Measured: large windows pass over a large segment faster, small ones prune better where few of them are all there is.
        let rowCount = view.segment.rowCount
        let windowShift = windowShift ?? (rowCount > 1 << 18 ? 13 : rowCount > 1 << 16 ? 12 : 10)
        self.windowShift = windowShift
        self.cacheRoom = cacheRoom
        self.view = view
        segment = view.segment
        self.model = model
        self.scratch = scratch
        windowCount = (segment.rowCount - 1) >> windowShift + 1
        windowTotals = scratch.takeZeros(windowCount)
        sums = scratch.takeZeros(1 << windowShift)
        candidates = scratch.take(1 << windowShift + 1)
        spareBlock = scratch.take(2 * PostingBlock.count)
        (mask, self.filter) = Self.makeMask(segment, required: required, filter: filter, scratch: scratch)
        lanes.reserveCapacity(terms.count)
        for (index, term) in terms.enumerated() {
            lanes.append(makeLane(term.postings, weight: term.weight))
            if index < tables.count { lanes[index].table = tables[index] }
        }
        for lane in lanes {
            for window in 0..<windowCount { windowTotals[window] &+= lane.bounds[window] }
        }
    }

    /// Inserts the segment's best rows.
    mutating func run(into top: inout TopRows) {
        var queue = WindowQueue(windowTotals, count: windowCount, scratch: scratch)
        while let (bound, window) = queue.next() {
            if bound < top.threshold { return }
            if bound == top.threshold, segment.rows[window << windowShift] > top.worstRow { continue }
            visit(window, into: &top)
        }
    }
}

// MARK: - Preparation

extension RankedSearch {
    private static func makeMask(
        _ segment: TextSegment, required: [[TermPostings]], filter: RowSet?, scratch: QueryScratch
    ) -> (UnsafeMutablePointer<UInt64>?, RowSet?) {
        var mask: UnsafeMutablePointer<UInt64>?
        var filter = filter
        let wordCount = (segment.rowCount + 63) / 64
        func takeWords() -> UnsafeMutablePointer<UInt64> {
            UnsafeMutableRawPointer(scratch.take(2 * wordCount)).bindMemory(to: UInt64.self, capacity: wordCount)
        }
        if let rows = filter {
            let hasNoGap = segment.rows.last! &- segment.rows[0] == Int64(segment.rowCount - 1)
            // Filling a mask costs a step for each row when ids have gaps: only worth it when most rows will not be looked at.
            if hasNoGap || rows.count < segment.rowCount / 4 {
                let words = takeWords()
                rows.fill(UnsafeMutableBufferPointer(start: words, count: wordCount), for: segment.rows)
                mask = words
                filter = nil
            }
        }
        for lists in required {
            let words = takeWords()
            words.initialize(repeating: 0, count: wordCount)
            for postings in lists {
                let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
                let ordinals = scratch.take(room)
                segment.read(postings, ordinals: ordinals, tfs: scratch.take(room))
                for index in 0..<postings.count { words[Int(ordinals[index] >> 6)] |= 1 << UInt64(ordinals[index] & 63) }
            }
            if let mask {
                for index in 0..<wordCount { mask[index] &= words[index] }
            } else {
                mask = words
            }
        }
        return (mask, filter)
    }

    private func makeLane(_ postings: TermPostings, weight: Float) -> Lane {
        var lane = Lane(
            weight: weight, count: postings.count, countInWindow: (postings.count + windowCount - 1) / windowCount,
            bounds: scratch.takeZeros(windowCount), first: scratch.take(windowCount + 1))
        // Below eight postings a window, knowing where they are is worth more than what reading them costs.
        if postings.isShort || postings.count <= 8 * windowCount {
            readAll(postings, into: &lane)
        } else {
            readBounds(postings, into: &lane)
        }
        return lane
    }

    private func readAll(_ postings: TermPostings, into lane: inout Lane) {
        let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
        let ordinals = scratch.take(room)
        let scores = scratch.take(room)
        segment.read(postings, ordinals: ordinals, tfs: scores)
        var next = 0
        for index in 0..<postings.count {
            let ordinal = Int(ordinals[index])
            let score = model.score(tf: scores[index], length: segment.lengths[ordinal], weight: lane.weight)
            scores[index] = score
            let window = ordinal >> windowShift
            while next <= window {
                lane.first[next] = UInt32(index)
                next += 1
            }
            lane.bounds[window] = max(lane.bounds[window], score)
        }
        while next <= windowCount {
            lane.first[next] = UInt32(postings.count)
            next += 1
        }
        lane.ordinals = ordinals
        lane.scores = scores
    }

    private func readBounds(_ postings: TermPostings, into lane: inout Lane) {
        let blocks = PostingBlocks(postings, in: segment)
        let blockBounds = scratch.take(blocks.blockCount)
        var next = 0
        for block in 0..<blocks.blockCount {
            let bound = model.bound(blocks.headers[block], weight: lane.weight)
            blockBounds[block] = bound
            let last = Int(blocks.lastOrdinals[block]) >> windowShift
            for window in (Int(blocks.base(of: block)) >> windowShift)...last { lane.bounds[window] = max(lane.bounds[window], bound) }
            while next <= last {
                lane.first[next] = UInt32(block)
                next += 1
            }
        }
        while next <= windowCount {
            lane.first[next] = UInt32(blocks.blockCount)
            next += 1
        }
        lane.blocks = blocks
        lane.blockBounds = blockBounds
        lane.cache = UnsafeMutableRawPointer(scratch.takeZeros(2 * blocks.blockCount))
            .bindMemory(to: UnsafeMutablePointer<UInt32>?.self, capacity: blocks.blockCount)
    }
}

// MARK: - One window

extension RankedSearch {
    private mutating func visit(_ window: Int, into top: inout TopRows) {
        let start = window << windowShift
        let size = min(windowSize, segment.rowCount - start)
        let threshold = top.threshold
        let order = lanesByBound(window)
        var essentialCount = order.count
        // What the non-essential terms can add together.
        var rest: UInt32 = 0
        while essentialCount > 0 {
            let bound = lanes[order[essentialCount - 1]].bounds[window]
            guard rest &+ bound < threshold else { break }
            rest &+= bound
            essentialCount -= 1
        }

        var count: Int
        if let members = fewMembers(start, size) {
            // So few rows may be results that they are the candidates, and all terms are looked up.
            count = members
            essentialCount = 0
            rest = windowTotals[window]
        } else {
            for index in 0..<essentialCount { accumulate(order[index], window, start, size) }
            count = gather(start, size, atLeast: max(1, threshold > rest ? threshold - rest : 1))
        }
        for index in essentialCount..<order.count where count > 0 {
            rest &-= lanes[order[index]].bounds[window]
            // Adding all of a term's postings costs about as much for each as an eighth of a look-up.
            if lanes[order[index]].countInWindow < 8 * count {
                accumulate(order[index], window, start, size)
            } else {
                lookUp(order[index], window, start, count, boundAfter: rest, threshold: threshold)
            }
            count = keep(count, atLeast: threshold > rest ? threshold - rest : 0)
        }
        for index in 0..<count {
            let offset = Int(candidates[index])
            let score = sums[offset]
            guard score > 0, score >= top.threshold, !view.tombstones.contains(start + offset) else { continue }
            let row = segment.rows[start + offset]
            if let filter, !filter.contains(RowID(row)) { continue }
            top.insert(TopRows.Item(score: score, row: row))
        }
        sums.update(repeating: 0, count: windowSize)
    }

    /// The terms that a window may have, by falling bound.
    private func lanesByBound(_ window: Int) -> [Int] {
        var order: [Int] = []
        order.reserveCapacity(lanes.count)
        for lane in lanes.indices where lanes[lane].bounds[window] > 0 {
            // Few terms: insertion sort.
            var place = order.count
            order.append(lane)
            while place > 0, lanes[order[place - 1]].bounds[window] < lanes[lane].bounds[window] {
                order[place] = order[place - 1]
                place -= 1
            }
            order[place] = lane
        }
        return order
    }

    /// When the mask leaves less than a sixteenth of a window, makes its members the candidates and returns their number.
    private func fewMembers(_ start: Int, _ size: Int) -> Int? {
        guard let mask else { return nil }
        let words = mask + start >> 6
        let wordCount = (size + 63) >> 6
        var members = 0
        for word in 0..<wordCount { members += words[word].nonzeroBitCount }
        guard members < windowSize / 16 else { return nil }
        var count = 0
        for word in 0..<wordCount {
            var rest = words[word]
            while rest != 0 {
                candidates[count] = UInt32(word * 64 + rest.trailingZeroBitCount)
                count += 1
                rest &= rest - 1
            }
        }
        return count
    }

    /// Adds a term's scores to the sums of a window.
    private mutating func accumulate(_ index: Int, _ window: Int, _ start: Int, _ size: Int) {
        let lane = lanes[index]
        let low = UInt32(truncatingIfNeeded: start)
        let high = UInt32(truncatingIfNeeded: start + size)
        let sums = sums
        if let ordinals = lane.ordinals, let scores = lane.scores {
            for position in Int(lane.first[window])..<Int(lane.first[window + 1]) {
                sums[Int(ordinals[position] &- low)] &+= scores[position]
            }
            return
        }
        let blocks = lane.blocks!
        let lengths = segment.lengths.baseAddress!
        let model = model
        var block = Int(lane.first[window])
        while block < blocks.blockCount, blocks.base(of: block) < high {
            let ordinals = unpacked(lane, blocks, block)
            let tfs = ordinals + PostingBlock.count
            let count = blocks.size(of: block)
            // Lengths of this window's rows lie together; those of the rest of the block are read when their window is visited.
            let isWhole = blocks.lastOrdinals[block] < high
            let end = isWhole ? count : Self.firstIndex(ordinals, count, notLess: high)
            var position = Self.firstIndex(ordinals, count, notLess: low)
            if let table = lane.table {
                while position < end {
                    let ordinal = Int(truncatingIfNeeded: ordinals[position])
                    let tf = tfs[position]
                    let length = lengths[ordinal]
                    let score =
                        tf <= UInt32(ScoreTables.tfMax) && length < UInt32(ScoreTables.lengthCount)
                        ? table[Int(truncatingIfNeeded: (tf &- 1) &* UInt32(ScoreTables.lengthCount) &+ length)]
                        : model.score(tf: tf, length: length, weight: lane.weight)
                    sums[ordinal &- start] &+= score
                    position &+= 1
                }
            } else {
                while position < end {
                    let ordinal = ordinals[position]
                    sums[Int(ordinal &- low)] &+= model.score(tf: tfs[position], length: lengths[Int(ordinal)], weight: lane.weight)
                    position &+= 1
                }
            }
            if !isWhole { return }
            block &+= 1
        }
    }

    /// A block's 128 ordinals and 128 tf. A block reaches into several windows and is asked for by each: it is kept, while there is room.
    private mutating func unpacked(_ lane: Lane, _ blocks: PostingBlocks, _ block: Int) -> UnsafeMutablePointer<UInt32> {
        if let kept = lane.cache![block] { return kept }
        let target: UnsafeMutablePointer<UInt32>
        if cacheRoom > 0 {
            cacheRoom -= 1
            target = scratch.take(2 * PostingBlock.count)
            lane.cache![block] = target
        } else {
            target = spareBlock
        }
        blocks.unpack(block, ordinals: target, tfs: target + PostingBlock.count)
        return target
    }

    /// Makes candidates of the rows whose sums are large enough. Returns their number.
    private func gather(_ start: Int, _ size: Int, atLeast needed: UInt32) -> Int {
        let count = KernelTable.best.select(sums, count: size, atLeast: needed, positions: candidates)
        guard let mask else { return count }
        var kept = 0
        for index in 0..<count {
            let ordinal = start &+ Int(candidates[index])
            candidates[kept] = candidates[index]
            if mask[ordinal &>> 6] & (1 &<< UInt64(truncatingIfNeeded: ordinal & 63)) != 0 { kept &+= 1 }
        }
        return kept
    }

    /// Keeps the candidates whose sums are large enough. Returns their number.
    private func keep(_ count: Int, atLeast needed: UInt32) -> Int {
        var kept = 0
        for index in 0..<count {
            let offset = candidates[index]
            candidates[kept] = offset
            if sums[Int(offset)] >= needed { kept &+= 1 }
        }
        return kept
    }

    /// Adds a term's scores to the sums of the candidates that could reach the threshold with it.
    ///
    /// - Parameter boundAfter: What the terms that follow can add.
    private mutating func lookUp(_ index: Int, _ window: Int, _ start: Int, _ count: Int, boundAfter: UInt32, threshold: UInt32) {
        let lane = lanes[index]
        let low = UInt32(truncatingIfNeeded: start)
        if let ordinals = lane.ordinals, let scores = lane.scores {
            var position = Int(lane.first[window])
            let end = Int(lane.first[window + 1])
            for candidate in 0..<count {
                let offset = candidates[candidate]
                while position < end, ordinals[position] &- low < offset { position &+= 1 }
                if position < end, ordinals[position] &- low == offset { sums[Int(offset)] &+= scores[position] }
            }
            return
        }
        let blocks = lane.blocks!
        let bounds = lane.blockBounds!
        var block = Int(lane.first[window])
        for candidate in 0..<count {
            let offset = Int(candidates[candidate])
            let ordinal = low &+ candidates[candidate]
            while block < blocks.blockCount, blocks.lastOrdinals[block] < ordinal { block &+= 1 }
            guard block < blocks.blockCount else { return }
            guard sums[offset] &+ bounds[block] &+ boundAfter >= threshold else { continue }
            let ordinals = unpacked(lane, blocks, block)
            let position = Self.firstIndex(ordinals, blocks.size(of: block), notLess: ordinal)
            if ordinals[position] == ordinal {
                let tf = ordinals[PostingBlock.count &+ position]
                sums[offset] &+= model.score(tf: tf, length: segment.lengths[Int(ordinal)], weight: lane.weight)
            }
        }
    }

    /// Where the first of some ascending numbers stands that is not less; `count` when there is none.
    @inline(__always)
    private static func firstIndex(_ numbers: UnsafePointer<UInt32>, _ count: Int, notLess wanted: UInt32) -> Int {
        var first = 0
        var rest = count
        // Without a branch that could be guessed wrong.
        while rest > 0 {
            let half = (rest &+ 1) &>> 1
            first = numbers[first &+ half &- 1] < wanted ? first &+ half : first
            rest = rest &- half
        }
        return first
    }
}

/// The windows of a segment by falling bound, then ascending: a heap, since only the first few are usually asked for.
private struct WindowQueue {
    private let keys: UnsafeMutablePointer<UInt64>
    private var count = 0

    init(_ bounds: UnsafeMutablePointer<UInt32>, count windowCount: Int, scratch: QueryScratch) {
        keys = UnsafeMutableRawPointer(scratch.take(2 * windowCount)).bindMemory(to: UInt64.self, capacity: windowCount)
        for window in 0..<windowCount where bounds[window] > 0 {
            keys[count] = UInt64(bounds[window]) << 32 | UInt64(UInt32.max - UInt32(window))
            count += 1
        }
        for index in stride(from: count / 2 - 1, through: 0, by: -1) { sink(index) }
    }

    mutating func next() -> (bound: UInt32, window: Int)? {
        guard count > 0 else { return nil }
        let key = keys[0]
        count -= 1
        keys[0] = keys[count]
        sink(0)
        return (UInt32(truncatingIfNeeded: key >> 32), Int(UInt32.max - UInt32(truncatingIfNeeded: key)))
    }

    private func sink(_ start: Int) {
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < count else { return }
            if child + 1 < count, keys[child + 1] > keys[child] { child += 1 }
            guard keys[child] > keys[index] else { return }
            (keys[child], keys[index]) = (keys[index], keys[child])
            index = child
        }
    }
}
