/// What the best posting of a block could score, for any k1, b and average length.
///
/// BM25 grows with tf and falls with length, so a pair (largest tf, smallest length) bounds a whole block, but loosely: the two seldom meet.
/// Two pairs do much better: one for the postings with many occurrences, one for the rest. (Lucene keeps all pairs that are not dominated
/// by another: Grand, Muir, Ferenczi & Lin, *From MaxScore to Block-Max WAND*, ECIR 2020, §3.2.)
///
/// ```
///   length
///     |  x    x
///     |    x     x          pair 0 = (tf 5, length of the o below): postings with tf > split
///     | x  x                pair 1 = (tf 2, shortest of the x): postings with tf <= split
///     | x     o   o
///     +--1--2--3--4--5--> tf
/// ```
struct BlockBound: Equatable {
    var tf0: UInt16
    var length0: UInt16
    var tf1: UInt16
    var length1: UInt16

    /// This tf stands for "any number of occurrences".
    static let anyTF = UInt16.max
    private static let bucketCount = 12

    /// The two pairs for some postings, split where the weaker bound is best under ordinary parameters.
    static func covering(
        tfs: UnsafePointer<UInt32>, ordinals: UnsafePointer<UInt32>, count: Int, lengths: [UInt32], unit: Int, averageLength: Float
    ) -> BlockBound {
        // Bucket n holds tf of n + 1 whole occurrences; the last one all above.
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 2 * bucketCount) { buckets in
            let tfMax = buckets.baseAddress!
            let lengthMin = tfMax + bucketCount
            tfMax.initialize(repeating: 0, count: bucketCount)
            lengthMin.initialize(repeating: .max, count: bucketCount)
            lengths.withUnsafeBufferPointer { lengths in
                for index in 0..<count {
                    let tf = tfs[index]
                    let bucket = min(Int(tf) / unit, bucketCount - 1)
                    tfMax[bucket] = max(tfMax[bucket], tf)
                    lengthMin[bucket] = min(lengthMin[bucket], lengths[Int(ordinals[index])])
                }
            }
            var best = (tf0: UInt32(0), length0: UInt32.max, tf1: UInt32(0), length1: UInt32.max)
            var bestCost = Float.infinity
            for split in 0..<bucketCount where tfMax[split] > 0 {
                var pair = (tf0: UInt32(0), length0: UInt32.max, tf1: UInt32(0), length1: UInt32.max)
                for bucket in 0..<bucketCount where tfMax[bucket] > 0 {
                    if bucket > split {
                        pair.tf0 = max(pair.tf0, tfMax[bucket])
                        pair.length0 = min(pair.length0, lengthMin[bucket])
                    } else {
                        pair.tf1 = max(pair.tf1, tfMax[bucket])
                        pair.length1 = min(pair.length1, lengthMin[bucket])
                    }
                }
                let cost = max(score(pair.tf0, pair.length0, unit, averageLength), score(pair.tf1, pair.length1, unit, averageLength))
                if cost < bestCost {
                    bestCost = cost
                    best = pair
                }
            }
            return BlockBound(
                tf0: UInt16(clamping: best.tf0), length0: UInt16(clamping: best.length0), tf1: UInt16(clamping: best.tf1),
                length1: UInt16(clamping: best.length1))
        }
    }

    private static func score(_ tf: UInt32, _ length: UInt32, _ unit: Int, _ averageLength: Float) -> Float {
        guard tf > 0 else { return 0 }
        return Float(tf) / (Float(tf) + Float(unit) * 0.9 * (0.6 + 0.4 * Float(length) / averageLength))
    }
}
