import Foundation

/// Notices new, changed and vanished files below some paths by comparing size, time of change and inode between looks.
///
/// Polling works on every file system (network mounts included) and needs no limit raised; a look at 10,000 files takes some milliseconds.
package struct FolderWatcher {
    package struct Change: Equatable, Sendable {
        package var changed: [String] = []
        package var removed: [String] = []
    }

    private struct Mark: Equatable {
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
        var inode: UInt64
    }

    private let paths: [String]
    private let excluded: String?
    private var known: [String: Mark] = [:]

    /// Takes the present state as known.
    package init(paths: [String], excluding folder: String?) {
        self.paths = paths
        excluded = folder
        known = look()
    }

    /// What is different from the last look. A file that is still growing is reported again at the next look.
    package mutating func poll() -> Change {
        let now = look()
        var change = Change()
        change.changed = now.filter { known[$0.key] != $0.value }.keys.sorted()
        change.removed = known.keys.filter { now[$0] == nil }.sorted()
        known = now
        return change
    }

    private func look() -> [String: Mark] {
        var marks: [String: Mark] = [:]
        for path in paths {
            for file in (try? SourceWalker.files(at: path, excluding: excluded)) ?? [] {
                var info = stat()
                guard stat(file.path, &info) == 0 else { continue }
                marks[file.path] = Mark(
                    size: Int64(info.st_size), seconds: Int(info.st_mtim.tv_sec), nanoseconds: Int(info.st_mtim.tv_nsec),
                    inode: UInt64(info.st_ino))
            }
        }
        return marks
    }
}
