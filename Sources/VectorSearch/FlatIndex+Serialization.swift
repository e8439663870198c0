import Foundation
package import Storage
import Synchronization

// The folder of a flat index:
//
//   manifest.json              which of the following count, and the position they stand for
//   flat-00000007.seg          segments, numbered in the order of their making
//   tombstones-00000009.seg    deleted rows of these segments; absent when there are none
//
// Sealing, step by step; a crash between two steps leaves what the last published manifest names:
//
//   1 freeze       the writer begins a new chunk; everything before is in this snapshot
//   2 choose       which segments join: the emptied, the mostly deleted, and neighbours in size once there are enough of them
//   3 write        flat-N.seg.part, sync, rename, sync the folder
//   4 write        tombstones-N+1.seg likewise
//   5 publish      manifest.json.part, sync, rename, sync the folder; unreferenced files are removed
//   6 switch       readers get the new segment instead of the chunks; what was deleted since step 1 is deleted there too

// MARK: - Opening

extension FlatIndex {
    /// What must be the same for a file to mean the same.
    private struct Configuration: Codable, Equatable {
        var index = "flat"
        var dimension: Int
        var metric: Metric
    }

    /// How often a reader begins again because the owner replaced the files under its eyes.
    private static let openAttemptCountMax = 100

    static func open(
        directory: String, dimension: Int, metric: Metric, readOnly: Bool
    ) throws(VectorIndexError) -> (files: FileState, runs: [RowRun]) {
        let configuration = Configuration(dimension: dimension, metric: metric)
        do {
            if !readOnly { try IndexManifest.createDirectory(directory) }
            let loaded = try load(directory: directory, configuration: configuration)
            guard var loaded else { throw VectorIndexError.configurationChanged(path: directory) }
            if loaded.manifest.generation == 0 {
                let encoder = JSONEncoder()
                encoder.outputFormatting = .sortedKeys
                loaded.manifest.configuration = String(decoding: try! encoder.encode(configuration), as: UTF8.self)
            } else if !readOnly {
                try loaded.manifest.removeUnreferenced(directory: directory)
            }
            let number = try IndexManifest.numberMax(directory: directory)
            return (FileState(manifest: loaded.manifest, tombstones: loaded.runs.map(\.tombstones), nextNumber: number + 1), loaded.runs)
        } catch let error as StorageError {
            throw .storage(error)
        } catch let error as VectorIndexError {
            throw error
        } catch {
            preconditionFailure("an error of another module: \(error)")
        }
    }

    /// The newest good generation; an empty manifest when there is none yet; nil when it was built with other settings.
    private static func load(
        directory: String, configuration: Configuration
    ) throws(StorageError) -> (manifest: IndexManifest, runs: [RowRun])? {
        var attemptCount = 0
        while true {
            guard let manifest = try IndexManifest.load(directory: directory) else { return (IndexManifest(), []) }
            let found = try? JSONDecoder().decode(Configuration.self, from: Data(manifest.configuration.utf8))
            guard found == configuration else { return nil }
            do {
                return (
                    manifest,
                    try openRuns(of: manifest, directory: directory, dimension: configuration.dimension, metric: configuration.metric)
                )
            } catch {
                // A file that the manifest names is gone: either it was lost, or the owner has published the next generation meanwhile.
                attemptCount += 1
                guard case .missingFile = error, attemptCount < openAttemptCountMax,
                    try IndexManifest.load(directory: directory)?.generation != manifest.generation
                else { throw error }
            }
        }
    }

    static func openRuns(of manifest: IndexManifest, directory: String, dimension: Int, metric: Metric) throws(StorageError) -> [RowRun] {
        var runs: [RowRun] = []
        var size = 0
        for name in manifest.segments {
            let run = try FlatSegment.open(directory: directory, name: name, dimension: dimension, metric: metric)
            if let segment = run.segment { try manifest.check(name, headerChecksum: segment.checksum, directory: directory) }
            size += run.values.bytes.count
            if size <= verifiedSizeMax { try run.segment?.verifyValues() }
            runs.append(run)
        }
        if let name = manifest.tombstones {
            let checksum = try TombstoneFile.read(directory: directory, name: name, into: &runs)
            try manifest.check(name, headerChecksum: checksum, directory: directory)
        }
        return runs
    }
}

// MARK: - Sealing

extension FlatIndex {
    /// Segments of about the same size join when there are this many: a row is rewritten about log₄ times in its life, and an index of *n* rows has
    /// fewer than 4 log₄ *n* segments.
    private static let mergeFactor = 4
    /// Segments up to this many rows count as the same size.
    private static let smallestTier = 1024
    /// A segment larger than this is left alone by `seal`, so that no seal takes long; `compact` rewrites it all the same.
    private static let mergedSizeMax = 512 << 20

    /// Writes the delta and the tombstones to files and publishes a manifest with this position. Joins small segments.
    ///
    /// Rows added or removed while it runs stay in memory and are taken by the next seal. When it throws, the index goes on as before.
    package func seal(at position: IndexPosition) throws(VectorIndexError) {
        try rewrite(at: position) { delta, sealed in joining(delta: delta, sealed: sealed) }
    }

    /// Rewrites everything into one segment of this index's precision without any trace of removed rows, and removes the files it replaces.
    package func compact(at position: IndexPosition) throws(VectorIndexError) {
        try rewrite(at: position) { delta, sealed in
            let isCompact =
                delta.isEmpty && sealed.count <= 1
                && sealed.allSatisfy { $0.tombstones.count == 0 && (precision == .single || $0.values.stride == 2) }
            return isCompact ? [] : Set(sealed.indices)
        }
        do {
            try files.withLock { files throws(StorageError) in _ = try files.manifest.removeUnreferenced(directory: directory) }
        } catch { throw .storage(error) }
    }

