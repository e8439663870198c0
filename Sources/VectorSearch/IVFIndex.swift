import Dispatch
import Execution
import Kernels
package import Storage
import Synchronization

/// Nearest rows by inverted lists with quantised codes, exact at the end.
///
/// A layer over `FlatIndex`, which stays the durable truth: ids, vectors, deletions, positions and crash safety are its own. Each of its segments with enough rows
/// has an `InvertedFile` beside it; small segments and the rows that are not yet sealed are scanned exactly.
///
/// ```
///   search ──► delta + small segments: exact scan ──┐ k-th best so far
///          └─► large segments: lists, 1-bit codes, 4-bit codes ──► candidates ──► exact scores ──► k best
///
///   seal / compact ──► FlatIndex writes the joined segment ──► its lists are built ──► both are published together
/// ```
///
/// So lists never split or move in place: a merge of segments, which rewrites rows about log₄ n times, retrains them (why, and what SPFresh would gain, is in
/// Documentation/Design). Readers go on with the old segments until the new one is complete. A damaged or missing inverted file costs speed, never rows: it is
/// built again in the background.
///
/// Scores are exact, so an answer does not depend on codes, only on which rows were considered: `recallTarget` says how sure that choice is.
package final class IVFIndex: VectorIndex, Sendable {
    package var dimension: Int { flat.dimension }
    package var metric: Metric { flat.metric }
    /// The expected share of the true k nearest rows that a search returns, above 0; at 1 and above every search is exact.
    package let recallTarget: Float
    package let parameters: IVFParameters
    let flat: FlatIndex
    let files: PartStore
    private let memories = Mutex<[SendableMemory]>([])
    private let builder = DispatchQueue(label: "outrider.ivf.build", qos: .utility)

    private struct SendableMemory: @unchecked Sendable {
        // Invariant: whoever holds it took it out of the pool, so nobody else does.
        let memory: ProbeMemory
    }

    /// Opens the index in a folder, or starts an empty one. Throws `.storage` when a flat file is damaged; inverted files that are missing or damaged are
    /// built again in the background (not when read-only: then their segments are scanned exactly).
    package init(
        directory: String, dimension: Int, metric: Metric, precision: VectorPrecision = .single, readOnly: Bool = false,
        recallTarget: Float = 0.95, parameters: IVFParameters = .init()
    ) throws(VectorIndexError) {
        precondition(recallTarget > 0, "a recall target of \(recallTarget)")
        self.recallTarget = recallTarget
        self.parameters = parameters
        let files = PartStore(directory: directory, dimension: dimension, metric: metric, parameters: parameters)
        self.files = files
        flat = try FlatIndex(directory: directory, dimension: dimension, metric: metric, precision: precision, readOnly: readOnly) {
            (run) throws(StorageError) in try files.build(run)
        }
        files.open(flat.snapshot.sealed)
        guard !readOnly else { return }
        do throws(StorageError) { try files.prepareFolder(kept: flat.snapshot.sealed) } catch { throw .storage(error) }
        let sealed = flat.snapshot.sealed
        if !files.missing(in: sealed).isEmpty || !files.unpriced(in: sealed).isEmpty {
            let flat = flat
            builder.async {
                for run in files.missing(in: flat.snapshot.sealed) {
                    do throws(StorageError) { try files.build(run) } catch { files.note(error) }
                    files.release(run)
                }
                for run in files.unpriced(in: flat.snapshot.sealed) {
                    do throws(StorageError) { try files.learnPrices(run) } catch { files.note(error) }
                }
                // A segment may have gone while its lists were built.
                files.keep { flat.snapshot.sealed }
            }
        }
    }

    package var sealedPosition: IndexPosition { flat.sealedPosition }
    package var count: Int { flat.count }
    package var unsealedCount: Int { flat.unsealedCount }
    package var heldCount: Int { flat.heldCount }
    package func liveRows() -> [RowID] { flat.liveRows() }
    package func add(_ rows: VectorRows) throws(VectorIndexError) { try flat.add(rows) }
    package func remove(_ rows: [RowID]) { flat.remove(rows) }

    private var rescoring: Rescoring { Rescoring(dimension: dimension, metric: metric, kernels: flat.kernels) }

    /// Sealed rows are read as the survivors of a search are; those in memory are scanned.
    package func scores(of rows: [RowID], for query: [Float]) throws(VectorIndexError) -> [RowHit] {
        let query = try flat.prepare(query)
        let snapshot = flat.snapshot
        let wanted = RowSet(rows)
        var top = FlatScan(runs: snapshot.delta, query: query, metric: metric, kernels: flat.kernels, filter: wanted).best(wanted.count)
        do throws(StorageError) {
            try query.withUnsafeBufferPointer { (query) throws(StorageError) in
                for run in snapshot.sealed { try rescoring.score(run.livePositions(of: wanted), of: run, for: query, into: &top) }
            }
        } catch { throw .storage(error) }
        return top.sorted.map { RowHit(row: RowID($0.id), score: $0.score) }
    }

    package func seal(at position: IndexPosition) throws(VectorIndexError) {
        try flat.seal(at: position)
        files.keep { flat.snapshot.sealed }
    }

    package func compact(at position: IndexPosition) throws(VectorIndexError) {
        try flat.compact(at: position)
        files.keep { flat.snapshot.sealed }
    }

    /// Waits until the inverted files that were missing at the start are built.
    package func waitForBuilds() { builder.sync {} }

    /// What was wrong with inverted files, one sentence each. They are built again by themselves.
    package var repairs: [String] { files.repairs }

    package func verify() -> [String] { flat.verify() + files.verify(flat.snapshot.sealed) }

    /// What the index holds, for reports.
    package struct Description: Sendable, Codable {
        package var rows: Int
        package var segments: Int
        package var invertedFiles: Int
        package var nlist: Int
        /// Bytes of codes, centroids and list directories: what a search works on.
        package var codeSize: Int
        package var vectorSize: Int
        /// Calibrated k, recall and price of the largest inverted file.
        package var plan: [[Float]]
    }

    package var description: Description {
        let snapshot = flat.snapshot
        let parts = snapshot.sealed.compactMap { files.part(for: $0) }
        return Description(
            rows: snapshot.count, segments: snapshot.sealed.count, invertedFiles: parts.count, nlist: parts.reduce(0) { $0 + $1.nlist },
            codeSize: parts.reduce(0) { $0 + $1.residentSize }, vectorSize: snapshot.runs.reduce(0) { $0 + $1.values.bytes.count },
            plan: parts.max { $0.count < $1.count }?.plan.prices.map { [$0.k, $0.recall, $0.price] } ?? [])
    }
}

