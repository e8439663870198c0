import Foundation
import GRDB
import TestSupport
import Testing

@testable import Documents

/// Several models' vectors of one collection, and folders that know of one alone.
struct VectorSpaceTests {
    private let folder = Folder()

    /// Vectors of another model for chunks: all of one number, so that they can be told.
    private func vectors(_ chunks: [UnembeddedChunk], dimension: Int) -> [Float] {
        chunks.flatMap { [Float](repeating: Float($0.id.rawValue), count: dimension) }
    }

    @Test func `a space is filled beside the one that serves, and serves when each chunk has its vector`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<5 { try store.put(draft(id, source: "/\(number)", title: "Title \(number)")) }
        let old = try #require(try store.servingSpace(of: id))
        #expect(old.model == "mini" && old.dimension == 4 && old.folder == "vectors")
        let new = try store.beginSpace(model: "max", dimension: 2, in: id)
        #expect(new.state == .filling && new.folder == "vectors-\(new.id.rawValue)")
        #expect(try store.beginSpace(model: "max", dimension: 2, in: id) == new)
        #expect(failure { try store.serve(new) } == .spaceIncomplete(model: "max", missing: 10))

        let first = try store.chunks(without: new, limit: 3)
        #expect(first.map(\.title) == ["Title 0", "Title 0", "Title 1"] && first[1].heading == "Part 1" && first[1].text == "Gamma delta.")
        #expect(try store.add(vectors(first, dimension: 2), of: first.map(\.id), to: new) == 3)
        // Once more changes nothing; what is gone is passed over.
        #expect(try store.add(vectors(first, dimension: 2), of: first.map(\.id), to: new) == 0)
        _ = try store.delete(.sources(["/4"]), in: id)
        #expect(try store.add([1, 1], of: [ChunkID(rawValue: 10)], to: new) == 0)
        // A document that brings vectors of both needs nothing more.
        var both = draft(id, source: "/5")
        both.others = [DraftVectors(model: "max", dimension: 2, values: [5, 5, 6, 6])]
        let commit = try store.put(both)
        let rest = try store.chunks(without: new, limit: 100)
        #expect(rest.count == 5 && !rest.map(\.id).contains(commit.inserted[0]))
        _ = try store.add(vectors(rest, dimension: 2), of: rest.map(\.id), to: new)
        #expect(try store.progress(of: new) == (10, 10))
        #expect(try store.verify() == [])

        #expect(try store.rows(in: id, space: new.id, after: ChunkID(rawValue: 0), limit: 1).map(\.vector) == [[1, 1]])
        #expect(try store.rows(in: id, space: old.id, after: ChunkID(rawValue: 0), limit: 1)[0].vector.count == 4)
        let serving = try store.serve(new)
        let settings = try #require(try store.collection(id)).settings
        #expect(serving.state == .serving && settings.embeddingModel == "max" && settings.dimension == 2)
        #expect(failure { try store.put(draft(id, source: "/6")) } == .modelMismatch(collection: "notes", got: "mini", expected: "max"))
        #expect(failure { _ = try store.beginSpace(model: "max", dimension: 2, in: id) } == .spaceServes(collection: "notes", model: "max"))
        // Only a dropped one is removed.
        try store.remove(serving)
        #expect(try store.chunks(without: serving, limit: 1).isEmpty)

