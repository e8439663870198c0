import CKernels
import Glibc

/// The kernels of one instruction set, behind checked Swift signatures. This file is the only place where Swift meets the C functions.
///
/// `KernelTable.best` is chosen once, at first use: the fastest set that the machine runs, or the one that the environment variable
/// `OUTRIDER_KERNELS` names (`scalar`, `neon`, `avx2`, `avx512`). A name that is unknown or that the machine cannot run is not obeyed;
/// `instructionSetNote` says so.
package struct KernelTable: Sendable {
    package let instructionSet: InstructionSet

    private typealias Pair = @Sendable @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, Int) -> Float
    private typealias Rows =
        @Sendable @convention(c) (UnsafePointer<Float>?, UnsafePointer<Float>?, Int, Int, UnsafeMutablePointer<Float>?) -> Void
    private typealias Gather =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, UnsafePointer<Float>?, Int, UnsafePointer<UInt32>?, Int, UnsafeMutablePointer<Float>?
        ) -> Void
    private typealias HalfRows =
        @Sendable @convention(c) (UnsafePointer<Float>?, UnsafePointer<UInt16>?, Int, Int, UnsafeMutablePointer<Float>?) -> Void
    private typealias HalfGather =
        @Sendable @convention(c) (
            UnsafePointer<Float>?, UnsafePointer<UInt16>?, Int, UnsafePointer<UInt32>?, Int, UnsafeMutablePointer<Float>?
        ) -> Void
    private typealias Narrow = @Sendable @convention(c) (UnsafePointer<Float>?, UnsafeMutablePointer<UInt16>?, Int) -> Void
    private typealias Select = @Sendable @convention(c) (UnsafePointer<UInt32>?, Int, UInt32, UnsafeMutablePointer<UInt32>?) -> Int
    private typealias Widen = @Sendable @convention(c) (UnsafePointer<UInt16>?, UnsafeMutablePointer<Float>?, Int) -> Void

    private let innerProductPair: Pair
    private let innerProductRows: Rows
    private let innerProductGather: Gather
    private let l2SquaredPair: Pair
    private let l2SquaredRows: Rows
    private let l2SquaredGather: Gather
    private let innerProductHalfRows: HalfRows
    private let innerProductHalfGather: HalfGather
    private let l2SquaredHalfRows: HalfRows
    private let l2SquaredHalfGather: HalfGather
    private let narrow: Narrow
    private let widen: Widen
    private let selection: Select

    /// The kernels of a set, nil when the machine cannot run it.
    package init?(_ set: InstructionSet) {
        guard set.isSupported else { return nil }
        instructionSet = set
        switch set {
        #if arch(x86_64)
            case .avx2:
                innerProductPair = inner_product_f32_avx2
                innerProductRows = inner_product_rows_f32_avx2
                innerProductGather = inner_product_gather_f32_avx2
                l2SquaredPair = l2_squared_f32_avx2
                l2SquaredRows = l2_squared_rows_f32_avx2
                l2SquaredGather = l2_squared_gather_f32_avx2
                innerProductHalfRows = inner_product_rows_f16_avx2
                innerProductHalfGather = inner_product_gather_f16_avx2
                l2SquaredHalfRows = l2_squared_rows_f16_avx2
                l2SquaredHalfGather = l2_squared_gather_f16_avx2
                narrow = convert_f16_from_f32_avx2
                widen = convert_f32_from_f16_avx2
                selection = select_u32_avx2
            case .avx512:
                innerProductPair = inner_product_f32_avx512
                innerProductRows = inner_product_rows_f32_avx512
                innerProductGather = inner_product_gather_f32_avx512
                l2SquaredPair = l2_squared_f32_avx512
                l2SquaredRows = l2_squared_rows_f32_avx512
                l2SquaredGather = l2_squared_gather_f32_avx512
                innerProductHalfRows = inner_product_rows_f16_avx512
                innerProductHalfGather = inner_product_gather_f16_avx512
                l2SquaredHalfRows = l2_squared_rows_f16_avx512
                l2SquaredHalfGather = l2_squared_gather_f16_avx512
                narrow = convert_f16_from_f32_avx512
                widen = convert_f32_from_f16_avx512
                selection = select_u32_avx512
        #elseif arch(arm64)
            case .neon:
                innerProductPair = inner_product_f32_neon
                innerProductRows = inner_product_rows_f32_neon
                innerProductGather = inner_product_gather_f32_neon
                l2SquaredPair = l2_squared_f32_neon
                l2SquaredRows = l2_squared_rows_f32_neon
                l2SquaredGather = l2_squared_gather_f32_neon
                innerProductHalfRows = inner_product_rows_f16_neon
                innerProductHalfGather = inner_product_gather_f16_neon
                l2SquaredHalfRows = l2_squared_rows_f16_neon
                l2SquaredHalfGather = l2_squared_gather_f16_neon
                narrow = convert_f16_from_f32_neon
                widen = convert_f32_from_f16_neon
                selection = select_u32_neon
        #endif
        default:
            innerProductPair = inner_product_f32_scalar
            innerProductRows = inner_product_rows_f32_scalar
            innerProductGather = inner_product_gather_f32_scalar
            l2SquaredPair = l2_squared_f32_scalar
            l2SquaredRows = l2_squared_rows_f32_scalar
            l2SquaredGather = l2_squared_gather_f32_scalar
            innerProductHalfRows = inner_product_rows_f16_scalar
            innerProductHalfGather = inner_product_gather_f16_scalar
            l2SquaredHalfRows = l2_squared_rows_f16_scalar
            l2SquaredHalfGather = l2_squared_gather_f16_scalar
            narrow = convert_f16_from_f32_scalar
            widen = convert_f32_from_f16_scalar
            selection = select_u32_scalar
        }
    }
}

