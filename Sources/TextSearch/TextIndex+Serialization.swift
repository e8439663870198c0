import Foundation
package import Storage
import Synchronization

// Files in the index folder:
//
// | name | holds |
// | --- | --- |
// | `manifest.json` | which of the others count (`IndexManifest`) |
// | `text-<n>.seg` | one sealed segment (`TextSegment`) |
// | `deleted-<n>.seg` | which of their rows are deleted |
//
// The deletions' file has two sections: `counts`, one 64-bit number for each segment of the manifest, and `ordinals`, the deleted
// ordinals of the first segment, then of the second and so on, 32-bit, ascending within each.

extension TextIndex {
    private static let tombstonesKind = "DEAD"
    private static let tombstonesVersion: UInt32 = 1
    /// So many files of about one size are merged into one.
    private static let fileMergeFactor = 8
    /// A file up to so many times as large as all smaller ones is merged with them when there is time.
    private static let tidyFactor = 4
    /// Files of more rows are only rewritten for their deletions.
    private static let mergedRowsMax = 4 << 20

    // MARK: Opening

    static func open(
        directory: String, configuration: TextIndexConfiguration, retries: Int = 8
    ) throws(TextIndexError) -> (IndexManifest, Snapshot) {
        let loaded: IndexManifest?
        do { loaded = try IndexManifest.load(directory: directory) } catch { throw .storage(error) }
        guard let manifest = loaded else {
            var manifest = IndexManifest()
            manifest.configuration = encode(configuration.identity)
            return (manifest, Snapshot())
        }
        let identity = try? JSONDecoder().decode(TextIndexConfiguration.Identity.self, from: Data(manifest.configuration.utf8))
        guard identity == configuration.identity else { throw .configurationChanged(path: directory) }
        do throws(StorageError) {
            return (manifest, try read(manifest, directory: directory, unit: configuration.units.body))
        } catch {
            // Another process may have published a newer manifest meanwhile and removed the files of this one.
            if case .missingFile = error, retries > 0, let newer = try? IndexManifest.load(directory: directory),
                newer.generation != manifest.generation
            {
                return try open(directory: directory, configuration: configuration, retries: retries - 1)
            }
            throw .storage(error)
        }
    }

