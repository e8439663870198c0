import Storage

/// The best rows of one segment for a bag of terms, without looking at most postings.
///
/// Rows are cut into *windows* of 1024 ordinals. For each term and window an upper bound of the term's score is known before anything
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
/// bounds together stay below the threshold are *non-essential*. The others are added up in an array of 1024 sums; rows that could still
/// reach the threshold become candidates, and the non-essential terms are looked up for candidates only, strongest first, with the block's
/// bound asked before the block is unpacked.
struct RankedSearch {
    private let view: TextSegmentView
    private let segment: TextSegment
    private let model: BM25
    private let scratch: SearchScratch
    /// Checked when a row is about to become a result.
    private let filter: RowSet?
    /// Rows that may be results, one bit each; nil when all may.
    private let mask: UnsafeMutablePointer<UInt64>?
    private var lanes: [Lane] = []
    private let windowCount: Int
    private let windowTotals: UnsafeMutablePointer<UInt32>

    // Buffers of one window.
    private let sums: UnsafeMutablePointer<UInt32>
    private let candidateOffsets: UnsafeMutablePointer<UInt32>
    private let candidateScores: UnsafeMutablePointer<UInt32>
    private let blockOrdinals: UnsafeMutablePointer<UInt32>
    private let blockScores: UnsafeMutablePointer<UInt32>
    private var cacheRoom = 1 << 21

    static let windowShift = 10
    static let windowSize = 1 << windowShift

    /// One term's postings in this segment.
    private struct Lane {
        var weight: Float
        var windowBounds: UnsafeMutablePointer<UInt32>
        /// All postings with their scores, when the term is rare here.
        var ordinals: UnsafeMutablePointer<UInt32>?
        var scores: UnsafeMutablePointer<UInt32>?
        var count = 0
        /// Else its blocks, each one's bound, and where a block lies that was unpacked for one window and reaches into the next.
        var blocks: PostingBlocks?
        var blockBounds: UnsafeMutablePointer<UInt32>?
        var cache: UnsafeMutablePointer<UnsafeMutablePointer<UInt32>?>?
    }

    /// - Parameters:
    ///   - terms: The question's terms that the segment knows, with their scaled weights.
    ///   - required: Lists that must all contain a result.
    init(
        _ view: TextSegmentView, terms: [(postings: TermPostings, weight: Float)], required: [TermPostings], filter: RowSet?, model: BM25,
        scratch: SearchScratch
    ) {
        self.view = view
        segment = view.segment
        self.model = model
        self.scratch = scratch
        windowCount = (segment.rowCount + Self.windowSize - 1) >> Self.windowShift
        windowTotals = scratch.takeZeros(windowCount)
        sums = scratch.takeZeros(Self.windowSize)
        candidateOffsets = scratch.take(Self.windowSize)
        candidateScores = scratch.take(Self.windowSize)
        blockOrdinals = scratch.take(PostingBlock.count)
        blockScores = scratch.take(PostingBlock.count)
        (mask, self.filter) = Self.makeMask(segment, required: required, filter: filter, scratch: scratch)
        lanes.reserveCapacity(terms.count)
        for term in terms { lanes.append(makeLane(term.postings, weight: term.weight)) }
        for lane in lanes {
            for window in 0..<windowCount { windowTotals[window] &+= lane.windowBounds[window] }
        }
    }

    /// Inserts the segment's best rows.
    mutating func run(into top: inout TopRows) {
        var queue = WindowQueue(windowTotals, count: windowCount, scratch: scratch)
        while let (bound, window) = queue.next() {
            if bound < top.threshold { return }
            if bound == top.threshold, segment.rows[window << Self.windowShift] > top.worstRow { continue }
            visit(window, into: &top)
        }
    }
}

// MARK: - Preparation