// MARK: - The choice

/// Which instructions the program's kernels use, for `outrider doctor`.
package var instructionSet: InstructionSet { KernelTable.best.instructionSet }

/// Why a wish in `OUTRIDER_KERNELS` was not obeyed; nil when all is as asked.
package var instructionSetNote: String? { KernelTable.choice.note }

extension KernelTable {
    /// The kernels that the program uses.
    package static let best: KernelTable = choice.kernels

    fileprivate static let choice = choose(wish: InstructionSet.wish)

    static func choose(wish: String?) -> (kernels: KernelTable, note: String?) {
        let (set, note) = InstructionSet.choose(wish: wish, among: InstructionSet.supported)
        guard let kernels = KernelTable(set) else { preconditionFailure("\(set.rawValue) is supported and has no kernels") }
        return (kernels, note)
    }
}

// MARK: - Operations

extension KernelTable {
    /// The inner product of two vectors of the same dimension.
    package func innerProduct(_ left: UnsafeBufferPointer<Float>, _ right: UnsafeBufferPointer<Float>) -> Float {
        precondition(left.count == right.count, "inner product of \(left.count) and \(right.count) dimensions")
        return innerProductPair(left.baseAddress, right.baseAddress, left.count)
    }

    /// The squared Euclidean distance of two vectors of the same dimension; smaller is closer.
    package func l2Squared(_ left: UnsafeBufferPointer<Float>, _ right: UnsafeBufferPointer<Float>) -> Float {
        precondition(left.count == right.count, "distance of \(left.count) and \(right.count) dimensions")
        return l2SquaredPair(left.baseAddress, right.baseAddress, left.count)
    }

    /// Positions of the values that are at least `bar`, ascending. Returns how many there are.
    ///
    /// - Parameters:
    ///   - values: Shape `[count]`.
    ///   - positions: Room for `count`.
    @inline(__always)
    package func select(
        _ values: UnsafePointer<UInt32>, count: Int, atLeast bar: UInt32, positions: UnsafeMutablePointer<UInt32>
    ) -> Int {
        selection(values, count, bar, positions)
    }

    /// Scores one query against a block of rows by inner product.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`.
    ///   - rows: Shape `[count, dimension]`, row-major.
    ///   - scores: Receives shape `[count]`, in row order; larger is closer.
    /// - Precondition: `rows.count == scores.count * query.count`.
    /// - Complexity: O(*count* × *dimension*), at memory bandwidth above the caches. Does not allocate.
    package func innerProducts(
        of query: UnsafeBufferPointer<Float>, rows: UnsafeBufferPointer<Float>, scores: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(rows.count == scores.count * query.count, "\(rows.count) values for \(scores.count) rows of \(query.count) dimensions")
        innerProductRows(query.baseAddress, rows.baseAddress, query.count, scores.count, scores.baseAddress)
    }

    /// Squared Euclidean distances of one query to a block of rows; shapes as in `innerProducts`.
    package func l2Squared(
        of query: UnsafeBufferPointer<Float>, rows: UnsafeBufferPointer<Float>, scores: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(rows.count == scores.count * query.count, "\(rows.count) values for \(scores.count) rows of \(query.count) dimensions")
        l2SquaredRows(query.baseAddress, rows.baseAddress, query.count, scores.count, scores.baseAddress)
    }

    /// Scores one query against chosen rows of a block by inner product.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`.
    ///   - rows: Row-major block; holds every row that `indices` names.
    ///   - indices: Positions of rows in the block. Their bounds are checked in debug builds only: a check of each would cost as much as the filter.
    ///   - scores: Receives shape `[indices.count]`; larger is closer.
    package func innerProducts(
        of query: UnsafeBufferPointer<Float>, rows: UnsafeBufferPointer<Float>, at indices: UnsafeBufferPointer<UInt32>,
        scores: UnsafeMutableBufferPointer<Float>
    ) {
        check(indices, scores: scores.count, rows: rows.count, dimension: query.count)
        innerProductGather(query.baseAddress, rows.baseAddress, query.count, indices.baseAddress, indices.count, scores.baseAddress)
    }

