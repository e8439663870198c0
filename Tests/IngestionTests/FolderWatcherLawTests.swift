import Documents
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Ingestion

/// The law of watching: after each look what is known is what lies in the folder, but for what may be there without being seen.
struct FolderWatcherLawTests {
    /// What a collection holds that does what the watcher says.
    private static func apply(_ change: FolderWatcher.Change, to collection: inout [ExactText: String], _ tree: RandomTree) {
        for path in change.removed { collection[ExactText(path)] = nil }
        for path in change.changed { collection[ExactText(path)] = tree.text(path) }
    }

    @Test(arguments: [false, true])
    func `after each look the collection is the folder`(followsLinks: Bool) throws {
        try RandomRuns.forEachSeed(9) { seed in
            let tree = try RandomTree(seed: seed)
            for _ in 0..<20 { try tree.step() }
            var watcher = FolderWatcher(paths: [tree.root], excluding: tree.excluded, followsLinks: followsLinks)
            var collection = tree.files(followingLinks: followsLinks, excluding: tree.excluded)
            for _ in 0..<30 {
                for _ in 0..<Int(seed % 4) + 1 { try tree.step() }
                let change = watcher.poll()
                Self.apply(change, to: &collection, tree)
                let what: Comment = "seed \(seed), after \(tree.log.suffix(8)): \(change)"
                let files = tree.files(followingLinks: followsLinks, excluding: tree.excluded)
                #expect(Set(change.changed.map(ExactText.init)).isDisjoint(with: change.removed.map(ExactText.init)), what)
                #expect(files.allSatisfy { collection[$0.key] == $0.value }, what)
                // A link has come into a file's place, or what it leads to is away.
                for path in collection.keys where files[path] == nil { #expect(tree.isDoubtful(path.text), what) }
                #expect(watcher.poll() == .init(), what)
            }
        }
    }

    /// As two changes within one tick of the kernel's clock have one time. Later the time tells, and a look is told nothing anew.
    @Test func `a change that leaves size, time and inode as they are is seen when it follows the look closely`() throws {
        let folder = TemporaryFolder.inMemory()
        func write(_ text: String, at time: timespec) throws {
            let descriptor = open(folder.file("a.txt"), O_WRONLY | O_CREAT, 0o600)
            defer { close(descriptor) }
            #expect(pwrite(descriptor, text, text.utf8.count, 0) == text.utf8.count)
            #expect(futimens(descriptor, [time, time]) == 0)
        }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        now.tv_sec += 1
        try write("one", at: now)
        var watcher = FolderWatcher(paths: [folder.path], excluding: nil)
        try write("two", at: now)
        #expect(watcher.poll().changed == [folder.file("a.txt")])
        now.tv_sec -= 3600
        try write("six", at: now)
        #expect(watcher.poll().changed == [folder.file("a.txt")])
        #expect(watcher.poll() == .init())
    }

    @Test func `a file whose place a folder takes is gone, and comes back`() throws {
        let folder = TemporaryFolder.inMemory()
        let path = try folder.write("a", "Words.")
        var watcher = FolderWatcher(paths: [folder.path], excluding: nil)
        try FileManager.default.removeItem(atPath: path)
        let inside = try folder.write("a/b", "Others.")
        #expect(watcher.poll().removed == [path])
        #expect(try VanishedFiles.find(below: [folder.path], excluding: nil) { _ in [path, inside] }.sources == [path])
        try FileManager.default.removeItem(atPath: path)
        try folder.write("a", "Words again.")
        let change = watcher.poll()
        #expect(change.removed == [inside] && change.changed == [path])
    }
}

/// The same law with everything in place: the watcher, the service, the database and both indexes.
struct FolderFollowerLawTests {
    @Test func `after each pass the collection is the folder`() async throws {
        try await RandomRuns.forEachSeed(4) { seed in
            let tree = try RandomTree(seed: seed)
            let time = VirtualTime()
            let stage = Stage(time: time)
            let intake = try Intake(embedder: stage, parser: stage, time: time)
            try await intake.service.start()
            for _ in 0..<20 { try tree.step() }
            let request = IngestRequest(items: [.path(tree.root)])
            var follower = FolderFollower(request, by: intake.service, excluding: nil, removesVanished: true)
            // What changes now, and while the first job runs, must not be missed. What moves away while that job looks for it, and back, would be: it looks as before.
            for _ in 0..<6 { try tree.step(renames: false) }
            let first = try await intake.service.submit(request)
            for _ in 0..<6 { try tree.step(renames: false) }
            _ = try await intake.end(of: first)
            // Links at the first pass in the place of files that the first job alone has seen: what becomes of them nobody tells before the next start.
            var unknown: Set<ExactText> = []
            for round in 0..<10 {
                let pass = try await follower.pass()
                if round == 0 {
                    // What the first job alone has seen.
                    let vanished = try await intake.service.vanished(below: [tree.root], collection: "default")
                    if !vanished.sources.isEmpty { _ = try await intake.service.delete(.sources(vanished.sources)) }
                }
                if let job = pass.job {
                    let status = try await intake.end(of: job)
                    #expect(status.stages.keys.allSatisfy { $0 == "indexed" || $0 == "unchanged" }, "seed \(seed): \(status)")
                }
                let files = tree.files()
                let texts = try intake.texts
                let what: Comment = "seed \(seed), round \(round), after \(tree.log.suffix(10))"
                let wrong = files.filter { texts[$0.key] != $0.value }.map {
                    "\($0.key.text) holds '\($0.value)', stored: \(texts[$0.key] ?? "nothing")"
                }
                #expect(wrong == [], what)
                let doubtful = Set(texts.keys.filter { files[$0] == nil })
                for path in doubtful.subtracting(unknown) { #expect(tree.isDoubtful(path.text), what) }
                if round == 0 { unknown = doubtful }
                for _ in 0..<4 { try tree.step() }
            }
            try await intake.rest()
            #expect(try await intake.service.verify().problems == [], "seed \(seed)")
            await intake.service.stop()
        }
    }

    /// A service that something happens before.
    private final class Meddled: Ingesting {
        let service: IngestionService
        private let before: Mutex<[@Sendable () throws -> Void]>

        init(_ service: IngestionService, before: [@Sendable () throws -> Void]) {
            self.service = service
            self.before = Mutex(before)
        }

        func submit(_ request: IngestRequest, scope: RequestScope) async throws -> JobID {
            try before.withLock { $0.isEmpty ? nil : $0.removeFirst() }?()
            return try await service.submit(request, scope: scope)
        }
        func delete(_ selector: DeletionSelector, collection: String, scope: RequestScope) async throws -> DeletionReceipt {
            try await service.delete(selector, collection: collection, scope: scope)
        }
        func events(of job: JobID, scope: RequestScope) async throws -> AsyncStream<IngestEvent> {
            try await service.events(of: job, scope: scope)
        }
        func status(of job: JobID, scope: RequestScope) async throws -> JobStatus { try await service.status(of: job, scope: scope) }
        func jobs(limit: Int, scope: RequestScope) async throws -> [JobStatus] { try await service.jobs(limit: limit, scope: scope) }
        func cancel(_ job: JobID, scope: RequestScope) async throws -> JobStatus { try await service.cancel(job, scope: scope) }
        func retry(_ job: JobID, scope: RequestScope) async throws -> JobStatus { try await service.retry(job, scope: scope) }
        func deleteCollection(_ name: String, scope: RequestScope) async throws -> DeletionReceipt {
            try await service.deleteCollection(name, scope: scope)
        }
        func createCollection(_ name: String, settings: CollectionSettings, scope: RequestScope) async throws -> CollectionRecord {
            try await service.createCollection(name, settings: settings, scope: scope)
        }
        func verify() async throws -> VerificationReport { try await service.verify() }
        func compact() async throws { try await service.compact() }
    }

    @Test func `a file that goes between look and submission takes nothing from the others, and a failed pass is made good`() async throws {
        let stage = Stage(time: VirtualTime())
        let intake = try Intake(embedder: stage, parser: stage)
        try await intake.service.start()
        let folder = TemporaryFolder.inMemory()
        let gone = folder.file("b.txt")
        let full = DocumentStoreError.diskFull(path: folder.path, operation: "create a job")
        let meddled = Meddled(
            intake.service, before: [{ try FileManager.default.removeItem(atPath: gone) }, {}, { throw full }])
        var follower = FolderFollower(
            IngestRequest(items: [.path(folder.path)]), by: meddled, excluding: nil, removesVanished: true)
        for name in ["a", "b", "c"] { try folder.write("\(name).txt", "Words of \(name).") }
        let pass = try await follower.pass()
        #expect(try await intake.end(of: try #require(pass.job)).stages == ["indexed": 2])
        #expect(try intake.sources == [folder.file("a.txt"), folder.file("c.txt")])

        try folder.write("d.txt", "Words of d.")
        try FileManager.default.removeItem(atPath: folder.file("a.txt"))
        await #expect(throws: full) { try await follower.pass() }
        let job = try #require(try await follower.pass().job)
        _ = try await intake.end(of: job)
        #expect(try intake.sources == [folder.file("c.txt"), folder.file("d.txt")])
        await intake.service.stop()
    }
}