extension RankedSearch {
    private static func makeMask(
        _ segment: TextSegment, required: [TermPostings], filter: RowSet?, scratch: SearchScratch
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
        for postings in required {
            let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
            let ordinals = scratch.take(room)
            segment.read(postings, ordinals: ordinals, tfs: scratch.take(room))
            let words = takeWords()
            words.initialize(repeating: 0, count: wordCount)
            for index in 0..<postings.count { words[Int(ordinals[index] >> 6)] |= 1 << UInt64(ordinals[index] & 63) }
            if let mask {
                for index in 0..<wordCount { mask[index] &= words[index] }
            } else {
                mask = words
            }
        }
        return (mask, filter)
    }

    private func makeLane(_ postings: TermPostings, weight: Float) -> Lane {
        var lane = Lane(weight: weight, windowBounds: scratch.takeZeros(windowCount))
        // Below eight postings a window, knowing where they are is worth more than what reading them costs.
        guard !postings.isShort, postings.count > 8 * windowCount else {
            let room = (postings.count + PostingBlock.count - 1) / PostingBlock.count * PostingBlock.count
            let ordinals = scratch.take(room)
            let scores = scratch.take(room)
            segment.read(postings, ordinals: ordinals, tfs: scores)
            for index in 0..<postings.count {
                let ordinal = Int(ordinals[index])
                let score = model.score(tf: scores[index], length: segment.lengths[ordinal], weight: weight)
                scores[index] = score
                let window = ordinal >> Self.windowShift
                if score > lane.windowBounds[window] { lane.windowBounds[window] = score }
            }
            lane.ordinals = ordinals
            lane.scores = scores
            lane.count = postings.count
            return lane
        }
        let blocks = PostingBlocks(postings, in: segment)
        let bounds = scratch.take(blocks.blockCount)
        var first = 0
        for block in 0..<blocks.blockCount {
            let bound = model.bound(blocks.headers[block], weight: weight)
            bounds[block] = bound
            let last = Int(blocks.lastOrdinals[block])
            for window in (first >> Self.windowShift)...(last >> Self.windowShift) where bound > lane.windowBounds[window] {
                lane.windowBounds[window] = bound
            }
            first = last + 1
        }
        let cache = UnsafeMutableRawPointer(scratch.takeZeros(2 * blocks.blockCount))
        lane.blocks = blocks
        lane.blockBounds = bounds
        lane.cache = cache.bindMemory(to: UnsafeMutablePointer<UInt32>?.self, capacity: blocks.blockCount)
        return lane
    }
}

// MARK: - One window

extension RankedSearch {
    private mutating func visit(_ window: Int, into top: inout TopRows) {
        let start = window << Self.windowShift
        let size = min(Self.windowSize, segment.rowCount - start)
        // Terms by falling bound; few, so insertion sort.
        var order: [Int] = []
        order.reserveCapacity(lanes.count)
        for lane in lanes.indices where lanes[lane].windowBounds[window] > 0 {
            var place = order.count
            order.append(lane)
            while place > 0, lanes[order[place - 1]].windowBounds[window] < lanes[lane].windowBounds[window] {
                order[place] = order[place - 1]
                place -= 1
            }
            order[place] = lane
        }
        let threshold = top.threshold
        var essentialCount = order.count
        var rest: UInt32 = 0
        while essentialCount > 0 {
            let bound = lanes[order[essentialCount - 1]].windowBounds[window]
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
            if essentialCount == 0 { return }
            for index in 0..<essentialCount { accumulate(order[index], start, size) }
            count = gather(start, size, atLeast: max(1, threshold > rest ? threshold - rest : 1))
        }
        for index in essentialCount..<order.count where count > 0 {
            let bound = lanes[order[index]].windowBounds[window]
            rest &-= bound
            count = lookUp(order[index], start, count, boundAfter: rest, threshold: threshold)
        }
        for index in 0..<count where candidateScores[index] > 0 && candidateScores[index] >= top.threshold {
            let ordinal = start + Int(candidateOffsets[index])
            guard !view.tombstones.contains(ordinal) else { continue }
            let row = segment.rows[ordinal]
            if let filter, !filter.contains(RowID(row)) { continue }
            top.insert(TopRows.Item(score: candidateScores[index], row: row))
        }
    }

