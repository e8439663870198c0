import Foundation

/// A Compound File Binary, the container of Office 97 to 2003 and of Outlook messages ([MS-CFB]): a small FAT file system.
///
///     offset  size  field of the header
///         30     2  sector size as a power of two (9 or 12)
///         32     2  mini sector size as a power of two (6)
///         44     4  number of FAT sectors
///         48     4  first directory sector
///         56     4  streams smaller than this live in the mini stream (4096)
///         60     4  first mini FAT sector
///         68     4  first DIFAT sector
///         76   436  the first 109 FAT sector numbers
///
/// Every chain is followed at most as far as the file has sectors, so a loop ends.
struct CompoundFile {
    struct Entry {
        var name: String
        /// 1 a storage (folder), 2 a stream, 5 the root.
        var type: UInt8
        var start: UInt32
        var size: Int
        var left: UInt32
        var right: UInt32
        var child: UInt32
    }

    private let bytes: [UInt8]
    private let sectorSize: Int
    private let miniSectorSize: Int
    private let miniCutoff: Int
    private var fat: [UInt32] = []
    private var miniFAT: [UInt32] = []
    private var miniStream: [UInt8] = []
    private(set) var entries: [Entry] = []

    init(_ bytes: [UInt8], name: String) throws(Refusal) {
        self.bytes = bytes
        guard bytes.count >= 512, bytes.starts(with: [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) else {
            throw .malformed("\(name) is no compound file")
        }
        let shift = Int(bytes.u16(30))
        let miniShift = Int(bytes.u16(32))
        guard (7...16).contains(shift), (4...shift).contains(miniShift) else {
            throw .malformed("\(name) names sectors of 2^\(shift) bytes")
        }
        sectorSize = 1 << shift
        miniSectorSize = 1 << miniShift
        miniCutoff = Int(bytes.u32(56))
        let sectorCount = bytes.count / sectorSize + 1

        var fatSectors = (0..<109).map { bytes.u32(76 + $0 * 4) }.filter { $0 < 0xFFFF_FFFA }
        var next = bytes.u32(68)
        var steps = 0
        while next < 0xFFFF_FFFA, steps < sectorCount {
            steps += 1
            let base = (Int(next) + 1) * sectorSize
            guard base + sectorSize <= bytes.count else { break }
            for index in 0..<(sectorSize / 4 - 1) {
                let sector = bytes.u32(base + index * 4)
                if sector < 0xFFFF_FFFA { fatSectors.append(sector) }
            }
            next = bytes.u32(base + sectorSize - 4)
        }
        for sector in fatSectors.prefix(sectorCount) {
            let base = (Int(sector) + 1) * sectorSize
            guard base + sectorSize <= bytes.count else { continue }
            for index in 0..<(sectorSize / 4) { fat.append(bytes.u32(base + index * 4)) }
        }
        let directory = chain(bytes.u32(48), limit: .max)
        var offset = 0
        while offset + 128 <= directory.count, entries.count < 100_000 {
            let nameLength = min(64, Int(directory.u16(offset + 64)))
            let units = stride(from: 0, to: max(0, nameLength - 2), by: 2).map { directory.u16(offset + $0) }
            entries.append(
                Entry(
                    name: String(decoding: units, as: UTF16.self), type: directory[offset + 66], start: directory.u32(offset + 116),
                    size: Int(directory.u32(offset + 120)), left: directory.u32(offset + 68), right: directory.u32(offset + 72),
                    child: directory.u32(offset + 76)))
            offset += 128
        }
        guard let root = entries.first, root.type == 5 else { throw .malformed("\(name) has no root entry") }
        miniStream = chain(root.start, limit: root.size)
        let mini = chain(bytes.u32(60), limit: .max)
        miniFAT = (0..<mini.count / 4).map { mini.u32($0 * 4) }
    }

    private func chain(_ start: UInt32, limit: Int) -> [UInt8] {
        var output: [UInt8] = []
        var sector = start
        var steps = 0
        let sectorCount = bytes.count / sectorSize + 1
        while sector < 0xFFFF_FFFA, output.count < limit, steps <= sectorCount {
            steps += 1
            let base = (Int(sector) + 1) * sectorSize
            guard base < bytes.count else { break }
            output.append(contentsOf: bytes[base..<min(bytes.count, base + sectorSize)])
            guard Int(sector) < fat.count else { break }
            sector = fat[Int(sector)]
        }
        if output.count > limit { output.removeLast(output.count - limit) }
        return output
    }

    /// The bytes of a stream.
    func read(_ entry: Entry) -> [UInt8] {
        guard entry.type == 2 else { return [] }
        if entry.size >= miniCutoff { return chain(entry.start, limit: entry.size) }
        var output: [UInt8] = []
        var sector = entry.start
        var steps = 0
        while sector < 0xFFFF_FFFA, output.count < entry.size, steps <= miniFAT.count {
            steps += 1
            let base = Int(sector) * miniSectorSize
            guard base < miniStream.count else { break }
            output.append(contentsOf: miniStream[base..<min(miniStream.count, base + miniSectorSize)])
            guard Int(sector) < miniFAT.count else { break }
            sector = miniFAT[Int(sector)]
        }
        if output.count > entry.size { output.removeLast(output.count - entry.size) }
        return output
    }

    /// What lies directly in a storage, by its index; 0 is the root.
    func children(of storage: Int) -> [(index: Int, entry: Entry)] {
        guard entries.indices.contains(storage) else { return [] }
        var result: [(Int, Entry)] = []
        var pending = [entries[storage].child]
        var seen: Set<UInt32> = []
        while let next = pending.popLast() {
            guard Int(next) < entries.count, next != 0, seen.insert(next).inserted else { continue }
            let entry = entries[Int(next)]
            result.append((Int(next), entry))
            pending += [entry.left, entry.right]
        }
        return result
    }

    /// A stream of the root storage.
    func stream(_ name: String) -> [UInt8]? {
        children(of: 0).first { $0.entry.name == name && $0.entry.type == 2 }.map { read($0.entry) }
    }

    /// Title, author and the like from the summary information stream ([MS-OLEPS]).
    func summary() -> (title: String?, properties: [String: String]) {
        guard let data = stream("\u{5}SummaryInformation"), data.count > 48 else { return (nil, [:]) }
        let section = Int(data.u32(44))
        guard section + 8 <= data.count else { return (nil, [:]) }
        let count = min(100, Int(data.u32(section + 4)))
        var texts: [Int: [UInt8]] = [:]
        var codePage = 1252
        for index in 0..<count {
            let base = section + 8 + index * 8
            let id = Int(data.u32(base))
            let offset = section + Int(data.u32(base + 4))
            guard offset + 8 <= data.count else { continue }
            let type = data.u32(offset)
            if id == 1, type == 2 { codePage = Int(data.u16(offset + 4)) }
            if type == 0x1E {
                let length = min(Int(data.u32(offset + 4)), data.count - offset - 8, 1000)
                if length > 0 { texts[id] = Array(data[(offset + 8)..<(offset + 8 + length)].prefix { $0 != 0 }) }
            }
        }
        func text(_ id: Int) -> String? {
            texts[id].flatMap { TextDecoder.convert($0[...], from: TextDecoder.codePage(codePage))?.text.trimmed }.flatMap {
                $0.isEmpty ? nil : $0
            }
        }
        var properties: [String: String] = [:]
        for (id, name) in [(3, "subject"), (4, "author"), (5, "keywords"), (6, "description")] {
            if let value = text(id) { properties[name] = value }
        }
        return (text(2), properties)
    }
}

extension Array where Element == UInt8 {
    /// Little-endian; 0 beyond the end, so that a cut file reads as zeros instead of ending the process.
    func u16(_ offset: Int) -> UInt16 {
        guard offset >= 0, offset + 2 <= count else { return 0 }
        return UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
    }
    func u32(_ offset: Int) -> UInt32 {
        guard offset >= 0, offset + 4 <= count else { return 0 }
        return UInt32(self[offset]) | UInt32(self[offset + 1]) << 8 | UInt32(self[offset + 2]) << 16 | UInt32(self[offset + 3]) << 24
    }
    func f64(_ offset: Int) -> Double { Double(bitPattern: UInt64(u32(offset)) | UInt64(u32(offset + 4)) << 32) }
}
