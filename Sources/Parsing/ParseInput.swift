import CSandbox
import Foundation

/// The bytes to parse: a file on disk or a member of another document.
///
/// Programs (pdftotext, tesseract) get the descriptor, our own readers the bytes; each form is made from the other only
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

    /// Opens a regular file.
    init(path: String, name: String, mimeType: String?, limits: ParseLimits) throws(Refusal) {
        self.name = name
        self.mimeType = mimeType
        // Not blocking, so that a named pipe in a watched folder cannot hold the worker.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .unreadable("\(name): \(String(cString: strerror(errno)))") }
        var status = stat()
        let isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        guard isRegular else {
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
        size = Int(status.st_size)
        guard let head = Self.read(descriptor, count: min(size, 8192)) else {
            close(descriptor)
            throw .unreadable("\(name): \(String(cString: strerror(errno)))")
        }
        self.head = head
    }

    /// Bytes that lie in memory already.
    init(bytes: [UInt8], name: String, mimeType: String? = nil) {
        self.name = name
        self.mimeType = mimeType
        head = Array(bytes.prefix(8192))
        size = bytes.count
        loaded = bytes
        descriptor = -1
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Everything, read on first use.
    func bytes() throws(Refusal) -> [UInt8] {
        if let loaded { return loaded }
        guard let bytes = Self.read(descriptor, count: size) else {
            throw .unreadable("\(name): \(String(cString: strerror(errno)))")
        }
        loaded = bytes
        return bytes
    }

    /// A descriptor that reads the bytes from the start; this object keeps it.
    func fileDescriptor() throws(Refusal) -> Int32 {
        if descriptor < 0, let loaded {
            let file = outrider_memory_file("document")
            guard file >= 0 else { throw .unavailable("memory files: \(String(cString: strerror(errno)))") }
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

    var fileExtension: String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        let text = name[name.index(after: dot)...]
        return text.utf8.count <= 12 && !text.contains("/") ? text.lowercased() : ""
    }

    private static func read(_ descriptor: Int32, count: Int) -> [UInt8]? {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failed = true }
                if got <= 0 { break }
                filled += got
            }
        }
        return failed ? nil : bytes
    }
}
