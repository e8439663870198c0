import Foundation
import Testing

@testable import Documents

struct ThroughputTests {
    let folder = Folder()

    /// A benchmark at toy size: it prints what it measures and fails only where a step goes wrong. `OUTRIDER_BENCH_DOCUMENTS=20000` makes
    /// it a real one.
    @Test func `many documents go in and come out`() throws {
        let count = ProcessInfo.processInfo.environment["OUTRIDER_BENCH_DOCUMENTS"].flatMap { Int($0) } ?? 200
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        let parts = (0..<10).map { "Part \($0). " + String(repeating: "A sentence of the usual length, more or less. ", count: 20) }

        try measure("put of 10 chunks with 384 dimensions", "documents") {
            for index in 0..<count {
                try store.put(
                    draft(
                        id, source: "/\(index)", title: "Document \(index)", parts: parts,
                        metadata: ["year": .number(Double(2000 + index % 20))],
                        dimension: 384))
            }
            return count
        }

        var sum: Float = 0
        let rows = try measure("rows with text and vector", "rows") {
            var after = ChunkID(rawValue: 0)
            var rows = 0
            while case let batch = try store.rows(in: id, space: store.space(of: id), after: after, limit: 512), let last = batch.last {
                rows += batch.count
                for row in batch { sum += row.vector[0] + row.vector[383] - 2 * Float((row.id.rawValue - 1) % 10) }
                after = last.id
            }
            return rows
        }
        #expect(rows == 10 * count)
        #expect(abs(sum / Float(rows) - 0.383) < 0.01, "checksum \(sum)")

        let found = try measure("chunk ids of half the documents by filter", "ids") {
            try store.chunkIDs(in: id, matching: .gte("year", .number(2010))).count
        }
        #expect(found == (0..<count).count { $0 % 20 >= 10 } * 10)

        let ids = try store.chunkIDs(in: id).prefix(2000)
        #expect(try measure("passages", "passages") { try store.passages(Array(ids)).count } == ids.count)
        #expect(try measure("verify", "chunks") { try store.verify().count + 10 * count } == 10 * count)
        #expect(try measure("delete", "documents") { try store.delete(.sourceTree("/"), in: id).documents.count } == count)
        #expect(try store.verify() == [])
    }

    @discardableResult
    private func measure(_ name: String, _ unit: String, _ body: () throws -> Int) rethrows -> Int {
        let start = ContinuousClock.now
        let count = try body()
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        print("documents: \(name): \(Int(Double(count) / seconds)) \(unit)/s")
        return count
    }
}
