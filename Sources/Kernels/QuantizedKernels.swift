import CKernels

/// The kernels of quantised inverted lists, of one instruction set. Shapes and formats: `quantized.h`.
///
/// These run inside the hottest loop of a search, thousands of times for one query, so they take bare pointers. Callers keep the promises
/// that each comment states; what can be checked in constant time is checked in debug builds.
package struct QuantizedKernels: Sendable {
    package let instructionSet: InstructionSet

    private typealias SignTable =
        @Sendable @convention(c) (UnsafePointer<Float>?, Int, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Float>?) -> Float
    private typealias SignScan =
        @Sendable @convention(c) (
            UnsafePointer<UInt8>?, Int, Int, UnsafePointer<UInt8>?, Float, Float, Float, Float, Float, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<UInt32>?, UnsafePointer<UInt8>?
        ) -> Void
    private typealias Gather =
        @Sendable @convention(c) (
            UnsafePointer<UInt8>?, Int, UnsafePointer<Int8>?, UnsafePointer<UInt32>?, Int, UnsafeMutablePointer<Int32>?
        ) -> Void
    private typealias Rows =
        @Sendable @convention(c) (UnsafePointer<UInt8>?, Int, Int, UnsafePointer<Int8>?, UnsafeMutablePointer<Int32>?) -> Void
    private typealias Nearest =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, Int, Int, UnsafePointer<Float>?, UnsafePointer<Float>?, Int, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<UInt32>?
        ) -> Void
    private typealias Rotate = @Sendable @convention(c) (UnsafeMutablePointer<Float>?, Int, UnsafePointer<UInt64>?, Int) -> Void
    private typealias Encode =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, UnsafePointer<Float>?, Int, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?,
            UnsafeMutablePointer<Float>?
        ) -> Void
    private typealias Centre =
        @Sendable @convention(c) (
            UnsafeMutablePointer<Float>?, UnsafePointer<Float>?, Int, UnsafeMutablePointer<Int8>?, UnsafeMutablePointer<Float>?
        ) -> Void
    private typealias Rank =
        @Sendable @convention(c) (
            UnsafePointer<Int32>?, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, UnsafePointer<Float>?, Int, Float,
            Float, Float, Float, Float, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?,
            UnsafeMutablePointer<Float>?
        ) -> Void

    private let signTable: SignTable
    private let signScan: SignScan
    private let gather: Gather
    private let rows: Rows
    private let nearest: Nearest
    private let rotation: Rotate
    private let encoding: Encode
    private let centring: Centre
    private let ranking: Rank

    /// The kernels of a set, nil when the machine cannot run it. AVX-512 without BW and VNNI falls back to AVX2.
    package init?(_ set: InstructionSet) {
        guard set.isSupported else { return nil }
        #if arch(x86_64)
            let set = set == .avx512 && kernels_supports_avx512_vnni() == 0 ? .avx2 : set
        #endif
        instructionSet = set
        switch set {
        #if arch(x86_64)
            case .avx2:
                signTable = sign_table_avx2
                signScan = sign_scan_avx2
                gather = dot_u4_i8_gather_avx2
                rows = dot_u7_i8_rows_avx2
                nearest = nearest_f32_avx2
                rotation = rotate_f32_avx2
                encoding = encode_signs_u4_avx2
                centring = centre_i8_avx2
                ranking = rank_lists_avx2
            case .avx512:
                signTable = sign_table_avx512
                signScan = sign_scan_avx512
                gather = dot_u4_i8_gather_avx512
                rows = dot_u7_i8_rows_avx512
                nearest = nearest_f32_avx512
                rotation = rotate_f32_avx512
                encoding = encode_signs_u4_avx512
                centring = centre_i8_avx512
                ranking = rank_lists_avx512
        #elseif arch(arm64)
            case .neon:
                signTable = sign_table_neon
                signScan = sign_scan_neon
                gather = dot_u4_i8_gather_neon
                rows = dot_u7_i8_rows_neon
                nearest = nearest_f32_neon
                rotation = rotate_f32_neon
                encoding = encode_signs_u4_neon
                centring = centre_i8_neon
                ranking = rank_lists_neon
        #endif
        default:
            signTable = sign_table_scalar
            signScan = sign_scan_scalar
            gather = dot_u4_i8_gather_scalar
            rows = dot_u7_i8_rows_scalar
            nearest = nearest_f32_scalar
            rotation = rotate_f32_scalar
            encoding = encode_signs_u4_scalar
            centring = centre_i8_scalar
            ranking = rank_lists_scalar
        }
    }

    /// The kernels that the program uses.
    package static let best = QuantizedKernels(KernelTable.best.instructionSet)!
}

