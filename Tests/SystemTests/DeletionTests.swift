import Foundation
import TestSupport
import Testing

/// Delete means gone: from every way to search, from answers, and after compaction from every byte of the data folder.
@Suite(.serialized) struct DeletionTests {
    static let marker = "zyxquorblefint"

    @Test(.enabled(if: OutriderProcess.hasModel, "needs the embedding model: run 'make test' once"))
    func `a deleted document is found by no search, no answer and no byte`() throws {
        let corpus = TemporaryFolder()
        let data = TemporaryFolder()
        let text = "The secret word of the northern lighthouse is \(Self.marker). Only the keeper of the northern lighthouse knows it."
        let secret = try corpus.write("secret \(Self.marker).md", "# Lighthouse \(Self.marker)\n\n\(text)\n")
        for number in 0..<12 {
            try corpus.write(
                "other-\(number).txt",
                "Lighthouse number \(number) stands at the southern coast. Its lamp turns \(number + 3) times a minute.")
        }
        #expect(try OutriderProcess.run(["ingest", corpus.path, "--data", data.path]).status == 0)

        for mode in ["text", "vector", "hybrid"] {
            let found = try OutriderProcess.run([
                "search", "secret word of the northern lighthouse", "--mode", mode, "--data", data.path, "--json",
            ])
            #expect(found.output.contains(Self.marker), "\(mode) must find it before: \(found.output) \(found.errors)")
        }
        let before = try OutriderProcess.run(["ask", "What is the secret word of the northern lighthouse?", "--data", data.path, "--json"])
        #expect(before.output.contains(Self.marker), "\(before.output) \(before.errors)")
        #expect(!data.files(containing: Self.marker).isEmpty)

        let deleted = try OutriderProcess.run(["delete", "--source", secret, "--data", data.path, "--json"])
        #expect(deleted.status == 0, "\(deleted.errors)")
        #expect((deleted.lines.last?["documents"] as? [String])?.count == 1)

        for mode in ["text", "vector", "hybrid"] {
            for query in ["secret word of the northern lighthouse", Self.marker] {
                let found = try OutriderProcess.run(["search", query, "--mode", mode, "-k", "100", "--data", data.path, "--json"])
                #expect(found.status == 0, "\(found.errors)")
                #expect(!found.output.contains(Self.marker), "\(mode) still finds it")
            }
        }
        let after = try OutriderProcess.run(["ask", "What is the secret word of the northern lighthouse?", "--data", data.path, "--json"])
        #expect(after.status == 0 && !after.output.contains(Self.marker), "\(after.output)")
        #expect(data.files(containing: Self.marker) == [], "bytes left behind")
        let verified = try OutriderProcess.run(["verify", "--data", data.path, "--json"])
        #expect(verified.status == 0, "\(verified.output)")
        #expect((verified.lines.last?["clean"] as? Bool) == true)
    }

    @Test(.enabled(if: OutriderProcess.hasModel, "needs the embedding model: run 'make test' once"))
    func `a replaced version leaves nothing behind after compaction`() throws {
        let corpus = TemporaryFolder()
        let data = TemporaryFolder()
        let path = try corpus.write("note.txt", "The old plan speaks of \(Self.marker) in the valley.")
        #expect(try OutriderProcess.run(["ingest", corpus.path, "--data", data.path]).status == 0)
        let again = try OutriderProcess.run(["ingest", corpus.path, "--data", data.path, "--json"])
        #expect(again.lines.last?["unchanged"] as? Int == 1, "an unchanged file costs nothing: \(again.output)")
        try Data("The new plan speaks of bridges in the valley.".utf8).write(to: URL(fileURLWithPath: path))
        let changed = try OutriderProcess.run(["ingest", corpus.path, "--data", data.path, "--json"])
        #expect(changed.lines.last?["indexed"] as? Int == 1)
        #expect(try OutriderProcess.run(["compact", "--data", data.path]).status == 0)
        #expect(data.files(containing: Self.marker) == [])
        let found = try OutriderProcess.run(["search", "plan in the valley", "--data", data.path, "--json"])
        #expect(found.output.contains("bridges") && !found.output.contains(Self.marker))
    }

    @Test func `two writers on one data folder are kept apart with a clear message`() throws {
        let corpus = TemporaryFolder()
        let data = TemporaryFolder()
        try corpus.write("a.txt", "Something small.")
        let watcher = try OutriderProcess.start(["ingest", corpus.path, "--watch", "--data", data.path, "--embedding-model", "none"])
        defer {
            kill(watcher.processIdentifier, SIGKILL)
            watcher.waitUntilExit()
        }
        let deadline = Date().addingTimeInterval(20)
        while !FileManager.default.fileExists(atPath: data.path + "/outrider.sqlite"), Date() < deadline { usleep(20_000) }
        let second = try OutriderProcess.run(["ingest", corpus.path, "--data", data.path, "--embedding-model", "none"])
        #expect(second.status != 0)
        #expect(second.errors.contains("in use by"), "\(second.errors)")
    }
}
