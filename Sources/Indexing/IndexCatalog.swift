package import Documents
import Foundation
package import Logging
import Storage
import Synchronization

/// A collection that is stored but cannot be opened: it answers nothing and takes nothing in, and it can be deleted.
package struct UnusableCollection: Sendable, Equatable {
    package var id: CollectionID
    package var name: String
    package var reason: String

    var error: IndexingError { .store(.unusableCollection(name: name, reason: reason)) }
}

/// All collections of a data folder with their indexes.
package final class IndexCatalog: Sendable {
    package let store: DocumentStore
    package let directory: String
    private let readOnly: Bool
    private let logger: Logger
    private let open = Mutex<[String: CollectionIndexes]>([:])
    private let setAside = Mutex<[CollectionID: UnusableCollection]>([:])
    /// Serialises opening and deleting, so that no collection is opened twice.
    private let openLock = NSLock()

    /// Opens every collection's indexes under `directory`, which is created when missing.
    ///
    /// A collection that cannot be opened is set aside with its reason, see `unusable`; the others serve.
    package init(store: DocumentStore, directory: String, readOnly: Bool, logger: Logger) throws(IndexingError) {
        self.store = store
        self.directory = directory
        self.readOnly = readOnly
        self.logger = logger
        let records: [CollectionRecord]
        do throws(DocumentStoreError) { records = try store.collections() } catch { throw .store(error) }
        if records.isEmpty { try Self.refuseEmptied(store, directory) }
        for record in records { _ = try? openIndexes(of: record) }
        if !readOnly { removeFoldersWithoutCollection(records) }
    }

    /// The indexes of a collection; nil when there is none of that name.
    ///
    /// - Throws: `.store(.unusableCollection)` for one that is set aside.
    package func indexes(named name: String) throws(IndexingError) -> CollectionIndexes? {
        if let found = open.withLock({ $0[name] }) { return found }
        let record: CollectionRecord?
        do throws(DocumentStoreError) { record = try store.collection(named: name) } catch { throw .store(error) }
        guard let record else { return nil }
        return try openIndexes(of: record)
    }

    /// The indexes of a collection, which is created when missing. Of several callers at once, one creates it.
    ///
    /// - Throws: `.store(.invalidSetting)`, and nothing is stored, when a setting is not one that a collection can have; `.store(.invalidName)`.
    package func indexes(creating name: String, settings: CollectionSettings = .init()) throws(IndexingError) -> CollectionIndexes {
        if let found = try indexes(named: name) { return found }
        if let problem = settings.problems.first { throw .store(problem.error) }
        let record: CollectionRecord
        do throws(DocumentStoreError) { record = try store.findOrCreateCollection(name: name, settings: settings) } catch {
            throw .store(error)
        }
        return try openIndexes(of: record)
    }

    package func all() -> [CollectionIndexes] { open.withLock { $0.values.sorted { $0.name < $1.name } } }

    /// The collections that could not be opened, by name.
    package var unusable: [UnusableCollection] { setAside.withLock { $0.values.sorted { $0.name < $1.name } } }

    private func openIndexes(of record: CollectionRecord) throws(IndexingError) -> CollectionIndexes {
        openLock.lock()
        defer { openLock.unlock() }
        if let found = open.withLock({ $0[record.name] }), found.id == record.id { return found }
        if let known = setAside.withLock({ $0[record.id] }) { throw known.error }
        do throws(IndexingError) {
            if let obstacle = record.obstacle { throw .store(.unusableCollection(name: record.name, reason: obstacle)) }
            let indexes = try CollectionIndexes(
                collection: record, directory: folder(of: record.id), store: store, readOnly: readOnly, logger: logger)
            open.withLock { $0[record.name] = indexes }
            return indexes
        } catch {
            var reason = error.description
            if case .store(.unusableCollection(_, let obstacle)) = error { reason = obstacle }
            let unusable = UnusableCollection(id: record.id, name: record.name, reason: reason)
            setAside.withLock { $0[record.id] = unusable }
            logger.error("collection set aside", metadata: ["collection": "\(record.name)", "reason": "\(reason)"])
            throw unusable.error
        }
    }

    private func folder(of id: CollectionID) -> String { directory + "/\(id.rawValue)" }

    /// Deletes a collection with its documents and its index files, one that is set aside too.
    package func deleteCollection(named name: String) throws(IndexingError) -> DeletionReceipt {
        openLock.lock()
        defer { openLock.unlock() }
        let receipt: DeletionReceipt
        let id: CollectionID
        do throws(DocumentStoreError) {
            guard let record = try store.collection(named: name) else { throw DocumentStoreError.unknownCollection(name) }
            id = record.id
            receipt = try store.deleteCollection(id)
        } catch { throw .store(error) }
        open.withLock { $0[name] = nil }
        setAside.withLock { $0[id] = nil }
        try? FileManager.default.removeItem(atPath: folder(of: id))
        return receipt
    }

    /// Refuses a database in which there never was a collection beside the indexes of some: the file was emptied, or another one put in its place. The indexes are
    /// left alone, for they may be all that tells what was lost.
    private static func refuseEmptied(_ store: DocumentStore, _ directory: String) throws(IndexingError) {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter { name in
            Int64(name) != nil
                && ["text", "vectors"].contains {
                    FileManager.default.fileExists(atPath: "\(directory)/\(name)/\($0)/\(IndexManifest.fileName)")
                }
        }
        guard !names.isEmpty else { return }
        do throws(DocumentStoreError) {
            if try store.hasHeldCollections() { return }
            throw .cannotOpen(
                path: store.directory,
                reason:
                    "its database is empty, but '\(directory)' holds indexes of \(names.count) collections, so the database was emptied or replaced; "
                    + "restore outrider.sqlite from a backup, or remove the folder '\(directory)' to begin anew")
        } catch { throw .store(error) }
    }

    /// Folders of collections whose deletion was cut short.
    private func removeFoldersWithoutCollection(_ records: [CollectionRecord]) {
        let known = Set(records.map { "\($0.id.rawValue)" })
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where Int64(name) != nil && !known.contains(name) {
            try? FileManager.default.removeItem(atPath: directory + "/" + name)
        }
    }

    /// Writes all live deltas to files. Each collection gets its turn, also after one that fails; the first error is thrown.
    package func sealAll() throws(IndexingError) {
        var first: IndexingError?
        for indexes in all() {
            indexes.waitForBackground()
            do throws(IndexingError) { try indexes.seal(tidying: true) } catch { first = first ?? error }
        }
        if let first { throw first }
    }

    /// Seals before the program ends, as far as it goes: on a full disk the rows stay in the database, and the next start reads them from there.
    package func sealBeforeClosing() {
        do throws(IndexingError) { try sealAll() } catch {
            logger.warning(
                "the indexes could not be sealed; nothing is lost, the next start takes longer", metadata: ["reason": "\(error)"])
        }
    }

    /// Rewrites all files, those of the database included, so that deleted text is in none of them.
    package func compactAll() throws(IndexingError) {
        for indexes in all() { try indexes.compact() }
        do throws(DocumentStoreError) { try store.compact() } catch { throw .store(error) }
    }
}
