import Documents
import Foundation
import TestSupport

@testable import Ingestion

/// A folder in which everything happens that may happen to one: nested folders, changes in place and by replacement, renames, links, files in the place of folders.
///
/// Each file gets a time of its own, long ago, so that what a watcher sees does not depend on how quick the test is.
final class RandomTree {
    let folder = TemporaryFolder.inMemory()
    let root: String
    /// Outside of the tree, for links that lead out of it.
    let outside: String
    /// Left out by whoever walks: as the data folder is.
    let excluded: String
    /// The last operations, for whom it may concern.
    private(set) var log: [String] = []
    private var generator: SeededGenerator
    private var writes = 0

    private static let keptName = "kept.txt"
    private static let names = [
        "a.txt", "b.md", "c", "Zo\u{eb}.txt", "Zoe\u{308}.txt", "two words.txt", ".hidden", "node_modules", "x%41.txt", "d", "e",
        "back\\slash", "outrider-data",
    ]

    init(seed: UInt64) throws {
        generator = SeededGenerator(seed: seed)
        root = folder.path + "/root"
        outside = folder.path + "/outside"
        excluded = root + "/e"
        for path in [root, outside, outside + "/sub"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        try write(outside + "/target.txt", "Outside.")
        try write(outside + "/sub/below.txt", "Below.")
        // A folder without files is taken for a disk that is away.
        try write(root + "/" + Self.keptName, "Always there.")
    }

    // MARK: What happens

    /// - Parameter renames: Whether things may move away, and back as they were.
    func step(renames: Bool = true) throws {
        switch Int.random(in: 0..<20, using: &generator) {
        case 0...7: try writeSomewhere()
        case 8...9: try makeFolder()
        case 10...12: remove(entries { _ in true }.randomElement(using: &generator))
        case 13...15: if renames { try rename() }
        case 16...18: try link()
        default:
            try FileManager.default.removeItem(atPath: outside + "/target.txt")
            try write(outside + "/target.txt", "Outside \(writes).")
            log.append("change what is linked to")
        }
    }

    private func writeSomewhere() throws {
        let path = somewhere()
        if type(path) != .typeRegular { remove(path) }
        log.append("write \(name(path))")
        try write(path, "Words of number \(writes).", inPlace: Bool.random(using: &generator))
    }

    private func makeFolder() throws {
        let path = somewhere()
        if !isFolder(path) { remove(path) }
        log.append("folder \(name(path))")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        if type(path + "/a.txt") != .typeRegular { remove(path + "/a.txt") }
        try write(path + "/a.txt", "In a new folder, number \(writes).")
    }

    private func rename() throws {
        guard let from = entries({ _ in true }).randomElement(using: &generator) else { return }
        let to = somewhere()
        guard to != from, !(to + "/").hasPrefix(from + "/") else { return }
        remove(to)
        log.append("move \(name(from)) to \(name(to))")
        // The folder that it should go to may have been what was removed.
        try? FileManager.default.moveItem(atPath: from, toPath: to)
    }

    private func link() throws {
        let path = somewhere()
        remove(path)
        let inside = entries { _ in true }.randomElement(using: &generator) ?? root
        let target = [outside + "/target.txt", outside, "/nowhere", inside].randomElement(using: &generator)!
        log.append("link \(name(path)) to \(target)")
        try? FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    private func remove(_ path: String?) {
        guard let path, path != root else { return }
        log.append("remove \(name(path))")
        try? FileManager.default.removeItem(atPath: path)
    }

    private func write(_ path: String, _ text: String, inPlace: Bool = false) throws {
        writes += 1
        if inPlace, let handle = FileHandle(forWritingAtPath: path) {
            try handle.truncate(atOffset: 0)
            try handle.write(contentsOf: Data(text.utf8))
            try handle.close()
        } else {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
        let time = Date(timeIntervalSince1970: 1_700_000_000 + Double(writes))
        try? FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: path)
    }

    /// A name in one of the folders; there may be something of the name.
    private func somewhere() -> String {
        let folders = [root] + entries { $0 == .typeDirectory }
        return folders.randomElement(using: &generator)! + "/" + Self.names.randomElement(using: &generator)!
    }

    private func entries(_ isWanted: (FileAttributeType) -> Bool) -> [String] {
        ((try? FileManager.default.subpathsOfDirectory(atPath: root)) ?? []).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .filter { $0 != Self.keptName }.map { root + "/" + $0 }.filter { type($0).map(isWanted) ?? false }
    }

    private func name(_ path: String) -> String { String(path.dropFirst(folder.path.count + 1)) }

    // MARK: What there is

    func type(_ path: String) -> FileAttributeType? {
        try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
    }

    private func isFolder(_ path: String) -> Bool { type(path) == .typeDirectory }

    /// Whether a link is at a path or on the way to it: what it leads to may be away, so that nobody knows what is there.
    func isDoubtful(_ path: String) -> Bool {
        var part = path
        while part.utf8.count > root.utf8.count {
            if type(part) == .typeSymbolicLink { return true }
            part = URL(fileURLWithPath: part).deletingLastPathComponent().path
        }
        return false
    }

    /// The files with their texts, found by asking for each entry of each folder what it is: the oracle.
    func files(followingLinks: Bool = false, excluding excluded: String? = nil) -> [ExactText: String] {
        var files: [ExactText: String] = [:]
        func visit(_ folder: String) {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where !name.hasPrefix(".") {
                let path = folder + "/" + name
                guard path != excluded else { continue }
                var leadsToFolder: ObjCBool = false
                let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &leadsToFolder)
                switch type(path) {
                case .typeDirectory:
                    if !["node_modules", "__pycache__", "outrider-data"].contains(name) { visit(path) }
                case .typeRegular: files[ExactText(path)] = text(path)
                case .typeSymbolicLink where followingLinks && isThere && !leadsToFolder.boolValue: files[ExactText(path)] = text(path)
                default: break
                }
            }
        }
        visit(root)
        return files
    }

    func text(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
}
