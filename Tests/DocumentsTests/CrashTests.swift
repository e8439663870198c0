import Foundation
import TestSupport
import Testing

@testable import Documents

private let fileCount = 120

private func source(_ index: Int) -> String { "/crash/\(index)" }

private func crashDraft(_ collection: CollectionID, _ index: Int) -> DocumentDraft {
    let parts = (0..<(1 + index % 7)).map {
        "document \(index) part \($0) " + String(repeating: "z", count: (index * 131 + $0 * 977) % 5000)
    }
    return draft(
        collection, source: source(index), title: "Document \(index)", parts: parts, metadata: ["index": .number(Double(index))],
        dimension: 64)
}

/// What a document of the crash tests must be, whenever it is there at all.
private func checkDocument(_ index: Int, in collection: CollectionID, _ store: DocumentStore) throws -> Bool {
    guard let document = try store.document(source: source(index), in: collection) else { return false }
    let expected = crashDraft(collection, index)
    #expect(try store.text(of: document.id) == expected.text)
    let chunks = try store.chunks(of: document.id)
    #expect(chunks.map(\.span) == expected.chunks.map(\.span))
    #expect(try store.chunkIDs(in: collection, matching: .eq("index", .number(Double(index)))) == chunks.map(\.id))
    return true
}

/// Runs in a process of its own, which `killed at any moment…` starts and kills: the ingest loop, from recovery to the last file.
@Suite(
    .enabled(
        if: ProcessInfo.processInfo.environment["OUTRIDER_CRASH_FOLDER"] != nil, "the crash test starts this in a process to be killed"))
struct CrashChild {
    @Test func `store every file of the queue`() throws {
        let store = try DocumentStore(directory: try #require(ProcessInfo.processInfo.environment["OUTRIDER_CRASH_FOLDER"]))
        let id = try #require(try store.collection(named: "notes")).id
        _ = try store.recoverJobs(deathLimit: 1000)
        while let file = try store.claimNextFile() {
            for stage in [FileStage.chunking, .embedding, .committing] {
                try store.update(stage: stage, job: file.job, sequence: file.sequence)
            }
            try store.put(crashDraft(id, file.sequence % fileCount), finishing: (file.job, file.sequence))
            // Work of other kinds, so that the moment of the end also falls into it.
            if file.sequence % 10 == 9 {
                _ = try store.delete(.sources(["/victim"]), in: id)
                try store.put(draft(id, source: "/victim", parts: (0..<40).map { "victim \($0) of \(file.sequence) " }, dimension: 64))
            }
            _ = try store.finishJobIfDone(file.job)
        }
    }
}

struct CrashTests {
    let folder = Folder()

