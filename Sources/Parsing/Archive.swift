import CArchive
import Foundation

/// Members of a zip container (or of another archive), unpacked in memory within the budgets of the context.
///
/// Nothing is ever written to disk, so a member's path is only a name. Only filters compiled into libarchive are on;
/// its "program" filters, which start other programs, are not.
final class Archive {
    enum Family {
        /// Office files, EPUB.
        case zip
        /// Whatever people pack folders with.
        case any
    }

    struct Entry {
        var name: String
        var size: Int
        var isEncrypted: Bool
    }

    private(set) var entries: [Entry] = []
    private(set) var warnings: [String] = []
    private var members: [String: [UInt8]] = [:]
    private let bytes: [UInt8]
    private let name: String
    private let family: Family
    private let context: ParseContext

    /// Lists the archive and unpacks the members that `isWanted` names.
    init(_ input: ParseInput, _ family: Family, context: ParseContext, isWanted: (String) -> Bool) throws(Refusal) {
        bytes = try input.bytes()
        name = input.name
        self.family = family
        self.context = context
        try scan(lists: true, isWanted: isWanted)
    }

    /// Unpacks more members.
    func load(where isWanted: (String) -> Bool) throws(Refusal) {
        try scan(lists: false) { isWanted($0) && self.members[$0] == nil }
    }

    /// An unpacked member. Names compare without case when the exact one is not there, as Windows programs write them.
    func member(_ name: String) -> [UInt8]? {
        if let bytes = members[name] { return bytes }
        let lowered = name.lowercased()
        return members.first { $0.key.lowercased() == lowered }?.value
    }

    func contains(_ name: String) -> Bool { entries.contains { $0.name == name } }

    /// Names of the unpacked members, sorted with numbers in them by value: slide2 before slide10.
    func memberNames(prefix: String, suffix: String = ".xml") -> [String] {
        members.keys.filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
            .sorted { $0.compare($1, options: .numeric) == .orderedAscending }
    }

    // MARK: - Reading

    private func scan(lists: Bool, isWanted: (String) -> Bool) throws(Refusal) {
        do {
            try scan(lists: lists, streams: false, isWanted: isWanted)
        } catch .malformed(let reason) where family == .zip {
            // Without its directory, a zip file can be read from the front, as far as it goes.
            entries = lists ? [] : entries
            try scan(lists: lists, streams: true, isWanted: isWanted)
            if entries.isEmpty { throw .malformed(reason) }
            warn("\(name) is damaged; what could be read of it was")
        }
    }

    private func warn(_ text: String) { if !warnings.contains(text) { warnings.append(text) } }

    private func scan(lists: Bool, streams: Bool, isWanted: (String) -> Bool) throws(Refusal) {
        guard let reader = archive_read_new() else { throw .outOfMemory(limitBytes: context.limits.memoryBytes) }
        defer { archive_read_free(reader) }
        switch family {
        case .zip:
            _ = streams ? archive_read_support_format_zip_streamable(reader) : archive_read_support_format_zip_seekable(reader)
        case .any:
            archive_read_support_format_zip(reader)
            archive_read_support_format_tar(reader)
            archive_read_support_format_gnutar(reader)
            archive_read_support_format_7zip(reader)
            archive_read_support_format_cpio(reader)
            archive_read_support_format_rar(reader)
            archive_read_support_format_rar5(reader)
            archive_read_support_format_raw(reader)
            archive_read_support_filter_gzip(reader)
            archive_read_support_filter_bzip2(reader)
            archive_read_support_filter_xz(reader)
            archive_read_support_filter_zstd(reader)
        }
        let failure = bytes.withUnsafeBytes { raw -> Refusal? in
            guard archive_read_open_memory(reader, raw.baseAddress, raw.count) == ARCHIVE_OK else {
                return .malformed("\(name) is not a readable archive: \(message(reader))")
            }
            do throws(Refusal) {
                try readMembers(reader, lists: lists, isWanted: isWanted)
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    private func readMembers(_ reader: OpaquePointer, lists: Bool, isWanted: (String) -> Bool) throws(Refusal) {
        var count = 0
        while true {
            var entry: OpaquePointer?
            let result = archive_read_next_header(reader, &entry)
            if result == ARCHIVE_EOF { return }
            guard result >= ARCHIVE_WARN, let entry else {
                if count == 0 { throw .malformed("\(name) is not a readable archive: \(message(reader))") }
                warn("\(name) could be read only in part: \(message(reader))")
                return
            }
            count += 1
            guard count <= context.limits.memberCount else {
                throw .tooLarge("\(name) has more than \(context.limits.memberCount) members")
            }
            guard archive_entry_filetype(entry) == S_IFREG || archive_entry_filetype(entry) == 0 else { continue }
            var memberName = (archive_entry_pathname_utf8(entry) ?? archive_entry_pathname(entry)).map { String(cString: $0) } ?? ""
            if archive_format(reader) == ARCHIVE_FORMAT_RAW {
                // A single compressed file: its name is ours without the last extension.
                let base = name.split(separator: "/").last.map(String.init) ?? name
                memberName = base.lastIndex(of: ".").map { String(base[..<$0]) } ?? base
            }
            memberName = memberName.replacing("\\", with: "/")
            while memberName.hasPrefix("/") { memberName.removeFirst() }
            let isEncrypted = archive_entry_is_data_encrypted(entry) == 1
            if lists {
                entries.append(Entry(name: memberName, size: Int(archive_entry_size(entry)), isEncrypted: isEncrypted))
            }
            guard isWanted(memberName), members[memberName] == nil else { continue }
            if isEncrypted { throw .encrypted("\(name) needs a password; remove it and try again") }
            members[memberName] = try unpack(reader, memberName)
        }
    }

    private func unpack(_ reader: OpaquePointer, _ memberName: String) throws(Refusal) -> [UInt8] {
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = chunk.withUnsafeMutableBytes { archive_read_data(reader, $0.baseAddress, $0.count) }
            if count == 0 { break }
            if count < 0 {
                warn("\(memberName) in \(name) is damaged")
                break
            }
            context.unpackedBytesLeft -= count
            guard context.unpackedBytesLeft >= 0 else {
                throw .tooLarge("\(name) unpacks to more than \(context.limits.unpackedBytes) bytes; unpack it and take in its parts")
            }
            output.append(contentsOf: chunk[..<count])
        }
        return output
    }

    private func message(_ reader: OpaquePointer) -> String {
        archive_error_string(reader).map { String(cString: $0) } ?? "unknown error"
    }
}
