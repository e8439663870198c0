import Kernels
import Storage
import Synchronization

extension FlatIndex {
    /// Reads all checksums and internal invariants; returns one sentence per flaw.
    ///
    /// Cost: one pass over all files and all rows. Searches, additions and deletions go on; seals wait, so that no file vanishes meanwhile.
    package func verify() -> [String] {
        files.withLock { files in flaws(ofFiles: files) } + flaws(of: snapshot)
    }

    /// What is wrong on disk: read anew, as the next start would.
    private func flaws(ofFiles files: FileState) -> [String] {
        var flaws: [String] = []
        var manifest = files.manifest
        do {
            let published = try IndexManifest.load(directory: directory)
            if isReadOnly {
                // The owner may have gone on; then its newest generation is what counts.
                manifest = published ?? IndexManifest()
            } else if (published?.generation ?? 0) != manifest.generation || published.map({ $0 != manifest }) == true {
                let found = published?.generation ?? 0
                flaws.append(
                    "the manifest in '\(directory)' is of generation \(found), expected \(manifest.generation); run 'outrider index rebuild'"
                )
            }
        } catch {
            return [error.description]
        }
        var runs: [RowRun] = []
        for name in manifest.segments {
            do {
                let run = try FlatSegment.open(directory: directory, name: name, dimension: dimension, metric: metric)
                try run.segment?.verifyValues()
                if let segment = run.segment { try manifest.check(name, headerChecksum: segment.checksum, directory: directory) }
                runs.append(run)
            } catch {
                flaws.append(error.description)
            }
        }
        if let name = manifest.tombstones, runs.count == manifest.segments.count {
            do { try TombstoneFile.read(directory: directory, name: name, into: &runs) } catch { flaws.append(error.description) }
        }
        // A reader that looked at files which the owner was just replacing has not seen a flaw.
        if isReadOnly, !flaws.isEmpty, let newest = try? IndexManifest.load(directory: directory), newest.generation != manifest.generation
        {
            return []
        }
        return flaws
    }

    /// What is wrong in memory.
    private func flaws(of snapshot: FlatSnapshot) -> [String] {
        var flaws: [String] = []
        var live = Set<Int64>(minimumCapacity: snapshot.count)
        for (index, run) in snapshot.runs.enumerated() {
            let name = run.segment.map { "segment '\($0.name)'" } ?? "the unsealed rows (chunk \(index - snapshot.sealed.count))"
            if run.isAscending, !zip(run.ids, run.ids.dropFirst()).allSatisfy({ $0 < $1 }) {
                flaws.append("row ids of \(name) do not ascend")
            }
            for position in 0..<run.count {
                let id = run.ids[position]
                let isLive = !run.tombstones.contains(position)
                if isLive, !live.insert(id).inserted {
                    flaws.append("row \(id) lives twice, once in \(name); run 'outrider index rebuild'")
                }
                let square = run.values.row(position, dimension: dimension).withUnsafeBufferPointer { vector in
                    KernelTable.firstNotFinite(vector) == nil ? kernels.innerProduct(vector, vector) : .nan
                }
                if square.isNaN {
                    flaws.append("the vector of row \(id) in \(name) is not finite; run 'outrider index rebuild'")
                } else if isLive, metric == .cosine, square != 0, abs(square - 1) > 1e-3 {
                    flaws.append("the vector of row \(id) in \(name) is not of unit length; run 'outrider index rebuild'")
                }
            }
        }
        if live.count != snapshot.count {
            flaws.append("the index in '\(directory)' counts \(snapshot.count) rows, but \(live.count) live")
        }
        return flaws
    }
}