// MARK: - Search

extension IVFIndex {
    /// A filter with at most this many rows is answered by scoring just them.
    static let exactFilterCountMax = 2048

    package func search(_ query: [Float], k: Int, filter: RowSet?) throws(VectorIndexError) -> [RowHit] {
        try search(query, k: k, filter: filter, tuning: .recall(recallTarget)).hits
    }

    package func search(_ query: [Float], k: Int, filter: RowSet?, recall: Float?) throws(VectorIndexError) -> [RowHit] {
        try search(query, k: k, filter: filter, tuning: .recall(recall ?? recallTarget)).hits
    }

    /// How thorough one search is.
    package enum Tuning: Sendable {
        case recall(Float)
        /// The plan's price and the margins in standard errors, for measurements.
        case explicit(price: Float, signMargin: Float, fineMargin: Float, probeMax: Int)
    }

    /// Work that a search did.
    package struct Work: Sendable {
        package var lists = 0
        package var scanned = 0
        package var refined = 0
        package var exact = 0
        package init() {}
    }

    package func search(
        _ query: [Float], k: Int, filter: RowSet?, tuning: Tuning
    ) throws(VectorIndexError) -> (hits: [RowHit], work: Work) {
        let query = try flat.prepare(query)
        let (snapshot, known) = snapshotWithParts()
        let capacity = min(k, snapshot.count, filter?.count ?? .max)
        guard capacity > 0 else { return ([], Work()) }
        return try query.withUnsafeBufferPointer { (buffer) throws(VectorIndexError) in
            try search(buffer, capacity, snapshot: snapshot, known: known, filter: filter, tuning: tuning)[0]
        }
    }

