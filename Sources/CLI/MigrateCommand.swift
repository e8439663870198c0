import ArgumentParser
import Documents
import Foundation
import HTTPFrontend
import Indexing
import Inference
import Ingestion
import ModelFiles

extension IndexCommand {
    struct Migrate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes the embedding model of a collection.",
            discussion: """
                Every chunk gets a vector of the new model; until the last one has it, searches beside this command use the old ones. Chunks stay as they were \
                cut, so citations stay true. A command that was stopped goes on where it was. A server that runs does the same without a pause: \
                POST /v1/collections/NAME/embedding-model.
                """)

        @OptionGroup var data: DataOptions
        @OptionGroup var models: ModelOptions

        @Flag(name: .long, help: "All collections, rather than --collection.")
        var all = false

        @Flag(name: .long, help: "Keep the vectors of the old model, so that a change back embeds only what came in since.")
        var keepOld = false

        @Flag(name: .long, help: "One JSON object a line.")
        var json = false

        func validate() throws {
            guard let name = models.embeddingModel, !name.isEmpty, name != "none" else {
                throw ValidationError("name the new model: --embedding-model FILE, or the name of one in the model folder")
            }
        }

        func run() async throws {
            _ = try DataFolder(data.data, .read)
            let folder = try DataFolder(data.data, .write)
            let engine = try Engine.open(
                folder, models: models, needs: [.embedder, .requiredEmbedder, .writing], logger: CommandLog.make(json: json))
            let interrupted = StopSignal()
            var isWhole = true
            do {
                guard let model = engine.embedders.standard?.model.name else { throw ValidationError("the new model could not be opened") }
                let names = all ? engine.catalog.all().map(\.name) : [data.collection]
                for name in names where !interrupted.happened {
                    if all, engine.catalog.all().first(where: { $0.name == name })?.served?.space.model == model {
                        if !json { Output.line("\(name): has '\(model)' already") }
                        continue
                    }
                    _ = try await engine.changes.changeModel(of: name, to: model, keepsOld: keepOld, scope: .everyone)
                    isWhole = try await follow(name, engine.changes, interrupted) && isWhole
                }
                if NamedEmbedder.file(model) == nil, !json {
                    Output.line(
                        "note: '\(model)' does not lie in the model folder (\(ModelFolder.path)); give --embedding-model from now on")
                }
            } catch {
                try? await engine.closeWriting()
                throw error
            }
            if interrupted.happened { Output.error("stopped; the same command goes on where it was") }
            try await engine.closeWriting()
            if interrupted.happened { throw ExitCode(130) }
            if !isWhole { throw ExitCode(1) }
        }

        /// - Returns: Whether the change came to its end.
        private func follow(_ name: String, _ changes: ModelChanges, _ interrupted: StopSignal) async throws -> Bool {
            let bar = ProgressBar(isShown: !json && Output.errorIsTerminal)
            var last: ModelChangeStatus?
            guard let events = try await changes.events(of: name) else { return false }
            for await status in interrupted.stopping(events) {
                if json, status.state != last?.state || status.vectorCount == status.chunkCount { try Output.json(ModelChangeBody(status)) }
                if let reason = status.reason, reason != last?.reason, !json {
                    bar.clear()
                    Output.error(reason)
                }
                bar.show(
                    done: status.vectorCount, of: status.chunkCount,
                    "chunks of '\(name)'" + (status.state == .indexing ? ", building the index" : ""), etaSeconds: status.etaSeconds)
                last = status
            }
            bar.clear()
            guard let last, !json else { return last?.state == .done }
            switch last.state {
            case .done:
                Output.line(
                    "\(name): \(last.chunkCount) chunks, searched by '\(last.to)' now (before: \(last.from.map { "'\($0)'" } ?? "no vectors"))"
                )
            case .failed: Output.error("\(name): failed: \(last.reason ?? "no reason is known")")
            case .waiting, .filling, .indexing, .cancelled:
                Output.line("\(name): \(last.vectorCount) of \(last.chunkCount) chunks have a vector of '\(last.to)'")
            }
            return last.state == .done
        }
    }
}
