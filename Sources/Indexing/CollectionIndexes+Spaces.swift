// A collection's embedding model changes while it is searched and written:
//
//   begin     a space for the new model. From now on new documents bring vectors for both spaces.
//   fill      chunks without a vector get theirs, a batch a transaction (`Ingestion`, which has the model). A kill loses at most one batch.
//   build     the new space's index, from the database up to a position, beside the one that serves.
//   serve     under the write lock: what came after that position; then one transaction changes the space and the settings, and the index is swapped.
//
// Searches take space and index together (`served`), so each of them sees one space from its first step to its last.

package import Documents
import Foundation
import Storage
import Synchronization
import VectorSearch

/// The index of a space that was filled, up to a position.
package struct BuiltSpace: Sendable {
    let space: VectorSpace
    let index: any VectorIndex
    var position: IndexPosition
}

extension CollectionIndexes {
    /// Rows that a new index holds in memory at most before it writes them to its files.
    private static let buildBatch = 16 * sealThreshold

    /// The models whose vectors a new document is to bring, the one that serves first; empty where any may begin.
    package var writtenModels: [String] {
        state.withLock { state in
            [state.served?.space.model ?? state.settings.embeddingModel, state.filling?.model].compactMap(\.self)
        }
    }

    /// The space that is being filled; nil while the model does not change.
    package var filling: VectorSpace? { state.withLock { $0.filling } }

    /// Begins, or takes up again, the change to another model.
    ///
    /// - Throws: `.store(.spaceServes)` when it serves already.
    package func beginSpace(model: String, dimension: Int, keepsOld: Bool? = nil) throws(IndexingError) -> VectorSpace {
        writeLock.lock()
        defer { writeLock.unlock() }
        let space: VectorSpace
        do throws(DocumentStoreError) {
            space = try store.beginSpace(model: model, dimension: dimension, in: id, keepsOld: keepsOld)
        } catch { throw .store(error) }
        state.withLock { state in
            state.filling = space
            guard state.served?.space.id == space.id else { return }
            // Its vectors were not whole.
            state.served = nil
            state.settings.embeddingModel = nil
            state.settings.dimension = nil
        }
        return space
    }

    /// Gives the change of the model up. The vectors that were made stay, for a later change to that model.
    package func giveUp(_ space: VectorSpace) throws(IndexingError) {
        writeLock.lock()
        defer { writeLock.unlock() }
        do throws(DocumentStoreError) { try store.giveUp(space) } catch { throw .store(error) }
        state.withLock { if $0.filling?.id == space.id { $0.filling = nil } }
    }

    /// Builds the index of a space beside the one that serves, from the database. Searches and writes go on meanwhile.
    ///
    /// - Parameter check: Asked now and then; what it throws ends the building.
    package func build(_ space: VectorSpace, check: () throws -> Void = {}) throws -> BuiltSpace {
        var start: IndexPosition = try writeLock.withLock { try currentPosition() }
        // What gets its vector after this is taken up when the space is served.
        if let bare = try store.chunks(without: space, limit: 1).first {
            start.highWater = RowID(min(start.highWater.rawValue, bare.id.rawValue - 1))
        }
        let path = directory + "/" + space.folder
        if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        let index = try Self.vectorIndex(path, space.dimension, false)
        var after = ChunkID(rawValue: 0)
        var position = start
        while true {
            try check()
            let rows = try store.rows(in: id, space: space.id, after: after, limit: Self.catchUpBatch)
            guard let last = rows.last, rows[0].id.rawValue <= start.highWater.rawValue else { break }
            try add(rows.prefix { $0.id.rawValue <= start.highWater.rawValue }, to: index)
            after = last.id
            if index.heldCount >= Self.buildBatch {
                position.highWater = RowID(min(after.rawValue, start.highWater.rawValue))
                position.deletionSequence = start.deletionSequence
                try index.seal(at: noted(position))
            }
        }
        try index.seal(at: noted(start))
        return BuiltSpace(space: space, index: index, position: start)
    }

    /// Makes a space the one that serves, if every chunk has its vector in it.
    ///
    /// Writers wait meanwhile: about a microsecond for each chunk of the collection. Searches do not.
    ///
    /// - Returns: False while chunks lack theirs: fill them, and call this again.
    package func serve(_ built: inout BuiltSpace) throws(IndexingError) -> Bool {
        sealLock.lock()
        defer { sealLock.unlock() }
        writeLock.lock()
        defer { writeLock.unlock() }
        let serving: VectorSpace
        do throws(DocumentStoreError) {
            var after = ChunkID(rawValue: built.position.highWater.rawValue)
            while case let rows = try store.rows(in: id, space: built.space.id, after: after, limit: Self.catchUpBatch),
                let last = rows.last
            {
                try add(rows, to: built.index)
                after = last.id
            }
            let index = built.index
            index.remove(try deletedRows(after: built.position.deletionSequence) { index.liveRows() })
            do throws(DocumentStoreError) { serving = try store.serve(built.space) } catch .spaceIncomplete {
                return false
            }
        } catch { throw .store(error) }
        state.withLock {
            $0.served = ServedVectors(space: serving, index: built.index)
            $0.filling = nil
            $0.settings.embeddingModel = serving.model
            $0.settings.dimension = serving.dimension
        }
        // Searches that are under way have the old files open.
        removeVectorFolders(except: serving.folder)
        return true
    }

    /// Folders of spaces that do not serve: their vectors are in the database, if they are kept at all.
    func removeVectorFolders(except served: String?) {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where (name == "vectors" || name.hasPrefix("vectors-")) && name != served {
            try? FileManager.default.removeItem(atPath: directory + "/" + name)
        }
    }
}

// What `Ingestion` needs of the database for a space, with the errors of this module.
extension CollectionIndexes {
    package func chunks(without space: VectorSpace, after id: ChunkID, limit: Int) throws(IndexingError) -> [UnembeddedChunk] {
        do throws(DocumentStoreError) { return try store.chunks(without: space, after: id, limit: limit) } catch { throw .store(error) }
    }

    /// Vectors of a space, and chunks that should have one.
    package func progress(of space: VectorSpace) throws(IndexingError) -> (vectors: Int, chunks: Int) {
        do throws(DocumentStoreError) { return try store.progress(of: space) } catch { throw .store(error) }
    }

    /// Chunks that the collection has.
    package func chunkCount() throws(IndexingError) -> Int {
        do throws(DocumentStoreError) { return try store.counts(of: id).chunks } catch { throw .store(error) }
    }

    /// Stores vectors of chunks in a space that is being filled, see `DocumentStore.add`.
    package func add(_ vectors: [Float], of chunks: [ChunkID], to space: VectorSpace) throws(IndexingError) -> Int {
        do throws(DocumentStoreError) { return try store.add(vectors, of: chunks, to: space) } catch { throw .store(error) }
    }

    /// Removes the vectors of spaces that served before and are not kept.
    package func removeDroppedSpaces() throws(IndexingError) {
        do throws(DocumentStoreError) {
            for space in try store.spaces(of: id) where space.state == .dropped { try store.remove(space) }
        } catch { throw .store(error) }
    }
}
