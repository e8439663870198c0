import CSandbox
import Foundation

/// The bytes to parse: a file that is open already, or a member of another document.
///
/// The pool opens the file and passes the descriptor, so that the confined process needs no right to any path. Programs (pdftotext, tesseract) get the descriptor, our own readers the bytes; each form is made from the other only
/// when asked for, so that a large PDF never enters this process.
final class ParseInput {
    /// As the user knows it; the extension helps detection.
    let name: String
    let mimeType: String?
    /// The first bytes, enough to see what it is.
    let head: [UInt8]
    let size: Int
    private var loaded: [UInt8]?
    private var descriptor: Int32
    /// Whether the descriptor's file, if there is one, lies in memory.
    private var isInMemory: Bool

    /// Opens a file; throws unless it is a regular one.
    convenience init(path: String, name: String, mimeType: String?, limits: ParseLimits) throws(Refusal) {
        try self.init(descriptor: Self.openFile(path, name: name), name: name, mimeType: mimeType, limits: limits)
    }

    /// Takes over the descriptor of a regular file that is open for reading.
    init(descriptor: Int32, name: String, mimeType: String?, limits: ParseLimits) throws(Refusal) {
        self.name = name
        self.mimeType = mimeType
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw .unreadable("\(name): not a regular file")
        }
        guard status.st_size <= limits.inputBytes else {
            close(descriptor)
            throw .tooLarge("\(name) has \(status.st_size) bytes, \(limits.inputBytes) are allowed; split it or raise the limit")
        }
        guard status.st_size > 0 else {
            close(descriptor)
            throw .empty("\(name) has no bytes")
        }
        self.descriptor = descriptor
        isInMemory = false
        size = Int(status.st_size)
        guard let head = Self.read(descriptor, at: 0, count: min(size, 8192)) else {
            close(descriptor)
            throw .unreadable("\(name): \(String(cString: strerror(errno)))")
        }
        self.head = head
    }

    /// A descriptor of the regular file at `path`, open for reading; for `closeFile` in the end.
    static func openFile(_ path: String, name: String) throws(Refusal) -> Int32 {
        // Asked before it is opened, because opening a device may do something.
        var status = stat()
        guard stat(path, &status) == 0 else { throw .unreadable("\(name): \(String(cString: strerror(errno)))") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable("\(name): not a regular file") }
        // Not blocking, in case that it has become a named pipe since.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable("\(name): \(String(cString: strerror(errno)))") }
        return descriptor
    }

    static func closeFile(_ descriptor: Int32) { _ = close(descriptor) }

    /// Bytes that lie in memory already.
    init(bytes: [UInt8], name: String, mimeType: String? = nil) {
        self.name = name
        self.mimeType = mimeType
        head = Array(bytes.prefix(8192))
        size = bytes.count
        loaded = bytes
        descriptor = -1
        isInMemory = true
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Everything, read on first use.
    func bytes() throws(Refusal) -> [UInt8] {
        if let loaded { return loaded }
        guard let bytes = Self.read(descriptor, at: 0, count: size) else {
            throw .unreadable("\(name): \(String(cString: strerror(errno)))")
        }
        loaded = bytes
        return bytes
    }

    /// At most `count` bytes from `offset` on; fewer at the end, and where nothing can be read.
    func bytes(at offset: Int, count: Int) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        let count = min(count, size - offset)
        if offset + count <= head.count { return Array(head[offset..<offset + count]) }
        if let loaded { return Array(loaded[min(offset, loaded.count)..<min(offset + count, loaded.count)]) }
        return Self.read(descriptor, at: offset, count: count) ?? []
    }

    /// A descriptor that reads the bytes from the start; this object keeps it.
    func fileDescriptor() throws(Refusal) -> Int32 {
        if descriptor < 0, let loaded {
            let file = try Self.memoryFile()
            var written = 0
            while written < loaded.count {
                let count = loaded.withUnsafeBytes { write(file, $0.baseAddress! + written, loaded.count - written) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    close(file)
                    throw .tooLarge("\(name) did not fit in memory")
                }
                written += count
            }
            descriptor = file
        }
        lseek(descriptor, 0, SEEK_SET)
        return descriptor
    }

    /// As `fileDescriptor`, of a file that a confined program may open once more as `/proc/self/fd/0`.
    ///
    /// That is one in memory: landlock asks about the path of a file that lies on disk. Costs a copy of such a file,
    /// which the kernel makes without bringing it into the memory of this process.
    func reopenableDescriptor() throws(Refusal) -> Int32 {
        if descriptor >= 0, !isInMemory {
            let file = try Self.memoryFile()
            let result = outrider_copy(descriptor, file, UInt64(size))
            guard result == 0 else {
                close(file)
                if result == EFBIG || result == ENOSPC || result == ENOMEM { throw .tooLarge("\(name) did not fit in memory") }
                throw .unreadable("\(name): \(String(cString: strerror(result)))")
            }
            close(descriptor)
            descriptor = file
            isInMemory = true
        }
        return try fileDescriptor()
    }

    private static func memoryFile() throws(Refusal) -> Int32 {
        let file = outrider_memory_file("document")
        guard file >= 0 else { throw .unavailable("memory files: \(String(cString: strerror(errno)))") }
        return file
    }

    var fileExtension: String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        let text = name[name.index(after: dot)...]
        return text.utf8.count <= 12 && !text.contains("/") ? text.lowercased() : ""
    }

    private static func read(_ descriptor: Int32, at offset: Int, count: Int) -> [UInt8]? {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failed = true }
                if got <= 0 { break }
                filled += got
            }
        }
        return failed ? nil : bytes
    }
}