    private static func encode(_ identity: TextIndexConfiguration.Identity) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        // Strings and integers always encode.
        return String(decoding: try! encoder.encode(identity), as: UTF8.self)
    }

    private static func read(_ manifest: IndexManifest, directory: String, unit: Int) throws(StorageError) -> Snapshot {
        var snapshot = Snapshot()
        snapshot.position = manifest.position
        for name in manifest.segments {
            let segment = try TextSegment(directory: directory, name: name, unit: unit)
            try manifest.check(name, headerChecksum: segment.headerChecksum, directory: directory)
            guard segment.rowCount > 0 else { throw .corrupt(path: directory + "/" + name, offset: 0, reason: "it has no rows") }
            snapshot.files.append(TextSegmentView(segment))
        }
        guard let name = manifest.tombstones else { return snapshot }
        let path = directory + "/" + name
        let file = try SegmentFile(path: path, kind: tombstonesKind, version: tombstonesVersion, verifyingSections: true)
        try manifest.check(name, headerChecksum: file.headerChecksum, directory: directory)
        let counts = try file.array("counts", of: UInt64.self)
        let ordinals = try file.array("ordinals", of: UInt32.self)
        guard counts.count == snapshot.files.count, counts.reduce(0, { $0 &+ $1 }) == ordinals.count else {
            throw .corrupt(path: path, offset: 0, reason: "it does not fit the manifest")
        }
        var next = 0
        for (index, count) in counts.enumerated() {
            for _ in 0..<count {
                guard ordinals[next] < snapshot.files[index].segment.rowCount else {
                    throw .corrupt(path: path, offset: 0, reason: "it deletes a row that the segment does not have")
                }
                _ = snapshot.files[index].tombstones.insert(Int(ordinals[next]))
                next += 1
            }
        }
        return snapshot
    }

    // MARK: Writing

    /// Writes the delta and the tombstones to files and publishes a manifest with this position. Merges small segments.
    ///
    /// Searches, adds and removes go on meanwhile; what they change is in the next seal.
    /// When it throws, the old files are still good and the delta is still in memory.
    ///
    /// - Parameter tidying: Merges more: afterwards every file has over four times the rows of all smaller ones together, so that a search looks into two or three. For
    ///   moments when nothing else is added.
    package func seal(at position: IndexPosition, tidying: Bool = false) throws(TextIndexError) {
        try rewrite(at: position) { tidying ? Self.tidyPlan($0) : Self.plan($0) }
    }

    /// Whether tidying would merge files.
    package var isUntidy: Bool { Self.tidyPlan(snapshot()).contains { $0.count > 1 } }

    /// Rewrites everything into one segment without any trace of removed rows (not even their terms).
    package func compact(at position: IndexPosition) throws(TextIndexError) {
        try rewrite(at: position) { snapshot in
            let all = Array(snapshot.views.indices)
            let isClean = snapshot.memory.isEmpty && snapshot.files.count <= 1 && snapshot.files.allSatisfy { $0.tombstones.count == 0 }
            return isClean ? [] : [all]
        }
    }

    /// Which views (by index in `views`) become one file each. All of the delta does.
    private static func plan(_ snapshot: Snapshot) -> [[Int]] {
        let views = snapshot.views
        var groups: [[Int]] = []
        var main = Array(snapshot.files.count..<views.count)
        var mainRows = main.reduce(0) { $0 + views[$1].liveCount }
        var rest: [Int] = []
        for (index, file) in snapshot.files.enumerated() {
            if isWorn(file) { groups.append([index]) } else { rest.append(index) }
        }
        // What the delta becomes takes its tier along when the tier is full, which may fill the next.
        while true {
            let tier = fileTier(mainRows)
            let peers = rest.filter { fileTier(views[$0].liveCount) <= tier }
            let rows = peers.reduce(mainRows) { $0 + views[$1].liveCount }
            guard !peers.isEmpty, peers.count + (main.isEmpty ? 0 : 1) >= fileMergeFactor, rows <= mergedRowsMax else { break }
            main = peers + main
            mainRows = rows
            rest.removeAll { peers.contains($0) }
        }
        if !main.isEmpty { groups.append(main) }
        return groups
    }

    /// All of the delta, and the files from the smallest through the last one that is not over four times as large as all before it together.
    private static func tidyPlan(_ snapshot: Snapshot) -> [[Int]] {
        let views = snapshot.views
        let files = snapshot.files.indices.sorted { views[$0].liveCount < views[$1].liveCount }
        var group = Array(snapshot.files.count..<views.count)
        var rows = group.reduce(0) { $0 + views[$1].liveCount }
        var pending: [Int] = []
        for index in files {
            let size = views[index].liveCount
            pending.append(index)
            if rows > 0, size <= tidyFactor * rows, rows + size <= mergedRowsMax {
                group += pending
                pending = []
            }
            rows += size
        }
        var groups: [[Int]] = []
        // A file alone is only rewritten when many of its rows are deleted.
        if group.count > 1 || group.contains(where: { $0 >= snapshot.files.count }) { groups.append(group.sorted()) }
        let merged = Set(groups.joined())
        for (index, file) in snapshot.files.enumerated()
        where !merged.contains(index) && isWorn(file) { groups.append([index]) }
        return groups
    }

    /// Whether so many of a file's rows are deleted that it is rewritten for that alone.
    private static func isWorn(_ file: TextSegmentView) -> Bool { file.tombstones.count * 4 > file.segment.rowCount }

    /// Sizes within a factor of eight are one tier; the smallest has up to 4096 rows.
    private static func fileTier(_ rowCount: Int) -> Int {
        max(0, Int.bitWidth - rowCount.leadingZeroBitCount - 12 + 2) / 3
    }

    private func rewrite(at position: IndexPosition, plan: (Snapshot) -> [[Int]]) throws(TextIndexError) {
        if isReadOnly { throw .readOnly(path: directory) }
        maintenance.lock()
        defer { maintenance.unlock() }
        // From here on, adds leave these memory segments as they are (their tombstones may grow).
        let base = writer.withLock {
            let snapshot = self.snapshot()
            frozenCount = snapshot.memory.count
            return snapshot
        }
        defer { writer.withLock { frozenCount = 0 } }
        let groups = plan(base)
        let published: (outputs: [(group: [Int], view: TextSegmentView)], kept: [Int])
        do { published = try publish(base, groups: groups, at: position) } catch { throw .storage(error) }
        writer.withLock {
            install(published.outputs, kept: published.kept, base: base, position: position)
            frozenCount = 0
        }
    }

    /// Writes the groups' files, the deletions and the manifest.
    private func publish(
        _ base: Snapshot, groups: [[Int]], at position: IndexPosition
    ) throws(StorageError) -> (outputs: [(group: [Int], view: TextSegmentView)], kept: [Int]) {
        let views = base.views
        var next = manifest
        next.generation += 1
        next.position = position
        try IndexManifest.createDirectory(directory)
        var number = try IndexManifest.numberMax(directory: directory) + 1
        var outputs: [(group: [Int], view: TextSegmentView)] = []
        for group in groups {
            guard let merged = TextSegment.merged(group.map { views[$0] }, unit: unit) else { continue }
            let name = "text-\(number).seg"
            number += 1
            try merged.write(directory: directory, name: name)
            outputs.append((group, TextSegmentView(try TextSegment(directory: directory, name: name, unit: unit))))
        }
        let rewritten = Set(groups.joined())
        let kept = base.files.indices.filter { !rewritten.contains($0) }
        next.segments = kept.map { base.files[$0].segment.fileName! } + outputs.map { $0.view.segment.fileName! }
        var checksums: [String: UInt32] = [:]
        for segment in kept.map({ base.files[$0].segment }) + outputs.map(\.view.segment) {
            checksums[segment.fileName!] = segment.headerChecksum
        }
        let deleted = kept.map { base.files[$0].tombstones.ordinals } + outputs.map { _ in [] }
        next.tombstones = nil
        if deleted.contains(where: { !$0.isEmpty }) {
            let name = "deleted-\(number).seg"
            var writer = try SegmentWriter(path: directory + "/" + name, kind: Self.tombstonesKind, version: Self.tombstonesVersion)
            try writer.append(section: "counts", array: deleted.map { UInt64($0.count) })
            try writer.append(section: "ordinals", array: deleted.joined().map { UInt32($0) })
            checksums[name] = try writer.finish()
            next.tombstones = name
        }
        next.note(checksums: checksums)
        try next.publish(directory: directory)
        manifest = next
        return (outputs, kept)
    }

    /// Makes the files what readers see, with what was added and removed while they were written.
    private func install(_ outputs: [(group: [Int], view: TextSegmentView)], kept: [Int], base: Snapshot, position: IndexPosition) {
        let now = snapshot()
        let baseViews = base.views
        // Files do not change but here, and memory segments before `frozenCount` stay in place: indices still mean the same.
        func view(_ index: Int) -> TextSegmentView {
            index < now.files.count ? now.files[index] : now.memory[index - now.files.count]
        }
        var next = Snapshot()
        next.position = position
        next.files = kept.map { now.files[$0] }
        for output in outputs {
            var moved = output.view
            for index in output.group {
                let current = view(index)
                guard current.tombstones.count > baseViews[index].tombstones.count else { continue }
                for ordinal in current.tombstones.ordinals where !baseViews[index].tombstones.contains(ordinal) {
                    if let ordinal = moved.segment.ordinal(of: current.segment.rows[ordinal]) { _ = moved.tombstones.insert(ordinal) }
                }
            }
            next.files.append(moved)
        }
        next.memory = Array(now.memory[base.memory.count...])
        current.withLock { $0 = next }
    }
}
