import ArgumentParser
import Parsing

@main
struct Outrider: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "outrider",
        abstract: "Answers questions from your own documents, with citations that are checked.",
        discussion: """
            Start with 'outrider ingest FOLDER', then 'outrider ask "..."', or 'outrider serve' for the web UI and the HTTP API.
            Everything lives in one data folder (--data, default ./outrider-data); nothing is sent anywhere unless you configure it.
            """,
        version: version,
        subcommands: [
            ServeCommand.self, IngestCommand.self, AskCommand.self, SearchCommand.self, DocumentsCommand.self, DeleteCommand.self,
            CollectionsCommand.self, JobsCommand.self, VerifyCommand.self, CompactCommand.self, IndexCommand.self, BackupCommand.self,
            EvalCommand.self,
            ModelsCommand.self, DoctorCommand.self, DemoCommand.self, BenchCommand.self, ParseWorkerCommand.self,
        ])
}

/// The confined child that parses one untrusted file after another; started by the parser pool, not by people.
struct ParseWorkerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parse-worker", abstract: "Internal: parses files in a confined process.", shouldDisplay: false)

    func run() throws {
        throw ExitCode(ParseWorker.main())
    }
}
