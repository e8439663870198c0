import ArgumentParser
import Documents
import Execution
import Foundation
import HTTPFrontend
import Indexing
import Ingestion
import TextSearch
import VectorSearch

struct DocumentsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "documents", abstract: "Lists documents.")

    @OptionGroup var data: DataOptions
    @OptionGroup var filter: FilterOptions

    @Option(name: .long, help: "Only documents whose title or source holds this.")
    var search: String?

    @Option(name: .long, help: "Most documents to list.")
    var limit = 100

    @Option(name: .long, help: "Go on after this document id.")
    var after: String?

    @Option(name: .long, help: "Print the extracted text of this document id instead.")
    var text: String?

    @Flag(name: .long, help: "One JSON object a line.")
    var json = false

    func validate() throws { try check("--limit", limit, 1...1_000_000_000) }

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let store = try DocumentStore(directory: folder.path, readOnly: true)
        if let text {
            guard let found = try store.text(of: DocumentID(rawValue: text)) else { throw DocumentStoreError.unknownDocument(text) }
            return Output.line(found)
        }
        guard let collection = try store.collection(named: data.collection) else {
            throw DocumentStoreError.unknownCollection(data.collection)
        }
        let documents = try store.documents(
            in: collection.id, search: search, filter: try filter.parsed(), after: after.map(DocumentID.init(rawValue:)), limit: limit)
        for document in documents {
            if json {
                try Output.json(document)
            } else {
                Output.line(
                    "\(document.id)  \(Output.bytes(document.byteCount))  \(document.chunkCount) chunks  \(document.title ?? "")  \(Output.dim(document.source))"
                )
            }
        }
    }
}

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Removes documents from everything at once: text, vectors, BM25.",
        discussion: "Name documents by --id, --source (a file, or a folder with all in it), --filter, or the whole --collection with --all."
    )

    @OptionGroup var data: DataOptions
    @OptionGroup var filter: FilterOptions

    @Option(name: .long, help: "Document id; may be repeated.")
    var id: [String] = []

    @Option(name: .long, help: "Source path; a folder stands for all in it; may be repeated.")
    var source: [String] = []

    @Flag(name: .long, help: "The whole collection.")
    var all = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Rewrite the files afterwards, so that no byte of the text is left in any of them.")
    var compact = true

    @Flag(name: .long, help: "Print the receipt as JSON.")
    var json = false

    func run() async throws {
        let kinds = [!id.isEmpty, !source.isEmpty, filter.filter != nil, all].filter { $0 }.count
        if kinds != 1 { throw ValidationError("name what to delete by exactly one of --id, --source, --filter, --all") }
        let folder = try DataFolder(data.data, .write)
        var models = ModelOptions.standard
        models.embeddingModel = "none"
        let engine = try Engine.open(folder, models: models, needs: .writing, logger: CommandLog.make())
        var receipts: [DeletionReceipt] = []
        if all {
            receipts.append(try await engine.ingestion.deleteCollection(data.collection, scope: .everyone))
        } else if let chosen = try filter.parsed() {
            receipts.append(try await engine.ingestion.delete(.filter(chosen), collection: data.collection, scope: .everyone))
        } else if !id.isEmpty {
            receipts.append(
                try await engine.ingestion.delete(.ids(id.map(DocumentID.init(rawValue:))), collection: data.collection, scope: .everyone))
        } else {
            for path in source {
                // A path as typed, or made absolute as ingest stores it.
                var receipt = try await engine.ingestion.delete(.sourceTree(path), collection: data.collection, scope: .everyone)
                let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
                if receipt.documents.isEmpty, absolute != path {
                    receipt = try await engine.ingestion.delete(.sourceTree(absolute), collection: data.collection, scope: .everyone)
                }
                receipts.append(receipt)
            }
        }
        let receipt = DeletionReceipt(
            documents: receipts.flatMap(\.documents), chunks: receipts.flatMap(\.chunks), collection: data.collection)
        if compact, !receipt.documents.isEmpty { try await engine.ingestion.compact() }
        try await engine.closeWriting()
        if json { return try Output.json(ReceiptBody(receipt)) }
        Output.line("deleted \(receipt.documents.count) documents, \(receipt.chunks.count) chunks")
        if receipt.documents.isEmpty { throw ExitCode(1) }
    }
}

