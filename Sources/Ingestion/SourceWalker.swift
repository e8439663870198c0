import Documents
import Foundation

/// Finds the files that a path stands for.
enum SourceWalker {
    /// Folders and files that are never documents: hidden ones, version control, dependencies, build products.
    static let skippedFolders: Set<String> = ["node_modules", "__pycache__", "outrider-data"]

    struct Walk {
        /// Folder by folder, in the order of their names' bytes: the same on every machine.
        var files: [JobFileDraft] = []
        /// Folders that could not be read: what is in them is not known.
        var unreadable: [String] = []
    }

    /// Regular files below a path, or the file itself. Symbolic links to folders are not followed; hidden entries are left out.
    ///
    /// - Parameters:
    ///   - excluding: A folder that is left out with all in it (the data folder).
    ///   - followsLinks: Whether symbolic links to files are read. Whoever may write to the folder can otherwise have files read that only the user
    ///     of this process may read. A path that was itself given is always followed.
    static func walk(_ path: String, excluding: String?, followsLinks: Bool = false) throws(IngestionError) -> Walk {
        let root = absolute(path)
        var info = stat()
        guard stat(root, &info) == 0 else { throw .noSuchPath(path) }
        if isRegular(info) { return Walk(files: [draft(root, info)]) }
        guard isFolder(info), let names = listing(root) else { throw .noSuchPath(path) }
        var walk = Walk()
        var pending = names.reversed().map { (root == "/" ? "" : root) + "/" + $0 }
        while let next = pending.popLast() {
            let name = next[next.index(after: next.lastIndex(of: "/")!)...]
            if name.hasPrefix(".") || next == excluding || lstat(next, &info) != 0 { continue }
            if isFolder(info) {
                if skippedFolders.contains(String(name)) { continue }
                if let names = listing(next) {
                    pending += names.reversed().map { next + "/" + $0 }
                } else {
                    walk.unreadable.append(next)
                }
            } else if isRegular(info) || followsLinks && stat(next, &info) == 0 && isRegular(info) {
                walk.files.append(draft(next, info))
            }
        }
        return walk
    }

    static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private static func draft(_ path: String, _ info: stat) -> JobFileDraft {
        JobFileDraft(path: path, source: path, byteCount: Int(info.st_size))
    }

    private static func listing(_ path: String) -> [String]? {
        (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
    private static func isRegular(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFREG }
    private static func isFolder(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFDIR }
}
