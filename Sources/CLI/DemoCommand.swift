import Answering
import ArgumentParser
import Documents
import Foundation
import Ingestion

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Indexes this project's documentation and a folder of yours, and answers a question.")

    @OptionGroup var data: DataOptions
    @OptionGroup var models: ModelOptions

    @Option(name: .long, help: "A folder of your own documents to index as well.")
    var docs: String?

    @Option(name: .long, help: "The question.")
    var question = "What happens when an index file is damaged?"

    @Option(name: .long, help: "The project's folder.")
    var project = "."

    func run() async throws {
        let folder = try DataFolder(data.data, .write)
        let engine = try Engine.open(
            folder, models: models, needs: [.embedder, .requiredEmbedder, .generators, .writing], logger: CommandLog.make())
        try await engine.ingestion.start()
        var paths = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "Documentation"].map { project + "/" + $0 }
            .filter { FileManager.default.fileExists(atPath: $0) }
        if let docs { paths.append(docs) }
        Output.line("==> indexing \(paths.joined(separator: ", "))")
        let job = try await engine.ingestion.submit(
            IngestRequest(collection: data.collection, items: paths.map(IngestItem.path)), scope: .everyone)
        let bar = ProgressBar(isShown: Output.errorIsTerminal)
        for await event in try await engine.ingestion.events(of: job, scope: .everyone) {
            switch event {
            case .progress(let status): bar.show(status)
            case .file(let file):
                guard file.outcome == .refused || file.outcome == .failed else { continue }
                bar.clear()
                Output.line("\(file.outcome.rawValue): \(file.path): \(file.reason ?? "")")
            case .summary(let status, let chunks, let seconds):
                bar.clear()
                let stages = status.stages.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
                Output.line("\(stages); \(chunks) chunks in \(String(format: "%.1f", seconds)) s")
            }
        }
        Output.line()
        Output.line("==> asking: \(question)")
        try await AskCommand.tell(AnswerRequest(question: question, collection: data.collection), engine)
        try await engine.closeWriting()
        let program = CommandLine.arguments[0]
        let option = data.data == "outrider-data" ? "" : " --data \(data.data)"
        Output.line(
            """

            ==> next
            make serve                                   the web UI and the HTTP API on http://127.0.0.1:8080
            \(program) ask "your question"\(option)
            \(program) ingest /path/to/documents\(option)
            make demo DOCS=/path/to/documents
            """)
    }
}
