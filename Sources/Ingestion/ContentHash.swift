import CCrypto
import Foundation

/// SHA-256 of a file's bytes, streamed: how an unchanged file is recognised.
package enum ContentHash {
    /// A hash of bytes that come in pieces.
    package final class Running {
        private let context: OpaquePointer

        package init() {
            guard let context = EVP_MD_CTX_new() else { preconditionFailure("libcrypto is out of memory") }
            EVP_DigestInit_ex(context, EVP_sha256(), nil)
            self.context = context
        }

        deinit { EVP_MD_CTX_free(context) }

        package func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

        /// 64 hex digits of all bytes so far; nothing can be added after it.
        package func finish() -> String {
            var digest = [UInt8](repeating: 0, count: 32)
            EVP_DigestFinal_ex(context, &digest, nil)
            return ContentHash.hex(digest)
        }
    }

    /// The end of a spool file's name that tells which bytes it was given: `upload-ID.HASH`.
    ///
    /// The bytes wait on the disk after the sender was told that they are safe; without it nothing would notice that the disk changed them.
    package static func spoolName(_ name: String, hash: String) -> String { "\(name).\(hash)" }

    /// The hash in the name of a spool file; nil where there is none, as in those of earlier versions.
    static func expected(ofSpoolFile path: String) -> String? {
        guard let name = path.split(separator: "/").last, let dot = name.lastIndex(of: ".") else { return nil }
        let hash = name[name.index(after: dot)...]
        return hash.utf8.count == 64 && hash.allSatisfy { $0.isASCII && $0.isHexDigit } ? String(hash) : nil
    }

    /// - Returns: 64 hex digits and the number of bytes read.
    /// - Parameter checking: Called after each quarter of a megabyte; what it throws ends the work.
    /// - Throws: `IngestionError.noSuchPath` when the file cannot be read.
    static func sha256(ofFile path: String, checking: () throws -> Void = {}) throws -> (hex: String, byteCount: Int) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw IngestionError.noSuchPath(path) }
        defer { close(descriptor) }
        let running = Running()
        var total = 0
        let size = 1 << 18
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = read(descriptor, buffer, size)
            if count < 0 {
                if errno == EINTR { continue }
                throw IngestionError.noSuchPath(path)
            }
            if count == 0 { break }
            try checking()
            running.update(UnsafeRawBufferPointer(start: buffer, count: count))
            total += count
        }
        return (running.finish(), total)
    }

    /// As a file with these bytes has it.
    static func sha256(of text: String) -> (hex: String, byteCount: Int) {
        var text = text
        var digest = [UInt8](repeating: 0, count: 32)
        let size = text.withUTF8 { bytes in
            EVP_Digest(bytes.baseAddress, bytes.count, &digest, nil, EVP_sha256(), nil)
            return bytes.count
        }
        return (hex(digest), size)
    }

    fileprivate static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
