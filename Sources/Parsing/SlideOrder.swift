/// Puts the boxes of a slide into the order in which they are read, as programs keep them in the order in which they were drawn.
///
/// The boxes are cut apart along the widest straight gap, between columns or between rows, and each side is cut on (the recursive
/// X-Y cut of Nagy and Seth, 1984). Equal gaps part columns. A box over several columns is cut off first, so that they can be parted.
enum SlideOrder {
    struct Box {
        var left, top, right, bottom: Double
    }

    /// The indices of `boxes` in reading order.
    ///
    /// - Complexity: O(*n*² log *n*) at worst, for boxes that are cut off one by one.
    static func indices(_ boxes: [Box]) -> [Int] {
        // Slides of thousands of boxes are drawings; rows are enough for them.
        guard boxes.count <= 500 else {
            return boxes.indices.sorted { (boxes[$0].top, boxes[$0].left, $0) < (boxes[$1].top, boxes[$1].left, $1) }
        }
        var result: [Int] = []
        var pending = [Array(boxes.indices)]
        while let group = pending.popLast() {
            let across = cut(group, boxes) { ($0.left, $0.right) }
            let down = cut(group, boxes) { ($0.top, $0.bottom) }
            let isColumns = down.gap == nil || (across.gap ?? -1) >= (down.gap ?? 0)
            if across.gap == nil, down.gap != nil, group.count <= 60, let parts = freeingColumns(group, boxes) {
                pending.append(contentsOf: parts.reversed())
            } else if let parts = across.gap != nil && isColumns ? across.parts : down.gap != nil ? down.parts : nil {
                pending.append(contentsOf: parts.reversed())
            } else {
                result += group.sorted { (boxes[$0].top, boxes[$0].left, $0) < (boxes[$1].top, boxes[$1].left, $1) }
            }
        }
        return result
    }

    /// The cut between rows after which most boxes can be parted into columns, or nil when none can.
    private static func freeingColumns(_ group: [Int], _ boxes: [Box]) -> [[Int]]? {
        let sorted = group.sorted { (boxes[$0].top, $0) < (boxes[$1].top, $1) }
        var best: (count: Int, index: Int)?
        var bottom = -Double.infinity
        for (index, box) in sorted.enumerated() {
            if index > 0, boxes[box].top >= bottom {
                let sides = [Array(sorted[..<index]), Array(sorted[index...])]
                let count = sides.reduce(0) { sum, side in
                    let across = cut(side, boxes) { ($0.left, $0.right) }.gap
                    let down = cut(side, boxes) { ($0.top, $0.bottom) }.gap
                    return sum + (side.count > 3 && across != nil && across! >= (down ?? 0) ? side.count : 0)
                }
                if count > best?.count ?? 0 { best = (count, index) }
            }
            bottom = max(bottom, boxes[box].bottom)
        }
        return best.map { [Array(sorted[..<$0.index]), Array(sorted[$0.index...])] }
    }

    /// The two sides of the widest gap along one direction; boxes that overlap a little, as text boxes do, still have one.
    private static func cut(_ group: [Int], _ boxes: [Box], _ extent: (Box) -> (Double, Double)) -> (gap: Double?, parts: [[Int]]) {
        let sorted = group.sorted { (extent(boxes[$0]).0, $0) < (extent(boxes[$1]).0, $1) }
        var best: (gap: Double, index: Int)?
        guard var end = sorted.first.map({ extent(boxes[$0]).1 }) else { return (nil, []) }
        var smallest = sorted.first.map { extent(boxes[$0]).1 - extent(boxes[$0]).0 } ?? 0
        for (index, box) in sorted.enumerated().dropFirst() {
            let (start, stop) = extent(boxes[box])
            smallest = min(smallest, stop - start)
            let gap = start - end
            if gap >= -0.1 * max(0, smallest), best.map({ gap > $0.gap }) ?? true { best = (gap, index) }
            end = max(end, stop)
        }
        guard let best else { return (nil, []) }
        return (max(0, best.gap), [Array(sorted[..<best.index]), Array(sorted[best.index...])])
    }
}
