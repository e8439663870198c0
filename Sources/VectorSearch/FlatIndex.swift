import Kernels
package import Storage
import Synchronization

/// Exact search by scanning every live row: the oracle of all other indexes, and the right plan for small collections.
///
/// ```
///   files (immutable)                    memory
///   +-----------+ +-------+ +----+      +-------+-----+
///   | segment   | |segment| |seg.|      | chunk |chunk|<- add
///   +-----------+ +-------+ +----+      +-------+-----+
///     bitmap        bitmap    bitmap      bitmap  bitmap  <- remove
///   \______________________ snapshot _________________/ -> search scans all of it, on several cores when large
///
///   seal:    chunks, and segments that are small or mostly deleted, become one new segment; the manifest switches
///   compact: everything becomes one segment without deleted rows
/// ```
///
/// Concurrency: a search takes the current snapshot (a lock around one reference) and works on it without any lock. `add` and `remove` take turns
/// on the writer's lock. `seal` and `compact` take turns on a third, and hold the writer's only to begin and to switch: rows can be
/// added, removed and searched while files are written.
///
/// Crashes: each file is written beside its name, synced and renamed; what counts is the manifest, renamed last. So a reopened index is the old
/// generation or the new one. Names are numbered and never reused while a file of that name may exist.
///
/// Opened read-only, an index never touches the folder, but `add` and `remove` still work in memory: that is how a second process follows
/// the database beyond what the owner has sealed.
package final class FlatIndex: VectorIndex, Sendable {
    package let dimension: Int
    package let metric: Metric
    let precision: VectorPrecision
    let directory: String
    let isReadOnly: Bool
    let kernels = KernelTable.best

    /// What readers see. Held for the exchange of one reference.
    let published: Mutex<FlatSnapshot>
    /// The writer's turn: held while rows are copied, never while files are touched.
    let writer: Mutex<WriterState>
    /// The turn of `seal` and `compact`. The one lock that is held during slow work: nobody else takes it, readers and writers go on.
    let files: Mutex<FileState>
    let position: Mutex<IndexPosition>
    /// Sees a new segment after it is written and before any search sees it: where an index above makes what belongs to it.
    let willPublish: (@Sendable (RowRun) throws(StorageError) -> Void)?

    struct WriterState {
        /// Where each row of the delta lies.
        var places: [Int64: Place] = [:]
        /// Chunks up to this serial take no more rows: they are being sealed.
        var frozenSerial = -1
        var nextSerial = 0

        struct Place {
            var serial: Int
            var position: Int
        }
    }

    struct FileState {
        var manifest: IndexManifest
        /// The deletions that the files hold, for each segment of the manifest.
        var tombstones: [RowTombstones]
        var nextNumber: Int
    }

    /// Vectors up to this size are checked against their checksums when an index is opened: a fraction of a second. Larger ones are left to `verify`,
    /// because opening must stay quick; row ids, deletions and headers are always checked.
    package static let verifiedSizeMax = 256 << 20

    /// Opens the index in a folder, or starts an empty one. Throws `.storage` when a file is damaged.
    ///
    /// - Parameter precision: Of rows that are added, and of the files that are written. Files of the other kind are read all the same.
    package convenience init(
        directory: String, dimension: Int, metric: Metric, precision: VectorPrecision = .single, readOnly: Bool = false
    ) throws(VectorIndexError) {
        try self.init(
            directory: directory, dimension: dimension, metric: metric, precision: precision, readOnly: readOnly, willPublish: nil)
    }

    init(
        directory: String, dimension: Int, metric: Metric, precision: VectorPrecision, readOnly: Bool,
        willPublish: (@Sendable (RowRun) throws(StorageError) -> Void)?
    ) throws(VectorIndexError) {
        precondition(dimension > 0, "an index of \(dimension) dimensions")
        precondition(precision == .single || metric == .cosine, "half precision for metric '\(metric.rawValue)'")
        self.precision = precision
        self.dimension = dimension
        self.metric = metric
        self.directory = directory
        isReadOnly = readOnly
        self.willPublish = willPublish
        let opened = try Self.open(directory: directory, dimension: dimension, metric: metric, readOnly: readOnly)
        published = Mutex(FlatSnapshot(sealed: opened.runs, delta: []))
        writer = Mutex(WriterState())
        position = Mutex(opened.files.manifest.position)
        files = Mutex(opened.files)
    }

    package var sealedPosition: IndexPosition { position.withLock { $0 } }
    package var count: Int { snapshot.count }
    package var unsealedCount: Int { snapshot.unsealedCount }
    package var heldCount: Int { snapshot.delta.reduce(0) { $0 + $1.count } }

    var snapshot: FlatSnapshot { published.withLock { $0 } }

    /// Every live row id, ascending.
    package func liveRows() -> [RowID] {
        let snapshot = snapshot
        var rows: [RowID] = []
        rows.reserveCapacity(snapshot.count)
        for run in snapshot.runs { for position in run.livePositions { rows.append(RowID(run.ids[position])) } }
        return rows.sorted()
    }
}