    /// The rows of one moment and the inverted files of their segments.
    ///
    /// A seal that ends between the two takes the old segments' files away; then the new snapshot is taken, or a large segment would be scanned exactly.
    private func snapshotWithParts() -> (FlatSnapshot, [String: InvertedFile]) {
        while true {
            let snapshot = flat.snapshot
            let known = files.known
            let isComplete = snapshot.sealed.allSatisfy { run in run.segment.map { known[$0.name] != nil } ?? true }
            if isComplete || flat.snapshot === snapshot { return (snapshot, known) }
        }
    }

    /// Answers of one query or of many.
    ///
    /// - Parameter queries: Shape `[count, dimension]`, in the form of the stored vectors.
    private func search(
        _ queries: UnsafeBufferPointer<Float>, _ k: Int, snapshot: FlatSnapshot, known: [String: InvertedFile], filter: RowSet?,
        tuning: Tuning
    ) throws(VectorIndexError) -> [(hits: [RowHit], work: Work)] {
        let rows = stride(from: 0, to: queries.count, by: dimension).map {
            UnsafeBufferPointer(rebasing: queries[$0..<$0 + dimension])
        }
        var parts: [(run: RowRun, file: InvertedFile)] = []
        var exactRuns: [RowRun] = []
        let isCodable = metric == .cosine || rows.allSatisfy { InvertedFile.isCodable($0) }
        if isCodable, snapshot.count > parameters.exactRowCountMax, filter.map({ $0.count > Self.exactFilterCountMax }) ?? true {
            for run in snapshot.sealed {
                if let name = run.segment?.name, let file = known[name] { parts.append((run, file)) } else { exactRuns.append(run) }
            }
            exactRuns += snapshot.delta
        } else {
            exactRuns = snapshot.runs
        }
        var tops = rows.map { row in
            exactRuns.isEmpty
                ? TopK(capacity: k)
                : FlatScan(runs: exactRuns, query: Array(row), metric: metric, kernels: flat.kernels, filter: filter).best(k)
        }
        var works = [Work](repeating: Work(), count: rows.count)
        if !parts.isEmpty {
            let sets = candidates(of: rows, tops, parts, k, snapshot: snapshot, filter: filter, tuning: tuning)
            for number in rows.indices {
                works[number].lists = sets[number].counts.lists
                works[number].scanned = sets[number].counts.scanned
                works[number].refined = sets[number].counts.refined
                for (index, part) in parts.enumerated() {
                    let positions = sets[number].survivors(part: UInt32(index))
                    works[number].exact += positions.count
                    do throws(StorageError) { try rescoring.score(positions, of: part.run, for: rows[number], into: &tops[number]) } catch {
                        throw .storage(error)
                    }
                }
            }
        }
        return zip(tops, works).map { top, work in (top.sorted.map { RowHit(row: RowID($0.id), score: $0.score) }, work) }
    }