extension QuantizedKernels {
    /// Rows in a block of 1-bit codes.
    package static let blockRowCount = 32

    /// Size in bytes of a block of 32 rows of 1-bit codes with their factors and addends.
    package static func blockSize(dimension: Int) -> Int { dimension * 4 + 256 }

    /// Makes the look-up table of a query.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`, a multiple of 64.
    ///   - table: Receives `dimension * 4` bytes.
    /// - Returns: The step between two levels of the table, and the sum of the query's magnitudes.
    @inline(__always)
    package func makeSignTable(
        _ query: UnsafePointer<Float>, dimension: Int, table: UnsafeMutablePointer<UInt8>
    ) -> (step: Float, total: Float) {
        assert(dimension % 64 == 0, "\(dimension) dimensions")
        var total: Float = 0
        let step = signTable(query, dimension, table, &total)
        return (step, total)
    }

    /// Upper bounds of the scores of all rows of consecutive blocks, and which of them exceed a threshold.
    ///
    /// - Parameters:
    ///   - upper: Receives shape `[32 * blockCount]`.
    ///   - masks: Receives shape `[blockCount]`, bit *i* for row *i* of the block.
    ///   - next: What will be scanned after these: its memory is asked for meanwhile. Nothing is read from it.
    @inline(__always)
    package func scanSigns(
        _ blocks: UnsafePointer<UInt8>, blockCount: Int, dimension: Int, table: UnsafePointer<UInt8>, step: Float, total: Float,
        base: Float, margin: Float, threshold: Float, upper: UnsafeMutablePointer<Float>, masks: UnsafeMutablePointer<UInt32>,
        next: UnsafePointer<UInt8>? = nil
    ) {
        signScan(blocks, blockCount, dimension, table, step, total, base, margin, threshold, upper, masks, next ?? blocks)
    }

    /// Inner products of an int8 query with the 4-bit codes of chosen rows; `width` is a multiple of 128.
    @inline(__always)
    package func dotCodes(
        _ codes: UnsafePointer<UInt8>, width: Int, query: UnsafePointer<Int8>, at positions: UnsafePointer<UInt32>, count: Int,
        sums: UnsafeMutablePointer<Int32>
    ) {
        assert(width % 128 == 0, "rows of \(width) codes")
        gather(codes, width, query, positions, count, sums)
    }

    /// Inner products of an int8 query with rows of 7-bit codes, one a byte; `dimension` is a multiple of 64.
    @inline(__always)
    package func dotRows(
        _ codes: UnsafePointer<UInt8>, dimension: Int, count: Int, query: UnsafePointer<Int8>, sums: UnsafeMutablePointer<Int32>
    ) {
        rows(codes, dimension, count, query, sums)
    }

    /// The centroid with the largest inner product minus bias, for each row.
    ///
    /// - Parameters:
    ///   - values: Shape `[count, dimension]`.
    ///   - panels: Shape `[panelCount, dimension, 32]`: 32 centroids side by side.
    ///   - biases: Shape `[panelCount, 32]`; infinity where there is no centroid.
    ///   - best: Receives shape `[count]`.
    ///   - indices: Receives shape `[count]`.
    package func nearest(
        _ values: UnsafePointer<Float>, count: Int, dimension: Int, panels: UnsafePointer<Float>, biases: UnsafePointer<Float>,
        panelCount: Int, best: UnsafeMutablePointer<Float>, indices: UnsafeMutablePointer<UInt32>
    ) {
        nearest(values, count, dimension, panels, biases, panelCount, best, indices)
    }

