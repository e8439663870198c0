import Documents
import Foundation
import TestSupport
import Testing

@testable import Ingestion

struct SourceWalkerTests {
    @Test(arguments: [false, true])
    func `a walk finds the files that asking each entry finds, in the order of their names`(followsLinks: Bool) throws {
        try RandomRuns.forEachSeed(12) { seed in
            let tree = try RandomTree(seed: seed)
            for _ in 0..<25 {
                for _ in 0..<3 { try tree.step() }
                for excluded in [nil, tree.excluded] {
                    let walk = try SourceWalker.walk(tree.root, excluding: excluded, followsLinks: followsLinks)
                    let expected = tree.files(followingLinks: followsLinks, excluding: excluded)
                    let what: Comment = "seed \(seed), after \(tree.log.suffix(8))"
                    #expect(Set(walk.files.map { ExactText($0.path) }) == Set(expected.keys), what)
                    #expect(walk.files.count == expected.count && walk.unreadable.isEmpty, what)
                    for file in walk.files {
                        #expect(file.source == file.path && file.byteCount == expected[ExactText(file.path)]?.utf8.count, what)
                    }
                    let parts = walk.files.map { $0.path.utf8.split(separator: UInt8(ascii: "/")).map(Array.init) }
                    let isOrdered = zip(parts, parts.dropFirst()).allSatisfy {
                        $0.lexicographicallyPrecedes($1) { $0.lexicographicallyPrecedes($1) }
                    }
                    #expect(isOrdered, what)
                }
            }
        }
    }

    @Test func `a path that is given is followed, whatever it is called`() throws {
        let folder = TemporaryFolder.inMemory()
        try folder.write(".config/node_modules/a.txt", "Words.")
        try FileManager.default.createSymbolicLink(atPath: folder.file("link"), withDestinationPath: folder.file(".config/node_modules"))
        for root in [".config/node_modules", ".config/node_modules/", ".config/../.config/node_modules/.", "link"] {
            let walk = try SourceWalker.walk(folder.file(root), excluding: nil)
            #expect(walk.files.map { ($0.path as NSString).lastPathComponent } == ["a.txt"], "\(root)")
        }
        #expect(try SourceWalker.walk(folder.file(".config/node_modules/a.txt"), excluding: nil).files.map(\.byteCount) == [6])
    }

    @Test func `what is no file is none, and what is not there is said`() throws {
        let folder = TemporaryFolder.inMemory()
        #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
        try folder.write("a.txt", "Words.")
        #expect(try SourceWalker.walk(folder.path, excluding: nil).files.map(\.path) == [folder.file("a.txt")])
        for path in ["pipe", "missing", "a.txt/below"] {
            let error = #expect(throws: IngestionError.self) { try SourceWalker.walk(folder.file(path), excluding: nil) }
            #expect("\(try #require(error))".contains(folder.file(path)))
        }
    }

    @Test func `a folder that cannot be read is named, and the others are read`() throws {
        let folder = TemporaryFolder.inMemory()
        try folder.write("a/a.txt", "Words.")
        try folder.write("b/b.txt", "Words.")
        chmod(folder.file("a"), 0)
        defer { chmod(folder.file("a"), 0o700) }
        let walk = try SourceWalker.walk(folder.path, excluding: nil)
        let isClosed = access(folder.file("a"), R_OK) != 0  // root reads everything
        #expect(walk.unreadable == (isClosed ? [folder.file("a")] : []))
        #expect(walk.files.map(\.path).last == folder.file("b/b.txt") && walk.files.count == (isClosed ? 1 : 2))
    }
}