    /// When the mask leaves less than a sixteenth of a window, makes its members the candidates and returns their number.
    private func fewMembers(_ start: Int, _ size: Int) -> Int? {
        guard let mask else { return nil }
        let words = mask + start >> 6
        let wordCount = (size + 63) >> 6
        var members = 0
        for word in 0..<wordCount { members += words[word].nonzeroBitCount }
        guard members < Self.windowSize / 16 else { return nil }
        var count = 0
        for word in 0..<wordCount {
            var rest = words[word]
            while rest != 0 {
                candidateOffsets[count] = UInt32(word * 64 + rest.trailingZeroBitCount)
                candidateScores[count] = 0
                count += 1
                rest &= rest - 1
            }
        }
        return count
    }

    /// Adds a term's scores to the sums of a window.
    private mutating func accumulate(_ index: Int, _ start: Int, _ size: Int) {
        let lane = lanes[index]
        let low = UInt32(truncatingIfNeeded: start)
        let high = UInt32(truncatingIfNeeded: start + size)
        if let ordinals = lane.ordinals, let scores = lane.scores {
            var position = Self.firstIndex(ordinals, lane.count, notLess: low)
            while position < lane.count, ordinals[position] < high {
                sums[Int(ordinals[position] &- low)] &+= scores[position]
                position &+= 1
            }
            return
        }
        let blocks = lane.blocks!
        var block = Self.firstIndex(blocks.lastOrdinals, blocks.blockCount, notLess: low)
        while block < blocks.blockCount {
            let base = blocks.base(of: block)
            guard base < high else { return }
            let count = blocks.size(of: block)
            if base >= low, blocks.lastOrdinals[block] < high {
                score(blocks, block, lane.weight, blockOrdinals, blockScores)
                for position in 0..<count { sums[Int(blockOrdinals[position] &- low)] &+= blockScores[position] }
            } else {
                let (ordinals, scores) = cached(lane, blocks, block)
                for position in 0..<count where ordinals[position] >= low && ordinals[position] < high {
                    sums[Int(ordinals[position] &- low)] &+= scores[position]
                }
            }
            block &+= 1
        }
    }

    /// Unpacks a block and computes its scores.
    @inline(__always)
    private func score(
        _ blocks: PostingBlocks, _ block: Int, _ weight: Float, _ ordinals: UnsafeMutablePointer<UInt32>,
        _ scores: UnsafeMutablePointer<UInt32>
    ) {
        blocks.unpack(block, ordinals: ordinals, tfs: scores)
        let lengths = segment.lengths.baseAddress!
        for position in 0..<blocks.size(of: block) {
            scores[position] = model.score(tf: scores[position], length: lengths[Int(ordinals[position])], weight: weight)
        }
    }

    /// A block that reaches over the edge of a window will be wanted again: it is kept, while there is room.
    private mutating func cached(
        _ lane: Lane, _ blocks: PostingBlocks, _ block: Int
    ) -> (UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt32>) {
        let cache = lane.cache!
        if let kept = cache[block] { return (kept, kept + PostingBlock.count) }
        guard cacheRoom > 0 else {
            score(blocks, block, lane.weight, blockOrdinals, blockScores)
            return (blockOrdinals, blockScores)
        }
        cacheRoom -= 2 * PostingBlock.count
        let kept = scratch.take(2 * PostingBlock.count)
        score(blocks, block, lane.weight, kept, kept + PostingBlock.count)
        cache[block] = kept
        return (kept, kept + PostingBlock.count)
    }

    /// Makes candidates of the sums that are large enough and clears all sums. Returns their number.
    private func gather(_ start: Int, _ size: Int, atLeast needed: UInt32) -> Int {
        var count = 0
        for offset in 0..<size {
            let sum = sums[offset]
            candidateOffsets[count] = UInt32(truncatingIfNeeded: offset)
            candidateScores[count] = sum
            if sum >= needed { count &+= 1 }
            sums[offset] = 0
        }
        guard let mask else { return count }
        var kept = 0
        for index in 0..<count {
            let ordinal = start &+ Int(candidateOffsets[index])
            candidateOffsets[kept] = candidateOffsets[index]
            candidateScores[kept] = candidateScores[index]
            if mask[ordinal &>> 6] & (1 &<< UInt64(truncatingIfNeeded: ordinal & 63)) != 0 { kept &+= 1 }
        }
        return kept
    }

