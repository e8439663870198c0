import Foundation

/// Writes one segment file: collects sections, then writes, syncs and renames it into place.
///
/// Either `append` whole sections, or `begin`, `write` in pieces and `end` for one that is larger than memory should hold.
/// A writer that is dropped before `finish` removes its temporary file.
package struct SegmentWriter: ~Copyable {
    private let state: State

    /// - Parameters:
    ///   - path: Final path; written as `path + ".part"` until `finish`.
    ///   - kind: Exactly four ASCII characters, such as `FLAT` or `BM25`.
    ///   - version: Format version of that kind.
    package init(path: String, kind: String, version: UInt32) throws(StorageError) {
        precondition(kind.utf8.count == 4 && kind.utf8.allSatisfy { $0 < 0x80 }, "the kind '\(kind)' is not four ASCII characters")
        state = try State(path: path, kind: kind, version: version)
    }

    /// Appends a section, 4 KiB-aligned, with its checksum.
    package mutating func append(section name: String, bytes: UnsafeRawBufferPointer) throws(StorageError) {
        try begin(section: name)
        try write(bytes)
        try end()
    }

    /// Appends a section that holds the elements of an array as they lie in memory.
    package mutating func append<Element: BitwiseCopyable>(section name: String, array: [Element]) throws(StorageError) {
        try begin(section: name)
        try write(array)
        try end()
    }

    /// Opens a section at the next multiple of 4 KiB.
    ///
    /// - Parameter name: 1 to 32 ASCII characters, unique in the file.
    package mutating func begin(section name: String) throws(StorageError) {
        precondition(
            (1...SegmentFormat.nameSizeMax).contains(name.utf8.count) && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F },
            "the section name '\(name)' is not 1 to 32 ASCII characters")
        precondition(!state.isOpen, "section '\(name)' begins before section '\(state.sections.last?.name ?? "")' has ended")
        precondition(!state.sections.contains { $0.name == name }, "section '\(name)' is written twice")
        precondition(state.sections.count < SegmentFormat.sectionCountMax, "more than \(SegmentFormat.sectionCountMax) sections")
        state.sections.append(.init(name: name, offset: state.offset, size: 0, checksum: 0))
        state.checksum = CRC32C()
        state.isOpen = true
    }

    /// Appends bytes to the open section.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
        precondition(state.isOpen, "bytes are written to '\(state.path)' outside of a section")
        state.sections[state.sections.count - 1].size += bytes.count
        try state.put(bytes)
    }

    /// Appends the elements of an array to the open section, as they lie in memory.
    package mutating func write<Element: BitwiseCopyable>(_ array: [Element]) throws(StorageError) {
        try array.withBytes { (bytes) throws(StorageError) in try write(bytes) }
    }

    /// Closes the open section and fills up to the next multiple of 4 KiB.
    package mutating func end() throws(StorageError) {
        precondition(state.isOpen, "a section of '\(state.path)' ends that never began")
        let size = state.sections[state.sections.count - 1].size
        let padding = [UInt8](repeating: 0, count: SegmentFormat.padded(size) - size)
        try padding.withBytes { (bytes) throws(StorageError) in try state.put(bytes) }
        state.sections[state.sections.count - 1].checksum = state.checksum.value
        state.isOpen = false
    }

    /// Writes header and section table, syncs file and folder, renames into place. Nothing is visible before.
    ///
    /// - Returns: The header's checksum, which names this very content.
    @discardableResult
    package consuming func finish() throws(StorageError) -> UInt32 {
        precondition(!state.isOpen, "'\(state.path)' is finished inside of section '\(state.sections.last?.name ?? "")'")
        return try state.finish()
    }
}

extension SegmentWriter {
    /// What the writer owns: a descriptor and a temporary file, both released exactly once.
    private final class State {
        let path: String
        private let kind: String
        private let version: UInt32
        private var descriptor: Int32
        private var isFinished = false
        /// Bytes of the current section that are not yet written; small pieces are gathered here.
        private var buffer: [UInt8] = []
        private var written = SegmentFormat.pageSize
        var sections: [SegmentFormat.Section] = []
        var checksum = CRC32C()
        var isOpen = false

        private static let bufferSize = 1 << 20

        init(path: String, kind: String, version: UInt32) throws(StorageError) {
            self.path = path
            self.kind = kind
            self.version = version
            descriptor = try FileSystem.create(path + ".part")
        }

        /// Where the next byte goes.
        var offset: Int { written + buffer.count }

        func put(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
            checksum.update(bytes)
            if buffer.count + bytes.count > Self.bufferSize { try flush() }
            if bytes.count >= Self.bufferSize {
                try FileSystem.write(bytes, to: descriptor, at: written, path: path + ".part")
                written += bytes.count
            } else {
                buffer.append(contentsOf: bytes)
            }
        }

        private func flush() throws(StorageError) {
            guard !buffer.isEmpty else { return }
            try buffer.withBytes { (bytes) throws(StorageError) in
                try FileSystem.write(bytes, to: descriptor, at: written, path: path + ".part")
            }
            written += buffer.count
            buffer.removeAll(keepingCapacity: true)
        }

        func finish() throws(StorageError) -> UInt32 {
            try flush()
            let header = SegmentFormat.encode(.init(kind: kind, version: version, totalSize: written, sections: sections))
            try header.withBytes { (bytes) throws(StorageError) in
                try FileSystem.write(bytes, to: descriptor, at: 0, path: path + ".part")
            }
            try FileSystem.sync(descriptor, path: path + ".part")
            close(descriptor)
            descriptor = -1
            try FileSystem.rename(path + ".part", to: path)
            isFinished = true
            try FileSystem.syncDirectory(FileSystem.directory(of: path))
            return header.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: SegmentFormat.checksumOffset, as: UInt32.self) }
        }

        deinit {
            if descriptor >= 0 { close(descriptor) }
            if !isFinished { unlink(path + ".part") }
        }
    }
}
