import Foundation
import GRDB

extension DocumentStore {
    /// Writes a consistent copy of the database into an empty or missing folder, while others read and write.
    ///
    /// The copy is one moment of the database, and it opens like any data folder; index files are built from it at the first start. Uploads that wait in the spool folder
    /// are not in it. Works on a store that is opened read-only.
    ///
    /// - Returns: The size of the copy in bytes.
    /// - Throws: `.cannotBackUp` when the folder holds anything, or when the copy does not pass SQLite's check; `.notEnoughSpace`.
    /// - Complexity: O(size of the database), read twice. Writers go on, and the write-ahead log grows meanwhile.
    @discardableResult
    package func backup(to target: String) throws(DocumentStoreError) -> Int {
        let target = URL(fileURLWithPath: target).path
        let path = target + "/" + Self.fileName
        let part = path + ".part"
        do {
            try Self.prepareTarget(target)
            let size = try pool.read { database in
                try Int.fetchOne(database, sql: "PRAGMA page_size")! * Int.fetchOne(database, sql: "PRAGMA page_count")!
            }
            let available = Self.freeBytes(target)
            if available < size { throw DocumentStoreError.notEnoughSpace(path: target, needed: size, available: available) }
            try Self.createFile(part, in: target)
            do {
                try copy(to: part)
                try Self.sync(part)
                guard rename(part, path) == 0 else {
                    throw DocumentStoreError.cannotBackUp(path: target, reason: String(cString: strerror(errno)))
                }
                try Self.sync(target)
            } catch {
                for suffix in ["", "-wal", "-shm", "-journal"] { unlink(part + suffix) }
                throw error
            }
            return size
        } catch let error as DocumentStoreError {
            throw error
        } catch {
            throw mapped(error, operation: "back up")
        }
    }

    private func copy(to path: String) throws {
        var configuration = Configuration()
        configuration.label = "backup"
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        // In one step: a copy in several would begin anew with each write of another process.
        try pool.backup(to: queue)
        let flaws = try queue.writeWithoutTransaction { database in
            // The copy needs no log of its own: it is one file.
            try database.execute(sql: "PRAGMA journal_mode = DELETE")
            return try String.fetchAll(database, sql: "PRAGMA quick_check(3)")
        }
        try queue.close()
        guard flaws == ["ok"] else {
            throw DocumentStoreError.cannotBackUp(
                path: directory, reason: "the copy is damaged as the original is (\(flaws.joined(separator: "; "))); run 'outrider verify'")
        }
    }

    private static func prepareTarget(_ target: String) throws {
        var status = stat()
        if lstat(target, &status) == 0 {
            guard stat(target, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw DocumentStoreError.cannotBackUp(path: target, reason: "it is not a folder; name one that is empty or does not exist")
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: target)
            guard names.isEmpty else {
                throw DocumentStoreError.cannotBackUp(
                    path: target, reason: "the folder is not empty; name one that is, or that does not exist")
            }
        } else {
            try createDirectory(target)
        }
    }

    private static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DocumentStoreError.cannotBackUp(path: path, reason: String(cString: strerror(errno))) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DocumentStoreError.cannotBackUp(path: path, reason: String(cString: strerror(errno))) }
    }
}
