import Documents
import Foundation

/// Notices new, changed and vanished files below some paths by comparing size, time of change and inode between looks.
///
/// Polling works on every file system (network mounts included) and needs no limit raised; a look at 10,000 files takes some milliseconds.
package struct FolderWatcher {
    package struct Change: Equatable, Sendable {
        package var changed: [String] = []
        package var removed: [String] = []
    }

    private struct Mark {
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
        var inode: UInt64
        /// Whether its time is so young that a change after this look could have the same.
        var isFresh: Bool

        /// - Parameter now: The time of the look, before the file was looked at.
        init(_ info: stat, now: timespec) {
            size = Int64(info.st_size)
            seconds = Int(info.st_mtim.tv_sec)
            nanoseconds = Int(info.st_mtim.tv_nsec)
            inode = UInt64(info.st_ino)
            // A kernel's clock for files ticks every ten milliseconds at the slowest. A time without fractions may be of a file system that counts in twos.
            let age = Double(Int(now.tv_sec) - seconds) + Double(Int(now.tv_nsec) - nanoseconds) * 1e-9
            isFresh = age > -2 && age < (nanoseconds == 0 ? 2 : 0.01)
        }

        /// Whether there may have been a change between the two.
        func mayDiffer(from other: Mark) -> Bool {
            size != other.size || seconds != other.seconds || nanoseconds != other.nanoseconds || inode != other.inode || isFresh
        }
    }

    private let paths: [String]
    private let excluded: String?
    private let followsLinks: Bool
    private let roots: [[UInt64]]
    private var known: [ExactText: Mark] = [:]

    /// Takes the present state as known.
    package init(paths: [String], excluding folder: String?, followsLinks: Bool = false) {
        self.paths = paths
        roots = Self.identities(of: paths)
        self.followsLinks = followsLinks
        excluded = folder
        known = look()
    }

    /// What is different from the last look. A file that is still growing is reported again at the next look, and so is one that was changed so shortly before
    /// the last look that its time would not tell a further change.
    package mutating func poll() -> Change {
        let now = look()
        var change = Change()
        change.changed = now.filter { known[$0.key]?.mayDiffer(from: $0.value) ?? true }.keys.map(\.text).sorted()
        let missing = known.filter { now[$0.key] == nil }
        // What cannot be seen at the moment (a folder without permission, a disk that went away) is not gone: it stays known.
        change.removed = roots == Self.identities(of: paths) ? missing.keys.map(\.text).filter(VanishedFiles.isGone).sorted() : []
        let gone = Set(change.removed.map(ExactText.init))
        known = now
        for (path, mark) in missing where !gone.contains(path) { known[path] = mark }
        return change
    }

    /// Device and number of each folder: another one in its place is a disk that was mounted, or is not any more.
    private static func identities(of paths: [String]) -> [[UInt64]] {
        paths.map { path in
            var info = stat()
            guard stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return [] }
            return [UInt64(info.st_dev), UInt64(info.st_ino)]
        }
    }

    private func look() -> [ExactText: Mark] {
        var marks: [ExactText: Mark] = [:]
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        for path in paths {
            for file in (try? SourceWalker.walk(path, excluding: excluded, followsLinks: followsLinks))?.files ?? [] {
                var info = stat()
                guard stat(file.path, &info) == 0 else { continue }
                marks[ExactText(file.path)] = Mark(info, now: now)
            }
        }
        return marks
    }
}