    /// Adds a term's scores to the candidates that could reach the threshold, and drops those that cannot. Returns how many are left.
    ///
    /// - Parameter boundAfter: What the terms that follow can add.
    private func lookUp(_ index: Int, _ start: Int, _ count: Int, boundAfter: UInt32, threshold: UInt32) -> Int {
        let lane = lanes[index]
        var kept = 0
        if let ordinals = lane.ordinals, let scores = lane.scores {
            var position = Self.firstIndex(ordinals, lane.count, notLess: UInt32(truncatingIfNeeded: start))
            for candidate in 0..<count {
                let offset = candidateOffsets[candidate]
                let ordinal = UInt32(truncatingIfNeeded: start) &+ offset
                while position < lane.count, ordinals[position] < ordinal { position &+= 1 }
                var sum = candidateScores[candidate]
                if position < lane.count, ordinals[position] == ordinal { sum &+= scores[position] }
                candidateOffsets[kept] = offset
                candidateScores[kept] = sum
                if sum &+ boundAfter >= threshold { kept &+= 1 }
            }
            return kept
        }
        let blocks = lane.blocks!
        let bounds = lane.blockBounds!
        var block = Self.firstIndex(blocks.lastOrdinals, blocks.blockCount, notLess: UInt32(truncatingIfNeeded: start) &+ candidateOffsets[0])
        var unpacked = -1
        var isTail = false
        for candidate in 0..<count {
            let offset = candidateOffsets[candidate]
            let ordinal = UInt32(truncatingIfNeeded: start) &+ offset
            while block < blocks.blockCount, blocks.lastOrdinals[block] < ordinal { block &+= 1 }
            var sum = candidateScores[candidate]
            if block < blocks.blockCount, sum &+ bounds[block] &+ boundAfter >= threshold {
                if unpacked != block {
                    unpacked = block
                    isTail = blocks.size(of: block) < PostingBlock.count
                    blocks.unpack(block, ordinals: blockOrdinals, tfs: isTail ? blockScores : nil)
                    if isTail {
                        for position in blocks.size(of: block)..<PostingBlock.count { blockOrdinals[position] = .max }
                    }
                }
                let position = Self.firstIndexInBlock(blockOrdinals, notLess: ordinal)
                if blockOrdinals[position] == ordinal {
                    let tf = isTail ? blockScores[position] : blocks.tf(block, at: position)
                    sum &+= model.score(tf: tf, length: segment.lengths[Int(ordinal)], weight: lane.weight)
                }
            }
            candidateOffsets[kept] = offset
            candidateScores[kept] = sum
            if sum &+ boundAfter >= threshold { kept &+= 1 }
        }
        return kept
    }

    /// Where the first of some ascending numbers stands that is not less; `count` when there is none.
    @inline(__always)
    private static func firstIndex(_ numbers: UnsafePointer<UInt32>, _ count: Int, notLess wanted: UInt32) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if numbers[middle] < wanted { low = middle &+ 1 } else { high = middle }
        }
        return low
    }

    /// The same in a full block whose last number is known not to be less.
    @inline(__always)
    private static func firstIndexInBlock(_ numbers: UnsafePointer<UInt32>, notLess wanted: UInt32) -> Int {
        var index = 0
        var step = PostingBlock.count / 2
        while step > 0 {
            if numbers[index &+ step &- 1] < wanted { index &+= step }
            step &>>= 1
        }
        return index
    }
}

/// The windows of a segment by falling bound, then ascending: a heap, since only the first few are usually asked for.
private struct WindowQueue {
    private let keys: UnsafeMutablePointer<UInt64>
    private var count = 0

    init(_ bounds: UnsafeMutablePointer<UInt32>, count windowCount: Int, scratch: SearchScratch) {
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
