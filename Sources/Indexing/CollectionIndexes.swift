// The indexes of one collection, kept in step with the database.
//
// The database is the truth; the text and the vector index are derived from it. Three rules keep them equal:
//
//   1. A change is committed to the database first, then applied to the indexes, both under the collection's write lock.
//   2. A sealed index file states the position it has reached: the largest row id and the last entry of the deletion log; and a random word that the database
//      was told before the file was published.
//   3. Opening an index reads what came after that position from the database: new rows into the live delta, deletions as tombstones. A file whose word
//      the database does not know, or whose position is above the database's, followed another database or a later state of this one (a backup was put
//      back): it is thrown away and built anew.
//
//        SQLite   rows 1 ............................ 900   deletions 1 ...... 12
//        files    [ sealed segments: rows 1 ... 800, deletions ... 9 ]
//        open                                      + rows 801...900 - deletions 10...12
//
// So a crash between commit and apply, or a lost, damaged or outdated file, costs time and never data. A search that runs between commit and
// apply may still see a row that is gone: its text is read from the database, finds nothing, and the row is left out of the answer.

package import Documents
import Foundation
package import Logging
import Storage
import Synchronization
package import TextSearch
package import VectorSearch

/// The index that a collection's vectors are searched in, and the space whose vectors it holds: two things that change together.
package struct ServedVectors: Sendable {
    package let space: VectorSpace
    package let index: any VectorIndex
    /// The same index, for searches of many who ask at once.
    package let groups: SearchGroups

    init(space: VectorSpace, index: any VectorIndex) {
        self.space = space
        self.index = index
        groups = SearchGroups(index)
    }
}

