import Dispatch
import Foundation

/// A read-only segment file, mapped, or copied into memory when it is small. Sections stay valid as long as the object lives, also when the file is removed meanwhile.
///
/// A file that is cut short while it is mapped ends the process at the next access to what is gone (SIGBUS). So files up to `copiedSizeMax` are read into memory: a search
/// touches nearly all of such a file anyway. Larger ones are mapped, and nothing but this program may change them while it runs.
package final class SegmentFile: @unchecked Sendable {
    // Invariant: nothing changes after `init`; the mapping is read-only and released in `deinit`.
    package let path: String
    /// Size of the whole file in bytes.
    package let size: Int
    /// The checksum of the header, which covers the checksums of all sections: names this very content.
    package let headerChecksum: UInt32
    private let mapping: UnsafeRawBufferPointer
    private let isCopied: Bool
    private let kind: String
    /// One of those that the opener reads.
    package let version: UInt32
    private let sections: [SegmentFormat.Section]
    /// For `read`; -1 when it was not wanted.
    private let descriptor: Int32

    package static let copiedSizeMax = 16 << 20

    /// Opens a file and checks header and table; `verifyingSections` reads and checks every byte.
    ///
    /// - Parameter readableSizeMin: Files of at least this size in bytes stay open, one descriptor each, for `read`.
    package convenience init(
        path: String, kind: String, version: UInt32, verifyingSections: Bool, readableSizeMin: Int = .max,
        copiedSizeMax: Int = SegmentFile.copiedSizeMax
    ) throws(StorageError) {
        try self.init(
            path: path, kind: kind, versions: [version], verifyingSections: verifyingSections, readableSizeMin: readableSizeMin,
            copiedSizeMax: copiedSizeMax)
    }

    /// - Parameter versions: Those that the caller reads, the newest last; `version` tells which one it is.
    package init(
        path: String, kind: String, versions: [UInt32], verifyingSections: Bool, readableSizeMin: Int = .max,
        copiedSizeMax: Int = SegmentFile.copiedSizeMax
    ) throws(StorageError) {
        try StorageProbe.willTake(.open, path)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { throw .missingFile(path: path) }
            throw .system(path: path, operation: "open", errno: errno)
        }
        var isKept = false
        defer { if !isKept { close(descriptor) } }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path: path, operation: "fstat", errno: errno) }
        let size = Int(status.st_size)
        guard size >= SegmentFormat.pageSize else { throw .truncated(path: path, size: size, expected: SegmentFormat.pageSize) }
        let isCopied = size <= copiedSizeMax
        let address = try isCopied ? Self.copy(descriptor, size: size, path: path) : Self.map(descriptor, size: size, path: path)
        let mapping = UnsafeRawBufferPointer(start: address, count: size)
        do throws(StorageError) {
            let header = try SegmentFormat.decode(UnsafeRawBufferPointer(rebasing: mapping[..<SegmentFormat.pageSize]), path: path)
            guard header.kind == kind else { throw .wrongKind(path: path, got: header.kind, expected: kind) }
            guard versions.contains(header.version) else {
                throw .unsupportedVersion(path: path, got: header.version, expected: versions.last ?? 0)
            }
            version = header.version
            guard size >= header.totalSize else { throw .truncated(path: path, size: size, expected: header.totalSize) }
            guard size == header.totalSize else {
                throw .corrupt(path: path, offset: header.totalSize, reason: "\(size - header.totalSize) bytes follow the end")
            }
            sections = header.sections
        } catch {
            munmap(address, size)
            throw error
        }
        self.path = path
        self.size = size
        self.mapping = mapping
        self.isCopied = isCopied
        self.kind = kind
        isKept = size >= readableSizeMin && !isCopied
        self.descriptor = isKept ? descriptor : -1
        headerChecksum = mapping.loadUnaligned(fromByteOffset: SegmentFormat.checksumOffset, as: UInt32.self)
        if verifyingSections { try verifySections() }
    }

    private static func map(_ descriptor: Int32, size: Int, path: String) throws(StorageError) -> UnsafeMutableRawPointer {
        guard let address = mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
            throw .system(path: path, operation: "mmap", errno: errno)
        }
        return address
    }

    /// Reads the whole file into pages of its own.
    private static func copy(_ descriptor: Int32, size: Int, path: String) throws(StorageError) -> UnsafeMutableRawPointer {
        guard let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), address != MAP_FAILED else {
            throw .system(path: path, operation: "mmap", errno: errno)
        }
        var done = 0
        while done < size {
            let count = pread(descriptor, address + done, size - done, off_t(done))
            if count > 0 {
                done += count
                continue
            }
            if count < 0, errno == EINTR { continue }
            let reason = errno
            munmap(address, size)
            if count == 0 { throw .truncated(path: path, size: done, expected: size) }
            throw .system(path: path, operation: "read", errno: reason)
        }
        mprotect(address, size, PROT_READ)
        return address
    }

    deinit {
        // The last to hold an old file is often a search. Giving up a file that was removed meanwhile frees its blocks and its memory, which took
        // 50 ms for 75 MB: the search shall not wait for it.
        let (address, size, descriptor) = (UInt(bitPattern: mapping.baseAddress!), mapping.count, descriptor)
        Self.closing.async {
            munmap(UnsafeMutableRawPointer(bitPattern: address), size)
            if descriptor >= 0 { close(descriptor) }
        }
    }

    private static let closing = DispatchQueue(label: "outrider.storage.closing", qos: .utility)

    /// Whether `read` works.
    package var isReadable: Bool { descriptor >= 0 }

    /// Copies bytes of the file without mapping their pages: for a few rows here and there of a file that is larger than what should stay in memory.
    ///
    /// - Parameter position: Address of the first byte, inside a section.
    package func read(at position: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer) throws(StorageError) {
        let offset = position - mapping.baseAddress!
        precondition(isReadable && offset >= 0 && offset + target.count <= size, "bytes \(offset) + \(target.count) of '\(path)'")
        var done = 0
        while done < target.count {
            let count = pread(descriptor, target.baseAddress! + done, target.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw .truncated(path: path, size: offset + done, expected: size)
            } else {
                guard errno == EINTR else { throw .system(path: path, operation: "read", errno: errno) }
            }
        }
    }

    /// Gives the mapped pages of a section back to the system; the next access maps them again.
    package func release(section name: String) throws(StorageError) {
        let section = try entry(name)
        // Pages of a copy would come back empty.
        if isCopied { return }
        madvise(UnsafeMutableRawPointer(mutating: mapping.baseAddress! + section.offset), section.extent, MADV_DONTNEED)
    }

    /// The names of the sections, in file order.
    package var sectionNames: [String] { sections.map(\.name) }

    /// The bytes of a section, without its padding. The first byte lies on a multiple of 4 KiB.
    package func section(_ name: String) throws(StorageError) -> UnsafeRawBufferPointer {
        let section = try entry(name)
        return UnsafeRawBufferPointer(rebasing: mapping[section.offset..<section.offset + section.size])
    }

    /// A section as an array of fixed-size elements; `.corrupt` when its size is not a multiple of the element's.
    package func array<Element: BitwiseCopyable>(
        _ name: String, of type: Element.Type = Element.self
    ) throws(StorageError) -> UnsafeBufferPointer<Element> {
        let section = try entry(name)
        guard section.size % MemoryLayout<Element>.stride == 0 else {
            throw .corrupt(
                path: path, offset: section.offset,
                reason: "section '\(name)' has \(section.size) bytes, not a multiple of \(MemoryLayout<Element>.stride)")
        }
        // `assumingMemoryBound`: the mapping is never bound to anything else but the one element type its section has.
        return UnsafeBufferPointer(
            start: (mapping.baseAddress! + section.offset).assumingMemoryBound(to: Element.self),
            count: section.size / MemoryLayout<Element>.stride)
    }

    /// Reads every section again and compares checksums; of a copy, what is on the disk now.
    package func verify() throws(StorageError) {
        if isCopied {
            do throws(StorageError) {
                let file = try SegmentFile(path: path, kind: kind, version: version, verifyingSections: true)
                guard file.headerChecksum == headerChecksum else {
                    throw .corrupt(path: path, offset: SegmentFormat.checksumOffset, reason: "the file was replaced by another")
                }
            } catch {
                // Removed, as a mapped file may be, when a newer generation has replaced it.
                guard case .missingFile = error else { throw error }
            }
        }
        try verifySections()
    }

    private func verifySections() throws(StorageError) {
        for section in sections { try verify(section) }
    }

    /// Reads one section again and compares its checksum: for what must be right at once while the large rest is checked later.
    package func verify(section name: String) throws(StorageError) {
        try verify(try entry(name))
    }

    private func entry(_ name: String) throws(StorageError) -> SegmentFormat.Section {
        guard let section = sections.first(where: { $0.name == name }) else { throw .missingSection(path: path, name: name) }
        return section
    }

    private func verify(_ section: SegmentFormat.Section) throws(StorageError) {
        let checksum = CRC32C.checksum(of: UnsafeRawBufferPointer(rebasing: mapping[section.offset..<section.offset + section.extent]))
        guard checksum == section.checksum else {
            throw .corrupt(path: path, offset: section.offset, reason: "the checksum of section '\(section.name)' does not match")
        }
    }
}
