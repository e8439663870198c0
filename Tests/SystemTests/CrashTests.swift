import Documents
import Foundation
import TestSupport
import Testing

/// The program killed without warning, as by a power cut or the kernel's memory killer.
@Suite(.serialized) struct CrashTests {
    static let subjects = ["river", "harbour", "engine", "orchard", "glacier", "library", "signal", "market", "violin", "desert"]

    /// Documents of many sizes, so that kills fall into every stage.
    static func writeCorpus(to folder: TemporaryFolder, count: Int, _ random: inout SeededGenerator) throws {
        for number in 0..<count {
            let subject = subjects[number % subjects.count]
            let sentences = (0..<Int.random(in: 2...120, using: &random)).map { index in
                "The \(subjects.randomElement(using: &random)!) of \(subject) number \(number) was measured \(Int.random(in: 1...9999, using: &random)) times in year \(1900 + index)."
            }
            let name = "\(subject)/document-\(number)"
            switch number % 3 {
            case 0: try folder.write(name + ".txt", sentences.joined(separator: " "))
            case 1: try folder.write(name + ".md", "# About the \(subject) \(number)\n\n" + sentences.joined(separator: "\n\n"))
            default:
                try folder.write(
                    name + ".html",
                    "<html><title>\(subject) \(number)</title><body><p>" + sentences.joined(separator: "</p><p>") + "</p></body></html>")
            }
        }
    }

    @Test(.enabled(if: OutriderProcess.hasModel, "needs the embedding model: run 'make test' once"), arguments: [UInt64(2026)])
    func `ingest killed at random moments leaves every document exactly once`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let corpus = TemporaryFolder()
        let fileCount = 45
        try Self.writeCorpus(to: corpus, count: fileCount, &random)

        let whole = TemporaryFolder()
        let start = Date()
        let undisturbed = try OutriderProcess.run(["ingest", corpus.path, "--data", whole.path, "--json"])
        let duration = Date().timeIntervalSince(start)
        #expect(undisturbed.status == 0, "\(undisturbed.errors)")
        let expected = try Self.contents(of: whole.path)
        #expect(expected.count == fileCount)

        var kills = 0
        while kills < 20 {
            let data = TemporaryFolder()
            // Up to five kills in one life of a data folder: interrupted recoveries included.
            for _ in 0..<5 {
                let process = try OutriderProcess.start(["ingest", corpus.path, "--data", data.path, "--json"])
                usleep(UInt32(Double.random(in: 0.01...duration * 0.8, using: &random) * 1e6))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                kills += 1
            }
            let finished = try OutriderProcess.run(["ingest", corpus.path, "--data", data.path, "--json"])
            #expect(finished.status == 0, "seed \(seed), after \(kills) kills: \(finished.errors)")
            #expect(finished.lines.last?["event"] as? String == "summary")
            #expect(try Self.contents(of: data.path) == expected, "seed \(seed), after \(kills) kills")
            let verified = try OutriderProcess.run(["verify", "--data", data.path, "--json"])
            #expect(verified.status == 0, "seed \(seed), after \(kills) kills: \(verified.output)\(verified.errors)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: data.path + "/spool").isEmpty)
        }
    }

    struct Stored: Hashable {
        var hash: String
        var chunks: Int
        var version: Int
    }

    /// What is stored, by source. Fails when a source is stored twice.
    static func contents(of data: String) throws -> [String: Stored] {
        let store = try DocumentStore(directory: data, readOnly: true)
        let collection = try #require(try store.collection(named: "default"))
        var found: [String: Stored] = [:]
        for document in try store.documents(in: collection.id, limit: 10_000) {
            #expect(found[document.source] == nil, "\(document.source) is stored twice")
            found[document.source] = Stored(hash: document.contentHash, chunks: document.chunkCount, version: document.version)
        }
        return found
    }
}
