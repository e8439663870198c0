package import Documents

/// Keeps a collection level with some folders: at each pass it removes what went and takes in what changed.
///
///     made:  what is there is known     then the folders are ingested as a whole
///     pass:  what is different? -> remove what is gone -> submit what changed
///
/// It is made before the folders are ingested for the first time: what changes while that job runs is told by the first pass. A file that this job alone has
/// seen, and that is gone by the first pass, is found by comparing what is stored with the folders, once, after that pass (`VanishedFiles`).
package struct FolderFollower {
    /// What one pass did.
    package struct Pass: Sendable {
        /// Nil when nothing was gone, and when what is gone stays.
        package var removed: DeletionReceipt?
        /// Takes in what changed; nil when nothing did.
        package var job: JobID?
    }

    private let ingesting: any Ingesting
    private let request: IngestRequest
    private let removesVanished: Bool
    private var watcher: FolderWatcher

    /// - Parameters:
    ///   - request: What is ingested, by its paths; the rest holds for each change too.
    ///   - folder: Left out with all in it: the data folder.
    ///   - removesVanished: Whether documents go with their files.
    package init(_ request: IngestRequest, by ingesting: any Ingesting, excluding folder: String?, removesVanished: Bool) {
        self.ingesting = ingesting
        self.request = request
        self.removesVanished = removesVanished
        let paths = request.items.compactMap { item -> String? in
            if case .path(let path) = item { path } else { nil }
        }
        watcher = FolderWatcher(paths: paths, excluding: folder, followsLinks: request.followsLinks)
    }

    /// - Throws: What removing or submitting throws. What was seen and not done is then seen again by the next pass.
    package mutating func pass() async throws -> Pass {
        let before = watcher
        let change = watcher.poll()
        do {
            var pass = Pass()
            if removesVanished, !change.removed.isEmpty {
                pass.removed = try await ingesting.delete(.sources(change.removed), collection: request.collection, scope: .everyone)
            }
            pass.job = try await submit(change.changed)
            return pass
        } catch {
            watcher = before
            throw error
        }
    }

    private func submit(_ paths: [String]) async throws -> JobID? {
        var paths = paths
        while !paths.isEmpty {
            var part = request
            part.items = paths.map(IngestItem.path)
            do { return try await ingesting.submit(part, scope: .everyone) } catch IngestionError.noSuchPath(let path) {
                // Gone since the look. The next one tells it.
                let left = paths.filter { ExactText($0) != ExactText(path) }
                guard left.count < paths.count else { throw IngestionError.noSuchPath(path) }
                paths = left
            }
        }
        return nil
    }
}
