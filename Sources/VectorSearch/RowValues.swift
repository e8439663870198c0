import Kernels

/// How exactly an index keeps its vectors.
package enum VectorPrecision: Sendable {
    /// Float32, as they were given.
    case single
    /// Rounded to Float16 when they are added: half the bytes of a file. For unit length alone, which is within its range.
    case half
}

/// The vectors of a run, row-major: Float32 in memory and in older files, Float16 in files of an index that rounds.
///
/// A row in half precision gets the very score that the same numbers get in single precision.
enum RowValues: @unchecked Sendable {
    // Invariant: that of `RowRun`, which holds it.
    case single(UnsafeBufferPointer<Float>)
    case half(UnsafeBufferPointer<UInt16>)

    /// Numbers, not rows.
    var count: Int {
        switch self {
        case .single(let values): values.count
        case .half(let values): values.count
        }
    }

    /// Bytes of one number.
    var stride: Int {
        switch self {
        case .single: MemoryLayout<Float>.stride
        case .half: MemoryLayout<UInt16>.stride
        }
    }

    var bytes: UnsafeRawBufferPointer {
        switch self {
        case .single(let values): UnsafeRawBufferPointer(values)
        case .half(let values): UnsafeRawBufferPointer(values)
        }
    }

    /// A stretch of numbers.
    subscript(range: Range<Int>) -> RowValues {
        switch self {
        case .single(let values): .single(UnsafeBufferPointer(rebasing: values[range]))
        case .half(let values): .half(UnsafeBufferPointer(rebasing: values[range]))
        }
    }

    /// Copies numbers, widened.
    ///
    /// - Parameter target: Room for `count`.
    func copy(to target: UnsafeMutablePointer<Float>, kernels: KernelTable = .best) {
        switch self {
        case .single(let values): if let source = values.baseAddress { target.update(from: source, count: values.count) }
        case .half(let values): kernels.convert(half: values, to: UnsafeMutableBufferPointer(start: target, count: values.count))
        }
    }

    /// One row, widened.
    func row(_ position: Int, dimension: Int) -> [Float] {
        [Float](unsafeUninitializedCapacity: dimension) { buffer, count in
            self[position * dimension..<(position + 1) * dimension].copy(to: buffer.baseAddress!)
            count = dimension
        }
    }
}

extension KernelTable {
    /// Gives numbers the values that they have in half precision.
    func roundToHalf(_ values: UnsafeMutableBufferPointer<Float>) {
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: values.count) { halves in
            convert(UnsafeBufferPointer(values), toHalf: halves)
            convert(half: UnsafeBufferPointer(halves), to: values)
        }
    }

    /// Scores of consecutive rows in a metric: larger is closer.
    ///
    /// - Parameters:
    ///   - query: Shape `[dimension]`.
    ///   - rows: Shape `[count, dimension]`.
    ///   - scores: Receives shape `[count]`.
    func score(_ query: UnsafeBufferPointer<Float>, rows: RowValues, metric: Metric, scores: UnsafeMutableBufferPointer<Float>) {
        switch (rows, metric) {
        case (.single(let rows), .cosine), (.single(let rows), .innerProduct): innerProducts(of: query, rows: rows, scores: scores)
        case (.half(let rows), .cosine), (.half(let rows), .innerProduct): innerProducts(of: query, halfRows: rows, scores: scores)
        case (.single(let rows), .l2): l2Squared(of: query, rows: rows, scores: scores)
        case (.half(let rows), .l2): l2Squared(of: query, halfRows: rows, scores: scores)
        }
        if metric == .l2 { Self.negate(scores) }
    }

    /// The same for chosen rows.
    func score(
        _ query: UnsafeBufferPointer<Float>, rows: RowValues, at positions: UnsafeBufferPointer<UInt32>, metric: Metric,
        scores: UnsafeMutableBufferPointer<Float>
    ) {
        switch (rows, metric) {
        case (.single(let rows), .cosine), (.single(let rows), .innerProduct):
            innerProducts(of: query, rows: rows, at: positions, scores: scores)
        case (.half(let rows), .cosine), (.half(let rows), .innerProduct):
            innerProducts(of: query, halfRows: rows, at: positions, scores: scores)
        case (.single(let rows), .l2): l2Squared(of: query, rows: rows, at: positions, scores: scores)
        case (.half(let rows), .l2): l2Squared(of: query, halfRows: rows, at: positions, scores: scores)
        }
        if metric == .l2 { Self.negate(scores) }
    }

    /// A distance becomes a score. Subtracting gives plain zero for zero, negating would give minus zero.
    private static func negate(_ scores: UnsafeMutableBufferPointer<Float>) {
        for index in scores.indices { scores[index] = 0 - scores[index] }
    }
}