    /// Rotates a vector in place: sign flips and Hadamard transforms. Lengths and angles stay.
    ///
    /// - Parameter flips: Shape `[rounds, dimension / 64]`.
    @inline(__always)
    package func rotate(_ values: UnsafeMutablePointer<Float>, dimension: Int, flips: UnsafePointer<UInt64>, rounds: Int) {
        assert(dimension % 64 == 0, "\(dimension) dimensions")
        rotation(values, dimension, flips, rounds)
    }

    /// What a code needs to know about its residual *r*: its squared length, the sum of its magnitudes, for the 4-bit code *v* (level − 7.5)
    /// the products ⟨v, r⟩ and ⟨v, v⟩, and of the centroid *c* the products with the signs and with *v*.
    package struct CodeSums: Sendable {
        package var square: Float = 0
        package var magnitude: Float = 0
        package var product: Float = 0
        package var codeSquare: Float = 0
        package var centroidSigns: Float = 0
        package var centroidCode: Float = 0
    }

    /// Codes a residual by its signs and by 4-bit levels.
    ///
    /// - Parameters:
    ///   - centroid: Shape `[dimension]`, what the residual was taken from.
    ///   - signs: Receives `dimension / 4` half-bytes, one a byte.
    ///   - levels: Receives `dimension` levels from 0 through 15, one a byte.
    package func encode(
        _ residual: UnsafePointer<Float>, centroid: UnsafePointer<Float>, dimension: Int, signs: UnsafeMutablePointer<UInt8>,
        levels: UnsafeMutablePointer<UInt8>
    ) -> CodeSums {
        var sums = CodeSums()
        withUnsafeMutableBytes(of: &sums) {
            encoding(residual, centroid, dimension, signs, levels, $0.assumingMemoryBound(to: Float.self).baseAddress)
        }
        return sums
    }

    /// Subtracts the mean in place and rounds to int8 levels.
    ///
    /// - Returns: The squared length, the size of a level and the sum of the levels.
    @inline(__always)
    package func centre(
        _ values: UnsafeMutablePointer<Float>, mean: UnsafePointer<Float>, dimension: Int, levels: UnsafeMutablePointer<Int8>
    ) -> (square: Float, scale: Float, levelSum: Float) {
        var sums: (Float, Float, Float) = (0, 0, 0)
        withUnsafeMutableBytes(of: &sums) {
            centring(values, mean, dimension, levels, $0.assumingMemoryBound(to: Float.self).baseAddress)
        }
        return (sums.0, sums.1, sums.2)
    }

    /// What is known of each list before the first is probed; the columns are those of `rank_lists` in `quantized.h`, each with `count` elements.
    package struct ListColumns {
        package var scales: UnsafePointer<Float>
        package var halfSquares: UnsafePointer<Float>
        package var radii: UnsafePointer<Float>
        package var addends: UnsafePointer<Float>
        package var count: Int

        package init(
            scales: UnsafePointer<Float>, halfSquares: UnsafePointer<Float>, radii: UnsafePointer<Float>, addends: UnsafePointer<Float>,
            count: Int
        ) {
            self.scales = scales
            self.halfSquares = halfSquares
            self.radii = radii
            self.addends = addends
            self.count = count
        }
    }

    /// Expected mean, width and rank of every list for one query; returns how the ranks are spread.
    @inline(__always)
    package func rank(
        _ products: UnsafePointer<Int32>, _ lists: ListColumns, scale: Float, offset: Float, halfSquare: Float, centredHalfSquare: Float,
        optimism: Float, means: UnsafeMutablePointer<Float>, widths: UnsafeMutablePointer<Float>, ranks: UnsafeMutablePointer<Float>
    ) -> (largest: Float, average: Float, deviation: Float) {
        var range: (Float, Float, Float) = (0, 0, 0)
        withUnsafeMutableBytes(of: &range) {
            ranking(
                products, lists.scales, lists.halfSquares, lists.radii, lists.addends, lists.count, scale, offset, halfSquare,
                centredHalfSquare, optimism, means, widths, ranks, $0.assumingMemoryBound(to: Float.self).baseAddress)
        }
        return range
    }
}
