import Kernels
import Storage

/// One sealed file of a flat index: row ids and their vectors, in the order of ids.
///
/// A segment file (see `Storage`) of kind `FLAT`, version 1 or 2, with three sections:
///
/// | section | element | content |
/// | --- | --- | --- |
/// | `meta` | `UInt64` × 3 | dimension; metric (0 cosine, 1 inner product, 2 L2); number of rows *n* |
/// | `rows` | `Int64` × *n* | row ids, strictly ascending |
/// | `values` | `Float` × *n* × dimension | vectors, row-major; for cosine of unit length, or zero. In version 2 `Float16`, for cosine alone |
final class FlatSegment: Sendable {
    static let kind = "FLAT"
    /// Of files with single and with half precision.
    static let versions: [VectorPrecision: UInt32] = [.single: 1, .half: 2]

    let name: String
    private let file: SegmentFile

    /// Names this very content.
    var checksum: UInt32 { file.headerChecksum }

    private init(name: String, file: SegmentFile) {
        self.name = name
        self.file = file
    }

    /// Maps a segment. Meta data and ids are checked in full, the vectors by `verifyValues`.
    static func open(directory: String, name: String, dimension: Int, metric: Metric) throws(StorageError) -> RowRun {
        let path = directory + "/" + name
        let file = try SegmentFile(
            path: path, kind: kind, versions: [1, 2], verifyingSections: false, readableSizeMin: readableSizeMin)
        try file.verify(section: "meta")
        try file.verify(section: "rows")
        let meta = try file.array("meta", of: UInt64.self)
        let ids = try file.array("rows", of: Int64.self)
        let values: RowValues =
            try file.version == versions[.half]
            ? .half(file.array("values", of: UInt16.self)) : .single(file.array("values", of: Float.self))
        guard meta.elementsEqual([UInt64(dimension), metric.number, UInt64(ids.count)]), values.count == ids.count * dimension else {
            throw .corrupt(
                path: path, offset: 0,
                reason: "it does not hold \(ids.count) vectors of \(dimension) dimensions for metric '\(metric.rawValue)'")
        }
        for position in 1..<max(1, ids.count) where ids[position - 1] >= ids[position] {
            throw .corrupt(path: path, offset: 0, reason: "row ids do not ascend at position \(position)")
        }
        return RowRun(owner: .segment(FlatSegment(name: name, file: file)), ids: ids, values: values, isAscending: true)
    }

    /// Checks the vectors against their checksum. Afterwards their pages are not mapped any more.
    func verifyValues() throws(StorageError) {
        defer { releaseValues() }
        try file.verify(section: "values")
    }

    /// Vectors that a search re-ranks are read from the file one by one: through the mapping, each would pull in and hold several pages.
    static let readableSizeMin = 1 << 20

    /// Gives the memory of the mapped vectors back: after a pass over all of them.
    func releaseValues() { try? file.release(section: "values") }

    /// Copies consecutive vectors out of the file.
    ///
    /// - Parameters:
    ///   - positions: In the run.
    ///   - values: The run's vectors, mapped, shape `[rows, dimension]`.
    ///   - buffer: Room for shape `[positions.count, dimension]`, aligned for `Float`.
    /// - Returns: What the buffer holds.
    func read(
        _ positions: Range<Int>, of values: RowValues, dimension: Int, into buffer: UnsafeMutableRawPointer
    ) throws(StorageError) -> RowValues {
        let source = values[positions.lowerBound * dimension..<positions.upperBound * dimension]
        let bytes = source.bytes
        if file.isReadable {
            try file.read(at: bytes.baseAddress!, into: UnsafeMutableRawBufferPointer(start: buffer, count: bytes.count))
        } else {
            buffer.copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
        }
        return switch source {
        case .single: .single(UnsafeBufferPointer(start: buffer.assumingMemoryBound(to: Float.self), count: source.count))
        case .half: .half(UnsafeBufferPointer(start: buffer.assumingMemoryBound(to: UInt16.self), count: source.count))
        }
    }

