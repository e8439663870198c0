import ArgumentParser
import Dispatch
import Documents
import Foundation
import HTTPFrontend
import Indexing
import Ingestion
import Parsing
import Retrieval

struct IngestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest",
        abstract: "Takes in files and folders.",
        discussion: """
            Files whose bytes did not change cost nothing; changed ones replace their old version at once. A run that was killed goes on where it was.
            Without PATH, unfinished work of earlier runs is completed. With --watch, the folders are followed until Ctrl-C.
            Documents whose files are gone from a folder are named; --prune removes them.
            """)

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions

    @Argument(help: "Files and folders.")
    var paths: [String] = []

    @Option(name: .long, help: "Metadata for all of them, KEY=VALUE; numbers, true and false are typed.")
    var metadata: [String] = []

    @Flag(name: .long, help: "One JSON object a line instead of a progress bar.")
    var json = false

    @Flag(name: .long, help: "Follow the folders: new, changed and deleted files.")
    var watch = false

    @Flag(
        name: .long, inversion: .prefixedNo,
        help: "Remove documents of the given folders whose files are gone. Default: with --watch only, otherwise they are named.")
    var prune: Bool?

    @Flag(name: .long, help: "Read symbolic links to files, too. Whoever may write to the folder then has any file read that you may read.")
    var followLinks = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Read scanned pages and images with tesseract.")
    var ocr = true

    @Option(name: .long, help: "Languages for tesseract, such as eng+deu.")
    var ocrLanguages = "eng"

    @Flag(name: .long, inversion: .prefixedNo, help: "Keep hidden rows, columns, sheets and slides, marked as hidden.")
    var hidden = true

    @Option(name: .long, help: "Seconds a file may take to parse.")
    var parseTimeout: Double = 60

    @Option(name: .long, help: "MiB of memory a parser may use.")
    var parseMemory: Int = 1024

    func validate() throws {
        guard parseTimeout >= 1, parseTimeout <= 86_400 else {
            throw ValidationError("--parse-timeout is \(parseTimeout); give seconds from 1 to 86400")
        }
        guard (64...1 << 20).contains(parseMemory) else {
            throw ValidationError("--parse-memory is \(parseMemory); give MiB from 64 to 1048576")
        }
    }

    func run() async throws {
        if watch, paths.isEmpty { throw ValidationError("--watch needs a folder to follow") }
        let values = try Metadata(arguments: metadata)
        let logger = CommandLog.make(json: json)
        let folder = try DataFolder(data.data, .write)
        var limits = ParseLimits()
        limits.seconds = parseTimeout
        limits.memoryBytes = parseMemory << 20
        limits.isOCREnabled = ocr
        limits.ocrLanguages = ocrLanguages
        limits.keepsHidden = hidden
        let engine = try Engine.open(folder, models: models, needs: [.embedder, .writing], limits: limits, logger: logger)
        let ingestion = engine.ingestion
        let interrupted = StopSignal()
        try await ingestion.start()
        var failed = 0
        do {
            if paths.isEmpty {
                for job in try await ingestion.jobs(limit: 1000, scope: .everyone) where job.state == .queued || job.state == .running {
                    failed += try await follow(job.id, ingestion, interrupted)
                }
            }
            let request = IngestRequest(
                collection: data.collection, items: paths.map(IngestItem.path), metadata: values, followsLinks: followLinks)
            // Made first, so that what changes while the first job runs is not missed.
            var follower =
                watch ? FolderFollower(request, by: ingestion, excluding: folder.path, removesVanished: prune ?? true) : nil
            if !paths.isEmpty {
                let job = try await ingestion.submit(request, scope: .everyone)
                failed += try await follow(job, ingestion, interrupted)
                if !interrupted.happened {
                    // First a look: what goes after it is told by the next one, what went before is found here.
                    if follower != nil { try await follow(&follower!, ingestion, interrupted) }
                    try await tellVanished(ingestion, removing: prune ?? watch)
                }
            }
            if let advice = engine.retriever.languages(of: data.collection, scope: .everyone)?.advice {
                if json { try Output.json(LanguageLine(advice: advice)) } else { Output.line("note: \(advice)") }
            }
            if watch, !json, !interrupted.happened { Output.line("watching \(paths.joined(separator: ", ")); Ctrl-C stops") }
            while follower != nil, !interrupted.happened {
                try await interrupted.sleep(.seconds(1))
                try await follow(&follower!, ingestion, interrupted)
            }
        } catch {
            try? await engine.closeWriting()
            throw error
        }
        if interrupted.happened { Output.error("stopped; run 'outrider ingest --data \(data.data)' to go on") }
        try await engine.closeWriting()
        if failed > 0 { throw ExitCode(1) }
        if interrupted.happened { throw ExitCode(130) }
    }

    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct FileLine: Encodable {
        var event = "file"
        var path: String
        var outcome: FileStage
        var reason: String?
        var document_id: DocumentID?
        var chunks: Int
    }
    private struct LanguageLine: Encodable {
        var event = "languages"
        var advice: String
    }
    private struct ProgressLine: Encodable {
        var event = "progress"
        var job: JobBody
    }
    // The names are the members of the JSON object.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    private struct SummaryLine: Encodable {
        var event = "summary"
        var job_id: JobID
        var indexed: Int
        var refused: Int
        var unchanged: Int
        var failed: Int
        var cancelled: Int
        var chunks: Int
        var seconds: Double
    }

    private struct VanishedLine: Encodable {
        var event = "vanished"
        /// How many of them were removed.
        var removed: Int
        var sources: [String]
    }

    /// Shows a job to its end, or to an interruption. Returns the number of failed files.
    private func follow(_ job: JobID, _ ingestion: IngestionService, _ interrupted: StopSignal) async throws -> Int {
        var told: Set<String> = []
        let bar = ProgressBar(isShown: !json && Output.errorIsTerminal)
        func tell(_ file: FileOutcome) throws {
            guard told.insert(file.path).inserted else { return }
            if json {
                try Output.json(
                    FileLine(path: file.path, outcome: file.outcome, reason: file.reason, document_id: file.documentID, chunks: file.chunks)
                )
            } else if file.outcome == .refused || file.outcome == .failed {
                bar.clear()
                Output.line("\(file.outcome.rawValue): \(file.path): \(file.reason ?? "")")
            } else if file.outcome == .indexed, let warning = file.reason {
                bar.clear()
                Output.line("note: \(file.path): \(warning)")
            }
        }
        var lastProgress = ContinuousClock.now - .seconds(10)
        var waiting: String?
        for await event in interrupted.stopping(try await ingestion.events(of: job, scope: .everyone)) {
            switch event {
            case .file(let file): try tell(file)
            case .progress(let status):
                if status.waiting != waiting {
                    waiting = status.waiting
                    bar.clear()
                    if let waiting, !json { Output.error(waiting) }
                }
                bar.show(status)
                if json, ContinuousClock.now - lastProgress > .seconds(1) {
                    lastProgress = .now
                    var brief = status
                    brief.files = []
                    try Output.json(ProgressLine(job: JobBody(brief)))
                }
            case .summary(let status, let chunks, let seconds):
                bar.clear()
                for file in status.files { try tell(file) }
                func count(_ stage: FileStage) -> Int { status.stages[stage.rawValue] ?? 0 }
                if json {
                    try Output.json(
                        SummaryLine(
                            job_id: job, indexed: count(.indexed), refused: count(.refused), unchanged: count(.unchanged),
                            failed: count(.failed),
                            cancelled: count(.cancelled), chunks: chunks, seconds: (seconds * 1000).rounded() / 1000))
                } else {
                    let parts: [(String, FileStage)] = [
                        ("indexed", .indexed), ("unchanged", .unchanged), ("refused", .refused), ("failed", .failed),
                    ]
                    let text = parts.filter { count($0.1) > 0 || $0.1 == .indexed }.map { "\(count($0.1)) \($0.0)" }.joined(separator: ", ")
                    Output.line("\(text); \(chunks) chunks in \(String(format: "%.1f", seconds)) s")
                }
                return count(.failed)
            }
        }
        return 0
    }

    /// One look at the folders, and what follows from it.
    private func follow(_ folders: inout FolderFollower, _ ingestion: IngestionService, _ interrupted: StopSignal) async throws {
        let pass = try await folders.pass()
        if let receipt = pass.removed {
            if json {
                try Output.json(["event": "removed", "documents": "\(receipt.documents.count)"])
            } else {
                Output.line("removed \(receipt.documents.count) documents")
            }
        }
        if let job = pass.job { _ = try await follow(job, ingestion, interrupted) }
    }

    /// Names the documents of the given folders whose files are gone, or removes them.
    private func tellVanished(_ ingestion: IngestionService, removing: Bool) async throws {
        let vanished = try await ingestion.vanished(below: paths, collection: data.collection)
        for problem in vanished.problems { Output.error("warning: \(problem)") }
        guard !vanished.sources.isEmpty else { return }
        var removed = 0
        if removing {
            removed = try await ingestion.delete(.sources(vanished.sources), collection: data.collection, scope: .everyone).documents.count
        }
        if json {
            return try Output.json(VanishedLine(removed: removed, sources: vanished.sources))
        }
        let count = vanished.sources.count == 1 ? "1 document whose file is" : "\(vanished.sources.count) documents whose files are"
        if removing { return Output.line("removed \(count) gone") }
        Output.line("\(count) gone:")
        for source in vanished.sources.prefix(5) { Output.line("  \(source)") }
        if vanished.sources.count > 5 { Output.line("  ...") }
        let words = paths.map { $0.contains(" ") ? "'\($0)'" : $0 }.joined(separator: " ")
        Output.line("remove them with 'outrider ingest --prune --data \(data.data) --collection \(data.collection) \(words)'")
    }
}

extension Metadata {
    /// `year=2024`, `draft=true`, `title=Some text`.
    init(arguments: [String]) throws {
        self = [:]
        for argument in arguments {
            guard let split = argument.firstIndex(of: "="), split > argument.startIndex else {
                throw ValidationError("--metadata '\(argument)' is not KEY=VALUE")
            }
            let text = String(argument[argument.index(after: split)...])
            let value: MetadataValue =
                text == "true" ? .bool(true) : text == "false" ? .bool(false) : Double(text).map { .number($0) } ?? .string(text)
            self[String(argument[..<split])] = value
        }
    }
}