        let dropped = try #require(try store.spaces(of: id).first { $0.state == .dropped })
        try store.remove(dropped)
        #expect(try store.spaces(of: id) == [serving] && store.count("vectors") == 10)
        #expect(try store.verify() == [])
    }

    @Test func `a space that is kept or given up is taken up again with what it holds`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<3 { try store.put(draft(id, source: "/\(number)")) }
        let mini = try #require(try store.servingSpace(of: id))
        let given = try store.beginSpace(model: "max", dimension: 2, in: id)
        let some = try store.chunks(without: given, limit: 2)
        _ = try store.add(vectors(some, dimension: 2), of: some.map(\.id), to: given)
        // Another one is begun: of two, one alone is filled.
        let other = try store.beginSpace(model: "mid", dimension: 3, in: id)
        #expect(try store.spaces(of: id).map(\.state) == [.serving, .kept, .filling])
        #expect(failure { _ = try store.add([1, 1], of: [some[0].id], to: given) } == .unknownSpace(model: "max"))
        try store.giveUp(other)
        #expect(failure { _ = try store.serve(other) } == .unknownSpace(model: "mid"))
        let again = try store.beginSpace(model: "max", dimension: 2, in: id, keepsOld: true)
        #expect(again.id == given.id)
        let rest = try store.chunks(without: again, limit: 100)
        #expect(rest.count == 4)
        _ = try store.add(vectors(rest, dimension: 2), of: rest.map(\.id), to: again)
        // Taken up by another start, it still knows what was asked for.
        _ = try store.serve(try store.beginSpace(model: "max", dimension: 2, in: id))
        // Back again: only what came in since is missing.
        try store.put(draft(id, source: "/new", dimension: 2, model: "max"))
        let back = try store.beginSpace(model: "mini", dimension: 4, in: id)
        #expect(back.id == mini.id)
        #expect(try store.chunks(without: back, limit: 100).count == 2)
        #expect(try store.verify() == [])
    }

    @Test func `a collection of texts alone is given vectors`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<3 { try store.put(draft(id, source: "/\(number)", model: nil)) }
        let space = try store.beginSpace(model: "mini", dimension: 4, in: id)
        // A document of the next model goes along with it; vectors of another model are left out, as are none.
        try store.put(draft(id, source: "/with"))
        try store.put(draft(id, source: "/other", model: "max"))
        try store.put(draft(id, source: "/without", model: nil))
        #expect(try store.count("vectors") == 2)
        #expect(try store.collection(id)?.settings.embeddingModel == nil)
        let chunks = try store.chunks(without: space, limit: 100)
        #expect(chunks.count == 10)
        _ = try store.add(vectors(chunks, dimension: 4), of: chunks.map(\.id), to: space)
        _ = try store.serve(space)
        #expect(try store.collection(id)?.settings.embeddingModel == "mini")
        #expect(failure { try store.put(draft(id, source: "/late", model: nil)) } == .missingVectors(collection: "notes", expected: "mini"))
        #expect(try store.verify() == [])
    }

    @Test func `the first vectors of a collection of texts begin a space that is filled before it serves`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/old", model: nil))
        try store.put(draft(id, source: "/new"))
        #expect(try store.spaces(of: id).map(\.state) == [.filling] && store.collection(id)?.settings.embeddingModel == nil)
        #expect(try store.verify() == [])
        let space = try store.beginSpace(model: "mini", dimension: 4, in: id)
        let rest = try store.chunks(without: space, limit: 9)
        #expect(rest.count == 2)
        _ = try store.add(vectors(rest, dimension: 4), of: rest.map(\.id), to: space)
        #expect(try store.serve(space).state == .serving)
        #expect(try store.verify() == [])
    }

    @Test func `a space that serves and is not whole is filled up`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        for number in 0..<3 { try store.put(draft(id, source: "/\(number)")) }
        // As an earlier version left a collection of texts that got vectors.
        try store.damage("DELETE FROM vectors WHERE chunk < 5")
        let space = try store.beginSpace(model: "mini", dimension: 4, in: id)
        #expect(space.state == .filling && space.folder == "vectors")
        #expect(try store.collection(id)?.settings.embeddingModel == nil)
        let rest = try store.chunks(without: space, limit: 9)
        _ = try store.add(vectors(rest, dimension: 4), of: rest.map(\.id), to: space)
        _ = try store.serve(space)
        #expect(try store.verify() == [])
    }

    @Test(arguments: ["../../elsewhere", "", "vectors-", "vectors-1/../..", "text"])
    func `a folder that is none of a space's is no folder`(name: String) throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        try store.damage("UPDATE spaces SET folder = '\(name)'")
        #expect(failure { _ = try store.spaces(of: id) } != nil)
    }

    @Test func `a space that is taken up again while it is removed keeps what is left`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        let old = try #require(try store.servingSpace(of: id))
        let space = try store.beginSpace(model: "max", dimension: 2, in: id)
        let chunks = try store.chunks(without: space, limit: 9)
        _ = try store.add(vectors(chunks, dimension: 2), of: chunks.map(\.id), to: space)
        _ = try store.serve(space)
        let back = try store.beginSpace(model: "mini", dimension: 4, in: id)
        // The removal of the dropped one, which began before.
        try store.remove(old)
        #expect(try store.chunks(without: back, limit: 9).isEmpty && store.spaces(of: id).count == 2)
    }

    @Test func `spaces go with their collection, and vectors of every space with their document`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        let space = try store.beginSpace(model: "max", dimension: 2, in: id)
        let chunks = try store.chunks(without: space, limit: 9)
        _ = try store.add(vectors(chunks, dimension: 2), of: chunks.map(\.id), to: space)
        #expect(try store.count("vectors") == 4)
        try store.put(draft(id, source: "/a"))
        #expect(try store.count("vectors") == 2)
        _ = try store.delete(.all, in: id)
        #expect(try store.count("vectors") == 0)
        _ = try store.deleteCollection(id)
        #expect(try store.count("spaces") == 0)
        #expect(failure { _ = try store.serve(space) } == .unknownCollection("\(id.rawValue)"))
    }

    @Test func `verification finds a flipped bit in a space that does not serve`() throws {
        let store = try folder.open()
        let id = try store.createCollection(name: "notes").id
        try store.put(draft(id, source: "/a"))
        let space = try store.beginSpace(model: "max", dimension: 2, in: id)
        let chunks = try store.chunks(without: space, limit: 1)
        _ = try store.add([1, 2], of: chunks.map(\.id), to: space)
        #expect(try store.verify() == [])
        try store.damage("UPDATE vectors SET vector = CAST(x'01' || substr(vector, 2) AS BLOB) WHERE space = \(space.id.rawValue)")
        #expect(try store.verify().contains { $0.contains("vector of chunk_1") && $0.contains("checksum") })
        try store.damage("UPDATE vectors SET vector = x'000000', checksum = NULL WHERE space = \(space.id.rawValue)")
        #expect(try store.verify().contains { $0.contains("not the size") })
    }

    // MARK: Folders of earlier versions

    /// A folder as an earlier schema wrote it: two collections with vectors, one without.
    private func makeOld(upTo migration: String, checksums: Bool) throws {
        try FileManager.default.createDirectory(atPath: folder.path("data"), withIntermediateDirectories: true)
        var old = Configuration()
        old.prepareDatabase { try $0.execute(sql: "PRAGMA secure_delete = ON") }
        let pool = try DatabasePool(path: folder.path("data") + "/outrider.sqlite", configuration: old)
        try Schema.migrator.migrate(pool, upTo: migration)
        try pool.write { database in
            for (id, name, settings) in [
                (1, "first", #"{"dimension":4,"embeddingModel":"mini"}"#), (2, "second", #"{"dimension":2,"embeddingModel":"max"}"#),
                (3, "bare", "{}"),
            ] {
                try database.execute(
                    sql: """
                        INSERT INTO collections (id, name, settings, created_at, document_count, chunk_count, text_bytes, largest_chunk)
                        VALUES (?, ?, ?, 0, 1, 2, 8, ?)
                        """, arguments: [id, name, settings, 2 * id])
                try database.execute(
                    sql: """
                        INSERT INTO documents VALUES (?, ?, ?, ?, NULL, 'text/plain', 'h', 8, NULL, 2, 8, 1, 0, 0, '{}')
                        """, arguments: [id, "doc_\(id)", id, "/\(id)"])
                try database.execute(sql: "INSERT INTO document_texts VALUES (?, 'one. two', '[]')", arguments: [id])
                for ordinal in 0..<2 {
                    try database.execute(
                        sql: """
                            INSERT INTO chunks (collection, document, ordinal, span_start, span_end, token_count, heading, text)
                            VALUES (?, ?, ?, ?, ?, 1, '', ?)
                            """, arguments: [id, id, ordinal, 4 * ordinal, 4 * ordinal + 4, ordinal == 0 ? "one." : " two"])
                }
            }
            try database.execute(sql: "INSERT INTO models VALUES (7, 'mini', 4, 0), (8, 'max', 2, 0)")
            let mini = [VectorBlob.encode([1, 0, 0, 0]), VectorBlob.encode([0, 1, 0, 0])]
            let max = [VectorBlob.encode([1, 0]), VectorBlob.encode([0, 1])]
            for (chunk, model, blob) in [(1, 7, mini[0]), (2, 7, mini[1]), (3, 8, max[0]), (4, 8, max[1])] {
                try database.execute(sql: "INSERT INTO vectors VALUES (?, ?, ?)", arguments: [chunk, model, blob])
            }
            guard checksums else { return }
            for (document, vectors) in [(1, mini), (2, max), (3, [])] {
                try database.execute(
                    sql: "INSERT INTO checksums VALUES (?, ?, ?)",
                    arguments: [
                        document, try TextChecksum.computed(of: Int64(document), text: Data("one. two".utf8), database),
                        vectors.isEmpty ? Data(count: 16) : vectors.map(VectorBlob.checksum).reduce(Data(), +),
                    ])
            }
        }
        try pool.close()
    }

    @Test(arguments: [("2 ingestion", false), ("3 seals and checksums", true), ("3 seals and checksums", false)])
    func `a folder of an earlier version is taken up and loses nothing`(migration: String, checksums: Bool) throws {
        try makeOld(upTo: migration, checksums: checksums)
        let store = try folder.open()
        let collections = try store.collections()
        #expect(collections.map(\.name) == ["bare", "first", "second"])
        let spaces = try collections.map { try store.spaces(of: $0.id) }
        #expect(spaces.map(\.count) == [0, 1, 1])
        #expect(
            spaces[1][0].model == "mini" && spaces[2][0].model == "max"
                && spaces.joined().allSatisfy { $0.state == .serving && $0.folder == "vectors" })
        let rows = try store.rows(in: collections[1].id, space: spaces[1][0].id, after: ChunkID(rawValue: 0), limit: 9)
        #expect(rows.map(\.vector) == [[1, 0, 0, 0], [0, 1, 0, 0]])
        #expect(
            try store.rows(in: collections[2].id, space: spaces[2][0].id, after: ChunkID(rawValue: 0), limit: 9).map(\.vector) == [
                [1, 0], [0, 1],
            ])
        #expect(try store.count("vectors WHERE checksum IS NULL") == (checksums ? 0 : 4))
        #expect(try store.verify() == [])
        while try store.addMissingChecksums(limit: 3) {}
        #expect(try store.count("vectors WHERE checksum IS NULL") == 0)
        #expect(try store.verify() == [])
        // The checksums came along, rather than being made of what is there now.
        try store.damage("UPDATE vectors SET vector = CAST(x'01' || substr(vector, 2) AS BLOB) WHERE chunk = 4")
        #expect(try store.verify().contains { $0.contains("vector of chunk_4") })
        try store.put(draft(collections[1].id, source: "/new"))
        #expect(try store.spaces(of: collections[1].id) == spaces[1])
    }

    @Test func `a checksum of an earlier version still tells what changed before`() throws {
        try makeOld(upTo: "3 seals and checksums", checksums: true)
        let pool = try DatabasePool(path: folder.path("data") + "/outrider.sqlite")
        try pool.write { try $0.execute(sql: "UPDATE vectors SET vector = zeroblob(16) WHERE chunk = 2") }
        try pool.close()
        #expect(try folder.open().verify().contains { $0.contains("vector of chunk_2") })
    }
}
