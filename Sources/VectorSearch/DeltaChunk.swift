/// Memory for rows that are not yet in a file, filled from the front by the one writer.
///
/// ```
///   | row 0 | row 1 | row 2 | row 3 |       |       |
///   <---- published: immutable ----> <- the writer's ->
/// ```
///
/// Published rows never move and never change, so a reader needs no lock; adding rows costs their copy and one new snapshot.
final class DeltaChunk: @unchecked Sendable {
    // Invariant: only the writer, holding its lock, writes, and only to rows past every published count.
    let capacity: Int
    let dimension: Int
    /// Grows by one with each chunk of an index.
    let serial: Int
    private let ids: UnsafeMutablePointer<Int64>
    private let values: UnsafeMutablePointer<Float>

    static let rowCountMin = 64
    static let sizeMax = 4 << 20

    init(capacity: Int, dimension: Int, serial: Int) {
        self.capacity = capacity
        self.dimension = dimension
        self.serial = serial
        ids = .allocate(capacity: capacity)
        // The alignment of a cache line: rows then straddle as few lines as their size allows.
        values = UnsafeMutableRawPointer.allocate(byteCount: capacity * dimension * 4, alignment: 64).bindMemory(
            to: Float.self, capacity: capacity * dimension)
    }

    deinit {
        ids.deallocate()
        UnsafeMutableRawPointer(values).deallocate()
    }

    /// How many rows the next chunk holds: twice the previous one, between 64 rows and 4 MiB, but enough for what waits.
    static func capacity(after previous: DeltaChunk?, waiting: Int, dimension: Int) -> Int {
        let most = max(rowCountMin, sizeMax / (dimension * 4))
        return min(most, max(rowCountMin, (previous?.capacity ?? 0) * 2, waiting))
    }

    /// Copies one row to a position that is not yet published, and returns where its values lie.
    func write(_ id: Int64, _ source: UnsafeBufferPointer<Float>, at position: Int) -> UnsafeMutableBufferPointer<Float> {
        precondition(
            position < capacity && source.count == dimension, "row \(position) of \(capacity), \(source.count) of \(dimension) values")
        ids[position] = id
        let target = UnsafeMutableBufferPointer(start: values + position * dimension, count: dimension)
        _ = target.update(from: source)
        return target
    }

    /// The first `count` rows.
    func run(count: Int, isAscending: Bool, tombstones: RowTombstones) -> RowRun {
        RowRun(
            owner: .chunk(self), ids: UnsafeBufferPointer(start: ids, count: count),
            values: .single(UnsafeBufferPointer(start: values, count: count * dimension)), isAscending: isAscending, tombstones: tombstones)
    }
}
