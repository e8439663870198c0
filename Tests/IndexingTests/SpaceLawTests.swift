import Documents
import Foundation
import Storage
import TestSupport
import Testing
import VectorSearch

@testable import Indexing

/// The embedding model changes at any moment of a collection's life: it is searched in one whole space all the time.
struct SpaceLawTests {
    /// Dimensions of the models, by their names.
    private static let models = ["a": 8, "b": 6, "c": 4]

    /// What a model makes of a source and a version: a direction of its own.
    private static func vector(_ model: String, _ source: String, _ version: Int) -> [Float] {
        let dimension = models[model]!
        var generator = SeededGenerator(seed: UInt64(source.utf8.reduce(7) { $0 &* 31 &+ Int($1) } &* 10_000 &+ version &* 10 &+ dimension))
        let values = (0..<dimension).map { _ in Float.random(in: -1...1, using: &generator) }
        let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return values.map { $0 / length }
    }

    private static func draft(_ collection: CollectionID, _ source: String, _ version: Int, _ models: [String]) -> DocumentDraft {
        let text = "\(source) \(version)"
        var draft = DocumentDraft(
            collection: collection, source: source, title: nil, mimeType: "text/plain", contentHash: text, byteCount: text.utf8.count,
            text: text, pages: [], metadata: [:],
            chunks: [ChunkDraft(span: TextSpan(start: 0, end: text.utf8.count), page: nil, heading: "", tokenCount: 1)],
            vectors: vector(models[0], source, version), dimension: Self.models[models[0]]!, embeddingModel: models[0])
        draft.others = models.dropFirst().map {
            DraftVectors(model: $0, dimension: Self.models[$0]!, values: vector($0, source, version))
        }
        return draft
    }

    @Test func `a collection is searched in one whole space whenever its model changes`() throws {
        try RandomRuns.forEachSeed(4) { try run(seed: $0) }
    }

    private func run(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let folder = try IndexingTests.Folder()
        var (store, catalog) = try IndexingTests.open(folder)
        var indexes = try catalog.indexes(creating: "c")
        var model: [String: Int] = [:]
        var serving = "a"
        var built: BuiltSpace?
        var log: [String] = []
        func what() -> String { "seed \(seed), after \(log.suffix(14).joined(separator: ", "))" }
        func source() -> String { "d\(Int.random(in: 0..<30, using: &generator))" }
        _ = try indexes.put(Self.draft(indexes.id, "d0", 0, ["a"]), finishing: nil)
        model["d0"] = 0
        for step in 0..<160 {
            switch Int.random(in: 0..<40, using: &generator) {
            case 0...13:
                let source = source()
                // Now and then one that was embedded before the change began.
                let models = Bool.random(using: &generator) ? indexes.writtenModels : [serving]
                _ = try indexes.put(Self.draft(indexes.id, source, step, models), finishing: nil)
                model[source] = step
                log.append("put by \(models.joined())")
            case 14...17:
                let source = source()
                _ = try indexes.delete(.sources([source]))
                model[source] = nil
                log.append("delete")
            case 18...20:
                let next = ["a", "b", "c"].randomElement(using: &generator)!
                if next == serving {
                    #expect(throws: IndexingError.self, "\(what())") { try indexes.beginSpace(model: next, dimension: Self.models[next]!) }
                } else {
                    let space = try indexes.beginSpace(
                        model: next, dimension: Self.models[next]!, keepsOld: Bool.random(using: &generator))
                    if built?.space.id != space.id { built = nil }
                    log.append("begin \(next)")
                }
            case 21...27:
                guard let space = indexes.filling else { break }
                let chunks = try indexes.chunks(
                    without: space, after: ChunkID(rawValue: 0), limit: Int.random(in: 1...40, using: &generator))
                let values = chunks.flatMap { chunk in
                    let parts = chunk.text.split(separator: " ")
                    return Self.vector(space.model, String(parts[0]), Int(parts[1])!)
                }
                _ = try indexes.add(values, of: chunks.map(\.id), to: space)
                log.append("fill \(chunks.count)")
            case 28...30:
                guard let space = indexes.filling else { break }
                built = try indexes.build(space)
                log.append("build \(space.model)")
            case 31...33:
                guard let space = indexes.filling, built?.space.id == space.id else { break }
                let isWhole = try indexes.chunks(without: space, after: ChunkID(rawValue: 0), limit: 1).isEmpty
                let served = try indexes.serve(&built!)
                #expect(served == isWhole, "\(what())")
                if served { built = nil }
                if served { serving = space.model }
                log.append("serve \(space.model): \(served)")
            case 34:
                try indexes.removeDroppedSpaces()
                log.append("remove dropped")
            case 35:
                if let space = indexes.filling { try indexes.giveUp(space) }
                built = nil
                log.append("give up")
            case 36:
                try indexes.seal(tidying: true)
                log.append("seal")
            case 37:
                if Bool.random(using: &generator) { try indexes.compact() } else { try indexes.rebuild() }
                log.append("compact or rebuild")
            default:
                // Without sealing and without closing, as after a crash.
                built = nil
                (store, catalog) = try IndexingTests.open(folder)
                indexes = try #require(try catalog.indexes(named: "c"))
                log.append("reopen")
            }
            let served = try #require(indexes.served)
            #expect(served.space.model == serving && indexes.settings.embeddingModel == serving, "\(what())")
            #expect(served.index.dimension == Self.models[serving]!, "\(what())")
            guard step % 4 == 0 else { continue }
            #expect(try indexes.verify().problems == [], "\(what())")
            // Every document is the nearest to its own vector, and all are there.
            for (source, version) in model.shuffled(using: &generator).prefix(3) {
                let hits = try served.index.search(Self.vector(serving, source, version), k: 100, filter: nil)
                #expect(hits.count == model.count, "\(what())")
                let first = try #require(hits.first)
                let passage = try store.passages([ChunkID(rawValue: first.row.rawValue)]).values.first
                #expect(passage?.chunk.text == "\(source) \(version)" && first.score > 0.999, "\(what())")
            }
        }
        #expect(try store.verify() == [], "\(what())")
    }

