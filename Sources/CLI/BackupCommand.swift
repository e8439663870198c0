import ArgumentParser
import Documents
import Foundation

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copies the database into an empty folder, also beside a running server.",
        discussion: """
            The copy is one moment of the database and a data folder of its own: restore it by giving it as --data, or by putting it in the place of the damaged one.
            Index files are not copied, they are built from it at the first start. Uploads that are still waiting to be taken in are not in it.
            """)

    @OptionGroup var data: DataOptions

    @Argument(help: "The folder to write to: empty, or not there yet.", completion: .directory)
    var target: String

    func run() async throws {
        let folder = try DataFolder(data.data, .read)
        let store = try DocumentStore(directory: folder.path, readOnly: true)
        let size = try store.backup(to: target)
        Output.line("copied \(Output.bytes(size)) to \(target); try it with 'outrider verify --data \(target)'")
    }
}
