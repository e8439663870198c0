import CCrypto
import Foundation

/// SHA-256 of a file's bytes, streamed: how an unchanged file is recognised.
enum ContentHash {
    /// - Returns: 64 hex digits and the number of bytes read.
    /// - Parameter checking: Called after each quarter of a megabyte; what it throws ends the work.
    /// - Throws: `IngestionError.noSuchPath` when the file cannot be read.
    static func sha256(ofFile path: String, checking: () throws -> Void = {}) throws -> (hex: String, byteCount: Int) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw IngestionError.noSuchPath(path) }
        defer { close(descriptor) }
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("libcrypto is out of memory") }
        defer { EVP_MD_CTX_free(context) }
        EVP_DigestInit_ex(context, EVP_sha256(), nil)
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
            EVP_DigestUpdate(context, buffer, count)
            total += count
        }
        var digest = [UInt8](repeating: 0, count: 32)
        EVP_DigestFinal_ex(context, &digest, nil)
        return (hex(digest), total)
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

    private static func hex(_ bytes: [UInt8]) -> String {
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
