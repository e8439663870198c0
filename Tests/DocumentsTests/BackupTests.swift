import Foundation
import Synchronization
import Testing

@testable import Documents

/// Copies of the database that are made while it is in use, and what is forgotten of its history.
struct BackupTests {
    private let folder = Folder()

    @Test(arguments: [false, true])
    func `a backup is one moment of the database, also while it is written`(readOnly: Bool) throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<30 { try store.put(draft(id, source: "/before/\(number)")) }
        let isDone = Atomic(false)
        let writer = Thread {
            var number = 0
            while !isDone.load(ordering: .relaxed) {
                // Both or neither: a document and its replacement are one transaction each, and counts go with them.
                _ = try? store.put(draft(id, source: "/during/\(number % 50)", parts: ["Version \(number). ", "Second part."]))
                number += 1
            }
        }
        writer.start()
        let source = readOnly ? try folder.open(readOnly: true) : store
        for round in 0..<5 {
            let target = folder.path("backup\(round)/deep")
            let size = try source.backup(to: target)
            let copy = try DocumentStore(directory: target)
            #expect(try copy.verify() == [])
            #expect(try copy.documents(in: id, search: "/before/").count == 30)
            let names = try FileManager.default.contentsOfDirectory(atPath: target)
            #expect(size > 0 && names.contains("outrider.sqlite"))
            try copy.close()
            #expect(try FileManager.default.contentsOfDirectory(atPath: target).filter { $0.hasSuffix(".part") } == [])
            let permissions = try FileManager.default.attributesOfItem(atPath: target + "/outrider.sqlite")[.posixPermissions] as? Int
            #expect(permissions == 0o600)
        }
        isDone.store(true, ordering: .relaxed)
        while !writer.isFinished { usleep(1000) }
        #expect(try store.verify() == [])
    }

    @Test func `a folder with anything in it is refused and left alone`() throws {
        let store = try folder.open()
        try FileManager.default.createDirectory(atPath: folder.path("full"), withIntermediateDirectories: true)
        try Data("precious".utf8).write(to: URL(fileURLWithPath: folder.path("full/.hidden")))
        try Data("precious".utf8).write(to: URL(fileURLWithPath: folder.path("file")))
        for target in ["full", "file", "data"] {
            guard case .cannotBackUp = failure(of: { _ = try store.backup(to: folder.path(target)) }) else {
                Issue.record("\(target) was taken")
                continue
            }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("full")) == [".hidden"])
        try FileManager.default.createDirectory(atPath: folder.path("empty"), withIntermediateDirectories: true)
        _ = try store.backup(to: folder.path("empty"))
        guard case .cannotBackUp = failure(of: { _ = try store.backup(to: folder.path("empty")) }) else {
            Issue.record("a backup was overwritten")
            return
        }
    }

    @Test func `history is forgotten by age and by number, and open jobs stay`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let open = try store.createJob(in: id, files: [file("/open")]).id
        for number in 0..<300 { try store.put(draft(id, source: "/\(number % 3)")) }
        for _ in 0..<300 { _ = try store.createJob(in: id, files: []) }
        var limits = DocumentStore.HistoryLimits()
        #expect(try store.pruneHistory(limits) == (0, 0))
        limits.jobCountMax = 20
        limits.auditCountMax = 30
        let forgotten = try store.pruneHistory(limits)
        #expect(forgotten.jobs == 280 && forgotten.auditEntries == 271)
        #expect(try store.count("jobs") == 21 && store.job(open) != nil && store.audit(limit: 1000).count == 30)
        #expect(try store.pruneHistory(limits) == (0, 0))
        // A year later.
        let later = Date().addingTimeInterval(366 * 86_400)
        #expect(try store.pruneHistory(limits, now: later) == (20, 30))
        #expect(try store.jobs().map(\.id) == [open] && store.audit().isEmpty)
        limits.jobAgeMax = .infinity
        limits.auditAgeMax = 1e300
        #expect(try store.pruneHistory(limits) == (0, 0))
        #expect(try store.verify() == [])
    }
}
