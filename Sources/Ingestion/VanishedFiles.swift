import Documents
import Foundation

/// Documents whose files went away, found by comparing what is stored with what lies in the folders.
///
/// To remove a document because its file seems gone is the one thing here that loses content, so doubt keeps it: only a name that the file system
/// denies, or gives to a folder, counts as gone, and nothing does where a folder could not be read or all of it is missing (a disk that is not mounted
/// looks like that).
package struct VanishedFiles: Sendable, Equatable {
    /// Sources of documents whose files are gone, in order.
    package var sources: [String] = []
    /// One sentence for each folder about which nothing can be said.
    package var problems: [String] = []

    package init() {}

    /// - Parameters:
    ///   - paths: Folders, as they were given for ingesting.
    ///   - stored: The sources of documents that are a path or lie below it.
    static func find(below paths: [String], excluding: String?, stored: (String) throws -> [String]) throws -> VanishedFiles {
        var result = VanishedFiles()
        var seen: Set<ExactText> = []
        for path in paths {
            let root = SourceWalker.absolute(path)
            var info = stat()
            guard stat(root, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
                // A single file that is gone is said by whoever wanted to read it.
                if info.st_mode & S_IFMT != S_IFREG { result.problems.append("'\(path)' cannot be read: nothing is known about its files") }
                continue
            }
            let known = try stored(root)
            guard !known.isEmpty else { continue }
            guard let walk = try? SourceWalker.walk(root, excluding: excluding), walk.unreadable.isEmpty else {
                result.problems.append("not all of '\(path)' can be read: nothing is known about its files")
                continue
            }
            let gone = known.filter(isGone)
            if walk.files.isEmpty, !gone.isEmpty {
                result.problems.append(
                    "'\(path)' holds no files any more, but \(known.count) documents came from it: is its disk mounted? If they shall go, run 'outrider delete --source \(path)'"
                )
                continue
            }
            result.sources += gone.filter { seen.insert(ExactText($0)).inserted }
        }
        return result
    }

    /// Whether the file system says that there is nothing of this name, or a folder in the file's place. A link in its place is doubt: the disk that it leads to
    /// may be away.
    static func isGone(_ path: String) -> Bool {
        var info = stat()
        guard lstat(path, &info) == 0 else { return errno == ENOENT || errno == ENOTDIR }
        return info.st_mode & S_IFMT == S_IFDIR
    }
}
