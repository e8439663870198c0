import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

@testable import TextSearch

/// Set once by one task, read by others.
private final class Flag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}

@Suite struct TextIndexTests {
    private func row(_ id: Int64, _ body: String, title: String = "") -> TextRow { TextRow(row: RowID(id), title: title, body: body) }

    @Test func `an added row is found by the next search, a removed one is not`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        index.add([row(1, "orbital telescopes"), row(2, "garden flowers")])
        #expect(index.search("telescope", k: 5).map(\.row) == [RowID(1)])
        #expect(index.count == 2 && index.unsealedCount == 2)
        index.remove([RowID(1), RowID(99)])
        #expect(index.search("telescope", k: 5).isEmpty)
        #expect(index.count == 1)
        index.add([row(2, "telescopes in gardens")])
        #expect(index.search("telescope", k: 5).map(\.row) == [RowID(2)])
        #expect(index.search("flowers", k: 5).isEmpty)
        #expect(index.count == 1)
    }

    @Test func `of one id twice in a batch the last counts`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        index.add([row(5, "first"), row(3, "other"), row(5, "second")])
        #expect(index.search("first", k: 5).isEmpty)
        #expect(index.search("second", k: 5).map(\.row) == [RowID(5)])
        #expect(index.liveRows() == [RowID(3), RowID(5)])
    }

    @Test func `sealing and reopening keeps rows, removals and position`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            #expect(index.sealedPosition == IndexPosition())
            index.add((1...50).map { row(Int64($0), "common row\($0)") })
            let first = IndexPosition(highWater: RowID(50), deletionSequence: 3)
            try index.seal(at: first)
            #expect(index.unsealedCount == 0 && index.sealedPosition == first)
            index.remove([RowID(7)])
            index.add([row(51, "common late")])
            let second = IndexPosition(highWater: RowID(51), deletionSequence: 4)
            try index.seal(at: second)
            index.add([row(52, "common lost")])

            let reopened = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            #expect(reopened.sealedPosition == second)
            #expect(reopened.count == 50)
            #expect(reopened.search("row7", k: 5).isEmpty)
            #expect(reopened.search("late", k: 5).map(\.row) == [RowID(51)])
            #expect(reopened.search("lost", k: 5).isEmpty)
            #expect(reopened.verify() == [])
        }
    }

    @Test func `compaction leaves no trace of a removed row's words on disk`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            let marker = "zyxmarkerqw"
            func holdsMarker() throws -> Bool {
                try FileManager.default.contentsOfDirectory(atPath: directory).contains { name in
                    try Data(contentsOf: URL(fileURLWithPath: directory + "/" + name)).range(of: Data(marker.utf8)) != nil
                }
            }
            index.add([row(1, "kept words"), row(2, "secret \(marker) words")])
            try index.seal(at: IndexPosition(highWater: RowID(2)))
            #expect(try holdsMarker())
            index.remove([RowID(2)])
            try index.seal(at: IndexPosition(highWater: RowID(2), deletionSequence: 1))
            try index.compact(at: IndexPosition(highWater: RowID(2), deletionSequence: 1))
            #expect(try !holdsMarker())
            #expect(index.search(marker, k: 5).isEmpty)
            #expect(index.liveRows() == [RowID(1)])
            index.remove([RowID(1)])
            try index.compact(at: IndexPosition(highWater: RowID(2), deletionSequence: 2))
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["manifest.json"])
            #expect(try TextIndex(directory: directory, configuration: TextIndexConfiguration()).count == 0)
        }
    }

    @Test func `the number of segments stays small`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            for id in 1...1500 {
                index.add([row(Int64(id), "row number\(id)")])
                #expect(index.snapshot().memory.count <= 24)
                if id % 10 == 0 { try index.seal(at: IndexPosition(highWater: RowID(Int64(id)))) }
                #expect(index.snapshot().files.count <= 16)
            }
            #expect(index.count == 1500)
            let files = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(files.count == index.snapshot().files.count + 1)
            #expect(index.verify() == [])
        }
    }

    @Test(arguments: 1...6)
    func `tidying leaves files of which each is larger than all smaller ones together`(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            var random = SeededGenerator(seed: seed)
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            var next = 1
            var tidied = 0
            for step in 1...60 {
                let count = 1 << Int.random(in: 0...8, using: &random)
                index.add((next..<next + count).map { row(Int64($0), "row number\($0) of step\(step)") })
                next += count
                if Bool.random(using: &random) { index.remove([RowID(Int64.random(in: 1..<Int64(next), using: &random))]) }
                let position = IndexPosition(highWater: RowID(Int64(next - 1)))
                guard step % 10 == 0 else {
                    try index.seal(at: position)
                    continue
                }
                let hits = Set(index.search("row step\(step)", k: 20_000).map(\.row))
                if index.isUntidy { tidied += 1 }
                try index.seal(at: position, tidying: true)
                var smaller = 0
                for count in index.snapshot().files.map(\.liveCount).sorted() {
                    #expect(smaller == 0 || count > 4 * smaller)
                    smaller += count
                }
                #expect(!index.isUntidy && index.snapshot().memory.isEmpty && index.sealedPosition == position)
                #expect(Set(index.search("row step\(step)", k: 20_000).map(\.row)) == hits && hits.count == index.count)
            }
            #expect(tidied > 3)
            #expect(try TextIndex(directory: directory, configuration: TextIndexConfiguration()).liveRows() == index.liveRows())
            #expect(index.verify() == [])
        }
    }

    @Test func `a file with many deletions is rewritten at the next seal`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            index.add((1...100).map { row(Int64($0), "row number\($0)") })
            try index.seal(at: IndexPosition())
            index.remove((1...10).map { RowID($0) })
            try index.seal(at: IndexPosition())
            #expect(index.snapshot().files[0].segment.rowCount == 100)
            index.remove((1...40).map { RowID($0) })
            try index.seal(at: IndexPosition())
            #expect(index.snapshot().files[0].segment.rowCount == 60)
            #expect(index.count == 60)
        }
    }

    @Test func `another analyzer is refused, other k1 and b are not`() throws {
        try withTemporaryDirectory { directory in
            var configuration = TextIndexConfiguration()
            let index = try TextIndex(directory: directory, configuration: configuration)
            index.add((1...300).map { row(Int64($0), "long " + String(repeating: "word ", count: $0)) })
            try index.seal(at: IndexPosition())
            configuration.k1 = 2
            configuration.b = 0.9
            let tuned = try TextIndex(directory: directory, configuration: configuration)
            #expect(tuned.search("word", k: 3) != index.search("word", k: 3))
            for change in [\TextIndexConfiguration.stemmer, \.stopWords] {
                var changed = TextIndexConfiguration()
                changed[keyPath: change] = "none"
                #expect { try TextIndex(directory: directory, configuration: changed) } throws: {
                    "\($0)".contains("outrider index rebuild")
                }
            }
            var changed = TextIndexConfiguration()
            changed.titleWeight = 1.5
            #expect { try TextIndex(directory: directory, configuration: changed) } throws: { "\($0)".contains("outrider index rebuild") }
        }
    }

    @Test func `parameters that mean nothing are refused`() throws {
        for change in [\TextIndexConfiguration.k1, \.b, \.titleWeight] {
            for value in [-1, .nan, .infinity] as [Float] {
                var configuration = TextIndexConfiguration()
                configuration[keyPath: change] = value
                #expect(throws: TextIndexError.self) { try TextIndex(directory: "/nonexistent", configuration: configuration) }
            }
        }
    }

    @Test func `a read-only index takes rows into memory and writes nothing`() throws {
        try withTemporaryDirectory { directory in
            let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
            index.add([row(1, "sealed")])
            try index.seal(at: IndexPosition(highWater: RowID(1)))
            let before = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
            let reader = try TextIndex(directory: directory, configuration: TextIndexConfiguration(), readOnly: true)
            reader.add([row(2, "fresh")])
            #expect(reader.search("sealed fresh", k: 5).count == 2)
            #expect(throws: TextIndexError.self) { try reader.seal(at: IndexPosition()) }
            #expect(throws: TextIndexError.self) { try reader.compact(at: IndexPosition()) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == before)
        }
    }

    @Test func `inverse document frequency falls with frequency and knows unknown terms`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        #expect(index.inverseDocumentFrequency(of: "anything").isFinite)
        index.add((1...100).map { row(Int64($0), "common " + ($0 == 1 ? "rare" : "")) })
        let common = index.inverseDocumentFrequency(of: "common")
        let rare = index.inverseDocumentFrequency(of: "rare")
        let unknown = index.inverseDocumentFrequency(of: "unknown")
        #expect(common < rare && rare < unknown)
        #expect(abs(rare - Float(log(1 + (100 - 1 + 0.5) / 1.5))) < 1e-5)
        #expect(index.inverseDocumentFrequency(of: "").isFinite)
        #expect(index.terms(of: "The running foxes of file_name") == ["run", "fox", "file_name", "file", "name"])
    }

    // MARK: - Highlights and phrases

    @Test(arguments: [
        ("telescope", "Two telescopes, one TELESCOPE.", ["telescopes", "TELESCOPE"]),
        ("café", "Das Café — cafe\u{301}!", ["Café", "cafe\u{301}"]),
        ("john", "John's book", ["John"]),
        ("index", "TextIndex and IndexManifest", ["Index", "Index"]),
        ("TextIndex", "a TextIndex", ["TextIndex"]),
        ("自然言語処理", "これは自然言語処理です", ["自然言語処理"]),
        ("the of", "the of", ["the", "of"]),
        ("thousand 1000", "costs 1,000 dollars", ["1,000"]),
        ("homme", "l'homme", ["homme"]),
        ("", "text", []),
    ])
    func `highlights are the words that match`(query: String, text: String, expected: [String]) throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        let bytes = Array(text.utf8)
        let ranges = index.highlights(of: query, in: text)
        #expect(ranges.map { String(decoding: bytes[$0], as: UTF8.self) } == expected)
        #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
    }

    @Test func `highlights stop at the limit`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        #expect(index.highlights(of: "word", in: String(repeating: "word ", count: 100), limit: 3) == [0..<4, 5..<9, 10..<14])
        #expect(index.highlights(of: "word", in: "word", limit: 0).isEmpty)
    }

    @Test func `quoted terms must all be in a row, unless no row has them`() throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        index.add([
            row(1, "machine learning and statistics"), row(2, "a learning machine, statistics statistics"), row(3, "statistics only"),
            row(4, "machine only"),
        ])
        #expect(Set(index.search("\"machine learning\" statistics", k: 5).map(\.row)) == [RowID(1), RowID(2)])
        #expect(Set(index.search("\u{201C}machine learning\u{201D} statistics", k: 5).map(\.row)) == [RowID(1), RowID(2)])
        #expect(Set(index.search("\"machine flower\" statistics", k: 5).map(\.row)) == Set((1...4).map { RowID($0) }))
        #expect(index.search("\"machine learning statistics", k: 5).count == 4)
        index.remove([RowID(1), RowID(2)])
        #expect(Set(index.search("\"machine learning\" statistics", k: 5).map(\.row)) == [RowID(3), RowID(4)])
    }

    @Test(arguments: [
        ("\"machine learning\"", "Machine learning is", true),
        ("\"machine learning\"", "learning machine", false),
        ("\"machine learning\"", "machine for learning", false),
        ("\"state of the art\"", "the state of an art", true),
        ("\"state of the art\"", "the state art", false),
        ("\"text index\"", "our TextIndex.", true),
        ("\"a b c\" d", "x b c", true),
        ("\"one two\" \"three four\"", "three four one two", true),
        ("\"one two\" \"three four\"", "three one two four", false),
        ("no quotes", "anything", true),
        ("\"言語処理\"", "自然言語処理", true),
        ("\"言語処理\"", "言語と処理", false),
    ])
    func `phrases are checked against the text`(query: String, text: String, expected: Bool) throws {
        let index = try TextIndex(directory: "/nonexistent", configuration: TextIndexConfiguration())
        #expect(index.containsPhrases(of: query, in: text) == expected)
    }

    // MARK: - Concurrency

    @Test func `readers see whole batches while a writer adds, removes, seals and compacts`() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("text-search-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let index = try TextIndex(directory: directory, configuration: TextIndexConfiguration())
        let isDone = Flag()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    while !isDone.isSet {
                        // A batch comes and goes as a whole: ten rows, all or none of each batch.
                        let hits = index.search("batch", k: 10_000)
                        #expect(hits.count % 10 == 0)
                        #expect(Set(hits.map(\.row)).count == hits.count)
                        await Task.yield()
                    }
                }
            }
            group.addTask {
                for round in 0..<60 {
                    let ids = (0..<10).map { Int64(round * 10 + $0 + 1) }
                    index.add(ids.map { TextRow(row: RowID($0), title: "", body: "batch number\(round)") })
                    if round % 7 == 3 { index.remove((0..<10).map { RowID(Int64((round - 3) * 10 + $0 + 1)) }) }
                    await Task.yield()
                }
                isDone.set()
            }
            group.addTask {
                var round = 0
                while !isDone.isSet {
                    round += 1
                    do {
                        if round % 5 == 0 { try index.compact(at: IndexPosition()) } else { try index.seal(at: IndexPosition()) }
                    } catch {
                        Issue.record("\(error)")
                    }
                    await Task.yield()
                }
            }
        }
        let removed = (0..<60).filter { $0 % 7 == 3 }.count
        #expect(index.count == 600 - 10 * removed)
        try index.seal(at: IndexPosition())
        #expect(try TextIndex(directory: directory, configuration: TextIndexConfiguration()).liveRows() == index.liveRows())
        #expect(index.verify() == [])
    }
}