struct CollectionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "collections", abstract: "Lists collections with their sizes.")

    @OptionGroup var data: DataOptions

    @Flag(name: .long, help: "One JSON object a line.")
    var json = false

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct Line: Encodable {
        var name: String
        var documents: Int
        var chunks: Int
        var text_bytes: Int
        var settings: CollectionSettings
        /// Why it cannot be opened; absent when nothing is known against it.
        var unusable: String?
    }

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let store = try DocumentStore(directory: folder.path, readOnly: true)
        for record in try store.collections() {
            let counts = try store.counts(of: record.id)
            if json {
                try Output.json(
                    Line(
                        name: record.name, documents: counts.documents, chunks: counts.chunks, text_bytes: counts.textBytes,
                        settings: record.settings, unusable: record.obstacle))
            } else if let obstacle = record.obstacle {
                Output.line("\(record.name)  \(counts.documents) documents  cannot be opened: \(obstacle)")
            } else {
                Output.line(
                    "\(record.name)  \(counts.documents) documents  \(counts.chunks) chunks  \(Output.bytes(counts.textBytes)) of text  \(record.settings.embeddingModel ?? "no vectors")"
                )
            }
        }
    }
}

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jobs", abstract: "Lists ingest jobs, newest first.")

    @OptionGroup var data: DataOptions

    @Option(name: .long, help: "Show the files of this job.")
    var id: String?

    @Flag(name: .long, help: "One JSON object a line.")
    var json = false

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let store = try DocumentStore(directory: folder.path, readOnly: true)
        if let id {
            var after = -1
            guard try store.job(JobID(rawValue: id)) != nil else { throw DocumentStoreError.unknownJob(id) }
            while case let files = try store.files(of: JobID(rawValue: id), after: after), let last = files.last {
                for file in files {
                    if json { try Output.json(file) } else { Output.line("\(file.stage.rawValue)  \(file.source)  \(file.reason ?? "")") }
                }
                after = last.sequence
            }
            return
        }
        for job in try store.jobs() {
            if json {
                try Output.json(job)
            } else {
                let stages = job.stages.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) \($0.key.rawValue)" }.joined(
                    separator: ", ")
                Output.line("\(job.id)  \(job.state.rawValue)  \(job.fileCount) files: \(stages)")
            }
        }
    }
}

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Proves what is stored: text, spans, BM25, vectors, index files and spool hold exactly the same rows.")

    @OptionGroup var data: DataOptions

    @Flag(name: .long, help: "Print the receipt as JSON.")
    var json = false

    func run() async throws {
        let report = try await withWriter(data, mustSeal: false) { try await $0.ingestion.verify() }
        if json {
            try Output.json(VerificationBody(report))
        } else {
            for collection in report.collections {
                Output.line(
                    "\(collection.collection): \(collection.documents) documents, \(collection.chunks) chunks, \(collection.textRows) rows in BM25, \(collection.vectorRows) vectors"
                )
            }
            for problem in report.problems { Output.line("problem: \(problem)") }
            Output.line(report.clean ? "clean (\(String(format: "%.2f", report.seconds)) s)" : "\(report.problems.count) problems")
        }
        if !report.clean { throw ExitCode(1) }
    }
}

struct CompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact", abstract: "Rewrites all files so that nothing of what was deleted is left in any of them.")

    @OptionGroup var data: DataOptions

    func run() async throws {
        try await withWriter(data) { try await $0.ingestion.compact() }
        Output.line("compacted")
    }
}

struct IndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Looks after the derived index files.", subcommands: [Rebuild.self, Migrate.self],
        defaultSubcommand: Rebuild.self
    )

    struct Rebuild: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Builds all index files anew from the database.")

        @OptionGroup var data: DataOptions

        func run() async throws {
            try await withWriter(data) { engine in
                for indexes in engine.catalog.all() {
                    try await offload { try indexes.rebuild() }
                    Output.line("rebuilt \(indexes.name): \(indexes.text.count) rows in BM25, \(indexes.vectors?.count ?? 0) vectors")
                }
            }
        }
    }
}

/// Opens an existing data folder for writing without any model, and closes it in every case.
///
/// - Parameter mustSeal: Whether it is an error that index files cannot be written at the end, which only costs time at the next start.
private func withWriter<Value>(_ data: DataOptions, mustSeal: Bool = true, _ body: (Engine) async throws -> Value) async throws -> Value {
    _ = try DataFolder(data.data, .read)
    let folder = try DataFolder(data.data, .write)
    var models = ModelOptions.standard
    models.embeddingModel = "none"
    let engine = try Engine.open(folder, models: models, needs: .writing, logger: CommandLog.make())
    do {
        let value = try await body(engine)
        do { try await engine.closeWriting() } catch {
            if mustSeal { throw error }
            Output.error("note: \(error)")
        }
        return value
    } catch {
        try? await engine.closeWriting()
        throw error
    }
}