// MARK: - Writing

extension FlatIndex {
    package func add(_ rows: VectorRows) throws(VectorIndexError) {
        guard rows.values.count == rows.rows.count * dimension else {
            // When the values do not divide evenly, the last vector is taken to be the wrong one.
            let isEven = !rows.rows.isEmpty && rows.values.count % rows.rows.count == 0
            let rest = max(0, rows.values.count - max(0, rows.rows.count - 1) * dimension)
            throw .dimensionMismatch(got: isEven ? rows.values.count / rows.rows.count : rest, expected: dimension)
        }
        if let element = rows.values.withUnsafeBufferPointer({ KernelTable.firstNotFinite($0) }) {
            throw .notFinite(row: rows.rows[element / dimension], element: element % dimension)
        }
        guard !rows.rows.isEmpty else { return }
        writer.withLock { state in
            let current = snapshot
            var sealed = current.sealed
            var delta = current.delta
            erase(rows.rows, sealed: &sealed, delta: &delta, state: &state)
            rows.values.withUnsafeBufferPointer { append(rows.rows, $0, delta: &delta, state: &state) }
            published.withLock { $0 = FlatSnapshot(sealed: sealed, delta: delta) }
        }
    }

    package func remove(_ rows: [RowID]) {
        writer.withLock { state in
            let current = snapshot
            var sealed = current.sealed
            var delta = current.delta
            guard erase(rows, sealed: &sealed, delta: &delta, state: &state) else { return }
            published.withLock { $0 = FlatSnapshot(sealed: sealed, delta: delta) }
        }
    }

    /// Copies rows behind the last chunk, in new chunks when it is full. A row that the batch holds again later is deleted at once.
    private func append(_ rows: [RowID], _ values: UnsafeBufferPointer<Float>, delta: inout [RowRun], state: inout WriterState) {
        var next = 0
        while next < rows.count {
            var last = delta.last.flatMap { run in if case .chunk(let chunk) = run.owner { chunk } else { nil } }
            if last == nil || last!.serial <= state.frozenSerial || delta.last!.count == last!.capacity {
                let capacity = DeltaChunk.capacity(after: last, waiting: rows.count - next, dimension: dimension)
                let chunk = DeltaChunk(capacity: capacity, dimension: dimension, serial: state.nextSerial)
                state.nextSerial += 1
                delta.append(chunk.run(count: 0, isAscending: true, tombstones: RowTombstones()))
                last = chunk
            }
            let chunk = last!
            let run = delta.last!
            let added = min(chunk.capacity - run.count, rows.count - next)
            var tombstones = run.tombstones
            var isAscending = run.isAscending
            var previous = run.ids.last ?? .min
            for index in next..<next + added {
                let id = rows[index].rawValue
                let position = run.count + index - next
                let target = chunk.write(
                    id, UnsafeBufferPointer(rebasing: values[index * dimension..<(index + 1) * dimension]), at: position)
                if metric == .cosine { KernelTable.normalize(target) }
                if precision == .half { kernels.roundToHalf(target) }
                isAscending = isAscending && (position == 0 || id > previous)
                previous = id
                if let earlier = state.places.updateValue(.init(serial: chunk.serial, position: position), forKey: id) {
                    // The same id earlier in this batch, in this chunk or in one that this batch has filled.
                    if earlier.serial == chunk.serial {
                        _ = tombstones.insert(earlier.position, rows: position + 1)
                    } else {
                        bury(earlier, in: &delta)
                    }
                }
            }
            delta[delta.count - 1] = chunk.run(count: run.count + added, isAscending: isAscending, tombstones: tombstones)
            next += added
        }
    }

    /// Marks rows as deleted wherever they are; false when none was there.
    @discardableResult
    private func erase(_ rows: [RowID], sealed: inout [RowRun], delta: inout [RowRun], state: inout WriterState) -> Bool {
        var hasErased = false
        for row in rows {
            if let place = state.places.removeValue(forKey: row.rawValue) {
                bury(place, in: &delta)
                hasErased = true
                continue
            }
            for index in sealed.indices.reversed() {
                guard let position = sealed[index].position(of: row.rawValue) else { continue }
                if sealed[index].tombstones.insert(position, rows: sealed[index].count) {
                    hasErased = true
                    break
                }
            }
        }
        return hasErased
    }

    private func bury(_ place: WriterState.Place, in delta: inout [RowRun]) {
        // Serials in the delta follow each other without a gap.
        guard case .chunk(let first) = delta[0].owner else { preconditionFailure("a segment in the delta") }
        let index = place.serial - first.serial
        let isNew = delta[index].tombstones.insert(place.position, rows: delta[index].count)
        precondition(isNew, "row at position \(place.position) of chunk \(place.serial) was deleted twice")
    }
}
