import Foundation

/// The few system calls that derived files need, with typed errors. Those that change something report each step to `StorageProbe`.
enum FileSystem {
    /// Creates a folder and its parents, for their owner only: index files hold what the documents say.
    static func createDirectory(_ path: String) throws(StorageError) {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        let parent = directory(of: path)
        if parent != path, parent != "." { try createDirectory(parent) }
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw .system(path: path, operation: "mkdir", errno: errno) }
    }

    /// The folder that holds a path; "." for a bare name.
    static func directory(of path: String) -> String {
        var bytes = Substring(path)
        while bytes.count > 1, bytes.last == "/" { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: "/") else { return "." }
        return slash == bytes.startIndex ? "/" : String(bytes[..<slash])
    }

    /// The names in a folder, sorted; none when the folder is missing.
    static func names(in directory: String) throws(StorageError) -> [String] {
        guard let stream = opendir(directory) else {
            if errno == ENOENT { return [] }
            throw .system(path: directory, operation: "opendir", errno: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Creates or empties a file and opens it for writing.
    static func create(_ path: String) throws(StorageError) -> Int32 {
        try StorageProbe.willTake(.create, path)
        let descriptor = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", errno: errno) }
        return descriptor
    }

    /// Writes all bytes at an offset.
    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, at offset: Int, path: String) throws(StorageError) {
        try StorageProbe.willTake(.write, path)
        var written = 0
        while written < bytes.count {
            let result = pwrite(descriptor, bytes.baseAddress! + written, bytes.count - written, off_t(offset + written))
            if result > 0 {
                written += result
            } else if result == 0 || errno != EINTR {
                throw .system(path: path, operation: "write", errno: result == 0 ? ENOSPC : errno)
            }
        }
    }

    /// Writes a whole small file and syncs it.
    static func writeSynced(_ bytes: [UInt8], path: String) throws(StorageError) {
        let descriptor = try create(path)
        defer { close(descriptor) }
        try bytes.withBytes { (bytes) throws(StorageError) in try write(bytes, to: descriptor, at: 0, path: path) }
        try sync(descriptor, path: path)
    }

    static func sync(_ descriptor: Int32, path: String) throws(StorageError) {
        try StorageProbe.willTake(.sync, path)
        while fsync(descriptor) != 0 {
            if errno != EINTR { throw .system(path: path, operation: "fsync", errno: errno) }
        }
    }

    static func rename(_ source: String, to target: String) throws(StorageError) {
        try StorageProbe.willTake(.rename, target)
        if Foundation.rename(source, target) != 0 { throw .system(path: target, operation: "rename", errno: errno) }
    }

    /// Makes the names in a folder durable.
    static func syncDirectory(_ path: String) throws(StorageError) {
        try StorageProbe.willTake(.syncFolder, path)
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", errno: errno) }
        defer { close(descriptor) }
        while fsync(descriptor) != 0 {
            if errno != EINTR { throw .system(path: path, operation: "fsync", errno: errno) }
        }
    }

    /// Removes a file; one that is already gone is fine.
    static func remove(_ path: String) throws(StorageError) {
        try StorageProbe.willTake(.remove, path)
        if unlink(path) != 0, errno != ENOENT { throw .system(path: path, operation: "unlink", errno: errno) }
    }

    /// Reads a whole small file; nil when it does not exist.
    static func read(_ path: String, sizeMax: Int) throws(StorageError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw .system(path: path, operation: "open", errno: errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path: path, operation: "fstat", errno: errno) }
        guard status.st_size <= sizeMax else {
            throw .corrupt(path: path, offset: sizeMax, reason: "the file has \(status.st_size) bytes, at most \(sizeMax) are expected")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let result = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + count, $0.count - count, off_t(count)) }
            if result == 0 { break }
            if result < 0 {
                if errno == EINTR { continue }
                throw .system(path: path, operation: "read", errno: errno)
            }
            count += result
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

extension Array where Element: BitwiseCopyable {
    /// `withUnsafeBytes` with a typed error, which the standard library's does not carry yet.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws(StorageError) -> Result) throws(StorageError) -> Result {
        try withUnsafeBytes { bytes in
            Swift.Result { () throws(StorageError) in try body(bytes) }
        }.get()
    }
}
