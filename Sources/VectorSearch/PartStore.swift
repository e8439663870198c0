import Execution
import Glibc
import Kernels
import Storage
import Synchronization

/// The inverted files of an index, by the name of their segment.
final class PartStore: Sendable {
    let directory: String
    let dimension: Int
    let metric: Metric
    let parameters: IVFParameters
    private let state = Mutex(State())
    /// The turn of `keep`: what it keeps must be known before another one removes files.
    private let cleaning = Mutex(())

    private struct State {
        var parts: [String: InvertedFile] = [:]
        var repairs: [String] = []
        /// Segments whose files are being made and that no snapshot may show yet.
        var unpublished: Set<String> = []
    }

    init(directory: String, dimension: Int, metric: Metric, parameters: IVFParameters) {
        self.directory = directory
        self.dimension = dimension
        self.metric = metric
        self.parameters = parameters
    }

    var repairs: [String] { state.withLock { $0.repairs } }

    /// Remembers why a file could not be built: its segment is scanned exactly until the next start tries again.
    func note(_ error: StorageError) { state.withLock { $0.repairs.append(error.description) } }

    private var folder: String { "\(directory)/\(InvertedFile.folder)" }

    /// All files, by the name of their segment.
    var known: [String: InvertedFile] { state.withLock { $0.parts } }

    func part(for run: RowRun) -> InvertedFile? { run.segment.flatMap { segment in state.withLock { $0.parts[segment.name] } } }

    private func needsFile(_ run: RowRun) -> Bool { run.segment != nil && run.count >= max(1, parameters.rowCountMin) }

    /// Maps the files of the given segments.
    func open(_ runs: [RowRun]) {
        var size = 0
        for run in runs where needsFile(run) {
            guard let segment = run.segment else { continue }
            do throws(StorageError) {
                let file = try open(segment, rows: run.count)
                // As with vectors, lists of many gigabytes are left to `verify`.
                size += file.lists.count
                if size <= FlatIndex.verifiedSizeMax { try file.verifyLists() }
                state.withLock { $0.parts[segment.name] = file }
            } catch {
                if case .missingFile = error { continue }
                state.withLock { $0.repairs.append(error.description) }
            }
        }
    }

    private func open(_ segment: FlatSegment, rows: Int) throws(StorageError) -> InvertedFile {
        try InvertedFile.open(
            path: InvertedFile.path(directory: directory, segment: segment.name), dimension: dimension, metric: metric, rows: rows,
            segmentChecksum: segment.checksum)
    }

    /// Builds the file of a segment, when it has rows enough, writes it and maps it.
    func build(_ run: RowRun) throws(StorageError) {
        guard let segment = run.segment, needsFile(run), metric == .cosine || Self.isCodable(run, dimension) else { return }
        cleaning.withLock { _ in state.withLock { _ = $0.unpublished.insert(segment.name) } }
        try IndexManifest.createDirectory(folder)
        let path = InvertedFile.path(directory: directory, segment: segment.name)
        let built = inBackground {
            InvertedFile.build(values: run.values, dimension: dimension, metric: metric, parameters: parameters, calibrating: run)
        }
        segment.releaseValues()
        try built.write(path: path, segmentChecksum: segment.checksum)
        let file = try open(segment, rows: run.count)
        state.withLock { $0.parts[segment.name] = file }
    }

    /// Learns the prices of a file of before, which serves at usual ones meanwhile, and writes it again beside its final name.
    func learnPrices(_ run: RowRun) throws(StorageError) {
        guard let segment = run.segment else { return }
        // Not the object that searches use: its plan must not change under them.
        let file = try open(segment, rows: run.count)
        let plan = inBackground {
            var generator = SplitMix64(seed: parameters.seed)
            return file.learnPlan(
                run: run, sampleCount: parameters.planSampleCount(rows: run.count), threads: parameters.threads, generator: &generator)
        }
        file.plan = plan
        segment.releaseValues()
        try file.write(
            path: InvertedFile.path(directory: directory, segment: segment.name), segmentChecksum: segment.checksum)
        let learned = try open(segment, rows: run.count)
        state.withLock { if $0.parts[segment.name] != nil { $0.parts[segment.name] = learned } }
    }

    private static func isCodable(_ run: RowRun, _ dimension: Int) -> Bool {
        (0..<run.count).allSatisfy {
            run.values.row($0, dimension: dimension).withUnsafeBufferPointer { InvertedFile.isCodable($0) }
        }
    }

    func missing(in runs: [RowRun]) -> [RowRun] { runs.filter { needsFile($0) && part(for: $0) == nil } }

    /// Those whose files are of before prices.
    func unpriced(in runs: [RowRun]) -> [RowRun] {
        guard parameters.planSampleCount > 0 else { return [] }
        return runs.filter { run in part(for: run).map { $0.plan.prices.isEmpty && !$0.plan.isExhaustive } ?? false }
    }

    /// Makes the folder and removes what no segment needs.
    func prepareFolder(kept runs: [RowRun]) throws(StorageError) {
        try IndexManifest.createDirectory(folder)
        var manifest = IndexManifest()
        manifest.segments = runs.compactMap { $0.segment?.name }
        try manifest.removeUnreferenced(directory: folder)
    }

    /// Forgets and removes the files of segments that are not among these, nor just being made.
    func keep(_ runs: () -> [RowRun]) {
        cleaning.withLock { _ in
            var manifest = IndexManifest()
            let names = Set(runs().compactMap { $0.segment?.name })
            state.withLock { state in
                state.unpublished.subtract(names)
                let kept = names.union(state.unpublished)
                state.parts = state.parts.filter { kept.contains($0.key) }
                manifest.segments = kept.sorted() + kept.map { $0 + ".part" }
            }
            _ = try? manifest.removeUnreferenced(directory: folder)
        }
    }

    /// Takes back that a segment's file is wanted, after it was built too late.
    func release(_ run: RowRun) {
        guard let segment = run.segment else { return }
        state.withLock { _ = $0.unpublished.remove(segment.name) }
    }

    /// What is wrong on disk.
    func verify(_ runs: [RowRun]) -> [String] {
        var flaws: [String] = []
        for run in runs where needsFile(run) {
            guard let segment = run.segment else { continue }
            do throws(StorageError) { try open(segment, rows: run.count).verifyLists() } catch {
                // Not there yet: it is being built.
                if case .missingFile = error { continue }
                flaws.append(error.description)
            }
        }
        return flaws
    }
}
