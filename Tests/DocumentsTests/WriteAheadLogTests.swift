import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

struct WriteAheadLogTests {
    let folder = Folder()
    private var log: String { folder.path("data") + "/outrider.sqlite-wal" }

    /// A data folder as a kill leaves it: a copy of one that is open, with its log.
    private func killed(documents: Int) throws -> Folder {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<documents { try store.put(draft(id, source: "/\(number)", parts: ["Part of \(number). "])) }
        let copy = Folder()
        try FileManager.default.createDirectory(atPath: copy.path("data"), withIntermediateDirectories: true)
        for name in ["outrider.sqlite", "outrider.sqlite-wal"] {
            try FileManager.default.copyItem(atPath: folder.path("data") + "/" + name, toPath: copy.path("data") + "/" + name)
        }
        try store.close()
        return copy
    }

    private func documentCount(_ store: DocumentStore) throws -> Int {
        guard let collection = try store.collection(named: "notes") else { return 0 }
        return try store.counts(of: collection.id).documents
    }

    @Test func `an intact log is read to its end, as SQLite reads it`() throws {
        let copy = try killed(documents: 12)
        let read = try #require(WriteAheadLog.read(path: copy.path("data") + "/outrider.sqlite-wal"))
        #expect(read.readableCount >= 13 && read.lostCount == 0 && read.damageOffset == nil && read.damage == nil)
        let store = try DocumentStore(directory: copy.path("data"), checksLog: true)
        #expect(store.logDamage == nil)
        #expect(try documentCount(store) == 12 && store.verify() == [])
        try store.close()
        #expect(WriteAheadLog.read(path: copy.path("data") + "/outrider.sqlite-wal") == nil)
    }

    @Test(arguments: [11, 12, 13] as [UInt64])
    func `a flipped bit is told wherever it makes transactions vanish`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let copy = try killed(documents: 12)
        let path = copy.path("data") + "/outrider.sqlite-wal"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let whole = WriteAheadLog.read(path: path)!.readableCount
        var told = 0
        for _ in 0..<30 {
            var flipped = bytes
            flipped[Int.random(in: 0..<bytes.count, using: &generator)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            let trial = Folder()
            try FileManager.default.copyItem(atPath: copy.path("data"), toPath: trial.path("data"))
            try flipped.write(to: URL(fileURLWithPath: trial.path("data") + "/outrider.sqlite-wal"))
            let read = try #require(WriteAheadLog.read(path: trial.path("data") + "/outrider.sqlite-wal"))
            let store: DocumentStore
            do { store = try DocumentStore(directory: trial.path("data"), checksLog: true) } catch {
                // So early in the log that no database is left.
                #expect("\(error)".contains("the write-ahead log was damaged at byte"), "\(error), seed \(seed)")
                told += 1
                continue
            }
            let count = try documentCount(store)
            // One document is one transaction: of what is lost beyond the last one, it is told.
            if count < 11 { #expect(store.logDamage != nil, "\(count) of 12 documents, seed \(seed)") }
            if let damage = store.logDamage {
                told += 1
                #expect(read.readableCount + read.lostCount >= whole - 1 && read.lostCount > 1, "seed \(seed)")
                #expect(damage.contains("\(read.lostCount) transactions"))
                #expect(try store.verify().contains { $0.hasPrefix("The write-ahead log was damaged at byte") })
            } else {
                #expect(count >= 11, "seed \(seed)")
            }
            try store.close()
        }
        #expect(told > 15, "\(told) of 30 were told, seed \(seed)")
    }

    @Test func `a log that a kill cut short at any byte is no damage`() throws {
        let copy = try killed(documents: 5)
        let path = copy.path("data") + "/outrider.sqlite-wal"
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for size in stride(from: 0, to: bytes.count, by: 20_011) {
            bytes.prefix(size).withUnsafeBytes { #expect(WriteAheadLog($0).damage == nil, "cut to \(size) bytes") }
        }
    }

    @Test func `what a log holds of an earlier round is no damage`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<20 { try store.put(draft(id, source: "/\(number)")) }
        // The log begins anew, over the frames of before.
        try store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.restart) }
        try store.put(draft(id, source: "/late"))
        let read = try #require(WriteAheadLog.read(path: log))
        #expect(read.readableCount == 1 && read.damage == nil && read.lostCount == 0, "\(read)")
        try store.close()
    }
}
