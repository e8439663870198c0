import Documents
import Foundation
import Logging
import Storage
import Synchronization

/// All collections of a data folder with their indexes.
package final class IndexCatalog: Sendable {
    package let store: DocumentStore
    package let directory: String
    private let readOnly: Bool
    private let logger: Logger
    private let open = Mutex<[String: CollectionIndexes]>([:])
    /// Serialises opening and deleting, so that no collection is opened twice.
    private let openLock = NSLock()

    /// Opens every collection's indexes under `directory`, which is created when missing.
    package init(store: DocumentStore, directory: String, readOnly: Bool, logger: Logger) throws(IndexingError) {
        self.store = store
        self.directory = directory
        self.readOnly = readOnly
        self.logger = logger
        let records: [CollectionRecord]
        do throws(DocumentStoreError) { records = try store.collections() } catch { throw .store(error) }
        for record in records { _ = try openIndexes(of: record) }
        if !readOnly { removeFoldersWithoutCollection(records) }
    }

    /// The indexes of a collection; nil when there is none of that name.
    package func indexes(named name: String) throws(IndexingError) -> CollectionIndexes? {
        if let found = open.withLock({ $0[name] }) { return found }
        let record: CollectionRecord?
        do throws(DocumentStoreError) { record = try store.collection(named: name) } catch { throw .store(error) }
        guard let record else { return nil }
        return try openIndexes(of: record)
    }

    /// The indexes of a collection, which is created when missing.
    package func indexes(creating name: String, settings: CollectionSettings = .init()) throws(IndexingError) -> CollectionIndexes {
        if let found = try indexes(named: name) { return found }
        let record: CollectionRecord
        do throws(DocumentStoreError) {
            if let existing = try store.collection(named: name) {
                record = existing
            } else {
                record = try store.createCollection(name: name, settings: settings)
            }
        } catch { throw .store(error) }
        return try openIndexes(of: record)
    }

    package func all() -> [CollectionIndexes] { open.withLock { $0.values.sorted { $0.name < $1.name } } }

    private func openIndexes(of record: CollectionRecord) throws(IndexingError) -> CollectionIndexes {
        openLock.lock()
        defer { openLock.unlock() }
        if let found = open.withLock({ $0[record.name] }), found.id == record.id { return found }
        let indexes = try CollectionIndexes(
            collection: record, directory: folder(of: record.id), store: store, readOnly: readOnly, logger: logger)
        open.withLock { $0[record.name] = indexes }
        return indexes
    }

    private func folder(of id: CollectionID) -> String { directory + "/\(id.rawValue)" }

    /// Deletes a collection with its documents and its index files.
    package func deleteCollection(named name: String) throws(IndexingError) -> DeletionReceipt {
        guard let indexes = try indexes(named: name) else { throw .store(.unknownCollection(name)) }
        openLock.lock()
        defer { openLock.unlock() }
        let receipt: DeletionReceipt
        do throws(DocumentStoreError) { receipt = try store.deleteCollection(indexes.id) } catch { throw .store(error) }
        open.withLock { $0[name] = nil }
        try? FileManager.default.removeItem(atPath: folder(of: indexes.id))
        return receipt
    }

    /// Folders of collections whose deletion was cut short.
    private func removeFoldersWithoutCollection(_ records: [CollectionRecord]) {
        let known = Set(records.map { "\($0.id.rawValue)" })
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        where Int64(name) != nil && !known.contains(name) {
            try? FileManager.default.removeItem(atPath: directory + "/" + name)
        }
    }

    /// Writes all live deltas to files.
    package func sealAll() throws(IndexingError) {
        for indexes in all() {
            indexes.waitForBackground()
            try indexes.seal(tidying: true)
        }
    }

    /// Rewrites all files, those of the database included, so that deleted text is in none of them.
    package func compactAll() throws(IndexingError) {
        for indexes in all() { try indexes.compact() }
        do throws(DocumentStoreError) { try store.compact() } catch { throw .store(error) }
    }
}
