import Foundation

/// A folder that lives as long as the value does.
final class TemporaryFolder: Sendable {
    let path: String

    /// In memory where there is room: these tests sync thousands of times, and a disk that others use too would make them minutes long.
    private static let parent: String = {
        var status = statvfs()
        let hasRoom =
            statvfs("/dev/shm", &status) == 0 && UInt64(status.f_bavail) * UInt64(status.f_frsize) > 1 << 30
            && access("/dev/shm", W_OK) == 0
        return hasRoom ? "/dev/shm" : FileManager.default.temporaryDirectory.path
    }()

    init() {
        path = Self.parent + "/outrider-vectors-\(UUID().uuidString)"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The files, without those in folders inside.
    var names: [String] { paths.filter { !$0.contains("/") } }

    /// The files, also those in folders inside, as `folder/name`.
    var paths: [String] {
        let found = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        return found.filter { name in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder) && !isFolder.boolValue
        }.sorted()
    }

    func read(_ name: String) -> [UInt8] { Array(FileManager.default.contents(atPath: path + "/" + name) ?? Data()) }

    func overwrite(_ name: String, at offset: Int, with bytes: [UInt8]) {
        let descriptor = open(path + "/" + name, O_WRONLY)
        defer { close(descriptor) }
        precondition(pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count, "cannot write \(name)")
    }

    func cut(_ name: String, to size: Int) {
        precondition(truncate(path + "/" + name, off_t(size)) == 0, "cannot cut \(name)")
    }

    /// A second folder with the same files, as a crash at this moment would leave them.
    func copy() -> TemporaryFolder {
        let copy = TemporaryFolder()
        for name in try! FileManager.default.contentsOfDirectory(atPath: path) {
            try! FileManager.default.copyItem(atPath: path + "/" + name, toPath: copy.path + "/" + name)
        }
        return copy
    }
}
