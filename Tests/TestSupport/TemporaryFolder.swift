import Foundation

/// A folder that lives as long as the value does.
package final class TemporaryFolder: Sendable {
    package let path: String

    /// In memory where there is room: many tests sync thousands of times, and a disk that others use too would make them minutes long.
    package static let memory: String = {
        var status = statvfs()
        let hasRoom =
            statvfs("/dev/shm", &status) == 0 && UInt64(status.f_bavail) * UInt64(status.f_frsize) > 1 << 30
            && access("/dev/shm", W_OK) == 0
        return hasRoom ? "/dev/shm" : FileManager.default.temporaryDirectory.path
    }()

    /// - Parameter parent: Where the folder is made: ``memory``, or the system's folder for temporary files when nil.
    package init(in parent: String? = nil) {
        path = (parent ?? FileManager.default.temporaryDirectory.path) + "/outrider-test-\(UUID().uuidString)"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    /// A folder in memory.
    package static func inMemory() -> TemporaryFolder { TemporaryFolder(in: memory) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    // MARK: What is in it

    /// The path of a file in the folder.
    package func file(_ name: String) -> String { path + "/" + name }

    /// The files directly in the folder, in order.
    package var names: [String] { paths.filter { !$0.contains("/") } }

    /// The files, also those in folders inside, as `folder/name`, in order.
    package var paths: [String] {
        let found = (try? FileManager.default.subpathsOfDirectory(atPath: path)) ?? []
        return found.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder) && !isFolder.boolValue
        }.sorted()
    }

    /// The files, also those in folders inside, that hold a byte string.
    package func files(containing marker: String) -> [String] {
        let needle = Data(marker.utf8)
        return paths.filter { (try? Data(contentsOf: URL(fileURLWithPath: path + "/" + $0)))?.range(of: needle) != nil }
    }

    package func read(_ name: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }

    // MARK: Changing it

    package func write(_ bytes: [UInt8], to name: String) {
        precondition(FileManager.default.createFile(atPath: path + "/" + name, contents: Data(bytes)), "cannot write \(name)")
    }

    /// Writes a file, with the folders above it, and returns its path.
    @discardableResult package func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// Changes bytes of a file where it lies: much quicker than writing it anew thousands of times.
    package func overwrite(_ name: String, at offset: Int, with bytes: [UInt8]) {
        let descriptor = open(path + "/" + name, O_WRONLY)
        defer { close(descriptor) }
        precondition(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count, "cannot write \(name)")
    }

    package func cut(_ name: String, to size: Int) {
        precondition(truncate(path + "/" + name, off_t(size)) == 0, "cannot cut \(name)")
    }

    /// A second folder beside it with the same files, as a crash at this moment would leave them.
    package func copy() -> TemporaryFolder {
        let copy = TemporaryFolder(in: URL(fileURLWithPath: path).deletingLastPathComponent().path)
        for name in try! FileManager.default.contentsOfDirectory(atPath: path) {
            try! FileManager.default.copyItem(atPath: path + "/" + name, toPath: copy.path + "/" + name)
        }
        return copy
    }
}