/// The text and vector index of one collection.
package final class CollectionIndexes: Sendable {
    /// Rows in the deltas after which they are sealed into files: opening reads at most about as many from the database.
    package static let sealThreshold = 4096
    /// Rows in the deltas at which a writer waits for the seal that runs: what is not in files stays bounded.
    private static let waitThreshold = 8 * sealThreshold
    static let catchUpBatch = 2000

    package let id: CollectionID
    package let name: String
    let directory: String
    let readOnly: Bool
    let store: DocumentStore
    let logger: Logger
    private let selections: SelectionCache

    struct State {
        var settings: CollectionSettings
        var text: TextIndex
        /// Nil until the collection's first vector fixes the model.
        var served: ServedVectors?
        /// The space that is being filled to serve next.
        var filling: VectorSpace?
        /// What was found damaged and rebuilt when opening; shown by `doctor` and health.
        var repairs: [String] = []
        /// Rows whose stored vector holds numbers that are none.
        var damagedVectors: Set<Int64> = []
    }
    let state: Mutex<State>
    /// Held for one database transaction plus its application to the indexes. Readers never take it.
    let writeLock = NSRecursiveLock()
    /// Held while files are written, which may take long: writers go on meanwhile. Taken before `writeLock`, never after it.
    let sealLock = NSLock()
    private let sealer = DispatchQueue(label: "outrider.indexing.seal", qos: .utility)
    private let isSealScheduled = Atomic(false)
    /// Rises with every seal and when the index closes: a tidying that was planned before is not done.
    private let tidyingTurn = Atomic(0)
    private static let tidyingDelay = DispatchTimeInterval.seconds(3)

    /// Opens the indexes in a folder and catches up with the database; damaged ones are rebuilt.
    package init(
        collection: CollectionRecord, directory: String, store: DocumentStore, readOnly: Bool, logger: Logger
    ) throws(IndexingError) {
        id = collection.id
        name = collection.name
        self.directory = directory
        self.readOnly = readOnly
        self.store = store
        self.logger = logger
        selections = SelectionCache(collection: collection.id, store: store)
        var repairs: [String] = []
        let opening = Opening(id: collection.id, store: store, readOnly: readOnly, logger: logger)
        let text = try Self.openText(collection, directory + "/text", opening, &repairs)
        let spaces: [VectorSpace]
        do throws(DocumentStoreError) { spaces = try store.spaces(of: collection.id) } catch { throw .store(error) }
        var served: ServedVectors?
        if let space = spaces.first(where: { $0.state == .serving }) {
            served = ServedVectors(
                space: space, index: try Self.openVectors(space.dimension, directory + "/" + space.folder, opening, &repairs))
        }
        let filling = spaces.first { $0.state == .filling }
        state = Mutex(State(settings: collection.settings, text: text, served: served, filling: filling, repairs: repairs))
        if !readOnly { removeVectorFolders(except: served?.space.folder) }
        try catchUp()
    }

    package var text: TextIndex { state.withLock { $0.text } }
    package var vectors: (any VectorIndex)? { served?.index }
    package var served: ServedVectors? { state.withLock { $0.served } }
    package var settings: CollectionSettings { state.withLock { $0.settings } }
    package var repairs: [String] { state.withLock { $0.repairs } }

    /// The rows that a filter means now. The first question with a condition reads them from the database; later ones only what changed.
    ///
    /// - Throws: `.store(.invalidFilter)` for what cannot be compared.
    package func selection(matching filter: Filter) throws(IndexingError) -> Selection {
        do throws(DocumentStoreError) { return Selection(predicate: filter, rows: try selections.rows(matching: filter)) } catch {
            throw .store(error)
        }
    }

    // MARK: Opening

    /// What opening an index needs to know besides its place.
    struct Opening {
        var id: CollectionID
        var store: DocumentStore
        var readOnly: Bool
        var logger: Logger
    }

    /// The folder to open an index in: the given one, emptied when what it holds did not follow this database.
    private static func follower(_ path: String, _ opening: Opening, _ repairs: inout [String]) throws(IndexingError) -> String {
        // A damaged manifest is told when the index is opened.
        guard let manifest = try? IndexManifest.load(directory: path) else { return path }
        let reason: String
        do throws(DocumentStoreError) {
            let end = try opening.store.position(of: opening.id)
            let position = manifest.position
            if let seal = position.seal, !(try opening.store.knowsSeal(seal, of: opening.id)) {
                reason = "it belongs to another database, or to a later state of this one"
            } else if position.highWater.rawValue > end.largestChunk.rawValue || position.deletionSequence > end.lastDeletion {
                reason =
                    "it has seen row \(position.highWater.rawValue) and deletion \(position.deletionSequence), the database ends at \(end.largestChunk.rawValue) and \(end.lastDeletion)"
            } else {
                // Files of a version without seals are taken when they are not ahead; the next seal gives them its word.
                return path
            }
        } catch { throw .store(error) }
        let error = "the index in '\(path)' did not follow this database: \(reason)"
        guard let fresh = replacement(for: path, readOnly: opening.readOnly, error: error, opening.logger, &repairs) else {
            throw .storage(.system(path: path, operation: "removing an index of another database", errno: errno))
        }
        return fresh
    }

    private static func openText(
        _ collection: CollectionRecord, _ path: String, _ opening: Opening, _ repairs: inout [String]
    ) throws(IndexingError) -> TextIndex {
        let configuration = Self.textConfiguration(collection.settings)
        let path = try follower(path, opening, &repairs)
        do throws(TextIndexError) {
            return try TextIndex(directory: path, configuration: configuration, readOnly: opening.readOnly)
        } catch {
            guard
                let fresh = Self.replacement(for: path, readOnly: opening.readOnly, error: error.description, opening.logger, &repairs)
            else {
                throw .text(error)
            }
            do throws(TextIndexError) { return try TextIndex(directory: fresh, configuration: configuration) } catch { throw .text(error) }
        }
    }

    /// Share of the true nearest rows that a search finds, as calibrated, unless it asks for another. Questions are unlike passages, and a row that is not found cannot be ranked: at
    /// 0.95 vectors alone lose nDCG@10 of 0.015 (scifact) to 0.05 (clapnq); see Documentation/Design/0012-when-a-search-ends.md.
    private static let recallTarget: Float = 0.99
    /// Collections with at most this many passages are searched exactly, in about a millisecond.
    private static let exactRowCountMax = 8192
    /// Segments with fewer rows are scanned exactly, which is then a small part of a search: a collection that has been filled over time has several small ones.
    private static let listedRowCountMin = 2048

    static func vectorIndex(_ path: String, _ dimension: Int, _ readOnly: Bool) throws(VectorIndexError) -> IVFIndex {
        try IVFIndex(
            directory: path, dimension: dimension, metric: .cosine, precision: .half, readOnly: readOnly, recallTarget: recallTarget,
            parameters: IVFParameters(rowCountMin: listedRowCountMin, exactRowCountMax: exactRowCountMax))
    }

    static func openVectors(
        _ dimension: Int, _ path: String, _ opening: Opening, _ repairs: inout [String]
    ) throws(IndexingError) -> any VectorIndex {
        let path = try follower(path, opening, &repairs)
        do throws(VectorIndexError) {
            let index = try vectorIndex(path, dimension, opening.readOnly)
            repairs += index.repairs
            return index
        } catch {
            guard
                let fresh = Self.replacement(for: path, readOnly: opening.readOnly, error: error.description, opening.logger, &repairs)
            else {
                throw .vector(error)
            }
            do throws(VectorIndexError) { return try vectorIndex(fresh, dimension, false) } catch {
                throw .vector(error)
            }
        }
    }

    /// Makes an empty folder for an index whose files are unusable: in place, or in a temporary folder when this process may not write.
    private static func replacement(for path: String, readOnly: Bool, error: String, _ logger: Logger, _ repairs: inout [String]) -> String?
    {
        repairs.append(error)
        logger.warning("index unusable, rebuilding it from the database", metadata: ["path": "\(path)", "reason": "\(error)"])
        do {
            if readOnly {
                let fresh = FileManager.default.temporaryDirectory.path + "/outrider-\(UUID().uuidString)"
                try FileManager.default.createDirectory(atPath: fresh, withIntermediateDirectories: true)
                return fresh
            }
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
            return path
        } catch {
            return nil
        }
    }

    static func textConfiguration(_ settings: CollectionSettings) -> TextIndexConfiguration {
        var configuration = TextIndexConfiguration()
        configuration.stemmer = settings.stemmer
        configuration.stopWords = settings.stopWords
        configuration.k1 = settings.k1
        configuration.b = settings.b
        configuration.titleWeight = settings.titleWeight
        return configuration
    }

    /// Reads from the database what the files have not seen.
    private func catchUp() throws(IndexingError) {
        let (text, served) = state.withLock { ($0.text, $0.served) }
        let vectors = served?.index
        let textAt = text.sealedPosition
        let vectorsAt = vectors?.sealedPosition ?? textAt
        do throws(DocumentStoreError) {
            var after = ChunkID(rawValue: min(textAt.highWater.rawValue, vectorsAt.highWater.rawValue))
            while true {
                let rows = try store.rows(in: id, space: served?.space.id, after: after, limit: Self.catchUpBatch)
                guard let last = rows.last else { break }
                text.add(
                    rows.lazy.filter { $0.id.rawValue > textAt.highWater.rawValue }.map {
                        TextRow(row: RowID($0.id.rawValue), title: $0.context, body: $0.text)
                    })
                if let vectors { try add(rows.drop { $0.id.rawValue <= vectorsAt.highWater.rawValue }, to: vectors) }
                after = last.id
            }
            text.remove(try deletedRows(after: textAt.deletionSequence) { text.liveRows() })
            if let vectors { vectors.remove(try deletedRows(after: vectorsAt.deletionSequence) { vectors.liveRows() }) }
        } catch { throw .store(error) }
        if !readOnly { sealIfNeeded() }
    }

    /// Rows that an index may still hold although the database deleted them. Where the deletion log no longer reaches back far enough (an index file
    /// was put back from a backup), the index's rows are compared with the database's.
    func deletedRows(after sequence: Int64, liveRows: () -> [RowID]) throws(DocumentStoreError) -> [RowID] {
        if sequence >= (try store.trimmedDeletion(in: id)) {
            return try store.deletions(in: id, after: sequence).chunks.map { RowID($0.rawValue) }
        }
        let kept = RowSet(try store.chunkIDs(in: id).map { RowID($0.rawValue) })
        return liveRows().filter { !kept.contains($0) }
    }

    /// - Throws: Only store errors; a vector of another length than the index, or with numbers that are none, is a flaw of the database and is reported by `verify`.
    func add(_ rows: some Sequence<IndexableRow>, to vectors: any VectorIndex) throws(DocumentStoreError) {
        var batch = VectorRows(rows: [], values: [])
        for row in rows where row.vector.count == vectors.dimension {
            // A damaged vector must not keep the others from being found.
            guard row.vector.allSatisfy(\.isFinite) else {
                state.withLock { _ = $0.damagedVectors.insert(row.id.rawValue) }
                logger.error("a stored vector is damaged and left out", metadata: ["collection": "\(name)", "chunk": "\(row.id)"])
                continue
            }
            batch.rows.append(RowID(row.id.rawValue))
            batch.values.append(contentsOf: row.vector)
        }
        guard !batch.rows.isEmpty else { return }
        do throws(VectorIndexError) { try vectors.add(batch) } catch {
            throw .database(operation: "load vectors", reason: error.description)
        }
    }

    // MARK: Changing

    /// Commits a document to the database and makes it searchable.
    package func put(_ draft: DocumentDraft, finishing file: (job: JobID, sequence: Int)?) throws(IndexingError) -> DocumentCommit {
        try put([(draft, file)])[0]
    }

    /// Commits documents to the database in one transaction and makes them searchable.
    package func put(_ drafts: [(draft: DocumentDraft, file: (job: JobID, sequence: Int)?)]) throws(IndexingError) -> [DocumentCommit] {
        waitForSeal()
        writeLock.lock()
        defer { writeLock.unlock() }
        // What cannot be opened must be known before the commit: nothing could make its rows searchable.
        let opened = try openFirstVectors(drafts.lazy.map(\.draft))
        let commits: [DocumentCommit]
        do throws(DocumentStoreError) { commits = try store.put(drafts) } catch { throw .store(error) }
        // Texts alone make no space, so there is nothing to look for.
        if served == nil, drafts.contains(where: { !$0.draft.embeddings.isEmpty }) { try adopt(opened) }
        for (draft, commit) in zip(drafts.lazy.map(\.draft), commits) { try apply(draft, commit) }
        sealIfNeeded()
        return commits
    }

    /// Brings the indexes to the state after a commit; the caller holds `writeLock`.
    private func apply(_ draft: DocumentDraft, _ commit: DocumentCommit) throws(IndexingError) {
        let bytes = Array(draft.text.utf8)
        let title = draft.title ?? ""
        text.remove(commit.deleted.map { RowID($0.rawValue) })
        text.add(
            zip(commit.inserted, draft.chunks).map { id, chunk in
                TextRow(
                    row: RowID(id.rawValue), title: chunk.heading.isEmpty ? title : title + "\n" + chunk.heading,
                    body: String(decoding: bytes[chunk.span.range], as: UTF8.self))
            })
        if let served {
            served.index.remove(commit.deleted.map { RowID($0.rawValue) })
            if let vectors = draft.embeddings.first(where: { $0.model == served.space.model }) {
                do throws(VectorIndexError) {
                    try served.index.add(VectorRows(rows: commit.inserted.map { RowID($0.rawValue) }, values: vectors.rounded.values))
                } catch { throw .vector(error) }
            }
        }
    }

    /// An index for the collection's first vectors; it is the collection's once they are committed, see `adopt`.
    private func openFirstVectors(
        _ drafts: some Sequence<DocumentDraft>
    ) throws(IndexingError) -> (index: any VectorIndex, repairs: [String])? {
        let (served, filling, model) = state.withLock { ($0.served, $0.filling, $0.settings.embeddingModel) }
        guard served == nil, filling == nil, let first = drafts.lazy.map(\.embeddings).first(where: { !$0.isEmpty }),
            let vectors = model == nil ? first[0] : first.first(where: { $0.model == model })
        else { return nil }
        var repairs: [String] = []
        let opening = Opening(id: id, store: store, readOnly: readOnly, logger: logger)
        return (try Self.openVectors(vectors.dimension, directory + "/" + VectorSpace.firstFolder, opening, &repairs), repairs)
    }

    /// Takes the space that the first vectors made, and its index.
    private func adopt(_ opened: (index: any VectorIndex, repairs: [String])?) throws(IndexingError) {
        let spaces: [VectorSpace]
        do throws(DocumentStoreError) { spaces = try store.spaces(of: id) } catch { throw .store(error) }
        let filling = spaces.first { $0.state == .filling }
        state.withLock { $0.filling = filling }
        guard let space = spaces.first(where: { $0.state == .serving }) else { return }
        var repairs = opened?.repairs ?? []
        var index = opened?.index
        if index == nil || space.folder != VectorSpace.firstFolder || index?.dimension != space.dimension {
            // Spaces that were kept have taken the first name.
            let opening = Opening(id: id, store: store, readOnly: readOnly, logger: logger)
            index = try Self.openVectors(space.dimension, directory + "/" + space.folder, opening, &repairs)
        }
        guard let index else { return }
        state.withLock {
            $0.served = ServedVectors(space: space, index: index)
            $0.settings.dimension = space.dimension
            $0.settings.embeddingModel = space.model
            $0.repairs += repairs
        }
    }

    /// Removes documents from the database and from both indexes.
    package func delete(_ selector: DeletionSelector) throws(IndexingError) -> DeletionReceipt {
        writeLock.lock()
        defer { writeLock.unlock() }
        let receipt: DeletionReceipt
        do throws(DocumentStoreError) { receipt = try store.delete(selector, in: id) } catch { throw .store(error) }
        let rows = receipt.chunks.map { RowID($0.rawValue) }
        text.remove(rows)
        vectors?.remove(rows)
        return receipt
    }

    // MARK: Files

    /// Rows in memory, those among them that are gone again too.
    private var heldCount: Int { max(text.heldCount, vectors?.heldCount ?? 0) }

    /// Starts a seal in the background when enough rows wait for one.
    private func sealIfNeeded() {
        guard heldCount >= Self.sealThreshold, !isSealScheduled.exchange(true, ordering: .relaxed) else { return }
        sealer.async { [self] in
            isSealScheduled.store(false, ordering: .relaxed)
            sealAndReport(tidying: false)
            scheduleTidying()
        }
    }

    private func sealAndReport(tidying: Bool) {
        do throws(IndexingError) { try seal(tidying: tidying) } catch {
            // Nothing is lost: the rows stay in memory and in the database, and the next seal tries again.
            logger.error("sealing the index failed", metadata: ["collection": "\(name)", "reason": "\(error)"])
        }
    }

    /// Merges text files once no seal has followed for a few seconds: while documents stream in, it would be done in vain.
    private func scheduleTidying() {
        let turn = tidyingTurn.add(1, ordering: .relaxed).newValue
        sealer.asyncAfter(deadline: .now() + Self.tidyingDelay) { [weak self] in
            guard let self, tidyingTurn.load(ordering: .relaxed) == turn, text.isUntidy else { return }
            sealAndReport(tidying: true)
        }
    }

    /// Waits for the running seal when far too many rows wait for the next one. Not to be called with `writeLock` held.
    private func waitForSeal() {
        guard heldCount >= Self.waitThreshold else { return }
        sealLock.lock()
        sealLock.unlock()
    }

    /// Waits for seals that were started in the background: before the database closes.
    package func waitForBackground() {
        // What is planned for later runs after this, and then finds that its turn is over.
        sealer.sync { _ = tidyingTurn.add(1, ordering: .relaxed) }
    }

    /// Writes the live deltas to files, so that the next start reads nothing from the database.
    ///
    /// Rows that are written while it runs may get into the files as well; the position that the files state is the one before, so the next start applies
    /// those changes once more, which changes nothing.
    ///
    /// - Parameter tidying: Merges the text index's files to a few, see `TextIndex.seal`.
    package func seal(tidying: Bool = false) throws(IndexingError) {
        sealLock.lock()
        defer { sealLock.unlock() }
        writeLock.lock()
        let position: IndexPosition
        do throws(IndexingError) { position = try currentPosition() } catch {
            writeLock.unlock()
            throw error
        }
        writeLock.unlock()
        try writeFiles(at: position, tidying: tidying)
    }

    /// The part of `seal` that writes; the caller holds `sealLock`.
    private func writeFiles(at reached: IndexPosition, tidying: Bool = false) throws(IndexingError) {
        func isBehind(_ sealed: IndexPosition) -> Bool { !sealed.isLevel(with: reached) || sealed.seal == nil }
        let sealsText = text.heldCount > 0 || isBehind(text.sealedPosition) || tidying && text.isUntidy
        let sealsVectors = vectors.map { $0.heldCount > 0 || isBehind($0.sealedPosition) } ?? false
        guard sealsText || sealsVectors else { return }
        let position = try noted(reached)
        if sealsText {
            do throws(TextIndexError) { try text.seal(at: position, tidying: tidying) } catch { throw .text(error) }
        }
        if sealsVectors, let vectors {
            do throws(VectorIndexError) { try vectors.seal(at: position) } catch { throw .vector(error) }
        }
        do throws(DocumentStoreError) { try store.trimDeletions(in: id, through: position.deletionSequence) } catch { throw .store(error) }
    }

    /// Rewrites the files without any trace of removed rows.
    package func compact() throws(IndexingError) {
        sealLock.lock()
        defer { sealLock.unlock() }
        writeLock.lock()
        defer { writeLock.unlock() }
        let position = try noted(currentPosition())
        do throws(TextIndexError) { try text.compact(at: position) } catch { throw .text(error) }
        if let vectors {
            do throws(VectorIndexError) { try vectors.compact(at: position) } catch { throw .vector(error) }
        }
        do throws(DocumentStoreError) { try store.trimDeletions(in: id, through: position.deletionSequence) } catch { throw .store(error) }
    }

    /// Throws the files away and builds them anew from the database.
    package func rebuild() throws(IndexingError) {
        sealLock.lock()
        defer { sealLock.unlock() }
        writeLock.lock()
        defer { writeLock.unlock() }
        let settings = settings
        let served = served
        do {
            for folder in ["text"] + (served.map { [$0.space.folder] } ?? []) {
                let path = directory + "/" + folder
                if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
            }
        } catch {
            throw .storage(.system(path: directory, operation: "removing old index files", errno: errno))
        }
        let text: TextIndex
        do throws(TextIndexError) {
            text = try TextIndex(directory: directory + "/text", configuration: Self.textConfiguration(settings))
        } catch { throw .text(error) }
        var fresh: ServedVectors?
        if let space = served?.space {
            do throws(VectorIndexError) {
                fresh = ServedVectors(space: space, index: try Self.vectorIndex(directory + "/" + space.folder, space.dimension, false))
            } catch { throw .vector(error) }
        }
        state.withLock {
            $0.text = text
            $0.served = fresh
            $0.repairs = []
        }
        try catchUp()
        try writeFiles(at: currentPosition())
    }

    func currentPosition() throws(IndexingError) -> IndexPosition {
        do throws(DocumentStoreError) {
            let position = try store.position(of: id)
            return IndexPosition(highWater: RowID(position.largestChunk.rawValue), deletionSequence: position.lastDeletion)
        } catch { throw .store(error) }
    }

    /// A position with the word of a new seal, which the database knows from now on.
    func noted(_ position: IndexPosition) throws(IndexingError) -> IndexPosition {
        var position = position
        do throws(DocumentStoreError) { position.seal = try store.noteSeal(of: id) } catch { throw .store(error) }
        return position
    }

    // MARK: Proof

    /// Compares both indexes with the database, row by row, and reads every checksum. Returns one sentence per flaw.
    package func verify() throws(IndexingError) -> (problems: [String], chunks: Int, textRows: Int, vectorRows: Int) {
        sealLock.lock()
        defer { sealLock.unlock() }
        writeLock.lock()
        defer { writeLock.unlock() }
        let expected: [Int64]
        var expectedVectors: [Int64] = []
        do throws(DocumentStoreError) {
            expected = try store.chunkIDs(in: id).map(\.rawValue)
            // A chunk without a vector is a flaw of the database, which tells it: no index can have it.
            if let served { expectedVectors = try store.chunkIDs(in: served.space).map(\.rawValue) }
            let damaged = state.withLock { $0.damagedVectors }
            if !damaged.isEmpty { expectedVectors.removeAll { damaged.contains($0) } }
        } catch { throw .store(error) }
        var problems: [String] = []
        let textRows = text.liveRows().map(\.rawValue)
        let vectorRows = vectors?.liveRows().map(\.rawValue) ?? []
        problems += Self.difference("text index", of: name, expected: expected, got: textRows)
        if vectors != nil { problems += Self.difference("vector index", of: name, expected: expectedVectors, got: vectorRows) }
        problems += text.verify().map { "collection '\(name)': \($0)" }
        problems += (vectors?.verify() ?? []).map { "collection '\(name)': \($0)" }
        return (problems, expected.count, textRows.count, vectorRows.count)
    }

    static func difference(_ what: String, of collection: String, expected: [Int64], got: [Int64]) -> [String] {
        let wanted = Set(expected)
        let have = Set(got)
        var problems: [String] = []
        func list(_ rows: Set<Int64>) -> String { rows.sorted().prefix(5).map { "chunk_\($0)" }.joined(separator: ", ") }
        let orphans = have.subtracting(wanted)
        let missing = wanted.subtracting(have)
        if !orphans.isEmpty {
            problems.append(
                "\(what) of '\(collection)' holds \(orphans.count) rows that are not in the database: \(list(orphans)); run 'outrider index rebuild'"
            )
        }
        if !missing.isEmpty {
            problems.append("\(what) of '\(collection)' lacks \(missing.count) rows: \(list(missing)); run 'outrider index rebuild'")
        }
        if got.count != have.count {
            problems.append("\(what) of '\(collection)' lists \(got.count - have.count) rows twice; run 'outrider index rebuild'")
        }
        return problems
    }
}
