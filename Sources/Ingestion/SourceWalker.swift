import Documents
import Foundation

/// Finds the files that a path stands for.
enum SourceWalker {
    /// Folders and files that are never documents: hidden ones, version control, dependencies, build products.
    static let skippedFolders: Set<String> = ["node_modules", "__pycache__", "outrider-data"]

    /// Regular files below a path in alphabetical order, or the file itself. Symbolic links to folders are not followed; hidden entries are left out.
    ///
    /// - Parameter excluding: A folder that is left out with all in it (the data folder).
    static func files(at path: String, excluding: String?) throws(IngestionError) -> [JobFileDraft] {
        let root = absolute(path)
        var info = stat()
        guard stat(root, &info) == 0 else { throw .noSuchPath(path) }
        if isRegular(info) { return [draft(root, info)] }
        guard isFolder(info), let names = listing(root) else { throw .noSuchPath(path) }
        var result: [JobFileDraft] = []
        var pending = names.reversed().map { root + "/" + $0 }
        while let next = pending.popLast() {
            let name = next[next.index(after: next.lastIndex(of: "/")!)...]
            if name.hasPrefix(".") || next == excluding || lstat(next, &info) != 0 { continue }
            if isFolder(info) {
                if !skippedFolders.contains(String(name)) { pending += (listing(next) ?? []).reversed().map { next + "/" + $0 } }
            } else if isRegular(info) || (stat(next, &info) == 0 && isRegular(info)) {
                result.append(draft(next, info))
            }
        }
        return result
    }

    static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private static func draft(_ path: String, _ info: stat) -> JobFileDraft {
        JobFileDraft(path: path, source: path, byteCount: Int(info.st_size))
    }

    private static func listing(_ path: String) -> [String]? { (try? FileManager.default.contentsOfDirectory(atPath: path))?.sorted() }
    private static func isRegular(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFREG }
    private static func isFolder(_ info: stat) -> Bool { info.st_mode & S_IFMT == S_IFDIR }
}