    /// Writes the live rows of several runs, ordered by id. Memory: 16 bytes a row; the vectors stream through.
    ///
    /// - Parameter precision: Rows of another one are converted: those of a file that was written before the index rounded.
    static func write(
        _ runs: [RowRun], directory: String, name: String, dimension: Int, metric: Metric, precision: VectorPrecision = .single
    ) throws(StorageError) {
        struct Place {
            var id: Int64
            var run: UInt32
            var position: UInt32
        }
        var places: [Place] = []
        places.reserveCapacity(runs.reduce(0) { $0 + $1.liveCount })
        for (index, run) in runs.enumerated() {
            for position in run.livePositions {
                places.append(Place(id: run.ids[position], run: UInt32(index), position: UInt32(position)))
            }
        }
        if !zip(places, places.dropFirst()).allSatisfy({ $0.id < $1.id }) { places.sort { $0.id < $1.id } }

        var writer = try SegmentWriter(path: directory + "/" + name, kind: kind, version: versions[precision]!)
        try writer.append(section: "meta", array: [UInt64(dimension), metric.number, UInt64(places.count)])
        try writer.append(section: "rows", array: places.map(\.id))
        try writer.begin(section: "values")
        var start = 0
        while start < places.count {
            // Neighbours stay neighbours in most merges: write each stretch at once, up to some size, since it may have to be converted.
            let first = places[start]
            var end = start + 1
            while end < places.count, end - start < 1024, places[end].run == first.run,
                Int(places[end].position) == Int(first.position) + end - start
            {
                end += 1
            }
            let values = runs[Int(first.run)].values
            let from = Int(first.position) * dimension
            try write(values[from..<from + (end - start) * dimension], precision, &writer)
            start = end
        }
        try writer.end()
        try writer.finish()
    }

    private static func write(_ values: RowValues, _ precision: VectorPrecision, _ writer: inout SegmentWriter) throws(StorageError) {
        switch (values, precision) {
        case (.single, .single), (.half, .half): try writer.write(values.bytes)
        case (.single(let values), .half):
            var halves = [UInt16](repeating: 0, count: values.count)
            halves.withUnsafeMutableBufferPointer { KernelTable.best.convert(values, toHalf: $0) }
            try writer.write(halves)
        case (.half, .single):
            var wide = [Float](repeating: 0, count: values.count)
            wide.withUnsafeMutableBufferPointer { values.copy(to: $0.baseAddress!) }
            try writer.write(wide)
        }
    }
}

extension Metric {
    /// The number that stands for the metric in files.
    var number: UInt64 {
        switch self {
        case .cosine: 0
        case .innerProduct: 1
        case .l2: 2
        }
    }
}

/// The deleted positions of all segments of a manifest, in one file.
///
/// A segment file of kind `TOMB`, version 1, with two sections:
///
/// | section | element | content |
/// | --- | --- | --- |
/// | `rows` | `UInt64` × *s* | the number of rows of each segment, in the manifest's order |
/// | `words` | `UInt64` | one bitmap for each segment, ⌈rows / 64⌉ words: bit *i* of word *w* is set when position 64 *w* + *i* is deleted |
enum TombstoneFile {
    static let kind = "TOMB"
    static let version: UInt32 = 1

    /// Returns the header's checksum.
    static func write(_ runs: [RowRun], directory: String, name: String) throws(StorageError) -> UInt32 {
        var words: [UInt64] = []
        for run in runs {
            words += run.tombstones.words
            words += repeatElement(0, count: RowTombstones.wordCount(rows: run.count) - run.tombstones.words.count)
        }
        var writer = try SegmentWriter(path: directory + "/" + name, kind: kind, version: version)
        try writer.append(section: "rows", array: runs.map { UInt64($0.count) })
        try writer.append(section: "words", array: words)
        return try writer.finish()
    }

    /// Returns the header's checksum.
    @discardableResult
    static func read(directory: String, name: String, into runs: inout [RowRun]) throws(StorageError) -> UInt32 {
        let path = directory + "/" + name
        let file = try SegmentFile(path: path, kind: kind, version: version, verifyingSections: true)
        let rows = try file.array("rows", of: UInt64.self)
        let words = try file.array("words", of: UInt64.self)
        guard rows.elementsEqual(runs.map { UInt64($0.count) }),
            words.count == runs.reduce(0, { $0 + RowTombstones.wordCount(rows: $1.count) })
        else {
            throw .corrupt(path: path, offset: 0, reason: "it does not belong to the segments of the manifest")
        }
        var start = 0
        for index in runs.indices {
            let count = RowTombstones.wordCount(rows: runs[index].count)
            runs[index].tombstones = RowTombstones(words: Array(words[start..<start + count]))
            start += count
            if let last = runs[index].tombstones.words.last, runs[index].count % 64 != 0, last >> UInt64(runs[index].count % 64) != 0 {
                throw .corrupt(path: path, offset: 0, reason: "a position past the end of segment \(index) is deleted")
            }
        }
        return file.headerChecksum
    }
}
