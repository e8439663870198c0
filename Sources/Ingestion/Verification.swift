import Documents
import Execution
import Foundation
import Indexing

/// The proof behind `outrider verify`: the database agrees with itself, each index holds exactly its rows, and no file lies about without an owner.
enum Verification {
    static func run(_ catalog: IndexCatalog, spoolFolder: String) throws -> VerificationReport {
        let start = ContinuousClock.now
        // What an earlier version stored has no checksums yet: they hold from now on.
        // Without room for them on the disk, there is still a verification.
        while (try? catalog.store.addMissingChecksums()) == true {}
        var problems = try catalog.store.verify()
        var collections: [VerificationReport.CollectionReport] = []
        for record in try catalog.store.collections() {
            let opened: CollectionIndexes?
            do { opened = try catalog.indexes(named: record.name) } catch {
                problems.append("\(error)")
                continue
            }
            guard let indexes = opened else { continue }
            let counts = try catalog.store.counts(of: record.id)
            let found = try indexes.verify()
            problems += found.problems
            collections.append(
                .init(
                    collection: record.name, documents: counts.documents, chunks: found.chunks, textRows: found.textRows,
                    vectorRows: found.vectorRows))
        }
        problems += try orphanedSpoolFiles(catalog.store, spoolFolder)
        let elapsed = ContinuousClock.now - start
        return VerificationReport(
            clean: problems.isEmpty, collections: collections, problems: problems,
            seconds: elapsed.inSeconds)
    }

    /// Spool files older than an hour that no unfinished job names. Younger ones may belong to an upload that is under way.
    private static func orphanedSpoolFiles(_ store: DocumentStore, _ folder: String) throws -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        guard !names.isEmpty else { return [] }
        let needed = Set(try store.spooledPaths())
        return names.filter { name in
            let path = folder + "/" + name
            guard !needed.contains(path) else { return false }
            guard let modified = (try? FileManager.default.attributesOfItem(atPath: path))?[.modificationDate] as? Date else {
                // Gone since the folder was listed: an upload that has arrived, or was given up.
                return FileManager.default.fileExists(atPath: path)
            }
            return modified.timeIntervalSinceNow < -3600
        }.map { "spool file '\($0)' belongs to no job; it is removed at the next start" }
    }
}
