import ArgumentParser
import Foundation
import Parsing

/// Where the process begins: on the main thread, while there is no other.
@main
enum EntryPoint {
    @MainActor static func main() async {
        // Started by the parser pool, not by people. Part of its confinement binds the calling thread and those that it
        // starts, so it must come before the first hop to another one.
        if CommandLine.arguments.dropFirst().first == "parse-worker" { exit(ParseWorker.main()) }
        await Outrider.main()
    }
}

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
            ModelsCommand.self, DoctorCommand.self, DemoCommand.self,
        ])
}