    /// Which segments a seal rewrites together with the delta.
    private func joining(delta: [RowRun], sealed: [RowRun]) -> Set<Int> {
        let rowCountMax = max(1, Self.mergedSizeMax / (dimension * MemoryLayout<Float>.stride))
        var joined = Set(sealed.indices.filter { sealed[$0].liveCount == 0 })
        for index in sealed.indices where sealed[index].tombstones.count * 2 > sealed[index].count && sealed[index].liveCount <= rowCountMax
        { joined.insert(index) }
        var rowCount = delta.reduce(0) { $0 + $1.liveCount } + joined.reduce(0) { $0 + sealed[$1].liveCount }
        while rowCount > 0 {
            let tier = Self.tier(rowCount)
            let alike = sealed.indices.filter {
                !joined.contains($0) && sealed[$0].liveCount <= rowCountMax && Self.tier(sealed[$0].liveCount) <= tier
            }
            guard alike.count >= Self.mergeFactor - 1 else { break }
            joined.formUnion(alike)
            rowCount += alike.reduce(0) { $0 + sealed[$1].liveCount }
        }
        return joined
    }

    private static func tier(_ rowCount: Int) -> Int {
        var tier = 0
        var size = smallestTier
        while size < rowCount {
            tier += 1
            size *= mergeFactor
        }
        return tier
    }

    private func rewrite(at position: IndexPosition, choose: (_ delta: [RowRun], _ sealed: [RowRun]) -> Set<Int>) throws(VectorIndexError) {
        guard !isReadOnly else { throw .readOnly(path: directory) }
        do {
            try files.withLock { files throws(StorageError) in try rewrite(at: position, files: &files, choose: choose) }
        } catch { throw .storage(error) }
    }

    private func rewrite(
        at position: IndexPosition, files: inout FileState, choose: (_ delta: [RowRun], _ sealed: [RowRun]) -> Set<Int>
    ) throws(StorageError) {
        // 1 freeze
        let base = writer.withLock { state in
            state.frozenSerial = state.nextSerial - 1
            return snapshot
        }
        // 2 choose
        let joined = choose(base.delta, base.sealed)
        let kept = base.sealed.indices.filter { !joined.contains($0) }.map { base.sealed[$0] }
        let sources = joined.sorted().map { base.sealed[$0] } + base.delta
        let isEmpty = sources.allSatisfy { $0.liveCount == 0 }
        let hasNewSegments = !isEmpty || !joined.isEmpty
        let tombstones = kept.map(\.tombstones)
        if !hasNewSegments, tombstones == files.tombstones, position == files.manifest.position, files.manifest.generation > 0 {
            // Nothing to write. Chunks whose rows are all deleted may still go.
            switchTo(nil, kept: kept.count, base: base, joined: joined)
            return
        }
        var manifest = files.manifest
        manifest.generation += 1
        manifest.position = position
        manifest.segments = kept.compactMap { $0.segment?.name }
        var checksums: [String: UInt32] = [:]
        for segment in kept.compactMap(\.segment) { checksums[segment.name] = segment.checksum }
        // 3 write the segment
        var added: RowRun?
        if !isEmpty {
            let name = Self.fileName("flat", files.nextNumber)
            files.nextNumber += 1
            try FlatSegment.write(
                sources, directory: directory, name: name, dimension: dimension, metric: metric, precision: precision)
            added = try FlatSegment.open(directory: directory, name: name, dimension: dimension, metric: metric)
            try willPublish?(added!)
            manifest.segments.append(name)
            checksums[name] = added?.segment?.checksum
        }
        // 4 write the tombstones
        if tombstones.allSatisfy({ $0.count == 0 }) {
            manifest.tombstones = nil
        } else if hasNewSegments || tombstones != files.tombstones {
            let name = Self.fileName("tombstones", files.nextNumber)
            files.nextNumber += 1
            checksums[name] = try TombstoneFile.write(kept + (added.map { [$0] } ?? []), directory: directory, name: name)
            manifest.tombstones = name
        }
        // 5 publish
        manifest.note(checksums: checksums)
        try manifest.publish(directory: directory)
        files.manifest = manifest
        files.tombstones = tombstones + (added == nil ? [] : [RowTombstones()])
        // 6 switch
        switchTo(added, kept: kept.count, base: base, joined: joined)
        self.position.withLock { $0 = position }
    }

    /// Gives readers the new segment instead of what it was made from, together with all that has happened since `base`.
    private func switchTo(_ added: RowRun?, kept keptCount: Int, base: FlatSnapshot, joined: Set<Int>) {
        writer.withLock { state in
            let current = snapshot
            // Only this method changes the list of segments and the front of the delta, so positions in both still mean the same.
            var sealed = current.sealed.indices.filter { !joined.contains($0) }.map { current.sealed[$0] }
            precondition(sealed.count == keptCount && current.delta.count >= base.delta.count, "segments changed during a seal")
            if var added {
                let sources = joined.map { (current.sealed[$0], base.sealed[$0]) } + zip(current.delta, base.delta)
                for (now, before) in sources {
                    for position in now.tombstones.positions(since: before.tombstones) {
                        guard let place = added.position(of: now.ids[position]) else {
                            preconditionFailure("row \(now.ids[position]) was not sealed")
                        }
                        _ = added.tombstones.insert(place, rows: added.count)
                    }
                }
                sealed.append(added)
            }
            let delta = Array(current.delta[base.delta.count...])
            state.places = state.places.filter { $0.value.serial > state.frozenSerial }
            published.withLock { $0 = FlatSnapshot(sealed: sealed, delta: delta) }
        }
    }

    private static func fileName(_ prefix: String, _ number: Int) -> String {
        let digits = String(number)
        return prefix + "-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".seg"
    }
}