    @Test(.timeLimit(.minutes(5)), arguments: [61] as [UInt64])
    func `killed at any moment, every document is there exactly once`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        // Every document twice: the second time it replaces the first.
        let job = try store.createJob(in: id, files: (0..<(2 * fileCount)).map { file(source($0 % fileCount)) })
        try store.close()
        var kills = 0
        var indexed = 0
        while true {
            let child = Process()
            child.executableURL = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            child.arguments = ["--testing-library", "swift-testing", "--filter", "CrashChild"]
            child.environment = ProcessInfo.processInfo.environment.merging(["OUTRIDER_CRASH_FOLDER": folder.path("data")]) { $1 }
            let words = folder.path("child")
            try Data().write(to: URL(fileURLWithPath: words))
            let output = FileHandle(forWritingAtPath: words)
            child.standardOutput = output
            child.standardError = output
            try child.run()
            defer { if child.isRunning { kill(child.processIdentifier, SIGKILL) } }
            if kills < 20 {
                // The moment is counted in documents, then in microseconds, so that it falls into the work on any machine.
                let target = indexed + Int.random(in: 0...(2 * fileCount / 20), using: &generator)
                let watcher = try folder.open(readOnly: true)
                while child.isRunning, try watcher.job(job.id)?.stages[.indexed] ?? 0 < target { usleep(500) }
                usleep(UInt32.random(in: 0..<12_000, using: &generator))
                kill(child.processIdentifier, SIGKILL)
            }
            child.waitUntilExit()
            let opened = try folder.open()
            #expect(try opened.verify() == [], "seed \(seed), kill \(kills)")
            let record = try #require(try opened.job(job.id))
            let now = record.stages[.indexed] ?? 0
            #expect(now >= indexed, "seed \(seed), kill \(kills): committed files are gone")
            indexed = now
            // A file that was in the hands of a killed process comes last, so the order is not that of the queue.
            let files = try opened.files(of: job.id, limit: 10_000)
            let done = Set(files.lazy.filter { $0.stage == .indexed }.map { $0.sequence % fileCount })
            for index in 0..<fileCount {
                #expect(try checkDocument(index, in: id, opened) == done.contains(index), "seed \(seed), kill \(kills)")
            }
            try opened.close()
            if child.terminationReason == .exit {
                #expect(
                    child.terminationStatus == 0,
                    "the child failed by itself: \(String(decoding: FileManager.default.contents(atPath: words) ?? Data(), as: UTF8.self))")
                break
            }
            kills += 1
        }
        let end = try folder.open()
        #expect(try end.job(job.id)?.state == .finished && indexed == 2 * fileCount)
        #expect(try end.documents(in: id, search: "/crash/", limit: 1000).allSatisfy { $0.version == 2 })
        #expect(try end.counts(of: id).documents == fileCount + 1)
        #expect(kills >= 5, "the child was too quick to be killed: \(kills)")
        print("documents: killed \(kills) times")
    }

    /// The log of a process that ended, cut anywhere, as a file system may leave it: what opens is a prefix of what was committed.
    @Test(arguments: [71, 72] as [UInt64])
    func `a log cut anywhere is a prefix of the commits`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.compact()  // Everything so far is in the file; the log is empty.
        let count = 12
        for index in 0..<count { try store.put(crashDraft(id, index)) }
        // No process writes now, so these are the files that SIGKILL would leave.
        let main = try #require(FileManager.default.contents(atPath: folder.path("data/outrider.sqlite")))
        let log = try #require(FileManager.default.contents(atPath: folder.path("data/outrider.sqlite-wal")))
        #expect(log.count > 100_000)
        let frame = 24 + 8192
        var cuts = [0, 1, 31, 32, 33, log.count - 1, log.count]
        cuts += (0..<12).map { _ in 32 + frame * Int.random(in: 0...((log.count - 32) / frame), using: &generator) }
        cuts += (0..<20).map { _ in Int.random(in: 0...log.count, using: &generator) }
        var seen: Set<Int> = []
        for (round, cut) in cuts.enumerated() {
            let copy = Folder()
            try FileManager.default.createDirectory(atPath: copy.path("data"), withIntermediateDirectories: true)
            try main.write(to: URL(fileURLWithPath: copy.path("data/outrider.sqlite")))
            var damaged = Data(log.prefix(cut))
            // In every third round a flipped bit instead of a cut: the checksum of its frame must stop the log there.
            if round % 3 == 2, cut > 40, cut < log.count {
                damaged = log
                damaged[cut] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
            try damaged.write(to: URL(fileURLWithPath: copy.path("data/outrider.sqlite-wal")))
            let opened = try copy.open()
            #expect(try opened.verify() == [], "seed \(seed), cut \(cut)")
            let present = try (0..<count).map { try checkDocument($0, in: id, opened) }
            let prefix = present.prefix { $0 }.count
            #expect(!present.dropFirst(prefix).contains(true), "seed \(seed), cut \(cut): not a prefix")
            if cut == log.count { #expect(prefix == count) }
            seen.insert(prefix)
            // Life goes on: the interrupted documents can be stored again.
            for index in prefix..<count { try opened.put(crashDraft(id, index)) }
            #expect(try opened.counts(of: id).documents == count)
        }
        #expect(seen.count > 4, "the cuts all fell into one commit")
    }
}
