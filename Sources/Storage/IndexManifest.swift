import Foundation

/// The list of files that make one generation of an index, published by an atomic rename of `manifest.json`.
///
/// ```
///  {"crc32c":"1a2b3c4d","manifest":{ ... }}\n
///   crc32c: lower-case hex, CRC-32C of exactly the bytes of the inner object as they stand in the file
/// ```
///
/// An index has its folder for itself: names that end in `.seg` or `.part` and that the manifest does not list are leftovers and removed.
package struct IndexManifest: Codable, Sendable, Equatable {
    package var formatVersion: Int = 1
    /// Grows by one with each publication; the publisher raises it. File names carry it.
    package var generation: Int = 0
    /// Segment file names relative to the manifest's folder, oldest first.
    package var segments: [String] = []
    /// A file that says which rows of the segments are deleted; nil when none is.
    package var tombstones: String?
    /// The header checksum of each file, by its name: a good file of other content in its place is noticed. Nil in manifests of versions that did not have it.
    package var checksums: [String: UInt32]?
    package var position = IndexPosition()
    /// What the index needs to know to be opened with the same meaning (dimension, metric, analyzer ...), as JSON the index defines.
    package var configuration: String = "{}"

    package init() {}

    package static let fileName = "manifest.json"
    private static let supportedVersion = 1
    private static let sizeMax = 16 << 20
    private static let prefix = Array(#"{"crc32c":""#.utf8)
    private static let middle = Array(#"","manifest":"#.utf8)
    private static let suffix = Array("}\n".utf8)
    private static let checksumDigits = 8

    /// Reads `manifest.json` in a folder; nil when there is none yet.
    package static func load(directory: String) throws(StorageError) -> IndexManifest? {
        let path = directory + "/" + fileName
        guard let bytes = try FileSystem.read(path, sizeMax: sizeMax) else { return nil }
        let bodyStart = prefix.count + checksumDigits + middle.count
        guard bytes.count > bodyStart + suffix.count else {
            throw .truncated(path: path, size: bytes.count, expected: bodyStart + suffix.count + 1)
        }
        guard bytes.starts(with: prefix), bytes[(prefix.count + checksumDigits)...].starts(with: middle) else {
            throw .corrupt(path: path, offset: 0, reason: "it does not begin as a manifest")
        }
        let body = bytes[bodyStart..<bytes.count - suffix.count]
        guard bytes[body.endIndex...].elementsEqual(suffix) else {
            throw .corrupt(path: path, offset: body.endIndex, reason: "it does not end as a manifest")
        }
        guard bytes[prefix.count..<prefix.count + checksumDigits].elementsEqual(checksumText(of: body)) else {
            throw .corrupt(path: path, offset: prefix.count, reason: "the checksum does not match")
        }
        let manifest: IndexManifest
        do {
            let version = try JSONDecoder().decode(Version.self, from: Data(body)).formatVersion
            guard version == supportedVersion else {
                throw StorageError.unsupportedVersion(path: path, got: UInt32(clamping: version), expected: UInt32(supportedVersion))
            }
            manifest = try JSONDecoder().decode(IndexManifest.self, from: Data(body))
        } catch let error as StorageError {
            throw error
        } catch {
            throw .corrupt(path: path, offset: bodyStart, reason: "it is not the JSON of a manifest")
        }
        for name in manifest.fileNames where name.contains("/") || !name.hasSuffix(".seg") {
            throw .corrupt(path: path, offset: bodyStart, reason: "'\(name)' is not the name of a segment file")
        }
        return manifest
    }

    /// Writes to a temporary file, syncs, renames over `manifest.json`, syncs the folder, then removes segment files no manifest names.
    ///
    /// When it throws, either the old or the new manifest is in place, and both are good. Leftovers that cannot be removed now are
    /// left to the next publication; `removeUnreferenced` is for those who must know.
    package func publish(directory: String) throws(StorageError) {
        for name in fileNames { precondition(!name.contains("/") && name.hasSuffix(".seg"), "'\(name)' is not the name of a segment file") }
        let path = directory + "/" + Self.fileName
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let body = try? encoder.encode(self) else { preconditionFailure("a manifest cannot be encoded: \(self)") }
        let bytes = Self.prefix + Self.checksumText(of: Array(body)[...]) + Self.middle + Array(body) + Self.suffix

        let part = path + ".part"
        try FileSystem.writeSynced(bytes, path: part)
        try FileSystem.rename(part, to: path)
        try FileSystem.syncDirectory(directory)
        _ = try? removeUnreferenced(directory: directory)
    }

    /// Removes `*.seg` and `*.part` files that this manifest does not name; never anything else. Returns how many.
    ///
    /// For the one writer of the folder only: to another process's reader a removed file is one that it has mapped already or must look up again.
    @discardableResult
    package func removeUnreferenced(directory: String) throws(StorageError) -> Int {
        let kept = Set(fileNames)
        var count = 0
        for name in try FileSystem.names(in: directory) where (name.hasSuffix(".seg") || name.hasSuffix(".part")) && !kept.contains(name) {
            try FileSystem.remove(directory + "/" + name)
            count += 1
        }
        return count
    }

    /// Creates the folder of an index with its parents.
    package static func createDirectory(_ directory: String) throws(StorageError) {
        try FileSystem.createDirectory(directory)
    }

    /// The largest number in names of the form `prefix-number...` in a folder, referenced or not; 0 when there is none.
    ///
    /// A writer numbers its next file above it, so that no name ever means two contents.
    package static func numberMax(directory: String) throws(StorageError) -> Int {
        var largest = 0
        for name in try FileSystem.names(in: directory) {
            guard let dash = name.firstIndex(of: "-") else { continue }
            largest = max(largest, Int(name[name.index(after: dash)...].prefix { $0.isASCII && $0.isNumber }) ?? 0)
        }
        return largest
    }

    /// Compares a file's header checksum with the one it was published with.
    package func check(_ name: String, headerChecksum: UInt32, directory: String) throws(StorageError) {
        guard let expected = checksums?[name], expected != headerChecksum else { return }
        throw .corrupt(
            path: directory + "/" + name, offset: SegmentFormat.checksumOffset,
            reason: "it is another file than the one that the manifest names")
    }

    /// Keeps the checksums of the files that are still named, and adds those of new ones.
    package mutating func note(checksums added: [String: UInt32]) {
        let names = Set(fileNames)
        checksums = (checksums ?? [:]).merging(added) { $1 }.filter { names.contains($0.key) }
    }

    private var fileNames: [String] { segments + (tombstones.map { [$0] } ?? []) }

    private static func checksumText(of body: ArraySlice<UInt8>) -> [UInt8] {
        let checksum = body.withUnsafeBytes { CRC32C.checksum(of: $0) }
        let text = String(checksum, radix: 16)
        return Array((String(repeating: "0", count: checksumDigits - text.count) + text).utf8)
    }

    private struct Version: Decodable { var formatVersion: Int }
}
