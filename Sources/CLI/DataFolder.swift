import Foundation

/// The one folder that holds everything: `outrider.sqlite`, `index/`, `spool/`, and the lock that keeps two writers apart.
final class DataFolder: Sendable {
    enum Access { case write, read }

    enum Failure: Error, CustomStringConvertible {
        case missing(path: String)
        case inUse(path: String, by: String)
        case unusable(path: String, reason: String)

        var description: String {
            switch self {
            case .missing(let path): "data folder '\(path)' does not exist; run 'outrider ingest FOLDER --data \(path)' first"
            case .inUse(let path, let owner):
                "data folder '\(path)' is in use by \(owner); send the request to that server, stop it, or choose another --data"
            case .unusable(let path, let reason): "data folder '\(path)' cannot be used: \(reason)"
            }
        }
    }

    let path: String
    /// Held for the life of the process when writing.
    private let lock: Int32

    var index: String { path + "/index" }
    var spool: String { path + "/spool" }

    /// Opens the folder; writing creates it and takes the lock.
    init(_ path: String, _ access: Access) throws(Failure) {
        self.path = URL(fileURLWithPath: path).standardizedFileURL.path
        var isFolder: ObjCBool = false
        let exists = FileManager.default.fileExists(atPath: self.path, isDirectory: &isFolder)
        if exists, !isFolder.boolValue { throw .unusable(path: path, reason: "it is a file") }
        guard access == .write else {
            lock = -1
            if !FileManager.default.fileExists(atPath: self.path + "/outrider.sqlite") { throw .missing(path: path) }
            return
        }
        do {
            try FileManager.default.createDirectory(
                atPath: self.path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            for name in ["index", "spool"] {
                try FileManager.default.createDirectory(
                    atPath: self.path + "/" + name, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                // Ours alone, also where an earlier version left them open to others.
                chmod(self.path + "/" + name, 0o700)
            }
        } catch { throw .unusable(path: path, reason: "\(error.localizedDescription)") }
        let descriptor = open(self.path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unusable(path: path, reason: String(cString: strerror(errno))) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let owner =
                (try? String(contentsOfFile: self.path + "/lock", encoding: .utf8))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
            close(descriptor)
            throw .inUse(path: path, by: owner.isEmpty ? "another process" : owner)
        }
        lock = descriptor
        describe("process \(getpid())")
    }

    deinit { if lock >= 0 { close(lock) } }

    /// Says in the lock file who holds it, for the message that others get.
    func describe(_ owner: String) {
        guard lock >= 0 else { return }
        ftruncate(lock, 0)
        _ = owner.withCString { pwrite(lock, $0, strlen($0), 0) }
    }
}