    @Test func `the folder of a space that does not serve is removed, and that of the one that serves is not`() throws {
        let folder = try IndexingTests.Folder()
        let (_, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        _ = try indexes.put(Self.draft(indexes.id, "d0", 0, ["a"]), finishing: nil)
        try indexes.seal()
        func folders() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder.path + "/index/\(indexes.id.rawValue)").sorted()
        }
        #expect(try folders() == ["text", "vectors"])
        let space = try indexes.beginSpace(model: "b", dimension: 6)
        let chunks = try indexes.chunks(without: space, after: ChunkID(rawValue: 0), limit: 9)
        _ = try indexes.add(Self.vector("b", "d0", 0), of: chunks.map(\.id), to: space)
        var built = try indexes.build(space)
        #expect(try folders() == ["text", "vectors", space.folder])
        // A search that began before goes on in the old space.
        let before = try #require(indexes.served)
        #expect(try indexes.serve(&built))
        #expect(try folders() == ["text", space.folder])
        #expect(try before.index.search(Self.vector("a", "d0", 0), k: 9, filter: nil).count == 1)
        try indexes.seal()
        let (_, again) = try IndexingTests.open(folder)
        let reopened = try #require(try again.indexes(named: "c"))
        #expect(reopened.repairs == [] && reopened.served?.space.model == "b")
        #expect(try folders() == ["text", space.folder])
    }

    @Test func `building can be ended, and begun again`() throws {
        let folder = try IndexingTests.Folder()
        let (_, catalog) = try IndexingTests.open(folder)
        let indexes = try catalog.indexes(creating: "c")
        for number in 0..<20 { _ = try indexes.put(Self.draft(indexes.id, "d\(number)", 0, ["a"]), finishing: nil) }
        let space = try indexes.beginSpace(model: "b", dimension: 6)
        let chunks = try indexes.chunks(without: space, after: ChunkID(rawValue: 0), limit: 99)
        _ = try indexes.add(
            chunks.flatMap { Self.vector("b", String($0.text.split(separator: " ")[0]), 0) }, of: chunks.map(\.id), to: space)
        #expect(throws: CancellationError.self) { try indexes.build(space) { throw CancellationError() } }
        #expect(indexes.served?.space.model == "a")
        var built = try indexes.build(space)
        #expect(try indexes.serve(&built))
        #expect(try indexes.verify().problems == [])
    }
}
