import Documents

/// Puts many plain texts in at once, such as a data set: a source of the one ingest pipeline, so that what is measured with it is what users get.
package struct BulkLoader: Sendable {
    package struct Text: Sendable {
        package var source: String
        package var title: String
        package var text: String
        package init(source: String, title: String, text: String) {
            self.source = source
            self.title = title
            self.text = text
        }
    }

    package struct Totals: Sendable {
        package var documents = 0
        package var chunks = 0
        package init() {}
    }

    private let collection: String
    private let ingestion: any Ingesting
    /// Texts of one job.
    private let jobSize: Int

    package init(into collection: String, through ingestion: any Ingesting, jobSize: Int = 10_000) {
        self.collection = collection
        self.ingestion = ingestion
        self.jobSize = jobSize
    }

    /// Stores texts, one job after another.
    ///
    /// - Parameter progress: Called now and then with the totals so far.
    /// - Throws: What a text could not be stored for; those before it stay.
    package func load(_ texts: [Text], progress: (Totals) -> Void = { _ in }) async throws -> Totals {
        var totals = Totals()
        for start in stride(from: 0, to: texts.count, by: jobSize) {
            let items = texts[start..<min(start + jobSize, texts.count)].map { item in
                // A text without a word (there are such rows in real sets) stays findable by its title.
                let text = item.text.contains { !$0.isWhitespace } ? item.text : item.title
                return IngestItem.text(source: item.source, title: item.title.isEmpty ? nil : item.title, text: text)
            }
            let job = try await ingestion.submit(IngestRequest(collection: collection, items: items), scope: .everyone)
            let before = totals
            do {
                for await event in try await ingestion.events(of: job, scope: .everyone) {
                    try Task.checkCancellation()
                    switch event {
                    case .file: break
                    case .progress(let status):
                        totals.documents = before.documents + status.finishedCount
                        progress(totals)
                    case .summary(let status, let chunks, _):
                        if let bad = status.files.first(where: { $0.outcome == .failed || $0.outcome == .cancelled }) {
                            throw IngestionError.store("'\(bad.path)' \(bad.outcome.rawValue): \(bad.reason ?? "no reason is known")")
                        }
                        // A row without a word in text and title is refused, and no document.
                        let stages = status.stages
                        totals.documents =
                            before.documents + [FileStage.indexed, .unchanged].reduce(0) { $0 + (stages[$1.rawValue] ?? 0) }
                        totals.chunks = before.chunks + chunks
                        progress(totals)
                    }
                }
                try Task.checkCancellation()
            } catch {
                _ = try? await ingestion.cancel(job, scope: .everyone)
                throw error
            }
        }
        return totals
    }
}