    /// What may be among the k best of each query, by the inverted files.
    ///
    /// - Parameter tops: The best of the rows without inverted files: what is to be beaten.
    private func candidates(
        of queries: [UnsafeBufferPointer<Float>], _ tops: [TopK], _ parts: [(run: RowRun, file: InvertedFile)], _ k: Int,
        snapshot: FlatSnapshot, filter: RowSet?, tuning: Tuning
    ) -> [CandidateSet] {
        let unit: Float = metric == .l2 ? 0.5 : 1
        var sets = tops.map { top in
            var set = CandidateSet(k: k)
            for (index, entry) in top.sorted.enumerated() { set.top.push(score: entry.score * unit, id: -1 - Int64(index)) }
            return set
        }
        let filtered = filter.map { min(1, Float($0.count) / Float(max(1, snapshot.count))) } ?? 1
        let total = max(1, parts.reduce(0) { $0 + $1.run.liveCount })
        // The largest first: its threshold is nearest to that of all. Its price is everyone's: a row of a small file is worth no more (see `ProbePlan`).
        let inOrder = parts.indices.sorted { (parts[$0].run.count, $1) > (parts[$1].run.count, $0) }
        let largest = parts[inOrder[0]]
        let parameters: ProbeParameters =
            switch tuning {
            case .recall(let recall):
                ProbeParameters(
                    recall: recall, k: k, plan: largest.file.plan,
                    selectivity: filtered * Float(largest.run.liveCount) / Float(max(1, largest.run.count)),
                    share: Float(largest.run.liveCount) / Float(total))
            case .explicit(let price, let signMargin, let fineMargin, let probeMax):
                ProbeParameters(price: price, signMargin: signMargin, fineMargin: fineMargin, probeMax: probeMax)
            }
        let searches = inOrder.map { index in
            let probe = InvertedFile.Probe(run: parts[index].run, filter: filter, part: UInt32(index), parameters: parameters)
            return (file: parts[index].file, probe: probe, memory: takeMemory(parts[index].file))
        }
        for search in searches { search.file.begin(queries, search.probe, search.memory) }
        // Round by round through all files, so that none goes on for what another one has found better.
        sets.withUnsafeMutableBufferPointer { sets in
            var active = searches[...]
            while !active.isEmpty {
                active = ArraySlice(
                    active.filter {
                        $0.file.round(
                            $0.probe, into: sets, memory: $0.memory, source: MappedLists(file: $0.file), scanner: KernelScanner())
                    })
            }
        }
        for search in searches { search.file.end(search.memory) }
        memories.withLock { pool in
            for search in searches where pool.count < Self.memoryCountMax { pool.append(SendableMemory(memory: search.memory)) }
        }
        return sets
    }

    private static let memoryCountMax = 16

    private func takeMemory(_ file: InvertedFile) -> ProbeMemory {
        let taken = memories.withLock { pool -> SendableMemory? in
            guard let index = pool.lastIndex(where: { $0.memory.fits(file) }) else { return nil }
            return pool.remove(at: index)
        }
        return taken?.memory ?? ProbeMemory(for: file)
    }

    /// Searches many queries on several threads.
    ///
    /// - Parameter queries: Shape `[count, dimension]`.
    /// - Returns: Hits of each query, in their order: those that `search` gives for it alone, bit for bit.
    package func search(
        batch queries: [Float], k: Int, filter: RowSet?, threads: Int, tuning: Tuning? = nil
    ) throws(VectorIndexError) -> [[RowHit]] {
        guard queries.count % dimension == 0 else { throw .dimensionMismatch(got: queries.count % dimension, expected: dimension) }
        let count = queries.count / dimension
        let results = Mutex([[RowHit]](repeating: [], count: count))
        let failure = Mutex<VectorIndexError?>(nil)
        let (snapshot, known) = snapshotWithParts()
        let capacity = min(k, snapshot.count, filter?.count ?? .max)
        guard capacity > 0 else { return results.withLock { $0 } }
        let stretch = max(1, min(Self.groupCountMax, (count + max(1, threads) - 1) / max(1, threads)))
        inParallel((count + stretch - 1) / stretch, threads: threads) { part in
            let range = part * stretch..<min(count, (part + 1) * stretch)
            do throws(VectorIndexError) {
                var prepared: [Float] = []
                prepared.reserveCapacity(range.count * dimension)
                for index in range { prepared += try flat.prepare(Array(queries[index * dimension..<(index + 1) * dimension])) }
                let found = try prepared.withUnsafeBufferPointer { (buffer) throws(VectorIndexError) in
                    try search(buffer, capacity, snapshot: snapshot, known: known, filter: filter, tuning: tuning ?? .recall(recallTarget))
                }
                results.withLock { $0.replaceSubrange(range, with: found.map(\.hits)) }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        return results.withLock { $0 }
    }

    package func search(batch queries: [Float], k: Int, recall: Float?) throws(VectorIndexError) -> [[RowHit]] {
        try search(batch: queries, k: k, filter: nil, threads: 1, tuning: recall.map { .recall($0) })
    }

    /// So many queries go through the lists together: what each needs (25 KB at 384 dimensions and 700 lists) stays near the core.
    private static let groupCountMax = 64
}
