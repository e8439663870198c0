import Kernels

/// One query as an inverted file looks at it: its forms for the codes, and the lists in the order in which they are worth a visit.
///
/// Made once for each query and file; its memory is reused by the next.
final class RankedQuery {
    /// A query in the form that the codes are compared with.
    struct Form {
        /// |q|² / 2, 0 for L2.
        var halfSquare: Float = 0
        /// |q'|² of the centred query.
        var centredSquare: Float = 0
        var step: Float = 1
        var total: Float = 0
        /// Of the int8 query: its scale and the sum of its levels.
        var scale: Float = 1
        var levelSum: Float = 0
    }

    private(set) var form = Form()
    /// Rotated, mean subtracted. Shape `[padded]`.
    let rotated: UnsafeMutablePointer<Float>
    /// Look-up table of the 1-bit codes.
    let table: UnsafeMutablePointer<UInt8>
    /// The query in int8 levels, for the 4-bit codes.
    let levels: UnsafeMutablePointer<Int8>
    /// Mean score of each list's rows, and its standard width. Shape `[nlist]`.
    let means: UnsafeMutablePointer<Float>
    let widths: UnsafeMutablePointer<Float>
    private let ranks: UnsafeMutablePointer<Float>
    private let keys: UnsafeMutablePointer<UInt64>
    private let order: UnsafeMutablePointer<UInt64>
    private let starts: UnsafeMutablePointer<UInt32>
    private let memory: AlignedMemory
    private let padded: Int
    private let nlist: Int

    /// - Parameters:
    ///   - padded: Coordinates, a multiple of 64.
    ///   - nlist: Lists at most.
    init(padded: Int, nlist: Int) {
        self.padded = padded
        self.nlist = nlist
        // All in one piece, each part on a cache line of its own.
        var size = 0
        func place(_ byteCount: Int) -> Int {
            defer { size += (byteCount + 63) & ~63 }
            return size
        }
        let parts = [
            padded * 4, padded * 4, InvertedFile.codeWidth(padded), nlist * 4, nlist * 4, nlist * 4, (nlist + 1) * 8, nlist * 8,
            (ListRanking.bucketCount + 1) * 4,
        ].map(place)
        memory = AlignedMemory(size: size)
        rotated = memory.pointer(at: parts[0])
        table = memory.pointer(at: parts[1])
        levels = memory.pointer(at: parts[2])
        means = memory.pointer(at: parts[3])
        widths = memory.pointer(at: parts[4])
        ranks = memory.pointer(at: parts[5])
        keys = memory.pointer(at: parts[6])
        order = memory.pointer(at: parts[7])
        starts = memory.pointer(at: parts[8])
    }

    /// Bytes of memory.
    var size: Int { memory.size }

    func fits(_ file: InvertedFile) -> Bool { padded == file.padded && nlist >= file.nlist }

    /// Brings a query into its forms.
    ///
    /// - Parameter query: Shape `[dimension]`, in the form of the stored vectors.
    func prepare(_ query: UnsafeBufferPointer<Float>, for file: InvertedFile, kernels: QuantizedKernels) {
        precondition(query.count == file.dimension, "a query of \(query.count) dimensions for \(file.dimension)")
        rotated.update(from: query.baseAddress!, count: file.dimension)
        for index in file.dimension..<padded { rotated[index] = 0 }
        let halfSquare = file.metric == .l2 ? 0 : KernelTable.best.innerProduct(query, query) / 2
        file.flips.withUnsafeBufferPointer {
            kernels.rotate(rotated, dimension: padded, flips: $0.baseAddress!, rounds: InvertedFile.rotationRounds)
        }
        let centred = file.mean.withUnsafeBufferPointer {
            kernels.centre(rotated, mean: $0.baseAddress!, dimension: padded, levels: levels)
        }
        let signs = kernels.makeSignTable(rotated, dimension: padded, table: table)
        form = Form(
            halfSquare: halfSquare, centredSquare: centred.square, step: signs.step, total: signs.total, scale: centred.scale,
            levelSum: centred.levelSum)
    }

    /// Estimates the mean score of every list, for the order in which they are probed.
    ///
    /// - Parameter sums: Room for `nlist` numbers, only used here.
    func rankLists(of file: InvertedFile, sums: UnsafeMutablePointer<Int32>, kernels: QuantizedKernels) -> ListRanking {
        let nlist = file.nlist
        kernels.dotRows(file.centroidCodes.base, dimension: padded, count: nlist, query: levels, sums: sums)
        let numbers = UnsafePointer(file.columns.pointer(of: Float.self))
        let spread = kernels.rank(
            sums,
            .init(
                scales: numbers, halfSquares: numbers + nlist, radii: numbers + 2 * nlist, addends: numbers + 3 * nlist, count: nlist),
            scale: form.scale, offset: 64 * form.levelSum, halfSquare: form.halfSquare, centredHalfSquare: form.centredSquare / 2,
            optimism: Self.orderOptimism, means: means, widths: widths, ranks: ranks)
        return ListRanking(ranks: ranks, count: nlist, spread: spread, starts: starts, keys: keys, order: order)
    }

    /// Lists are taken in the order of mean score plus this many standard widths.
    /// Measured on sentence embeddings: 0.5 to 0.7 find the most rows in the first lists, for questions as for passages; above, wide lists crowd out near ones.
    static let orderOptimism: Float = 0.55

    /// What the scores of a list's rows have in common for one query.
    struct ListBase {
        /// Base of the scores.
        var base: Float
        /// Of the query from the centroid.
        var distance: Float
        /// Two standard errors of the base.
        var blur: Float
    }

    /// The base of a list's scores as ranking the lists found it, by the 7-bit codes of the centroids. On embeddings they blur it by a tenth of what a
    /// 4-bit code blurs a row; where centroids are far longer than residuals, by more, so the error is counted.
    @inline(__always)
    func base(of list: Int, in file: InvertedFile) -> ListBase {
        let numbers = file.columns.pointer(of: Float.self)
        let base = means[list] - numbers[3 * file.nlist + list]
        // Rounding to steps of s has a variance of s²/12 a coordinate.
        let variance = (numbers[list] * numbers[list] * form.centredSquare + form.scale * form.scale * 2 * numbers[file.nlist + list]) / 12
        return ListBase(base: base, distance: (2 * max(form.halfSquare - base, 0)).squareRoot(), blur: 2 * variance.squareRoot())
    }

    /// The same from the exact inner product with the centroid, without its distance.
    func exactBase(of list: Int, in file: InvertedFile) -> Float {
        let product = file.centroids.withUnsafeBufferPointer { centroids in
            KernelTable.best.innerProduct(
                UnsafeBufferPointer(start: rotated, count: padded),
                UnsafeBufferPointer(rebasing: centroids[list * padded..<(list + 1) * padded]))
        }
        return form.halfSquare - max(form.centredSquare * 0.5 + file.halfSquare(list) - product, 0)
    }
}
