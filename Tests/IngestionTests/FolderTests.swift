import Documents
import Foundation
import TestSupport
import Testing

@testable import Ingestion

struct FolderTests {
    let folder = FileManager.default.temporaryDirectory.path + "/outrider-walk-\(UUID().uuidString)"

    private func write(_ names: String...) throws {
        for name in names {
            let file = URL(fileURLWithPath: folder + "/" + name)
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(name.utf8).write(to: file)
            // Not so young that another change could have the same time.
            try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSinceNow: -3600)], ofItemAtPath: file.path)
        }
    }
    private func names(_ walk: SourceWalker.Walk) -> [String] { walk.files.map { String($0.source.dropFirst(folder.count + 1)) } }

    @Test func `links to files are read only when asked for`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("in/a.txt", "in/sub/b.txt", "in/.hidden", "outside/secret.txt")
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/link.txt", withDestinationPath: folder + "/outside/secret.txt")
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/folder", withDestinationPath: folder + "/outside")
        #expect(names(try SourceWalker.walk(folder + "/in", excluding: nil)) == ["in/a.txt", "in/sub/b.txt"])
        #expect(
            names(try SourceWalker.walk(folder + "/in", excluding: nil, followsLinks: true)) == ["in/a.txt", "in/link.txt", "in/sub/b.txt"])
        #expect(names(try SourceWalker.walk(folder + "/in/link.txt", excluding: nil)) == ["in/link.txt"], "a path that was given is read")
    }

    @Test func `documents whose files are gone are found, below the folder only`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("in/a.txt", "in/sub/b.txt", "other/c.txt")
        let stored = ["/in/a.txt", "/in/gone.txt", "/in/sub/gone.txt", "/in/a.txt/below a file", "/in/link"].map { folder + $0 }
        try FileManager.default.createSymbolicLink(atPath: folder + "/in/link", withDestinationPath: "/nowhere")
        var asked: [String] = []
        let vanished = try VanishedFiles.find(below: [folder + "/in", folder + "/in/a.txt", folder + "/in/sub/.."], excluding: nil) {
            asked.append($0)
            return stored
        }
        #expect(vanished.sources == [stored[1], stored[2], stored[3]] && vanished.problems.isEmpty)
        #expect(asked == [folder + "/in", folder + "/in"])
    }

    @Test func `nothing is gone where a folder cannot be read or is empty as a whole`() throws {
        defer {
            chmod(folder + "/closed/sub", 0o700)
            try? FileManager.default.removeItem(atPath: folder)
        }
        try FileManager.default.createDirectory(atPath: folder + "/empty", withIntermediateDirectories: true)
        try write("closed/a.txt", "closed/sub/b.txt")
        for path in ["/empty", "/missing"] {
            let vanished = try VanishedFiles.find(below: [folder + path], excluding: nil) { [$0 + "/x.txt", $0 + "/y.txt"] }
            #expect(vanished.sources.isEmpty && vanished.problems.count == 1, "\(path)")
        }
        chmod(folder + "/closed/sub", 0)
        if access(folder + "/closed/sub", R_OK) != 0 {  // root reads everything
            let vanished = try VanishedFiles.find(below: [folder + "/closed"], excluding: nil) { [$0 + "/gone.txt"] }
            #expect(vanished.sources.isEmpty && vanished.problems.count == 1)
        }
    }

    @Test func `two files whose names differ in the form of a letter are two`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let forms = ["in/Zo\u{eb}.txt", "in/Zoe\u{308}.txt"]
        for form in forms { try write(form) }
        let request = IngestRequest(collection: "c", items: [.path(folder + "/in")])
        #expect(try Submission.drafts(for: request, excluding: nil).count == 2)
        var watcher = FolderWatcher(paths: [folder + "/in"], excluding: nil)
        #expect(watcher.poll() == .init())
        for form in forms { #expect(unlink(folder + "/" + form) == 0) }
        #expect(watcher.poll().removed.count == 2)
    }

    @Test func `a watcher tells what is gone, and nothing when the folder itself is`() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try write("w/a.txt", "w/b.txt", "w/c.txt")
        var watcher = FolderWatcher(paths: [folder + "/w"], excluding: nil)
        try write("w/d.txt")
        try FileManager.default.removeItem(atPath: folder + "/w/b.txt")
        #expect(watcher.poll() == .init(changed: [folder + "/w/d.txt"], removed: [folder + "/w/b.txt"]))
        #expect(watcher.poll() == .init())
        try FileManager.default.moveItem(atPath: folder + "/w", toPath: folder + "/elsewhere")
        #expect(watcher.poll() == .init())
        try FileManager.default.createDirectory(atPath: folder + "/w", withIntermediateDirectories: true)
        #expect(watcher.poll() == .init(), "another folder in its place")
        try FileManager.default.removeItem(atPath: folder + "/w")
        try FileManager.default.moveItem(atPath: folder + "/elsewhere", toPath: folder + "/w")
        #expect(watcher.poll() == .init(), "all is back")
        for name in ["a", "c", "d"] { try FileManager.default.removeItem(atPath: folder + "/w/\(name).txt") }
        #expect(watcher.poll().removed.count == 3)
    }
}
