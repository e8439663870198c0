import Kernels
import Storage

/// The inverted lists of one flat segment: where to look first, and small codes to look at.
///
/// ```
///  query --rotate--> centroids, 7-bit codes (all of them, one pass)
///          nearest lists, best first, those whose rows have chance enough to be among the answer (`ProbePlan`)
///             extent of a list (4 KiB-aligned): [ blocks of 1-bit codes | row positions | fine factors | 4-bit codes ]
///                  1-bit scan -> upper bound of the score -> 4-bit code of those that may enter the top k
///                  the flat segment's own vectors -> exact score of those that may still be among the k
/// ```
///
/// The flat segment stays the truth: it holds ids and vectors, and deletions are its bitmap. This file is derived from it and may be lost at any time.
///
/// The codes are RaBitQ's (Gao and Long, SIGMOD 2024; with more bits Gao et al., SIGMOD 2025) of the residual *r* = *x* − *c* after a random rotation.
/// With *s* = sign(*r*) the estimate of ⟨q − c, r⟩ is ⟨q − c, s⟩ · |r|² / ⟨s, r⟩; it is unbiased, and its error shrinks with the dimension. All vectors have the
/// rows' mean subtracted first, which changes no distance and makes the numbers in the look-up table smaller.
///
/// Inside, a score is *½(|q|² + |x|² − |q − x|²)* for cosine and inner product (their own value) and *−½|q − x|²* for L2, so that one formula serves all three:
///
///     score(x) = base(q, c) + addend(x) + factor(x) · ⟨q, s⟩         base = ½|q|² − ½|q − c|² (without ½|q|² for L2)
///     factor = |r|² / ⟨s, r⟩                                         addend = ½|x|² − ½|r|² − factor · ⟨c, s⟩ (without ½|x|² for L2)
///
/// A segment file of kind `IVFR`, version 1:
///
/// | section | element | content |
/// | --- | --- | --- |
/// | `meta` | `UInt64` × 10 | dimension; padded dimension; metric; rows; nlist; rotation seed; rounds; header checksum of the flat segment; 0; 0 |
/// | `spread` | `Float` × 2 | relative standard error of the 1-bit and of the 4-bit estimate |
/// | `mean` | `Float` × padded | rotated mean of the rows |
/// | `centroids` | `Float` × nlist × padded | rotated, mean subtracted |
/// | `directory` | 32 bytes × nlist | offset of the extent (8), rows (4), zero (4), radius (4), mean addend (4), zero (8) |
/// | `plan` | `Float` | number of table entries (1,200), 0, the table `[20 rank bands, 60 levels]`; see `ProbePlan` |
/// | `prices` | `Float` | k, recall and price in turn; files of before have none |
/// | `lists` | bytes | the extents |
final class InvertedFile: @unchecked Sendable {
    // Invariant: nothing changes after `init` but `plan`, which whoever builds the file sets before anyone else sees it; `owner` keeps the lists' memory alive.
    static let kind = "IVFR"
    static let version: UInt32 = 1
    static let rotationRounds = 4

    let dimension: Int
    /// The dimension rounded up to a multiple of 64.
    let padded: Int
    let metric: Metric
    let count: Int
    let nlist: Int
    let seed: UInt64
    let spread: Spread
    let mean: [Float]
    let centroids: [Float]
    let directory: [ListEntry]
    var plan: ProbePlan
    let lists: UnsafeRawBufferPointer
    let owner: AnyObject

    /// Derived: half the squared length of each centroid, and its 7-bit code with the code's scale.
    let centroidCodes: AlignedMemory
    /// Five columns of `nlist` floats: the codes' scales, half the squared lengths, radii and mean addends of the lists, and their numbers of rows.
    let columns: AlignedMemory
    /// The lists, where they lie.
    private let placeMemory: AlignedMemory
    let listCountMax: Int
    let flips: [UInt64]
    let squareRootDimension: Float

    /// Standard errors, to be multiplied with |q − c| and a row's factor.
    struct Spread: Sendable, Equatable {
        var sign: Float
        var fine: Float
    }

    struct ListEntry: Sendable, Equatable, BitwiseCopyable {
        var offset: UInt64
        var count: UInt32
        var reserved: UInt32 = 0
        /// Root mean square of |r|.
        var radius: Float
        /// Mean of ½|x|² − ½|r|² (of −½|r|² for L2): the mean score of the list's rows is base + this.
        var meanAddend: Float
        var reserved2: UInt64 = 0
    }

    /// Where the parts of a list's extent lie, relative to its offset. Each begins at a multiple of 64.
    struct Layout {
        let blockCount: Int
        let rows: Int
        let factors: Int
        let codes: Int
        let size: Int