    /// Squared Euclidean distances of one query to chosen rows; shapes as in `innerProducts(of:rows:at:scores:)`.
    package func l2Squared(
        of query: UnsafeBufferPointer<Float>, rows: UnsafeBufferPointer<Float>, at indices: UnsafeBufferPointer<UInt32>,
        scores: UnsafeMutableBufferPointer<Float>
    ) {
        check(indices, scores: scores.count, rows: rows.count, dimension: query.count)
        l2SquaredGather(query.baseAddress, rows.baseAddress, query.count, indices.baseAddress, indices.count, scores.baseAddress)
    }

    /// Scores one query against rows in half precision by inner product: the bits are those of the widened rows. Shapes as there.
    package func innerProducts(
        of query: UnsafeBufferPointer<Float>, halfRows rows: UnsafeBufferPointer<UInt16>, scores: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(rows.count == scores.count * query.count, "\(rows.count) values for \(scores.count) rows of \(query.count) dimensions")
        innerProductHalfRows(query.baseAddress, rows.baseAddress, query.count, scores.count, scores.baseAddress)
    }

    /// Squared Euclidean distances of one query to rows in half precision.
    package func l2Squared(
        of query: UnsafeBufferPointer<Float>, halfRows rows: UnsafeBufferPointer<UInt16>, scores: UnsafeMutableBufferPointer<Float>
    ) {
        precondition(rows.count == scores.count * query.count, "\(rows.count) values for \(scores.count) rows of \(query.count) dimensions")
        l2SquaredHalfRows(query.baseAddress, rows.baseAddress, query.count, scores.count, scores.baseAddress)
    }

    /// Scores one query against chosen rows in half precision by inner product.
    package func innerProducts(
        of query: UnsafeBufferPointer<Float>, halfRows rows: UnsafeBufferPointer<UInt16>, at indices: UnsafeBufferPointer<UInt32>,
        scores: UnsafeMutableBufferPointer<Float>
    ) {
        check(indices, scores: scores.count, rows: rows.count, dimension: query.count)
        innerProductHalfGather(query.baseAddress, rows.baseAddress, query.count, indices.baseAddress, indices.count, scores.baseAddress)
    }

    /// Squared Euclidean distances of one query to chosen rows in half precision.
    package func l2Squared(
        of query: UnsafeBufferPointer<Float>, halfRows rows: UnsafeBufferPointer<UInt16>, at indices: UnsafeBufferPointer<UInt32>,
        scores: UnsafeMutableBufferPointer<Float>
    ) {
        check(indices, scores: scores.count, rows: rows.count, dimension: query.count)
        l2SquaredHalfGather(query.baseAddress, rows.baseAddress, query.count, indices.baseAddress, indices.count, scores.baseAddress)
    }

    private func check(_ indices: UnsafeBufferPointer<UInt32>, scores: Int, rows: Int, dimension: Int) {
        precondition(indices.count == scores, "\(indices.count) indices for \(scores) scores")
        assert(indices.allSatisfy { (Int($0) + 1) * dimension <= rows }, "an index lies outside of the block of \(rows) values")
    }

    /// Rounds to half precision: to nearest, ties to even; beyond ±65 504 becomes infinite.
    package func convert(_ source: UnsafeBufferPointer<Float>, toHalf target: UnsafeMutableBufferPointer<UInt16>) {
        precondition(source.count == target.count, "\(source.count) values into \(target.count)")
        narrow(source.baseAddress, target.baseAddress, source.count)
    }

    /// Widens half precision, exactly.
    package func convert(half source: UnsafeBufferPointer<UInt16>, to target: UnsafeMutableBufferPointer<Float>) {
        precondition(source.count == target.count, "\(source.count) values into \(target.count)")
        widen(source.baseAddress, target.baseAddress, source.count)
    }

    /// Scales a vector to unit length in place and returns its former length. A zero vector stays zero.
    ///
    /// The result does not depend on the machine. Any finite input is good: the sum of squares is taken in double precision.
    @discardableResult
    package static func normalize(_ values: UnsafeMutableBufferPointer<Float>) -> Double {
        normalize_f32(values.baseAddress, values.count)
    }

    /// The position of the first NaN or infinity, nil when all values are finite.
    package static func firstNotFinite(_ values: UnsafeBufferPointer<Float>) -> Int? {
        let position = first_not_finite_f32(values.baseAddress, values.count)
        return position == values.count ? nil : position
    }
}