        init(count: Int, padded: Int) {
            blockCount = (count + QuantizedKernels.blockRowCount - 1) / QuantizedKernels.blockRowCount
            func aligned(_ size: Int) -> Int { (size + 63) & ~63 }
            rows = aligned(blockCount * QuantizedKernels.blockSize(dimension: padded))
            factors = aligned(rows + count * 4)
            codes = aligned(factors + count * 8)
            size = codes + count * InvertedFile.codeWidth(padded) / 2
        }

        /// Size on disk: extents begin at multiples of 4 KiB.
        var extent: Int { (size + 4095) & ~4095 }
    }

    /// Coordinates in a row of 4-bit codes: a multiple of 128.
    static func codeWidth(_ padded: Int) -> Int { (padded + 127) & ~127 }

    static func padded(_ dimension: Int) -> Int { (dimension + 63) & ~63 }

    init(
        dimension: Int, metric: Metric, count: Int, seed: UInt64, spread: Spread, mean: [Float], centroids: [Float], directory: [ListEntry],
        plan: ProbePlan, lists: UnsafeRawBufferPointer, owner: AnyObject
    ) {
        self.dimension = dimension
        padded = Self.padded(dimension)
        self.metric = metric
        self.count = count
        nlist = directory.count
        self.seed = seed
        self.spread = spread
        self.mean = mean
        self.centroids = centroids
        self.directory = directory
        self.plan = plan
        self.lists = lists
        self.owner = owner
        flips = Self.flips(seed: seed, padded: padded)
        squareRootDimension = Float(padded).squareRoot()

        let codes = AlignedMemory(size: nlist * padded)
        let columns = AlignedMemory(size: nlist * 20)
        let places = AlignedMemory(size: nlist * MemoryLayout<List>.stride)
        let numbers: UnsafeMutablePointer<Float> = columns.pointer()
        for list in 0..<nlist {
            let centroid = centroids[list * padded..<(list + 1) * padded]
            var largest: Float = 0
            var square: Float = 0
            for value in centroid {
                largest = max(largest, abs(value))
                square += value * value
            }
            let scale = largest > 0 ? largest / 63 : 1
            for (index, value) in centroid.enumerated() {
                codes.base[list * padded + index] = UInt8(clamping: Int((value / scale).rounded()) + 64)
            }
            numbers[list] = scale
            numbers[nlist + list] = square / 2
            numbers[2 * nlist + list] = directory[list].radius
            numbers[3 * nlist + list] = directory[list].meanAddend
            numbers[4 * nlist + list] = Float(directory[list].count)
            let count = Int(directory[list].count)
            let layout = Layout(count: count, padded: padded)
            let base = lists.baseAddress! + Int(directory[list].offset)
            places.pointer(of: List.self)[list] = List(
                count: count, blockCount: layout.blockCount, blocks: base.assumingMemoryBound(to: UInt8.self),
                rows: (base + layout.rows).assumingMemoryBound(to: UInt32.self),
                factors: (base + layout.factors).assumingMemoryBound(to: Float.self),
                codes: (base + layout.codes).assumingMemoryBound(to: UInt8.self))
        }
        centroidCodes = codes
        self.columns = columns
        placeMemory = places
        listCountMax = Int(directory.map(\.count).max() ?? 0)
    }

    /// Half the squared length of a centroid.
    @inline(__always)
    func halfSquare(_ list: Int) -> Float { columns.pointer(of: Float.self)[nlist + list] }

    /// The sign flips of the rotation.
    static func flips(seed: UInt64, padded: Int) -> [UInt64] {
        var generator = SplitMix64(seed: seed)
        return (0..<rotationRounds * padded / 64).map { _ in generator.next() }
    }

    /// Bytes that a search may touch: centroids, codes and the extents of the lists.
    var residentSize: Int { lists.count + nlist * (padded * 5 + 56) }

    struct List: BitwiseCopyable {
        let count: Int
        let blockCount: Int
        let blocks: UnsafePointer<UInt8>
        /// Position of each row in the flat segment.
        let rows: UnsafePointer<UInt32>
        /// Two for each row: factor and addend of the 4-bit estimate.
        let factors: UnsafePointer<Float>
        let codes: UnsafePointer<UInt8>
    }

    /// Where the lists lie in the mapped file. Shape `[nlist]`.
    var places: UnsafePointer<List> { UnsafePointer(placeMemory.pointer(of: List.self)) }

    @inline(__always)
    func list(_ index: Int) -> List { places[index] }

    /// A list's bytes in the mapped file.
    func extent(of list: Int) -> (address: UnsafeRawPointer, size: Int) {
        (lists.baseAddress! + Int(directory[list].offset), Layout(count: Int(directory[list].count), padded: padded).extent)
    }
}
